/* The state of one session and what its parts (session.c, receive.c, gate.c) share. */
#ifndef ATLS_FLAVOUR_POST_SESSION_H
#define ATLS_FLAVOUR_POST_SESSION_H

#include <atls/session.h>

#include "core/writer.h"
#include "flavour/post/carrier.h"
#include "flavour/post/hello.h"
#include "flavour/post/job.h"
#include "flavour/post/meter.h"

/* A DATA frame that fills one TLS record, and what the output may hold of application data. */
#define ATLS_OUTPUT_ROOM 16384
/* Data in flight when the right to send was withdrawn waits here for the gate to open again. */
#define ATLS_HELD_MAX 65536
#define ATLS_NEVER    INT64_MAX

/* Our request to the peer: one at a time. */
enum atls_request_state { ATLS_REQUEST_NONE = 0, ATLS_REQUEST_ASKED = 1, ATLS_REQUEST_JUDGING = 2 };

struct atls_own_request {
    enum atls_request_state state;
    uint32_t id; /* of the latest; the first is 1 */
    struct atls_buf raw;
    uint8_t exported[32];
    int64_t deadline_ms; /* ATLS_NEVER before the gate opened, and once it was found passed */
    bool again;          /* asked for once more meanwhile */
};

/* A request of the peer, from its arrival to its verdict. */
enum atls_slot_state { ATLS_SLOT_FREE = 0, ATLS_SLOT_ASKED = 1, ATLS_SLOT_ANSWERED = 2 };

struct atls_slot {
    enum atls_slot_state state;
    uint32_t id;
    bool declined; /* so it was answered */
};

struct atls_session {
    struct atls_config *config;
    struct atls_ea *ea;
    atls_exporter *exporter;
    void *exporter_arg;
    enum atls_role role;
    enum atls_hash hash;
    struct atls_buf tls_spki;
    char *peer_name; /* or NULL */

    /* Frames in. */
    uint8_t header[ATLS_FRAME_HEADER_LEN];
    size_t header_len;
    struct atls_frame_header frame; /* once header_len is full */
    uint32_t body_left;             /* of frame */
    struct atls_writer body;
    struct atls_bytes data;  /* borrows from the input of the caller, until read */
    struct atls_writer held; /* data while rights are withdrawn */
    size_t held_read;

    /* Frames out. */
    struct atls_writer out;
    size_t out_done;

    /* What the peer's HELLO said. */
    bool hello_received;
    uint8_t peer_flags;
    bool peer_optional; /* we may decline to attest */
    bool declines;      /* and do: own_failure says why */
    uint32_t peer_frame_max;
    bool shows_result;          /* we show a result instead of evidence */
    unsigned int peer_profiles; /* enum atls_evidence_profile that it takes */
    const char *inner_protocol; /* borrows from inner_storage */
    char inner_storage[256];

    /* The gate. */
    int64_t gate_deadline_ms;
    uint32_t frames, bytes; /* received before it opened */
    bool opened;            /* has been open */
    bool attested;          /* the peer, by us, now */
    bool self_attested;     /* we, by the peer, now */
    bool excused;           /* the peer shows none, and peer_optional lets it pass: for good */
    bool self_excused;      /* we declined, and the peer lets us pass */
    bool tls_authenticated; /* TLS validated the peer's certificate */
    bool raw_sent, raw_received;
    bool end_sent, end_received; /* of application data */
    bool ends_by_tls;            /* new_open: close_notify ends one direction of the data */
    bool shown;                  /* our attestation went out */

    /* Requests. */
    struct atls_own_request own;
    int64_t reattest_ms; /* when the interval is over */
    struct atls_slot *slots;
    uint32_t peer_id; /* of the peer's latest request */
    struct atls_meter meter;
    struct atls_job *jobs, **jobs_end;

    /* The peer. */
    struct atls_result *result; /* NULL before the first, and when it was released */
    bool appraised;             /* what follows is of the latest result */
    bool insecure;
    enum atls_tier status;
    const char *evidence_type; /* static */
    struct atls_buf spki, certificate;
    int64_t attested_at_s;
    uint32_t attestations;

    /* The end. */
    bool closed;
    bool peer_ended;  /* by CLOSE or a refusing VERDICT: nothing more to tell it */
    uint16_t refusal; /* code that CLOSE repeats after a refusing VERDICT; 0: none */
    struct atls_err error;
    struct atls_err own_failure; /* why we declined, if we did */
};

