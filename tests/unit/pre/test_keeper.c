/* The certificate that is kept: first, reused, renewed; what fails, and who works meanwhile. */
#include "world.h"

#include <pthread.h>
#include <stdio.h>

struct keeping {
    struct world w;
    struct atls_pre_keeper *keeper;
};

static void keeping_init(struct keeping *k, bool passport, uint32_t lifetime_s)
{
    struct atls_err err = ATLS_ERR_INIT;

    world_init(&k->w);
    world_open_attester(&k->w);
    k->w.options.passport = passport ? k->w.passport : NULL;
    k->w.options.certificate_lifetime_s = lifetime_s;
    world_configure_attester(&k->w);
    test_assert_code(atls_pre_keeper_new(k->w.config, &k->keeper, &err), ATLS_OK, &err);
}

static void keeping_clear(struct keeping *k)
{
    atls_pre_keeper_unref(k->keeper);
    atls_pre_keeper_unref(NULL);
    world_clear(&k->w);
}

struct got {
    struct atls_pre_chain *chain;
    struct atls_job *job;
};

static struct got get(struct keeping *k)
{
    struct got g = {NULL, NULL};
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_pre_keeper_get(k->keeper, &g.chain, &g.job, &err), ATLS_OK, &err);
    return g;
}

static void drop(struct got *g)
{
    atls_pre_chain_unref(g->chain);
    atls_job_free(g->job);
    *g = (struct got){NULL, NULL};
}

/* Gets, and does what is due. */
static struct atls_pre_chain *current(struct keeping *k, size_t *jobs)
{
    struct got g = get(k);
    struct atls_pre_chain *made;

    if (g.job == NULL)
        return g.chain;
    (*jobs)++;
    atls_job_run(g.job);
    test_assert_code(g.job->code, ATLS_OK, &g.job->err);
    made = atls_pre_make_job_chain(g.job);
    drop(&g);
    return made;
}

static void kept_until_half_of_its_life(void **state)
{
    struct atls_pre_chain *first, *again, *second;
    struct keeping k;
    size_t jobs = 0;

    (void)state;
    keeping_init(&k, false, 0);
    first = current(&k, &jobs);
    assert_int_equal(jobs, 1);
    assert_int_equal(first->count, 1);
    assert_int_equal(first->not_before_s, WORLD_NOW - 60);
    assert_int_equal(first->not_after_s, WORLD_NOW + 86400);
    k.w.now_s = first->not_before_s + (first->not_after_s - first->not_before_s) / 2 - 1;
    again = current(&k, &jobs);
    assert_ptr_equal(first, again);
    assert_int_equal(jobs, 1);
    k.w.now_s++;
    second = current(&k, &jobs);
    assert_int_equal(jobs, 2);
    assert_ptr_not_equal(first, second);
    atls_pre_chain_unref(first);
    atls_pre_chain_unref(again);
    atls_pre_chain_unref(second);
    keeping_clear(&k);
}

static void renewed_when_asked_for(void **state)
{
    struct atls_pre_chain *first, *second;
    struct keeping k;
    size_t jobs = 0;

    (void)state;
    keeping_init(&k, false, 0);
    first = current(&k, &jobs);
    atls_pre_keeper_renew(k.keeper);
    k.w.now_s += 50000; /* the same evidence: only its age asks for another certificate */
    second = current(&k, &jobs);
    assert_int_equal(jobs, 2);
    assert_ptr_not_equal(first, second);
    atls_pre_chain_unref(first);
    atls_pre_chain_unref(second);
    keeping_clear(&k);
}

