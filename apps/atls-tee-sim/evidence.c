#include "commands.h"

#include <string.h>

#include "atls/io.h"
#include "core/writer.h"
#include "wire/cbor.h"
#include "wire/tsm.h"

#define REPORT_MAX (256 * 1024)

static const char usage[] =
    "usage: atls-tee-sim evidence DIR --challenge HEX [OPTION ...]\n"
    "\n"
    "Prints what the machine gives for a challenge, as a tsm-report in CBOR, without a mount.\n"
    "\n"
    "  --challenge HEX    64 bytes that the evidence is to carry\n"
    "  --privlevel N      snp: the VMPL to ask for; default the lowest that the guest may\n"
    "  --raw              the content of outblob alone\n"
    "  --out FILE         write it there; default standard output\n"
    "  --help             this text\n";

static enum cli_status print(const struct cli *cli, struct atls_sim_world *world,
                             const struct atls_sim_blobs *blobs)
{
    const char *provider = atls_sim_world_provider_name(world);
    struct atls_tsm_report report = {.provider = atls_bytes_of(provider, strlen(provider)),
                                     .outblob = atls_buf_bytes(&blobs->outblob)};
    struct atls_writer w = atls_writer_init(REPORT_MAX);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf out = ATLS_BUF_INIT;
    enum cli_status status = CLI_YES;

    if (blobs->auxblob.len > 0)
        report.auxblob = atls_buf_bytes(&blobs->auxblob);
    if (cli_flag(cli, "raw"))
        atls_put_bytes(&w, report.outblob);
    else
        atls_tsm_report_put(&w, &report);
    if (atls_writer_finish(&w, &out, &err) != ATLS_OK ||
        io_write_file(cli_value(cli, "out"), atls_buf_bytes(&out), IO_PUBLIC, &err) != ATLS_OK)
        status = cli_fail(cli, &err);
    atls_buf_clear(&out);
    return status;
}

static enum cli_status make(const struct cli *cli, struct atls_sim_world *world,
                            struct atls_bytes challenge, unsigned long privlevel)
{
    const struct atls_sim_request request = {
        .inblob = challenge, .privlevel = (unsigned int)privlevel, .service_provider = ""};
    struct atls_sim_blobs blobs = {0};
    struct atls_err err = ATLS_ERR_INIT;
    enum cli_status status;
    int number;

    if (atls_sim_world_evidence(world, &request, &blobs, &number, &err) != ATLS_OK)
        return cli_fail(cli, &err);
    status = print(cli, world, &blobs);
    atls_sim_blobs_clear(&blobs);
    return status;
}

/* The lowest privlevel, when none was asked for. */
static bool privlevel_of(const struct cli *cli, struct atls_sim_world *world, unsigned long *out,
                         enum cli_status *status)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_sim_state state;

    if (atls_sim_world_state(world, &state, &err) != ATLS_OK) {
        *status = cli_fail(cli, &err);
        return false;
    }
    *out = (unsigned long)atls_sim_state_number(&state, ATLS_SIM_ORDER_VMPL_FLOOR);
    *status = CLI_USAGE;
    return cli_number(cli, "privlevel", 0, ATLS_SIM_PRIVLEVEL_MAX, out);
}

static enum cli_status run(struct cli *cli)
{
    static const char *const needed[] = {"challenge", NULL};
    struct atls_buf challenge = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_sim_world *world = NULL;
    unsigned long privlevel = 0;
    enum cli_status status;

    if (!cli_need(cli, needed))
        return CLI_USAGE;
    if (io_unhex("--challenge", cli_value(cli, "challenge"), &challenge, &err) != ATLS_OK)
        return cli_usage(cli, "%s", err.message);
    if (open_world(cli, &world, &status)) {
        if (privlevel_of(cli, world, &privlevel, &status))
            status = make(cli, world, atls_buf_bytes(&challenge), privlevel);
        atls_sim_world_free(world);
    }
    atls_buf_clear(&challenge);
    return status;
}

const struct command command_evidence = {
    "evidence", "print evidence, without a mount", usage, 1, run, NULL};
