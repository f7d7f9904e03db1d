/* The attack table of docs/threat-model.md, row by row, over live TLS connections.
 *
 * Each test builds the attempt that a stronger and stronger attacker could make and shows which
 * check refuses it; where it helps, the same attempt without its one flaw is shown to be accepted,
 * so that the refusal cannot be for another cause. */
#include "lab.h"

#include <stdio.h>
#include <string.h>

#include "bind/binder.h"
#include "core/reader.h"
#include "core/writer.h"
#include "flavour/post/carrier.h"
#include "flavour/post/hello.h"

static struct lab lab;

static int open_lab(void **state)
{
    (void)state;
    lab_open(&lab);
    return 0;
}

static int close_lab(void **state)
{
    (void)state;
    lab_close(&lab);
    return 0;
}

/* A Relying Party that is a client, its REQUEST in the attacker's hand. */
struct victim {
    struct line line;
    struct atls_config *config;
    struct atls_buf request;
    uint32_t id;
};

static void victim_open(struct victim *v, enum atls_identity identity, const char *name)
{
    v->config = relying_party(&lab, identity, NULL);
    line_open(&v->line, &lab, ATLS_ROLE_CLIENT, v->config, name);
    v->request = hand_take_message(&v->line, ATLS_FRAME_REQUEST, &v->id);
    hand_hello(&v->line, ATLS_HELLO_ATTESTS);
    assert_int_equal(v->line.code, ATLS_OK);
}

static void victim_close(struct victim *v)
{
    line_close(&v->line);
    atls_config_unref(v->config);
    atls_buf_clear(&v->request);
}

/* The attacker's second connection, to a genuine machine that answers whoever asks. */
struct oracle {
    struct line line;
    struct atls_config *config;
    struct atls_attester *attester;
};

static void oracle_open(struct oracle *o, struct machine *m)
{
    struct atls_config_options options;
    struct atls_err err = ATLS_ERR_INIT;

    o->attester = machine_attester(m);
    atls_config_options_init(&options);
    options.attester = o->attester;
    test_assert_code(atls_config_new(&options, &o->config, &err), ATLS_OK, &err);
    line_open(&o->line, &lab, ATLS_ROLE_SERVER, o->config, NULL);
    hand_hello(&o->line, ATLS_HELLO_REQUIRES);
}

/* What the genuine machine answers to this request on its connection. */
static struct atls_buf oracle_answer(struct oracle *o, struct atls_bytes request)
{
    hand_request(&o->line, 1, request);
    return hand_take_message(&o->line, ATLS_FRAME_AUTHENTICATOR, NULL);
}

static void oracle_close(struct oracle *o)
{
    line_close(&o->line);
    atls_config_unref(o->config);
    atls_attester_unref(o->attester);
}

/* Certificate || CertificateVerify || Finished, apart. */
struct parts {
    struct atls_bytes certificate, verify, finished;
};

static struct parts split(struct atls_bytes authenticator)
{
    struct atls_reader r = atls_reader_init(authenticator);
    struct atls_bytes out[3], body;
    uint8_t type;

    for (size_t i = 0; i < 3; i++) {
        size_t start = r.pos;

        assert_true(atls_get_u8(&r, &type) && atls_get_vec(&r, 0, 0xffffff, &body));
        out[i] = atls_bytes_of(authenticator.ptr + start, r.pos - start);
    }
    return (struct parts){out[0], out[1], out[2]};
}

static struct atls_buf join(struct parts p)
{
    struct atls_writer w = atls_writer_init(1 << 20);
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    atls_put_bytes(&w, p.certificate);
    atls_put_bytes(&w, p.verify);
    atls_put_bytes(&w, p.finished);
    test_assert_code(atls_writer_finish(&w, &out, &err), ATLS_OK, &err);
    return out;
}

/* Evidence of m for this request on this connection. */
static struct atls_buf evidence_for(const struct machine *m, const struct test_connection *c,
                                    struct atls_bytes request)
{
    struct atls_buf binder = binder_of(c, ATLS_BINDER_LABEL, c->hash, request, machine_aik(m));
    struct atls_buf out = machine_evidence(m, atls_buf_bytes(&binder));

    atls_buf_clear(&binder);
    return out;
}

/* An authenticator with everything of m's right for this connection, and this cmw_data. */
static struct atls_buf authenticator_with(const struct machine *m, const struct test_connection *c,
                                          struct atls_bytes request, struct atls_bytes cmw)
{
    const struct attempt a = {
        .connection = c,
        .sender = ATLS_ROLE_SERVER,
        .request = request,
        .certificate = atls_buf_bytes(&m->certificate.certificate),
        .key = m->aik.private_key,
        .cmw = cmw,
    };

    return attempt_make(&a);
}

static struct atls_buf honest(const struct machine *m, const struct test_connection *c,
                              struct atls_bytes request)
{
    struct atls_buf cmw = evidence_for(m, c, request);
    struct atls_buf out = authenticator_with(m, c, request, atls_buf_bytes(&cmw));

    atls_buf_clear(&cmw);
    return out;
}

