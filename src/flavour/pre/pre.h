/* The pre-handshake flavour (docs/pre.md): certificates with evidence made, renewed, taken apart
 * and judged, and nonces as the handshake carries them. Knows no TLS library; the public half is
 * atls/certificate.h. */
#ifndef ATLS_FLAVOUR_PRE_PRE_H
#define ATLS_FLAVOUR_PRE_PRE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/certificate.h>
#include <atls/limits.h>

#include "core/writer.h"
#include "crypto/certificate.h"
#include "flavour/base/job.h"
#include "flavour/base/judge.h"
#include "wire/ra_tls.h"

/* ---- nonces (nonce.c) ---- */

/* A nonce in letters (core/base32.h): a DNS label holds 63. */
#define ATLS_PRE_NONCE_LETTERS 52
/* Host names: 253 letters (RFC 1035 section 3.1, without the last dot). */
#define ATLS_PRE_HOST_MAX 253
/* What stands behind the nonce of a client that knows no name, or an IP address, which server_name
 * cannot carry (RFC 6066 section 3): never a host (RFC 6761 section 6.4). */
#define ATLS_PRE_NO_NAME "atls.invalid"

struct atls_pre_nonce {
    uint8_t bytes[ATLS_RA_NONCE_LEN];
};
static inline struct atls_bytes atls_pre_nonce_bytes(const struct atls_pre_nonce *n)
{
    return atls_bytes_of(n->bytes, sizeof n->bytes);
}

/* The host name of a client's server_name extension: nonce, dot, name; NUL terminated. name: DNS
 * name; NULL or an IP address: ATLS_PRE_NO_NAME. Errors: ATLS_E_CONFIG (with the nonce the name is
 * too long, or it is no host name). */
ATLS_MUST_CHECK enum atls_code atls_pre_host_make(const struct atls_pre_nonce *nonce,
                                                  const char *name, char out[ATLS_PRE_HOST_MAX + 1],
                                                  struct atls_err *err);
/* The nonce of a host name; false when its first label is none, or none follows. */
ATLS_MUST_CHECK bool atls_pre_host_read(struct atls_bytes host, struct atls_pre_nonce *out);
/* The nonce of a server as an acceptable certificate authority: a Name (DER) of one commonName. */
ATLS_MUST_CHECK enum atls_code atls_pre_authority_make(const struct atls_pre_nonce *nonce,
                                                       struct atls_buf *out, struct atls_err *err);
/* The other way; false for any other Name. */
ATLS_MUST_CHECK bool atls_pre_authority_read(struct atls_bytes name, struct atls_pre_nonce *out);

/* ---- making (make.c) ---- */

/* Clocks of peers may be so much behind ours. */
#define ATLS_PRE_BACKDATE_S 60

/* All of a certificate but its evidence. Everything is borrowed. */
struct atls_pre_template {
    struct atls_attester *attester;
    enum atls_ra_form form;
    uint32_t lifetime_s;
    int64_t now_s;
    const char *common_name; /* with dns_names NULL, too: as the attester's own certificate */
    const char *const *dns_names;
    bool is_request; /* PKCS#10 */
};
/* Wraps cmw (CBOR) up. Errors: as atls_ra_certificate_make. */
ATLS_MUST_CHECK enum atls_code atls_pre_wrap(const struct atls_pre_template *t,
                                             struct atls_bytes cmw, struct atls_buf *out,
                                             struct atls_err *err);

/* What TLS shows: a certificate with evidence and what else belongs to its chain. Immutable once
 * built, reference counted, any thread. */
