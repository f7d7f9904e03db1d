#include "http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#define BUFFER_FIRST   1024
#define BUFFER_KEPT    4096 /* between requests */
#define CHUNK_DIGITS   15   /* 60 bits */
#define CHUNK_LINE_MAX 256  /* extensions and all */
#define LENGTH_DIGITS  18
#define STATUS_LEN     12 /* "HTTP/1.1 101" */

enum where {
    IN_HEAD = 0,
    IN_BODY,       /* h->left bytes */
    IN_CHUNK_SIZE, /* the line that says it */
    IN_CHUNK,      /* h->left bytes */
    IN_CHUNK_END,  /* CRLF behind them */
    IN_TRAILER,
    IN_HELD,
    IN_TUNNEL,
    IN_REFUSED,
};

struct http {
    struct http_options options;
    enum where where;
    unsigned status;
    bool passed;        /* a request has gone on */
    bool had_blank;     /* the empty line that may stand before a request line */
    uint8_t *buffer;    /* a head or trailer section: being gathered, then on its way out */
    size_t len, size;   /* of buffer */
    size_t sent;        /* of buffer, when going */
    bool going;         /* what is in the buffer goes out before anything else happens */
    uint64_t left;      /* of a body or chunk */
    size_t line_len;    /* bytes of the line that is being read */
    size_t digits;      /* of a chunk size */
    bool has_extension; /* of a chunk: passed over */
    struct {
        char line[STATUS_LEN];
        size_t len;
        bool skips, at_start; /* the rest of an interim response; at the start of a line */
    } response;
    char *added; /* lines of headers of ours */
    size_t added_len;
};

/* ---- making one ---- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* How a name reads to programs that see it as a variable: case and punctuation do not count. */
static char plain(char c)
{
    c = lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '-';
}

struct span {
    const char *at;
    size_t len;
};

static bool reads_as(struct span s, const char *name)
{
    size_t i = 0;

    while (i < s.len && name[i] != '\0' && plain(s.at[i]) == plain(name[i]))
        i++;
    return i == s.len && name[i] == '\0';
}

/* Without regard to case alone. */
static bool is_word(struct span s, const char *word)
{
    if (!reads_as(s, word))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (plain(word[i]) == '-' && s.at[i] != word[i])
            return false;
    return true;
}

static bool is_token(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (plain(s.at[i]) == '-' &&
            (s.at[i] == '\0' || strchr("!#$%&'*+-.^_`|~", s.at[i]) == NULL))
            return false;
    return s.len > 0;
}

/* Fields that say where a message ends, or what becomes of it on the way. */
static const char *const framing[] = {"Content-Length", "Transfer-Encoding", "Host",
                                      "Connection",     "Upgrade",           "Trailer"};

static const char *framing_name(struct span s)
{
    for (size_t i = 0; i < sizeof framing / sizeof framing[0]; i++)
        if (reads_as(s, framing[i]))
            return framing[i];
    return NULL;
}

static bool is_ours(const struct http *h, struct span s)
{
    for (size_t i = 0; i < h->options.count; i++)
        if (h->options.names[i] != NULL && reads_as(s, h->options.names[i]))
            return true;
    return false;
}

enum atls_code http_new(const struct http_options *options, struct http **out, struct atls_err *err)
{
    struct http *h;

    if (options->count > HTTP_HEADERS_MAX)
        return set_error(err, ATLS_E_LIMIT, "HTTP headers: over %d", HTTP_HEADERS_MAX);
    for (size_t i = 0; i < options->count; i++) {
        const char *name = options->names[i];

        if (name != NULL && (!is_token((struct span){name, strlen(name)}) ||
                             framing_name((struct span){name, strlen(name)}) != NULL))
            return set_error(err, ATLS_E_CONFIG,
                             "HTTP header: \"%.64s\" is no name, or one that frames messages",
                             name);
        for (size_t k = 0; name != NULL && k < i; k++)
            if (options->names[k] != NULL &&
                reads_as((struct span){name, strlen(name)}, options->names[k]))
                return set_error(err, ATLS_E_CONFIG, "HTTP header: \"%.64s\" is there twice", name);
    }
    if ((h = calloc(1, sizeof *h)) == NULL)
        return set_error(err, ATLS_E_NOMEM, "HTTP: out of memory");
    h->options = *options;
    *out = h;
    return ATLS_OK;
}

void http_free(struct http *h)
{
    if (h == NULL)
        return;
    free(h->buffer);
    free(h->added);
    free(h);
}