/* Gives the victim an authenticator and frees it. */
static void answer(struct victim *v, struct atls_buf authenticator)
{
    hand_authenticator(&v->line, v->id, atls_buf_bytes(&authenticator));
    atls_buf_clear(&authenticator);
}

/* ---- the control of everything below ---- */

static void an_honest_machine_is_accepted(void **state)
{
    static const enum atls_identity modes[] = {ATLS_IDENTITY_PKIX, ATLS_IDENTITY_ATTESTED};
    struct victim v;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        victim_open(&v, modes[i], "m1.example");
        answer(&v, honest(&lab.m1, &v.line.secret, atls_buf_bytes(&v.request)));
        assert_accepted("honest", &v.line);
        victim_close(&v);
    }
}

/* ---- relay ---- */

static void relay_stops_at_finished(void **state)
{
    struct victim v;
    struct oracle o;

    (void)state;
    victim_open(&v, ATLS_IDENTITY_PKIX, "m1.example");
    oracle_open(&o, &lab.m1);
    answer(&v, oracle_answer(&o, atls_buf_bytes(&v.request)));
    assert_refused("relayed as it is", &v.line, ATLS_E_VERIFY, ATLS_REASON_FINISHED_MISMATCH);
    oracle_close(&o);
    victim_close(&v);
}

/* The man in the middle is an end of both connections: he can make Finished, but not sign. */
static void relay_with_finished_remade_stops_at_the_signature(void **state)
{
    struct victim v;
    struct oracle o;
    struct atls_buf genuine, remade;
    struct parts p;
    struct test_forgery forgery = {.sender = ATLS_ROLE_SERVER, .scheme = ATLS_ECDSA_P256_SHA256};

    (void)state;
    victim_open(&v, ATLS_IDENTITY_PKIX, "m1.example");
    oracle_open(&o, &lab.m1);
    genuine = oracle_answer(&o, atls_buf_bytes(&v.request));
    p = split(atls_buf_bytes(&genuine));
    forgery.connection = &v.line.secret;
    forgery.request = atls_buf_bytes(&v.request);
    forgery.certificate = p.certificate;
    forgery.verify = p.verify;
    forgery.key = lab.m2.aik.private_key; /* unused: the CertificateVerify is given */
    remade = test_forge(&forgery);
    answer(&v, remade);
    assert_refused("Finished remade", &v.line, ATLS_E_VERIFY, ATLS_REASON_SIGNATURE);
    atls_buf_clear(&genuine);
    oracle_close(&o);
    victim_close(&v);
}

/* With the AIK stolen he signs too: then only the binder inside the evidence tells. */
static void relay_with_a_stolen_aik_stops_at_the_binder(void **state)
{
    struct victim v;
    struct oracle o;
    struct atls_buf genuine;
    struct atls_bytes context;
    struct atls_buf cmw;

    (void)state;
    victim_open(&v, ATLS_IDENTITY_PKIX, "m1.example");
    oracle_open(&o, &lab.m1);
    genuine = oracle_answer(&o, atls_buf_bytes(&v.request));
    test_assert_code(atls_ea_get_context(atls_buf_bytes(&genuine), &context, NULL), ATLS_OK, NULL);
    /* The same request on the other connection: the same context, another exporter. */
    cmw = evidence_for(&lab.m1, &o.line.secret, atls_buf_bytes(&v.request));
    answer(&v, authenticator_with(&lab.m1, &v.line.secret, atls_buf_bytes(&v.request),
                                  atls_buf_bytes(&cmw)));
    assert_refused("stolen AIK", &v.line, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH);
    atls_buf_clear(&cmw);
    atls_buf_clear(&genuine);
    oracle_close(&o);
    victim_close(&v);
}

/* A TLS stack outside the measured state that can use the TPM makes the very bytes an honest
 * machine makes: what stops it is that the platform's measurements are not the reference ones. */
static void relay_from_an_unmeasured_stack_stops_at_the_reference_values(void **state)
{
    struct victim v;
    struct machine tampered = lab.m1;

    (void)state;
    tampered.pcr7[0] = 0x99;
    victim_open(&v, ATLS_IDENTITY_PKIX, "m1.example");
    answer(&v, honest(&tampered, &v.line.secret, atls_buf_bytes(&v.request)));
    assert_refused("unmeasured stack", &v.line, ATLS_E_REFUSED, ATLS_REASON_POLICY);
    assert_non_null(strstr(v.line.err.message, "PCR 7"));
    victim_close(&v);
}

/* ---- replay ---- */

