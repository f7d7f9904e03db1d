/* Results about an attester of this process, kept in stock. The exchange happens without the lock:
 * whoever has a valid result shows it while the next one is on its way. */
#include <atls/passport.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "verifier/remote/accept_token.h"
#include "verifier/remote/carried_result.h"
#include "verifier/remote/client.h"
#include "verifier/result.h"

#define LIFETIME_S 3600
/* Whatever it says of itself: Relying Parties take none that is older, unless told otherwise. */
#define LIFE_MOST_S 86400
/* A result that ends sooner might not outlive the handshake it is shown in. */
#define LAST_MOMENT_S 5
/* Renewal begins when a fifth of the life is left, or as much as this, but not before its half. */
#define RENEW_LEAST_S 30
#define RETRY_FIRST_S 2
#define RETRY_MOST_S  300 /* also: how long to sleep before the clock is looked at again */

struct stock {
    struct atls_buf cmw;
    int64_t issued_s, expires_s; /* 0: there is none */
};

struct passport_source {
    struct atls_attester *attester;
    struct atls_veraison_client *client;
    uint32_t timeout_ms;
    int64_t lifetime_s;
    struct atls_clock clock;
    struct atls_log log;

    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;  /* of the thread, to end */
    bool ends;
    struct stock stock;
    /* One asks for what everybody lacks, and the others wait for what comes of it. */
    pthread_cond_t asked;
    bool asking;
    uint64_t answers;    /* that came, or failed */
    struct atls_err why; /* of the latest; code ATLS_OK: it came */
};

void atls_passport_options_init(struct atls_passport_options *options)
{
    memset(options, 0, sizeof *options);
    options->size = sizeof *options;
}

/* ---- one result ---- */

static enum atls_code make_evidence(void *arg, struct atls_bytes nonce, struct atls_buf *out,
                                    struct atls_err *err)
{
    return atls_attester_evidence(arg, nonce, out, err);
}

static enum atls_code exchange(const struct passport_source *p, struct atls_bytes binder,
                               int64_t deadline_ms, struct atls_veraison_answer *out,
                               struct atls_err *err)
{
    struct atls_veraison_submission s = {.binder = binder};
    struct atls_buf evidence = ATLS_BUF_INIT;
    enum atls_code code;

    if (binder.len == 0) {
        s.make = make_evidence;
        s.arg = p->attester;
    } else {
        if ((code = atls_attester_evidence(p->attester, binder, &evidence, err)) != ATLS_OK)
            return code;
        s.evidence = atls_buf_bytes(&evidence);
    }
    code = atls_veraison_submit(p->client, &s, deadline_ms, out, err);
    atls_buf_clear(&evidence);
    return code;
}

/* No Relying Party would take a result that is not affirming or about another key: better to know
 * before one is asked. */
static enum atls_code check_verdict(const struct passport_source *p, const struct atls_result *r,
                                    struct atls_err *err)
{
    if (atls_result_status(r) != ATLS_TIER_AFFIRMING)
        return atls_fail_reason(err, ATLS_E_REFUSED, atls_result_reason(r),
                                "passport: the Verifier finds this attester %s: %s",
                                atls_tier_name(atls_result_status(r)), atls_result_explanation(r));
    if (!atls_bytes_equal(atls_result_key(r), atls_attester_aik_spki(p->attester)))
        return atls_fail_reason(err, ATLS_E_REFUSED, ATLS_REASON_KEY_BINDING_MISMATCH,
                                "passport: the result is about another key than this attester's");
    return ATLS_OK;
}

static int64_t end_of(const struct passport_source *p, const struct atls_result *r)
{
    int64_t issued_s = atls_result_issued_at(r), expires_s = atls_result_expires_at(r);

    if (expires_s == 0)
        return issued_s + (p->lifetime_s < LIFE_MOST_S ? p->lifetime_s : LIFE_MOST_S);
    return expires_s - issued_s < LIFE_MOST_S ? expires_s : issued_s + LIFE_MOST_S;
}

