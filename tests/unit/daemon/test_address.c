#include "address.h"

#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "testlib.h"

#define LABEL63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define NAME253                                                                                    \
    LABEL63 "." LABEL63 "." LABEL63 ".aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
            "aa"

static const struct {
    const char *text;
    enum address_use use;
    enum address_family family;
    const char *host, *port, *path;
    bool numeric, loopback;
} good[] = {
    {"127.0.0.1:8443", ADDRESS_LISTEN, ADDRESS_TCP, "127.0.0.1", "8443", NULL, true, true},
    {"127.255.0.1:1", ADDRESS_LISTEN, ADDRESS_TCP, "127.255.0.1", "1", NULL, true, true},
    {"0.0.0.0:0", ADDRESS_LISTEN, ADDRESS_TCP, "0.0.0.0", "0", NULL, true, false},
    {"[::1]:65535", ADDRESS_LISTEN, ADDRESS_TCP, "::1", "65535", NULL, true, true},
    {"[::]:00080", ADDRESS_LISTEN, ADDRESS_TCP, "::", "80", NULL, true, false},
    {"unix:/s", ADDRESS_LISTEN, ADDRESS_UNIX, "", "", "/s", false, false},
    {"systemd:web", ADDRESS_LISTEN, ADDRESS_SYSTEMD, "", "", "web", false, false},
    {"10.0.0.1:80", ADDRESS_TARGET, ADDRESS_TCP, "10.0.0.1", "80", NULL, true, false},
    {"[2001:db8::1]:80", ADDRESS_TARGET, ADDRESS_TCP, "2001:db8::1", "80", NULL, true, false},
    {"db:5432", ADDRESS_TARGET, ADDRESS_TCP, "db", "5432", NULL, false, false},
    {"a-b.C_d.example.:1", ADDRESS_TARGET, ADDRESS_TCP, "a-b.C_d.example.", "1", NULL, false,
     false},
    {NAME253 ":1", ADDRESS_TARGET, ADDRESS_TCP, NAME253, "1", NULL, false, false},
    {"systemd:80", ADDRESS_TARGET, ADDRESS_TCP, "systemd", "80", NULL, false, false},
    {"unix:/run/s", ADDRESS_TARGET, ADDRESS_UNIX, "", "", "/run/s", false, false},
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct address a;

        test_assert_code(address_parse(good[i].text, good[i].use, &a, &err), ATLS_OK, &err);
        assert_ptr_equal(a.text, good[i].text);
        assert_int_equal(a.family, good[i].family);
        assert_string_equal(a.host, good[i].host);
        assert_string_equal(a.port, good[i].port);
        if (good[i].path != NULL)
            assert_string_equal(a.path, good[i].path);
        else
            assert_null(a.path);
        assert_int_equal(a.numeric, good[i].numeric);
        assert_int_equal(a.loopback, good[i].loopback);
    }
}

static const struct {
    const char *text;
    enum address_use use;
    const char *rule;
} bad[] = {
    {"", ADDRESS_LISTEN, "want ADDRESS:PORT, unix:PATH or systemd:NAME"},
    {"127.0.0.1", ADDRESS_LISTEN, "want ADDRESS:PORT"},
    {"127.0.0.1:", ADDRESS_LISTEN, "want ADDRESS:PORT"},
    {"127.0.0.1:65536", ADDRESS_LISTEN, "want ADDRESS:PORT"},
    {"127.0.0.1:4294967376", ADDRESS_LISTEN, "want ADDRESS:PORT"},
    {"127.0.0.1:+80", ADDRESS_LISTEN, "want ADDRESS:PORT"},
    {"127.0.0.1:80 ", ADDRESS_LISTEN, "want ADDRESS:PORT"},
    {":80", ADDRESS_LISTEN, "want ADDRESS:PORT"},
    {"localhost:80", ADDRESS_LISTEN, "not a name"},
    {"[]:80", ADDRESS_LISTEN, "not a name"},
    {"[127.0.0.1]:80", ADDRESS_LISTEN, "not a name"},
    {"::1:80", ADDRESS_LISTEN, "want [::1]:PORT"},
    {"2001:db8::1", ADDRESS_LISTEN, "not a name"},
    {"[::1:80", ADDRESS_LISTEN, "not a name"},
    {"systemd:", ADDRESS_LISTEN, "FileDescriptorName is missing"},
    {"unix:", ADDRESS_LISTEN, "absolute path"},
    {"unix:s", ADDRESS_LISTEN, "absolute path"},
    {"", ADDRESS_TARGET, "want HOST:PORT or unix:PATH"},
    {"db", ADDRESS_TARGET, "want HOST:PORT"},
    {"db:0", ADDRESS_TARGET, "want HOST:PORT"},
    {":80", ADDRESS_TARGET, "want HOST:PORT"},
    {"d b:80", ADDRESS_TARGET, "want an IP address or a name"},
    {"[db]:80", ADDRESS_TARGET, "want an IP address or a name"},
    {"[10.0.0.1]:80", ADDRESS_TARGET, "want an IP address or a name"},
    {"2001:db8::1:80", ADDRESS_TARGET, "want [2001:db8::1]:PORT"},
    {".db:80", ADDRESS_TARGET, "want an IP address or a name"},
    {"a..b:80", ADDRESS_TARGET, "want an IP address or a name"},
    {".:80", ADDRESS_TARGET, "want an IP address or a name"},
    {LABEL63 "a:80", ADDRESS_TARGET, "want an IP address or a name"},
    {NAME253 "a:80", ADDRESS_TARGET, "want an IP address or a name"},
    {"systemd:web", ADDRESS_TARGET, "want HOST:PORT"},
    {"unix:s", ADDRESS_TARGET, "absolute path"},
};

