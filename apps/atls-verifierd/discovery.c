/* What a client asks before it trusts or talks: keys, media types, endpoints. */
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "request.h"

static void cache_for(struct request *r, struct reply *reply)
{
    reply_header(reply, "Cache-Control", "public, max-age=%lld",
                 (long long)r->generation->config->discovery_max_age_s);
}

/* The key set of the tenant as text, the key that signs now first; false after an answer. */
static bool get_keys(struct request *r, struct reply *reply, struct atls_buf *out)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_store *store;

    if (!need_store(r, reply, &store))
        return false;
    if (atls_store_signing_keys_jwks(store, now_wall_s(), out, &err) == ATLS_OK)
        return true;
    reply_error(r, reply, &err);
    return false;
}

void discovery_keys(struct request *r, struct reply *reply)
{
    struct atls_buf keys = ATLS_BUF_INIT;

    if (!get_keys(r, reply, &keys))
        return;
    reply_start(reply, 200, "application/jwk-set+json");
    cache_for(r, reply);
    text_add(&reply->body, (const char *)keys.ptr, keys.len);
    atls_buf_clear(&keys);
}

static void write_head(struct request *r, struct reply *reply)
{
    reply_start(reply, 200, MEDIA_DISCOVERY);
    cache_for(r, reply);
    text_open(&reply->body, '{');
    text_member(&reply->body, "version", ATLS_VERSION);
    text_member(&reply->body, "service-state",
                atomic_load(&r->service->draining) ? "TERMINATING"
                : atomic_load(&r->tenant->ready)   ? "READY"
                                                   : "INITIALIZING");
}

static void write_endpoint(struct request *r, struct reply *reply, const char *name,
                           const char *path)
{
    char full[256];

    snprintf(full, sizeof full, "%s%s", r->tenant->config->prefix, path);
    text_key(&reply->body, "api-endpoints");
    text_open(&reply->body, '{');
    text_member(&reply->body, name, full);
    text_close(&reply->body, '}');
}

static void write_keys(struct text *out, struct atls_bytes text)
{
    json_t *set = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    json_t *first = json_array_get(json_object_get(set, "keys"), 0);
    char *key = first != NULL ? json_dumps(first, JSON_COMPACT) : NULL;
    char *all = set != NULL ? json_dumps(set, JSON_COMPACT) : NULL;

    if (key != NULL) {
        text_key(out, "ear-verification-key");
        text_raw(out, key);
    }
    if (all != NULL) {
        text_key(out, "ear-verification-keys");
        text_raw(out, all);
    }
    free(key);
    free(all);
    json_decref(set);
}

void discovery_verification(struct request *r, struct reply *reply)
{
    struct atls_buf keys = ATLS_BUF_INIT;

    if (!get_keys(r, reply, &keys))
        return;
    write_head(r, reply);
    write_keys(&reply->body, atls_buf_bytes(&keys));
    atls_buf_clear(&keys);
    text_key(&reply->body, "media-types");
    text_raw(&reply->body, tenant_accept(r->tenant));
    write_endpoint(r, reply, "newChallengeResponseSession", "/challenge-response/v1/newSession");
    text_close(&reply->body, '}');
}

void discovery_provisioning(struct request *r, struct reply *reply)
{
    const struct config_provisioning *p = &r->tenant->config->provisioning;

    if (p->line == 0) {
        reply_problem(r, reply, 404, "provisioning over HTTP is off for this tenant");
        return;
    }
    write_head(r, reply);
    text_key(&reply->body, "media-types");
    text_open(&reply->body, '[');
    if (p->anchor_count > 0 || p->signer_key != NULL)
        text_string(&reply->body, MEDIA_RIM_COSE);
    if (p->allow_unsigned)
        text_string(&reply->body, MEDIA_RIM_CBOR);
    text_close(&reply->body, ']');
    write_endpoint(r, reply, "provisioningSubmit", "/endorsement-provisioning/v1/submit");
    text_close(&reply->body, '}');
}
