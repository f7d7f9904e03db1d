/* tests/vectors/exported-authenticator against the code: positive, negative, exporter outputs. */
#include "testlib.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "core/writer.h"
#include "ea/ea.h"
#include "forge.h"

/* RFC 8032 section 7.1, TEST 1. */
static const char ed25519_pem[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
    "-----END PRIVATE KEY-----\n";

static json_t *load(const char *name)
{
    struct atls_buf text = test_vector(name);
    json_t *root = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);

    atls_buf_clear(&text);
    assert_non_null(root);
    return root;
}

static const char *text_of(const json_t *v, const char *key)
{
    const char *s = json_string_value(json_object_get(v, key));

    if (s == NULL)
        fail_msg("vector lacks %s", key);
    return s;
}

static bool has(const json_t *v, const char *key)
{
    return json_object_get(v, key) != NULL;
}

static struct atls_buf hex_of(const json_t *v, const char *key)
{
    return test_unhex(text_of(v, key));
}

static void assert_hex(const json_t *v, const char *key, struct atls_bytes got)
{
    struct atls_buf want = hex_of(v, key);

    test_assert_bytes(got, atls_buf_bytes(&want));
    atls_buf_clear(&want);
}

/* One vector's connection, both ends, and its request and context where it has them. */
struct fixture {
    struct test_connection *connection; /* what the exporter of both ends borrows */
    enum atls_role attester;
    struct atls_ea *sender, *receiver;
    struct atls_buf request, context, authenticator;
    size_t hash_len;
};

static struct fixture open_vector(const json_t *v)
{
    struct fixture f = {.connection = test_calloc(1, sizeof *f.connection)};
    struct atls_buf secret = hex_of(v, "exporter_secret");
    enum atls_role other;

    f.connection->hash =
        strcmp(text_of(v, "hash"), "sha384") == 0 ? ATLS_HASH_SHA384 : ATLS_HASH_SHA256;
    f.connection->prefix = text_of(v, "hkdf_label_prefix");
    f.hash_len = atls_hash_len(f.connection->hash);
    assert_int_equal(secret.len, f.hash_len);
    memcpy(f.connection->secret, secret.ptr, secret.len);
    atls_buf_clear(&secret);
    f.attester = strcmp(text_of(v, "role"), "client") == 0 ? ATLS_ROLE_CLIENT : ATLS_ROLE_SERVER;
    other = f.attester == ATLS_ROLE_CLIENT ? ATLS_ROLE_SERVER : ATLS_ROLE_CLIENT;
    assert_int_equal(
        atls_ea_new(f.attester, f.connection->hash, test_exporter, f.connection, &f.sender, NULL),
        ATLS_OK);
    assert_int_equal(
        atls_ea_new(other, f.connection->hash, test_exporter, f.connection, &f.receiver, NULL),
        ATLS_OK);
    if (has(v, "request"))
        f.request = hex_of(v, "request");
    f.context = hex_of(v, "certificate_request_context");
    f.authenticator = hex_of(v, "authenticator");
    return f;
}

static void close_vector(struct fixture *f)
{
    atls_ea_free(f->sender);
    atls_ea_free(f->receiver);
    test_free(f->connection);
    atls_buf_clear(&f->request);
    atls_buf_clear(&f->context);
    atls_buf_clear(&f->authenticator);
}

