#include "media.h"

#include <stdlib.h>
#include <string.h>

/* tchar of RFC 9110 section 5.6.2. */
static bool is_token(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

bool media_is_token(const char *text)
{
    size_t len = 0;

    while (is_token(text[len]))
        len++;
    return len > 0 && text[len] == '\0';
}

static const char *skip_space(const char *at)
{
    while (*at == ' ' || *at == '\t')
        at++;
    return at;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Takes a token in lower case; NULL when there is none or it is too long. */
static const char *take_token(const char *at, char *out, size_t size)
{
    size_t n = 0;

    for (; is_token(*at); at++) {
        if (n + 1 >= size)
            return NULL;
        out[n++] = lower(*at);
    }
    out[n] = '\0';
    return n > 0 ? at : NULL;
}

/* Takes a token as it is, or a quoted string without its quotes. */
static const char *take_value(const char *at, char *out, size_t size)
{
    bool quoted = *at == '"';
    size_t n = 0;

    if (quoted)
        at++;
    while (quoted ? *at != '"' : is_token(*at)) {
        if (quoted && *at == '\\')
            at++;
        if (((unsigned char)*at < 0x20 && *at != '\t') || (unsigned char)*at >= 0x7f ||
            n + 1 >= size)
            return NULL; /* also at the end of the text */
        out[n++] = *at++;
    }
    out[n] = '\0';
    return quoted ? at + 1 : n > 0 ? at : NULL;
}

/* "type/subtype", also with asterisks when range. */
static const char *take_type(const char *at, char *out, size_t size)
{
    const char *next = take_token(at, out, size);
    size_t len;

    if (next == NULL || *next != '/')
        return NULL;
    len = (size_t)(next - at);
    if (size - len < 3)
        return NULL;
    out[len] = '/';
    return take_token(next + 1, out + len + 1, size - len - 1);
}

static const char *take_parameter(const char *at, struct media_parameter *out)
{
    at = take_token(at, out->name, sizeof out->name);
    if (at == NULL || *at != '=')
        return NULL;
    return take_value(at + 1, out->value, sizeof out->value);
}

bool media_parse(const char *text, struct media *out, const char **out_rule)
{
    struct media m;
    const char *at;

    m.count = 0;
    if (strnlen(text, MEDIA_TEXT_MAX + 1) > MEDIA_TEXT_MAX) {
        *out_rule = "longer than 512 bytes";
        return false;
    }
    at = take_type(skip_space(text), m.type, sizeof m.type);
    if (at == NULL || strchr(m.type, '*') != NULL) {
        *out_rule = "not of the form type/subtype";
        return false;
    }
    for (at = skip_space(at); *at != '\0'; at = skip_space(at)) {
        struct media_parameter *p = &m.parameters[m.count];

        if (*at != ';' || m.count == MEDIA_PARAMETERS_MAX ||
            (at = take_parameter(skip_space(at + 1), p)) == NULL) {
            *out_rule = "parameter is malformed, too long, or one too many";
            return false;
        }
        if (media_parameter(&m, p->name) != NULL) {
            *out_rule = "parameter is given twice";
            return false;
        }
        m.count++;
    }
    *out = m;
    return true;
}

const char *media_parameter(const struct media *media, const char *name)
{
    for (size_t i = 0; i < media->count; i++)
        if (strcmp(media->parameters[i].name, name) == 0)
            return media->parameters[i].value;
    return NULL;
}

bool media_equal(const struct media *a, const struct media *b)
{
    if (strcmp(a->type, b->type) != 0 || a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        const char *other = media_parameter(b, a->parameters[i].name);

        if (other == NULL || strcmp(other, a->parameters[i].value) != 0)
            return false;
    }
    return true;
}

/* 0 none, 1 "any of any", 2 "any of the type", 3 the very type. */
static int specificity(const char *range, const char *offered)
{
    size_t len = strlen(range);

    if (strcmp(range, "*/*") == 0)
        return 1;
    if (len > 2 && strcmp(range + len - 2, "/*") == 0)
        return strncmp(range, offered, len - 1) == 0 ? 2 : 0;
    return strcmp(range, offered) == 0 ? 3 : 0;
}

/* qvalue of RFC 9110 section 12.4.2; *out_zero: not acceptable. */
static bool parse_weight(const char *text, bool *out_zero)
{
    size_t len = strlen(text);
    bool zero = text[0] == '0';

    if (len > 5 || (text[0] != '0' && text[0] != '1') || (len > 1 && text[1] != '.'))
        return false;
    for (size_t i = 2; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || (text[0] == '1' && text[i] != '0'))
            return false;
        zero = zero && text[i] == '0';
    }
    *out_zero = zero;
    return true;
}

/* One media range with its parameters; NULL when it is malformed. */
static const char *take_range(const char *at, char *type, size_t size, bool *out_zero)
{
    *out_zero = false;
    at = take_type(at, type, size);
    while (at != NULL && *(at = skip_space(at)) == ';') {
        struct media_parameter p;

        at = take_parameter(skip_space(at + 1), &p);
        if (at != NULL && strcmp(p.name, "q") == 0 && !parse_weight(p.value, out_zero))
            return NULL;
    }
    return at;
}

bool accept_takes(const char *header, const char *offered, bool *out_ok)
{
    int best = 0;
    bool ok = false, any = false;

    if (header == NULL) {
        *out_ok = true;
        return true;
    }
    for (const char *at = skip_space(header); *at != '\0';) {
        char range[128];
        bool zero;
        int how;

        if (*at == ',') { /* empty elements are allowed (RFC 9110 section 5.6.1.2) */
            at = skip_space(at + 1);
            continue;
        }
        if ((at = take_range(at, range, sizeof range, &zero)) == NULL || (*at != ',' && *at))
            return false;
        any = true;
        how = specificity(range, offered);
        if (how > best || (how == best && how > 0 && !zero)) {
            best = how;
            ok = !zero;
        }
    }
    *out_ok = any ? ok : true;
    return true;
}
