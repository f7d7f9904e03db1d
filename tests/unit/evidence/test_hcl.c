/* Confidential machines on Azure: recorded ones, whose hardware vouches for the key that quoted,
 * and simulated ones in which one thing at a time is wrong. */
#include "testlib.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "evidence/hcl.h"
#include "evidence/tpm.h"
#include "pki.h"
#include "simulator/amd.h"
#include "simulator/hcl.h"
#include "tee_source.h"
#include "tpm_forge.h"
#include "wire/tdx.h"

static const uint8_t binder[32] = {9, 8, 7};

/* ---- recorded ---- */

#define RECORDS_MAX 8

/* A collection of endorsements as a bundle would have it. */
struct records {
    struct atls_cmw_entry entries[RECORDS_MAX];
    struct atls_buf values[RECORDS_MAX];
    struct atls_cmw collection;
};

static void add(struct records *r, const char *label, const char *media_type, struct atls_buf value)
{
    const size_t i = r->collection.count++;

    assert_true(i < RECORDS_MAX);
    r->values[i] = value;
    r->entries[i].label.is_text = true;
    r->entries[i].label.text = atls_bytes_of(label, strlen(label));
    r->entries[i].value =
        atls_cmw_record(media_type, atls_buf_bytes(&value), ATLS_CMW_ENDORSEMENTS);
    r->collection.kind = ATLS_CMW_COLLECTION;
    r->collection.entries = r->entries;
}

static void add_collateral(struct records *r, enum atls_collateral_kind kind, const char *path)
{
    const struct atls_collateral_row *row = atls_collateral_row_of(kind);

    add(r, row->name, row->media_type, test_vector(path));
}

/* The first certificate of PEM text, DER. */
static struct atls_buf leaf_of(const char *path)
{
    struct atls_buf pem = test_vector(path), list[ATLS_CHAIN_MAX];
    struct atls_err err = ATLS_ERR_INIT;
    size_t count = 0;

    test_assert_code(
        atls_certificates_from_pem(atls_buf_bytes(&pem), list, ATLS_CHAIN_MAX, &count, &err),
        ATLS_OK, &err);
    for (size_t i = 1; i < count; i++)
        atls_buf_clear(&list[i]);
    atls_buf_clear(&pem);
    return list[0];
}

static void records_clear(struct records *r)
{
    for (size_t i = 0; i < r->collection.count; i++)
        atls_buf_clear(&r->values[i]);
}

/* The key that a recorded report names. */
static struct atls_buf key_of(const char *path)
{
    struct atls_buf in = test_vector(path), spki = ATLS_BUF_INIT;
    struct atls_hcl_report report;
    struct atls_hcl_variables v;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_hcl_report_decode(atls_buf_bytes(&in), &report, &err), ATLS_OK, &err);
    test_assert_code(atls_hcl_variables_decode(report.variables, &v, &err), ATLS_OK, &err);
    test_assert_code(atls_buf_copy(&spki, atls_buf_bytes(&v.attestation_key), &err), ATLS_OK, &err);
    atls_hcl_variables_clear(&v);
    atls_buf_clear(&in);
    return spki;
}

static void trust_pem(struct test_tee_source *t, const char *path)
{
    struct atls_buf pem = test_vector(path), list[ATLS_CHAIN_MAX];
    struct atls_err err = ATLS_ERR_INIT;
    size_t count = 0;

    test_assert_code(
        atls_certificates_from_pem(atls_buf_bytes(&pem), list, ATLS_CHAIN_MAX, &count, &err),
        ATLS_OK, &err);
    for (size_t i = 0; i < count; i++) {
        test_tee_source_trust(t, atls_buf_bytes(&list[i]));
        atls_buf_clear(&list[i]);
    }
    atls_buf_clear(&pem);
}

/* "index hex" a line. */
static struct atls_tpm_pcr_values pcrs_of(const char *path, struct atls_buf values[24])
{
    struct atls_tpm_pcr_values bank = {.hash = ATLS_TPM_ALG_SHA256};
    struct atls_buf text = test_vector(path);
    char *copy = calloc(1, text.len + 1), *rest = NULL;

