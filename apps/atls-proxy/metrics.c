#include "metrics.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUTES_MAX       1024
#define PARTS_MAX        256
#define TECHNOLOGIES_MAX 16
#define NAME_LEN         64
#define BUCKETS          11

#define COUNT_REASON(name, slug) +1
enum { REASONS = 0 ATLS_REASONS(COUNT_REASON) };

static const int64_t bounds_us[BUCKETS] = {1000,   2500,   5000,    10000,   25000,   50000,
                                           100000, 250000, 1000000, 2500000, 10000000};

struct histogram {
    atomic_llong buckets[BUCKETS + 1], sum_us;
};

struct metrics_route {
    char name[NAME_LEN];
    atomic_llong links[METRICS_STAGES], ended[LINK_ENDS], from_client, to_client;
    atomic_llong attested[2][TECHNOLOGIES_MAX + 2][METRICS_OUTCOMES];
    atomic_llong reasons[REASONS];
    struct histogram opened;
};

struct metrics_part {
    char name[NAME_LEN];
    atomic_bool failed; /* the last time */
    atomic_llong failures;
    struct histogram seconds;
};

/* Pointers are set once, before the count that makes them seen. */
static struct {
    pthread_mutex_t lock; /* for what is new */
    struct metrics_route none, other, *routes[ROUTES_MAX];
    atomic_size_t route_count;
    struct metrics_part others[METRICS_KINDS], *parts[METRICS_KINDS][PARTS_MAX];
    atomic_size_t part_counts[METRICS_KINDS];
    char technologies[TECHNOLOGIES_MAX][NAME_LEN];
    atomic_size_t technology_count;
    atomic_llong reloads[2], ready, report_only, generations;
    atomic_bool has_other, has_others[METRICS_KINDS]; /* handed out */
} state = {.lock = PTHREAD_MUTEX_INITIALIZER,
           .other.name = "other",
           .others = {{.name = "other"}, {.name = "other"}}};

