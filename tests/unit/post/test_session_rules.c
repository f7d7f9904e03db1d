/* Every rule of docs/carrier.md broken once, and what both ends then say. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include <atls/limits.h>

#include "core/writer.h"
#include "flavour/post/carrier.h"
#include "session_pair.h"

/* Where the server stands when the frame comes. */
enum stage {
    START,    /* nothing was received */
    ASKED,    /* HELLO and REQUEST of the client came, its answer is not made; the server asked */
    ANSWERED, /* the same, and the answer was sent */
    OPEN,     /* both gates are open */
};

static const struct {
    const char *name;
    enum stage stage;
    const char *hex; /* what the client sends instead of its own */
    enum atls_code server, client;
    enum atls_reason reason; /* the server's; the client's is peer-refused */
} rows[] = {
    {"unknown type 0", START, "00000001aa", ATLS_E_PROTOCOL, ATLS_E_PROTOCOL, ATLS_REASON_NONE},
    {"unknown type 10", START, "0a00000100", ATLS_E_PROTOCOL, ATLS_E_PROTOCOL, ATLS_REASON_NONE},
    {"length above the limit", START, "06100001", ATLS_E_DECODE, ATLS_E_PROTOCOL,
     ATLS_REASON_MALFORMED},
    {"REQUEST comes first", START, "0200000500000001aa", ATLS_E_PROTOCOL, ATLS_E_PROTOCOL,
     ATLS_REASON_NONE},
    {"AUTHENTICATOR comes first", START, "0300000500000001aa", ATLS_E_PROTOCOL, ATLS_E_PROTOCOL,
     ATLS_REASON_NONE},
    {"DECLINE comes first", START, "0400002c", ATLS_E_PROTOCOL, ATLS_E_PROTOCOL, ATLS_REASON_NONE},
    {"VERDICT comes first", START, "0500000700000001000000", ATLS_E_PROTOCOL, ATLS_E_PROTOCOL,
     ATLS_REASON_NONE},
    {"DATA comes first", START, "06000001aa", ATLS_E_PROTOCOL, ATLS_E_PROTOCOL, ATLS_REASON_NONE},
    {"RAW comes first", START, "08000000", ATLS_E_PROTOCOL, ATLS_E_PROTOCOL, ATLS_REASON_NONE},
    {"HELLO of another version", START, "0100000402000000", ATLS_E_UNSUPPORTED, ATLS_E_PROTOCOL,
     ATLS_REASON_NO_COMMON_PARAMETERS},
    {"HELLO with a flag that is none", START, "0100000401800000", ATLS_E_DECODE, ATLS_E_PROTOCOL,
     ATLS_REASON_MALFORMED},
    {"HELLO cut short", START, "0100000401000001", ATLS_E_DECODE, ATLS_E_PROTOCOL,
     ATLS_REASON_MALFORMED},
    {"HELLO with a byte too much", START, "010000050100000000", ATLS_E_DECODE, ATLS_E_PROTOCOL,
     ATLS_REASON_MALFORMED},
    {"HELLO below its least length", START, "01000003010000", ATLS_E_DECODE, ATLS_E_PROTOCOL,
     ATLS_REASON_MALFORMED},
    {"CLOSE with a byte too much", START, "0700000400000000", ATLS_E_DECODE, ATLS_E_PROTOCOL,
     ATLS_REASON_MALFORMED},
    {"the peer does not attest", START,
     "010000040102"
     "0000",
     ATLS_E_PROTOCOL, ATLS_E_PROTOCOL, ATLS_REASON_NO_COMMON_PARAMETERS},
    {"the peer offers no type of evidence", START, "0100000401010000", ATLS_E_PROTOCOL,
     ATLS_E_PROTOCOL, ATLS_REASON_NO_COMMON_PARAMETERS},
    {"the peer offers another type of evidence", START, "0100000e0101000a0001000600040374706d",
     ATLS_E_PROTOCOL, ATLS_E_PROTOCOL, ATLS_REASON_NO_COMMON_PARAMETERS},
    {"the peer accepts no type of evidence", START,
     "0100000f0103000b00010007000504"
     "66616b65",
     ATLS_E_PROTOCOL, ATLS_E_PROTOCOL, ATLS_REASON_NO_COMMON_PARAMETERS},
    {"the peer accepts another type of evidence", START,
     "010000190103001500010007000504"
     "66616b650002000600040374706d",
     ATLS_E_PROTOCOL, ATLS_E_PROTOCOL, ATLS_REASON_NO_COMMON_PARAMETERS},
    {"no bundle profile in common", START,
     "0100001a010300160001000700050466616b6500020007000504"
     "66616b65",
     ATLS_E_PROTOCOL, ATLS_E_PROTOCOL, ATLS_REASON_NO_COMMON_PARAMETERS},

    {"second HELLO", ASKED, "0100000401000000", ATLS_E_PROTOCOL, ATLS_E_PROTOCOL, ATLS_REASON_NONE},
    {"DATA before the gate", ASKED, "06000001aa", ATLS_E_PROTOCOL, ATLS_E_PROTOCOL,
     ATLS_REASON_GATE_CLOSED},
    {"END before the gate", ASKED, "09000000", ATLS_E_PROTOCOL, ATLS_E_PROTOCOL,
     ATLS_REASON_GATE_CLOSED},
    {"DATA before the verdict", ANSWERED, "06000001aa", ATLS_E_PROTOCOL, ATLS_E_PROTOCOL,
     ATLS_REASON_GATE_CLOSED},
    {"RAW that was not negotiated", ASKED, "08000000", ATLS_E_PROTOCOL, ATLS_E_PROTOCOL,
     ATLS_REASON_NONE},
    {"VERDICT before the answer", ASKED, "0500000700000001000000", ATLS_E_PROTOCOL, ATLS_E_PROTOCOL,
     ATLS_REASON_NONE},
    {"VERDICT of an unknown request", ANSWERED, "0500000700000002000000", ATLS_E_PROTOCOL,
     ATLS_E_PROTOCOL, ATLS_REASON_NONE},
    {"VERDICT twice", ANSWERED,
     "0500000700000001000000"
     "0500000700000001000000",
     ATLS_E_PROTOCOL, ATLS_E_PROTOCOL, ATLS_REASON_NONE},
    {"VERDICT with a byte too much", ANSWERED, "050000080000000100000000", ATLS_E_DECODE,
     ATLS_E_PROTOCOL, ATLS_REASON_MALFORMED},
    {"AUTHENTICATOR of an unknown request", ASKED, "0300000500000002aa", ATLS_E_PROTOCOL,
     ATLS_E_PROTOCOL, ATLS_REASON_NONE},
    {"AUTHENTICATOR of request 0", ASKED, "0300000500000000aa", ATLS_E_PROTOCOL, ATLS_E_PROTOCOL,
     ATLS_REASON_NONE},
    {"AUTHENTICATOR that is none", ASKED, "0300000500000001aa", ATLS_E_DECODE, ATLS_E_PROTOCOL,
     ATLS_REASON_MALFORMED},
    {"AUTHENTICATOR twice", ASKED, "0300000500000001aa0300000500000001aa", ATLS_E_PROTOCOL,
     ATLS_E_PROTOCOL, ATLS_REASON_NONE},
    {"DECLINE of an unknown request", ASKED,
     "0400002c00000002000a0024"
     "14000020aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     ATLS_E_PROTOCOL, ATLS_E_PROTOCOL, ATLS_REASON_NONE},
    {"DECLINE with a wrong MAC", ASKED,
     "0400002c00000001000a0024"
     "14000020aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     ATLS_E_VERIFY, ATLS_E_PROTOCOL, ATLS_REASON_FINISHED_MISMATCH},
    {"DECLINE with code 0", ASKED,
     "0400002c0000000100000024"
     "14000020aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     ATLS_E_DECODE, ATLS_E_PROTOCOL, ATLS_REASON_MALFORMED},
    {"DECLINE with an authenticator that is not empty", ASKED,
     "0400002c00000001000a0024"
     "0b000020aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     ATLS_E_DECODE, ATLS_E_PROTOCOL, ATLS_REASON_MALFORMED},
    {"REQUEST with the id of the one before", ASKED, "0200000500000001aa", ATLS_E_PROTOCOL,
     ATLS_E_PROTOCOL, ATLS_REASON_NONE},
    {"REQUEST that skips an id", ASKED, "0200000500000003aa", ATLS_E_PROTOCOL, ATLS_E_PROTOCOL,
     ATLS_REASON_NONE},
    {"REQUEST that is none", ASKED, "0200000500000002aa", ATLS_E_DECODE, ATLS_E_PROTOCOL,
     ATLS_REASON_MALFORMED},
    {"REQUEST of the server's type", ASKED,
     "02000014000000020d00000c0101000811111111"
     "00000000",
     ATLS_E_PROTOCOL, ATLS_E_PROTOCOL, ATLS_REASON_NONE},
    {"REQUEST that does not offer cmw_attestation", ASKED,
     "02000014000000021100000c01310008000d000400020403", ATLS_E_PROTOCOL, ATLS_E_PROTOCOL,
     ATLS_REASON_EXTENSION_NOT_OFFERED},

    {"HELLO behind the gate", OPEN, "0100000401000000", ATLS_E_PROTOCOL, ATLS_E_PROTOCOL,
     ATLS_REASON_NONE},
    {"empty DATA", OPEN, "06000000", ATLS_E_DECODE, ATLS_E_PROTOCOL, ATLS_REASON_MALFORMED},
    {"AUTHENTICATOR that nobody asked for", OPEN, "0300000500000001aa", ATLS_E_PROTOCOL,
     ATLS_E_PROTOCOL, ATLS_REASON_NONE},
    {"VERDICT once more", OPEN, "0500000700000001000000", ATLS_E_PROTOCOL, ATLS_E_PROTOCOL,
     ATLS_REASON_NONE},
    {"RAW behind the gate without the flag", OPEN, "08000000", ATLS_E_PROTOCOL, ATLS_E_PROTOCOL,
     ATLS_REASON_NONE},
    {"DATA behind END", OPEN, "0900000006000001aa", ATLS_E_PROTOCOL, ATLS_E_PROTOCOL,
     ATLS_REASON_NONE},
    {"END twice", OPEN, "0900000009000000", ATLS_E_PROTOCOL, ATLS_E_PROTOCOL, ATLS_REASON_NONE},
    {"unknown type behind the gate", OPEN, "0a000001aa", ATLS_E_PROTOCOL, ATLS_E_PROTOCOL,
     ATLS_REASON_NONE},
};

/* Brings a fresh pair to the stage. Output of the client that is not delivered is forgotten. */
static void reach(struct pair *p, enum stage stage)
{
    if (stage == OPEN) {
        pair_open(p);
        return;
    }
    pair_start(p);
    if (stage == START)
        return;
    pair_deliver(p, &p->client, &p->server);
    if (stage == ANSWERED)
        pair_work(&p->server);
    pair_deliver(p, &p->server, &p->client);
    pair_work(&p->client);
    atls_session_output_done(p->client.session, SIZE_MAX);
}

static void break_rule(size_t i, size_t piece)
{
    struct atls_buf bytes = test_unhex(rows[i].hex);
    struct pair p;
    enum atls_code ignored;

    pair_init(&p);
    reach(&p, rows[i].stage);
    p.piece = piece;
    ignored = pair_inject(&p, &p.server, atls_buf_bytes(&bytes));
    (void)ignored;
    pair_work(&p.server); /* judges an authenticator */
    p.piece = 0;
    pair_deliver(&p, &p.server, &p.client);
    pair_assert_closed(rows[i].name, &p.server, rows[i].server, rows[i].reason);
    atls_session_output_done(p.client.session, SIZE_MAX);
    pair_assert_closed(rows[i].name, &p.client, rows[i].client, ATLS_REASON_PEER_REFUSED);
    pair_clear(&p);
    atls_buf_clear(&bytes);
}

static void breaks_every_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        break_rule(i, 0);
        break_rule(i, 1);
    }
}

/* ---- what the peer's codes become ---- */

static void receives_every_close(void **state)
{
    static const struct {
        const char *name, *hex;
        enum stage stage;
        enum atls_code want;
        enum atls_reason reason;
    } closes[] = {
        {"orderly, too early", "07000003000000", START, ATLS_E_CLOSED, ATLS_REASON_NONE},
        {"orderly, before the gate", "07000003000000", ANSWERED, ATLS_E_CLOSED, ATLS_REASON_NONE},
        {"orderly", "07000003000000", OPEN, ATLS_OK, ATLS_REASON_NONE},
        {"protocol", "07000003000100", OPEN, ATLS_E_PROTOCOL, ATLS_REASON_PEER_REFUSED},
        {"malformed", "07000003000200", OPEN, ATLS_E_PROTOCOL, ATLS_REASON_PEER_REFUSED},
        {"not-attested", "07000003000300", OPEN, ATLS_E_REFUSED, ATLS_REASON_PEER_REFUSED},
        {"evidence", "07000003000400", OPEN, ATLS_E_REFUSED, ATLS_REASON_PEER_REFUSED},
        {"identity", "07000003000500", OPEN, ATLS_E_REFUSED, ATLS_REASON_PEER_REFUSED},
        {"policy", "07000003000600", START, ATLS_E_REFUSED, ATLS_REASON_PEER_REFUSED},
        {"no-common-parameters", "07000003000700", START, ATLS_E_PROTOCOL,
         ATLS_REASON_PEER_REFUSED},
        {"deadline", "07000003000800", OPEN, ATLS_E_TIMEOUT, ATLS_REASON_PEER_REFUSED},
        {"flood", "07000003000900", OPEN, ATLS_E_LIMIT, ATLS_REASON_PEER_REFUSED},
        {"unavailable", "07000003000a00", OPEN, ATLS_E_CLOSED, ATLS_REASON_PEER_REFUSED},
        {"gate-closed", "07000003000b00", OPEN, ATLS_E_PROTOCOL, ATLS_REASON_PEER_REFUSED},
        {"internal", "07000003000c00", OPEN, ATLS_E_CLOSED, ATLS_REASON_PEER_REFUSED},
        {"unknown code", "07000003ffff00", OPEN, ATLS_E_CLOSED, ATLS_REASON_PEER_REFUSED},
        {"text that must be escaped",
         "07000005000602"
         "1b0a",
         OPEN, ATLS_E_REFUSED, ATLS_REASON_PEER_REFUSED},
        {"a refusing verdict", "050000080000000100060161", ANSWERED, ATLS_E_REFUSED,
         ATLS_REASON_PEER_REFUSED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof closes / sizeof closes[0]; i++) {
        struct atls_buf bytes = test_unhex(closes[i].hex);
        struct pair p;

        pair_init(&p);
        reach(&p, closes[i].stage);
        atls_session_output_done(p.server.session, SIZE_MAX);
        assert_int_equal(pair_inject(&p, &p.server, atls_buf_bytes(&bytes)), closes[i].want);
        /* Nothing is said to a peer that has ended the connection. */
        assert_int_equal(atls_session_output(p.server.session).len, 0);
        pair_assert_closed(closes[i].name, &p.server, closes[i].want, closes[i].reason);
        assert_null(strchr(atls_session_error(p.server.session)->message, 0x1b));
        pair_clear(&p);
        atls_buf_clear(&bytes);
    }
}

/* ---- limits ---- */

/* A client's request with a context of one byte, as a frame. */
static void put_request(struct atls_writer *w, uint32_t id, uint8_t context)
{
    static const uint8_t block[] = {0x00, 0x0c, 0x00, 0x0d, 0x00, 0x04, 0x00,
                                    0x02, 0x04, 0x03, 0xff, 0x00, 0x00, 0x00};
    struct atls_mark frame, body;

    atls_put_u8(w, ATLS_FRAME_REQUEST);
    frame = atls_open_vec(w, 0xffffff);
    atls_put_u32(w, id);
    atls_put_u8(w, 17);
    body = atls_open_vec(w, 0xffffff);
    atls_put_u8(w, 1);
    atls_put_u8(w, context);
    atls_put_bytes(w, atls_bytes_of(block, sizeof block));
    atls_close_vec(w, body);
    atls_close_vec(w, frame);
}

static enum atls_code request(struct pair *p, uint32_t id, uint8_t context)
{
    struct atls_writer w = atls_writer_init(100);
    enum atls_code code;

    put_request(&w, id, context);
    code = pair_inject(p, &p->server, atls_writer_bytes(&w));
    atls_writer_clear(&w);
    return code;
}

static void assert_flood(struct pair *p)
{
    pair_assert_closed("flood", &p->server, ATLS_E_LIMIT, ATLS_REASON_FLOOD);
    atls_session_output_done(p->client.session, SIZE_MAX);
    pair_assert_closed("flood", &p->client, ATLS_E_LIMIT, ATLS_REASON_PEER_REFUSED);
}

static void refuses_requests_beyond_those_outstanding(void **state)
{
    struct pair p;

    (void)state;
    pair_init(&p);
    reach(&p, ASKED); /* the first is outstanding */
    for (uint8_t i = 2; i <= 4; i++)
        assert_int_equal(request(&p, i, i), ATLS_OK);
    assert_int_equal(request(&p, 5, 5), ATLS_E_LIMIT);
    pair_deliver(&p, &p.server, &p.client);
    assert_flood(&p);
    pair_clear(&p);
}

static void counts_requests_without_a_verdict_as_outstanding(void **state)
{
    struct pair p;

    (void)state;
    pair_init(&p);
    reach(&p, ASKED);
    for (uint8_t i = 2; i <= 4; i++) {
        assert_int_equal(request(&p, i, i), ATLS_OK);
        pair_work(&p.server);
    }
    assert_int_equal(request(&p, 5, 5), ATLS_E_LIMIT);
    pair_clear(&p);
}

static void refuses_more_requests_a_minute_than_agreed(void **state)
{
    static const char accepted[] = "05000007000000%02x000000";
    struct pair p;
    char hex[64];

    (void)state;
    pair_init(&p);
    p.server.options.peer_requests_per_minute = 3;
    pair_open(&p); /* with one */
    for (uint8_t i = 2; i <= 5; i++) {
        struct atls_buf verdict;

        if (i == 4)
            p.now_ms += 20000; /* earns one */
        if (i == 5) {
            assert_int_equal(request(&p, i, i), ATLS_E_LIMIT);
            break;
        }
        assert_int_equal(request(&p, i, i), ATLS_OK);
        pair_work(&p.server);
        snprintf(hex, sizeof hex, accepted, i);
        verdict = test_unhex(hex);
        assert_int_equal(pair_inject(&p, &p.server, atls_buf_bytes(&verdict)), ATLS_OK);
        atls_buf_clear(&verdict);
    }
    atls_session_output_done(p.server.session, SIZE_MAX);
    pair_assert_closed("flood", &p.server, ATLS_E_LIMIT, ATLS_REASON_FLOOD);
    pair_clear(&p);
}

static void refuses_a_context_used_before(void **state)
{
    struct pair p;

    (void)state;
    pair_init(&p);
    reach(&p, ASKED);
    assert_int_equal(request(&p, 2, 9), ATLS_OK);
    assert_int_equal(request(&p, 3, 9), ATLS_E_PROTOCOL);
    assert_int_equal(p.server.err.reason, ATLS_REASON_CONTEXT_USED);
    pair_clear(&p);
}

static void refuses_requests_of_a_peer_that_said_it_requires_nothing(void **state)
{
    struct pair p;

    (void)state;
    pair_init(&p);
    p.client.requires = false;
    pair_open(&p);
    assert_int_equal(request(&p, 1, 1), ATLS_E_PROTOCOL);
    assert_non_null(strstr(p.server.err.message, "HELLO does not say"));
    pair_clear(&p);
}

static void limits_frames_and_bytes_before_the_gate(void **state)
{
    struct pair p;

    (void)state;
    pair_init(&p);
    p.server.options.frames_before_gate = 1;
    pair_start(&p);
    pair_run(&p);
    assert_flood(&p);
    assert_non_null(strstr(atls_session_error(p.server.session)->message, "frames"));
    pair_clear(&p);

    pair_init(&p);
    p.server.options.bytes_before_gate = 100;
    pair_start(&p);
    pair_run(&p);
    assert_flood(&p);
    assert_non_null(strstr(atls_session_error(p.server.session)->message, "bytes"));
    pair_clear(&p);
}

static void takes_a_frame_that_fills_the_limit(void **state)
{
    struct pair p;
    struct atls_bytes flight;

    (void)state;
    pair_init(&p);
    pair_start(&p);
    flight = atls_session_output(p.client.session);
    p.server.options.bytes_before_gate = (uint32_t)flight.len;
    pair_clear(&p);

    for (uint32_t less = 0; less <= 1; less++) {
        uint32_t limit = p.server.options.bytes_before_gate - less;

        pair_init(&p);
        p.server.options.bytes_before_gate = limit;
        pair_start(&p);
        pair_deliver(&p, &p.client, &p.server);
        assert_int_equal(atls_session_error(p.server.session)->code,
                         less == 0 ? ATLS_OK : ATLS_E_LIMIT);
        p.server.options.bytes_before_gate = limit;
        pair_clear(&p);
    }
}

static void tells_truncation_from_an_orderly_end(void **state)
{
    struct pair p;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    pair_init(&p);
    reach(&p, ANSWERED);
    atls_session_output_done(p.server.session, SIZE_MAX);
    assert_int_equal(atls_session_input_end(p.server.session, &err), ATLS_E_CLOSED);
    pair_assert_closed("truncated", &p.server, ATLS_E_CLOSED, ATLS_REASON_NONE);
    pair_clear(&p);

    pair_init(&p);
    pair_open(&p);
    assert_int_equal(atls_session_input_end(p.server.session, &err), ATLS_E_CLOSED);
    assert_int_equal(atls_session_input_end(p.server.session, &err), ATLS_E_CLOSED);
    atls_session_close(p.client.session);
    pair_deliver(&p, &p.server, &p.client);
    assert_int_equal(atls_session_input_end(p.client.session, &err), ATLS_OK);
    pair_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(breaks_every_rule),
        cmocka_unit_test(receives_every_close),
        cmocka_unit_test(refuses_requests_beyond_those_outstanding),
        cmocka_unit_test(counts_requests_without_a_verdict_as_outstanding),
        cmocka_unit_test(refuses_more_requests_a_minute_than_agreed),
        cmocka_unit_test(refuses_a_context_used_before),
        cmocka_unit_test(refuses_requests_of_a_peer_that_said_it_requires_nothing),
        cmocka_unit_test(limits_frames_and_bytes_before_the_gate),
        cmocka_unit_test(takes_a_frame_that_fills_the_limit),
        cmocka_unit_test(tells_truncation_from_an_orderly_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
