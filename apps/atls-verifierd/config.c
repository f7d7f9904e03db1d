#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <arpa/inet.h>

#include <atls/verifier.h>

#include "text.h"
#include "tree.h"

/* ---- a table per mapping: what may stand there ---- */

enum field_kind {
    FIELD_TEXT,      /* const char *, not empty */
    FIELD_EMPTIABLE, /* const char * */
    FIELD_FLAG,      /* bool: true or false */
    FIELD_NUMBER,    /* int64_t */
    FIELD_OCTAL,     /* int64_t */
    FIELD_SIZE,      /* int64_t bytes: 65536, 64KiB, 1MiB */
    FIELD_TIME,      /* int64_t seconds: 150, 150s, 5m, 1h */
    FIELD_CHOICE,    /* int: index into words */
    FIELD_OTHER,     /* read by a function */
};

struct reader {
    struct config *config;
    struct atls_err *err;
};

struct field {
    const char *key;
    enum field_kind kind;
    size_t offset;
    bool required;
    int64_t min, max;
    const char *const *words; /* NULL-terminated */
    enum atls_code (*read)(struct reader *r, const struct tree_node *node, void *into);
};

#define END                                                                                        \
    {                                                                                              \
        NULL, FIELD_OTHER, 0, false, 0, 0, NULL, NULL                                              \
    }
#define TEXT(key, type, member)                                                                    \
    {                                                                                              \
        key, FIELD_TEXT, offsetof(type, member), false, 0, 0, NULL, NULL                           \
    }
#define NEEDED(key, type, member)                                                                  \
    {                                                                                              \
        key, FIELD_TEXT, offsetof(type, member), true, 0, 0, NULL, NULL                            \
    }
#define FLAG(key, type, member)                                                                    \
    {                                                                                              \
        key, FIELD_FLAG, offsetof(type, member), false, 0, 0, NULL, NULL                           \
    }
#define AMOUNT(key, kind, type, member, min, max)                                                  \
    {                                                                                              \
        key, kind, offsetof(type, member), false, min, max, NULL, NULL                             \
    }
#define CHOICE(key, type, member, words)                                                           \
    {                                                                                              \
        key, FIELD_CHOICE, offsetof(type, member), false, 0, 0, words, NULL                        \
    }
#define OTHER(key, required, function)                                                             \
    {                                                                                              \
        key, FIELD_OTHER, 0, required, 0, 0, NULL, function                                        \
    }

static enum atls_code at_line(struct reader *r, size_t line, const char *format, ...)
    ATLS_PRINTF(3, 4);
static enum atls_code at_line(struct reader *r, size_t line, const char *format, ...)
{
    char rule[200];
    va_list args;

    va_start(args, format);
    vsnprintf(rule, sizeof rule, format, args);
    va_end(args);
    return set_error(r->err, ATLS_E_CONFIG, "%.100s:%zu: %s", r->config->file, line, rule);
}

static const char *key_of(const struct tree_node *node)
{
    return node->key != NULL ? node->key->text : "entry";
}

static const struct {
    const char *name;
    int64_t factor;
} size_units[] = {{"", 1}, {"KiB", 1024}, {"MiB", 1024 * 1024}, {"GiB", 1024 * 1024 * 1024}},
  time_units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}};

/* Digits of a base and a unit. */
static bool parse_amount(const char *text, enum field_kind kind, int64_t *out)
{
    int64_t base = kind == FIELD_OCTAL ? 8 : 10, value = 0, factor = 0;
    const char *at = text;

    for (; *at >= '0' && *at < '0' + base; at++) {
        if (value > (INT64_MAX - 9) / base / 10)
            return false;
        value = value * base + (*at - '0');
    }
    if (at == text)
        return false;
    if (kind != FIELD_SIZE && kind != FIELD_TIME) {
        *out = value;
        return *at == '\0';
    }
    for (size_t i = 0; i < 4; i++)
        if (strcmp(at, kind == FIELD_SIZE ? size_units[i].name : time_units[i].name) == 0)
            factor = kind == FIELD_SIZE ? size_units[i].factor : time_units[i].factor;
    if (factor == 0 || value > INT64_MAX / factor)
        return false;
    *out = value * factor;
    return true;
}

