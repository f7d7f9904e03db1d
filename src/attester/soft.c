/* The software attester: the same bundle as hardware makes, signed by a key that anyone can copy.
 */
#include <atls/attester.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <atls/limits.h>

#include "attester/bundle.h"
#include "attester/file.h"
#include "attester/uri.h"
#include "core/err.h"
#include "core/log.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "wire/kat.h"
#include "wire/soft.h"

#define MODULE         "soft attester"
#define MEASURE_PREFIX "measure."

struct soft {
    struct atls_uri uri;   /* measurement names borrow from it */
    uint32_t delay_ms;     /* that a quote takes, one at a time; 0: as long as it takes */
    pthread_mutex_t quote; /* held by whoever makes one that takes so long */
    struct atls_private_key *platform, *aik;
    const struct atls_signature_algorithm *algorithm; /* of the platform key */
    uint8_t ueid[ATLS_SOFT_UEID_LEN];
    struct atls_soft_measurement measurements[ATLS_SOFT_MEASUREMENTS_MAX];
    uint8_t digests[ATLS_SOFT_MEASUREMENTS_MAX][ATLS_HASH_MAX];
    size_t measurement_count;
};

static const struct measurement_hash {
    const char *prefix;
    int64_t named_information;
    size_t len;
} measurement_hashes[] = {
    {"sha256:", 1, 32},
    {"sha384:", 7, 48},
    {"sha512:", 8, 64},
};

static void soft_close(void *self)
{
    struct soft *soft = self;

    atls_private_key_free(soft->platform);
    atls_private_key_free(soft->aik);
    atls_uri_clear(&soft->uri);
    pthread_mutex_destroy(&soft->quote);
    free(soft);
}

static bool parse_hex(const char *text, size_t len, uint8_t *out)
{
    static const char digits[] = "0123456789abcdef";

    if (strlen(text) != 2 * len)
        return false;
    for (size_t i = 0; i < 2 * len; i++) {
        const char *digit =
            strchr(digits, text[i] >= 'A' && text[i] <= 'F' ? text[i] + 32 : text[i]);

        if (digit == NULL)
            return false;
        out[i / 2] = (uint8_t)(out[i / 2] << 4 | (digit - digits));
    }
    return true;
}

/* "measure.NAME=sha256:HEX" */
static enum atls_code add_measurement(struct soft *soft, const struct atls_uri_option *option,
                                      struct atls_err *err)
{
    const char *name = option->name + strlen(MEASURE_PREFIX);
    const struct measurement_hash *hash = NULL;
    const char *hex = "";
    struct atls_soft_measurement *m;
    uint8_t *digest;

    if (soft->measurement_count == ATLS_SOFT_MEASUREMENTS_MAX)
        return atls_fail(err, ATLS_E_CONFIG, MODULE ": more than %d measurements",
                         ATLS_SOFT_MEASUREMENTS_MAX);
    m = &soft->measurements[soft->measurement_count];
    digest = soft->digests[soft->measurement_count];
    for (size_t i = 0; i < sizeof measurement_hashes / sizeof measurement_hashes[0]; i++) {
        size_t len = strlen(measurement_hashes[i].prefix);

        if (strncmp(option->value, measurement_hashes[i].prefix, len) == 0) {
            hash = &measurement_hashes[i];
            hex = option->value + len;
        }
    }
    if (name[0] == '\0' || hash == NULL || !parse_hex(hex, hash->len, digest))
        return atls_fail(err, ATLS_E_CONFIG,
                         MODULE ": \"%s=%s\" is not measure.NAME=sha256:HEX (or sha384, sha512)",
                         option->name, option->value);
    m->name = atls_bytes_of(name, strlen(name));
    m->named_information = hash->named_information;
    m->digest = atls_bytes_of(digest, hash->len);
    soft->measurement_count++;
    return ATLS_OK;
}

/* "delay=MS": as slow as hardware, for tests and measurements. */
static enum atls_code set_delay(struct soft *soft, const char *text, struct atls_err *err)
{
    const size_t digits = text == NULL ? 0 : strspn(text, "0123456789");

    if (text == NULL)
        return ATLS_OK;
    if (digits == 0 || digits > 5 || text[digits] != '\0')
        return atls_fail(err, ATLS_E_CONFIG, MODULE ": delay=%s, want milliseconds, at most 99999",
                         text);
    soft->delay_ms = (uint32_t)strtoul(text, NULL, 10);
    return ATLS_OK;
}

