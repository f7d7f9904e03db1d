#include <stdlib.h>
#include <string.h>

#include "bind/binder.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/reader.h"
#include "core/secret.h"
#include "flavour/post/session.h"

/* ---- the peer's refusals ---- */

/* What the peer says of us, as an error of ours. If it misses an answer that our own attester could
 * not give, that failure is the cause. */
static enum atls_code refused(const struct atls_session *s, const struct atls_status_frame *frame,
                              struct atls_err *err)
{
    const struct atls_carrier_code_row *row = atls_carrier_code_row(frame->code);
    char text[200];

    if (frame->code == ATLS_CARRIER_NOT_ATTESTED && s->own_failure.code != ATLS_OK) {
        *err = s->own_failure;
        return err->code;
    }
    return atls_fail_reason(err, row->received, ATLS_REASON_PEER_REFUSED, "peer: %s (%s)",
                            row->name, atls_escape(frame->text, text, sizeof text));
}

/* ---- HELLO ---- */

static enum atls_code no_common(struct atls_err *err, const char *why)
{
    return atls_fail_reason(err, ATLS_E_PROTOCOL, ATLS_REASON_NO_COMMON_PARAMETERS,
                            "negotiation: %s", why);
}

static enum atls_code none_accepted(const char *what, struct atls_bytes offered,
                                    struct atls_err *err)
{
    struct atls_bytes name;
    char text[64];

    if (!atls_names_next(&offered, &name))
        return atls_fail_reason(err, ATLS_E_PROTOCOL, ATLS_REASON_NO_COMMON_PARAMETERS,
                                "negotiation: the peer attests but offers no type of %s", what);
    return atls_fail_reason(err, ATLS_E_PROTOCOL, ATLS_REASON_NO_COMMON_PARAMETERS,
                            "negotiation: the peer offers %s of type \"%s\"%s, none of which is "
                            "accepted here",
                            what, atls_escape(name, text, sizeof text),
                            offered.len != 0 ? ", ..." : "");
}

static bool takes_evidence(const struct atls_session *s)
{
    return s->config->options.require_peer &&
           atls_verifier_input(s->config->options.verifier) == ATLS_VERIFIER_TAKES_EVIDENCE;
}

/* The peer is to attest: with something that we accept. */
static enum atls_code negotiate_peer(const struct atls_session *s, const struct atls_hello *hello,
                                     struct atls_err *err)
{
    bool evidence = takes_evidence(s);
    struct atls_bytes offered =
        hello->names[evidence ? ATLS_NAMES_EVIDENCE_OFFERED : ATLS_NAMES_RESULTS_OFFERED];

    if (!s->config->options.require_peer)
        return (hello->flags & ATLS_HELLO_REQUIRES_SELF) == 0
                   ? ATLS_OK
                   : no_common(err, "the peer goes on only when it is asked to attest, and "
                                    "require_peer is off");
    if (s->config->options.peer_optional) /* who has nothing for us declines */
        return ATLS_OK;
    if ((hello->flags & ATLS_HELLO_ATTESTS) == 0)
        return no_common(err, "the peer does not attest, and require_peer is on");
    if (atls_names_common(offered,
                          atls_config_names(s->config, evidence ? ATLS_NAMES_EVIDENCE_ACCEPTED
                                                                : ATLS_NAMES_RESULTS_ACCEPTED))
            .len != 0)
        return ATLS_OK;
    return none_accepted(evidence ? "evidence" : "attestation result", offered, err);
}

static bool is_common(const struct atls_session *s, enum atls_names ours,
                      const struct atls_hello *hello, enum atls_names theirs)
{
    return atls_names_common(atls_config_names(s->config, ours), hello->names[theirs]).len != 0;
}

/* We are to attest: with something that the peer accepts, evidence before a result about it. */
static enum atls_code choose_own(struct atls_session *s, const struct atls_hello *hello,
                                 struct atls_err *err)
{
    const struct atls_config_options *o = &s->config->options;

