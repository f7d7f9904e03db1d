#include "double.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include <atls/issuer.h>
#include <atls/policy.h>
#include <atls/store.h>
#include <atls/verifier.h>

struct double_faults double_faults;
struct double_calls double_calls;

#define SESSIONS 64

struct atls_store {
    pthread_mutex_t lock;
    uint32_t max;
    struct atls_store_session sessions[SESSIONS];
};

struct atls_issuer {
    const char *const *types;
};

static enum atls_code fault(enum atls_code code, const char *what, struct atls_err *err)
{
    if (code != ATLS_OK && err != NULL) {
        err->code = code;
        snprintf(err->message, sizeof err->message, "%s: fault of the test", what);
    }
    return code;
}

static struct atls_buf copy(const void *ptr, size_t len)
{
    struct atls_buf b = {malloc(len + 1), len};

    if (b.ptr == NULL)
        abort();
    if (len > 0)
        memcpy(b.ptr, ptr, len);
    b.ptr[len] = '\0';
    return b;
}

/* ---- store ---- */

void atls_store_options_init(struct atls_store_options *options)
{
    *options = (struct atls_store_options){.size = sizeof *options};
}

enum atls_code atls_store_open_with(const char *location, const struct atls_store_options *options,
                                    struct atls_store **out, struct atls_err *err)
{
    enum atls_code code = fault(double_faults.open, location, err);

    double_calls.opens++;
    if (code != ATLS_OK)
        return code;
    if ((*out = calloc(1, sizeof **out)) == NULL)
        abort();
    pthread_mutex_init(&(*out)->lock, NULL);
    (*out)->max = options->sessions_max < SESSIONS ? options->sessions_max : SESSIONS;
    return ATLS_OK;
}

void atls_store_close(struct atls_store *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < SESSIONS; i++)
        atls_store_session_clear(&s->sessions[i]);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

enum atls_code atls_store_ping(struct atls_store *s, struct atls_err *err)
{
    (void)s;
    return fault(double_faults.ping, "ping", err);
}

void atls_store_session_clear(struct atls_store_session *session)
{
    atls_buf_clear(&session->media_type);
    atls_buf_clear(&session->evidence);
    atls_buf_clear(&session->result);
    memset(session, 0, sizeof *session);
}

static struct atls_store_session *find(struct atls_store *s, const char *id)
{
    for (size_t i = 0; i < SESSIONS; i++)
        if (strcmp(s->sessions[i].id, id) == 0)
            return &s->sessions[i];
    return NULL;
}

static enum atls_code session_open(struct atls_store *s, struct atls_bytes nonce, int64_t now_s,
                                   int64_t expires_s, char out_id[ATLS_SESSION_ID_TEXT],
                                   struct atls_err *err)
{
    struct atls_store_session *session;
    uint8_t r[8];

    (void)now_s;
    if (double_faults.session_open != ATLS_OK)
        return fault(double_faults.session_open, "session", err);
    if ((session = find(s, "")) == NULL || (size_t)(session - s->sessions) >= s->max)
        return fault(ATLS_E_LIMIT, "session", err);
    if (RAND_bytes(r, sizeof r) != 1)
        abort();
    snprintf(session->id, sizeof session->id,
             "%02x%02x%02x%02x-%02x%02x-4000-8000-%02x%02x00000000", r[0], r[1], r[2], r[3], r[4],
             r[5], r[6], r[7]);
    memcpy(session->nonce, nonce.ptr, nonce.len);
    session->nonce_len = nonce.len;
    session->state = ATLS_SESSION_WAITING;
    session->expires_s = expires_s;
    memcpy(out_id, session->id, sizeof session->id);
    return ATLS_OK;
}

static enum atls_code get(struct atls_store *s, const char *id, int64_t now_s,
                          struct atls_store_session **out, struct atls_err *err)
{
    *out = find(s, id);
    if (*out == NULL || (*out)->expires_s <= now_s)
        return fault(ATLS_E_NOT_FOUND, "session", err);
    return ATLS_OK;
}

static enum atls_code session_get(struct atls_store *s, const char *id, int64_t now_s,
                                  struct atls_store_session *out, struct atls_err *err)
{
    struct atls_store_session *session;
    enum atls_code code = fault(double_faults.session_get, "session", err);

    if (code != ATLS_OK || (code = get(s, id, now_s, &session, err)) != ATLS_OK)
        return code;
    *out = *session;
    out->media_type = copy(session->media_type.ptr, session->media_type.len);
    out->evidence = copy(session->evidence.ptr, session->evidence.len);
    out->result = copy(session->result.ptr, session->result.len);
    return ATLS_OK;
}

