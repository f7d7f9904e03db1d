#include "ea/ea.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/secret.h"

enum atls_role atls_ea_peer_role(const struct atls_ea *ea)
{
    return ea->role == ATLS_ROLE_CLIENT ? ATLS_ROLE_SERVER : ATLS_ROLE_CLIENT;
}

/* RFC 9261 section 5.1: the label follows the sender of the authenticator, the exporter's context
 * is empty. */
static enum atls_code export_keys(enum atls_role sender, enum atls_hash hash,
                                  atls_exporter *exporter, void *arg, struct atls_ea_keys *out,
                                  struct atls_err *err)
{
    static const char *const labels[][2] = {
        [ATLS_ROLE_CLIENT] = {"EXPORTER-client authenticator handshake context",
                              "EXPORTER-client authenticator finished key"},
        [ATLS_ROLE_SERVER] = {"EXPORTER-server authenticator handshake context",
                              "EXPORTER-server authenticator finished key"},
    };
    const struct atls_bytes no_context = {NULL, 0};
    enum atls_code code;

    if ((code = exporter(arg, labels[sender][0], no_context, out->handshake_context,
                         atls_hash_len(hash), err)) != ATLS_OK ||
        (code = exporter(arg, labels[sender][1], no_context, out->finished_key, atls_hash_len(hash),
                         err)) != ATLS_OK)
        return code;
    out->hash = hash;
    return ATLS_OK;
}

enum atls_code atls_ea_keys_for(struct atls_ea *ea, enum atls_role sender, struct atls_ea_keys *out,
                                struct atls_err *err)
{
    struct atls_ea_keys *keys = sender == ea->role ? &ea->own : &ea->peer;
    enum atls_code code;

    /* At the first use: a connection on which one side alone attests needs half of them. */
    if (keys->hash == ATLS_HASH_NONE &&
        (code = export_keys(sender, ea->hash, ea->exporter, ea->exporter_arg, keys, err)) !=
            ATLS_OK)
        return code;
    *out = *keys;
    return ATLS_OK;
}

enum atls_code atls_ea_new(enum atls_role role, enum atls_hash hash, atls_exporter *exporter,
                           void *arg, struct atls_ea **out, struct atls_err *err)
{
    struct atls_ea *ea;

    if (role != ATLS_ROLE_CLIENT && role != ATLS_ROLE_SERVER)
        return atls_fail(err, ATLS_E_USAGE, "exported authenticators: no role has number %d",
                         (int)role);
    if (hash != ATLS_HASH_SHA256 && hash != ATLS_HASH_SHA384)
        return atls_fail(err, ATLS_E_USAGE,
                         "exported authenticators: hash %d is not that of a TLS 1.3 suite",
                         (int)hash);
    if (exporter == NULL)
        return atls_fail(err, ATLS_E_USAGE, "exported authenticators: no exporter given");
    if ((ea = calloc(1, sizeof *ea)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "exported authenticators: out of memory");
    ea->role = role;
    ea->hash = hash;
    ea->exporter = exporter;
    ea->exporter_arg = arg;
    *out = ea;
    return ATLS_OK;
}

void atls_ea_free(struct atls_ea *ea)
{
    if (ea == NULL)
        return;
    atls_ea_contexts_clear(&ea->contexts);
    atls_wipe(ea, sizeof *ea);
    free(ea);
}
