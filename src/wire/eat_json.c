#include "wire/eat_json.h"

#include <string.h>

#include <atls/limits.h>

#include "core/err.h"
#include "wire/eat_json_read.h"

static enum atls_code read_string(const struct atls_eat_decoder *d, const json_t *value,
                                  const struct atls_eat_row *row, struct atls_bytes *out)
{
    const struct atls_eat_lengths lengths = {row->least, row->most};

    return row->form == ATLS_EAT_FORM_TEXT
               ? atls_eat_json_text(d, value, row->name, out)
               : atls_eat_json_octets(d, value, row->name, lengths, out);
}

static enum atls_code read_named(const struct atls_eat_decoder *d, const json_t *value,
                                 const struct atls_eat_row *row, struct atls_eat_number *out)
{
    const char *name = json_string_value(value);

    for (out->value = row->least; name != NULL && out->value <= row->most; out->value++)
        if (strcmp(row->name_of(out->value), name) == 0)
            return ATLS_OK;
    return atls_eat_malformed(d, row->name, "is none of the names that are registered");
}

static enum atls_code read_number(const struct atls_eat_decoder *d, const json_t *value,
                                  const struct atls_eat_row *row, struct atls_eat_number *out)
{
    out->present = true;
    if (row->form == ATLS_EAT_FORM_NAMED)
        return read_named(d, value, row, out);
    if (row->form == ATLS_EAT_FORM_BOOL) {
        out->value = json_is_true(value);
        return json_is_boolean(value)
                   ? ATLS_OK
                   : atls_eat_malformed(d, row->name, "is neither true nor false");
    }
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return atls_eat_malformed(d, row->name, "is no integer of at least 0");
    out->value = (uint64_t)json_integer_value(value);
    return ATLS_OK;
}

static enum atls_code read_set(const struct atls_eat_decoder *d, const json_t *object,
                               unsigned int depth, struct atls_eat_claims *out);

/* ["JWT", text], ["CBOR", base64url], ["DIGEST", digest], ["BUNDLE", bundle]. */
static enum atls_code read_selector(const struct atls_eat_decoder *d, const json_t *array,
                                    struct atls_eat_submod *out)
{
    static const struct atls_eat_lengths some = {1, SIZE_MAX};
    const char *kind = json_string_value(json_array_get(array, 0));
    const json_t *token = json_array_get(array, 1);
    enum atls_code code;

    if (json_array_size(array) != 2 || kind == NULL)
        return atls_eat_malformed(d, "submods", "is no array of a kind and a token");
    if (strcmp(kind, "JWT") == 0) {
        out->kind = ATLS_EAT_SUBMOD_JSON_TOKEN;
        code = atls_eat_json_text(d, token, "submods", &out->token);
        return code == ATLS_OK && out->token.len == 0
                   ? atls_eat_malformed(d, "submods", "JWT is empty")
                   : code;
    }
    if (strcmp(kind, "CBOR") == 0) {
        code = atls_eat_json_octets(d, token, "submods", some, &out->token);
        return code == ATLS_OK ? atls_eat_classify_token(d, out) : code;
    }
    if (strcmp(kind, "DIGEST") == 0) {
        out->kind = ATLS_EAT_SUBMOD_DIGEST;
        return atls_eat_json_digest(d, token, ATLS_EAT_COSE, &out->digest);
    }
    if (strcmp(kind, "BUNDLE") != 0 || !json_is_array(token))
        return atls_eat_malformed(d, "submods", "kind is none of JWT, CBOR, DIGEST, BUNDLE");
    out->kind = ATLS_EAT_SUBMOD_BUNDLE;
    return atls_eat_json_dump(d, token, &out->token);
}

static enum atls_code read_submod(const struct atls_eat_decoder *d, const char *name,
                                  const json_t *value, unsigned int depth,
                                  struct atls_eat_submod *out)
{
    if (!atls_arena_copy(d->arena, atls_bytes_of(name, strlen(name)), &out->name))
        return atls_fail(d->err, ATLS_E_NOMEM, "EAT submods: no memory");
    if (!json_is_object(value))
        return read_selector(d, value, out);
    out->kind = ATLS_EAT_SUBMOD_CLAIMS;
    if ((out->claims = atls_eat_list(d, 1, sizeof *out->claims)) == NULL)
        return ATLS_E_NOMEM;
    return read_set(d, value, depth + 1, out->claims);
}

