#include "testlib.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "ea/ea.h"
#include "forge.h"
#include "pki.h"

static struct test_identity ca, leaf;

static int setup(void **state)
{
    (void)state;
    ca = test_ca("root");
    leaf = test_leaf(&ca, "host.example", ATLS_KEY_P256);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_identity_clear(&ca);
    test_identity_clear(&leaf);
    return 0;
}

/* Both ends of one connection. */
struct pair {
    struct test_connection *connection; /* what the exporter of both ends borrows */
    struct atls_ea *client, *server;
};

static struct pair open_pair(enum atls_hash hash)
{
    struct pair p = {.connection = test_malloc(sizeof *p.connection)};

    *p.connection = test_connection(hash, 0x33);
    assert_int_equal(
        atls_ea_new(ATLS_ROLE_CLIENT, hash, test_exporter, p.connection, &p.client, NULL), ATLS_OK);
    assert_int_equal(
        atls_ea_new(ATLS_ROLE_SERVER, hash, test_exporter, p.connection, &p.server, NULL), ATLS_OK);
    return p;
}

static void close_pair(struct pair *p)
{
    atls_ea_free(p->client);
    atls_ea_free(p->server);
    test_free(p->connection);
}

static const enum atls_signature all_schemes[] = {
    ATLS_ECDSA_P256_SHA256, ATLS_ECDSA_P384_SHA384, ATLS_ECDSA_P521_SHA512, ATLS_ED25519,
    ATLS_RSA_PSS_SHA256,    ATLS_RSA_PSS_SHA384,    ATLS_RSA_PSS_SHA512};

static struct atls_buf ask(struct atls_ea *ea, const char *context, bool attestation)
{
    struct atls_ea_request_spec spec = {.context = atls_bytes_of(context, strlen(context)),
                                        .schemes = all_schemes,
                                        .scheme_count = 7,
                                        .attestation = attestation};
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_ea_request(ea, &spec, &out, &err), ATLS_OK, &err);
    return out;
}

static struct atls_ea_credential credential_of(const struct test_identity *identity,
                                               const struct atls_bytes *chain, size_t len)
{
    return (struct atls_ea_credential){.chain = chain,
                                       .chain_len = len,
                                       .scheme = atls_private_key_scheme(identity->key),
                                       .sign = atls_private_key_sign_function,
                                       .sign_arg = identity->key};
}

static void every_key_hash_and_direction(void **state)
{
    static const enum atls_key_type types[] = {ATLS_KEY_P256, ATLS_KEY_P384, ATLS_KEY_P521,
                                               ATLS_KEY_ED25519, ATLS_KEY_RSA};
    static const enum atls_hash hashes[] = {ATLS_HASH_SHA256, ATLS_HASH_SHA384};
    const struct atls_bytes cmw = HEX("evidence");

    (void)state;
    for (size_t t = 0; t < 5; t++)
        for (size_t h = 0; h < 2; h++)
            for (int by_client = 0; by_client < 2; by_client++) {
                struct test_identity one = test_leaf(&ca, "host.example", types[t]);
                const struct atls_bytes chain[] = {atls_buf_bytes(&one.certificate),
                                                   atls_buf_bytes(&ca.certificate)};
                struct atls_ea_credential credential = credential_of(&one, chain, 2);
                struct pair p = open_pair(hashes[h]);
                struct atls_ea *asks = by_client ? p.client : p.server;
                struct atls_ea *answers = by_client ? p.server : p.client;
                struct atls_buf request = ask(asks, "context", true), out = ATLS_BUF_INIT;
                struct atls_err err = ATLS_ERR_INIT;
                struct atls_ea_peer peer;

                credential.cmw = cmw;
                test_assert_code(atls_ea_authenticate(answers, atls_buf_bytes(&request),
                                                      &credential, &out, &err),
                                 ATLS_OK, &err);
                test_assert_code(atls_ea_validate(asks, atls_buf_bytes(&request),
                                                  atls_buf_bytes(&out), &peer, &err),
                                 ATLS_OK, &err);
                assert_int_equal(peer.chain_len, 2);
                test_assert_bytes(peer.chain[1], chain[1]);
                test_assert_bytes(peer.spki, atls_key_spki(atls_private_key_public(one.key)));
                assert_int_equal(peer.scheme, credential.scheme);
                assert_true(peer.attested);
                test_assert_bytes(peer.cmw, cmw);
                atls_buf_clear(&request);
                atls_buf_clear(&out);
                close_pair(&p);
                test_identity_clear(&one);
            }
}