static void test_bad(void **state)
{
    char path[5 + 108 + 1];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct address a = {.text = "as before"};

        test_assert_code(address_parse(bad[i].text, bad[i].use, &a, &err), ATLS_E_CONFIG, &err);
        if (strstr(err.message, bad[i].rule) == NULL)
            fail_msg("\"%s\": %s", bad[i].text, err.message);
        assert_string_equal(a.text, "as before");
    }
    memset(path, 'a', sizeof path);
    memcpy(path, "unix:/", 6);
    path[5 + 108] = '\0';
    for (size_t len = 108; len >= 107; len--) {
        struct address a;

        path[5 + len] = '\0';
        assert_int_equal(address_parse(path, ADDRESS_TARGET, &a, NULL),
                         len > 107 ? ATLS_E_CONFIG : ATLS_OK);
    }
    /* Longer than a host may be. */
    {
        char text[300];
        struct address a;

        memset(text, '1', sizeof text);
        memcpy(text + sizeof text - 4, ":80", 4);
        assert_int_equal(address_parse(text, ADDRESS_TARGET, &a, NULL), ATLS_E_CONFIG);
    }
}

static void test_passwords(void **state)
{
    static const struct {
        const char *uri;
        bool has_password;
    } rows[] = {
        {"postgresql://u:p@h/d", true},
        {"local:postgres://u:p@h:1,g:2/d?x=y", true},
        {"postgresql://h/d?user=u&password=p", true},
        {"https://u:p@h", true},
        {"postgresql://u@h:5432/d", false},
        {"postgresql://h:5432/d?options=a:b@c", false},
        {"/var/lib/u:p@h", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(address_has_password(rows[i].uri), rows[i].has_password);
}

static void test_hosts(void **state)
{
    (void)state;
    assert_true(address_is_host("a.example"));
    assert_true(address_is_host("10.0.0.1"));
    assert_true(address_is_host("2001:db8::1"));
    assert_false(address_is_host("[2001:db8::1]"));
    assert_false(address_is_host(""));
    assert_false(address_is_host("a:80"));
}

static void test_same(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"127.0.0.1:80", "127.0.0.1:080", true},
        {"127.0.0.1:80", "127.0.0.1:81", false},
        {"127.0.0.1:80", "127.0.0.2:80", false},
        {"[::1]:80", "[0:0::1]:80", true},
        {"[::1]:80", "[::2]:80", false},
        {"[::1]:80", "127.0.0.1:80", false},
        {"a:80", "a:80", true},
        {"a:80", "b:80", false},
        {"unix:/s", "unix:/s", true},
        {"unix:/s", "unix:/t", false},
        {"unix:/s", "127.0.0.1:80", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct address a, b;

        assert_int_equal(address_parse(rows[i].a, ADDRESS_TARGET, &a, NULL), ATLS_OK);
        assert_int_equal(address_parse(rows[i].b, ADDRESS_TARGET, &b, NULL), ATLS_OK);
        assert_int_equal(address_same(&a, &b), rows[i].same);
        assert_int_equal(address_same(&b, &a), rows[i].same);
    }
}

static struct sockaddr_storage six(const char *text)
{
    struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_port = htons(443)};
    struct sockaddr_storage out = {0};

    assert_int_equal(inet_pton(AF_INET6, text, &in.sin6_addr), 1);
    memcpy(&out, &in, sizeof in);
    return out;
}

static void test_unmap(void **state)
{
    struct sockaddr_storage mapped = six("::ffff:192.0.2.7"), other = six("2001:db8::7"), unknown;
    const struct sockaddr_storage before = other;
    struct sockaddr_in four;

    (void)state;
    address_unmap(&mapped);
    memcpy(&four, &mapped, sizeof four);
    assert_int_equal(four.sin_family, AF_INET);
    assert_int_equal(ntohs(four.sin_port), 443);
    assert_int_equal(ntohl(four.sin_addr.s_addr), 0xc0000207);
    address_unmap(&mapped);
    assert_memory_equal(&mapped, &four, sizeof four);
    address_unmap(&other);
    assert_memory_equal(&other, &before, sizeof before);
    unknown = (struct sockaddr_storage){.ss_family = AF_UNSPEC};
    address_unmap(&unknown);
    assert_int_equal(unknown.ss_family, AF_UNSPEC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),  cmocka_unit_test(test_bad),  cmocka_unit_test(test_passwords),
        cmocka_unit_test(test_hosts), cmocka_unit_test(test_same), cmocka_unit_test(test_unmap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
