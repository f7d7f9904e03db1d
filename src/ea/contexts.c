#include "ea/ea.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"

enum atls_code atls_ea_fail_context_used(struct atls_err *err)
{
    return atls_fail_reason(err, ATLS_E_PROTOCOL, ATLS_REASON_CONTEXT_USED,
                            "certificate_request_context was used on this connection before");
}

static enum atls_code id_of(struct atls_bytes bytes, uint8_t out[32], struct atls_err *err)
{
    uint8_t digest[ATLS_HASH_MAX];
    enum atls_code code;

    if ((code = atls_hash_one(ATLS_HASH_SHA256, bytes, digest, err)) == ATLS_OK)
        memcpy(out, digest, 32);
    return code;
}

enum atls_code atls_ea_contexts_find(const struct atls_ea_contexts *c, struct atls_bytes context,
                                     struct atls_ea_context **out, struct atls_err *err)
{
    enum atls_code code;
    uint8_t id[32];

    if ((code = id_of(context, id, err)) != ATLS_OK)
        return code;
    *out = NULL;
    for (size_t i = 0; i < c->count; i++)
        if (memcmp(c->items[i].id, id, sizeof id) == 0)
            *out = &c->items[i];
    return ATLS_OK;
}

/* Room for one more. */
static enum atls_code grow(struct atls_ea_contexts *c, struct atls_err *err)
{
    size_t room = c->room == 0 ? 4 : c->room * 2;
    struct atls_ea_context *fresh;

    if (c->count == ATLS_CONTEXTS_MAX)
        return atls_fail(err, ATLS_E_LIMIT,
                         "connection: %d authenticator contexts were used, no more are taken",
                         ATLS_CONTEXTS_MAX);
    if (c->count < c->room)
        return ATLS_OK;
    if ((fresh = realloc(c->items, room * sizeof *fresh)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "connection: out of memory for its contexts");
    c->items = fresh;
    c->room = room;
    return ATLS_OK;
}

enum atls_code atls_ea_contexts_add(struct atls_ea_contexts *c, struct atls_bytes context,
                                    struct atls_bytes request, enum atls_ea_use use,
                                    struct atls_err *err)
{
    struct atls_ea_context item = {.use = use}, *known;
    enum atls_code code;

    if ((code = atls_ea_contexts_find(c, context, &known, err)) != ATLS_OK)
        return code;
    if (known != NULL)
        return atls_ea_fail_context_used(err);
    if ((code = id_of(context, item.id, err)) != ATLS_OK ||
        (code = id_of(request, item.request, err)) != ATLS_OK || (code = grow(c, err)) != ATLS_OK)
        return code;
    c->items[c->count++] = item;
    return ATLS_OK;
}

enum atls_code atls_ea_contexts_spend(struct atls_ea_contexts *c, struct atls_bytes context,
                                      struct atls_bytes request, enum atls_ea_use use,
                                      struct atls_err *err)
{
    struct atls_ea_context *item;
    enum atls_code code;
    uint8_t id[32];

    if ((code = atls_ea_contexts_find(c, context, &item, err)) != ATLS_OK ||
        (code = id_of(request, id, err)) != ATLS_OK)
        return code;
    if (item != NULL && item->use == use && memcmp(item->request, id, sizeof id) == 0) {
        item->use = ATLS_EA_SPENT;
        return ATLS_OK;
    }
    /* A second request of the peer under one context is the peer's fault, a strange one of ours
     * not. */
    if (item != NULL && (item->use == ATLS_EA_SPENT || use == ATLS_EA_THEIRS))
        return atls_ea_fail_context_used(err);
    return atls_fail(err, ATLS_E_USAGE,
                     "authenticator request: not one that this connection has sent or seen");
}

void atls_ea_contexts_clear(struct atls_ea_contexts *c)
{
    free(c->items);
    memset(c, 0, sizeof *c);
}
