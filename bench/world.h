/* Machines with a TPM, made by software, their evidence over nonces that are known beforehand, and
 * the store of a verifier that knows them. Exits the program on failure. */
#ifndef ATLS_BENCH_WORLD_H
#define ATLS_BENCH_WORLD_H

#include <stddef.h>
#include <stdint.h>

#include <atls/store.h>

#include "crypto/crypto.h"
#include "tpm_forge.h"

#define WORLD_MACHINES 8
#define WORLD_PCRS     24
#define WORLD_NONCE    32

struct world_machine {
    struct test_tpm_evidence parts;
    uint8_t nonce[WORLD_NONCE];
    struct atls_buf evidence; /* the bundle as CMW, CBOR */
};

struct world {
    struct world_machine machines[WORLD_MACHINES];
};

_Noreturn void world_die(const char *what, const struct atls_err *err); /* err may be NULL */

/* Evidence of each machine: P-256 keys, all PCRs of the SHA-256 bank. */
void world_make(struct world *w);
void world_clear(struct world *w);
/* Makes a store there (a path, or a URI of PostgreSQL): keys of the machines, references of all
 * PCRs, a P-256 signing key. */
void world_store(const struct world *w, const char *location);

/* What no appraisal can do without: the primitives alone, for bench_run. */
struct world_signature {
    struct atls_private_key *key;
    struct atls_buf value;
};
void world_signature_make(struct world_signature *s);
void world_signature_clear(struct world_signature *s);
void world_run_verify_two(void *signature, unsigned long count); /* ECDSA P-256, twice */
void world_run_sign(void *signature, unsigned long count);       /* ECDSA P-256, once */

#endif
