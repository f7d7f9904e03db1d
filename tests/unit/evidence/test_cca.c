/* CCA evidence: honest tokens give claims, in every form they come in, and of each check there is a
 * token for which that check alone fails. */
#include "testlib.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arm_world.h"
#include "failing_alloc.h"

#include "core/err.h"
#include "evidence/cca.h"
#include "simulator/arm.h"
#include "wire/cbor.h"
#include "wire/tsm.h"

#define TYPE_2023   "application/eat+cwt; eat_profile=\"tag:arm.com,2023:cca_platform#1.0.0\""
#define TYPE_2024   "application/eat+cwt; eat_profile=\"tag:arm.com,2024:cca_platform#2.0.0\""
#define TYPE_LEGACY "application/eat+cwt; eat_profile=\"http://arm.com/CCA-SSD/1.0.0\""
#define COUNT(a)    (sizeof(a) / sizeof((a)[0]))

/* One token in the making, and who is to judge it. */
struct fixture {
    struct test_arm_world *world;
    struct atls_sim_cca cca;
    struct atls_sim_claim platform_changes[4], realm_changes[4];
    enum test_arm_form form;
    enum atls_evidence_scope scope;
    const char *type;
    bool in_report, not_enrolled;
    struct atls_bytes attested; /* key of the KAT */
    unsigned int profiles;      /* 0: all */
    struct test_arm_challenge answer;
    struct atls_buf made[4]; /* whatever a row made */
    uint8_t bytes[128];
    void (*last)(struct fixture *f); /* after the challenge is known */
};

static struct fixture *fixture_new(void)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct atls_err err = ATLS_ERR_INIT;

    assert_non_null(f);
    f->world = test_arm_world_new();
    f->world->technology = "cca";
    test_assert_code(atls_sim_cca_init(&f->cca, f->world->p384, f->world->realm, &err), ATLS_OK,
                     &err);
    f->cca.platform_changes = f->platform_changes;
    f->cca.realm_changes = f->realm_changes;
    f->type = TEST_ARM_CCA_TYPE;
    f->attested = test_arm_spki(f->world->aik);
    return f;
}

static void fixture_free(struct fixture *f)
{
    for (size_t i = 0; i < COUNT(f->made); i++)
        atls_buf_clear(&f->made[i]);
    atls_buf_clear(&f->answer.member);
    test_arm_world_free(f->world);
    free(f);
}

static struct atls_buf make_token(struct fixture *f)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf token = ATLS_BUF_INIT;

    test_assert_code(atls_sim_cca_token(&f->cca, &token, &err), ATLS_OK, &err);
    return token;
}

static struct atls_buf make_report(struct atls_bytes token, const char *provider)
{
    const struct atls_tsm_report report = {.provider = atls_bytes_of(provider, strlen(provider)),
                                           .outblob = token};
    struct atls_writer w = atls_writer_init(1 << 20);
    struct atls_buf out = ATLS_BUF_INIT;

    atls_tsm_report_put(&w, &report);
    assert_int_equal(atls_writer_finish(&w, &out, NULL), ATLS_OK);
    return out;
}

/* Evidence of the token that the specification stands for. */
static struct atls_buf make_evidence(struct fixture *f)
{
    static const uint8_t zeros[64];
    struct atls_buf token, report, evidence;

    f->answer = test_arm_challenge(f->world, f->form,
                                   f->scope == ATLS_EVIDENCE_KEY_UNKNOWN && f->form == TEST_ARM_BARE
                                       ? atls_bytes_of(NULL, 0)
                                       : f->attested);
    memcpy(f->answer.challenge + f->answer.len, zeros, 64 - f->answer.len);
    f->cca.challenge = atls_bytes_of(f->answer.challenge, 64);
    if (f->last != NULL)
        f->last(f);
    token = make_token(f);
    if (f->in_report) {
        report = make_report(atls_buf_bytes(&token), "arm_cca_guest\n");
        evidence = test_arm_evidence(&f->answer, ATLS_TYPE_TSM_REPORT, atls_buf_bytes(&report));
        atls_buf_clear(&report);
    } else {
        evidence = test_arm_evidence(&f->answer, f->type, atls_buf_bytes(&token));
    }
    atls_buf_clear(&token);
    return evidence;
}

static enum atls_code judge(struct fixture *f, struct atls_claims *claims, struct atls_err *err)
{
    struct atls_buf evidence = make_evidence(f);
    struct atls_evidence_request request =
        test_arm_request(f->world, f->scope, atls_buf_bytes(&evidence));
    enum atls_code code;

    if (!f->not_enrolled && f->world->entry_count == 0)
        test_arm_enrol(f->world, f->cca.implementation_id, f->cca.instance_id,
                       test_arm_spki(f->world->p384));
    if (f->profiles != 0)
        request.profiles = f->profiles;
    code = atls_evidence_verify(&request, claims, err);
    atls_buf_clear(&evidence);
    return code;
}

/* ---- changes ---- */

static void change(struct atls_sim_claim *list, int64_t key, struct atls_bytes item)
{
    while (list->key != 0 || list->item.ptr != NULL)
        list++;
    list->key = key;
    list->item = item;
}

static void change_hex(struct fixture *f, struct atls_sim_claim *list, int64_t key, const char *hex)
{
    struct atls_buf *b = f->made;

    while (b->ptr != NULL)
        b++;
    *b = test_unhex(hex);
    change(list, key, atls_buf_bytes(b));
}

#define A32    "1111111111111111111111111111111111111111111111111111111111111111"
#define H32    "5820" A32
#define H48    "583011111111111111111111111111111111" A32
#define H64    "5840" A32 A32
#define SHA224 "677368612d323234"

/* A claim in place of the true one, by name of its token. */
#define PLATFORM_CLAIM(name, key, hex)                                                             \
    static void name(struct fixture *f)                                                            \
    {                                                                                              \
        change_hex(f, f->platform_changes, key, hex);                                              \
    }
#define REALM_CLAIM(name, key, hex)                                                                \
    static void name(struct fixture *f)                                                            \
    {                                                                                              \
        change_hex(f, f->realm_changes, key, hex);                                                 \
    }

