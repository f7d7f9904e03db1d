/* atls-proxy: attested TLS for programs that cannot be changed. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <sys/prctl.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>

#include "clock.h"
#include "config.h"
#include "hooks.h"
#include "listen.h"
#include "log.h"
#include "probe.h"
#include "sandbox.h"
#include "selftest.h"
#include "service.h"
#include "state.h"
#include "upkeep.h"

#define TICK_MS     200
#define WATCHDOG_MS 5000 /* longer than a loop sleeps */
#define UPKEEP_MS   120000

static const char usage[] =
    "usage: atls-proxy [--config FILE] [--check-config [--no-evidence] | --dry-run]\n"
    "\n"
    "  --config FILE    the configuration; default " CONFIG_FILE_DEFAULT "\n"
    "  --check-config   read it, open everything that it names, and make evidence once with each\n"
    "                   attester, then end: 0 good, 1 not\n"
    "  --no-evidence    with --check-config: make none\n"
    "  --dry-run        for trials: what a policy refuses is logged and counted, and passes\n"
    "  --version        print the version\n"
    "  --help           this text\n"
    "\n"
    "SIGHUP reads everything again, SIGUSR1 has every peer attest again, SIGTERM ends after what "
    "is\n"
    "open, or after a while. More: man atls-proxy\n";

static struct {
    const char *file;
    struct service *service;
    struct generation *generation;
    bool dry_run, told_ready;
    atomic_bool stuck, draining;
} proxy;

#define SELF (&proxy)

/* ---- what operators ask ---- */

/* Problems are said without names: who may ask here may not read the log. */
static void tell_health(void *arg, struct operation_checks *checks)
{
    (void)arg;
    operation_check(checks, "workers",
                    atomic_load(&SELF->stuck) ? "a worker does not come round" : "");
    operation_check(checks, "upkeep",
                    now_ms() - upkeep_at_ms() > UPKEEP_MS ? "it does not come round" : "");
}

static void tell_ready(void *arg, struct operation_checks *checks)
{
    bool attesters, verifiers;

    (void)arg;
    upkeep_parts(&attesters, &verifiers);
    operation_check(checks, "attesters", attesters ? "" : "one has made no evidence");
    operation_check(checks, "verifiers", verifiers ? "" : "one cannot be reached");
    operation_check(checks, "draining", atomic_load(&SELF->draining) ? "it is" : "");
}

static const struct operation_source source = {tell_health, tell_ready, NULL};

/* ---- generations ---- */

static void set_log(const struct config *config)
{
    log_setup(config->log_json, config->log_level);
}

/* What was read and opened is the one from now on; it takes g, whose sockets are open. What fails
 * then is no reason to go back. */
static enum atls_code take(struct generation *g, struct atls_err *err)
{
    struct generation *old = SELF->generation;
    enum atls_code code;

    set_log(g->config);
    hooks_set(g);
    generation_commit(g);
    code = service_apply(SELF->service, g, &source, err);
    SELF->generation = g;
    if (old != NULL && code != ATLS_OK) {
        log_say(ATLS_LOG_ERROR, "reload", "a listener: %s", err->message);
        if (code == ATLS_E_NOMEM) /* listeners may not have heard of it, and have the old one */
            (void)generation_ref(old);
        code = ATLS_OK;
    }
    if (old != NULL) {
        upkeep_set(g);
        service_rejudge(SELF->service);
    }
    generation_unref(old);
    return code;
}

static bool is_same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* What counts at the start only. */
static void say_fixed(const struct config *old, const struct config *new)
{
    if (old->workers != new->workers || old->jobs != new->jobs || old->sandbox != new->sandbox ||
        old->ready_timeout_s != new->ready_timeout_s || !is_same_text(old->user, new->user) ||
        !is_same_text(old->group, new->group))
        log_say(ATLS_LOG_WARNING, "reload",
                "workers, jobs, user, group, sandbox and ready-timeout stay as they were until "
                "the next start");
}

/* Reads everything again; what runs is touched on success only. */
static enum atls_code load_again(struct atls_err *err)
{
    struct config *config = NULL;
    struct generation *g = NULL;
    enum atls_code code;

    if ((code = config_load(SELF->file, &config, err)) != ATLS_OK)
        return code;
    if ((code = config_check_files(config, err)) != ATLS_OK ||
        (code = service_listen(SELF->service, config, err)) != ATLS_OK ||
        (code = generation_new(config, SELF->generation, &g, err)) != ATLS_OK) {
        config_free(config);
        service_keep(SELF->generation->config);
        return code;
    }
    say_fixed(SELF->generation->config, g->config);
    if ((code = take(g, err)) == ATLS_OK)
        listen_say_unused();
    return code;
}

/* The first time: sockets are bound as who started us; devices and files are opened as who we are
 * then, and so can be again. Threads come last, and are bound by what was given up. */
