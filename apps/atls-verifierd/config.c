#include "config.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "schema.h"
#include "text.h"
#include "tree.h"

/* ---- listeners ---- */

static enum atls_code check_listener(struct schema *s, const struct config_listener *l)
{
    bool tls = l->certificate != NULL || l->key != NULL;

    if (tls && (l->certificate == NULL || l->key == NULL))
        return schema_at(s, l->line, "certificate and key go together");
    if (!tls && l->client_ca != NULL)
        return schema_at(s, l->line, "client-ca needs certificate and key");
    if (tls && l->insecure)
        return schema_at(s, l->line, "insecure: true contradicts certificate and key");
    if (l->listen.mode >= 0 && l->listen.address.family != ADDRESS_UNIX)
        return schema_at(s, l->line, "mode is for unix sockets");
    if (!tls && !l->insecure && l->listen.address.family == ADDRESS_TCP &&
        !l->listen.address.loopback)
        return schema_at(
            s, l->line,
            "plain HTTP beyond the loopback: give certificate and key, or insecure: true");
    if (!tls && !l->insecure && l->listen.address.family == ADDRESS_SYSTEMD)
        return schema_at(s, l->line,
                         "plain HTTP on a socket of systemd, which may be open to others: "
                         "give certificate and key, or insecure: true");
    if (l->insecure && (l->listen.address.family == ADDRESS_UNIX || l->listen.address.loopback))
        return schema_at(s, l->line, "insecure: true on a local socket, where nothing asks for it");
    return ATLS_OK;
}

static const char *const serve_words[] = {"all", "api", "operation", NULL};

static enum atls_code read_listener(struct schema *s, const struct tree_node *node)
{
    static const struct schema_field fields[] = {
        SCHEMA_NEEDED("address", struct config_listener, address),
        SCHEMA_TEXT("certificate", struct config_listener, certificate),
        SCHEMA_TEXT("key", struct config_listener, key),
        SCHEMA_TEXT("client-ca", struct config_listener, client_ca),
        SCHEMA_FLAG("insecure", struct config_listener, insecure),
        SCHEMA_AMOUNT("mode", SCHEMA_KIND_OCTAL, struct config_listener, listen.mode, 0, 0777),
        SCHEMA_CHOICE("serve", struct config_listener, serve, serve_words),
        SCHEMA_END,
    };
    struct config *c = s->config;
    struct config_listener *l = &c->listeners[c->listener_count++];
    struct atls_err why = ATLS_ERR_INIT;
    enum atls_code code;

    l->line = node->line;
    l->listen.mode = -1;
    if ((code = schema_map(s, node, fields, l)) != ATLS_OK)
        return code;
    if (address_parse(l->address, ADDRESS_LISTEN, &l->listen.address, &why) != ATLS_OK)
        return schema_at(s, l->line, "%s", why.message);
    if ((code = check_listener(s, l)) != ATLS_OK)
        return code;
    for (size_t i = 0; i + 1 < c->listener_count; i++)
        if (strcmp(c->listeners[i].address, l->address) == 0)
            return schema_at(s, l->line, "address %.60s is given twice", l->address);
    return ATLS_OK;
}

static enum atls_code read_listeners(struct schema *s, const struct tree_node *node, void *into)
{
    enum atls_code code = schema_list(s, node, CONFIG_LISTENERS_MAX);

    (void)into;
    for (const struct tree_node *n = node->child; code == ATLS_OK && n != NULL; n = n->next)
        code = read_listener(s, n);
    return code;
}

/* ---- tenants ---- */

static enum atls_code read_anchors(struct schema *s, const struct tree_node *node, void *into)
{
    struct config_provisioning *p = into;
    enum atls_code code = schema_list(s, node, CONFIG_FILES_MAX);

    for (const struct tree_node *n = node->child; code == ATLS_OK && n != NULL; n = n->next) {
        if (n->kind != TREE_TEXT || n->text[0] == '\0')
            return schema_at(s, n->line, "anchors is a list of files");
        p->anchors[p->anchor_count++] = n->text;
    }
    return code;
}

