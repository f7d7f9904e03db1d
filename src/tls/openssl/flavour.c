#include "tls/openssl/flavour.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/async.h>
#include <openssl/err.h>

#include <atls/openssl.h>

#include "core/err.h"
#include "core/secret.h"
#include "flavour/post/session.h"
#include "tls/openssl/callbacks.h"
#include "tls/openssl/error.h"
#include "tls/openssl/ex_index.h"
#include "tls/openssl/facts.h"

/* ---- where the state hangs ---- */

static void free_handshake(void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long argl,
                           void *argp)
{
    struct atls_handshake *h = ptr;

    (void)parent;
    (void)data;
    (void)index;
    (void)argl;
    (void)argp;
    if (h == NULL)
        return;
    atls_job_free(h->own_work.job);
    atls_job_free(h->peer_work.job);
    atls_job_free(h->sign_work.job);
    if (h->hooks->free != NULL)
        h->hooks->free(h->own);
    atls_session_free(h->session);
    atls_result_unref(h->result);
    atls_buf_clear(&h->spki);
    atls_buf_clear(&h->certificate);
    atls_config_unref(h->config);
    free(h->peer_name);
    free(h);
}

/* SSL_dup: a connection of its own, to be attached again. */
static int forget(CRYPTO_EX_DATA *to, const CRYPTO_EX_DATA *from, void **from_data, int index,
                  long argl, void *argp)
{
    (void)to;
    (void)from;
    (void)index;
    (void)argl;
    (void)argp;
    *from_data = NULL;
    return 1;
}

static int make_index(void)
{
    return SSL_get_ex_new_index(0, NULL, NULL, forget, free_handshake);
}

static int state_index(void)
{
    static struct atls_ex_index index = ATLS_EX_INDEX_INIT;

    return atls_ex_index_get(&index, make_index);
}

struct atls_handshake *atls_handshake_of(const SSL *ssl)
{
    struct atls_handshake *h = SSL_get_ex_data(ssl, state_index());
    enum atls_role role = SSL_is_server(ssl) ? ATLS_ROLE_SERVER : ATLS_ROLE_CLIENT;

    return h == NULL || h->role != role ? NULL : h;
}

/* ---- life ---- */

static bool checks_name(SSL *ssl)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    char *address = X509_VERIFY_PARAM_get1_ip_asc(param);
    bool checks = address != NULL || X509_VERIFY_PARAM_get0_host(param, 0) != NULL;

    OPENSSL_free(address);
    return checks;
}

enum atls_code atls_flavour_check_name(SSL *ssl, const struct atls_config *config,
                                       struct atls_err *err)
{
    const struct atls_config_options *o = &config->options;
    /* There the library checks the name of peer_name itself. */
    const bool ours = o->flavour != ATLS_FLAVOUR_POST && o->identity == ATLS_IDENTITY_PKIX;

    if (!o->peer_optional || SSL_is_server(ssl) || ours || checks_name(ssl))
        return ATLS_OK;
    return atls_fail(err, ATLS_E_CONFIG,
                     "OpenSSL: peer_optional wants the name of the server checked by TLS: "
                     "SSL_set1_host");
}

static enum atls_code check_attach(SSL *ssl, const struct atls_config *config,
                                   const char *peer_name, struct atls_err *err)
{
    if (atls_handshake_config(ssl) != config || config == NULL)
        return atls_fail(err, ATLS_E_USAGE,
                         "OpenSSL: the SSL is of a context that was not prepared for this "
                         "configuration: call atls_openssl_prepare_for");
    if (SSL_get_ex_data(ssl, state_index()) != NULL)
        return atls_fail(err, ATLS_E_USAGE, "OpenSSL: the SSL was attached before");
    if (!SSL_in_before(ssl))
        return atls_fail(err, ATLS_E_USAGE, "OpenSSL: the handshake has begun without attestation");
    if (config->options.require_peer && config->options.identity == ATLS_IDENTITY_PKIX &&
        !SSL_is_server(ssl) && peer_name == NULL)
        return atls_fail(err, ATLS_E_CONFIG,
                         "OpenSSL: identity pkix wants the name of the peer on a client");
    return atls_flavour_check_name(ssl, config, err);
}

