#include "flavour/base/config.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/log.h"
#include "evidence/evidence.h"

/* struct atls_config_options as first published. */
#define OPTIONS_SIZE_FIRST (offsetof(struct atls_config_options, log) + sizeof(struct atls_log))
/* All lists of names together must leave HELLO far below its limit of 65535 bytes of parameters. */
#define NAMES_MAX 8192
/* Each outstanding request of a peer may hold an authenticator in the output. */
#define REQUESTS_OUTSTANDING_MAX 64
/* Chains and keys of peers that come back; about 2 kB each. */
#define CHAIN_CACHE_ENTRIES 256

const char *atls_flavour_name(enum atls_flavour flavour)
{
    static const char *const names[] = {
        [ATLS_FLAVOUR_POST] = "post", [ATLS_FLAVOUR_INTRA] = "intra", [ATLS_FLAVOUR_PRE] = "pre"};

    return (size_t)flavour < sizeof names / sizeof names[0] ? names[flavour] : "";
}

void atls_config_options_init(struct atls_config_options *options)
{
    *options = (struct atls_config_options){
        .size = sizeof *options,
        .gate_timeout_ms = 30000,
        .answer_timeout_ms = 30000,
        .peer_requests_per_minute = 12,
        .peer_requests_outstanding = 4,
        .frames_before_gate = 64,
        .bytes_before_gate = 1 << 20,
        .on_failure = ATLS_ON_FAILURE_CLOSE,
        .log = {.level = ATLS_LOG_WARNING},
    };
}

/* A caller built against an older header has fewer members: what it lacks keeps its default. */
static enum atls_code take_options(const struct atls_config_options *options,
                                   struct atls_config_options *out, struct atls_err *err)
{
    atls_config_options_init(out);
    if (options->size < OPTIONS_SIZE_FIRST || options->size > sizeof *out)
        return atls_fail(err, ATLS_E_USAGE,
                         "config options: size is %zu, want %zu to %zu; call "
                         "atls_config_options_init first",
                         options->size, OPTIONS_SIZE_FIRST, sizeof *out);
    memcpy(out, options, options->size);
    out->size = sizeof *out;
    return ATLS_OK;
}

static enum atls_code missing(struct atls_err *err, const char *what)
{
    return atls_fail(err, ATLS_E_CONFIG, "config: %s", what);
}

static enum atls_code check_roles(const struct atls_config_options *o, struct atls_err *err)
{
    if (o->attester == NULL && !o->require_peer)
        return missing(err, "nothing to do: want an attester, require_peer, or both");
    if (o->require_self && o->attester == NULL)
        return missing(err, "require_self wants an attester");
    if (o->passport != NULL && o->attester == NULL)
        return missing(err, "passport wants the attester that its results are about");
    if (o->passport_only && o->passport == NULL)
        return missing(err, "passport_only wants a passport");
    if (o->raw && o->reattest_interval_s != 0)
        return missing(err, "raw excludes reattest_interval_s: framing ends when the gate opens");
    if (o->reattest_interval_s != 0 && !o->require_peer)
        return missing(err, "reattest_interval_s wants require_peer");
    if (o->peer_optional && !o->require_peer)
        return missing(err, "peer_optional wants require_peer: else nobody is asked");
    if (o->on_failure != ATLS_ON_FAILURE_CLOSE && o->on_failure != ATLS_ON_FAILURE_GATE)
        return missing(err, "on_failure is no value of enum atls_on_failure");
    return ATLS_OK;
}

static enum atls_code check_peer(const struct atls_config_options *o, struct atls_err *err)
{
    bool anchors = o->anchors.len != 0 || o->system_anchors;

    if (!o->require_peer)
        return ATLS_OK;
    if (o->verifier == NULL)
        return missing(err, "require_peer wants a verifier");
    if (o->policy == NULL)
        return missing(err, "require_peer wants a policy");
    switch (o->identity) {
    case ATLS_IDENTITY_PKIX:
        return anchors ? ATLS_OK : missing(err, "identity pkix wants anchors or system_anchors");
    case ATLS_IDENTITY_SAME_KEY:
    case ATLS_IDENTITY_ATTESTED:
        if (o->crls.len != 0)
            return missing(err, "crls are for identity pkix only");
        return anchors ? missing(err, "anchors are for identity pkix only") : ATLS_OK;
    case ATLS_IDENTITY_NONE:
        break;
    }
    return missing(err, "require_peer wants an identity: pkix, same-key or attested");
}

