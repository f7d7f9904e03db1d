#include "testlib.h"

#include "flavour/intra/intra.h"

static void alerts(void **state)
{
    static const struct {
        const char *name;
        struct atls_err err;
        uint8_t want;
    } rows[] = {
        {"no scheme in common",
         {.code = ATLS_E_PROTOCOL, .reason = ATLS_REASON_UNSUPPORTED_ATTESTATION_SCHEMES},
         40},
        {"a side left out",
         {.code = ATLS_E_PROTOCOL, .reason = ATLS_REASON_ATTESTATION_REQUIRED},
         49},
        {"evidence refused",
         {.code = ATLS_E_EVIDENCE, .reason = ATLS_REASON_PCR_DIGEST_MISMATCH},
         42},
        {"evidence malformed", {.code = ATLS_E_DECODE, .reason = ATLS_REASON_MALFORMED}, 42},
        {"refused by policy", {.code = ATLS_E_REFUSED, .reason = ATLS_REASON_POLICY}, 42},
        {"no reason given", {.code = ATLS_E_VERIFY}, 42},
        {"an alert of its own",
         {.code = ATLS_E_DECODE, .reason = ATLS_REASON_MALFORMED, .alert = ATLS_ALERT_DECODE_ERROR},
         50},
        {"no memory", {.code = ATLS_E_NOMEM}, 80},
        {"the store cannot be read", {.code = ATLS_E_IO}, 80},
        {"our attester failed", {.code = ATLS_E_DEVICE}, 80},
        {"wrong use", {.code = ATLS_E_USAGE}, 80},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (atls_intra_alert(&rows[i].err) != rows[i].want)
            fail_msg("%s: %u", rows[i].name, atls_intra_alert(&rows[i].err));
}

/* Numbers that TLS libraries send: others never reach the peer. */
static void table(void **state)
{
    static const struct {
        const char *name;
        enum atls_alert stand_in;
    } want[] = {
        {"unsupported_attestation_schemes", ATLS_ALERT_HANDSHAKE_FAILURE},
        {"attestation_required", ATLS_ALERT_ACCESS_DENIED},
        {"attestation_failed", ATLS_ALERT_BAD_CERTIFICATE},
    };
    const struct atls_intra_alert *row = atls_intra_alerts;

    (void)state;
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++, row++) {
        if (row->name == NULL)
            fail_msg("the table ends before %s", want[i].name);
        else
            assert_string_equal(row->name, want[i].name);
        assert_int_equal(row->stand_in, want[i].stand_in);
    }
    assert_null(row->name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alerts),
        cmocka_unit_test(table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
