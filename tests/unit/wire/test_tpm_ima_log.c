#include "testlib.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <atls/limits.h>

#include "core/err.h"
#include "wire/tpm_ima_log.h"

/* Reads to the end; last receives the last entry, without what it borrows. */
static enum atls_code read_all(struct atls_bytes in, size_t *count, struct atls_err *err)
{
    struct atls_ima_log log = atls_ima_log_init(in);
    struct atls_ima_entry entry;
    enum atls_code code = ATLS_OK;

    *count = 0;
    while (code == ATLS_OK && !atls_ima_log_done(&log)) {
        code = atls_ima_log_next(&log, &entry, err);
        *count += code == ATLS_OK;
    }
    atls_ima_log_clear(&log);
    return code;
}

static void recorded_logs(void **state)
{
    static const struct {
        const char *path;
        enum atls_code want;
        size_t entries;
    } rows[] = {
        {"tpm/ima/ima-log-sha1", ATLS_OK, 2},
        {"tpm/ima/ima-log-sha256", ATLS_OK, 2},
        {"tpm/ima/ima-log-sha384", ATLS_OK, 2},
        {"tpm/ima/ima-sig-unsigned.txt", ATLS_OK, 3},
        {"tpm/ima/ima-sig-signed.txt", ATLS_OK, 2},
        {"tpm/ima/ima-buf.txt", ATLS_OK, 1},
        {"tpm/ima/ima-sig-malformed.txt", ATLS_E_DECODE, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_vector(rows[i].path);
        struct atls_err err = ATLS_ERR_INIT;
        size_t count;

        print_message("  %s\n", rows[i].path);
        test_assert_code(read_all(atls_buf_bytes(&in), &count, &err), rows[i].want, &err);
        assert_int_equal(count, rows[i].entries);
        if (rows[i].want != ATLS_OK)
            assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
        atls_buf_clear(&in);
    }
}

static void fields_of_a_signed_entry(void **state)
{
    struct atls_buf in = test_vector("tpm/ima/ima-sig-signed.txt");
    struct atls_ima_log log = atls_ima_log_init(atls_buf_bytes(&in));
    struct atls_ima_entry e;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    assert_true(log.ascii);
    test_assert_code(atls_ima_log_next(&log, &e, &err), ATLS_OK, &err);
    assert_int_equal(e.pcr, 10);
    assert_int_equal(e.template_hash[0], 0x1e);
    assert_false(e.violation);
    assert_true(atls_bytes_equal_text(e.template_name, "ima-sig"));
    assert_true(atls_bytes_equal_text(e.algorithm, "sha256"));
    assert_int_equal(e.digest.len, 32);
    assert_true(atls_bytes_equal_text(e.path, "/usr/bin/dd"));
    assert_int_equal(e.signature.ptr[0], 3);
    assert_int_equal(e.buffer.len, 0);
    atls_ima_log_clear(&log);
    atls_buf_clear(&in);
}

static void fields_of_a_buffer_entry(void **state)
{
    struct atls_buf in = test_vector("tpm/ima/ima-buf.txt");
    struct atls_ima_log log = atls_ima_log_init(atls_buf_bytes(&in));
    struct atls_ima_entry e;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_ima_log_next(&log, &e, &err), ATLS_OK, &err);
    assert_true(atls_bytes_equal_text(e.path, ".ima"));
    assert_int_equal(e.buffer.ptr[0], 0x30);
    assert_int_equal(e.signature.len, 0);
    atls_ima_log_clear(&log);
    atls_buf_clear(&in);
}

static void violations_are_marked(void **state)
{
    struct atls_buf in = test_vector("tpm/ima/ima-log-sha384");
    struct atls_ima_log log = atls_ima_log_init(atls_buf_bytes(&in));
    struct atls_ima_entry e;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_ima_log_next(&log, &e, &err), ATLS_OK, &err);
    assert_true(e.violation);
    test_assert_code(atls_ima_log_next(&log, &e, &err), ATLS_OK, &err);
    assert_false(e.violation);
    assert_true(atls_ima_log_done(&log));
    atls_ima_log_clear(&log);
    atls_buf_clear(&in);
}

