/* A SEV-SNP report with its certificate table against a Verifier that trusts the ARK of that very
 * table, so that seeds whose signatures hold reach the checks behind them; and as one sees it whose
 * Verifier is elsewhere. The first byte chooses rules and time, the second how long the revocation
 * list is (times 64) that stands in between. */
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "evidence/claims.h"
#include "evidence/snp.h"

#define HEAD 2

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    struct atls_bytes report, table, crl;
    struct atls_certificate_set *anchors;
    uint8_t choice;
};

static enum atls_code tee_anchors(void *arg, struct atls_certificate_set **out,
                                  struct atls_err *err)
{
    struct input *in = arg;

    (void)err;
    *out = atls_certificate_set_ref(in->anchors);
    return ATLS_OK;
}

static enum atls_code collateral(void *arg, const struct atls_collateral_query *query,
                                 int64_t time_s, struct atls_buf *out, struct atls_err *err)
{
    struct input *in = arg;

    (void)time_s;
    if (!atls_collateral_subject_valid(query->subject))
        abort();
    if (query->kind != ATLS_COLLATERAL_SNP_CRL || in->crl.len == 0)
        return atls_fail(err, ATLS_E_NOT_FOUND, "not on file");
    return atls_buf_copy(out, in->crl, err);
}

static void believe(struct input *in)
{
    struct atls_snp_certificates table;
    struct atls_certificate *ark;

    if (atls_certificate_set_new(&in->anchors, NULL) != ATLS_OK ||
        atls_snp_certificates_decode(in->table, &table, NULL) != ATLS_OK ||
        atls_certificate_parse(table.ark, &ark, NULL) != ATLS_OK)
        return;
    if (atls_certificate_set_add(in->anchors, ark, NULL) != ATLS_OK)
        abort();
    atls_certificate_unref(ark);
}

static void take_claims(const struct atls_snp_result *result)
{
    static const uint8_t spki[] = "key";
    struct atls_claims claims = atls_claims_init(&atls_technology_snp);

    if (atls_snp_claims(result, atls_bytes_of(spki, sizeof spki), &claims, NULL) == ATLS_OK &&
        (claims.measurement_count == 0 || claims.measurements[0].mkey.number != 641 ||
         claims.optional_count != claims.measurement_count - 1))
        abort();
    atls_claims_clear(&claims);
}

static void verify(struct input *in, enum atls_evidence_scope scope)
{
    const struct atls_endorsement_source source = {
        .arg = in, .tee_anchors = tee_anchors, .collateral = collateral};
    struct atls_rules rules = {
        .snp = {.crl_optional = (in->choice & 1) != 0,
                .allow_debug = (in->choice & 2) != 0,
                .refuse_smt = (in->choice & 4) != 0,
                .allow_masked_chip_id = (in->choice & 8) != 0,
                .unknown_policy_bits = (in->choice & 16) != 0,
                .minimum_tcb_set = {false, (in->choice & 32) != 0, true, true, true},
                .vmpl = {true, in->choice >> 6}},
    };
    const struct atls_evidence_options options = {.rules = &rules};
    const struct atls_evidence_request request = {
        .scope = scope, .time_s = 1748736000, .source = &source, .options = &options};
    const struct atls_snp_check check = {
        .report = in->report,
        .certificates = in->table,
        .report_data = atls_bytes_of(in->report.ptr + 0x50, 64),
        .request = &request,
    };
    struct atls_snp_result result;
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code = atls_snp_verify(&check, &result, &err);

    if (code == ATLS_OK) {
        take_claims(&result);
        atls_snp_result_clear(&result);
    } else if (code == ATLS_E_USAGE || code == ATLS_E_INTERNAL || err.code != code) {
        abort(); /* never the caller's fault, never unexplained */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {.choice = size > 0 ? data[0] : 0};
    size_t crl_len;

    if (size < HEAD + ATLS_SNP_REPORT_LEN)
        return 0;
    in.report = atls_bytes_of(data + HEAD, ATLS_SNP_REPORT_LEN);
    data += HEAD + ATLS_SNP_REPORT_LEN;
    size -= HEAD + ATLS_SNP_REPORT_LEN;
    crl_len = (size_t)data[-ATLS_SNP_REPORT_LEN - 1] * 64;
    if (crl_len > size)
        crl_len = 0;
    in.crl = atls_bytes_of(data, crl_len);
    while (in.crl.len > 0 && in.crl.ptr[in.crl.len - 1] == 0)
        in.crl.len--; /* padding */
    in.table = atls_bytes_of(data + crl_len, size - crl_len);
    believe(&in);
    verify(&in, ATLS_EVIDENCE_COMPLETE);
    verify(&in, ATLS_EVIDENCE_KEY_TRUST_ELSEWHERE);
    atls_certificate_set_unref(in.anchors);
    return 0;
}
