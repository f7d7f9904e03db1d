/* Steps 6 and 7: leaf <- intermediate <- ARK, and the revocation list of the ARK. */
#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "evidence/snp_vek.h"

#define CANDIDATES_MAX 8 /* authorities that one text may offer */

void atls_snp_line_subject(enum atls_snp_line line, char out[static 8])
{
    const char *name = atls_snp_line_name(line);

    (void)snprintf(out, 8, "%s", name);
    if (out[0] != '\0')
        out[0] = (char)(out[0] | 0x20); /* the one capital letter */
}

enum atls_code atls_snp_collateral(const struct atls_evidence_request *request,
                                   const struct atls_collateral_query *query, struct atls_buf *out,
                                   struct atls_snp_absence *absence, struct atls_err *err)
{
    const struct atls_endorsement_source *source = request->source;
    struct atls_err local = ATLS_ERR_INIT, *e = err != NULL ? err : &local;
    enum atls_code code;

    if (source == NULL || source->collateral == NULL)
        return ATLS_OK;
    atls_err_clear(e); /* not every source says why */
    code = source->collateral(source->arg, query, request->time_s, out, e);
    if (code == ATLS_E_UNAVAILABLE || code == ATLS_E_IO)
        absence->failure = code;
    else if (code == ATLS_E_NOT_FOUND)
        absence->crl_expired = e->reason == ATLS_REASON_CRL_EXPIRED;
    else
        return code;
    atls_err_clear(err);
    return ATLS_OK;
}

/* ---- the path ---- */

/* How far the best candidate came: what it failed at is what a refusal says. */
enum progress { NO_CANDIDATE, LEAF_NOT_SIGNED, NO_ROOT, ROOT_NOT_SIGNED, OUT_OF_TIME, COMPLETE };

struct path {
    const struct atls_snp_offer *offer;
    const struct atls_certificate_set *anchors;
    const struct atls_snp_vek *vek;
    int64_t time_s;
    char intermediate_name[24], root_name[16];
    enum progress best;
    struct atls_err err;             /* of best */
    struct atls_snp_absence absence; /* of documents of the source */
    /* When COMPLETE: */
    const struct atls_certificate *intermediate; /* of anchors, or kept */
    const struct atls_certificate *root;         /* of anchors */
    struct atls_certificate *kept;
};

static void fail_at(struct path *p, enum progress progress, const struct atls_err *why)
{
    if (progress > p->best) {
        p->best = progress;
        p->err = *why;
    }
}

static enum atls_code pass_on(const struct atls_err *why, struct atls_err *err)
{
    if (err != NULL)
        *err = *why;
    return why->code;
}

/* Only a refusal makes the next candidate worth a try. */
static bool is_refusal(enum atls_code code)
{
    return code == ATLS_E_CERTIFICATE;
}

/* A root that is not on file signed it: says so rather than that the one on file did not. */
static bool has_foreign_root(const struct path *p, const struct atls_certificate *intermediate)
{
    struct atls_certificate *list[CANDIDATES_MAX];
    bool foreign = false;
    size_t count = 0;

    if (p->offer->table.ark.ptr == NULL ||
        atls_certificates_parse(p->offer->table.ark, list, CANDIDATES_MAX, &count, NULL) != ATLS_OK)
        return false;
    for (size_t i = 0; i < count; i++) {
        foreign = foreign ||
                  ((p->anchors == NULL ||
                    atls_certificate_set_find(p->anchors, atls_certificate_der(list[i])) == NULL) &&
                   atls_certificate_issued_by(intermediate, list[i], ATLS_SIGNED_RSA_PSS_SHA384,
                                              NULL) == ATLS_OK);
        atls_certificate_unref(list[i]);
    }
    return foreign;
}

static void no_root(struct path *p)
{
    struct atls_err why = ATLS_ERR_INIT;

    (void)atls_fail_alert(&why, ATLS_E_CERTIFICATE, ATLS_REASON_UNTRUSTED_ROOT,
                          ATLS_ALERT_UNKNOWN_CA, "SNP chain: no \"%s\" on file is its root",
                          p->root_name);
    fail_at(p, NO_ROOT, &why);
}

