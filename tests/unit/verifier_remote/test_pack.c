#include "soft_evidence.h"
#include "testlib.h"
#include "tpm_forge.h"

#include <string.h>

#include <jansson.h>

#include "bind/batch.h"
#include "core/base64.h"
#include "verifier/remote/pack.h"
#include "wire/cbor.h"
#include "wire/kat.h"
#include "wire/tsm.h"

static const uint8_t binder[48] = "binder of one connection, as long as SHA-384 is";

#define TEXT(literal)                                                                              \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }
static const struct atls_bytes both[] = {
    TEXT("application/psa-attestation-token"),
    TEXT("APPLICATION/VND.parallaxsecond.key-attestation.tpm"),
    TEXT("application/cmw+cbor;cmwc_t=\"" ATLS_BUNDLE_TYPE "\""),
};

static void our_bundle_goes_as_it_is(void **state)
{
    struct test_tpm_evidence e;
    struct atls_packed packed;
    struct atls_buf evidence;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (size_t len = 32; len <= 48; len += 16) {
        test_tpm_evidence_init(&e, atls_bytes_of(binder, len));
        evidence = test_tpm_evidence_encode(&e);
        test_assert_code(atls_pack(atls_buf_bytes(&evidence), atls_bytes_of(binder, len), both, 3,
                                   &packed, &err),
                         ATLS_OK, &err);
        assert_string_equal(packed.form, ATLS_BUNDLE_MEDIA_TYPE);
        test_assert_bytes(atls_buf_bytes(&packed.body), atls_buf_bytes(&evidence));
        test_assert_bytes(atls_bytes_of(packed.nonce, packed.nonce_len),
                          atls_bytes_of(binder, len));
        test_assert_bytes(atls_pack_find(both, 3, packed.form), both[2]);
        atls_packed_clear(&packed);
        atls_buf_clear(&evidence);
        test_tpm_evidence_clear(&e);
    }
}

static struct atls_bytes member(struct atls_reader *r, const char *name)
{
    struct atls_bytes key, value = {NULL, 0};

    assert_true(atls_cbor_get_text(r, &key));
    assert_true(atls_bytes_equal_text(key, name));
    if (strcmp(name, "tpmVer") == 0)
        assert_true(atls_cbor_get_text(r, &value));
    else
        assert_true(atls_cbor_get_bytes(r, &value));
    return value;
}

static void enter(struct atls_reader *r, const char *name, uint64_t members)
{
    struct atls_cbor_iter map;
    struct atls_bytes key;

    if (name != NULL) {
        assert_true(atls_cbor_get_text(r, &key));
        assert_true(atls_bytes_equal_text(key, name));
    }
    assert_true(atls_cbor_enter_map(r, &map));
    assert_false(map.indefinite);
    assert_int_equal(map.left, members);
}

/* Walks the Parsec form and holds every member against what the TPM of e made. */
static void check_parsec(struct atls_bytes body, const struct test_tpm_evidence *e)
{
    struct atls_reader r = atls_reader_init(body);
    struct atls_buf public_area = test_tpm_public(&e->aik);
    struct atls_tpms_attest attest;
    struct atls_bytes value;
    uint8_t kid[ATLS_TPM_KID_LEN];

    test_tpm_ueid(&e->ak, kid);
    enter(&r, NULL, 2);
    enter(&r, "kat", 5);
    assert_true(atls_bytes_equal_text(member(&r, "tpmVer"), "2.0"));
    test_assert_bytes(member(&r, "kid"), atls_bytes_of(kid, sizeof kid));
    (void)member(&r, "sig");
    value = member(&r, "certInfo");
    assert_int_equal(atls_tpms_attest_decode(value, &attest, NULL), ATLS_OK);
    assert_int_equal(attest.type, ATLS_TPM_ST_ATTEST_CERTIFY);
    test_assert_bytes(attest.extra_data, atls_bytes_of(e->nonce, 32));
    test_assert_bytes(member(&r, "pubArea"), atls_buf_bytes(&public_area));
    enter(&r, "pat", 4);
    assert_true(atls_bytes_equal_text(member(&r, "tpmVer"), "2.0"));
    test_assert_bytes(member(&r, "kid"), atls_bytes_of(kid, sizeof kid));
    (void)member(&r, "sig");
    value = member(&r, "attestInfo");
    assert_int_equal(atls_tpms_attest_decode(value, &attest, NULL), ATLS_OK);
    assert_int_equal(attest.type, ATLS_TPM_ST_ATTEST_QUOTE);
    test_assert_bytes(attest.extra_data, atls_bytes_of(e->nonce, 32));
    assert_true(atls_reader_done(&r));
    atls_buf_clear(&public_area);
}