static void check_keys(const json_t *v, struct fixture *f)
{
    static const char *const names[][3] = {
        {"handshake context", "derive_secret_handshake_context", "handshake_context"},
        {"finished key", "derive_secret_finished_key", "finished_key"},
    };
    struct atls_bytes secret = atls_bytes_of(f->connection->secret, f->hash_len);
    uint8_t empty_hash[ATLS_HASH_MAX], out[ATLS_HASH_MAX];

    assert_int_equal(atls_hash_parts(f->connection->hash, NULL, 0, empty_hash, NULL), ATLS_OK);
    for (size_t i = 0; i < 2; i++) {
        char label[80];

        snprintf(label, sizeof label, "EXPORTER-%s authenticator %s", text_of(v, "role"),
                 names[i][0]);
        assert_int_equal(atls_hkdf_expand_label(f->connection->hash, secret, f->connection->prefix,
                                                label, atls_bytes_of(empty_hash, f->hash_len), out,
                                                f->hash_len, NULL),
                         ATLS_OK);
        assert_hex(v, names[i][1], atls_bytes_of(out, f->hash_len));
    }
    for (size_t i = 0; i < 2; i++) {
        struct atls_ea *end = i == 0 ? f->sender : f->receiver;
        struct atls_ea_keys keys, other;

        assert_int_equal(atls_ea_keys_for(end, f->attester, &keys, NULL), ATLS_OK);
        assert_hex(v, "handshake_context", atls_bytes_of(keys.handshake_context, f->hash_len));
        assert_hex(v, "finished_key", atls_bytes_of(keys.finished_key, f->hash_len));
        assert_int_equal(
            atls_ea_keys_for(end,
                             f->attester == ATLS_ROLE_CLIENT ? ATLS_ROLE_SERVER : ATLS_ROLE_CLIENT,
                             &other, NULL),
            ATLS_OK);
        assert_memory_not_equal(keys.finished_key, other.finished_key, f->hash_len);
    }
}

static void check_exported_values(const json_t *v, struct fixture *f)
{
    static const char *const names[][2] = {{"attestation_label", "attestation_exported_value"},
                                           {"alt_label", "alt_exported_value"}};
    uint8_t out[32];

    for (size_t i = 0; i < 2 && has(v, names[i][0]); i++) {
        assert_int_equal(test_exporter(f->connection, text_of(v, names[i][0]),
                                       atls_buf_bytes(&f->context), out, sizeof out, NULL),
                         ATLS_OK);
        assert_hex(v, names[i][1], atls_bytes_of(out, sizeof out));
    }
}

static void check_transcript(const json_t *v, struct fixture *f)
{
    struct atls_buf certificate, verify, content = ATLS_BUF_INIT;
    struct atls_digest *t = NULL;
    uint8_t digest[ATLS_HASH_MAX], finished[4 + ATLS_HASH_MAX] = {20, 0, 0};

    if (!has(v, "certificate_message"))
        return;
    certificate = hex_of(v, "certificate_message");
    verify = hex_of(v, "certificate_verify_message");
    assert_int_equal(atls_ea_transcript(&f->sender->own, atls_buf_bytes(&f->request), &t, NULL),
                     ATLS_OK);
    assert_int_equal(atls_digest_add(t, atls_buf_bytes(&certificate), NULL), ATLS_OK);
    assert_int_equal(atls_digest_peek(t, digest, NULL), ATLS_OK);
    assert_hex(v, "certificate_verify_transcript_hash", atls_bytes_of(digest, f->hash_len));
    assert_int_equal(atls_ea_signed_content(&f->sender->own, t, &content, NULL), ATLS_OK);
    assert_hex(v, "certificate_verify_signed_content", atls_buf_bytes(&content));
    assert_int_equal(atls_digest_add(t, atls_buf_bytes(&verify), NULL), ATLS_OK);
    assert_int_equal(atls_digest_peek(t, digest, NULL), ATLS_OK);
    assert_hex(v, "finished_transcript_hash", atls_bytes_of(digest, f->hash_len));
    finished[3] = (uint8_t)f->hash_len;
    assert_int_equal(atls_ea_finished_mac(&f->sender->own, t, finished + 4, NULL), ATLS_OK);
    assert_hex(v, "finished_message", atls_bytes_of(finished, 4 + f->hash_len));
    atls_digest_free(t);
    atls_buf_clear(&content);
    atls_buf_clear(&certificate);
    atls_buf_clear(&verify);
}

