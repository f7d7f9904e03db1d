/* Results of Verifiers, signed, as tokens and as a peer carries them. Links verifier, verifier_ear
 * and wire, so only tests of modules above these may use it. Everything fails the test rather than
 * returning an error; what is returned is the caller's to clear.
 *
 *     struct test_signer signer;
 *     test_signer_init(&signer, "a");
 *     token = test_token(&(struct test_result){.signer = &signer, .key = aik, .issued_s = now});
 *     cmw = test_carried("application/eat+jwt", atls_buf_bytes(&token), 8);  */
#ifndef ATLS_TEST_SIGNED_RESULT_H
#define ATLS_TEST_SIGNED_RESULT_H

#include <stdint.h>

#include <atls/ear.h>

#include "crypto/crypto.h"

#define TEST_EAT_JWT "application/eat+jwt"
#define TEST_EAT_CWT "application/eat+cwt"

struct test_signer {
    struct atls_private_key *key; /* P-256 */
    const char *kid;              /* or NULL */
    struct atls_buf private_pem;
};
void test_signer_init(struct test_signer *signer, const char *kid);
void test_signer_clear(struct test_signer *signer);
/* Replaces the file at path by a JWK set with the keys of these, by renaming. */
void test_signers_write(const char *path, const struct test_signer *const *signers, size_t count);

/* Zeros beside signer and key: a JWT that says affirming of a TPM. */
struct test_result {
    const struct test_signer *signer;
    struct atls_bytes key;   /* SubjectPublicKeyInfo that is attested */
    struct atls_bytes nonce; /* empty: 32 zeros */
    int64_t issued_s;
    int64_t lifetime_s; /* 0: none */
    enum atls_ear_form form;
    const char *profile;
    enum atls_tier status;
    const char *technology, *submod; /* NULL: "tpm", "TPM" */
};
struct atls_buf test_token(const struct test_result *result);
/* A JWT over any claims set. */
struct atls_buf test_sign_json(const struct test_signer *signer, const char *json);
/* key as JSON text of base64url, for claims sets: NUL terminated. */
struct atls_buf test_key_text(struct atls_bytes key);
/* A record of this type; ind 0: none. */
struct atls_buf test_carried(const char *type, struct atls_bytes token, uint32_t ind);
/* test_token in a record of the type that fits. */
struct atls_buf test_carried_result(const struct test_result *result);

#endif
