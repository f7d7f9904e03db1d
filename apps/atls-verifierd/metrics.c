#include "metrics.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define SERIES_MAX  2048
#define LABEL_MAX   64
#define SLOTS       4096 /* power of two, so that no chain grows long */
#define BUCKETS     10
#define OBSERVE_MAX 16

static const struct {
    const char *name, *type, *help, *labels[3];
} families[METRIC_COUNT] = {
    [METRIC_REQUESTS] = {"atls_verifierd_requests_total",
                         "counter",
                         "Requests answered",
                         {"endpoint", "code", NULL}},
    [METRIC_APPRAISALS] = {"atls_verifierd_appraisals_total",
                           "counter",
                           "Attestation results issued",
                           {"tenant", "submod", "status"}},
    [METRIC_REFUSALS] = {"atls_verifierd_refusals_total",
                         "counter",
                         "Results that are not affirming, by reason",
                         {"tenant", "reason", NULL}},
    [METRIC_PROVISIONING] = {"atls_verifierd_provisioning_total",
                             "counter",
                             "Manifests submitted, by outcome",
                             {"tenant", "outcome", NULL}},
    [METRIC_STORE_ERRORS] = {"atls_verifierd_store_errors_total",
                             "counter",
                             "Requests that the store failed",
                             {"tenant", NULL, NULL}},
    [METRIC_SESSIONS] = {"atls_verifierd_sessions_open",
                         "gauge",
                         "Open challenge-response sessions",
                         {"tenant", NULL, NULL}},
    [METRIC_READY] = {"atls_verifierd_tenant_ready",
                      "gauge",
                      "1 when store and signing key of the tenant are there",
                      {"tenant", NULL, NULL}},
    [METRIC_RELOADS] = {"atls_verifierd_reloads_total",
                        "counter",
                        "Configuration reloads, by outcome",
                        {"outcome", NULL, NULL}},
};

static const int64_t bounds_us[BUCKETS] = {500,   1000,  2500,   5000,   10000,
                                           25000, 50000, 100000, 500000, 2500000};

static struct {
    pthread_mutex_t lock;
    struct series {
        enum metric metric;
        char labels[3][LABEL_MAX];
        int64_t value;
    } series[SERIES_MAX];
    size_t count;
    uint16_t slots[SLOTS]; /* index + 1 */
    int64_t dropped;
    struct histogram {
        char endpoint[LABEL_MAX];
        int64_t buckets[BUCKETS + 1], sum_us;
    } histograms[OBSERVE_MAX];
    size_t histogram_count;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint32_t hash_of(enum metric metric, const char *const labels[3])
{
    uint32_t h = 2166136261u ^ (uint32_t)metric;

    for (size_t i = 0; i < 3; i++, h = (h ^ 0xff) * 16777619u)
        for (const char *s = labels[i] != NULL ? labels[i] : ""; *s != '\0'; s++)
            h = (h ^ (unsigned char)*s) * 16777619u;
    return h;
}

static bool is_series(const struct series *s, enum metric metric, const char *const labels[3])
{
    if (s->metric != metric)
        return false;
    for (size_t i = 0; i < 3; i++)
        if (strncmp(s->labels[i], labels[i] != NULL ? labels[i] : "", LABEL_MAX - 1) != 0)
            return false;
    return true;
}

/* NULL when there is no room; with the lock. */
static struct series *find_series(enum metric metric, const char *const labels[3])
{
    uint32_t at = hash_of(metric, labels) % SLOTS;

