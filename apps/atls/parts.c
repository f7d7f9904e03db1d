#include "parts.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <atls/local.h>
#include <atls/openssl.h>
#include <atls/remote.h>
#include <atls/store.h>
#include <atls/tpm2.h>

#include "io.h"

#define EPHEMERAL_DAYS       365
#define VERIFIER_TIMEOUT_MAX 3600
#define RESULT_AGE_MAX       (10 * EPHEMERAL_DAYS * 86400UL)

static const struct atls_attester_ops *const attesters[] = {&atls_tpm2_attester, &atls_tsm_attester,
                                                            &atls_soft_attester, NULL};
static const struct atls_verifier_ops *const verifiers[] = {
    &atls_local_verifier, &atls_veraison_verifier, &atls_passport_verifier, NULL};

static const struct {
    const char *name;
    enum atls_identity identity;
} identities[] = {
    {"pkix", ATLS_IDENTITY_PKIX},
    {"same-key", ATLS_IDENTITY_SAME_KEY},
    {"attested", ATLS_IDENTITY_ATTESTED},
};

static void say(void *arg, enum atls_log_level level, const char *module, const char *message)
{
    const struct cli *cli = arg;

    (void)level;
    if (strcmp(cli->command->name, "serve") == 0 && cli_flag(cli, "json-log"))
        (void)cli_print_json(cli, stderr,
                             json_pack("{ss ss}", "event", module, "message", message));
    else
        cli_say(cli, "%s: %s", module, message);
}

enum atls_code parts_attester(const struct cli *cli, const char *name, struct atls_attester **out,
                              struct atls_err *err)
{
    const char *const names[] = {name, NULL};
    const char *uri = cli_value(cli, "attester");
    struct atls_attester_options options;
    union {
        const struct cli *in;
        void *out;
    } arg = {.in = cli}; /* a log's argument is not const, and cli_say takes it so */

    *out = NULL;
    if (uri == NULL)
        return ATLS_OK;
    atls_attester_options_init(&options);
    options.log = (struct atls_log){.arg = arg.out, .level = ATLS_LOG_WARNING, .handler = say};
    options.certificate = cli_value(cli, "attester-cert");
    options.endorsements = cli_value(cli, "endorsements");
    options.insecure = cli_flag(cli, "insecure-soft");
    options.common_name = name;
    options.dns_names = name != NULL ? names : NULL;
    return atls_attester_open(uri, attesters, &options, out, err);
}

static bool has_scheme(const char *uri, const char *scheme)
{
    return uri != NULL && strncmp(uri, scheme, strlen(scheme)) == 0;
}

bool parts_result_usage(const struct cli *cli, const char *passport_from)
{
    const char *uri = cli_value(cli, "verifier");
    bool takes_results = has_scheme(uri, "passport:");
    bool signed_results = takes_results || has_scheme(uri, "veraison:");
    unsigned long age_s, timeout_s;

    if (cli_flag(cli, "fresh-result") && !takes_results) {
        cli_usage(cli, "--fresh-result wants --verifier passport:...: others ask at each "
                       "connection anyway");
        return false;
    }
    if (cli_value(cli, "result-max-age") != NULL && !signed_results) {
        cli_usage(cli, "--result-max-age wants --verifier passport:... or veraison:...");
        return false;
    }
    if (cli_value(cli, "result-keys") != NULL && !signed_results && passport_from == NULL) {
        cli_usage(cli, "--result-keys are keys of a verifier elsewhere, and none is named");
        return false;
    }
    if (cli_value(cli, "verifier-timeout") != NULL && !signed_results && passport_from == NULL) {
        cli_usage(cli, "--verifier-timeout is for a verifier elsewhere, and none is named");
        return false;
    }
    return cli_number(cli, "result-max-age", 1, RESULT_AGE_MAX, &age_s) &&
           cli_number(cli, "verifier-timeout", 1, VERIFIER_TIMEOUT_MAX, &timeout_s);
}

/* The values of an option, with a NULL behind them. */
static void take_values(const struct cli *cli, const char *option,
                        const char *values[static CLI_OPTIONS_MAX + 1])
{
    size_t count = 0;

    while (count < CLI_OPTIONS_MAX && (values[count] = cli_value_at(cli, option, count)) != NULL)
        count++;
    values[count] = NULL;
}