static enum atls_code judge_token(const struct passport_source *p, struct atls_ear *ear,
                                  struct stock *out, struct atls_err *err)
{
    const struct atls_result_source source = {.ear = ear};
    struct atls_result *r = NULL;
    enum atls_code code = atls_result_from_ear(&source, &r, err);

    if (code != ATLS_OK)
        return code;
    if ((code = check_verdict(p, r, err)) == ATLS_OK) {
        out->issued_s = atls_result_issued_at(r);
        out->expires_s = end_of(p, r);
    }
    atls_result_unref(r);
    return code;
}

static enum atls_code open_answer(const struct passport_source *p,
                                  const struct atls_veraison_answer *answer, int64_t deadline_ms,
                                  struct stock *out, struct atls_err *err)
{
    const struct atls_token_check check = {
        .keys = atls_veraison_client_keys(p->client),
        .deadline_ms = deadline_ms,
        .time_s = atls_clock_wall_s(&p->clock),
        .max_age_s = p->lifetime_s,
        .nonce = atls_bytes_of(answer->nonce, answer->nonce_len),
    };
    struct atls_ear ear;
    enum atls_code code;

    if ((code = atls_remote_accept(atls_buf_bytes(&answer->token), &check, &ear, err)) != ATLS_OK)
        return code;
    code = atls_carried_result_encode(atls_buf_bytes(&answer->token), &ear, &out->cmw, err);
    if (code == ATLS_OK && (code = judge_token(p, &ear, out, err)) != ATLS_OK)
        atls_buf_clear(&out->cmw);
    atls_ear_clear(&ear);
    return code;
}

/* Obtains a result: about evidence over binder, or over a nonce of the Verifier's when it is empty.
 * *out is the caller's. */
static enum atls_code obtain(const struct passport_source *p, struct atls_bytes binder,
                             struct stock *out, struct atls_err *err)
{
    int64_t deadline_ms = atls_http_now_ms() + p->timeout_ms;
    struct atls_veraison_answer answer;
    struct stock made = {0};
    enum atls_code code;

    if ((code = exchange(p, binder, deadline_ms, &answer, err)) != ATLS_OK)
        return code;
    code = open_answer(p, &answer, deadline_ms, &made, err);
    atls_veraison_answer_clear(&answer);
    if (code == ATLS_OK)
        *out = made;
    return code;
}

/* ---- the stock ---- */

static bool is_valid(const struct stock *s, int64_t now_s)
{
    return s->expires_s != 0 && now_s + LAST_MOMENT_S < s->expires_s;
}

/* When to ask for the one after s. */
static int64_t renewal_of(const struct stock *s)
{
    int64_t life_s = s->expires_s - s->issued_s;
    int64_t ahead_s = life_s / 5 > RENEW_LEAST_S ? life_s / 5 : RENEW_LEAST_S;

    return s->expires_s - (ahead_s < life_s / 2 ? ahead_s : life_s / 2);
}

/* With the lock held: asks without it, and tells those who wait for the answer. */
static void ask(struct passport_source *p)
{
    struct stock made = {0}, old;
    struct atls_err why = ATLS_ERR_INIT;
    enum atls_code code;

    p->asking = true;
    pthread_mutex_unlock(&p->lock);
    if ((code = obtain(p, atls_bytes_of(NULL, 0), &made, &why)) != ATLS_OK && why.code != code)
        (void)atls_fail(&why, code, "passport: %s, no reason given", atls_code_name(code));
    if (code == ATLS_OK)
        atls_log(&p->log, ATLS_LOG_INFO, "passport", "result obtained, valid for %" PRId64 " s",
                 made.expires_s - made.issued_s);
    pthread_mutex_lock(&p->lock);
    if (code == ATLS_OK && made.expires_s > p->stock.expires_s) {
        old = p->stock;
        p->stock = made;
        made = old;
    }
    p->asking = false;
    p->answers++;
    p->why = why;
    pthread_cond_broadcast(&p->asked);
    atls_buf_clear(&made.cmw);
}

