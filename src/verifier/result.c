#include "verifier/result.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/json_writer.h"
#include "wire/ar4si.h"

struct atls_result {
    atomic_uint references;
    struct atls_claims claims;
    struct atls_outcome outcome;
    enum atls_tier status;
    int64_t issued_at;
    size_t nonce_len;
    uint8_t nonce[48];
    char explanation[ATLS_EXPLANATION_LEN];
    _Atomic(char *) json; /* made by whoever asks first */
};

void atls_outcome_problem(struct atls_outcome *outcome, enum atls_reason reason, const char *format,
                          ...)
{
    va_list args;

    if (outcome->problem_count == 0)
        outcome->reason = reason;
    if (outcome->problem_count < ATLS_PROBLEMS_MAX) {
        va_start(args, format);
        vsnprintf(outcome->problems[outcome->problem_count], ATLS_PROBLEM_LEN, format, args);
        va_end(args);
    }
    outcome->problem_count++;
}

static enum atls_tier bounded_status(const struct atls_outcome *outcome)
{
    enum atls_tier status = outcome->status;

    for (size_t i = 0; i < ATLS_TRUST_CLAIMS; i++) {
        enum atls_tier tier = atls_tier_of(outcome->trust[i]);

        if (!atls_tier_allows(tier, status))
            status = tier;
    }
    return status;
}

/* The named problems in one sentence, cut at a whole problem where there are more. */
static void explain(const struct atls_outcome *outcome, char out[static ATLS_EXPLANATION_LEN])
{
    static const size_t room_for_count = 32; /* "; and 18446744073709551615 more" */
    size_t named = outcome->problem_count, used = 0, shown = 0;

    if (named > ATLS_PROBLEMS_MAX)
        named = ATLS_PROBLEMS_MAX;
    out[0] = '\0';
    for (; shown < named; shown++) {
        size_t len = strlen(outcome->problems[shown]);

        if (shown > 0 && len + 2 > ATLS_EXPLANATION_LEN - room_for_count - used)
            break;
        used += (size_t)snprintf(out + used, ATLS_EXPLANATION_LEN - used, "%s%s",
                                 shown > 0 ? "; " : "", outcome->problems[shown]);
    }
    if (shown < outcome->problem_count)
        snprintf(out + used, ATLS_EXPLANATION_LEN - used, "; and %zu more",
                 outcome->problem_count - shown);
}

enum atls_code atls_result_new(struct atls_claims *claims, const struct atls_outcome *outcome,
                               struct atls_bytes binder, int64_t issued_at,
                               struct atls_result **out, struct atls_err *err)
{
    struct atls_result *r;

