/* A session that gets arbitrary bytes from its peer, behind a valid HELLO or from the start. Nobody
 * is ever attested, and no application data comes through a closed gate.
 *
 * Byte 0 of the input: 1 client, 2 require the peer, 4 raw, 8 valid HELLO first, 16 that HELLO
 * requires us, 32 (with 2) do not insist, 64 (with 16) nor does it, 128 TLS has authenticated
 * nobody; byte 1: length of the pieces that the rest is given in. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <atls/session.h>

#include "core/err.h"
#include "crypto/crypto.h"
#include "flavour/post/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

/* ---- a verifier that refuses, an exporter, a clock ---- */

static enum atls_code open_verifier(const char *rest, const struct atls_verifier_options *options,
                                    void **out_self, struct atls_err *err)
{
    (void)rest;
    (void)options;
    (void)err;
    *out_self = NULL;
    return ATLS_OK;
}

static void close_verifier(void *self)
{
    (void)self;
}

static enum atls_code appraise(void *self, const struct atls_appraisal *appraisal,
                               struct atls_result **out, struct atls_err *err)
{
    (void)self;
    (void)appraisal;
    (void)out;
    return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH, "refused");
}

static enum atls_code export_value(void *arg, const char *label, struct atls_bytes context,
                                   uint8_t *out, size_t out_len, struct atls_err *err)
{
    const struct atls_bytes parts[] = {atls_bytes_of(label, strlen(label)), context};
    uint8_t digest[ATLS_HASH_MAX];
    enum atls_code code = atls_hash_parts(ATLS_HASH_SHA256, parts, 2, digest, err);

    (void)arg;
    require(out_len <= 32);
    if (code == ATLS_OK)
        memcpy(out, digest, out_len);
    return code;
}

static int64_t now_ms;

static int64_t monotonic_ms(void *arg)
{
    (void)arg;
    return now_ms;
}

/* ---- configurations: 1 raw, 2 require the peer, 4 (with 2) and do not insist ---- */

static struct atls_config *configs[8];
static struct atls_writer hellos[3]; /* requires nothing, requires, asks and does not insist */

static struct atls_config *make_config(struct atls_attester *attester,
                                       struct atls_verifier *verifier, struct atls_policy *policy,
                                       int index)
{
    static const char *const types[] = {"soft", NULL};
    static const char *const inner[] = {"h2", NULL};
    struct atls_config_options options;
    struct atls_config *config = NULL;

    atls_config_options_init(&options);
    options.attester = attester;
    options.verifier = verifier;
    options.policy = policy;
    options.identity = ATLS_IDENTITY_ATTESTED;
    options.evidence_types = types;
    options.inner_protocols = inner;
    options.require_peer = (index & 2) != 0;
    options.peer_optional = (index & 6) == 6;
    options.raw = (index & 1) != 0;
    options.on_failure = ATLS_ON_FAILURE_GATE;
    options.clock.monotonic_ms = monotonic_ms;
    require(atls_config_new(&options, &config, NULL) == ATLS_OK);
    return config;
}

static void make_hello(int index)
{
    static const char *const values[ATLS_NAMES_COUNT] = {
        "soft", "soft", "kat-bundle", "h2", ATLS_RESULT_EAR_JWT, ATLS_RESULT_EAR_JWT, "kat-batch"};
    struct atls_writer names[ATLS_NAMES_COUNT];
    struct atls_hello hello = {.flags = ATLS_HELLO_ATTESTS | ATLS_HELLO_RAW,
                               .frame_max = ATLS_FRAME_BODY_MAX};

    if (index != 0)
        hello.flags |= ATLS_HELLO_REQUIRES;
    hello.optional = index == 2;
    hellos[index] = atls_writer_init(1000);
    for (size_t i = 0; i < ATLS_NAMES_COUNT; i++) {
        names[i] = atls_writer_init(100);
        atls_name_put(&names[i], values[i]);
        hello.names[i] = atls_writer_bytes(&names[i]);
    }
    atls_hello_put(&hellos[index], &hello);
    for (size_t i = 0; i < ATLS_NAMES_COUNT; i++)
        atls_writer_clear(&names[i]);
}