static void tpm_evidence_becomes_a_parsec_bundle(void **state)
{
    struct test_tpm_evidence e;
    struct atls_packed packed;
    struct atls_buf evidence;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (size_t len = 32; len <= 48; len += 16) {
        test_tpm_evidence_init(&e, atls_bytes_of(binder, len));
        evidence = test_tpm_evidence_encode(&e);
        test_assert_code(atls_pack(atls_buf_bytes(&evidence), atls_bytes_of(binder, len), both, 2,
                                   &packed, &err),
                         ATLS_OK, &err);
        assert_string_equal(packed.form, ATLS_PARSEC_TPM_MEDIA_TYPE);
        test_assert_bytes(atls_bytes_of(packed.nonce, packed.nonce_len),
                          atls_bytes_of(e.nonce, 32));
        check_parsec(atls_buf_bytes(&packed.body), &e);
        atls_packed_clear(&packed);
        atls_buf_clear(&evidence);
        test_tpm_evidence_clear(&e);
    }
}

/* The members of a bundle that Veraison's services took have the order that we write. */
static void recorded_bundles_have_our_members(void **state)
{
    struct atls_buf file = test_vector("veraison/main-6b88102/parsec-tpm.json");
    json_t *list = json_loadb((const char *)file.ptr, file.len, 0, NULL);
    const json_t *exchange = NULL;
    struct atls_writer w = atls_writer_init(4096);
    struct atls_reader r;
    const char *text;

    (void)state;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *what = json_string_value(json_object_get(json_array_get(list, i), "what"));

        if (what != NULL && strcmp(what, "good evidence over the session nonce") == 0)
            exchange = json_array_get(list, i);
    }
    text = json_string_value(json_object_get(json_object_get(exchange, "request"), "body_base64"));
    assert_non_null(text);
    assert_true(atls_base64_get(atls_bytes_of(text, strlen(text)), &w));
    r = atls_reader_init(atls_writer_bytes(&w));
    enter(&r, NULL, 2);
    enter(&r, "kat", 5);
    assert_true(atls_bytes_equal_text(member(&r, "tpmVer"), "2.0"));
    (void)member(&r, "kid");
    (void)member(&r, "sig");
    (void)member(&r, "certInfo");
    (void)member(&r, "pubArea");
    enter(&r, "pat", 4);
    assert_true(atls_bytes_equal_text(member(&r, "tpmVer"), "2.0"));
    (void)member(&r, "kid");
    (void)member(&r, "sig");
    (void)member(&r, "attestInfo");
    assert_true(atls_reader_done(&r));
    atls_writer_clear(&w);
    json_decref(list);
    atls_buf_clear(&file);
}

static const struct atls_bytes near_misses[] = {
    TEXT("application/cmw+cbor"),
    TEXT("application/cmw+cbor; cmwc_t=\"urn:uuid:00000000-0000-0000-0000-000000000000\""),
    TEXT("application/vnd.parallaxsecond.key-attestation.cca"),
};

static void nothing_fits(void **state)
{
    struct test_tpm_evidence e;
    struct atls_packed packed;
    struct atls_buf evidence;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_tpm_evidence_init(&e, atls_bytes_of(binder, 32));
    evidence = test_tpm_evidence_encode(&e);
    test_assert_code(atls_pack(atls_buf_bytes(&evidence), atls_bytes_of(binder, 32), near_misses, 3,
                               &packed, &err),
                     ATLS_E_UNSUPPORTED, &err);
    assert_int_equal(err.reason, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE);
    assert_int_equal(
        atls_pack(atls_buf_bytes(&evidence), atls_bytes_of(binder, 32), NULL, 0, &packed, NULL),
        ATLS_E_UNSUPPORTED);
    assert_int_equal(
        atls_pack(atls_buf_bytes(&evidence), atls_bytes_of(binder, 31), both, 3, &packed, NULL),
        ATLS_E_USAGE);
    assert_int_equal(
        atls_pack(atls_bytes_of("x", 1), atls_bytes_of(binder, 32), both, 2, &packed, NULL),
        ATLS_E_DECODE);
    atls_buf_clear(&evidence);
    test_tpm_evidence_clear(&e);
}