    if ((hello->flags & ATLS_HELLO_REQUIRES) == 0)
        return o->require_self ? no_common(err, "the peer does not ask for our attestation, and "
                                                "require_self is on")
                               : ATLS_OK;
    if (o->attester == NULL)
        return no_common(err, "the peer requires our attestation, and there is no attester");
    if (is_common(s, ATLS_NAMES_EVIDENCE_OFFERED, hello, ATLS_NAMES_EVIDENCE_ACCEPTED))
        return ATLS_OK;
    s->shows_result = is_common(s, ATLS_NAMES_RESULTS_OFFERED, hello, ATLS_NAMES_RESULTS_ACCEPTED);
    if (s->shows_result)
        return ATLS_OK;
    if (hello->names[ATLS_NAMES_RESULTS_ACCEPTED].len != 0 && o->passport == NULL)
        return no_common(err, "the peer accepts attestation results, and there is no passport");
    return atls_fail_reason(err, ATLS_E_PROTOCOL, ATLS_REASON_NO_COMMON_PARAMETERS,
                            "negotiation: the peer does not accept evidence of type \"%s\"%s",
                            atls_attester_evidence_type(o->attester),
                            o->passport != NULL ? " nor results of ours" : "");
}

/* Those profiles of a list that we know. */
static unsigned int known_profiles(struct atls_bytes names)
{
    struct atls_bytes one;
    unsigned int profiles = 0;
    char name[256];

    while (atls_names_next(&names, &one)) {
        memcpy(name, one.ptr, one.len);
        name[one.len] = '\0';
        if (strlen(name) == one.len)
            profiles |= atls_evidence_profile_find(name);
    }
    return profiles;
}

/* Evidence of the peer comes in a profile that we take. */
static enum atls_code negotiate_profiles(const struct atls_session *s,
                                         const struct atls_hello *hello, struct atls_err *err)
{
    const struct atls_bytes offered = hello->names[ATLS_NAMES_PROFILES_OFFERED];
    const struct atls_bytes taken = hello->names[ATLS_NAMES_PROFILES];

    if (takes_evidence(s) && !s->config->options.peer_optional &&
        (known_profiles(offered.len != 0 ? offered : taken) & s->config->profiles) == 0)
        return no_common(err, "the peer's evidence comes in no profile that is accepted");
    return ATLS_OK;
}

/* And ours in one that the peer takes. */
static enum atls_code choose_profile(struct atls_session *s, const struct atls_hello *hello,
                                     struct atls_err *err)
{
    s->peer_profiles = known_profiles(hello->names[ATLS_NAMES_PROFILES]);
    if ((hello->flags & ATLS_HELLO_REQUIRES) != 0 && !s->shows_result &&
        (s->peer_profiles & atls_attester_profiles(s->config->options.attester)) == 0)
        return no_common(err, "the peer takes no profile that our evidence comes in");
    return ATLS_OK;
}

/* Where the peer does not insist, what we cannot show is declined; unless we insist. */
static enum atls_code negotiate_self(struct atls_session *s, const struct atls_hello *hello,
                                     struct atls_err *err)
{
    struct atls_err cause = ATLS_ERR_INIT;
    enum atls_code code = choose_own(s, hello, &cause);

    if (code == ATLS_OK)
        code = choose_profile(s, hello, &cause);
    if (code == ATLS_OK)
        return ATLS_OK;
    if (!hello->optional || s->config->options.require_self) {
        *err = cause;
        return code;
    }
    s->declines = true;
    s->own_failure = cause;
    return ATLS_OK;
}

static enum atls_code negotiate(struct atls_session *s, const struct atls_hello *hello,
                                struct atls_err *err)
{
    enum atls_code code;

    if ((code = negotiate_peer(s, hello, err)) != ATLS_OK ||
        (code = negotiate_profiles(s, hello, err)) != ATLS_OK)
        return code;
    return negotiate_self(s, hello, err);
}

