#include "testlib.h"

#include <string.h>

#include "core/err.h"
#include "evidence/ima_log.h"

#define UNSIGNED_SHA256 "a5c115cd8f5541458408147536f632174d2b0a9f329e7c4ddea9a12642b4d74b"
#define UNSIGNED_SHA1   "dff39e2db052e00d11f45770bb127c4053e14f32"
#define LOG_SHA256      "8dcd5e7eb63e363377ec19b0d358601ccc19f25a30486f35784c5288dbb91d9d"

static enum atls_code run(struct atls_bytes log, enum atls_hash bank, const char *quoted,
                          struct atls_ima_summary *out, struct atls_err *err)
{
    struct atls_buf value = test_unhex(quoted);
    enum atls_code code = atls_ima_log_verify(log, bank, atls_buf_bytes(&value), out, err);

    atls_buf_clear(&value);
    return code;
}

static void recorded_logs_lead_to_recorded_values(void **state)
{
    static const struct {
        const char *path;
        enum atls_hash bank;
        const char *quoted;
        size_t entries;
    } rows[] = {
        {"tpm/ima/ima-sig-unsigned.txt", ATLS_HASH_SHA256, UNSIGNED_SHA256, 3},
        {"tpm/ima/ima-sig-unsigned.txt", ATLS_HASH_SHA1, UNSIGNED_SHA1, 3},
        {"tpm/ima/ima-log-sha256", ATLS_HASH_SHA256, LOG_SHA256, 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf log = test_vector(rows[i].path);
        struct atls_ima_summary ima;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].path);
        test_assert_code(run(atls_buf_bytes(&log), rows[i].bank, rows[i].quoted, &ima, &err),
                         ATLS_OK, &err);
        assert_int_equal(ima.entries, rows[i].entries);
        assert_int_equal(ima.violations, 0);
        atls_buf_clear(&log);
    }
}

/* Extends a value by a digest: the arithmetic of a PCR, apart from the replay. */
static void extend(enum atls_hash bank, uint8_t *value, const uint8_t *digest)
{
    struct atls_bytes parts[2] = {{value, atls_hash_len(bank)}, {digest, atls_hash_len(bank)}};

    assert_int_equal(atls_hash_parts(bank, parts, 2, value, NULL), ATLS_OK);
}

static void violations_extend_ones(void **state)
{
    static const struct atls_bytes in =
        HEX("10 0000000000000000000000000000000000000000 ima-ng "
            "sha1:0000000000000000000000000000000000000000 boot_aggregate\n");
    uint8_t value[ATLS_HASH_MAX] = {0}, ones[ATLS_HASH_MAX];
    struct atls_ima_summary ima;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    memset(ones, 0xff, sizeof ones);
    extend(ATLS_HASH_SHA384, value, ones);
    test_assert_code(
        atls_ima_log_verify(in, ATLS_HASH_SHA384, atls_bytes_of(value, 48), &ima, &err), ATLS_OK,
        &err);
    assert_int_equal(ima.entries, 1);
    assert_int_equal(ima.violations, 1);
}

/* A log may have grown since the quote: entries after the quoted value do not count, and do not
 * matter, whatever they are. */
