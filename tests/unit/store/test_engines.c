/* What goes wrong with databases: locks, full disks, crashes, lost connections, servers that say
 * nothing, and several processes at once. Nothing acknowledged is lost, nothing stays in part. */
#define _XOPEN_SOURCE 700

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "material.h"

#include "store/postgres_link.h"

static struct atls_store *open_impatient(const struct place *p, uint32_t ms, uint32_t connections)
{
    struct atls_store_options options;
    struct atls_store *s;
    struct atls_err err = ATLS_ERR_INIT;

    place_options(p, 0, ATLS_STORE_WRITE, &options);
    options.busy_timeout_ms = ms;
    options.connections = connections;
    test_assert_code(atls_store_open_with(p->path, &options, &s, &err), ATLS_OK, &err);
    return s;
}

/* ---- what every engine does ---- */

static void somebody_has_the_only_connection(void **state)
{
    struct place *p = *state;
    struct atls_store *s = open_impatient(p, 20, 1);
    struct store_connection *taken;
    struct atls_reference_set *set = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(store_borrow(s, &taken, &err), ATLS_OK, &err);
    test_assert_code(atls_store_references(s, class_item(), NOW, &set, &err), ATLS_E_UNAVAILABLE,
                     &err);
    assert_non_null(strstr(err.message, "1 connections in use"));
    test_assert_code(atls_store_remove(s, "manifest:m", &err), ATLS_E_UNAVAILABLE, &err);
    store_give_back(taken);
    assert_null(set);
    assert_int_equal(count_references(s, NOW), 0);
    atls_store_close(s);
}

static void options_that_are_refused(void **state)
{
    struct place *p = *state;
    struct atls_store_options options;
    struct atls_store *s = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    place_options(p, 0, ATLS_STORE_WRITE, &options);
    options.size = 0;
    test_assert_code(atls_store_open_with(p->path, &options, &s, &err), ATLS_E_USAGE, &err);
    place_options(p, 0, ATLS_STORE_WRITE, &options);
    options.busy_timeout_ms = 600001;
    test_assert_code(atls_store_open_with(p->path, &options, &s, &err), ATLS_E_USAGE, &err);
    place_options(p, 0, ATLS_STORE_WRITE, &options);
    options.connections = 1025;
    test_assert_code(atls_store_open_with(p->path, &options, &s, &err), ATLS_E_USAGE, &err);
    place_options(p, 0, (enum atls_store_mode)4, &options);
    test_assert_code(atls_store_open_with(p->path, &options, &s, &err), ATLS_E_USAGE, &err);
    test_assert_code(atls_store_ping(p->store, &err), ATLS_OK, &err);
    assert_null(s);
}

static uint64_t generation(struct atls_store *s)
{
    struct atls_err err = ATLS_ERR_INIT;
    uint64_t out = 0;

    test_assert_code(atls_store_generation(s, &out, &err), ATLS_OK, &err);
    return out;
}

static void a_change_by_anybody_is_a_new_generation(void **state)
{
    static const uint8_t nonce[8];
    struct place *p = *state;
    struct atls_err err = ATLS_ERR_INIT;
    char id[ATLS_SESSION_ID_TEXT];
    struct atls_store *other;
    uint64_t first, second;

    test_assert_code(place_open(p, ATLS_STORE_READ, &other, &err), ATLS_OK, &err);
    first = generation(other);
    assert_int_equal(generation(other), first);
    import_ok(p->store, make("m", PCR0));
    second = generation(other);
    assert_true(second > first);
    assert_int_equal(generation(other), second);
    /* Sessions are no content, what is refused changes nothing, and a removal counts, too. */
    test_assert_code(
        atls_store_session_open(p->store, atls_bytes_of(nonce, 8), NOW, NOW + 9, id, &err), ATLS_OK,
        &err);
    test_assert_code(atls_store_remove(p->store, "manifest:none", &err), ATLS_E_NOT_FOUND, &err);
    assert_int_equal(generation(other), second);
    test_assert_code(atls_store_remove(p->store, "manifest:m", &err), ATLS_OK, &err);
    assert_true(generation(other) > second);
    /* Who looks something up in between takes nothing away from who asks for the number. */
    second = generation(other);
    import_ok(p->store, make("m", PCR0));
    assert_int_equal(count_references(other, NOW), 1);
    assert_true(generation(other) > second);
    atls_store_close(other);
}

