/* One attested end of a route. What goes with what follows the rules of struct atls_config_options,
 * so that a configuration is refused here, with its line. */
#include <string.h>

#include "config_read.h"
#include "text.h"

enum { POST = 1, INTRA = 2, PRE = 4 };

/* A peer takes 12 requests a minute. A link asks by itself every ten seconds, too, when stores and
 * policies keep changing (link_again.c). */
#define REATTEST_MIN_S 10

/* Keys of some flavours, and why others have them not. */
static const struct {
    const char *key;
    unsigned flavours;
    const char *why;
} own_keys[] = {
    {"raw", POST, "is for flavour post: the others have no framing"},
    {"reattest-interval", POST, "is for flavour post: the others attest once a connection"},
    {"on-failure", POST, "is for flavour post: the others attest once a connection"},
    {"secret-binder", INTRA, "is for flavour intra: the others have no such binder"},
    {"extension-type", INTRA, "is for flavour intra: the others have no TLS extension"},
    {"freshness", PRE, "is for flavour pre: evidence of the others is made for the connection"},
    {"certificate-lifetime", PRE, "is for flavour pre: the others make no certificates"},
    {"certificate-max-age", PRE,
     "is for flavour pre: evidence of the others is made for the connection"},
};

static size_t line_of(const struct tree_node *map, const char *key)
{
    const struct tree_node *n = schema_find(map, key);

    return n != NULL ? n->line : map->line;
}

/* ---- what stands there ---- */

/* The text of a node that names something. */
static enum atls_code want_text(struct schema *s, const struct tree_node *node)
{
    if (node->kind == TREE_TEXT)
        return ATLS_OK;
    return schema_at(s, node->line, "%s is a %s, want a single value", node->key->text,
                     node->kind == TREE_LIST ? "list" : "mapping");
}

static enum atls_code read_attester(struct schema *s, const struct tree_node *node, void *into)
{
    const struct config *c = s->config;
    struct config_side *side = into;
    enum atls_code code = want_text(s, node);

    if (code != ATLS_OK)
        return code;
    if ((side->attester = config_find_attester(c, node->text)) == NULL)
        return schema_at(s, node->line, "attesters has no \"%.40s\"", node->text);
    return ATLS_OK;
}

static enum atls_code read_verifier(struct schema *s, const struct tree_node *node, void *into)
{
    const struct config *c = s->config;
    struct config_require *q = into;
    enum atls_code code = want_text(s, node);

    if (code != ATLS_OK)
        return code;
    if ((q->verifier = config_find_verifier(c, node->text)) == NULL)
        return schema_at(s, node->line, "verifiers has no \"%.40s\"", node->text);
    return ATLS_OK;
}

static enum atls_code read_policy(struct schema *s, const struct tree_node *node, void *into)
{
    const struct config *c = s->config;
    struct config_require *q = into;
    enum atls_code code = want_text(s, node);

    if (code != ATLS_OK || strcmp(node->text, "default") == 0)
        return code;
    if ((q->policy = config_find_policy(c, node->text)) == NULL)
        return schema_at(s, node->line, "policies has no \"%.40s\"", node->text);
    return ATLS_OK;
}

static enum atls_code check_profiles(struct schema *s, const struct tree_node *node,
                                     const struct config_require *q)
{
    for (size_t i = 0; i < q->profiles.count; i++)
        if (atls_evidence_profile_find(q->profiles.at[i]) == 0)
            return schema_at(
                s, line_of(node, "profiles"),
                "profile \"%.40s\", want kat-bundle, kat-batch, bare, parsec or ra-tls",
                q->profiles.at[i]);
    return ATLS_OK;
}

static const char *const presence_words[] = {"required", "optional", NULL};
static const char *const identity_words[] = {"pkix", "same-key", "attested", NULL};

static enum atls_code read_require(struct schema *s, const struct tree_node *node, void *into)
{
    static const struct schema_field fields[] = {
        SCHEMA_CHOICE("presence", struct config_require, presence, presence_words),
        SCHEMA_OTHER("verifier", true, read_verifier),
        SCHEMA_OTHER("policy", false, read_policy),
        SCHEMA_CHOICE_FROM("identity", struct config_require, identity, identity_words,
                           ATLS_IDENTITY_PKIX),
        SCHEMA_TEXTS("evidence-types", struct config_require, evidence_types, 255),
        SCHEMA_TEXTS("profiles", struct config_require, profiles, 32),
        SCHEMA_END,
    };
    struct config_require *q = &((struct config_side *)into)->require;
    enum atls_code code;

