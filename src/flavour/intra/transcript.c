#include "flavour/intra/transcript.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/writer.h"
#include "wire/tls_msg.h"

/* Random of a ServerHello that is a HelloRetryRequest: SHA-256("HelloRetryRequest") (RFC 8446
 * section 4.1.3). */
static const uint8_t retry_random[ATLS_HELLO_RANDOM_LEN] = {
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};

/* RFC 8446 appendix B.4. */
static const struct {
    uint16_t suite;
    enum atls_hash hash;
} suites[] = {
    {0x1301, ATLS_HASH_SHA256}, {0x1302, ATLS_HASH_SHA384}, {0x1303, ATLS_HASH_SHA256},
    {0x1304, ATLS_HASH_SHA256}, {0x1305, ATLS_HASH_SHA256},
};

enum expected {
    FIRST_CLIENT_HELLO,
    FIRST_SERVER_HELLO,
    SECOND_CLIENT_HELLO,
    LAST_SERVER_HELLO,
    REST
};

struct atls_transcript {
    enum expected expected;
    bool goes_on, retried;
    enum atls_hash hash;          /* NONE until the server chose */
    struct atls_buf client_hello; /* the first, until then */
    struct atls_digest *digest;   /* from then on */
    uint8_t hellos[ATLS_HASH_MAX];
};

enum atls_code atls_transcript_new(struct atls_transcript **out, struct atls_err *err)
{
    struct atls_transcript *t = calloc(1, sizeof *t);

    if (t == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "transcript: out of memory");
    *out = t;
    return ATLS_OK;
}

void atls_transcript_free(struct atls_transcript *t)
{
    if (t == NULL)
        return;
    atls_buf_clear(&t->client_hello);
    atls_digest_free(t->digest);
    free(t);
}

void atls_transcript_go_on(struct atls_transcript *t)
{
    t->goes_on = true;
}

enum atls_hash atls_transcript_hash(const struct atls_transcript *t)
{
    return t->expected == REST ? t->hash : ATLS_HASH_NONE;
}

struct atls_bytes atls_transcript_hellos(const struct atls_transcript *t)
{
    return atls_bytes_of(t->hellos, atls_hash_len(atls_transcript_hash(t)));
}

bool atls_transcript_retried(const struct atls_transcript *t)
{
    return t->retried;
}

enum atls_code atls_transcript_peek(const struct atls_transcript *t, uint8_t out[ATLS_HASH_MAX],
                                    struct atls_err *err)
{
    if (t->expected != REST)
        return atls_fail(err, ATLS_E_USAGE, "transcript: no ServerHello yet");
    return atls_digest_peek(t->digest, out, err);
}

/* What a ServerHello says of the suite; the TLS library judges all the rest. */
struct server_hello {
    bool is_retry;
    enum atls_hash hash;
};

static enum atls_code unfit(struct atls_err *err, const char *what)
{
    return atls_fail_reason(err, ATLS_E_PROTOCOL, ATLS_REASON_TRANSCRIPT, "transcript: %s", what);
}

static enum atls_code read_server_hello(struct atls_bytes body, struct server_hello *out,
                                        struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(body);
    struct atls_bytes random, session;
    uint16_t version, suite;

    if (!atls_get_u16(&r, &version) || !atls_get_bytes(&r, ATLS_HELLO_RANDOM_LEN, &random) ||
        !atls_get_vec(&r, 0, 32, &session) || !atls_get_u16(&r, &suite))
        return unfit(err, "ServerHello is malformed");
    for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++)
        if (suites[i].suite == suite) {
            out->hash = suites[i].hash;
            out->is_retry = memcmp(random.ptr, retry_random, sizeof retry_random) == 0;
            return ATLS_OK;
        }
    return atls_fail_reason(err, ATLS_E_TLS, ATLS_REASON_TLS_VERSION,
                            "ServerHello: cipher suite is 0x%04x, want one of TLS 1.3", suite);
}

/* Starts the digest with the first ClientHello, as it is or as its hash. */
static enum atls_code start_digest(struct atls_transcript *t, const struct server_hello *hello,
                                   struct atls_err *err)
{
    struct atls_bytes first = atls_buf_bytes(&t->client_hello);
    uint8_t synthetic[4 + ATLS_HASH_MAX] = {ATLS_TLS_MESSAGE_HASH, 0, 0};
    enum atls_code code = atls_digest_new(hello->hash, &t->digest, err);

