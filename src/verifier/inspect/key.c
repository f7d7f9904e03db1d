#include <string.h>

#include "core/err.h"
#include "crypto/crypto.h"
#include "verifier/inspect/json.h"
#include "wire/jwk.h"

static const char *type_name(enum atls_key_type type)
{
    switch (type) {
    case ATLS_KEY_P256:
        return "EC P-256";
    case ATLS_KEY_P384:
        return "EC P-384";
    case ATLS_KEY_P521:
        return "EC P-521";
    case ATLS_KEY_ED25519:
        return "Ed25519";
    case ATLS_KEY_RSA:
        return "RSA";
    default:
        return "unknown";
    }
}

/* PEM "PUBLIC KEY". */
enum atls_code atls_view_public_key(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_key *k = NULL;
    uint8_t hash[ATLS_HASH_MAX];
    enum atls_code code = atls_key_from_pem(in, &k, v->err);

    if (code != ATLS_OK)
        return code;
    atls_json_open_object(v->j, key);
    atls_json_put_string(v->j, "type", type_name(atls_key_type(k)));
    atls_json_put_hex(v->j, "spki", atls_key_spki(k));
    if (atls_hash_one(ATLS_HASH_SHA256, atls_key_spki(k), hash, NULL) == ATLS_OK)
        atls_json_put_hex(v->j, "spki-sha256", atls_bytes_of(hash, 32));
    atls_json_close(v->j);
    atls_key_unref(k);
    return ATLS_OK;
}

static const char *curve_name(enum atls_cose_crv crv)
{
    switch (crv) {
    case ATLS_COSE_P256:
        return "P-256";
    case ATLS_COSE_P384:
        return "P-384";
    case ATLS_COSE_P521:
        return "P-521";
    default:
        return "Ed25519";
    }
}

static void put_jwk(struct atls_json *j, const char *key, const struct atls_jwk *jwk)
{
    const struct atls_cose_key *k = &jwk->key;

    atls_json_open_object(j, key);
    atls_json_put_string(j, "kty",
                         k->kty == ATLS_COSE_RSA   ? "RSA"
                         : k->kty == ATLS_COSE_OKP ? "OKP"
                                                   : "EC");
    if (k->kty == ATLS_COSE_RSA) {
        atls_json_put_hex(j, "n", k->n);
        atls_json_put_hex(j, "e", k->e);
    } else {
        atls_json_put_string(j, "crv", curve_name(k->crv));
        atls_json_put_hex(j, "x", k->x);
        atls_view_put_hex(j, "y", k->y);
    }
    if (jwk->kid[0] != '\0')
        atls_json_put_string(j, "kid", jwk->kid);
    if (jwk->alg[0] != '\0')
        atls_json_put_string(j, "alg", jwk->alg);
    atls_json_close(j);
}

static bool holds_a_secret(const struct atls_json_value *key)
{
    static const char *const names[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};
    struct atls_json_value value;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (atls_json_member(key, names[i], &value))
            return true;
    return false;
}

/* Secrets are not shown, in a key that is not known here neither. */
static bool is_public(const struct atls_json_value *root)
{
    struct atls_json_value keys, key;
    struct atls_json_walk walk;

    if (holds_a_secret(root))
        return false;
    if (!atls_json_member(root, "keys", &keys))
        return true;
    walk = atls_json_walk(&keys);
    while (atls_json_next(&walk, NULL, &key))
        if (holds_a_secret(&key))
            return false;
    return true;
}

/* One that nothing here can verify with: what for, and as it is written. */
static bool put_useless(struct atls_view *v, const char *key, struct atls_bytes in,
                        const struct atls_err *problem)
{
    struct atls_json_value root, value;

    if (atls_view_json_parse(in, &root, NULL) != ATLS_OK ||
        (!atls_json_member(&root, "kty", &value) && !atls_json_member(&root, "keys", &value)) ||
        !is_public(&root))
        return false;
    atls_json_open_object(v->j, key);
    atls_json_put_text(v->j, "problem", atls_bytes_of(problem->message, strlen(problem->message)));
    atls_view_put_json(v->j, "jwk", &root);
    atls_json_close(v->j);
    return true;
}

/* A JWK, or a set of them; binary members in hexadecimal as everywhere here. */
enum atls_code atls_view_jwk(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_jwks jwks;
    enum atls_code code = atls_jwk_decode(in, &jwks, &err);

    if (code == ATLS_E_UNSUPPORTED && put_useless(v, key, in, &err))
        return ATLS_OK;
    if (code != ATLS_OK) {
        if (v->err != NULL)
            *v->err = err;
        return code;
    }
    atls_json_open_object(v->j, key);
    atls_json_open_array(v->j, "keys");
    for (size_t i = 0; i < jwks.count; i++)
        put_jwk(v->j, NULL, &jwks.keys[i]);
    atls_json_close(v->j);
    atls_json_close(v->j);
    atls_jwks_clear(&jwks);
    return ATLS_OK;
}
