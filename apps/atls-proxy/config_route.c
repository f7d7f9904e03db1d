/* Routes, and the listeners that they share. */
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "config_read.h"
#include "peer_claims.h"
#include "text.h"

/* ---- PROXY protocol ---- */

/* IPv4 is kept as mapped to IPv6 (RFC 4291 section 2.5.5.2). */
static void map_v4(const struct in_addr *v4, uint8_t out[16])
{
    memset(out, 0, 10);
    out[10] = out[11] = 0xff;
    memcpy(out + 12, v4, 4);
}

static bool parse_bits(const char *text, unsigned max, unsigned *out)
{
    unsigned value = 0;

    if (text[0] == '\0' || strlen(text) > 3 || strspn(text, "0123456789") != strlen(text))
        return false;
    for (; *text != '\0'; text++)
        value = value * 10 + (unsigned)(*text - '0');
    *out = value;
    return value <= max;
}

/* ADDRESS[/BITS], without any bit behind those. */
static bool parse_network(const char *text, struct config_network *out)
{
    const char *slash = strchr(text, '/');
    size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
    char host[64];
    struct in_addr v4;
    unsigned max = 128, offset = 0;

    if (len >= sizeof host)
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    if (inet_pton(AF_INET, host, &v4) == 1) {
        map_v4(&v4, out->address);
        max = 32;
        offset = 96;
    } else if (inet_pton(AF_INET6, host, out->address) != 1) {
        return false;
    }
    out->bits = max;
    if (slash != NULL && !parse_bits(slash + 1, max, &out->bits))
        return false;
    out->bits += offset;
    for (unsigned i = out->bits; i < 128; i++)
        if ((out->address[i / 8] & 0x80u >> i % 8) != 0)
            return false;
    return out->bits > offset; /* not everybody */
}

static enum atls_code read_trusted(struct schema *s, const struct tree_node *node, void *into)
{
    struct config_proxy_header *p = into;
    enum atls_code code = schema_list(s, node, CONFIG_NETWORKS_MAX);

    for (const struct tree_node *n = node->child; code == ATLS_OK && n != NULL; n = n->next)
        if (n->kind != TREE_TEXT || !parse_network(n->text, &p->trusted[p->trusted_count++]))
            return schema_at(s, n->line,
                             "trusted is a list of ADDRESS or ADDRESS/BITS, BITS from 1 and no "
                             "bit behind them set");
    return code;
}

static enum atls_code read_proxy(struct schema *s, const struct tree_node *node, void *into)
{
    static const struct schema_field fields[] = {
        SCHEMA_FLAG("in", struct config_proxy_header, in),
        SCHEMA_FLAG("out", struct config_proxy_header, out),
        SCHEMA_OTHER("trusted", false, read_trusted),
        SCHEMA_TEXTS("claims", struct config_proxy_header, claims, 255),
        SCHEMA_END,
    };
    struct config_proxy_header *p = &((struct config_route *)into)->proxy;
    const char *wrong;
    enum atls_code code;

    p->line = node->line;
    if ((code = schema_map(s, node, fields, p)) != ATLS_OK)
        return code;
    if (!p->in && !p->out)
        return schema_at(s, node->line, "proxy-protocol has neither in: true nor out: true");
    if (p->trusted_count > 0 && !p->in)
        return schema_at(s, node->line, "trusted sources are for in: true");
    if (p->claims.count > 0 && !p->out)
        return schema_at(s, node->line, "claims are for out: true");
    if ((wrong = claims_wrong_with(p->claims.at, p->claims.count)) != NULL)
        return schema_at(s, node->line, "%s", wrong);
    return ATLS_OK;
}

