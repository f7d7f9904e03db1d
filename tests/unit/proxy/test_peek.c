#include "peek.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ssl.h>

#include "testlib.h"

/* A ClientHello that grows: message bytes, without a record. */
struct hello {
    uint8_t bytes[20000];
    size_t len;
};

static void add(struct hello *h, const void *bytes, size_t len)
{
    if (len > sizeof h->bytes - h->len)
        abort();
    if (len > 0)
        memcpy(h->bytes + h->len, bytes, len);
    h->len += len;
}

static void add_u16(struct hello *h, size_t value)
{
    const uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};

    add(h, bytes, 2);
}

/* Up to its extensions, with a session identifier and suites of these lengths. */
static void begin(struct hello *h, uint8_t session, size_t suites, uint8_t methods)
{
    static const uint8_t zeros[256];

    h->len = 0;
    add(h, "\x01\x00\x00\x00\x03\x03", 6);
    add(h, zeros, 32);
    add(h, &session, 1);
    add(h, zeros, session);
    add_u16(h, suites);
    add(h, zeros, suites);
    add(h, &methods, 1);
    add(h, zeros, methods);
}

/* The length of the message. */
static void finish(struct hello *h)
{
    h->bytes[1] = 0;
    h->bytes[2] = (uint8_t)((h->len - 4) >> 8);
    h->bytes[3] = (uint8_t)(h->len - 4);
}

/* With these bytes as extensions. */
static void make(struct hello *h, struct atls_bytes extensions)
{
    begin(h, 0, 2, 1);
    add_u16(h, extensions.len);
    add(h, extensions.ptr, extensions.len);
    finish(h);
}

/* In records of at most so many bytes. */
static struct atls_buf records(struct atls_bytes message, size_t fragment)
{
    struct atls_buf out = {malloc(message.len * 6 + 5), 0};

    if (out.ptr == NULL)
        abort();
    for (size_t pos = 0; pos < message.len;) {
        size_t n = message.len - pos < fragment ? message.len - pos : fragment;
        const uint8_t head[5] = {22, 3, 1, (uint8_t)(n >> 8), (uint8_t)n};

        memcpy(out.ptr + out.len, head, 5);
        memcpy(out.ptr + out.len + 5, message.ptr + pos, n);
        out.len += 5 + n;
        pos += n;
    }
    return out;
}

/* In a block of its own size, so that the address sanitizer sees reads past the end. */
static enum peek_state peek_exact(struct atls_bytes in, struct peek *out, struct atls_err *err)
{
    uint8_t *copy = malloc(in.len > 0 ? in.len : 1);
    enum peek_state state;

    if (copy == NULL)
        abort();
    if (in.len > 0)
        memcpy(copy, in.ptr, in.len);
    atls_err_clear(err);
    state = peek_client_hello(atls_bytes_of(copy, in.len), out, err);
    free(copy);
    return state;
}

static enum peek_state peek_message(const struct hello *h, struct peek *out, struct atls_err *err)
{
    struct atls_buf in = records(atls_bytes_of(h->bytes, h->len), 16384);
    enum peek_state state = peek_exact(atls_buf_bytes(&in), out, err);

    atls_buf_clear(&in);
    return state;
}

/* ---- one that a TLS library made ---- */

static struct atls_buf real_hello(void)
{
    static const unsigned char alpn[] = "\x06"
                                        "atls/1"
                                        "\x08"
                                        "http/1.1";
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = ctx != NULL ? SSL_new(ctx) : NULL;
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    struct atls_buf hello = {malloc(4096), 0};
    char name[] = "Web-1.Example.COM";
    int n;

    if (ssl == NULL || in == NULL || out == NULL || hello.ptr == NULL)
        abort();
    SSL_set_bio(ssl, in, out);
    assert_int_equal(SSL_set_tlsext_host_name(ssl, name), 1);
    assert_int_equal(SSL_set_alpn_protos(ssl, alpn, sizeof alpn - 1), 0);
    assert_int_equal(SSL_connect(ssl), -1);
    n = BIO_read(out, hello.ptr, 4096);
    assert_true(n > 100);
    hello.len = (size_t)n;
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    return hello;
}

static void check_real(struct atls_bytes in)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct peek p;

    assert_int_equal(peek_exact(in, &p, &err), PEEK_FOUND);
    assert_string_equal(p.sni, "web-1.example.com");
    assert_int_equal(p.alpn_count, 2);
    assert_string_equal(p.alpn[0], "atls/1");
    assert_string_equal(p.alpn[1], "http/1.1");
    for (size_t len = 0; len < in.len; len++)
        assert_int_equal(peek_exact(atls_bytes_of(in.ptr, len), &p, &err), PEEK_MORE);
}

