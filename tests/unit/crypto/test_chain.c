#include "testlib.h"

#include <stdio.h>
#include <string.h>

#include <atls/limits.h>

#include "crypto/crypto.h"
#include "pki.h"

static struct test_identity root, other_root, intermediate, leaf;
static struct atls_anchors *anchors;

static int setup(void **state)
{
    (void)state;
    root = test_ca("root");
    other_root = test_ca("other root");
    intermediate =
        test_issue(&root, &(struct test_certificate){.common_name = "intermediate", .is_ca = true});
    leaf = test_leaf(&intermediate, "host.example", ATLS_KEY_P256);
    anchors = test_anchors(atls_buf_bytes(&root.certificate));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_identity_clear(&root);
    test_identity_clear(&other_root);
    test_identity_clear(&intermediate);
    test_identity_clear(&leaf);
    atls_anchors_unref(anchors);
    return 0;
}

#define DER(identity) atls_buf_bytes(&(identity).certificate)

static struct atls_chain_check check_for(enum atls_chain_purpose purpose, const char *name)
{
    return (struct atls_chain_check){purpose, TEST_TIME_S, name, anchors};
}

/* Verifies and says how it ended; on success the result is checked for sense and cleared. */
static enum atls_code verify(const struct atls_bytes *chain, size_t count,
                             const struct atls_chain_check *check, struct atls_err *err)
{
    struct atls_chain_result result = {NULL, 0, ATLS_BUF_INIT};
    struct atls_bytes spki;
    enum atls_code code = atls_chain_verify(chain, count, check, &result, err);

    if (code != ATLS_OK) {
        assert_null(result.key);
        assert_null(result.anchor.ptr);
        return code;
    }
    assert_int_equal(atls_certificate_spki(chain[0], &spki, NULL), ATLS_OK);
    test_assert_bytes(atls_key_spki(result.key), spki);
    assert_true(result.not_after_s >= check->time_s);
    atls_chain_result_clear(&result);
    return ATLS_OK;
}

static void refused(enum atls_code code, const struct atls_err *err, enum atls_reason reason,
                    enum atls_alert alert)
{
    test_assert_code(code, ATLS_E_CERTIFICATE, err);
    if (err->reason != reason || err->alert != alert)
        fail_msg("reason %s alert %d: %s", atls_reason_name(err->reason), err->alert, err->message);
}

static void path_over_an_intermediate(void **state)
{
    const struct atls_bytes chain[] = {DER(leaf), DER(intermediate)};
    const struct atls_bytes shuffled[] = {DER(leaf), DER(other_root), DER(root), DER(intermediate)};
    struct atls_chain_check check = check_for(ATLS_CHAIN_TLS_SERVER, "host.example");
    struct atls_chain_result result = {NULL, 0, ATLS_BUF_INIT};
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_chain_verify(chain, 2, &check, &result, &err), ATLS_OK, &err);
    test_assert_bytes(atls_buf_bytes(&result.anchor), DER(root));
    assert_int_equal(result.not_after_s, TEST_NOT_AFTER_S);
    atls_chain_result_clear(&result);
    test_assert_code(verify(shuffled, 4, &check, &err), ATLS_OK, &err);
    atls_chain_result_clear(NULL);
}

static void every_key_type_may_be_leaf(void **state)
{
    static const enum atls_key_type types[] = {ATLS_KEY_P256, ATLS_KEY_P384, ATLS_KEY_P521,
                                               ATLS_KEY_ED25519, ATLS_KEY_RSA};

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct test_identity one = test_leaf(&root, "host.example", types[i]);
        struct atls_chain_check check = check_for(ATLS_CHAIN_TLS_CLIENT, NULL);
        struct atls_bytes chain[] = {DER(one)};
        struct atls_err err = ATLS_ERR_INIT;

        test_assert_code(verify(chain, 1, &check, &err), ATLS_OK, &err);
        test_identity_clear(&one);
    }
}

static void an_intermediate_or_the_leaf_may_be_the_anchor(void **state)
{
    const struct atls_bytes chain[] = {DER(leaf), DER(intermediate)};
    struct test_identity own = test_issue(NULL, &(struct test_certificate){.common_name = "self"});
    const struct atls_bytes lone[] = {DER(own)};
    struct atls_chain_check check = check_for(ATLS_CHAIN_TLS_CLIENT, NULL);
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    check.anchors = test_anchors(DER(intermediate));
    test_assert_code(verify(chain, 1, &check, &err), ATLS_OK, &err);
    atls_anchors_unref(check.anchors);
    check.anchors = test_anchors(DER(own));
    test_assert_code(verify(lone, 1, &check, &err), ATLS_OK, &err);
    refused(verify(chain, 2, &check, &err), &err, ATLS_REASON_UNTRUSTED_ROOT,
            ATLS_ALERT_UNKNOWN_CA);
    atls_anchors_unref(check.anchors);
    test_identity_clear(&own);
}

