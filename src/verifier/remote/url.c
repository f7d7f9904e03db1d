#include "verifier/remote/url.h"

#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "core/log.h"
#include "core/reader.h"

#define HOST_MAX 253 /* RFC 1035 section 2.3.4, as text */

static bool is_alnum(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* What a path is made of (RFC 3986 section 3.3) without percent-encoding: it would give one
 * resource several names. */
static bool is_path_char(uint8_t c)
{
    return is_alnum(c) || (c != 0 && strchr("-._~!$&'()*+,;=:@/", c) != NULL);
}

static struct atls_bytes rest_of(const struct atls_reader *r)
{
    return atls_bytes_of(r->in.ptr + r->pos, atls_reader_left(r));
}

static bool skip_text(struct atls_reader *r, const char *text)
{
    struct atls_bytes rest = rest_of(r);
    size_t len = strlen(text);

    if (rest.len < len ||
        !atls_bytes_equal_without_case(atls_bytes_of(rest.ptr, len), atls_bytes_of(text, len)))
        return false;
    r->pos += len;
    return true;
}

/* The longest run of characters that are not one of stops. */
static struct atls_bytes get_until(struct atls_reader *r, const char *stops)
{
    struct atls_bytes rest = rest_of(r);
    size_t len = 0;

    while (len < rest.len && (rest.ptr[len] == 0 || strchr(stops, rest.ptr[len]) == NULL))
        len++;
    r->pos += len;
    return atls_bytes_of(rest.ptr, len);
}

/* A DNS name or an IPv4 address: labels of letters, digits and hyphens between dots. */
static bool is_host(struct atls_bytes host)
{
    if (host.len == 0 || host.len > HOST_MAX || host.ptr[0] == '.' || host.ptr[0] == '-')
        return false;
    for (size_t i = 0; i < host.len; i++)
        if (!is_alnum(host.ptr[i]) && host.ptr[i] != '-' &&
            (host.ptr[i] != '.' || (i > 0 && host.ptr[i - 1] == '.')))
            return false;
    return true;
}

/* "[...]" of an IPv6 address without a zone; whether it is one is the resolver's to say. */
static bool is_ipv6(struct atls_bytes host)
{
    size_t colons = 0;

    if (host.len < 4 || host.len > 47 || host.ptr[0] != '[' || host.ptr[host.len - 1] != ']')
        return false;
    for (size_t i = 1; i + 1 < host.len; i++) {
        uint8_t c = host.ptr[i];

        if (c == ':')
            colons++;
        else if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F') &&
                 c != '.')
            return false;
    }
    return colons >= 2;
}

/* Decimal, 1 to 65535, no leading zero. */
static bool get_port(struct atls_bytes text, unsigned int *out)
{
    unsigned int port = 0;

    if (text.len == 0 || text.len > 5 || text.ptr[0] == '0')
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        port = 10 * port + (unsigned int)(text.ptr[i] - '0');
    }
    *out = port;
    return port <= 65535;
}

/* Empty, or "/" segments; none empty (but the last), ".", or "..". */
static bool is_path(struct atls_bytes path)
{
    size_t start = 1;

    if (path.len == 0)
        return true;
    if (path.ptr[0] != '/')
        return false;
    for (size_t i = 1; i <= path.len; i++) {
        struct atls_bytes segment;

        if (i < path.len && path.ptr[i] != '/') {
            if (!is_path_char(path.ptr[i]))
                return false;
            continue;
        }
        segment = atls_bytes_of(path.ptr + start, i - start);
        if ((segment.len == 0 && i < path.len) || atls_bytes_equal_text(segment, ".") ||
            atls_bytes_equal_text(segment, ".."))
            return false;
        start = i + 1;
    }
    return true;
}

/* What a URL was split into; borrows. */
struct parts {
    bool is_https;
    struct atls_bytes host; /* with the brackets of IPv6 */
    unsigned int port;
    struct atls_bytes path;
};

/* NULL, or which part is wrong. */
static const char *split(struct atls_bytes text, struct parts *out)
{
    struct atls_reader r = atls_reader_init(text);
    struct parts p = {.port = 443};

    if (skip_text(&r, "https://"))
        p.is_https = true;
    else if (skip_text(&r, "http://"))
        p.port = 80;
    else
        return "the scheme is neither https nor http";
    p.host = rest_of(&r).len > 0 && rest_of(&r).ptr[0] == '[' ? get_until(&r, "]/?#@")
                                                              : get_until(&r, ":/?#@");
    if (skip_text(&r, "]"))
        p.host.len++;
    if (!is_host(p.host) && !is_ipv6(p.host))
        return "the host is no name or address";
    if (skip_text(&r, ":") && !get_port(get_until(&r, "/?#@"), &p.port))
        return "the port is no number from 1 to 65535";
    if (!atls_reader_done(&r) && rest_of(&r).ptr[0] == '@')
        return "there is a user name in front of the host";
    p.path = get_until(&r, "?#");
    if (!atls_reader_done(&r))
        return "there is a query or a fragment";
    if (!is_path(p.path))
        return "the path has characters or segments that it must not have";
    *out = p;
    return NULL;
}

