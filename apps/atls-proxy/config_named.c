/* Attesters, verifiers and policies: mappings of names to what they are. */
#include <stdlib.h>
#include <string.h>

#include "config_read.h"
#include "text.h"

static bool has_scheme(const char *uri, const char *scheme)
{
    return strncmp(uri, scheme, strlen(scheme)) == 0;
}

/* Whether node is a mapping of 1 to CONFIG_NAMED_MAX names; room for them in *out. */
static enum atls_code take_names(struct schema *s, const struct tree_node *node, size_t size,
                                 void **out)
{
    size_t count = 0;

    if (node->kind != TREE_MAP)
        return schema_at(s, node->line, "%s is a %s, want a mapping of names", node->key->text,
                         node->kind == TREE_LIST ? "list" : "single value");
    for (const struct tree_node *n = node->child; n != NULL; n = n->next, count++)
        if (!schema_is_name(n->key->text))
            return schema_at(s, n->key->line, "name is \"%.40s\", want a-z, 0-9, - and _",
                             n->key->text);
    if (count == 0 || count > CONFIG_NAMED_MAX)
        return schema_at(s, node->line, "%s has %zu entries, want 1 to %d", node->key->text, count,
                         CONFIG_NAMED_MAX);
    if ((*out = calloc(count, size)) == NULL)
        return set_error(s->err, ATLS_E_NOMEM, "configuration: out of memory");
    return ATLS_OK;
}

/* Host of "https://HOST[:PORT][/...]", without the brackets of an address; "" when uri is none. */
static void host_of(const char *uri, char out[256])
{
    size_t len;
    bool bracket;

    out[0] = '\0';
    if (!has_scheme(uri, "https://"))
        return;
    uri += strlen("https://");
    bracket = *uri == '[';
    len = strcspn(uri += bracket, bracket ? "]/?#" : ":/?#");
    if (len >= 256)
        return;
    memcpy(out, uri, len);
    out[len] = '\0';
}

/* How both sides of flavour intra call a Verifier: as it is said, or else the host of its URL. */
static enum atls_code name_verifier(struct schema *s, size_t line, const char *said,
                                    const char *url, char out[256])
{
    if (said == NULL) {
        host_of(url, out);
        return ATLS_OK;
    }
    if (strlen(said) > 255)
        return schema_at(s, line, "known-as has %zu bytes, want 1 to 255", strlen(said));
    memcpy(out, said, strlen(said) + 1);
    return ATLS_OK;
}

/* ---- attesters ---- */

static enum atls_code read_passport(struct schema *s, const struct tree_node *node, void *into)
{
    static const struct schema_field fields[] = {
        SCHEMA_NEEDED("from", struct config_attester, passport.url),
        SCHEMA_TEXT("ca", struct config_attester, passport.ca),
        SCHEMA_TEXT("result-keys", struct config_attester, passport.result_keys),
        SCHEMA_AMOUNT("timeout", SCHEMA_KIND_TIME, struct config_attester, passport.timeout_s, 1,
                      3600),
        SCHEMA_AMOUNT("lifetime", SCHEMA_KIND_TIME, struct config_attester, passport.lifetime_s, 60,
                      86400),
        SCHEMA_FLAG("only", struct config_attester, passport.only),
        SCHEMA_TEXT("known-as", struct config_attester, passport.known_as),
        SCHEMA_END,
    };
    struct config_attester *a = into;
    enum atls_code code;

    a->passport.line = node->line;
    if ((code = schema_map(s, node, fields, a)) != ATLS_OK)
        return code;
    if (!has_scheme(a->passport.url, "https://") && !has_scheme(a->passport.url, "http://"))
        return schema_at(s, schema_find(node, "from")->line,
                         "from is \"%.60s\", want the URL of a verifier", a->passport.url);
    return name_verifier(s, node->line, a->passport.known_as, a->passport.url,
                         a->passport.verifier);
}

static enum atls_code read_attester(struct schema *s, const struct tree_node *node,
                                    struct config_attester *a)
{
    static const struct schema_field fields[] = {
        SCHEMA_NEEDED("uri", struct config_attester, uri),
        SCHEMA_TEXT("certificate", struct config_attester, certificate),
        SCHEMA_TEXT("endorsements", struct config_attester, endorsements),
        SCHEMA_TEXTS("dns-names", struct config_attester, dns_names, 253),
        SCHEMA_FLAG("insecure", struct config_attester, insecure),
        SCHEMA_OTHER("passport", false, read_passport),
        SCHEMA_END,
    };
    enum atls_code code;
    bool soft;

    a->line = node->line;
    a->name = node->key->text;
    if ((code = schema_map(s, node, fields, a)) != ATLS_OK)
        return code;
    soft = has_scheme(a->uri, "soft:");
    if (!soft && !has_scheme(a->uri, "tpm2:") && !has_scheme(a->uri, "tsm:"))
        return schema_at(s, schema_find(node, "uri")->line,
                         "uri is \"%.60s\", want tpm2:..., tsm:... or soft:...", a->uri);
    if (soft && !a->insecure)
        return schema_at(s, schema_find(node, "uri")->line,
                         "attester in software, which anyone can be: only with insecure: true");
    if (!soft && a->insecure)
        return schema_at(s, schema_find(node, "insecure")->line,
                         "insecure: true of an attester in hardware, where nothing asks for it");
    if (a->certificate != NULL && a->dns_names.count > 0)
        return schema_at(s, schema_find(node, "dns-names")->line,
                         "dns-names are for a self-signed certificate, and certificate is another");
    return ATLS_OK;
}

