/* A virtual TPM inside a confidential machine: what the attester adds to its evidence convinces a
 * verifier that trusts the hardware's maker and nobody else, and what would not is found when the
 * attester opens. */
#include "testlib.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <atls/limits.h>
#include <atls/tpm2.h>

#include "attester/tpm2/device.h"
#include "attester/tpm2/hcl.h"
#include "attester/tsm/needs.h"
#include "core/arena.h"
#include "core/writer.h"
#include "evidence/hcl.h"
#include "pki.h"
#include "simulator/amd.h"
#include "simulator/hcl.h"
#include "simulator/intel.h"
#include "swtpm.h"
#include "tee_source.h"
#include "wire/kat.h"
#include "wire/tdx.h"
#include "wire/tpm.h"

#define AK      0x81000003u
#define OPTIONS "ak=0x81000003&"
#define NV_LEN  2048 /* of swtpm's largest index */

static const struct atls_attester_ops *const backends[] = {&atls_tpm2_attester, NULL};
static const uint8_t binder_bytes[32] = {7};
static const struct atls_bytes binder = {binder_bytes, 32};

static struct test_swtpm *tpm;
static struct atls_tpm2_config config;
static struct atls_buf ak_spki;
static struct atls_sim_amd *amd;
static struct atls_sim_snp snp;
static struct atls_sim_intel intel;
static struct atls_sim_tdx tdx;

/* ---- the machine ---- */

static struct atls_tpm2_device connect_tpm(void)
{
    struct atls_tpm2_device device = {.config = &config};
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_tpm2_connect(&device, &err), ATLS_OK, &err);
    return device;
}

/* The host's key: restricted, RSASSA with SHA-256. */
static void put_ak(void)
{
    static const TPM2B_SENSITIVE_CREATE sensitive = {0};
    static const TPM2B_DATA outside = {0};
    static const TPML_PCR_SELECTION pcrs = {0};
    const TPM2B_PUBLIC template = {
        .publicArea = {
            .type = TPM2_ALG_RSA,
            .nameAlg = TPM2_ALG_SHA256,
            .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                                TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
                                TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_RESTRICTED,
            .parameters.rsaDetail = {
                .symmetric.algorithm = TPM2_ALG_NULL,
                .scheme = {.scheme = TPM2_ALG_RSASSA, .details.rsassa.hashAlg = TPM2_ALG_SHA256},
                .keyBits = 2048}}};
    struct atls_tpm2_device device = connect_tpm();
    ESYS_TR key = ESYS_TR_NONE, persistent = ESYS_TR_NONE;
    struct atls_writer w = atls_writer_init(1024);
    struct atls_buf area = ATLS_BUF_INIT;
    struct atls_tpmt_public parts;
    TPM2B_PUBLIC *made = NULL;

    assert_int_equal(Esys_CreatePrimary(device.esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD,
                                        ESYS_TR_NONE, ESYS_TR_NONE, &sensitive, &template, &outside,
                                        &pcrs, &key, &made, NULL, NULL, NULL),
                     0);
    assert_int_equal(Esys_EvictControl(device.esys, ESYS_TR_RH_OWNER, key, ESYS_TR_PASSWORD,
                                       ESYS_TR_NONE, ESYS_TR_NONE, AK, &persistent),
                     0);
    test_assert_code(atls_tpm2_put_public(&device, &made->publicArea, &area, NULL), ATLS_OK, NULL);
    test_assert_code(atls_tpmt_public_decode(atls_buf_bytes(&area), &parts, NULL), ATLS_OK, NULL);
    test_assert_code(atls_tpmt_public_put_spki(&parts, &w, NULL), ATLS_OK, NULL);
    test_assert_code(atls_writer_finish(&w, &ak_spki, NULL), ATLS_OK, NULL);
    Esys_Free(made);
    atls_buf_clear(&area);
    atls_tpm2_flush(&device, &key);
    atls_tpm2_disconnect(&device);
}

