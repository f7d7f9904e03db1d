/* Appraisal of whole TPM evidence: good evidence gives claims; each lie alone is refused for its
 * reason. */
#include "testlib.h"

#include <stdlib.h>
#include <string.h>

#include "arm_world.h"
#include "pki.h"
#include "tpm_forge.h"

#include "core/err.h"
#include "evidence/evidence.h"

static const uint8_t binder[48] = "binder of the connection, as long as SHA-384 is";
static const uint8_t class_id[] = {0xd8, 0x25, 0x50, 1,  2,  3,  4,  5,  6, 7,
                                   8,    9,    10,   11, 12, 13, 14, 15, 16}; /* 37(h'0102..') */

/* What the store has on file, and everything that a row may change. */
struct fixture {
    struct test_tpm_evidence e;
    struct test_tpm_key other;
    struct atls_evidence_options options;
    struct atls_endorsement_source source;
    struct atls_evidence_request request;
    size_t binder_len;
    enum { ENROLLED, ENROLLED_KEY_ONLY, ENROLLED_OTHER, NOT_ENROLLED, BROKEN_STORE } enrolled;
    const char *technology;                 /* of the key on file */
    const struct test_tpm_key *enrolled_as; /* NULL: the AK as it is when the evidence is made */
    struct atls_anchors *anchors;
    enum { CLASS, NO_CLASS, BROKEN_CLASS } anchor_class;
    struct test_identity ca, certificate;
    struct atls_chain_cache *cache;
    struct atls_buf planted, planted2;
    uint8_t bytes[ATLS_HASH_MAX];
};

static enum atls_code fill(struct atls_buf *out, const void *bytes, size_t len)
{
    return atls_buf_copy(out, atls_bytes_of(bytes, len), NULL);
}

static enum atls_code attest_key(void *arg, struct atls_bytes instance, struct atls_attest_key *out,
                                 struct atls_err *err)
{
    struct fixture *f = arg;
    const struct test_tpm_key *key = f->enrolled_as != NULL ? f->enrolled_as : &f->e.ak;
    struct atls_buf area;

    assert_int_equal(instance.len, ATLS_TPM_KID_LEN);
    if (f->enrolled == NOT_ENROLLED)
        return atls_fail(err, ATLS_E_NOT_FOUND, "no such instance");
    /* A source that fails half-way: what it left behind is the caller's to clear. */
    assert_int_equal(fill(&out->vendor, "ACME", 4), ATLS_OK);
    out->technology = f->technology;
    if (f->enrolled == BROKEN_STORE)
        return atls_fail(err, ATLS_E_CONFIG, "two keys on file");
    if (f->enrolled == ENROLLED_OTHER)
        key = &f->other;
    assert_int_equal(fill(&out->class_id, class_id, sizeof class_id), ATLS_OK);
    assert_int_equal(
        atls_buf_copy(&out->spki, atls_key_spki(atls_private_key_public(key->private_key)), NULL),
        ATLS_OK);
    if (f->enrolled == ENROLLED) {
        area = test_tpm_public(key);
        out->public_area = area;
    }
    return ATLS_OK;
}

static enum atls_code ak_anchors(void *arg, struct atls_anchors **out, struct atls_err *err)
{
    struct fixture *f = arg;

    (void)err;
    *out = f->anchors == NULL ? NULL : atls_anchors_ref(f->anchors);
    return ATLS_OK;
}

static enum atls_code anchor_class(void *arg, struct atls_bytes anchor, struct atls_attest_key *out,
                                   struct atls_err *err)
{
    struct fixture *f = arg;

    test_assert_bytes(anchor, atls_buf_bytes(&f->ca.certificate));
    if (f->anchor_class == NO_CLASS)
        return atls_fail(err, ATLS_E_NOT_FOUND, "no class");
    if (f->anchor_class == BROKEN_CLASS)
        return atls_fail(err, ATLS_E_IO, "disk");
    assert_int_equal(fill(&out->class_id, class_id, sizeof class_id), ATLS_OK);
    return fill(&out->model, "Cloud", 5);
}

static struct fixture *fixture_new(void)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    test_tpm_evidence_init(&f->e, atls_bytes_of(binder, 32));
    f->other = test_tpm_key_new(ATLS_KEY_P256, TEST_TPM_AK_ATTRIBUTES);
    f->binder_len = 32;
    f->technology = "tpm";
    f->source.arg = f;
    f->source.attest_key = attest_key;
    f->source.ak_anchors = ak_anchors;
    f->source.anchor_class = anchor_class;
    f->request.source = &f->source;
    f->request.options = &f->options;
    f->request.time_s = TEST_TIME_S;
    f->request.aik_spki = test_tpm_evidence_aik_spki(&f->e);
    return f;
}

static void fixture_free(struct fixture *f)
{
    test_tpm_evidence_clear(&f->e);
    test_tpm_key_clear(&f->other);
    atls_anchors_unref(f->anchors);
    atls_chain_cache_free(f->cache);
    test_identity_clear(&f->ca);
    test_identity_clear(&f->certificate);
    atls_buf_clear(&f->planted);
    atls_buf_clear(&f->planted2);
    free(f);
}

static enum atls_code verify(struct fixture *f, struct atls_claims *out, struct atls_err *err)
{
    struct atls_buf cmw = test_tpm_evidence_encode(&f->e);
    enum atls_code code;

    f->request.evidence = atls_buf_bytes(&cmw);
    f->request.binder = atls_bytes_of(binder, f->binder_len);
    code = atls_evidence_verify(&f->request, out, err);
    atls_buf_clear(&cmw); /* claims must not borrow from it */
    return code;
}

struct row {
    const char *name;
    void (*lie)(struct fixture *f);
    enum atls_code want;
    enum atls_reason reason;
};

/* A verifier that sees no connection checks all but the one key: it says which one it is. */
static void run_key_unknown(const struct row *row)
{
    struct fixture *f = fixture_new();
    bool binding = row->reason == ATLS_REASON_KEY_BINDING_MISMATCH;
    struct atls_bytes aik;
    struct atls_claims claims;
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code;

    row->lie(f);
    aik = test_tpm_evidence_aik_spki(&f->e);
    f->request.aik_spki = atls_bytes_of(NULL, 0);
    f->request.scope = ATLS_EVIDENCE_KEY_UNKNOWN;
    code = verify(f, &claims, &err);
    test_assert_code(code, binding ? ATLS_OK : row->want, &err);
    assert_int_equal(err.reason, binding ? ATLS_REASON_NONE : row->reason);
    if (code == ATLS_OK) {
        test_assert_bytes(claims.key_spki, aik);
        atls_claims_clear(&claims);
    }
    fixture_free(f);
}

/* Reasons that only say that nothing here vouches for the attestation key. */
static bool is_about_trust(const struct row *row)
{
    return row->reason == ATLS_REASON_UNTRUSTED_AK || row->want == ATLS_E_CONFIG ||
           row->want == ATLS_E_IO || row->want == ATLS_E_CERTIFICATE;
}