static enum atls_code configure(struct soft *soft, struct atls_err *err)
{
    const char *aik = NULL, *delay = NULL;
    const struct atls_uri_known known[] = {{"aik", &aik}, {"delay", &delay}};
    uint8_t digest[ATLS_HASH_MAX];
    enum atls_code code;

    if ((code = atls_uri_options("soft", &soft->uri, known, sizeof known / sizeof known[0],
                                 MEASURE_PREFIX, err)) != ATLS_OK ||
        (code = set_delay(soft, delay, err)) != ATLS_OK)
        return code;
    for (size_t i = 0; i < soft->uri.count; i++) {
        if (strncmp(soft->uri.options[i].name, MEASURE_PREFIX, strlen(MEASURE_PREFIX)) == 0 &&
            (code = add_measurement(soft, &soft->uri.options[i], err)) != ATLS_OK)
            return code;
    }
    if ((code = atls_file_private_key("platform key", soft->uri.base, &soft->platform, err)) !=
            ATLS_OK ||
        (code = atls_file_private_key("attestation identity key", aik, &soft->aik, err)) != ATLS_OK)
        return code;
    soft->algorithm = atls_signature_find(atls_private_key_scheme(soft->platform));
    if (soft->algorithm == NULL || soft->algorithm->cose_alg == 0)
        return atls_fail(err, ATLS_E_CONFIG, MODULE ": COSE has no algorithm for the platform key");
    code = atls_hash_one(ATLS_HASH_SHA256, atls_key_spki(atls_private_key_public(soft->platform)),
                         digest, err);
    if (code != ATLS_OK)
        return code;
    soft->ueid[0] = 0x01;
    memcpy(soft->ueid + 1, digest, sizeof soft->ueid - 1);
    return ATLS_OK;
}

/* Writes the claims once, so that names that no token can carry are refused at open. */
static enum atls_code put_claims(const struct soft *soft, const uint8_t *challenge,
                                 struct atls_writer *w, struct atls_err *err)
{
    struct atls_soft_token token = {
        .challenge = atls_bytes_of(challenge, ATLS_SOFT_CHALLENGE_LEN),
        .ueid = atls_bytes_of(soft->ueid, sizeof soft->ueid),
        .measurement_count = soft->measurement_count,
    };

    memcpy(token.measurements, soft->measurements, sizeof token.measurements);
    return atls_soft_token_put(w, &token, err);
}

static enum atls_code check_claims(const struct soft *soft, struct atls_err *err)
{
    static const uint8_t challenge[ATLS_SOFT_CHALLENGE_LEN] = {0};
    struct atls_writer w = atls_writer_init(ATLS_CMW_DATA_MAX);
    enum atls_code code = put_claims(soft, challenge, &w, err);

    atls_writer_clear(&w);
    if (code != ATLS_OK && err != NULL)
        return atls_fail(err, ATLS_E_CONFIG, MODULE ": measurements: %s", err->message);
    return code == ATLS_OK ? ATLS_OK : ATLS_E_CONFIG;
}

static enum atls_code soft_open(const char *rest, const struct atls_attester_options *options,
                                void **out_self, struct atls_err *err)
{
    struct soft *soft = calloc(1, sizeof *soft);
    enum atls_code code;

    if (soft == NULL || pthread_mutex_init(&soft->quote, NULL) != 0) {
        free(soft);
        return atls_fail(err, ATLS_E_NOMEM, MODULE ": out of memory");
    }
    if ((code = atls_uri_parse("soft", rest, &soft->uri, err)) != ATLS_OK ||
        (code = configure(soft, err)) != ATLS_OK || (code = check_claims(soft, err)) != ATLS_OK) {
        soft_close(soft);
        return code;
    }
    atls_log(&options->log, ATLS_LOG_WARNING, "attester",
             "the software attester is insecure: anyone can make its evidence");
    *out_self = soft;
    return ATLS_OK;
}

static struct atls_bytes soft_aik_spki(void *self)
{
    const struct soft *soft = self;

    return atls_key_spki(atls_private_key_public(soft->aik));
}

static enum atls_signature soft_aik_scheme(void *self)
{
    const struct soft *soft = self;

    return atls_private_key_scheme(soft->aik);
}

