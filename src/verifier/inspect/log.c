#include <string.h>

#include "core/err.h"
#include "verifier/inspect/view.h"
#include "wire/tdx.h"
#include "wire/tpm.h"
#include "wire/tpm_ima_log.h"

enum atls_code atls_view_ccel_table(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_ccel_table t;
    enum atls_code code = atls_ccel_table_decode(in, &t, v->err);

    if (code != ATLS_OK)
        return code;
    atls_json_open_object(v->j, key);
    atls_json_put_uint(v->j, "type", t.type);
    atls_json_put_string(v->j, "technology", t.type == 2 ? "TDX" : "unknown");
    atls_json_put_uint(v->j, "subtype", t.subtype);
    atls_json_put_uint(v->j, "log-length", t.area_len);
    atls_json_put_uint(v->j, "log-address", t.area_address);
    atls_json_close(v->j);
    return ATLS_OK;
}

/* Read once whole before anything is written. */
static enum atls_code check_ima(struct atls_bytes in, struct atls_err *err)
{
    struct atls_ima_log log = atls_ima_log_init(in);
    struct atls_ima_entry e;
    enum atls_code code = ATLS_OK;

    while (code == ATLS_OK && !atls_ima_log_done(&log))
        code = atls_ima_log_next(&log, &e, err);
    atls_ima_log_clear(&log);
    return code;
}

static void put_entry(struct atls_json *j, const struct atls_ima_entry *e)
{
    atls_json_open_object(j, NULL);
    atls_json_put_uint(j, "pcr", e->pcr);
    atls_json_put_hex(j, "template-hash", atls_bytes_of(e->template_hash, sizeof e->template_hash));
    atls_json_put_text(j, "template", e->template_name);
    if (e->violation)
        atls_json_put_bool(j, "violation", true);
    if (e->algorithm.len != 0) {
        atls_json_put_text(j, "algorithm", e->algorithm);
        atls_json_put_hex(j, "digest", e->digest);
        atls_json_put_text(j, "path", e->path);
    } else {
        atls_json_put_hex(j, "data", e->template_data);
    }
    if (e->signature.len != 0)
        atls_json_put_hex(j, "signature", e->signature);
    if (e->buffer.len != 0)
        atls_json_put_hex(j, "buffer", e->buffer);
    atls_json_close(j);
}

enum atls_code atls_view_ima_log(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_ima_log log;
    struct atls_ima_entry e;
    enum atls_code code = check_ima(in, v->err);

    if (code != ATLS_OK)
        return code;
    log = atls_ima_log_init(in);
    atls_json_open_object(v->j, key);
    atls_json_put_bool(v->j, "ascii", log.ascii);
    atls_json_open_array(v->j, "entries");
    while (!atls_ima_log_done(&log) && atls_ima_log_next(&log, &e, v->err) == ATLS_OK)
        put_entry(v->j, &e);
    atls_json_close(v->j);
    atls_json_close(v->j);
    atls_ima_log_clear(&log);
    return ATLS_OK;
}

/* A line "7 c032...": index and digest. */
struct pcr_line {
    unsigned int index;
    struct atls_bytes digits;
};

static size_t span(struct atls_bytes text, size_t at, const char *set)
{
    size_t n = 0;

    while (at + n < text.len && text.ptr[at + n] != '\0' && strchr(set, text.ptr[at + n]) != NULL)
        n++;
    return n;
}

static bool get_pcr_line(struct atls_bytes text, size_t *at, struct pcr_line *out)
{
    size_t digits = span(text, *at, "0123456789"), spaces, hex, end;

    if (digits == 0 || digits > 2)
        return false;
    out->index = 0;
    for (size_t i = 0; i < digits; i++)
        out->index = out->index * 10 + (unsigned int)(text.ptr[*at + i] - '0');
    spaces = span(text, *at + digits, ": \t");
    hex = span(text, *at + digits + spaces, "0123456789abcdefABCDEF");
    end = *at + digits + spaces + hex;
    if (out->index >= ATLS_TPM_PCRS_MAX || spaces == 0 ||
        (hex != 40 && hex != 64 && hex != 96 && hex != 128))
        return false;
    out->digits = atls_bytes_of(text.ptr + end - hex, hex);
    if (end < text.len && text.ptr[end] != '\n')
        return false;
    *at = end + (end < text.len);
    return true;
}

enum atls_code atls_view_pcrs(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct pcr_line line;
    size_t at = 0, number = 0;

    while (at < in.len) {
        number++;
        if (!get_pcr_line(in, &at, &line))
            break;
    }
    if (at < in.len || in.len == 0)
        return atls_fail_reason(v->err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "PCR values: line %zu is not an index and a digest", number);
    atls_json_open_array(v->j, key);
    for (at = 0; at < in.len && get_pcr_line(in, &at, &line);) {
        atls_json_open_object(v->j, NULL);
        atls_json_put_uint(v->j, "pcr", line.index);
        atls_json_put_text(v->j, "digest", line.digits);
        atls_json_close(v->j);
    }
    atls_json_close(v->j);
    return ATLS_OK;
}