static void run_trust_elsewhere(const struct row *row)
{
    struct fixture *f = fixture_new();
    struct atls_claims claims;
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code;

    row->lie(f);
    f->request.scope = ATLS_EVIDENCE_KEY_TRUST_ELSEWHERE;
    code = verify(f, &claims, &err);
    if (!is_about_trust(row) && f->enrolled == ENROLLED) {
        test_assert_code(code, row->want, &err);
        assert_int_equal(err.reason, row->reason);
    }
    if (is_about_trust(row))
        test_assert_code(code, ATLS_OK, &err);
    if (code == ATLS_OK) {
        assert_int_equal(claims.key_trust, ATLS_KEY_TRUST_NONE);
        assert_int_equal(claims.environment.class_id.len, 0);
        atls_claims_clear(&claims);
    }
    fixture_free(f);
}

static void run(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct fixture *f = fixture_new();
        struct atls_claims claims;
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code;

        print_message("  %s\n", rows[i].name);
        memset(&claims, 0xa5, sizeof claims);
        rows[i].lie(f);
        code = verify(f, &claims, &err);
        test_assert_code(code, rows[i].want, &err);
        if (err.reason != rows[i].reason)
            fail_msg("got %s (%s), want %s", atls_reason_name(err.reason), err.message,
                     atls_reason_name(rows[i].reason));
        if (code == ATLS_OK)
            atls_claims_clear(&claims);
        else /* written on success only */
            assert_int_equal(((const uint8_t *)&claims)[0], 0xa5);
        fixture_free(f);
        run_key_unknown(&rows[i]);
        run_trust_elsewhere(&rows[i]);
    }
}
#define RUN(rows) run((rows), sizeof(rows) / sizeof((rows)[0]))

/* ---- good evidence ---- */

static void as_it_is(struct fixture *f)
{
    (void)f;
}

static void enrolled_by_key_alone(struct fixture *f)
{
    f->enrolled = ENROLLED_KEY_ONLY;
}

static void replace_ak(struct fixture *f, enum atls_key_type type)
{
    test_tpm_key_clear(&f->e.ak);
    f->e.ak = test_tpm_key_new(type, TEST_TPM_AK_ATTRIBUTES);
}

static void ak_p384(struct fixture *f)
{
    replace_ak(f, ATLS_KEY_P384);
}

static void ak_p521(struct fixture *f)
{
    replace_ak(f, ATLS_KEY_P521);
}

static void ak_rsassa(struct fixture *f)
{
    replace_ak(f, ATLS_KEY_RSA);
}

static void ak_rsapss(struct fixture *f)
{
    replace_ak(f, ATLS_KEY_RSA);
    f->e.ak.scheme = ATLS_TPM_ALG_RSAPSS;
    f->e.ak.scheme_hash = ATLS_TPM_ALG_SHA384;
}

static void replace_aik(struct fixture *f, enum atls_key_type type)
{
    test_tpm_key_clear(&f->e.aik);
    f->e.aik = test_tpm_key_new(type, TEST_TPM_AIK_ATTRIBUTES);
    f->request.aik_spki = test_tpm_evidence_aik_spki(&f->e);
}

static void aik_p384(struct fixture *f)
{
    replace_aik(f, ATLS_KEY_P384);
    f->e.aik.name_alg = ATLS_TPM_ALG_SHA384;
}

static void aik_rsa(struct fixture *f)
{
    replace_aik(f, ATLS_KEY_RSA);
}

static void long_binder(struct fixture *f)
{
    uint8_t digest[ATLS_HASH_MAX];

    f->binder_len = 48;
    assert_int_equal(atls_hash_one(ATLS_HASH_SHA256, atls_bytes_of(binder, 48), digest, NULL),
                     ATLS_OK);
    memcpy(f->e.nonce, digest, sizeof f->e.nonce);
}

static void three_banks(struct fixture *f)
{
    test_tpm_evidence_add_bank(&f->e, ATLS_TPM_ALG_SHA384, 0x800001);
    test_tpm_evidence_add_bank(&f->e, ATLS_TPM_ALG_SHA512, 0x0400);
}

static void sha1_allowed(struct fixture *f)
{
    test_tpm_evidence_add_bank(&f->e, ATLS_TPM_ALG_SHA1, 0xff);
    f->options.allow_sha1_pcr_bank = true;
}

static void clock_allowed(struct fixture *f)
{
    f->e.certify.safe = 0;
    f->e.quote.safe = 0;
    f->options.allow_unsafe_clock = true;
}

static void no_options(struct fixture *f)
{
    f->request.options = NULL;
}

/* TPMs may strip leading zeros off r and s: sign until there is one to strip. */
static void stripped_signature(struct fixture *f)
{
    struct atls_buf name = test_tpm_name(&f->e.aik);

    f->e.certify.name = atls_buf_bytes(&name);
    f->planted = test_tpm_attest(&f->e.certify);
    f->e.cert_info = atls_buf_bytes(&f->planted);
    do {
        atls_buf_clear(&f->planted2);
        f->planted2 = test_tpm_sign(&f->e.ak, f->e.cert_info);
    } while (f->planted2.len >= 8 + 2 * 32);
    f->e.certify_signature = atls_buf_bytes(&f->planted2);
    f->e.certify.name = atls_bytes_of(NULL, 0);
    atls_buf_clear(&name);
}

static void with_cache(struct fixture *f)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_claims claims;

    test_assert_code(atls_chain_cache_new(8, &f->cache, &err), ATLS_OK, &err);
    f->request.cache = f->cache;
    test_assert_code(verify(f, &claims, &err), ATLS_OK, &err);
    atls_claims_clear(&claims);
}

static void good_evidence_is_accepted(void **state)
{
    static const struct row rows[] = {
        {"P-256 everywhere", as_it_is, ATLS_OK, ATLS_REASON_NONE},
        {"the AK on file by its key alone", enrolled_by_key_alone, ATLS_OK, ATLS_REASON_NONE},
        {"AK P-384", ak_p384, ATLS_OK, ATLS_REASON_NONE},
        {"AK P-521", ak_p521, ATLS_OK, ATLS_REASON_NONE},
        {"AK RSASSA with SHA-256", ak_rsassa, ATLS_OK, ATLS_REASON_NONE},
        {"AK RSAPSS with SHA-384", ak_rsapss, ATLS_OK, ATLS_REASON_NONE},
        {"AIK P-384 with a SHA-384 Name", aik_p384, ATLS_OK, ATLS_REASON_NONE},
        {"AIK RSA", aik_rsa, ATLS_OK, ATLS_REASON_NONE},
        {"binder of 48 bytes", long_binder, ATLS_OK, ATLS_REASON_NONE},
        {"three banks", three_banks, ATLS_OK, ATLS_REASON_NONE},
        {"a SHA-1 bank, allowed", sha1_allowed, ATLS_OK, ATLS_REASON_NONE},
        {"an unsafe clock, allowed", clock_allowed, ATLS_OK, ATLS_REASON_NONE},
        {"no options", no_options, ATLS_OK, ATLS_REASON_NONE},
        {"a signature with stripped zeros", stripped_signature, ATLS_OK, ATLS_REASON_NONE},
        {"the same again, out of the cache", with_cache, ATLS_OK, ATLS_REASON_NONE},
    };

    (void)state;
    RUN(rows);
}

