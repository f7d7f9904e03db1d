/* The challenge-response API: a nonce goes out, evidence comes in, a signed result goes out. */
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <atls/limits.h>

#include "log.h"
#include "metrics.h"
#include "request.h"

#define NONCE_MIN 8

/* ---- nonces ---- */

/* Random bytes without the sextets 62 and 63, on which base64 and base64url differ, so that clients
 * of both read the same. Of 48 bytes that leaves 381 bits. */
static bool mint_nonce(uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i < 3 ? len - i : 3;
        uint8_t b[3];
        bool differs = true;

        while (differs) {
            uint32_t v;

            if (RAND_bytes(b, sizeof b) != 1)
                return false;
            v = (uint32_t)b[0] << 16 | (left > 1 ? (uint32_t)b[1] << 8 : 0) | (left > 2 ? b[2] : 0);
            differs = false;
            for (unsigned k = 0; k < 4; k++)
                differs = differs || ((v >> (6 * k)) & 63) >= 62;
        }
        memcpy(out + i, b, left);
    }
    return true;
}

/* Decimal digits within the bounds of a nonce; 0 when they are not. */
static size_t parse_size(const char *text)
{
    size_t size = 0;

    for (size_t i = 0; text[i] != '\0'; i++) {
        if (text[i] < '0' || text[i] > '9' || i >= 2 || (i == 0 && text[i] == '0'))
            return 0;
        size = size * 10 + (size_t)(text[i] - '0');
    }
    return size >= NONCE_MIN && size <= ATLS_NONCE_MAX ? size : 0;
}

static bool get_nonce(struct request *r, struct reply *reply, uint8_t nonce[ATLS_NONCE_MAX],
                      size_t *out_len)
{
    const char *given = uri_parameter(&r->uri, "nonce"),
               *size = uri_parameter(&r->uri, "nonceSize");
    size_t len = (size_t)r->tenant->config->nonce_size;

    if (given != NULL && size != NULL) {
        reply_problem(r, reply, 400, "query: nonce and nonceSize exclude each other");
        return false;
    }
    if (given != NULL) {
        if (!base64url_decode(given, nonce, ATLS_NONCE_MAX, out_len) || *out_len < NONCE_MIN) {
            reply_problem(r, reply, 400, "query: nonce is not the base64url of 8 to 64 bytes");
            return false;
        }
        return true;
    }
    if (size != NULL && (len = parse_size(size)) == 0) {
        reply_problem(r, reply, 400, "query: nonceSize is not a number of 8 to 64");
        return false;
    }
    if (!mint_nonce(nonce, len)) {
        reply_problem(r, reply, 500, "no randomness");
        return false;
    }
    *out_len = len;
    return true;
}

/* ---- the session as JSON ---- */

static const char *state_name(enum atls_store_session_state state)
{
    switch (state) {
    case ATLS_SESSION_WAITING:
        return "waiting";
    case ATLS_SESSION_PROCESSING:
        return "processing";
    case ATLS_SESSION_COMPLETE:
        return "complete";
    case ATLS_SESSION_FAILED:
        break;
    }
    return "failed";
}

static void write_session(const struct request *r, struct reply *reply, unsigned status,
                          const struct atls_store_session *s)
{
    const struct config_tenant *config = r->tenant->config;
    struct text *out = &reply->body;
    char expiry[24];

    reply_start(reply, status, MEDIA_SESSION);
    reply_header(reply, "Cache-Control", "no-store");
    time_text(s->expires_s, expiry);
    text_open(out, '{');
    text_member(out, "status", state_name(s->state));
    text_key(out, "nonce");
    text_base64(out, atls_bytes_of(s->nonce, s->nonce_len),
                (enum base64_form)config->nonce_encoding);
    text_member(out, "expiry", expiry);
    text_key(out, "accept");
    text_raw(out, tenant_accept(r->tenant));
    if (s->evidence.len > 0) {
        text_key(out, "evidence");
        text_open(out, '{');
        text_key(out, "type");
        text_string_of(out, (const char *)s->media_type.ptr, s->media_type.len);
        text_key(out, "value");
        text_base64(out, atls_buf_bytes(&s->evidence), BASE64_STD);
        text_close(out, '}');
    }
    if (s->result.len > 0) {
        text_key(out, "result");
        if (config->form == ATLS_EAR_FORM_CWT)
            text_base64(out, atls_buf_bytes(&s->result), BASE64_STD);
        else
            text_string_of(out, (const char *)s->result.ptr, s->result.len);
    }
    text_close(out, '}');
}

/* The issuer, or false after a 503. */
static bool need_issuer(struct request *r, struct reply *reply, struct atls_issuer **out)
{
    *out = tenant_issuer(r->tenant);
    if (*out != NULL)
        return true;
    reply_header(reply, "Retry-After", "2");
    reply_problem(r, reply, 503, "the verifier has no keys or trust anchors yet");
    return false;
}

