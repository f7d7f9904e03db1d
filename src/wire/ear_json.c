#include "wire/ear_json.h"

#include <string.h>

#include <jansson.h>

#include <atls/limits.h>

#include "core/base64.h"
#include "core/err.h"
#include "core/log.h"
#include "core/reader.h"
#include "core/writer.h"
#include "wire/cmw_json.h"
#include "wire/tlv.h"

struct decoder {
    struct atls_ear *ear;
    struct atls_err *err;
    unsigned int flags; /* enum atls_ear_flags */
};

static enum atls_code malformed(const struct decoder *d, const char *member, const char *rule)
{
    char shown[64];

    return atls_fail_reason(d->err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "EAR \"%s\": %s",
                            atls_escape(atls_bytes_of(member, strlen(member)), shown, sizeof shown),
                            rule);
}

static enum atls_code no_memory(const struct decoder *d)
{
    return atls_fail(d->err, ATLS_E_NOMEM, "EAR: out of memory");
}

static const char *name_of(const struct decoder *d, enum atls_ear_claim claim)
{
    return atls_ear_name(claim, d->ear->version);
}

static json_t *get(const struct decoder *d, const json_t *object, enum atls_ear_claim claim)
{
    return name_of(d, claim) == NULL ? NULL : json_object_get(object, name_of(d, claim));
}

static struct atls_bytes string_bytes(const json_t *text)
{
    return atls_bytes_of(json_string_value(text), json_string_length(text));
}

static enum atls_code copy_text(const struct decoder *d, const json_t *value, const char *member,
                                struct atls_bytes *out)
{
    if (!json_is_string(value) || json_string_length(value) == 0)
        return malformed(d, member, "is absent or no text");
    return atls_arena_copy(&d->ear->arena, string_bytes(value), out) ? ATLS_OK : no_memory(d);
}

/* base64url without padding, into the arena. */
static enum atls_code copy_octets(const struct decoder *d, struct atls_bytes text,
                                  const char *member, struct atls_bytes *out)
{
    struct atls_writer w = atls_writer_init(text.len);
    enum atls_code code = ATLS_OK;

    if (text.len == 0 || !atls_base64url_get(text, &w))
        code = malformed(d, member, "is no base64url without padding");
    else if (w.failed != ATLS_OK || !atls_arena_copy(&d->ear->arena, atls_writer_bytes(&w), out))
        code = no_memory(d);
    atls_writer_clear(&w);
    return code;
}

/* No member carries a name that another version's set gives to a claim of EAR. */
static enum atls_code check_names(const struct decoder *d, const json_t *object)
{
    for (unsigned int i = 0; i < ATLS_EAR_CLAIMS; i++) {
        const char *other = atls_ear_other_name((enum atls_ear_claim)i, d->ear->version);

        if (other != NULL && json_object_get(object, other) != NULL)
            return malformed(d, other, "is a name of another version than the profile's");
    }
    return ATLS_OK;
}

static enum atls_code read_profile(const struct decoder *d, const json_t *root)
{
    const json_t *profile = json_object_get(root, "eat_profile");
    char shown[96];

    if (!json_is_string(profile))
        return malformed(d, "eat_profile", "is absent or no text");
    if ((d->ear->version = atls_ear_version_of(string_bytes(profile))) != 0)
        return copy_text(d, profile, "eat_profile", &d->ear->profile);
    return atls_fail(d->err, ATLS_E_UNSUPPORTED, "EAR: profile \"%s\" is not known",
                     atls_escape(string_bytes(profile), shown, sizeof shown));
}

/* A time without fraction that was written as a float: far below 2^53, so that it is exact. */
static bool is_float_time(const struct decoder *d, const json_t *value)
{
    double v = json_real_value(value);

    return (d->flags & ATLS_EAR_FLOAT_TIMES) != 0 && d->ear->version == ATLS_EAR_2023 &&
           json_is_real(value) && v >= 0 && v <= 9007199254740991.0 && v == (double)(int64_t)v;
}

/* RFC 9711 section 4.3 rules floating-point times out. */
static enum atls_code read_time(const struct decoder *d, const json_t *root, const char *member,
                                bool *out_present, int64_t *out)
{
    const json_t *value = json_object_get(root, member);

    *out_present = value != NULL;
    if (value == NULL)
        return ATLS_OK;
    if (is_float_time(d, value)) {
        *out = (int64_t)json_real_value(value);
        return ATLS_OK;
    }
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return malformed(d, member, "is no integer of at least 0");
    *out = json_integer_value(value);
    return ATLS_OK;
}