static void replay_on_the_same_connection_stops_at_the_context(void **state)
{
    struct victim v;
    struct atls_buf first, second_request, cmw;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    victim_open(&v, ATLS_IDENTITY_PKIX, "m1.example");
    first = honest(&lab.m1, &v.line.secret, atls_buf_bytes(&v.request));
    hand_authenticator(&v.line, v.id, atls_buf_bytes(&first));
    assert_accepted("first time", &v.line);

    /* As an answer to the next request: the context is the old one. */
    test_assert_code(atls_session_reattest(v.line.session, &err), ATLS_OK, &err);
    hand_wait(&v.line);
    second_request = hand_take_message(&v.line, ATLS_FRAME_REQUEST, &v.id);
    hand_authenticator(&v.line, v.id, atls_buf_bytes(&first));
    assert_refused("old authenticator, new request", &v.line, ATLS_E_PROTOCOL,
                   ATLS_REASON_CONTEXT_MISMATCH);
    victim_close(&v);
    atls_buf_clear(&first);

    /* Everything new but the evidence, by a thief of the AIK. */
    victim_open(&v, ATLS_IDENTITY_PKIX, "m1.example");
    cmw = evidence_for(&lab.m1, &v.line.secret, atls_buf_bytes(&v.request));
    answer(&v, authenticator_with(&lab.m1, &v.line.secret, atls_buf_bytes(&v.request),
                                  atls_buf_bytes(&cmw)));
    assert_accepted("fresh evidence", &v.line);
    test_assert_code(atls_session_reattest(v.line.session, &err), ATLS_OK, &err);
    hand_wait(&v.line);
    atls_buf_clear(&second_request);
    second_request = hand_take_message(&v.line, ATLS_FRAME_REQUEST, &v.id);
    answer(&v, authenticator_with(&lab.m1, &v.line.secret, atls_buf_bytes(&second_request),
                                  atls_buf_bytes(&cmw)));
    assert_refused("evidence of the first request", &v.line, ATLS_E_EVIDENCE,
                   ATLS_REASON_NONCE_MISMATCH);
    atls_buf_clear(&cmw);
    atls_buf_clear(&second_request);
    victim_close(&v);
}

static void an_answer_given_twice_stops_at_the_closed_request(void **state)
{
    struct victim v;
    struct atls_buf authenticator;

    (void)state;
    victim_open(&v, ATLS_IDENTITY_PKIX, "m1.example");
    authenticator = honest(&lab.m1, &v.line.secret, atls_buf_bytes(&v.request));
    hand_authenticator(&v.line, v.id, atls_buf_bytes(&authenticator));
    assert_accepted("first time", &v.line);
    hand_authenticator(&v.line, v.id, atls_buf_bytes(&authenticator));
    assert_refused("second time", &v.line, ATLS_E_PROTOCOL, ATLS_REASON_NONE);
    atls_buf_clear(&authenticator);
    victim_close(&v);
}

static void replay_on_another_connection(void **state)
{
    struct victim before, now;
    struct atls_buf authenticator, cmw;

    (void)state;
    victim_open(&before, ATLS_IDENTITY_PKIX, "m1.example");
    cmw = evidence_for(&lab.m1, &before.line.secret, atls_buf_bytes(&before.request));
    authenticator = authenticator_with(&lab.m1, &before.line.secret,
                                       atls_buf_bytes(&before.request), atls_buf_bytes(&cmw));
    hand_authenticator(&before.line, before.id, atls_buf_bytes(&authenticator));
    assert_accepted("where it belongs", &before.line);

    victim_open(&now, ATLS_IDENTITY_PKIX, "m1.example");
    answer(&now, authenticator);
    assert_refused("stored authenticator", &now.line, ATLS_E_PROTOCOL,
                   ATLS_REASON_CONTEXT_MISMATCH);
    victim_close(&now);

    victim_open(&now, ATLS_IDENTITY_PKIX, "m1.example");
    answer(&now, authenticator_with(&lab.m1, &now.line.secret, atls_buf_bytes(&now.request),
                                    atls_buf_bytes(&cmw)));
    assert_refused("stored evidence", &now.line, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH);
    victim_close(&now);
    atls_buf_clear(&cmw);
    victim_close(&before);
}

/* ---- diversion ---- */

static void diversion_to_another_genuine_machine_stops_at_the_name(void **state)
{
    struct victim v;

    (void)state;
    victim_open(&v, ATLS_IDENTITY_PKIX, "m1.example");
    answer(&v, honest(&lab.m2, &v.line.secret, atls_buf_bytes(&v.request)));
    assert_refused("m2 for m1", &v.line, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_NAME);
    victim_close(&v);

    victim_open(&v, ATLS_IDENTITY_PKIX, "m2.example");
    answer(&v, honest(&lab.m2, &v.line.secret, atls_buf_bytes(&v.request)));
    assert_accepted("m2 for m2", &v.line);
    victim_close(&v);
}

/* ---- splice ---- */

/* Parts of two good authenticators over one connection and one request. */
static void splices_stop_at_the_transcript(void **state)
{
    static const struct {
        const char *name;
        bool certificate, verify, finished; /* from the second one */
        enum atls_reason want;
    } rows[] = {
        {"Certificate of the other", true, false, false, ATLS_REASON_FINISHED_MISMATCH},
        {"CertificateVerify of the other", false, true, false, ATLS_REASON_FINISHED_MISMATCH},
        {"Finished of the other", false, false, true, ATLS_REASON_FINISHED_MISMATCH},
        {"all but Finished", true, true, false, ATLS_REASON_FINISHED_MISMATCH},
        {"all but CertificateVerify", true, false, true, ATLS_REASON_FINISHED_MISMATCH},
        {"all but Certificate", false, true, true, ATLS_REASON_FINISHED_MISMATCH},
    };
    struct victim v;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf one, two;
        struct parts a, b, mix;

        victim_open(&v, ATLS_IDENTITY_ATTESTED, NULL);
        one = honest(&lab.m1, &v.line.secret, atls_buf_bytes(&v.request));
        two = honest(&lab.m2, &v.line.secret, atls_buf_bytes(&v.request));
        a = split(atls_buf_bytes(&one));
        b = split(atls_buf_bytes(&two));
        mix.certificate = rows[i].certificate ? b.certificate : a.certificate;
        mix.verify = rows[i].verify ? b.verify : a.verify;
        mix.finished = rows[i].finished ? b.finished : a.finished;
        answer(&v, join(mix));
        assert_refused(rows[i].name, &v.line, ATLS_E_VERIFY, rows[i].want);
        atls_buf_clear(&one);
        atls_buf_clear(&two);
        victim_close(&v);
    }
}

