#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_read.h"
#include "file.h"
#include "text.h"

#define NAMED_FILE_MAX (1024 * 1024)

/* ---- of the whole ---- */

static const char *const format_words[] = {"text", "json", NULL};
static const char *const sandbox_words[] = {"off", "on", "report", NULL};
static const char *const level_words[] = {"error", "warning", "info", "debug", NULL};

static enum atls_code read_log(struct schema *s, const struct tree_node *node, void *into)
{
    static const struct schema_field fields[] = {
        SCHEMA_CHOICE("format", struct config, log_json, format_words),
        SCHEMA_CHOICE("level", struct config, log_level, level_words),
        SCHEMA_END,
    };

    return schema_map(s, node, fields, into);
}

static enum atls_code read_limits(struct schema *s, const struct tree_node *node, void *into)
{
    static const struct schema_field fields[] = {
        SCHEMA_AMOUNT("connections", SCHEMA_KIND_NUMBER, struct config_limits, connections, 1,
                      1000000),
        SCHEMA_AMOUNT("handshakes", SCHEMA_KIND_NUMBER, struct config_limits, handshakes, 1,
                      100000),
        SCHEMA_AMOUNT("connections-per-source", SCHEMA_KIND_NUMBER, struct config_limits,
                      connections_per_source, 1, 1000000),
        SCHEMA_AMOUNT("rate", SCHEMA_KIND_NUMBER, struct config_limits, rate, 1, 1000000),
        SCHEMA_AMOUNT("burst", SCHEMA_KIND_NUMBER, struct config_limits, burst, 1, 1000000),
        SCHEMA_AMOUNT("reattestations", SCHEMA_KIND_NUMBER, struct config_limits, reattestations, 1,
                      100000),
        SCHEMA_AMOUNT("handshake-timeout", SCHEMA_KIND_TIME, struct config_limits,
                      deadlines.handshake_timeout_s, 1, 600),
        SCHEMA_AMOUNT("gate-timeout", SCHEMA_KIND_TIME, struct config_limits,
                      deadlines.gate_timeout_s, 1, 600),
        SCHEMA_AMOUNT("dial-timeout", SCHEMA_KIND_TIME, struct config_limits,
                      deadlines.dial_timeout_s, 1, 600),
        SCHEMA_AMOUNT("idle-timeout", SCHEMA_KIND_TIME, struct config_limits,
                      deadlines.idle_timeout_s, 1, 30 * 86400),
        SCHEMA_AMOUNT("drain-timeout", SCHEMA_KIND_TIME, struct config_limits, drain_timeout_s, 1,
                      3600),
        SCHEMA_AMOUNT("bytes-before-gate", SCHEMA_KIND_SIZE, struct config_limits,
                      deadlines.bytes_before_gate, 65536, 16 * 1024 * 1024),
        SCHEMA_END,
    };
    struct config_limits *l = &((struct config *)into)->limits;
    enum atls_code code = schema_map(s, node, fields, l);

    if (code != ATLS_OK)
        return code;
    /* What is not said follows what is. */
    if (schema_find(node, "burst") == NULL && l->burst < l->rate)
        l->burst = l->rate;
    if (schema_find(node, "connections-per-source") == NULL &&
        l->connections_per_source > l->connections)
        l->connections_per_source = l->connections;
    if (l->burst < l->rate)
        return schema_at(s, node->line, "burst is %lld, less than a second of rate, %lld",
                         (long long)l->burst, (long long)l->rate);
    if (l->connections_per_source > l->connections)
        return schema_at(s, node->line, "connections-per-source is %lld, more than connections",
                         (long long)l->connections_per_source);
    return ATLS_OK;
}

/* They are read when everything that they name is known. */
static enum atls_code keep_routes(struct schema *s, const struct tree_node *node, void *into)
{
    (void)s;
    (void)node;
    (void)into;
    return ATLS_OK;
}