bool config_is_trusted(const struct config_proxy_header *proxy, const struct sockaddr *address)
{
    uint8_t ip[16];

    if (address->sa_family == AF_UNIX)
        return true;
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;

        memcpy(&in, address, sizeof in);
        map_v4(&in.sin_addr, ip);
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;

        memcpy(&in6, address, sizeof in6);
        memcpy(ip, &in6.sin6_addr, sizeof ip);
    } else {
        return false;
    }
    for (size_t i = 0; i < proxy->trusted_count; i++) {
        const struct config_network *n = &proxy->trusted[i];
        unsigned bit = 0;

        while (bit < n->bits && ((ip[bit / 8] ^ n->address[bit / 8]) & 0x80u >> bit % 8) == 0)
            bit++;
        if (bit == n->bits)
            return true;
    }
    return false;
}

/* ---- HTTP headers ---- */

/* A token (RFC 9110 section 5.6.2). */
static bool is_token(const char *s)
{
    size_t len = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                           "!#$%&'*+-.^_`|~");

    return len > 0 && len <= 64 && s[len] == '\0';
}

/* Programs behind may take capitals for small letters, and all other signs for each other. */
static char fold(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '-';
}

static bool same_header(const char *a, const char *b)
{
    for (; *a != '\0' && *b != '\0'; a++, b++)
        if (fold(*a) != fold(*b))
            return false;
    return *a == *b;
}

/* Headers that say how a message is framed, or where it goes. */
static const char *const reserved_headers[] = {
    "Host",    "Connection", "Content-Length",   "Transfer-Encoding", "TE",       "Trailer",
    "Upgrade", "Expect",     "Proxy-Connection", "Keep-Alive",        "Cookie",   "Authorization",
    "Range",   "Date",       "Content-Type",     "Content-Encoding",  "Forwarded"};

static enum atls_code check_header(struct schema *s, const struct tree_node *node)
{
    if (!is_token(node->text))
        return schema_at(s, node->line, "\"%.64s\" is no name of an HTTP header", node->text);
    for (size_t i = 0; i < sizeof reserved_headers / sizeof reserved_headers[0]; i++)
        if (same_header(node->text, reserved_headers[i]))
            return schema_at(s, node->line, "header %s has a meaning of its own",
                             reserved_headers[i]);
    return ATLS_OK;
}

static enum atls_code read_headers(struct schema *s, const struct tree_node *node, void *into)
{
    struct config_route *route = into;
    struct names {
        const char *at[CONFIG_HEADERS];
    } names = {{NULL}};
    static const struct schema_field fields[] = {
        SCHEMA_TEXT("verdict", struct names, at[CONFIG_HEADER_VERDICT]),
        SCHEMA_TEXT("evidence-type", struct names, at[CONFIG_HEADER_EVIDENCE_TYPE]),
        SCHEMA_TEXT("key-sha256", struct names, at[CONFIG_HEADER_KEY]),
        SCHEMA_TEXT("instance", struct names, at[CONFIG_HEADER_INSTANCE]),
        SCHEMA_TEXT("ear-sha256", struct names, at[CONFIG_HEADER_EAR]),
        SCHEMA_END,
    };
    enum atls_code code = schema_map(s, node, fields, &names);

    if (code == ATLS_OK && node->child == NULL)
        return schema_at(s, node->line, "http-headers names no header");
    for (const struct tree_node *n = node->child; code == ATLS_OK && n != NULL; n = n->next) {
        for (const struct tree_node *o = node->child; o != n; o = o->next)
            if (same_header(o->text, n->text))
                return schema_at(s, n->line, "header %.64s is given twice", n->text);
        code = check_header(s, n);
    }
    if (code == ATLS_OK)
        memcpy(route->headers, names.at, sizeof names.at);
    route->has_headers = true;
    return code;
}

/* ---- match ---- */

/* A name of DNS in lower case; in front a star may stand for a label. */
static bool is_pattern(const char *text)
{
    if (strncmp(text, "*.", 2) == 0)
        text += 2;
    for (const char *at = text; *at != '\0'; at++)
        if ((*at >= 'A' && *at <= 'Z') || *at == ':')
            return false;
    return address_is_host(text);
}

