#include "wire/eat_claims.h"

#include <stddef.h>

#include "core/err.h"

#define OWN(key, name)                                                                             \
    {                                                                                              \
        (key), (name), ATLS_EAT_FORM_OWN, 0, 0, 0, NULL                                            \
    }
#define SIMPLE(key, name, form, member)                                                            \
    {                                                                                              \
        (key), (name), (form), offsetof(struct atls_eat_claims, member), 0, SIZE_MAX, NULL         \
    }

static const struct atls_eat_row rows[] = {
    SIMPLE(ATLS_EAT_ISS, "iss", ATLS_EAT_FORM_TEXT, iss),
    SIMPLE(ATLS_EAT_SUB, "sub", ATLS_EAT_FORM_TEXT, sub),
    OWN(ATLS_EAT_AUD, "aud"),
    SIMPLE(ATLS_EAT_EXP, "exp", ATLS_EAT_FORM_TIME, exp_s),
    SIMPLE(ATLS_EAT_NBF, "nbf", ATLS_EAT_FORM_TIME, nbf_s),
    SIMPLE(ATLS_EAT_IAT, "iat", ATLS_EAT_FORM_TIME, iat_s),
    OWN(ATLS_EAT_CTI, "jti"),
    OWN(ATLS_EAT_CNF, "cnf"),
    OWN(ATLS_EAT_NONCE, "eat_nonce"),
    {ATLS_EAT_UEID, "ueid", ATLS_EAT_FORM_BYTES, offsetof(struct atls_eat_claims, ueid), 7, 33,
     NULL},
    OWN(ATLS_EAT_SUEIDS, "sueids"),
    OWN(ATLS_EAT_OEMID, "oemid"),
    {ATLS_EAT_HWMODEL, "hwmodel", ATLS_EAT_FORM_BYTES, offsetof(struct atls_eat_claims, hwmodel), 1,
     32, NULL},
    OWN(ATLS_EAT_HWVERSION, "hwversion"),
    SIMPLE(ATLS_EAT_UPTIME, "uptime", ATLS_EAT_FORM_UINT, uptime_s),
    SIMPLE(ATLS_EAT_OEMBOOT, "oemboot", ATLS_EAT_FORM_BOOL, oemboot),
    {ATLS_EAT_DBGSTAT, "dbgstat", ATLS_EAT_FORM_NAMED, offsetof(struct atls_eat_claims, dbgstat), 0,
     4, atls_eat_dbgstat_name},
    OWN(ATLS_EAT_LOCATION, "location"),
    OWN(ATLS_EAT_PROFILE, "eat_profile"),
    OWN(ATLS_EAT_SUBMODS, "submods"),
    SIMPLE(ATLS_EAT_BOOTCOUNT, "bootcount", ATLS_EAT_FORM_UINT, bootcount),
    SIMPLE(ATLS_EAT_BOOTSEED, "bootseed", ATLS_EAT_FORM_BYTES, bootseed),
    OWN(ATLS_EAT_DLOAS, "dloas"),
    SIMPLE(ATLS_EAT_SWNAME, "swname", ATLS_EAT_FORM_TEXT, swname),
    OWN(ATLS_EAT_SWVERSION, "swversion"),
    OWN(ATLS_EAT_MANIFESTS, "manifests"),
    OWN(ATLS_EAT_MEASUREMENTS, "measurements"),
    OWN(ATLS_EAT_MEASRES, "measres"),
    {ATLS_EAT_INTUSE, "intuse", ATLS_EAT_FORM_NAMED, offsetof(struct atls_eat_claims, intuse), 1, 5,
     atls_eat_intuse_name},
    OWN(ATLS_EAT_CMW, "cmw"),
};
#define ROWS (sizeof rows / sizeof rows[0])

const struct atls_eat_row *atls_eat_row_by_key(int64_t key)
{
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].key == key)
            return &rows[i];
    return NULL;
}

const struct atls_eat_row *atls_eat_row_by_name(struct atls_bytes name)
{
    for (size_t i = 0; i < ROWS; i++)
        if (atls_bytes_equal_text(name, rows[i].name))
            return &rows[i];
    return NULL;
}

const char *atls_eat_claim_name(int64_t key)
{
    const struct atls_eat_row *row = atls_eat_row_by_key(key);

    return row == NULL ? NULL : row->name;
}