/* What the program may have changed on the SSL since SSL_new, and what must not be missing. */
static void secure(struct atls_handshake *h)
{
    SSL *ssl = h->ssl;

    if (h->config->options.require_peer)
        SSL_set_verify(ssl, SSL_get_verify_mode(ssl) | atls_callbacks_verify_mode(h->config),
                       SSL_get_verify_callback(ssl));
    /* What is behind the handshake stays in the BIO until it may be read. */
    h->read_ahead = SSL_get_read_ahead(ssl);
    SSL_set_read_ahead(ssl, 0);
    atls_callbacks_watch(ssl);
}

static enum atls_code fill(struct atls_handshake *h, const char *peer_name, struct atls_err *err)
{
    if (peer_name != NULL && (h->peer_name = strdup(peer_name)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "OpenSSL: out of memory");
    if (h->hooks->attach != NULL)
        return h->hooks->attach(h, err);
    return ATLS_OK;
}

enum atls_code atls_handshake_attach(SSL *ssl, struct atls_config *config, const char *peer_name,
                                     struct atls_handshake **out, struct atls_err *err)
{
    struct atls_handshake *h;
    enum atls_code code = check_attach(ssl, config, peer_name, err);

    if (code != ATLS_OK)
        return code;
    if ((h = calloc(1, sizeof *h)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "OpenSSL: out of memory");
    h->ssl = ssl;
    h->hooks = atls_flavour_hooks_of(config->options.flavour);
    h->config = atls_config_ref(config);
    h->role = SSL_is_server(ssl) ? ATLS_ROLE_SERVER : ATLS_ROLE_CLIENT;
    code = fill(h, peer_name, err);
    if (code == ATLS_OK && SSL_set_ex_data(ssl, state_index(), h) != 1)
        code = atls_openssl_fail(err, NULL, "OpenSSL: attestation cannot be attached");
    if (code != ATLS_OK) {
        free_handshake(NULL, h, NULL, 0, 0, NULL);
        return code;
    }
    secure(h);
    *out = h;
    return ATLS_OK;
}

enum atls_code atls_openssl_attach(SSL *ssl, struct atls_config *config, const char *peer_name,
                                   struct atls_err *err)
{
    struct atls_handshake *h;

    return atls_handshake_attach(ssl, config, peer_name, &h, err);
}

uint8_t atls_handshake_fail(struct atls_handshake *h, const struct atls_err *err)
{
    h->passed = false;
    if (h->error.code == ATLS_OK) {
        h->error = *err;
        ERR_raise_data(ERR_LIB_USER, ERR_R_OPERATION_FAIL, "attestation: %s", err->message);
    }
    return h->hooks->alert(&h->error);
}

/* ---- one SSL, one handshake ---- */

static enum atls_code used_again(struct atls_err *err)
{
    return atls_fail(err, ATLS_E_USAGE,
                     "OpenSSL: the SSL was used for a handshake before: attestation wants a new "
                     "one (SSL_new, not SSL_clear)");
}

void atls_handshake_begins(struct atls_handshake *h)
{
    struct atls_err err = ATLS_ERR_INIT;

    if (h->begun) {
        (void)used_again(&err);
        (void)atls_handshake_fail(h, &err); /* the next callback that can fail does */
    }
    h->begun = true;
}

/* What is known is of this handshake, which our own random tells: an info callback can be lost. */
static enum atls_code check_same(struct atls_handshake *h, struct atls_err *err)
{
    uint8_t random[SSL3_RANDOM_SIZE] = {0};

    if (h->role == ATLS_ROLE_CLIENT)
        (void)SSL_get_client_random(h->ssl, random, sizeof random);
    else
        (void)SSL_get_server_random(h->ssl, random, sizeof random);
    if (!h->bound) {
        memcpy(h->random, random, sizeof random);
        h->bound = true;
    }
    return memcmp(h->random, random, sizeof random) == 0 ? ATLS_OK : used_again(err);
}

/* ---- slow work ---- */

struct steps {
    enum atls_code (*make)(struct atls_handshake *h, const void *arg, struct atls_job **out,
                           struct atls_err *err);
    enum atls_code (*done)(struct atls_handshake *h, struct atls_job *job, struct atls_err *err);
};

/* Lets the job go to the program and come back; false: it will not. */
static bool wait_for_job(struct atls_handshake *h, struct atls_work *w, struct atls_err *err)
{
    while (w->state != ATLS_WORK_BACK) {
        if (h->abandoned || ASYNC_pause_job() != 1) {
            (void)atls_fail(err, ATLS_E_CLOSED, "TLS handshake: given up while a job was out");
            return false;
        }
    }
    return true;
}

/* The job is made and has not run. PAUSED: not yet. */
static enum atls_work_outcome await(struct atls_handshake *h, struct atls_work *w,
                                    enum atls_pause pause, struct atls_err *err)
{
    const bool async = ASYNC_get_current_job() != NULL;