static void attestation_is_optional_for_the_sender(void **state)
{
    const struct atls_bytes chain[] = {atls_buf_bytes(&leaf.certificate)};
    struct atls_ea_credential credential = credential_of(&leaf, chain, 1);
    struct pair p = open_pair(ATLS_HASH_SHA256);
    struct atls_buf request = ask(p.client, "c", true), out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ea_peer peer;

    (void)state;
    test_assert_code(
        atls_ea_authenticate(p.server, atls_buf_bytes(&request), &credential, &out, &err), ATLS_OK,
        &err);
    test_assert_code(
        atls_ea_validate(p.client, atls_buf_bytes(&request), atls_buf_bytes(&out), &peer, &err),
        ATLS_OK, &err);
    assert_false(peer.attested); /* what that means is policy's to say */
    assert_int_equal(peer.cmw.len, 0);
    atls_buf_clear(&request);
    atls_buf_clear(&out);
    close_pair(&p);
}

static void the_largest_evidence(void **state)
{
    const struct atls_bytes chain[] = {atls_buf_bytes(&leaf.certificate)};
    struct atls_ea_credential credential = credential_of(&leaf, chain, 1);
    uint8_t *big = malloc(ATLS_CMW_DATA_MAX + 1);
    struct pair p = open_pair(ATLS_HASH_SHA256);
    struct atls_buf request = ask(p.client, "c", true), out = ATLS_BUF_INIT;
    struct atls_ea_answer *answer = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ea_peer peer;

    (void)state;
    assert_non_null(big);
    memset(big, 0xab, ATLS_CMW_DATA_MAX + 1);
    test_assert_code(atls_ea_prepare(p.server, atls_buf_bytes(&request), &answer, &err), ATLS_OK,
                     &err);
    credential.cmw = atls_bytes_of(big, ATLS_CMW_DATA_MAX + 1);
    test_assert_code(atls_ea_sign(answer, &credential, &out, &err), ATLS_E_LIMIT, &err);
    assert_non_null(strstr(err.message, "65530"));
    assert_non_null(strstr(err.message, "65529"));
    assert_null(out.ptr);
    credential.cmw.len = ATLS_CMW_DATA_MAX;
    test_assert_code(atls_ea_sign(answer, &credential, &out, &err), ATLS_OK, &err);
    test_assert_code(
        atls_ea_validate(p.client, atls_buf_bytes(&request), atls_buf_bytes(&out), &peer, &err),
        ATLS_OK, &err);
    test_assert_bytes(peer.cmw, credential.cmw);
    atls_ea_answer_free(answer);
    atls_buf_clear(&request);
    atls_buf_clear(&out);
    close_pair(&p);
    free(big);
}

static enum atls_code refuse_to_sign(void *arg, enum atls_signature scheme, struct atls_bytes tbs,
                                     struct atls_buf *out, struct atls_err *err)
{
    (void)arg, (void)scheme, (void)tbs, (void)out, (void)err;
    return ATLS_E_DEVICE;
}

/* The sender refuses to make what the other end would have to refuse. */
static void credentials_that_do_not_fit(void **state)
{
    struct atls_bytes chain[ATLS_CHAIN_MAX + 1];
    struct atls_bytes junk_chain[] = {HEX("junk")}, empty_chain[] = {{NULL, 0}};
    struct pair p = open_pair(ATLS_HASH_SHA256);
    static const enum atls_signature one_scheme[] = {ATLS_ECDSA_P256_SHA256, ATLS_ED25519};
    struct atls_ea_request_spec spec = {
        .context = HEX("c"), .schemes = one_scheme, .scheme_count = 2};
    struct atls_ea_credential good, credential;
    struct atls_buf request = ATLS_BUF_INIT, out = ATLS_BUF_INIT;
    struct atls_ea_answer *answer = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < ATLS_CHAIN_MAX + 1; i++)
        chain[i] = atls_buf_bytes(&leaf.certificate);
    good = credential_of(&leaf, chain, 1);
    test_assert_code(atls_ea_request(p.client, &spec, &request, &err), ATLS_OK, &err);
    test_assert_code(atls_ea_prepare(p.server, atls_buf_bytes(&request), &answer, &err), ATLS_OK,
                     &err);
