/* epoll_pwait2, memmem */
#define _GNU_SOURCE

#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define API         "/challenge-response/v1/"
#define ANSWER_MAX  65536
#define REQUEST_MAX 65536
#define EVENTS      256
#define QUIET_NS    1e9

enum phase { IDLE, OPENING, SUBMITTING };

struct connection {
    int fd;
    enum phase phase;
    const struct load_material *material;
    double start_ns;
    char out[REQUEST_MAX];
    size_t out_len, out_sent;
    char in[ANSWER_MAX];
    size_t in_len;
};

struct load {
    int epoll;
    const struct load_material *materials;
    size_t material_count, next_material;
    size_t connection_count, idle_count, next_idle;
    struct connection **connections, **idle; /* idle: a ring; who waited longest comes first */
    bool opens_only;
    double *latencies_ns;
    size_t done, room, opened, refused;
};

_Noreturn static void die(const char *what, const char *detail)
{
    fprintf(stderr, "bench: load: %s: %s\n", what, detail);
    exit(2);
}

static void *need(void *p)
{
    if (p == NULL)
        die("memory", "none left");
    return p;
}

double load_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* ---- requests ---- */

static void base64url(const uint8_t *bytes, size_t len, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    for (size_t i = 0; i < len; i += 3) {
        uint32_t v = (uint32_t)bytes[i] << 16 | (i + 1 < len ? (uint32_t)bytes[i + 1] << 8 : 0) |
                     (i + 2 < len ? bytes[i + 2] : 0);

        for (unsigned int k = 0; k < 4; k++)
            *out++ = k <= len - i ? digits[v >> (18 - 6 * k) & 63] : '=';
    }
    *out = '\0';
}

struct load_material load_material_make(const uint8_t nonce[32], const char *media_type,
                                        const uint8_t *body, size_t body_len)
{
    struct load_material m = {
        .open = need(malloc(512)), .head = need(malloc(512)), .body = body, .body_len = body_len};
    char text[48];

    base64url(nonce, 32, text);
    m.open_len = (size_t)snprintf(m.open, 512,
                                  "POST " API "newSession?nonce=%s HTTP/1.1\r\n"
                                  "Host: 127.0.0.1\r\nContent-Length: 0\r\n"
                                  "Accept: application/vnd.veraison.challenge-response-session+json"
                                  "\r\n\r\n",
                                  text);
    m.head_len = (size_t)snprintf(m.head, 512,
                                  " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %s\r\n"
                                  "Accept: application/vnd.veraison.challenge-response-session+json"
                                  "\r\nContent-Length: %zu\r\n\r\n",
                                  media_type, body_len);
    return m;
}

void load_material_clear(struct load_material *m)
{
    free(m->open);
    free(m->head);
}

/* Requests fit into what the kernel keeps, but for a moment. */
static void flush(struct connection *c)
{
    while (c->out_sent < c->out_len) {
        ssize_t n = send(c->fd, c->out + c->out_sent, c->out_len - c->out_sent, MSG_NOSIGNAL);
        struct pollfd writable = {c->fd, POLLOUT, 0};

        if (n < 0 && errno == EAGAIN)
            (void)poll(&writable, 1, -1);
        else if (n <= 0)
            die("send", strerror(errno));
        else
            c->out_sent += (size_t)n;
    }
}

static void put(struct connection *c, const void *bytes, size_t len)
{
    if (len > sizeof c->out - c->out_len)
        die("request", "too long");
    memcpy(c->out + c->out_len, bytes, len);
    c->out_len += len;
}

static void begin(struct load *l, struct connection *c, double start_ns)
{
    c->material = &l->materials[l->next_material++ % l->material_count];
    c->start_ns = start_ns;
    c->phase = OPENING;
    c->out_len = c->out_sent = c->in_len = 0;
    put(c, c->material->open, c->material->open_len);
    flush(c);
}

