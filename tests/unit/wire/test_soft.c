#include "testlib.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "wire/soft.h"

static const uint8_t challenge[ATLS_SOFT_CHALLENGE_LEN] = {7};
static const uint8_t ueid[ATLS_SOFT_UEID_LEN] = {1, 8};
static const uint8_t digest[64] = {9};

static struct atls_soft_token sample(void)
{
    struct atls_soft_token t = {0};

    t.challenge = atls_bytes_of(challenge, sizeof challenge);
    t.ueid = atls_bytes_of(ueid, sizeof ueid);
    return t;
}

static void add(struct atls_soft_token *t, const char *name, int64_t number, size_t len)
{
    struct atls_soft_measurement *m = &t->measurements[t->measurement_count++];

    m->name = atls_bytes_of(name, strlen(name));
    m->named_information = number;
    m->digest = atls_bytes_of(digest, len);
}

static struct atls_buf encode(const struct atls_soft_token *t)
{
    struct atls_writer w = atls_writer_init(65536);
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_soft_token_put(&w, t, &err), ATLS_OK, &err);
    test_assert_code(atls_writer_finish(&w, &out, &err), ATLS_OK, &err);
    return out;
}

static void refuse(struct atls_bytes in)
{
    struct atls_soft_token t;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_soft_token_decode(in, &t, &err), ATLS_E_DECODE, &err);
    assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
}

/* Round trip, every truncation, one byte more. */
static void check_exact(const struct atls_soft_token *t)
{
    struct atls_buf in = encode(t), again;
    struct atls_soft_token got;
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t *longer = malloc(in.len + 1);

    test_assert_code(atls_soft_token_decode(atls_buf_bytes(&in), &got, &err), ATLS_OK, &err);
    test_assert_bytes(got.challenge, t->challenge);
    test_assert_bytes(got.ueid, t->ueid);
    test_assert_bytes(got.profile, atls_bytes_of(ATLS_SOFT_PROFILE, strlen(ATLS_SOFT_PROFILE)));
    assert_int_equal(got.measurement_count, t->measurement_count);
    again = encode(&got);
    test_assert_bytes(atls_buf_bytes(&again), atls_buf_bytes(&in));
    for (size_t len = 0; len < in.len; len++) {
        uint8_t *cut = malloc(len > 0 ? len : 1);

        assert_non_null(cut);
        memcpy(cut, in.ptr, len);
        refuse(atls_bytes_of(cut, len));
        free(cut);
    }
    assert_non_null(longer);
    memcpy(longer, in.ptr, in.len);
    longer[in.len] = 0xf6;
    refuse(atls_bytes_of(longer, in.len + 1));
    free(longer);
    atls_buf_clear(&in);
    atls_buf_clear(&again);
}

static void smallest_and_largest(void **state)
{
    static char names[ATLS_SOFT_MEASUREMENTS_MAX][ATLS_SOFT_NAME_MAX + 1];
    struct atls_soft_token t = sample();

    (void)state;
    check_exact(&t);
    for (size_t i = 0; i < ATLS_SOFT_MEASUREMENTS_MAX; i++) {
        memset(names[i], 'a', ATLS_SOFT_NAME_MAX);
        names[i][0] = (char)('A' + i);
        add(&t, names[i], 8, 64);
    }
    check_exact(&t);
}

static void names_are_written_in_deterministic_order(void **state)
{
    struct atls_soft_token t = sample(), got;
    struct atls_buf in;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    add(&t, "kernel", 7, 48);
    add(&t, "zz", 8, 64);
    add(&t, "aa", 1, 32);
    add(&t, "loader", 1, 32);
    in = encode(&t);
    test_assert_code(atls_soft_token_decode(atls_buf_bytes(&in), &got, &err), ATLS_OK, &err);
    assert_true(atls_bytes_equal_text(got.measurements[0].name, "aa"));
    assert_true(atls_bytes_equal_text(got.measurements[1].name, "zz"));
    assert_true(atls_bytes_equal_text(got.measurements[2].name, "kernel"));
    assert_true(atls_bytes_equal_text(got.measurements[3].name, "loader"));
    assert_int_equal(got.measurements[2].named_information, 7);
    assert_int_equal(got.measurements[2].digest.len, 48);
    atls_buf_clear(&in);
}

enum fault {
    SHORT_CHALLENGE,
    SHORT_UEID,
    FOREIGN_UEID,
    TOO_MANY,
    EMPTY_NAME,
    LONG_NAME,
    BROKEN_NAME,
    SAME_NAME,
    SHORT_DIGEST,
    UNKNOWN_HASH,
};

static void tokens_that_cannot_be_written(void **state)
{
    static const uint8_t foreign[ATLS_SOFT_UEID_LEN] = {2};
    char name[ATLS_SOFT_NAME_MAX + 2];

    (void)state;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    for (enum fault fault = SHORT_CHALLENGE; fault <= UNKNOWN_HASH; fault++) {
        struct atls_soft_token t = sample();
        struct atls_writer w = atls_writer_init(65536);
        struct atls_err err = ATLS_ERR_INIT;

        add(&t, "kernel", 1, 32);
        switch (fault) {
        case SHORT_CHALLENGE:
            t.challenge.len--;
            break;
        case SHORT_UEID:
            t.ueid.len--;
            break;
        case FOREIGN_UEID:
            t.ueid = atls_bytes_of(foreign, sizeof foreign);
            break;
        case TOO_MANY:
            t.measurement_count = ATLS_SOFT_MEASUREMENTS_MAX + 1;
            break;
        case EMPTY_NAME:
            t.measurements[0].name.len = 0;
            break;
        case LONG_NAME:
            t.measurements[0].name = atls_bytes_of(name, ATLS_SOFT_NAME_MAX + 1);
            break;
        case BROKEN_NAME:
            t.measurements[0].name = atls_bytes_of("\xff", 1);
            break;
        case SAME_NAME:
            add(&t, "kernel", 7, 48);
            break;
        case SHORT_DIGEST:
            t.measurements[0].digest.len--;
            break;
        case UNKNOWN_HASH:
            t.measurements[0].named_information = 2;
            break;
        default:
            fail();
        }
        test_assert_code(atls_soft_token_put(&w, &t, &err), ATLS_E_USAGE, &err);
        assert_int_equal(w.len, 0);
        atls_writer_clear(&w);
    }
}

