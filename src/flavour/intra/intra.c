#include "flavour/intra/intra.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/secret.h"
#include "flavour/intra/state.h"

#define TLS13 0x0304

/* ---- beginning and end ---- */

/* What a ClientHello says; the same bytes every time it is asked for. */
static enum atls_code make_offer(struct atls_intra *intra, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(0xffff);
    struct atls_mark server, client;

    if (intra->own.schemes.count == 0 && intra->peer.schemes.count == 0)
        return atls_fail(err, ATLS_E_CONFIG,
                         "remoteAttestation: the configuration has no scheme "
                         "to offer");
    server = atls_open_vec(&w, 0xffff);
    atls_intra_schemes_put(&w, &intra->peer.schemes);
    atls_close_vec(&w, server);
    client = atls_open_vec(&w, 0xffff);
    atls_intra_schemes_put(&w, &intra->own.schemes);
    atls_close_vec(&w, client);
    if (w.failed == ATLS_E_LIMIT) {
        atls_writer_clear(&w);
        return atls_fail(err, ATLS_E_CONFIG,
                         "remoteAttestation: a technology or Verifier whose name no media type "
                         "or vector can hold");
    }
    return atls_writer_finish(&w, &intra->offer, err);
}

static enum atls_code fill(struct atls_intra *intra, struct atls_err *err)
{
    enum atls_code code;

    if ((code = atls_transcript_new(&intra->transcript, err)) != ATLS_OK ||
        (code = atls_intra_schemes_own(intra->config, &intra->own.schemes, err)) != ATLS_OK ||
        (code = atls_intra_schemes_peer(intra->config, &intra->peer.schemes, err)) != ATLS_OK)
        return code;
    return intra->role == ATLS_ROLE_CLIENT ? make_offer(intra, err) : ATLS_OK;
}

enum atls_code atls_intra_new(struct atls_config *config, enum atls_role role,
                              struct atls_intra **out, struct atls_err *err)
{
    struct atls_intra *intra = calloc(1, sizeof *intra);
    enum atls_code code;

    if (intra == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "remoteAttestation: out of memory");
    intra->config = atls_config_ref(config);
    intra->role = role;
    if ((code = fill(intra, err)) != ATLS_OK) {
        atls_intra_free(intra);
        return code;
    }
    *out = intra;
    return ATLS_OK;
}

static void clear_side(struct atls_intra_side *side)
{
    atls_buf_clear(&side->choice);
    atls_buf_clear(&side->spki);
    atls_buf_clear(&side->cmw);
    atls_wipe(&side->binder, sizeof side->binder);
}

static void forget_secret(struct atls_intra *intra)
{
    atls_wipe(intra->secret, sizeof intra->secret);
    intra->secret_len = 0;
}

void atls_intra_free(struct atls_intra *intra)
{
    if (intra == NULL)
        return;
    clear_side(&intra->own);
    clear_side(&intra->peer);
    forget_secret(intra);
    atls_buf_clear(&intra->offer);
    atls_transcript_free(intra->transcript);
    atls_config_unref(intra->config);
    free(intra);
}

enum atls_code atls_intra_begin(const struct atls_intra *intra, struct atls_err *err)
{
    if (intra->failed.code != ATLS_OK)
        *err = intra->failed;
    return intra->failed.code;
}

enum atls_code atls_intra_settle(struct atls_intra *intra, enum atls_code code,
                                 const struct atls_err *err)
{
    if (code == ATLS_OK)
        return code;
    forget_secret(intra);
    intra->failed = *err;
    return code;
}

/* ---- the transcript ---- */

bool atls_intra_has_hellos(const struct atls_intra *intra)
{
    return atls_transcript_hash(intra->transcript) != ATLS_HASH_NONE;
}

enum atls_code atls_intra_message(struct atls_intra *intra, struct atls_bytes whole,
                                  bool from_client, struct atls_err *err)
{
    struct atls_err local = ATLS_ERR_INIT, *e = err != NULL ? err : &local;
    enum atls_code code = atls_intra_begin(intra, e);

    if (code != ATLS_OK)
        return code;
    code = atls_transcript_add(intra->transcript, whole, from_client, e);
    return atls_intra_settle(intra, code, e);
}

