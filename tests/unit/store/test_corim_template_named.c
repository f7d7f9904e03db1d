/* Templates of confidential computing: values by name, classes by form, and templates from
 * evidence. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include <atls/corim.h>

#include "core/reader.h"
#include "core/writer.h"
#include "store/corim_template_named.h"
#include "wire/cmw.h"
#include "wire/corim.h"
#include "wire/corim_profile.h"
#include "wire/snp.h"
#include "wire/tsm.h"

#define HEAD(profile) "\"id\": \"i\", \"tag-id\": \"t\", \"profile\": \"" profile "\""
#define A64           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A96           A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B96                                                                                        \
    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" \
    "bbbb"
#define A128           A64 A64
#define CLASS          "cd1f0e55-26f9-460d-b9d8-f7fde171787c"
#define IMPLEMENTATION "1122334455667788112233445566778811223344556677881122334455667788"
#define COMPONENT                                                                                  \
    "{\"name\": \"BL\", \"version\": \"1\", \"signer-id\": \"" A64 "\", \"digest\": \"" A96 "\"}"

static enum atls_code create(const char *json, struct atls_buf *out, struct atls_err *err)
{
    return atls_corim_create(atls_bytes_of(json, strlen(json)), out, err);
}

/* A manifest as decoded; both are the caller's to clear. */
static void make(const char *json, struct atls_buf *manifest, struct atls_corim *out)
{
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(create(json, manifest, &err), ATLS_OK, &err);
    test_assert_code(atls_corim_decode(atls_buf_bytes(manifest), out, &err), ATLS_OK, &err);
}

static const struct atls_comid *comid_of(const struct atls_corim *corim)
{
    assert_int_equal(corim->tag_count, 1);
    assert_non_null(corim->tags[0].comid);
    return corim->tags[0].comid;
}

/* ---- what is written ---- */

static void every_field_of_a_report(void **state)
{
    static const char json[] = "{" HEAD(
        "snp") ", \"reference-values\": {"
               "\"measurement\": \"" A96 "\", \"guest-svn\": 3, \"policy\": \"0000000000030000\","
               "\"family-id\": \"000102030405060708090a0b0c0d0e0f\","
               "\"image-id\": \"000102030405060708090a0b0c0d0e0f\", \"vmpl\": 4294967295,"
               "\"current-tcb\": \"04010000000018db\", \"platform-info\": \"0000000000000005\","
               "\"host-data\": \"" A64 "\", \"id-key-digest\": \"" A96 "\","
               "\"author-key-digest\": \"" A96 "\", \"reported-tcb\": \"04010000000018db\","
               "\"committed-tcb\": \"04010000000018db\", \"launch-tcb\": \"04010000000018db\"}}";
    static const struct {
        uint64_t mkey;
        unsigned int present;
    } want[] = {
        {641, ATLS_MVAL_DIGESTS},  {1, ATLS_MVAL_MIN_SVN},    {2, ATLS_MVAL_RAW},
        {3, ATLS_MVAL_RAW},        {4, ATLS_MVAL_RAW},        {5, ATLS_MVAL_RAW},
        {6, ATLS_MVAL_MIN_SVN},    {7, ATLS_MVAL_RAW},        {642, ATLS_MVAL_RAW},
        {643, ATLS_MVAL_DIGESTS},  {644, ATLS_MVAL_DIGESTS},  {647, ATLS_MVAL_MIN_SVN},
        {3329, ATLS_MVAL_MIN_SVN}, {3968, ATLS_MVAL_MIN_SVN},
    };
    struct atls_buf manifest = ATLS_BUF_INIT;
    const struct atls_measurement *m;
    struct atls_corim corim;

    (void)state;
    make(json, &manifest, &corim);
    assert_true(atls_bytes_equal_text(corim.profile_uri, "tag:amd.com,2024:snp-corim-profile"));
    assert_int_equal(comid_of(&corim)->reference_count, 1);
    m = comid_of(&corim)->references[0].measurements;
    assert_int_equal(comid_of(&corim)->references[0].count, sizeof want / sizeof want[0]);
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        assert_int_equal(m[i].mkey.kind, ATLS_MKEY_UINT);
        assert_int_equal(m[i].mkey.number, want[i].mkey);
        assert_int_equal(m[i].mval.present, want[i].present);
    }
    assert_int_equal(m[0].mval.digests[0].named_information, 7);
    assert_int_equal(m[1].mval.svn, 3);
    test_assert_bytes(m[5].mval.raw, atls_bytes_of("\xff\xff\xff\xff", 4));
    assert_int_equal(m[6].mval.svn, UINT64_C(0xdb18000000000104));
    atls_corim_clear(&corim);
    atls_buf_clear(&manifest);
}

