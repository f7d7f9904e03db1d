/* atls evidence: evidence for one challenge, as it would cross a connection. */
#include <openssl/rand.h>

#include <atls/attester.h>

#include "commands.h"
#include "io.h"
#include "parts.h"

static const char usage[] =
    "usage: atls evidence --attester URI {--binder HEX | --random-binder} [--out FILE]\n"
    "\n"
    "Makes evidence that answers one challenge and names the attester's identity key (AIK).\n"
    "\n"
    "  --attester URI       tpm2:TCTI[?option=value&...], tsm:[DIR][?...] or soft:KEY.pem\n"
    "  --attester-cert PEM  certificate chain of the AIK, end entity first\n"
    "  --endorsements PEM   certificates that vouch for the attestation key\n"
    "  --binder HEX         the challenge: 32 or 48 bytes\n"
    "  --random-binder      32 random bytes, printed on standard error\n"
    "  --profile NAME,...   the form, the first that the attester makes of kat-batch, kat-bundle,\n"
    "                       bare, parsec; default kat-bundle\n"
    "  --out FILE           where the evidence (one CMW, CBOR) goes; default standard output\n"
    "  --aik-out FILE       also write the AIK's public key (DER)\n"
    "  --insecure-soft      allow the software attester, which anyone can copy\n"
    "  --json               print {\"binder\", \"evidence-type\", \"evidence\", \"aik\"}, bytes in "
    "hex\n"
    "  --help               this text\n";

static enum atls_code find_binder(const struct cli *cli, struct atls_buf *out, struct atls_err *err)
{
    const char *hex = cli_value(cli, "binder");
    uint8_t random[32];
    char text[65];

    if (hex != NULL)
        return io_unhex("--binder", hex, out, err);
    if (RAND_bytes(random, sizeof(random)) != 1)
        return io_error(err, ATLS_E_CRYPTO, "no random bytes");
    return io_unhex("random binder",
                    io_hex(atls_bytes_of(random, sizeof(random)), text, sizeof(text)), out, err);
}

static enum cli_status report(const struct cli *cli, struct atls_attester *attester,
                              struct atls_bytes binder, struct atls_bytes evidence,
                              struct atls_err *err)
{
    const char *out = cli_value(cli, "out");
    char hex[97];

    if (cli_flag(cli, "random-binder"))
        cli_say(cli, "binder %s", io_hex(binder, hex, sizeof(hex)));
    if (cli_value(cli, "aik-out") != NULL &&
        io_write_file(cli_value(cli, "aik-out"), atls_attester_aik_spki(attester), IO_PUBLIC,
                      err) != ATLS_OK)
        return cli_fail(cli, err);
    if ((out != NULL || !cli_flag(cli, "json")) &&
        io_write_file(out, evidence, IO_PUBLIC, err) != ATLS_OK)
        return cli_fail(cli, err);
    if (!cli_flag(cli, "json"))
        return CLI_YES;
    return cli_print_json(cli, stdout,
                          json_pack("{so ss so so}", "binder", io_hex_json(binder), "evidence-type",
                                    atls_attester_evidence_type(attester), "evidence",
                                    io_hex_json(evidence), "aik",
                                    io_hex_json(atls_attester_aik_spki(attester))));
}

static enum atls_code make(struct atls_attester *attester, struct atls_bytes binder,
                           const struct parts_profiles *profiles, struct atls_buf *out,
                           struct atls_err *err)
{
    const struct atls_challenge challenge = {
        .binder = binder,
        .profiles = profiles->set != 0 ? profiles->set : ATLS_PROFILE_KAT,
    };

    return atls_attester_evidence_for(attester, &challenge, out, err);
}

static enum cli_status run(struct cli *cli)
{
    struct parts_profiles profiles;
    struct atls_buf binder = ATLS_BUF_INIT, evidence = ATLS_BUF_INIT;
    struct atls_attester *attester = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    enum cli_status status;

    if (!cli_need(cli, (const char *const[]){"attester", NULL}))
        return CLI_USAGE;
    if (cli_flag(cli, "binder") == cli_flag(cli, "random-binder"))
        return cli_usage(cli, "want one of --binder and --random-binder");
    if (!parts_profiles(cli, &profiles))
        return CLI_USAGE;
    if (find_binder(cli, &binder, &err) == ATLS_OK && binder.len != 32 && binder.len != 48)
        io_error(&err, ATLS_E_CONFIG, "--binder has %zu bytes, want 32 or 48", binder.len);
    if (err.code == ATLS_OK && parts_attester(cli, NULL, &attester, &err) == ATLS_OK &&
        make(attester, atls_buf_bytes(&binder), &profiles, &evidence, &err) == ATLS_OK)
        status = report(cli, attester, atls_buf_bytes(&binder), atls_buf_bytes(&evidence), &err);
    else
        status = cli_fail(cli, &err);
    atls_buf_clear(&evidence);
    atls_buf_clear(&binder);
    atls_attester_unref(attester);
    return status;
}

const struct command command_evidence = {"evidence", "make evidence for a challenge", usage, 0, run,
                                         NULL};
