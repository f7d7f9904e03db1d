/* Claims whose type is of their own, in JSON. */
#include "wire/eat_json_read.h"

#include <stdlib.h>
#include <string.h>

#include "core/base64.h"
#include "core/err.h"
#include "wire/cmw_json.h"

/* CoAP content-formats of JSON text: what has them stands as text within JSON. */
enum { FORMAT_JSON = 50, FORMAT_COMPONENT_JSON = 296 };

static const struct atls_eat_lengths list_counts = {1, ATLS_EAT_LIST_MAX};

static struct atls_bytes string_bytes(const json_t *value)
{
    return atls_bytes_of(json_string_value(value), json_string_length(value));
}

static enum atls_code no_memory(const struct atls_eat_decoder *d, const char *where)
{
    return atls_fail(d->err, ATLS_E_NOMEM, "EAT %s: no memory", where);
}

enum atls_code atls_eat_json_text(const struct atls_eat_decoder *d, const json_t *value,
                                  const char *where, struct atls_bytes *out)
{
    if (!json_is_string(value))
        return atls_eat_malformed(d, where, "is no text");
    return atls_arena_copy(d->arena, string_bytes(value), out) ? ATLS_OK : no_memory(d, where);
}

static enum atls_code octets_of_text(const struct atls_eat_decoder *d, struct atls_bytes text,
                                     const char *where, struct atls_eat_lengths lengths,
                                     struct atls_bytes *out)
{
    struct atls_writer w = atls_writer_init(text.len);
    enum atls_code code = ATLS_OK;

    if (!atls_base64url_get(text, &w))
        code = atls_eat_malformed(d, where, "is no base64url without padding");
    else if (w.failed != ATLS_OK)
        code = no_memory(d, where);
    else if (w.len < lengths.least || w.len > lengths.most)
        code = atls_eat_malformed(d, where, "is not of a length that is allowed");
    else if (!atls_arena_copy(d->arena, atls_writer_bytes(&w), out))
        code = no_memory(d, where);
    atls_writer_clear(&w);
    return code;
}

enum atls_code atls_eat_json_octets(const struct atls_eat_decoder *d, const json_t *value,
                                    const char *where, struct atls_eat_lengths lengths,
                                    struct atls_bytes *out)
{
    if (!json_is_string(value))
        return atls_eat_malformed(d, where, "is no text");
    return octets_of_text(d, string_bytes(value), where, lengths, out);
}

enum atls_code atls_eat_json_dump(const struct atls_eat_decoder *d, const json_t *value,
                                  struct atls_bytes *out)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    bool copied = text != NULL && atls_arena_copy(d->arena, atls_bytes_of(text, strlen(text)), out);

    free(text);
    return copied ? ATLS_OK : no_memory(d, "value");
}

enum atls_code atls_eat_json_list(const struct atls_eat_decoder *d, const json_t *array,
                                  const char *where, struct atls_eat_lengths counts,
                                  size_t *out_count)
{
    size_t count = json_array_size(array);

    if (count < counts.least)
        return atls_eat_malformed(d, where, "is no array, or has too few elements");
    if (count > counts.most)
        return counts.most < ATLS_EAT_LIST_MAX
                   ? atls_eat_malformed(d, where, "has too many elements")
                   : atls_eat_limit(d, where, counts.most);
    *out_count = count;
    return ATLS_OK;
}

static enum atls_code read_label(const struct atls_eat_decoder *d, const json_t *value,
                                 const char *where, struct atls_eat_label *out)
{
    out->is_text = !json_is_integer(value);
    if (out->is_text)
        return atls_eat_json_text(d, value, where, &out->text);
    out->number = json_integer_value(value);
    return ATLS_OK;
}

