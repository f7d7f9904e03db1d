/* The post-handshake flavour: TLS is over, and the attacker answers a REQUEST. */
#include "scene.h"

#include <string.h>

#include <atls/session.h>

#include "core/reader.h"
#include "core/writer.h"
#include "flavour/post/carrier.h"
#include "flavour/post/hello.h"
#include "wire/tls_msg.h"

/* A victim whose REQUEST is in the attacker's hand. */
struct victim {
    struct line line;
    struct atls_config *config;
    struct atls_buf request;
    uint32_t id;
    struct scene scene;
};

static void take_request(struct victim *v)
{
    atls_buf_clear(&v->request);
    v->request = hand_take_message(&v->line, ATLS_FRAME_REQUEST, &v->id);
    v->scene.request = atls_buf_bytes(&v->request);
}

/* His HELLO: he attests by a technology, in every profile. */
static void say_hello(struct line *line, const char *technology, bool requires_too)
{
    struct atls_writer w = atls_writer_init(4096), type = atls_writer_init(64),
                       tpm = atls_writer_init(64), profiles = atls_writer_init(64);
    struct atls_hello hello = {.flags = ATLS_HELLO_ATTESTS, .frame_max = ATLS_FRAME_BODY_MAX};

    atls_name_put(&type, technology == NULL ? "tpm" : technology);
    atls_name_put(&tpm, "tpm");
    atls_name_put(&profiles, "kat-bundle");
    atls_name_put(&profiles, "bare");
    hello.names[ATLS_NAMES_EVIDENCE_OFFERED] = atls_writer_bytes(&type);
    if (requires_too) {
        hello.flags |= ATLS_HELLO_REQUIRES;
        hello.names[ATLS_NAMES_EVIDENCE_ACCEPTED] = atls_writer_bytes(&tpm);
    }
    hello.names[ATLS_NAMES_PROFILES] = atls_writer_bytes(&profiles);
    atls_hello_put(&w, &hello);
    assert_int_equal(w.failed, ATLS_OK);
    hand_send(line, atls_writer_bytes(&w));
    atls_writer_clear(&type);
    atls_writer_clear(&tpm);
    atls_writer_clear(&profiles);
    atls_writer_clear(&w);
}

static void victim_open(struct victim *v, const struct bench *b, const struct wish *wish,
                        const struct show *show)
{
    memset(v, 0, sizeof *v);
    v->config = scene_config(b, wish);
    line_open(&v->line, b->lab, b->victim, v->config, wish->name);
    v->scene = (struct scene){
        .bench = b, .speaks = b->column, .exporter = v->line.secret, .hash = v->line.secret.hash};
    if (b->victim == ATLS_ROLE_CLIENT)
        take_request(v);
    say_hello(&v->line, show->technology, wish->own != NULL);
    if (b->victim == ATLS_ROLE_SERVER && v->line.code == ATLS_OK)
        take_request(v);
}

static void victim_close(struct victim *v)
{
    line_close(&v->line);
    atls_config_unref(v->config);
    atls_buf_clear(&v->request);
}

static struct outcome outcome_of(const struct line *line)
{
    struct atls_peer peer;

    atls_session_peer(line->session, &peer);
    if (line->code != ATLS_OK) {
        assert_false(peer.attested || atls_session_is_open(line->session));
        return scene_refused(&line->err);
    }
    assert_true(peer.attested != peer.unattested && peer.flavour == ATLS_FLAVOUR_POST);
    assert_true((peer.result == NULL) == peer.unattested);
    assert_true(atls_session_is_open(line->session) || !peer.unattested);
    return (struct outcome){.accepted = peer.attested, .unattested = peer.unattested};
}

/* The end entity's certificate: the machine's own, one that has expired, or one that its own key
 * signed. */
static struct atls_buf certificate_of(const struct bench *b, const struct show *show)
{
    const char *const names[] = {machine_name(b->lab, show->named), NULL};
    struct test_certificate spec = {.common_name = names[0],
                                    .dns_names = names,
                                    .key = show->named->aik.private_key,
                                    .not_after_s = show->expired ? TEST_NOT_BEFORE_S + 86400 : 0};
    struct atls_buf out = ATLS_BUF_INIT;