static void remove_nv(struct atls_tpm2_device *device)
{
    ESYS_TR nv = ESYS_TR_NONE;
    bool exists = false;

    test_assert_code(atls_tpm2_handle_exists(device, ATLS_TPM2_HCL_INDEX, &exists, NULL), ATLS_OK,
                     NULL);
    if (!exists)
        return;
    assert_int_equal(Esys_TR_FromTPMPublic(device->esys, ATLS_TPM2_HCL_INDEX, ESYS_TR_NONE,
                                           ESYS_TR_NONE, ESYS_TR_NONE, &nv),
                     0);
    assert_int_equal(Esys_NV_UndefineSpace(device->esys, ESYS_TR_RH_OWNER, nv, ESYS_TR_PASSWORD,
                                           ESYS_TR_NONE, ESYS_TR_NONE),
                     0);
}

/* The NV index of the report, with an authorisation of its own that the guest is not told. */
static void put_nv(TPMA_NV readable, const char *auth_text, struct atls_bytes content)
{
    const TPM2B_NV_PUBLIC area = {
        .nvPublic = {.nvIndex = ATLS_TPM2_HCL_INDEX,
                     .nameAlg = TPM2_ALG_SHA256,
                     .attributes = TPMA_NV_OWNERWRITE | readable | TPMA_NV_NO_DA,
                     .dataSize = (UINT16)content.len}};
    struct atls_tpm2_device device = connect_tpm();
    TPM2B_AUTH auth = {.size = (UINT16)strlen(auth_text)};
    ESYS_TR nv = ESYS_TR_NONE;

    memcpy(auth.buffer, auth_text, auth.size);
    remove_nv(&device);
    assert_int_equal(Esys_NV_DefineSpace(device.esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD,
                                         ESYS_TR_NONE, ESYS_TR_NONE, &auth, &area, &nv),
                     0);
    for (size_t at = 0; at < content.len; at += 512) {
        TPM2B_MAX_NV_BUFFER data = {.size = 512};

        if (content.len - at < 512)
            data.size = (UINT16)(content.len - at);
        memcpy(data.buffer, content.ptr + at, data.size);
        assert_int_equal(Esys_NV_Write(device.esys, ESYS_TR_RH_OWNER, nv, ESYS_TR_PASSWORD,
                                       ESYS_TR_NONE, ESYS_TR_NONE, &data, (UINT16)at),
                         0);
    }
    atls_tpm2_disconnect(&device);
}

static const char *path_of(const char *name)
{
    static char paths[4][256];
    static unsigned int next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", test_swtpm_folder(tpm), name);
    return path;
}