static enum atls_code read_times(const struct decoder *d, const json_t *root)
{
    struct atls_ear *ear = d->ear;
    enum atls_code code;
    bool issued = false;

    if ((code = read_time(d, root, "iat", &issued, &ear->issued_at_s)) != ATLS_OK ||
        (code = read_time(d, root, "exp", &ear->has_expiry, &ear->expiry_s)) != ATLS_OK ||
        (code = read_time(d, root, "nbf", &ear->has_not_before, &ear->not_before_s)) != ATLS_OK)
        return code;
    if (!issued)
        return malformed(d, "iat", "is absent");
    if (ear->has_expiry && ear->expiry_s < ear->issued_at_s)
        return malformed(d, "exp", "is before iat");
    return ATLS_OK;
}

/* One nonce: services echo it with padding and in either alphabet, so it is normalised first. */
static enum atls_code read_nonce(const struct decoder *d, const json_t *value)
{
    struct atls_ear *ear = d->ear;
    struct atls_bytes text, *nonce = &ear->nonces[ear->nonce_count];
    enum atls_code code;
    char plain[88];

    /* RFC 9711 section 4.1: text of 8..88 characters, octets 8..64. */
    if (!json_is_string(value) || json_string_length(value) < 8 || json_string_length(value) > 88)
        return malformed(d, "eat_nonce", "is no text of 8..88 characters");
    text = string_bytes(value);
    if (text.len % 4 == 0 && text.ptr[text.len - 1] == '=')
        text.len -= text.ptr[text.len - 2] == '=' ? 2 : 1;
    for (size_t i = 0; i < text.len; i++)
        plain[i] = (char)(text.ptr[i] == '+' ? '-' : text.ptr[i] == '/' ? '_' : text.ptr[i]);
    code = copy_octets(d, atls_bytes_of(plain, text.len), "eat_nonce", nonce);
    if (code != ATLS_OK)
        return code;
    if (nonce->len < 8 || nonce->len > 64)
        return malformed(d, "eat_nonce", "is not of 8..64 octets");
    ear->nonce_count++;
    return ATLS_OK;
}

static enum atls_code read_nonces(const struct decoder *d, const json_t *root)
{
    const json_t *value = json_object_get(root, "eat_nonce");
    size_t count = json_array_size(value);
    enum atls_code code;

    if (value == NULL)
        return ATLS_OK;
    if (!json_is_array(value))
        return read_nonce(d, value);
    if (count < 2 || count > ATLS_EAR_NONCES_MAX)
        return malformed(d, "eat_nonce", "is an array of fewer than 2 or too many");
    for (size_t i = 0; i < count; i++)
        if ((code = read_nonce(d, json_array_get(value, i))) != ATLS_OK)
            return code;
    return ATLS_OK;
}

static enum atls_code read_verifier(const struct decoder *d, const json_t *root)
{
    const json_t *id = get(d, root, ATLS_EAR_VERIFIER);
    enum atls_code code;

    if (!json_is_object(id))
        return malformed(d, name_of(d, ATLS_EAR_VERIFIER), "is absent or no object");
    code = copy_text(d, json_object_get(id, "developer"), "developer", &d->ear->developer);
    if (code != ATLS_OK)
        return code;
    return copy_text(d, json_object_get(id, "build"), "build", &d->ear->build);
}

/* base64url of bytes up to -03, a CMW record in -04. */
static enum atls_code read_raw_evidence(const struct decoder *d, const json_t *root)
{
    const json_t *value = get(d, root, ATLS_EAR_RAW_EVIDENCE);
    const char *name = name_of(d, ATLS_EAR_RAW_EVIDENCE);
    struct atls_ear *ear = d->ear;
    struct atls_cmw cmw;
    enum atls_code code;

    if (value == NULL)
        return ATLS_OK;
    if (ear->version < ATLS_EAR_04)
        return json_is_string(value) ? copy_octets(d, string_bytes(value), name, &ear->raw_evidence)
                                     : malformed(d, name, "is no text");
    code = atls_cmw_json_decode_value(value, &ear->arena, &cmw, d->err);
    if (code == ATLS_OK && cmw.kind != ATLS_CMW_RECORD)
        return malformed(d, name, "is a CMW, but no record");
    if (code == ATLS_OK) {
        ear->raw_evidence = cmw.value;
        ear->raw_evidence_type = cmw.type.text;
    }
    return code;
}

