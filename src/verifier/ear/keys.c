#include "verifier/ear/keys.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base64.h"
#include "core/err.h"
#include "core/log.h"
#include "core/reader.h"
#include "wire/cose.h"
#include "wire/jwk.h"

struct entry {
    struct atls_key *key;
    char kid[ATLS_JWS_KID_MAX];                  /* "": none */
    const struct atls_signature_algorithm *only; /* NULL: any that its type allows */
};

struct atls_ear_keys {
    atomic_uint references;
    size_t count;
    struct entry entries[ATLS_JWK_KEYS_MAX];
};

static struct atls_ear_keys *new_keys(struct atls_err *err)
{
    struct atls_ear_keys *keys = calloc(1, sizeof *keys);

    if (keys == NULL)
        (void)atls_fail(err, ATLS_E_NOMEM, "keys: out of memory");
    else
        atomic_init(&keys->references, 1);
    return keys;
}

struct atls_ear_keys *atls_ear_keys_ref(struct atls_ear_keys *keys)
{
    atomic_fetch_add_explicit(&keys->references, 1, memory_order_relaxed);
    return keys;
}

void atls_ear_keys_unref(struct atls_ear_keys *keys)
{
    if (keys == NULL || atomic_fetch_sub_explicit(&keys->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < keys->count; i++)
        atls_key_unref(keys->entries[i].key);
    free(keys);
}

size_t atls_ear_keys_count(const struct atls_ear_keys *keys)
{
    return keys->count;
}

static enum atls_code add_jwk(struct atls_ear_keys *keys, const struct atls_jwk *jwk,
                              struct atls_err *err)
{
    struct entry *e = &keys->entries[keys->count];
    struct atls_writer spki = atls_writer_init(4096);
    enum atls_code code;

    if ((code = atls_cose_put_spki(&spki, &jwk->key, err)) == ATLS_OK)
        code = spki.failed != ATLS_OK ? atls_fail(err, ATLS_E_NOMEM, "keys: out of memory")
                                      : atls_key_from_spki(atls_writer_bytes(&spki), &e->key, err);
    atls_writer_clear(&spki);
    if (code != ATLS_OK)
        return code;
    snprintf(e->kid, sizeof e->kid, "%s", jwk->kid);
    if (jwk->alg[0] != '\0')
        e->only = atls_signature_by_jose(atls_bytes_of(jwk->alg, strlen(jwk->alg)));
    keys->count++;
    return ATLS_OK;
}

/* member NULL: a JWK or a set of them. */
static enum atls_code from_json(struct atls_bytes text, const char *member,
                                struct atls_ear_keys **out, struct atls_err *err)
{
    struct atls_ear_keys *keys;
    struct atls_jwks jwks;
    enum atls_code code;

    code = member == NULL ? atls_jwk_decode(text, &jwks, err)
                          : atls_jwk_decode_member(text, member, &jwks, err);
    if (code != ATLS_OK)
        return code;
    if ((keys = new_keys(err)) == NULL) {
        atls_jwks_clear(&jwks);
        return ATLS_E_NOMEM;
    }
    for (size_t i = 0; code == ATLS_OK && i < jwks.count; i++)
        code = add_jwk(keys, &jwks.keys[i], err);
    atls_jwks_clear(&jwks);
    if (code != ATLS_OK) {
        atls_ear_keys_unref(keys);
        return code;
    }
    *out = keys;
    return ATLS_OK;
}

/* Where the next block of PEM text starts, at or behind pos; text.len when there is none. */
static size_t next_block(struct atls_bytes text, size_t pos)
{
    static const char mark[] = "-----BEGIN ";

    for (; pos < text.len; pos++)
        if (text.len - pos >= sizeof mark - 1 && memcmp(text.ptr + pos, mark, sizeof mark - 1) == 0)
            break;
    return pos;
}

/* Every block counts: one that is no public key is an error, not a key the fewer. */
static enum atls_code from_pem(struct atls_bytes text, struct atls_ear_keys **out,
                               struct atls_err *err)
{
    struct atls_ear_keys *keys = new_keys(err);
    enum atls_code code = ATLS_OK;

    if (keys == NULL)
        return ATLS_E_NOMEM;
    for (size_t pos = next_block(text, 0), end; code == ATLS_OK && pos < text.len; pos = end) {
        end = next_block(text, pos + 1);
        if (keys->count == ATLS_JWK_KEYS_MAX)
            code = atls_fail(err, ATLS_E_LIMIT, "keys: more than %d", ATLS_JWK_KEYS_MAX);
        else if ((code = atls_key_from_pem(atls_bytes_of(text.ptr + pos, end - pos),
                                           &keys->entries[keys->count].key, err)) == ATLS_OK)
            keys->count++;
    }
    if (code == ATLS_OK && keys->count == 0)
        code = atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "keys: neither a JWK, a JWK set nor PEM text");
    if (code != ATLS_OK) {
        atls_ear_keys_unref(keys);
        return code;
    }
    *out = keys;
    return ATLS_OK;
}