enum atls_code atls_eat_json_version(const struct atls_eat_decoder *d, const json_t *value,
                                     const char *where, struct atls_eat_version *out)
{
    static const struct atls_eat_lengths counts = {1, 2};
    size_t count = 0;
    enum atls_code code = atls_eat_json_list(d, value, where, counts, &count);

    if (code == ATLS_OK)
        code = atls_eat_json_text(d, json_array_get(value, 0), where, &out->version);
    out->has_scheme = count == 2;
    if (code == ATLS_OK && out->has_scheme)
        code = read_label(d, json_array_get(value, 1), where, &out->scheme);
    return code;
}

enum atls_code atls_eat_json_digest(const struct atls_eat_decoder *d, const json_t *value,
                                    enum atls_eat_registry registry, struct atls_eat_digest *out)
{
    static const struct atls_eat_lengths two = {2, 2}, any = {0, SIZE_MAX};
    size_t count = 0;
    enum atls_code code = atls_eat_json_list(d, value, "digest", two, &count);

    if (code != ATLS_OK ||
        (code = read_label(d, json_array_get(value, 0), "digest algorithm", &out->algorithm)) !=
            ATLS_OK ||
        (code = atls_eat_json_octets(d, json_array_get(value, 1), "digest", any, &out->digest)) !=
            ATLS_OK)
        return code;
    return atls_eat_digest_fits(out, registry)
               ? ATLS_OK
               : atls_eat_malformed(d, "digest", "is not as long as its algorithm says");
}

/* One text, or a list of them. */
static enum atls_code read_aud(const struct atls_eat_decoder *d, const json_t *value,
                               struct atls_eat_claims *out)
{
    size_t count = 1;
    enum atls_code code = ATLS_OK;

    if (!json_is_string(value))
        code = atls_eat_json_list(d, value, "aud", list_counts, &count);
    if (code != ATLS_OK)
        return code;
    if ((out->aud = atls_eat_list(d, count, sizeof *out->aud)) == NULL)
        return ATLS_E_NOMEM;
    while (out->aud_count < count && code == ATLS_OK) {
        const json_t *one = json_is_string(value) ? value : json_array_get(value, out->aud_count);

        code = atls_eat_json_text(d, one, "aud", &out->aud[out->aud_count++]);
    }
    return code;
}

/* Section 4.1: text of 8 to 88 characters, which leaves room for padding, and some emit it, in
 * either alphabet; what counts are the octets. */
static enum atls_code read_nonce(const struct atls_eat_decoder *d, const json_t *value,
                                 struct atls_bytes *out)
{
    static const struct atls_eat_lengths lengths = {8, 64};
    struct atls_bytes text = string_bytes(value);
    char plain[88];

    if (!json_is_string(value) || text.len < 8 || text.len > sizeof plain)
        return atls_eat_malformed(d, "eat_nonce", "is no text of 8..88 characters");
    if (text.len % 4 == 0 && text.ptr[text.len - 1] == '=')
        text.len -= text.ptr[text.len - 2] == '=' ? 2 : 1;
    for (size_t i = 0; i < text.len; i++)
        plain[i] = (char)(text.ptr[i] == '+' ? '-' : text.ptr[i] == '/' ? '_' : text.ptr[i]);
    return octets_of_text(d, atls_bytes_of(plain, text.len), "eat_nonce", lengths, out);
}

static enum atls_code read_nonces(const struct atls_eat_decoder *d, const json_t *value,
                                  struct atls_eat_claims *out)
{
    static const struct atls_eat_lengths counts = {2, ATLS_EAT_LIST_MAX};
    size_t count = 1;
    enum atls_code code = ATLS_OK;

    if (json_is_array(value))
        code = atls_eat_json_list(d, value, "eat_nonce", counts, &count);
    if (code != ATLS_OK)
        return code;
    if ((out->nonces = atls_eat_list(d, count, sizeof *out->nonces)) == NULL)
        return ATLS_E_NOMEM;
    while (out->nonce_count < count && code == ATLS_OK) {
        const json_t *one = json_is_array(value) ? json_array_get(value, out->nonce_count) : value;

        code = read_nonce(d, one, &out->nonces[out->nonce_count++]);
    }
    return code;
}

