/* atls inspect: anything that this project knows, as text. */
#include <atls/inspect.h>

#include "commands.h"
#include "io.h"

static const char usage[] =
    "usage: atls inspect [--kind KIND] [--json] FILE\n"
    "\n"
    "Shows what a file holds. Nothing is verified. FILE - is standard input.\n"
    "\n"
    "  --kind KIND  certificate, crl, public-key, jwk, ear, eat, psa, cca, kat, kat-batch, soft,\n"
    "               parsec-cca, parsec-tpm, cmw, corim, comid, cots, cotl, concise-evidence,\n"
    "               tpm-certify, tpm-quote, tpm-attest, tpm-public, tpm-signature, event-log,\n"
    "               ima-log, pcrs, tsm-report, snp-report, snp-certificates, tdx-quote,\n"
    "               sgx-quote, hcl-report, ccel-table, intel-collateral, authenticator, request,\n"
    "               frame, cose, cbor, json-claims or json;\n"
    "               default: guessed\n"
    "  --json       JSON instead of text for people\n"
    "  --help       this text\n";

static enum cli_status run(struct cli *cli)
{
    struct atls_buf in = ATLS_BUF_INIT, out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    enum cli_status status;

    if (cli_operand(cli, 0) == NULL)
        return cli_usage(cli, "FILE is missing");
    if (io_read_file(cli_operand(cli, 0), &in, &err) == ATLS_OK &&
        atls_inspect(atls_buf_bytes(&in), cli_value(cli, "kind"), &out, &err) == ATLS_OK)
        status = cli_show_json(cli, atls_buf_bytes(&out));
    else
        status = cli_fail(cli, &err);
    atls_buf_clear(&out);
    atls_buf_clear(&in);
    return status;
}

const struct command command_inspect = {
    "inspect", "show evidence, results, manifests as text", usage, 1, run, NULL};
