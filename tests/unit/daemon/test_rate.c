#include "rate.h"

#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "testlib.h"

static struct sockaddr_storage v4(uint32_t host)
{
    struct sockaddr_storage out;
    struct sockaddr_in in = {.sin_family = AF_INET};

    in.sin_addr.s_addr = htonl(host);
    memset(&out, 0, sizeof out);
    memcpy(&out, &in, sizeof in);
    return out;
}

static struct sockaddr_storage v6(const char *text)
{
    struct sockaddr_storage out;
    struct sockaddr_in6 in = {.sin6_family = AF_INET6};

    assert_int_equal(inet_pton(AF_INET6, text, &in.sin6_addr), 1);
    memset(&out, 0, sizeof out);
    memcpy(&out, &in, sizeof in);
    return out;
}

static unsigned take(const struct sockaddr_storage *address, int64_t now_ms)
{
    return rate_take((const struct sockaddr *)address, now_ms);
}

static void test_burst_then_rate(void **state)
{
    struct sockaddr_storage a = v4(0x7f000001), b = v4(0x7f000002);

    (void)state;
    rate_setup(10, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(take(&a, 1000), 0);
    assert_int_equal(take(&a, 1000), 1);
    assert_int_equal(take(&b, 1000), 0); /* another client has its own */
    assert_int_equal(take(&a, 1099), 1);
    assert_int_equal(take(&a, 1100), 0); /* a tenth of a second: one */
    assert_int_equal(take(&a, 1100), 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(take(&a, 1000000), 0); /* a long time: not more than a burst */
    assert_int_equal(take(&a, 1000000), 1);
    assert_int_equal(take(&a, 999000), 1); /* a clock that goes back brings nothing */
}

static void test_switched_off(void **state)
{
    struct sockaddr_storage a = v4(0x7f000001);
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    (void)state;
    rate_setup(0, 1);
    for (int i = 0; i < 10; i++)
        assert_int_equal(take(&a, 1), 0);
    rate_setup(1, 1);
    assert_int_equal(take(&a, 1), 0);
    assert_int_equal(take(&a, 1), 1);
    for (int i = 0; i < 10; i++)
        assert_int_equal(rate_take((const struct sockaddr *)&un, 1), 0);
    assert_int_equal(rate_take(NULL, 1), 0);
}

static void test_networks_of_v6(void **state)
{
    struct sockaddr_storage a = v6("2001:db8::1"), b = v6("2001:db8::ffff:1"),
                            c = v6("2001:db8:0:1::1"), d = v6("::ffff:127.0.0.1"),
                            e = v6("::ffff:127.0.0.2");

    (void)state;
    rate_setup(1, 1);
    assert_int_equal(take(&a, 1), 0);
    assert_int_equal(take(&b, 1), 1); /* the same /64 */
    assert_int_equal(take(&c, 1), 0);
    assert_int_equal(take(&d, 1), 0);
    assert_int_equal(take(&e, 1), 0); /* mapped addresses are not one network */
    assert_int_equal(take(&d, 1), 1);
}

/* Far more clients than there is room for: each still gets its burst, and one that goes on is
 * still held back. */
static void test_many_clients(void **state)
{
    struct sockaddr_storage busy = v4(1);
    unsigned held = 0;

    (void)state;
    rate_setup(1, 2);
    for (uint32_t i = 0; i < 100000; i++) {
        struct sockaddr_storage a = v4(0x0a000000 + i);

        assert_int_equal(take(&a, 1000), 0);
        held += take(&busy, 1000) > 0;
    }
    assert_true(held > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_burst_then_rate),
        cmocka_unit_test(test_switched_off),
        cmocka_unit_test(test_networks_of_v6),
        cmocka_unit_test(test_many_clients),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
