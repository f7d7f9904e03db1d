/* Recorded evidence of Arm and of Parsec against published manifests of its scheme, from token to
 * verdict: what evidence measures compares with what manifests of its profile name. */
#include "testlib.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <atls/store.h>

#include "core/err.h"
#include "core/reader.h"
#include "verifier/local/judge.h"
#include "wire/cmw.h"

#define NOW      1750000000
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define CCA_TYPE    "application/eat-collection; profile=\"http://arm.com/CCA-SSD/1.0.0\""
#define PSA_TYPE    "application/psa-attestation-token"
#define PARSEC_TYPE "application/vnd.parallaxsecond.key-attestation."

struct place {
    char directory[64], path[96];
    struct atls_store *store;
};

static void place_open(struct place *p)
{
    struct atls_err err = ATLS_ERR_INIT;

    memset(p, 0, sizeof *p);
    strcpy(p->directory, "/tmp/atls-arm-XXXXXX");
    assert_non_null(mkdtemp(p->directory));
    snprintf(p->path, sizeof p->path, "%s/store.db", p->directory);
    test_assert_code(atls_store_open(p->path, ATLS_STORE_CREATE, &p->store, &err), ATLS_OK, &err);
}

static void place_close(struct place *p)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    char path[128];

    atls_store_close(p->store);
    for (size_t i = 0; i < COUNT(ends); i++) {
        snprintf(path, sizeof path, "%s%s", p->path, ends[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(p->directory), 0);
}

/* Bytes of a manifest that are others than published: of the same length. */
struct edit {
    const char *from, *to; /* hex; NULL: none */
};

static void apply(struct atls_buf *in, const struct edit *edit)
{
    struct atls_buf from, to;
    size_t count = 0;

    if (edit->from == NULL)
        return;
    from = test_unhex(edit->from);
    to = test_unhex(edit->to);
    assert_int_equal(from.len, to.len);
    for (size_t i = 0; i + from.len <= in->len; i++) {
        if (memcmp(in->ptr + i, from.ptr, from.len) != 0)
            continue;
        memcpy(in->ptr + i, to.ptr, to.len);
        count++;
    }
    assert_true(count > 0);
    atls_buf_clear(&from);
    atls_buf_clear(&to);
}

static void import(struct place *p, const char *file, const struct edit *edits)
{
    struct atls_store_import_report report;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf in;
    char path[96];

    if (file == NULL)
        return;
    snprintf(path, sizeof path, "corim/%s.cbor", file);
    in = test_vector(path);
    for (size_t i = 0; edits != NULL && i < 2; i++)
        apply(&in, &edits[i]);
    test_assert_code(atls_store_import_corim(p->store, atls_buf_bytes(&in), atls_bytes_of(NULL, 0),
                                             NOW, &report, &err),
                     ATLS_OK, &err);
    atls_buf_clear(&in);
}

static struct atls_buf record(const char *type, const char *file)
{
    struct atls_writer w = atls_writer_init(1 << 16);
    struct atls_buf in = test_vector(file), out = ATLS_BUF_INIT;
    const struct atls_cmw cmw = atls_cmw_record(type, atls_buf_bytes(&in), 0);
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_cmw_encode(&cmw, &w, &err), ATLS_OK, &err);
    test_assert_code(atls_writer_finish(&w, &out, &err), ATLS_OK, &err);
    atls_buf_clear(&in);
    return out;
}

#define CCA_CHALLENGE                                                                              \
    "6f24d6b9635a2c8bbf58e908b94e04c1bfb3ae80cdebe832424578499fe31761"                             \
    "e7f5e1d8bce0121844f54abdfa5286da88f53a657b15335c9396b4329254bc5c"
#define SIGNER_OF_MANIFEST "5378796307535df3ec8d8b15a2e2dc5641419c3d3060cfe32238c0fa973f7aa3"
#define SIGNER_OF_DEVICE   "acbb11c7e4da217205523ce4ce1a245ae1a239ae3c6bfd9e7871f7e5d8bae86b"
#define SIGNER_OF_TOKEN    "07060504030201000f0e0d0c0b0a090817161514131211101f1e1d1c1b1a1918"

