#include "testlib.h"
#include "tpm_forge.h"

#include <string.h>

#include <jansson.h>

#include "core/base64.h"
#include "verifier/remote/pack.h"
#include "wire/cbor.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_bundle_goes_as_it_is),
        cmocka_unit_test(tpm_evidence_becomes_a_parsec_bundle),
        cmocka_unit_test(recorded_bundles_have_our_members),
        cmocka_unit_test(nothing_fits),
        cmocka_unit_test(other_technologies_have_one_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
