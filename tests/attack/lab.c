#include "lab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <atls/corim.h>
#include <atls/local.h>
#include <atls/store.h>

#include "bind/binder.h"
#include "core/err.h"
#include "core/log.h"
#include "core/reader.h"
#include "core/writer.h"
#include "flavour/post/carrier.h"
#include "flavour/post/hello.h"

#define LIMIT (1 << 20)

static void must(enum atls_code code, const struct atls_err *err)
{
    test_assert_code(code, ATLS_OK, err);
}

static struct atls_buf finish(struct atls_writer *w)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf out = ATLS_BUF_INIT;

    must(atls_writer_finish(w, &out, &err), &err);
    return out;
}

/* ---- machines ---- */

struct atls_bytes machine_aik(const struct machine *m)
{
    return atls_key_spki(atls_private_key_public(m->aik.private_key));
}

static void machine_init(struct machine *m, const struct test_identity *ca, const char *name)
{
    const char *const names[] = {name, NULL};
    struct test_certificate spec = {.common_name = name, .dns_names = names};

    memset(m, 0, sizeof *m);
    m->ak = test_tpm_key_new(ATLS_KEY_P256, TEST_TPM_AK_ATTRIBUTES);
    m->aik = test_tpm_key_new(ATLS_KEY_P256, TEST_TPM_AIK_ATTRIBUTES);
    test_tpm_ueid(&m->ak, m->ueid);
    spec.spki = machine_aik(m);
    m->certificate = test_issue(ca, &spec);
    m->reset_count = 3;
}

static void machine_clear(struct machine *m)
{
    test_tpm_key_clear(&m->ak);
    test_tpm_key_clear(&m->aik);
    test_identity_clear(&m->certificate);
}

struct atls_buf machine_evidence_with(const struct machine *m, struct atls_bytes binder,
                                      void (*change)(struct test_tpm_evidence *e, void *arg),
                                      void *arg)
{
    struct test_tpm_evidence e;
    struct atls_buf out;

    test_tpm_evidence_init(&e, binder);
    test_tpm_evidence_clear(&e); /* its own keys: the machine has others */
    e.ak = m->ak;
    e.aik = m->aik;
    e.certify.reset_count = e.quote.reset_count = m->reset_count;
    test_tpm_evidence_set(&e, 0, 7, atls_bytes_of(m->pcr7, sizeof m->pcr7));
    if (change != NULL)
        change(&e, arg);
    out = test_tpm_evidence_encode(&e);
    return out;
}

struct atls_buf machine_evidence(const struct machine *m, struct atls_bytes binder)
{
    return machine_evidence_with(m, binder, NULL, NULL);
}

/* The public way for a third party's attester. Backends get text only; one opens at a time. */
static struct machine *opening;

static enum atls_code machine_open(const char *rest, const struct atls_attester_options *options,
                                   void **out_self, struct atls_err *err)
{
    (void)rest;
    (void)options;
    (void)err;
    *out_self = opening;
    return ATLS_OK;
}

static void machine_close(void *self)
{
    (void)self;
}

static struct atls_bytes machine_spki(void *self)
{
    return machine_aik(self);
}

static enum atls_signature machine_scheme(void *self)
{
    (void)self;
    return ATLS_ECDSA_P256_SHA256;
}

static enum atls_code machine_sign(void *self, enum atls_signature scheme, struct atls_bytes tbs,
                                   struct atls_buf *out, struct atls_err *err)
{
    const struct machine *m = self;

    return atls_private_key_sign(m->aik.private_key, scheme, tbs, out, err);
}

static enum atls_code machine_attest(void *self, const struct atls_challenge *challenge,
                                     struct atls_buf *out_cmw, struct atls_err *err)
{
    (void)err;
    *out_cmw = machine_evidence(self, challenge->binder);
    return ATLS_OK;
}

static const struct atls_attester_ops machine_ops = {
    .scheme = "machine",
    .evidence_type = "tpm",
    .open = machine_open,
    .close = machine_close,
    .aik_spki = machine_spki,
    .aik_scheme = machine_scheme,
    .aik_sign = machine_sign,
    .evidence = machine_attest,
};

struct atls_attester *machine_attester(struct machine *m)
{
    static const struct atls_attester_ops *const backends[] = {&machine_ops, NULL};
    char path[] = "/tmp/atls-attack-cert-XXXXXX";
    struct atls_attester_options options;
    struct atls_attester *out = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf pem = ATLS_BUF_INIT;
    int fd = mkstemp(path);