static enum atls_code soft_aik_sign(void *self, enum atls_signature scheme, struct atls_bytes tbs,
                                    struct atls_buf *out, struct atls_err *err)
{
    const struct soft *soft = self;

    return atls_private_key_sign(soft->aik, scheme, tbs, out, err);
}

/* COSE_Sign1 of the claims by the platform key. */
static enum atls_code put_token(const struct soft *soft, struct atls_bytes protected_header,
                                struct atls_bytes claims, struct atls_writer *w,
                                struct atls_err *err)
{
    struct atls_writer tbs = atls_writer_init(ATLS_CMW_DATA_MAX);
    struct atls_buf to_be_signed = ATLS_BUF_INIT, signature = ATLS_BUF_INIT;
    const struct atls_bytes none = {NULL, 0};
    enum atls_code code;

    atls_cose_put_to_be_signed(&tbs, protected_header, none, claims);
    if ((code = atls_writer_finish(&tbs, &to_be_signed, err)) != ATLS_OK)
        return code;
    code = atls_private_key_sign_raw(soft->platform, soft->algorithm->scheme,
                                     atls_buf_bytes(&to_be_signed), &signature, err);
    if (code == ATLS_OK)
        atls_cose_put_sign1(w, protected_header, none, claims, atls_buf_bytes(&signature));
    atls_buf_clear(&to_be_signed);
    atls_buf_clear(&signature);
    return code;
}

static enum atls_code make_pat(const struct soft *soft, const uint8_t *challenge,
                               struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer claims = atls_writer_init(ATLS_CMW_DATA_MAX),
                       header = atls_writer_init(ATLS_CMW_DATA_MAX),
                       token = atls_writer_init(ATLS_CMW_DATA_MAX);
    enum atls_code code = put_claims(soft, challenge, &claims, err);

    atls_soft_put_protected(&header, soft->algorithm->cose_alg,
                            atls_bytes_of(soft->ueid, sizeof soft->ueid));
    if (code == ATLS_OK && (claims.failed != ATLS_OK || header.failed != ATLS_OK))
        code = atls_fail(err, ATLS_E_NOMEM, MODULE ": out of memory");
    if (code == ATLS_OK)
        code = put_token(soft, atls_writer_bytes(&header), atls_writer_bytes(&claims), &token, err);
    if (code == ATLS_OK)
        code = atls_writer_finish(&token, out, err);
    atls_writer_clear(&claims);
    atls_writer_clear(&header);
    atls_writer_clear(&token);
    return code;
}

static void pass_time(struct soft *soft)
{
    const struct timespec delay = {.tv_sec = soft->delay_ms / 1000,
                                   .tv_nsec = (long)(soft->delay_ms % 1000) * 1000000};

    if (soft->delay_ms == 0)
        return;
    pthread_mutex_lock(&soft->quote);
    nanosleep(&delay, NULL);
    pthread_mutex_unlock(&soft->quote);
}

static enum atls_code soft_quote(void *self, const uint8_t challenge[ATLS_QUOTE_CHALLENGE_LEN],
                                 struct atls_quote *out, struct atls_err *err)
{
    struct atls_quote quote = {.type = ATLS_TYPE_SOFT};
    enum atls_code code;

    pass_time(self);
    code = make_pat(self, challenge, &quote.token, err);
    if (code == ATLS_OK)
        *out = quote;
    return code;
}

static void soft_quoter(void *self, struct atls_quoter *out)
{
    *out = (struct atls_quoter){"soft", self, soft_quote, soft_aik_spki(self)};
}

static enum atls_code soft_evidence(void *self, const struct atls_challenge *challenge,
                                    struct atls_buf *out_cmw, struct atls_err *err)
{
    struct atls_quoter quoter;

    soft_quoter(self, &quoter);
    return atls_bundle_evidence(&quoter, challenge, out_cmw, err);
}

const struct atls_attester_ops atls_soft_attester = {
    .scheme = "soft",
    .evidence_type = "soft",
    .insecure = true,
    .open = soft_open,
    .close = soft_close,
    .aik_spki = soft_aik_spki,
    .aik_scheme = soft_aik_scheme,
    .aik_sign = soft_aik_sign,
    .evidence = soft_evidence,
    .profiles = ATLS_PROFILE_KAT | ATLS_PROFILE_BARE,
    .quoter = soft_quoter,
};
