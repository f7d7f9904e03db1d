#include "commands.h"

#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: atls-tee-sim init DIR --tee NAME [OPTION ...]\n"
    "\n"
    "Makes a maker of hardware with TEST roots and one machine of it in DIR, which is new or "
    "empty.\n"
    "\n"
    "  --tee NAME         snp, tdx or cca\n"
    "  --line NAME        snp: milan, genoa (default) or turin\n"
    "  --vlek             snp: the report is signed by a key of the cloud (VLEK), not of the chip\n"
    "  --rsa-bits N       snp: of the maker's keys, 4096 (default, as AMD's) or 2048 (made "
    "sooner)\n"
    "  --tdx-quote N      tdx: version of its quotes, 4 (default) or 5\n"
    "  --set NAME=VALUE ...\n"
    "                     order the machine to be so, as \"atls-tee-sim set\" does\n"
    "  --time RFC3339     when certificates and collateral begin; default now\n"
    "  --help             this text\n"
    "\n"
    "DIR/roots and DIR/collateral are what a relying party imports, if it wants to trust this\n"
    "machine; DIR/keys are private.\n";

static bool setup_of(const struct cli *cli, struct atls_sim_setup *out, enum cli_status *status)
{
    static const char *const needed[] = {"tee", NULL};
    unsigned long version = 0, bits = 0;

    if (!cli_need(cli, needed) || !cli_number(cli, "tdx-quote", 4, 5, &version) ||
        !cli_number(cli, "rsa-bits", 2048, 4096, &bits)) {
        *status = CLI_USAGE;
        return false;
    }
    *out = (struct atls_sim_setup){.tee = atls_sim_tee_by_name(cli_value(cli, "tee")),
                                   .line = cli_value(cli, "line"),
                                   .vlek = cli_flag(cli, "vlek"),
                                   .rsa_bits = (unsigned int)bits,
                                   .quote_version = (unsigned int)version};
    return time_of(cli, &out->time_s, status);
}

/* Whether the orders of the command line can be given, before anything is made. */
static enum atls_code check_orders(const struct cli *cli, enum atls_sim_tee tee,
                                   struct atls_err *err)
{
    struct atls_sim_state state;
    const char *order;
    enum atls_code code = ATLS_OK;

    atls_sim_state_init(&state, tee);
    for (size_t i = 0; code == ATLS_OK && (order = cli_value_at(cli, "set", i)) != NULL; i++)
        code = atls_sim_state_set(&state, order, err);
    return code;
}

/* Orders of the command line; what is published follows them. */
static enum atls_code order_all(const struct cli *cli, struct atls_sim_world *world, int64_t time_s,
                                struct atls_err *err)
{
    const char *orders[CLI_OPTIONS_MAX];
    enum atls_code code;
    size_t count = 0;

    while ((orders[count] = cli_value_at(cli, "set", count)) != NULL)
        count++;
    if (count == 0)
        return ATLS_OK;
    if ((code = atls_sim_world_order(world, orders, count, err)) != ATLS_OK)
        return code;
    return atls_sim_world_publish(world, time_s, err);
}

static enum cli_status run(struct cli *cli)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_sim_world *world = NULL;
    struct atls_sim_setup setup;
    enum cli_status status = CLI_YES;

    if (cli_operand(cli, 0) == NULL)
        return cli_usage(cli, "where? DIR is missing");
    if (!setup_of(cli, &setup, &status))
        return status;
    if ((setup.tee != 0 && check_orders(cli, setup.tee, &err) != ATLS_OK) ||
        atls_sim_world_make(cli_operand(cli, 0), &setup, &world, &err) != ATLS_OK)
        return cli_fail(cli, &err);
    if (order_all(cli, world, setup.time_s, &err) != ATLS_OK)
        status = cli_fail(cli, &err);
    else
        printf("%s: a simulated %s machine. INSECURE: for tests alone.\n", cli_operand(cli, 0),
               atls_sim_world_name(world));
    atls_sim_world_free(world);
    return status;
}

const struct command command_init = {
    "init", "make a machine and its maker in a directory", usage, 1, run, NULL};
