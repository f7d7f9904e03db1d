#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "core/reader.h"
#include "core/writer.h"
#include "diag.h"
#include "wire/ra_tls_forms.h"

struct refusal {
    const char *in; /* diagnostic notation */
    enum atls_code code;
    enum atls_reason reason;
};

static void tagged_evidence(void **state)
{
    struct atls_buf in = test_diag("60000([h'0102', h'a0'])");
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_dice_evidence e;

    (void)state;
    test_assert_code(atls_dice_evidence_decode(atls_buf_bytes(&in), &e, &err), ATLS_OK, &err);
    test_assert_bytes(e.quote, (struct atls_bytes)HEX("\x01\x02"));
    test_assert_bytes(e.claims, (struct atls_bytes)HEX("\xa0"));
    for (size_t len = 0; len < in.len; len++)
        test_assert_code(atls_dice_evidence_decode(atls_bytes_of(in.ptr, len), &e, &err),
                         ATLS_E_DECODE, &err);
    atls_buf_clear(&in);
}

static void tagged_evidence_refused(void **state)
{
    static const struct refusal rows[] = {
        {"60001([h'01', h'a0'])", ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE},
        {"60002([h'01', h'a0'])", ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE},
        {"60003([h'01', h'a0'])", ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE},
        {"[h'01', h'a0']", ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"60000([h'01'])", ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"60000([h'01', h'a0', h'00'])", ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"60000([h'', h'a0'])", ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"60000([h'01', h''])", ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"60000(['text', h'a0'])", ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"60000({1: h'a0'})", ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"60000([h(81921), h'a0'])", ATLS_E_LIMIT, ATLS_REASON_MALFORMED},
        {"60000([h'01', h(16385)])", ATLS_E_LIMIT, ATLS_REASON_MALFORMED},
    };
    static const struct atls_bytes forms[] = {
        /* indefinite lengths, a head that is too long, a byte behind it */
        HEX("\xd9\xea\x60\x9f\x41\x00\x41\xa0\xff"),
        HEX("\xd9\xea\x60\x82\x5f\x41\x00\xff\x41\xa0"),
        HEX("\xda\x00\x00\xea\x60\x82\x41\x00\x41\xa0"),
        HEX("\xd9\xea\x60\x82\x58\x01\x00\x41\xa0"),
        HEX("\xd9\xea\x60\x82\x41\x00\x41\xa0\x00"),
    };
    struct atls_dice_evidence e;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_diag(rows[i].in);
        struct atls_err err = ATLS_ERR_INIT;

        print_message("%s\n", rows[i].in);
        test_assert_code(atls_dice_evidence_decode(atls_buf_bytes(&in), &e, &err), rows[i].code,
                         &err);
        assert_int_equal(err.reason, rows[i].reason);
        atls_buf_clear(&in);
    }
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        assert_int_equal(atls_dice_evidence_decode(forms[i], &e, NULL), ATLS_E_DECODE);
}

