/* Keys that sign results: made, published, changed over, kept secret. */
#include <sys/stat.h>

#include "place.h"

#include "core/reader.h"

/* A time in the past of every clock, so that keys sign at once. */
#define FROM 1000

/* RFC 8037, appendix A.1 to A.3: a key, and its thumbprint. */
static const char rfc8037_pem[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
    "-----END PRIVATE KEY-----\n";
static const char rfc8037_kid[] = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";

static struct atls_bytes bytes(const char *text)
{
    return atls_bytes_of(text, strlen(text));
}

static void add_one(struct atls_store *s, enum atls_key_type type, int64_t from_s,
                    char kid[ATLS_KID_TEXT])
{
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_store_new_signing_key(s, type, from_s, kid, &err), ATLS_OK, &err);
}

static void assert_signs(struct atls_store *s, int64_t time_s, const char *kid)
{
    struct store_signing_key key;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_store_signing_key(s, time_s, &key, &err), ATLS_OK, &err);
    assert_string_equal(key.kid, kid);
    assert_non_null(key.key);
    atls_private_key_free(key.key);
}

static void a_published_thumbprint(void **state)
{
    struct place *p = *state;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf jwks = ATLS_BUF_INIT;
    char kid[ATLS_KID_TEXT] = "";

    test_assert_code(atls_store_add_signing_key(p->store, bytes(rfc8037_pem), FROM, kid, &err),
                     ATLS_OK, &err);
    assert_string_equal(kid, rfc8037_kid);
    /* Again: no error, no second one. */
    test_assert_code(atls_store_add_signing_key(p->store, bytes(rfc8037_pem), FROM, kid, &err),
                     ATLS_OK, &err);
    test_assert_code(atls_store_signing_keys_jwks(p->store, FROM, &jwks, &err), ATLS_OK, &err);
    assert_string_equal((const char *)jwks.ptr,
                        "{\"keys\":[{\"crv\":\"Ed25519\",\"kty\":\"OKP\","
                        "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\",\"use\":\"sig\","
                        "\"alg\":\"EdDSA\",\"kid\":\"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k\"}"
                        "]}");
    assert_int_equal(jwks.len, strlen((const char *)jwks.ptr));
    atls_buf_clear(&jwks);
}

static void keys_take_over_from_each_other(void **state)
{
    struct place *p = *state;
    struct store_signing_key key;
    struct atls_err err = ATLS_ERR_INIT;
    char first[ATLS_KID_TEXT], second[ATLS_KID_TEXT], third[ATLS_KID_TEXT], what[96];

    test_assert_code(atls_store_signing_key(p->store, FROM, &key, &err), ATLS_E_NOT_FOUND, &err);
    assert_non_null(strstr(err.message, "no signing key"));
    add_one(p->store, ATLS_KEY_P256, FROM, first);
    test_assert_code(atls_store_signing_key(p->store, FROM - 1, &key, &err), ATLS_E_NOT_FOUND,
                     &err);
    assert_non_null(strstr(err.message, "not yet time"));
    assert_signs(p->store, FROM, first);
    add_one(p->store, ATLS_KEY_P384, FROM + 100, second);
    add_one(p->store, ATLS_KEY_ED25519, FROM + 100, third);
    assert_signs(p->store, FROM + 99, first);
    assert_signs(p->store, FROM + 100, third);
    assert_signs(p->store, FROM + 100, third); /* now from memory */
    snprintf(what, sizeof what, "signing-key:%s", third);
    test_assert_code(atls_store_remove(p->store, what, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "signs now"));
    snprintf(what, sizeof what, "signing-key:%s", first);
    test_assert_code(atls_store_remove(p->store, what, &err), ATLS_OK, &err);
    test_assert_code(atls_store_remove(p->store, what, &err), ATLS_E_NOT_FOUND, &err);
    test_assert_code(atls_store_remove(p->store, "signing-key:", &err), ATLS_E_NOT_FOUND, &err);
    test_assert_code(atls_store_signing_key(p->store, FROM, &key, &err), ATLS_E_NOT_FOUND, &err);
    assert_signs(p->store, FROM + 100, third);
}

