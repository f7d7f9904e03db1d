/* The configuration file. What is taken has what the proxy relies on; what is refused says where.
 */
#include <stdlib.h>
#include <string.h>

#include "config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void want(bool yes)
{
    if (!yes)
        abort();
}

static void check_side(const struct config_side *side, bool server)
{
    const struct config_require *q = &side->require;
    bool key = side->tls.certificate != NULL || side->tls.ephemeral;
    bool attested = side->flavour != ATLS_FLAVOUR_POST && side->attester != NULL;

    want(side->attester != NULL || q->line > 0);
    want((q->line > 0) == (q->verifier != NULL));
    want((q->line > 0) == (q->identity != ATLS_IDENTITY_NONE));
    want((side->flavour == ATLS_FLAVOUR_PRE) == (side->freshness != ATLS_FRESHNESS_UNSAID));
    want(side->flavour == ATLS_FLAVOUR_POST || !side->raw);
    want(!side->raw || (side->reattest_interval_s == 0 && side->on_failure == 0));
    want((side->tls.certificate == NULL) == (side->tls.key == NULL));
    want(!attested || !key);
    want(!server || key || attested);
    want(server || !side->tls.ephemeral);
    if (!server && side->tls.name == NULL)
        want(q->identity == ATLS_IDENTITY_ATTESTED);
    if (q->identity == ATLS_IDENTITY_ATTESTED)
        want(side->tls.ca == NULL && side->tls.crl == NULL);
    for (size_t i = 0; i < q->evidence_types.count; i++)
        want(strcmp(q->evidence_types.at[i], "soft") != 0 || q->verifier->insecure);
}

static void check_route(const struct config_route *r)
{
    want((r->downstream.line > 0) == (r->mode != CONFIG_ORIGINATE));
    want((r->upstream.line > 0) == (r->mode != CONFIG_TERMINATE));
    if (r->mode != CONFIG_ORIGINATE)
        check_side(&r->downstream, true);
    if (r->mode != CONFIG_TERMINATE)
        check_side(&r->upstream, false);
    want(!r->has_headers || r->downstream.require.line > 0);
    want(r->proxy.claims.count == 0 || (r->proxy.out && r->downstream.require.line > 0));
    want(r->connections > 0 && r->deadlines.idle_timeout_s > 0 && r->deadlines.gate_timeout_s > 0);
}

static void check_listener(const struct config_listener *l)
{
    bool local = l->at.address.family == ADDRESS_UNIX || l->at.address.loopback;

    want(l->route_count > 0 && l->route_count <= CONFIG_SHARE_MAX);
    want(!l->plain || local || l->insecure);
    want(!l->plain || l->route_count == 1);
    want(!l->proxy->in || l->proxy->trusted_count > 0 || l->at.address.family == ADDRESS_UNIX);
    for (size_t i = 0; i < l->route_count; i++)
        (void)config_route_matches(l->routes[i], "a.example", NULL, 0);
}

static void check_config(const struct config *c)
{
    want(c->route_count > 0 && c->listener_count > 0 && c->jobs > 0 && c->limits.rate > 0);
    for (size_t i = 0; i < c->attester_count; i++)
        want(c->attesters[i].insecure == (strncmp(c->attesters[i].uri, "soft:", 5) == 0));
    for (size_t i = 0; i < c->route_count; i++)
        check_route(&c->routes[i]);
    for (size_t i = 0; i < c->listener_count; i++)
        check_listener(&c->listeners[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct config *config = NULL;
    enum atls_code code = config_parse("f", atls_bytes_of(data, size), &config, &err);

    if (code == ATLS_OK)
        check_config(config);
    else if (code != ATLS_E_NOMEM && (code != ATLS_E_CONFIG || strncmp(err.message, "f:", 2) != 0))
        abort();
    config_free(config);
    return 0;
}
