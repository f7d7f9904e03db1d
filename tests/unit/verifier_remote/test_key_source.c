#include "fake_veraison.h"
#include "testlib.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "verifier/remote/key_source.h"

#define LONG_MS 20000

struct folder {
    char dir[64], path[96], next[96];
};

static void folder_init(struct folder *f)
{
    snprintf(f->dir, sizeof f->dir, "/tmp/atls-keys-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/keys", f->dir);
    snprintf(f->next, sizeof f->next, "%s/next", f->dir);
}

static void folder_clear(const struct folder *f)
{
    (void)unlink(f->path);
    assert_int_equal(rmdir(f->dir), 0);
}

/* Replaces the file at once, as one should. */
static void put(const struct folder *f, const char *text)
{
    FILE *file = fopen(f->next, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(f->next, f->path), 0);
}

static enum atls_code get(struct atls_key_source *source, struct atls_ear_keys **out)
{
    return atls_key_source_get(source, atls_http_now_ms() + LONG_MS, out, NULL);
}

static void a_file_is_read_again_when_it_changes(void **state)
{
    struct test_veraison a, b;
    struct atls_key_source *source = NULL;
    struct atls_ear_keys *first = NULL, *second = NULL, *third = NULL;
    enum atls_code code = ATLS_OK;
    struct folder f;
    int64_t end;

    (void)state;
    folder_init(&f);
    test_veraison_init(&a, NULL);
    test_veraison_init(&b, NULL);
    put(&f, (const char *)a.jwk.ptr);
    assert_int_equal(atls_key_source_file(f.path, &source, NULL), ATLS_OK);
    assert_int_equal(get(source, &first), ATLS_OK);
    assert_int_equal(get(source, &second), ATLS_OK);
    assert_ptr_equal(first, second);
    atls_ear_keys_unref(second);

    put(&f, (const char *)b.jwk.ptr);
    second = NULL;
    end = atls_http_now_ms() + LONG_MS;
    do {
        atls_ear_keys_unref(second);
        assert_int_equal(get(source, &second), ATLS_OK);
    } while (second == first && atls_http_now_ms() < end);
    assert_ptr_not_equal(first, second);

    /* What cannot be read trusts nobody, until it can again. */
    put(&f, "{\"keys\":[");
    end = atls_http_now_ms() + LONG_MS;
    while ((code = get(source, &third)) == ATLS_OK && atls_http_now_ms() < end)
        atls_ear_keys_unref(third);
    assert_int_equal(code, ATLS_E_CONFIG);
    put(&f, (const char *)a.jwk.ptr);
    assert_int_equal(atls_key_source_renew(source, second, 0, &third, NULL), ATLS_OK);
    assert_int_equal(atls_ear_keys_count(third), 1);
    atls_ear_keys_unref(first);
    atls_ear_keys_unref(second);
    atls_ear_keys_unref(third);
    atls_key_source_free(source);
    test_veraison_clear(&a);
    test_veraison_clear(&b);
    folder_clear(&f);
}

/* Keys that were looked at a moment ago still serve whoever wants some. */
static void a_ping_looks_at_the_file(void **state)
{
    struct test_veraison a;
    struct atls_key_source *source = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    struct folder f;

    (void)state;
    folder_init(&f);
    test_veraison_init(&a, NULL);
    for (int i = 0; i < 2; i++) {
        put(&f, (const char *)a.jwk.ptr);
        if (i == 0)
            assert_int_equal(atls_key_source_file(f.path, &source, NULL), ATLS_OK);
        test_assert_code(atls_key_source_ping(source, 0, &err), ATLS_OK, &err);
        assert_int_equal(unlink(f.path), 0);
        test_assert_code(atls_key_source_ping(source, 0, &err), ATLS_E_CONFIG, &err);
    }
    atls_key_source_free(source);
    test_veraison_clear(&a);
    folder_clear(&f);
}

static void wrong_files_are_refused_at_once(void **state)
{
    static const struct {
        const char *name, *text; /* NULL: not there */
    } rows[] = {
        {"not there", NULL},
        {"empty", ""},
        {"no keys", "{\"keys\":[]}"},
        {"no JSON, no PEM", "hello"},
        {"a secret", "{\"kty\":\"oct\",\"k\":\"AAAA\"}"},
    };
    struct atls_key_source *source = NULL;
    struct folder f;

    (void)state;
    folder_init(&f);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;

        print_message("%s\n", rows[i].name);
        if (rows[i].text != NULL)
            put(&f, rows[i].text);
        test_assert_code(atls_key_source_file(f.path, &source, &err), ATLS_E_CONFIG, &err);
        assert_int_equal(err.code, ATLS_E_CONFIG);
        assert_non_null(strstr(err.message, f.path));
    }
    assert_int_equal(atls_key_source_file(f.dir, &source, NULL), ATLS_E_CONFIG);
    assert_null(source);
    atls_key_source_free(NULL);
    folder_clear(&f);
}

