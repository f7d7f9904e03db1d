#include "upkeep.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "log.h"
#include "probe.h"
#include "text.h"

#define PERIOD_S   1
#define VERIFIER_S 5 /* between two looks for the same verifier */
#define SETTLE_S   1 /* a file that was just written may go on being written */

/* CHANGES looks at stores and files, and frees what nobody has any more; PROBES, at devices and
 * services, which may take their time. */
enum thread { CHANGES, PROBES, THREADS };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct generation *generation; /* these under the lock */
    bool stop, kicked[THREADS], ready, attesters, verifiers, found;
    char why[UPKEEP_WHY_MAX], file[256];
    pthread_t threads[THREADS];
    bool running[THREADS];
    atomic_llong at_ms; /* of CHANGES */
    /* Of CHANGES, about the generation with this number: */
    unsigned seen;
    int64_t stores_ms;                            /* when stores were looked at */
    enum atls_code store_codes[CONFIG_NAMED_MAX]; /* by verifier, of the last look */
    uint64_t told_sum;                            /* of the files when they were told of last */
    /* Of PROBES, likewise: */
    unsigned probed;
    struct probed {
        struct atls_err last;
        bool looked;
        int64_t looked_ms;
    } probes[CONFIG_NAMED_MAX]; /* by verifier */
} upkeep = {.lock = PTHREAD_MUTEX_INITIALIZER};

#define SELF (&upkeep)

static bool is_stopped(void)
{
    bool stop;

    pthread_mutex_lock(&SELF->lock);
    stop = SELF->stop;
    pthread_mutex_unlock(&SELF->lock);
    return stop;
}

/* ---- stores ---- */

static void tell_judges(struct generation *g, const struct opened_verifier *v)
{
    for (size_t i = 0; i < g->config->route_count; i++)
        for (int n = 0; n < 2; n++)
            if (g->routes[i].side[n].verifier == v)
                judge_changed(g->routes[i].side[n].judge);
}

/* Of the newest generation. That a store is away is said once, until it is back: connections that
 * it should judge fail with what it says then. */
static void say_store(const struct generation *g, size_t index, bool changed,
                      const struct atls_err *err)
{
    const char *name = g->config->verifiers[index].name;
    enum atls_code *last = &SELF->store_codes[index];

    if (err->code != ATLS_OK && err->code != *last)
        log_say(ATLS_LOG_WARNING, "store",
                "verifier %s: whether its store has changed is not known: %s", name, err->message);
    if (err->code == ATLS_OK && *last != ATLS_OK)
        log_say(ATLS_LOG_INFO, "store", "verifier %s: its store can be looked at again", name);
    if (changed)
        log_say(ATLS_LOG_INFO, "store", "verifier %s: its store has changed", name);
    *last = err->code;
}

/* Those of older generations, too: their connections go on. */
static void look_at_stores(void *arg, struct generation *g)
{
    for (size_t i = 0; i < g->config->verifier_count && !is_stopped(); i++) {
        struct opened_verifier *v = &g->verifiers[i];
        struct atls_err err = ATLS_ERR_INIT;
        uint64_t now = 0;
        bool changed;

        if (!v->counts)
            continue;
        changed = atls_verifier_generation(v->verifier, &now, &err) == ATLS_OK &&
                  atomic_exchange(&v->generation, now) != now;
        if (g == arg)
            say_store(g, i, changed, &err);
        if (changed)
            tell_judges(g, v);
        atomic_store(&SELF->at_ms, now_ms());
    }
}

/* ---- files ---- */

/* Files are told of once they have rested, and once until one of them changes again: a certificate
 * whose key is not there yet must not hide the key when it comes. */
static void look_at_files(struct generation *g)
{
    struct state_stale stale;
    const char *path = generation_stale(g, &stale);
    struct timespec now = {0, 0};

    if (path == NULL || stale.sum == SELF->told_sum)
        return;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec >= stale.latest_s && now.tv_sec - stale.latest_s < SETTLE_S)
        return;
    SELF->told_sum = stale.sum;
    pthread_mutex_lock(&SELF->lock);
    SELF->found = true;
    snprintf(SELF->file, sizeof SELF->file, "%s", path);
    pthread_mutex_unlock(&SELF->lock);
}