#define REFUSED(change, want)                                                                      \
    do {                                                                                           \
        credential = good;                                                                         \
        change;                                                                                    \
        test_assert_code(atls_ea_sign(answer, &credential, &out, &err), want, &err);               \
        assert_null(out.ptr);                                                                      \
    } while (0)
    REFUSED(credential.sign = NULL, ATLS_E_USAGE);
    REFUSED(credential.sign = refuse_to_sign, ATLS_E_DEVICE);
    REFUSED(credential.chain_len = 0, ATLS_E_USAGE);
    REFUSED(credential.chain_len = ATLS_CHAIN_MAX + 1, ATLS_E_USAGE);
    REFUSED(credential.chain = junk_chain, ATLS_E_DECODE);
    REFUSED(credential.chain = empty_chain, ATLS_E_USAGE);
    REFUSED(credential.scheme = ATLS_ECDSA_P384_SHA384, ATLS_E_USAGE); /* not offered */
    assert_int_equal(err.reason, ATLS_REASON_SCHEME_NOT_OFFERED);
    REFUSED(credential.scheme = ATLS_RSA_PKCS1_SHA256, ATLS_E_USAGE);
    REFUSED(credential.scheme = ATLS_SIGNATURE_NONE, ATLS_E_USAGE);
    REFUSED(credential.scheme = ATLS_ED25519, ATLS_E_USAGE); /* offered, but not this key's */
    REFUSED(credential.cmw = atls_bytes_of("x", 1), ATLS_E_USAGE);
    assert_int_equal(err.reason, ATLS_REASON_EXTENSION_NOT_OFFERED);
    /* after all that the answer is still good for one authenticator, and for one only */
    test_assert_code(atls_ea_sign(answer, &good, &out, &err), ATLS_OK, &err);
    atls_buf_clear(&out);
    test_assert_code(atls_ea_sign(answer, &good, &out, &err), ATLS_E_PROTOCOL, &err);
    assert_int_equal(err.reason, ATLS_REASON_CONTEXT_USED);
    test_assert_code(atls_ea_answer_decline(answer, &out, &err), ATLS_E_PROTOCOL, &err);
    assert_null(out.ptr);
    atls_ea_answer_free(answer);
    atls_ea_answer_free(NULL);
    atls_buf_clear(&request);
    close_pair(&p);
}

static void a_chain_that_does_not_fit_an_authenticator(void **state)
{
    uint8_t *big = calloc(1, 140000);
    struct atls_bytes chain[] = {atls_buf_bytes(&leaf.certificate), {big, 140000}, {big, 140000}};
    struct atls_ea_credential credential = credential_of(&leaf, chain, 3);
    struct pair p = open_pair(ATLS_HASH_SHA256);
    struct atls_buf request = ask(p.client, "c", false), out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    assert_non_null(big);
    test_assert_code(
        atls_ea_authenticate(p.server, atls_buf_bytes(&request), &credential, &out, &err),
        ATLS_E_LIMIT, &err);
    assert_null(out.ptr);
    atls_buf_clear(&request);
    close_pair(&p);
    free(big);
}

