/* Software evidence made by hand: a platform token over any challenge, and our bundles of it. Links
 * wire and bind, so only tests of modules above these may use it. */
#ifndef ATLS_TEST_SOFT_EVIDENCE_H
#define ATLS_TEST_SOFT_EVIDENCE_H

#include <stdbool.h>

#include "crypto/crypto.h"
#include "wire/soft.h"

/* 01 || SHA-256 of the key. */
void test_soft_ueid(const struct atls_private_key *key, uint8_t out[ATLS_SOFT_UEID_LEN]);

/* The token alone: challenge of 64 bytes, no measurements. The caller clears it. */
struct atls_buf test_soft_token(const struct atls_private_key *key, struct atls_bytes challenge);

/* A key attestation token over binder and aik (SubjectPublicKeyInfo). The caller clears it. */
struct atls_buf test_kat(struct atls_bytes binder, struct atls_bytes aik);

/* Our bundle of kat, or of the batch path to it (its member of the bundle), and pat of a type. The
 * caller clears it. */
struct atls_buf test_bundle(const char *kat_type, struct atls_bytes kat, const char *pat_type,
                            struct atls_bytes pat);

#endif