/* The server chooses among the client's inner protocols; the client checks the choice. */
static enum atls_code choose_inner(struct atls_session *s, const struct atls_hello *hello,
                                   struct atls_err *err)
{
    struct atls_bytes ours = atls_config_names(s->config, ATLS_NAMES_INNER_PROTOCOLS);
    struct atls_bytes theirs = hello->names[ATLS_NAMES_INNER_PROTOCOLS], chosen, rest = theirs;

    if (theirs.len == 0 || (s->role == ATLS_ROLE_SERVER && ours.len == 0))
        return ATLS_OK;
    if (s->role == ATLS_ROLE_SERVER) {
        chosen = atls_names_common(ours, theirs);
        if (chosen.len == 0)
            return no_common(err, "no inner protocol of the client is spoken here");
    } else if (!atls_names_next(&rest, &chosen) || rest.len != 0 ||
               !atls_names_contain(ours, chosen)) {
        return atls_fail(err, ATLS_E_PROTOCOL,
                         "HELLO: the server must choose one inner protocol out of ours");
    }
    memcpy(s->inner_storage, chosen.ptr, chosen.len);
    s->inner_storage[chosen.len] = '\0';
    return ATLS_OK;
}

static enum atls_code receive_hello(struct atls_session *s, struct atls_bytes body,
                                    struct atls_err *err)
{
    struct atls_hello hello;
    struct atls_err unsent = ATLS_ERR_INIT;
    enum atls_code code, sent = ATLS_OK;

    if ((code = atls_hello_decode(body, &hello, err)) != ATLS_OK)
        return code;
    s->hello_received = true;
    s->peer_flags = hello.flags;
    s->peer_optional = hello.optional;
    s->peer_frame_max = hello.frame_max;
    code = choose_inner(s, &hello, err);
    if (s->role == ATLS_ROLE_SERVER)
        sent = atls_gate_first_flight(s, &unsent);
    if (code == ATLS_OK && sent != ATLS_OK) {
        *err = unsent;
        return sent;
    }
    return code == ATLS_OK ? negotiate(s, &hello, err) : code;
}

/* ---- the peer asks ---- */

static struct atls_slot *find_slot(struct atls_session *s, enum atls_slot_state state, uint32_t id)
{
    for (uint32_t i = 0; i < s->config->options.peer_requests_outstanding; i++)
        if (s->slots[i].state == state && (state == ATLS_SLOT_FREE || s->slots[i].id == id))
            return &s->slots[i];
    return NULL;
}

static void queue(struct atls_session *s, struct atls_post_job *job, uint32_t id)
{
    job->base.owner = s;
    job->id = id;
    job->hash = s->hash;
    *s->jobs_end = &job->base;
    s->jobs_end = &job->base.next;
}

/* Refuses a request authentically; the cause stays to explain what the peer makes of it. */
static enum atls_code decline(struct atls_session *s, struct atls_slot *slot,
                              struct atls_post_job *job, struct atls_err *err)
{
    const struct atls_err *cause = &job->base.err;
    char text[ATLS_FRAME_TEXT_MAX + 1];
    struct atls_buf empty = ATLS_BUF_INIT;
    struct atls_status_frame frame = {.id = slot->id, .code = ATLS_CARRIER_UNAVAILABLE};
    enum atls_code code = atls_ea_answer_decline(job->answer, &empty, err);

    if (code != ATLS_OK)
        return code;
    if (s->declines)
        frame.code = ATLS_CARRIER_NO_COMMON_PARAMETERS;
    frame.text = atls_gate_text(frame.code, cause->reason, text);
    frame.authenticator = atls_buf_bytes(&empty);
    atls_decline_put(&s->out, &frame);
    atls_buf_clear(&empty);
    slot->state = ATLS_SLOT_ANSWERED;
    slot->declined = true;
    s->own_failure = *cause;
    atls_log(&s->config->options.log, s->declines ? ATLS_LOG_INFO : ATLS_LOG_ERROR, "session",
             "declined to attest: %s: %s", atls_code_name(cause->code), cause->message);
    return ATLS_OK;
}

static enum atls_code prepare(struct atls_session *s, const struct atls_ea_request *request,
                              struct atls_post_job *job, struct atls_err *err)
{
    enum atls_signature ours;
    enum atls_code code;

