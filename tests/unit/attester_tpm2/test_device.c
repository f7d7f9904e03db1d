/* Return codes of a TPM, its resource managers and the TSS: what they become. */
#include "testlib.h"

#include <string.h>

#include "attester/tpm2/device.h"

static void busy_tpms_are_asked_again(void **state)
{
    static const struct {
        const char *name;
        TSS2_RC rc;
        bool again;
    } rows[] = {
        {"success", TSS2_RC_SUCCESS, false},
        {"retry", TPM2_RC_RETRY, true},
        {"yielded", TPM2_RC_YIELDED, true},
        {"testing", TPM2_RC_TESTING, true},
        {"writing to NV too often", TPM2_RC_NV_RATE, true},
        {"retry through a resource manager", TSS2_RESMGR_TPM_RC_LAYER | TPM2_RC_RETRY, true},
        {"the same bits from the TCTI", TSS2_TCTI_RC_LAYER | TPM2_RC_RETRY, false},
        {"lockout: asking again makes it worse", TPM2_RC_LOCKOUT, false},
        {"no free slot", TPM2_RC_OBJECT_MEMORY, false},
        {"a parameter whose number looks like it", TPM2_RC_VALUE | TPM2_RC_P, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        unsigned int tries = 0;

        print_message("  %s\n", rows[i].name);
        assert_int_equal(atls_tpm2_again(rows[i].rc, &tries), rows[i].again);
        assert_int_equal(tries, rows[i].again ? 1 : 0);
    }
}

static void a_tpm_that_stays_busy_is_given_up(void **state)
{
    unsigned int tries = 0, asked = 0;

    (void)state;
    while (atls_tpm2_again(TPM2_RC_RETRY, &tries))
        assert_true(++asked < 100);
    assert_int_equal(asked, 12);
}

static void codes_become_errors_that_name_the_command(void **state)
{
    static const struct {
        const char *name;
        TSS2_RC rc;
        enum atls_code want;
        const char *message;
    } rows[] = {
        {"wrong authorisation", TPM2_RC_BAD_AUTH | TPM2_RC_S | TPM2_RC_1, ATLS_E_CONFIG,
         "TPM2_Quote: the TPM refuses the authorisation (0x9a2: "},
        {"wrong authorisation, counted", TPM2_RC_AUTH_FAIL | TPM2_RC_S | TPM2_RC_2, ATLS_E_CONFIG,
         "TPM2_Quote: the TPM refuses the authorisation (0xa8e: "},
        {"through a resource manager", TSS2_RESMGR_TPM_RC_LAYER | TPM2_RC_BAD_AUTH, ATLS_E_CONFIG,
         "TPM2_Quote: the TPM refuses the authorisation"},
        {"no slot for a key", TPM2_RC_OBJECT_MEMORY, ATLS_E_DEVICE, "no free slot"},
        {"no slot for a session", TPM2_RC_SESSION_MEMORY, ATLS_E_DEVICE, "no free slot"},
        {"lockout", TPM2_RC_LOCKOUT, ATLS_E_DEVICE, "TPM2_Quote: 0x921: "},
        {"connection", TSS2_TCTI_RC_IO_ERROR, ATLS_E_DEVICE, "TPM2_Quote: 0xa000a: "},
        {"library", TSS2_ESYS_RC_BAD_SEQUENCE, ATLS_E_DEVICE, "TPM2_Quote: 0x70007: "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_tpm2_device device = {0};
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        assert_int_equal(atls_tpm2_fail(&device, "TPM2_Quote", rows[i].rc, &err), rows[i].want);
        assert_int_equal(err.code, rows[i].want);
        if (strstr(err.message, rows[i].message) == NULL)
            fail_msg("message is \"%s\"", err.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(busy_tpms_are_asked_again),
        cmocka_unit_test(a_tpm_that_stays_busy_is_given_up),
        cmocka_unit_test(codes_become_errors_that_name_the_command),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
