/* Profiles of evidence: what the relying party takes reaches the attester and the verifier, and
 * peers that have none in common part. Jobs that event loops start. */
#include "testlib.h"

#include <pthread.h>
#include <string.h>

#include "core/reader.h"
#include "flavour/base/config.h"
#include "flavour/post/hello.h"
#include "session_pair.h"

#define DEFAULT (ATLS_PROFILE_KAT | ATLS_PROFILE_BATCH)

static const char *const bare[] = {"bare", NULL};
static const char *const kat[] = {"kat-bundle", NULL};
static const char *const batch_and_bare[] = {"bare", "kat-batch", "bare", NULL};

/* The client requires, the server attests. */
static void one_way(struct pair *p)
{
    pair_init(p);
    p->server.requires = p->client.attests = false;
}

static void what_is_taken_reaches_both(void **state)
{
    static const struct {
        const char *name;
        const char *const *taken;
        unsigned int made, asked, accepted;
    } rows[] = {
        {"defaults", NULL, 0, DEFAULT, DEFAULT},
        {"kat-bundle alone", kat, 0, ATLS_PROFILE_KAT, ATLS_PROFILE_KAT},
        {"bare, from one that does both", bare, ATLS_PROFILE_KAT | ATLS_PROFILE_BARE,
         ATLS_PROFILE_BARE, ATLS_PROFILE_BARE},
        {"two names, one of them twice", batch_and_bare, ATLS_PROFILE_BARE,
         ATLS_PROFILE_BARE | ATLS_PROFILE_BATCH, ATLS_PROFILE_BARE | ATLS_PROFILE_BATCH},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pair p;

        print_message("  %s\n", rows[i].name);
        one_way(&p);
        p.client.options.profiles = rows[i].taken;
        p.server.attester.profiles = rows[i].made;
        pair_open(&p);
        assert_int_equal(p.server.attester.asked, rows[i].asked);
        assert_int_equal(p.client.verifier.profiles, rows[i].accepted);
        pair_clear(&p);
    }
}

/* Each side shows something else than it takes. */
static void both_ways_at_once(void **state)
{
    struct pair p;

    (void)state;
    pair_init(&p);
    p.client.options.profiles = bare;
    p.client.attester.profiles = ATLS_PROFILE_PARSEC | ATLS_PROFILE_KAT;
    p.server.options.profiles = kat;
    p.server.attester.profiles = ATLS_PROFILE_BARE;
    pair_open(&p);
    assert_int_equal(p.server.attester.asked, ATLS_PROFILE_BARE);
    assert_int_equal(p.client.attester.asked, ATLS_PROFILE_KAT);
    pair_clear(&p);
}

static void none_in_common(void **state)
{
    struct pair p;

    (void)state;
    one_way(&p);
    p.client.options.profiles = bare;
    pair_start(&p);
    pair_run(&p);
    pair_assert_closed("server", &p.server, ATLS_E_PROTOCOL, ATLS_REASON_NO_COMMON_PARAMETERS);
    assert_non_null(strstr(p.server.err.message, "takes no profile"));
    pair_clear(&p);
    pair_init(&p); /* the first to see it is the client, from what the server shows */
    p.client.attests = p.server.requires = true;
    p.server.options.profiles = kat;
    p.server.attester.profiles = ATLS_PROFILE_BARE;
    pair_start(&p);
    pair_run(&p);
    pair_assert_closed("server", &p.server, ATLS_E_PROTOCOL, ATLS_REASON_NO_COMMON_PARAMETERS);
    pair_clear(&p);
}

/* A client whose HELLO has these profiles, and lacks others. */
static void give_list(const char *list, size_t len)
{
    struct atls_writer w = atls_writer_init(500), profiles = atls_writer_init(100),
                       type = atls_writer_init(100);
    struct atls_hello hello = {.flags = ATLS_HELLO_REQUIRES, .frame_max = ATLS_FRAME_BODY_MAX};
    struct pair p;

    atls_put_bytes(&profiles, atls_bytes_of(list, len));
    atls_name_put(&type, "fake");
    hello.names[ATLS_NAMES_PROFILES] = atls_writer_bytes(&profiles);
    hello.names[ATLS_NAMES_EVIDENCE_ACCEPTED] = atls_writer_bytes(&type);
    atls_hello_put(&w, &hello);
    one_way(&p);
    pair_start(&p);
    assert_int_equal(pair_inject(&p, &p.server, atls_writer_bytes(&w)),
                     len == 11 ? ATLS_OK : ATLS_E_PROTOCOL);
    if (len != 11)
        assert_int_equal(p.server.err.reason, ATLS_REASON_NO_COMMON_PARAMETERS);
    pair_clear(&p);
    atls_writer_clear(&w);
    atls_writer_clear(&profiles);
    atls_writer_clear(&type);
}

static void names_are_compared_whole(void **state)
{
    (void)state;
    give_list("\012kat-bundle", 11);
    give_list("\013kat-bundles", 12);
    give_list("\014kat-bundle\0x", 13);
    give_list("\011kat-bundl", 10);
    give_list("", 0);
}

