/* The configuration file. What is taken has what the daemon relies on; what is refused says where.
 */
#include <stdlib.h>
#include <string.h>

#include "config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_provisioning(const struct config_provisioning *p)
{
    if (p->line == 0)
        return;
    if (p->token_count + p->client_count == 0 || p->token_count > CONFIG_CLIENTS_MAX ||
        (p->anchor_count == 0 && p->signer_key == NULL && !p->allow_unsigned))
        abort();
}

static void check_config(const struct config *c)
{
    if (c->listener_count == 0 || c->listener_count > CONFIG_LISTENERS_MAX ||
        c->tenant_count == 0 || c->tenant_count > CONFIG_TENANTS_MAX)
        abort();
    for (size_t i = 0; i < c->listener_count; i++) {
        const struct config_listener *l = &c->listeners[i];

        if ((l->certificate == NULL) != (l->key == NULL))
            abort();
        if (l->certificate == NULL && l->listen.address.family == ADDRESS_TCP &&
            !l->listen.address.loopback && !l->insecure)
            abort();
    }
    for (size_t i = 0; i < c->tenant_count; i++) {
        if (c->tenants[i].name == NULL || c->tenants[i].store == NULL ||
            c->tenants[i].nonce_size < 8 || c->tenants[i].nonce_size > 64)
            abort();
        check_provisioning(&c->tenants[i].provisioning);
    }
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
