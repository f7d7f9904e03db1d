#include "commands.h"

#include <string.h>

static const char set_usage[] =
    "usage: atls-tee-sim set DIR NAME=VALUE ...\n"
    "\n"
    "Orders the machine to be as said, at most seven orders at once, all or none. A running mount\n"
    "obeys from the next quote on; collateral is issued again when it is concerned.\n"
    "\n"
    "  --time RFC3339     date of collateral that is issued again; default now\n"
    "  --help             this text\n"
    "\n"
    "atls-tee-sim show DIR lists the names and what they take.\n";

static const char show_usage[] = "usage: atls-tee-sim show DIR\n"
                                 "\n"
                                 "Prints what the machine is and every order with its value.\n"
                                 "\n"
                                 "  --help             this text\n";

/* Orders that change what the maker publishes. */
static bool concerns_collateral(const char *order)
{
    static const enum atls_sim_order concerned[] = {ATLS_SIM_ORDER_REVOKED,
                                                    ATLS_SIM_ORDER_COLLATERAL, ATLS_SIM_ORDER_TCB};
    static const enum atls_sim_tee tees[] = {ATLS_SIM_SNP, ATLS_SIM_TDX};
    size_t len = strcspn(order, "=");

    for (size_t i = 0; i < sizeof concerned / sizeof concerned[0]; i++)
        for (size_t t = 0; t < sizeof tees / sizeof tees[0]; t++) {
            const char *name = atls_sim_order_name(concerned[i], tees[t]);

            if (name != NULL && strlen(name) == len && memcmp(name, order, len) == 0)
                return true;
        }
    return false;
}

static enum cli_status set(struct cli *cli, struct atls_sim_world *world)
{
    struct atls_err err = ATLS_ERR_INIT;
    enum cli_status status = CLI_YES;
    bool publish = false;
    int64_t time_s;

    if (!time_of(cli, &time_s, &status))
        return status;
    if (cli->operand_count < 2)
        return cli_usage(cli, "what? NAME=VALUE is missing");
    for (size_t i = 1; i < cli->operand_count; i++)
        publish = publish || concerns_collateral(cli->operands[i]);
    if (atls_sim_world_order(world, cli->operands + 1, cli->operand_count - 1, &err) != ATLS_OK)
        return cli_fail(cli, &err);
    if (publish && atls_sim_world_publish(world, time_s, &err) != ATLS_OK)
        return cli_fail(cli, &err);
    return CLI_YES;
}

static enum cli_status run_set(struct cli *cli)
{
    struct atls_sim_world *world = NULL;
    enum cli_status status;

    if (!open_world(cli, &world, &status))
        return status;
    status = set(cli, world);
    atls_sim_world_free(world);
    return status;
}

static enum cli_status show(struct cli *cli, struct atls_sim_world *world)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf text = ATLS_BUF_INIT;
    struct atls_sim_state state;

    if (atls_sim_world_state(world, &state, &err) != ATLS_OK ||
        atls_sim_state_write(&state, &text, &err) != ATLS_OK)
        return cli_fail(cli, &err);
    printf("# %s, provider %s\n", atls_sim_world_name(world), atls_sim_world_provider_name(world));
    fwrite(text.ptr, 1, text.len, stdout);
    atls_buf_clear(&text);
    return CLI_YES;
}

static enum cli_status run_show(struct cli *cli)
{
    struct atls_sim_world *world = NULL;
    enum cli_status status;

    if (!open_world(cli, &world, &status))
        return status;
    status = show(cli, world);
    atls_sim_world_free(world);
    return status;
}

const struct command command_set = {"set", "order a machine to be otherwise", set_usage, 8, run_set,
                                    NULL};
const struct command command_show = {
    "show", "print what a machine is ordered to be", show_usage, 1, run_show, NULL};
