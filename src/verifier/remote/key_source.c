#include "verifier/remote/key_source.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "verifier/remote/file.h"
#include "verifier/remote/json.h"

#define FILE_MAX     65536
#define LOOK_EACH_MS 1000

struct atls_key_source {
    struct atls_service *service; /* or NULL: a file */
    char *path;
    pthread_mutex_t lock;       /* what follows */
    struct atls_ear_keys *keys; /* NULL after a change for the worse */
    struct stat state;          /* of the file that keys are from */
    int64_t looked_ms;
};

static enum atls_code new_source(struct atls_key_source **out, struct atls_err *err)
{
    struct atls_key_source *source = calloc(1, sizeof *source);

    if (source == NULL || pthread_mutex_init(&source->lock, NULL) != 0) {
        free(source);
        return atls_fail(err, ATLS_E_NOMEM, "verifier's keys: out of memory");
    }
    *out = source;
    return ATLS_OK;
}

void atls_key_source_free(struct atls_key_source *source)
{
    if (source == NULL)
        return;
    atls_service_unref(source->service);
    atls_ear_keys_unref(source->keys);
    pthread_mutex_destroy(&source->lock);
    free(source->path);
    free(source);
}

/* Reads the file anew into keys and state. */
static enum atls_code read_keys(struct atls_key_source *source, struct atls_err *err)
{
    struct atls_ear_keys *keys = NULL;
    struct atls_buf text = ATLS_BUF_INIT;
    struct stat state;
    enum atls_code code = atls_remote_read_file_as(source->path, FILE_MAX, &text, &state, err);

    if (code == ATLS_OK) {
        code = atls_ear_keys_parse(atls_buf_bytes(&text), &keys, err);
        if (code != ATLS_OK && code != ATLS_E_NOMEM)
            code = atls_remote_recode(err, ATLS_E_CONFIG, source->path);
    }
    atls_buf_clear(&text);
    atls_ear_keys_unref(source->keys);
    source->keys = keys;
    if (code == ATLS_OK)
        source->state = state;
    return code;
}

enum atls_code atls_key_source_file(const char *path, struct atls_key_source **out,
                                    struct atls_err *err)
{
    struct atls_key_source *source = NULL;
    enum atls_code code = new_source(&source, err);

    if (code != ATLS_OK)
        return code;
    if ((source->path = strdup(path)) == NULL)
        code = atls_fail(err, ATLS_E_NOMEM, "verifier's keys: out of memory");
    else
        code = read_keys(source, err);
    source->looked_ms = atls_http_now_ms();
    if (code != ATLS_OK) {
        atls_key_source_free(source);
        return code;
    }
    *out = source;
    return ATLS_OK;
}

enum atls_code atls_key_source_service(struct atls_service *service, struct atls_key_source **out,
                                       struct atls_err *err)
{
    struct atls_key_source *source = NULL;
    enum atls_code code;

    if (!atls_service_url(service)->is_https)
        return atls_fail(err, ATLS_E_CONFIG,
                         "%s: keys of results are found over https only; over http name a file",
                         atls_service_url(service)->text);
    if ((code = new_source(&source, err)) != ATLS_OK)
        return code;
    source->service = atls_service_ref(service);
    *out = source;
    return ATLS_OK;
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static enum atls_code look(struct atls_key_source *source, bool at_once, struct atls_err *err)
{
    int64_t now = atls_http_now_ms();
    struct stat state;

    if (!at_once && source->keys != NULL && now - source->looked_ms < LOOK_EACH_MS)
        return ATLS_OK;
    source->looked_ms = now;
    if (source->keys != NULL && stat(source->path, &state) == 0 &&
        is_same_file(&state, &source->state))
        return ATLS_OK;
    return read_keys(source, err);
}

static enum atls_code get_of_file(struct atls_key_source *source, bool at_once,
                                  struct atls_ear_keys **out, struct atls_err *err)
{
    enum atls_code code;

    pthread_mutex_lock(&source->lock);
    if ((code = look(source, at_once, err)) == ATLS_OK)
        *out = atls_ear_keys_ref(source->keys);
    pthread_mutex_unlock(&source->lock);
    return code;
}

static enum atls_code keys_of(const struct atls_discovery *d, const struct atls_service *service,
                              struct atls_ear_keys **out, struct atls_err *err)
{
    if (d->keys == NULL)
        return atls_fail(err, ATLS_E_PROTOCOL, "%s: discovery names no key of results",
                         atls_service_url(service)->text);
    *out = atls_ear_keys_ref(d->keys);
    return ATLS_OK;
}

enum atls_code atls_key_source_get(struct atls_key_source *source, int64_t deadline_ms,
                                   struct atls_ear_keys **out, struct atls_err *err)
{
    struct atls_discovery *d;
    enum atls_code code;

    if (source->service == NULL)
        return get_of_file(source, false, out, err);
    if ((code = atls_service_discover(source->service, deadline_ms, &d, err)) != ATLS_OK)
        return code;
    code = keys_of(d, source->service, out, err);
    atls_discovery_unref(d);
    return code;
}

enum atls_code atls_key_source_ping(struct atls_key_source *source, int64_t deadline_ms,
                                    struct atls_err *err)
{
    struct atls_ear_keys *keys = NULL;
    enum atls_code code;

    if (source->service == NULL)
        code = get_of_file(source, true, &keys, err);
    else if ((code = atls_service_ping(source->service, deadline_ms, err)) == ATLS_OK)
        code = atls_key_source_get(source, deadline_ms, &keys, err);
    if (code == ATLS_OK)
        atls_ear_keys_unref(keys);
    return code;
}

enum atls_code atls_key_source_renew(struct atls_key_source *source, struct atls_ear_keys *seen,
                                     int64_t deadline_ms, struct atls_ear_keys **out,
                                     struct atls_err *err)
{
    struct atls_discovery *d, *newer;
    enum atls_code code;

    if (source->service == NULL)
        return get_of_file(source, true, out, err);
    if ((code = atls_service_discover(source->service, deadline_ms, &d, err)) != ATLS_OK)
        return code;
    if (d->keys == seen) {
        code = atls_service_rediscover(source->service, d, deadline_ms, &newer, err);
        atls_discovery_unref(d);
        if (code != ATLS_OK)
            return code;
        d = newer;
    }
    code = keys_of(d, source->service, out, err);
    atls_discovery_unref(d);
    return code;
}

enum atls_code atls_key_source_judge(enum atls_code code, struct atls_err *err)
{
    switch (code) {
    case ATLS_OK:
    case ATLS_E_CONFIG:
    case ATLS_E_NOMEM:
    case ATLS_E_TIMEOUT:
    case ATLS_E_UNAVAILABLE:
        return code;
    default:
        return atls_remote_recode(err, ATLS_E_UNAVAILABLE, "keys of the verifier");
    }
}