    must(atls_pem_encode("CERTIFICATE", atls_buf_bytes(&m->certificate.certificate), &pem, &err),
         &err);
    assert_true(fd >= 0 && write(fd, pem.ptr, pem.len) == (ssize_t)pem.len);
    close(fd);
    atls_buf_clear(&pem);
    atls_attester_options_init(&options);
    options.certificate = path;
    opening = m;
    must(atls_attester_open("machine:", backends, &options, &out, &err), &err);
    unlink(path);
    return out;
}

/* ---- the lab ---- */

static void put_hex(char *out, struct atls_bytes bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        sprintf(out + 2 * i, "%02x", bytes.ptr[i]);
}

/* Both machines are enrolled, and run what the manifest says: PCR 0 to 7. */
static void fill_store(struct lab *lab)
{
    const uint8_t binder[32] = {0};
    struct test_tpm_evidence e;
    struct atls_store *store = NULL;
    struct atls_store_import_report report;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf corim = ATLS_BUF_INIT;
    char json[2048], hex[65];
    int used;

    must(atls_store_open(lab->store, ATLS_STORE_CREATE, &store, &err), &err);
    for (int i = 0; i < 2; i++) {
        const struct machine *m = i == 0 ? &lab->m1 : &lab->m2;
        struct atls_store_attest_key key = {.class_uuid = LAB_CLASS, .technology = "tpm"};

        key.instance = atls_bytes_of(m->ueid, sizeof m->ueid);
        key.spki = atls_key_spki(atls_private_key_public(m->ak.private_key));
        must(atls_store_add_attest_key(store, &key, &err), &err);
    }
    test_tpm_evidence_init(&e, atls_bytes_of(binder, sizeof binder));
    used = snprintf(json, sizeof json,
                    "{\"id\":\"attack-lab\",\"tag-id\":\"attack-lab\",\"class\":\"" LAB_CLASS
                    "\",\"reference-values\":{\"sha256\":{");
    for (unsigned int pcr = 0; pcr < 8; pcr++) {
        struct atls_bytes value = e.banks[0].values[pcr];

        if (pcr == 7)
            value = atls_bytes_of(lab->m1.pcr7, sizeof lab->m1.pcr7);
        put_hex(hex, value);
        used += snprintf(json + used, sizeof json - (size_t)used, "%s\"%u\":\"%s\"",
                         pcr == 0 ? "" : ",", pcr, hex);
    }
    test_tpm_evidence_clear(&e);
    used += snprintf(json + used, sizeof json - (size_t)used, "}}}");
    must(atls_corim_create(atls_bytes_of(json, (size_t)used), &corim, &err), &err);
    must(atls_store_import_corim(store, atls_buf_bytes(&corim), atls_bytes_of(NULL, 0), TEST_TIME_S,
                                 &report, &err),
         &err);
    atls_buf_clear(&corim);
    atls_store_close(store);
}

/* The exporter secret of a connection, told to the lab as a key log would be. */
static struct test_connection *secret_wanted;

static void keylog(const SSL *ssl, const char *line)
{
    const char *hex = strrchr(line, ' ');
    struct atls_buf secret;

    if (secret_wanted == NULL || strncmp(line, "EXPORTER_SECRET ", 16) != 0)
        return;
    secret = test_unhex(hex + 1);
    assert_true(secret.len <= sizeof secret_wanted->secret);
    memcpy(secret_wanted->secret, secret.ptr, secret.len);
    secret_wanted->hash = secret.len == 48 ? ATLS_HASH_SHA384 : ATLS_HASH_SHA256;
    atls_buf_clear(&secret);
    (void)ssl;
}