    assert_non_null(copy);
    memcpy(copy, text.ptr, text.len);
    for (char *line = strtok_r(copy, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        char hex[65];
        unsigned int index;

        assert_int_equal(sscanf(line, "%2u %64s", &index, hex), 2);
        assert_true(index < 24);
        values[index] = test_unhex(hex);
        bank.values[index] = atls_buf_bytes(&values[index]);
        bank.present |= (uint32_t)1 << index;
    }
    free(copy);
    atls_buf_clear(&text);
    return bank;
}

struct machine {
    const char *id, *folder, *roots;
    int64_t time_s;
    const char *nonce;
    bool tdx;
    const char *submod, *name;
};

static const struct machine machines[] = {
    {"azure-milan-v2", "sev-snp/azure-milan-v2", "sev-snp/roots/ask_ark_milan.pem", 1717200000,
     "6368616c6c656e6765", false, "SNP", NULL},
    {"azure-genoa", "sev-snp/azure-genoa", "sev-snp/roots/ask_ark_genoa.pem", 1748736000,
     "0218488bae25d2509232bf676f1a66a30d7372add909109b36016ef136f2938c"
     "a05475f8b46094de6b64270ea35d950f",
     false, "SNP", "390CBCF5-6C67-4D9B-98EF-C3F1699CC8FC"},
    {"azure-tdx-vtpm", "tdx/azure-tdx-vtpm", NULL, 1781913600,
     "0000000000000000000000000000000000000000000000000000000000000000", true, "TDX",
     "3c18c97a-0d2a-4565-969d-166cdcef26a3"},
};

static void path_of(const struct machine *m, const char *file, char out[128])
{
    snprintf(out, 128, "%s/%s", m->folder, file);
}

static void load(const struct machine *m, struct records *r, struct test_tee_source *t)
{
    static const struct {
        enum atls_collateral_kind kind;
        const char *file;
    } collateral[] = {
        {ATLS_COLLATERAL_TDX_TCB_INFO, "tcb_info.json"},
        {ATLS_COLLATERAL_TDX_QE_IDENTITY, "qe_identity.json"},
        {ATLS_COLLATERAL_TDX_TCB_CHAIN, "tcb_signing_chain.pem"},
        {ATLS_COLLATERAL_TDX_PCK_CRL, "pck_crl.der"},
        {ATLS_COLLATERAL_TDX_PCK_CRL_CHAIN, "pck_crl_issuer_chain.pem"},
        {ATLS_COLLATERAL_TDX_ROOT_CRL, "root_ca_crl.der"},
    };
    const struct atls_collateral_row *vek = atls_collateral_row_of(ATLS_COLLATERAL_SNP_VEK);
    struct atls_buf root;
    char path[128];

    path_of(m, "hcl_report.bin", path);
    add(r, ATLS_LABEL_HCL_REPORT, ATLS_TYPE_HCL_REPORT, test_vector(path));
    if (!m->tdx) {
        path_of(m, "vcek.pem", path);
        add(r, vek->name, vek->media_type, leaf_of(path));
        trust_pem(t, m->roots);
        return;
    }
    path_of(m, "quote.bin", path);
    add(r, ATLS_LABEL_TDX_QUOTE, ATLS_TYPE_TDX_QUOTE, test_vector(path));
    for (size_t i = 0; i < sizeof collateral / sizeof collateral[0]; i++) {
        path_of(m, collateral[i].file, path);
        add_collateral(r, collateral[i].kind, path);
    }
    root = test_vector("tdx/roots/intel_sgx_root_ca.der");
    test_tee_source_trust(t, atls_buf_bytes(&root));
    atls_buf_clear(&root);
}

static bool has_text(const struct atls_claims *claims, const char *name, const char *text)
{
    for (size_t i = 0; i < claims->detail_count; i++)
        if (strcmp(claims->details[i].name, name) == 0)
            return atls_bytes_equal_text(claims->details[i].bytes, text);
    return false;
}

/* The signature is RSASSA with SHA-256 and stands there raw. */
static void check_quote(const struct machine *m, const struct atls_key *key)
{
    struct atls_buf values[24] = {{0}}, message, raw, nonce = test_unhex(m->nonce);
    struct atls_tpm_pcr_values bank;
    struct atls_tpm_quote_result quoted;
    struct atls_writer w = atls_writer_init(1024);
    struct atls_err err = ATLS_ERR_INIT;
    char path[128];

    path_of(m, "pcrs_sha256.txt", path);
    bank = pcrs_of(path, values);
    path_of(m, "tpm_quote_msg.bin", path);
    message = test_vector(path);
    path_of(m, "tpm_quote_sig_raw.bin", path);
    raw = test_vector(path);
    atls_put_u16(&w, ATLS_TPM_ALG_RSASSA);
    atls_put_u16(&w, ATLS_TPM_ALG_SHA256);
    atls_put_u16(&w, (uint16_t)raw.len);
    atls_put_bytes(&w, atls_buf_bytes(&raw));
    const struct atls_tpm_quote_check check = {
        .signer = {.key = key},
        .attest = atls_buf_bytes(&message),
        .signature = atls_writer_bytes(&w),
        .nonce = atls_buf_bytes(&nonce),
        .banks = &bank,
        .bank_count = 1,
        .allow_unsafe_clock = true,
    };
    test_assert_code(atls_tpm_quote_verify(&check, &quoted, &err), ATLS_OK, &err);
    atls_writer_clear(&w);
    for (size_t i = 0; i < 24; i++)
        atls_buf_clear(&values[i]);
    atls_buf_clear(&message);
    atls_buf_clear(&raw);
    atls_buf_clear(&nonce);
}

static void recorded_machines_are_vouched_for(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof machines / sizeof machines[0]; i++) {
        const struct machine *m = &machines[i];
        const struct atls_rules rules = {.snp = {.crl_optional = true}};
        const struct atls_evidence_options options = {.rules = &rules};
        struct test_tee_source t = {.anchors = NULL};
        const struct atls_endorsement_source source = test_tee_source_over(&t);
        const struct atls_evidence_request request = {
            .source = &source, .time_s = m->time_s, .options = &options};
        struct records r = {.collection = {.count = 0}};
        struct atls_key *key = NULL;
        struct atls_claims claims;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_buf ak;
        char path[128];

        print_message("  %s\n", m->id);
        load(m, &r, &t);
        path_of(m, "hcl_report.bin", path);
        ak = key_of(path);
        const struct atls_hcl_check check = {.request = &request,
                                             .endorsements = &r.collection,
                                             .ak_spki = atls_buf_bytes(&ak),
                                             .spki = atls_bytes_of("key", 3)};
        test_assert_code(atls_hcl_verify(&check, &claims, &err), ATLS_OK, &err);
        assert_string_equal(claims.submod, m->submod);
        test_assert_bytes(
            claims.environment.class_id,
            atls_bytes_of(m->tdx ? atls_hcl_class_tdx : atls_hcl_class_snp, ATLS_HCL_CLASS_LEN));
        assert_int_equal(claims.key_trust, ATLS_KEY_TRUST_CERTIFIED);
        assert_true(m->name == NULL || has_text(&claims, "machine", m->name));
        test_assert_bytes(claims.key_spki, atls_bytes_of("key", 3));
        atls_claims_clear(&claims);
        test_assert_code(atls_key_from_spki(atls_buf_bytes(&ak), &key, &err), ATLS_OK, &err);
        check_quote(m, key);
        atls_key_unref(key);
        atls_buf_clear(&ak);
        records_clear(&r);
        test_tee_source_clear(&t);
    }
}