static void prepare(void)
{
    static const struct atls_verifier_ops ops = {
        .scheme = "refuse", .open = open_verifier, .close = close_verifier, .appraise = appraise};
    static const struct atls_verifier_ops *const verifiers[] = {&ops, NULL};
    static const struct atls_attester_ops *const attesters[] = {&atls_soft_attester, NULL};
    struct atls_attester_options options;
    struct atls_attester *attester = NULL;
    struct atls_verifier *verifier = NULL;
    struct atls_policy *policy = NULL;

    if (configs[0] != NULL)
        return;
    atls_attester_options_init(&options);
    options.insecure = true;
    require(atls_attester_open("soft:", attesters, &options, &attester, NULL) == ATLS_OK);
    require(atls_verifier_open("refuse:", verifiers, NULL, &verifier, NULL) == ATLS_OK);
    require(atls_policy_default(&policy, NULL) == ATLS_OK);
    for (int i = 0; i < 8; i++)
        configs[i] = make_config(attester, verifier, policy, i);
    for (int i = 0; i < 3; i++)
        make_hello(i);
    atls_attester_unref(attester);
    atls_verifier_unref(verifier);
    atls_policy_unref(policy);
}

/* ---- one session ---- */

/* The verifier refuses everybody: who is required to attest never passes. */
static void work(struct atls_session *s, int config)
{
    struct atls_job *job;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_peer peer;

    while ((job = atls_session_job(s)) != NULL) {
        enum atls_code code;

        atls_job_run(job);
        code = atls_session_complete(s, job, &err);
        require(code == ATLS_OK || atls_session_error(s)->code == code);
    }
    atls_session_output_done(s, atls_session_output(s).len);
    atls_session_peer(s, &peer);
    require(!peer.attested);
    require(!peer.unattested || ((config & 6) == 6 && peer.result == NULL));
    require((config & 2) == 0 || peer.unattested || !atls_session_is_open(s));
}

/* Gives bytes; false when the session has ended. */
static int give(struct atls_session *s, struct atls_bytes bytes)
{
    struct atls_err err = ATLS_ERR_INIT;
    size_t consumed = 0;

    while (bytes.len != 0) {
        if (atls_session_input(s, bytes, &consumed, &err) != ATLS_OK) {
            require(!atls_session_is_open(s) && err.code != ATLS_OK && err.message[0] != '\0');
            return 0;
        }
        require(consumed <= bytes.len);
        require(atls_session_read(s).len == 0 || atls_session_is_open(s));
        atls_session_read_done(s, atls_session_read(s).len);
        bytes = atls_bytes_of(bytes.ptr + consumed, bytes.len - consumed);
        if (atls_session_next(s) == ATLS_NEXT_CLOSED)
            return 0;
    }
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_tls tls = {
        .exporter = export_value,
        .version = 0x0304,
        .hash = ATLS_HASH_SHA256,
        .resumed = ATLS_ANSWER_NO,
        .early_data = ATLS_ANSWER_NO,
    };
    struct atls_session *s = NULL;
    static const uint8_t tls_key[] = {0x30, 0x00};
    int going = 1, config, hello;
    size_t piece;

    if (size < 2)
        return 0;
    prepare();
    now_ms = 1000;
    tls.role = (data[0] & 1) != 0 ? ATLS_ROLE_CLIENT : ATLS_ROLE_SERVER;
    piece = data[1] == 0 ? size : data[1];
    config = (data[0] & 2) | ((data[0] & 4) != 0 ? 1 : 0) | ((data[0] & 32) != 0 ? 4 : 0);
    hello = (data[0] & 16) == 0 ? 0 : (data[0] & 64) == 0 ? 1 : 2;
    tls.peer_spki = atls_bytes_of(tls_key, (data[0] & 128) == 0 ? sizeof tls_key : 0);
    require(atls_session_new(configs[config], &tls, NULL, &s, NULL) == ATLS_OK);
    if ((data[0] & 8) != 0)
        going = give(s, atls_writer_bytes(&hellos[hello]));
    work(s, config);
    for (size_t at = 2; going && at < size; at += piece) {
        enum atls_code code;

        going = give(s, atls_bytes_of(data + at, size - at < piece ? size - at : piece));
        work(s, config);
        now_ms += 100;
        code = atls_session_tick(s, NULL);
        require(code == ATLS_OK || !atls_session_is_open(s));
    }
    atls_session_close(s);
    require(!atls_session_is_open(s));
    atls_session_free(s);
    return 0;
}
