#include "evidence/event_log.h"

#include <string.h>

#include "core/err.h"
#include "wire/tpm_event_log.h"

#define FIRMWARE_PCRS    8 /* 0 to 7: what firmware accounts for */
#define SECURE_BOOT_PCR  7
#define SEPARATOR_LEN    4
#define LOCALITY_SIG_LEN 16

static enum atls_code mismatch(struct atls_err *err, uint32_t pcr, const char *what)
{
    return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_EVENT_LOG_MISMATCH,
                            "event log: PCR %u: %s", (unsigned)pcr, what);
}

/* Opens a log and finds the digests of a bank in it. */
static enum atls_code open_bank(struct atls_bytes in, enum atls_hash bank,
                                struct atls_event_log *log, size_t *at, struct atls_err *err)
{
    enum atls_code code = atls_event_log_open(in, log, err);
    int found;

    if (code != ATLS_OK)
        return code;
    found = atls_event_log_find(log, atls_tpm_hash_id(bank));
    if (found < 0)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_EVENT_LOG_MISMATCH,
                                "event log: no digests of bank 0x%04x", atls_tpm_hash_id(bank));
    *at = (size_t)found;
    return ATLS_OK;
}

/* True for events that extend no PCR. */
static bool is_no_action(const struct atls_event *e)
{
    return e->type == ATLS_EV_NO_ACTION || e->pcr >= ATLS_TPM_PCRS_MAX;
}

/* TCG_EfiStartupLocalityEvent: "StartupLocality" NUL and the locality that PCR 0 starts from. */
static bool is_startup_locality(const struct atls_event *e)
{
    static const char signature[LOCALITY_SIG_LEN] = "StartupLocality";

    return e->type == ATLS_EV_NO_ACTION && e->data.len >= sizeof signature &&
           memcmp(e->data.ptr, signature, sizeof signature) == 0;
}

static enum atls_code start_locality(struct atls_replay *replay, bool *started,
                                     const struct atls_event *e, struct atls_err *err)
{
    uint8_t locality;

    if (e->pcr != 0 || e->data.len != LOCALITY_SIG_LEN + 1 || *started ||
        (replay->extended & 1) != 0)
        return mismatch(err, e->pcr, "StartupLocality is out of place");
    locality = e->data.ptr[LOCALITY_SIG_LEN];
    if (locality != 0 && locality != 3 && locality != 4)
        return mismatch(err, e->pcr, "StartupLocality is not 0, 3 or 4");
    replay->values[0][atls_hash_len(replay->bank) - 1] = locality;
    *started = true;
    return ATLS_OK;
}

static enum atls_code extend(struct atls_replay *replay, uint32_t pcr, struct atls_bytes digest,
                             struct atls_err *err)
{
    struct atls_bytes parts[2] = {
        {replay->values[pcr], atls_hash_len(replay->bank)},
        digest,
    };

    replay->extended |= (uint32_t)1 << pcr;
    return atls_hash_parts(replay->bank, parts, 2, replay->values[pcr], err);
}

enum atls_code atls_event_log_replay(struct atls_bytes in, enum atls_hash bank,
                                     struct atls_replay *out, struct atls_err *err)
{
    struct atls_replay replay;
    struct atls_event_log log;
    struct atls_event event;
    enum atls_code code;
    bool started = false;
    size_t at;

    if ((code = open_bank(in, bank, &log, &at, err)) != ATLS_OK)
        return code;
    memset(&replay, 0, sizeof replay);
    replay.bank = bank;
    memset(replay.values[17], 0xff, 6 * sizeof replay.values[17]); /* until a dynamic launch */
    while (!atls_event_log_done(&log)) {
        if ((code = atls_event_log_next(&log, &event, err)) != ATLS_OK)
            return code;
        if (is_startup_locality(&event))
            code = start_locality(&replay, &started, &event, err);
        else if (!is_no_action(&event))
            code = extend(&replay, event.pcr, event.digests[at], err);
        if (code != ATLS_OK)
            return code;
    }
    *out = replay;
    return ATLS_OK;
}

/* ---- what events may say ---- */

struct check {
    const struct atls_tpm_pcr_values *quoted;
    enum atls_hash bank;
    size_t at;                        /* of the bank's digests in an event */
    uint8_t separator[ATLS_HASH_MAX]; /* digest of 00000000 */
    uint8_t failure[ATLS_HASH_MAX];   /* digest of ffffffff: firmware met an error */
    uint32_t separated;               /* bit n: PCR n has had its separator */
    struct atls_boot_summary summary;
};

static bool digest_is(const struct check *c, struct atls_bytes digest, const uint8_t *want)
{
    return atls_bytes_equal(digest, atls_bytes_of(want, atls_hash_len(c->bank)));
}

/* Types are not measured, digests are: a separator is what has the digest of one. Relabelling one,
 * or adding another to whatever an operating system extended later, changes what comes before it.
 */
static enum atls_code check_separator(struct check *c, const struct atls_event *e,
                                      struct atls_err *err)
{
    struct atls_bytes digest = e->digests[c->at];
    uint32_t bit = (uint32_t)1 << e->pcr;