static void roots_that_are_not_anchors(void **state)
{
    struct atls_chain_check check = check_for(ATLS_CHAIN_TLS_CLIENT, NULL);
    struct test_identity own = test_issue(NULL, &(struct test_certificate){.common_name = "self"});
    const struct atls_bytes full[] = {DER(leaf), DER(intermediate), DER(root)};
    const struct atls_bytes self_signed[] = {DER(own)};
    const struct atls_bytes unlinked[] = {DER(leaf), DER(other_root)};
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    /* the presented chain is consistent, but nobody trusts its end */
    check.anchors = test_anchors(DER(other_root));
    refused(verify(full, 3, &check, &err), &err, ATLS_REASON_UNTRUSTED_ROOT, ATLS_ALERT_UNKNOWN_CA);
    refused(verify(full, 2, &check, &err), &err, ATLS_REASON_UNTRUSTED_ROOT, ATLS_ALERT_UNKNOWN_CA);
    refused(verify(full, 1, &check, &err), &err, ATLS_REASON_UNTRUSTED_ROOT, ATLS_ALERT_UNKNOWN_CA);
    refused(verify(self_signed, 1, &check, &err), &err, ATLS_REASON_UNTRUSTED_ROOT,
            ATLS_ALERT_UNKNOWN_CA);
    /* presented certificates do not link to the leaf */
    refused(verify(unlinked, 2, &check, &err), &err, ATLS_REASON_CHAIN_ISSUER,
            ATLS_ALERT_UNKNOWN_CA);
    atls_anchors_unref(check.anchors);
    test_identity_clear(&own);
}

static void no_anchors_trust_nobody(void **state)
{
    const struct atls_bytes chain[] = {DER(leaf), DER(intermediate), DER(root)};
    struct atls_chain_check check = check_for(ATLS_CHAIN_TLS_CLIENT, NULL);
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    assert_int_equal(atls_anchors_new(&check.anchors, NULL), ATLS_OK);
    assert_int_equal(atls_anchors_count(check.anchors), 0);
    refused(verify(chain, 3, &check, &err), &err, ATLS_REASON_UNTRUSTED_ROOT,
            ATLS_ALERT_UNKNOWN_CA);
    atls_anchors_unref(check.anchors);
}

