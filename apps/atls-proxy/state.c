#include "state.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <atls/local.h>
#include <atls/openssl.h>
#include <atls/passport.h>
#include <atls/remote.h>
#include <atls/tpm2.h>

#include "context.h"
#include "file.h"
#include "log.h"
#include "selftest.h"
#include "text.h"

#define PEM_MAX (1024 * 1024)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct generation *alive, *dead; /* these three under the lock */
static struct state_tally *tallies;

/* "FILE:LINE: WHAT NAME: " before a message of the library. */
static enum atls_code at_line(const struct config *config, size_t line, const char *what,
                              const struct atls_err *inner, struct atls_err *err)
{
    enum atls_reason reason = inner->reason;

    set_error(err, inner->code, "%.80s:%zu: %.80s: %.240s", config->file, line, what,
              inner->message);
    if (err != NULL)
        err->reason = reason;
    return inner->code;
}

/* ---- what logs say that a message is about; as many as there are names, for the process ---- */

struct about {
    struct about *next;
    struct log_about about;
    char name[64];
};
static struct about *abouts; /* one thread */

static struct atls_log log_about(const char *key, const char *name)
{
    struct about *a = abouts;

    while (a != NULL && (a->about.key != key || strcmp(a->name, name) != 0))
        a = a->next;
    if (a == NULL && (a = calloc(1, sizeof *a)) != NULL) {
        snprintf(a->name, sizeof a->name, "%s", name);
        a->about = (struct log_about){key, a->name};
        a->next = abouts;
        abouts = a;
    }
    return (struct atls_log){a != NULL ? &a->about : NULL, ATLS_LOG_DEBUG, log_library};
}

static const char about_attester[] = "attester", about_verifier[] = "verifier",
                  about_route[] = "route";

/* ---- files ---- */

static bool is_same_file(const struct state_file *a, const struct state_file *b)
{
    if (!a->there || !b->there)
        return a->there == b->there;
    if (a->stat.st_dev != b->stat.st_dev || a->stat.st_ino != b->stat.st_ino)
        return false;
    return a->is_store || b->is_store ||
           (a->stat.st_size == b->stat.st_size &&
            a->stat.st_mtim.tv_sec == b->stat.st_mtim.tv_sec &&
            a->stat.st_mtim.tv_nsec == b->stat.st_mtim.tv_nsec);
}

static struct state_file look_at(const char *path)
{
    struct state_file file = {.path = path};

    file.there = stat(path, &file.stat) == 0;
    return file;
}

static const struct state_file *find_file(const struct generation *g, const char *path)
{
    for (size_t i = 0; i < g->file_count; i++)
        if (strcmp(g->files[i].path, path) == 0)
            return &g->files[i];
    return NULL;
}

static void add_file(struct generation *g, const char *path)
{
    if (path != NULL && find_file(g, path) == NULL)
        g->files[g->file_count++] = look_at(path);
}

static bool is_local(const struct config_verifier *v)
{
    return strncmp(v->uri, "local:", 6) == 0;
}

/* The store or the keys that a verifier's URI names as a file, or NULL. */
static const char *file_of(const struct config_verifier *v)
{
    const char *rest = strchr(v->uri, ':');

    if (rest == NULL || rest[1] == '\0' || strstr(v->uri, "://") != NULL)
        return NULL;
    return rest + 1;
}

static void add_file_of(struct generation *g, const struct config_verifier *v)
{
    const size_t count = g->file_count;

    add_file(g, file_of(v));
    if (g->file_count > count)
        g->files[count].is_store = is_local(v);
}

/* Looked at before they are read: what changes meanwhile is seen as changed. */
static enum atls_code list_files(struct generation *g, struct atls_err *err)
{
    const struct config *c = g->config;
    const size_t max =
        4 * c->attester_count + 3 * c->verifier_count + c->policy_count + 8 * c->route_count + 1;