    if (s->declines) {
        job->base.err = s->own_failure;
        return atls_ea_prepare(s->ea, request->raw, &job->answer, err);
    }
    ours = atls_attester_aik_scheme(s->config->options.attester);
    if ((code = atls_binder_export(s->exporter, s->exporter_arg, request->context, job->exported,
                                   err)) != ATLS_OK ||
        (code = atls_ea_prepare(s->ea, request->raw, &job->answer, err)) != ATLS_OK)
        return code;
    job->frame_max = s->peer_frame_max;
    job->proof.shows_result = s->shows_result;
    job->proof.echoes_binder = (s->peer_flags & ATLS_HELLO_BINDER_ECHO) != 0;
    job->scheme = atls_ea_choose_scheme(request, &ours, 1);
    if (job->scheme == ATLS_SIGNATURE_NONE)
        atls_fail_reason(&job->base.err, ATLS_E_UNSUPPORTED, ATLS_REASON_SCHEME_NOT_OFFERED,
                         "the peer does not verify signatures of our attestation identity key "
                         "(scheme 0x%04x)",
                         (unsigned int)ours);
    return ATLS_OK;
}

static enum atls_code start_attesting(struct atls_session *s, struct atls_slot *slot,
                                      const struct atls_ea_request *request, struct atls_err *err)
{
    struct atls_post_job *job = atls_post_job_new(ATLS_JOB_ATTEST, s->config);
    enum atls_code code;

    if (job == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "session: out of memory");
    job->proof.profiles = s->peer_profiles;
    code = prepare(s, request, job, err);
    if (code == ATLS_OK && job->scheme != ATLS_SIGNATURE_NONE) {
        queue(s, job, slot->id);
        return ATLS_OK;
    }
    if (code == ATLS_OK)
        code = decline(s, slot, job, err);
    atls_job_free(&job->base);
    return code;
}

static enum atls_code receive_request(struct atls_session *s, struct atls_bytes body,
                                      struct atls_err *err)
{
    const struct atls_config_options *o = &s->config->options;
    struct atls_slot *slot = find_slot(s, ATLS_SLOT_FREE, 0);
    struct atls_message_frame frame;
    struct atls_ea_request request;
    enum atls_code code;

    if ((code = atls_message_frame_decode(body, &frame, err)) != ATLS_OK)
        return code;
    if ((s->peer_flags & ATLS_HELLO_REQUIRES) == 0)
        return atls_fail(err, ATLS_E_PROTOCOL,
                         "REQUEST: the peer's HELLO does not say that it requires attestation");
    if (s->peer_id == UINT32_MAX || frame.id != s->peer_id + 1)
        return atls_fail(err, ATLS_E_PROTOCOL, "REQUEST: id is %u, want the one after %u", frame.id,
                         s->peer_id);
    if (slot == NULL)
        return atls_fail_reason(err, ATLS_E_LIMIT, ATLS_REASON_FLOOD,
                                "REQUEST: more than %u of the peer are outstanding",
                                o->peer_requests_outstanding);
    if (!atls_meter_take(&s->meter, atls_gate_now(s)))
        return atls_fail_reason(err, ATLS_E_LIMIT, ATLS_REASON_FLOOD,
                                "REQUEST: more than %u a minute", o->peer_requests_per_minute);
    s->peer_id = frame.id;
    if ((code = atls_ea_accept_request(s->ea, frame.message, &request, err)) != ATLS_OK)
        return code;
    if (!request.attestation)
        return atls_fail_reason(err, ATLS_E_PROTOCOL, ATLS_REASON_EXTENSION_NOT_OFFERED,
                                "REQUEST: does not offer cmw_attestation");
    *slot = (struct atls_slot){.state = ATLS_SLOT_ASKED, .id = frame.id};
    return start_attesting(s, slot, &request, err);
}

enum atls_code atls_receive_attested(struct atls_session *s, struct atls_post_job *job,
                                     struct atls_err *err)
{
    struct atls_slot *slot = find_slot(s, ATLS_SLOT_ASKED, job->id);

