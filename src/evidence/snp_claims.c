/* What a verified report says: measurements for reference values (the numbers of AMD's CoRIM
 * profile), details for policies. */
#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "crypto/crypto.h"
#include "evidence/claims.h"
#include "evidence/snp_vek.h"

enum mkey {
    KEY_VERSION = 0,
    KEY_GUEST_SVN = 1,
    KEY_POLICY = 2,
    KEY_FAMILY_ID = 3,
    KEY_IMAGE_ID = 4,
    KEY_VMPL = 5,
    KEY_CURRENT_TCB = 6,
    KEY_PLATFORM_INFO = 7,
    KEY_MEASUREMENT = 641,
    KEY_HOST_DATA = 642,
    KEY_ID_KEY = 643,
    KEY_AUTHOR_KEY = 644,
    KEY_REPORTED_TCB = 647,
    KEY_CPUID_FAMILY = 648,
    KEY_CPUID_MODEL = 649,
    KEY_CPUID_STEPPING = 650,
    KEY_COMMITTED_TCB = 3329,
    KEY_CURRENT_FIRMWARE = 3330,
    KEY_COMMITTED_FIRMWARE = 3936,
    KEY_LAUNCH_TCB = 3968,
};

#define MEASUREMENTS_MAX 24
#define DIGESTS_MAX      3
#define TEXT_MAX         32

/* version-scheme items: decimal (4) and semver (16384) of the CoSWID registry. */
static const uint8_t scheme_decimal[] = {0x04};
static const uint8_t scheme_semver[] = {0x19, 0x40, 0x00};

/* Claims in the making; the first lack of memory sticks. */
struct maker {
    struct atls_claims *claims;
    const struct atls_snp_result *result;
    struct atls_digest *digests;
    size_t digest_count;
    bool failed;
};

static struct atls_measurement *next(struct maker *m, enum mkey key)
{
    struct atls_measurement *to = &m->claims->measurements[m->claims->measurement_count++];

    to->mkey.kind = ATLS_MKEY_UINT;
    to->mkey.number = key;
    return to;
}

static void add_digest(struct maker *m, enum mkey key, struct atls_bytes digest)
{
    struct atls_measurement *to = next(m, key);

    to->mval.digests = &m->digests[m->digest_count++];
    m->failed = m->failed || !atls_claims_add_digest(m->claims, to, ATLS_HASH_SHA384, digest);
}

static void add_svn(struct maker *m, enum mkey key, uint64_t svn)
{
    struct atls_measurement *to = next(m, key);

    to->mval.present = ATLS_MVAL_SVN;
    to->mval.svn = svn;
}

static void add_raw(struct maker *m, enum mkey key, struct atls_bytes raw)
{
    struct atls_measurement *to = next(m, key);

    to->mval.present = ATLS_MVAL_RAW;
    m->failed = m->failed || !atls_arena_copy(&m->claims->arena, raw, &to->mval.raw);
}

/* Big-endian, as the profile writes numbers that are masks. */
static void add_number(struct maker *m, enum mkey key, uint64_t number, size_t len)
{
    uint8_t raw[8];

    for (size_t i = 0; i < len; i++)
        raw[i] = (uint8_t)(number >> (8 * (len - 1 - i)));
    add_raw(m, key, atls_bytes_of(raw, len));
}

static void add_version(struct maker *m, enum mkey key, const char *version,
                        struct atls_bytes scheme)
{
    struct atls_measurement *to = next(m, key);

    to->mval.present = ATLS_MVAL_VERSION;
    to->mval.version_scheme = scheme;
    m->failed =
        m->failed || !atls_arena_copy(&m->claims->arena, atls_bytes_of(version, strlen(version)),
                                      &to->mval.version);
}

static void add_firmware(struct maker *m, enum mkey key, struct atls_snp_firmware f)
{
    char text[TEXT_MAX];

    (void)snprintf(text, sizeof text, "%u.%u.%u", f.major, f.minor, f.build);
    add_version(m, key, text, atls_bytes_of(scheme_semver, sizeof scheme_semver));
}

/* A TCB_VERSION as the one number that the report has it as. */
static uint64_t number_of(struct atls_bytes tcb)
{
    uint64_t number = 0;

    for (size_t i = tcb.len; i-- > 0;)
        number = number << 8 | tcb.ptr[i];
    return number;
}

