/* Software evidence: good evidence gives claims when it is allowed by name, each lie alone is
 * refused. Tokens are made here, apart from the attester's code. */
#include "testlib.h"

#include <stdlib.h>
#include <string.h>

#include "arm_world.h"
#include "pki.h"

#include "bind/batch.h"
#include "core/err.h"
#include "evidence/evidence.h"
#include "wire/cbor.h"
#include "wire/soft.h"

static const uint8_t binder[48] = "binder of the connection, as long as SHA-384 is";
static const uint8_t digest[64] = {0x77};

/* The parts of a token, each of which a row may change; bytes with .ptr NULL are made. */
struct fixture {
    struct atls_private_key *signer, *aik, *other;
    enum atls_evidence_scope scope;
    const struct atls_private_key *signs;    /* NULL: signer */
    const struct atls_private_key *enrolled; /* NULL: signer; other key: under the same UEID */
    const char *technology;                  /* of the key on file */
    bool not_enrolled, broken_store, allow;
    struct atls_bytes aik_spki; /* of the connection */
    size_t binder_len;          /* of the connection */
    struct atls_bytes kat_nonce, kid, ueid, challenge, payload, kat;
    int64_t alg;
    bool untagged, trailing;
    const char *kat_type;
    enum atls_evidence_profile profile; /* that it comes in; 0: KAT */
    unsigned int accepted;              /* profiles; 0: the default */
    size_t place;                       /* of the KAT in a batch of two that is claimed */
};

static struct atls_bytes spki_of(const struct atls_private_key *key)
{
    return atls_key_spki(atls_private_key_public(key));
}

static struct atls_private_key *generate(enum atls_key_type type)
{
    struct atls_private_key *key;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_private_key_generate(type, &key, &err), ATLS_OK, &err);
    return key;
}

static struct fixture *fixture_new(void)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->signer = generate(ATLS_KEY_P256);
    f->aik = generate(ATLS_KEY_P256);
    f->other = generate(ATLS_KEY_P256);
    f->aik_spki = spki_of(f->aik);
    f->binder_len = 32;
    f->technology = "soft";
    f->allow = true;
    f->alg = -7;
    return f;
}

static void fixture_free(struct fixture *f)
{
    atls_private_key_free(f->signer);
    atls_private_key_free(f->aik);
    atls_private_key_free(f->other);
    free(f);
}

static struct atls_buf finish(struct atls_writer *w)
{
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_writer_finish(w, &out, &err), ATLS_OK, &err);
    return out;
}

static struct atls_buf make_kat(const struct fixture *f)
{
    struct atls_writer w = atls_writer_init(4096);
    struct atls_cose_key key;
    struct atls_err err = ATLS_ERR_INIT;

    if (f->kat.ptr != NULL) {
        atls_put_bytes(&w, f->kat);
        return finish(&w);
    }
    test_assert_code(atls_cose_key_from_spki(spki_of(f->aik), &key, &err), ATLS_OK, &err);
    test_assert_code(atls_kat_encode(f->kat_nonce.ptr != NULL
                                         ? f->kat_nonce
                                         : atls_bytes_of(binder, f->binder_len),
                                     &key, &w, &err),
                     ATLS_OK, &err);
    return finish(&w);
}

static void ueid_of(const struct atls_private_key *key, uint8_t out[ATLS_SOFT_UEID_LEN])
{
    uint8_t hash[ATLS_HASH_MAX];

    assert_int_equal(atls_hash_one(ATLS_HASH_SHA256, spki_of(key), hash, NULL), ATLS_OK);
    out[0] = 1;
    memcpy(out + 1, hash, 32);
}

static struct atls_buf make_payload(const struct fixture *f, struct atls_bytes kat,
                                    struct atls_bytes ueid)
{
    struct atls_soft_token *t = calloc(1, sizeof *t);
    struct atls_writer w = atls_writer_init(8192);
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t challenge[ATLS_HASH_MAX];

