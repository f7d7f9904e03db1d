/* Claims whose type is of their own, in CBOR. */
#include "wire/eat_claims.h"

#include "core/err.h"

/* RFC 8747. */
enum { CNF_COSE_KEY = 1, CNF_KID = 3 };
/* RFC 9711 section 4.2.10. */
enum { LOCATION_TIMESTAMP = 8, LOCATION_AGE = 9 };

enum { NONCE_LEAST = 8, NONCE_MOST = 64 };

/* RFC 8392 section 3.1.3: one, or an array. */
static enum atls_code read_aud(const struct atls_eat_decoder *d, struct atls_reader *r,
                               struct atls_eat_claims *out)
{
    struct atls_eat_walk walk = {.where = "aud", .least = 1, .most = ATLS_EAT_LIST_MAX};
    struct atls_bytes one;
    enum atls_code code;

    if (atls_cbor_get_text(r, &one)) {
        if ((out->aud = atls_eat_list(d, 1, sizeof *out->aud)) == NULL)
            return ATLS_E_NOMEM;
        out->aud[out->aud_count++] = one;
        return ATLS_OK;
    }
    if ((code = atls_eat_enter(d, r, &walk)) != ATLS_OK)
        return code;
    if ((out->aud = atls_eat_list(d, walk.count, sizeof *out->aud)) == NULL)
        return ATLS_E_NOMEM;
    while (atls_cbor_more(r, &walk.iter))
        if (!atls_cbor_get_text(r, &out->aud[out->aud_count++]))
            return atls_eat_malformed(d, "aud", "one is no text");
    return ATLS_OK;
}

/* RFC 8747 section 3.1: one key, given or named. */
static enum atls_code read_cnf(const struct atls_eat_decoder *d, struct atls_reader *r,
                               struct atls_eat_cnf *out)
{
    struct atls_eat_walk walk = {.where = "cnf", .is_map = true, .least = 1, .most = 1};
    int64_t method = 0;
    enum atls_code code;

    if ((code = atls_eat_enter(d, r, &walk)) != ATLS_OK)
        return code;
    if (!atls_cbor_more(r, &walk.iter) || !atls_cbor_get_int(r, &method) ||
        (method != CNF_COSE_KEY && method != CNF_KID))
        return atls_eat_malformed(d, "cnf", "method is neither COSE_Key (1) nor kid (3)");
    if (method == CNF_KID) {
        if (!atls_cbor_get_bytes(r, &out->kid) || out->kid.len == 0)
            return atls_eat_malformed(d, "cnf", "kid is no byte string with content");
    } else {
        if (!atls_cbor_get_item(r, &out->key_encoded))
            return atls_eat_malformed(d, "cnf", "truncated");
        if ((code = atls_cose_key_decode(out->key_encoded, &out->key, d->err)) != ATLS_OK)
            return code;
    }
    return atls_cbor_more(r, &walk.iter) ? atls_eat_malformed(d, "cnf", "has too many elements")
                                         : ATLS_OK;
}

static bool get_nonce(struct atls_reader *r, struct atls_bytes *out)
{
    return atls_cbor_get_bytes(r, out) && out->len >= NONCE_LEAST && out->len <= NONCE_MOST;
}

/* Section 4.1. */
static enum atls_code read_nonces(const struct atls_eat_decoder *d, struct atls_reader *r,
                                  struct atls_eat_claims *out)
{
    struct atls_eat_walk walk = {.where = "eat_nonce", .least = 2, .most = ATLS_EAT_LIST_MAX};
    enum atls_cbor_type type = ATLS_CBOR_SIMPLE;
    bool single = !atls_cbor_peek(r, &type) || type != ATLS_CBOR_ARRAY;
    enum atls_code code;

    if (!single && (code = atls_eat_enter(d, r, &walk)) != ATLS_OK)
        return code;
    out->nonces = atls_eat_list(d, single ? 1 : walk.count, sizeof *out->nonces);
    if (out->nonces == NULL)
        return ATLS_E_NOMEM;
    while (single || atls_cbor_more(r, &walk.iter)) {
        if (!get_nonce(r, &out->nonces[out->nonce_count++]))
            return atls_eat_malformed(d, "eat_nonce", "is no byte string of 8..64");
        if (single)
            break;
    }
    return ATLS_OK;
}

static enum atls_code read_sueids(const struct atls_eat_decoder *d, struct atls_reader *r,
                                  struct atls_eat_claims *out)
{
    struct atls_eat_walk walk = {
        .where = "sueids", .is_map = true, .least = 1, .most = ATLS_EAT_LIST_MAX};
    enum atls_code code;