    if (show->expired || show->behind != NULL)
        return test_issue(show->behind == NULL ? &b->lab->ca : NULL, &spec).certificate;
    test_assert_code(
        atls_buf_copy(&out, atls_buf_bytes(&show->named->certificate.certificate), NULL), ATLS_OK,
        NULL);
    return out;
}

static struct atls_buf twice(struct atls_bytes extension)
{
    struct atls_writer w = atls_writer_init(1 << 20);
    struct atls_buf out = ATLS_BUF_INIT;

    atls_put_bytes(&w, extension);
    atls_put_bytes(&w, extension);
    test_assert_code(atls_writer_finish(&w, &out, NULL), ATLS_OK, NULL);
    return out;
}

/* Certificate, CertificateVerify, Finished, with everything where the manner says. */
static struct atls_buf authenticator(const struct victim *v, const struct show *show)
{
    const struct bench *b = v->scene.bench;
    struct atls_buf cmw = scene_cmw(&v->scene, show), extension, block = ATLS_BUF_INIT,
                    certificate = certificate_of(b, show), message, out;
    struct test_entry entries[2] = {{.certificate = atls_buf_bytes(&certificate)},
                                    {.certificate = atls_buf_bytes(&b->lab->ca.certificate)}};
    struct test_forgery forgery = {.connection = &v->line.secret,
                                   .sender = b->victim == ATLS_ROLE_CLIENT ? ATLS_ROLE_SERVER
                                                                           : ATLS_ROLE_CLIENT,
                                   .request = v->scene.request,
                                   .key = show->signs->aik.private_key,
                                   .scheme = ATLS_ECDSA_P256_SHA256};
    const bool later = show->manner == MANNER_LATER_ENTRY;
    struct atls_bytes context;

    if (show->behind != NULL)
        entries[1].certificate = atls_buf_bytes(&show->behind->certificate.certificate);

    extension = test_cmw_extension(atls_buf_bytes(&cmw));
    if (show->manner == MANNER_TWICE)
        block = twice(atls_buf_bytes(&extension));
    if (show->manner != MANNER_WITHOUT)
        entries[later ? 1 : 0].extensions =
            block.len != 0 ? atls_buf_bytes(&block) : atls_buf_bytes(&extension);
    test_assert_code(atls_ea_get_context(v->scene.request, &context, NULL), ATLS_OK, NULL);
    message = test_certificate_message(context, entries, later || show->behind != NULL ? 2 : 1);
    forgery.certificate = atls_buf_bytes(&message);
    out = test_forge(&forgery);
    atls_buf_clear(&message);
    atls_buf_clear(&extension);
    atls_buf_clear(&block);
    atls_buf_clear(&certificate);
    atls_buf_clear(&cmw);
    return out;
}

static void answer(struct victim *v, const struct show *show)
{
    struct atls_buf message = authenticator(v, show);

    hand_authenticator(&v->line, v->id, atls_buf_bytes(&message));
    atls_buf_clear(&message);
}

/* DECLINE with an empty authenticator, whose MAC is of this connection or of another. */
static void decline(struct victim *v, const struct show *show)
{
    const enum atls_role role =
        v->scene.bench->victim == ATLS_ROLE_CLIENT ? ATLS_ROLE_SERVER : ATLS_ROLE_CLIENT;
    struct test_connection connection = v->line.secret;
    struct atls_status_frame frame = {.id = v->id, .code = ATLS_CARRIER_UNAVAILABLE};
    struct atls_writer w = atls_writer_init(4096);
    struct atls_buf empty = ATLS_BUF_INIT;
    struct atls_ea_request request;
    struct atls_ea *ea = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    if (show->declines_elsewhere)
        connection.secret[0] ^= 1;
    test_assert_code(atls_ea_new(role, connection.hash, test_exporter, &connection, &ea, &err),
                     ATLS_OK, &err);
    test_assert_code(atls_ea_accept_request(ea, v->scene.request, &request, &err), ATLS_OK, &err);
    test_assert_code(atls_ea_decline(ea, v->scene.request, &empty, &err), ATLS_OK, &err);
    frame.authenticator = atls_buf_bytes(&empty);
    atls_decline_put(&w, &frame);
    assert_int_equal(w.failed, ATLS_OK);
    hand_send(&v->line, atls_writer_bytes(&w));
    atls_writer_clear(&w);
    atls_buf_clear(&empty);
    atls_ea_free(ea);
}