static enum atls_code load(struct atls_err *err)
{
    struct config *config = NULL;
    struct generation *g = NULL;
    enum atls_code code;

    if ((code = config_load(SELF->file, &config, err)) != ATLS_OK)
        return code;
    set_log(config);
    if ((code = service_listen(NULL, config, err)) != ATLS_OK ||
        (code = sandbox_become(config, err)) != ATLS_OK ||
        (code = sandbox_enter(config, err)) != ATLS_OK ||
        (code = config_check_files(config, err)) != ATLS_OK ||
        (code = service_new(config, &SELF->service, err)) != ATLS_OK ||
        (code = generation_new(config, NULL, &g, err)) != ATLS_OK) {
        config_free(config);
        return code;
    }
    if ((code = take(g, err)) == ATLS_OK)
        listen_say_unused();
    return code;
}

static void say_reloaded(enum atls_code code, const struct atls_err *err, const char *why)
{
    metrics_reloaded(code == ATLS_OK);
    if (code == ATLS_OK)
        log_say(ATLS_LOG_INFO, "reload", "generation %u, %s", SELF->generation->number, why);
    else
        log_say(ATLS_LOG_ERROR, "reload", "refused, the old configuration stays: %s", err->message);
}

static void reload(void)
{
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code;

    if (SELF->told_ready) /* or the end of the reload would say so */
        sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)now_us());
    code = load_again(&err);
    say_reloaded(code, &err, "everything was read again");
    if (SELF->told_ready)
        sd_notify(0, "READY=1");
}

/* A certificate, key or the like was replaced on disk. */
static void renew(const char *file)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct generation *g = NULL;
    enum atls_code code = generation_renew(SELF->generation, &g, &err);
    char why[300];

    if (code == ATLS_OK)
        code = take(g, &err);
    snprintf(why, sizeof why, "%s has changed", file);
    say_reloaded(code, &err, why);
}

/* ---- signals and time ---- */

/* The next signal, or 0 after a tick. */
static int next_signal(const sigset_t *set)
{
    const struct timespec tick = {0, TICK_MS * 1000000L};
    int signal = sigtimedwait(set, NULL, &tick);

    return signal > 0 ? signal : 0;
}

/* The service manager hears of us as long as each worker turns and upkeep comes round. */
static void tend_watchdog(void)
{
    static int64_t looked_ms;

    if (looked_ms == 0) /* nobody has had time to come round */
        looked_ms = now_ms();
    if (now_ms() - looked_ms < WATCHDOG_MS)
        return;
    looked_ms = now_ms();
    atomic_store(&SELF->stuck, !service_alive(SELF->service));
    if (!atomic_load(&SELF->stuck) && now_ms() - upkeep_at_ms() < UPKEEP_MS)
        sd_notify(0, "WATCHDOG=1");
    else
        log_say(ATLS_LOG_ERROR, "watchdog", "a thread does not come round");
}

static void tick(void)
{
    char file[256];

    if (upkeep_found_file(file))
        renew(file);
    service_rejudge(SELF->service);
    tend_watchdog();
}

static bool is_end(int signal)
{
    return signal == SIGTERM || signal == SIGINT;
}

/* The service manager hears that we are ready when evidence was made and verifiers can be reached;
 * when that takes too long, it hears what is missing. Connections are served meanwhile. */
static void tend_ready(void)
{
    static int64_t from_ms;
    char why[UPKEEP_WHY_MAX];

    if (SELF->told_ready)
        return;
    if (from_ms == 0)
        from_ms = now_ms();
    if (upkeep_ready(why)) {
        sd_notifyf(0, "READY=1\nSTATUS=ready%s", SELF->dry_run ? ", dry run" : "");
    } else if (now_ms() - from_ms >= 1000 * SELF->generation->config->ready_timeout_s) {
        sd_notifyf(0, "READY=1\nSTATUS=not ready: %s", why);
    } else {
        sd_notifyf(0, "STATUS=not ready: %s", why);
        return;
    }
    SELF->told_ready = true;
}

/* What is open has until the deadline. A second signal ends it at once. */
static void drain(const sigset_t *set)
{
    const int64_t end_ms = now_ms() + 1000 * SELF->generation->config->limits.drain_timeout_s;
    bool at_once = false;

    atomic_store(&SELF->draining, true);
    sd_notify(0, "STOPPING=1");
    log_say(ATLS_LOG_INFO, "drain", "%zu connections are open", service_links(SELF->service));
    service_drain(SELF->service, SELF->generation, end_ms);
    while (!at_once && service_links(SELF->service) > 0 && now_ms() < end_ms + 5000) {
        at_once = is_end(next_signal(set));
        tend_watchdog();
    }
    log_say(ATLS_LOG_INFO, "stop", "%zu connections were cut", service_links(SELF->service));
}