    if (slot == NULL)
        return atls_fail(err, ATLS_E_USAGE, "session: no request %u to complete", job->id);
    if (job->base.code != ATLS_OK)
        return decline(s, slot, job, err);
    atls_message_frame_put(&s->out, ATLS_FRAME_AUTHENTICATOR, slot->id,
                           atls_buf_bytes(&job->authenticator));
    slot->state = ATLS_SLOT_ANSWERED;
    s->shown = true;
    return ATLS_OK;
}

/* The peer lets us pass, who declined, having said that attestation is optional. */
static bool is_excused(const struct atls_session *s, const struct atls_slot *slot,
                       const struct atls_status_frame *verdict)
{
    return slot->declined && s->peer_optional && !s->opened &&
           verdict->code == ATLS_CARRIER_NOT_ATTESTED;
}

static enum atls_code receive_verdict(struct atls_session *s, struct atls_bytes body,
                                      struct atls_err *err)
{
    struct atls_status_frame frame;
    struct atls_slot *slot;
    enum atls_code code;

    if ((code = atls_verdict_decode(body, &frame, err)) != ATLS_OK)
        return code;
    if ((slot = find_slot(s, ATLS_SLOT_ANSWERED, frame.id)) == NULL)
        return atls_fail(err, ATLS_E_PROTOCOL, "VERDICT: id %u is of no request that was answered",
                         frame.id);
    slot->state = ATLS_SLOT_FREE;
    if (slot->declined && frame.code == ATLS_CARRIER_OK)
        return atls_fail(err, ATLS_E_PROTOCOL, "VERDICT: accepts what we declined to show");
    s->self_attested = frame.code == ATLS_CARRIER_OK;
    if (s->self_attested) {
        s->own_failure.code = ATLS_OK;
        s->self_excused = false;
        return ATLS_OK;
    }
    if (is_excused(s, slot, &frame)) {
        s->self_excused = !s->config->options.require_self;
        return s->self_excused ? ATLS_OK : refused(s, &frame, err);
    }
    if (s->opened) /* CLOSE follows, or a new request that may bring the right to send back */
        return ATLS_OK;
    s->peer_ended = true;
    return refused(s, &frame, err);
}

/* ---- the peer answers ---- */

static enum atls_code check_answer(const struct atls_session *s, const char *frame, uint32_t id,
                                   struct atls_err *err)
{
    if (s->own.state != ATLS_REQUEST_ASKED || s->own.id != id)
        return atls_fail(err, ATLS_E_PROTOCOL, "%s: id %u is of no open request", frame, id);
    return ATLS_OK;
}

static enum atls_code copy_text(char **out, const char *text, struct atls_err *err)
{
    size_t size;

    if (text == NULL)
        return ATLS_OK;
    size = strlen(text) + 1;
    if ((*out = malloc(size)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "session: out of memory");
    memcpy(*out, text, size);
    return ATLS_OK;
}

static enum atls_code receive_authenticator(struct atls_session *s, struct atls_bytes body,
                                            struct atls_err *err)
{
    struct atls_message_frame frame;
    struct atls_post_job *job;
    enum atls_code code;

    if ((code = atls_message_frame_decode(body, &frame, err)) != ATLS_OK ||
        (code = check_answer(s, "AUTHENTICATOR", frame.id, err)) != ATLS_OK)
        return code;
    if ((job = atls_post_job_new(ATLS_JOB_APPRAISE, s->config)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "session: out of memory");
    job->role = s->role;
    memcpy(job->exported, s->own.exported, sizeof job->exported);
    if ((code = copy_text(&job->peer_name, s->peer_name, err)) != ATLS_OK ||
        (code = atls_buf_copy(&job->tls_spki, atls_buf_bytes(&s->tls_spki), err)) != ATLS_OK ||
        (s->attestations != 0 &&
         (code = atls_buf_copy(&job->known, atls_buf_bytes(&s->spki), err)) != ATLS_OK) ||
        (code = atls_buf_copy(&job->authenticator, frame.message, err)) != ATLS_OK ||
        (code = atls_ea_validate_begin(s->ea, atls_buf_bytes(&s->own.raw), &job->validation,
                                       err)) != ATLS_OK) {
        atls_job_free(&job->base);
        return code;
    }
    s->own.state = ATLS_REQUEST_JUDGING;
    queue(s, job, frame.id);
    return ATLS_OK;
}

/* A refusal counts when its MAC is right, and never as success. */
static enum atls_code receive_decline(struct atls_session *s, struct atls_bytes body,
                                      struct atls_err *err)
{
    struct atls_status_frame frame;
    struct atls_ea_validation *validation;
    struct atls_ea_peer none;
    struct atls_err cause = ATLS_ERR_INIT;
    char text[200];
    enum atls_code code;