/* What signs comes first; every key that is not removed is there. */
static void the_set_of_public_keys(void **state)
{
    struct place *p = *state;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf jwks = ATLS_BUF_INIT;
    char kid[3][ATLS_KID_TEXT];
    const char *at[3], *text;

    test_assert_code(atls_store_signing_keys_jwks(p->store, FROM, &jwks, &err), ATLS_OK, &err);
    assert_string_equal((const char *)jwks.ptr, "{\"keys\":[]}");
    atls_buf_clear(&jwks);
    add_one(p->store, ATLS_KEY_P256, FROM, kid[0]);
    add_one(p->store, ATLS_KEY_P384, FROM + 100, kid[1]);
    add_one(p->store, ATLS_KEY_ED25519, FROM + 200, kid[2]);
    test_assert_code(atls_store_signing_keys_jwks(p->store, FROM + 150, &jwks, &err), ATLS_OK,
                     &err);
    text = (const char *)jwks.ptr;
    for (size_t i = 0; i < 3; i++)
        assert_non_null(at[i] = strstr(text, kid[i]));
    assert_true(at[1] < at[0] && at[0] < at[2]);
    assert_null(strstr(text, "\"d\""));
    assert_non_null(strstr(text, "\"crv\":\"P-384\",\"kty\":\"EC\""));
    assert_non_null(strstr(text, "\"alg\":\"ES384\""));
    atls_buf_clear(&jwks);
    /* Before any is to be used none is first. */
    test_assert_code(atls_store_signing_keys_jwks(p->store, FROM - 1, &jwks, &err), ATLS_OK, &err);
    for (size_t i = 0; i < 3; i++)
        assert_non_null(strstr((const char *)jwks.ptr, kid[i]));
    atls_buf_clear(&jwks);
}

static void what_is_refused(void **state)
{
    static const enum atls_key_type types[] = {ATLS_KEY_NONE, ATLS_KEY_P521, ATLS_KEY_RSA,
                                               (enum atls_key_type)99};
    struct place *p = *state;
    struct atls_private_key *rsa;
    struct atls_buf pem = ATLS_BUF_INIT;
    struct atls_store *reader;
    struct atls_err err = ATLS_ERR_INIT;
    char kid[ATLS_KID_TEXT] = "untouched";

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        test_assert_code(atls_store_new_signing_key(p->store, types[i], FROM, kid, &err),
                         ATLS_E_USAGE, &err);
    test_assert_code(atls_store_add_signing_key(p->store, bytes("no PEM"), FROM, kid, &err),
                     ATLS_E_DECODE, &err);
    test_assert_code(atls_private_key_generate(ATLS_KEY_RSA, &rsa, &err), ATLS_OK, &err);
    test_assert_code(atls_private_key_to_pem(rsa, &pem, &err), ATLS_OK, &err);
    test_assert_code(atls_store_add_signing_key(p->store, atls_buf_bytes(&pem), FROM, kid, &err),
                     ATLS_E_UNSUPPORTED, &err);
    test_assert_code(place_open(p, ATLS_STORE_READ, &reader, &err), ATLS_OK, &err);
    test_assert_code(atls_store_new_signing_key(reader, ATLS_KEY_P256, FROM, kid, &err),
                     ATLS_E_CONFIG, &err);
    assert_string_equal(kid, "untouched");
    atls_store_close(reader);
    atls_private_key_free(rsa);
    atls_buf_clear(&pem);
}

static void only_so_many(void **state)
{
    struct place *p = *state;
    struct atls_err err = ATLS_ERR_INIT;
    char kid[ATLS_KID_TEXT];

    for (int i = 0; i < 32; i++)
        add_one(p->store, ATLS_KEY_ED25519, FROM + i, kid);
    test_assert_code(atls_store_new_signing_key(p->store, ATLS_KEY_ED25519, FROM, kid, &err),
                     ATLS_E_LIMIT, &err);
    assert_signs(p->store, FROM + 31, kid);
}

static enum atls_code collect(void *arg, const struct atls_store_entry *entry, struct atls_err *err)
{
    char *text = arg;

    (void)err;
    snprintf(text + strlen(text), 1024 - strlen(text), "%s|%s|%s\n", entry->kind, entry->subject,
             entry->value);
    return ATLS_OK;
}

static void private_keys_stay_inside_unless_asked_for(void **state)
{
    struct place *p = *state;
    struct atls_buf text = ATLS_BUF_INIT, again = ATLS_BUF_INIT;
    struct atls_store *other;
    struct atls_err err = ATLS_ERR_INIT;
    char kid[ATLS_KID_TEXT], listed[1024] = "";

    test_assert_code(atls_store_add_signing_key(p->store, bytes(rfc8037_pem), FROM, kid, &err),
                     ATLS_OK, &err);
    test_assert_code(atls_store_list(p->store, collect, listed, &err), ATLS_OK, &err);
    assert_non_null(strstr(listed, "signing-key|"));
    assert_non_null(strstr(listed, "|signs from 1970-01-01T00:16:40Z\n"));
    assert_null(strstr(listed, "MC4CAQ"));
    test_assert_code(atls_store_export_json(p->store, &text, &err), ATLS_OK, &err);
    assert_null(strstr((const char *)text.ptr, "PRIVATE KEY"));
    atls_buf_clear(&text);
    test_assert_code(atls_store_export_json_with_keys(p->store, &text, &err), ATLS_OK, &err);
    assert_non_null(strstr((const char *)text.ptr, "MC4CAQ"));
    test_assert_code(place_open_other(p, ATLS_STORE_CREATE, &other, &err), ATLS_OK, &err);
    test_assert_code(atls_store_import_json(other, atls_buf_bytes(&text), &err), ATLS_OK, &err);
    assert_signs(other, FROM, kid);
    test_assert_code(atls_store_export_json_with_keys(other, &again, &err), ATLS_OK, &err);
    test_assert_bytes(atls_buf_bytes(&again), atls_buf_bytes(&text));
    atls_store_close(other);
    atls_buf_clear(&text);
    atls_buf_clear(&again);
}