static enum atls_code set_secret(struct atls_intra *intra, struct atls_bytes secret,
                                 struct atls_err *err)
{
    if (!intra->config->options.secret_binder)
        return atls_fail(err, ATLS_E_USAGE, "binder: no secret_binder is configured");
    if (secret.len != 32 && secret.len != 48)
        return atls_fail(err, ATLS_E_USAGE, "binder: secret of %zu bytes, want 32 or 48",
                         secret.len);
    if (intra->secret_len != 0 &&
        !atls_secret_equal(atls_bytes_of(intra->secret, intra->secret_len), secret))
        return atls_fail(err, ATLS_E_USAGE, "binder: another secret was set before");
    memcpy(intra->secret, secret.ptr, secret.len);
    intra->secret_len = secret.len;
    return ATLS_OK;
}

enum atls_code atls_intra_set_secret(struct atls_intra *intra, struct atls_bytes secret,
                                     struct atls_err *err)
{
    struct atls_err local = ATLS_ERR_INIT, *e = err != NULL ? err : &local;
    enum atls_code code = atls_intra_begin(intra, e);

    return code != ATLS_OK ? code : atls_intra_settle(intra, set_secret(intra, secret, e), e);
}

/* ---- binders ---- */

static enum atls_code make_binder(const struct atls_intra *intra, struct atls_bytes spki,
                                  struct atls_binder *out, struct atls_err *err)
{
    const struct atls_binder_handshake handshake = {
        .hash = atls_transcript_hash(intra->transcript),
        .transcript_hash = atls_transcript_hellos(intra->transcript),
        .spki = spki,
    };

    if (!intra->config->options.secret_binder)
        return atls_binder_intra(&handshake, out, err);
    if (intra->secret_len == 0)
        return atls_fail_reason(err, ATLS_E_CONFIG, ATLS_REASON_BINDER_MISSING,
                                "binder: secret_binder is configured, and the TLS library gave no "
                                "handshake traffic secret");
    return atls_binder_intra_secret(&handshake, atls_bytes_of(intra->secret, intra->secret_len),
                                    out, err);
}

/* Both sides use the same labels: with one key, evidence of one would pass for the other's. */
static enum atls_code bind_side(struct atls_intra *intra, struct atls_intra_side *side,
                                struct atls_bytes spki, struct atls_err *err)
{
    const struct atls_intra_side *other = side == &intra->own ? &intra->peer : &intra->own;
    struct atls_binder binder;
    struct atls_buf copy;
    enum atls_code code;

    if (side->scheme == NULL)
        return atls_fail(err, ATLS_E_USAGE, "binder: nothing was negotiated for this side");
    if (!atls_intra_has_hellos(intra))
        return atls_fail_reason(err, ATLS_E_PROTOCOL, ATLS_REASON_TRANSCRIPT,
                                "binder: no ServerHello was seen");
    if (side->binder.len != 0)
        return atls_bytes_equal(spki, atls_buf_bytes(&side->spki))
                   ? ATLS_OK
                   : atls_fail(err, ATLS_E_USAGE, "binder: was asked for with another key before");
    if (spki.len != 0 && atls_bytes_equal(spki, atls_buf_bytes(&other->spki)))
        return atls_fail_alert(err, ATLS_E_CERTIFICATE, ATLS_REASON_EQUAL_KEYS,
                               ATLS_ALERT_BAD_CERTIFICATE,
                               "both sides attest the same key, want two");
    if ((code = make_binder(intra, spki, &binder, err)) != ATLS_OK ||
        (code = atls_buf_copy(&copy, spki, err)) != ATLS_OK)
        return code;
    side->spki = copy;
    side->binder = binder;
    if (intra->own.binder.len != 0 && intra->peer.binder.len != 0)
        forget_secret(intra);
    return ATLS_OK;
}

/* ---- our side ---- */