    if ((g->files = calloc(max, sizeof *g->files)) == NULL)
        return set_error(err, ATLS_E_NOMEM, "configuration: out of memory");
    for (size_t i = 0; i < c->attester_count; i++) {
        add_file(g, c->attesters[i].certificate);
        add_file(g, c->attesters[i].endorsements);
        add_file(g, c->attesters[i].passport.ca);
        add_file(g, c->attesters[i].passport.result_keys);
    }
    for (size_t i = 0; i < c->verifier_count; i++) {
        add_file(g, c->verifiers[i].ca);
        add_file(g, c->verifiers[i].result_keys);
        add_file_of(g, &c->verifiers[i]);
    }
    for (size_t i = 0; i < c->policy_count; i++)
        add_file(g, c->policies[i].file);
    for (size_t i = 0; i < c->route_count; i++)
        for (int n = 0; n < 2; n++) {
            const struct config_tls *tls =
                n == 0 ? &c->routes[i].downstream.tls : &c->routes[i].upstream.tls;

            add_file(g, tls->certificate);
            add_file(g, tls->key);
            add_file(g, tls->ca);
            add_file(g, tls->crl);
        }
    return ATLS_OK;
}

/* Whether a file is the same for both; one that neither names is. */
static bool kept_file(const struct generation *a, const struct generation *b, const char *path)
{
    const struct state_file *in_a, *in_b;

    if (path == NULL)
        return true;
    in_a = find_file(a, path);
    in_b = find_file(b, path);
    return in_a != NULL && in_b != NULL && is_same_file(in_a, in_b);
}

/* FNV-1a, over what tells one file from another. */
static uint64_t add_number(uint64_t sum, uint64_t number)
{
    for (int i = 0; i < 8; i++, number >>= 8)
        sum = (sum ^ (number & 0xff)) * UINT64_C(0x100000001b3);
    return sum;
}

static uint64_t add_state(uint64_t sum, const struct state_file *file)
{
    sum = add_number(sum, file->there);
    if (!file->there)
        return sum;
    sum = add_number(sum, (uint64_t)file->stat.st_dev);
    sum = add_number(sum, (uint64_t)file->stat.st_ino);
    sum = add_number(sum, (uint64_t)file->stat.st_size);
    sum = add_number(sum, (uint64_t)file->stat.st_mtim.tv_sec);
    return add_number(sum, (uint64_t)file->stat.st_mtim.tv_nsec);
}

const char *generation_stale(const struct generation *g, struct state_stale *out)
{
    const char *path = NULL;

    *out = (struct state_stale){.sum = UINT64_C(0xcbf29ce484222325)};
    for (size_t i = 0; i < g->file_count; i++) {
        const struct state_file now = look_at(g->files[i].path);

        out->sum = add_state(out->sum, &now);
        if (!now.there || is_same_file(&now, &g->files[i]))
            continue;
        if (now.stat.st_mtim.tv_sec > out->latest_s)
            out->latest_s = now.stat.st_mtim.tv_sec;
        path = path == NULL ? g->files[i].path : path;
    }
    return path;
}

/* ---- attesters ---- */

static bool take_attester(struct generation *g, const struct generation *before,
                          struct opened_attester *a)
{
    for (size_t i = 0; before != NULL && i < before->config->attester_count; i++) {
        const struct opened_attester *old = &before->attesters[i];

        if (config_attester_same(old->config, a->config) &&
            kept_file(before, g, a->config->certificate) &&
            kept_file(before, g, a->config->endorsements) &&
            kept_file(before, g, a->config->passport.ca) &&
            kept_file(before, g, a->config->passport.result_keys)) {
            a->attester = atls_attester_ref(old->attester);
            a->passport = old->passport != NULL ? atls_passport_ref(old->passport) : NULL;
            atomic_store(&a->proven, atomic_load(&old->proven));
            return true;
        }
    }
    return false;
}

static enum atls_code open_passport(struct opened_attester *a, struct atls_err *err)
{
    const struct config_attester *c = a->config;
    struct atls_passport_options options;