/* jti: a case-sensitive text (RFC 7519 section 4.1.7). */
static enum atls_code read_id(const struct decoder *d, const json_t *root)
{
    const json_t *value = json_object_get(root, "jti");

    return value == NULL ? ATLS_OK : copy_text(d, value, "jti", &d->ear->id);
}

/* Since -03: label -> labels, none of the lists empty. */
static enum atls_code check_topology(const struct decoder *d, const json_t *root)
{
    json_t *value = get(d, root, ATLS_EAR_TOPOLOGY);
    const char *name = name_of(d, ATLS_EAR_TOPOLOGY);

    if (value == NULL)
        return ATLS_OK;
    if (json_object_size(value) == 0)
        return malformed(d, name, "is no object with members");
    for (void *it = json_object_iter(value); it != NULL; it = json_object_iter_next(value, it)) {
        const char *label = json_object_iter_key(it);
        const json_t *list = json_object_iter_value(it);

        if (json_array_size(list) == 0)
            return malformed(d, label, "is no list of submodules");
        for (size_t i = 0; i < json_array_size(list); i++)
            if (!json_is_string(json_array_get(list, i)))
                return malformed(d, label, "names a submodule that is no text");
    }
    return ATLS_OK;
}

static enum atls_code read_tier(const struct decoder *d, const json_t *value, enum atls_tier *out)
{
    if (!json_is_string(value) || !atls_tier_parse(string_bytes(value), out))
        return malformed(d, name_of(d, ATLS_EAR_STATUS),
                         "is none of none, affirming, warning, contraindicated");
    return ATLS_OK;
}

static enum atls_code read_vector(const struct decoder *d, const json_t *object,
                                  struct atls_ear_appraisal *a)
{
    json_t *vector = get(d, object, ATLS_EAR_VECTOR);
    const char *name = name_of(d, ATLS_EAR_VECTOR);

    if (vector == NULL)
        return ATLS_OK;
    if (json_object_size(vector) == 0)
        return malformed(d, name, "is no object with members");
    a->has_vector = true;
    for (void *it = json_object_iter(vector); it != NULL; it = json_object_iter_next(vector, it)) {
        const char *key = json_object_iter_key(it);
        const json_t *value = json_object_iter_value(it);
        enum atls_trust_claim claim;

        if (!atls_trust_claim_parse(atls_bytes_of(key, strlen(key)), &claim))
            return malformed(d, key, "is no claim of the trustworthiness vector");
        if (!json_is_integer(value) || json_integer_value(value) < INT8_MIN ||
            json_integer_value(value) > INT8_MAX)
            return malformed(d, key, "is no integer of -128..127");
        a->trust[claim] = (int8_t)json_integer_value(value);
        if (!atls_tier_allows(atls_tier_of(a->trust[claim]), a->status))
            return malformed(d, name_of(d, ATLS_EAR_STATUS), "is better than the vector allows");
    }
    return ATLS_OK;
}

/* One text up to -02, a list of at least one since. */
static enum atls_code read_policies(const struct decoder *d, const json_t *object,
                                    struct atls_ear_appraisal *a)
{
    const json_t *value = get(d, object, ATLS_EAR_POLICY);
    const char *name = name_of(d, ATLS_EAR_POLICY);
    enum atls_code code;

    if (value == NULL)
        return ATLS_OK;
    if (d->ear->version < ATLS_EAR_03) {
        a->policy_count = 1;
        return copy_text(d, value, name, &a->policy_ids[0]);
    }
    if (json_array_size(value) == 0)
        return malformed(d, name, "is no list of at least one");
    if (json_array_size(value) > ATLS_EAR_POLICIES_MAX)
        return atls_fail(d->err, ATLS_E_LIMIT, "EAR \"%s\": %zu policies, want at most %d", name,
                         json_array_size(value), ATLS_EAR_POLICIES_MAX);
    for (size_t i = 0; i < json_array_size(value); i++) {
        code = copy_text(d, json_array_get(value, i), name, &a->policy_ids[i]);
        if (code != ATLS_OK)
            return code;
    }
    a->policy_count = json_array_size(value);
    return ATLS_OK;
}

static enum atls_code read_key(const struct decoder *d, const json_t *object,
                               struct atls_ear_appraisal *a)
{
    const json_t *value = get(d, object, ATLS_EAR_KEY_ATTESTATION);
    const json_t *key = json_object_get(value, "akpub");
    struct atls_bytes algorithm, bits;
    enum atls_code code;
    const char *rule;

