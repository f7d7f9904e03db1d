#include "wire/kat.h"

#include <string.h>

#include <atls/limits.h>

#include "core/err.h"
#include "wire/cbor.h"

#define TAG_UCCS 601 /* RFC 9781 */
/* RFC 9711, RFC 8747. */
enum { CLAIM_CNF = 8, CLAIM_NONCE = 10 };
enum { CNF_COSE_KEY = 1 };

#define LABEL_KAT          "kat"
#define LABEL_PAT          "pat"
#define LABEL_ENDORSEMENTS "endorsements"

static enum atls_code malformed(struct atls_err *err, const char *what, const char *rule)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "%s: %s", what, rule);
}

/* The hash sizes of the TLS 1.3 cipher suites. */
static bool is_binder(struct atls_bytes nonce)
{
    return nonce.len == 32 || nonce.len == 48;
}

/* RFC 8747 section 3.1: exactly one method, and that a plain COSE_Key. */
static enum atls_code read_cnf(struct atls_reader *r, struct atls_kat *kat, struct atls_err *err)
{
    struct atls_cbor_iter map;
    int64_t method;

    if (!atls_cbor_enter_map(r, &map) || map.left != 1)
        return malformed(err, "KAT cnf", "not a map of one confirmation method");
    if (!atls_cbor_get_int(r, &method) || method != CNF_COSE_KEY)
        return malformed(err, "KAT cnf", "confirmation method is not COSE_Key (1)");
    if (!atls_cbor_get_item(r, &kat->cose_key_encoded))
        return malformed(err, "KAT cnf", "truncated");
    return atls_cose_key_decode(kat->cose_key_encoded, &kat->key, err);
}

static enum atls_code read_claim(struct atls_reader *r, struct atls_kat *kat, struct atls_err *err)
{
    int64_t claim;

    if (!atls_cbor_get_int(r, &claim) || (claim != CLAIM_CNF && claim != CLAIM_NONCE))
        return malformed(err, "KAT", "claim is neither cnf (8) nor eat_nonce (10)");
    if (claim == CLAIM_CNF)
        return read_cnf(r, kat, err);
    if (!atls_cbor_get_bytes(r, &kat->nonce) || !is_binder(kat->nonce))
        return malformed(err, "KAT eat_nonce", "not a byte string of 32 or 48");
    return ATLS_OK;
}

enum atls_code atls_kat_decode(struct atls_bytes in, struct atls_kat *out, struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_kat kat;
    struct atls_cbor_iter map;
    enum atls_code code;
    uint64_t tag;

    if ((code = atls_cbor_check(in, 0, err)) != ATLS_OK)
        return code;
    if (!atls_cbor_get_tag(&r, &tag) || tag != TAG_UCCS)
        return malformed(err, "KAT", "no tag 601");
    /* Two claims, of two kinds, none twice: both are there. */
    if (!atls_cbor_enter_map(&r, &map) || map.left != 2)
        return malformed(err, "KAT", "not a map of two claims");
    if ((code = read_claim(&r, &kat, err)) != ATLS_OK ||
        (code = read_claim(&r, &kat, err)) != ATLS_OK)
        return code;
    *out = kat;
    return ATLS_OK;
}

/* True when the decoder would take the key back. */
static bool is_encodable(const struct atls_cose_key *key)
{
    struct atls_writer w = atls_writer_init(4096);
    struct atls_cose_key again;
    bool fine;

    atls_cose_put_key(&w, key);
    fine = atls_cose_key_decode(atls_writer_bytes(&w), &again, NULL) == ATLS_OK;
    atls_writer_clear(&w);
    return fine;
}

enum atls_code atls_kat_encode(struct atls_bytes nonce, const struct atls_cose_key *key,
                               struct atls_writer *w, struct atls_err *err)
{
    if (!is_binder(nonce))
        return atls_fail(err, ATLS_E_USAGE, "KAT: nonce of %zu bytes, want 32 or 48", nonce.len);
    if (!is_encodable(key))
        return atls_fail(err, ATLS_E_USAGE, "KAT: key has no encoding as COSE_Key");
    atls_cbor_put_tag(w, TAG_UCCS);
    atls_cbor_put_map(w, 2);
    atls_cbor_put_int(w, CLAIM_CNF);
    atls_cbor_put_map(w, 1);
    atls_cbor_put_int(w, CNF_COSE_KEY);
    atls_cose_put_key(w, key);
    atls_cbor_put_int(w, CLAIM_NONCE);
    atls_cbor_put_bytes(w, nonce);
    if (w->failed != ATLS_OK)
        return atls_fail(err, w->failed, "KAT: no room");
    return ATLS_OK;
}

