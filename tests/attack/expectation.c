/* What evidence must answer, on the path of every technology: an expectation that is absent, empty,
 * short, long, a prefix or one bit off is no expectation that is met; and a fresh token beside old
 * evidence makes it no fresher. Each with a control that is accepted. */
#include "testlib.h"

#include <stdlib.h>
#include <string.h>

#include "arm_world.h"
#include "soft_evidence.h"
#include "tee_source.h"
#include "tpm_forge.h"

#include "bind/binder.h"
#include "core/writer.h"
#include "evidence/evidence.h"
#include "simulator/amd.h"
#include "simulator/arm.h"
#include "simulator/intel.h"
#include "wire/kat.h"
#include "wire/snp.h"
#include "wire/tsm.h"

#define NOW_S    INT64_C(1760000000)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const uint8_t answered[48] = "binder of the connection, as long as SHA-384 is";

static struct {
    struct test_arm_world *keys; /* on file: of devices, of software, of a TPM */
    struct test_tee_source makers;
    struct atls_endorsement_source keys_source, makers_source;
    struct atls_sim_amd *amd;
    struct atls_sim_snp snp;
    struct atls_sim_intel intel;
    struct atls_sim_tdx tdx;
    struct atls_sim_tdx_evidence tdx_documents;
    struct atls_sim_cca cca;
    struct atls_sim_psa psa;
    struct atls_buf snp_list;
    struct test_tpm_key ak, aik;
} world;

static void must(enum atls_code code)
{
    assert_int_equal(code, ATLS_OK);
}

static struct atls_buf finish(struct atls_writer *w)
{
    struct atls_buf out = ATLS_BUF_INIT;

    must(atls_writer_finish(w, &out, NULL));
    return out;
}

static struct atls_bytes spki_of(const struct atls_private_key *key)
{
    return atls_key_spki(atls_private_key_public(key));
}

/* ---- platform tokens over a challenge of 64 bytes ---- */

static struct atls_buf snp_token(const uint8_t challenge[64])
{
    uint8_t report[ATLS_SNP_REPORT_LEN];
    struct atls_writer w = atls_writer_init(65536);
    struct atls_buf table = ATLS_BUF_INIT;
    struct atls_tsm_report tsm = {
        .provider = atls_bytes_of(ATLS_TSM_PROVIDER_SNP, strlen(ATLS_TSM_PROVIDER_SNP)),
        .outblob = {report, sizeof report}};

    must(atls_sim_amd_report(world.amd, &world.snp, challenge, report, NULL));
    must(atls_sim_amd_table(world.amd, &world.snp, &table, NULL));
    tsm.auxblob = atls_buf_bytes(&table);
    atls_tsm_report_put(&w, &tsm);
    atls_buf_clear(&table);
    return finish(&w);
}

static struct atls_buf tdx_token(const uint8_t challenge[64])
{
    struct atls_sim_tdx_evidence made;
    struct atls_writer w = atls_writer_init(65536);
    struct atls_tsm_report tsm = {
        .provider = atls_bytes_of(ATLS_TSM_PROVIDER_TDX, strlen(ATLS_TSM_PROVIDER_TDX))};

    memcpy(world.tdx.quote.report_data, challenge, 64);
    must(atls_sim_tdx_make(&world.intel, &world.tdx, &made, NULL));
    tsm.outblob = atls_buf_bytes(&made.quote);
    atls_tsm_report_put(&w, &tsm);
    atls_sim_tdx_evidence_clear(&made);
    return finish(&w);
}

static struct atls_buf cca_token(const uint8_t challenge[64])
{
    struct atls_buf out = ATLS_BUF_INIT;

    world.cca.challenge = atls_bytes_of(challenge, 64);
    must(atls_sim_cca_token(&world.cca, &out, NULL));
    return out;
}

static struct atls_buf psa_token(const uint8_t challenge[64])
{
    struct atls_buf out = ATLS_BUF_INIT;

    world.psa.nonce = atls_bytes_of(challenge, 64);
    must(atls_sim_psa_token(&world.psa, &out, NULL));
    return out;
}

