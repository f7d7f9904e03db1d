/* Evidence in the forms of Parsec: honest bundles give claims, and of each check there is one for
 * which that check alone fails. */
#include "testlib.h"

#include <stdlib.h>
#include <string.h>

#include "arm_world.h"
#include "failing_alloc.h"

#include "core/err.h"
#include "evidence/parsec.h"
#include "simulator/arm.h"
#include "wire/cbor.h"
#include "wire/tpm.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct fixture {
    struct test_arm_world *world;
    struct atls_sim_cca cca;
    struct atls_sim_parsec_cca parsec_cca;
    struct atls_sim_parsec_tpm parsec_tpm;
    enum atls_evidence_scope scope;
    unsigned int profiles;
    bool not_enrolled;
    struct atls_buf made;
    uint8_t bytes[128];
};

static struct fixture *fixture_new(void)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct atls_err err = ATLS_ERR_INIT;

    assert_non_null(f);
    f->world = test_arm_world_new();
    f->profiles = ATLS_PROFILE_PARSEC;
    test_assert_code(atls_sim_cca_init(&f->cca, f->world->p384, f->world->realm, &err), ATLS_OK,
                     &err);
    f->parsec_cca.cca = &f->cca;
    f->parsec_cca.spki = f->parsec_tpm.spki = test_arm_spki(f->world->aik);
    f->parsec_tpm.ak = f->world->p256;
    f->parsec_tpm.kid[0] = 0x01;
    f->parsec_tpm.kid[32] = 0x77;
    return f;
}

static void fixture_free(struct fixture *f)
{
    atls_buf_clear(&f->made);
    test_arm_world_free(f->world);
    free(f);
}

static struct atls_bytes binder_of(const struct fixture *f)
{
    return atls_bytes_of(f->world->binder, f->world->binder_len);
}

static struct atls_buf make_cca(struct fixture *f)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf bundle = ATLS_BUF_INIT, evidence;

    if (f->parsec_cca.nonce.ptr == NULL)
        f->parsec_cca.nonce = binder_of(f);
    test_assert_code(atls_sim_parsec_cca_bundle(&f->parsec_cca, &bundle, &err), ATLS_OK, &err);
    evidence = test_arm_record(ATLS_TYPE_PARSEC_CCA, atls_buf_bytes(&bundle));
    atls_buf_clear(&bundle);
    return evidence;
}

static struct atls_buf make_tpm(struct fixture *f)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf bundle = ATLS_BUF_INIT, evidence;

    if (f->parsec_tpm.nonce.ptr == NULL)
        f->parsec_tpm.nonce = binder_of(f);
    test_assert_code(atls_sim_parsec_tpm_bundle(&f->parsec_tpm, &bundle, &err), ATLS_OK, &err);
    evidence = test_arm_record(ATLS_TYPE_PARSEC_TPM, atls_buf_bytes(&bundle));
    atls_buf_clear(&bundle);
    return evidence;
}

static enum atls_code judge(struct fixture *f, struct atls_buf *evidence,
                            struct atls_claims *claims, struct atls_err *err)
{
    struct atls_evidence_request request =
        test_arm_request(f->world, f->scope, atls_buf_bytes(evidence));
    enum atls_code code;

    request.profiles = f->profiles;
    if (!f->not_enrolled && f->world->entry_count == 0) {
        test_arm_enrol(f->world, f->cca.implementation_id, f->cca.instance_id,
                       test_arm_spki(f->world->p384));
        test_arm_enrol(f->world, NULL, f->parsec_tpm.kid, test_arm_spki(f->world->p256));
    }
    code = atls_evidence_verify(&request, claims, err);
    atls_buf_clear(evidence);
    return code;
}

struct row {
    const char *name;
    void (*spoil)(struct fixture *f);
    enum atls_code want; /* ATLS_OK: taken */
    enum atls_reason reason;
};