    if ((code = atls_decline_decode(body, &frame, err)) != ATLS_OK ||
        (code = check_answer(s, "DECLINE", frame.id, err)) != ATLS_OK ||
        (code = atls_ea_validate_begin(s->ea, atls_buf_bytes(&s->own.raw), &validation, err)) !=
            ATLS_OK)
        return code;
    code = atls_ea_validate_finish(validation, frame.authenticator, NULL, NULL, &none, err);
    atls_ea_validation_free(validation);
    if (code == ATLS_OK)
        return atls_fail(err, ATLS_E_PROTOCOL, "DECLINE: authenticator is not empty");
    if (code != ATLS_E_DECLINED)
        return code;
    atls_fail_reason(&cause, ATLS_E_DECLINED, ATLS_REASON_EMPTY_AUTHENTICATOR,
                     "peer: declined to attest: %s (%s)", atls_carrier_code_row(frame.code)->name,
                     atls_escape(frame.text, text, sizeof text));
    if (atls_gate_may_excuse(s))
        return atls_gate_excuse(s, &cause, err);
    *err = cause;
    return atls_gate_refuse(s, ATLS_CARRIER_NOT_ATTESTED, &cause);
}

static void accept_peer(struct atls_session *s, struct atls_post_job *job)
{
    const struct atls_config_options *o = &s->config->options;
    const struct atls_status_frame verdict = {.id = job->id, .code = ATLS_CARRIER_OK};

    atls_verdict_put(&s->out, &verdict);
    atls_gate_judged(s);
    s->attested = true;
    s->attested_at_s = atls_clock_wall_s(&o->clock);
    s->attestations++;
}

enum atls_code atls_receive_appraised(struct atls_session *s, struct atls_post_job *job,
                                      struct atls_err *err)
{
    if (s->own.state != ATLS_REQUEST_JUDGING || s->own.id != job->id)
        return atls_fail(err, ATLS_E_USAGE, "session: no answer %u to complete", job->id);
    if (job->result != NULL) {
        atls_buf_clear(&s->spki);
        atls_buf_clear(&s->certificate);
        atls_session_set_result(s, job->result);
        s->spki = job->spki; /* with a result it is the one of before, if there was one */
        s->certificate = job->certificate;
        job->result = NULL;
        job->spki = job->certificate = (struct atls_buf)ATLS_BUF_INIT;
    }
    if (job->base.code != ATLS_OK) {
        *err = job->base.err;
        return atls_gate_refuse(s, job->refusal, &job->base.err);
    }
    accept_peer(s, job);
    return ATLS_OK;
}

/* ---- the end, and raw ---- */

static enum atls_code receive_close(struct atls_session *s, struct atls_bytes body,
                                    struct atls_err *err)
{
    struct atls_status_frame frame;
    struct atls_err orderly = ATLS_ERR_INIT;
    enum atls_code code;

