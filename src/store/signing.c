/* The keys that sign results: made, kept, published. */
#include <string.h>

#include "core/base64.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/json_writer.h"
#include "core/log.h"
#include "core/secret.h"
#include "store/db.h"
#include "wire/jwk.h"

/* As many as a reader of JWK sets takes. */
#define SIGNING_KEYS_MAX ATLS_JWK_KEYS_MAX
#define JWKS_MAX         ((size_t)ATLS_JWK_SET_MAX)

/* ---- JWK (RFC 7517, RFC 7518 section 6.2, RFC 8037) ---- */

/* Members that make the key, in the order that RFC 7638 hashes them. */
static enum atls_code put_jwk_members(struct atls_json *j, const struct atls_key *key,
                                      struct atls_err *err)
{
    enum atls_key_type type = atls_key_type(key);
    struct atls_cose_key members;

    if ((type != ATLS_KEY_P256 && type != ATLS_KEY_P384 && type != ATLS_KEY_ED25519) ||
        atls_cose_key_from_spki(atls_key_spki(key), &members, err) != ATLS_OK)
        return atls_fail(err, ATLS_E_UNSUPPORTED,
                         "signing key: want P-256, P-384 (both coordinates) or Ed25519");
    return atls_jwk_put_members(j, &members, err);
}

static enum atls_code thumbprint(const struct atls_key *key, char kid[ATLS_KID_TEXT],
                                 struct atls_err *err)
{
    struct atls_json j = atls_json_init(4096);
    struct atls_writer w = atls_writer_init(ATLS_KID_TEXT);
    struct atls_buf text = ATLS_BUF_INIT;
    uint8_t digest[ATLS_HASH_MAX];
    enum atls_code code;

    atls_json_open_object(&j, NULL);
    if ((code = put_jwk_members(&j, key, err)) != ATLS_OK) {
        atls_json_clear(&j);
        return code;
    }
    atls_json_close(&j);
    if ((code = atls_json_finish(&j, &text, err)) != ATLS_OK)
        return code;
    code = atls_hash_one(ATLS_HASH_SHA256, atls_buf_bytes(&text), digest, err);
    atls_buf_clear(&text);
    if (code != ATLS_OK)
        return code;
    atls_base64url_put(&w, atls_bytes_of(digest, atls_hash_len(ATLS_HASH_SHA256)));
    atls_put_u8(&w, 0);
    if (w.failed != ATLS_OK)
        return atls_fail(err, w.failed, "signing key: out of memory");
    memcpy(kid, w.ptr, w.len);
    atls_writer_clear(&w);
    return ATLS_OK;
}

/* ---- what is on file ---- */

/* Looks for the key that signs at a time, as choose_signing_key of lookup.c does. */
struct current {
    int64_t time_s, use_from_s;
    size_t count;
    char kid[ATLS_KID_TEXT]; /* "" while there is none */
};

static enum atls_code see_key(void *arg, const struct store_query *q, struct atls_err *err)
{
    struct current *current = arg;
    struct atls_bytes kid = store_column(q, 1);
    int64_t use_from_s = store_column_int(q, 2);

    if (kid.len >= ATLS_KID_TEXT)
        return atls_fail(err, ATLS_E_IO, "store: a signing key with a KID of %zu bytes", kid.len);
    current->count++;
    if (use_from_s > current->time_s ||
        (current->kid[0] != '\0' && use_from_s < current->use_from_s))
        return ATLS_OK;
    current->use_from_s = use_from_s;
    memcpy(current->kid, kid.ptr, kid.len);
    current->kid[kid.len] = '\0';
    return ATLS_OK;
}

static enum atls_code is_on_file(struct store_connection *c, const char *kid, bool *out,
                                 struct atls_err *err)
{
    struct store_query q = store_query(c, SQL_SIGNING_KEY_FIND);

    store_bind_text(&q, 1, atls_bytes_of(kid, strlen(kid)));
    return store_run(&q, out, err);
}

