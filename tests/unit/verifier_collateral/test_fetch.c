/* Fetching from a service, and what services do wrong. */
#include "service.h"

#include "evidence/collateral.h"
#include "wire/cmw.h"
#include "wire/snp.h"
#include "wire/tsm.h"

#define FROM_S  INT64_C(1798761600) /* 2027-01-01 */
#define UNTIL_S (FROM_S + 30 * INT64_C(86400))
#define FROM    "2027-01-01T00:00:00Z"
#define UNTIL   "2027-01-31T00:00:00Z"

static int set_up(void **state)
{
    *state = service_start(FROM_S, UNTIL_S, FROM, UNTIL);
    return 0;
}

static int tear_down(void **state)
{
    service_stop(*state);
    return 0;
}

/* What visit was told. */
struct told {
    size_t count;
    char names[4][256];
    size_t lens[4];
    enum atls_code answer;
};

static enum atls_code tell(void *arg, const char *file_name, struct atls_bytes document,
                           struct atls_err *err)
{
    struct told *told = arg;

    (void)err;
    assert_true(told->count < 4);
    snprintf(told->names[told->count], sizeof told->names[0], "%s", file_name);
    told->lens[told->count++] = document.len;
    return told->answer;
}

static enum atls_code fetch(struct service *s, const char *kind, const char *subject,
                            struct told *told, struct atls_err *err)
{
    struct atls_collateral_fetcher *f = service_fetcher(s, 0);
    enum atls_code code;

    *told = (struct told){.answer = ATLS_OK};
    *err = (struct atls_err)ATLS_ERR_INIT;
    code = atls_collateral_fetch(f, kind, subject, tell, told, err);
    atls_collateral_close(f);
    return code;
}

static void documents_and_their_chains(void **state)
{
    static const struct {
        const char *kind, *subject, *target, *names[2];
    } rows[] = {
        {"snp-vek",
         SERVICE_VEK,
         "/kds/vcek/v1/Milan/" SERVICE_CHIP "?blSPL=03&teeSPL=00&snpSPL=08&ucodeSPL=217",
         {"snp-vek-" SERVICE_VEK ".der", NULL}},
        {"snp-ca", "milan", "/kds/vlek/v1/Milan/cert_chain", {"snp-ca-milan.pem", NULL}},
        {"snp-crl", "milan", "/kds/vcek/v1/Milan/crl", {"snp-crl-milan.crl", NULL}},
        {"tdx-qe-identity",
         "td",
         "/kds/tdx/certification/v4/qe/identity",
         {"tdx-qe-identity-td.json", "tdx-tcb-chain-tcb.pem"}},
        {"tdx-tcb-chain",
         "tcb",
         "/kds/tdx/certification/v4/qe/identity",
         {"tdx-tcb-chain-tcb.pem", NULL}},
        {"tdx-pck-crl",
         "platform",
         "/kds/sgx/certification/v4/pckcrl?ca=platform&encoding=der",
         {"tdx-pck-crl-platform.crl", "tdx-pck-crl-chain-platform.pem"}},
        {"tdx-root-crl",
         "root",
         "/kds/sgx/certification/v4/rootcacrl",
         {"tdx-root-crl-root.crl", NULL}},
    };
    struct service *s = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t want = rows[i].names[1] != NULL ? 2 : 1;
        struct told told;
        struct atls_err err;

        print_message("  %s\n", rows[i].kind);
        test_assert_code(fetch(s, rows[i].kind, rows[i].subject, &told, &err), ATLS_OK, &err);
        assert_int_equal(err.code, ATLS_OK);
        assert_string_equal(s->last, rows[i].target);
        assert_int_equal(told.count, want);
        for (size_t k = 0; k < want; k++) {
            assert_string_equal(told.names[k], rows[i].names[k]);
            assert_true(told.lens[k] > 0);
        }
    }
}

