#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "crypto/crypto.h"
#include "wire/cmw.h"
#include "wire/ra_tls.h"
#include "wire/tlv.h"

#define OID_CMW      "\x2b\x06\x01\x05\x05\x07\x01\x23"
#define OID_DICE     "\x67\x81\x05\x05\x04\x09"
#define OID_GRAMINE  "\x06\x09\x2a\x86\x48\x86\xf8\x4d\x8a\x39\x06"
#define OID_SDK      "\x2a\x86\x48\x86\xf8\x4d\x01\x0d\x01"
#define OID_OE_2_NEW "\x2b\x06\x01\x04\x01\x82\x37\x69\x02"
#define OID_OE_2_OLD "\x2a\x86\x48\x86\xf7\x14\x0a\x01\x02"
#define OID_OE_1_NEW "\x2b\x06\x01\x04\x01\x82\x37\x69\x01"
#define OID_OE_1_OLD "\x2a\x86\x48\x86\xf7\x14\x0a\x01\x01"
#define OID_OTHER    "\x55\x1d\x13"

#define CRITICAL     "\x01\x01\xff"
#define NOT_CRITICAL "\x01\x01\x00"

struct extension {
    struct atls_bytes oid, flag, value;
};

static void put(struct atls_writer *w, uint8_t tag, struct atls_bytes content)
{
    atls_tlv_put_head(w, tag, content.len);
    atls_put_bytes(w, content);
}

/* Wraps what w holds in an element. */
static void wrap(struct atls_writer *w, uint8_t tag)
{
    struct atls_writer outer = atls_writer_init(1 << 20);

    put(&outer, tag, atls_writer_bytes(w));
    atls_writer_clear(w);
    *w = outer;
}

static void put_extension(struct atls_writer *w, const struct extension *e)
{
    struct atls_writer inner = atls_writer_init(1 << 20);

    put(&inner, 0x06, e->oid);
    atls_put_bytes(&inner, e->flag);
    put(&inner, 0x04, e->value);
    put(w, 0x30, atls_writer_bytes(&inner));
    atls_writer_clear(&inner);
}

/* As much of a certificate as a walk sees, with these extensions; none: no list at all. */
static struct atls_buf certificate(const struct extension *list, size_t count)
{
    static const struct atls_bytes head = HEX("\xa0\x03\x02\x01\x02\x02\x01\x07\x30\x00\x30\x00"
                                              "\x30\x00\x30\x00\x30\x02\x05\x00");
    static const struct atls_bytes tail = HEX("\x30\x00\x03\x01\x00");
    struct atls_writer w = atls_writer_init(1 << 20), extensions = atls_writer_init(1 << 20);
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    atls_put_bytes(&w, head);
    for (size_t i = 0; i < count; i++)
        put_extension(&extensions, &list[i]);
    if (count != 0) {
        wrap(&extensions, 0x30);
        wrap(&extensions, 0xa3);
        atls_put_bytes(&w, atls_writer_bytes(&extensions));
    }
    wrap(&w, 0x30);
    atls_put_bytes(&w, tail);
    wrap(&w, 0x30);
    atls_writer_clear(&extensions);
    test_assert_code(atls_writer_finish(&w, &out, &err), ATLS_OK, &err);
    return out;
}

