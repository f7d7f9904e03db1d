/* Machines with Intel TDX: one platform with its PCK certificate, and the documents about it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "simulator/folder.h"
#include "simulator/intel.h"
#include "simulator/intel_parts.h"
#include "simulator/maker.h"
#include "simulator/manifest.h"
#include "simulator/service.h"
#include "wire/measurement.h"

#define DAY_S INT64_C(86400)
/* How long lists and documents hold, and since when they do not when that is ordered. */
#define HOLDS_S (30 * DAY_S)
#define AGO_S   (60 * DAY_S)

#define QUOTE_MAX (128 * 1024)

struct tdx {
    struct atls_sim_intel intel;
    struct atls_sim_intel_certificates certificates;
    uint8_t ppid[16], instance[16];
    unsigned int quote_version;
    int64_t time_s;
};

/* The platform, whose firmware and guest are as they should be. */
static void order_init(const struct tdx *tdx, struct atls_sim_tdx *out)
{
    atls_sim_tdx_init(out, tdx->time_s);
    out->quote.version = tdx->quote_version;
    memcpy(out->ppid, tdx->ppid, sizeof out->ppid);
    memcpy(out->instance, tdx->instance, sizeof out->instance);
}

/* ---- what is kept ---- */

static const struct {
    const char *file;
    enum atls_sim_intel_key key;
    size_t offset; /* in struct atls_sim_intel_certificates */
} kept[] = {
    {"machine/root.der", ATLS_SIM_INTEL_ROOT, offsetof(struct atls_sim_intel_certificates, root)},
    {"machine/platform.der", ATLS_SIM_INTEL_PLATFORM,
     offsetof(struct atls_sim_intel_certificates, intermediate)},
    {"machine/pck.der", ATLS_SIM_INTEL_PCK, offsetof(struct atls_sim_intel_certificates, leaf)},
    {"machine/signing.der", ATLS_SIM_INTEL_SIGNING,
     offsetof(struct atls_sim_intel_certificates, signing)},
};

#define KEPT_COUNT (sizeof kept / sizeof kept[0])

static struct atls_buf *certificate_at(struct tdx *tdx, size_t index)
{
    return (struct atls_buf *)(void *)((char *)&tdx->certificates + kept[index].offset);
}

static enum atls_code write_all(const char *folder, struct tdx *tdx, struct atls_err *err)
{
    enum atls_code code;

    for (int i = 0; i < ATLS_SIM_INTEL_KEYS; i++)
        if ((code = atls_sim_folder_write_key(folder,
                                              atls_sim_intel_key_name((enum atls_sim_intel_key)i),
                                              tdx->intel.keys[i], err)) != ATLS_OK)
            return code;
    for (size_t i = 0; i < KEPT_COUNT; i++)
        if ((code =
                 atls_sim_folder_write(folder, kept[i].file, atls_buf_bytes(certificate_at(tdx, i)),
                                       ATLS_SIM_PUBLIC, err)) != ATLS_OK)
            return code;
    if ((code = atls_sim_folder_write(folder, "machine/ppid", atls_bytes_of(tdx->ppid, 16),
                                      ATLS_SIM_PUBLIC, err)) != ATLS_OK)
        return code;
    return atls_sim_folder_write(folder, "machine/instance", atls_bytes_of(tdx->instance, 16),
                                 ATLS_SIM_PUBLIC, err);
}

static void tdx_close(void *self)
{
    struct tdx *tdx = self;

    if (tdx == NULL)
        return;
    atls_sim_intel_clear(&tdx->intel);
    atls_sim_intel_certificates_clear(&tdx->certificates);
    free(tdx);
}

static struct tdx *tdx_new(const struct atls_sim_setup *setup, struct atls_err *err)
{
    struct tdx *tdx = calloc(1, sizeof *tdx);

    if (tdx == NULL) {
        (void)atls_fail(err, ATLS_E_NOMEM, "out of memory");
        return NULL;
    }
    tdx->quote_version = setup->quote_version;
    tdx->time_s = setup->time_s;
    return tdx;
}

static enum atls_code tdx_make(const char *folder, const struct atls_sim_setup *setup,
                               struct atls_err *err)
{
    struct tdx *tdx = tdx_new(setup, err);
    struct atls_sim_tdx order;
    enum atls_code code;

