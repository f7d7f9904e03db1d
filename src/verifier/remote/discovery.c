#include "verifier/remote/discovery.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "core/err.h"
#include "core/log.h"
#include "core/reader.h"
#include "verifier/remote/json.h"
#include "verifier/remote/session.h"
#include "wire/cmw.h"

#define VERSION_MAX 128
/* Copies of media types and the version, escaped. */
#define ARENA_MAX (ATLS_DISCOVERY_TYPES_MAX * (ATLS_MEDIA_TYPE_MAX + 32) + 8 * VERSION_MAX)

/* ---- the document ---- */

void atls_discovery_unref(struct atls_discovery *d)
{
    if (d == NULL || atomic_fetch_sub_explicit(&d->references, 1, memory_order_acq_rel) != 1)
        return;
    atls_ear_keys_unref(d->keys);
    atls_arena_clear(&d->arena);
    free(d);
}

static struct atls_discovery *ref(struct atls_discovery *d)
{
    atomic_fetch_add_explicit(&d->references, 1, memory_order_relaxed);
    return d;
}

static enum atls_code out_of_memory(struct atls_err *err)
{
    return atls_fail(err, ATLS_E_NOMEM, "discovery: out of memory");
}

static enum atls_code read_state(const json_t *root, struct atls_err *err)
{
    struct atls_bytes text;
    char shown[64];
    enum atls_code code =
        atls_remote_json_text(root, "service-state", ATLS_JSON_OPTIONAL, VERSION_MAX, &text, err);

    if (code != ATLS_OK || text.len == 0 || atls_bytes_equal_text(text, "READY"))
        return code;
    return atls_fail(err, ATLS_E_UNAVAILABLE, "discovery: the service is %s, want READY",
                     atls_escape(text, shown, sizeof shown));
}

static enum atls_code read_version(const json_t *root, struct atls_discovery *d,
                                   struct atls_err *err)
{
    struct atls_bytes text;
    enum atls_code code =
        atls_remote_json_text(root, "version", ATLS_JSON_OPTIONAL, VERSION_MAX, &text, err);
    char *copy;

    d->version = "";
    if (code != ATLS_OK || text.len == 0)
        return code;
    if ((copy = atls_arena_alloc(&d->arena, 4 * text.len + 1, 1)) == NULL)
        return out_of_memory(err);
    d->version = atls_escape(text, copy, 4 * text.len + 1);
    return ATLS_OK;
}

/* Behind a proxy a service may or may not know its prefix: a path that has it is taken as it is. */
static enum atls_code read_endpoint(const json_t *root, const struct atls_url *base,
                                    struct atls_discovery *d, struct atls_err *err)
{
    const json_t *endpoints = json_object_get(root, "api-endpoints");
    const char *prefix = atls_url_path(base);
    size_t len = strlen(prefix);
    struct atls_bytes path;
    enum atls_code code;

    if (!json_is_object(endpoints))
        return atls_fail(err, ATLS_E_PROTOCOL, "discovery: api-endpoints is no object");
    if ((code = atls_remote_json_text(endpoints, "newChallengeResponseSession", ATLS_JSON_REQUIRED,
                                      ATLS_URL_MAX, &path, err)) != ATLS_OK)
        return code;
    if (path.ptr[0] != '/' || (path.len > len + 1 && memcmp(path.ptr, prefix, len) == 0 &&
                               path.ptr[len] == '/' && len > 0))
        return atls_url_resolve(base, path, &d->new_session, err);
    return atls_url_append(base, path, &d->new_session, err);
}

static enum atls_code read_media_types(const json_t *root, struct atls_discovery *d,
                                       struct atls_err *err)
{
    const json_t *list = json_object_get(root, "media-types");

    if (!json_is_array(list) || json_array_size(list) > ATLS_DISCOVERY_TYPES_MAX)
        return atls_fail(err, ATLS_E_PROTOCOL, "discovery: media-types is no array of at most %d",
                         ATLS_DISCOVERY_TYPES_MAX);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        size_t len = json_is_string(item) ? json_string_length(item) : 0;
        char *copy;

        if (len == 0 || len > ATLS_MEDIA_TYPE_MAX ||
            !atls_content_type_valid(atls_bytes_of(json_string_value(item), len)))
            return atls_fail(err, ATLS_E_PROTOCOL,
                             "discovery: media-types: number %zu is no media type", i);
        if ((copy = atls_arena_alloc(&d->arena, len + 1, 1)) == NULL)
            return out_of_memory(err);
        memcpy(copy, json_string_value(item), len);
        d->media_types[d->media_type_count++] = atls_bytes_of(copy, len);
    }
    return ATLS_OK;
}

