#include <stdio.h>
#include <string.h>

#include "testlib.h"

#include <atls/corim.h>

#include "wire/corim.h"

#define HEAD "\"id\": \"i\", \"tag-id\": \"t\", \"class\": \"cd1f0e55-26f9-460d-b9d8-f7fde171787c\""
#define A64  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A96  A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SVN  "[{\"mkey\": \"firmware\", \"svn\": 3}]"
#define PCR7 "[{\"mkey\": 7, \"digests\": {\"sha256\": \"" A64 "\"}}]"

static enum atls_code create(const char *members, struct atls_buf *out, struct atls_err *err)
{
    char text[2048];

    snprintf(text, sizeof text, "{" HEAD ", %s}", members);
    return atls_corim_create(atls_bytes_of(text, strlen(text)), out, err);
}

/* What endorsed-values of one measurement says. */
static const struct {
    const char *name, *measurement;
    const char *says; /* NULL: taken */
} rows[] = {
    {"svn", "{\"svn\": 0}", NULL},
    {"least svn", "{\"mkey\": 7, \"min-svn\": 3}", NULL},
    {"digests", "{\"digests\": {\"sha256\": \"" A64 "\", \"sha384\": \"" A96 "\"}}", NULL},
    {"every other",
     "{\"version\": \"1\", \"flags\": {\"debug\": false, \"secure\": true}, "
     "\"raw-value\": \"00ff\", \"name\": \"n\"}",
     NULL},
    {"no value", "{\"mkey\": \"a\"}", "$.endorsed-values[0]: no value"},
    {"unknown member", "{\"svn\": 1, \"pcr\": 1}", "$.endorsed-values[0].pcr: unknown member"},
    {"a number", "7", "$.endorsed-values[0]: not an object"},
    {"mkey is true", "{\"mkey\": true, \"svn\": 1}", "$.endorsed-values[0].mkey: not a number"},
    {"mkey below zero", "{\"mkey\": -1, \"svn\": 1}", "$.endorsed-values[0].mkey: not a number"},
    {"mkey is empty", "{\"mkey\": \"\", \"svn\": 1}", "$.endorsed-values[0].mkey: not a text"},
    {"svn below zero", "{\"svn\": -1}", "$.endorsed-values[0].svn: not a number of 0 or more"},
    {"svn is text", "{\"min-svn\": \"1\"}", "$.endorsed-values[0].min-svn: not a number"},
    {"two svns", "{\"svn\": 1, \"min-svn\": 1}", "$.endorsed-values[0]: svn and min-svn"},
    {"version is a number", "{\"version\": 1}", "$.endorsed-values[0].version: not a text"},
    {"name is a number", "{\"name\": 1}", "$.endorsed-values[0].name: not a text"},
    {"no digest", "{\"digests\": {}}", "$.endorsed-values[0].digests: no value"},
    {"digests are a list", "{\"digests\": []}", "$.endorsed-values[0].digests: not an object"},
    {"short digest", "{\"digests\": {\"sha256\": \"aa\"}}", "$.endorsed-values[0].digests.sha256"},
    {"digest of another algorithm", "{\"digests\": {\"md5\": \"aa\"}}",
     "$.endorsed-values[0].digests.md5: unknown member"},
    {"no flag", "{\"flags\": {}}", "$.endorsed-values[0].flags: no value"},
    {"flags are a list", "{\"flags\": []}", "$.endorsed-values[0].flags: not an object"},
    {"unknown flag", "{\"flags\": {\"x\": true}}", "$.endorsed-values[0].flags.x: unknown member"},
    {"flag is a number", "{\"flags\": {\"debug\": 0}}",
     "$.endorsed-values[0].flags.debug: neither true nor false"},
    {"empty raw value", "{\"raw-value\": \"\"}", "$.endorsed-values[0].raw-value: not hex"},
    {"raw value of three digits", "{\"raw-value\": \"00f\"}", "$.endorsed-values[0].raw-value"},
    {"raw value is a number", "{\"raw-value\": 1}", "$.endorsed-values[0].raw-value: not hex"},
};

static void test_measurements(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf out = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;
        char text[1024];
        enum atls_code code;

        snprintf(text, sizeof text, "\"endorsed-values\": [%s]", rows[i].measurement);
        code = create(text, &out, &err);
        if (code != (rows[i].says == NULL ? ATLS_OK : ATLS_E_DECODE) ||
            (rows[i].says != NULL && strstr(err.message, rows[i].says) == NULL))
            fail_msg("%s: code %d: %s", rows[i].name, code, err.message);
        atls_buf_clear(&out);
    }
}

