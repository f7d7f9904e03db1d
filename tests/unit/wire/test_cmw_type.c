#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "core/writer.h"
#include "wire/cmw.h"

static void test_content_type_grammar(void **state)
{
    static const char *const fine[] = {
        "a/b",
        "application/eat+cwt; eat_profile=\"tag:psacertified.org,2023:psa#tfm\"",
        "application/eat+cwt; eat_profile=2.16.840.1.113741.1.16.1",
        "a/b;c=d;e=f",
        "a/b \t;\t c=d",
        "a/b;",
        "a/b; ;c=d",
        "a/b;c=\"\"",
        "a/b;c=\"\\\"\\\\\"",
        "a/b;c=\"x\\\\\";d=e",
        "a/b;c=\"\xc3\xa9\t\"",
        "!#$%&'*+-.^_`|~09azAZ/b",
    };
    static const struct atls_bytes refused[] = {
        HEX(""),
        HEX("a"),
        HEX("a/"),
        HEX("/b"),
        HEX("a/b/c"),
        HEX(" a/b"),
        HEX("a/b "),
        HEX("a /b"),
        HEX("a/b c=d"),
        HEX("a/b;c"),
        HEX("a/b;c="),
        HEX("a/b;=d"),
        HEX("a/b;c = d"),
        HEX("a/b;c=d e"),
        HEX("a/b;c=\""),
        HEX("a/b;c=\"d"),
        HEX("a/b;c=\"\\\""),
        HEX("a/b;c=\"d\"e"),
        HEX("a/b;c=\"\n\""),
        HEX("a/b;c=\"\x7f\""),
        HEX("a/b;c=\"\\\x01\""),
        HEX("a/b;c=\"\0\""),
        HEX("a/b\0"),
        HEX("a/b,c/d"),
        HEX("a/(b)"),
        HEX("\xc3\xa9/b"),
        HEX("a/b;c=\"x\\\\\"y\""),
    };

    (void)state;
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
        print_message("  %s\n", fine[i]);
        assert_true(atls_content_type_valid(atls_bytes_of(fine[i], strlen(fine[i]))));
    }
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct atls_buf copy;

        print_message("  not %zu\n", i);
        test_assert_code(atls_buf_copy(&copy, refused[i], NULL), ATLS_OK, NULL);
        assert_false(atls_content_type_valid(atls_buf_bytes(&copy)));
        atls_buf_clear(&copy);
    }
}

static void parameters_by_name(void **state)
{
    static const struct {
        const char *name, *text;
        bool want;
    } cases[] = {
        {"absent", "application/cmw+cbor", false},
        {"there", "application/cmw+cbor; cmwc_t=\"urn:x\"", true},
        {"there in another case", "application/cmw+cbor;CMWC_T=x", true},
        {"behind another", "application/cmw+cbor; a=b; cmwc_t=x", true},
        {"twice", "application/cmw+cbor; cmwc_t=x; cmwc_t=y", true},
        {"a longer name", "application/cmw+cbor; cmwc_t2=x", false},
        {"as a value", "application/cmw+cbor; a=cmwc_t", false},
        {"malformed", "application/cmw+cbor; cmwc_t=", false},
        {"no type", "", false},
    };
    struct atls_cmw_type number = {.content_format = 10004};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct atls_cmw_type type = {.is_text = true,
                                     .text = atls_bytes_of(cases[i].text, strlen(cases[i].text))};

        print_message("  %s\n", cases[i].name);
        assert_int_equal(atls_cmw_type_has(&type, "cmwc_t"), cases[i].want);
    }
    assert_true(atls_cmw_type_has(&number, "eat_profile"));
    number.content_format = 1;
    assert_false(atls_cmw_type_has(&number, "eat_profile"));
}

static void test_characters_of_a_token(void **state)
{
    (void)state;
    for (unsigned int c = 0; c < 256; c++) {
        const bool alphanumeric =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        const bool want =
            alphanumeric || (c != 0 && strchr("!#$%&'*+-.^_`|~", (int)c) != NULL); /* RFC 9110 */
        const uint8_t text[] = {'a', '/', 'x', (uint8_t)c, 'y'};

        if (c != ';') /* begins a parameter */
            assert_int_equal(atls_content_type_valid(atls_bytes_of(text, sizeof text)), want);
    }
}

