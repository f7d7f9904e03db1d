#include "fake_attester.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "testlib.h"

#include <atls/limits.h>

#include "core/err.h"
#include "core/reader.h"
#include "core/writer.h"
#include "evidence/evidence.h"
#include "verifier/result.h"
#include "wire/cmw.h"

#define DIGEST_LEN 32

/* Backends get text only; tests open one at a time. */
static struct fake_attester *opening_attester;
static struct fake_verifier *opening_verifier;

static void delay(unsigned int ms)
{
    const struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};

    if (ms != 0)
        nanosleep(&t, NULL);
}

/* ---- attester ---- */

static enum atls_code open_attester(const char *rest, const struct atls_attester_options *options,
                                    void **out_self, struct atls_err *err)
{
    struct fake_attester *fake = opening_attester;
    enum atls_code code = ATLS_OK;

    (void)rest;
    (void)options;
    if (fake->key == NULL)
        code = atls_private_key_generate(
            fake->key_type == ATLS_KEY_NONE ? ATLS_KEY_P256 : fake->key_type, &fake->key, err);
    *out_self = fake;
    return code;
}

static void close_attester(void *self)
{
    struct fake_attester *fake = self;

    atls_private_key_free(fake->key);
    fake->key = NULL;
}

static struct atls_bytes aik_spki(void *self)
{
    struct fake_attester *fake = self;

    return atls_key_spki(atls_private_key_public(fake->key));
}

static enum atls_signature aik_scheme(void *self)
{
    struct fake_attester *fake = self;

    return atls_private_key_scheme(fake->key);
}

static enum atls_code aik_sign(void *self, enum atls_signature scheme, struct atls_bytes tbs,
                               struct atls_buf *out, struct atls_err *err)
{
    struct fake_attester *fake = self;

    if (fake->fail_sign != ATLS_OK)
        return atls_fail(err, fake->fail_sign, "fake attester: signing fails");
    return atls_private_key_sign(fake->key, scheme, tbs, out, err);
}

static enum atls_code make_record(const char *media_type, struct atls_writer *value,
                                  struct atls_buf *out_cmw, struct atls_err *err)
{
    const struct atls_cmw record = atls_cmw_record(media_type, atls_writer_bytes(value), 0);
    struct atls_writer w = atls_writer_init(1 << 20);
    enum atls_code code = value->failed;

    if (code != ATLS_OK)
        code = atls_fail(err, code, "fake attester: no room");
    else if ((code = atls_cmw_encode(&record, &w, err)) == ATLS_OK)
        code = atls_writer_finish(&w, out_cmw, err);
    atls_writer_clear(&w);
    atls_writer_clear(value);
    return code;
}

static enum atls_code make_evidence(void *self, const struct atls_challenge *challenge,
                                    struct atls_buf *out_cmw, struct atls_err *err)
{
    struct fake_attester *fake = self;
    struct atls_writer w = atls_writer_init(1 << 20);
    const struct atls_bytes binder = challenge->binder;
    uint8_t digest[ATLS_HASH_MAX];
    enum atls_code code;

    fake->asked = challenge->profiles;
    delay(fake->delay_ms);
    if (fake->silent)
        return fake->fail_evidence;
    if (fake->fail_evidence != ATLS_OK)
        return atls_fail(err, fake->fail_evidence, "fake attester: evidence fails");
    if ((code = atls_hash_one(ATLS_HASH_SHA256, aik_spki(self), digest, err)) != ATLS_OK)
        return code;
    if (fake->wrong_key)
        digest[0] ^= 1;
    atls_put_u8(&w, (uint8_t)binder.len);
    atls_put_bytes(&w, binder);
    if (fake->wrong_binder)
        w.ptr[1] ^= 1;
    atls_put_bytes(&w, atls_bytes_of(digest, DIGEST_LEN));
    while (w.failed == ATLS_OK && w.len < fake->evidence_len)
        atls_put_u8(&w, (uint8_t)w.len);
    if (fake->media_type != NULL)
        return make_record(fake->media_type, &w, out_cmw, err);
    return atls_writer_finish(&w, out_cmw, err);
}