static enum atls_code read_keys(const json_t *root, struct atls_discovery *d, struct atls_err *err)
{
    const json_t *value = json_object_get(root, "ear-verification-keys");
    enum atls_code code;
    char *text;

    if (value == NULL)
        value = json_object_get(root, "ear-verification-key");
    if (value == NULL)
        return ATLS_OK;
    if (!json_is_object(value))
        return atls_fail(err, ATLS_E_PROTOCOL, "discovery: the verification key is no JWK");
    if ((text = json_dumps(value, JSON_COMPACT)) == NULL)
        return out_of_memory(err);
    code = atls_ear_keys_parse(atls_bytes_of(text, strlen(text)), &d->keys, err);
    free(text);
    if (code != ATLS_OK && code != ATLS_E_NOMEM)
        code = atls_remote_recode(err, ATLS_E_PROTOCOL, "discovery: verification key");
    return code;
}

enum atls_code atls_discovery_decode(struct atls_bytes json, const struct atls_url *base,
                                     struct atls_discovery **out, struct atls_err *err)
{
    struct atls_discovery *d;
    enum atls_code code;
    json_t *root;

    if ((code = atls_remote_json_load(json, "discovery", &root, err)) != ATLS_OK)
        return code;
    if ((d = calloc(1, sizeof *d)) == NULL) {
        json_decref(root);
        return out_of_memory(err);
    }
    atomic_init(&d->references, 1);
    d->arena = atls_arena_init(ARENA_MAX);
    if ((code = read_state(root, err)) == ATLS_OK &&
        (code = read_version(root, d, err)) == ATLS_OK &&
        (code = read_endpoint(root, base, d, err)) == ATLS_OK &&
        (code = read_media_types(root, d, err)) == ATLS_OK && base->is_https)
        code = read_keys(root, d, err);
    json_decref(root);
    if (code != ATLS_OK) {
        atls_discovery_unref(d);
        return code;
    }
    *out = d;
    return ATLS_OK;
}

/* ---- the service ---- */

struct atls_service {
    atomic_uint references;
    struct atls_url url, discovery_url;
    struct atls_http *http;
    struct atls_log log;
    pthread_mutex_t lock;
    pthread_cond_t asked;
    bool asking;                    /* a thread is at it */
    struct atls_discovery *current; /* or NULL */
    int64_t asked_ms, until_ms;     /* of current */
};

static bool start_locks(struct atls_service *s)
{
    pthread_condattr_t attributes;
    bool ok;

    if (pthread_condattr_init(&attributes) != 0)
        return false;
    ok = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
         pthread_cond_init(&s->asked, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    if (ok && pthread_mutex_init(&s->lock, NULL) != 0) {
        pthread_cond_destroy(&s->asked);
        ok = false;
    }
    return ok;
}

enum atls_code atls_service_new(const struct atls_service_options *options,
                                struct atls_service **out, struct atls_err *err)
{
    static const struct atls_bytes path = {(const uint8_t *)ATLS_DISCOVERY_PATH,
                                           sizeof ATLS_DISCOVERY_PATH - 1};
    struct atls_service *s = calloc(1, sizeof *s);
    enum atls_code code;

    if (s == NULL || !start_locks(s)) {
        free(s);
        return atls_fail(err, ATLS_E_NOMEM, "verifier service: out of memory");
    }
    atomic_init(&s->references, 1);
    s->log = options->log;
    if ((code = atls_url_parse(options->url, &s->url, err)) == ATLS_OK) {
        code = atls_url_append(&s->url, path, &s->discovery_url, err);
        if (code != ATLS_OK)
            code = atls_remote_recode(err, ATLS_E_CONFIG, "verifier service");
    }
    if (code == ATLS_OK)
        code = atls_http_new(&options->http, &s->http, err);
    if (code != ATLS_OK) {
        atls_service_unref(s);
        return code;
    }
    *out = s;
    return ATLS_OK;
}

struct atls_service *atls_service_ref(struct atls_service *s)
{
    atomic_fetch_add_explicit(&s->references, 1, memory_order_relaxed);
    return s;
}

void atls_service_unref(struct atls_service *s)
{
    if (s == NULL || atomic_fetch_sub_explicit(&s->references, 1, memory_order_acq_rel) != 1)
        return;
    atls_discovery_unref(s->current);
    atls_http_free(s->http);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->asked);
    free(s);
}

const struct atls_url *atls_service_url(const struct atls_service *s)
{
    return &s->url;
}

struct atls_http *atls_service_http(struct atls_service *s)
{
    return s->http;
}

