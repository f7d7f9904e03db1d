#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "core/writer.h"
#include "flavour/post/carrier.h"

static void judges_headers(void **state)
{
    static const struct {
        const char *name;
        uint8_t in[4];
        enum atls_code want;
    } rows[] = {
        {"type 0 is unknown", {0, 0, 0, 5}, ATLS_E_PROTOCOL},
        {"type 10 is unknown", {10, 0, 0, 5}, ATLS_E_PROTOCOL},
        {"type 255 is unknown", {255, 0, 0, 5}, ATLS_E_PROTOCOL},
        {"smallest HELLO", {1, 0, 0, 4}, ATLS_OK},
        {"HELLO too short", {1, 0, 0, 3}, ATLS_E_DECODE},
        {"largest HELLO", {1, 1, 0, 3}, ATLS_OK},
        {"HELLO too long", {1, 1, 0, 4}, ATLS_E_DECODE},
        {"smallest REQUEST", {2, 0, 0, 5}, ATLS_OK},
        {"REQUEST without a request", {2, 0, 0, 4}, ATLS_E_DECODE},
        {"largest REQUEST", {2, 0, 0x40, 4}, ATLS_OK},
        {"REQUEST too long", {2, 0, 0x40, 5}, ATLS_E_DECODE},
        {"smallest AUTHENTICATOR", {3, 0, 0, 5}, ATLS_OK},
        {"AUTHENTICATOR without one", {3, 0, 0, 4}, ATLS_E_DECODE},
        {"largest AUTHENTICATOR", {3, 4, 0, 4}, ATLS_OK},
        {"AUTHENTICATOR too long", {3, 4, 0, 5}, ATLS_E_DECODE},
        {"smallest DECLINE", {4, 0, 0, 44}, ATLS_OK},
        {"DECLINE too short", {4, 0, 0, 43}, ATLS_E_DECODE},
        {"largest DECLINE", {4, 0, 1, 59}, ATLS_OK},
        {"DECLINE too long", {4, 0, 1, 60}, ATLS_E_DECODE},
        {"smallest VERDICT", {5, 0, 0, 7}, ATLS_OK},
        {"VERDICT too short", {5, 0, 0, 6}, ATLS_E_DECODE},
        {"largest VERDICT", {5, 0, 1, 6}, ATLS_OK},
        {"VERDICT too long", {5, 0, 1, 7}, ATLS_E_DECODE},
        {"smallest DATA", {6, 0, 0, 1}, ATLS_OK},
        {"empty DATA", {6, 0, 0, 0}, ATLS_E_DECODE},
        {"largest DATA", {6, 0x10, 0, 0}, ATLS_OK},
        {"DATA too long", {6, 0x10, 0, 1}, ATLS_E_DECODE},
        {"smallest CLOSE", {7, 0, 0, 3}, ATLS_OK},
        {"CLOSE too short", {7, 0, 0, 2}, ATLS_E_DECODE},
        {"largest CLOSE", {7, 0, 1, 2}, ATLS_OK},
        {"CLOSE too long", {7, 0, 1, 3}, ATLS_E_DECODE},
        {"RAW", {8, 0, 0, 0}, ATLS_OK},
        {"RAW with a body", {8, 0, 0, 1}, ATLS_E_DECODE},
        {"END", {9, 0, 0, 0}, ATLS_OK},
        {"END with a body", {9, 0, 0, 1}, ATLS_E_DECODE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_frame_header header = {0};
        enum atls_code code = atls_frame_header_decode(rows[i].in, &header, &err);
        struct atls_writer w = atls_writer_init(16);

        if (code != rows[i].want)
            fail_msg("%s: %s", rows[i].name, err.message);
        if (code == ATLS_E_DECODE)
            assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
        if (code != ATLS_OK) {
            assert_int_equal(header.type, 0); /* untouched */
            continue;
        }
        atls_frame_header_put(&w, header.type, header.len);
        test_assert_bytes(atls_writer_bytes(&w), atls_bytes_of(rows[i].in, 4));
        atls_writer_clear(&w);
    }
}

enum kind { MESSAGE, DECLINE, VERDICT, CLOSE };

/* What a body decodes to, encoded again; code of the decoder. */
static enum atls_code again(enum kind kind, struct atls_bytes body, struct atls_writer *w,
                            struct atls_err *err)
{
    struct atls_message_frame message;
    struct atls_status_frame status;
    enum atls_code code = ATLS_E_INTERNAL;

    switch (kind) {
    case MESSAGE:
        if ((code = atls_message_frame_decode(body, &message, err)) == ATLS_OK)
            atls_message_frame_put(w, ATLS_FRAME_REQUEST, message.id, message.message);
        break;
    case DECLINE:
        if ((code = atls_decline_decode(body, &status, err)) == ATLS_OK)
            atls_decline_put(w, &status);
        break;
    case VERDICT:
        if ((code = atls_verdict_decode(body, &status, err)) == ATLS_OK)
            atls_verdict_put(w, &status);
        break;
    case CLOSE:
        if ((code = atls_close_decode(body, &status, err)) == ATLS_OK)
            atls_close_put(w, &status);
        break;
    }
    return code;
}

static const struct {
    const char *name;
    enum kind kind;
    const char *hex;
} good[] = {
    {"smallest message", MESSAGE, "0000000111"},
    {"message of id 2^32-1", MESSAGE, "ffffffff00"},
    {"DECLINE with SHA-256 MAC", DECLINE,
     "00000001000a0024"
     "000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f00010203"},
    {"DECLINE with text and SHA-384 MAC", DECLINE,
     "00000001ffff02686934"
     "000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f"
     "000102030405060708090a0b0c0d0e0f00010203"},
    {"VERDICT without text", VERDICT, "00000002000000"},
    {"VERDICT with text", VERDICT, "0000000200040161"},
    {"CLOSE without text", CLOSE, "000000"},
    {"CLOSE with text", CLOSE, "000c03616263"},
};

static void round_trips_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct atls_buf body = test_unhex(good[i].hex);
        struct atls_writer w = atls_writer_init(4096);
        struct atls_err err = ATLS_ERR_INIT;

        if (again(good[i].kind, atls_buf_bytes(&body), &w, &err) != ATLS_OK)
            fail_msg("%s: %s", good[i].name, err.message);
        test_assert_bytes(atls_bytes_of(w.ptr + 4, w.len - 4), atls_buf_bytes(&body));
        atls_writer_clear(&w);
        atls_buf_clear(&body);
    }
}