struct atls_attester *fake_attester_open(struct fake_attester *fake)
{
    const struct atls_attester_ops *const backends[] = {&fake->ops, NULL};
    struct atls_attester_options options;
    struct atls_attester *attester = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code fail_sign = fake->fail_sign;

    fake->ops = (struct atls_attester_ops){
        .scheme = "fake",
        .evidence_type = fake->other_type ? "other" : "fake",
        .open = open_attester,
        .close = close_attester,
        .aik_spki = aik_spki,
        .aik_scheme = aik_scheme,
        .aik_sign = aik_sign,
        .evidence = make_evidence,
        .profiles = fake->profiles,
    };
    fake->fail_sign = ATLS_OK; /* the certificate is signed all the same */
    atls_attester_options_init(&options);
    options.certificate = fake->certificate;
    options.dns_names = fake->dns_names;
    opening_attester = fake;
    test_assert_code(atls_attester_open("fake:", backends, &options, &attester, &err), ATLS_OK,
                     &err);
    fake->fail_sign = fail_sign;
    return attester;
}

/* ---- passport ---- */

static void close_passport(void *self)
{
    (void)self;
}

static enum atls_code make_result(void *self, struct atls_bytes binder, struct atls_buf *out_cmw,
                                  struct atls_err *err)
{
    static const uint8_t zeros[32];
    struct fake_passport *fake = self;
    struct fake_attester copy = *fake->attester;

    if (fake->fail != ATLS_OK)
        return atls_fail(err, fake->fail, "fake passport: no result");
    fake->shown++;
    fake->echoed += binder.len != 0;
    copy.wrong_binder = fake->wrong_binder;
    copy.wrong_key = fake->wrong_key;
    copy.evidence_len = fake->too_large ? ATLS_CMW_DATA_MAX + 1 : 0;
    const struct atls_challenge challenge = {
        .binder = binder.len != 0 ? binder : atls_bytes_of(zeros, sizeof zeros)};
    return make_evidence(&copy, &challenge, out_cmw, err);
}

struct atls_passport *fake_passport_open(struct fake_passport *fake)
{
    static const struct atls_passport_ops ops = {close_passport, make_result};
    struct atls_passport *passport = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_passport_new(&ops, fake, &passport, &err), ATLS_OK, &err);
    return passport;
}

/* ---- verifier ---- */

static enum atls_code open_verifier(const char *rest, const struct atls_verifier_options *options,
                                    void **out_self, struct atls_err *err)
{
    (void)rest;
    (void)options;
    (void)err;
    *out_self = opening_verifier;
    return ATLS_OK;
}

static void close_verifier(void *self)
{
    (void)self;
}

/* The value of a record; the length of a binder, which other evidence begins with, is 32 or 48. */
static enum atls_code unwrap(struct atls_bytes evidence, struct atls_reader *out,
                             struct atls_err *err)
{
    struct atls_arena arena = atls_arena_init(4096);
    struct atls_cmw cmw;
    enum atls_code code = ATLS_OK;

    if (evidence.len != 0 && evidence.ptr[0] >= 0x80 &&
        (code = atls_cmw_decode(evidence, &arena, &cmw, err)) == ATLS_OK)
        evidence = cmw.value;
    if (code == ATLS_OK)
        *out = atls_reader_init(evidence);
    atls_arena_clear(&arena);
    return code;
}

/* out_nonce: the challenge that the evidence answers. A passport may answer any. */
static enum atls_code check_evidence(const struct fake_verifier *fake,
                                     const struct atls_appraisal *a, struct atls_bytes *out_nonce,
                                     struct atls_err *err)
{
    struct atls_reader r;
    uint8_t digest[ATLS_HASH_MAX];
    struct atls_bytes binder, key;
    uint8_t len;
    enum atls_code code;

