/* atls certificate: certificates that carry attestation (RA-TLS), made, shown and judged. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <atls/certificate.h>
#include <atls/inspect.h>
#include <atls/limits.h>

#include "commands.h"
#include "io.h"
#include "parts.h"
#include "verdict.h"

static const char usage[] =
    "usage: atls certificate make --attester URI [--out FILE] [--days N | --hours N]\n"
    "                             [--name NAME ...] [--form cmw|dice] [--nonce HEX]\n"
    "       atls certificate request --attester URI [--out FILE] [--name NAME ...]\n"
    "       atls certificate verify --verifier URI --freshness none|nonce [--nonce HEX]\n"
    "                               [--policy FILE] [--identity WHICH] [--name NAME] FILE\n"
    "       atls certificate show [--cmw-out FILE] FILE\n"
    "\n"
    "Certificates with evidence in an extension (RA-TLS): make writes a self-signed one of the\n"
    "attester's key, request what a CA can make one of, verify judges one, show says what it\n"
    "holds. What such a certificate proves is bound to its key, not to a connection\n"
    "(docs/pre.md). FILE is PEM, end entity first, or DER; - is standard input.\n"
    "\n"
    "  --attester URI    tpm2:[TCTI], tsm:[DIR], soft:[FILE]: who proves\n"
    "  --attester-cert FILE\n"
    "                    its certificate (PEM); default: self-signed\n"
    "  --endorsements FILE\n"
    "                    certificates (PEM) that vouch for its attestation key\n"
    "  --out FILE        where the certificate (PEM) goes; default: standard output\n"
    "  --days N          how long it is valid, 1 to 366; default 1\n"
    "  --hours N         the same in hours\n"
    "  --name NAME ...   make, request: DNS name or IP address in it; default: those of the\n"
    "                    attester's certificate. verify: what it must carry (identity pkix)\n"
    "  --form FORM       make, request: cmw (default): extension id-pe-cmw of RFC 9999; dice: "
    "that\n"
    "                    of TCG DICE, for evidence of profile bare or parsec\n"
    "  --nonce HEX       32 bytes that it answers, or must\n"
    "  --profile NAME,...\n"
    "                    make, request: form of the evidence, default kat-bundle or kat-batch;\n"
    "                    verify: forms that are accepted: kat-bundle, kat-batch (default), bare,\n"
    "                    parsec, ra-tls: those of others\n"
    "  --verifier URI    local:STORE.db, veraison:URL; passport:FILE or passport:URL: judge the\n"
    "                    result of a verifier with these keys\n"
    "  --freshness WHICH verify, required: nonce: it must answer --nonce; none: it may be as old\n"
    "                    as it is, and a replay\n"
    "  --identity WHICH  verify: pkix (default): the chain ends at an anchor; attested: it is\n"
    "                    self-signed, and nothing but the evidence vouches for its key\n"
    "  --max-age N       verify, --freshness none: refuse it when it was made more than N hours "
    "ago,\n"
    "                    whatever it says of its end; default 168\n"
    "  --ignore-dates    verify: accept it before and after its dates, and of any age\n"
    "  --policy FILE     jq program over the result; default: every submodule affirming\n"
    "  --time RFC3339    verify as of this time; default now\n"
    "  --ca FILE         anchors (PEM) of identity pkix, and of verifiers' https\n"
    "  --crl FILE        revocation lists (PEM) for identity pkix\n"
    "  --result-keys FILE\n"
    "                    public keys of the verifier of results (JWK, JWK set or PEM)\n"
    "  --result-max-age S\n"
    "                    how old a result may be; default 86400, of veraison: 300\n"
    "  --fresh-result    passport: the result must answer --nonce, too\n"
    "  --verifier-timeout S\n"
    "                    for the question to a verifier elsewhere; default 10\n"
    "  --collateral-from [MAKER=]URL ...\n"
    "                    fetch what makers of confidential-computing hardware publish,\n"
    "                    and the store has not, from this service (atls-collateral(1))\n"
    "  --rule NAME=VALUE ...\n"
    "                    what evidence of confidential computing must keep to, or may:\n"
    "                    docs/tee-rules.md\n"
    "  --allow-ima-violations\n"
    "                    accept an IMA log with files that changed while they were measured\n"
    "  --cmw-out FILE    show: write the CMW that a verifier is given\n"
    "  --insecure-soft   allow the software attester, and appraise its evidence\n"
    "  --json            JSON instead of text for people\n"
    "  --help            this text\n";

#define NAMES_MAX 32

/* ---- files ---- */

