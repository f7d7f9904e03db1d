#include <atls/attester.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <atls/limits.h>

#include "attester/batch.h"
#include "attester/file.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/reader.h"
#include "core/writer.h"
#include "crypto/crypto.h"

/* A chain of ATLS_CHAIN_MAX certificates in PEM; the largest certificates in use are 10 kB. */
#define CHAIN_FILE_MAX (256 * 1024)
/* "99991231235959Z": a self-signed certificate says nothing about time (RFC 5280 section 4.1.2.5).
 */
#define NO_EXPIRY_S INT64_C(253402300799)
/* A peer whose clock is behind must not find the fresh certificate not yet valid. */
#define CLOCK_SKEW_S (24 * 3600)

/* struct atls_attester_options as first published. */
#define OPTIONS_SIZE_FIRST (offsetof(struct atls_attester_options, log) + sizeof(struct atls_log))

struct atls_attester {
    atomic_size_t references;
    const struct atls_attester_ops *ops;
    void *self;
    struct atls_buf
        certificates[ATLS_CHAIN_MAX + 1];    /* one more, to see that a file has too many */
    struct atls_bytes chain[ATLS_CHAIN_MAX]; /* views of certificates */
    size_t chain_count;
    struct atls_batch_source source; /* of queue */
    atls_attester_made *made;
    void *made_arg;
    struct atls_batch_queue *queue;
};

#define BATCH_OPTION "batch="

void atls_attester_options_init(struct atls_attester_options *options)
{
    *options = (struct atls_attester_options){.size = sizeof *options};
}

/* A caller built against an older header has fewer members: what it lacks keeps its default. */
static enum atls_code take_options(const struct atls_attester_options *options,
                                   struct atls_attester_options *out, struct atls_err *err)
{
    atls_attester_options_init(out);
    if (options == NULL)
        return ATLS_OK;
    if (options->size < OPTIONS_SIZE_FIRST || options->size > sizeof *out)
        return atls_fail(err, ATLS_E_USAGE,
                         "attester options: size is %zu, want %zu to %zu; call "
                         "atls_attester_options_init first",
                         options->size, OPTIONS_SIZE_FIRST, sizeof *out);
    memcpy(out, options, options->size);
    return ATLS_OK;
}

/* The backend whose scheme uri starts with, or NULL with ATLS_E_CONFIG in err. */
static const struct atls_attester_ops *
find_backend(const char *uri, const struct atls_attester_ops *const *backends, struct atls_err *err)
{
    const char *colon = strchr(uri, ':');

    if (colon == NULL) {
        atls_fail(err, ATLS_E_CONFIG, "attester: \"%s\" is no URI, want SCHEME:...", uri);
        return NULL;
    }
    for (; *backends != NULL; backends++) {
        size_t len = strlen((*backends)->scheme);

        if (len == (size_t)(colon - uri) && memcmp((*backends)->scheme, uri, len) == 0)
            return *backends;
    }
    atls_fail(err, ATLS_E_CONFIG, "attester: no backend for scheme \"%.*s\"", (int)(colon - uri),
              uri);
    return NULL;
}

/* Takes "batch=on|off" out of what follows the scheme, in place: it is not the backend's. */
static enum atls_code take_batch_option(const char *scheme, char *rest, bool *out,
                                        struct atls_err *err)
{
    char *from = strchr(rest, '?');
    size_t seen = 0;

    while (from != NULL) {
        const size_t len = strcspn(from + 1, "&");
        const char *value = from + 1 + strlen(BATCH_OPTION);
        const size_t value_len = len - strlen(BATCH_OPTION);

        if (strncmp(from + 1, BATCH_OPTION, strlen(BATCH_OPTION)) != 0) {
            from = strchr(from + 1, '&');
            continue;
        }
        if (seen++ != 0)
            return atls_fail(err, ATLS_E_CONFIG, "%s: option \"batch\" is given twice", scheme);
        *out = value_len == 2 && memcmp(value, "on", 2) == 0;
        if (!*out && !(value_len == 3 && memcmp(value, "off", 3) == 0))
            return atls_fail(err, ATLS_E_CONFIG, "%s: batch=%.*s, want on or off", scheme,
                             (int)value_len, value);
        if (from[1 + len] == '&') /* the separator before stays, that behind goes */
            memmove(from + 1, from + 1 + len + 1, strlen(from + 1 + len));
        else {
            *from = '\0';
            from = NULL;
        }
    }
    return ATLS_OK;
}

