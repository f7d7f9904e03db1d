#include "attester/tsm/report.h"

#include <errno.h>
#include <string.h>

#include <atls/limits.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "crypto/crypto.h"
#include "wire/cca.h"
#include "wire/snp.h"
#include "wire/tdx.h"

#define RACES_MAX      3
#define PAUSE_FIRST_MS 20
#define PAUSE_MAX_MS   2000

/* Where report data stands: in ATTESTATION_REPORT, and in the TD report body of a quote, which
 * follows the header, in version 5 with type and size between them. */
#define SNP_REPORT_DATA    0x50
#define TDX_REPORT_DATA    520
#define TDX_DESCRIPTOR_LEN 6
#define CCA_ARENA          65536

void atls_tsm_blobs_clear(struct atls_tsm_blobs *blobs)
{
    atls_buf_clear(&blobs->outblob);
    atls_buf_clear(&blobs->auxblob);
    atls_buf_clear(&blobs->manifest);
    blobs->provider = NULL;
}

enum atls_code atls_tsm_fail(struct atls_tsm_call *call, int sys_errno, const char *what,
                             const char *path, struct atls_err *err)
{
    static const struct {
        int sys_errno;
        enum atls_tsm_again again;
        enum atls_code code;
        const char *meaning;
    } rows[] = {
        {EINTR, ATLS_TSM_LATER, ATLS_E_DEVICE, "interrupted"},
        {EAGAIN, ATLS_TSM_LATER, ATLS_E_DEVICE, "busy"},
        {EBUSY, ATLS_TSM_LATER, ATLS_E_DEVICE, "busy"},
        {ETIMEDOUT, ATLS_TSM_LATER, ATLS_E_DEVICE, "the quote service is slow"},
        {ECONNRESET, ATLS_TSM_LATER, ATLS_E_DEVICE, "the quote service hung up"},
        {EPIPE, ATLS_TSM_LATER, ATLS_E_DEVICE, "the quote service hung up"},
        {EINVAL, ATLS_TSM_PERMANENT, ATLS_E_DEVICE, "the provider refuses what it was given"},
        {ENOTTY, ATLS_TSM_PERMANENT, ATLS_E_DEVICE, "the provider's driver is gone"},
        {ENODEV, ATLS_TSM_PERMANENT, ATLS_E_DEVICE, "the provider's driver is gone"},
        {ENOENT, ATLS_TSM_PERMANENT, ATLS_E_DEVICE, "this kernel has none"},
        {EACCES, ATLS_TSM_PERMANENT, ATLS_E_DEVICE,
         "not allowed; reports are root's unless granted"},
        {EPERM, ATLS_TSM_PERMANENT, ATLS_E_DEVICE,
         "not allowed; reports are root's unless granted"},
        {EIO, ATLS_TSM_PERMANENT, ATLS_E_DEVICE,
         "the provider failed; a guest whose channel to the firmware broke has to start anew"},
        {ENXIO, ATLS_TSM_PERMANENT, ATLS_E_DEVICE, "no provider, or it failed"},
        {ENOMEM, ATLS_TSM_PERMANENT, ATLS_E_NOMEM, "the kernel is out of memory"},
        {EFBIG, ATLS_TSM_PERMANENT, ATLS_E_LIMIT, "larger than this kernel hands out"},
        {EMSGSIZE, ATLS_TSM_PERMANENT, ATLS_E_LIMIT, "larger than this kernel hands out"},
    };
    enum atls_code code = ATLS_E_DEVICE;
    const char *meaning = "";

    call->again = ATLS_TSM_PERMANENT;
    call->sys_errno = sys_errno;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].sys_errno == sys_errno) {
            call->again = rows[i].again;
            code = rows[i].code;
            meaning = rows[i].meaning;
        }
    }
    atls_fail_errno(err, sys_errno, "tsm: cannot %s %s%s%s", what, path,
                    meaning[0] != '\0' ? ": " : "", meaning);
    if (err != NULL)
        err->code = code;
    return code;
}

static struct atls_bytes part(struct atls_bytes in, size_t from, size_t len)
{
    return from > in.len || len > in.len - from ? atls_bytes_of(NULL, 0)
                                                : atls_bytes_of(in.ptr + from, len);
}

static struct atls_bytes tdx_report_data(struct atls_bytes quote)
{
    const struct atls_bytes none = {NULL, 0};
    struct atls_reader r = atls_reader_init(quote);
    struct atls_bytes rest;
    uint16_t version, type;

    if (!atls_get_u16le(&r, &version) || !atls_get_bytes(&r, ATLS_DCAP_HEADER_LEN - 2, &rest))
        return none;
    if (version == 4)
        return part(quote, ATLS_DCAP_HEADER_LEN + TDX_REPORT_DATA, ATLS_QUOTE_CHALLENGE_LEN);
    if (version != 5 || !atls_get_u16le(&r, &type) ||
        (type != ATLS_TDX_BODY_TYPE_10 && type != ATLS_TDX_BODY_TYPE_15))
        return none;
    return part(quote, ATLS_DCAP_HEADER_LEN + TDX_DESCRIPTOR_LEN + TDX_REPORT_DATA,
                ATLS_QUOTE_CHALLENGE_LEN);
}