static void a_request_is_answered_once(void **state)
{
    const struct atls_bytes chain[] = {atls_buf_bytes(&leaf.certificate)};
    struct atls_ea_credential credential = credential_of(&leaf, chain, 1);
    struct pair p = open_pair(ATLS_HASH_SHA256);
    struct atls_buf request = ask(p.client, "c", true), out = ATLS_BUF_INIT, own;
    struct pair strangers = open_pair(ATLS_HASH_SHA256);
    struct atls_buf other = ask(strangers.client, "c", false);
    struct atls_ea_answer *answer = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(
        atls_ea_authenticate(p.server, atls_buf_bytes(&request), &credential, &out, &err), ATLS_OK,
        &err);
    atls_buf_clear(&out);
    test_assert_code(
        atls_ea_authenticate(p.server, atls_buf_bytes(&request), &credential, &out, &err),
        ATLS_E_PROTOCOL, &err);
    assert_int_equal(err.reason, ATLS_REASON_CONTEXT_USED);
    test_assert_code(atls_ea_decline(p.server, atls_buf_bytes(&request), &out, &err),
                     ATLS_E_PROTOCOL, &err);
    test_assert_code(atls_ea_prepare(p.server, atls_buf_bytes(&request), &answer, &err),
                     ATLS_E_PROTOCOL, &err);
    /* another request under the same context */
    test_assert_code(atls_ea_prepare(p.server, atls_buf_bytes(&other), &answer, &err),
                     ATLS_E_PROTOCOL, &err);
    /* our own request, sent back to us */
    own = ask(p.server, "own", true);
    test_assert_code(atls_ea_prepare(p.server, atls_buf_bytes(&own), &answer, &err),
                     ATLS_E_PROTOCOL, &err);
    test_assert_code(atls_ea_prepare(p.server, atls_bytes_of("x", 1), &answer, &err), ATLS_E_DECODE,
                     &err);
    assert_null(answer);
    assert_null(out.ptr);
    atls_buf_clear(&request);
    atls_buf_clear(&own);
    atls_buf_clear(&other);
    close_pair(&strangers);
    close_pair(&p);
}

static void refusals_are_authentic(void **state)
{
    static const enum atls_hash hashes[] = {ATLS_HASH_SHA256, ATLS_HASH_SHA384};

    (void)state;
    for (size_t h = 0; h < 2; h++) {
        struct pair p = open_pair(hashes[h]);
        struct atls_buf first = ask(p.client, "1", true), second = ask(p.client, "2", true);
        struct atls_buf third = ask(p.client, "3", true), out = ATLS_BUF_INIT;
        struct atls_ea_answer *answer = NULL;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_ea_peer peer = {.chain_len = 77};

        test_assert_code(atls_ea_decline(p.server, atls_buf_bytes(&first), &out, &err), ATLS_OK,
                         &err);
        assert_int_equal(out.len, 4 + atls_hash_len(hashes[h]));
        /* it answers its own request only */
        test_assert_code(
            atls_ea_validate(p.client, atls_buf_bytes(&second), atls_buf_bytes(&out), &peer, &err),
            ATLS_E_VERIFY, &err);
        assert_int_equal(err.reason, ATLS_REASON_FINISHED_MISMATCH);
        assert_int_equal(err.alert, ATLS_ALERT_DECRYPT_ERROR);
        test_assert_code(
            atls_ea_validate(p.client, atls_buf_bytes(&first), atls_buf_bytes(&out), &peer, &err),
            ATLS_E_DECLINED, &err);
        assert_int_equal(err.reason, ATLS_REASON_EMPTY_AUTHENTICATOR);
        assert_int_equal(peer.chain_len, 77);
        atls_buf_clear(&out);
        /* and after preparation, with one bit changed */
        test_assert_code(atls_ea_prepare(p.server, atls_buf_bytes(&third), &answer, &err), ATLS_OK,
                         &err);
        test_assert_code(atls_ea_answer_decline(answer, &out, &err), ATLS_OK, &err);
        out.ptr[out.len - 1] ^= 1;
        test_assert_code(
            atls_ea_validate(p.client, atls_buf_bytes(&third), atls_buf_bytes(&out), &peer, &err),
            ATLS_E_VERIFY, &err);
        atls_ea_answer_free(answer);
        atls_buf_clear(&out);
        atls_buf_clear(&first);
        atls_buf_clear(&second);
        atls_buf_clear(&third);
        close_pair(&p);
    }
}