/* A process imports until it is killed, and says after each import that it is done. */
static void import_and_tell(const struct place *p, int pipe_end, int round)
{
    struct atls_store *s;

    if (place_open(p, ATLS_STORE_WRITE, &s, NULL) != ATLS_OK)
        _exit(1);
    for (uint8_t i = 0; i < 255; i++) {
        struct atls_buf key = new_key(NULL), corim;
        struct atls_store_import_report report;
        char id[32];

        snprintf(id, sizeof id, "m-%d-%u", round, i);
        corim = make_with_key(id, i, atls_buf_bytes(&key), ", " PCR0);
        if (import(s, &corim, &report, NULL) != ATLS_OK || write(pipe_end, &i, 1) != 1)
            _exit(1);
    }
    _exit(0);
}

struct counts {
    size_t keys, references;
};

static enum atls_code count(void *arg, const struct atls_store_entry *entry, struct atls_err *err)
{
    struct counts *counts = arg;

    (void)err;
    counts->keys += strcmp(entry->kind, "attest-key") == 0;
    counts->references += strcmp(entry->kind, "reference") == 0;
    return ATLS_OK;
}

static void a_killed_process_loses_nothing_it_was_told(void **state)
{
    struct place *p = *state;
    struct counts counts;
    char what[32];
    uint8_t last;

    for (int round = 0; round < 3; round++) {
        int ends[2], status;
        pid_t child;

        assert_int_equal(pipe(ends), 0);
        if ((child = fork()) == 0)
            import_and_tell(p, ends[1], round);
        assert_true(child > 0);
        close(ends[1]);
        do
            assert_int_equal(read(ends[0], &last, 1), 1);
        while (last < 4 + 5 * round);
        kill(child, SIGKILL);
        /* What it said in between counts, too. */
        while (read(ends[0], what, 1) == 1)
            last = (uint8_t)what[0];
        close(ends[0]);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));

        counts = (struct counts){0, 0};
        test_assert_code(atls_store_list(p->store, count, &counts, NULL), ATLS_OK, NULL);
        assert_int_equal(counts.keys, counts.references);
        assert_true(counts.keys >= last + 1u);
        for (unsigned int i = 0; i < counts.keys; i++) {
            snprintf(what, sizeof what, "manifest:m-%d-%u", round, i);
            test_assert_code(atls_store_remove(p->store, what, NULL), ATLS_OK, NULL);
        }
    }
}

/* Two processes at once: each imports manifests of its own, one that is the same for both, and one
 * that contradicts the other's. */
static void compete(const struct place *p, int who, struct atls_bytes same,
                    const struct atls_buf *contradictions)
{
    struct atls_store_import_report report;
    struct atls_store *s;
    bool won;

    if (place_open(p, ATLS_STORE_WRITE, &s, NULL) != ATLS_OK)
        _exit(90);
    for (int i = 0; i < 10; i++) {
        struct atls_buf own;
        char id[32];
        enum atls_code code;

        snprintf(id, sizeof id, "own-%d-%d", who, i);
        own = make(id, PCR0);
        if (import(s, &own, &report, NULL) != ATLS_OK ||
            atls_store_import_corim(s, same, atls_bytes_of(NULL, 0), NOW, &report, NULL) != ATLS_OK)
            _exit(91);
        code = import(s, &contradictions[i], &report, NULL);
        if (code != ATLS_OK && code != ATLS_E_CONFIG)
            _exit(92);
        won = code == ATLS_OK;
        if (write(100 + who, &won, 1) != 1)
            _exit(93);
    }
    _exit(0);
}