    assert_non_null(t);
    if (f->payload.ptr != NULL) {
        free(t);
        atls_put_bytes(&w, f->payload);
        return finish(&w);
    }
    assert_int_equal(atls_hash_one(ATLS_HASH_SHA512, kat, challenge, NULL), ATLS_OK);
    t->challenge = f->challenge.ptr != NULL ? f->challenge : atls_bytes_of(challenge, 64);
    t->ueid = f->ueid.ptr != NULL ? f->ueid : ueid;
    t->measurement_count = 2;
    t->measurements[0].name = atls_bytes_of("kernel", 6);
    t->measurements[0].named_information = 7;
    t->measurements[0].digest = atls_bytes_of(digest, 48);
    t->measurements[1].name = atls_bytes_of("app", 3);
    t->measurements[1].named_information = 1;
    t->measurements[1].digest = atls_bytes_of(digest, 32);
    test_assert_code(atls_soft_token_put(&w, t, &err), ATLS_OK, &err);
    free(t);
    return finish(&w);
}

static struct atls_buf make_token(const struct fixture *f, struct atls_bytes kat)
{
    struct atls_writer header = atls_writer_init(256), tbs = atls_writer_init(8192);
    struct atls_writer w = atls_writer_init(8192);
    const struct atls_private_key *signs = f->signs != NULL ? f->signs : f->signer;
    struct atls_buf payload, signature = ATLS_BUF_INIT, out;
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t ueid[ATLS_SOFT_UEID_LEN];

    ueid_of(f->signer, ueid);
    payload = make_payload(f, kat, atls_bytes_of(ueid, sizeof ueid));
    atls_soft_put_protected(&header, f->alg,
                            f->kid.ptr != NULL ? f->kid : atls_bytes_of(ueid, sizeof ueid));
    atls_cose_put_to_be_signed(&tbs, atls_writer_bytes(&header), atls_bytes_of(NULL, 0),
                               atls_buf_bytes(&payload));
    test_assert_code(atls_private_key_sign_raw(signs, atls_private_key_scheme(signs),
                                               atls_writer_bytes(&tbs), &signature, &err),
                     ATLS_OK, &err);
    atls_cose_put_sign1(&w, atls_writer_bytes(&header), atls_bytes_of(NULL, 0),
                        atls_buf_bytes(&payload), atls_buf_bytes(&signature));
    if (f->trailing)
        atls_put_u8(&w, 0xf6);
    atls_writer_clear(&header);
    atls_writer_clear(&tbs);
    atls_buf_clear(&payload);
    atls_buf_clear(&signature);
    out = finish(&w);
    if (f->untagged)
        memmove(out.ptr, out.ptr + 1, --out.len);
    return out;
}

/* The one record: a token over binder and key. */
static struct atls_buf encode_bare(const struct fixture *f)
{
    struct fixture bare = *f;
    struct atls_writer w = atls_writer_init(16384);
    struct atls_buf token;
    uint8_t challenge[64], hash[ATLS_HASH_MAX];
    struct atls_cmw record;
    struct atls_err err = ATLS_ERR_INIT;

    assert_int_equal(atls_hash_one(ATLS_HASH_SHA256, spki_of(f->aik), hash, NULL), ATLS_OK);
    memcpy(challenge, binder, 32);
    memcpy(challenge + 32, hash, 32);
    bare.challenge = atls_bytes_of(challenge, sizeof challenge);
    token = make_token(&bare, bare.challenge);
    record = atls_cmw_record(ATLS_TYPE_SOFT, atls_buf_bytes(&token), ATLS_CMW_EVIDENCE);
    test_assert_code(atls_cmw_encode(&record, &w, &err), ATLS_OK, &err);
    atls_buf_clear(&token);
    return finish(&w);
}