/* The queue before the device, once the backend is there. */
static enum atls_code make_queue(struct atls_attester *a, bool batches, struct atls_err *err)
{
    a->source.owner = a;
    a->source.self = a->self;
    a->source.evidence = a->ops->evidence;
    a->source.profiles = a->ops->profiles != 0 ? a->ops->profiles : ATLS_PROFILE_KAT;
    a->source.batches = batches && a->ops->quoter != NULL;
    if (a->ops->quoter != NULL)
        a->ops->quoter(a->self, &a->source.quoter);
    return atls_batch_queue_new(&a->source, &a->queue, err);
}

static enum atls_code sign_certificate(void *arg, enum atls_signature scheme, struct atls_bytes tbs,
                                       struct atls_buf *out, struct atls_err *err)
{
    return atls_attester_sign(arg, scheme, tbs, out, err);
}

static enum atls_code make_certificate(struct atls_attester *a,
                                       const struct atls_attester_options *options,
                                       struct atls_err *err)
{
    const struct atls_certificate_spec spec = {
        .common_name = options->common_name != NULL ? options->common_name : "atls attester",
        .dns_names = options->dns_names,
        .not_before_s = atls_clock_wall_s(NULL) - CLOCK_SKEW_S,
        .not_after_s = NO_EXPIRY_S,
        .scheme = a->ops->aik_scheme(a->self),
        .spki = a->ops->aik_spki(a->self),
        .sign = sign_certificate,
        .sign_arg = a,
    };
    enum atls_code code = atls_certificate_make(&spec, &a->certificates[0], err);

    if (code == ATLS_OK)
        a->chain_count = 1;
    return code;
}

static enum atls_code load_certificate(struct atls_attester *a, const char *path,
                                       struct atls_err *err)
{
    struct atls_buf pem = ATLS_BUF_INIT;
    struct atls_bytes spki;
    size_t count = 0;
    enum atls_code code = atls_file_read("attester certificate", path, CHAIN_FILE_MAX, &pem, err);

    if (code != ATLS_OK)
        return code;
    code = atls_certificates_from_pem(atls_buf_bytes(&pem), a->certificates, ATLS_CHAIN_MAX + 1,
                                      &count, err);
    atls_buf_clear(&pem);
    if (code != ATLS_OK)
        return atls_err_prefix(err, code, path);
    if (count == 0 || count > ATLS_CHAIN_MAX)
        return atls_fail(err, ATLS_E_CONFIG, "attester certificate: %s holds %s, want 1 to %d",
                         path, count == 0 ? "none" : "too many", ATLS_CHAIN_MAX);
    code = atls_certificate_spki(atls_buf_bytes(&a->certificates[0]), &spki, err);
    if (code != ATLS_OK)
        return atls_err_prefix(err, code, path);
    if (!atls_bytes_equal(spki, a->ops->aik_spki(a->self)))
        return atls_fail(err, ATLS_E_CONFIG,
                         "attester certificate: the first certificate of %s is of another key than "
                         "the attestation identity key",
                         path);
    a->chain_count = count;
    return ATLS_OK;
}

static enum atls_code open_backend(struct atls_attester *a, char *rest,
                                   const struct atls_attester_options *options,
                                   struct atls_err *err)
{
    bool batches = true;
    enum atls_code code = ATLS_OK;

    if (a->ops->quoter != NULL)
        code = take_batch_option(a->ops->scheme, rest, &batches, err);
    if (code != ATLS_OK || (code = a->ops->open(rest, options, &a->self, err)) != ATLS_OK ||
        (code = make_queue(a, batches, err)) != ATLS_OK)
        return code;
    code = options->certificate != NULL ? load_certificate(a, options->certificate, err)
                                        : make_certificate(a, options, err);
    for (size_t i = 0; i < a->chain_count; i++)
        a->chain[i] = atls_buf_bytes(&a->certificates[i]);
    return code;
}

