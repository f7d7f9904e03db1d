/* Evidence of others in certificates: as the content of an extension, and as a record of ours. */
#include "core/err.h"
#include "verifier/inspect/view.h"
#include "wire/dcap.h"
#include "wire/ra_tls_forms.h"

bool atls_put_tagged_evidence(struct atls_view *v, struct atls_bytes in)
{
    struct atls_dice_evidence e;

    if (atls_dice_evidence_decode(in, &e, NULL) != ATLS_OK)
        return false;
    atls_view_or_hex(v, "quote", e.quote, atls_view_quote);
    atls_view_or_hex(v, "claims", e.claims, atls_view_cbor);
    return true;
}

bool atls_put_oe_report(struct atls_view *v, struct atls_bytes in)
{
    struct atls_bytes quote;

    if (atls_oe_report_decode(in, &quote, NULL) != ATLS_OK)
        return false;
    atls_view_or_hex(v, "quote", quote, atls_view_quote);
    return true;
}

/* A quote, and custom claims behind it. */
bool atls_put_oe_evidence(struct atls_view *v, struct atls_bytes in)
{
    struct atls_dcap_quote q;
    struct atls_bytes data;

    if (atls_oe_evidence_decode(in, &data, NULL) != ATLS_OK ||
        atls_dcap_quote_decode(data, ATLS_DCAP_SGX, &q, NULL) != ATLS_OK)
        return false;
    atls_view_or_hex(v, "quote", atls_bytes_of(data.ptr, data.len - q.trailing.len),
                     atls_view_quote);
    atls_json_put_text(v->j, "custom-claims", q.trailing);
    return true;
}

/* Nothing is written where it does not decode: the caller shows the bytes then. */
static enum atls_code view(struct atls_view *v, const char *key, bool decodes,
                           bool (*put)(struct atls_view *, struct atls_bytes), struct atls_bytes in)
{
    if (!decodes)
        return atls_fail_reason(v->err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "evidence of a certificate: malformed");
    atls_json_open_object(v->j, key);
    decodes = put(v, in);
    atls_json_close(v->j);
    return decodes ? ATLS_OK : ATLS_E_INTERNAL;
}

enum atls_code atls_view_tagged_evidence(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_dice_evidence e;

    return view(v, key, atls_dice_evidence_decode(in, &e, NULL) == ATLS_OK,
                atls_put_tagged_evidence, in);
}

enum atls_code atls_view_oe_report(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_bytes quote;

    return view(v, key, atls_oe_report_decode(in, &quote, NULL) == ATLS_OK, atls_put_oe_report, in);
}

enum atls_code atls_view_oe_evidence(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_dcap_quote q;
    struct atls_bytes data;

    return view(v, key,
                atls_oe_evidence_decode(in, &data, NULL) == ATLS_OK &&
                    atls_dcap_quote_decode(data, ATLS_DCAP_SGX, &q, NULL) == ATLS_OK,
                atls_put_oe_evidence, in);
}
