/* Every allocation of making, reading and showing a token fails once: never a good answer, and
 * nothing left behind. */
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include <openssl/crypto.h>

#include "core/writer.h"
#include "crypto/crypto.h"
#include "verifier/ear/accept.h"
#include "verifier/ear/keys.h"
#include "verifier/ear/sign.h"
#include "verifier/result.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define SANITIZED
#endif

#ifndef SANITIZED
/* Of malloc, calloc and realloc of this program; libraries have theirs. */
static struct {
    bool armed;
    size_t calls, fail_at; /* the call that fails, from 1 */
    long live;
} memory;

/* glibc lets a program bring its own; a sanitizer does that already. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *ptr, size_t size);
void __libc_free(void *ptr);

static bool fails(void)
{
    return memory.armed && ++memory.calls == memory.fail_at;
}

static void *counted(void *ptr)
{
    if (memory.armed && ptr != NULL)
        memory.live++;
    return ptr;
}

void *malloc(size_t size)
{
    return fails() ? NULL : counted(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : counted(__libc_calloc(count, size));
}

void *realloc(void *ptr, size_t size)
{
    if (ptr == NULL)
        return malloc(size);
    return fails() ? NULL : __libc_realloc(ptr, size);
}

void free(void *ptr)
{
    if (memory.armed && ptr != NULL)
        memory.live--;
    __libc_free(ptr);
}

static void *crypto_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return size == 0 ? NULL : __libc_malloc(size);
}

static void *crypto_realloc(void *ptr, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    if (size != 0)
        return __libc_realloc(ptr, size);
    __libc_free(ptr);
    return NULL;
}

static void crypto_free(void *ptr, const char *file, int line)
{
    (void)file;
    (void)line;
    __libc_free(ptr);
}

#define NOW INT64_C(1700000000)

static const uint8_t nonce[32] = {1};

/* What the operations work on. */
static struct {
    struct atls_private_key *key;
    struct atls_result *result;
    struct atls_ear_keys *keys;
    struct atls_buf jwk, pem, discovery, jwt, cwt;
} lab;

static struct atls_buf sign_as(enum atls_ear_form form)
{
    struct atls_ear_options options;
    struct atls_buf out = ATLS_BUF_INIT;

    atls_ear_options_init(&options);
    options.form = form;
    options.kid = "k";
    assert_int_equal(atls_ear_sign_with(lab.result, lab.key, &options, &out, NULL), ATLS_OK);
    return out;
}

static int setup(void **state)
{
    static const struct atls_bytes spki = HEX("\x30\x0a\x30\x04\x06\x02\x2a\x03\x03\x02\x00\x42");
    static struct atls_claims claims;
    struct atls_outcome o;
    struct atls_writer w = atls_writer_init(4096);

    (void)state;
    if (CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free) != 1)
        return -1;
    memset(&o, 0, sizeof o);
    memset(&claims, 0, sizeof claims);
    claims.technology = "tpm";
    claims.submod = "TPM";
    claims.key_spki = spki;
    claims.instance = spki;
    o.policy_id = "policy:test";
    o.status = ATLS_TIER_WARNING;
    atls_outcome_problem(&o, ATLS_REASON_MEASUREMENT, "PCR 7 is wrong");
    assert_int_equal(atls_private_key_generate(ATLS_KEY_P256, &lab.key, NULL), ATLS_OK);
    assert_int_equal(atls_result_new(&claims, &o, atls_bytes_of(nonce, 32), NOW, &lab.result, NULL),
                     ATLS_OK);
    assert_int_equal(atls_ear_jwk_encode(atls_private_key_public(lab.key), "k", &lab.jwk, NULL),
                     ATLS_OK);
    assert_int_equal(atls_key_to_pem(atls_private_key_public(lab.key), &lab.pem, NULL), ATLS_OK);
    assert_int_equal(atls_ear_keys_parse(atls_buf_bytes(&lab.jwk), &lab.keys, NULL), ATLS_OK);
    atls_put_text(&w, "{\"ear-verification-key\":");
    atls_put_bytes(&w, atls_buf_bytes(&lab.jwk));
    atls_put_text(&w, "}");
    assert_int_equal(atls_writer_finish(&w, &lab.discovery, NULL), ATLS_OK);
    lab.jwt = sign_as(ATLS_EAR_FORM_JWT);
    lab.cwt = sign_as(ATLS_EAR_FORM_CWT);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    atls_buf_clear(&lab.jwk);
    atls_buf_clear(&lab.pem);
    atls_buf_clear(&lab.discovery);
    atls_buf_clear(&lab.jwt);
    atls_buf_clear(&lab.cwt);
    atls_ear_keys_unref(lab.keys);
    atls_result_unref(lab.result);
    atls_private_key_free(lab.key);
    return 0;
}

static enum atls_code sign(enum atls_ear_form form)
{
    struct atls_ear_options options;
    struct atls_buf out = ATLS_BUF_INIT;
    enum atls_code code;

    atls_ear_options_init(&options);
    options.form = form;
    options.kid = "k";
    code = atls_ear_sign_with(lab.result, lab.key, &options, &out, NULL);
    atls_buf_clear(&out);
    return code;
}

static enum atls_code sign_jwt(void)
{
    return sign(ATLS_EAR_FORM_JWT);
}

static enum atls_code sign_cwt(void)
{
    return sign(ATLS_EAR_FORM_CWT);
}

static struct atls_ear_check make_check(void)
{
    struct atls_ear_check check;

    atls_ear_check_init(&check);
    check.time_s = NOW;
    check.max_age_s = 1;
    check.nonce = atls_bytes_of(nonce, 32);
    return check;
}