/* location: "session/UUID", relative to newSession. */
static void submit(struct connection *c, const char *location, size_t len)
{
    const struct load_material *m = c->material;

    c->phase = SUBMITTING;
    c->out_len = c->out_sent = c->in_len = 0;
    put(c, "POST " API, sizeof "POST " API - 1);
    put(c, location, len);
    put(c, m->head, m->head_len);
    put(c, m->body, m->body_len);
    flush(c);
}

/* ---- answers ---- */

/* Value of a header in a head of len bytes, up to the end of its line; NULL: not there. */
static const char *header(const char *head, size_t len, const char *name, size_t *out_len)
{
    size_t name_len = strlen(name);
    const char *at = head, *end = head + len;

    while ((at = memmem(at, (size_t)(end - at), "\r\n", 2)) != NULL) {
        const char *stop;

        at += 2;
        if ((size_t)(end - at) <= name_len || strncasecmp(at, name, name_len) != 0 ||
            at[name_len] != ':')
            continue;
        at += name_len + 1;
        while (*at == ' ')
            at++;
        stop = memmem(at, (size_t)(end - at), "\r\n", 2);
        *out_len = (size_t)((stop != NULL ? stop : end) - at);
        return at;
    }
    return NULL;
}

/* Length of a whole answer; 0: not yet all there. */
static size_t answer_len(const struct connection *c, size_t *out_head)
{
    const char *end = memmem(c->in, c->in_len, "\r\n\r\n", 4), *value;
    size_t len;

    if (end == NULL)
        return 0;
    *out_head = (size_t)(end - c->in) + 2;
    if ((value = header(c->in, *out_head, "Content-Length", &len)) != NULL) {
        len = *out_head + 2 + strtoul(value, NULL, 10);
        return len <= c->in_len ? len : 0;
    }
    /* Chunked: the last chunk ends it, and nothing comes after it before we ask again. */
    if (header(c->in, *out_head, "Transfer-Encoding", &len) == NULL)
        die("answer", "without a length");
    return c->in_len >= 5 && memcmp(c->in + c->in_len - 5, "0\r\n\r\n", 5) == 0 ? c->in_len : 0;
}

static void put_idle(struct load *l, struct connection *c)
{
    l->idle[(l->next_idle + l->idle_count++) % l->connection_count] = c;
}

static struct connection *take_idle(struct load *l)
{
    struct connection *c = l->idle[l->next_idle];

    l->next_idle = (l->next_idle + 1) % l->connection_count;
    l->idle_count--;
    return c;
}

static void finish(struct load *l, struct connection *c)
{
    if (l->done == l->room) {
        l->room = l->room == 0 ? 65536 : l->room * 2;
        l->latencies_ns = need(realloc(l->latencies_ns, l->room * sizeof *l->latencies_ns));
    }
    l->latencies_ns[l->done++] = load_now_ns() - c->start_ns;
    c->phase = IDLE;
    put_idle(l, c);
}

static void on_answer(struct load *l, struct connection *c, size_t head_len, size_t len)
{
    int status = c->in_len > 12 ? atoi(c->in + 9) : 0;
    const char *location;
    size_t location_len;

    c->in[len < sizeof c->in ? len : sizeof c->in - 1] = '\0';
    if (l->opens_only && c->phase == OPENING && (status == 201 || status == 503)) {
        l->opened += status == 201;
        l->refused += status == 503;
        finish(l, c);
    } else if (c->phase == OPENING && status == 201) {
        location = header(c->in, head_len, "Location", &location_len);
        if (location == NULL)
            die("newSession", "no Location");
        submit(c, location, location_len);
    } else if (c->phase == SUBMITTING && status == 200 && strstr(c->in, "\"result\"") != NULL) {
        finish(l, c);
    } else {
        die("an answer that was not wanted", c->in);
    }
}

static void on_readable(struct load *l, struct connection *c)
{
    size_t head = 0, len;
    ssize_t n;

    n = recv(c->fd, c->in + c->in_len, sizeof c->in - 1 - c->in_len, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || c->phase == IDLE)
        die("recv", n == 0 ? "the server ended a connection" : strerror(errno));
    c->in_len += (size_t)n;
    if ((len = answer_len(c, &head)) != 0)
        on_answer(l, c, head, len);
    else if (c->in_len == sizeof c->in - 1)
        die("answer", "too long");
}

