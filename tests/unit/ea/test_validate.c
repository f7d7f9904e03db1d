/* Each rule of RFC 9261 and of the attestation extension broken alone: every forgery below is
 * signed and MACed with the true keys of its connection over what it holds. */
#include "testlib.h"

#include <stdlib.h>
#include <string.h>

#include "ea/ea.h"
#include "forge.h"
#include "pki.h"

static struct test_connection connection;
static struct test_identity ca, leaf, other_leaf, rsa_leaf;

static int setup(void **state)
{
    (void)state;
    ca = test_ca("root");
    leaf = test_leaf(&ca, "host.example", ATLS_KEY_P256);
    other_leaf = test_leaf(&ca, "other.example", ATLS_KEY_P256);
    rsa_leaf = test_leaf(&ca, "rsa.example", ATLS_KEY_RSA);
    connection = test_connection(ATLS_HASH_SHA256, 0x5a);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_identity_clear(&ca);
    test_identity_clear(&leaf);
    test_identity_clear(&other_leaf);
    test_identity_clear(&rsa_leaf);
    return 0;
}

static struct atls_ea *open_end(struct test_connection *c, enum atls_role role)
{
    struct atls_ea *ea = NULL;

    assert_int_equal(atls_ea_new(role, c->hash, test_exporter, c, &ea, NULL), ATLS_OK);
    return ea;
}

static const struct atls_bytes context = HEX("context of thirty-two bytes here");
static const struct atls_bytes cmw = HEX("\x82\x61\x61\x41\x00");

/* A client's request: P-256, RSA-PSS and PKCS#1 schemes, attestation offered, status_request too.
 */
static struct atls_buf make_request(struct atls_ea *client, bool attestation)
{
    static const enum atls_signature schemes[] = {ATLS_ECDSA_P256_SHA256, ATLS_RSA_PSS_SHA256,
                                                  ATLS_RSA_PKCS1_SHA256};
    const struct atls_bytes status_request = HEX("\x00\x05\x00\x05\x01\x00\x00\x00\x00");
    struct atls_ea_request_spec spec = {.context = context,
                                        .schemes = schemes,
                                        .scheme_count = 3,
                                        .attestation = attestation,
                                        .server_name = "host.example",
                                        .other_extensions = status_request};
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_ea_request(client, &spec, &out, &err), ATLS_OK, &err);
    return out;
}

#define DER(identity) atls_buf_bytes(&(identity).certificate)

/* Validates what a forgery gives against a fresh request of this connection. */
struct attempt {
    struct atls_ea *client;
    struct atls_buf request, cmw_extension;
    struct test_forgery forgery; /* request, key and scheme filled in */
};

static struct attempt new_attempt(bool attestation)
{
    struct attempt a;

    memset(&a, 0, sizeof a);
    a.client = open_end(&connection, ATLS_ROLE_CLIENT);
    a.request = make_request(a.client, attestation);
    a.cmw_extension = test_cmw_extension(cmw);
    a.forgery = (struct test_forgery){.connection = &connection,
                                      .sender = ATLS_ROLE_SERVER,
                                      .request = atls_buf_bytes(&a.request),
                                      .key = leaf.key,
                                      .scheme = ATLS_ECDSA_P256_SHA256};
    return a;
}

/* Forges over these entries under this context, validates, and clears the attempt. */
static void try_entries(struct attempt *a, struct atls_bytes under,
                        const struct test_entry *entries, size_t count, enum atls_code want,
                        struct atls_err *err)
{
    struct atls_buf certificate = test_certificate_message(under, entries, count), all;
    struct atls_ea_peer peer = {.chain_len = 77};

    a->forgery.certificate = atls_buf_bytes(&certificate);
    all = test_forge(&a->forgery);
    test_assert_code(
        atls_ea_validate(a->client, atls_buf_bytes(&a->request), atls_buf_bytes(&all), &peer, err),
        want, err);
    if (want == ATLS_OK) {
        assert_int_equal(peer.chain_len, count);
        test_assert_bytes(peer.chain[0], entries[0].certificate);
        test_assert_bytes(peer.context, context);
    } else {
        assert_int_equal(peer.chain_len, 77); /* nothing of the peer leaks out */
    }
    atls_buf_clear(&all);
    atls_buf_clear(&certificate);
    atls_buf_clear(&a->request);
    atls_buf_clear(&a->cmw_extension);
    atls_ea_free(a->client);
}

static void refused(const struct atls_err *err, enum atls_reason reason, enum atls_alert alert)
{
    if (err->reason != reason || err->alert != alert)
        fail_msg("%s, alert %d: %s", atls_reason_name(err->reason), err->alert, err->message);
}

static void an_honest_one_passes(void **state)
{
    struct attempt a = new_attempt(true);
    struct test_entry entries[] = {{DER(leaf), atls_buf_bytes(&a.cmw_extension)}, {DER(ca), {0}}};
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    try_entries(&a, context, entries, 2, ATLS_OK, &err);
}