/* RFC 9999: an indicator narrows what a record may be used for; none leaves that to the type. */
static bool serves_as(const struct atls_cmw *record, enum atls_cmw_ind use)
{
    return record->ind == 0 || (record->ind & (uint32_t)use) != 0;
}

/* Every record below serves as endorsement. Recursion ends at ATLS_CMW_DEPTH_MAX. */
static bool all_endorse(const struct atls_cmw *cmw, unsigned int depth)
{
    if (cmw->kind != ATLS_CMW_COLLECTION)
        return serves_as(cmw, ATLS_CMW_ENDORSEMENTS);
    if (depth == ATLS_CMW_DEPTH_MAX)
        return false;
    for (size_t i = 0; i < cmw->count; i++)
        if (!all_endorse(&cmw->entries[i].value, depth + 1))
            return false;
    return true;
}

/* The rule on indicators that a bundle of these parts breaks, or NULL. */
static const char *broken_indicator(const struct atls_cmw *kat, const struct atls_cmw *pat,
                                    const struct atls_cmw *endorsements)
{
    if (!serves_as(kat, ATLS_CMW_EVIDENCE))
        return "ind of kat does not say evidence";
    if (!serves_as(pat, ATLS_CMW_EVIDENCE))
        return "ind of pat does not say evidence";
    /* The bundle is one level above. */
    if (endorsements != NULL && !all_endorse(endorsements, 1))
        return "ind of a record below endorsements does not say endorsements";
    return NULL;
}

enum atls_code atls_bundle_open(const struct atls_cmw *cmw, struct atls_bundle *out,
                                struct atls_err *err)
{
    const struct atls_cmw *kat, *pat, *endorsements;
    const char *rule;

    if (cmw->kind != ATLS_CMW_COLLECTION)
        return malformed(err, "key attestation bundle", "not a CMW collection");
    if (!atls_bytes_equal_text(cmw->collection_type, ATLS_BUNDLE_TYPE))
        return malformed(err, "key attestation bundle", "__cmwc_t is not " ATLS_BUNDLE_TYPE);
    kat = atls_cmw_find(cmw, LABEL_KAT);
    pat = atls_cmw_find(cmw, LABEL_PAT);
    endorsements = atls_cmw_find(cmw, LABEL_ENDORSEMENTS);
    if (kat == NULL || kat->kind != ATLS_CMW_RECORD)
        return malformed(err, "key attestation bundle", "kat is missing or not a record");
    if (pat == NULL || pat->kind != ATLS_CMW_RECORD)
        return malformed(err, "key attestation bundle", "pat is missing or not a record");
    if (endorsements != NULL && endorsements->kind != ATLS_CMW_COLLECTION)
        return malformed(err, "key attestation bundle", "endorsements are not a collection");
    if (cmw->count != (endorsements == NULL ? 2u : 3u))
        return malformed(err, "key attestation bundle",
                         "a label that is none of kat, pat, endorsements");
    if ((rule = broken_indicator(kat, pat, endorsements)) != NULL)
        return malformed(err, "key attestation bundle", rule);
    out->kat = *kat;
    out->pat = *pat;
    out->endorsements = endorsements;
    return ATLS_OK;
}

static struct atls_cmw_entry entry_of(const char *label, const struct atls_cmw *value)
{
    struct atls_cmw_entry entry = {.value = *value};

    entry.label.is_text = true;
    entry.label.text = atls_bytes_of(label, strlen(label));
    return entry;
}

enum atls_code atls_bundle_encode(const struct atls_cmw *kat, const struct atls_cmw *pat,
                                  const struct atls_cmw *endorsements, struct atls_writer *w,
                                  struct atls_err *err)
{
    struct atls_cmw_entry entries[3];
    struct atls_cmw bundle = {.kind = ATLS_CMW_COLLECTION, .entries = entries, .count = 2};
    const char *rule;

    if (kat->kind != ATLS_CMW_RECORD || pat->kind != ATLS_CMW_RECORD ||
        (endorsements != NULL && endorsements->kind != ATLS_CMW_COLLECTION))
        return atls_fail(err, ATLS_E_USAGE,
                         "key attestation bundle: kat and pat are records, "
                         "endorsements a collection");
    if ((rule = broken_indicator(kat, pat, endorsements)) != NULL)
        return atls_fail(err, ATLS_E_USAGE, "key attestation bundle: %s", rule);
    bundle.collection_type = atls_bytes_of(ATLS_BUNDLE_TYPE, strlen(ATLS_BUNDLE_TYPE));
    entries[0] = entry_of(LABEL_KAT, kat);
    entries[1] = entry_of(LABEL_PAT, pat);
    if (endorsements != NULL)
        entries[bundle.count++] = entry_of(LABEL_ENDORSEMENTS, endorsements);
    return atls_cmw_encode(&bundle, w, err);
}
