#define _DEFAULT_SOURCE /* SO_REUSEPORT */

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

#include "log.h"
#include "text.h"

#define BACKLOG 1024

static struct kept {
    char address[300]; /* as configured */
    unsigned nth, slot;
    int fd;
    bool shuts;
    char path[108]; /* of a unix socket of ours, to remove */
    char text[128];
} * kept;
static size_t kept_count;

static enum atls_code open_tcp(const struct listen_at *l, const char *port, int *out_fd,
                               struct atls_err *err)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int fd = -1, one = 1;
    bool ok;

    if (getaddrinfo(l->address.host, port, &hints, &found) != 0)
        return set_error(err, ATLS_E_CONFIG, "%.100s: no address", l->address.text);
    fd = socket(found->ai_family, SOCK_STREAM, 0);
    ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
         (!l->reuse_port || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0) &&
         (found->ai_family != AF_INET6 ||
          setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) == 0) &&
         bind(fd, found->ai_addr, found->ai_addrlen) == 0;
    freeaddrinfo(found);
    if (!ok) {
        int e = errno;

        if (fd >= 0)
            close(fd);
        return set_error(err, ATLS_E_CONFIG, "%.100s: %s", l->address.text, strerror(e));
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

static enum atls_code open_unix(const struct listen_at *l, int *out_fd, struct atls_err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    mode_t mode = l->mode >= 0 ? (mode_t)l->mode : 0660, old;
    bool ok;

    memcpy(address.sun_path, l->address.path, strlen(l->address.path) + 1);
    remove_stale(&address);
    old = umask(0777 & ~mode); /* never open wider, not even for a moment */
    ok = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    umask(old);
    if (!ok) {
        int e = errno;

        if (fd >= 0)
            close(fd);
        return set_error(err, ATLS_E_CONFIG, "%.100s: %s", l->address.text, strerror(e));
    }
    *out_fd = fd;
    return ATLS_OK;
}

/* Of another socket accept(2) would fail each time, and readiness would never end. */
static bool is_listening(int fd)
{
    int type = 0, listens = 0;
    socklen_t type_len = sizeof type, listens_len = sizeof listens;

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_len) == 0 && listens != 0;
}

static enum atls_code take_systemd(const struct listen_at *l, int *out_fd, struct atls_err *err)
{
    char **names = NULL;
    int count = sd_listen_fds_with_names(0, &names), of_name = 0, fd = -1;

    for (int i = 0; i < count && names != NULL; i++) {
        if (strcmp(names[i], l->address.path) == 0 && of_name++ == 0)
            fd = fcntl(SD_LISTEN_FDS_START + i, F_DUPFD_CLOEXEC, 3);
        free(names[i]);
    }
    free(names);
    if (fd < 0)
        return set_error(err, ATLS_E_CONFIG, "%.100s: systemd passed no socket of this name",
                         l->address.text);
    if (of_name > 1) { /* nobody would answer at the others */
        close(fd);
        return set_error(err, ATLS_E_CONFIG,
                         "%.100s: systemd passed %d sockets of this name, want one: a socket unit "
                         "for each ListenStream",
                         l->address.text, of_name);
    }
    if (!is_listening(fd)) {
        close(fd);
        return set_error(err, ATLS_E_CONFIG,
                         "%.100s: systemd passed no stream socket that listens (ListenStream, "
                         "Accept=no)",
                         l->address.text);
    }
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

static bool is_of(const struct kept *k, const struct listen_at *l)
{
    return k->nth == l->nth && strcmp(k->address, l->address.text) == 0;
}

static struct kept *find_kept(const struct listen_at *l, unsigned slot)
{
    for (size_t i = 0; i < kept_count; i++)
        if (kept[i].slot == slot && is_of(&kept[i], l))
            return &kept[i];
    return NULL;
}

/* The port that slot 0 was given, when any was asked for. */
static const char *port_of(const struct listen_at *l, unsigned slot)
{
    const struct kept *first = slot > 0 ? find_kept(l, 0) : NULL;

    return first != NULL ? strrchr(first->text, ':') + 1 : l->address.port;
}

static enum atls_code open_kept(const struct listen_at *l, unsigned slot, struct kept *k,
                                struct atls_err *err)
{
    enum address_family family = l->address.family;
    enum atls_code code = family == ADDRESS_TCP    ? open_tcp(l, port_of(l, slot), &k->fd, err)
                          : family == ADDRESS_UNIX ? open_unix(l, &k->fd, err)
                                                   : take_systemd(l, &k->fd, err);