static struct atls_detail find_detail(const struct atls_claims *claims, const char *name)
{
    for (size_t i = 0; i < claims->detail_count; i++)
        if (strcmp(claims->details[i].name, name) == 0)
            return claims->details[i];
    fail_msg("no detail %s", name);
    return claims->details[0];
}

static void claims_say_what_was_signed(void **state)
{
    struct fixture *f = fixture_new();
    struct atls_claims claims;
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t ueid[ATLS_TPM_KID_LEN], want[48];

    (void)state;
    three_banks(f);
    test_tpm_ueid(&f->e.ak, ueid);
    test_assert_code(verify(f, &claims, &err), ATLS_OK, &err);
    assert_string_equal(claims.technology, "tpm");
    assert_string_equal(claims.submod, "TPM");
    assert_false(claims.insecure);
    assert_int_equal(claims.key_trust, ATLS_KEY_TRUST_ENROLLED);
    test_assert_bytes(claims.instance, atls_bytes_of(ueid, sizeof ueid));
    assert_int_equal(claims.environment.instance.len, 5 + sizeof ueid);
    assert_memory_equal(claims.environment.instance.ptr, "\xd9\x02\x26\x58\x21", 5); /* 550(bstr) */
    test_assert_bytes(claims.environment.class_id, atls_bytes_of(class_id, sizeof class_id));
    assert_true(atls_bytes_equal_text(claims.environment.vendor, "ACME"));
    assert_null(claims.environment.model.ptr);
    test_assert_bytes(claims.key_spki, f->request.aik_spki);
    test_assert_bytes(claims.signer_spki,
                      atls_key_spki(atls_private_key_public(f->e.ak.private_key)));

    /* PCRs 0 to 7 of SHA-256, 0 also of SHA-384, 10 of SHA-512; 23 is resettable: no claim. */
    assert_int_equal(claims.measurement_count, 9);
    for (size_t i = 0; i < 8; i++) {
        const struct atls_measurement *m = &claims.measurements[i];

        assert_int_equal(m->mkey.kind, ATLS_MKEY_UINT);
        assert_int_equal(m->mkey.number, i);
        assert_int_equal(m->mval.present, ATLS_MVAL_DIGESTS);
        assert_int_equal(m->mval.digest_count, i == 0 ? 2 : 1);
        assert_int_equal(m->mval.digests[0].hash, ATLS_HASH_SHA256);
        assert_int_equal(m->mval.digests[0].named_information, 1);
        memset(want, (int)i + 1, sizeof want);
        test_assert_bytes(m->mval.digests[0].value, atls_bytes_of(want, 32));
    }
    memset(want, 0x41, sizeof want);
    assert_int_equal(claims.measurements[0].mval.digests[1].named_information, 7);
    test_assert_bytes(claims.measurements[0].mval.digests[1].value, atls_bytes_of(want, 48));
    assert_int_equal(claims.measurements[8].mkey.number, 10);
    assert_int_equal(claims.measurements[8].mval.digests[0].named_information, 8);

    assert_int_equal(find_detail(&claims, "reset-count").number, 7);
    assert_int_equal(find_detail(&claims, "restart-count").number, 2);
    assert_int_equal(find_detail(&claims, "clock").number, 123457);
    assert_int_equal(find_detail(&claims, "clock-safe").number, 1);
    assert_true(find_detail(&claims, "firmware-version").number == 0x0102030405060708);
    assert_true(atls_bytes_equal_text(find_detail(&claims, "pcr-bank").bytes, "sha256"));
    atls_claims_clear(&claims);
    assert_int_equal(claims.measurement_count, 0);
    fixture_free(f);
}

/* ---- whose key ---- */

static const uint8_t foreign_kid[ATLS_TPM_KID_LEN] = {1, 9, 9, 9};

static void kids_differ(struct fixture *f)
{
    f->e.certify_kid = atls_bytes_of(foreign_kid, sizeof foreign_kid);
}

static void kids_of_another(struct fixture *f)
{
    f->e.certify_kid = atls_bytes_of(foreign_kid, sizeof foreign_kid);
    f->e.quote_kid = f->e.certify_kid;
}

static void ak_name_sha384(struct fixture *f)
{
    f->e.ak.name_alg = ATLS_TPM_ALG_SHA384;
}

static void ak_name_sha1(struct fixture *f)
{
    f->e.ak.name_alg = ATLS_TPM_ALG_SHA1;
}

static void ak_pub_malformed(struct fixture *f)
{
    f->e.ak_public = atls_bytes_of("\0\1", 2);
}

static void ak_pub_of_another(struct fixture *f)
{
    f->planted = test_tpm_public(&f->other);
    f->e.ak_public = atls_buf_bytes(&f->planted);
}

static void ak_pub_off_the_curve(struct fixture *f)
{
    uint8_t digest[ATLS_HASH_MAX];

    f->planted = test_tpm_public(&f->e.ak);
    f->planted.ptr[f->planted.len - 1] ^= 1;
    f->e.ak_public = atls_buf_bytes(&f->planted);
    assert_int_equal(atls_hash_one(ATLS_HASH_SHA256, f->e.ak_public, digest, NULL), ATLS_OK);
    f->bytes[0] = 1;
    memcpy(f->bytes + 1, digest, 32);
    f->e.certify_kid = f->e.quote_kid = atls_bytes_of(f->bytes, ATLS_TPM_KID_LEN);
}

static void ak_pub_of_an_unknown_curve(struct fixture *f)
{
    uint8_t digest[ATLS_HASH_MAX];

    f->planted = test_tpm_public(&f->e.ak);
    /* curveID follows type, nameAlg, attributes, an empty policy, no cipher, scheme and hash */
    assert_int_equal(f->planted.ptr[17], ATLS_TPM_ECC_NIST_P256);
    f->planted.ptr[17] = 0x20;
    f->e.ak_public = atls_buf_bytes(&f->planted);
    assert_int_equal(atls_hash_one(ATLS_HASH_SHA256, f->e.ak_public, digest, NULL), ATLS_OK);
    f->bytes[0] = 1;
    memcpy(f->bytes + 1, digest, 32);
    f->e.certify_kid = f->e.quote_kid = atls_bytes_of(f->bytes, ATLS_TPM_KID_LEN);
}

static void not_enrolled(struct fixture *f)
{
    f->enrolled = NOT_ENROLLED;
}

static void another_enrolled(struct fixture *f)
{
    f->enrolled = ENROLLED;
    f->enrolled_as = &f->other;
}

static void another_enrolled_by_key(struct fixture *f)
{
    f->enrolled = ENROLLED_OTHER;
}

/* The same key under another public area is another key: it was enrolled restricted, say. */
static void other_area_enrolled(struct fixture *f)
{
    static struct test_tpm_key key;

    key = f->e.ak;
    key.attributes ^= ATLS_TPMA_USER_WITH_AUTH;
    f->enrolled_as = &key;
}

static void no_source(struct fixture *f)
{
    f->request.source = NULL;
}

static void source_of_nothing(struct fixture *f)
{
    static const struct atls_endorsement_source nothing;

    f->request.source = &nothing;
}

