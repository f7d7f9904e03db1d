#include "wire/cmw.h"

#include <string.h>

#include <atls/limits.h>

#include "core/err.h"
#include "wire/cbor.h"
#include "wire/tlv.h"

#define COLLECTION_TYPE       "__cmwc_t"
#define SIGNED_TYPE           "application/cmw+cbor"
#define SIGNED_CONTENT_FORMAT 273

/* RFC 9277 appendix B: TN(). */
#define TAG_BASE               UINT64_C(0x63740101)
#define TAG_LAST               UINT64_C(0x6374ffff)
#define TAG_CONTENT_FORMAT_MAX 65024

static enum atls_code malformed(struct atls_err *err, const char *what, const char *rule)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "%s: %s", what, rule);
}

enum atls_cmw_shape atls_cmw_sniff(struct atls_bytes in)
{
    static const struct {
        uint8_t first, last;
        enum atls_cmw_shape shape;
    } rows[] = {
        {0x5b, 0x5b, ATLS_CMW_SHAPE_JSON_RECORD},
        {0x7b, 0x7b, ATLS_CMW_SHAPE_JSON_COLLECTION},
        {0x82, 0x83, ATLS_CMW_SHAPE_CBOR_RECORD},
        {0x9f, 0x9f, ATLS_CMW_SHAPE_CBOR_RECORD},
        {0xa1, 0xbb, ATLS_CMW_SHAPE_CBOR_COLLECTION},
        {0xbf, 0xbf, ATLS_CMW_SHAPE_CBOR_COLLECTION},
        {0xda, 0xda, ATLS_CMW_SHAPE_CBOR_TAG},
        {0xd2, 0xd2, ATLS_CMW_SHAPE_COSE},
        {'e', 'e', ATLS_CMW_SHAPE_JWS},
    };

    for (size_t i = 0; in.len != 0 && i < sizeof rows / sizeof rows[0]; i++)
        if (in.ptr[0] >= rows[i].first && in.ptr[0] <= rows[i].last)
            return rows[i].shape;
    return ATLS_CMW_SHAPE_UNKNOWN;
}

/* --- what holds for decoded trees and for trees to be encoded --- */

static bool is_one_of(uint8_t c, const char *set)
{
    return c != 0 && strchr(set, c) != NULL;
}

