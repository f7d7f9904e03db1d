/* Sessions that begin open, because a handshake has already attested whom it had to. */
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "core/err.h"
#include "fake_attester.h"
#include "flavour/post/session.h"

static enum atls_code no_export(void *arg, const char *label, struct atls_bytes context,
                                uint8_t *out, size_t out_len, struct atls_err *err)
{
    (void)arg;
    (void)label;
    (void)context;
    (void)out;
    (void)out_len;
    return atls_fail(err, ATLS_E_TLS, "nothing is exported");
}

static const struct atls_tls good_tls = {
    .exporter = no_export,
    .role = ATLS_ROLE_CLIENT,
    .version = 0x0304,
    .hash = ATLS_HASH_SHA256,
    .resumed = ATLS_ANSWER_NO,
    .early_data = ATLS_ANSWER_NO,
};

/* A peer that a fake verifier found affirming, and the configuration that wants it. */
struct world {
    struct fake_attester fake;
    struct fake_verifier judge;
    struct atls_attester *attester;
    struct atls_config_options options;
    struct atls_config *config;
    struct atls_result *result;
};

static struct atls_result *make_result(struct world *w)
{
    static const uint8_t binder[32] = {7};
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_appraisal appraisal = {.binder = atls_bytes_of(binder, sizeof binder),
                                       .aik_spki = atls_attester_aik_spki(w->attester)};
    struct atls_result *result = NULL;
    struct atls_buf cmw = ATLS_BUF_INIT;

    test_assert_code(atls_attester_evidence(w->attester, appraisal.binder, &cmw, &err), ATLS_OK,
                     &err);
    appraisal.evidence = atls_buf_bytes(&cmw);
    test_assert_code(atls_verifier_appraise(w->options.verifier, &appraisal, &result, &err),
                     ATLS_OK, &err);
    atls_buf_clear(&cmw);
    return result;
}

static void open_world(struct world *w, enum atls_flavour flavour, enum atls_freshness freshness)
{
    struct atls_err err = ATLS_ERR_INIT;

    memset(w, 0, sizeof *w);
    atls_config_options_init(&w->options);
    w->attester = fake_attester_open(&w->fake);
    w->options.require_peer = true;
    w->options.verifier = fake_verifier_open(&w->judge);
    test_assert_code(atls_policy_default(&w->options.policy, &err), ATLS_OK, &err);
    w->options.identity = ATLS_IDENTITY_ATTESTED;
    w->options.flavour = flavour;
    w->options.freshness = freshness;
    test_assert_code(atls_config_new(&w->options, &w->config, &err), ATLS_OK, &err);
    w->result = make_result(w);
}

static void close_world(struct world *w)
{
    atls_result_unref(w->result);
    atls_config_unref(w->config);
    atls_attester_unref(w->attester);
    atls_verifier_unref(w->options.verifier);
    atls_policy_unref(w->options.policy);
}

static struct atls_established established_by(const struct world *w)
{
    return (struct atls_established){.result = w->result,
                                     .spki = atls_attester_aik_spki(w->attester),
                                     .certificate = atls_bytes_of("der", 3),
                                     .inner_protocol = "http/1.1"};
}

static struct atls_session *open_session(const struct world *w, const struct atls_tls *tls,
                                         const struct atls_established *e)
{
    struct atls_session *s = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_session_new_open(w->config, tls, e, &s, &err), ATLS_OK, &err);
    if (s == NULL)
        abort();
    return s;
}

