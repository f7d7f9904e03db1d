#include <atls/certificate.h>

#include "core/clock.h"
#include "core/err.h"
#include "flavour/pre/keeper.h"

#define LIFETIME_DEFAULT_S 86400
#define LIFETIME_MIN_S     60
#define LIFETIME_MAX_S     (366 * 86400)

void atls_ra_certificate_options_init(struct atls_ra_certificate_options *options)
{
    *options = (struct atls_ra_certificate_options){.size = sizeof *options,
                                                    .lifetime_s = LIFETIME_DEFAULT_S};
}

static enum atls_code usage(struct atls_err *err, const char *what)
{
    return atls_fail(err, ATLS_E_USAGE, "certificate options: %s", what);
}

static enum atls_code check(const struct atls_ra_certificate_options *o, struct atls_err *err)
{
    if (o->size != sizeof *o)
        return usage(err, "call atls_ra_certificate_options_init first");
    if (o->attester == NULL)
        return usage(err, "no attester");
    if (o->nonce.len != 0 && o->nonce.len != ATLS_RA_NONCE_LEN)
        return atls_fail(err, ATLS_E_USAGE, "certificate options: nonce of %zu bytes, want %d",
                         o->nonce.len, ATLS_RA_NONCE_LEN);
    if (o->lifetime_s < LIFETIME_MIN_S || o->lifetime_s > LIFETIME_MAX_S)
        return atls_fail(err, ATLS_E_USAGE, "certificate options: lifetime_s is %u, want %d to %d",
                         o->lifetime_s, LIFETIME_MIN_S, LIFETIME_MAX_S);
    return ATLS_OK;
}

/* Evidence, or a result, that answers the nonce. */
static enum atls_code make_cmw(const struct atls_ra_certificate_options *o, struct atls_buf *out,
                               struct atls_err *err)
{
    struct atls_binder binder;
    enum atls_code code =
        atls_binder_pre(o->nonce, atls_attester_aik_spki(o->attester), &binder, err);
    const struct atls_challenge challenge = {
        .binder = atls_binder_bytes(&binder),
        .profiles = o->profiles != 0 ? o->profiles : ATLS_PRE_PROFILES,
        .timeout_ms = o->timeout_ms,
    };

    if (code != ATLS_OK)
        return code;
    if (o->passport != NULL)
        return atls_passport_result(
            o->passport, o->nonce.len != 0 ? challenge.binder : atls_bytes_of(NULL, 0), out, err);
    return atls_attester_evidence_for(o->attester, &challenge, out, err);
}

static enum atls_code make(const struct atls_ra_certificate_options *o, bool is_request,
                           struct atls_buf *out, struct atls_err *err)
{
    const struct atls_pre_template t = {
        .attester = o->attester,
        .form = o->form,
        .lifetime_s = o->lifetime_s,
        .now_s = atls_clock_wall_s(&o->clock),
        .common_name = o->common_name,
        .dns_names = o->dns_names,
        .is_request = is_request,
    };
    struct atls_buf cmw = ATLS_BUF_INIT;
    enum atls_code code = make_cmw(o, &cmw, err);

    if (code == ATLS_OK)
        code = atls_pre_wrap(&t, atls_buf_bytes(&cmw), out, err);
    atls_buf_clear(&cmw);
    return code;
}

enum atls_code atls_ra_certificate_make(const struct atls_ra_certificate_options *options,
                                        struct atls_buf *out, struct atls_err *err)
{
    enum atls_code code = check(options, err);

    return code == ATLS_OK ? make(options, false, out, err) : code;
}

enum atls_code atls_ra_certificate_request(const struct atls_ra_certificate_options *options,
                                           struct atls_buf *out, struct atls_err *err)
{
    enum atls_code code = check(options, err);

    if (code == ATLS_OK && options->nonce.len != 0)
        code = usage(err, "a request answers no nonce: a CA takes its time");
    return code == ATLS_OK ? make(options, true, out, err) : code;
}
