/* What tests/vectors/eat/README.md says of signatures and bindings of published tokens: each
 * verifies with the key beside it, and no longer once one octet differs. */
#include <string.h>

#include "core/arena.h"
#include "core/reader.h"
#include "crypto/crypto.h"
#include "testlib.h"
#include "wire/cbor.h"
#include "wire/cca.h"
#include "wire/cmw.h"
#include "wire/jwk.h"
#include "wire/psa.h"

#define COUNT(a)  (sizeof(a) / sizeof(a)[0])
#define ARENA_MAX (1 << 16)

static struct atls_key *key_of(const struct atls_cose_key *cose)
{
    struct atls_writer w = atls_writer_init(4096);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_key *key = NULL;

    test_assert_code(atls_cose_put_spki(&w, cose, &err), ATLS_OK, &err);
    test_assert_code(atls_key_from_spki(atls_writer_bytes(&w), &key, &err), ATLS_OK, &err);
    atls_writer_clear(&w);
    return key;
}

/* A PEM file, or a JWK. The published ones say that they encrypt ("use"), and sign. */
static struct atls_key *key_of_file(const char *path)
{
    struct atls_buf in = test_vector(path);
    char *use = strstr((char *)in.ptr, "\"enc\"");
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_key *key = NULL;
    struct atls_jwks jwks;

    if (strstr(path, ".pem") != NULL) {
        test_assert_code(atls_key_from_pem(atls_buf_bytes(&in), &key, &err), ATLS_OK, &err);
    } else {
        assert_non_null(use);
        test_assert_code(atls_jwk_decode(atls_buf_bytes(&in), &jwks, &err), ATLS_E_UNSUPPORTED,
                         &err);
        memcpy(use, "\"sig\"", 5);
        test_assert_code(atls_jwk_decode(atls_buf_bytes(&in), &jwks, &err), ATLS_OK, &err);
        key = key_of(&jwks.keys[0].key);
        atls_jwks_clear(&jwks);
    }
    atls_buf_clear(&in);
    return key;
}

static enum atls_code verify(const struct atls_cose_sign1 *s, const struct atls_key *key)
{
    const struct atls_signature_algorithm *algorithm =
        atls_signature_by_cose(s->alg, atls_key_type(key));
    struct atls_writer w = atls_writer_init(ARENA_MAX);
    enum atls_code code;

    assert_non_null(algorithm);
    atls_cose_put_to_be_signed(&w, s->protected_header, atls_bytes_of(NULL, 0), s->payload);
    assert_int_equal(w.failed, ATLS_OK);
    code = atls_key_verify_raw(key, algorithm->scheme, atls_writer_bytes(&w), s->signature, NULL);
    atls_writer_clear(&w);
    return code;
}

/* One octet of what is signed, and one of the signature: views into in, which is writable. */
static void assert_signed(struct atls_buf *in, const struct atls_cose_sign1 *s,
                          const struct atls_key *key)
{
    const uint8_t *octets[] = {s->payload.ptr + s->payload.len / 2, s->signature.ptr};

    assert_int_equal(verify(s, key), ATLS_OK);
    for (size_t i = 0; i < COUNT(octets); i++) {
        uint8_t *octet = in->ptr + (octets[i] - in->ptr);

        *octet ^= 1;
        assert_int_equal(verify(s, key), ATLS_E_VERIFY);
        *octet ^= 1;
    }
}