static bool is_value(const char *text)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++)
        if (text[i] < ' ' || text[i] > '~')
            return false;
    return len > 0 && text[0] != ' ' && text[len - 1] != ' ';
}

enum atls_code http_set(struct http *h, const char *const *values, struct atls_err *err)
{
    struct text added = {0};

    for (size_t i = 0; i < h->options.count; i++) {
        if (h->options.names[i] == NULL || values[i] == NULL)
            continue;
        if (!is_value(values[i])) {
            text_clear(&added);
            return set_error(err, ATLS_E_USAGE, "HTTP header %.64s: no printable ASCII",
                             h->options.names[i]);
        }
        text_puts(&added, h->options.names[i]);
        text_puts(&added, ": ");
        text_puts(&added, values[i]);
        text_puts(&added, "\r\n");
    }
    if (added.failed || added.len > HTTP_ADDED_MAX) {
        enum atls_code code = added.failed ? ATLS_E_NOMEM : ATLS_E_LIMIT;

        text_clear(&added);
        return set_error(err, code, "HTTP headers: over %d bytes, or out of memory",
                         HTTP_ADDED_MAX);
    }
    free(h->added);
    h->added = added.ptr;
    h->added_len = added.len;
    return ATLS_OK;
}

/* ---- refusing ---- */

static bool refuse(struct http *h, unsigned status, struct atls_err *err, const char *what)
{
    enum atls_code code = status == 431                    ? ATLS_E_LIMIT
                          : status == 501 || status == 505 ? ATLS_E_UNSUPPORTED
                          : status == 500                  ? ATLS_E_NOMEM
                                                           : ATLS_E_DECODE;

    set_error(err, code, "HTTP request: %s", what);
    if (err != NULL && code == ATLS_E_DECODE)
        err->reason = ATLS_REASON_MALFORMED;
    h->where = IN_REFUSED;
    h->status = status;
    h->going = false;
    return false;
}

/* ---- what a head says ---- */

struct facts {
    bool old;              /* HTTP/1.0 */
    bool get;              /* the method */
    bool star;             /* of OPTIONS */
    struct span authority; /* of absolute-form; at NULL: another form */
    struct span host;
    unsigned hosts, lengths, codings, upgrades, fields;
    uint64_t length;
    bool chunked, asks_upgrade, websocket;
};

static struct span trimmed(struct span s)
{
    while (s.len > 0 && (s.at[0] == ' ' || s.at[0] == '\t'))
        s = (struct span){s.at + 1, s.len - 1};
    while (s.len > 0 && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* Up to the character, which is passed over; false when it is not there. */
static bool cut(struct span *rest, char c, struct span *out)
{
    const char *at = rest->len > 0 ? memchr(rest->at, c, rest->len) : NULL;

    if (at == NULL)
        return false;
    *out = (struct span){rest->at, (size_t)(at - rest->at)};
    *rest = (struct span){at + 1, rest->len - out->len - 1};
    return true;
}

static bool begins(struct span s, const char *word)
{
    return s.len >= strlen(word) && is_word((struct span){s.at, strlen(word)}, word);
}

static bool read_target(struct http *h, struct span target, struct facts *f, struct atls_err *err)
{
    size_t scheme = begins(target, "http://") ? 7 : begins(target, "https://") ? 8 : 0;

    for (size_t i = 0; i < target.len; i++)
        if (target.at[i] <= ' ' || target.at[i] > '~')
            return refuse(h, 400, err, "target with other than visible ASCII characters");
    if (scheme > 0) {
        f->authority = (struct span){target.at + scheme, 0};
        while (scheme + f->authority.len < target.len &&
               strchr("/?#", f->authority.at[f->authority.len]) == NULL)
            f->authority.len++;
        return true;
    }
    if ((target.len > 0 && target.at[0] == '/') ||
        (target.len == 1 && target.at[0] == '*' && f->star))
        return true;
    return refuse(h, 400, err, "target is neither a path nor a URI of http");
}

static bool read_request_line(struct http *h, struct span line, struct facts *f,
                              struct atls_err *err)
{
    struct span method, target;

    if (!cut(&line, ' ', &method) || !cut(&line, ' ', &target) || !is_token(method))
        return refuse(h, 400, err, "request line is not METHOD TARGET VERSION");
    if (line.len != 8 || memcmp(line.at, "HTTP/", 5) != 0 || line.at[6] != '.')
        return refuse(h, 400, err, "no version of HTTP");
    if (line.at[5] != '1' || (line.at[7] != '0' && line.at[7] != '1'))
        return refuse(h, 505, err, "a version other than HTTP/1.0 and HTTP/1.1");
    if (method.len == 7 && memcmp(method.at, "CONNECT", 7) == 0)
        return refuse(h, 501, err, "CONNECT");
    f->old = line.at[7] == '0';
    f->get = method.len == 3 && memcmp(method.at, "GET", 3) == 0;
    f->star = method.len == 7 && memcmp(method.at, "OPTIONS", 7) == 0;
    return read_target(h, target, f, err);
}

static bool read_length(struct http *h, struct span value, struct facts *f, struct atls_err *err)
{
    if (value.len == 0 || value.len > LENGTH_DIGITS)
        return refuse(h, 400, err, "Content-Length is empty, or over 18 digits");
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return refuse(h, 400, err, "Content-Length is no number");
        f->length = f->length * 10 + (uint64_t)(value.at[i] - '0');
    }
    if (++f->lengths > 1)
        return refuse(h, 400, err, "two Content-Length");
    return true;
}

static bool read_coding(struct http *h, struct span value, struct facts *f, struct atls_err *err)
{
    if (++f->codings > 1)
        return refuse(h, 400, err, "two Transfer-Encoding");
    if (!is_word(value, "chunked"))
        return refuse(h, 501, err, "a transfer coding other than chunked alone");
    f->chunked = true;
    return true;
}

/* A field that Connection names is one that the next program may take out. */
static bool read_connection(struct http *h, struct span value, struct facts *f,
                            struct atls_err *err)
{
    struct span option;
    bool more = true;

