#include "testlib.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/writer.h"
#include "ea/ea.h"
#include "forge.h"

static const enum atls_signature two_schemes[] = {ATLS_ED25519, ATLS_ECDSA_P256_SHA256};

static struct atls_ea *open_end(enum atls_role role)
{
    static struct test_connection c;
    struct atls_ea *ea = NULL;

    c = test_connection(ATLS_HASH_SHA256, 7);
    assert_int_equal(atls_ea_new(role, c.hash, test_exporter, &c, &ea, NULL), ATLS_OK);
    return ea;
}

/* Each row is a request broken in one place; context "c", signature_algorithms ed25519 and P-256.
 */
static void requests_broken_in_one_place(void **state)
{
#define SIGALGS                                                                                    \
    "000d000600040807"                                                                             \
    "0403"
    static const struct {
        const char *name, *hex;
        enum atls_code want;
        enum atls_alert alert;
    } rows[] = {
        {"smallest from a server",
         "0d00000b00"
         "0008"
         "000d00040002"
         "0807",
         ATLS_OK, 0},
        {"smallest from a client",
         "1100000b00"
         "0008"
         "000d00040002"
         "0807",
         ATLS_OK, 0},
        {"offer of attestation",
         "11000016"
         "0163"
         "0012" SIGALGS "ff000000"
         "12340000",
         ATLS_OK, 0},
        {"name of a server",
         "1100001b"
         "0163"
         "0017" SIGALGS "0000"
         "0009"
         "0007"
         "00"
         "0004"
         "686f7374",
         ATLS_OK, 0},
        {"authorities",
         "0d000016"
         "0163"
         "0012" SIGALGS "002f"
         "0004"
         "0002"
         "0000",
         ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
        {"authorities of one name",
         "0d00001a"
         "0163"
         "0016" SIGALGS "002f"
         "0008"
         "0006"
         "0004"
         "30020500",
         ATLS_OK, 0},
        {"authorities cut in a name",
         "0d00001a"
         "0163"
         "0016" SIGALGS "002f"
         "0008"
         "0006"
         "0005"
         "30020500",
         ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
        {"authorities with a byte behind",
         "0d00001b"
         "0163"
         "0017" SIGALGS "002f"
         "0009"
         "0006"
         "0004"
         "30020500"
         "00",
         ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
        {"schemes for certificates",
         "0d000016"
         "0163"
         "0012" SIGALGS "0032"
         "0004"
         "0002"
         "0401",
         ATLS_OK, 0},
        {"schemes for certificates, odd",
         "0d000017"
         "0163"
         "0013" SIGALGS "0032"
         "0005"
         "0003"
         "040104",
         ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
        {"nothing", "", ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
        {"a Finished",
         "1400000b00"
         "0008"
         "000d00040002"
         "0807",
         ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
        {"length one too long",
         "0d00000c00"
         "0008"
         "000d00040002"
         "0807",
         ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
        {"length one too short",
         "0d00000a00"
         "0008"
         "000d00040002"
         "0807",
         ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
        {"byte behind the extensions",
         "0d00000c00"
         "0008"
         "000d00040002"
         "0807"
         "00",
         ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
        {"block of extensions below its floor",
         "0d00000300"
         "0000",
         ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
        {"extension cut",
         "0d00000b00"
         "0008"
         "000d00050002"
         "0807",
         ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
        {"two messages",
         "0d00000b00"
         "0008"
         "000d00040002"
         "0807"
         "0d00000b00"
         "0008"
         "000d00040002"
         "0807",
         ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
        {"no signature_algorithms",
         "1100000700"
         "0004"
         "ff000000",
         ATLS_E_PROTOCOL, ATLS_ALERT_MISSING_EXTENSION},
        {"schemes below their floor",
         "0d00000900"
         "0006"
         "000d00020000",
         ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
        {"half a scheme",
         "0d00000c00"
         "0009"
         "000d00050003"
         "080704",
         ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
        {"byte behind the schemes",
         "0d00000c00"
         "0009"
         "000d00050002"
         "080700",
         ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
        {"offer of attestation with content",
         "11000013"
         "0163"
         "000f" SIGALGS "ff00000100",
         ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
        {"attestation offered twice",
         "11000016"
         "0163"
         "0012" SIGALGS "ff000000"
         "ff000000",
         ATLS_E_PROTOCOL, ATLS_ALERT_ILLEGAL_PARAMETER},
        {"unknown extension twice",
         "11000016"
         "0163"
         "0012" SIGALGS "12340000"
         "12340000",
         ATLS_E_PROTOCOL, ATLS_ALERT_ILLEGAL_PARAMETER},
        {"name of a server from a server",
         "0d00001b"
         "0163"
         "0017" SIGALGS "0000"
         "0009"
         "0007"
         "00"
         "0004"
         "686f7374",
         ATLS_E_PROTOCOL, ATLS_ALERT_ILLEGAL_PARAMETER},
        {"name of another type",
         "1100001b"
         "0163"
         "0017" SIGALGS "0000"
         "0009"
         "0007"
         "01"
         "0004"
         "686f7374",
         ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
        {"empty name",
         "11000017"
         "0163"
         "0013" SIGALGS "0000"
         "0005"
         "0003"
         "00"
         "0000",
         ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
        {"byte behind the name list",
         "1100001c"
         "0163"
         "0018" SIGALGS "0000"
         "000a"
         "0007"
         "00"
         "0004"
         "686f7374"
         "00",
         ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
        {"server_name without a list",
         "11000012"
         "0163"
         "000e" SIGALGS "00000000",
         ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
        {"extensions as text",
         "0d000013"
         "0163"
         "000f"
         "636d775f6174746573746174696f6e",
         ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_unhex(rows[i].hex);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_ea_request q;
        enum atls_code code = atls_ea_request_decode(atls_buf_bytes(&in), &q, &err);

        if (code != rows[i].want || err.alert != rows[i].alert)
            fail_msg("%s: %s, alert %d: %s", rows[i].name, atls_code_name(code), err.alert,
                     err.message);
        atls_buf_clear(&in);
    }
}

static void every_truncation_is_refused(void **state)
{
    struct atls_buf in = test_unhex("1100002b"
                                    "0163"
                                    "0027" SIGALGS "0000"
                                    "0009"
                                    "0007"
                                    "00"
                                    "0004"
                                    "686f7374"
                                    "002f"
                                    "0008"
                                    "0006"
                                    "0004"
                                    "30020500"
                                    "ff000000");
    struct atls_ea_request q;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_ea_request_decode(atls_buf_bytes(&in), &q, &err), ATLS_OK, &err);
    assert_true(q.attestation);
    assert_int_equal(q.from, ATLS_ROLE_CLIENT);
    test_assert_bytes(q.server_name, atls_bytes_of("host", 4));
    assert_int_equal(q.certificate_authorities.len, 8);
    for (size_t len = 0; len < in.len; len++) {
        uint8_t *cut = malloc(len == 0 ? 1 : len);

        assert_non_null(cut);
        memcpy(cut, in.ptr, len);
        assert_int_equal(atls_ea_request_decode(atls_bytes_of(cut, len), &q, NULL), ATLS_E_DECODE);
        free(cut);
    }
    atls_buf_clear(&in);
}

static void only_schemes_for_certificate_verify_count(void **state)
{
    /* PKCS#1, SHA-1, unknown, Ed25519 twice, P-256 */
    struct atls_buf in = test_unhex("0d00001500"
                                    "0012"
                                    "000d000e000c"
                                    "0401"
                                    "0201"
                                    "fefe"
                                    "0807"
                                    "0807"
                                    "0403");
    static const enum atls_signature ours[] = {ATLS_ECDSA_P256_SHA256, ATLS_ED25519};
    static const enum atls_signature none_of[] = {ATLS_RSA_PKCS1_SHA256, ATLS_RSA_PSS_SHA256};
    struct atls_ea_request q;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_ea_request_decode(atls_buf_bytes(&in), &q, &err), ATLS_OK, &err);
    assert_int_equal(q.scheme_count, 2);
    assert_int_equal(q.schemes[0], ATLS_ED25519);
    assert_int_equal(q.schemes[1], ATLS_ECDSA_P256_SHA256);
    assert_int_equal(atls_ea_choose_scheme(&q, ours, 2), ATLS_ED25519); /* the peer's order */
    assert_int_equal(atls_ea_choose_scheme(&q, ours, 1), ATLS_ECDSA_P256_SHA256);
    assert_int_equal(atls_ea_choose_scheme(&q, none_of, 2), ATLS_SIGNATURE_NONE);
    assert_int_equal(atls_ea_choose_scheme(&q, NULL, 0), ATLS_SIGNATURE_NONE);
    atls_buf_clear(&in);
}

static void roles_decide_the_type(void **state)
{
    struct atls_ea *client = open_end(ATLS_ROLE_CLIENT), *server = open_end(ATLS_ROLE_SERVER);
    struct atls_ea *other_client = open_end(ATLS_ROLE_CLIENT);
    struct atls_ea_request_spec spec = {
        .context = HEX("from the client"), .schemes = two_schemes, .scheme_count = 2};
    struct atls_buf by_client = ATLS_BUF_INIT, by_server = ATLS_BUF_INIT;
    struct atls_ea_request q;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_ea_request(client, &spec, &by_client, &err), ATLS_OK, &err);
    spec.context = atls_bytes_of("from the server", 15);
    test_assert_code(atls_ea_request(server, &spec, &by_server, &err), ATLS_OK, &err);
    assert_int_equal(by_client.ptr[0], 17);
    assert_int_equal(by_server.ptr[0], 13);
    test_assert_code(atls_ea_accept_request(server, atls_buf_bytes(&by_client), &q, &err), ATLS_OK,
                     &err);
    test_assert_code(atls_ea_accept_request(client, atls_buf_bytes(&by_server), &q, &err), ATLS_OK,
                     &err);
    test_assert_code(atls_ea_accept_request(other_client, atls_buf_bytes(&by_client), &q, &err),
                     ATLS_E_PROTOCOL, &err);
    assert_int_equal(err.alert, ATLS_ALERT_UNEXPECTED_MESSAGE);
    atls_ea_free(server);
    server = open_end(ATLS_ROLE_SERVER);
    test_assert_code(atls_ea_accept_request(server, atls_buf_bytes(&by_server), &q, &err),
                     ATLS_E_PROTOCOL, &err);
    assert_int_equal(err.alert, ATLS_ALERT_UNEXPECTED_MESSAGE);
    /* refused requests used nothing up */
    assert_int_equal(server->contexts.count, 0);
    atls_buf_clear(&by_client);
    atls_buf_clear(&by_server);
    atls_ea_free(client);
    atls_ea_free(other_client);
    atls_ea_free(server);
}

static void a_context_serves_once_in_either_direction(void **state)
{
    struct atls_ea *client = open_end(ATLS_ROLE_CLIENT), *server = open_end(ATLS_ROLE_SERVER);
    static const struct atls_bytes contexts[] = {HEX("one"), {NULL, 0}};
    struct atls_ea_request_spec spec = {.schemes = two_schemes, .scheme_count = 2};
    struct atls_buf by_client = ATLS_BUF_INIT, by_server = ATLS_BUF_INIT, out = ATLS_BUF_INIT;
    struct atls_ea_request q;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < 2; i++) { /* the empty context counts as any other */
        struct atls_ea *stranger = open_end(ATLS_ROLE_SERVER);

        spec.context = contexts[i];
        test_assert_code(atls_ea_request(client, &spec, &by_client, &err), ATLS_OK, &err);
        test_assert_code(atls_ea_request(client, &spec, &out, &err), ATLS_E_PROTOCOL, &err);
        assert_int_equal(err.reason, ATLS_REASON_CONTEXT_USED);
        assert_int_equal(err.alert, ATLS_ALERT_NONE);
        /* a peer's request under a context of ours */
        test_assert_code(atls_ea_request(stranger, &spec, &by_server, &err), ATLS_OK, &err);
        test_assert_code(atls_ea_accept_request(client, atls_buf_bytes(&by_server), &q, &err),
                         ATLS_E_PROTOCOL, &err);
        assert_int_equal(err.reason, ATLS_REASON_CONTEXT_USED);
        /* ours under a context of the peer's, and the peer's own twice */
        test_assert_code(atls_ea_accept_request(server, atls_buf_bytes(&by_client), &q, &err),
                         ATLS_OK, &err);
        test_assert_code(atls_ea_request(server, &spec, &out, &err), ATLS_E_PROTOCOL, &err);
        assert_int_equal(err.reason, ATLS_REASON_CONTEXT_USED);
        test_assert_code(atls_ea_accept_request(server, atls_buf_bytes(&by_client), &q, &err),
                         ATLS_E_PROTOCOL, &err);
        assert_int_equal(err.reason, ATLS_REASON_CONTEXT_USED);
        assert_null(out.ptr);
        atls_buf_clear(&by_client);
        atls_buf_clear(&by_server);
        atls_ea_free(stranger);
    }
    atls_ea_free(client);
    atls_ea_free(server);
}

static void contexts_are_counted_not_forgotten(void **state)
{
    struct atls_ea *client = open_end(ATLS_ROLE_CLIENT), *server = open_end(ATLS_ROLE_SERVER);
    struct atls_ea_request_spec spec = {.schemes = two_schemes, .scheme_count = 2};
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_ea_request q;
    struct atls_err err = ATLS_ERR_INIT;
    char context[16];

    (void)state;
    for (int i = 0; i <= ATLS_CONTEXTS_MAX; i++) {
        enum atls_code want = i == ATLS_CONTEXTS_MAX ? ATLS_E_LIMIT : ATLS_OK;
        struct atls_ea *fresh;

        snprintf(context, sizeof context, "%d", i);
        spec.context = atls_bytes_of(context, strlen(context));
        test_assert_code(atls_ea_request(client, &spec, &out, &err), want, &err);
        if (want == ATLS_OK) {
            test_assert_code(atls_ea_accept_request(server, atls_buf_bytes(&out), &q, &err),
                             ATLS_OK, &err);
            atls_buf_clear(&out);
            continue;
        }
        fresh = open_end(ATLS_ROLE_CLIENT);
        test_assert_code(atls_ea_request(fresh, &spec, &out, &err), ATLS_OK, &err);
        test_assert_code(atls_ea_accept_request(server, atls_buf_bytes(&out), &q, &err),
                         ATLS_E_LIMIT, &err);
        atls_buf_clear(&out);
        atls_ea_free(fresh);
    }
    snprintf(context, sizeof context, "0"); /* the first one is still known */
    spec.context = atls_bytes_of(context, 1);
    test_assert_code(atls_ea_request(client, &spec, &out, &err), ATLS_E_PROTOCOL, &err);
    assert_int_equal(err.reason, ATLS_REASON_CONTEXT_USED);
    atls_ea_free(client);
    atls_ea_free(server);
}

static void requests_that_are_not_sent(void **state)
{
    static uint8_t long_context[256], big_extension[17000];
    static const enum atls_signature not_for_tls[] = {ATLS_RSA_PKCS1_SHA256};
    static const enum atls_signature unknown[] = {(enum atls_signature)0xfefe};
    const struct atls_bytes offer = HEX("\xff\x00\x00\x00");
    const struct atls_bytes second_list = HEX("\x00\x0d\x00\x04\x00\x02\x08\x07");
    const struct atls_bytes half = HEX("\x12\x34\x00");
    const struct atls_bytes name = HEX("\x00\x00\x00\x05\x00\x03\x00\x00\x00");
    const struct atls_ea_request_spec good = {
        .context = HEX("c"), .schemes = two_schemes, .scheme_count = 2};
    struct atls_ea *client = open_end(ATLS_ROLE_CLIENT), *server = open_end(ATLS_ROLE_SERVER);
    struct atls_ea_request_spec spec;
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
#define REFUSED(ea, change, want)                                                                  \
    do {                                                                                           \
        spec = good;                                                                               \
        change;                                                                                    \
        test_assert_code(atls_ea_request(ea, &spec, &out, &err), want, &err);                      \
        assert_int_equal(err.alert, ATLS_ALERT_NONE);                                              \
        assert_null(out.ptr);                                                                      \
    } while (0)
    REFUSED(client, spec.context = atls_bytes_of(long_context, 256), ATLS_E_USAGE);
    REFUSED(client, spec.scheme_count = 0, ATLS_E_USAGE);
    REFUSED(client, spec.scheme_count = ATLS_EA_SCHEMES_MAX + 1, ATLS_E_USAGE);
    REFUSED(client, (spec.schemes = not_for_tls, spec.scheme_count = 1), ATLS_E_USAGE);
    REFUSED(client, (spec.schemes = unknown, spec.scheme_count = 1), ATLS_E_USAGE);
    REFUSED(client, spec.other_extensions = offer, ATLS_E_USAGE); /* attestation by the back door */
    REFUSED(client, spec.other_extensions = second_list, ATLS_E_USAGE);
    REFUSED(client, spec.other_extensions = half, ATLS_E_USAGE);
    REFUSED(client, spec.other_extensions = atls_bytes_of(big_extension, sizeof big_extension),
            ATLS_E_LIMIT);
    REFUSED(server, spec.server_name = "host.example", ATLS_E_USAGE);
    REFUSED(server, spec.other_extensions = name, ATLS_E_USAGE);
    assert_int_equal(client->contexts.count, 0);
    assert_int_equal(server->contexts.count, 0);
    /* and the largest context is */
    spec = good;
    spec.context = atls_bytes_of(long_context, 255);
    test_assert_code(atls_ea_request(client, &spec, &out, &err), ATLS_OK, &err);
    atls_buf_clear(&out);
    atls_ea_free(client);
    atls_ea_free(server);
}

static void a_request_above_the_limit(void **state)
{
    uint8_t *big = calloc(1, ATLS_AUTHENTICATOR_REQUEST_MAX + 1);
    struct atls_ea_request q;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    assert_non_null(big);
    test_assert_code(
        atls_ea_request_decode(atls_bytes_of(big, ATLS_AUTHENTICATOR_REQUEST_MAX + 1), &q, &err),
        ATLS_E_LIMIT, &err);
    free(big);
}

static enum atls_code failing_exporter(void *arg, const char *label, struct atls_bytes context,
                                       uint8_t *out, size_t out_len, struct atls_err *err)
{
    int *left = arg;

    (void)label, (void)context, (void)err;
    memset(out, 0, out_len);
    return (*left)-- == 0 ? ATLS_E_TLS : ATLS_OK;
}

static void objects_that_are_not_made(void **state)
{
    struct test_connection c = test_connection(ATLS_HASH_SHA256, 1);
    struct atls_ea *ea = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_ea_new(0, ATLS_HASH_SHA256, test_exporter, &c, &ea, &err), ATLS_E_USAGE,
                     &err);
    test_assert_code(atls_ea_new(3, ATLS_HASH_SHA256, test_exporter, &c, &ea, &err), ATLS_E_USAGE,
                     &err);
    test_assert_code(atls_ea_new(ATLS_ROLE_CLIENT, ATLS_HASH_SHA512, test_exporter, &c, &ea, &err),
                     ATLS_E_USAGE, &err);
    test_assert_code(atls_ea_new(ATLS_ROLE_CLIENT, 0, test_exporter, &c, &ea, &err), ATLS_E_USAGE,
                     &err);
    test_assert_code(atls_ea_new(ATLS_ROLE_CLIENT, ATLS_HASH_SHA256, NULL, &c, &ea, &err),
                     ATLS_E_USAGE, &err);
    assert_null(ea);
    atls_ea_free(NULL);
}

/* Each value is exported when it is first needed; a failure spends nothing. */
static void exports_that_fail(void **state)
{
    const enum atls_signature scheme = ATLS_ECDSA_P256_SHA256;
    const struct atls_ea_request_spec spec = {
        .context = HEX("context"), .schemes = &scheme, .scheme_count = 1};

    (void)state;
    for (int calls = 0; calls < 2; calls++) {
        struct atls_ea_validation *validation = NULL;
        struct atls_ea_answer *answer = NULL;
        struct atls_ea *client = NULL, *server = NULL;
        struct atls_buf request = ATLS_BUF_INIT;
        int client_left = calls, server_left = calls;

        assert_int_equal(atls_ea_new(ATLS_ROLE_CLIENT, ATLS_HASH_SHA256, failing_exporter,
                                     &client_left, &client, NULL),
                         ATLS_OK);
        assert_int_equal(atls_ea_new(ATLS_ROLE_SERVER, ATLS_HASH_SHA256, failing_exporter,
                                     &server_left, &server, NULL),
                         ATLS_OK);
        assert_int_equal(atls_ea_request(client, &spec, &request, NULL), ATLS_OK);
        assert_int_equal(atls_ea_prepare(server, atls_buf_bytes(&request), &answer, NULL),
                         ATLS_E_TLS);
        assert_int_equal(
            atls_ea_validate_begin(client, atls_buf_bytes(&request), &validation, NULL),
            ATLS_E_TLS);
        assert_null(answer);
        assert_null(validation);
        assert_int_equal(atls_ea_prepare(server, atls_buf_bytes(&request), &answer, NULL), ATLS_OK);
        assert_int_equal(
            atls_ea_validate_begin(client, atls_buf_bytes(&request), &validation, NULL), ATLS_OK);
        atls_ea_answer_free(answer);
        atls_ea_validation_free(validation);
        atls_buf_clear(&request);
        atls_ea_free(client);
        atls_ea_free(server);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_broken_in_one_place),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(only_schemes_for_certificate_verify_count),
        cmocka_unit_test(roles_decide_the_type),
        cmocka_unit_test(a_context_serves_once_in_either_direction),
        cmocka_unit_test(contexts_are_counted_not_forgotten),
        cmocka_unit_test(requests_that_are_not_sent),
        cmocka_unit_test(a_request_above_the_limit),
        cmocka_unit_test(objects_that_are_not_made),
        cmocka_unit_test(exports_that_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