static enum atls_code read_submods(const struct atls_eat_decoder *d, const json_t *value,
                                   unsigned int depth, struct atls_eat_claims *out)
{
    json_t *object = atls_eat_json_mutable(value);
    size_t count = json_object_size(value);
    enum atls_code code = ATLS_OK;

    if (count == 0)
        return atls_eat_malformed(d, "submods", "is no object with members");
    if (count > ATLS_EAT_SUBMODS_MAX)
        return atls_eat_limit(d, "submods", ATLS_EAT_SUBMODS_MAX);
    if ((out->submods = atls_eat_list(d, count, sizeof *out->submods)) == NULL)
        return ATLS_E_NOMEM;
    for (void *it = json_object_iter(object); it != NULL && code == ATLS_OK;
         it = json_object_iter_next(object, it))
        code = read_submod(d, json_object_iter_key(it), json_object_iter_value(it), depth,
                           &out->submods[out->submod_count++]);
    return code;
}

static enum atls_code read_other(const struct atls_eat_decoder *d, struct atls_bytes name,
                                 const json_t *value, struct atls_eat_claims *out)
{
    struct atls_eat_other *other = &out->others[out->other_count++];

    other->key.is_text = true;
    if (!atls_arena_copy(d->arena, name, &other->key.text))
        return atls_fail(d->err, ATLS_E_NOMEM, "EAT claims set: no memory");
    return atls_eat_json_dump(d, value, &other->value);
}

static enum atls_code read_member(const struct atls_eat_decoder *d, const char *key,
                                  const json_t *value, unsigned int depth,
                                  struct atls_eat_claims *out)
{
    struct atls_bytes name = atls_bytes_of(key, strlen(key));
    const struct atls_eat_row *row = atls_eat_row_by_name(name);
    void *member = row == NULL ? NULL : (char *)out + row->offset;

    if (row == NULL)
        return read_other(d, name, value, out);
    switch (row->form) {
    case ATLS_EAT_FORM_TEXT:
    case ATLS_EAT_FORM_BYTES:
        return read_string(d, value, row, member);
    case ATLS_EAT_FORM_TIME:
    case ATLS_EAT_FORM_UINT:
    case ATLS_EAT_FORM_BOOL:
    case ATLS_EAT_FORM_NAMED:
        return read_number(d, value, row, member);
    case ATLS_EAT_FORM_OWN:
    default:
        return row->key == ATLS_EAT_SUBMODS ? read_submods(d, value, depth, out)
                                            : atls_eat_json_read_own(d, value, row, out);
    }
}

/* Recursion ends at ATLS_EAT_DEPTH_MAX. */
static enum atls_code read_set(const struct atls_eat_decoder *d, const json_t *value,
                               unsigned int depth, struct atls_eat_claims *out)
{
    json_t *object = atls_eat_json_mutable(value);
    size_t count = json_object_size(object);
    enum atls_code code = ATLS_OK;

    if (depth >= ATLS_EAT_DEPTH_MAX)
        return atls_eat_limit(d, "depth of claims sets", ATLS_EAT_DEPTH_MAX);
    if (count > ATLS_EAT_CLAIMS_MAX)
        return atls_eat_limit(d, "claims set", ATLS_EAT_CLAIMS_MAX);
    if ((out->others = atls_eat_list(d, count, sizeof *out->others)) == NULL)
        return ATLS_E_NOMEM;
    for (void *it = json_object_iter(object); it != NULL && code == ATLS_OK;
         it = json_object_iter_next(object, it))
        code = read_member(d, json_object_iter_key(it), json_object_iter_value(it), depth, out);
    return code;
}