/* The spliced transcript is made good with the keys at hand: the certificate of one machine with
 * the signature of the other, and the evidence of one beside the key of the other. */
static void splices_made_good_stop_at_signature_and_key(void **state)
{
    struct victim v;
    struct atls_buf cmw, binder;
    struct attempt a;

    (void)state;
    victim_open(&v, ATLS_IDENTITY_ATTESTED, NULL);
    cmw = evidence_for(&lab.m1, &v.line.secret, atls_buf_bytes(&v.request));
    a = (struct attempt){
        .connection = &v.line.secret,
        .sender = ATLS_ROLE_SERVER,
        .request = atls_buf_bytes(&v.request),
        .certificate = atls_buf_bytes(&lab.m1.certificate.certificate),
        .key = lab.m2.aik.private_key,
        .cmw = atls_buf_bytes(&cmw),
    };
    answer(&v, attempt_make(&a));
    assert_refused("certificate of m1, signature of m2", &v.line, ATLS_E_VERIFY,
                   ATLS_REASON_SIGNATURE);
    victim_close(&v);
    atls_buf_clear(&cmw);

    /* Evidence of m1 that answers the right binder for m2's key still certifies m1's. */
    victim_open(&v, ATLS_IDENTITY_ATTESTED, NULL);
    binder = binder_of(&v.line.secret, ATLS_BINDER_LABEL, v.line.secret.hash,
                       atls_buf_bytes(&v.request), machine_aik(&lab.m2));
    cmw = machine_evidence(&lab.m1, atls_buf_bytes(&binder));
    answer(&v, authenticator_with(&lab.m2, &v.line.secret, atls_buf_bytes(&v.request),
                                  atls_buf_bytes(&cmw)));
    assert_refused("evidence of m1, key of m2", &v.line, ATLS_E_EVIDENCE,
                   ATLS_REASON_KEY_BINDING_MISMATCH);
    atls_buf_clear(&binder);
    atls_buf_clear(&cmw);
    victim_close(&v);
}

/* ---- keys that are not what they should be ---- */

static void change_attributes(struct test_tpm_evidence *e, void *arg)
{
    e->aik.attributes = *(const uint32_t *)arg;
}

/* The AIK was made outside and imported, or may be moved: the TPM says so. */
static void an_aik_made_outside_the_tpm_stops_at_its_attributes(void **state)
{
    static const uint32_t attributes[] = {
        TEST_TPM_AIK_ATTRIBUTES & ~(uint32_t)ATLS_TPMA_FIXED_TPM,
        TEST_TPM_AIK_ATTRIBUTES & ~(uint32_t)ATLS_TPMA_FIXED_PARENT,
        TEST_TPM_AIK_ATTRIBUTES & ~(uint32_t)ATLS_TPMA_SENSITIVE_DATA_ORIGIN,
        TEST_TPM_AIK_ATTRIBUTES | ATLS_TPMA_RESTRICTED,
        TEST_TPM_AIK_ATTRIBUTES | ATLS_TPMA_DECRYPT,
    };
    struct victim v;

    (void)state;
    for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++) {
        uint32_t value = attributes[i];
        struct atls_buf binder, cmw;

        victim_open(&v, ATLS_IDENTITY_PKIX, "m1.example");
        binder = binder_of(&v.line.secret, ATLS_BINDER_LABEL, v.line.secret.hash,
                           atls_buf_bytes(&v.request), machine_aik(&lab.m1));
        cmw = machine_evidence_with(&lab.m1, atls_buf_bytes(&binder), change_attributes, &value);
        answer(&v, authenticator_with(&lab.m1, &v.line.secret, atls_buf_bytes(&v.request),
                                      atls_buf_bytes(&cmw)));
        assert_refused("AIK attributes", &v.line, ATLS_E_EVIDENCE, ATLS_REASON_KEY_ATTRIBUTES);
        atls_buf_clear(&binder);
        atls_buf_clear(&cmw);
        victim_close(&v);
    }
}