/* Both authorities of a line in one document; a line without VLEKs has one. */
static void candidates_of_a_line(void **state)
{
    struct service *s = *state;
    struct told both, one;
    struct atls_err err;

    test_assert_code(fetch(s, "snp-ca", "milan", &both, &err), ATLS_OK, &err);
    s->no_vlek = true;
    test_assert_code(fetch(s, "snp-ca", "milan", &one, &err), ATLS_OK, &err);
    assert_int_equal(err.code, ATLS_OK);
    assert_true(one.lens[0] < both.lens[0]);
}

static void answers_that_are_refused(void **state)
{
    static const struct {
        const char *what, *kind, *subject;
        int status;
        const char *headers, *body;
        bool no_chain;
        enum atls_code want;
        const char *message;
    } rows[] = {
        {"it has none", "snp-crl", "genoa", 0, NULL, NULL, false, ATLS_E_NOT_FOUND, "has none"},
        {"a redirection", "snp-crl", "milan", 302, "Location: http://127.0.0.1:1/\r\n", NULL, false,
         ATLS_E_PROTOCOL, "302"},
        {"asked too often", "snp-crl", "milan", 429, "Retry-After: 7\r\n", NULL, false,
         ATLS_E_UNAVAILABLE, "429"},
        {"out of order", "snp-crl", "milan", 503, NULL, NULL, false, ATLS_E_UNAVAILABLE, "503"},
        {"not allowed", "snp-crl", "milan", 403, NULL, NULL, false, ATLS_E_PROTOCOL, "403"},
        {"no list", "snp-crl", "milan", 0, NULL, "<html>", false, ATLS_E_PROTOCOL, "list"},
        {"a list that is DER and none", "snp-crl", "milan", 0, NULL, "0\x82\x01\x02", false,
         ATLS_E_PROTOCOL, "no such document"},
        {"no certificate", "snp-vek", SERVICE_VEK, 0, NULL, "<html>", false, ATLS_E_PROTOCOL,
         "no such document"},
        {"no certificates", "snp-ca", "milan", 0, NULL, "<html>", false, ATLS_E_PROTOCOL, "PEM"},
        {"no identity", "tdx-qe-identity", "td", 0, NULL, "{}", false, ATLS_E_PROTOCOL,
         "no such document"},
        {"no chain beside it", "tdx-qe-identity", "td", 0, NULL, NULL, true, ATLS_E_PROTOCOL,
         "SGX-Enclave-Identity-Issuer-Chain"},
    };
    struct service *s = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct told told;
        struct atls_err err;

        print_message("  %s\n", rows[i].what);
        s->status = rows[i].status;
        s->headers = rows[i].headers;
        s->body = rows[i].body;
        s->no_chain = rows[i].no_chain;
        test_assert_code(fetch(s, rows[i].kind, rows[i].subject, &told, &err), rows[i].want, &err);
        assert_non_null(strstr(err.message, rows[i].message));
        assert_int_equal(told.count, 0);
    }
}

static void a_chain_that_is_none(void **state)
{
    struct service *s = *state;
    struct told told;
    struct atls_err err;

    s->chain.len = 7; /* within an escape */
    test_assert_code(fetch(s, "tdx-qe-identity", "td", &told, &err), ATLS_E_PROTOCOL, &err);
    assert_int_equal(told.count, 0);
}

static void a_second_path_that_fails(void **state)
{
    struct service *s = *state;
    struct told told;
    struct atls_err err;

    s->vlek_status = 429;
    test_assert_code(fetch(s, "snp-ca", "milan", &told, &err), ATLS_E_UNAVAILABLE, &err);
    assert_int_equal(service_asked(s), 2);
    assert_int_equal(told.count, 0);
}

static void what_the_caller_says_ends_it(void **state)
{
    struct service *s = *state;
    struct atls_collateral_fetcher *f = service_fetcher(s, 0);
    struct told told = {.answer = ATLS_E_LIMIT};
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_collateral_fetch(f, "tdx-qe-identity", "td", tell, &told, &err),
                     ATLS_E_LIMIT, &err);
    assert_int_equal(told.count, 1);
    test_assert_code(atls_collateral_fetch(f, "no-such", "td", tell, &told, &err), ATLS_E_USAGE,
                     &err);
    test_assert_code(atls_collateral_fetch(f, "snp-crl", "Milan", tell, &told, &err), ATLS_E_USAGE,
                     &err);
    atls_collateral_close(f);
}

