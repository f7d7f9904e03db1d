#include "metrics.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

/* Whether the line is there; counters live as long as the process, so that each test has routes of
 * its own. */
static bool says(const char *line)
{
    struct text text = {0};
    char with[512];
    bool found;

    metrics_write(&text);
    assert_false(text.failed);
    snprintf(with, sizeof with, "\n%s\n", line);
    found = strstr(text.ptr, with) != NULL;
    if (!found)
        print_message("%s: not in\n%s", line, text.ptr);
    text_clear(&text);
    return found;
}

static bool mentions(const char *what)
{
    struct text text = {0};
    bool found;

    metrics_write(&text);
    found = strstr(text.ptr, what) != NULL;
    text_clear(&text);
    return found;
}

/* Each has its families once, and each series is of the family above it. */
static void test_form(void **state)
{
    struct text text = {0};
    char family[64] = "", *rest, *line;
    size_t families = 0;

    (void)state;
    metrics_attested(metrics_route("form"), LINK_DOWNSTREAM, "tpm", METRICS_ACCEPTED);
    metrics_worked(metrics_part(METRICS_ATTESTER, "form"), true, 1);
    metrics_write(&text);
    for (line = strtok_r(text.ptr, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line, "# HELP ", 7) == 0) {
            snprintf(family, sizeof family, "%.*s", (int)strcspn(line + 7, " "), line + 7);
            assert_null(strstr(rest, line));
            families++;
        } else if (strncmp(line, "# TYPE ", 7) == 0) {
            assert_memory_equal(line + 7, family, strlen(family));
        } else {
            assert_memory_equal(line, family, strlen(family));
            assert_non_null(strchr(line, ' '));
        }
    }
    assert_int_equal(families, 15);
    text_clear(&text);
}

static void test_connections(void **state)
{
    struct metrics_route *r = metrics_route("web"), *none = metrics_route(NULL);
    const struct link_report report = {.end = LINK_IDLE_TIMEOUT, .from_client = 7, .to_client = 9};

    (void)state;
    assert_ptr_equal(metrics_route("web"), r);
    assert_ptr_equal(metrics_route(""), none);
    metrics_links(none, METRICS_PRELUDE, 1);
    metrics_links(r, METRICS_OPENING, 1);
    metrics_links(r, METRICS_OPENING, 1);
    metrics_links(r, METRICS_OPENING, -1);
    metrics_links(r, METRICS_OPEN, 1);
    assert_true(says("atls_proxy_links{route=\"\",stage=\"prelude\"} 1"));
    assert_true(says("atls_proxy_links{route=\"web\",stage=\"prelude\"} 0"));
    assert_true(says("atls_proxy_links{route=\"web\",stage=\"opening\"} 1"));
    assert_true(says("atls_proxy_links{route=\"web\",stage=\"open\"} 1"));
    metrics_ended(r, &report);
    metrics_ended(r, &report);
    metrics_refused(none, LINK_LIMIT_SOURCE);
    assert_true(says("atls_proxy_connections_total{route=\"web\",end=\"idle-timeout\"} 2"));
    assert_true(says("atls_proxy_connections_total{route=\"\",end=\"limit-source\"} 1"));
    assert_true(says("atls_proxy_bytes_total{route=\"web\",direction=\"upstream\"} 14"));
    assert_true(says("atls_proxy_bytes_total{route=\"web\",direction=\"downstream\"} 18"));
}

static void test_opened(void **state)
{
    struct metrics_route *r = metrics_route("open");

    (void)state;
    metrics_opened(r, 1);
    metrics_opened(r, 2);
    metrics_opened(r, 100);
    metrics_opened(r, 60000);
    assert_true(says("atls_proxy_open_seconds_bucket{route=\"open\",le=\"0.001\"} 1"));
    assert_true(says("atls_proxy_open_seconds_bucket{route=\"open\",le=\"0.0025\"} 2"));
    assert_true(says("atls_proxy_open_seconds_bucket{route=\"open\",le=\"0.1\"} 3"));
    assert_true(says("atls_proxy_open_seconds_bucket{route=\"open\",le=\"10\"} 3"));
    assert_true(says("atls_proxy_open_seconds_bucket{route=\"open\",le=\"+Inf\"} 4"));
    assert_true(says("atls_proxy_open_seconds_count{route=\"open\"} 4"));
    assert_true(says("atls_proxy_open_seconds_sum{route=\"open\"} 60.103000"));
}