static void rules_on_extensions(void **state)
{
    static const struct {
        const char *name, *hex; /* block of one entry */
        size_t entry;
        bool offered;
        enum atls_code want;
        enum atls_reason reason;
        enum atls_alert alert;
    } rows[] = {
        {"offered status_request",
         "0005"
         "0001"
         "00",
         0, true, ATLS_OK, 0, 0},
        {"offered status_request, entry 1",
         "0005"
         "0001"
         "00",
         1, true, ATLS_OK, 0, 0},
        {"attestation not offered",
         "ff00"
         "0003"
         "0001"
         "aa",
         0, false, ATLS_E_PROTOCOL, ATLS_REASON_EXTENSION_NOT_OFFERED,
         ATLS_ALERT_UNSUPPORTED_EXTENSION},
        {"attestation not offered, entry 1",
         "ff00"
         "0003"
         "0001"
         "aa",
         1, false, ATLS_E_PROTOCOL, ATLS_REASON_EXTENSION_NOT_OFFERED,
         ATLS_ALERT_UNSUPPORTED_EXTENSION},
        {"attestation in entry 1",
         "ff00"
         "0003"
         "0001"
         "aa",
         1, true, ATLS_E_PROTOCOL, 0, ATLS_ALERT_ILLEGAL_PARAMETER},
        {"attestation twice",
         "ff00"
         "0003"
         "0001"
         "aa"
         "ff00"
         "0003"
         "0001"
         "aa",
         0, true, ATLS_E_PROTOCOL, 0, ATLS_ALERT_ILLEGAL_PARAMETER},
        {"another twice, entry 1",
         "0005"
         "0000"
         "0005"
         "0000",
         1, true, ATLS_E_PROTOCOL, 0, ATLS_ALERT_ILLEGAL_PARAMETER},
        {"smallest cmw_data",
         "ff00"
         "0003"
         "0001"
         "aa",
         0, true, ATLS_OK, 0, 0},
        {"empty cmw_data",
         "ff00"
         "0002"
         "0000",
         0, true, ATLS_E_DECODE, ATLS_REASON_MALFORMED, ATLS_ALERT_DECODE_ERROR},
        {"no cmw_data",
         "ff00"
         "0000",
         0, true, ATLS_E_DECODE, ATLS_REASON_MALFORMED, ATLS_ALERT_DECODE_ERROR},
        {"byte behind cmw_data",
         "ff00"
         "0004"
         "0001"
         "aa"
         "00",
         0, true, ATLS_E_DECODE, ATLS_REASON_MALFORMED, ATLS_ALERT_DECODE_ERROR},
        {"cmw_data cut",
         "ff00"
         "0003"
         "0002"
         "aa",
         0, true, ATLS_E_DECODE, ATLS_REASON_MALFORMED, ATLS_ALERT_DECODE_ERROR},
        {"unknown extension not offered",
         "1234"
         "0000",
         0, true, ATLS_E_PROTOCOL, ATLS_REASON_EXTENSION_NOT_OFFERED,
         ATLS_ALERT_UNSUPPORTED_EXTENSION},
        {"timestamps not offered",
         "0012"
         "0000",
         0, true, ATLS_E_PROTOCOL, ATLS_REASON_EXTENSION_NOT_OFFERED,
         ATLS_ALERT_UNSUPPORTED_EXTENSION},
        {"server_name echoed",
         "0000"
         "0000",
         0, true, ATLS_E_PROTOCOL, 0, ATLS_ALERT_ILLEGAL_PARAMETER},
        {"signature_algorithms in an entry",
         "000d"
         "0004"
         "0002"
         "0403",
         0, true, ATLS_E_PROTOCOL, 0, ATLS_ALERT_ILLEGAL_PARAMETER},
        {"extension cut",
         "0005"
         "0001",
         0, true, ATLS_E_DECODE, ATLS_REASON_MALFORMED, ATLS_ALERT_DECODE_ERROR},
        {"half a type", "00", 1, true, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
         ATLS_ALERT_DECODE_ERROR},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct attempt a = new_attempt(rows[i].offered);
        struct test_entry entries[] = {{DER(leaf), {0}}, {DER(ca), {0}}};
        struct atls_buf block = test_unhex(rows[i].hex);
        struct atls_err err = ATLS_ERR_INIT;

        print_message("%s\n", rows[i].name);
        entries[rows[i].entry].extensions = atls_buf_bytes(&block);
        try_entries(&a, context, entries, 2, rows[i].want, &err);
        if (rows[i].want != ATLS_OK)
            refused(&err, rows[i].reason, rows[i].alert);
        atls_buf_clear(&block);
    }
}

static void too_many_extensions(void **state)
{
    struct attempt a = new_attempt(true);
    struct test_entry entries[] = {{DER(leaf), {0}}};
    uint8_t block[4 * (ATLS_TLS_EXTENSIONS_MAX + 1)] = {0};
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < ATLS_TLS_EXTENSIONS_MAX + 1; i++)
        block[4 * i + 1] = (uint8_t)i;
    entries[0].extensions = atls_bytes_of(block, sizeof block);
    try_entries(&a, context, entries, 1, ATLS_E_LIMIT, &err);
}

