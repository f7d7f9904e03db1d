#include "verifier/remote/client.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bind/binder.h"
#include "core/base64.h"
#include "core/err.h"
#include "core/log.h"
#include "core/reader.h"
#include "core/secret.h"
#include "verifier/remote/pack.h"
#include "verifier/remote/session.h"

#define TRIES           3    /* one and two more */
#define PAUSE_FIRST_MS  100  /* before a second try, and between polls; doubles */
#define PAUSE_MAX_MS    2000 /* unless Retry-After says more */
#define GOODBYE_MS      2000 /* for DELETE, which nobody waits for longer */
#define NONCE_QUERY_MAX (sizeof "?nonce=" + 88)

struct atls_veraison_client {
    atomic_uint references;
    struct atls_service *service;
    struct atls_key_source *keys;
    bool unpadded_only;
    atomic_bool wants_padding; /* found out */
    struct atls_log log;
};

static enum atls_code open_keys(struct atls_veraison_client *c, const char *file,
                                struct atls_err *err)
{
    if (file != NULL)
        return atls_key_source_file(file, &c->keys, err);
    return atls_key_source_service(c->service, &c->keys, err);
}

enum atls_code atls_veraison_client_new(const struct atls_veraison_options *options,
                                        struct atls_veraison_client **out, struct atls_err *err)
{
    const struct atls_service_options service = {options->url, options->http, options->log};
    struct atls_veraison_client *c = calloc(1, sizeof *c);
    enum atls_code code;

    if (c == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "verifier: out of memory");
    atomic_init(&c->references, 1);
    atomic_init(&c->wants_padding, false);
    c->unpadded_only = options->unpadded_only;
    c->log = options->log;
    if ((code = atls_service_new(&service, &c->service, err)) == ATLS_OK)
        code = open_keys(c, options->result_keys, err);
    if (code != ATLS_OK) {
        atls_veraison_client_unref(c);
        return code;
    }
    *out = c;
    return ATLS_OK;
}

struct atls_veraison_client *atls_veraison_client_ref(struct atls_veraison_client *c)
{
    atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
    return c;
}

void atls_veraison_client_unref(struct atls_veraison_client *c)
{
    if (c == NULL || atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) != 1)
        return;
    atls_key_source_free(c->keys);
    atls_service_unref(c->service);
    free(c);
}

void atls_veraison_client_stop(struct atls_veraison_client *c)
{
    atls_http_stop(atls_service_http(c->service));
}

struct atls_key_source *atls_veraison_client_keys(struct atls_veraison_client *c)
{
    return c->keys;
}

enum atls_code atls_veraison_client_ping(struct atls_veraison_client *c, int64_t deadline_ms,
                                         struct atls_err *err)
{
    struct atls_ear_keys *keys = NULL;
    enum atls_code code = atls_service_ping(c->service, deadline_ms, err);

    if (code != ATLS_OK)
        return code;
    if ((code = atls_key_source_get(c->keys, deadline_ms, &keys, err)) == ATLS_OK)
        atls_ear_keys_unref(keys);
    return code;
}

const char *atls_veraison_client_url(const struct atls_veraison_client *c)
{
    return atls_service_url(c->service)->text;
}

void atls_veraison_answer_clear(struct atls_veraison_answer *answer)
{
    atls_buf_clear(&answer->token);
}

/* ---- one exchange ---- */

/* What it works on; everything it owns is in here. */
struct exchange {
    struct atls_veraison_client *c;
    const struct atls_veraison_submission *submission;
    int64_t deadline_ms;
    struct atls_discovery *discovery;
    struct atls_packed packed;
    bool is_packed;
    struct atls_url session; /* "" when there is none */
    struct atls_session_object object;
    bool has_object;
};

static void drop_object(struct exchange *x)
{
    if (x->has_object)
        atls_session_object_clear(&x->object);
    x->has_object = false;
}