static void set_defaults(struct config *c)
{
    c->limits = (struct config_limits){
        .connections = 16384,
        .handshakes = 1024,
        .connections_per_source = 4096,
        .rate = 500,
        .burst = 1000,
        .reattestations = 64,
        .drain_timeout_s = 30,
        .deadlines =
            {
                .handshake_timeout_s = 10,
                .gate_timeout_s = 30,
                .dial_timeout_s = 10,
                .idle_timeout_s = 3600,
                .bytes_before_gate = 1024 * 1024,
            },
    };
    c->log_json = 1;
    c->log_level = ATLS_LOG_INFO;
    c->jobs = 8;
    c->sandbox = CONFIG_SANDBOX_ON;
    c->store_interval_s = 5;
    c->ready_timeout_s = 60;
}

enum atls_code config_parse(const char *file, struct atls_bytes text, struct config **out,
                            struct atls_err *err)
{
    static const struct schema_field fields[] = {
        SCHEMA_OTHER("log", false, read_log),
        SCHEMA_AMOUNT("workers", SCHEMA_KIND_NUMBER, struct config, workers, 0, 256),
        SCHEMA_AMOUNT("jobs", SCHEMA_KIND_NUMBER, struct config, jobs, 1, 256),
        SCHEMA_TEXT("user", struct config, user),
        SCHEMA_TEXT("group", struct config, group),
        SCHEMA_CHOICE("sandbox", struct config, sandbox, sandbox_words),
        SCHEMA_AMOUNT("store-interval", SCHEMA_KIND_TIME, struct config, store_interval_s, 1, 3600),
        SCHEMA_AMOUNT("ready-timeout", SCHEMA_KIND_TIME, struct config, ready_timeout_s, 1, 3600),
        SCHEMA_OTHER("operation", false, config_read_operation),
        SCHEMA_OTHER("limits", false, read_limits),
        SCHEMA_OTHER("attesters", false, config_read_attesters),
        SCHEMA_OTHER("verifiers", false, config_read_verifiers),
        SCHEMA_OTHER("policies", false, config_read_policies),
        SCHEMA_OTHER("routes", true, keep_routes),
        SCHEMA_END,
    };
    struct config *c = calloc(1, sizeof *c);
    struct schema s = {file, c, err};
    enum atls_code code;

    if (c == NULL)
        return set_error(err, ATLS_E_NOMEM, "configuration: out of memory");
    c->file = file;
    set_defaults(c);
    if ((code = tree_parse(file, text, &c->tree, err)) != ATLS_OK ||
        (code = schema_map(&s, c->tree, fields, c)) != ATLS_OK ||
        (code = config_read_routes(&s, schema_find(c->tree, "routes"))) != ATLS_OK) {
        config_free(c);
        return code;
    }
    *out = c;
    return ATLS_OK;
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    for (size_t i = 0; i < config->verifier_count; i++) {
        struct config_verifier *v = &config->verifiers[i];

        for (size_t k = 0; k < v->rule_count; k++)
            free(v->rules[k]);
        for (size_t k = 0; k < v->collateral_count; k++)
            free(v->collateral[k]);
    }
    free(config->attesters);
    free(config->verifiers);
    free(config->policies);
    free(config->routes);
    free(config->listeners);
    tree_free(config->tree);
    free(config);
}

/* ---- files ---- */

static bool has_secrets(const struct config *config)
{
    for (size_t i = 0; i < config->verifier_count; i++)
        if (address_has_password(config->verifiers[i].uri))
            return true;
    for (size_t i = 0; i < config->attester_count; i++)
        if (config->attesters[i].passport.url != NULL &&
            address_has_password(config->attesters[i].passport.url))
            return true;
    return false;
}

enum atls_code config_load(const char *file, struct config **out, struct atls_err *err)
{
    struct atls_buf text = ATLS_BUF_INIT, again = ATLS_BUF_INIT;
    struct config *config = NULL;
    enum atls_code code = file_read(file, FILE_PUBLIC, TREE_FILE_MAX, &text, err);

