/* atls-verifierd: the Verifier as a service that speaks Veraison's API. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sys/prctl.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>

#include "http.h"
#include "listen.h"
#include "log.h"
#include "metrics.h"
#include "rate.h"

#define CONFIG_FILE     "/etc/atls/verifierd.yaml"
#define TICK_MS         200
#define UPKEEP_PERIOD_S 1

static const char usage[] =
    "usage: atls-verifierd [--config FILE] [--check-config]\n"
    "\n"
    "  --config FILE    the configuration; default " CONFIG_FILE "\n"
    "  --check-config   read it and everything that it names, then end: 0 good, 1 not\n"
    "  --version        print the version\n"
    "  --help           this text\n"
    "\n"
    "SIGHUP reads everything again, SIGTERM ends after what is being answered. More: man\n"
    "atls-verifierd\n";

/* A retired server until its connections are gone. */
struct retired {
    struct retired *next;
    struct server *server;
    int64_t until_ms;
};

static struct {
    const char *file;
    struct service service;
    struct server *server;
    struct retired *retired;
    pthread_mutex_t lock; /* the four below, shared with upkeep */
    pthread_cond_t wake;
    struct generation *generation;
    bool stop, kicked;
    pthread_t upkeep;
} daemon_state = {.lock = PTHREAD_MUTEX_INITIALIZER};

#define SELF (&daemon_state)

/* ---- upkeep: whatever may wait for a database stays off the other threads ---- */

static struct generation *upkeep_next(void)
{
    struct generation *g = NULL;
    struct timespec end;

    pthread_mutex_lock(&SELF->lock);
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += UPKEEP_PERIOD_S;
    while (!SELF->stop && !SELF->kicked &&
           pthread_cond_timedwait(&SELF->wake, &SELF->lock, &end) != ETIMEDOUT)
        ;
    SELF->kicked = false;
    if (!SELF->stop)
        g = generation_ref(SELF->generation);
    pthread_mutex_unlock(&SELF->lock);
    return g;
}

static void *upkeep_run(void *arg)
{
    struct generation *g;

    (void)arg;
    while ((g = upkeep_next()) != NULL) {
        generation_upkeep(g, now_wall_s());
        atomic_store(&SELF->service.upkeep_ms, now_ms());
        generation_unref(g);
    }
    return NULL;
}

static enum atls_code upkeep_init(struct atls_err *err)
{
    pthread_condattr_t attributes;

    if (pthread_condattr_init(&attributes) != 0 ||
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) != 0 ||
        pthread_cond_init(&SELF->wake, &attributes) != 0)
        return set_error(err, ATLS_E_NOMEM, "out of memory");
    pthread_condattr_destroy(&attributes);
    return ATLS_OK;
}

static enum atls_code upkeep_start(struct atls_err *err)
{
    if (pthread_create(&SELF->upkeep, NULL, upkeep_run, NULL) != 0)
        return set_error(err, ATLS_E_NOMEM, "no thread for upkeep");
    return ATLS_OK;
}

static void upkeep_end(void)
{
    pthread_mutex_lock(&SELF->lock);
    SELF->stop = true;
    pthread_cond_signal(&SELF->wake);
    pthread_mutex_unlock(&SELF->lock);
    pthread_join(SELF->upkeep, NULL);
}

/* ---- generations ---- */

static bool is_needed(const void *arg, const char *address, unsigned nth)
{
    const struct config *config = arg;

    (void)nth; /* addresses are given once */
    for (size_t i = 0; i < config->listener_count; i++)
        if (strcmp(config->listeners[i].address, address) == 0)
            return true;
    return false;
}

/* Reads and starts everything; what runs is touched on success only. */
static enum atls_code load(struct atls_err *err)
{
    struct generation *g = NULL, *old;
    struct config *config = NULL;
    struct server *server = NULL;
    struct retired *retired = calloc(1, sizeof *retired);
    enum atls_code code;

    if (retired == NULL)
        return set_error(err, ATLS_E_NOMEM, "out of memory");
    if ((code = config_load(SELF->file, &config, err)) == ATLS_OK) {
        /* Opening stores logs already; a reload may still fail, and then the old form stays. */
        if (SELF->generation == NULL)
            log_setup(config->log_json != 0, (enum atls_log_level)config->log_level);
        code = generation_new(config, false, &g, err);
    }
    if (code != ATLS_OK) {
        config_free(config);
        free(retired);
        return code;
    }
    log_setup(config->log_json != 0, (enum atls_log_level)config->log_level);
    if ((code = server_start(&SELF->service, g, &server, err)) != ATLS_OK) {
        if (SELF->server != NULL) {
            listen_keep(is_needed, SELF->generation->config);
            log_setup(SELF->generation->config->log_json != 0,
                      (enum atls_log_level)SELF->generation->config->log_level);
        }
        generation_unref(g);
        free(retired);
        return code;
    }
    rate_setup(g->config->limits.rate, g->config->limits.burst);
    pthread_mutex_lock(&SELF->lock);
    old = SELF->generation;
    SELF->generation = g;
    SELF->kicked = true;
    pthread_cond_signal(&SELF->wake);
    pthread_mutex_unlock(&SELF->lock);
    if (SELF->server != NULL) {
        server_retire(SELF->server, false);
        *retired = (struct retired){SELF->retired, SELF->server,
                                    now_ms() + 1000 * (old->config->limits.idle_timeout_s +
                                                       2 * old->config->limits.request_timeout_s)};
        SELF->retired = retired;
    } else {
        free(retired);
    }
    SELF->server = server;
    listen_keep(is_needed, g->config);
    listen_say_unused();
    generation_unref(old);
    return ATLS_OK;
}