/* Accepts the token and makes a result of it. */
static enum atls_code receive(const struct atls_buf *token, const struct atls_ear_check *check)
{
    struct atls_ear ear;
    const struct atls_result_source source = {.ear = &ear, .key = {NULL, 0}};
    struct atls_result *r = NULL;
    enum atls_code code;

    if ((code = atls_ear_accept(atls_buf_bytes(token), check, &ear, NULL)) != ATLS_OK)
        return code;
    code = atls_result_from_ear(&source, &r, NULL);
    if (code == ATLS_OK && atls_result_json(r) == NULL)
        code = ATLS_E_NOMEM;
    atls_ear_clear(&ear);
    atls_result_unref(r);
    return code;
}

static enum atls_code receive_jwt(void)
{
    struct atls_ear_check check = make_check();

    check.public_key_pem = atls_buf_bytes(&lab.pem);
    return receive(&lab.jwt, &check);
}

static enum atls_code receive_cwt(void)
{
    struct atls_ear_check check = make_check();

    check.keys = lab.keys;
    return receive(&lab.cwt, &check);
}

/* With a key and an instance of one's own. */
static enum atls_code combine(void)
{
    struct atls_ear_check check = make_check();
    struct atls_ear ear;
    struct atls_result_source source = {.ear = &ear};
    struct atls_result *r = NULL;
    enum atls_code code;

    check.keys = lab.keys;
    if ((code = atls_ear_accept(atls_buf_bytes(&lab.cwt), &check, &ear, NULL)) != ATLS_OK)
        return code;
    source.key = ear.submods[0].key;
    source.instance = ear.submods[0].key;
    code = atls_result_from_ear(&source, &r, NULL);
    atls_ear_clear(&ear);
    atls_result_unref(r);
    return code;
}

static enum atls_code show_jwt(void)
{
    struct atls_buf out = ATLS_BUF_INIT;
    enum atls_code code = atls_ear_show(atls_buf_bytes(&lab.jwt), &out, NULL);

    atls_buf_clear(&out);
    return code;
}

static enum atls_code show_cwt(void)
{
    struct atls_buf out = ATLS_BUF_INIT;
    enum atls_code code = atls_ear_show(atls_buf_bytes(&lab.cwt), &out, NULL);

    atls_buf_clear(&out);
    return code;
}

static enum atls_code parse_jwk(void)
{
    struct atls_ear_keys *keys = NULL;
    enum atls_code code = atls_ear_keys_parse(atls_buf_bytes(&lab.jwk), &keys, NULL);

    atls_ear_keys_unref(keys);
    return code;
}

static enum atls_code parse_discovery(void)
{
    struct atls_ear_keys *keys = NULL;
    enum atls_code code = atls_ear_keys_from_discovery(atls_buf_bytes(&lab.discovery), &keys, NULL);

    atls_ear_keys_unref(keys);
    return code;
}

static enum atls_code set_of_one(void)
{
    struct atls_ear_keys *keys = NULL;
    enum atls_code code =
        atls_ear_keys_from_key(atls_private_key_public(lab.key), NULL, &keys, NULL);

    atls_ear_keys_unref(keys);
    return code;
}

static enum atls_code encode_jwk(void)
{
    struct atls_buf out = ATLS_BUF_INIT;
    enum atls_code code = atls_ear_jwk_encode(atls_private_key_public(lab.key), "k", &out, NULL);

    atls_buf_clear(&out);
    return code;
}

static enum atls_code thumbprint(void)
{
    char out[ATLS_THUMBPRINT_LEN];

    return atls_ear_thumbprint(atls_private_key_public(lab.key), out, NULL);
}

static enum atls_code refuse(void)
{
    const struct atls_refusal refusal = {.technology = "tpm", .submod = "TPM", .problem = "x"};
    struct atls_result *r = NULL;
    enum atls_code code =
        atls_result_contraindicated(&refusal, atls_bytes_of(nonce, 8), NOW, &r, NULL);

    atls_result_unref(r);
    return code;
}

static void every_allocation_fails_once(void **state)
{
    static const struct {
        const char *name;
        enum atls_code (*run)(void);
    } rows[] = {
        {"sign JWT", sign_jwt},
        {"sign CWT", sign_cwt},
        {"receive JWT", receive_jwt},
        {"receive CWT", receive_cwt},
        {"receive with what was checked here", combine},
        {"show JWT", show_jwt},
        {"show CWT", show_cwt},
        {"parse JWK", parse_jwk},
        {"parse discovery document", parse_discovery},
        {"set of one key", set_of_one},
        {"encode JWK", encode_jwk},
        {"thumbprint", thumbprint},
        {"refuse", refuse},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum atls_code code = ATLS_E_NOMEM;
        size_t n = 0;

        assert_int_equal(rows[i].run(), ATLS_OK); /* caches are warm */
        for (n = 1; code != ATLS_OK; n++) {
            assert_true(n < 10000);
            memory.calls = 0;
            memory.live = 0;
            memory.fail_at = n;
            memory.armed = true;
            code = rows[i].run();
            memory.armed = false;
            /* Less than none: text that the JSON library made, which allocates for itself. */
            if (memory.live > 0)
                fail_msg("%s, allocation %zu: %ld left behind", rows[i].name, n, memory.live);
            if (code != ATLS_OK && code != ATLS_E_NOMEM)
                fail_msg("%s, allocation %zu: %s", rows[i].name, n, atls_code_name(code));
            if (code == ATLS_OK && memory.calls >= n)
                fail_msg("%s, allocation %zu failed and nobody noticed", rows[i].name, n);
        }
        print_message("%s: %zu allocations\n", rows[i].name, n - 2);
        assert_true(n > 2);
    }
}
#else
static int setup(void **state)
{
    (void)state;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return 0;
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    skip();
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_fails_once)};

    return cmocka_run_group_tests(tests, setup, teardown);
}
