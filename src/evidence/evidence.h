/* Evidence: decode, verify, extract claims, one technology a row.
 *
 * atls_evidence_verify is the only way in, and it cannot be half-used: it takes evidence, expected
 * binder and AIK together, and gives claims only when every check of the technology passed. It
 * knows no store: what it needs to trust comes through struct atls_endorsement_source. */
#ifndef ATLS_EVIDENCE_EVIDENCE_H
#define ATLS_EVIDENCE_EVIDENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/attester.h>

#include "core/arena.h"
#include "crypto/certificate.h"
#include "crypto/crypto.h"
#include "evidence/collateral.h"
#include "evidence/rules.h"
#include "wire/cmw.h"
#include "wire/kat.h"
#include "wire/measurement.h"

/* A key that the store trusts to sign evidence of one instance. Filled by the source; owned by the
 * receiver, cleared by atls_attest_key_clear. */
struct atls_attest_key {
    /* What it was enrolled for: name of a row of atls_technologies, static. Evidence of another
     * technology is not believed for it, and with NULL none is. */
    const char *technology;
    struct atls_buf spki; /* DER */
    struct atls_buf
        public_area; /* TPM: TPMT_PUBLIC as enrolled, or empty when only the key is known */
    struct atls_buf class_id;      /* encoded class-id of its environment; empty when it has none */
    struct atls_buf vendor, model; /* of the class; text, may be empty */
};
void atls_attest_key_clear(struct atls_attest_key *key);

/* What evidence verification may ask; the verifier implements it over its store. Functions may be
 * called from any thread. */
struct atls_endorsement_source {
    void *arg;
    /* The one attestation key enrolled for instance (UEID bytes, untagged: 33 bytes, first 01, for
     * a TPM 01 || SHA-256 part of the AK's Name). Errors: ATLS_E_NOT_FOUND; ATLS_E_CONFIG when two
     * different keys are on file. */
    enum atls_code (*attest_key)(void *arg, struct atls_bytes instance, struct atls_attest_key *out,
                                 struct atls_err *err);
    /* Anchors that may vouch for attestation key certificates (new reference, or *out NULL when
     * there are none). */
    enum atls_code (*ak_anchors)(void *arg, struct atls_anchors **out, struct atls_err *err);
    /* Class that certificates below this anchor (DER) stand for; fills class_id, vendor, model of
     * out. Errors: ATLS_E_NOT_FOUND when the anchor names none. */
    enum atls_code (*anchor_class)(void *arg, struct atls_bytes anchor, struct atls_attest_key *out,
                                   struct atls_err *err);
    /* The one attestation key of an instance of a class (encoded class-id item): instances of PSA
     * and CCA mean nothing without theirs. Errors: as attest_key. */
    enum atls_code (*attest_key_of)(void *arg, struct atls_bytes class_id,
                                    struct atls_bytes instance, struct atls_attest_key *out,
                                    struct atls_err *err);
    /* Certificates that makers of confidential-computing hardware are trusted by: roots (self-
     * signed), and intermediates that lead to them (new reference, or *out NULL when there are
     * none). The same object until the store changes. */
    enum atls_code (*tee_anchors)(void *arg, struct atls_certificate_set **out,
                                  struct atls_err *err);
    /* A published document of a maker, from the store or fetched, that counts at time_s by the
     * dates in it; nothing in it is believed for that. *out is the caller's to clear. Errors:
     * ATLS_E_NOT_FOUND (none, or with reason crl-expired, collateral-expired, certificate-expired
     * or collateral-not-yet-valid none for this time); ATLS_E_UNAVAILABLE, ATLS_E_IO when the place
     * to fetch it from failed. */
    enum atls_code (*collateral)(void *arg, const struct atls_collateral_query *query,
                                 int64_t time_s, struct atls_buf *out, struct atls_err *err);
};