/* How much is to be in stock. */
enum need { NEED_ANY, NEED_NEWER };

/* Has something obtained, by this thread or by one that is at it already. */
static enum atls_code restock(struct passport_source *p, enum need need, struct atls_err *err)
{
    struct atls_err why = ATLS_ERR_INIT;

    pthread_mutex_lock(&p->lock);
    if (need == NEED_NEWER || !is_valid(&p->stock, atls_clock_wall_s(&p->clock))) {
        if (p->asking) {
            /* That one has a deadline. */
            for (uint64_t seen = p->answers; p->answers == seen;)
                pthread_cond_wait(&p->asked, &p->lock);
        } else {
            ask(p);
        }
        why = p->why;
    }
    pthread_mutex_unlock(&p->lock);
    if (why.code != ATLS_OK && err != NULL)
        *err = why;
    return why.code;
}

static enum atls_code copy_stock(struct passport_source *p, struct atls_buf *out,
                                 struct atls_err *err)
{
    int64_t now_s = atls_clock_wall_s(&p->clock);
    enum atls_code code = ATLS_E_NOT_FOUND;

    pthread_mutex_lock(&p->lock);
    if (is_valid(&p->stock, now_s))
        code = atls_buf_copy(out, atls_buf_bytes(&p->stock.cmw), err);
    pthread_mutex_unlock(&p->lock);
    return code;
}

static enum atls_code source_result(void *self, struct atls_bytes binder, struct atls_buf *out,
                                    struct atls_err *err)
{
    struct passport_source *p = self;
    struct stock made;
    enum atls_code code;

    if (binder.len != 0) {
        if ((code = obtain(p, binder, &made, err)) == ATLS_OK)
            *out = made.cmw;
        return code;
    }
    if ((code = copy_stock(p, out, err)) != ATLS_E_NOT_FOUND)
        return code;
    if ((code = restock(p, NEED_ANY, err)) != ATLS_OK)
        return code;
    code = copy_stock(p, out, err);
    return code != ATLS_E_NOT_FOUND
               ? code
               : atls_fail(err, ATLS_E_UNAVAILABLE,
                           "passport: the Verifier's results end as soon as they are issued");
}

/* ---- renewal ---- */

/* Waits, but not for so long that a clock that is set or a machine that slept would matter; true
 * when the source is to end. */
static bool wait_s(struct passport_source *p, int64_t seconds)
{
    struct timespec until;
    int rc = 0;
    bool ends;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(seconds < 1 ? 1 : seconds > RETRY_MOST_S ? RETRY_MOST_S : seconds);
    pthread_mutex_lock(&p->lock);
    while (!p->ends && rc == 0)
        rc = pthread_cond_timedwait(&p->wake, &p->lock, &until);
    ends = p->ends;
    pthread_mutex_unlock(&p->lock);
    return ends;
}

static int64_t seconds_to_renewal(struct passport_source *p)
{
    int64_t at_s;

    pthread_mutex_lock(&p->lock);
    at_s = renewal_of(&p->stock);
    pthread_mutex_unlock(&p->lock);
    return at_s - atls_clock_wall_s(&p->clock);
}

static bool ends(struct passport_source *p)
{
    bool now;

    pthread_mutex_lock(&p->lock);
    now = p->ends;
    pthread_mutex_unlock(&p->lock);
    return now;
}

static void *renew(void *arg)
{
    struct passport_source *p = arg;
    int64_t pause_s = RETRY_FIRST_S;
    int64_t next_s = seconds_to_renewal(p);

    while (!wait_s(p, next_s)) {
        struct atls_err err = ATLS_ERR_INIT;

        if (seconds_to_renewal(p) <= 0 && restock(p, NEED_NEWER, &err) != ATLS_OK && !ends(p))
            atls_log(&p->log, ATLS_LOG_WARNING, "passport",
                     "not renewed, again in %" PRId64 " s: %s", pause_s, err.message);
        if ((next_s = seconds_to_renewal(p)) > 0) {
            pause_s = RETRY_FIRST_S;
            continue;
        }
        next_s = pause_s; /* a failure, or a result that is no newer than the one before */
        pause_s = pause_s * 2 > RETRY_MOST_S ? RETRY_MOST_S : pause_s * 2;
    }
    return NULL;
}