static void check_rows(const struct row *rows, size_t count,
                       struct atls_buf (*make)(struct fixture *f))
{
    for (size_t i = 0; i < count; i++) {
        struct fixture *f = fixture_new();
        struct atls_claims claims = {.technology = "untouched"};
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_buf evidence;

        print_message("  %s\n", rows[i].name);
        rows[i].spoil(f);
        evidence = make(f);
        test_assert_code(judge(f, &evidence, &claims, &err), rows[i].want, &err);
        if (err.reason != rows[i].reason)
            fail_msg("%s: %s", atls_reason_name(err.reason), err.message);
        if (rows[i].want == ATLS_OK) {
            test_assert_bytes(claims.key_spki, test_arm_spki(f->world->aik));
            atls_claims_clear(&claims);
        } else {
            assert_string_equal(claims.technology, "untouched");
        }
        fixture_free(f);
    }
}

static void plain(struct fixture *f)
{
    (void)f;
}

static void not_enrolled(struct fixture *f)
{
    f->not_enrolled = true;
}

static void not_taken(struct fixture *f)
{
    f->profiles = 0;
}

static void key_unknown(struct fixture *f)
{
    f->scope = ATLS_EVIDENCE_KEY_UNKNOWN;
    f->profiles = 0;
}

static void short_nonce_of_a_client(struct fixture *f)
{
    key_unknown(f);
    f->world->binder_len = 8;
}

static void binder_of_32(struct fixture *f)
{
    f->world->binder_len = 32;
}

/* ---- CCA ---- */

static void wide(struct fixture *f)
{
    f->cca.wide = true;
}

static void tag_907(struct fixture *f)
{
    f->cca.tag = 907;
}

static void hash_without_tag(struct fixture *f)
{
    f->parsec_cca.untagged_hash = true;
}

static void wide_hash_without_tag(struct fixture *f)
{
    f->parsec_cca.untagged_hash = true;
    f->cca.wide = true;
}

static void kat_of_another_binder(struct fixture *f)
{
    memset(f->bytes, 0x5a, sizeof f->bytes);
    f->parsec_cca.nonce = atls_bytes_of(f->bytes, f->world->binder_len);
}

static void kat_of_another_key(struct fixture *f)
{
    f->parsec_cca.spki = test_arm_spki(f->world->other);
}

static void set_kat(struct fixture *f, const char *hex)
{
    f->made = test_unhex(hex);
    f->parsec_cca.kat = atls_buf_bytes(&f->made);
}

static void kat_of_another_tag(struct fixture *f)
{
    set_kat(f, "d9025aa20a4801020304050607080801");
}

static void kat_with_a_nonce_of_7(struct fixture *f)
{
    set_kat(f, "d90259a20a4701020304050607"
               "08a101a0");
}

static void kat_with_two_nonces(struct fixture *f)
{
    set_kat(f, "d90259a20a8248010203040506070848010203040506070808a101a0");
}

static void kat_with_another_claim(struct fixture *f)
{
    set_kat(f, "d90259a30a48010203040506070808a101a00101");
}

static void kat_with_two_methods(struct fixture *f)
{
    set_kat(f, "d90259a20a48010203040506070808a201a0034101");
}

static void kat_with_a_private_key(struct fixture *f)
{
    set_kat(f, "d90259a20a48010203040506070808a101a501022001215820"
               "1111111111111111111111111111111111111111111111111111111111111111225820"
               "1111111111111111111111111111111111111111111111111111111111111111234101");
}

/* The nonce is right, so that the key is what is looked at: no point has these coordinates. */
static void kat_with_a_point_off_its_curve(struct fixture *f)
{
    struct atls_writer w = atls_writer_init(512);

    atls_cbor_put_tag(&w, 601);
    atls_cbor_put_map(&w, 2);
    atls_cbor_put_int(&w, 10);
    atls_cbor_put_bytes(&w, binder_of(f));
    atls_cbor_put_int(&w, 8);
    memset(f->bytes, 0x11, 32);
    for (size_t i = 0; i < 2; i++) {
        atls_cbor_put_map(&w, i == 0 ? 1 : 4);
        atls_cbor_put_int(&w, 1);
    }
    atls_cbor_put_int(&w, 2);
    atls_cbor_put_int(&w, -1);
    atls_cbor_put_int(&w, 1);
    for (int64_t label = -2; label > -4; label--) {
        atls_cbor_put_int(&w, label);
        atls_cbor_put_bytes(&w, atls_bytes_of(f->bytes, 32));
    }
    assert_int_equal(atls_writer_finish(&w, &f->made, NULL), ATLS_OK);
    f->parsec_cca.kat = atls_buf_bytes(&f->made);
}

