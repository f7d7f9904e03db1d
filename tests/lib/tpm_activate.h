/* The device's half of credential activation (TPM 2.0 Library Part 1, 24) in software, over
 * libcrypto's own key derivation functions: an independent view of what bind/credential.h makes. */
#ifndef ATLS_TEST_TPM_ACTIVATE_H
#define ATLS_TEST_TPM_ACTIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tpm_forge.h"

/* KDFa and KDFe with SHA-256 (Part 1, 11.4.10). context is contextU and contextV joined. */
void test_tpm_kdfa(struct atls_bytes key, const char *label, struct atls_bytes context,
                   uint8_t *out, size_t len);
void test_tpm_kdfe(struct atls_bytes z, const char *label, struct atls_bytes u, struct atls_bytes v,
                   uint8_t *out, size_t len);

/* TPM2_ActivateCredential by the TPM of ek, which holds the object of name; false, and nothing
 * written, for a credential of another EK or object, or one that was changed. out has room for 64
 * bytes. */
bool test_tpm_activate(const struct test_tpm_key *ek, struct atls_bytes name,
                       struct atls_bytes id_object, struct atls_bytes encrypted_secret,
                       uint8_t *out, size_t *out_len);

#endif