#define U32(byte) byte "\0\0\0"
#define HASH20    "\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"
#define HEX20     "0101010101010101010101010101010101010101"
#define NG_DATA   U32("\x1a") "sha1:\0" HASH20 U32("\3") "/a\0"
#define NG        U32("\x0a") HASH20 U32("\6") "ima-ng" U32("\x25") NG_DATA
#define SIG_DATA  U32("\x1a") "sha1:\0" HASH20 U32("\3") "/a\0" U32("\x0a") "\3\2\4kkkk\0\1s"
#define SIG       U32("\x0a") HASH20 U32("\7") "ima-sig" U32("\x33") SIG_DATA
#define IMA       U32("\x0a") HASH20 U32("\3") "ima" HASH20 U32("\2") "/a"

/* Both forms of one entry give the same template data. */
static void binary_and_ascii_agree(void **state)
{
    static const struct {
        const char *name;
        struct atls_bytes binary, ascii;
    } rows[] = {
        {"ima-ng", HEX(NG), HEX("10 " HEX20 " ima-ng sha1:" HEX20 " /a\n")},
        {"ima-sig", HEX(SIG), HEX("10 " HEX20 " ima-sig sha1:" HEX20 " /a 0302046b6b6b6b000173\n")},
        {"ima", HEX(IMA), HEX("10 " HEX20 " ima " HEX20 " /a\n")},
        {"ima-buf",
         HEX(U32("\x0a") HASH20 U32("\7") "ima-buf" U32("\x2b")
                 U32("\x1a") "sha1:\0" HASH20 U32("\3") "/a\0" U32("\2") "bb"),
         HEX("10 " HEX20 " ima-buf sha1:" HEX20 " /a 6262\n")},
        {"ima-ngv2",
         HEX(U32("\x0a") HASH20 U32("\x08") "ima-ngv2" U32("\x29")
                 U32("\x1e") "ima:sha1:\0" HASH20 U32("\3") "/a\0"),
         HEX("10 " HEX20 " ima-ngv2 ima:sha1:" HEX20 " /a\n")},
        {"a path with spaces",
         HEX(U32("\x0a") HASH20 U32("\7") "ima-sig" U32("\x2d")
                 U32("\x1a") "sha1:\0" HASH20 U32("\7") "/a b c\0" U32("\0")),
         HEX("10 " HEX20 " ima-sig sha1:" HEX20 " /a b c \n")},
        {"a last line without its newline", HEX(NG), HEX("10 " HEX20 " ima-ng sha1:" HEX20 " /a")},
        {"PCR 9, padded by the kernel",
         HEX(U32("\x09") HASH20 U32("\6") "ima-ng" U32("\x25") NG_DATA),
         HEX(" 9 " HEX20 " ima-ng sha1:" HEX20 " /a\n")},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_ima_log binary = atls_ima_log_init(rows[i].binary);
        struct atls_ima_log ascii = atls_ima_log_init(rows[i].ascii);
        struct atls_ima_entry b, a;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        assert_false(binary.ascii);
        assert_true(ascii.ascii);
        test_assert_code(atls_ima_log_next(&binary, &b, &err), ATLS_OK, &err);
        test_assert_code(atls_ima_log_next(&ascii, &a, &err), ATLS_OK, &err);
        assert_true(atls_ima_log_done(&binary));
        assert_true(atls_ima_log_done(&ascii));
        assert_int_equal(a.pcr, b.pcr);
        assert_memory_equal(a.template_hash, b.template_hash, sizeof a.template_hash);
        test_assert_bytes(a.template_data, b.template_data);
        test_assert_bytes(a.digest, b.digest);
        test_assert_bytes(a.path, b.path);
        assert_true(atls_bytes_equal_text(b.algorithm, "sha1"));
        atls_ima_log_clear(&binary);
        atls_ima_log_clear(&ascii);
    }
}

