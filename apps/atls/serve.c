/* atls serve: an attested server. One thread a connection; what goes wrong on one stays there. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "commands.h"
#include "io.h"
#include "parts.h"
#include "relay.h"

#define CONNECTIONS_DEFAULT 256
#define CONNECTIONS_MAX     65536
#define FORWARD_TIMEOUT_MS  10000

static const char usage[] =
    "usage: atls serve --listen ADDRESS:PORT | unix:PATH [OPTION ...]\n"
    "\n"
    "Serves attested connections: attests itself, has clients attest themselves, or both.\n"
    "\n"
    "  --listen WHERE         address and port (0: any free one), or unix:PATH\n"
    "  --cert PEM             TLS certificate chain\n"
    "  --key PEM              its private key; without both: ephemeral, and only with --identity\n"
    "                         attested; or, in flavour intra or pre, the attester's\n"
    "  --attester URI         attest ourselves: tpm2:TCTI[?option=value&...], tsm:[DIR][?...] or "
    "soft:KEY.pem\n"
    "  --attester-cert PEM    certificate chain of the attestation identity key\n"
    "  --endorsements PEM     certificates that vouch for the attestation key\n"
    "  --passport-from URL    obtain results about ourselves from the verifier there, and show "
    "these\n"
    "                         to clients that take results\n"
    "  --passport-only        never show evidence itself\n"
    "  --require-self         refuse a client that does not ask us to attest\n"
    "  --require-peer         clients must attest themselves; needs --verifier\n"
    "  --optional-peer        in place of --require-peer, and INSECURE unless somebody looks:\n"
    "                         clients are asked to attest themselves, and those that show no\n"
    "                         evidence at all pass as not attested; the log says so. Evidence\n"
    "                         that is shown must pass\n"
    "  --verifier URI         who appraises clients: local:STORE.db, veraison:URL; passport:FILE "
    "or\n"
    "                         passport:URL: they show the result of a verifier with these keys\n"
    "  --result-keys FILE     public keys of the verifier of results (JWK, JWK set or PEM); "
    "default:\n"
    "                         those that its https URL names\n"
    "  --result-max-age S     how old a result may be; default 86400, of veraison: 300\n"
    "  --fresh-result         passport: only a result that was made for this very connection\n"
    "  --verifier-timeout S   for one question to a verifier elsewhere; default 10\n"
    "  --policy FILE          jq program over the result; default: every submodule affirming\n"
    "  --identity HOW         pkix (default), same-key or attested; see atls connect --help\n"
    "  --ca FILE              anchors (PEM) for pkix, and of verifiers' https; default: those for\n"
    "                         tls in a local: store, else the system's\n"
    "  --crl FILE             revocation lists (PEM), beside those of a local: store whose\n"
    "                         anchors count\n"
    "  --echo                 send back what a client sent\n"
    "  --forward WHERE        connect each client, once it has passed, to HOST:PORT or unix:PATH;\n"
    "                         default: standard input and output, one client after the other\n"
    "  --once                 serve one connection and exit as it ended\n"
    "  --max-connections N    at once; default 256\n"
    "  --reattest-interval S  have clients attest again every S seconds\n"
    "  --raw                  no framing once a connection is open, and no re-attestation;\n"
    "                         the end of either side's input then ends both directions\n"
    "  --timeout S            for attestation and, after SIGTERM, for open connections; default "
    "30\n"
    "  --profile NAME,...     forms that the clients' evidence may come in: kat-bundle, "
    "kat-batch,\n"
    "                         bare, parsec, of pre also ra-tls; default the first two\n"
    "  --collateral-from [MAKER=]URL ...\n"
    "                         fetch what makers of confidential-computing hardware publish,\n"
    "                         and the store has not, from this service (atls-collateral(1))\n"
    "  --rule NAME=VALUE ... what evidence of confidential computing must keep to, or may:\n"
    "                         docs/tee-rules.md\n"
    "  --allow-ima-violations accept an IMA log with files that changed while they were measured\n"
    "  --insecure-soft        allow software evidence, which anyone can make, here and there\n"
    "  --json-log             log as JSON, one object a line\n"
    "  --help                 this text\n"
    "\n"
    "Signals: SIGUSR1 has every client attest again now; SIGTERM ends: no new connections, open\n"
    "ones may finish; a second SIGTERM ends them too.\n";

struct server {
    const struct cli *cli;
    struct parts parts;
    int listen_fd;
    bool forward, pipe;
    struct io_address forward_to;
    unsigned long max_connections;

    pthread_mutex_t mutex;   /* guards what follows */
    struct connection *open; /* list */
    size_t open_count;
    enum cli_status last_status; /* of the connection that ended last */
};

struct connection {
    struct connection *next;
    struct server *server;
    struct relay relay;
    int wake[2];
    char peer[128];
};