static void only_the_prefix_counts(void **state)
{
    struct atls_buf log = test_vector("tpm/ima/ima-sig-unsigned.txt");
    struct atls_bytes whole = atls_buf_bytes(&log);
    const uint8_t *newline = memchr(whole.ptr, '\n', whole.len);
    struct atls_buf data;
    uint8_t first[ATLS_HASH_MAX] = {0}, digest[ATLS_HASH_MAX], longer[1024];
    struct atls_ima_summary ima;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_bytes one;

    (void)state;
    assert_non_null(newline);
    assert_true(whole.len + 16 <= sizeof longer);
    one = atls_bytes_of(whole.ptr, (size_t)(newline - whole.ptr) + 1);
    test_assert_code(run(one, ATLS_HASH_SHA256, UNSIGNED_SHA256, &ima, &err), ATLS_E_EVIDENCE,
                     &err);
    /* The value after one entry, from its template data. */
    data = test_unhex("280000007368613235363a00"
                      "e4cb9f5709c88376b5fc3743cd88e76b9aae8f3d992d845678de5215edb31216"
                      "0f000000626f6f745f6167677265676174650000000000");
    assert_int_equal(atls_hash_one(ATLS_HASH_SHA256, atls_buf_bytes(&data), digest, NULL), ATLS_OK);
    extend(ATLS_HASH_SHA256, first, digest);
    atls_buf_clear(&data);
    test_assert_code(
        atls_ima_log_verify(whole, ATLS_HASH_SHA256, atls_bytes_of(first, 32), &ima, &err), ATLS_OK,
        &err);
    assert_int_equal(ima.entries, 1);
    memcpy(longer, whole.ptr, whole.len);
    memcpy(longer + whole.len, "no entry at all\n", 16);
    test_assert_code(
        run(atls_bytes_of(longer, whole.len + 16), ATLS_HASH_SHA256, UNSIGNED_SHA256, &ima, &err),
        ATLS_OK, &err);
    assert_int_equal(ima.entries, 3);
    atls_buf_clear(&log);
}

static void logs_that_are_refused(void **state)
{
    static const struct {
        const char *name;
        struct atls_bytes in;
        enum atls_code want;
        enum atls_reason reason;
    } rows[] = {
        {"empty", HEX(""), ATLS_E_EVIDENCE, ATLS_REASON_IMA_LOG_MISMATCH},
        {"an entry of another PCR only",
         HEX("11 6309e2c83b7814367bb3912a55e5473454623535 ima-ng "
             "sha256:f4845392eca429a4c941a6a07fc32faf843a88c5c3dfa3b9329ab8f4171d9ce3 "
             "boot_aggregate\n"),
         ATLS_E_EVIDENCE, ATLS_REASON_IMA_LOG_MISMATCH},
        {"a template hash of other fields",
         HEX("10 6309e2c83b7814367bb3912a55e5473454623535 ima-ng "
             "sha256:f4845392eca429a4c941a6a07fc32faf843a88c5c3dfa3b9329ab8f4171d9ce3 "
             "boot_aggregatf\n"),
         ATLS_E_EVIDENCE, ATLS_REASON_IMA_LOG_MISMATCH},
        {"a malformed entry", HEX("10 63 ima-ng\n"), ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_ima_summary ima;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        test_assert_code(run(rows[i].in, ATLS_HASH_SHA256, LOG_SHA256, &ima, &err), rows[i].want,
                         &err);
        assert_int_equal(err.reason, rows[i].reason);
    }
}

/* Zero entries prove nothing, even where PCR 10 is still zero. */
static void a_pcr_that_nothing_extended(void **state)
{
    static const uint8_t zeros[32];
    struct atls_buf log = test_vector("tpm/ima/ima-log-sha256");
    struct atls_ima_summary ima;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_ima_log_verify(atls_buf_bytes(&log), ATLS_HASH_SHA256,
                                         atls_bytes_of(zeros, sizeof zeros), &ima, &err),
                     ATLS_E_EVIDENCE, &err);
    assert_int_equal(err.reason, ATLS_REASON_IMA_LOG_MISMATCH);
    atls_buf_clear(&log);
}

/* One changed character anywhere in the log of two entries, but in the newline at its end. */
static void every_byte_counts(void **state)
{
    struct atls_buf log = test_vector("tpm/ima/ima-log-sha256");

    (void)state;
    for (size_t i = 0; i + 1 < log.len; i++) {
        struct atls_ima_summary ima;
        struct atls_err err = ATLS_ERR_INIT;

        log.ptr[i] ^= 1;
        assert_int_not_equal(run(atls_buf_bytes(&log), ATLS_HASH_SHA256, LOG_SHA256, &ima, &err),
                             ATLS_OK);
        log.ptr[i] ^= 1;
    }
    atls_buf_clear(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_logs_lead_to_recorded_values),
        cmocka_unit_test(violations_extend_ones),
        cmocka_unit_test(only_the_prefix_counts),
        cmocka_unit_test(logs_that_are_refused),
        cmocka_unit_test(a_pcr_that_nothing_extended),
        cmocka_unit_test(every_byte_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