/* The KAT at place 0 of two, over a token for both. */
static struct atls_buf encode_batch(const struct fixture *f)
{
    struct fixture batch = *f;
    struct atls_buf kat = make_kat(f), token;
    const struct atls_bytes kats[] = {atls_buf_bytes(&kat), HEX("another")};
    struct atls_writer w = atls_writer_init(16384), member = atls_writer_init(16384);
    struct atls_batch_tree *tree;
    struct atls_cmw k, p;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_batch_tree_new(kats, 2, &tree, &err), ATLS_OK, &err);
    batch.challenge = atls_batch_tree_challenge(tree);
    token = make_token(&batch, batch.challenge);
    atls_batch_tree_put(tree, f->place, atls_buf_bytes(&kat), &member);
    k = atls_cmw_record(ATLS_TYPE_KAT_BATCH, atls_writer_bytes(&member), ATLS_CMW_EVIDENCE);
    p = atls_cmw_record(ATLS_TYPE_SOFT, atls_buf_bytes(&token), ATLS_CMW_EVIDENCE);
    test_assert_code(atls_bundle_encode(&k, &p, NULL, &w, &err), ATLS_OK, &err);
    atls_batch_tree_free(tree);
    atls_writer_clear(&member);
    atls_buf_clear(&kat);
    atls_buf_clear(&token);
    return finish(&w);
}

static struct atls_buf encode_bundle(const struct fixture *f)
{
    struct atls_buf kat = make_kat(f), token = make_token(f, atls_buf_bytes(&kat));
    struct atls_cmw k = f->kat_type != NULL
                            ? atls_cmw_record(f->kat_type, atls_buf_bytes(&kat), 0)
                            : atls_cmw_record_cf(267, atls_buf_bytes(&kat), ATLS_CMW_EVIDENCE);
    struct atls_cmw p = atls_cmw_record(ATLS_TYPE_SOFT, atls_buf_bytes(&token), ATLS_CMW_EVIDENCE);
    struct atls_writer w = atls_writer_init(16384);
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_bundle_encode(&k, &p, NULL, &w, &err), ATLS_OK, &err);
    atls_buf_clear(&kat);
    atls_buf_clear(&token);
    return finish(&w);
}

static struct atls_buf encode(const struct fixture *f)
{
    if (f->profile == ATLS_PROFILE_BARE)
        return encode_bare(f);
    return f->profile == ATLS_PROFILE_BATCH ? encode_batch(f) : encode_bundle(f);
}

static enum atls_code attest_key(void *arg, struct atls_bytes instance, struct atls_attest_key *out,
                                 struct atls_err *err)
{
    struct fixture *f = arg;

    assert_int_equal(instance.len, ATLS_SOFT_UEID_LEN);
    if (f->broken_store)
        return atls_fail(err, ATLS_E_IO, "disk");
    if (f->not_enrolled)
        return atls_fail(err, ATLS_E_NOT_FOUND, "no such instance");
    assert_int_equal(atls_buf_copy(&out->vendor, atls_bytes_of("ACME", 4), NULL), ATLS_OK);
    out->technology = f->technology;
    return atls_buf_copy(&out->spki, spki_of(f->enrolled != NULL ? f->enrolled : f->signer), err);
}

static enum atls_code verify(struct fixture *f, struct atls_claims *out, struct atls_err *err)
{
    struct atls_endorsement_source source = {.arg = f, .attest_key = attest_key};
    struct atls_evidence_options options = {.allow_insecure_technology = f->allow};
    struct atls_buf cmw = encode(f);
    struct atls_evidence_request request = {
        .scope = f->scope,
        .evidence = atls_buf_bytes(&cmw),
        .binder = atls_bytes_of(binder, f->binder_len),
        .profiles = f->accepted,
        .aik_spki = f->aik_spki,
        .time_s = TEST_TIME_S,
        .source = &source,
        .options = &options,
    };
    enum atls_code code = atls_evidence_verify(&request, out, err);

    atls_buf_clear(&cmw);
    return code;
}