/* A wait that is longer than all of them may be fails at once; one within is taken. */
static void a_service_that_is_asked_too_often(void **state)
{
    struct service *s = *state;
    struct atls_collateral_fetcher *f = service_fetcher(s, 2);
    struct told told = {.answer = ATLS_OK};
    struct atls_err err = ATLS_ERR_INIT;

    s->status = 429;
    s->headers = "Retry-After: 3\r\n";
    test_assert_code(atls_collateral_fetch(f, "snp-crl", "milan", tell, &told, &err),
                     ATLS_E_UNAVAILABLE, &err);
    assert_int_equal(service_asked(s), 1);
    s->headers = "Retry-After: 1\r\n";
    test_assert_code(atls_collateral_fetch(f, "snp-crl", "milan", tell, &told, &err),
                     ATLS_E_UNAVAILABLE, &err);
    assert_int_equal(service_asked(s), 4); /* at once, after one second, after two */
    s->headers = "";
    test_assert_code(atls_collateral_fetch(f, "snp-crl", "milan", tell, &told, &err),
                     ATLS_E_UNAVAILABLE, &err);
    assert_int_equal(service_asked(s), 5);
    atls_collateral_close(f);
}

static void https_is_checked(void **state)
{
    struct test_identity ca = test_ca("CA"), server = test_leaf(&ca, "localhost", ATLS_KEY_P256);
    struct service *s = *state;
    struct test_http_server *https = test_http_start(service_answer, s, &server);
    struct atls_collateral_fetcher *f;
    struct atls_collateral_options options;
    struct told told = {.answer = ATLS_OK};
    struct atls_err err = ATLS_ERR_INIT;
    char file[] = "/tmp/atls-ca-XXXXXX";
    struct atls_buf pem = ATLS_BUF_INIT;
    FILE *out;
    int fd = mkstemp(file);

    assert_true(fd >= 0);
    test_assert_code(atls_pem_encode("CERTIFICATE", atls_buf_bytes(&ca.certificate), &pem, NULL),
                     ATLS_OK, NULL);
    assert_non_null(out = fdopen(fd, "w"));
    assert_int_equal(fwrite(pem.ptr, 1, pem.len, out), pem.len);
    assert_int_equal(fclose(out), 0);
    for (int with_ca = 0; with_ca < 2; with_ca++) {
        atls_collateral_options_init(&options);
        options.amd_url = test_http_url(https);
        options.ca_file = with_ca != 0 ? file : NULL;
        test_assert_code(atls_collateral_open(&options, &f, &err), ATLS_OK, &err);
        test_assert_code(atls_collateral_fetch(f, "snp-crl", "milan", tell, &told, &err),
                         with_ca != 0 ? ATLS_OK : ATLS_E_CERTIFICATE, &err);
        atls_collateral_close(f);
    }
    test_http_stop(https);
    atls_buf_clear(&pem);
    test_identity_clear(&ca);
    test_identity_clear(&server);
    assert_int_equal(remove(file), 0);
}

/* ---- options ---- */

static void services_by_name(void **state)
{
    struct atls_collateral_options options;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    atls_collateral_options_init(&options);
    test_assert_code(atls_collateral_options_add(&options, "amd=https://a", &err), ATLS_OK, &err);
    test_assert_code(atls_collateral_options_add(&options, "intel=https://b", &err), ATLS_OK, &err);
    test_assert_code(atls_collateral_options_add(&options, "intel-root-crl=https://c/d", &err),
                     ATLS_OK, &err);
    assert_string_equal(options.amd_url, "https://a");
    assert_string_equal(options.intel_url, "https://b");
    assert_string_equal(options.intel_root_crl_url, "https://c/d");
    test_assert_code(atls_collateral_options_add(&options, "amd=https://a", &err), ATLS_E_CONFIG,
                     &err);
    test_assert_code(atls_collateral_options_add(&options, "https://a", &err), ATLS_E_CONFIG, &err);
    test_assert_code(atls_collateral_options_add(&options, "arm=https://a", &err), ATLS_E_CONFIG,
                     &err);
    atls_collateral_options_init(&options);
    test_assert_code(atls_collateral_options_add(&options, "https://both", &err), ATLS_OK, &err);
    assert_string_equal(options.amd_url, "https://both");
    assert_string_equal(options.intel_url, "https://both");
}

