/* One row a subcommand; each stands in the file of its name. */
#ifndef ATLS_APP_COMMANDS_H
#define ATLS_APP_COMMANDS_H

#include "cli.h"

extern const struct command command_appraise;
extern const struct command command_certificate;
extern const struct command command_collateral;
extern const struct command command_connect;
extern const struct command command_corim;
extern const struct command command_demo;
extern const struct command command_ear;
extern const struct command command_enrol;
extern const struct command command_evidence;
extern const struct command command_inspect;
extern const struct command command_serve;
extern const struct command command_store;

#endif