/* One renews; the others go on with what there is. */
static void one_job_at_a_time(void **state)
{
    struct got one, other;
    struct keeping k;
    size_t jobs = 0;

    (void)state;
    keeping_init(&k, false, 1000);
    atls_pre_chain_unref(current(&k, &jobs));
    k.w.now_s += 600;
    one = get(&k);
    other = get(&k);
    assert_non_null(one.job);
    assert_non_null(one.chain);
    assert_null(other.job);
    assert_ptr_equal(one.chain, other.chain);
    drop(&other);
    drop(&one); /* the job never ran: the next attempt is in a minute */
    k.w.now_s += 59;
    one = get(&k);
    assert_null(one.job);
    drop(&one);
    k.w.now_s++;
    one = get(&k);
    assert_non_null(one.job);
    drop(&one);
    keeping_clear(&k);
}

/* Without anything to show each caller works for itself, whatever failed before. */
static void nothing_to_show(void **state)
{
    struct got one, other;
    struct keeping k;

    (void)state;
    keeping_init(&k, false, 0);
    one = get(&k);
    other = get(&k);
    assert_non_null(one.job);
    assert_non_null(other.job);
    assert_null(one.chain);
    k.w.fake.fail_evidence = ATLS_E_DEVICE;
    atls_job_run(one.job);
    assert_int_equal(one.job->code, ATLS_E_DEVICE);
    assert_null(atls_pre_make_job_chain(one.job));
    drop(&one);
    k.w.fake.fail_evidence = ATLS_OK;
    atls_job_run(other.job);
    assert_int_equal(other.job->code, ATLS_OK);
    drop(&other);
    one = get(&k);
    assert_non_null(one.chain);
    assert_null(one.job);
    drop(&one);
    keeping_clear(&k);
}

static void a_job_outlives_its_keeper(void **state)
{
    struct got g;
    struct keeping k;

    (void)state;
    keeping_init(&k, false, 0);
    g = get(&k);
    keeping_clear(&k);
    assert_int_equal(g.job->code, ATLS_E_USAGE);
    drop(&g);
}

/* A clock that was set back: not yet valid is as bad as expired. */
static void before_its_time(void **state)
{
    struct atls_pre_chain *first, *second;
    struct keeping k;
    size_t jobs = 0;

    (void)state;
    keeping_init(&k, false, 0);
    first = current(&k, &jobs);
    k.w.now_s -= 3600;
    second = current(&k, &jobs);
    assert_int_equal(jobs, 2);
    assert_ptr_not_equal(first, second);
    atls_pre_chain_unref(first);
    atls_pre_chain_unref(second);
    keeping_clear(&k);
}

/* Every minute the passport is asked; a certificate is made only for another result. */
static void results_of_a_passport(void **state)
{
    struct atls_pre_chain *first, *same, *other;
    struct keeping k;
    size_t jobs = 0;

    (void)state;
    keeping_init(&k, true, 0);
    first = current(&k, &jobs);
    assert_int_equal(k.w.fake_passport.shown, 1);
    k.w.now_s += 59;
    same = current(&k, &jobs);
    assert_ptr_equal(first, same);
    atls_pre_chain_unref(same);
    assert_int_equal(jobs, 1);
    k.w.now_s++;
    same = current(&k, &jobs);
    assert_ptr_equal(first, same);
    assert_int_equal(jobs, 2);
    assert_int_equal(k.w.fake_passport.shown, 2);
    k.w.now_s += 60;
    k.w.fake_passport.wrong_key = true; /* so that it is another result */
    other = current(&k, &jobs);
    assert_ptr_not_equal(first, other);
    assert_int_equal(k.w.fake_passport.echoed, 0);
    atls_pre_chain_unref(first);
    atls_pre_chain_unref(same);
    atls_pre_chain_unref(other);
    keeping_clear(&k);
}

/* Jobs for a nonce: of one connection, an hour at most. */
static void for_a_nonce(void **state)
{
    static const struct {
        uint32_t configured;
        int64_t lifetime;
    } rows[] = {{0, 3600}, {600, 600}, {7200, 3600}};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const struct atls_pre_nonce nonce = {{1, 2, 3}};
        struct atls_pre_chain *chain;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_job *job;
        struct keeping k;

        keeping_init(&k, false, rows[i].configured);
        test_assert_code(atls_pre_make_job_new(k.w.config, &nonce, &job, &err), ATLS_OK, &err);
        assert_null(atls_pre_make_job_chain(job));
        atls_job_run(job);
        atls_job_run(job); /* again: as any job */
        chain = atls_pre_make_job_chain(job);
        if (chain == NULL)
            abort();
        assert_int_equal(chain->not_after_s, WORLD_NOW + rows[i].lifetime);
        atls_pre_chain_unref(chain);
        atls_job_free(job);
        keeping_clear(&k);
    }
}

