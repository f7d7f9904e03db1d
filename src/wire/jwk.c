#include "wire/jwk.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "core/base64.h"
#include "core/err.h"
#include "core/log.h"
#include "core/reader.h"

/* RSA of 2048 to 16384 bits; exponents fit 64 bits. */
#define MODULUS_MIN  256
#define MODULUS_MAX  2048
#define EXPONENT_MAX 8

/* RFC 7518 section 6, RFC 8037 section 2. */
static const struct kind {
    const char *kty, *crv; /* crv NULL: RSA */
    enum atls_cose_kty cose_kty;
    enum atls_cose_crv cose_crv;
    size_t field;
    const char *algorithms[4]; /* that sign with it */
} kinds[] = {
    {"EC", "P-256", ATLS_COSE_EC2, ATLS_COSE_P256, 32, {"ES256"}},
    {"EC", "P-384", ATLS_COSE_EC2, ATLS_COSE_P384, 48, {"ES384"}},
    {"EC", "P-521", ATLS_COSE_EC2, ATLS_COSE_P521, 66, {"ES512"}},
    {"OKP", "Ed25519", ATLS_COSE_OKP, ATLS_COSE_ED25519, 32, {"EdDSA"}},
    {"RSA", NULL, ATLS_COSE_RSA, (enum atls_cose_crv)0, 0, {"PS256", "PS384", "PS512"}},
};

/* Private in one type of key or another (RFC 7518 sections 6.2.2, 6.3.2, 6.4.1). */
static const char *const private_members[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};

static enum atls_code malformed(struct atls_err *err, const char *member, const char *rule)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "JWK \"%s\": %s", member,
                            rule);
}

static struct atls_bytes string_bytes(const json_t *text)
{
    return atls_bytes_of(json_string_value(text), json_string_length(text));
}

static enum atls_code unsupported(struct atls_err *err, const char *member, const json_t *value)
{
    char shown[64];

    return atls_fail(err, ATLS_E_UNSUPPORTED, "JWK \"%s\": \"%s\" is none that we verify with",
                     member, atls_escape(string_bytes(value), shown, sizeof shown));
}

static enum atls_code copy_text(const json_t *jwk, const char *member, char *out, size_t size,
                                struct atls_err *err)
{
    const json_t *value = json_object_get(jwk, member);

    if (value == NULL)
        return ATLS_OK;
    if (!json_is_string(value) || json_string_length(value) == 0 ||
        json_string_length(value) >= size)
        return malformed(err, member, "is no text, empty or too long");
    snprintf(out, size, "%s", json_string_value(value));
    return ATLS_OK;
}

static enum atls_code get_octets(const json_t *jwk, const char *member, struct atls_arena *arena,
                                 struct atls_bytes *out, struct atls_err *err)
{
    const json_t *value = json_object_get(jwk, member);
    struct atls_writer w = atls_writer_init(MODULUS_MAX);
    enum atls_code code = ATLS_OK;

    if (!json_is_string(value) || json_string_length(value) == 0)
        return malformed(err, member, "is absent or no text");
    if (!atls_base64url_get(string_bytes(value), &w))
        code = malformed(err, member, "is no base64url without padding");
    else if (w.failed == ATLS_E_LIMIT)
        code = malformed(err, member, "is too long");
    else if (w.failed != ATLS_OK || !atls_arena_copy(arena, atls_writer_bytes(&w), out))
        code = atls_fail(err, ATLS_E_NOMEM, "JWK: out of memory");
    atls_writer_clear(&w);
    return code;
}

static enum atls_code get_coordinate(const json_t *jwk, const char *member, size_t field,
                                     struct atls_arena *arena, struct atls_bytes *out,
                                     struct atls_err *err)
{
    enum atls_code code = get_octets(jwk, member, arena, out, err);

    if (code == ATLS_OK && out->len != field)
        return malformed(err, member, "is not as long as the field of the curve");
    return code;
}

static enum atls_code read_rsa(const json_t *jwk, struct atls_arena *arena,
                               struct atls_cose_key *key, struct atls_err *err)
{
    enum atls_code code;

