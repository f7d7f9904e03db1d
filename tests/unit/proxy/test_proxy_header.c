#include "proxy_header.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "testlib.h"

#define SIGNATURE "\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"
#define V4        SIGNATURE "\x21\x11"
#define ADDRESSES "\x0a\x00\x00\x01\x0a\x00\x00\x02\x12\x34\x01\xbb"

/* In a block of its own size, so that the address sanitizer sees reads past the end. */
static enum atls_code read_exact(struct atls_bytes in, struct proxy_header *out, size_t *need,
                                 struct atls_err *err)
{
    uint8_t *copy = malloc(in.len > 0 ? in.len : 1);
    enum atls_code code;

    if (copy == NULL)
        abort();
    memcpy(copy, in.ptr, in.len);
    code = proxy_header_read(atls_bytes_of(copy, in.len), out, need, err);
    free(copy);
    return code;
}

static void test_inet(void **state)
{
    const struct atls_bytes in = HEX(V4 "\x00\x0c" ADDRESSES "GET /");
    struct atls_err err = ATLS_ERR_INIT;
    struct proxy_header h;
    struct sockaddr_in a;
    char text[64];
    size_t need = 0;

    (void)state;
    test_assert_code(proxy_header_read(in, &h, &need, &err), ATLS_OK, &err);
    assert_int_equal(h.len, 28);
    assert_int_equal(need, 28);
    assert_true(h.has_addresses);
    memcpy(&a, &h.source, sizeof a);
    assert_int_equal(a.sin_family, AF_INET);
    assert_string_equal(inet_ntop(AF_INET, &a.sin_addr, text, sizeof text), "10.0.0.1");
    assert_int_equal(ntohs(a.sin_port), 0x1234);
    memcpy(&a, &h.destination, sizeof a);
    assert_string_equal(inet_ntop(AF_INET, &a.sin_addr, text, sizeof text), "10.0.0.2");
    assert_int_equal(ntohs(a.sin_port), 443);
    assert_int_equal(h.alpn.len, 0);
    assert_int_equal(h.authority.len, 0);
}