static void tls_contexts(struct lab *lab)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct test_identity tls = test_leaf(&lab->ca, "any.example", ATLS_KEY_P256);
    struct atls_buf pem = ATLS_BUF_INIT;
    BIO *bio;
    X509 *cert;
    EVP_PKEY *key;
    const unsigned char *der = tls.certificate.ptr;

    lab->client_ctx = SSL_CTX_new(TLS_client_method());
    lab->server_ctx = SSL_CTX_new(TLS_server_method());
    must(atls_openssl_prepare(lab->client_ctx, &err), &err);
    must(atls_openssl_prepare(lab->server_ctx, &err), &err);
    cert = d2i_X509(NULL, &der, (long)tls.certificate.len);
    must(atls_private_key_to_pem(tls.key, &pem, &err), &err);
    bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    atls_buf_clear(&pem);
    assert_true(SSL_CTX_use_certificate(lab->server_ctx, cert) == 1 &&
                SSL_CTX_use_PrivateKey(lab->server_ctx, key) == 1);
    /* TLS authenticates the server, for clients with whom attestation is optional. */
    SSL_CTX_set_verify(lab->client_ctx, SSL_VERIFY_PEER, NULL);
    assert_int_equal(
        X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(lab->client_ctx),
                                    X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_NO_CHECK_TIME),
        1);
    assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(lab->client_ctx), cert), 1);
    X509_free(cert);
    EVP_PKEY_free(key);
    test_identity_clear(&tls);
    SSL_CTX_set_keylog_callback(lab->client_ctx, keylog);
}

void lab_open(struct lab *lab)
{
    static const struct atls_verifier_ops *const backends[] = {&atls_local_verifier, NULL};
    struct atls_verifier_options options;
    struct atls_err err = ATLS_ERR_INIT;
    char uri[128];

    memset(lab, 0, sizeof *lab);
    strcpy(lab->folder, "/tmp/atls-attack-XXXXXX");
    assert_non_null(mkdtemp(lab->folder));
    snprintf(lab->store, sizeof lab->store, "%s/store.db", lab->folder);
    lab->ca = test_ca("attack lab");
    machine_init(&lab->m1, &lab->ca, "m1.example");
    machine_init(&lab->m2, &lab->ca, "m2.example");
    fill_store(lab);
    tls_contexts(lab);
    atls_verifier_options_init(&options);
    snprintf(uri, sizeof uri, "local:%s", lab->store);
    must(atls_verifier_open(uri, backends, &options, &lab->verifier, &err), &err);
    must(atls_policy_default(&lab->policy, &err), &err);
}

void lab_close(struct lab *lab)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char path[128];

    atls_verifier_unref(lab->verifier);
    atls_policy_unref(lab->policy);
    machine_clear(&lab->m1);
    machine_clear(&lab->m2);
    test_identity_clear(&lab->ca);
    SSL_CTX_free(lab->client_ctx);
    SSL_CTX_free(lab->server_ctx);
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        snprintf(path, sizeof path, "%s%s", lab->store, suffixes[i]);
        unlink(path);
    }
    rmdir(lab->folder);
}

struct atls_config *relying_party(struct lab *lab, enum atls_identity identity,
                                  struct atls_attester *own)
{
    struct atls_config_options options;
    struct atls_config *out = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf pem = ATLS_BUF_INIT;

    must(atls_pem_encode("CERTIFICATE", atls_buf_bytes(&lab->ca.certificate), &pem, &err), &err);
    atls_config_options_init(&options);
    options.attester = own;
    options.require_peer = true;
    options.verifier = lab->verifier;
    options.policy = lab->policy;
    options.identity = identity;
    if (identity == ATLS_IDENTITY_PKIX)
        options.anchors = atls_buf_bytes(&pem);
    must(atls_config_new(&options, &out, &err), &err);
    atls_buf_clear(&pem);
    return out;
}

/* ---- a live connection ---- */

static void handshake(struct line *line, struct lab *lab, enum atls_role role)
{
    SSL *client = SSL_new(lab->client_ctx), *server = SSL_new(lab->server_ctx);
    BIO *left, *right;
    bool done = false;

    assert_int_equal(BIO_new_bio_pair(&left, 1 << 20, &right, 1 << 20), 1);
    SSL_set_bio(client, left, left);
    SSL_set_bio(server, right, right);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    secret_wanted = &line->secret;
    for (int i = 0; i < 8 && !done; i++) {
        int c = SSL_do_handshake(client), s = SSL_do_handshake(server);

        done = c == 1 && s == 1;
    }
    secret_wanted = NULL;
    assert_true(done);
    line->session_ssl = role == ATLS_ROLE_CLIENT ? client : server;
    line->hand_ssl = role == ATLS_ROLE_CLIENT ? server : client;
}

static void note(struct line *line, enum atls_code code, const struct atls_err *err)
{
    if (code == ATLS_OK || line->code != ATLS_OK)
        return;
    line->code = code;
    line->err = *err;
}

