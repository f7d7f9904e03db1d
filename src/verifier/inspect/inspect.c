#include <atls/inspect.h>

#include <string.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/log.h"
#include "core/reader.h"
#include "verifier/inspect/cose.h"
#include "wire/json.h"
#include "wire/snp.h"

/* Event logs are the largest things shown: digests and data double, names come on top. */
#define INSPECT_JSON_MAX (64u * 1024 * 1024)
#define CMW_ARENA_MAX    (4u * 1024 * 1024)

/* A decoder more often than not refuses what is not of its kind; these say cheaply where to try. */
static bool begins(struct atls_bytes in, const char *bytes, size_t len)
{
    return in.len >= len && memcmp(in.ptr, bytes, len) == 0;
}

static bool begins_with_text(struct atls_bytes in, const char *text)
{
    return begins(in, text, strlen(text));
}

static bool has(struct atls_bytes in, const char *text)
{
    size_t len = strlen(text);

    for (size_t i = 0; i + len <= in.len; i++)
        if (memcmp(in.ptr + i, text, len) == 0)
            return true;
    return false;
}

static bool is_map(struct atls_bytes in)
{
    return in.len > 0 && in.ptr[0] >> 5 == 5;
}

/* White space is not skipped by those who want compact forms. */
static bool looks_like_json(struct atls_bytes in)
{
    size_t i = 0;

    while (i < in.len && in.ptr[i] != '\0' && strchr(" \t\r\n", in.ptr[i]) != NULL)
        i++;
    return i < in.len && (in.ptr[i] == '{' || in.ptr[i] == '[');
}

static bool looks_like_der(struct atls_bytes in)
{
    return begins(in, "\x30", 1);
}

static bool looks_like_pem_certificate(struct atls_bytes in)
{
    return begins_with_text(in, "-----BEGIN CERTIFICATE-----");
}

static bool looks_like_certificate(struct atls_bytes in)
{
    return looks_like_der(in) || looks_like_pem_certificate(in);
}

static bool looks_like_pem_crl(struct atls_bytes in)
{
    return begins_with_text(in, "-----BEGIN X509 CRL-----");
}

static bool looks_like_crl(struct atls_bytes in)
{
    return looks_like_der(in) || looks_like_pem_crl(in);
}

/* Also private ones, of which the message says that they are. */
static bool looks_like_pem_key(struct atls_bytes in)
{
    return begins_with_text(in, "-----BEGIN ") &&
           has(atls_bytes_of(in.ptr, in.len < 64 ? in.len : 64), "KEY-----");
}

/* Sets and keys alone; a private one is not to be shown as any JSON is. */
static bool looks_like_jwk(struct atls_bytes in)
{
    struct atls_json_value root, member;

    return looks_like_json(in) && has(in, "\"kty\"") &&
           atls_json_parse(in, &root, NULL) == ATLS_OK &&
           (atls_json_member(&root, "kty", &member) || atls_json_member(&root, "keys", &member));
}

static bool looks_like_intel_collateral(struct atls_bytes in)
{
    return looks_like_json(in) && has(in, "\"signature\"") &&
           (has(in, "\"tcbInfo\"") || has(in, "\"enclaveIdentity\"") ||
            has(in, "\"tcbEvaluationDataNumbers\""));
}

static bool looks_like_json_claims(struct atls_bytes in)
{
    return looks_like_json(in) &&
           (has(in, "\"psa-") || has(in, "\"cca-") || has(in, "\"eat-") || has(in, "\"arm-"));
}

/* JWT, CWT, or a claims set of either. */
static bool looks_like_ear(struct atls_bytes in)
{
    return begins(in, "{", 1) || begins(in, "eyJ", 3) || begins(in, "\xd2", 1) ||
           begins(in, "\xd8\x3d", 2) || is_map(in);
}

static bool looks_like_corim(struct atls_bytes in)
{
    return begins(in, "\xd9\x01\xf5", 3) || begins(in, "\xd9\x01\xf4", 3) || begins(in, "\xd2", 1);
}