PLATFORM_CLAIM(platform_profile_unknown, 265, "6161")
PLATFORM_CLAIM(platform_profile_number, 265, "01")
PLATFORM_CLAIM(platform_challenge_of_33, 10, "5821" A32 "11")
PLATFORM_CLAIM(platform_challenge_twice, 10, "82" H32 H32)
PLATFORM_CLAIM(platform_challenge_other, 10, H32)
PLATFORM_CLAIM(platform_instance_02, 256, "582102" A32)
PLATFORM_CLAIM(platform_instance_of_32, 256, H32)
PLATFORM_CLAIM(platform_implementation_of_48, 2396, H48)
PLATFORM_CLAIM(platform_config_text, 2401, "6161")
PLATFORM_CLAIM(platform_lifecycle_gap, 2395, "193100")
PLATFORM_CLAIM(platform_lifecycle_wide, 2395, "1a00013000")
PLATFORM_CLAIM(platform_lifecycle_unknown, 2395, "00")
PLATFORM_CLAIM(platform_lifecycle_test, 2395, "191000")
PLATFORM_CLAIM(platform_lifecycle_provisioning, 2395, "192000")
PLATFORM_CLAIM(platform_lifecycle_debug, 2395, "194000")
PLATFORM_CLAIM(platform_lifecycle_recoverable, 2395, "195000")
PLATFORM_CLAIM(platform_lifecycle_decommissioned, 2395, "196000")
PLATFORM_CLAIM(platform_no_components, 2399, "80")
PLATFORM_CLAIM(platform_component_without_signer, 2399, "81a102" H32)
PLATFORM_CLAIM(platform_component_without_value, 2399, "81a105" H32)
PLATFORM_CLAIM(platform_component_of_33, 2399, "81a2025821" A32 "1105" H32)
PLATFORM_CLAIM(platform_hash_sha224, 2402, SHA224)
PLATFORM_CLAIM(platform_unknown_claim, 99999, "01")
PLATFORM_CLAIM(platform_deep_claim, 99999, "8181818181818181818100")
REALM_CLAIM(realm_profile_unknown, 265, "6161")
REALM_CLAIM(realm_challenge_of_32, 10, H32)
REALM_CLAIM(realm_challenge_twice, 10, "82" H64 H64)
REALM_CLAIM(realm_rpv_of_32, 44235, H32)
REALM_CLAIM(realm_three_rems, 44239, "83" H32 H32 H32)
REALM_CLAIM(realm_five_rems, 44239, "85" H32 H32 H32 H32 H32)
REALM_CLAIM(realm_rem_longer, 44239, "84" H32 H32 H32 H48)
REALM_CLAIM(realm_binding_sha224, 44240, SHA224)
REALM_CLAIM(realm_hash_unknown, 44236, "6161")
REALM_CLAIM(realm_chunked_challenge, 10, "5f5840" A32 A32 "ff")
REALM_CLAIM(mec_private, 44243, "6770726976617465")
REALM_CLAIM(mec_shared, 44243, "66736861726564")
REALM_CLAIM(realm_claim_of_the_wrapper, 44241, "66736861726564")

static void platform_without(struct fixture *f, int64_t key)
{
    change(f->platform_changes, key, atls_bytes_of(NULL, 0));
}

static void other_public_key_twice(struct fixture *f)
{
    change_hex(f, f->realm_changes, 44237, "41ff");
    f->realm_changes[0].beside = true;
}

static void legacy_key_with_profile(struct fixture *f)
{
    assert_int_equal(atls_sim_realm_key(f->world->realm, true, &f->made[0], NULL), ATLS_OK);
    f->cca.realm_key = atls_buf_bytes(&f->made[0]);
}

static void cose_key_without_profile(struct fixture *f)
{
    assert_int_equal(atls_sim_realm_key(f->world->realm, false, &f->made[0], NULL), ATLS_OK);
    f->cca.realm_key = atls_buf_bytes(&f->made[0]);
    f->cca.realm_profile = ATLS_CCA_REALM_LEGACY;
}

static void realm_key_off_its_curve(struct fixture *f)
{
    legacy_key_with_profile(f);
    f->made[0].ptr[96] ^= 1;
    f->cca.realm_profile = ATLS_CCA_REALM_LEGACY;
}

static void realm_key_is_p256(struct fixture *f)
{
    f->cca.realm_envelope.key = f->world->p256;
}

static void realm_key_is_p521(struct fixture *f)
{
    f->cca.realm_envelope.key = f->world->p521;
    f->world->rules.arm.cca_allow_p256 = true;
}

static void enrolled_without_class(struct fixture *f)
{
    test_arm_enrol(f->world, NULL, f->cca.instance_id, test_arm_spki(f->world->p384));
}

static void not_enrolled(struct fixture *f)
{
    f->not_enrolled = true;
}

static void enrolled_for_another_implementation(struct fixture *f)
{
    static const uint8_t other[32] = "another implementation          ";

    test_arm_enrol(f->world, other, f->cca.instance_id, test_arm_spki(f->world->p384));
}

/* The one that the claims name is on file; the header names another. */
static void kid_of_somebody_else(struct fixture *f)
{
    static const uint8_t kid[] = {0xa1, 0x04, 0x43, 'k', 'i', 'd'};

    f->cca.platform_envelope.unprotected_header = atls_bytes_of(kid, sizeof kid);
}

static void platform_signed_by_another(struct fixture *f)
{
    test_arm_enrol(f->world, f->cca.implementation_id, f->cca.instance_id,
                   test_arm_spki(f->world->realm));
}

static void platform_alg_of_another_curve(struct fixture *f)
{
    f->cca.platform_envelope.alg = -7;
}

static void platform_alg_eddsa(struct fixture *f)
{
    f->cca.platform_envelope.alg = -8;
}

static void realm_alg_of_another_curve(struct fixture *f)
{
    f->cca.realm_envelope.alg = -7;
}

static void platform_alg_not_protected(struct fixture *f)
{
    static const uint8_t header[] = {0xa1, 0x01, 0x38, 0x22};

    f->cca.platform_envelope.protected_header = atls_bytes_of("\xa0", 1);
    f->cca.platform_envelope.unprotected_header = atls_bytes_of(header, sizeof header);
}