static void claims(void **state)
{
    static const struct {
        const char *in;
        enum atls_dice_hash hash;
        size_t len, others;
        bool has_nonce;
    } rows[] = {
        {"{'pubkey-hash': <<[1, h(32)]>>}", ATLS_DICE_SHA256, 32, 0, false},
        {"{'pubkey-hash': <<[7, h(48)]>>, 'nonce': h'0102'}", ATLS_DICE_SHA384, 48, 0, true},
        {"{'nonce': h'', 'pubkey-hash': <<[8, h(64)]>>, 'a': h'', 'b': h'00'}", ATLS_DICE_SHA512,
         64, 2, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_diag(rows[i].in);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_dice_claims c;

        test_assert_code(atls_dice_claims_decode(atls_buf_bytes(&in), &c, &err), ATLS_OK, &err);
        assert_int_equal(c.hash, rows[i].hash);
        assert_int_equal(c.pubkey_hash.len, rows[i].len);
        assert_int_equal(c.others, rows[i].others);
        assert_int_equal(c.has_nonce, rows[i].has_nonce);
        for (size_t len = 0; len < in.len; len++)
            test_assert_code(atls_dice_claims_decode(atls_bytes_of(in.ptr, len), &c, &err),
                             ATLS_E_DECODE, &err);
        atls_buf_clear(&in);
    }
}

static void claims_refused(void **state)
{
    static const struct refusal rows[] = {
        {"{}", ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"{'nonce': h'00'}", ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"['pubkey-hash', <<[1, h(32)]>>]", ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"{'pubkey-hash': [1, h(32)]}", ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"{'pubkey-hash': <<[1, h(31)]>>}", ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"{'pubkey-hash': <<[7, h(32)]>>}", ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"{'pubkey-hash': <<[8, h(65)]>>}", ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"{'pubkey-hash': <<[2, h(15)]>>}", ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_ALGORITHM},
        {"{'pubkey-hash': <<[12, h(64)]>>}", ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_ALGORITHM},
        {"{'pubkey-hash': <<['sha-256', h(32)]>>}", ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"{'pubkey-hash': <<[1, h(32), 0]>>}", ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"{'pubkey-hash': <<[1]>>}", ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"{'pubkey-hash': h''}", ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"{'pubkey-hash': <<[1, h(32)]>>, 'nonce': 'text'}", ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"{'pubkey-hash': <<[1, h(32)]>>, 'nonce': h'00', 'nonce': h'00'}", ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"{'pubkey-hash': <<[1, h(32)]>>, 'pubkey-hash': <<[1, h(32)]>>}", ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"{'pubkey-hash': <<[1, h(32)]>>, 1: h'00'}", ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"{'pubkey-hash': <<[1, h(32)]>>, 'a': h(16384)}", ATLS_E_LIMIT, ATLS_REASON_MALFORMED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_diag(rows[i].in);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_dice_claims c;

        print_message("%s\n", rows[i].in);
        test_assert_code(atls_dice_claims_decode(atls_buf_bytes(&in), &c, &err), rows[i].code,
                         &err);
        assert_true(err.reason == rows[i].reason ||
                    (err.code == ATLS_E_DECODE && err.reason == ATLS_REASON_NONE));
        atls_buf_clear(&in);
    }
}

#define FORMAT "\xa3\xa2\x1e\x87\x1b\x4d\x40\x14\xb7\x0a\xa1\x25\xd2\xfb\xcd\x8c"
#define LOCAL  "\x09\x26\x8c\x33\x6e\x0b\x45\xe5\x8a\x27\x15\x64\x4d\x0e\xf8\x9a"
#define TWO    "\x02\0\0\0\0\0\0\0"

static void open_enclave(void **state)
{
    static const struct {
        const char *name;
        enum atls_code (*decode)(struct atls_bytes, struct atls_bytes *, struct atls_err *);
        struct atls_bytes in;
        enum atls_code code;
        enum atls_reason reason;
    } rows[] = {
        {"report", atls_oe_report_decode, HEX("\1\0\0\0\2\0\0\0" TWO "qq"), ATLS_OK,
         ATLS_REASON_NONE},
        {"report of version 2", atls_oe_report_decode, HEX("\2\0\0\0\2\0\0\0" TWO "qq"),
         ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_VERSION},
        {"local report", atls_oe_report_decode, HEX("\1\0\0\0\1\0\0\0" TWO "qq"),
         ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE},
        {"report and more", atls_oe_report_decode, HEX("\1\0\0\0\2\0\0\0" TWO "qqq"), ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"report of nothing", atls_oe_report_decode, HEX("\1\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0"),
         ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"report of 2^64 - 1", atls_oe_report_decode,
         HEX("\1\0\0\0\2\0\0\0\xff\xff\xff\xff\xff\xff\xff\xffqq"), ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"evidence", atls_oe_evidence_decode, HEX("\3\0\0\0" FORMAT "\0\0\0\0" TWO "qq"), ATLS_OK,
         ATLS_REASON_NONE},
        {"evidence with dirty padding", atls_oe_evidence_decode,
         HEX("\3\0\0\0" FORMAT "\1\2\3\4" TWO "qq"), ATLS_OK, ATLS_REASON_NONE},
        {"evidence of version 2", atls_oe_evidence_decode,
         HEX("\2\0\0\0" FORMAT "\0\0\0\0" TWO "qq"), ATLS_E_UNSUPPORTED,
         ATLS_REASON_UNSUPPORTED_VERSION},
        {"evidence for the same machine", atls_oe_evidence_decode,
         HEX("\3\0\0\0" LOCAL "\0\0\0\0" TWO "qq"), ATLS_E_UNSUPPORTED,
         ATLS_REASON_UNKNOWN_EVIDENCE_TYPE},
        {"evidence and more", atls_oe_evidence_decode, HEX("\3\0\0\0" FORMAT "\0\0\0\0" TWO "qqq"),
         ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"evidence of nothing", atls_oe_evidence_decode,
         HEX("\3\0\0\0" FORMAT "\0\0\0\0\0\0\0\0\0\0\0\0"), ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_bytes out;

        print_message("%s\n", rows[i].name);
        test_assert_code(rows[i].decode(rows[i].in, &out, &err), rows[i].code, &err);
        assert_int_equal(err.reason, rows[i].reason);
        if (rows[i].code != ATLS_OK)
            continue;
        test_assert_bytes(out, (struct atls_bytes)HEX("qq"));
        for (size_t len = 0; len < rows[i].in.len; len++)
            test_assert_code(rows[i].decode(atls_bytes_of(rows[i].in.ptr, len), &out, &err),
                             ATLS_E_DECODE, &err);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tagged_evidence), cmocka_unit_test(tagged_evidence_refused),
        cmocka_unit_test(claims),          cmocka_unit_test(claims_refused),
        cmocka_unit_test(open_enclave),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