static enum atls_code put_row(struct store_connection *c, const struct atls_private_key *key,
                              const char *kid, int64_t use_from_s, struct atls_err *err)
{
    struct store_query q = store_query(c, SQL_SIGNING_KEY_PUT);
    struct atls_buf pem = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = atls_private_key_to_pem(key, &pem, err)) != ATLS_OK)
        return code;
    store_bind_text(&q, 1, atls_bytes_of(kid, strlen(kid)));
    store_bind_int(&q, 2, use_from_s);
    store_bind_bytes(&q, 3, atls_buf_bytes(&pem));
    code = store_run(&q, NULL, err);
    atls_buf_clear(&pem);
    return code;
}

static enum atls_code put_key(struct store_connection *c, const struct atls_private_key *key,
                              int64_t use_from_s, char kid[ATLS_KID_TEXT], struct atls_err *err)
{
    struct current current = {.time_s = INT64_MAX};
    enum atls_code code;
    bool there;

    if ((code = thumbprint(atls_private_key_public(key), kid, err)) != ATLS_OK ||
        (code = is_on_file(c, kid, &there, err)) != ATLS_OK || there)
        return code;
    if ((code = c->store->backend->may_hold_secrets(c, err)) != ATLS_OK ||
        (code = store_each(c, SQL_SIGNING_KEY_LIST, see_key, &current, err)) != ATLS_OK)
        return code;
    if (current.count >= SIGNING_KEYS_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "signing key: %d are on file: remove old ones",
                         SIGNING_KEYS_MAX);
    return put_row(c, key, kid, use_from_s, err);
}

enum atls_code store_put_signing_key(struct store_connection *c, struct atls_bytes private_key_pem,
                                     int64_t use_from_s, char kid[ATLS_KID_TEXT],
                                     struct atls_err *err)
{
    struct atls_private_key *key;
    enum atls_code code;

    if ((code = atls_private_key_from_pem(private_key_pem, &key, err)) != ATLS_OK)
        return code;
    code = put_key(c, key, use_from_s, kid, err);
    atls_private_key_free(key);
    return code;
}

enum atls_code store_remove_signing_key(struct store_connection *c, const char *kid,
                                        struct atls_err *err)
{
    struct current current = {.time_s = atls_clock_wall_s(NULL)};
    struct store_query q = store_query(c, SQL_SIGNING_KEY_DELETE);
    char escaped[ATLS_KID_TEXT];
    enum atls_code code;
    bool row;

    if ((code = store_each(c, SQL_SIGNING_KEY_LIST, see_key, &current, err)) != ATLS_OK)
        return code;
    if (strcmp(kid, current.kid) == 0 && kid[0] != '\0')
        return atls_fail(err, ATLS_E_CONFIG,
                         "store: signing-key:%s is the one that signs now: make another first",
                         kid);
    store_bind_text(&q, 1, atls_bytes_of(kid, strlen(kid)));
    if ((code = store_run(&q, &row, err)) != ATLS_OK)
        return code;
    return row ? ATLS_OK
               : atls_fail(err, ATLS_E_NOT_FOUND, "store: there is no signing-key:%s",
                           atls_escape(atls_bytes_of(kid, strlen(kid)), escaped, sizeof escaped));
}

enum atls_code store_check_secrets(struct store_connection *c, struct atls_err *err)
{
    struct current current = {.time_s = 0};
    enum atls_code code;

    if ((code = store_each(c, SQL_SIGNING_KEY_LIST, see_key, &current, err)) != ATLS_OK)
        return code;
    return current.count == 0 ? ATLS_OK : c->store->backend->may_hold_secrets(c, err);
}

/* ---- for the caller ---- */

static enum atls_code add_key(struct atls_store *s, const struct atls_private_key *key,
                              int64_t use_from_s, char *out_kid, struct atls_err *err)
{
    struct store_connection *c;
    char kid[ATLS_KID_TEXT];
    enum atls_code code;

    if ((code = store_begin(s, STORE_ACCESS_WRITE, &c, err)) != ATLS_OK)
        return code;
    code = store_finish(c, STORE_ACCESS_WRITE, put_key(c, key, use_from_s, kid, err), err);
    if (code == ATLS_OK)
        memcpy(out_kid, kid, sizeof kid);
    return code;
}