struct outcome post_play(const struct bench *b, const struct wish *wish, const struct show *show)
{
    struct victim v;
    struct outcome out;

    victim_open(&v, b, wish, show);
    if (v.line.code == ATLS_OK && show->manner == MANNER_DECLINES)
        decline(&v, show);
    else if (v.line.code == ATLS_OK)
        answer(&v, show);
    out = outcome_of(&v.line);
    victim_close(&v);
    return out;
}

/* The CMW of an authenticator. */
static struct atls_buf cmw_of(struct atls_bytes authenticator)
{
    struct atls_reader r = atls_reader_init(authenticator), extension;
    struct atls_tls_certificate certificate;
    struct atls_bytes body = {NULL, 0}, data, cmw = {NULL, 0};
    struct atls_buf out = ATLS_BUF_INIT;
    uint8_t type;

    assert_true(atls_get_u8(&r, &type) && atls_get_vec(&r, 0, 0xffffff, &body));
    test_assert_code(atls_tls_certificate_decode(body, &certificate, NULL), ATLS_OK, NULL);
    assert_true(
        atls_tls_find_extension(certificate.entries[0].extensions, ATLS_EA_CMW_ATTESTATION, &data));
    extension = atls_reader_init(data);
    assert_true(atls_get_vec(&extension, 1, 0xffff, &cmw) && atls_reader_done(&extension));
    test_assert_code(atls_buf_copy(&out, cmw, NULL), ATLS_OK, NULL);
    return out;
}

struct atls_buf post_oracle(const struct scene *s, struct machine *m)
{
    const enum atls_role role =
        s->bench->victim == ATLS_ROLE_CLIENT ? ATLS_ROLE_SERVER : ATLS_ROLE_CLIENT;
    struct atls_attester *attester = machine_attester(m);
    struct atls_config_options options;
    struct atls_config *config = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf answer, out;
    struct line line;

    atls_config_options_init(&options);
    options.attester = attester;
    test_assert_code(atls_config_new(&options, &config, &err), ATLS_OK, &err);
    line_open(&line, s->bench->lab, role, config, "any.example");
    hand_hello(&line, ATLS_HELLO_REQUIRES);
    hand_request(&line, 1, s->request);
    answer = hand_take_message(&line, ATLS_FRAME_AUTHENTICATOR, NULL);
    out = cmw_of(atls_buf_bytes(&answer));
    atls_buf_clear(&answer);
    line_close(&line);
    atls_config_unref(config);
    atls_attester_unref(attester);
    return out;
}

struct outcome post_state_changes(const struct bench *b, const struct wish *wish,
                                  const struct machine *before, const struct machine *after)
{
    struct show show = {.named = before, .signs = before, .evidence = before};
    struct victim v;
    struct outcome out;
    struct atls_err err = ATLS_ERR_INIT;

    victim_open(&v, b, wish, &show);
    answer(&v, &show);
    assert_accepted("before", &v.line);
    test_assert_code(atls_session_reattest(v.line.session, &err), ATLS_OK, &err);
    hand_wait(&v.line);
    take_request(&v);
    show.evidence = after;
    answer(&v, &show);
    out = outcome_of(&v.line);
    victim_close(&v);
    return out;
}

static struct atls_buf as_before(const struct scene *s, const struct show *show)
{
    struct atls_buf out = ATLS_BUF_INIT;

    (void)s;
    test_assert_code(atls_buf_copy(&out, atls_buf_bytes(show->arg), NULL), ATLS_OK, NULL);
    return out;
}

struct outcome scene_answer_again(const struct bench *b, const struct wish *wish,
                                  const struct machine *m)
{
    struct atls_buf first = ATLS_BUF_INIT;
    struct show show = {.named = m, .signs = m, .evidence = m, .record = &first};
    struct victim v;
    struct outcome out;
    struct atls_err err = ATLS_ERR_INIT;

    victim_open(&v, b, wish, &show);
    answer(&v, &show);
    assert_accepted("the first time", &v.line);
    test_assert_code(atls_session_reattest(v.line.session, &err), ATLS_OK, &err);
    hand_wait(&v.line);
    take_request(&v);
    show.record = NULL;
    show.cmw = as_before;
    show.arg = &first;
    answer(&v, &show);
    out = outcome_of(&v.line);
    victim_close(&v);
    atls_buf_clear(&first);
    return out;
}