/* ---- log ---- */

/* About the server as a whole. */
static void ATLS_PRINTF(2, 3) log_notice(const struct cli *cli, const char *format, ...)
{
    char text[240];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (cli_flag(cli, "json-log"))
        (void)cli_print_json(cli, stderr, json_pack("{ss ss}", "event", "notice", "message", text));
    else
        cli_say(cli, "%s", text);
}

static void log_event(const struct connection *c, const char *event, json_t *detail)
{
    json_t *line = json_pack("{ss ss}", "event", event, "from", c->peer);

    if (line != NULL && detail != NULL)
        (void)json_object_update_missing(line, detail);
    json_decref(detail);
    (void)cli_print_json(c->server->cli, stderr, line);
}

static void log_attested(void *arg, struct relay *relay)
{
    const struct connection *c = arg;
    bool again = relay->attestations > 1;
    char line[512];

    if (cli_flag(c->server->cli, "json-log")) {
        log_event(c, again ? "attested-again" : "open", relay_peer_json(relay));
        return;
    }
    relay_peer_line(relay, line, sizeof(line));
    cli_say(c->server->cli, "%s: %s: %s", c->peer, again ? "attested again" : "open", line);
}

static void log_end(const struct connection *c, const struct atls_err *err)
{
    const struct cli *cli = c->server->cli;
    enum cli_status status = cli_status_of(err, true);
    const char *what = status == CLI_YES ? "closed" : status == CLI_REFUSED ? "refused" : "failed";

    if (cli_flag(cli, "json-log")) {
        log_event(c, what,
                  json_pack("{ss ss ss sI sI}", "code", atls_code_name(err->code), "reason",
                            atls_reason_name(err->reason), "message", err->message, "received",
                            (json_int_t)c->relay.received, "sent", (json_int_t)c->relay.sent));
        return;
    }
    if (status == CLI_YES)
        cli_say(cli, "%s: closed: %llu bytes received, %llu sent", c->peer,
                (unsigned long long)c->relay.received, (unsigned long long)c->relay.sent);
    else
        cli_say(cli, "%s: %s: %s [%s]", c->peer, what, err->message, atls_reason_name(err->reason));
}

/* ---- one connection ---- */

static enum atls_code connect_behind(void *arg, struct relay *relay, struct atls_err *err)
{
    const struct connection *c = arg;
    int fd;
    enum atls_code code = io_connect(&c->server->forward_to, FORWARD_TIMEOUT_MS, &fd, err);

    if (code == ATLS_OK)
        relay->from_app = relay->to_app = fd;
    return code;
}

static enum atls_code begin(struct connection *c, struct atls_err *err)
{
    struct server *server = c->server;
    struct relay *relay = &c->relay;

    if ((relay->ssl = SSL_new(server->parts.tls)) == NULL || SSL_set_fd(relay->ssl, relay->fd) != 1)
        return parts_tls_error(err, "TLS connection");
    SSL_set_accept_state(relay->ssl);
    return atls_openssl_new(relay->ssl, server->parts.config, NULL, &relay->conn, err);
}

/* Takes the connection off the list and frees it. */
static void finish(struct connection *c, enum cli_status status)
{
    struct server *server = c->server;
    int app = server->forward ? c->relay.to_app : -1;

    relay_clear(&c->relay);
    if (app >= 0)
        close(app);
    pthread_mutex_lock(&server->mutex);
    for (struct connection **at = &server->open; *at != NULL; at = &(*at)->next)
        if (*at == c) {
            *at = c->next;
            break;
        }
    server->open_count--;
    server->last_status = status;
    close(c->wake[0]);
    close(c->wake[1]);
    pthread_mutex_unlock(&server->mutex);
    free(c);
}

static void *serve_one(void *arg)
{
    struct connection *c = arg;
    struct atls_err err = ATLS_ERR_INIT;

    if (begin(c, &err) == ATLS_OK)
        (void)!relay_run(&c->relay, &err);
    log_end(c, &err);
    finish(c, cli_status_of(&err, true));
    return NULL;
}