static enum atls_code read_tokens(struct schema *s, const struct tree_node *node, void *into)
{
    static const struct schema_field fields[] = {
        SCHEMA_NEEDED("name", struct config_token, name),
        SCHEMA_NEEDED("file", struct config_token, file),
        SCHEMA_END,
    };
    struct config_provisioning *p = into;
    enum atls_code code = schema_list(s, node, CONFIG_CLIENTS_MAX);

    for (const struct tree_node *n = node->child; code == ATLS_OK && n != NULL; n = n->next) {
        struct config_token *t = &p->tokens[p->token_count++];

        t->line = n->line;
        code = schema_map(s, n, fields, t);
        if (code == ATLS_OK && !schema_is_name(t->name))
            code = schema_at(s, n->line, "name is \"%.40s\", want a-z, 0-9, - and _", t->name);
    }
    return code;
}

static enum atls_code read_clients(struct schema *s, const struct tree_node *node, void *into)
{
    static const struct schema_field fields[] = {
        SCHEMA_NEEDED("name", struct config_client, name),
        SCHEMA_TEXT("subject", struct config_client, subject),
        SCHEMA_TEXT("spki-sha256", struct config_client, spki),
        SCHEMA_END,
    };
    struct config_provisioning *p = into;
    enum atls_code code = schema_list(s, node, CONFIG_CLIENTS_MAX);

    for (const struct tree_node *n = node->child; code == ATLS_OK && n != NULL; n = n->next) {
        struct config_client *c = &p->clients[p->client_count++];

        c->line = n->line;
        if ((code = schema_map(s, n, fields, c)) != ATLS_OK)
            return code;
        if (!schema_is_name(c->name))
            return schema_at(s, n->line, "name is \"%.40s\", want a-z, 0-9, - and _", c->name);
        if ((c->subject != NULL) == (c->spki != NULL))
            return schema_at(s, n->line, "want one of subject and spki-sha256");
        if (c->spki != NULL && !hex_decode(c->spki, c->spki_sha256, 32))
            return schema_at(s, n->line, "spki-sha256 is not 64 hexadecimal digits");
    }
    return code;
}

static enum atls_code read_provisioning(struct schema *s, const struct tree_node *node, void *into)
{
    static const struct schema_field fields[] = {
        SCHEMA_OTHER("anchors", false, read_anchors),
        SCHEMA_TEXT("signer-key", struct config_provisioning, signer_key),
        SCHEMA_FLAG("allow-unsigned", struct config_provisioning, allow_unsigned),
        SCHEMA_OTHER("bearer-tokens", false, read_tokens),
        SCHEMA_OTHER("client-certificates", false, read_clients),
        SCHEMA_END,
    };
    struct config_tenant *t = into;
    struct config_provisioning *p = &t->provisioning;
    enum atls_code code;

    p->line = node->line;
    if ((code = schema_map(s, node, fields, p)) != ATLS_OK)
        return code;
    if (p->token_count == 0 && p->client_count == 0)
        return schema_at(s, p->line,
                         "provisioning without bearer-tokens or client-certificates: anyone could");
    if (p->anchor_count == 0 && p->signer_key == NULL && !p->allow_unsigned)
        return schema_at(s, p->line,
                         "provisioning without anchors, signer-key or allow-unsigned: no manifest "
                         "could be accepted");
    return ATLS_OK;
}

static const char *const form_words[] = {"jwt", "cwt", NULL};
static const char *const encoding_words[] = {"std", "url", NULL};

static enum atls_code read_result(struct schema *s, const struct tree_node *node, void *into)
{
    static const struct schema_field fields[] = {
        SCHEMA_TEXT("profile", struct config_tenant, profile),
        SCHEMA_CHOICE("form", struct config_tenant, form, form_words),
        SCHEMA_AMOUNT("lifetime", SCHEMA_KIND_TIME, struct config_tenant, lifetime_s, 1,
                      366 * 86400),
        SCHEMA_END,
    };

    return schema_map(s, node, fields, into);
}

static enum atls_code read_rules(struct schema *s, const struct tree_node *node, void *into)
{
    struct config_tenant *const to = into;

