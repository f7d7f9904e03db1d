#include "testlib.h"

#include <stdio.h>
#include <string.h>

#include "attester/tsm/config.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define LONG_255                                                                                   \
    "/23456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"   \
    "123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"   \
    "123456789012345678901234567890123456789012345678901234567890123456789012345"

static void defaults(void **state)
{
    struct atls_tsm_config c;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_tsm_config_parse("", &c, &err), ATLS_OK, &err);
    assert_string_equal(c.directory, "/sys/kernel/config/tsm/report");
    assert_false(c.directory_given);
    assert_null(c.device);
    assert_null(c.provider);
    assert_null(c.privlevel);
    assert_null(c.aik);
    assert_null(c.collateral);
    assert_null(c.qgs.path);
    assert_int_equal(c.qgs.cid, 2);
    assert_int_equal(c.qgs.port, 4050);
    assert_int_equal(c.deadline_ms, 30000);
    atls_tsm_config_clear(&c);
    atls_tsm_config_clear(&c);
}

static void everything(void **state)
{
    struct atls_tsm_config c;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_tsm_config_parse("/d?aik=k.pem&privlevel=3&service=svsm&service-guid=g&"
                                           "service-manifest-version=4294967295&collateral=/c&"
                                           "deadline=600&provider=arm_cca_guest&qgs=unix:/q",
                                           &c, &err),
                     ATLS_OK, &err);
    assert_string_equal(c.directory, "/d");
    assert_true(c.directory_given);
    assert_ptr_equal(c.provider, &atls_tsm_cca);
    assert_string_equal(c.provider->technology, "cca");
    assert_string_equal(c.aik, "k.pem");
    assert_string_equal(c.privlevel, "3");
    assert_string_equal(c.service, "svsm");
    assert_string_equal(c.service_guid, "g");
    assert_string_equal(c.service_version, "4294967295");
    assert_string_equal(c.collateral, "/c");
    assert_string_equal(c.qgs.path, "/q");
    assert_int_equal(c.deadline_ms, 600000);
    atls_tsm_config_clear(&c);
}

static void uris(void **state)
{
    static const struct {
        const char *uri, *message; /* NULL: fine */
        const struct atls_tsm_provider *provider;
    } rows[] = {
        {"?device=/dev/sev-guest", NULL, &atls_tsm_snp},
        {"?device=sev", NULL, &atls_tsm_snp},
        {"?device=/dev/tdx-guest", NULL, &atls_tsm_tdx},
        {"?device=/dev/x&provider=sev_guest", NULL, &atls_tsm_snp},
        {"?device=/dev/sev-guest&provider=tdx_guest", NULL, &atls_tsm_tdx},
        {"?device=/dev/x", "want provider", NULL},
        {"?device=/dev/cca&provider=arm_cca_guest", "want provider", NULL},
        {"/d?device=/dev/sev-guest", "one of them", NULL},
        {"?device=/dev/sev-guest&service=svsm", "no service", NULL},
        {"?provider=sev", "provider=sev", NULL},
        {"?provider=", "provider=", NULL},
        {"?provider=sev_guest%0a", "provider=", NULL},
        {"?privlevel=4", "0 to 3", NULL},
        {"?privlevel=", "0 to 3", NULL},
        {"?privlevel=-1", "0 to 3", NULL},
        {"?privlevel=18446744073709551616", "0 to 3", NULL},
        {"?deadline=1", NULL, NULL},
        {"?deadline=0", "1 to 600", NULL},
        {"?deadline=601", "1 to 600", NULL},
        {"?deadline=1s", "1 to 600", NULL},
        {"?qgs=vsock", NULL, NULL},
        {"?qgs=vsock:4294967295:0", NULL, NULL},
        {"?qgs=vsock:4294967296", "qgs=", NULL},
        {"?qgs=vsock:", "qgs=", NULL},
        {"?qgs=vsock:1:", "qgs=", NULL},
        {"?qgs=vsock::1", "qgs=", NULL},
        {"?qgs=vsock:1:2:3", "qgs=", NULL},
        {"?qgs=unix:", "qgs=", NULL},
        {"?qgs=tcp:1", "qgs=", NULL},
        {"?qgs=", "qgs=", NULL},
        {"?service=", "service=", NULL},
        {"?service=a%20b", "service=", NULL},
        {"?service=a%7fb", "service=", NULL},
        {"?service=0123456789012345678901234567890123456789012345678901234567890123", NULL, NULL},
        {"?service=01234567890123456789012345678901234567890123456789012345678901234",
         "service=", NULL},
        {"?service-guid=g", "want a service", NULL},
        {"?service-manifest-version=1", "want a service", NULL},
        {"?service=s&service-guid=", "service-guid=", NULL},
        {"?service=s&service-manifest-version=x", "service-manifest-version=", NULL},
        {"?service=s&service-manifest-version=4294967296", "service-manifest-version=", NULL},
        {"?unknown=1", "unknown option", NULL},
        {"?aik=a&aik=b", "twice", NULL},
        {"?aik", "name=value", NULL},
        {LONG_255, NULL, NULL},
        {LONG_255 "6", "256 bytes", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_tsm_config c = {0};
        const bool fine = rows[i].message == NULL;

        print_message("  %s\n", rows[i].uri);
        test_assert_code(atls_tsm_config_parse(rows[i].uri, &c, &err),
                         fine ? ATLS_OK : ATLS_E_CONFIG, &err);
        if (fine)
            assert_ptr_equal(c.provider, rows[i].provider);
        else
            assert_non_null(strstr(err.message, rows[i].message));
        atls_tsm_config_clear(&c);
    }
}

static void numbers(void **state)
{
    static const struct {
        const char *text;
        uint64_t max, want;
        bool ok;
    } rows[] = {
        {"0", 0, 0, true},
        {"007", 7, 7, true},
        {"1", 0, 0, false},
        {"18446744073709551615", UINT64_MAX, UINT64_MAX, true},
        {"18446744073709551616", UINT64_MAX, 0, false},
        {"000000000000000000001", UINT64_MAX, 0, false},
        {"", UINT64_MAX, 0, false},
        {"+1", UINT64_MAX, 0, false},
        {"1 ", UINT64_MAX, 0, false},
        {":", UINT64_MAX, 0, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t out = 99;

        print_message("  \"%s\"\n", rows[i].text);
        assert_int_equal(atls_tsm_parse_number(atls_bytes_of(rows[i].text, strlen(rows[i].text)),
                                               rows[i].max, &out),
                         rows[i].ok);
        assert_true(out == (rows[i].ok ? rows[i].want : 99));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(everything),
        cmocka_unit_test(uris),
        cmocka_unit_test(numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