enum atls_code atls_attester_open(const char *uri, const struct atls_attester_ops *const *backends,
                                  const struct atls_attester_options *options,
                                  struct atls_attester **out, struct atls_err *err)
{
    struct atls_attester_options known;
    const struct atls_attester_ops *ops;
    struct atls_attester *a;
    char *rest;
    enum atls_code code;

    if ((code = take_options(options, &known, err)) != ATLS_OK)
        return code;
    if ((ops = find_backend(uri, backends, err)) == NULL)
        return ATLS_E_CONFIG;
    if (ops->insecure && !known.insecure)
        return atls_fail(err, ATLS_E_CONFIG,
                         "attester: \"%s\" is insecure, anyone can make its evidence; it must be "
                         "allowed by name",
                         ops->scheme);
    rest = strdup(uri + strlen(ops->scheme) + 1);
    if ((a = calloc(1, sizeof *a)) == NULL || rest == NULL) {
        free(a);
        free(rest);
        return atls_fail(err, ATLS_E_NOMEM, "attester: out of memory");
    }
    atomic_init(&a->references, 1);
    a->ops = ops;
    a->made = known.made;
    a->made_arg = known.made_arg;
    code = open_backend(a, rest, &known, err);
    free(rest);
    if (code != ATLS_OK) {
        atls_attester_unref(a);
        return code;
    }
    *out = a;
    return ATLS_OK;
}

struct atls_attester *atls_attester_ref(struct atls_attester *a)
{
    atomic_fetch_add_explicit(&a->references, 1, memory_order_relaxed);
    return a;
}

void atls_attester_unref(struct atls_attester *a)
{
    if (a == NULL || atomic_fetch_sub_explicit(&a->references, 1, memory_order_acq_rel) != 1)
        return;
    atls_batch_queue_free(a->queue);
    if (a->self != NULL)
        a->ops->close(a->self);
    for (size_t i = 0; i < ATLS_CHAIN_MAX + 1; i++)
        atls_buf_clear(&a->certificates[i]);
    free(a);
}

const char *atls_attester_scheme(const struct atls_attester *a)
{
    return a->ops->scheme;
}

const char *atls_attester_evidence_type(const struct atls_attester *a)
{
    return a->ops->evidence_type_of != NULL ? a->ops->evidence_type_of(a->self)
                                            : a->ops->evidence_type;
}

bool atls_attester_insecure(const struct atls_attester *a)
{
    return a->ops->insecure;
}

const struct atls_bytes *atls_attester_chain(const struct atls_attester *a, size_t *out_count)
{
    *out_count = a->chain_count;
    return a->chain;
}

struct atls_bytes atls_attester_aik_spki(const struct atls_attester *a)
{
    return a->ops->aik_spki(a->self);
}

enum atls_signature atls_attester_aik_scheme(const struct atls_attester *a)
{
    return a->ops->aik_scheme(a->self);
}

enum atls_code atls_attester_sign(struct atls_attester *a, enum atls_signature scheme,
                                  struct atls_bytes tbs, struct atls_buf *out, struct atls_err *err)
{
    if (scheme != a->ops->aik_scheme(a->self))
        return atls_fail(err, ATLS_E_USAGE,
                         "attester: asked to sign with scheme 0x%04x, its key does 0x%04x",
                         (unsigned int)scheme, (unsigned int)a->ops->aik_scheme(a->self));
    return a->ops->aik_sign(a->self, scheme, tbs, out, err);
}

unsigned int atls_attester_profiles(const struct atls_attester *a)
{
    return a->source.profiles | (a->source.batches ? (unsigned int)ATLS_PROFILE_BATCH : 0);
}