static bool is_root(const struct path *p, const struct atls_certificate *c)
{
    return atls_certificate_is_self_issued(c) && atls_certificate_is_ca(c) &&
           atls_bytes_equal_text(atls_certificate_subject_cn(c), p->root_name);
}

static void check_times(struct path *p, const struct atls_certificate *intermediate,
                        const struct atls_certificate *root)
{
    struct atls_err why = ATLS_ERR_INIT;

    if (atls_certificate_check_time(p->vek->leaf, p->time_s, &why) != ATLS_OK ||
        atls_certificate_check_time(intermediate, p->time_s, &why) != ATLS_OK ||
        atls_certificate_check_time(root, p->time_s, &why) != ATLS_OK) {
        fail_at(p, OUT_OF_TIME, &why);
        return;
    }
    p->best = COMPLETE;
    p->intermediate = intermediate;
    p->root = root;
}

static enum atls_code find_root(struct path *p, const struct atls_certificate *intermediate,
                                struct atls_err *err)
{
    const size_t count = p->anchors == NULL ? 0 : atls_certificate_set_count(p->anchors);
    struct atls_err why = ATLS_ERR_INIT;
    enum atls_code code = ATLS_OK;
    bool signed_by_none = false;

    for (size_t i = 0; i < count; i++) {
        const struct atls_certificate *root = atls_certificate_set_at(p->anchors, i);

        if (!is_root(p, root))
            continue;
        code = atls_certificate_issued_by(intermediate, root, ATLS_SIGNED_RSA_PSS_SHA384, &why);
        if (code == ATLS_OK) {
            check_times(p, intermediate, root);
            return ATLS_OK;
        }
        if (!is_refusal(code))
            return pass_on(&why, err);
        signed_by_none = true;
    }
    /* It only names the reason: asked once, however many authorities came. */
    if (!signed_by_none || p->best >= NO_ROOT || has_foreign_root(p, intermediate))
        no_root(p);
    else
        fail_at(p, ROOT_NOT_SIGNED, &why);
    return ATLS_OK;
}

/* Takes the path through this one when it holds. */
static enum atls_code try_intermediate(struct path *p, const struct atls_certificate *c,
                                       struct atls_err *err)
{
    struct atls_err why = ATLS_ERR_INIT;
    enum atls_code code;

    if (p->best == COMPLETE || !atls_certificate_is_ca(c) ||
        !atls_bytes_equal_text(atls_certificate_subject_cn(c), p->intermediate_name))
        return ATLS_OK;
    code = atls_certificate_issued_by(p->vek->leaf, c, ATLS_SIGNED_RSA_PSS_SHA384, &why);
    if (code == ATLS_OK)
        return find_root(p, c, err);
    if (!is_refusal(code))
        return pass_on(&why, err);
    if (why.reason != ATLS_REASON_CHAIN_ISSUER)
        fail_at(p, LEAF_NOT_SIGNED, &why);
    return ATLS_OK;
}

/* Authorities of a text that nobody vouches for: one that does not even parse is passed over. */
static enum atls_code try_text(struct path *p, struct atls_bytes text, struct atls_err *err)
{
    struct atls_certificate *list[CANDIDATES_MAX];
    struct atls_err why = ATLS_ERR_INIT;
    enum atls_code code;
    size_t count = 0;

    if (p->best == COMPLETE || text.len == 0)
        return ATLS_OK;
    code = atls_certificates_parse(text, list, CANDIDATES_MAX, &count, &why);
    if (code != ATLS_OK) /* that memory ran short says nothing of the text */
        return code == ATLS_E_NOMEM || code == ATLS_E_CRYPTO ? pass_on(&why, err) : ATLS_OK;
    for (size_t i = 0; i < count; i++) {
        if (code == ATLS_OK)
            code = try_intermediate(p, list[i], err);
        if (p->intermediate == list[i])
            p->kept = list[i];
        else
            atls_certificate_unref(list[i]);
    }
    return code;
}

static enum atls_code try_source(struct path *p, struct atls_err *err)
{
    struct atls_buf text = ATLS_BUF_INIT;
    enum atls_code code;
    char subject[8];
    const struct atls_collateral_query query = {ATLS_COLLATERAL_SNP_CA, subject};

