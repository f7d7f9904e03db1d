/* How much of an ASYNC job's stack a handshake that attests takes. OpenSSL 3.0 and 3.1 give it
 * 32 KiB and no guard page; newer ones let us look. */
#include "tls/openssl/flavour.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include <openssl/async.h>

#include "tls_pair.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define MEASURES 0 /* their stack frames are larger */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MEASURES 0
#else
#define MEASURES 1
#endif
#else
#define MEASURES 1
#endif

#if OPENSSL_VERSION_NUMBER >= 0x30200000L && MEASURES

#define STACK_OF_OLD (32 * 1024)
#define STACK_HERE   (256 * 1024)
#define PAINT        0x5a

static size_t deepest;

static void *paint(size_t *len)
{
    uint8_t *stack = malloc(STACK_HERE);

    if (stack == NULL)
        abort();
    memset(stack, PAINT, STACK_HERE);
    *len = STACK_HERE;
    return stack;
}

static void look(void *ptr)
{
    const uint8_t *stack = ptr;
    size_t clean = 0;

    while (clean < STACK_HERE && stack[clean] == PAINT)
        clean++;
    if (STACK_HERE - clean > deepest)
        deepest = STACK_HERE - clean;
    free(ptr);
}

static void fits_the_stack_of_old(void **state)
{
    static const enum atls_identity identities[] = {ATLS_IDENTITY_ATTESTED, ATLS_IDENTITY_SAME_KEY};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct tls_pair t;

        tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
        t.p.server.options.identity = identities[i % 2];
        t.p.client.attester.evidence_len = t.p.server.attester.evidence_len = 65528;
        t.p.client.attester.key_type = t.p.server.attester.key_type =
            i / 2 == 0 ? ATLS_KEY_RSA : ATLS_KEY_P384;
        t.p.client.options.secret_binder = t.p.server.options.secret_binder = true;
        t.async = t.sha384 = t.hrr = true;
        tls_pair_prepare(&t);
        tls_trust(t.server.ctx,
                  atls_attester_chain(t.p.client.config->options.attester, &(size_t){0})[0]);
        tls_pair_start(&t);
        tls_pair_run(&t);
        tls_pair_assert_open("painted", &t, 20000);
        tls_pair_clear(&t);
    }
    ASYNC_cleanup_thread();
    assert_true(deepest > 1000); /* it was painted, and used */
    print_message("deepest: %zu bytes\n", deepest);
    assert_true(deepest < STACK_OF_OLD * 3 / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fits_the_stack_of_old),
    };

    signal(SIGPIPE, SIG_IGN);
    if (ASYNC_set_mem_functions(paint, look) != 1)
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    puts("skipped: this OpenSSL, or a sanitizer, does not let us measure stacks");
    return 77;
}

#endif
