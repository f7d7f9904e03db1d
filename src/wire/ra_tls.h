/* Evidence in X.509 certificates (RA-TLS): which extension holds it, in which form, and what the
 * form says, byte by byte. Pure codec: nothing is verified, and nothing is compared with the key of
 * the certificate. docs/ra-tls-forms.md says how each form is bound.
 *
 *     struct atls_ra_tls found;
 *
 *     if ((code = atls_ra_tls_find(certificate, &found, err)) != ATLS_OK)
 *         return code;
 *     if (found.form != ATLS_RA_TLS_CMW)
 *         code = atls_ra_tls_cmw(found.form, found.value, &writer, err);
 */
#ifndef ATLS_WIRE_RA_TLS_H
#define ATLS_WIRE_RA_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>

#include "core/writer.h"

/* Forms of evidence, the preferred first: a certificate that holds several is judged by one. */
enum atls_ra_tls_form {
    ATLS_RA_TLS_NONE = 0,
    ATLS_RA_TLS_CMW,         /* id-pe-cmw, 1.3.6.1.5.5.7.1.35 (RFC 9999) */
    ATLS_RA_TLS_DICE,        /* 2.23.133.5.4.9: tagged evidence, or a CMW */
    ATLS_RA_TLS_SGX_QUOTE,   /* Gramine's older one, an OID whose content is 06 09 and an OID */
    ATLS_RA_TLS_SDK_QUOTE,   /* 1.2.840.113741.1.13.1: of samples of the SGX SDK */
    ATLS_RA_TLS_OE_EVIDENCE, /* Open Enclave, 1.3.6.1.4.1.311.105.2, 1.2.840.113556.10.1.2 */
    ATLS_RA_TLS_OE_REPORT,   /* Open Enclave, 1.3.6.1.4.1.311.105.1, 1.2.840.113556.10.1.1 */
};

/* "cmw", "dice", "sgx-quote", "sdk-quote", "oe-evidence", "oe-report"; "" for another number.
 * Static. */
const char *atls_ra_tls_form_name(enum atls_ra_tls_form form);

/* Object identifiers of extensions that hold evidence: content octets, static. Fills count of them,
 * ATLS_RA_TLS_OIDS at most, the preferred first; the first is that of ATLS_RA_TLS_CMW, the second
 * that of ATLS_RA_TLS_DICE. */
#define ATLS_RA_TLS_OIDS 8
size_t atls_ra_tls_oids(struct atls_bytes *out, size_t count);

/* What a certificate may have, each; a TLS stack takes less by far. */
#define ATLS_RA_TLS_CERTIFICATE_MAX (256 * 1024)
#define ATLS_RA_TLS_EXTENSIONS_MAX  64

/* Both views borrow from the certificate. */
struct atls_ra_tls {
    enum atls_ra_tls_form form;
    bool critical;           /* of the extension; either is fine */
    struct atls_bytes value; /* content of extnValue */
    struct atls_bytes spki;  /* SubjectPublicKeyInfo, whole, as it stands in the certificate */
};

/* Walks the extensions of one DER certificate, exactly consumed, and gives the preferred evidence
 * (RFC 5280 section 4.1). Errors: ATLS_E_EVIDENCE (not-attested) when no extension holds evidence;
 * ATLS_E_DECODE (malformed), also for an extension that occurs twice; ATLS_E_LIMIT. */
ATLS_MUST_CHECK enum atls_code atls_ra_tls_find(struct atls_bytes certificate,
                                                struct atls_ra_tls *out, struct atls_err *err);

/* Media types of ours for forms that are no CMW; the value of the record is the content of the
 * extension as it stands. */
#define ATLS_TYPE_RA_TLS_DICE        "application/vnd.libatls.ra-tls.dice+cbor"
#define ATLS_TYPE_RA_TLS_SGX_QUOTE   "application/vnd.libatls.ra-tls.sgx-quote"
#define ATLS_TYPE_RA_TLS_OE_REPORT   "application/vnd.libatls.ra-tls.oe-report"
#define ATLS_TYPE_RA_TLS_OE_EVIDENCE "application/vnd.libatls.ra-tls.oe-evidence"

/* True when the extension holds one of the forms of others, which are no CMW. */
bool atls_ra_tls_is_foreign(enum atls_ra_tls_form form, struct atls_bytes value);
/* Writes the CMW, in CBOR, that evidence of this form is to a verifier: what a form holds that is a
 * CMW already (id-pe-cmw in CBOR; a DICE extension whose first byte says so), a record of one of
 * the types above otherwise. Errors: ATLS_E_DECODE (malformed), ATLS_E_UNSUPPORTED (a CMW in JSON,
 * unknown-evidence-type), ATLS_E_USAGE (no form); else as the writer. */
ATLS_MUST_CHECK enum atls_code atls_ra_tls_cmw(enum atls_ra_tls_form form, struct atls_bytes value,
                                               struct atls_writer *w, struct atls_err *err);

#endif
