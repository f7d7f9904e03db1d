#include <atls/inspect.h>

#include <string.h>

#include "core/err.h"
#include "core/log.h"
#include "core/reader.h"
#include "verifier/inspect/view.h"
#include "wire/tpm.h"

/* Event logs are the largest things shown: digests and data double, names come on top. */
#define INSPECT_JSON_MAX (64u * 1024 * 1024)

/* A decoder more often than not refuses what is not of its kind; these say cheaply where to try. */
static bool begins(struct atls_bytes in, const char *bytes, size_t len)
{
    return in.len >= len && memcmp(in.ptr, bytes, len) == 0;
}

static bool looks_like_certificate(struct atls_bytes in)
{
    return begins(in, "\x30", 1) || begins(in, "-----BEGIN CERTIFICATE-----", 27);
}

/* JWT, CWT, or a claims set of either. */
static bool looks_like_ear(struct atls_bytes in)
{
    return begins(in, "{", 1) || begins(in, "eyJ", 3) || begins(in, "\xd2", 1) ||
           begins(in, "\xd8\x3d", 2) || (in.len > 0 && in.ptr[0] >> 5 == 5);
}

static bool looks_like_corim(struct atls_bytes in)
{
    return begins(in, "\xd9\x01\xf5", 3) || begins(in, "\xd9\x01\xf4", 3) || begins(in, "\xd2", 1);
}

/* Tag 506, 507 or 508, or the map without it: the decoder tells maps apart. */
static bool looks_like_tag(struct atls_bytes in)
{
    return begins(in, "\xd9\x01\xfa", 3) || begins(in, "\xd9\x01\xfb", 3) ||
           begins(in, "\xd9\x01\xfc", 3) || (in.len > 0 && in.ptr[0] >> 5 == 5);
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

static bool looks_like_soft(struct atls_bytes in)
{
    return begins(in, "\xd2", 1);
}

static bool looks_like_kat(struct atls_bytes in)
{
    return begins(in, "\xd9\x02\x59", 3);
}

static bool looks_like_psa(struct atls_bytes in)
{
    return begins(in, "\xd2", 1);
}

/* Tags 399 and 907. */
static bool looks_like_cca(struct atls_bytes in)
{
    return begins(in, "\xd9\x01\x8f", 3) || begins(in, "\xd9\x03\x8b", 3);
}

/* Any JSON object may be a claims set; one with a claim of this prefix is meant as EAT. */
static bool names_a_claim_of_eat(struct atls_bytes in)
{
    static const char prefix[] = "\"eat_";

    for (size_t i = 0; i + sizeof prefix - 1 <= in.len; i++)
        if (memcmp(in.ptr + i, prefix, sizeof prefix - 1) == 0)
            return true;
    return false;
}

/* Tags 18, 61, 601 and 602; a JWT, a claims set in JSON. */
static bool looks_like_eat(struct atls_bytes in)
{
    return begins(in, "\xd2", 1) || begins(in, "\xd8\x3d", 2) || begins(in, "\xd9\x02\x59", 3) ||
           begins(in, "\xd9\x02\x5a", 3) || begins(in, "eyJ", 3) ||
           (begins(in, "{", 1) && names_a_claim_of_eat(in));
}

static bool looks_like_half(struct atls_bytes in)
{
    return in.len > 0 && in.ptr[0] >> 5 == 5; /* a CBOR map */
}

static bool looks_like_attest(struct atls_bytes in)
{
    return begins(in, "\xff\x54\x43\x47", 4);
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
} kinds[] = {
    {"certificate", looks_like_certificate, atls_view_certificate},
    {"tpm-attest", looks_like_attest, atls_view_tpm_attest},
    {"ear", looks_like_ear, atls_view_ear},
    {"corim", looks_like_corim, atls_view_corim},
    {"soft", looks_like_soft, atls_view_soft},
    {"kat", looks_like_kat, atls_view_kat},
    {"psa", looks_like_psa, atls_view_psa},
    {"cca", looks_like_cca, atls_view_cca},
    {"tpm-certify", looks_like_half, atls_view_tpm_certify},
    {"tpm-quote", looks_like_half, atls_view_tpm_quote},
    {"comid", looks_like_tag, atls_view_comid},
    {"cots", looks_like_tag, atls_view_cots},
    {"cotl", looks_like_tag, atls_view_cotl},
    {"concise-evidence", looks_like_concise_evidence, atls_view_cbor},
    {"cmw", looks_like_cmw, atls_view_cmw},
    {"eat", looks_like_eat, atls_view_eat},
    {"authenticator", looks_like_authenticator, atls_view_authenticator},
    {"request", looks_like_request, atls_view_request},
    {"frame", looks_like_anything, atls_view_frame},
    {"tpm-public", looks_like_anything, atls_view_tpm_public},
    {"tpm-signature", looks_like_anything, atls_view_tpm_signature},
    {"event-log", looks_like_anything, atls_view_event_log},
    {"cbor", looks_like_anything, atls_view_cbor},
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