static enum atls_code read_match(struct schema *s, const struct tree_node *node, void *into)
{
    static const struct schema_field fields[] = {
        SCHEMA_TEXTS("sni", struct config_route, match_sni, 253),
        SCHEMA_TEXTS("alpn", struct config_route, match_alpn, 255),
        SCHEMA_END,
    };
    struct config_route *route = into;
    enum atls_code code = schema_map(s, node, fields, route);

    if (code == ATLS_OK && node->child == NULL)
        return schema_at(s, node->line, "match has neither sni nor alpn");
    for (size_t i = 0; code == ATLS_OK && i < route->match_sni.count; i++)
        if (!is_pattern(route->match_sni.at[i]))
            return schema_at(s, schema_find(node, "sni")->line,
                             "sni is \"%.60s\", want a name in lower case or *.NAME",
                             route->match_sni.at[i]);
    return code;
}

static bool sni_matches(const char *pattern, const char *name)
{
    const char *dot;

    if (pattern[0] != '*')
        return strcmp(pattern, name) == 0;
    dot = strchr(name, '.');
    return dot != NULL && dot != name && strcmp(pattern + 1, dot) == 0;
}

static bool has_text(const struct schema_texts *list, const char *text)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->at[i], text) == 0)
            return true;
    return false;
}

/* Behind the label of a nonce: 52 letters of base32 (docs/pre.md). */
static const char *without_nonce(const struct config_side *side, const char *sni)
{
    const size_t len = strspn(sni, "abcdefghijklmnopqrstuvwxyz234567");

    return side->freshness == ATLS_FRESHNESS_NONCE && len == 52 && sni[len] == '.' ? sni + len + 1
                                                                                   : sni;
}

bool config_route_matches(const struct config_route *route, const char *sni,
                          const char *const *alpn, size_t alpn_count)
{
    bool name = route->match_sni.count == 0, protocol = route->match_alpn.count == 0;

    sni = without_nonce(&route->downstream, sni);
    for (size_t i = 0; !name && i < route->match_sni.count; i++)
        name = sni_matches(route->match_sni.at[i], sni);
    for (size_t i = 0; !protocol && i < alpn_count; i++)
        protocol = has_text(&route->match_alpn, alpn[i]);
    return name && protocol;
}

/* Whether nothing is left for b behind a. */
static bool covers(const struct config_route *a, const struct config_route *b)
{
    if ((a->match_sni.count > 0 && b->match_sni.count == 0) ||
        (a->match_alpn.count > 0 && b->match_alpn.count == 0))
        return false;
    for (size_t i = 0; i < b->match_sni.count; i++) {
        bool found = a->match_sni.count == 0 || has_text(&a->match_sni, b->match_sni.at[i]);

        for (size_t k = 0; !found && k < a->match_sni.count; k++)
            found = sni_matches(a->match_sni.at[k], b->match_sni.at[i]);
        if (!found)
            return false;
    }
    for (size_t i = 0; i < b->match_alpn.count; i++)
        if (a->match_alpn.count > 0 && !has_text(&a->match_alpn, b->match_alpn.at[i]))
            return false;
    return true;
}

/* ---- listeners ---- */

static enum atls_code check_listener(struct schema *s, const struct config_listener *l,
                                     const struct config_proxy_header *proxy)
{
    const enum address_family family = l->at.address.family;
    const bool local = family == ADDRESS_UNIX || l->at.address.loopback;

    if (l->at.mode >= 0 && family != ADDRESS_UNIX)
        return schema_at(s, l->line, "mode is for unix sockets");
    if (l->plain && !l->insecure && !local)
        return schema_at(s, l->line,
                         "plain connections from beyond this host, which would speak in its name: "
                         "use the loopback or a unix socket, or say insecure: true");
    if (l->insecure && (!l->plain || local))
        return schema_at(s, l->line, "insecure: true of a listener, where nothing asks for it");
    if (proxy != NULL && proxy->in && proxy->trusted_count == 0 && family != ADDRESS_UNIX)
        return schema_at(s, proxy->line,
                         "in: true without trusted: anybody could claim to be another");
    return ATLS_OK;
}

