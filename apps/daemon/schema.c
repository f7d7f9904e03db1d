#include "schema.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "text.h"

enum atls_code schema_at(struct schema *s, size_t line, const char *format, ...)
{
    char rule[200];
    va_list args;

    va_start(args, format);
    vsnprintf(rule, sizeof rule, format, args);
    va_end(args);
    return set_error(s->err, ATLS_E_CONFIG, "%.100s:%zu: %s", s->file, line, rule);
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
static bool parse_amount(const char *text, enum schema_kind kind, int64_t *out)
{
    int64_t base = kind == SCHEMA_KIND_OCTAL ? 8 : 10, value = 0, factor = 0;
    const char *at = text;

    for (; *at >= '0' && *at < '0' + base; at++) {
        if (value > (INT64_MAX - 9) / base / 10)
            return false;
        value = value * base + (*at - '0');
    }
    if (at == text)
        return false;
    if (kind != SCHEMA_KIND_SIZE && kind != SCHEMA_KIND_TIME) {
        *out = value;
        return *at == '\0';
    }
    for (size_t i = 0; i < 4; i++)
        if (strcmp(at, kind == SCHEMA_KIND_SIZE ? size_units[i].name : time_units[i].name) == 0)
            factor = kind == SCHEMA_KIND_SIZE ? size_units[i].factor : time_units[i].factor;
    if (factor == 0 || value > INT64_MAX / factor)
        return false;
    *out = value * factor;
    return true;
}

static enum atls_code read_amount(struct schema *s, const struct schema_field *f,
                                  const struct tree_node *node, int64_t *out)
{
    static const char *const names[] = {
        [SCHEMA_KIND_NUMBER] = "a number",
        [SCHEMA_KIND_OCTAL] = "octal digits",
        [SCHEMA_KIND_SIZE] = "a size such as 65536, 64KiB or 1MiB",
        [SCHEMA_KIND_TIME] = "a time such as 150s, 5m or 1h",
    };
    int64_t value = 0;

    if (!parse_amount(node->text, f->kind, &value))
        return schema_at(s, node->line, "%s is \"%.40s\", want %s", f->key, node->text,
                         names[f->kind]);
    if (value < f->min || value > f->max)
        return schema_at(s, node->line, "%s is %.40s, want %lld to %lld", f->key, node->text,
                         (long long)f->min, (long long)f->max);
    *out = value;
    return ATLS_OK;
}

static enum atls_code read_choice(struct schema *s, const struct schema_field *f,
                                  const struct tree_node *node, int *out)
{
    struct text words = {0};
    enum atls_code code;

    for (int i = 0; f->words[i] != NULL; i++) {
        if (strcmp(node->text, f->words[i]) == 0) {
            *out = (int)f->min + i;
            text_clear(&words);
            return ATLS_OK;
        }
        text_printf(&words, "%s%s", i > 0 ? ", " : "", f->words[i]);
    }
    code = schema_at(s, node->line, "%s is \"%.40s\", want one of %s", f->key, node->text,
                     words.ptr != NULL ? words.ptr : "");
    text_clear(&words);
    return code;
}

static enum atls_code read_flag(struct schema *s, const struct schema_field *f,
                                const struct tree_node *node, bool *out)
{
    bool yes = strcmp(node->text, "true") == 0;

    if (!node->plain || (!yes && strcmp(node->text, "false") != 0))
        return schema_at(s, node->line, "%s is \"%.40s\", want true or false", f->key, node->text);
    *out = yes;
    return ATLS_OK;
}

enum atls_code schema_list(struct schema *s, const struct tree_node *node, size_t max)
{
    size_t count = 0;

