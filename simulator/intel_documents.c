/* TCB info, QE identity and evaluation data numbers, as JSON of one line. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/err.h"
#include "simulator/intel_parts.h"

#define TEXT_MAX (256 * 1024)

static void put(struct atls_writer *w, const char *format, ...) ATLS_PRINTF(2, 3);

static void put(struct atls_writer *w, const char *format, ...)
{
    char text[256];
    va_list list;

    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    atls_put_text(w, text);
}

static void put_hex(struct atls_writer *w, const char *name, const uint8_t *bytes, size_t len)
{
    put(w, ",\"%s\":\"", name);
    for (size_t i = 0; i < len; i++)
        put(w, "%02x", bytes[i]);
    put(w, "\"");
}

/* In the order of memory. */
static void put_mask(struct atls_writer *w, const char *name, uint64_t mask)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(mask >> 8 * i);
    put_hex(w, name, bytes, sizeof bytes);
}

static void put_time(struct atls_writer *w, const char *name, int64_t time_s)
{
    const time_t t = (time_t)time_s;
    char text[32] = "";
    struct tm tm;

    if (gmtime_r(&t, &tm) != NULL)
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    put(w, ",\"%s\":\"%s\"", name, text);
}

static void put_head(struct atls_writer *w, const struct atls_sim_tdx_document *d)
{
    put(w, "{\"id\":\"%s\",\"version\":%u", d->id, d->version);
    put_time(w, "issueDate", d->issue_s);
    put_time(w, "nextUpdate", d->next_update_s);
}

static void put_status(struct atls_writer *w, const struct atls_sim_tdx_status *s)
{
    const char *at = s->advisories;

    put(w, ",\"tcbDate\":\"%sT00:00:00Z\",\"tcbStatus\":\"%s\"", s->date, s->status);
    if (at == NULL)
        return;
    put(w, ",\"advisoryIDs\":[");
    while (*at != 0) {
        const size_t len = strcspn(at, ",");

        put(w, "%s\"%.*s\"", at == s->advisories ? "" : ",", (int)len, at);
        at += len + (at[len] == ',');
    }
    put(w, "]");
}

static void put_svn_levels(struct atls_writer *w, const struct atls_sim_tdx_svn_level *levels,
                           size_t count)
{
    put(w, ",\"tcbLevels\":[");
    for (size_t i = 0; i < count; i++) {
        put(w, "%s{\"tcb\":{\"isvsvn\":%u}", i == 0 ? "" : ",", (unsigned)levels[i].isv_svn);
        put_status(w, &levels[i].status);
        put(w, "}");
    }
    put(w, "]");
}

static void put_components(struct atls_writer *w, const char *name, const uint8_t svn[16])
{
    put(w, "\"%s\":[", name);
    for (size_t i = 0; i < 16; i++)
        put(w, "%s{\"svn\":%u}", i == 0 ? "" : ",", svn[i]);
    put(w, "]");
}

static void put_levels(struct atls_writer *w, const struct atls_sim_tdx *order)
{
    put(w, ",\"tcbLevels\":[");
    for (size_t i = 0; i < order->level_count; i++) {
        const struct atls_sim_tdx_level *level = &order->levels[i];

        put(w, "%s{\"tcb\":{", i == 0 ? "" : ",");
        put_components(w, "sgxtcbcomponents", level->sgx);
        put(w, ",\"pcesvn\":%u", level->pce_svn);
        if (!order->sgx) {
            put(w, ",");
            put_components(w, "tdxtcbcomponents", level->tdx);
        }
        put(w, "}");
        put_status(w, &level->status);
        put(w, "}");
    }
    put(w, "]");
}

/* Comes right behind what else the object has, or its brace. */
static void put_module(struct atls_writer *w, const struct atls_sim_tdx_module *m)
{
    put_hex(w, "mrsigner", m->mr_signer, sizeof m->mr_signer);
    put_mask(w, "attributes", m->attributes);
    put_mask(w, "attributesMask", m->mask);
}

static void put_modules(struct atls_writer *w, const struct atls_sim_tdx *order)
{
    put(w, ",\"tdxModule\":{\"x\":0");
    put_module(w, &order->module);
    put(w, "}");
    for (size_t i = 0; i < order->module_count; i++) {
        put(w, "%s{\"id\":\"%s\"", i == 0 ? ",\"tdxModuleIdentities\":[" : ",",
            order->modules[i].id);
        put_module(w, &order->modules[i]);
        put_svn_levels(w, order->modules[i].levels, order->modules[i].level_count);
        put(w, i + 1 == order->module_count ? "}]" : "}");
    }
}