    while (more) {
        if (!cut(&value, ',', &option)) {
            option = value;
            more = false;
        }
        option = trimmed(option);
        if (is_word(option, "upgrade"))
            f->asks_upgrade = true;
        else if (is_ours(h, option) || framing_name(option) != NULL)
            return refuse(h, 400, err, "Connection names a field that must not be taken out");
    }
    return true;
}

static bool read_host(struct http *h, struct span value, struct facts *f, struct atls_err *err)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.at[i] <= ' ' || value.at[i] > '~' || strchr("/?#@,\\", value.at[i]) != NULL)
            return refuse(h, 400, err, "Host is no host");
    f->host = value;
    if (++f->hosts > 1)
        return refuse(h, 400, err, "two Host");
    return true;
}

/* Splits a line; the characters of values were looked at when they came. */
static bool read_field(struct http *h, struct span line, struct span *name, struct span *value,
                       struct atls_err *err)
{
    const char *frames;

    if (line.at[0] == ' ' || line.at[0] == '\t')
        return refuse(h, 400, err, "a field is folded");
    if (!cut(&line, ':', name) || !is_token(*name))
        return refuse(h, 400, err, "a field has no name, or a space before its colon");
    if ((frames = framing_name(*name)) != NULL && !is_word(*name, frames))
        return refuse(h, 400, err, "a field looks like one that frames the message");
    *value = trimmed(line);
    return true;
}

static bool examine_field(struct http *h, struct span line, struct facts *f, struct atls_err *err)
{
    struct span name, value;

    if (!read_field(h, line, &name, &value, err))
        return false;
    if (++f->fields > HTTP_FIELDS_MAX)
        return refuse(h, 431, err, "over 128 fields");
    if (is_word(name, "Content-Length"))
        return read_length(h, value, f, err);
    if (is_word(name, "Transfer-Encoding"))
        return read_coding(h, value, f, err);
    if (is_word(name, "Connection"))
        return read_connection(h, value, f, err);
    if (is_word(name, "Host"))
        return read_host(h, value, f, err);
    if (is_word(name, "Upgrade")) {
        f->upgrades++;
        f->websocket = is_word(value, "websocket");
    }
    return true;
}

static bool check_facts(struct http *h, const struct facts *f, struct atls_err *err)
{
    if (f->hosts == 0 && !f->old)
        return refuse(h, 400, err, "no Host");
    if (f->lengths > 0 && f->codings > 0)
        return refuse(h, 400, err, "Content-Length and Transfer-Encoding");
    if (f->codings > 0 && f->old)
        return refuse(h, 400, err, "Transfer-Encoding in HTTP/1.0");
    if (f->authority.at != NULL && f->authority.len == 0)
        return refuse(h, 400, err, "target without a host");
    if (f->authority.at != NULL && f->hosts > 0) {
        if (f->authority.len != f->host.len)
            return refuse(h, 400, err, "Host is not that of the target");
        for (size_t i = 0; i < f->host.len; i++)
            if (lower(f->authority.at[i]) != lower(f->host.at[i]))
                return refuse(h, 400, err, "Host is not that of the target");
    }
    return true;
}

