/* Handshakes that attest, short of memory: they fail and say so, or hold all that they should. */
#include "tls/openssl/flavour.h"

#include <signal.h>
#include <stdlib.h>

#include "testlib.h"

#include <openssl/err.h>

#include "failing_alloc.h"
#include "tls_pair.h"

/* Primes, so that no allocation is always passed over. */
#define STRIDE_PREPARE   3
#define STRIDE_HANDSHAKE 17

static void prepares_or_says_that_memory_is_short(void **state)
{
    bool failed = true;

    (void)state;
    for (size_t n = 0; failed; n += STRIDE_PREPARE) {
        struct tls_pair t;
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code;

        tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
        pair_configure(&t.p);
        test_failing_alloc_arm(n);
        code = atls_openssl_prepare_for(t.server.ctx, t.p.server.config, &err);
        failed = test_failing_alloc_disarm();
        if (!failed)
            test_assert_code(code, ATLS_OK, &err);
        else if (code != ATLS_OK)
            assert_true(err.code == code && err.message[0] != '\0');
        ERR_clear_error();
        tls_pair_clear(&t);
    }
}

static void attests_or_says_that_memory_is_short(void **state)
{
    bool failed = true;

    (void)state;
    for (size_t n = 0; failed; n += STRIDE_HANDSHAKE) {
        struct tls_pair t;
        struct atls_peer peer;

        tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
        tls_pair_start(&t);
        test_failing_alloc_arm(n);
        tls_pair_run(&t);
        failed = test_failing_alloc_disarm();
        for (int i = 0; i < 2; i++) {
            struct tls_end *e = i == 0 ? &t.client : &t.server;

            if (e->open) {
                atls_session_peer(atls_openssl_session(e->conn), &peer);
                assert_true(peer.attested);
            } else {
                assert_true(failed);
            }
        }
        tls_pair_clear(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prepares_or_says_that_memory_is_short),
        cmocka_unit_test(attests_or_says_that_memory_is_short),
    };

    test_failing_alloc_install();
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