/* Both ends produce what the vector holds, octet for octet, and accept it. */
static void check_exchange(const json_t *v, struct fixture *f, struct atls_bytes leaf)
{
    static const enum atls_signature schemes[] = {ATLS_ED25519, ATLS_ECDSA_P256_SHA256};
    const struct atls_ea_client_hello hello = {schemes, 2, NULL, 0};
    struct atls_buf cmw = has(v, "cmw_data") ? hex_of(v, "cmw_data") : (struct atls_buf){NULL, 0};
    struct atls_private_key *key = NULL;
    struct atls_ea_credential credential = {.chain = &leaf,
                                            .chain_len = 1,
                                            .cmw = atls_buf_bytes(&cmw),
                                            .scheme = ATLS_ED25519,
                                            .sign = atls_private_key_sign_function};
    struct atls_ea_request_spec spec = {
        .context = atls_buf_bytes(&f->context), .schemes = schemes, .scheme_count = 2};
    struct atls_ea_request request;
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ea_peer peer;
    struct atls_bytes context;
    enum atls_code code;

    test_assert_code(
        atls_private_key_from_pem(atls_bytes_of(ed25519_pem, strlen(ed25519_pem)), &key, &err),
        ATLS_OK, &err);
    credential.sign_arg = key;
    if (f->request.len == 0) {
        test_assert_code(atls_ea_authenticate_spontaneous(f->sender, atls_buf_bytes(&f->context),
                                                          &hello, &credential, &out, &err),
                         ATLS_OK, &err);
        test_assert_bytes(atls_buf_bytes(&out), atls_buf_bytes(&f->authenticator));
        test_assert_code(
            atls_ea_validate_spontaneous(f->receiver, &hello, atls_buf_bytes(&out), &peer, &err),
            ATLS_OK, &err);
        test_assert_bytes(peer.chain[0], leaf);
        atls_buf_clear(&out);
        atls_private_key_free(key);
        return;
    }
    test_assert_code(atls_ea_request_decode(atls_buf_bytes(&f->request), &request, &err), ATLS_OK,
                     &err);
    spec.attestation = request.attestation;
    spec.server_name = request.server_name.ptr == NULL ? NULL : "ea.example";
    test_assert_code(atls_ea_request(f->receiver, &spec, &out, &err), ATLS_OK, &err);
    test_assert_bytes(atls_buf_bytes(&out), atls_buf_bytes(&f->request));
    atls_buf_clear(&out);
    test_assert_code(atls_ea_get_context(atls_buf_bytes(&f->request), &context, &err), ATLS_OK,
                     &err);
    test_assert_bytes(context, atls_buf_bytes(&f->context));
    if (has(v, "implied_certificate_message")) {
        test_assert_code(atls_ea_decline(f->sender, atls_buf_bytes(&f->request), &out, &err),
                         ATLS_OK, &err);
        code = ATLS_E_DECLINED;
    } else {
        test_assert_code(
            atls_ea_authenticate(f->sender, atls_buf_bytes(&f->request), &credential, &out, &err),
            ATLS_OK, &err);
        code = ATLS_OK;
    }
    test_assert_bytes(atls_buf_bytes(&out), atls_buf_bytes(&f->authenticator));
    test_assert_code(atls_ea_validate(f->receiver, atls_buf_bytes(&f->request),
                                      atls_buf_bytes(&out), &peer, &err),
                     code, &err);
    if (code == ATLS_OK) {
        assert_int_equal(peer.attested, has(v, "cmw_data"));
        test_assert_bytes(peer.cmw, atls_buf_bytes(&cmw));
        test_assert_bytes(peer.context, atls_buf_bytes(&f->context));
        test_assert_bytes(peer.spki, atls_key_spki(atls_private_key_public(key)));
        assert_int_equal(peer.scheme, ATLS_ED25519);
        test_assert_code(atls_ea_get_context(atls_buf_bytes(&out), &context, &err), ATLS_OK, &err);
        test_assert_bytes(context, atls_buf_bytes(&f->context));
    } else {
        test_assert_code(atls_ea_get_context(atls_buf_bytes(&out), &context, &err),
                         ATLS_E_NOT_FOUND, &err);
    }
    atls_buf_clear(&out);
    atls_buf_clear(&cmw);
    atls_private_key_free(key);
}