/* Who asks, and so what there is to compare with. Every other check is always made. */
enum atls_evidence_scope {
    /* A Relying Party whose Verifier is in this process: everything. */
    ATLS_EVIDENCE_COMPLETE = 0,
    /* A Relying Party whose Verifier is elsewhere. Whether to trust the attestation key is that
     * Verifier's to say, and key_trust stays NONE: the key that a TPM's evidence carries verifies
     * its signatures here; a technology whose evidence carries none ("soft") has its signature
     * verified there alone. */
    ATLS_EVIDENCE_KEY_TRUST_ELSEWHERE = 1,
    /* A Verifier that serves others: it sees no connection, aik_spki must be empty, and the key
     * that the evidence names is in the claims for the Relying Party to compare. */
    ATLS_EVIDENCE_KEY_UNKNOWN = 2,
};

struct atls_evidence_request {
    enum atls_evidence_scope scope;
    struct atls_bytes evidence; /* one CMW, CBOR */
    struct atls_bytes binder;   /* 32 or 48 bytes; absent is an error (binder-missing) */
    /* enum atls_evidence_profile: those accepted; 0: KAT and BATCH, in ATLS_EVIDENCE_KEY_UNKNOWN
     * all, since its Relying Party chose. evidence-profile otherwise. */
    unsigned int profiles;
    struct atls_bytes aik_spki; /* DER, of the authenticator's end-entity certificate */
    /* Profile RATLS alone: what the evidence must carry, since it was sent; empty: none was. */
    struct atls_bytes nonce;
    int64_t time_s;
    const struct atls_endorsement_source *source;
    struct atls_chain_cache *cache;              /* or NULL */
    const struct atls_evidence_options *options; /* NULL: strict defaults */
};

struct atls_evidence_options {
    bool allow_sha1_pcr_bank;       /* weak-pcr-bank otherwise */
    bool allow_unsafe_clock;        /* clock-unsafe otherwise */
    bool require_ak_eku;            /* AK certificates must carry EKU 2.23.133.8.3 */
    bool allow_insecure_technology; /* let "soft" be appraised at all */
    bool allow_ima_violations;      /* measurement otherwise: files that changed while measured */
    const struct atls_rules *rules; /* of confidential computing; NULL: the strict defaults */
};

/* How the attestation key came to be trusted. */
enum atls_key_trust {
    ATLS_KEY_TRUST_NONE = 0,
    ATLS_KEY_TRUST_ENROLLED = 1,
    ATLS_KEY_TRUST_CERTIFIED = 2
};

enum atls_detail_type { ATLS_DETAIL_UINT, ATLS_DETAIL_BOOL, ATLS_DETAIL_BYTES, ATLS_DETAIL_TEXT };

/* A claim for people and policies that no reference value is compared with ("reset-count"). */
struct atls_detail {
    const char *name; /* static or in the arena; hyphens between words */
    enum atls_detail_type type;
    uint64_t number;         /* UINT, BOOL */
    struct atls_bytes bytes; /* BYTES, TEXT (UTF-8, escaped by whoever prints) */
};

#define ATLS_DETAILS_MAX 64

/* PCRs of which the evidence has the digest alone, not the values. Values that hash to it are those
 * of the machine: reference values are tried (verifier/local/compose.h). */
struct atls_pcr_composite {
    enum atls_hash hash; /* of the bank, and of digest */
    uint32_t bitmap;     /* bit n: PCR n */
    struct atls_bytes digest;
};

/* What verified evidence says. Owned: lives in its arena, which holds a copy of all it points at.
 */