static struct atls_buf soft_token(const uint8_t challenge[64])
{
    return test_soft_token(world.keys->other, atls_bytes_of(challenge, 64));
}

/* The TPM signs binders itself and has no such token. */
static const struct technology {
    const char *name, *type;
    struct atls_buf (*token)(const uint8_t challenge[64]);
    const struct atls_endorsement_source *source;
} technologies[] = {
    {"tpm", NULL, NULL, &world.keys_source},
    {"snp", ATLS_TYPE_TSM_REPORT, snp_token, &world.makers_source},
    {"tdx", ATLS_TYPE_TSM_REPORT, tdx_token, &world.makers_source},
    {"cca", TEST_ARM_CCA_TYPE, cca_token, &world.keys_source},
    {"psa", TEST_ARM_PSA_TYPE, psa_token, &world.keys_source},
    {"soft", ATLS_TYPE_SOFT, soft_token, &world.keys_source},
};

/* ---- the Verifier ---- */

static void enrol(const char *technology, const uint8_t *class_id, const uint8_t instance[33],
                  struct atls_bytes spki)
{
    world.keys->technology = technology;
    test_arm_enrol(world.keys, class_id, instance, spki);
}

static void trust_makers(void)
{
    struct atls_buf ark = ATLS_BUF_INIT, ask = ATLS_BUF_INIT;
    const struct atls_sim_tdx_evidence *d = &world.tdx_documents;
    const struct {
        enum atls_collateral_kind kind;
        const struct atls_buf *bytes;
    } documents[] = {
        {ATLS_COLLATERAL_SNP_CRL, &world.snp_list},
        {ATLS_COLLATERAL_TDX_TCB_INFO, &d->tcb_info},
        {ATLS_COLLATERAL_TDX_QE_IDENTITY, &d->qe_identity},
        {ATLS_COLLATERAL_TDX_EVALUATION, &d->evaluation},
        {ATLS_COLLATERAL_TDX_TCB_CHAIN, &d->tcb_chain},
        {ATLS_COLLATERAL_TDX_PCK_CRL_CHAIN, &d->pck_crl_chain},
        {ATLS_COLLATERAL_TDX_ROOT_CRL, &d->root_crl},
        {ATLS_COLLATERAL_TDX_PCK_CRL, &d->pck_crl},
    };

    must(atls_sim_amd_certificate(world.amd, ATLS_SIM_ARK, &world.snp, NULL, &ark, NULL));
    must(atls_sim_amd_certificate(world.amd, ATLS_SIM_ASK, &world.snp, NULL, &ask, NULL));
    test_tee_source_trust(&world.makers, atls_buf_bytes(&ark));
    test_tee_source_trust(&world.makers, atls_buf_bytes(&ask));
    test_tee_source_trust(&world.makers, atls_buf_bytes(&d->root));
    for (size_t i = 0; i < COUNT(documents); i++)
        test_tee_source_put(&world.makers, documents[i].kind, atls_buf_bytes(documents[i].bytes));
    world.makers_source = test_tee_source_over(&world.makers);
    atls_buf_clear(&ark);
    atls_buf_clear(&ask);
}