    if (c->passport.line == 0)
        return ATLS_OK;
    atls_passport_options_init(&options);
    options.attester = a->attester;
    options.verifier_url = c->passport.url;
    options.ca_file = c->passport.ca;
    options.result_keys = c->passport.result_keys;
    options.timeout_ms = (uint32_t)c->passport.timeout_s * 1000;
    options.lifetime_s = c->passport.lifetime_s;
    options.log = log_about(about_attester, c->name);
    options.later = true; /* other routes do not wait for this service */
    return atls_passport_open(&options, &a->passport, err);
}

static void count_evidence(void *arg, enum atls_code code, int64_t duration_us)
{
    metrics_worked(arg, code == ATLS_OK, duration_us);
}

static enum atls_code open_attester(struct opened_attester *a, struct atls_err *err)
{
    static const struct atls_attester_ops *const backends[] = {
        &atls_tpm2_attester, &atls_tsm_attester, &atls_soft_attester, NULL};
    const struct config_attester *c = a->config;
    struct atls_attester_options options;
    enum atls_code code;

    atls_attester_options_init(&options);
    options.certificate = c->certificate;
    options.endorsements = c->endorsements;
    options.insecure = c->insecure;
    options.dns_names = c->dns_names.count > 0 ? c->dns_names.at : NULL;
    options.common_name = c->dns_names.count > 0 ? c->dns_names.at[0] : NULL;
    options.log = log_about(about_attester, c->name);
    options.made = count_evidence;
    options.made_arg = a->metrics;
    if ((code = atls_attester_open(c->uri, backends, &options, &a->attester, err)) != ATLS_OK)
        return code;
    return open_passport(a, err);
}

static enum atls_code open_attesters(struct generation *g, const struct generation *before,
                                     struct atls_err *err)
{
    for (size_t i = 0; i < g->config->attester_count; i++) {
        struct opened_attester *a = &g->attesters[i];
        struct atls_err inner = ATLS_ERR_INIT;
        char what[80];

        a->config = &g->config->attesters[i];
        a->metrics = metrics_part(METRICS_ATTESTER, a->config->name);
        if (take_attester(g, before, a) || open_attester(a, &inner) == ATLS_OK)
            continue;
        selftest_explain(a->config->uri, &inner);
        snprintf(what, sizeof what, "attester %.63s", a->config->name);
        return at_line(g->config, a->config->line, what, &inner, err);
    }
    return ATLS_OK;
}

/* ---- verifiers, policies ---- */

static bool take_verifier(struct generation *g, const struct generation *before,
                          struct opened_verifier *v)
{
    for (size_t i = 0; before != NULL && i < before->config->verifier_count; i++) {
        const struct opened_verifier *old = &before->verifiers[i];

        if (config_verifier_same(old->config, v->config) && kept_file(before, g, v->config->ca) &&
            kept_file(before, g, v->config->result_keys) &&
            kept_file(before, g, file_of(v->config))) {
            v->verifier = atls_verifier_ref(old->verifier);
            v->counts = old->counts;
            atomic_store(&v->generation, atomic_load(&old->generation));
            return true;
        }
    }
    return false;
}

/* As it is before the first connection is judged by it. */
static enum atls_code count_changes(struct opened_verifier *v, struct atls_err *err)
{
    uint64_t generation = 0;
    enum atls_code code = atls_verifier_generation(v->verifier, &generation, err);

    v->counts = code == ATLS_OK;
    atomic_store(&v->generation, generation);
    return code == ATLS_E_UNSUPPORTED ? ATLS_OK : code;
}

static enum atls_code open_verifier(struct opened_verifier *v, struct atls_err *err)
{
    static const struct atls_verifier_ops *const backends[] = {
        &atls_local_verifier, &atls_veraison_verifier, &atls_passport_verifier, NULL};
    const struct config_verifier *c = v->config;
    const char *rules[RULES_MAX + 1] = {NULL}, *collateral[5] = {NULL};
    struct atls_verifier_options options;
    enum atls_code code;

