#include "tell.h"

#include <stdlib.h>
#include <string.h>

#include "http.h"
#include "log.h"
#include "peer_claims.h"
#include "proxy_header.h"
#include "state.h"
#include "text.h"

/* ---- in front of the stream ---- */

/* What is known of an attested client; false when nothing can be said of it. */
static bool describe(const struct link_route *route, struct link *link, struct claims *out)
{
    const struct state_route *r = route->arg;
    const struct schema_texts *paths = &r->config->proxy.claims;
    const struct claims_wanted wanted = {paths->at, paths->count, true, true};
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_peer peer;

    if (r->side[LINK_DOWNSTREAM].judge == NULL || !link_peer(link, LINK_DOWNSTREAM, &peer))
        return false;
    if (claims_of(&peer, &wanted, out, &err) == ATLS_OK)
        return true;
    log_say(ATLS_LOG_ERROR, "tell", "route %s: %s", route->name, err.message);
    return false;
}

/* There is a header in any case: without one, the target would take the client's own words for it.
 * Where memory is short it says nothing of attestation. */
size_t tell_head(const struct link_route *route, struct link *link, uint8_t *out, size_t room)
{
    struct proxy_header_attestation attestation;
    struct proxy_header_said said = {
        .source = (const struct sockaddr *)link_client(link),
        .destination = (const struct sockaddr *)link_local(link),
    };
    struct atls_err err = ATLS_ERR_INIT;
    struct claims claims;
    size_t len = 0;

    if (room < PROXY_HEADER_MAX)
        return 0;
    if (describe(route, link, &claims)) {
        attestation = claims_for_header(&claims);
        said.attestation = &attestation;
    }
    if (proxy_header_write(&said, out, &len, &err) == ATLS_OK)
        return len;
    log_say(ATLS_LOG_ERROR, "tell", "route %s: %s", route->name, err.message);
    said = (struct proxy_header_said){.source = NULL};
    return proxy_header_write(&said, out, &len, &err) == ATLS_OK ? len : 0;
}

/* ---- in requests ---- */

struct teller {
    struct link_filter filter;
    const struct link_route *route;
    struct link *link;
    struct http *http;
    bool knows;            /* there are values */
    uint32_t attestations; /* that they are of; 0: of a client that passed without */
};

/* Values of the verdict that counts now. */
static enum atls_code set_values(struct teller *t, struct atls_err *err)
{
    const struct claims_wanted wanted = {NULL, 0, true, true};
    const char *values[CONFIG_HEADERS] = {NULL};
    struct claims claims;
    struct atls_peer peer;
    enum atls_code code;

    if (!link_peer(t->link, LINK_DOWNSTREAM, &peer))
        return set_error(err, ATLS_E_INTERNAL, "nothing is known of the client");
    if (t->knows && peer.attestations == t->attestations)
        return ATLS_OK;
    if ((code = claims_of(&peer, &wanted, &claims, err)) != ATLS_OK)
        return code;
    values[CONFIG_HEADER_VERDICT] = claims.verdict;
    values[CONFIG_HEADER_EVIDENCE_TYPE] = claims.evidence;
    values[CONFIG_HEADER_KEY] = claims.key;
    values[CONFIG_HEADER_INSTANCE] = claims.instance;
    values[CONFIG_HEADER_EAR] = claims.ear;
    for (size_t i = 0; i < CONFIG_HEADERS; i++)
        if (values[i] != NULL && values[i][0] == '\0')
            values[i] = NULL;
    if ((code = http_set(t->http, values, err)) != ATLS_OK)
        return code;
    t->attestations = peer.attestations;
    t->knows = true;
    return ATLS_OK;
}

static bool run(struct link_filter *filter, struct atls_bytes in, bool in_ended, size_t *out_taken,
                uint8_t *out, size_t room, size_t *out_made, struct atls_err *err)
{
    struct teller *t = (struct teller *)filter;
    struct http_io io = {.in = in.ptr, .in_len = in.len, .out = out, .size = room};

    if (set_values(t, err) != ATLS_OK)
        return false;
    switch (http_filter(t->http, &io, err)) {
    case HTTP_REFUSED:
        return false;
    case HTTP_TUNNEL: /* the rest as it is */
        if (in.len - io.used > 0 && room - io.len > 0) {
            const size_t left = in.len - io.used, space = room - io.len;
            const size_t len = left < space ? left : space;

            memcpy(out + io.len, in.ptr + io.used, len);
            io.used += len;
            io.len += len;
        }
        break;
    case HTTP_ON:
    case HTTP_HELD:
        break;
    }
    *out_taken = io.used;
    *out_made = io.len;
    if (in_ended && io.used == in.len && io.len == 0 && !http_is_between(t->http)) {
        (void)set_error(err, ATLS_E_PROTOCOL, "HTTP: the client ended within a request");
        return false;
    }
    return true;
}

static bool learn(struct link_filter *filter)
{
    struct atls_err err = ATLS_ERR_INIT;

    return set_values((struct teller *)filter, &err) == ATLS_OK; /* or run says what is wrong */
}

static void back(struct link_filter *filter, struct atls_bytes bytes)
{
    http_response(((struct teller *)filter)->http, bytes);
}

static struct atls_bytes answer(struct link_filter *filter)
{
    return http_answer(http_status(((struct teller *)filter)->http));
}

static void teller_free(struct link_filter *filter)
{
    http_free(((struct teller *)filter)->http);
    free(filter);
}

struct atls_bytes tell_undialled(const struct link_route *route)
{
    (void)route;
    return http_answer(502);
}

struct link_filter *tell_filter(const struct link_route *route, struct link *link)
{
    const struct state_route *r = route->arg;
    const struct http_options options = {r->config->headers, CONFIG_HEADERS, true};
    struct teller *t = calloc(1, sizeof *t);

    if (t == NULL)
        return NULL;
    t->filter = (struct link_filter){
        .run = run, .learn = learn, .back = back, .answer = answer, .free = teller_free};
    t->route = route;
    t->link = link;
    if (http_new(&options, &t->http, NULL) != ATLS_OK) {
        free(t);
        return NULL;
    }
    return &t->filter;
}
