/* What every subcommand shares: options that are read from the usage text, one way to fail, text
 * for people with colour on a terminal only.
 *
 * Nothing here or in the subcommands reaches past include/atls: what the command can do, any
 * program can. */
#ifndef ATLS_CLI_H
#define ATLS_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <jansson.h>

#include <atls/bytes.h>

/* Exit statuses, as atls(1) promises. */
enum cli_status {
    CLI_YES = 0,
    CLI_USAGE = 1,   /* usage or configuration */
    CLI_UNKNOWN = 2, /* could not tell: I/O, TLS, internal */
    CLI_REFUSED = 3,
};

#define CLI_OPTIONS_MAX  96 /* each rule may be given */
#define CLI_OPERANDS_MAX 8

struct cli;

/* A subcommand is a row (main.c) and a file. The usage text is the grammar: an option is a line
 * that starts with two spaces and "--name"; a word in capitals after it says that it takes a value,
 * "..." after that word that it may be given more than once. */
struct command {
    const char *name;
    const char *summary;
    const char *usage;
    size_t operands; /* at most this many */
    enum cli_status (*run)(struct cli *cli);
    const char *more; /* what follows usage: options that several have; or NULL */
};

struct cli {
    const struct command *command;
    struct cli_option {
        const char *name; /* in the usage text, without "--"; not NUL terminated */
        size_t name_len;
        const char *value; /* "" for a flag */
    } options[CLI_OPTIONS_MAX];
    size_t option_count;
    const char *operands[CLI_OPERANDS_MAX];
    size_t operand_count;
};

/* Reads the arguments after the subcommand's name. Returns false when the command is to end at once
 * with *out_status: --help was printed, or the usage is wrong and was explained. */
bool cli_parse(struct cli *cli, const struct command *command, int argc, char **argv,
               enum cli_status *out_status);

/* Value of an option, NULL when it was not given; the name must be in the usage text. */
const char *cli_value(const struct cli *cli, const char *name);
/* The same of the index-th time that it was given; NULL behind the last. */
const char *cli_value_at(const struct cli *cli, const char *name, size_t index);
bool cli_flag(const struct cli *cli, const char *name);
/* Operand by index, NULL behind the last. */
const char *cli_operand(const struct cli *cli, size_t index);
/* Decimal number of an option within bounds; *out keeps its value when the option is absent. False
 * after an explanation. */
bool cli_number(const struct cli *cli, const char *name, unsigned long min, unsigned long max,
                unsigned long *out);
/* False, after an explanation, when one of the options (NULL-terminated) is missing. */
bool cli_need(const struct cli *cli, const char *const *names);

/* Prints "atls CMD: MESSAGE" and where to find help; returns CLI_USAGE. */
enum cli_status cli_usage(const struct cli *cli, const char *format, ...) ATLS_PRINTF(2, 3);
/* Prints a line of the form "atls CMD: MESSAGE" on standard error. */
void cli_say(const struct cli *cli, const char *format, ...) ATLS_PRINTF(2, 3);
/* Prints "atls CMD: refused: MESSAGE [reason]" or what else the code means; returns the exit
 * status. */
enum cli_status cli_fail(const struct cli *cli, const struct atls_err *err);
/* The same when what failed came from the peer that is being judged: malformed means refused. */
enum cli_status cli_fail_peer(const struct cli *cli, const struct atls_err *err);
/* The exit status alone. */
enum cli_status cli_status_of(const struct atls_err *err, bool from_peer);
enum cli_status cli_out_of_memory(const struct cli *cli);

enum cli_colour { CLI_PLAIN, CLI_BOLD, CLI_GREEN, CLI_RED, CLI_YELLOW, CLI_DIM };
/* Starts or (CLI_PLAIN) ends a colour; "" unless stream is a terminal and NO_COLOR is unset. */
const char *cli_colour(FILE *stream, enum cli_colour colour);

/* Prints JSON text to standard output: as it is with --json, else as indented lines for people. */
enum cli_status cli_show_json(const struct cli *cli, struct atls_bytes json);
/* Prints a JSON value on one line; takes the reference. */
enum cli_status cli_print_json(const struct cli *cli, FILE *stream, json_t *value);

#endif
