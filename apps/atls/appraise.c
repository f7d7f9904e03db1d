/* atls appraise: evidence and its challenge to a result and a decision, offline. */
#include <stdlib.h>
#include <string.h>

#include <atls/ear.h>

#include "commands.h"
#include "io.h"
#include "parts.h"
#include "verdict.h"

static const char usage[] =
    "usage: atls appraise --evidence FILE --binder HEX --aik FILE --verifier URI [--policy FILE]\n"
    "\n"
    "Appraises evidence as a relying party would, and applies the policy. Exit status 0: "
    "accepted;\n"
    "3: refused.\n"
    "\n"
    "  --evidence FILE   the evidence, or with passport: the result: one CMW, CBOR\n"
    "  --binder HEX      the challenge that it must answer: 32 or 48 bytes\n"
    "  --aik FILE        the key that it must name: public key or certificate, DER or PEM\n"
    "  --verifier URI    local:STORE.db, veraison:URL; passport:FILE or passport:URL: judge the\n"
    "                    result of a verifier with these keys\n"
    "  --result-keys FILE\n"
    "                    public keys of the verifier of results (JWK, JWK set or PEM); default:\n"
    "                    those that its https URL names\n"
    "  --result-max-age S\n"
    "                    how old a result may be; default 86400, of veraison: 300\n"
    "  --fresh-result    passport: the result must echo --binder, too\n"
    "  --ca FILE         anchors (PEM) of verifiers' https; default: the system's\n"
    "  --verifier-timeout S\n"
    "                    for the question to a verifier elsewhere; default 10\n"
    "  --policy FILE     jq program over the result; default: every submodule affirming\n"
    "  --time RFC3339    appraise as of this time; default now\n"
    "  --ear-out FILE    write the result as a signed JWT; needs --sign-key\n"
    "  --sign-key PEM    private key (EC P-256, P-384 or Ed25519) for --ear-out\n"
    "  --profile NAME,...\n"
    "                    forms that evidence may come in: kat-bundle, kat-batch, bare, parsec;\n"
    "                    default the first two\n"
    "  --collateral-from [MAKER=]URL ...\n"
    "                    fetch what makers of confidential-computing hardware publish,\n"
    "                    and the store has not, from this service (atls-collateral(1))\n"
    "  --rule NAME=VALUE ...\n"
    "                    what evidence of confidential computing must keep to, or may:\n"
    "                    docs/tee-rules.md\n"
    "  --allow-ima-violations\n"
    "                    accept an IMA log with files that changed while they were measured\n"
    "  --insecure-soft   appraise software evidence, too; the policy must name it\n"
    "  --json            JSON instead of text for people\n"
    "  --help            this text\n";

struct inputs {
    struct atls_buf evidence, binder, aik_file, aik, sign_key;
    struct atls_verifier *verifier;
    struct atls_policy *policy;
    int64_t time_s;
};

static void inputs_clear(struct inputs *inputs)
{
    atls_buf_clear(&inputs->evidence);
    atls_buf_clear(&inputs->binder);
    atls_buf_clear(&inputs->aik_file);
    atls_buf_clear(&inputs->aik);
    atls_buf_clear(&inputs->sign_key);
    atls_policy_unref(inputs->policy);
    atls_verifier_unref(inputs->verifier);
}

static enum atls_code read_inputs(const struct cli *cli, struct inputs *out, struct atls_err *err)
{
    const char *time = cli_value(cli, "time"), *sign_key = cli_value(cli, "sign-key");
    enum atls_code code;