static void test_attestations(void **state)
{
    struct metrics_route *r = metrics_route("att");
    char name[16];

    (void)state;
    metrics_attested(r, LINK_DOWNSTREAM, "tpm", METRICS_ACCEPTED);
    metrics_attested(r, LINK_UPSTREAM, "snp", METRICS_REFUSED);
    metrics_attested(r, LINK_UPSTREAM, "snp", METRICS_REFUSED);
    metrics_attested(r, LINK_UPSTREAM, NULL, METRICS_REFUSED);
    metrics_attested(r, LINK_UPSTREAM, "", METRICS_REFUSED);
#define ATT "atls_proxy_attestations_total{route=\"att\",side=\""
    assert_true(says(ATT "downstream\",technology=\"tpm\",outcome=\"accepted\"} 1"));
    assert_true(says(ATT "upstream\",technology=\"snp\",outcome=\"refused\"} 2"));
    assert_true(says(ATT "upstream\",technology=\"\",outcome=\"refused\"} 2"));
    assert_false(mentions(ATT "downstream\",technology=\"snp\""));
    metrics_attested(r, LINK_DOWNSTREAM, "", METRICS_ABSENT);
    assert_true(says(ATT "downstream\",technology=\"\",outcome=\"absent\"} 1"));
    /* Names that a peer could make up do not grow without end. */
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "t%d", i);
        metrics_attested(r, LINK_DOWNSTREAM, name, METRICS_REFUSED);
    }
    assert_true(says(ATT "downstream\",technology=\"t13\",outcome=\"refused\"} 1"));
    assert_false(mentions("technology=\"t14\""));
    assert_true(says(ATT "downstream\",technology=\"other\",outcome=\"refused\"} 26"));
    metrics_reason(r, ATLS_REASON_PCR_DIGEST_MISMATCH);
    metrics_reason(r, ATLS_REASON_ENCLAVE_ATTRIBUTES);
    metrics_reason(r, (enum atls_reason)9999);
    assert_true(says("atls_proxy_reasons_total{route=\"att\",reason=\"pcr-digest-mismatch\"} 1"));
    assert_true(says("atls_proxy_reasons_total{route=\"att\",reason=\"enclave-attributes\"} 1"));
    assert_true(says("atls_proxy_reasons_total{route=\"att\",reason=\"none\"} 1"));
}

static void test_parts(void **state)
{
    struct metrics_part *a = metrics_part(METRICS_ATTESTER, "here"),
                        *v = metrics_part(METRICS_VERIFIER, "here");

    (void)state;
    assert_ptr_not_equal(a, v);
    assert_ptr_equal(metrics_part(METRICS_ATTESTER, "here"), a);
    metrics_worked(a, true, 3000);
    assert_true(metrics_works(a));
    metrics_worked(a, false, 20000000);
    assert_false(metrics_works(a));
    metrics_worked(v, true, 1000);
    assert_true(says("atls_proxy_evidence_seconds_count{attester=\"here\"} 2"));
    assert_true(says("atls_proxy_evidence_seconds_bucket{attester=\"here\",le=\"0.005\"} 1"));
    assert_true(says("atls_proxy_evidence_failures_total{attester=\"here\"} 1"));
    assert_true(says("atls_proxy_verifier_seconds_bucket{verifier=\"here\",le=\"0.001\"} 1"));
    assert_true(says("atls_proxy_verifier_failures_total{verifier=\"here\"} 0"));
}

static void test_process(void **state)
{
    (void)state;
    assert_true(says("atls_proxy_generations 0"));
    metrics_generations(1);
    assert_true(says("atls_proxy_generations 1"));
    assert_true(says("atls_proxy_report_only 0"));
    metrics_report_only();
    assert_true(says("atls_proxy_report_only 1"));
    assert_true(says("atls_proxy_ready 0"));
    metrics_ready(true);
    assert_true(says("atls_proxy_ready 1"));
    metrics_ready(false);
    assert_true(says("atls_proxy_ready 0"));
    metrics_reloaded(true);
    metrics_reloaded(true);
    metrics_reloaded(false);
    assert_true(says("atls_proxy_reloads_total{outcome=\"ok\"} 2"));
    assert_true(says("atls_proxy_reloads_total{outcome=\"failed\"} 1"));
    assert_true(says("atls_proxy_build_info{version=\"" ATLS_VERSION "\"} 1"));
}

static void test_labels(void **state)
{
    char long_name[100];

    (void)state;
    metrics_links(metrics_route("a\"b\\c\nd"), METRICS_OPEN, 1);
    assert_true(says("atls_proxy_links{route=\"a_b_c_d\",stage=\"open\"} 1"));
    memset(long_name, 'n', sizeof long_name);
    long_name[99] = '\0';
    assert_ptr_equal(metrics_route(long_name), metrics_route(long_name));
}

static void *count(void *arg)
{
    for (int i = 0; i < 10000; i++) {
        metrics_links(metrics_route("threads"), METRICS_OPEN, 1);
        metrics_attested(arg, LINK_DOWNSTREAM, "tpm", METRICS_ACCEPTED);
        metrics_opened(arg, 1);
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct metrics_route *r = metrics_route("threads");
    pthread_t threads[4];

    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count, r), 0);
    (void)mentions("atls_proxy");
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(says("atls_proxy_links{route=\"threads\",stage=\"open\"} 40000"));
    assert_true(says("atls_proxy_open_seconds_count{route=\"threads\"} 40000"));
}

/* The last one: it takes all the room there is. */
static void test_room(void **state)
{
    struct metrics_route *last = NULL;
    struct metrics_part *part = NULL;
    char name[32];

    (void)state;
    for (int i = 0; i < 1100; i++) {
        snprintf(name, sizeof name, "room-%d", i);
        last = metrics_route(name);
        part = metrics_part(METRICS_VERIFIER, name);
    }
    assert_ptr_equal(metrics_route("one more"), last);
    assert_ptr_equal(metrics_part(METRICS_VERIFIER, "one more"), part);
    assert_ptr_not_equal(metrics_part(METRICS_ATTESTER, "one more"), part);
    metrics_links(last, METRICS_OPEN, 5);
    assert_true(says("atls_proxy_links{route=\"other\",stage=\"open\"} 5"));
    metrics_worked(part, false, 1);
    assert_true(says("atls_proxy_verifier_failures_total{verifier=\"other\"} 1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_form),   cmocka_unit_test(test_connections),
        cmocka_unit_test(test_opened), cmocka_unit_test(test_attestations),
        cmocka_unit_test(test_parts),  cmocka_unit_test(test_process),
        cmocka_unit_test(test_labels), cmocka_unit_test(test_threads),
        cmocka_unit_test(test_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
