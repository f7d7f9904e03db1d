#include "evidence/tdx_documents.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/reader.h"

#define SIGNER_NAME  "Intel SGX TCB Signing"
#define DOCUMENT_MAX ((size_t)1024 * 1024) /* of what is read from one */

/* ---- where documents come from ---- */

void atls_dcap_offer_clear(struct atls_dcap_offer *offer)
{
    atls_buf_clear(&offer->own);
}

enum atls_code atls_dcap_offer_get(const struct atls_dcap_sources *sources,
                                   enum atls_collateral_kind kind, const char *subject,
                                   struct atls_dcap_offer *out, struct atls_err *err)
{
    const struct atls_endorsement_source *source = sources->source;
    const struct atls_collateral_query query = {kind, subject};
    struct atls_err local = ATLS_ERR_INIT, *e = err != NULL ? err : &local;
    struct atls_dcap_offer offer = {.failure = ATLS_OK};
    enum atls_code code;

    offer.bundled = atls_collateral_in(sources->endorsements, kind);
    if (source != NULL && source->collateral != NULL) {
        atls_err_clear(e); /* not every source says why */
        code = source->collateral(source->arg, &query, sources->time_s, &offer.own, e);
        if (code == ATLS_E_UNAVAILABLE || code == ATLS_E_IO)
            offer.failure = code;
        else if (code == ATLS_E_NOT_FOUND)
            offer.stale = e->reason;
        else if (code != ATLS_OK)
            return code;
        if (code != ATLS_OK)
            atls_err_clear(err);
    }
    *out = offer;
    return ATLS_OK;
}

struct atls_bytes atls_dcap_offer_first(const struct atls_dcap_offer *offer)
{
    return offer->own.len != 0 ? atls_buf_bytes(&offer->own) : offer->bundled;
}

/* Nobody has a document of this kind. */
static enum atls_code unavailable(const struct atls_dcap_offer *offer, enum atls_reason reason,
                                  enum atls_collateral_kind kind, struct atls_err *err)
{
    const struct atls_collateral_row *row = atls_collateral_row_of(kind);
    const char *name = row != NULL ? row->name : ""; /* every kind has one */

    if (offer->failure != ATLS_OK)
        return atls_fail_reason(err, offer->failure, reason,
                                "collateral: %s cannot be had now, and none came with the evidence",
                                name);
    if (offer->stale != ATLS_REASON_NONE)
        return atls_fail_reason(
            err,
            offer->stale == ATLS_REASON_COLLATERAL_EXPIRED ||
                    offer->stale == ATLS_REASON_COLLATERAL_NOT_YET_VALID
                ? ATLS_E_EVIDENCE
                : ATLS_E_CERTIFICATE,
            offer->stale,
            "collateral: %s on file is not of this time, and none came with the "
            "evidence",
            name);
    return atls_fail_reason(err, ATLS_E_EVIDENCE, reason,
                            "collateral: %s is neither on file nor with the evidence", name);
}

/* ---- documents ---- */

struct atls_dcap_document {
    atomic_uint references;
    struct atls_buf text;
    struct atls_arena arena;
    struct atls_certificate *signer;
    struct atls_tdx_window window;
    int64_t not_before_s, not_after_s; /* of all that it rests on */
    union {
        struct atls_tdx_tcb_info tcb_info;
        struct atls_tdx_qe_identity qe_identity;
        struct atls_tdx_evaluation evaluation;
    } content;
};

/* One kind of document. */
struct kind {
    enum atls_collateral_kind kind;
    const char *member; /* of the frame */
    const char *tag;    /* in the cache */
    enum atls_reason mismatch;
    enum atls_dcap_tee tee;
    /* *out_fits: id and version are those of tee. */
    enum atls_code (*read)(const struct kind *kind, const struct atls_json_value *content,
                           struct atls_dcap_document *out, bool *out_fits, struct atls_err *err);
};