/* Stops retired servers that are empty or out of time. */
static void reap(bool all)
{
    struct retired **at = &SELF->retired;

    while (*at != NULL) {
        struct retired *r = *at;

        if (!all && server_connections(r->server) > 0 && now_ms() < r->until_ms) {
            at = &r->next;
            continue;
        }
        *at = r->next;
        server_stop(r->server);
        free(r);
    }
}

static void reload(void)
{
    struct atls_err err = ATLS_ERR_INIT;

    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)now_us());
    if (load(&err) == ATLS_OK) {
        metric_add(METRIC_RELOADS, "success", NULL, NULL);
        log_say(ATLS_LOG_INFO, "reload", "generation %u", SELF->generation->number);
    } else {
        metric_add(METRIC_RELOADS, "failed", NULL, NULL);
        log_say(ATLS_LOG_ERROR, "reload", "refused, the old configuration stays: %s", err.message);
    }
    sd_notify(0, "READY=1");
}

/* ---- signals and time ---- */

/* The next signal, or 0 after a tick. */
static int next_signal(const sigset_t *set)
{
    const struct timespec tick = {0, TICK_MS * 1000000L};
    int signal = sigtimedwait(set, NULL, &tick);

    return signal > 0 ? signal : 0;
}

static void tick(void)
{
    static int64_t notified_ms;

    server_expire();
    reap(false);
    if (now_ms() - notified_ms >= 2000) {
        notified_ms = now_ms();
        sd_notify(0, "WATCHDOG=1");
    }
}

static bool is_end(int signal)
{
    return signal == SIGTERM || signal == SIGINT;
}

/* Readiness goes first, so that balancers look elsewhere; then the door is shut; then what is being
 * answered has until the deadline. A second signal ends it at once. */
static void drain(const sigset_t *set)
{
    const struct config *config = SELF->generation->config;
    int64_t shut_ms = now_ms() + 1000 * config->drain_delay_s, end_ms;
    bool at_once = false;

    atomic_store(&SELF->service.draining, true);
    sd_notify(0, "STOPPING=1");
    log_say(ATLS_LOG_INFO, "drain", "no longer ready");
    while (!at_once && now_ms() < shut_ms) {
        at_once = is_end(next_signal(set));
        tick();
    }
    server_retire(SELF->server, true);
    for (size_t i = 0; i < config->listener_count; i++)
        if (config->listeners[i].serve != SERVE_OPERATION)
            listen_shut(&config->listeners[i].listen);
    end_ms = now_ms() + 1000 * config->drain_timeout_s;
    while (!at_once && atomic_load(&SELF->service.active) > 0 && now_ms() < end_ms) {
        at_once = is_end(next_signal(set));
        tick();
    }
    log_say(ATLS_LOG_INFO, "stop", "%lld requests unanswered",
            (long long)atomic_load(&SELF->service.active));
}

static void run(const sigset_t *set)
{
    int signal;

    while (!is_end(signal = next_signal(set))) {
        if (signal == SIGHUP)
            reload();
        tick();
    }
    drain(set);
}

/* ---- start ---- */

static int check(void)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct config *config = NULL;
    struct generation *g = NULL;

    if (config_load(SELF->file, &config, &err) != ATLS_OK ||
        server_check(config, &err) != ATLS_OK ||
        generation_new(config, true, &g, &err) != ATLS_OK) {
        fprintf(stderr, "atls-verifierd: %s\n", err.message);
        config_free(config);
        return 1;
    }
    printf("%s: good, %zu listeners, %zu tenants\n", SELF->file, config->listener_count,
           config->tenant_count);
    generation_unref(g);
    return 0;
}

/* As many descriptors as the system lets us have: each connection is one. */
static void raise_limits(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    /* Keys are in memory: no core dump, no debugger of the same user. */
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static int serve(void)
{
    struct atls_err err = ATLS_ERR_INIT;
    sigset_t set;
    enum atls_code code;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of who writes it */
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    raise_limits();
    if ((code = upkeep_init(&err)) == ATLS_OK && (code = load(&err)) == ATLS_OK)
        code = upkeep_start(&err);
    if (code != ATLS_OK) {
        fprintf(stderr, "atls-verifierd: %s\n", err.message);
        server_stop(SELF->server);
        generation_unref(SELF->generation);
        listen_keep(NULL, NULL);
        return 1;
    }
    log_say(ATLS_LOG_INFO, "start", "version " ATLS_VERSION);
    sd_notify(0, "READY=1");
    run(&set);
    upkeep_end();
    reap(true);
    server_stop(SELF->server);
    listen_keep(NULL, NULL);
    generation_unref(SELF->generation);
    return 0;
}

int main(int argc, char **argv)
{
    bool only_check = false;

    SELF->file = CONFIG_FILE;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            return 0;
        }
        if (strcmp(argv[i], "--version") == 0) {
            puts("atls-verifierd " ATLS_VERSION);
            return 0;
        }
        if (strcmp(argv[i], "--check-config") == 0) {
            only_check = true;
        } else if (strcmp(argv[i], "--config") == 0 && i + 1 < argc) {
            SELF->file = argv[++i];
        } else {
            fprintf(stderr, "atls-verifierd: unknown argument \"%s\"\n%s", argv[i], usage);
            return 1;
        }
    }
    return only_check ? check() : serve();
}