static void finds_each_form(void **state)
{
    static const struct {
        struct extension e;
        enum atls_ra_tls_form form;
        const char *name;
    } rows[] = {
        {{HEX(OID_CMW), HEX(""), HEX("a")}, ATLS_RA_TLS_CMW, "cmw"},
        {{HEX(OID_DICE), HEX(CRITICAL), HEX("bb")}, ATLS_RA_TLS_DICE, "dice"},
        {{HEX(OID_GRAMINE), HEX(""), HEX("c")}, ATLS_RA_TLS_SGX_QUOTE, "sgx-quote"},
        {{HEX(OID_SDK), HEX(""), HEX("d")}, ATLS_RA_TLS_SDK_QUOTE, "sdk-quote"},
        {{HEX(OID_OE_2_NEW), HEX(""), HEX("e")}, ATLS_RA_TLS_OE_EVIDENCE, "oe-evidence"},
        {{HEX(OID_OE_2_OLD), HEX(CRITICAL), HEX("f")}, ATLS_RA_TLS_OE_EVIDENCE, "oe-evidence"},
        {{HEX(OID_OE_1_NEW), HEX(""), HEX("g")}, ATLS_RA_TLS_OE_REPORT, "oe-report"},
        {{HEX(OID_OE_1_OLD), HEX(""), HEX("")}, ATLS_RA_TLS_OE_REPORT, "oe-report"},
    };
    static const struct atls_bytes spki = HEX("\x30\x02\x05\x00");

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct extension list[] = {{HEX(OID_OTHER), HEX(CRITICAL), HEX("")}, rows[i].e};
        struct atls_buf der = certificate(list, 2);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_ra_tls found;

        test_assert_code(atls_ra_tls_find(atls_buf_bytes(&der), &found, &err), ATLS_OK, &err);
        assert_int_equal(found.form, rows[i].form);
        assert_string_equal(atls_ra_tls_form_name(found.form), rows[i].name);
        assert_int_equal(found.critical, rows[i].e.flag.len != 0);
        test_assert_bytes(found.value, rows[i].e.value);
        test_assert_bytes(found.spki, spki);
        for (size_t len = 0; len < der.len; len++)
            test_assert_code(atls_ra_tls_find(atls_bytes_of(der.ptr, len), &found, &err),
                             ATLS_E_DECODE, &err);
        atls_buf_clear(&der);
    }
    assert_string_equal(atls_ra_tls_form_name(ATLS_RA_TLS_NONE), "");
    assert_string_equal(atls_ra_tls_form_name((enum atls_ra_tls_form)99), "");
}

/* The list in ascending preference: whatever is added in front of it counts. */
static void prefers(void **state)
{
    static const struct extension list[] = {
        {HEX(OID_CMW), HEX(""), HEX("0")},      {HEX(OID_DICE), HEX(""), HEX("1")},
        {HEX(OID_GRAMINE), HEX(""), HEX("2")},  {HEX(OID_SDK), HEX(""), HEX("3")},
        {HEX(OID_OE_2_NEW), HEX(""), HEX("4")}, {HEX(OID_OE_2_OLD), HEX(""), HEX("5")},
        {HEX(OID_OE_1_NEW), HEX(""), HEX("6")}, {HEX(OID_OE_1_OLD), HEX(""), HEX("7")},
    };
    const size_t count = sizeof list / sizeof list[0];

    (void)state;
    for (size_t first = 0; first < count; first++) {
        struct extension reversed[sizeof list / sizeof list[0]];
        struct atls_buf forward = certificate(list + first, count - first), backward;
        struct atls_ra_tls found;

        for (size_t i = first; i < count; i++)
            reversed[count - 1 - i] = list[i];
        backward = certificate(reversed, count - first);
        assert_int_equal(atls_ra_tls_find(atls_buf_bytes(&forward), &found, NULL), ATLS_OK);
        test_assert_bytes(found.value, list[first].value);
        assert_int_equal(atls_ra_tls_find(atls_buf_bytes(&backward), &found, NULL), ATLS_OK);
        test_assert_bytes(found.value, list[first].value);
        atls_buf_clear(&forward);
        atls_buf_clear(&backward);
    }
}

static void refuse(const struct extension *list, size_t count, enum atls_code code,
                   enum atls_reason reason)
{
    struct atls_buf der = certificate(list, count);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ra_tls found = {.form = ATLS_RA_TLS_NONE};

    test_assert_code(atls_ra_tls_find(atls_buf_bytes(&der), &found, &err), code, &err);
    assert_int_equal(err.reason, reason);
    assert_int_equal(found.form, ATLS_RA_TLS_NONE);
    atls_buf_clear(&der);
}