/* The document, of the type that is wanted; the caller's to release. */
static enum atls_code load(const struct atls_eat_decoder *d, struct atls_bytes in, json_type type,
                           json_t **out)
{
    json_error_t why;
    json_t *root;

    if (in.len == 0 || in.len > ATLS_EAR_MAX)
        return atls_fail(d->err, ATLS_E_LIMIT, "EAT: %zu bytes of JSON, want 1..%d", in.len,
                         ATLS_EAR_MAX);
    root = json_loadb((const char *)in.ptr, in.len, JSON_REJECT_DUPLICATES, &why);
    if (root == NULL && json_error_code(&why) == json_error_out_of_memory)
        return atls_fail(d->err, ATLS_E_NOMEM, "EAT: no memory for JSON");
    if (root == NULL || json_typeof(root) != type) {
        json_decref(root);
        return atls_eat_malformed(
            d, "JSON", type == JSON_OBJECT ? "is no object with unique members" : "is no array");
    }
    *out = root;
    return ATLS_OK;
}

enum atls_code atls_eat_json_decode(struct atls_bytes in, unsigned int depth,
                                    struct atls_arena *arena, struct atls_eat_claims *out,
                                    struct atls_err *err)
{
    const struct atls_eat_decoder d = {arena, err};
    struct atls_eat_claims claims;
    json_t *root = NULL;
    enum atls_code code = load(&d, in, JSON_OBJECT, &root);

    if (code != ATLS_OK)
        return code;
    memset(&claims, 0, sizeof claims);
    code = read_set(&d, root, depth, &claims);
    json_decref(root);
    if (code == ATLS_OK)
        *out = claims;
    return code;
}

enum atls_code atls_eat_json_selector_decode(struct atls_bytes in, struct atls_arena *arena,
                                             struct atls_eat_submod *out, struct atls_err *err)
{
    const struct atls_eat_decoder d = {arena, err};
    struct atls_eat_submod submod = {.name = {NULL, 0}};
    json_t *root = NULL;
    enum atls_code code = load(&d, in, JSON_ARRAY, &root);

    if (code != ATLS_OK)
        return code;
    code = read_selector(&d, root, &submod);
    json_decref(root);
    if (code == ATLS_OK && submod.kind == ATLS_EAT_SUBMOD_DIGEST)
        code = atls_eat_malformed(&d, "JSON token", "is a digest, which CBOR has no use for");
    if (code == ATLS_OK)
        *out = submod;
    return code;
}

static enum atls_code read_bundle_sets(const struct atls_eat_decoder *d, const json_t *value,
                                       struct atls_eat_bundle *out)
{
    static const struct atls_eat_lengths some = {1, SIZE_MAX};
    json_t *object = atls_eat_json_mutable(value);
    size_t count = json_object_size(value);
    enum atls_code code = ATLS_OK;

    if (count == 0)
        return atls_eat_malformed(d, "bundle", "has no object of claims sets");
    if (count > ATLS_EAT_SUBMODS_MAX)
        return atls_eat_limit(d, "bundle", ATLS_EAT_SUBMODS_MAX);
    if ((out->sets = atls_eat_list(d, count, sizeof *out->sets)) == NULL)
        return ATLS_E_NOMEM;
    for (void *it = json_object_iter(object); it != NULL && code == ATLS_OK;
         it = json_object_iter_next(object, it)) {
        struct atls_eat_named *set = &out->sets[out->set_count++];
        const char *name = json_object_iter_key(it);

        if (!atls_arena_copy(d->arena, atls_bytes_of(name, strlen(name)), &set->name))
            return atls_fail(d->err, ATLS_E_NOMEM, "EAT bundle: no memory");
        code = atls_eat_json_octets(d, json_object_iter_value(it), "bundle", some, &set->bytes);
    }
    return code;
}

static enum atls_code read_bundle(const struct atls_eat_decoder *d, const json_t *root,
                                  struct atls_eat_bundle *out)
{
    struct atls_eat_submod main_token = {.name = {NULL, 0}};
    enum atls_code code;

    if (json_array_size(root) != 2)
        return atls_eat_malformed(d, "bundle", "is no array of 2");
    if ((code = read_selector(d, json_array_get(root, 0), &main_token)) != ATLS_OK)
        return code;
    if (main_token.kind != ATLS_EAT_SUBMOD_CBOR_TOKEN &&
        main_token.kind != ATLS_EAT_SUBMOD_JSON_TOKEN)
        return atls_eat_malformed(d, "bundle", "main token is a digest or a bundle");
    out->main_kind = main_token.kind;
    out->main_token = main_token.token;
    return read_bundle_sets(d, json_array_get(root, 1), out);
}

