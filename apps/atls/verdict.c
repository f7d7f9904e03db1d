#include "verdict.h"

#include <stdio.h>

#include "io.h"

/* The EAR as a JSON value, NULL when memory runs out. */
static json_t *ear_json(struct atls_result *result)
{
    const char *text = atls_result_json(result);

    return text != NULL ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
}

static json_t *reasons_json(const struct atls_decision *decision)
{
    json_t *reasons = json_array();

    for (size_t i = 0; i < decision->reason_count && reasons != NULL; i++)
        if (json_array_append_new(reasons, json_string(decision->reasons[i])) != 0) {
            json_decref(reasons);
            return NULL;
        }
    return reasons;
}

json_t *verdict_json(struct atls_result *result, const struct atls_decision *decision)
{
    return json_pack("{ss so ss so}", "decision", decision->accept ? "accept" : "refuse", "reasons",
                     reasons_json(decision), "explanation", atls_result_explanation(result), "ear",
                     ear_json(result));
}

/* Several parts of one machine are told one by one. */
static void print_parts(const struct atls_result *result)
{
    const size_t count = atls_result_submods(result);

    for (size_t i = 0; count > 1 && i < count; i++) {
        printf("          ");
        /* Another verifier chose the name. */
        for (const char *at = atls_result_submod_name(result, i); *at != '\0'; at++)
            printf(*at >= 0x20 && *at < 0x7f ? "%c" : "\\x%02x", (unsigned char)*at);
        printf(": %s\n", atls_tier_name(atls_result_submod_status(result, i)));
    }
}

void verdict_print(struct atls_result *result, const struct atls_decision *decision)
{
    const char *explanation = atls_result_explanation(result);
    char instance[80];

    if (atls_result_instance(result).len > 0)
        printf("instance: %s\n", io_hex(atls_result_instance(result), instance, sizeof(instance)));
    printf("status:   %s\n", atls_tier_name(atls_result_status(result)));
    print_parts(result);
    if (explanation[0] != '\0')
        printf("because:  %s\n", explanation);
    printf("decision: %s%s%s\n", cli_colour(stdout, decision->accept ? CLI_GREEN : CLI_RED),
           decision->accept ? "accept" : "refuse", cli_colour(stdout, CLI_PLAIN));
    for (size_t i = 0; i < decision->reason_count; i++)
        printf("          %s\n", decision->reasons[i]);
}

enum cli_status verdict_status(const struct cli *cli, struct atls_result *result,
                               const struct atls_decision *decision)
{
    if (decision->accept)
        return CLI_YES;
    cli_say(cli, "refused: %s",
            decision->reason_count > 0 ? decision->reasons[0] : atls_result_explanation(result));
    return CLI_REFUSED;
}

enum cli_status verdict_refuse(const struct cli *cli, const struct atls_err *err)
{
    enum cli_status status = cli_fail_peer(cli, err);

    if (cli_flag(cli, "json") && status == CLI_REFUSED &&
        cli_print_json(cli, stdout,
                       json_pack("{ss ss ss}", "decision", "refuse", "reason",
                                 atls_reason_name(err->reason), "message", err->message)) !=
            CLI_YES)
        return CLI_UNKNOWN;
    return status;
}