enum atls_code atls_ear_keys_parse(struct atls_bytes text, struct atls_ear_keys **out,
                                   struct atls_err *err)
{
    if (text.len > ATLS_JWK_SET_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "keys: %zu bytes, want at most %d", text.len,
                         ATLS_JWK_SET_MAX);
    for (size_t i = 0; i < text.len; i++)
        if (memchr(" \t\r\n", text.ptr[i], 4) == NULL)
            return text.ptr[i] == '{' ? from_json(text, NULL, out, err) : from_pem(text, out, err);
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "keys: nothing is there");
}

enum atls_code atls_ear_keys_from_discovery(struct atls_bytes text, struct atls_ear_keys **out,
                                            struct atls_err *err)
{
    return from_json(text, "ear-verification-key", out, err);
}

enum atls_code atls_ear_keys_from_key(const struct atls_key *key, const char *kid,
                                      struct atls_ear_keys **out, struct atls_err *err)
{
    struct atls_ear_keys *keys;
    enum atls_code code;

    if (kid != NULL && strlen(kid) >= ATLS_JWS_KID_MAX)
        return atls_fail(err, ATLS_E_USAGE, "keys: kid of %zu bytes, want at most %d", strlen(kid),
                         ATLS_JWS_KID_MAX - 1);
    if ((keys = new_keys(err)) == NULL)
        return ATLS_E_NOMEM;
    code = atls_key_from_spki(atls_key_spki(key), &keys->entries[0].key, err);
    if (code != ATLS_OK) {
        atls_ear_keys_unref(keys);
        return code;
    }
    keys->count = 1;
    if (kid != NULL)
        snprintf(keys->entries[0].kid, sizeof keys->entries[0].kid, "%s", kid);
    *out = keys;
    return ATLS_OK;
}

/* RFC 9864: names of COSE that fix the curve, and the older ones that mean the same with the key of
 * that curve. */
static int64_t without_curve(int64_t cose_alg)
{
    static const int64_t pairs[][2] = {{-9, -7}, {-51, -35}, {-52, -36}, {-19, -8}};

    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (pairs[i][0] == cose_alg)
            return pairs[i][1];
    return cose_alg;
}

/* The algorithm of the token if it is one for this key; RSASSA-PKCS1-v1_5 is none for tokens. */
static const struct atls_signature_algorithm *algorithm_for(const struct atls_ear_signature *s,
                                                            const struct entry *e)
{
    enum atls_key_type type = atls_key_type(e->key);
    const struct atls_signature_algorithm *row =
        s->jose_alg.ptr != NULL ? atls_signature_by_jose(s->jose_alg)
                                : atls_signature_by_cose(without_curve(s->cose_alg), type);

    if (row == NULL || row->key_type != type || !row->certificate_verify)
        return NULL;
    return e->only == NULL || e->only == row ? row : NULL;
}

static bool has_kid(const struct atls_ear_keys *keys, struct atls_bytes kid)
{
    for (size_t i = 0; i < keys->count; i++)
        if (atls_bytes_equal_text(kid, keys->entries[i].kid))
            return true;
    return false;
}

static enum atls_code fail_algorithm(const struct atls_ear_signature *s, struct atls_err *err)
{
    char shown[ATLS_JWS_ALG_MAX * 4 + 1];

    if (s->jose_alg.ptr == NULL)
        snprintf(shown, sizeof shown, "%lld", (long long)s->cose_alg);
    else
        atls_escape(s->jose_alg, shown, sizeof shown);
    return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_SIGNATURE,
                            "EAR: alg \"%s\" is not one for the configured key", shown);
}

