#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "crypto/der.h"
#include "flavour/pre/pre.h"

#define LETTERS "aebagbafaydqqcikbmga2dqpcaireeyuculbogazdinryhi6d4qa"

static struct atls_pre_nonce counting(void)
{
    struct atls_pre_nonce n = {{0}};

    for (size_t i = 0; i < sizeof n.bytes; i++)
        n.bytes[i] = (uint8_t)(i + 1);
    return n;
}

static struct atls_bytes text_of(const char *text)
{
    return atls_bytes_of(text, strlen(text));
}

static void host_names(void **state)
{
    static const struct {
        const char *name, *host;
    } rows[] = {
        {"host.example", LETTERS ".host.example"}, {"host.example.", LETTERS ".host.example"},
        {"localhost", LETTERS ".localhost"},       {"a-b.c_d.Example", LETTERS ".a-b.c_d.Example"},
        {NULL, LETTERS ".atls.invalid"},           {"192.0.2.7", LETTERS ".atls.invalid"},
        {"2001:db8::7", LETTERS ".atls.invalid"},
    };
    const struct atls_pre_nonce nonce = counting();

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char host[ATLS_PRE_HOST_MAX + 1] = "";
        struct atls_pre_nonce back = {{0}};
        struct atls_err err = ATLS_ERR_INIT;

        test_assert_code(atls_pre_host_make(&nonce, rows[i].name, host, &err), ATLS_OK, &err);
        assert_string_equal(host, rows[i].host);
        assert_true(atls_pre_host_read(text_of(host), &back));
        test_assert_bytes(atls_pre_nonce_bytes(&back), atls_pre_nonce_bytes(&nonce));
    }
}

/* 253 letters: the longest name that there is. */
static void longest_name(void **state)
{
    const struct atls_pre_nonce nonce = counting();
    char name[ATLS_PRE_HOST_MAX], host[ATLS_PRE_HOST_MAX + 1] = "untouched";
    struct atls_pre_nonce back;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof name; i++)
        name[i] = i % 50 == 49 ? '.' : 'n';
    name[201] = '\0';
    test_assert_code(atls_pre_host_make(&nonce, name, host, &err), ATLS_E_CONFIG, &err);
    assert_string_equal(host, "untouched");
    name[199] = 'n'; /* no dot at its end */
    name[200] = '\0';
    test_assert_code(atls_pre_host_make(&nonce, name, host, &err), ATLS_OK, &err);
    assert_int_equal(strlen(host), 253);
    assert_true(atls_pre_host_read(text_of(host), &back));
}

static void no_host_names(void **state)
{
    static const char *const rows[] = {
        "",     ".",
        "..",   ".host",
        "a..b", "host.example..",
        "a b",  "h\xc3\xb6st",
        "a/b",  "a:b",
        "a\n",  "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn" /* 64 */,
    };
    const struct atls_pre_nonce nonce = counting();

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char host[ATLS_PRE_HOST_MAX + 1];
        struct atls_err err = ATLS_ERR_INIT;

        test_assert_code(atls_pre_host_make(&nonce, rows[i], host, &err), ATLS_E_CONFIG, &err);
    }
}

static void hosts_without_a_nonce(void **state)
{
    static const char *const rows[] = {
        "",
        "host.example",
        LETTERS,
        LETTERS ".",
        "x" LETTERS ".host",
        LETTERS "a.host",
        LETTERS "-host",
        "aebagbafaydqqcikbmga2dqpcaireeyuculbogazdinryhi6d4qb.host", /* a spare bit */
        "AEBAGBAFAYDQQCIKBMGA2DQPCAIREEYUCULBOGAZDINRYHI6D4QA.host",
        "aebagbafaydqqcikbmga2dqpcaireeyuculbogazdinryhi6d4q0.host",
    };
    char longer[ATLS_PRE_HOST_MAX + 2];
    struct atls_pre_nonce out;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_false(atls_pre_host_read(text_of(rows[i]), &out));
    memset(longer, 'n', sizeof longer);
    memcpy(longer, LETTERS ".", sizeof LETTERS);
    assert_true(atls_pre_host_read(atls_bytes_of(longer, ATLS_PRE_HOST_MAX), &out));
    assert_false(atls_pre_host_read(atls_bytes_of(longer, ATLS_PRE_HOST_MAX + 1), &out));
}

static void authorities(void **state)
{
    const struct atls_pre_nonce nonce = counting();
    struct atls_pre_nonce back = {{0}};
    struct atls_buf name = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t longer[128];

    (void)state;
    test_assert_code(atls_pre_authority_make(&nonce, &name, &err), ATLS_OK, &err);
    assert_true(atls_pre_authority_read(atls_buf_bytes(&name), &back));
    test_assert_bytes(atls_pre_nonce_bytes(&back), atls_pre_nonce_bytes(&nonce));
    for (size_t len = 0; len < name.len; len++)
        assert_false(atls_pre_authority_read(atls_bytes_of(name.ptr, len), &back));
    memcpy(longer, name.ptr, name.len);
    longer[name.len] = 0;
    assert_false(atls_pre_authority_read(atls_bytes_of(longer, name.len + 1), &back));
    /* Each byte counts: tags, lengths, the type, and the letters, which stand for another nonce. */
    for (size_t i = 0; i < name.len; i++) {
        name.ptr[i] ^= 0x80;
        assert_false(atls_pre_authority_read(atls_buf_bytes(&name), &back));
        name.ptr[i] ^= 0x80;
    }
    atls_buf_clear(&name);
}

/* Names of real authorities are no nonces, nor is a nonce among other attributes. */
static void other_names(void **state)
{
    static const uint8_t common_name[] = {0x55, 0x04, 0x03}, country[] = {0x55, 0x04, 0x06};
    const struct {
        const char *text;
        bool twice, other_type;
    } rows[] = {
        {"Example Root", false, false},
        {LETTERS, true, false},
        {LETTERS, false, true},
        {LETTERS, false, false},
    };
    struct atls_pre_nonce out;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_writer w = atls_writer_init(512);
        size_t name = atls_der_open(&w, ATLS_DER_SEQUENCE), set, pair;

        for (int k = 0; k < (rows[i].twice ? 2 : 1); k++) {
            set = atls_der_open(&w, ATLS_DER_SET);
            pair = atls_der_open(&w, ATLS_DER_SEQUENCE);
            atls_der_put(&w, ATLS_DER_OID,
                         atls_bytes_of(rows[i].other_type ? country : common_name, 3));
            atls_der_put(&w, ATLS_DER_UTF8_STRING, text_of(rows[i].text));
            atls_der_close(&w, pair);
            atls_der_close(&w, set);
        }
        atls_der_close(&w, name);
        assert_int_equal(atls_pre_authority_read(atls_writer_bytes(&w), &out), i == 3);
        atls_writer_clear(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_names),    cmocka_unit_test(longest_name),
        cmocka_unit_test(no_host_names), cmocka_unit_test(hosts_without_a_nonce),
        cmocka_unit_test(authorities),   cmocka_unit_test(other_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