    if (node->kind == TREE_TEXT && strcmp(node->text, "none") == 0)
        return ATLS_OK;
    if (node->kind != TREE_MAP)
        return schema_at(s, node->line, "require is neither a mapping nor none");
    q->line = node->line;
    if ((code = schema_map(s, node, fields, q)) != ATLS_OK)
        return code;
    if (q->identity == ATLS_IDENTITY_NONE)
        return schema_at(s, node->line, "identity is missing: pkix, same-key or attested");
    for (size_t i = 0; i < q->evidence_types.count; i++)
        if (strcmp(q->evidence_types.at[i], "soft") == 0 && !q->verifier->insecure)
            return schema_at(s, line_of(node, "evidence-types"),
                             "soft is evidence that anyone can make: only with insecure: true of "
                             "verifier %.40s",
                             q->verifier->name);
    return check_profiles(s, node, q);
}

static enum atls_code read_tls(struct schema *s, const struct tree_node *node, void *into)
{
    static const struct schema_field fields[] = {
        SCHEMA_TEXT("certificate", struct config_tls, certificate),
        SCHEMA_TEXT("key", struct config_tls, key),
        SCHEMA_FLAG("ephemeral", struct config_tls, ephemeral),
        SCHEMA_TEXT("ca", struct config_tls, ca),
        SCHEMA_TEXT("crl", struct config_tls, crl),
        SCHEMA_TEXT("name", struct config_tls, name),
        SCHEMA_END,
    };
    struct config_tls *tls = &((struct config_side *)into)->tls;
    enum atls_code code;

    tls->line = node->line;
    if ((code = schema_map(s, node, fields, tls)) != ATLS_OK)
        return code;
    if ((tls->certificate == NULL) != (tls->key == NULL))
        return schema_at(s, node->line, "certificate and key go together");
    if (tls->ephemeral && tls->certificate != NULL)
        return schema_at(s, line_of(node, "ephemeral"),
                         "ephemeral: true contradicts certificate and key");
    if (tls->name != NULL && !address_is_host(tls->name))
        return schema_at(s, line_of(node, "name"),
                         "name is \"%.60s\", want that of a server or an IP address", tls->name);
    return ATLS_OK;
}

/* ---- what goes with what ---- */

static enum atls_code check_flavour(struct schema *s, const struct tree_node *node,
                                    const struct config_side *side)
{
    const unsigned bit = 1u << side->flavour;

    for (size_t i = 0; i < sizeof own_keys / sizeof own_keys[0]; i++) {
        const struct tree_node *n = schema_find(node, own_keys[i].key);

        if (n != NULL && (own_keys[i].flavours & bit) == 0)
            return schema_at(s, n->line, "%s %s", own_keys[i].key, own_keys[i].why);
    }
    if (side->flavour == ATLS_FLAVOUR_PRE && side->freshness == ATLS_FRESHNESS_UNSAID)
        return schema_at(s, node->line,
                         "freshness is missing: nonce, or none, where evidence can be replayed");
    if (side->freshness == ATLS_FRESHNESS_NONCE && side->certificate_max_age_s > 0)
        return schema_at(s, line_of(node, "certificate-max-age"),
                         "certificate-max-age is for freshness: none: what answers a nonce is new");
    if (side->extension_type == 65281)
        return schema_at(s, line_of(node, "extension-type"),
                         "extension-type 65281 is renegotiation_info, want another");
    for (size_t i = 0; i < side->require.profiles.count; i++)
        if (side->flavour != ATLS_FLAVOUR_PRE &&
            strcmp(side->require.profiles.at[i], "ra-tls") == 0)
            return schema_at(s, line_of(schema_find(node, "require"), "profiles"),
                             "profile ra-tls is for flavour pre: it names no connection");
    return ATLS_OK;
}

