/* Every allocation of making, keeping and judging a certificate fails once. */
#include "world.h"

#include <openssl/crypto.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define SANITIZED
#endif

#ifndef SANITIZED
/* Of malloc, calloc and realloc in this process, libcrypto's excepted. */
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
    (void)file, (void)line;
    return size == 0 ? NULL : __libc_malloc(size);
}

static void *crypto_realloc(void *ptr, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    if (size != 0)
        return __libc_realloc(ptr, size);
    __libc_free(ptr);
    return NULL;
}

static void crypto_free(void *ptr, const char *file, int line)
{
    (void)file, (void)line;
    __libc_free(ptr);
}

static int setup(void **state)
{
    (void)state;
    return CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free) == 1 ? 0 : -1;
}

/* ---- what is done without memory ---- */

static struct world w;
static struct atls_buf der;

static enum atls_code make(struct atls_err *err)
{
    const struct atls_ra_certificate_options o = world_make_options(&w);
    struct atls_buf out = ATLS_BUF_INIT;
    enum atls_code code = atls_ra_certificate_make(&o, &out, err);

    assert_true(code == ATLS_OK || out.ptr == NULL);
    atls_buf_clear(&out);
    return code;
}

static enum atls_code read(struct atls_err *err)
{
    struct atls_ra_certificate_facts facts;
    enum atls_code code = atls_ra_certificate_read(atls_buf_bytes(&der), &facts, err);

    if (code == ATLS_OK) {
        assert_string_equal(facts.form, "cmw");
        assert_true(facts.self_issued && !facts.critical);
        assert_int_equal(facts.not_before_s, WORLD_NOW - 60);
        assert_int_equal(facts.not_after_s, WORLD_NOW + 86400);
        assert_int_equal(facts.cmw.ptr[0], 0x82);
        assert_int_equal(facts.spki.len, atls_attester_aik_spki(w.attester).len);
        atls_buf_clear(&facts.cmw);
    }
    return code;
}

static enum atls_code judge(struct atls_err *err)
{
    const struct atls_bytes chain = atls_buf_bytes(&der);
    struct atls_ra_certificate_verdict verdict;
    struct atls_ra_certificate_check check;
    enum atls_code code;

    atls_ra_certificate_check_init(&check);
    check.chain = &chain;
    check.chain_len = 1;
    code = atls_ra_certificate_judge(w.config, &check, &verdict, err);
    assert_true(code == ATLS_OK || verdict.freshness[0] == '\0');
    atls_ra_certificate_verdict_clear(&verdict);
    return code;
}

static enum atls_code keep(struct atls_err *err)
{
    struct atls_pre_keeper *keeper = NULL;
    struct atls_pre_chain *chain = NULL;
    struct atls_job *job = NULL;
    enum atls_code code = atls_pre_keeper_new(w.config, &keeper, err);

    if (code == ATLS_OK && (code = atls_pre_keeper_get(keeper, &chain, &job, err)) == ATLS_OK) {
        atls_job_run(job);
        code = job->code;
        chain = atls_pre_make_job_chain(job);
        assert_int_equal(chain != NULL, code == ATLS_OK);
        atls_pre_chain_unref(chain);
        atls_job_free(job);
    }
    atls_pre_keeper_unref(keeper);
    return code;
}

static enum atls_code host(struct atls_err *err)
{
    const struct atls_pre_nonce nonce = {{1}};
    struct atls_buf name = ATLS_BUF_INIT;
    char text[ATLS_PRE_HOST_MAX + 1];
    enum atls_code code = atls_pre_host_make(&nonce, NULL, text, err);

    if (code == ATLS_OK)
        code = atls_pre_authority_make(&nonce, &name, err);
    atls_buf_clear(&name);
    return code;
}

static void without_memory(const char *name, enum atls_code (*work)(struct atls_err *err),
                           size_t least)
{
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code;
    size_t n = 0;

    test_assert_code(work(&err), ATLS_OK, &err); /* caches are warm, algorithms are fetched */
    do {
        memory.calls = 0;
        memory.live = 0;
        memory.fail_at = ++n;
        memory.armed = true;
        code = work(&err);
        memory.armed = false;
        if (memory.live != 0 || (code != ATLS_OK && code != ATLS_E_NOMEM))
            fail_msg("%s, allocation %zu fails: %ld blocks are left, code %d: %s", name, n,
                     memory.live, (int)code, err.message);
    } while (memory.calls >= n);
    assert_int_equal(code, ATLS_OK);
    assert_true(n > least);
}
#else
static int setup(void **state)
{
    (void)state;
    return 0;
}
#endif

static void fails_cleanly_without_memory(void **state)
{
#ifdef SANITIZED
    (void)state;
    skip();
#else
    struct atls_ra_certificate_options o;
    struct atls_config *judging;

    (void)state;
    world_init(&w);
    world_open_attester(&w);
    world_configure(&w);
    judging = w.config;
    o = world_make_options(&w);
    test_assert_code(atls_ra_certificate_make(&o, &der, NULL), ATLS_OK, NULL);
    without_memory("make", make, 5);
    without_memory("read", read, 3);
    without_memory("judge", judge, 5);
    without_memory("nonces", host, 2);
    world_configure_attester(&w);
    without_memory("keep", keep, 8);
    atls_config_unref(judging);
    atls_buf_clear(&der);
    world_clear(&w);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fails_cleanly_without_memory),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