static int open_world(void **state)
{
    uint8_t instance[33];
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    world.keys = test_arm_world_new();
    test_assert_code(atls_sim_amd_new(2048, &world.amd, &err), ATLS_OK, &err);
    atls_sim_snp_init(&world.snp, ATLS_SNP_GENOA, NOW_S);
    must(atls_sim_amd_crl(world.amd, &world.snp, NULL, &world.snp_list, NULL));
    test_assert_code(atls_sim_intel_make(&world.intel, &err), ATLS_OK, &err);
    atls_sim_tdx_init(&world.tdx, NOW_S);
    must(atls_sim_tdx_make(&world.intel, &world.tdx, &world.tdx_documents, NULL));
    must(atls_buf_copy(&world.intel.root, atls_buf_bytes(&world.tdx_documents.root), NULL));
    must(atls_sim_cca_init(&world.cca, world.keys->p384, world.keys->realm, NULL));
    must(atls_sim_psa_init(&world.psa, world.keys->p256, NULL));
    world.ak = test_tpm_key_new(ATLS_KEY_P256, TEST_TPM_AK_ATTRIBUTES);
    world.aik = test_tpm_key_new(ATLS_KEY_P256, TEST_TPM_AIK_ATTRIBUTES);
    enrol("cca", world.cca.implementation_id, world.cca.instance_id, spki_of(world.keys->p384));
    enrol("psa", world.psa.implementation_id, world.psa.instance_id, spki_of(world.keys->p256));
    test_soft_ueid(world.keys->other, instance);
    enrol("soft", NULL, instance, spki_of(world.keys->other));
    test_tpm_ueid(&world.ak, instance);
    enrol("tpm", NULL, instance, spki_of(world.ak.private_key));
    world.keys_source =
        *test_arm_request(world.keys, ATLS_EVIDENCE_COMPLETE, atls_bytes_of(NULL, 0)).source;
    trust_makers();
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    test_tpm_key_clear(&world.ak);
    test_tpm_key_clear(&world.aik);
    test_tee_source_clear(&world.makers);
    atls_sim_tdx_evidence_clear(&world.tdx_documents);
    atls_sim_intel_clear(&world.intel);
    atls_sim_amd_free(world.amd);
    atls_buf_clear(&world.snp_list);
    test_arm_world_free(world.keys);
    return 0;
}

static struct atls_bytes aik(void)
{
    return spki_of(world.aik.private_key);
}

/* The verdict on evidence that is said to answer binder for key. */
static enum atls_code judge(const struct technology *t, struct atls_bytes evidence,
                            struct atls_bytes binder, struct atls_bytes key, struct atls_err *err)
{
    const struct atls_evidence_options options = {.allow_insecure_technology = true};
    const struct atls_evidence_request request = {
        .evidence = evidence,
        .binder = binder,
        .profiles = ATLS_PROFILE_KAT | ATLS_PROFILE_BARE,
        .aik_spki = key,
        .time_s = NOW_S,
        .source = t->source,
        .options = &options,
    };
    struct atls_claims claims;
    enum atls_code code = atls_evidence_verify(&request, &claims, err);

    if (code == ATLS_OK) {
        assert_string_equal(claims.technology, t->name);
        atls_claims_clear(&claims);
    }
    return code;
}

/* ---- evidence ---- */

enum form { KAT, BARE, FORMS };

static struct atls_buf of_tpm(struct atls_bytes binder)
{
    struct test_tpm_evidence e;

    test_tpm_evidence_init(&e, binder);
    test_tpm_evidence_clear(&e); /* its own keys: ours are others */
    e.ak = world.ak;
    e.aik = world.aik;
    return test_tpm_evidence_encode(&e);
}

static void challenge_of(struct atls_bytes kat, uint8_t out[ATLS_HASH_MAX])
{
    must(atls_hash_one(ATLS_HASH_SHA512, kat, out, NULL));
}

static struct atls_buf bundle_of(const struct technology *t, struct atls_bytes kat,
                                 const uint8_t challenge[64])
{
    struct atls_buf token = t->token(challenge);
    struct atls_buf out = test_bundle(ATLS_TYPE_KAT, kat, t->type, atls_buf_bytes(&token));

    atls_buf_clear(&token);
    return out;
}

static struct atls_buf bare_of(const struct technology *t, const uint8_t challenge[64])
{
    struct atls_buf token = t->token(challenge), out;

    out = test_arm_record(t->type, atls_buf_bytes(&token));
    atls_buf_clear(&token);
    return out;
}

static struct atls_buf evidence_of(const struct technology *t, enum form form,
                                   struct atls_bytes binder)
{
    uint8_t challenge[ATLS_HASH_MAX];
    struct atls_buf kat, out;

