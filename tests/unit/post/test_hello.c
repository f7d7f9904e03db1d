#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "core/writer.h"
#include "flavour/post/hello.h"

static const struct {
    const char *name;
    const char *hex;
    enum atls_code want;
    bool same; /* encodes to the same bytes again */
} rows[] = {
    {"smallest", "01000000", ATLS_OK, true},
    {"every flag", "011f0000", ATLS_OK, true},
    {"results offered and accepted",
     "01130018"
     "0006000a0008076561722b6a7774"
     "0007000600040378797a",
     ATLS_OK, true},
    {"profiles offered",
     "0101000b00080007000504"
     "62617265",
     ATLS_OK, true},
    {"profiles offered before results",
     "01010015"
     "000800070005"
     "0462617265"
     "0006000600040378797a",
     ATLS_E_DECODE, false},
    {"results before evidence",
     "01010014"
     "0006000600040378797a"
     "0001000600040374706d",
     ATLS_E_DECODE, false},
    {"binder-echo without requires", "01110000", ATLS_E_DECODE, false},
    {"optional", "0102000400090000", ATLS_OK, true},
    {"optional behind profiles offered",
     "0103000f00080007000504"
     "6261726500090000",
     ATLS_OK, true},
    {"optional that says more",
     "01020005000900"
     "0101",
     ATLS_E_DECODE, false},
    {"optional twice", "010200080009000000090000", ATLS_E_DECODE, false},
    {"optional without requires", "0101000400090000", ATLS_E_DECODE, false},
    {"empty list of results", "01000006000700020000", ATLS_E_DECODE, false},
    {"evidence offered", "0101000a0001000600040374706d", ATLS_OK, true},
    {"evidence offered and accepted",
     "0103001400010006000403747"
     "06d0002000600040374706d",
     ATLS_OK, true},
    {"largest frame, smallest value", "0100000700050003010000", ATLS_OK, true},
    {"largest frame, largest value", "0100000700050003100000", ATLS_OK, false},
    {"largest frame too small", "010000070005000300ffff", ATLS_E_DECODE, false},
    {"largest frame too large", "0100000700050003100001", ATLS_E_DECODE, false},
    {"largest frame of 2 bytes", "01000006000500020100", ATLS_E_DECODE, false},
    {"largest frame of 4 bytes", "010000080005000400010000", ATLS_E_DECODE, false},
    {"unknown parameter is ignored", "0100000500ff0001aa", ATLS_OK, false},
    {"private parameter is ignored",
     "010000048000"
     "0000",
     ATLS_OK, false},
    {"parameter type 0 is ignored", "0100000400000000", ATLS_OK, false},
    {"largest parameter type", "01000004ffff0000", ATLS_OK, false},
    {"version 0", "00000000", ATLS_E_UNSUPPORTED, false},
    {"version 2", "02000000", ATLS_E_UNSUPPORTED, false},
    {"version 2 in another form", "02", ATLS_E_UNSUPPORTED, false},
    {"undefined flag", "01200000", ATLS_E_DECODE, false},
    {"requires-self without attests", "01080000", ATLS_E_DECODE, false},
    {"parameters out of order",
     "01000014000200060004037470"
     "6d0001000600040374706d",
     ATLS_E_DECODE, false},
    {"parameter twice",
     "0100001400010006000403747"
     "06d0001000600040374706d",
     ATLS_E_DECODE, false},
    {"unknown parameter twice", "0100000800ff000000ff0000", ATLS_E_DECODE, false},
    {"largest type twice", "01000008ffff0000ffff0000", ATLS_E_DECODE, false},
    {"empty list of names", "01000006000100020000", ATLS_E_DECODE, false},
    {"list without its length", "0100000400010000", ATLS_E_DECODE, false},
    {"bytes behind the list",
     "0100000b000100070004037470"
     "6d00",
     ATLS_E_DECODE, false},
    {"empty name", "0100000700010003000100", ATLS_E_DECODE, false},
    {"name past the end of its list", "0100000a0001000600040474706d", ATLS_E_DECODE, false},
};

static enum atls_code decode(struct atls_bytes body, struct atls_hello *hello, struct atls_err *err)
{
    uint8_t *exact = malloc(body.len + (body.len == 0));
    enum atls_code code;

    assert_non_null(exact);
    if (body.len != 0)
        memcpy(exact, body.ptr, body.len);
    code = atls_hello_decode(atls_bytes_of(exact, body.len), hello, err);
    free(exact);
    return code;
}

static void judges_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf body = test_unhex(rows[i].hex);
        struct atls_writer w = atls_writer_init(70000);
        struct atls_hello hello;
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code = atls_hello_decode(atls_buf_bytes(&body), &hello, &err);

        if (code != rows[i].want)
            fail_msg("%s: %s %s", rows[i].name, atls_code_name(code), err.message);
        if (code == ATLS_E_UNSUPPORTED)
            assert_int_equal(err.reason, ATLS_REASON_NO_COMMON_PARAMETERS);
        if (code == ATLS_E_DECODE)
            assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
        if (code == ATLS_OK && rows[i].same) {
            atls_hello_put(&w, &hello);
            test_assert_bytes(atls_bytes_of(w.ptr + 4, w.len - 4), atls_buf_bytes(&body));
        }
        atls_writer_clear(&w);
        atls_buf_clear(&body);
    }
}