void session_new(struct request *r, struct reply *reply)
{
    struct atls_store_session s = {.state = ATLS_SESSION_WAITING};
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_issuer *issuer;
    struct atls_store *store;
    int64_t now_s = now_wall_s();
    bool given = uri_parameter(&r->uri, "nonce") != NULL;
    enum atls_code code;

    if (!get_nonce(r, reply, s.nonce, &s.nonce_len) || !need_store(r, reply, &store) ||
        !need_issuer(r, reply, &issuer))
        return;
    s.expires_s = now_s + r->tenant->config->session_ttl_s;
    code = (given ? atls_store_session_open_given : atls_store_session_open)(
        store, atls_bytes_of(s.nonce, s.nonce_len), now_s, s.expires_s, s.id, &err);
    if (code == ATLS_E_LIMIT) {
        reply_header(reply, "Retry-After", "%lld",
                     (long long)(1 + r->tenant->config->session_ttl_s / 4));
        reply_problem(r, reply, 503, "too many sessions are open");
        return;
    }
    if (code != ATLS_OK) {
        reply_error(r, reply, &err);
        return;
    }
    reply_header(reply, "Location", "session/%s", s.id);
    write_session(r, reply, 201, &s);
}

/* ---- evidence ---- */

/* Wrappers; what is inside is the issuer's to judge. */
static const char *const cmw_types[] = {
    "application/cmw",
    "application/cmw+json",
    "application/cmw+cbor",
    "application/vnd.veraison.cmw",
    "application/vnd.veraison.cmw+json",
    "application/vnd.veraison.cmw+cbor",
};

/* The type as the issuer knows it; NULL when it does not. */
static const char *known_type(const struct atls_issuer *issuer, const struct media *media)
{
    const char *const *types = atls_issuer_media_types(issuer);
    struct media known;
    const char *rule;

    for (size_t i = 0; i < sizeof cmw_types / sizeof cmw_types[0]; i++)
        if (media->count == 0 && strcmp(media->type, cmw_types[i]) == 0)
            return cmw_types[i];
    for (; *types != NULL; types++)
        if (media_parse(*types, &known, &rule) && media_equal(&known, media))
            return *types;
    return NULL;
}

static void reply_unknown_type(struct request *r, struct reply *reply, const char *rule)
{
    reply_header(reply, "Accept", "%s", r->tenant->accept_header);
    reply_problem(r, reply, 415, "%s", rule);
}

bool session_begin(struct request *r, struct reply *reply)
{
    struct atls_issuer *issuer;
    const char *rule = NULL;

    if (r->method != METHOD_POST)
        return true;
    if (!need_issuer(r, reply, &issuer))
        return false;
    if (r->content_type == NULL || !media_parse(r->content_type, &r->media, &rule)) {
        reply_header(reply, "Accept", "%s", r->tenant->accept_header);
        reply_problem(r, reply, 415, "Content-Type: %s", rule != NULL ? rule : "missing");
        return false;
    }
    if ((r->media_text = known_type(issuer, &r->media)) == NULL) {
        reply_unknown_type(r, reply, "Content-Type: no evidence of this kind is appraised here");
        return false;
    }
    r->body_max = ATLS_CMW_DATA_MAX;
    if ((uint64_t)r->generation->config->limits.body < r->body_max)
        r->body_max = (size_t)r->generation->config->limits.body;
    return true;
}

static void log_decision(const struct request *r, const struct atls_issue_record *record)
{
    bool affirming = record->status == ATLS_TIER_AFFIRMING;
    struct log_line line;

    metric_add(METRIC_APPRAISALS, r->tenant->config->name, record->submod,
               atls_tier_name(record->status));
    if (!affirming)
        metric_add(METRIC_REFUSALS, r->tenant->config->name, atls_reason_name(record->reason),
                   NULL);
    log_begin(&line, ATLS_LOG_INFO, "appraisal");
    log_field(&line, "request", r->id);
    log_field(&line, "tenant", r->tenant->config->name);
    log_field(&line, "client", r->client);
    log_field(&line, "media_type", r->media_text);
    log_field(&line, "submod", record->submod);
    log_field(&line, "instance", record->instance);
    log_field(&line, "key", record->key);
    log_field(&line, "status", atls_tier_name(record->status));
    log_field(&line, "genuine", record->genuine ? "yes" : "no");
    log_field(&line, "reason", affirming ? "" : atls_reason_name(record->reason));
    log_field(&line, "explanation", record->explanation);
    log_field(&line, "kid", record->kid);
    log_number(&line, "duration_us", now_us() - r->start_us);
    log_end(&line);
}

/* Replaces what out holds. */
static bool copy(struct atls_buf *out, const void *ptr, size_t len)
{
    struct text t = {0};

    atls_buf_clear(out);
    text_add(&t, ptr, len);
    if (t.failed) {
        text_clear(&t);
        return false;
    }
    *out = (struct atls_buf){(uint8_t *)t.ptr, t.len};
    return true;
}

