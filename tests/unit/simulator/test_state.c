/* simulator/state.c: orders to a simulated machine. */
#include "simulator/state.h"

#include <errno.h>
#include <string.h>

#include "testlib.h"

static void every_default_is_valid(void **unused)
{
    static const enum atls_sim_tee tees[] = {ATLS_SIM_SNP, ATLS_SIM_TDX, ATLS_SIM_CCA};
    struct atls_err err = ATLS_ERR_INIT;

    (void)unused;
    for (size_t t = 0; t < 3; t++) {
        struct atls_sim_state state, again;
        struct atls_buf text = ATLS_BUF_INIT;

        atls_sim_state_init(&state, tees[t]);
        test_assert_code(atls_sim_state_write(&state, &text, &err), ATLS_OK, &err);
        memset(&again, 0, sizeof again);
        again.tee = tees[t];
        test_assert_code(atls_sim_state_read(&again, atls_buf_bytes(&text), &err), ATLS_OK, &err);
        assert_memory_equal(&again, &state, sizeof state);
        atls_buf_clear(&text);
        assert_int_equal(atls_sim_tee_by_name(atls_sim_tee_name(tees[t])), tees[t]);
    }
    assert_int_equal(atls_sim_tee_by_name("sgx"), 0);
    assert_null(atls_sim_tee_name((enum atls_sim_tee)0));
    assert_string_equal(atls_sim_order_name(ATLS_SIM_ORDER_RIM, ATLS_SIM_CCA), "rim");
    assert_null(atls_sim_order_name(ATLS_SIM_ORDER_RIM, ATLS_SIM_TDX));
}

#define HEX_48                                                                                     \
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292A2B2C2D" \
    "2E2F"

static void orders_are_checked(void **unused)
{
    static const struct {
        const char *says, *order;
        enum atls_sim_tee tee;
        bool good;
    } rows[] = {
        {"a word of a choice", "debug=yes", ATLS_SIM_SNP, true},
        {"the first word of a choice", "debug=no", ATLS_SIM_TDX, true},
        {"the last word of a choice", "revoked=leaf", ATLS_SIM_TDX, true},
        {"a part of a word", "debug=ye", ATLS_SIM_SNP, false},
        {"two words", "debug=no|yes", ATLS_SIM_SNP, false},
        {"an empty word", "debug=", ATLS_SIM_SNP, false},
        {"what the technology lacks", "debug=yes", ATLS_SIM_CCA, false},
        {"an unknown name", "colour=red", ATLS_SIM_SNP, false},
        {"a name cut short", "debu=yes", ATLS_SIM_SNP, false},
        {"no value", "debug", ATLS_SIM_SNP, false},
        {"nothing", "", ATLS_SIM_SNP, false},
        {"a number", "delay=60000", ATLS_SIM_CCA, true},
        {"a hexadecimal number", "lifecycle=0x4000", ATLS_SIM_CCA, true},
        {"a number too large", "delay=60001", ATLS_SIM_CCA, false},
        {"a number with text behind", "delay=10ms", ATLS_SIM_CCA, false},
        {"a negative number", "delay=-1", ATLS_SIM_CCA, false},
        {"a number of more than 64 bits", "delay=99999999999999999999", ATLS_SIM_CCA, false},
        {"48 bytes", "mrtd=" HEX_48, ATLS_SIM_TDX, true},
        {"49 bytes", "mrtd=" HEX_48 "00", ATLS_SIM_TDX, false},
        {"47 and a half", "mrtd=0" HEX_48, ATLS_SIM_TDX, false},
        {"other letters", "host-data=x0", ATLS_SIM_SNP, false},
        {"no fault", "fault=none", ATLS_SIM_SNP, true},
        {"a fault", "fault=EIO", ATLS_SIM_SNP, true},
        {"three faults", "fault=EBUSY:3", ATLS_SIM_SNP, true},
        {"no number of faults", "fault=EBUSY:", ATLS_SIM_SNP, false},
        {"zero faults", "fault=EBUSY:0", ATLS_SIM_SNP, false},
        {"too many faults", "fault=EBUSY:1000001", ATLS_SIM_SNP, false},
        {"a count with text behind", "fault=EBUSY:1x", ATLS_SIM_SNP, false},
        {"an unknown fault", "fault=EWHAT", ATLS_SIM_SNP, false},
        {"a value of any length", "fault=" HEX_48 HEX_48, ATLS_SIM_SNP, false},
    };

    (void)unused;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_sim_state state, before;
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code;

        atls_sim_state_init(&state, rows[i].tee);
        before = state;
        code = atls_sim_state_set(&state, rows[i].order, &err);
        if (code != (rows[i].good ? ATLS_OK : ATLS_E_CONFIG))
            fail_msg("%s: %s", rows[i].says, err.message);
        if (!rows[i].good)
            assert_memory_equal(&state, &before, sizeof state);
    }
}