    if (h->gives_jobs && pause == ATLS_PAUSE_NATIVE && !h->abandoned)
        return ATLS_WORK_PAUSED;
    if (h->gives_jobs && async)
        return wait_for_job(h, w, err) ? ATLS_WORK_READY_NOW : ATLS_WORK_FAILED;
    if (async || w->state != ATLS_WORK_READY) {
        /* The stack of an ASYNC job is too small for the work of attesters and verifiers. */
        (void)atls_fail(err, ATLS_E_USAGE,
                        "TLS handshake: SSL_MODE_ASYNC needs atls_openssl_new, which gives out "
                        "jobs");
        return ATLS_WORK_FAILED;
    }
    atls_job_run(w->job);
    w->state = ATLS_WORK_BACK;
    return ATLS_WORK_READY_NOW;
}

static enum atls_code take_back(struct atls_handshake *h, struct atls_work *w,
                                const struct steps *steps, struct atls_err *err)
{
    struct atls_job *job = w->job;
    enum atls_code code;

    w->job = NULL;
    w->state = ATLS_WORK_DONE;
    code = steps->done(h, job, err);
    atls_job_free(job);
    return code;
}

static enum atls_work_outcome pursue(struct atls_handshake *h, struct atls_work *w,
                                     enum atls_pause pause, const struct steps *steps,
                                     const void *arg)
{
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_work_outcome outcome = ATLS_WORK_READY_NOW;

    if (h->error.code != ATLS_OK)
        return ATLS_WORK_FAILED;
    if (w->state == ATLS_WORK_NONE) {
        if (steps->make(h, arg, &w->job, &err) != ATLS_OK) {
            (void)atls_handshake_fail(h, &err);
            return ATLS_WORK_FAILED;
        }
        w->state = w->job == NULL ? ATLS_WORK_DONE : ATLS_WORK_READY;
        if (w->job != NULL)
            w->job->owner = h;
    }
    if (w->state == ATLS_WORK_READY || w->state == ATLS_WORK_OUT)
        outcome = await(h, w, pause, &err);
    if (outcome == ATLS_WORK_READY_NOW && w->state == ATLS_WORK_BACK &&
        take_back(h, w, steps, &err) != ATLS_OK)
        outcome = ATLS_WORK_FAILED;
    if (outcome == ATLS_WORK_FAILED)
        (void)atls_handshake_fail(h, &err);
    return outcome;
}

static enum atls_code make_own(struct atls_handshake *h, const void *arg, struct atls_job **out,
                               struct atls_err *err)
{
    (void)arg;
    *out = NULL;
    return h->hooks->own_job(h, out, err);
}

static enum atls_code own_done(struct atls_handshake *h, struct atls_job *job, struct atls_err *err)
{
    return h->hooks->own_done(h, job, err);
}

enum atls_work_outcome atls_handshake_work(struct atls_handshake *h, enum atls_pause pause)
{
    static const struct steps steps = {make_own, own_done};

    return pursue(h, &h->own_work, pause, &steps, NULL);
}

static enum atls_code keep_peer(struct atls_handshake *h, const struct atls_tls_peer *peer,
                                struct atls_err *err)
{
    enum atls_code code = atls_buf_copy(&h->spki, peer->spki, err);

    return code == ATLS_OK ? atls_buf_copy(&h->certificate, peer->chain[0], err) : code;
}

/* Nothing to judge but the certificate, which TLS has verified unless the anchors of the
 * configuration are to. */
static enum atls_code excuse(struct atls_handshake *h, const struct atls_tls_peer *peer,
                             struct atls_err *err)
{
    const struct atls_judgement judgement = {
        .config = h->config,
        .role = h->role,
        .peer_name = h->peer_name,
        .chain = peer->chain,
        .chain_len = peer->chain_len,
    };
    enum atls_code code = atls_judge_unattested(&judgement, err);