static void refuses_lists(void **state)
{
    static const struct extension twice[] = {{HEX(OID_DICE), HEX(""), HEX("a")},
                                             {HEX(OID_OTHER), HEX(""), HEX("b")},
                                             {HEX(OID_DICE), HEX(""), HEX("c")}};
    static const struct extension other_twice[] = {{HEX(OID_OTHER), HEX(""), HEX("a")},
                                                   {HEX(OID_DICE), HEX(""), HEX("b")},
                                                   {HEX(OID_OTHER), HEX(""), HEX("a")}};
    static const struct extension said[] = {{HEX(OID_DICE), HEX(NOT_CRITICAL), HEX("a")}};
    static const struct extension flag[] = {{HEX(OID_DICE), HEX("\x01\x01\x01"), HEX("a")}};
    static const struct extension longer[] = {{HEX(OID_DICE), HEX("\x01\x02\xff\xff"), HEX("a")}};
    static const struct extension unnamed[] = {{HEX(""), HEX(""), HEX("a")}};
    static const struct extension meant[] = {
        /* The OID that the older one of Gramine was meant to be. */
        {HEX("\x2a\x86\x48\x86\xf8\x4d\x8a\x39\x06"), HEX(""), HEX("a")}};

    (void)state;
    refuse(twice, 3, ATLS_E_DECODE, ATLS_REASON_MALFORMED);
    refuse(other_twice, 3, ATLS_E_DECODE, ATLS_REASON_MALFORMED);
    refuse(said, 1, ATLS_E_DECODE, ATLS_REASON_MALFORMED);
    refuse(flag, 1, ATLS_E_DECODE, ATLS_REASON_MALFORMED);
    refuse(longer, 1, ATLS_E_DECODE, ATLS_REASON_MALFORMED);
    refuse(unnamed, 1, ATLS_E_DECODE, ATLS_REASON_MALFORMED);
    refuse(meant, 1, ATLS_E_EVIDENCE, ATLS_REASON_NOT_ATTESTED);
    refuse(NULL, 0, ATLS_E_EVIDENCE, ATLS_REASON_NOT_ATTESTED);
}

static void counts_extensions(void **state)
{
    struct extension list[ATLS_RA_TLS_EXTENSIONS_MAX + 1];
    uint8_t oids[ATLS_RA_TLS_EXTENSIONS_MAX + 1][2];
    struct atls_ra_tls found;
    struct atls_buf der;

    (void)state;
    for (size_t i = 0; i <= ATLS_RA_TLS_EXTENSIONS_MAX; i++) {
        oids[i][0] = 0x55;
        oids[i][1] = (uint8_t)i;
        list[i] = (struct extension){atls_bytes_of(oids[i], 2), HEX(""), HEX("")};
    }
    list[ATLS_RA_TLS_EXTENSIONS_MAX - 1].oid = (struct atls_bytes)HEX(OID_DICE);
    der = certificate(list, ATLS_RA_TLS_EXTENSIONS_MAX);
    assert_int_equal(atls_ra_tls_find(atls_buf_bytes(&der), &found, NULL), ATLS_OK);
    atls_buf_clear(&der);
    refuse(list, ATLS_RA_TLS_EXTENSIONS_MAX + 1, ATLS_E_LIMIT, ATLS_REASON_MALFORMED);
}

static void refuses_bytes(void **state)
{
    static const struct extension list[] = {{HEX(OID_DICE), HEX(""), HEX("a")}};
    struct atls_buf der = certificate(list, 1);
    struct atls_writer w = atls_writer_init(2 * ATLS_RA_TLS_CERTIFICATE_MAX);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ra_tls found;
    uint8_t *large;

    (void)state;
    atls_put_bytes(&w, atls_buf_bytes(&der));
    atls_put_u8(&w, 0);
    test_assert_code(atls_ra_tls_find(atls_writer_bytes(&w), &found, &err), ATLS_E_DECODE, &err);
    assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
    atls_writer_clear(&w);
    atls_buf_clear(&der);
    large = calloc(1, ATLS_RA_TLS_CERTIFICATE_MAX + 1);
    assert_non_null(large);
    test_assert_code(
        atls_ra_tls_find(atls_bytes_of(large, ATLS_RA_TLS_CERTIFICATE_MAX + 1), &found, &err),
        ATLS_E_LIMIT, &err);
    free(large);
}