static void test_real(void **state)
{
    struct atls_buf in = real_hello();
    static const size_t fragments[] = {1, 2, 3, 4, 5, 37, 100};

    (void)state;
    check_real(atls_buf_bytes(&in));
    for (size_t i = 0; i < sizeof fragments / sizeof fragments[0]; i++) {
        struct atls_buf split = records(atls_bytes_of(in.ptr + 5, in.len - 5), fragments[i]);

        check_real(atls_buf_bytes(&split));
        atls_buf_clear(&split);
    }
    atls_buf_clear(&in);
}

/* ---- those that are none ---- */

static void test_not_tls(void **state)
{
    static const struct atls_bytes in[] = {HEX("GET / HTTP/1.1"), HEX("\x16\x02"), HEX("\x15\x03"),
                                           HEX("\x80\x2e\x01"), HEX("\x00")};

    (void)state;
    for (size_t i = 0; i < sizeof in / sizeof in[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct peek p;

        assert_int_equal(peek_exact(in[i], &p, &err), PEEK_NOT_TLS);
        assert_int_equal(err.code, ATLS_OK);
    }
}

static const struct {
    const char *what;
    struct atls_bytes in;
    const char *message;
    enum atls_code code;
} bad_records[] = {
    {"empty record", HEX("\x16\x03\x01\x00\x00"), "record is empty", ATLS_E_DECODE},
    {"record too long", HEX("\x16\x03\x01\x40\x01"), "record is empty", ATLS_E_DECODE},
    {"ServerHello", HEX("\x16\x03\x01\x00\x04\x02"), "another type", ATLS_E_DECODE},
    {"alert in the middle",
     HEX("\x16\x03\x01\x00\x01\x01"
         "\x15"),
     "record of another type", ATLS_E_DECODE},
    {"other version in the middle", HEX("\x16\x03\x01\x00\x01\x01\x16\x04"),
     "record of another version", ATLS_E_DECODE},
    {"message too long", HEX("\x16\x03\x01\x40\x00\x01\x00\x3f\xfd"), "over 16384", ATLS_E_LIMIT},
    {"something behind it", HEX("\x16\x03\x01\x00\x31\x01\x00\x00\x2c"), "something follows",
     ATLS_E_DECODE},
};

static void test_bad_records(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_records / sizeof bad_records[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct peek p;

        print_message("%s\n", bad_records[i].what);
        assert_int_equal(peek_exact(bad_records[i].in, &p, &err), PEEK_BAD);
        assert_non_null(strstr(err.message, bad_records[i].message));
        assert_int_equal(err.code, bad_records[i].code);
        if (err.code == ATLS_E_DECODE)
            assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
    }
}

/* Bytes of records count, too: a message within its limit does not get there in small ones. */
static void test_longest(void **state)
{
    static struct hello h;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf in;
    struct peek p;
    size_t fill;

    (void)state;
    begin(&h, 32, 2, 255);
    fill = PEEK_MAX - 5 - h.len - 2 - 4;
    add_u16(&h, fill + 4);
    add_u16(&h, 21);
    add_u16(&h, fill);
    memset(h.bytes + h.len, 0, fill);
    h.len += fill;
    finish(&h);
    in = records(atls_bytes_of(h.bytes, h.len), 16384);
    assert_int_equal(in.len, PEEK_MAX);
    assert_int_equal(peek_exact(atls_buf_bytes(&in), &p, &err), PEEK_FOUND);
    assert_string_equal(p.sni, "");
    assert_int_equal(p.alpn_count, 0);
    atls_buf_clear(&in);
    in = records(atls_bytes_of(h.bytes, h.len), 16000);
    assert_int_equal(in.len, PEEK_MAX + 5);
    assert_int_equal(peek_exact(atls_buf_bytes(&in), &p, &err), PEEK_BAD);
    assert_int_equal(err.code, ATLS_E_LIMIT);
    assert_int_equal(peek_exact(atls_bytes_of(in.ptr, PEEK_MAX - 1), &p, &err), PEEK_MORE);
    atls_buf_clear(&in);
}

static void test_no_extensions(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    static struct hello h;
    struct peek p;

    (void)state;
    begin(&h, 0, 2, 1);
    finish(&h);
    assert_int_equal(peek_message(&h, &p, &err), PEEK_FOUND);
    assert_string_equal(p.sni, "");
    make(&h, atls_bytes_of(NULL, 0));
    assert_int_equal(peek_message(&h, &p, &err), PEEK_FOUND);
    /* Behind the extensions. */
    add(&h, "", 1);
    finish(&h);
    assert_int_equal(peek_message(&h, &p, &err), PEEK_BAD);
    assert_non_null(strstr(err.message, "do not end where"));
    /* Half a length. */
    begin(&h, 0, 2, 1);
    add(&h, "", 1);
    finish(&h);
    assert_int_equal(peek_message(&h, &p, &err), PEEK_BAD);
    assert_non_null(strstr(err.message, "do not end where"));
}

static void test_vectors(void **state)
{
    static const struct {
        uint8_t session, methods;
        size_t suites;
        enum peek_state want;
    } rows[] = {
        {32, 1, 2, PEEK_FOUND}, {33, 1, 2, PEEK_BAD}, {0, 0, 2, PEEK_BAD},
        {0, 1, 0, PEEK_BAD},    {0, 1, 3, PEEK_BAD},  {0, 1, 4, PEEK_FOUND},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        static struct hello h;
        struct peek p;

        begin(&h, rows[i].session, rows[i].suites, rows[i].methods);
        finish(&h);
        assert_int_equal(peek_message(&h, &p, &err), rows[i].want);
        if (rows[i].want == PEEK_BAD)
            assert_non_null(strstr(err.message, "before its extensions"));
        /* A message that says to be shorter. */
        for (size_t len = 4; len < h.len && rows[i].want == PEEK_FOUND; len++) {
            struct hello cut = h;

            cut.len = len;
            finish(&cut);
            assert_int_equal(peek_message(&cut, &p, &err), PEEK_BAD);
        }
    }
}

#define SNI(list)  "\x00\x00" list
#define ALPN(list) "\x00\x10" list
#define GOOD_SNI   SNI("\x00\x06\x00\x04\x00\x00\x01z")
#define GOOD_ALPN  ALPN("\x00\x04\x00\x02\x01z")
#define SNI_BAD    "server_name"
#define ALPN_BAD   "application_layer"

static const struct {
    const char *what;
    struct atls_bytes extensions;
    const char *message; /* NULL: good */
} rows[] = {
    {"both", HEX(GOOD_SNI GOOD_ALPN), NULL},
    {"another extension", HEX("\xab\xcd\x00\x01?"), NULL},
    {"extension without length", HEX("\x00\x15\x00"), "is cut"},
    {"extension over the end", HEX("\x00\x15\x00\x01"), "is cut"},
    {"two names of servers", HEX(GOOD_SNI GOOD_SNI), SNI_BAD},
    {"empty extension", HEX(SNI("\x00\x00")), SNI_BAD},
    {"empty list", HEX(SNI("\x00\x02\x00\x00")), SNI_BAD},
    {"empty name", HEX(SNI("\x00\x05\x00\x03\x00\x00\x00")), SNI_BAD},
    {"other type of name", HEX(SNI("\x00\x06\x00\x04\x01\x00\x01z")), SNI_BAD},
    {"two in a list", HEX(SNI("\x00\x0a\x00\x08\x00\x00\x01z\x00\x00\x01z")), SNI_BAD},
    {"name over its list", HEX(SNI("\x00\x06\x00\x04\x00\x00\x02z")), SNI_BAD},
    {"list over its extension", HEX(SNI("\x00\x06\x00\x05\x00\x00\x01z")), SNI_BAD},
    {"bytes behind the list", HEX(SNI("\x00\x07\x00\x04\x00\x00\x01z?")), "behind its end"},
    {"space in a name", HEX(SNI("\x00\x06\x00\x04\x00\x00\x01 ")), SNI_BAD},
    {"zero in a name", HEX(SNI("\x00\x08\x00\x06\x00\x00\x03z\x00z")), SNI_BAD},
    {"8 bits in a name", HEX(SNI("\x00\x06\x00\x04\x00\x00\x01\xe4")), SNI_BAD},
    {"dot at the beginning", HEX(SNI("\x00\x07\x00\x05\x00\x00\x02.z")), SNI_BAD},
    {"dot at the end", HEX(SNI("\x00\x07\x00\x05\x00\x00\x02z.")), SNI_BAD},
    {"two dots", HEX(SNI("\x00\x09\x00\x07\x00\x00\x04z..z")), SNI_BAD},
    {"two ALPNs", HEX(GOOD_ALPN GOOD_ALPN), ALPN_BAD},
    {"empty ALPN", HEX(ALPN("\x00\x00")), ALPN_BAD},
    {"empty ALPN list", HEX(ALPN("\x00\x02\x00\x00")), ALPN_BAD},
    {"empty protocol", HEX(ALPN("\x00\x03\x00\x01\x00")), ALPN_BAD},
    {"protocol over its list", HEX(ALPN("\x00\x04\x00\x02\x02z")), ALPN_BAD},
    {"ALPN list over its extension", HEX(ALPN("\x00\x04\x00\x03\x01z")), ALPN_BAD},
    {"bytes behind the ALPN list", HEX(ALPN("\x00\x05\x00\x02\x01z?")), "behind its end"},
};

static void test_extensions(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        static struct hello h;
        struct peek p;

        print_message("%s\n", rows[i].what);
        make(&h, rows[i].extensions);
        assert_int_equal(peek_message(&h, &p, &err),
                         rows[i].message == NULL ? PEEK_FOUND : PEEK_BAD);
        if (rows[i].message != NULL)
            assert_non_null(strstr(err.message, rows[i].message));
    }
}