static void derived_vectors(void **state)
{
    json_t *root = load("exported-authenticator/derived-rfc9261.json");
    const json_t *parameters = json_object_get(root, "parameters");
    const json_t *vectors = json_object_get(root, "vectors");
    struct atls_buf leaf = hex_of(parameters, "leaf_certificate_der");
    struct atls_bytes spki;

    (void)state;
    assert_int_equal(atls_certificate_spki(atls_buf_bytes(&leaf), &spki, NULL), ATLS_OK);
    assert_hex(parameters, "subject_public_key_info_der", spki);
    assert_int_equal(json_array_size(vectors), 8);
    for (size_t i = 0; i < json_array_size(vectors); i++) {
        const json_t *v = json_array_get(vectors, i);
        struct fixture f = open_vector(v);
        uint8_t digest[ATLS_HASH_MAX];

        print_message("%s\n", text_of(v, "name"));
        check_keys(v, &f);
        check_exported_values(v, &f);
        check_transcript(v, &f);
        check_exchange(v, &f, atls_buf_bytes(&leaf));
        if (has(v, "aik_pub_hash")) {
            assert_int_equal(atls_hash_one(f.connection->hash, spki, digest, NULL), ATLS_OK);
            assert_hex(v, "aik_pub_hash", atls_bytes_of(digest, f.hash_len));
        }
        if (has(v, "cmw_attestation_extension")) {
            struct atls_buf cmw = hex_of(v, "cmw_data");
            struct atls_buf extension = test_cmw_extension(atls_buf_bytes(&cmw));

            assert_hex(v, "cmw_attestation_extension", atls_buf_bytes(&extension));
            atls_buf_clear(&extension);
            atls_buf_clear(&cmw);
        }
        close_vector(&f);
    }
    atls_buf_clear(&leaf);
    json_decref(root);
}

/* Every bit of every authenticator and of its request matters. */
static void derived_vectors_with_one_bit_flipped(void **state)
{
    json_t *root = load("exported-authenticator/derived-rfc9261.json");
    const json_t *vectors = json_object_get(root, "vectors");

    (void)state;
    for (size_t i = 0; i < json_array_size(vectors); i++) {
        struct fixture f = open_vector(json_array_get(vectors, i));
        size_t step = f.authenticator.len > 100 ? 3 : 1;

        if (f.request.len == 0) {
            close_vector(&f);
            continue;
        }
        for (size_t at = 0; at < f.authenticator.len + f.request.len; at += step) {
            uint8_t *byte = at < f.authenticator.len ? &f.authenticator.ptr[at]
                                                     : &f.request.ptr[at - f.authenticator.len];
            struct atls_ea_request request;
            struct atls_ea_peer peer;
            struct atls_err err = ATLS_ERR_INIT;
            enum atls_code code;

            *byte ^= 0x04;
            /* Stands for having sent the request, flipped or not. */
            f.receiver->contexts.count = 0;
            if (atls_ea_request_decode(atls_buf_bytes(&f.request), &request, NULL) == ATLS_OK &&
                atls_ea_contexts_add(&f.receiver->contexts, request.context,
                                     atls_buf_bytes(&f.request), ATLS_EA_OURS, NULL) == ATLS_OK) {
                code = atls_ea_validate(f.receiver, atls_buf_bytes(&f.request),
                                        atls_buf_bytes(&f.authenticator), &peer, &err);
                if (code == ATLS_OK || code == ATLS_E_DECLINED || code == ATLS_E_USAGE)
                    fail_msg("vector %zu, byte %zu: %s", i, at, err.message);
            }
            *byte ^= 0x04;
        }
        close_vector(&f);
    }
    json_decref(root);
}

