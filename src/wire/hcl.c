#include "wire/hcl.h"

#include <string.h>

#include "core/base64.h"
#include "core/err.h"
#include "wire/cose.h"
#include "wire/json.h"

#define HEADER_LEN    32
#define DATA_HEAD_LEN 20
#define TDREPORT_LEN  1024
#define FIXED_LEN     (HEADER_LEN + ATLS_HCL_SLOT_LEN + DATA_HEAD_LEN)
/* Two RSA keys and a handful of settings: some 1200 bytes. */
#define VARIABLES_MAX    4096
#define RSA_LEN_MIN      256
#define RSA_LEN_MAX      512
#define EXPONENT_LEN_MAX 8
#define SPKI_MAX         2048

static enum atls_code malformed(struct atls_err *err, const char *rule)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "HCL report: %s", rule);
}

/* The parts as they stand, before anything is made of them. */
struct parts {
    struct atls_bytes magic, reserved, slot, variables, padding;
    uint32_t version, report_size, request_type, status;
    uint32_t data_size, data_version, type, hash, variables_size;
};

static bool get_parts(struct atls_reader *r, struct parts *p)
{
    return atls_get_bytes(r, 4, &p->magic) && atls_get_u32le(r, &p->version) &&
           atls_get_u32le(r, &p->report_size) && atls_get_u32le(r, &p->request_type) &&
           atls_get_u32le(r, &p->status) && atls_get_bytes(r, 12, &p->reserved) &&
           atls_get_bytes(r, ATLS_HCL_SLOT_LEN, &p->slot) && atls_get_u32le(r, &p->data_size) &&
           atls_get_u32le(r, &p->data_version) && atls_get_u32le(r, &p->type) &&
           atls_get_u32le(r, &p->hash) && atls_get_u32le(r, &p->variables_size) &&
           p->variables_size >= 2 && p->variables_size <= VARIABLES_MAX &&
           atls_get_bytes(r, p->variables_size, &p->variables) &&
           atls_get_bytes(r, atls_reader_left(r), &p->padding);
}

static enum atls_code check_sizes(const struct parts *p, struct atls_err *err)
{
    if (!atls_bytes_equal_text(p->magic, "HCLA"))
        return malformed(err, "magic is not HCLA");
    if (p->version != 1 && p->version != 2)
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_VERSION,
                                "HCL report: version %u, want 1 or 2", (unsigned)p->version);
    /* Both sums are below 8 KiB: variables_size was checked. */
    if (p->report_size != FIXED_LEN + p->variables_size)
        return malformed(err, "report size is not that of its parts");
    if (p->data_size != DATA_HEAD_LEN + p->variables_size)
        return malformed(err, "data size is not that of its parts");
    if (p->data_version != 1)
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_VERSION,
                                "HCL report: data version %u, want 1", (unsigned)p->data_version);
    if (!atls_bytes_are_zero(p->reserved))
        return malformed(err, "reserved bytes of the header are not zero");
    if (!atls_bytes_are_zero(p->padding))
        return malformed(err, "bytes that are not zero follow the report");
    return ATLS_OK;
}

static enum atls_code pick_hash(uint32_t number, enum atls_hash *out, struct atls_err *err)
{
    static const enum atls_hash hashes[] = {ATLS_HASH_NONE, ATLS_HASH_SHA256, ATLS_HASH_SHA384,
                                            ATLS_HASH_SHA512};

    if (number == 0 || number >= sizeof hashes / sizeof hashes[0])
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_ALGORITHM,
                                "HCL report: hash type %u, want 1 to 3", (unsigned)number);
    *out = hashes[number];
    return ATLS_OK;
}

static enum atls_code pick_report(const struct parts *p, struct atls_hcl_report *out,
                                  struct atls_err *err)
{
    if (p->type == ATLS_HCL_SNP) {
        out->type = ATLS_HCL_SNP;
        out->hardware_report = p->slot;
        return ATLS_OK;
    }
    if (p->type != ATLS_HCL_TDX)
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_TEE_TYPE,
                                "HCL report: type %u, want 2 (SNP) or 4 (TDX)", (unsigned)p->type);
    if (!atls_bytes_are_zero(
            atls_bytes_of(p->slot.ptr + TDREPORT_LEN, (size_t)ATLS_HCL_SLOT_LEN - TDREPORT_LEN)))
        return malformed(err, "bytes that are not zero follow the TDREPORT");
    out->type = ATLS_HCL_TDX;
    out->hardware_report = atls_bytes_of(p->slot.ptr, TDREPORT_LEN);
    return ATLS_OK;
}

enum atls_code atls_hcl_report_decode(struct atls_bytes in, struct atls_hcl_report *out,
                                      struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_hcl_report report;
    struct parts p;
    enum atls_code code;

    memset(&report, 0, sizeof report);
    if (in.len > ATLS_HCL_MAX || !get_parts(&r, &p))
        return malformed(err, "shorter than its parts, or longer than any");
    if ((code = check_sizes(&p, err)) != ATLS_OK ||
        (code = pick_hash(p.hash, &report.hash, err)) != ATLS_OK ||
        (code = pick_report(&p, &report, err)) != ATLS_OK)
        return code;
    report.variables = p.variables;
    *out = report;
    return ATLS_OK;
}

