/* Recorded CCA and PSA tokens (tests/vectors/cca, tests/vectors/psa): each case gives its verdict
 * and its error, as evidence that a Verifier which serves others gets from somebody else's client.
 */
#include "testlib.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "arm_world.h"

#include "core/err.h"
#include "evidence/arm.h"
#include "wire/cca.h"
#include "wire/parsec.h"
#include "wire/psa.h"

static const char *text_of(json_t *c, const char *name)
{
    return json_string_value(json_object_get(c, name));
}

static const char *file_of(json_t *c, const char *role)
{
    return json_string_value(json_object_get(json_object_get(c, "files"), role));
}

static struct atls_buf load(const char *folder, json_t *c, const char *role)
{
    char path[256];

    assert_non_null(file_of(c, role));
    snprintf(path, sizeof path, "%s/%s", folder, file_of(c, role));
    return test_vector(path);
}

/* A case at work. */
struct work {
    struct test_arm_world *world;
    json_t *c;
    struct atls_buf in;
    struct atls_key *key; /* NULL: of a MAC, which no store has */
};

static void open_work(struct work *w, const char *folder, json_t *c, const char *key_role)
{
    struct atls_err err = ATLS_ERR_INIT;

    *w = (struct work){.world = test_arm_world_new(), .c = c};
    w->in = load(folder, c, file_of(c, "evidence") != NULL ? "evidence" : "token");
    if (file_of(c, key_role) != NULL) {
        struct atls_buf pem = load(folder, c, key_role);

        test_assert_code(atls_key_from_pem(atls_buf_bytes(&pem), &w->key, &err), ATLS_OK, &err);
        atls_buf_clear(&pem);
    }
}

static void close_work(struct work *w)
{
    atls_key_unref(w->key);
    atls_buf_clear(&w->in);
    test_arm_world_free(w->world);
}

static void set_binder(struct work *w, const char *hex)
{
    struct atls_buf binder = test_unhex(hex);

    assert_true(binder.len <= sizeof w->world->binder);
    memcpy(w->world->binder, binder.ptr, binder.len);
    w->world->binder_len = binder.len;
    atls_buf_clear(&binder);
}

static enum atls_code judge(struct work *w, const char *type, struct atls_err *err)
{
    struct atls_buf evidence = test_arm_record(type, atls_buf_bytes(&w->in));
    struct atls_evidence_request request =
        test_arm_request(w->world, ATLS_EVIDENCE_KEY_UNKNOWN, atls_buf_bytes(&evidence));
    struct atls_claims claims;
    enum atls_code code;

    request.profiles = 0; /* such a Verifier takes every form */
    code = atls_evidence_verify(&request, &claims, err);
    if (code == ATLS_OK) {
        assert_int_equal(claims.key_trust, ATLS_KEY_TRUST_ENROLLED);
        atls_claims_clear(&claims);
    }
    atls_buf_clear(&evidence);
    return code;
}

/* The same with the last byte of the expected value another. */
static void assert_fresh(struct work *w, const char *type, enum atls_reason reason)
{
    struct atls_err err = ATLS_ERR_INIT;

    w->world->binder[w->world->binder_len - 1] ^= 1;
    test_assert_code(judge(w, type, &err), ATLS_E_EVIDENCE, &err);
    assert_int_equal(err.reason, reason);
    w->world->binder[w->world->binder_len - 1] ^= 1;
}

static void assert_error(const struct atls_err *err, const char *slug)
{
    if (strcmp(atls_reason_name(err->reason), slug) != 0)
        fail_msg("%s (%s), want %s", atls_reason_name(err->reason), err->message, slug);
}

/* A store that has the key for whatever instance the token names. */
static void enrol_platform(struct work *w, struct atls_bytes token)
{
    struct atls_arena arena = atls_arena_init(1 << 20);
    struct atls_cca_platform platform;
    struct atls_cca_token opened;

    if (atls_cca_token_open(token, &arena, &opened, NULL) == ATLS_OK &&
        atls_cca_platform_decode(opened.platform.payload, &arena, &platform, NULL) == ATLS_OK)
        test_arm_enrol(w->world, platform.implementation_id.ptr, platform.instance_id.ptr,
                       atls_key_spki(w->key));
    atls_arena_clear(&arena);
}