    if ((code = atls_hash_one(ATLS_HASH_SHA256, a->aik_spki, digest, err)) != ATLS_OK ||
        (code = unwrap(a->evidence, &r, err)) != ATLS_OK)
        return code;
    if (!atls_get_u8(&r, &len) || !atls_get_bytes(&r, len, &binder) ||
        !atls_get_bytes(&r, DIGEST_LEN, &key))
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "fake evidence is malformed");
    *out_nonce = binder;
    if (!fake->takes_results && !atls_bytes_equal(binder, a->binder))
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH,
                                "fake evidence answers another challenge");
    if (!atls_bytes_equal(key, atls_bytes_of(digest, DIGEST_LEN)))
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_KEY_BINDING_MISMATCH,
                                "fake evidence names another key");
    return ATLS_OK;
}

static enum atls_code judge(struct fake_verifier *fake, const struct atls_appraisal *a,
                            struct atls_result **out, struct atls_err *err)
{
    struct atls_claims claims = {.arena = atls_arena_init(65536)};
    struct atls_outcome outcome = {.policy_id = "tag:example.com,2026:fake"};
    struct atls_bytes nonce;
    enum atls_code code;

    fake->profiles = a->profiles;
    fake->nonce_len = a->nonce.len;
    delay(fake->delay_ms);
    if (fake->silent)
        return fake->fail;
    if (fake->fail != ATLS_OK)
        return atls_fail_reason(err, fake->fail, fake->reason, "fake verifier: appraisal fails");
    if ((code = check_evidence(fake, a, &nonce, err)) != ATLS_OK)
        return code;
    claims.technology = fake->type == NULL ? "fake" : fake->type;
    claims.submod = "FAKE";
    claims.insecure = fake->insecure;
    if (!atls_arena_copy(&claims.arena, a->aik_spki, &claims.key_spki))
        return atls_fail(err, ATLS_E_NOMEM, "fake verifier: out of memory");
    outcome.status = fake->contraindicated ? ATLS_TIER_CONTRAINDICATED : ATLS_TIER_AFFIRMING;
    if (fake->contraindicated)
        atls_outcome_problem(&outcome, ATLS_REASON_MEASUREMENT, "fake measurement differs");
    code = atls_result_new(&claims, &outcome, nonce, a->time_s, out, err);
    if (code != ATLS_OK)
        atls_claims_clear(&claims);
    return code;
}

static enum atls_code appraise(void *self, const struct atls_appraisal *a, struct atls_result **out,
                               struct atls_err *err)
{
    struct fake_verifier *fake = self;
    const unsigned int running = atomic_fetch_add(&fake->running, 1) + 1;
    unsigned int most = atomic_load(&fake->most);
    enum atls_code code;

    while (most < running && !atomic_compare_exchange_weak(&fake->most, &most, running))
        ;
    code = judge(fake, a, out, err);
    atomic_fetch_sub(&fake->running, 1);
    return code;
}

struct atls_verifier *fake_verifier_open(struct fake_verifier *fake)
{
    static const struct atls_verifier_ops ops = {
        .scheme = "fake", .open = open_verifier, .close = close_verifier, .appraise = appraise};
    static const struct atls_verifier_ops passport_ops = {.scheme = "fake",
                                                          .input = ATLS_VERIFIER_TAKES_RESULTS,
                                                          .open = open_verifier,
                                                          .close = close_verifier,
                                                          .appraise = appraise};
    const struct atls_verifier_ops *const backends[] = {fake->takes_results ? &passport_ops : &ops,
                                                        NULL};
    struct atls_verifier_options options;
    struct atls_verifier *verifier = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    atls_verifier_options_init(&options);
    options.result_echoes_binder = fake->wants_binder;
    opening_verifier = fake;
    test_assert_code(atls_verifier_open("fake:", backends, &options, &verifier, &err), ATLS_OK,
                     &err);
    return verifier;
}