static enum atls_code read_sueids(const struct atls_eat_decoder *d, const json_t *value,
                                  struct atls_eat_claims *out)
{
    static const struct atls_eat_lengths lengths = {7, 33};
    json_t *object = atls_eat_json_mutable(value);
    size_t count = json_object_size(value);
    enum atls_code code = ATLS_OK;

    if (count == 0)
        return atls_eat_malformed(d, "sueids", "is no object with members");
    if (count > ATLS_EAT_LIST_MAX)
        return atls_eat_limit(d, "sueids", ATLS_EAT_LIST_MAX);
    if ((out->sueids = atls_eat_list(d, count, sizeof *out->sueids)) == NULL)
        return ATLS_E_NOMEM;
    for (void *it = json_object_iter(object); it != NULL && code == ATLS_OK;
         it = json_object_iter_next(object, it)) {
        struct atls_eat_named *sueid = &out->sueids[out->sueid_count++];
        const char *name = json_object_iter_key(it);

        if (!atls_arena_copy(d->arena, atls_bytes_of(name, strlen(name)), &sueid->name))
            return no_memory(d, "sueids");
        code =
            atls_eat_json_octets(d, json_object_iter_value(it), "sueids", lengths, &sueid->bytes);
    }
    return code;
}

static enum atls_code read_oemid(const struct atls_eat_decoder *d, const json_t *value,
                                 struct atls_eat_oemid *out)
{
    static const struct atls_eat_lengths lengths = {3, 16};
    enum atls_code code;

    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        out->pen.present = true;
        out->pen.value = (uint64_t)json_integer_value(value);
        return ATLS_OK;
    }
    code = atls_eat_json_octets(d, value, "oemid", lengths, &out->bytes);
    if (code == ATLS_OK && out->bytes.len != 3 && out->bytes.len != 16)
        return atls_eat_malformed(d, "oemid", "is neither a number nor 3 or 16 bytes");
    return code;
}

static enum atls_code read_location_time(const struct atls_eat_decoder *d, const json_t *value,
                                         struct atls_eat_number *out)
{
    out->present = value != NULL;
    if (!out->present)
        return ATLS_OK;
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return atls_eat_malformed(d, "location", "timestamp or age is no integer of at least 0");
    out->value = (uint64_t)json_integer_value(value);
    return ATLS_OK;
}

static enum atls_code read_location(const struct atls_eat_decoder *d, const json_t *value,
                                    struct atls_eat_location *out)
{
    static const char *const names[ATLS_EAT_LOCATION_NUMBERS] = {
        "latitude", "longitude", "altitude", "accuracy", "altitude-accuracy", "heading", "speed"};
    const json_t *timestamp = json_object_get(value, "timestamp");
    const json_t *age = json_object_get(value, "age");
    size_t known = 0u + (timestamp != NULL) + (age != NULL);
    enum atls_code code;

    if (!json_is_object(value))
        return atls_eat_malformed(d, "location", "is no object");
    out->present = true;
    for (size_t i = 0; i < ATLS_EAT_LOCATION_NUMBERS; i++) {
        const json_t *number = json_object_get(value, names[i]);

        if (number == NULL)
            continue;
        known++;
        if (!json_is_number(number))
            return atls_eat_malformed(d, "location", "value is no number");
        if ((code = atls_eat_json_dump(d, number, &out->numbers[i])) != ATLS_OK)
            return code;
    }
    if (known != json_object_size(value))
        return atls_eat_malformed(d, "location", "has a member that is not known");
    if (out->numbers[0].ptr == NULL || out->numbers[1].ptr == NULL)
        return atls_eat_malformed(d, "location", "has no latitude or no longitude");
    code = read_location_time(d, timestamp, &out->timestamp_s);
    return code == ATLS_OK ? read_location_time(d, age, &out->age_s) : code;
}