    if (code != ATLS_OK)
        return code;
    if ((family != ADDRESS_SYSTEMD && listen(k->fd, BACKLOG) != 0) ||
        fcntl(k->fd, F_SETFD, FD_CLOEXEC) != 0 || fcntl(k->fd, F_SETFL, O_NONBLOCK) != 0) {
        code = set_error(err, ATLS_E_CONFIG, "%.100s: %s", l->address.text, strerror(errno));
        close(k->fd);
        return code;
    }
    k->nth = l->nth;
    k->slot = slot;
    k->shuts = family != ADDRESS_SYSTEMD;
    snprintf(k->address, sizeof k->address, "%s", l->address.text);
    snprintf(k->path, sizeof k->path, "%s", family == ADDRESS_UNIX ? l->address.path : "");
    if (family == ADDRESS_UNIX)
        snprintf(k->text, sizeof k->text, "%s", l->address.text);
    else
        describe(k->fd, k->text);
    return ATLS_OK;
}

/* Opens one more; NULL: it failed, *out_code says how. */
static struct kept *add_kept(const struct listen_at *l, unsigned slot, enum atls_code *out_code,
                             struct atls_err *err)
{
    struct kept *larger = realloc(kept, (kept_count + 1) * sizeof *kept);

    if (larger == NULL) {
        *out_code = set_error(err, ATLS_E_NOMEM, "%.100s: out of memory", l->address.text);
        return NULL;
    }
    kept = larger;
    *out_code = open_kept(l, slot, &kept[kept_count], err);
    return *out_code == ATLS_OK ? &kept[kept_count++] : NULL;
}

enum atls_code listen_get(const struct listen_at *l, int *out_fd, char out_text[128],
                          struct atls_err *err)
{
    unsigned slot = l->reuse_port && l->address.family == ADDRESS_TCP ? l->slot : 0;
    struct kept *k = find_kept(l, slot);
    enum atls_code code = ATLS_OK;
    int fd;

    if (strlen(l->address.text) >= sizeof k->address)
        return set_error(err, ATLS_E_CONFIG, "%.60s...: address is too long", l->address.text);
    if (k == NULL && (k = add_kept(l, slot, &code, err)) == NULL)
        return code;
    if ((fd = fcntl(k->fd, F_DUPFD_CLOEXEC, 3)) < 0)
        return set_error(err, ATLS_E_CONFIG, "%.100s: %s", l->address.text, strerror(errno));
    *out_fd = fd;
    memcpy(out_text, k->text, sizeof k->text);
    return ATLS_OK;
}

enum atls_code listen_give(uid_t user, gid_t group, struct atls_err *err)
{
    for (size_t i = 0; i < kept_count; i++)
        if (kept[i].path[0] != '\0' && lchown(kept[i].path, user, group) != 0)
            return set_error(err, ATLS_E_CONFIG, "%.108s: %s; want the right to give it away",
                             kept[i].path, strerror(errno));
    return ATLS_OK;
}

void listen_shut(const struct listen_at *l)
{
    for (size_t i = 0; i < kept_count; i++)
        if (kept[i].shuts && is_of(&kept[i], l))
            (void)shutdown(kept[i].fd, SHUT_RDWR);
}

static bool is_kept_from_systemd(const char *name)
{
    char address[sizeof kept->address];

    snprintf(address, sizeof address, "systemd:%s", name);
    for (size_t i = 0; i < kept_count; i++)
        if (strcmp(kept[i].address, address) == 0)
            return true;
    return false;
}

void listen_say_unused(void)
{
    char **names = NULL;
    const int count = sd_listen_fds_with_names(0, &names);

    for (int i = 0; i < count && names != NULL; i++) {
        if (!is_kept_from_systemd(names[i]))
            log_say(ATLS_LOG_WARNING, "socket",
                    "systemd passed a socket named %.100s, and no listener is systemd:%.100s: who "
                    "connects to it gets no answer",
                    names[i], names[i]);
        free(names[i]);
    }
    free(names);
}

void listen_keep(bool (*needed)(const void *arg, const char *address, unsigned nth),
                 const void *arg)
{
    for (size_t i = 0; i < kept_count;) {
        if (needed != NULL && needed(arg, kept[i].address, kept[i].nth)) {
            i++;
            continue;
        }
        close(kept[i].fd);
        if (kept[i].path[0] != '\0')
            unlink(kept[i].path);
        kept[i] = kept[--kept_count];
    }
    if (kept_count == 0) {
        free(kept);
        kept = NULL;
    }
}