/* Parts of two good authenticators of one connection, put together in every other way. */
static void splices_are_refused(void **state)
{
    const struct atls_bytes chain[] = {atls_buf_bytes(&leaf.certificate)};

    (void)state;
    for (int mix = 1; mix < 7; mix++) {
        struct atls_ea_credential credential = credential_of(&leaf, chain, 1);
        struct pair p = open_pair(ATLS_HASH_SHA256);
        struct atls_buf requests[2] = {ask(p.client, "1", true), ask(p.client, "2", true)};
        struct atls_buf answers[2] = {ATLS_BUF_INIT, ATLS_BUF_INIT};
        struct atls_tls_message parts[2][3];
        uint8_t all[4096];
        size_t len = 0;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_ea_peer peer;

        for (int i = 0; i < 2; i++) {
            struct atls_reader r;

            credential.cmw = atls_bytes_of(i == 0 ? "evidence one" : "evidence two", 12);
            test_assert_code(atls_ea_authenticate(p.server, atls_buf_bytes(&requests[i]),
                                                  &credential, &answers[i], &err),
                             ATLS_OK, &err);
            r = atls_reader_init(atls_buf_bytes(&answers[i]));
            for (int m = 0; m < 3; m++)
                assert_true(atls_tls_get_message(&r, &parts[i][m]));
        }
        for (int m = 0; m < 3; m++) {
            struct atls_bytes part = parts[mix >> m & 1][m].whole;

            memcpy(all + len, part.ptr, part.len);
            len += part.len;
        }
        for (int i = 0; i < 2; i++)
            if (atls_ea_validate(p.client, atls_buf_bytes(&requests[i]), atls_bytes_of(all, len),
                                 &peer, &err) == ATLS_OK)
                fail_msg("mix %d passed for request %d", mix, i);
        for (int i = 0; i < 2; i++) {
            atls_buf_clear(&requests[i]);
            atls_buf_clear(&answers[i]);
        }
        close_pair(&p);
    }
}

/* Relay: a request and its answer carried between two connections of the same hash. */
static void nothing_crosses_connections(void **state)
{
    const struct atls_bytes chain[] = {atls_buf_bytes(&leaf.certificate)};
    struct atls_ea_credential credential = credential_of(&leaf, chain, 1);
    struct pair near_side = open_pair(ATLS_HASH_SHA256);
    struct test_connection far_connection = test_connection(ATLS_HASH_SHA256, 0x34);
    struct atls_ea *far_server = NULL;
    struct atls_buf request = ask(near_side.client, "c", true), out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ea_peer peer;

    (void)state;
    assert_int_equal(atls_ea_new(ATLS_ROLE_SERVER, ATLS_HASH_SHA256, test_exporter, &far_connection,
                                 &far_server, NULL),
                     ATLS_OK);
    test_assert_code(
        atls_ea_authenticate(far_server, atls_buf_bytes(&request), &credential, &out, &err),
        ATLS_OK, &err);
    test_assert_code(atls_ea_validate(near_side.client, atls_buf_bytes(&request),
                                      atls_buf_bytes(&out), &peer, &err),
                     ATLS_E_VERIFY, &err);
    assert_int_equal(err.reason, ATLS_REASON_FINISHED_MISMATCH);
    atls_buf_clear(&request);
    atls_buf_clear(&out);
    atls_ea_free(far_server);
    close_pair(&near_side);
}