/* The session must wait: a used one is not even appraised. */
static bool get_waiting(struct request *r, struct reply *reply, struct atls_store *store,
                        struct atls_store_session *out)
{
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code = atls_store_session_get(store, r->session_id, now_wall_s(), out, &err);

    if (code == ATLS_E_NOT_FOUND) {
        reply_problem(r, reply, 404, "session: unknown or expired");
    } else if (code != ATLS_OK) {
        reply_error(r, reply, &err);
    } else if (out->state != ATLS_SESSION_WAITING) {
        reply_problem(r, reply, 409, "session: evidence was given already");
        atls_store_session_clear(out);
    } else {
        return true;
    }
    return false;
}

/* Keeps the result in the session, which only one caller can. Only what is kept goes out, so that a
 * session never has two results; and it is kept in one step, so that whatever fails, or ends this
 * process, leaves the session waiting or with its result. */
static bool keep_result(struct request *r, struct reply *reply, struct atls_store *store,
                        struct atls_buf *result, struct atls_store_session *s)
{
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code;

    s->state = ATLS_SESSION_COMPLETE;
    atls_buf_clear(&s->result);
    s->result = *result;
    *result = (struct atls_buf)ATLS_BUF_INIT;
    if (!copy(&s->media_type, r->media_text, strlen(r->media_text)) ||
        !copy(&s->evidence, r->body.ptr, r->body.len))
        code = set_error(&err, ATLS_E_NOMEM, "session: out of memory");
    else
        code = atls_store_session_finish(store, s, &err);
    if (code == ATLS_E_NOT_FOUND || code == ATLS_E_PROTOCOL)
        reply_problem(r, reply, code == ATLS_E_NOT_FOUND ? 404 : 409, "session: %s",
                      code == ATLS_E_NOT_FOUND ? "unknown or expired"
                                               : "evidence was given already");
    else if (code != ATLS_OK)
        reply_error(r, reply, &err);
    return code == ATLS_OK;
}

static void refuse_evidence(struct request *r, struct reply *reply, const struct atls_err *err)
{
    if (err->code == ATLS_E_UNSUPPORTED)
        reply_unknown_type(r, reply, err->message);
    else
        reply_error(r, reply, err);
}

/* Appraisal goes first and the session second: what fails in between leaves the session waiting, so
 * that the client just tries again. */
static void take_evidence(struct request *r, struct reply *reply, struct atls_store *store)
{
    struct atls_submission submission = {.media_type = r->media_text, .evidence = r->body};
    struct atls_store_session session = {.state = ATLS_SESSION_WAITING};
    struct atls_buf result = ATLS_BUF_INIT;
    struct atls_issue_record record = {0};
    struct atls_err err = ATLS_ERR_INIT;

    if (r->body.len == 0) {
        reply_problem(r, reply, 400, "body: empty, want evidence");
        return;
    }
    if (!get_waiting(r, reply, store, &session))
        return;
    submission.nonce = atls_bytes_of(session.nonce, session.nonce_len);
    submission.own_nonce = !atls_store_session_is_given(r->session_id);
    if (atls_issuer_issue(atomic_load(&r->tenant->issuer), &submission, &result, &record, &err) !=
        ATLS_OK) {
        refuse_evidence(r, reply, &err);
    } else if (keep_result(r, reply, store, &result, &session)) {
        log_decision(r, &record);
        write_session(r, reply, 200, &session);
    }
    atls_store_session_clear(&session);
    atls_buf_clear(&result);
}

static void show_session(struct request *r, struct reply *reply, struct atls_store *store)
{
    struct atls_store_session session = {.state = ATLS_SESSION_WAITING};
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code =
        atls_store_session_get(store, r->session_id, now_wall_s(), &session, &err);

    if (code == ATLS_E_NOT_FOUND) {
        reply_problem(r, reply, 404, "session: unknown or expired");
    } else if (code != ATLS_OK) {
        reply_error(r, reply, &err);
    } else {
        write_session(r, reply, 200, &session);
        atls_store_session_clear(&session);
    }
}

static void delete_session(struct request *r, struct reply *reply, struct atls_store *store)
{
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code = atls_store_session_remove(store, r->session_id, &err);

    if (code == ATLS_E_NOT_FOUND)
        reply_problem(r, reply, 404, "session: unknown or expired");
    else if (code != ATLS_OK)
        reply_error(r, reply, &err);
    else
        reply_start(reply, 204, NULL);
}

void session_answer(struct request *r, struct reply *reply)
{
    struct atls_store *store;

    if (!need_store(r, reply, &store))
        return;
    if (r->method == METHOD_POST)
        take_evidence(r, reply, store);
    else if (r->method == METHOD_GET)
        show_session(r, reply, store);
    else
        delete_session(r, reply, store);
}