static void values_that_hold_together_and_alternatives(void **state)
{
    static const char json[] =
        "{" HEAD("tdx") ", \"reference-values\": {\"rtmr0\": \"" A96 "\","
                        "\"mrtd\": [\"" A96 "\", \"" B96 "\"], \"rtmr1\": \"" A96 "\"}}";
    struct atls_buf manifest = ATLS_BUF_INIT;
    const struct atls_comid *comid;
    struct atls_corim corim;

    (void)state;
    make(json, &manifest, &corim);
    assert_null(corim.profile_uri.ptr);
    comid = comid_of(&corim);
    assert_int_equal(comid->reference_count, 3);
    assert_int_equal(comid->references[0].count, 1);
    assert_int_equal(comid->references[1].count, 1);
    assert_int_equal(comid->references[2].count, 2);
    assert_true(atls_bytes_equal_text(comid->references[2].measurements[1].mkey.bytes, "rtmr1"));
    atls_corim_clear(&corim);
    atls_buf_clear(&manifest);
}

static void software_components(void **state)
{
    static const char *const rows[] = {
        "{" HEAD("psa") ", \"class\": \"" IMPLEMENTATION "\", \"reference-values\": {"
                        "\"software-components\": [" COMPONENT ", {\"signer-id\": \"" A96
                        "\", \"digest\": \"" A128 "\"}]}}",
        "{" HEAD("cca-platform") ", \"class\": \"" IMPLEMENTATION "\", \"reference-values\": {"
                                 "\"software-components\": [" COMPONENT ", {\"signer-id\": \"" A96
                                 "\", \"digest\": \"" A128 "\"}], \"config\": \"01020304\"}}",
    };
    static const char *const uris[] = {"tag:arm.com,2025:psa#1.0.0",
                                       "tag:arm.com,2025:cca_platform#1.0.0"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct atls_buf manifest = ATLS_BUF_INIT;
        const struct atls_measurement *m;
        struct atls_corim corim;

        make(rows[i], &manifest, &corim);
        assert_true(atls_bytes_equal_text(corim.profile_uri, uris[i]));
        assert_int_equal(comid_of(&corim)->reference_count, 1);
        assert_int_equal(comid_of(&corim)->references[0].count, 2 + i);
        m = comid_of(&corim)->references[0].measurements;
        assert_true(atls_bytes_equal_text(m[0].mval.name, "BL"));
        assert_true(atls_bytes_equal_text(m[0].mval.version, "1"));
        assert_int_equal(m[0].mval.keys[0].tag, ATLS_TAG_BYTES);
        assert_int_equal(m[0].mval.keys[0].content.len, 32);
        assert_int_equal(m[0].mval.digests[0].named_information, 7);
        assert_int_equal(m[1].mval.present, ATLS_MVAL_DIGESTS | ATLS_MVAL_KEYS);
        assert_int_equal(m[1].mval.digests[0].named_information, 8);
        atls_corim_clear(&corim);
        atls_buf_clear(&manifest);
    }
}

/* A realm's measurement is its class, said or not. */
static void realms(void **state)
{
    static const char *const rows[] = {
        "{" HEAD("cca-realm") ", \"class\": \"" A64 "\", \"reference-values\": {}}",
        "{" HEAD("cca-realm") ", \"class\": \"" A64 "\", \"reference-values\": {\"rim\": \"" A64
                              "\", \"rem0\": \"" A64 "\", \"rem3\": \"" A64 "\", \"rpv\": \"" A128
                              "\"}}",
        "{" HEAD("cca-realm") ", \"class\": \"" A128 "\", \"reference-values\": {\"rem1\": \"" A128
                              "\"}}",
    };
    static const size_t counts[] = {1, 4, 2};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct atls_buf manifest = ATLS_BUF_INIT;
        struct atls_corim corim;

        make(rows[i], &manifest, &corim);
        assert_int_equal(comid_of(&corim)->reference_count, 1);
        assert_int_equal(comid_of(&corim)->references[0].count, counts[i]);
        atls_corim_clear(&corim);
        atls_buf_clear(&manifest);
    }
}

