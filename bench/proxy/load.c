/* Load for the benchmarks of proxies (run.py): clients on one side, what is behind the proxy on the
 * other, both over TCP, TLS 1.3 or attested TLS.
 *
 *     setup DIR                                 certificate, platform key and store for all
 *     serve DIR KIND PORT                       what is behind
 *     client DIR KIND PORT up|down COUNT BYTES  bytes in all, over count connections
 *     client DIR KIND PORT idle COUNT
 *     client DIR KIND PORT new COUNT PARALLEL PER_MINUTE     0: as fast as they go
 *     primitives                                ns of CPU of a signature, a verification, and a
 *                                               value exported from TLS
 *
 * A client says "ready", starts when it reads a line, and says "done SECONDS FAILED". A connection
 * starts with a header of the client, an order and a number of bytes, which is answered by one
 * byte: it went all the way. Only TCP on the loopback interface. */
#define _GNU_SOURCE /* accept4 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "bench.h"
#include "ends.h"
#include "primitive.h"
#include "stream.h"

#define CIPHER     "TLS_AES_128_GCM_SHA256" /* run.py sets it for all */
#define HEADER_LEN 9
/* Opening at a time: what backlogs hold. */
#define OPENING_MAX 64
#define EVENTS      256
/* Five of the largest frames that a record of attested TLS holds. */
#define BUFFER_LEN (4 * 16380)

/* ---- what a connection does, step by step ---- */

enum op { OP_END = 0, OP_READY, OP_HEADER, OP_WRITE, OP_READ, OP_PAUSE, OP_UNTIL_CLOSED };

struct op_step {
    enum op op;
    uint64_t len;
};

#define STEPS_MAX 8

struct conn {
    struct stream stream;
    struct op_step steps[STEPS_MAX];
    size_t at;
    uint8_t header[HEADER_LEN]; /* serving */
    size_t header_len;
    struct conn *next; /* of those free */
};

enum event { EVENT_NONE, EVENT_PAUSED, EVENT_ENDED, EVENT_FAILED };

/* What is sent begins with the header of this client. */
static uint8_t room[ATLS_SESSION_HEAD_MAX + BUFFER_LEN], incoming[BUFFER_LEN];
static uint8_t *const outgoing = room + ATLS_SESSION_HEAD_MAX;

static void put_header(uint8_t out[HEADER_LEN], char order, uint64_t len)
{
    out[0] = (uint8_t)order;
    for (int i = 0; i < 8; i++)
        out[1 + i] = (uint8_t)(len >> (8 * i));
}

/* What the serving side does once it knows the order. */
static void take_header(struct conn *c)
{
    const struct op_step up[] = {{OP_WRITE, 1}, {OP_READ, 0}, {OP_WRITE, 1}, {OP_UNTIL_CLOSED, 0}};
    const struct op_step down[] = {
        {OP_WRITE, 1}, {OP_READ, 1}, {OP_WRITE, 0}, {OP_UNTIL_CLOSED, 0}};
    uint64_t len = 0;

    for (int i = 0; i < 8; i++)
        len |= (uint64_t)c->header[1 + i] << (8 * i);
    memset(c->steps, 0, sizeof c->steps);
    c->at = 0;
    memcpy(c->steps, c->header[0] == 'd' ? down : up, sizeof up);
    c->steps[c->header[0] == 'd' ? 2 : 1].len = len;
    if (c->header[0] == 'e') {
        c->steps[1] = (struct op_step){OP_UNTIL_CLOSED, 0};
        c->steps[2] = (struct op_step){OP_END, 0};
    }
}

static enum moved do_write(struct conn *c, struct op_step *step)
{
    size_t n, len = step->len < BUFFER_LEN ? (size_t)step->len : BUFFER_LEN;
    enum moved moved = stream_write(&c->stream, outgoing, len, &n);

    step->len -= n;
    return moved;
}

static enum moved do_read(struct conn *c, struct op_step *step)
{
    size_t n = 0, len = step->len < sizeof incoming ? (size_t)step->len : sizeof incoming;
    enum moved moved = stream_read(&c->stream, incoming, len, &n);