/* Over the network; no lock is held. */
static enum atls_code ask(struct atls_service *s, int64_t deadline_ms, struct atls_discovery **out,
                          int64_t *out_age_s, struct atls_err *err)
{
    const struct atls_http_request request = {
        .method = "GET",
        .url = s->discovery_url.text,
        .accept = ATLS_DISCOVERY_TYPE ", application/json;q=0.5",
        .deadline_ms = deadline_ms,
    };
    struct atls_http_response response;
    enum atls_code code = atls_http_exchange(s->http, &request, &response, err);

    if (code != ATLS_OK)
        return code;
    if (response.status != 200)
        code = atls_http_unwanted(&response, "discovery", err);
    else if (!atls_http_is(&response, ATLS_DISCOVERY_TYPE) &&
             !atls_http_is(&response, "application/json"))
        code = atls_fail(err, ATLS_E_PROTOCOL, "discovery: the answer is not " ATLS_DISCOVERY_TYPE);
    else
        code = atls_discovery_decode(atls_buf_bytes(&response.body), &s->url, out, err);
    *out_age_s = response.max_age_s;
    atls_http_response_clear(&response);
    return code;
}

static int64_t bounded_age_ms(int64_t age_s)
{
    if (age_s < 0)
        age_s = ATLS_DISCOVERY_AGE_DEFAULT_S;
    if (age_s < ATLS_DISCOVERY_AGE_MIN_S)
        age_s = ATLS_DISCOVERY_AGE_MIN_S;
    if (age_s > ATLS_DISCOVERY_AGE_MAX_S)
        age_s = ATLS_DISCOVERY_AGE_MAX_S;
    return age_s * 1000;
}

/* With the lock held: what is on file from now on. */
static void keep(struct atls_service *s, struct atls_discovery *found, int64_t age_s)
{
    atls_discovery_unref(s->current);
    s->current = found;
    s->asked_ms = atls_http_now_ms();
    s->until_ms = s->asked_ms + bounded_age_ms(age_s);
    atls_log(&s->log, ATLS_LOG_DEBUG, "verifier", "%s: version \"%s\", %zu media types",
             s->url.text, found->version, found->media_type_count);
}

/* With the lock held: asks without it, and leaves the answer in s->current. */
static enum atls_code replace(struct atls_service *s, int64_t deadline_ms, struct atls_err *err)
{
    struct atls_discovery *found = NULL;
    enum atls_code code;
    int64_t age_s = -1;

    s->asking = true;
    pthread_mutex_unlock(&s->lock);
    code = ask(s, deadline_ms, &found, &age_s, err);
    pthread_mutex_lock(&s->lock);
    s->asking = false;
    s->asked_ms = atls_http_now_ms();
    pthread_cond_broadcast(&s->asked);
    if (code == ATLS_OK)
        keep(s, found, age_s);
    return code;
}

enum atls_code atls_service_ping(struct atls_service *s, int64_t deadline_ms, struct atls_err *err)
{
    struct atls_discovery *found = NULL;
    int64_t age_s = -1;
    enum atls_code code = ask(s, deadline_ms, &found, &age_s, err);

    if (code != ATLS_OK)
        return code;
    pthread_mutex_lock(&s->lock);
    keep(s, found, age_s);
    pthread_mutex_unlock(&s->lock);
    return ATLS_OK;
}

/* True when what is on file has to do for somebody who has seen that. */
static bool is_good(const struct atls_service *s, const struct atls_discovery *seen, int64_t now)
{
    return s->current != NULL && now < s->until_ms &&
           (seen != s->current || now - s->asked_ms < ATLS_DISCOVERY_RENEW_MS);
}

enum atls_code atls_service_rediscover(struct atls_service *s, const struct atls_discovery *seen,
                                       int64_t deadline_ms, struct atls_discovery **out,
                                       struct atls_err *err)
{
    struct timespec until = {.tv_sec = (time_t)(deadline_ms / 1000),
                             .tv_nsec = (long)(deadline_ms % 1000) * 1000000};
    enum atls_code code = ATLS_OK;
    bool waiting = true;

    pthread_mutex_lock(&s->lock);
    while (!is_good(s, seen, atls_http_now_ms()) && s->asking && waiting)
        waiting = pthread_cond_timedwait(&s->asked, &s->lock, &until) == 0;
    if (!is_good(s, seen, atls_http_now_ms())) {
        if (s->asking)
            code = atls_fail_reason(err, ATLS_E_TIMEOUT, ATLS_REASON_DEADLINE,
                                    "discovery: no answer before the deadline");
        else
            code = replace(s, deadline_ms, err);
    }
    if (code == ATLS_OK)
        *out = ref(s->current);
    pthread_mutex_unlock(&s->lock);
    return code;
}

enum atls_code atls_service_discover(struct atls_service *s, int64_t deadline_ms,
                                     struct atls_discovery **out, struct atls_err *err)
{
    return atls_service_rediscover(s, NULL, deadline_ms, out, err);
}