    if (code == ATLS_OK && hello->is_retry) {
        synthetic[3] = (uint8_t)atls_hash_len(hello->hash);
        code = atls_hash_one(hello->hash, first, synthetic + 4, err);
        first = atls_bytes_of(synthetic, 4 + (size_t)synthetic[3]);
    }
    if (code == ATLS_OK)
        code = atls_digest_add(t->digest, first, err);
    if (code == ATLS_OK) {
        atls_buf_clear(&t->client_hello);
        t->hash = hello->hash;
    }
    return code;
}

static enum atls_code take_server_hello(struct atls_transcript *t, const struct atls_tls_message *m,
                                        struct atls_err *err)
{
    const bool first = t->expected == FIRST_SERVER_HELLO;
    struct server_hello hello = {.hash = ATLS_HASH_NONE};
    enum atls_code code = read_server_hello(m->body, &hello, err);

    if (code != ATLS_OK)
        return code;
    if (!first && hello.is_retry)
        return unfit(err, "second HelloRetryRequest");
    if (!first && hello.hash != t->hash)
        return unfit(err, "ServerHello names another hash than HelloRetryRequest");
    if ((first && (code = start_digest(t, &hello, err)) != ATLS_OK) ||
        (code = atls_digest_add(t->digest, m->whole, err)) != ATLS_OK)
        return code;
    if (hello.is_retry) {
        t->retried = true;
        t->expected = SECOND_CLIENT_HELLO;
        return ATLS_OK;
    }
    if ((code = atls_digest_peek(t->digest, t->hellos, err)) == ATLS_OK)
        t->expected = REST;
    return code;
}

static enum atls_code take_client_hello(struct atls_transcript *t, const struct atls_tls_message *m,
                                        struct atls_err *err)
{
    enum atls_code code;

    if (t->expected == FIRST_CLIENT_HELLO) {
        code = atls_buf_copy(&t->client_hello, m->whole, err);
        if (code == ATLS_OK)
            t->expected = FIRST_SERVER_HELLO;
        return code;
    }
    if ((code = atls_digest_add(t->digest, m->whole, err)) == ATLS_OK)
        t->expected = LAST_SERVER_HELLO;
    return code;
}

static enum atls_code take_hello(struct atls_transcript *t, const struct atls_tls_message *m,
                                 bool from_client, struct atls_err *err)
{
    const bool wants_client =
        t->expected == FIRST_CLIENT_HELLO || t->expected == SECOND_CLIENT_HELLO;
    const uint8_t wanted = wants_client ? ATLS_TLS_CLIENT_HELLO : ATLS_TLS_SERVER_HELLO;

    if (m->type != wanted || from_client != wants_client)
        return atls_fail_reason(err, ATLS_E_PROTOCOL, ATLS_REASON_TRANSCRIPT,
                                "transcript: message of type %u from the %s, want type %u of the "
                                "%s",
                                m->type, from_client ? "client" : "server", wanted,
                                wants_client ? "client" : "server");
    if (m->whole.len > ATLS_HELLO_MAX)
        return atls_fail_reason(err, ATLS_E_LIMIT, ATLS_REASON_TRANSCRIPT,
                                "transcript: hello of %zu bytes, want at most %d", m->whole.len,
                                ATLS_HELLO_MAX);
    return wants_client ? take_client_hello(t, m, err) : take_server_hello(t, m, err);
}

enum atls_code atls_transcript_add(struct atls_transcript *t, struct atls_bytes whole,
                                   bool from_client, struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(whole);
    struct atls_tls_message m;

    if (!atls_tls_get_message(&r, &m) || !atls_reader_done(&r))
        return unfit(err, "what is given is not one whole message");
    if (t->expected != REST)
        return take_hello(t, &m, from_client, err);
    if (m.type == ATLS_TLS_CLIENT_HELLO || m.type == ATLS_TLS_SERVER_HELLO)
        return unfit(err, "another hello after ServerHello");
    return t->goes_on ? atls_digest_add(t->digest, whole, err) : ATLS_OK;
}
