/* nftw */
#define _XOPEN_SOURCE 700

#include "swtpm.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "testlib.h"

#define START_TRIES       1000 /* of 10 ms: a loaded machine that runs sanitizers is slow */
#define ANSWER_TIMEOUT_S  30
#define TPM_RC_INITIALIZE 0x100u

struct test_swtpm {
    struct test_swtpm *next; /* all that run, to be cleared away when a test failed */
    pid_t pid;               /* 0: not running */
    char folder[64];
    char socket[96], tcti[128];
    char root_certificate[128], issuer_certificate[128];
};

static struct test_swtpm *running;

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status, (void)type, (void)ftw;
    remove(path);
    return 0;
}

static void end_process(struct test_swtpm *tpm, int signal_number)
{
    if (tpm->pid == 0)
        return;
    kill(tpm->pid, signal_number);
    while (waitpid(tpm->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    tpm->pid = 0;
}

/* cmocka leaves a failing test by longjmp: whatever it started ends with the program. */
static void clear_away(void)
{
    for (struct test_swtpm *tpm = running; tpm != NULL; tpm = tpm->next) {
        end_process(tpm, SIGKILL);
        nftw(tpm->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    }
}

static bool installed(const char *program)
{
    const char *dir = getenv("PATH");

    for (dir = dir == NULL ? "/usr/bin:/bin" : dir; *dir != '\0'; dir += *dir == ':') {
        size_t len = strcspn(dir, ":");
        char full[1024];

        snprintf(full, sizeof full, "%.*s/%s", (int)len, dir, program);
        if (access(full, X_OK) == 0)
            return true;
        dir += len;
    }
    return false;
}

bool test_swtpm_available(void)
{
    return installed("swtpm") && installed("swtpm_setup");
}

/* Starts argv with its output in a file of the folder; it dies with this program. */
static pid_t spawn(const struct test_swtpm *tpm, const char *const *argv)
{
    /* exec leaves its arguments alone, but its prototype is older than const. */
    const union {
        const char *const *given;
        char *const *taken;
    } arguments = {argv};
    char log[128];
    pid_t pid;

    snprintf(log, sizeof log, "%s/log", tpm->folder);
    pid = fork();
    if (pid < 0)
        fail_msg("fork: %s", strerror(errno));
    if (pid == 0) {
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
        execvp(argv[0], arguments.taken);
        _exit(127);
    }
    return pid;
}

static void show_log(const struct test_swtpm *tpm)
{
    char path[128], line[512];
    FILE *f;

    snprintf(path, sizeof path, "%s/log", tpm->folder);
    if ((f = fopen(path, "r")) == NULL)
        return;
    while (fgets(line, sizeof line, f) != NULL)
        print_error("swtpm: %s", line);
    fclose(f);
}

static void write_file(const struct test_swtpm *tpm, const char *name, const char *format, ...)
    ATLS_PRINTF(3, 4);
static void write_file(const struct test_swtpm *tpm, const char *name, const char *format, ...)
{
    char path[128];
    va_list args;
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", tpm->folder, name);
    if ((f = fopen(path, "w")) == NULL)
        fail_msg("cannot write %s: %s", path, strerror(errno));
    va_start(args, format);
    vfprintf(f, format, args);
    va_end(args);
    fclose(f);
}

/* Plays the maker of the TPM: EKs, their certificates, a CA. */
static void manufacture(struct test_swtpm *tpm)
{
    char config[128], state[128];
    const char *const argv[] = {
        "swtpm_setup",        "--tpm2",          "--tpmstate", state,
        "--create-ek-cert",   "--config",        config,       "--pcr-banks",
        "sha1,sha256,sha384", "--not-overwrite", NULL};
    int status = 0;

    write_file(tpm, "ca.options", "%s", "");
    write_file(tpm, "ca.conf",
               "statedir = %s\nsigningkey = %s/issuer-key.pem\nissuercert = %s/issuer.pem\n"
               "certserial = %s/serial\n",
               tpm->folder, tpm->folder, tpm->folder, tpm->folder);
    write_file(tpm, "setup.conf",
               "create_certs_tool = swtpm_localca\ncreate_certs_tool_config = %s/ca.conf\n"
               "create_certs_tool_options = %s/ca.options\n",
               tpm->folder, tpm->folder);
    snprintf(config, sizeof config, "%s/setup.conf", tpm->folder);
    snprintf(state, sizeof state, "%s/state", tpm->folder);
    while (waitpid(spawn(tpm, argv), &status, 0) < 0 && errno == EINTR)
        ;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        show_log(tpm);
        fail_msg("swtpm_setup failed");
    }
}

static int connect_socket(const struct test_swtpm *tpm)
{
    const struct timeval timeout = {ANSWER_TIMEOUT_S, 0};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s", tpm->socket);
    if (fd < 0)
        fail_msg("socket: %s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static uint32_t u32_at(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

size_t test_swtpm_command(const struct test_swtpm *tpm, const uint8_t *command, size_t len,
                          uint8_t *response, size_t size)
{
    int fd = connect_socket(tpm);
    size_t got = 0;

    if (fd < 0)
        fail_msg("cannot connect to %s: %s", tpm->socket, strerror(errno));
    if (send(fd, command, len, MSG_NOSIGNAL) != (ssize_t)len)
        fail_msg("swtpm: cannot send: %s", strerror(errno));
    do {
        ssize_t n = recv(fd, response + got, size - got, 0);

        if (n <= 0) {
            show_log(tpm);
            fail_msg("swtpm does not answer; is another program connected to it?");
        }
        got += (size_t)n;
    } while (got < 10 || got < u32_at(response + 2));
    close(fd);
    return got;
}

/* Runs swtpm on its socket and powers the TPM on (TPM2_Startup, Part 3, 9.3). */
static void power_on(struct test_swtpm *tpm)
{
    static const uint8_t startup[] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x44, 0, 0};
    char state[160], server[160], control[160];
    const char *const argv[] = {"swtpm", "socket",   "--tpm2",        "--tpmstate",
                                state,   "--server", server,          "--ctrl",
                                control, "--flags",  "not-need-init", NULL};
    uint8_t response[64];
    int fd = -1;
    uint32_t rc;

    snprintf(state, sizeof state, "dir=%s/state", tpm->folder);
    snprintf(server, sizeof server, "type=unixio,path=%s", tpm->socket);
    snprintf(control, sizeof control, "type=unixio,path=%s.ctrl", tpm->socket);
    tpm->pid = spawn(tpm, argv);
    for (int i = 0; i < START_TRIES && (fd = connect_socket(tpm)) < 0; i++) {
        const struct timespec wait = {0, 10 * 1000 * 1000};

        if (waitpid(tpm->pid, NULL, WNOHANG) == tpm->pid) {
            tpm->pid = 0;
            break;
        }
        nanosleep(&wait, NULL);
    }
    if (fd < 0) {
        show_log(tpm);
        fail_msg("swtpm does not start");
    }
    close(fd);
    test_swtpm_command(tpm, startup, sizeof startup, response, sizeof response);
    rc = u32_at(response + 6);
    if (rc != 0 && rc != TPM_RC_INITIALIZE)
        fail_msg("TPM2_Startup: 0x%x", (unsigned int)rc);
}

struct test_swtpm *test_swtpm_start(unsigned int flags)
{
    static bool registered;
    struct test_swtpm *tpm = calloc(1, sizeof *tpm);
    char state[128];

    if (tpm == NULL)
        fail_msg("out of memory");
    /* Not TMPDIR: the path of a Unix socket holds 107 bytes. */
    snprintf(tpm->folder, sizeof tpm->folder, "/tmp/atls-swtpm-XXXXXX");
    if (mkdtemp(tpm->folder) == NULL)
        fail_msg("mkdtemp: %s", strerror(errno));
    tpm->next = running;
    running = tpm;
    if (!registered && atexit(clear_away) == 0)
        registered = true;
    snprintf(tpm->socket, sizeof tpm->socket, "%s/tpm.sock", tpm->folder);
    snprintf(tpm->tcti, sizeof tpm->tcti, "swtpm:path=%s", tpm->socket);
    snprintf(tpm->root_certificate, sizeof tpm->root_certificate,
             "%s/swtpm-localca-rootca-cert.pem", tpm->folder);
    snprintf(tpm->issuer_certificate, sizeof tpm->issuer_certificate, "%s/issuer.pem", tpm->folder);
    snprintf(state, sizeof state, "%s/state", tpm->folder);
    if (mkdir(state, 0700) != 0)
        fail_msg("cannot make %s: %s", state, strerror(errno));
    if ((flags & TEST_SWTPM_EK_CERTIFICATE) != 0)
        manufacture(tpm);
    power_on(tpm);
    return tpm;
}

void test_swtpm_stop(struct test_swtpm *tpm)
{
    if (tpm == NULL)
        return;
    for (struct test_swtpm **at = &running; *at != NULL; at = &(*at)->next) {
        if (*at == tpm) {
            *at = tpm->next;
            break;
        }
    }
    end_process(tpm, SIGKILL);
    nftw(tpm->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(tpm);
}

void test_swtpm_kill(struct test_swtpm *tpm)
{
    end_process(tpm, SIGKILL);
}

void test_swtpm_restart(struct test_swtpm *tpm)
{
    end_process(tpm, SIGTERM);
    power_on(tpm);
}

const char *test_swtpm_tcti(const struct test_swtpm *tpm)
{
    return tpm->tcti;
}

char *test_swtpm_uri(const struct test_swtpm *tpm, const char *options, char *out, size_t size)
{
    snprintf(out, size, "tpm2:%s%s%s", tpm->tcti, options == NULL ? "" : "?",
             options == NULL ? "" : options);
    return out;
}

const char *test_swtpm_folder(const struct test_swtpm *tpm)
{
    return tpm->folder;
}

const char *test_swtpm_root_certificate(const struct test_swtpm *tpm)
{
    return tpm->root_certificate;
}

const char *test_swtpm_issuer_certificate(const struct test_swtpm *tpm)
{
    return tpm->issuer_certificate;
}

void test_swtpm_extend(const struct test_swtpm *tpm, unsigned int pcr, const uint8_t digest[32])
{
    /* TPM2_PCR_Extend (Part 3, 22.2): sessions, one password session with an empty password, then
     * one digest. */
    uint8_t command[65] = {0x80, 0x02, 0, 0, 0,    65, 0, 0,    0x01, 0x82, 0, 0, 0, (uint8_t)pcr,
                           0,    0,    0, 9, 0x40, 0,  0, 0x09, 0,    0,    0, 0, 0, 0,
                           0,    0,    1, 0, 0x0b};
    uint8_t response[128];

    memcpy(command + 33, digest, 32);
    test_swtpm_command(tpm, command, sizeof command, response, sizeof response);
    if (u32_at(response + 6) != 0)
        fail_msg("TPM2_PCR_Extend: 0x%x", (unsigned int)u32_at(response + 6));
}