    if (tdx == NULL)
        return ATLS_E_NOMEM;
    if ((code = atls_sim_intel_make(&tdx->intel, err)) == ATLS_OK &&
        (code = atls_random(tdx->ppid, sizeof tdx->ppid, err)) == ATLS_OK &&
        (code = atls_random(tdx->instance, sizeof tdx->instance, err)) == ATLS_OK) {
        order_init(tdx, &order);
        if ((code = atls_sim_intel_certify(&tdx->intel, &order, &tdx->certificates, err)) ==
            ATLS_OK)
            code = write_all(folder, tdx, err);
    }
    tdx_close(tdx);
    return code;
}

static enum atls_code read_id(const char *folder, const char *name, uint8_t out[16],
                              struct atls_err *err)
{
    struct atls_buf id = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = atls_sim_folder_read(folder, name, &id, err)) != ATLS_OK)
        return code;
    if (id.len == 16)
        memcpy(out, id.ptr, 16);
    else
        code = atls_fail(err, ATLS_E_DECODE, "%s: %zu bytes, want 16", name, id.len);
    atls_buf_clear(&id);
    return code;
}

static enum atls_code read_all(const char *folder, struct tdx *tdx, struct atls_err *err)
{
    enum atls_code code;

    for (int i = 0; i < ATLS_SIM_INTEL_KEYS; i++)
        if ((code = atls_sim_folder_read_key(folder,
                                             atls_sim_intel_key_name((enum atls_sim_intel_key)i),
                                             &tdx->intel.keys[i], err)) != ATLS_OK)
            return code;
    for (size_t i = 0; i < KEPT_COUNT; i++) {
        if ((code = atls_sim_folder_read(folder, kept[i].file, certificate_at(tdx, i), err)) !=
            ATLS_OK)
            return code;
        tdx->intel.kept[kept[i].key] = atls_buf_bytes(certificate_at(tdx, i));
    }
    if ((code = read_id(folder, "machine/ppid", tdx->ppid, err)) != ATLS_OK)
        return code;
    return read_id(folder, "machine/instance", tdx->instance, err);
}

static enum atls_code tdx_open(const char *folder, const struct atls_sim_setup *setup,
                               void **out_self, struct atls_err *err)
{
    struct tdx *tdx = tdx_new(setup, err);
    enum atls_code code;

    if (tdx == NULL)
        return ATLS_E_NOMEM;
    if ((code = read_all(folder, tdx, err)) != ATLS_OK) {
        tdx_close(tdx);
        return code;
    }
    *out_self = tdx;
    return ATLS_OK;
}

/* ---- evidence ---- */

static void guest_of(struct atls_sim_tdx_quote *quote, const struct atls_sim_state *state)
{
    atls_sim_state_hex(state, ATLS_SIM_ORDER_MRTD, quote->mr_td);
    atls_sim_state_hex(state, ATLS_SIM_ORDER_RTMR0, quote->rtmr[0]);
    atls_sim_state_hex(state, ATLS_SIM_ORDER_RTMR1, quote->rtmr[1]);
    atls_sim_state_hex(state, ATLS_SIM_ORDER_RTMR2, quote->rtmr[2]);
    atls_sim_state_hex(state, ATLS_SIM_ORDER_RTMR3, quote->rtmr[3]);
    atls_sim_state_hex(state, ATLS_SIM_ORDER_MRCONFIGID, quote->mr_config_id);
    if (atls_sim_state_is(state, ATLS_SIM_ORDER_DEBUG, "yes"))
        quote->attributes |= 1;
}

/* Zeros up to len; a quote that is longer stays. */
static enum atls_code pad(struct atls_buf *quote, size_t len, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(QUOTE_MAX);
    struct atls_buf padded = ATLS_BUF_INIT;
    enum atls_code code;

    atls_put_bytes(&w, atls_buf_bytes(quote));
    for (size_t i = quote->len; i < len; i++)
        atls_put_u8(&w, 0);
    if ((code = atls_writer_finish(&w, &padded, err)) != ATLS_OK)
        return code;
    atls_buf_clear(quote);
    *quote = padded;
    return ATLS_OK;
}