static void platform_critical_header(struct fixture *f)
{
    static const uint8_t header[] = {0xa3, 0x01, 0x38, 0x22, 0x02, 0x81, 0x18, 0x63, 0x18, 0x63, 1};

    f->cca.platform_envelope.protected_header = atls_bytes_of(header, sizeof header);
}

static void platform_is_a_mac(struct fixture *f)
{
    f->cca.platform_envelope.tag = 17;
}

static void realm_without_tag(struct fixture *f)
{
    f->cca.realm_envelope.no_tag = true;
}

static void set_signature(struct fixture *f, struct atls_sim_envelope *e, size_t len)
{
    e->signature = atls_bytes_of(f->bytes, len);
}

static void platform_r_is_zero(struct fixture *f)
{
    f->bytes[95] = 1;
    set_signature(f, &f->cca.platform_envelope, 96);
}

static void platform_s_is_zero(struct fixture *f)
{
    f->bytes[47] = 1;
    set_signature(f, &f->cca.platform_envelope, 96);
}

static void platform_r_beyond_the_order(struct fixture *f)
{
    memset(f->bytes, 0xff, 48);
    f->bytes[95] = 1;
    set_signature(f, &f->cca.platform_envelope, 96);
}

static void platform_signature_longer(struct fixture *f)
{
    f->bytes[48] = f->bytes[97] = 1;
    set_signature(f, &f->cca.platform_envelope, 98);
}

static void platform_signature_empty(struct fixture *f)
{
    set_signature(f, &f->cca.platform_envelope, 0);
}

static void realm_signature_of_ones(struct fixture *f)
{
    memset(f->bytes, 1, 96);
    set_signature(f, &f->cca.realm_envelope, 96);
}

/* The hash of the public key by this algorithm, in the place of the one that 44240 names. */
static void bind_by(struct fixture *f, enum atls_hash hash)
{
    struct atls_writer w = atls_writer_init(128);
    uint8_t digest[ATLS_HASH_MAX];
    struct atls_buf key = ATLS_BUF_INIT;

    assert_int_equal(atls_sim_realm_key(f->world->realm, false, &key, NULL), ATLS_OK);
    assert_int_equal(atls_hash_one(hash, atls_buf_bytes(&key), digest, NULL), ATLS_OK);
    atls_cbor_put_bytes(&w, atls_bytes_of(digest, atls_hash_len(hash)));
    assert_int_equal(atls_writer_finish(&w, &f->made[1], NULL), ATLS_OK);
    change(f->platform_changes, 10, atls_buf_bytes(&f->made[1]));
    atls_buf_clear(&key);
}

static void bound_by_the_hash_of_measurements(struct fixture *f)
{
    f->cca.binding = ATLS_ARM_SHA512;
    f->cca.realm_hash = ATLS_ARM_SHA256;
    bind_by(f, ATLS_HASH_SHA256);
}

static void bound_by_the_hash_of_the_platform(struct fixture *f)
{
    f->cca.binding = ATLS_ARM_SHA256;
    f->cca.platform_hash = ATLS_ARM_SHA384;
    bind_by(f, ATLS_HASH_SHA384);
}

/* The claim has wide heads; its hash is of the same key encoded anew. */
static void bound_to_a_key_encoded_anew(struct fixture *f)
{
    f->cca.wide = true;
    bind_by(f, ATLS_HASH_SHA256);
}

static void realm_of_another_platform(struct fixture *f)
{
    struct atls_sim_cca other = f->cca;
    struct atls_arena arena = atls_arena_init(1 << 20);
    struct atls_cca_token opened;

    other.realm_envelope.key = f->world->p384;
    assert_int_equal(atls_sim_cca_token(&other, &f->made[2], NULL), ATLS_OK);
    assert_int_equal(atls_cca_token_open(atls_buf_bytes(&f->made[2]), &arena, &opened, NULL),
                     ATLS_OK);
    f->cca.realm_token = opened.realm_encoded;
    atls_arena_clear(&arena);
}

static void spliced_realm(struct fixture *f)
{
    f->last = realm_of_another_platform;
}

static void last_byte_of_the_challenge(struct fixture *f)
{
    memcpy(f->bytes, f->answer.challenge, 64);
    f->bytes[63] ^= 1;
    f->cca.challenge = atls_bytes_of(f->bytes, 64);
}

static void other_challenge(struct fixture *f)
{
    f->last = last_byte_of_the_challenge;
}

static void padding_of_a_short_nonce(struct fixture *f)
{
    f->world->binder_len = 32;
    f->scope = ATLS_EVIDENCE_KEY_UNKNOWN;
    f->form = TEST_ARM_BARE;
    f->last = last_byte_of_the_challenge;
}

static void key_of_somebody_else(struct fixture *f)
{
    f->attested = test_arm_spki(f->world->other);
}

static void other_binder_in_the_kat(struct fixture *f)
{
    /* Nobody looks at the KAT's nonce while it is made: the expected one changes after that. */
    f->world->binder[0] ^= 1;
}

static void late_other_binder(struct fixture *f)
{
    f->last = other_binder_in_the_kat;
}

static void debug_allowed(struct fixture *f)
{
    platform_lifecycle_debug(f);
    f->world->rules.arm.cca_allow_debug = true;
}

static void recoverable_with_debug_allowed(struct fixture *f)
{
    platform_lifecycle_recoverable(f);
    f->world->rules.arm.cca_allow_debug = true;
}

static void type_of_another_profile(struct fixture *f)
{
    f->type = TYPE_2024;
}

static void bare_is_not_taken(struct fixture *f)
{
    f->form = TEST_ARM_BARE;
    f->profiles = ATLS_PROFILE_KAT | ATLS_PROFILE_BATCH;
}

static void wrapper_of_another_tag(struct fixture *f)
{
    f->cca.tag = 398;
}

static void token_in_place_of_bytes(struct fixture *f)
{
    f->cca.platform_token = atls_bytes_of("\xd2\x84\x40\xa0\x40\x40", 6);
}

static void store_is_broken(struct fixture *f)
{
    f->world->broken = true;
}

/* More than claims have room for. */
static void huge_config(struct fixture *f)
{
    f->made[0] = (struct atls_buf){calloc(1, 200000), 200000};
    f->cca.config = atls_buf_bytes(&f->made[0]);
}