    if (moved == MOVED)
        step->len -= n;
    return moved;
}

static enum moved do_header(struct conn *c)
{
    size_t n = 0;
    enum moved moved =
        stream_read(&c->stream, c->header + c->header_len, sizeof c->header - c->header_len, &n);

    if (moved == MOVED && (c->header_len += n) == sizeof c->header)
        take_header(c);
    return moved;
}

/* Goes on until it has to wait. */
static enum event turn(struct conn *c)
{
    enum moved moved = MOVED;
    size_t n;

    while (moved == MOVED) {
        struct op_step *step = &c->steps[c->at];

        switch (step->op) {
        case OP_END:
            return EVENT_ENDED;
        case OP_PAUSE:
            return EVENT_PAUSED;
        case OP_READY:
            if ((moved = stream_ready(&c->stream)) == MOVED)
                c->at++;
            break;
        case OP_HEADER:
            moved = do_header(c);
            break;
        case OP_WRITE:
            if ((moved = do_write(c, step)) == MOVED && step->len == 0)
                c->at++;
            break;
        case OP_READ:
            if ((moved = do_read(c, step)) == MOVED && step->len == 0)
                c->at++;
            break;
        case OP_UNTIL_CLOSED:
            moved = stream_read(&c->stream, incoming, sizeof incoming, &n);
            if (moved == END_OF_STREAM)
                return EVENT_ENDED;
            break;
        }
    }
    return moved == BLOCKED ? EVENT_NONE : EVENT_FAILED;
}

/* ---- sockets ---- */

static struct sockaddr_in address_of(const char *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET};

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
    return a;
}

static int new_socket(void)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0)
        bench_die("socket", NULL);
    return fd;
}

static void watch(int epoll, int fd, void *what, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = what};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        bench_die("epoll", NULL);
}

/* ---- serving ---- */

static void accept_all(int epoll, int listener, const struct speech *speech)
{
    int fd, one = 1;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct conn *c = calloc(1, sizeof *c);

        if (c == NULL)
            bench_die("memory", NULL);
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        stream_open(&c->stream, speech, fd);
        c->steps[0] = (struct op_step){OP_READY, 0};
        c->steps[1] = (struct op_step){OP_HEADER, 0};
        watch(epoll, fd, c, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    }
}

static void serve(char **args)
{
    const struct sockaddr_in a = address_of(args[2]);
    struct epoll_event events[EVENTS];
    int one = 1, listener = new_socket(), epoll = epoll_create1(EPOLL_CLOEXEC);
    struct speech speech;

    speech_open(&speech, args[1], args[0], true);
    (void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (const struct sockaddr *)&a, sizeof a) != 0 || listen(listener, 4096) != 0)
        bench_die(args[2], NULL);
    watch(epoll, listener, NULL, EPOLLIN);
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);

        for (int i = 0; i < count; i++) {
            struct conn *c = events[i].data.ptr;

            if (c == NULL) {
                accept_all(epoll, listener, &speech);
            } else if (turn(c) != EVENT_NONE) {
                stream_close(&c->stream);
                free(c);
            }
        }
    }
}

/* ---- clients ---- */

struct client {
    struct speech speech;
    struct sockaddr_in to;
    char order; /* 'u', 'd', 'e' */
    uint64_t bytes;
    int epoll;
    struct conn *conns, *unused;
    size_t open, paused, ended, failed;
};