static void test_type_is(void **state)
{
    static const struct {
        const char *type;
        const char *media_type;
        bool want;
    } cases[] = {
        {"application/eat+cwt", "application/eat+cwt", true},
        {"Application/EAT+CWT", "application/eat+cwt", true},
        {"application/eat+cwt; a=b", "application/eat+cwt", true},
        {"application/eat+cwt; A=b", "application/eat+cwt;a=b", true},
        {"application/eat+cwt; c=d ;a=\"b\"", "application/eat+cwt;a=b", true},
        {"application/eat+cwt; a=\"\\b\"", "application/eat+cwt;a=b", true},
        {"application/eat+cwt; a=\"b\\\"\"", "application/eat+cwt;a=\"\\b\\\"\"", true},
        {"application/eat+cwt; a=\"\"", "application/eat+cwt;a=\"\"", true},
        {"application/eat+cwt;", "application/eat+cwt", true},
        {"application/eat+cwt", "application/eat+cwt;", true},
        {"application/eat+cwt", "application/eat+jwt", false},
        {"application/eat+cwt", "application/eat+cw", false},
        {"application/eat+cwt", "application/eat+cwt;a=b", false},
        {"application/eat+cwt; a=B", "application/eat+cwt;a=b", false},
        {"application/eat+cwt; a=bc", "application/eat+cwt;a=b", false},
        {"application/eat+cwt; a=b", "application/eat+cwt;a=bc", false},
        {"application/eat+cwt; a=b; a=c", "application/eat+cwt;a=b", false},
        {"application/eat+cwt; a=c; a=b", "application/eat+cwt;a=b", false},
        {"application/eat+cwt; a=b; a=b", "application/eat+cwt;a=b", false},
        {"application/eat+cwt; ab=b", "application/eat+cwt;a=b", false},
        {"application/eat+cwt x", "application/eat+cwt", false},
        {"application/eat+cwt", "application/eat+cwt x", false},
        {"application/eat+cwtx", "application/eat+cwt", false},
        {"application/eat+cwt/x", "application/eat+cwt", false},
        {"application/eat+cwt; a=b x", "application/eat+cwt;a=b", false},
        {"application/eat+cwt", "application/eat+cwt; a=b x", false},
        {"application/eat+cwt; a=b", "application/eat+cwt; a=b x", false},
        {"application/", "application/", false},
        {"application/eat+cwt", "", false},
        {"", "application/eat+cwt", false},
    };
    struct atls_cmw_type number = {.is_text = false};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct atls_cmw_type type = {.is_text = true};

        print_message("  %s, %s\n", cases[i].type, cases[i].media_type);
        type.text = atls_bytes_of(cases[i].type, strlen(cases[i].type));
        assert_int_equal(atls_cmw_type_is(&type, cases[i].media_type), cases[i].want);
    }
    number.content_format = 263;
    assert_true(atls_cmw_type_is(&number, "application/eat+cwt"));
    assert_false(atls_cmw_type_is(&number, "application/eat+jwt"));
    number.content_format = 10003;
    assert_true(atls_cmw_type_is(&number, "application/eat+cwt"));
    assert_true(atls_cmw_type_is(
        &number, "application/eat+cwt; eat_profile=\"tag:psacertified.org,2023:psa#tfm\""));
    assert_false(atls_cmw_type_is(
        &number, "application/eat+cwt; eat_profile=\"tag:psacertified.org,2019:psa#legacy\""));
    number.content_format = 64999;
    assert_false(atls_cmw_type_is(&number, "application/eat+cwt"));
    assert_null(atls_cmw_media_type(64999));
    for (unsigned int cf = 0; cf < 65536; cf++) {
        const char *name = atls_cmw_media_type((uint16_t)cf);

        assert_true(name == NULL || atls_content_type_valid(atls_bytes_of(name, strlen(name))));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_content_type_grammar),
        cmocka_unit_test(test_characters_of_a_token),
        cmocka_unit_test(test_type_is),
        cmocka_unit_test(parameters_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