static void rules_on_the_context(void **state)
{
    static const struct atls_bytes others[] = {
        HEX("context of thirty-two bytes herf"), HEX("context of thirty-two bytes her"), {NULL, 0}};
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct attempt a = new_attempt(true);
        struct test_entry entries[] = {{DER(leaf), {0}}};

        try_entries(&a, others[i], entries, 1, ATLS_E_PROTOCOL, &err);
        refused(&err, ATLS_REASON_CONTEXT_MISMATCH, ATLS_ALERT_ILLEGAL_PARAMETER);
    }
}

static void rules_on_the_chain(void **state)
{
    struct atls_bytes spki = atls_key_spki(atls_private_key_public(leaf.key));
    struct test_entry entries[ATLS_CHAIN_MAX + 1];
    struct atls_err err = ATLS_ERR_INIT;
    struct attempt a;

    (void)state;
    for (size_t i = 0; i < ATLS_CHAIN_MAX + 1; i++)
        entries[i] = (struct test_entry){i == 0 ? DER(leaf) : DER(ca), {0}};
    a = new_attempt(true);
    try_entries(&a, context, entries, ATLS_CHAIN_MAX, ATLS_OK, &err);
    a = new_attempt(true);
    try_entries(&a, context, entries, ATLS_CHAIN_MAX + 1, ATLS_E_LIMIT, &err);
    a = new_attempt(true);
    try_entries(&a, context, entries, 0, ATLS_E_DECODE, &err);
    refused(&err, ATLS_REASON_MALFORMED, ATLS_ALERT_DECODE_ERROR);
    /* a raw public key where a certificate belongs */
    a = new_attempt(true);
    entries[0].certificate = spki;
    try_entries(&a, context, entries, 1, ATLS_E_DECODE, &err);
    refused(&err, ATLS_REASON_MALFORMED, ATLS_ALERT_BAD_CERTIFICATE);
    /* an empty certificate */
    a = new_attempt(true);
    entries[0].certificate = atls_bytes_of(NULL, 0);
    try_entries(&a, context, entries, 1, ATLS_E_DECODE, &err);
    refused(&err, ATLS_REASON_MALFORMED, ATLS_ALERT_DECODE_ERROR);
}

static void rules_on_the_scheme(void **state)
{
    struct test_entry rsa_entries[] = {{DER(rsa_leaf), {0}}}, entries[] = {{DER(leaf), {0}}};
    struct test_identity p384 = test_leaf(&ca, "p384.example", ATLS_KEY_P384);
    struct test_entry p384_entries[] = {{DER(p384), {0}}};
    struct atls_err err = ATLS_ERR_INIT;
    struct attempt a;

    (void)state;
    a = new_attempt(true);
    a.forgery.key = rsa_leaf.key;
    a.forgery.scheme = ATLS_RSA_PSS_SHA256;
    try_entries(&a, context, rsa_entries, 1, ATLS_OK, &err);
    /* offered for certificates, but PKCS#1 may not stand in CertificateVerify */
    a = new_attempt(true);
    a.forgery.key = rsa_leaf.key;
    a.forgery.scheme = ATLS_RSA_PKCS1_SHA256;
    try_entries(&a, context, rsa_entries, 1, ATLS_E_PROTOCOL, &err);
    refused(&err, ATLS_REASON_SCHEME_NOT_OFFERED, ATLS_ALERT_ILLEGAL_PARAMETER);
    /* fit for TLS, but not offered */
    a = new_attempt(true);
    a.forgery.key = rsa_leaf.key;
    a.forgery.scheme = ATLS_RSA_PSS_SHA384;
    try_entries(&a, context, rsa_entries, 1, ATLS_E_PROTOCOL, &err);
    refused(&err, ATLS_REASON_SCHEME_NOT_OFFERED, ATLS_ALERT_ILLEGAL_PARAMETER);
    a = new_attempt(true);
    a.forgery.key = p384.key;
    a.forgery.scheme = ATLS_ECDSA_P384_SHA384;
    try_entries(&a, context, p384_entries, 1, ATLS_E_PROTOCOL, &err);
    refused(&err, ATLS_REASON_SCHEME_NOT_OFFERED, ATLS_ALERT_ILLEGAL_PARAMETER);
    /* unknown to us */
    a = new_attempt(true);
    a.forgery.named_scheme = 0xfefe;
    try_entries(&a, context, entries, 1, ATLS_E_PROTOCOL, &err);
    refused(&err, ATLS_REASON_SCHEME_NOT_OFFERED, ATLS_ALERT_ILLEGAL_PARAMETER);
    /* offered, but the key is of another type */
    a = new_attempt(true);
    a.forgery.named_scheme = ATLS_RSA_PSS_SHA256;
    try_entries(&a, context, entries, 1, ATLS_E_PROTOCOL, &err);
    refused(&err, ATLS_REASON_NONE, ATLS_ALERT_ILLEGAL_PARAMETER);
    test_identity_clear(&p384);
}

