#include "simulator/service.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "simulator/folder.h"

#define TYPE_DER  "application/pkix-cert"
#define TYPE_CRL  "application/pkix-crl"
#define TYPE_PEM  "application/x-pem-file"
#define TYPE_JSON "application/json"
#define TYPE_TEXT "text/plain"

/* A chain with every byte encoded is thrice as long. */
#define HEADER_MAX (64 * 1024)
#define HWID_MAX   128

void atls_sim_answer_clear(struct atls_sim_answer *answer)
{
    atls_buf_clear(&answer->body);
    atls_buf_clear(&answer->value);
}

/* A document that is not there is no error: *out_found. */
static enum atls_code read_document(const char *folder, const char *name, struct atls_buf *out,
                                    bool *out_found, struct atls_err *err)
{
    struct atls_err mine = ATLS_ERR_INIT;
    enum atls_code code = atls_sim_folder_read(folder, name, out, &mine);

    *out_found = code == ATLS_OK;
    if (code == ATLS_E_IO && mine.sys_errno == ENOENT)
        return ATLS_OK;
    if (code != ATLS_OK && err != NULL)
        *err = mine;
    return code;
}

static enum atls_code answer_file(const char *folder, const char *name, const char *type,
                                  struct atls_sim_answer *out, struct atls_err *err)
{
    enum atls_code code;
    bool found;

    if ((code = read_document(folder, name, &out->body, &found, err)) != ATLS_OK || !found)
        return code;
    out->status = 200;
    out->type = type;
    return ATLS_OK;
}

static const char *argument(const struct atls_sim_question *question, const char *name)
{
    return question->argument(question->context, name);
}

/* What follows prefix in path, or NULL. */
static const char *after(const char *path, const char *prefix)
{
    size_t len = strlen(prefix);

    return strncmp(path, prefix, len) == 0 ? path + len : NULL;
}

/* ---- AMD ---- */

/* Byte of a TCB_VERSION, in the layout of the lines up to Genoa and from Turin on. */
static const struct {
    const char *name;
    int until_genoa, from_turin; /* -1: the line has no such component */
} components[] = {
    {"blSPL", 0, 1}, {"teeSPL", 1, 2}, {"snpSPL", 6, 3}, {"fmcSPL", -1, 0}, {"ucodeSPL", 7, 7},
};

/* False when a component is missing, or no number of one byte. */
static bool read_tcb(const struct atls_sim_question *question, bool turin, uint8_t out[8])
{
    memset(out, 0, 8);
    for (size_t i = 0; i < sizeof components / sizeof components[0]; i++) {
        int at = turin ? components[i].from_turin : components[i].until_genoa;
        const char *text = argument(question, components[i].name);
        unsigned long value;

        if (at < 0)
            continue;
        if (text == NULL || text[0] == '\0' || strlen(text) > 3 ||
            strspn(text, "0123456789") != strlen(text) || (value = strtoul(text, NULL, 10)) > 255)
            return false;
        out[at] = (uint8_t)value;
    }
    return true;
}

static enum atls_code answer_vcek(const char *folder, const char *line, const char *hwid,
                                  const struct atls_sim_question *question,
                                  struct atls_sim_answer *out, struct atls_err *err)
{
    bool turin = strcmp(line, "turin") == 0;
    size_t len = strlen(hwid), at;
    char name[256];
    uint8_t tcb[8];

    if (len != (turin ? 16 : HWID_MAX) || strspn(hwid, "0123456789abcdefABCDEF") != len ||
        !read_tcb(question, turin, tcb)) {
        out->status = 400;
        return ATLS_OK;
    }
    at = (size_t)snprintf(name, sizeof name, "collateral/snp-vek-%s-", line);
    for (size_t i = 0; i < len; i++)
        name[at++] = (char)tolower((unsigned char)hwid[i]);
    for (; len < HWID_MAX; len++) /* as in the report */
        name[at++] = '0';
    name[at++] = '-';
    for (size_t i = 0; i < sizeof tcb; i++)
        at += (size_t)snprintf(name + at, sizeof name - at, "%02x", tcb[i]);
    snprintf(name + at, sizeof name - at, ".der");
    return answer_file(folder, name, TYPE_DER, out, err);
}