static enum atls_code check_roles(struct schema *s, const struct tree_node *node,
                                  const struct config_side *side)
{
    static const char *const about_us[] = {"require-self", "certificate-lifetime"};
    static const char *const about_peer[] = {"reattest-interval", "on-failure",
                                             "certificate-max-age"};

    if (schema_find(node, "require") == NULL)
        return schema_at(s, node->line,
                         "require is missing: what the peer must show, or none for nothing");
    if (side->attester == NULL && side->require.line == 0)
        return schema_at(s, node->line,
                         "%s without any attestation: want attester, require, or both",
                         node->key->text);
    for (size_t i = 0; i < sizeof about_us / sizeof about_us[0]; i++)
        if (side->attester == NULL && schema_find(node, about_us[i]) != NULL)
            return schema_at(s, line_of(node, about_us[i]), "%s wants an attester", about_us[i]);
    for (size_t i = 0; i < sizeof about_peer / sizeof about_peer[0]; i++)
        if (side->require.line == 0 && schema_find(node, about_peer[i]) != NULL)
            return schema_at(s, line_of(node, about_peer[i]),
                             "%s is about attestation of the peer, and require is none",
                             about_peer[i]);
    if (side->raw && side->reattest_interval_s > 0)
        return schema_at(s, line_of(node, "reattest-interval"),
                         "raw: true has no re-attestation: framing ends when the gate opens");
    if (side->reattest_interval_s != 0 && side->reattest_interval_s < REATTEST_MIN_S)
        return schema_at(s, line_of(node, "reattest-interval"),
                         "reattest-interval: %llds, want %ds at least: a peer that is asked more "
                         "than 12 times a minute, by changes of policies and stores, too, ends "
                         "the connection",
                         (long long)side->reattest_interval_s, REATTEST_MIN_S);
    if (side->raw && side->on_failure == ATLS_ON_FAILURE_GATE)
        return schema_at(s, line_of(node, "on-failure"),
                         "raw: true has no gate that could close again");
    return ATLS_OK;
}

/* Whether a result has to be made for the connection follows from the flavour. */
static enum atls_code check_results(struct schema *s, const struct config_side *side)
{
    const struct config_verifier *v = side->require.verifier;
    const size_t line = side->require.line;

    if (side->flavour == ATLS_FLAVOUR_INTRA && side->attester != NULL &&
        side->attester->passport.line > 0 && side->attester->passport.verifier[0] == '\0')
        return schema_at(s, side->line,
                         "flavour intra wants known-as of the passport of attester %.40s: its URL "
                         "is no https",
                         side->attester->name);
    if (v == NULL || !v->takes_results)
        return ATLS_OK;
    if (side->flavour == ATLS_FLAVOUR_INTRA && v->fresh_result)
        return schema_at(
            s, line, "fresh-result of verifier %.40s: flavour intra cannot ask for one", v->name);
    if (side->flavour == ATLS_FLAVOUR_INTRA && v->accepted[0] == '\0')
        return schema_at(s, line,
                         "flavour intra wants known-as of verifier %.40s: its URI is no https URL",
                         v->name);
    if (side->freshness == ATLS_FRESHNESS_NONE && v->fresh_result)
        return schema_at(s, line,
                         "fresh-result of verifier %.40s wants freshness: nonce, else there is "
                         "nothing to answer",
                         v->name);
    if (side->freshness == ATLS_FRESHNESS_NONCE && !v->fresh_result)
        return schema_at(s, line,
                         "freshness: nonce wants fresh-result: true of verifier %.40s: a result "
                         "from before answers no nonce",
                         v->name);
    return ATLS_OK;
}

static enum atls_code check_credentials(struct schema *s, const struct config_side *side,
                                        bool server)
{
    const struct config_tls *tls = &side->tls;
    const bool attested = side->flavour != ATLS_FLAVOUR_POST && side->attester != NULL;

    if (attested && (tls->certificate != NULL || tls->ephemeral))
        return schema_at(s, tls->line,
                         "in flavour %s the TLS key of a side with an attester is the attester's",
                         atls_flavour_name(side->flavour));
    if (tls->ephemeral && !server)
        return schema_at(s, tls->line, "ephemeral is for downstream: a client needs no key");
    if (tls->ephemeral && side->attester == NULL)
        return schema_at(s, tls->line,
                         "ephemeral: true without attester: nothing would vouch for the key");
    if (server && !attested && tls->certificate == NULL && !tls->ephemeral)
        return schema_at(s, tls->line > 0 ? tls->line : side->line,
                         "tls has neither certificate and key nor ephemeral: true");
    return ATLS_OK;
}

