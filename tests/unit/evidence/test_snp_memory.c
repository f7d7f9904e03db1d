/* Memory that runs short while SEV-SNP evidence is verified: an error of its own or the right
 * answer, never a verdict about the evidence, and nothing leaks. */
#include "testlib.h"

#include <string.h>

#include "failing_alloc.h"
#include "simulator/amd.h"
#include "tee_source.h"

#include "evidence/claims.h"
#include "evidence/snp.h"

#define NOW_S INT64_C(1790000000)

static const uint8_t report_data[64] = "what the report is to answer";

static struct atls_sim_amd *amd;
static struct atls_buf table, crl, ark, ask;
static uint8_t report[ATLS_SNP_REPORT_LEN];
static struct test_tee_source on_file;

static int setup(void **state)
{
    struct atls_sim_snp order;

    (void)state;
    atls_sim_snp_init(&order, ATLS_SNP_TURIN, NOW_S);
    order.with_authorities = true;
    if (atls_sim_amd_new(2048, &amd, NULL) != ATLS_OK ||
        atls_sim_amd_report(amd, &order, report_data, report, NULL) != ATLS_OK ||
        atls_sim_amd_table(amd, &order, &table, NULL) != ATLS_OK ||
        atls_sim_amd_crl(amd, &order, NULL, &crl, NULL) != ATLS_OK ||
        atls_sim_amd_certificate(amd, ATLS_SIM_ARK, &order, NULL, &ark, NULL) != ATLS_OK ||
        atls_sim_amd_certificate(amd, ATLS_SIM_ASK, &order, NULL, &ask, NULL) != ATLS_OK)
        return -1;
    test_tee_source_trust(&on_file, atls_buf_bytes(&ark));
    test_tee_source_put(&on_file, ATLS_COLLATERAL_SNP_CRL, atls_buf_bytes(&crl));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_tee_source_clear(&on_file);
    atls_sim_amd_free(amd);
    atls_buf_clear(&table);
    atls_buf_clear(&crl);
    atls_buf_clear(&ark);
    atls_buf_clear(&ask);
    return 0;
}

static enum atls_code verify(struct atls_err *err)
{
    const struct atls_endorsement_source source = test_tee_source_over(&on_file);
    const struct atls_evidence_request request = {.source = &source, .time_s = NOW_S};
    const struct atls_snp_check check = {
        .report = atls_bytes_of(report, sizeof report),
        .certificates = atls_buf_bytes(&table),
        .report_data = atls_bytes_of(report_data, sizeof report_data),
        .request = &request,
    };
    struct atls_snp_result result;
    struct atls_claims claims;
    enum atls_code code;

    if ((code = atls_snp_verify(&check, &result, err)) != ATLS_OK)
        return code;
    claims = atls_claims_init(&atls_technology_snp);
    code = atls_snp_claims(&result, atls_bytes_of("key", 3), &claims, err);
    atls_claims_clear(&claims);
    atls_snp_result_clear(&result);
    return code;
}

static void every_allocation_fails(void)
{
    struct atls_err err = ATLS_ERR_INIT;
    size_t failures = 0, errors = 0;
    bool happened = true;

    test_assert_code(verify(&err), ATLS_OK, &err); /* what is made once is made */
    for (size_t n = 0; happened; n++) {
        enum atls_code code;

        test_failing_alloc_arm(n);
        code = verify(&err);
        happened = test_failing_alloc_disarm();
        failures += happened;
        errors += code != ATLS_OK;
        if (code != ATLS_OK && code != ATLS_E_NOMEM && code != ATLS_E_CRYPTO)
            fail_msg("allocation %zu: %s (%s)", n, err.message, atls_reason_name(err.reason));
        if (!happened)
            test_assert_code(code, ATLS_OK, &err);
    }
    print_message("  %zu allocations failed, %zu of them told\n", failures, errors);
    assert_true(failures > 50 && errors > 50);
    test_assert_code(verify(&err), ATLS_OK, &err);
}

static void with_the_ask_of_the_table(void **state)
{
    (void)state;
    every_allocation_fails();
}

static void with_the_ask_on_file(void **state)
{
    (void)state;
    test_tee_source_trust(&on_file, atls_buf_bytes(&ask));
    every_allocation_fails();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_the_ask_of_the_table),
        cmocka_unit_test(with_the_ask_on_file),
    };

    test_failing_alloc_install();
    return cmocka_run_group_tests(tests, setup, teardown);
}