#define CHALLENGE                                                                                  \
    "\x58\x40"                                                                                     \
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define UEID                                                                                       \
    "\x58\x21\x01"                                                                                 \
    "0123456789abcdef0123456789abcdef"
#define PROFILE "\x78\x2d" ATLS_SOFT_PROFILE
#define HEAD    "\x0a" CHALLENGE "\x19\x01\x00" UEID "\x19\x01\x09" PROFILE "\x3a\x00\x01\x11\xd3"
#define TAIL    "\x3a\x00\x01\x11\xd4\xf5"
#define SHA256                                                                                     \
    "\x82\x01\x58\x20"                                                                             \
    "0123456789abcdef0123456789abcdef"

static void tokens_that_are_refused(void **state)
{
    static const struct {
        const char *name;
        struct atls_bytes in;
    } rows[] = {
        {"insecure is false", HEX("\xa5" HEAD "\xa0\x3a\x00\x01\x11\xd4\xf4")},
        {"insecure is no boolean", HEX("\xa5" HEAD "\xa0\x3a\x00\x01\x11\xd4\x01")},
        {"insecure is missing", HEX("\xa4" HEAD "\xa0")},
        {"one claim more", HEX("\xa6" HEAD "\xa0" TAIL "\x3a\x00\x01\x11\xd5\x01")},
        {"challenge of 32 bytes", HEX("\xa5\x0a\x58\x20"
                                      "0123456789abcdef0123456789abcdef\x19\x01\x00" UEID
                                      "\x19\x01\x09" PROFILE "\x3a\x00\x01\x11\xd3\xa0" TAIL)},
        {"ueid of type 02", HEX("\xa5\x0a" CHALLENGE "\x19\x01\x00\x58\x21\x02"
                                "0123456789abcdef0123456789abcdef"
                                "\x19\x01\x09" PROFILE "\x3a\x00\x01\x11\xd3\xa0" TAIL)},
        {"another profile", HEX("\xa5\x0a" CHALLENGE "\x19\x01\x00" UEID "\x19\x01\x09\x61u"
                                "\x3a\x00\x01\x11\xd3\xa0" TAIL)},
        {"claims out of order", HEX("\xa5\x19\x01\x00" UEID "\x0a" CHALLENGE "\x19\x01\x09" PROFILE
                                    "\x3a\x00\x01\x11\xd3\xa0" TAIL)},
        {"measurements out of order", HEX("\xa5" HEAD "\xa2\x61"
                                          "b" SHA256 "\x61"
                                          "a" SHA256 TAIL)},
        {"a measurement twice", HEX("\xa5" HEAD "\xa2\x61"
                                    "a" SHA256 "\x61"
                                    "a" SHA256 TAIL)},
        {"a measurement without a name", HEX("\xa5" HEAD "\xa1\x60" SHA256 TAIL)},
        {"digest length does not fit", HEX("\xa5" HEAD "\xa1\x61"
                                           "a\x82\x07\x58\x20"
                                           "0123456789abcdef0123456789abcdef" TAIL)},
        {"unknown hash", HEX("\xa5" HEAD "\xa1\x61"
                             "a\x82\x02\x58\x20"
                             "0123456789abcdef0123456789abcdef" TAIL)},
        {"measurement of three elements", HEX("\xa5" HEAD "\xa1\x61"
                                              "a\x83\x01\x58\x20"
                                              "0123456789abcdef0123456789abcdef\x01" TAIL)},
        {"indefinite map", HEX("\xbf" HEAD "\xa0" TAIL "\xff")},
        {"indefinite measurements", HEX("\xa5" HEAD "\xbf\xff" TAIL)},
        {"an array", HEX("\x80")},
    };
    static const struct atls_bytes good = HEX("\xa5" HEAD "\xa2\x61"
                                              "a" SHA256 "\x61"
                                              "b" SHA256 TAIL);
    struct atls_soft_token t;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    /* The rows differ from this in one thing each. */
    test_assert_code(atls_soft_token_decode(good, &t, &err), ATLS_OK, &err);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        print_message("  %s\n", rows[i].name);
        refuse(rows[i].in);
    }
}

static void protected_header_names_algorithm_and_signer(void **state)
{
    static const struct atls_bytes want = HEX("\xa2\x01\x26\x04" UEID);
    struct atls_writer w = atls_writer_init(64);

    (void)state;
    atls_soft_put_protected(&w, -7,
                            atls_bytes_of("\x01"
                                          "0123456789abcdef0123456789abcdef",
                                          ATLS_SOFT_UEID_LEN));
    assert_int_equal(w.failed, ATLS_OK);
    test_assert_bytes(atls_writer_bytes(&w), want);
    atls_writer_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smallest_and_largest),
        cmocka_unit_test(names_are_written_in_deterministic_order),
        cmocka_unit_test(tokens_that_cannot_be_written),
        cmocka_unit_test(tokens_that_are_refused),
        cmocka_unit_test(protected_header_names_algorithm_and_signer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