    if (p->best == COMPLETE)
        return ATLS_OK;
    atls_snp_line_subject(p->vek->line, subject);
    if ((code = atls_snp_collateral(p->offer->check->request, &query, &text, &p->absence, err)) ==
        ATLS_OK)
        code = try_text(p, atls_buf_bytes(&text), err);
    atls_buf_clear(&text);
    return code;
}

static enum atls_code try_anchors(struct path *p, struct atls_err *err)
{
    const size_t count = p->anchors == NULL ? 0 : atls_certificate_set_count(p->anchors);
    enum atls_code code = ATLS_OK;

    for (size_t i = 0; i < count && code == ATLS_OK; i++)
        code = try_intermediate(p, atls_certificate_set_at(p->anchors, i), err);
    return code;
}

static enum atls_code find_path(struct path *p, struct atls_err *err)
{
    enum atls_code code;

    if ((code = try_anchors(p, err)) != ATLS_OK ||
        (code = try_text(p, p->offer->table.ask, err)) != ATLS_OK ||
        (code = try_text(p, p->offer->ca, err)) != ATLS_OK ||
        (code = try_text(p, p->offer->vek, err)) != ATLS_OK ||
        (code = try_source(p, err)) != ATLS_OK)
        return code;
    if (p->best == COMPLETE)
        return ATLS_OK;
    if (p->best == NO_CANDIDATE && p->absence.failure != ATLS_OK)
        return atls_fail_reason(err, p->absence.failure, ATLS_REASON_COLLATERAL_UNAVAILABLE,
                                "SNP chain: certificates of \"%s\" cannot be had now, and none "
                                "came with the evidence",
                                p->intermediate_name);
    if (p->best == NO_CANDIDATE)
        return atls_fail_alert(
            err, ATLS_E_CERTIFICATE, ATLS_REASON_CHAIN_ISSUER, ATLS_ALERT_UNKNOWN_CA,
            "SNP chain: no certificate of \"%s\" at hand that issued the %s", p->intermediate_name,
            p->vek->signer == ATLS_SNP_VLEK ? "VLEK" : "VCEK");
    return pass_on(&p->err, err);
}

/* ---- revocation ---- */

static enum atls_code check_list(const struct path *p, struct atls_bytes crl, int64_t *out_until_s,
                                 struct atls_err *err)
{
    const struct atls_certificate *chain[] = {p->intermediate, p->root};
    const struct atls_revocation_check check = {
        .crl = crl,
        .issuer = p->root,
        .algorithm = ATLS_SIGNED_RSA_PSS_SHA384,
        .time_s = p->time_s,
    };

    return atls_revocation_verify(&check, chain, 2, out_until_s, err);
}

/* True when another list may serve in its place. */
static bool is_unfit(enum atls_code code, const struct atls_err *why)
{
    return code == ATLS_E_DECODE ||
           (code == ATLS_E_CERTIFICATE && why->reason != ATLS_REASON_CERTIFICATE_REVOKED);
}

static enum atls_code no_list(const struct path *p, struct atls_err *err)
{
    if (p->absence.crl_expired)
        return atls_fail_reason(err, ATLS_E_CERTIFICATE, ATLS_REASON_CRL_EXPIRED,
                                "SNP chain: the revocation list of \"%s\" on file is past its time",
                                p->root_name);
    if (atls_snp_rules_of(p->offer->check->request)->crl_optional)
        return ATLS_OK;
    return atls_fail_reason(err,
                            p->absence.failure != ATLS_OK ? p->absence.failure : ATLS_E_EVIDENCE,
                            ATLS_REASON_CRL_UNAVAILABLE,
                            "SNP chain: no revocation list of \"%s\" at hand", p->root_name);
}

/* The verifier's own list where it is good; else the one that came with the evidence. *out_until_s
 * stays as it was when there is none, and none is needed. */
static enum atls_code check_lists(const struct path *p, struct atls_bytes own, int64_t *out_until_s,
                                  struct atls_err *err)
{
    const struct atls_bytes offered = p->offer->crl;
    struct atls_err why = ATLS_ERR_INIT;
    enum atls_code code;