/* Exporter outputs with other contexts, lengths and labels; a request whose extensions are text. */
static void compatibility_values(void **state)
{
    json_t *root = load("exported-authenticator/derived-rfc9261.json");
    const json_t *v = json_array_get(json_object_get(root, "compatibility"), 0);
    struct atls_buf secret = hex_of(v, "exporter_secret"), request = hex_of(v, "request_as_sent");
    struct atls_buf context = hex_of(v, "certificate_request_context");
    struct test_connection c = {.hash = ATLS_HASH_SHA256};
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ea_request decoded;
    uint8_t out[64];

    (void)state;
    memcpy(c.secret, secret.ptr, 32);
    assert_int_equal(test_exporter(&c, "EXPORTER-server authenticator handshake context",
                                   atls_buf_bytes(&context), out, 64, NULL),
                     ATLS_OK);
    assert_hex(v, "handshake_context_64_with_context", atls_bytes_of(out, 64));
    assert_int_equal(test_exporter(&c, "EXPORTER-server authenticator finished key",
                                   atls_buf_bytes(&context), out, 32, NULL),
                     ATLS_OK);
    assert_hex(v, "finished_key_32_with_context", atls_bytes_of(out, 32));
    assert_int_equal(
        test_exporter(&c, "Attestation Binding", atls_buf_bytes(&context), out, 64, NULL), ATLS_OK);
    assert_hex(v, "report_data_64_label_attestation_binding", atls_bytes_of(out, 64));
    test_assert_code(atls_ea_request_decode(atls_buf_bytes(&request), &decoded, &err),
                     ATLS_E_DECODE, &err);
    assert_int_equal(err.alert, ATLS_ALERT_DECODE_ERROR);
    atls_buf_clear(&secret);
    atls_buf_clear(&request);
    atls_buf_clear(&context);
    json_decref(root);
}

/* Keys as the vector gives them, whatever their length. */
static struct atls_ea_keys keys_of(const json_t *v)
{
    struct atls_ea_keys keys = {.hash = ATLS_HASH_SHA256};
    struct atls_buf context = hex_of(v, "handshake_context"), key = hex_of(v, "finished_key");

    assert_int_equal(context.len, 32);
    assert_int_equal(key.len, 32);
    memcpy(keys.handshake_context, context.ptr, 32);
    memcpy(keys.finished_key, key.ptr, 32);
    atls_buf_clear(&context);
    atls_buf_clear(&key);
    return keys;
}

/* The MAC of an authenticator over its own bytes and an unframed request: the formula is the same.
 */
static void published_finished_values(void **state)
{
    json_t *root = load("exported-authenticator/fizz-published.json");
    const json_t *vectors = json_object_get(root, "vectors");
    size_t checked = 0;

    (void)state;
    for (size_t i = 0; i < json_array_size(vectors); i++) {
        const json_t *v = json_array_get(vectors, i);
        struct atls_buf request, all, implied = ATLS_BUF_INIT;
        struct atls_digest *t = NULL;
        uint8_t mac[ATLS_HASH_MAX];
        struct atls_ea_keys keys;

        if (!has(v, "authenticator"))
            continue;
        keys = keys_of(v);
        request = hex_of(v, "request_body");
        all = hex_of(v, "authenticator");
        assert_int_equal(atls_ea_transcript(&keys, atls_buf_bytes(&request), &t, NULL), ATLS_OK);
        if (has(v, "empty_certificate_message")) {
            implied = hex_of(v, "empty_certificate_message");
            assert_int_equal(atls_digest_add(t, atls_buf_bytes(&implied), NULL), ATLS_OK);
        } else {
            assert_int_equal(atls_digest_add(t, atls_bytes_of(all.ptr, all.len - 36), NULL),
                             ATLS_OK);
        }
        assert_int_equal(atls_ea_finished_mac(&keys, t, mac, NULL), ATLS_OK);
        test_assert_bytes(atls_bytes_of(all.ptr + all.len - 32, 32), atls_bytes_of(mac, 32));
        atls_digest_free(t);
        atls_buf_clear(&request);
        atls_buf_clear(&all);
        atls_buf_clear(&implied);
        checked++;
    }
    assert_int_equal(checked, 3);
    json_decref(root);
}

static const json_t *vector_named(const json_t *root, const char *name)
{
    const json_t *vectors = json_object_get(root, "vectors");

    for (size_t i = 0; i < json_array_size(vectors); i++)
        if (strcmp(text_of(json_array_get(vectors, i), "name"), name) == 0)
            return json_array_get(vectors, i);
    fail_msg("no vector %s", name);
    return NULL;
}

/* A client that holds a vector's exporter values and has sent this request. */
static struct atls_ea *client_with(const json_t *v, const struct atls_buf *request)
{
    struct test_connection c = test_connection(ATLS_HASH_SHA256, 0);
    struct atls_ea_request decoded;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ea *ea = NULL;