static void claims_say_what_was_signed(void **state)
{
    struct fixture *f = fixture_new();
    struct atls_claims claims;
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t ueid[ATLS_SOFT_UEID_LEN];

    (void)state;
    ueid_of(f->signer, ueid);
    test_assert_code(verify(f, &claims, &err), ATLS_OK, &err);
    assert_string_equal(claims.technology, "soft");
    assert_string_equal(claims.submod, "SOFT");
    assert_true(claims.insecure);
    assert_int_equal(claims.key_trust, ATLS_KEY_TRUST_ENROLLED);
    test_assert_bytes(claims.instance, atls_bytes_of(ueid, sizeof ueid));
    test_assert_bytes(claims.key_spki, f->aik_spki);
    test_assert_bytes(claims.signer_spki, spki_of(f->signer));
    assert_true(atls_bytes_equal_text(claims.environment.vendor, "ACME"));
    assert_int_equal(claims.measurement_count, 2);
    assert_int_equal(claims.measurements[0].mkey.kind, ATLS_MKEY_TEXT);
    assert_true(atls_bytes_equal_text(claims.measurements[0].mkey.bytes, "app"));
    assert_int_equal(claims.measurements[0].mval.digests[0].hash, ATLS_HASH_SHA256);
    assert_true(atls_bytes_equal_text(claims.measurements[1].mkey.bytes, "kernel"));
    assert_int_equal(claims.measurements[1].mval.digests[0].named_information, 7);
    test_assert_bytes(claims.measurements[1].mval.digests[0].value, atls_bytes_of(digest, 48));
    atls_claims_clear(&claims);
    fixture_free(f);
}

static void as_it_is(struct fixture *f)
{
    (void)f;
}

static void long_binder(struct fixture *f)
{
    f->binder_len = 48;
}

static void replace_signer(struct fixture *f, enum atls_key_type type, int64_t alg)
{
    atls_private_key_free(f->signer);
    f->signer = generate(type);
    f->alg = alg;
}

static void signer_ed25519(struct fixture *f)
{
    replace_signer(f, ATLS_KEY_ED25519, -8);
}

static void signer_p384(struct fixture *f)
{
    replace_signer(f, ATLS_KEY_P384, -35);
}

static void kat_type_as_text(struct fixture *f)
{
    f->kat_type = ATLS_TYPE_KAT;
}

static void not_allowed(struct fixture *f)
{
    f->allow = false;
}

static void not_enrolled(struct fixture *f)
{
    f->not_enrolled = true;
}

static void broken_store(struct fixture *f)
{
    f->broken_store = true;
}

static void another_enrolled(struct fixture *f)
{
    f->enrolled = f->other;
}

static void signed_by_another(struct fixture *f)
{
    f->signs = f->other;
}

static void alg_of_another_curve(struct fixture *f)
{
    f->alg = -35;
}

static const uint8_t foreign[64] = {1, 2, 3};

static void kid_short(struct fixture *f)
{
    f->kid = atls_bytes_of(foreign, 32);
}

static void kid_of_another(struct fixture *f)
{
    f->kid = atls_bytes_of(foreign, ATLS_SOFT_UEID_LEN);
}

static void ueid_of_another(struct fixture *f)
{
    f->ueid = atls_bytes_of(foreign, ATLS_SOFT_UEID_LEN);
}

static void payload_malformed(struct fixture *f)
{
    f->payload = atls_bytes_of("\xa0", 1);
}

static void untagged(struct fixture *f)
{
    f->untagged = true;
}

static void trailing(struct fixture *f)
{
    f->trailing = true;
}

static void challenge_of_another(struct fixture *f)
{
    f->challenge = atls_bytes_of(foreign, sizeof foreign);
}

static void kat_malformed(struct fixture *f)
{
    f->kat = atls_bytes_of("\xa0", 1);
}

static void kat_of_another_connection(struct fixture *f)
{
    f->kat_nonce = atls_bytes_of(binder + 1, 32);
}

static void kat_of_another_suite(struct fixture *f)
{
    f->kat_nonce = atls_bytes_of(binder, 48);
}

static void another_tls_key(struct fixture *f)
{
    f->aik_spki = spki_of(f->other);
}

static void kat_of_another_type(struct fixture *f)
{
    f->kat_type = ATLS_TYPE_TPM_CERTIFY;
}

static void in_a_batch(struct fixture *f)
{
    f->profile = ATLS_PROFILE_BATCH;
}

static void in_a_batch_at_another_place(struct fixture *f)
{
    f->profile = ATLS_PROFILE_BATCH;
    f->place = 1;
}

static void in_a_batch_that_is_not_taken(struct fixture *f)
{
    f->profile = ATLS_PROFILE_BATCH;
    f->accepted = ATLS_PROFILE_KAT;
}

