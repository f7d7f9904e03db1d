#include "prelude.h"

#include "peek.h"
#include "proxy_header.h"
#include "text.h"

/* Whether the ClientHello has to be seen. */
static bool picks(const struct state_door *door)
{
    const struct config_listener *c = door->config;

    return !c->plain && (c->route_count > 1 || c->routes[0]->match_sni.count > 0 ||
                         c->routes[0]->match_alpn.count > 0);
}

/* Who is trusted to say who the client is has to say it. */
static bool takes_header(const struct state_door *door)
{
    return door->config->proxy != NULL && door->config->proxy->in;
}

bool prelude_is_wanted(const struct state_door *door)
{
    return takes_header(door) || picks(door);
}

bool prelude_announces(const struct link_source *source, const struct sockaddr_storage *client)
{
    const struct state_door *door = source->arg;

    return takes_header(door) &&
           config_is_trusted(door->config->proxy, (const struct sockaddr *)client);
}

static enum link_prelude run_header(const struct state_door *door, struct link *link,
                                    struct atls_bytes seen, size_t *out_used, struct atls_err *err)
{
    struct proxy_header header;
    size_t need;

    if (!config_is_trusted(door->config->proxy, (const struct sockaddr *)link_client(link))) {
        (void)set_error(err, ATLS_E_REFUSED, "PROXY header: this client is not among trusted");
        return LINK_PRELUDE_REFUSED;
    }
    if (seen.len == 0)
        return LINK_PRELUDE_MORE;
    if (proxy_header_read(seen, &header, &need, err) != ATLS_OK)
        return LINK_PRELUDE_REFUSED;
    if (header.len == 0)
        return LINK_PRELUDE_MORE;
    if (header.has_addresses &&
        link_set_client(link, &header.source, &header.destination) != LINK_CLOSED)
        return LINK_PRELUDE_LIMITED;
    *out_used = header.len;
    return LINK_PRELUDE_USED;
}

static enum link_prelude pick(const struct state_door *door, struct atls_bytes seen,
                              const struct link_route **out_route, struct atls_err *err)
{
    struct peek hello;

    if (seen.len == 0)
        return LINK_PRELUDE_MORE;
    switch (peek_client_hello(seen, &hello, err)) {
    case PEEK_MORE:
        return LINK_PRELUDE_MORE;
    case PEEK_NOT_TLS:
        (void)set_error(err, ATLS_E_PROTOCOL, "the client does not speak TLS");
        return LINK_PRELUDE_REFUSED;
    case PEEK_BAD:
        return LINK_PRELUDE_REFUSED;
    case PEEK_FOUND:
        break;
    }
    for (size_t i = 0; i < door->config->route_count; i++)
        if (config_route_matches(door->config->routes[i], hello.sni, hello.alpn,
                                 hello.alpn_count)) {
            *out_route = &door->routes[i]->link;
            return LINK_PRELUDE_DONE;
        }
    (void)set_error(err, ATLS_E_REFUSED, "no route is for \"%.100s\" with %zu protocols", hello.sni,
                    hello.alpn_count);
    return LINK_PRELUDE_REFUSED;
}

enum link_prelude prelude_run(const struct link_source *source, struct link *link,
                              struct atls_bytes seen, bool ended, size_t *out_used,
                              const struct link_route **out_route, struct atls_err *err)
{
    const struct state_door *door = source->arg;

    (void)ended; /* the link says so where more is wanted */
    if (takes_header(door) && link_used(link) == 0)
        return run_header(door, link, seen, out_used, err);
    if (picks(door))
        return pick(door, seen, out_route, err);
    *out_route = &door->routes[0]->link;
    return LINK_PRELUDE_DONE;
}