static void start(struct client *client)
{
    struct conn *c = client->unused;
    int fd = new_socket();

    client->unused = c->next;
    *c = (struct conn){.steps = {{OP_READY, 0}, {OP_WRITE, HEADER_LEN}, {OP_READ, 1}}};
    if (client->order == 'u') {
        c->steps[3] = (struct op_step){OP_PAUSE, 0};
        c->steps[4] = (struct op_step){OP_WRITE, client->bytes};
        c->steps[5] = (struct op_step){OP_READ, 1};
    } else if (client->order == 'd') {
        c->steps[3] = (struct op_step){OP_PAUSE, 0};
        c->steps[4] = (struct op_step){OP_WRITE, 1};
        c->steps[5] = (struct op_step){OP_READ, client->bytes};
    } else if (client->order == 'i') {
        c->steps[3] = (struct op_step){OP_PAUSE, 0};
        c->steps[4] = (struct op_step){OP_UNTIL_CLOSED, 0};
    }
    if (connect(fd, (const struct sockaddr *)&client->to, sizeof client->to) != 0 &&
        errno != EINPROGRESS)
        bench_die("connect", NULL);
    stream_open(&c->stream, &client->speech, fd);
    client->open++;
    watch(client->epoll, fd, c, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

static void drop(struct client *client, struct conn *c)
{
    stream_close(&c->stream);
    c->next = client->unused;
    client->unused = c;
    client->open--;
}

static void go_on(struct client *client, struct conn *c)
{
    const bool was_paused = c->steps[c->at].op == OP_PAUSE;
    const enum event event = turn(c);

    if (event == EVENT_PAUSED && !was_paused)
        client->paused++;
    if (event == EVENT_FAILED)
        client->failed++;
    if (event == EVENT_ENDED)
        client->ended++;
    if (event == EVENT_FAILED || event == EVENT_ENDED)
        drop(client, c);
}

static void wait_events(struct client *client, int timeout_ms)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(client->epoll, events, EVENTS, timeout_ms);

    for (int i = 0; i < count; i++)
        go_on(client, events[i].data.ptr);
}

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double wait_line(void)
{
    printf("ready\n");
    fflush(stdout);
    while (getchar() != '\n')
        if (feof(stdin))
            exit(1);
    return now_s();
}

static void done(const struct client *client, double started)
{
    printf("done %.6f %zu\n", now_s() - started, client->failed);
    fflush(stdout);
}

static void client_open(struct client *client, char **args, size_t count)
{
    *client = (struct client){.to = address_of(args[2]), .epoll = epoll_create1(EPOLL_CLOEXEC)};
    speech_open(&client->speech, args[1], args[0], false);
    if ((client->conns = calloc(count, sizeof *client->conns)) == NULL)
        bench_die("memory", NULL);
    for (size_t i = 0; i < count; i++) {
        client->conns[i].next = client->unused;
        client->unused = &client->conns[i];
    }
}

/* Opens all; they stand at OP_PAUSE. */
static void open_all(struct client *client, size_t count)
{
    size_t started = 0;

    while (client->paused + client->failed < count) {
        while (started < count && started - client->paused - client->failed < OPENING_MAX) {
            start(client);
            started++;
        }
        wait_events(client, -1);
    }
}

/* All go on from where they stood. */
static void resume(struct client *client, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (client->conns[i].stream.fd >= 0)
            client->conns[i].at++;
    for (size_t i = 0; i < count; i++)
        if (client->conns[i].stream.fd >= 0)
            go_on(client, &client->conns[i]);
}

static void move_bytes(char **args)
{
    const size_t count = strtoul(args[4], NULL, 10);
    struct client client;
    double started;

    client_open(&client, args, count);
    client.order = args[3][0];
    client.bytes = strtoull(args[5], NULL, 10) / count;
    put_header(outgoing, client.order, client.bytes);
    open_all(&client, count);
    started = wait_line();
    resume(&client, count);
    while (client.open != 0)
        wait_events(&client, -1);
    done(&client, started);
}

/* FAILED says how many did not come up or ended by themselves. */
static void be_idle(char **args)
{
    const size_t count = strtoul(args[4], NULL, 10);
    struct client client;
    double started;

    client_open(&client, args, count);
    client.order = 'i';
    put_header(outgoing, 'e', 0);
    open_all(&client, count);
    started = wait_line();
    resume(&client, count);
    while (client.ended != 0) {
        client.failed += client.ended;
        client.ended = 0;
        wait_events(&client, 0);
    }
    done(&client, started);
}

static void be_new(char **args)
{
    const size_t count = strtoul(args[4], NULL, 10), parallel = strtoul(args[5], NULL, 10);
    const double per_s = strtod(args[6], NULL) / 60;
    struct client client;
    size_t begun = 0;
    double started;

    client_open(&client, args, parallel);
    client.order = 'e';
    put_header(outgoing, 'e', 0);
    started = wait_line();
    while (client.ended + client.failed < count) {
        const double due = per_s == 0 ? (double)count : (now_s() - started) * per_s;

        while (begun < count && (double)begun < due && client.open < parallel) {
            start(&client);
            begun++;
        }
        wait_events(&client, begun < count && client.open < parallel ? 1 : 100);
    }
    done(&client, started);
}

/* ---- setup, primitives ---- */

static FILE *create(const char *dir, const char *name)
{
    char path[300];
    int fd;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    if ((fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) < 0)
        bench_die(path, NULL);
    return fdopen(fd, "w");
}

/* P-256, signed by itself; both.pem is what haproxy wants. */
static void certificate(const char *dir)
{
    FILE *cert_file = create(dir, "cert.pem"), *key_file = create(dir, "key.pem"),
         *both = create(dir, "both.pem");
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);

    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 7 * 86400);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1,
                               0);
    X509_set_issuer_name(cert, name);
    X509_set_pubkey(cert, key);
    if (X509_sign(cert, key, EVP_sha256()) == 0 || PEM_write_X509(cert_file, cert) != 1 ||
        PEM_write_X509(both, cert) != 1 ||
        PEM_write_PrivateKey(key_file, key, NULL, NULL, 0, NULL, NULL) != 1 ||
        PEM_write_PrivateKey(both, key, NULL, NULL, 0, NULL, NULL) != 1)
        bench_die("certificate", NULL);
    if (fclose(cert_file) != 0 || fclose(key_file) != 0 || fclose(both) != 0)
        bench_die("certificate", NULL);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void setup(char **args)
{
    char key[300], store[300];

    certificate(args[0]);
    snprintf(key, sizeof key, "%s/platform.pem", args[0]);
    snprintf(store, sizeof store, "%s/store.db", args[0]);
    ends_enrol(key, store);
}