/* Sleeps unless the deadline comes first: false, and no sleep. */
static bool pause_ms(const struct exchange *x, int64_t ms)
{
    struct timespec left = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};

    if (atls_http_now_ms() + ms >= x->deadline_ms)
        return false;
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
    return true;
}

/* How long to wait before try number n (from 1), by what the service asked for. */
static int64_t pause_before(unsigned int n, int64_t retry_after_s)
{
    int64_t ms = PAUSE_FIRST_MS;

    if (retry_after_s > 0)
        return 1000 * retry_after_s;
    while (--n > 0 && ms < PAUSE_MAX_MS)
        ms *= 2;
    return ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS;
}

/* Decodes the session that an answer carries into x->object. */
static enum atls_code take_object(struct exchange *x, const struct atls_http_response *response,
                                  struct atls_err *err)
{
    enum atls_code code;

    if (!atls_http_is(response, ATLS_SESSION_TYPE))
        return atls_fail(err, ATLS_E_PROTOCOL, "session: the answer is not " ATLS_SESSION_TYPE);
    drop_object(x);
    code = atls_session_object_decode(atls_buf_bytes(&response->body), &x->object, err);
    x->has_object = code == ATLS_OK;
    return code;
}

/* ---- new session ---- */

static void put_query(const struct exchange *x, bool padded, char *out, size_t size)
{
    struct atls_writer w = atls_writer_init(NONCE_QUERY_MAX);

    if (!x->is_packed) {
        snprintf(out, size, "?nonceSize=%d", ATLS_VERAISON_NONCE_SIZE);
        return;
    }
    atls_base64url_put(&w, atls_bytes_of(x->packed.nonce, x->packed.nonce_len));
    snprintf(out, size, "?nonce=%.*s%s", (int)w.len, (const char *)w.ptr,
             padded && w.len % 4 == 3   ? "%3D"
             : padded && w.len % 4 == 2 ? "%3D%3D"
                                        : "");
    atls_writer_clear(&w);
}

static enum atls_code ask_session(struct exchange *x, bool padded,
                                  struct atls_http_response *response, struct atls_err *err)
{
    char url[ATLS_URL_MAX + NONCE_QUERY_MAX], query[NONCE_QUERY_MAX];
    struct atls_http_request request = {
        .method = "POST", .url = url, .accept = ATLS_SESSION_TYPE, .deadline_ms = x->deadline_ms};

    put_query(x, padded, query, sizeof query);
    snprintf(url, sizeof url, "%s%s", x->discovery->new_session.text, query);
    return atls_http_exchange(atls_service_http(x->c->service), &request, response, err);
}

/* The nonce that we sent, or one that a verifier may choose. */
static enum atls_code check_nonce(const struct exchange *x, struct atls_err *err)
{
    const struct atls_session_object *o = &x->object;

    if (!x->is_packed) {
        if (o->nonce_len == ATLS_VERAISON_NONCE_SIZE)
            return ATLS_OK;
        return atls_fail(err, ATLS_E_PROTOCOL, "session: a nonce of %zu octets, want %d",
                         o->nonce_len, ATLS_VERAISON_NONCE_SIZE);
    }
    if (!atls_secret_equal(atls_bytes_of(o->nonce, o->nonce_len),
                           atls_bytes_of(x->packed.nonce, x->packed.nonce_len)))
        return atls_fail_reason(err, ATLS_E_PROTOCOL, ATLS_REASON_NONCE_MISMATCH,
                                "session: its nonce is not the one that was sent");
    return ATLS_OK;
}

static enum atls_code take_session(struct exchange *x, const struct atls_http_response *response,
                                   struct atls_err *err)
{
    struct atls_bytes location = atls_bytes_of(response->location, strlen(response->location));
    enum atls_code code;