    if ((code = atls_eat_enter(d, r, &walk)) != ATLS_OK)
        return code;
    if ((out->sueids = atls_eat_list(d, walk.count, sizeof *out->sueids)) == NULL)
        return ATLS_E_NOMEM;
    while (atls_cbor_more(r, &walk.iter)) {
        struct atls_eat_named *sueid = &out->sueids[out->sueid_count++];

        if (!atls_cbor_get_text(r, &sueid->name))
            return atls_eat_malformed(d, "sueids", "label is no text");
        if (!atls_cbor_get_bytes(r, &sueid->bytes) || sueid->bytes.len < 7 || sueid->bytes.len > 33)
            return atls_eat_malformed(d, "sueids", "one is no byte string of 7..33");
    }
    return ATLS_OK;
}

static enum atls_code read_oemid(const struct atls_eat_decoder *d, struct atls_reader *r,
                                 struct atls_eat_oemid *out)
{
    out->pen.present = atls_cbor_get_uint(r, &out->pen.value);
    if (out->pen.present ||
        (atls_cbor_get_bytes(r, &out->bytes) && (out->bytes.len == 3 || out->bytes.len == 16)))
        return ATLS_OK;
    return atls_eat_malformed(d, "oemid", "is neither a number nor 3 or 16 bytes");
}

enum atls_code atls_eat_read_version(const struct atls_eat_decoder *d, struct atls_reader *r,
                                     const char *where, struct atls_eat_version *out)
{
    struct atls_eat_walk walk = {.where = where, .least = 1, .most = 2};
    enum atls_code code = atls_eat_enter(d, r, &walk);

    if (code != ATLS_OK)
        return code;
    if (!atls_cbor_more(r, &walk.iter) || !atls_cbor_get_text(r, &out->version))
        return atls_eat_malformed(d, where, "version is no text");
    out->has_scheme = atls_cbor_more(r, &walk.iter);
    if (!out->has_scheme)
        return ATLS_OK;
    if (!atls_eat_get_label(r, &out->scheme))
        return atls_eat_malformed(d, where, "scheme is neither a number nor text");
    return atls_cbor_more(r, &walk.iter) ? atls_eat_malformed(d, where, "has too many elements")
                                         : ATLS_OK;
}

/* An integer, or a float of any width: the only ones that RFC 9711 lets stand. */
static bool get_number(struct atls_reader *r, struct atls_bytes *out)
{
    enum { HALF = 0xf9, SINGLE = 0xfa, DOUBLE = 0xfb };
    struct atls_bytes item;
    uint8_t first;

    if (!atls_cbor_get_item(r, &item))
        return false;
    first = item.ptr[0];
    *out = item;
    return first >> 5 <= ATLS_CBOR_NINT || first == HALF || first == SINGLE || first == DOUBLE;
}

static enum atls_code read_location_member(const struct atls_eat_decoder *d, struct atls_reader *r,
                                           struct atls_eat_location *out)
{
    struct atls_eat_number *whole;
    uint64_t key = 0;

    if (!atls_cbor_get_uint(r, &key) || key == 0 || key > LOCATION_AGE)
        return atls_eat_malformed(d, "location", "key is none of 1 to 9");
    if (key <= ATLS_EAT_LOCATION_NUMBERS)
        return get_number(r, &out->numbers[key - 1])
                   ? ATLS_OK
                   : atls_eat_malformed(d, "location", "value is no number");
    whole = key == LOCATION_TIMESTAMP ? &out->timestamp_s : &out->age_s;
    whole->present = true;
    if (!atls_cbor_get_uint(r, &whole->value) || whole->value > INT64_MAX)
        return atls_eat_malformed(d, "location", "timestamp or age is no integer of at least 0");
    return ATLS_OK;
}

static enum atls_code read_location(const struct atls_eat_decoder *d, struct atls_reader *r,
                                    struct atls_eat_location *out)
{
    struct atls_eat_walk walk = {.where = "location", .is_map = true, .least = 2, .most = 9};
    enum atls_code code = atls_eat_enter(d, r, &walk);

    if (code != ATLS_OK)
        return code;
    out->present = true;
    while (atls_cbor_more(r, &walk.iter))
        if ((code = read_location_member(d, r, out)) != ATLS_OK)
            return code;
    if (out->numbers[0].ptr == NULL || out->numbers[1].ptr == NULL)
        return atls_eat_malformed(d, "location", "has no latitude or no longitude");
    return ATLS_OK;
}

/* Section 4.3.2: a URI as text without a tag, or an OID without one. */
static enum atls_code read_profile(const struct atls_eat_decoder *d, struct atls_reader *r,
                                   struct atls_eat_profile *out)
{
    out->is_oid = atls_cbor_get_bytes(r, &out->value);
    if (out->is_oid ? atls_eat_oid_valid(out->value)
                    : atls_cbor_get_text(r, &out->value) && out->value.len > 0)
        return ATLS_OK;
    return atls_eat_malformed(d, "eat_profile", "is neither a URI nor the content of an OID");
}

