#include "attester/bundle.h"

#include <string.h>

#include <atls/limits.h>

#include "bind/binder.h"
#include "core/err.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "wire/kat.h"

#define CONTENT_FORMAT_KAT 267 /* ATLS_TYPE_KAT */

_Static_assert(ATLS_QUOTE_CHALLENGE_LEN == ATLS_HASH_MAX, "the challenge is SHA-512 of the KAT");

void atls_quote_clear(struct atls_quote *quote)
{
    atls_buf_clear(&quote->token);
    for (size_t i = 0; i < quote->endorsement_count; i++)
        atls_buf_clear(&quote->endorsements[i].value);
    *quote = (struct atls_quote){0};
}

enum atls_code atls_bundle_kat(struct atls_bytes spki, struct atls_bytes binder,
                               struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(ATLS_CMW_DATA_MAX);
    struct atls_cose_key key;
    enum atls_code code;

    if ((code = atls_cose_key_from_spki(spki, &key, err)) != ATLS_OK ||
        (code = atls_kat_encode(binder, &key, &w, err)) != ATLS_OK) {
        atls_writer_clear(&w);
        return code;
    }
    return atls_writer_finish(&w, out, err);
}

/* The largest part is what the operator can do something about. */
static enum atls_code too_large(const struct atls_quoter *quoter, const struct atls_quote *quote,
                                bool endorsed, size_t len, struct atls_err *err)
{
    const char *name = quote->bulk != NULL ? quote->bulk : "platform token";
    size_t largest = quote->bulk != NULL ? quote->bulk_len : quote->token.len;

    for (size_t i = 0; endorsed && i < quote->endorsement_count; i++) {
        if (quote->endorsements[i].value.len > largest) {
            name = quote->endorsements[i].label;
            largest = quote->endorsements[i].value.len;
        }
    }
    return atls_fail(err, ATLS_E_LIMIT,
                     "%s: evidence is %zu bytes, at most %d fit in an authenticator; the %s is too "
                     "large: %zu bytes",
                     quoter->scheme, len, ATLS_CMW_DATA_MAX, name, largest);
}

static enum atls_code put_bundle(const struct atls_cmw *kat, const struct atls_cmw *pat,
                                 const struct atls_quote *quote, struct atls_writer *w,
                                 struct atls_err *err)
{
    struct atls_cmw_entry entries[ATLS_QUOTE_ENDORSEMENTS_MAX];
    const struct atls_cmw endorsements = {
        .kind = ATLS_CMW_COLLECTION, .entries = entries, .count = quote->endorsement_count};

    for (size_t i = 0; i < quote->endorsement_count; i++) {
        const struct atls_quote_endorsement *e = &quote->endorsements[i];

        entries[i].label = (struct atls_cmw_label){
            .is_text = true, .text = atls_bytes_of(e->label, strlen(e->label))};
        entries[i].value =
            atls_cmw_record(e->media_type, atls_buf_bytes(&e->value), ATLS_CMW_ENDORSEMENTS);
    }
    return atls_bundle_encode(kat, pat, endorsements.count == 0 ? NULL : &endorsements, w, err);
}

enum atls_code atls_bundle_assemble(const struct atls_quoter *quoter, const struct atls_cmw *kat,
                                    const struct atls_quote *quote, struct atls_buf *out_cmw,
                                    struct atls_err *err)
{
    const struct atls_cmw pat =
        atls_cmw_record(quote->type, atls_buf_bytes(&quote->token), ATLS_CMW_EVIDENCE);
    struct atls_writer w = atls_writer_init(SIZE_MAX);
    enum atls_code code =
        kat != NULL ? put_bundle(kat, &pat, quote, &w, err) : atls_cmw_encode(&pat, &w, err);

    if (code == ATLS_OK && w.failed == ATLS_OK && w.len > ATLS_CMW_DATA_MAX)
        code = too_large(quoter, quote, kat != NULL, w.len, err);
    if (code == ATLS_OK)
        return atls_writer_finish(&w, out_cmw, err);
    atls_writer_clear(&w);
    return code;
}

/* A platform token over SHA-512 of the KAT. */
static enum atls_code kat_evidence(const struct atls_quoter *quoter, struct atls_bytes binder,
                                   struct atls_buf *out_cmw, struct atls_err *err)
{
    struct atls_buf kat = ATLS_BUF_INIT;
    struct atls_quote quote = {0};
    uint8_t challenge[ATLS_HASH_MAX];
    enum atls_code code;

    if ((code = atls_bundle_kat(quoter->spki, binder, &kat, err)) == ATLS_OK &&
        (code = atls_hash_one(ATLS_HASH_SHA512, atls_buf_bytes(&kat), challenge, err)) == ATLS_OK &&
        (code = quoter->quote(quoter->self, challenge, &quote, err)) == ATLS_OK) {
        const struct atls_cmw record =
            atls_cmw_record_cf(CONTENT_FORMAT_KAT, atls_buf_bytes(&kat), ATLS_CMW_EVIDENCE);

        code = atls_bundle_assemble(quoter, &record, &quote, out_cmw, err);
    }
    atls_buf_clear(&kat);
    atls_quote_clear(&quote);
    return code;
}

static enum atls_code bare_evidence(const struct atls_quoter *quoter, struct atls_bytes binder,
                                    struct atls_buf *out_cmw, struct atls_err *err)
{
    const enum atls_hash hash = binder.len == 48 ? ATLS_HASH_SHA384 : ATLS_HASH_SHA256;
    struct atls_quote quote = {0};
    uint8_t challenge[ATLS_QUOTE_CHALLENGE_LEN];
    enum atls_code code;

    if ((code = atls_binder_bare_challenge(hash, binder, quoter->spki, challenge, err)) ==
            ATLS_OK &&
        (code = quoter->quote(quoter->self, challenge, &quote, err)) == ATLS_OK)
        code = atls_bundle_assemble(quoter, NULL, &quote, out_cmw, err);
    atls_quote_clear(&quote);
    return code;
}

enum atls_code atls_bundle_evidence(const struct atls_quoter *quoter,
                                    const struct atls_challenge *challenge,
                                    struct atls_buf *out_cmw, struct atls_err *err)
{
    if (challenge->profiles & ATLS_PROFILE_KAT)
        return kat_evidence(quoter, challenge->binder, out_cmw, err);
    if (challenge->profiles & ATLS_PROFILE_BARE)
        return bare_evidence(quoter, challenge->binder, out_cmw, err);
    return atls_fail(err, ATLS_E_USAGE, "%s: no evidence of the profiles asked for (0x%x)",
                     quoter->scheme, challenge->profiles);
}