enum atls_code parts_verifier(const struct cli *cli, struct atls_verifier **out,
                              struct atls_err *err)
{
    const char *uri = cli_value(cli, "verifier"), *rules[CLI_OPTIONS_MAX + 1];
    const char *services[CLI_OPTIONS_MAX + 1];
    struct atls_verifier_options options;
    unsigned long age_s = 0, timeout_s = 0;

    *out = NULL;
    if (uri == NULL)
        return ATLS_OK;
    atls_verifier_options_init(&options);
    options.allow_insecure_technology = cli_flag(cli, "insecure-soft");
    options.allow_ima_violations = cli_flag(cli, "allow-ima-violations");
    take_values(cli, "rule", rules);
    options.rules = rules;
    take_values(cli, "collateral-from", services);
    options.collateral_from = services;
    options.ca_file = cli_value(cli, "ca");
    options.result_keys = cli_value(cli, "result-keys");
    options.result_echoes_binder = cli_flag(cli, "fresh-result");
    if (!cli_number(cli, "result-max-age", 1, RESULT_AGE_MAX, &age_s))
        return io_error(err, ATLS_E_CONFIG, "--result-max-age is no number of seconds");
    if (!cli_number(cli, "verifier-timeout", 1, VERIFIER_TIMEOUT_MAX, &timeout_s))
        return io_error(err, ATLS_E_CONFIG, "--verifier-timeout is no number of seconds");
    options.timeout_ms = (uint32_t)timeout_s * 1000;
    options.result_max_age_s = (int64_t)age_s;
    return atls_verifier_open(uri, verifiers, &options, out, err);
}

static bool add_profile(const struct cli *cli, const char *text, size_t len,
                        struct parts_profiles *out)
{
    char name[32] = "";
    unsigned int profile;

    if (len < sizeof name)
        memcpy(name, text, len);
    if ((profile = atls_evidence_profile_find(name)) == 0) {
        cli_usage(cli,
                  "--profile names \"%.*s\", want kat-bundle, kat-batch, bare, parsec or ra-tls",
                  (int)len, text);
        return false;
    }
    if ((out->set & profile) == 0) {
        size_t count = 0;

        while (out->names[count] != NULL)
            count++;
        out->names[count] = atls_evidence_profile_name((enum atls_evidence_profile)profile);
    }
    out->set |= profile;
    return true;
}

bool parts_profiles(const struct cli *cli, struct parts_profiles *out)
{
    const char *text = cli_value(cli, "profile");

    *out = (struct parts_profiles){.set = 0};
    while (text != NULL) {
        const size_t len = strcspn(text, ",");

        if (!add_profile(cli, text, len, out))
            return false;
        text = text[len] == ',' ? text + len + 1 : NULL;
    }
    return true;
}

/* Opens --passport-from: the first result is there when this returns. */
static enum atls_code open_passport(const struct cli *cli, struct parts *parts,
                                    struct atls_err *err)
{
    struct atls_passport_options options;
    unsigned long timeout_s = 0;
    union {
        const struct cli *in;
        void *out;
    } arg = {.in = cli}; /* a log's argument is not const, and cli_say takes it so */

    if (cli_value(cli, "passport-from") == NULL)
        return ATLS_OK;
    atls_passport_options_init(&options);
    options.attester = parts->attester;
    options.verifier_url = cli_value(cli, "passport-from");
    if (!cli_number(cli, "verifier-timeout", 1, VERIFIER_TIMEOUT_MAX, &timeout_s))
        return io_error(err, ATLS_E_CONFIG, "--verifier-timeout is no number of seconds");
    options.timeout_ms = (uint32_t)timeout_s * 1000;
    options.ca_file = cli_value(cli, "ca");
    options.result_keys = cli_value(cli, "result-keys");
    options.log = (struct atls_log){arg.out, ATLS_LOG_WARNING, say};
    return atls_passport_open(&options, &parts->passport, err);
}

