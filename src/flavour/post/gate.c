#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind/binder.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "crypto/crypto.h"
#include "flavour/post/session.h"

/* What CertificateVerify of the peer may be signed with, preferred first. */
static const enum atls_signature schemes[] = {
    ATLS_ECDSA_P256_SHA256, ATLS_ED25519,        ATLS_ECDSA_P384_SHA384, ATLS_ECDSA_P521_SHA512,
    ATLS_RSA_PSS_SHA256,    ATLS_RSA_PSS_SHA384, ATLS_RSA_PSS_SHA512,
};

/* signature_algorithms_cert (RFC 8446 section 4.2.3): chains may also be signed as most authorities
 * with RSA keys do, which CertificateVerify may not be. */
static const uint8_t certificate_schemes[] = {
    0x00, 0x32, 0x00, 0x16, 0x00, 0x14, /* type, length, length of the list */
    0x04, 0x03, 0x08, 0x07, 0x05, 0x03, 0x06, 0x03, 0x08, 0x04,
    0x08, 0x05, 0x08, 0x06, 0x04, 0x01, 0x05, 0x01, 0x06, 0x01,
};

int64_t atls_gate_now(const struct atls_session *s)
{
    return atls_clock_monotonic_ms(&s->config->options.clock);
}

static bool peer_passes(const struct atls_session *s)
{
    return !s->config->options.require_peer || s->attested || s->excused;
}

static bool self_passes(const struct atls_session *s)
{
    return (s->peer_flags & ATLS_HELLO_REQUIRES) == 0 || s->self_attested || s->self_excused;
}

bool atls_gate_is_open(const struct atls_session *s)
{
    return !s->closed && s->hello_received && peer_passes(s) && self_passes(s);
}

bool atls_gate_is_withdrawn(const struct atls_session *s)
{
    return !s->closed && s->opened && !peer_passes(s) && self_passes(s);
}

void atls_gate_heard(struct atls_session *s)
{
    /* Certificates of flavour pre are shown to who knows nothing of evidence, too. */
    s->self_attested |= s->shown && s->config->options.flavour != ATLS_FLAVOUR_PRE;
}

void atls_gate_update(struct atls_session *s)
{
    if (s->opened || !atls_gate_is_open(s))
        return;
    s->opened = true;
    s->gate_deadline_ms = ATLS_NEVER;
    if (s->config->options.raw && (s->peer_flags & ATLS_HELLO_RAW) != 0) {
        atls_frame_header_put(&s->out, ATLS_FRAME_RAW, 0);
        s->raw_sent = true;
    }
    atls_writer_clear(&s->body);
    atls_log(&s->config->options.log, ATLS_LOG_INFO, "session", "gate open%s",
             s->raw_sent ? ", raw" : "");
}

struct atls_bytes atls_gate_text(uint16_t code, enum atls_reason reason,
                                 char out[ATLS_FRAME_TEXT_MAX + 1])
{
    const struct atls_carrier_code_row *row = atls_carrier_code_row(code);
    const char *slug = reason == ATLS_REASON_NONE ? row->name : atls_reason_name(reason);

    snprintf(out, ATLS_FRAME_TEXT_MAX + 1, "%s: %s", slug, row->sentence);
    return atls_bytes_of(out, strlen(out));
}

/* Nothing of the exchange serves an ended session; what was found of the peer stays. */
static void drop(struct atls_session *s)
{
    while (s->jobs != NULL) {
        struct atls_job *job = s->jobs;

        s->jobs = job->next;
        atls_job_free(job);
    }
    s->jobs_end = &s->jobs;
    atls_buf_clear(&s->own.raw);
    atls_wipe(s->own.exported, sizeof s->own.exported);
    atls_writer_clear(&s->body);
    atls_writer_clear(&s->held);
    s->held_read = 0;
    s->data = atls_bytes_of(NULL, 0);
    atls_ea_free(s->ea);
    s->ea = NULL;
}