struct chain {
    struct atls_buf der[ATLS_CHAIN_MAX];
    struct atls_bytes views[ATLS_CHAIN_MAX];
    size_t count;
};

static void chain_clear(struct chain *chain)
{
    for (size_t i = 0; i < chain->count; i++)
        atls_buf_clear(&chain->der[i]);
    chain->count = 0;
}

static enum atls_code chain_add(struct chain *chain, const unsigned char *der, size_t len,
                                struct atls_err *err)
{
    struct atls_buf *copy = &chain->der[chain->count];

    if (chain->count == ATLS_CHAIN_MAX)
        return io_error(err, ATLS_E_LIMIT, "more than %d certificates", ATLS_CHAIN_MAX);
    if ((copy->ptr = malloc(len == 0 ? 1 : len)) == NULL)
        return io_error(err, ATLS_E_NOMEM, "out of memory");
    memcpy(copy->ptr, der, len);
    copy->len = len;
    chain->views[chain->count++] = atls_buf_bytes(copy);
    return ATLS_OK;
}

/* The DER of every CERTIFICATE of PEM text. */
static enum atls_code add_pem(struct chain *chain, struct atls_bytes text, struct atls_err *err)
{
    BIO *bio = BIO_new_mem_buf(text.ptr, (int)text.len);
    enum atls_code code = ATLS_OK;
    char *name, *header;
    unsigned char *der;
    long len;

    if (bio == NULL)
        return io_error(err, ATLS_E_NOMEM, "out of memory");
    while (code == ATLS_OK && PEM_read_bio(bio, &name, &header, &der, &len) == 1) {
        if (strcmp(name, PEM_STRING_X509) == 0)
            code = chain_add(chain, der, (size_t)len, err);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_free(der);
    }
    ERR_clear_error();
    BIO_free(bio);
    if (code == ATLS_OK && chain->count == 0)
        return io_error(err, ATLS_E_DECODE, "no certificate in the file");
    return code;
}

static enum atls_code chain_read(const char *path, struct chain *out, struct atls_err *err)
{
    struct atls_buf text = ATLS_BUF_INIT;
    struct chain chain = {.count = 0};
    enum atls_code code = io_read_file(path, &text, err);

    if (code != ATLS_OK)
        return code;
    code = text.len != 0 && text.ptr[0] == 0x30 ? chain_add(&chain, text.ptr, text.len, err)
                                                : add_pem(&chain, atls_buf_bytes(&text), err);
    atls_buf_clear(&text);
    if (code != ATLS_OK) {
        chain_clear(&chain);
        return code;
    }
    *out = chain;
    for (size_t i = 0; i < out->count; i++)
        out->views[i] = atls_buf_bytes(&out->der[i]);
    return ATLS_OK;
}

static enum atls_code write_pem(const char *path, const char *label, struct atls_bytes der,
                                struct atls_err *err)
{
    BIO *bio = BIO_new(BIO_s_mem());
    enum atls_code code;
    char *text = NULL;
    long len;

    if (bio == NULL || PEM_write_bio(bio, label, "", der.ptr, (long)der.len) <= 0) {
        BIO_free(bio);
        return io_error(err, ATLS_E_NOMEM, "out of memory");
    }
    len = BIO_get_mem_data(bio, &text);
    code = io_write_file(path, atls_bytes_of(text, (size_t)len), IO_PUBLIC, err);
    BIO_free(bio);
    return code;
}