    for (size_t i = 0; i < c->rule_count; i++)
        rules[i] = c->rules[i];
    for (size_t i = 0; i < c->collateral_count; i++)
        collateral[i] = c->collateral[i];
    atls_verifier_options_init(&options);
    options.allow_insecure_technology = c->insecure;
    options.allow_sha1_pcr_bank = c->allow_sha1_pcr_bank;
    options.allow_unsafe_clock = c->allow_unsafe_clock;
    options.allow_ima_violations = c->allow_ima_violations;
    options.require_ak_eku = c->require_ak_eku;
    options.log = log_about(about_verifier, c->name);
    options.ca_file = c->ca;
    options.result_keys = c->result_keys;
    options.timeout_ms = (uint32_t)c->timeout_s * 1000;
    options.result_max_age_s = c->max_age_s;
    options.result_echoes_binder = c->fresh_result;
    options.rules = rules;
    options.collateral_from = c->collateral_count > 0 ? collateral : NULL;
    code = atls_verifier_open(c->uri, backends, &options, &v->verifier, err);
    return code == ATLS_OK ? count_changes(v, err) : code;
}

static enum atls_code open_verifiers(struct generation *g, const struct generation *before,
                                     struct atls_err *err)
{
    for (size_t i = 0; i < g->config->verifier_count; i++) {
        struct opened_verifier *v = &g->verifiers[i];
        struct atls_err inner = ATLS_ERR_INIT;
        char what[80];

        v->config = &g->config->verifiers[i];
        v->metrics = metrics_part(METRICS_VERIFIER, v->config->name);
        if (take_verifier(g, before, v) || open_verifier(v, &inner) == ATLS_OK)
            continue;
        selftest_explain(v->config->uri, &inner);
        snprintf(what, sizeof what, "verifier %.63s", v->config->name);
        return at_line(g->config, v->config->line, what, &inner, err);
    }
    return ATLS_OK;
}

static bool take_policy(struct generation *g, const struct generation *before,
                        struct opened_policy *p)
{
    for (size_t i = 0; before != NULL && i < before->config->policy_count; i++) {
        const struct opened_policy *old = &before->policies[i];

        if (config_policy_same(old->config, p->config) && kept_file(before, g, p->config->file)) {
            p->policy = atls_policy_ref(old->policy);
            return true;
        }
    }
    return false;
}

static enum atls_code open_policies(struct generation *g, const struct generation *before,
                                    struct atls_err *err)
{
    const size_t count = g->config->policy_count;

    for (size_t i = 0; i < count; i++) {
        struct opened_policy *p = &g->policies[i];
        struct atls_err inner = ATLS_ERR_INIT;
        char what[80];

        p->config = &g->config->policies[i];
        if (take_policy(g, before, p) ||
            atls_policy_load(p->config->file, &p->policy, &inner) == ATLS_OK)
            continue;
        snprintf(what, sizeof what, "policy %.63s", p->config->name);
        return at_line(g->config, p->config->line, what, &inner, err);
    }
    if (before != NULL) {
        g->policies[count].policy =
            atls_policy_ref(before->policies[before->config->policy_count].policy);
        return ATLS_OK;
    }
    return atls_policy_default(&g->policies[count].policy, err);
}

/* ---- sides ---- */

static struct state_route *find_route(const struct generation *g, const char *name)
{
    for (size_t i = 0; i < g->config->route_count; i++)
        if (strcmp(g->routes[i].config->name, name) == 0)
            return &g->routes[i];
    return NULL;
}

/* That of the same side before, so that open connections are judged by what is new. */
static enum atls_code take_judge(struct state_side *side, const char *route,
                                 const struct state_side *old, struct atls_err *err)
{
    if (old != NULL && old->judge != NULL && judge_suits(old->judge, side->verifier->verifier)) {
        side->judge = judge_ref(old->judge);
        return ATLS_OK;
    }
    return judge_new(route, atls_verifier_input(side->verifier->verifier),
                     atls_verifier_wants_binder(side->verifier->verifier), &side->judge, err);
}

