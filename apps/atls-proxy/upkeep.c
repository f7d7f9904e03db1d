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
#define STORES_MAX CONFIG_NAMED_MAX
#define SETTLE_S   1 /* a file that was just written may go on being written */
#define SUFFIXES   2

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct generation *generation; /* these under the lock */
    bool stop, kicked, ready, attesters, verifiers, found;
    char why[200], file[256];
    pthread_t thread;
    bool running;
    atomic_llong at_ms;
    /* The thread's own: */
    struct watched {
        const struct opened_verifier *verifier;
        struct atls_err last; /* of the last look */
        bool looked;
        int64_t looked_ms;
        struct stat stat[SUFFIXES]; /* of its store and what is to be added to that */
    } stores[STORES_MAX];
    const struct generation *seen;
    struct stat stale; /* the file that was told of last, as it was then */
} upkeep = {.lock = PTHREAD_MUTEX_INITIALIZER};

#define SELF (&upkeep)

/* ---- stores ---- */

/* A store in a file: itself, and what SQLite has not put into it yet. */
static void stat_store(const struct opened_verifier *v, struct stat out[SUFFIXES])
{
    static const char *const suffixes[SUFFIXES] = {"", "-wal"};

    memset(out, 0, SUFFIXES * sizeof *out);
    if (strncmp(v->config->uri, "local:", 6) != 0)
        return;
    for (size_t i = 0; i < SUFFIXES; i++) {
        char path[4096];
        const int len = snprintf(path, sizeof path, "%s%s", v->config->uri + 6, suffixes[i]);

        if (len > 0 && (size_t)len < sizeof path && stat(path, &out[i]) != 0)
            memset(&out[i], 0, sizeof out[i]);
    }
}

static bool has_changed(const struct stat *a, const struct stat *b)
{
    return a->st_ino != b->st_ino || a->st_size != b->st_size ||
           a->st_mtim.tv_sec != b->st_mtim.tv_sec || a->st_mtim.tv_nsec != b->st_mtim.tv_nsec;
}

static void tell_judges(struct generation *g, const struct opened_verifier *v)
{
    log_say(ATLS_LOG_INFO, "store", "verifier %s: its store has changed", v->config->name);
    for (size_t i = 0; i < g->config->route_count; i++)
        for (int n = 0; n < 2; n++)
            if (g->routes[i].side[n].verifier == v)
                judge_changed(g->routes[i].side[n].judge);
}

static void look_at_store(struct generation *g, struct watched *w)
{
    struct stat now[SUFFIXES];
    bool changed = false;

    stat_store(w->verifier, now);
    for (size_t i = 0; i < SUFFIXES; i++)
        changed = changed || has_changed(&now[i], &w->stat[i]);
    if (!changed)
        return;
    memcpy(w->stat, now, sizeof now);
    tell_judges(g, w->verifier);
}

/* ---- one round ---- */

/* A newer generation: what is known of the older one's verifiers goes on where they do. */
static void take_over(struct generation *g)
{
    for (size_t i = 0; i < g->config->verifier_count; i++) {
        struct watched *w = &SELF->stores[i];

        *w = (struct watched){.verifier = &g->verifiers[i]};
        stat_store(w->verifier, w->stat);
    }
    SELF->seen = g;
    memset(&SELF->stale, 0, sizeof SELF->stale);
}

static bool prove_attesters(struct generation *g, char why[200])
{
    bool all = true;

    for (size_t i = 0; i < g->config->attester_count; i++) {
        struct opened_attester *a = &g->attesters[i];
        struct atls_err err = ATLS_ERR_INIT;

        if (atomic_load(&a->proven) || probe_attester(a, &err) == ATLS_OK)
            continue;
        snprintf(why, 200, "attester %.63s: %.120s", a->config->name, err.message);
        all = false;
    }
    return all;
}