static void source_close(void *self)
{
    struct passport_source *p = self;

    if (p->has_thread) {
        pthread_mutex_lock(&p->lock);
        p->ends = true;
        pthread_cond_signal(&p->wake);
        pthread_mutex_unlock(&p->lock);
        atls_veraison_client_stop(p->client); /* nobody else has it */
        pthread_join(p->thread, NULL);
    }
    pthread_cond_destroy(&p->wake);
    pthread_cond_destroy(&p->asked);
    pthread_mutex_destroy(&p->lock);
    atls_buf_clear(&p->stock.cmw);
    atls_veraison_client_unref(p->client);
    atls_attester_unref(p->attester);
    free(p);
}

static enum atls_code start_renewal(struct passport_source *p, struct atls_err *err)
{
    int rc = pthread_create(&p->thread, NULL, renew, p);

    if (rc != 0)
        return atls_fail_errno(err, rc, "passport: no thread for renewal");
    p->has_thread = true;
    return ATLS_OK;
}

static void init_lock(struct passport_source *p)
{
    pthread_condattr_t attributes;

    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&p->wake, &attributes);
    pthread_cond_init(&p->asked, NULL);
    pthread_condattr_destroy(&attributes);
}

static enum atls_code check_options(const struct atls_passport_options *o, struct atls_err *err)
{
    if (o->size != sizeof *o)
        return atls_fail(err, ATLS_E_USAGE,
                         "passport options: size is %zu, want %zu; call atls_passport_options_init "
                         "first",
                         o->size, sizeof *o);
    if (o->attester == NULL || o->verifier_url == NULL)
        return atls_fail(err, ATLS_E_CONFIG, "passport: want an attester and a verifier's URL");
    if (o->lifetime_s < 0)
        return atls_fail(err, ATLS_E_CONFIG, "passport: lifetime_s is negative");
    return ATLS_OK;
}

/* What the Verifier says is final; that it says nothing need not be. */
static enum atls_code first_result(struct passport_source *p, bool later, struct atls_err *err)
{
    struct atls_err why = ATLS_ERR_INIT;
    const enum atls_code code = restock(p, NEED_ANY, &why);

    if (later && (code == ATLS_E_UNAVAILABLE || code == ATLS_E_TIMEOUT)) {
        atls_log(&p->log, ATLS_LOG_WARNING, "passport", "none yet: %s", why.message);
        return ATLS_OK;
    }
    if (code != ATLS_OK && err != NULL)
        *err = why;
    return code;
}

enum atls_code atls_passport_open(const struct atls_passport_options *o, struct atls_passport **out,
                                  struct atls_err *err)
{
    static const struct atls_passport_ops ops = {source_close, source_result};
    struct passport_source *p;
    enum atls_code code;

    if ((code = check_options(o, err)) != ATLS_OK)
        return code;
    const struct atls_veraison_options client = {
        .url = o->verifier_url,
        .http.ca_file = o->ca_file,
        .result_keys = o->result_keys,
        .log = o->log,
    };
    if ((p = calloc(1, sizeof *p)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "passport: out of memory");
    init_lock(p);
    p->attester = atls_attester_ref(o->attester);
    p->timeout_ms = o->timeout_ms == 0 ? ATLS_VERAISON_TIMEOUT_MS : o->timeout_ms;
    p->lifetime_s = o->lifetime_s == 0 ? LIFETIME_S : o->lifetime_s;
    p->clock = o->clock;
    p->log = o->log;
    if ((code = atls_veraison_client_new(&client, &p->client, err)) != ATLS_OK ||
        (code = first_result(p, o->later, err)) != ATLS_OK ||
        (code = start_renewal(p, err)) != ATLS_OK ||
        (code = atls_passport_new(&ops, p, out, err)) != ATLS_OK)
        source_close(p);
    return code;
}