/* Works until the moment, or an event; events come in order of readiness. */
static void wait_events(struct load *l, double until_ns)
{
    struct epoll_event events[EVENTS];
    double left = until_ns - load_now_ns();
    struct timespec timeout = {0, 0};
    int n;

    if (left > 0) {
        timeout.tv_sec = (time_t)(left / 1e9);
        timeout.tv_nsec = (long)(left - (double)timeout.tv_sec * 1e9);
    }
    n = epoll_pwait2(l->epoll, events, EVENTS, &timeout, NULL);
    if (n < 0 && errno != EINTR)
        die("epoll", strerror(errno));
    for (int i = 0; i < n; i++)
        on_readable(l, events[i].data.ptr);
}

/* ---- connections ---- */

static struct connection *open_connection(struct load *l, uint16_t port)
{
    struct connection *c = need(calloc(1, sizeof *c));
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    const int on = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to) != 0)
        die("connect", strerror(errno));
    if (setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0 ||
        epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &event) != 0)
        die("a socket", strerror(errno));
    return c;
}

struct load *load_new(uint16_t port, size_t connections, const struct load_material *materials,
                      size_t material_count)
{
    struct load *l = need(calloc(1, sizeof *l));

    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll < 0)
        die("epoll", strerror(errno));
    l->materials = materials;
    l->material_count = material_count;
    l->connection_count = connections;
    l->connections = need(calloc(connections, sizeof *l->connections));
    l->idle = need(calloc(connections, sizeof *l->idle));
    for (size_t i = 0; i < connections; i++) {
        l->connections[i] = open_connection(l, port);
        put_idle(l, l->connections[i]);
    }
    return l;
}

void load_free(struct load *l)
{
    for (size_t i = 0; i < l->connection_count; i++) {
        close(l->connections[i]->fd);
        free(l->connections[i]);
    }
    close(l->epoll);
    free(l->connections);
    free(l->idle);
    free(l->latencies_ns);
    free(l);
}

/* ---- runs ---- */

static void drain(struct load *l)
{
    while (l->idle_count < l->connection_count)
        wait_events(l, load_now_ns() + 1e9);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static struct load_result take_result(struct load *l, double start_ns)
{
    struct load_result r = {.count = l->done,
                            .seconds = (load_now_ns() - start_ns) / 1e9,
                            .latencies_ns = l->latencies_ns};

    if (r.count > 0)
        qsort(r.latencies_ns, r.count, sizeof *r.latencies_ns, ascending);
    l->latencies_ns = NULL;
    l->done = l->room = 0;
    return r;
}

struct load_result load_saturate(struct load *l, double seconds)
{
    double start_ns = load_now_ns(), end_ns = start_ns + seconds * 1e9, now;

    while ((now = load_now_ns()) < end_ns) {
        while (l->idle_count > 0)
            begin(l, take_idle(l), load_now_ns());
        wait_events(l, end_ns);
    }
    drain(l);
    return take_result(l, start_ns);
}

/* Of a Poisson process; the same sequence each run. */
static double next_gap_ns(uint64_t *state, double rate)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return -log(((double)(*state >> 11) + 0.5) / 9007199254740992.0) / rate * 1e9;
}

struct load_result load_pace(struct load *l, double rate, double seconds)
{
    double start_ns = load_now_ns(), end_ns = start_ns + seconds * 1e9;
    uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
    double arrival_ns = start_ns + next_gap_ns(&state, rate);

    while (arrival_ns < end_ns) {
        while (arrival_ns <= load_now_ns() && l->idle_count > 0) {
            begin(l, take_idle(l), arrival_ns);
            arrival_ns += next_gap_ns(&state, rate);
        }
        /* Without an idle connection arrivals wait, and their latency grows. */
        wait_events(l, l->idle_count > 0 ? arrival_ns : end_ns);
    }
    drain(l);
    return take_result(l, start_ns);
}