static enum atls_code read_amount(struct reader *r, const struct field *f,
                                  const struct tree_node *node, int64_t *out)
{
    static const char *const names[] = {
        [FIELD_NUMBER] = "a number",
        [FIELD_OCTAL] = "octal digits",
        [FIELD_SIZE] = "a size such as 65536, 64KiB or 1MiB",
        [FIELD_TIME] = "a time such as 150s, 5m or 1h",
    };
    int64_t value = 0;

    if (!parse_amount(node->text, f->kind, &value))
        return at_line(r, node->line, "%s is \"%.40s\", want %s", f->key, node->text,
                       names[f->kind]);
    if (value < f->min || value > f->max)
        return at_line(r, node->line, "%s is %.40s, want %lld to %lld", f->key, node->text,
                       (long long)f->min, (long long)f->max);
    *out = value;
    return ATLS_OK;
}

static enum atls_code read_choice(struct reader *r, const struct field *f,
                                  const struct tree_node *node, int *out)
{
    struct text words = {0};
    enum atls_code code;

    for (int i = 0; f->words[i] != NULL; i++) {
        if (strcmp(node->text, f->words[i]) == 0) {
            *out = i;
            text_clear(&words);
            return ATLS_OK;
        }
        text_printf(&words, "%s%s", i > 0 ? ", " : "", f->words[i]);
    }
    code = at_line(r, node->line, "%s is \"%.40s\", want one of %s", f->key, node->text,
                   words.ptr != NULL ? words.ptr : "");
    text_clear(&words);
    return code;
}

static enum atls_code read_flag(struct reader *r, const struct field *f,
                                const struct tree_node *node, bool *out)
{
    bool yes = strcmp(node->text, "true") == 0;

    if (!node->plain || (!yes && strcmp(node->text, "false") != 0))
        return at_line(r, node->line, "%s is \"%.40s\", want true or false", f->key, node->text);
    *out = yes;
    return ATLS_OK;
}

static enum atls_code read_field(struct reader *r, const struct field *f,
                                 const struct tree_node *node, void *into)
{
    unsigned char *at = (unsigned char *)into + f->offset;

    if (f->kind == FIELD_OTHER)
        return f->read(r, node, into);
    if (node->kind != TREE_TEXT)
        return at_line(r, node->line, "%s is a %s, want a single value", f->key,
                       node->kind == TREE_LIST ? "list" : "mapping");
    if (f->kind == FIELD_TEXT || f->kind == FIELD_EMPTIABLE) {
        if (f->kind == FIELD_TEXT && node->text[0] == '\0')
            return at_line(r, node->line, "%s is empty", f->key);
        memcpy(at, &node->text, sizeof node->text);
        return ATLS_OK;
    }
    if (f->kind == FIELD_FLAG)
        return read_flag(r, f, node, (bool *)(void *)at);
    if (f->kind == FIELD_CHOICE)
        return read_choice(r, f, node, (int *)(void *)at);
    return read_amount(r, f, node, (int64_t *)(void *)at);
}

static enum atls_code read_map(struct reader *r, const struct tree_node *map,
                               const struct field *fields, void *into)
{
    enum atls_code code;

    if (map->kind != TREE_MAP)
        return at_line(r, map->line, "%s is a %s, want a mapping", key_of(map),
                       map->kind == TREE_LIST ? "list" : "single value");
    for (const struct tree_node *n = map->child; n != NULL; n = n->next) {
        const struct field *f = fields;

        while (f->key != NULL && strcmp(f->key, n->key->text) != 0)
            f++;
        if (f->key == NULL)
            return at_line(r, n->key->line, "unknown key \"%.60s\"", n->key->text);
        if ((code = read_field(r, f, n, into)) != ATLS_OK)
            return code;
    }
    for (const struct field *f = fields; f->key != NULL; f++) {
        const struct tree_node *n = map->child;

        while (n != NULL && strcmp(n->key->text, f->key) != 0)
            n = n->next;
        if (f->required && n == NULL)
            return at_line(r, map->line, "%s is missing", f->key);
    }
    return ATLS_OK;
}