enum atls_code config_read_attesters(struct schema *s, const struct tree_node *node, void *into)
{
    struct config *c = into;
    void *room = NULL;
    enum atls_code code = take_names(s, node, sizeof *c->attesters, &room);

    c->attesters = room;
    for (const struct tree_node *n = node->child; code == ATLS_OK && n != NULL; n = n->next)
        code = read_attester(s, n, &c->attesters[c->attester_count++]);
    return code;
}

const struct config_attester *config_find_attester(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->attester_count; i++)
        if (strcmp(c->attesters[i].name, name) == 0)
            return &c->attesters[i];
    return NULL;
}

/* ---- verifiers ---- */

enum { LOCAL = 1, VERAISON = 2, PASSPORT = 4 };

static const struct {
    const char *scheme;
    unsigned bit;
} schemes[] = {{"local:", LOCAL}, {"veraison:", VERAISON}, {"passport:", PASSPORT}};

/* Keys that not every verifier has, and why. */
static const struct {
    const char *key;
    unsigned schemes;
    const char *why;
} own_keys[] = {
    {"result-keys", VERAISON | PASSPORT, "sign results, and a local verifier's are not signed"},
    {"max-age", VERAISON | PASSPORT, "is of signed results"},
    {"timeout", VERAISON | PASSPORT, "is for a verifier elsewhere"},
    {"fresh-result", PASSPORT, "is of passport: others are asked at each connection anyway"},
    {"known-as", PASSPORT, "names who makes the results of passport"},
    {"rules", LOCAL, "are for evidence that is appraised here"},
    {"collateral", LOCAL, "is for evidence that is appraised here"},
    {"allow-sha1-pcr-bank", LOCAL, "is for evidence that is appraised here"},
    {"allow-unsafe-clock", LOCAL, "is for evidence that is appraised here"},
    {"allow-ima-violations", LOCAL, "is for evidence that is appraised here"},
    {"require-ak-eku", LOCAL, "is for evidence that is appraised here"},
};

static enum atls_code read_rules(struct schema *s, const struct tree_node *node, void *into)
{
    struct config_verifier *const to = into;

    return rules_read(s, node, to->rules, &to->rule_count);
}

static enum atls_code read_collateral(struct schema *s, const struct tree_node *node, void *into)
{
    struct makers {
        const char *amd, *intel, *intel_root_crl;
    } makers = {0};
    static const struct schema_field fields[] = {
        SCHEMA_TEXT("amd", struct makers, amd),
        SCHEMA_TEXT("intel", struct makers, intel),
        SCHEMA_TEXT("intel-root-crl", struct makers, intel_root_crl),
        SCHEMA_END,
    };
    struct config_verifier *v = into;
    enum atls_code code = schema_map(s, node, fields, &makers);

    for (const struct tree_node *n = node->child; code == ATLS_OK && n != NULL; n = n->next)
        if ((code = schema_pair(s, n, &v->collateral[v->collateral_count])) == ATLS_OK)
            v->collateral_count++;
    return code;
}

static enum atls_code check_verifier(struct schema *s, const struct tree_node *node,
                                     struct config_verifier *v)
{
    unsigned scheme = 0;

    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (has_scheme(v->uri, schemes[i].scheme))
            scheme = schemes[i].bit;
    if (scheme == 0)
        return schema_at(s, schema_find(node, "uri")->line,
                         "uri is \"%.60s\", want local:STORE, veraison:URL, passport:FILE or "
                         "passport:URL",
                         v->uri);
    for (size_t i = 0; i < sizeof own_keys / sizeof own_keys[0]; i++) {
        const struct tree_node *n = schema_find(node, own_keys[i].key);

        if (n != NULL && (own_keys[i].schemes & scheme) == 0)
            return schema_at(s, n->line, "%s %s", own_keys[i].key, own_keys[i].why);
    }
    if (scheme == LOCAL && v->ca != NULL && v->collateral_count == 0)
        return schema_at(s, schema_find(node, "ca")->line,
                         "ca vouches for services of collateral, and none is named");
    v->takes_results = scheme == PASSPORT;
    return ATLS_OK;
}

