#include <string.h>

#include "core/reader.h"
#include "testlib.h"
#include "wire/cmw_json.h"

static const struct {
    const char *name, *in;
    enum atls_code want;
    const char *message;
} rows[] = {
    {"compact",
     "eyJhbGciOiJFUzI1NiIsImN0eSI6ImFwcGxpY2F0aW9uL2Ntdytqc29uIn0.WyJhL2IiLCJBQSJd."
     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
     ATLS_OK, NULL},
    {"compact, short type",
     "eyJhbGciOiJFUzI1NiIsImN0eSI6IkNNVytqc29uIn0.WyJhL2IiLCJBQSJd."
     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
     ATLS_OK, NULL},
    {"flattened",
     "{\"payload\":\"WyJhL2IiLCJBQSJd\",\"protected\":"
     "\"eyJhbGciOiJFUzI1NiIsImN0eSI6ImFwcGxpY2F0aW9uL2Ntdytqc29uIn0\",\"signature\":"
     "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
     ATLS_OK, NULL},
    {"flattened, with a header of its own",
     "{\"payload\":\"WyJhL2IiLCJBQSJd\",\"protected\":"
     "\"eyJhbGciOiJFUzI1NiIsImN0eSI6ImFwcGxpY2F0aW9uL2Ntdytqc29uIn0\",\"signature\":"
     "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
     "\"header\":{\"kid\":\"k\"}}",
     ATLS_OK, NULL},
    {"flattened, with an empty header",
     "{\"payload\":\"WyJhL2IiLCJBQSJd\",\"protected\":"
     "\"eyJhbGciOiJFUzI1NiIsImN0eSI6ImFwcGxpY2F0aW9uL2Ntdytqc29uIn0\",\"signature\":"
     "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
     "\"header\":{}}",
     ATLS_OK, NULL},
    {"no cty",
     "eyJhbGciOiJFUzI1NiJ9.WyJhL2IiLCJBQSJd."
     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
     ATLS_E_DECODE, "no cty"},
    {"cty of a wrapper in CBOR",
     "eyJhbGciOiJFUzI1NiIsImN0eSI6ImFwcGxpY2F0aW9uL2NtdytjYm9yIn0.WyJhL2IiLCJBQSJd."
     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
     ATLS_E_DECODE, "cty is not"},
    {"cty is a number",
     "eyJhbGciOiJFUzI1NiIsImN0eSI6Mjc0fQ.WyJhL2IiLCJBQSJd."
     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
     ATLS_E_DECODE, "cty is not"},
    {"no alg",
     "eyJjdHkiOiJhcHBsaWNhdGlvbi9jbXcranNvbiJ9.WyJhL2IiLCJBQSJd."
     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
     ATLS_E_UNSUPPORTED, "alg"},
    {"alg none",
     "eyJhbGciOiJub25lIiwiY3R5IjoiYXBwbGljYXRpb24vY213K2pzb24ifQ.WyJhL2IiLCJBQSJd."
     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
     ATLS_E_UNSUPPORTED, "alg"},
    {"alg of a secret",
     "eyJhbGciOiJIUzI1NiIsImN0eSI6ImFwcGxpY2F0aW9uL2Ntdytqc29uIn0.WyJhL2IiLCJBQSJd."
     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
     ATLS_E_UNSUPPORTED, "alg"},
    {"critical header",
     "eyJhbGciOiJFUzI1NiIsImN0eSI6ImFwcGxpY2F0aW9uL2Ntdytqc29uIiwiY3JpdCI6WyJiNjQiXX0."
     "WyJhL2IiLCJBQSJd."
     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
     ATLS_E_UNSUPPORTED, "crit"},
    {"cty unprotected only",
     "{\"payload\":\"WyJhL2IiLCJBQSJd\",\"protected\":\"eyJhbGciOiJFUzI1NiJ9\",\"signature\":"
     "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
     "\"header\":{\"cty\":\"application/cmw+json\"}}",
     ATLS_E_DECODE, "no cty"},
    {"alg unprotected only",
     "{\"payload\":\"WyJhL2IiLCJBQSJd\",\"protected\":\"eyJjdHkiOiJhcHBsaWNhdGlvbi9jbXcranNvbiJ9\","
     "\"signature\":"
     "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
     "\"header\":{\"alg\":\"ES256\"}}",
     ATLS_E_UNSUPPORTED, "alg"},
    {"cty in both headers",
     "{\"payload\":\"WyJhL2IiLCJBQSJd\",\"protected\":"
     "\"eyJhbGciOiJFUzI1NiIsImN0eSI6ImFwcGxpY2F0aW9uL2Ntdytqc29uIn0\",\"signature\":"
     "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
     "\"header\":{\"cty\":\"application/cmw+json\"}}",
     ATLS_E_DECODE, "both headers"},
    {"header is text",
     "{\"payload\":\"WyJhL2IiLCJBQSJd\",\"protected\":"
     "\"eyJhbGciOiJFUzI1NiIsImN0eSI6ImFwcGxpY2F0aW9uL2Ntdytqc29uIn0\",\"signature\":"
     "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
     "\"header\":\"x\"}",
     ATLS_E_DECODE, "no object"},
    {"several signatures",
     "{\"payload\":\"WyJhL2IiLCJBQSJd\",\"protected\":"
     "\"eyJhbGciOiJFUzI1NiIsImN0eSI6ImFwcGxpY2F0aW9uL2Ntdytqc29uIn0\",\"signature\":"
     "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
     "\"signatures\":[]}",
     ATLS_E_DECODE, "members beside"},
    {"payload is missing",
     "{\"protected\":\"eyJhbGciOiJFUzI1NiIsImN0eSI6ImFwcGxpY2F0aW9uL2Ntdytqc29uIn0\",\"signature\":"
     "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
     ATLS_E_DECODE, "\"payload\" is missing"},
    {"protected is missing",
     "{\"payload\":\"WyJhL2IiLCJBQSJd\",\"signature\":"
     "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
     ATLS_E_DECODE, "\"protected\" is missing"},
    {"signature is missing",
     "{\"payload\":\"WyJhL2IiLCJBQSJd\",\"protected\":"
     "\"eyJhbGciOiJFUzI1NiIsImN0eSI6ImFwcGxpY2F0aW9uL2Ntdytqc29uIn0\"}",
     ATLS_E_DECODE, "\"signature\" is missing"},
    {"signature is a number",
     "{\"payload\":\"WyJhL2IiLCJBQSJd\",\"protected\":"
     "\"eyJhbGciOiJFUzI1NiIsImN0eSI6ImFwcGxpY2F0aW9uL2Ntdytqc29uIn0\",\"signature\":1}",
     ATLS_E_DECODE, "\"signature\" is missing"},
    {"payload of two segments",
     "{\"payload\":\"WyJhL2IiLCJBQSJd.WyJhL2IiLCJBQSJd\",\"protected\":"
     "\"eyJhbGciOiJFUzI1NiIsImN0eSI6ImFwcGxpY2F0aW9uL2Ntdytqc29uIn0\",\"signature\":"
     "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
     ATLS_E_DECODE, "\"payload\" is missing"},
    {"payload with padding",
     "{\"payload\":\"AA==\",\"protected\":"
     "\"eyJhbGciOiJFUzI1NiIsImN0eSI6ImFwcGxpY2F0aW9uL2Ntdytqc29uIn0\",\"signature\":"
     "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
     ATLS_E_DECODE, "payload"},
    {"signature too short",
     "{\"payload\":\"WyJhL2IiLCJBQSJd\",\"protected\":"
     "\"eyJhbGciOiJFUzI1NiIsImN0eSI6ImFwcGxpY2F0aW9uL2Ntdytqc29uIn0\",\"signature\":"
     "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
     ATLS_E_DECODE, "signature of 63 bytes"},
    {"member twice",
     "{\"payload\":\"WyJhL2IiLCJBQSJd\",\"protected\":"
     "\"eyJhbGciOiJFUzI1NiIsImN0eSI6ImFwcGxpY2F0aW9uL2Ntdytqc29uIn0\",\"signature\":"
     "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
     "\"payload\":\"AA\"}",
     ATLS_E_DECODE, "unique members"},
    {"something behind it",
     "{\"payload\":\"WyJhL2IiLCJBQSJd\",\"protected\":"
     "\"eyJhbGciOiJFUzI1NiIsImN0eSI6ImFwcGxpY2F0aW9uL2Ntdytqc29uIn0\",\"signature\":"
     "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}x",
     ATLS_E_DECODE, "unique members"},
    {"cut off",
     "{\"payload\":\"WyJhL2IiLCJBQSJd\",\"protected\":"
     "\"eyJhbGciOiJFUzI1NiIsImN0eSI6ImFwcGxpY2F0aW9uL2Ntdytqc29uIn0\",\"signature\":"
     "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"",
     ATLS_E_DECODE, "unique members"},
    {"nothing", "", ATLS_E_DECODE, "empty"},
    {"a fourth segment",
     "eyJhbGciOiJFUzI1NiIsImN0eSI6ImFwcGxpY2F0aW9uL2Ntdytqc29uIn0.WyJhL2IiLCJBQSJd."
     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.AA",
     ATLS_E_DECODE, "more than three"},
};