enum atls_code parts_policy(const struct cli *cli, struct atls_policy **out, struct atls_err *err)
{
    const char *path = cli_value(cli, "policy");

    return path != NULL ? atls_policy_load(path, out, err) : atls_policy_default(out, err);
}

enum atls_code parts_tls_error(struct atls_err *err, const char *what)
{
    char text[200] = "no reason given";
    unsigned long code = ERR_get_error();

    if (code != 0)
        ERR_error_string_n(code, text, sizeof(text));
    ERR_clear_error();
    return io_error(err, ATLS_E_TLS, "%s: %s", what, text);
}

/* Appends PEM text; both ends of blocks are lines of their own. */
static enum atls_code append(struct atls_buf *to, struct atls_bytes pem, struct atls_err *err)
{
    uint8_t *grown = realloc(to->ptr, to->len + pem.len + 1);

    if (grown == NULL)
        return io_error(err, ATLS_E_NOMEM, "revocation lists: out of memory");
    to->ptr = grown;
    grown[to->len] = '\n';
    memcpy(grown + to->len + 1, pem.ptr, pem.len);
    to->len += pem.len + 1;
    return ATLS_OK;
}

static enum atls_code append_store_crls(struct atls_store *store, struct atls_buf *to,
                                        struct atls_err *err)
{
    struct atls_buf pem = ATLS_BUF_INIT;
    enum atls_code code = atls_store_crls_pem(store, &pem, err);

    if (code == ATLS_OK && pem.len > 0)
        code = append(to, atls_buf_bytes(&pem), err);
    atls_buf_clear(&pem);
    return code;
}

/* Anchors: --ca, else the anchors for TLS in a local store, else (empty) what the system trusts.
 * Revocation lists: --crl, and with anchors of a local store those of that store. */
enum atls_code parts_anchors(const struct cli *cli, struct atls_buf *anchors, struct atls_buf *crls,
                             struct atls_err *err)
{
    const char *ca = cli_value(cli, "ca"), *crl = cli_value(cli, "crl");
    const char *verifier = cli_value(cli, "verifier");
    struct atls_store *store;
    enum atls_code code;

    if (crl != NULL && (code = io_read_file(crl, crls, err)) != ATLS_OK)
        return code;
    if (ca != NULL) {
        if ((code = io_read_file(ca, anchors, err)) == ATLS_OK && anchors->len == 0)
            code = io_error(err, ATLS_E_CONFIG, "%s: empty, want certificates in PEM", ca);
        return code;
    }
    if (verifier == NULL || strncmp(verifier, "local:", 6) != 0)
        return ATLS_OK;
    if ((code = atls_store_open(verifier + 6, ATLS_STORE_READ, &store, err)) != ATLS_OK)
        return code;
    if ((code = atls_store_anchors_pem(store, ATLS_ANCHOR_TLS, anchors, err)) == ATLS_OK)
        code = append_store_crls(store, crls, err);
    atls_store_close(store);
    return code;
}

/* TLS checks the peer's chain where the identity rests on it; an attested peer is bound by the
 * exporter, and its certificate says nothing. */
static enum atls_code set_verification(const struct parts *parts, enum atls_role role,
                                       struct atls_err *err)
{
    bool checked = role == ATLS_ROLE_CLIENT ? parts->identity != ATLS_IDENTITY_ATTESTED
                                            : parts->identity == ATLS_IDENTITY_SAME_KEY;

    SSL_CTX_set_verify(
        parts->tls, checked ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_NONE,
        NULL);
    if (!checked)
        return ATLS_OK;
    return parts->anchors.len == 0
               ? atls_openssl_trust_system(parts->tls, atls_buf_bytes(&parts->crls), err)
               : atls_openssl_trust(parts->tls, atls_buf_bytes(&parts->anchors),
                                    atls_buf_bytes(&parts->crls), err);
}

