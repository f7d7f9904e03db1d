/* The intra-handshake flavour over OpenSSL. */
#include "tls/openssl/flavour.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "testlib.h"

#include <openssl/async.h>
#include <openssl/err.h>

#include "flavour/intra/intra.h"
#include "tls_pair.h"

/* ---- who attests, over what, driven how ---- */

enum who { SERVER = 1, CLIENT = 2, MUTUAL = 3 };

static void attest(struct tls_pair *t, enum who who)
{
    t->p.server.attests = true; /* a server has a certificate all the same */
    t->p.client.attests = (who & CLIENT) != 0;
    t->p.client.requires = (who & SERVER) != 0;
    t->p.server.requires = (who & CLIENT) != 0;
}

static void assert_peer(const char *row, const struct tls_end *e, bool attested)
{
    struct atls_peer peer;

    atls_session_peer(atls_openssl_session(e->conn), &peer);
    if (peer.attested != attested || (attested && strcmp(peer.binding, "connection") != 0) ||
        (attested && strcmp(peer.freshness, "connection") != 0) ||
        peer.flavour != ATLS_FLAVOUR_INTRA)
        fail_msg("%s: peer attested %d, binding %s, freshness %s", row, (int)peer.attested,
                 peer.binding, peer.freshness);
}

static void attests_every_way_round(void **state)
{
    (void)state;
    for (int i = 0; i < 3 * 2 * 2 * 2; i++) {
        const enum who who = (enum who)(i % 3 + 1);
        const bool async = i / 12 % 2 == 1;
        struct tls_pair t;
        char row[80];

#if defined(__SANITIZE_THREAD__)
        if (async)
            continue;
#endif
        tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
        attest(&t, who);
        t.hrr = i / 3 % 2 == 1;
        t.sha384 = i / 6 % 2 == 1;
        t.async = async;
        snprintf(row, sizeof row, "who %d, hrr %d, sha384 %d, async %d", (int)who, (int)t.hrr,
                 (int)t.sha384, (int)async);
        tls_pair_start(&t);
        tls_pair_run(&t);
        tls_pair_assert_open(row, &t, 50000);
        assert_peer(row, &t.client, (who & SERVER) != 0);
        assert_peer(row, &t.server, (who & CLIENT) != 0);
        tls_pair_clear(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attests_every_way_round),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