    h->excused = code == ATLS_OK;
    return code;
}

static enum atls_code make_peer(struct atls_handshake *h, const void *arg, struct atls_job **out,
                                struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    *out = NULL;
    if (h->role == ATLS_ROLE_CLIENT && h->hooks->negotiated != NULL)
        code = h->hooks->negotiated(h, err);
    if (code != ATLS_OK || !h->config->options.require_peer)
        return code;
    if (!((const struct atls_tls_peer *)arg)->attests)
        return excuse(h, arg, err);
    if ((code = keep_peer(h, arg, err)) != ATLS_OK ||
        (code = h->hooks->peer_job(h, arg, out, err)) != ATLS_OK || *out != NULL)
        return code;
    return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_NOT_ATTESTED,
                            "peer: showed no attestation, want it");
}

static enum atls_code peer_done(struct atls_handshake *h, struct atls_job *job,
                                struct atls_err *err)
{
    enum atls_code code = job->code;

    if (code != ATLS_OK) {
        *err = job->err;
        return code;
    }
    h->result = atls_judge_job_result(job);
    if (h->hooks->peer_done != NULL && (code = h->hooks->peer_done(h, err)) != ATLS_OK) {
        atls_result_unref(h->result);
        h->result = NULL;
    }
    return code;
}

enum atls_work_outcome atls_handshake_judge(struct atls_handshake *h,
                                            const struct atls_tls_peer *peer, enum atls_pause pause)
{
    static const struct steps steps = {make_peer, peer_done};
    struct atls_err err = ATLS_ERR_INIT;

    if (check_same(h, &err) != ATLS_OK) {
        (void)atls_handshake_fail(h, &err);
        return ATLS_WORK_FAILED;
    }
    return pursue(h, &h->peer_work, pause, &steps, peer);
}

enum atls_code atls_handshake_give(struct atls_handshake *h, struct atls_job *job,
                                   struct atls_job **out_back, struct atls_err *err)
{
    struct atls_work *w = &h->sign_work;
    bool is_back;

    job->owner = h;
    w->job = job;
    w->state = ATLS_WORK_READY;
    is_back = wait_for_job(h, w, err);
    if (is_back)
        *out_back = w->job;
    else
        atls_job_free(w->job); /* NULL when it is out */
    w->job = NULL;
    w->state = ATLS_WORK_NONE;
    return is_back ? ATLS_OK : ATLS_E_CLOSED;
}

/* ---- who drives the handshake ---- */

/* One at a time, as OpenSSL comes to them. */
static struct atls_work *work_in(struct atls_handshake *h, enum atls_work_state state)
{
    struct atls_work *const works[] = {&h->own_work, &h->peer_work, &h->sign_work};

    for (size_t i = 0; i < sizeof works / sizeof works[0]; i++)
        if (works[i]->state == state)
            return works[i];
    return NULL;
}

struct atls_job *atls_handshake_job(struct atls_handshake *h)
{
    struct atls_work *w = work_in(h, ATLS_WORK_READY);
    struct atls_job *job;

    if (w == NULL)
        return NULL;
    job = w->job;
    w->job = NULL;
    w->state = ATLS_WORK_OUT;
    return job;
}

bool atls_handshake_job_waits(struct atls_handshake *h)
{
    return work_in(h, ATLS_WORK_READY) != NULL;
}

bool atls_handshake_job_is_out(struct atls_handshake *h)
{
    return work_in(h, ATLS_WORK_OUT) != NULL;
}

bool atls_handshake_complete(struct atls_handshake *h, struct atls_job *job)
{
    struct atls_work *w = work_in(h, ATLS_WORK_OUT);

    if (job->owner != h || w == NULL)
        return false;
    w->job = job;
    w->state = ATLS_WORK_BACK;
    return true;
}

void atls_handshake_abandon(struct atls_handshake *h)
{
    h->abandoned = true;
    h->gives_jobs = false;
    if (!SSL_waiting_for_async(h->ssl))
        return;
    ERR_clear_error();
    (void)SSL_do_handshake(h->ssl);
    ERR_clear_error();
}

/* ---- the end of the handshake ---- */

static enum atls_code check_alpn(const struct atls_handshake *h, struct atls_bytes selected,
                                 struct atls_err *err)
{
    if (selected.len == 0 ||
        atls_names_contain(atls_config_names(h->config, ATLS_NAMES_INNER_PROTOCOLS), selected))
        return ATLS_OK;
    return atls_fail_reason(err, ATLS_E_TLS, ATLS_REASON_NO_COMMON_PARAMETERS,
                            "TLS handshake selected an ALPN name that is none of inner_protocols");
}

/* A client that showed no certificate, where the program does not insist on one, and did not agree
 * to attest. */
static bool is_nobody(const struct atls_handshake *h)
{
    const struct atls_tls_peer nobody = {.chain_len = 0};

    return h->role == ATLS_ROLE_SERVER && SSL_get0_peer_certificate(h->ssl) == NULL &&
           !h->hooks->attests(h, &nobody);
}

static enum atls_code check(struct atls_handshake *h, struct atls_err *err)
{
    if (SSL_session_reused(h->ssl) != 0)
        return atls_fail_reason(err, ATLS_E_TLS, ATLS_REASON_TLS_RESUMED,
                                "TLS handshake resumed a session, want a full one");
    /* What the context of another name asks for was asked of nobody. */
    if (atls_handshake_config(h->ssl) != h->config)
        return atls_fail(err, ATLS_E_USAGE,
                         "OpenSSL: the context of the connection was exchanged (SSL_set_SSL_CTX) "
                         "for one that was not prepared for its configuration");
    if (h->config->options.peer_optional && h->result == NULL)
        h->excused = h->excused || is_nobody(h);
    if (h->config->options.require_peer && h->result == NULL && !h->excused)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_NOT_ATTESTED,
                                "peer: the handshake brought no attestation, want it");
    return h->hooks->finish == NULL ? ATLS_OK : h->hooks->finish(h, err);
}