static void a_file_has_a_bound(void **state)
{
    char *text = malloc(65536 + 2);
    struct atls_key_source *source = NULL;
    struct test_veraison v;
    struct folder f;

    (void)state;
    assert_non_null(text);
    folder_init(&f);
    test_veraison_init(&v, NULL);
    memset(text, ' ', 65536 + 1);
    memcpy(text, v.jwk.ptr, v.jwk.len);
    text[65536] = '\0';
    put(&f, text);
    assert_int_equal(atls_key_source_file(f.path, &source, NULL), ATLS_OK);
    atls_key_source_free(source);
    source = NULL;
    text[65536] = ' ';
    text[65537] = '\0';
    put(&f, text);
    assert_int_equal(atls_key_source_file(f.path, &source, NULL), ATLS_E_CONFIG);
    assert_null(source);
    free(text);
    test_veraison_clear(&v);
    folder_clear(&f);
}

/* ---- a service ---- */

struct tls_service {
    struct test_identity ca, leaf;
    struct test_veraison v;
    struct atls_service *service;
    struct folder f;
};

static void tls_service_init(struct tls_service *t)
{
    struct atls_service_options options;
    struct atls_buf pem = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    folder_init(&t->f);
    t->ca = test_ca("CA");
    t->leaf = test_leaf(&t->ca, "localhost", ATLS_KEY_P256);
    assert_int_equal(atls_pem_encode("CERTIFICATE", atls_buf_bytes(&t->ca.certificate), &pem, NULL),
                     ATLS_OK);
    put(&t->f, (const char *)pem.ptr);
    atls_buf_clear(&pem);
    test_veraison_init(&t->v, &t->leaf);
    memset(&options, 0, sizeof options);
    options.url = test_http_url(t->v.server);
    options.http.ca_file = t->f.path;
    test_assert_code(atls_service_new(&options, &t->service, &err), ATLS_OK, &err);
}

static void tls_service_clear(struct tls_service *t)
{
    atls_service_unref(t->service);
    test_veraison_clear(&t->v);
    test_identity_clear(&t->leaf);
    test_identity_clear(&t->ca);
    folder_clear(&t->f);
}

static void keys_of_a_service(void **state)
{
    struct atls_key_source *source = NULL;
    struct atls_ear_keys *keys = NULL, *same = NULL;
    struct tls_service t;

    (void)state;
    tls_service_init(&t);
    assert_int_equal(atls_key_source_service(t.service, &source, NULL), ATLS_OK);
    assert_int_equal(get(source, &keys), ATLS_OK);
    assert_int_equal(atls_ear_keys_count(keys), 1);
    /* Just asked: not again for whoever holds a token of an unknown key. */
    assert_int_equal(atls_key_source_renew(source, keys, atls_http_now_ms() + LONG_MS, &same, NULL),
                     ATLS_OK);
    assert_ptr_equal(keys, same);
    test_http_sync(t.v.server);
    assert_int_equal(t.v.discoveries, 1);
    atls_ear_keys_unref(keys);
    atls_ear_keys_unref(same);
    atls_key_source_free(source);
    tls_service_clear(&t);
}

static void a_service_may_name_no_key(void **state)
{
    struct atls_key_source *source = NULL;
    struct atls_ear_keys *keys = NULL;
    struct tls_service t;

    (void)state;
    tls_service_init(&t);
    t.v.no_key = true;
    test_http_sync(t.v.server);
    assert_int_equal(atls_key_source_service(t.service, &source, NULL), ATLS_OK);
    assert_int_equal(get(source, &keys), ATLS_E_PROTOCOL);
    atls_key_source_free(source);
    tls_service_clear(&t);
}

static void a_service_may_be_away(void **state)
{
    struct atls_key_source *source = NULL;
    struct atls_ear_keys *keys = NULL;
    struct tls_service t;

    (void)state;
    tls_service_init(&t);
    t.v.overrides[0] =
        (struct test_override){.method = "GET", .target = "/.well-known", .status = 503};
    test_http_sync(t.v.server);
    assert_int_equal(atls_key_source_service(t.service, &source, NULL), ATLS_OK);
    assert_int_equal(get(source, &keys), ATLS_E_UNAVAILABLE);
    assert_int_equal(atls_key_source_renew(source, NULL, atls_http_now_ms() + LONG_MS, &keys, NULL),
                     ATLS_E_UNAVAILABLE);
    assert_null(keys);
    atls_key_source_free(source);
    tls_service_clear(&t);
}

static void keys_do_not_come_over_http(void **state)
{
    struct atls_key_source *source = NULL;
    struct atls_service_options options;
    struct atls_service *service = NULL;

    (void)state;
    memset(&options, 0, sizeof options);
    options.url = "http://127.0.0.1:1";
    assert_int_equal(atls_service_new(&options, &service, NULL), ATLS_OK);
    assert_int_equal(atls_key_source_service(service, &source, NULL), ATLS_E_CONFIG);
    assert_null(source);
    atls_service_unref(service);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read_again_when_it_changes),
        cmocka_unit_test(a_ping_looks_at_the_file),
        cmocka_unit_test(wrong_files_are_refused_at_once),
        cmocka_unit_test(a_file_has_a_bound),
        cmocka_unit_test(keys_of_a_service),
        cmocka_unit_test(a_service_may_name_no_key),
        cmocka_unit_test(a_service_may_be_away),
        cmocka_unit_test(keys_do_not_come_over_http),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