static void options_that_are_refused(void **state)
{
    struct atls_collateral_fetcher *f = NULL;
    struct atls_collateral_options options;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    atls_collateral_options_init(&options);
    test_assert_code(atls_collateral_open(&options, &f, &err), ATLS_E_CONFIG, &err);
    options.amd_url = "ftp://a";
    test_assert_code(atls_collateral_open(&options, &f, &err), ATLS_E_CONFIG, &err);
    options.amd_url = "https://a";
    options.intel_url = "https://a?b";
    test_assert_code(atls_collateral_open(&options, &f, &err), ATLS_E_CONFIG, &err);
    options.intel_url = NULL;
    options.ca_file = "/nonexistent";
    test_assert_code(atls_collateral_open(&options, &f, &err), ATLS_E_CONFIG, &err);
    options.ca_file = NULL;
    options.size = 0;
    test_assert_code(atls_collateral_open(&options, &f, &err), ATLS_E_USAGE, &err);
    assert_null(f);
    atls_collateral_close(NULL);
}

/* Nobody is asked who was not named; a root list has a place of its own. */
static void one_maker_alone(void **state)
{
    struct service *s = *state;
    struct atls_collateral_fetcher *f;
    struct atls_collateral_options options;
    struct told told = {.answer = ATLS_OK};
    struct atls_err err = ATLS_ERR_INIT;
    char url[160];

    snprintf(url, sizeof url, "%s/elsewhere/rootcacrl", test_http_url(s->server));
    atls_collateral_options_init(&options);
    options.intel_root_crl_url = url;
    test_assert_code(atls_collateral_open(&options, &f, &err), ATLS_OK, &err);
    test_assert_code(atls_collateral_fetch(f, "snp-crl", "milan", tell, &told, &err), ATLS_E_CONFIG,
                     &err);
    test_assert_code(atls_collateral_fetch(f, "tdx-qe-identity", "td", tell, &told, &err),
                     ATLS_E_CONFIG, &err);
    assert_int_equal(service_asked(s), 0);
    test_assert_code(atls_collateral_fetch(f, "tdx-root-crl", "root", tell, &told, &err), ATLS_OK,
                     &err);
    assert_string_equal(s->last, "/elsewhere/rootcacrl");
    atls_collateral_close(f);
}

/* ---- what evidence needs ---- */

struct wishes {
    size_t count;
    char items[12][256];
    enum atls_code answer;
};

static enum atls_code wish(void *arg, const char *kind, const char *subject, struct atls_err *err)
{
    struct wishes *w = arg;

    (void)err;
    assert_true(w->count < 12);
    snprintf(w->items[w->count++], sizeof w->items[0], "%s %s", kind, subject);
    return w->answer;
}

static struct atls_buf record_of(const char *type, struct atls_bytes value)
{
    const struct atls_cmw record = {
        .kind = ATLS_CMW_RECORD,
        .type = {.is_text = true, .text = atls_bytes_of(type, strlen(type))},
        .value = value};
    struct atls_writer w = atls_writer_init(1 << 20);
    struct atls_buf out = ATLS_BUF_INIT;

    test_assert_code(atls_cmw_encode(&record, &w, NULL), ATLS_OK, NULL);
    test_assert_code(atls_writer_finish(&w, &out, NULL), ATLS_OK, NULL);
    return out;
}

static struct atls_buf tsm_of(const char *provider, struct atls_bytes outblob)
{
    const struct atls_tsm_report report = {.provider = atls_bytes_of(provider, strlen(provider)),
                                           .outblob = outblob};
    struct atls_writer w = atls_writer_init(1 << 20);
    struct atls_buf out;