    if (value == NULL)
        return ATLS_OK;
    if (!json_is_string(key))
        return malformed(d, name_of(d, ATLS_EAR_KEY_ATTESTATION), "has no text \"akpub\"");
    if ((code = copy_octets(d, string_bytes(key), "akpub", &a->key)) != ATLS_OK)
        return code;
    rule = atls_tlv_split_spki(a->key, &algorithm, &bits);
    return rule == NULL ? ATLS_OK : malformed(d, "akpub", rule);
}

static enum atls_code read_value(const struct decoder *d, json_t *in, unsigned int depth,
                                 struct atls_ear_value *out);

static enum atls_code copy_key(const struct decoder *d, const char *key, const char **out)
{
    struct atls_bytes copy;

    if (!atls_arena_copy(&d->ear->arena, atls_bytes_of(key, strlen(key) + 1), &copy))
        return no_memory(d);
    *out = (const char *)copy.ptr;
    return ATLS_OK;
}

static enum atls_code read_container(const struct decoder *d, json_t *in, unsigned int depth,
                                     struct atls_ear_value *out)
{
    size_t count = json_is_array(in) ? json_array_size(in) : json_object_size(in);
    enum atls_code code;

    if (depth == ATLS_EAR_VALUE_DEPTH_MAX)
        return atls_fail(d->err, ATLS_E_LIMIT, "EAR: claims nest deeper than %d levels",
                         ATLS_EAR_VALUE_DEPTH_MAX);
    out->kind = json_is_array(in) ? ATLS_EAR_VALUE_ARRAY : ATLS_EAR_VALUE_OBJECT;
    out->items = atls_arena_alloc(&d->ear->arena, count, sizeof *out->items);
    if (out->items == NULL)
        return no_memory(d);
    for (; json_is_array(in) && out->count < count; out->count++) {
        code = read_value(d, json_array_get(in, out->count), depth + 1, &out->items[out->count]);
        if (code != ATLS_OK)
            return code;
    }
    for (void *it = json_object_iter(in); it != NULL; it = json_object_iter_next(in, it)) {
        struct atls_ear_value *item = &out->items[out->count++];

        if ((code = copy_key(d, json_object_iter_key(it), &item->key)) != ATLS_OK ||
            (code = read_value(d, json_object_iter_value(it), depth + 1, item)) != ATLS_OK)
            return code;
    }
    return ATLS_OK;
}

/* depth: levels of containers around it, at most ATLS_EAR_VALUE_DEPTH_MAX. */
static enum atls_code read_value(const struct decoder *d, json_t *in, unsigned int depth,
                                 struct atls_ear_value *out)
{
    switch (json_typeof(in)) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        return read_container(d, in, depth, out);
    case JSON_STRING:
        out->kind = ATLS_EAR_VALUE_TEXT;
        return atls_arena_copy(&d->ear->arena, string_bytes(in), &out->bytes) ? ATLS_OK
                                                                              : no_memory(d);
    case JSON_INTEGER:
        out->kind = ATLS_EAR_VALUE_INT;
        out->u.integer = json_integer_value(in);
        return ATLS_OK;
    case JSON_REAL:
        out->kind = ATLS_EAR_VALUE_REAL;
        out->u.real = json_real_value(in);
        return ATLS_OK;
    case JSON_TRUE:
    case JSON_FALSE:
        out->kind = ATLS_EAR_VALUE_BOOL;
        out->u.boolean = json_is_true(in);
        return ATLS_OK;
    case JSON_NULL:
    default:
        out->kind = ATLS_EAR_VALUE_NULL;
        return ATLS_OK;
    }
}

/* Claims of a maker may be anything before -04: what is no object is then none of ours. */
static enum atls_code read_claim_map(const struct decoder *d, const json_t *object,
                                     enum atls_ear_claim claim, struct atls_ear_value *out)
{
    json_t *value = get(d, object, claim);

    if (value == NULL)
        return ATLS_OK;
    if (json_object_size(value) != 0)
        return read_value(d, value, 0, out);
    if (d->ear->version < ATLS_EAR_04)
        return ATLS_OK;
    return malformed(d, name_of(d, claim), "is no object with members");
}

static enum atls_code read_claims(const struct decoder *d, const json_t *object,
                                  struct atls_ear_appraisal *a)
{
    enum atls_ear_version version = d->ear->version;
    enum atls_code code =
        read_claim_map(d, object, atls_ear_attester_claims_of(version), &a->attester_claims);

    return code != ATLS_OK ? code
                           : read_claim_map(d, object, atls_ear_verifier_claims_of(version),
                                            &a->verifier_claims);
}

