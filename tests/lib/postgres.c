/* nftw */
#define _XOPEN_SOURCE   700
#define _DEFAULT_SOURCE /* setgroups */

#include "postgres.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "testlib.h"

#define START_TRIES 1500 /* of 20 ms: a loaded machine that runs sanitizers is slow */

struct test_postgres {
    char programs[64]; /* folder of initdb and postgres */
    char folder[64], data[80], uri[160];
    pid_t pid; /* 0: not running */
};

static struct test_postgres *running;

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status, (void)type, (void)ftw;
    remove(path);
    return 0;
}

/* cmocka leaves a failing test by longjmp: what was started ends with the program. */
static void clear_away(void)
{
    if (running == NULL)
        return;
    test_postgres_end(running, SIGQUIT);
    nftw(running->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    running = NULL;
}

/* PostgreSQL does not run as root. */
static void become_nobody(void)
{
    const struct passwd *nobody = getpwnam("nobody");

    if (getuid() != 0)
        return;
    if (nobody == NULL || setgroups(0, NULL) != 0 || setgid(nobody->pw_gid) != 0 ||
        setuid(nobody->pw_uid) != 0)
        _exit(126);
}

/* A child that runs a program of PostgreSQL, its output in a file. */
static pid_t spawn(const struct test_postgres *pg, const char *name, const char *const *arguments)
{
    const char *full[32] = {NULL};
    char path[128], log[96];
    pid_t pid = fork();
    int fd;

    if (pid != 0)
        return pid;
    snprintf(path, sizeof path, "%s/%s", pg->programs, name);
    snprintf(log, sizeof log, "%s/log", pg->folder);
    become_nobody();
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    if (chdir(pg->folder) != 0 ||
        (fd = open(log, O_WRONLY | O_CREAT | O_APPEND, S_IRUSR | S_IWUSR)) < 0)
        _exit(126);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    unsetenv("LD_PRELOAD");
    /* Its programs look for each other beside the path that they were started by. */
    full[0] = path;
    for (size_t i = 1; arguments[i] != NULL && i + 1 < sizeof full / sizeof full[0]; i++)
        full[i] = arguments[i];
    execv(path, (char *const *)(uintptr_t)full);
    _exit(127);
}

static bool find_programs(struct test_postgres *pg)
{
    glob_t found;
    bool ok;

    if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found) != 0)
        return false;
    ok = strlen(found.gl_pathv[found.gl_pathc - 1]) < sizeof pg->programs;
    if (ok) {
        snprintf(pg->programs, sizeof pg->programs, "%s", found.gl_pathv[found.gl_pathc - 1]);
        *strrchr(pg->programs, '/') = '\0';
    }
    globfree(&found);
    return ok;
}

static void make_folder(struct test_postgres *pg)
{
    const struct passwd *nobody = getpwnam("nobody");

    snprintf(pg->folder, sizeof pg->folder, "/tmp/atls-pg-XXXXXX");
    assert_non_null(mkdtemp(pg->folder));
    snprintf(pg->data, sizeof pg->data, "%s/data", pg->folder);
    snprintf(pg->uri, sizeof pg->uri, "postgresql://atls@/postgres?host=%s", pg->folder);
    if (getuid() == 0) {
        assert_non_null(nobody);
        assert_int_equal(chown(pg->folder, nobody->pw_uid, nobody->pw_gid), 0);
    }
}

static void make_database(const struct test_postgres *pg)
{
    const char *const arguments[] = {"initdb", "-D", pg->data, "-U",         "atls", "--auth=trust",
                                     "-N",     "-E", "UTF8",   "--locale=C", NULL};
    pid_t pid = spawn(pg, "initdb", arguments);
    int status = -1;

    assert_true(pid > 0);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (status != 0)
        fail_msg("initdb: status %d, see %s/log", status, pg->folder);
}

static bool is_ready(const struct test_postgres *pg)
{
    const char *const arguments[] = {"pg_isready", "-q", "-h", pg->folder, NULL};
    pid_t pid = spawn(pg, "pg_isready", arguments);
    int status = -1;

    assert_true(pid > 0);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status == 0;
}

void test_postgres_run(struct test_postgres *pg)
{
    /* Killed processes do not take the disk with them: fsync would only cost time. */
    const char *const arguments[] = {
        "postgres",          "-D", pg->data,    "-k", pg->folder,           "-c",
        "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=60", NULL};
    const struct timespec pause = {0, 20000000};

    for (int i = 0; i < START_TRIES; i++) {
        /* After a crash it gives up while processes of the old one are still there. */
        if (pg->pid == 0 || waitpid(pg->pid, NULL, WNOHANG) == pg->pid)
            pg->pid = spawn(pg, "postgres", arguments);
        assert_true(pg->pid > 0);
        if (is_ready(pg) && waitpid(pg->pid, NULL, WNOHANG) == 0)
            return;
        nanosleep(&pause, NULL);
    }
    fail_msg("PostgreSQL does not answer, see %s/log", pg->folder);
}

struct test_postgres *test_postgres_new(void)
{
    struct test_postgres *pg = calloc(1, sizeof *pg);

    assert_non_null(pg);
    assert_null(running);
    if (!find_programs(pg)) {
        fprintf(stderr, "no PostgreSQL server is installed (Debian: postgresql)\n");
        free(pg);
        return NULL;
    }
    make_folder(pg);
    make_database(pg);
    running = pg;
    atexit(clear_away);
    test_postgres_run(pg);
    return pg;
}

const char *test_postgres_uri(const struct test_postgres *pg)
{
    return pg->uri;
}

/* Its processes with it, as when a machine stops: alone, they would end what they are doing. */
static void crash(pid_t pid)
{
    char path[64];
    int children[128];
    size_t count = 0;
    FILE *file;

    kill(pid, SIGSTOP); /* makes no more */
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    file = fopen(path, "r");
    assert_non_null(file);
    while (count < sizeof children / sizeof children[0] &&
           fscanf(file, "%d", &children[count]) == 1)
        count++;
    fclose(file);
    kill(pid, SIGKILL);
    for (size_t i = 0; i < count; i++)
        kill(children[i], SIGKILL);
}

void test_postgres_end(struct test_postgres *pg, int signal_number)
{
    if (pg->pid == 0)
        return;
    if (signal_number == SIGKILL)
        crash(pg->pid);
    else
        kill(pg->pid, signal_number);
    while (waitpid(pg->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    pg->pid = 0;
}

void test_postgres_free(struct test_postgres *pg)
{
    if (pg == NULL)
        return;
    clear_away();
    free(pg);
}