static void two_processes_import_at_once(void **state)
{
    struct place *p = *state;
    struct atls_buf same = make("same", PCR0), contradictions[2][10];
    struct counts counts = {0, 0};
    int ends[2][2], status;
    pid_t children[2];
    bool won[2];

    for (int who = 0; who < 2; who++)
        for (unsigned int i = 0; i < 10; i++) {
            struct atls_buf key = new_key(NULL);
            char id[32];

            snprintf(id, sizeof id, "contradiction-%d-%u", who, i);
            contradictions[who][i] = make_with_key(id, i, atls_buf_bytes(&key), "");
            atls_buf_clear(&key);
        }
    for (int who = 0; who < 2; who++) {
        assert_int_equal(pipe(ends[who]), 0);
        if ((children[who] = fork()) == 0) {
            dup2(ends[who][1], 100 + who);
            compete(p, who, atls_buf_bytes(&same), contradictions[who]);
        }
    }
    for (int who = 0; who < 2; who++) {
        assert_int_equal(waitpid(children[who], &status, 0), children[who]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    for (int i = 0; i < 10; i++) {
        for (int who = 0; who < 2; who++)
            assert_int_equal(read(ends[who][0], &won[who], 1), 1);
        assert_int_equal(won[0] + won[1], 1);
    }
    test_assert_code(atls_store_list(p->store, count, &counts, NULL), ATLS_OK, NULL);
    assert_int_equal(counts.references, 21);
    assert_int_equal(counts.keys, 10);
    for (int who = 0; who < 2; who++) {
        close(ends[who][0]);
        close(ends[who][1]);
        for (int i = 0; i < 10; i++)
            atls_buf_clear(&contradictions[who][i]);
    }
    atls_buf_clear(&same);
}

/* ---- files ---- */

static void set_pages(struct atls_store *s, const char *pragma)
{
    struct store_connection *c;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(store_borrow(s, &c, &err), ATLS_OK, &err);
    test_assert_code(store_sqlite.run_text(c, pragma, "test", &err), ATLS_OK, &err);
    store_give_back(c);
}

static void a_full_disk(void **state)
{
    struct place *p = *state;
    struct atls_buf key = new_key(NULL), corim = ATLS_BUF_INIT;
    struct atls_store_import_report report;
    struct counts counts = {0, 0};
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code = ATLS_OK;
    unsigned int done = 0;
    char id[32];

    set_pages(p->store, "PRAGMA max_page_count = 1"); /* no more than there are */
    while (code == ATLS_OK && done < 200) {
        atls_buf_clear(&corim);
        snprintf(id, sizeof id, "m-%u", done);
        corim = make_with_key(id, done, atls_buf_bytes(&key), ", " PCR0);
        if ((code = import(p->store, &corim, &report, &err)) == ATLS_OK)
            done++;
    }
    test_assert_code(code, ATLS_E_UNAVAILABLE, &err);
    assert_non_null(strstr(err.message, "no room left"));
    test_assert_code(atls_store_list(p->store, count, &counts, NULL), ATLS_OK, NULL);
    assert_int_equal(counts.references, done);
    assert_int_equal(counts.keys, done);
    set_pages(p->store, "PRAGMA max_page_count = 100000");
    test_assert_code(import(p->store, &corim, &report, &err), ATLS_OK, &err);
    assert_int_equal(count_references(p->store, NOW), done + 1);
    atls_buf_clear(&corim);
    atls_buf_clear(&key);
}

static void a_file_has_no_schema(void **state)
{
    struct place *p = *state;
    struct atls_store_options options;
    struct atls_store *s = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    atls_store_options_init(&options);
    options.mode = ATLS_STORE_READ;
    options.schema = "atls";
    test_assert_code(atls_store_open_with(p->path, &options, &s, &err), ATLS_E_CONFIG, &err);
}

/* ---- a server ---- */

/* Until the server has come back, as a caller would try again; a minute at most. */
static void wait_until_available(struct atls_store *s)
{
    const struct timespec pause = {0, 20000000};
    struct atls_err err = ATLS_ERR_INIT;

    for (int i = 0; i < 3000; i++) {
        enum atls_code code = atls_store_ping(s, &err);

        if (code == ATLS_OK)
            return;
        test_assert_code(code, ATLS_E_UNAVAILABLE, &err);
        nanosleep(&pause, NULL);
    }
    fail_msg("%s", err.message);
}

static void the_server_goes_away_and_comes_back(void **state)
{
    static const int signals[] = {SIGKILL, SIGINT};
    struct place *p = *state;
    struct atls_buf other = make("other", PCR0);
    struct atls_store_session session;
    struct atls_store_import_report report;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_store *none = NULL;
    char id[ATLS_SESSION_ID_TEXT];

    import_ok(p->store, make("m", PCR0));
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        static const uint8_t nonce[8];

        test_assert_code(
            atls_store_session_open(p->store, atls_bytes_of(nonce, 8), NOW, NOW + 9, id, &err),
            ATLS_OK, &err);
        assert_int_equal(count_references(p->store, NOW), 1);
        test_postgres_end(server, signals[i]);
        test_assert_code(atls_store_ping(p->store, &err), ATLS_E_UNAVAILABLE, &err);
        test_assert_code(import(p->store, &other, &report, &err), ATLS_E_UNAVAILABLE, &err);
        test_assert_code(atls_store_session_get(p->store, id, NOW, &session, &err),
                         ATLS_E_UNAVAILABLE, &err);
        test_assert_code(place_open(p, ATLS_STORE_READ, &none, &err), ATLS_E_UNAVAILABLE, &err);
        test_assert_code(place_open_other(p, ATLS_STORE_CREATE, &none, &err), ATLS_E_UNAVAILABLE,
                         &err);
        /* Who asks at once again is told at once. */
        test_assert_code(atls_store_ping(p->store, &err), ATLS_E_UNAVAILABLE, &err);
        assert_int_equal(atls_store_references(p->store, class_item(), NOW,
                                               &(struct atls_reference_set *){NULL}, &err),
                         ATLS_E_UNAVAILABLE);
        test_postgres_run(server);
        wait_until_available(p->store);
        assert_int_equal(count_references(p->store, NOW), 1);
        /* A crash may forget sessions, which are short; it must not forget to take new ones. */
        test_assert_code(atls_store_session_get(p->store, id, NOW, &session, &err),
                         signals[i] == SIGKILL ? ATLS_E_NOT_FOUND : ATLS_OK, &err);
    }
    test_assert_code(import(p->store, &other, &report, &err), ATLS_OK, &err);
    assert_int_equal(count_references(p->store, NOW), 2);
    atls_buf_clear(&other);
}

static void the_server_dies_in_the_middle_of_an_import(void **state)
{
    struct place *p = *state;
    struct atls_buf corim = make("half", PCR0);
    const struct store_manifest_import half = {.corim = atls_buf_bytes(&corim)};
    struct atls_store_import_report report;
    struct store_connection *c;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(store_begin(p->store, STORE_ACCESS_WRITE, &c, &err), ATLS_OK, &err);
    test_assert_code(store_put_manifest(c, &half, &report, &err), ATLS_OK, &err);
    test_postgres_end(server, SIGKILL);
    test_assert_code(store_finish(c, STORE_ACCESS_WRITE, ATLS_OK, &err), ATLS_E_UNAVAILABLE, &err);
    assert_non_null(strstr(err.message, "not known whether this took effect"));
    test_postgres_run(server);
    wait_until_available(p->store);
    assert_int_equal(count_references(p->store, NOW), 0);
    test_assert_code(atls_store_remove(p->store, "manifest:half", &err), ATLS_E_NOT_FOUND, &err);
    atls_buf_clear(&corim);
}

static void lost_connections_are_replaced(void **state)
{
    struct place *p = *state;
    struct atls_err err = ATLS_ERR_INIT;

    import_ok(p->store, make("m", PCR0));
    assert_int_equal(count_references(p->store, NOW), 1);
    /* Waits until they have ended. */
    sql_on_server(p->schema[0], "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
                                " WHERE application_name = 'atls' AND pid <> pg_backend_pid()");
    import_ok(p->store, make("n", PCR0));
    assert_int_equal(count_references(p->store, NOW), 2);
    test_assert_code(atls_store_ping(p->store, &err), ATLS_OK, &err);
}

/* A backend that says nothing any more is given up; the next request gets another. */
static void a_server_that_does_not_answer(void **state)
{
    struct place *p = *state;
    struct atls_store *s = open_impatient(p, 20, 1);
    struct store_connection *c;
    struct atls_reference_set *set = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    int pid;

    test_assert_code(store_borrow(s, &c, &err), ATLS_OK, &err);
    pid = PQbackendPID(((struct store_link *)c)->pg);
    store_give_back(c);
    assert_int_equal(kill(pid, SIGSTOP), 0);
    test_assert_code(atls_store_references(s, class_item(), NOW, &set, &err), ATLS_E_UNAVAILABLE,
                     &err);
    assert_non_null(strstr(err.message, "did not answer in time"));
    assert_int_equal(kill(pid, SIGCONT), 0);
    assert_int_equal(count_references(s, NOW), 0);
    assert_null(set);
    atls_store_close(s);
}

/* Something listens, and that is all. */
static void a_server_that_never_speaks(void **state)
{
    struct place *p = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct atls_store_options options;
    struct atls_store *s = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    char uri[128];
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s/.s.PGSQL.5432", p->directory);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 8), 0);
    place_options(p, 0, ATLS_STORE_READ, &options);
    options.busy_timeout_ms = 1;
    snprintf(uri, sizeof uri, "postgresql:///x?host=%s", p->directory);
    test_assert_code(atls_store_open_with(uri, &options, &s, &err), ATLS_E_UNAVAILABLE, &err);
    assert_non_null(strstr(err.message, "did not answer in time"));
    close(fd);
    unlink(address.sun_path);
}

/* Somebody on the network in place of the server, without TLS. */
struct impostor {
    int fd;
    uint32_t asked, then; /* code of the first request, and of what came after the answer "N" */
};

static uint32_t read_code(int fd)
{
    uint8_t request[8] = {0};

    if (recv(fd, request, sizeof request, MSG_WAITALL) != (ssize_t)sizeof request)
        return 0;
    return (uint32_t)request[4] << 24 | (uint32_t)request[5] << 16 | (uint32_t)request[6] << 8 |
           request[7];
}

static void *pretend(void *arg)
{
    struct impostor *i = arg;
    int fd = accept(i->fd, NULL, NULL);

    i->asked = read_code(fd);
    if (write(fd, "N", 1) == 1)
        i->then = read_code(fd);
    close(fd);
    return NULL;
}

static void a_server_over_the_network_must_prove_its_name(void **state)
{
    static const struct {
        const char *parameters;
        uint32_t asked;
        const char *says;
    } rows[] = {
        {"", 80877103, "SSL"},              /* SSLRequest, and nothing more */
        {"?sslmode=disable", 196608, NULL}, /* protocol 3.0, in the clear: as was asked for */
    };

    (void)state;
    unsetenv("PGSSLMODE");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        struct impostor impostor = {socket(AF_INET, SOCK_STREAM, 0), 0, 0};
        struct atls_store_options options;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_store *s = NULL;
        socklen_t len = sizeof address;
        pthread_t thread;
        char uri[128];

        assert_int_equal(bind(impostor.fd, (struct sockaddr *)&address, sizeof address), 0);
        assert_int_equal(listen(impostor.fd, 1), 0);
        assert_int_equal(getsockname(impostor.fd, (struct sockaddr *)&address, &len), 0);
        assert_int_equal(pthread_create(&thread, NULL, pretend, &impostor), 0);
        snprintf(uri, sizeof uri, "postgresql://me:secret@127.0.0.1:%u/x%s",
                 (unsigned)ntohs(address.sin_port), rows[i].parameters);
        atls_store_options_init(&options);
        options.mode = ATLS_STORE_READ;
        test_assert_code(atls_store_open_with(uri, &options, &s, &err), ATLS_E_UNAVAILABLE, &err);
        assert_int_equal(pthread_join(thread, NULL), 0);
        close(impostor.fd);
        assert_int_equal(impostor.asked, rows[i].asked);
        if (rows[i].says != NULL) {
            assert_int_equal(impostor.then, 0);
            assert_non_null(strstr(err.message, rows[i].says));
        }
        assert_null(strstr(err.message, "secret"));
    }
}

