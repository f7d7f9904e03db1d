#include "testlib.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attester/tpm2/config.h"

static void defaults_cover_the_boot_pcrs(void **state)
{
    static struct atls_tpm2_config config;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_tpm2_config_read("", &config, &err), ATLS_OK, &err);
    assert_null(config.tcti);
    assert_false(config.simulator);
    assert_false(config.release);
    assert_int_equal(config.ak, 0);
    assert_int_equal(config.aik, 0);
    assert_null(config.event_log);
    assert_null(config.ima_log);
    assert_null(config.hcl_report);
    assert_null(config.tdx_quote);
    assert_null(config.collateral);
    assert_int_equal(config.hierarchy_auth.size, 0);
    assert_int_equal(config.pcrs.count, 1);
    assert_int_equal(config.pcrs.pcrSelections[0].hash, TPM2_ALG_SHA256);
    assert_int_equal(config.pcrs.pcrSelections[0].sizeofSelect, 3);
    assert_memory_equal(config.pcrs.pcrSelections[0].pcrSelect, "\xff\0\0", 3);
    atls_tpm2_config_clear(&config);
}

static void every_option_arrives(void **state)
{
    static struct atls_tpm2_config config;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(
        atls_tpm2_config_read("device:/dev/tpmrm0?ak=0x81000000&aik=0x81ffffff&event-log"
                              "=/a&ima-log=none&connection=release&hierarchy-auth=file:"
                              "/dev/null",
                              &config, &err),
        ATLS_OK, &err);
    assert_string_equal(config.tcti, "device:/dev/tpmrm0");
    assert_int_equal(config.ak, 0x81000000);
    assert_int_equal(config.aik, 0x81ffffff);
    assert_string_equal(config.event_log, "/a");
    assert_null(config.ima_log);
    assert_true(config.release);
    assert_int_equal(config.hierarchy_auth.size, 0);
    atls_tpm2_config_clear(&config);
    test_assert_code(
        atls_tpm2_config_read("?hcl-report=nv&tdx-quote=/q&collateral=/c", &config, &err), ATLS_OK,
        &err);
    assert_string_equal(config.hcl_report, "");
    assert_string_equal(config.tdx_quote, "/q");
    assert_string_equal(config.collateral, "/c");
    atls_tpm2_config_clear(&config);
    test_assert_code(
        atls_tpm2_config_read("?hcl-report=/r&tdx-quote=none&collateral=none", &config, &err),
        ATLS_OK, &err);
    assert_string_equal(config.hcl_report, "/r");
    assert_null(config.tdx_quote);
    assert_null(config.collateral);
    atls_tpm2_config_clear(&config);
    test_assert_code(atls_tpm2_config_read("?connection=keep", &config, &err), ATLS_OK, &err);
    assert_false(config.release);
    atls_tpm2_config_clear(&config);
}

static void simulators_are_told_by_their_tcti(void **state)
{
    static const struct {
        const char *tcti;
        bool simulator;
    } rows[] = {
        {"swtpm", true},
        {"swtpm:path=/x", true},
        {"mssim:host=127.0.0.1,port=1", true},
        {"libtpms:/x", true},
        {"device:/dev/tpm0", false},
        {"tabrmd:", false},
        {"swtpmx:path", false},
        {"sw", false},
    };
    static struct atls_tpm2_config config;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        print_message("  %s\n", rows[i].tcti);
        test_assert_code(atls_tpm2_config_read(rows[i].tcti, &config, &err), ATLS_OK, &err);
        assert_int_equal(config.simulator, rows[i].simulator);
        atls_tpm2_config_clear(&config);
    }
}

static void selections_are_read(void **state)
{
    static const struct {
        const char *name, *text;
        size_t count;
        struct {
            TPM2_ALG_ID hash;
            const char *bitmap;
        } banks[4];
    } rows[] = {
        {"one PCR", "sha256:23", 1, {{TPM2_ALG_SHA256, "\0\0\x80"}}},
        {"order and repetition do not matter", "sha256:7,0,7", 1, {{TPM2_ALG_SHA256, "\x81\0\0"}}},
        {"ranges", "sha384:0-3,8-9,10-10", 1, {{TPM2_ALG_SHA384, "\x0f\x07\0"}}},
        {"all", "sha1:0-23", 1, {{TPM2_ALG_SHA1, "\xff\xff\xff"}}},
        {"every bank, in ascending order of their numbers",
         "sha512:3+sha1:0+sha384:2+sha256:1",
         4,
         {{TPM2_ALG_SHA1, "\x01\0\0"},
          {TPM2_ALG_SHA256, "\x02\0\0"},
          {TPM2_ALG_SHA384, "\x04\0\0"},
          {TPM2_ALG_SHA512, "\x08\0\0"}}},
    };
    static struct atls_tpm2_config config;
    struct atls_err err = ATLS_ERR_INIT;
    char rest[256];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        print_message("  %s\n", rows[i].name);
        snprintf(rest, sizeof rest, "?pcrs=%s", rows[i].text);
        test_assert_code(atls_tpm2_config_read(rest, &config, &err), ATLS_OK, &err);
        assert_int_equal(config.pcrs.count, rows[i].count);
        for (size_t b = 0; b < rows[i].count; b++) {
            assert_int_equal(config.pcrs.pcrSelections[b].hash, rows[i].banks[b].hash);
            assert_memory_equal(config.pcrs.pcrSelections[b].pcrSelect, rows[i].banks[b].bitmap, 3);
        }
        atls_tpm2_config_clear(&config);
    }
}

