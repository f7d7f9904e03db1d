#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_DEPTH_MAX 32

/* Another program that has these subcommands says its own name. */
#ifndef CLI_PROGRAM
#define CLI_PROGRAM "atls"
#endif

/* ---- the usage text as grammar ---- */

struct grammar_option {
    const char *name;
    size_t name_len;
    bool takes_value;
    bool repeats;
};

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

/* Reads the option that a line of the usage text describes; false when it describes none. */
static bool grammar_line(const char *line, struct grammar_option *out)
{
    const char *at;

    if (strncmp(line, "  --", 4) != 0 || !is_name(line[4]))
        return false;
    at = line + 4;
    out->name = at;
    while (is_name(*at))
        at++;
    out->name_len = (size_t)(at - out->name);
    out->takes_value = at[0] == ' ' && at[1] != ' ' && at[1] != '\0';
    out->repeats = false;
    if (!out->takes_value)
        return true;
    for (at++; *at != ' ' && *at != '\n' && *at != '\0'; at++)
        ;
    out->repeats = strncmp(at, " ...", 4) == 0;
    return true;
}

/* Finds an option of the usage text by name. */
static bool grammar_find(const char *usage, const char *name, size_t name_len,
                         struct grammar_option *out)
{
    for (const char *line = usage; line != NULL;) {
        struct grammar_option option;

        if (grammar_line(line, &option) && option.name_len == name_len &&
            memcmp(option.name, name, name_len) == 0) {
            *out = option;
            return true;
        }
        line = strchr(line, '\n');
        if (line != NULL)
            line++;
    }
    return false;
}

/* The same of a subcommand. */
static bool find_option(const struct command *command, const char *name, size_t name_len,
                        struct grammar_option *out)
{
    return grammar_find(command->usage, name, name_len, out) ||
           (command->more != NULL && grammar_find(command->more, name, name_len, out));
}

static bool take_option(struct cli *cli, int argc, char **argv, int *at, enum cli_status *status)
{
    const char *text = argv[*at] + 2, *equals = strchr(text, '=');
    size_t len = equals != NULL ? (size_t)(equals - text) : strlen(text);
    struct grammar_option option;
    const char *value = "";

    if (!find_option(cli->command, text, len, &option)) {
        *status = cli_usage(cli, "unknown option --%.*s", (int)len, text);
        return false;
    }
    if (option.takes_value && equals != NULL) {
        value = equals + 1;
    } else if (option.takes_value) {
        if (*at + 1 >= argc) {
            *status = cli_usage(cli, "option --%.*s needs a value", (int)len, text);
            return false;
        }
        value = argv[++*at];
    } else if (equals != NULL) {
        *status = cli_usage(cli, "option --%.*s takes no value", (int)len, text);
        return false;
    }
    for (size_t i = 0; i < cli->option_count && !option.repeats; i++)
        if (cli->options[i].name == option.name) {
            *status = cli_usage(cli, "option --%.*s is given twice", (int)len, text);
            return false;
        }
    if (cli->option_count == CLI_OPTIONS_MAX) {
        *status = cli_usage(cli, "more than %d options", CLI_OPTIONS_MAX);
        return false;
    }
    cli->options[cli->option_count++] = (struct cli_option){option.name, option.name_len, value};
    return true;
}

bool cli_parse(struct cli *cli, const struct command *command, int argc, char **argv,
               enum cli_status *out_status)
{
    bool options = true;

    *cli = (struct cli){.command = command};
    for (int i = 0; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
            fputs(command->usage, stdout);
            if (command->more != NULL)
                fputs(command->more, stdout);
            *out_status = CLI_YES;
            return false;
        } else if (options && strncmp(argv[i], "--", 2) == 0) {
            if (!take_option(cli, argc, argv, &i, out_status))
                return false;
        } else if (options && argv[i][0] == '-' && argv[i][1] != '\0') {
            *out_status = cli_usage(cli, "unknown option %s", argv[i]);
            return false;
        } else if (cli->operand_count == command->operands) {
            *out_status = cli_usage(cli, "unexpected argument \"%s\"", argv[i]);
            return false;
        } else {
            cli->operands[cli->operand_count++] = argv[i];
        }
    }
    return true;
}

const char *cli_value_at(const struct cli *cli, const char *name, size_t index)
{
    struct grammar_option option;

    /* A name that the usage text lacks is a fault of this program, found by the first run. */
    if (!find_option(cli->command, name, strlen(name), &option))
        abort();
    for (size_t i = 0; i < cli->option_count; i++)
        if (cli->options[i].name == option.name && index-- == 0)
            return cli->options[i].value;
    return NULL;
}