    if (response->status != 201)
        return atls_http_unwanted(response, "new session", err);
    if (location.len == 0)
        return atls_fail(err, ATLS_E_PROTOCOL, "new session: no Location");
    if ((code = atls_url_resolve(&x->discovery->new_session, location, &x->session, err)) !=
            ATLS_OK ||
        (code = take_object(x, response, err)) != ATLS_OK)
        return code;
    if (x->object.status != ATLS_SESSION_WAITING)
        return atls_fail(err, ATLS_E_PROTOCOL, "new session: its status is not waiting");
    return check_nonce(x, err);
}

/* Once, or twice where a service turns out to want padding, or none; says how long it wants to be
 * left alone. */
static enum atls_code try_session(struct exchange *x, int64_t *retry_after_s, struct atls_err *err)
{
    bool padded = atomic_load(&x->c->wants_padding);
    bool differs = x->is_packed && x->packed.nonce_len % 3 != 0 && !x->c->unpadded_only;
    struct atls_http_response response;
    enum atls_code code = ask_session(x, padded, &response, err);

    *retry_after_s = -1;
    if (code == ATLS_OK && response.status == 400 && differs) {
        atls_http_response_clear(&response);
        code = ask_session(x, !padded, &response, err);
        if (code == ATLS_OK && response.status == 201)
            atomic_store(&x->c->wants_padding, !padded);
    }
    if (code != ATLS_OK)
        return code;
    code = take_session(x, &response, err);
    *retry_after_s = response.retry_after_s;
    atls_http_response_clear(&response);
    return code;
}

static enum atls_code open_session(struct exchange *x, struct atls_err *err)
{
    int64_t retry_after_s;
    enum atls_code code;

    for (unsigned int n = 1;; n++) {
        code = try_session(x, &retry_after_s, err);
        if (code != ATLS_E_UNAVAILABLE || n == TRIES ||
            !pause_ms(x, pause_before(n, retry_after_s)))
            return code;
        atls_log(&x->c->log, ATLS_LOG_INFO, "verifier", "%s: asking again",
                 atls_veraison_client_url(x->c));
        atls_err_clear(err);
    }
}

/* ---- evidence ---- */

/* A session that says what it takes overrules what discovery said a while ago. */
static const struct atls_bytes *types_of(const struct exchange *x, size_t *count)
{
    if (x->has_object && x->object.accept_count > 0) {
        *count = x->object.accept_count;
        return x->object.accept;
    }
    *count = x->discovery->media_type_count;
    return x->discovery->media_types;
}

static enum atls_code make_evidence(struct exchange *x, struct atls_err *err)
{
    struct atls_bytes nonce = atls_bytes_of(x->object.nonce, x->object.nonce_len);
    struct atls_buf evidence = ATLS_BUF_INIT;
    const struct atls_bytes *types;
    enum atls_code code;
    size_t count;

    if ((code = x->submission->make(x->submission->arg, nonce, &evidence, err)) != ATLS_OK)
        return code;
    types = types_of(x, &count);
    code = atls_pack(atls_buf_bytes(&evidence), nonce, types, count, &x->packed, err);
    x->is_packed = code == ATLS_OK;
    atls_buf_clear(&evidence);
    /* What signs a key attestation token over the nonce does not sign the nonce itself. */
    if (x->is_packed && x->packed.names_no_key)
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE,
                                "session: it takes %s alone, so that its result would be about no "
                                "key",
                                x->packed.form);
    return code;
}

static enum atls_code post_evidence(struct exchange *x, bool *sent,
                                    struct atls_http_response *response, struct atls_err *err)
{
    size_t count;
    const struct atls_bytes *types = types_of(x, &count);
    struct atls_bytes type = atls_pack_find(types, count, x->packed.form);
    struct atls_http_request request = {
        .method = "POST",
        .url = x->session.text,
        .accept = ATLS_SESSION_TYPE,
        .content_type = (const char *)type.ptr, /* NUL terminated in both lists */
        .body = atls_buf_bytes(&x->packed.body),
        .deadline_ms = x->deadline_ms,
        .out_sent = sent,
    };

