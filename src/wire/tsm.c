#include "wire/tsm.h"

#include <string.h>

#include "core/err.h"
#include "wire/cbor.h"

static enum atls_code malformed(struct atls_err *err, const char *rule)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "TSM report: %s", rule);
}

/* One service map: two members, each once (atls_cbor_check has refused a name twice). */
static bool get_service(struct atls_reader *r, struct atls_tsm_report *out)
{
    struct atls_cbor_iter map;
    struct atls_bytes name;
    bool ok = atls_cbor_enter_map(r, &map);

    while (ok && atls_cbor_more(r, &map)) {
        if (!atls_cbor_get_text(r, &name))
            return false;
        if (atls_bytes_equal_text(name, "manifestblob"))
            ok = atls_cbor_get_bytes(r, &out->manifest);
        else if (atls_bytes_equal_text(name, "service_provider"))
            ok = atls_cbor_get_text(r, &out->service_provider);
        else
            ok = false;
    }
    return ok && out->manifest.ptr != NULL && out->service_provider.ptr != NULL;
}

static bool get_member(struct atls_reader *r, struct atls_bytes name, struct atls_tsm_report *out)
{
    if (atls_bytes_equal_text(name, "outblob"))
        return atls_cbor_get_bytes(r, &out->outblob) && out->outblob.len > 0;
    if (atls_bytes_equal_text(name, "auxblob"))
        return atls_cbor_get_bytes(r, &out->auxblob);
    if (atls_bytes_equal_text(name, "provider"))
        return atls_cbor_get_text(r, &out->provider);
    if (atls_bytes_equal_text(name, "service"))
        return get_service(r, out);
    return false;
}

enum atls_code atls_tsm_report_decode(struct atls_bytes in, struct atls_tsm_report *out,
                                      struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_tsm_report report;
    struct atls_cbor_iter map;
    struct atls_bytes name;
    enum atls_code code;

    memset(&report, 0, sizeof report);
    if ((code = atls_cbor_check(in, 0, err)) != ATLS_OK)
        return code;
    if (!atls_cbor_enter_map(&r, &map))
        return malformed(err, "not a map");
    while (atls_cbor_more(&r, &map))
        if (!atls_cbor_get_text(&r, &name) || !get_member(&r, name, &report))
            return malformed(err, "a member that is unknown or of another type");
    if (report.provider.len > 0 && report.provider.ptr[report.provider.len - 1] == '\n')
        report.provider.len--;
    if (report.outblob.ptr == NULL || report.provider.len == 0)
        return malformed(err, "outblob or provider is missing");
    *out = report;
    return ATLS_OK;
}

void atls_tsm_report_put(struct atls_writer *w, const struct atls_tsm_report *report)
{
    const bool aux = report->auxblob.ptr != NULL, service = report->manifest.ptr != NULL;

    atls_cbor_put_map(w, 2u + aux + service);
    if (aux) {
        atls_cbor_put_text(w, "auxblob");
        atls_cbor_put_bytes(w, report->auxblob);
    }
    atls_cbor_put_text(w, "outblob");
    atls_cbor_put_bytes(w, report->outblob);
    if (service) {
        atls_cbor_put_text(w, "service");
        atls_cbor_put_map(w, 2);
        atls_cbor_put_text(w, "manifestblob");
        atls_cbor_put_bytes(w, report->manifest);
        atls_cbor_put_text(w, "service_provider");
        atls_cbor_put_text_bytes(w, report->service_provider);
    }
    atls_cbor_put_text(w, "provider");
    atls_cbor_put_text_bytes(w, report->provider);
}

bool atls_tsm_report_is(struct atls_bytes in, const char *provider)
{
    struct atls_tsm_report report;

    return atls_tsm_report_decode(in, &report, NULL) == ATLS_OK &&
           atls_bytes_equal_text(report.provider, provider);
}
