#include "evidence/collateral.h"

#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/reader.h"

#define LINE_MAX    32
#define CHIP_ID_LEN 64
#define TCB_LEN     8

#define TYPE_CERTIFICATE "application/pkix-cert"
#define TYPE_CHAIN       "application/pem-certificate-chain"
#define TYPE_CRL         "application/pkix-crl"
#define TYPE_JSON        "application/json"

const struct atls_collateral_row atls_collateral_rows[] = {
    {ATLS_COLLATERAL_SNP_VEK, "snp-vek", TYPE_CERTIFICATE, "der"},
    {ATLS_COLLATERAL_SNP_CA, "snp-ca", TYPE_CHAIN, "pem"},
    {ATLS_COLLATERAL_SNP_CRL, "snp-crl", TYPE_CRL, "crl"},
    {ATLS_COLLATERAL_TDX_TCB_INFO, "tdx-tcb-info", TYPE_JSON, "json"},
    {ATLS_COLLATERAL_TDX_QE_IDENTITY, "tdx-qe-identity", TYPE_JSON, "json"},
    {ATLS_COLLATERAL_TDX_TCB_CHAIN, "tdx-tcb-chain", TYPE_CHAIN, "pem"},
    {ATLS_COLLATERAL_TDX_PCK_CRL, "tdx-pck-crl", TYPE_CRL, "crl"},
    {ATLS_COLLATERAL_TDX_PCK_CRL_CHAIN, "tdx-pck-crl-chain", TYPE_CHAIN, "pem"},
    {ATLS_COLLATERAL_TDX_ROOT_CRL, "tdx-root-crl", TYPE_CRL, "crl"},
    {ATLS_COLLATERAL_TDX_EVALUATION, "tdx-evaluation", TYPE_JSON, "json"},
    {ATLS_COLLATERAL_SGX_TCB_INFO, "sgx-tcb-info", TYPE_JSON, "json"},
    {ATLS_COLLATERAL_SGX_QE_IDENTITY, "sgx-qe-identity", TYPE_JSON, "json"},
    {ATLS_COLLATERAL_SGX_EVALUATION, "sgx-evaluation", TYPE_JSON, "json"},
    {ATLS_COLLATERAL_NONE, NULL, NULL, NULL},
};

const struct atls_collateral_row *atls_collateral_row_of(enum atls_collateral_kind kind)
{
    for (const struct atls_collateral_row *row = atls_collateral_rows; row->name != NULL; row++)
        if (row->kind == kind)
            return row;
    return NULL;
}

const struct atls_collateral_row *atls_collateral_row_by_name(struct atls_bytes name)
{
    for (const struct atls_collateral_row *row = atls_collateral_rows; row->name != NULL; row++)
        if (atls_bytes_equal_text(name, row->name))
            return row;
    return NULL;
}

bool atls_collateral_subject_valid(const char *subject)
{
    size_t len = strnlen(subject, ATLS_COLLATERAL_SUBJECT_MAX + 1);

    return len >= 1 && len <= ATLS_COLLATERAL_SUBJECT_MAX &&
           strspn(subject, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

bool atls_collateral_vek_subject(const char *line, struct atls_bytes chip_id, struct atls_bytes tcb,
                                 char out[ATLS_COLLATERAL_SUBJECT_MAX + 1])
{
    char chip[2 * CHIP_ID_LEN + 1] = "vlek", level[2 * TCB_LEN + 1];

    if (!atls_collateral_subject_valid(line) || strlen(line) > LINE_MAX || tcb.len != TCB_LEN ||
        (chip_id.len != 0 && chip_id.len != CHIP_ID_LEN))
        return false;
    if (chip_id.len != 0)
        atls_hex(chip_id, chip, sizeof chip);
    snprintf(out, ATLS_COLLATERAL_SUBJECT_MAX + 1, "%s-%s-%s", line, chip,
             atls_hex(tcb, level, sizeof level));
    return true;
}

struct atls_bytes atls_collateral_in(const struct atls_cmw *endorsements,
                                     enum atls_collateral_kind kind)
{
    const struct atls_collateral_row *row = atls_collateral_row_of(kind);

    return row == NULL ? atls_bytes_of(NULL, 0)
                       : atls_cmw_find_record(endorsements, row->name, row->media_type);
}

void atls_collateral_file_name(const struct atls_collateral_query *query,
                               char out[ATLS_COLLATERAL_FILE_MAX])
{
    const struct atls_collateral_row *row = atls_collateral_row_of(query->kind);

    out[0] = '\0';
    if (row != NULL) /* a kind of the table has one */
        snprintf(out, ATLS_COLLATERAL_FILE_MAX, "%s-%s.%s", row->name, query->subject,
                 row->extension);
}

/* The part of file_name between the row's name and extension, when it has both. */
static bool subject_of(const struct atls_collateral_row *row, const char *file_name,
                       struct atls_bytes *out)
{
    size_t len = strlen(file_name), head = strlen(row->name), tail = strlen(row->extension);

    if (len < head + tail + 3 || strncmp(file_name, row->name, head) != 0 ||
        file_name[head] != '-' || file_name[len - tail - 1] != '.' ||
        strcmp(file_name + len - tail, row->extension) != 0)
        return false;
    *out = atls_bytes_of(file_name + head + 1, len - head - tail - 2);
    return true;
}

/* One name may begin another ("tdx-pck-crl", "tdx-pck-crl-chain"): the longest counts. */
const struct atls_collateral_row *
atls_collateral_row_of_file(const char *file_name, char subject[ATLS_COLLATERAL_SUBJECT_MAX + 1])
{
    const struct atls_collateral_row *found = NULL;
    char text[ATLS_COLLATERAL_SUBJECT_MAX + 1];
    struct atls_bytes part;

    for (const struct atls_collateral_row *row = atls_collateral_rows; row->name != NULL; row++) {
        if (!subject_of(row, file_name, &part) || part.len > ATLS_COLLATERAL_SUBJECT_MAX ||
            (found != NULL && strlen(row->name) < strlen(found->name)))
            continue;
        memcpy(text, part.ptr, part.len);
        text[part.len] = '\0';
        if (!atls_collateral_subject_valid(text))
            continue;
        memcpy(subject, text, part.len + 1);
        found = row;
    }
    return found;
}