    if ((code = atls_close_decode(body, &frame, err)) != ATLS_OK)
        return code;
    s->peer_ended = true;
    if (frame.code != ATLS_CARRIER_OK)
        return refused(s, &frame, err);
    if (!s->opened)
        return atls_fail(err, ATLS_E_CLOSED, "peer: closed before the gate opened");
    (void)atls_gate_end(s, &orderly, NULL);
    return ATLS_OK;
}

static enum atls_code receive_raw(struct atls_session *s, struct atls_bytes body,
                                  struct atls_err *err)
{
    (void)body; /* empty: its length was checked */
    if (!s->config->options.raw || (s->peer_flags & ATLS_HELLO_RAW) == 0)
        return atls_fail(err, ATLS_E_PROTOCOL, "RAW: not negotiated");
    if (!atls_gate_is_open(s))
        return atls_fail_reason(err, ATLS_E_PROTOCOL, ATLS_REASON_GATE_CLOSED,
                                "RAW: the gate is closed");
    s->raw_received = true;
    return ATLS_OK;
}

static enum atls_code receive_end(struct atls_session *s, struct atls_bytes body,
                                  struct atls_err *err)
{
    (void)body; /* empty: its length was checked, and check_place looked at the rest */
    (void)err;
    s->end_received = true;
    return ATLS_OK;
}

/* ---- frames ---- */

static enum atls_code receive_frame(struct atls_session *s, struct atls_bytes body,
                                    struct atls_err *err)
{
    static enum atls_code (*const receivers[])(struct atls_session *, struct atls_bytes,
                                               struct atls_err *) = {
        [ATLS_FRAME_HELLO] = receive_hello,
        [ATLS_FRAME_REQUEST] = receive_request,
        [ATLS_FRAME_AUTHENTICATOR] = receive_authenticator,
        [ATLS_FRAME_DECLINE] = receive_decline,
        [ATLS_FRAME_VERDICT] = receive_verdict,
        [ATLS_FRAME_CLOSE] = receive_close,
        [ATLS_FRAME_RAW] = receive_raw,
        [ATLS_FRAME_END] = receive_end,
    };
    enum atls_code code = receivers[s->frame.type](s, body, err);

    s->header_len = 0;
    if (code == ATLS_OK)
        atls_gate_update(s);
    return code;
}

/* A frame of this type may come now (docs/carrier.md, table of frames). */
static enum atls_code check_place(const struct atls_session *s, enum atls_frame_type type,
                                  struct atls_err *err)
{
    const char *name = atls_frame_name((uint8_t)type);
    bool data = type == ATLS_FRAME_DATA || type == ATLS_FRAME_END;

    if (type == ATLS_FRAME_CLOSE)
        return ATLS_OK;
    if (!s->hello_received && type != ATLS_FRAME_HELLO)
        return atls_fail(err, ATLS_E_PROTOCOL, "%s: comes first, want HELLO", name);
    if (s->hello_received && type == ATLS_FRAME_HELLO)
        return atls_fail(err, ATLS_E_PROTOCOL, "HELLO: a second one");
    if (s->raw_sent && type != ATLS_FRAME_RAW)
        return atls_fail(err, ATLS_E_PROTOCOL, "%s: framing ends, want RAW", name);
    if (data && !atls_gate_is_open(s) && !atls_gate_is_withdrawn(s))
        return atls_fail_reason(err, ATLS_E_PROTOCOL, ATLS_REASON_GATE_CLOSED,
                                "%s: the gate is closed", name);
    if (data && s->end_received)
        return atls_fail(err, ATLS_E_PROTOCOL, "%s: comes behind END", name);
    return ATLS_OK;
}

static enum atls_code count_before_gate(struct atls_session *s, struct atls_err *err)
{
    const struct atls_config_options *o = &s->config->options;
    uint32_t size = s->frame.len + ATLS_FRAME_HEADER_LEN;

    if (s->opened)
        return ATLS_OK;
    if (++s->frames > o->frames_before_gate)
        return atls_fail_reason(err, ATLS_E_LIMIT, ATLS_REASON_FLOOD,
                                "more than %u frames before the gate opened",
                                o->frames_before_gate);
    if (size > o->bytes_before_gate - s->bytes)
        return atls_fail_reason(err, ATLS_E_LIMIT, ATLS_REASON_FLOOD,
                                "more than %u bytes before the gate opened", o->bytes_before_gate);
    s->bytes += size;
    return ATLS_OK;
}

/* The first len bytes or what there is; *bytes shrinks by them. */
static struct atls_bytes split(struct atls_bytes *bytes, uint32_t len)
{
    struct atls_bytes first = atls_bytes_of(bytes->ptr, bytes->len < len ? bytes->len : len);