/* ---- make, request ---- */

static bool read_lifetime(const struct cli *cli, uint32_t *out_s)
{
    unsigned long days = 0, hours = 0;

    if (cli_value(cli, "days") != NULL && cli_value(cli, "hours") != NULL) {
        cli_usage(cli, "--days and --hours exclude each other");
        return false;
    }
    if (!cli_number(cli, "days", 1, 366, &days) || !cli_number(cli, "hours", 1, 366 * 24, &hours))
        return false;
    if (days + hours != 0)
        *out_s = (uint32_t)(days * 86400 + hours * 3600);
    return true;
}

static bool read_form(const struct cli *cli, enum atls_ra_form *out)
{
    const char *form = cli_value(cli, "form");

    if (form == NULL || strcmp(form, "cmw") == 0)
        return true;
    *out = ATLS_RA_FORM_DICE;
    if (strcmp(form, "dice") == 0)
        return true;
    cli_usage(cli, "--form is \"%s\", want cmw or dice", form);
    return false;
}

static bool read_names(const struct cli *cli, const char *names[NAMES_MAX + 1])
{
    size_t count = 0;

    while (count <= NAMES_MAX && cli_value_at(cli, "name", count) != NULL) {
        names[count] = cli_value_at(cli, "name", count);
        count++;
    }
    if (count > NAMES_MAX) {
        cli_usage(cli, "--name is given more than %d times", NAMES_MAX);
        return false;
    }
    names[count] = NULL;
    return true;
}

static enum atls_code read_nonce(const struct cli *cli, struct atls_buf *out, struct atls_err *err)
{
    const char *hex = cli_value(cli, "nonce");
    enum atls_code code;

    if (hex == NULL)
        return ATLS_OK;
    if ((code = io_unhex("--nonce", hex, out, err)) != ATLS_OK)
        return code;
    if (out->len != ATLS_RA_NONCE_LEN)
        return io_error(err, ATLS_E_CONFIG, "--nonce has %zu bytes, want %d", out->len,
                        ATLS_RA_NONCE_LEN);
    return ATLS_OK;
}

static enum atls_code produce(const struct cli *cli, bool request,
                              struct atls_ra_certificate_options *o, struct atls_err *err)
{
    struct atls_buf nonce = ATLS_BUF_INIT, der = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = read_nonce(cli, &nonce, err)) == ATLS_OK &&
        (code = parts_attester(cli, cli_value(cli, "name"), &o->attester, err)) == ATLS_OK) {
        o->nonce = atls_buf_bytes(&nonce);
        code = request ? atls_ra_certificate_request(o, &der, err)
                       : atls_ra_certificate_make(o, &der, err);
    }
    if (code == ATLS_OK)
        code = write_pem(cli_value(cli, "out"), request ? PEM_STRING_X509_REQ : PEM_STRING_X509,
                         atls_buf_bytes(&der), err);
    atls_attester_unref(o->attester);
    atls_buf_clear(&nonce);
    atls_buf_clear(&der);
    return code;
}

static enum cli_status run_produce(const struct cli *cli, bool request)
{
    const char *names[NAMES_MAX + 1];
    struct atls_ra_certificate_options o;
    struct parts_profiles profiles;
    struct atls_err err = ATLS_ERR_INIT;

    atls_ra_certificate_options_init(&o);
    if (!read_lifetime(cli, &o.lifetime_s) || !read_form(cli, &o.form) || !read_names(cli, names) ||
        !parts_profiles(cli, &profiles))
        return CLI_USAGE;
    if (request && cli_value(cli, "nonce") != NULL)
        return cli_usage(cli, "--nonce is for make: nobody waits for a CA");
    o.profiles = profiles.set;
    if (names[0] != NULL) {
        o.dns_names = names;
        o.common_name = strlen(names[0]) <= 64 ? names[0] : NULL; /* ub-common-name */
    }
    return produce(cli, request, &o, &err) == ATLS_OK ? CLI_YES : cli_fail(cli, &err);
}