static void bad_options_are_refused(void **state)
{
    static const struct {
        const char *name, *rest, *message;
        enum atls_code want;
    } rows[] = {
        {"unknown", "?x=1", "unknown option \"x\"", ATLS_E_CONFIG},
        {"not name=value", "?x", "not name=value", ATLS_E_CONFIG},
        {"handle below the persistent ones", "?ak=0x80ffffff", "no persistent handle",
         ATLS_E_CONFIG},
        {"handle above them", "?ak=0x82000000", "no persistent handle", ATLS_E_CONFIG},
        {"handle with a tail", "?aik=0x81000000x", "no persistent handle", ATLS_E_CONFIG},
        {"empty handle", "?aik=", "no persistent handle", ATLS_E_CONFIG},
        {"handle with a sign", "?aik=-0x7effffff", "no persistent handle", ATLS_E_CONFIG},
        {"one handle for both keys", "?ak=0x81000001&aik=0x81000001", "name the same handle",
         ATLS_E_CONFIG},
        {"no bank", "?pcrs=0,1", "is not BANK:", ATLS_E_CONFIG},
        {"unknown bank", "?pcrs=md5:0", "is not BANK:", ATLS_E_CONFIG},
        {"bank without colon", "?pcrs=sha256", "is not BANK:", ATLS_E_CONFIG},
        {"no PCR", "?pcrs=sha256:", "is not BANK:", ATLS_E_CONFIG},
        {"nothing", "?pcrs=", "is not BANK:", ATLS_E_CONFIG},
        {"PCR 24", "?pcrs=sha256:24", "is not BANK:", ATLS_E_CONFIG},
        {"many digits", "?pcrs=sha256:0000", "is not BANK:", ATLS_E_CONFIG},
        {"comma at the end", "?pcrs=sha256:1,", "is not BANK:", ATLS_E_CONFIG},
        {"plus at the end", "?pcrs=sha256:1+", "is not BANK:", ATLS_E_CONFIG},
        {"range downwards", "?pcrs=sha256:3-2", "is not BANK:", ATLS_E_CONFIG},
        {"open range", "?pcrs=sha256:3-", "is not BANK:", ATLS_E_CONFIG},
        {"range past the end", "?pcrs=sha256:3-24", "is not BANK:", ATLS_E_CONFIG},
        {"other separator", "?pcrs=sha256:3;4", "is not BANK:", ATLS_E_CONFIG},
        {"bank twice", "?pcrs=sha256:3+sha256:4", "names bank sha256 twice", ATLS_E_CONFIG},
        {"fifth bank", "?pcrs=sha1:0+sha256:0+sha384:0+sha512:0+sha1:1",
         "is not BANK:", ATLS_E_CONFIG},
        {"connection neither kept nor released", "?connection=x", "want keep or release",
         ATLS_E_CONFIG},
        {"report without a name", "?hcl-report=", "hcl-report is empty", ATLS_E_CONFIG},
        {"quote without a report", "?tdx-quote=/q", "tdx-quote goes with hcl-report",
         ATLS_E_CONFIG},
        {"collateral without a report", "?hcl-report=none&collateral=/c",
         "collateral goes with hcl-report", ATLS_E_CONFIG},
        {"authorisation in the clear", "?hierarchy-auth=secret", "is not file:PATH", ATLS_E_CONFIG},
        {"no such file", "?hierarchy-auth=file:/nonexistent", "cannot open", ATLS_E_IO},
        {"endless file", "?hierarchy-auth=file:/dev/zero", "larger than", ATLS_E_LIMIT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static struct atls_tpm2_config config;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        test_assert_code(atls_tpm2_config_read(rows[i].rest, &config, &err), rows[i].want, &err);
        if (strstr(err.message, rows[i].message) == NULL)
            fail_msg("message is \"%s\"", err.message);
        assert_null(strstr(err.message, "secret"));
    }
}

static void authorisation_is_read_without_its_newline(void **state)
{
    static const struct {
        const char *name;
        size_t len;   /* letters in the file */
        bool newline; /* and a newline behind */
        enum atls_code want;
    } rows[] = {
        {"without newline", 5, false, ATLS_OK},       {"with newline", 5, true, ATLS_OK},
        {"newline alone", 0, true, ATLS_OK},          {"largest", 64, true, ATLS_OK},
        {"one letter more", 65, false, ATLS_E_LIMIT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static struct atls_tpm2_config config;
        struct atls_err err = ATLS_ERR_INIT;
        char path[] = "/tmp/atls-auth-XXXXXX", rest[128];
        FILE *f = fdopen(mkstemp(path), "w");

        print_message("  %s\n", rows[i].name);
        for (size_t n = 0; n < rows[i].len; n++)
            fputc('a', f);
        if (rows[i].newline)
            fputc('\n', f);
        fclose(f);
        snprintf(rest, sizeof rest, "?hierarchy-auth=file:%s", path);
        test_assert_code(atls_tpm2_config_read(rest, &config, &err), rows[i].want, &err);
        unlink(path);
        if (rows[i].want != ATLS_OK)
            continue;
        assert_int_equal(config.hierarchy_auth.size, rows[i].len);
        for (size_t n = 0; n < rows[i].len; n++)
            assert_int_equal(config.hierarchy_auth.buffer[n], 'a');
        atls_tpm2_config_clear(&config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_cover_the_boot_pcrs),
        cmocka_unit_test(every_option_arrives),
        cmocka_unit_test(simulators_are_told_by_their_tcti),
        cmocka_unit_test(selections_are_read),
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(authorisation_is_read_without_its_newline),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