static struct atls_bytes list_of(struct pair_end *end, enum atls_names which)
{
    return atls_config_names(end->config, which);
}

/* One list where one does, as older peers have it. */
static void lists_in_hello(void **state)
{
    struct pair p;

    (void)state;
    pair_init(&p);
    p.client.options.profiles = kat;
    p.server.attester.profiles = ATLS_PROFILE_BARE | ATLS_PROFILE_KAT;
    p.server.options.profiles = batch_and_bare;
    pair_configure(&p);
    assert_true(atls_bytes_equal_text(list_of(&p.client, ATLS_NAMES_PROFILES), "\012kat-bundle"));
    assert_int_equal(list_of(&p.client, ATLS_NAMES_PROFILES_OFFERED).len, 0);
    assert_true(
        atls_bytes_equal_text(list_of(&p.server, ATLS_NAMES_PROFILES), "\011kat-batch\004bare"));
    assert_true(atls_bytes_equal_text(list_of(&p.server, ATLS_NAMES_PROFILES_OFFERED),
                                      "\012kat-bundle\004bare"));
    pair_clear(&p);
    one_way(&p);
    p.server.attester.profiles = ATLS_PROFILE_PARSEC;
    pair_configure(&p);
    assert_true(atls_bytes_equal_text(list_of(&p.client, ATLS_NAMES_PROFILES),
                                      "\011kat-batch\012kat-bundle"));
    assert_true(atls_bytes_equal_text(list_of(&p.server, ATLS_NAMES_PROFILES), "\006parsec"));
    assert_int_equal(list_of(&p.server, ATLS_NAMES_PROFILES_OFFERED).len, 0);
    pair_clear(&p);
}

/* ---- jobs that are started ---- */

struct bell {
    pthread_mutex_t lock;
    pthread_cond_t rung;
    size_t count;
};

static void ring(void *arg)
{
    struct bell *bell = arg;

    pthread_mutex_lock(&bell->lock);
    bell->count++;
    pthread_cond_signal(&bell->rung);
    pthread_mutex_unlock(&bell->lock);
}

/* Delivers until the server has a job. */
static struct atls_job *job_of_server(struct pair *p)
{
    one_way(p);
    p->hold_jobs = true;
    pair_start(p);
    pair_run(p);
    return atls_session_job(p->server.session);
}

static void jobs_are_started(void **state)
{
    struct bell bell = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    struct atls_job *job;
    struct atls_err err = ATLS_ERR_INIT;
    struct pair p;

    (void)state;
    job = job_of_server(&p);
    assert_non_null(job);
    assert_true(atls_job_start(job, ring, &bell));
    assert_false(atls_job_start(job, ring, &bell)); /* once is enough */
    pthread_mutex_lock(&bell.lock);
    while (bell.count == 0)
        pthread_cond_wait(&bell.rung, &bell.lock);
    pthread_mutex_unlock(&bell.lock);
    atls_job_run(job);
    test_assert_code(atls_session_complete(p.server.session, job, &err), ATLS_OK, &err);
    pair_deliver(&p, &p.server, &p.client);
    job = atls_session_job(p.client.session);
    assert_non_null(job);
    assert_false(atls_job_start(job, ring, &bell)); /* an appraisal */
    atls_job_run(job);
    test_assert_code(atls_session_complete(p.client.session, job, &err), ATLS_OK, &err);
    pair_run(&p);
    assert_true(atls_session_is_open(p.server.session));
    assert_int_equal(bell.count, 1);
    pair_clear(&p);
}

/* The job goes on without its session, or goes away before it is run. */
static void started_jobs_are_given_up(void **state)
{
    struct bell bell = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    struct atls_job *job;
    struct pair p;

    (void)state;
    job = job_of_server(&p);
    assert_non_null(job);
    assert_true(atls_job_start(job, ring, &bell));
    atls_job_free(job);
    assert_true(bell.count <= 1);
    pair_clear(&p);
    job = job_of_server(&p);
    assert_true(atls_job_start(job, ring, &bell));
    atls_job_run(job); /* waits */
    atls_job_free(job);
    pair_clear(&p);
}

static void evidence_that_fails(void **state)
{
    struct bell bell = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    struct atls_job *job;
    struct atls_err err = ATLS_ERR_INIT;
    struct pair p;

    (void)state;
    job = job_of_server(&p);
    p.server.attester.fail_evidence = ATLS_E_DEVICE;
    assert_true(atls_job_start(job, ring, &bell));
    atls_job_run(job);
    test_assert_code(atls_session_complete(p.server.session, job, &err), ATLS_OK, &err);
    pair_run(&p); /* DECLINE */
    pair_assert_closed("client", &p.client, ATLS_E_DECLINED, ATLS_REASON_EMPTY_AUTHENTICATOR);
    pair_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_taken_reaches_both),
        cmocka_unit_test(both_ways_at_once),
        cmocka_unit_test(none_in_common),
        cmocka_unit_test(names_are_compared_whole),
        cmocka_unit_test(lists_in_hello),
        cmocka_unit_test(jobs_are_started),
        cmocka_unit_test(started_jobs_are_given_up),
        cmocka_unit_test(evidence_that_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