static void check_cca(json_t *c)
{
    static const char *const any_challenge = "4142414241424142414241424142414241424142414241424142"
                                             "414241424142414241424142414241424142414241424142"
                                             "4142414241424142414241424142";
    const bool is_parsec = file_of(c, "evidence") != NULL;
    const char *type = is_parsec ? ATLS_TYPE_PARSEC_CCA : TEST_ARM_CCA_TYPE;
    const char *challenge = text_of(c, "realm_challenge");
    struct atls_arena arena = atls_arena_init(1 << 20);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_parsec_cca parsec;
    struct work w;

    open_work(&w, "cca", c, "cpak");
    if (is_parsec) {
        test_assert_code(atls_parsec_cca_decode(atls_buf_bytes(&w.in), &arena, &parsec, &err),
                         ATLS_OK, &err);
        enrol_platform(&w, parsec.token);
        set_binder(&w, "0001020304050607");
    } else {
        enrol_platform(&w, atls_buf_bytes(&w.in));
        set_binder(&w, challenge != NULL ? challenge : any_challenge);
    }
    if (strcmp(text_of(c, "verdict"), "accept") == 0) {
        test_assert_code(judge(&w, type, &err), ATLS_OK, &err);
        assert_fresh(&w, type,
                     is_parsec ? ATLS_REASON_NONCE_MISMATCH : ATLS_REASON_CHALLENGE_MISMATCH);
    } else {
        assert_int_not_equal(judge(&w, type, &err), ATLS_OK);
        assert_error(&err, text_of(c, "error"));
    }
    atls_arena_clear(&arena);
    close_work(&w);
}

static void enrol_device(struct work *w)
{
    struct atls_arena arena = atls_arena_init(1 << 20);
    struct atls_psa_claims claims;
    struct atls_cose_sign1 sign1;

    if (atls_psa_token_open(atls_buf_bytes(&w->in), &arena, &sign1, NULL) == ATLS_OK &&
        atls_psa_claims_decode(sign1.payload, &arena, &claims, NULL) == ATLS_OK) {
        w->world->technology = "psa";
        test_arm_enrol(w->world, claims.implementation_id.ptr, claims.instance_id.ptr,
                       atls_key_spki(w->key));
    }
    atls_arena_clear(&arena);
}

static void check_psa(json_t *c)
{
    static const char type[] = "application/psa-attestation-token";
    static const char any_nonce[] =
        "0101010101010101010101010101010101010101010101010101010101010101";
    const char *verdict = text_of(c, "verdict"), *nonce = text_of(c, "nonce");
    const bool needs_legacy = strcmp(verdict, "accept-if-legacy-enabled") == 0;
    struct atls_err err = ATLS_ERR_INIT;
    struct work w;

    open_work(&w, "psa", c, "iak");
    enrol_device(&w);
    set_binder(&w, nonce != NULL ? nonce : any_nonce);
    if (needs_legacy) {
        test_assert_code(judge(&w, type, &err), ATLS_E_EVIDENCE, &err);
        assert_int_equal(err.reason, ATLS_REASON_PROFILE);
    }
    w.world->rules.arm.psa_allow_legacy = true;
    if (needs_legacy || strcmp(verdict, "accept") == 0) {
        test_assert_code(judge(&w, type, &err), ATLS_OK, &err);
        assert_fresh(&w, type, ATLS_REASON_NONCE_MISMATCH);
    } else {
        /* No store has symmetric keys, so that those tokens are refused for what they are. */
        assert_int_not_equal(judge(&w, type, &err), ATLS_OK);
        assert_error(&err, text_of(c, "error") != NULL ? text_of(c, "error") : "cose-type");
    }
    close_work(&w);
}

static void check_folder(const char *folder, void (*check)(json_t *c), size_t least)
{
    char path[64];
    struct atls_buf text;
    json_t *root, *cases, *c;
    size_t index;

    snprintf(path, sizeof path, "%s/cases.json", folder);
    text = test_vector(path);
    root = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    cases = json_object_get(root, "cases");
    assert_true(json_array_size(cases) >= least);
    json_array_foreach(cases, index, c)
    {
        print_message("  %s: %s\n", folder, text_of(c, "id"));
        check(c);
    }
    json_decref(root);
    atls_buf_clear(&text);
}

static void tokens_of_cca(void **state)
{
    (void)state;
    check_folder("cca", check_cca, 6);
}

static void tokens_of_psa(void **state)
{
    (void)state;
    check_folder("psa", check_psa, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_of_cca),
        cmocka_unit_test(tokens_of_psa),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