static enum atls_code read_pem(const char *path, struct atls_buf *out, struct atls_err *err)
{
    return path != NULL ? file_read(path, FILE_PUBLIC, PEM_MAX, out, err) : ATLS_OK;
}

static void set_flavour(const struct config_side *c, struct atls_config_options *o)
{
    o->flavour = c->flavour;
    o->freshness = c->freshness;
    o->secret_binder = c->secret_binder;
    o->extension_type = (uint16_t)c->extension_type;
    o->certificate_lifetime_s = (uint32_t)c->certificate_lifetime_s;
    o->certificate_max_age_s = (uint32_t)c->certificate_max_age_s;
    if (c->flavour != ATLS_FLAVOUR_INTRA)
        return;
    if (c->require.line > 0 && c->require.verifier->accepted[0] != '\0')
        o->accepted_verifier = c->require.verifier->accepted;
    if (c->attester != NULL && c->attester->passport.verifier[0] != '\0')
        o->passport_verifier = c->attester->passport.verifier;
}

static void set_peer(const struct config_side *c, const struct context_pem *pem,
                     struct atls_config_options *o)
{
    o->require_peer = true;
    o->peer_optional = c->require.presence == CONFIG_PRESENCE_OPTIONAL;
    o->identity = c->require.identity;
    if (c->require.evidence_types.count > 0)
        o->evidence_types = c->require.evidence_types.at;
    if (c->require.profiles.count > 0)
        o->profiles = c->require.profiles.at;
    if (c->require.identity == ATLS_IDENTITY_PKIX) {
        o->anchors = atls_buf_bytes(&pem->ca);
        o->system_anchors = c->tls.ca == NULL;
        o->crls = atls_buf_bytes(&pem->crl);
    }
}

static enum atls_code make_config(const struct state_route *r, struct state_side *side,
                                  const struct context_pem *pem, struct atls_err *err)
{
    const struct config_side *c = side->config;
    const struct opened_attester *own = NULL;
    struct atls_config_options o;
    enum atls_code code = ATLS_OK;

    atls_config_options_init(&o);
    if (c->attester != NULL) {
        own = &r->generation->attesters[c->attester - r->generation->config->attesters];
        o.attester = own->attester;
        o.passport = own->passport;
        o.passport_only = own->passport != NULL && c->attester->passport.only;
    }
    o.require_self = c->require_self;
    o.raw = c->raw;
    o.inner_protocols = c->alpn.count > 0 ? c->alpn.at : NULL;
    o.gate_timeout_ms = o.answer_timeout_ms = (uint32_t)r->config->deadlines.gate_timeout_s * 1000;
    o.bytes_before_gate = (uint32_t)r->config->deadlines.bytes_before_gate;
    o.reattest_interval_s = (uint32_t)c->reattest_interval_s;
    o.on_failure = c->on_failure;
    o.log = log_about(about_route, r->config->name);
    set_flavour(c, &o);
    if (side->judge != NULL) {
        set_peer(c, pem, &o);
        if ((code = judge_verifier(side->judge, &o.verifier, err)) == ATLS_OK)
            code = judge_policy(side->judge, &o.policy, err);
    }
    if (code == ATLS_OK)
        code = atls_config_new(&o, &side->attested, err);
    atls_verifier_unref(o.verifier);
    atls_policy_unref(o.policy);
    return code;
}