enum atls_code atls_store_new_signing_key(struct atls_store *s, enum atls_key_type type,
                                          int64_t use_from_s, char *out_kid, struct atls_err *err)
{
    struct atls_private_key *key;
    enum atls_code code;

    if (type != ATLS_KEY_P256 && type != ATLS_KEY_P384 && type != ATLS_KEY_ED25519)
        return atls_fail(err, ATLS_E_USAGE, "signing key: want P-256, P-384 or Ed25519");
    if ((code = atls_private_key_generate(type, &key, err)) != ATLS_OK)
        return code;
    code = add_key(s, key, use_from_s, out_kid, err);
    atls_private_key_free(key);
    return code;
}

enum atls_code atls_store_add_signing_key(struct atls_store *s, struct atls_bytes private_key_pem,
                                          int64_t use_from_s, char *out_kid, struct atls_err *err)
{
    struct atls_private_key *key;
    enum atls_code code;

    if ((code = atls_private_key_from_pem(private_key_pem, &key, err)) != ATLS_OK)
        return code;
    code = add_key(s, key, use_from_s, out_kid, err);
    atls_private_key_free(key);
    return code;
}

/* The key that signs comes first, then all others: two passes over the list. */
struct jwks {
    struct atls_json j;
    struct current current;
    bool others;
};

static enum atls_code put_jwk(void *arg, const struct store_query *q, struct atls_err *err)
{
    struct jwks *jwks = arg;
    struct atls_bytes kid = store_column(q, 1);
    const struct atls_signature_algorithm *algorithm;
    struct atls_private_key *key;
    enum atls_code code;
    bool signs =
        kid.len == strlen(jwks->current.kid) && memcmp(kid.ptr, jwks->current.kid, kid.len) == 0;

    if (signs == jwks->others)
        return ATLS_OK;
    if ((code = atls_private_key_from_pem(store_column(q, 3), &key, err)) != ATLS_OK)
        return code;
    algorithm = atls_signature_find(atls_private_key_scheme(key));
    if (algorithm == NULL || algorithm->jose_alg == NULL) {
        code = atls_fail(err, ATLS_E_UNSUPPORTED, "store: a signing key that JOSE has no name for");
    } else {
        atls_json_open_object(&jwks->j, NULL);
        code = put_jwk_members(&jwks->j, atls_private_key_public(key), err);
        atls_json_put_string(&jwks->j, "use", "sig");
        atls_json_put_string(&jwks->j, "alg", algorithm->jose_alg);
        atls_json_put_text(&jwks->j, "kid", kid);
        atls_json_close(&jwks->j);
    }
    atls_private_key_free(key);
    return code;
}

static enum atls_code put_jwks(struct store_connection *c, struct jwks *jwks, struct atls_err *err)
{
    enum atls_code code;

    if ((code = store_each(c, SQL_SIGNING_KEY_LIST, see_key, &jwks->current, err)) != ATLS_OK ||
        (code = store_each(c, SQL_SIGNING_KEY_LIST, put_jwk, jwks, err)) != ATLS_OK)
        return code;
    jwks->others = true;
    return store_each(c, SQL_SIGNING_KEY_LIST, put_jwk, jwks, err);
}

enum atls_code atls_store_signing_keys_jwks(struct atls_store *s, int64_t time_s,
                                            struct atls_buf *out, struct atls_err *err)
{
    struct jwks jwks = {.j = atls_json_init(JWKS_MAX), .current = {.time_s = time_s}};
    struct store_connection *c;
    enum atls_code code;

    atls_json_open_object(&jwks.j, NULL);
    atls_json_open_array(&jwks.j, "keys");
    if ((code = store_begin(s, STORE_ACCESS_READ, &c, err)) == ATLS_OK)
        code = store_finish(c, STORE_ACCESS_READ, put_jwks(c, &jwks, err), err);
    atls_json_close(&jwks.j);
    atls_json_close(&jwks.j);
    if (code != ATLS_OK) {
        atls_json_clear(&jwks.j);
        return code;
    }
    return atls_json_finish(&jwks.j, out, err);
}