static void without_a_request(void **state)
{
    const struct atls_bytes chain[] = {atls_buf_bytes(&leaf.certificate)};
    struct atls_ea_credential credential = credential_of(&leaf, chain, 1);
    static const uint16_t extensions[] = {ATLS_EA_CMW_ATTESTATION};
    const struct atls_ea_client_hello hello = {all_schemes, 7, extensions, 1};
    const struct atls_ea_client_hello no_schemes = {NULL, 0, NULL, 0};
    const struct atls_bytes context = HEX("fresh"), other = HEX("other");
    static uint8_t long_context[256];
    struct pair p = open_pair(ATLS_HASH_SHA256);
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ea_peer peer;

    (void)state;
    test_assert_code(
        atls_ea_authenticate_spontaneous(p.client, context, &hello, &credential, &out, &err),
        ATLS_E_USAGE, &err);
    test_assert_code(atls_ea_authenticate_spontaneous(p.server, atls_bytes_of(long_context, 256),
                                                      &hello, &credential, &out, &err),
                     ATLS_E_USAGE, &err);
    credential.cmw = atls_bytes_of("x", 1); /* even where the ClientHello held the extension */
    test_assert_code(
        atls_ea_authenticate_spontaneous(p.server, other, &hello, &credential, &out, &err),
        ATLS_E_USAGE, &err);
    credential.cmw.len = 0;
    test_assert_code(atls_ea_authenticate_spontaneous(p.server, atls_bytes_of("3", 1), &no_schemes,
                                                      &credential, &out, &err),
                     ATLS_E_USAGE, &err);
    assert_int_equal(err.reason, ATLS_REASON_SCHEME_NOT_OFFERED);
    test_assert_code(
        atls_ea_authenticate_spontaneous(p.server, context, &hello, &credential, &out, &err),
        ATLS_OK, &err);
    test_assert_code(
        atls_ea_validate_spontaneous(p.client, &hello, atls_buf_bytes(&out), &peer, &err), ATLS_OK,
        &err);
    test_assert_bytes(peer.context, context);
    test_assert_code(
        atls_ea_validate_spontaneous(p.client, &hello, atls_buf_bytes(&out), &peer, &err),
        ATLS_E_PROTOCOL, &err);
    assert_int_equal(err.reason, ATLS_REASON_CONTEXT_USED);
    atls_buf_clear(&out);
    test_assert_code(
        atls_ea_authenticate_spontaneous(p.server, context, &hello, &credential, &out, &err),
        ATLS_E_PROTOCOL, &err);
    assert_null(out.ptr);
    close_pair(&p);
}

struct work {
    struct atls_ea_answer *answer;
    struct atls_ea_validation *validation;
    const struct atls_ea_credential *credential;
    struct atls_buf out;
    struct atls_ea_peer peer;
    enum atls_code code;
};

static void *sign_elsewhere(void *arg)
{
    struct work *w = arg;

    w->code = atls_ea_sign(w->answer, w->credential, &w->out, NULL);
    return NULL;
}

static void *validate_elsewhere(void *arg)
{
    struct work *w = arg;

    w->code =
        atls_ea_validate_finish(w->validation, atls_buf_bytes(&w->out), NULL, NULL, &w->peer, NULL);
    return NULL;
}

/* The slow halves on threads of their own while the connection goes on, and even ends. */
static void slow_halves_on_other_threads(void **state)
{
    const struct atls_bytes chain[] = {atls_buf_bytes(&leaf.certificate)};
    struct atls_ea_credential credential = credential_of(&leaf, chain, 1);
    struct pair p = open_pair(ATLS_HASH_SHA256);
    struct work work[4] = {{.answer = NULL}};
    struct atls_buf requests[4];
    pthread_t threads[4];

    (void)state;
    for (int i = 0; i < 4; i++) {
        char context[2] = {(char)('a' + i), 0};

        requests[i] = ask(p.client, context, false);
        work[i].credential = &credential;
        assert_int_equal(
            atls_ea_prepare(p.server, atls_buf_bytes(&requests[i]), &work[i].answer, NULL),
            ATLS_OK);
        assert_int_equal(atls_ea_validate_begin(p.client, atls_buf_bytes(&requests[i]),
                                                &work[i].validation, NULL),
                         ATLS_OK);
        atls_buf_clear(&requests[i]);
    }
    close_pair(&p);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sign_elsewhere, &work[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(work[i].code, ATLS_OK);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, validate_elsewhere, &work[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(work[i].code, ATLS_OK);
        test_assert_bytes(work[i].peer.chain[0], chain[0]);
        atls_buf_clear(&work[i].out);
        atls_ea_answer_free(work[i].answer);
        atls_ea_validation_free(work[i].validation);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_hash_and_direction),
        cmocka_unit_test(attestation_is_optional_for_the_sender),
        cmocka_unit_test(the_largest_evidence),
        cmocka_unit_test(credentials_that_do_not_fit),
        cmocka_unit_test(a_chain_that_does_not_fit_an_authenticator),
        cmocka_unit_test(a_request_is_answered_once),
        cmocka_unit_test(refusals_are_authentic),
        cmocka_unit_test(splices_are_refused),
        cmocka_unit_test(nothing_crosses_connections),
        cmocka_unit_test(without_a_request),
        cmocka_unit_test(slow_halves_on_other_threads),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
