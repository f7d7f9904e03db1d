/* atls connect: an attested connection from standard input and to standard output. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/x509v3.h>

#include "commands.h"
#include "io.h"
#include "parts.h"
#include "relay.h"

#define CONNECT_TIMEOUT_MS 30000

static const char usage[] =
    "usage: atls connect [OPTION ...] HOST:PORT | unix:PATH\n"
    "\n"
    "Connects, has the server attest itself, and only then sends standard input to it and what it\n"
    "answers to standard output. Who was attested is printed on standard error.\n"
    "\n"
    "  --verifier URI         who appraises the server's evidence (required): local:STORE.db,\n"
    "                         veraison:URL; passport:FILE or passport:URL: the server shows the\n"
    "                         result of a verifier with these keys\n"
    "  --unattested-server    in place of --verifier: only we attest ourselves, and TLS alone\n"
    "                         vouches for the server (--ca, --name)\n"
    "  --result-keys FILE     public keys of the verifier of results (JWK, JWK set or PEM); "
    "default:\n"
    "                         those that its https URL names\n"
    "  --result-max-age S     how old a result may be; default 86400, of veraison: 300\n"
    "  --fresh-result         passport: only a result that was made for this very connection\n"
    "  --verifier-timeout S   for one question to a verifier elsewhere; default 10\n"
    "  --optional-peer        INSECURE unless somebody looks: go on with a server that shows no\n"
    "                         evidence at all, which TLS alone vouches for; says so. Evidence\n"
    "                         that is shown must pass\n"
    "  --policy FILE          jq program over the result; default: every submodule affirming\n"
    "  --identity HOW         pkix (default): certificate of the server's attestation identity "
    "key\n"
    "                         below --ca and for --name; same-key: that key is the TLS key;\n"
    "                         attested: self-signed, trusted through its evidence alone\n"
    "  --name NAME            the server's name; default HOST\n"
    "  --ca FILE              anchors (PEM), also of verifiers' https; default: those for tls in "
    "a\n"
    "                         local: store, else the system's\n"
    "  --crl FILE             revocation lists (PEM), beside those of a local: store whose\n"
    "                         anchors count\n"
    "  --attester URI         attest ourselves when asked: tpm2:TCTI[?option=value&...], "
    "tsm:[DIR][?...], soft:KEY.pem\n"
    "  --attester-cert PEM    certificate chain of our attestation identity key\n"
    "  --endorsements PEM     certificates that vouch for our attestation key\n"
    "  --passport-from URL    obtain results about ourselves there, and show these to a server "
    "that\n"
    "                         takes results\n"
    "  --passport-only        never show evidence itself\n"
    "  --require-self         refuse a server that does not ask us to attest\n"
    "  --cert PEM             our TLS certificate chain\n"
    "  --key PEM              its private key\n"
    "  --reattest-interval S  have the server attest again every S seconds\n"
    "  --raw                  no framing once the connection is open, and no re-attestation;\n"
    "                         the end of either side's input then ends both directions\n"
    "  --timeout S            for attestation; default 30\n"
    "  --profile NAME,...     forms that the server's evidence may come in: kat-bundle, "
    "kat-batch,\n"
    "                         bare, parsec, of pre also ra-tls; default the first two\n"
    "  --collateral-from [MAKER=]URL ...\n"
    "                         fetch what makers of confidential-computing hardware publish,\n"
    "                         and the store has not, from this service (atls-collateral(1))\n"
    "  --rule NAME=VALUE ... what evidence of confidential computing must keep to, or may:\n"
    "                         docs/tee-rules.md\n"
    "  --allow-ima-violations accept an IMA log with files that changed while they were measured\n"
    "  --insecure-soft        allow software evidence, which anyone can make, here and there\n"
    "  --json                 print who was attested as JSON\n"
    "  --help                 this text\n"
    "\n"
    "Exit status: 0 orderly end; 1 usage or configuration; 2 could not tell; 3 refused, also in\n"
    "mid-stream.\n";

static bool is_address(const char *name)
{
    ASN1_OCTET_STRING *address = a2i_IPADDRESS(name);
    bool found = address != NULL;

    ASN1_OCTET_STRING_free(address);
    return found;
}

/* Names the server in the handshake, and in the check of its TLS certificate where TLS checks it.
 */
static enum atls_code set_name(SSL *ssl, const char *name, struct atls_err *err)
{
    bool address = is_address(name);
    char text[256]; /* OpenSSL's macro takes it without const */

    if ((size_t)snprintf(text, sizeof(text), "%s", name) >= sizeof(text))
        return io_error(err, ATLS_E_CONFIG, "--name is longer than %zu bytes", sizeof(text) - 1);
    if (!address && SSL_set_tlsext_host_name(ssl, text) != 1)
        return parts_tls_error(err, name);
    if (SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE)
        return ATLS_OK;
    if (address ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) != 1
                : SSL_set1_host(ssl, name) != 1)
        return parts_tls_error(err, name);
    return ATLS_OK;
}