static enum atls_code read_dloa(const struct atls_eat_decoder *d, const json_t *value,
                                struct atls_eat_dloa *out)
{
    static const struct atls_eat_lengths counts = {2, 3};
    size_t count = 0;
    enum atls_code code = atls_eat_json_list(d, value, "dloas", counts, &count);

    if (code == ATLS_OK)
        code = atls_eat_json_text(d, json_array_get(value, 0), "dloas registrar", &out->registrar);
    if (code == ATLS_OK)
        code = atls_eat_json_text(d, json_array_get(value, 1), "dloas platform", &out->platform);
    if (code == ATLS_OK && count == 3)
        code =
            atls_eat_json_text(d, json_array_get(value, 2), "dloas application", &out->application);
    return code;
}

static enum atls_code read_dloas(const struct atls_eat_decoder *d, const json_t *value,
                                 struct atls_eat_claims *out)
{
    size_t count = 0;
    enum atls_code code = atls_eat_json_list(d, value, "dloas", list_counts, &count);

    if (code != ATLS_OK)
        return code;
    if ((out->dloas = atls_eat_list(d, count, sizeof *out->dloas)) == NULL)
        return ATLS_E_NOMEM;
    for (size_t i = 0; i < count && code == ATLS_OK; i++)
        code = read_dloa(d, json_array_get(value, i), &out->dloas[out->dloa_count++]);
    return code;
}

static enum atls_code read_content(const struct atls_eat_decoder *d, const json_t *value,
                                   const char *where, struct atls_eat_content *out)
{
    static const struct atls_eat_lengths two = {2, 2}, some = {1, SIZE_MAX};
    const json_t *format = json_array_get(value, 0), *content = json_array_get(value, 1);
    size_t count = 0;
    enum atls_code code = atls_eat_json_list(d, value, where, two, &count);

    if (code != ATLS_OK)
        return code;
    if (!json_is_integer(format) || json_integer_value(format) < 0 ||
        json_integer_value(format) > UINT16_MAX)
        return atls_eat_malformed(d, where, "content-format is no number of 16 bits");
    out->content_format = (uint16_t)json_integer_value(format);
    out->is_text =
        out->content_format == FORMAT_JSON || out->content_format == FORMAT_COMPONENT_JSON;
    if (!out->is_text)
        return atls_eat_json_octets(d, content, where, some, &out->bytes);
    code = atls_eat_json_text(d, content, where, &out->bytes);
    return code == ATLS_OK && out->bytes.len == 0 ? atls_eat_malformed(d, where, "is empty") : code;
}

static enum atls_code read_contents(const struct atls_eat_decoder *d, const json_t *value,
                                    const char *where, struct atls_eat_content **out,
                                    size_t *out_count)
{
    size_t count = 0;
    enum atls_code code = atls_eat_json_list(d, value, where, list_counts, &count);

    if (code != ATLS_OK)
        return code;
    if ((*out = atls_eat_list(d, count, sizeof **out)) == NULL)
        return ATLS_E_NOMEM;
    for (size_t i = 0; i < count && code == ATLS_OK; i++)
        code = read_content(d, json_array_get(value, i), where, &(*out)[(*out_count)++]);
    return code;
}

/* [id, result]; the id is text here: what it was before base64url only its maker knows. */
static enum atls_code read_individual(const struct atls_eat_decoder *d, const json_t *value,
                                      struct atls_eat_individual *out)
{
    static const struct atls_eat_lengths two = {2, 2};
    const char *result = json_string_value(json_array_get(value, 1));
    size_t count = 0;
    enum atls_code code = atls_eat_json_list(d, value, "measres", two, &count);

    if (code == ATLS_OK)
        code = atls_eat_json_text(d, json_array_get(value, 0), "measres", &out->id);
    if (code != ATLS_OK)
        return code;
    out->is_text = true;
    for (uint64_t i = ATLS_EAT_RESULT_SUCCESS; result != NULL && i <= ATLS_EAT_RESULT_ABSENT; i++)
        if (strcmp(atls_eat_result_name(i), result) == 0)
            out->result = (enum atls_eat_result)i;
    return out->result != 0 ? ATLS_OK
                            : atls_eat_malformed(
                                  d, "measres", "result is none of success, fail, not-run, absent");
}