/* A TPM of the attacker's own, with everything right but that nobody enrolled it. */
static void a_tpm_that_nobody_enrolled_stops_at_the_attestation_key(void **state)
{
    struct machine stranger = lab.m1;
    struct victim v;

    (void)state;
    stranger.ak = test_tpm_key_new(ATLS_KEY_P256, TEST_TPM_AK_ATTRIBUTES);
    victim_open(&v, ATLS_IDENTITY_PKIX, "m1.example");
    answer(&v, honest(&stranger, &v.line.secret, atls_buf_bytes(&v.request)));
    assert_refused("stranger", &v.line, ATLS_E_EVIDENCE, ATLS_REASON_UNTRUSTED_AK);
    victim_close(&v);
    test_tpm_key_clear(&stranger.ak);
}

/* The Relying Party's own key is stolen (key compromise impersonation): it helps to impersonate the
 * Relying Party, not its peer. */
static void the_relying_partys_own_key_does_not_help(void **state)
{
    struct atls_attester *own = machine_attester(&lab.m2);
    struct victim v;
    struct atls_buf cmw;
    struct attempt a;

    (void)state;
    v.config = relying_party(&lab, ATLS_IDENTITY_ATTESTED, own);
    line_open(&v.line, &lab, ATLS_ROLE_CLIENT, v.config, NULL);
    v.request = hand_take_message(&v.line, ATLS_FRAME_REQUEST, &v.id);
    hand_hello(&v.line, ATLS_HELLO_ATTESTS);
    cmw = evidence_for(&lab.m1, &v.line.secret, atls_buf_bytes(&v.request));
    a = (struct attempt){
        .connection = &v.line.secret,
        .sender = ATLS_ROLE_SERVER,
        .request = atls_buf_bytes(&v.request),
        .certificate = atls_buf_bytes(&lab.m1.certificate.certificate),
        .key = lab.m2.aik.private_key, /* stolen from the Relying Party */
        .cmw = atls_buf_bytes(&cmw),
    };
    answer(&v, attempt_make(&a));
    assert_refused("signed with the Relying Party's key", &v.line, ATLS_E_VERIFY,
                   ATLS_REASON_SIGNATURE);
    atls_buf_clear(&cmw);
    victim_close(&v);

    /* As its own peer: the keys are equal. */
    v.config = relying_party(&lab, ATLS_IDENTITY_ATTESTED, own);
    line_open(&v.line, &lab, ATLS_ROLE_CLIENT, v.config, NULL);
    v.request = hand_take_message(&v.line, ATLS_FRAME_REQUEST, &v.id);
    hand_hello(&v.line, ATLS_HELLO_ATTESTS);
    answer(&v, honest(&lab.m2, &v.line.secret, atls_buf_bytes(&v.request)));
    assert_refused("the same key on both sides", &v.line, ATLS_E_CERTIFICATE,
                   ATLS_REASON_EQUAL_KEYS);
    victim_close(&v);
    atls_attester_unref(own);
}

/* ---- contexts ---- */

static void contexts_cannot_be_foreseen(void **state)
{
    enum { CONNECTIONS = 32 };
    struct atls_buf contexts[CONNECTIONS];
    unsigned int bits[8] = {0};
    struct atls_bytes context;

    (void)state;
    for (size_t i = 0; i < CONNECTIONS; i++) {
        struct victim v;

        victim_open(&v, ATLS_IDENTITY_PKIX, "m1.example");
        test_assert_code(atls_ea_get_context(atls_buf_bytes(&v.request), &context, NULL), ATLS_OK,
                         NULL);
        assert_int_equal(context.len, 32);
        test_assert_code(atls_buf_copy(&contexts[i], context, NULL), ATLS_OK, NULL);
        for (size_t k = 0; k < i; k++)
            assert_false(atls_bytes_equal(context, atls_buf_bytes(&contexts[k])));
        for (size_t k = 0; k < context.len; k++)
            for (unsigned int b = 0; b < 8; b++)
                bits[b] += context.ptr[k] >> b & 1u;
        victim_close(&v);
    }
    /* 1024 draws of each bit: a count outside 512 +- 160 has odds of one in 10^22. */
    for (size_t b = 0; b < 8; b++)
        assert_in_range(bits[b], 352, 672);
    for (size_t i = 0; i < CONNECTIONS; i++)
        atls_buf_clear(&contexts[i]);
}

/* ---- reflection ---- */

/* A Relying Party that attests itself: what it sends comes back to it. */
struct mutual {
    struct victim v;
    struct atls_attester *own;
};

static void mutual_open(struct mutual *m)
{
    m->own = machine_attester(&lab.m1);
    m->v.config = relying_party(&lab, ATLS_IDENTITY_ATTESTED, m->own);
    line_open(&m->v.line, &lab, ATLS_ROLE_CLIENT, m->v.config, NULL);
    m->v.request = hand_take_message(&m->v.line, ATLS_FRAME_REQUEST, &m->v.id);
    hand_hello(&m->v.line, ATLS_HELLO_ATTESTS | ATLS_HELLO_REQUIRES);
}

static void mutual_close(struct mutual *m)
{
    victim_close(&m->v);
    atls_attester_unref(m->own);
}

/* The victim's request with its type turned round, as a server would send it. */
static struct atls_buf turned(struct atls_bytes request)
{
    struct atls_buf out = ATLS_BUF_INIT;

    test_assert_code(atls_buf_copy(&out, request, NULL), ATLS_OK, NULL);
    out.ptr[0] = 13;
    return out;
}