static enum atls_code read_tcb_info(const struct kind *kind, const struct atls_json_value *content,
                                    struct atls_dcap_document *out, bool *out_fits,
                                    struct atls_err *err)
{
    struct atls_tdx_tcb_info *info = &out->content.tcb_info;
    enum atls_code code = kind->tee == ATLS_DCAP_SGX
                              ? atls_sgx_tcb_info_read(content, &out->arena, out_fits, info, err)
                              : atls_tdx_tcb_info_read(content, &out->arena, out_fits, info, err);

    if (code == ATLS_OK && *out_fits)
        out->window = info->window;
    return code;
}

static enum atls_code read_qe_identity(const struct kind *kind,
                                       const struct atls_json_value *content,
                                       struct atls_dcap_document *out, bool *out_fits,
                                       struct atls_err *err)
{
    struct atls_tdx_qe_identity *identity = &out->content.qe_identity;
    enum atls_code code =
        kind->tee == ATLS_DCAP_SGX
            ? atls_sgx_qe_identity_read(content, &out->arena, out_fits, identity, err)
            : atls_tdx_qe_identity_read(content, &out->arena, out_fits, identity, err);

    if (code == ATLS_OK && *out_fits)
        out->window = identity->window;
    return code;
}

static enum atls_code read_evaluation(const struct kind *kind,
                                      const struct atls_json_value *content,
                                      struct atls_dcap_document *out, bool *out_fits,
                                      struct atls_err *err)
{
    struct atls_tdx_evaluation *evaluation = &out->content.evaluation;
    enum atls_code code = kind->tee == ATLS_DCAP_SGX
                              ? atls_sgx_evaluation_read(content, out_fits, evaluation, err)
                              : atls_tdx_evaluation_read(content, out_fits, evaluation, err);

    if (code == ATLS_OK && *out_fits)
        out->window = evaluation->window;
    return code;
}

/* What is published of each technology, and what its documents are called. */
static const struct published {
    struct kind tcb_info, qe_identity, evaluation;
    const char *enclave, *numbers; /* subjects */
} published[] = {
    [ATLS_DCAP_TDX] = {{ATLS_COLLATERAL_TDX_TCB_INFO, ATLS_TDX_TCB_INFO, "tdx-tcb-info",
                        ATLS_REASON_TCB_INFO_MISMATCH, ATLS_DCAP_TDX, read_tcb_info},
                       {ATLS_COLLATERAL_TDX_QE_IDENTITY, ATLS_TDX_QE_IDENTITY, "tdx-qe-identity",
                        ATLS_REASON_QE_IDENTITY_MISMATCH, ATLS_DCAP_TDX, read_qe_identity},
                       {ATLS_COLLATERAL_TDX_EVALUATION, ATLS_TDX_EVALUATION, "tdx-evaluation",
                        ATLS_REASON_TCB_EVAL_NUMBER, ATLS_DCAP_TDX, read_evaluation},
                       "td",
                       "tdx"},
    [ATLS_DCAP_SGX] = {{ATLS_COLLATERAL_SGX_TCB_INFO, ATLS_TDX_TCB_INFO, "sgx-tcb-info",
                        ATLS_REASON_TCB_INFO_MISMATCH, ATLS_DCAP_SGX, read_tcb_info},
                       {ATLS_COLLATERAL_SGX_QE_IDENTITY, ATLS_TDX_QE_IDENTITY, "sgx-qe-identity",
                        ATLS_REASON_QE_IDENTITY_MISMATCH, ATLS_DCAP_SGX, read_qe_identity},
                       {ATLS_COLLATERAL_SGX_EVALUATION, ATLS_TDX_EVALUATION, "sgx-evaluation",
                        ATLS_REASON_TCB_EVAL_NUMBER, ATLS_DCAP_SGX, read_evaluation},
                       "qe",
                       "sgx"},
};

static void *document_ref(void *thing)
{
    struct atls_dcap_document *d = thing;

    atomic_fetch_add_explicit(&d->references, 1, memory_order_relaxed);
    return d;
}