    return rules_read(s, node, to->rules, &to->rule_count);
}

static enum atls_code read_collateral(struct schema *s, const struct tree_node *node, void *into)
{
    static const struct schema_field fields[] = {
        SCHEMA_TEXT("amd", struct config_tenant, collateral_amd),
        SCHEMA_TEXT("intel", struct config_tenant, collateral_intel),
        SCHEMA_TEXT("intel-root-crl", struct config_tenant, collateral_intel_root_crl),
        SCHEMA_TEXT("ca-file", struct config_tenant, collateral_ca_file),
        SCHEMA_END,
    };

    return schema_map(s, node, fields, into);
}

static enum atls_code read_evidence(struct schema *s, const struct tree_node *node, void *into)
{
    static const struct schema_field fields[] = {
        SCHEMA_FLAG("allow-insecure-technology", struct config_tenant, allow_insecure_technology),
        SCHEMA_FLAG("allow-sha1-pcr-bank", struct config_tenant, allow_sha1_pcr_bank),
        SCHEMA_FLAG("allow-unsafe-clock", struct config_tenant, allow_unsafe_clock),
        SCHEMA_FLAG("allow-ima-violations", struct config_tenant, allow_ima_violations),
        SCHEMA_FLAG("require-ak-eku", struct config_tenant, require_ak_eku),
        SCHEMA_OTHER("rules", false, read_rules),
        SCHEMA_OTHER("collateral", false, read_collateral),
        SCHEMA_END,
    };

    return schema_map(s, node, fields, into);
}

static enum atls_code read_sessions(struct schema *s, const struct tree_node *node, void *into)
{
    static const struct schema_field fields[] = {
        SCHEMA_AMOUNT("ttl", SCHEMA_KIND_TIME, struct config_tenant, session_ttl_s, 1, 86400),
        SCHEMA_AMOUNT("max", SCHEMA_KIND_NUMBER, struct config_tenant, sessions_max, 1, 10000000),
        SCHEMA_AMOUNT("nonce-size", SCHEMA_KIND_NUMBER, struct config_tenant, nonce_size, 8, 64),
        SCHEMA_CHOICE("nonce-encoding", struct config_tenant, nonce_encoding, encoding_words),
        SCHEMA_END,
    };

    return schema_map(s, node, fields, into);
}

/* "" or "/name", no more, so that no prefix is the beginning of another resource's path. */
static bool is_prefix(const char *prefix)
{
    static const char *const taken[] = {"challenge-response",
                                        "endorsement-provisioning",
                                        "endorsement-distribution",
                                        "management",
                                        "healthz",
                                        "readyz",
                                        "metrics",
                                        NULL};

    if (prefix[0] == '\0')
        return true;
    for (size_t i = 0; taken[i] != NULL; i++)
        if (prefix[0] == '/' && strcmp(prefix + 1, taken[i]) == 0)
            return false;
    return prefix[0] == '/' && schema_is_name(prefix + 1);
}

static bool same_schema(const struct config_tenant *a, const struct config_tenant *b)
{
    return strcmp(a->schema != NULL ? a->schema : "atls", b->schema != NULL ? b->schema : "atls") ==
           0;
}

/* [a-z_][a-z0-9_]{0,62} */
static bool is_schema(const char *s)
{
    size_t len = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_");

    return len > 0 && len < 64 && s[len] == '\0' && (s[0] < '0' || s[0] > '9');
}

static bool is_database(const char *store)
{
    return strncmp(store, "postgresql://", 13) == 0 || strncmp(store, "postgres://", 11) == 0;
}

static enum atls_code check_tenant(struct schema *s, const struct config_tenant *t)
{
    const struct config *c = s->config;

