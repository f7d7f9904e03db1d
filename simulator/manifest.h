/* Reference manifests (CoRIM) of a simulated machine: the key that signs for it, and what it
 * measures as it was made. Unsigned: who imports them decides to. */
#ifndef ATLS_SIMULATOR_MANIFEST_H
#define ATLS_SIMULATOR_MANIFEST_H

#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>

/* One measurement. Its key is name, or number when that is NULL. */
struct atls_sim_reference {
    const char *name;
    uint64_t number;
    struct atls_bytes digest;        /* 32, 48 or 64 bytes: SHA-256, SHA-384, SHA-512; or empty */
    struct atls_bytes raw;           /* or empty */
    const char *component, *version; /* of software; NULL: none */
    struct atls_bytes signer_id;     /* of software; empty: none */
};

struct atls_sim_manifest {
    const char *id;
    const char *profile;        /* a URI; NULL: none */
    struct atls_bytes class_id; /* one CBOR item */
    /* Either a key, of an instance (33 bytes, first 01) ... */
    struct atls_bytes instance, key_pem;
    /* ... or measurements. */
    const struct atls_sim_reference *references;
    size_t reference_count;
};
/* *out is the caller's to clear. Errors: ATLS_E_NOMEM, ATLS_E_LIMIT (64 KiB). */
ATLS_MUST_CHECK enum atls_code atls_sim_manifest_make(const struct atls_sim_manifest *manifest,
                                                      struct atls_buf *out, struct atls_err *err);
/* A class-id: tag and bytes, 512 bytes with its head at most. Errors: likewise. */
ATLS_MUST_CHECK enum atls_code atls_sim_class_id(uint64_t tag, struct atls_bytes bytes,
                                                 struct atls_buf *out, struct atls_err *err);

#endif