/* The session reads, works and writes until nothing moves. */
static void pump(struct line *line)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_session *s = line->session;
    unsigned char buf[16384];
    struct atls_bytes out;
    struct atls_job *job;
    size_t len, used;

    while (SSL_read_ex(line->session_ssl, buf, sizeof buf, &len) == 1) {
        for (size_t at = 0; at < len && atls_session_next(s) != ATLS_NEXT_CLOSED; at += used) {
            used = len - at;
            note(line, atls_session_input(s, atls_bytes_of(buf + at, len - at), &used, &err), &err);
            if (line->code != ATLS_OK)
                break;
            atls_session_read_done(s, atls_session_read(s).len);
        }
    }
    while ((job = atls_session_job(s)) != NULL) {
        atls_job_run(job);
        note(line, atls_session_complete(s, job, &err), &err);
    }
    while ((out = atls_session_output(s)).len != 0) {
        assert_int_equal(SSL_write_ex(line->session_ssl, out.ptr, out.len, &len), 1);
        atls_session_output_done(s, len);
    }
}

/* Everything that arrived at the hand's end. */
static void collect(struct line *line)
{
    struct atls_writer w = atls_writer_init(LIMIT);
    unsigned char buf[16384];
    size_t len;

    atls_put_bytes(&w, atls_buf_bytes(&line->in));
    while (SSL_read_ex(line->hand_ssl, buf, sizeof buf, &len) == 1)
        atls_put_bytes(&w, atls_bytes_of(buf, len));
    atls_buf_clear(&line->in);
    line->in = finish(&w);
}

void line_open(struct line *line, struct lab *lab, enum atls_role role, struct atls_config *config,
               const char *peer_name)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_tls tls;

    memset(line, 0, sizeof *line);
    handshake(line, lab, role);
    must(atls_openssl_tls(line->session_ssl, &tls, &line->storage, &err), &err);
    assert_int_equal(tls.hash, line->secret.hash);
    must(atls_session_new(config, &tls, peer_name, &line->session, &err), &err);
    pump(line);
}

void line_close(struct line *line)
{
    atls_session_free(line->session);
    atls_buf_clear(&line->storage);
    atls_buf_clear(&line->in);
    SSL_free(line->session_ssl);
    SSL_free(line->hand_ssl);
}

void hand_send(struct line *line, struct atls_bytes frames)
{
    size_t len;

    assert_int_equal(SSL_write_ex(line->hand_ssl, frames.ptr, frames.len, &len), 1);
    assert_int_equal(len, frames.len);
    pump(line);
}

void hand_wait(struct line *line)
{
    pump(line);
}

static void send_written(struct line *line, struct atls_writer *w)
{
    struct atls_buf frames = finish(w);

    hand_send(line, atls_buf_bytes(&frames));
    atls_buf_clear(&frames);
}

void hand_hello(struct line *line, uint8_t flags)
{
    struct atls_writer w = atls_writer_init(LIMIT), tpm = atls_writer_init(64),
                       profile = atls_writer_init(64);
    struct atls_hello hello = {.flags = flags, .frame_max = ATLS_FRAME_BODY_MAX};

    atls_name_put(&tpm, "tpm");
    atls_name_put(&profile, "kat-bundle");
    if ((flags & ATLS_HELLO_ATTESTS) != 0)
        hello.names[ATLS_NAMES_EVIDENCE_OFFERED] = atls_writer_bytes(&tpm);
    if ((flags & ATLS_HELLO_REQUIRES) != 0)
        hello.names[ATLS_NAMES_EVIDENCE_ACCEPTED] = atls_writer_bytes(&tpm);
    hello.names[ATLS_NAMES_PROFILES] = atls_writer_bytes(&profile);
    atls_hello_put(&w, &hello);
    atls_writer_clear(&tpm);
    atls_writer_clear(&profile);
    send_written(line, &w);
}

void hand_authenticator(struct line *line, uint32_t id, struct atls_bytes authenticator)
{
    struct atls_writer w = atls_writer_init(LIMIT);

    atls_message_frame_put(&w, ATLS_FRAME_AUTHENTICATOR, id, authenticator);
    send_written(line, &w);
}

void hand_request(struct line *line, uint32_t id, struct atls_bytes request)
{
    struct atls_writer w = atls_writer_init(LIMIT);

    atls_message_frame_put(&w, ATLS_FRAME_REQUEST, id, request);
    send_written(line, &w);
}