/* Tag 506, 507 or 508, or the map without it: the decoder tells maps apart. */
static bool looks_like_tag(struct atls_bytes in)
{
    return begins(in, "\xd9\x01\xfa", 3) || begins(in, "\xd9\x01\xfb", 3) ||
           begins(in, "\xd9\x01\xfc", 3) || is_map(in);
}

/* Concise evidence, tag 571, and its table of SPDM contents, tag 570: shown as they are written. */
static bool looks_like_concise_evidence(struct atls_bytes in)
{
    return begins(in, "\xd9\x02\x3b", 3) || begins(in, "\xd9\x02\x3a", 3);
}

static bool looks_like_cmw(struct atls_bytes in)
{
    return atls_cmw_sniff(in) != ATLS_CMW_SHAPE_UNKNOWN;
}

static bool looks_like_sign1(struct atls_bytes in)
{
    return begins(in, "\xd2", 1);
}

/* COSE_Sign1, COSE_Mac0 */
static bool looks_like_cose(struct atls_bytes in)
{
    return begins(in, "\xd2", 1) || begins(in, "\xd1", 1);
}

/* A COSE_Sign1 that says that it holds a wrapper, or holds one, is to be one of a signed wrapper.
 */
static bool is_meant_as_cmw(struct atls_bytes in)
{
    struct atls_arena arena = atls_arena_init(CMW_ARENA_MAX);
    struct atls_cose_shown s;
    struct atls_cmw cmw;
    bool is_meant;

    if (!looks_like_sign1(in) || atls_cose_shown_decode(in, &s, NULL) != ATLS_OK)
        return false;
    is_meant = (s.content_type.ptr != NULL && has(s.content_type, "application/cmw+")) ||
               (s.payload.ptr != NULL && atls_cmw_decode(s.payload, &arena, &cmw, NULL) == ATLS_OK);
    atls_arena_clear(&arena);
    return is_meant;
}

static bool looks_like_kat(struct atls_bytes in)
{
    return begins(in, "\xd9\x02\x59", 3);
}

/* Tags 399 and 907. */
static bool looks_like_cca(struct atls_bytes in)
{
    return begins(in, "\xd9\x01\x8f", 3) || begins(in, "\xd9\x03\x8b", 3);
}

/* Two members, "kat" and "pat", the first a map as no wrapper's is. */
static bool is_meant_as_parsec_tpm(struct atls_bytes in)
{
    return (begins(in, "\xa2\x63kat", 5) || begins(in, "\xa2\x63pat", 5)) && in.len > 5 &&
           in.ptr[5] >> 5 == 5;
}

/* Any JSON object may be a claims set; one with a claim of this prefix is meant as EAT, and so is
 * one that carries a wrapper. */
static bool names_a_claim_of_eat(struct atls_bytes in)
{
    return has(in, "\"eat_") || has(in, "\"cmw\"");
}

/* Tags 18, 61, 601 and 602; a JWT, a claims set in JSON. */
static bool looks_like_eat(struct atls_bytes in)
{
    return begins(in, "\xd2", 1) || begins(in, "\xd8\x3d", 2) || begins(in, "\xd9\x02\x59", 3) ||
           begins(in, "\xd9\x02\x5a", 3) || begins(in, "eyJ", 3) ||
           (begins(in, "{", 1) && names_a_claim_of_eat(in));
}

static bool looks_like_attest(struct atls_bytes in)
{
    return begins(in, "\xff\x54\x43\x47", 4);
}

/* Version 2 to 5; its length alone is rare enough. */
static bool looks_like_snp_report(struct atls_bytes in)
{
    return in.len >= ATLS_SNP_REPORT_LEN && in.ptr[0] >= 2 && in.ptr[0] <= 5 &&
           memcmp(in.ptr + 1, "\0\0", 3) == 0;
}

/* Version 3 to 5, key type 2 or 3, and the TEE type. */
static bool looks_like_quote(struct atls_bytes in, const char *tee_type)
{
    return in.len >= 48 && in.ptr[0] >= 3 && in.ptr[0] <= 5 && in.ptr[1] == 0 &&
           (in.ptr[2] == 2 || in.ptr[2] == 3) && in.ptr[3] == 0 &&
           memcmp(in.ptr + 4, tee_type, 4) == 0;
}

