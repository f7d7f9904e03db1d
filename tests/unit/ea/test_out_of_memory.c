/* Every allocation of libcrypto fails in turn while an authenticator is made and validated. */
#include "testlib.h"

#include <string.h>

#include "ea/ea.h"
#include "failing_alloc.h"
#include "forge.h"
#include "pki.h"

static struct test_identity ca, leaf;
static struct test_connection connection;

static int setup(void **state)
{
    (void)state;
    ca = test_ca("root");
    leaf = test_leaf(&ca, "host.example", ATLS_KEY_P256);
    connection = test_connection(ATLS_HASH_SHA384, 0x77);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_identity_clear(&ca);
    test_identity_clear(&leaf);
    return 0;
}

/* One exchange; with forge set the authenticator's evidence is altered on its way. */
static enum atls_code exchange(bool forge, bool decline, struct atls_err *err)
{
    static const enum atls_signature schemes[] = {ATLS_ECDSA_P256_SHA256};
    const struct atls_ea_request_spec spec = {
        .context = HEX("context"), .schemes = schemes, .scheme_count = 1, .attestation = true};
    const struct atls_bytes chain[] = {atls_buf_bytes(&leaf.certificate)};
    const struct atls_ea_credential credential = {.chain = chain,
                                                  .chain_len = 1,
                                                  .cmw = HEX("evidence"),
                                                  .scheme = ATLS_ECDSA_P256_SHA256,
                                                  .sign = atls_private_key_sign_function,
                                                  .sign_arg = leaf.key};
    struct atls_ea *client = NULL, *server = NULL;
    struct atls_buf request = ATLS_BUF_INIT, out = ATLS_BUF_INIT;
    struct atls_ea_peer peer = {.chain_len = 0};
    enum atls_code code;

    if ((code = atls_ea_new(ATLS_ROLE_CLIENT, connection.hash, test_exporter, &connection, &client,
                            err)) == ATLS_OK &&
        (code = atls_ea_new(ATLS_ROLE_SERVER, connection.hash, test_exporter, &connection, &server,
                            err)) == ATLS_OK &&
        (code = atls_ea_request(client, &spec, &request, err)) == ATLS_OK)
        code = decline
                   ? atls_ea_decline(server, atls_buf_bytes(&request), &out, err)
                   : atls_ea_authenticate(server, atls_buf_bytes(&request), &credential, &out, err);
    if (code == ATLS_OK) {
        if (forge)
            out.ptr[out.len - 40] ^= 1; /* in the signature, or in the header of a refusal */
        code = atls_ea_validate(client, atls_buf_bytes(&request), atls_buf_bytes(&out), &peer, err);
        assert_true((code == ATLS_OK) == (peer.chain_len == 1));
    }
    atls_ea_free(client);
    atls_ea_free(server);
    atls_buf_clear(&request);
    atls_buf_clear(&out);
    return code;
}

static void every_allocation_fails_once(void **state)
{
    static const struct {
        const char *name;
        bool forge, decline;
        enum atls_code want;
    } rows[] = {
        {"honest", false, false, ATLS_OK},
        {"altered", true, false, ATLS_E_VERIFY},
        {"declined", false, true, ATLS_E_DECLINED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t n = 0, failed = 0;
        enum atls_code code;
        bool happened;

        do {
            struct atls_err err = ATLS_ERR_INIT;

            test_failing_alloc_arm(n++);
            code = exchange(rows[i].forge, rows[i].decline, &err);
            happened = test_failing_alloc_disarm();
            if (code != rows[i].want) {
                failed++;
                assert_int_not_equal(code, ATLS_OK);
                assert_int_not_equal(code, ATLS_E_DECLINED);
                assert_int_equal(err.code, code);
            }
        } while (happened && n < 20000);
        if (code != rows[i].want || failed == 0)
            fail_msg("%s: %s after %zu allocations, %zu failures", rows[i].name,
                     atls_code_name(code), n, failed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_allocation_fails_once, setup, teardown),
    };

    test_failing_alloc_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
