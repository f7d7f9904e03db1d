#include "tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "text.h"

struct builder {
    const char *name;
    struct atls_bytes text;
    yaml_parser_t parser;
    size_t nodes;
    struct tree_node *root;
    struct {
        struct tree_node *node, *key;
        struct tree_node **tail;
    } stack[TREE_DEPTH_MAX];
    size_t depth;
    bool ended;
};

/* Frees without recursion: children go to the front of what is left. */
void tree_free(struct tree_node *node)
{
    while (node != NULL) {
        struct tree_node *next = node->next;

        if (node->child != NULL) {
            struct tree_node *last = node->child;

            while (last->next != NULL)
                last = last->next;
            last->next = next;
            next = node->child;
        }
        if (node->key != NULL) {
            node->key->next = next;
            next = node->key;
        }
        free(node->text);
        free(node);
        node = next;
    }
}

/* The line that the parser stopped at; what cannot be read at all has a place in bytes only. */
static size_t problem_line(const struct builder *b)
{
    const size_t offset = b->parser.problem_offset;
    size_t line = 1;

    if (b->parser.error != YAML_READER_ERROR)
        return b->parser.problem_mark.line + 1;
    for (size_t i = 0; i < offset && i < b->text.len; i++)
        line += b->text.ptr[i] == '\n';
    return line;
}

static enum atls_code at_line(const struct builder *b, size_t line, const char *rule,
                              struct atls_err *err)
{
    return set_error(err, ATLS_E_CONFIG, "%.100s:%zu: %.150s", b->name, line, rule);
}

/* Hangs a node where the next one belongs. */
static enum atls_code attach(struct builder *b, struct tree_node *node, struct atls_err *err)
{
    size_t top = b->depth - 1;

    if (b->depth == 0) {
        b->root = node;
        return ATLS_OK;
    }
    if (b->stack[top].node->kind == TREE_MAP && b->stack[top].key == NULL) {
        size_t line = node->line;
        bool is_text = node->kind == TREE_TEXT;

        for (const struct tree_node *n = b->stack[top].node->child; n != NULL && is_text;
             n = n->next)
            if (strcmp(n->key->text, node->text) == 0) {
                char rule[80];

                snprintf(rule, sizeof rule, "key %.40s is given twice", node->text);
                tree_free(node);
                return at_line(b, line, rule, err);
            }
        if (!is_text) {
            tree_free(node);
            return at_line(b, line, "key is not text", err);
        }
        b->stack[top].key = node;
        return ATLS_OK;
    }
    node->key = b->stack[top].key;
    b->stack[top].key = NULL;
    *b->stack[top].tail = node;
    b->stack[top].tail = &node->next;
    return ATLS_OK;
}

static enum atls_code add_node(struct builder *b, enum tree_kind kind, const yaml_event_t *event,
                               struct tree_node **out, struct atls_err *err)
{
    size_t line = event->start_mark.line + 1;
    struct tree_node *node;

    if (++b->nodes > TREE_NODES_MAX)
        return at_line(b, line, "more than 8192 values", err);
    if ((node = calloc(1, sizeof *node)) == NULL)
        return set_error(err, ATLS_E_NOMEM, "configuration: out of memory");
    node->kind = kind;
    node->line = line;
    *out = node;
    return ATLS_OK;
}

static enum atls_code add_text(struct builder *b, const yaml_event_t *event, struct atls_err *err)
{
    const char *value = (const char *)event->data.scalar.value;
    size_t len = event->data.scalar.length;
    struct tree_node *node;
    enum atls_code code;

    if (event->data.scalar.anchor != NULL || event->data.scalar.tag != NULL)
        return at_line(b, event->start_mark.line + 1, "anchors and tags are not used here", err);
    if (memchr(value, '\0', len) != NULL)
        return at_line(b, event->start_mark.line + 1, "text has a NUL", err);
    if ((code = add_node(b, TREE_TEXT, event, &node, err)) != ATLS_OK)
        return code;
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if ((node->text = calloc(1, len + 1)) == NULL) {
        tree_free(node);
        return set_error(err, ATLS_E_NOMEM, "configuration: out of memory");
    }
    memcpy(node->text, value, len);
    return attach(b, node, err);
}