/* ---- rewriting ---- */

/* The line at *pos, without its end; false at the empty one, or behind all. */
static bool next_line(const struct http *h, size_t *pos, struct span *out)
{
    const char *at = (const char *)h->buffer + *pos;
    const char *end = *pos < h->len ? memchr(at, '\n', h->len - *pos) : NULL;

    if (end == NULL || end - at < 2)
        return false;
    *out = (struct span){at, (size_t)(end - at) - 1};
    *pos += out->len + 2;
    return true;
}

static bool reserve(struct http *h, size_t size)
{
    size_t wanted = h->size > 0 ? h->size : BUFFER_FIRST;
    uint8_t *bigger;

    while (wanted < size)
        wanted *= 2;
    if (wanted == h->size)
        return true;
    if ((bigger = realloc(h->buffer, wanted)) == NULL)
        return false;
    h->buffer = bigger;
    h->size = wanted;
    return true;
}

/* Takes fields out, from the line at pos on, puts added in, and has it all go. Lines were examined.
 */
static bool rewrite(struct http *h, size_t pos, bool keep_upgrade, struct span added,
                    struct atls_err *err)
{
    size_t kept = pos;
    struct span line;

    while (next_line(h, &pos, &line)) {
        struct span rest = line, name = {line.at, 0};

        if (cut(&rest, ':', &name) &&
            (is_ours(h, name) || (!keep_upgrade && is_word(name, "Upgrade"))))
            continue;
        memmove(h->buffer + kept, line.at, line.len + 2);
        kept += line.len + 2;
    }
    if (!reserve(h, kept + added.len + 2))
        return refuse(h, 500, err, "out of memory");
    if (added.len > 0)
        memcpy(h->buffer + kept, added.at, added.len);
    memcpy(h->buffer + kept + added.len, "\r\n", 2);
    h->len = kept + added.len + 2;
    h->sent = 0;
    h->going = true;
    return true;
}

/* A whole head is in the buffer. */
static bool take_head(struct http *h, struct atls_err *err)
{
    struct facts f = {0};
    struct span line = {NULL, 0};
    size_t pos = 0, fields;
    bool switches;

    if (!next_line(h, &pos, &line) || !read_request_line(h, line, &f, err))
        return false;
    fields = pos;
    while (next_line(h, &pos, &line))
        if (!examine_field(h, line, &f, err))
            return false;
    if (!check_facts(h, &f, err))
        return false;
    /* Only of the first request the response is known from others. */
    switches = h->options.websocket && !h->passed && f.upgrades == 1 && f.websocket &&
               f.asks_upgrade && f.get && !f.old && f.lengths == 0 && f.codings == 0;
    if (!rewrite(h, fields, switches, (struct span){h->added, h->added_len}, err))
        return false;
    h->left = f.length;
    h->where = switches ? IN_HELD : f.chunked ? IN_CHUNK_SIZE : f.length > 0 ? IN_BODY : IN_HEAD;
    h->passed = true;
    h->had_blank = false;
    return true;
}

/* A whole trailer section is in the buffer, if only its empty line. */
static bool take_trailer(struct http *h, struct atls_err *err)
{
    struct span line, name, value;
    size_t pos = 0, count = 0;

    while (next_line(h, &pos, &line)) {
        if (!read_field(h, line, &name, &value, err))
            return false;
        if (framing_name(name) != NULL)
            return refuse(h, 400, err, "a field that frames the message is in a trailer");
        if (++count > HTTP_FIELDS_MAX)
            return refuse(h, 431, err, "over 128 fields");
    }
    h->where = IN_HEAD;
    return rewrite(h, 0, false, (struct span){NULL, 0}, err);
}

/* ---- gathering ---- */

/* Characters that may stand in a section, and CR and LF only together; before: the one before. */
static bool check_characters(struct http *h, uint8_t before, struct atls_bytes in,
                             struct atls_err *err)
{
    for (size_t i = 0; i < in.len; i++) {
        uint8_t c = in.ptr[i];

        if ((c < ' ' && c != '\t' && c != '\r' && c != '\n') || c == 0x7f)
            return refuse(h, 400, err, "control character");
        if ((c == '\n') != (before == '\r'))
            return refuse(h, 400, err, "CR or LF alone");
        before = c;
    }
    return true;
}

