/* atls ear: attestation results as text. */
#include <string.h>

#include <atls/ear.h>

#include "commands.h"
#include "io.h"

static const char usage[] =
    "usage: atls ear show [--json] FILE\n"
    "\n"
    "Shows an attestation result (EAR): a compact JWT or its claims set. The signature is not\n"
    "verified. FILE - is standard input.\n"
    "\n"
    "  --json  JSON instead of text for people\n"
    "  --help  this text\n";

static enum cli_status run(struct cli *cli)
{
    struct atls_buf in = ATLS_BUF_INIT, out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    enum cli_status status;

    if (cli_operand(cli, 0) == NULL || strcmp(cli_operand(cli, 0), "show") != 0)
        return cli_usage(cli, "want \"show\"");
    if (cli_operand(cli, 1) == NULL)
        return cli_usage(cli, "FILE is missing");
    if (io_read_file(cli_operand(cli, 1), &in, &err) == ATLS_OK &&
        atls_ear_show(atls_buf_bytes(&in), &out, &err) == ATLS_OK)
        status = cli_show_json(cli, atls_buf_bytes(&out));
    else
        status = cli_fail(cli, &err);
    atls_buf_clear(&out);
    atls_buf_clear(&in);
    return status;
}

const struct command command_ear = {"ear", "show attestation results", usage, 2, run};