static void reflection_stops_at_context_and_label(void **state)
{
    struct mutual m;
    struct atls_buf request, own_answer;
    struct atls_ea_request_spec spec = {.attestation = true};
    const enum atls_signature scheme = ATLS_ECDSA_P256_SHA256;
    struct test_connection connection;
    struct atls_ea *ea = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    /* Our own context in a request to us. */
    mutual_open(&m);
    request = turned(atls_buf_bytes(&m.v.request));
    hand_request(&m.v.line, 1, atls_buf_bytes(&request));
    assert_refused("our context in the peer's request", &m.v.line, ATLS_E_PROTOCOL,
                   ATLS_REASON_CONTEXT_USED);
    atls_buf_clear(&request);
    mutual_close(&m);

    /* Our own answer to the peer's request, as the peer's answer to ours. */
    mutual_open(&m);
    connection = m.v.line.secret;
    test_assert_code(
        atls_ea_new(ATLS_ROLE_SERVER, connection.hash, test_exporter, &connection, &ea, &err),
        ATLS_OK, &err);
    spec.context = atls_bytes_of("0123456789abcdef0123456789abcdef", 32);
    spec.schemes = &scheme;
    spec.scheme_count = 1;
    test_assert_code(atls_ea_request(ea, &spec, &request, &err), ATLS_OK, &err);
    hand_request(&m.v.line, 1, atls_buf_bytes(&request));
    own_answer = hand_take_message(&m.v.line, ATLS_FRAME_AUTHENTICATOR, NULL);
    answer(&m.v, own_answer);
    assert_refused("our authenticator comes back", &m.v.line, ATLS_E_PROTOCOL,
                   ATLS_REASON_CONTEXT_MISMATCH);
    atls_ea_free(ea);
    atls_buf_clear(&request);
    mutual_close(&m);
}

/* With our own AIK in hand and our context the labels alone stand between: an authenticator that is
 * right in everything but that a client made it. */
static void an_authenticator_of_the_wrong_role_stops_at_finished(void **state)
{
    struct victim v;
    struct atls_buf cmw;
    struct attempt a;

    (void)state;
    victim_open(&v, ATLS_IDENTITY_ATTESTED, NULL);
    cmw = evidence_for(&lab.m1, &v.line.secret, atls_buf_bytes(&v.request));
    a = (struct attempt){
        .connection = &v.line.secret,
        .sender = ATLS_ROLE_CLIENT,
        .request = atls_buf_bytes(&v.request),
        .certificate = atls_buf_bytes(&lab.m1.certificate.certificate),
        .key = lab.m1.aik.private_key,
        .cmw = atls_buf_bytes(&cmw),
    };
    answer(&v, attempt_make(&a));
    assert_refused("made by a client", &v.line, ATLS_E_VERIFY, ATLS_REASON_FINISHED_MISMATCH);
    atls_buf_clear(&cmw);
    victim_close(&v);
}

/* ---- downgrade ---- */

static void an_authenticator_without_evidence_is_not_attested(void **state)
{
    struct victim v;

    (void)state;
    victim_open(&v, ATLS_IDENTITY_PKIX, "m1.example");
    answer(&v, authenticator_with(&lab.m1, &v.line.secret, atls_buf_bytes(&v.request),
                                  atls_bytes_of(NULL, 0)));
    assert_refused("no cmw_attestation", &v.line, ATLS_E_EVIDENCE, ATLS_REASON_NOT_ATTESTED);
    victim_close(&v);
}

/* The offer is stripped from the request on its way to an honest machine: what it answers is over
 * another request. */
static void a_stripped_offer_stops_at_finished(void **state)
{
    struct victim v;
    struct atls_buf stripped = ATLS_BUF_INIT;
    struct atls_ea_request request;

    (void)state;
    victim_open(&v, ATLS_IDENTITY_PKIX, "m1.example");
    test_assert_code(atls_buf_copy(&stripped, atls_buf_bytes(&v.request), NULL), ATLS_OK, NULL);
    /* The offer is the last extension: type and zero length. */
    assert_memory_equal(stripped.ptr + stripped.len - 4, "\xff\x00\x00\x00", 4);
    stripped.len -= 4;
    assert_true(stripped.ptr[3] >= 4 && stripped.ptr[4 + 1 + 32 + 1] >= 4); /* no borrow */
    stripped.ptr[3] = (uint8_t)(stripped.ptr[3] - 4);
    stripped.ptr[4 + 1 + 32 + 1] = (uint8_t)(stripped.ptr[4 + 1 + 32 + 1] - 4);
    test_assert_code(atls_ea_request_decode(atls_buf_bytes(&stripped), &request, NULL), ATLS_OK,
                     NULL);
    assert_false(request.attestation);
    answer(&v, authenticator_with(&lab.m1, &v.line.secret, atls_buf_bytes(&stripped),
                                  atls_bytes_of(NULL, 0)));
    assert_refused("stripped offer", &v.line, ATLS_E_VERIFY, ATLS_REASON_FINISHED_MISMATCH);
    atls_buf_clear(&stripped);
    victim_close(&v);
}