static void broken_store(struct fixture *f)
{
    f->enrolled = BROKEN_STORE;
}

static void untrusted_keys_are_refused(void **state)
{
    static const struct row rows[] = {
        {"kids of the halves differ", kids_differ, ATLS_E_EVIDENCE, ATLS_REASON_KID_MISMATCH},
        {"kid of another key", kids_of_another, ATLS_E_EVIDENCE, ATLS_REASON_KID_MISMATCH},
        {"AK with a SHA-384 Name, which has no kid", ak_name_sha384, ATLS_E_EVIDENCE,
         ATLS_REASON_KID_MISMATCH},
        {"AK with a SHA-1 Name", ak_name_sha1, ATLS_E_EVIDENCE, ATLS_REASON_WEAK_HASH},
        {"akPub is malformed", ak_pub_malformed, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"akPub of another key", ak_pub_of_another, ATLS_E_EVIDENCE, ATLS_REASON_KID_MISMATCH},
        {"akPub is no point of its curve", ak_pub_off_the_curve, ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"akPub on a curve that we do not do", ak_pub_of_an_unknown_curve, ATLS_E_UNSUPPORTED,
         ATLS_REASON_NONE},
        {"a self-made AK", not_enrolled, ATLS_E_EVIDENCE, ATLS_REASON_UNTRUSTED_AK},
        {"another public area on file", another_enrolled, ATLS_E_EVIDENCE,
         ATLS_REASON_UNTRUSTED_AK},
        {"another key on file", another_enrolled_by_key, ATLS_E_EVIDENCE, ATLS_REASON_UNTRUSTED_AK},
        {"the key on file with other attributes", other_area_enrolled, ATLS_E_EVIDENCE,
         ATLS_REASON_UNTRUSTED_AK},
        {"no source of keys", no_source, ATLS_E_EVIDENCE, ATLS_REASON_UNTRUSTED_AK},
        {"a source without functions", source_of_nothing, ATLS_E_EVIDENCE,
         ATLS_REASON_UNTRUSTED_AK},
        {"the store's own trouble is no refusal", broken_store, ATLS_E_CONFIG, ATLS_REASON_NONE},
    };

    (void)state;
    RUN(rows);
}

/* ---- AK certificates ---- */

static void certify_ak(struct fixture *f, const struct test_extension *extensions)
{
    struct test_certificate spec = {
        .spki = atls_key_spki(atls_private_key_public(f->e.ak.private_key)),
        .extensions = extensions,
    };

    f->enrolled = NOT_ENROLLED;
    f->ca = test_ca("TPM maker");
    f->certificate = test_issue(&f->ca, &spec);
    f->anchors = test_anchors(atls_buf_bytes(&f->ca.certificate));
    f->e.ak_chain[0] = atls_buf_bytes(&f->certificate.certificate);
    f->e.ak_chain[1] = atls_buf_bytes(&f->ca.certificate);
    f->e.ak_chain_count = 2;
}

static const struct test_extension signing[] = {{"keyUsage", "critical,digitalSignature"},
                                                {NULL, NULL}};
static const struct test_extension signing_ak[] = {
    {"keyUsage", "critical,digitalSignature"}, {"extendedKeyUsage", "2.23.133.8.3"}, {NULL, NULL}};
static const struct test_extension agreeing[] = {{"keyUsage", "critical,keyAgreement"},
                                                 {NULL, NULL}};

static void certified(struct fixture *f)
{
    certify_ak(f, signing);
}

static void certified_and_padded(struct fixture *f)
{
    certify_ak(f, signing);
    f->planted.len = f->certificate.certificate.len + 100;
    f->planted.ptr = calloc(1, f->planted.len);
    assert_non_null(f->planted.ptr);
    memcpy(f->planted.ptr, f->certificate.certificate.ptr, f->certificate.certificate.len);
    f->e.ak_chain[0] = atls_buf_bytes(&f->planted);
}

static void certified_without_class(struct fixture *f)
{
    certify_ak(f, signing);
    f->anchor_class = NO_CLASS;
}

static void certified_source_without_class(struct fixture *f)
{
    certify_ak(f, signing);
    f->source.anchor_class = NULL;
}

static void certified_with_usage(struct fixture *f)
{
    certify_ak(f, signing_ak);
    f->options.require_ak_eku = true;
}

static void certified_class_broken(struct fixture *f)
{
    certify_ak(f, signing);
    f->anchor_class = BROKEN_CLASS;
}

static void certified_without_usage(struct fixture *f)
{
    certify_ak(f, signing);
    f->options.require_ak_eku = true;
}

static void certified_for_agreement(struct fixture *f)
{
    certify_ak(f, agreeing);
}

static void certified_for_another(struct fixture *f)
{
    struct test_tpm_key key = f->e.ak;

    f->e.ak = f->other;
    certify_ak(f, signing);
    f->e.ak = key;
}

static void certified_without_anchor(struct fixture *f)
{
    certify_ak(f, signing);
    atls_anchors_unref(f->anchors);
    f->anchors = NULL;
}

static void certified_source_without_anchors(struct fixture *f)
{
    certify_ak(f, signing);
    f->source.ak_anchors = NULL;
}

static void certified_below_another_anchor(struct fixture *f)
{
    struct test_identity ca = test_ca("another maker");

    certify_ak(f, signing);
    atls_anchors_unref(f->anchors);
    f->anchors = test_anchors(atls_buf_bytes(&ca.certificate));
    test_identity_clear(&ca);
}

static void certified_too_late(struct fixture *f)
{
    certify_ak(f, signing);
    f->request.time_s = TEST_NOT_AFTER_S + 1;
}

static void certified_too_early(struct fixture *f)
{
    certify_ak(f, signing);
    f->request.time_s = TEST_NOT_BEFORE_S - 1;
}

static void certified_by_garbage(struct fixture *f)
{
    certify_ak(f, signing);
    f->e.ak_chain[0] = atls_bytes_of("0123456789", 10);
}

static void chain_labelled_from_one(struct fixture *f)
{
    certify_ak(f, signing);
    f->e.ak_chain_first = 1;
}

static void chain_of_another_format(struct fixture *f)
{
    certify_ak(f, signing);
    f->e.ak_chain_format = 60;
}

static void chain_that_is_no_collection(struct fixture *f)
{
    certify_ak(f, signing);
    f->e.ak_chain_is_record = true;
}

/* A certificate does not help a key that contradicts what is on file. */
static void certified_against_the_file(struct fixture *f)
{
    certify_ak(f, signing);
    f->enrolled = ENROLLED;
    f->enrolled_as = &f->other;
}

