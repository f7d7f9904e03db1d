/* Step 5, and what a warm appraisal does in place of steps 5 to 7: ask the cache. */
#include <stdint.h>
#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "evidence/snp_vek.h"

/* How long a verified chain is believed: collateral that the verifier got meanwhile counts from
 * then on. */
#define CACHED_S 3600

/* What a key is looked for with. */
struct search {
    struct atls_snp_offer offer;
    const struct atls_evidence_request *request;
    const struct atls_snp_report *report;
    enum atls_snp_line line;              /* UNKNOWN: the report does not say */
    struct atls_certificate_set *anchors; /* NULL: none on file */
};

static enum atls_code ask_for_line(const struct search *s, enum atls_snp_line line,
                                   struct atls_buf *out, struct atls_snp_absence *absence,
                                   struct atls_err *err)
{
    const struct atls_snp_report *report = s->report;
    const bool vlek = report->signer == ATLS_SNP_VLEK;
    char subject[ATLS_COLLATERAL_SUBJECT_MAX + 1], name[8];
    const struct atls_collateral_query query = {ATLS_COLLATERAL_SNP_VEK, subject};

    atls_snp_line_subject(line, name);
    if (!atls_collateral_vek_subject(name, vlek ? atls_bytes_of(NULL, 0) : report->chip_id,
                                     report->reported_tcb, subject))
        return ATLS_OK;
    return atls_snp_collateral(s->request, &query, out, absence, err);
}

/* The certificate that the source has; a report of version 2 does not say the line. */
static enum atls_code ask_source(const struct search *s, struct atls_buf *out,
                                 struct atls_snp_absence *absence, struct atls_err *err)
{
    static const enum atls_snp_line lines[] = {ATLS_SNP_MILAN, ATLS_SNP_GENOA, ATLS_SNP_TURIN};
    enum atls_code code = ATLS_OK;

    if (s->line != ATLS_SNP_LINE_UNKNOWN)
        return ask_for_line(s, s->line, out, absence, err);
    for (size_t i = 0; i < 3 && code == ATLS_OK && out->len == 0; i++)
        code = ask_for_line(s, lines[i], out, absence, err);
    return code;
}

/* The leaf that came with the evidence, of the kind that signed. */
static struct atls_bytes offered_leaf(const struct atls_snp_offer *offer,
                                      enum atls_snp_signer signer)
{
    const struct atls_bytes in_table =
        signer == ATLS_SNP_VLEK ? offer->table.vlek : offer->table.vcek;

    return in_table.ptr != NULL ? in_table : offer->vek;
}

/* failure: of the place that it could have come from; ATLS_OK: none. */
static enum atls_code no_leaf(const struct atls_snp_offer *offer, enum atls_snp_signer signer,
                              enum atls_code failure, struct atls_err *err)
{
    const struct atls_bytes other = signer == ATLS_SNP_VLEK ? offer->table.vcek : offer->table.vlek;

    if (other.ptr != NULL)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_SIGNING_KEY_MISMATCH,
                                "SNP report is signed by a %s, the certificate that came with it "
                                "is of the other kind",
                                signer == ATLS_SNP_VLEK ? "VLEK" : "VCEK");
    return atls_fail_reason(
        err, failure != ATLS_OK ? failure : ATLS_E_EVIDENCE, ATLS_REASON_COLLATERAL_UNAVAILABLE,
        "SNP report: no certificate of its %s at hand", signer == ATLS_SNP_VLEK ? "VLEK" : "VCEK");
}

static enum atls_code parse_leaf(const struct search *s, struct atls_snp_vek **out,
                                 struct atls_err *err)
{
    struct atls_bytes leaf = offered_leaf(&s->offer, s->report->signer);
    struct atls_buf fetched = ATLS_BUF_INIT;
    struct atls_snp_absence absence = {.failure = ATLS_OK};
    enum atls_code code = ATLS_OK;

    if (leaf.len == 0) {
        code = ask_source(s, &fetched, &absence, err);
        leaf = atls_buf_bytes(&fetched);
    }
    if (code == ATLS_OK)
        code = leaf.len == 0 ? no_leaf(&s->offer, s->report->signer, absence.failure, err)
                             : atls_snp_vek_parse(leaf, s->report->signer, out, err);
    atls_buf_clear(&fetched);
    return code;
}

static enum atls_code build(const struct search *s, struct atls_snp_vek **out, struct atls_err *err)
{
    struct atls_snp_vek *vek = NULL;
    enum atls_code code;