/* Changes of one replica arrive at the other without its asking. */
static void notices_arrive(void **state)
{
    struct place *p = *state;
    struct atls_store *other;
    struct atls_err err = ATLS_ERR_INIT;
    time_t began = time(NULL);

    test_assert_code(place_open(p, ATLS_STORE_READ, &other, &err), ATLS_OK, &err);
    assert_int_equal(count_references(other, NOW), 0);
    import_ok(p->store, make("m", PCR0));
    while (count_references(other, NOW) != 1)
        assert_true(time(NULL) < began + 60);
    test_assert_code(atls_store_remove(p->store, "manifest:m", &err), ATLS_OK, &err);
    while (count_references(other, NOW) != 0)
        assert_true(time(NULL) < began + 60);
    atls_store_close(other);
}

/* When the connections for requests were last used, as the server knows it. */
static void last_use(char out[64])
{
    PGconn *db = PQconnectdb(test_postgres_uri(server));
    PGresult *r = PQexec(db, "SELECT max(query_start)::text FROM pg_stat_activity"
                             " WHERE application_name = 'atls' AND query NOT LIKE 'LISTEN%'"
                             " AND query NOT LIKE '%change FROM store_state%'");

    assert_int_equal(PQntuples(r), 1);
    snprintf(out, 64, "%s", PQgetvalue(r, 0, 0));
    PQclear(r);
    PQfinish(db);
}