bool atls_intra_wants_own_cmw(const struct atls_intra *intra)
{
    return intra->failed.code == ATLS_OK && intra->own.scheme != NULL && intra->own.cmw.len == 0;
}

enum atls_code atls_intra_proof(struct atls_intra *intra, struct atls_bytes spki,
                                struct atls_proof *out, struct atls_err *err)
{
    struct atls_err local = ATLS_ERR_INIT, *e = err != NULL ? err : &local;
    enum atls_code code = atls_intra_begin(intra, e);

    if (code != ATLS_OK ||
        (code = atls_intra_settle(intra, bind_side(intra, &intra->own, spki, e), e)) != ATLS_OK)
        return code;
    *out = (struct atls_proof){
        .config = intra->config,
        .binder = intra->own.binder,
        .profiles = intra->own.scheme->profile,
        .shows_result = intra->own.scheme->profile == 0,
    };
    return ATLS_OK;
}

static enum atls_code set_own_cmw(struct atls_intra *intra, struct atls_bytes cmw,
                                  struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(3 + ATLS_EARLY_CMW_MAX);
    enum atls_code code;

    if (intra->own.binder.len == 0 || intra->own.cmw.len != 0)
        return atls_fail(err, ATLS_E_USAGE,
                         "remoteAttestation: a CMW that nobody asked for, or a second one");
    if (cmw.len == 0 || cmw.len > ATLS_EARLY_CMW_MAX)
        return atls_fail_alert(err, ATLS_E_LIMIT, ATLS_REASON_NONE, ATLS_ALERT_INTERNAL_ERROR,
                               "remoteAttestation: our CMW has %zu bytes, a Certificate holds 1 "
                               "to %d",
                               cmw.len, ATLS_EARLY_CMW_MAX);
    code = atls_intra_scheme_check(intra->own.scheme, cmw, err);
    if (code == ATLS_E_NOMEM)
        return code;
    if (code != ATLS_OK) { /* whatever it is, it is not the peer's fault */
        (void)atls_err_prefix(err, code, "our attester");
        err->alert = ATLS_ALERT_INTERNAL_ERROR;
        err->code = ATLS_E_INTERNAL;
        return err->code;
    }
    atls_early_cmw_put(&w, cmw);
    return atls_writer_finish(&w, &intra->own.cmw, err);
}

enum atls_code atls_intra_set_own_cmw(struct atls_intra *intra, struct atls_bytes cmw,
                                      struct atls_err *err)
{
    struct atls_err local = ATLS_ERR_INIT, *e = err != NULL ? err : &local;
    enum atls_code code = atls_intra_begin(intra, e);

    return code != ATLS_OK ? code : atls_intra_settle(intra, set_own_cmw(intra, cmw, e), e);
}

/* ---- the peer ---- */

bool atls_intra_judges(const struct atls_intra *intra)
{
    return intra->failed.code == ATLS_OK && intra->peer.scheme != NULL && !intra->peer.done;
}

bool atls_intra_peer_attests(const struct atls_intra *intra)
{
    return intra->peer.scheme != NULL;
}

static enum atls_code missing(struct atls_err *err, const char *what)
{
    return atls_fail_alert(err, ATLS_E_EVIDENCE, ATLS_REASON_NOT_ATTESTED,
                           ATLS_ALERT_MISSING_EXTENSION, "remoteAttestation: %s", what);
}

static enum atls_code bind_peer(struct atls_intra *intra, struct atls_bytes spki,
                                struct atls_err *err)
{
    enum atls_code code = atls_intra_choice(intra, err);

    if (code == ATLS_OK && intra->peer.scheme != NULL && intra->peer.cmw.len == 0)
        return missing(err, "the peer agreed to attest, and its Certificate carries no CMW");
    return code == ATLS_OK ? bind_side(intra, &intra->peer, spki, err) : code;
}

enum atls_code atls_intra_judgement(struct atls_intra *intra, struct atls_bytes spki,
                                    struct atls_judgement *out, struct atls_err *err)
{
    struct atls_err local = ATLS_ERR_INIT, *e = err != NULL ? err : &local;
    enum atls_code code = atls_intra_begin(intra, e);