static void test_name_lengths(void **state)
{
    (void)state;
    for (size_t len = 255; len <= 256; len++) {
        struct atls_err err = ATLS_ERR_INIT;
        static struct hello h;
        struct peek p;

        begin(&h, 0, 2, 1);
        add_u16(&h, len + 9);
        add_u16(&h, 0);
        add_u16(&h, len + 5);
        add_u16(&h, len + 3);
        add(&h, "", 1);
        add_u16(&h, len);
        memset(h.bytes + h.len, 'N', len);
        h.len += len;
        finish(&h);
        assert_int_equal(peek_message(&h, &p, &err), len == 255 ? PEEK_FOUND : PEEK_BAD);
        if (len == 255)
            assert_int_equal(strspn(p.sni, "n"), 255);
        else
            assert_non_null(strstr(err.message, SNI_BAD));
    }
}

/* A list of so many protocols of such a length. */
static enum peek_state peek_alpn(size_t count, uint8_t len, struct peek *out, struct atls_err *err)
{
    size_t list = count * (len + 1u);
    static struct hello h;

    begin(&h, 0, 2, 1);
    add_u16(&h, list + 6);
    add_u16(&h, 16);
    add_u16(&h, list + 2);
    add_u16(&h, list);
    for (size_t i = 0; i < count; i++) {
        add(&h, &len, 1);
        memset(h.bytes + h.len, 'p', len);
        h.len += len;
    }
    finish(&h);
    return peek_message(&h, out, err);
}