static void rules_on_the_proofs(void **state)
{
    struct test_entry entries[] = {{DER(leaf), {0}}};
    struct test_connection other = test_connection(ATLS_HASH_SHA256, 0x5b);
    struct atls_err err = ATLS_ERR_INIT;
    struct attempt a;

    (void)state;
    a = new_attempt(true);
    a.forgery.break_mac = true;
    try_entries(&a, context, entries, 1, ATLS_E_VERIFY, &err);
    refused(&err, ATLS_REASON_FINISHED_MISMATCH, ATLS_ALERT_DECRYPT_ERROR);
    /* right MAC, wrong signature */
    a = new_attempt(true);
    a.forgery.break_signature = true;
    try_entries(&a, context, entries, 1, ATLS_E_VERIFY, &err);
    refused(&err, ATLS_REASON_SIGNATURE, ATLS_ALERT_DECRYPT_ERROR);
    /* right MAC, signature of another key */
    a = new_attempt(true);
    a.forgery.key = other_leaf.key;
    try_entries(&a, context, entries, 1, ATLS_E_VERIFY, &err);
    refused(&err, ATLS_REASON_SIGNATURE, ATLS_ALERT_DECRYPT_ERROR);
    /* right MAC, signature made for the handshake or for the other role there */
    a = new_attempt(true);
    a.forgery.context_string = "TLS 1.3, server CertificateVerify";
    try_entries(&a, context, entries, 1, ATLS_E_VERIFY, &err);
    refused(&err, ATLS_REASON_SIGNATURE, ATLS_ALERT_DECRYPT_ERROR);
    /* keys of another connection; of the other direction */
    a = new_attempt(true);
    a.forgery.connection = &other;
    try_entries(&a, context, entries, 1, ATLS_E_VERIFY, &err);
    refused(&err, ATLS_REASON_FINISHED_MISMATCH, ATLS_ALERT_DECRYPT_ERROR);
    a = new_attempt(true);
    a.forgery.sender = ATLS_ROLE_CLIENT;
    try_entries(&a, context, entries, 1, ATLS_E_VERIFY, &err);
    refused(&err, ATLS_REASON_FINISHED_MISMATCH, ATLS_ALERT_DECRYPT_ERROR);
    /* made over the request without its header, and over none */
    a = new_attempt(true);
    a.forgery.request = atls_bytes_of(a.request.ptr + 4, a.request.len - 4);
    try_entries(&a, context, entries, 1, ATLS_E_VERIFY, &err);
    refused(&err, ATLS_REASON_FINISHED_MISMATCH, ATLS_ALERT_DECRYPT_ERROR);
    a = new_attempt(true);
    a.forgery.request = atls_bytes_of(NULL, 0);
    try_entries(&a, context, entries, 1, ATLS_E_VERIFY, &err);
    refused(&err, ATLS_REASON_FINISHED_MISMATCH, ATLS_ALERT_DECRYPT_ERROR);
}

/* On its way the offer was taken out of the request: what answers the stripped one does not fit
 * ours. */
static void a_stripped_offer_shows(void **state)
{
    struct atls_ea *middle = open_end(&connection, ATLS_ROLE_CLIENT);
    struct atls_buf stripped = make_request(middle, false);
    struct test_entry entries[] = {{DER(leaf), {0}}};
    struct attempt a = new_attempt(true);
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    a.forgery.request = atls_buf_bytes(&stripped);
    try_entries(&a, context, entries, 1, ATLS_E_VERIFY, &err);
    refused(&err, ATLS_REASON_FINISHED_MISMATCH, ATLS_ALERT_DECRYPT_ERROR);
    atls_buf_clear(&stripped);
    atls_ea_free(middle);
}

/* CertificateVerify of one authenticator, as a view. */
static struct atls_bytes verify_of(const struct atls_buf *authenticator)
{
    struct atls_reader r = atls_reader_init(atls_buf_bytes(authenticator));
    struct atls_tls_message m;

    assert_true(atls_tls_get_message(&r, &m));
    assert_true(atls_tls_get_message(&r, &m));
    assert_int_equal(m.type, ATLS_TLS_CERTIFICATE_VERIFY);
    return m.whole;
}

/* A relay that could even make the MAC: the signature is over the other connection's handshake
 * context, over another request, over another certificate message. */
static void a_signature_from_elsewhere_does_not_fit(void **state)
{
    struct test_connection other = test_connection(ATLS_HASH_SHA256, 0x5b);
    struct test_entry entries[] = {{DER(leaf), {0}}}, longer[] = {{DER(leaf), {0}}, {DER(ca), {0}}};
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (int change = 0; change < 3; change++) {
        struct attempt a = new_attempt(true);
        struct atls_buf certificate =
            test_certificate_message(context, change == 2 ? longer : entries, change == 2 ? 2 : 1);
        struct test_forgery elsewhere = a.forgery;
        struct atls_buf all;

        elsewhere.certificate = atls_buf_bytes(&certificate);
        if (change == 0)
            elsewhere.connection = &other;
        if (change == 1)
            elsewhere.request = atls_bytes_of("another request", 15);
        all = test_forge(&elsewhere);
        a.forgery.verify = verify_of(&all);
        try_entries(&a, context, entries, 1, ATLS_E_VERIFY, &err);
        refused(&err, ATLS_REASON_SIGNATURE, ATLS_ALERT_DECRYPT_ERROR);
        atls_buf_clear(&all);
        atls_buf_clear(&certificate);
    }
}