static void hot_look_ups_ask_nothing(void **state)
{
    struct place *p = *state;
    struct atls_buf key = new_key(NULL);
    struct atls_err err = ATLS_ERR_INIT;
    char before[64], after[64];

    import_ok(p->store, make_with_key("m", 1, atls_buf_bytes(&key), ", " PCR0));
    test_assert_code(atls_store_ping(p->store, &err), ATLS_OK, &err); /* hears of its own import */
    for (int i = 0; i < 1001; i++) {
        struct atls_endorsement_set *set;
        struct atls_anchors *anchors;

        assert_int_equal(count_references(p->store, NOW), 1);
        test_assert_code(look_up(p->store, NOW, 1, &key, &err), ATLS_OK, &err);
        test_assert_code(atls_store_endorsements(p->store, class_item(), NOW, &set, &err), ATLS_OK,
                         &err);
        atls_endorsement_set_unref(set);
        test_assert_code(atls_store_anchors(p->store, ATLS_ANCHOR_AK, &anchors, &err), ATLS_OK,
                         &err);
        assert_null(anchors);
        if (i == 0)
            last_use(before);
    }
    last_use(after);
    assert_string_equal(before, after);
    assert_true(strlen(before) > 10);
    atls_buf_clear(&key);
}

static void schemas_and_uris(void **state)
{
    static const struct {
        const char *name, *schema, *uri;
        enum atls_store_mode mode;
        enum atls_code want;
        const char *says;
    } rows[] = {
        {"upper case", "Atls", NULL, ATLS_STORE_CREATE, ATLS_E_CONFIG, "[a-z_]"},
        {"quotes", "a\"b", NULL, ATLS_STORE_CREATE, ATLS_E_CONFIG, "[a-z_]"},
        {"digit first", "1a", NULL, ATLS_STORE_CREATE, ATLS_E_CONFIG, "[a-z_]"},
        {"empty", "", NULL, ATLS_STORE_CREATE, ATLS_E_CONFIG, "[a-z_]"},
        {"of the system", "pg_x", NULL, ATLS_STORE_CREATE, ATLS_E_CONFIG, "pg_"},
        {"64 bytes", "a234567890123456789012345678901234567890123456789012345678901234", NULL,
         ATLS_STORE_CREATE, ATLS_E_CONFIG, "more than 63 bytes"},
        {"63 bytes", "a23456789012345678901234567890123456789012345678901234567890123", NULL,
         ATLS_STORE_CREATE, ATLS_OK, NULL},
        {"the same again", "a23456789012345678901234567890123456789012345678901234567890123", NULL,
         ATLS_STORE_CREATE, ATLS_E_CONFIG, "exists already"},
        {"the same, read", "a23456789012345678901234567890123456789012345678901234567890123", NULL,
         ATLS_STORE_READ, ATLS_OK, NULL},
        {"somebody else's", "information_schema", NULL, ATLS_STORE_CREATE, ATLS_E_CONFIG,
         "exists already"},
        {"somebody else's, read", "information_schema", NULL, ATLS_STORE_READ, ATLS_E_CONFIG,
         "there is none in schema"},
        {"none", "nobody_made_it", NULL, ATLS_STORE_WRITE, ATLS_E_CONFIG,
         "there is none in schema"},
        {"unknown parameter", "x", "postgresql://me:secret@/x?nosuch=1", ATLS_STORE_READ,
         ATLS_E_CONFIG, "malformed"},
        {"bad port", "x", "postgres://me:secret@host:port/x", ATLS_STORE_READ, ATLS_E_UNAVAILABLE,
         "invalid integer"},
        {"nobody there", "x", "postgresql:///x?host=/nonexistent", ATLS_STORE_READ,
         ATLS_E_UNAVAILABLE, "connecting"},
        {"no such database", "x", "/nosuch", ATLS_STORE_READ, ATLS_E_UNAVAILABLE, "does not exist"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *uri = rows[i].uri != NULL ? rows[i].uri : test_postgres_uri(server);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_store_options options;
        struct atls_store *s = NULL;
        enum atls_code code;
        char other[200];

        if (uri[0] == '/') {
            snprintf(other, sizeof other, "postgresql://atls@%s?%s", uri,
                     strchr(test_postgres_uri(server), '?') + 1);
            uri = other;
        }
        atls_store_options_init(&options);
        options.mode = rows[i].mode;
        options.schema = rows[i].schema;
        code = atls_store_open_with(uri, &options, &s, &err);
        if (code != rows[i].want ||
            (rows[i].says != NULL && strstr(err.message, rows[i].says) == NULL) ||
            strstr(err.message, "secret") != NULL)
            fail_msg("%s: code %d: %s", rows[i].name, code, err.message);
        atls_store_close(s);
    }
}

static void versions(void **state)
{
    static const struct {
        const char *sql, *says;
    } rows[] = {
        {"UPDATE store_state SET version = 99", "version 99 is newer"},
        {"UPDATE store_state SET version = 3", "is not a store"},
        {"DELETE FROM store_state", "is not a store"},
        {"ALTER TABLE store_state RENAME COLUMN version TO v", "does not exist"},
    };
    struct place *p = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_store *s = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        sql_on_server(p->schema[0], rows[i].sql);
        test_assert_code(place_open(p, ATLS_STORE_WRITE, &s, &err), ATLS_E_CONFIG, &err);
        if (strstr(err.message, rows[i].says) == NULL)
            fail_msg("%s: %s", rows[i].sql, err.message);
    }
}