static void classes(void **state)
{
    static const struct {
        const char *profile, *text; /* NULL: not given */
        bool ok;
        const char *begins; /* hexadecimal */
    } rows[] = {
        {"snp", NULL, true, "d86f492b060104019c780301"},
        {"snp", "vcek", true, "d86f492b060104019c780301"},
        {"snp", "vlek", true, "d86f492b060104019c780302"},
        {"snp", CLASS, true, "d82550cd1f0e5526f9460db9d8f7fde171787c"},
        {"snp", "asp", false, NULL},
        {"tdx", NULL, true, "d82550a2b07d9454f24ab49bdf856e7d832ab8"},
        {"tdx", CLASS, true, "d82550cd1f0e5526f9460db9d8f7fde171787c"},
        {"tdx", "x", false, NULL},
        {"tpm", NULL, false, NULL},
        {"tpm", CLASS, true, "d82550cd1f0e5526f9460db9d8f7fde171787c"},
        {"psa", NULL, false, NULL},
        {"psa", CLASS, false, NULL},
        {"psa", A96, false, NULL},
        {"psa", IMPLEMENTATION, true, "d902305820" IMPLEMENTATION},
        {"cca-platform", IMPLEMENTATION "00", false, NULL},
        {"cca-realm", A96, true, "d902305830" A96},
        {"cca-realm", A128, true, "d902305840" A128},
        {"cca-realm", A128 "aa", false, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct store_template_profile *p = store_template_profile_by_name(rows[i].profile);
        uint8_t item[STORE_CLASS_ITEM_MAX];
        char hex[2 * STORE_CLASS_ITEM_MAX + 1];
        size_t len = 0;

        assert_non_null(p);
        assert_true(store_template_class(p, rows[i].text, item, &len) == rows[i].ok);
        if (!rows[i].ok)
            continue;
        for (size_t k = 0; k < len; k++)
            snprintf(hex + 2 * k, 3, "%02x", item[k]);
        assert_string_equal(hex, rows[i].begins);
    }
    assert_null(store_template_profile_by_name("sgx"));
}

/* One of the deployment's own: AMD's profile does not know it. */
static void a_class_of_ones_own(void **state)
{
    struct atls_buf manifest = ATLS_BUF_INIT;
    struct atls_corim corim;

    (void)state;
    make("{" HEAD("snp") ", \"class\": \"" CLASS
                         "\", \"reference-values\": {\"measurement\": \"" A96 "\"}}",
         &manifest, &corim);
    assert_null(corim.profile_uri.ptr);
    atls_corim_clear(&corim);
    atls_buf_clear(&manifest);
}

/* ---- what is refused ---- */

#define SNP(rest) "{" HEAD("snp") ", \"reference-values\": " rest "}"
#define PSA(rest)                                                                                  \
    "{" HEAD("psa") ", \"class\": \"" IMPLEMENTATION                                               \
                    "\", \"reference-values\": {\"software-components\": " rest "}}"

static void templates_that_are_refused(void **state)
{
    static const struct {
        const char *what, *json, *says;
    } rows[] = {
        {"values are a list", SNP("[]"), "$.reference-values: not an object"},
        {"a name that is not known", SNP("{\"mrtd\": \"" A96 "\"}"), "a member that is not known"},
        {"a number of AMD", SNP("{\"641\": \"" A96 "\"}"), "a member that is not known"},
        {"a digest that is too short", SNP("{\"measurement\": \"" A64 "\"}"), "48 bytes"},
        {"a digest that is not hexadecimal", SNP("{\"measurement\": \"x\"}"), "not hexadecimal"},
        {"a digest that is a number", SNP("{\"measurement\": 5}"), "not hexadecimal"},
        {"nothing", SNP("{\"measurement\": \"\"}"), "not hexadecimal"},
        {"a raw value of another length", SNP("{\"host-data\": \"aa\"}"), "as long as the field"},
        {"a number that is text", SNP("{\"guest-svn\": \"1\"}"), "not a number"},
        {"a number below 0", SNP("{\"vmpl\": -1}"), "not a number"},
        {"a number that is too large", SNP("{\"vmpl\": 4294967296}"), "larger than the field"},
        {"a TCB of 7 bytes", SNP("{\"reported-tcb\": \"04010000000018\"}"), "not 8 bytes"},
        {"no alternative", SNP("{\"measurement\": []}"), "no value"},
        {"an alternative that is none", SNP("{\"measurement\": [\"" A96 "\", \"aa\"]}"),
         "measurement[1]"},
        {"a class that is none", "{" HEAD("snp") ", \"class\": \"x\"}", "$.class: neither"},
        {"an implementation id that is none", "{" HEAD("psa") ", \"class\": \"" CLASS "\"}",
         "$.class: not an implementation id"},
        {"a realm that is none", "{" HEAD("cca-realm") ", \"class\": \"aa\"}",
         "$.class: not a realm's"},
        {"no implementation id", "{" HEAD("psa") "}", "$.class: missing"},
        {"components that are none", PSA("\"x\""), "not an array"},
        {"no component", PSA("[]"), "not an array"},
        {"a component with more", PSA("[{\"x\": 1}]"), "unknown member"},
        {"a component without digest", PSA("[{\"signer-id\": \"" A64 "\"}]"), "digest"},
        {"a component with a short digest",
         PSA("[{\"signer-id\": \"" A64 "\", \"digest\": \"aa\"}]"), "not a digest"},
        {"a component without signer", PSA("[{\"digest\": \"" A64 "\"}]"), "signer-id"},
        {"a component with a short signer",
         PSA("[{\"digest\": \"" A64 "\", \"signer-id\": \"aa\"}]"), "not 32, 48 or 64"},
        {"a component whose name is a number",
         PSA("[{\"digest\": \"" A64 "\", \"signer-id\": \"" A64 "\", \"name\": 1}]"), "name"},
        {"alternatives of a realm",
         "{" HEAD("cca-realm") ", \"class\": \"" A64 "\", \"reference-values\": {\"rem0\": [\"" A64
                               "\"]}}",
         "one value"},
        {"another realm than its class",
         "{" HEAD("cca-realm") ", \"class\": \"" A64 "\", \"reference-values\": {\"rim\": \"" A96
                               "\"}}",
         "cca.rim is not the class-id"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf out = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].what);
        test_assert_code(create(rows[i].json, &out, &err), ATLS_E_DECODE, &err);
        if (strstr(err.message, rows[i].says) == NULL)
            fail_msg("%s", err.message);
        assert_null(out.ptr);
    }
}