/* A line of a section, or what there is of it; *out_whole when it was the empty one. */
static bool gather(struct http *h, struct http_io *io, bool *out_whole, struct atls_err *err)
{
    const uint8_t *in = io->in + io->used;
    const uint8_t *end = memchr(in, '\n', io->in_len - io->used);
    size_t n = end != NULL ? (size_t)(end - in) + 1 : io->in_len - io->used;
    size_t room = HTTP_HEAD_MAX - h->len, fits = n < room ? n : room;

    if (!check_characters(h, h->len > 0 ? h->buffer[h->len - 1] : 0, atls_bytes_of(in, fits), err))
        return false;
    if (fits < n)
        return refuse(h, 431, err, "head or trailer over 32768 bytes");
    if (!reserve(h, h->len + n))
        return refuse(h, 500, err, "out of memory");
    memcpy(h->buffer + h->len, in, n);
    h->len += n;
    h->line_len += n;
    io->used += n;
    if (end != NULL) {
        *out_whole = h->line_len == 2;
        h->line_len = 0;
    }
    return true;
}

static bool run_section(struct http *h, struct http_io *io, struct atls_err *err)
{
    bool whole = false;

    while (io->used < io->in_len && !whole)
        if (!gather(h, io, &whole, err))
            return false;
    if (!whole)
        return true;
    if (h->where == IN_TRAILER)
        return take_trailer(h, err);
    if (h->len > 2)
        return take_head(h, err);
    if (h->had_blank)
        return refuse(h, 400, err, "empty lines before a request");
    h->had_blank = true;
    h->len = 0;
    return true;
}

/* ---- bodies ---- */

static void run_bytes(struct http *h, struct http_io *io)
{
    size_t n = io->in_len - io->used;

    if (n > io->size - io->len)
        n = io->size - io->len;
    if (h->where != IN_TUNNEL && n > h->left)
        n = (size_t)h->left;
    if (n > 0)
        memcpy(io->out + io->len, io->in + io->used, n);
    io->used += n;
    io->len += n;
    if (h->where == IN_TUNNEL)
        return;
    h->left -= n;
    if (h->left == 0)
        h->where = h->where == IN_BODY ? IN_HEAD : IN_CHUNK_END;
}

/* A line of ours goes. */
static bool put_line(struct http *h, const char *line, struct atls_err *err)
{
    size_t len = strlen(line);

    if (!reserve(h, len))
        return refuse(h, 500, err, "out of memory");
    memcpy(h->buffer, line, len);
    h->len = len;
    h->sent = 0;
    h->going = true;
    return true;
}