static void primitives(char **args)
{
    struct ends ends = {0};
    struct primitive p;
    struct bench benches[] = {{"sign", primitive_sign, &p, 0, 0},
                              {"verify", primitive_verify, &p, 0, 0},
                              {"export", primitive_export, NULL, 0, 0}};

    (void)args;
    primitive_init(&p);
    ends_contexts(&ends);
    if (SSL_CTX_set_ciphersuites(ends.client_ctx, CIPHER) != 1)
        bench_die(CIPHER, NULL);
    ends_handshake(&ends);
    benches[2].arg = ends.client;
    bench_run(benches, 3, 5, 20);
    for (size_t i = 0; i < 3; i++)
        printf("%.0f\n", benches[i].median_ns);
    ends_drop(&ends);
    primitive_clear(&p);
}

static void client(char **args)
{
    if (strcmp(args[3], "idle") == 0)
        be_idle(args);
    else if (strcmp(args[3], "new") == 0)
        be_new(args);
    else
        move_bytes(args);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int least, most;
        void (*run)(char **args);
    } commands[] = {{"setup", 1, 1, setup},
                    {"serve", 3, 3, serve},
                    {"client", 5, 7, client},
                    {"primitives", 0, 0, primitives}};

    /* Nothing outlives the script. */
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    (void)signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0] && argc > 1; i++)
        if (strcmp(commands[i].name, argv[1]) == 0 && argc - 2 >= commands[i].least &&
            argc - 2 <= commands[i].most) {
            commands[i].run(argv + 2);
            return 0;
        }
    fprintf(stderr, "usage: setup DIR | serve DIR KIND PORT | primitives |\n"
                    "client DIR KIND PORT up|down COUNT BYTES | client DIR KIND PORT idle COUNT |\n"
                    "client DIR KIND PORT new COUNT PARALLEL PER_MINUTE\n");
    return 2;
}