static void an_empty_authenticator_is_a_refusal(void **state)
{
    struct victim v;
    struct test_connection connection;
    struct atls_ea *ea = NULL;
    struct atls_ea_request request;
    struct atls_buf empty = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    victim_open(&v, ATLS_IDENTITY_PKIX, "m1.example");
    connection = v.line.secret;
    test_assert_code(
        atls_ea_new(ATLS_ROLE_SERVER, connection.hash, test_exporter, &connection, &ea, &err),
        ATLS_OK, &err);
    test_assert_code(atls_ea_accept_request(ea, atls_buf_bytes(&v.request), &request, &err),
                     ATLS_OK, &err);
    test_assert_code(atls_ea_decline(ea, atls_buf_bytes(&v.request), &empty, &err), ATLS_OK, &err);
    answer(&v, empty);
    assert_refused("empty authenticator", &v.line, ATLS_E_DECLINED,
                   ATLS_REASON_EMPTY_AUTHENTICATOR);
    atls_ea_free(ea);
    victim_close(&v);
}

static void a_peer_that_does_not_attest_stops_at_hello(void **state)
{
    struct victim v;

    (void)state;
    v.config = relying_party(&lab, ATLS_IDENTITY_PKIX, NULL);
    line_open(&v.line, &lab, ATLS_ROLE_CLIENT, v.config, "m1.example");
    v.request = hand_take_message(&v.line, ATLS_FRAME_REQUEST, &v.id);
    hand_hello(&v.line, 0);
    assert_refused("HELLO without evidence", &v.line, ATLS_E_PROTOCOL,
                   ATLS_REASON_NO_COMMON_PARAMETERS);
    victim_close(&v);
}

/* Label and hash are ours, never the peer's: evidence over another reading of the draft, or over
 * the other hash, answers another binder. */
static void another_label_or_hash_stops_at_the_binder(void **state)
{
    struct victim v;

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct atls_buf binder, cmw;
        enum atls_hash hash;

        victim_open(&v, ATLS_IDENTITY_PKIX, "m1.example");
        hash = v.line.secret.hash;
        if (i == 1)
            hash = hash == ATLS_HASH_SHA384 ? ATLS_HASH_SHA256 : ATLS_HASH_SHA384;
        binder = binder_of(&v.line.secret, i == 0 ? "Attestation Binding" : ATLS_BINDER_LABEL, hash,
                           atls_buf_bytes(&v.request), machine_aik(&lab.m1));
        cmw = machine_evidence(&lab.m1, atls_buf_bytes(&binder));
        answer(&v, authenticator_with(&lab.m1, &v.line.secret, atls_buf_bytes(&v.request),
                                      atls_buf_bytes(&cmw)));
        assert_refused(i == 0 ? "another label" : "another hash", &v.line, ATLS_E_EVIDENCE,
                       ATLS_REASON_NONCE_MISMATCH);
        atls_buf_clear(&binder);
        atls_buf_clear(&cmw);
        victim_close(&v);
    }
}

/* ---- use before the gate ---- */

static void data_before_the_gate_is_refused_and_not_delivered(void **state)
{
    struct victim v;

    (void)state;
    victim_open(&v, ATLS_IDENTITY_PKIX, "m1.example");
    hand_send(&v.line, atls_bytes_of("\x06\x00\x00\x05hello", 9));
    assert_refused("data at a closed gate", &v.line, ATLS_E_PROTOCOL, ATLS_REASON_GATE_CLOSED);
    assert_int_equal(atls_session_read(v.line.session).len, 0);
    victim_close(&v);

    victim_open(&v, ATLS_IDENTITY_PKIX, "m1.example");
    {
        struct atls_err err = ATLS_ERR_INIT;
        size_t accepted;

        assert_int_equal(
            atls_session_write(v.line.session, atls_bytes_of("hello", 5), &accepted, &err),
            ATLS_E_USAGE);
        assert_int_equal(err.reason, ATLS_REASON_GATE_CLOSED);
    }
    victim_close(&v);
}

/* ---- time of check and time of use ---- */

static void a_state_that_changes_is_noticed_when_asked_again(void **state)
{
    struct machine m = lab.m1;
    struct victim v;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf request;

    (void)state;
    victim_open(&v, ATLS_IDENTITY_PKIX, "m1.example");
    answer(&v, honest(&m, &v.line.secret, atls_buf_bytes(&v.request)));
    assert_accepted("before", &v.line);
    m.pcr7[31] = 1;
    test_assert_code(atls_session_reattest(v.line.session, &err), ATLS_OK, &err);
    hand_send(&v.line, atls_bytes_of("\x06\x00\x00\x01x", 5)); /* data flows meanwhile */
    assert_accepted("meanwhile", &v.line);
    request = hand_take_message(&v.line, ATLS_FRAME_REQUEST, &v.id);
    answer(&v, honest(&m, &v.line.secret, atls_buf_bytes(&request)));
    assert_refused("after", &v.line, ATLS_E_REFUSED, ATLS_REASON_POLICY);
    assert_non_null(strstr(v.line.err.message, "PCR 7"));
    atls_buf_clear(&request);
    victim_close(&v);
}