static void says_what_was_found_of_the_peer(void **state)
{
    static const struct {
        enum atls_flavour flavour;
        enum atls_freshness freshness;
        const char *binding, *shown_freshness;
    } rows[] = {
        {ATLS_FLAVOUR_INTRA, ATLS_FRESHNESS_UNSAID, "connection", "connection"},
        {ATLS_FLAVOUR_PRE, ATLS_FRESHNESS_NONE, "key", "none"},
        {ATLS_FLAVOUR_PRE, ATLS_FRESHNESS_NONCE, "key", "nonce"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world w;
        struct atls_established e;
        struct atls_session *s;
        struct atls_peer peer;

        open_world(&w, rows[i].flavour, rows[i].freshness);
        e = established_by(&w);
        s = open_session(&w, &good_tls, &e);
        assert_true(atls_session_is_open(s));
        assert_int_equal(atls_session_next(s), ATLS_NEXT_OPEN);
        assert_true(atls_session_deadline_ms(s) == INT64_MAX);
        atls_session_peer(s, &peer);
        assert_true(peer.attested);
        assert_ptr_equal(peer.result, w.result);
        assert_int_equal(peer.flavour, rows[i].flavour);
        assert_string_equal(peer.binding, rows[i].binding);
        assert_string_equal(peer.freshness, rows[i].shown_freshness);
        assert_string_equal(peer.inner_protocol, "http/1.1");
        assert_int_equal(peer.attestations, 1);
        assert_false(peer.self_attested);
        test_assert_bytes(peer.spki, atls_attester_aik_spki(w.attester));
        atls_session_free(s);
        close_world(&w);
    }
}

static void data_is_not_framed(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_established e;
    struct atls_session *s;
    struct world w;
    size_t len = 0;

    (void)state;
    open_world(&w, ATLS_FLAVOUR_INTRA, ATLS_FRESHNESS_UNSAID);
    e = established_by(&w);
    s = open_session(&w, &good_tls, &e);
    test_assert_code(atls_session_write(s, atls_bytes_of("hello", 5), &len, &err), ATLS_OK, &err);
    test_assert_bytes(atls_session_output(s), atls_bytes_of("hello", 5));
    assert_true(atls_session_data_left(s) == SIZE_MAX);
    test_assert_code(atls_session_reattest(s, &err), ATLS_E_USAGE, &err);
    assert_non_null(strstr(err.message, "connect anew"));
    atls_session_output_done(s, 5);
    atls_session_free(s);
    close_world(&w);
}

/* close_notify of one side leaves the other one its say. */
static void each_direction_ends_by_itself(void **state)
{
    (void)state;
    for (int first = 0; first < 2; first++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_established e;
        struct atls_session *s;
        struct world w;
        size_t len = 0;

        open_world(&w, ATLS_FLAVOUR_PRE, ATLS_FRESHNESS_NONE);
        e = established_by(&w);
        s = open_session(&w, &good_tls, &e);
        if (first == 0) {
            test_assert_code(atls_session_input_end(s, &err), ATLS_OK, &err);
            test_assert_code(atls_session_input_end(s, &err), ATLS_OK, &err); /* said again */
            assert_true(atls_session_peer_ended(s));
            assert_true(atls_session_data_left(s) == 0);
            test_assert_code(atls_session_write(s, atls_bytes_of("yet", 3), &len, &err), ATLS_OK,
                             &err);
            assert_int_equal(len, 3);
            atls_session_output_done(s, len);
        } else {
            test_assert_code(atls_session_end(s, &err), ATLS_OK, &err);
            test_assert_code(atls_session_end(s, &err), ATLS_OK, &err);
            assert_false(atls_session_peer_ended(s));
            assert_true(atls_session_output(s).len == 0); /* TLS says it */
            test_assert_code(atls_session_write(s, atls_bytes_of("no", 2), &len, &err),
                             ATLS_E_USAGE, &err);
            test_assert_code(atls_session_input(s, atls_bytes_of("yet", 3), &len, &err), ATLS_OK,
                             &err);
            test_assert_bytes(atls_session_read(s), atls_bytes_of("yet", 3));
            atls_session_read_done(s, 3);
        }
        assert_int_equal(atls_session_next(s), ATLS_NEXT_OPEN);
        test_assert_code(first == 0 ? atls_session_end(s, &err) : atls_session_input_end(s, &err),
                         ATLS_OK, &err);
        assert_int_equal(atls_session_error(s)->code, ATLS_OK);
        assert_false(atls_session_is_open(s));
        atls_session_free(s);
        close_world(&w);
    }
}

/* A server may refuse what we showed after our handshake has ended. */
static void what_the_peer_thinks_of_us_shows_later(void **state)
{
    static const enum atls_role roles[] = {ATLS_ROLE_CLIENT, ATLS_ROLE_SERVER};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct atls_tls tls = good_tls;
        struct atls_established e;
        struct atls_session *s;
        struct atls_peer peer;
        struct world w;

        open_world(&w, ATLS_FLAVOUR_INTRA, ATLS_FRESHNESS_UNSAID);
        e = established_by(&w);
        e.shown = true;
        tls.role = roles[i];
        s = open_session(&w, &tls, &e);
        atls_session_peer(s, &peer);
        assert_true(peer.self_attested == (roles[i] == ATLS_ROLE_SERVER));
        atls_session_data_taken(s, 1);
        atls_session_peer(s, &peer);
        assert_true(peer.self_attested);
        atls_session_free(s);
        close_world(&w);
    }
}

/* Everybody is shown a certificate, also who knows nothing of evidence. */
static void nobody_can_tell_in_flavour_pre(void **state)
{
    static const enum atls_role roles[] = {ATLS_ROLE_CLIENT, ATLS_ROLE_SERVER};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct atls_tls tls = good_tls;
        struct atls_established e;
        struct atls_session *s;
        struct atls_peer peer;
        struct world w;

        open_world(&w, ATLS_FLAVOUR_PRE, ATLS_FRESHNESS_NONE);
        e = established_by(&w);
        e.shown = true;
        tls.role = roles[i];
        s = open_session(&w, &tls, &e);
        atls_session_data_taken(s, 1);
        atls_session_peer(s, &peer);
        assert_true(peer.shown);
        assert_false(peer.self_attested);
        atls_session_free(s);
        close_world(&w);
    }
}