const char *cli_value(const struct cli *cli, const char *name)
{
    return cli_value_at(cli, name, 0);
}

bool cli_flag(const struct cli *cli, const char *name)
{
    return cli_value(cli, name) != NULL;
}

const char *cli_operand(const struct cli *cli, size_t index)
{
    return index < cli->operand_count ? cli->operands[index] : NULL;
}

bool cli_number(const struct cli *cli, const char *name, unsigned long min, unsigned long max,
                unsigned long *out)
{
    const char *text = cli_value(cli, name);
    unsigned long number;
    char *end;

    if (text == NULL)
        return true;
    errno = 0;
    number = strtoul(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end != '\0' || errno != 0 || number < min ||
        number > max) {
        cli_usage(cli, "--%s is \"%s\", want a number from %lu to %lu", name, text, min, max);
        return false;
    }
    *out = number;
    return true;
}

bool cli_need(const struct cli *cli, const char *const *names)
{
    for (; *names != NULL; names++)
        if (cli_value(cli, *names) == NULL) {
            cli_usage(cli, "--%s is missing", *names);
            return false;
        }
    return true;
}

/* ---- failing ---- */

void cli_say(const struct cli *cli, const char *format, ...)
{
    va_list args;

    /* One connection's line must not run into another's. */
    flockfile(stderr);
    fprintf(stderr, CLI_PROGRAM " %s: ", cli->command->name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    funlockfile(stderr);
}

enum cli_status cli_usage(const struct cli *cli, const char *format, ...)
{
    va_list args;

    flockfile(stderr);
    fprintf(stderr, CLI_PROGRAM " %s: ", cli->command->name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nTry: " CLI_PROGRAM " %s --help\n", cli->command->name);
    funlockfile(stderr);
    return CLI_USAGE;
}

/* What a code means to whoever waits for a verdict; from_peer: when bytes of the peer caused it. */
static const struct {
    enum atls_code code;
    enum cli_status status, from_peer;
} statuses[] = {
    {ATLS_E_USAGE, CLI_USAGE, CLI_USAGE},        {ATLS_E_CONFIG, CLI_USAGE, CLI_USAGE},
    {ATLS_E_DECODE, CLI_UNKNOWN, CLI_REFUSED},   {ATLS_E_UNSUPPORTED, CLI_UNKNOWN, CLI_REFUSED},
    {ATLS_E_VERIFY, CLI_REFUSED, CLI_REFUSED},   {ATLS_E_CERTIFICATE, CLI_REFUSED, CLI_REFUSED},
    {ATLS_E_PROTOCOL, CLI_UNKNOWN, CLI_REFUSED}, {ATLS_E_EVIDENCE, CLI_REFUSED, CLI_REFUSED},
    {ATLS_E_REFUSED, CLI_REFUSED, CLI_REFUSED},  {ATLS_E_DECLINED, CLI_REFUSED, CLI_REFUSED},
    {ATLS_E_LIMIT, CLI_UNKNOWN, CLI_REFUSED},
};

enum cli_status cli_status_of(const struct atls_err *err, bool from_peer)
{
    if (err->code == ATLS_OK)
        return CLI_YES;
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
        if (statuses[i].code == err->code)
            return from_peer ? statuses[i].from_peer : statuses[i].status;
    /* A finished handshake that is unfit for attestation is a refusal; a broken one tells nothing.
     */
    if (err->code == ATLS_E_TLS && err->reason != ATLS_REASON_NONE)
        return CLI_REFUSED;
    return CLI_UNKNOWN;
}

static enum cli_status fail(const struct cli *cli, const struct atls_err *err, bool from_peer)
{
    enum cli_status status = cli_status_of(err, from_peer);
    const char *what = status == CLI_REFUSED ? "refused" : atls_code_name(err->code);

    flockfile(stderr);
    fprintf(stderr, CLI_PROGRAM " %s: %s%s%s: %s", cli->command->name,
            cli_colour(stderr, status == CLI_REFUSED ? CLI_RED : CLI_YELLOW), what,
            cli_colour(stderr, CLI_PLAIN), err->message);
    if (err->reason != ATLS_REASON_NONE)
        fprintf(stderr, " [%s]", atls_reason_name(err->reason));
    fputc('\n', stderr);
    funlockfile(stderr);
    return status;
}

enum cli_status cli_fail(const struct cli *cli, const struct atls_err *err)
{
    return fail(cli, err, false);
}

enum cli_status cli_fail_peer(const struct cli *cli, const struct atls_err *err)
{
    return fail(cli, err, true);
}

enum cli_status cli_out_of_memory(const struct cli *cli)
{
    cli_say(cli, "out of memory");
    return CLI_UNKNOWN;
}

/* ---- text for people ---- */

const char *cli_colour(FILE *stream, enum cli_colour colour)
{
    static const char *const codes[] = {"\033[0m",  "\033[1m",  "\033[32m",
                                        "\033[31m", "\033[33m", "\033[2m"};

    if (!isatty(fileno(stream)) || getenv("NO_COLOR") != NULL)
        return "";
    return codes[colour];
}

static void print_text(FILE *stream, const json_t *value, int depth);

/* Prints one scalar; bytes of a terminal's language in strings are escaped by JSON already, others
 * here. */
static void print_scalar(FILE *stream, const json_t *value)
{
    char *text;

    if (!json_is_string(value)) {
        text = json_dumps(value, JSON_ENCODE_ANY);
        fputs(text != NULL ? text : "?", stream);
        free(text);
        return;
    }
    for (const char *at = json_string_value(value); *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || (unsigned char)*at == 0x7f)
            fprintf(stream, "\\x%02x", (unsigned int)(unsigned char)*at);
        else
            fputc(*at, stream);
    }
}

static void print_member(FILE *stream, const char *name, const json_t *value, int depth)
{
    bool nested = (json_is_object(value) && json_object_size(value) > 0) ||
                  (json_is_array(value) && json_array_size(value) > 0);

    fprintf(stream, "%*s%s%s%s:", 2 * depth, "", cli_colour(stream, CLI_BOLD), name,
            cli_colour(stream, CLI_PLAIN));
    if (nested && depth < TEXT_DEPTH_MAX) {
        fputc('\n', stream);
        print_text(stream, value, depth + 1);
        return;
    }
    fputc(' ', stream);
    print_scalar(stream, value);
    fputc('\n', stream);
}

/* depth is bounded by print_member, which prints what lies deeper on one line. */
static void print_text(FILE *stream, const json_t *value, int depth)
{
    void *iterator;

    if (json_is_object(value)) {
        /* Iteration does not change the object; jansson's signature says otherwise. */
        json_t *object = json_copy((json_t *)(uintptr_t)value);

        for (iterator = json_object_iter(object); iterator != NULL;
             iterator = json_object_iter_next(object, iterator))
            print_member(stream, json_object_iter_key(iterator), json_object_iter_value(iterator),
                         depth);
        json_decref(object);
        return;
    }
    if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            const json_t *item = json_array_get(value, i);
            char name[32];

            if (json_is_object(item) || json_is_array(item)) {
                snprintf(name, sizeof(name), "[%zu]", i);
                print_member(stream, name, item, depth);
            } else {
                fprintf(stream, "%*s- ", 2 * depth, "");
                print_scalar(stream, item);
                fputc('\n', stream);
            }
        }
        return;
    }
    fprintf(stream, "%*s", 2 * depth, "");
    print_scalar(stream, value);
    fputc('\n', stream);
}

enum cli_status cli_show_json(const struct cli *cli, struct atls_bytes json)
{
    json_error_t error;
    json_t *value = json_loadb((const char *)json.ptr, json.len,
                               JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);

    if (value == NULL) {
        cli_say(cli, "the library's JSON does not parse: %s", error.text);
        return CLI_UNKNOWN;
    }
    if (cli_flag(cli, "json")) {
        json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
        fputc('\n', stdout);
    } else {
        print_text(stdout, value, 0);
    }
    json_decref(value);
    if (fflush(stdout) != 0) {
        cli_say(cli, "standard output: %s", strerror(errno));
        return CLI_UNKNOWN;
    }
    return CLI_YES;
}

enum cli_status cli_print_json(const struct cli *cli, FILE *stream, json_t *value)
{
    char *text = value != NULL ? json_dumps(value, JSON_COMPACT) : NULL;

    json_decref(value);
    if (text == NULL)
        return cli_out_of_memory(cli);
    flockfile(stream);
    fputs(text, stream);
    fputc('\n', stream);
    fflush(stream);
    funlockfile(stream);
    free(text);
    return CLI_YES;
}