/* ---- the JSON text ---- */

void atls_hcl_variables_clear(struct atls_hcl_variables *variables)
{
    if (variables != NULL)
        atls_buf_clear(&variables->attestation_key);
}

/* base64url with or without padding: hosts do either. */
static bool get_base64url(const struct atls_json_value *value, struct atls_writer *w)
{
    struct atls_bytes text;

    if (!atls_json_get_plain(value, &text))
        return false;
    while (text.len > 0 && text.ptr[text.len - 1] == '=')
        text.len--;
    return atls_base64url_get(text, w);
}

/* JWK (RFC 7517) of an RSA key as SubjectPublicKeyInfo. */
static enum atls_code read_rsa(const struct atls_json_value *jwk, struct atls_buf *out,
                               struct atls_err *err)
{
    struct atls_writer n = atls_writer_init(RSA_LEN_MAX), e = atls_writer_init(EXPONENT_LEN_MAX),
                       spki = atls_writer_init(SPKI_MAX);
    struct atls_json_value kty, modulus, exponent;
    struct atls_cose_key key = {.kty = ATLS_COSE_RSA};
    enum atls_code code = ATLS_OK;

    if (!atls_json_member(jwk, "kty", &kty) || !atls_json_is_text(&kty, "RSA") ||
        !atls_json_member(jwk, "n", &modulus) || !get_base64url(&modulus, &n) ||
        !atls_json_member(jwk, "e", &exponent) || !get_base64url(&exponent, &e) ||
        n.len < RSA_LEN_MIN)
        code = malformed(err, "HCLAkPub is no RSA key of 2048 to 4096 bits");
    key.n = atls_writer_bytes(&n);
    key.e = atls_writer_bytes(&e);
    if (code == ATLS_OK && atls_cose_put_spki(&spki, &key, NULL) != ATLS_OK)
        code = malformed(err, "HCLAkPub is no RSA key of 2048 to 4096 bits");
    if (code == ATLS_OK)
        code = atls_writer_finish(&spki, out, err);
    atls_writer_clear(&n);
    atls_writer_clear(&e);
    atls_writer_clear(&spki);
    return code;
}

/* The only key of that name. */
static enum atls_code find_key(const struct atls_json_value *root, struct atls_json_value *out,
                               struct atls_err *err)
{
    struct atls_json_value keys, key, kid;
    struct atls_json_walk walk;
    size_t found = 0;

    if (!atls_json_member(root, "keys", &keys) || keys.kind != ATLS_JSON_ARRAY)
        return malformed(err, "\"keys\" is no array");
    walk = atls_json_walk(&keys);
    while (atls_json_next(&walk, NULL, &key))
        if (atls_json_member(&key, "kid", &kid) && atls_json_is_text(&kid, "HCLAkPub")) {
            *out = key;
            found++;
        }
    return found == 1 ? ATLS_OK : malformed(err, "want exactly one key named HCLAkPub");
}

static enum atls_code read_user_data(const struct atls_json_value *root,
                                     struct atls_hcl_variables *out, struct atls_err *err)
{
    struct atls_json_value value;

    if (!atls_json_member(root, "user-data", &value))
        return ATLS_OK;
    if (!atls_json_get_hex(&value, out->user_data, sizeof out->user_data))
        return malformed(err, "\"user-data\" is not 128 hexadecimal digits");
    out->has_user_data = true;
    return ATLS_OK;
}

static enum atls_code read_machine(const struct atls_json_value *root,
                                   struct atls_hcl_variables *out, struct atls_err *err)
{
    struct atls_json_value settings, value;
    size_t len = 0;

    if (!atls_json_member(root, "vm-configuration", &settings))
        return ATLS_OK;
    if (atls_json_member(&settings, "vmUniqueId", &value)) {
        if (!atls_json_get_text(&value, out->machine, sizeof out->machine - 1, &len))
            return malformed(err, "\"vmUniqueId\" is no text of at most 63 bytes");
        out->machine[len] = '\0';
    }
    if (!atls_json_member(&settings, "secure-boot", &value))
        return ATLS_OK;
    if (!atls_json_get_bool(&value, &out->secure_boot))
        return malformed(err, "\"secure-boot\" is neither true nor false");
    out->has_secure_boot = true;
    return ATLS_OK;
}

enum atls_code atls_hcl_variables_decode(struct atls_bytes json, struct atls_hcl_variables *out,
                                         struct atls_err *err)
{
    struct atls_hcl_variables variables;
    struct atls_json_value root, key;
    enum atls_code code;

    memset(&variables, 0, sizeof variables);
    if ((code = atls_json_parse(json, &root, err)) != ATLS_OK ||
        (code = find_key(&root, &key, err)) != ATLS_OK ||
        (code = read_user_data(&root, &variables, err)) != ATLS_OK ||
        (code = read_machine(&root, &variables, err)) != ATLS_OK ||
        (code = read_rsa(&key, &variables.attestation_key, err)) != ATLS_OK)
        return code;
    *out = variables;
    return ATLS_OK;
}