    if ((code = get_octets(jwk, "n", arena, &key->n, err)) != ATLS_OK ||
        (code = get_octets(jwk, "e", arena, &key->e, err)) != ATLS_OK)
        return code;
    if (key->n.len < MODULUS_MIN || key->n.ptr[0] == 0)
        return malformed(err, "n", "is shorter than 2048 bits, or starts with a zero byte");
    if (key->e.len > EXPONENT_MAX || key->e.ptr[0] == 0)
        return malformed(err, "e", "is longer than 64 bits, or starts with a zero byte");
    return ATLS_OK;
}

static enum atls_code find_kind(const json_t *jwk, const struct kind **out, struct atls_err *err)
{
    const json_t *kty = json_object_get(jwk, "kty"), *crv = json_object_get(jwk, "crv");
    bool is_known = false;

    if (!json_is_string(kty))
        return malformed(err, "kty", "is absent or no text");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (!atls_bytes_equal_text(string_bytes(kty), kinds[i].kty))
            continue;
        is_known = true;
        if (kinds[i].crv == NULL ||
            (json_is_string(crv) && atls_bytes_equal_text(string_bytes(crv), kinds[i].crv))) {
            *out = &kinds[i];
            return ATLS_OK;
        }
    }
    if (!is_known)
        return unsupported(err, "kty", kty);
    return json_is_string(crv) ? unsupported(err, "crv", crv)
                               : malformed(err, "crv", "is absent or no text");
}

/* RFC 7517 sections 4.2 and 4.3: what the key is for must include verifying. */
static enum atls_code check_use(const json_t *jwk, struct atls_err *err)
{
    const json_t *use = json_object_get(jwk, "use"), *ops = json_object_get(jwk, "key_ops");
    bool verifies = ops == NULL;

    if (use != NULL && !json_is_string(use))
        return malformed(err, "use", "is no text");
    if (use != NULL && !atls_bytes_equal_text(string_bytes(use), "sig"))
        return unsupported(err, "use", use);
    if (ops != NULL && !json_is_array(ops))
        return malformed(err, "key_ops", "is no array");
    for (size_t i = 0; i < json_array_size(ops); i++) {
        const json_t *op = json_array_get(ops, i);

        verifies |= json_is_string(op) && atls_bytes_equal_text(string_bytes(op), "verify");
    }
    return verifies ? ATLS_OK
                    : atls_fail(err, ATLS_E_UNSUPPORTED, "JWK \"key_ops\": has no \"verify\"");
}

static enum atls_code check_algorithm(const json_t *jwk, const struct kind *kind, const char *alg,
                                      struct atls_err *err)
{
    if (alg[0] == '\0')
        return ATLS_OK;
    for (size_t i = 0; i < 4 && kind->algorithms[i] != NULL; i++)
        if (strcmp(alg, kind->algorithms[i]) == 0)
            return ATLS_OK;
    return unsupported(err, "alg", json_object_get(jwk, "alg"));
}

static enum atls_code read_jwk(const json_t *jwk, struct atls_arena *arena, struct atls_jwk *out,
                               struct atls_err *err)
{
    struct atls_cose_key *key = &out->key;
    const struct kind *kind = NULL;
    enum atls_code code;

    if (!json_is_object(jwk))
        return malformed(err, "keys", "has an entry that is no object");
    for (size_t i = 0; i < sizeof private_members / sizeof private_members[0]; i++)
        if (json_object_get(jwk, private_members[i]) != NULL)
            return malformed(err, private_members[i], "is private, want a public key");
    if ((code = find_kind(jwk, &kind, err)) != ATLS_OK ||
        (code = copy_text(jwk, "kid", out->kid, sizeof out->kid, err)) != ATLS_OK ||
        (code = copy_text(jwk, "alg", out->alg, sizeof out->alg, err)) != ATLS_OK ||
        (code = check_use(jwk, err)) != ATLS_OK ||
        (code = check_algorithm(jwk, kind, out->alg, err)) != ATLS_OK)
        return code;
    key->kty = kind->cose_kty;
    key->crv = kind->cose_crv;
    if (kind->cose_kty == ATLS_COSE_RSA)
        return read_rsa(jwk, arena, key, err);
    code = get_coordinate(jwk, "x", kind->field, arena, &key->x, err);
    if (code != ATLS_OK || kind->cose_kty == ATLS_COSE_OKP)
        return code;
    return get_coordinate(jwk, "y", kind->field, arena, &key->y, err);
}