static enum atls_code tdx_evidence(void *self, const struct atls_sim_state *state,
                                   const struct atls_sim_request *request,
                                   struct atls_sim_blobs *out, struct atls_err *err)
{
    const struct tdx *tdx = self;
    struct atls_sim_tdx order;
    enum atls_code code;

    order_init(tdx, &order);
    guest_of(&order.quote, state);
    memcpy(order.quote.report_data, request->inblob.ptr, sizeof order.quote.report_data);
    code = atls_sim_intel_quote(&tdx->intel, &order, &tdx->certificates, &out->outblob, err);
    if (code != ATLS_OK)
        return code;
    return pad(&out->outblob, (size_t)atls_sim_state_number(state, ATLS_SIM_ORDER_PADDING), err);
}

/* ---- what Intel publishes ---- */

/* What was current is not any more: a better level stands above it. */
static void raise_levels(struct atls_sim_tdx *order)
{
    struct atls_sim_tdx_level *levels = order->levels;

    memmove(levels + 1, levels, order->level_count * sizeof levels[0]);
    order->level_count++;
    levels[0].sgx[0]++;
    levels[0].tdx[2]++;
    levels[1].status = (struct atls_sim_tdx_status){"OutOfDate", "2024-11-13", "INTEL-SA-00003"};
}

static void publication_of(const struct tdx *tdx, const struct atls_sim_state *state,
                           int64_t time_s, struct atls_sim_tdx *out)
{
    int64_t from_s =
        atls_sim_state_is(state, ATLS_SIM_ORDER_COLLATERAL, "expired") ? time_s - AGO_S : time_s;
    struct atls_sim_tdx_document *const documents[] = {&out->tcb_info, &out->qe_identity,
                                                       &out->evaluation};

    order_init(tdx, out);
    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++) {
        documents[i]->issue_s = from_s;
        documents[i]->next_update_s = from_s + HOLDS_S;
    }
    out->crl_this_s = from_s;
    out->crl_next_s = from_s + HOLDS_S;
    out->revoke_leaf = atls_sim_state_is(state, ATLS_SIM_ORDER_REVOKED, "leaf");
    out->revoke_intermediate = atls_sim_state_is(state, ATLS_SIM_ORDER_REVOKED, "intermediate");
    if (atls_sim_state_is(state, ATLS_SIM_ORDER_TCB, "old"))
        raise_levels(out);
}

static enum atls_code write_documents(const char *folder, const struct atls_sim_tdx *order,
                                      const struct atls_sim_tdx_evidence *made,
                                      struct atls_err *err)
{
    char tcb_info[64];
    const struct {
        const char *name;
        const struct atls_buf *content;
    } files[] = {
        {tcb_info, &made->tcb_info},
        {"collateral/tdx-qe-identity-td.json", &made->qe_identity},
        {"collateral/tdx-evaluation-tdx.json", &made->evaluation},
        {"collateral/tdx-tcb-chain-tcb.pem", &made->tcb_chain},
        {"collateral/tdx-pck-crl-platform.crl", &made->pck_crl},
        {"collateral/tdx-pck-crl-chain-platform.pem", &made->pck_crl_chain},
        {"collateral/tdx-root-crl-root.crl", &made->root_crl},
    };
    int at = snprintf(tcb_info, sizeof tcb_info, "collateral/tdx-tcb-info-");
    enum atls_code code;

    for (size_t i = 0; i < sizeof order->fmspc; i++)
        at += snprintf(tcb_info + at, sizeof tcb_info - (size_t)at, "%02x", order->fmspc[i]);
    snprintf(tcb_info + at, sizeof tcb_info - (size_t)at, ".json");
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if ((code = atls_sim_folder_write(folder, files[i].name, atls_buf_bytes(files[i].content),
                                          ATLS_SIM_PUBLIC, err)) != ATLS_OK)
            return code;
    return ATLS_OK;
}

/* The class of trust domains below roots that name none. */
static const uint8_t class_uuid[16] = {0xa2, 0xb0, 0x7d, 0x94, 0x54, 0xf2, 0x4a, 0xb4,
                                       0x9b, 0xdf, 0x85, 0x6e, 0x7d, 0x83, 0x2a, 0xb8};