static enum atls_code open_side(struct state_route *r, enum link_side_number number,
                                const struct state_side *old, struct atls_err *err)
{
    struct state_side *side = &r->side[number];
    const struct config_side *c = side->config;
    const struct config *all = r->generation->config;
    struct context_pem pem = {ATLS_BUF_INIT, ATLS_BUF_INIT};
    enum atls_code code = ATLS_OK;

    if (c->require.line > 0) {
        side->verifier = &r->generation->verifiers[c->require.verifier - all->verifiers];
        side->policy =
            &r->generation
                 ->policies[c->require.policy != NULL ? (size_t)(c->require.policy - all->policies)
                                                      : all->policy_count];
        code = take_judge(side, r->config->name, old, err);
    }
    if (code == ATLS_OK && (code = read_pem(c->tls.ca, &pem.ca, err)) == ATLS_OK &&
        (code = read_pem(c->tls.crl, &pem.crl, err)) == ATLS_OK &&
        (code = make_config(r, side, &pem, err)) == ATLS_OK)
        code = context_new(c, number == LINK_DOWNSTREAM, side->attested, &pem, &side->tls, err);
    atls_buf_clear(&pem.ca);
    atls_buf_clear(&pem.crl);
    return code;
}

/* ---- routes ---- */

static struct state_tally *tally_get(const char *name)
{
    struct state_tally *t;

    pthread_mutex_lock(&lock);
    for (t = tallies; t != NULL && strcmp(t->name, name) != 0; t = t->next)
        ;
    if (t == NULL && (t = calloc(1, sizeof *t)) != NULL) {
        snprintf(t->name, sizeof t->name, "%s", name);
        t->next = tallies;
        tallies = t;
    }
    if (t != NULL)
        t->refs++;
    pthread_mutex_unlock(&lock);
    return t;
}

static void tally_back(struct state_tally *t)
{
    struct state_tally **at = &tallies;

    if (t == NULL)
        return;
    pthread_mutex_lock(&lock);
    if (--t->refs == 0) {
        while (*at != t)
            at = &(*at)->next;
        *at = t->next;
        free(t);
    }
    pthread_mutex_unlock(&lock);
}

static void set_target(struct link_target *target, const struct address *address)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&target->address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&target->address;
    struct sockaddr_un *path = (struct sockaddr_un *)&target->address;

    target->host = address->host;
    target->port = address->port;
    if (address->family == ADDRESS_UNIX) {
        path->sun_family = AF_UNIX;
        snprintf(path->sun_path, sizeof path->sun_path, "%s", address->path);
        target->address_len = sizeof *path;
    } else if (inet_pton(AF_INET, address->host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)strtoul(address->port, NULL, 10));
        target->address_len = sizeof *v4;
    } else if (inet_pton(AF_INET6, address->host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)strtoul(address->port, NULL, 10));
        target->address_len = sizeof *v6;
    }
}

static void set_link(struct state_route *r)
{
    const struct config_route *c = r->config;

    r->link.name = c->name;
    r->link.lane = (unsigned)(r - r->generation->routes);
    for (int n = 0; n < 2; n++) {
        const struct state_side *side = &r->side[n];

        if (side->tls == NULL)
            continue;
        r->link.side[n] = (struct link_side){.ctx = side->tls,
                                             .config = side->attested,
                                             .flavour = side->config->flavour,
                                             .raw = side->config->raw};
        if (n == LINK_UPSTREAM)
            r->link.side[n].peer_name = c->upstream.tls.name;
    }
    set_target(&r->link.target, &c->target);
    r->link.handshake_timeout_ms = 1000 * c->deadlines.handshake_timeout_s;
    r->link.dial_timeout_ms = 1000 * c->deadlines.dial_timeout_s;
    r->link.idle_timeout_ms = 1000 * c->deadlines.idle_timeout_s;
    r->link.arg = r;
}

static enum atls_code open_route(struct state_route *r, const struct generation *before,
                                 struct atls_err *err)
{
    const struct state_route *old = before != NULL ? find_route(before, r->config->name) : NULL;
    const struct config_side *const sides[] = {&r->config->downstream, &r->config->upstream};
    char what[80];