struct atls_claims {
    struct atls_arena arena;
    const char *technology; /* "tpm", "soft": static */
    const char *submod;     /* EAR submodule label: "TPM", "SOFT" */
    bool insecure;          /* anyone can make such evidence */
    enum atls_key_trust key_trust;
    struct atls_bytes instance;          /* UEID bytes of the attestation key */
    struct atls_environment environment; /* class from the store, instance encoded (tag 550) */
    struct atls_measurement *measurements;
    size_t measurement_count;
    /* The last so many of measurements need no reference value: one is compared only where the
     * class has a value of its key. */
    size_t optional_count;
    /* NULL, or what the one measurement "pcr-digest" stands for; in the arena. */
    struct atls_pcr_composite *composite;
    /* Genuine, but its maker publishes weaknesses of it that a rule let pass: hardware is a
     * warning.
     */
    bool hardware_advisory;
    struct atls_bytes key_spki; /* the attested key; equals the AIK where that was known */
    /* The key that signed the evidence, its authority where manifests ask for one; empty: nobody
     * vouches for it. */
    struct atls_bytes signer_spki;
    struct atls_detail details[ATLS_DETAILS_MAX];
    size_t detail_count;
    /* A second submodule that the same evidence speaks of (the realm on a CCA platform; the virtual
     * TPM of a confidential machine), on the heap and owned; usually NULL. */
    struct atls_claims *next;
};
void atls_claims_clear(struct atls_claims *claims);

/* Appends a detail; too many is silently impossible: returns false. */
ATLS_MUST_CHECK bool atls_claims_add(struct atls_claims *claims, struct atls_detail detail);

/* One form that evidence of a technology comes in. */
struct atls_evidence_format {
    const char *pat_type; /* media type of the record: the "pat" member, or the whole CMW */
    const char *kat_type; /* media type of the "kat" member; NULL: the CMW is that one record */
    enum atls_evidence_profile profile;
    /* Tells technologies apart that share a media type; NULL: the type says all. */
    bool (*recognises)(struct atls_bytes pat);
    /* NULL: that of the technology. */
    enum atls_code (*verify)(const struct atls_bundle *bundle,
                             const struct atls_evidence_request *request, struct atls_claims *out,
                             struct atls_err *err);
};

/* One technology. verify gets a bundle whose shape was checked (of one record: kat.value and
 * endorsements absent) and writes claims on success only. */
struct atls_technology {
    const char *name;
    const char *submod;
    bool insecure;
    const struct atls_evidence_format *formats; /* ends with pat_type NULL */
    enum atls_code (*verify)(const struct atls_bundle *bundle,
                             const struct atls_evidence_request *request, struct atls_claims *out,
                             struct atls_err *err);
};
extern const struct atls_technology atls_technology_tpm;
extern const struct atls_technology atls_technology_soft;
extern const struct atls_technology atls_technology_snp;
extern const struct atls_technology atls_technology_tdx;
extern const struct atls_technology atls_technology_sgx;
extern const struct atls_technology atls_technology_cca;
extern const struct atls_technology atls_technology_psa;

/* NULL-terminated table of what this build knows. */
extern const struct atls_technology *const atls_technologies[];

/* The name in the table that equals name, static; NULL when no technology is called so. */
const char *atls_technology_name(struct atls_bytes name);

/* Decodes the CMW and picks the row, and checks nothing: says what evidence claims to be.
 * *out_format (may be NULL) is the form that it has. Errors: ATLS_E_DECODE, ATLS_E_UNSUPPORTED
 * (unknown-evidence-type), ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code
atls_evidence_identify(struct atls_bytes evidence, const struct atls_technology **out,
                       const struct atls_evidence_format **out_format, struct atls_err *err);

/* Decodes the CMW, picks the row, runs every check. *out is written on success only and is the
 * caller's to clear. Errors: ATLS_E_USAGE never for hostile input (binder-missing: no expected
 * binder, or one that is not 32 or 48 bytes, for ATLS_EVIDENCE_KEY_UNKNOWN 8..64); ATLS_E_EVIDENCE
 * with the reason slug of the failed check; ATLS_E_CERTIFICATE with the reason of a refused AK
 * certificate; ATLS_E_DECODE (malformed); ATLS_E_UNSUPPORTED (unknown-evidence-type, or an
 * algorithm); ATLS_E_CONFIG, ATLS_E_IO from the source. Any thread. */
ATLS_MUST_CHECK enum atls_code atls_evidence_verify(const struct atls_evidence_request *request,
                                                    struct atls_claims *out, struct atls_err *err);

#endif
