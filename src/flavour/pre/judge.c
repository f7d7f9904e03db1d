#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/reader.h"
#include "flavour/pre/pre.h"

/* cmw of a form that a certificate holds: not longer than the certificate. */
#define CMW_ROOM 64
/* Of a certificate that answers no nonce: a week, in which certificates of ours are made anew at
 * least thirteen times. */
#define MAX_AGE_S INT64_C(604800)

const char *atls_pre_freshness(const struct atls_config *config)
{
    return config->options.freshness == ATLS_FRESHNESS_NONCE ? "nonce" : "none";
}

static enum atls_code usage(struct atls_err *err, const char *what)
{
    return atls_fail(err, ATLS_E_USAGE, "certificate: %s", what);
}

static enum atls_code check_call(const struct atls_config *config,
                                 const struct atls_ra_certificate_check *check,
                                 struct atls_err *err)
{
    const bool nonce = config->options.freshness == ATLS_FRESHNESS_NONCE;

    if (config->options.flavour != ATLS_FLAVOUR_PRE || !config->options.require_peer)
        return usage(err, "to be judged by a configuration of flavour pre with require_peer");
    if (check->size != sizeof *check)
        return usage(err, "call atls_ra_certificate_check_init first");
    if (check->chain_len == 0 || check->chain_len > ATLS_CHAIN_MAX)
        return atls_fail(err, ATLS_E_USAGE, "certificate: chain of %zu, want 1 to %d",
                         check->chain_len, ATLS_CHAIN_MAX);
    if (check->nonce.len != (nonce ? (size_t)ATLS_RA_NONCE_LEN : 0))
        return atls_fail(
            err, ATLS_E_USAGE, "certificate: nonce of %zu bytes, want %d with freshness %s",
            check->nonce.len, nonce ? ATLS_RA_NONCE_LEN : 0, atls_pre_freshness(config));
    return ATLS_OK;
}

/* ---- the certificate by itself ---- */

/* Extension, key, CMW. What others use instead of a CMW must have been asked for. */
static enum atls_code take_evidence(const struct atls_config *config, struct atls_pre_peer *p,
                                    struct atls_err *err)
{
    const struct atls_bytes der = atls_certificate_der(p->certificate);
    struct atls_writer w = atls_writer_init(der.len + CMW_ROOM);
    struct atls_ra_tls found;
    enum atls_code code = atls_ra_tls_find(der, &found, err);

    if (code != ATLS_OK)
        return code;
    p->form = found.form;
    p->spki = found.spki;
    if (atls_ra_tls_is_foreign(found.form, found.value) &&
        (config->profiles & ATLS_PROFILE_RATLS) == 0)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_EVIDENCE_PROFILE,
                                "certificate: evidence in form %s is of profile ra-tls, which is "
                                "not accepted here",
                                atls_ra_tls_form_name(found.form));
    if ((code = atls_ra_tls_cmw(found.form, found.value, &w, err)) == ATLS_OK)
        return atls_writer_finish(&w, &p->cmw, err);
    atls_writer_clear(&w);
    return code;
}

bool atls_pre_shows_evidence(struct atls_bytes der)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ra_tls found;

    return atls_ra_tls_find(der, &found, &err) != ATLS_E_EVIDENCE ||
           err.reason != ATLS_REASON_NOT_ATTESTED;
}

static enum atls_code check_extensions(const struct atls_pre_peer *p, struct atls_err *err)
{
    struct atls_bytes oids[ATLS_RA_TLS_OIDS];
    const size_t count = atls_ra_tls_oids(oids, ATLS_RA_TLS_OIDS);

    if (atls_certificate_understood(p->certificate, oids, count))
        return ATLS_OK;
    return atls_fail_alert(err, ATLS_E_CERTIFICATE, ATLS_REASON_NONE,
                           ATLS_ALERT_UNSUPPORTED_CERTIFICATE,
                           "certificate: critical extension that is not known here");
}

/* A self-signed certificate is its holder's word, who is the one with its key. One of another
 * issuer is for PKIX to check, here or in TLS. */
static enum atls_code check_signature(const struct atls_config *config,
                                      const struct atls_pre_peer *p, struct atls_err *err)
{
    if (config->options.identity != ATLS_IDENTITY_ATTESTED &&
        !atls_certificate_is_self_issued(p->certificate))
        return ATLS_OK;
    return atls_certificate_verify_self(p->certificate, err);
}

/* Evidence that answers a nonce was made just now. Other evidence was made by notBefore, by the
 * word of the key's holder or a CA: notAfter, the same word, must not be all that ends it. */
static enum atls_code check_age(const struct atls_config *config, const struct atls_pre_peer *p,
                                int64_t now, struct atls_err *err)
{
    const uint32_t chosen = config->options.certificate_max_age_s;
    const int64_t most = chosen != 0 ? (int64_t)chosen : MAX_AGE_S;
    const int64_t since = atls_certificate_not_before_s(p->certificate);

    if (config->options.freshness == ATLS_FRESHNESS_NONCE || since >= now - most)
        return ATLS_OK;
    return atls_fail_alert(
        err, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_TOO_OLD, ATLS_ALERT_CERTIFICATE_EXPIRED,
        "certificate: notBefore is %lld, time is %lld: %lld s ago, want at most "
        "%lld",
        (long long)since, (long long)now, (long long)(now - since), (long long)most);
}

static enum atls_code check_dates(const struct atls_config *config, bool ignore,
                                  struct atls_pre_peer *p, struct atls_err *err)
{
    const int64_t now = atls_clock_wall_s(&config->options.clock);
    struct atls_err *told = ignore ? NULL : err;
    enum atls_code code = atls_certificate_check_time(p->certificate, now, told);