const char *atls_eat_dbgstat_name(uint64_t value)
{
    static const char *const names[] = {"enabled", "disabled", "disabled-since-boot",
                                        "disabled-permanently", "disabled-fully-and-permanently"};

    return value < sizeof names / sizeof names[0] ? names[value] : NULL;
}

const char *atls_eat_intuse_name(uint64_t value)
{
    static const char *const names[] = {"generic", "registration", "provisioning", "csr", "pop"};

    return value >= 1 && value <= sizeof names / sizeof names[0] ? names[value - 1] : NULL;
}

const char *atls_eat_result_name(uint64_t value)
{
    static const char *const names[] = {"success", "fail", "not-run", "absent"};

    return value >= 1 && value <= sizeof names / sizeof names[0] ? names[value - 1] : NULL;
}

enum atls_eat_ueid_form atls_eat_ueid_form(struct atls_bytes ueid)
{
    size_t len = ueid.len == 0 ? 0 : ueid.len - 1;

    if (len == 0)
        return ATLS_EAT_UEID_OTHER;
    if (ueid.ptr[0] == 0x01 && (len == 16 || len == 24 || len == 32))
        return ATLS_EAT_UEID_RANDOM;
    if (ueid.ptr[0] == 0x02 && (len == 6 || len == 8))
        return ATLS_EAT_UEID_EUI;
    if (ueid.ptr[0] != 0x03 || len != 14)
        return ATLS_EAT_UEID_OTHER;
    for (size_t i = 1; i < ueid.len; i++)
        if (ueid.ptr[i] > 9)
            return ATLS_EAT_UEID_OTHER;
    return ATLS_EAT_UEID_IMEI;
}

enum atls_code atls_eat_malformed(const struct atls_eat_decoder *d, const char *where,
                                  const char *rule)
{
    return atls_fail_reason(d->err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "EAT %s: %s", where,
                            rule);
}

enum atls_code atls_eat_limit(const struct atls_eat_decoder *d, const char *where, size_t most)
{
    return atls_fail_reason(d->err, ATLS_E_LIMIT, ATLS_REASON_MALFORMED,
                            "EAT %s: more than %zu, which is all that is taken", where, most);
}

void *atls_eat_list(const struct atls_eat_decoder *d, size_t count, size_t size)
{
    void *list = atls_arena_alloc(d->arena, count, size);

    if (list == NULL)
        (void)atls_fail(d->err, ATLS_E_NOMEM, "EAT: no memory for a list of %zu", count);
    return list;
}

bool atls_eat_oid_valid(struct atls_bytes oid)
{
    bool first_of_arc = true;

    for (size_t i = 0; i < oid.len; i++) {
        if (first_of_arc && oid.ptr[i] == 0x80)
            return false;
        first_of_arc = (oid.ptr[i] & 0x80) == 0;
    }
    return oid.len > 0 && first_of_arc;
}

/* IANA COSE Algorithms; IANA Named Information Hash Algorithm Registry. Numbers are 0 where the
 * registry has none. */
bool atls_eat_digest_fits(const struct atls_eat_digest *digest, enum atls_eat_registry registry)
{
    static const struct {
        int64_t numbers[2];
        const char *name;
        size_t len;
    } algorithms[] = {
        {{-14, 0}, "SHA-1", 20},       {{-15, 0}, "SHA-256/64", 8}, {{-16, 1}, "SHA-256", 32},
        {{-17, 0}, "SHA-512/256", 32}, {{-18, 0}, "SHAKE128", 32},  {{-43, 7}, "SHA-384", 48},
        {{-44, 8}, "SHA-512", 64},     {{-45, 0}, "SHAKE256", 64},
    };
    const struct atls_eat_label *named = &digest->algorithm;

    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++) {
        struct atls_bytes name = atls_bytes_of(algorithms[i].name, 0);

        while (algorithms[i].name[name.len] != '\0')
            name.len++;
        if (named->is_text ? atls_bytes_equal_without_case(named->text, name)
                           : named->number != 0 && named->number == algorithms[i].numbers[registry])
            return digest->digest.len == algorithms[i].len;
    }
    return digest->digest.len > 0;
}
