/* Counters, gauges and histograms, as Prometheus text (exposition format 0.0.4). The number of
 * series is bounded; they last as long as the process, so that counters never go back when the
 * configuration is read again. Any thread; counting takes no lock. */
#ifndef PROXY_METRICS_H
#define PROXY_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "link.h"
#include "text.h"

/* Series of one route, or of one attester or verifier. */
struct metrics_route;
struct metrics_part;

/* Of this name, in this process: made when it is new. Takes a lock: keep the pointer. Over 1024
 * routes (256 parts of a kind) of all configurations so far, those of the name "other". NULL or "":
 * connections that have no route yet. */
struct metrics_route *metrics_route(const char *name);

enum metrics_stage {
    METRICS_PRELUDE = 0, /* no route yet */
    METRICS_OPENING,     /* handshakes, attestation, dialling */
    METRICS_OPEN,
    METRICS_STAGES, /* how many there are */
};
/* Links of a route came to a stage (1), or left it (-1). */
void metrics_links(struct metrics_route *r, enum metrics_stage stage, int change);
/* A link is at its end: how, and what moved over it. */
void metrics_ended(struct metrics_route *r, const struct link_report *report);
/* A connection was refused before there was a link. */
void metrics_refused(struct metrics_route *r, enum link_end why);
/* Both gates of a link are open, so long after it was accepted. */
void metrics_opened(struct metrics_route *r, int64_t after_ms);

enum metrics_outcome {
    METRICS_ACCEPTED = 0,
    METRICS_REFUSED,
    METRICS_ABSENT, /* passed as not attested, where that is optional */
    METRICS_OUTCOMES,
};
/* A verdict on a peer is in; technology "": it showed none. Over 16 technologies: "other". */
void metrics_attested(struct metrics_route *r, enum link_side_number side, const char *technology,
                      enum metrics_outcome outcome);
/* Why a peer was not accepted, or ended a connection that was. */
void metrics_reason(struct metrics_route *r, enum atls_reason reason);

enum metrics_kind { METRICS_ATTESTER = 0, METRICS_VERIFIER, METRICS_KINDS };
struct metrics_part *metrics_part(enum metrics_kind kind, const char *name);
/* Evidence was made, or an appraisal came back (be it a refusal), in so many microseconds; ok
 * false: the device or the service failed. */
void metrics_worked(struct metrics_part *p, bool ok, int64_t duration_us);
/* Whether it did the last time; true before the first. */
bool metrics_works(const struct metrics_part *p);

void metrics_reloaded(bool ok);
void metrics_ready(bool ready);
/* One more generation of the configuration is there (1), or one less (-1). */
void metrics_generations(int change);
/* Peers that are refused pass, and are counted (--dry-run). */
void metrics_report_only(void);

/* Everything as text. */
void metrics_write(struct text *out);

#endif