enum atls_code atls_gate_end(struct atls_session *s, const struct atls_err *cause,
                             struct atls_err *err)
{
    char text[ATLS_FRAME_TEXT_MAX + 1];

    if (!s->closed) {
        s->error = *cause;
        if (!s->peer_ended && !s->raw_sent) {
            uint16_t code = s->refusal != 0 ? s->refusal : atls_carrier_code_of(cause);
            struct atls_status_frame frame = {.code = code};

            if (code != ATLS_CARRIER_OK)
                frame.text = atls_gate_text(code, cause->reason, text);
            atls_close_put(&s->out, &frame);
        }
        s->closed = true;
        s->attested = s->self_attested = false; /* excused stays: it tells what was not found */
        drop(s);
        if (cause->code != ATLS_OK)
            atls_log(&s->config->options.log, ATLS_LOG_WARNING, "session", "%s: %s",
                     atls_code_name(cause->code), cause->message);
    }
    if (err != NULL && s->error.code != ATLS_OK)
        *err = s->error;
    return s->error.code;
}

enum atls_code atls_gate_settle(struct atls_session *s, enum atls_code code, struct atls_err *cause,
                                struct atls_err *err)
{
    if (s->out.failed != ATLS_OK) {
        atls_writer_clear(&s->out); /* may end within a frame */
        s->out_done = 0;
        s->peer_ended = true;
        if (code == ATLS_OK)
            code = atls_fail(cause, ATLS_E_NOMEM, "session: no memory for output");
    }
    if (code == ATLS_OK && s->held.failed != ATLS_OK)
        code = atls_fail(cause, ATLS_E_NOMEM, "session: no memory for data");
    if (code == ATLS_OK)
        return ATLS_OK;
    if (cause->code != code) /* an exporter of the program's that gives no reason */
        (void)atls_fail(cause, code, "session: failed, no reason given");
    return atls_gate_end(s, cause, err);
}

void atls_gate_judged(struct atls_session *s)
{
    uint32_t interval_s = s->config->options.reattest_interval_s;

    s->own.state = ATLS_REQUEST_NONE;
    s->own.deadline_ms = ATLS_NEVER;
    atls_buf_clear(&s->own.raw);
    atls_wipe(s->own.exported, sizeof s->own.exported);
    if (interval_s != 0)
        s->reattest_ms = atls_gate_now(s) + (int64_t)interval_s * 1000;
}

bool atls_gate_may_excuse(const struct atls_session *s)
{
    return s->config->options.peer_optional && !s->opened && s->attestations == 0;
}

enum atls_code atls_gate_excuse(struct atls_session *s, const struct atls_err *cause,
                                struct atls_err *err)
{
    char text[ATLS_FRAME_TEXT_MAX + 1];
    struct atls_status_frame verdict = {.id = s->own.id, .code = ATLS_CARRIER_NOT_ATTESTED};

    if (s->role == ATLS_ROLE_CLIENT && !s->tls_authenticated) {
        (void)atls_fail_alert(err, ATLS_E_CERTIFICATE, ATLS_REASON_NOT_ATTESTED,
                              ATLS_ALERT_CERTIFICATE_REQUIRED,
                              "%s; attestation is optional, but TLS has validated no certificate "
                              "of the server either",
                              cause->message);
        return atls_gate_refuse(s, ATLS_CARRIER_NOT_ATTESTED, err);
    }
    verdict.text = atls_gate_text(verdict.code, cause->reason, text);
    atls_verdict_put(&s->out, &verdict);
    atls_gate_judged(s);
    s->reattest_ms = ATLS_NEVER;
    s->excused = true;
    atls_log(&s->config->options.log, ATLS_LOG_INFO, "session", "peer not attested (optional): %s",
             cause->message);
    return ATLS_OK;
}