/* Room for one more, zeroed. */
static struct config_listener *add_listener(struct config *c)
{
    struct config_listener *larger =
        realloc(c->listeners, (c->listener_count + 1) * sizeof *c->listeners);

    if (larger == NULL)
        return NULL;
    c->listeners = larger;
    larger[c->listener_count] = (struct config_listener){.line = 0};
    return &larger[c->listener_count++];
}

/* Port 0 is another one each time. */
static bool picks_port(const struct address *address)
{
    return address->family == ADDRESS_TCP && strcmp(address->port, "0") == 0;
}

/* How many listeners of this address there are. */
static unsigned count_listeners(const struct config *c, const struct address *address)
{
    unsigned count = 0;

    for (size_t i = 0; i < c->listener_count; i++)
        if (address_same(&c->listeners[i].at.address, address))
            count++;
    return count;
}

static struct config_listener *find_listener(struct config *c, const struct address *address)
{
    for (size_t i = 0; i < c->listener_count && !picks_port(address); i++)
        if (address_same(&c->listeners[i].at.address, address))
            return &c->listeners[i];
    return NULL;
}

static bool same_sources(const struct config_proxy_header *a, const struct config_proxy_header *b)
{
    return a->in == b->in && a->trusted_count == b->trusted_count &&
           memcmp(a->trusted, b->trusted, sizeof a->trusted) == 0;
}

/* A further route at a listener. */
static enum atls_code share_listener(struct schema *s, const struct config_listener *known,
                                     const struct config_listener *l,
                                     const struct config_route *route)
{
    const char *address = l->at.address.text;

    for (size_t i = 0; i < known->route_count; i++)
        if (known->routes[i] == route)
            return schema_at(s, l->line, "address %.60s is given twice", address);
    if (known->plain || l->plain)
        return schema_at(s, l->line,
                         "%.60s is also that of route %.40s: plain connections cannot be told "
                         "apart",
                         address, known->routes[0]->name);
    if (known->at.mode != l->at.mode)
        return schema_at(s, l->line, "%.60s has another mode in route %.40s", address,
                         known->routes[0]->name);
    if (!same_sources(known->proxy, &route->proxy))
        return schema_at(s, l->line,
                         "%.60s has another proxy-protocol in or trusted in route %.40s", address,
                         known->routes[0]->name);
    for (size_t i = 0; i < known->route_count; i++)
        if (covers(known->routes[i], route))
            return schema_at(s, l->line,
                             "route %.40s gets nothing at %.60s: the match of route %.40s, which "
                             "stands before it, takes all of it",
                             route->name, address, known->routes[i]->name);
    if (known->route_count == CONFIG_SHARE_MAX)
        return schema_at(s, l->line, "%.60s has more than %d routes", address, CONFIG_SHARE_MAX);
    return ATLS_OK;
}

struct written_listener {
    const char *address;
    struct config_listener l;
};

/* As a text, or as a mapping with what else there is to say. */
static enum atls_code read_listener(struct schema *s, const struct tree_node *node,
                                    struct written_listener *w)
{
    static const struct schema_field fields[] = {
        SCHEMA_NEEDED("address", struct written_listener, address),
        SCHEMA_AMOUNT("mode", SCHEMA_KIND_OCTAL, struct written_listener, l.at.mode, 0, 0777),
        SCHEMA_FLAG("insecure", struct written_listener, l.insecure),
        SCHEMA_END,
    };
    struct atls_err why = ATLS_ERR_INIT;
    enum atls_code code;

