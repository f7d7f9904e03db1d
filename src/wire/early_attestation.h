/* The extension remoteAttestation (draft-fossati-seat-early-attestation-06): lists of attestation
 * schemes in ClientHello, one scheme in EncryptedExtensions and in CertificateRequest, the CMW in
 * the first entry of Certificate. Pure codec: what the schemes mean, and whether they were offered,
 * is flavour/intra.
 *
 *     struct atls_bytes rest = offer.server;
 *     while (atls_early_next(&rest, &scheme))
 *         ...
 *
 * Decoders borrow from the input, consume it exactly and fail with ATLS_E_DECODE, reason malformed,
 * alert decode_error. Any thread. */
#ifndef ATLS_WIRE_EARLY_ATTESTATION_H
#define ATLS_WIRE_EARLY_ATTESTATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>

#include "core/writer.h"

/* Schemes of one vector: every technology in every form is a fraction of it. */
#define ATLS_EARLY_SCHEMES_MAX 64
/* An extension of 65535 bytes in the only extension of an entry: less type and length of the
 * extension, less the CMW's length. */
#define ATLS_EARLY_CMW_MAX 65528

enum atls_early_kind {
    ATLS_EARLY_CONTENT_FORMAT = 1, /* Evidence: 00 00, CoAP content-format */
    ATLS_EARLY_MEDIA_TYPE = 2,     /* Evidence: 00 01, length, media type */
    ATLS_EARLY_RESULT = 3,         /* Attestation Result: 01, length, identity of its Verifier */
};

struct atls_early_scheme {
    enum atls_early_kind kind;
    uint16_t content_format; /* CONTENT_FORMAT */
    struct atls_bytes text;  /* MEDIA_TYPE: grammar checked; RESULT: any bytes; 1..65535 */
    struct atls_bytes whole; /* as encoded; set by decoders, ignored by encoders */
};

/* What a ClientHello offers; either may be empty. In order of preference. */
struct atls_early_offer {
    struct atls_bytes server; /* encoded schemes: those that the server may attest with */
    struct atls_bytes client; /* those that the client can attest with */
};

/* More than ATLS_EARLY_SCHEMES_MAX schemes in a vector are ATLS_E_LIMIT (decode_error). */
ATLS_MUST_CHECK enum atls_code
atls_early_offer_decode(struct atls_bytes in, struct atls_early_offer *out, struct atls_err *err);
/* Writes one; both are encoded schemes, 65535 bytes at most or the writer fails. */
void atls_early_offer_put(struct atls_writer *w, const struct atls_early_offer *offer);

/* The one scheme of EncryptedExtensions or CertificateRequest. */
ATLS_MUST_CHECK enum atls_code
atls_early_choice_decode(struct atls_bytes in, struct atls_early_scheme *out, struct atls_err *err);

/* The content of the extension in a Certificate: 1..ATLS_EARLY_CMW_MAX bytes, not decoded
 * further. */
ATLS_MUST_CHECK enum atls_code atls_early_cmw_decode(struct atls_bytes in, struct atls_bytes *out,
                                                     struct atls_err *err);
/* The writer fails with ATLS_E_LIMIT for a CMW that is empty or too large. */
void atls_early_cmw_put(struct atls_writer *w, struct atls_bytes cmw);

/* Appends one scheme; the writer fails with ATLS_E_LIMIT for one that no decoder would give. */
void atls_early_scheme_put(struct atls_writer *w, const struct atls_early_scheme *scheme);
/* Walks a decoded vector: takes the first scheme off *list; false, changing nothing, at its end and
 * where it is malformed. */
ATLS_MUST_CHECK bool atls_early_next(struct atls_bytes *list, struct atls_early_scheme *out);
/* True when the vector holds exactly this encoded scheme. */
bool atls_early_contains(struct atls_bytes list, struct atls_bytes whole);

#endif
