#include "verifier/collateral/request.h"

#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "core/writer.h"
#include "crypto/certificate.h"
#include "wire/snp.h"

/* Certificates of one chain or bundle. */
#define CERTIFICATES_MAX 8
#define FMSPC_LEN        12 /* hexadecimal digits */
#define TCB_LEN          8

/* ---- paths ---- */

enum collateral_maker collateral_maker_of(enum atls_collateral_kind kind)
{
    return kind <= ATLS_COLLATERAL_SNP_CRL ? COLLATERAL_AMD : COLLATERAL_INTEL;
}

static bool is_hex(struct atls_bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (memchr("0123456789abcdef", text.ptr[i], 16) == NULL)
            return false;
    return text.len > 0;
}

/* Of either case. */
static bool is_digit(uint8_t c)
{
    return c != '\0' && strchr("0123456789abcdefABCDEF", c) != NULL;
}

static uint8_t nibble(uint8_t digit)
{
    return (uint8_t)(digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
}

/* Subjects have lower-case letters: "milan" is Milan. */
static enum atls_snp_line line_of(struct atls_bytes subject)
{
    for (enum atls_snp_line line = ATLS_SNP_MILAN; line < ATLS_SNP_LINES; line++) {
        const char *name = atls_snp_line_name(line);

        if (atls_bytes_equal_without_case(subject, atls_bytes_of(name, strlen(name))))
            return line;
    }
    return ATLS_SNP_LINE_UNKNOWN;
}

/* The next part of a subject, up to '-'. */
static struct atls_bytes next_part(struct atls_bytes *left)
{
    const uint8_t *dash = left->len == 0 ? NULL : memchr(left->ptr, '-', left->len);
    struct atls_bytes part = *left;

    if (dash == NULL) {
        *left = atls_bytes_of(NULL, 0);
        return part;
    }
    part.len = (size_t)(dash - left->ptr);
    *left = atls_bytes_of(dash + 1, left->len - part.len - 1);
    return part;
}

static enum atls_code not_published(const struct atls_collateral_query *query, const char *why,
                                    struct atls_err *err)
{
    return atls_fail(err, ATLS_E_NOT_FOUND, "%s %.80s: %s",
                     atls_collateral_row_of(query->kind)->name, query->subject, why);
}

static bool read_tcb(enum atls_snp_line line, struct atls_bytes digits, struct atls_snp_tcb *out)
{
    uint8_t bytes[TCB_LEN];

    if (digits.len != 2 * sizeof bytes || !is_hex(digits))
        return false;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(nibble(digits.ptr[2 * i]) << 4 | nibble(digits.ptr[2 * i + 1]));
    return atls_snp_tcb_read(line, atls_bytes_of(bytes, sizeof bytes), out);
}

/* The id that the service knows a chip by: CHIP_ID, from Turin on its first 8 bytes, behind which
 * reports have zeros. 0: it is none. */
static size_t chip_digits(enum atls_snp_line line, struct atls_bytes chip)
{
    size_t digits = 2 * atls_snp_chip_id_len(line);

    if (line == ATLS_SNP_LINE_UNKNOWN || chip.len != 2 * ATLS_SNP_CHIP_ID_LEN || !is_hex(chip))
        return 0;
    for (size_t i = digits; i < chip.len; i++)
        if (chip.ptr[i] != '0')
            return 0;
    return digits;
}

/* Of a chip, at the TCB that its reports name. */
static enum atls_code vek_request(const struct atls_collateral_query *query,
                                  struct collateral_request *out, struct atls_err *err)
{
    struct atls_bytes left = atls_bytes_of(query->subject, strlen(query->subject));
    enum atls_snp_line line = line_of(next_part(&left));
    struct atls_bytes chip = next_part(&left);
    size_t digits = chip_digits(line, chip);
    struct atls_snp_tcb tcb;
    char fmc[32] = "";

    if (atls_bytes_equal_text(chip, "vlek"))
        return not_published(query, "no maker publishes it: the cloud's operator hands it out",
                             err);
    if (digits == 0 || !read_tcb(line, left, &tcb))
        return not_published(query, "want LINE-CHIP-TCB, the last two hexadecimal", err);
    if (line >= ATLS_SNP_TURIN)
        snprintf(fmc, sizeof fmc, "fmcSPL=%02u&", tcb.fmc);
    snprintf(out->path, sizeof out->path,
             "/vcek/v1/%s/%.*s?%sblSPL=%02u&teeSPL=%02u&snpSPL=%02u&ucodeSPL=%02u",
             atls_snp_line_name(line), (int)digits, (const char *)chip.ptr, fmc, tcb.boot_loader,
             tcb.tee, tcb.snp, tcb.microcode);
    return ATLS_OK;
}

static enum atls_code line_request(const struct atls_collateral_query *query,
                                   struct collateral_request *out, struct atls_err *err)
{
    enum atls_snp_line line = line_of(atls_bytes_of(query->subject, strlen(query->subject)));
    const char *name = atls_snp_line_name(line);

    if (line == ATLS_SNP_LINE_UNKNOWN)
        return not_published(query, "not a line of processors", err);
    if (query->kind == ATLS_COLLATERAL_SNP_CRL) {
        snprintf(out->path, sizeof out->path, "/vcek/v1/%s/crl", name);
        return ATLS_OK;
    }
    snprintf(out->path, sizeof out->path, "/vcek/v1/%s/cert_chain", name);
    snprintf(out->second_path, sizeof out->second_path, "/vlek/v1/%s/cert_chain", name);
    return ATLS_OK;
}

static void set_chain(struct collateral_request *out, const char *header,
                      enum atls_collateral_kind kind, const char *subject)
{
    out->chain_header = header;
    out->chain = (struct atls_collateral_query){kind, subject};
}

/* SGX and TDX have a branch each of what is published per technology. */
static const char *branch_of(enum atls_collateral_kind kind)
{
    return kind == ATLS_COLLATERAL_SGX_TCB_INFO || kind == ATLS_COLLATERAL_SGX_QE_IDENTITY ||
                   kind == ATLS_COLLATERAL_SGX_EVALUATION
               ? "sgx"
               : "tdx";
}

static enum atls_code tcb_info_request(const struct atls_collateral_query *query,
                                       struct collateral_request *out, struct atls_err *err)
{
    struct atls_bytes fmspc = atls_bytes_of(query->subject, strlen(query->subject));

    if (fmspc.len != FMSPC_LEN || !is_hex(fmspc))
        return not_published(query, "want 12 hexadecimal digits (FMSPC)", err);
    snprintf(out->path, sizeof out->path, "/%s/certification/v4/tcb?fmspc=%s",
             branch_of(query->kind), query->subject);
    set_chain(out, "TCB-Info-Issuer-Chain", ATLS_COLLATERAL_TDX_TCB_CHAIN, "tcb");
    return ATLS_OK;
}

static enum atls_code pck_crl_request(const struct atls_collateral_query *query,
                                      struct collateral_request *out, struct atls_err *err)
{
    static const char *const cas[] = {"platform", "processor"};

    for (size_t i = 0; i < sizeof cas / sizeof cas[0]; i++) {
        if (strcmp(query->subject, cas[i]) != 0)
            continue;
        snprintf(out->path, sizeof out->path, "/sgx/certification/v4/pckcrl?ca=%s&encoding=der",
                 cas[i]);
        set_chain(out, "SGX-PCK-CRL-Issuer-Chain", ATLS_COLLATERAL_TDX_PCK_CRL_CHAIN, cas[i]);
        return ATLS_OK;
    }
    return not_published(query, "neither \"platform\" nor \"processor\"", err);
}

/* The chain that signs TCB info comes with every document that it signs; this one has no subject.
 */
static enum atls_code identity_request(const struct atls_collateral_query *query,
                                       struct collateral_request *out, struct atls_err *err)
{
    const char *want = query->kind == ATLS_COLLATERAL_TDX_TCB_CHAIN     ? "tcb"
                       : query->kind == ATLS_COLLATERAL_TDX_QE_IDENTITY ? "td"
                                                                        : "qe";

    if (strcmp(query->subject, want) != 0)
        return not_published(query, "there is no such subject", err);
    snprintf(out->path, sizeof out->path, "/%s/certification/v4/qe/identity",
             branch_of(query->kind));
    set_chain(out, "SGX-Enclave-Identity-Issuer-Chain", ATLS_COLLATERAL_TDX_TCB_CHAIN, "tcb");
    return ATLS_OK;
}

static enum atls_code root_crl_request(const struct atls_collateral_query *query,
                                       struct collateral_request *out, struct atls_err *err)
{
    if (strcmp(query->subject, "root") != 0)
        return not_published(query, "there is no such subject", err);
    snprintf(out->path, sizeof out->path, "/sgx/certification/v4/rootcacrl");
    return ATLS_OK;
}

static enum atls_code evaluation_request(const struct atls_collateral_query *query,
                                         struct collateral_request *out, struct atls_err *err)
{
    if (strcmp(query->subject, branch_of(query->kind)) != 0)
        return not_published(query, "there is no such subject", err);
    snprintf(out->path, sizeof out->path, "/%s/certification/v4/tcbevaluationdatanumbers",
             branch_of(query->kind));
    set_chain(out, "TCB-Evaluation-Data-Numbers-Issuer-Chain", ATLS_COLLATERAL_TDX_TCB_CHAIN,
              "tcb");
    return ATLS_OK;
}

enum atls_code collateral_request_of(const struct atls_collateral_query *query,
                                     struct collateral_request *out, struct atls_err *err)
{
    static enum atls_code (*const kinds[])(const struct atls_collateral_query *,
                                           struct collateral_request *, struct atls_err *) = {
        [ATLS_COLLATERAL_SNP_VEK] = vek_request,
        [ATLS_COLLATERAL_SNP_CA] = line_request,
        [ATLS_COLLATERAL_SNP_CRL] = line_request,
        [ATLS_COLLATERAL_TDX_TCB_INFO] = tcb_info_request,
        [ATLS_COLLATERAL_TDX_QE_IDENTITY] = identity_request,
        [ATLS_COLLATERAL_TDX_TCB_CHAIN] = identity_request,
        [ATLS_COLLATERAL_TDX_PCK_CRL] = pck_crl_request,
        [ATLS_COLLATERAL_TDX_PCK_CRL_CHAIN] = pck_crl_request,
        [ATLS_COLLATERAL_TDX_ROOT_CRL] = root_crl_request,
        [ATLS_COLLATERAL_TDX_EVALUATION] = evaluation_request,
        [ATLS_COLLATERAL_SGX_TCB_INFO] = tcb_info_request,
        [ATLS_COLLATERAL_SGX_QE_IDENTITY] = identity_request,
        [ATLS_COLLATERAL_SGX_EVALUATION] = evaluation_request,
    };
    struct collateral_request request;
    enum atls_code code;

    if (query->kind == ATLS_COLLATERAL_NONE ||
        (size_t)query->kind >= sizeof kinds / sizeof kinds[0] || kinds[query->kind] == NULL)
        return atls_fail(err, ATLS_E_NOT_FOUND, "collateral: no such kind");
    memset(&request, 0, sizeof request);
    request.maker = collateral_maker_of(query->kind);
    if ((code = kinds[query->kind](query, &request, err)) == ATLS_OK)
        *out = request;
    return code;
}

/* ---- what comes back ---- */

static struct atls_bytes trimmed(struct atls_bytes text)
{
    while (text.len > 0 && memchr(" \t\r\n", text.ptr[text.len - 1], 4) != NULL)
        text.len--;
    return text;
}

static enum atls_code no_list(struct atls_err *err)
{
    return atls_fail(err, ATLS_E_PROTOCOL, "not one revocation list (DER, PEM or hexadecimal)");
}

/* Some caches hand DER out as hexadecimal text. */
static enum atls_code from_hex(struct atls_bytes text, struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(ATLS_COLLATERAL_DOCUMENT_MAX);

    if (text.len % 2 != 0)
        return no_list(err);
    for (size_t i = 0; i < text.len; i += 2) {
        if (!is_digit(text.ptr[i]) || !is_digit(text.ptr[i + 1])) {
            atls_writer_clear(&w);
            return no_list(err);
        }
        atls_put_u8(&w, (uint8_t)(nibble(text.ptr[i]) << 4 | nibble(text.ptr[i + 1])));
    }
    return atls_writer_finish(&w, out, err);
}

static enum atls_code from_pem(struct atls_bytes text, struct atls_buf *out, struct atls_err *err)
{
    struct atls_buf lists[2] = {ATLS_BUF_INIT, ATLS_BUF_INIT};
    size_t count = 0;

    if (atls_crls_split(text, lists, 2, &count, NULL) == ATLS_OK && count == 1) {
        *out = lists[0];
        return ATLS_OK;
    }
    for (size_t i = 0; i < count; i++)
        atls_buf_clear(&lists[i]);
    return no_list(err);
}

/* DER begins with a SEQUENCE, 0x30, which is a digit, too: the next octet is none then, for a list
 * is longer than 127 octets. */
static enum atls_code crl_of(struct atls_bytes body, struct atls_buf *out, struct atls_err *err)
{
    struct atls_bytes text = trimmed(body);

    if (body.len > 2 && body.ptr[0] == 0x30 && (body.ptr[1] & 0x80) != 0)
        return atls_buf_copy(out, body, err);
    if (text.len > 0 && text.ptr[0] == '-')
        return from_pem(text, out, err);
    return text.len > 2 ? from_hex(text, out, err) : no_list(err);
}

static enum atls_code put_certificate(struct atls_writer *w, const struct atls_certificate *c,
                                      struct atls_err *err)
{
    struct atls_buf pem = ATLS_BUF_INIT;
    enum atls_code code = atls_pem_encode("CERTIFICATE", atls_certificate_der(c), &pem, err);

    if (code == ATLS_OK)
        atls_put_bytes(w, atls_buf_bytes(&pem));
    atls_buf_clear(&pem);
    return code;
}

/* As PEM text of our own: what came may have text between its blocks. */
static enum atls_code certificates_of(struct atls_bytes body, bool with_roots, struct atls_buf *out,
                                      struct atls_err *err)
{
    struct atls_certificate *certificates[CERTIFICATES_MAX];
    struct atls_writer w = atls_writer_init(ATLS_COLLATERAL_DOCUMENT_MAX);
    enum atls_code code;
    size_t count = 0;

    code = atls_certificates_parse(body, certificates, CERTIFICATES_MAX, &count, err);
    if (code != ATLS_OK)
        return atls_fail(err, code == ATLS_E_NOMEM ? code : ATLS_E_PROTOCOL,
                         "not certificates in PEM");
    for (size_t i = 0; i < count; i++) {
        if (code == ATLS_OK && (with_roots || !atls_certificate_is_self_issued(certificates[i])))
            code = put_certificate(&w, certificates[i], err);
        atls_certificate_unref(certificates[i]);
    }
    if (code == ATLS_OK && w.failed == ATLS_OK && w.len == 0)
        code = atls_fail(err, ATLS_E_PROTOCOL, "no certificate but roots");
    if (code == ATLS_OK)
        return atls_writer_finish(&w, out, err);
    atls_writer_clear(&w);
    return code;
}

enum atls_code collateral_document_of(enum atls_collateral_kind kind, struct atls_bytes body,
                                      struct atls_buf *out, struct atls_err *err)
{
    switch (kind) {
    case ATLS_COLLATERAL_SNP_CRL:
    case ATLS_COLLATERAL_TDX_PCK_CRL:
    case ATLS_COLLATERAL_TDX_ROOT_CRL:
        return crl_of(body, out, err);
    case ATLS_COLLATERAL_SNP_CA:
        return certificates_of(body, false, out, err);
    default:
        return atls_buf_copy(out, body, err);
    }
}

enum atls_code collateral_chain_of(struct atls_bytes value, struct atls_buf *out,
                                   struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(ATLS_COLLATERAL_DOCUMENT_MAX);
    enum atls_code code = ATLS_OK;

    for (size_t i = 0; i < value.len && code == ATLS_OK; i++) {
        if (value.ptr[i] != '%') {
            atls_put_u8(&w, value.ptr[i]);
        } else if (value.len - i < 3 || !is_digit(value.ptr[i + 1]) ||
                   !is_digit(value.ptr[i + 2])) {
            code = atls_fail(err, ATLS_E_PROTOCOL, "issuer chain: not percent-encoded");
        } else {
            atls_put_u8(&w, (uint8_t)(nibble(value.ptr[i + 1]) << 4 | nibble(value.ptr[i + 2])));
            i += 2;
        }
    }
    if (code == ATLS_OK && w.failed != ATLS_OK)
        code = atls_fail(err, w.failed, "issuer chain: too long, or out of memory");
    if (code == ATLS_OK)
        code = certificates_of(atls_writer_bytes(&w), true, out, err);
    atls_writer_clear(&w);
    return code;
}
