/* Entity Attestation Tokens (RFC 9711): claims sets and the envelopes that carry them. Codec only:
 * whether a token is signed, fresh and good enough is for others to say.
 *
 *     struct atls_arena arena = atls_arena_init(limit);
 *     struct atls_eat_token token;
 *     struct atls_eat_claims claims;
 *
 *     if ((code = atls_eat_token_open(in, &arena, &token, err)) == ATLS_OK &&
 *         token.kind == ATLS_EAT_CWT && (code = verify(&token.sign1)) == ATLS_OK)
 *         code = atls_eat_claims_decode(token.claims, 0, &arena, &claims, err);
 *     atls_arena_clear(&arena);
 *
 * Opening looks at the envelope alone, so that no claim is read before its signature was verified.
 * A nested token has a signature of its own and is handed out as it stands: open it with its own
 * keys. Nothing is inherited: a submodule has the claims that stand in it.
 *
 * The same structure holds claims sets in JSON (wire/eat_json.h). One thread at a time. */
#ifndef ATLS_WIRE_EAT_H
#define ATLS_WIRE_EAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "wire/cmw.h"
#include "wire/cose.h"

/* Claims sets within claims sets and tokens within tokens, the outermost counted: no device is
 * composed more deeply, and it bounds the recursion. */
#define ATLS_EAT_DEPTH_MAX 8
/* Submodules of one claims set; detached claims sets of one bundle. */
#define ATLS_EAT_SUBMODS_MAX 64
/* Elements of any other list in a claim, and claims in one set: far above what is in use. */
#define ATLS_EAT_LIST_MAX   64
#define ATLS_EAT_CLAIMS_MAX 256

/* Claim keys (IANA, CBOR Web Token Claims). */
enum atls_eat_claim {
    ATLS_EAT_ISS = 1,
    ATLS_EAT_SUB = 2,
    ATLS_EAT_AUD = 3,
    ATLS_EAT_EXP = 4,
    ATLS_EAT_NBF = 5,
    ATLS_EAT_IAT = 6,
    ATLS_EAT_CTI = 7,
    ATLS_EAT_CNF = 8,
    ATLS_EAT_NONCE = 10,
    ATLS_EAT_UEID = 256,
    ATLS_EAT_SUEIDS = 257,
    ATLS_EAT_OEMID = 258,
    ATLS_EAT_HWMODEL = 259,
    ATLS_EAT_HWVERSION = 260,
    ATLS_EAT_UPTIME = 261,
    ATLS_EAT_OEMBOOT = 262,
    ATLS_EAT_DBGSTAT = 263,
    ATLS_EAT_LOCATION = 264,
    ATLS_EAT_PROFILE = 265,
    ATLS_EAT_SUBMODS = 266,
    ATLS_EAT_BOOTCOUNT = 267,
    ATLS_EAT_BOOTSEED = 268,
    ATLS_EAT_DLOAS = 269,
    ATLS_EAT_SWNAME = 270,
    ATLS_EAT_SWVERSION = 271,
    ATLS_EAT_MANIFESTS = 272,
    ATLS_EAT_MEASUREMENTS = 273,
    ATLS_EAT_MEASRES = 274,
    ATLS_EAT_INTUSE = 275,
    ATLS_EAT_CMW = 299,
};

/* An optional number; of a boolean 0 or 1. */
struct atls_eat_number {
    bool present;
    uint64_t value;
};

/* A key, an algorithm or a version scheme: a number or a text. */
struct atls_eat_label {
    bool is_text;
    int64_t number;
    struct atls_bytes text;
};

/* Bytes under a name: sueids, sets of a bundle. */
struct atls_eat_named {
    struct atls_bytes name;
    struct atls_bytes bytes;
};

/* RFC 8747: the key that the token confirms, or the name of one. */
struct atls_eat_cnf {
    struct atls_bytes key_encoded; /* the COSE_Key or JWK as it stands; .ptr NULL: none */
    struct atls_cose_key key;      /* when there is one */
    struct atls_bytes kid;         /* .ptr NULL: none */
};

/* Section 4.2.3: .present when it is a Private Enterprise Number, else 3 (IEEE) or 16 (random)
 * bytes. */
struct atls_eat_oemid {
    struct atls_eat_number pen;
    struct atls_bytes bytes; /* .ptr NULL: none */
};

struct atls_eat_version {
    struct atls_bytes version; /* text; .ptr NULL: none */
    bool has_scheme;
    struct atls_eat_label scheme; /* RFC 9393 */
};

/* Section 4.2.10, in the order of its keys: latitude, longitude, altitude, accuracy, altitude
 * accuracy, heading, speed; each a number as encoded, .ptr NULL where absent. */