static void debug_lifecycle(struct fixture *f)
{
    f->cca.lifecycle = 0x4000;
}

static void realm_signed_by_another(struct fixture *f)
{
    memset(f->bytes, 1, 96);
    f->cca.realm_envelope.signature = atls_bytes_of(f->bytes, 96);
}

/* Nobody reads the KAT of a realm whose token does not verify. */
static void bad_kat_and_bad_signature(struct fixture *f)
{
    kat_of_another_tag(f);
    realm_signed_by_another(f);
}

static const struct row cca_rows[] = {
    {"honest", plain, ATLS_OK, ATLS_REASON_NONE},
    {"longest heads", wide, ATLS_OK, ATLS_REASON_NONE},
    {"tag 907", tag_907, ATLS_OK, ATLS_REASON_NONE},
    {"binder of 32", binder_of_32, ATLS_OK, ATLS_REASON_NONE},
    {"no key known", key_unknown, ATLS_OK, ATLS_REASON_NONE},
    {"nonce of 8 bytes, no key known", short_nonce_of_a_client, ATLS_OK, ATLS_REASON_NONE},
    {"not a form that is taken", not_taken, ATLS_E_EVIDENCE, ATLS_REASON_EVIDENCE_PROFILE},
    {"not on file", not_enrolled, ATLS_E_EVIDENCE, ATLS_REASON_UNTRUSTED_KEY},
    {"realm signature", realm_signed_by_another, ATLS_E_EVIDENCE, ATLS_REASON_REALM_SIGNATURE},
    {"realm signature, and a KAT that is none", bad_kat_and_bad_signature, ATLS_E_EVIDENCE,
     ATLS_REASON_REALM_SIGNATURE},
    {"hash without the tag", hash_without_tag, ATLS_E_EVIDENCE, ATLS_REASON_KEY_BINDING_MISMATCH},
    {"hash without the tag, longest heads", wide_hash_without_tag, ATLS_E_EVIDENCE,
     ATLS_REASON_KEY_BINDING_MISMATCH},
    {"lifecycle", debug_lifecycle, ATLS_E_EVIDENCE, ATLS_REASON_LIFECYCLE},
    {"KAT of another tag", kat_of_another_tag, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"KAT with a nonce of 7 bytes", kat_with_a_nonce_of_7, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"KAT with two nonces", kat_with_two_nonces, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"KAT with another claim", kat_with_another_claim, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"KAT with two methods", kat_with_two_methods, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"KAT with a private key", kat_with_a_private_key, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"KAT with a point off its curve", kat_with_a_point_off_its_curve, ATLS_E_DECODE,
     ATLS_REASON_MALFORMED},
    {"KAT for another binder", kat_of_another_binder, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH},
    {"KAT for another key", kat_of_another_key, ATLS_E_EVIDENCE, ATLS_REASON_KEY_BINDING_MISMATCH},
};

static void bundles_of_cca(void **state)
{
    (void)state;
    check_rows(cca_rows, COUNT(cca_rows), make_cca);
}

/* ---- TPM ---- */

static void other_kid_in_the_quote(struct fixture *f)
{
    memcpy(f->parsec_tpm.quote_kid, f->parsec_tpm.kid, 33);
    f->parsec_tpm.quote_kid[1] ^= 1;
}

static void kid_of_type_02(struct fixture *f)
{
    f->parsec_tpm.kid[0] = 0x02;
}

static void version_1_2(struct fixture *f)
{
    f->parsec_tpm.version = "1.2";
}

static void quote_of_another_key(struct fixture *f)
{
    f->parsec_tpm.quote_ak = f->world->other;
}

static void all_of_another_key(struct fixture *f)
{
    f->parsec_tpm.ak = f->world->other;
}

static void swapped_halves(struct fixture *f)
{
    f->parsec_tpm.swapped = true;
}

static void other_nonce(struct fixture *f)
{
    memset(f->bytes, 0x5a, sizeof f->bytes);
    f->parsec_tpm.nonce = atls_bytes_of(f->bytes, f->world->binder_len);
}