/* ---- simulated ---- */

struct fixture {
    struct test_tpm_evidence e;
    struct test_tee_source t;
    struct atls_endorsement_source source;
    struct atls_rules rules;
    struct atls_evidence_options options;
    struct atls_evidence_request request;
    struct atls_sim_snp order;
    struct atls_buf variables, blob, vek, crl;
    const char *label, *type; /* of the report's record */
    bool enrolled;
};

static struct atls_sim_amd *amd;
static struct test_tpm_key rsa_ak, other_ak;

static enum atls_code attest_key(void *arg, struct atls_bytes instance, struct atls_attest_key *out,
                                 struct atls_err *err)
{
    struct fixture *f = arg;

    (void)instance;
    if (!f->enrolled)
        return atls_fail(err, ATLS_E_NOT_FOUND, "not enrolled");
    out->technology = "tpm";
    return atls_buf_copy(&out->spki, atls_key_spki(atls_private_key_public(rsa_ak.private_key)),
                         err);
}

/* The test's source answers for makers, this file for enrolled keys. */
static enum atls_code tee_anchors(void *arg, struct atls_certificate_set **out,
                                  struct atls_err *err)
{
    struct fixture *f = arg;
    const struct atls_endorsement_source inner = test_tee_source_over(&f->t);

    return inner.tee_anchors(inner.arg, out, err);
}