    *bytes = atls_bytes_of(bytes->ptr + first.len, bytes->len - first.len);
    return first;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Completes the header; *bytes shrinks by what was taken. */
static enum atls_code take_header(struct atls_session *s, struct atls_bytes *bytes,
                                  struct atls_err *err)
{
    struct atls_bytes piece = split(bytes, (uint32_t)(sizeof s->header - s->header_len));
    enum atls_code code;

    memcpy(s->header + s->header_len, piece.ptr, piece.len);
    s->header_len += piece.len;
    if (s->header_len < sizeof s->header)
        return ATLS_OK;
    if ((code = atls_frame_header_decode(s->header, &s->frame, err)) != ATLS_OK ||
        (code = check_place(s, s->frame.type, err)) != ATLS_OK ||
        (code = count_before_gate(s, err)) != ATLS_OK)
        return code;
    s->body_left = s->frame.len;
    if (s->body_left == 0)
        return receive_frame(s, atls_bytes_of(NULL, 0), err);
    if (s->frame.type != ATLS_FRAME_DATA)
        s->body = atls_writer_init(s->frame.len);
    return ATLS_OK;
}

static enum atls_code take_data(struct atls_session *s, struct atls_bytes data,
                                struct atls_err *err)
{
    s->body_left -= (uint32_t)data.len;
    if (s->body_left == 0)
        s->header_len = 0;
    if (!atls_gate_is_withdrawn(s)) {
        s->data = data;
        return ATLS_OK;
    }
    atls_put_bytes(&s->held, data);
    if (s->held.failed == ATLS_E_LIMIT)
        return atls_fail_reason(err, ATLS_E_PROTOCOL, ATLS_REASON_GATE_CLOSED,
                                "DATA: more than %d bytes while the right to send is withdrawn",
                                ATLS_HELD_MAX);
    return s->held.failed == ATLS_OK ? ATLS_OK
                                     : atls_fail(err, ATLS_E_NOMEM, "session: out of memory");
}

/* Completes the body: in place when it came in one piece, otherwise collected. */
static enum atls_code take_body(struct atls_session *s, struct atls_bytes piece,
                                struct atls_err *err)
{
    struct atls_writer body;
    enum atls_code code;

    if (piece.len == s->frame.len)
        return receive_frame(s, piece, err);
    atls_put_bytes(&s->body, piece);
    if (s->body.failed != ATLS_OK)
        return atls_fail(err, s->body.failed, "session: out of memory for a frame");
    s->body_left -= (uint32_t)piece.len;
    if (s->body_left != 0)
        return ATLS_OK;
    body = s->body; /* taken aside: what it holds must outlive what the frame does to s */
    s->body = atls_writer_init(0);
    code = receive_frame(s, atls_writer_bytes(&body), err);
    atls_writer_clear(&body);
    return code;
}

enum atls_code atls_receive(struct atls_session *s, struct atls_bytes bytes, size_t *out_consumed,
                            struct atls_err *err)
{
    struct atls_bytes left = bytes;
    enum atls_code code = ATLS_OK;

    while (code == ATLS_OK && left.len != 0 && !s->closed && atls_session_read(s).len == 0) {
        if (s->raw_received) {
            atls_gate_heard(s);
            s->data = left;
            left = atls_bytes_of(NULL, 0);
        } else if (s->header_len < sizeof s->header) {
            code = take_header(s, &left, err);
        } else if (s->frame.type == ATLS_FRAME_DATA) {
            code = take_data(s, split(&left, least(s->body_left, ATLS_HELD_MAX)), err);
        } else {
            code = take_body(s, split(&left, s->body_left), err);
        }
    }
    *out_consumed = bytes.len - left.len;
    return code;
}