static enum atls_code want_list(struct reader *r, const struct tree_node *node, size_t max)
{
    size_t count = 0;

    if (node->kind != TREE_LIST)
        return at_line(r, node->line, "%s is no list", key_of(node));
    for (const struct tree_node *n = node->child; n != NULL; n = n->next)
        count++;
    if (count == 0 || count > max)
        return at_line(r, node->line, "%s has %zu entries, want 1 to %zu", key_of(node), count,
                       max);
    return ATLS_OK;
}

/* ---- listeners ---- */

static enum atls_code parse_host(struct reader *r, struct config_listener *l, const char *at,
                                 size_t len)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (at[0] == '[' && len > 2 && at[len - 1] == ']') {
        at++;
        len -= 2;
    }
    if (len == 0 || len >= sizeof l->host)
        return at_line(r, l->line, "address is \"%.60s\", want ADDRESS:PORT", l->address);
    memcpy(l->host, at, len);
    l->host[len] = '\0';
    if (inet_pton(AF_INET, l->host, &v4) == 1)
        l->loopback = (ntohl(v4.s_addr) >> 24) == 127;
    else if (inet_pton(AF_INET6, l->host, &v6) == 1)
        l->loopback = memcmp(&v6, &in6addr_loopback, sizeof v6) == 0;
    else
        return at_line(r, l->line, "address is \"%.60s\", want an IP address, not a name",
                       l->address);
    return ATLS_OK;
}

static enum atls_code parse_address(struct reader *r, struct config_listener *l)
{
    const char *text = l->address, *colon = strrchr(text, ':');
    int64_t port;

    if (strncmp(text, "unix:", 5) == 0) {
        l->family = LISTEN_UNIX;
        l->path = text + 5;
        if (l->path[0] != '/' || strlen(l->path) > 107)
            return at_line(r, l->line, "unix socket has no absolute path of at most 107 bytes");
        return ATLS_OK;
    }
    if (strncmp(text, "systemd:", 8) == 0) {
        l->family = LISTEN_SYSTEMD;
        l->path = text + 8;
        if (l->path[0] == '\0')
            return at_line(r, l->line, "name of the socket unit's FileDescriptorName is missing");
        return ATLS_OK;
    }
    l->family = LISTEN_TCP;
    if (colon == NULL || !parse_amount(colon + 1, FIELD_NUMBER, &port) || port > 65535)
        return at_line(r, l->line,
                       "address is \"%.60s\", want ADDRESS:PORT, unix:PATH or systemd:NAME", text);
    snprintf(l->port, sizeof l->port, "%d", (int)port);
    return parse_host(r, l, text, (size_t)(colon - text));
}

static enum atls_code check_listener(struct reader *r, const struct config_listener *l)
{
    bool tls = l->certificate != NULL || l->key != NULL;

    if (tls && (l->certificate == NULL || l->key == NULL))
        return at_line(r, l->line, "certificate and key go together");
    if (!tls && l->client_ca != NULL)
        return at_line(r, l->line, "client-ca needs certificate and key");
    if (tls && l->insecure)
        return at_line(r, l->line, "insecure: true contradicts certificate and key");
    if (l->mode >= 0 && l->family != LISTEN_UNIX)
        return at_line(r, l->line, "mode is for unix sockets");
    if (!tls && !l->insecure && l->family == LISTEN_TCP && !l->loopback)
        return at_line(
            r, l->line,
            "plain HTTP beyond the loopback: give certificate and key, or insecure: true");
    if (!tls && !l->insecure && l->family == LISTEN_SYSTEMD)
        return at_line(r, l->line,
                       "plain HTTP on a socket of systemd, which may be open to others: "
                       "give certificate and key, or insecure: true");
    if (l->insecure && (l->family == LISTEN_UNIX || l->loopback))
        return at_line(r, l->line, "insecure: true on a local socket, where nothing asks for it");
    return ATLS_OK;
}

