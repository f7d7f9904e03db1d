/* Jobs of handshakes: what they own, what they leave behind, whatever happens to whoever asked. */
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "fake_attester.h"
#include "flavour/base/job.h"

static const uint8_t binder[32] = {1, 2, 3};
static const char *const accepted[] = {"fake", NULL};

struct side {
    struct fake_attester fake;
    struct fake_verifier judge;
    struct fake_passport pass;
    struct atls_attester *attester;
    struct atls_config_options options;
    struct atls_config *config;
};

/* A relying party for whoever attests with attester, and an attester itself when that is NULL. */
static void open_side(struct side *s, bool attests, bool has_passport)
{
    struct atls_err err = ATLS_ERR_INIT;

    atls_config_options_init(&s->options);
    if (attests)
        s->options.attester = s->attester = fake_attester_open(&s->fake);
    else
        s->options.require_peer = true;
    if (has_passport) {
        s->pass.attester = &s->fake;
        s->options.passport = fake_passport_open(&s->pass);
    }
    if (s->options.require_peer) {
        s->options.verifier = fake_verifier_open(&s->judge);
        test_assert_code(atls_policy_default(&s->options.policy, &err), ATLS_OK, &err);
        s->options.identity = ATLS_IDENTITY_ATTESTED;
        s->options.evidence_types = accepted;
    }
    test_assert_code(atls_config_new(&s->options, &s->config, &err), ATLS_OK, &err);
}

static void close_side(struct side *s)
{
    atls_config_unref(s->config);
    atls_attester_unref(s->options.attester);
    atls_passport_unref(s->options.passport);
    atls_verifier_unref(s->options.verifier);
    atls_policy_unref(s->options.policy);
}

static struct atls_job *prove(const struct side *s, bool shows_result)
{
    struct atls_proof proof = {.config = s->config,
                               .profiles = ATLS_PROFILE_KAT,
                               .shows_result = shows_result,
                               .echoes_binder = shows_result};
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_job *job = NULL;

    memcpy(proof.binder.data, binder, sizeof binder);
    proof.binder.len = sizeof binder;
    test_assert_code(atls_prove_job_new(&proof, &job, &err), ATLS_OK, &err);
    if (job == NULL)
        abort();
    return job;
}

/* What attester proves for the binder. */
static struct atls_buf evidence_of(const struct side *s)
{
    struct atls_job *job = prove(s, false);
    struct atls_buf cmw;

    atls_job_run(job);
    assert_int_equal(job->code, ATLS_OK);
    cmw = atls_prove_job_take(job);
    assert_true(cmw.len != 0);
    assert_int_equal(atls_prove_job_take(job).len, 0); /* it is ours now */
    atls_job_free(job);
    return cmw;
}

static void a_job_that_never_ran_has_failed(void **state)
{
    struct side s = {.attester = NULL};
    struct atls_job *job;

    (void)state;
    open_side(&s, true, false);
    job = prove(&s, false);
    assert_int_equal(job->code, ATLS_E_USAGE);
    assert_int_equal(atls_prove_job_take(job).len, 0);
    atls_job_free(job);
    close_side(&s);
}

static void proves_with_evidence_or_a_result(void **state)
{
    struct side s = {.attester = NULL};
    struct atls_buf cmw;
    struct atls_job *job;

    (void)state;
    open_side(&s, true, true);
    cmw = evidence_of(&s);
    assert_int_equal(s.pass.shown, 0);
    atls_buf_clear(&cmw);
    job = prove(&s, true);
    assert_false(atls_job_start(job, NULL, NULL)); /* a passport does not wait for the attester */
    atls_job_run(job);
    assert_int_equal(job->code, ATLS_OK);
    assert_int_equal(s.pass.echoed, 1);
    atls_job_free(job);
    close_side(&s);
}

static void an_attester_that_fails_is_named(void **state)
{
    static const bool silent[] = {false, true};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct side s = {.fake = {.fail_evidence = ATLS_E_DEVICE, .silent = silent[i]}};
        struct atls_job *job;

        open_side(&s, true, false);
        job = prove(&s, false);
        atls_job_run(job);
        assert_int_equal(job->code, ATLS_E_DEVICE);
        assert_int_equal(job->err.code, ATLS_E_DEVICE);
        assert_true(job->err.message[0] != '\0');
        assert_int_equal(atls_prove_job_take(job).len, 0);
        atls_job_free(job);
        close_side(&s);
    }
}