static void report_that_is_none(struct fixture *f)
{
    f->type = ATLS_TYPE_TSM_REPORT; /* around a token as it is */
}

static const struct {
    const char *name;
    void (*spoil)(struct fixture *f);
    enum atls_code want;
    enum atls_reason reason;
} rows[] = {
    {"config without end", huge_config, ATLS_E_NOMEM, ATLS_REASON_NONE},
    {"report that is none", report_that_is_none, ATLS_E_UNSUPPORTED,
     ATLS_REASON_UNKNOWN_EVIDENCE_TYPE},
    {"wrapper of tag 398", wrapper_of_another_tag, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"platform token that is a stub", token_in_place_of_bytes, ATLS_E_DECODE,
     ATLS_REASON_MALFORMED},
    {"platform token as a MAC", platform_is_a_mac, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"realm token without tag", realm_without_tag, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"alg that is not protected", platform_alg_not_protected, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"critical header that nobody knows", platform_critical_header, ATLS_E_UNSUPPORTED,
     ATLS_REASON_NONE},
    {"platform profile unknown", platform_profile_unknown, ATLS_E_UNSUPPORTED, ATLS_REASON_PROFILE},
    {"platform profile a number", platform_profile_number, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"realm profile unknown", realm_profile_unknown, ATLS_E_UNSUPPORTED, ATLS_REASON_PROFILE},
    {"media type of another profile", type_of_another_profile, ATLS_E_EVIDENCE,
     ATLS_REASON_PROFILE},
    {"platform challenge of 33 bytes", platform_challenge_of_33, ATLS_E_DECODE,
     ATLS_REASON_MALFORMED},
    {"two platform challenges", platform_challenge_twice, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"instance id of type 02", platform_instance_02, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"instance id of 32 bytes", platform_instance_of_32, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"implementation id of 48 bytes", platform_implementation_of_48, ATLS_E_DECODE,
     ATLS_REASON_MALFORMED},
    {"config as text", platform_config_text, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"lifecycle between ranges", platform_lifecycle_gap, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"lifecycle beyond 16 bits", platform_lifecycle_wide, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"no software components in the array", platform_no_components, ATLS_E_DECODE,
     ATLS_REASON_MALFORMED},
    {"component without signer", platform_component_without_signer, ATLS_E_DECODE,
     ATLS_REASON_MISSING_CLAIM},
    {"component without value", platform_component_without_value, ATLS_E_DECODE,
     ATLS_REASON_MISSING_CLAIM},
    {"component of 33 bytes", platform_component_of_33, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"hash of the platform sha-224", platform_hash_sha224, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"realm challenge of 32 bytes", realm_challenge_of_32, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"two realm challenges", realm_challenge_twice, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"realm challenge in chunks", realm_chunked_challenge, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"personalization value of 32 bytes", realm_rpv_of_32, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"three extensible measurements", realm_three_rems, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"five extensible measurements", realm_five_rems, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"a longer extensible measurement", realm_rem_longer, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"binding by sha-224", realm_binding_sha224, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"hash of measurements unknown", realm_hash_unknown, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"public key twice", other_public_key_twice, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"point where the profile has a COSE_Key", legacy_key_with_profile, ATLS_E_DECODE,
     ATLS_REASON_MALFORMED},
    {"COSE_Key where no profile is named", cose_key_without_profile, ATLS_E_DECODE,
     ATLS_REASON_MALFORMED},
    {"nested too deeply", platform_deep_claim, ATLS_E_LIMIT, ATLS_REASON_MALFORMED},
    {"platform that is not on file", not_enrolled, ATLS_E_EVIDENCE, ATLS_REASON_UNTRUSTED_KEY},
    {"instance of another implementation", enrolled_for_another_implementation, ATLS_E_EVIDENCE,
     ATLS_REASON_UNTRUSTED_KEY},
    {"instance of no implementation", enrolled_without_class, ATLS_E_EVIDENCE,
     ATLS_REASON_UNTRUSTED_KEY},
    {"store that is broken", store_is_broken, ATLS_E_IO, ATLS_REASON_NONE},
    {"ES256 with a key of P-384", platform_alg_of_another_curve, ATLS_E_UNSUPPORTED,
     ATLS_REASON_UNSUPPORTED_ALGORITHM},
    {"EdDSA", platform_alg_eddsa, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_ALGORITHM},
    {"platform token of another key", platform_signed_by_another, ATLS_E_EVIDENCE,
     ATLS_REASON_PLATFORM_SIGNATURE},
    {"r is 0", platform_r_is_zero, ATLS_E_EVIDENCE, ATLS_REASON_PLATFORM_SIGNATURE},
    {"s is 0", platform_s_is_zero, ATLS_E_EVIDENCE, ATLS_REASON_PLATFORM_SIGNATURE},
    {"r is not below the order", platform_r_beyond_the_order, ATLS_E_EVIDENCE,
     ATLS_REASON_PLATFORM_SIGNATURE},
    {"signature with padding", platform_signature_longer, ATLS_E_EVIDENCE,
     ATLS_REASON_PLATFORM_SIGNATURE},
    {"empty signature", platform_signature_empty, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"realm key off its curve", realm_key_off_its_curve, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"realm key of P-256", realm_key_is_p256, ATLS_E_UNSUPPORTED,
     ATLS_REASON_UNSUPPORTED_ALGORITHM},
    {"realm key of P-521", realm_key_is_p521, ATLS_E_UNSUPPORTED,
     ATLS_REASON_UNSUPPORTED_ALGORITHM},
    {"platform bound to another key", platform_challenge_other, ATLS_E_EVIDENCE,
     ATLS_REASON_REALM_BINDING},
    {"binding by the hash of measurements", bound_by_the_hash_of_measurements, ATLS_E_EVIDENCE,
     ATLS_REASON_REALM_BINDING},
    {"binding by the hash of the platform", bound_by_the_hash_of_the_platform, ATLS_E_EVIDENCE,
     ATLS_REASON_REALM_BINDING},
    {"binding to the key encoded anew", bound_to_a_key_encoded_anew, ATLS_E_EVIDENCE,
     ATLS_REASON_REALM_BINDING},
    {"realm of another platform", spliced_realm, ATLS_E_EVIDENCE, ATLS_REASON_REALM_BINDING},
    {"realm token with ES256 and a key of P-384", realm_alg_of_another_curve, ATLS_E_UNSUPPORTED,
     ATLS_REASON_UNSUPPORTED_ALGORITHM},
    {"realm signature wrong", realm_signature_of_ones, ATLS_E_EVIDENCE,
     ATLS_REASON_REALM_SIGNATURE},
    {"last byte of the challenge", other_challenge, ATLS_E_EVIDENCE,
     ATLS_REASON_CHALLENGE_MISMATCH},
    {"last byte behind a short nonce", padding_of_a_short_nonce, ATLS_E_EVIDENCE,
     ATLS_REASON_CHALLENGE_MISMATCH},
    {"lifecycle unknown", platform_lifecycle_unknown, ATLS_E_EVIDENCE, ATLS_REASON_LIFECYCLE},
    {"lifecycle assembly and test", platform_lifecycle_test, ATLS_E_EVIDENCE,
     ATLS_REASON_LIFECYCLE},
    {"lifecycle provisioning", platform_lifecycle_provisioning, ATLS_E_EVIDENCE,
     ATLS_REASON_LIFECYCLE},
    {"lifecycle debug", platform_lifecycle_debug, ATLS_E_EVIDENCE, ATLS_REASON_LIFECYCLE},
    {"lifecycle recoverable debug", platform_lifecycle_recoverable, ATLS_E_EVIDENCE,
     ATLS_REASON_LIFECYCLE},
    {"lifecycle decommissioned", platform_lifecycle_decommissioned, ATLS_E_EVIDENCE,
     ATLS_REASON_LIFECYCLE},
    {"lifecycle recoverable debug, with the rule for the other", recoverable_with_debug_allowed,
     ATLS_E_EVIDENCE, ATLS_REASON_LIFECYCLE},
    {"KAT for another binder", late_other_binder, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH},
    {"KAT for another key", key_of_somebody_else, ATLS_E_EVIDENCE,
     ATLS_REASON_KEY_BINDING_MISMATCH},
    {"bare where it is not taken", bare_is_not_taken, ATLS_E_EVIDENCE,
     ATLS_REASON_EVIDENCE_PROFILE},
};