static void put_file(const char *name, struct atls_bytes content)
{
    FILE *f = fopen(path_of(name), "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(content.ptr, 1, content.len, f), content.len);
    assert_int_equal(fclose(f), 0);
}

static void put_collateral(enum atls_collateral_kind kind, const char *subject,
                           const struct atls_buf *document)
{
    const struct atls_collateral_query query = {kind, subject};
    char name[ATLS_COLLATERAL_FILE_MAX];

    atls_collateral_file_name(&query, name);
    put_file(name, atls_buf_bytes(document));
}

/* What may be wrong with a report. Zeros: nothing. */
struct order {
    enum atls_hcl_type type; /* 0: SNP */
    enum atls_hash hash;     /* 0: SHA-256 */
    bool another_key;
    const char *text; /* in place of the JSON */
    bool other_data;  /* the hardware signed another hash */
};

static struct atls_buf variables_of(const struct order *order)
{
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_private_key *other = NULL;
    struct atls_bytes spki = atls_buf_bytes(&ak_spki);
    struct atls_err err = ATLS_ERR_INIT;

    if (order->text != NULL) {
        test_assert_code(atls_buf_copy(&out, atls_bytes_of(order->text, strlen(order->text)), &err),
                         ATLS_OK, &err);
        return out;
    }
    if (order->another_key) {
        test_assert_code(atls_private_key_generate(ATLS_KEY_RSA, &other, &err), ATLS_OK, &err);
        spki = atls_key_spki(atls_private_key_public(other));
    }
    test_assert_code(atls_sim_hcl_variables(spki, "machine-1", &out, &err), ATLS_OK, &err);
    atls_private_key_free(other);
    return out;
}

/* A report, with the zeros of its index behind it; SNP files its collateral, TDX its quote, too. */
static struct atls_buf make_report(const struct order *order)
{
    struct atls_sim_hcl hcl = {order->type == 0 ? ATLS_HCL_SNP : order->type,
                               order->hash == 0 ? ATLS_HASH_SHA256 : order->hash,
                               {NULL, 0},
                               {NULL, 0}};
    static const uint8_t tdreport[1024] = {0x81};
    static uint8_t report[ATLS_SNP_REPORT_LEN];
    struct atls_buf variables = variables_of(order), blob = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t data[64];

    hcl.variables = atls_buf_bytes(&variables);
    test_assert_code(atls_sim_hcl_report_data(hcl.hash, hcl.variables, data, &err), ATLS_OK, &err);
    data[63] ^= order->other_data;
    memcpy(tdx.quote.report_data, data, sizeof data);
    test_assert_code(atls_sim_amd_report(amd, &snp, data, report, &err), ATLS_OK, &err);
    hcl.hardware = hcl.type == ATLS_HCL_SNP ? atls_bytes_of(report, sizeof report)
                                            : atls_bytes_of(tdreport, sizeof tdreport);
    test_assert_code(atls_sim_hcl_report(&hcl, &blob, &err), ATLS_OK, &err);
    atls_buf_clear(&variables);
    assert_true(blob.len > NV_LEN);
    blob.len = NV_LEN;
    return blob;
}

static void file_snp_collateral(void)
{
    struct atls_buf vek = ATLS_BUF_INIT, chain = ATLS_BUF_INIT, crl = ATLS_BUF_INIT;
    static uint8_t report[ATLS_SNP_REPORT_LEN], data[64];
    struct atls_tsm_needs needs;

    test_assert_code(atls_sim_amd_report(amd, &snp, data, report, NULL), ATLS_OK, NULL);
    assert_true(atls_tsm_snp_needs(atls_bytes_of(report, sizeof report), atls_bytes_of(NULL, 0),
                                   NULL, &needs));
    assert_int_equal(needs.count, 3);
    test_assert_code(atls_sim_amd_certificate(amd, ATLS_SIM_VCEK, &snp, NULL, &vek, NULL), ATLS_OK,
                     NULL);
    test_assert_code(atls_sim_amd_chain(amd, &snp, &chain, NULL), ATLS_OK, NULL);
    test_assert_code(atls_sim_amd_crl(amd, &snp, NULL, &crl, NULL), ATLS_OK, NULL);
    put_collateral(ATLS_COLLATERAL_SNP_VEK, needs.items[0].subject, &vek);
    put_collateral(ATLS_COLLATERAL_SNP_CA, needs.items[1].subject, &chain);
    put_collateral(ATLS_COLLATERAL_SNP_CRL, needs.items[2].subject, &crl);
    atls_buf_clear(&vek);
    atls_buf_clear(&chain);
    atls_buf_clear(&crl);
}

/* Files the quote over what make_report made last, and what vouches for it. */
static struct atls_buf file_tdx(void)
{
    struct atls_sim_tdx_evidence e;
    struct atls_err err = ATLS_ERR_INIT;
    char fmspc[13];
    struct atls_buf root;

    test_assert_code(atls_sim_tdx_make(&intel, &tdx, &e, &err), ATLS_OK, &err);
    for (size_t i = 0; i < sizeof tdx.fmspc; i++)
        snprintf(fmspc + 2 * i, 3, "%02x", tdx.fmspc[i]);
    put_file("quote", atls_buf_bytes(&e.quote));
    put_collateral(ATLS_COLLATERAL_TDX_TCB_INFO, fmspc, &e.tcb_info);
    put_collateral(ATLS_COLLATERAL_TDX_QE_IDENTITY, "td", &e.qe_identity);
    put_collateral(ATLS_COLLATERAL_TDX_TCB_CHAIN, "tcb", &e.tcb_chain);
    put_collateral(ATLS_COLLATERAL_TDX_PCK_CRL, "platform", &e.pck_crl);
    put_collateral(ATLS_COLLATERAL_TDX_PCK_CRL_CHAIN, "platform", &e.pck_crl_chain);
    put_collateral(ATLS_COLLATERAL_TDX_ROOT_CRL, "root", &e.root_crl);
    root = e.root;
    e.root = (struct atls_buf)ATLS_BUF_INIT;
    atls_sim_tdx_evidence_clear(&e);
    return root;
}

static int start(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    tpm = test_swtpm_start(0);
    config = (struct atls_tpm2_config){.tcti = test_swtpm_tcti(tpm)};
    put_ak();
    test_assert_code(atls_sim_amd_new(2048, &amd, &err), ATLS_OK, &err);
    atls_sim_snp_init(&snp, ATLS_SNP_GENOA, TEST_TIME_S);
    test_assert_code(atls_sim_intel_make(&intel, &err), ATLS_OK, &err);
    atls_sim_tdx_init(&tdx, TEST_TIME_S);
    file_snp_collateral();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    atls_sim_intel_clear(&intel);
    atls_sim_amd_free(amd);
    atls_buf_clear(&ak_spki);
    test_swtpm_stop(tpm);
    return 0;
}

/* ---- the attester ---- */

static enum atls_code try_open(const char *options, struct atls_attester **out,
                               struct atls_err *err)
{
    char uri[1024];

    return atls_attester_open(test_swtpm_uri(tpm, options, uri, sizeof uri), backends, NULL, out,
                              err);
}

static struct atls_attester *open_with(const char *options)
{
    struct atls_attester *a = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(try_open(options, &a, &err), ATLS_OK, &err);
    assert_string_equal(atls_attester_evidence_type(a), "tpm");
    return a;
}

/* Evidence, and what a verifier with this source says of its endorsements. */
struct evidence {
    struct atls_buf cmw;
    struct atls_arena arena;
    struct atls_cmw parsed;
    struct atls_bundle bundle;
};

static void evidence_clear(struct evidence *e)
{
    atls_buf_clear(&e->cmw);
    atls_arena_clear(&e->arena);
}

static struct evidence make_evidence(struct atls_attester *a)
{
    struct evidence e = {.arena = atls_arena_init(1 << 20)};
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_attester_evidence(a, binder, &e.cmw, &err), ATLS_OK, &err);
    assert_true(e.cmw.len <= ATLS_CMW_DATA_MAX);
    test_assert_code(atls_cmw_decode(atls_buf_bytes(&e.cmw), &e.arena, &e.parsed, &err), ATLS_OK,
                     &err);
    test_assert_code(atls_bundle_open(&e.parsed, &e.bundle, &err), ATLS_OK, &err);
    return e;
}