    if (t->token == NULL)
        return of_tpm(binder);
    if (form == BARE) {
        must(atls_binder_bare_challenge(binder.len == 48 ? ATLS_HASH_SHA384 : ATLS_HASH_SHA256,
                                        binder, aik(), challenge, NULL));
        return bare_of(t, challenge);
    }
    kat = test_kat(binder, aik());
    challenge_of(atls_buf_bytes(&kat), challenge);
    out = bundle_of(t, atls_buf_bytes(&kat), challenge);
    atls_buf_clear(&kat);
    return out;
}

/* Every technology in every form that it has, over binders of both lengths. */
static void for_each(void (*check)(const struct technology *t, enum form form, size_t len))
{
    for (size_t i = 0; i < COUNT(technologies); i++)
        for (int form = KAT; form < (technologies[i].token == NULL ? BARE : FORMS); form++)
            for (size_t len = 32; len <= 48; len += 16)
                check(&technologies[i], (enum form)form, len);
}

static void refused(const struct technology *t, struct atls_buf *evidence, struct atls_bytes binder,
                    struct atls_bytes key, const char *what)
{
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code = judge(t, atls_buf_bytes(evidence), binder, key, &err);

    if (code == ATLS_OK)
        fail_msg("%s: accepted %s", t->name, what);
}

static void refused_as(const struct technology *t, struct atls_buf *evidence,
                       struct atls_bytes binder, struct atls_bytes key, enum atls_reason reason)
{
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code = judge(t, atls_buf_bytes(evidence), binder, key, &err);

    if (code == ATLS_OK || err.reason != reason)
        fail_msg("%s: %s: %s, want %s", t->name, atls_reason_name(err.reason), err.message,
                 atls_reason_name(reason));
}

static void control(const struct technology *t, struct atls_buf *evidence, struct atls_bytes binder)
{
    struct atls_err err = ATLS_ERR_INIT;

    if (judge(t, atls_buf_bytes(evidence), binder, aik(), &err) != ATLS_OK)
        fail_msg("%s, binder of %zu bytes: %s: %s", t->name, binder.len,
                 atls_reason_name(err.reason), err.message);
}

/* ---- binders ---- */

static void no_expectation(const struct technology *t, enum form form, size_t len)
{
    struct atls_buf evidence = evidence_of(t, form, atls_bytes_of(answered, len));
    static const size_t lengths[] = {0, 1, 8, 16, 20, 31, 33, 47};

    control(t, &evidence, atls_bytes_of(answered, len));
    refused_as(t, &evidence, atls_bytes_of(NULL, 0), aik(), ATLS_REASON_BINDER_MISSING);
    for (size_t i = 0; i < COUNT(lengths); i++)
        refused_as(t, &evidence, atls_bytes_of(answered, lengths[i]), aik(),
                   ATLS_REASON_BINDER_MISSING);
    atls_buf_clear(&evidence);
}

static void an_absent_short_or_long_binder_is_an_error(void **state)
{
    (void)state;
    for_each(no_expectation);
}

/* Of the two lengths that a binder can have, neither is a prefix of the other; and all of its bits
 * count. */
static void other_expectation(const struct technology *t, enum form form, size_t len)
{
    struct atls_buf evidence = evidence_of(t, form, atls_bytes_of(answered, len));
    const size_t at[] = {0, 7, 15, 16, len - 16, len - 1};
    uint8_t other[48] = {0};

    memcpy(other, answered, len);
    refused(t, &evidence, atls_bytes_of(other, len == 32 ? 48 : 32), aik(), "the other length");
    for (size_t i = 0; i < COUNT(at); i++) {
        other[at[i]] ^= 0x80;
        refused(t, &evidence, atls_bytes_of(other, len), aik(), "one bit");
        other[at[i]] ^= 0x80;
    }
    control(t, &evidence, atls_bytes_of(other, len));
    memset(other, 0, sizeof other);
    refused(t, &evidence, atls_bytes_of(other, len), aik(), "zeros for a binder");
    atls_buf_clear(&evidence);
}

static void another_binder_is_refused_whatever_it_shares(void **state)
{
    (void)state;
    for_each(other_expectation);
}

