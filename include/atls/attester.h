/* The Attester: whoever proves what this machine runs (RFC 9334 section 4.1).
 *
 *     const struct atls_attester_ops *const backends[] = {&atls_tpm2_attester, &atls_soft_attester,
 * NULL}; atls_attester_open("tpm2:device:/dev/tpmrm0", backends, NULL, &attester, &err);
 *
 * An attester holds an attestation identity key (AIK), the key of the authenticator's end-entity
 * certificate, and makes evidence that names this key and answers one challenge. It is reference
 * counted and may be used from any thread: operations that the device cannot do at once are
 * serialised inside. The last reference waits for a quote under way. */
#ifndef ATLS_ATTESTER_H
#define ATLS_ATTESTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>
#include <atls/crypto.h>
#include <atls/log.h>

#ifdef __cplusplus
extern "C" {
#endif

struct atls_attester;

/* How evidence names the key and the connection (docs/binding.md). */
enum atls_evidence_profile {
    /* "kat-bundle": the platform token's challenge is SHA-512 of a key attestation token (KAT) that
     * holds binder and key; a TPM signs both natively. The default. */
    ATLS_PROFILE_KAT = 1 << 0,
    /* "kat-batch": as before, where the challenge is the root of a tree over the KATs of
     * connections that waited together (docs/batch.md). */
    ATLS_PROFILE_BATCH = 1 << 1,
    /* "bare": report data is binder || SHA-256 of the key, or a 48-byte binder and zeros, for peers
     * that follow draft-fossati-seat-expat-03 to the letter. */
    ATLS_PROFILE_BARE = 1 << 2,
    /* "parsec": the formats of the Parsec proof of concept, KAT and platform token in one record.
     */
    ATLS_PROFILE_PARSEC = 1 << 3,
    /* "ra-tls": forms of others that ride in a certificate: the evidence names its key, a nonce at
     * most, and no connection (docs/ra-tls-forms.md). No attester makes it, and it is accepted only
     * where it is named. */
    ATLS_PROFILE_RATLS = 1 << 4,
};

/* "kat-bundle", "kat-batch", "bare", "parsec", "ra-tls"; "" for another number. Static. */
ATLS_API const char *atls_evidence_profile_name(enum atls_evidence_profile profile);
/* The profile of that name; 0 for another. */
ATLS_API unsigned int atls_evidence_profile_find(const char *name);

/* What evidence is to answer. */
struct atls_challenge {
    struct atls_bytes binder; /* 32 or 48 bytes (docs/binding.md) */
    unsigned int profiles;    /* enum atls_evidence_profile: those that the relying party takes; the
                                 backend picks the first of BATCH, KAT, BARE, PARSEC that it does */
    uint32_t timeout_ms;      /* how long to wait for others' quotes; 0: without end */
};

/* Told of evidence that was made (ATLS_OK) or could not be, and how long that took, waiting for
 * others' quotes included. On the thread that gets the evidence; must be short and thread safe. */
typedef void atls_attester_made(void *arg, enum atls_code code, int64_t duration_us);

struct atls_quoter; /* of backends of this library (attester/bundle.h) */

/* Call atls_attester_options_init first. Strings borrow during open only. */
struct atls_attester_options {
    size_t size;             /* of this struct, set by init */
    const char *certificate; /* file: PEM chain of the AIK, end entity first; NULL: self-signed */
    const char *common_name; /* of the self-signed certificate; NULL: "atls attester" */
    const char *const *dns_names; /* of the self-signed certificate, NULL-terminated, or NULL */
    bool insecure;                /* the caller asks for an insecure backend by name ("soft") */
    const char
        *endorsements; /* file: PEM certificates that vouch for the attestation key, or NULL */
    struct atls_log log;
    atls_attester_made *made; /* for whoever counts, or NULL; as long as the attester is there */
    void *made_arg;
};
ATLS_API void atls_attester_options_init(struct atls_attester_options *options);

/* A backend. Third parties may write one; see docs/attesters.md. self is the backend's own state.
 */
struct atls_attester_ops {
    const char *scheme;        /* of the URI: "tpm2", "soft" */
    const char *evidence_type; /* technology name as negotiated: "tpm", "soft" */
    bool insecure; /* anyone can make such evidence: open fails unless options->insecure */
    /* rest: what follows "scheme:" in the URI. Errors: ATLS_E_CONFIG, ATLS_E_DEVICE, ... */
    enum atls_code (*open)(const char *rest, const struct atls_attester_options *options,
                           void **out_self, struct atls_err *err);
    void (*close)(void *self);
    /* DER SubjectPublicKeyInfo of the AIK; borrows from self. */
    struct atls_bytes (*aik_spki)(void *self);
    /* The scheme that the AIK signs CertificateVerify with. */
    enum atls_signature (*aik_scheme)(void *self);
    /* Signs tbs (not its digest) with the AIK; ECDSA as DER. */
    enum atls_code (*aik_sign)(void *self, enum atls_signature scheme, struct atls_bytes tbs,
                               struct atls_buf *out, struct atls_err *err);
    /* Evidence over the challenge's binder and the AIK: one CMW in CBOR. challenge->profiles has at
     * least one bit of profiles below. */
    enum atls_code (*evidence)(void *self, const struct atls_challenge *challenge,
                               struct atls_buf *out_cmw, struct atls_err *err);
    unsigned int profiles; /* enum atls_evidence_profile that it makes; 0: ATLS_PROFILE_KAT */
    /* Where evidence_type depends on the machine; static text, the same while the backend is open.
     * NULL: evidence_type says it. */
    const char *(*evidence_type_of)(void *self);
    /* Says how the platform token alone is made, where one may serve many connections: then
     * evidence comes in batches, too (profiles leaves that out), and evidence is called by one
     * thread at a time. For backends of this library; NULL: evidence makes everything. */
    void (*quoter)(void *self, struct atls_quoter *out);
};

/* The software attester: signs with a key in a file, "soft:key.pem[?name=value...]"; "soft:" alone
 * makes a fresh key. Insecure by nature: for development and tests. */
ATLS_API extern const struct atls_attester_ops atls_soft_attester;
/* The attester of confidential machines (AMD SEV-SNP, Intel TDX, Arm CCA) on Linux:
 * "tsm:[DIR][?name=value...]", DIR a mounted tree of configfs-tsm reports. Evidence is of type
 * "snp", "tdx" or "cca", as the machine is. */
ATLS_API extern const struct atls_attester_ops atls_tsm_attester;

/* Opens by URI; backends is NULL-terminated. Backends that can make batches take the option
 * "batch=off", too. A certificate of options must carry the AIK. Errors:
 * ATLS_E_CONFIG (unknown scheme, insecure backend not asked for, certificate of another key),
 * ATLS_E_DEVICE, ATLS_E_IO, ATLS_E_NOMEM. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_attester_open(const char *uri, const struct atls_attester_ops *const *backends,
                   const struct atls_attester_options *options, struct atls_attester **out,
                   struct atls_err *err);
ATLS_API struct atls_attester *atls_attester_ref(struct atls_attester *a);
ATLS_API void atls_attester_unref(struct atls_attester *a); /* NULL is fine */

ATLS_API const char *atls_attester_scheme(const struct atls_attester *a);        /* "tpm2" */
ATLS_API const char *atls_attester_evidence_type(const struct atls_attester *a); /* "tpm" */
ATLS_API bool atls_attester_insecure(const struct atls_attester *a);
/* Certificate chain of the AIK, DER, end entity first; borrows from a; *out_count >= 1. */
ATLS_API const struct atls_bytes *atls_attester_chain(const struct atls_attester *a,
                                                      size_t *out_count);
ATLS_API struct atls_bytes atls_attester_aik_spki(const struct atls_attester *a);
ATLS_API enum atls_signature atls_attester_aik_scheme(const struct atls_attester *a);
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_attester_sign(struct atls_attester *a, enum atls_signature scheme, struct atls_bytes tbs,
                   struct atls_buf *out, struct atls_err *err);
/* Evidence of profile ATLS_PROFILE_KAT for binder. As atls_attester_evidence_for. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_attester_evidence(struct atls_attester *a,
                                                               struct atls_bytes binder,
                                                               struct atls_buf *out_cmw,
                                                               struct atls_err *err);
/* The profiles that it can make, enum atls_evidence_profile. */
ATLS_API unsigned int atls_attester_profiles(const struct atls_attester *a);
/* Evidence for one challenge. *out_cmw is the caller's to clear. Slow (tens of milliseconds on a
 * TPM), and callers wait for each other where the device does one thing at a time: those that take
 * ATLS_PROFILE_BATCH for one quote together (docs/batch.md). Errors: ATLS_E_USAGE (binder; no
 * profile that this attester makes), ATLS_E_DEVICE, ATLS_E_LIMIT (more than ATLS_CMW_DATA_MAX
 * bytes: names what is too large), ATLS_E_TIMEOUT (of challenge, while others were served; the
 * device stayed busy), ATLS_E_NOMEM. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_attester_evidence_for(struct atls_attester *a, const struct atls_challenge *challenge,
                           struct atls_buf *out_cmw, struct atls_err *err);

/* Evidence that was asked for and is not there yet, for event loops. Any thread, one at a time. */
struct atls_attester_call;

/* Called on a thread of the attester's when atls_attester_evidence_finish will no longer wait: wake
 * whoever is to call it. Must be short, and neither finish nor cancel its own call nor give back
 * the last reference to the attester. */
typedef void atls_attester_ready(void *arg);

/* As atls_attester_evidence_for, in two steps. Keeps a reference to a, and nothing of challenge;
 * ready may be NULL. *out_call is the caller's to finish or cancel. Errors: ATLS_E_USAGE,
 * ATLS_E_NOMEM (also: no thread to be had). */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_attester_evidence_start(struct atls_attester *a, const struct atls_challenge *challenge,
                             atls_attester_ready *ready, void *arg,
                             struct atls_attester_call **out_call, struct atls_err *err);
/* Waits if ready was not called yet, gives the evidence and frees the call, whatever comes. Errors:
 * as atls_attester_evidence_for. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_attester_evidence_finish(struct atls_attester_call *call, struct atls_buf *out_cmw,
                              struct atls_err *err);
/* Frees the call in any state. After finish and cancel ready is not called, nor still running.
 * NULL is fine. */
ATLS_API void atls_attester_evidence_cancel(struct atls_attester_call *call);

#ifdef __cplusplus
}
#endif
#endif