/* RFC 7517 section 4.5: kids tell the keys of a set apart. */
static enum atls_code check_kids(const struct atls_jwks *jwks, struct atls_err *err)
{
    for (size_t i = 0; i < jwks->count; i++)
        for (size_t k = 0; k < i; k++)
            if (jwks->keys[i].kid[0] != '\0' && strcmp(jwks->keys[i].kid, jwks->keys[k].kid) == 0)
                return malformed(err, "kid", "is that of two keys");
    return ATLS_OK;
}

static enum atls_code read_keys(const json_t *root, struct atls_jwks *jwks, struct atls_err *err)
{
    const json_t *keys = json_object_get(root, "keys");
    size_t count = keys == NULL ? 1 : json_array_size(keys);
    enum atls_code code;

    if (count == 0)
        return malformed(err, "keys", "is no array of at least one");
    if (count > ATLS_JWK_KEYS_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "JWK \"keys\": %zu keys, want at most %d", count,
                         ATLS_JWK_KEYS_MAX);
    jwks->keys = atls_arena_alloc(&jwks->arena, count, sizeof *jwks->keys);
    if (jwks->keys == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "JWK: out of memory");
    for (; jwks->count < count; jwks->count++) {
        code = read_jwk(keys == NULL ? root : json_array_get(keys, jwks->count), &jwks->arena,
                        &jwks->keys[jwks->count], err);
        if (code != ATLS_OK)
            return code;
    }
    return check_kids(jwks, err);
}

static enum atls_code decode(struct atls_bytes in, const char *member, struct atls_jwks *out,
                             struct atls_err *err)
{
    struct atls_jwks jwks = {.arena = atls_arena_init(2 * ATLS_JWK_SET_MAX)};
    const json_t *value;
    enum atls_code code;
    json_t *root;

    if (in.len == 0 || in.len > ATLS_JWK_SET_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "JWK: %zu bytes, want 1..%d", in.len, ATLS_JWK_SET_MAX);
    root = json_loadb((const char *)in.ptr, in.len, JSON_REJECT_DUPLICATES, NULL);
    value = member == NULL ? root : json_object_get(root, member);
    if (!json_is_object(root))
        code = atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "JWK: no JSON object with unique members");
    else if (value == NULL)
        code = atls_fail(err, ATLS_E_NOT_FOUND, "JWK: there is no member \"%s\"", member);
    else
        code = read_keys(value, &jwks, err);
    json_decref(root);
    if (code == ATLS_OK)
        *out = jwks;
    else
        atls_jwks_clear(&jwks);
    return code;
}

enum atls_code atls_jwk_decode(struct atls_bytes json, struct atls_jwks *out, struct atls_err *err)
{
    return decode(json, NULL, out, err);
}

enum atls_code atls_jwk_decode_member(struct atls_bytes json, const char *name,
                                      struct atls_jwks *out, struct atls_err *err)
{
    return decode(json, name, out, err);
}

void atls_jwks_clear(struct atls_jwks *jwks)
{
    atls_arena_clear(&jwks->arena);
    memset(jwks, 0, sizeof *jwks);
}

enum atls_code atls_jwk_put_members(struct atls_json *j, const struct atls_cose_key *key,
                                    struct atls_err *err)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (kinds[i].cose_kty != key->kty ||
            (key->kty != ATLS_COSE_RSA && kinds[i].cose_crv != key->crv))
            continue;
        if (key->kty == ATLS_COSE_EC2 && key->y.ptr == NULL)
            break;
        if (key->kty == ATLS_COSE_RSA)
            atls_json_put_base64url(j, "e", key->e);
        else
            atls_json_put_string(j, "crv", kinds[i].crv);
        atls_json_put_string(j, "kty", kinds[i].kty);
        if (key->kty == ATLS_COSE_RSA)
            atls_json_put_base64url(j, "n", key->n);
        else
            atls_json_put_base64url(j, "x", key->x);
        if (key->kty == ATLS_COSE_EC2)
            atls_json_put_base64url(j, "y", key->y);
        return ATLS_OK;
    }
    return atls_fail(err, ATLS_E_UNSUPPORTED, "JWK: a compressed point, or another type of key");
}