static void unknown_templates_are_kept_whole(void **state)
{
    static const struct atls_bytes in = HEX(U32("\x0a") HASH20 U32("\3") "evm" U32("\2") "xy");
    struct atls_ima_log log = atls_ima_log_init(in);
    struct atls_ima_entry e;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_ima_log_next(&log, &e, &err), ATLS_OK, &err);
    assert_true(atls_bytes_equal_text(e.template_data, "xy"));
    assert_int_equal(e.path.len, 0);
    atls_ima_log_clear(&log);
}

static void truncations_are_refused(void **state)
{
    static const struct {
        struct atls_bytes in;
        size_t boundary;
    } rows[] = {
        {HEX(NG SIG), sizeof(NG) - 1},
        {HEX(IMA NG), sizeof(IMA) - 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t len = 1; len < rows[i].in.len; len++) {
            struct atls_err err = ATLS_ERR_INIT;
            uint8_t *cut = malloc(len);
            size_t count;

            assert_non_null(cut);
            memcpy(cut, rows[i].in.ptr, len);
            test_assert_code(read_all(atls_bytes_of(cut, len), &count, &err),
                             len == rows[i].boundary ? ATLS_OK : ATLS_E_DECODE, &err);
            free(cut);
        }
    }
}

#define NG_OF(len, data) U32("\x0a") HASH20 U32("\6") "ima-ng" U32(len) data
#define SIG_OF(len, siglen, signature)                                                             \
    U32("\x0a")                                                                                    \
    HASH20 U32("\7") "ima-sig" U32(len) U32("\x1a") "sha1:\0" HASH20 U32("\3") "/a\0" U32(siglen)  \
        signature