double load_percentile(const struct load_result *r, double percent)
{
    size_t at = (size_t)((double)r->count * percent / 100);

    if (r->count == 0)
        return 0;
    return r->latencies_ns[at < r->count ? at : r->count - 1];
}

void load_open_sessions(struct load *l, size_t count, size_t *opened, size_t *refused)
{
    size_t begun = 0;

    l->opens_only = true;
    l->opened = l->refused = 0;
    while (begun < count) {
        while (l->idle_count > 0 && begun < count) {
            begin(l, take_idle(l), load_now_ns());
            begun++;
        }
        wait_events(l, load_now_ns() + 1e9);
    }
    drain(l);
    l->opens_only = false;
    l->done = 0;
    *opened = l->opened;
    *refused = l->refused;
}

/* ---- bodies that do not end ---- */

struct body {
    int fd;
    size_t left;
    bool refused;
};

struct load_bodies {
    size_t count;
    struct body bodies[];
};

static int connect_to(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        die("connect", strerror(errno));
    return fd;
}

/* Opens a session and sends the head of what claims to be evidence. */
static struct body begin_body(uint16_t port, size_t size)
{
    static const char open_text[] = "POST " API "newSession HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                                    "Content-Length: 0\r\n\r\n";
    struct body b = {connect_to(port), size - 1, false};
    char text[4096], path[48];
    const char *location;
    size_t location_len;
    ssize_t n;
    int len;

    if (send(b.fd, open_text, sizeof open_text - 1, MSG_NOSIGNAL) < 0 ||
        (n = recv(b.fd, text, sizeof text - 1, 0)) <= 0)
        die("newSession", strerror(errno));
    location = header(text, (size_t)n, "Location", &location_len);
    if (location == NULL || location_len != 44)
        die("newSession", "no Location");
    memcpy(path, location, location_len);
    path[location_len] = '\0';
    len = snprintf(text, sizeof text,
                   "POST " API "%s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                   "Content-Type: application/cmw+cbor\r\nContent-Length: %zu\r\n\r\n",
                   path, size);
    if (send(b.fd, text, (size_t)len, MSG_NOSIGNAL) != len || fcntl(b.fd, F_SETFL, O_NONBLOCK) != 0)
        die("send", strerror(errno));
    return b;
}

/* Sends what goes, and sees whether there is an answer; true: something has changed. */
static bool send_body(struct body *b)
{
    static const char zeros[65536];
    size_t chunk = b->left < sizeof zeros ? b->left : sizeof zeros;
    char answer[16];
    ssize_t n;

    if (b->refused)
        return false;
    if (recv(b->fd, answer, sizeof answer, MSG_PEEK) >= 0 || errno != EAGAIN) {
        b->refused = true;
        return true;
    }
    n = chunk == 0 ? 0 : send(b->fd, zeros, chunk, MSG_NOSIGNAL);
    if (n > 0)
        b->left -= (size_t)n;
    return n > 0;
}

struct load_bodies *load_hold_bodies(uint16_t port, size_t count, size_t size, size_t *out_refused)
{
    struct load_bodies *b = need(calloc(1, sizeof *b + count * sizeof b->bodies[0]));
    double moved_ns;

    b->count = count;
    for (size_t i = 0; i < count; i++)
        b->bodies[i] = begin_body(port, size);
    moved_ns = load_now_ns();
    while (load_now_ns() < moved_ns + QUIET_NS)
        for (size_t i = 0; i < count; i++)
            if (send_body(&b->bodies[i]))
                moved_ns = load_now_ns();
    *out_refused = 0;
    for (size_t i = 0; i < count; i++)
        *out_refused += b->bodies[i].refused;
    return b;
}

void load_drop_bodies(struct load_bodies *b)
{
    for (size_t i = 0; i < b->count; i++)
        close(b->bodies[i].fd);
    free(b);
}