    if ((code = parse_leaf(s, &vek, err)) != ATLS_OK)
        return code;
    if (s->line != ATLS_SNP_LINE_UNKNOWN && vek->line != s->line)
        code = atls_fail_reason(err, ATLS_E_CERTIFICATE, ATLS_REASON_CHAIN_ISSUER,
                                "SNP report is of a %s processor, its certificate is issued for %s",
                                atls_snp_line_name(s->line), atls_snp_line_name(vek->line));
    if (code == ATLS_OK)
        code = atls_snp_chain_verify(&s->offer, s->anchors, vek, err);
    if (code != ATLS_OK) {
        atls_snp_vek_unref(vek);
        return code;
    }
    *out = vek;
    return ATLS_OK;
}

/* ---- cache ---- */

static void *ref_vek(void *vek)
{
    return atls_snp_vek_ref(vek);
}

static void unref_vek(void *vek)
{
    atls_snp_vek_unref(vek);
}

/* What decides steps 5 to 7 beside the bytes of certificates and lists, and the time. */
struct key_head {
    const void *source;
    uint32_t signer, line, crl_optional, unused;
    uint8_t chip_id[ATLS_SNP_CHIP_ID_LEN], tcb[8]; /* where the source is asked by them; else 0 */
};

static struct atls_cached_thing key_of(const struct search *s, const struct key_head *head)
{
    const struct atls_snp_offer *offer = &s->offer;
    const struct atls_cached_thing key = {
        .tag = "snp-vek",
        .parts = {atls_bytes_of(head, sizeof *head), offered_leaf(offer, s->report->signer),
                  offer->table.ask, offer->table.ark, offer->ca, offer->crl, offer->vek},
        .part_count = 7,
        .scope = s->anchors,
        .scope_serial = s->anchors == NULL ? 0 : atls_certificate_set_serial(s->anchors),
    };

    return key;
}

static struct key_head head_of(const struct search *s)
{
    const struct atls_snp_report *report = s->report;
    struct key_head head;

    memset(&head, 0, sizeof head); /* padding is compared too */
    head.source = s->request->source == NULL ? NULL : s->request->source->arg;
    head.signer = (uint32_t)report->signer;
    head.line = (uint32_t)s->line;
    head.crl_optional = atls_snp_rules_of(s->request)->crl_optional;
    if (offered_leaf(&s->offer, report->signer).len == 0) {
        memcpy(head.chip_id, report->chip_id.ptr, sizeof head.chip_id);
        memcpy(head.tcb, report->reported_tcb.ptr, sizeof head.tcb);
    }
    return head;
}

static enum atls_code find_or_build(const struct search *s, struct atls_snp_vek **out,
                                    struct atls_err *err)
{
    const struct key_head head = head_of(s);
    const struct atls_cached_thing key = key_of(s, &head);
    struct atls_chain_cache *cache = s->request->cache;
    const int64_t now_s = s->request->time_s;
    struct atls_snp_vek *vek;
    enum atls_code code;
    int64_t until_s;

    if (cache == NULL)
        return build(s, out, err);
    if ((vek = atls_chain_cache_get(cache, &key, now_s)) != NULL) {
        *out = vek;
        return ATLS_OK;
    }
    if ((code = build(s, &vek, err)) != ATLS_OK)
        return code;
    until_s = vek->not_after_s - now_s < CACHED_S ? vek->not_after_s : now_s + CACHED_S;
    atls_chain_cache_put(cache, &key, now_s, until_s, vek, ref_vek, unref_vek);
    *out = vek;
    return ATLS_OK;
}

static enum atls_code open_offer(const struct atls_snp_check *check, struct atls_snp_offer *out,
                                 struct atls_err *err)
{
    struct atls_snp_offer offer = {.check = check, .vek = check->vek};
    enum atls_code code;

    if (check->certificates.len != 0 &&
        (code = atls_snp_certificates_decode(check->certificates, &offer.table, err)) != ATLS_OK)
        return code;
    if (offer.vek.len == 0)
        offer.vek = atls_collateral_in(check->endorsements, ATLS_COLLATERAL_SNP_VEK);
    offer.ca = atls_collateral_in(check->endorsements, ATLS_COLLATERAL_SNP_CA);
    offer.crl = atls_collateral_in(check->endorsements, ATLS_COLLATERAL_SNP_CRL);
    *out = offer;
    return ATLS_OK;
}

enum atls_code atls_snp_vek_find(const struct atls_snp_check *check,
                                 const struct atls_snp_report *report, enum atls_snp_line line,
                                 struct atls_snp_vek **out, struct atls_err *err)
{
    const struct atls_endorsement_source *source = check->request->source;
    struct search s = {.request = check->request, .report = report, .line = line};
    enum atls_code code;

    if ((code = open_offer(check, &s.offer, err)) != ATLS_OK)
        return code;
    if (source != NULL && source->tee_anchors != NULL &&
        (code = source->tee_anchors(source->arg, &s.anchors, err)) != ATLS_OK)
        return code;
    code = find_or_build(&s, out, err);
    atls_certificate_set_unref(s.anchors);
    return code;
}