/* Numbers of TLS extensions for private use, without the one that libraries take for themselves. */
static bool is_private_extension(uint16_t type)
{
    return type >= 65280 && type != 65281;
}

static enum atls_code check_intra(const struct atls_config_options *o, struct atls_err *err)
{
    bool results =
        o->require_peer && atls_verifier_input(o->verifier) == ATLS_VERIFIER_TAKES_RESULTS;

    if (o->extension_type != 0 && !is_private_extension(o->extension_type))
        return atls_fail(err, ATLS_E_CONFIG,
                         "config: extension_type is %u, want 65280 or 65282 to 65535",
                         o->extension_type);
    if (results != (o->accepted_verifier != NULL))
        return missing(err, results ? "results want accepted_verifier, the name of their Verifier"
                                    : "accepted_verifier wants a verifier that takes results");
    if (results && atls_verifier_wants_binder(o->verifier))
        return missing(err, "flavour intra cannot ask for results that echo the binder");
    if ((o->passport != NULL) != (o->passport_verifier != NULL))
        return missing(err, "passport and passport_verifier go together in flavour intra");
    return ATLS_OK;
}

/* 366 days */
#define CERTIFICATE_LIFETIME_MAX_S 31622400

static enum atls_code check_lifetime(const struct atls_config_options *o, struct atls_err *err)
{
    const uint32_t lifetime = o->certificate_lifetime_s;

    if (lifetime == 0 ||
        (o->attester != NULL && lifetime >= 60 && lifetime <= CERTIFICATE_LIFETIME_MAX_S))
        return ATLS_OK;
    return atls_fail(err, ATLS_E_CONFIG,
                     "config: certificate_lifetime_s is %u, want 0, or 60 to %d and an attester",
                     lifetime, CERTIFICATE_LIFETIME_MAX_S);
}

static enum atls_code check_max_age(const struct atls_config_options *o, struct atls_err *err)
{
    const uint32_t age = o->certificate_max_age_s;

    if (age == 0 || (o->require_peer && o->freshness == ATLS_FRESHNESS_NONE &&
                     age <= ATLS_CERTIFICATE_MAX_AGE_S))
        return ATLS_OK;
    return atls_fail(err, ATLS_E_CONFIG,
                     "config: certificate_max_age_s is %u, want 0, or up to %d with require_peer "
                     "and freshness none",
                     age, ATLS_CERTIFICATE_MAX_AGE_S);
}

static enum atls_code check_pre(const struct atls_config_options *o, struct atls_err *err)
{
    bool results =
        o->require_peer && atls_verifier_input(o->verifier) == ATLS_VERIFIER_TAKES_RESULTS;
    enum atls_code code;

    if ((code = check_lifetime(o, err)) != ATLS_OK || (code = check_max_age(o, err)) != ATLS_OK)
        return code;
    switch (o->freshness) {
    case ATLS_FRESHNESS_UNSAID:
        return missing(err, "flavour pre wants a freshness: nonce or none");
    case ATLS_FRESHNESS_NONE:
        if (o->require_peer && atls_verifier_wants_binder(o->verifier))
            return missing(err, "results that echo a binder want freshness nonce");
        return ATLS_OK;
    case ATLS_FRESHNESS_NONCE:
        if (results && !atls_verifier_wants_binder(o->verifier))
            return missing(err, "freshness nonce wants results that echo a binder: "
                                "result_echoes_binder of the verifier");
        return ATLS_OK;
    }
    return missing(err, "freshness is no value of enum atls_freshness");
}

static enum atls_code check_flavour(const struct atls_config_options *o, struct atls_err *err)
{
    const bool intra = o->flavour == ATLS_FLAVOUR_INTRA;