static void other_nonce_in_the_quote(struct fixture *f)
{
    memset(f->bytes, 0x5a, sizeof f->bytes);
    f->parsec_tpm.quote_nonce = atls_bytes_of(f->bytes, f->world->binder_len);
}

static void other_name(struct fixture *f)
{
    f->parsec_tpm.other_name = true;
}

#define ATTRIBUTES(name, value)                                                                    \
    static void name(struct fixture *f)                                                            \
    {                                                                                              \
        f->parsec_tpm.attributes = (value);                                                        \
    }
ATTRIBUTES(not_fixed_tpm, 0x00040070)
ATTRIBUTES(not_fixed_parent, 0x00040062)
ATTRIBUTES(not_made_there, 0x00040052)
ATTRIBUTES(not_for_signing, 0x00000072)
ATTRIBUTES(restricted, 0x00050072)

static void key_of_somebody_else(struct fixture *f)
{
    f->parsec_tpm.spki = test_arm_spki(f->world->other);
}

static void another_boot(struct fixture *f)
{
    f->parsec_tpm.other_boot = true;
}

static void unsafe_clock(struct fixture *f)
{
    f->parsec_tpm.clock_unsafe = true;
}

static void unsafe_clock_allowed(struct fixture *f)
{
    unsafe_clock(f);
    f->world->options.allow_unsafe_clock = true;
}

static void sha1_bank(struct fixture *f)
{
    f->parsec_tpm.bank = ATLS_TPM_ALG_SHA1;
}

static void sha384_bank(struct fixture *f)
{
    f->parsec_tpm.bank = ATLS_TPM_ALG_SHA384;
}

static void pcr_24(struct fixture *f)
{
    f->parsec_tpm.pcrs = 1u << 24;
}

static void two_banks(struct fixture *f)
{
    f->parsec_tpm.two_banks = true;
}

static void area_that_is_none(struct fixture *f)
{
    key_unknown(f);
    f->parsec_tpm.public_area = atls_bytes_of("area", 4);
}

/* ECC on a curve that nobody here computes on: BN P-256. */
static void area_of_an_unknown_curve(struct fixture *f)
{
    key_unknown(f);
    f->made = test_unhex("0023000b0004007200000010"
                         "0018000b0010"
                         "0010"
                         "000101"
                         "000102");
    f->parsec_tpm.public_area = atls_buf_bytes(&f->made);
}

static void short_digest(struct fixture *f)
{
    f->parsec_tpm.pcr_digest = atls_bytes_of(f->bytes, 31);
}

static void enrolled_with_an_area_that_is_no_ak(struct fixture *f)
{
    struct atls_writer w = atls_writer_init(256);
    static const uint8_t head[] = {0x00, 0x23, 0x00, 0x0b, 0x00, 0x04, 0x00, 0x72,
                                   0x00, 0x00, 0x00, 0x10, 0x00, 0x18, 0x00, 0x0b,
                                   0x00, 0x03, 0x00, 0x10, 0x00, 0x20};
    struct atls_cose_key key;

    assert_int_equal(atls_cose_key_from_spki(test_arm_spki(f->world->p256), &key, NULL), ATLS_OK);
    atls_put_bytes(&w, atls_bytes_of(head, sizeof head));
    atls_put_bytes(&w, key.x);
    atls_put_u16(&w, 32);
    atls_put_bytes(&w, key.y);
    assert_int_equal(atls_writer_finish(&w, &f->made, NULL), ATLS_OK);
    test_arm_enrol(f->world, NULL, f->parsec_tpm.kid, test_arm_spki(f->world->p256));
    f->world->entries[0].public_area = atls_buf_bytes(&f->made);
}

static void enrolled_with_its_area(struct fixture *f)
{
    enrolled_with_an_area_that_is_no_ak(f);
    f->made.ptr[5] |= 1; /* restricted: an attestation key */
}

static void trust_elsewhere(struct fixture *f)
{
    f->not_enrolled = true;
    f->scope = ATLS_EVIDENCE_KEY_TRUST_ELSEWHERE;
}

static void trust_elsewhere_for_another_key(struct fixture *f)
{
    trust_elsewhere(f);
    key_of_somebody_else(f);
}

