/* Decoding for people (library libatls-verifier): anything that this project knows, as JSON.
 * Nothing is verified, and the output says so. */
#ifndef ATLS_INSPECT_H
#define ATLS_INSPECT_H

#include <atls/bytes.h>

#ifdef __cplusplus
extern "C" {
#endif

/* kind: NULL to guess, or
 * "certificate" (DER, or PEM of one or more), "crl" (DER, PEM), "public-key" (PEM), "jwk" (one, or
 * a set);
 * "ear", "eat" (CWT, UCCS, bundle, JWT, or a claims set alone), "kat", "kat-batch" (its place in a
 * batch), "soft", "psa" (signed, or COSE_Mac0), "cca", "parsec-cca", "parsec-tpm", "cmw";
 * "corim", "comid", "cots", "cotl" (tags of a CoRIM alone), "concise-evidence" (tags 570 and 571,
 * as diagnostic notation);
 * "tpm-certify", "tpm-quote" (the halves of TPM evidence), "tpm-attest", "tpm-public",
 * "tpm-signature", "event-log" (padded or not), "ima-log" (binary, ASCII), "pcrs" (lines of an
 * index and a digest);
 * "tsm-report" (what configfs-tsm gave), "snp-report" (alone, or its certificate table behind it),
 * "snp-certificates" (that table alone), "tdx-quote", "sgx-quote", "hcl-report" (of Azure's
 * virtual TPMs), "ccel-table" (ACPI), "intel-collateral" (TCB info, enclave identity, TCB
 * evaluation data numbers; of TDX and SGX);
 * "authenticator", "request", "frame" (whole, or its header alone);
 * "cose" (COSE_Sign1, COSE_Mac0), "cbor", "json-claims" (of PSA and CCA), "json".
 * An EAR that breaks a rule of EARs is shown as the JSON that it is, with "complete" false and the
 * rule as "problem"; a JWK that nothing here can verify with likewise. Private keys are refused.
 * *out: JSON text {"verified": false, "kind": ..., "content": ...}, NUL terminated (not counted),
 * text of the input escaped, what is not known in hexadecimal; the caller's to clear. Errors:
 * ATLS_E_DECODE (place and rule), ATLS_E_UNSUPPORTED (cannot guess, unknown kind, algorithm or
 * version), ATLS_E_EVIDENCE (a report that nobody signed; another vendor or kind of TEE than the
 * name of the kind says), ATLS_E_LIMIT, ATLS_E_NOMEM. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_inspect(struct atls_bytes in, const char *kind,
                                                     struct atls_buf *out, struct atls_err *err);

#ifdef __cplusplus
}
#endif
#endif
