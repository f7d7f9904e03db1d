#include "address.h"

#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "text.h"

/* Labels of letters, digits, - and _, between dots; a last dot is fine. */
static bool is_dns_name(const char *s)
{
    size_t label = 0;

    if (s[0] == '\0' || strlen(s) > 253)
        return false;
    for (; *s != '\0'; s++) {
        if (*s == '.') {
            if (label == 0)
                return false;
            label = 0;
        } else if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", *s) ==
                       NULL ||
                   ++label > 63) {
            return false;
        }
    }
    return true;
}

bool address_is_host(const char *text)
{
    struct in6_addr v6;

    return inet_pton(AF_INET6, text, &v6) == 1 || is_dns_name(text);
}

bool address_has_password(const char *uri)
{
    const char *authority = strstr(uri, "://"), *at, *colon;

    if (authority == NULL)
        return false;
    authority += 3;
    at = memchr(authority, '@', strcspn(authority, "/?"));
    colon = at != NULL ? memchr(authority, ':', (size_t)(at - authority)) : NULL;
    return colon != NULL || strstr(uri, "password=") != NULL;
}

static const char *wanted(enum address_use use)
{
    return use == ADDRESS_LISTEN ? "ADDRESS:PORT, unix:PATH or systemd:NAME"
                                 : "HOST:PORT or unix:PATH";
}

static enum atls_code parse_host(struct address *a, enum address_use use, size_t len,
                                 struct atls_err *err)
{
    const char *at = a->text;
    const bool bracket = at[0] == '[' && len > 2 && at[len - 1] == ']';
    struct in_addr v4;
    struct in6_addr v6;

    if (bracket) {
        at++;
        len -= 2;
    }
    if (len == 0 || len >= sizeof a->host)
        return set_error(err, ATLS_E_CONFIG, "address is \"%.60s\", want %s", a->text, wanted(use));
    memcpy(a->host, at, len);
    a->host[len] = '\0';
    a->numeric = true;
    if (!bracket && inet_pton(AF_INET, a->host, &v4) == 1)
        a->loopback = (ntohl(v4.s_addr) >> 24) == 127;
    else if (bracket && inet_pton(AF_INET6, a->host, &v6) == 1)
        a->loopback = memcmp(&v6, &in6addr_loopback, sizeof v6) == 0;
    else if (!bracket && inet_pton(AF_INET6, a->host, &v6) == 1)
        return set_error(err, ATLS_E_CONFIG, "address is \"%.60s\", want [%.50s]:PORT", a->text,
                         a->host);
    else if (use == ADDRESS_LISTEN)
        return set_error(err, ATLS_E_CONFIG, "address is \"%.60s\", want an IP address, not a name",
                         a->text);
    else if (bracket || !is_dns_name(a->host))
        return set_error(err, ATLS_E_CONFIG, "address is \"%.60s\", want an IP address or a name",
                         a->text);
    else
        a->numeric = false;
    return ATLS_OK;
}

/* Decimal, at most 65535. */
static bool parse_port(const char *text, enum address_use use, char out[8])
{
    unsigned value = 0;

    for (const char *at = text; *at != '\0'; at++) {
        if (*at < '0' || *at > '9' || (value = value * 10 + (unsigned)(*at - '0')) > 65535)
            return false;
    }
    if (text[0] == '\0' || (value == 0 && use == ADDRESS_TARGET))
        return false;
    snprintf(out, 8, "%u", value);
    return true;
}

enum atls_code address_parse(const char *text, enum address_use use, struct address *out,
                             struct atls_err *err)
{
    struct address a = {.text = text, .family = ADDRESS_TCP};
    const char *colon = strrchr(text, ':');
    enum atls_code code;

    if (strncmp(text, "unix:", 5) == 0) {
        a.family = ADDRESS_UNIX;
        a.path = text + 5;
        if (a.path[0] != '/' || strlen(a.path) > 107)
            return set_error(err, ATLS_E_CONFIG,
                             "unix socket has no absolute path of at most 107 bytes");
    } else if (strncmp(text, "systemd:", 8) == 0 && use == ADDRESS_LISTEN) {
        a.family = ADDRESS_SYSTEMD;
        a.path = text + 8;
        if (a.path[0] == '\0')
            return set_error(err, ATLS_E_CONFIG,
                             "name of the socket unit's FileDescriptorName is missing");
    } else if (colon == NULL || !parse_port(colon + 1, use, a.port)) {
        return set_error(err, ATLS_E_CONFIG, "address is \"%.60s\", want %s", text, wanted(use));
    } else if ((code = parse_host(&a, use, (size_t)(colon - text), err)) != ATLS_OK) {
        return code;
    }
    *out = a;
    return ATLS_OK;
}

/* IPv4 and names as they are: inet_pton takes no second spelling of the one, and nobody asks
 * whether two of the other mean one host. */
static bool same_host(const char *a, const char *b)
{
    struct in6_addr x, y;

    if (inet_pton(AF_INET6, a, &x) == 1 && inet_pton(AF_INET6, b, &y) == 1)
        return memcmp(&x, &y, sizeof x) == 0;
    return strcmp(a, b) == 0;
}

bool address_same(const struct address *a, const struct address *b)
{
    if (a->family != b->family)
        return false;
    if (a->family != ADDRESS_TCP)
        return strcmp(a->path, b->path) == 0;
    return strcmp(a->port, b->port) == 0 && same_host(a->host, b->host);
}

void address_unmap(struct sockaddr_storage *address)
{
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six;

    if (address->ss_family != AF_INET6)
        return;
    memcpy(&six, address, sizeof six);
    if (!IN6_IS_ADDR_V4MAPPED(&six.sin6_addr))
        return;
    four.sin_port = six.sin6_port;
    memcpy(&four.sin_addr, six.sin6_addr.s6_addr + 12, 4);
    *address = (struct sockaddr_storage){.ss_family = AF_INET};
    memcpy(address, &four, sizeof four);
}
