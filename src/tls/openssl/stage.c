/* The handshake of a connection, until there is a session. */
#include <errno.h>

#include <openssl/err.h>

#include "core/clock.h"
#include "core/err.h"
#include "tls/openssl/connection.h"
#include "tls/openssl/error.h"
#include "tls/openssl/sign.h"

int64_t atls_connection_now_ms(const struct atls_openssl *c)
{
    return atls_clock_monotonic_ms(&c->config->options.clock);
}

/* ---- what came of a call of OpenSSL ---- */

/* TLS is broken: the session ends with it, the cause being known already. */
static void abandon(struct atls_session *s)
{
    enum atls_code ignored = s == NULL ? ATLS_OK : atls_session_input_end(s, NULL);

    (void)ignored;
}

void atls_io_begin(void)
{
    /* SSL_get_error looks at the whole queue of the thread. Clearing an empty one costs as much as
     * clearing a full one. */
    if (ERR_peek_error() != 0)
        ERR_clear_error();
    errno = 0;
}

static void end_of_socket(struct atls_openssl *c, int saved, const char *what)
{
    if (saved == 0) {
        (void)atls_fail(&c->error, ATLS_E_TLS, "%s: connection ended without close_notify", what);
    } else {
        (void)atls_fail_errno(&c->error, saved, "%s", what);
        c->error.code = ATLS_E_TLS;
    }
}

/* A callback knows better than OpenSSL why it failed. */
static void end_of_tls(struct atls_openssl *c, const char *what)
{
    const struct atls_handshake *h = c->handshake;

    if (c->session == NULL && h != NULL && h->error.code != ATLS_OK) {
        ERR_clear_error();
        c->error = h->error;
        c->error.alert = (enum atls_alert)h->hooks->alert(&h->error);
    } else {
        (void)atls_openssl_fail(&c->error, c->ssl, what);
    }
}

enum io atls_io_judge(struct atls_openssl *c, int returned, const char *what, struct atls_err *err)
{
    int saved = errno;

    if (returned == 1)
        return IO_DONE;
    switch (SSL_get_error(c->ssl, returned)) {
    case SSL_ERROR_WANT_READ:
        return IO_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return IO_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return IO_END;
    case SSL_ERROR_WANT_X509_LOOKUP:
    case SSL_ERROR_WANT_RETRY_VERIFY:
    case SSL_ERROR_WANT_ASYNC:
        if (c->handshake != NULL && atls_handshake_job_waits(c->handshake))
            return IO_WANT_JOB;
        (void)atls_fail(&c->error, ATLS_E_USAGE,
                        "%s: waits for a callback or an engine of the program", what);
        break;
    case SSL_ERROR_WANT_ASYNC_JOB:
        (void)atls_fail(&c->error, ATLS_E_LIMIT, "%s: no more ASYNC jobs (ASYNC_init_thread)",
                        what);
        break;
    case SSL_ERROR_SYSCALL:
        end_of_socket(c, saved, what);
        break;
    default:
        end_of_tls(c, what);
        break;
    }
    c->broken = true;
    abandon(c->session);
    if (err != NULL)
        *err = c->error;
    return IO_FAILED;
}

/* ---- the handshake ---- */

/* The program may have attached it, and may even have done the handshake. */
enum atls_code atls_connection_attach(struct atls_openssl *c, struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    if (c->config->options.flavour == ATLS_FLAVOUR_POST)
        return atls_flavour_check_name(c->ssl, c->config, err);
    c->handshake = atls_handshake_of(c->ssl);
    if (c->handshake == NULL)
        code = atls_handshake_attach(c->ssl, c->config, c->peer_name, &c->handshake, err);
    else if (c->handshake->config != c->config)
        code = atls_fail(err, ATLS_E_USAGE,
                         "connection: the SSL was attached with another configuration");
    if (code != ATLS_OK) {
        c->handshake = NULL;
        return code;
    }
    c->handshake->gives_jobs = true;
    return ATLS_OK;
}

static enum atls_code start_post(struct atls_openssl *c, struct atls_err *err)
{
    struct atls_buf spki = ATLS_BUF_INIT;
    struct atls_tls tls;
    enum atls_code code = atls_openssl_tls(c->ssl, &tls, &spki, err);

    if (code == ATLS_OK)
        code = atls_session_new(c->config, &tls, c->peer_name, &c->session, err);
    atls_buf_clear(&spki);
    return code;
}

static enum atls_code start_session(struct atls_openssl *c, struct atls_err *err)
{
    enum atls_code code;

    if (c->handshake == NULL)
        return start_post(c, err);
    if ((code = atls_handshake_finish(c->handshake, err)) != ATLS_OK)
        return code;
    if (c->handshake->session == NULL)
        return atls_fail(err, ATLS_E_USAGE, "connection: the SSL has one already");
    c->session = c->handshake->session;
    c->handshake->session = NULL;
    return ATLS_OK;
}

/* True when there is nothing to do but to wait for a job. */
static bool waits_for_job(struct atls_openssl *c)
{
    struct atls_handshake *h = c->handshake;

    while (h != NULL && c->blocking && atls_handshake_job_waits(h)) {
        struct atls_job *job = atls_handshake_job(h);

        atls_job_run(job);
        if (!atls_handshake_complete(h, job))
            atls_job_free(job);
    }
    return h != NULL && (atls_handshake_job_waits(h) || atls_handshake_job_is_out(h));
}

static int shake(struct atls_openssl *c)
{
    int returned;

    atls_io_begin();
    atls_sign_enter(c->handshake);
    returned = SSL_do_handshake(c->ssl);
    atls_sign_enter(NULL);
    return returned;
}

static enum atls_code late(struct atls_openssl *c, struct atls_err *err)
{
    return atls_fail_reason(err, ATLS_E_TIMEOUT, ATLS_REASON_DEADLINE,
                            "TLS handshake not finished after %u ms",
                            c->config->options.gate_timeout_ms);
}

enum atls_code atls_connection_handshake(struct atls_openssl *c, enum atls_want *want,
                                         struct atls_err *err)
{
    do {
        if (atls_connection_now_ms(c) >= c->handshake_deadline_ms)
            return late(c, err);
        if (waits_for_job(c)) {
            *want = ATLS_WANT_JOB;
            return ATLS_OK;
        }
        switch (atls_io_judge(c, shake(c), "TLS handshake", err)) {
        case IO_DONE:
            return start_session(c, err);
        case IO_WANT_READ:
            *want = ATLS_WANT_READ;
            return ATLS_OK;
        case IO_WANT_WRITE:
            *want = ATLS_WANT_WRITE;
            return ATLS_OK;
        case IO_WANT_JOB:
            break;
        case IO_END:
            return atls_fail(err, ATLS_E_TLS, "TLS handshake: closed");
        case IO_FAILED:
            return c->error.code;
        }
    } while (true);
}