static void look_for_changes(struct generation *g)
{
    if (SELF->seen != g->number) {
        memset(SELF->store_codes, 0, sizeof SELF->store_codes);
        SELF->told_sum = 0;
        SELF->stores_ms = 0;
    }
    SELF->seen = g->number;
    if (SELF->stores_ms == 0 || now_ms() - SELF->stores_ms >= 1000 * g->config->store_interval_s) {
        generation_each(look_at_stores, g);
        SELF->stores_ms = now_ms();
    }
    look_at_files(g);
    generation_bury();
    atomic_store(&SELF->at_ms, now_ms());
}

/* ---- devices and services ---- */

static bool prove_attesters(struct generation *g, char why[UPKEEP_WHY_MAX])
{
    bool all = true;

    for (size_t i = 0; i < g->config->attester_count && !is_stopped(); i++) {
        struct opened_attester *a = &g->attesters[i];
        struct atls_err err = ATLS_ERR_INIT;

        /* One that fails for a connection has to show that it works again. */
        if ((atomic_load(&a->proven) && metrics_works(a->metrics)) ||
            probe_attester(a, &err) == ATLS_OK)
            continue;
        snprintf(why, UPKEEP_WHY_MAX, "attester %.63s: %.300s", a->config->name, err.message);
        all = false;
    }
    return all;
}

static void probe(const struct opened_verifier *v, struct probed *p)
{
    if (p->looked && now_ms() - p->looked_ms < 1000 * VERIFIER_S)
        return;
    p->last = (struct atls_err)ATLS_ERR_INIT;
    (void)(probe_verifier(v, &p->last) == ATLS_OK);
    p->looked = true;
    p->looked_ms = now_ms();
}

static bool reach_verifiers(struct generation *g, char why[UPKEEP_WHY_MAX])
{
    bool all = true;

    if (SELF->probed != g->number)
        memset(SELF->probes, 0, sizeof SELF->probes);
    SELF->probed = g->number;
    for (size_t i = 0; i < g->config->verifier_count && !is_stopped(); i++) {
        struct probed *p = &SELF->probes[i];

        probe(&g->verifiers[i], p);
        if (p->last.code == ATLS_OK)
            continue;
        snprintf(why, UPKEEP_WHY_MAX, "verifier %.63s: %.300s", g->config->verifiers[i].name,
                 p->last.message);
        all = false;
    }
    return all;
}

static void set_ready(bool attesters, bool verifiers, const char *why)
{
    const bool ready = attesters && verifiers;
    bool changed;

    pthread_mutex_lock(&SELF->lock);
    SELF->attesters = attesters;
    SELF->verifiers = verifiers;
    changed = ready != SELF->ready || (!ready && strcmp(why, SELF->why) != 0);
    SELF->ready = ready;
    snprintf(SELF->why, sizeof SELF->why, "%s", ready ? "" : why);
    pthread_mutex_unlock(&SELF->lock);
    metrics_ready(ready);
    if (changed)
        log_say(ready ? ATLS_LOG_INFO : ATLS_LOG_WARNING, "ready", "%s%s",
                ready ? "ready" : "not ready: ", ready ? "" : why);
}

static void probe_all(struct generation *g)
{
    char why[UPKEEP_WHY_MAX] = "";
    const bool attesters = prove_attesters(g, why), verifiers = reach_verifiers(g, why);

    if (!is_stopped())
        set_ready(attesters, verifiers, why);
}

/* ---- the threads ---- */

static struct generation *next_round(enum thread thread)
{
    struct generation *g = NULL;
    struct timespec end = {0, 0};

