#include <string.h>

#include "testlib.h"

#include "session_pair.h"

static const uint8_t text[] = "last words";

static void write_text(struct pair_end *end)
{
    struct atls_err err = ATLS_ERR_INIT;
    size_t accepted = 0;

    test_assert_code(
        atls_session_write(end->session, atls_bytes_of(text, sizeof text), &accepted, &err),
        ATLS_OK, &err);
    assert_int_equal(accepted, sizeof text);
}

static void data_before_the_end_arrives_first(void **state)
{
    struct pair p;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_bytes out, read;
    size_t consumed = 0;

    (void)state;
    pair_init(&p);
    pair_open(&p);
    write_text(&p.client);
    test_assert_code(atls_session_end(p.client.session, &err), ATLS_OK, &err);
    out = atls_session_output(p.client.session);
    test_assert_code(atls_session_input(p.server.session, out, &consumed, &err), ATLS_OK, &err);
    read = atls_session_read(p.server.session);
    test_assert_bytes(read, atls_bytes_of(text, sizeof text));
    assert_false(atls_session_peer_ended(p.server.session));
    atls_session_read_done(p.server.session, read.len);
    test_assert_code(atls_session_input(p.server.session,
                                        atls_bytes_of(out.ptr + consumed, out.len - consumed),
                                        &consumed, &err),
                     ATLS_OK, &err);
    assert_true(atls_session_peer_ended(p.server.session));
    pair_clear(&p);
}

static void only_the_senders_direction_ends(void **state)
{
    struct pair p;
    struct atls_err err = ATLS_ERR_INIT;
    size_t accepted = 0;

    (void)state;
    pair_init(&p);
    pair_open(&p);
    test_assert_code(atls_session_end(p.client.session, &err), ATLS_OK, &err);
    test_assert_code(atls_session_end(p.client.session, &err), ATLS_OK, &err); /* said once */
    assert_int_equal(atls_session_output(p.client.session).len, 4);
    pair_run(&p);
    assert_true(atls_session_peer_ended(p.server.session));
    assert_false(atls_session_peer_ended(p.client.session));
    assert_true(atls_session_is_open(p.server.session));
    pair_transfer(&p, &p.server, &p.client, 100000);
    test_assert_code(
        atls_session_write(p.client.session, atls_bytes_of(text, sizeof text), &accepted, &err),
        ATLS_E_USAGE, &err);
    assert_true(atls_session_is_open(p.client.session));
    pair_clear(&p);
}

static void attestation_goes_on_behind_the_end(void **state)
{
    struct pair p;
    struct atls_peer peer;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    pair_init(&p);
    pair_open(&p);
    test_assert_code(atls_session_end(p.client.session, &err), ATLS_OK, &err);
    test_assert_code(atls_session_end(p.server.session, &err), ATLS_OK, &err);
    pair_run(&p);
    test_assert_code(atls_session_reattest(p.client.session, &err), ATLS_OK, &err);
    pair_run(&p);
    atls_session_peer(p.client.session, &peer);
    assert_int_equal(peer.attestations, 2);
    atls_session_close(p.client.session);
    pair_run(&p);
    pair_assert_closed("both ended, then closed", &p.server, ATLS_OK, ATLS_REASON_NONE);
    test_assert_code(atls_session_end(p.server.session, &err), ATLS_E_CLOSED, &err);
    pair_clear(&p);
}

static void ends_at_an_open_gate_only(void **state)
{
    struct pair p;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    pair_init(&p);
    pair_start(&p);
    test_assert_code(atls_session_end(p.client.session, &err), ATLS_E_USAGE, &err);
    assert_int_equal(err.reason, ATLS_REASON_GATE_CLOSED);
    pair_run(&p);
    assert_true(atls_session_is_open(p.client.session));
    pair_clear(&p);
}

static void raw_has_no_end_of_its_own(void **state)
{
    struct pair p;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    pair_init(&p);
    p.client.options.raw = p.server.options.raw = true;
    pair_open(&p);
    test_assert_code(atls_session_end(p.client.session, &err), ATLS_E_USAGE, &err);
    pair_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_before_the_end_arrives_first),
        cmocka_unit_test(only_the_senders_direction_ends),
        cmocka_unit_test(attestation_goes_on_behind_the_end),
        cmocka_unit_test(ends_at_an_open_gate_only),
        cmocka_unit_test(raw_has_no_end_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