static void exports_that_are_refused(void **state)
{
#define KEY                                                                                        \
    "-----BEGIN PRIVATE KEY-----\\n"                                                               \
    "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\\n"                          \
    "-----END PRIVATE KEY-----\\n"
    static const struct {
        const char *name, *key, *says;
    } rows[] = {
        {"thumbprint of another", "{\"kid\": \"x\", \"use-from\": 1, \"key\": \"" KEY "\"}",
         "$.signing-keys[0].kid: not the thumbprint"},
        {"time as text", "{\"kid\": \"x\", \"use-from\": \"1\", \"key\": \"" KEY "\"}",
         "$.signing-keys[0].use-from: not an integer"},
        {"no key", "{\"kid\": \"x\", \"use-from\": 1}", "$.signing-keys[0].key"},
        {"no kid", "{\"use-from\": 1, \"key\": \"" KEY "\"}", "$.signing-keys[0].kid"},
        {"no PEM", "{\"kid\": \"x\", \"use-from\": 1, \"key\": \"x\"}", "$.signing-keys[0]"},
        {"more", "{\"kid\": \"x\", \"use-from\": 1, \"key\": \"x\", \"y\": 1}",
         "$.signing-keys[0].y"},
    };
    struct place *p = *state;
    char json[600];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct store_signing_key key;
        struct atls_err err = ATLS_ERR_INIT;

        snprintf(json, sizeof json, "{\"format\": \"libatls-store-1\", \"signing-keys\": [%s]}",
                 rows[i].key);
        test_assert_code(atls_store_import_json(p->store, bytes(json), &err), ATLS_E_DECODE, &err);
        if (strstr(err.message, rows[i].says) == NULL)
            fail_msg("%s: %s", rows[i].name, err.message);
        test_assert_code(atls_store_signing_key(p->store, FROM, &key, NULL), ATLS_E_NOT_FOUND,
                         NULL);
    }
}

static void another_replica_signs_with_it(void **state)
{
    struct place *p = *state;
    struct store_signing_key key;
    struct atls_store *second;
    struct atls_err err = ATLS_ERR_INIT;
    char kid[ATLS_KID_TEXT], next[ATLS_KID_TEXT];

    test_assert_code(place_open(p, ATLS_STORE_READ, &second, &err), ATLS_OK, &err);
    test_assert_code(atls_store_signing_key(second, FROM, &key, &err), ATLS_E_NOT_FOUND, &err);
    add_one(p->store, ATLS_KEY_P256, FROM, kid);
    test_assert_code(atls_store_ping(second, &err), ATLS_OK, &err);
    assert_signs(second, FROM + 9, kid);
    add_one(p->store, ATLS_KEY_P256, FROM + 5, next);
    test_assert_code(atls_store_ping(second, &err), ATLS_OK, &err);
    assert_signs(second, FROM + 9, next);
    atls_store_close(second);
}

/* Files only: a server says itself who reads tables. */
static void nobody_else_may_read_the_file(void **state)
{
    struct place *p = *state;
    struct atls_store *s = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    char kid[ATLS_KID_TEXT];

    assert_int_equal(chmod(p->path, 0640), 0);
    test_assert_code(atls_store_new_signing_key(p->store, ATLS_KEY_P256, FROM, kid, &err),
                     ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "chmod 600"));
    /* Without private keys it may be read by a group. */
    test_assert_code(place_open(p, ATLS_STORE_READ, &s, &err), ATLS_OK, &err);
    atls_store_close(s);
    s = NULL;
    assert_int_equal(chmod(p->path, 0600), 0);
    add_one(p->store, ATLS_KEY_P256, FROM, kid);
    assert_int_equal(chmod(p->path, 0604), 0);
    test_assert_code(place_open(p, ATLS_STORE_READ, &s, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "holds private keys"));
    assert_null(s);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, place_set_up, place_tear_down)
#define ON_BOTH                                                                                    \
    WITH_STORE(a_published_thumbprint), WITH_STORE(keys_take_over_from_each_other),                \
        WITH_STORE(the_set_of_public_keys), WITH_STORE(what_is_refused), WITH_STORE(only_so_many), \
        WITH_STORE(private_keys_stay_inside_unless_asked_for),                                     \
        WITH_STORE(exports_that_are_refused), WITH_STORE(another_replica_signs_with_it)

int main(void)
{
    const struct CMUnitTest files[] = {WITH_STORE(nobody_else_may_read_the_file), ON_BOTH};
    const struct CMUnitTest servers[] = {ON_BOTH};

    return PLACE_RUN_BOTH("signing keys", files, servers);
}