static const struct row {
    const char *name, *type, *file, *nonce;
    const char *manifests[2];
    struct edit edits[2]; /* of the first manifest: published ones have other signers than tokens */
    size_t submods;
    struct {
        const char *name;
        enum atls_tier status;
        int executables;
    } want[2];
    enum atls_reason reason;
} rows[] = {
    {"PSA",
     PSA_TYPE,
     "psa/profile2/token.cbor",
     "414a7c174141b3d0e9a1d28af31520f0d42299feac4007ded89d68ae6cd92f19",
     {"scheme-psa-valid", NULL},
     {{SIGNER_OF_MANIFEST, SIGNER_OF_DEVICE}, {NULL, NULL}},
     1,
     {{"PSA_IOT", ATLS_TIER_AFFIRMING, 3}},
     ATLS_REASON_NONE},
    {"PSA, a component of another value",
     PSA_TYPE,
     "psa/profile2/token.cbor",
     "414a7c174141b3d0e9a1d28af31520f0d42299feac4007ded89d68ae6cd92f19",
     {"scheme-psa-valid", NULL},
     {{SIGNER_OF_MANIFEST, SIGNER_OF_DEVICE},
      {"0263829989b6fd954f72baaf2fc64bc2e2f01d692d4de72986ea808f6e99813f",
       "0263829989b6fd954f72baaf2fc64bc2e2f01d692d4de72986ea808f6e998140"}},
     1,
     {{"PSA_IOT", ATLS_TIER_WARNING, 33}},
     ATLS_REASON_MEASUREMENT},
    {"PSA, a component of another name",
     PSA_TYPE,
     "psa/profile2/token.cbor",
     "414a7c174141b3d0e9a1d28af31520f0d42299feac4007ded89d68ae6cd92f19",
     {"scheme-psa-valid", NULL},
     {{SIGNER_OF_MANIFEST, SIGNER_OF_DEVICE}, {"6450526f54", "6450526f55"}},
     1,
     {{"PSA_IOT", ATLS_TIER_WARNING, 33}},
     ATLS_REASON_MEASUREMENT},
    {"CCA",
     CCA_TYPE,
     "cca/veraison-tag399/token.cbor",
     CCA_CHALLENGE,
     {"scheme-cca-platform-valid", "scheme-cca-realm-valid"},
     {{SIGNER_OF_MANIFEST, SIGNER_OF_TOKEN}, {NULL, NULL}},
     2,
     {{"CCA_SSD_PLATFORM", ATLS_TIER_AFFIRMING, 3}, {"CCA_REALM", ATLS_TIER_AFFIRMING, 2}},
     ATLS_REASON_NONE},
    {"CCA, components of another signer",
     CCA_TYPE,
     "cca/veraison-tag399/token.cbor",
     CCA_CHALLENGE,
     {"scheme-cca-platform-valid", "scheme-cca-realm-valid"},
     {{NULL, NULL}, {NULL, NULL}},
     2,
     {{"CCA_SSD_PLATFORM", ATLS_TIER_WARNING, 33}, {"CCA_REALM", ATLS_TIER_AFFIRMING, 2}},
     ATLS_REASON_PLATFORM_MEASUREMENT},
    {"CCA, another extensible measurement",
     CCA_TYPE,
     "cca/veraison-tag399/token.cbor",
     CCA_CHALLENGE,
     {"scheme-cca-realm-valid", "scheme-cca-platform-valid"},
     {{"686363612e72656d3301a10281820858404343", "686363612e72656d3301a10281820858404344"},
      {NULL, NULL}},
     2,
     {{"CCA_SSD_PLATFORM", ATLS_TIER_WARNING, 33}, {"CCA_REALM", ATLS_TIER_WARNING, 33}},
     ATLS_REASON_PLATFORM_MEASUREMENT},
    {"CCA of Parsec",
     PARSEC_TYPE "cca",
     "cca/parsec-cca/evidence.cbor",
     "0001020304050607",
     {"scheme-parsec-cca-valid", "scheme-cca-realm-valid"},
     {{SIGNER_OF_MANIFEST, SIGNER_OF_TOKEN}, {NULL, NULL}},
     2,
     {{"CCA_SSD_PLATFORM", ATLS_TIER_AFFIRMING, 3}, {"CCA_REALM", ATLS_TIER_AFFIRMING, 2}},
     ATLS_REASON_NONE},
    {"TPM of Parsec",
     PARSEC_TYPE "tpm",
     "tpm/parsec-tpm/evidence.cbor",
     "deadbeefdeadbeef",
     {"scheme-parsec-tpm-valid", NULL},
     {{NULL, NULL}, {NULL, NULL}},
     1,
     {{"TPM", ATLS_TIER_AFFIRMING, 3}},
     ATLS_REASON_NONE},
    {"TPM of Parsec, a PCR of another value",
     PARSEC_TYPE "tpm",
     "tpm/parsec-tpm/evidence.cbor",
     "deadbeefdeadbeef",
     {"scheme-parsec-tpm-valid", NULL},
     {{"58200000000000000000000000000000000000000000000000000000000000000000",
       "58200000000000000000000000000000000000000000000000000000000000000001"},
      {NULL, NULL}},
     1,
     {{"TPM", ATLS_TIER_WARNING, 33}},
     ATLS_REASON_MEASUREMENT},
};

