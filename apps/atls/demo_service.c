#include "demo_service.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atls/store.h>

#include "io.h"
#include "parts.h"

#define PROGRAM      "atls-verifierd"
#define INHERITED_FD 3 /* sd_listen_fds(3) */

static enum atls_code make_signing_key(const struct lab *lab, struct atls_err *err)
{
    struct atls_store *store = NULL;
    char kid[ATLS_KID_TEXT];
    enum atls_code code;

    if ((code = atls_store_open(lab->store, ATLS_STORE_WRITE, &store, err)) == ATLS_OK)
        code = atls_store_new_signing_key(store, ATLS_KEY_P256, (int64_t)time(NULL), kid, err);
    atls_store_close(store);
    return code;
}

/* A TLS key and certificate for "localhost". */
static enum atls_code make_certificate(const struct lab *lab, const char *certificate,
                                       const char *key_file, struct atls_err *err)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    unsigned char *spki = NULL;
    int len = key == NULL ? -1 : i2d_PUBKEY(key, &spki);
    enum atls_code code;

    if (len <= 0)
        code = parts_tls_error(err, "TLS key of the service");
    else if ((code = lab_write_key(key_file, key, err)) == ATLS_OK)
        code = lab_issue(lab,
                         &(struct lab_certificate){.name = "localhost",
                                                   .spki = atls_bytes_of(spki, (size_t)len),
                                                   .not_after_days = 30},
                         certificate, err);
    OPENSSL_free(spki);
    EVP_PKEY_free(key);
    return code;
}

static enum atls_code write_configuration(const struct lab *lab, const char *path,
                                          struct atls_err *err)
{
    char certificate[LAB_PATH], key[LAB_PATH], text[1024];
    enum atls_code code;

    lab_path(lab, "service.pem", certificate);
    lab_path(lab, "service.key", key);
    if ((code = make_certificate(lab, certificate, key, err)) != ATLS_OK)
        return code;
    snprintf(text, sizeof(text),
             "listeners:\n"
             "  - address: systemd:api\n"
             "    certificate: %s\n"
             "    key: %s\n"
             "tenants:\n"
             "  - name: demo\n"
             "    store: %s\n"
             "    result: {lifetime: 5m}\n",
             certificate, key, lab->store);
    return io_write_file(path, atls_bytes_of(text, strlen(text)), IO_SECRET, err);
}

/* A socket on a free port of the loopback. */
static enum atls_code listen_somewhere(int *out_fd, char url[64], struct atls_err *err)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, 64) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        enum atls_code code = io_error(err, ATLS_E_IO, "listen: %s", strerror(errno));

        if (fd >= 0)
            close(fd);
        return code;
    }
    snprintf(url, 64, "https://localhost:%u", (unsigned int)ntohs(address.sin_port));
    *out_fd = fd;
    return ATLS_OK;
}

/* In the child: what sd_listen_fds(3) wants to find. Does not return. */
static void become_daemon(const char *program, const char *config, const char *log, int socket_fd)
{
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    char pid[24];

    snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0 ||
        (socket_fd != INHERITED_FD && dup2(socket_fd, INHERITED_FD) < 0) ||
        fcntl(INHERITED_FD, F_SETFD, 0) != 0 || setenv("LISTEN_PID", pid, 1) != 0 ||
        setenv("LISTEN_FDS", "1", 1) != 0 || setenv("LISTEN_FDNAMES", "api", 1) != 0)
        _exit(126);
    execlp(program, PROGRAM, "--config", config, (char *)NULL);
    _exit(127);
}

enum atls_code demo_service_start(const struct lab *lab, struct demo_service *out,
                                  struct atls_err *err)
{
    struct demo_service service = {0};
    char config[LAB_PATH], log[LAB_PATH], program[LAB_PROGRAM];
    int fd = -1;
    enum atls_code code;

    lab_path(lab, "verifierd.yaml", config);
    lab_path(lab, "verifierd.log", log);
    lab_path(lab, "ca.pem", service.ca_file);
    lab_find_program(PROGRAM, "ATLS_VERIFIERD", program);
    if ((code = make_signing_key(lab, err)) != ATLS_OK ||
        (code = write_configuration(lab, config, err)) != ATLS_OK ||
        (code = listen_somewhere(&fd, service.url, err)) != ATLS_OK)
        return code;
    service.pid = fork();
    if (service.pid == 0)
        become_daemon(program, config, log, fd);
    /* Once the daemon is gone, nobody listens. */
    close(fd);
    if (service.pid < 0)
        return io_error(err, ATLS_E_IO, "fork: %s", strerror(errno));
    *out = service;
    return ATLS_OK;
}

void demo_service_stop(struct demo_service *service)
{
    if (service->pid <= 0)
        return;
    kill(service->pid, SIGTERM);
    while (waitpid(service->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    service->pid = 0;
}
