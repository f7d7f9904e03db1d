#include "listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <systemd/sd-daemon.h>

#include "text.h"

#define BACKLOG 1024

/* Kept by index of what was asked for first; one thread (the main one). */
static struct kept {
    char address[160]; /* as configured */
    int fd;
    char path[108]; /* of a unix socket of ours, to remove */
    char text[128];
} kept[2 * CONFIG_LISTENERS_MAX];
static size_t kept_count;

static enum atls_code open_tcp(const struct config_listener *l, int *out_fd, struct atls_err *err)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int fd = -1, one = 1;
    bool ok;

    if (getaddrinfo(l->host, l->port, &hints, &found) != 0)
        return set_error(err, ATLS_E_CONFIG, "%.100s: no address", l->address);
    fd = socket(found->ai_family, SOCK_STREAM, 0);
    ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
         (found->ai_family != AF_INET6 ||
          setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) == 0) &&
         bind(fd, found->ai_addr, found->ai_addrlen) == 0;
    freeaddrinfo(found);
    if (!ok) {
        int e = errno;

        if (fd >= 0)
            close(fd);
        return set_error(err, ATLS_E_CONFIG, "%.100s: %s", l->address, strerror(e));
    }
    *out_fd = fd;
    return ATLS_OK;
}

/* A socket that nobody listens on any more was left behind by a daemon that was killed. */
static void remove_stale(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct stat st;

    if (fd < 0)
        return;
    if (stat(address->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
        connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 &&
        errno == ECONNREFUSED)
        unlink(address->sun_path);
    close(fd);
}

static enum atls_code open_unix(const struct config_listener *l, int *out_fd, struct atls_err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    mode_t mode = l->mode >= 0 ? (mode_t)l->mode : 0660, old;
    bool ok;

    memcpy(address.sun_path, l->path, strlen(l->path) + 1);
    remove_stale(&address);
    old = umask(0777 & ~mode); /* never open wider, not even for a moment */
    ok = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    umask(old);
    if (!ok) {
        int e = errno;

        if (fd >= 0)
            close(fd);
        return set_error(err, ATLS_E_CONFIG, "%.100s: %s", l->address, strerror(e));
    }
    *out_fd = fd;
    return ATLS_OK;
}

static enum atls_code take_systemd(const struct config_listener *l, int *out_fd,
                                   struct atls_err *err)
{
    char **names = NULL;
    int count = sd_listen_fds_with_names(0, &names), fd = -1;

    for (int i = 0; i < count && names != NULL; i++) {
        if (fd < 0 && strcmp(names[i], l->path) == 0)
            fd = fcntl(SD_LISTEN_FDS_START + i, F_DUPFD_CLOEXEC, 3);
        free(names[i]);
    }
    free(names);
    if (fd < 0)
        return set_error(err, ATLS_E_CONFIG, "%.100s: systemd passed no socket of this name",
                         l->address);
    *out_fd = fd;
    return ATLS_OK;
}

static void describe(int fd, char out[128])
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    char host[128], port[16];

    memset(&address, 0, sizeof address);
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0 || address.ss_family == AF_UNIX ||
        getnameinfo((struct sockaddr *)&address, len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        snprintf(out, 128, "unix");
    else
        snprintf(out, 128, address.ss_family == AF_INET6 ? "[%.64s]:%.16s" : "%.64s:%.16s", host,
                 port);
}

static enum atls_code open_kept(const struct config_listener *l, struct kept *k,
                                struct atls_err *err)
{
    enum atls_code code = l->family == LISTEN_TCP    ? open_tcp(l, &k->fd, err)
                          : l->family == LISTEN_UNIX ? open_unix(l, &k->fd, err)
                                                     : take_systemd(l, &k->fd, err);

    if (code != ATLS_OK)
        return code;
    if ((l->family != LISTEN_SYSTEMD && listen(k->fd, BACKLOG) != 0) ||
        fcntl(k->fd, F_SETFD, FD_CLOEXEC) != 0 || fcntl(k->fd, F_SETFL, O_NONBLOCK) != 0) {
        code = set_error(err, ATLS_E_CONFIG, "%.100s: %s", l->address, strerror(errno));
        close(k->fd);
        return code;
    }
    snprintf(k->address, sizeof k->address, "%s", l->address);
    snprintf(k->path, sizeof k->path, "%s", l->family == LISTEN_UNIX ? l->path : "");
    if (l->family == LISTEN_UNIX)
        snprintf(k->text, sizeof k->text, "%s", l->address);
    else
        describe(k->fd, k->text);
    return ATLS_OK;
}

enum atls_code listen_get(const struct config_listener *l, int *out_fd, char out_text[128],
                          struct atls_err *err)
{
    struct kept *k = kept;
    enum atls_code code;
    int fd;

    if (strlen(l->address) >= sizeof k->address)
        return set_error(err, ATLS_E_CONFIG, "%.60s...: address is too long", l->address);
    while (k < kept + kept_count && strcmp(k->address, l->address) != 0)
        k++;
    if (k == kept + kept_count) {
        if (kept_count == sizeof kept / sizeof kept[0])
            return set_error(err, ATLS_E_CONFIG, "%.100s: too many listeners", l->address);
        if ((code = open_kept(l, k, err)) != ATLS_OK)
            return code;
        kept_count++;
    }
    if ((fd = fcntl(k->fd, F_DUPFD_CLOEXEC, 3)) < 0)
        return set_error(err, ATLS_E_CONFIG, "%.100s: %s", l->address, strerror(errno));
    *out_fd = fd;
    memcpy(out_text, k->text, sizeof k->text);
    return ATLS_OK;
}

void listen_shut(const struct config *config)
{
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct config_listener *l = &config->listeners[i];

        for (size_t k = 0; k < kept_count; k++)
            if (l->serve != SERVE_OPERATION && l->family != LISTEN_SYSTEMD &&
                strcmp(kept[k].address, l->address) == 0)
                (void)shutdown(kept[k].fd, SHUT_RDWR);
    }
}

static bool is_needed(const struct config *config, const struct kept *k)
{
    for (size_t i = 0; config != NULL && i < config->listener_count; i++)
        if (strcmp(config->listeners[i].address, k->address) == 0)
            return true;
    return false;
}

void listen_keep(const struct config *config)
{
    for (size_t i = 0; i < kept_count;) {
        if (is_needed(config, &kept[i])) {
            i++;
            continue;
        }
        close(kept[i].fd);
        if (kept[i].path[0] != '\0')
            unlink(kept[i].path);
        kept[i] = kept[--kept_count];
    }
}