static const char *const serve_words[] = {"all", "api", "operation", NULL};

static enum atls_code read_listener(struct reader *r, const struct tree_node *node)
{
    static const struct field fields[] = {
        NEEDED("address", struct config_listener, address),
        TEXT("certificate", struct config_listener, certificate),
        TEXT("key", struct config_listener, key),
        TEXT("client-ca", struct config_listener, client_ca),
        FLAG("insecure", struct config_listener, insecure),
        AMOUNT("mode", FIELD_OCTAL, struct config_listener, mode, 0, 0777),
        CHOICE("serve", struct config_listener, serve, serve_words),
        END,
    };
    struct config_listener *l = &r->config->listeners[r->config->listener_count++];
    enum atls_code code;

    l->line = node->line;
    l->mode = -1;
    if ((code = read_map(r, node, fields, l)) != ATLS_OK ||
        (code = parse_address(r, l)) != ATLS_OK || (code = check_listener(r, l)) != ATLS_OK)
        return code;
    for (size_t i = 0; i + 1 < r->config->listener_count; i++)
        if (strcmp(r->config->listeners[i].address, l->address) == 0)
            return at_line(r, l->line, "address %.60s is given twice", l->address);
    return ATLS_OK;
}

static enum atls_code read_listeners(struct reader *r, const struct tree_node *node, void *into)
{
    enum atls_code code = want_list(r, node, CONFIG_LISTENERS_MAX);

    (void)into;
    for (const struct tree_node *n = node->child; code == ATLS_OK && n != NULL; n = n->next)
        code = read_listener(r, n);
    return code;
}

/* ---- tenants ---- */

static bool is_name(const char *s)
{
    size_t len = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-_");

    return len > 0 && len < 64 && s[len] == '\0';
}

static enum atls_code read_anchors(struct reader *r, const struct tree_node *node, void *into)
{
    struct config_provisioning *p = into;
    enum atls_code code = want_list(r, node, CONFIG_FILES_MAX);

    for (const struct tree_node *n = node->child; code == ATLS_OK && n != NULL; n = n->next) {
        if (n->kind != TREE_TEXT || n->text[0] == '\0')
            return at_line(r, n->line, "anchors is a list of files");
        p->anchors[p->anchor_count++] = n->text;
    }
    return code;
}

static enum atls_code read_tokens(struct reader *r, const struct tree_node *node, void *into)
{
    static const struct field fields[] = {
        NEEDED("name", struct config_token, name),
        NEEDED("file", struct config_token, file),
        END,
    };
    struct config_provisioning *p = into;
    enum atls_code code = want_list(r, node, CONFIG_CLIENTS_MAX);

    for (const struct tree_node *n = node->child; code == ATLS_OK && n != NULL; n = n->next) {
        struct config_token *t = &p->tokens[p->token_count++];

        t->line = n->line;
        code = read_map(r, n, fields, t);
        if (code == ATLS_OK && !is_name(t->name))
            code = at_line(r, n->line, "name is \"%.40s\", want a-z, 0-9, - and _", t->name);
    }
    return code;
}

static enum atls_code read_clients(struct reader *r, const struct tree_node *node, void *into)
{
    static const struct field fields[] = {
        NEEDED("name", struct config_client, name),
        TEXT("subject", struct config_client, subject),
        TEXT("spki-sha256", struct config_client, spki),
        END,
    };
    struct config_provisioning *p = into;
    enum atls_code code = want_list(r, node, CONFIG_CLIENTS_MAX);