/* TLS checks the certificate of the peer unless it is trusted for its evidence alone; that of a
 * client, where its identity rests on it. */
static enum atls_code check_trust(struct schema *s, struct config_side *side,
                                  const struct address *target)
{
    struct config_tls *tls = &side->tls;
    const size_t line = tls->line > 0 ? tls->line : side->line;
    const enum atls_identity identity = side->require.identity;
    const bool checked = target != NULL
                             ? identity != ATLS_IDENTITY_ATTESTED
                             : identity == ATLS_IDENTITY_PKIX || identity == ATLS_IDENTITY_SAME_KEY;

    if (!checked && (tls->ca != NULL || tls->crl != NULL))
        return schema_at(s, line, "ca and crl are there, and no certificate is checked");
    if (target != NULL && !checked && side->require.presence == CONFIG_PRESENCE_OPTIONAL)
        return schema_at(s, side->require.line,
                         "presence: optional wants identity pkix or same-key upstream: nothing "
                         "would vouch for a target that does not attest itself");
    if (target == NULL && tls->name != NULL)
        return schema_at(s, line, "name is that of a server, and downstream are clients");
    if (target == NULL && checked && tls->ca == NULL)
        return schema_at(s, line,
                         "ca is missing: the authorities of the system vouch for any client");
    if (target != NULL && tls->name == NULL && target->family == ADDRESS_TCP)
        tls->name = target->host;
    if (target != NULL && tls->name == NULL && checked)
        return schema_at(s, line, "name is missing: what a certificate of the target must be for");
    return ATLS_OK;
}

static const char *const flavour_words[] = {"post", "intra", "pre", NULL};
static const char *const freshness_words[] = {"none", "nonce", NULL};
static const char *const failure_words[] = {"close", "gate", NULL};

enum atls_code config_read_side(struct schema *s, const struct tree_node *node,
                                struct config_side *side, const struct address *target)
{
    static const struct schema_field fields[] = {
        SCHEMA_CHOICE("flavour", struct config_side, flavour, flavour_words),
        SCHEMA_CHOICE_FROM("freshness", struct config_side, freshness, freshness_words,
                           ATLS_FRESHNESS_NONE),
        SCHEMA_FLAG("raw", struct config_side, raw),
        SCHEMA_FLAG("secret-binder", struct config_side, secret_binder),
        SCHEMA_AMOUNT("extension-type", SCHEMA_KIND_NUMBER, struct config_side, extension_type,
                      65280, 65535),
        SCHEMA_OTHER("attester", false, read_attester),
        SCHEMA_FLAG("require-self", struct config_side, require_self),
        SCHEMA_OTHER("require", false, read_require),
        SCHEMA_OTHER("tls", false, read_tls),
        SCHEMA_TEXTS("alpn", struct config_side, alpn, 255),
        SCHEMA_AMOUNT("reattest-interval", SCHEMA_KIND_TIME, struct config_side,
                      reattest_interval_s, 1, 86400),
        SCHEMA_CHOICE("on-failure", struct config_side, on_failure, failure_words),
        SCHEMA_AMOUNT("certificate-lifetime", SCHEMA_KIND_TIME, struct config_side,
                      certificate_lifetime_s, 60, CONFIG_TIME_MAX),
        SCHEMA_AMOUNT("certificate-max-age", SCHEMA_KIND_TIME, struct config_side,
                      certificate_max_age_s, 1, ATLS_CERTIFICATE_MAX_AGE_S),
        SCHEMA_END,
    };
    enum atls_code code;

    side->line = node->line;
    if ((code = schema_map(s, node, fields, side)) != ATLS_OK ||
        (code = check_flavour(s, node, side)) != ATLS_OK ||
        (code = check_roles(s, node, side)) != ATLS_OK ||
        (code = check_results(s, side)) != ATLS_OK ||
        (code = check_credentials(s, side, target == NULL)) != ATLS_OK)
        return code;
    return check_trust(s, side, target);
}