    if (!schema_is_name(t->name))
        return schema_at(s, t->line, "name is \"%.40s\", want a-z, 0-9, - and _", t->name);
    if (!is_prefix(t->prefix))
        return schema_at(s, t->line, "prefix is \"%.40s\", want \"\" or /NAME of no resource",
                         t->prefix);
    if (t->schema != NULL && !is_database(t->store))
        return schema_at(s, t->line, "schema is for a store in PostgreSQL, and this is a file");
    if (t->schema != NULL && !is_schema(t->schema))
        return schema_at(s, t->line, "schema is \"%.64s\", want a-z, 0-9 and _", t->schema);
    for (const struct config_tenant *o = c->tenants; o < t; o++) {
        if (strcmp(o->name, t->name) == 0)
            return schema_at(s, t->line, "tenant %.40s is given twice", t->name);
        if (strcmp(o->prefix, t->prefix) == 0)
            return schema_at(s, t->line, "prefix \"%.40s\" is also that of tenant %.40s", t->prefix,
                             o->name);
        if (strcmp(o->store, t->store) == 0 && same_schema(o, t))
            return schema_at(s, t->line, "store and schema are also those of tenant %.40s",
                             o->name);
    }
    return ATLS_OK;
}

static enum atls_code read_tenant(struct schema *s, const struct tree_node *node)
{
    static const struct schema_field fields[] = {
        SCHEMA_NEEDED("name", struct config_tenant, name),
        SCHEMA_EMPTIABLE("prefix", struct config_tenant, prefix),
        SCHEMA_NEEDED("store", struct config_tenant, store),
        SCHEMA_TEXT("schema", struct config_tenant, schema),
        SCHEMA_AMOUNT("connections", SCHEMA_KIND_NUMBER, struct config_tenant, connections, 1,
                      1000),
        SCHEMA_TEXT("policy", struct config_tenant, policy),
        SCHEMA_OTHER("result", false, read_result),
        SCHEMA_OTHER("evidence", false, read_evidence),
        SCHEMA_OTHER("sessions", false, read_sessions),
        SCHEMA_OTHER("provisioning", false, read_provisioning),
        SCHEMA_END,
    };
    struct config *c = s->config;
    struct config_tenant *t = &c->tenants[c->tenant_count++];
    enum atls_code code;

    t->line = node->line;
    t->prefix = "";
    t->connections = 4;
    t->session_ttl_s = 150;
    t->sessions_max = 10000;
    t->nonce_size = 48;
    t->form = -1;
    if ((code = schema_map(s, node, fields, t)) != ATLS_OK)
        return code;
    t->form = t->form == 1 ? (int)ATLS_EAR_FORM_CWT : t->form == 0 ? (int)ATLS_EAR_FORM_JWT : 0;
    return check_tenant(s, t);
}

static enum atls_code read_tenants(struct schema *s, const struct tree_node *node, void *into)
{
    enum atls_code code = schema_list(s, node, CONFIG_TENANTS_MAX);

    (void)into;
    for (const struct tree_node *n = node->child; code == ATLS_OK && n != NULL; n = n->next)
        code = read_tenant(s, n);
    return code;
}

/* ---- the rest ---- */

static enum atls_code read_limits(struct schema *s, const struct tree_node *node, void *into)
{
    static const struct schema_field fields[] = {
        SCHEMA_AMOUNT("body", SCHEMA_KIND_SIZE, struct config_limits, body, 1024, 64 * 1024 * 1024),
        SCHEMA_AMOUNT("bodies", SCHEMA_KIND_SIZE, struct config_limits, bodies, 65536,
                      INT64_C(1) << 36),
        SCHEMA_AMOUNT("header", SCHEMA_KIND_SIZE, struct config_limits, header, 1024, 64 * 1024),
        SCHEMA_AMOUNT("connections", SCHEMA_KIND_NUMBER, struct config_limits, connections, 4,
                      100000),
        SCHEMA_AMOUNT("connections-per-client", SCHEMA_KIND_NUMBER, struct config_limits,
                      connections_per_client, 0, 100000),
        SCHEMA_AMOUNT("rate", SCHEMA_KIND_NUMBER, struct config_limits, rate, 0, 1000000),
        SCHEMA_AMOUNT("burst", SCHEMA_KIND_NUMBER, struct config_limits, burst, 1, 1000000),
        SCHEMA_AMOUNT("request-timeout", SCHEMA_KIND_TIME, struct config_limits, request_timeout_s,
                      1, 3600),
        SCHEMA_AMOUNT("idle-timeout", SCHEMA_KIND_TIME, struct config_limits, idle_timeout_s, 1,
                      3600),
        SCHEMA_END,
    };
    struct config *c = into;
    enum atls_code code = schema_map(s, node, fields, &c->limits);