static void document_unref(void *thing)
{
    struct atls_dcap_document *d = thing;

    if (d == NULL || atomic_fetch_sub_explicit(&d->references, 1, memory_order_acq_rel) != 1)
        return;
    atls_certificate_unref(d->signer);
    atls_arena_clear(&d->arena);
    atls_buf_clear(&d->text);
    free(d);
}

static void narrow(struct atls_dcap_document *d, int64_t not_before_s, int64_t not_after_s)
{
    if (not_before_s > d->not_before_s)
        d->not_before_s = not_before_s;
    if (not_after_s < d->not_after_s)
        d->not_after_s = not_after_s;
}

/* The signing certificate and the root, which must be that of the PCK chain. */
static enum atls_code check_signing_chain(struct atls_certificate *const chain[2],
                                          const struct atls_certificate *root, int64_t time_s,
                                          struct atls_err *err)
{
    enum atls_code code;

    if (!atls_bytes_equal(atls_certificate_der(chain[1]), atls_certificate_der(root)))
        return atls_fail_reason(err, ATLS_E_CERTIFICATE, ATLS_REASON_UNTRUSTED_ROOT,
                                "TCB signing chain: its root is not that of the PCK chain");
    if ((code = atls_pck_check_name(chain[0], SIGNER_NAME, err)) != ATLS_OK ||
        (code = atls_certificate_issued_by(chain[0], root, ATLS_SIGNED_ECDSA_P256_SHA256, err)) !=
            ATLS_OK)
        return code;
    return atls_pck_check_use(chain[0], false, time_s, err);
}

static enum atls_code find_signer(struct atls_bytes chain_text, const struct atls_certificate *root,
                                  int64_t time_s, struct atls_dcap_document *d,
                                  struct atls_err *err)
{
    struct atls_certificate *chain[2] = {NULL, NULL};
    size_t count;
    enum atls_code code = atls_certificates_parse(chain_text, chain, 2, &count, err);

    if (code != ATLS_OK)
        return code;
    if (count != 2)
        code = atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "TCB signing chain: %zu certificate, want two", count);
    else
        code = check_signing_chain(chain, root, time_s, err);
    if (code == ATLS_OK) {
        d->signer = atls_certificate_ref(chain[0]);
        narrow(d, atls_certificate_not_before_s(chain[0]), atls_certificate_not_after_s(chain[0]));
    }
    atls_certificate_unref(chain[0]);
    atls_certificate_unref(chain[1]);
    return code;
}

static enum atls_code check_signature(const struct kind *kind, const struct atls_dcap_document *d,
                                      const struct atls_tdx_signed *s, struct atls_err *err)
{
    const struct atls_key *key = atls_certificate_key(d->signer);
    enum atls_code code = ATLS_E_VERIFY;

    if (key != NULL)
        code = atls_key_verify_raw(key, ATLS_ECDSA_P256_SHA256, s->content.raw,
                                   atls_bytes_of(s->signature, sizeof s->signature), err);
    if (code == ATLS_E_VERIFY || code == ATLS_E_DECODE || code == ATLS_E_UNSUPPORTED)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_COLLATERAL_SIGNATURE,
                                "%s: its signature does not verify", kind->member);
    return code;
}

static enum atls_code check_window(const struct kind *kind, const struct atls_dcap_document *d,
                                   int64_t time_s, struct atls_err *err)
{
    if (time_s < d->window.issue_s)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_COLLATERAL_NOT_YET_VALID,
                                "%s: issued in the future", kind->member);
    if (time_s > d->window.next_update_s)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_COLLATERAL_EXPIRED,
                                "%s: past its nextUpdate", kind->member);
    return ATLS_OK;
}

static enum atls_code read_document(const struct kind *kind, int64_t time_s,
                                    struct atls_dcap_document *d, struct atls_err *err)
{
    struct atls_tdx_signed s;
    bool fits;
    enum atls_code code;