static bool set_flags(int fd)
{
    return fcntl(fd, F_SETFL, O_NONBLOCK) == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

static void name_peer(int fd, char out[128])
{
    struct sockaddr_storage storage;
    socklen_t len = sizeof(storage);

    if (getpeername(fd, (struct sockaddr *)&storage, &len) == 0)
        io_name_address((struct sockaddr *)&storage, len, out);
    else
        strcpy(out, "?");
}

/* Starts a thread for a socket that was accepted; closes it when that fails. */
static void start(struct server *server, int fd)
{
    struct connection *c = calloc(1, sizeof(*c));
    pthread_attr_t detached;
    pthread_t thread;
    bool started = false;

    if (c == NULL || !set_flags(fd) || pipe(c->wake) != 0) {
        cli_say(server->cli, "connection dropped: %s", strerror(errno));
        free(c);
        close(fd);
        return;
    }
    if (!set_flags(c->wake[0]) || !set_flags(c->wake[1]))
        cli_say(server->cli, "pipe: %s", strerror(errno));
    c->server = server;
    name_peer(fd, c->peer);
    c->relay.fd = fd;
    c->relay.raw = cli_flag(server->cli, "raw");
    c->relay.plain = server->parts.flavour.flavour != ATLS_FLAVOUR_POST;
    c->relay.attests = server->parts.attester != NULL;
    c->relay.echo = cli_flag(server->cli, "echo");
    c->relay.from_app = server->pipe ? STDIN_FILENO : -1;
    c->relay.to_app = server->pipe ? STDOUT_FILENO : -1;
    c->relay.app_is_socket = server->forward;
    c->relay.wake_fd = c->wake[0];
    if (server->forward)
        c->relay.connect_app = connect_behind;
    c->relay.attested = log_attested;
    c->relay.arg = c;

    pthread_mutex_lock(&server->mutex);
    c->next = server->open;
    server->open = c;
    server->open_count++;
    pthread_mutex_unlock(&server->mutex);
    if (pthread_attr_init(&detached) == 0) {
        started = pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED) == 0 &&
                  pthread_create(&thread, &detached, serve_one, c) == 0;
        pthread_attr_destroy(&detached);
    }
    if (!started) {
        cli_say(server->cli, "%s: no thread for the connection", c->peer);
        finish(c, CLI_UNKNOWN);
    }
}

/* ---- all connections ---- */

/* Written by the signal handler, read by the accept loop. */
static int signal_pipe[2] = {-1, -1};

static void on_signal(int number)
{
    uint8_t byte = (uint8_t)number;
    int saved = errno;

    (void)!write(signal_pipe[1], &byte, 1);
    errno = saved;
}

static bool install_signals(void)
{
    static const int numbers[] = {SIGUSR1, SIGTERM, SIGINT};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    if (pipe(signal_pipe) != 0 || !set_flags(signal_pipe[0]) || !set_flags(signal_pipe[1]))
        return false;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (sigaction(numbers[i], &action, NULL) != 0)
            return false;
    return true;
}

/* Sets one flag of every open connection and wakes its thread. */
static void tell_all(struct server *server, bool stop)
{
    const uint8_t byte = 1;

    pthread_mutex_lock(&server->mutex);
    for (struct connection *c = server->open; c != NULL; c = c->next) {
        atomic_store(stop ? &c->relay.stop_now : &c->relay.reattest_now, true);
        (void)!write(c->wake[1], &byte, 1);
    }
    pthread_mutex_unlock(&server->mutex);
}

/* Without framing nothing can be asked for on a connection that is open. */
static void attest_again(struct server *server)
{
    enum atls_flavour flavour = server->parts.flavour.flavour;

    if (flavour == ATLS_FLAVOUR_POST)
        tell_all(server, false);
    else
        log_notice(server->cli, "SIGUSR1: in flavour %s a client attests once, when it connects",
                   atls_flavour_name(flavour));
}

static bool is_full(struct server *server)
{
    bool full;

    pthread_mutex_lock(&server->mutex);
    full = server->open_count >= server->max_connections;
    pthread_mutex_unlock(&server->mutex);
    return full;
}

/* Reads what the signal handler wrote; true when the server is to end. */
static bool take_signals(struct server *server)
{
    uint8_t numbers[16];
    ssize_t got = read(signal_pipe[0], numbers, sizeof(numbers));
    bool end = false;

    for (ssize_t i = 0; i < got; i++) {
        if (numbers[i] == SIGUSR1)
            attest_again(server);
        else
            end = true;
    }
    return end;
}

/* Accepts until a signal ends it, or for --once the first connection has come. */
static void accept_loop(struct server *server)
{
    for (;;) {
        struct pollfd fds[2] = {{.fd = is_full(server) ? -1 : server->listen_fd, .events = POLLIN},
                                {.fd = signal_pipe[0], .events = POLLIN}};
        /* A full server looks again soon: a connection that ends does not wake this thread. */
        int ready = poll(fds, 2, fds[0].fd < 0 ? 20 : -1), fd;

        if (ready < 0 && errno != EINTR) {
            cli_say(server->cli, "poll: %s", strerror(errno));
            return;
        }
        if (ready > 0 && fds[1].revents != 0 && take_signals(server))
            return;
        if (ready <= 0 || fds[0].revents == 0)
            continue;
        if ((fd = accept(server->listen_fd, NULL, NULL)) < 0) {
            if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
                cli_say(server->cli, "accept: %s", strerror(errno));
                poll(NULL, 0, 100); /* out of descriptors: let some connection end */
            }
            continue;
        }
        start(server, fd);
        if (cli_flag(server->cli, "once"))
            return;
    }
}