static void add(atomic_llong *counter, int64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static int64_t value(atomic_llong *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void observe(struct histogram *h, int64_t duration_us)
{
    size_t i = 0;

    while (i < BUCKETS && duration_us > bounds_us[i])
        i++;
    add(&h->buckets[i], 1);
    add(&h->sum_us, duration_us);
}

/* ---- what is counted for ---- */

static bool is_name(const char *cut, const char *name)
{
    return strncmp(cut, name, NAME_LEN - 1) == 0;
}

struct metrics_route *metrics_route(const char *name)
{
    struct metrics_route *r = NULL;
    size_t count;

    if (name == NULL || name[0] == '\0')
        return &state.none;
    pthread_mutex_lock(&state.lock);
    count = atomic_load(&state.route_count);
    for (size_t i = 0; i < count && r == NULL; i++)
        if (is_name(state.routes[i]->name, name))
            r = state.routes[i];
    if (r == NULL && count < ROUTES_MAX && (r = calloc(1, sizeof *r)) != NULL) {
        snprintf(r->name, sizeof r->name, "%s", name);
        state.routes[count] = r;
        atomic_store(&state.route_count, count + 1);
    }
    pthread_mutex_unlock(&state.lock);
    if (r == NULL)
        atomic_store(&state.has_other, true);
    return r != NULL ? r : &state.other;
}

struct metrics_part *metrics_part(enum metrics_kind kind, const char *name)
{
    struct metrics_part *p = NULL;
    size_t count;

    pthread_mutex_lock(&state.lock);
    count = atomic_load(&state.part_counts[kind]);
    for (size_t i = 0; i < count && p == NULL; i++)
        if (is_name(state.parts[kind][i]->name, name))
            p = state.parts[kind][i];
    if (p == NULL && count < PARTS_MAX && (p = calloc(1, sizeof *p)) != NULL) {
        snprintf(p->name, sizeof p->name, "%s", name);
        state.parts[kind][count] = p;
        atomic_store(&state.part_counts[kind], count + 1);
    }
    pthread_mutex_unlock(&state.lock);
    if (p == NULL)
        atomic_store(&state.has_others[kind], true);
    return p != NULL ? p : &state.others[kind];
}

/* 0: none; TECHNOLOGIES_MAX + 1: others. */
static size_t find_technology(const char *name)
{
    size_t count = atomic_load_explicit(&state.technology_count, memory_order_acquire);

    for (size_t i = 0; i < count; i++)
        if (is_name(state.technologies[i], name))
            return i + 1;
    return TECHNOLOGIES_MAX + 1;
}

static size_t technology(const char *name)
{
    size_t at, count;

    if (name == NULL || name[0] == '\0')
        return 0;
    if ((at = find_technology(name)) <= TECHNOLOGIES_MAX)
        return at;
    pthread_mutex_lock(&state.lock);
    count = atomic_load(&state.technology_count);
    if ((at = find_technology(name)) > TECHNOLOGIES_MAX && count < TECHNOLOGIES_MAX) {
        snprintf(state.technologies[count], NAME_LEN, "%s", name);
        atomic_store_explicit(&state.technology_count, count + 1, memory_order_release);
        at = count + 1;
    }
    pthread_mutex_unlock(&state.lock);
    return at;
}

/* ---- counting ---- */

void metrics_links(struct metrics_route *r, enum metrics_stage stage, int change)
{
    add(&r->links[stage], change);
}

void metrics_ended(struct metrics_route *r, const struct link_report *report)
{
    add(&r->ended[report->end], 1);
    add(&r->from_client, (int64_t)report->from_client);
    add(&r->to_client, (int64_t)report->to_client);
}

void metrics_refused(struct metrics_route *r, enum link_end why)
{
    add(&r->ended[why], 1);
}

void metrics_opened(struct metrics_route *r, int64_t after_ms)
{
    observe(&r->opened, after_ms * 1000);
}

void metrics_attested(struct metrics_route *r, enum link_side_number side, const char *name,
                      enum metrics_outcome outcome)
{
    add(&r->attested[side][technology(name)][outcome], 1);
}

void metrics_reason(struct metrics_route *r, enum atls_reason reason)
{
    add(&r->reasons[(size_t)reason < REASONS ? reason : ATLS_REASON_NONE], 1);
}

void metrics_worked(struct metrics_part *p, bool ok, int64_t duration_us)
{
    observe(&p->seconds, duration_us);
    atomic_store(&p->failed, !ok);
    if (!ok)
        add(&p->failures, 1);
}

bool metrics_works(const struct metrics_part *p)
{
    return !atomic_load(&p->failed);
}

void metrics_report_only(void)
{
    atomic_store(&state.report_only, 1);
}

void metrics_generations(int change)
{
    add(&state.generations, change);
}

void metrics_reloaded(bool ok)
{
    add(&state.reloads[ok ? 1 : 0], 1);
}

void metrics_ready(bool ready)
{
    atomic_store(&state.ready, ready);
}

/* ---- as text ---- */

static void write_family(struct text *out, const char *name, const char *type, const char *help)
{
    text_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Names of configurations and of peers' evidence. */
static void write_label(struct text *out, const char *name, const char *label, bool first)
{
    text_printf(out, "%s%s=\"", first ? "{" : ",", name);
    for (; *label != '\0'; label++)
        text_add(out, *label == '"' || *label == '\\' || *label < ' ' ? "_" : label, 1);
    text_add(out, "\"", 1);
}

struct label {
    const char *name, *value;
};

static void write_series(struct text *out, const char *family, const struct label *labels,
                         size_t count, int64_t number)
{
    text_puts(out, family);
    for (size_t i = 0; i < count; i++)
        write_label(out, labels[i].name, labels[i].value, i == 0);
    text_printf(out, "} %lld\n", (long long)number);
}

static void write_histogram(struct text *out, const char *family, struct label label,
                            struct histogram *h)
{
    char bucket[96], name[96], bound[32];
    int64_t count = 0;

    snprintf(bucket, sizeof bucket, "%s_bucket", family);
    for (size_t i = 0; i <= BUCKETS; i++) {
        count += value(&h->buckets[i]);
        if (i < BUCKETS)
            snprintf(bound, sizeof bound, "%g", (double)bounds_us[i] / 1e6);
        write_series(out, bucket,
                     (const struct label[]){label, {"le", i < BUCKETS ? bound : "+Inf"}}, 2, count);
    }
    snprintf(name, sizeof name, "%s_count", family);
    write_series(out, name, &label, 1, count);
    text_printf(out, "%s_sum", family);
    write_label(out, label.name, label.value, true);
    text_printf(out, "} %.6f\n", (double)value(&h->sum_us) / 1e6);
}

static void write_ends(struct text *out, struct metrics_route *r)
{
    for (int end = 0; end < LINK_ENDS; end++)
        if (value(&r->ended[end]) > 0)
            write_series(out, "atls_proxy_connections_total",
                         (const struct label[]){{"route", r->name},
                                                {"end", link_end_name((enum link_end)end)}},
                         2, value(&r->ended[end]));
}

static void write_links(struct text *out, struct metrics_route *r)
{
    static const char *const stages[METRICS_STAGES] = {"prelude", "opening", "open"};

    for (size_t i = 0; i < METRICS_STAGES; i++)
        write_series(out, "atls_proxy_links",
                     (const struct label[]){{"route", r->name}, {"stage", stages[i]}}, 2,
                     value(&r->links[i]));
}

static void write_bytes(struct text *out, struct metrics_route *r)
{
    write_series(out, "atls_proxy_bytes_total",
                 (const struct label[]){{"route", r->name}, {"direction", "upstream"}}, 2,
                 value(&r->from_client));
    write_series(out, "atls_proxy_bytes_total",
                 (const struct label[]){{"route", r->name}, {"direction", "downstream"}}, 2,
                 value(&r->to_client));
}

static const char *technology_name(size_t i)
{
    return i == 0 ? "" : i <= TECHNOLOGIES_MAX ? state.technologies[i - 1] : "other";
}

static void write_attested(struct text *out, struct metrics_route *r)
{
    static const char *const sides[2] = {"downstream", "upstream"};
    static const char *const outcomes[METRICS_OUTCOMES] = {"accepted", "refused", "absent"};

    for (size_t side = 0; side < 2; side++)
        for (size_t i = 0; i < TECHNOLOGIES_MAX + 2; i++)
            for (size_t k = 0; k < METRICS_OUTCOMES; k++)
                if (value(&r->attested[side][i][k]) > 0)
                    write_series(out, "atls_proxy_attestations_total",
                                 (const struct label[]){{"route", r->name},
                                                        {"side", sides[side]},
                                                        {"technology", technology_name(i)},
                                                        {"outcome", outcomes[k]}},
                                 4, value(&r->attested[side][i][k]));
}

static void write_reasons(struct text *out, struct metrics_route *r)
{
    for (int reason = 0; reason < REASONS; reason++)
        if (value(&r->reasons[reason]) > 0)
            write_series(
                out, "atls_proxy_reasons_total",
                (const struct label[]){{"route", r->name},
                                       {"reason", atls_reason_name((enum atls_reason)reason)}},
                2, value(&r->reasons[reason]));
}

static void write_opened(struct text *out, struct metrics_route *r)
{
    if (r != &state.none)
        write_histogram(out, "atls_proxy_open_seconds", (struct label){"route", r->name},
                        &r->opened);
}

static const struct {
    const char *name, *type, *help;
    void (*write)(struct text *out, struct metrics_route *r);
} families[] = {
    {"atls_proxy_connections_total", "counter",
     "Connections that ended, or were refused, and how; without a route where none was known",
     write_ends},
    {"atls_proxy_links", "gauge", "Connections that are there, by stage", write_links},
    {"atls_proxy_bytes_total", "counter", "Bytes of data of connections that ended", write_bytes},
    {"atls_proxy_attestations_total", "counter",
     "Verdicts on peers; absent: passed as not attested", write_attested},
    {"atls_proxy_reasons_total", "counter", "Why peers were refused", write_reasons},
    {"atls_proxy_open_seconds", "histogram", "From accept until data may move", write_opened},
};

static void write_parts(struct text *out, enum metrics_kind kind)
{
    static const struct {
        const char *label, *seconds, *failures;
    } kinds[METRICS_KINDS] = {
        {"attester", "atls_proxy_evidence_seconds", "atls_proxy_evidence_failures_total"},
        {"verifier", "atls_proxy_verifier_seconds", "atls_proxy_verifier_failures_total"},
    };
    size_t count = atomic_load(&state.part_counts[kind]);
    bool others = atomic_load(&state.has_others[kind]);

    write_family(out, kinds[kind].seconds, "histogram",
                 kind == METRICS_ATTESTER
                     ? "Making evidence, for connections or to see whether it works"
                     : "Appraising");
    for (size_t i = 0; i < count + others; i++) {
        struct metrics_part *p = i < count ? state.parts[kind][i] : &state.others[kind];

        write_histogram(out, kinds[kind].seconds, (struct label){kinds[kind].label, p->name},
                        &p->seconds);
    }
    write_family(out, kinds[kind].failures, "counter", "Failures of the device or service");
    for (size_t i = 0; i < count + others; i++) {
        struct metrics_part *p = i < count ? state.parts[kind][i] : &state.others[kind];

        write_series(out, kinds[kind].failures, &(const struct label){kinds[kind].label, p->name},
                     1, value(&p->failures));
    }
}

void metrics_write(struct text *out)
{
    size_t count = atomic_load(&state.route_count);

    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        write_family(out, families[i].name, families[i].type, families[i].help);
        families[i].write(out, &state.none);
        for (size_t k = 0; k < count; k++)
            families[i].write(out, state.routes[k]);
        if (atomic_load(&state.has_other))
            families[i].write(out, &state.other);
    }
    for (int kind = 0; kind < METRICS_KINDS; kind++)
        write_parts(out, (enum metrics_kind)kind);
    write_family(out, "atls_proxy_reloads_total", "counter", "Readings of the configuration");
    write_series(out, "atls_proxy_reloads_total", &(const struct label){"outcome", "failed"}, 1,
                 value(&state.reloads[0]));
    write_series(out, "atls_proxy_reloads_total", &(const struct label){"outcome", "ok"}, 1,
                 value(&state.reloads[1]));
    write_family(out, "atls_proxy_ready", "gauge", "1 when connections would be served");
    text_printf(out, "atls_proxy_ready %lld\n", (long long)value(&state.ready));
    write_family(out, "atls_proxy_generations", "gauge",
                 "Configurations that connections are of, or new ones will be");
    text_printf(out, "atls_proxy_generations %lld\n", (long long)value(&state.generations));
    write_family(out, "atls_proxy_report_only", "gauge",
                 "1 with --dry-run: what policies refuse passes");
    text_printf(out, "atls_proxy_report_only %lld\n", (long long)value(&state.report_only));
    write_family(out, "atls_proxy_build_info", "gauge", "Version");
    write_series(out, "atls_proxy_build_info", &(const struct label){"version", ATLS_VERSION}, 1,
                 1);
}
