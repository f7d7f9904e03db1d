/* JWKs and sets of them: what decodes is complete, public, and can be written and read again. */
#include "wire/jwk.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_key(const struct atls_jwk *jwk)
{
    struct atls_json j = atls_json_init(ATLS_JWK_SET_MAX);
    struct atls_buf text = ATLS_BUF_INIT;
    struct atls_jwks again;

    atls_json_open_object(&j, NULL);
    if (atls_jwk_put_members(&j, &jwk->key, NULL) != ATLS_OK)
        abort();
    atls_json_close(&j);
    if (atls_json_finish(&j, &text, NULL) != ATLS_OK ||
        atls_jwk_decode(atls_buf_bytes(&text), &again, NULL) != ATLS_OK)
        abort();
    if (again.keys[0].key.kty != jwk->key.kty || again.keys[0].key.x.len != jwk->key.x.len ||
        again.keys[0].key.n.len != jwk->key.n.len)
        abort();
    atls_jwks_clear(&again);
    atls_buf_clear(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct atls_bytes in = atls_bytes_of(data, size);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_jwks jwks;

    if (atls_jwk_decode_member(in, "ear-verification-key", &jwks, NULL) == ATLS_OK)
        atls_jwks_clear(&jwks);
    if (atls_jwk_decode(in, &jwks, &err) != ATLS_OK) {
        if (err.code == ATLS_OK || err.message[0] == '\0')
            abort();
        return 0;
    }
    if (jwks.count == 0 || jwks.count > ATLS_JWK_KEYS_MAX)
        abort();
    for (size_t i = 0; i < jwks.count; i++)
        check_key(&jwks.keys[i]);
    atls_jwks_clear(&jwks);
    return 0;
}