    for (; state.slots[at] != 0; at = (at + 1) % SLOTS)
        if (is_series(&state.series[state.slots[at] - 1], metric, labels))
            return &state.series[state.slots[at] - 1];
    if (state.count == SERIES_MAX) {
        state.dropped++;
        return NULL;
    }
    state.slots[at] = (uint16_t)(state.count + 1);
    state.series[state.count].metric = metric;
    for (size_t i = 0; i < 3; i++)
        snprintf(state.series[state.count].labels[i], LABEL_MAX, "%s",
                 labels[i] != NULL ? labels[i] : "");
    return &state.series[state.count++];
}

void metric_add(enum metric metric, const char *a, const char *b, const char *c)
{
    const char *const labels[3] = {a, b, c};
    struct series *s;

    pthread_mutex_lock(&state.lock);
    if ((s = find_series(metric, labels)) != NULL)
        s->value++;
    pthread_mutex_unlock(&state.lock);
}

void metric_set(enum metric metric, const char *a, int64_t value)
{
    const char *const labels[3] = {a, NULL, NULL};
    struct series *s;

    pthread_mutex_lock(&state.lock);
    if ((s = find_series(metric, labels)) != NULL)
        s->value = value;
    pthread_mutex_unlock(&state.lock);
}

void metric_observe(const char *endpoint, int64_t duration_us)
{
    size_t i = 0, bucket = 0;

    while (bucket < BUCKETS && duration_us > bounds_us[bucket])
        bucket++;
    pthread_mutex_lock(&state.lock);
    while (i < state.histogram_count && strcmp(state.histograms[i].endpoint, endpoint) != 0)
        i++;
    if (i == state.histogram_count && i < OBSERVE_MAX) {
        snprintf(state.histograms[i].endpoint, LABEL_MAX, "%s", endpoint);
        state.histogram_count++;
    }
    if (i < OBSERVE_MAX) {
        state.histograms[i].buckets[bucket]++;
        state.histograms[i].sum_us += duration_us;
    }
    pthread_mutex_unlock(&state.lock);
}

/* Labels are names of configuration and slugs: nothing in them needs escaping but for caution. */
static void write_label(struct text *out, const char *name, const char *value, bool first)
{
    text_printf(out, "%s%s=\"", first ? "{" : ",", name);
    for (; *value != '\0'; value++)
        text_add(out, *value == '"' || *value == '\\' || *value < ' ' ? "_" : value, 1);
    text_add(out, "\"", 1);
}

static void write_family(struct text *out, enum metric metric)
{
    text_printf(out, "# HELP %s %s\n# TYPE %s %s\n", families[metric].name, families[metric].help,
                families[metric].name, families[metric].type);
    for (size_t i = 0; i < state.count; i++) {
        const struct series *s = &state.series[i];

        if (s->metric != metric)
            continue;
        text_puts(out, families[metric].name);
        for (size_t k = 0; k < 3 && families[metric].labels[k] != NULL; k++)
            write_label(out, families[metric].labels[k], s->labels[k], k == 0);
        text_printf(out, "} %lld\n", (long long)s->value);
    }
}

static void write_histogram(struct text *out, const struct histogram *h)
{
    static const char name[] = "atls_verifierd_request_duration_seconds";
    int64_t count = 0;

    for (size_t i = 0; i <= BUCKETS; i++) {
        count += h->buckets[i];
        if (i < BUCKETS)
            text_printf(out, "%s_bucket{endpoint=\"%s\",le=\"%.4f\"} %lld\n", name, h->endpoint,
                        (double)bounds_us[i] / 1e6, (long long)count);
    }
    text_printf(out, "%s_bucket{endpoint=\"%s\",le=\"+Inf\"} %lld\n", name, h->endpoint,
                (long long)count);
    text_printf(out, "%s_sum{endpoint=\"%s\"} %.6f\n", name, h->endpoint, (double)h->sum_us / 1e6);
    text_printf(out, "%s_count{endpoint=\"%s\"} %lld\n", name, h->endpoint, (long long)count);
}

static void write_single(struct text *out, const char *name, const char *help, int64_t value)
{
    text_printf(out, "# HELP %s %s\n# TYPE %s gauge\n%s %lld\n", name, help, name, name,
                (long long)value);
}

void metrics_write(struct text *out, const struct metric_gauges *gauges)
{
    pthread_mutex_lock(&state.lock);
    for (int metric = 0; metric < METRIC_COUNT; metric++)
        write_family(out, (enum metric)metric);
    text_puts(out, "# HELP atls_verifierd_request_duration_seconds From request line to answer\n"
                   "# TYPE atls_verifierd_request_duration_seconds histogram\n");
    for (size_t i = 0; i < state.histogram_count; i++)
        write_histogram(out, &state.histograms[i]);
    write_single(out, "atls_verifierd_connections", "Open connections", gauges->connections);
    write_single(out, "atls_verifierd_bodies_bytes", "Bytes of bodies being received",
                 gauges->bodies_bytes);
    write_single(out, "atls_verifierd_metrics_dropped", "Updates for want of room", state.dropped);
    pthread_mutex_unlock(&state.lock);
    text_printf(out,
                "# HELP atls_verifierd_build_info Version\n# TYPE atls_verifierd_build_info gauge\n"
                "atls_verifierd_build_info{version=\"%s\"} 1\n",
                ATLS_VERSION);
}