static void add_measurements(struct maker *m)
{
    const struct atls_snp_report *r = &m->result->report;
    char version[TEXT_MAX];

    add_digest(m, KEY_MEASUREMENT, r->measurement); /* the one that must be known */
    (void)snprintf(version, sizeof version, "%u", (unsigned)r->version);
    add_version(m, KEY_VERSION, version, atls_bytes_of(scheme_decimal, sizeof scheme_decimal));
    add_svn(m, KEY_GUEST_SVN, r->guest_svn);
    add_number(m, KEY_POLICY, r->policy, 8);
    add_raw(m, KEY_FAMILY_ID, r->family_id);
    add_raw(m, KEY_IMAGE_ID, r->image_id);
    add_number(m, KEY_VMPL, r->vmpl, 4);
    add_svn(m, KEY_CURRENT_TCB, number_of(r->current_tcb));
    add_number(m, KEY_PLATFORM_INFO, r->platform_info, 8);
    add_raw(m, KEY_HOST_DATA, r->host_data);
    add_digest(m, KEY_ID_KEY, r->id_key_digest);
    add_digest(m, KEY_AUTHOR_KEY, r->author_key_digest);
    add_svn(m, KEY_REPORTED_TCB, number_of(r->reported_tcb));
    if (r->has_cpuid) {
        add_number(m, KEY_CPUID_FAMILY, r->cpuid_family, 1);
        add_number(m, KEY_CPUID_MODEL, r->cpuid_model, 1);
        add_number(m, KEY_CPUID_STEPPING, r->cpuid_stepping, 1);
    }
    add_svn(m, KEY_COMMITTED_TCB, number_of(r->committed_tcb));
    add_firmware(m, KEY_CURRENT_FIRMWARE, r->current);
    add_firmware(m, KEY_COMMITTED_FIRMWARE, r->committed);
    add_svn(m, KEY_LAUNCH_TCB, number_of(r->launch_tcb));
    m->claims->optional_count = m->claims->measurement_count - 1;
}

/* ---- details ---- */

static void detail_uint(struct maker *m, const char *name, uint64_t number)
{
    m->failed = m->failed || !atls_claims_add_uint(m->claims, name, number);
}

static void detail_bool(struct maker *m, const char *name, bool yes)
{
    m->failed = m->failed || !atls_claims_add_bool(m->claims, name, yes);
}

static void detail_bytes(struct maker *m, const char *name, struct atls_bytes bytes)
{
    m->failed = m->failed || !atls_claims_add_bytes(m->claims, name, bytes);
}

static void detail_text(struct maker *m, const char *name, const char *text)
{
    m->failed = m->failed || !atls_claims_add_string(m->claims, name, text);
}

/* In the notation of the rules: "4.0.24.219", with the FMC first where there is one. */
static void detail_tcb(struct maker *m, const char *name, struct atls_bytes in)
{
    const enum atls_snp_line line = m->result->line;
    struct atls_snp_tcb t;
    char text[TEXT_MAX];
    int len = 0;

    if (line == ATLS_SNP_LINE_UNKNOWN || !atls_snp_tcb_read(line, in, &t))
        return;
    if (line == ATLS_SNP_TURIN || line == ATLS_SNP_VENICE)
        len = snprintf(text, sizeof text, "%u.", t.fmc);
    (void)snprintf(text + len, sizeof text - (size_t)len, "%u.%u.%u.%u", t.boot_loader, t.tee,
                   t.snp, t.microcode);
    detail_text(m, name, text);
}

static void detail_firmware(struct maker *m, const char *name, struct atls_snp_firmware f)
{
    char text[TEXT_MAX];

    (void)snprintf(text, sizeof text, "%u.%u.%u", f.major, f.minor, f.build);
    detail_text(m, name, text);
}

static bool has_chip_id(const struct atls_snp_report *r)
{
    return r->signer == ATLS_SNP_VCEK && !atls_bytes_are_zero(r->chip_id);
}

static void add_machine(struct maker *m)
{
    const struct atls_snp_report *r = &m->result->report;
    const struct atls_snp_vek *vek = m->result->vek;

    detail_uint(m, "report-version", r->version);
    if (m->result->line != ATLS_SNP_LINE_UNKNOWN)
        detail_text(m, "product-line", atls_snp_line_name(m->result->line));
    detail_text(m, "signing-key", r->signer == ATLS_SNP_VLEK ? "vlek" : "vcek");
    if (has_chip_id(r))
        detail_bytes(m, "chip-id", r->chip_id);
    detail_bool(m, "chip-id-masked", (r->key_info & ATLS_SNP_MASKED_CHIP) != 0);
    if (vek != NULL) {
        m->failed = m->failed || !atls_claims_add_text(m->claims, "csp-id", vek->csp_id) ||
                    !atls_claims_add_text(m->claims, "product-name", vek->product);
        detail_bool(m, "revocation-checked", vek->revocation_checked);
    }
    detail_tcb(m, "reported-tcb", r->reported_tcb);
    detail_tcb(m, "current-tcb", r->current_tcb);
    detail_tcb(m, "committed-tcb", r->committed_tcb);
    detail_tcb(m, "launch-tcb", r->launch_tcb);
    detail_firmware(m, "current-firmware", r->current);
    detail_firmware(m, "committed-firmware", r->committed);
    detail_uint(m, "platform-info", r->platform_info);
    if (r->has_mitigations) {
        detail_uint(m, "launch-mitigations", r->launch_mitigations);
        detail_uint(m, "current-mitigations", r->current_mitigations);
    }
}

