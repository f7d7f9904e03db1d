#include "commands.h"

static const char usage[] =
    "usage: atls-tee-sim collateral DIR [OPTION ...]\n"
    "\n"
    "Issues again what the maker publishes (DIR/roots, DIR/collateral): revocation lists, TCB\n"
    "information, identities; with fresh dates unless collateral=expired was ordered.\n"
    "\n"
    "  --time RFC3339     date of issue; default now\n"
    "  --help             this text\n";

static enum cli_status run(struct cli *cli)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_sim_world *world = NULL;
    enum cli_status status = CLI_YES;
    int64_t time_s;

    if (!time_of(cli, &time_s, &status) || !open_world(cli, &world, &status))
        return status;
    if (atls_sim_world_publish(world, time_s, &err) != ATLS_OK)
        status = cli_fail(cli, &err);
    atls_sim_world_free(world);
    return status;
}

const struct command command_collateral = {
    "collateral", "issue revocation lists and the like anew", usage, 1, run, NULL};