static void trust_elsewhere_for_another_nonce(struct fixture *f)
{
    trust_elsewhere(f);
    other_nonce_in_the_quote(f);
}

static void broken_store(struct fixture *f)
{
    f->world->broken = true;
}

static const struct row tpm_rows[] = {
    {"honest", plain, ATLS_OK, ATLS_REASON_NONE},
    {"binder of 32", binder_of_32, ATLS_OK, ATLS_REASON_NONE},
    {"no key known", key_unknown, ATLS_OK, ATLS_REASON_NONE},
    {"nonce of 8 bytes, no key known", short_nonce_of_a_client, ATLS_OK, ATLS_REASON_NONE},
    {"trust elsewhere", trust_elsewhere, ATLS_OK, ATLS_REASON_NONE},
    {"clock that is not safe, by option", unsafe_clock_allowed, ATLS_OK, ATLS_REASON_NONE},
    {"public area on file", enrolled_with_its_area, ATLS_OK, ATLS_REASON_NONE},
    {"not a form that is taken", not_taken, ATLS_E_EVIDENCE, ATLS_REASON_EVIDENCE_PROFILE},
    {"tpmVer 1.2", version_1_2, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"kid of type 02", kid_of_type_02, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"kids differ", other_kid_in_the_quote, ATLS_E_EVIDENCE, ATLS_REASON_KID_MISMATCH},
    {"not on file", not_enrolled, ATLS_E_EVIDENCE, ATLS_REASON_UNTRUSTED_AK},
    {"store that is broken", broken_store, ATLS_E_IO, ATLS_REASON_NONE},
    {"public area on file that is no attestation key's", enrolled_with_an_area_that_is_no_ak,
     ATLS_E_EVIDENCE, ATLS_REASON_KEY_ATTRIBUTES},
    {"signed by another key", all_of_another_key, ATLS_E_EVIDENCE, ATLS_REASON_SIGNATURE},
    {"quote signed by another key", quote_of_another_key, ATLS_E_EVIDENCE, ATLS_REASON_SIGNATURE},
    {"halves swapped", swapped_halves, ATLS_E_EVIDENCE, ATLS_REASON_WRONG_ATTEST_TYPE},
    {"another nonce", other_nonce, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH},
    {"another nonce in the quote", other_nonce_in_the_quote, ATLS_E_EVIDENCE,
     ATLS_REASON_NONCE_MISMATCH},
    {"Name of another object", other_name, ATLS_E_EVIDENCE, ATLS_REASON_NAME_MISMATCH},
    {"key that may leave the TPM", not_fixed_tpm, ATLS_E_EVIDENCE, ATLS_REASON_KEY_ATTRIBUTES},
    {"key that may leave its parent", not_fixed_parent, ATLS_E_EVIDENCE,
     ATLS_REASON_KEY_ATTRIBUTES},
    {"key that was made elsewhere", not_made_there, ATLS_E_EVIDENCE, ATLS_REASON_KEY_ATTRIBUTES},
    {"key that does not sign", not_for_signing, ATLS_E_EVIDENCE, ATLS_REASON_KEY_ATTRIBUTES},
    {"key that is restricted", restricted, ATLS_E_EVIDENCE, ATLS_REASON_KEY_ATTRIBUTES},
    {"another key", key_of_somebody_else, ATLS_E_EVIDENCE, ATLS_REASON_KEY_BINDING_MISMATCH},
    {"another boot", another_boot, ATLS_E_EVIDENCE, ATLS_REASON_RESET_COUNT_MISMATCH},
    {"clock that is not safe", unsafe_clock, ATLS_E_EVIDENCE, ATLS_REASON_CLOCK_UNSAFE},
    {"SHA-1 bank", sha1_bank, ATLS_E_EVIDENCE, ATLS_REASON_WEAK_PCR_BANK},
    {"bank of another hash than the signature", sha384_bank, ATLS_E_EVIDENCE,
     ATLS_REASON_PCR_SELECTION},
    {"PCR 24", pcr_24, ATLS_E_EVIDENCE, ATLS_REASON_PCR_SELECTION},
    {"two banks", two_banks, ATLS_E_EVIDENCE, ATLS_REASON_PCR_SELECTION},
    {"public area that is none", area_that_is_none, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"public area of an unknown curve", area_of_an_unknown_curve, ATLS_E_UNSUPPORTED,
     ATLS_REASON_NONE},
    {"digest of 31 bytes", short_digest, ATLS_E_EVIDENCE, ATLS_REASON_PCR_DIGEST_MISMATCH},
    {"trust elsewhere, another key", trust_elsewhere_for_another_key, ATLS_E_EVIDENCE,
     ATLS_REASON_KEY_BINDING_MISMATCH},
    {"trust elsewhere, another nonce", trust_elsewhere_for_another_nonce, ATLS_E_EVIDENCE,
     ATLS_REASON_NONCE_MISMATCH},
};