#define ATLS_EAT_LOCATION_NUMBERS 7
struct atls_eat_location {
    bool present;
    struct atls_bytes numbers[ATLS_EAT_LOCATION_NUMBERS];
    struct atls_eat_number timestamp_s, age_s;
};

struct atls_eat_profile {
    bool is_oid;
    struct atls_bytes value; /* URI as text, or content octets of an OID; .ptr NULL: none */
};

struct atls_eat_dloa {
    struct atls_bytes registrar, platform;
    struct atls_bytes application; /* .ptr NULL: none */
};

/* manifests and measurements. */
struct atls_eat_content {
    uint16_t content_format; /* CoAP */
    bool is_text;
    struct atls_bytes bytes;
};

enum atls_eat_result {
    ATLS_EAT_RESULT_SUCCESS = 1,
    ATLS_EAT_RESULT_FAIL = 2,
    ATLS_EAT_RESULT_NOT_RUN = 3,
    ATLS_EAT_RESULT_ABSENT = 4,
};

struct atls_eat_measres {
    struct atls_bytes system;
    struct atls_eat_individual {
        bool is_text;
        struct atls_bytes id;
        enum atls_eat_result result;
    } * results;
    size_t count;
};

/* Section 4.2.18.2: the algorithm is one of the IANA COSE registry, by number or by name. */
struct atls_eat_digest {
    struct atls_eat_label algorithm;
    struct atls_bytes digest;
};

enum atls_eat_submod_kind {
    ATLS_EAT_SUBMOD_CLAIMS = 1,
    ATLS_EAT_SUBMOD_CBOR_TOKEN = 2, /* token: for atls_eat_token_open */
    ATLS_EAT_SUBMOD_JSON_TOKEN = 3, /* token: a JWT in JSON, a selector of JSON within CBOR */
    ATLS_EAT_SUBMOD_DIGEST = 4,
    ATLS_EAT_SUBMOD_BUNDLE = 5, /* token: tag 602 and all, or the JSON array */
};

struct atls_eat_claims;

struct atls_eat_submod {
    struct atls_bytes name;
    enum atls_eat_submod_kind kind;
    struct atls_eat_claims *claims;
    struct atls_bytes token;
    struct atls_eat_digest digest;
};

/* A claim that is not registered here, for profiles to look at: an encoded item, or JSON text. */
struct atls_eat_other {
    struct atls_eat_label key;
    struct atls_bytes value;
};

/* A claims set. Bytes and text that are absent have .ptr NULL, lists that are have count 0. */
struct atls_eat_claims {
    struct atls_bytes iss, sub;
    struct atls_bytes *aud;
    size_t aud_count;
    struct atls_eat_number exp_s, nbf_s, iat_s; /* since 1970; at most INT64_MAX */
    struct atls_bytes cti;                      /* bytes; in JSON the text of jti */
    struct atls_eat_cnf cnf;
    struct atls_bytes *nonces; /* octets, 8..64 each */
    size_t nonce_count;
    struct atls_bytes ueid; /* 7..33 */
    struct atls_eat_named *sueids;
    size_t sueid_count;
    struct atls_eat_oemid oemid;
    struct atls_bytes hwmodel; /* 1..32 */
    struct atls_eat_version hwversion;
    struct atls_eat_number uptime_s;
    struct atls_eat_number oemboot;
    struct atls_eat_number dbgstat; /* 0 enabled .. 4 fully and permanently disabled */
    struct atls_eat_location location;
    struct atls_eat_profile profile;
    struct atls_eat_submod *submods;
    size_t submod_count;
    struct atls_eat_number bootcount;
    struct atls_bytes bootseed;
    struct atls_eat_dloa *dloas;
    size_t dloa_count;
    struct atls_bytes swname;
    struct atls_eat_version swversion;
    struct atls_eat_content *manifests;
    size_t manifest_count;
    struct atls_eat_content *measurements;
    size_t measurement_count;
    struct atls_eat_measres *measres;
    size_t measres_count;
    struct atls_eat_number intuse; /* 1 generic .. 5 proof of possession */
    struct atls_cmw *cmw;          /* NULL: none */
    struct atls_eat_other *others;
    size_t other_count;
};

/* Decodes a claims set in CBOR that fills in exactly. Strict: unique keys, integers for registered
 * claims, types, sizes and ranges of section 4, integers that are not negative for times; lengths
 * may be indefinite. depth: of the set within others, 0 for that of a token that is in none. *out
 * lives in arena, borrows from in and is written on success only. Errors: ATLS_E_DECODE naming the
 * claim, ATLS_E_UNSUPPORTED (kind of key in cnf), ATLS_E_LIMIT, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_eat_claims_decode(struct atls_bytes in, unsigned int depth,
                                                      struct atls_arena *arena,
                                                      struct atls_eat_claims *out,
                                                      struct atls_err *err);

enum atls_eat_kind {
    ATLS_EAT_CWT = 1,    /* COSE_Sign1, tag 61 outside or not (RFC 8392) */
    ATLS_EAT_UCCS = 2,   /* unprotected claims set, tag 601 (RFC 9781): no integrity of its own */
    ATLS_EAT_BUNDLE = 3, /* detached bundle, tag 602 (section 5) */
};