enum atls_code atls_sim_kds_answer(const char *folder, const char *line,
                                   const struct atls_sim_question *question,
                                   struct atls_sim_answer *out, struct atls_err *err)
{
    const char *vlek = after(question->path, "/vlek/v1/");
    const char *rest = vlek != NULL ? vlek : after(question->path, "/vcek/v1/");
    size_t len = strlen(line);
    char crl[64];

    /* "Milan", as AMD spells it. */
    if (rest == NULL || rest[0] != toupper((unsigned char)line[0]) ||
        strncmp(rest + 1, line + 1, len - 1) != 0 || rest[len] != '/')
        return ATLS_OK;
    rest += len + 1;
    if (strcmp(rest, "cert_chain") == 0)
        return answer_file(folder,
                           vlek != NULL ? "machine/vlek-chain.pem" : "machine/vcek-chain.pem",
                           TYPE_PEM, out, err);
    if (strcmp(rest, "crl") == 0) {
        snprintf(crl, sizeof crl, "collateral/snp-crl-%s.crl", line);
        return answer_file(folder, crl, TYPE_CRL, out, err);
    }
    return vlek != NULL ? ATLS_OK : answer_vcek(folder, line, rest, question, out, err);
}

/* ---- Intel ---- */

/* Percent-encodes all but unreserved characters (RFC 3986 section 2.3). */
static enum atls_code url_encode(struct atls_bytes in, struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(HEADER_MAX);
    char text[4];

    for (size_t i = 0; i < in.len; i++) {
        if (isalnum(in.ptr[i]) || (in.ptr[i] != '\0' && strchr("-._~", in.ptr[i]) != NULL)) {
            atls_put_u8(&w, in.ptr[i]);
        } else {
            snprintf(text, sizeof text, "%%%02X", in.ptr[i]);
            atls_put_text(&w, text);
        }
    }
    return atls_writer_finish(&w, out, err);
}

/* Adds the issuer chain, once there is a document. */
static enum atls_code add_chain(const char *folder, const char *header, const char *name,
                                struct atls_sim_answer *out, struct atls_err *err)
{
    struct atls_buf chain = ATLS_BUF_INIT;
    enum atls_code code;

    if (out->status != 200)
        return ATLS_OK;
    if ((code = atls_sim_folder_read(folder, name, &chain, err)) == ATLS_OK)
        code = url_encode(atls_buf_bytes(&chain), &out->value, err);
    atls_buf_clear(&chain);
    if (code == ATLS_OK)
        out->header = header;
    return code;
}

/* Turns a body of DER into PEM. */
static enum atls_code to_pem(struct atls_sim_answer *out, struct atls_err *err)
{
    struct atls_buf pem = ATLS_BUF_INIT;
    enum atls_code code = atls_pem_encode("X509 CRL", atls_buf_bytes(&out->body), &pem, err);

    if (code != ATLS_OK)
        return code;
    atls_buf_clear(&out->body);
    out->body = pem;
    out->type = TYPE_PEM;
    return ATLS_OK;
}

static enum atls_code to_hex(struct atls_sim_answer *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(2 * ATLS_SIM_FILE_MAX);
    struct atls_buf hex = ATLS_BUF_INIT;
    enum atls_code code;
    char text[3];

    for (size_t i = 0; i < out->body.len; i++) {
        snprintf(text, sizeof text, "%02x", out->body.ptr[i]);
        atls_put_text(&w, text);
    }
    if ((code = atls_writer_finish(&w, &hex, err)) != ATLS_OK)
        return code;
    atls_buf_clear(&out->body);
    out->body = hex;
    out->type = TYPE_TEXT;
    return ATLS_OK;
}

static enum atls_code answer_pck_crl(const char *folder, const struct atls_sim_question *question,
                                     struct atls_sim_answer *out, struct atls_err *err)
{
    const char *ca = argument(question, "ca"), *encoding = argument(question, "encoding");
    char crl[64], chain[64];
    enum atls_code code;

