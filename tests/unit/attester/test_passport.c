/* The holder of results: references and sizes. What a result means is the verifier's to say. */
#include "testlib.h"

#include <stdlib.h>

#include <atls/limits.h>
#include <atls/passport.h>

#include "core/err.h"

static int closed;
static size_t result_len;
static size_t binder_len;

static void close_passport(void *self)
{
    (void)self;
    closed++;
}

static enum atls_code result(void *self, struct atls_bytes binder, struct atls_buf *out_cmw,
                             struct atls_err *err)
{
    (void)self;
    binder_len = binder.len;
    if (result_len == SIZE_MAX)
        return atls_fail(err, ATLS_E_UNAVAILABLE, "no verifier");
    out_cmw->ptr = calloc(1, result_len + 1);
    assert_non_null(out_cmw->ptr);
    out_cmw->len = result_len;
    return ATLS_OK;
}

static const struct atls_passport_ops ops = {close_passport, result};

static void is_closed_with_its_last_reference(void **state)
{
    struct atls_passport *p = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    closed = 0;
    test_assert_code(atls_passport_new(&ops, NULL, &p, &err), ATLS_OK, &err);
    assert_ptr_equal(atls_passport_ref(p), p);
    atls_passport_unref(p);
    assert_int_equal(closed, 0);
    atls_passport_unref(p);
    assert_int_equal(closed, 1);
    atls_passport_unref(NULL);
}

static void sizes(void **state)
{
    static const struct {
        const char *name;
        size_t binder, result;
        enum atls_code want;
    } rows[] = {
        {"any result", 0, 100, ATLS_OK},
        {"for a binder of 32 bytes", 32, 1, ATLS_OK},
        {"for a binder of 48 bytes", 48, 1, ATLS_OK},
        {"for a binder of 33 bytes", 33, 1, ATLS_E_USAGE},
        {"largest", 0, ATLS_CMW_DATA_MAX, ATLS_OK},
        {"too large", 0, ATLS_CMW_DATA_MAX + 1, ATLS_E_LIMIT},
        {"empty", 0, 0, ATLS_E_LIMIT},
        {"none to be had", 0, SIZE_MAX, ATLS_E_UNAVAILABLE},
    };
    static const uint8_t binder[48];
    struct atls_passport *p = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_passport_new(&ops, NULL, &p, &err), ATLS_OK, &err);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf cmw = ATLS_BUF_INIT;

        print_message("  %s\n", rows[i].name);
        result_len = rows[i].result;
        test_assert_code(atls_passport_result(p, atls_bytes_of(binder, rows[i].binder), &cmw, &err),
                         rows[i].want, &err);
        assert_true((cmw.ptr != NULL) == (rows[i].want == ATLS_OK));
        if (rows[i].want == ATLS_OK)
            assert_int_equal(binder_len, rows[i].binder);
        atls_buf_clear(&cmw);
    }
    atls_passport_unref(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_closed_with_its_last_reference),
        cmocka_unit_test(sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