    for (const struct tree_node *n = node->child; code == ATLS_OK && n != NULL; n = n->next) {
        struct config_client *c = &p->clients[p->client_count++];

        c->line = n->line;
        if ((code = read_map(r, n, fields, c)) != ATLS_OK)
            return code;
        if (!is_name(c->name))
            return at_line(r, n->line, "name is \"%.40s\", want a-z, 0-9, - and _", c->name);
        if ((c->subject != NULL) == (c->spki != NULL))
            return at_line(r, n->line, "want one of subject and spki-sha256");
        if (c->spki != NULL && !hex_decode(c->spki, c->spki_sha256, 32))
            return at_line(r, n->line, "spki-sha256 is not 64 hexadecimal digits");
    }
    return code;
}

static enum atls_code read_provisioning(struct reader *r, const struct tree_node *node, void *into)
{
    static const struct field fields[] = {
        OTHER("anchors", false, read_anchors),
        TEXT("signer-key", struct config_provisioning, signer_key),
        FLAG("allow-unsigned", struct config_provisioning, allow_unsigned),
        OTHER("bearer-tokens", false, read_tokens),
        OTHER("client-certificates", false, read_clients),
        END,
    };
    struct config_tenant *t = into;
    struct config_provisioning *p = &t->provisioning;
    enum atls_code code;

    p->line = node->line;
    if ((code = read_map(r, node, fields, p)) != ATLS_OK)
        return code;
    if (p->token_count == 0 && p->client_count == 0)
        return at_line(r, p->line,
                       "provisioning without bearer-tokens or client-certificates: anyone could");
    if (p->anchor_count == 0 && p->signer_key == NULL && !p->allow_unsigned)
        return at_line(r, p->line,
                       "provisioning without anchors, signer-key or allow-unsigned: no manifest "
                       "could be accepted");
    return ATLS_OK;
}

static const char *const form_words[] = {"jwt", "cwt", NULL};
static const char *const encoding_words[] = {"std", "url", NULL};

static enum atls_code read_result(struct reader *r, const struct tree_node *node, void *into)
{
    static const struct field fields[] = {
        TEXT("profile", struct config_tenant, profile),
        CHOICE("form", struct config_tenant, form, form_words),
        AMOUNT("lifetime", FIELD_TIME, struct config_tenant, lifetime_s, 1, 366 * 86400),
        END,
    };

    return read_map(r, node, fields, into);
}

/* Each rule is judged where it stands. */
static enum atls_code read_rule(struct reader *r, const struct tree_node *node,
                                struct config_tenant *t)
{
    const char *alone[2] = {NULL, NULL};
    struct atls_err why = ATLS_ERR_INIT;
    struct text text = {0};

    if (node->kind != TREE_TEXT)
        return at_line(r, node->line, "rule %.40s has no single value", node->key->text);
    if (t->rule_count == CONFIG_RULES_MAX)
        return at_line(r, node->line, "more than %d rules", CONFIG_RULES_MAX);
    text_printf(&text, "%s=%s", node->key->text, node->text);
    if (text.failed || text.ptr == NULL) {
        text_clear(&text);
        return set_error(r->err, ATLS_E_NOMEM, "configuration: out of memory");
    }
    alone[0] = t->rules[t->rule_count++] = text.ptr;
    if (atls_verifier_check_rules(alone, &why) != ATLS_OK)
        return at_line(r, node->line, "%s", why.message);
    return ATLS_OK;
}

static enum atls_code read_rules(struct reader *r, const struct tree_node *node, void *into)
{
    enum atls_code code = ATLS_OK;

    if (node->kind != TREE_MAP)
        return at_line(r, node->line, "rules is a %s, want a mapping",
                       node->kind == TREE_LIST ? "list" : "single value");
    for (const struct tree_node *n = node->child; code == ATLS_OK && n != NULL; n = n->next)
        code = read_rule(r, n, into);
    return code;
}