static void bundles_of_tpms(void **state)
{
    (void)state;
    check_rows(tpm_rows, COUNT(tpm_rows), make_tpm);
}

static void what_a_tpm_says(void **state)
{
    struct fixture *f = fixture_new();
    struct atls_buf evidence = make_tpm(f);
    struct atls_claims c;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(judge(f, &evidence, &c, &err), ATLS_OK, &err);
    assert_string_equal(c.technology, "tpm");
    assert_int_equal(c.key_trust, ATLS_KEY_TRUST_ENROLLED);
    assert_int_equal(c.measurement_count, 1);
    assert_true(atls_bytes_equal_text(c.measurements[0].mkey.bytes, "pcr-digest"));
    assert_non_null(c.composite);
    assert_int_equal(c.composite->hash, ATLS_HASH_SHA256);
    assert_int_equal(c.composite->bitmap, 7);
    assert_int_equal(c.composite->digest.len, 32);
    test_assert_bytes(c.instance, atls_bytes_of(f->parsec_tpm.kid, 33));
    test_assert_bytes(c.signer_spki, test_arm_spki(f->world->p256));
    assert_string_equal(c.details[0].name, "reset-count");
    assert_int_equal(c.details[0].number, 7);
    atls_claims_clear(&c);
    fixture_free(f);
}

/* The one that Parsec publishes, and its companions that are broken. */
static void published_bundles(void **state)
{
    static const uint8_t nonce[] = {0xde, 0xad, 0xbe, 0xef, 0xde, 0xad, 0xbe, 0xef};
    static const struct {
        const char *file;
        enum atls_code want;
    } files[] = {
        {"tpm/parsec-tpm/evidence.cbor", ATLS_OK},
        {"tpm/parsec-tpm/evidence_bad_kat.cbor", ATLS_E_DECODE},
        {"tpm/parsec-tpm/evidence_not_cbor_map.cbor", ATLS_E_DECODE},
    };
    struct atls_buf pem = test_vector("tpm/parsec-tpm/ak_pub.pem");
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_key *ak;

    (void)state;
    test_assert_code(atls_key_from_pem(atls_buf_bytes(&pem), &ak, &err), ATLS_OK, &err);
    for (size_t i = 0; i < COUNT(files); i++) {
        struct fixture *f = fixture_new();
        struct atls_buf in = test_vector(files[i].file), evidence;
        struct atls_parsec_tpm parsec;
        struct atls_claims claims;

        print_message("  %s\n", files[i].file);
        key_unknown(f);
        memcpy(f->world->binder, nonce, sizeof nonce);
        f->world->binder_len = sizeof nonce;
        if (atls_parsec_tpm_decode(atls_buf_bytes(&in), &parsec, NULL) == ATLS_OK)
            test_arm_enrol(f->world, NULL, parsec.pat.kid.ptr, atls_key_spki(ak));
        evidence = test_arm_record(ATLS_TYPE_PARSEC_TPM, atls_buf_bytes(&in));
        test_assert_code(judge(f, &evidence, &claims, &err), files[i].want, &err);
        if (files[i].want == ATLS_OK) {
            assert_int_equal(claims.composite->bitmap, 7);
            atls_claims_clear(&claims);
        } else {
            assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
        }
        atls_buf_clear(&in);
        fixture_free(f);
    }
    atls_key_unref(ak);
    atls_buf_clear(&pem);
}

/* ---- every byte ---- */