static enum atls_code collateral(void *arg, const struct atls_collateral_query *query,
                                 int64_t time_s, struct atls_buf *out, struct atls_err *err)
{
    struct fixture *f = arg;
    const struct atls_endorsement_source inner = test_tee_source_over(&f->t);

    return inner.collateral(inner.arg, query, time_s, out, err);
}

static void trust(struct fixture *f, enum atls_sim_amd_certificate kind)
{
    struct atls_buf der = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_sim_amd_certificate(amd, kind, &f->order, NULL, &der, &err), ATLS_OK,
                     &err);
    test_tee_source_trust(&f->t, atls_buf_bytes(&der));
    atls_buf_clear(&der);
}

static struct fixture *fixture_new(void)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct atls_err err = ATLS_ERR_INIT;

    assert_non_null(f);
    test_tpm_evidence_init(&f->e, atls_bytes_of(binder, sizeof binder));
    test_tpm_key_clear(&f->e.ak);
    f->e.ak = rsa_ak;
    atls_sim_snp_init(&f->order, ATLS_SNP_GENOA, TEST_TIME_S);
    trust(f, ATLS_SIM_ARK);
    trust(f, ATLS_SIM_ASK);
    test_assert_code(
        atls_sim_hcl_variables(atls_key_spki(atls_private_key_public(rsa_ak.private_key)),
                               "machine-1", &f->variables, &err),
        ATLS_OK, &err);
    test_assert_code(atls_sim_amd_crl(amd, &f->order, NULL, &f->crl, &err), ATLS_OK, &err);
    test_tee_source_put(&f->t, ATLS_COLLATERAL_SNP_CRL, atls_buf_bytes(&f->crl));
    f->source = (struct atls_endorsement_source){
        .arg = f, .attest_key = attest_key, .tee_anchors = tee_anchors, .collateral = collateral};
    f->options.rules = &f->rules;
    f->request = (struct atls_evidence_request){.source = &f->source,
                                                .options = &f->options,
                                                .time_s = TEST_TIME_S,
                                                .binder = atls_bytes_of(binder, sizeof binder),
                                                .aik_spki = test_tpm_evidence_aik_spki(&f->e)};
    f->label = ATLS_LABEL_HCL_REPORT;
    f->type = ATLS_TYPE_HCL_REPORT;
    return f;
}

static void fixture_free(struct fixture *f)
{
    f->e.ak = (struct test_tpm_key){.private_key = NULL}; /* the file's */
    test_tpm_evidence_clear(&f->e);
    test_tee_source_clear(&f->t);
    atls_buf_clear(&f->variables);
    atls_buf_clear(&f->blob);
    atls_buf_clear(&f->vek);
    atls_buf_clear(&f->crl);
    free(f);
}

/* What is wrong between the variables and the finished blob. */
struct lie {
    const char *name;
    void (*tell)(struct fixture *f);
    size_t flip_data;      /* a byte of the report data, plus one */
    size_t flip_variables; /* a byte of the finished text, plus one */
    enum atls_hcl_type type;
    enum atls_code want;
    enum atls_reason reason;
};

static void endorse(struct fixture *f, const char *label, const char *type,
                    const struct atls_buf *v)
{
    struct atls_cmw_entry *entry = &f->e.endorsements[f->e.endorsement_count++];

    entry->label.is_text = true;
    entry->label.text = atls_bytes_of(label, strlen(label));
    entry->value = atls_cmw_record(type, atls_buf_bytes(v), ATLS_CMW_ENDORSEMENTS);
}