    if (code == ATLS_OK)
        code = check_age(config, p, now, told);
    p->expired = code != ATLS_OK;
    return ignore ? ATLS_OK : code;
}

/* ---- what goes to base ---- */

/* Behind a self-signed certificate, a CA's certificate for the same key. */
static bool second_names_key(const struct atls_pre_peer *p,
                             const struct atls_ra_certificate_check *check)
{
    struct atls_bytes spki;

    return check->chain_len > 1 && atls_certificate_is_self_issued(p->certificate) &&
           atls_certificate_spki(check->chain[1], &spki, NULL) == ATLS_OK &&
           atls_bytes_equal(spki, p->spki);
}

static enum atls_code fill_judgement(struct atls_config *config,
                                     const struct atls_ra_certificate_check *check,
                                     struct atls_pre_peer *p, struct atls_err *err)
{
    const size_t skip = second_names_key(p, check) ? 1 : 0;
    enum atls_code code = atls_binder_pre(check->nonce, p->spki, &p->binder, err);

    p->judgement = (struct atls_judgement){
        .config = config,
        .role = check->role,
        .peer_name = check->peer_name,
        .tls_spki = check->chain_validated ? p->spki : atls_bytes_of(NULL, 0),
        .chain = check->chain + skip,
        .chain_len = check->chain_len - skip,
        .spki = p->spki,
        .cmw = atls_buf_bytes(&p->cmw),
        .binder = atls_binder_bytes(&p->binder),
        .nonce = check->nonce,
    };
    return code;
}

enum atls_code atls_pre_peer_open(struct atls_config *config,
                                  const struct atls_ra_certificate_check *check,
                                  struct atls_pre_peer *out, struct atls_err *err)
{
    enum atls_code code;

    memset(out, 0, sizeof *out);
    if ((code = check_call(config, check, err)) != ATLS_OK ||
        (code = atls_certificate_parse(check->chain[0], &out->certificate, err)) != ATLS_OK ||
        (code = take_evidence(config, out, err)) != ATLS_OK ||
        (code = check_extensions(out, err)) != ATLS_OK ||
        (code = check_signature(config, out, err)) != ATLS_OK ||
        (code = check_dates(config, check->ignore_dates, out, err)) != ATLS_OK)
        return code;
    return fill_judgement(config, check, out, err);
}

void atls_pre_peer_clear(struct atls_pre_peer *p)
{
    atls_certificate_unref(p->certificate);
    atls_buf_clear(&p->cmw);
    memset(p, 0, sizeof *p);
}

/* ---- offline ---- */

enum atls_code atls_ra_certificate_read(struct atls_bytes der,
                                        struct atls_ra_certificate_facts *out, struct atls_err *err)
{
    struct atls_certificate *certificate = NULL;
    struct atls_writer w = atls_writer_init(der.len + CMW_ROOM);
    struct atls_buf cmw = ATLS_BUF_INIT;
    struct atls_ra_tls found;
    enum atls_code code;

    if ((code = atls_certificate_parse(der, &certificate, err)) == ATLS_OK &&
        (code = atls_ra_tls_find(der, &found, err)) == ATLS_OK &&
        (code = atls_ra_tls_cmw(found.form, found.value, &w, err)) == ATLS_OK &&
        (code = atls_writer_finish(&w, &cmw, err)) == ATLS_OK)
        *out = (struct atls_ra_certificate_facts){
            .form = atls_ra_tls_form_name(found.form),
            .critical = found.critical,
            .self_issued = atls_certificate_is_self_issued(certificate),
            .not_before_s = atls_certificate_not_before_s(certificate),
            .not_after_s = atls_certificate_not_after_s(certificate),
            .spki = found.spki,
            .cmw = cmw,
        };
    atls_writer_clear(&w);
    atls_certificate_unref(certificate);
    return code;
}

void atls_ra_certificate_check_init(struct atls_ra_certificate_check *check)
{
    *check = (struct atls_ra_certificate_check){.size = sizeof *check, .role = ATLS_ROLE_CLIENT};
}

void atls_ra_certificate_verdict_clear(struct atls_ra_certificate_verdict *verdict)
{
    if (verdict == NULL)
        return;
    atls_result_unref(verdict->result);
    *verdict = (struct atls_ra_certificate_verdict){.form = "", .freshness = ""};
}

static void tell(const struct atls_config *config, const struct atls_pre_peer *p,
                 struct atls_ra_certificate_verdict *out)
{
    if (p->certificate == NULL)
        return;
    out->form = atls_ra_tls_form_name(p->form);
    out->not_before_s = atls_certificate_not_before_s(p->certificate);
    out->not_after_s = atls_certificate_not_after_s(p->certificate);
    out->age_s = atls_clock_wall_s(&config->options.clock) - out->not_before_s;
    out->expired = p->expired;
}

enum atls_code atls_ra_certificate_judge(struct atls_config *config,
                                         const struct atls_ra_certificate_check *check,
                                         struct atls_ra_certificate_verdict *out,
                                         struct atls_err *err)
{
    struct atls_pre_peer peer;
    struct atls_err own = ATLS_ERR_INIT; /* base needs one */
    enum atls_judge_step step;
    enum atls_code code = atls_pre_peer_open(config, check, &peer, &own);

    *out = (struct atls_ra_certificate_verdict){.form = "", .freshness = ""};
    tell(config, &peer, out);
    if (code == ATLS_OK)
        code = atls_judge(&peer.judgement, &out->result, &step, &own);
    if (code == ATLS_OK)
        out->freshness = atls_pre_freshness(config);
    else if (err != NULL)
        *err = own;
    atls_pre_peer_clear(&peer);
    return code;
}
