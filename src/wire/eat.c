#include "wire/eat.h"

#include <string.h>

#include "core/err.h"
#include "wire/eat_claims.h"

/* RFC 9052, RFC 8392, RFC 9781, RFC 9711. */
enum {
    TAG_MAC0 = 17,
    TAG_SIGN1 = 18,
    TAG_CWT = 61,
    TAG_SIGN = 98,
    TAG_UCCS = 601,
    TAG_BUNDLE = 602,
};

static void *member_of(struct atls_eat_claims *claims, const struct atls_eat_row *row)
{
    return (char *)claims + row->offset;
}

static enum atls_code read_string(const struct atls_eat_decoder *d, struct atls_reader *r,
                                  const struct atls_eat_row *row, struct atls_bytes *out)
{
    if (row->form == ATLS_EAT_FORM_TEXT)
        return atls_cbor_get_text(r, out) ? ATLS_OK
                                          : atls_eat_malformed(d, row->name, "is no text");
    if (!atls_cbor_get_bytes(r, out) || out->len < row->least || out->len > row->most)
        return atls_eat_malformed(d, row->name, "is no byte string of a length that is allowed");
    return ATLS_OK;
}

static enum atls_code read_number(const struct atls_eat_decoder *d, struct atls_reader *r,
                                  const struct atls_eat_row *row, struct atls_eat_number *out)
{
    bool truth = false;

    out->present = true;
    if (row->form == ATLS_EAT_FORM_BOOL) {
        if (!atls_cbor_get_bool(r, &truth))
            return atls_eat_malformed(d, row->name, "is neither true nor false");
        out->value = truth;
        return ATLS_OK;
    }
    if (!atls_cbor_get_uint(r, &out->value))
        return atls_eat_malformed(d, row->name, "is no integer of at least 0");
    if (row->form == ATLS_EAT_FORM_TIME && out->value > INT64_MAX)
        return atls_eat_malformed(d, row->name, "is a time beyond all calendars");
    if (row->form == ATLS_EAT_FORM_NAMED && (out->value < row->least || out->value > row->most))
        return atls_eat_malformed(d, row->name, "is none of the values that are registered");
    return ATLS_OK;
}

static enum atls_code read_registered(const struct atls_eat_decoder *d, struct atls_reader *r,
                                      const struct atls_eat_row *row, unsigned int depth,
                                      struct atls_eat_claims *out)
{
    switch (row->form) {
    case ATLS_EAT_FORM_TEXT:
    case ATLS_EAT_FORM_BYTES:
        return read_string(d, r, row, member_of(out, row));
    case ATLS_EAT_FORM_TIME:
    case ATLS_EAT_FORM_UINT:
    case ATLS_EAT_FORM_BOOL:
    case ATLS_EAT_FORM_NAMED:
        return read_number(d, r, row, member_of(out, row));
    case ATLS_EAT_FORM_OWN:
    default:
        break;
    }
    if (row->key == ATLS_EAT_SUBMODS)
        return atls_eat_read_submods(d, r, depth, out);
    return atls_eat_read_own(d, r, row, out);
}

/* Integers for what is registered (RFC 9711 section 7.2.3): a text that plays such a claim would be
 * seen by one reader and not by another. */
static enum atls_code read_claim(const struct atls_eat_decoder *d, struct atls_reader *r,
                                 unsigned int depth, struct atls_eat_claims *out)
{
    const struct atls_eat_row *row = NULL;
    struct atls_eat_other *other = &out->others[out->other_count];
    struct atls_eat_label key;

    if (!atls_eat_get_label(r, &key))
        return atls_eat_malformed(d, "claims set", "key is neither an integer nor text");
    if (key.is_text && atls_eat_row_by_name(key.text) != NULL)
        return atls_eat_malformed(d, "claims set", "text is the key of a registered claim");
    if (!key.is_text && (row = atls_eat_row_by_key(key.number)) != NULL)
        return read_registered(d, r, row, depth, out);
    if (!atls_cbor_get_item(r, &other->value))
        return atls_eat_malformed(d, "claims set", "truncated");
    other->key = key;
    out->other_count++;
    return ATLS_OK;
}