static void test_alpn_limits(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct peek p;

    (void)state;
    assert_int_equal(peek_alpn(32, 31, &p, &err), PEEK_FOUND); /* 1024 bytes in all */
    assert_int_equal(p.alpn_count, 32);
    assert_int_equal(strlen(p.alpn[31]), 31);
    assert_int_equal(peek_alpn(4, 255, &p, &err), PEEK_FOUND);
    assert_int_equal(peek_alpn(33, 1, &p, &err), PEEK_BAD);
    assert_int_equal(err.code, ATLS_E_LIMIT);
    assert_int_equal(peek_alpn(32, 32, &p, &err), PEEK_BAD);
    assert_int_equal(err.code, ATLS_E_LIMIT);
}

static void test_zero_in_protocol(void **state)
{
    static const struct atls_bytes in = HEX(ALPN("\x00\x0a\x00\x08\x03z\x00z\x01y\x01x"));
    struct atls_err err = ATLS_ERR_INIT;
    static struct hello h;
    struct peek p;

    (void)state;
    make(&h, in);
    assert_int_equal(peek_message(&h, &p, &err), PEEK_FOUND);
    assert_int_equal(p.alpn_count, 2);
    assert_string_equal(p.alpn[0], "y");
    assert_string_equal(p.alpn[1], "x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_real),          cmocka_unit_test(test_not_tls),
        cmocka_unit_test(test_bad_records),   cmocka_unit_test(test_longest),
        cmocka_unit_test(test_no_extensions), cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_extensions),    cmocka_unit_test(test_name_lengths),
        cmocka_unit_test(test_alpn_limits),   cmocka_unit_test(test_zero_in_protocol),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