/* A bundle of another technology has no Parsec form. */
static void other_technologies_have_one_form(void **state)
{
    struct test_tpm_evidence e;
    struct atls_packed packed;
    struct atls_buf evidence;

    (void)state;
    test_tpm_evidence_init(&e, atls_bytes_of(binder, 32));
    e.pat_type = "application/eat+cwt";
    evidence = test_tpm_evidence_encode(&e);
    assert_int_equal(
        atls_pack(atls_buf_bytes(&evidence), atls_bytes_of(binder, 32), both, 2, &packed, NULL),
        ATLS_E_UNSUPPORTED);
    atls_buf_clear(&evidence);
    e.pat_type = NULL;
    e.kat_type = "application/eat-ucs+cbor";
    evidence = test_tpm_evidence_encode(&e);
    assert_int_equal(
        atls_pack(atls_buf_bytes(&evidence), atls_bytes_of(binder, 32), both, 2, &packed, NULL),
        ATLS_E_UNSUPPORTED);
    atls_buf_clear(&evidence);
    test_tpm_evidence_clear(&e);
}

/* ---- other technologies ---- */

#define CCA     "application/eat-collection; profile=\"http://arm.com/CCA-SSD/1.0.0\""
#define CCA_CWT "application/eat+cwt; eat_profile=\"tag:arm.com,2023:cca_platform#1.0.0\""
#define PSA     "application/eat+cwt; eat_profile=\"tag:psacertified.org,2023:psa#tfm\""
#define PSA_OLD "application/eat-cwt; profile=\"http://arm.com/psa/2.0.0\""
#define PSA_ANY "application/psa-attestation-token"
#define TSM     "application/vnd.veraison.tsm-report+cbor"
#define PARSEC  "application/vnd.parallaxsecond.key-attestation.cca"

/* A platform token is opaque here; its type says what it is. */
static const struct {
    const char *name, *pat;
    struct atls_bytes takes[2];
    const char *form; /* NULL: none fits */
} tokens[] = {
    {"a report of configfs-tsm", TSM, {TEXT(TSM)}, TSM},
    {"a report of SEV-SNP",
     "application/vnd.amd.sev-snp.attestation-report",
     {TEXT("application/vnd.amd.sev-snp.attestation-report")},
     "application/vnd.amd.sev-snp.attestation-report"},
    {"a quote of TDX",
     "application/tdx-quote",
     {TEXT("application/tdx-quote")},
     "application/tdx-quote"},
    {"a CCA token", CCA, {TEXT(CCA)}, CCA},
    {"a CCA token by its other name", CCA, {TEXT(CCA_CWT)}, CCA_CWT},
    {"a CCA token that has the other name", CCA_CWT, {TEXT(CCA)}, CCA},
    {"a CCA token and Parsec", CCA, {TEXT(CCA), TEXT(PARSEC)}, PARSEC},
    {"a PSA token", PSA, {TEXT(PSA)}, PSA},
    {"a PSA token by the name of all", PSA, {TEXT(PSA_ANY)}, PSA_ANY},
    {"a PSA token of the draft", PSA_OLD, {TEXT(PSA_ANY), TEXT(PSA_OLD)}, PSA_OLD},
    {"a PSA token of the draft, not by the name of the standard", PSA_OLD, {TEXT(PSA)}, NULL},
    {"a software token", ATLS_TYPE_SOFT, {TEXT(ATLS_TYPE_SOFT)}, ATLS_TYPE_SOFT},
    {"another technology", TSM, {TEXT(CCA), TEXT(PSA)}, NULL},
    {"the other encoding", TSM, {TEXT("application/vnd.veraison.tsm-report+json")}, NULL},
    {"a TPM's form", TSM, {TEXT(ATLS_PARSEC_TPM_MEDIA_TYPE)}, NULL},
    {"a type that is no platform token of ours", "application/x", {TEXT("application/x")}, NULL},
};

static struct atls_buf kat_of_tests(void)
{
    struct atls_private_key *aik;
    struct atls_buf kat;

    assert_int_equal(atls_private_key_generate(ATLS_KEY_P256, &aik, NULL), ATLS_OK);
    kat = test_kat(atls_bytes_of(binder, 32), atls_key_spki(atls_private_key_public(aik)));
    atls_private_key_free(aik);
    return kat;
}

