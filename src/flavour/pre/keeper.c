#include "flavour/pre/keeper.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/reader.h"

#define LIFETIME_S 86400
/* After a failure, and while there may be a newer result of the passport. */
#define PAUSE_S 60

struct atls_pre_keeper {
    atomic_uint references;
    struct atls_config *config; /* referenced */
    bool fixed;                 /* somebody else made the chain: it is not ours to renew */
    pthread_mutex_t lock;       /* for all below */
    struct atls_pre_chain *chain;
    struct atls_buf cmw; /* that it holds */
    int64_t renew_s;     /* wall clock */
    unsigned int jobs;   /* under way */
};

uint32_t atls_pre_lifetime_s(const struct atls_config *config)
{
    const uint32_t lifetime = config->options.certificate_lifetime_s;

    return lifetime != 0 ? lifetime : LIFETIME_S;
}

static int64_t now_s(const struct atls_pre_keeper *k)
{
    return atls_clock_wall_s(&k->config->options.clock);
}

/* A certificate that a CA made of a request of ours holds evidence already. */
static enum atls_code take_fixed(struct atls_pre_keeper *k, struct atls_err *err)
{
    struct atls_attester *attester = k->config->options.attester;
    struct atls_ra_tls found;
    size_t count;
    enum atls_code code = atls_ra_tls_find(atls_attester_chain(attester, &count)[0], &found, err);

    if (code == ATLS_E_EVIDENCE) { /* not-attested */
        atls_err_clear(err);
        return ATLS_OK;
    }
    if (code == ATLS_OK)
        code = atls_pre_chain_new(attester, atls_bytes_of(NULL, 0), &k->chain, err);
    k->fixed = code == ATLS_OK;
    return code;
}

enum atls_code atls_pre_keeper_new(struct atls_config *config, struct atls_pre_keeper **out,
                                   struct atls_err *err)
{
    struct atls_pre_keeper *k = calloc(1, sizeof *k);
    enum atls_code code;

    if (k == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "certificate: out of memory");
    if (pthread_mutex_init(&k->lock, NULL) != 0) {
        free(k);
        return atls_fail(err, ATLS_E_NOMEM, "certificate: no lock");
    }
    atomic_init(&k->references, 1);
    k->config = atls_config_ref(config);
    if ((code = take_fixed(k, err)) != ATLS_OK) {
        atls_pre_keeper_unref(k);
        return code;
    }
    *out = k;
    return ATLS_OK;
}

struct atls_pre_keeper *atls_pre_keeper_ref(struct atls_pre_keeper *k)
{
    atomic_fetch_add_explicit(&k->references, 1, memory_order_relaxed);
    return k;
}

void atls_pre_keeper_unref(struct atls_pre_keeper *k)
{
    if (k == NULL || atomic_fetch_sub_explicit(&k->references, 1, memory_order_acq_rel) != 1)
        return;
    atls_pre_chain_unref(k->chain);
    atls_buf_clear(&k->cmw);
    atls_config_unref(k->config);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

static bool is_valid(const struct atls_pre_chain *chain, int64_t now)
{
    return chain != NULL && chain->not_before_s <= now && now <= chain->not_after_s;
}

static int64_t half_of(const struct atls_pre_chain *chain)
{
    return chain->not_before_s + (chain->not_after_s - chain->not_before_s) / 2;
}

/* Under the lock. Only when there is nothing to show are there several jobs at once: each caller
 * waits for its own. */
static bool take_turn(struct atls_pre_keeper *k, bool valid, int64_t now)
{
    if (k->fixed || (valid && (now < k->renew_s || k->jobs != 0)))
        return false;
    k->jobs++;
    return true;
}

static void give_turn_back(struct atls_pre_keeper *k)
{
    pthread_mutex_lock(&k->lock);
    k->jobs--;
    pthread_mutex_unlock(&k->lock);
}

enum atls_code atls_pre_keeper_get(struct atls_pre_keeper *k, struct atls_pre_chain **out_chain,
                                   struct atls_job **out_job, struct atls_err *err)
{
    const int64_t now = now_s(k);
    struct atls_pre_chain *chain = NULL;
    struct atls_job *job = NULL;
    enum atls_code code = ATLS_OK;
    bool due;

    pthread_mutex_lock(&k->lock);
    if (is_valid(k->chain, now))
        chain = atls_pre_chain_ref(k->chain);
    due = take_turn(k, chain != NULL, now);
    pthread_mutex_unlock(&k->lock);
    if (chain == NULL && !due)
        return atls_fail_reason(err, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_EXPIRED,
                                "certificate with evidence that a CA issued to us is out of date");
    if (due && (code = atls_pre_keeper_job_new(k, k->config, &job, err)) != ATLS_OK) {
        give_turn_back(k);
        atls_pre_chain_unref(chain);
        return code;
    }
    *out_chain = chain;
    *out_job = job;
    return ATLS_OK;
}

void atls_pre_keeper_renew(struct atls_pre_keeper *k)
{
    pthread_mutex_lock(&k->lock);
    k->renew_s = 0;
    pthread_mutex_unlock(&k->lock);
}

struct atls_pre_chain *atls_pre_keeper_same(struct atls_pre_keeper *k, struct atls_bytes cmw)
{
    const int64_t now = now_s(k);
    struct atls_pre_chain *chain = NULL;

    pthread_mutex_lock(&k->lock);
    if (is_valid(k->chain, now) && now < half_of(k->chain) &&
        atls_bytes_equal(atls_buf_bytes(&k->cmw), cmw))
        chain = atls_pre_chain_ref(k->chain);
    pthread_mutex_unlock(&k->lock);
    return chain;
}

static void take_chain(struct atls_pre_keeper *k, struct atls_pre_chain *chain,
                       struct atls_buf *cmw, int64_t now)
{
    const bool passport = k->config->options.passport != NULL;

    if (chain != k->chain) {
        atls_pre_chain_unref(k->chain);
        k->chain = atls_pre_chain_ref(chain);
        atls_buf_clear(&k->cmw);
        k->cmw = *cmw;
        *cmw = (struct atls_buf)ATLS_BUF_INIT;
    }
    k->renew_s = half_of(chain);
    if (passport && k->renew_s > now + PAUSE_S)
        k->renew_s = now + PAUSE_S;
}

void atls_pre_keeper_settle(struct atls_pre_keeper *k, struct atls_pre_chain *chain,
                            struct atls_buf *cmw)
{
    const int64_t now = now_s(k);

    pthread_mutex_lock(&k->lock);
    k->jobs--;
    if (chain != NULL)
        take_chain(k, chain, cmw, now);
    else
        k->renew_s = now + PAUSE_S;
    pthread_mutex_unlock(&k->lock);
    if (chain == NULL)
        atls_log(&k->config->options.log, ATLS_LOG_WARNING, "pre",
                 "no new certificate with evidence was made; next attempt in %d s", PAUSE_S);
}