static enum cli_status run_make(const struct cli *cli)
{
    return run_produce(cli, false);
}

static enum cli_status run_request(const struct cli *cli)
{
    return run_produce(cli, true);
}

/* ---- verify ---- */

struct judge {
    struct chain chain;
    struct atls_buf nonce, anchors, crls;
    struct atls_verifier *verifier;
    struct atls_policy *policy;
    struct atls_config *config;
    struct parts_profiles profiles;
    enum atls_identity identity;
    enum atls_freshness freshness;
    int64_t time_s;          /* 0: now */
    unsigned long max_age_h; /* 0: the default */
};

static void judge_clear(struct judge *j)
{
    chain_clear(&j->chain);
    atls_buf_clear(&j->nonce);
    atls_buf_clear(&j->anchors);
    atls_buf_clear(&j->crls);
    atls_config_unref(j->config);
    atls_policy_unref(j->policy);
    atls_verifier_unref(j->verifier);
}

static int64_t now(void *arg)
{
    const struct judge *j = arg;

    return j->time_s != 0 ? j->time_s : (int64_t)time(NULL);
}

static enum atls_code open_config(const struct cli *cli, struct judge *j, struct atls_err *err)
{
    static const char *const with_soft[] = {"tpm", "soft", NULL};
    struct atls_config_options o;

    atls_config_options_init(&o);
    o.flavour = ATLS_FLAVOUR_PRE;
    o.freshness = j->freshness;
    o.require_peer = true;
    o.verifier = j->verifier;
    o.policy = j->policy;
    o.identity = j->identity;
    o.clock = (struct atls_clock){.arg = j, .wall_s = now};
    o.certificate_max_age_s = (uint32_t)j->max_age_h * 3600;
    if (cli_flag(cli, "insecure-soft"))
        o.evidence_types = with_soft;
    if (j->profiles.set != 0)
        o.profiles = j->profiles.names;
    if (j->identity == ATLS_IDENTITY_PKIX) {
        o.anchors = atls_buf_bytes(&j->anchors);
        o.system_anchors = j->anchors.len == 0;
        o.crls = atls_buf_bytes(&j->crls);
    }
    return atls_config_new(&o, &j->config, err);
}

static enum atls_code judge_open(const struct cli *cli, struct judge *j, struct atls_err *err)
{
    const char *when = cli_value(cli, "time");
    enum atls_code code;

    if ((when != NULL && (code = io_time(when, &j->time_s, err)) != ATLS_OK) ||
        (code = read_nonce(cli, &j->nonce, err)) != ATLS_OK ||
        (code = parts_verifier(cli, &j->verifier, err)) != ATLS_OK ||
        (code = parts_policy(cli, &j->policy, err)) != ATLS_OK ||
        (code = parts_anchors(cli, &j->anchors, &j->crls, err)) != ATLS_OK)
        return code;
    return open_config(cli, j, err);
}

static bool judge_usage(const struct cli *cli, struct judge *j)
{
    const char *freshness = cli_value(cli, "freshness");
    const bool nonce = strcmp(freshness, "nonce") == 0;

    j->identity = ATLS_IDENTITY_PKIX;
    j->freshness = nonce ? ATLS_FRESHNESS_NONCE : ATLS_FRESHNESS_NONE;
    if (!parts_identity(cli, &j->identity) || !parts_result_usage(cli, NULL) ||
        !parts_profiles(cli, &j->profiles) ||
        !cli_number(cli, "max-age", 1, ATLS_CERTIFICATE_MAX_AGE_S / 3600, &j->max_age_h))
        return false;
    if (!nonce && strcmp(freshness, "none") != 0)
        cli_usage(cli, "--freshness is \"%s\", want none or nonce", freshness);
    else if (nonce != (cli_value(cli, "nonce") != NULL))
        cli_usage(cli, "--freshness nonce and --nonce go together");
    else if (j->max_age_h != 0 && (nonce || cli_flag(cli, "ignore-dates")))
        cli_usage(cli, "--max-age goes without --ignore-dates, and with --freshness none: what "
                       "answers a nonce is new");
    else if (j->identity == ATLS_IDENTITY_SAME_KEY)
        cli_usage(cli, "--identity same-key is for connections: want pkix or attested");
    else if ((j->identity == ATLS_IDENTITY_PKIX) != (cli_value(cli, "name") != NULL))
        cli_usage(cli, "--identity pkix and --name go together; --identity attested goes without");
    else if (cli_value(cli, "crl") != NULL && j->identity != ATLS_IDENTITY_PKIX)
        cli_usage(cli, "--crl wants the identity pkix: else no authority is asked");
    else
        return true;
    return false;
}