    if (atls_flavour_name(o->flavour)[0] == '\0')
        return missing(err, "flavour is no value of enum atls_flavour");
    if (!intra && (o->extension_type != 0 || o->secret_binder || o->accepted_verifier != NULL ||
                   o->passport_verifier != NULL))
        return missing(err, "extension_type, secret_binder, accepted_verifier and "
                            "passport_verifier are for flavour intra only");
    if (o->flavour != ATLS_FLAVOUR_PRE && o->freshness != ATLS_FRESHNESS_UNSAID)
        return missing(err, "freshness is for flavour pre only: evidence of the others is made for "
                            "the connection");
    if (o->flavour != ATLS_FLAVOUR_PRE &&
        (o->certificate_lifetime_s != 0 || o->certificate_max_age_s != 0))
        return missing(err, "certificate_lifetime_s and certificate_max_age_s are for flavour pre "
                            "only");
    if (o->flavour == ATLS_FLAVOUR_POST)
        return ATLS_OK;
    if (o->raw || o->reattest_interval_s != 0 || o->on_failure != ATLS_ON_FAILURE_CLOSE)
        return missing(err, "raw, reattest_interval_s and on_failure are for flavour post only");
    return intra ? check_intra(o, err) : check_pre(o, err);
}

static enum atls_code check_limits(const struct atls_config_options *o, struct atls_err *err)
{
    const struct {
        const char *name;
        uint32_t value;
    } limits[] = {
        {"gate_timeout_ms", o->gate_timeout_ms},
        {"answer_timeout_ms", o->answer_timeout_ms},
        {"peer_requests_per_minute", o->peer_requests_per_minute},
        {"peer_requests_outstanding", o->peer_requests_outstanding},
        {"frames_before_gate", o->frames_before_gate},
        {"bytes_before_gate", o->bytes_before_gate},
    };

    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        if (limits[i].value == 0)
            return atls_fail(err, ATLS_E_CONFIG, "config: %s is 0, want a limit", limits[i].name);
    if (o->peer_requests_outstanding > REQUESTS_OUTSTANDING_MAX)
        return atls_fail(err, ATLS_E_CONFIG,
                         "config: peer_requests_outstanding is %u, want at most %d",
                         o->peer_requests_outstanding, REQUESTS_OUTSTANDING_MAX);
    return ATLS_OK;
}

/* Encodes names (NULL-terminated) as a Name list. */
static enum atls_code take_names(const char *what, const char *const *names, struct atls_buf *out,
                                 struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(NAMES_MAX);

    for (; names != NULL && *names != NULL; names++)
        atls_name_put(&w, *names);
    if (w.failed == ATLS_E_LIMIT) {
        atls_writer_clear(&w);
        return atls_fail(err, ATLS_E_CONFIG,
                         "config: %s: want names of 1 to 255 bytes, %d bytes at most together",
                         what, NAMES_MAX);
    }
    return atls_writer_finish(&w, out, err);
}

static const char *const results[] = {ATLS_RESULT_EAR_JWT, ATLS_RESULT_EAR_CWT, NULL};

/* Every secure technology that the build knows. */
static enum atls_code take_secure_technologies(struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(NAMES_MAX);

    for (const struct atls_technology *const *t = atls_technologies; *t != NULL; t++)
        if (!(*t)->insecure)
            atls_name_put(&w, (*t)->name);
    return atls_writer_finish(&w, out, err);
}

#define PROFILES_DEFAULT (ATLS_PROFILE_KAT | ATLS_PROFILE_BATCH)

/* The set that names say; none: the default. */
static enum atls_code take_profiles(struct atls_config *c, struct atls_err *err)
{
    const char *const *names = c->options.profiles;

    c->profiles = names == NULL ? PROFILES_DEFAULT : 0;
    if (names == NULL)
        return ATLS_OK;
    if (!c->options.require_peer)
        return missing(err, "profiles want require_peer");
    for (; *names != NULL; names++) {
        const unsigned int profile = atls_evidence_profile_find(*names);

        if (profile == 0)
            return atls_fail(
                err, ATLS_E_CONFIG,
                "config: profile \"%s\", want kat-bundle, kat-batch, bare, parsec or ra-tls",
                *names);
        c->profiles |= profile;
    }
    if ((c->profiles & ATLS_PROFILE_RATLS) != 0 && c->options.flavour != ATLS_FLAVOUR_PRE)
        return missing(err, "profile ra-tls is for flavour pre only: its evidence names no "
                            "connection");
    return c->profiles != 0 ? ATLS_OK
                            : missing(err, "profiles are empty: no peer could be accepted");
}

/* In the order in which an attester picks. */
static enum atls_code put_profiles(unsigned int profiles, struct atls_buf *out,
                                   struct atls_err *err)
{
    static const enum atls_evidence_profile order[] = {ATLS_PROFILE_BATCH, ATLS_PROFILE_KAT,
                                                       ATLS_PROFILE_BARE, ATLS_PROFILE_PARSEC};
    struct atls_writer w = atls_writer_init(NAMES_MAX);

    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        if ((profiles & order[i]) != 0)
            atls_name_put(&w, atls_evidence_profile_name(order[i]));
    return atls_writer_finish(&w, out, err);
}

