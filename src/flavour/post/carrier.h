/* Frames of the carrier atls/1 (docs/carrier.md): a pure codec, no state, no policy.
 *
 * A decoder fills its output on success only, with views of the body; a body must be consumed
 * exactly. An encoder appends whole frames to a writer, whose error sticks. Every function may be
 * called from any thread. */
#ifndef ATLS_FLAVOUR_POST_CARRIER_H
#define ATLS_FLAVOUR_POST_CARRIER_H

#include <stdbool.h>
#include <stdint.h>

#include <atls/bytes.h>
#include <atls/limits.h>

#include "core/writer.h"

#define ATLS_FRAME_HEADER_LEN 4
#define ATLS_FRAME_TEXT_MAX   255
/* An empty authenticator: handshake header and one MAC (RFC 9261 section 6). */
#define ATLS_EMPTY_AUTHENTICATOR_MIN 36
#define ATLS_EMPTY_AUTHENTICATOR_MAX 52

enum atls_frame_type {
    ATLS_FRAME_HELLO = 1,
    ATLS_FRAME_REQUEST = 2,
    ATLS_FRAME_AUTHENTICATOR = 3,
    ATLS_FRAME_DECLINE = 4,
    ATLS_FRAME_VERDICT = 5,
    ATLS_FRAME_DATA = 6,
    ATLS_FRAME_CLOSE = 7,
    ATLS_FRAME_RAW = 8,
    ATLS_FRAME_END = 9,
};

/* Codes of DECLINE, VERDICT and CLOSE. */
enum atls_carrier_code {
    ATLS_CARRIER_OK = 0,
    ATLS_CARRIER_PROTOCOL = 1,
    ATLS_CARRIER_MALFORMED = 2,
    ATLS_CARRIER_NOT_ATTESTED = 3,
    ATLS_CARRIER_EVIDENCE = 4,
    ATLS_CARRIER_IDENTITY = 5,
    ATLS_CARRIER_POLICY = 6,
    ATLS_CARRIER_NO_COMMON_PARAMETERS = 7,
    ATLS_CARRIER_DEADLINE = 8,
    ATLS_CARRIER_FLOOD = 9,
    ATLS_CARRIER_UNAVAILABLE = 10,
    ATLS_CARRIER_GATE_CLOSED = 11,
    ATLS_CARRIER_INTERNAL = 12,
};

/* One row a code: its name, the sentence that we send with it, and what it becomes here when the
 * peer sent it. */
struct atls_carrier_code_row {
    const char *name;
    const char *sentence;
    enum atls_code received;
};
/* The row of a code; unknown codes get one of their own. Never NULL. */
const struct atls_carrier_code_row *atls_carrier_code_row(uint16_t code);

/* The code that tells a peer about a failure of ours: by reason where the reason decides, otherwise
 * by the code of err. */
uint16_t atls_carrier_code_of(const struct atls_err *err);

/* Name of a frame type ("HELLO"); "unknown frame" for others. */
const char *atls_frame_name(uint8_t type);

struct atls_frame_header {
    enum atls_frame_type type;
    uint32_t len; /* of the body, within the bounds of its type */
};
/* Errors: ATLS_E_PROTOCOL for an unknown type, ATLS_E_DECODE for a length outside its bounds. */
ATLS_MUST_CHECK enum atls_code atls_frame_header_decode(const uint8_t in[ATLS_FRAME_HEADER_LEN],
                                                        struct atls_frame_header *out,
                                                        struct atls_err *err);
void atls_frame_header_put(struct atls_writer *w, enum atls_frame_type type, uint32_t len);

/* REQUEST and AUTHENTICATOR: id and a message of RFC 9261, which its own decoder judges. */
struct atls_message_frame {
    uint32_t id;
    struct atls_bytes message;
};
ATLS_MUST_CHECK enum atls_code atls_message_frame_decode(struct atls_bytes body,
                                                         struct atls_message_frame *out,
                                                         struct atls_err *err);
void atls_message_frame_put(struct atls_writer *w, enum atls_frame_type type, uint32_t id,
                            struct atls_bytes message);

/* DECLINE; VERDICT has no authenticator, CLOSE no id either. */
struct atls_status_frame {
    uint32_t id;
    uint16_t code;
    struct atls_bytes text; /* UTF-8, not yet escaped */
    struct atls_bytes authenticator;
};
ATLS_MUST_CHECK enum atls_code
atls_decline_decode(struct atls_bytes body, struct atls_status_frame *out, struct atls_err *err);
ATLS_MUST_CHECK enum atls_code
atls_verdict_decode(struct atls_bytes body, struct atls_status_frame *out, struct atls_err *err);
ATLS_MUST_CHECK enum atls_code
atls_close_decode(struct atls_bytes body, struct atls_status_frame *out, struct atls_err *err);
/* Text over ATLS_FRAME_TEXT_MAX bytes is an error of the writer. */
void atls_decline_put(struct atls_writer *w, const struct atls_status_frame *frame);
void atls_verdict_put(struct atls_writer *w, const struct atls_status_frame *frame);
void atls_close_put(struct atls_writer *w, const struct atls_status_frame *frame);

#endif