static void finish(struct fixture *f, const struct lie *lie)
{
    const struct atls_collateral_row *vek = atls_collateral_row_of(ATLS_COLLATERAL_SNP_VEK);
    struct atls_sim_hcl hcl = {.type = lie->type != 0 ? lie->type : ATLS_HCL_SNP,
                               .hash = ATLS_HASH_SHA256,
                               .variables = atls_buf_bytes(&f->variables)};
    uint8_t data[64], report[ATLS_SNP_REPORT_LEN];
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_sim_hcl_report_data(hcl.hash, hcl.variables, data, &err), ATLS_OK, &err);
    if (lie->flip_data != 0)
        data[lie->flip_data - 1] ^= 1;
    test_assert_code(atls_sim_amd_report(amd, &f->order, data, report, &err), ATLS_OK, &err);
    hcl.hardware = atls_bytes_of(report, hcl.type == ATLS_HCL_SNP ? sizeof report : 1024);
    test_assert_code(atls_sim_hcl_report(&hcl, &f->blob, &err), ATLS_OK, &err);
    if (lie->flip_variables != 0)
        f->blob.ptr[1236 + lie->flip_variables - 1] ^= 1;
    test_assert_code(atls_sim_amd_certificate(amd, ATLS_SIM_VCEK, &f->order, NULL, &f->vek, &err),
                     ATLS_OK, &err);
    endorse(f, f->label, f->type, &f->blob);
    endorse(f, vek->name, vek->media_type, &f->vek);
}

static void good(struct fixture *f)
{
    (void)f;
}

static void enrolled_too(struct fixture *f)
{
    f->enrolled = true;
}

static void another_key(struct fixture *f)
{
    struct atls_err err = ATLS_ERR_INIT;

    atls_buf_clear(&f->variables);
    test_assert_code(
        atls_sim_hcl_variables(atls_key_spki(atls_private_key_public(other_ak.private_key)), NULL,
                               &f->variables, &err),
        ATLS_OK, &err);
}

static void another_key_though_enrolled(struct fixture *f)
{
    f->enrolled = true;
    another_key(f);
}

static void no_variables(struct fixture *f)
{
    atls_buf_clear(&f->variables);
    test_assert_code(atls_buf_copy(&f->variables, atls_bytes_of("{\"keys\":[]}", 11), NULL),
                     ATLS_OK, NULL);
}

static void debug_hardware(struct fixture *f)
{
    f->order.policy |= ATLS_SNP_POLICY_DEBUG;
}

static void untrusted_hardware(struct fixture *f)
{
    test_tee_source_clear(&f->t);
    trust(f, ATLS_SIM_ASK);
    test_tee_source_put(&f->t, ATLS_COLLATERAL_SNP_CRL, atls_buf_bytes(&f->crl));
}

static void record_of_another_type(struct fixture *f)
{
    f->type = "application/octet-stream";
}

static void lying_quote(struct fixture *f)
{
    f->e.nonce[0] ^= 1;
}

static const struct lie lies[] = {
    {.name = "nothing", .tell = good},
    {.name = "nothing, and the key is enrolled as well", .tell = enrolled_too},
    {.name = "variables name another key",
     .tell = another_key,
     .want = ATLS_E_EVIDENCE,
     .reason = ATLS_REASON_UNTRUSTED_AK},
    {.name = "variables name another key than the enrolled one that signed",
     .tell = another_key_though_enrolled,
     .want = ATLS_E_EVIDENCE,
     .reason = ATLS_REASON_UNTRUSTED_AK},
    {.name = "variables without the key",
     .tell = no_variables,
     .want = ATLS_E_DECODE,
     .reason = ATLS_REASON_MALFORMED},
    {.name = "a byte of the text changed",
     .tell = good,
     .flip_variables = 40,
     .want = ATLS_E_EVIDENCE,
     .reason = ATLS_REASON_REPORT_DATA_MISMATCH},
    {.name = "first byte of the report data",
     .tell = good,
     .flip_data = 1,
     .want = ATLS_E_EVIDENCE,
     .reason = ATLS_REASON_REPORT_DATA_MISMATCH},
    {.name = "report data not zero behind the hash",
     .tell = good,
     .flip_data = 41,
     .want = ATLS_E_EVIDENCE,
     .reason = ATLS_REASON_REPORT_DATA_MISMATCH},
    {.name = "hardware in debug",
     .tell = debug_hardware,
     .want = ATLS_E_EVIDENCE,
     .reason = ATLS_REASON_POLICY_DEBUG_ENABLED},
    {.name = "hardware of nobody",
     .tell = untrusted_hardware,
     .want = ATLS_E_CERTIFICATE,
     .reason = ATLS_REASON_UNTRUSTED_ROOT},
    {.name = "a record of another type",
     .tell = record_of_another_type,
     .want = ATLS_E_DECODE,
     .reason = ATLS_REASON_MALFORMED},
    {.name = "TDX without a quote",
     .tell = good,
     .type = ATLS_HCL_TDX,
     .want = ATLS_E_DECODE,
     .reason = ATLS_REASON_MALFORMED},
    {.name = "good hardware, and a TPM that answers another nonce",
     .tell = lying_quote,
     .want = ATLS_E_EVIDENCE,
     .reason = ATLS_REASON_NONCE_MISMATCH},
};