static enum atls_code open_node(struct builder *b, enum tree_kind kind, const yaml_event_t *event,
                                struct atls_err *err)
{
    bool named =
        kind == TREE_MAP
            ? event->data.mapping_start.anchor != NULL || event->data.mapping_start.tag != NULL
            : event->data.sequence_start.anchor != NULL || event->data.sequence_start.tag != NULL;
    struct tree_node *node;
    enum atls_code code;

    if (named)
        return at_line(b, event->start_mark.line + 1, "anchors and tags are not used here", err);
    if (b->depth == TREE_DEPTH_MAX)
        return at_line(b, event->start_mark.line + 1, "nested deeper than 8 levels", err);
    if ((code = add_node(b, kind, event, &node, err)) != ATLS_OK ||
        (code = attach(b, node, err)) != ATLS_OK)
        return code;
    b->stack[b->depth].node = node;
    b->stack[b->depth].key = NULL;
    b->stack[b->depth].tail = &node->child;
    b->depth++;
    return ATLS_OK;
}

static enum atls_code take_event(struct builder *b, const yaml_event_t *event, struct atls_err *err)
{
    size_t line = event->start_mark.line + 1;

    if (event->type == YAML_STREAM_END_EVENT) {
        b->ended = true;
        return b->root != NULL ? ATLS_OK : at_line(b, line, "file is empty", err);
    }
    if (event->type == YAML_DOCUMENT_START_EVENT)
        return b->root == NULL ? ATLS_OK : at_line(b, line, "second document", err);
    if (event->type == YAML_ALIAS_EVENT)
        return at_line(b, line, "aliases are not used here", err);
    if (event->type == YAML_SCALAR_EVENT)
        return add_text(b, event, err);
    if (event->type == YAML_SEQUENCE_START_EVENT)
        return open_node(b, TREE_LIST, event, err);
    if (event->type == YAML_MAPPING_START_EVENT)
        return open_node(b, TREE_MAP, event, err);
    if (event->type == YAML_SEQUENCE_END_EVENT || event->type == YAML_MAPPING_END_EVENT)
        b->depth--;
    return ATLS_OK;
}

static enum atls_code build(struct builder *b, struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    while (code == ATLS_OK && !b->ended) {
        yaml_event_t event;

        if (yaml_parser_parse(&b->parser, &event) == 0) {
            const char *problem = b->parser.problem;
            size_t line = problem_line(b);

            if (b->parser.error == YAML_MEMORY_ERROR)
                return set_error(err, ATLS_E_NOMEM, "configuration: out of memory");
            return at_line(b, line, problem != NULL ? problem : "not YAML", err);
        }
        code = take_event(b, &event, err);
        yaml_event_delete(&event);
    }
    return code;
}

enum atls_code tree_parse(const char *name, struct atls_bytes text, struct tree_node **out,
                          struct atls_err *err)
{
    static const uint8_t nothing;
    struct builder b = {.name = name, .text = text};
    enum atls_code code;

    if (text.len > TREE_FILE_MAX)
        return set_error(err, ATLS_E_CONFIG, "%.100s:1: file is longer than 256 KiB", name);
    if (yaml_parser_initialize(&b.parser) == 0)
        return set_error(err, ATLS_E_NOMEM, "configuration: out of memory");
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.parser, text.len > 0 ? text.ptr : &nothing, text.len);
    code = build(&b, err);
    yaml_parser_delete(&b.parser);
    if (code != ATLS_OK) {
        for (size_t i = 0; i < b.depth; i++)
            tree_free(b.stack[i].key);
        tree_free(b.root);
        return code;
    }
    *out = b.root;
    return ATLS_OK;
}