/* ---- from evidence ---- */

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

static struct atls_buf snp_evidence(void)
{
    struct atls_buf report = test_vector("sev-snp/aws-vlek/report.bin");
    struct atls_buf out = tsm_of("sev_guest", atls_bytes_of(report.ptr, ATLS_SNP_REPORT_LEN));

    atls_buf_clear(&report);
    return out;
}

static struct atls_buf tdx_evidence(void)
{
    struct atls_buf quote = test_vector("tdx/v4-uptodate/quote.bin");
    struct atls_buf out = tsm_of("tdx_guest", atls_buf_bytes(&quote));

    atls_buf_clear(&quote);
    return out;
}

static struct atls_buf cca_evidence(void)
{
    struct atls_buf token = test_vector("cca/tf-rmm/token.cbor");
    struct atls_buf out =
        record_of("application/eat-collection; profile=\"http://arm.com/CCA-SSD/1.0.0\"",
                  atls_buf_bytes(&token));

    atls_buf_clear(&token);
    return out;
}

static struct atls_buf psa_evidence(void)
{
    struct atls_buf token = test_vector("psa/rfc9783-sign1/token.cbor");
    struct atls_buf out =
        record_of("application/eat+cwt; eat_profile=\"tag:psacertified.org,2023:psa#tfm\"",
                  atls_buf_bytes(&token));

    atls_buf_clear(&token);
    return out;
}

