#include "testlib.h"

#include "flavour/post/meter.h"

static unsigned int take_all(struct atls_meter *meter, int64_t now_ms)
{
    unsigned int count = 0;

    while (count < 1000 && atls_meter_take(meter, now_ms))
        count++;
    return count;
}

static void gives_a_minutes_worth_at_once_and_no_more(void **state)
{
    struct atls_meter meter = atls_meter_init(12, 1000);

    (void)state;
    assert_int_equal(take_all(&meter, 1000), 12);
    assert_int_equal(take_all(&meter, 1000), 0);
    assert_int_equal(take_all(&meter, 5999), 0);
    assert_int_equal(take_all(&meter, 6000), 1); /* 60 s / 12 */
    assert_int_equal(take_all(&meter, 16000), 2);
    assert_int_equal(take_all(&meter, 76000), 12);
    assert_int_equal(take_all(&meter, INT64_MAX), 12);
}

static void earns_nothing_when_the_clock_goes_back(void **state)
{
    struct atls_meter meter = atls_meter_init(1, 100000);

    (void)state;
    assert_int_equal(take_all(&meter, 100000), 1);
    assert_int_equal(take_all(&meter, 0), 0);
    assert_int_equal(take_all(&meter, 59999), 0);
    assert_int_equal(take_all(&meter, 60000), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_a_minutes_worth_at_once_and_no_more),
        cmocka_unit_test(earns_nothing_when_the_clock_goes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