static void platform_tokens_go_alone(void **state)
{
    struct atls_buf kat = kat_of_tests();
    const struct atls_bytes pat = TEXT("platform token");
    uint8_t challenge[ATLS_HASH_MAX];

    (void)state;
    assert_int_equal(atls_hash_one(ATLS_HASH_SHA512, atls_buf_bytes(&kat), challenge, NULL),
                     ATLS_OK);
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        struct atls_buf evidence =
            test_bundle(ATLS_TYPE_KAT, atls_buf_bytes(&kat), tokens[i].pat, pat);
        const size_t count = tokens[i].takes[1].ptr != NULL ? 2 : 1;
        const enum atls_code want = tokens[i].form != NULL ? ATLS_OK : ATLS_E_UNSUPPORTED;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_packed packed;

        print_message("%s\n", tokens[i].name);
        test_assert_code(atls_pack(atls_buf_bytes(&evidence), atls_bytes_of(binder, 32),
                                   tokens[i].takes, count, &packed, &err),
                         want, &err);
        atls_buf_clear(&evidence);
        if (tokens[i].form == NULL) {
            assert_int_equal(err.reason, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE);
            continue;
        }
        assert_string_equal(packed.form, tokens[i].form);
        assert_int_equal(packed.names_no_key, strcmp(tokens[i].form, PARSEC) != 0);
        if (packed.names_no_key) {
            test_assert_bytes(atls_buf_bytes(&packed.body), pat);
            test_assert_bytes(atls_bytes_of(packed.nonce, packed.nonce_len),
                              atls_bytes_of(challenge, 64));
        }
        atls_packed_clear(&packed);
    }
    atls_buf_clear(&kat);
}

static struct atls_buf bare_record(const char *type, struct atls_bytes token)
{
    const struct atls_cmw record = {
        .kind = ATLS_CMW_RECORD,
        .type = {.is_text = true, .text = atls_bytes_of(type, strlen(type))},
        .value = token};
    struct atls_writer w = atls_writer_init(4096);
    struct atls_buf out = ATLS_BUF_INIT;

    assert_int_equal(atls_cmw_encode(&record, &w, NULL), ATLS_OK);
    assert_int_equal(atls_writer_finish(&w, &out, NULL), ATLS_OK);
    return out;
}

static void bare_tokens_go_alone(void **state)
{
    static const struct atls_bytes token = TEXT("platform token"),
                                   types[] = {
                                       TEXT("application/cmw+cbor;cmwc_t=\"" ATLS_BUNDLE_TYPE "\""),
                                       TEXT(ATLS_TYPE_TSM_REPORT),
                                       TEXT("application/psa-attestation-token")};
    static const struct {
        const char *says, *type;
        size_t count; /* of types that the service takes */
        const char *form;
    } rows[] = {
        {"its own name", ATLS_TYPE_TSM_REPORT, 3, ATLS_TYPE_TSM_REPORT},
        {"another name of the same", "application/eat-cwt; profile=\"http://arm.com/psa/2.0.0\"", 3,
         "application/psa-attestation-token"},
        {"taken by no name", ATLS_TYPE_TSM_REPORT, 1, NULL},
        {"no platform token", "application/example", 3, NULL},
    };
    struct atls_bare_token bare = {.challenge = "what the token signs: binder and key"};
    struct atls_packed packed;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf evidence = bare_record(rows[i].type, token);

        print_message("%s\n", rows[i].says);
        bare.evidence = atls_buf_bytes(&evidence);
        test_assert_code(atls_pack_bare(&bare, types, rows[i].count, &packed, &err), ATLS_OK, &err);
        assert_int_equal(packed.form == NULL, rows[i].form == NULL);
        if (rows[i].form != NULL) {
            assert_string_equal(packed.form, rows[i].form);
            assert_true(packed.names_no_key);
            test_assert_bytes(atls_buf_bytes(&packed.body), token);
            test_assert_bytes(atls_bytes_of(packed.nonce, packed.nonce_len),
                              atls_bytes_of(bare.challenge, 64));
        }
        atls_packed_clear(&packed);
        bare.evidence.len--; /* cut short */
        test_assert_code(atls_pack_bare(&bare, types, 3, &packed, &err), ATLS_E_DECODE, &err);
        err = (struct atls_err)ATLS_ERR_INIT;
        atls_buf_clear(&evidence);
    }
}