static void input_tells_as_well(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_established e;
    struct atls_session *s;
    struct atls_peer peer;
    struct world w;
    size_t len = 0;

    (void)state;
    open_world(&w, ATLS_FLAVOUR_INTRA, ATLS_FRESHNESS_UNSAID);
    e = established_by(&w);
    e.shown = true;
    s = open_session(&w, &good_tls, &e);
    test_assert_code(atls_session_input(s, atls_bytes_of("data", 4), &len, &err), ATLS_OK, &err);
    test_assert_bytes(atls_session_read(s), atls_bytes_of("data", 4));
    atls_session_peer(s, &peer);
    assert_true(peer.self_attested);
    atls_session_free(s);
    close_world(&w);
}

static void version_12(struct atls_tls *tls, struct atls_established *e)
{
    (void)e;
    tls->version = 0x0303;
}

static void resumed(struct atls_tls *tls, struct atls_established *e)
{
    (void)e;
    tls->resumed = ATLS_ANSWER_YES;
}

static void resumed_perhaps(struct atls_tls *tls, struct atls_established *e)
{
    (void)e;
    tls->resumed = ATLS_ANSWER_UNKNOWN;
}

static void early_data(struct atls_tls *tls, struct atls_established *e)
{
    (void)e;
    tls->early_data = ATLS_ANSWER_YES;
}

static void nothing_shown(struct atls_tls *tls, struct atls_established *e)
{
    (void)tls;
    e->result = NULL;
}

static char long_protocol[257];

static void protocol_of_256(struct atls_tls *tls, struct atls_established *e)
{
    (void)tls;
    memset(long_protocol, 'p', 256);
    e->inner_protocol = long_protocol;
}

static void one_condition_missing_is_enough(void **state)
{
    static const struct {
        const char *name;
        void (*change)(struct atls_tls *, struct atls_established *);
        enum atls_code code;
        enum atls_reason reason;
    } rows[] = {
        {"TLS 1.2", version_12, ATLS_E_TLS, ATLS_REASON_TLS_VERSION},
        {"resumed", resumed, ATLS_E_TLS, ATLS_REASON_TLS_RESUMED},
        {"perhaps resumed", resumed_perhaps, ATLS_E_TLS, ATLS_REASON_TLS_RESUMED},
        {"early data", early_data, ATLS_E_TLS, ATLS_REASON_TLS_EARLY_DATA},
        {"no attestation", nothing_shown, ATLS_E_EVIDENCE, ATLS_REASON_NOT_ATTESTED},
        {"a protocol that does not fit", protocol_of_256, ATLS_E_USAGE, ATLS_REASON_NONE},
    };
    struct world w;

    (void)state;
    open_world(&w, ATLS_FLAVOUR_INTRA, ATLS_FRESHNESS_UNSAID);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_established e = established_by(&w);
        struct atls_tls tls = good_tls;
        struct atls_session *s = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        rows[i].change(&tls, &e);
        if (atls_session_new_open(w.config, &tls, &e, &s, &err) != rows[i].code ||
            err.reason != rows[i].reason)
            fail_msg("%s: %s [%s]", rows[i].name, err.message, atls_reason_name(err.reason));
        assert_null(s);
    }
    close_world(&w);
}

static void require_self_wants_to_have_been_asked(void **state)
{
    struct atls_established e = {.inner_protocol = ""};
    struct fake_attester fake = {0};
    struct atls_config_options options;
    struct atls_config *config = NULL;
    struct atls_session *s = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    atls_config_options_init(&options);
    options.attester = fake_attester_open(&fake);
    options.require_self = true;
    options.flavour = ATLS_FLAVOUR_INTRA;
    test_assert_code(atls_config_new(&options, &config, &err), ATLS_OK, &err);
    test_assert_code(atls_session_new_open(config, &good_tls, &e, &s, &err), ATLS_E_PROTOCOL, &err);
    e.shown = true;
    test_assert_code(atls_session_new_open(config, &good_tls, &e, &s, &err), ATLS_OK, &err);
    atls_session_free(s);
    atls_config_unref(config);
    atls_attester_unref(options.attester);
}

static void flavour_post_attests_later(void **state)
{
    struct atls_established e;
    struct atls_session *s = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    struct world w;

    (void)state;
    open_world(&w, ATLS_FLAVOUR_POST, ATLS_FRESHNESS_UNSAID);
    e = established_by(&w);
    test_assert_code(atls_session_new_open(w.config, &good_tls, &e, &s, &err), ATLS_E_USAGE, &err);
    assert_null(s);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_was_found_of_the_peer),
        cmocka_unit_test(data_is_not_framed),
        cmocka_unit_test(each_direction_ends_by_itself),
        cmocka_unit_test(what_the_peer_thinks_of_us_shows_later),
        cmocka_unit_test(nobody_can_tell_in_flavour_pre),
        cmocka_unit_test(input_tells_as_well),
        cmocka_unit_test(one_condition_missing_is_enough),
        cmocka_unit_test(require_self_wants_to_have_been_asked),
        cmocka_unit_test(flavour_post_attests_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