/* The profile that is made is the first of those that both sides do. */
static enum atls_code check_challenge(const struct atls_attester *a,
                                      const struct atls_challenge *challenge, struct atls_err *err)
{
    if (challenge->binder.len != 32 && challenge->binder.len != 48)
        return atls_fail(err, ATLS_E_USAGE, "attester: binder of %zu bytes, want 32 or 48",
                         challenge->binder.len);
    if ((challenge->profiles & atls_attester_profiles(a)) == 0)
        return atls_fail(err, ATLS_E_USAGE,
                         "attester: \"%s\" makes no evidence of the profiles asked for (0x%x)",
                         a->ops->scheme, challenge->profiles);
    return ATLS_OK;
}

static enum atls_code check_evidence(const struct atls_attester *a, struct atls_buf *cmw,
                                     struct atls_buf *out, struct atls_err *err)
{
    enum atls_code code;

    if (cmw->len > ATLS_CMW_DATA_MAX) {
        code = atls_fail(err, ATLS_E_LIMIT, "attester: \"%s\" evidence is %zu bytes, at most %d",
                         a->ops->scheme, cmw->len, ATLS_CMW_DATA_MAX);
        atls_buf_clear(cmw);
        return code;
    }
    *out = *cmw;
    return ATLS_OK;
}

static int64_t now_us(void)
{
    struct timespec now = {0, 0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static enum atls_code tell_made(const struct atls_attester *a, enum atls_code code,
                                int64_t asked_us)
{
    if (a->made != NULL)
        a->made(a->made_arg, code, now_us() - asked_us);
    return code;
}

enum atls_code atls_attester_evidence_for(struct atls_attester *a,
                                          const struct atls_challenge *challenge,
                                          struct atls_buf *out_cmw, struct atls_err *err)
{
    struct atls_buf cmw = ATLS_BUF_INIT;
    const int64_t asked_us = now_us();
    enum atls_code code = check_challenge(a, challenge, err);

    if (code != ATLS_OK)
        return code;
    /* Backends without batches serialise what they must. */
    code = a->ops->quoter != NULL ? atls_batch_evidence(a->queue, challenge, &cmw, err)
                                  : a->ops->evidence(a->self, challenge, &cmw, err);
    if (code == ATLS_OK)
        code = check_evidence(a, &cmw, out_cmw, err);
    return tell_made(a, code, asked_us);
}

enum atls_code atls_attester_evidence_start(struct atls_attester *a,
                                            const struct atls_challenge *challenge,
                                            atls_attester_ready *ready, void *arg,
                                            struct atls_attester_call **out_call,
                                            struct atls_err *err)
{
    enum atls_code code = check_challenge(a, challenge, err);

    if (code != ATLS_OK)
        return code;
    atls_attester_ref(a); /* the call's */
    atls_attester_ref(a); /* ours: who is told may give back all others before the start returns */
    code = atls_batch_start(a->queue, challenge, (struct atls_batch_notice){ready, arg, now_us()},
                            out_call, err);
    if (code != ATLS_OK)
        atls_attester_unref(a);
    atls_attester_unref(a);
    return code;
}

enum atls_code atls_attester_evidence_finish(struct atls_attester_call *call,
                                             struct atls_buf *out_cmw, struct atls_err *err)
{
    struct atls_attester *a = atls_batch_owner(call);
    const int64_t asked_us = atls_batch_asked_us(call);
    struct atls_buf cmw = ATLS_BUF_INIT;
    enum atls_code code = atls_batch_finish(call, &cmw, err);

    if (code == ATLS_OK)
        code = check_evidence(a, &cmw, out_cmw, err);
    (void)tell_made(a, code, asked_us);
    atls_attester_unref(a);
    return code;
}

void atls_attester_evidence_cancel(struct atls_attester_call *call)
{
    struct atls_attester *a;

    if (call == NULL)
        return;
    a = atls_batch_owner(call);
    atls_batch_cancel(call);
    atls_attester_unref(a);
}

enum atls_code atls_attester_evidence(struct atls_attester *a, struct atls_bytes binder,
                                      struct atls_buf *out_cmw, struct atls_err *err)
{
    const struct atls_challenge challenge = {.binder = binder, .profiles = ATLS_PROFILE_KAT};

    return atls_attester_evidence_for(a, &challenge, out_cmw, err);
}