static bool reach_verifiers(struct generation *g, char why[200])
{
    bool all = true;

    for (size_t i = 0; i < g->config->verifier_count; i++) {
        struct watched *w = &SELF->stores[i];

        look_at_store(g, w);
        if (!w->looked || now_ms() - w->looked_ms >= 1000 * VERIFIER_S) {
            w->last = (struct atls_err)ATLS_ERR_INIT;
            (void)(probe_verifier(w->verifier, &w->last) == ATLS_OK);
            w->looked = true;
            w->looked_ms = now_ms();
        }
        if (w->last.code == ATLS_OK)
            continue;
        snprintf(why, 200, "verifier %.63s: %.120s", w->verifier->config->name, w->last.message);
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

/* A file is told of once it has rested, and once until it changes again. */
static void look_at_files(struct generation *g)
{
    const char *stale = generation_stale(g);
    struct timespec now = {0, 0};
    struct stat st;

    if (stale == NULL || stat(stale, &st) != 0 || !has_changed(&st, &SELF->stale))
        return;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec - st.st_mtim.tv_sec < SETTLE_S)
        return;
    SELF->stale = st;
    pthread_mutex_lock(&SELF->lock);
    SELF->found = true;
    snprintf(SELF->file, sizeof SELF->file, "%s", stale);
    pthread_mutex_unlock(&SELF->lock);
}

static void go_round(struct generation *g)
{
    char why[200] = "";
    bool attesters, verifiers;

    if (SELF->seen != g)
        take_over(g);
    attesters = prove_attesters(g, why);
    verifiers = reach_verifiers(g, why);
    set_ready(attesters, verifiers, why);
    look_at_files(g);
    generation_bury();
    atomic_store(&SELF->at_ms, now_ms());
}

/* ---- the thread ---- */

static struct generation *next_round(void)
{
    struct generation *g = NULL;
    struct timespec end = {0, 0};

    pthread_mutex_lock(&SELF->lock);
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += PERIOD_S;
    while (!SELF->stop && !SELF->kicked &&
           pthread_cond_timedwait(&SELF->wake, &SELF->lock, &end) != ETIMEDOUT)
        ;
    SELF->kicked = false;
    if (!SELF->stop)
        g = generation_ref(SELF->generation);
    pthread_mutex_unlock(&SELF->lock);
    return g;
}

static void *run(void *arg)
{
    struct generation *g;

    (void)arg;
    while ((g = next_round()) != NULL) {
        go_round(g);
        generation_unref(g);
    }
    return NULL;
}

enum atls_code upkeep_start(struct generation *g, struct atls_err *err)
{
    pthread_condattr_t attributes;

    if (pthread_condattr_init(&attributes) != 0 ||
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) != 0 ||
        pthread_cond_init(&SELF->wake, &attributes) != 0)
        return set_error(err, ATLS_E_NOMEM, "out of memory");
    pthread_condattr_destroy(&attributes);
    SELF->generation = generation_ref(g);
    SELF->kicked = true;
    atomic_store(&SELF->at_ms, now_ms());
    SELF->running = pthread_create(&SELF->thread, NULL, run, NULL) == 0;
    return SELF->running ? ATLS_OK : set_error(err, ATLS_E_LIMIT, "no thread for upkeep");
}

void upkeep_set(struct generation *g)
{
    struct generation *old;

    pthread_mutex_lock(&SELF->lock);
    old = SELF->generation;
    SELF->generation = generation_ref(g);
    SELF->kicked = true;
    pthread_cond_signal(&SELF->wake);
    pthread_mutex_unlock(&SELF->lock);
    generation_unref(old);
}

void upkeep_end(void)
{
    if (SELF->running) {
        pthread_mutex_lock(&SELF->lock);
        SELF->stop = true;
        pthread_cond_signal(&SELF->wake);
        pthread_mutex_unlock(&SELF->lock);
        pthread_join(SELF->thread, NULL);
    }
    generation_unref(SELF->generation);
    SELF->generation = NULL;
}

bool upkeep_ready(char out[200])
{
    bool ready;

    pthread_mutex_lock(&SELF->lock);
    ready = SELF->ready;
    if (out != NULL)
        snprintf(out, 200, "%s",
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
