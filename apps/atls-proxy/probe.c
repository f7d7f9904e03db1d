#define _DEFAULT_SOURCE /* getaddrinfo with SOCK_CLOEXEC */

#include "probe.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netdb.h>
#include <openssl/rand.h>

#include <atls/attester.h>
#include <atls/store.h>

#include "clock.h"
#include "text.h"

#define BINDER_LEN 32
#define CONNECT_MS 3000

enum atls_code probe_attester(struct opened_attester *a, struct atls_err *err)
{
    struct atls_buf cmw = ATLS_BUF_INIT;
    uint8_t binder[BINDER_LEN];
    enum atls_code code;
    int64_t from_us;

    if (RAND_bytes(binder, sizeof binder) != 1)
        return set_error(err, ATLS_E_CRYPTO, "no randomness");
    from_us = now_us();
    code =
        atls_attester_evidence(a->attester, (struct atls_bytes){binder, sizeof binder}, &cmw, err);
    metrics_worked(a->metrics, code == ATLS_OK, now_us() - from_us);
    atls_buf_clear(&cmw);
    if (code == ATLS_OK)
        atomic_store(&a->proven, true);
    return code;
}

/* ---- services ---- */

/* Waits for a connection that is under way. */
static enum atls_code finish_connect(int fd)
{
    struct pollfd poll_for = {fd, POLLOUT, 0};
    int problem = 0;
    socklen_t len = sizeof problem;

    if (poll(&poll_for, 1, CONNECT_MS) != 1)
        return ATLS_E_TIMEOUT;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &len) != 0 || problem != 0) {
        errno = problem;
        return ATLS_E_UNAVAILABLE;
    }
    return ATLS_OK;
}

static enum atls_code try_connect(const struct addrinfo *a)
{
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
    enum atls_code code = ATLS_OK;
    int problem;

    if (fd < 0)
        return ATLS_E_UNAVAILABLE;
    if (connect(fd, a->ai_addr, a->ai_addrlen) != 0)
        code = errno == EINPROGRESS ? finish_connect(fd) : ATLS_E_UNAVAILABLE;
    problem = errno;
    close(fd);
    errno = problem;
    return code;
}

static enum atls_code reach(const char *host, const char *port, struct atls_err *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    enum atls_code code = ATLS_E_UNAVAILABLE;
    int problem = getaddrinfo(host, port, &hints, &found);

    if (problem != 0)
        return set_error(err, ATLS_E_UNAVAILABLE, "%.100s: %s", host, gai_strerror(problem));
    for (const struct addrinfo *a = found; a != NULL && code != ATLS_OK; a = a->ai_next)
        code = try_connect(a);
    freeaddrinfo(found);
    if (code != ATLS_OK)
        return set_error(err, code, "%.100s port %.5s: %s", host, port,
                         code == ATLS_E_TIMEOUT ? "no answer" : strerror(errno));
    return ATLS_OK;
}

/* Host and port of "http[s]://[USER@]HOST[:PORT][/...]"; false when url is none. */
static bool split_url(const char *url, char host[256], char port[6])
{
    const bool tls = strncmp(url, "https://", 8) == 0;
    const char *at, *end;
    size_t len;

    if (!tls && strncmp(url, "http://", 7) != 0)
        return false;
    url += tls ? 8 : 7;
    end = url + strcspn(url, "/?#");
    if ((at = memchr(url, '@', (size_t)(end - url))) != NULL)
        url = at + 1;
    if (*url == '[') {
        at = memchr(url, ']', (size_t)(end - url));
        len = at != NULL ? (size_t)(at - ++url) : 0;
        at = at != NULL ? at + 1 : end;
    } else {
        at = memchr(url, ':', (size_t)(end - url));
        at = at != NULL ? at : end;
        len = (size_t)(at - url);
    }
    if (len == 0 || len >= 256 || (at < end && (*at != ':' || end - at > 6)))
        return false;
    memcpy(host, url, len);
    host[len] = '\0';
    snprintf(port, 6, "%s", tls ? "443" : "80");
    if (at < end)
        snprintf(port, 6, "%.*s", (int)(end - at - 1), at + 1);
    return true;
}

static enum atls_code probe_store(const char *location, struct atls_err *err)
{
    struct atls_store *store = NULL;
    enum atls_code code = atls_store_open(location, ATLS_STORE_READ, &store, err);

    if (code == ATLS_OK)
        code = atls_store_ping(store, err);
    atls_store_close(store);
    return code;
}

enum atls_code probe_verifier(const struct opened_verifier *v, struct atls_err *err)
{
    const char *uri = v->config->uri, *rest = strchr(uri, ':');
    char host[256], port[6];

    if (rest == NULL)
        return set_error(err, ATLS_E_CONFIG, "verifier without a scheme");
    rest++;
    if (strncmp(uri, "local:", 6) == 0)
        return probe_store(rest, err);
    if (split_url(rest, host, port))
        return reach(host, port, err);
    return ATLS_OK; /* the keys of a passport's verifier are in a file that was read */
}