    atls_tsm_report_put(&w, &report);
    out = record_of(ATLS_TYPE_TSM_REPORT, atls_writer_bytes(&w));
    atls_writer_clear(&w);
    return out;
}

static void what_a_report_needs(void **state)
{
    struct atls_buf report = test_vector("sev-snp/aws-vlek/report.bin");
    struct atls_buf old = test_vector("sev-snp/milan-v2-provisional/report.bin");
    struct atls_buf evidence = tsm_of("sev_guest", atls_bytes_of(report.ptr, ATLS_SNP_REPORT_LEN));
    struct wishes w = {.answer = ATLS_OK};
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_collateral_of_evidence(atls_buf_bytes(&evidence), wish, &w, &err),
                     ATLS_OK, &err);
    assert_int_equal(w.count, 3);
    assert_int_equal(strncmp(w.items[0], "snp-vek milan-vlek-", 19), 0);
    assert_string_equal(w.items[1], "snp-ca milan");
    assert_string_equal(w.items[2], "snp-crl milan");
    atls_buf_clear(&evidence);
    /* One that does not say its line: either. */
    evidence = record_of(ATLS_TYPE_SNP_REPORT, atls_bytes_of(old.ptr, ATLS_SNP_REPORT_LEN));
    w.count = 0;
    test_assert_code(atls_collateral_of_evidence(atls_buf_bytes(&evidence), wish, &w, &err),
                     ATLS_OK, &err);
    assert_int_equal(w.count, 6);
    assert_string_equal(w.items[5], "snp-crl genoa");
    w.answer = ATLS_E_LIMIT;
    w.count = 0;
    test_assert_code(atls_collateral_of_evidence(atls_buf_bytes(&evidence), wish, &w, &err),
                     ATLS_E_LIMIT, &err);
    assert_int_equal(w.count, 1);
    atls_buf_clear(&evidence);
    atls_buf_clear(&report);
    atls_buf_clear(&old);
}

static void what_a_quote_needs(void **state)
{
    static const char *const want[] = {"tdx-tcb-info b0c06f000000",  "tdx-qe-identity td",
                                       "tdx-tcb-chain tcb",          "tdx-pck-crl platform",
                                       "tdx-pck-crl-chain platform", "tdx-root-crl root"};
    struct atls_buf quote = test_vector("tdx/v4-uptodate/quote.bin");
    struct atls_buf evidence = tsm_of("tdx_guest", atls_buf_bytes(&quote));
    struct wishes w = {.answer = ATLS_OK};
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_collateral_of_evidence(atls_buf_bytes(&evidence), wish, &w, &err),
                     ATLS_OK, &err);
    assert_int_equal(w.count, 6);
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(w.items[i], want[i]);
    atls_buf_clear(&evidence);
    atls_buf_clear(&quote);
}

/* Each of these is evidence of the technology but for one thing. */
static void evidence_that_does_not_say_what_it_needs(void **state)
{
    struct atls_buf report = test_vector("sev-snp/aws-vlek/report.bin"),
                    quote = test_vector("tdx/v4-uptodate/quote.bin"), evidence;
    struct wishes w = {.answer = ATLS_OK};
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t *certificates = NULL;

    (void)state;
    report.ptr[0x188] ^= 0x80; /* family of the processor */
    evidence = tsm_of("sev_guest", atls_bytes_of(report.ptr, ATLS_SNP_REPORT_LEN));
    test_assert_code(atls_collateral_of_evidence(atls_buf_bytes(&evidence), wish, &w, &err),
                     ATLS_E_EVIDENCE, &err);
    assert_int_equal(err.reason, ATLS_REASON_UNSUPPORTED_PRODUCT);
    atls_buf_clear(&evidence);
    for (size_t i = 0; i + 10 < quote.len && certificates == NULL; i++)
        if (memcmp(quote.ptr + i, "-----BEGIN", 10) == 0)
            certificates = quote.ptr + i;
    if (certificates == NULL)
        abort();          /* a quote holds its certificates as text */
    certificates[-6] = 1; /* certification data: an identifier, in place of a chain */
    evidence = tsm_of("tdx_guest", atls_buf_bytes(&quote));
    test_assert_code(atls_collateral_of_evidence(atls_buf_bytes(&evidence), wish, &w, &err),
                     ATLS_E_UNSUPPORTED, &err);
    atls_buf_clear(&evidence);
    certificates[-6] = 5;
    certificates[30] = '!';
    evidence = tsm_of("tdx_guest", atls_buf_bytes(&quote));
    test_assert_code(atls_collateral_of_evidence(atls_buf_bytes(&evidence), wish, &w, &err),
                     ATLS_E_DECODE, &err);
    atls_buf_clear(&evidence);
    assert_int_equal(w.count, 0);
    atls_buf_clear(&report);
    atls_buf_clear(&quote);
}