static void ak_certificates(void **state)
{
    static const struct row rows[] = {
        {"certified", certified, ATLS_OK, ATLS_REASON_NONE},
        {"certificate padded as in NV", certified_and_padded, ATLS_OK, ATLS_REASON_NONE},
        {"anchor without a class", certified_without_class, ATLS_OK, ATLS_REASON_NONE},
        {"source without classes", certified_source_without_class, ATLS_OK, ATLS_REASON_NONE},
        {"extended key usage required and there", certified_with_usage, ATLS_OK, ATLS_REASON_NONE},
        {"the store's own trouble", certified_class_broken, ATLS_E_IO, ATLS_REASON_NONE},
        {"extended key usage required and missing", certified_without_usage, ATLS_E_CERTIFICATE,
         ATLS_REASON_KEY_USAGE},
        {"an endorsement certificate", certified_for_agreement, ATLS_E_CERTIFICATE,
         ATLS_REASON_KEY_USAGE},
        {"certificate of another key", certified_for_another, ATLS_E_EVIDENCE,
         ATLS_REASON_UNTRUSTED_AK},
        {"no anchors", certified_without_anchor, ATLS_E_EVIDENCE, ATLS_REASON_UNTRUSTED_AK},
        {"source without anchors", certified_source_without_anchors, ATLS_E_EVIDENCE,
         ATLS_REASON_UNTRUSTED_AK},
        {"another anchor", certified_below_another_anchor, ATLS_E_CERTIFICATE,
         ATLS_REASON_UNTRUSTED_ROOT},
        {"expired", certified_too_late, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_EXPIRED},
        {"not yet valid", certified_too_early, ATLS_E_CERTIFICATE,
         ATLS_REASON_CERTIFICATE_NOT_YET_VALID},
        {"no certificate at all", certified_by_garbage, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"a chain that begins with label 1", chain_labelled_from_one, ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"a chain of other records than certificates", chain_of_another_format, ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"a chain that is no collection", chain_that_is_no_collection, ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"another key on file", certified_against_the_file, ATLS_E_EVIDENCE,
         ATLS_REASON_UNTRUSTED_AK},
    };

    (void)state;
    RUN(rows);
}

static void claims_of_a_certified_key(void **state)
{
    struct fixture *f = fixture_new();
    struct atls_claims claims;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    certify_ak(f, signing);
    test_assert_code(verify(f, &claims, &err), ATLS_OK, &err);
    assert_int_equal(err.code, ATLS_OK);
    assert_int_equal(claims.key_trust, ATLS_KEY_TRUST_CERTIFIED);
    test_assert_bytes(claims.environment.class_id, atls_bytes_of(class_id, sizeof class_id));
    assert_true(atls_bytes_equal_text(claims.environment.model, "Cloud"));
    assert_null(claims.environment.vendor.ptr);
    atls_claims_clear(&claims);
    fixture_free(f);
}

/* ---- attributes: each wrong bit alone ---- */