static void check_accepted(const struct fixture *f, const struct atls_claims *claims)
{
    assert_string_equal(claims->submod, "TPM");
    assert_int_equal(claims->key_trust,
                     f->enrolled ? ATLS_KEY_TRUST_ENROLLED : ATLS_KEY_TRUST_CERTIFIED);
    if (!f->enrolled)
        test_assert_bytes(claims->environment.class_id,
                          atls_bytes_of(atls_hcl_class, sizeof atls_hcl_class));
    assert_non_null(claims->next);
    assert_string_equal(claims->next->submod, "SNP");
    test_assert_bytes(claims->next->environment.class_id,
                      atls_bytes_of(atls_hcl_class_snp, ATLS_HCL_CLASS_LEN));
    assert_true(has_text(claims->next, "machine", "machine-1"));
    test_assert_bytes(claims->next->key_spki, claims->key_spki);
    assert_null(claims->next->next);
}

static void each_lie_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        struct fixture *f = fixture_new();
        struct atls_claims claims;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_buf cmw;
        enum atls_code code;

        print_message("  %s\n", lies[i].name);
        lies[i].tell(f);
        finish(f, &lies[i]);
        cmw = test_tpm_evidence_encode(&f->e);
        f->request.evidence = atls_buf_bytes(&cmw);
        code = atls_evidence_verify(&f->request, &claims, &err);
        test_assert_code(code, lies[i].want, &err);
        assert_int_equal(err.reason, lies[i].reason);
        if (code == ATLS_OK) {
            check_accepted(f, &claims);
            atls_claims_clear(&claims);
        }
        atls_buf_clear(&cmw);
        fixture_free(f);
    }
}

/* A Verifier that serves others: both parts name the key that the TPM certified. */
static void a_service_names_the_key_in_both_parts(void **state)
{
    struct fixture *f = fixture_new();
    struct atls_claims claims;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf cmw;

    (void)state;
    finish(f, &lies[0]);
    cmw = test_tpm_evidence_encode(&f->e);
    f->request.evidence = atls_buf_bytes(&cmw);
    f->request.scope = ATLS_EVIDENCE_KEY_UNKNOWN;
    f->request.aik_spki = atls_bytes_of(NULL, 0);
    test_assert_code(atls_evidence_verify(&f->request, &claims, &err), ATLS_OK, &err);
    test_assert_bytes(claims.key_spki, test_tpm_evidence_aik_spki(&f->e));
    check_accepted(f, &claims);
    atls_claims_clear(&claims);
    atls_buf_clear(&cmw);
    fixture_free(f);
}

static int set_up(void **state)
{
    (void)state;
    rsa_ak = test_tpm_key_new(ATLS_KEY_RSA, TEST_TPM_AK_ATTRIBUTES);
    other_ak = test_tpm_key_new(ATLS_KEY_RSA, TEST_TPM_AK_ATTRIBUTES);
    return atls_sim_amd_new(2048, &amd, NULL) != ATLS_OK;
}

static int tear_down(void **state)
{
    (void)state;
    test_tpm_key_clear(&rsa_ak);
    test_tpm_key_clear(&other_ak);
    atls_sim_amd_free(amd);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_machines_are_vouched_for),
        cmocka_unit_test(each_lie_is_found),
        cmocka_unit_test(a_service_names_the_key_in_both_parts),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