enum atls_code atls_eat_json_bundle_decode(struct atls_bytes in, struct atls_arena *arena,
                                           struct atls_eat_bundle *out, struct atls_err *err)
{
    const struct atls_eat_decoder d = {arena, err};
    struct atls_eat_bundle bundle = {.set_count = 0};
    json_t *root = NULL;
    enum atls_code code = load(&d, in, JSON_ARRAY, &root);

    if (code != ATLS_OK)
        return code;
    code = read_bundle(&d, root, &bundle);
    json_decref(root);
    if (code == ATLS_OK)
        *out = bundle;
    return code;
}

static enum atls_code read_authorities(const struct atls_eat_decoder *d, const json_t *value,
                                       struct atls_eat_component *out)
{
    static const struct atls_eat_lengths some = {1, SIZE_MAX}, counts = {1, ATLS_EAT_LIST_MAX};
    size_t count = 0;
    enum atls_code code = atls_eat_json_list(d, value, "component authorities", counts, &count);

    if (code != ATLS_OK)
        return code;
    if ((out->authorities = atls_eat_list(d, count, sizeof *out->authorities)) == NULL)
        return ATLS_E_NOMEM;
    while (out->authority_count < count && code == ATLS_OK) {
        code = atls_eat_json_octets(d, json_array_get(value, out->authority_count),
                                    "component authorities", some,
                                    &out->authorities[out->authority_count]);
        out->authority_count++;
    }
    return code;
}

static enum atls_code read_component_id(const struct atls_eat_decoder *d, const json_t *value,
                                        struct atls_eat_component *out)
{
    static const struct atls_eat_lengths counts = {1, 2};
    size_t count = 0;
    enum atls_code code = atls_eat_json_list(d, value, "component id", counts, &count);

    if (code == ATLS_OK)
        code = atls_eat_json_text(d, json_array_get(value, 0), "component id", &out->name);
    if (code == ATLS_OK && count == 2)
        code =
            atls_eat_json_version(d, json_array_get(value, 1), "component version", &out->version);
    return code;
}

static enum atls_code read_component(const struct atls_eat_decoder *d, const json_t *root,
                                     struct atls_eat_component *out)
{
    static const struct atls_eat_lengths any = {0, SIZE_MAX}, eight = {8, 8};
    const json_t *digest = json_object_get(root, "digested-measurement");
    const json_t *raw = json_object_get(root, "raw-measurement");
    const json_t *authorities = json_object_get(root, "authorities");
    const json_t *flags = json_object_get(root, "flags");
    size_t known = 2u + (authorities != NULL) + (flags != NULL);
    enum atls_code code = read_component_id(d, json_object_get(root, "id"), out);

    if (code != ATLS_OK)
        return code;
    out->has_digest = digest != NULL;
    if (out->has_digest == (raw != NULL))
        return atls_eat_malformed(d, "component", "has not exactly one measurement");
    if (json_object_size(root) != known)
        return atls_eat_malformed(d, "component", "has a member that is not known");
    code = out->has_digest
               ? atls_eat_json_digest(d, digest, ATLS_EAT_NAMED_INFORMATION, &out->digest)
               : atls_eat_json_octets(d, raw, "component raw measurement", any, &out->raw);
    if (code == ATLS_OK && authorities != NULL)
        code = read_authorities(d, authorities, out);
    if (code == ATLS_OK && flags != NULL)
        code = atls_eat_json_octets(d, flags, "component flags", eight, &out->flags);
    return code;
}

enum atls_code atls_eat_json_component_decode(struct atls_bytes in, struct atls_arena *arena,
                                              struct atls_eat_component *out, struct atls_err *err)
{
    const struct atls_eat_decoder d = {arena, err};
    struct atls_eat_component component = {.name = {NULL, 0}};
    json_t *root = NULL;
    enum atls_code code = load(&d, in, JSON_OBJECT, &root);

    if (code != ATLS_OK)
        return code;
    code = read_component(&d, root, &component);
    json_decref(root);
    if (code == ATLS_OK)
        *out = component;
    return code;
}
