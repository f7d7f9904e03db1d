/* The platform token (PAT) of the software attester: an EAT claims map inside a COSE_Sign1.
 *
 *     18([ << {1: alg, 4: ueid} >>, {}, << claims >>, signature ])
 *     claims = {
 *         10:     challenge, SHA-512 of the KAT as encoded (64 bytes)
 *         256:    ueid, 01 || SHA-256 of the signer's SubjectPublicKeyInfo (33 bytes)
 *         265:    ATLS_SOFT_PROFILE
 *         -70100: {* name => [named information hash number, digest]}
 *         -70101: true ("insecure": anyone can make such evidence)
 *     }
 *
 * Members, order and encoding are fixed: the map is in deterministic order, and so are the names of
 * the measurements, hence one token has one encoding. Pure codec: signatures are
 * evidence/soft.c's (check) and the attester's (make). */
#ifndef ATLS_WIRE_SOFT_H
#define ATLS_WIRE_SOFT_H

#include <stddef.h>
#include <stdint.h>

#include "core/reader.h"
#include "core/writer.h"
#include "wire/kat.h"

#define ATLS_SOFT_CHALLENGE_LEN 64
#define ATLS_SOFT_UEID_LEN      33
/* A development tool measures a handful of things; the bound keeps the token on the stack. */
#define ATLS_SOFT_MEASUREMENTS_MAX 32
#define ATLS_SOFT_NAME_MAX         128

enum atls_soft_claim {
    ATLS_SOFT_CLAIM_CHALLENGE = 10,
    ATLS_SOFT_CLAIM_UEID = 256,
    ATLS_SOFT_CLAIM_PROFILE = 265,
    ATLS_SOFT_CLAIM_MEASUREMENTS = -70100,
    ATLS_SOFT_CLAIM_INSECURE = -70101,
};

struct atls_soft_measurement {
    struct atls_bytes name;    /* UTF-8, 1..ATLS_SOFT_NAME_MAX bytes */
    int64_t named_information; /* 1 sha-256, 7 sha-384, 8 sha-512 */
    struct atls_bytes digest;  /* as long as the hash says */
};

/* A value type that borrows; the profile and "insecure" are constants of the format. */
struct atls_soft_token {
    struct atls_bytes challenge; /* ATLS_SOFT_CHALLENGE_LEN bytes */
    struct atls_bytes ueid;      /* ATLS_SOFT_UEID_LEN bytes, first 01 */
    struct atls_bytes profile;   /* ATLS_SOFT_PROFILE; ignored by atls_soft_token_put */
    struct atls_soft_measurement measurements[ATLS_SOFT_MEASUREMENTS_MAX];
    size_t measurement_count;
};

/* Decodes the payload of the COSE_Sign1 (the claims map), which must be exactly as above. *out
 * borrows from payload and is written on success only. Errors: ATLS_E_DECODE, malformed. */
ATLS_MUST_CHECK enum atls_code atls_soft_token_decode(struct atls_bytes payload,
                                                      struct atls_soft_token *out,
                                                      struct atls_err *err);

/* Writes the claims map; measurements are written in deterministic order of their names whatever
 * their order in memory. Errors: ATLS_E_USAGE for a token that the decoder would refuse, nothing is
 * written then; memory and limits stick to the writer. */
ATLS_MUST_CHECK enum atls_code atls_soft_token_put(struct atls_writer *w,
                                                   const struct atls_soft_token *token,
                                                   struct atls_err *err);

/* Writes the content of the protected header: {1: alg, 4: ueid}. alg is a COSE algorithm number. */
void atls_soft_put_protected(struct atls_writer *w, int64_t alg, struct atls_bytes ueid);

#endif