/* Accepted, or refused by the policy: both have a result. */
static enum cli_status report(const struct cli *cli, const struct judge *j,
                              const struct atls_ra_certificate_verdict *v)
{
    const char *freshness = j->freshness == ATLS_FRESHNESS_NONCE ? "nonce" : "none";
    struct atls_decision decision = {0};
    struct atls_err err = ATLS_ERR_INIT;
    enum cli_status status = CLI_YES;
    json_t *json;

    if (atls_policy_decide(j->policy, v->result, &decision, &err) != ATLS_OK)
        return verdict_refuse(cli, &err);
    if (cli_flag(cli, "json")) {
        if ((json = verdict_json(v->result, &decision)) != NULL &&
            json_object_update_new(
                json, json_pack("{ss ss ss sI sI sI sb}", "form", v->form, "binding", "key",
                                "freshness", freshness, "age", (json_int_t)v->age_s, "not-before",
                                (json_int_t)v->not_before_s, "not-after",
                                (json_int_t)v->not_after_s, "out-of-date", (int)v->expired)) != 0) {
            json_decref(json);
            json = NULL;
        }
        status = cli_print_json(cli, stdout, json);
    } else {
        printf("evidence: %s, genuine; it names the key of the certificate\n",
               atls_result_evidence_type(v->result));
        printf("form:     %s\n", v->form);
        printf("age:      %" PRId64 " s since notBefore%s\n", v->age_s,
               v->expired ? "; out of its dates or too old, which was ignored" : "");
        printf("binding:  bound to key only, not to connection; freshness: %s\n", freshness);
        verdict_print(v->result, &decision);
    }
    return status == CLI_YES ? verdict_status(cli, v->result, &decision) : status;
}

static enum cli_status judge_chain(const struct cli *cli, struct judge *j)
{
    struct atls_ra_certificate_verdict verdict;
    struct atls_ra_certificate_check check;
    struct atls_err err = ATLS_ERR_INIT;
    enum cli_status status;
    enum atls_code code;

    atls_ra_certificate_check_init(&check);
    check.chain = j->chain.views;
    check.chain_len = j->chain.count;
    check.nonce = atls_buf_bytes(&j->nonce);
    check.peer_name = cli_value(cli, "name");
    check.ignore_dates = cli_flag(cli, "ignore-dates");
    code = atls_ra_certificate_judge(j->config, &check, &verdict, &err);
    if (code == ATLS_OK || (code == ATLS_E_REFUSED && verdict.result != NULL))
        status = report(cli, j, &verdict);
    else
        status = verdict_refuse(cli, &err);
    atls_ra_certificate_verdict_clear(&verdict);
    return status;
}

static enum cli_status run_verify(const struct cli *cli)
{
    struct judge j = {.time_s = 0};
    struct atls_err err = ATLS_ERR_INIT;
    enum cli_status status;

    if (!judge_usage(cli, &j))
        return CLI_USAGE;
    if (judge_open(cli, &j, &err) != ATLS_OK)
        status = cli_fail(cli, &err);
    else if (chain_read(cli_operand(cli, 1), &j.chain, &err) != ATLS_OK)
        status = cli_fail_peer(cli, &err);
    else
        status = judge_chain(cli, &j);
    judge_clear(&j);
    return status;
}

