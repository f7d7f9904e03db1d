/* An attester, a judge of its certificates, and certificates of every kind by the attester's key.
 */
#ifndef ATLS_TEST_PRE_WORLD_H
#define ATLS_TEST_PRE_WORLD_H

#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "bind/binder.h"
#include "fake_attester.h"
#include "flavour/pre/pre.h"
#include "pki.h"
#include "wire/cmw.h"

#define WORLD_TYPE "application/vnd.example.fake"
#define WORLD_NOW  INT64_C(1735689600) /* 2025-01-01 */

struct world {
    struct fake_attester fake;
    struct atls_attester *attester;
    struct fake_passport fake_passport;
    struct atls_passport *passport;
    struct fake_verifier fake_verifier;
    struct atls_config_options options;
    struct atls_config *config;
    int64_t now_s;
    uint8_t nonce[ATLS_RA_NONCE_LEN];
    struct test_identity ca;
    struct atls_buf ca_pem;
};

static int64_t world_now(void *arg)
{
    return ((const struct world *)arg)->now_s;
}

static inline struct atls_clock world_clock(struct world *w)
{
    return (struct atls_clock){w, world_now, NULL};
}

static inline void world_init(struct world *w)
{
    static const char *const types[] = {"fake", NULL};

    memset(w, 0, sizeof *w);
    w->now_s = WORLD_NOW;
    memset(w->nonce, 0x5a, sizeof w->nonce);
    w->fake.media_type = WORLD_TYPE;
    atls_config_options_init(&w->options);
    w->options.flavour = ATLS_FLAVOUR_PRE;
    w->options.freshness = ATLS_FRESHNESS_NONE;
    w->options.require_peer = true;
    w->options.identity = ATLS_IDENTITY_ATTESTED;
    w->options.evidence_types = types;
    w->options.clock = world_clock(w);
}

static inline void world_open_attester(struct world *w)
{
    w->attester = fake_attester_open(&w->fake);
    w->fake_passport.attester = &w->fake;
    w->passport = fake_passport_open(&w->fake_passport);
}

/* Who judges. */
static inline void world_configure(struct world *w)
{
    struct atls_err err = ATLS_ERR_INIT;

    w->options.verifier = fake_verifier_open(&w->fake_verifier);
    test_assert_code(atls_policy_default(&w->options.policy, &err), ATLS_OK, &err);
    test_assert_code(atls_config_new(&w->options, &w->config, &err), ATLS_OK, &err);
}

/* Who attests. */
static inline void world_configure_attester(struct world *w)
{
    struct atls_err err = ATLS_ERR_INIT;

    w->options.require_peer = false;
    w->options.identity = ATLS_IDENTITY_NONE;
    w->options.evidence_types = NULL;
    w->options.attester = w->attester;
    test_assert_code(atls_config_new(&w->options, &w->config, &err), ATLS_OK, &err);
}

static inline void world_trust_ca(struct world *w)
{
    struct atls_err err = ATLS_ERR_INIT;

    w->ca = test_ca("pre test");
    test_assert_code(
        atls_pem_encode("CERTIFICATE", atls_buf_bytes(&w->ca.certificate), &w->ca_pem, &err),
        ATLS_OK, &err);
    w->options.identity = ATLS_IDENTITY_PKIX;
    w->options.anchors = atls_buf_bytes(&w->ca_pem);
}

static inline void world_clear(struct world *w)
{
    atls_config_unref(w->config);
    atls_verifier_unref(w->options.verifier);
    atls_policy_unref(w->options.policy);
    atls_passport_unref(w->passport);
    atls_attester_unref(w->attester);
    test_identity_clear(&w->ca);
    atls_buf_clear(&w->ca_pem);
}

static inline struct atls_bytes world_nonce(const struct world *w)
{
    return atls_bytes_of(w->nonce, sizeof w->nonce);
}

/* Options of the public interface. */
static inline struct atls_ra_certificate_options world_make_options(struct world *w)
{
    struct atls_ra_certificate_options o;

    atls_ra_certificate_options_init(&o);
    o.attester = w->attester;
    o.clock = world_clock(w);
    return o;
}

/* Evidence over another binder than it should be, and so on: a CMW in an extension by hand. */
static inline struct atls_buf world_evidence(struct world *w, struct atls_bytes binder)
{
    const struct atls_challenge challenge = {.binder = binder, .profiles = ATLS_PROFILE_KAT};
    struct atls_buf cmw = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_attester_evidence_for(w->attester, &challenge, &cmw, &err), ATLS_OK,
                     &err);
    return cmw;
}

static inline struct atls_buf world_value(struct atls_bytes cmw)
{
    const struct atls_cmw_x509 v = {.is_json = false, .cmw = cmw};
    struct atls_writer w = atls_writer_init(cmw.len + 16);
    struct atls_buf value = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_cmw_x509_encode(&v, &w, &err), ATLS_OK, &err);
    test_assert_code(atls_writer_finish(&w, &value, &err), ATLS_OK, &err);
    return value;
}

/* What atls_certificate_make takes, self-signed by the attester's key, a day long. */
static inline struct atls_certificate_spec world_spec(struct world *w)
{
    return (struct atls_certificate_spec){
        .common_name = "forged",
        .not_before_s = WORLD_NOW - 1000,
        .not_after_s = WORLD_NOW + 1000,
        .scheme = atls_attester_aik_scheme(w->attester),
        .spki = atls_attester_aik_spki(w->attester),
        .sign = atls_private_key_sign_function,
        .sign_arg = w->fake.key,
    };
}

static inline struct atls_buf world_certificate(const struct atls_certificate_spec *spec)
{
    struct atls_buf der = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_certificate_make(spec, &der, &err), ATLS_OK, &err);
    return der;
}

static inline struct atls_bytes world_oid(size_t index)
{
    struct atls_bytes oids[ATLS_RA_TLS_OIDS];

    assert_int_equal(atls_ra_tls_oids(oids, ATLS_RA_TLS_OIDS), ATLS_RA_TLS_OIDS);
    return oids[index];
}

#endif
