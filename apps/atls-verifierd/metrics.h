/* Counters, gauges and one histogram, as Prometheus text (exposition format 0.0.4). The number of
 * series is bounded; they last as long as the process. Any thread. */
#ifndef VERIFIERD_METRICS_H
#define VERIFIERD_METRICS_H

#include "text.h"

enum metric {
    METRIC_REQUESTS,     /* endpoint, code */
    METRIC_APPRAISALS,   /* tenant, submod, status */
    METRIC_REFUSALS,     /* tenant, reason */
    METRIC_PROVISIONING, /* tenant, outcome */
    METRIC_STORE_ERRORS, /* tenant */
    METRIC_SESSIONS,     /* tenant; gauge */
    METRIC_READY,        /* tenant; gauge */
    METRIC_RELOADS,      /* outcome */
    METRIC_COUNT
};

/* Labels in the order above; those that a family does not have are NULL. */
void metric_add(enum metric metric, const char *a, const char *b, const char *c);
void metric_set(enum metric metric, const char *a, int64_t value);
/* One request of an endpoint took so long. */
void metric_observe(const char *endpoint, int64_t duration_us);

/* What others keep. */
struct metric_gauges {
    int64_t connections, bodies_bytes;
};
/* Everything as text. */
void metrics_write(struct text *out, const struct metric_gauges *gauges);

#endif