    if ((code = io_read_file(cli_value(cli, "evidence"), &out->evidence, err)) != ATLS_OK ||
        (code = io_unhex("--binder", cli_value(cli, "binder"), &out->binder, err)) != ATLS_OK ||
        (code = io_read_file(cli_value(cli, "aik"), &out->aik_file, err)) != ATLS_OK ||
        (code = io_public_key(cli_value(cli, "aik"), atls_buf_bytes(&out->aik_file), &out->aik,
                              err)) != ATLS_OK ||
        (time != NULL && (code = io_time(time, &out->time_s, err)) != ATLS_OK) ||
        (sign_key != NULL && (code = io_read_file(sign_key, &out->sign_key, err)) != ATLS_OK) ||
        (code = parts_verifier(cli, &out->verifier, err)) != ATLS_OK)
        return code;
    if (out->binder.len != 32 && out->binder.len != 48)
        return io_error(err, ATLS_E_CONFIG, "--binder has %zu bytes, want 32 or 48",
                        out->binder.len);
    return parts_policy(cli, &out->policy, err);
}

/* What was judged, and what ties it to challenge and key. */
static void print_what(const struct cli *cli, const struct inputs *inputs,
                       const struct atls_result *result)
{
    const char *type = atls_result_evidence_type(result);

    if (atls_verifier_input(inputs->verifier) == ATLS_VERIFIER_TAKES_EVIDENCE) {
        printf("evidence: %s, genuine; it answers the challenge and names the key\n", type);
        return;
    }
    printf("passport: %s, result of %s; it names the key%s\n", type[0] != '\0' ? type : "unknown",
           atls_result_verifier(result),
           cli_flag(cli, "fresh-result") ? " and answers the challenge" : "");
}

static enum cli_status report(const struct cli *cli, const struct inputs *inputs,
                              struct atls_result *result, const struct atls_decision *decision)
{
    if (cli_flag(cli, "json"))
        return cli_print_json(cli, stdout, verdict_json(result, decision));
    print_what(cli, inputs, result);
    verdict_print(result, decision);
    return CLI_YES;
}

static enum cli_status decide(const struct cli *cli, const struct inputs *inputs,
                              struct atls_result *result)
{
    struct atls_decision decision = {0};
    struct atls_buf token = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    enum cli_status status;

    if (cli_value(cli, "ear-out") != NULL) {
        if (atls_ear_sign(result, atls_buf_bytes(&inputs->sign_key), NULL, &token, &err) == ATLS_OK)
            (void)!io_write_file(cli_value(cli, "ear-out"), atls_buf_bytes(&token), IO_PUBLIC,
                                 &err);
        atls_buf_clear(&token);
        if (err.code != ATLS_OK)
            return cli_fail(cli, &err);
    }
    if (atls_policy_decide(inputs->policy, result, &decision, &err) != ATLS_OK)
        return verdict_refuse(cli, &err);
    status = report(cli, inputs, result, &decision);
    return status == CLI_YES ? verdict_status(cli, result, &decision) : status;
}

static enum cli_status run(struct cli *cli)
{
    struct inputs inputs = {0};
    struct atls_result *result = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    struct parts_profiles profiles;
    struct atls_appraisal appraisal;
    enum cli_status status;

    if (!cli_need(cli, (const char *const[]){"evidence", "binder", "aik", "verifier", NULL}))
        return CLI_USAGE;
    if (cli_flag(cli, "ear-out") != cli_flag(cli, "sign-key"))
        return cli_usage(cli, "--ear-out and --sign-key go together");
    if (!parts_result_usage(cli, NULL) || !parts_profiles(cli, &profiles))
        return CLI_USAGE;
    if (read_inputs(cli, &inputs, &err) != ATLS_OK) {
        inputs_clear(&inputs);
        return cli_fail(cli, &err);
    }
    appraisal = (struct atls_appraisal){.evidence = atls_buf_bytes(&inputs.evidence),
                                        .binder = atls_buf_bytes(&inputs.binder),
                                        .aik_spki = atls_buf_bytes(&inputs.aik),
                                        .time_s = inputs.time_s,
                                        .profiles = profiles.set};
    if (atls_verifier_appraise(inputs.verifier, &appraisal, &result, &err) == ATLS_OK)
        status = decide(cli, &inputs, result);
    else
        status = verdict_refuse(cli, &err);
    atls_result_unref(result);
    inputs_clear(&inputs);
    return status;
}

const struct command command_appraise = {"appraise", "appraise evidence, offline", usage, 0, run,
                                         NULL};