    if (code == ATLS_OK && c->limits.bodies < c->limits.body)
        code = schema_at(s, node->line, "bodies, for all together, is smaller than body");
    return code;
}

static const char *const format_words[] = {"text", "json", NULL};
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

static void set_defaults(struct config *c)
{
    c->limits = (struct config_limits){
        .body = 1024 * 1024,
        .bodies = 64 * 1024 * 1024,
        .header = 8192,
        .connections = 1024,
        .connections_per_client = 256,
        .rate = 100,
        .burst = 200,
        .request_timeout_s = 10,
        .idle_timeout_s = 60,
    };
    c->log_json = 1;
    c->log_level = 2;
    c->drain_timeout_s = 30;
    c->drain_delay_s = 2;
    c->discovery_max_age_s = 60;
}

static enum atls_code check_config(struct schema *s)
{
    const struct config *c = s->config;
    bool client_ca = false, api = false, secure_api = false;

    for (size_t i = 0; i < c->listener_count; i++) {
        const struct config_listener *l = &c->listeners[i];

        client_ca = client_ca || l->client_ca != NULL;
        api = api || l->serve != SERVE_OPERATION;
        secure_api = secure_api || (l->serve != SERVE_OPERATION && !l->insecure);
    }
    if (!api)
        return schema_at(s, c->listeners[0].line, "no listener serves the API");
    for (size_t i = 0; i < c->tenant_count; i++) {
        const struct config_provisioning *p = &c->tenants[i].provisioning;

        if (p->client_count > 0 && !client_ca)
            return schema_at(s, p->line, "client-certificates, and no listener has a client-ca");
        if (p->line > 0 && !secure_api)
            return schema_at(s, p->line, "provisioning, and every listener is insecure");
    }
    return ATLS_OK;
}

enum atls_code config_parse(const char *file, struct atls_bytes text, struct config **out,
                            struct atls_err *err)
{
    static const struct schema_field fields[] = {
        SCHEMA_OTHER("listeners", true, read_listeners),
        SCHEMA_OTHER("tenants", true, read_tenants),
        SCHEMA_OTHER("limits", false, read_limits),
        SCHEMA_AMOUNT("threads", SCHEMA_KIND_NUMBER, struct config, threads, 0, 256),
        SCHEMA_OTHER("log", false, read_log),
        SCHEMA_AMOUNT("drain-timeout", SCHEMA_KIND_TIME, struct config, drain_timeout_s, 1, 3600),
        SCHEMA_AMOUNT("drain-delay", SCHEMA_KIND_TIME, struct config, drain_delay_s, 0, 600),
        SCHEMA_AMOUNT("discovery-max-age", SCHEMA_KIND_TIME, struct config, discovery_max_age_s, 0,
                      86400),
        SCHEMA_END,
    };
    struct config *config = calloc(1, sizeof *config);
    struct schema s = {file, config, err};
    enum atls_code code;

    if (config == NULL)
        return set_error(err, ATLS_E_NOMEM, "configuration: out of memory");
    config->file = file;
    set_defaults(config);
    if ((code = tree_parse(file, text, &config->tree, err)) != ATLS_OK ||
        (code = schema_map(&s, config->tree, fields, config)) != ATLS_OK ||
        (code = check_config(&s)) != ATLS_OK) {
        config_free(config);
        return code;
    }
    *out = config;
    return ATLS_OK;
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    for (size_t i = 0; i < config->tenant_count; i++)
        for (size_t k = 0; k < config->tenants[i].rule_count; k++)
            free(config->tenants[i].rules[k]);
    tree_free(config->tree);
    free(config);
}

/* ---- the file ---- */

static bool has_secrets(const struct config *config)
{
    for (size_t i = 0; i < config->tenant_count; i++)
        if (is_database(config->tenants[i].store) && address_has_password(config->tenants[i].store))
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