    assert_int_equal(atls_ea_new(ATLS_ROLE_CLIENT, ATLS_HASH_SHA256, test_exporter, &c, &ea, NULL),
                     ATLS_OK);
    ea->peer = keys_of(v);
    test_assert_code(atls_ea_request_decode(atls_buf_bytes(request), &decoded, &err), ATLS_OK,
                     &err);
    assert_int_equal(atls_ea_contexts_add(&ea->contexts, decoded.context, atls_buf_bytes(request),
                                          ATLS_EA_OURS, NULL),
                     ATLS_OK);
    return ea;
}

/* The published request body behind a header. */
static struct atls_buf framed(const json_t *v)
{
    struct atls_buf body = hex_of(v, "request_body"), out = ATLS_BUF_INIT;
    struct atls_writer w = atls_writer_init(1024);
    struct atls_mark m;

    atls_put_u8(&w, ATLS_TLS_CLIENT_CERTIFICATE_REQUEST);
    m = atls_open_vec(&w, 0xffffff);
    atls_put_bytes(&w, atls_buf_bytes(&body));
    atls_close_vec(&w, m);
    assert_int_equal(atls_writer_finish(&w, &out, NULL), ATLS_OK);
    atls_buf_clear(&body);
    return out;
}

static void published_request(void **state)
{
    json_t *root = load("exported-authenticator/fizz-published.json");
    const json_t *v = vector_named(root, "authenticator_request_encode");
    static const enum atls_signature schemes[] = {ATLS_ECDSA_P256_SHA256, ATLS_RSA_PSS_SHA256};
    struct test_connection c = test_connection(ATLS_HASH_SHA256, 0);
    struct atls_buf context = hex_of(v, "certificate_request_context"), body, out = ATLS_BUF_INIT;
    struct atls_ea_request_spec spec = {
        .context = atls_buf_bytes(&context), .schemes = schemes, .scheme_count = 2};
    struct atls_ea_request decoded;
    struct atls_ea *ea = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    assert_int_equal(atls_ea_new(ATLS_ROLE_CLIENT, ATLS_HASH_SHA256, test_exporter, &c, &ea, NULL),
                     ATLS_OK);
    test_assert_code(atls_ea_request(ea, &spec, &out, &err), ATLS_OK, &err);
    assert_hex(v, "request_body", atls_bytes_of(out.ptr + 4, out.len - 4));
    body = hex_of(v, "request_body"); /* without its header it is no request */
    test_assert_code(atls_ea_request_decode(atls_buf_bytes(&body), &decoded, &err), ATLS_E_DECODE,
                     &err);
    atls_buf_clear(&body);
    atls_buf_clear(&out);
    atls_buf_clear(&context);
    atls_ea_free(ea);
    json_decref(root);
}

static void published_authenticators_are_refused(void **state)
{
    static const struct {
        const char *name;
        enum atls_code want;
        enum atls_alert alert;
    } rows[] = {
        {"authenticator_zero_certificates_dummy_signature", ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
        {"empty_authenticator", ATLS_E_VERIFY, ATLS_ALERT_DECRYPT_ERROR},
        {"get_context", ATLS_E_VERIFY, ATLS_ALERT_DECRYPT_ERROR},
    };
    json_t *root = load("exported-authenticator/fizz-published.json");

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const json_t *v = vector_named(root, rows[i].name);
        struct atls_buf request = framed(v), all = hex_of(v, "authenticator");
        struct atls_ea *ea = client_with(v, &request);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_ea_peer peer;

        test_assert_code(
            atls_ea_validate(ea, atls_buf_bytes(&request), atls_buf_bytes(&all), &peer, &err),
            rows[i].want, &err);
        assert_int_equal(err.alert, rows[i].alert);
        atls_ea_free(ea);
        atls_buf_clear(&request);
        atls_buf_clear(&all);
    }
    json_decref(root);
}

/* With the MAC of the framed request put right, the signature over another context string is what
 * is left to refuse it. */