/* Whatever evidence says becomes a manifest that is taken. */
static void evidence_becomes_a_manifest(void **state)
{
    static const char *const all_snp[] = {"measurement",   "guest-svn",         "policy",
                                          "family-id",     "image-id",          "vmpl",
                                          "current-tcb",   "platform-info",     "host-data",
                                          "id-key-digest", "author-key-digest", "reported-tcb",
                                          "committed-tcb", "launch-tcb",        NULL};
    static const char *const all_tdx[] = {"mrtd",          "rtmr0",  "rtmr1",      "rtmr2",
                                          "rtmr3",         "mrseam", "mrconfigid", "mrowner",
                                          "mrownerconfig", NULL};
    static const char *const all_realm[] = {"rim", "rem0", "rem1", "rem2", "rem3", "rpv", NULL};
    static const struct {
        struct atls_buf (*evidence)(void);
        const char *profile;
        const char *const *only;
        size_t count;
        const char *contains;
    } rows[] = {
        {snp_evidence, NULL, NULL, 1, "\"class\": \"vlek\""},
        {snp_evidence, "snp", all_snp, 14, "\"host-data\""},
        {tdx_evidence, NULL, NULL, 5, "\"rtmr3\""},
        {tdx_evidence, "tdx", all_tdx, 9, "\"mrowner\""},
        {cca_evidence, "cca-platform", NULL, 0, "\"software-components\""},
        {cca_evidence, "cca-realm", NULL, 1, "\"rim\""},
        {cca_evidence, "cca-realm", all_realm, 6, "\"rpv\""},
        {psa_evidence, NULL, NULL, 0, "\"signer-id\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct atls_corim_evidence_options options = {
            .id = "i", .profile = rows[i].profile, .only = rows[i].only};
        struct atls_buf evidence = rows[i].evidence(), template = ATLS_BUF_INIT,
                        manifest = ATLS_BUF_INIT;
        struct atls_corim corim;
        struct atls_err err = ATLS_ERR_INIT;
        size_t count;

        print_message("  %zu\n", i);
        test_assert_code(
            atls_corim_template_of_evidence(atls_buf_bytes(&evidence), &options, &template, &err),
            ATLS_OK, &err);
        if (strstr((const char *)template.ptr, rows[i].contains) == NULL)
            fail_msg("%s", (const char *)template.ptr);
        make((const char *)template.ptr, &manifest, &corim);
        assert_int_equal(comid_of(&corim)->reference_count, 1);
        count = comid_of(&corim)->references[0].count;
        assert_true(rows[i].count == 0 ? count >= 1 : count == rows[i].count);
        atls_corim_clear(&corim);
        atls_buf_clear(&manifest);
        atls_buf_clear(&template);
        atls_buf_clear(&evidence);
    }
}

static void evidence_that_is_refused(void **state)
{
    static const char *const unknown[] = {"mrtd", NULL};
    static const struct {
        const char *what;
        struct atls_buf (*evidence)(void);
        const char *id, *profile;
        const char *const *only;
        enum atls_code want;
    } rows[] = {
        {"no id", snp_evidence, NULL, NULL, NULL, ATLS_E_USAGE},
        {"an empty id", snp_evidence, "", NULL, NULL, ATLS_E_USAGE},
        {"another profile", snp_evidence, "i", "tdx", NULL, ATLS_E_CONFIG},
        {"a profile that there is not", tdx_evidence, "i", "x", NULL, ATLS_E_CONFIG},
        {"a value that there is not", snp_evidence, "i", NULL, unknown, ATLS_E_CONFIG},
        {"which half", cca_evidence, "i", NULL, NULL, ATLS_E_CONFIG},
        {"neither half", cca_evidence, "i", "psa", NULL, ATLS_E_CONFIG},
        {"a realm of a device", psa_evidence, "i", "cca-realm", NULL, ATLS_E_CONFIG},
    };
    struct atls_buf other = record_of("text/plain", atls_bytes_of("x", 1)), out = ATLS_BUF_INIT;
    struct atls_buf broken = tsm_of("sev_guest", atls_bytes_of("x", 1));
    const struct atls_corim_evidence_options plain = {.id = "i"};
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct atls_corim_evidence_options options = {
            .id = rows[i].id, .profile = rows[i].profile, .only = rows[i].only};
        struct atls_buf evidence = rows[i].evidence();

        print_message("  %s\n", rows[i].what);
        test_assert_code(
            atls_corim_template_of_evidence(atls_buf_bytes(&evidence), &options, &out, &err),
            rows[i].want, &err);
        atls_buf_clear(&evidence);
    }
    test_assert_code(atls_corim_template_of_evidence(atls_buf_bytes(&other), &plain, &out, &err),
                     ATLS_E_UNSUPPORTED, &err);
    test_assert_code(atls_corim_template_of_evidence(atls_buf_bytes(&broken), &plain, &out, &err),
                     ATLS_E_DECODE, &err);
    test_assert_code(atls_corim_template_of_evidence(atls_bytes_of("\xff", 1), &plain, &out, &err),
                     ATLS_E_DECODE, &err);
    assert_null(out.ptr);
    atls_buf_clear(&other);
    atls_buf_clear(&broken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_of_a_report),
        cmocka_unit_test(values_that_hold_together_and_alternatives),
        cmocka_unit_test(software_components),
        cmocka_unit_test(realms),
        cmocka_unit_test(classes),
        cmocka_unit_test(a_class_of_ones_own),
        cmocka_unit_test(templates_that_are_refused),
        cmocka_unit_test(evidence_becomes_a_manifest),
        cmocka_unit_test(evidence_that_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
