/* Two sessions of one connection in memory, client and server, that a test drives frame by frame.
 */
#ifndef ATLS_TEST_SESSION_PAIR_H
#define ATLS_TEST_SESSION_PAIR_H

#include <stdbool.h>

#include <atls/session.h>

#include "fake_attester.h"

/* One end. The test sets what it wants between pair_init and pair_start. */
struct pair_end {
    struct fake_attester attester;
    struct fake_verifier verifier;
    bool attests, requires;
    bool has_passport; /* of its attester */
    struct fake_passport passport;
    struct atls_config_options options; /* attester, verifier and policy are filled in by start */
    struct atls_tls tls;                /* the same for exporter and hash */
    const char *peer_name;

    struct atls_config *config;
    struct atls_session *session;
    uint8_t secret[32];  /* of the exporter */
    enum atls_code code; /* of atls_session_new */
    struct atls_err err;
};

struct pair {
    struct pair_end client, server;
    enum atls_hash hash;
    int64_t now_ms; /* of both ends */
    size_t piece;   /* input is given in pieces of so many bytes; 0: whole */
    bool hold_jobs; /* pair_run leaves jobs alone */
    size_t flights; /* how often a side's output was delivered whole */
};

/* Mutual attestation with fakes, identity "attested"; no deadline passes by itself. */
void pair_init(struct pair *p);
/* Builds configurations and sessions: the code of atls_session_new is in each end. */
void pair_start(struct pair *p);
/* Builds configurations only. */
void pair_configure(struct pair *p);
void pair_clear(struct pair *p);

/* Delivers the output of one end to the other (all of it), once. */
void pair_deliver(struct pair *p, struct pair_end *from, struct pair_end *to);
/* Gives bytes to one end as if its peer had sent them; application data is discarded. */
enum atls_code pair_inject(struct pair *p, struct pair_end *to, struct atls_bytes bytes);
/* Runs jobs of one end. */
void pair_work(struct pair_end *end);
/* Deliveries and jobs until nothing moves. */
void pair_run(struct pair *p);
/* pair_start and pair_run; fails the test unless both gates are open. */
void pair_open(struct pair *p);

/* Moves len bytes of application data and checks that they arrive unchanged and in order. */
void pair_transfer(struct pair *p, struct pair_end *from, struct pair_end *to, size_t len);

/* Fails the test unless the session of end closed with this. */
void pair_assert_closed(const char *row, const struct pair_end *end, enum atls_code code,
                        enum atls_reason reason);

#endif