static void each_check_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fixture *f = fixture_new();
        struct atls_claims claims = {.technology = "untouched"};
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        rows[i].spoil(f);
        test_assert_code(judge(f, &claims, &err), rows[i].want, &err);
        if (err.reason != rows[i].reason)
            fail_msg("%s: %s", atls_reason_name(err.reason), err.message);
        assert_string_equal(claims.technology, "untouched");
        fixture_free(f);
    }
}

static void each_claim_that_must_be(void **state)
{
    static const int64_t platform[] = {265, 10, 2396, 256, 2401, 2395, 2399, 2402};
    static const int64_t realm[] = {10, 44235, 44236, 44237, 44238, 44239, 44240};

    (void)state;
    for (size_t i = 0; i < COUNT(platform) + COUNT(realm); i++) {
        struct fixture *f = fixture_new();
        struct atls_claims claims;
        struct atls_err err = ATLS_ERR_INIT;

        if (i < COUNT(platform))
            platform_without(f, platform[i]);
        else
            change(f->realm_changes, realm[i - COUNT(platform)], atls_bytes_of(NULL, 0));
        test_assert_code(judge(f, &claims, &err), ATLS_E_DECODE, &err);
        if (err.reason != ATLS_REASON_MISSING_CLAIM)
            fail_msg("%zu: %s: %s", i, atls_reason_name(err.reason), err.message);
        fixture_free(f);
    }
}

/* Members of the wrapper that are absent, and one too many. */
static void wrappers(void **state)
{
    static const struct {
        const char *name;
        const char *hex; /* P, R: the two members with their keys */
        enum atls_reason reason;
    } wrapped[] = {
        {"no realm token", "d9018fa1P", ATLS_REASON_MISSING_TOKEN},
        {"no platform token", "d9018fa1R", ATLS_REASON_MISSING_TOKEN},
        {"two realm tokens", "d9018fa3PRR", ATLS_REASON_MALFORMED},
        {"trailing byte", "d9018fa2PR00", ATLS_REASON_MALFORMED},
        {"indefinite length", "d9018fbfPRff", ATLS_REASON_MALFORMED},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(wrapped); i++) {
        struct fixture *f = fixture_new();
        struct atls_buf token = ATLS_BUF_INIT, evidence;
        struct atls_arena arena = atls_arena_init(1 << 20);
        struct atls_writer w = atls_writer_init(1 << 20);
        struct atls_evidence_request request;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_cca_token opened;
        struct atls_claims claims;

        print_message("  %s\n", wrapped[i].name);
        f->cca.challenge = atls_bytes_of(f->bytes, 64);
        token = make_token(f);
        assert_int_equal(atls_cca_token_open(atls_buf_bytes(&token), &arena, &opened, NULL),
                         ATLS_OK);
        for (const char *c = wrapped[i].hex; *c != '\0'; c++) {
            unsigned int byte;

            if (*c == 'P' || *c == 'R') {
                atls_cbor_put_int(&w, *c == 'P' ? 44234 : 44241);
                atls_cbor_put_bytes(&w, *c == 'P' ? opened.platform_encoded : opened.realm_encoded);
                continue;
            }
            assert_int_equal(sscanf(c, "%2x", &byte), 1);
            atls_put_u8(&w, (uint8_t)byte);
            c++;
        }
        evidence = test_arm_record(TEST_ARM_CCA_TYPE, atls_writer_bytes(&w));
        request = test_arm_request(f->world, ATLS_EVIDENCE_COMPLETE, atls_buf_bytes(&evidence));
        test_assert_code(atls_evidence_verify(&request, &claims, &err), ATLS_E_DECODE, &err);
        assert_int_equal(err.reason, wrapped[i].reason);
        atls_arena_clear(&arena);
        atls_writer_clear(&w);
        atls_buf_clear(&token);
        atls_buf_clear(&evidence);
        fixture_free(f);
    }
}

/* ---- what is taken ---- */