struct atls_pre_chain {
    atomic_uint references;
    struct atls_buf certificates[ATLS_CHAIN_MAX]; /* DER, end entity first */
    size_t count;
    int64_t not_before_s, not_after_s; /* of the end entity */
};
/* leaf and, where the attester's own certificate is one that a CA issued, its chain, so that
 * identity pkix can tell who this is. leaf empty: the attester's chain alone. Errors: ATLS_E_LIMIT
 * (ATLS_CHAIN_MAX), ATLS_E_DECODE, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_pre_chain_new(struct atls_attester *attester,
                                                  struct atls_bytes leaf,
                                                  struct atls_pre_chain **out,
                                                  struct atls_err *err);
struct atls_pre_chain *atls_pre_chain_ref(struct atls_pre_chain *c);
void atls_pre_chain_unref(struct atls_pre_chain *c); /* NULL is fine */

/* ---- keeping (keeper.c) ---- */

/* The certificate that answers no nonce, of one configuration, and its renewal: due when half of
 * the lifetime is over. With a passport the keeper looks every minute whether there is a newer
 * result. Reference counted, any thread. */
struct atls_pre_keeper;
/* Holds a reference to config, which has an attester. A certificate of the attester that holds
 * evidence already (a CA issued it upon a request) is kept and never renewed. Errors: ATLS_E_NOMEM,
 * ATLS_E_DECODE. */
ATLS_MUST_CHECK enum atls_code
atls_pre_keeper_new(struct atls_config *config, struct atls_pre_keeper **out, struct atls_err *err);
struct atls_pre_keeper *atls_pre_keeper_ref(struct atls_pre_keeper *k);
void atls_pre_keeper_unref(struct atls_pre_keeper *k); /* NULL is fine */
/* What to show now (new reference); NULL when there is nothing that is valid. *out_job is work that
 * is due, the caller's to run and to free; NULL when none is, or when somebody has it already and
 * the chain is valid yet. Its outcome is for later calls, too. Errors: ATLS_E_CERTIFICATE
 * (certificate-expired: a CA issued it), ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_pre_keeper_get(struct atls_pre_keeper *k,
                                                   struct atls_pre_chain **out_chain,
                                                   struct atls_job **out_job, struct atls_err *err);
/* Makes the next one due now (what the attester would show has changed). */
void atls_pre_keeper_renew(struct atls_pre_keeper *k);

/* ---- jobs (job.c) ---- */

/* A job that makes a certificate by config (with an attester) which answers nonce; NULL: none. With
 * a passport in config the certificate shows a result of it. Errors: ATLS_E_NOMEM, ATLS_E_CRYPTO.
 */
ATLS_MUST_CHECK enum atls_code atls_pre_make_job_new(struct atls_config *config,
                                                     const struct atls_pre_nonce *nonce,
                                                     struct atls_job **out, struct atls_err *err);
/* What it made (new reference); NULL unless job->code is ATLS_OK. */
struct atls_pre_chain *atls_pre_make_job_chain(struct atls_job *job);

/* ---- judging (judge.c) ---- */

/* A peer's certificate taken apart, and the checks passed that need no Verifier. */
struct atls_pre_peer {
    struct atls_certificate *certificate;
    enum atls_ra_tls_form form;
    struct atls_bytes spki; /* borrows from certificate */
    struct atls_buf cmw;
    struct atls_binder binder; /* that evidence must answer */
    bool expired;
    struct atls_judgement judgement; /* views of the above, and of the check */
};
/* *out is overwritten whatever comes, the caller's to clear; judgement borrows from it, from config
 * and from check. Errors: as atls_ra_certificate_judge. */
ATLS_MUST_CHECK enum atls_code atls_pre_peer_open(struct atls_config *config,
                                                  const struct atls_ra_certificate_check *check,
                                                  struct atls_pre_peer *out, struct atls_err *err);
void atls_pre_peer_clear(struct atls_pre_peer *p);
/* False when the certificate (DER) is well-formed and holds evidence in no form that is known:
 * ordinary TLS. Whatever cannot be told counts as evidence, which is then refused. */
bool atls_pre_shows_evidence(struct atls_bytes der);
/* "nonce" or "none": how new what was accepted by this configuration is. */
const char *atls_pre_freshness(const struct atls_config *config);

#endif