/* A connection whose handshake has done all that there is to attest (flavours intra and pre). */
struct atls_established {
    struct atls_result *result; /* of the peer; a reference is taken; NULL: not asked for */
    struct atls_bytes spki, certificate; /* of the peer's AIK; copied */
    bool excused; /* no result: the peer showed no attestation at all, which peer_optional lets
                     pass, and all else that is configured of it holds */
    bool shown;   /* our attestation went out */
    const char *inner_protocol; /* ALPN, "" when none; copied */
};
/* A session in raw mode from the start: what TLS carries is application data, and there is no
 * re-attestation. close_notify ends the data of who sends it (RFC 8446 section 6.1): after
 * atls_session_end the caller does, behind what the output holds, and it tells of the peer's by
 * atls_session_input_end. With both the session has ended. What config requires of the peer must be
 * in established, or excused with peer_optional: else ATLS_E_EVIDENCE (not-attested). The peer
 * counts as content with our attestation once it has sent anything, a client once its handshake has
 * ended: until then it may still refuse. Errors: as atls_session_new.
 */
ATLS_MUST_CHECK enum atls_code atls_session_new_open(struct atls_config *config,
                                                     const struct atls_tls *tls,
                                                     const struct atls_established *established,
                                                     struct atls_session **out,
                                                     struct atls_err *err);

/* session.c */

/* The latest result, which is taken over; NULL: none. */
void atls_session_set_result(struct atls_session *s, struct atls_result *result);

/* gate.c */

/* True when both sides have now what they asked for. */
bool atls_gate_is_open(const struct atls_session *s);
/* The peer of a raw connection sent something, or ended its handshake: one that had asked for our
 * attestation and refused it would not. */
void atls_gate_heard(struct atls_session *s);
/* Looks whether the gate opened, and does what follows from that. */
void atls_gate_update(struct atls_session *s);
/* True when DATA may still arrive that the peer sent before it learned of a withdrawal. */
bool atls_gate_is_withdrawn(const struct atls_session *s);
/* True when the peer declined, and may: it was asked first and peer_optional is on. */
bool atls_gate_may_excuse(const struct atls_session *s);
/* Lets the peer pass, which declined for cause: VERDICT not-attested goes out, which is no refusal
 * to a peer that was told optional. Errors: ATLS_E_CERTIFICATE when TLS has authenticated no
 * server: there would be nobody to speak of; the session must end. */
ATLS_MUST_CHECK enum atls_code atls_gate_excuse(struct atls_session *s,
                                                const struct atls_err *cause, struct atls_err *err);
/* Takes the right to send data from the peer, and the gate closes, until it is attested again. */
void atls_gate_withdraw(struct atls_session *s, const struct atls_err *cause);
/* The open request is over, one way or the other. */
void atls_gate_judged(struct atls_session *s);
/* Judges the open request as failed: VERDICT with refusal, then the right to send is withdrawn
 * (ATLS_OK) or the session must end with cause (its code). */
enum atls_code atls_gate_refuse(struct atls_session *s, uint16_t refusal,
                                const struct atls_err *cause);
/* Puts HELLO, and REQUEST when we require attestation, into the output. */
ATLS_MUST_CHECK enum atls_code atls_gate_first_flight(struct atls_session *s, struct atls_err *err);
/* Puts a REQUEST with a fresh context into the output. */
ATLS_MUST_CHECK enum atls_code atls_gate_request(struct atls_session *s, struct atls_err *err);
/* Ends the session: records cause, tells the peer, drops what is no longer needed, copies cause to
 * err (may be NULL). Returns its code. A session that ended before keeps its first cause. */
enum atls_code atls_gate_end(struct atls_session *s, const struct atls_err *cause,
                             struct atls_err *err);
/* The last line of every entry point: ends the session when code is a failure (with cause) or when
 * the output ran out of memory. */
enum atls_code atls_gate_settle(struct atls_session *s, enum atls_code code, struct atls_err *cause,
                                struct atls_err *err);
/* "slug: sentence" for the text of DECLINE, VERDICT and CLOSE. */
struct atls_bytes atls_gate_text(uint16_t code, enum atls_reason reason,
                                 char out[ATLS_FRAME_TEXT_MAX + 1]);
int64_t atls_gate_now(const struct atls_session *s);

/* receive.c */

/* Takes bytes as far as they go without passing unread application data. */
ATLS_MUST_CHECK enum atls_code atls_receive(struct atls_session *s, struct atls_bytes bytes,
                                            size_t *out_consumed, struct atls_err *err);
/* The peer's request was answered by job (or could not be): AUTHENTICATOR or DECLINE goes out. */
ATLS_MUST_CHECK enum atls_code
atls_receive_attested(struct atls_session *s, struct atls_post_job *job, struct atls_err *err);
/* The peer's authenticator was judged: VERDICT goes out. */
ATLS_MUST_CHECK enum atls_code
atls_receive_appraised(struct atls_session *s, struct atls_post_job *job, struct atls_err *err);

#endif
