#include "flavour.h"

#include <stdlib.h>
#include <string.h>

/* Private use, without the number that libraries take for themselves. */
#define EXTENSION_MIN   65280
#define EXTENSION_TAKEN 65281
#define HOURS_MAX       8784 /* a year */
#define AGE_HOURS_MAX   (ATLS_CERTIFICATE_MAX_AGE_S / 3600)
/* Scheme of verifiers that take results. */
#define PASSPORT "passport:"

const char flavour_options[] =
    "\n"
    "How attestation is carried, the same at both ends (docs/flavours.md):\n"
    "  --flavour HOW          post (default): behind the handshake; intra: in the handshake; pre: "
    "in\n"
    "                         the TLS certificate. With intra and pre the TLS certificate of a "
    "side\n"
    "                         that attests is the attester's\n"
    "  --freshness WHICH      pre, required: nonce: evidence answers a nonce of the handshake; "
    "none:\n"
    "                         as old as the certificate, and can be replayed\n"
    "  --certificate-hours N  pre: how long a certificate of ours is valid; default 24\n"
    "  --certificate-max-age N\n"
    "                         pre, --freshness none: refuse a peer's certificate that was made "
    "more\n"
    "                         than N hours ago; default 168\n"
    "  --secret-binder        intra: evidence is bound to a secret of the handshake, too. Not of "
    "the\n"
    "                         draft: both ends must ask for it\n"
    "  --extension-type N     intra: number of the TLS extension: 65280, 65282 to 65535; default\n"
    "                         65424\n"
    "  --accepted-verifier NAME\n"
    "                         intra: who makes the results of --verifier passport:...; default:\n"
    "                         the host of its URL\n"
    "  --passport-verifier NAME\n"
    "                         intra: who makes those of --passport-from; default: its host\n";

bool flavour_find(const char *name, enum atls_flavour *out)
{
    static const enum atls_flavour all[] = {ATLS_FLAVOUR_POST, ATLS_FLAVOUR_INTRA,
                                            ATLS_FLAVOUR_PRE};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (strcmp(name, atls_flavour_name(all[i])) == 0) {
            *out = all[i];
            return true;
        }
    return false;
}

static bool find_freshness(const struct cli *cli, struct flavour *out)
{
    const char *name = cli_value(cli, "freshness");

    if (name == NULL && out->flavour != ATLS_FLAVOUR_PRE)
        return true;
    if (out->flavour != ATLS_FLAVOUR_PRE)
        cli_usage(cli, "--freshness is for --flavour pre: evidence of the others is made for the "
                       "connection");
    else if (name == NULL)
        cli_usage(cli, "--flavour pre wants --freshness nonce (evidence answers a nonce of the "
                       "handshake) or --freshness none (it is as old as the certificate, and can "
                       "be replayed)");
    else if (strcmp(name, "none") == 0)
        out->freshness = ATLS_FRESHNESS_NONE;
    else if (strcmp(name, "nonce") == 0)
        out->freshness = ATLS_FRESHNESS_NONCE;
    else
        cli_usage(cli, "--freshness is \"%s\", want none or nonce", name);
    return out->freshness != ATLS_FRESHNESS_UNSAID;
}

/* Options of one flavour, and why no other has them. */
static const struct {
    const char *option;
    enum atls_flavour flavour;
    const char *why;
} own_options[] = {
    {"certificate-hours", ATLS_FLAVOUR_PRE, "the others keep no evidence"},
    {"certificate-max-age", ATLS_FLAVOUR_PRE, "evidence of the others is made for the connection"},
    {"secret-binder", ATLS_FLAVOUR_INTRA, "the others have no such binder"},
    {"extension-type", ATLS_FLAVOUR_INTRA, "the others use no TLS extension of their own"},
    {"accepted-verifier", ATLS_FLAVOUR_INTRA, "the others do not negotiate by that name"},
    {"passport-verifier", ATLS_FLAVOUR_INTRA, "the others do not negotiate by that name"},
    {"raw", ATLS_FLAVOUR_POST, "the others have no framing"},
    {"reattest-interval", ATLS_FLAVOUR_POST, "the others attest once a connection"},
};