enum atls_code parts_ephemeral_certificate(SSL_CTX *tls, const char *name, struct atls_err *err)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    X509_NAME *subject = certificate != NULL ? X509_get_subject_name(certificate) : NULL;
    int64_t serial = 0;
    bool good;

    good = key != NULL && subject != NULL && RAND_bytes((unsigned char *)&serial, 7) == 1 &&
           X509_set_version(certificate, X509_VERSION_3) == 1 &&
           ASN1_INTEGER_set_int64(X509_get_serialNumber(certificate), serial) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(certificate), -300) != NULL &&
           X509_gmtime_adj(X509_getm_notAfter(certificate), EPHEMERAL_DAYS * 86400L) != NULL &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1,
                                      -1, 0) == 1 &&
           X509_set_issuer_name(certificate, subject) == 1 &&
           X509_set_pubkey(certificate, key) == 1 &&
           X509_sign(certificate, key, EVP_sha256()) > 0 &&
           SSL_CTX_use_certificate(tls, certificate) == 1 && SSL_CTX_use_PrivateKey(tls, key) == 1;
    X509_free(certificate);
    EVP_PKEY_free(key);
    return good ? ATLS_OK : parts_tls_error(err, "ephemeral certificate");
}

static enum atls_code set_certificate(const struct cli *cli, const struct parts *parts,
                                      enum atls_role role, struct atls_err *err)
{
    const char *certificate = cli_value(cli, "cert"), *key = cli_value(cli, "key");

    if ((certificate == NULL) != (key == NULL))
        return io_error(err, ATLS_E_CONFIG, "--cert and --key go together");
    if (certificate != NULL) {
        if (SSL_CTX_use_certificate_chain_file(parts->tls, certificate) != 1)
            return parts_tls_error(err, certificate);
        if (SSL_CTX_use_PrivateKey_file(parts->tls, key, SSL_FILETYPE_PEM) != 1)
            return parts_tls_error(err, key);
        return ATLS_OK;
    }
    if (role == ATLS_ROLE_CLIENT ||
        (parts->flavour.flavour != ATLS_FLAVOUR_POST && parts->attester != NULL))
        return ATLS_OK;
    if (parts->identity != ATLS_IDENTITY_ATTESTED)
        return io_error(err, ATLS_E_CONFIG,
                        "--cert and --key are missing (only --identity attested goes without)");
    return parts_ephemeral_certificate(parts->tls, "atls serve", err);
}

static enum atls_code open_tls(const struct cli *cli, enum atls_role role, struct parts *parts,
                               struct atls_err *err)
{
    enum atls_code code;

    parts->tls = SSL_CTX_new(role == ATLS_ROLE_CLIENT ? TLS_client_method() : TLS_server_method());
    if (parts->tls == NULL)
        return parts_tls_error(err, "TLS context");
    if ((code = set_certificate(cli, parts, role, err)) != ATLS_OK ||
        (code = set_verification(parts, role, err)) != ATLS_OK)
        return code;
    return atls_openssl_prepare_for(parts->tls, parts->config, err);
}

static enum atls_code open_config(const struct cli *cli, unsigned long interval_s,
                                  unsigned long timeout_s, bool require_peer, struct parts *parts,
                                  struct atls_err *err)
{
    static const char *const with_soft[] = {"tpm", "soft", NULL};
    struct atls_config_options options;

    atls_config_options_init(&options);
    options.attester = parts->attester;
    options.passport = parts->passport;
    options.passport_only = cli_flag(cli, "passport-only");
    options.require_self = cli_flag(cli, "require-self");
    options.require_peer = require_peer;
    options.peer_optional = cli_flag(cli, "optional-peer");
    options.verifier = parts->verifier;
    options.policy = parts->policy;
    options.identity = require_peer ? parts->identity : ATLS_IDENTITY_NONE;
    options.raw = cli_flag(cli, "raw");
    flavour_configure(&parts->flavour, &options);
    options.reattest_interval_s = (uint32_t)interval_s;
    options.gate_timeout_ms = options.answer_timeout_ms = (uint32_t)timeout_s * 1000;
    if (cli_flag(cli, "insecure-soft"))
        options.evidence_types = with_soft;
    if (parts->profiles.set != 0)
        options.profiles = parts->profiles.names;
    if (options.identity == ATLS_IDENTITY_PKIX) {
        options.anchors = atls_buf_bytes(&parts->anchors);
        options.system_anchors = parts->anchors.len == 0;
        options.crls = atls_buf_bytes(&parts->crls);
    }
    return atls_config_new(&options, &parts->config, err);
}