static void check_every_byte(struct fixture *f, struct atls_buf *evidence, const char *name)
{
    static const uint8_t bits[] = {0x01, 0x80};
    struct atls_evidence_request request;
    size_t accepted = 0, count = 0;
    struct atls_claims claims;

    test_arm_enrol(f->world, f->cca.implementation_id, f->cca.instance_id,
                   test_arm_spki(f->world->p384));
    test_arm_enrol(f->world, NULL, f->parsec_tpm.kid, test_arm_spki(f->world->p256));
    request = test_arm_request(f->world, ATLS_EVIDENCE_COMPLETE, atls_buf_bytes(evidence));
    assert_int_equal(atls_evidence_verify(&request, &claims, NULL), ATLS_OK);
    atls_claims_clear(&claims);
    for (size_t i = 0; i < 2 * evidence->len; i++) {
        evidence->ptr[i / 2] ^= bits[i % 2];
        if (atls_evidence_verify(&request, &claims, NULL) == ATLS_OK) {
            print_message("  accepted: byte %zu ^ %02x\n", i / 2, bits[i % 2]);
            atls_claims_clear(&claims);
            accepted++;
        }
        evidence->ptr[i / 2] ^= bits[i % 2];
        count++;
    }
    print_message("  %s: %zu changes, %zu accepted\n", name, count, accepted);
    assert_int_equal(accepted, 0);
    atls_buf_clear(evidence);
}

static void no_changed_byte_is_taken(void **state)
{
    struct fixture *f = fixture_new(), *g = fixture_new();
    struct atls_buf cca = make_cca(f), tpm = make_tpm(g);

    (void)state;
    check_every_byte(f, &cca, "CCA");
    check_every_byte(g, &tpm, "TPM");
    fixture_free(f);
    fixture_free(g);
}

/* Memory that libcrypto does not get never makes a good answer of a bad one, and nothing leaks. */
static void short_of_memory(void **state)
{
    (void)state;
    for (size_t form = 0; form < 2; form++) {
        struct fixture *f = fixture_new();
        bool failed = true;

        other_nonce(f);
        kat_of_another_binder(f);
        for (size_t n = 0; failed; n++) {
            struct atls_buf evidence = form == 0 ? make_cca(f) : make_tpm(f);
            struct atls_claims claims;

            test_failing_alloc_arm(n);
            assert_int_not_equal(judge(f, &evidence, &claims, NULL), ATLS_OK);
            failed = test_failing_alloc_disarm();
        }
        fixture_free(f);
    }
}

static void check_other_technologies(struct atls_buf (*make)(struct fixture *f), const char *own,
                                     enum atls_reason reason)
{
    const char *others[TEST_OTHER_TECHNOLOGIES];

    test_other_technologies(own, others);
    for (size_t i = 0; i < COUNT(others); i++) {
        struct fixture *f = fixture_new();
        struct atls_claims claims = {.technology = "untouched"};
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_buf evidence = make(f);

        test_arm_enrol(f->world, f->cca.implementation_id, f->cca.instance_id,
                       test_arm_spki(f->world->p384));
        test_arm_enrol(f->world, NULL, f->parsec_tpm.kid, test_arm_spki(f->world->p256));
        for (size_t k = 0; k < f->world->entry_count; k++)
            f->world->entries[k].technology = others[i];
        test_assert_code(judge(f, &evidence, &claims, &err), ATLS_E_EVIDENCE, &err);
        test_assert_other_technology(&err, reason, own, others[i]);
        assert_string_equal(claims.technology, "untouched");
        fixture_free(f);
    }
}

/* Whatever else is right about them: what is signed with them is not of the technology that they
 * are enrolled for. */
static void keys_of_other_technologies(void **state)
{
    (void)state;
    check_other_technologies(make_tpm, "tpm", ATLS_REASON_UNTRUSTED_AK);
    check_other_technologies(make_cca, "cca", ATLS_REASON_UNTRUSTED_KEY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bundles_of_cca),
        cmocka_unit_test(bundles_of_tpms),
        cmocka_unit_test(what_a_tpm_says),
        cmocka_unit_test(published_bundles),
        cmocka_unit_test(keys_of_other_technologies),
        cmocka_unit_test(no_changed_byte_is_taken),
        cmocka_unit_test(short_of_memory),
    };

    test_failing_alloc_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