static void add_guest(struct maker *m)
{
    const struct atls_snp_report *r = &m->result->report;

    detail_uint(m, "vmpl", r->vmpl);
    detail_uint(m, "guest-policy", r->policy);
    detail_bool(m, "debug", (r->policy & ATLS_SNP_POLICY_DEBUG) != 0);
    detail_bool(m, "migration", (r->policy & ATLS_SNP_POLICY_MIGRATION) != 0);
    detail_uint(m, "guest-svn", r->guest_svn);
    detail_bytes(m, "host-data", r->host_data);
    detail_bytes(m, "family-id", r->family_id);
    detail_bytes(m, "image-id", r->image_id);
    detail_bytes(m, "id-key-digest", r->id_key_digest);
    if ((r->key_info & ATLS_SNP_AUTHOR_KEY) != 0)
        detail_bytes(m, "author-key-digest", r->author_key_digest);
}

/* ---- who speaks ---- */

/* 01 || SHA-256 of the chip's id; nothing where the report does not prove which chip it is. */
static enum atls_code make_instance(const struct atls_snp_report *r, uint8_t out[static 33],
                                    size_t *out_len, struct atls_err *err)
{
    uint8_t hash[ATLS_HASH_MAX];
    enum atls_code code;

    *out_len = 0;
    if (!has_chip_id(r))
        return ATLS_OK;
    if ((code = atls_hash_one(ATLS_HASH_SHA256, r->chip_id, hash, err)) != ATLS_OK)
        return code;
    out[0] = 1;
    memcpy(out + 1, hash, 32);
    *out_len = 33;
    return ATLS_OK;
}

/* Where the Verifier is elsewhere nobody asked the anchors. */
static enum atls_code identify_unverified(const struct atls_snp_result *result,
                                          struct atls_bytes instance, struct atls_bytes spki,
                                          struct atls_claims *claims, struct atls_err *err)
{
    struct atls_attest_key class = {0};
    enum atls_code code;

    if ((code = atls_snp_default_class(result->report.signer, &class, err)) == ATLS_OK)
        code = atls_claims_identify(claims, instance, &class, spki, err);
    atls_attest_key_clear(&class);
    return code;
}

static enum atls_code identify(const struct atls_snp_result *result, struct atls_bytes spki,
                               struct atls_claims *claims, struct atls_err *err)
{
    const struct atls_snp_vek *vek = result->vek;
    struct atls_bytes instance;
    uint8_t ueid[33];
    enum atls_code code;
    size_t len;

    if ((code = make_instance(&result->report, ueid, &len, err)) != ATLS_OK)
        return code;
    instance = atls_bytes_of(ueid, len);
    if (vek == NULL)
        return identify_unverified(result, instance, spki, claims, err);
    if ((code = atls_claims_identify(claims, instance, &vek->class, spki, err)) != ATLS_OK)
        return code;
    claims->key_trust = ATLS_KEY_TRUST_CERTIFIED;
    if (!atls_arena_copy(&claims->arena, atls_key_spki(atls_certificate_key(vek->leaf)),
                         &claims->signer_spki))
        return atls_fail(err, ATLS_E_NOMEM, "snp: out of memory");
    return ATLS_OK;
}

enum atls_code atls_snp_claims(const struct atls_snp_result *result, struct atls_bytes spki,
                               struct atls_claims *claims, struct atls_err *err)
{
    struct maker m = {.claims = claims, .result = result};
    enum atls_code code;

    if ((code = identify(result, spki, claims, err)) != ATLS_OK)
        return code;
    claims->measurements =
        atls_arena_alloc(&claims->arena, MEASUREMENTS_MAX, sizeof *claims->measurements);
    m.digests = atls_arena_alloc(&claims->arena, DIGESTS_MAX, sizeof *m.digests);
    if (claims->measurements == NULL || m.digests == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "snp: out of memory");
    add_measurements(&m);
    add_machine(&m);
    add_guest(&m);
    return m.failed ? atls_fail(err, ATLS_E_NOMEM, "snp: out of memory") : ATLS_OK;
}
