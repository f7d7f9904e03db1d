#include "state.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "state_parts.h"
#include "text.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct generation *alive, *dead; /* under the lock */

enum atls_code state_at_line(const struct config *config, size_t line, const char *what,
                             const struct atls_err *inner, struct atls_err *err)
{
    enum atls_reason reason = inner->reason;

    set_error(err, inner->code, "%.80s:%zu: %.80s: %.240s", config->file, line, what,
              inner->message);
    if (err != NULL)
        err->reason = reason;
    return inner->code;
}

/* ---- what logs say that a message is about; as many as there are names, for the process ---- */

struct about {
    struct about *next;
    struct log_about about;
    char name[64];
};
static struct about *abouts; /* one thread */

struct atls_log state_log_about(const char *key, const char *name)
{
    struct about *a = abouts;

    while (a != NULL && (a->about.key != key || strcmp(a->name, name) != 0))
        a = a->next;
    if (a == NULL && (a = calloc(1, sizeof *a)) != NULL) {
        snprintf(a->name, sizeof a->name, "%s", name);
        a->about = (struct log_about){key, a->name};
        a->next = abouts;
        abouts = a;
    }
    return (struct atls_log){a != NULL ? &a->about : NULL, ATLS_LOG_DEBUG, log_library};
}

/* ---- generations ---- */

static void config_unref(struct state_config *shared)
{
    if (shared == NULL || atomic_fetch_sub(&shared->refs, 1) != 1)
        return;
    config_free(shared->config);
    free(shared);
}

static void generation_free(struct generation *g)
{
    if (g == NULL)
        return;
    state_close_routes(g);
    state_close_opened(g);
    free(g->files);
    config_unref(g->shared);
    free(g);
}

static struct generation *generation_alloc(struct state_config *shared)
{
    static unsigned numbers;
    const struct config *c = shared->config;
    struct generation *g = calloc(1, sizeof *g);

    if (g == NULL)
        return NULL;
    g->config = c;
    g->attesters = calloc(c->attester_count + 1, sizeof *g->attesters);
    g->verifiers = calloc(c->verifier_count + 1, sizeof *g->verifiers);
    g->policies = calloc(c->policy_count + 1, sizeof *g->policies);
    g->routes = calloc(c->route_count + 1, sizeof *g->routes);
    g->doors = calloc(c->listener_count + 1, sizeof *g->doors);
    if (g->attesters == NULL || g->verifiers == NULL || g->policies == NULL || g->routes == NULL ||
        g->doors == NULL) {
        generation_free(g);
        return NULL;
    }
    g->number = ++numbers;
    atomic_init(&g->refs, 1);
    return g;
}

/* Takes no reference to shared when it fails. */
static enum atls_code generation_open(struct state_config *shared, struct generation *before,
                                      struct generation **out, struct atls_err *err)
{
    struct generation *g = generation_alloc(shared);
    enum atls_code code;

    if (g == NULL)
        return set_error(err, ATLS_E_NOMEM, "configuration: out of memory");
    if ((code = state_list_files(g, err)) != ATLS_OK ||
        (code = state_open_attesters(g, before, err)) != ATLS_OK ||
        (code = state_open_verifiers(g, before, err)) != ATLS_OK ||
        (code = state_open_policies(g, before, err)) != ATLS_OK ||
        (code = state_open_routes(g, before, err)) != ATLS_OK) {
        generation_free(g);
        return code;
    }
    state_set_doors(g);
    atomic_fetch_add(&shared->refs, 1);
    g->shared = shared;
    pthread_mutex_lock(&lock);
    g->next = alive;
    alive = g;
    pthread_mutex_unlock(&lock);
    metrics_generations(1);
    *out = g;
    return ATLS_OK;
}

enum atls_code generation_new(struct config *config, struct generation *before,
                              struct generation **out, struct atls_err *err)
{
    struct state_config *shared = calloc(1, sizeof *shared);
    enum atls_code code;

    if (shared == NULL)
        return set_error(err, ATLS_E_NOMEM, "configuration: out of memory");
    atomic_init(&shared->refs, 1);
    shared->config = config;
    if ((code = generation_open(shared, before, out, err)) == ATLS_OK)
        config_unref(shared);
    else
        free(shared);
    return code;
}

enum atls_code generation_renew(struct generation *before, struct generation **out,
                                struct atls_err *err)
{
    return generation_open(before->shared, before, out, err);
}

void generation_commit(struct generation *g)
{
    for (size_t i = 0; i < g->config->route_count; i++)
        for (int n = 0; n < 2; n++) {
            struct state_side *side = &g->routes[i].side[n];

            if (side->judge == NULL)
                continue;
            judge_set(side->judge, side->verifier->verifier, side->verifier->metrics,
                      side->policy->policy);
            atomic_store(&side->asked, judge_turn(side->judge));
        }
}

struct generation *generation_ref(struct generation *g)
{
    atomic_fetch_add(&g->refs, 1);
    return g;
}

void generation_unref(struct generation *g)
{
    struct generation **at = &alive;

    if (g == NULL || atomic_fetch_sub(&g->refs, 1) != 1)
        return;
    pthread_mutex_lock(&lock);
    while (*at != g)
        at = &(*at)->next;
    *at = g->next;
    g->next = dead;
    dead = g;
    pthread_mutex_unlock(&lock);
}

void generation_bury(void)
{
    for (;;) {
        struct generation *g;

        pthread_mutex_lock(&lock);
        if ((g = dead) != NULL)
            dead = g->next;
        pthread_mutex_unlock(&lock);
        if (g == NULL)
            return;
        generation_free(g);
        metrics_generations(-1);
    }
}

/* The first from *at on, under the lock; one whose last reference is just going is passed over. */
static struct generation *hold_from(struct generation *g)
{
    for (; g != NULL; g = g->next) {
        unsigned refs = atomic_load(&g->refs);

        while (refs > 0)
            if (atomic_compare_exchange_weak(&g->refs, &refs, refs + 1))
                return g;
    }
    return NULL;
}

void generation_each(void (*visit)(void *arg, struct generation *g), void *arg)
{
    struct generation *g, *next;

    pthread_mutex_lock(&lock);
    g = hold_from(alive);
    pthread_mutex_unlock(&lock);
    while (g != NULL) {
        visit(arg, g);
        pthread_mutex_lock(&lock);
        next = hold_from(g->next);
        pthread_mutex_unlock(&lock);
        generation_unref(g);
        g = next;
    }
}