static enum atls_code read_group(const struct atls_eat_decoder *d, const json_t *value,
                                 struct atls_eat_measres *out)
{
    static const struct atls_eat_lengths two = {2, 2};
    const json_t *results = json_array_get(value, 1);
    size_t count = 0;
    enum atls_code code = atls_eat_json_list(d, value, "measres", two, &count);

    if (code == ATLS_OK)
        code = atls_eat_json_text(d, json_array_get(value, 0), "measres", &out->system);
    if (code == ATLS_OK)
        code = atls_eat_json_list(d, results, "measres", list_counts, &count);
    if (code != ATLS_OK)
        return code;
    if ((out->results = atls_eat_list(d, count, sizeof *out->results)) == NULL)
        return ATLS_E_NOMEM;
    for (size_t i = 0; i < count && code == ATLS_OK; i++)
        code = read_individual(d, json_array_get(results, i), &out->results[out->count++]);
    return code;
}

static enum atls_code read_measres(const struct atls_eat_decoder *d, const json_t *value,
                                   struct atls_eat_claims *out)
{
    size_t count = 0;
    enum atls_code code = atls_eat_json_list(d, value, "measres", list_counts, &count);

    if (code != ATLS_OK)
        return code;
    if ((out->measres = atls_eat_list(d, count, sizeof *out->measres)) == NULL)
        return ATLS_E_NOMEM;
    for (size_t i = 0; i < count && code == ATLS_OK; i++)
        code = read_group(d, json_array_get(value, i), &out->measres[out->measres_count++]);
    return code;
}

static enum atls_code read_cmw(const struct atls_eat_decoder *d, const json_t *value,
                               struct atls_eat_claims *out)
{
    if ((out->cmw = atls_eat_list(d, 1, sizeof *out->cmw)) == NULL)
        return ATLS_E_NOMEM;
    return atls_cmw_json_decode_value(value, d->arena, out->cmw, d->err);
}

enum atls_code atls_eat_json_read_own(const struct atls_eat_decoder *d, const json_t *value,
                                      const struct atls_eat_row *row, struct atls_eat_claims *out)
{
    switch (row->key) {
    case ATLS_EAT_AUD:
        return read_aud(d, value, out);
    case ATLS_EAT_CTI:
        return atls_eat_json_text(d, value, row->name, &out->cti);
    case ATLS_EAT_CNF:
        return atls_eat_json_cnf(d, value, &out->cnf);
    case ATLS_EAT_NONCE:
        return read_nonces(d, value, out);
    case ATLS_EAT_SUEIDS:
        return read_sueids(d, value, out);
    case ATLS_EAT_OEMID:
        return read_oemid(d, value, &out->oemid);
    case ATLS_EAT_HWVERSION:
        return atls_eat_json_version(d, value, row->name, &out->hwversion);
    case ATLS_EAT_LOCATION:
        return read_location(d, value, &out->location);
    case ATLS_EAT_PROFILE:
        return atls_eat_json_profile(d, value, &out->profile);
    case ATLS_EAT_DLOAS:
        return read_dloas(d, value, out);
    case ATLS_EAT_SWVERSION:
        return atls_eat_json_version(d, value, row->name, &out->swversion);
    case ATLS_EAT_MANIFESTS:
        return read_contents(d, value, row->name, &out->manifests, &out->manifest_count);
    case ATLS_EAT_MEASUREMENTS:
        return read_contents(d, value, row->name, &out->measurements, &out->measurement_count);
    case ATLS_EAT_MEASRES:
        return read_measres(d, value, out);
    case ATLS_EAT_CMW:
        return read_cmw(d, value, out);
    default:
        return atls_fail(d->err, ATLS_E_INTERNAL, "EAT %s: no reader", row->name);
    }
}