/* The key that signed the TPM's part, as the part has it. */
static struct atls_buf signer_of(const struct evidence *e)
{
    static struct atls_tpm_quote_half pat;
    struct atls_writer w = atls_writer_init(1024);
    struct atls_tpmt_public ak;
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_tpm_quote_half_decode(e->bundle.pat.value, &pat, &err), ATLS_OK, &err);
    test_assert_code(atls_tpmt_public_decode(pat.ak_pub, &ak, &err), ATLS_OK, &err);
    test_assert_code(atls_tpmt_public_put_spki(&ak, &w, &err), ATLS_OK, &err);
    test_assert_code(atls_writer_finish(&w, &out, &err), ATLS_OK, &err);
    return out;
}

/* By a verifier that has the maker's root and no documents. */
static void check_convinces(const struct evidence *e, struct atls_bytes root, const char *submod)
{
    struct test_tee_source t = {.anchors = NULL};
    const struct atls_endorsement_source source = test_tee_source_over(&t);
    const struct atls_evidence_options options = {.rules = NULL};
    const struct atls_evidence_request request = {
        .source = &source, .time_s = TEST_TIME_S, .options = &options};
    struct atls_buf signer = signer_of(e);
    const struct atls_hcl_check check = {.request = &request,
                                         .endorsements = e->bundle.endorsements,
                                         .ak_spki = atls_buf_bytes(&signer),
                                         .spki = atls_bytes_of("key", 3)};
    static struct atls_claims claims;
    struct atls_err err = ATLS_ERR_INIT;

    test_tee_source_trust(&t, root);
    test_assert_code(atls_hcl_verify(&check, &claims, &err), ATLS_OK, &err);
    assert_string_equal(claims.submod, submod);
    atls_claims_clear(&claims);
    atls_buf_clear(&signer);
    test_tee_source_clear(&t);
}

static const struct atls_cmw *record_of(const struct evidence *e, const char *label)
{
    const struct atls_cmw *record = atls_cmw_find(e->bundle.endorsements, label);

    assert_non_null(record);
    assert_int_equal(record->kind, ATLS_CMW_RECORD);
    return record;
}

/* "hcl-report=REPORT", the AK's handle before and more options behind. */
static const char *options_of(const char *report, const char *more)
{
    static char options[700];

    snprintf(options, sizeof options, OPTIONS "hcl-report=%s%s", report, more);
    return options;
}