    if (digest_is(c, digest, c->failure))
        return mismatch(err, e->pcr, "the separator says that firmware met an error");
    if (digest_is(c, digest, c->separator) != (e->type == ATLS_EV_SEPARATOR))
        return mismatch(err, e->pcr, "type and digest of a separator do not agree");
    if (e->type != ATLS_EV_SEPARATOR)
        return ATLS_OK;
    if ((c->separated & bit) != 0)
        return mismatch(err, e->pcr, "more than one separator");
    c->separated |= bit;
    return ATLS_OK;
}

static bool is_secure_boot(const struct atls_uefi_variable *v)
{
    /* EFI_GLOBAL_VARIABLE, 8be4df61-93ca-11d2-aa0d-00e098032b8c */
    static const uint8_t guid[16] = {0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11,
                                     0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c};
    static const uint8_t name[20] = {'S', 0, 'e', 0, 'c', 0, 'u', 0, 'r', 0,
                                     'e', 0, 'B', 0, 'o', 0, 'o', 0, 't', 0};

    return atls_bytes_equal(v->guid, atls_bytes_of(guid, sizeof guid)) &&
           atls_bytes_equal(v->name, atls_bytes_of(name, sizeof name));
}

static enum atls_code check_variable(struct check *c, const struct atls_event *e,
                                     struct atls_err *err)
{
    struct atls_uefi_variable v;
    uint8_t digest[ATLS_HASH_MAX];
    enum atls_code code;

    if ((code = atls_hash_one(c->bank, e->data, digest, err)) != ATLS_OK)
        return code;
    if (!digest_is(c, e->digests[c->at], digest))
        return mismatch(err, e->pcr, "the digest of a variable does not cover its data");
    if (!atls_uefi_variable_decode(e->data, &v) || !is_secure_boot(&v))
        return ATLS_OK;
    if (c->summary.secure_boot != ATLS_SECURE_BOOT_UNKNOWN)
        return mismatch(err, e->pcr, "more than one SecureBoot variable");
    if (v.data.len > 1 || (v.data.len == 1 && v.data.ptr[0] > 1))
        return mismatch(err, e->pcr, "SecureBoot is neither 0 nor 1");
    c->summary.secure_boot = v.data.len == 1 && v.data.ptr[0] == 1 ? ATLS_SECURE_BOOT_ENABLED
                                                                   : ATLS_SECURE_BOOT_DISABLED;
    return ATLS_OK;
}

static enum atls_code check_event(struct check *c, const struct atls_event *e, struct atls_err *err)
{
    enum atls_code code;

    if (is_no_action(e) || e->pcr >= FIRMWARE_PCRS || (c->quoted->present >> e->pcr & 1) == 0)
        return ATLS_OK;
    if ((code = check_separator(c, e, err)) != ATLS_OK)
        return code;
    if (e->pcr != SECURE_BOOT_PCR || (c->separated >> SECURE_BOOT_PCR & 1) != 0 ||
        e->type != ATLS_EV_EFI_VARIABLE_DRIVER_CONFIG)
        return ATLS_OK;
    return check_variable(c, e, err);
}

static enum atls_code check_values(const struct check *c, const struct atls_replay *replay,
                                   struct atls_err *err)
{
    for (unsigned int i = 0; i < ATLS_TPM_PCRS_MAX; i++) {
        if ((c->quoted->present >> i & 1) == 0 ||
            (i >= FIRMWARE_PCRS && (replay->extended >> i & 1) == 0))
            continue;
        if (!digest_is(c, c->quoted->values[i], replay->values[i]))
            return mismatch(err, i, "replay does not lead to the quoted value");
        if (i < FIRMWARE_PCRS && (c->separated >> i & 1) == 0)
            return mismatch(err, i, "no separator");
    }
    return ATLS_OK;
}

static enum atls_code init_check(struct check *c, const struct atls_tpm_pcr_values *quoted,
                                 struct atls_err *err)
{
    static const uint8_t zeros[SEPARATOR_LEN];
    static const uint8_t ones[SEPARATOR_LEN] = {0xff, 0xff, 0xff, 0xff};
    enum atls_code code;

    memset(c, 0, sizeof *c);
    c->quoted = quoted;
    c->bank = atls_tpm_hash(quoted->hash);
    if ((code = atls_hash_one(c->bank, atls_bytes_of(zeros, sizeof zeros), c->separator, err)) !=
        ATLS_OK)
        return code;
    return atls_hash_one(c->bank, atls_bytes_of(ones, sizeof ones), c->failure, err);
}

enum atls_code atls_event_log_verify(struct atls_bytes in, const struct atls_tpm_pcr_values *quoted,
                                     struct atls_boot_summary *out, struct atls_err *err)
{
    struct atls_replay replay;
    struct atls_event_log log;
    struct atls_event event;
    struct check c;
    enum atls_code code;

    if ((code = init_check(&c, quoted, err)) != ATLS_OK ||
        (code = atls_event_log_replay(in, c.bank, &replay, err)) != ATLS_OK ||
        (code = open_bank(in, c.bank, &log, &c.at, err)) != ATLS_OK)
        return code;
    while (!atls_event_log_done(&log)) {
        if ((code = atls_event_log_next(&log, &event, err)) != ATLS_OK ||
            (code = check_event(&c, &event, err)) != ATLS_OK)
            return code;
        c.summary.events++;
    }
    if ((code = check_values(&c, &replay, err)) != ATLS_OK)
        return code;
    *out = c.summary;
    return ATLS_OK;
}