static void text_is_all_or_nothing(void **unused)
{
    static const char good[] = "# comment\n\ndelay=7\nvmpl-floor=2";
    static const char bad[] = "delay=8\nvmpl-floor=9\n";
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_sim_state state;

    (void)unused;
    atls_sim_state_init(&state, ATLS_SIM_SNP);
    test_assert_code(atls_sim_state_read(&state, atls_bytes_of(good, sizeof good - 1), &err),
                     ATLS_OK, &err);
    assert_int_equal(atls_sim_state_number(&state, ATLS_SIM_ORDER_DELAY), 7);
    assert_int_equal(atls_sim_state_number(&state, ATLS_SIM_ORDER_VMPL_FLOOR), 2);
    test_assert_code(atls_sim_state_read(&state, atls_bytes_of(bad, sizeof bad - 1), &err),
                     ATLS_E_CONFIG, &err);
    assert_int_equal(atls_sim_state_number(&state, ATLS_SIM_ORDER_DELAY), 7);
    test_assert_code(atls_sim_state_read(&state, atls_bytes_of(good, sizeof good), &err),
                     ATLS_E_CONFIG, &err); /* its NUL */
    test_assert_code(atls_sim_state_read(&state, atls_bytes_of(NULL, 0), &err), ATLS_OK, &err);
}

static void values_come_as_they_were_set(void **unused)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_sim_state state;
    uint8_t got[48];

    (void)unused;
    atls_sim_state_init(&state, ATLS_SIM_TDX);
    test_assert_code(atls_sim_state_set(&state, "rtmr2=" HEX_48, &err), ATLS_OK, &err);
    assert_int_equal(atls_sim_state_hex(&state, ATLS_SIM_ORDER_RTMR2, got), 48);
    for (size_t i = 0; i < sizeof got; i++)
        assert_int_equal(got[i], i);
    assert_true(atls_sim_state_is(&state, ATLS_SIM_ORDER_TCB, "current"));
    test_assert_code(atls_sim_state_set(&state, "tcb=old", &err), ATLS_OK, &err);
    assert_false(atls_sim_state_is(&state, ATLS_SIM_ORDER_TCB, "current"));
}

static void faults_and_races_are_counted_down(void **unused)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_sim_state state;

    (void)unused;
    atls_sim_state_init(&state, ATLS_SIM_CCA);
    assert_int_equal(atls_sim_state_take_fault(&state), 0);
    test_assert_code(atls_sim_state_set(&state, "fault=ETIMEDOUT:2", &err), ATLS_OK, &err);
    assert_int_equal(atls_sim_state_take_fault(&state), ETIMEDOUT);
    assert_true(atls_sim_state_is(&state, ATLS_SIM_ORDER_FAULT, "ETIMEDOUT:1"));
    assert_int_equal(atls_sim_state_take_fault(&state), ETIMEDOUT);
    assert_int_equal(atls_sim_state_take_fault(&state), 0);
    assert_true(atls_sim_state_is(&state, ATLS_SIM_ORDER_FAULT, "none"));
    test_assert_code(atls_sim_state_set(&state, "fault=EIO", &err), ATLS_OK, &err);
    assert_int_equal(atls_sim_state_take_fault(&state), EIO);
    assert_int_equal(atls_sim_state_take_fault(&state), 0);
    test_assert_code(atls_sim_state_set(&state, "race=2", &err), ATLS_OK, &err);
    assert_true(atls_sim_state_take_race(&state));
    assert_true(atls_sim_state_take_race(&state));
    assert_false(atls_sim_state_take_race(&state));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_default_is_valid),
        cmocka_unit_test(orders_are_checked),
        cmocka_unit_test(text_is_all_or_nothing),
        cmocka_unit_test(values_come_as_they_were_set),
        cmocka_unit_test(faults_and_races_are_counted_down),
    };

    return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
