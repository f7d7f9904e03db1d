/* Quotes of Intel's Data Center Attestation Primitives (DCAP), as SGX (versions 3 and 4) and TDX
 * (versions 4 and 5) share them: header, a body of either, and signature data. Fields are
 * little-endian; keys and signatures are raw big-endian x || y and r || s, 32 bytes each. Pure
 * codec: nothing is verified. Bodies are in wire/sgx.h and wire/tdx.h. */
#ifndef ATLS_WIRE_DCAP_H
#define ATLS_WIRE_DCAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>

#define ATLS_DCAP_HEADER_LEN      48
#define ATLS_DCAP_REPORT_DATA_LEN 64
#define ATLS_SGX_REPORT_LEN       384
/* A quote is some 5 KiB, padded by clouds to 8000; its QE authentication data could be 64 KiB. */
#define ATLS_DCAP_QUOTE_MAX (80 * 1024)

#define ATLS_DCAP_KEY_ECDSA_P256 2

/* Bodies of TDX: type, which version 5 says, and length. */
#define ATLS_TDX_BODY_TYPE_10 2
#define ATLS_TDX_BODY_TYPE_15 3
#define ATLS_TDX_BODY_10_LEN  584
#define ATLS_TDX_BODY_15_LEN  648

/* What a quote is about. */
enum atls_dcap_tee { ATLS_DCAP_TDX = 0, ATLS_DCAP_SGX = 1 };
const char *atls_dcap_tee_name(enum atls_dcap_tee tee); /* "TDX", "SGX"; static */

/* What certification data is. */
enum atls_dcap_certification {
    ATLS_DCAP_CERTIFICATION_PCK_LEAF = 4,  /* PEM */
    ATLS_DCAP_CERTIFICATION_PCK_CHAIN = 5, /* PEM: leaf, intermediate, root */
    ATLS_DCAP_CERTIFICATION_QE_REPORT = 6,
};

/* SGX report body, of an enclave; the quoting enclave has one, too. Views borrow and have the
 * length of their field. */
struct atls_sgx_report {
    struct atls_bytes raw; /* all 384 bytes: what is signed */
    struct atls_bytes cpu_svn, misc_select, attributes, mr_enclave, mr_signer, report_data;
    struct atls_bytes isv_ext_prod_id, config_id, isv_family_id; /* 16, 64, 16 bytes */
    uint16_t isv_prod_id, isv_svn, config_svn;
};
/* Reads an SGX report body of exactly 384 bytes. Errors: ATLS_E_DECODE. */
ATLS_MUST_CHECK enum atls_code
atls_sgx_report_decode(struct atls_bytes in, struct atls_sgx_report *out, struct atls_err *err);

struct atls_dcap_quote {
    uint16_t version;
    uint16_t qe_svn, pce_svn;      /* version 3 alone, else 0 */
    struct atls_bytes user_data;   /* 20 bytes of the header */
    struct atls_bytes body;        /* 384 bytes for SGX, 584 or 648 for TDX */
    struct atls_bytes signed_part; /* header, descriptor, body: what the attestation key signs */
    struct atls_bytes signature;   /* r || s */
    struct atls_bytes attestation_key; /* x || y */
    struct atls_sgx_report qe_report;  /* of the quoting enclave */
    struct atls_bytes qe_signature;    /* of qe_report, by the PCK key */
    struct atls_bytes qe_auth;         /* any length */
    uint16_t certification_type;       /* 1 to 5 */
    struct atls_bytes certification;
    struct atls_bytes trailing; /* after the signature data; usually empty or zeros */
};

/* Reads a quote of this technology. *out borrows from in and is written on success only. Errors:
 * ATLS_E_UNSUPPORTED (unsupported-version, unsupported-algorithm), ATLS_E_EVIDENCE (vendor-id,
 * tee-type), all told from the header before what follows is read; ATLS_E_DECODE (malformed), also
 * where lengths do not nest exactly; ATLS_E_LIMIT. */
ATLS_MUST_CHECK enum atls_code atls_dcap_quote_decode(struct atls_bytes in, enum atls_dcap_tee tee,
                                                      struct atls_dcap_quote *out,
                                                      struct atls_err *err);

/* True when the header is that of a quote of this technology, as far as its version and TEE type;
 * nothing else is looked at. */
bool atls_dcap_quote_is(struct atls_bytes in, enum atls_dcap_tee tee);

#endif