enum atls_code atls_eat_read_claims(const struct atls_eat_decoder *d, struct atls_reader *r,
                                    unsigned int depth, struct atls_eat_claims *out)
{
    struct atls_eat_walk walk = {
        .where = "claims set", .is_map = true, .most = ATLS_EAT_CLAIMS_MAX};
    enum atls_code code;

    if (depth >= ATLS_EAT_DEPTH_MAX)
        return atls_eat_limit(d, "depth of claims sets", ATLS_EAT_DEPTH_MAX);
    if ((code = atls_eat_enter(d, r, &walk)) != ATLS_OK)
        return code;
    if ((out->others = atls_eat_list(d, walk.count, sizeof *out->others)) == NULL)
        return ATLS_E_NOMEM;
    while (atls_cbor_more(r, &walk.iter))
        if ((code = read_claim(d, r, depth, out)) != ATLS_OK)
            return code;
    return ATLS_OK;
}

enum atls_code atls_eat_claims_decode(struct atls_bytes in, unsigned int depth,
                                      struct atls_arena *arena, struct atls_eat_claims *out,
                                      struct atls_err *err)
{
    const struct atls_eat_decoder d = {arena, err};
    struct atls_reader r = atls_reader_init(in);
    struct atls_eat_claims claims;
    enum atls_code code;

    memset(&claims, 0, sizeof claims);
    if ((code = atls_cbor_check(in, ATLS_CBOR_INDEFINITE, err)) != ATLS_OK ||
        (code = atls_eat_read_claims(&d, &r, depth, &claims)) != ATLS_OK)
        return code;
    *out = claims;
    return ATLS_OK;
}

static enum atls_code read_sets(const struct atls_eat_decoder *d, struct atls_reader *r,
                                struct atls_eat_bundle *out)
{
    struct atls_eat_walk walk = {
        .where = "bundle", .is_map = true, .least = 1, .most = ATLS_EAT_SUBMODS_MAX};
    enum atls_code code;

    if ((code = atls_eat_enter(d, r, &walk)) != ATLS_OK)
        return code;
    if ((out->sets = atls_eat_list(d, walk.count, sizeof *out->sets)) == NULL)
        return ATLS_E_NOMEM;
    while (atls_cbor_more(r, &walk.iter)) {
        struct atls_eat_named *set = &out->sets[out->set_count++];

        if (!atls_cbor_get_text(r, &set->name))
            return atls_eat_malformed(d, "bundle", "name of a claims set is no text");
        if (!atls_cbor_get_bytes(r, &set->bytes) || set->bytes.len == 0)
            return atls_eat_malformed(d, "bundle", "claims set is no byte string with content");
    }
    return ATLS_OK;
}

/* Section 5: [main token, {+ name => claims set}]. */
static enum atls_code read_bundle(const struct atls_eat_decoder *d, struct atls_reader *r,
                                  struct atls_eat_bundle *out)
{
    struct atls_eat_walk walk = {.where = "bundle", .least = 2, .most = 2};
    enum atls_code code;

    if ((code = atls_eat_enter(d, r, &walk)) != ATLS_OK)
        return code;
    out->main_kind = ATLS_EAT_SUBMOD_CBOR_TOKEN;
    if (!atls_cbor_more(r, &walk.iter))
        return atls_eat_malformed(d, "bundle", "truncated");
    if (!atls_cbor_get_bytes(r, &out->main_token)) {
        out->main_kind = ATLS_EAT_SUBMOD_JSON_TOKEN;
        if (!atls_cbor_get_text(r, &out->main_token))
            return atls_eat_malformed(d, "bundle", "main token is neither bytes nor text");
    }
    if (out->main_token.len == 0)
        return atls_eat_malformed(d, "bundle", "main token is empty");
    if (!atls_cbor_more(r, &walk.iter))
        return atls_eat_malformed(d, "bundle", "truncated");
    code = read_sets(d, r, out);
    if (code == ATLS_OK && atls_cbor_more(r, &walk.iter)) /* takes the break of an array too */
        code = atls_eat_malformed(d, "bundle", "has too many elements");
    return code;
}