void hand_verdict(struct line *line, uint32_t id, uint16_t code)
{
    struct atls_writer w = atls_writer_init(LIMIT);
    const struct atls_status_frame frame = {.id = id, .code = code};

    atls_verdict_put(&w, &frame);
    send_written(line, &w);
}

bool hand_take(struct line *line, uint8_t type, struct atls_buf *out_body)
{
    struct atls_reader r;
    struct atls_buf rest = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    bool found = false;

    collect(line);
    r = atls_reader_init(atls_buf_bytes(&line->in));
    while (!found && !atls_reader_done(&r)) {
        struct atls_bytes body = {NULL, 0};
        uint8_t got = 0;

        assert_true(atls_get_u8(&r, &got) && atls_get_vec(&r, 0, 0xffffff, &body));
        found = got == type;
        if (found)
            must(atls_buf_copy(out_body, body, &err), &err);
    }
    must(atls_buf_copy(&rest, atls_bytes_of(line->in.ptr + r.pos, line->in.len - r.pos), &err),
         &err);
    atls_buf_clear(&line->in);
    line->in = rest;
    return found;
}

struct atls_buf hand_take_message(struct line *line, uint8_t type, uint32_t *out_id)
{
    struct atls_message_frame frame;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf body = ATLS_BUF_INIT, out = ATLS_BUF_INIT;

    if (!hand_take(line, type, &body))
        fail_msg("no frame of type %u came", type);
    must(atls_message_frame_decode(atls_buf_bytes(&body), &frame, &err), &err);
    must(atls_buf_copy(&out, frame.message, &err), &err);
    if (out_id != NULL)
        *out_id = frame.id;
    atls_buf_clear(&body);
    return out;
}

/* ---- attempts ---- */

struct atls_buf attempt_make(const struct attempt *a)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_bytes context;
    struct atls_buf extension = ATLS_BUF_INIT, certificate, out;
    struct test_entry entry = {.certificate = a->certificate};
    struct test_forgery forgery = {.connection = a->connection,
                                   .sender = a->sender,
                                   .request = a->request,
                                   .key = a->key,
                                   .scheme = ATLS_ECDSA_P256_SHA256};

    must(atls_ea_get_context(a->request, &context, &err), &err);
    if (a->cmw.len != 0)
        extension = test_cmw_extension(a->cmw);
    entry.extensions = atls_buf_bytes(&extension);
    certificate = test_certificate_message(context, &entry, 1);
    forgery.certificate = atls_buf_bytes(&certificate);
    out = test_forge(&forgery);
    atls_buf_clear(&certificate);
    atls_buf_clear(&extension);
    return out;
}

struct atls_buf binder_of(const struct test_connection *c, const char *label, enum atls_hash hash,
                          struct atls_bytes request, struct atls_bytes spki)
{
    struct test_connection connection = *c;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_binder binder;
    struct atls_bytes context;
    struct atls_buf out = ATLS_BUF_INIT;
    uint8_t exported[32];

    must(atls_ea_get_context(request, &context, &err), &err);
    must(test_exporter(&connection, label, context, exported, sizeof exported, &err), &err);
    must(atls_binder_make(hash, spki, exported, &binder, &err), &err);
    must(atls_buf_copy(&out, atls_binder_bytes(&binder), &err), &err);
    return out;
}

void assert_accepted(const char *row, const struct line *line)
{
    struct atls_peer peer;

    if (line->code != ATLS_OK)
        fail_msg("%s: refused: %s: %s", row, atls_reason_name(line->err.reason), line->err.message);
    atls_session_peer(line->session, &peer);
    if (!peer.attested)
        fail_msg("%s: not attested, want accepted", row);
}

void assert_refused(const char *row, const struct line *line, enum atls_code code,
                    enum atls_reason reason)
{
    struct atls_peer peer;

    if (line->code != code || line->err.reason != reason)
        fail_msg("%s: got %s (%s: %s), want %s (%s)", row, atls_code_name(line->code),
                 atls_reason_name(line->err.reason), line->err.message, atls_code_name(code),
                 atls_reason_name(reason));
    atls_session_peer(line->session, &peer);
    if (peer.attested || atls_session_is_open(line->session))
        fail_msg("%s: refused, but the gate is open", row);
}