static void tag_907(struct fixture *f)
{
    f->cca.tag = 907;
}

static void no_tag(struct fixture *f)
{
    f->cca.tag = 0;
}

static void wide(struct fixture *f)
{
    f->cca.wide = true;
}

static void wide_907(struct fixture *f)
{
    f->cca.wide = true;
    f->cca.tag = 907;
}

static void legacy_realm(struct fixture *f)
{
    f->cca.realm_profile = ATLS_CCA_REALM_LEGACY;
    f->cca.platform_profile = ATLS_CCA_PLATFORM_LEGACY;
    f->type = TYPE_LEGACY;
}

static void profiles_of_2024(struct fixture *f)
{
    f->cca.realm_profile = ATLS_CCA_REALM_2024;
    f->cca.platform_profile = ATLS_CCA_PLATFORM_2024;
    f->type = TYPE_2024;
}

static void named_profile(struct fixture *f)
{
    f->type = TYPE_2023;
}

static void binding_384(struct fixture *f)
{
    f->cca.binding = ATLS_ARM_SHA384;
}

static void binding_512(struct fixture *f)
{
    f->cca.binding = ATLS_ARM_SHA512;
}

static void measurements_512(struct fixture *f)
{
    f->cca.realm_hash = ATLS_ARM_SHA512;
}

static void use_platform_key(struct fixture *f, const struct atls_private_key *key)
{
    f->cca.platform_envelope.key = key;
    test_arm_enrol(f->world, f->cca.implementation_id, f->cca.instance_id, test_arm_spki(key));
}

static void platform_p256(struct fixture *f)
{
    use_platform_key(f, f->world->p256);
}

static void platform_p521(struct fixture *f)
{
    use_platform_key(f, f->world->p521);
}

static void realm_p256_allowed(struct fixture *f)
{
    realm_key_is_p256(f);
    f->world->rules.arm.cca_allow_p256 = true;
}

/* {-3: y, -2: x, -1: 2, 1: 2}: no sender has to sort. */
static void key_in_another_order(struct fixture *f)
{
    struct atls_writer w = atls_writer_init(256);
    struct atls_cose_key key;

    assert_int_equal(atls_cose_key_from_spki(test_arm_spki(f->world->realm), &key, NULL), ATLS_OK);
    atls_cbor_put_map(&w, 4);
    atls_cbor_put_int(&w, -3);
    atls_cbor_put_bytes(&w, key.y);
    atls_cbor_put_int(&w, -2);
    atls_cbor_put_bytes(&w, key.x);
    atls_cbor_put_int(&w, -1);
    atls_cbor_put_int(&w, 2);
    atls_cbor_put_int(&w, 1);
    atls_cbor_put_int(&w, 2);
    assert_int_equal(atls_writer_finish(&w, &f->made[0], NULL), ATLS_OK);
    f->cca.realm_key = atls_buf_bytes(&f->made[0]);
}

static void batch(struct fixture *f)
{
    f->form = TEST_ARM_BATCH;
}

static void bare(struct fixture *f)
{
    f->form = TEST_ARM_BARE;
}

static void report(struct fixture *f)
{
    f->in_report = true;
}

static void bare_report(struct fixture *f)
{
    f->in_report = true;
    f->form = TEST_ARM_BARE;
}

static void store_without_classes(struct fixture *f)
{
    f->world->knows_no_classes = true;
}

static void same_instance_of_another_implementation(struct fixture *f)
{
    enrolled_for_another_implementation(f);
    f->world->entries[0].spki = test_arm_spki(f->world->other);
    test_arm_enrol(f->world, f->cca.implementation_id, f->cca.instance_id,
                   test_arm_spki(f->world->p384));
}

static void short_binder(struct fixture *f)
{
    f->world->binder_len = 32;
}

static void nonce_of_a_client(struct fixture *f)
{
    f->form = TEST_ARM_BARE;
    f->scope = ATLS_EVIDENCE_KEY_UNKNOWN;
    f->world->binder_len = 64;
}

static void short_nonce_of_a_client(struct fixture *f)
{
    nonce_of_a_client(f);
    f->world->binder_len = 32;
}

static void bundle_of_a_client(struct fixture *f)
{
    f->scope = ATLS_EVIDENCE_KEY_UNKNOWN;
}

static void plain(struct fixture *f)
{
    (void)f;
}

static const struct {
    const char *name;
    void (*prepare)(struct fixture *f);
} taken[] = {
    {"tag 399", plain},
    {"tag 907", tag_907},
    {"collection without tag", no_tag},
    {"longest heads", wide},
    {"longest heads in tag 907", wide_907},
    {"legacy profiles", legacy_realm},
    {"profiles of 2024", profiles_of_2024},
    {"media type that names the profile", named_profile},
    {"binding by SHA-384", binding_384},
    {"binding by SHA-512, measurements by SHA-256", binding_512},
    {"measurements by SHA-512", measurements_512},
    {"platform with P-256", platform_p256},
    {"platform with P-521", platform_p521},
    {"realm with P-256, by rule", realm_p256_allowed},
    {"key with members in another order", key_in_another_order},
    {"unknown claim", platform_unknown_claim},
    {"claim of the wrapper's key inside", realm_claim_of_the_wrapper},
    {"kid that is not the platform's", kid_of_somebody_else},
    {"debug, by rule", debug_allowed},
    {"batch", batch},
    {"bare", bare},
    {"report of configfs-tsm", report},
    {"bare report of configfs-tsm", bare_report},
    {"store that has no classes", store_without_classes},
    {"two implementations with one instance", same_instance_of_another_implementation},
    {"binder of 32 bytes", short_binder},
    {"nonce of 64 bytes, no key known", nonce_of_a_client},
    {"nonce of 32 bytes, no key known", short_nonce_of_a_client},
    {"bundle, no key known", bundle_of_a_client},
};