    if ((code = atls_tdx_signed_open(atls_buf_bytes(&d->text), kind->member, &s, err)) != ATLS_OK ||
        (code = check_signature(kind, d, &s, err)) != ATLS_OK ||
        (code = kind->read(kind, &s.content, d, &fits, err)) != ATLS_OK)
        return code;
    if (!fits)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, kind->mismatch,
                                "%s: id and version are not those of %s", kind->member,
                                atls_dcap_tee_name(kind->tee));
    if ((code = check_window(kind, d, time_s, err)) == ATLS_OK)
        narrow(d, d->window.issue_s, d->window.next_update_s);
    return code;
}

/* What one document is made from. */
struct origin {
    const struct kind *kind;
    struct atls_bytes text, chain;
    const struct atls_certificate *root;
};

static struct atls_cached_thing key_of(const struct origin *o)
{
    struct atls_cached_thing key = {
        .tag = o->kind->tag,
        .parts = {o->text, o->chain, atls_certificate_der(o->root)},
        .part_count = 3,
    };

    return key;
}

static enum atls_code make_document(const struct atls_dcap_sources *sources, const struct origin *o,
                                    struct atls_dcap_document **out, struct atls_err *err)
{
    const struct atls_cached_thing key = key_of(o);
    struct atls_dcap_document *d = calloc(1, sizeof *d);
    enum atls_code code;

    if (d == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "%s: out of memory", o->kind->member);
    atomic_init(&d->references, 1);
    d->arena = atls_arena_init(DOCUMENT_MAX);
    d->not_before_s = INT64_MIN;
    d->not_after_s = INT64_MAX;
    if ((code = atls_buf_copy(&d->text, o->text, err)) != ATLS_OK ||
        (code = find_signer(o->chain, o->root, sources->time_s, d, err)) != ATLS_OK ||
        (code = read_document(o->kind, sources->time_s, d, err)) != ATLS_OK) {
        document_unref(d);
        return code;
    }
    atls_chain_cache_put(sources->cache, &key, d->not_before_s, d->not_after_s, d, document_ref,
                         document_unref);
    *out = d;
    return ATLS_OK;
}

static enum atls_code cached_document(const struct atls_dcap_sources *sources,
                                      const struct origin *o, struct atls_dcap_document **out,
                                      struct atls_err *err)
{
    const struct atls_cached_thing key = key_of(o);
    struct atls_dcap_document *d = atls_chain_cache_get(sources->cache, &key, sources->time_s);

    if (d == NULL)
        return make_document(sources, o, out, err);
    *out = d;
    return ATLS_OK;
}

/* The Verifier's own where it holds, else the bundle's; each with the chain that is beside it, or
 * with the other's. What was found last says why none does. */
static enum atls_code choose_document(const struct atls_dcap_sources *sources,
                                      const struct atls_dcap_offer *text,
                                      const struct atls_dcap_offer *chain, struct origin *o,
                                      struct atls_dcap_document **out, struct atls_err *err)
{
    struct atls_bytes texts[2] = {atls_buf_bytes(&text->own), text->bundled};
    struct atls_bytes chains[2] = {atls_buf_bytes(&chain->own), chain->bundled};
    enum atls_code code = ATLS_E_NOT_FOUND;

    for (size_t i = 0; i < 2 && code != ATLS_OK && code != ATLS_E_NOMEM; i++) {
        if (texts[i].len == 0)
            continue;
        o->text = texts[i];
        o->chain = chains[i].len != 0 ? chains[i] : chains[1 - i];
        code = o->chain.len == 0 ? unavailable(chain, ATLS_REASON_COLLATERAL_UNAVAILABLE,
                                               ATLS_COLLATERAL_TDX_TCB_CHAIN, err)
                                 : cached_document(sources, o, out, err);
    }
    if (code == ATLS_E_NOT_FOUND)
        return unavailable(text, ATLS_REASON_COLLATERAL_UNAVAILABLE, o->kind->kind, err);
    return code;
}