enum atls_code atls_ear_keys_verify(const struct atls_ear_keys *keys,
                                    const struct atls_ear_signature *s, struct atls_err *err)
{
    bool by_kid = s->kid.len != 0 && has_kid(keys, s->kid);
    enum atls_code code = ATLS_E_INTERNAL;
    size_t selected = 0, tried = 0;
    char shown[ATLS_JWS_KID_MAX];

    for (size_t i = 0; i < keys->count; i++) {
        const struct entry *e = &keys->entries[i];
        const struct atls_signature_algorithm *row;

        if (by_kid ? !atls_bytes_equal_text(s->kid, e->kid) : s->kid.len != 0 && e->kid[0] != '\0')
            continue;
        selected++;
        if ((row = algorithm_for(s, e)) == NULL)
            continue;
        tried++;
        code = atls_key_verify_raw(e->key, row->scheme, s->signed_bytes, s->signature, err);
        if (code == ATLS_OK)
            return code;
    }
    if (selected == 0)
        return atls_fail_reason(err, ATLS_E_VERIFY, ATLS_REASON_KID_MISMATCH,
                                "EAR: kid \"%s\" is that of no configured key",
                                atls_escape(s->kid, shown, sizeof shown));
    return tried == 0 ? fail_algorithm(s, err) : code;
}

/* The algorithms of a type that sign with it: one alone, or NULL. */
static const char *only_algorithm(const struct atls_key *key)
{
    static const struct {
        enum atls_key_type type;
        const char *alg;
    } rows[] = {
        {ATLS_KEY_P256, "ES256"},
        {ATLS_KEY_P384, "ES384"},
        {ATLS_KEY_P521, "ES512"},
        {ATLS_KEY_ED25519, "EdDSA"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].type == atls_key_type(key))
            return rows[i].alg;
    return NULL;
}

enum atls_code atls_ear_jwk_encode(const struct atls_key *key, const char *kid,
                                   struct atls_buf *out, struct atls_err *err)
{
    struct atls_json j = atls_json_init(ATLS_JWK_SET_MAX);
    const char *alg = only_algorithm(key);
    struct atls_cose_key cose;
    enum atls_code code;

    atls_json_open_object(&j, NULL);
    if ((code = atls_cose_key_from_spki(atls_key_spki(key), &cose, err)) != ATLS_OK ||
        (code = atls_jwk_put_members(&j, &cose, err)) != ATLS_OK) {
        atls_json_clear(&j);
        return code;
    }
    atls_json_put_string(&j, "use", "sig");
    if (alg != NULL)
        atls_json_put_string(&j, "alg", alg);
    if (kid != NULL)
        atls_json_put_string(&j, "kid", kid);
    atls_json_close(&j);
    return atls_json_finish(&j, out, err);
}

enum atls_code atls_ear_thumbprint(const struct atls_key *key, char out[static ATLS_THUMBPRINT_LEN],
                                   struct atls_err *err)
{
    struct atls_json j = atls_json_init(ATLS_JWK_SET_MAX);
    struct atls_writer w = atls_writer_init(ATLS_THUMBPRINT_LEN);
    struct atls_buf text = ATLS_BUF_INIT;
    struct atls_cose_key cose;
    uint8_t hash[ATLS_HASH_MAX];
    enum atls_code code;

    atls_json_open_object(&j, NULL);
    if ((code = atls_cose_key_from_spki(atls_key_spki(key), &cose, err)) != ATLS_OK ||
        (code = atls_jwk_put_members(&j, &cose, err)) != ATLS_OK) {
        atls_json_clear(&j);
        return code;
    }
    atls_json_close(&j);
    if ((code = atls_json_finish(&j, &text, err)) == ATLS_OK)
        code = atls_hash_one(ATLS_HASH_SHA256, atls_buf_bytes(&text), hash, err);
    atls_buf_clear(&text);
    if (code != ATLS_OK)
        return code;
    atls_base64url_put(&w, atls_bytes_of(hash, 32));
    if (w.failed == ATLS_OK)
        snprintf(out, ATLS_THUMBPRINT_LEN, "%.*s", (int)w.len, (const char *)w.ptr);
    else
        code = atls_fail(err, ATLS_E_NOMEM, "keys: out of memory");
    atls_writer_clear(&w);
    return code;
}