static void bare(struct fixture *f)
{
    f->profile = ATLS_PROFILE_BARE;
    f->accepted = ATLS_PROFILE_BARE;
}

static void bare_by_default(struct fixture *f)
{
    f->profile = ATLS_PROFILE_BARE;
}

static void bare_for_another_key(struct fixture *f)
{
    bare(f);
    f->aik_spki = spki_of(f->other);
}

static void verdicts(void **state)
{
    static const struct {
        const char *name;
        void (*lie)(struct fixture *f);
        enum atls_code want;
        enum atls_reason reason;
    } rows[] = {
        {"as it is", as_it_is, ATLS_OK, ATLS_REASON_NONE},
        {"binder of 48 bytes", long_binder, ATLS_OK, ATLS_REASON_NONE},
        {"Ed25519", signer_ed25519, ATLS_OK, ATLS_REASON_NONE},
        {"P-384", signer_p384, ATLS_OK, ATLS_REASON_NONE},
        {"type of the KAT as text", kat_type_as_text, ATLS_OK, ATLS_REASON_NONE},
        {"not allowed by name", not_allowed, ATLS_E_EVIDENCE, ATLS_REASON_INSECURE_TECHNOLOGY},
        {"KAT of another technology's type", kat_of_another_type, ATLS_E_UNSUPPORTED,
         ATLS_REASON_UNKNOWN_EVIDENCE_TYPE},
        {"without tag 18", untagged, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"one trailing byte", trailing, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"kid of 32 bytes", kid_short, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"not enrolled", not_enrolled, ATLS_E_EVIDENCE, ATLS_REASON_UNTRUSTED_AK},
        {"the store's own trouble", broken_store, ATLS_E_IO, ATLS_REASON_NONE},
        {"another key enrolled under its kid", another_enrolled, ATLS_E_EVIDENCE,
         ATLS_REASON_KID_MISMATCH},
        {"kid of another key", kid_of_another, ATLS_E_EVIDENCE, ATLS_REASON_KID_MISMATCH},
        {"alg of another curve", alg_of_another_curve, ATLS_E_EVIDENCE, ATLS_REASON_SIGNATURE},
        {"signed by another key", signed_by_another, ATLS_E_EVIDENCE, ATLS_REASON_SIGNATURE},
        {"malformed claims", payload_malformed, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"ueid that is not the kid", ueid_of_another, ATLS_E_EVIDENCE, ATLS_REASON_KID_MISMATCH},
        {"challenge of another KAT", challenge_of_another, ATLS_E_EVIDENCE,
         ATLS_REASON_NONCE_MISMATCH},
        {"malformed KAT, whose challenge fits", kat_malformed, ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"KAT of another connection", kat_of_another_connection, ATLS_E_EVIDENCE,
         ATLS_REASON_NONCE_MISMATCH},
        {"KAT whose nonce begins with the binder", kat_of_another_suite, ATLS_E_EVIDENCE,
         ATLS_REASON_NONCE_MISMATCH},
        {"another key in the TLS certificate", another_tls_key, ATLS_E_EVIDENCE,
         ATLS_REASON_KEY_BINDING_MISMATCH},
        {"in a batch", in_a_batch, ATLS_OK, ATLS_REASON_NONE},
        {"in a batch, at the place of another", in_a_batch_at_another_place, ATLS_E_EVIDENCE,
         ATLS_REASON_NONCE_MISMATCH},
        {"in a batch, which is not taken", in_a_batch_that_is_not_taken, ATLS_E_EVIDENCE,
         ATLS_REASON_EVIDENCE_PROFILE},
        {"bare", bare, ATLS_OK, ATLS_REASON_NONE},
        {"bare, which nobody asked for", bare_by_default, ATLS_E_EVIDENCE,
         ATLS_REASON_EVIDENCE_PROFILE},
        {"bare, for another key", bare_for_another_key, ATLS_E_EVIDENCE,
         ATLS_REASON_NONCE_MISMATCH},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture *f = fixture_new();
        struct atls_claims claims;
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code;

        print_message("  %s\n", rows[i].name);
        rows[i].lie(f);
        code = verify(f, &claims, &err);
        test_assert_code(code, rows[i].want, &err);
        assert_int_equal(err.reason, rows[i].reason);
        if (code == ATLS_OK)
            atls_claims_clear(&claims);
        fixture_free(f);
    }
}