static enum atls_code read_collateral(struct reader *r, const struct tree_node *node, void *into)
{
    static const struct field fields[] = {
        TEXT("amd", struct config_tenant, collateral_amd),
        TEXT("intel", struct config_tenant, collateral_intel),
        TEXT("intel-root-crl", struct config_tenant, collateral_intel_root_crl),
        TEXT("ca-file", struct config_tenant, collateral_ca_file),
        END,
    };

    return read_map(r, node, fields, into);
}

static enum atls_code read_evidence(struct reader *r, const struct tree_node *node, void *into)
{
    static const struct field fields[] = {
        FLAG("allow-insecure-technology", struct config_tenant, allow_insecure_technology),
        FLAG("allow-sha1-pcr-bank", struct config_tenant, allow_sha1_pcr_bank),
        FLAG("allow-unsafe-clock", struct config_tenant, allow_unsafe_clock),
        FLAG("allow-ima-violations", struct config_tenant, allow_ima_violations),
        FLAG("require-ak-eku", struct config_tenant, require_ak_eku),
        OTHER("rules", false, read_rules),
        OTHER("collateral", false, read_collateral),
        END,
    };

    return read_map(r, node, fields, into);
}

static enum atls_code read_sessions(struct reader *r, const struct tree_node *node, void *into)
{
    static const struct field fields[] = {
        AMOUNT("ttl", FIELD_TIME, struct config_tenant, session_ttl_s, 1, 86400),
        AMOUNT("max", FIELD_NUMBER, struct config_tenant, sessions_max, 1, 10000000),
        AMOUNT("nonce-size", FIELD_NUMBER, struct config_tenant, nonce_size, 8, 64),
        CHOICE("nonce-encoding", struct config_tenant, nonce_encoding, encoding_words),
        END,
    };

    return read_map(r, node, fields, into);
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
    return prefix[0] == '/' && is_name(prefix + 1);
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

static enum atls_code check_tenant(struct reader *r, const struct config_tenant *t)
{
    if (!is_name(t->name))
        return at_line(r, t->line, "name is \"%.40s\", want a-z, 0-9, - and _", t->name);
    if (!is_prefix(t->prefix))
        return at_line(r, t->line, "prefix is \"%.40s\", want \"\" or /NAME of no resource",
                       t->prefix);
    if (t->schema != NULL && !is_database(t->store))
        return at_line(r, t->line, "schema is for a store in PostgreSQL, and this is a file");
    if (t->schema != NULL && !is_schema(t->schema))
        return at_line(r, t->line, "schema is \"%.64s\", want a-z, 0-9 and _", t->schema);
    for (const struct config_tenant *o = r->config->tenants; o < t; o++) {
        if (strcmp(o->name, t->name) == 0)
            return at_line(r, t->line, "tenant %.40s is given twice", t->name);
        if (strcmp(o->prefix, t->prefix) == 0)
            return at_line(r, t->line, "prefix \"%.40s\" is also that of tenant %.40s", t->prefix,
                           o->name);
        if (strcmp(o->store, t->store) == 0 && same_schema(o, t))
            return at_line(r, t->line, "store and schema are also those of tenant %.40s", o->name);
    }
    return ATLS_OK;
}

static enum atls_code read_tenant(struct reader *r, const struct tree_node *node)
{
    static const struct field fields[] = {
        NEEDED("name", struct config_tenant, name),
        {"prefix", FIELD_EMPTIABLE, offsetof(struct config_tenant, prefix), false, 0, 0, NULL,
         NULL},
        NEEDED("store", struct config_tenant, store),
        TEXT("schema", struct config_tenant, schema),
        AMOUNT("connections", FIELD_NUMBER, struct config_tenant, connections, 1, 1000),
        TEXT("policy", struct config_tenant, policy),
        OTHER("result", false, read_result),
        OTHER("evidence", false, read_evidence),
        OTHER("sessions", false, read_sessions),
        OTHER("provisioning", false, read_provisioning),
        END,
    };
    struct config_tenant *t = &r->config->tenants[r->config->tenant_count++];
    enum atls_code code;