/* Nothing of what they say counts, be it what it may. */
static void test_no_addresses(void **state)
{
    static const struct atls_bytes in[] = {
        HEX(SIGNATURE "\x20\x00\x00\x00"),
        HEX(SIGNATURE "\x20\x11\x00\x02zz"),
        HEX(SIGNATURE "\x20\xff\x00\x00"),
        HEX(SIGNATURE "\x21\x00\x00\x00"),
        HEX(SIGNATURE "\x21\x00\x00\x03\x01\x00\x05"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof in / sizeof in[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct proxy_header h;
        size_t need;

        test_assert_code(read_exact(in[i], &h, &need, &err), ATLS_OK, &err);
        assert_int_equal(h.len, in[i].len);
        assert_false(h.has_addresses);
        assert_int_equal(h.alpn.len, 0);
    }
}

static void test_truncated(void **state)
{
    const struct atls_bytes in = HEX(V4 "\x00\x0f" ADDRESSES "\x04\x00\x00");

    (void)state;
    for (size_t len = 0; len < in.len; len++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct proxy_header h;
        size_t need = 0;

        test_assert_code(read_exact(atls_bytes_of(in.ptr, len), &h, &need, &err), ATLS_OK, &err);
        assert_int_equal(h.len, 0);
        assert_int_equal(need, len < 16 ? 16 : in.len);
    }
}

static const struct {
    const char *what;
    struct atls_bytes in;
    enum atls_code code;
    const char *message;
} bad[] = {
    {"plain text", HEX("G"), ATLS_E_DECODE, "does not begin"},
    {"last byte of the signature", HEX("\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0b"),
     ATLS_E_DECODE, "does not begin"},
    {"version 1", HEX("PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n"), ATLS_E_DECODE, "does not begin"},
    {"version 3", HEX(SIGNATURE "\x31"), ATLS_E_UNSUPPORTED, "version 3"},
    {"command 2", HEX(SIGNATURE "\x22"), ATLS_E_DECODE, "command"},
    {"datagrams", HEX(SIGNATURE "\x21\x12"), ATLS_E_UNSUPPORTED, "wanted a stream"},
    {"no protocol", HEX(SIGNATURE "\x21\x10"), ATLS_E_UNSUPPORTED, "wanted a stream"},
    {"unknown family", HEX(SIGNATURE "\x21\x41"), ATLS_E_UNSUPPORTED, "wanted a stream"},
    {"over the limit", HEX(V4 "\x0f\xf1"), ATLS_E_LIMIT, "4097 bytes"},
    {"addresses cut", HEX(V4 "\x00\x0b\x0a\x00\x00\x01\x0a\x00\x00\x02\x12\x34\x01"), ATLS_E_DECODE,
     "too short"},
    {"a byte behind the addresses", HEX(V4 "\x00\x0d" ADDRESSES "\x04"), ATLS_E_DECODE, "TLVs"},
    {"TLV without its length", HEX(V4 "\x00\x0e" ADDRESSES "\x04\x00"), ATLS_E_DECODE, "TLVs"},
    {"TLV over the end", HEX(V4 "\x00\x0f" ADDRESSES "\x04\x00\x01"), ATLS_E_DECODE, "TLVs"},
    {"empty ALPN", HEX(V4 "\x00\x0f" ADDRESSES "\x01\x00\x00"), ATLS_E_DECODE, "ALPN"},
    {"two ALPNs", HEX(V4 "\x00\x14" ADDRESSES "\x01\x00\x01z\x01\x00\x01z"), ATLS_E_DECODE, "ALPN"},
    {"empty authority", HEX(V4 "\x00\x0f" ADDRESSES "\x02\x00\x00"), ATLS_E_DECODE, "authority"},
    {"authority with a space", HEX(V4 "\x00\x10" ADDRESSES "\x02\x00\x01 "), ATLS_E_DECODE,
     "visible"},
    {"authority with a control", HEX(V4 "\x00\x10" ADDRESSES "\x02\x00\x01\x7f"), ATLS_E_DECODE,
     "visible"},
    {"CRC of 3 bytes", HEX(V4 "\x00\x12" ADDRESSES "\x03\x00\x03\x00\x00\x00"), ATLS_E_DECODE,
     "has not 4"},
    {"wrong CRC", HEX(V4 "\x00\x13" ADDRESSES "\x03\x00\x04\x00\x00\x00\x00"), ATLS_E_DECODE,
     "is not that of"},
    {"SSL of 4 bytes", HEX(V4 "\x00\x13" ADDRESSES "\x20\x00\x04\x00\x00\x00\x00"), ATLS_E_DECODE,
     "SSL"},
    {"SSL with a cut TLV",
     HEX(V4 "\x00\x17" ADDRESSES "\x20\x00\x08\x00\x00\x00\x00\x00\x21\x00\x01"), ATLS_E_DECODE,
     "SSL"},
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct proxy_header h;
        size_t need;

        print_message("%s\n", bad[i].what);
        test_assert_code(read_exact(bad[i].in, &h, &need, &err), bad[i].code, &err);
        assert_non_null(strstr(err.message, bad[i].message));
        assert_int_equal(err.reason,
                         bad[i].code == ATLS_E_DECODE ? ATLS_REASON_MALFORMED : ATLS_REASON_NONE);
    }
}

/* Good beside the bad ones: what differs is only what is refused there. */
static const struct atls_bytes good[] = {
    HEX(V4 "\x00\x0f" ADDRESSES "\x04\x00\x00"),
    HEX(V4 "\x00\x10" ADDRESSES "\x01\x00\x01z"),
    HEX(V4 "\x00\x10" ADDRESSES "\x02\x00\x01z"),
    HEX(V4 "\x00\x14" ADDRESSES "\x20\x00\x05\x07\x00\x00\x00\x00"),
    HEX(V4 "\x00\x18" ADDRESSES "\x20\x00\x09\x07\x00\x00\x00\x00\x21\x00\x01x"),
    HEX(V4 "\x00\x10" ADDRESSES "\xe0\x00\x01?"),
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct proxy_header h;
        size_t need;

        test_assert_code(read_exact(good[i], &h, &need, &err), ATLS_OK, &err);
        assert_int_equal(h.len, good[i].len);
        assert_true(h.has_addresses);
    }
}

static void test_unique_id(void **state)
{
    (void)state;
    for (size_t len = 128; len <= 129; len++) {
        uint8_t in[16 + 12 + 3 + 129] = V4;
        struct proxy_header h;
        size_t need;

        in[15] = (uint8_t)(12 + 3 + len);
        in[28] = 0x05;
        in[30] = (uint8_t)len;
        assert_int_equal(proxy_header_read(atls_bytes_of(in, 31 + len), &h, &need, NULL),
                         len == 128 ? ATLS_OK : ATLS_E_DECODE);
    }
}

