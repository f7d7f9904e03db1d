/* nftw */
#define _XOPEN_SOURCE   700
#define _DEFAULT_SOURCE /* DT_DIR */

#include "daemon.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_TRIES 1000 /* of 20 ms */

_Noreturn static void die(const char *what, const char *detail)
{
    fprintf(stderr, "bench: %s: %s\n", what, detail);
    exit(2);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status, (void)type, (void)ftw;
    remove(path);
    return 0;
}

static struct daemon *running;

static void clear_away(void)
{
    if (running != NULL)
        daemon_stop(running);
}

void daemon_prepare(struct daemon *d)
{
    static int registered;

    memset(d, 0, sizeof *d);
    snprintf(d->folder, sizeof d->folder, "/tmp/atls-bench-XXXXXX");
    if (mkdtemp(d->folder) == NULL)
        die("a folder below /tmp", strerror(errno));
    snprintf(d->config, sizeof d->config, "%s/verifierd.yaml", d->folder);
    snprintf(d->log, sizeof d->log, "%s/log", d->folder);
    running = d;
    if (registered++ == 0)
        atexit(clear_away);
}

static void write_config(const struct daemon *d, const char *store, const char *limits,
                         const char *sessions)
{
    FILE *f = fopen(d->config, "w");

    if (f == NULL)
        die(d->config, strerror(errno));
    fprintf(f,
            "listeners:\n  - address: 127.0.0.1:0\n"
            "tenants:\n  - name: bench\n    store: %s\n    sessions: {%s}\n"
            "limits: {%s}\ndrain-delay: 0\n",
            store, sessions, limits);
    fclose(f);
}

static pid_t spawn(const struct daemon *d, const char *program)
{
    pid_t pid = fork();
    int fd;

    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if ((fd = open(d->log, O_WRONLY | O_CREAT | O_APPEND, S_IRUSR | S_IWUSR)) < 0)
        _exit(126);
    dup2(fd, STDERR_FILENO);
    execl(program, program, "--config", d->config, (char *)NULL);
    _exit(127);
}

/* The port, once the log says that it listens and has started; else 0. */
static uint16_t find_port(const struct daemon *d)
{
    static const char key[] = "127.0.0.1:";
    char text[8192];
    const char *at;
    size_t len;
    FILE *f = fopen(d->log, "r");

    if (f == NULL)
        return 0;
    len = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[len] = '\0';
    at = strstr(text, "listening");
    if (at == NULL || strstr(text, "start") == NULL || (at = strstr(at, key)) == NULL)
        return 0;
    return (uint16_t)strtoul(at + sizeof key - 1, NULL, 10);
}

void daemon_start(struct daemon *d, const char *program, const char *store, const char *limits,
                  const char *sessions)
{
    const struct timespec pause = {0, 20000000};

    write_config(d, store, limits, sessions);
    if ((d->pid = spawn(d, program)) < 0)
        die(program, strerror(errno));
    for (int i = 0; i < START_TRIES && (d->port = find_port(d)) == 0; i++) {
        if (waitpid(d->pid, NULL, WNOHANG) == d->pid) {
            d->pid = 0;
            running = NULL; /* its log stays */
            die("the daemon ended, see", d->log);
        }
        nanosleep(&pause, NULL);
    }
    if (d->port == 0)
        die("the daemon does not start, see", d->log);
}

void daemon_stop(struct daemon *d)
{
    if (d->pid > 0) {
        kill(d->pid, SIGTERM);
        while (waitpid(d->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    d->pid = 0;
    if (running == d)
        running = NULL;
    nftw(d->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- what processes used ---- */

double process_cpu_ns(pid_t pid)
{
    struct timespec t;
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
        die("CPU time", "the process is gone");
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

struct process {
    int parent;
    char name[64];
    unsigned long long user, system;
};

static int read_process(int pid, struct process *p)
{
    char path[64], text[1024], *at;
    size_t len;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if ((f = fopen(path, "r")) == NULL)
        return 0;
    len = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[len] = '\0';
    if (sscanf(text, "%*d (%63[^)]", p->name) != 1 || (at = strrchr(text, ')')) == NULL)
        return 0;
    return sscanf(at + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &p->parent,
                  &p->user, &p->system) == 3;
}

/* A process of the database is our child or a child of that. */
static int is_ours(const struct process *p)
{
    struct process parent;

    if (strcmp(p->name, "postgres") != 0)
        return 0;
    return p->parent == getpid() || (read_process(p->parent, &parent) && parent.parent == getpid());
}

double postgres_cpu_ns(void)
{
    unsigned long long ticks = 0;
    const struct dirent *entry;
    DIR *dir = opendir("/proc");

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        struct process p;

        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
            read_process(atoi(entry->d_name), &p) && is_ours(&p))
            ticks += p.user + p.system;
    }
    if (dir != NULL)
        closedir(dir);
    return (double)ticks * 1e9 / (double)sysconf(_SC_CLK_TCK);
}

static long read_status(pid_t pid, const char *key)
{
    char path[64], line[256];
    long value = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    if ((f = fopen(path, "r")) == NULL)
        return 0;
    while (fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, key, strlen(key)) == 0)
            value = strtol(line + strlen(key), NULL, 10);
    fclose(f);
    return value;
}

long process_rss_kib(pid_t pid)
{
    return read_status(pid, "VmRSS:");
}

long process_peak_kib(pid_t pid)
{
    return read_status(pid, "VmHWM:");
}
