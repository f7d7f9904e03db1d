/* atls: attested TLS from the command line. */
#include "commands.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const struct command *const commands[] = {
    &command_demo,       &command_serve,   &command_connect, &command_evidence,
    &command_appraise,   &command_inspect, &command_enrol,   &command_store,
    &command_collateral, &command_corim,   &command_ear,     &command_certificate,
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *stream)
{
    fputs("usage: atls COMMAND [OPTION ...]\n\n", stream);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(stream, "  %-11s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\nExit status: 0 yes; 1 usage or configuration; 2 could not tell; 3 refused.\n"
          "More: atls COMMAND --help, man atls-COMMAND\n",
          stream);
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
        puts("atls " ATLS_VERSION);
        return CLI_YES;
    }
    /* Whoever closes a pipe or socket is told by the failed write. */
    signal(SIGPIPE, SIG_IGN);
    /* The TPM's own library would print beside our messages, which say the same. */
    (void)setenv("TSS2_LOG", "all+none", 0);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(argv[1], commands[i]->name) == 0) {
            if (cli_parse(&cli, commands[i], argc - 2, argv + 2, &status))
                status = commands[i]->run(&cli);
            return (int)status;
        }
    fprintf(stderr, "atls: unknown command \"%s\"\nTry: atls --help\n", argv[1]);
    return CLI_USAGE;
}
