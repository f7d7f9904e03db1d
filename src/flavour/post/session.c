#include "flavour/post/session.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/secret.h"

/* ---- life ---- */

static enum atls_code check_tls(const struct atls_config_options *o, const struct atls_tls *tls,
                                struct atls_err *err)
{
    if (tls->exporter == NULL || (tls->role != ATLS_ROLE_CLIENT && tls->role != ATLS_ROLE_SERVER))
        return atls_fail(err, ATLS_E_USAGE, "session: struct atls_tls lacks exporter or role");
    if (tls->version != 0x0304)
        return atls_fail_reason(err, ATLS_E_TLS, ATLS_REASON_TLS_VERSION,
                                "TLS version is 0x%04x, want 0x0304 (TLS 1.3)", tls->version);
    if (tls->resumed != ATLS_ANSWER_NO)
        return atls_fail_reason(
            err, ATLS_E_TLS, ATLS_REASON_TLS_RESUMED, "TLS session %s, want a full handshake",
            tls->resumed == ATLS_ANSWER_YES ? "was resumed" : "may have been resumed");
    if (tls->early_data != ATLS_ANSWER_NO)
        return atls_fail_reason(err, ATLS_E_TLS, ATLS_REASON_TLS_EARLY_DATA,
                                "TLS early data %s used, want none",
                                tls->early_data == ATLS_ANSWER_YES ? "was" : "may have been");
    if (o->require_peer && !o->peer_optional && o->identity == ATLS_IDENTITY_SAME_KEY &&
        tls->peer_spki.len == 0)
        return atls_fail_reason(err, ATLS_E_TLS, ATLS_REASON_IDENTITY_MISMATCH,
                                "identity same-key: TLS validated no certificate of the peer");
    return ATLS_OK;
}

static enum atls_code check_name(const struct atls_config_options *o, enum atls_role role,
                                 const char *peer_name, struct atls_err *err)
{
    if (o->require_peer && o->identity == ATLS_IDENTITY_PKIX && role == ATLS_ROLE_CLIENT &&
        (peer_name == NULL || peer_name[0] == '\0'))
        return atls_fail(err, ATLS_E_CONFIG, "session: identity pkix wants the name of the server");
    return ATLS_OK;
}

