#include "wire/tpm_event_log.h"

#include <string.h>

#include <atls/limits.h>

#include "core/err.h"
#include "wire/tpm.h"

#define SHA1_LEN   20
#define DIGEST_MAX 64
/* The head stands at PCR 0, in logs of TDX guests, which count from RTMR 0 as 1, at that. */
#define HEAD_PCR_MAX 1
/* The signature of the head, with its NUL. */
static const char SPEC_ID[16] = "Spec ID Event03";

static enum atls_code malformed(struct atls_err *err, const char *what, const struct atls_reader *r)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                            "event log: %s malformed near byte %zu of %zu", what, r->pos,
                            r->in.len);
}

/* A 32-bit size and that many bytes. */
static bool get_data(struct atls_reader *r, struct atls_bytes *out)
{
    uint32_t size;

    return atls_get_u32le(r, &size) && size <= ATLS_EVENT_DATA_MAX && atls_get_bytes(r, size, out);
}

/* TCG_PCClientPCREvent: the SHA-1 shape. */
static bool get_sha1_event(struct atls_reader *r, struct atls_event *e)
{
    return atls_get_u32le(r, &e->pcr) && atls_get_u32le(r, &e->type) &&
           atls_get_bytes(r, SHA1_LEN, &e->digests[0]) && get_data(r, &e->data);
}

/* Digest size that the algorithm has by its definition; 0 when we do not know it. */
static size_t known_size(uint16_t id)
{
    static const struct {
        uint16_t id;
        size_t size;
    } sizes[] = {
        {ATLS_TPM_ALG_SHA1, 20},
        {ATLS_TPM_ALG_SHA256, 32},
        {ATLS_TPM_ALG_SHA384, 48},
        {ATLS_TPM_ALG_SHA512, 64},
        {0x0012, 32}, /* SM3_256 */
        {0x0027, 32}, /* SHA3_256 */
        {0x0028, 48}, /* SHA3_384 */
        {0x0029, 64}, /* SHA3_512 */
    };

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (sizes[i].id == id)
            return sizes[i].size;
    return 0;
}

static bool get_algorithms(struct atls_reader *r, struct atls_event_log *log)
{
    uint32_t count;

    if (!atls_get_u32le(r, &count) || count == 0 || count > ATLS_EVENT_ALGORITHMS_MAX)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        struct atls_event_algorithm *a = &log->algorithms[i];
        size_t size;

        if (!atls_get_u16le(r, &a->id) || !atls_get_u16le(r, &a->size))
            return false;
        size = known_size(a->id);
        if ((size != 0 && a->size != size) || a->size == 0 || a->size > DIGEST_MAX ||
            atls_event_log_find(log, a->id) >= 0)
            return false;
        log->algorithm_count++;
    }
    return true;
}

/* TCG_EfiSpecIdEvent. */
static bool get_spec_id(struct atls_bytes data, struct atls_event_log *log)
{
    struct atls_reader r = atls_reader_init(data);
    struct atls_bytes signature, vendor;
    uint32_t platform_class;
    uint8_t minor, major, errata, uintn_size;

    return atls_get_bytes(&r, sizeof SPEC_ID, &signature) && atls_get_u32le(&r, &platform_class) &&
           atls_get_u8(&r, &minor) && atls_get_u8(&r, &major) && atls_get_u8(&r, &errata) &&
           atls_get_u8(&r, &uintn_size) && (uintn_size == 1 || uintn_size == 2) &&
           get_algorithms(&r, log) && atls_get_vec(&r, 0, 0xff, &vendor) && atls_reader_done(&r);
}

static bool has_spec_id(const struct atls_event *e)
{
    return e->data.len >= sizeof SPEC_ID && memcmp(e->data.ptr, SPEC_ID, sizeof SPEC_ID) == 0;
}

enum atls_code atls_event_log_open(struct atls_bytes in, struct atls_event_log *out,
                                   struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_event_log log;
    struct atls_event first;

    if (in.len > ATLS_EVENT_LOG_MAX)
        return atls_fail_reason(err, ATLS_E_LIMIT, ATLS_REASON_MALFORMED,
                                "event log: %zu bytes, at most %d are read", in.len,
                                ATLS_EVENT_LOG_MAX);
    memset(&log, 0, sizeof log);
    if (!get_sha1_event(&r, &first))
        return malformed(err, "first event", &r);
    log.r = atls_reader_init(in);
    if (has_spec_id(&first)) {
        if (first.pcr > HEAD_PCR_MAX || first.type != ATLS_EV_NO_ACTION ||
            !get_spec_id(first.data, &log))
            return malformed(err, "Spec ID event", &r);
        log.crypto_agile = true;
        log.r = r;
    } else {
        log.algorithms[0].id = ATLS_TPM_ALG_SHA1;
        log.algorithms[0].size = SHA1_LEN;
        log.algorithm_count = 1;
    }
    *out = log;
    return ATLS_OK;
}

bool atls_event_log_done(const struct atls_event_log *log)
{
    return atls_reader_done(&log->r);
}

int atls_event_log_find(const struct atls_event_log *log, uint16_t algorithm)
{
    for (size_t i = 0; i < log->algorithm_count; i++)
        if (log->algorithms[i].id == algorithm)
            return (int)i;
    return -1;
}

/* TPML_DIGEST_VALUES: each algorithm of the log exactly once, in any order. */
static bool get_digests(struct atls_reader *r, const struct atls_event_log *log,
                        struct atls_event *e)
{
    uint32_t count;

    if (!atls_get_u32le(r, &count) || count != log->algorithm_count)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        uint16_t id;
        int at;

        if (!atls_get_u16le(r, &id) || (at = atls_event_log_find(log, id)) < 0 ||
            e->digests[at].ptr != NULL ||
            !atls_get_bytes(r, log->algorithms[at].size, &e->digests[at]))
            return false;
    }
    return true;
}

/* TCG_PCR_EVENT2. */
static bool get_event2(struct atls_reader *r, const struct atls_event_log *log,
                       struct atls_event *e)
{
    return atls_get_u32le(r, &e->pcr) && atls_get_u32le(r, &e->type) && get_digests(r, log, e) &&
           get_data(r, &e->data);
}

enum atls_code atls_event_log_next(struct atls_event_log *log, struct atls_event *out,
                                   struct atls_err *err)
{
    struct atls_reader r = log->r;
    struct atls_event e;

    memset(&e, 0, sizeof e);
    if (log->crypto_agile ? !get_event2(&r, log, &e) : !get_sha1_event(&r, &e))
        return malformed(err, "event", &r);
    if (e.pcr >= ATLS_TPM_PCRS_MAX && e.pcr != ATLS_EVENT_NO_PCR && e.type != ATLS_EV_NO_ACTION)
        return malformed(err, "PCR index", &r);
    log->r = r;
    *out = e;
    return ATLS_OK;
}

bool atls_uefi_variable_decode(struct atls_bytes data, struct atls_uefi_variable *out)
{
    struct atls_reader r = atls_reader_init(data);
    struct atls_uefi_variable v;
    uint64_t name_units, data_len;

    if (!atls_get_bytes(&r, 16, &v.guid) || !atls_get_u64le(&r, &name_units) ||
        !atls_get_u64le(&r, &data_len) || name_units > atls_reader_left(&r) / 2 ||
        !atls_get_bytes(&r, (size_t)name_units * 2, &v.name) || data_len != atls_reader_left(&r) ||
        !atls_get_bytes(&r, (size_t)data_len, &v.data))
        return false;
    *out = v;
    return true;
}