static void honest_tokens(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(taken); i++) {
        struct fixture *f = fixture_new();
        struct atls_claims claims;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", taken[i].name);
        taken[i].prepare(f);
        test_assert_code(judge(f, &claims, &err), ATLS_OK, &err);
        assert_int_equal(claims.key_trust, ATLS_KEY_TRUST_ENROLLED);
        assert_string_equal(claims.submod, "CCA_SSD_PLATFORM");
        assert_string_equal(claims.next->submod, "CCA_REALM");
        assert_null(claims.next->next);
        if (f->form == TEST_ARM_BARE && f->scope == ATLS_EVIDENCE_KEY_UNKNOWN)
            assert_int_equal(claims.key_spki.len, 0);
        else
            test_assert_bytes(claims.key_spki, f->attested);
        test_assert_bytes(claims.next->key_spki, claims.key_spki);
        atls_claims_clear(&claims);
        fixture_free(f);
    }
}

/* Trust in the platform's key is for another Verifier; all else is checked. */
static void trust_elsewhere(void **state)
{
    static const struct {
        const char *name;
        void (*spoil)(struct fixture *f);
        enum atls_reason reason;
    } some[] = {
        {"not on file", not_enrolled, ATLS_REASON_NONE},
        {"platform signature", platform_r_is_zero, ATLS_REASON_NONE},
        {"binding", platform_challenge_other, ATLS_REASON_REALM_BINDING},
        {"realm signature", realm_signature_of_ones, ATLS_REASON_REALM_SIGNATURE},
        {"challenge", other_challenge, ATLS_REASON_CHALLENGE_MISMATCH},
        {"lifecycle", platform_lifecycle_debug, ATLS_REASON_LIFECYCLE},
        {"key", key_of_somebody_else, ATLS_REASON_KEY_BINDING_MISMATCH},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(some); i++) {
        struct fixture *f = fixture_new();
        struct atls_claims claims;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", some[i].name);
        f->scope = ATLS_EVIDENCE_KEY_TRUST_ELSEWHERE;
        some[i].spoil(f);
        if (some[i].reason != ATLS_REASON_NONE) {
            test_assert_code(judge(f, &claims, &err), ATLS_E_EVIDENCE, &err);
            assert_int_equal(err.reason, some[i].reason);
        } else {
            test_assert_code(judge(f, &claims, &err), ATLS_OK, &err);
            assert_int_equal(claims.key_trust, ATLS_KEY_TRUST_NONE);
            assert_int_equal(claims.next->key_trust, ATLS_KEY_TRUST_NONE);
            assert_int_equal(claims.signer_spki.len, 0);
            test_assert_bytes(claims.key_spki, f->attested);
            atls_claims_clear(&claims);
        }
        fixture_free(f);
    }
}

/* ---- what it says ---- */

static const struct atls_detail *find_detail(const struct atls_claims *claims, const char *name)
{
    for (size_t i = 0; i < claims->detail_count; i++)
        if (strcmp(claims->details[i].name, name) == 0)
            return &claims->details[i];
    fail_msg("no detail %s", name);
    abort(); /* not reached */
}

static void assert_text(const struct atls_claims *claims, const char *name, const char *want)
{
    assert_true(atls_bytes_equal_text(find_detail(claims, name)->bytes, want));
}

static void assert_mkey(const struct atls_claims *claims, size_t index, const char *want)
{
    assert_true(index < claims->measurement_count);
    assert_int_equal(claims->measurements[index].mkey.kind, ATLS_MKEY_TEXT);
    assert_true(atls_bytes_equal_text(claims->measurements[index].mkey.bytes, want));
}

static void assert_class(const struct atls_claims *claims, const uint8_t *id, size_t len)
{
    struct atls_bytes content;
    uint64_t tag;

    assert_true(atls_tagged_bytes(claims->environment.class_id, &tag, &content));
    assert_int_equal(tag, ATLS_TAG_BYTES);
    test_assert_bytes(content, atls_bytes_of(id, len));
}

static void check_platform_claims(const struct fixture *f, const struct atls_claims *c)
{
    const struct atls_measurement *rmm = &c->measurements[1];

    assert_int_equal(c->measurement_count, 3);
    assert_int_equal(c->optional_count, 0);
    assert_mkey(c, 0, "cca.software-component");
    assert_mkey(c, 1, "cca.software-component");
    assert_mkey(c, 2, "cca.platform-config");
    assert_int_equal(rmm->mval.present,
                     ATLS_MVAL_DIGESTS | ATLS_MVAL_KEYS | ATLS_MVAL_NAME | ATLS_MVAL_VERSION);
    assert_int_equal(rmm->mval.digests[0].named_information, 1);
    assert_int_equal(rmm->mval.keys[0].tag, ATLS_TAG_BYTES);
    assert_true(atls_bytes_equal_text(rmm->mval.name, "RMM"));
    assert_true(atls_bytes_equal_text(rmm->mval.version, "0.5.0"));
    test_assert_bytes(c->measurements[2].mval.raw, f->cca.config);
    assert_class(c, f->cca.implementation_id, 32);
    test_assert_bytes(c->instance, atls_bytes_of(f->cca.instance_id, 33));
    test_assert_bytes(c->signer_spki, test_arm_spki(f->world->p384));
    assert_text(c, "lifecycle", "secured");
    assert_int_equal(find_detail(c, "lifecycle-value")->number, 0x3000);
    assert_text(c, "profile", "tag:arm.com,2023:cca_platform#1.0.0");
    assert_text(c, "hash-algorithm", "sha-256");
    test_assert_bytes(find_detail(c, "implementation-id")->bytes,
                      atls_bytes_of(f->cca.implementation_id, 32));
    test_assert_bytes(find_detail(c, "config")->bytes, f->cca.config);
}

static void check_realm_claims(const struct fixture *f, const struct atls_claims *c)
{
    static const char *const mkeys[] = {"cca.rim",  "cca.rem0", "cca.rem1",
                                        "cca.rem2", "cca.rem3", "cca.rpv"};

    assert_int_equal(c->measurement_count, 6);
    assert_int_equal(c->optional_count, 5);
    for (size_t i = 0; i < COUNT(mkeys); i++)
        assert_mkey(c, i, mkeys[i]);
    test_assert_bytes(c->measurements[0].mval.digests[0].value,
                      atls_bytes_of(f->cca.initial_measurement, 32));
    assert_int_equal(c->measurements[5].mval.raw.len, 64);
    assert_class(c, f->cca.initial_measurement, 32);
    assert_int_equal(c->instance.len, 0);
    assert_null(c->environment.instance.ptr);
    test_assert_bytes(c->signer_spki, test_arm_spki(f->world->realm));
    assert_text(c, "profile", "tag:arm.com,2023:realm#1.0.0");
    assert_text(c, "public-key-hash-algorithm", "sha-256");
    assert_int_equal(find_detail(c, "personalization-value")->bytes.len, 64);
    assert_int_equal(find_detail(c, "extensible-measurement-3")->bytes.len, 32);
}

