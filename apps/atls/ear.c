/* atls ear: attestation results as text. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <atls/ear.h>

#include "commands.h"
#include "io.h"

/* Thirty years: more is a slip of the pen. */
#define AGE_MAX_S 946080000

static const char usage[] =
    "usage: atls ear show [--json] FILE\n"
    "       atls ear verify --key FILE --max-age SECONDS|any [--time RFC3339] [--json] FILE\n"
    "\n"
    "Shows an attestation result (EAR). show takes a compact JWT or its claims set and verifies\n"
    "nothing; verify takes a JWT, and its signature and time must be good. FILE - is standard "
    "input.\n"
    "\n"
    "  --key FILE      public key or certificate (PEM) that must have signed\n"
    "  --max-age AGE   seconds since the result was issued, at most; any: it may be of any age\n"
    "  --time RFC3339  verify as of this time; default now\n"
    "  --json          JSON instead of text for people\n"
    "  --help          this text\n";

/* "any", or a number of seconds. */
static enum atls_code read_age(const char *text, int64_t *out, struct atls_err *err)
{
    char *end;
    long seconds;

    if (strcmp(text, "any") == 0) {
        *out = ATLS_EAR_ANY_AGE;
        return ATLS_OK;
    }
    seconds = strtol(text, &end, 10);
    if (text[0] < '1' || text[0] > '9' || *end != '\0' || seconds > AGE_MAX_S)
        return io_error(err, ATLS_E_CONFIG, "--max-age is \"%.40s\", want any or 1 to %d seconds",
                        text, AGE_MAX_S);
    *out = seconds;
    return ATLS_OK;
}

static enum atls_code verify(const struct cli *cli, struct atls_bytes in, struct atls_buf *out,
                             struct atls_err *err)
{
    const char *when = cli_value(cli, "time");
    struct atls_buf key = ATLS_BUF_INIT;
    struct atls_ear_check check;
    enum atls_code code;

    atls_ear_check_init(&check);
    check.time_s = (int64_t)time(NULL);
    if ((code = read_age(cli_value(cli, "max-age"), &check.max_age_s, err)) == ATLS_OK &&
        (when == NULL || (code = io_time(when, &check.time_s, err)) == ATLS_OK) &&
        (code = io_read_file(cli_value(cli, "key"), &key, err)) == ATLS_OK) {
        check.public_key_pem = atls_buf_bytes(&key);
        code = atls_ear_verify(in, &check, out, err);
    }
    atls_buf_clear(&key);
    return code;
}

static enum atls_code show(const struct cli *cli, struct atls_bytes in, struct atls_buf *out,
                           struct atls_err *err)
{
    (void)cli;
    return atls_ear_show(in, out, err);
}

static enum cli_status run(struct cli *cli)
{
    static const struct {
        const char *name;
        const char *needs[3];
        enum atls_code (*run)(const struct cli *, struct atls_bytes, struct atls_buf *,
                              struct atls_err *);
    } verbs[] = {{"show", {NULL}, show}, {"verify", {"key", "max-age", NULL}, verify}};
    const char *verb = cli_operand(cli, 0), *path = cli_operand(cli, 1);
    struct atls_buf in = ATLS_BUF_INIT, out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    enum cli_status status;

    for (size_t i = 0; verb != NULL && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(verb, verbs[i].name) != 0)
            continue;
        if (!cli_need(cli, verbs[i].needs))
            return CLI_USAGE;
        if (path == NULL)
            return cli_usage(cli, "FILE is missing");
        if (io_read_file(path, &in, &err) == ATLS_OK &&
            verbs[i].run(cli, atls_buf_bytes(&in), &out, &err) == ATLS_OK)
            status = cli_show_json(cli, atls_buf_bytes(&out));
        else
            status = cli_fail(cli, &err);
        atls_buf_clear(&out);
        atls_buf_clear(&in);
        return status;
    }
    return cli_usage(cli, "want show or verify");
}

const struct command command_ear = {"ear", "show and verify attestation results", usage, 2, run};