/* Every wish may end it. */
static void a_quote_whose_reader_has_enough(void **state)
{
    struct atls_buf quote = test_vector("tdx/v4-uptodate/quote.bin"),
                    evidence = tsm_of("tdx_guest", atls_buf_bytes(&quote));
    struct wishes w = {.answer = ATLS_E_LIMIT};
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_collateral_of_evidence(atls_buf_bytes(&evidence), wish, &w, &err),
                     ATLS_E_LIMIT, &err);
    assert_int_equal(w.count, 1);
    atls_buf_clear(&evidence);
    atls_buf_clear(&quote);
}

static void evidence_that_needs_nothing_or_is_none(void **state)
{
    struct atls_buf other = record_of("text/plain", atls_bytes_of("x", 1)),
                    third = tsm_of("arm_cca_guest", atls_bytes_of("x", 1)),
                    broken = tsm_of("sev_guest", atls_bytes_of("x", 1)),
                    quote = tsm_of("tdx_guest", atls_bytes_of("x", 1)),
                    tsm = record_of(ATLS_TYPE_TSM_REPORT, atls_bytes_of("x", 1));
    struct wishes w = {.answer = ATLS_OK};
    struct atls_err err = ATLS_ERR_INIT;
    struct {
        const struct atls_buf *evidence;
        enum atls_code want;
    } rows[] = {{&other, ATLS_OK},
                {&third, ATLS_OK},
                {&broken, ATLS_E_DECODE},
                {&quote, ATLS_E_DECODE},
                {&tsm, ATLS_E_DECODE}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        test_assert_code(
            atls_collateral_of_evidence(atls_buf_bytes(rows[i].evidence), wish, &w, &err),
            rows[i].want, &err);
    test_assert_code(atls_collateral_of_evidence(atls_bytes_of("\xff", 1), wish, &w, &err),
                     ATLS_E_DECODE, &err);
    assert_int_equal(w.count, 0);
    atls_buf_clear(&other);
    atls_buf_clear(&third);
    atls_buf_clear(&broken);
    atls_buf_clear(&quote);
    atls_buf_clear(&tsm);
}

#define WITH_SERVICE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {WITH_SERVICE(documents_and_their_chains),
                                       WITH_SERVICE(candidates_of_a_line),
                                       WITH_SERVICE(answers_that_are_refused),
                                       WITH_SERVICE(a_chain_that_is_none),
                                       WITH_SERVICE(a_second_path_that_fails),
                                       WITH_SERVICE(what_the_caller_says_ends_it),
                                       WITH_SERVICE(a_service_that_is_asked_too_often),
                                       WITH_SERVICE(https_is_checked),
                                       WITH_SERVICE(one_maker_alone),
                                       cmocka_unit_test(services_by_name),
                                       cmocka_unit_test(options_that_are_refused),
                                       cmocka_unit_test(what_a_report_needs),
                                       cmocka_unit_test(what_a_quote_needs),
                                       cmocka_unit_test(evidence_that_does_not_say_what_it_needs),
                                       cmocka_unit_test(a_quote_whose_reader_has_enough),
                                       cmocka_unit_test(evidence_that_needs_nothing_or_is_none)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