static void memory_encryption_contexts(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fixture *f = fixture_new();
        struct atls_claims claims;
        struct atls_err err = ATLS_ERR_INIT;

        profiles_of_2024(f);
        if (i == 0)
            mec_private(f);
        else
            mec_shared(f);
        test_assert_code(judge(f, &claims, &err), ATLS_OK, &err);
        assert_text(claims.next, "mec-policy", i == 0 ? "private" : "shared");
        atls_claims_clear(&claims);
        fixture_free(f);
    }
}

static void claims_of_both(void **state)
{
    struct fixture *f = fixture_new();
    struct atls_claims claims;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(judge(f, &claims, &err), ATLS_OK, &err);
    check_platform_claims(f, &claims);
    check_realm_claims(f, claims.next);
    atls_claims_clear(&claims);
    fixture_free(f);
}

/* ---- every byte ---- */

/* Each byte of the token changed in one bit, and in another: never evidence. */
static void no_changed_byte_is_taken(void **state)
{
    static const uint8_t bits[] = {0x01, 0x80};
    struct fixture *f = fixture_new();
    size_t count = 0, accepted = 0;
    struct atls_evidence_request request;
    struct atls_buf token, evidence;
    struct atls_claims claims;
    uint8_t *at;

    (void)state;
    test_arm_enrol(f->world, f->cca.implementation_id, f->cca.instance_id,
                   test_arm_spki(f->world->p384));
    f->answer = test_arm_challenge(f->world, TEST_ARM_BARE, f->attested);
    f->cca.challenge = atls_bytes_of(f->answer.challenge, 64);
    token = make_token(f);
    evidence = test_arm_record(TEST_ARM_CCA_TYPE, atls_buf_bytes(&token));
    at = evidence.ptr + evidence.len - token.len;
    test_assert_bytes(atls_bytes_of(at, token.len), atls_buf_bytes(&token));
    request = test_arm_request(f->world, ATLS_EVIDENCE_COMPLETE, atls_buf_bytes(&evidence));
    for (size_t i = 0; i < 2 * token.len; i++) {
        at[i / 2] ^= bits[i % 2];
        if (atls_evidence_verify(&request, &claims, NULL) == ATLS_OK) {
            print_message("  accepted: byte %zu ^ %02x\n", i / 2, bits[i % 2]);
            atls_claims_clear(&claims);
            accepted++;
        }
        at[i / 2] ^= bits[i % 2];
        count++;
    }
    print_message("  %zu changes of a token of %zu bytes, %zu accepted\n", count, token.len,
                  accepted);
    assert_int_equal(accepted, 0);
    for (size_t len = 1; len < token.len; len++) {
        struct atls_buf cut = test_arm_record(TEST_ARM_CCA_TYPE, atls_bytes_of(token.ptr, len));

        request.evidence = atls_buf_bytes(&cut);
        assert_int_equal(atls_evidence_verify(&request, &claims, NULL), ATLS_E_DECODE);
        atls_buf_clear(&cut);
    }
    atls_buf_clear(&token);
    atls_buf_clear(&evidence);
    fixture_free(f);
}

/* Memory that libcrypto does not get never makes a good answer of a bad one, and nothing leaks. */
static void short_of_memory(void **state)
{
    struct fixture *f = fixture_new();
    struct atls_evidence_request request;
    struct atls_buf evidence;
    bool failed = true;

    (void)state;
    f->cca.wide = true;
    realm_signature_of_ones(f);
    evidence = make_evidence(f);
    test_arm_enrol(f->world, f->cca.implementation_id, f->cca.instance_id,
                   test_arm_spki(f->world->p384));
    request = test_arm_request(f->world, ATLS_EVIDENCE_COMPLETE, atls_buf_bytes(&evidence));
    for (size_t n = 0; failed; n++) {
        struct atls_claims claims;

        test_failing_alloc_arm(n);
        assert_int_not_equal(atls_evidence_verify(&request, &claims, NULL), ATLS_OK);
        failed = test_failing_alloc_disarm();
    }
    atls_buf_clear(&evidence);
    fixture_free(f);
}

/* Only what a key is enrolled for is wrong with it. */
static void keys_of_other_technologies(void **state)
{
    const char *others[TEST_OTHER_TECHNOLOGIES];

    (void)state;
    test_other_technologies("cca", others);
    for (size_t i = 0; i < 2 * COUNT(others); i++) {
        struct fixture *f = fixture_new();
        struct atls_claims claims = {.technology = "untouched"};
        struct atls_err err = ATLS_ERR_INIT;

        f->world->knows_no_classes = i % 2 == 1;
        test_arm_enrol(f->world, f->cca.implementation_id, f->cca.instance_id,
                       test_arm_spki(f->world->p384));
        f->world->entries[0].technology = others[i / 2];
        test_assert_code(judge(f, &claims, &err), ATLS_E_EVIDENCE, &err);
        test_assert_other_technology(&err, ATLS_REASON_UNTRUSTED_KEY, "cca", others[i / 2]);
        assert_string_equal(claims.technology, "untouched");
        f->world->entries[0].technology = "cca";
        test_assert_code(judge(f, &claims, &err), ATLS_OK, &err);
        atls_claims_clear(&claims);
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_check_alone),
        cmocka_unit_test(each_claim_that_must_be),
        cmocka_unit_test(wrappers),
        cmocka_unit_test(honest_tokens),
        cmocka_unit_test(trust_elsewhere),
        cmocka_unit_test(claims_of_both),
        cmocka_unit_test(memory_encryption_contexts),
        cmocka_unit_test(keys_of_other_technologies),
        cmocka_unit_test(no_changed_byte_is_taken),
        cmocka_unit_test(short_of_memory),
    };

    test_failing_alloc_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