static void show_peer(void *arg, struct relay *relay)
{
    const struct cli *cli = arg;
    bool again = relay->attestations > 1;

    if (cli_flag(cli, "json")) {
        (void)cli_print_json(cli, stderr, relay_peer_json(relay));
        return;
    }
    if (cli_flag(cli, "unattested-server")) {
        cli_say(cli, "open; the server did not attest itself, its TLS certificate vouches for it%s",
                relay_not_shown(relay));
        return;
    }
    if (relay_peer_is_unattested(relay)) {
        cli_say(cli, "open; " RELAY_UNATTESTED ": its TLS certificate alone vouches for it%s",
                relay_not_shown(relay));
        return;
    }
    cli_say(cli, "%sattested%s%s", cli_colour(stderr, CLI_GREEN), again ? " again" : "",
            cli_colour(stderr, CLI_PLAIN));
    if (!again)
        relay_print_peer(relay, stderr, "  ");
}

static enum atls_code begin(const struct cli *cli, const struct parts *parts,
                            const struct io_address *address, struct relay *relay,
                            struct atls_err *err)
{
    const char *name = cli_value(cli, "name") != NULL ? cli_value(cli, "name") : address->host;
    enum atls_code code;

    if (name[0] == '\0')
        return io_error(err, ATLS_E_CONFIG, "--name is missing: a socket file has no host name");
    if ((code = io_connect(address, CONNECT_TIMEOUT_MS, &relay->fd, err)) != ATLS_OK)
        return code;
    if ((relay->ssl = SSL_new(parts->tls)) == NULL || SSL_set_fd(relay->ssl, relay->fd) != 1)
        return parts_tls_error(err, "TLS connection");
    SSL_set_connect_state(relay->ssl);
    if ((code = set_name(relay->ssl, name, err)) != ATLS_OK)
        return code;
    return atls_openssl_new(relay->ssl, parts->config, name, &relay->conn, err);
}

/* A certificate that TLS itself refused is a refusal, whatever the handshake was then called. */
static enum cli_status report_failure(const struct cli *cli, const struct relay *relay,
                                      const struct atls_err *err)
{
    long verified = relay->ssl != NULL ? SSL_get_verify_result(relay->ssl) : X509_V_OK;
    struct atls_err refused = *err;

    if (err->code == ATLS_E_TLS && verified != X509_V_OK) {
        io_error(&refused, ATLS_E_CERTIFICATE, "TLS certificate of the server: %s",
                 X509_verify_cert_error_string(verified));
        return cli_fail_peer(cli, &refused);
    }
    return cli_fail_peer(cli, err);
}

/* What says something of an attested server contradicts an unattested one. */
static bool unattested_usage(const struct cli *cli)
{
    static const char *const others[] = {"verifier", "policy", "identity", "reattest-interval"};

    if (!cli_flag(cli, "unattested-server"))
        return true;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (cli_value(cli, others[i]) != NULL) {
            cli_usage(cli, "--%s is about an attested server: not with --unattested-server",
                      others[i]);
            return false;
        }
    if (cli_flag(cli, "optional-peer")) {
        cli_usage(cli, "--optional-peer asks the server to attest itself: not with "
                       "--unattested-server");
        return false;
    }
    if (cli_value(cli, "attester") == NULL) {
        cli_usage(cli, "--unattested-server wants --attester: else nobody attests anything");
        return false;
    }
    return true;
}

static enum cli_status run(struct cli *cli)
{
    bool require_peer;
    struct parts parts;
    struct io_address address;
    struct atls_err err = ATLS_ERR_INIT;
    struct relay *relay;
    enum cli_status status;

    if (cli_operand(cli, 0) == NULL)
        return cli_usage(cli, "HOST:PORT is missing");
    if (io_address(cli_operand(cli, 0), &address, &err) != ATLS_OK)
        return cli_fail(cli, &err);
    if (!unattested_usage(cli))
        return CLI_USAGE;
    require_peer = !cli_flag(cli, "unattested-server");
    if ((relay = calloc(1, sizeof(*relay))) == NULL)
        return cli_out_of_memory(cli);
    if ((status = parts_open(cli, ATLS_ROLE_CLIENT, require_peer, &parts)) != CLI_YES) {
        free(relay);
        return status;
    }
    if (flavour_warning(&parts.flavour)[0] != '\0')
        cli_say(cli, "%s", flavour_warning(&parts.flavour));
    if (cli_flag(cli, "optional-peer"))
        cli_say(cli, "the server's attestation is optional: without any, it passes as not "
                     "attested");
    if (parts.identity == ATLS_IDENTITY_ATTESTED)
        cli_say(cli, "TLS does not check the server's certificate: its evidence vouches for it");
    relay->fd = relay->wake_fd = -1;
    relay->raw = cli_flag(cli, "raw");
    relay->plain = parts.flavour.flavour != ATLS_FLAVOUR_POST;
    relay->attests = parts.attester != NULL;
    relay->from_app = STDIN_FILENO;
    relay->to_app = STDOUT_FILENO;
    relay->attested = show_peer;
    relay->arg = cli;
    if (begin(cli, &parts, &address, relay, &err) != ATLS_OK || relay_run(relay, &err) != ATLS_OK)
        status = report_failure(cli, relay, &err);
    relay_clear(relay);
    free(relay);
    parts_clear(&parts);
    return status;
}

const struct command command_connect = {
    "connect", "attested client: pipe through a connection", usage, 1, run, flavour_options};
