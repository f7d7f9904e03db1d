/* atls ear: attestation results, shown and verified. */
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
    "       atls ear verify --key FILE --max-age SECONDS|any [--nonce HEX] [--time RFC3339]\n"
    "                       [--float-times] [--json] FILE\n"
    "\n"
    "Shows an attestation result (EAR), as JWT or CWT. show takes a claims set alone too and\n"
    "verifies nothing; verify takes a token, and its signature and time must be good. FILE - is\n"
    "standard input.\n"
    "\n"
    "  --key FILE      public keys of which one must have signed: PEM (keys, certificates), JWK\n"
    "                  or JWK set\n"
    "  --max-age AGE   seconds since the result was issued, at most; any: it may be of any age\n"
    "  --nonce HEX     8 to 64 bytes that the result must echo\n"
    "  --time RFC3339  verify as of this time; default now\n"
    "  --float-times   take times written as floats, in results of the 2023 profile\n"
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

static enum atls_code read_check(const struct cli *cli, struct atls_ear_check *check,
                                 struct atls_buf *nonce, struct atls_err *err)
{
    const char *when = cli_value(cli, "time"), *hex = cli_value(cli, "nonce");
    struct atls_buf text = ATLS_BUF_INIT;
    enum atls_code code;

    check->time_s = (int64_t)time(NULL);
    check->allow_float_times = cli_flag(cli, "float-times");
    if ((code = read_age(cli_value(cli, "max-age"), &check->max_age_s, err)) != ATLS_OK ||
        (when != NULL && (code = io_time(when, &check->time_s, err)) != ATLS_OK) ||
        (hex != NULL && (code = io_unhex("--nonce", hex, nonce, err)) != ATLS_OK))
        return code;
    if (hex != NULL && (nonce->len < 8 || nonce->len > 64))
        return io_error(err, ATLS_E_CONFIG, "--nonce has %zu bytes, want 8 to 64", nonce->len);
    check->nonce = atls_buf_bytes(nonce);
    if ((code = io_read_file(cli_value(cli, "key"), &text, err)) != ATLS_OK)
        return code;
    code = atls_ear_keys_parse(atls_buf_bytes(&text), &check->keys, err);
    atls_buf_clear(&text);
    return code;
}

/* What is wrong with the token is somebody else's, what is wrong with keys and options the
 * caller's.
 */
static enum cli_status run_verify(const struct cli *cli, struct atls_bytes in)
{
    struct atls_buf nonce = ATLS_BUF_INIT, out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ear_check check;
    enum cli_status status;

    atls_ear_check_init(&check);
    if (read_check(cli, &check, &nonce, &err) != ATLS_OK)
        status = cli_fail(cli, &err);
    else if (atls_ear_verify(in, &check, &out, &err) != ATLS_OK)
        status = cli_fail_peer(cli, &err);
    else
        status = cli_show_json(cli, atls_buf_bytes(&out));
    atls_ear_keys_unref(check.keys);
    atls_buf_clear(&nonce);
    atls_buf_clear(&out);
    return status;
}

static enum cli_status run_show(const struct cli *cli, struct atls_bytes in)
{
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    enum cli_status status;

    if (atls_ear_show(in, &out, &err) != ATLS_OK)
        return cli_fail(cli, &err);
    status = cli_show_json(cli, atls_buf_bytes(&out));
    atls_buf_clear(&out);
    return status;
}

static enum cli_status run(struct cli *cli)
{
    static const struct {
        const char *name;
        const char *needs[3];
        enum cli_status (*run)(const struct cli *, struct atls_bytes);
    } verbs[] = {{"show", {NULL}, run_show}, {"verify", {"key", "max-age", NULL}, run_verify}};
    const char *verb = cli_operand(cli, 0), *path = cli_operand(cli, 1);
    struct atls_buf in = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    enum cli_status status;

    for (size_t i = 0; verb != NULL && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(verb, verbs[i].name) != 0)
            continue;
        if (!cli_need(cli, verbs[i].needs))
            return CLI_USAGE;
        if (path == NULL)
            return cli_usage(cli, "FILE is missing");
        if (io_read_file(path, &in, &err) != ATLS_OK)
            return cli_fail(cli, &err);
        status = verbs[i].run(cli, atls_buf_bytes(&in));
        atls_buf_clear(&in);
        return status;
    }
    return cli_usage(cli, "want show or verify");
}

const struct command command_ear = {"ear", "show and verify attestation results", usage, 2, run,
                                    NULL};