    if ((r->tally = tally_get(r->config->name)) == NULL)
        return set_error(err, ATLS_E_NOMEM, "configuration: out of memory");
    r->metrics = metrics_route(r->config->name);
    for (int n = 0; n < 2; n++) {
        struct atls_err inner = ATLS_ERR_INIT;

        if (sides[n]->line == 0)
            continue;
        r->side[n].config = sides[n];
        if (open_side(r, (enum link_side_number)n, old != NULL ? &old->side[n] : NULL, &inner) ==
            ATLS_OK)
            continue;
        snprintf(what, sizeof what, "route %.40s %s", r->config->name,
                 n == LINK_DOWNSTREAM ? "downstream" : "upstream");
        return at_line(r->generation->config, sides[n]->line, what, &inner, err);
    }
    set_link(r);
    return ATLS_OK;
}

static enum atls_code open_routes(struct generation *g, const struct generation *before,
                                  struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    for (size_t i = 0; i < g->config->route_count && code == ATLS_OK; i++) {
        g->routes[i].generation = g;
        g->routes[i].config = &g->config->routes[i];
        code = open_route(&g->routes[i], before, err);
    }
    return code;
}

static void set_doors(struct generation *g)
{
    for (size_t i = 0; i < g->config->listener_count; i++) {
        struct state_door *d = &g->doors[i];

        d->generation = g;
        d->config = &g->config->listeners[i];
        d->source.arg = d;
        for (size_t n = 0; n < d->config->route_count; n++) {
            const int64_t timeout_ms = 1000 * d->config->routes[n]->deadlines.handshake_timeout_s;

            d->routes[n] = &g->routes[d->config->routes[n] - g->config->routes];
            if (timeout_ms > d->source.handshake_timeout_ms)
                d->source.handshake_timeout_ms = timeout_ms;
        }
    }
}

/* ---- generations ---- */

static void side_clear(struct state_side *side)
{
    SSL_CTX_free(side->tls);
    atls_config_unref(side->attested);
    judge_unref(side->judge);
}

static void routes_free(struct generation *g)
{
    for (size_t i = 0; g->routes != NULL && i < g->config->route_count; i++) {
        side_clear(&g->routes[i].side[LINK_DOWNSTREAM]);
        side_clear(&g->routes[i].side[LINK_UPSTREAM]);
        tally_back(g->routes[i].tally);
    }
    free(g->routes);
    free(g->doors);
}

static void config_unref(struct state_config *shared)
{
    if (shared == NULL || atomic_fetch_sub(&shared->refs, 1) != 1)
        return;
    config_free(shared->config);
    free(shared);
}

static void generation_free(struct generation *g)
{
    if (g == NULL)
        return;
    routes_free(g);
    for (size_t i = 0; g->attesters != NULL && i < g->config->attester_count; i++) {
        atls_passport_unref(g->attesters[i].passport);
        atls_attester_unref(g->attesters[i].attester);
    }
    for (size_t i = 0; g->verifiers != NULL && i < g->config->verifier_count; i++)
        atls_verifier_unref(g->verifiers[i].verifier);
    for (size_t i = 0; g->policies != NULL && i <= g->config->policy_count; i++)
        atls_policy_unref(g->policies[i].policy);
    free(g->attesters);
    free(g->verifiers);
    free(g->policies);
    free(g->files);
    config_unref(g->shared);
    free(g);
}

static struct generation *generation_alloc(struct state_config *shared)
{
    static unsigned numbers;
    const struct config *c = shared->config;
    struct generation *g = calloc(1, sizeof *g);

    if (g == NULL)
        return NULL;
    g->config = c;
    g->attesters = calloc(c->attester_count + 1, sizeof *g->attesters);
    g->verifiers = calloc(c->verifier_count + 1, sizeof *g->verifiers);
    g->policies = calloc(c->policy_count + 1, sizeof *g->policies);
    g->routes = calloc(c->route_count + 1, sizeof *g->routes);
    g->doors = calloc(c->listener_count + 1, sizeof *g->doors);
    if (g->attesters == NULL || g->verifiers == NULL || g->policies == NULL || g->routes == NULL ||
        g->doors == NULL) {
        generation_free(g);
        return NULL;
    }
    g->number = ++numbers;
    atomic_init(&g->refs, 1);
    return g;
}

