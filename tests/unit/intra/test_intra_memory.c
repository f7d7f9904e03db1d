/* Every allocation of a handshake fails once, ours and those of libcrypto: an error, never a good
 * answer, and nothing is left behind. */
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include <openssl/crypto.h>

#include "flavour/intra/intra.h"
#include "handshake.h"
#include "session_pair.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define SANITIZED
#endif

#ifndef SANITIZED
static struct {
    bool armed;
    size_t calls, fail_at;               /* of ours; the call that fails, from 1; 0: none */
    size_t crypto_calls, crypto_fail_at; /* of libcrypto */
    long live;                           /* of ours */
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

static bool crypto_fails(void)
{
    return memory.armed && ++memory.crypto_calls == memory.crypto_fail_at;
}

static void *crypto_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return size == 0 || crypto_fails() ? NULL : __libc_malloc(size);
}

static void *crypto_realloc(void *ptr, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    if (size != 0)
        return crypto_fails() ? NULL : __libc_realloc(ptr, size);
    __libc_free(ptr);
    return NULL;
}

static void crypto_free(void *ptr, const char *file, int line)
{
    (void)file;
    (void)line;
    __libc_free(ptr);
}

/* Made before anything counts. */
struct fixed {
    struct pair p;
    struct atls_buf hello, retry, again, server;
    struct atls_bytes spki[2];
};

static enum atls_code both_see(struct atls_intra *ends[2], const struct atls_buf *message,
                               bool from_client, struct atls_err *err)
{
    enum atls_code code = atls_intra_message(ends[0], atls_buf_bytes(message), from_client, err);

    return code != ATLS_OK ? code
                           : atls_intra_message(ends[1], atls_buf_bytes(message), from_client, err);
}

static enum atls_code pass(struct atls_intra *from, struct atls_intra *to,
                           enum atls_intra_place place, struct atls_err *err)
{
    struct atls_bytes data;
    enum atls_code code = atls_intra_extension_out(from, place, 0, &data, err);

    return code != ATLS_OK ? code : atls_intra_extension_in(to, place, 0, data, err);
}

static enum atls_code attest(struct atls_intra *from, struct atls_intra *to, struct atls_bytes spki,
                             struct atls_err *err)
{
    static const struct atls_bytes cmw = HEX("a CMW of a technology that is not known here");
    struct atls_judgement judgement;
    struct atls_proof proof;
    enum atls_code code;

    if ((code = atls_intra_proof(from, spki, &proof, err)) != ATLS_OK ||
        (code = atls_intra_set_own_cmw(from, cmw, err)) != ATLS_OK ||
        (code = pass(from, to, ATLS_INTRA_CT, err)) != ATLS_OK ||
        (code = atls_intra_judgement(to, spki, &judgement, err)) != ATLS_OK)
        return code;
    assert_memory_equal(judgement.binder.ptr, proof.binder.data, proof.binder.len);
    return atls_intra_set_judged(to, "fake", err);
}

static enum atls_code shake(const struct fixed *f, struct atls_intra *ends[2], struct atls_err *err)
{
    static const struct atls_intra_facts good = {.version = 0x0304};
    enum atls_code code;

    if ((code = atls_intra_new(f->p.client.config, ATLS_ROLE_CLIENT, &ends[0], err)) != ATLS_OK ||
        (code = atls_intra_new(f->p.server.config, ATLS_ROLE_SERVER, &ends[1], err)) != ATLS_OK ||
        (code = both_see(ends, &f->hello, true, err)) != ATLS_OK ||
        (code = pass(ends[0], ends[1], ATLS_INTRA_CH, err)) != ATLS_OK ||
        (code = both_see(ends, &f->retry, false, err)) != ATLS_OK ||
        (code = both_see(ends, &f->again, true, err)) != ATLS_OK ||
        (code = pass(ends[0], ends[1], ATLS_INTRA_CH, err)) != ATLS_OK ||
        (code = both_see(ends, &f->server, false, err)) != ATLS_OK ||
        (code = pass(ends[1], ends[0], ATLS_INTRA_EE, err)) != ATLS_OK ||
        (code = pass(ends[1], ends[0], ATLS_INTRA_CR, err)) != ATLS_OK ||
        (code = attest(ends[1], ends[0], f->spki[1], err)) != ATLS_OK ||
        (code = attest(ends[0], ends[1], f->spki[0], err)) != ATLS_OK ||
        (code = atls_intra_finish(ends[0], &good, err)) != ATLS_OK)
        return code;
    return atls_intra_finish(ends[1], &good, err);
}

/* One handshake; true when it worked. */
static bool run(const struct fixed *f, size_t fail_at, size_t crypto_fail_at)
{
    struct atls_intra *ends[2] = {NULL, NULL};
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code;

    memset(&memory, 0, sizeof memory);
    memory.fail_at = fail_at;
    memory.crypto_fail_at = crypto_fail_at;
    memory.armed = true;
    code = shake(f, ends, &err);
    for (size_t i = 0; i < 2; i++) {
        if (code != ATLS_OK && ends[i] != NULL && code != ATLS_E_NOMEM)
            assert_int_equal(code, ATLS_E_CRYPTO);
        atls_intra_free(ends[i]);
    }
    memory.armed = false;
    assert_int_equal(err.code, code);
    if (memory.live != 0)
        fail_msg("allocation %zu or %zu of libcrypto fails: %ld blocks are left", fail_at,
                 crypto_fail_at, memory.live);
    return code == ATLS_OK;
}

static void every_allocation_fails_once(void **state)
{
    struct fixed f;
    size_t failed = 0, crypto_failed = 0;

    (void)state;
    pair_init(&f.p);
    f.p.client.options.flavour = f.p.server.options.flavour = ATLS_FLAVOUR_INTRA;
    pair_configure(&f.p);
    f.hello = test_client_hello(1);
    f.retry = test_retry_request(0x1302);
    f.again = test_client_hello(2);
    f.server = test_server_hello(3, 0x1302);
    f.spki[0] = atls_attester_aik_spki(f.p.client.options.attester);
    f.spki[1] = atls_attester_aik_spki(f.p.server.options.attester);
    assert_true(run(&f, 0, 0)); /* algorithms are fetched */
    while (!run(&f, failed + 1, 0))
        failed++;
    while (!run(&f, 0, crypto_failed + 1))
        crypto_failed++;
    assert_true(failed > 20);
    assert_true(crypto_failed > 10);
    atls_buf_clear(&f.hello);
    atls_buf_clear(&f.retry);
    atls_buf_clear(&f.again);
    atls_buf_clear(&f.server);
    atls_config_unref(f.p.client.config);
    atls_config_unref(f.p.server.config);
}

static int setup(void **state)
{
    (void)state;
    return CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free) == 1 ? 0 : -1;
}
#else
static int setup(void **state)
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_fails_once),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
