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

/* One line of text, cut off it; NULL at its end. */
static char *take_line(char **text)
{
    char *line = *text, *end;

    if (*line == '\0')
        return NULL;
    end = strchr(line, '\n');
    if (end == NULL) {
        *text += strlen(line);
    } else {
        *end = '\0';
        *text = end + 1;
    }
    return line;
}

/* Lines side by side: enough where rows change and seldom move. */
static void show_difference(const char *path, char *have, char *want)
{
    char *h, *w;

    fprintf(stderr, "%s is not what runs (- document, + now); make attack writes it anew\n", path);
    do {
        h = take_line(&have);
        w = take_line(&want);
        if (h != NULL && w != NULL && strcmp(h, w) == 0)
            continue;
        if (h != NULL)
            fprintf(stderr, "- %s\n", h);
        if (w != NULL)
            fprintf(stderr, "+ %s\n", w);
    } while (h != NULL || w != NULL);
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
    char *whole = read_whole(path), *begin, *end, *copy;
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
        if (!good && (copy = strdup(text)) != NULL) {
            show_difference(path, begin, copy);
            free(copy);
        }
    }
    free(whole);
    return good;
}