/* ---- writing ---- */

struct ends {
    struct sockaddr_storage a, b;
};

static struct ends ends_of(int family)
{
    struct ends e;
    struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(0x1234)}, b4 = a4;
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(1)}, b6 = a6;
    struct sockaddr_un au = {.sun_family = AF_UNIX}, bu = au;

    memset(&e, 0, sizeof e);
    if (family == AF_INET) {
        assert_int_equal(inet_pton(AF_INET, "192.0.2.1", &a4.sin_addr), 1);
        assert_int_equal(inet_pton(AF_INET, "192.0.2.2", &b4.sin_addr), 1);
        b4.sin_port = htons(443);
        memcpy(&e.a, &a4, sizeof a4);
        memcpy(&e.b, &b4, sizeof b4);
    } else if (family == AF_INET6) {
        assert_int_equal(inet_pton(AF_INET6, "2001:db8::1", &a6.sin6_addr), 1);
        assert_int_equal(inet_pton(AF_INET6, "2001:db8::2", &b6.sin6_addr), 1);
        b6.sin6_port = htons(65535);
        memcpy(&e.a, &a6, sizeof a6);
        memcpy(&e.b, &b6, sizeof b6);
    } else {
        memset(au.sun_path, 'p', sizeof au.sun_path); /* all of its bytes, no zero */
        snprintf(bu.sun_path, sizeof bu.sun_path, "/run/web");
        memcpy(&e.a, &au, sizeof au);
        memcpy(&e.b, &bu, sizeof bu);
    }
    return e;
}