/* r stands behind an optional tag 61. */
static enum atls_code open_cwt(const struct atls_eat_decoder *d, struct atls_reader *r,
                               struct atls_eat_token *token)
{
    struct atls_bytes sign1 = atls_bytes_of(r->in.ptr + r->pos, atls_reader_left(r));
    uint64_t tag = 0;
    enum atls_code code;

    if (!atls_cbor_get_tag(r, &tag))
        return atls_eat_malformed(d, "CWT", "no tag of COSE");
    if (tag == TAG_MAC0 || tag == TAG_SIGN)
        return atls_fail(d->err, ATLS_E_UNSUPPORTED, "EAT CWT: %s; only COSE_Sign1 is done here",
                         tag == TAG_MAC0 ? "COSE_Mac0" : "COSE_Sign");
    code = atls_cose_sign1_decode(sign1, ATLS_COSE_TAG_REQUIRED, &token->sign1, d->err);
    if (code != ATLS_OK)
        return code;
    if (token->sign1.detached)
        return atls_eat_malformed(d, "CWT", "payload is detached");
    token->claims = token->sign1.payload;
    return ATLS_OK;
}

enum atls_code atls_eat_token_open(struct atls_bytes in, struct atls_arena *arena,
                                   struct atls_eat_token *out, struct atls_err *err)
{
    const struct atls_eat_decoder d = {arena, err};
    struct atls_reader r = atls_reader_init(in), start;
    struct atls_eat_token token = {.kind = ATLS_EAT_CWT};
    enum atls_code code;
    uint64_t tag = 0;

    if ((code = atls_cbor_check(in, ATLS_CBOR_INDEFINITE, err)) != ATLS_OK)
        return code;
    start = r;
    if (!atls_cbor_get_tag(&r, &tag))
        return atls_eat_malformed(&d, "token", "no tag says what it is");
    if (tag == TAG_UCCS) {
        token.kind = ATLS_EAT_UCCS;
        token.claims = atls_bytes_of(in.ptr + r.pos, atls_reader_left(&r));
    } else if (tag == TAG_BUNDLE) {
        token.kind = ATLS_EAT_BUNDLE;
        code = read_bundle(&d, &r, &token.bundle);
    } else {
        code = open_cwt(&d, tag == TAG_CWT ? &r : &start, &token);
    }
    if (code == ATLS_OK)
        *out = token;
    return code;
}

static const struct atls_eat_submod *find_submod(const struct atls_eat_claims *claims,
                                                 struct atls_bytes name)
{
    for (size_t i = 0; i < claims->submod_count; i++)
        if (atls_bytes_equal(claims->submods[i].name, name))
            return &claims->submods[i];
    return NULL;
}

const struct atls_eat_submod *atls_eat_submod_find(const struct atls_eat_claims *claims,
                                                   const char *name)
{
    return find_submod(claims, atls_bytes_of(name, strlen(name)));
}

const struct atls_eat_other *atls_eat_other_find(const struct atls_eat_claims *claims, int64_t key)
{
    for (size_t i = 0; i < claims->other_count; i++)
        if (!claims->others[i].key.is_text && claims->others[i].key.number == key)
            return &claims->others[i];
    return NULL;
}

enum atls_code atls_eat_bundle_pair(const struct atls_eat_bundle *bundle,
                                    const struct atls_eat_claims *main_claims,
                                    struct atls_arena *arena, struct atls_eat_detached **out,
                                    struct atls_err *err)
{
    const struct atls_eat_decoder d = {arena, err};
    struct atls_eat_detached *pairs = atls_eat_list(&d, bundle->set_count, sizeof *pairs);

    if (pairs == NULL)
        return ATLS_E_NOMEM;
    for (size_t i = 0; i < bundle->set_count; i++) {
        const struct atls_eat_submod *submod = find_submod(main_claims, bundle->sets[i].name);

        if (submod == NULL || submod->kind != ATLS_EAT_SUBMOD_DIGEST)
            return atls_eat_malformed(&d, "bundle",
                                      "a claims set that no digest of the main token covers");
        pairs[i].name = submod->name;
        pairs[i].expected = submod->digest;
        pairs[i].claims = bundle->sets[i].bytes;
    }
    *out = pairs;
    return ATLS_OK;
}
