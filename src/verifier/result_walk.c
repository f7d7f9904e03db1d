#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json_writer.h"
#include "verifier/result_parts.h"

/* A walk under way. */
struct walk {
    const struct atls_result *r;
    const struct atls_result_form *form;
    const struct atls_result_sink *s;
};

/* Announces the key in CBOR of the next member. */
static void label(const struct walk *w, int64_t number)
{
    if (w->s->label != NULL)
        w->s->label(w->s->arg, number);
}

/* Announces a claim of EAR and gives its name. */
static const char *claim(const struct walk *w, enum atls_ear_claim which)
{
    label(w, atls_ear_label(which));
    return atls_ear_name(which, w->form->version);
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

/* What the evidence says, whether or not a reference value covers it. */
static void walk_attester_claims(const struct walk *w, const struct atls_claims *claims)
{
    const struct atls_result_sink *s = w->s;

    if (claims->technology[0] == '\0')
        return; /* no empty map: draft-ietf-rats-ear-04 */
    s->open_object(s->arg, claim(w, atls_ear_attester_claims_of(w->form->version)));
    walk_text(s, "technology", claims->technology);
    if (claims->instance.len != 0)
        s->put_hex(s->arg, "instance", claims->instance);
    if (claims->environment.vendor.len != 0)
        s->put_text(s->arg, "vendor", claims->environment.vendor);
    if (claims->environment.model.len != 0)
        s->put_text(s->arg, "model", claims->environment.model);
    s->open_array(s->arg, "measurements");
    for (size_t i = 0; i < claims->measurement_count; i++)
        walk_measurement(s, &claims->measurements[i]);
    s->close(s->arg);
    walk_details(claims, s);
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

/* What endorsers added, and what of it was dropped. */
static void walk_endorsements(const struct atls_outcome *o, const struct atls_result_sink *s)
{
    s->open_array(s->arg, "endorsements");
    for (size_t i = 0; i < o->endorsed_count; i++)
        walk_endorsed(s, &o->endorsed[i]);
    s->close(s->arg);
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

/* What this verifier did, and why the status is what it is. Readers of the older names look for
 * one "problem". */
static void walk_verifier_claims(const struct walk *w, const struct atls_claims *claims,
                                 const struct atls_outcome *o)
{
    static const char *const key_trust[] = {
        [ATLS_KEY_TRUST_NONE] = "none",
        [ATLS_KEY_TRUST_ENROLLED] = "enrolled",
        [ATLS_KEY_TRUST_CERTIFIED] = "certified",
    };
    const struct atls_result_sink *s = w->s;

    s->open_object(s->arg, claim(w, atls_ear_verifier_claims_of(w->form->version)));
    walk_text(s, "key-trust", key_trust[claims->key_trust]);
    s->put_bool(s->arg, "insecure", claims->insecure);
    if (o->nonce_given)
        s->put_bool(s->arg, "nonce-given", true);
    s->open_array(s->arg, "checks");
    for (const char *const *check = o->checks; check != NULL && *check != NULL; check++)
        walk_text(s, NULL, *check);
    s->close(s->arg);
    s->open_array(s->arg, "manifests");
    for (size_t i = 0; i < o->manifest_count && i < ATLS_MANIFESTS_MAX; i++)
        walk_text(s, NULL, o->manifests[i]);
    s->close(s->arg);
    walk_endorsements(o, s);
    if (o->problem_count != 0)
        walk_text(s, "reason", atls_reason_name(o->reason));
    s->open_array(s->arg, "problems");
    for (size_t i = 0; i < o->problem_count && i < ATLS_PROBLEMS_MAX; i++)
        walk_text(s, NULL, o->problems[i]);
    s->close(s->arg);
    if (w->form->version < ATLS_EAR_04 && w->r->explanation[0] != '\0' && o->problem_count != 0)
        walk_text(s, "problem", w->r->explanation);
    s->close(s->arg);
}

static void walk_tier(const struct walk *w, enum atls_tier tier)
{
    const char *key = claim(w, ATLS_EAR_STATUS);

    if (w->s->label != NULL)
        w->s->put_int(w->s->arg, key, tier);
    else
        walk_text(w->s, key, atls_tier_name(tier));
}

static void walk_vector(const struct walk *w, const int8_t trust[static ATLS_TRUST_CLAIMS])
{
    w->s->open_object(w->s->arg, claim(w, ATLS_EAR_VECTOR));
    for (unsigned int i = 0; i < ATLS_TRUST_CLAIMS; i++) {
        label(w, i);
        w->s->put_int(w->s->arg, atls_trust_claim_name((enum atls_trust_claim)i), trust[i]);
    }
    w->s->close(w->s->arg);
}

/* One text up to -02, a list since. */
static void walk_policies(const struct walk *w, const struct atls_bytes *ids, size_t count)
{
    const char *key;

    if (count == 0)
        return;
    key = claim(w, ATLS_EAR_POLICY);
    if (w->form->version < ATLS_EAR_03) {
        w->s->put_text(w->s->arg, key, ids[0]);
        return;
    }
    w->s->open_array(w->s->arg, key);
    for (size_t i = 0; i < count; i++)
        w->s->put_text(w->s->arg, NULL, ids[i]);
    w->s->close(w->s->arg);
}

static void walk_key(const struct walk *w, struct atls_bytes spki)
{
    if (spki.len == 0)
        return;
    w->s->open_object(w->s->arg, claim(w, ATLS_EAR_KEY_ATTESTATION));
    w->s->put_base64url(w->s->arg, "akpub", spki);
    w->s->close(w->s->arg);
}

static void walk_appraisal(const struct walk *w, const struct atls_claims *claims,
                           const struct atls_outcome *outcome)
{
    const char *policy = outcome->policy_id;
    const struct atls_bytes id = atls_bytes_of(policy, policy == NULL ? 0 : strlen(policy));

    w->s->open_object(w->s->arg, claims->submod);
    walk_tier(w, atls_outcome_status(outcome));
    walk_vector(w, outcome->trust);
    walk_policies(w, &id, policy != NULL);
    walk_attester_claims(w, claims);
    walk_verifier_claims(w, claims, outcome);
    walk_key(w, claims->key_spki);
    w->s->close(w->s->arg);
}

/* A number that no integer type holds goes as text, as the integers beyond 2^53 do. */
static void walk_real(const struct atls_result_sink *s, const char *key, double v)
{
    char digits[32];

    snprintf(digits, sizeof digits, "%.17g", v);
    walk_text(s, key, digits);
}

/* Depth: as deep as the decoders let claims nest (ATLS_EAR_VALUE_DEPTH_MAX). */
static void walk_value(const struct atls_result_sink *s, const char *key,
                       const struct atls_ear_value *v)
{
    switch (v->kind) {
    case ATLS_EAR_VALUE_NULL:
        s->put_null(s->arg, key);
        break;
    case ATLS_EAR_VALUE_BOOL:
        s->put_bool(s->arg, key, v->u.boolean);
        break;
    case ATLS_EAR_VALUE_INT:
        s->put_int(s->arg, key, v->u.integer);
        break;
    case ATLS_EAR_VALUE_UINT:
        s->put_uint(s->arg, key, v->u.large);
        break;
    case ATLS_EAR_VALUE_REAL:
        walk_real(s, key, v->u.real);
        break;
    case ATLS_EAR_VALUE_TEXT:
        s->put_text(s->arg, key, v->bytes);
        break;
    case ATLS_EAR_VALUE_BYTES:
        s->put_hex(s->arg, key, v->bytes);
        break;
    case ATLS_EAR_VALUE_ARRAY:
    case ATLS_EAR_VALUE_OBJECT:
        if (v->kind == ATLS_EAR_VALUE_ARRAY)
            s->open_array(s->arg, key);
        else
            s->open_object(s->arg, key);
        for (size_t i = 0; i < v->count; i++)
            walk_value(s, v->items[i].key, &v->items[i]);
        s->close(s->arg);
        break;
    }
}

static void walk_received(const struct walk *w, const struct atls_ear_appraisal *a)
{
    enum atls_ear_version version = w->form->version;

    w->s->open_object(w->s->arg, (const char *)a->name.ptr);
    walk_tier(w, a->status);
    if (a->has_vector)
        walk_vector(w, a->trust);
    walk_policies(w, a->policy_ids, a->policy_count);
    if (a->attester_claims.kind == ATLS_EAR_VALUE_OBJECT)
        walk_value(w->s, claim(w, atls_ear_attester_claims_of(version)), &a->attester_claims);
    if (a->verifier_claims.kind == ATLS_EAR_VALUE_OBJECT)
        walk_value(w->s, claim(w, atls_ear_verifier_claims_of(version)), &a->verifier_claims);
    walk_key(w, a->key);
    w->s->close(w->s->arg);
}

static void walk_verifier(const struct walk *w)
{
    const struct atls_ear *ear = &w->r->ear;

    w->s->open_object(w->s->arg, claim(w, ATLS_EAR_VERIFIER));
    label(w, 0);
    if (w->r->received)
        w->s->put_text(w->s->arg, "developer", ear->developer);
    else
        walk_text(w->s, "developer", ATLS_RESULT_DEVELOPER);
    label(w, 1);
    if (w->r->received)
        w->s->put_text(w->s->arg, "build", ear->build);
    else
        walk_text(w->s, "build", ATLS_RESULT_BUILD);
    w->s->close(w->s->arg);
}

static void walk_times(const struct walk *w)
{
    int64_t expires_at = w->r->expires_at;

    if (w->form->lifetime_s > 0)
        expires_at = w->r->issued_at + w->form->lifetime_s;
    label(w, ATLS_EAT_IAT);
    w->s->put_int(w->s->arg, "iat", w->r->issued_at);
    if (expires_at == 0)
        return;
    label(w, ATLS_EAT_EXP);
    w->s->put_int(w->s->arg, "exp", expires_at);
}

static void walk_nonces(const struct walk *w)
{
    const struct atls_ear *ear = &w->r->ear;

    if (w->r->nonce_len != 0) {
        label(w, ATLS_EAT_NONCE);
        w->s->put_base64url(w->s->arg, "eat_nonce", atls_result_nonce(w->r));
    }
    if (ear->nonce_count < 2) /* of a result there is at most one */
        return;
    w->s->open_array(w->s->arg, "eat_nonce");
    for (size_t i = 0; i < ear->nonce_count; i++)
        w->s->put_base64url(w->s->arg, NULL, ear->nonces[i]);
    w->s->close(w->s->arg);
}

void atls_result_walk_as(const struct atls_result *r, const struct atls_result_form *form,
                         const struct atls_result_sink *s)
{
    const struct walk w = {r, form, s};

    s->open_object(s->arg, NULL);
    label(&w, ATLS_EAT_PROFILE);
    walk_text(s, "eat_profile", form->profile);
    walk_times(&w);
    walk_nonces(&w);
    walk_verifier(&w);
    if (form->version >= ATLS_EAR_03 && (!form->as_received || r->ear.has_status))
        walk_tier(&w, r->status);
    label(&w, ATLS_EAT_SUBMODS);
    s->open_object(s->arg, "submods");
    for (size_t i = 0; r->received && i < r->ear.submod_count; i++)
        walk_received(&w, &r->ear.submods[i]);
    for (size_t i = 0; i < r->outcome_count; i++)
        walk_appraisal(&w, atls_result_claims(r, i), &r->outcomes[i]);
    s->close(s->arg);
    s->close(s->arg);
}

/* Policies and people read the newest names, whoever made the result and with whatever names. */
void atls_result_walk(const struct atls_result *r, const struct atls_result_sink *s)
{
    struct atls_result_form form = {ATLS_EAR_PROFILE, ATLS_EAR_04, 0, false};
    char profile[128];

    if (r->received) {
        snprintf(profile, sizeof profile, "%.*s", (int)r->ear.profile.len,
                 (const char *)r->ear.profile.ptr);
        form.profile = profile;
    }
    atls_result_walk_as(r, &form, s);
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

static void json_put_null(void *arg, const char *key)
{
    atls_json_put_null(arg, key);
}

static struct atls_result_sink json_sink(struct atls_json *j)
{
    return (struct atls_result_sink){
        j,
        json_open_object,
        json_open_array,
        json_close,
        json_put_text,
        json_put_hex,
        json_put_base64url,
        json_put_int,
        json_put_uint,
        json_put_bool,
        json_put_null,
        NULL,
    };
}

enum atls_code atls_result_put_json(const struct atls_result *r,
                                    const struct atls_result_form *form, struct atls_buf *out,
                                    struct atls_err *err)
{
    struct atls_json j = atls_json_init(ATLS_RESULT_JSON_MAX);
    const struct atls_result_sink sink = json_sink(&j);

    atls_result_walk_as(r, form, &sink);
    return atls_json_finish(&j, out, err);
}

const char *atls_result_json(struct atls_result *r)
{
    struct atls_json j = atls_json_init(ATLS_RESULT_JSON_MAX);
    const struct atls_result_sink sink = json_sink(&j);
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