static bool check_options(const struct cli *cli, enum atls_flavour flavour)
{
    for (size_t i = 0; i < sizeof(own_options) / sizeof(own_options[0]); i++) {
        if (own_options[i].flavour == flavour || cli_value(cli, own_options[i].option) == NULL)
            continue;
        cli_usage(cli, "--%s is for --flavour %s: %s", own_options[i].option,
                  atls_flavour_name(own_options[i].flavour), own_options[i].why);
        return false;
    }
    return true;
}

/* The TLS certificate is the attester's on a side that has one; another server has its own. */
static bool check_certificate(const struct cli *cli, enum atls_role role, enum atls_flavour flavour)
{
    static const char *const options[] = {"cert", "key"};

    if (flavour == ATLS_FLAVOUR_POST)
        return true;
    if (cli_value(cli, "attester") == NULL) {
        if (role == ATLS_ROLE_CLIENT ||
            (cli_value(cli, "cert") != NULL && cli_value(cli, "key") != NULL))
            return true;
        cli_usage(cli,
                  "--cert and --key are missing: in --flavour %s only a side with --attester goes "
                  "without",
                  atls_flavour_name(flavour));
        return false;
    }
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        if (cli_value(cli, options[i]) != NULL) {
            cli_usage(cli,
                      "--%s is not for a side that attests in --flavour %s: its TLS key is the "
                      "attester's, and the certificate that of --attester-cert",
                      options[i], atls_flavour_name(flavour));
            return false;
        }
    return true;
}

/* Host of "https://HOST[:PORT][/...]", without the brackets of an address; false when uri is none,
 * or the host too long. */
static bool host_of(const char *uri, char out[FLAVOUR_NAME])
{
    static const char scheme[] = "https://";
    size_t len;
    bool bracket;

    if (uri == NULL || strncmp(uri, scheme, sizeof(scheme) - 1) != 0)
        return false;
    uri += sizeof(scheme) - 1;
    bracket = *uri == '[';
    len = strcspn(uri += bracket, bracket ? "]/?#" : ":/?#");
    if (len == 0 || len >= FLAVOUR_NAME)
        return false;
    memcpy(out, uri, len);
    out[len] = '\0';
    return true;
}

/* One name of a Verifier: what the option says, or else the host of url. */
static bool name_verifier(const struct cli *cli, const char *option, const char *source,
                          const char *url, char out[FLAVOUR_NAME])
{
    const char *name = cli_value(cli, option);

    if (name == NULL) {
        if (host_of(url, out))
            return true;
        cli_usage(cli,
                  "--%s is missing: %s is no https URL whose host could name the verifier, which "
                  "both sides have to call the same",
                  option, source);
        return false;
    }
    if (name[0] == '\0' || strlen(name) >= FLAVOUR_NAME) {
        cli_usage(cli, "--%s has %zu bytes, want 1 to %d", option, strlen(name), FLAVOUR_NAME - 1);
        return false;
    }
    memcpy(out, name, strlen(name) + 1);
    return true;
}

static bool takes_results(const struct cli *cli)
{
    const char *verifier = cli_value(cli, "verifier");

    return verifier != NULL && strncmp(verifier, PASSPORT, sizeof(PASSPORT) - 1) == 0;
}

/* Results of intra are negotiated by the name of the Verifier that made them. */
static bool name_verifiers(const struct cli *cli, bool require_peer, struct flavour *out)
{
    const char *from = cli_value(cli, "passport-from");
    bool results = require_peer && takes_results(cli);

    if (!results && cli_value(cli, "accepted-verifier") != NULL) {
        cli_usage(cli, "--accepted-verifier names the verifier of results, and wants --verifier "
                       "passport:...");
        return false;
    }
    if (from == NULL && cli_value(cli, "passport-verifier") != NULL) {
        cli_usage(cli, "--passport-verifier names the verifier of our results, and wants "
                       "--passport-from");
        return false;
    }
    if (results &&
        !name_verifier(cli, "accepted-verifier", "--verifier passport:FILE",
                       cli_value(cli, "verifier") + sizeof(PASSPORT) - 1, out->accepted_verifier))
        return false;
    return from == NULL ||
           name_verifier(cli, "passport-verifier", "--passport-from", from, out->passport_verifier);
}