static bool looks_like_tdx_quote(struct atls_bytes in)
{
    return looks_like_quote(in, "\x81\0\0");
}

static bool looks_like_sgx_quote(struct atls_bytes in)
{
    return looks_like_quote(in, "\0\0\0");
}

static bool looks_like_hcl(struct atls_bytes in)
{
    return begins_with_text(in, "HCLA");
}

static bool looks_like_ccel_table(struct atls_bytes in)
{
    return begins_with_text(in, "CCEL");
}

/* A line of text of a kernel's log, "10 <40 digits> ima-ng ...", or the head of a binary entry. */
static bool looks_like_ima_log(struct atls_bytes in)
{
    struct atls_bytes line = atls_bytes_of(in.ptr, in.len < 64 ? in.len : 64);

    return line.len == 64 && ((in.ptr[0] >= '0' && in.ptr[0] <= '9' && has(line, " ima")) ||
                              (in.ptr[0] < 24 && memcmp(in.ptr + 1, "\0\0", 3) == 0 &&
                               memcmp(in.ptr + 28, "ima", 3) == 0));
}

/* "0 c032..." */
static bool looks_like_pcrs(struct atls_bytes in)
{
    return in.len > 40 && in.ptr[0] >= '0' && in.ptr[0] <= '9' &&
           (in.ptr[1] == ' ' || in.ptr[2] == ' ') && !looks_like_ima_log(in);
}

static bool looks_like_authenticator(struct atls_bytes in)
{
    return begins(in, "\x0b\x00", 2) || begins(in, "\x14\x00\x00", 3);
}

static bool looks_like_request(struct atls_bytes in)
{
    return begins(in, "\x0d\x00", 2) || begins(in, "\x11\x00", 2);
}

static bool looks_like_anything(struct atls_bytes in)
{
    return in.len > 0;
}

/* In the order in which they are tried: what has a mark of its own first, what accepts most last.
 */
static const struct kind {
    const char *name;
    bool (*looks)(struct atls_bytes in);
    atls_view_function *view;
    bool (*settles)(struct atls_bytes in); /* it is of this kind or of none; NULL: never */
} kinds[] = {
    {"ima-log", looks_like_ima_log, atls_view_ima_log, looks_like_ima_log},
    {"pcrs", looks_like_pcrs, atls_view_pcrs, NULL},
    {"certificate", looks_like_certificate, atls_view_certificate, looks_like_pem_certificate},
    {"crl", looks_like_crl, atls_view_crl, looks_like_pem_crl},
    {"public-key", looks_like_pem_key, atls_view_public_key, looks_like_pem_key},
    {"tpm-attest", looks_like_attest, atls_view_tpm_attest, NULL},
    {"hcl-report", looks_like_hcl, atls_view_hcl, looks_like_hcl},
    {"tdx-quote", looks_like_tdx_quote, atls_view_tdx_quote, NULL},
    {"sgx-quote", looks_like_sgx_quote, atls_view_sgx_quote, NULL},
    {"snp-report", looks_like_snp_report, atls_view_snp_report, NULL},
    {"ccel-table", looks_like_ccel_table, atls_view_ccel_table, looks_like_ccel_table},
    {"jwk", looks_like_jwk, atls_view_jwk, looks_like_jwk},
    {"intel-collateral", looks_like_intel_collateral, atls_view_intel_collateral, NULL},
    {"ear", looks_like_ear, atls_view_ear, NULL},
    {"corim", looks_like_corim, atls_view_corim, NULL},
    {"soft", looks_like_sign1, atls_view_soft, NULL},
    {"kat", looks_like_kat, atls_view_kat, NULL},
    {"psa", looks_like_cose, atls_view_psa, NULL},
    {"cca", looks_like_cca, atls_view_cca, looks_like_cca},
    {"tpm-certify", is_map, atls_view_tpm_certify, NULL},
    {"tpm-quote", is_map, atls_view_tpm_quote, NULL},
    {"tsm-report", is_map, atls_view_tsm_report, NULL},
    {"comid", looks_like_tag, atls_view_comid, NULL},
    {"cots", looks_like_tag, atls_view_cots, NULL},
    {"cotl", looks_like_tag, atls_view_cotl, NULL},
    {"concise-evidence", looks_like_concise_evidence, atls_view_cbor, NULL},
    {"cmw", looks_like_cmw, atls_view_cmw, is_meant_as_cmw},
    {"parsec-cca", is_map, atls_view_parsec_cca, NULL},
    {"parsec-tpm", is_map, atls_view_parsec_tpm, is_meant_as_parsec_tpm},
    {"eat", looks_like_eat, atls_view_eat, NULL},
    {"cose", looks_like_cose, atls_view_cose, looks_like_cose},
    {"json-claims", looks_like_json_claims, atls_view_json_claims, NULL},
    {"json", looks_like_json, atls_view_json, looks_like_json},
    {"authenticator", looks_like_authenticator, atls_view_authenticator, NULL},
    {"request", looks_like_request, atls_view_request, NULL},
    {"frame", looks_like_anything, atls_view_frame, NULL},
    {"tpm-public", looks_like_anything, atls_view_tpm_public, NULL},
    {"tpm-signature", looks_like_anything, atls_view_tpm_signature, NULL},
    {"event-log", looks_like_anything, atls_view_event_log, NULL},
    {"snp-certificates", looks_like_anything, atls_view_snp_certificates, NULL},
    {"kat-batch", looks_like_anything, atls_view_kat_batch, NULL},
    {"cbor", looks_like_anything, atls_view_cbor, NULL},
};
#define KINDS (sizeof kinds / sizeof kinds[0])