static enum atls_code session_finish(struct atls_store *s, const struct atls_store_session *session,
                                     struct atls_err *err)
{
    struct atls_store_session *kept = find(s, session->id);

    if (double_faults.session_finish != ATLS_OK)
        return fault(double_faults.session_finish, "session", err);
    if (kept == NULL)
        return fault(ATLS_E_NOT_FOUND, "session", err);
    if (kept->state != ATLS_SESSION_WAITING)
        return fault(ATLS_E_PROTOCOL, "session", err);
    kept->state = session->state;
    kept->media_type = copy(session->media_type.ptr, session->media_type.len);
    kept->evidence = copy(session->evidence.ptr, session->evidence.len);
    kept->result = copy(session->result.ptr, session->result.len);
    return ATLS_OK;
}

static enum atls_code session_remove(struct atls_store *s, const char *id, struct atls_err *err)
{
    struct atls_store_session *session = find(s, id);

    if (double_faults.session_remove != ATLS_OK)
        return fault(double_faults.session_remove, "session", err);
    if (session == NULL)
        return fault(ATLS_E_NOT_FOUND, "session", err);
    atls_store_session_clear(session);
    return ATLS_OK;
}

static enum atls_code session_sweep(struct atls_store *s, int64_t now_s, size_t *out_open,
                                    struct atls_err *err)
{
    size_t open = 0;

    double_calls.sweeps++;
    for (size_t i = 0; i < SESSIONS; i++) {
        if (s->sessions[i].id[0] != '\0' && s->sessions[i].expires_s <= now_s)
            atls_store_session_clear(&s->sessions[i]);
        open += s->sessions[i].id[0] != '\0';
    }
    *out_open = open;
    return fault(double_faults.sweep, "sweep", err);
}

/* The same, one thread at a time. */
enum atls_code atls_store_session_open(struct atls_store *s, struct atls_bytes nonce, int64_t now_s,
                                       int64_t expires_s, char out_id[ATLS_SESSION_ID_TEXT],
                                       struct atls_err *err)
{
    enum atls_code code;

    pthread_mutex_lock(&s->lock);
    code = session_open(s, nonce, now_s, expires_s, out_id, err);
    pthread_mutex_unlock(&s->lock);
    return code;
}

enum atls_code atls_store_session_open_given(struct atls_store *s, struct atls_bytes nonce,
                                             int64_t now_s, int64_t expires_s,
                                             char out_id[ATLS_SESSION_ID_TEXT],
                                             struct atls_err *err)
{
    enum atls_code code = atls_store_session_open(s, nonce, now_s, expires_s, out_id, err);
    struct atls_store_session *made = NULL;

    pthread_mutex_lock(&s->lock);
    if (code == ATLS_OK && (made = find(s, out_id)) != NULL)
        made->id[14] = out_id[14] = '8';
    pthread_mutex_unlock(&s->lock);
    return code;
}

bool atls_store_session_is_given(const char *id)
{
    return id[14] == '8';
}

enum atls_code atls_store_session_get(struct atls_store *s, const char *id, int64_t now_s,
                                      struct atls_store_session *out, struct atls_err *err)
{
    enum atls_code code;

    pthread_mutex_lock(&s->lock);
    code = session_get(s, id, now_s, out, err);
    pthread_mutex_unlock(&s->lock);
    return code;
}

enum atls_code atls_store_session_finish(struct atls_store *s,
                                         const struct atls_store_session *session,
                                         struct atls_err *err)
{
    enum atls_code code;

    pthread_mutex_lock(&s->lock);
    code = session_finish(s, session, err);
    pthread_mutex_unlock(&s->lock);
    return code;
}

enum atls_code atls_store_session_remove(struct atls_store *s, const char *id, struct atls_err *err)
{
    enum atls_code code;

    pthread_mutex_lock(&s->lock);
    code = session_remove(s, id, err);
    pthread_mutex_unlock(&s->lock);
    return code;
}

enum atls_code atls_store_session_sweep(struct atls_store *s, int64_t now_s, size_t *out_open,
                                        struct atls_err *err)
{
    enum atls_code code;

    pthread_mutex_lock(&s->lock);
    code = session_sweep(s, now_s, out_open, err);
    pthread_mutex_unlock(&s->lock);
    return code;
}

enum atls_code atls_store_signing_keys_jwks(struct atls_store *s, int64_t time_s,
                                            struct atls_buf *out, struct atls_err *err)
{
    static const char jwks[] = "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"first\"},"
                               "{\"kty\":\"EC\",\"crv\":\"P-384\",\"kid\":\"second\"}]}";

