/* Limits on everything that a peer, a file or a device can make grow; each with its reason. */
#ifndef ATLS_LIMITS_H
#define ATLS_LIMITS_H

/* cmw_data in one authenticator: the entry's extension block is 16-bit, less the extension's type,
 * its length and the inner vector's length (draft-fossati-seat-expat-03; RFC 8446 section 4.4.2).
 */
#define ATLS_CMW_DATA_MAX 65529
/* A whole authenticator: certificate chain, evidence, signature, MAC. */
#define ATLS_AUTHENTICATOR_MAX (256 * 1024)
/* An authenticator request: context, signature algorithms, authorities. */
#define ATLS_AUTHENTICATOR_REQUEST_MAX (16 * 1024)
/* One frame of the carrier (docs/carrier.md). */
#define ATLS_FRAME_BODY_MAX (1 << 20)
/* Certificates in one authenticator: longer chains are misconfiguration or attack. */
#define ATLS_CHAIN_MAX 8
/* certificate_request_contexts remembered on one connection; then further requests are refused
 * (RFC 9261 section 4: contexts are unique for the life of the connection). */
#define ATLS_CONTEXTS_MAX 4096
/* Nesting and items of one CBOR document. */
#define ATLS_CBOR_DEPTH_MAX 16
#define ATLS_CBOR_ITEMS_MAX 65536
/* CMW collections (RFC 9999): levels, and entries of one level. */
#define ATLS_CMW_DEPTH_MAX   8
#define ATLS_CMW_ENTRIES_MAX 64
/* CoRIM documents. */
#define ATLS_CORIM_MAX              (1024 * 1024)
#define ATLS_CORIM_TRIPLES_MAX      4096
#define ATLS_CORIM_MEASUREMENTS_MAX 4096
/* TCG and IMA event logs. */
#define ATLS_EVENT_LOG_MAX (16 * 1024 * 1024)
/* Attestation results and policies as text. */
#define ATLS_EAR_MAX    (256 * 1024)
#define ATLS_POLICY_MAX (256 * 1024)

#endif