static enum atls_code read_verifier(struct schema *s, const struct tree_node *node,
                                    struct config_verifier *v)
{
    static const struct schema_field fields[] = {
        SCHEMA_NEEDED("uri", struct config_verifier, uri),
        SCHEMA_TEXT("ca", struct config_verifier, ca),
        SCHEMA_TEXT("result-keys", struct config_verifier, result_keys),
        SCHEMA_AMOUNT("max-age", SCHEMA_KIND_TIME, struct config_verifier, max_age_s, 1,
                      10 * CONFIG_TIME_MAX),
        SCHEMA_AMOUNT("timeout", SCHEMA_KIND_TIME, struct config_verifier, timeout_s, 1, 3600),
        SCHEMA_FLAG("fresh-result", struct config_verifier, fresh_result),
        SCHEMA_TEXT("known-as", struct config_verifier, known_as),
        SCHEMA_FLAG("insecure", struct config_verifier, insecure),
        SCHEMA_FLAG("allow-sha1-pcr-bank", struct config_verifier, allow_sha1_pcr_bank),
        SCHEMA_FLAG("allow-unsafe-clock", struct config_verifier, allow_unsafe_clock),
        SCHEMA_FLAG("allow-ima-violations", struct config_verifier, allow_ima_violations),
        SCHEMA_FLAG("require-ak-eku", struct config_verifier, require_ak_eku),
        SCHEMA_OTHER("rules", false, read_rules),
        SCHEMA_OTHER("collateral", false, read_collateral),
        SCHEMA_END,
    };
    enum atls_code code;

    v->line = node->line;
    v->name = node->key->text;
    if ((code = schema_map(s, node, fields, v)) != ATLS_OK ||
        (code = check_verifier(s, node, v)) != ATLS_OK || !v->takes_results)
        return code;
    return name_verifier(s, node->line, v->known_as, v->uri + strlen("passport:"), v->accepted);
}

enum atls_code config_read_verifiers(struct schema *s, const struct tree_node *node, void *into)
{
    struct config *c = into;
    void *room = NULL;
    enum atls_code code = take_names(s, node, sizeof *c->verifiers, &room);

    c->verifiers = room;
    for (const struct tree_node *n = node->child; code == ATLS_OK && n != NULL; n = n->next)
        code = read_verifier(s, n, &c->verifiers[c->verifier_count++]);
    return code;
}

const struct config_verifier *config_find_verifier(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->verifier_count; i++)
        if (strcmp(c->verifiers[i].name, name) == 0)
            return &c->verifiers[i];
    return NULL;
}

/* ---- policies ---- */

enum atls_code config_read_policies(struct schema *s, const struct tree_node *node, void *into)
{
    struct config *c = into;
    void *room = NULL;
    enum atls_code code = take_names(s, node, sizeof *c->policies, &room);

    c->policies = room;
    for (const struct tree_node *n = node->child; code == ATLS_OK && n != NULL; n = n->next) {
        if (n->kind != TREE_TEXT || n->text[0] == '\0')
            return schema_at(s, n->line, "policy %.40s is no file", n->key->text);
        if (strcmp(n->key->text, "default") == 0)
            return schema_at(s, n->key->line, "policy default is the built-in one");
        c->policies[c->policy_count++] = (struct config_policy){n->line, n->key->text, n->text};
    }
    return code;
}

const struct config_policy *config_find_policy(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->policy_count; i++)
        if (strcmp(c->policies[i].name, name) == 0)
            return &c->policies[i];
    return NULL;
}

/* ---- what did not change ---- */

static bool same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_list(const char *const *a, const char *const *b)
{
    for (; *a != NULL && *b != NULL; a++, b++)
        if (strcmp(*a, *b) != 0)
            return false;
    return *a == *b;
}

bool config_attester_same(const struct config_attester *a, const struct config_attester *b)
{
    return same(a->name, b->name) && same(a->uri, b->uri) && same(a->certificate, b->certificate) &&
           same(a->endorsements, b->endorsements) && same_list(a->dns_names.at, b->dns_names.at) &&
           a->insecure == b->insecure && same(a->passport.url, b->passport.url) &&
           same(a->passport.ca, b->passport.ca) &&
           same(a->passport.result_keys, b->passport.result_keys) &&
           a->passport.timeout_s == b->passport.timeout_s &&
           a->passport.lifetime_s == b->passport.lifetime_s &&
           a->passport.only == b->passport.only && same(a->passport.verifier, b->passport.verifier);
}

/* The strings of a verifier's own are not const there. */
static bool same_pairs(char *const *a, char *const *b)
{
    for (; *a != NULL && *b != NULL; a++, b++)
        if (strcmp(*a, *b) != 0)
            return false;
    return *a == *b;
}

bool config_verifier_same(const struct config_verifier *a, const struct config_verifier *b)
{
    return same(a->name, b->name) && same(a->uri, b->uri) && same(a->ca, b->ca) &&
           same(a->result_keys, b->result_keys) && a->max_age_s == b->max_age_s &&
           a->timeout_s == b->timeout_s && a->fresh_result == b->fresh_result &&
           a->insecure == b->insecure && a->allow_sha1_pcr_bank == b->allow_sha1_pcr_bank &&
           a->allow_unsafe_clock == b->allow_unsafe_clock &&
           a->allow_ima_violations == b->allow_ima_violations &&
           a->require_ak_eku == b->require_ak_eku && same_pairs(a->rules, b->rules) &&
           same_pairs(a->collateral, b->collateral) && same(a->accepted, b->accepted);
}

bool config_policy_same(const struct config_policy *a, const struct config_policy *b)
{
    return same(a->name, b->name) && same(a->file, b->file);
}