static int hex_value(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool take_chunk_size(struct http *h, struct atls_err *err)
{
    char line[32];

    snprintf(line, sizeof line, "%llx\r\n", (unsigned long long)h->left);
    h->where = h->left > 0 ? IN_CHUNK : IN_TRAILER;
    h->line_len = 0;
    return put_line(h, line, err);
}

/* Extensions are passed over, as RFC 9112 section 7.1.1 wants of who does not know them, and do not
 * go on. */
static bool run_chunk_size(struct http *h, struct http_io *io, struct atls_err *err)
{
    while (io->used < io->in_len) {
        uint8_t byte = io->in[io->used++];
        int digit = hex_value(byte);

        if (++h->line_len > CHUNK_LINE_MAX)
            return refuse(h, 400, err, "chunk size with over 256 bytes of extensions");
        if (h->digits > CHUNK_DIGITS) { /* behind CR */
            if (byte != '\n')
                return refuse(h, 400, err, "chunk size: CR alone");
            h->digits = 0;
            h->has_extension = false;
            return take_chunk_size(h, err);
        }
        if (byte == '\r' && h->digits > 0)
            h->digits = CHUNK_DIGITS + 1;
        else if (byte == ';' && h->digits > 0)
            h->has_extension = true;
        else if (h->has_extension && (byte == '\t' || (byte >= ' ' && byte <= '~')))
            continue;
        else if (h->has_extension || digit < 0 || h->digits == CHUNK_DIGITS)
            return refuse(h, 400, err, "chunk size is no hexadecimal number, or over 15 digits");
        else {
            h->left = (h->digits++ == 0 ? 0 : h->left << 4) + (uint64_t)digit;
        }
    }
    return true;
}

static bool run_chunk_end(struct http *h, struct http_io *io, struct atls_err *err)
{
    while (io->used < io->in_len) {
        if (io->in[io->used++] != (h->line_len == 0 ? '\r' : '\n'))
            return refuse(h, 400, err, "a chunk does not end where it should");
        if (++h->line_len == 2) {
            h->line_len = 0;
            h->where = IN_CHUNK_SIZE;
            return put_line(h, "\r\n", err);
        }
    }
    return true;
}

/* ---- running ---- */

/* False when there is no more room. */
static bool flush(struct http *h, struct http_io *io)
{
    size_t n = h->len - h->sent;

    if (!h->going)
        return true;
    if (n > io->size - io->len)
        n = io->size - io->len;
    memcpy(io->out + io->len, h->buffer + h->sent, n);
    io->len += n;
    h->sent += n;
    if (h->sent < h->len)
        return false;
    h->going = false;
    h->len = 0;
    if (h->size > BUFFER_KEPT) {
        free(h->buffer);
        h->buffer = NULL;
        h->size = 0;
    }
    return true;
}

static bool run(struct http *h, struct http_io *io, struct atls_err *err)
{
    switch (h->where) {
    case IN_HEAD:
    case IN_TRAILER:
        return run_section(h, io, err);
    case IN_BODY:
    case IN_CHUNK:
    case IN_TUNNEL:
        run_bytes(h, io);
        return true;
    case IN_CHUNK_SIZE:
        return run_chunk_size(h, io, err);
    case IN_CHUNK_END:
        return run_chunk_end(h, io, err);
    case IN_HELD:
    case IN_REFUSED:
    default:
        return false;
    }
}

enum http_state http_filter(struct http *h, struct http_io *io, struct atls_err *err)
{
    io->used = io->len = 0;
    while (flush(h, io) && io->used < io->in_len && io->len < io->size && run(h, io, err))
        ;
    return h->where == IN_REFUSED               ? HTTP_REFUSED
           : h->where == IN_HELD && !h->going   ? HTTP_HELD
           : h->where == IN_TUNNEL && !h->going ? HTTP_TUNNEL
                                                : HTTP_ON;
}

bool http_is_between(const struct http *h)
{
    return !h->going && ((h->where == IN_HEAD && h->len == 0) || h->where == IN_TUNNEL);
}

/* ---- responses ---- */

/* What the captured beginning of a response says. */
static void take_status(struct http *h)
{
    const char *s = h->response.line;

    h->response.len = 0;
    if (memcmp(s, "HTTP/1.", 7) != 0 || s[8] != ' ' || s[9] != '1') {
        h->where = IN_HEAD; /* a final response: the offer was refused */
    } else if (s[10] == '0' && s[11] == '1') {
        h->where = IN_TUNNEL;
    } else {
        h->response.skips = true;
        h->response.at_start = false;
    }
}

void http_response(struct http *h, struct atls_bytes bytes)
{
    for (size_t i = 0; i < bytes.len && h->where == IN_HELD; i++) {
        uint8_t byte = bytes.ptr[i];

        if (!h->response.skips) {
            h->response.line[h->response.len++] = (char)byte;
            if (h->response.len == STATUS_LEN)
                take_status(h);
        } else if (byte == '\n') {
            h->response.skips = !h->response.at_start;
            h->response.at_start = true;
        } else if (byte != '\r') {
            h->response.at_start = false;
        }
    }
}

/* ---- answers ---- */

unsigned http_status(const struct http *h)
{
    return h->passed ? 0 : h->status;
}

/* A problem document (RFC 9457 section 4.2.1) of len bytes. */
#define ANSWER(status, reason, len)                                                                \
    {                                                                                              \
        status, "HTTP/1.1 " #status " " reason "\r\nContent-Type: application/problem+json\r\n"    \
                "Content-Length: " #len "\r\nConnection: close\r\n\r\n"                            \
                "{\"type\":\"about:blank\",\"title\":\"" reason "\",\"status\":" #status "}"       \
    }

struct atls_bytes http_answer(unsigned status)
{
    static const struct {
        unsigned status;
        const char *text;
    } answers[] = {
        ANSWER(400, "Bad Request", 57),
        ANSWER(431, "Request Header Fields Too Large", 77),
        ANSWER(500, "Internal Server Error", 67),
        ANSWER(501, "Not Implemented", 61),
        ANSWER(502, "Bad Gateway", 57),
        ANSWER(505, "HTTP Version Not Supported", 72),
    };

    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
        if (answers[i].status == status)
            return atls_bytes_of(answers[i].text, strlen(answers[i].text));
    return atls_bytes_of(NULL, 0);
}