/* Takes no reference to shared when it fails. */
static enum atls_code generation_open(struct state_config *shared, struct generation *before,
                                      struct generation **out, struct atls_err *err)
{
    struct generation *g = generation_alloc(shared);
    enum atls_code code;

    if (g == NULL)
        return set_error(err, ATLS_E_NOMEM, "configuration: out of memory");
    if ((code = list_files(g, err)) != ATLS_OK ||
        (code = open_attesters(g, before, err)) != ATLS_OK ||
        (code = open_verifiers(g, before, err)) != ATLS_OK ||
        (code = open_policies(g, before, err)) != ATLS_OK ||
        (code = open_routes(g, before, err)) != ATLS_OK) {
        generation_free(g);
        return code;
    }
    set_doors(g);
    atomic_fetch_add(&shared->refs, 1);
    g->shared = shared;
    pthread_mutex_lock(&lock);
    g->next = alive;
    alive = g;
    pthread_mutex_unlock(&lock);
    metrics_generations(1);
    *out = g;
    return ATLS_OK;
}

enum atls_code generation_new(struct config *config, struct generation *before,
                              struct generation **out, struct atls_err *err)
{
    struct state_config *shared = calloc(1, sizeof *shared);
    enum atls_code code;

    if (shared == NULL)
        return set_error(err, ATLS_E_NOMEM, "configuration: out of memory");
    atomic_init(&shared->refs, 1);
    shared->config = config;
    if ((code = generation_open(shared, before, out, err)) == ATLS_OK)
        config_unref(shared);
    else
        free(shared);
    return code;
}

enum atls_code generation_renew(struct generation *before, struct generation **out,
                                struct atls_err *err)
{
    return generation_open(before->shared, before, out, err);
}

void generation_commit(struct generation *g)
{
    for (size_t i = 0; i < g->config->route_count; i++)
        for (int n = 0; n < 2; n++) {
            struct state_side *side = &g->routes[i].side[n];

            if (side->judge == NULL)
                continue;
            judge_set(side->judge, side->verifier->verifier, side->verifier->metrics,
                      side->policy->policy);
            atomic_store(&side->asked, judge_turn(side->judge));
        }
}

struct generation *generation_ref(struct generation *g)
{
    atomic_fetch_add(&g->refs, 1);
    return g;
}

void generation_unref(struct generation *g)
{
    struct generation **at = &alive;

    if (g == NULL || atomic_fetch_sub(&g->refs, 1) != 1)
        return;
    pthread_mutex_lock(&lock);
    while (*at != g)
        at = &(*at)->next;
    *at = g->next;
    g->next = dead;
    dead = g;
    pthread_mutex_unlock(&lock);
}

void generation_bury(void)
{
    for (;;) {
        struct generation *g;

        pthread_mutex_lock(&lock);
        if ((g = dead) != NULL)
            dead = g->next;
        pthread_mutex_unlock(&lock);
        if (g == NULL)
            return;
        generation_free(g);
        metrics_generations(-1);
    }
}

/* The first from *at on, under the lock; one whose last reference is just going is passed over. */
static struct generation *hold_from(struct generation *g)
{
    for (; g != NULL; g = g->next) {
        unsigned refs = atomic_load(&g->refs);

        while (refs > 0)
            if (atomic_compare_exchange_weak(&g->refs, &refs, refs + 1))
                return g;
    }
    return NULL;
}

void generation_each(void (*visit)(void *arg, struct generation *g), void *arg)
{
    struct generation *g, *next;

    pthread_mutex_lock(&lock);
    g = hold_from(alive);
    pthread_mutex_unlock(&lock);
    while (g != NULL) {
        visit(arg, g);
        pthread_mutex_lock(&lock);
        next = hold_from(g->next);
        pthread_mutex_unlock(&lock);
        generation_unref(g);
        g = next;
    }
}
