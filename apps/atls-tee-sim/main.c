/* atls-tee-sim: confidential-computing machines for those who have none. Insecure by nature. */
#include "commands.h"

#include <signal.h>
#include <string.h>
#include <time.h>

#include "atls/io.h"

static const struct command *const commands[] = {
    &command_init, &command_mount,      &command_evidence, &command_set,
    &command_show, &command_collateral, &command_serve,
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *stream)
{
    fputs("usage: atls-tee-sim COMMAND DIR [OPTION ...]\n\n", stream);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(stream, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\nINSECURE: whoever has DIR makes evidence of its machine. For tests alone.\n"
          "Exit status: 0 yes; 1 usage or configuration; 2 could not tell.\n"
          "More: atls-tee-sim COMMAND --help, man atls-tee-sim\n",
          stream);
}

bool open_world(const struct cli *cli, struct atls_sim_world **out, enum cli_status *out_status)
{
    struct atls_err err = ATLS_ERR_INIT;

    if (cli_operand(cli, 0) == NULL) {
        *out_status = cli_usage(cli, "which world? DIR is missing");
        return false;
    }
    if (atls_sim_world_open(cli_operand(cli, 0), out, &err) != ATLS_OK) {
        *out_status = cli_fail(cli, &err);
        return false;
    }
    cli_say(cli, "INSECURE: a simulated %s machine, for tests alone", atls_sim_world_name(*out));
    return true;
}

bool time_of(const struct cli *cli, int64_t *out_s, enum cli_status *out_status)
{
    const char *text = cli_value(cli, "time");
    struct atls_err err = ATLS_ERR_INIT;

    *out_s = (int64_t)time(NULL);
    if (text == NULL || io_time(text, out_s, &err) == ATLS_OK)
        return true;
    *out_status = cli_usage(cli, "--time: %s", err.message);
    return false;
}

int main(int argc, char **argv)
{
    enum cli_status status = CLI_USAGE;
    struct cli cli;

    if (argc < 2) {
        print_help(stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return CLI_YES;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("atls-tee-sim " ATLS_VERSION);
        return CLI_YES;
    }
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(argv[1], commands[i]->name) == 0) {
            if (cli_parse(&cli, commands[i], argc - 2, argv + 2, &status))
                status = commands[i]->run(&cli);
            return (int)status;
        }
    fprintf(stderr, "atls-tee-sim: unknown command \"%s\"\nTry: atls-tee-sim --help\n", argv[1]);
    return CLI_USAGE;
}