static void attributes_are_checked_bit_by_bit(void **state)
{
    static const struct {
        const char *name;
        uint32_t ak, aik; /* bits to flip */
    } rows[] = {
        {"AK without fixedTPM", ATLS_TPMA_FIXED_TPM, 0},
        {"AK without fixedParent", ATLS_TPMA_FIXED_PARENT, 0},
        {"AK made outside", ATLS_TPMA_SENSITIVE_DATA_ORIGIN, 0},
        {"AK unrestricted: signs a foreign magic too", ATLS_TPMA_RESTRICTED, 0},
        {"AK that does not sign", ATLS_TPMA_SIGN, 0},
        {"AK that decrypts", ATLS_TPMA_DECRYPT, 0},
        {"AIK without fixedTPM", 0, ATLS_TPMA_FIXED_TPM},
        {"AIK without fixedParent", 0, ATLS_TPMA_FIXED_PARENT},
        {"AIK made outside", 0, ATLS_TPMA_SENSITIVE_DATA_ORIGIN},
        {"AIK that does not sign", 0, ATLS_TPMA_SIGN},
        {"AIK restricted", 0, ATLS_TPMA_RESTRICTED},
        {"AIK that decrypts", 0, ATLS_TPMA_DECRYPT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture *f = fixture_new();
        struct atls_claims claims;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        f->e.ak.attributes ^= rows[i].ak;
        f->e.aik.attributes ^= rows[i].aik;
        test_assert_code(verify(f, &claims, &err), ATLS_E_EVIDENCE, &err);
        assert_int_equal(err.reason, ATLS_REASON_KEY_ATTRIBUTES);
        fixture_free(f);
    }
}

/* ---- TPM2_Certify ---- */

static void certify_trailing(struct fixture *f)
{
    f->e.certify.trailing = atls_bytes_of("\0", 1);
}

static void certify_magic(struct fixture *f)
{
    f->e.certify.magic = 0;
}

static void certify_type(struct fixture *f)
{
    f->e.certify.type = ATLS_TPM_ST_ATTEST_QUOTE;
}

static void certify_is_creation(struct fixture *f)
{
    f->e.certify.type = 0x801a;
}

static void certify_signed_by_other(struct fixture *f)
{
    f->planted = test_tpm_attest(&f->e.quote);
    f->planted2 = test_tpm_sign(&f->other, atls_buf_bytes(&f->planted));
    f->e.certify_signature = atls_buf_bytes(&f->planted2);
}

static void certify_signature_sha1(struct fixture *f)
{
    f->e.certify_signature = atls_bytes_of("\x00\x18\x00\x04\x00\x01\x01\x00\x01\x01", 10);
}

static void certify_signature_sha384(struct fixture *f)
{
    f->e.certify_signature = atls_bytes_of("\x00\x18\x00\x0c\x00\x01\x01\x00\x01\x01", 10);
}

static void certify_signature_rsa(struct fixture *f)
{
    f->e.certify_signature = atls_bytes_of("\x00\x14\x00\x0b\x00\x01\x01", 7);
}

static void certify_signature_zero(struct fixture *f)
{
    f->e.certify_signature = atls_bytes_of("\x00\x18\x00\x0b\x00\x01\x00\x00\x01\x00", 10);
}

static void certify_signature_long(struct fixture *f)
{
    static const uint8_t long_r[6 + 40 + 3] = {0, 0x18, 0, 0x0b, 0, 40, 1, [47] = 1, [48] = 1};

    f->e.certify_signature = atls_bytes_of(long_r, sizeof long_r);
}

static void certify_signature_malformed(struct fixture *f)
{
    f->e.certify_signature = atls_bytes_of("\x00\x18", 2);
}

static void certify_nonce(struct fixture *f)
{
    f->e.certify.extra_data = atls_bytes_of(binder + 1, 32);
}

static void certify_nonce_short(struct fixture *f)
{
    f->e.certify.extra_data.len--;
}

static void certify_nonce_long(struct fixture *f)
{
    f->e.certify.extra_data = atls_bytes_of(binder, 33);
}

static void certify_nonce_empty(struct fixture *f)
{
    f->e.certify.extra_data.len = 0;
}

static void certify_name(struct fixture *f)
{
    f->planted = test_tpm_name(&f->e.ak);
    f->e.certify.name = atls_buf_bytes(&f->planted);
}

static void certify_pub_area_of_another(struct fixture *f)
{
    f->planted = test_tpm_name(&f->e.aik);
    f->e.certify.name = atls_buf_bytes(&f->planted);
    f->planted2 = test_tpm_public(&f->other);
    f->e.aik_public = atls_buf_bytes(&f->planted2);
}

static void certify_pub_area_malformed(struct fixture *f)
{
    f->e.aik_public = atls_bytes_of("\0\x23", 2);
}

static void certify_name_sha1(struct fixture *f)
{
    f->e.aik.name_alg = ATLS_TPM_ALG_SHA1;
}

static void another_tls_key(struct fixture *f)
{
    f->request.aik_spki = atls_key_spki(atls_private_key_public(f->other.private_key));
}

static void certify_signer_empty(struct fixture *f)
{
    f->e.certify.qualified_signer.len = 0;
}

static void certify_clock(struct fixture *f)
{
    f->e.certify.safe = 0;
}

static void lies_of_the_certification(void **state)
{
    static const struct row rows[] = {
        {"one trailing byte", certify_trailing, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"magic 00000000", certify_magic, ATLS_E_EVIDENCE, ATLS_REASON_NOT_TPM_GENERATED},
        {"a quote in its place", certify_type, ATLS_E_EVIDENCE, ATLS_REASON_WRONG_ATTEST_TYPE},
        {"an attestation of another type", certify_is_creation, ATLS_E_EVIDENCE,
         ATLS_REASON_WRONG_ATTEST_TYPE},
        {"signed by another key", certify_signed_by_other, ATLS_E_EVIDENCE, ATLS_REASON_SIGNATURE},
        {"signature with SHA-1", certify_signature_sha1, ATLS_E_EVIDENCE, ATLS_REASON_WEAK_HASH},
        {"signature with a hash that is not the AK's", certify_signature_sha384, ATLS_E_EVIDENCE,
         ATLS_REASON_SIGNATURE},
        {"signature of a scheme that is not the AK's", certify_signature_rsa, ATLS_E_EVIDENCE,
         ATLS_REASON_SIGNATURE},
        {"r and s of zero", certify_signature_zero, ATLS_E_EVIDENCE, ATLS_REASON_SIGNATURE},
        {"r longer than the field", certify_signature_long, ATLS_E_EVIDENCE, ATLS_REASON_SIGNATURE},
        {"malformed signature", certify_signature_malformed, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"another nonce", certify_nonce, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH},
        {"nonce cut", certify_nonce_short, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH},
        {"nonce longer than the binder", certify_nonce_long, ATLS_E_EVIDENCE,
         ATLS_REASON_NONCE_MISMATCH},
        {"no nonce", certify_nonce_empty, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH},
        {"Name of another object", certify_name, ATLS_E_EVIDENCE, ATLS_REASON_NAME_MISMATCH},
        {"public area of another key", certify_pub_area_of_another, ATLS_E_EVIDENCE,
         ATLS_REASON_NAME_MISMATCH},
        {"malformed public area", certify_pub_area_malformed, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"AIK with a SHA-1 Name", certify_name_sha1, ATLS_E_EVIDENCE, ATLS_REASON_WEAK_HASH},
        {"another key in the TLS certificate", another_tls_key, ATLS_E_EVIDENCE,
         ATLS_REASON_KEY_BINDING_MISMATCH},
        {"no qualified signer", certify_signer_empty, ATLS_E_EVIDENCE,
         ATLS_REASON_QUALIFIED_SIGNER_EMPTY},
        {"unsafe clock", certify_clock, ATLS_E_EVIDENCE, ATLS_REASON_CLOCK_UNSAFE},
    };

    (void)state;
    RUN(rows);
}

/* ---- TPM2_Quote ---- */

static void quote_trailing(struct fixture *f)
{
    f->e.quote.trailing = atls_bytes_of("\0", 1);
}

static void quote_magic(struct fixture *f)
{
    f->e.quote.magic = 0xff544346;
}

static void quote_type(struct fixture *f)
{
    f->e.quote.type = ATLS_TPM_ST_ATTEST_CERTIFY;
}

static void quote_signature_flipped(struct fixture *f)
{
    struct atls_buf attest = test_tpm_attest(&f->e.quote);

    f->planted = test_tpm_sign(&f->e.ak, atls_buf_bytes(&attest));
    atls_buf_clear(&attest);
    f->planted.ptr[f->planted.len - 1] ^= 1;
    f->e.quote_signature = atls_buf_bytes(&f->planted);
}

static void quote_signer_empty(struct fixture *f)
{
    f->e.quote.qualified_signer.len = 0;
}

static void quote_nonce(struct fixture *f)
{
    f->e.quote.extra_data = atls_bytes_of(binder + 1, 32);
}

/* A nonce that would do for another cipher suite: the two are never mixed up. */
static void quote_nonce_of_other_length(struct fixture *f)
{
    f->binder_len = 48;
}

static void quote_clock(struct fixture *f)
{
    f->e.quote.safe = 0;
}

static void quote_of_nothing(struct fixture *f)
{
    f->e.quote.selection_count = 0;
    f->e.bank_count = 0;
}

static void quote_of_no_pcr(struct fixture *f)
{
    test_tpm_evidence_add_bank(&f->e, ATLS_TPM_ALG_SHA384, 1);
    f->e.quote.selections[1].bitmap = 0;
}

static void quote_bank_twice(struct fixture *f)
{
    f->e.quote.selections[1] = f->e.quote.selections[0];
    f->e.quote.selection_count = 2;
    test_tpm_evidence_add_bank(&f->e, ATLS_TPM_ALG_SHA384, 1);
    f->e.quote.selection_count = 2;
}

static void quote_unknown_bank(struct fixture *f)
{
    f->e.quote.selections[0].hash = 0x0012;
}

static void quote_sha1_bank(struct fixture *f)
{
    test_tpm_evidence_add_bank(&f->e, ATLS_TPM_ALG_SHA1, 0xff);
}

static void quote_of_pcr_24(struct fixture *f)
{
    f->e.quote.selections[0].bitmap = 0x010000ff;
}

static void quote_of_other_pcrs(struct fixture *f)
{
    f->e.quote.selections[0].bitmap = 0x810000; /* 16 and 23, relabelled as 0 to 7 */
}

static void value_missing(struct fixture *f)
{
    f->e.banks[0].present = 0x7f;
}

static void value_not_quoted(struct fixture *f)
{
    f->e.banks[0].present = 0x1ff;
}

static void bank_not_quoted(struct fixture *f)
{
    test_tpm_evidence_add_bank(&f->e, ATLS_TPM_ALG_SHA384, 1);
    f->e.quote.selection_count = 1;
}

static void bank_missing(struct fixture *f)
{
    test_tpm_evidence_add_bank(&f->e, ATLS_TPM_ALG_SHA384, 1);
    f->e.bank_count = 1;
}

static void bank_relabelled(struct fixture *f)
{
    f->e.banks[0].hash = ATLS_TPM_ALG_SHA384;
}

static void value_of_other_length(struct fixture *f)
{
    f->e.banks[0].values[3].len = 31;
}

/* Two values of other lengths whose concatenation is the quoted one. */
static void values_shifted(struct fixture *f)
{
    memset(f->e.values[0][0], 7, 64);
    f->e.banks[0].present = f->e.quote.selections[0].bitmap = 3;
    f->e.banks[0].values[0] = atls_bytes_of(f->e.values[0][0], 48);
    f->e.banks[0].values[1] = atls_bytes_of(f->e.values[0][0], 16);
}

static void digest_of_other_values(struct fixture *f)
{
    f->e.quote.pcr_digest = atls_bytes_of(binder, 32);
}

static void digest_cut(struct fixture *f)
{
    assert_int_equal(atls_hash_parts(ATLS_HASH_SHA256, f->e.banks[0].values, 8, f->bytes, NULL),
                     ATLS_OK);
    f->e.quote.pcr_digest = atls_bytes_of(f->bytes, 31);
}

/* The bank's hash in place of the signature's. */
static void digest_by_the_bank(struct fixture *f)
{
    f->e.quote.selection_count = f->e.bank_count = 0;
    test_tpm_evidence_add_bank(&f->e, ATLS_TPM_ALG_SHA384, 1);
    assert_int_equal(atls_hash_one(ATLS_HASH_SHA384, f->e.banks[0].values[0], f->bytes, NULL),
                     ATLS_OK);
    f->e.quote.pcr_digest = atls_bytes_of(f->bytes, 48);
}

static void event_log_of_another(struct fixture *f)
{
    f->planted = test_vector("tpm/eventlogs/rhel8-uefi.bin");
    f->e.event_log = atls_buf_bytes(&f->planted);
}

static void event_log_malformed(struct fixture *f)
{
    f->e.event_log = atls_bytes_of("log", 3);
}

static void ima_log_of_another(struct fixture *f)
{
    test_tpm_evidence_add_bank(&f->e, ATLS_TPM_ALG_SHA384, 0x400);
    f->planted = test_vector("tpm/ima/ima-log-sha256");
    f->e.ima_log = atls_buf_bytes(&f->planted);
}

static void ima_log_without_pcr_10(struct fixture *f)
{
    f->planted = test_vector("tpm/ima/ima-log-sha256");
    f->e.ima_log = atls_buf_bytes(&f->planted);
}

/* PCR 10 after the violation that this log begins with. */
static void ima_violation(struct fixture *f)
{
    uint8_t joined[96];

    memset(joined, 0, 48);
    memset(joined + 48, 0xff, 48);
    assert_int_equal(
        atls_hash_one(ATLS_HASH_SHA384, atls_bytes_of(joined, sizeof joined), f->bytes, NULL),
        ATLS_OK);
    test_tpm_evidence_add_bank(&f->e, ATLS_TPM_ALG_SHA384, 0x400);
    test_tpm_evidence_set(&f->e, 1, 10, atls_bytes_of(f->bytes, 48));
    f->planted = test_vector("tpm/ima/ima-log-sha384");
    f->e.ima_log = atls_buf_bytes(&f->planted);
}

static void ima_violation_allowed(struct fixture *f)
{
    ima_violation(f);
    f->options.allow_ima_violations = true;
}

/* Two banks that stand at different entries of one log cannot be of one moment. */
static void ima_banks_apart(struct fixture *f)
{
    struct atls_buf one =
        test_unhex("a5c115cd8f5541458408147536f632174d2b0a9f329e7c4ddea9a12642b4d74b");
    uint8_t joined[40], digest[ATLS_HASH_MAX];
    static const char first[] = "28000000"
                                "7368613235363a00"
                                "e4cb9f5709c88376b5fc3743cd88e76b9aae8f3d992d845678de5215edb31216"
                                "0f000000"
                                "626f6f745f61676772656761746500"
                                "00000000";
    struct atls_buf template_data = test_unhex(first);

    memset(joined, 0, 20);
    assert_int_equal(atls_hash_one(ATLS_HASH_SHA1, atls_buf_bytes(&template_data), digest, NULL),
                     ATLS_OK);
    memcpy(joined + 20, digest, 20);
    assert_int_equal(
        atls_hash_one(ATLS_HASH_SHA1, atls_bytes_of(joined, sizeof joined), f->bytes, NULL),
        ATLS_OK);
    f->options.allow_sha1_pcr_bank = true;
    f->e.quote.selection_count = f->e.bank_count = 0;
    test_tpm_evidence_add_bank(&f->e, ATLS_TPM_ALG_SHA256, 0x400);
    test_tpm_evidence_set(&f->e, 0, 10, atls_buf_bytes(&one));
    test_tpm_evidence_add_bank(&f->e, ATLS_TPM_ALG_SHA1, 0x400);
    test_tpm_evidence_set(&f->e, 1, 10, atls_bytes_of(f->bytes, 20));
    f->planted = test_vector("tpm/ima/ima-sig-unsigned.txt");
    f->e.ima_log = atls_buf_bytes(&f->planted);
    atls_buf_clear(&one);
    atls_buf_clear(&template_data);
}

static void lies_of_the_quote(void **state)
{
    static const struct row rows[] = {
        {"one trailing byte", quote_trailing, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"another magic", quote_magic, ATLS_E_EVIDENCE, ATLS_REASON_NOT_TPM_GENERATED},
        {"a certification in its place", quote_type, ATLS_E_EVIDENCE,
         ATLS_REASON_WRONG_ATTEST_TYPE},
        {"one bit of the signature", quote_signature_flipped, ATLS_E_EVIDENCE,
         ATLS_REASON_SIGNATURE},
        {"no qualified signer", quote_signer_empty, ATLS_E_EVIDENCE,
         ATLS_REASON_QUALIFIED_SIGNER_EMPTY},
        {"another nonce", quote_nonce, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH},
        {"nonce of a 32-byte binder for one of 48", quote_nonce_of_other_length, ATLS_E_EVIDENCE,
         ATLS_REASON_NONCE_MISMATCH},
        {"unsafe clock", quote_clock, ATLS_E_EVIDENCE, ATLS_REASON_CLOCK_UNSAFE},
        {"no bank", quote_of_nothing, ATLS_E_EVIDENCE, ATLS_REASON_PCR_SELECTION},
        {"a bank without a PCR", quote_of_no_pcr, ATLS_E_EVIDENCE, ATLS_REASON_PCR_SELECTION},
        {"one bank twice", quote_bank_twice, ATLS_E_EVIDENCE, ATLS_REASON_PCR_SELECTION},
        {"a bank that is not known", quote_unknown_bank, ATLS_E_UNSUPPORTED,
         ATLS_REASON_PCR_SELECTION},
        {"a SHA-1 bank", quote_sha1_bank, ATLS_E_EVIDENCE, ATLS_REASON_WEAK_PCR_BANK},
        {"PCR 24", quote_of_pcr_24, ATLS_E_EVIDENCE, ATLS_REASON_PCR_SELECTION},
        {"values of other PCRs than quoted", quote_of_other_pcrs, ATLS_E_EVIDENCE,
         ATLS_REASON_PCR_SELECTION},
        {"a value is missing", value_missing, ATLS_E_EVIDENCE, ATLS_REASON_PCR_SELECTION},
        {"a value that is not quoted", value_not_quoted, ATLS_E_EVIDENCE,
         ATLS_REASON_PCR_SELECTION},
        {"a bank of values that is not quoted", bank_not_quoted, ATLS_E_EVIDENCE,
         ATLS_REASON_PCR_SELECTION},
        {"a bank of values is missing", bank_missing, ATLS_E_EVIDENCE, ATLS_REASON_PCR_SELECTION},
        {"values under the name of another bank", bank_relabelled, ATLS_E_EVIDENCE,
         ATLS_REASON_PCR_SELECTION},
        {"a value of another length", value_of_other_length, ATLS_E_EVIDENCE,
         ATLS_REASON_PCR_DIGEST_MISMATCH},
        {"values cut at another place", values_shifted, ATLS_E_EVIDENCE,
         ATLS_REASON_PCR_DIGEST_MISMATCH},
        {"digest of other values", digest_of_other_values, ATLS_E_EVIDENCE,
         ATLS_REASON_PCR_DIGEST_MISMATCH},
        {"digest cut", digest_cut, ATLS_E_EVIDENCE, ATLS_REASON_PCR_DIGEST_MISMATCH},
        {"digest with the hash of the bank", digest_by_the_bank, ATLS_E_EVIDENCE,
         ATLS_REASON_PCR_DIGEST_MISMATCH},
        {"event log of another machine", event_log_of_another, ATLS_E_EVIDENCE,
         ATLS_REASON_EVENT_LOG_MISMATCH},
        {"malformed event log", event_log_malformed, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"IMA log of another machine", ima_log_of_another, ATLS_E_EVIDENCE,
         ATLS_REASON_IMA_LOG_MISMATCH},
        {"IMA log without PCR 10", ima_log_without_pcr_10, ATLS_E_EVIDENCE,
         ATLS_REASON_IMA_LOG_MISMATCH},
        {"IMA log and banks of two moments", ima_banks_apart, ATLS_E_EVIDENCE,
         ATLS_REASON_IMA_LOG_MISMATCH},
        {"IMA log with a violation", ima_violation, ATLS_E_EVIDENCE, ATLS_REASON_MEASUREMENT},
        {"IMA log with a violation, allowed", ima_violation_allowed, ATLS_OK, ATLS_REASON_NONE},
    };

    (void)state;
    RUN(rows);
}

/* ---- the halves together ---- */

static void other_signer(struct fixture *f)
{
    f->e.quote.qualified_signer = atls_bytes_of(binder, 34);
}

static void other_reset(struct fixture *f)
{
    f->e.quote.reset_count++;
}

static void other_restart(struct fixture *f)
{
    f->e.quote.restart_count--;
}

static void halves_of_different_boots(void **state)
{
    static const struct row rows[] = {
        {"different qualified signers", other_signer, ATLS_E_EVIDENCE,
         ATLS_REASON_QUALIFIED_SIGNER_MISMATCH},
        {"a reset between the halves", other_reset, ATLS_E_EVIDENCE,
         ATLS_REASON_RESET_COUNT_MISMATCH},
        {"a restart between the halves", other_restart, ATLS_E_EVIDENCE,
         ATLS_REASON_RESET_COUNT_MISMATCH},
    };

    (void)state;
    RUN(rows);
}

/* ---- logs that come along ---- */

static void logs_become_details(void **state)
{
    struct fixture *f = fixture_new();
    struct atls_buf log = test_vector("tpm/gce-cos-85-nonce9009/event_log.bin");
    struct atls_buf ima = test_vector("tpm/ima/ima-log-sha256");
    struct atls_buf ten =
        test_unhex("8dcd5e7eb63e363377ec19b0d358601ccc19f25a30486f35784c5288dbb91d9d");
    struct atls_buf text = test_vector("tpm/gce-cos-85-nonce9009/pcrs_sha256.txt");
    const char *line = (const char *)text.ptr;
    struct atls_claims claims;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    f->e.quote.selection_count = f->e.bank_count = 0;
    test_tpm_evidence_add_bank(&f->e, ATLS_TPM_ALG_SHA256, 0x4ff);
    for (unsigned int pcr = 0; pcr < 8; pcr++) {
        char hex[65] = {0};
        struct atls_buf value;

        memcpy(hex, line + 2, 64);
        value = test_unhex(hex);
        test_tpm_evidence_set(&f->e, 0, pcr, atls_buf_bytes(&value));
        atls_buf_clear(&value);
        line = strchr(line, '\n') + 1;
    }
    test_tpm_evidence_set(&f->e, 0, 10, atls_buf_bytes(&ten));
    f->e.event_log = atls_buf_bytes(&log);
    f->e.ima_log = atls_buf_bytes(&ima);
    test_assert_code(verify(f, &claims, &err), ATLS_OK, &err);
    assert_int_equal(find_detail(&claims, "event-log-events").number, 44);
    assert_int_equal(find_detail(&claims, "secure-boot").number, 1);
    assert_int_equal(find_detail(&claims, "ima-entries").number, 2);
    assert_int_equal(find_detail(&claims, "ima-violations").number, 0);
    atls_claims_clear(&claims);
    atls_buf_clear(&log);
    atls_buf_clear(&ima);
    atls_buf_clear(&ten);
    atls_buf_clear(&text);
    fixture_free(f);
}

/* Also with a public area on file, and although a certificate would do without any key on file. */
static void keys_of_other_technologies(void **state)
{
    const char *others[TEST_OTHER_TECHNOLOGIES];

    (void)state;
    test_other_technologies("tpm", others);
    for (size_t i = 0; i < 2 * TEST_OTHER_TECHNOLOGIES; i++) {
        struct fixture *f = fixture_new();
        struct atls_claims claims = {.technology = "untouched"};
        struct atls_err err = ATLS_ERR_INIT;

        certify_ak(f, NULL);
        f->enrolled = i % 2 == 0 ? ENROLLED : ENROLLED_KEY_ONLY;
        f->technology = others[i / 2];
        test_assert_code(verify(f, &claims, &err), ATLS_E_EVIDENCE, &err);
        test_assert_other_technology(&err, ATLS_REASON_UNTRUSTED_AK, "tpm", others[i / 2]);
        assert_string_equal(claims.technology, "untouched");
        fixture_free(f);
    }
}

static void names_of_technologies(void **state)
{
    (void)state;
    for (const struct atls_technology *const *t = atls_technologies; *t != NULL; t++)
        assert_ptr_equal(atls_technology_name(atls_bytes_of((*t)->name, strlen((*t)->name))),
                         (*t)->name);
    assert_null(atls_technology_name(atls_bytes_of("", 0)));
    assert_null(atls_technology_name(atls_bytes_of("tp", 2)));
    assert_null(atls_technology_name(atls_bytes_of("tpm2", 4)));
    assert_null(atls_technology_name(atls_bytes_of("TPM", 3)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_evidence_is_accepted),
        cmocka_unit_test(claims_say_what_was_signed),
        cmocka_unit_test(untrusted_keys_are_refused),
        cmocka_unit_test(ak_certificates),
        cmocka_unit_test(claims_of_a_certified_key),
        cmocka_unit_test(attributes_are_checked_bit_by_bit),
        cmocka_unit_test(lies_of_the_certification),
        cmocka_unit_test(lies_of_the_quote),
        cmocka_unit_test(halves_of_different_boots),
        cmocka_unit_test(logs_become_details),
        cmocka_unit_test(keys_of_other_technologies),
        cmocka_unit_test(names_of_technologies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
