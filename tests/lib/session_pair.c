#include "session_pair.h"

#include <stdlib.h>
#include <string.h>

#include "testlib.h"

static void start_end(struct pair_end *end)
{
    end->code = atls_session_new(end->config, &end->tls, end->peer_name, &end->session, &end->err);
}

void pair_start(struct pair *p)
{
    pair_configure(p);
    start_end(&p->client);
    start_end(&p->server);
}

void pair_clear(struct pair *p)
{
    atls_session_free(p->client.session);
    atls_session_free(p->server.session);
    atls_config_unref(p->client.config);
    atls_config_unref(p->server.config);
}

enum atls_code pair_inject(struct pair *p, struct pair_end *to, struct atls_bytes bytes)
{
    enum atls_code code = ATLS_OK;

    while (bytes.len != 0 && code == ATLS_OK) {
        size_t len = p->piece == 0 || p->piece > bytes.len ? bytes.len : p->piece, consumed = 0;
        /* A copy of this very length: the address sanitizer sees a read past it. */
        uint8_t *exact = malloc(len);

        assert_non_null(exact);
        memcpy(exact, bytes.ptr, len);
        code = atls_session_input(to->session, atls_bytes_of(exact, len), &consumed, &to->err);
        if (code == ATLS_OK) {
            atls_session_read_done(to->session, atls_session_read(to->session).len);
            bytes = atls_bytes_of(bytes.ptr + consumed, bytes.len - consumed);
        }
        free(exact);
    }
    return code;
}

void pair_deliver(struct pair *p, struct pair_end *from, struct pair_end *to)
{
    struct atls_bytes out = atls_session_output(from->session);
    struct atls_buf copy = ATLS_BUF_INIT;

    if (out.len == 0)
        return;
    copy.ptr = malloc(out.len);
    assert_non_null(copy.ptr);
    memcpy(copy.ptr, out.ptr, out.len);
    copy.len = out.len;
    atls_session_output_done(from->session, out.len);
    p->flights++;
    if (atls_session_next(to->session) != ATLS_NEXT_CLOSED) {
        enum atls_code ignored = pair_inject(p, to, atls_buf_bytes(&copy));

        (void)ignored; /* the session remembers */
    }
    atls_buf_clear(&copy);
}

void pair_work(struct pair_end *end)
{
    struct atls_job *job;

    while ((job = atls_session_job(end->session)) != NULL) {
        enum atls_code ignored;

        atls_job_run(job);
        ignored = atls_session_complete(end->session, job, &end->err);
        (void)ignored; /* the session remembers */
    }
}

void pair_run(struct pair *p)
{
    while (atls_session_output(p->client.session).len != 0 ||
           atls_session_output(p->server.session).len != 0 ||
           (!p->hold_jobs && (atls_session_next(p->client.session) == ATLS_NEXT_JOB ||
                              atls_session_next(p->server.session) == ATLS_NEXT_JOB))) {
        pair_deliver(p, &p->client, &p->server);
        if (!p->hold_jobs)
            pair_work(&p->server);
        pair_deliver(p, &p->server, &p->client);
        if (!p->hold_jobs)
            pair_work(&p->client);
    }
}

static void assert_open(const struct pair_end *end, const char *which)
{
    if (atls_session_is_open(end->session))
        return;
    fail_msg("%s: gate is closed: %s", which, atls_session_error(end->session)->message);
}

void pair_open(struct pair *p)
{
    pair_start(p);
    test_assert_code(p->client.code, ATLS_OK, &p->client.err);
    test_assert_code(p->server.code, ATLS_OK, &p->server.err);
    pair_run(p);
    assert_open(&p->client, "client");
    assert_open(&p->server, "server");
}

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 31 + (i >> 8));
}

void pair_transfer(struct pair *p, struct pair_end *from, struct pair_end *to, size_t len)
{
    uint8_t piece[3000];
    size_t sent = 0, received = 0;

    while (received < len) {
        struct atls_bytes out;
        size_t n = len - sent < sizeof piece ? len - sent : sizeof piece, accepted = 0, at = 0;

        for (size_t i = 0; i < n; i++)
            piece[i] = pattern(sent + i);
        test_assert_code(
            atls_session_write(from->session, atls_bytes_of(piece, n), &accepted, &from->err),
            ATLS_OK, &from->err);
        sent += accepted;
        out = atls_session_output(from->session);
        while (at < out.len) {
            struct atls_bytes data;
            size_t consumed = 0,
                   step = p->piece == 0 || p->piece > out.len - at ? out.len - at : p->piece;

            test_assert_code(atls_session_input(to->session, atls_bytes_of(out.ptr + at, step),
                                                &consumed, &to->err),
                             ATLS_OK, &to->err);
            at += consumed;
            while ((data = atls_session_read(to->session)).len != 0) {
                size_t take = data.len > 777 ? 777 : data.len;

                for (size_t i = 0; i < take; i++)
                    assert_int_equal(data.ptr[i], pattern(received + i));
                received += take;
                atls_session_read_done(to->session, take);
            }
        }
        atls_session_output_done(from->session, out.len);
    }
    assert_int_equal(received, len);
}

void pair_assert_closed(const char *row, const struct pair_end *end, enum atls_code code,
                        enum atls_reason reason)
{
    const struct atls_err *err = atls_session_error(end->session);
    const char *which = end->tls.role == ATLS_ROLE_CLIENT ? "client" : "server";

    if (atls_session_next(end->session) != ATLS_NEXT_CLOSED)
        fail_msg("%s: %s is not closed (%d)", row, which, (int)atls_session_next(end->session));
    if (err->code != code || err->reason != reason)
        fail_msg("%s: %s has %s, %s (%s), want %s, %s", row, which, atls_code_name(err->code),
                 atls_reason_name(err->reason), err->message, atls_code_name(code),
                 atls_reason_name(reason));
    assert_false(atls_session_is_open(end->session));
    assert_true(code == ATLS_OK || err->message[0] != '\0');
}