/* Another genuine machine takes the place of the first in mid-connection, which only identity
 * "attested" would let it: the key is pinned. */
static void another_machine_stops_when_asked_again(void **state)
{
    struct victim v;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf request;

    (void)state;
    for (int i = 0; i < 2; i++) {
        victim_open(&v, ATLS_IDENTITY_ATTESTED, NULL);
        answer(&v, honest(&lab.m1, &v.line.secret, atls_buf_bytes(&v.request)));
        assert_accepted("first machine", &v.line);
        test_assert_code(atls_session_reattest(v.line.session, &err), ATLS_OK, &err);
        hand_wait(&v.line);
        request = hand_take_message(&v.line, ATLS_FRAME_REQUEST, &v.id);
        answer(&v, honest(i == 0 ? &lab.m1 : &lab.m2, &v.line.secret, atls_buf_bytes(&request)));
        if (i == 0)
            assert_accepted("the same again", &v.line);
        else
            assert_refused("another one", &v.line, ATLS_E_CERTIFICATE,
                           ATLS_REASON_IDENTITY_MISMATCH);
        atls_buf_clear(&request);
        victim_close(&v);
    }
}

/* ---- connections that are unfit ---- */

static void an_unfit_connection_is_refused_before_anything_is_said(void **state)
{
    static const struct {
        const char *name;
        uint16_t version;
        enum atls_answer resumed, early_data;
        enum atls_reason want;
    } rows[] = {
        {"TLS 1.2, with or without extended master secret", 0x0303, ATLS_ANSWER_NO, ATLS_ANSWER_NO,
         ATLS_REASON_TLS_VERSION},
        {"resumed", 0x0304, ATLS_ANSWER_YES, ATLS_ANSWER_NO, ATLS_REASON_TLS_RESUMED},
        {"perhaps resumed", 0x0304, ATLS_ANSWER_UNKNOWN, ATLS_ANSWER_NO, ATLS_REASON_TLS_RESUMED},
        {"early data", 0x0304, ATLS_ANSWER_NO, ATLS_ANSWER_YES, ATLS_REASON_TLS_EARLY_DATA},
        {"perhaps early data", 0x0304, ATLS_ANSWER_NO, ATLS_ANSWER_UNKNOWN,
         ATLS_REASON_TLS_EARLY_DATA},
    };
    struct victim v;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf storage = ATLS_BUF_INIT;
        struct atls_session *session = NULL;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_tls tls;

        victim_open(&v, ATLS_IDENTITY_PKIX, "m1.example");
        test_assert_code(atls_openssl_tls(v.line.session_ssl, &tls, &storage, &err), ATLS_OK, &err);
        tls.version = rows[i].version;
        tls.resumed = rows[i].resumed;
        tls.early_data = rows[i].early_data;
        test_assert_code(atls_session_new(v.config, &tls, "m1.example", &session, &err), ATLS_E_TLS,
                         &err);
        assert_int_equal(err.reason, rows[i].want);
        assert_null(session);
        atls_buf_clear(&storage);
        victim_close(&v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_honest_machine_is_accepted),
        cmocka_unit_test(relay_stops_at_finished),
        cmocka_unit_test(relay_with_finished_remade_stops_at_the_signature),
        cmocka_unit_test(relay_with_a_stolen_aik_stops_at_the_binder),
        cmocka_unit_test(relay_from_an_unmeasured_stack_stops_at_the_reference_values),
        cmocka_unit_test(replay_on_the_same_connection_stops_at_the_context),
        cmocka_unit_test(an_answer_given_twice_stops_at_the_closed_request),
        cmocka_unit_test(replay_on_another_connection),
        cmocka_unit_test(diversion_to_another_genuine_machine_stops_at_the_name),
        cmocka_unit_test(splices_stop_at_the_transcript),
        cmocka_unit_test(splices_made_good_stop_at_signature_and_key),
        cmocka_unit_test(an_aik_made_outside_the_tpm_stops_at_its_attributes),
        cmocka_unit_test(a_tpm_that_nobody_enrolled_stops_at_the_attestation_key),
        cmocka_unit_test(the_relying_partys_own_key_does_not_help),
        cmocka_unit_test(contexts_cannot_be_foreseen),
        cmocka_unit_test(reflection_stops_at_context_and_label),
        cmocka_unit_test(an_authenticator_of_the_wrong_role_stops_at_finished),
        cmocka_unit_test(an_authenticator_without_evidence_is_not_attested),
        cmocka_unit_test(a_stripped_offer_stops_at_finished),
        cmocka_unit_test(an_empty_authenticator_is_a_refusal),
        cmocka_unit_test(a_peer_that_does_not_attest_stops_at_hello),
        cmocka_unit_test(another_label_or_hash_stops_at_the_binder),
        cmocka_unit_test(data_before_the_gate_is_refused_and_not_delivered),
        cmocka_unit_test(a_state_that_changes_is_noticed_when_asked_again),
        cmocka_unit_test(another_machine_stops_when_asked_again),
        cmocka_unit_test(an_unfit_connection_is_refused_before_anything_is_said),
    };

    return cmocka_run_group_tests(tests, open_lab, close_lab);
}