/* Waiting for the attester on its own thread, and giving up. */
static void count_ready(void *arg)
{
    atomic_int *n = arg;

    atomic_fetch_add(n, 1);
}

static void waiting_for_the_attester(void **state)
{
    atomic_int ready = 0;
    struct keeping k;

    (void)state;
    keeping_init(&k, false, 0);
    for (int run = 0; run < 2; run++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_job *job;

        test_assert_code(atls_pre_make_job_new(k.w.config, NULL, &job, &err), ATLS_OK, &err);
        if (atls_job_start(job, count_ready, &ready) && run == 0) {
            atls_job_run(job);
            test_assert_code(job->code, ATLS_OK, &job->err);
        }
        atls_job_free(job);
    }
    keeping_clear(&k);
}

/* ---- an attester whose certificate a CA issued ---- */

struct issued {
    struct test_identity ca;
    char path[64];
};

static void write_chain(struct issued *f, const struct atls_buf *certificates, size_t count)
{
    FILE *file;
    int fd;

    strcpy(f->path, "/tmp/atls-test-keeper-XXXXXX");
    fd = mkstemp(f->path);
    assert_true(fd >= 0);
    file = fdopen(fd, "wb");
    if (file == NULL)
        abort();
    for (size_t i = 0; i < count; i++) {
        struct atls_buf pem = ATLS_BUF_INIT;

        test_assert_code(
            atls_pem_encode("CERTIFICATE", atls_buf_bytes(&certificates[i]), &pem, NULL), ATLS_OK,
            NULL);
        assert_int_equal(fwrite(pem.ptr, 1, pem.len, file), pem.len);
        atls_buf_clear(&pem);
    }
    fclose(file);
}

/* The key of the attester, certified; extra_count 1: with evidence. count: how often it stands in
 * the file, so that the chain is that long. */
static void issue(struct keeping *k, struct issued *f, bool with_evidence, size_t count)
{
    struct atls_buf certificates[ATLS_CHAIN_MAX] = {ATLS_BUF_INIT};
    struct atls_buf value = ATLS_BUF_INIT, cmw = ATLS_BUF_INIT;
    struct atls_certificate_extra extra = {.critical = false};
    struct atls_certificate_spec spec;
    struct atls_binder binder;

    world_init(&k->w);
    k->keeper = NULL;
    world_open_attester(&k->w);
    f->ca = test_ca("keeper");
    test_assert_code(atls_binder_pre(atls_bytes_of(NULL, 0), atls_attester_aik_spki(k->w.attester),
                                     &binder, NULL),
                     ATLS_OK, NULL);
    cmw = world_evidence(&k->w, atls_binder_bytes(&binder));
    value = world_value(atls_buf_bytes(&cmw));
    extra.oid = world_oid(0);
    extra.value = atls_buf_bytes(&value);
    spec = world_spec(&k->w);
    spec.issuer_certificate = atls_buf_bytes(&f->ca.certificate);
    spec.scheme = atls_private_key_scheme(f->ca.key);
    spec.sign_arg = f->ca.key;
    spec.extra = &extra;
    spec.extra_count = with_evidence ? 1 : 0;
    certificates[0] = world_certificate(&spec);
    for (size_t i = 1; i < count; i++)
        test_assert_code(atls_buf_copy(&certificates[i], atls_buf_bytes(&f->ca.certificate), NULL),
                         ATLS_OK, NULL);
    write_chain(f, certificates, count);
    for (size_t i = 0; i < count; i++)
        atls_buf_clear(&certificates[i]);
    atls_buf_clear(&value);
    atls_buf_clear(&cmw);
    /* The attester again, of the same key, with this certificate. */
    k->w.fake_passport.attester = NULL;
    atls_passport_unref(k->w.passport);
    k->w.passport = NULL;
    {
        struct atls_private_key *key = atls_private_key_ref(k->w.fake.key);

        atls_attester_unref(k->w.attester);
        k->w.fake.key = key;
    }
    k->w.fake.certificate = f->path;
    k->w.attester = fake_attester_open(&k->w.fake);
    world_configure_attester(&k->w);
}