static const char *collateral_here(void)
{
    static char option[300];

    snprintf(option, sizeof option, "&collateral=%s", test_swtpm_folder(tpm));
    return option;
}

static const char *quote_here(const char *more)
{
    static char option[600];

    snprintf(option, sizeof option, "&tdx-quote=%s%s", path_of("quote"), more);
    return option;
}

/* ---- tests ---- */

static void snp_vouches_for_the_key(void **state)
{
    static const struct {
        const char *name;
        TPMA_NV readable;
        const char *auth; /* of the index */
        bool file;
        enum atls_hash hash;
    } rows[] = {
        {"as Azure has it: the owner reads, the index's own authorisation is the host's",
         TPMA_NV_AUTHREAD | TPMA_NV_OWNERREAD, "secret", false, ATLS_HASH_SHA256},
        {"an index that the owner alone reads", TPMA_NV_OWNERREAD, "", false, ATLS_HASH_SHA384},
        {"an index that the owner does not read", TPMA_NV_AUTHREAD, "", false, ATLS_HASH_SHA512},
        {"a file", 0, NULL, true, ATLS_HASH_SHA256},
    };
    struct atls_buf root = ATLS_BUF_INIT;

    (void)state;
    test_assert_code(atls_sim_amd_certificate(amd, ATLS_SIM_ARK, &snp, NULL, &root, NULL), ATLS_OK,
                     NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct order order = {.hash = rows[i].hash};
        struct atls_buf blob = make_report(&order);
        struct atls_attester *a;
        struct evidence e;
        const struct atls_cmw *record;

        print_message("  %s\n", rows[i].name);
        if (rows[i].file)
            put_file("report", atls_buf_bytes(&blob));
        else
            put_nv(rows[i].readable, rows[i].auth, atls_buf_bytes(&blob));
        a = open_with(options_of(rows[i].file ? path_of("report") : "nv", collateral_here()));
        e = make_evidence(a);
        assert_int_equal(e.bundle.endorsements->count, 4);
        record = record_of(&e, "hcl-report");
        assert_true(atls_cmw_type_is(&record->type, ATLS_TYPE_HCL_REPORT));
        assert_int_equal(record->value.ptr[record->value.len - 1], '}'); /* no zeros */
        test_assert_bytes(record->value, atls_bytes_of(blob.ptr, record->value.len));
        check_convinces(&e, atls_buf_bytes(&root), "SNP");
        evidence_clear(&e);
        atls_attester_unref(a);
        atls_buf_clear(&blob);
    }
    atls_buf_clear(&root);
}

static void tdx_vouches_for_the_key(void **state)
{
    const struct order order = {.type = ATLS_HCL_TDX};
    struct atls_buf blob = make_report(&order), root = file_tdx();
    struct atls_attester *a;
    struct evidence e;

    (void)state;
    put_nv(TPMA_NV_OWNERREAD, "", atls_buf_bytes(&blob));
    a = open_with(options_of("nv", quote_here(collateral_here())));
    e = make_evidence(a);
    assert_int_equal(e.bundle.endorsements->count, 8);
    assert_true(atls_cmw_type_is(&record_of(&e, "tdx-quote")->type, ATLS_TYPE_TDX_QUOTE));
    check_convinces(&e, atls_buf_bytes(&root), "TDX");
    evidence_clear(&e);
    atls_buf_clear(&root);

    /* the quote is read each time: this one is of another platform */
    tdx.ppid[0] ^= 1;
    tdx.quote.mr_td[0] ^= 1;
    root = file_tdx();
    e = make_evidence(a);
    check_convinces(&e, atls_buf_bytes(&root), "TDX");
    evidence_clear(&e);
    atls_buf_clear(&root);
    atls_attester_unref(a);
    atls_buf_clear(&blob);
}

