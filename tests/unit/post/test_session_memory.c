/* Every allocation of a session fails once; moving data needs none at all. */
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include <openssl/crypto.h>

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
/* Of malloc, calloc and realloc in this process, libcrypto's excepted. */
static struct {
    bool armed;
    size_t calls, fail_at; /* the call that fails, from 1; 0: none */
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
#endif

static void fails_cleanly_without_memory(void **state)
{
#ifdef SANITIZED
    (void)state;
    skip();
#else
    struct pair p;
    size_t refused = 0;
    bool open = false;

    (void)state;
    pair_init(&p);
    p.client.options.on_failure = ATLS_ON_FAILURE_GATE;
    pair_open(&p); /* caches are warm, algorithms are fetched */
    atls_session_free(p.client.session);
    atls_session_free(p.server.session);
    for (size_t n = 1; !open; n++) {
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code;

        assert_true(n < 10000);
        p.client.session = p.server.session = NULL;
        memory.calls = 0;
        memory.live = 0;
        memory.fail_at = n;
        memory.armed = true;
        code = atls_session_new(p.client.config, &p.client.tls, NULL, &p.client.session, &err);
        if (code == ATLS_OK)
            code = atls_session_new(p.server.config, &p.server.tls, NULL, &p.server.session, &err);
        if (code == ATLS_OK) {
            memory.armed = false; /* pair_run allocates, too */
            while (atls_session_next(p.client.session) != ATLS_NEXT_CLOSED &&
                   atls_session_next(p.server.session) != ATLS_NEXT_CLOSED && !open) {
                struct pair_end *ends[] = {&p.client, &p.server};

                for (size_t i = 0; i < 2; i++) {
                    struct atls_bytes out = atls_session_output(ends[i]->session);
                    size_t consumed = 0;

                    memory.armed = true;
                    if (out.len != 0 && atls_session_next(ends[1 - i]->session) != ATLS_NEXT_CLOSED)
                        code = atls_session_input(ends[1 - i]->session, out, &consumed, &err);
                    atls_session_output_done(ends[i]->session, out.len);
                    pair_work(ends[1 - i]);
                    memory.armed = false;
                }
                open = atls_session_is_open(p.client.session) &&
                       atls_session_is_open(p.server.session) && memory.calls < n;
                if (memory.calls >= n && atls_session_output(p.client.session).len == 0 &&
                    atls_session_output(p.server.session).len == 0)
                    break;
            }
        }
        memory.armed = true;
        refused += !open;
        atls_session_free(p.client.session);
        atls_session_free(p.server.session);
        memory.armed = false;
        if (memory.live != 0)
            fail_msg("allocation %zu fails: %ld blocks are left", n, memory.live);
    }
    assert_true(refused > 20);
    p.client.session = p.server.session = NULL;
    pair_clear(&p);
#endif
}

/* The first write makes the output, the others use it. */
static void moves_data_without_allocating(void **state)
{
#ifdef SANITIZED
    (void)state;
    skip();
#else
    static uint8_t data[16384];
    struct pair p;

    (void)state;
    pair_init(&p);
    pair_open(&p);
    memory.fail_at = 0;
    for (int i = 0; i < 1000; i++) {
        size_t n = 0, consumed = 0;
        struct atls_bytes out;

        if (i == 1) {
            memory.calls = 0;
            memory.armed = true;
        }
        assert_int_equal(atls_session_write(p.client.session,
                                            atls_bytes_of(data, (size_t)(i % 16380 + 1)), &n, NULL),
                         ATLS_OK);
        out = atls_session_output(p.client.session);
        assert_int_equal(atls_session_input(p.server.session, out, &consumed, NULL), ATLS_OK);
        assert_int_equal(consumed, out.len);
        assert_int_equal(atls_session_read(p.server.session).len, n);
        atls_session_read_done(p.server.session, n);
        atls_session_output_done(p.client.session, out.len);
    }
    memory.armed = false;
    assert_int_equal(memory.calls, 0);
    pair_clear(&p);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fails_cleanly_without_memory),
        cmocka_unit_test(moves_data_without_allocating),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