static struct atls_bytes text_of(const char *text)
{
    return atls_bytes_of(text, strlen(text));
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_arena arena = atls_arena_init(1 << 16);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_cmw_jws s;
        struct atls_cmw cmw;

        print_message("  %s\n", rows[i].name);
        memset(&s, 0x55, sizeof s);
        test_assert_code(atls_cmw_jws_open(text_of(rows[i].in), &s, &err), rows[i].want, &err);
        if (rows[i].want != ATLS_OK) {
            if (strstr(err.message, rows[i].message) == NULL)
                fail_msg("%s, want %s", err.message, rows[i].message);
            assert_int_equal(((unsigned char *)&s)[0], 0x55); /* not written */
            continue;
        }
        assert_string_equal(s.jws.alg, "ES256");
        assert_int_equal(s.jws.signature.len, 64);
        test_assert_code(atls_cmw_json_decode(atls_buf_bytes(&s.jws.payload), &arena, &cmw, &err),
                         ATLS_OK, &err);
        assert_int_equal(cmw.kind, ATLS_CMW_RECORD);
        atls_cmw_jws_clear(&s);
        atls_arena_clear(&arena);
    }
}

/* What is signed is the compact form without its signature, in either form. */
static void test_signed_part(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_cmw_jws compact, flattened;

    (void)state;
    test_assert_code(atls_cmw_jws_open(text_of(rows[0].in), &compact, &err), ATLS_OK, &err);
    test_assert_code(atls_cmw_jws_open(text_of(rows[2].in), &flattened, &err), ATLS_OK, &err);
    assert_string_equal(rows[2].name, "flattened");
    test_assert_bytes(flattened.jws.signed_part, compact.jws.signed_part);
    test_assert_bytes(compact.jws.signed_part,
                      atls_bytes_of(rows[0].in, (size_t)(strrchr(rows[0].in, '.') - rows[0].in)));
    atls_cmw_jws_clear(&compact);
    atls_cmw_jws_clear(&flattened);
}

static void test_every_truncation(void **state)
{
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(rows[i].want, ATLS_OK);
        for (size_t len = 0; len < strlen(rows[i].in); len++) {
            struct atls_cmw_jws s;

            assert_int_not_equal(atls_cmw_jws_open(atls_bytes_of(rows[i].in, len), &s, NULL),
                                 ATLS_OK);
        }
    }
}

static void test_limit(void **state)
{
    static char text[ATLS_EAR_MAX + 2];
    struct atls_cmw_jws s;

    (void)state;
    memset(text, ' ', sizeof text);
    memcpy(text, rows[2].in, strlen(rows[2].in));
    assert_int_equal(atls_cmw_jws_open(atls_bytes_of(text, ATLS_EAR_MAX), &s, NULL), ATLS_OK);
    atls_cmw_jws_clear(&s);
    assert_int_equal(atls_cmw_jws_open(atls_bytes_of(text, ATLS_EAR_MAX + 1), &s, NULL),
                     ATLS_E_LIMIT);
    memset(text, 'e', sizeof text);
    assert_int_equal(atls_cmw_jws_open(atls_bytes_of(text, ATLS_EAR_MAX + 1), &s, NULL),
                     ATLS_E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_signed_part),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