    if (code == ATLS_OK)
        code = config_parse(file, atls_buf_bytes(&text), &config, err);
    if (code == ATLS_OK && has_secrets(config)) /* then it has to be kept like one */
        code = file_read(file, FILE_SECRET, TREE_FILE_MAX, &again, err);
    atls_buf_clear(&text);
    atls_buf_clear(&again);
    if (code != ATLS_OK) {
        config_free(config);
        return code;
    }
    *out = config;
    return ATLS_OK;
}

static bool has_text(const struct atls_buf *content, const char *text)
{
    const size_t len = strlen(text);

    for (size_t i = 0; i + len <= content->len; i++)
        if (memcmp(content->ptr + i, text, len) == 0)
            return true;
    return false;
}

/* PEM of this kind, when a file is named at all. */
static enum atls_code check_pem(struct schema *s, size_t line, const char *path, const char *kind)
{
    struct atls_buf content = ATLS_BUF_INIT;
    struct atls_err why = ATLS_ERR_INIT;
    enum atls_code code = ATLS_OK;
    char begin[64];

    snprintf(begin, sizeof begin, "-----BEGIN %s-----", kind);
    if (path != NULL && file_read(path, FILE_PUBLIC, NAMED_FILE_MAX, &content, &why) != ATLS_OK)
        code = schema_at(s, line, "%s", why.message);
    else if (path != NULL && !has_text(&content, begin))
        code = schema_at(s, line, "%.100s: want PEM with \"%s\"", path, kind);
    atls_buf_clear(&content);
    return code;
}

/* One file, when it is named at all. */
static enum atls_code check_file(struct schema *s, size_t line, enum file_kind kind,
                                 const char *path)
{
    struct atls_buf content = ATLS_BUF_INIT;
    struct atls_err why = ATLS_ERR_INIT;
    enum atls_code code = ATLS_OK;

    if (path != NULL && file_read(path, kind, NAMED_FILE_MAX, &content, &why) != ATLS_OK)
        code = schema_at(s, line, "%s", why.message);
    atls_buf_clear(&content);
    return code;
}

static enum atls_code check_tls(struct schema *s, const struct config_tls *tls)
{
    enum atls_code code;

    if ((code = check_pem(s, tls->line, tls->certificate, "CERTIFICATE")) != ATLS_OK ||
        (code = check_file(s, tls->line, FILE_SECRET, tls->key)) != ATLS_OK ||
        (code = check_pem(s, tls->line, tls->ca, "CERTIFICATE")) != ATLS_OK)
        return code;
    return check_pem(s, tls->line, tls->crl, "X509 CRL");
}

static enum atls_code check_attester(struct schema *s, const struct config_attester *a)
{
    const size_t line = a->passport.line;
    enum atls_code code;

    if ((code = check_pem(s, a->line, a->certificate, "CERTIFICATE")) != ATLS_OK ||
        (code = check_pem(s, a->line, a->endorsements, "CERTIFICATE")) != ATLS_OK ||
        (code = check_pem(s, line, a->passport.ca, "CERTIFICATE")) != ATLS_OK)
        return code;
    return check_file(s, line, FILE_PUBLIC, a->passport.result_keys);
}

enum atls_code config_check_files(const struct config *config, struct atls_err *err)
{
    struct schema s = {config->file, NULL, err};
    enum atls_code code = ATLS_OK;

    for (size_t i = 0; code == ATLS_OK && i < config->attester_count; i++)
        code = check_attester(&s, &config->attesters[i]);
    for (size_t i = 0; code == ATLS_OK && i < config->verifier_count; i++) {
        const struct config_verifier *v = &config->verifiers[i];

        if ((code = check_pem(&s, v->line, v->ca, "CERTIFICATE")) == ATLS_OK)
            code = check_file(&s, v->line, FILE_PUBLIC, v->result_keys);
    }
    for (size_t i = 0; code == ATLS_OK && i < config->policy_count; i++)
        code = check_file(&s, config->policies[i].line, FILE_PUBLIC, config->policies[i].file);
    for (size_t i = 0; code == ATLS_OK && i < config->route_count; i++)
        if ((code = check_tls(&s, &config->routes[i].downstream.tls)) == ATLS_OK)
            code = check_tls(&s, &config->routes[i].upstream.tls);
    return code;
}
