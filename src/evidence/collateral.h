/* Collateral: what makers of confidential-computing hardware publish beside their roots, each
 * signed by them, so that whoever hands it over need not be trusted. One table of names: they label
 * records in a bundle's "endorsements" collection, files of an attester's collateral directory, and
 * rows of a store. */
#ifndef ATLS_EVIDENCE_COLLATERAL_H
#define ATLS_EVIDENCE_COLLATERAL_H

#include <stdbool.h>
#include <stddef.h>

#include <atls/bytes.h>

#include "wire/cmw.h"

enum atls_collateral_kind {
    ATLS_COLLATERAL_NONE = 0,
    /* SNP. subject: product line ("milan"), for the VEK see atls_collateral_vek_subject. */
    ATLS_COLLATERAL_SNP_VEK, /* DER */
    ATLS_COLLATERAL_SNP_CA,  /* ASK or ASVK, PEM: candidates, whose root must be on file */
    ATLS_COLLATERAL_SNP_CRL, /* DER, signed by the line's ARK */
    /* TDX. Chains are PEM, leaf first. */
    ATLS_COLLATERAL_TDX_TCB_INFO,    /* JSON as served; subject: FMSPC, 12 lower-case hex digits */
    ATLS_COLLATERAL_TDX_QE_IDENTITY, /* JSON as served; subject: "td" */
    ATLS_COLLATERAL_TDX_TCB_CHAIN,   /* that signs the two above; subject: "tcb" */
    ATLS_COLLATERAL_TDX_PCK_CRL,     /* DER; subject: "platform" or "processor" */
    ATLS_COLLATERAL_TDX_PCK_CRL_CHAIN, /* subject: likewise */
    ATLS_COLLATERAL_TDX_ROOT_CRL,      /* DER; subject: "root" */
    ATLS_COLLATERAL_TDX_EVALUATION,    /* JSON, evaluation data numbers; subject: "tdx" */
    /* SGX. Chains and lists are those of TDX: the same authorities issue them. */
    ATLS_COLLATERAL_SGX_TCB_INFO,    /* JSON as served; subject: FMSPC */
    ATLS_COLLATERAL_SGX_QE_IDENTITY, /* JSON as served; subject: "qe" */
    ATLS_COLLATERAL_SGX_EVALUATION,  /* JSON, evaluation data numbers; subject: "sgx" */
};
#define ATLS_COLLATERAL_LAST ATLS_COLLATERAL_SGX_EVALUATION

/* Longest is that of a VEK: line, 128 digits of chip id, 16 of TCB. */
#define ATLS_COLLATERAL_SUBJECT_MAX 192
/* One document: TCB info is the largest at some 10 KiB today. */
#define ATLS_COLLATERAL_DOCUMENT_MAX (256 * 1024)

struct atls_collateral_query {
    enum atls_collateral_kind kind;
    const char *subject; /* lower-case letters, digits, '-'; NUL terminated */
};

struct atls_collateral_row {
    enum atls_collateral_kind kind;
    const char *name;       /* "snp-crl": label in a bundle, first part of a file name */
    const char *media_type; /* of the record in a bundle */
    const char *extension;  /* of a file: NAME-SUBJECT.EXTENSION */
};
/* Ends with name NULL. Static. */
extern const struct atls_collateral_row atls_collateral_rows[];
const struct atls_collateral_row *atls_collateral_row_of(enum atls_collateral_kind kind);
const struct atls_collateral_row *atls_collateral_row_by_name(struct atls_bytes name); /* or NULL */
/* The rule of struct atls_collateral_query, and at most ATLS_COLLATERAL_SUBJECT_MAX bytes. */
bool atls_collateral_subject_valid(const char *subject);

/* Subject of a VEK: "<line>-<chip id>-<TCB>" for a VCEK, "<line>-vlek-<TCB>" for a VLEK (chip_id
 * empty). chip_id is CHIP_ID, tcb REPORTED_TCB, as their 64 and 8 bytes stand in the report, both
 * in lower-case hex. False, with out untouched, when a length or the line is wrong. */
ATLS_MUST_CHECK bool atls_collateral_vek_subject(const char *line, struct atls_bytes chip_id,
                                                 struct atls_bytes tcb,
                                                 char out[ATLS_COLLATERAL_SUBJECT_MAX + 1]);

/* Content of the record that a bundle's endorsements (may be NULL) have under the name of kind, of
 * its media type; empty when there is none. */
struct atls_bytes atls_collateral_in(const struct atls_cmw *endorsements,
                                     enum atls_collateral_kind kind);

/* Files: NAME-SUBJECT.EXTENSION, in a directory of collateral. */
#define ATLS_COLLATERAL_FILE_MAX (ATLS_COLLATERAL_SUBJECT_MAX + 32)
/* Name of the file of query, NUL terminated. The subject must be valid. */
void atls_collateral_file_name(const struct atls_collateral_query *query,
                               char out[ATLS_COLLATERAL_FILE_MAX]);
/* The row that a file name (without directory) is of, and its subject, NUL terminated; NULL when it
 * is none of ours. */
const struct atls_collateral_row *
atls_collateral_row_of_file(const char *file_name, char subject[ATLS_COLLATERAL_SUBJECT_MAX + 1]);

#endif