/* One list speaks for both directions, as in peers that know no other; where a side that asks for
 * evidence shows it in other profiles, a second list says so. */
static enum atls_code take_profile_lists(struct atls_config *c, struct atls_err *err)
{
    const struct atls_config_options *o = &c->options;
    const bool shows = c->names[ATLS_NAMES_EVIDENCE_OFFERED].len != 0;
    const unsigned int offered = shows ? atls_attester_profiles(o->attester) : 0;
    enum atls_code code = take_profiles(c, err);

    if (code != ATLS_OK)
        return code;
    if (shows && (!o->require_peer || offered == c->profiles))
        return put_profiles(offered, &c->names[ATLS_NAMES_PROFILES], err);
    code = put_profiles(c->profiles, &c->names[ATLS_NAMES_PROFILES], err);
    if (code == ATLS_OK && shows)
        code = put_profiles(offered, &c->names[ATLS_NAMES_PROFILES_OFFERED], err);
    return code;
}

/* What we show: evidence, results, or either. */
static enum atls_code take_offers(struct atls_config *c, struct atls_err *err)
{
    const struct atls_config_options *o = &c->options;
    const char *const evidence[] = {
        o->attester == NULL || o->passport_only ? NULL : atls_attester_evidence_type(o->attester),
        NULL};
    enum atls_code code = take_names("evidence type of the attester", evidence,
                                     &c->names[ATLS_NAMES_EVIDENCE_OFFERED], err);

    if (code != ATLS_OK || o->passport == NULL)
        return code;
    return take_names("results", results, &c->names[ATLS_NAMES_RESULTS_OFFERED], err);
}

/* What we judge: evidence of these technologies, or results about whatever their Verifier knows. */
static enum atls_code take_demands(struct atls_config *c, struct atls_err *err)
{
    const struct atls_config_options *o = &c->options;
    enum atls_code code;

    if (!o->require_peer)
        return ATLS_OK;
    if (o->evidence_types != NULL)
        code = take_names("evidence_types", o->evidence_types, &c->technologies, err);
    else if (atls_verifier_input(o->verifier) == ATLS_VERIFIER_TAKES_EVIDENCE)
        code = take_secure_technologies(&c->technologies, err);
    else
        return take_names("results", results, &c->names[ATLS_NAMES_RESULTS_ACCEPTED], err);
    if (code != ATLS_OK)
        return code;
    if (c->technologies.len == 0)
        return missing(err, "evidence_types is empty: no peer could be accepted");
    if (atls_verifier_input(o->verifier) == ATLS_VERIFIER_TAKES_RESULTS)
        return take_names("results", results, &c->names[ATLS_NAMES_RESULTS_ACCEPTED], err);
    return atls_buf_copy(&c->names[ATLS_NAMES_EVIDENCE_ACCEPTED], atls_buf_bytes(&c->technologies),
                         err);
}

static enum atls_code take_all_names(struct atls_config *c, struct atls_err *err)
{
    enum atls_code code;

    if ((code = take_offers(c, err)) != ATLS_OK || (code = take_profile_lists(c, err)) != ATLS_OK ||
        (code = take_names("inner_protocols", c->options.inner_protocols,
                           &c->names[ATLS_NAMES_INNER_PROTOCOLS], err)) != ATLS_OK)
        return code;
    return take_demands(c, err);
}

static enum atls_code take_anchors(struct atls_config *c, struct atls_err *err)
{
    const struct atls_config_options *o = &c->options;
    size_t count = 0;
    enum atls_code code;

    if (!o->require_peer)
        return ATLS_OK;
    if ((code = atls_chain_cache_new(CHAIN_CACHE_ENTRIES, &c->cache, err)) != ATLS_OK ||
        o->identity != ATLS_IDENTITY_PKIX)
        return code;
    if ((code = atls_anchors_new(&c->anchors, err)) != ATLS_OK)
        return code;
    if (o->anchors.len != 0 &&
        (code = atls_anchors_add_pem(c->anchors, o->anchors, &count, err)) != ATLS_OK)
        return code;
    if (o->system_anchors && (code = atls_anchors_add_system(c->anchors, err)) != ATLS_OK)
        return code;
    if (o->anchors.len != 0 && count == 0)
        return atls_fail(err, ATLS_E_DECODE, "config: anchors hold no PEM certificate");
    return o->crls.len == 0 ? ATLS_OK : atls_anchors_add_crls(c->anchors, o->crls, err);
}

