/* A certificate as an enclave makes it (simulated, tagged evidence of DICE), from the certificate
 * to the decision. */
#include "world.h"

#include "core/err.h"
#include "evidence/sgx.h"
#include "simulator/intel.h"
#include "tee_source.h"
#include "verifier/result.h"
#include "wire/cbor.h"

static struct atls_sim_intel intel;

/* Verifies evidence in earnest, with the documents of the simulated maker. */
struct verifier {
    struct test_tee_source store;
    struct atls_endorsement_source source;
};

static struct verifier *opening;

static enum atls_code open_verifier(const char *rest, const struct atls_verifier_options *options,
                                    void **out_self, struct atls_err *err)
{
    (void)rest, (void)options, (void)err;
    *out_self = opening;
    return ATLS_OK;
}

static void close_verifier(void *self)
{
    (void)self;
}

static enum atls_code appraise(void *self, const struct atls_appraisal *a, struct atls_result **out,
                               struct atls_err *err)
{
    const struct verifier *v = self;
    const struct atls_evidence_request request = {
        .evidence = a->evidence,
        .binder = a->binder,
        .profiles = a->profiles,
        .aik_spki = a->aik_spki,
        .nonce = a->nonce,
        .time_s = a->time_s,
        .source = &v->source,
    };
    struct atls_outcome outcome = {.policy_id = "tag:example.com,2026:enclave",
                                   .status = ATLS_TIER_AFFIRMING};
    struct atls_claims claims;
    enum atls_code code = atls_evidence_verify(&request, &claims, err);

    if (code == ATLS_OK &&
        (code = atls_result_new(&claims, &outcome, a->binder, a->time_s, out, err)) != ATLS_OK)
        atls_claims_clear(&claims);
    return code;
}

static const struct atls_verifier_ops ops = {
    .scheme = "enclave", .open = open_verifier, .close = close_verifier, .appraise = appraise};

/* ---- what the enclave makes ---- */

enum claimed_nonce { NO_NONCE, THE_NONCE, OTHER_NONCE };

static void digest_of(struct atls_bytes in, uint8_t out[ATLS_HASH_MAX])
{
    test_assert_code(atls_hash_one(ATLS_HASH_SHA256, in, out, NULL), ATLS_OK, NULL);
}

static void put_claims(struct atls_writer *w, struct atls_bytes spki, enum claimed_nonce claimed,
                       const uint8_t nonce[ATLS_RA_NONCE_LEN])
{
    struct atls_writer inner = atls_writer_init(256);
    uint8_t digest[ATLS_HASH_MAX], other[ATLS_RA_NONCE_LEN];

    digest_of(spki, digest);
    atls_cbor_put_array(&inner, 2);
    atls_cbor_put_uint(&inner, 1);
    atls_cbor_put_bytes(&inner, atls_bytes_of(digest, 32));
    atls_cbor_put_map(w, claimed == NO_NONCE ? 1 : 2);
    atls_cbor_put_text(w, "pubkey-hash");
    atls_cbor_put_bytes(w, atls_writer_bytes(&inner));
    atls_writer_clear(&inner);
    if (claimed == NO_NONCE)
        return;
    memcpy(other, nonce, sizeof other);
    other[0] ^= claimed == OTHER_NONCE;
    atls_cbor_put_text(w, "nonce");
    atls_cbor_put_bytes(w, atls_bytes_of(other, sizeof other));
}

struct enclave {
    struct world w;
    struct verifier verifier;
    struct atls_sim_tdx order;
    struct atls_sim_tdx_evidence made;
    struct atls_buf certificate;
};

static void put_documents(struct enclave *e)
{
    const struct {
        enum atls_collateral_kind kind;
        const struct atls_buf *document;
    } documents[] = {
        {ATLS_COLLATERAL_SGX_TCB_INFO, &e->made.tcb_info},
        {ATLS_COLLATERAL_SGX_QE_IDENTITY, &e->made.qe_identity},
        {ATLS_COLLATERAL_SGX_EVALUATION, &e->made.evaluation},
        {ATLS_COLLATERAL_TDX_TCB_CHAIN, &e->made.tcb_chain},
        {ATLS_COLLATERAL_TDX_PCK_CRL_CHAIN, &e->made.pck_crl_chain},
        {ATLS_COLLATERAL_TDX_ROOT_CRL, &e->made.root_crl},
        {ATLS_COLLATERAL_TDX_PCK_CRL, &e->made.pck_crl},
    };

    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++)
        test_tee_source_put(&e->verifier.store, documents[i].kind,
                            atls_buf_bytes(documents[i].document));
    test_tee_source_trust(&e->verifier.store, atls_buf_bytes(&e->made.root));
    e->verifier.source = test_tee_source_over(&e->verifier.store);
}