static void leaves_broken_in_one_place(void **state)
{
    static const struct test_extension not_for_tls[] = {{"basicConstraints", "critical,CA:FALSE"},
                                                        {"extendedKeyUsage", "codeSigning"},
                                                        {NULL, NULL}};
    static const struct test_extension client_only[] = {{"basicConstraints", "critical,CA:FALSE"},
                                                        {"extendedKeyUsage", "clientAuth"},
                                                        {NULL, NULL}};
    static const struct test_extension no_usage_at_all[] = {
        {"basicConstraints", "critical,CA:FALSE"}, {NULL, NULL}};
    static const struct test_extension unknown_critical[] = {{"1.2.3.4.5", "critical,DER:0500"},
                                                             {NULL, NULL}};
    static const struct test_extension unknown[] = {{"1.2.3.4.5", "DER:0500"}, {NULL, NULL}};
    static const char *const host[] = {"host.example", NULL};
    static const struct {
        const char *name;
        struct test_certificate spec;
        enum atls_code want;
        enum atls_reason reason;
        enum atls_alert alert;
    } rows[] = {
        {"nothing broken", {.dns_names = host}, ATLS_OK, 0, 0},
        {"no usage stated", {.dns_names = host, .extensions = no_usage_at_all}, ATLS_OK, 0, 0},
        {"unknown extension", {.dns_names = host, .extensions = unknown}, ATLS_OK, 0, 0},
        {"signature",
         {.dns_names = host, .break_signature = true},
         ATLS_E_CERTIFICATE,
         ATLS_REASON_CHAIN_SIGNATURE,
         ATLS_ALERT_BAD_CERTIFICATE},
        {"over a second ago",
         {.dns_names = host, .not_after_s = TEST_TIME_S - 1},
         ATLS_E_CERTIFICATE,
         ATLS_REASON_CERTIFICATE_EXPIRED,
         ATLS_ALERT_CERTIFICATE_EXPIRED},
        {"begins in a second",
         {.dns_names = host, .not_before_s = TEST_TIME_S + 1},
         ATLS_E_CERTIFICATE,
         ATLS_REASON_CERTIFICATE_NOT_YET_VALID,
         ATLS_ALERT_CERTIFICATE_EXPIRED},
        {"signed over SHA-1",
         {.dns_names = host, .digest = "SHA1"},
         ATLS_E_CERTIFICATE,
         ATLS_REASON_WEAK_HASH,
         ATLS_ALERT_BAD_CERTIFICATE},
        {"for code",
         {.dns_names = host, .extensions = not_for_tls},
         ATLS_E_CERTIFICATE,
         ATLS_REASON_KEY_USAGE,
         ATLS_ALERT_UNSUPPORTED_CERTIFICATE},
        {"for clients",
         {.dns_names = host, .extensions = client_only},
         ATLS_E_CERTIFICATE,
         ATLS_REASON_KEY_USAGE,
         ATLS_ALERT_UNSUPPORTED_CERTIFICATE},
        {"unknown critical extension",
         {.dns_names = host, .extensions = unknown_critical},
         ATLS_E_CERTIFICATE,
         ATLS_REASON_NONE,
         ATLS_ALERT_UNSUPPORTED_CERTIFICATE},
        {"name in the subject only",
         {.common_name = "host.example"},
         ATLS_E_CERTIFICATE,
         ATLS_REASON_CERTIFICATE_NAME,
         ATLS_ALERT_BAD_CERTIFICATE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct test_identity one = test_issue(&root, &rows[i].spec);
        struct atls_chain_check check = check_for(ATLS_CHAIN_TLS_SERVER, "host.example");
        struct atls_bytes chain[] = {DER(one)};
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code = verify(chain, 1, &check, &err);

        if (code != rows[i].want || err.reason != rows[i].reason || err.alert != rows[i].alert)
            fail_msg("%s: %s, %s, %d: %s", rows[i].name, atls_code_name(code),
                     atls_reason_name(err.reason), err.alert, err.message);
        test_identity_clear(&one);
    }
}

/* RFC 8446 section 4.4.2.2: what is presented for TLS 1.3 signs, if it says what it does. */
static void key_usage_for_tls(void **state)
{
    static const struct {
        const char *name, *usage; /* NULL: no extension */
        enum atls_code want;
    } rows[] = {
        {"signs", "critical,digitalSignature", ATLS_OK},
        {"signs, extension not critical", "digitalSignature", ATLS_OK},
        {"signs and deciphers", "critical,digitalSignature,keyEncipherment", ATLS_OK},
        {"says nothing", NULL, ATLS_OK},
        {"deciphers only", "critical,keyEncipherment", ATLS_E_CERTIFICATE},
        {"agrees only", "critical,keyAgreement", ATLS_E_CERTIFICATE},
        {"agrees only, extension not critical", "keyAgreement", ATLS_E_CERTIFICATE},
        {"commits only", "critical,nonRepudiation", ATLS_E_CERTIFICATE},
    };
    static const char *const host[] = {"host.example", NULL};

    (void)state;
    for (size_t i = 0; i < 2 * (sizeof rows / sizeof rows[0]); i++) {
        const char *usage = rows[i / 2].usage;
        const struct test_extension extensions[] = {
            {"basicConstraints", "critical,CA:FALSE"},
            {usage != NULL ? "keyUsage" : NULL, usage},
            {NULL, NULL},
        };
        struct test_identity one = test_issue(
            &root, &(struct test_certificate){.dns_names = host, .extensions = extensions});
        struct atls_chain_check check =
            check_for(i % 2 == 0 ? ATLS_CHAIN_TLS_SERVER : ATLS_CHAIN_TLS_CLIENT, "host.example");
        struct atls_bytes chain[] = {DER(one)};
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code = verify(chain, 1, &check, &err);

        if (code != rows[i / 2].want)
            fail_msg("%s: %s: %s", rows[i / 2].name, atls_code_name(code), err.message);
        if (code != ATLS_OK)
            refused(code, &err, ATLS_REASON_KEY_USAGE, ATLS_ALERT_UNSUPPORTED_CERTIFICATE);
        test_identity_clear(&one);
    }
}

static void authorities_broken_in_one_place(void **state)
{
    static const struct test_extension no_constraints[] = {{"keyUsage", "critical,keyCertSign"},
                                                           {NULL, NULL}};
    static const struct test_extension no_cert_sign[] = {
        {"basicConstraints", "critical,CA:TRUE"}, {"keyUsage", "critical,cRLSign"}, {NULL, NULL}};
    static const struct test_extension not_a_ca[] = {{"basicConstraints", "critical,CA:FALSE"},
                                                     {NULL, NULL}};
    static const struct test_extension other_names[] = {
        {"basicConstraints", "critical,CA:TRUE"},
        {"nameConstraints", "critical,permitted;DNS:.elsewhere.example"},
        {NULL, NULL}};
    static const struct {
        const char *name;
        struct test_certificate spec;
        enum atls_code want;
        enum atls_reason reason;
    } rows[] = {
        {"nothing broken", {.common_name = "x", .is_ca = true}, ATLS_OK, 0},
        {"keyCertSign without basicConstraints",
         {.common_name = "x", .extensions = no_constraints},
         ATLS_E_CERTIFICATE,
         ATLS_REASON_CHAIN_ISSUER},
        {"no keyCertSign",
         {.common_name = "x", .extensions = no_cert_sign},
         ATLS_E_CERTIFICATE,
         ATLS_REASON_CHAIN_ISSUER},
        {"cA false",
         {.common_name = "x", .extensions = not_a_ca},
         ATLS_E_CERTIFICATE,
         ATLS_REASON_CHAIN_ISSUER},
        {"names elsewhere",
         {.common_name = "x", .extensions = other_names},
         ATLS_E_CERTIFICATE,
         ATLS_REASON_CERTIFICATE_NAME},
        {"expired",
         {.common_name = "x", .is_ca = true, .not_after_s = TEST_TIME_S - 1},
         ATLS_E_CERTIFICATE,
         ATLS_REASON_CERTIFICATE_EXPIRED},
        {"its own signature",
         {.common_name = "x", .is_ca = true, .break_signature = true},
         ATLS_E_CERTIFICATE,
         ATLS_REASON_CHAIN_SIGNATURE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct test_identity ca = test_issue(&root, &rows[i].spec);
        struct test_identity one = test_leaf(&ca, "host.example", ATLS_KEY_P256);
        struct atls_chain_check check = check_for(ATLS_CHAIN_TLS_SERVER, "host.example");
        struct atls_bytes chain[] = {DER(one), DER(ca)};
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code = verify(chain, 2, &check, &err);

        if (code != rows[i].want || err.reason != rows[i].reason)
            fail_msg("%s: %s, %s: %s", rows[i].name, atls_code_name(code),
                     atls_reason_name(err.reason), err.message);
        test_identity_clear(&one);
        test_identity_clear(&ca);
    }
}

static void path_length_is_kept(void **state)
{
    static const struct test_extension no_further[] = {
        {"basicConstraints", "critical,CA:TRUE,pathlen:0"}, {NULL, NULL}};
    struct test_identity last = test_issue(
        &root, &(struct test_certificate){.common_name = "last", .extensions = no_further});
    struct test_identity beyond =
        test_issue(&last, &(struct test_certificate){.common_name = "beyond", .is_ca = true});
    struct test_identity one = test_leaf(&beyond, "host.example", ATLS_KEY_P256);
    struct atls_chain_check check = check_for(ATLS_CHAIN_TLS_CLIENT, NULL);
    struct atls_bytes chain[] = {DER(one), DER(beyond), DER(last)};
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    refused(verify(chain, 3, &check, &err), &err, ATLS_REASON_CHAIN_ISSUER, ATLS_ALERT_UNKNOWN_CA);
    test_identity_clear(&one);
    test_identity_clear(&beyond);
    test_identity_clear(&last);
}

static void a_leaf_cannot_issue(void **state)
{
    struct test_identity forged = test_leaf(&leaf, "bank.example", ATLS_KEY_P256);
    struct atls_chain_check check = check_for(ATLS_CHAIN_TLS_SERVER, "bank.example");
    struct atls_bytes chain[] = {DER(forged), DER(leaf), DER(intermediate)};
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    refused(verify(chain, 3, &check, &err), &err, ATLS_REASON_CHAIN_ISSUER, ATLS_ALERT_UNKNOWN_CA);
    test_identity_clear(&forged);
}

/* An authority of the right name and another key: nothing but the signature tells. */
static void an_impostor_with_the_same_name(void **state)
{
    static const struct test_extension plain[] = {{"basicConstraints", "critical,CA:TRUE"},
                                                  {NULL, NULL}};
    struct test_identity true_one =
        test_issue(NULL, &(struct test_certificate){.common_name = "same", .extensions = plain});
    struct test_identity impostor =
        test_issue(NULL, &(struct test_certificate){.common_name = "same", .extensions = plain});
    struct test_identity one = test_leaf(&impostor, "host.example", ATLS_KEY_P256);
    struct atls_chain_check check = check_for(ATLS_CHAIN_TLS_CLIENT, NULL);
    struct atls_bytes chain[] = {DER(one)};
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    check.anchors = test_anchors(DER(true_one));
    refused(verify(chain, 1, &check, &err), &err, ATLS_REASON_CHAIN_SIGNATURE,
            ATLS_ALERT_BAD_CERTIFICATE);
    atls_anchors_unref(check.anchors);
    test_identity_clear(&one);
    test_identity_clear(&impostor);
    test_identity_clear(&true_one);
}

static void names_and_addresses(void **state)
{
    static const char *const names[] = {"host.example", "*.wild.example", "192.0.2.7",
                                        "2001:db8::7", NULL};
    static const struct {
        const char *name;
        enum atls_code want;
    } rows[] = {
        {"host.example", ATLS_OK},
        {"HOST.example", ATLS_OK},
        {"a.wild.example", ATLS_OK},
        {"192.0.2.7", ATLS_OK},
        {"2001:db8::7", ATLS_OK},
        {"2001:db8:0:0:0:0:0:7", ATLS_OK},
        {"wild.example", ATLS_E_CERTIFICATE},
        {"a.b.wild.example", ATLS_E_CERTIFICATE},
        {"other.example", ATLS_E_CERTIFICATE},
        {"host.example.evil", ATLS_E_CERTIFICATE},
        {"192.0.2.8", ATLS_E_CERTIFICATE},
        {"2001:db8::8", ATLS_E_CERTIFICATE},
        {"", ATLS_E_USAGE},
        {".example", ATLS_E_USAGE},
        {"*.wild.example", ATLS_E_USAGE},
    };
    struct test_identity one = test_issue(&root, &(struct test_certificate){.dns_names = names});
    struct atls_bytes chain[] = {DER(one)};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_chain_check check = check_for(ATLS_CHAIN_TLS_SERVER, rows[i].name);
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code = verify(chain, 1, &check, &err);

        if (code != rows[i].want)
            fail_msg("\"%s\": %s: %s", rows[i].name, atls_code_name(code), err.message);
        if (code == ATLS_E_CERTIFICATE)
            assert_int_equal(err.reason, ATLS_REASON_CERTIFICATE_NAME);
    }
    test_identity_clear(&one);
}

static void revocation(void **state)
{
    static const struct test_extension for_authorities[] = {
        {"issuingDistributionPoint", "critical,onlyCA:TRUE"}, {NULL, NULL}};
    struct atls_chain_check check = check_for(ATLS_CHAIN_TLS_CLIENT, NULL);
    struct test_identity good = test_leaf(&intermediate, "good.example", ATLS_KEY_P256);
    const struct atls_bytes revoked_leaf[] = {DER(leaf), DER(intermediate)};
    const struct atls_bytes good_leaf[] = {DER(good), DER(intermediate)};
    struct atls_buf by_intermediate =
        test_crl(&intermediate, &leaf, TEST_TIME_S - 10, TEST_TIME_S + 1000);
    struct atls_buf by_root = test_crl(&root, &intermediate, TEST_TIME_S - 10, TEST_TIME_S + 500);
    struct atls_chain_result result;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf pem = ATLS_BUF_INIT;

    (void)state;
    /* a list of the leaf's issuer: the leaf is checked, the intermediate (no list) is not */
    check.anchors = test_anchors(DER(root));
    assert_int_equal(atls_anchors_add_crls(check.anchors, atls_buf_bytes(&by_intermediate), NULL),
                     ATLS_OK);
    refused(verify(revoked_leaf, 2, &check, &err), &err, ATLS_REASON_CERTIFICATE_REVOKED,
            ATLS_ALERT_CERTIFICATE_REVOKED);
    test_assert_code(atls_chain_verify(good_leaf, 2, &check, &result, &err), ATLS_OK, &err);
    assert_int_equal(result.not_after_s, TEST_TIME_S + 1000); /* the list's, not the chain's */
    atls_chain_result_clear(&result);
    /* the list out of date: revocation cannot be ruled out */
    check.time_s = TEST_TIME_S + 1001;
    refused(verify(good_leaf, 2, &check, &err), &err, ATLS_REASON_CERTIFICATE_REVOKED,
            ATLS_ALERT_CERTIFICATE_UNKNOWN);
    check.time_s = TEST_TIME_S - 11;
    refused(verify(good_leaf, 2, &check, &err), &err, ATLS_REASON_CERTIFICATE_REVOKED,
            ATLS_ALERT_CERTIFICATE_UNKNOWN);
    check.time_s = TEST_TIME_S;
    /* PEM, and the intermediate revoked */
    assert_int_equal(atls_pem_encode("X509 CRL", atls_buf_bytes(&by_root), &pem, NULL), ATLS_OK);
    assert_int_equal(atls_anchors_add_crls(check.anchors, atls_buf_bytes(&pem), NULL), ATLS_OK);
    refused(verify(good_leaf, 2, &check, &err), &err, ATLS_REASON_CERTIFICATE_REVOKED,
            ATLS_ALERT_CERTIFICATE_REVOKED);
    atls_anchors_unref(check.anchors);

    /* a list that its issuer did not sign */
    by_intermediate.ptr[by_intermediate.len - 1] ^= 1;
    check.anchors = test_anchors(DER(root));
    assert_int_equal(atls_anchors_add_crls(check.anchors, atls_buf_bytes(&by_intermediate), NULL),
                     ATLS_OK);
    refused(verify(good_leaf, 2, &check, &err), &err, ATLS_REASON_CERTIFICATE_REVOKED,
            ATLS_ALERT_CERTIFICATE_UNKNOWN);
    atls_anchors_unref(check.anchors);

    /* a list that does not speak for this leaf, so that nothing does */
    atls_buf_clear(&by_intermediate);
    by_intermediate =
        test_crl_extended(&intermediate, TEST_TIME_S - 10, TEST_TIME_S + 1000, for_authorities);
    check.anchors = test_anchors(DER(root));
    assert_int_equal(atls_anchors_add_crls(check.anchors, atls_buf_bytes(&by_intermediate), NULL),
                     ATLS_OK);
    refused(verify(good_leaf, 2, &check, &err), &err, ATLS_REASON_CERTIFICATE_REVOKED,
            ATLS_ALERT_CERTIFICATE_UNKNOWN);
    atls_anchors_unref(check.anchors);
    atls_buf_clear(&pem);
    atls_buf_clear(&by_intermediate);
    atls_buf_clear(&by_root);
    test_identity_clear(&good);
}

/* The key may sign certificates and no lists: what it says of revocation cannot be used. */
static void an_issuer_that_may_not_sign_lists(void **state)
{
    static const struct test_extension no_crl_sign[] = {{"basicConstraints", "critical,CA:TRUE"},
                                                        {"keyUsage", "critical,keyCertSign"},
                                                        {NULL, NULL}};
    struct test_identity ca = test_issue(
        NULL, &(struct test_certificate){.common_name = "ca", .extensions = no_crl_sign});
    struct test_identity one = test_leaf(&ca, "host.example", ATLS_KEY_P256);
    struct atls_buf crl = test_crl(&ca, NULL, TEST_TIME_S - 10, TEST_TIME_S + 10);
    struct atls_chain_check check = check_for(ATLS_CHAIN_TLS_CLIENT, NULL);
    struct atls_bytes chain[] = {DER(one)};
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    check.anchors = test_anchors(DER(ca));
    test_assert_code(verify(chain, 1, &check, &err), ATLS_OK, &err);
    test_assert_code(atls_anchors_add_crls(check.anchors, atls_buf_bytes(&crl), &err), ATLS_OK,
                     &err);
    refused(verify(chain, 1, &check, &err), &err, ATLS_REASON_CERTIFICATE_REVOKED,
            ATLS_ALERT_CERTIFICATE_UNKNOWN);
    atls_anchors_unref(check.anchors);
    atls_buf_clear(&crl);
    test_identity_clear(&one);
    test_identity_clear(&ca);
}

/* Lists of others have no say, not even on how long a result holds. */
static void lists_of_other_issuers(void **state)
{
    const struct atls_bytes chain[] = {DER(leaf), DER(intermediate)};
    struct atls_buf expired = test_crl(&other_root, NULL, TEST_TIME_S - 20, TEST_TIME_S - 10);
    struct atls_chain_check check = check_for(ATLS_CHAIN_TLS_CLIENT, NULL);
    struct atls_chain_result result;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    check.anchors = test_anchors(DER(root));
    test_assert_code(atls_anchors_add_crls(check.anchors, atls_buf_bytes(&expired), &err), ATLS_OK,
                     &err);
    test_assert_code(atls_chain_verify(chain, 2, &check, &result, &err), ATLS_OK, &err);
    assert_int_equal(result.not_after_s, TEST_NOT_AFTER_S);
    atls_chain_result_clear(&result);
    atls_anchors_unref(check.anchors);
    atls_buf_clear(&expired);
}

static void wrong_arguments(void **state)
{
    struct atls_bytes chain[ATLS_CHAIN_MAX + 1];
    struct atls_chain_check check = check_for(ATLS_CHAIN_TLS_SERVER, NULL);
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < ATLS_CHAIN_MAX + 1; i++)
        chain[i] = DER(leaf);
    test_assert_code(verify(chain, 1, &check, &err), ATLS_E_USAGE, &err); /* server without name */
    check = check_for(0, NULL);
    test_assert_code(verify(chain, 1, &check, &err), ATLS_E_USAGE, &err);
    check = check_for((enum atls_chain_purpose)6, NULL);
    test_assert_code(verify(chain, 1, &check, &err), ATLS_E_USAGE, &err);
    check = check_for(ATLS_CHAIN_TLS_CLIENT, NULL);
    test_assert_code(verify(chain, 0, &check, &err), ATLS_E_CERTIFICATE, &err);
    test_assert_code(verify(chain, ATLS_CHAIN_MAX + 1, &check, &err), ATLS_E_CERTIFICATE, &err);
    check.anchors = NULL;
    test_assert_code(verify(chain, 1, &check, &err), ATLS_E_USAGE, &err);
}