static void rules_on_framing(void **state)
{
    static const struct {
        const char *name, *hex;
        enum atls_code want;
        enum atls_alert alert;
    } rows[] = {
        {"nothing", "", ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
        {"unknown first message", "01000000", ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
        {"a request", "0d000000", ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
        {"CertificateVerify first", "0f000000", ATLS_E_PROTOCOL, ATLS_ALERT_UNEXPECTED_MESSAGE},
        {"Certificate alone", "0b000000", ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
        {"two Certificates",
         "0b000000"
         "0b000000"
         "14000000",
         ATLS_E_PROTOCOL, ATLS_ALERT_UNEXPECTED_MESSAGE},
        {"Finished second",
         "0b000000"
         "14000000"
         "0f000000",
         ATLS_E_PROTOCOL, ATLS_ALERT_UNEXPECTED_MESSAGE},
        {"no Finished",
         "0b000000"
         "0f000000",
         ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
        {"CertificateVerify twice",
         "0b000000"
         "0f000000"
         "0f000000",
         ATLS_E_PROTOCOL, ATLS_ALERT_UNEXPECTED_MESSAGE},
        {"Finished of no length",
         "0b000000"
         "0f000000"
         "14000000",
         ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
        {"short refusal",
         "1400001f"
         "00000000000000000000000000000000000000000000000000000000"
         "000000",
         ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
        {"refusal of the other hash's length",
         "14000030"
         "000000000000000000000000000000000000000000000000"
         "000000000000000000000000000000000000000000000000",
         ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct attempt a = new_attempt(true);
        struct atls_buf in = test_unhex(rows[i].hex);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_ea_peer peer;
        enum atls_code code = atls_ea_validate(a.client, atls_buf_bytes(&a.request),
                                               atls_buf_bytes(&in), &peer, &err);

        if (code != rows[i].want || err.alert != rows[i].alert)
            fail_msg("%s: %s, alert %d: %s", rows[i].name, atls_code_name(code), err.alert,
                     err.message);
        atls_buf_clear(&in);
        atls_buf_clear(&a.request);
        atls_buf_clear(&a.cmw_extension);
        atls_ea_free(a.client);
    }
}

static void finished_with_a_longer_body(void **state)
{
    struct attempt a = new_attempt(true);
    struct test_entry entries[] = {{DER(leaf), {0}}};
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    a.forgery.finished_tail = atls_bytes_of("x", 1);
    try_entries(&a, context, entries, 1, ATLS_E_DECODE, &err);
    refused(&err, ATLS_REASON_MALFORMED, ATLS_ALERT_DECODE_ERROR);
}

static void certificate_verify_with_a_byte_behind(void **state)
{
    struct attempt a = new_attempt(true);
    struct test_entry entries[] = {{DER(leaf), {0}}};
    const struct atls_bytes verify = HEX("\x0f\x00\x00\x06\x04\x03\x00\x01\xaa\xbb");
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    a.forgery.verify = verify;
    try_entries(&a, context, entries, 1, ATLS_E_DECODE, &err);
    refused(&err, ATLS_REASON_MALFORMED, ATLS_ALERT_DECODE_ERROR);
}

/* An honest authenticator cut anywhere, or with one byte more, against a fresh request each time.
 */
static void every_truncation_and_trailing_byte(void **state)
{
    struct attempt a = new_attempt(true);
    struct test_entry entries[] = {{DER(leaf), atls_buf_bytes(&a.cmw_extension)}};
    struct atls_buf certificate = test_certificate_message(context, entries, 1), all;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ea_peer peer;

    (void)state;
    a.forgery.certificate = atls_buf_bytes(&certificate);
    all = test_forge(&a.forgery);
    for (size_t len = 0; len <= all.len + 1; len++) {
        uint8_t *copy = calloc(1, len == 0 ? 1 : len);

        assert_non_null(copy);
        memcpy(copy, all.ptr, len < all.len ? len : all.len);
        a.client->contexts.items[0].use = ATLS_EA_OURS; /* as if not answered yet */
        test_assert_code(atls_ea_validate(a.client, atls_buf_bytes(&a.request),
                                          atls_bytes_of(copy, len), &peer, &err),
                         len == all.len ? ATLS_OK : ATLS_E_DECODE, &err);
        free(copy);
    }
    atls_buf_clear(&all);
    atls_buf_clear(&certificate);
    atls_buf_clear(&a.request);
    atls_buf_clear(&a.cmw_extension);
    atls_ea_free(a.client);
}

static void an_authenticator_above_the_limit(void **state)
{
    struct attempt a = new_attempt(true);
    uint8_t *big = calloc(1, ATLS_AUTHENTICATOR_MAX + 1);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ea_peer peer;

    (void)state;
    assert_non_null(big);
    test_assert_code(atls_ea_validate(a.client, atls_buf_bytes(&a.request),
                                      atls_bytes_of(big, ATLS_AUTHENTICATOR_MAX + 1), &peer, &err),
                     ATLS_E_LIMIT, &err);
    free(big);
    atls_buf_clear(&a.request);
    atls_buf_clear(&a.cmw_extension);
    atls_ea_free(a.client);
}

/* Any answer uses the request up: good, bad, or a refusal. */
static void a_request_takes_one_answer(void **state)
{
    static const struct {
        const char *name;
        bool break_mac;
        enum atls_code first;
    } rows[] = {{"after a good one", false, ATLS_OK}, {"after a bad one", true, ATLS_E_VERIFY}};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct attempt a = new_attempt(true);
        struct test_entry entries[] = {{DER(leaf), {0}}};
        struct atls_buf certificate = test_certificate_message(context, entries, 1), first, good;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_ea_peer peer;

        a.forgery.certificate = atls_buf_bytes(&certificate);
        good = test_forge(&a.forgery);
        a.forgery.break_mac = rows[i].break_mac;
        first = test_forge(&a.forgery);
        test_assert_code(atls_ea_validate(a.client, atls_buf_bytes(&a.request),
                                          atls_buf_bytes(&first), &peer, &err),
                         rows[i].first, &err);
        test_assert_code(atls_ea_validate(a.client, atls_buf_bytes(&a.request),
                                          atls_buf_bytes(&good), &peer, &err),
                         ATLS_E_PROTOCOL, &err);
        refused(&err, ATLS_REASON_CONTEXT_USED, ATLS_ALERT_NONE);
        atls_buf_clear(&first);
        atls_buf_clear(&good);
        atls_buf_clear(&certificate);
        atls_buf_clear(&a.request);
        atls_buf_clear(&a.cmw_extension);
        atls_ea_free(a.client);
    }
}

static void a_validation_serves_one_call(void **state)
{
    struct attempt a = new_attempt(true);
    struct test_entry entries[] = {{DER(leaf), {0}}};
    struct atls_buf certificate = test_certificate_message(context, entries, 1), good;
    struct atls_ea_validation *v = NULL, *second = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ea_peer peer;

    (void)state;
    a.forgery.certificate = atls_buf_bytes(&certificate);
    good = test_forge(&a.forgery);
    test_assert_code(atls_ea_validate_begin(a.client, atls_buf_bytes(&a.request), &v, &err),
                     ATLS_OK, &err);
    test_assert_code(atls_ea_validate_begin(a.client, atls_buf_bytes(&a.request), &second, &err),
                     ATLS_E_PROTOCOL, &err);
    assert_null(second);
    atls_ea_free(a.client); /* a validation stands on its own */
    test_assert_code(atls_ea_validate_finish(v, atls_bytes_of("x", 1), NULL, NULL, &peer, &err),
                     ATLS_E_DECODE, &err);
    test_assert_code(atls_ea_validate_finish(v, atls_buf_bytes(&good), NULL, NULL, &peer, &err),
                     ATLS_E_PROTOCOL, &err);
    refused(&err, ATLS_REASON_CONTEXT_USED, ATLS_ALERT_NONE);
    atls_ea_validation_free(v);
    atls_ea_validation_free(NULL);
    atls_buf_clear(&good);
    atls_buf_clear(&certificate);
    atls_buf_clear(&a.request);
    atls_buf_clear(&a.cmw_extension);
}

/* What is no request of this connection's own is the caller's mistake. */
static void only_own_requests_are_validated(void **state)
{
    struct attempt a = new_attempt(true);
    struct atls_ea *server = open_end(&connection, ATLS_ROLE_SERVER);
    struct atls_ea *stranger = open_end(&connection, ATLS_ROLE_CLIENT);
    struct atls_ea_validation *v = NULL;
    struct atls_ea_request q;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf altered;

    (void)state;
    test_assert_code(atls_ea_validate_begin(a.client, atls_bytes_of("x", 1), &v, &err),
                     ATLS_E_USAGE, &err);
    test_assert_code(atls_ea_validate_begin(stranger, atls_buf_bytes(&a.request), &v, &err),
                     ATLS_E_USAGE, &err);
    /* the same context, other bytes */
    altered = make_request(stranger, false);
    test_assert_code(atls_ea_validate_begin(a.client, atls_buf_bytes(&altered), &v, &err),
                     ATLS_E_USAGE, &err);
    /* the peer's request instead of ours */
    test_assert_code(atls_ea_accept_request(server, atls_buf_bytes(&a.request), &q, &err), ATLS_OK,
                     &err);
    test_assert_code(atls_ea_validate_begin(server, atls_buf_bytes(&a.request), &v, &err),
                     ATLS_E_USAGE, &err);
    assert_null(v);
    atls_buf_clear(&altered);
    atls_buf_clear(&a.request);
    atls_buf_clear(&a.cmw_extension);
    atls_ea_free(a.client);
    atls_ea_free(server);
    atls_ea_free(stranger);
}

struct found {
    int calls;
    struct atls_key *key;
};

static enum atls_code find_key(void *arg, struct atls_bytes spki, struct atls_key **out,
                               struct atls_err *err)
{
    struct found *f = arg;

    (void)spki;
    f->calls++;
    if (f->key == NULL)
        return atls_key_from_spki(spki, out, err);
    *out = atls_key_ref(f->key);
    return ATLS_OK;
}

/* A cache that hands out another key is found out by the signature. */
static void the_caller_may_find_the_key(void **state)
{
    struct atls_bytes other = atls_key_spki(atls_private_key_public(other_leaf.key));
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (int wrong = 0; wrong < 2; wrong++) {
        struct attempt a = new_attempt(true);
        struct test_entry entries[] = {{DER(leaf), {0}}};
        struct atls_buf certificate = test_certificate_message(context, entries, 1), good;
        struct found found = {0, NULL};
        struct atls_ea_validation *v = NULL;
        struct atls_ea_peer peer;

        a.forgery.certificate = atls_buf_bytes(&certificate);
        good = test_forge(&a.forgery);
        if (wrong)
            assert_int_equal(atls_key_from_spki(other, &found.key, NULL), ATLS_OK);
        test_assert_code(atls_ea_validate_begin(a.client, atls_buf_bytes(&a.request), &v, &err),
                         ATLS_OK, &err);
        test_assert_code(
            atls_ea_validate_finish(v, atls_buf_bytes(&good), find_key, &found, &peer, &err),
            wrong ? ATLS_E_VERIFY : ATLS_OK, &err);
        assert_int_equal(found.calls, 1);
        atls_key_unref(found.key);
        atls_ea_validation_free(v);
        atls_buf_clear(&good);
        atls_buf_clear(&certificate);
        atls_buf_clear(&a.request);
        atls_buf_clear(&a.cmw_extension);
        atls_ea_free(a.client);
    }
}

static void contexts_are_read_without_a_connection(void **state)
{
    static const struct {
        const char *name, *hex, *want; /* want NULL: code below */
        enum atls_code code;
    } rows[] = {
        {"request of a server",
         "0d000003"
         "01aa"
         "00",
         "aa", ATLS_OK},
        {"request of a client",
         "11000003"
         "01aa"
         "00",
         "aa", ATLS_OK},
        {"authenticator",
         "0b000002"
         "01aa"
         "0f000000",
         "aa", ATLS_OK},
        {"empty context",
         "0b000001"
         "00",
         "", ATLS_OK},
        {"refusal", "14000000", NULL, ATLS_E_NOT_FOUND},
        {"CertificateVerify", "0f000000", NULL, ATLS_E_DECODE},
        {"nothing", "", NULL, ATLS_E_DECODE},
        {"context cut",
         "0b000002"
         "02aa",
         NULL, ATLS_E_DECODE},
        {"no context", "0b000000", NULL, ATLS_E_DECODE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_unhex(rows[i].hex);
        struct atls_bytes out = {NULL, 0};

        if (atls_ea_get_context(atls_buf_bytes(&in), &out, NULL) != rows[i].code)
            fail_msg("%s", rows[i].name);
        if (rows[i].want != NULL) {
            struct atls_buf want = test_unhex(rows[i].want);

            test_assert_bytes(out, atls_buf_bytes(&want));
            atls_buf_clear(&want);
        }
        atls_buf_clear(&in);
    }
}

/* ---- without request ---- */

static const enum atls_signature hello_schemes[] = {ATLS_ECDSA_P256_SHA256};
static const uint16_t hello_extensions[] = {ATLS_TLS_SERVER_NAME, ATLS_TLS_STATUS_REQUEST,
                                            ATLS_EA_CMW_ATTESTATION};
static const struct atls_ea_client_hello hello = {hello_schemes, 1, hello_extensions, 3};

static enum atls_code try_spontaneous(struct atls_ea *client, const char *extensions_hex,
                                      struct test_forgery f, struct atls_err *err)
{
    struct atls_buf block = test_unhex(extensions_hex);
    struct test_entry entries[] = {{DER(leaf), atls_buf_bytes(&block)}};
    struct atls_buf certificate = test_certificate_message(context, entries, 1), all;
    struct atls_ea_peer peer;
    enum atls_code code;

    f.connection = &connection;
    f.sender = ATLS_ROLE_SERVER;
    f.certificate = atls_buf_bytes(&certificate);
    f.key = leaf.key;
    f.scheme = ATLS_ECDSA_P256_SHA256;
    all = test_forge(&f);
    code = atls_ea_validate_spontaneous(client, &hello, atls_buf_bytes(&all), &peer, err);
    atls_buf_clear(&all);
    atls_buf_clear(&certificate);
    atls_buf_clear(&block);
    return code;
}

static void rules_on_spontaneous_ones(void **state)
{
    struct atls_ea *client = open_end(&connection, ATLS_ROLE_CLIENT);
    struct atls_ea *server = open_end(&connection, ATLS_ROLE_SERVER);
    const struct test_forgery honest = {.break_mac = false}, bad_mac = {.break_mac = true};
    const struct test_forgery bad_signature = {.break_signature = true};
    uint16_t many[ATLS_TLS_EXTENSIONS_MAX + 1] = {0};
    struct atls_ea_client_hello long_hello = {hello_schemes, 1, many, ATLS_TLS_EXTENSIONS_MAX + 1};
    uint8_t empty[36] = {20, 0, 0, 32};
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ea_peer peer;
    struct atls_buf request;

    (void)state;
    test_assert_code(try_spontaneous(client, "", bad_mac, &err), ATLS_E_VERIFY, &err);
    refused(&err, ATLS_REASON_FINISHED_MISMATCH, ATLS_ALERT_DECRYPT_ERROR);
    test_assert_code(try_spontaneous(client, "", bad_signature, &err), ATLS_E_VERIFY, &err);
    refused(&err, ATLS_REASON_SIGNATURE, ATLS_ALERT_DECRYPT_ERROR);
    /* attestation never rides in one, whatever the ClientHello held */
    test_assert_code(try_spontaneous(client, "ff0000030001aa", honest, &err), ATLS_E_PROTOCOL,
                     &err);
    refused(&err, ATLS_REASON_EXTENSION_NOT_OFFERED, ATLS_ALERT_UNSUPPORTED_EXTENSION);
    test_assert_code(try_spontaneous(client, "00120000", honest, &err), ATLS_E_PROTOCOL, &err);
    refused(&err, ATLS_REASON_EXTENSION_NOT_OFFERED, ATLS_ALERT_UNSUPPORTED_EXTENSION);
    test_assert_code(try_spontaneous(client, "00000000", honest, &err), ATLS_E_PROTOCOL, &err);
    refused(&err, ATLS_REASON_NONE, ATLS_ALERT_ILLEGAL_PARAMETER);
    test_assert_code(
        atls_ea_validate_spontaneous(client, &hello, atls_bytes_of(empty, 36), &peer, &err),
        ATLS_E_PROTOCOL, &err);
    refused(&err, ATLS_REASON_NONE, ATLS_ALERT_UNEXPECTED_MESSAGE);
    test_assert_code(
        atls_ea_validate_spontaneous(client, &hello, atls_bytes_of(empty, 3), &peer, &err),
        ATLS_E_DECODE, &err);
    test_assert_code(
        atls_ea_validate_spontaneous(client, &long_hello, atls_bytes_of(empty, 36), &peer, &err),
        ATLS_E_USAGE, &err);
    test_assert_code(try_spontaneous(server, "", honest, &err), ATLS_E_USAGE, &err);
    /* none of these used the context up; a good one does */
    test_assert_code(try_spontaneous(client, "0005000100", honest, &err), ATLS_OK, &err);
    test_assert_code(try_spontaneous(client, "", honest, &err), ATLS_E_PROTOCOL, &err);
    refused(&err, ATLS_REASON_CONTEXT_USED, ATLS_ALERT_NONE);
    /* which is seen before any key is used */
    test_assert_code(try_spontaneous(client, "", bad_mac, &err), ATLS_E_PROTOCOL, &err);
    refused(&err, ATLS_REASON_CONTEXT_USED, ATLS_ALERT_NONE);
    atls_ea_free(client);
    /* nor under the context of a request */
    client = open_end(&connection, ATLS_ROLE_CLIENT);
    request = make_request(client, true);
    test_assert_code(try_spontaneous(client, "", honest, &err), ATLS_E_PROTOCOL, &err);
    refused(&err, ATLS_REASON_CONTEXT_USED, ATLS_ALERT_NONE);
    atls_buf_clear(&request);
    atls_ea_free(client);
    atls_ea_free(server);
}

/* A client's authenticator comes on request only: without one in the transcript it does not verify.
 */
static void no_authenticator_answers_without_its_request(void **state)
{
    struct attempt a = new_attempt(true);
    struct test_entry entries[] = {{DER(leaf), {0}}};
    struct atls_buf certificate = test_certificate_message(context, entries, 1), all;
    struct atls_ea *other = open_end(&connection, ATLS_ROLE_CLIENT);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ea_peer peer;

    (void)state;
    a.forgery.certificate = atls_buf_bytes(&certificate);
    all = test_forge(&a.forgery); /* answers a request */
    test_assert_code(atls_ea_validate_spontaneous(other, &hello, atls_buf_bytes(&all), &peer, &err),
                     ATLS_E_VERIFY, &err);
    refused(&err, ATLS_REASON_FINISHED_MISMATCH, ATLS_ALERT_DECRYPT_ERROR);
    atls_buf_clear(&all);
    atls_buf_clear(&certificate);
    atls_buf_clear(&a.request);
    atls_buf_clear(&a.cmw_extension);
    atls_ea_free(a.client);
    atls_ea_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_honest_one_passes),
        cmocka_unit_test(rules_on_extensions),
        cmocka_unit_test(too_many_extensions),
        cmocka_unit_test(rules_on_the_context),
        cmocka_unit_test(rules_on_the_chain),
        cmocka_unit_test(rules_on_the_scheme),
        cmocka_unit_test(rules_on_the_proofs),
        cmocka_unit_test(a_stripped_offer_shows),
        cmocka_unit_test(a_signature_from_elsewhere_does_not_fit),
        cmocka_unit_test(rules_on_framing),
        cmocka_unit_test(finished_with_a_longer_body),
        cmocka_unit_test(certificate_verify_with_a_byte_behind),
        cmocka_unit_test(every_truncation_and_trailing_byte),
        cmocka_unit_test(an_authenticator_above_the_limit),
        cmocka_unit_test(a_request_takes_one_answer),
        cmocka_unit_test(a_validation_serves_one_call),
        cmocka_unit_test(only_own_requests_are_validated),
        cmocka_unit_test(the_caller_may_find_the_key),
        cmocka_unit_test(contexts_are_read_without_a_connection),
        cmocka_unit_test(rules_on_spontaneous_ones),
        cmocka_unit_test(no_authenticator_answers_without_its_request),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