/* A self-signed certificate of the key that the claims name, or of another one. */
static void enclave_init(struct enclave *e, enum claimed_nonce claimed, bool other_key)
{
    struct atls_certificate_extra extra = {.oid = world_oid(1)};
    struct test_identity other = test_leaf(NULL, "other", ATLS_KEY_P256);
    struct atls_writer claims = atls_writer_init(1024), value = atls_writer_init(65536);
    struct atls_certificate_spec spec;
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t digest[ATLS_HASH_MAX];

    memset(e, 0, sizeof *e);
    world_init(&e->w);
    world_open_attester(&e->w);
    put_claims(&claims,
               other_key ? atls_key_spki(atls_private_key_public(other.key))
                         : atls_attester_aik_spki(e->w.attester),
               claimed, e->w.nonce);
    digest_of(atls_writer_bytes(&claims), digest);
    atls_sim_sgx_init(&e->order, WORLD_NOW);
    memcpy(e->order.quote.report_data, digest, 32);
    test_assert_code(atls_sim_tdx_make(&intel, &e->order, &e->made, &err), ATLS_OK, &err);
    put_documents(e);
    atls_cbor_put_tag(&value, 60000);
    atls_cbor_put_array(&value, 2);
    atls_cbor_put_bytes(&value, atls_buf_bytes(&e->made.quote));
    atls_cbor_put_bytes(&value, atls_writer_bytes(&claims));
    extra.value = atls_writer_bytes(&value);
    spec = world_spec(&e->w);
    spec.extra = &extra;
    spec.extra_count = 1;
    e->certificate = world_certificate(&spec);
    atls_writer_clear(&claims);
    atls_writer_clear(&value);
    test_identity_clear(&other);
}

static void enclave_clear(struct enclave *e)
{
    atls_sim_tdx_evidence_clear(&e->made);
    test_tee_source_clear(&e->verifier.store);
    atls_buf_clear(&e->certificate);
    world_clear(&e->w);
}

static enum atls_code judge(struct enclave *e, bool asked_for, bool nonce,
                            struct atls_ra_certificate_verdict *verdict, struct atls_err *err)
{
    static const char *const profiles[] = {"ra-tls", NULL}, *const types[] = {"sgx", NULL};
    const struct atls_verifier_ops *const backends[] = {&ops, NULL};
    const struct atls_bytes chain = atls_buf_bytes(&e->certificate);
    struct atls_ra_certificate_check check;

    e->w.options.freshness = nonce ? ATLS_FRESHNESS_NONCE : ATLS_FRESHNESS_NONE;
    e->w.options.profiles = asked_for ? profiles : NULL;
    e->w.options.evidence_types = types;
    opening = &e->verifier;
    test_assert_code(atls_verifier_open("enclave:", backends, NULL, &e->w.options.verifier, err),
                     ATLS_OK, err);
    test_assert_code(atls_policy_default(&e->w.options.policy, err), ATLS_OK, err);
    test_assert_code(atls_config_new(&e->w.options, &e->w.config, err), ATLS_OK, err);
    atls_ra_certificate_check_init(&check);
    check.chain = &chain;
    check.chain_len = 1;
    check.nonce = nonce ? world_nonce(&e->w) : atls_bytes_of(NULL, 0);
    return atls_ra_certificate_judge(e->w.config, &check, verdict, err);
}

static const struct row {
    const char *name;
    enum claimed_nonce claimed;
    bool other_key, asked_for, nonce;
    enum atls_code code;
    enum atls_reason reason;
} rows[] = {
    {"without a nonce", NO_NONCE, false, true, false, ATLS_OK, ATLS_REASON_NONE},
    {"with the nonce", THE_NONCE, false, true, true, ATLS_OK, ATLS_REASON_NONE},
    {"a nonce that nobody sent", THE_NONCE, false, true, false, ATLS_OK, ATLS_REASON_NONE},
    {"not asked for", NO_NONCE, false, false, false, ATLS_E_EVIDENCE, ATLS_REASON_EVIDENCE_PROFILE},
    {"no nonce, and one was sent", NO_NONCE, false, true, true, ATLS_E_EVIDENCE,
     ATLS_REASON_NONCE_MISMATCH},
    {"another nonce", OTHER_NONCE, false, true, true, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH},
    {"another key", THE_NONCE, true, true, true, ATLS_E_EVIDENCE, ATLS_REASON_KEY_BINDING_MISMATCH},
};

static void certificates_of_enclaves(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_ra_certificate_verdict verdict;
        struct atls_err err = ATLS_ERR_INIT;
        struct enclave e;
        enum atls_code code;

        enclave_init(&e, rows[i].claimed, rows[i].other_key);
        code = judge(&e, rows[i].asked_for, rows[i].nonce, &verdict, &err);
        if (code != rows[i].code || err.reason != rows[i].reason)
            fail_msg("%s: %d, %s: %s", rows[i].name, (int)code, atls_reason_name(err.reason),
                     err.message);
        assert_string_equal(verdict.form, "dice");
        assert_string_equal(verdict.freshness, code != ATLS_OK ? ""
                                               : rows[i].nonce ? "nonce"
                                                               : "none");
        if (code == ATLS_OK)
            assert_string_equal(atls_result_evidence_type(verdict.result), "sgx");
        atls_ra_certificate_verdict_clear(&verdict);
        enclave_clear(&e);
    }
}

static int setup(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_sim_intel_make(&intel, &err), ATLS_OK, &err);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    atls_sim_intel_clear(&intel);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates_of_enclaves),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