/* Names of Verifiers, as they stand in a scheme. */
static enum atls_code take_verifier(const char *name, char **out, struct atls_err *err)
{
    size_t len = name == NULL ? 0 : strlen(name);

    if (name == NULL)
        return ATLS_OK;
    if (len == 0 || len > 255)
        return atls_fail(err, ATLS_E_CONFIG,
                         "config: name of a Verifier is %zu bytes, want 1 to 255", len);
    if ((*out = malloc(len + 1)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "config: out of memory");
    memcpy(*out, name, len + 1);
    return ATLS_OK;
}

static enum atls_code take_verifiers(struct atls_config *c, struct atls_err *err)
{
    enum atls_code code = take_verifier(c->options.accepted_verifier, &c->accepted_verifier, err);

    if (code == ATLS_OK)
        code = take_verifier(c->options.passport_verifier, &c->passport_verifier, err);
    return code;
}

/* Content of what only lives during atls_config_new was taken; the rest gets references. */
static void settle(struct atls_config *c)
{
    struct atls_config_options *o = &c->options;

    o->evidence_types = NULL;
    o->inner_protocols = NULL;
    o->profiles = NULL;
    o->accepted_verifier = c->accepted_verifier;
    o->passport_verifier = c->passport_verifier;
    o->anchors = atls_bytes_of(NULL, 0);
    o->crls = atls_bytes_of(NULL, 0);
    if (o->attester != NULL)
        atls_attester_ref(o->attester);
    if (o->passport != NULL)
        atls_passport_ref(o->passport);
    if (o->verifier != NULL)
        atls_verifier_ref(o->verifier);
    if (o->policy != NULL)
        atls_policy_ref(o->policy);
}

static void free_config(struct atls_config *c)
{
    for (size_t i = 0; i < ATLS_NAMES_COUNT; i++)
        atls_buf_clear(&c->names[i]);
    atls_buf_clear(&c->technologies);
    atls_anchors_unref(c->anchors);
    atls_chain_cache_free(c->cache);
    free(c->accepted_verifier);
    free(c->passport_verifier);
    free(c);
}

enum atls_code atls_config_new(const struct atls_config_options *options, struct atls_config **out,
                               struct atls_err *err)
{
    struct atls_config_options taken;
    struct atls_config *c;
    enum atls_code code;

    if ((code = take_options(options, &taken, err)) != ATLS_OK ||
        (code = check_roles(&taken, err)) != ATLS_OK ||
        (code = check_peer(&taken, err)) != ATLS_OK ||
        (code = check_flavour(&taken, err)) != ATLS_OK ||
        (code = check_limits(&taken, err)) != ATLS_OK)
        return code;
    if ((c = calloc(1, sizeof *c)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "config: out of memory");
    atomic_init(&c->references, 1);
    c->options = taken;
    if ((code = take_all_names(c, err)) != ATLS_OK || (code = take_verifiers(c, err)) != ATLS_OK ||
        (code = take_anchors(c, err)) != ATLS_OK) {
        free_config(c);
        return code;
    }
    settle(c);
    if (c->options.peer_optional)
        atls_log(&c->options.log, ATLS_LOG_WARNING, "config",
                 "attestation of the peer is optional: who shows none passes, not attested");
    if (c->options.attester != NULL && atls_attester_insecure(c->options.attester))
        atls_log(&c->options.log, ATLS_LOG_WARNING, "config",
                 "attester \"%s\" makes insecure evidence, for development only",
                 atls_attester_scheme(c->options.attester));
    *out = c;
    return ATLS_OK;
}

struct atls_config *atls_config_ref(struct atls_config *c)
{
    atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
    return c;
}

void atls_config_unref(struct atls_config *c)
{
    if (c == NULL || atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) != 1)
        return;
    atls_attester_unref(c->options.attester);
    atls_passport_unref(c->options.passport);
    atls_verifier_unref(c->options.verifier);
    atls_policy_unref(c->options.policy);
    free_config(c);
}