static enum atls_code read_dloa(const struct atls_eat_decoder *d, struct atls_reader *r,
                                struct atls_eat_dloa *out)
{
    struct atls_eat_walk walk = {.where = "dloas", .least = 2, .most = 3};
    enum atls_code code = atls_eat_enter(d, r, &walk);

    if (code != ATLS_OK)
        return code;
    if (!atls_cbor_more(r, &walk.iter) || !atls_cbor_get_text(r, &out->registrar) ||
        !atls_cbor_more(r, &walk.iter) || !atls_cbor_get_text(r, &out->platform))
        return atls_eat_malformed(d, "dloas", "registrar or platform is no text");
    if (!atls_cbor_more(r, &walk.iter))
        return ATLS_OK;
    if (!atls_cbor_get_text(r, &out->application) || atls_cbor_more(r, &walk.iter))
        return atls_eat_malformed(d, "dloas", "application is no text");
    return ATLS_OK;
}

static enum atls_code read_dloas(const struct atls_eat_decoder *d, struct atls_reader *r,
                                 struct atls_eat_claims *out)
{
    struct atls_eat_walk walk = {.where = "dloas", .least = 1, .most = ATLS_EAT_LIST_MAX};
    enum atls_code code = atls_eat_enter(d, r, &walk);

    if (code != ATLS_OK)
        return code;
    if ((out->dloas = atls_eat_list(d, walk.count, sizeof *out->dloas)) == NULL)
        return ATLS_E_NOMEM;
    while (atls_cbor_more(r, &walk.iter))
        if ((code = read_dloa(d, r, &out->dloas[out->dloa_count++])) != ATLS_OK)
            return code;
    return ATLS_OK;
}

static enum atls_code read_content(const struct atls_eat_decoder *d, struct atls_reader *r,
                                   const char *where, struct atls_eat_content *out)
{
    struct atls_eat_walk walk = {.where = where, .least = 2, .most = 2};
    uint64_t format = 0;
    enum atls_code code = atls_eat_enter(d, r, &walk);

    if (code != ATLS_OK)
        return code;
    if (!atls_cbor_more(r, &walk.iter) || !atls_cbor_get_uint(r, &format) || format > UINT16_MAX)
        return atls_eat_malformed(d, where, "content-format is no number of 16 bits");
    out->content_format = (uint16_t)format;
    if (!atls_cbor_more(r, &walk.iter))
        return atls_eat_malformed(d, where, "truncated");
    out->is_text = atls_cbor_get_text(r, &out->bytes);
    if ((!out->is_text && !atls_cbor_get_bytes(r, &out->bytes)) || out->bytes.len == 0 ||
        atls_cbor_more(r, &walk.iter))
        return atls_eat_malformed(d, where, "content is neither bytes nor text, or empty");
    return ATLS_OK;
}

/* Sections 4.2.15 and 4.2.16. */
static enum atls_code read_contents(const struct atls_eat_decoder *d, struct atls_reader *r,
                                    const char *where, struct atls_eat_content **out,
                                    size_t *out_count)
{
    struct atls_eat_walk walk = {.where = where, .least = 1, .most = ATLS_EAT_LIST_MAX};
    enum atls_code code = atls_eat_enter(d, r, &walk);

    if (code != ATLS_OK)
        return code;
    if ((*out = atls_eat_list(d, walk.count, sizeof **out)) == NULL)
        return ATLS_E_NOMEM;
    while (atls_cbor_more(r, &walk.iter))
        if ((code = read_content(d, r, where, &(*out)[(*out_count)++])) != ATLS_OK)
            return code;
    return ATLS_OK;
}

static enum atls_code read_individual(const struct atls_eat_decoder *d, struct atls_reader *r,
                                      struct atls_eat_individual *out)
{
    struct atls_eat_walk walk = {.where = "measres", .least = 2, .most = 2};
    uint64_t result = 0;
    enum atls_code code = atls_eat_enter(d, r, &walk);

    if (code != ATLS_OK)
        return code;
    if (!atls_cbor_more(r, &walk.iter))
        return atls_eat_malformed(d, "measres", "truncated");
    out->is_text = atls_cbor_get_text(r, &out->id);
    if (!out->is_text && !atls_cbor_get_bytes(r, &out->id))
        return atls_eat_malformed(d, "measres", "id is neither text nor bytes");
    if (!atls_cbor_more(r, &walk.iter) || !atls_cbor_get_uint(r, &result) ||
        atls_eat_result_name(result) == NULL || atls_cbor_more(r, &walk.iter))
        return atls_eat_malformed(d, "measres", "result is none of 1 to 4");
    out->result = (enum atls_eat_result)result;
    return ATLS_OK;
}