static const struct {
    const char *name, *members;
    const char *says; /* NULL: taken */
} documents[] = {
    {"endorsed values", "\"endorsed-values\": " SVN, NULL},
    {"conditional endorsement",
     "\"conditional-endorsements\": [{\"conditions\": " PCR7 ", \"additions\": " SVN "}]", NULL},
    {"series",
     "\"conditional-series\": [{\"conditions\": " PCR7 ", \"series\": [{\"selection\": " PCR7
     ", \"addition\": " SVN "}]}]",
     NULL},
    {"series without a condition",
     "\"conditional-series\": [{\"series\": [{\"selection\": " PCR7 ", \"addition\": " SVN "}]}]",
     NULL},
    {"no endorsed value", "\"endorsed-values\": []", "$.endorsed-values: not an array"},
    {"endorsed values are an object", "\"endorsed-values\": {}", "$.endorsed-values: not an array"},
    {"no endorsement in the list", "\"conditional-endorsements\": []",
     "neither attest-keys nor reference-values nor endorsements"},
    {"endorsement without conditions", "\"conditional-endorsements\": [{\"additions\": " SVN "}]",
     "$.conditional-endorsements[0].conditions: not an array"},
    {"endorsement without additions", "\"conditional-endorsements\": [{\"conditions\": " SVN "}]",
     "$.conditional-endorsements[0].additions: not an array"},
    {"endorsement with another member",
     "\"conditional-endorsements\": [{\"conditions\": " SVN ", \"x\": 1}]",
     "$.conditional-endorsements[0].x: unknown member"},
    {"series with another member", "\"conditional-series\": [{\"x\": 1}]",
     "$.conditional-series[0].x: unknown member"},
    {"series of nothing", "\"conditional-series\": [{}]", "$.conditional-series[0]: no series"},
    {"series with an empty condition",
     "\"conditional-series\": [{\"conditions\": [], \"series\": [{\"selection\": " PCR7
     ", \"addition\": " SVN "}]}]",
     "$.conditional-series[0].conditions: not an array"},
    {"entry without a selection",
     "\"conditional-series\": [{\"series\": [{\"addition\": " SVN "}]}]",
     "$.conditional-series[0].series[0].selection: not an array"},
    {"entry without an addition",
     "\"conditional-series\": [{\"series\": [{\"selection\": " SVN "}]}]",
     "$.conditional-series[0].series[0].addition: not an array"},
    {"entry with another member", "\"conditional-series\": [{\"series\": [{\"x\": 1}]}]",
     "$.conditional-series[0].series[0].x: unknown member"},
};

static void test_documents(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++) {
        struct atls_buf out = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code = create(documents[i].members, &out, &err);

        if (code != (documents[i].says == NULL ? ATLS_OK : ATLS_E_DECODE) ||
            (documents[i].says != NULL && strstr(err.message, documents[i].says) == NULL))
            fail_msg("%s: code %d: %s", documents[i].name, code, err.message);
        atls_buf_clear(&out);
    }
}

/* What was written is what is read. */
static void test_round_trip(void **state)
{
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    const struct atls_comid *m;
    const struct atls_mval *v;
    struct atls_corim c;

    (void)state;
    test_assert_code(
        create("\"endorsed-values\": [{\"mkey\": \"fw\", \"version\": \"1\", \"min-svn\": 3, "
               "\"flags\": {\"debug\": false, \"secure\": true}, \"raw-value\": \"00ff\", "
               "\"name\": \"n\", \"digests\": {\"sha384\": \"" A96 "\"}}], "
               "\"conditional-endorsements\": [{\"conditions\": " PCR7 ", \"additions\": " SVN
               "}, {\"conditions\": " SVN ", \"additions\": " SVN "}], "
               "\"conditional-series\": [{\"conditions\": " PCR7
               ", \"series\": [{\"selection\": " SVN ", \"addition\": " PCR7
               "}, {\"selection\": " PCR7 ", \"addition\": " SVN "}]}]",
               &out, &err),
        ATLS_OK, &err);
    test_assert_code(atls_corim_decode(atls_buf_bytes(&out), &c, &err), ATLS_OK, &err);
    m = c.tags[0].comid;
    assert_int_equal(m->endorsed_count, 1);
    test_assert_bytes(m->endorsed[0].ect.measurements[0].mkey.bytes, atls_bytes_of("fw", 2));
    v = &m->endorsed[0].ect.measurements[0].mval;
    assert_int_equal(v->present, ATLS_MVAL_VERSION | ATLS_MVAL_MIN_SVN | ATLS_MVAL_DIGESTS |
                                     ATLS_MVAL_FLAGS | ATLS_MVAL_RAW | ATLS_MVAL_NAME);
    assert_int_equal(v->svn, 3);
    assert_int_equal(v->flags_known, 1 << 1 | 1 << 3);
    assert_int_equal(v->flags, 1 << 1);
    test_assert_bytes(v->raw, atls_bytes_of("\x00\xff", 2));
    assert_int_equal(v->digests[0].hash, ATLS_HASH_SHA384);
    assert_int_equal(m->conditional_count, 2);
    assert_int_equal(m->conditionals[0].conditions[0].measurements[0].mkey.number, 7);
    assert_int_equal(m->conditionals[1].additions[0].measurements[0].mval.svn, 3);
    assert_int_equal(m->series_count, 1);
    assert_int_equal(m->series[0].condition.count, 1);
    assert_int_equal(m->series[0].entry_count, 2);
    assert_int_equal(m->series[0].entries[1].selection[0].mkey.number, 7);
    atls_corim_clear(&c);
    atls_buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_measurements),
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_round_trip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