    pthread_mutex_lock(&SELF->lock);
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += PERIOD_S;
    while (!SELF->stop && !SELF->kicked[thread] &&
           pthread_cond_timedwait(&SELF->wake, &SELF->lock, &end) != ETIMEDOUT)
        ;
    SELF->kicked[thread] = false;
    if (!SELF->stop)
        g = generation_ref(SELF->generation);
    pthread_mutex_unlock(&SELF->lock);
    return g;
}

static void *run_changes(void *arg)
{
    struct generation *g;

    (void)arg;
    while ((g = next_round(CHANGES)) != NULL) {
        look_for_changes(g);
        generation_unref(g);
    }
    return NULL;
}

static void *run_probes(void *arg)
{
    struct generation *g;

    (void)arg;
    while ((g = next_round(PROBES)) != NULL) {
        probe_all(g);
        generation_unref(g);
    }
    return NULL;
}

static enum atls_code make_wake(struct atls_err *err)
{
    pthread_condattr_t attributes;

    if (pthread_condattr_init(&attributes) != 0 ||
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) != 0 ||
        pthread_cond_init(&SELF->wake, &attributes) != 0)
        return set_error(err, ATLS_E_NOMEM, "out of memory");
    pthread_condattr_destroy(&attributes);
    return ATLS_OK;
}

enum atls_code upkeep_start(struct generation *g, struct atls_err *err)
{
    static void *(*const runs[THREADS])(void *) = {run_changes, run_probes};
    enum atls_code code;

    if ((code = make_wake(err)) != ATLS_OK)
        return code;
    SELF->generation = generation_ref(g);
    atomic_store(&SELF->at_ms, now_ms());
    for (int i = 0; i < THREADS; i++) {
        SELF->kicked[i] = true;
        SELF->running[i] = pthread_create(&SELF->threads[i], NULL, runs[i], NULL) == 0;
        if (!SELF->running[i])
            return set_error(err, ATLS_E_LIMIT, "no thread for upkeep");
    }
    return ATLS_OK;
}

void upkeep_set(struct generation *g)
{
    struct generation *old;

    pthread_mutex_lock(&SELF->lock);
    old = SELF->generation;
    SELF->generation = generation_ref(g);
    for (int i = 0; i < THREADS; i++)
        SELF->kicked[i] = true;
    pthread_cond_broadcast(&SELF->wake);
    pthread_mutex_unlock(&SELF->lock);
    generation_unref(old);
}

void upkeep_end(void)
{
    pthread_mutex_lock(&SELF->lock);
    SELF->stop = true;
    if (SELF->running[0]) /* there is none before */
        pthread_cond_broadcast(&SELF->wake);
    pthread_mutex_unlock(&SELF->lock);
    for (int i = 0; i < THREADS; i++)
        if (SELF->running[i])
            pthread_join(SELF->threads[i], NULL);
    generation_unref(SELF->generation);
    SELF->generation = NULL;
}

bool upkeep_ready(char out[UPKEEP_WHY_MAX])
{
    bool ready;

    pthread_mutex_lock(&SELF->lock);
    ready = SELF->ready;
    if (out != NULL)
        snprintf(out, UPKEEP_WHY_MAX, "%s",
                 ready || SELF->why[0] != '\0' ? SELF->why : "nothing was looked at yet");
    pthread_mutex_unlock(&SELF->lock);
    return ready;
}

void upkeep_parts(bool *out_attesters, bool *out_verifiers)
{
    pthread_mutex_lock(&SELF->lock);
    *out_attesters = SELF->attesters;
    *out_verifiers = SELF->verifiers;
    pthread_mutex_unlock(&SELF->lock);
}

bool upkeep_found_file(char out[256])
{
    bool found;

    pthread_mutex_lock(&SELF->lock);
    found = SELF->found;
    SELF->found = false;
    snprintf(out, 256, "%s", SELF->file);
    pthread_mutex_unlock(&SELF->lock);
    return found;
}

int64_t upkeep_at_ms(void)
{
    return atomic_load(&SELF->at_ms);
}
