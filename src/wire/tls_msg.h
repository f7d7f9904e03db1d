/* TLS 1.3 handshake messages as exported authenticators use them (RFC 8446 section 4; RFC 9261):
 * framing, extension blocks, Certificate, CertificateVerify. Pure codec: no keys, no policy.
 *
 * Errors of decoders are ATLS_E_DECODE (malformed, alert decode_error) unless a function says more.
 * Everything decoded borrows from the input. */
#ifndef ATLS_WIRE_TLS_MSG_H
#define ATLS_WIRE_TLS_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>
#include <atls/limits.h>

#include "core/reader.h"
#include "core/writer.h"

/* HandshakeType (RFC 8446 section 4; 17 is of RFC 9261 section 4). */
enum atls_tls_type {
    ATLS_TLS_CLIENT_HELLO = 1,
    ATLS_TLS_SERVER_HELLO = 2,
    ATLS_TLS_CERTIFICATE = 11,
    ATLS_TLS_CERTIFICATE_REQUEST = 13,
    ATLS_TLS_CERTIFICATE_VERIFY = 15,
    ATLS_TLS_CLIENT_CERTIFICATE_REQUEST = 17,
    ATLS_TLS_FINISHED = 20,
    ATLS_TLS_MESSAGE_HASH = 254, /* never on the wire */
};

/* ExtensionType, those with a meaning here. */
enum atls_tls_extension {
    ATLS_TLS_SERVER_NAME = 0,
    ATLS_TLS_STATUS_REQUEST = 5,
    ATLS_TLS_SIGNATURE_ALGORITHMS = 13,
    ATLS_TLS_SIGNED_CERTIFICATE_TIMESTAMP = 18,
    ATLS_TLS_CERTIFICATE_AUTHORITIES = 47,
    ATLS_TLS_OID_FILTERS = 48,
    ATLS_TLS_SIGNATURE_ALGORITHMS_CERT = 50,
};

/* Where an extension may stand (the "TLS 1.3" column of IANA's registry, and RFC 9261 section 4).
 */
enum atls_tls_place {
    ATLS_TLS_IN_REQUEST = 1,        /* CR: CertificateRequest and ClientCertificateRequest */
    ATLS_TLS_IN_CLIENT_REQUEST = 2, /* ClientCertificateRequest alone */
    ATLS_TLS_IN_ENTRY = 4,          /* CT: an entry of Certificate */
};
/* True when the extension is one we know and may not stand there; unknown ones may stand anywhere.
 */
bool atls_tls_extension_misplaced(uint16_t type, enum atls_tls_place place);

/* Extensions of one block; more are refused: TLS has defined fewer in all. */
#define ATLS_TLS_EXTENSIONS_MAX 128

struct atls_tls_message {
    uint8_t type;
    struct atls_bytes body;
    struct atls_bytes whole; /* with its 4-byte header, as hashed */
};
/* The next message; false, changing nothing, when it is cut. */
ATLS_MUST_CHECK bool atls_tls_get_message(struct atls_reader *r, struct atls_tls_message *out);

/* The next extension of a block; false at its end and where it is cut. */
ATLS_MUST_CHECK bool atls_tls_get_extension(struct atls_reader *r, uint16_t *type,
                                            struct atls_bytes *data);
/* A block is well formed and holds no type twice (else ATLS_E_PROTOCOL, illegal_parameter). where
 * names it in errors. More than ATLS_TLS_EXTENSIONS_MAX are ATLS_E_LIMIT (decode_error). */
ATLS_MUST_CHECK enum atls_code atls_tls_check_extensions(struct atls_bytes block, const char *where,
                                                         struct atls_err *err);
/* Finds one in a block that was checked; false when it is not there. */
bool atls_tls_find_extension(struct atls_bytes block, uint16_t type, struct atls_bytes *data);

/* SignatureSchemeList <2..2^16-2>, exactly consumed: out is the list without its length. */
ATLS_MUST_CHECK bool atls_tls_get_schemes(struct atls_bytes data, struct atls_bytes *out);

/* Certificate (RFC 8446 section 4.4.2). */
struct atls_tls_entry {
    struct atls_bytes certificate;
    struct atls_bytes extensions; /* block, not yet checked */
};
struct atls_tls_certificate {
    struct atls_bytes context;
    struct atls_tls_entry entries[ATLS_CHAIN_MAX];
    size_t count; /* 1..ATLS_CHAIN_MAX */
};
/* An empty certificate_list is malformed here: an authenticator that refuses carries no
 * Certificate. More than ATLS_CHAIN_MAX entries are ATLS_E_LIMIT (bad_certificate). */
ATLS_MUST_CHECK enum atls_code atls_tls_certificate_decode(struct atls_bytes body,
                                                           struct atls_tls_certificate *out,
                                                           struct atls_err *err);
/* Writes one with header; extensions is the block's content for entry 0, empty for the others.
 * count 0 gives the empty list that refusals hash. */
void atls_tls_put_certificate(struct atls_writer *w, struct atls_bytes context,
                              const struct atls_bytes *chain, size_t count,
                              struct atls_bytes extensions);

/* CertificateVerify (RFC 8446 section 4.4.3). */
ATLS_MUST_CHECK enum atls_code atls_tls_certificate_verify_decode(struct atls_bytes body,
                                                                  uint16_t *out_scheme,
                                                                  struct atls_bytes *out_signature,
                                                                  struct atls_err *err);
void atls_tls_put_certificate_verify(struct atls_writer *w, uint16_t scheme,
                                     struct atls_bytes signature);

/* Finished: the MAC and nothing else (RFC 8446 section 4.4.4). */
void atls_tls_put_finished(struct atls_writer *w, struct atls_bytes mac);

#endif