static void malformed_certificates(void **state)
{
    struct atls_chain_check check = check_for(ATLS_CHAIN_TLS_CLIENT, NULL);
    struct atls_bytes chain[] = {DER(leaf), DER(intermediate)};
    uint8_t longer[2048];
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    memcpy(longer, chain[1].ptr, chain[1].len);
    longer[chain[1].len] = 0;
    chain[1] = atls_bytes_of(longer, chain[1].len + 1);
    test_assert_code(verify(chain, 2, &check, &err), ATLS_E_DECODE, &err);
    assert_int_equal(err.alert, ATLS_ALERT_BAD_CERTIFICATE);
    chain[1] = atls_bytes_of(longer, 0);
    test_assert_code(verify(chain, 2, &check, &err), ATLS_E_DECODE, &err);
    chain[1] = atls_bytes_of(longer, 40);
    test_assert_code(verify(chain, 2, &check, &err), ATLS_E_DECODE, &err);
}

/* TPM certificates: what makes an attestation key, an endorsement key, or neither. */
static void tpm_purposes(void **state)
{
    static const struct test_extension ak[] = {{"keyUsage", "critical,digitalSignature"},
                                               {"extendedKeyUsage", "2.23.133.8.3"},
                                               {NULL, NULL}};
    static const struct test_extension ak_without_extended[] = {
        {"keyUsage", "critical,digitalSignature"}, {NULL, NULL}};
    static const struct test_extension ek[] = {{"keyUsage", "critical,keyEncipherment"},
                                               {"extendedKeyUsage", "2.23.133.8.1"},
                                               {NULL, NULL}};
    static const struct test_extension ek_agreeing[] = {{"keyUsage", "critical,keyAgreement"},
                                                        {NULL, NULL}};
    static const struct test_extension both[] = {
        {"keyUsage", "critical,digitalSignature,keyEncipherment"}, {NULL, NULL}};
    static const struct test_extension no_key_usage[] = {{"extendedKeyUsage", "2.23.133.8.3"},
                                                         {NULL, NULL}};
    static const struct test_extension no_key_usage_ek[] = {{"extendedKeyUsage", "2.23.133.8.1"},
                                                            {NULL, NULL}};
    static const struct test_extension nothing[] = {{NULL, NULL}};
    static const struct test_extension web[] = {{"keyUsage", "critical,digitalSignature"},
                                                {"extendedKeyUsage", "serverAuth"},
                                                {NULL, NULL}};
    static const struct test_extension web_encipherment[] = {
        {"keyUsage", "critical,keyEncipherment"}, {"extendedKeyUsage", "serverAuth"}, {NULL, NULL}};
    static const struct test_extension commits[] = {{"keyUsage", "critical,nonRepudiation"},
                                                    {NULL, NULL}};
    static const struct test_extension authority[] = {
        {"basicConstraints", "critical,CA:TRUE"},
        {"keyUsage", "critical,digitalSignature,keyEncipherment,keyCertSign"},
        {NULL, NULL}};
    static const struct {
        const char *name;
        const struct test_extension *extensions;
        bool is_ak, is_ek;
    } rows[] = {
        {"attestation key", ak, true, false},
        {"attestation key without extended usage", ak_without_extended, true, false},
        {"endorsement key", ek, false, true},
        {"endorsement key that agrees", ek_agreeing, false, true},
        {"one that signs and decrypts", both, false, true},
        {"no keyUsage", no_key_usage, false, false},
        {"endorsement key without keyUsage", no_key_usage_ek, false, false},
        {"no extension at all", nothing, false, false},
        {"certificate of a web server", web, false, false},
        {"web server with keyEncipherment", web_encipherment, false, false},
        {"nonRepudiation only", commits, false, false},
        {"certification authority", authority, false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct test_identity one =
            test_issue(&root, &(struct test_certificate){.extensions = rows[i].extensions});
        struct atls_bytes chain[] = {DER(one)};
        struct atls_chain_check as_ak = check_for(ATLS_CHAIN_TPM_AK, NULL);
        struct atls_chain_check as_ek = check_for(ATLS_CHAIN_TPM_EK, NULL);
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code = verify(chain, 1, &as_ak, &err);

        if ((code == ATLS_OK) != rows[i].is_ak)
            fail_msg("%s as AK: %s", rows[i].name, err.message);
        if (code != ATLS_OK)
            refused(code, &err, ATLS_REASON_KEY_USAGE, ATLS_ALERT_UNSUPPORTED_CERTIFICATE);
        code = verify(chain, 1, &as_ek, &err);
        if ((code == ATLS_OK) != rows[i].is_ek)
            fail_msg("%s as EK: %s", rows[i].name, err.message);
        if (code != ATLS_OK)
            refused(code, &err, ATLS_REASON_KEY_USAGE, ATLS_ALERT_UNSUPPORTED_CERTIFICATE);
        test_identity_clear(&one);
    }
}

/* Certificates of a cloud's virtual TPMs (tests/vectors/tpm/gce-certs): empty subjects, critical
 * directoryName, extended usages on authorities. */
static void recorded_tpm_certificates(void **state)
{
    static const struct {
        const char *name, *leaf, *intermediate, *root;
        enum atls_chain_purpose purpose;
        enum atls_code want;
    } rows[] = {
        {"gce-ek-as-ak", "uca_tpm_ecc_enc_cert.pem", "tpm_ek_intermediate_3.crt",
         "tpm_ek_root_1.cer", ATLS_CHAIN_TPM_AK, ATLS_E_CERTIFICATE},
        {"the same as what it is", "uca_tpm_ecc_enc_cert.pem", "tpm_ek_intermediate_3.crt",
         "tpm_ek_root_1.cer", ATLS_CHAIN_TPM_EK, ATLS_OK},
        {"gce-ak-cert", "uca_tpm_ecc_sign_cert.pem", "tpm_ek_intermediate_3.crt",
         "tpm_ek_root_1.cer", ATLS_CHAIN_TPM_AK, ATLS_OK},
        {"gce-ak-cert-privateca", "pca_tpm_rsa_sign_cert.pem", "gcp_ek_ak_ca_intermediate_v3.crt",
         "gcp_ek_ak_ca_root.crt", ATLS_CHAIN_TPM_AK, ATLS_OK},
        {"gce-ek-cert-privateca", "pca_tpm_rsa_enc_cert.pem", "gcp_ek_ak_ca_intermediate_v3.crt",
         "gcp_ek_ak_ca_root.crt", ATLS_CHAIN_TPM_EK, ATLS_OK},
        {"gce-ek-cert-privateca as AK", "pca_tpm_rsa_enc_cert.pem",
         "gcp_ek_ak_ca_intermediate_v3.crt", "gcp_ek_ak_ca_root.crt", ATLS_CHAIN_TPM_AK,
         ATLS_E_CERTIFICATE},
        {"AK as EK", "uca_tpm_ecc_sign_cert.pem", "tpm_ek_intermediate_3.crt", "tpm_ek_root_1.cer",
         ATLS_CHAIN_TPM_EK, ATLS_E_CERTIFICATE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_chain_check check = {rows[i].purpose, TEST_TIME_S, NULL, NULL};
        const char *files[] = {rows[i].leaf, rows[i].intermediate};
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_bytes chain[2];
        struct atls_buf bufs[2], text;
        char path[256];
        size_t count;

        for (size_t f = 0; f < 2; f++) {
            snprintf(path, sizeof path, "tpm/gce-certs/%s", files[f]);
            text = test_vector(path);
            if (text.ptr[0] == '-') {
                test_assert_code(
                    atls_certificates_from_pem(atls_buf_bytes(&text), &bufs[f], 1, &count, &err),
                    ATLS_OK, &err);
                atls_buf_clear(&text);
            } else {
                bufs[f] = text;
            }
            chain[f] = atls_buf_bytes(&bufs[f]);
        }
        snprintf(path, sizeof path, "tpm/gce-certs/%s", rows[i].root);
        text = test_vector(path);
        check.anchors = test_anchors(atls_buf_bytes(&text));
        if (verify(chain, 2, &check, &err) != rows[i].want)
            fail_msg("%s: %s", rows[i].name, err.message);
        if (rows[i].want != ATLS_OK)
            assert_int_equal(err.reason, ATLS_REASON_KEY_USAGE);
        /* without the intermediate there is no path */
        refused(verify(chain, 1, &check, &err), &err, ATLS_REASON_UNTRUSTED_ROOT,
                ATLS_ALERT_UNKNOWN_CA);
        atls_anchors_unref(check.anchors);
        atls_buf_clear(&text);
        atls_buf_clear(&bufs[0]);
        atls_buf_clear(&bufs[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(path_over_an_intermediate),
        cmocka_unit_test(every_key_type_may_be_leaf),
        cmocka_unit_test(an_intermediate_or_the_leaf_may_be_the_anchor),
        cmocka_unit_test(roots_that_are_not_anchors),
        cmocka_unit_test(no_anchors_trust_nobody),
        cmocka_unit_test(leaves_broken_in_one_place),
        cmocka_unit_test(key_usage_for_tls),
        cmocka_unit_test(authorities_broken_in_one_place),
        cmocka_unit_test(path_length_is_kept),
        cmocka_unit_test(a_leaf_cannot_issue),
        cmocka_unit_test(an_impostor_with_the_same_name),
        cmocka_unit_test(names_and_addresses),
        cmocka_unit_test(revocation),
        cmocka_unit_test(an_issuer_that_may_not_sign_lists),
        cmocka_unit_test(lists_of_other_issuers),
        cmocka_unit_test(wrong_arguments),
        cmocka_unit_test(malformed_certificates),
        cmocka_unit_test(tpm_purposes),
        cmocka_unit_test(recorded_tpm_certificates),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