static void count_ready(void *arg)
{
    (void)arg;
}

static void evidence_may_be_waited_for_and_given_up(void **state)
{
    struct side s = {.attester = NULL};
    struct atls_job *job;

    (void)state;
    open_side(&s, true, false);
    job = prove(&s, false);
    assert_true(atls_job_start(job, count_ready, NULL));
    assert_false(atls_job_start(job, count_ready, NULL)); /* is under way */
    atls_job_run(job);
    assert_int_equal(job->code, ATLS_OK);
    atls_job_free(job);
    job = prove(&s, false);
    assert_true(atls_job_start(job, count_ready, NULL));
    close_side(&s); /* the job has references of its own */
    atls_job_free(job);
}

/* ---- the peer ---- */

static struct atls_job *judge_as(const struct side *rp, const struct side *peer,
                                 struct atls_bytes cmw, const char *name)
{
    size_t count;
    const struct atls_bytes *chain = atls_attester_chain(peer->attester, &count);
    const struct atls_judgement judgement = {
        .config = rp->config,
        .role = ATLS_ROLE_CLIENT,
        .peer_name = name,
        .chain = chain,
        .chain_len = count,
        .spki = atls_attester_aik_spki(peer->attester),
        .cmw = cmw,
        .binder = atls_bytes_of(binder, sizeof binder),
    };
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_job *job = NULL;

    test_assert_code(atls_judge_job_new(&judgement, &job, &err), ATLS_OK, &err);
    if (job == NULL)
        abort();
    return job;
}

static void a_job_outlives_what_it_was_made_of(void **state)
{
    struct side peer = {.attester = NULL}, rp = {.attester = NULL};
    struct atls_result *result;
    struct atls_job *job;
    struct atls_buf cmw;

    (void)state;
    open_side(&peer, true, false);
    open_side(&rp, false, false);
    cmw = evidence_of(&peer);
    job = judge_as(&rp, &peer, atls_buf_bytes(&cmw), "server.example");
    assert_null(atls_judge_job_result(job)); /* none before it ran */
    assert_false(atls_job_start(job, NULL, NULL));
    atls_buf_clear(&cmw);
    close_side(&peer);
    close_side(&rp);
    atls_job_run(job);
    test_assert_code(job->code, ATLS_OK, &job->err);
    result = atls_judge_job_result(job);
    assert_non_null(result);
    atls_job_free(job);
    assert_int_equal(atls_result_status(result), ATLS_TIER_AFFIRMING);
    atls_result_unref(result);
}

