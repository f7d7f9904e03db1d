#include "verifier/inspect/json.h"

#include <string.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/reader.h"
#include "wire/tdx_collateral.h"

/* Digits that every reader of JSON keeps exact, a sign included. */
#define NUMBER_LEN_MAX 15
/* Strings of one text, each with what aligns it. */
#define ARENA_MAX (16 * ATLS_JSON_TEXT_MAX)

/* On its way from a checked text to the writer. */
struct copy {
    struct atls_json *j;
    struct atls_arena arena;
};

/* The text of a string; without memory for it the document has failed. */
static struct atls_bytes text_of(struct copy *c, const struct atls_json_value *value)
{
    size_t room = value->raw.len, len = 0;
    char *text = atls_arena_alloc(&c->arena, room, 1);

    if (text == NULL || !atls_json_get_text(value, text, room, &len)) {
        c->j->w.failed = ATLS_E_NOMEM;
        return atls_bytes_of("", 0);
    }
    return atls_bytes_of(text, len);
}

/* Numbers that some reader would round are shown as text. */
static bool is_plain_integer(struct atls_bytes raw)
{
    for (size_t i = 0; i < raw.len; i++)
        if ((raw.ptr[i] < '0' || raw.ptr[i] > '9') && !(i == 0 && raw.ptr[0] == '-'))
            return false;
    return raw.len <= NUMBER_LEN_MAX;
}

static void put_scalar(struct copy *c, struct atls_bytes key, const struct atls_json_value *value)
{
    if (value->kind == ATLS_JSON_STRING)
        atls_json_put_text_key(c->j, key, text_of(c, value));
    else if (value->kind == ATLS_JSON_NUMBER && !is_plain_integer(value->raw))
        atls_json_put_text_key(c->j, key, value->raw);
    else
        atls_json_put_raw_key(c->j, key, value->raw);
}

static bool is_nested(const struct atls_json_value *value)
{
    return value->kind == ATLS_JSON_ARRAY || value->kind == ATLS_JSON_OBJECT;
}

static void open_value(struct atls_json *j, struct atls_bytes key,
                       const struct atls_json_value *value)
{
    if (value->kind == ATLS_JSON_ARRAY)
        atls_json_open_array_key(j, key);
    else
        atls_json_open_object_key(j, key);
}

/* Opened arrays and objects are at most as deep as the parser allows. */
static void put_nested(struct copy *c, struct atls_bytes key, const struct atls_json_value *value)
{
    struct atls_json_walk walks[ATLS_JSON_NESTING_MAX];
    struct atls_json_value name, next;
    size_t depth = 1;

    open_value(c->j, key, value);
    walks[0] = atls_json_walk(value);
    while (depth > 0) {
        bool has_names = walks[depth - 1].members;

        if (!atls_json_next(&walks[depth - 1], &name, &next)) {
            atls_json_close(c->j);
            depth--;
            continue;
        }
        key = has_names ? text_of(c, &name) : atls_bytes_of(NULL, 0);
        if (is_nested(&next) && depth < ATLS_JSON_NESTING_MAX) {
            open_value(c->j, key, &next);
            walks[depth++] = atls_json_walk(&next);
        } else {
            put_scalar(c, key, &next);
        }
    }
}

void atls_view_put_json(struct atls_json *j, const char *key, const struct atls_json_value *value)
{
    struct copy c = {j, atls_arena_init(ARENA_MAX)};
    struct atls_bytes name = {NULL, 0};

    if (key != NULL)
        name = atls_bytes_of(key, strlen(key));
    if (is_nested(value))
        put_nested(&c, name, value);
    else
        put_scalar(&c, name, value);
    atls_arena_clear(&c.arena);
}

/* An escape "\u0000", and not one of a backslash that such letters follow. */
static bool has_nul(struct atls_bytes text)
{
    static const char escape[] = "u0000";
    size_t backslashes = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\\') {
            backslashes++;
            continue;
        }
        if (backslashes % 2 == 1 && text.len - i >= sizeof escape - 1 &&
            memcmp(text.ptr + i, escape, sizeof escape - 1) == 0)
            return true;
        backslashes = 0;
    }
    return false;
}