    if (own.len == 0 && offered.len == 0)
        return no_list(p, err);
    if (own.len != 0) {
        code = check_list(p, own, out_until_s, &why);
        if (code == ATLS_OK)
            return code;
        if (offered.len == 0 || !is_unfit(code, &why))
            return pass_on(&why, err);
    }
    return check_list(p, offered, out_until_s, err);
}

static enum atls_code check_revocation(struct path *p, struct atls_snp_vek *vek,
                                       struct atls_err *err)
{
    struct atls_buf own = ATLS_BUF_INIT;
    int64_t until_s = INT64_MAX;
    enum atls_code code;
    char subject[8];
    const struct atls_collateral_query query = {ATLS_COLLATERAL_SNP_CRL, subject};

    atls_snp_line_subject(vek->line, subject);
    p->absence = (struct atls_snp_absence){.failure = ATLS_OK};
    if ((code = atls_snp_collateral(p->offer->check->request, &query, &own, &p->absence, err)) ==
        ATLS_OK)
        code = check_lists(p, atls_buf_bytes(&own), &until_s, err);
    atls_buf_clear(&own);
    if (code != ATLS_OK || until_s == INT64_MAX)
        return code;
    vek->revocation_checked = true;
    if (until_s - 1 < vek->not_after_s)
        vek->not_after_s = until_s - 1;
    return ATLS_OK;
}

/* ---- both ---- */

enum atls_code atls_snp_default_class(enum atls_snp_signer signer, struct atls_attest_key *out,
                                      struct atls_err *err)
{
    /* 111(h'1.3.6.1.4.1.3704.3.n') */
    const uint8_t item[] = {0xd8, 0x6f, 0x49, 0x2b, 0x06, 0x01,
                            0x04, 0x01, 0x9c, 0x78, 0x03, signer == ATLS_SNP_VLEK ? 2 : 1};

    return atls_buf_copy(&out->class_id, atls_bytes_of(item, sizeof item), err);
}

static enum atls_code find_class(const struct path *p, struct atls_snp_vek *vek,
                                 struct atls_err *err)
{
    const struct atls_endorsement_source *source = p->offer->check->request->source;
    enum atls_code code = ATLS_E_NOT_FOUND;

    if (source->anchor_class != NULL)
        code = source->anchor_class(source->arg, atls_certificate_der(p->root), &vek->class, err);
    if (code == ATLS_E_NOT_FOUND)
        atls_err_clear(err);
    else if (code != ATLS_OK)
        return code;
    return vek->class.class_id.len != 0 ? ATLS_OK
                                        : atls_snp_default_class(vek->signer, &vek->class, err);
}

static int64_t earliest_end(const struct path *p)
{
    const int64_t ends[] = {atls_certificate_not_after_s(p->vek->leaf),
                            atls_certificate_not_after_s(p->intermediate),
                            atls_certificate_not_after_s(p->root)};
    int64_t earliest = INT64_MAX;

    for (size_t i = 0; i < 3; i++)
        if (ends[i] < earliest)
            earliest = ends[i];
    return earliest;
}

enum atls_code atls_snp_chain_verify(const struct atls_snp_offer *offer,
                                     const struct atls_certificate_set *anchors,
                                     struct atls_snp_vek *vek, struct atls_err *err)
{
    const char *name = atls_snp_line_name(vek->line);
    struct path p = {
        .offer = offer,
        .anchors = anchors,
        .vek = vek,
        .time_s = offer->check->request->time_s,
        .err = ATLS_ERR_INIT,
    };
    enum atls_code code;

    (void)snprintf(p.intermediate_name, sizeof p.intermediate_name, "SEV-%s%s",
                   vek->signer == ATLS_SNP_VLEK ? "VLEK-" : "", name);
    (void)snprintf(p.root_name, sizeof p.root_name, "ARK-%s", name);
    if ((code = find_path(&p, err)) != ATLS_OK)
        return code;
    vek->not_after_s = earliest_end(&p);
    if ((code = check_revocation(&p, vek, err)) == ATLS_OK)
        code = find_class(&p, vek, err);
    atls_certificate_unref(p.kept);
    return code;
}