/* A verifier that sees no connection says which key the evidence names. */
static void key_unknown(void **state)
{
    struct fixture *f = fixture_new();
    struct atls_bytes aik = f->aik_spki;
    struct atls_claims claims;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    f->scope = ATLS_EVIDENCE_KEY_UNKNOWN;
    test_assert_code(verify(f, &claims, &err), ATLS_E_USAGE, &err);
    f->aik_spki = atls_bytes_of(NULL, 0);
    test_assert_code(verify(f, &claims, &err), ATLS_OK, &err);
    test_assert_bytes(claims.key_spki, aik);
    assert_int_equal(claims.key_trust, ATLS_KEY_TRUST_ENROLLED);
    atls_claims_clear(&claims);
    f->not_enrolled = true;
    test_assert_code(verify(f, &claims, &err), ATLS_E_EVIDENCE, &err);
    assert_int_equal(err.reason, ATLS_REASON_UNTRUSTED_AK);
    fixture_free(f);
}

/* Challenge and key are checked whoever vouches for the signer. */
static void trust_elsewhere(void **state)
{
    static const struct {
        const char *name;
        void (*lie)(struct fixture *f);
        enum atls_code want;
        enum atls_reason reason;
    } rows[] = {
        {"not enrolled", not_enrolled, ATLS_OK, ATLS_REASON_NONE},
        {"signed by another key", signed_by_another, ATLS_OK, ATLS_REASON_NONE},
        {"challenge of another KAT", challenge_of_another, ATLS_E_EVIDENCE,
         ATLS_REASON_NONCE_MISMATCH},
        {"KAT of another connection", kat_of_another_connection, ATLS_E_EVIDENCE,
         ATLS_REASON_NONCE_MISMATCH},
        {"another key in the TLS certificate", another_tls_key, ATLS_E_EVIDENCE,
         ATLS_REASON_KEY_BINDING_MISMATCH},
        {"ueid that is not the kid", ueid_of_another, ATLS_E_EVIDENCE, ATLS_REASON_KID_MISMATCH},
        {"not allowed by name", not_allowed, ATLS_E_EVIDENCE, ATLS_REASON_INSECURE_TECHNOLOGY},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture *f = fixture_new();
        struct atls_claims claims;
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code;

        print_message("  %s\n", rows[i].name);
        rows[i].lie(f);
        f->scope = ATLS_EVIDENCE_KEY_TRUST_ELSEWHERE;
        code = verify(f, &claims, &err);
        test_assert_code(code, rows[i].want, &err);
        assert_int_equal(err.reason, rows[i].reason);
        if (code == ATLS_OK) {
            assert_int_equal(claims.key_trust, ATLS_KEY_TRUST_NONE);
            atls_claims_clear(&claims);
        }
        fixture_free(f);
    }
}

/* A key of a machine, or of nothing that is known, does not sign software evidence. */
static void keys_of_other_technologies(void **state)
{
    const char *others[TEST_OTHER_TECHNOLOGIES];

    (void)state;
    test_other_technologies("soft", others);
    for (size_t i = 0; i < TEST_OTHER_TECHNOLOGIES; i++) {
        struct fixture *f = fixture_new();
        struct atls_claims claims = {.technology = "untouched"};
        struct atls_err err = ATLS_ERR_INIT;

        f->technology = others[i];
        test_assert_code(verify(f, &claims, &err), ATLS_E_EVIDENCE, &err);
        test_assert_other_technology(&err, ATLS_REASON_UNTRUSTED_AK, "soft", others[i]);
        assert_string_equal(claims.technology, "untouched");
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(claims_say_what_was_signed),
        cmocka_unit_test(verdicts),
        cmocka_unit_test(key_unknown),
        cmocka_unit_test(trust_elsewhere),
        cmocka_unit_test(keys_of_other_technologies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