    if (binder.len != 32 && binder.len != 48)
        return atls_fail_reason(err, ATLS_E_USAGE, ATLS_REASON_BINDER_MISSING,
                                "result: binder of %zu bytes, want 32 or 48", binder.len);
    if (claims->submod == NULL || claims->technology == NULL || claims->key_spki.len == 0 ||
        outcome->policy_id == NULL)
        return atls_fail(err, ATLS_E_USAGE,
                         "result: technology, submodule, attested key or policy id is missing");
    if ((r = calloc(1, sizeof *r)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "result: out of memory");
    atomic_init(&r->references, 1);
    atomic_init(&r->json, NULL);
    r->outcome = *outcome;
    r->status = bounded_status(outcome);
    if (r->status != ATLS_TIER_AFFIRMING)
        explain(outcome, r->explanation);
    r->issued_at = issued_at;
    r->nonce_len = binder.len;
    memcpy(r->nonce, binder.ptr, binder.len);
    r->claims = *claims;
    memset(claims, 0, sizeof *claims);
    *out = r;
    return ATLS_OK;
}

struct atls_result *atls_result_ref(struct atls_result *r)
{
    atomic_fetch_add_explicit(&r->references, 1, memory_order_relaxed);
    return r;
}

void atls_result_unref(struct atls_result *r)
{
    if (r == NULL || atomic_fetch_sub_explicit(&r->references, 1, memory_order_acq_rel) != 1)
        return;
    atls_claims_clear(&r->claims);
    free(atomic_load(&r->json));
    free(r);
}

enum atls_tier atls_result_status(const struct atls_result *r)
{
    return r->status;
}

size_t atls_result_submods(const struct atls_result *r)
{
    (void)r; /* each technology of this version appraises as one submodule */
    return 1;
}

const char *atls_result_submod_name(const struct atls_result *r, size_t index)
{
    return index == 0 ? r->claims.submod : "";
}

enum atls_tier atls_result_submod_status(const struct atls_result *r, size_t index)
{
    return index == 0 ? r->status : ATLS_TIER_NONE;
}

int atls_result_submod_trust(const struct atls_result *r, size_t index, enum atls_trust_claim claim)
{
    if (index != 0 || (unsigned int)claim >= ATLS_TRUST_CLAIMS)
        return 0;
    return r->outcome.trust[claim];
}

const char *atls_result_evidence_type(const struct atls_result *r)
{
    return r->claims.technology;
}

bool atls_result_insecure(const struct atls_result *r)
{
    return r->claims.insecure;
}

int64_t atls_result_issued_at(const struct atls_result *r)
{
    return r->issued_at;
}

struct atls_bytes atls_result_key(const struct atls_result *r)
{
    return r->claims.key_spki;
}

struct atls_bytes atls_result_instance(const struct atls_result *r)
{
    return r->claims.instance;
}

struct atls_bytes atls_result_nonce(const struct atls_result *r)
{
    return atls_bytes_of(r->nonce, r->nonce_len);
}

const char *atls_result_explanation(const struct atls_result *r)
{
    return r->explanation;
}

enum atls_reason atls_result_reason(const struct atls_result *r)
{
    return r->status == ATLS_TIER_AFFIRMING ? ATLS_REASON_NONE : r->outcome.reason;
}

static void walk_text(const struct atls_result_sink *s, const char *key, const char *text)
{
    s->put_text(s->arg, key, atls_bytes_of(text, strlen(text)));
}

/* Name of a digest: of its hash, or its number in the IANA named information registry. */
static const char *digest_name(const struct atls_digest *digest, char *out, size_t size)
{
    if (digest->hash != ATLS_HASH_NONE)
        return atls_hash_name(digest->hash);
    snprintf(out, size, "%" PRId64, digest->named_information);
    return out;
}

static void walk_mkey(const struct atls_result_sink *s, const struct atls_mkey *key)
{
    switch (key->kind) {
    case ATLS_MKEY_UINT:
        s->put_uint(s->arg, "key", key->number);
        break;
    case ATLS_MKEY_TEXT:
        s->put_text(s->arg, "key", key->bytes);
        break;
    case ATLS_MKEY_OID:
    case ATLS_MKEY_UUID:
        s->put_hex(s->arg, "key", key->bytes);
        break;
    case ATLS_MKEY_NONE:
    default:
        break;
    }
}

static void walk_digests(const struct atls_result_sink *s, const char *key,
                         const struct atls_digest *digests, size_t count)
{
    char number[24];

    s->open_object(s->arg, key);
    for (size_t i = 0; i < count; i++)
        s->put_hex(s->arg, digest_name(&digests[i], number, sizeof number), digests[i].value);
    s->close(s->arg);
}

static void walk_flags(const struct atls_result_sink *s, const struct atls_mval *v)
{
    static const char *const names[] = {
        "configured",          "secure",           "recovery",  "debug", "replay-protected",
        "integrity-protected", "runtime-measured", "immutable", "tcb",   "confidential",
        "runtime-updatable",
    };

    s->open_object(s->arg, "flags");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (v->flags_known >> i & 1)
            s->put_bool(s->arg, names[i], v->flags >> i & 1);
    s->close(s->arg);
}

/* Tag and content: text of 554 to 556, bytes of the others. */
static void walk_keys(const struct atls_result_sink *s, const struct atls_mval *v)
{
    s->open_array(s->arg, "cryptokeys");
    for (size_t i = 0; i < v->key_count; i++) {
        bool text = v->keys[i].tag >= ATLS_TAG_PKIX_KEY && v->keys[i].tag <= ATLS_TAG_PKIX_PATH;

        s->open_object(s->arg, NULL);
        s->put_uint(s->arg, "tag", v->keys[i].tag);
        if (text)
            s->put_text(s->arg, "text", v->keys[i].content);
        else
            s->put_hex(s->arg, "content", v->keys[i].content);
        s->close(s->arg);
    }
    s->close(s->arg);
}

static void walk_registers(const struct atls_result_sink *s, const struct atls_mval *v)
{
    s->open_array(s->arg, "integrity-registers");
    for (size_t i = 0; i < v->register_count; i++) {
        const struct atls_integrity_register *r = &v->registers[i];

        s->open_object(s->arg, NULL);
        if (r->name.ptr == NULL)
            s->put_uint(s->arg, "id", r->number);
        else
            s->put_text(s->arg, "id", r->name);
        walk_digests(s, "digests", r->digests, r->digest_count);
        s->close(s->arg);
    }
    s->close(s->arg);
}

/* A number, or an object with the bounds that there are. */
static void walk_range(const struct atls_result_sink *s, const struct atls_int_range *range)
{
    if (!range->is_range) {
        s->put_int(s->arg, "int-range", range->least);
        return;
    }
    s->open_object(s->arg, "int-range");
    if (range->has_least)
        s->put_int(s->arg, "min", range->least);
    if (range->has_most)
        s->put_int(s->arg, "max", range->most);
    s->close(s->arg);
}

/* Members that only a profile gives meaning: number and encoded item. */
static void walk_extensions(const struct atls_result_sink *s, const struct atls_mval *v)
{
    s->open_array(s->arg, "extensions");
    for (size_t i = 0; i < v->extension_count; i++) {
        s->open_object(s->arg, NULL);
        s->put_int(s->arg, "key", v->extensions[i].key);
        s->put_hex(s->arg, "item", v->extensions[i].item);
        s->close(s->arg);
    }
    s->close(s->arg);
}

static void walk_identifiers(const struct atls_result_sink *s, const struct atls_mval *v)
{
    if (v->present & ATLS_MVAL_MAC)
        s->put_hex(s->arg, "mac-address", v->mac);
    if (v->present & ATLS_MVAL_IP)
        s->put_hex(s->arg, "ip-address", v->ip);
    if (v->present & ATLS_MVAL_SERIAL)
        s->put_text(s->arg, "serial-number", v->serial);
    if (v->present & ATLS_MVAL_UEID)
        s->put_hex(s->arg, "ueid", v->ueid);
    if (v->present & ATLS_MVAL_UUID)
        s->put_hex(s->arg, "uuid", v->uuid);
}

/* The members of the object that is open. */
static void walk_mval(const struct atls_result_sink *s, const struct atls_mval *v)
{
    if (v->present & ATLS_MVAL_VERSION)
        s->put_text(s->arg, "version", v->version);
    if (v->present & ATLS_MVAL_SVN)
        s->put_uint(s->arg, "svn", v->svn);
    if (v->present & ATLS_MVAL_MIN_SVN)
        s->put_uint(s->arg, "min-svn", v->svn);
    if (v->present & ATLS_MVAL_FLAGS)
        walk_flags(s, v);
    if (v->present & ATLS_MVAL_NAME)
        s->put_text(s->arg, "name", v->name);
    if (v->present & ATLS_MVAL_RAW)
        s->put_hex(s->arg, "raw-value", v->raw);
    if ((v->present & ATLS_MVAL_RAW) != 0 && v->mask.ptr != NULL)
        s->put_hex(s->arg, "raw-value-mask", v->mask);
    walk_identifiers(s, v);
    if (v->present & ATLS_MVAL_KEYS)
        walk_keys(s, v);
    if (v->present & ATLS_MVAL_REGISTERS)
        walk_registers(s, v);
    if (v->present & ATLS_MVAL_INT_RANGE)
        walk_range(s, &v->range);
    if (v->present & ATLS_MVAL_EXTENSIONS)
        walk_extensions(s, v);
    if (v->present & ATLS_MVAL_DIGESTS)
        walk_digests(s, "digests", v->digests, v->digest_count);
}

static void walk_measurement(const struct atls_result_sink *s, const struct atls_measurement *m)
{
    s->open_object(s->arg, NULL);
    walk_mkey(s, &m->mkey);
    walk_mval(s, &m->mval);
    s->close(s->arg);
}

static void walk_detail(const struct atls_result_sink *s, const char *key,
                        const struct atls_detail *d)
{
    switch (d->type) {
    case ATLS_DETAIL_UINT:
        s->put_uint(s->arg, key, d->number);
        break;
    case ATLS_DETAIL_BOOL:
        s->put_bool(s->arg, key, d->number != 0);
        break;
    case ATLS_DETAIL_BYTES:
        s->put_hex(s->arg, key, d->bytes);
        break;
    case ATLS_DETAIL_TEXT:
        s->put_text(s->arg, key, d->bytes);
        break;
    }
}

/* Index of the next detail of the same name behind index, or the count of details. */
static size_t next_alike(const struct atls_claims *claims, size_t index)
{
    size_t i = index + 1;

    while (i < claims->detail_count &&
           strcmp(claims->details[i].name, claims->details[index].name) != 0)
        i++;
    return i;
}

static bool is_repetition(const struct atls_claims *claims, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (strcmp(claims->details[i].name, claims->details[index].name) == 0)
            return true;
    return false;
}

/* Members of an object are unique: details of one name become an array. */
static void walk_details(const struct atls_claims *claims, const struct atls_result_sink *s)
{
    s->open_object(s->arg, "details");
    for (size_t i = 0; i < claims->detail_count; i++) {
        const struct atls_detail *d = &claims->details[i];

        if (is_repetition(claims, i))
            continue;
        if (next_alike(claims, i) == claims->detail_count) {
            walk_detail(s, d->name, d);
            continue;
        }
        s->open_array(s->arg, d->name);
        for (size_t k = i; k < claims->detail_count; k = next_alike(claims, k))
            walk_detail(s, NULL, &claims->details[k]);
        s->close(s->arg);
    }
    s->close(s->arg);
}

/* ear_attester_claims: what the evidence says, whether or not a reference value covers it. */
static void walk_attester_claims(const struct atls_result *r, const struct atls_result_sink *s)
{
    s->open_object(s->arg, "ear_attester_claims");
    walk_text(s, "technology", r->claims.technology);
    if (r->claims.instance.len != 0)
        s->put_hex(s->arg, "instance", r->claims.instance);
    if (r->claims.environment.vendor.len != 0)
        s->put_text(s->arg, "vendor", r->claims.environment.vendor);
    if (r->claims.environment.model.len != 0)
        s->put_text(s->arg, "model", r->claims.environment.model);
    s->open_array(s->arg, "measurements");
    for (size_t i = 0; i < r->claims.measurement_count; i++)
        walk_measurement(s, &r->claims.measurements[i]);
    s->close(s->arg);
    walk_details(&r->claims, s);
    s->close(s->arg);
}

/* Identifiers as encoded, with their tags. */
static void walk_environment(const struct atls_result_sink *s, const struct atls_environment *e)
{
    s->open_object(s->arg, "environment");
    if (e->class_id.ptr != NULL)
        s->put_hex(s->arg, "class", e->class_id);
    if (e->vendor.ptr != NULL)
        s->put_text(s->arg, "vendor", e->vendor);
    if (e->model.ptr != NULL)
        s->put_text(s->arg, "model", e->model);
    if (e->has_layer)
        s->put_uint(s->arg, "layer", e->layer);
    if (e->has_index)
        s->put_uint(s->arg, "index", e->index);
    if (e->instance.ptr != NULL)
        s->put_hex(s->arg, "instance", e->instance);
    if (e->group.ptr != NULL)
        s->put_hex(s->arg, "group", e->group);
    s->close(s->arg);
}

static void walk_endorsed(const struct atls_result_sink *s, const struct atls_endorsed_claim *claim)
{
    s->open_object(s->arg, NULL);
    walk_text(s, "manifest", claim->manifest);
    if (claim->authority.len != 0)
        s->put_hex(s->arg, "authority", claim->authority);
    walk_environment(s, &claim->environment);
    walk_mkey(s, &claim->measurement.mkey);
    s->open_object(s->arg, "value");
    walk_mval(s, &claim->measurement.mval);
    s->close(s->arg);
    s->close(s->arg);
}

/* What endorsers added, and what of it was dropped; nothing where they are silent. */
static void walk_endorsements(const struct atls_outcome *o, const struct atls_result_sink *s)
{
    if (o->endorsed_count != 0) {
        s->open_array(s->arg, "endorsements");
        for (size_t i = 0; i < o->endorsed_count; i++)
            walk_endorsed(s, &o->endorsed[i]);
        s->close(s->arg);
    }
    if (o->conflict_count == 0)
        return;
    s->put_uint(s->arg, "conflict-count", o->conflict_count);
    s->open_array(s->arg, "conflicts");
    for (size_t i = 0; i < o->conflicts_named; i++) {
        s->open_object(s->arg, NULL);
        walk_text(s, "manifest", o->conflicts[i].manifest);
        walk_mkey(s, &o->conflicts[i].mkey);
        s->close(s->arg);
    }
    s->close(s->arg);
}

/* ear_verifier_claims: what this verifier did, and why the status is what it is. */
static void walk_verifier_claims(const struct atls_result *r, const struct atls_result_sink *s)
{
    static const char *const key_trust[] = {
        [ATLS_KEY_TRUST_NONE] = "none",
        [ATLS_KEY_TRUST_ENROLLED] = "enrolled",
        [ATLS_KEY_TRUST_CERTIFIED] = "certified",
    };

    s->open_object(s->arg, "ear_verifier_claims");
    walk_text(s, "key-trust", key_trust[r->claims.key_trust]);
    s->put_bool(s->arg, "insecure", r->claims.insecure);
    s->open_array(s->arg, "checks");
    for (const char *const *check = r->outcome.checks; check != NULL && *check != NULL; check++)
        walk_text(s, NULL, *check);
    s->close(s->arg);
    s->open_array(s->arg, "manifests");
    for (size_t i = 0; i < r->outcome.manifest_count && i < ATLS_MANIFESTS_MAX; i++)
        walk_text(s, NULL, r->outcome.manifests[i]);
    s->close(s->arg);
    walk_endorsements(&r->outcome, s);
    if (r->outcome.problem_count != 0)
        walk_text(s, "reason", atls_reason_name(r->outcome.reason));
    s->open_array(s->arg, "problems");
    for (size_t i = 0; i < r->outcome.problem_count && i < ATLS_PROBLEMS_MAX; i++)
        walk_text(s, NULL, r->outcome.problems[i]);
    s->close(s->arg);
    s->close(s->arg);
}

static void walk_appraisal(const struct atls_result *r, const struct atls_result_sink *s)
{
    s->open_object(s->arg, r->claims.submod);
    walk_text(s, "ear_status", atls_tier_name(r->status));
    s->open_object(s->arg, "ear_trustworthiness_vector");
    for (unsigned int i = 0; i < ATLS_TRUST_CLAIMS; i++)
        s->put_int(s->arg, atls_trust_claim_name((enum atls_trust_claim)i), r->outcome.trust[i]);
    s->close(s->arg);
    s->open_array(s->arg, "ear_appraisal_policy_ids");
    walk_text(s, NULL, r->outcome.policy_id);
    s->close(s->arg);
    walk_attester_claims(r, s);
    walk_verifier_claims(r, s);
    s->open_object(s->arg, "ear_veraison_key_attestation");
    s->put_base64url(s->arg, "akpub", r->claims.key_spki);
    s->close(s->arg);
    s->close(s->arg);
}

void atls_result_walk(const struct atls_result *r, const struct atls_result_sink *s)
{
    s->open_object(s->arg, NULL);
    walk_text(s, "eat_profile", ATLS_EAR_PROFILE);
    s->put_int(s->arg, "iat", r->issued_at);
    s->put_base64url(s->arg, "eat_nonce", atls_result_nonce(r));
    s->open_object(s->arg, "ear_verifier_id");
    walk_text(s, "developer", "libatls");
    walk_text(s, "build", "libatls " ATLS_VERSION);
    s->close(s->arg);
    walk_text(s, "ear_status", atls_tier_name(r->status));
    s->open_object(s->arg, "submods");
    walk_appraisal(r, s);
    s->close(s->arg);
    s->close(s->arg);
}

/* The sink that makes text: atls_json with void pointers. */
static void json_open_object(void *arg, const char *key)
{
    atls_json_open_object(arg, key);
}

static void json_open_array(void *arg, const char *key)
{
    atls_json_open_array(arg, key);
}

static void json_close(void *arg)
{
    atls_json_close(arg);
}

static void json_put_text(void *arg, const char *key, struct atls_bytes text)
{
    atls_json_put_text(arg, key, text);
}

static void json_put_hex(void *arg, const char *key, struct atls_bytes bytes)
{
    atls_json_put_hex(arg, key, bytes);
}

static void json_put_base64url(void *arg, const char *key, struct atls_bytes bytes)
{
    atls_json_put_base64url(arg, key, bytes);
}

static void json_put_int(void *arg, const char *key, int64_t v)
{
    atls_json_put_int(arg, key, v);
}

static void json_put_uint(void *arg, const char *key, uint64_t v)
{
    atls_json_put_uint(arg, key, v);
}

static void json_put_bool(void *arg, const char *key, bool v)
{
    atls_json_put_bool(arg, key, v);
}

const char *atls_result_json(struct atls_result *r)
{
    struct atls_json j = atls_json_init(ATLS_RESULT_JSON_MAX);
    const struct atls_result_sink sink = {
        &j,           json_open_object,   json_open_array, json_close,    json_put_text,
        json_put_hex, json_put_base64url, json_put_int,    json_put_uint, json_put_bool,
    };
    struct atls_buf text = ATLS_BUF_INIT;
    char *made = atomic_load(&r->json);

    if (made != NULL)
        return made;
    atls_result_walk(r, &sink);
    if (atls_json_finish(&j, &text, NULL) != ATLS_OK)
        return NULL;
    /* Two threads may have made it: the first one stays. */
    if (!atomic_compare_exchange_strong(&r->json, &made, (char *)text.ptr)) {
        atls_buf_clear(&text);
        return made;
    }
    return (const char *)text.ptr;
}