static void entries_that_are_refused(void **state)
{
    static const struct {
        const char *name;
        struct atls_bytes in;
    } rows[] = {
        {"empty template name", HEX(U32("\x0a") HASH20 U32("\0") U32("\0"))},
        {"template name of 16 bytes",
         HEX(U32("\x0a") HASH20 U32("\x10") "0123456789abcdef" U32("\0"))},
        {"template data beyond the log", HEX(U32("\x0a") HASH20 U32("\6") "ima-ng"
                                                                          "\xff\xff\xff\xff")},
        {"a byte after the fields", HEX(NG_OF("\x26", NG_DATA "x"))},
        {"digest without an algorithm",
         HEX(NG_OF("\x21", U32("\x16") ":\0" HASH20 U32("\3") "/a\0"))},
        {"digest without a colon",
         HEX(NG_OF("\x24", U32("\x19") "sha1\0" HASH20 U32("\3") "/a\0"))},
        {"digest without a NUL", HEX(NG_OF("\x24", U32("\x19") "sha1:" HASH20 U32("\3") "/a\0"))},
        {"digest without bytes", HEX(NG_OF("\x11", U32("\6") "sha1:\0" U32("\3") "/a\0"))},
        {"path without its NUL", HEX(NG_OF("\x24", U32("\x1a") "sha1:\0" HASH20 U32("\2") "/a"))},
        {"path with a NUL inside",
         HEX(NG_OF("\x26", U32("\x1a") "sha1:\0" HASH20 U32("\4") "/\0a\0"))},
        {"signature of type 4", HEX(SIG_OF("\x33", "\x0a", "\4\2\4kkkk\0\1s"))},
        {"signature of version 1", HEX(SIG_OF("\x33", "\x0a", "\3\1\4kkkk\0\1s"))},
        {"signature longer than it says", HEX(SIG_OF("\x34", "\x0b", "\3\2\4kkkk\0\1ss"))},
        {"signature shorter than it says", HEX(SIG_OF("\x33", "\x0a", "\3\2\4kkkk\0\2s"))},
        {"signature without a value", HEX(SIG_OF("\x32", "\x09", "\3\2\4kkkk\0\0"))},
        {"ima path of 256 bytes",
         HEX(U32("\x0a") HASH20 U32(
             "\3") "ima" HASH20 "\0\1\0\0"
                   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
                   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
                   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
                   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")},
        {"ASCII of an unknown template", HEX("10 " HEX20 " evm sha1:" HEX20 " /a\n")},
        {"ASCII with a PCR of three digits", HEX("100 " HEX20 " ima-ng sha1:" HEX20 " /a\n")},
        {"ASCII with a PCR that is no number", HEX("1x " HEX20 " ima-ng sha1:" HEX20 " /a\n")},
        {"ASCII without a PCR", HEX("  " HEX20 " ima-ng sha1:" HEX20 " /a\n")},
        {"ASCII with a template hash of 19 bytes",
         HEX("10 01010101010101010101010101010101010101 ima-ng sha1:" HEX20 " /a\n")},
        {"ASCII with a template hash of 21 bytes",
         HEX("10 " HEX20 "01 ima-ng sha1:" HEX20 " /a\n")},
        {"ASCII with upper-case digits",
         HEX("10 AA01010101010101010101010101010101010101 ima-ng sha1:" HEX20 " /a\n")},
        {"ASCII digest of half a byte", HEX("10 " HEX20 " ima-ng sha1:010 /a\n")},
        {"ASCII digest without an algorithm", HEX("10 " HEX20 " ima-ng " HEX20 " /a\n")},
        {"ASCII ima-sig without a field for the signature",
         HEX("10 " HEX20 " ima-sig sha1:" HEX20 " /a\n")},
        {"ASCII ima with a SHA-256 digest",
         HEX("10 " HEX20 " ima 0101010101010101010101010101010101010101010101010101010101010101 "
             "/a\n")},
        {"ASCII ima without a path", HEX("10 " HEX20 " ima " HEX20 "\n")},
        {"an empty line", HEX("\n\n\n\n\n")},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        size_t count;

        print_message("  %s\n", rows[i].name);
        test_assert_code(read_all(rows[i].in, &count, &err), ATLS_E_DECODE, &err);
        assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
    }
}

static void more_than_a_log_may_have(void **state)
{
    static uint8_t big[ATLS_EVENT_LOG_MAX + 1];
    /* A path that leaves no room for its template data. */
    static char line[ATLS_IMA_TEMPLATE_DATA_MAX + 256];
    struct atls_err err = ATLS_ERR_INIT;
    size_t count, len;

    (void)state;
    test_assert_code(read_all(atls_bytes_of(big, sizeof big), &count, &err), ATLS_E_LIMIT, &err);
    memset(line, 'a', sizeof line);
    len = (size_t)snprintf(line, 128, "10 " HEX20 " ima-ng sha1:" HEX20 " ");
    line[len] = '/';
    test_assert_code(read_all(atls_bytes_of(line, sizeof line), &count, &err), ATLS_E_LIMIT, &err);
}

static void an_empty_log_is_done(void **state)
{
    size_t count;

    (void)state;
    assert_int_equal(read_all(atls_bytes_of(NULL, 0), &count, NULL), ATLS_OK);
    assert_int_equal(count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_logs),
        cmocka_unit_test(fields_of_a_signed_entry),
        cmocka_unit_test(fields_of_a_buffer_entry),
        cmocka_unit_test(violations_are_marked),
        cmocka_unit_test(binary_and_ascii_agree),
        cmocka_unit_test(unknown_templates_are_kept_whole),
        cmocka_unit_test(truncations_are_refused),
        cmocka_unit_test(entries_that_are_refused),
        cmocka_unit_test(more_than_a_log_may_have),
        cmocka_unit_test(an_empty_log_is_done),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