static struct atls_result *judge(struct place *p, const struct row *row)
{
    const struct atls_rules rules = {.arm = {.psa_allow_legacy = true}};
    const struct atls_evidence_options options = {.rules = &rules};
    struct atls_buf evidence = record(row->type, row->file), nonce = test_unhex(row->nonce);
    const struct atls_appraisal appraisal = {
        .evidence = atls_buf_bytes(&evidence), .binder = atls_buf_bytes(&nonce), .time_s = NOW};
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_result *result = NULL;
    struct atls_judge judge;

    test_assert_code(atls_judge_init(&judge, p->store, &options, &err), ATLS_OK, &err);
    test_assert_code(
        atls_judge_evidence(&judge, ATLS_EVIDENCE_KEY_UNKNOWN, &appraisal, &result, &err), ATLS_OK,
        &err);
    atls_judge_clear(&judge);
    atls_buf_clear(&evidence);
    atls_buf_clear(&nonce);
    return result;
}

static void check_submod(const struct atls_result *result, const struct row *row, size_t want)
{
    for (size_t i = 0; i < atls_result_submods(result); i++) {
        if (strcmp(atls_result_submod_name(result, i), row->want[want].name) != 0)
            continue;
        if (atls_result_submod_status(result, i) != row->want[want].status)
            fail_msg("%s: %s: %s", row->want[want].name,
                     atls_tier_name(atls_result_submod_status(result, i)),
                     atls_result_explanation(result));
        assert_int_equal(atls_result_submod_trust(result, i, ATLS_TRUST_EXECUTABLES),
                         row->want[want].executables);
        return;
    }
    fail_msg("no submodule %s", row->want[want].name);
}

static void from_token_to_verdict(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_result *result;
        struct place p;

        print_message("  %s\n", rows[i].name);
        place_open(&p);
        import(&p, rows[i].manifests[0], rows[i].edits);
        import(&p, rows[i].manifests[1], NULL);
        result = judge(&p, &rows[i]);
        assert_int_equal(atls_result_submods(result), rows[i].submods);
        for (size_t k = 0; k < rows[i].submods; k++)
            check_submod(result, &rows[i], k);
        assert_int_equal(atls_result_reason(result), rows[i].reason);
        atls_result_unref(result);
        place_close(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_token_to_verdict),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