    w->l.line = node->line;
    w->l.at.mode = -1;
    if (node->kind == TREE_TEXT)
        w->address = node->text;
    else if ((code = schema_map(s, node, fields, w)) != ATLS_OK)
        return code;
    if (address_parse(w->address, ADDRESS_LISTEN, &w->l.at.address, &why) != ATLS_OK)
        return schema_at(s, node->line, "%s", why.message);
    return ATLS_OK;
}

static enum atls_code take_listener(struct schema *s, const struct tree_node *node,
                                    const struct config_route *route)
{
    struct config *c = s->config;
    struct written_listener w = {.address = NULL};
    struct config_listener *known;
    enum atls_code code;

    if ((code = read_listener(s, node, &w)) != ATLS_OK)
        return code;
    w.l.plain = route->mode == CONFIG_ORIGINATE;
    w.l.proxy = &route->proxy;
    if ((code = check_listener(s, &w.l, &route->proxy)) != ATLS_OK)
        return code;
    if (picks_port(&w.l.at.address))
        w.l.at.nth = count_listeners(c, &w.l.at.address);
    else if (c->operation.line > 0 && address_same(&c->operation.at.address, &w.l.at.address))
        return schema_at(s, w.l.line, "%.60s is also that of operation", w.address);
    known = find_listener(c, &w.l.at.address);
    if (known != NULL && (code = share_listener(s, known, &w.l, route)) != ATLS_OK)
        return code;
    if (known == NULL) {
        if (c->listener_count == CONFIG_LISTENERS_MAX)
            return schema_at(s, w.l.line, "more than %d listeners", CONFIG_LISTENERS_MAX);
        if ((known = add_listener(c)) == NULL)
            return set_error(s->err, ATLS_E_NOMEM, "configuration: out of memory");
        *known = w.l;
    }
    known->routes[known->route_count++] = route;
    return ATLS_OK;
}

static enum atls_code read_listen(struct schema *s, const struct tree_node *node,
                                  const struct config_route *route)
{
    enum atls_code code = schema_list(s, node, CONFIG_SHARE_MAX);

    for (const struct tree_node *n = node->child; code == ATLS_OK && n != NULL; n = n->next)
        code = take_listener(s, n, route);
    return code;
}

enum atls_code config_read_operation(struct schema *s, const struct tree_node *node, void *into)
{
    static const struct schema_field fields[] = {
        SCHEMA_NEEDED("listen", struct written_listener, address),
        SCHEMA_AMOUNT("mode", SCHEMA_KIND_OCTAL, struct written_listener, l.at.mode, 0, 0777),
        SCHEMA_FLAG("insecure", struct written_listener, l.insecure),
        SCHEMA_END,
    };
    struct config_operation *o = &((struct config *)into)->operation;
    struct written_listener w = {.l = {.line = node->line, .at = {.mode = -1}, .plain = true}};
    struct atls_err why = ATLS_ERR_INIT;
    enum atls_code code = schema_map(s, node, fields, &w);

    if (code != ATLS_OK)
        return code;
    if (address_parse(w.address, ADDRESS_LISTEN, &w.l.at.address, &why) != ATLS_OK)
        return schema_at(s, node->line, "%s", why.message);
    if ((code = check_listener(s, &w.l, NULL)) != ATLS_OK)
        return code;
    if (picks_port(&w.l.at.address))
        w.l.at.nth = CONFIG_LISTENERS_MAX; /* apart from those of routes */
    *o = (struct config_operation){node->line, w.l.at, w.l.insecure};
    return ATLS_OK;
}

/* ---- routes ---- */

static bool is_local(const struct address *a)
{
    return a->family == ADDRESS_UNIX || a->loopback || strcmp(a->host, "localhost") == 0;
}

static enum atls_code keep_node(struct schema *s, const struct tree_node *node, void *into)
{
    (void)s;
    (void)node;
    (void)into;
    return ATLS_OK;
}

