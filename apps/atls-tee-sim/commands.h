/* One row a subcommand; each stands in the file of its name, set and show in orders.c. */
#ifndef ATLS_TEE_SIM_COMMANDS_H
#define ATLS_TEE_SIM_COMMANDS_H

#include "atls/cli.h"
#include "simulator/world.h"

extern const struct command command_collateral;
extern const struct command command_evidence;
extern const struct command command_init;
extern const struct command command_mount;
extern const struct command command_serve;
extern const struct command command_set;
extern const struct command command_show;

/* Opens the world that the first operand names, and says that it is insecure. False after an
 * explanation, with *out_status. */
bool open_world(const struct cli *cli, struct atls_sim_world **out, enum cli_status *out_status);
/* --time, or now. False after an explanation, with *out_status. */
bool time_of(const struct cli *cli, int64_t *out_s, enum cli_status *out_status);

#endif