static bool cca_carries(struct atls_bytes token, struct atls_bytes challenge)
{
    struct atls_arena arena = atls_arena_init(CCA_ARENA);
    struct atls_cca_token cca;
    struct atls_cca_realm realm;
    bool same = atls_cca_token_open(token, &arena, &cca, NULL) == ATLS_OK &&
                atls_cca_realm_decode(cca.realm.payload, &arena, &realm, NULL) == ATLS_OK &&
                atls_secret_equal(realm.challenge, challenge);

    atls_arena_clear(&arena);
    return same;
}

bool atls_tsm_carries(const struct atls_tsm_provider *provider, struct atls_bytes evidence,
                      struct atls_bytes challenge)
{
    if (provider == &atls_tsm_snp)
        return evidence.len >= ATLS_SNP_REPORT_LEN &&
               atls_secret_equal(part(evidence, SNP_REPORT_DATA, ATLS_QUOTE_CHALLENGE_LEN),
                                 challenge);
    if (provider == &atls_tsm_tdx)
        return atls_secret_equal(tdx_report_data(evidence), challenge);
    return cca_carries(evidence, challenge);
}

static enum atls_code inspect(struct atls_tsm_call *call, const struct atls_tsm_blobs *blobs,
                              struct atls_err *err)
{
    if (blobs->provider != call->provider)
        return atls_fail(err, ATLS_E_DEVICE, "tsm: the provider is %s now, it was %s",
                         blobs->provider->name, call->provider->name);
    if (!atls_tsm_carries(blobs->provider, atls_buf_bytes(&blobs->outblob),
                          atls_bytes_of(call->challenge, ATLS_QUOTE_CHALLENGE_LEN))) {
        call->again = ATLS_TSM_AT_ONCE;
        return atls_fail(err, ATLS_E_DEVICE,
                         "tsm: what %s gave (%zu bytes) is no evidence over the 64 bytes that were "
                         "written",
                         blobs->provider->name, blobs->outblob.len);
    }
    return ATLS_OK;
}

static enum atls_code attempt(struct atls_tsm_call *call, atls_tsm_source *source,
                              struct atls_tsm_blobs *out, struct atls_err *err)
{
    struct atls_tsm_blobs blobs = {0};
    enum atls_code code;

    call->again = ATLS_TSM_PERMANENT;
    if ((code = source(call, &blobs, err)) == ATLS_OK)
        code = inspect(call, &blobs, err);
    if (code == ATLS_OK)
        *out = blobs;
    else
        atls_tsm_blobs_clear(&blobs);
    return code;
}

/* Sleeps for half of pause_ms and a random part of the other half, so that those who met at a busy
 * device do not meet again; false when the deadline comes first. */
static bool rest(const struct atls_tsm_call *call, int64_t pause_ms)
{
    uint16_t dice = 0;
    int64_t ms;

    if (atls_random(&dice, sizeof dice, NULL) != ATLS_OK)
        dice = UINT16_MAX;
    ms = pause_ms / 2 + pause_ms / 2 * dice / UINT16_MAX;
    if (call->kernel->now_ms(call->kernel->arg) + ms >= call->deadline_ms)
        return false;
    call->kernel->sleep_ms(call->kernel->arg, ms);
    return true;
}

enum atls_code atls_tsm_report_make(struct atls_tsm_call *call, atls_tsm_source *source,
                                    struct atls_tsm_blobs *out, struct atls_err *err)
{
    struct atls_err own = ATLS_ERR_INIT;
    int64_t pause_ms = PAUSE_FIRST_MS;
    unsigned int races = 0;
    enum atls_code code;

    call->deadline_ms = call->kernel->now_ms(call->kernel->arg) + call->config->deadline_ms;
    for (;;) {
        if ((code = attempt(call, source, out, &own)) == ATLS_OK)
            return ATLS_OK;
        if (call->again == ATLS_TSM_PERMANENT ||
            (call->again == ATLS_TSM_AT_ONCE && ++races == RACES_MAX))
            break;
        if (call->again == ATLS_TSM_AT_ONCE)
            continue;
        if (!rest(call, pause_ms)) {
            code = own.code = ATLS_E_TIMEOUT;
            break;
        }
        atls_log(call->log, ATLS_LOG_DEBUG, "attester", "%s; trying again", own.message);
        pause_ms = 2 * pause_ms > PAUSE_MAX_MS ? PAUSE_MAX_MS : 2 * pause_ms;
    }
    if (err != NULL)
        *err = own;
    return code;
}