static enum atls_code fill(struct atls_session *s, const struct atls_tls *tls,
                           const char *peer_name, struct atls_err *err)
{
    const struct atls_config_options *o = &s->config->options;
    int64_t now = atls_gate_now(s);
    enum atls_code code;

    s->exporter = tls->exporter;
    s->exporter_arg = tls->arg;
    s->role = tls->role;
    s->hash = tls->hash;
    s->tls_authenticated = tls->peer_spki.len != 0;
    s->inner_protocol = s->inner_storage;
    s->held = atls_writer_init(ATLS_HELD_MAX);
    s->out = atls_writer_init((size_t)(o->peer_requests_outstanding + 2) * ATLS_AUTHENTICATOR_MAX);
    s->gate_deadline_ms = now + o->gate_timeout_ms;
    s->own.deadline_ms = ATLS_NEVER;
    s->reattest_ms = ATLS_NEVER;
    s->meter = atls_meter_init(o->peer_requests_per_minute, now);
    if (peer_name != NULL) {
        if ((s->peer_name = malloc(strlen(peer_name) + 1)) == NULL)
            return atls_fail(err, ATLS_E_NOMEM, "session: out of memory");
        strcpy(s->peer_name, peer_name);
    }
    if ((s->slots = calloc(o->peer_requests_outstanding, sizeof *s->slots)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "session: out of memory");
    if (o->identity == ATLS_IDENTITY_SAME_KEY &&
        (code = atls_buf_copy(&s->tls_spki, tls->peer_spki, err)) != ATLS_OK)
        return code;
    if ((code = atls_ea_new(tls->role, tls->hash, tls->exporter, tls->arg, &s->ea, err)) != ATLS_OK)
        return code;
    /* A server waits for the client's HELLO, because its own answers it (inner protocol). */
    return tls->role == ATLS_ROLE_CLIENT ? atls_gate_first_flight(s, err) : ATLS_OK;
}

enum atls_code atls_session_new(struct atls_config *config, const struct atls_tls *tls,
                                const char *peer_name, struct atls_session **out,
                                struct atls_err *err)
{
    struct atls_session *s;
    enum atls_code code;

    if ((code = check_tls(&config->options, tls, err)) != ATLS_OK ||
        (code = check_name(&config->options, tls->role, peer_name, err)) != ATLS_OK)
        return code;
    if ((s = calloc(1, sizeof *s)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "session: out of memory");
    s->config = atls_config_ref(config);
    s->jobs_end = &s->jobs;
    code = fill(s, tls, peer_name, err);
    if (code == ATLS_OK && s->out.failed != ATLS_OK)
        code = atls_fail(err, ATLS_E_NOMEM, "session: out of memory");
    if (code != ATLS_OK) {
        atls_session_free(s);
        return code;
    }
    *out = s;
    return ATLS_OK;
}

static enum atls_code check_established(const struct atls_config *config,
                                        const struct atls_established *e, struct atls_err *err)
{
    const struct atls_config_options *o = &config->options;

    if (o->flavour == ATLS_FLAVOUR_POST)
        return atls_fail(err, ATLS_E_USAGE, "session: flavour post attests after the handshake");
    if (o->require_peer && e->result == NULL && !(o->peer_optional && e->excused))
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_NOT_ATTESTED,
                                "peer: the handshake brought no attestation, want it");
    if (o->require_self && !e->shown)
        return atls_fail_reason(err, ATLS_E_PROTOCOL, ATLS_REASON_NOT_ATTESTED,
                                "peer: did not ask for our attestation, which require_self wants");
    if (strlen(e->inner_protocol) > 255)
        return atls_fail(err, ATLS_E_USAGE, "session: inner protocol of more than 255 bytes");
    return ATLS_OK;
}

static enum atls_code fill_open(struct atls_session *s, const struct atls_established *e,
                                struct atls_err *err)
{
    const struct atls_config_options *o = &s->config->options;
    enum atls_code code;

    s->inner_protocol = strcpy(s->inner_storage, e->inner_protocol);
    s->gate_deadline_ms = s->own.deadline_ms = s->reattest_ms = ATLS_NEVER;
    s->out = atls_writer_init(2 * ATLS_OUTPUT_ROOM);
    s->hello_received = s->opened = s->raw_sent = s->raw_received = s->ends_by_tls = true;
    s->shown = e->shown;
    s->excused = o->require_peer && e->result == NULL; /* or it had been refused */
    if (s->role == ATLS_ROLE_SERVER)
        atls_gate_heard(s);
    if (e->result == NULL)
        return ATLS_OK;
    if ((code = atls_buf_copy(&s->spki, e->spki, err)) != ATLS_OK ||
        (code = atls_buf_copy(&s->certificate, e->certificate, err)) != ATLS_OK)
        return code;
    atls_session_set_result(s, atls_result_ref(e->result));
    s->attested = true;
    s->attested_at_s = atls_clock_wall_s(&s->config->options.clock);
    s->attestations = 1;
    return ATLS_OK;
}

enum atls_code atls_session_new_open(struct atls_config *config, const struct atls_tls *tls,
                                     const struct atls_established *established,
                                     struct atls_session **out, struct atls_err *err)
{
    struct atls_session *s;
    enum atls_code code;

    if ((code = check_tls(&config->options, tls, err)) != ATLS_OK ||
        (code = check_established(config, established, err)) != ATLS_OK)
        return code;
    if ((s = calloc(1, sizeof *s)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "session: out of memory");
    s->config = atls_config_ref(config);
    s->jobs_end = &s->jobs;
    s->role = tls->role;
    s->hash = tls->hash;
    if ((code = fill_open(s, established, err)) != ATLS_OK) {
        atls_session_free(s);
        return code;
    }
    *out = s;
    return ATLS_OK;
}

void atls_session_free(struct atls_session *s)
{
    if (s == NULL)
        return;
    while (s->jobs != NULL) {
        struct atls_job *job = s->jobs;

        s->jobs = job->next;
        atls_job_free(job);
    }
    free(s->slots);
    free(s->peer_name);
    atls_buf_clear(&s->tls_spki);
    atls_buf_clear(&s->own.raw);
    atls_buf_clear(&s->spki);
    atls_buf_clear(&s->certificate);
    atls_writer_clear(&s->body);
    atls_writer_clear(&s->held);
    atls_writer_clear(&s->out);
    atls_result_unref(s->result);
    atls_ea_free(s->ea);
    atls_config_unref(s->config);
    atls_wipe(s, sizeof *s);
    free(s);
}

/* ---- what next ---- */

enum atls_next atls_session_next(const struct atls_session *s)
{
    if (s->out.len != s->out_done)
        return ATLS_NEXT_OUTPUT;
    if (s->closed)
        return ATLS_NEXT_CLOSED;
    if (s->jobs != NULL)
        return ATLS_NEXT_JOB;
    return atls_gate_is_open(s) ? ATLS_NEXT_OPEN : ATLS_NEXT_INPUT;
}

bool atls_session_is_open(const struct atls_session *s)
{
    return atls_gate_is_open(s);
}

const struct atls_err *atls_session_error(const struct atls_session *s)
{
    return &s->error;
}

/* True when what the peer showed was made for a challenge of ours, not before. */
static bool is_challenged(const struct atls_config *c)
{
    const struct atls_verifier *v = c->options.verifier;

    return atls_verifier_input(v) == ATLS_VERIFIER_TAKES_EVIDENCE || atls_verifier_wants_binder(v);
}

static const char *binding_of(const struct atls_config *c)
{
    return is_challenged(c) && c->options.flavour != ATLS_FLAVOUR_PRE ? "connection" : "key";
}

static const char *freshness_of(const struct atls_config *c)
{
    if (!is_challenged(c))
        return "none";
    if (c->options.flavour != ATLS_FLAVOUR_PRE)
        return "connection";
    return c->options.freshness == ATLS_FRESHNESS_NONCE ? "nonce" : "none";
}

void atls_session_peer(const struct atls_session *s, struct atls_peer *out)
{
    *out = (struct atls_peer){
        .attested = s->attested,
        .result = s->result,
        .evidence_type = s->appraised ? s->evidence_type : "",
        .binding = s->appraised ? binding_of(s->config) : "",
        .insecure = s->insecure,
        .attested_at_s = s->attested_at_s,
        .attestations = s->attestations,
        .spki = atls_buf_bytes(&s->spki),
        .certificate = atls_buf_bytes(&s->certificate),
        .inner_protocol = s->inner_protocol,
        .self_attested = s->self_attested,
        .flavour = s->config->options.flavour,
        .freshness = s->appraised ? freshness_of(s->config) : "",
        .shown = s->shown,
        .status = s->status,
        .unattested = s->excused,
    };
}

void atls_session_set_result(struct atls_session *s, struct atls_result *result)
{
    atls_result_unref(s->result);
    s->result = result;
    s->appraised = result != NULL;
    s->insecure = result != NULL && atls_result_insecure(result);
    s->status = result == NULL ? ATLS_TIER_NONE : atls_result_status(result);
    s->evidence_type = result == NULL ? "" : atls_result_evidence_type(result);
}

void atls_session_peer_release(struct atls_session *s)
{
    if (!s->attested)
        return;
    atls_result_unref(s->result);
    s->result = NULL;
    atls_buf_clear(&s->certificate);
}

/* ---- input ---- */

static enum atls_code closed(const struct atls_session *s, struct atls_err *err)
{
    if (s->error.code == ATLS_OK)
        return atls_fail(err, ATLS_E_CLOSED, "session: closed");
    if (err != NULL)
        *err = s->error;
    return s->error.code;
}

enum atls_code atls_session_input(struct atls_session *s, struct atls_bytes bytes,
                                  size_t *out_consumed, struct atls_err *err)
{
    struct atls_err cause = ATLS_ERR_INIT;
    size_t consumed = 0;
    enum atls_code code;

    if (s->closed)
        return closed(s, err);
    code = atls_receive(s, bytes, &consumed, &cause);
    if ((code = atls_gate_settle(s, code, &cause, err)) == ATLS_OK)
        *out_consumed = consumed;
    return code;
}

/* Over, once the data of both directions have ended. */
static enum atls_code end_by_both(struct atls_session *s, struct atls_err *err)
{
    const struct atls_err none = ATLS_ERR_INIT;

    if (s->end_sent && s->end_received)
        (void)atls_gate_end(s, &none, err);
    return ATLS_OK;
}

enum atls_code atls_session_input_end(struct atls_session *s, struct atls_err *err)
{
    struct atls_err cause = ATLS_ERR_INIT;
    enum atls_code code = ATLS_OK;

    if (s->closed)
        return s->error.code == ATLS_OK ? ATLS_OK : closed(s, err);
    if (s->ends_by_tls) {
        s->end_received = true;
        return end_by_both(s, err);
    }
    s->peer_ended = true;
    if (!s->raw_received)
        code = atls_fail(&cause, ATLS_E_CLOSED, "peer: ended TLS without CLOSE%s",
                         s->opened ? "" : ", before the gate opened");
    (void)atls_gate_end(s, &cause, err);
    return code;
}

size_t atls_session_input_wanted(const struct atls_session *s)
{
    if (s->closed || s->raw_received)
        return 0;
    if (s->header_len < sizeof s->header)
        return sizeof s->header - s->header_len;
    return s->frame.type == ATLS_FRAME_DATA && !atls_gate_is_withdrawn(s) ? 0 : s->body_left;
}

/* ---- output ---- */

struct atls_bytes atls_session_output(const struct atls_session *s)
{
    return s->out.len == s->out_done
               ? atls_bytes_of(NULL, 0)
               : atls_bytes_of(s->out.ptr + s->out_done, s->out.len - s->out_done);
}

void atls_session_output_done(struct atls_session *s, size_t len)
{
    size_t left = s->out.len - s->out_done;

    s->out_done += len < left ? len : left;
    if (s->out_done != s->out.len)
        return;
    s->out.len = s->out_done = 0; /* the memory serves the next frame */
    if (s->out.cap > ATLS_OUTPUT_ROOM || s->closed)
        atls_writer_clear(&s->out);
}

void atls_session_trim(struct atls_session *s)
{
    if (s->out.len == s->out_done)
        atls_writer_clear(&s->out);
    if (s->out.len == 0)
        s->out_done = 0;
}

/* ---- jobs ---- */

struct atls_job *atls_session_job(struct atls_session *s)
{
    struct atls_job *job = s->jobs;

    if (job == NULL)
        return NULL;
    s->jobs = job->next;
    job->next = NULL;
    if (s->jobs == NULL)
        s->jobs_end = &s->jobs;
    return job;
}

enum atls_code atls_session_complete(struct atls_session *s, struct atls_job *job,
                                     struct atls_err *err)
{
    struct atls_err cause = ATLS_ERR_INIT;
    struct atls_post_job *post;
    enum atls_code code;

    if (job->owner != s) {
        atls_job_free(job);
        return atls_fail(err, ATLS_E_USAGE, "session: the job is of another session");
    }
    if (s->closed) {
        atls_job_free(job);
        return ATLS_OK;
    }
    post = (struct atls_post_job *)job; /* a session gives out no other kind */
    code = post->type == ATLS_JOB_ATTEST ? atls_receive_attested(s, post, &cause)
                                         : atls_receive_appraised(s, post, &cause);
    atls_job_free(job);
    if (code == ATLS_OK)
        atls_gate_update(s);
    return atls_gate_settle(s, code, &cause, err);
}

/* ---- application data ---- */

struct atls_bytes atls_session_read(const struct atls_session *s)
{
    if (!atls_gate_is_open(s))
        return atls_bytes_of(NULL, 0);
    if (s->held.len != s->held_read)
        return atls_bytes_of(s->held.ptr + s->held_read, s->held.len - s->held_read);
    return s->data;
}

void atls_session_read_done(struct atls_session *s, size_t len)
{
    size_t left = atls_session_read(s).len;

    if (len > left)
        len = left;
    if (s->held.len == s->held_read) {
        s->data = len == s->data.len ? atls_bytes_of(NULL, 0)
                                     : atls_bytes_of(s->data.ptr + len, s->data.len - len);
        return;
    }
    s->held_read += len;
    if (s->held_read == s->held.len) {
        atls_writer_clear(&s->held);
        s->held_read = 0;
    }
}

size_t atls_session_data_left(const struct atls_session *s)
{
    if (!atls_gate_is_open(s) || atls_session_read(s).len != 0)
        return 0;
    if (s->raw_received)
        return s->end_received ? 0 : SIZE_MAX;
    return s->header_len == sizeof s->header && s->frame.type == ATLS_FRAME_DATA ? s->body_left : 0;
}

void atls_session_data_taken(struct atls_session *s, size_t len)
{
    size_t left = atls_session_data_left(s);

    if (s->raw_received) {
        if (len != 0)
            atls_gate_heard(s);
        return;
    }
    s->body_left -= (uint32_t)(len < left ? len : left);
    if (left != 0 && s->body_left == 0)
        s->header_len = 0;
}

static enum atls_code may_write(const struct atls_session *s, struct atls_err *err)
{
    if (s->closed)
        return closed(s, err);
    if (!atls_gate_is_open(s))
        return atls_fail_reason(err, ATLS_E_USAGE, ATLS_REASON_GATE_CLOSED,
                                "session: the gate is closed, nothing can be sent");
    if (s->end_sent)
        return atls_fail(err, ATLS_E_USAGE, "session: our data had ended, nothing can be sent");
    return ATLS_OK;
}

/* How much of len bytes of data fits into the output, behind their header. */
static size_t writable(const struct atls_session *s, size_t len)
{
    const size_t used = s->out.len - s->out_done + (s->raw_sent ? 0 : ATLS_FRAME_HEADER_LEN);

    if (used >= ATLS_OUTPUT_ROOM)
        return 0;
    return len < ATLS_OUTPUT_ROOM - used ? len : ATLS_OUTPUT_ROOM - used;
}

enum atls_code atls_session_write(struct atls_session *s, struct atls_bytes bytes,
                                  size_t *out_accepted, struct atls_err *err)
{
    struct atls_err cause = ATLS_ERR_INIT;
    const size_t len = writable(s, bytes.len);
    enum atls_code code = may_write(s, err);

    if (code != ATLS_OK)
        return code;
    if (len != 0) {
        if (!s->raw_sent)
            atls_frame_header_put(&s->out, ATLS_FRAME_DATA, (uint32_t)len);
        atls_put_bytes(&s->out, atls_bytes_of(bytes.ptr, len));
        code = atls_gate_settle(s, ATLS_OK, &cause, err);
    }
    if (code == ATLS_OK)
        *out_accepted = len;
    return code;
}

enum atls_code atls_session_head(const struct atls_session *s, size_t len,
                                 struct atls_session_head *out, struct atls_err *err)
{
    const enum atls_code code = may_write(s, err);

    if (code != ATLS_OK)
        return code;
    *out = (struct atls_session_head){{0}, 0, 0};
    /* Behind what the output holds it would come too early. */
    if (s->out.len != s->out_done || (out->data_len = writable(s, len)) == 0 || s->raw_sent)
        return ATLS_OK;
    out->len = ATLS_FRAME_HEADER_LEN;
    out->bytes[0] = ATLS_FRAME_DATA;
    out->bytes[1] = (uint8_t)(out->data_len >> 16);
    out->bytes[2] = (uint8_t)(out->data_len >> 8);
    out->bytes[3] = (uint8_t)out->data_len;
    return ATLS_OK;
}

enum atls_code atls_session_end(struct atls_session *s, struct atls_err *err)
{
    struct atls_err cause = ATLS_ERR_INIT;

    if (s->closed)
        return closed(s, err);
    if (s->ends_by_tls) {
        s->end_sent = true;
        return end_by_both(s, err);
    }
    if (!atls_gate_is_open(s) || s->raw_sent)
        return atls_fail_reason(
            err, ATLS_E_USAGE, s->raw_sent ? ATLS_REASON_NONE : ATLS_REASON_GATE_CLOSED,
            "session: our data cannot end: %s", s->raw_sent ? "raw mode" : "the gate is closed");
    if (s->end_sent)
        return ATLS_OK;
    s->end_sent = true;
    atls_frame_header_put(&s->out, ATLS_FRAME_END, 0);
    return atls_gate_settle(s, ATLS_OK, &cause, err);
}

bool atls_session_peer_ended(const struct atls_session *s)
{
    return s->end_received && s->data.len == 0 && s->held.len == s->held_read;
}

/* ---- time ---- */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t reattest_due(const struct atls_session *s)
{
    if (s->own.state != ATLS_REQUEST_NONE || !s->opened || s->raw_sent)
        return ATLS_NEVER;
    return s->own.again ? 0 : s->reattest_ms;
}

int64_t atls_session_deadline_ms(const struct atls_session *s)
{
    if (s->closed)
        return ATLS_NEVER;
    return least(least(s->gate_deadline_ms, s->own.deadline_ms), reattest_due(s));
}

/* What the gate still waits for, for the person who reads the error. */
static const char *waiting_for(const struct atls_session *s)
{
    if (!s->hello_received)
        return "the peer's HELLO";
    if (s->config->options.require_peer && !s->attested && !s->excused)
        return s->own.state == ATLS_REQUEST_ASKED ? "the peer's authenticator" : "our verifier";
    if (s->peer_id == 0)
        return "the peer's request";
    for (uint32_t i = 0; i < s->config->options.peer_requests_outstanding; i++)
        if (s->slots[i].state == ATLS_SLOT_ASKED)
            return "our attester";
    return "the peer's verdict";
}

static enum atls_code pass_answer_deadline(struct atls_session *s, struct atls_err *cause)
{
    const struct atls_config_options *o = &s->config->options;

    s->own.deadline_ms = ATLS_NEVER;
    atls_fail_reason(cause, ATLS_E_TIMEOUT, ATLS_REASON_DEADLINE,
                     "re-attestation took longer than %u ms, waiting for %s", o->answer_timeout_ms,
                     s->own.state == ATLS_REQUEST_ASKED ? "the peer's authenticator"
                                                        : "our verifier");
    if (o->on_failure == ATLS_ON_FAILURE_CLOSE)
        return cause->code;
    atls_gate_withdraw(s, cause); /* the late answer may open the gate again */
    return ATLS_OK;
}

enum atls_code atls_session_tick(struct atls_session *s, struct atls_err *err)
{
    struct atls_err cause = ATLS_ERR_INIT;
    int64_t now = atls_gate_now(s);
    enum atls_code code = ATLS_OK;

    if (now < atls_session_deadline_ms(s))
        return ATLS_OK;
    if (now >= s->gate_deadline_ms)
        code = atls_fail_reason(&cause, ATLS_E_TIMEOUT, ATLS_REASON_DEADLINE,
                                "gate not open after %u ms, waiting for %s",
                                s->config->options.gate_timeout_ms, waiting_for(s));
    else if (now >= s->own.deadline_ms)
        code = pass_answer_deadline(s, &cause);
    else
        code = atls_gate_request(s, &cause);
    return atls_gate_settle(s, code, &cause, err);
}

enum atls_code atls_session_reattest(struct atls_session *s, struct atls_err *err)
{
    struct atls_err cause = ATLS_ERR_INIT;

    if (s->closed)
        return closed(s, err);
    if (!s->config->options.require_peer || !s->opened || s->raw_sent || s->excused)
        return atls_fail(err, ATLS_E_USAGE, "session: cannot re-attest: %s",
                         !s->config->options.require_peer ? "require_peer is off"
                         : s->config->options.flavour != ATLS_FLAVOUR_POST
                             ? "this flavour attests once, connect anew"
                         : s->raw_sent ? "raw mode"
                         : s->excused  ? "the peer passed unattested, connect anew"
                                       : "the gate never opened");
    if (s->own.state != ATLS_REQUEST_NONE) {
        s->own.again = true;
        return ATLS_OK;
    }
    return atls_gate_settle(s, atls_gate_request(s, &cause), &cause, err);
}

void atls_session_close(struct atls_session *s)
{
    struct atls_err orderly = ATLS_ERR_INIT;

    (void)atls_gate_end(s, &orderly, NULL);
}