/* Whether a result has to be made for the connection follows from the flavour. */
static bool check_results(const struct cli *cli, const struct flavour *flavour)
{
    bool fresh = cli_flag(cli, "fresh-result");

    if (flavour->flavour == ATLS_FLAVOUR_INTRA && fresh)
        cli_usage(cli, "--fresh-result is not for --flavour intra, which cannot ask for one");
    else if (flavour->freshness == ATLS_FRESHNESS_NONE && fresh)
        cli_usage(cli, "--fresh-result wants --freshness nonce: else there is nothing to answer");
    else if (flavour->freshness == ATLS_FRESHNESS_NONCE && takes_results(cli) && !fresh)
        cli_usage(cli, "--freshness nonce with --verifier passport:... wants --fresh-result: a "
                       "result from before answers no nonce");
    else
        return true;
    return false;
}

/* Of certificates of ours, and of those that a peer shows; 0: not given. */
static bool find_hours(const struct cli *cli, bool require_peer, struct flavour *out)
{
    unsigned long hours = 0, age = 0;

    if (!cli_number(cli, "certificate-hours", 1, HOURS_MAX, &hours) ||
        !cli_number(cli, "certificate-max-age", 1, AGE_HOURS_MAX, &age))
        return false;
    out->lifetime_s = (uint32_t)hours * 3600;
    out->max_age_s = (uint32_t)age * 3600;
    if (hours != 0 && cli_value(cli, "attester") == NULL)
        cli_usage(cli, "--certificate-hours is of certificates of ours, and wants --attester");
    else if (age != 0 && !require_peer)
        cli_usage(cli, "--certificate-max-age is of certificates of clients, and wants "
                       "--require-peer");
    else if (age != 0 && out->freshness == ATLS_FRESHNESS_NONCE)
        cli_usage(cli,
                  "--certificate-max-age is for --freshness none: what answers a nonce is new");
    else
        return true;
    return false;
}

bool flavour_usage(const struct cli *cli, enum atls_role role, bool require_peer,
                   struct flavour *out)
{
    const char *name = cli_value(cli, "flavour");
    struct flavour flavour = {.flavour = ATLS_FLAVOUR_POST};
    unsigned long type = 0;

    if (name != NULL && !flavour_find(name, &flavour.flavour)) {
        cli_usage(cli, "--flavour is \"%s\", want post, intra or pre", name);
        return false;
    }
    if (!find_freshness(cli, &flavour) || !check_options(cli, flavour.flavour) ||
        !check_certificate(cli, role, flavour.flavour) || !check_results(cli, &flavour) ||
        !cli_number(cli, "extension-type", EXTENSION_MIN, UINT16_MAX, &type) ||
        !find_hours(cli, require_peer, &flavour))
        return false;
    if (type == EXTENSION_TAKEN) {
        cli_usage(cli, "--extension-type %d is renegotiation_info, want another", EXTENSION_TAKEN);
        return false;
    }
    flavour.extension_type = (uint16_t)type;
    flavour.secret_binder = cli_flag(cli, "secret-binder");
    if (flavour.flavour == ATLS_FLAVOUR_INTRA && !name_verifiers(cli, require_peer, &flavour))
        return false;
    *out = flavour;
    return true;
}

void flavour_configure(const struct flavour *flavour, struct atls_config_options *options)
{
    options->flavour = flavour->flavour;
    options->freshness = flavour->freshness;
    options->secret_binder = flavour->secret_binder;
    options->extension_type = flavour->extension_type;
    options->certificate_lifetime_s = flavour->lifetime_s;
    options->certificate_max_age_s = flavour->max_age_s;
    if (flavour->accepted_verifier[0] != '\0')
        options->accepted_verifier = flavour->accepted_verifier;
    if (flavour->passport_verifier[0] != '\0')
        options->passport_verifier = flavour->passport_verifier;
}

const char *flavour_warning(const struct flavour *flavour)
{
    if (flavour->flavour != ATLS_FLAVOUR_PRE)
        return "";
    return flavour->freshness == ATLS_FRESHNESS_NONCE
               ? "flavour pre: evidence is bound to the key only, not to the connection; "
                 "freshness: nonce"
               : "flavour pre: evidence is bound to the key only, not to the connection; "
                 "freshness: none: it can be replayed for as long as its certificate is valid";
}