static enum atls_code inspect_as(const struct kind *kind, struct atls_bytes in,
                                 struct atls_buf *out, struct atls_err *err)
{
    struct atls_json j = atls_json_init(INSPECT_JSON_MAX);
    struct atls_view v = {&j, 0, err};
    enum atls_code code;

    j.pretty = true;
    atls_json_open_object(&j, NULL);
    atls_json_put_bool(&j, "verified", false);
    atls_json_put_string(&j, "kind", kind->name);
    if ((code = kind->view(&v, "content", in)) != ATLS_OK) {
        atls_json_clear(&j);
        return code;
    }
    atls_json_close(&j);
    return atls_json_finish(&j, out, err);
}

/* What a mark of its own announced is what the user wants to hear about when nothing fits. */
static enum atls_code guess(struct atls_bytes in, struct atls_buf *out, struct atls_err *err)
{
    struct atls_err announced = ATLS_ERR_INIT, ignored = ATLS_ERR_INIT;
    enum atls_code code;

    for (size_t i = 0; i < KINDS; i++) {
        bool is_marked = kinds[i].looks != looks_like_anything;

        if (!kinds[i].looks(in))
            continue;
        code = inspect_as(&kinds[i], in, out,
                          is_marked && announced.code == ATLS_OK ? &announced : &ignored);
        if (code == ATLS_OK)
            return ATLS_OK;
        if (kinds[i].settles != NULL && kinds[i].settles(in))
            return inspect_as(&kinds[i], in, out, err);
    }
    if (announced.code == ATLS_OK)
        return atls_fail(err, ATLS_E_UNSUPPORTED,
                         "input of %zu bytes is nothing that is known here; name its kind", in.len);
    if (err != NULL)
        *err = announced;
    return announced.code;
}

enum atls_code atls_inspect(struct atls_bytes in, const char *kind, struct atls_buf *out,
                            struct atls_err *err)
{
    char shown[48];

    if (kind == NULL)
        return guess(in, out, err);
    for (size_t i = 0; i < KINDS; i++)
        if (strcmp(kinds[i].name, kind) == 0)
            return inspect_as(&kinds[i], in, out, err);
    return atls_fail(err, ATLS_E_UNSUPPORTED, "kind \"%s\" is not known",
                     atls_escape(atls_bytes_of(kind, strlen(kind)), shown, sizeof shown));
}