/* The two forms of certificates with unique identifiers, and of version 1, walk as well. */
static void optional_fields(void **state)
{
    static const struct atls_bytes rows[] = {
        HEX("\x30\x19\x30\x12\x02\x01\x07\x30\x00\x30\x00\x30\x00\x30\x00\x30\x00\x81\x01\x00\x82"
            "\x00\x30\x00\x03\x01\x00"),
    };
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ra_tls found;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        test_assert_code(atls_ra_tls_find(rows[i], &found, &err), ATLS_E_EVIDENCE, &err);
        assert_int_equal(err.reason, ATLS_REASON_NOT_ATTESTED);
    }
}

static void becomes_a_cmw(void **state)
{
    static const struct {
        const char *name;
        enum atls_ra_tls_form form;
        struct atls_bytes value;
        enum atls_code code;
        const char *media_type; /* NULL: the CMW is cmw, as it stands */
        struct atls_bytes cmw;
    } rows[] = {
        {"record in id-pe-cmw", ATLS_RA_TLS_CMW, HEX("\x04\x05\x82\x19\x01\x07\x40"), ATLS_OK, NULL,
         HEX("\x82\x19\x01\x07\x40")},
        {"JSON in id-pe-cmw", ATLS_RA_TLS_CMW, HEX("\x0c\x02[]"), ATLS_E_UNSUPPORTED, NULL,
         HEX("")},
        {"id-pe-cmw without DER", ATLS_RA_TLS_CMW, HEX("\x82\x19\x01\x07\x40"), ATLS_E_DECODE, NULL,
         HEX("")},
        {"tagged evidence", ATLS_RA_TLS_DICE, HEX("\xd9\xea\x60\x82\x40\x40"), ATLS_OK,
         ATLS_TYPE_RA_TLS_DICE, HEX("")},
        {"record of DICE", ATLS_RA_TLS_DICE, HEX("\x82\x19\x01\x07\x41\x00"), ATLS_OK, NULL,
         HEX("\x82\x19\x01\x07\x41\x00")},
        {"tag of DICE", ATLS_RA_TLS_DICE, HEX("\xda\x63\x74\x01\x02\x41\x00"), ATLS_OK, NULL,
         HEX("\xda\x63\x74\x01\x02\x41\x00")},
        {"DER in DICE", ATLS_RA_TLS_DICE, HEX("\x04\x06\x82\x19\x01\x07\x41\x00"), ATLS_OK, NULL,
         HEX("\x82\x19\x01\x07\x41\x00")},
        {"JSON in DICE", ATLS_RA_TLS_DICE, HEX("[1,\"AA\"]"), ATLS_E_UNSUPPORTED, NULL, HEX("")},
        {"JSON in DER in DICE", ATLS_RA_TLS_DICE, HEX("\x0c\x02[]"), ATLS_E_UNSUPPORTED, NULL,
         HEX("")},
        {"SEQUENCE in DICE", ATLS_RA_TLS_DICE, HEX("\x30\x00"), ATLS_E_DECODE, NULL, HEX("")},
        {"quote", ATLS_RA_TLS_SGX_QUOTE, HEX("\x03\x00"), ATLS_OK, ATLS_TYPE_RA_TLS_SGX_QUOTE,
         HEX("")},
        {"quote of the SDK", ATLS_RA_TLS_SDK_QUOTE, HEX("\x03\x00"), ATLS_OK,
         ATLS_TYPE_RA_TLS_SGX_QUOTE, HEX("")},
        {"report", ATLS_RA_TLS_OE_REPORT, HEX("\x01"), ATLS_OK, ATLS_TYPE_RA_TLS_OE_REPORT,
         HEX("")},
        {"evidence", ATLS_RA_TLS_OE_EVIDENCE, HEX("\x01"), ATLS_OK, ATLS_TYPE_RA_TLS_OE_EVIDENCE,
         HEX("")},
        {"nothing", ATLS_RA_TLS_DICE, HEX(""), ATLS_E_DECODE, NULL, HEX("")},
        {"no form", ATLS_RA_TLS_NONE, HEX("a"), ATLS_E_USAGE, NULL, HEX("")},
        {"no such form", (enum atls_ra_tls_form)99, HEX("a"), ATLS_E_USAGE, NULL, HEX("")},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_arena arena = atls_arena_init(1 << 16);
        struct atls_writer w = atls_writer_init(1 << 16);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_cmw cmw;

        print_message("%s\n", rows[i].name);
        test_assert_code(atls_ra_tls_cmw(rows[i].form, rows[i].value, &w, &err), rows[i].code,
                         &err);
        if (rows[i].code == ATLS_OK && rows[i].media_type == NULL) {
            test_assert_bytes(atls_writer_bytes(&w), rows[i].cmw);
        } else if (rows[i].code == ATLS_OK) {
            test_assert_code(atls_cmw_decode(atls_writer_bytes(&w), &arena, &cmw, &err), ATLS_OK,
                             &err);
            assert_true(atls_cmw_type_is(&cmw.type, rows[i].media_type));
            assert_int_equal(cmw.ind, ATLS_CMW_EVIDENCE);
            test_assert_bytes(cmw.value, rows[i].value);
        }
        atls_writer_clear(&w);
        atls_arena_clear(&arena);
    }
}