static enum atls_code get_document(const struct atls_dcap_sources *sources, const char *subject,
                                   const struct atls_dcap_offer *chain, struct origin *o,
                                   struct atls_dcap_document **out, struct atls_err *err)
{
    struct atls_dcap_offer offer;
    enum atls_code code = atls_dcap_offer_get(sources, o->kind->kind, subject, &offer, err);

    if (code != ATLS_OK)
        return code;
    /* A list of numbers is of use to those who have one; nobody needs it. */
    if (o->kind->read != read_evaluation || atls_dcap_offer_first(&offer).len != 0)
        code = choose_document(sources, &offer, chain, o, out, err);
    atls_dcap_offer_clear(&offer);
    return code;
}

static void fmspc_text(const struct atls_pck *pck, char out[2 * ATLS_FMSPC_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *fmspc = atls_pck_facts_of(pck)->fmspc;

    for (size_t i = 0; i < ATLS_FMSPC_LEN; i++) {
        out[2 * i] = digits[fmspc[i] >> 4];
        out[2 * i + 1] = digits[fmspc[i] & 0xf];
    }
    out[2 * ATLS_FMSPC_LEN] = 0;
}

enum atls_code atls_dcap_documents_get(const struct atls_dcap_sources *sources,
                                       const struct atls_pck *pck, struct atls_dcap_documents *out,
                                       struct atls_err *err)
{
    const struct atls_certificate *root = atls_pck_chain_of(pck)->root;
    const struct published *p = &published[sources->tee];
    struct origin info = {.kind = &p->tcb_info, .root = root};
    struct origin identity = {.kind = &p->qe_identity, .root = root};
    struct origin evaluation = {.kind = &p->evaluation, .root = root};
    struct atls_dcap_documents d = {NULL, NULL, NULL};
    struct atls_dcap_offer chain;
    char fmspc[2 * ATLS_FMSPC_LEN + 1];
    enum atls_code code;

    fmspc_text(pck, fmspc);
    code = atls_dcap_offer_get(sources, ATLS_COLLATERAL_TDX_TCB_CHAIN, "tcb", &chain, err);
    if (code != ATLS_OK)
        return code;
    if ((code = get_document(sources, fmspc, &chain, &info, &d.tcb_info, err)) == ATLS_OK &&
        (code = get_document(sources, p->enclave, &chain, &identity, &d.qe_identity, err)) ==
            ATLS_OK)
        code = get_document(sources, p->numbers, &chain, &evaluation, &d.evaluation, err);
    atls_dcap_offer_clear(&chain);
    if (code != ATLS_OK) {
        atls_dcap_documents_clear(&d);
        return code;
    }
    *out = d;
    return ATLS_OK;
}

void atls_dcap_documents_clear(struct atls_dcap_documents *documents)
{
    document_unref(documents->tcb_info);
    document_unref(documents->qe_identity);
    document_unref(documents->evaluation);
    documents->tcb_info = documents->qe_identity = documents->evaluation = NULL;
}

const struct atls_tdx_tcb_info *atls_tdx_tcb_info_of(const struct atls_dcap_documents *documents)
{
    return &documents->tcb_info->content.tcb_info;
}

const struct atls_tdx_qe_identity *
atls_tdx_qe_identity_of(const struct atls_dcap_documents *documents)
{
    return &documents->qe_identity->content.qe_identity;
}

const struct atls_tdx_evaluation *
atls_tdx_evaluation_of(const struct atls_dcap_documents *documents)
{
    return documents->evaluation != NULL ? &documents->evaluation->content.evaluation : NULL;
}

/* ---- revocation ---- */

#define REVOCABLE_MAX 4

/* One list and whom it is asked about. */
struct question {
    enum atls_collateral_kind kind;
    const char *subject;
    const struct atls_certificate *issuer;
    const struct atls_certificate *certificates[REVOCABLE_MAX];
    size_t count;
};

static void ask_about(struct question *q, const struct atls_certificate *c)
{
    for (size_t i = 0; i < q->count; i++)
        if (atls_bytes_equal(atls_certificate_der(q->certificates[i]), atls_certificate_der(c)))
            return;
    q->certificates[q->count++] = c;
}

/* That a list was asked is all there is to remember. */
static void *answer_ref(void *thing)
{
    return thing;
}

static void answer_unref(void *thing)
{
    (void)thing;
}

static enum atls_code ask_list(const struct atls_dcap_sources *sources, const struct question *q,
                               struct atls_bytes crl, struct atls_err *err)
{
    static char answer;
    const struct atls_revocation_check check = {
        .crl = crl,
        .issuer = q->issuer,
        .algorithm = ATLS_SIGNED_ECDSA_P256_SHA256,
        .time_s = sources->time_s,
    };
    struct atls_cached_thing key = {.tag = "tdx-crl"};
    int64_t next_update_s;
    enum atls_code code;

    key.parts[key.part_count++] = crl;
    key.parts[key.part_count++] = atls_certificate_der(q->issuer);
    for (size_t i = 0; i < q->count; i++)
        key.parts[key.part_count++] = atls_certificate_der(q->certificates[i]);
    if (atls_chain_cache_get(sources->cache, &key, sources->time_s) != NULL)
        return ATLS_OK;
    code = atls_revocation_verify(&check, q->certificates, q->count, &next_update_s, err);
    if (code == ATLS_OK) /* which ends before nextUpdate */
        atls_chain_cache_put(sources->cache, &key, sources->time_s, next_update_s - 1, &answer,
                             answer_ref, answer_unref);
    return code;
}

/* Whoever is on the Verifier's own list stays refused: another list is asked only where that one
 * does not hold. */
static bool is_final(enum atls_code code, enum atls_reason reason)
{
    return code == ATLS_OK || code == ATLS_E_NOMEM || reason == ATLS_REASON_CERTIFICATE_REVOKED;
}

static enum atls_code ask(const struct atls_dcap_sources *sources, const struct question *q,
                          bool optional, struct atls_err *err)
{
    struct atls_err local = ATLS_ERR_INIT, *e = err != NULL ? err : &local;
    struct atls_dcap_offer offer;
    enum atls_code code = atls_dcap_offer_get(sources, q->kind, q->subject, &offer, e);

    if (code != ATLS_OK)
        return code;
    if (atls_dcap_offer_first(&offer).len == 0) {
        code = optional ? ATLS_OK : unavailable(&offer, ATLS_REASON_CRL_UNAVAILABLE, q->kind, e);
    } else {
        code = ask_list(sources, q, atls_dcap_offer_first(&offer), e);
        if (!is_final(code, e->reason) && offer.own.len != 0 && offer.bundled.len != 0)
            code = ask_list(sources, q, offer.bundled, e);
    }
    atls_dcap_offer_clear(&offer);
    return code;
}

enum atls_code atls_dcap_check_revocation(const struct atls_dcap_sources *sources,
                                          const struct atls_pck *pck,
                                          const struct atls_dcap_documents *documents,
                                          bool optional, struct atls_err *err)
{
    const struct atls_pck_chain *chain = atls_pck_chain_of(pck);
    struct question root = {
        .kind = ATLS_COLLATERAL_TDX_ROOT_CRL, .subject = "root", .issuer = chain->root};
    struct question leaf = {.kind = ATLS_COLLATERAL_TDX_PCK_CRL,
                            .subject = atls_pck_authority(pck),
                            .issuer = chain->intermediate};
    enum atls_code code;

    ask_about(&root, chain->intermediate);
    ask_about(&root, documents->tcb_info->signer);
    ask_about(&root, documents->qe_identity->signer);
    if (documents->evaluation != NULL)
        ask_about(&root, documents->evaluation->signer);
    ask_about(&leaf, chain->leaf);
    if ((code = ask(sources, &root, optional, err)) != ATLS_OK)
        return code;
    return ask(sources, &leaf, optional, err);
}