static bool none_open(struct server *server)
{
    bool none;

    pthread_mutex_lock(&server->mutex);
    none = server->open_count == 0;
    pthread_mutex_unlock(&server->mutex);
    return none;
}

/* Waits for open connections: for ever with --once, else until timeout or another signal. */
static void drain(struct server *server, unsigned long timeout_s)
{
    int64_t deadline = io_now_ms() + (int64_t)timeout_s * 1000;
    bool once = cli_flag(server->cli, "once"), told = false;

    while (!none_open(server)) {
        struct pollfd fds = {.fd = signal_pipe[0], .events = POLLIN};

        (void)poll(&fds, 1, 20);
        if (fds.revents != 0 && take_signals(server)) {
            if (told)
                return; /* asked a third time */
            told = true;
            tell_all(server, true);
        }
        if (!once && !told && io_now_ms() >= deadline) {
            told = true;
            deadline += 2000; /* for CLOSE to go out */
            tell_all(server, true);
        } else if (!once && told && io_now_ms() >= deadline + 2000) {
            return;
        }
    }
}

/* Insisting or not. */
static bool asks_clients(const struct cli *cli)
{
    return cli_flag(cli, "require-peer") || cli_flag(cli, "optional-peer");
}

static enum cli_status check_usage(const struct cli *cli, struct server *server)
{
    struct atls_err err = ATLS_ERR_INIT;

    if (!cli_need(cli, (const char *const[]){"listen", NULL}))
        return CLI_USAGE;
    if (cli_flag(cli, "optional-peer") && cli_flag(cli, "require-peer"))
        return cli_usage(cli, "--optional-peer and --require-peer exclude each other");
    if (cli_value(cli, "attester") == NULL && !asks_clients(cli))
        return cli_usage(cli, "want --attester, --require-peer (or --optional-peer) or both");
    if (cli_flag(cli, "echo") && cli_value(cli, "forward") != NULL)
        return cli_usage(cli, "--echo and --forward exclude each other");
    server->max_connections = CONNECTIONS_DEFAULT;
    if (!cli_number(cli, "max-connections", 1, CONNECTIONS_MAX, &server->max_connections))
        return CLI_USAGE;
    server->forward = cli_value(cli, "forward") != NULL;
    server->pipe = !server->forward && !cli_flag(cli, "echo");
    if (server->pipe)
        server->max_connections = 1;
    if (server->forward &&
        io_address(cli_value(cli, "forward"), &server->forward_to, &err) != ATLS_OK)
        return cli_fail(cli, &err);
    return CLI_YES;
}

static enum cli_status serve(struct server *server, unsigned long timeout_s)
{
    const struct cli *cli = server->cli;
    struct io_address address;
    struct atls_err err = ATLS_ERR_INIT;
    char where[128];

    if (io_address(cli_value(cli, "listen"), &address, &err) != ATLS_OK ||
        io_listen(&address, &server->listen_fd, where, &err) != ATLS_OK)
        return cli_fail(cli, &err);
    if (!install_signals()) {
        cli_say(cli, "signals: %s", strerror(errno));
        return CLI_UNKNOWN;
    }
    if (flavour_warning(&server->parts.flavour)[0] != '\0')
        log_notice(cli, "%s", flavour_warning(&server->parts.flavour));
    if (cli_flag(cli, "optional-peer"))
        log_notice(cli, "attestation of clients is optional: those that show none pass as not "
                        "attested");
    cli_say(cli, "listening on %s", where);
    accept_loop(server);
    close(server->listen_fd);
    if (address.path[0] != '\0')
        unlink(address.path);
    drain(server, timeout_s);
    return cli_flag(cli, "once") ? server->last_status : CLI_YES;
}

static enum cli_status run(struct cli *cli)
{
    struct server server = {.cli = cli, .mutex = PTHREAD_MUTEX_INITIALIZER};
    unsigned long timeout_s = 30;
    enum cli_status status = check_usage(cli, &server);

    if (status != CLI_YES)
        return status;
    if ((status = parts_open(cli, ATLS_ROLE_SERVER, asks_clients(cli), &server.parts)) != CLI_YES)
        return status;
    (void)cli_number(cli, "timeout", 1, 3600, &timeout_s); /* parts_open has checked it */
    status = serve(&server, timeout_s);
    if (!none_open(&server)) {
        /* Threads that outlived their time still use what returning would take away. */
        fflush(NULL);
        _exit((int)status);
    }
    parts_clear(&server.parts);
    return status;
}

const struct command command_serve = {
    "serve", "attested server: echo, forward or pipe", usage, 0, run, flavour_options};