void atls_gate_withdraw(struct atls_session *s, const struct atls_err *cause)
{
    s->attested = false;
    if (s->data.len != 0) /* of one input only: within the limit */
        atls_put_bytes(&s->held, s->data);
    s->data = atls_bytes_of(NULL, 0);
    atls_log(&s->config->options.log, ATLS_LOG_WARNING, "session", "gate closed: %s: %s",
             atls_code_name(cause->code), cause->message);
}

enum atls_code atls_gate_refuse(struct atls_session *s, uint16_t refusal,
                                const struct atls_err *cause)
{
    const struct atls_config_options *o = &s->config->options;
    char text[ATLS_FRAME_TEXT_MAX + 1];
    struct atls_status_frame verdict = {.id = s->own.id, .code = refusal};

    verdict.text = atls_gate_text(refusal, cause->reason, text);
    atls_verdict_put(&s->out, &verdict);
    atls_gate_judged(s);
    if (s->opened && o->on_failure == ATLS_ON_FAILURE_GATE) {
        atls_gate_withdraw(s, cause);
        return ATLS_OK;
    }
    s->refusal = refusal;
    return cause->code;
}

enum atls_code atls_gate_first_flight(struct atls_session *s, struct atls_err *err)
{
    const struct atls_config_options *o = &s->config->options;
    struct atls_writer chosen = atls_writer_init(256);
    struct atls_hello hello = {.frame_max = ATLS_FRAME_BODY_MAX, .optional = o->peer_optional};

    hello.flags =
        (uint8_t)((o->attester != NULL ? ATLS_HELLO_ATTESTS : 0) |
                  (o->require_peer ? ATLS_HELLO_REQUIRES : 0) | (o->raw ? ATLS_HELLO_RAW : 0) |
                  (o->require_self ? ATLS_HELLO_REQUIRES_SELF : 0) |
                  (o->require_peer && atls_verifier_wants_binder(o->verifier)
                       ? ATLS_HELLO_BINDER_ECHO
                       : 0));
    for (size_t i = 0; i < ATLS_NAMES_COUNT; i++)
        hello.names[i] = atls_config_names(s->config, (enum atls_names)i);
    if (s->role == ATLS_ROLE_SERVER) {
        if (s->inner_protocol[0] != '\0')
            atls_name_put(&chosen, s->inner_protocol);
        hello.names[ATLS_NAMES_INNER_PROTOCOLS] = atls_writer_bytes(&chosen);
    }
    atls_hello_put(&s->out, &hello);
    if (chosen.failed != ATLS_OK)
        s->out.failed = chosen.failed;
    atls_writer_clear(&chosen);
    return o->require_peer ? atls_gate_request(s, err) : ATLS_OK;
}

enum atls_code atls_gate_request(struct atls_session *s, struct atls_err *err)
{
    const struct atls_config_options *o = &s->config->options;
    uint8_t context[32] = {0};
    const struct atls_ea_request_spec spec = {
        .context = atls_bytes_of(context, sizeof context),
        .schemes = schemes,
        .scheme_count = sizeof schemes / sizeof schemes[0],
        .attestation = true,
        .other_extensions = atls_bytes_of(certificate_schemes, sizeof certificate_schemes),
    };
    enum atls_code code;

    if ((code = atls_random(context, sizeof context, err)) != ATLS_OK ||
        (code = atls_binder_export(s->exporter, s->exporter_arg, spec.context, s->own.exported,
                                   err)) != ATLS_OK ||
        (code = atls_ea_request(s->ea, &spec, &s->own.raw, err)) != ATLS_OK)
        return code;
    s->own.id++;
    s->own.state = ATLS_REQUEST_ASKED;
    s->own.again = false;
    s->own.deadline_ms = s->opened ? atls_gate_now(s) + o->answer_timeout_ms : ATLS_NEVER;
    atls_message_frame_put(&s->out, ATLS_FRAME_REQUEST, s->own.id, atls_buf_bytes(&s->own.raw));
    return ATLS_OK;
}