/* Section 5: the token whose submods hold the digests, and the sets that they are of. */
struct atls_eat_bundle {
    enum atls_eat_submod_kind main_kind; /* ATLS_EAT_SUBMOD_CBOR_TOKEN or _JSON_TOKEN */
    struct atls_bytes main_token;
    struct atls_eat_named *sets; /* encoded claims sets, not looked into */
    size_t set_count;
};

struct atls_eat_token {
    enum atls_eat_kind kind;
    struct atls_cose_sign1 sign1; /* CWT */
    struct atls_bytes claims;     /* CWT: the payload; UCCS: what the tag encloses */
    struct atls_eat_bundle bundle;
};

/* Opens the envelope of a token that fills in exactly, by its tags: 61 around 18, 18, 601, 602; no
 * claim is decoded. Borrows from in; lists live in arena. Errors: ATLS_E_DECODE (no tag, another
 * tag, detached payload, a broken bundle), ATLS_E_UNSUPPORTED (COSE_Mac0, COSE_Sign), else as
 * atls_cose_sign1_decode, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_eat_token_open(struct atls_bytes in, struct atls_arena *arena,
                                                   struct atls_eat_token *out,
                                                   struct atls_err *err);

/* What a caller has to compare: the hash of claims under the digest's algorithm with the digest. */
struct atls_eat_detached {
    struct atls_bytes name;
    struct atls_eat_digest expected;
    struct atls_bytes claims; /* encoded, as it is hashed */
};

/* Pairs each set of a bundle with the digest that the main token has under its name; *out holds
 * bundle->set_count pairs in arena. A digest whose set is not in the bundle is left out. Errors:
 * ATLS_E_DECODE for a set that no digest covers, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_eat_bundle_pair(const struct atls_eat_bundle *bundle,
                                                    const struct atls_eat_claims *main_claims,
                                                    struct atls_arena *arena,
                                                    struct atls_eat_detached **out,
                                                    struct atls_err *err);

/* Submodule by name, or NULL. */
const struct atls_eat_submod *atls_eat_submod_find(const struct atls_eat_claims *claims,
                                                   const char *name);
/* Claim beyond the registered ones by number, or NULL. */
const struct atls_eat_other *atls_eat_other_find(const struct atls_eat_claims *claims, int64_t key);

/* A measured component (RFC 10013), content of measurements of content-format 295. */
struct atls_eat_component {
    struct atls_bytes name;
    struct atls_eat_version version;
    bool has_digest;
    struct atls_eat_digest digest; /* the algorithm names a row of the named information registry */
    struct atls_bytes raw;         /* .ptr NULL when there is a digest */
    struct atls_bytes *authorities;
    size_t authority_count;
    struct atls_bytes flags; /* 8 bytes; .ptr NULL: none */
};

/* Decodes a component that fills in exactly; arena and borrowing as atls_eat_claims_decode. Errors:
 * ATLS_E_DECODE, ATLS_E_LIMIT, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_eat_component_decode(struct atls_bytes in,
                                                         struct atls_arena *arena,
                                                         struct atls_eat_component *out,
                                                         struct atls_err *err);

/* What the first byte of a UEID says about the rest (section 4.2.1.2). Relying parties compare
 * UEIDs as opaque bytes and must not build on this: it is for display, and for who issues them. */
enum atls_eat_ueid_form {
    ATLS_EAT_UEID_OTHER =
        0, /* an octet that is not assigned, or a length that does not go with it */
    ATLS_EAT_UEID_RANDOM = 1, /* 01 and 16, 24 or 32 bytes */
    ATLS_EAT_UEID_EUI = 2,    /* 02 and 6 or 8 bytes */
    ATLS_EAT_UEID_IMEI = 3,   /* 03 and 14 digits, one a byte */
};
enum atls_eat_ueid_form atls_eat_ueid_form(struct atls_bytes ueid);

/* Name of a registered claim as JSON spells it (eat_nonce, ueid ...), or NULL; static. */
const char *atls_eat_claim_name(int64_t key);
/* Names that JSON uses for the values of dbgstat, intuse and measres; NULL outside; static. */
const char *atls_eat_dbgstat_name(uint64_t value);
const char *atls_eat_intuse_name(uint64_t value);
const char *atls_eat_result_name(uint64_t value);

#endif