static void a_quote_that_does_not_fit_is_refused(void **state)
{
    static uint8_t large[ATLS_TSM_BLOB_MAX + 1];
    const struct order order = {.type = ATLS_HCL_TDX};
    struct atls_buf blob = make_report(&order), root = file_tdx(), out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_attester *a;
    struct evidence e;
    FILE *f;

    (void)state;
    put_file("report", atls_buf_bytes(&blob));
    a = open_with(options_of(path_of("report"), quote_here("")));
    e = make_evidence(a);
    evidence_clear(&e);

    /* it is over the right text, but longer than all evidence may be */
    f = fopen(path_of("quote"), "rb");
    assert_non_null(f);
    assert_true(fread(large, 1, sizeof large, f) > 1000);
    fclose(f);
    put_file("quote", atls_bytes_of(large, ATLS_TSM_BLOB_MAX));
    test_assert_code(atls_attester_evidence(a, binder, &out, &err), ATLS_E_LIMIT, &err);
    assert_non_null(strstr(err.message, "the tdx-quote is too large: 65536 bytes"));
    put_file("quote", atls_bytes_of(large, ATLS_TSM_BLOB_MAX + 1));
    test_assert_code(atls_attester_evidence(a, binder, &out, &err), ATLS_E_LIMIT, &err);
    assert_non_null(strstr(err.message, "tdx-quote: "));

    /* of an earlier boot */
    tdx.quote.report_data[0] ^= 1;
    atls_buf_clear(&root);
    root = file_tdx();
    test_assert_code(atls_attester_evidence(a, binder, &out, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "is no TDX quote over the text of the HCL report"));
    assert_int_equal(unlink(path_of("quote")), 0);
    test_assert_code(atls_attester_evidence(a, binder, &out, &err), ATLS_E_IO, &err);
    assert_non_null(strstr(err.message, "tdx-quote: "));
    assert_null(out.ptr);
    atls_attester_unref(a);
    atls_buf_clear(&root);
    atls_buf_clear(&blob);
}

static void collateral_that_does_not_fit_is_named(void **state)
{
    static uint8_t large[60000];
    const struct order order = {.type = 0};
    struct atls_buf blob = make_report(&order), out = ATLS_BUF_INIT;
    struct atls_bytes content = {large, sizeof large};
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_attester *a;

    (void)state;
    memset(large, 'x', sizeof large);
    put_file("report", atls_buf_bytes(&blob));
    a = open_with(options_of(path_of("report"), collateral_here()));
    put_file("snp-ca-genoa.pem", content);
    test_assert_code(atls_attester_evidence(a, binder, &out, &err), ATLS_OK, &err);
    atls_buf_clear(&out);
    put_file("snp-crl-genoa.crl", content);
    test_assert_code(atls_attester_evidence(a, binder, &out, &err), ATLS_E_LIMIT, &err);
    assert_non_null(strstr(err.message, "is too large: 60000 bytes"));
    assert_non_null(strstr(err.message, "the snp-c"));
    file_snp_collateral();
    atls_attester_unref(a);
    atls_buf_clear(&blob);
}