    *sent = true;
    if (type.len == 0)
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE,
                                "session: it does not take %s", x->packed.form);
    return atls_http_exchange(atls_service_http(x->c->service), &request, response, err);
}

static enum atls_code send_evidence(struct exchange *x, bool *sent, struct atls_err *err)
{
    struct atls_http_response response;
    enum atls_code code = post_evidence(x, sent, &response, err);

    if (code != ATLS_OK)
        return code;
    if (response.status == 415 || response.status == 406)
        code = atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE,
                                "evidence: the service answered %ld to %s", response.status,
                                x->packed.form);
    else if (response.status != 200 && response.status != 202)
        code = atls_http_unwanted(&response, "evidence", err);
    else
        code = take_object(x, &response, err);
    if (code == ATLS_OK && x->object.status == ATLS_SESSION_WAITING)
        code = atls_fail(err, ATLS_E_PROTOCOL, "session: still waiting for the evidence it got");
    atls_http_response_clear(&response);
    return code;
}

/* ---- result ---- */

static enum atls_code look_once(struct exchange *x, int64_t *retry_after_s, struct atls_err *err)
{
    const struct atls_http_request request = {.method = "GET",
                                              .url = x->session.text,
                                              .accept = ATLS_SESSION_TYPE,
                                              .deadline_ms = x->deadline_ms};
    struct atls_http_response response;
    enum atls_code code;

    *retry_after_s = -1;
    code = atls_http_exchange(atls_service_http(x->c->service), &request, &response, err);
    if (code != ATLS_OK)
        return code;
    if (response.status != 200 && response.status != 202)
        code = atls_http_unwanted(&response, "session", err);
    else
        code = take_object(x, &response, err);
    *retry_after_s = response.retry_after_s;
    atls_http_response_clear(&response);
    return code;
}

static enum atls_code poll(struct exchange *x, struct atls_err *err)
{
    int64_t retry_after_s = -1;
    unsigned int failures = 0;
    enum atls_code code;

    for (unsigned int n = 1; x->object.status == ATLS_SESSION_PROCESSING; n++) {
        if (!pause_ms(x, pause_before(n, retry_after_s)))
            return atls_fail_reason(err, ATLS_E_TIMEOUT, ATLS_REASON_DEADLINE,
                                    "session: no result before the deadline");
        code = look_once(x, &retry_after_s, err);
        if (code == ATLS_E_UNAVAILABLE && ++failures < TRIES && x->has_object) {
            atls_err_clear(err);
            continue;
        }
        if (code != ATLS_OK)
            return code;
        failures = 0;
    }
    if (x->object.status == ATLS_SESSION_COMPLETE)
        return ATLS_OK;
    if (x->object.status == ATLS_SESSION_FAILED)
        return atls_fail(err, ATLS_E_UNAVAILABLE, "session: the service could not appraise");
    return atls_fail(err, ATLS_E_PROTOCOL, "session: waiting again after processing");
}

/* Courtesy: a session that is left alone expires by itself. */
static void close_session(struct exchange *x)
{
    int64_t latest = atls_http_now_ms() + GOODBYE_MS;
    const struct atls_http_request request = {
        .method = "DELETE",
        .url = x->session.text,
        .deadline_ms = latest < x->deadline_ms ? latest : x->deadline_ms,
    };
    struct atls_http_response response;

    if (x->session.text[0] == '\0')
        return;
    if (atls_http_exchange(atls_service_http(x->c->service), &request, &response, NULL) == ATLS_OK)
        atls_http_response_clear(&response);
    x->session.text[0] = '\0';
}

/* From a new session to its result; *sent: the service saw evidence. */
static enum atls_code run_session(struct exchange *x, bool *sent, struct atls_err *err)
{
    enum atls_code code;