    t->line = node->line;
    t->prefix = "";
    t->connections = 4;
    t->session_ttl_s = 150;
    t->sessions_max = 10000;
    t->nonce_size = 48;
    t->form = -1;
    if ((code = read_map(r, node, fields, t)) != ATLS_OK)
        return code;
    t->form = t->form == 1 ? (int)ATLS_EAR_FORM_CWT : t->form == 0 ? (int)ATLS_EAR_FORM_JWT : 0;
    return check_tenant(r, t);
}

static enum atls_code read_tenants(struct reader *r, const struct tree_node *node, void *into)
{
    enum atls_code code = want_list(r, node, CONFIG_TENANTS_MAX);

    (void)into;
    for (const struct tree_node *n = node->child; code == ATLS_OK && n != NULL; n = n->next)
        code = read_tenant(r, n);
    return code;
}

/* ---- the rest ---- */

static enum atls_code read_limits(struct reader *r, const struct tree_node *node, void *into)
{
    static const struct field fields[] = {
        AMOUNT("body", FIELD_SIZE, struct config_limits, body, 1024, 64 * 1024 * 1024),
        AMOUNT("bodies", FIELD_SIZE, struct config_limits, bodies, 65536, INT64_C(1) << 36),
        AMOUNT("header", FIELD_SIZE, struct config_limits, header, 1024, 64 * 1024),
        AMOUNT("connections", FIELD_NUMBER, struct config_limits, connections, 4, 100000),
        AMOUNT("connections-per-client", FIELD_NUMBER, struct config_limits, connections_per_client,
               0, 100000),
        AMOUNT("rate", FIELD_NUMBER, struct config_limits, rate, 0, 1000000),
        AMOUNT("burst", FIELD_NUMBER, struct config_limits, burst, 1, 1000000),
        AMOUNT("request-timeout", FIELD_TIME, struct config_limits, request_timeout_s, 1, 3600),
        AMOUNT("idle-timeout", FIELD_TIME, struct config_limits, idle_timeout_s, 1, 3600),
        END,
    };
    struct config *c = into;
    enum atls_code code = read_map(r, node, fields, &c->limits);

    if (code == ATLS_OK && c->limits.bodies < c->limits.body)
        code = at_line(r, node->line, "bodies, for all together, is smaller than body");
    return code;
}

static const char *const format_words[] = {"text", "json", NULL};
static const char *const level_words[] = {"error", "warning", "info", "debug", NULL};

static enum atls_code read_log(struct reader *r, const struct tree_node *node, void *into)
{
    static const struct field fields[] = {
        CHOICE("format", struct config, log_json, format_words),
        CHOICE("level", struct config, log_level, level_words),
        END,
    };

    return read_map(r, node, fields, into);
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

static enum atls_code check_config(struct reader *r)
{
    const struct config *c = r->config;
    bool client_ca = false, api = false, secure_api = false;