static bool is_alpha(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(uint8_t c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* RFC 3986: a scheme, a colon, and characters of a URI; a fragment may be. */
static bool is_absolute_uri(struct atls_bytes text)
{
    size_t i = 0;
    bool fragment = false;

    while (i < text.len && (is_alpha(text.ptr[i]) ||
                            (i > 0 && (is_digit(text.ptr[i]) || is_one_of(text.ptr[i], "+-.")))))
        i++;
    if (i == 0 || text.len - i < 2 || text.ptr[i] != ':')
        return false;
    while (++i < text.len) {
        uint8_t c = text.ptr[i];

        if (c == '%') {
            if (text.len - i < 3 || !is_hex(text.ptr[i + 1]) || !is_hex(text.ptr[i + 2]))
                return false;
        } else if (c == '#') {
            if (fragment)
                return false;
            fragment = true;
        } else if (!is_alpha(c) && !is_digit(c) && !is_one_of(c, "-._~:/?[]@!$&'()*+,;=")) {
            return false;
        }
    }
    return true;
}

/* Digits without an idle zero in front. */
static bool get_arc(struct atls_reader *r, struct atls_bytes *out)
{
    size_t len = 0;

    while (len < atls_reader_left(r) && is_digit(r->in.ptr[r->pos + len]))
        len++;
    return len != 0 && (len == 1 || r->in.ptr[r->pos] != '0') && atls_get_bytes(r, len, out);
}

/* An absolute OID in dotted form: two arcs or more, within X.660's bounds on the first two. */
static bool is_oid(struct atls_bytes text)
{
    struct atls_reader r = atls_reader_init(text);
    struct atls_bytes root, arc;
    size_t arcs = 1;
    uint8_t dot;

    if (!get_arc(&r, &root) || root.len != 1 || root.ptr[0] > '2')
        return false;
    for (; !atls_reader_done(&r); arcs++) {
        if (!atls_get_u8(&r, &dot) || dot != '.' || !get_arc(&r, &arc))
            return false;
        if (arcs == 1 && root.ptr[0] < '2' && (arc.len > 2 || (arc.len == 2 && arc.ptr[0] > '3')))
            return false;
    }
    return arcs >= 2;
}

static bool is_collection_type(struct atls_bytes text)
{
    return is_absolute_uri(text) || is_oid(text);
}

/* The rule that a record or tag breaks, or NULL. */
static const char *broken_message(const struct atls_cmw *cmw)
{
    if (cmw->type.is_text &&
        (!atls_utf8_valid(cmw->type.text) || !atls_content_type_valid(cmw->type.text)))
        return "type is not a Content-Type";
    if (cmw->value.len == 0)
        return "value is empty";
    if ((cmw->ind & ~(uint32_t)ATLS_CMW_IND_ALL) != 0)
        return "ind has bits that are not assigned";
    if (cmw->kind == ATLS_CMW_TAG && cmw->ind != 0)
        return "a tag has no ind";
    if (cmw->kind == ATLS_CMW_TAG &&
        (cmw->type.is_text || cmw->type.content_format > TAG_CONTENT_FORMAT_MAX))
        return "type has no tag";
    return NULL;
}

/* The rule that a label breaks, or NULL. */
static const char *broken_label(const struct atls_cmw_label *label)
{
    if (!label->is_text)
        return NULL;
    if (label->text.len == 0)
        return "label is empty";
    if (atls_bytes_equal_text(label->text, COLLECTION_TYPE))
        return "label " COLLECTION_TYPE " is reserved";
    return atls_utf8_valid(label->text) ? NULL : "label is not UTF-8";
}

/* The bytewise order of encoded labels: unsigned, negative, then text, shorter before longer. */
static int compare_labels(const struct atls_cmw_label *a, const struct atls_cmw_label *b)
{
    int rank_a = a->is_text ? 2 : a->number < 0;
    int rank_b = b->is_text ? 2 : b->number < 0;

    if (rank_a != rank_b)
        return rank_a - rank_b;
    if (rank_a == 0)
        return (a->number > b->number) - (a->number < b->number);
    if (rank_a == 1)
        return (a->number < b->number) - (a->number > b->number);
    if (a->text.len != b->text.len)
        return a->text.len > b->text.len ? 1 : -1;
    return memcmp(a->text.ptr, b->text.ptr, a->text.len);
}

const struct atls_cmw_entry *atls_cmw_next(const struct atls_cmw *collection,
                                           const struct atls_cmw_entry *after)
{
    const struct atls_cmw_entry *found = NULL;

    for (size_t i = 0; i < collection->count; i++) {
        const struct atls_cmw_entry *entry = &collection->entries[i];

        if ((after == NULL || compare_labels(&entry->label, &after->label) > 0) &&
            (found == NULL || compare_labels(&entry->label, &found->label) < 0))
            found = entry;
    }
    return found;
}

/* The rule that a collection breaks by itself, or NULL; members and repeated labels are looked at
 * apart. */
static const char *broken_collection(const struct atls_cmw *cmw)
{
    const char *rule = NULL;

    if (cmw->count == 0)
        return "collection is empty";
    if (cmw->count > ATLS_CMW_ENTRIES_MAX)
        return "collection has too many entries";
    if (cmw->collection_type.ptr != NULL && !is_collection_type(cmw->collection_type))
        return COLLECTION_TYPE " is neither an absolute URI nor an OID";
    for (size_t i = 0; i < cmw->count && rule == NULL; i++)
        rule = broken_label(&cmw->entries[i].label);
    return rule;
}

/* Walking in order steps over equal labels. */
static bool has_equal_labels(const struct atls_cmw *cmw)
{
    const struct atls_cmw_entry *entry = NULL;
    size_t count = 0;

    while ((entry = atls_cmw_next(cmw, entry)) != NULL)
        count++;
    return count != cmw->count;
}

static const char *broken_tree(const struct atls_cmw *cmw, unsigned int depth)
{
    const char *rule;

    switch (cmw->kind) {
    case ATLS_CMW_RECORD:
    case ATLS_CMW_TAG:
        return broken_message(cmw);
    case ATLS_CMW_COLLECTION:
        break;
    default:
        return "kind is neither record, tag nor collection";
    }
    if (depth == ATLS_CMW_DEPTH_MAX)
        return "collections are nested too deeply";
    if ((rule = broken_collection(cmw)) != NULL)
        return rule;
    if (has_equal_labels(cmw))
        return "label occurs twice";
    for (size_t i = 0; i < cmw->count && rule == NULL; i++)
        rule = broken_tree(&cmw->entries[i].value, depth + 1);
    return rule;
}

enum atls_code atls_cmw_check(const struct atls_cmw *cmw, enum atls_code code, struct atls_err *err)
{
    const char *rule = broken_tree(cmw, 0);

    if (rule == NULL)
        return ATLS_OK;
    return atls_fail_reason(err, code, ATLS_REASON_MALFORMED, "CMW: %s", rule);
}

/* --- decoder --- */

struct decoder {
    struct atls_reader r;
    struct atls_arena *arena;
    struct atls_err *err;
};

static enum atls_code decode_any(struct decoder *d, unsigned int depth, struct atls_cmw *out);

static enum atls_code read_type(struct decoder *d, struct atls_cmw_type *type)
{
    uint64_t number;

    if (atls_cbor_get_uint(&d->r, &number)) {
        if (number > UINT16_MAX)
            return malformed(d->err, "CMW record", "content-format above 65535");
        type->content_format = (uint16_t)number;
        return ATLS_OK;
    }
    type->is_text = true;
    if (!atls_cbor_get_text(&d->r, &type->text))
        return malformed(d->err, "CMW record", "type is neither unsigned nor text");
    return ATLS_OK;
}

/* RFC 9999. */
static enum atls_code decode_record(struct decoder *d, struct atls_cmw *out)
{
    struct atls_cbor_iter array;
    enum atls_code code;
    const char *rule;
    uint64_t ind;

    out->kind = ATLS_CMW_RECORD;
    if (!atls_cbor_enter_array(&d->r, &array) || !atls_cbor_more(&d->r, &array))
        return malformed(d->err, "CMW record", "array is empty");
    if ((code = read_type(d, &out->type)) != ATLS_OK)
        return code;
    if (!atls_cbor_more(&d->r, &array))
        return malformed(d->err, "CMW record", "array of 1, want 2 or 3");
    if (!atls_cbor_get_bytes(&d->r, &out->value))
        return malformed(d->err, "CMW record", "value is not a byte string");
    if (atls_cbor_more(&d->r, &array)) {
        if (!atls_cbor_get_uint(&d->r, &ind) || ind == 0 || ind > UINT32_MAX)
            return malformed(d->err, "CMW record", "ind is not a positive number of 32 bits");
        out->ind = (uint32_t)ind;
        if (atls_cbor_more(&d->r, &array))
            return malformed(d->err, "CMW record", "array of 4 or more, want 2 or 3");
    }
    if ((rule = broken_message(out)) != NULL)
        return malformed(d->err, "CMW record", rule);
    return ATLS_OK;
}

/* RFC 9999, RFC 9277 appendix B. */
static enum atls_code decode_tag(struct decoder *d, struct atls_cmw *out)
{
    uint64_t tag;
    unsigned int high, low;
    const char *rule;

    out->kind = ATLS_CMW_TAG;
    if (!atls_cbor_get_tag(&d->r, &tag) || tag < TAG_BASE || tag > TAG_LAST)
        return malformed(d->err, "CMW tag", "number is not one of TN()");
    high = (unsigned int)(tag >> 8) & 0xff;
    low = (unsigned int)tag & 0xff;
    if (high == 0 || low == 0)
        return malformed(d->err, "CMW tag", "number with a zero byte");
    out->type.content_format = (uint16_t)((high - 1) * 255 + (low - 1));
    if (!atls_cbor_get_bytes(&d->r, &out->value))
        return malformed(d->err, "CMW tag", "content is not a byte string");
    if ((rule = broken_message(out)) != NULL)
        return malformed(d->err, "CMW tag", rule);
    return ATLS_OK;
}

/* Entries, the type among them, of a map that was checked: no label is there twice. */
static bool count_entries(struct atls_reader r, size_t *out)
{
    struct atls_cbor_iter map;
    size_t count = 0;

    if (!atls_cbor_enter_map(&r, &map))
        return false;
    for (; atls_cbor_more(&r, &map); count++)
        if (!atls_cbor_skip(&r) || !atls_cbor_skip(&r))
            return false;
    *out = count;
    return true;
}

static enum atls_code decode_entry(struct decoder *d, unsigned int depth, struct atls_cmw *out)
{
    struct atls_cmw_entry *entry = &out->entries[out->count];

    if (!atls_cbor_get_int(&d->r, &entry->label.number)) {
        entry->label.is_text = true;
        if (!atls_cbor_get_text(&d->r, &entry->label.text))
            return malformed(d->err, "CMW collection", "label is neither an integer nor text");
    }
    if (entry->label.is_text && atls_bytes_equal_text(entry->label.text, COLLECTION_TYPE)) {
        *entry = (struct atls_cmw_entry){.label.is_text = false};
        if (!atls_cbor_get_text(&d->r, &out->collection_type))
            return malformed(d->err, "CMW collection", COLLECTION_TYPE " is not text");
        return ATLS_OK;
    }
    out->count++;
    return decode_any(d, depth + 1, &entry->value);
}

/* RFC 9999. */
static enum atls_code decode_collection(struct decoder *d, unsigned int depth, struct atls_cmw *out)
{
    struct atls_cbor_iter map;
    enum atls_code code = ATLS_OK;
    const char *rule;
    size_t count;

    out->kind = ATLS_CMW_COLLECTION;
    if (depth == ATLS_CMW_DEPTH_MAX)
        return atls_fail(d->err, ATLS_E_LIMIT, "CMW collection: nested more than %d levels",
                         ATLS_CMW_DEPTH_MAX);
    if (!count_entries(d->r, &count) || !atls_cbor_enter_map(&d->r, &map))
        return malformed(d->err, "CMW collection", "not a map");
    if (count > ATLS_CMW_ENTRIES_MAX + 1)
        return atls_fail(d->err, ATLS_E_LIMIT, "CMW collection: %zu entries, at most %d are taken",
                         count, ATLS_CMW_ENTRIES_MAX);
    if ((out->entries = atls_arena_alloc(d->arena, count, sizeof *out->entries)) == NULL)
        return atls_fail(d->err, ATLS_E_NOMEM, "CMW collection: no memory for %zu entries", count);
    while (code == ATLS_OK && atls_cbor_more(&d->r, &map))
        code = decode_entry(d, depth, out);
    if (code != ATLS_OK)
        return code;
    if (out->count > ATLS_CMW_ENTRIES_MAX)
        return atls_fail(d->err, ATLS_E_LIMIT, "CMW collection: %zu entries, at most %d are taken",
                         out->count, ATLS_CMW_ENTRIES_MAX);
    if ((rule = broken_collection(out)) != NULL)
        return malformed(d->err, "CMW collection", rule);
    return ATLS_OK;
}

/* Recursion ends at ATLS_CMW_DEPTH_MAX. */
static enum atls_code decode_any(struct decoder *d, unsigned int depth, struct atls_cmw *out)
{
    enum atls_cbor_type type;

    if (!atls_cbor_peek(&d->r, &type))
        return malformed(d->err, "CMW", "truncated");
    switch (type) {
    case ATLS_CBOR_ARRAY:
        return decode_record(d, out);
    case ATLS_CBOR_TAG:
        return decode_tag(d, out);
    case ATLS_CBOR_MAP:
        return decode_collection(d, depth, out);
    case ATLS_CBOR_UINT:
    case ATLS_CBOR_NINT:
    case ATLS_CBOR_BYTES:
    case ATLS_CBOR_TEXT:
    case ATLS_CBOR_SIMPLE:
    default:
        return malformed(d->err, "CMW", "neither record, tag nor collection");
    }
}

enum atls_code atls_cmw_decode(struct atls_bytes in, struct atls_arena *arena, struct atls_cmw *out,
                               struct atls_err *err)
{
    struct decoder d = {atls_reader_init(in), arena, err};
    struct atls_cmw cmw = {.count = 0};
    enum atls_code code;

    switch (atls_cmw_sniff(in)) {
    case ATLS_CMW_SHAPE_CBOR_RECORD:
    case ATLS_CMW_SHAPE_CBOR_COLLECTION:
    case ATLS_CMW_SHAPE_CBOR_TAG:
        break;
    case ATLS_CMW_SHAPE_UNKNOWN:
    case ATLS_CMW_SHAPE_JSON_RECORD:
    case ATLS_CMW_SHAPE_JSON_COLLECTION:
    case ATLS_CMW_SHAPE_COSE:
    case ATLS_CMW_SHAPE_JWS:
    default:
        return malformed(err, "CMW", "first byte is that of no CBOR shape");
    }
    if ((code = atls_cbor_check(in, ATLS_CBOR_INDEFINITE, err)) != ATLS_OK ||
        (code = decode_any(&d, 0, &cmw)) != ATLS_OK)
        return code;
    *out = cmw;
    return ATLS_OK;
}

/* --- encoder --- */

static void put_any(struct atls_writer *w, const struct atls_cmw *cmw);

static void put_label(struct atls_writer *w, const struct atls_cmw_label *label)
{
    if (label->is_text)
        atls_cbor_put_text_bytes(w, label->text);
    else
        atls_cbor_put_int(w, label->number);
}

static void put_collection(struct atls_writer *w, const struct atls_cmw *cmw)
{
    static const struct atls_cmw_label type_label = {
        .is_text = true,
        .text = {(const uint8_t *)COLLECTION_TYPE, sizeof COLLECTION_TYPE - 1},
    };
    const struct atls_cmw_entry *entry = NULL;
    bool type_due = cmw->collection_type.ptr != NULL;

    atls_cbor_put_map(w, cmw->count + (type_due ? 1 : 0));
    do {
        entry = atls_cmw_next(cmw, entry);
        if (type_due && (entry == NULL || compare_labels(&type_label, &entry->label) < 0)) {
            put_label(w, &type_label);
            atls_cbor_put_text_bytes(w, cmw->collection_type);
            type_due = false;
        }
        if (entry != NULL) {
            put_label(w, &entry->label);
            put_any(w, &entry->value);
        }
    } while (entry != NULL);
}

static void put_message(struct atls_writer *w, const struct atls_cmw *cmw)
{
    unsigned int content_format = cmw->type.content_format;

    if (cmw->kind == ATLS_CMW_TAG) {
        atls_cbor_put_tag(w, TAG_BASE + content_format / 255 * 256 + content_format % 255);
        atls_cbor_put_bytes(w, cmw->value);
        return;
    }
    atls_cbor_put_array(w, cmw->ind == 0 ? 2 : 3);
    if (cmw->type.is_text)
        atls_cbor_put_text_bytes(w, cmw->type.text);
    else
        atls_cbor_put_uint(w, content_format);
    atls_cbor_put_bytes(w, cmw->value);
    if (cmw->ind != 0)
        atls_cbor_put_uint(w, cmw->ind);
}

/* The tree was checked, its depth too. */
static void put_any(struct atls_writer *w, const struct atls_cmw *cmw)
{
    if (cmw->kind == ATLS_CMW_COLLECTION)
        put_collection(w, cmw);
    else
        put_message(w, cmw);
}

enum atls_code atls_cmw_encode(const struct atls_cmw *cmw, struct atls_writer *w,
                               struct atls_err *err)
{
    enum atls_code code = atls_cmw_check(cmw, ATLS_E_USAGE, err);

    if (code != ATLS_OK)
        return code;
    put_any(w, cmw);
    if (w->failed != ATLS_OK)
        return atls_fail(err, w->failed, "CMW: no room");
    return ATLS_OK;
}

const struct atls_cmw *atls_cmw_find(const struct atls_cmw *collection, const char *label)
{
    for (size_t i = 0; i < collection->count; i++) {
        const struct atls_cmw_entry *entry = &collection->entries[i];

        if (entry->label.is_text && atls_bytes_equal_text(entry->label.text, label))
            return &entry->value;
    }
    return NULL;
}

struct atls_bytes atls_cmw_find_record(const struct atls_cmw *collection, const char *label,
                                       const char *media_type)
{
    const struct atls_cmw *record = collection == NULL ? NULL : atls_cmw_find(collection, label);

    if (record == NULL || record->kind != ATLS_CMW_RECORD ||
        !atls_cmw_type_is(&record->type, media_type))
        return atls_bytes_of(NULL, 0);
    return record->value;
}

struct atls_cmw atls_cmw_record(const char *media_type, struct atls_bytes value, uint32_t ind)
{
    struct atls_cmw cmw = {.kind = ATLS_CMW_RECORD, .value = value, .ind = ind};

    cmw.type.is_text = true;
    cmw.type.text = atls_bytes_of(media_type, strlen(media_type));
    return cmw;
}

struct atls_cmw atls_cmw_record_cf(uint16_t content_format, struct atls_bytes value, uint32_t ind)
{
    struct atls_cmw cmw = {.kind = ATLS_CMW_RECORD, .value = value, .ind = ind};

    cmw.type.content_format = content_format;
    return cmw;
}

/* --- carriers --- */

/* The type alone, without parameters. */
static bool is_signed_type(const struct atls_cose_sign1 *s)
{
    const struct atls_cmw_type type = {.is_text = true, .text = s->content_type_text};

    if (s->has_content_type_uint)
        return s->content_type_uint == SIGNED_CONTENT_FORMAT;
    return s->content_type_text.len == strlen(SIGNED_TYPE) && atls_cmw_type_is(&type, SIGNED_TYPE);
}

enum atls_code atls_cmw_signed_open(struct atls_bytes in, struct atls_cose_sign1 *out,
                                    struct atls_err *err)
{
    struct atls_cose_sign1 s;
    enum atls_code code;

    if ((code = atls_cose_sign1_decode(in, ATLS_COSE_TAG_REQUIRED, &s, err)) != ATLS_OK)
        return code;
    if (!s.has_content_type_text && !s.has_content_type_uint)
        return malformed(err, "signed CMW", "no content type in the protected header");
    if (!is_signed_type(&s))
        return malformed(err, "signed CMW", "content type is not " SIGNED_TYPE " (273)");
    if (s.detached)
        return malformed(err, "signed CMW", "payload is detached");
    *out = s;
    return ATLS_OK;
}

/* Whether what a choice holds starts as that choice says. */
static bool fits_choice(const struct atls_cmw_x509 *v)
{
    switch (atls_cmw_sniff(v->cmw)) {
    case ATLS_CMW_SHAPE_JSON_RECORD:
    case ATLS_CMW_SHAPE_JSON_COLLECTION:
        return v->is_json && atls_utf8_valid(v->cmw);
    case ATLS_CMW_SHAPE_CBOR_RECORD:
    case ATLS_CMW_SHAPE_CBOR_COLLECTION:
    case ATLS_CMW_SHAPE_CBOR_TAG:
        return !v->is_json;
    case ATLS_CMW_SHAPE_UNKNOWN:
    case ATLS_CMW_SHAPE_COSE:
    case ATLS_CMW_SHAPE_JWS:
    default:
        return false;
    }
}

enum atls_code atls_cmw_x509_decode(struct atls_bytes in, struct atls_cmw_x509 *out,
                                    struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_cmw_x509 v;

    v.is_json = in.len != 0 && in.ptr[0] == ATLS_TLV_UTF8_STRING;
    if (!atls_tlv_get(&r, v.is_json ? ATLS_TLV_UTF8_STRING : ATLS_TLV_OCTET_STRING, &v.cmw))
        return malformed(err, "id-pe-cmw", "neither UTF8String nor OCTET STRING in DER");
    if (!atls_reader_done(&r))
        return malformed(err, "id-pe-cmw", "trailing bytes");
    if (!fits_choice(&v))
        return malformed(err, "id-pe-cmw",
                         v.is_json ? "UTF8String is no JSON CMW" : "OCTET STRING is no CBOR CMW");
    *out = v;
    return ATLS_OK;
}

enum atls_code atls_cmw_x509_encode(const struct atls_cmw_x509 *v, struct atls_writer *w,
                                    struct atls_err *err)
{
    if (!fits_choice(v))
        return atls_fail(err, ATLS_E_USAGE, "id-pe-cmw: content is no CMW of the choice");
    atls_tlv_put_head(w, v->is_json ? ATLS_TLV_UTF8_STRING : ATLS_TLV_OCTET_STRING, v->cmw.len);
    atls_put_bytes(w, v->cmw);
    if (w->failed != ATLS_OK)
        return atls_fail(err, w->failed, "id-pe-cmw: no room");
    return ATLS_OK;
}