    *sent = false;
    if ((code = open_session(x, err)) != ATLS_OK)
        return code;
    *sent = true; /* from here on a second session would not mend what goes wrong */
    if (!x->is_packed && (code = make_evidence(x, err)) != ATLS_OK)
        return code;
    if ((code = send_evidence(x, sent, err)) != ATLS_OK)
        return code;
    return poll(x, err);
}

static enum atls_code pack_bare(struct exchange *x, struct atls_err *err)
{
    const struct atls_veraison_submission *s = x->submission;
    struct atls_bare_token bare = {.evidence = s->evidence};
    const enum atls_hash hash = s->binder.len == 48 ? ATLS_HASH_SHA384 : ATLS_HASH_SHA256;
    enum atls_code code =
        atls_binder_bare_challenge(hash, s->binder, s->aik_spki, bare.challenge, err);

    if (code != ATLS_OK)
        return code;
    return atls_pack_bare(&bare, x->discovery->media_types, x->discovery->media_type_count,
                          &x->packed, err);
}

/* Evidence that there is already, in a form that the service takes. */
static enum atls_code pack_evidence(struct exchange *x, struct atls_err *err)
{
    const struct atls_veraison_submission *s = x->submission;
    enum atls_code code;

    if (s->aik_spki.len > 0 && (code = pack_bare(x, err)) != ATLS_OK)
        return code;
    if (x->packed.form == NULL &&
        (code = atls_pack(s->evidence, s->binder, x->discovery->media_types,
                          x->discovery->media_type_count, &x->packed, err)) != ATLS_OK)
        return code;
    x->is_packed = true;
    return ATLS_OK;
}

static enum atls_code run(struct exchange *x, struct atls_err *err)
{
    const struct atls_veraison_submission *s = x->submission;
    enum atls_code code = atls_service_discover(x->c->service, x->deadline_ms, &x->discovery, err);
    bool sent;

    if (code != ATLS_OK)
        return code;
    if (s->binder.len > 0) {
        if ((code = pack_evidence(x, err)) != ATLS_OK)
            return code;
    }
    for (unsigned int n = 1;; n++) {
        code = run_session(x, &sent, err);
        if (code != ATLS_E_UNAVAILABLE || sent || x->session.text[0] == '\0' || n == TRIES ||
            !pause_ms(x, pause_before(n, -1)))
            break;
        atls_err_clear(err);
        x->session.text[0] = '\0';
        if (s->binder.len == 0) { /* another session, another nonce */
            atls_packed_clear(&x->packed);
            x->is_packed = false;
        }
    }
    /* Whom one could not reach one does not tell. */
    if (code != ATLS_E_UNAVAILABLE && code != ATLS_E_TIMEOUT)
        close_session(x);
    return code;
}

enum atls_code atls_veraison_submit(struct atls_veraison_client *c,
                                    const struct atls_veraison_submission *s, int64_t deadline_ms,
                                    struct atls_veraison_answer *out, struct atls_err *err)
{
    struct exchange x = {.c = c, .submission = s, .deadline_ms = deadline_ms};
    struct atls_veraison_answer answer = {.nonce_len = 0};
    enum atls_code code;

    if ((s->binder.len > 0) != (s->evidence.len > 0) || (s->binder.len == 0) != (s->make != NULL))
        return atls_fail(err, ATLS_E_USAGE,
                         "verifier: want a binder and evidence over it, or what makes evidence");
    if ((code = run(&x, err)) == ATLS_OK) {
        answer.nonce_len = x.packed.nonce_len;
        memcpy(answer.nonce, x.packed.nonce, x.packed.nonce_len);
        answer.names_no_key = x.packed.names_no_key;
        code = atls_buf_copy(&answer.token, x.object.result, err);
    }
    drop_object(&x);
    atls_packed_clear(&x.packed);
    atls_discovery_unref(x.discovery);
    if (code == ATLS_OK)
        *out = answer;
    return code;
}