/* In the one spelling; false when it is too long. */
static bool build(const struct parts *p, struct atls_url *out)
{
    struct atls_url url = {.is_https = p->is_https};
    int n;

    n = snprintf(url.text, sizeof url.text, "%s://%.*s", p->is_https ? "https" : "http",
                 (int)p->host.len, (const char *)p->host.ptr);
    for (int i = 0; i < n; i++) /* at most 8 + HOST_MAX: it fits */
        if (url.text[i] >= 'A' && url.text[i] <= 'Z')
            url.text[i] = (char)(url.text[i] - 'A' + 'a');
    if (p->port != (p->is_https ? 443u : 80u))
        n += snprintf(url.text + n, sizeof url.text - (size_t)n, ":%u", p->port);
    url.origin_len = (size_t)n;
    if (p->path.len >= sizeof url.text - url.origin_len)
        return false;
    if (p->path.len > 0)
        memcpy(url.text + url.origin_len, p->path.ptr, p->path.len);
    url.text[url.origin_len + p->path.len] = '\0';
    *out = url;
    return true;
}

enum atls_code atls_url_parse(const char *text, struct atls_url *out, struct atls_err *err)
{
    struct atls_bytes in = atls_bytes_of(text, strlen(text));
    const char *wrong;
    struct parts p;
    char shown[96];

    if ((wrong = split(in, &p)) == NULL) {
        if (p.path.len > 0 && p.path.ptr[p.path.len - 1] == '/')
            p.path.len--;
        if (build(&p, out))
            return ATLS_OK;
        wrong = "it is too long";
    }
    /* A password in front of the host is not for logs. */
    return atls_fail(
        err, ATLS_E_CONFIG, "URL \"%s\": %s, want https://HOST[:PORT][/PREFIX]",
        memchr(in.ptr, '@', in.len) != NULL ? "..." : atls_escape(in, shown, sizeof shown), wrong);
}

static enum atls_code refuse(struct atls_bytes reference, const char *why, struct atls_err *err)
{
    char shown[96];

    return atls_fail(err, ATLS_E_PROTOCOL, "URL \"%s\" of the service: %s",
                     atls_escape(reference, shown, sizeof shown), why);
}

/* The first base_len characters of base with path behind them. */
static enum atls_code join(const struct atls_url *base, size_t base_len, struct atls_bytes path,
                           struct atls_url *out, struct atls_err *err)
{
    struct atls_url url = *base;

    if (path.len >= sizeof url.text - base_len || memchr(path.ptr, 0, path.len) != NULL)
        return refuse(path, "it is too long, or has a NUL in it", err);
    memcpy(url.text + base_len, path.ptr, path.len);
    url.text[base_len + path.len] = '\0';
    if (!is_path(atls_bytes_of(atls_url_path(&url), strlen(atls_url_path(&url)))))
        return refuse(path, "it has characters or segments that a path must not have", err);
    *out = url;
    return ATLS_OK;
}

enum atls_code atls_url_append(const struct atls_url *base, struct atls_bytes path,
                               struct atls_url *out, struct atls_err *err)
{
    if (path.len == 0 || path.ptr[0] != '/')
        return refuse(path, "want a path that starts with \"/\"", err);
    return join(base, strlen(base->text), path, out, err);
}

enum atls_code atls_url_resolve(const struct atls_url *base, struct atls_bytes reference,
                                struct atls_url *out, struct atls_err *err)
{
    struct atls_url url;
    const char *slash;
    struct parts p;

    if (reference.len == 0)
        return refuse(reference, "it is empty", err);
    if (reference.ptr[0] == '/')
        return join(base, base->origin_len, reference, out, err);
    slash = strrchr(atls_url_path(base), '/');
    if (memchr(reference.ptr, ':', reference.len) == NULL) {
        if (slash == NULL)
            return refuse(reference, "it is relative to nothing", err);
        return join(base, (size_t)(slash - base->text) + 1, reference, out, err);
    }
    if (split(reference, &p) != NULL || !build(&p, &url))
        return refuse(reference, "it is no URL that could be used", err);
    if (url.origin_len != base->origin_len || memcmp(url.text, base->text, base->origin_len) != 0)
        return refuse(reference, "it is of another origin", err);
    *out = url;
    return ATLS_OK;
}

const char *atls_url_path(const struct atls_url *url)
{
    return url->text + url->origin_len;
}