static void tokens_of_psa(void **state)
{
    static const struct {
        const char *token, *key;
    } rows[] = {
        {"eat/psa-2_0_0_sign1.bin", "eat/tfm-public.pem"},
        {"eat/psa-iot-1_sign1.bin", "eat/tfm-public.pem"},
        {"eat/psa.good.cose", "eat/psa-good-pub.jwk"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_buf in = test_vector(rows[i].token);
        struct atls_key *key = key_of_file(rows[i].key);
        struct atls_key *other = key_of_file(rows[(i + 2) % COUNT(rows)].key);
        struct atls_arena arena = atls_arena_init(1 << 16);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_cose_sign1 s;

        print_message("  %s\n", rows[i].token);
        test_assert_code(atls_psa_token_open(atls_buf_bytes(&in), &arena, &s, &err), ATLS_OK, &err);
        assert_signed(&in, &s, key);
        if (strcmp(rows[i].key, rows[(i + 2) % COUNT(rows)].key) != 0)
            assert_int_equal(verify(&s, other), ATLS_E_VERIFY);
        atls_key_unref(other);
        atls_key_unref(key);
        atls_arena_clear(&arena);
        atls_buf_clear(&in);
    }
}

static enum atls_hash hash_of(enum atls_arm_hash hash)
{
    return hash == ATLS_ARM_SHA256   ? ATLS_HASH_SHA256
           : hash == ATLS_ARM_SHA384 ? ATLS_HASH_SHA384
                                     : ATLS_HASH_SHA512;
}

static void assert_hash(struct atls_bytes got, enum atls_hash hash, struct atls_bytes of)
{
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t digest[ATLS_HASH_MAX];

    test_assert_code(atls_hash_one(hash, of, digest, &err), ATLS_OK, &err);
    test_assert_bytes(got, atls_bytes_of(digest, atls_hash_len(hash)));
}

/* Platform by the key beside it, realm by the key of its own claim, which the platform binds. *out
 * is the challenge of the realm and borrows from token. */
static void assert_cca(struct atls_buf *in, struct atls_bytes token, struct atls_key *platform_key,
                       struct atls_bytes *out)
{
    struct atls_arena arena = atls_arena_init(ARENA_MAX);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_cca_platform platform;
    struct atls_cca_realm realm;
    struct atls_cca_token t;
    struct atls_key *key;

    test_assert_code(atls_cca_token_open(token, &arena, &t, &err), ATLS_OK, &err);
    test_assert_code(atls_cca_platform_decode(t.platform.payload, &arena, &platform, &err), ATLS_OK,
                     &err);
    test_assert_code(atls_cca_realm_decode(t.realm.payload, &arena, &realm, &err), ATLS_OK, &err);
    key = key_of(&realm.key);
    assert_signed(in, &t.platform, platform_key);
    assert_signed(in, &t.realm, key);
    assert_hash(platform.challenge, hash_of(realm.public_key_hash), realm.public_key);
    *out = realm.challenge;
    atls_key_unref(key);
    atls_arena_clear(&arena);
}

static void token_of_cca(void **state)
{
    struct atls_buf in = test_vector("eat/cca-good.cbor");
    struct atls_key *key = key_of_file("eat/cca-good-platform-pub.jwk");
    struct atls_bytes challenge;

    (void)state;
    assert_cca(&in, atls_buf_bytes(&in), key, &challenge);
    atls_key_unref(key);
    atls_buf_clear(&in);
}

/* The realm's challenge is the SHA-512 of the unsigned half as it stands, tag and all. */
static void bundle_of_parsec_cca(void **state)
{
    struct atls_buf in = test_vector("eat/parsec-cca-evidence.cbor");
    struct atls_key *key = key_of_file("eat/parsec-cca-platform-pub.jwk");
    struct atls_reader r = atls_reader_init(atls_buf_bytes(&in));
    struct atls_bytes name, kat = {NULL, 0}, pat = {NULL, 0}, challenge;
    struct atls_cbor_iter map;

    (void)state;
    assert_true(atls_cbor_enter_map(&r, &map) && atls_cbor_more(&r, &map));
    assert_true(atls_cbor_get_text(&r, &name) && atls_bytes_equal_text(name, "kat"));
    assert_true(atls_cbor_get_item(&r, &kat) && atls_cbor_more(&r, &map));
    assert_true(atls_cbor_get_text(&r, &name) && atls_bytes_equal_text(name, "pat"));
    if (!atls_cbor_get_bytes(&r, &pat))
        assert_true(atls_cbor_get_item(&r, &pat));
    assert_cca(&in, pat, key, &challenge);
    assert_hash(challenge, ATLS_HASH_SHA512, kat);
    atls_key_unref(key);
    atls_buf_clear(&in);
}

/* Finds a claim of integer key in the payload of a token. */
static struct atls_bytes claim_of(struct atls_bytes payload, uint64_t wanted)
{
    struct atls_reader r = atls_reader_init(payload);
    struct atls_bytes item = {NULL, 0};
    struct atls_cbor_iter map;
    uint64_t key = 0;

    assert_true(atls_cbor_enter_map(&r, &map));
    while (atls_cbor_more(&r, &map)) {
        assert_true(atls_cbor_get_uint(&r, &key) && atls_cbor_get_item(&r, &item));
        if (key == wanted)
            return item;
    }
    fail_msg("no claim %u", (unsigned int)wanted);
    return item;
}

static void open_half(const struct atls_cmw *bundle, const char *name, struct atls_cose_sign1 *out)
{
    const struct atls_cmw *half = atls_cmw_find(bundle, name);
    struct atls_err err = ATLS_ERR_INIT;

    assert_non_null(half);
    test_assert_code(atls_cose_sign1_decode(half->value, ATLS_COSE_TAG_OPTIONAL, out, &err),
                     ATLS_OK, &err);
}

/* The platform's nonce is the hash of kak-pub; the signatures are placeholders. */
static void bundle_of_the_kat_draft(void **state)
{
    struct atls_buf in = test_vector("eat/kat-cab-ex-1.cbor");
    struct atls_arena arena = atls_arena_init(ARENA_MAX);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_cose_sign1 kat, pat;
    struct atls_cose_key kak;
    struct atls_bytes kak_item, nonce;
    struct atls_reader r;
    struct atls_key *key;
    struct atls_cmw cmw;

    (void)state;
    test_assert_code(atls_cmw_decode(atls_buf_bytes(&in), &arena, &cmw, &err), ATLS_OK, &err);
    open_half(&cmw, "kat", &kat);
    open_half(&cmw, "pat", &pat);
    kak_item = claim_of(kat.payload, 2500);
    r = atls_reader_init(claim_of(pat.payload, 10));
    assert_true(atls_cbor_get_bytes(&r, &nonce));
    assert_hash(nonce, ATLS_HASH_SHA256, kak_item);
    test_assert_code(atls_cose_key_decode(kak_item, &kak, &err), ATLS_OK, &err);
    key = key_of(&kak);
    assert_int_equal(verify(&kat, key), ATLS_E_VERIFY);
    atls_key_unref(key);
    atls_arena_clear(&arena);
    atls_buf_clear(&in);
}

/* Attestation key, intermediate, root: the path is there. The purpose of the key has no registered
 * number yet, so that no purpose of ours takes it. */
static void certificates_of_pkix(void **state)
{
    struct atls_buf ca = test_vector("eat/pkix-ca.crt"),
                    pem[] = {test_vector("eat/pkix-ak.crt"), test_vector("eat/pkix-int.crt")};
    struct atls_chain_check check = {.purpose = ATLS_CHAIN_SIGNING, .time_s = 1800000000};
    struct atls_buf der[COUNT(pem)];
    struct atls_bytes chain[COUNT(pem)];
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_chain_result result;
    size_t count;

    (void)state;
    test_assert_code(atls_anchors_new(&check.anchors, &err), ATLS_OK, &err);
    test_assert_code(atls_anchors_add_pem(check.anchors, atls_buf_bytes(&ca), NULL, &err), ATLS_OK,
                     &err);
    for (size_t i = 0; i < COUNT(pem); i++) {
        test_assert_code(
            atls_certificates_from_pem(atls_buf_bytes(&pem[i]), &der[i], 1, &count, &err), ATLS_OK,
            &err);
        chain[i] = atls_buf_bytes(&der[i]);
    }
    test_assert_code(atls_chain_verify(chain, 2, &check, &result, &err), ATLS_E_CERTIFICATE, &err);
    assert_int_equal(err.reason, ATLS_REASON_KEY_USAGE);
    test_assert_code(atls_chain_verify(chain, 1, &check, &result, &err), ATLS_E_CERTIFICATE, &err);
    assert_int_equal(err.reason, ATLS_REASON_UNTRUSTED_ROOT);
    for (size_t i = 0; i < COUNT(pem); i++) {
        atls_buf_clear(&der[i]);
        atls_buf_clear(&pem[i]);
    }
    atls_anchors_unref(check.anchors);
    atls_buf_clear(&ca);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_of_psa),        cmocka_unit_test(token_of_cca),
        cmocka_unit_test(bundle_of_parsec_cca), cmocka_unit_test(bundle_of_the_kat_draft),
        cmocka_unit_test(certificates_of_pkix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