static void published_signature_of_another_protocol(void **state)
{
    json_t *root = load("exported-authenticator/fizz-published.json");
    const json_t *v = vector_named(root, "get_context");
    struct atls_buf request = framed(v), all = hex_of(v, "authenticator");
    struct atls_ea *ea = client_with(v, &request);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_digest *t = NULL;
    struct atls_bytes context, spki;
    struct atls_buf leaf = hex_of(vector_named(root, "leaf_certificate_p256"), "der");
    struct atls_ea_peer peer;
    struct atls_key *key = NULL;
    uint8_t mac[ATLS_HASH_MAX];

    (void)state;
    assert_int_equal(atls_ea_get_context(atls_buf_bytes(&all), &context, NULL), ATLS_OK);
    assert_hex(v, "certificate_request_context", context);
    assert_hex(v, "leaf_certificate", atls_buf_bytes(&leaf));
    assert_int_equal(atls_certificate_spki(atls_buf_bytes(&leaf), &spki, NULL), ATLS_OK);
    assert_int_equal(atls_key_from_spki(spki, &key, NULL), ATLS_OK);
    assert_int_equal(atls_key_type(key), ATLS_KEY_P256);
    atls_key_unref(key);

    assert_int_equal(atls_ea_transcript(&ea->peer, atls_buf_bytes(&request), &t, NULL), ATLS_OK);
    assert_int_equal(atls_digest_add(t, atls_bytes_of(all.ptr, all.len - 36), NULL), ATLS_OK);
    assert_int_equal(atls_ea_finished_mac(&ea->peer, t, mac, NULL), ATLS_OK);
    memcpy(all.ptr + all.len - 32, mac, 32);
    test_assert_code(
        atls_ea_validate(ea, atls_buf_bytes(&request), atls_buf_bytes(&all), &peer, &err),
        ATLS_E_VERIFY, &err);
    assert_int_equal(err.reason, ATLS_REASON_SIGNATURE);
    atls_digest_free(t);
    atls_ea_free(ea);
    atls_buf_clear(&leaf);
    atls_buf_clear(&request);
    atls_buf_clear(&all);
    json_decref(root);
}

/* Keys of half the length: a MAC key that is not the exporter's gives another MAC. */
static void published_short_inputs(void **state)
{
    json_t *root = load("exported-authenticator/fizz-published.json");
    const json_t *v = vector_named(root, "validate_inputs_hex_decoded");
    const json_t *whole = vector_named(root, "empty_authenticator");
    struct atls_buf key = hex_of(v, "finished_key"), body = hex_of(v, "request_body");
    struct atls_buf all = hex_of(whole, "authenticator");
    struct atls_buf context = hex_of(whole, "empty_certificate_message");
    struct atls_ea_keys keys = {.hash = ATLS_HASH_SHA256};
    uint8_t mac[ATLS_HASH_MAX];

    (void)state;
    assert_int_equal(key.len, 16);
    memcpy(keys.finished_key, key.ptr, key.len);
    memcpy(keys.handshake_context, key.ptr, key.len);
    assert_int_equal(atls_ea_empty_mac(&keys, atls_buf_bytes(&body),
                                       atls_bytes_of(context.ptr + 5, 20), mac, NULL),
                     ATLS_OK);
    assert_memory_not_equal(mac, all.ptr + 4, 32);
    keys = keys_of(whole);
    assert_int_equal(atls_ea_empty_mac(&keys, atls_buf_bytes(&body),
                                       atls_bytes_of(context.ptr + 5, 20), mac, NULL),
                     ATLS_OK);
    assert_memory_equal(mac, all.ptr + 4, 32);
    atls_buf_clear(&key);
    atls_buf_clear(&body);
    atls_buf_clear(&all);
    atls_buf_clear(&context);
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(derived_vectors),
        cmocka_unit_test(derived_vectors_with_one_bit_flipped),
        cmocka_unit_test(compatibility_values),
        cmocka_unit_test(published_finished_values),
        cmocka_unit_test(published_request),
        cmocka_unit_test(published_authenticators_are_refused),
        cmocka_unit_test(published_signature_of_another_protocol),
        cmocka_unit_test(published_short_inputs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