    if (ca == NULL || (strcmp(ca, "platform") != 0 && strcmp(ca, "processor") != 0) ||
        (encoding != NULL && strcmp(encoding, "der") != 0 && strcmp(encoding, "pem") != 0)) {
        out->status = 400;
        return ATLS_OK;
    }
    snprintf(crl, sizeof crl, "collateral/tdx-pck-crl-%s.crl", ca);
    snprintf(chain, sizeof chain, "collateral/tdx-pck-crl-chain-%s.pem", ca);
    if ((code = answer_file(folder, crl, TYPE_CRL, out, err)) != ATLS_OK ||
        (code = add_chain(folder, "SGX-PCK-CRL-Issuer-Chain", chain, out, err)) != ATLS_OK)
        return code;
    /* PEM is the service's default. */
    if (out->status == 200 && (encoding == NULL || strcmp(encoding, "pem") == 0))
        return to_pem(out, err);
    return ATLS_OK;
}

static enum atls_code answer_tcb(const char *folder, const struct atls_sim_question *question,
                                 struct atls_sim_answer *out, struct atls_err *err)
{
    const char *fmspc = argument(question, "fmspc");
    char name[64] = "collateral/tdx-tcb-info-";
    size_t at = strlen(name);
    enum atls_code code;

    if (fmspc == NULL || strlen(fmspc) != 12 || strspn(fmspc, "0123456789abcdefABCDEF") != 12) {
        out->status = 400;
        return ATLS_OK;
    }
    for (size_t i = 0; i < 12; i++)
        name[at++] = (char)tolower((unsigned char)fmspc[i]);
    snprintf(name + at, sizeof name - at, ".json");
    if ((code = answer_file(folder, name, TYPE_JSON, out, err)) != ATLS_OK)
        return code;
    return add_chain(folder, "TCB-Info-Issuer-Chain", "collateral/tdx-tcb-chain-tcb.pem", out, err);
}

static enum atls_code answer_signed(const char *folder, const char *name, const char *header,
                                    struct atls_sim_answer *out, struct atls_err *err)
{
    enum atls_code code;

    if ((code = answer_file(folder, name, TYPE_JSON, out, err)) != ATLS_OK)
        return code;
    return add_chain(folder, header, "collateral/tdx-tcb-chain-tcb.pem", out, err);
}

static enum atls_code answer_root_crl(const char *folder, bool hex, struct atls_sim_answer *out,
                                      struct atls_err *err)
{
    enum atls_code code =
        answer_file(folder, "collateral/tdx-root-crl-root.crl", TYPE_CRL, out, err);

    return code == ATLS_OK && hex && out->status == 200 ? to_hex(out, err) : code;
}

static enum atls_code pcs_answer(const char *folder, const struct atls_sim_question *question,
                                 struct atls_sim_answer *out, struct atls_err *err)
{
    const char *path = question->path;

    if (strcmp(path, "/sgx/certification/v4/pckcrl") == 0)
        return answer_pck_crl(folder, question, out, err);
    if (strcmp(path, "/sgx/certification/v4/rootcacrl") == 0)
        return answer_root_crl(folder, true, out, err);
    if (strcmp(path, "/IntelSGXRootCA.der") == 0)
        return answer_root_crl(folder, false, out, err);
    if (strcmp(path, "/tdx/certification/v4/tcb") == 0)
        return answer_tcb(folder, question, out, err);
    if (strcmp(path, "/tdx/certification/v4/qe/identity") == 0)
        return answer_signed(folder, "collateral/tdx-qe-identity-td.json",
                             "SGX-Enclave-Identity-Issuer-Chain", out, err);
    if (strcmp(path, "/tdx/certification/v4/tcbevaluationdatanumbers") == 0)
        return answer_signed(folder, "collateral/tdx-evaluation-tdx.json",
                             "TCB-Evaluation-Data-Numbers-Issuer-Chain", out, err);
    return ATLS_OK;
}

enum atls_code atls_sim_pcs_answer(const char *folder, const struct atls_sim_question *question,
                                   struct atls_sim_answer *out, struct atls_err *err)
{
    struct atls_sim_answer answer = *out;
    enum atls_code code = pcs_answer(folder, question, &answer, err);

    if (code != ATLS_OK)
        atls_sim_answer_clear(&answer);
    else
        *out = answer;
    return code;
}