enum atls_code atls_view_json_parse(struct atls_bytes in, struct atls_json_value *out,
                                    struct atls_err *err)
{
    struct atls_json_value root;
    enum atls_code code = atls_json_parse(in, &root, err);

    if (code != ATLS_OK)
        return code;
    if (has_nul(in))
        return atls_fail(err, ATLS_E_UNSUPPORTED, "JSON: text with U+0000 is not shown");
    *out = root;
    return ATLS_OK;
}

enum atls_code atls_view_json(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_json_value root;
    enum atls_code code = atls_view_json_parse(in, &root, v->err);

    if (code == ATLS_OK)
        atls_view_put_json(v->j, key, &root);
    return code;
}

static bool starts_with(struct atls_bytes text, const char *prefix)
{
    return text.len >= strlen(prefix) && memcmp(text.ptr, prefix, strlen(prefix)) == 0;
}

/* A member of the object whose name begins so. */
static bool has_claim(const struct atls_json_value *object)
{
    static const char *const prefixes[] = {"psa-", "cca-", "eat-", "arm-"};
    struct atls_json_walk walk = atls_json_walk(object);
    struct atls_json_value name, value;
    struct atls_bytes text;

    while (walk.members && atls_json_next(&walk, &name, &value)) {
        if (!atls_json_get_plain(&name, &text))
            continue;
        for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
            if (starts_with(text, prefixes[i]))
                return true;
    }
    return false;
}

enum atls_code atls_view_json_claims(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_json_value root;
    enum atls_code code = atls_view_json_parse(in, &root, v->err);

    if (code != ATLS_OK)
        return code;
    if (!has_claim(&root))
        return atls_fail_reason(v->err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "JSON claims: no member is named as a claim of PSA or CCA");
    atls_view_put_json(v->j, key, &root);
    return ATLS_OK;
}

/* Statuses of the TCB levels, each once, in their order. */
static void put_statuses(struct atls_json *j, const struct atls_json_value *content)
{
    struct atls_json_value levels, level, status, seen[16];
    struct atls_json_walk walk;
    size_t count = 0, i;

    if (!atls_json_member(content, "tcbLevels", &levels))
        return;
    atls_json_open_array(j, "statuses");
    walk = atls_json_walk(&levels);
    while (atls_json_next(&walk, NULL, &level)) {
        if (!atls_json_member(&level, "tcbStatus", &status) || status.kind != ATLS_JSON_STRING)
            continue;
        for (i = 0; i < count && !atls_bytes_equal(seen[i].raw, status.raw); i++)
            continue;
        if (i < count || count == sizeof seen / sizeof seen[0])
            continue;
        seen[count++] = status;
        atls_view_put_json(j, NULL, &status);
    }
    atls_json_close(j);
}

static void put_member(struct atls_json *j, const char *key, const struct atls_json_value *object,
                       const char *name)
{
    struct atls_json_value value;

    if (atls_json_member(object, name, &value))
        atls_view_put_json(j, key, &value);
}

enum atls_code atls_view_intel_collateral(struct atls_view *v, const char *key,
                                          struct atls_bytes in)
{
    static const char *const names[] = {ATLS_TDX_TCB_INFO, ATLS_TDX_QE_IDENTITY,
                                        ATLS_TDX_EVALUATION};
    struct atls_json_value root;
    struct atls_tdx_signed doc;
    enum atls_code code;
    size_t i = 0;

    if ((code = atls_view_json_parse(in, &root, v->err)) != ATLS_OK)
        return code;
    for (; i < sizeof names / sizeof names[0]; i++)
        if ((code = atls_tdx_signed_open(in, names[i], &doc, v->err)) == ATLS_OK)
            break;
    if (code != ATLS_OK)
        return code;
    atls_json_open_object(v->j, key);
    atls_json_put_string(v->j, "document", names[i]);
    put_member(v->j, "technology", &doc.content, "id");
    put_member(v->j, "issued", &doc.content, "issueDate");
    put_member(v->j, "next-update", &doc.content, "nextUpdate");
    put_statuses(v->j, &doc.content);
    atls_view_put_json(v->j, "content", &doc.content);
    atls_json_put_hex(v->j, "signature", atls_bytes_of(doc.signature, sizeof doc.signature));
    atls_json_close(v->j);
    return ATLS_OK;
}