static void a_schema_that_was_made_for_us(void **state)
{
    struct place *p = *state;
    struct atls_store *s;
    struct atls_err err = ATLS_ERR_INIT;
    char sql[64];

    snprintf(sql, sizeof sql, "CREATE SCHEMA %s", p->schema[1]);
    sql_on_server("public", sql);
    test_assert_code(place_open_other(p, ATLS_STORE_CREATE, &s, &err), ATLS_OK, &err);
    import_ok(s, make("m", PCR0));
    assert_int_equal(count_references(p->store, NOW), 0);
    assert_int_equal(count_references(s, NOW), 1);
    atls_store_close(s);
}

struct creator {
    const struct place *place;
    enum atls_code code;
};

static void *create(void *arg)
{
    struct creator *c = arg;
    struct atls_store *s = NULL;

    c->code = place_open_other(c->place, ATLS_STORE_CREATE, &s, NULL);
    atls_store_close(s);
    return NULL;
}

static void one_of_many_creates(void **state)
{
    struct place *p = *state;
    struct creator creators[4];
    pthread_t threads[4];
    int created = 0;

    for (int i = 0; i < 4; i++) {
        creators[i] = (struct creator){p, ATLS_OK};
        assert_int_equal(pthread_create(&threads[i], NULL, create, &creators[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(creators[i].code == ATLS_OK || creators[i].code == ATLS_E_CONFIG);
        created += creators[i].code == ATLS_OK;
    }
    assert_int_equal(created, 1);
}

/* Whatever is in one engine can go to the other, and back. */
static void content_moves_between_engines(void **state)
{
    struct place *p = *state;
    struct atls_buf key = new_key(NULL), certificate = new_certificate("Root, \xc3\xa9", true);
    struct atls_buf file = ATLS_BUF_INIT, there = ATLS_BUF_INIT, back = ATLS_BUF_INIT;
    struct atls_store *a, *b;
    struct atls_err err = ATLS_ERR_INIT;
    char path[2][128], kid[ATLS_KID_TEXT];

    for (int i = 0; i < 2; i++)
        snprintf(path[i], sizeof path[i], "%s/%s.db", p->directory, i == 0 ? "store" : "other");
    test_assert_code(atls_store_open(path[0], ATLS_STORE_CREATE, &a, &err), ATLS_OK, &err);
    test_assert_code(atls_store_open(path[1], ATLS_STORE_CREATE, &b, &err), ATLS_OK, &err);
    import_ok(a, make_with_key("m", 9, atls_buf_bytes(&key), ", \"vendor\": \"\xc3\xa9\", " PCR0));
    import_ok(a, make("n", PCR0));
    test_assert_code(atls_store_import_anchors(a, ATLS_ANCHOR_EK, atls_buf_bytes(&certificate),
                                               NULL, NULL, &err),
                     ATLS_OK, &err);
    test_assert_code(atls_store_new_signing_key(a, ATLS_KEY_P384, 5, kid, &err), ATLS_OK, &err);
    test_assert_code(atls_store_export_json_with_keys(a, &file, &err), ATLS_OK, &err);
    test_assert_code(atls_store_import_json(p->store, atls_buf_bytes(&file), &err), ATLS_OK, &err);
    test_assert_code(atls_store_export_json_with_keys(p->store, &there, &err), ATLS_OK, &err);
    test_assert_bytes(atls_buf_bytes(&there), atls_buf_bytes(&file));
    test_assert_code(atls_store_import_json(b, atls_buf_bytes(&there), &err), ATLS_OK, &err);
    test_assert_code(atls_store_export_json_with_keys(b, &back, &err), ATLS_OK, &err);
    test_assert_bytes(atls_buf_bytes(&back), atls_buf_bytes(&file));
    atls_store_close(a);
    atls_store_close(b);
    atls_buf_clear(&key);
    atls_buf_clear(&certificate);
    atls_buf_clear(&file);
    atls_buf_clear(&there);
    atls_buf_clear(&back);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, place_set_up, place_tear_down)
#define ON_BOTH                                                                                    \
    WITH_STORE(somebody_has_the_only_connection), WITH_STORE(options_that_are_refused),            \
        WITH_STORE(a_killed_process_loses_nothing_it_was_told),                                    \
        WITH_STORE(two_processes_import_at_once),                                                  \
        WITH_STORE(a_change_by_anybody_is_a_new_generation)

int main(void)
{
    const struct CMUnitTest files[] = {ON_BOTH, WITH_STORE(a_full_disk),
                                       WITH_STORE(a_file_has_no_schema)};
    const struct CMUnitTest servers[] = {
        ON_BOTH,
        WITH_STORE(the_server_goes_away_and_comes_back),
        WITH_STORE(the_server_dies_in_the_middle_of_an_import),
        WITH_STORE(lost_connections_are_replaced),
        WITH_STORE(a_server_that_does_not_answer),
        WITH_STORE(a_server_that_never_speaks),
        WITH_STORE(a_server_over_the_network_must_prove_its_name),
        WITH_STORE(notices_arrive),
        WITH_STORE(hot_look_ups_ask_nothing),
        WITH_STORE(schemas_and_uris),
        WITH_STORE(versions),
        WITH_STORE(a_schema_that_was_made_for_us),
        WITH_STORE(one_of_many_creates),
        WITH_STORE(content_moves_between_engines),
    };

    return PLACE_RUN_BOTH("engines", files, servers);
}