static void refuses_truncations_and_trailing_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct atls_buf body = test_unhex(good[i].hex);
        uint8_t *longer = malloc(body.len + 1);

        assert_non_null(longer);
        memcpy(longer, body.ptr, body.len);
        longer[body.len] = 0;
        for (size_t len = 0; len <= body.len + 1; len++) {
            struct atls_writer w = atls_writer_init(4096);
            struct atls_err err = ATLS_ERR_INIT;
            /* A copy of this very length: the address sanitizer sees a read past it. */
            uint8_t *exact = malloc(len + (len == 0));

            assert_non_null(exact);
            memcpy(exact, longer, len);
            if (len != body.len && (good[i].kind != MESSAGE || len < 5)) {
                if (again(good[i].kind, atls_bytes_of(exact, len), &w, &err) != ATLS_E_DECODE)
                    fail_msg("%s: %zu of %zu bytes", good[i].name, len, body.len);
                assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
            }
            free(exact);
            atls_writer_clear(&w);
        }
        free(longer);
        atls_buf_clear(&body);
    }
}

static void refuses_a_decline_that_does_not_decline(void **state)
{
    struct atls_buf body = test_unhex(good[2].hex);
    struct atls_status_frame frame;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    body.ptr[4] = body.ptr[5] = 0;
    assert_int_equal(atls_decline_decode(atls_buf_bytes(&body), &frame, &err), ATLS_E_DECODE);
    assert_non_null(strstr(err.message, "want a refusal"));
    atls_buf_clear(&body);
}

static void refuses_to_write_long_text(void **state)
{
    char text[256];
    struct atls_status_frame frame = {.code = 1};
    struct atls_writer w = atls_writer_init(4096);

    (void)state;
    memset(text, 'a', sizeof text);
    frame.text = atls_bytes_of(text, 255);
    atls_close_put(&w, &frame);
    assert_int_equal(w.failed, ATLS_OK);
    frame.text.len = 256;
    atls_close_put(&w, &frame);
    assert_int_equal(w.failed, ATLS_E_LIMIT);
    atls_writer_clear(&w);
}

static void names_codes_for_the_peer(void **state)
{
    static const struct {
        enum atls_code code;
        enum atls_reason reason;
        uint16_t want;
    } rows[] = {
        {ATLS_OK, ATLS_REASON_NONE, 0},
        {ATLS_E_PROTOCOL, ATLS_REASON_NONE, 1},
        {ATLS_E_VERIFY, ATLS_REASON_FINISHED_MISMATCH, 1},
        {ATLS_E_DECODE, ATLS_REASON_MALFORMED, 2},
        {ATLS_E_EVIDENCE, ATLS_REASON_NOT_ATTESTED, 3},
        {ATLS_E_DECLINED, ATLS_REASON_EMPTY_AUTHENTICATOR, 3},
        {ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH, 4},
        {ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_NAME, 5},
        {ATLS_E_CERTIFICATE, ATLS_REASON_EQUAL_KEYS, 5},
        {ATLS_E_REFUSED, ATLS_REASON_POLICY, 6},
        {ATLS_E_REFUSED, ATLS_REASON_POLICY_OUTPUT, 6},
        {ATLS_E_PROTOCOL, ATLS_REASON_NO_COMMON_PARAMETERS, 7},
        {ATLS_E_TIMEOUT, ATLS_REASON_DEADLINE, 8},
        {ATLS_E_LIMIT, ATLS_REASON_FLOOD, 9},
        {ATLS_E_DEVICE, ATLS_REASON_NONE, 10},
        {ATLS_E_PROTOCOL, ATLS_REASON_GATE_CLOSED, 11},
        {ATLS_E_NOMEM, ATLS_REASON_NONE, 12},
        {(enum atls_code)999, ATLS_REASON_NONE, 12},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = {.code = rows[i].code, .reason = rows[i].reason};

        assert_int_equal(atls_carrier_code_of(&err), rows[i].want);
    }
    for (uint16_t code = 1; code <= 12; code++) {
        assert_int_not_equal(atls_carrier_code_row(code)->received, ATLS_OK);
        assert_true(strlen(atls_carrier_code_row(code)->sentence) != 0);
    }
    assert_int_equal(atls_carrier_code_row(0)->received, ATLS_OK);
    assert_int_not_equal(atls_carrier_code_row(13)->received, ATLS_OK);
    assert_int_not_equal(atls_carrier_code_row(0xffff)->received, ATLS_OK);
    assert_string_equal(atls_frame_name(1), "HELLO");
    assert_string_equal(atls_frame_name(0), "unknown frame");
    assert_string_equal(atls_frame_name(10), "unknown frame");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_headers),
        cmocka_unit_test(round_trips_bodies),
        cmocka_unit_test(refuses_truncations_and_trailing_bytes),
        cmocka_unit_test(refuses_a_decline_that_does_not_decline),
        cmocka_unit_test(refuses_to_write_long_text),
        cmocka_unit_test(names_codes_for_the_peer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