    if (node->kind != TREE_LIST)
        return schema_at(s, node->line, "%s is no list", key_of(node));
    for (const struct tree_node *n = node->child; n != NULL; n = n->next)
        count++;
    if (count == 0 || count > max)
        return schema_at(s, node->line, "%s has %zu entries, want 1 to %zu", key_of(node), count,
                         max);
    return ATLS_OK;
}

static enum atls_code read_texts(struct schema *s, const struct schema_field *f,
                                 const struct tree_node *node, struct schema_texts *out)
{
    enum atls_code code = schema_list(s, node, SCHEMA_TEXTS_MAX);

    for (const struct tree_node *n = node->child; code == ATLS_OK && n != NULL; n = n->next) {
        if (n->kind != TREE_TEXT || n->text[0] == '\0' || strlen(n->text) > (size_t)f->max)
            return schema_at(s, n->line, "%s is a list of texts of 1 to %lld bytes", f->key,
                             (long long)f->max);
        for (size_t i = 0; i < out->count; i++)
            if (strcmp(out->at[i], n->text) == 0)
                return schema_at(s, n->line, "%s names \"%.40s\" twice", f->key, n->text);
        out->at[out->count++] = n->text;
    }
    return code;
}

static enum atls_code read_field(struct schema *s, const struct schema_field *f,
                                 const struct tree_node *node, void *into)
{
    unsigned char *at = (unsigned char *)into + f->offset;

    if (f->kind == SCHEMA_KIND_OTHER)
        return f->read(s, node, into);
    if (f->kind == SCHEMA_KIND_TEXTS)
        return read_texts(s, f, node, (struct schema_texts *)(void *)at);
    if (node->kind != TREE_TEXT)
        return schema_at(s, node->line, "%s is a %s, want a single value", f->key,
                         node->kind == TREE_LIST ? "list" : "mapping");
    if (f->kind == SCHEMA_KIND_TEXT || f->kind == SCHEMA_KIND_EMPTIABLE) {
        if (f->kind == SCHEMA_KIND_TEXT && node->text[0] == '\0')
            return schema_at(s, node->line, "%s is empty", f->key);
        memcpy(at, &node->text, sizeof node->text);
        return ATLS_OK;
    }
    if (f->kind == SCHEMA_KIND_FLAG)
        return read_flag(s, f, node, (bool *)(void *)at);
    if (f->kind == SCHEMA_KIND_CHOICE)
        return read_choice(s, f, node, (int *)(void *)at);
    return read_amount(s, f, node, (int64_t *)(void *)at);
}

enum atls_code schema_map(struct schema *s, const struct tree_node *map,
                          const struct schema_field *fields, void *into)
{
    enum atls_code code;

    if (map->kind != TREE_MAP)
        return schema_at(s, map->line, "%s is a %s, want a mapping", key_of(map),
                         map->kind == TREE_LIST ? "list" : "single value");
    for (const struct tree_node *n = map->child; n != NULL; n = n->next) {
        const struct schema_field *f = fields;

        while (f->key != NULL && strcmp(f->key, n->key->text) != 0)
            f++;
        if (f->key == NULL)
            return schema_at(s, n->key->line, "unknown key \"%.60s\"", n->key->text);
        if ((code = read_field(s, f, n, into)) != ATLS_OK)
            return code;
    }
    for (const struct schema_field *f = fields; f->key != NULL; f++) {
        if (f->required && schema_find(map, f->key) == NULL)
            return schema_at(s, map->line, "%s is missing", f->key);
    }
    return ATLS_OK;
}

enum atls_code schema_pair(struct schema *s, const struct tree_node *node, char **out)
{
    struct text text = {0};

    if (node->kind != TREE_TEXT)
        return schema_at(s, node->line, "%.40s has no single value", node->key->text);
    text_puts(&text, node->key->text);
    text_add(&text, "=", 1);
    text_puts(&text, node->text);
    if (text.failed) {
        text_clear(&text);
        return set_error(s->err, ATLS_E_NOMEM, "configuration: out of memory");
    }
    *out = text.ptr;
    return ATLS_OK;
}

const struct tree_node *schema_find(const struct tree_node *map, const char *key)
{
    const struct tree_node *n = map->child;

    while (n != NULL && strcmp(n->key->text, key) != 0)
        n = n->next;
    return n;
}

bool schema_is_name(const char *text)
{
    size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-_");

    return len > 0 && len < 64 && text[len] == '\0';
}