static void what_is_of_others(void **state)
{
    static const struct atls_bytes tagged = HEX("\xd9\xea\x60\x82\x40\x40"),
                                   record = HEX("\x82\x19\x01\x07\x41\x00");
    struct atls_bytes oids[ATLS_RA_TLS_OIDS];

    (void)state;
    assert_true(atls_ra_tls_is_foreign(ATLS_RA_TLS_DICE, tagged));
    assert_false(atls_ra_tls_is_foreign(ATLS_RA_TLS_DICE, record));
    assert_false(atls_ra_tls_is_foreign(ATLS_RA_TLS_CMW, tagged));
    assert_true(atls_ra_tls_is_foreign(ATLS_RA_TLS_SGX_QUOTE, record));
    assert_true(atls_ra_tls_is_foreign(ATLS_RA_TLS_OE_EVIDENCE, record));
    assert_int_equal(atls_ra_tls_oids(oids, ATLS_RA_TLS_OIDS), ATLS_RA_TLS_OIDS);
    test_assert_bytes(oids[0], (struct atls_bytes)HEX(OID_CMW));
    test_assert_bytes(oids[1], (struct atls_bytes)HEX(OID_DICE));
    test_assert_bytes(oids[ATLS_RA_TLS_OIDS - 1], (struct atls_bytes)HEX(OID_OE_1_OLD));
    assert_int_equal(atls_ra_tls_oids(oids, 1), 1);
}

static void no_room(void **state)
{
    static const struct atls_bytes record = HEX("\x82\x19\x01\x07\x41\x00");
    struct atls_writer w = atls_writer_init(4);
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_ra_tls_cmw(ATLS_RA_TLS_DICE, record, &w, &err), ATLS_E_LIMIT, &err);
    atls_writer_clear(&w);
}

static void published_certificates(void **state)
{
    static const struct {
        const char *path;
        enum atls_ra_tls_form form;
        size_t der_len, value_len;
    } rows[] = {
        {"ra-tls/gramine-cert.pem", ATLS_RA_TLS_DICE, 10068, 4794},
        {"ra-tls/intel-sgxsdk-cert.pem", ATLS_RA_TLS_DICE, 9822, 4660},
        {"ra-tls/rats-tls-cert.pem", ATLS_RA_TLS_DICE, 5264, 4824},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf pem = test_vector(rows[i].path), der = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_ra_tls found;
        size_t count;

        test_assert_code(atls_certificates_from_pem(atls_buf_bytes(&pem), &der, 1, &count, &err),
                         ATLS_OK, &err);
        assert_int_equal(der.len, rows[i].der_len);
        test_assert_code(atls_ra_tls_find(atls_buf_bytes(&der), &found, &err), ATLS_OK, &err);
        assert_int_equal(found.form, rows[i].form);
        assert_int_equal(found.value.len, rows[i].value_len);
        assert_false(found.critical);
        atls_buf_clear(&der);
        atls_buf_clear(&pem);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_each_form),   cmocka_unit_test(prefers),
        cmocka_unit_test(refuses_lists),     cmocka_unit_test(counts_extensions),
        cmocka_unit_test(refuses_bytes),     cmocka_unit_test(optional_fields),
        cmocka_unit_test(becomes_a_cmw),     cmocka_unit_test(no_room),
        cmocka_unit_test(what_is_of_others), cmocka_unit_test(published_certificates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