static void run(const sigset_t *set)
{
    int signal;

    while (!is_end(signal = next_signal(set))) {
        if (signal == SIGHUP)
            reload();
        if (signal == SIGUSR1) {
            log_say(ATLS_LOG_INFO, "reattest", "all peers are asked");
            service_reattest(SELF->service);
        }
        tick();
        tend_ready();
    }
    drain(set);
}

/* ---- start ---- */

/* Everything that --check-config looks at behind what opening does; it says all that is missing. */
static int check_generation(struct generation *g, bool evidence)
{
    int status = 0;

    for (size_t i = 0; evidence && i < g->config->attester_count; i++) {
        struct opened_attester *a = &g->attesters[i];
        struct atls_err err = ATLS_ERR_INIT;

        if (probe_attester(a, &err) == ATLS_OK)
            continue;
        selftest_explain(a->config->uri, &err);
        fprintf(stderr, "atls-proxy: %s:%zu: attester %s: %s\n", SELF->file, a->config->line,
                a->config->name, err.message);
        status = 1;
    }
    for (size_t i = 0; i < g->config->verifier_count; i++) {
        const struct opened_verifier *v = &g->verifiers[i];
        struct atls_err err = ATLS_ERR_INIT;

        if (probe_verifier(v, &err) == ATLS_OK)
            continue;
        fprintf(stderr, "atls-proxy: %s:%zu: verifier %s: %s\n", SELF->file, v->config->line,
                v->config->name, err.message);
        status = 1;
    }
    return status;
}

static int check(bool evidence)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct config *config = NULL;
    struct generation *g = NULL;
    int status;

    log_setup(false, ATLS_LOG_WARNING);
    if (config_load(SELF->file, &config, &err) != ATLS_OK ||
        config_check_files(config, &err) != ATLS_OK ||
        generation_new(config, NULL, &g, &err) != ATLS_OK) {
        fprintf(stderr, "atls-proxy: %s\n", err.message);
        config_free(config);
        return 1;
    }
    if ((status = check_generation(g, evidence)) == 0)
        printf("%s: good, %zu routes, %zu listeners\n", SELF->file, g->config->route_count,
               g->config->listener_count);
    generation_unref(g);
    generation_bury();
    return status;
}

/* As many descriptors as the system lets us have: each connection is two. */
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

static void set_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGUSR1);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of who writes it */
    pthread_sigmask(SIG_BLOCK, set, NULL);
}

static void finish(void)
{
    upkeep_end();
    service_free(SELF->service);
    generation_unref(SELF->generation);
    generation_bury();
    listen_keep(NULL, NULL);
}

static int serve(void)
{
    struct atls_err err = ATLS_ERR_INIT;
    sigset_t set;

    set_signals(&set);
    raise_limits();
    if (load(&err) != ATLS_OK || service_start(SELF->service, &err) != ATLS_OK ||
        upkeep_start(SELF->generation, &err) != ATLS_OK) {
        fprintf(stderr, "atls-proxy: %s\n", err.message);
        finish();
        return 1;
    }
    log_say(ATLS_LOG_INFO, "start", "version " ATLS_VERSION);
    if (SELF->dry_run)
        log_say(ATLS_LOG_WARNING, "dry-run",
                "what policies refuse is logged and counted, and passes: nobody is kept out by "
                "what a machine runs");
    run(&set);
    finish();
    return 0;
}

int main(int argc, char **argv)
{
    bool only_check = false, evidence = true;

    SELF->file = CONFIG_FILE_DEFAULT;
    /* The TPM's own library would print between the lines of the log, which say the same. */
    (void)setenv("TSS2_LOG", "all+none", 0);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            return 0;
        }
        if (strcmp(argv[i], "--version") == 0) {
            puts("atls-proxy " ATLS_VERSION);
            return 0;
        }
        if (strcmp(argv[i], "--check-config") == 0) {
            only_check = true;
        } else if (strcmp(argv[i], "--no-evidence") == 0) {
            evidence = false;
        } else if (strcmp(argv[i], "--dry-run") == 0) {
            SELF->dry_run = true;
        } else if (strcmp(argv[i], "--config") == 0 && i + 1 < argc) {
            SELF->file = argv[++i];
        } else {
            fprintf(stderr, "atls-proxy: unknown argument \"%s\"\n%s", argv[i], usage);
            return 1;
        }
    }
    if (!evidence && !only_check) {
        fprintf(stderr, "atls-proxy: --no-evidence goes with --check-config\n");
        return 1;
    }
    if (SELF->dry_run && only_check) {
        fprintf(stderr, "atls-proxy: --dry-run does not go with --check-config\n");
        return 1;
    }
    if (SELF->dry_run) {
        judge_report_only();
        log_mode("dry-run");
    }
    return only_check ? check(evidence) : serve();
}
