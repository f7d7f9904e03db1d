#include "flavour/pre/pre.h"

#include <stdlib.h>

#include "core/err.h"
#include "core/reader.h"
#include "crypto/crypto.h"
#include "wire/cmw.h"

static const uint8_t id_subject_alt_name[] = {0x55, 0x1d, 0x11};

/* ---- one certificate ---- */

static enum atls_code sign(void *arg, enum atls_signature scheme, struct atls_bytes tbs,
                           struct atls_buf *out, struct atls_err *err)
{
    return atls_attester_sign(arg, scheme, tbs, out, err);
}

/* What stands in extnValue. */
static enum atls_code make_value(enum atls_ra_form form, struct atls_bytes cmw,
                                 struct atls_buf *out, struct atls_err *err)
{
    const struct atls_cmw_x509 wrapped = {.is_json = false, .cmw = cmw};
    const enum atls_cmw_shape shape = atls_cmw_sniff(cmw);
    struct atls_writer w = atls_writer_init(cmw.len + 16);
    enum atls_code code;

    if (form == ATLS_RA_FORM_DICE) {
        if (shape != ATLS_CMW_SHAPE_CBOR_RECORD && shape != ATLS_CMW_SHAPE_CBOR_TAG)
            return atls_fail(err, ATLS_E_UNSUPPORTED,
                             "certificate: form dice takes one record, found %s: use form cmw, or "
                             "evidence of profile bare or parsec",
                             shape == ATLS_CMW_SHAPE_CBOR_COLLECTION ? "a collection"
                                                                     : "something else");
        return atls_buf_copy(out, cmw, err);
    }
    if (form != ATLS_RA_FORM_CMW)
        return atls_fail(err, ATLS_E_USAGE, "certificate: form is no value of enum atls_ra_form");
    if ((code = atls_cmw_x509_encode(&wrapped, &w, err)) == ATLS_OK)
        return atls_writer_finish(&w, out, err);
    atls_writer_clear(&w);
    return code;
}

/* Subject and names of the attester's own certificate; *out_own keeps what spec borrows. */
static enum atls_code take_own_names(const struct atls_pre_template *t,
                                     struct atls_certificate **out_own,
                                     struct atls_certificate_spec *spec,
                                     struct atls_certificate_extra *names, struct atls_err *err)
{
    const struct atls_bytes oid = atls_bytes_of(id_subject_alt_name, sizeof id_subject_alt_name);
    static const uint8_t no_name[] = {0x30, 0x00};
    size_t count;
    enum atls_code code =
        atls_certificate_parse(atls_attester_chain(t->attester, &count)[0], out_own, err);

    if (code != ATLS_OK)
        return code;
    spec->subject = atls_certificate_subject(*out_own);
    names->oid = oid;
    names->value = atls_certificate_extension(*out_own, oid, &count);
    /* RFC 5280 section 4.2.1.6 */
    names->critical = atls_bytes_equal(spec->subject, atls_bytes_of(no_name, sizeof no_name));
    spec->extra_count = count == 1 ? 2 : 1;
    return ATLS_OK;
}

enum atls_code atls_pre_wrap(const struct atls_pre_template *t, struct atls_bytes cmw,
                             struct atls_buf *out, struct atls_err *err)
{
    struct atls_bytes oids[ATLS_RA_TLS_OIDS];
    struct atls_certificate_extra extra[2] = {{.critical = false}};
    struct atls_certificate_spec spec = {
        .common_name = t->common_name,
        .dns_names = t->dns_names,
        .not_before_s = t->now_s - ATLS_PRE_BACKDATE_S,
        .not_after_s = t->now_s + t->lifetime_s,
        .scheme = atls_attester_aik_scheme(t->attester),
        .spki = atls_attester_aik_spki(t->attester),
        .sign = sign,
        .sign_arg = t->attester,
        .extra = extra,
        .extra_count = 1,
    };
    struct atls_certificate *own = NULL;
    struct atls_buf value = ATLS_BUF_INIT;
    enum atls_code code = make_value(t->form, cmw, &value, err);

    if (code != ATLS_OK)
        return code;
    (void)atls_ra_tls_oids(oids, ATLS_RA_TLS_OIDS);
    extra[0].oid = oids[t->form == ATLS_RA_FORM_DICE ? 1 : 0];
    extra[0].value = atls_buf_bytes(&value);
    if (t->common_name == NULL && t->dns_names == NULL)
        code = take_own_names(t, &own, &spec, &extra[1], err);
    if (code == ATLS_OK)
        code = t->is_request ? atls_certificate_request_make(&spec, out, err)
                             : atls_certificate_make(&spec, out, err);
    atls_certificate_unref(own);
    atls_buf_clear(&value);
    return code;
}

/* ---- a chain ---- */

struct atls_pre_chain *atls_pre_chain_ref(struct atls_pre_chain *c)
{
    atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
    return c;
}

void atls_pre_chain_unref(struct atls_pre_chain *c)
{
    if (c == NULL || atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < c->count; i++)
        atls_buf_clear(&c->certificates[i]);
    free(c);
}

static enum atls_code append(struct atls_pre_chain *c, struct atls_bytes der, struct atls_err *err)
{
    enum atls_code code;

    if (c->count == ATLS_CHAIN_MAX)
        return atls_fail(err, ATLS_E_LIMIT,
                         "certificate: more than %d in the chain, with the one for the evidence",
                         ATLS_CHAIN_MAX);
    if ((code = atls_buf_copy(&c->certificates[c->count], der, err)) == ATLS_OK)
        c->count++;
    return code;
}

/* A self-signed certificate of the attester's says nothing that ours does not. */
static enum atls_code issued_by_another(struct atls_bytes der, bool *out, struct atls_err *err)
{
    struct atls_certificate *c = NULL;
    enum atls_code code = atls_certificate_parse(der, &c, err);

    if (code == ATLS_OK)
        *out = !atls_certificate_is_self_issued(c);
    atls_certificate_unref(c);
    return code;
}

static enum atls_code fill(struct atls_pre_chain *c, struct atls_attester *attester,
                           struct atls_bytes leaf, struct atls_err *err)
{
    size_t count;
    const struct atls_bytes *own = atls_attester_chain(attester, &count);
    enum atls_code code = ATLS_OK;
    bool follows = true;

    if (leaf.len != 0 && (code = append(c, leaf, err)) == ATLS_OK)
        code = issued_by_another(own[0], &follows, err);
    for (size_t i = 0; follows && i < count && code == ATLS_OK; i++)
        code = append(c, own[i], err);
    return code;
}

enum atls_code atls_pre_chain_new(struct atls_attester *attester, struct atls_bytes leaf,
                                  struct atls_pre_chain **out, struct atls_err *err)
{
    struct atls_pre_chain *c = calloc(1, sizeof *c);
    struct atls_certificate *first = NULL;
    enum atls_code code;

    if (c == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "certificate: out of memory");
    atomic_init(&c->references, 1);
    if ((code = fill(c, attester, leaf, err)) != ATLS_OK ||
        (code = atls_certificate_parse(atls_buf_bytes(&c->certificates[0]), &first, err)) !=
            ATLS_OK) {
        atls_pre_chain_unref(c);
        return code;
    }
    c->not_before_s = atls_certificate_not_before_s(first);
    c->not_after_s = atls_certificate_not_after_s(first);
    atls_certificate_unref(first);
    *out = c;
    return ATLS_OK;
}