    for (size_t i = 0; i < c->listener_count; i++) {
        const struct config_listener *l = &c->listeners[i];

        client_ca = client_ca || l->client_ca != NULL;
        api = api || l->serve != SERVE_OPERATION;
        secure_api = secure_api || (l->serve != SERVE_OPERATION && !l->insecure);
    }
    if (!api)
        return at_line(r, c->listeners[0].line, "no listener serves the API");
    for (size_t i = 0; i < c->tenant_count; i++) {
        const struct config_provisioning *p = &c->tenants[i].provisioning;

        if (p->client_count > 0 && !client_ca)
            return at_line(r, p->line, "client-certificates, and no listener has a client-ca");
        if (p->line > 0 && !secure_api)
            return at_line(r, p->line, "provisioning, and every listener is insecure");
    }
    return ATLS_OK;
}

enum atls_code config_parse(const char *file, struct atls_bytes text, struct config **out,
                            struct atls_err *err)
{
    static const struct field fields[] = {
        OTHER("listeners", true, read_listeners),
        OTHER("tenants", true, read_tenants),
        OTHER("limits", false, read_limits),
        AMOUNT("threads", FIELD_NUMBER, struct config, threads, 0, 256),
        OTHER("log", false, read_log),
        AMOUNT("drain-timeout", FIELD_TIME, struct config, drain_timeout_s, 1, 3600),
        AMOUNT("drain-delay", FIELD_TIME, struct config, drain_delay_s, 0, 600),
        AMOUNT("discovery-max-age", FIELD_TIME, struct config, discovery_max_age_s, 0, 86400),
        END,
    };
    struct reader r = {calloc(1, sizeof(struct config)), err};
    enum atls_code code;

    if (r.config == NULL)
        return set_error(err, ATLS_E_NOMEM, "configuration: out of memory");
    r.config->file = file;
    set_defaults(r.config);
    if ((code = tree_parse(file, text, &r.config->tree, err)) != ATLS_OK ||
        (code = read_map(&r, r.config->tree, fields, r.config)) != ATLS_OK ||
        (code = check_config(&r)) != ATLS_OK) {
        config_free(r.config);
        return code;
    }
    *out = r.config;
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

/* ---- files ---- */

static enum atls_code read_all(int fd, const char *path, size_t max, struct atls_buf *out,
                               struct atls_err *err)
{
    size_t size = 4096, len = 0;
    uint8_t *p = malloc(size);

    while (p != NULL) {
        ssize_t n = read(fd, p + len, size - len - 1);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || len + (size_t)n > max) {
            if (n == 0) {
                p[len] = '\0';
                *out = (struct atls_buf){p, len};
                return ATLS_OK;
            }
            free(p);
            return n < 0
                       ? set_error(err, ATLS_E_CONFIG, "%.100s: %s", path, strerror(errno))
                       : set_error(err, ATLS_E_CONFIG, "%.100s: longer than %zu bytes", path, max);
        }
        len += (size_t)n;
        if (size - len < 2) {
            uint8_t *larger = realloc(p, size *= 2);

            if (larger == NULL)
                free(p);
            p = larger;
        }
    }
    return set_error(err, ATLS_E_NOMEM, "%.100s: out of memory", path);
}

enum atls_code file_read(const char *path, enum file_kind kind, size_t max, struct atls_buf *out,
                         struct atls_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    enum atls_code code;
    struct stat st;

    if (fd < 0)
        return set_error(err, ATLS_E_CONFIG, "%.100s: %s", path, strerror(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        code = set_error(err, ATLS_E_CONFIG, "%.100s: not a file", path);
    else if (kind == FILE_SECRET && (st.st_mode & (S_IRWXO | S_IWGRP)) != 0)
        code =
            set_error(err, ATLS_E_CONFIG,
                      "%.100s: mode is %04o, want a secret that others can neither read nor write",
                      path, (unsigned)(st.st_mode & 07777));
    else
        code = read_all(fd, path, max, out, err);
    close(fd);
    return code;
}

/* As libpq reads it: in front of the host, or as a parameter. */
static bool has_password(const char *store)
{
    const char *authority = strstr(store, "://"), *at, *colon;

    if (authority == NULL || !is_database(store))
        return false;
    authority += 3;
    at = memchr(authority, '@', strcspn(authority, "/?"));
    colon = at != NULL ? memchr(authority, ':', (size_t)(at - authority)) : NULL;
    return colon != NULL || strstr(store, "password=") != NULL;
}

static bool has_secrets(const struct config *config)
{
    for (size_t i = 0; i < config->tenant_count; i++)
        if (has_password(config->tenants[i].store))
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