    if (code != ATLS_OK ||
        (code = atls_intra_settle(intra, bind_peer(intra, spki, e), e)) != ATLS_OK)
        return code;
    *out = (struct atls_judgement){
        .config = intra->config,
        .role = intra->role,
        .spki = spki,
        .cmw = atls_buf_bytes(&intra->peer.cmw),
        .binder = atls_binder_bytes(&intra->peer.binder),
    };
    return ATLS_OK;
}

static enum atls_code set_judged(struct atls_intra *intra, const char *technology,
                                 struct atls_err *err)
{
    const struct atls_intra_scheme *scheme = intra->peer.scheme;

    if (intra->peer.binder.len == 0)
        return atls_fail(err, ATLS_E_USAGE, "remoteAttestation: a verdict without a judgement");
    if (scheme->profile != 0 && scheme->record_type == NULL &&
        !atls_bytes_equal_text(scheme->name, technology))
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_SCHEME_MISMATCH,
                                "evidence is of type \"%s\", the scheme negotiated of \"%.*s\"",
                                technology, (int)scheme->name.len, (const char *)scheme->name.ptr);
    intra->peer.done = true;
    return ATLS_OK;
}

enum atls_code atls_intra_set_judged(struct atls_intra *intra, const char *technology,
                                     struct atls_err *err)
{
    struct atls_err local = ATLS_ERR_INIT, *e = err != NULL ? err : &local;
    enum atls_code code = atls_intra_begin(intra, e);

    return code != ATLS_OK ? code : atls_intra_settle(intra, set_judged(intra, technology, e), e);
}

/* ---- the end of the handshake ---- */

static enum atls_code check_facts(const struct atls_intra_facts *facts, struct atls_err *err)
{
    if (facts->version != TLS13)
        return atls_fail_reason(err, ATLS_E_TLS, ATLS_REASON_TLS_VERSION,
                                "TLS version is 0x%04x, want 0x%04x (TLS 1.3)", facts->version,
                                TLS13);
    if (facts->resumed)
        return atls_fail_reason(err, ATLS_E_TLS, ATLS_REASON_TLS_RESUMED,
                                "the handshake resumed a session: it carried no attestation");
    if (facts->early_data)
        return atls_fail_reason(err, ATLS_E_TLS, ATLS_REASON_TLS_EARLY_DATA,
                                "early data went before any attestation");
    return ATLS_OK;
}

static enum atls_code finish(const struct atls_intra *intra, const struct atls_intra_facts *facts,
                             struct atls_err *err)
{
    enum atls_code code = check_facts(facts, err);

    if (code != ATLS_OK)
        return code;
    if (!atls_intra_has_hellos(intra))
        return atls_fail_reason(err, ATLS_E_PROTOCOL, ATLS_REASON_TRANSCRIPT,
                                "handshake done, and no ServerHello was seen");
    if ((code = atls_intra_choice(intra, err)) != ATLS_OK)
        return code;
    if (intra->peer.scheme != NULL && intra->peer.cmw.len == 0)
        return missing(err, "the peer agreed to attest, and sent no CMW");
    if (intra->peer.scheme != NULL && !intra->peer.done)
        return missing(err, "the peer's CMW was not judged");
    if (intra->own.scheme != NULL && !intra->own.done)
        return missing(err, "we agreed to attest, and our CMW was not sent");
    return ATLS_OK;
}

enum atls_code atls_intra_finish(struct atls_intra *intra, const struct atls_intra_facts *facts,
                                 struct atls_err *err)
{
    struct atls_err local = ATLS_ERR_INIT, *e = err != NULL ? err : &local;
    enum atls_code code = atls_intra_begin(intra, e);

    if (code != ATLS_OK || (code = atls_intra_settle(intra, finish(intra, facts, e), e)) != ATLS_OK)
        return code;
    forget_secret(intra);
    intra->finished = true;
    return ATLS_OK;
}

bool atls_intra_is_finished(const struct atls_intra *intra)
{
    return intra->finished && intra->failed.code == ATLS_OK;
}