static enum atls_code publish_reference(const struct tdx *tdx, const char *folder,
                                        struct atls_err *err)
{
    struct atls_sim_tdx order = {.processor = false};
    const struct atls_sim_tdx_quote *q = &order.quote;
    const struct atls_sim_reference references[] = {
        {.name = "mrtd", .digest = atls_bytes_of(q->mr_td, 48)},
        {.name = "rtmr0", .digest = atls_bytes_of(q->rtmr[0], 48)},
        {.name = "rtmr1", .digest = atls_bytes_of(q->rtmr[1], 48)},
        {.name = "rtmr2", .digest = atls_bytes_of(q->rtmr[2], 48)},
        {.name = "rtmr3", .digest = atls_bytes_of(q->rtmr[3], 48)},
        {.name = "mrseam", .digest = atls_bytes_of(q->mr_seam, 48)},
    };
    struct atls_sim_manifest manifest = {
        .id = "libatls TEST tdx",
        .references = references,
        .reference_count = sizeof references / sizeof references[0],
    };
    struct atls_buf class_id = ATLS_BUF_INIT, corim = ATLS_BUF_INIT;
    struct atls_sim_state made;
    enum atls_code code;

    atls_sim_state_init(&made, ATLS_SIM_TDX);
    order_init(tdx, &order);
    guest_of(&order.quote, &made);
    if ((code = atls_sim_class_id(ATLS_TAG_UUID, atls_bytes_of(class_uuid, sizeof class_uuid),
                                  &class_id, err)) != ATLS_OK)
        return code;
    manifest.class_id = atls_buf_bytes(&class_id);
    if ((code = atls_sim_manifest_make(&manifest, &corim, err)) == ATLS_OK)
        code = atls_sim_folder_write(folder, "reference/td.corim", atls_buf_bytes(&corim),
                                     ATLS_SIM_PUBLIC, err);
    atls_buf_clear(&class_id);
    atls_buf_clear(&corim);
    return code;
}

static enum atls_code tdx_publish(void *self, const char *folder,
                                  const struct atls_sim_state *state, int64_t time_s,
                                  struct atls_err *err)
{
    const struct tdx *tdx = self;
    struct atls_sim_tdx_evidence made = {.root = ATLS_BUF_INIT};
    struct atls_buf pem = ATLS_BUF_INIT;
    struct atls_sim_tdx order;
    enum atls_code code;

    publication_of(tdx, state, time_s, &order);
    if ((code = publish_reference(tdx, folder, err)) != ATLS_OK ||
        (code = atls_sim_tdx_make(&tdx->intel, &order, &made, err)) != ATLS_OK)
        return code;
    if ((code = write_documents(folder, &order, &made, err)) == ATLS_OK &&
        (code = atls_pem_encode("CERTIFICATE", atls_buf_bytes(&made.root), &pem, err)) == ATLS_OK)
        code = atls_sim_folder_write(folder, "roots/root.pem", atls_buf_bytes(&pem),
                                     ATLS_SIM_PUBLIC, err);
    atls_buf_clear(&pem);
    atls_sim_tdx_evidence_clear(&made);
    return code;
}

static enum atls_code tdx_answer(void *self, const char *folder,
                                 const struct atls_sim_question *question,
                                 struct atls_sim_answer *out, struct atls_err *err)
{
    (void)self;
    return atls_sim_pcs_answer(folder, question, out, err);
}

const struct atls_sim_maker atls_sim_tdx_maker = {
    .tee = ATLS_SIM_TDX,
    .provider = "tdx_guest",
    .inblob_least = ATLS_SIM_INBLOB_MAX,
    .attributes = 1u << ATLS_SIM_ATTRIBUTE_INBLOB | 1u << ATLS_SIM_ATTRIBUTE_OUTBLOB |
                  1u << ATLS_SIM_ATTRIBUTE_PROVIDER | 1u << ATLS_SIM_ATTRIBUTE_GENERATION,
    .make = tdx_make,
    .open = tdx_open,
    .close = tdx_close,
    .evidence = tdx_evidence,
    .publish = tdx_publish,
    .answer = tdx_answer,
};