/* Each row fails in one way alone. */
static void says_which_check_failed(void **state)
{
    static const struct {
        const char *name;
        struct fake_verifier judge;
        struct fake_attester fake;
        enum atls_judge_step step;
        enum atls_code code;
        enum atls_reason reason;
        bool has_result;
    } rows[] = {
        {"evidence for another challenge",
         {0},
         {.wrong_binder = true},
         ATLS_JUDGE_EVIDENCE,
         ATLS_E_EVIDENCE,
         ATLS_REASON_NONCE_MISMATCH,
         false},
        {"evidence about another key",
         {0},
         {.wrong_key = true},
         ATLS_JUDGE_EVIDENCE,
         ATLS_E_EVIDENCE,
         ATLS_REASON_KEY_BINDING_MISMATCH,
         false},
        {"a type that is not accepted",
         {.type = "other"},
         {0},
         ATLS_JUDGE_EVIDENCE,
         ATLS_E_EVIDENCE,
         ATLS_REASON_UNKNOWN_EVIDENCE_TYPE,
         true},
        {"a bad state",
         {.contraindicated = true},
         {0},
         ATLS_JUDGE_POLICY,
         ATLS_E_REFUSED,
         ATLS_REASON_POLICY,
         true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct side peer = {.fake = rows[i].fake}, rp = {.judge = rows[i].judge};
        struct atls_result *result;
        struct atls_job *job;
        struct atls_buf cmw;

        open_side(&peer, true, false);
        open_side(&rp, false, false);
        cmw = evidence_of(&peer);
        job = judge_as(&rp, &peer, atls_buf_bytes(&cmw), NULL);
        atls_job_run(job);
        if (job->code != rows[i].code || job->err.reason != rows[i].reason ||
            atls_judge_job_step(job) != rows[i].step)
            fail_msg("%s: step %d: %s [%s]", rows[i].name, atls_judge_job_step(job),
                     job->err.message, atls_reason_name(job->err.reason));
        result = atls_judge_job_result(job);
        assert_true((result != NULL) == rows[i].has_result);
        atls_result_unref(result);
        atls_job_free(job);
        atls_buf_clear(&cmw);
        close_side(&peer);
        close_side(&rp);
    }
}

static void our_own_key_is_refused(void **state)
{
    struct side peer = {.attester = NULL};
    struct atls_config_options options;
    struct fake_verifier judge = {0};
    struct side rp = {.attester = NULL};
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_job *job;
    struct atls_buf cmw;

    (void)state;
    open_side(&peer, true, false);
    atls_config_options_init(&options);
    options.attester = peer.attester; /* a mirror */
    options.require_peer = true;
    options.identity = ATLS_IDENTITY_ATTESTED;
    options.evidence_types = accepted;
    options.verifier = fake_verifier_open(&judge);
    test_assert_code(atls_policy_default(&options.policy, &err), ATLS_OK, &err);
    test_assert_code(atls_config_new(&options, &rp.config, &err), ATLS_OK, &err);
    cmw = evidence_of(&peer);
    job = judge_as(&rp, &peer, atls_buf_bytes(&cmw), NULL);
    atls_job_run(job);
    assert_int_equal(job->err.reason, ATLS_REASON_EQUAL_KEYS);
    assert_int_equal(atls_judge_job_step(job), ATLS_JUDGE_IDENTITY);
    atls_job_free(job);
    atls_buf_clear(&cmw);
    atls_config_unref(rp.config);
    atls_verifier_unref(options.verifier);
    atls_policy_unref(options.policy);
    close_side(&peer);
}

static void chains_have_a_length(void **state)
{
    static const size_t lengths[] = {0, ATLS_CHAIN_MAX + 1};
    struct atls_bytes chain[ATLS_CHAIN_MAX + 1];
    struct side rp = {.attester = NULL};

    (void)state;
    open_side(&rp, false, false);
    for (size_t i = 0; i <= ATLS_CHAIN_MAX; i++)
        chain[i] = atls_bytes_of(binder, sizeof binder);
    for (size_t i = 0; i < 2; i++) {
        const struct atls_judgement judgement = {
            .config = rp.config, .chain = chain, .chain_len = lengths[i]};
        struct atls_job *job = NULL;

        assert_int_equal(atls_judge_job_new(&judgement, &job, NULL), ATLS_E_LIMIT);
        assert_null(job);
    }
    close_side(&rp);
}

static void faults_are_told_apart(void **state)
{
    static const struct {
        enum atls_code code;
        bool peers;
    } rows[] = {
        {ATLS_E_DECODE, true},       {ATLS_E_UNSUPPORTED, true}, {ATLS_E_VERIFY, true},
        {ATLS_E_CERTIFICATE, true},  {ATLS_E_PROTOCOL, true},    {ATLS_E_EVIDENCE, true},
        {ATLS_E_LIMIT, true},        {ATLS_E_NOMEM, false},      {ATLS_E_IO, false},
        {ATLS_E_UNAVAILABLE, false}, {ATLS_E_DEVICE, false},     {ATLS_E_CONFIG, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_true(atls_is_peers_fault(rows[i].code) == rows[i].peers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_that_never_ran_has_failed),
        cmocka_unit_test(proves_with_evidence_or_a_result),
        cmocka_unit_test(an_attester_that_fails_is_named),
        cmocka_unit_test(evidence_may_be_waited_for_and_given_up),
        cmocka_unit_test(a_job_outlives_what_it_was_made_of),
        cmocka_unit_test(says_which_check_failed),
        cmocka_unit_test(our_own_key_is_refused),
        cmocka_unit_test(chains_have_a_length),
        cmocka_unit_test(faults_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