bool parts_identity(const struct cli *cli, enum atls_identity *out)
{
    const char *name = cli_value(cli, "identity");

    if (name == NULL)
        return true;
    for (size_t i = 0; i < sizeof(identities) / sizeof(identities[0]); i++)
        if (strcmp(name, identities[i].name) == 0) {
            *out = identities[i].identity;
            return true;
        }
    cli_usage(cli, "--identity is \"%s\", want pkix, same-key or attested", name);
    return false;
}

static bool passport_usage(const struct cli *cli)
{
    const char *from = cli_value(cli, "passport-from");

    if (from != NULL && cli_value(cli, "attester") == NULL)
        cli_usage(cli, "--passport-from wants --attester: its results are about our machine");
    else if (from == NULL && cli_flag(cli, "passport-only"))
        cli_usage(cli, "--passport-only wants --passport-from");
    else
        return parts_result_usage(cli, from);
    return false;
}

enum cli_status parts_open(const struct cli *cli, enum atls_role role, bool require_peer,
                           struct parts *out)
{
    struct parts parts = {0};
    unsigned long interval_s = 0, timeout_s = 30;
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code;

    if (!parts_identity(cli, &parts.identity) || !passport_usage(cli) ||
        !flavour_usage(cli, role, require_peer, &parts.flavour) ||
        !parts_profiles(cli, &parts.profiles) ||
        !cli_number(cli, "reattest-interval", 1, 86400, &interval_s) ||
        !cli_number(cli, "timeout", 1, 3600, &timeout_s))
        return CLI_USAGE;
    if (require_peer && parts.identity == ATLS_IDENTITY_NONE)
        parts.identity = ATLS_IDENTITY_PKIX;
    if (cli_value(cli, "crl") != NULL &&
        (parts.identity == ATLS_IDENTITY_NONE || parts.identity == ATLS_IDENTITY_ATTESTED))
        return cli_usage(cli,
                         "--crl wants the identity pkix or same-key: else no authority is asked");
    if (cli_flag(cli, "require-self") && cli_value(cli, "attester") == NULL)
        return cli_usage(cli,
                         "--require-self wants --attester: else there is nothing to ask us for");
    if (role == ATLS_ROLE_CLIENT && cli_flag(cli, "optional-peer") &&
        parts.identity == ATLS_IDENTITY_ATTESTED)
        return cli_usage(cli, "--optional-peer wants --identity pkix or same-key: nothing would "
                              "vouch for a server that does not attest itself");
    if (!require_peer && parts.profiles.set != 0)
        return cli_usage(cli, "--profile is about the peer's evidence, and nobody asks for any");
    if (require_peer && cli_value(cli, "verifier") == NULL)
        return cli_usage(cli, "--verifier is missing: nobody could appraise the peer's evidence");
    if ((code = parts_attester(cli, NULL, &parts.attester, &err)) == ATLS_OK &&
        (code = open_passport(cli, &parts, &err)) == ATLS_OK &&
        (code = parts_verifier(cli, &parts.verifier, &err)) == ATLS_OK &&
        (!require_peer || (code = parts_policy(cli, &parts.policy, &err)) == ATLS_OK) &&
        (code = parts_anchors(cli, &parts.anchors, &parts.crls, &err)) == ATLS_OK &&
        (code = open_config(cli, interval_s, timeout_s, require_peer, &parts, &err)) == ATLS_OK)
        code = open_tls(cli, role, &parts, &err);
    if (code != ATLS_OK) {
        parts_clear(&parts);
        return cli_fail(cli, &err);
    }
    *out = parts;
    return CLI_YES;
}

void parts_clear(struct parts *parts)
{
    SSL_CTX_free(parts->tls);
    atls_config_unref(parts->config);
    atls_policy_unref(parts->policy);
    atls_verifier_unref(parts->verifier);
    atls_passport_unref(parts->passport);
    atls_attester_unref(parts->attester);
    atls_buf_clear(&parts->anchors);
    atls_buf_clear(&parts->crls);
    *parts = (struct parts){0};
}