static void a_bundle_is_no_bare_token(void **state)
{
    static const struct atls_bytes types[] = {TEXT(ATLS_TYPE_TSM_REPORT)}, pat = TEXT("token");
    struct atls_buf kat = kat_of_tests();
    struct atls_buf evidence =
        test_bundle(ATLS_TYPE_KAT, atls_buf_bytes(&kat), ATLS_TYPE_TSM_REPORT, pat);
    const struct atls_bare_token bare = {.evidence = atls_buf_bytes(&evidence)};
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_packed packed;

    (void)state;
    test_assert_code(atls_pack_bare(&bare, types, 1, &packed, &err), ATLS_OK, &err);
    assert_null(packed.form);
    atls_buf_clear(&evidence);
    atls_buf_clear(&kat);
}

/* Both halves of CCA evidence as they stand, in a map. */
static void cca_evidence_becomes_a_parsec_bundle(void **state)
{
    static const struct atls_bytes types[] = {TEXT(PARSEC)};
    static const uint8_t pat[] = {0xd9, 0x01, 0x8f, 0xa0}; /* 399({}) */
    struct atls_buf kat = kat_of_tests(), evidence;
    struct atls_writer w = atls_writer_init(4096);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_packed packed;

    (void)state;
    evidence =
        test_bundle(ATLS_TYPE_KAT, atls_buf_bytes(&kat), CCA, atls_bytes_of(pat, sizeof pat));
    test_assert_code(
        atls_pack(atls_buf_bytes(&evidence), atls_bytes_of(binder, 32), types, 1, &packed, &err),
        ATLS_OK, &err);
    atls_cbor_put_map(&w, 2);
    atls_cbor_put_text(&w, "kat");
    atls_put_bytes(&w, atls_buf_bytes(&kat));
    atls_cbor_put_text(&w, "pat");
    atls_put_bytes(&w, atls_bytes_of(pat, sizeof pat));
    test_assert_bytes(atls_buf_bytes(&packed.body), atls_writer_bytes(&w));
    test_assert_bytes(atls_bytes_of(packed.nonce, packed.nonce_len), atls_bytes_of(binder, 32));
    assert_false(packed.names_no_key);
    atls_writer_clear(&w);
    atls_packed_clear(&packed);
    atls_buf_clear(&evidence);
    atls_buf_clear(&kat);
}

/* Of a batch the token signs the root; Parsec knows none. */
static void tokens_of_a_batch_go_alone(void **state)
{
    static const struct atls_bytes types[] = {TEXT(PARSEC), TEXT(CCA)};
    struct atls_buf kat = kat_of_tests(), evidence;
    const struct atls_bytes kats[] = {atls_buf_bytes(&kat), TEXT("another")};
    struct atls_writer member = atls_writer_init(16384);
    struct atls_batch_tree *tree;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_packed packed;

    (void)state;
    test_assert_code(atls_batch_tree_new(kats, 2, &tree, &err), ATLS_OK, &err);
    atls_batch_tree_put(tree, 0, kats[0], &member);
    evidence = test_bundle(ATLS_TYPE_KAT_BATCH, atls_writer_bytes(&member), CCA,
                           (struct atls_bytes)TEXT("token"));
    test_assert_code(
        atls_pack(atls_buf_bytes(&evidence), atls_bytes_of(binder, 32), types, 2, &packed, &err),
        ATLS_OK, &err);
    assert_string_equal(packed.form, CCA);
    test_assert_bytes(atls_bytes_of(packed.nonce, packed.nonce_len),
                      atls_batch_tree_challenge(tree));
    atls_packed_clear(&packed);
    atls_buf_clear(&evidence);
    evidence = test_bundle(ATLS_TYPE_KAT_BATCH, (struct atls_bytes)TEXT("x"), CCA,
                           (struct atls_bytes)TEXT("token"));
    test_assert_code(
        atls_pack(atls_buf_bytes(&evidence), atls_bytes_of(binder, 32), types, 2, &packed, &err),
        ATLS_E_DECODE, &err);
    atls_buf_clear(&evidence);
    atls_batch_tree_free(tree);
    atls_writer_clear(&member);
    atls_buf_clear(&kat);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_bundle_goes_as_it_is),
        cmocka_unit_test(tpm_evidence_becomes_a_parsec_bundle),
        cmocka_unit_test(recorded_bundles_have_our_members),
        cmocka_unit_test(nothing_fits),
        cmocka_unit_test(platform_tokens_go_alone),
        cmocka_unit_test(bare_tokens_go_alone),
        cmocka_unit_test(a_bundle_is_no_bare_token),
        cmocka_unit_test(cca_evidence_becomes_a_parsec_bundle),
        cmocka_unit_test(tokens_of_a_batch_go_alone),
        cmocka_unit_test(other_technologies_have_one_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
