#include "evidence/ima_log.h"

#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "wire/tpm_ima_log.h"

struct replay {
    enum atls_hash bank;
    struct atls_bytes quoted;
    uint8_t value[ATLS_HASH_MAX];
    struct atls_ima_summary summary;
};

static enum atls_code check_template_hash(const struct replay *r, const struct atls_ima_entry *e,
                                          struct atls_err *err)
{
    uint8_t digest[ATLS_HASH_MAX];
    enum atls_code code = atls_hash_one(ATLS_HASH_SHA1, e->template_data, digest, err);

    if (code == ATLS_OK && memcmp(digest, e->template_hash, sizeof e->template_hash) != 0)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_IMA_LOG_MISMATCH,
                                "IMA log: entry %zu: template hash does not fit the fields",
                                r->summary.entries + 1);
    return code;
}

static enum atls_code extend(struct replay *r, const struct atls_ima_entry *e, struct atls_err *err)
{
    size_t len = atls_hash_len(r->bank);
    uint8_t digest[ATLS_HASH_MAX];
    struct atls_bytes parts[2] = {{r->value, len}, {digest, len}};
    enum atls_code code;

    if (e->violation) {
        memset(digest, 0xff, len);
        r->summary.violations++;
    } else if ((code = check_template_hash(r, e, err)) != ATLS_OK ||
               (code = atls_hash_one(r->bank, e->template_data, digest, err)) != ATLS_OK) {
        return code;
    }
    r->summary.entries++;
    return atls_hash_parts(r->bank, parts, 2, r->value, err);
}

static bool arrived(const struct replay *r)
{
    return r->summary.entries > 0 &&
           atls_bytes_equal(r->quoted, atls_bytes_of(r->value, atls_hash_len(r->bank)));
}

static enum atls_code replay_all(struct replay *r, struct atls_ima_log *log, struct atls_err *err)
{
    struct atls_ima_entry entry;
    enum atls_code code;

    while (!atls_ima_log_done(log)) {
        if ((code = atls_ima_log_next(log, &entry, err)) != ATLS_OK)
            return code;
        if (entry.pcr != ATLS_IMA_PCR)
            continue;
        if ((code = extend(r, &entry, err)) != ATLS_OK)
            return code;
        if (arrived(r))
            return ATLS_OK;
    }
    return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_IMA_LOG_MISMATCH,
                            "IMA log: none of %zu entries leads to the quoted PCR %d",
                            r->summary.entries, ATLS_IMA_PCR);
}

enum atls_code atls_ima_log_verify(struct atls_bytes log, enum atls_hash bank,
                                   struct atls_bytes quoted, struct atls_ima_summary *out,
                                   struct atls_err *err)
{
    struct atls_ima_log reader = atls_ima_log_init(log);
    struct replay r;
    enum atls_code code;

    memset(&r, 0, sizeof r);
    r.bank = bank;
    r.quoted = quoted;
    code = replay_all(&r, &reader, err);
    atls_ima_log_clear(&reader);
    if (code == ATLS_OK)
        *out = r.summary;
    return code;
}