static enum atls_code read_route_limits(struct schema *s, const struct tree_node *node, void *into)
{
    static const struct schema_field fields[] = {
        SCHEMA_AMOUNT("connections", SCHEMA_KIND_NUMBER, struct config_route, connections, 1,
                      1000000),
        SCHEMA_AMOUNT("handshake-timeout", SCHEMA_KIND_TIME, struct config_route,
                      deadlines.handshake_timeout_s, 1, 600),
        SCHEMA_AMOUNT("gate-timeout", SCHEMA_KIND_TIME, struct config_route,
                      deadlines.gate_timeout_s, 1, 600),
        SCHEMA_AMOUNT("dial-timeout", SCHEMA_KIND_TIME, struct config_route,
                      deadlines.dial_timeout_s, 1, 600),
        SCHEMA_AMOUNT("idle-timeout", SCHEMA_KIND_TIME, struct config_route,
                      deadlines.idle_timeout_s, 1, 30 * 86400),
        SCHEMA_AMOUNT("bytes-before-gate", SCHEMA_KIND_SIZE, struct config_route,
                      deadlines.bytes_before_gate, 65536, 16 * 1024 * 1024),
        SCHEMA_END,
    };

    return schema_map(s, node, fields, into);
}

/* Sides that the mode asks for, and no others. */
static enum atls_code read_sides(struct schema *s, const struct tree_node *node,
                                 struct config_route *route)
{
    static const char *const modes[] = {"terminate", "originate", "both"};
    const struct tree_node *down = schema_find(node, "downstream");
    const struct tree_node *up = schema_find(node, "upstream");
    const bool wants_down = route->mode != CONFIG_ORIGINATE;
    const bool wants_up = route->mode != CONFIG_TERMINATE;
    enum atls_code code;

    if ((down != NULL) != wants_down)
        return schema_at(s, down != NULL ? down->line : node->line,
                         wants_down ? "mode %s without downstream: nobody would be attested"
                                    : "mode %s with downstream, which is plain there",
                         modes[route->mode]);
    if ((up != NULL) != wants_up)
        return schema_at(s, up != NULL ? up->line : node->line,
                         wants_up ? "mode %s without upstream: nobody would be attested"
                                  : "mode %s with upstream, which is plain there",
                         modes[route->mode]);
    if (wants_down && (code = config_read_side(s, down, &route->downstream, NULL)) != ATLS_OK)
        return code;
    return wants_up ? config_read_side(s, up, &route->upstream, &route->target) : ATLS_OK;
}

static enum atls_code check_target(struct schema *s, const struct tree_node *node,
                                   const struct config_route *route)
{
    const struct address *a = &route->target;
    const bool insecure = route->insecure_target;

    if (route->mode == CONFIG_TERMINATE && !insecure && !is_local(a))
        return schema_at(s, schema_find(node, "target")->line,
                         "plain connections to a target beyond this host: mode both attests it, "
                         "insecure-target: true does without");
    if (insecure && (route->mode != CONFIG_TERMINATE || is_local(a)))
        return schema_at(s, schema_find(node, "insecure-target")->line,
                         "insecure-target: true, where nothing asks for it");
    return ATLS_OK;
}

static enum atls_code check_headers(struct schema *s, const struct tree_node *node,
                                    const struct config_route *route)
{
    const struct tree_node *headers = schema_find(node, "http-headers");
    const struct schema_texts *alpn = &route->downstream.alpn;

    if (headers == NULL)
        return ATLS_OK;
    if (route->mode != CONFIG_TERMINATE)
        return schema_at(s, headers->line, "http-headers are for mode terminate");
    if (route->downstream.require.line == 0)
        return schema_at(s, headers->line,
                         "http-headers tell of a client that was attested, and require is none");
    for (size_t i = 0; i < alpn->count; i++)
        if (strcmp(alpn->at[i], "http/1.1") != 0 && strcmp(alpn->at[i], "http/1.0") != 0)
            return schema_at(s, headers->line,
                             "http-headers are for HTTP/1.1, and alpn has \"%.40s\"", alpn->at[i]);
    return ATLS_OK;
}

