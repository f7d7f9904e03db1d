#include "wire/tdx.h"

#include "core/err.h"
#include "core/reader.h"
#include "wire/tpm_event_log.h"

#define CCEL_TABLE_MIN 56
#define ACPI_HEAD_LEN  36

/* ---- body ---- */

static bool get_measurements(struct atls_reader *r, struct atls_tdx_body *b)
{
    struct atls_bytes *const fields[] = {
        &b->mr_td,   &b->mr_config_id, &b->mr_owner, &b->mr_owner_config,
        &b->rtmr[0], &b->rtmr[1],      &b->rtmr[2],  &b->rtmr[3],
    };

    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (!atls_get_bytes(r, ATLS_TDX_MR_LEN, fields[i]))
            return false;
    return atls_get_bytes(r, ATLS_TDX_REPORT_DATA_LEN, &b->report_data);
}

static bool get_body(struct atls_reader *r, bool is_15, struct atls_tdx_body *b)
{
    b->is_15 = is_15;
    return atls_get_bytes(r, ATLS_TDX_SVN_LEN, &b->tcb_svn) &&
           atls_get_bytes(r, ATLS_TDX_MR_LEN, &b->mr_seam) &&
           atls_get_bytes(r, ATLS_TDX_MR_LEN, &b->mr_signer_seam) &&
           atls_get_u64le(r, &b->seam_attributes) && atls_get_u64le(r, &b->td_attributes) &&
           atls_get_u64le(r, &b->xfam) && get_measurements(r, b) &&
           (!is_15 || (atls_get_bytes(r, ATLS_TDX_SVN_LEN, &b->tcb_svn2) &&
                       atls_get_bytes(r, ATLS_TDX_MR_LEN, &b->mr_service_td)));
}

enum atls_code atls_tdx_quote_decode(struct atls_bytes in, struct atls_tdx_quote *out,
                                     struct atls_err *err)
{
    struct atls_tdx_quote q = {.dcap = {.version = 0}};
    struct atls_reader r;
    enum atls_code code = atls_dcap_quote_decode(in, ATLS_DCAP_TDX, &q.dcap, err);

    if (code != ATLS_OK)
        return code;
    r = atls_reader_init(q.dcap.body);
    if (!get_body(&r, q.dcap.body.len == ATLS_TDX_BODY_15_LEN, &q.body) || !atls_reader_done(&r))
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "TDX quote: body of %zu bytes", q.dcap.body.len);
    *out = q;
    return ATLS_OK;
}

/* ---- event log ---- */

/* Nothing but one kind of padding is left. */
static bool is_padding(struct atls_bytes rest)
{
    if (rest.len == 0 || (rest.ptr[0] != 0 && rest.ptr[0] != 0xff))
        return rest.len == 0;
    for (size_t i = 1; i < rest.len; i++)
        if (rest.ptr[i] != rest.ptr[0])
            return false;
    return true;
}

enum atls_code atls_ccel_trim(struct atls_bytes area, struct atls_bytes *out, struct atls_err *err)
{
    struct atls_event_log log;
    struct atls_event event;
    enum atls_code code = atls_event_log_open(area, &log, err);

    if (code == ATLS_OK && !log.crypto_agile) /* which no firmware of a TD writes */
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "event log: it is not crypto agile");
    while (code == ATLS_OK &&
           !is_padding(atls_bytes_of(area.ptr + log.r.pos, atls_reader_left(&log.r))))
        code = atls_event_log_next(&log, &event, err);
    if (code == ATLS_OK)
        *out = atls_bytes_of(area.ptr, log.r.pos);
    return code;
}

enum atls_code atls_ccel_table_decode(struct atls_bytes in, struct atls_ccel_table *out,
                                      struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_ccel_table table;
    struct atls_bytes signature, rest;
    uint32_t len;
    uint16_t reserved;

    if (!atls_get_bytes(&r, 4, &signature) || !atls_bytes_equal_text(signature, "CCEL") ||
        !atls_get_u32le(&r, &len) || len != in.len || len < CCEL_TABLE_MIN ||
        !atls_get_bytes(&r, ACPI_HEAD_LEN - 8, &rest) || !atls_get_u8(&r, &table.type) ||
        !atls_get_u8(&r, &table.subtype) || !atls_get_u16le(&r, &reserved) ||
        !atls_get_u64le(&r, &table.area_len) || !atls_get_u64le(&r, &table.area_address))
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "ACPI table CCEL: malformed near byte %zu of %zu", r.pos, in.len);
    *out = table;
    return ATLS_OK;
}