static enum atls_code read_group(const struct atls_eat_decoder *d, struct atls_reader *r,
                                 struct atls_eat_measres *out)
{
    struct atls_eat_walk group = {.where = "measres", .least = 2, .most = 2};
    struct atls_eat_walk walk = {.where = "measres", .least = 1, .most = ATLS_EAT_LIST_MAX};
    enum atls_code code = atls_eat_enter(d, r, &group);

    if (code != ATLS_OK)
        return code;
    if (!atls_cbor_more(r, &group.iter) || !atls_cbor_get_text(r, &out->system))
        return atls_eat_malformed(d, "measres", "system is no text");
    if (!atls_cbor_more(r, &group.iter))
        return atls_eat_malformed(d, "measres", "truncated");
    if ((code = atls_eat_enter(d, r, &walk)) != ATLS_OK)
        return code;
    if ((out->results = atls_eat_list(d, walk.count, sizeof *out->results)) == NULL)
        return ATLS_E_NOMEM;
    while (atls_cbor_more(r, &walk.iter))
        if ((code = read_individual(d, r, &out->results[out->count++])) != ATLS_OK)
            return code;
    return atls_cbor_more(r, &group.iter)
               ? atls_eat_malformed(d, "measres", "has too many elements")
               : ATLS_OK;
}

/* Section 4.2.17. */
static enum atls_code read_measres(const struct atls_eat_decoder *d, struct atls_reader *r,
                                   struct atls_eat_claims *out)
{
    struct atls_eat_walk walk = {.where = "measres", .least = 1, .most = ATLS_EAT_LIST_MAX};
    enum atls_code code = atls_eat_enter(d, r, &walk);

    if (code != ATLS_OK)
        return code;
    if ((out->measres = atls_eat_list(d, walk.count, sizeof *out->measres)) == NULL)
        return ATLS_E_NOMEM;
    while (atls_cbor_more(r, &walk.iter))
        if ((code = read_group(d, r, &out->measres[out->measres_count++])) != ATLS_OK)
            return code;
    return ATLS_OK;
}

/* RFC 9999: a CMW of the notation that it stands in. */
static enum atls_code read_cmw(const struct atls_eat_decoder *d, struct atls_reader *r,
                               struct atls_eat_claims *out)
{
    struct atls_bytes item;

    if (!atls_cbor_get_item(r, &item))
        return atls_eat_malformed(d, "cmw", "truncated");
    if ((out->cmw = atls_eat_list(d, 1, sizeof *out->cmw)) == NULL)
        return ATLS_E_NOMEM;
    return atls_cmw_decode(item, d->arena, out->cmw, d->err);
}

enum atls_code atls_eat_read_own(const struct atls_eat_decoder *d, struct atls_reader *r,
                                 const struct atls_eat_row *row, struct atls_eat_claims *out)
{
    switch (row->key) {
    case ATLS_EAT_AUD:
        return read_aud(d, r, out);
    case ATLS_EAT_CTI:
        return atls_cbor_get_bytes(r, &out->cti) ? ATLS_OK
                                                 : atls_eat_malformed(d, "cti", "is no bytes");
    case ATLS_EAT_CNF:
        return read_cnf(d, r, &out->cnf);
    case ATLS_EAT_NONCE:
        return read_nonces(d, r, out);
    case ATLS_EAT_SUEIDS:
        return read_sueids(d, r, out);
    case ATLS_EAT_OEMID:
        return read_oemid(d, r, &out->oemid);
    case ATLS_EAT_HWVERSION:
        return atls_eat_read_version(d, r, row->name, &out->hwversion);
    case ATLS_EAT_LOCATION:
        return read_location(d, r, &out->location);
    case ATLS_EAT_PROFILE:
        return read_profile(d, r, &out->profile);
    case ATLS_EAT_DLOAS:
        return read_dloas(d, r, out);
    case ATLS_EAT_SWVERSION:
        return atls_eat_read_version(d, r, row->name, &out->swversion);
    case ATLS_EAT_MANIFESTS:
        return read_contents(d, r, row->name, &out->manifests, &out->manifest_count);
    case ATLS_EAT_MEASUREMENTS:
        return read_contents(d, r, row->name, &out->measurements, &out->measurement_count);
    case ATLS_EAT_MEASRES:
        return read_measres(d, r, out);
    case ATLS_EAT_CMW:
        return read_cmw(d, r, out);
    default:
        return atls_fail(d->err, ATLS_E_INTERNAL, "EAT %s: no reader", row->name);
    }
}