    (void)s;
    (void)time_s;
    if (double_faults.keys != ATLS_OK)
        return fault(double_faults.keys, "keys", err);
    *out = copy(jwks, sizeof jwks - 1);
    return ATLS_OK;
}

void atls_store_corim_options_init(struct atls_store_corim_options *options)
{
    *options = (struct atls_store_corim_options){.size = sizeof *options};
}

enum atls_code atls_store_import_corim_as(struct atls_store *s, struct atls_bytes corim,
                                          const struct atls_store_corim_options *options,
                                          struct atls_store_import_report *out,
                                          struct atls_err *err)
{
    (void)corim;
    pthread_mutex_lock(&s->lock);
    double_calls.imports++;
    double_calls.allow_unsigned = options->allow_unsigned;
    double_calls.anchors = options->anchors.len > 0;
    double_calls.signer = options->signer_spki.len > 0;
    snprintf(double_calls.profile, sizeof double_calls.profile, "%s", options->profile);
    pthread_mutex_unlock(&s->lock);
    if (double_faults.import != ATLS_OK)
        return fault(double_faults.import, "corim", err);
    *out = (struct atls_store_import_report){
        .manifest_id = "manifest-1", .reference_values = 2, .attest_keys = 1};
    return ATLS_OK;
}

/* ---- issuer ---- */

static const char *const types[] = {DOUBLE_EVIDENCE, DOUBLE_EAT, NULL};

enum atls_code atls_verifier_check_rules(const char *const *list, struct atls_err *err)
{
    for (; list != NULL && *list != NULL; list++)
        if (strncmp(*list, "no.", 3) == 0)
            return fault(ATLS_E_CONFIG, *list, err);
    return ATLS_OK;
}

void atls_issuer_options_init(struct atls_issuer_options *options)
{
    memset(options, 0, sizeof *options);
    options->size = sizeof *options;
}

enum atls_code atls_issuer_new(const struct atls_issuer_options *options, struct atls_issuer **out,
                               struct atls_err *err)
{
    for (size_t i = 0; options->rules != NULL && options->rules[i] != NULL; i++)
        snprintf(double_calls.rule, sizeof double_calls.rule, "%s", options->rules[i]);
    if (double_faults.issuer != ATLS_OK)
        return fault(double_faults.issuer, "issuer", err);
    if ((*out = calloc(1, sizeof **out)) == NULL)
        abort();
    (*out)->types = types;
    return ATLS_OK;
}

void atls_issuer_free(struct atls_issuer *issuer)
{
    free(issuer);
}

const char *const *atls_issuer_media_types(const struct atls_issuer *issuer)
{
    return issuer->types;
}

/* Evidence "good" is affirming. */
enum atls_code atls_issuer_issue(struct atls_issuer *issuer,
                                 const struct atls_submission *submission, struct atls_buf *out,
                                 struct atls_issue_record *record, struct atls_err *err)
{
    bool good = submission->evidence.len == 4 && memcmp(submission->evidence.ptr, "good", 4) == 0;

    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

    (void)issuer;
    pthread_mutex_lock(&lock);
    double_calls.issues++;
    double_calls.own_nonce = submission->own_nonce;
    snprintf(double_calls.media_type, sizeof double_calls.media_type, "%s", submission->media_type);
    for (size_t i = 0; i < submission->nonce.len; i++)
        snprintf(double_calls.nonce + 2 * i, 3, "%02x", submission->nonce.ptr[i]);
    pthread_mutex_unlock(&lock);
    if (double_faults.issue != ATLS_OK)
        return fault(double_faults.issue, "evidence", err);
    *record =
        (struct atls_issue_record){.status = good ? ATLS_TIER_AFFIRMING : ATLS_TIER_CONTRAINDICATED,
                                   .reason = good ? ATLS_REASON_NONE : ATLS_REASON_SIGNATURE,
                                   .genuine = good,
                                   .submod = "TEST"};
    *out = copy(DOUBLE_RESULT, sizeof DOUBLE_RESULT - 1);
    return ATLS_OK;
}

/* ---- policy ---- */

enum atls_code atls_policy_load(const char *path, struct atls_policy **out, struct atls_err *err)
{
    if (double_faults.policy != ATLS_OK)
        return fault(double_faults.policy, path, err);
    *out = NULL;
    return ATLS_OK;
}

void atls_policy_unref(struct atls_policy *p)
{
    (void)p;
}

const char *atls_tier_name(enum atls_tier tier)
{
    return tier == ATLS_TIER_AFFIRMING ? "affirming" : "contraindicated";
}