static enum atls_code make_session(struct atls_handshake *h, struct atls_err *err)
{
    struct atls_established established = {
        .result = h->result,
        .spki = atls_buf_bytes(&h->spki),
        .certificate = atls_buf_bytes(&h->certificate),
        .shown = h->shown,
    };
    char protocol[256] = "";
    const unsigned char *selected;
    unsigned int len;
    struct atls_tls tls;
    enum atls_code code;

    SSL_get0_alpn_selected(h->ssl, &selected, &len);
    if ((code = atls_openssl_facts(h->ssl, &tls, err)) != ATLS_OK ||
        (code = check_alpn(h, atls_bytes_of(selected, len), err)) != ATLS_OK ||
        (code = check(h, err)) != ATLS_OK)
        return code;
    if (h->config->options.identity == ATLS_IDENTITY_SAME_KEY && h->result != NULL)
        tls.peer_spki = established.spki; /* whose chain TLS verified, or there were no result */
    established.excused = h->excused;
    if (len != 0)
        memcpy(protocol, selected, len); /* at most 255 */
    established.inner_protocol = protocol;
    return atls_session_new_open(h->config, &tls, &established, &h->session, err);
}

/* Evidence, certificates, transcript: the session has a copy of what is still asked for, and a
 * connection may last. */
static void forget_handshake(struct atls_handshake *h)
{
    if (h->hooks->free != NULL)
        h->hooks->free(h->own);
    h->own = NULL;
    atls_result_unref(h->result);
    h->result = NULL;
    atls_buf_clear(&h->spki);
    atls_buf_clear(&h->certificate);
}

enum atls_code atls_handshake_finish(struct atls_handshake *h, struct atls_err *err)
{
    struct atls_err cause = ATLS_ERR_INIT;

    if (h->error.code == ATLS_OK) {
        if (!h->passed && !SSL_is_init_finished(h->ssl))
            return atls_fail(err, ATLS_E_TLS, "TLS handshake is not finished");
        if (check_same(h, &cause) == ATLS_OK && h->passed)
            return ATLS_OK;
        if (cause.code == ATLS_OK && make_session(h, &cause) == ATLS_OK) {
            h->passed = true;
            forget_handshake(h);
            atls_callbacks_open(h);
            return ATLS_OK;
        }
        (void)atls_handshake_fail(h, &cause);
    }
    if (err != NULL)
        *err = h->error;
    return h->error.code;
}

enum atls_code atls_openssl_attested(SSL *ssl, struct atls_peer *out, struct atls_err *err)
{
    struct atls_handshake *h = atls_handshake_of(ssl);
    enum atls_code code;

    if (h == NULL)
        return atls_fail(err, ATLS_E_USAGE,
                         "OpenSSL: the SSL was not attached: call atls_openssl_attach first");
    if ((code = atls_handshake_finish(h, err)) != ATLS_OK)
        return code;
    if (h->session == NULL)
        return atls_fail(err, ATLS_E_USAGE, "OpenSSL: the SSL belongs to a connection: ask that");
    if (out != NULL)
        atls_session_peer(h->session, out);
    return ATLS_OK;
}