static enum atls_code check_route(struct schema *s, const struct tree_node *node,
                                  const struct config_route *route)
{
    const struct config *c = s->config;
    const struct tree_node *match = schema_find(node, "match");

    if (!schema_is_name(route->name))
        return schema_at(s, schema_find(node, "name")->line,
                         "name is \"%.40s\", want a-z, 0-9, - and _", route->name);
    for (const struct config_route *o = c->routes; o < route; o++)
        if (strcmp(o->name, route->name) == 0)
            return schema_at(s, schema_find(node, "name")->line, "route %.40s is given twice",
                             route->name);
    if (match != NULL && route->mode == CONFIG_ORIGINATE)
        return schema_at(s, match->line,
                         "match is of a ClientHello, and mode originate takes plain connections");
    if (route->proxy.claims.count > 0 && route->downstream.require.line == 0)
        return schema_at(s, route->proxy.line,
                         "claims are those of a client that was attested, and none is");
    return check_headers(s, node, route);
}

static const char *const mode_words[] = {"terminate", "originate", "both", NULL};

static enum atls_code read_route(struct schema *s, const struct tree_node *node,
                                 struct config_route *route)
{
    static const struct schema_field fields[] = {
        SCHEMA_NEEDED("name", struct config_route, name),
        SCHEMA_OTHER("listen", true, keep_node),
        SCHEMA_CHOICE("mode", struct config_route, mode, mode_words),
        SCHEMA_NEEDED("target", struct config_route, target.text),
        SCHEMA_FLAG("insecure-target", struct config_route, insecure_target),
        SCHEMA_OTHER("match", false, read_match),
        SCHEMA_OTHER("downstream", false, keep_node),
        SCHEMA_OTHER("upstream", false, keep_node),
        SCHEMA_OTHER("proxy-protocol", false, read_proxy),
        SCHEMA_OTHER("http-headers", false, read_headers),
        SCHEMA_OTHER("limits", false, read_route_limits),
        SCHEMA_END,
    };
    struct atls_err why = ATLS_ERR_INIT;
    enum atls_code code;

    route->line = node->line;
    if ((code = schema_map(s, node, fields, route)) != ATLS_OK)
        return code;
    if (schema_find(node, "mode") == NULL)
        return schema_at(s, node->line, "mode is missing: terminate, originate or both");
    if (address_parse(route->target.text, ADDRESS_TARGET, &route->target, &why) != ATLS_OK)
        return schema_at(s, schema_find(node, "target")->line, "%s", why.message);
    if ((code = check_target(s, node, route)) != ATLS_OK ||
        (code = read_sides(s, node, route)) != ATLS_OK ||
        (code = check_route(s, node, route)) != ATLS_OK)
        return code;
    return read_listen(s, schema_find(node, "listen"), route);
}

enum atls_code config_read_routes(struct schema *s, const struct tree_node *node)
{
    struct config *c = s->config;
    enum atls_code code = schema_list(s, node, CONFIG_ROUTES_MAX);
    size_t count = 0;

    if (code != ATLS_OK)
        return code;
    for (const struct tree_node *n = node->child; n != NULL; n = n->next)
        count++;
    if ((c->routes = calloc(count, sizeof *c->routes)) == NULL)
        return set_error(s->err, ATLS_E_NOMEM, "configuration: out of memory");
    for (const struct tree_node *n = node->child; code == ATLS_OK && n != NULL; n = n->next) {
        struct config_route *route = &c->routes[c->route_count++];

        route->connections = c->limits.connections;
        route->deadlines = c->limits.deadlines;
        code = read_route(s, n, route);
    }
    return code;
}