static void what_would_not_convince_is_refused_at_the_start(void **state)
{
    static const struct {
        const char *name;
        struct order order;
        const char *report; /* file; NULL: as ordered */
        const char *more;
        enum atls_code want;
        const char *message;
    } rows[] = {
        {"the text names another key",
         {.another_key = true},
         NULL,
         "",
         ATLS_E_CONFIG,
         "HCLAkPub is not the attestation key; on Azure that is ak=0x81000003"},
        {"the text names no key",
         {.text = "{\"keys\":[]}"},
         NULL,
         "",
         ATLS_E_DECODE,
         "want exactly one key named HCLAkPub"},
        {"the hardware signed another text",
         {.other_data = true},
         NULL,
         "",
         ATLS_E_CONFIG,
         "the hardware's report is not over the text beside it"},
        {"SNP with a quote of TDX",
         {.type = 0},
         NULL,
         "&tdx-quote=/q",
         ATLS_E_CONFIG,
         "tdx-quote is of TDX"},
        {"TDX without a quote",
         {.type = ATLS_HCL_TDX},
         NULL,
         "",
         ATLS_E_CONFIG,
         "want tdx-quote=FILE"},
        {"no directory of collateral",
         {.type = 0},
         NULL,
         "&collateral=/nonexistent",
         ATLS_E_CONFIG,
         "tpm2: collateral=/nonexistent is no directory"},
        {"no report in the file", {.type = 0}, "/dev/null", "", ATLS_E_DECODE, "HCL report: "},
        {"no file", {.type = 0}, "/nonexistent", "", ATLS_E_IO, "hcl-report: "},
        {"a file larger than any report",
         {.type = 0},
         "/dev/zero",
         "",
         ATLS_E_LIMIT,
         "hcl-report: "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf blob = make_report(&rows[i].order);
        struct atls_attester *a = NULL;
        struct atls_err err = ATLS_ERR_INIT;
        const char *options;

        print_message("  %s\n", rows[i].name);
        put_file("report", atls_buf_bytes(&blob));
        options =
            options_of(rows[i].report != NULL ? rows[i].report : path_of("report"), rows[i].more);
        test_assert_code(try_open(options, &a, &err), rows[i].want, &err);
        if (strstr(err.message, rows[i].message) == NULL)
            fail_msg("message is \"%s\"", err.message);
        assert_null(a);
        atls_buf_clear(&blob);
    }
}

static void a_key_of_ours_is_not_the_one_named(void **state)
{
    const struct order order = {.type = 0};
    struct atls_buf blob = make_report(&order);
    struct atls_attester *a = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    put_nv(TPMA_NV_OWNERREAD, "", atls_buf_bytes(&blob));
    test_assert_code(try_open("hcl-report=nv", &a, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "HCLAkPub is not the attestation key"));
    assert_null(a);
    atls_buf_clear(&blob);
}

/* Enrolment is before: what the hardware says is not part of it. */
static void enrolment_does_without(void **state)
{
    struct atls_tpm2_enrolment *e = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    char uri[512];

    (void)state;
    test_swtpm_uri(tpm, OPTIONS "hcl-report=/nonexistent", uri, sizeof uri);
    test_assert_code(atls_tpm2_enrolment_open(uri, &e, &err), ATLS_OK, &err);
    atls_tpm2_enrolment_close(e);
}

static void indices_that_cannot_be_read_are_refused(void **state)
{
    const struct order order = {.type = 0};
    struct atls_buf blob = make_report(&order), out = ATLS_BUF_INIT;
    struct atls_tpm2_device device = connect_tpm();
    struct atls_attester *a = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    remove_nv(&device);
    atls_tpm2_disconnect(&device);
    test_assert_code(try_open(OPTIONS "hcl-report=nv", &a, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "the TPM has no NV index 0x01400001"));

    put_nv(TPMA_NV_AUTHREAD, "secret", atls_buf_bytes(&blob));
    test_assert_code(try_open(OPTIONS "hcl-report=nv", &a, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "hcl-report=nv: TPM2_NV_Read: the TPM refuses"));
    assert_null(a);

    put_nv(TPMA_NV_OWNERREAD, "", atls_buf_bytes(&blob));
    device = connect_tpm();
    test_assert_code(atls_tpm2_nv_read(&device, ATLS_TPM2_HCL_INDEX, ATLS_TPM2_NV_BY_OWNER,
                                       NV_LEN - 1, &out, &err),
                     ATLS_E_LIMIT, &err);
    test_assert_code(
        atls_tpm2_nv_read(&device, ATLS_TPM2_HCL_INDEX, ATLS_TPM2_NV_BY_OWNER, NV_LEN, &out, &err),
        ATLS_OK, &err);
    test_assert_bytes(atls_buf_bytes(&out), atls_buf_bytes(&blob));
    atls_buf_clear(&out);
    test_assert_code(
        atls_tpm2_nv_read(&device, 0x01400003, ATLS_TPM2_NV_BY_OWNER, NV_LEN, &out, &err),
        ATLS_E_DEVICE, &err);
    atls_tpm2_disconnect(&device);
    atls_buf_clear(&blob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snp_vouches_for_the_key),
        cmocka_unit_test(tdx_vouches_for_the_key),
        cmocka_unit_test(a_quote_that_does_not_fit_is_refused),
        cmocka_unit_test(collateral_that_does_not_fit_is_named),
        cmocka_unit_test(what_would_not_convince_is_refused_at_the_start),
        cmocka_unit_test(a_key_of_ours_is_not_the_one_named),
        cmocka_unit_test(enrolment_does_without),
        cmocka_unit_test(indices_that_cannot_be_read_are_refused),
    };

    if (!test_swtpm_available()) {
        print_message("skipped: swtpm and swtpm_setup are not installed\n");
        return TEST_SWTPM_SKIP;
    }
    setenv("TSS2_LOG", "all+none",
           1); /* failures are provoked here; the library would print them */
    return cmocka_run_group_tests(tests, start, stop);
}