static enum atls_code read_appraisal(const struct decoder *d, const char *name,
                                     const json_t *object)
{
    struct atls_ear_appraisal *a = &d->ear->submods[d->ear->submod_count++];
    enum atls_code code;

    if (!json_is_object(object))
        return malformed(d, name, "is no object");
    if (!atls_arena_copy(&d->ear->arena, atls_bytes_of(name, strlen(name) + 1), &a->name))
        return no_memory(d);
    a->name.len--; /* the NUL byte */
    if ((code = check_names(d, object)) != ATLS_OK ||
        (code = read_tier(d, get(d, object, ATLS_EAR_STATUS), &a->status)) != ATLS_OK ||
        (code = read_vector(d, object, a)) != ATLS_OK ||
        (code = read_policies(d, object, a)) != ATLS_OK ||
        (code = read_claims(d, object, a)) != ATLS_OK)
        return code;
    return read_key(d, object, a);
}

static enum atls_code read_submods(const struct decoder *d, const json_t *root)
{
    json_t *submods = json_object_get(root, "submods");
    enum atls_code code;

    if (json_object_size(submods) == 0)
        return malformed(d, "submods", "is absent or no object with members");
    if (json_object_size(submods) > ATLS_EAR_SUBMODS_MAX)
        return atls_fail(d->err, ATLS_E_LIMIT, "EAR: %zu submodules, want at most %d",
                         json_object_size(submods), ATLS_EAR_SUBMODS_MAX);
    d->ear->submods =
        atls_arena_alloc(&d->ear->arena, json_object_size(submods), sizeof *d->ear->submods);
    if (d->ear->submods == NULL)
        return no_memory(d);
    for (void *it = json_object_iter(submods); it != NULL;
         it = json_object_iter_next(submods, it)) {
        code = read_appraisal(d, json_object_iter_key(it), json_object_iter_value(it));
        if (code != ATLS_OK)
            return code;
    }
    return ATLS_OK;
}

/* Since -03 there may be an overall status: not better than the worst submodule, or none. */
static enum atls_code check_overall_status(const struct decoder *d, const json_t *root)
{
    const json_t *value = get(d, root, ATLS_EAR_STATUS);
    enum atls_code code;
    enum atls_tier status;

    if (value == NULL)
        return ATLS_OK;
    if (d->ear->version < ATLS_EAR_03)
        return malformed(d, name_of(d, ATLS_EAR_STATUS), "stands outside a submodule");
    if ((code = read_tier(d, value, &status)) != ATLS_OK)
        return code;
    d->ear->has_status = true;
    d->ear->status = status;
    for (size_t i = 0; i < d->ear->submod_count; i++)
        if (status != ATLS_TIER_NONE && !atls_tier_allows(d->ear->submods[i].status, status))
            return malformed(d, name_of(d, ATLS_EAR_STATUS), "is better than the worst submodule");
    return ATLS_OK;
}

static enum atls_code read_root(const struct decoder *d, const json_t *root)
{
    enum atls_code code;

    if ((code = read_profile(d, root)) != ATLS_OK || (code = check_names(d, root)) != ATLS_OK ||
        (code = read_times(d, root)) != ATLS_OK || (code = read_nonces(d, root)) != ATLS_OK ||
        (code = read_verifier(d, root)) != ATLS_OK ||
        (code = read_raw_evidence(d, root)) != ATLS_OK || (code = read_id(d, root)) != ATLS_OK ||
        (code = check_topology(d, root)) != ATLS_OK || (code = read_submods(d, root)) != ATLS_OK)
        return code;
    return check_overall_status(d, root);
}

enum atls_code atls_ear_json_decode(struct atls_bytes in, unsigned int flags, struct atls_ear *out,
                                    struct atls_err *err)
{
    struct atls_ear ear;
    struct decoder d = {&ear, err, flags};
    json_t *root;
    enum atls_code code;

    memset(&ear, 0, sizeof ear);
    if (in.len == 0 || in.len > ATLS_EAR_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "EAR: %zu bytes, want 1..%d", in.len, ATLS_EAR_MAX);
    root = json_loadb((const char *)in.ptr, in.len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(root)) {
        json_decref(root);
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "EAR: claims set is no JSON object with unique members");
    }
    ear.arena = atls_arena_init(ATLS_EAR_ARENA_MAX);
    code = read_root(&d, root);
    json_decref(root);
    if (code != ATLS_OK) {
        atls_ear_clear(&ear);
        return code;
    }
    *out = ear;
    return ATLS_OK;
}