/* ---- what is signed ---- */

/* Report data of zeros, as of a guest that was asked for nothing, and that of a bare binder whose
 * rest is not what it has to be. */
static void nothing_answered(const struct technology *t, enum form form, size_t len)
{
    uint8_t challenge[64] = {0};
    struct atls_buf evidence, kat;

    if (t->token == NULL)
        return;
    if (form == KAT) {
        kat = test_kat(atls_bytes_of(answered, len), aik());
        evidence = bundle_of(t, atls_buf_bytes(&kat), challenge);
        atls_buf_clear(&kat);
    } else {
        evidence = bare_of(t, challenge);
    }
    refused(t, &evidence, atls_bytes_of(answered, len), aik(), "a challenge of zeros");
    atls_buf_clear(&evidence);
    if (form == KAT)
        return;
    memcpy(challenge, answered, len);
    challenge[63] = 1;
    evidence = bare_of(t, challenge);
    refused(t, &evidence, atls_bytes_of(answered, len), aik(), "a binder and anything behind it");
    atls_buf_clear(&evidence);
}

static void a_platform_that_was_asked_for_nothing_is_refused(void **state)
{
    (void)state;
    for_each(nothing_answered);
}

/* The binder beside the signature and not in it: a fresh key attestation token, and what the
 * platform signed for an earlier one. */
static void old_token(const struct technology *t, enum form form, size_t len)
{
    uint8_t old_binder[48], challenge[ATLS_HASH_MAX];
    struct atls_buf fresh, old, evidence;

    if (t->token == NULL || form != KAT)
        return;
    memcpy(old_binder, answered, sizeof old_binder);
    old_binder[0] ^= 1;
    fresh = test_kat(atls_bytes_of(answered, len), aik());
    old = test_kat(atls_bytes_of(old_binder, len), aik());
    challenge_of(atls_buf_bytes(&old), challenge);
    evidence = bundle_of(t, atls_buf_bytes(&fresh), challenge);
    refused(t, &evidence, atls_bytes_of(answered, len), aik(), "a fresh token and an old quote");
    refused(t, &evidence, atls_bytes_of(old_binder, len), aik(), "the same, for the old binder");
    atls_buf_clear(&evidence);
    evidence = bundle_of(t, atls_buf_bytes(&old), challenge);
    control(t, &evidence, atls_bytes_of(old_binder, len));
    refused(t, &evidence, atls_bytes_of(answered, len), aik(), "old evidence");
    atls_buf_clear(&evidence);
    atls_buf_clear(&fresh);
    atls_buf_clear(&old);
}

static void a_fresh_binder_beside_old_evidence_is_refused(void **state)
{
    (void)state;
    for_each(old_token);
}

/* ---- keys ---- */

static void other_key(const struct technology *t, enum form form, size_t len)
{
    const struct atls_bytes binder = {answered, len}, own = aik();
    struct atls_buf evidence = evidence_of(t, form, binder);
    /* A bare token over 48 bytes has no room for the key: there the binder stands for it. */
    const bool in_binder = form == BARE && len == 48;

    refused(t, &evidence, binder, atls_bytes_of(NULL, 0), "no key");
    if (!in_binder) {
        refused(t, &evidence, binder, atls_bytes_of(own.ptr, own.len - 1), "a key's beginning");
        refused(t, &evidence, binder, spki_of(world.keys->aik), "another key");
    }
    control(t, &evidence, binder);
    atls_buf_clear(&evidence);
}

static void another_key_or_none_is_refused(void **state)
{
    (void)state;
    for_each(other_key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_absent_short_or_long_binder_is_an_error),
        cmocka_unit_test(another_binder_is_refused_whatever_it_shares),
        cmocka_unit_test(a_platform_that_was_asked_for_nothing_is_refused),
        cmocka_unit_test(a_fresh_binder_beside_old_evidence_is_refused),
        cmocka_unit_test(another_key_or_none_is_refused),
    };

    return cmocka_run_group_tests(tests, open_world, close_world);
}
