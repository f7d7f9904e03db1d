/* The parts of an attested connection, opened from options that several subcommands share:
 * attester, verifier, policy, certificates. */
#ifndef ATLS_APP_PARTS_H
#define ATLS_APP_PARTS_H

#include <openssl/ssl.h>

#include <atls/config.h>
#include <atls/ea.h>

#include "cli.h"
#include "flavour.h"

/* Opens --attester with --attester-cert, --endorsements and --insecure-soft. name is the DNS name
 * in a self-signed certificate, or NULL. *out is NULL when the option is absent. */
ATLS_MUST_CHECK enum atls_code parts_attester(const struct cli *cli, const char *name,
                                              struct atls_attester **out, struct atls_err *err);
/* Opens --verifier with --insecure-soft, --allow-ima-violations, --rule, and for verifiers
 * elsewhere --ca,
 * --result-keys, --result-max-age and --fresh-result. *out is NULL when the option is absent. */
ATLS_MUST_CHECK enum atls_code parts_verifier(const struct cli *cli, struct atls_verifier **out,
                                              struct atls_err *err);
/* False, after an explanation, when an option about results goes with no verifier that has them.
 * passport_from: --passport-from, or NULL. */
bool parts_result_usage(const struct cli *cli, const char *passport_from);
/* Profiles of evidence, as --profile NAME,... names them. */
struct parts_profiles {
    unsigned int set;     /* enum atls_evidence_profile; 0: the option is absent */
    const char *names[8]; /* static, NULL-terminated */
};
/* False, after an explanation, when a name is unknown. */
bool parts_profiles(const struct cli *cli, struct parts_profiles *out);
/* --identity; *out keeps its value when the option is absent. False, after an explanation, when the
 * name is unknown. */
bool parts_identity(const struct cli *cli, enum atls_identity *out);
/* Anchors and revocation lists (PEM) for identity pkix: of --ca and --crl, else those of the store
 * of a local verifier; empty: what the system trusts. The caller clears both. */
ATLS_MUST_CHECK enum atls_code parts_anchors(const struct cli *cli, struct atls_buf *anchors,
                                             struct atls_buf *crls, struct atls_err *err);
/* Opens --policy, or the built-in policy when the option is absent. */
ATLS_MUST_CHECK enum atls_code parts_policy(const struct cli *cli, struct atls_policy **out,
                                            struct atls_err *err);

/* All that serve and connect need. */
struct parts {
    struct atls_attester *attester;
    struct atls_passport *passport; /* NULL: evidence is all that we show */
    struct atls_verifier *verifier;
    struct atls_policy *policy;
    struct atls_config *config;
    SSL_CTX *tls;
    struct flavour flavour;
    enum atls_identity identity;    /* of the peer; ATLS_IDENTITY_NONE: no peer is asked for */
    struct atls_buf anchors;        /* PEM; empty: what the system trusts */
    struct atls_buf crls;           /* PEM, may be empty */
    struct parts_profiles profiles; /* of the peer's evidence */
};

/* Opens everything for one side. require_peer: the peer must attest. Usage errors are explained
 * here; the status is CLI_YES on success, and *out is then the caller's to clear. */
enum cli_status parts_open(const struct cli *cli, enum atls_role role, bool require_peer,
                           struct parts *out);
void parts_clear(struct parts *parts);

/* Drains OpenSSL's error queue into err. */
enum atls_code parts_tls_error(struct atls_err *err, const char *what);
/* A key and a self-signed certificate that live as long as the process: for peers that are trusted
 * through their evidence alone. */
ATLS_MUST_CHECK enum atls_code parts_ephemeral_certificate(SSL_CTX *tls, const char *name,
                                                           struct atls_err *err);

#endif