static struct atls_bytes text(const char *s)
{
    return atls_bytes_of(s, strlen(s));
}

/* A HELLO with everything in it. */
static struct atls_writer full(void)
{
    struct atls_writer lists[ATLS_NAMES_COUNT], w = atls_writer_init(70000);
    struct atls_hello hello = {.flags = 31, .frame_max = 70000, .optional = true};

    for (size_t i = 0; i < ATLS_NAMES_COUNT; i++) {
        lists[i] = atls_writer_init(1000);
        atls_name_put(&lists[i], "tpm");
        atls_name_put(&lists[i], i == 0 ? "soft" : "h2");
        hello.names[i] = atls_writer_bytes(&lists[i]);
    }
    atls_hello_put(&w, &hello);
    for (size_t i = 0; i < ATLS_NAMES_COUNT; i++)
        atls_writer_clear(&lists[i]);
    assert_int_equal(w.failed, ATLS_OK);
    return w;
}

static void round_trips_everything(void **state)
{
    struct atls_writer w = full(), w2 = atls_writer_init(70000);
    struct atls_hello hello;

    (void)state;
    assert_int_equal(atls_hello_decode(atls_bytes_of(w.ptr + 4, w.len - 4), &hello, NULL), ATLS_OK);
    assert_int_equal(hello.flags, 31);
    assert_int_equal(hello.frame_max, 70000);
    assert_true(atls_names_contain(hello.names[0], text("soft")));
    assert_false(atls_names_contain(hello.names[1], text("soft")));
    atls_hello_put(&w2, &hello);
    test_assert_bytes(atls_writer_bytes(&w2), atls_writer_bytes(&w));
    atls_writer_clear(&w);
    atls_writer_clear(&w2);
}

static void refuses_truncations_and_trailing_bytes(void **state)
{
    struct atls_writer w = full();
    struct atls_hello hello;
    struct atls_err err = ATLS_ERR_INIT;
    size_t len = w.len - 4;

    (void)state;
    for (size_t cut = 0; cut < len; cut++)
        test_assert_code(decode(atls_bytes_of(w.ptr + 4, cut), &hello, &err), ATLS_E_DECODE, &err);
    atls_put_u8(&w, 0);
    test_assert_code(decode(atls_bytes_of(w.ptr + 4, len + 1), &hello, &err), ATLS_E_DECODE, &err);
    atls_writer_clear(&w);
}

static void finds_names_in_common(void **state)
{
    struct atls_writer a = atls_writer_init(100), b = atls_writer_init(100);
    struct atls_bytes none = atls_bytes_of(NULL, 0), rest, name;

    (void)state;
    atls_name_put(&a, "x");
    atls_name_put(&a, "tpm");
    atls_name_put(&a, "soft");
    atls_name_put(&b, "soft");
    atls_name_put(&b, "tpm");
    /* The preference of the first list decides; a prefix is no match. */
    test_assert_bytes(atls_names_common(atls_writer_bytes(&a), atls_writer_bytes(&b)), text("tpm"));
    test_assert_bytes(atls_names_common(atls_writer_bytes(&b), atls_writer_bytes(&a)),
                      text("soft"));
    assert_false(atls_names_contain(atls_writer_bytes(&a), text("tp")));
    assert_int_equal(atls_names_common(atls_writer_bytes(&a), none).len, 0);
    assert_int_equal(atls_names_common(none, atls_writer_bytes(&a)).len, 0);
    rest = atls_writer_bytes(&b);
    assert_true(atls_names_next(&rest, &name));
    assert_true(atls_names_next(&rest, &name));
    assert_false(atls_names_next(&rest, &name));
    assert_int_equal(rest.len, 0);
    atls_writer_clear(&a);
    atls_writer_clear(&b);
}

static void refuses_names_of_wrong_length(void **state)
{
    char name[257];
    struct atls_writer w = atls_writer_init(1000);

    (void)state;
    memset(name, 'a', sizeof name);
    name[255] = '\0';
    atls_name_put(&w, name);
    assert_int_equal(w.failed, ATLS_OK);
    name[255] = 'a';
    name[256] = '\0';
    atls_name_put(&w, name);
    assert_int_equal(w.failed, ATLS_E_LIMIT);
    atls_writer_clear(&w);
    atls_name_put(&w, "");
    assert_int_equal(w.failed, ATLS_E_LIMIT);
    atls_writer_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_rows),
        cmocka_unit_test(round_trips_everything),
        cmocka_unit_test(refuses_truncations_and_trailing_bytes),
        cmocka_unit_test(finds_names_in_common),
        cmocka_unit_test(refuses_names_of_wrong_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
