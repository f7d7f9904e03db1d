#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BEGIN        "<!-- begin: make attack -->\n"
#define END          "<!-- end: make attack -->\n"
#define DOCUMENT_MAX (1 << 20)

void table_open(struct table *t)
{
    t->text = NULL;
    t->len = 0;
    t->out = open_memstream(&t->text, &t->len);
    if (t->out == NULL)
        abort();
}

void table_close(struct table *t)
{
    if (fclose(t->out) != 0)
        abort();
    t->out = NULL;
}

void table_clear(struct table *t)
{
    free(t->text);
    t->text = NULL;
}

void table_head(struct table *t, const char *const *columns)
{
    for (const char *const *c = columns; *c != NULL; c++)
        fprintf(t->out, "| %s ", *c);
    fputs("|\n", t->out);
    for (const char *const *c = columns; *c != NULL; c++)
        fputs("|---", t->out);
    fputs("|\n", t->out);
}

struct line {
    const char *text;
    size_t len;
};

static char *read_whole(const char *path)
{
    FILE *in = fopen(path, "rb");
    char *out = malloc(DOCUMENT_MAX);
    size_t len;

    if (in == NULL || out == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        if (in != NULL)
            fclose(in);
        free(out);
        return NULL;
    }
    len = fread(out, 1, DOCUMENT_MAX - 1, in);
    fclose(in);
    out[len] = '\0';
    return out;
}

/* One line of text with its end; empty at the end of text. */
static struct line take_line(const char **text)
{
    const char *end = strchr(*text, '\n');
    struct line line = {*text, end == NULL ? strlen(*text) : (size_t)(end - *text) + 1};

    *text += line.len;
    return line;
}

static bool has_line(const char *text, struct line line)
{
    struct line at;

    while ((at = take_line(&text)).len != 0)
        if (at.len == line.len && memcmp(at.text, line.text, line.len) == 0)
            return true;
    return false;
}

/* Lines of one text that are nowhere in the other. */
static void show_missing(const char *sign, const char *from, const char *in)
{
    struct line line;

    while ((line = take_line(&from)).len != 0)
        if (!has_line(in, line))
            fprintf(stderr, "%s %.*s", sign, (int)line.len, line.text);
}

static void show_difference(const char *path, const char *have, const char *want)
{
    fprintf(
        stderr,
        "%s is not what runs (- document, + now; nothing: another order); make attack writes it "
        "anew\n",
        path);
    show_missing("-", have, want);
    show_missing("+", want, have);
}

static bool rewrite_document(const char *path, const char *head, const char *text, const char *tail)
{
    FILE *out = fopen(path, "wb");
    bool good;

    if (out == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return false;
    }
    fprintf(out, "%s" BEGIN "%s" END "%s", head, text, tail);
    good = ferror(out) == 0;
    return fclose(out) == 0 && good;
}

bool table_settle(const char *path, const char *text, bool rewrite)
{
    char *whole = read_whole(path), *begin, *end;
    bool good = false;

    if (whole == NULL)
        return false;
    begin = strstr(whole, BEGIN);
    end = begin == NULL ? NULL : strstr(begin, END);
    if (begin == NULL || end == NULL) {
        fprintf(stderr, "%s: the markers of the generated part are missing\n", path);
        free(whole);
        return false;
    }
    *begin = '\0';
    begin += strlen(BEGIN);
    if (rewrite) {
        good = rewrite_document(path, whole, text, end + strlen(END));
    } else {
        *end = '\0';
        good = strcmp(begin, text) == 0;
        if (!good)
            show_difference(path, begin, text);
    }
    free(whole);
    return good;
}