static void put_tcb_info(struct atls_writer *w, const struct atls_sim_tdx *order)
{
    char fmspc[16];

    put_head(w, &order->tcb_info);
    for (size_t i = 0; i < 6; i++)
        snprintf(fmspc + 2 * i, 3, order->upper_case_fmspc ? "%02X" : "%02x", order->info_fmspc[i]);
    put(w, ",\"fmspc\":\"%s\"", fmspc);
    put_hex(w, "pceId", order->info_pce_id, sizeof order->info_pce_id);
    put(w, ",\"tcbType\":0,\"tcbEvaluationDataNumber\":%u",
        (unsigned)order->tcb_info.evaluation_number);
    if (!order->sgx)
        put_modules(w, order);
    put_levels(w, order);
    put(w, "}");
}

static void put_qe_identity(struct atls_writer *w, const struct atls_sim_tdx *order)
{
    put_head(w, &order->qe_identity);
    put(w, ",\"tcbEvaluationDataNumber\":%u", (unsigned)order->qe_identity.evaluation_number);
    put_hex(w, "miscselect", order->misc_select, sizeof order->misc_select);
    put_hex(w, "miscselectMask", order->misc_mask, sizeof order->misc_mask);
    put_hex(w, "attributes", order->attributes, sizeof order->attributes);
    put_hex(w, "attributesMask", order->attributes_mask, sizeof order->attributes_mask);
    put_hex(w, "mrsigner", order->mr_signer, sizeof order->mr_signer);
    put(w, ",\"isvprodid\":%u", order->prod_id);
    put_svn_levels(w, order->qe_levels, order->qe_level_count);
    put(w, "}");
}

static void put_evaluation(struct atls_writer *w, const struct atls_sim_tdx *order)
{
    put_head(w, &order->evaluation);
    put(w, ",\"tcbEvalNumbers\":[");
    for (uint32_t n = order->evaluation_greatest; n >= order->evaluation_least && n > 0; n--)
        put(w,
            "%s{\"tcbEvaluationDataNumber\":%u,\"tcbRecoveryEventDate\":\"2025-05-13T00:00:00Z\","
            "\"tcbDate\":\"2025-05-14T00:00:00Z\"}",
            n == order->evaluation_greatest ? "" : ",", (unsigned)n);
    put(w, "]}");
}

enum atls_code atls_sim_intel_sign_document(const struct atls_sim_intel *intel, const char *member,
                                            const char *content, bool break_signature,
                                            struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(TEXT_MAX);
    uint8_t signature[64];
    enum atls_code code =
        atls_sim_intel_sign(intel->keys[ATLS_SIM_INTEL_SIGNING],
                            atls_bytes_of(content, strlen(content)), signature, err);

    if (code != ATLS_OK)
        return code;
    if (break_signature)
        signature[63] ^= 1;
    put(&w, "{\"%s\":", member);
    atls_put_text(&w, content);
    put_hex(&w, "signature", signature, sizeof signature);
    put(&w, "}");
    return atls_writer_finish(&w, out, err);
}

static enum atls_code make(const struct atls_sim_intel *intel, const struct atls_sim_tdx *order,
                           const char *member, struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(TEXT_MAX);
    const struct atls_sim_tdx_document *d = &order->tcb_info;
    enum atls_code code;

    if (strcmp(member, "tcbInfo") == 0) {
        put_tcb_info(&w, order);
    } else if (strcmp(member, "enclaveIdentity") == 0) {
        d = &order->qe_identity;
        put_qe_identity(&w, order);
    } else {
        d = &order->evaluation;
        put_evaluation(&w, order);
    }
    atls_put_u8(&w, 0);
    if (w.failed != ATLS_OK)
        code = atls_fail(err, w.failed, "simulator: %s", member);
    else
        code = d->absent ? ATLS_OK
                         : atls_sim_intel_sign_document(intel, member, (const char *)w.ptr,
                                                        d->break_signature, out, err);
    atls_writer_clear(&w);
    return code;
}

enum atls_code atls_sim_intel_documents(const struct atls_sim_intel *intel,
                                        const struct atls_sim_tdx *order,
                                        struct atls_sim_tdx_evidence *out, struct atls_err *err)
{
    enum atls_code code;

    if ((code = make(intel, order, "tcbInfo", &out->tcb_info, err)) != ATLS_OK ||
        (code = make(intel, order, "enclaveIdentity", &out->qe_identity, err)) != ATLS_OK)
        return code;
    return make(intel, order, "tcbEvaluationDataNumbers", &out->evaluation, err);
}