/* ---- show ---- */

/* The content of the CMW, as atls inspect has it; null for what it does not know. */
static json_t *inspected(struct atls_bytes cmw)
{
    struct atls_buf text = ATLS_BUF_INIT;
    json_t *json = NULL;

    if (atls_inspect(cmw, "cmw", &text, NULL) == ATLS_OK)
        json = json_loads((const char *)text.ptr, 0, NULL);
    atls_buf_clear(&text);
    return json != NULL ? json : json_null();
}

static json_t *facts_json(const struct atls_ra_certificate_facts *f, size_t certificates)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int len = 0;

    if (EVP_Digest(f->spki.ptr, f->spki.len, digest, &len, EVP_sha256(), NULL) != 1)
        return NULL;
    return json_pack("{sb ss sb sb sI sI so sI so}", "verified", 0, "form", f->form, "critical",
                     (int)f->critical, "self-issued", (int)f->self_issued, "not-before",
                     (json_int_t)f->not_before_s, "not-after", (json_int_t)f->not_after_s,
                     "key-sha256", io_hex_json(atls_bytes_of(digest, len)), "certificates",
                     (json_int_t)certificates, "cmw", inspected(atls_buf_bytes(&f->cmw)));
}

static enum cli_status show(const struct cli *cli, const struct chain *chain)
{
    struct atls_ra_certificate_facts facts;
    struct atls_err err = ATLS_ERR_INIT;
    enum cli_status status = CLI_YES;
    char *text = NULL;
    json_t *json;

    if (atls_ra_certificate_read(chain->views[0], &facts, &err) != ATLS_OK)
        return cli_fail(cli, &err);
    if (cli_value(cli, "cmw-out") != NULL &&
        io_write_file(cli_value(cli, "cmw-out"), atls_buf_bytes(&facts.cmw), IO_PUBLIC, &err) !=
            ATLS_OK)
        status = cli_fail(cli, &err);
    if (status == CLI_YES) {
        json = facts_json(&facts, chain->count);
        text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
        json_decref(json);
        status = text != NULL ? cli_show_json(cli, atls_bytes_of(text, strlen(text)))
                              : cli_out_of_memory(cli);
        free(text);
    }
    atls_buf_clear(&facts.cmw);
    return status;
}

static enum cli_status run_show(const struct cli *cli)
{
    struct chain chain;
    struct atls_err err = ATLS_ERR_INIT;
    enum cli_status status;

    if (chain_read(cli_operand(cli, 1), &chain, &err) != ATLS_OK)
        return cli_fail(cli, &err);
    status = show(cli, &chain);
    chain_clear(&chain);
    return status;
}

static enum cli_status run(struct cli *cli)
{
    static const struct {
        const char *name;
        const char *needs[3];
        bool reads_file;
        enum cli_status (*run)(const struct cli *);
    } verbs[] = {
        {"make", {"attester", NULL}, false, run_make},
        {"request", {"attester", NULL}, false, run_request},
        {"verify", {"verifier", "freshness", NULL}, true, run_verify},
        {"show", {NULL}, true, run_show},
    };
    const char *verb = cli_operand(cli, 0);

    for (size_t i = 0; verb != NULL && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(verb, verbs[i].name) != 0)
            continue;
        if (!cli_need(cli, verbs[i].needs))
            return CLI_USAGE;
        if (verbs[i].reads_file != (cli_operand(cli, 1) != NULL))
            return verbs[i].reads_file ? cli_usage(cli, "FILE is missing")
                                       : cli_usage(cli, "%s takes no FILE: use --out", verb);
        return verbs[i].run(cli);
    }
    return cli_usage(cli, "want make, request, verify or show");
}

const struct command command_certificate = {
    "certificate", "make, show and judge certificates that carry evidence", usage, 2, run, NULL};