static void issued_clear(struct issued *f)
{
    remove(f->path);
    test_identity_clear(&f->ca);
}

static void a_ca_made_the_certificate(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct keeping k;
    struct issued f;
    struct got g;

    (void)state;
    issue(&k, &f, true, 2);
    test_assert_code(atls_pre_keeper_new(k.w.config, &k.keeper, &err), ATLS_OK, &err);
    g = get(&k);
    assert_null(g.job);
    assert_non_null(g.chain);
    assert_int_equal(g.chain->count, 2);
    drop(&g);
    atls_pre_keeper_renew(k.keeper); /* it is not ours to renew */
    g = get(&k);
    assert_null(g.job);
    drop(&g);
    k.w.now_s = WORLD_NOW + 1001;
    assert_int_equal(atls_pre_keeper_get(k.keeper, &g.chain, &g.job, &err), ATLS_E_CERTIFICATE);
    assert_int_equal(err.reason, ATLS_REASON_CERTIFICATE_EXPIRED);
    keeping_clear(&k);
    issued_clear(&f);
}

/* The chain of the CA follows the certificate with evidence, if there is room. */
static void the_chain_of_a_ca_follows(void **state)
{
    (void)state;
    for (size_t count = ATLS_CHAIN_MAX - 1; count <= ATLS_CHAIN_MAX; count++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct keeping k;
        struct issued f;
        struct got g;

        issue(&k, &f, false, count);
        test_assert_code(atls_pre_keeper_new(k.w.config, &k.keeper, &err), ATLS_OK, &err);
        g = get(&k);
        atls_job_run(g.job);
        if (count == ATLS_CHAIN_MAX) {
            assert_int_equal(g.job->code, ATLS_E_LIMIT);
        } else {
            test_assert_code(g.job->code, ATLS_OK, &g.job->err);
            g.chain = atls_pre_make_job_chain(g.job);
            assert_int_equal(g.chain->count, ATLS_CHAIN_MAX);
        }
        drop(&g);
        keeping_clear(&k);
        issued_clear(&f);
    }
}

/* ---- threads ---- */

#define THREADS 4

static void *work(void *arg)
{
    struct keeping *k = arg;

    for (int i = 0; i < 50; i++) {
        struct got g = get(k);

        if (g.job != NULL)
            atls_job_run(g.job);
        if (i % 10 == 9)
            atls_pre_keeper_renew(k->keeper);
        drop(&g);
    }
    return NULL;
}

static void many_threads(void **state)
{
    pthread_t threads[THREADS];
    struct keeping k;
    struct got g;

    (void)state;
    keeping_init(&k, false, 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, &k), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    g = get(&k);
    assert_non_null(g.chain);
    drop(&g);
    keeping_clear(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_until_half_of_its_life), cmocka_unit_test(renewed_when_asked_for),
        cmocka_unit_test(one_job_at_a_time),           cmocka_unit_test(nothing_to_show),
        cmocka_unit_test(a_job_outlives_its_keeper),   cmocka_unit_test(before_its_time),
        cmocka_unit_test(results_of_a_passport),       cmocka_unit_test(for_a_nonce),
        cmocka_unit_test(waiting_for_the_attester),    cmocka_unit_test(a_ca_made_the_certificate),
        cmocka_unit_test(the_chain_of_a_ca_follows),   cmocka_unit_test(many_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