static void check_round_trip(int family)
{
    struct ends e = ends_of(family);
    struct proxy_header_said said = {.source = (const struct sockaddr *)&e.a,
                                     .destination = (const struct sockaddr *)&e.b,
                                     .alpn = HEX("h2"),
                                     .authority = HEX("a.example")};
    uint8_t out[PROXY_HEADER_MAX];
    struct atls_err err = ATLS_ERR_INIT;
    struct proxy_header h;
    size_t len, need;

    test_assert_code(proxy_header_write(&said, out, &len, &err), ATLS_OK, &err);
    test_assert_code(proxy_header_read(atls_bytes_of(out, len), &h, &need, &err), ATLS_OK, &err);
    assert_int_equal(h.len, len);
    assert_true(h.has_addresses);
    assert_memory_equal(&h.source, &e.a, sizeof e.a);
    assert_memory_equal(&h.destination, &e.b, sizeof e.b);
    test_assert_bytes(h.alpn, said.alpn);
    test_assert_bytes(h.authority, said.authority);
    /* Of the addresses every bit is in the checksum. */
    for (size_t bit = 16 * 8; bit < 28 * 8; bit++) {
        out[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(proxy_header_read(atls_bytes_of(out, len), &h, &need, &err),
                         ATLS_E_DECODE);
        assert_non_null(strstr(err.message, "is not that of"));
        out[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    check_round_trip(AF_INET);
    check_round_trip(AF_INET6);
    check_round_trip(AF_UNIX);
}

static void test_crc_twice(void **state)
{
    const struct atls_bytes in = HEX(V4 "\x00\x1a" ADDRESSES "\x03\x00\x04\x00\x00\x00\x00"
                                        "\x03\x00\x04\x00\x00\x00\x00");
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t copy[42];
    struct proxy_header h;
    size_t need;

    (void)state;
    memcpy(copy, in.ptr, sizeof copy);
    /* The first one is right: computed with itself, not the second, as zeros. */
    memcpy(copy + 31, "\x58\x11\x0d\xb3", 4);
    test_assert_code(proxy_header_read(atls_bytes_of(copy, sizeof copy), &h, &need, &err),
                     ATLS_E_DECODE, &err);
    assert_non_null(strstr(err.message, "there twice"));
}

static void test_mixed_families(void **state)
{
    struct ends a = ends_of(AF_INET), b = ends_of(AF_INET6), c = a;
    const struct proxy_header_said said[] = {
        {.source = (const struct sockaddr *)&a.a, .destination = (const struct sockaddr *)&b.b},
        {.source = (const struct sockaddr *)&a.a},
        {.destination = (const struct sockaddr *)&a.a},
        {.source = (const struct sockaddr *)&c.a, .destination = (const struct sockaddr *)&c.b},
    };

    (void)state;
    c.a.ss_family = c.b.ss_family = AF_UNSPEC;
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
        uint8_t out[PROXY_HEADER_MAX];
        struct proxy_header h;
        size_t len, need;

        assert_int_equal(proxy_header_write(&said[i], out, &len, NULL), ATLS_OK);
        assert_int_equal(out[13], 0);
        assert_int_equal(proxy_header_read(atls_bytes_of(out, len), &h, &need, NULL), ATLS_OK);
        assert_int_equal(h.len, len);
        assert_false(h.has_addresses);
    }
}

static void test_full(void **state)
{
    static char value[4096];
    const struct proxy_header_claim claim = {"n", value};
    const struct proxy_header_attestation a = {.claims = &claim, .claim_count = 1};
    const struct proxy_header_said said = {.attestation = &a};
    uint8_t out[PROXY_HEADER_MAX];
    struct atls_err err = ATLS_ERR_INIT;
    size_t len = 7;

    (void)state;
    /* Head, TLV with "n=", checksum. */
    memset(value, 'v', PROXY_HEADER_MAX - 16 - 3 - 2 - 7);
    test_assert_code(proxy_header_write(&said, out, &len, &err), ATLS_OK, &err);
    assert_int_equal(len, PROXY_HEADER_MAX);
    value[strlen(value)] = 'v';
    len = 7;
    test_assert_code(proxy_header_write(&said, out, &len, &err), ATLS_E_LIMIT, &err);
    assert_int_equal(len, 7);
}

/* ---- the example of docs/proxy-header.md ---- */

static struct atls_buf example(void)
{
    struct atls_buf file = test_vector("../../docs/proxy-header.md"), out;
    char hex[2048] = "", *text = calloc(1, file.len + 1), *line, *rest;
    size_t n = 0;

    if (text == NULL)
        abort();
    memcpy(text, file.ptr, file.len);
    atls_buf_clear(&file);
    if ((line = strstr(text, "```hex\n")) == NULL)
        abort();
    for (line = strtok_r(line + 7, "\n", &rest); line != NULL && strcmp(line, "```") != 0;
         line = strtok_r(NULL, "\n", &rest))
        for (; *line != '\0' && *line != '#'; line++)
            if (*line != ' ' && n + 1 < sizeof hex)
                hex[n++] = *line;
    free(text);
    out = test_unhex(hex);
    return out;
}

static void test_example(void **state)
{
    static const uint8_t ear[32] = {0xea, [31] = 0x01}, key[32] = {0x4e, [31] = 0x02};
    static const struct proxy_header_claim claims[] = {
        {"submods.TPM.ear_attester_claims.reset-count", "7"}};
    struct proxy_header_attestation a = {.verdict = "affirming",
                                         .evidence = "tpm",
                                         .binding = "connection",
                                         .freshness = "connection",
                                         .ear = atls_bytes_of(ear, 32),
                                         .instance = HEX("\x01\xaa\xbb"),
                                         .key = atls_bytes_of(key, 32),
                                         .claims = claims,
                                         .claim_count = 1};
    struct ends e = ends_of(AF_INET);
    struct proxy_header_said said = {.source = (const struct sockaddr *)&e.a,
                                     .destination = (const struct sockaddr *)&e.b,
                                     .alpn = HEX("http/1.1"),
                                     .authority = HEX("api.example"),
                                     .attestation = &a};
    struct atls_buf want = example();
    uint8_t out[PROXY_HEADER_MAX];
    struct atls_err err = ATLS_ERR_INIT;
    size_t len;

    (void)state;
    test_assert_code(proxy_header_write(&said, out, &len, &err), ATLS_OK, &err);
    test_assert_bytes(atls_bytes_of(out, len), atls_buf_bytes(&want));
    atls_buf_clear(&want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inet),           cmocka_unit_test(test_no_addresses),
        cmocka_unit_test(test_truncated),      cmocka_unit_test(test_bad),
        cmocka_unit_test(test_good),           cmocka_unit_test(test_unique_id),
        cmocka_unit_test(test_round_trip),     cmocka_unit_test(test_crc_twice),
        cmocka_unit_test(test_mixed_families), cmocka_unit_test(test_full),
        cmocka_unit_test(test_example),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
