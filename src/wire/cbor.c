#include "wire/cbor.h"

#include <stdlib.h>
#include <string.h>

#include <atls/limits.h>

#include "core/err.h"

#define BREAK 0xff
/* Keys that are sorted on the stack; a longer map that is out of order goes to the heap. */
#define KEYS_ON_STACK 32

/* What each rule is called in an error; also the set of all rules. */
static const char RULE_TRUNCATED[] = "truncated";
static const char RULE_RESERVED[] = "reserved additional information";
static const char RULE_NOT_SHORTEST[] = "head is not of the shortest form";
static const char RULE_INDEFINITE[] = "indefinite length";
static const char RULE_BREAK[] = "stray break";
static const char RULE_ODD_MAP[] = "break in place of a map value";
static const char RULE_SIMPLE[] = "simple value below 32 in two bytes";
static const char RULE_UTF8[] = "text is not UTF-8";
static const char RULE_DUPLICATE[] = "duplicate map key";
static const char RULE_DEPTH[] = "nested too deeply";
static const char RULE_ITEMS[] = "too many items";
static const char RULE_TRAILING[] = "trailing bytes";
static const char RULE_MEMORY[] = "out of memory";

struct head {
    enum atls_cbor_type type;
    bool indefinite; /* of a break too */
    uint8_t info;
    uint64_t value;
};

/* Reads the argument that follows the first byte of a head. NULL, or the broken rule. */
static const char *take_argument(struct atls_reader *r, struct head *h)
{
    static const uint64_t least[] = {24, 0x100, 0x10000, 0x100000000};
    uint8_t v8;
    uint16_t v16;
    uint32_t v32;
    bool fine;

    switch (h->info) {
    case 24:
        fine = atls_get_u8(r, &v8);
        h->value = fine ? v8 : 0;
        break;
    case 25:
        fine = atls_get_u16(r, &v16);
        h->value = fine ? v16 : 0;
        break;
    case 26:
        fine = atls_get_u32(r, &v32);
        h->value = fine ? v32 : 0;
        break;
    case 27:
        fine = atls_get_u64(r, &h->value);
        break;
    case 31:
        h->indefinite =
            h->type != ATLS_CBOR_UINT && h->type != ATLS_CBOR_NINT && h->type != ATLS_CBOR_TAG;
        h->value = 0;
        return h->indefinite ? NULL : RULE_RESERVED;
    default:
        return RULE_RESERVED;
    }
    if (!fine)
        return RULE_TRUNCATED;
    /* The argument of a float is its value, not a length: any width may be right. */
    if (h->type == ATLS_CBOR_SIMPLE)
        return h->info == 24 && h->value < 32 ? RULE_SIMPLE : NULL;
    return h->value < least[h->info - 24] ? RULE_NOT_SHORTEST : NULL;
}

/* NULL, or the broken rule; a head whose only fault is its width is whole and consumed. */
static const char *read_head(struct atls_reader *r, struct head *out)
{
    uint8_t first;

    if (atls_reader_done(r))
        return RULE_TRUNCATED;
    first = r->in.ptr[r->pos++];
    out->type = (enum atls_cbor_type)(first >> 5);
    out->info = first & 0x1f;
    out->indefinite = false;
    out->value = out->info;
    return out->info >= 24 ? take_argument(r, out) : NULL;
}

/* RFC 8949 section 3: reads one head. NULL, or the broken rule and nothing consumed. */
static const char *take_head(struct atls_reader *r, struct head *out)
{
    size_t start = r->pos;
    const char *rule = read_head(r, out);

    if (rule != NULL)
        r->pos = start;
    return rule;
}

/* Of definite length and any width. */
static bool take_head_of_any_width(struct atls_reader *r, struct head *out)
{
    const char *rule = read_head(r, out);

    return (rule == NULL || rule == RULE_NOT_SHORTEST) && !out->indefinite;
}

bool atls_utf8_valid(struct atls_bytes text)
{
    static const struct {
        uint8_t first, last;             /* of the lead byte */
        uint8_t second_low, second_high; /* keeps out overlong forms, surrogates, > U+10FFFF */
        uint8_t more;
    } leads[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 1}, {0xe0, 0xe0, 0xa0, 0xbf, 2}, {0xe1, 0xec, 0x80, 0xbf, 2},
        {0xed, 0xed, 0x80, 0x9f, 2}, {0xee, 0xef, 0x80, 0xbf, 2}, {0xf0, 0xf0, 0x90, 0xbf, 3},
        {0xf1, 0xf3, 0x80, 0xbf, 3}, {0xf4, 0xf4, 0x80, 0x8f, 3},
    };
    const uint8_t *p = text.ptr;
    size_t i = 0;

    while (i < text.len) {
        size_t row = 0;
        uint64_t eight;

        if (text.len - i >= sizeof eight) {
            memcpy(&eight, p + i, sizeof eight);
            if ((eight & 0x8080808080808080u) == 0) {
                i += sizeof eight;
                continue;
            }
        }
        if (p[i] < 0x80) {
            i++;
            continue;
        }
        while (row < sizeof leads / sizeof leads[0] &&
               (p[i] < leads[row].first || p[i] > leads[row].last))
            row++;
        if (row == sizeof leads / sizeof leads[0] || text.len - i <= leads[row].more ||
            p[i + 1] < leads[row].second_low || p[i + 1] > leads[row].second_high)
            return false;
        for (size_t k = 2; k <= leads[row].more; k++)
            if ((p[i + k] & 0xc0) != 0x80)
                return false;
        i += leads[row].more + 1u;
    }
    return true;
}

/* An array, map or tag that is being walked. */
struct frame {
    uint64_t left;  /* elements or pairs to come; unused when indefinite */
    uint64_t pairs; /* of a map, seen so far */
    size_t start;   /* of the content */
    size_t key_pos; /* of the key being read */
    struct atls_bytes last_key;
    bool indefinite;
    bool is_map;
    bool at_value; /* a key was read, its value follows */
    bool unsorted;
};

struct walk {
    struct atls_reader r;
    bool strict;     /* UTF-8 and duplicate keys too */
    bool indefinite; /* arrays and maps may be */
    size_t depth, depth_max;
    unsigned long items;
    size_t fail_pos;
    struct frame frames[ATLS_CBOR_DEPTH_MAX];
};

static int compare_keys(struct atls_bytes a, struct atls_bytes b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter == 0 ? 0 : memcmp(a.ptr, b.ptr, shorter);

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_keys_qsort(const void *a, const void *b)
{
    return compare_keys(*(const struct atls_bytes *)a, *(const struct atls_bytes *)b);
}

/* Puts key into its place among count sorted keys. False when it is there already. */
static bool insert_key(struct atls_bytes *keys, size_t count, struct atls_bytes key)
{
    for (; count > 0; count--) {
        int order = compare_keys(keys[count - 1], key);

        if (order == 0)
            return false;
        if (order < 0)
            break;
        keys[count] = keys[count - 1];
    }
    keys[count] = key;
    return true;
}

/* Skips an item that was walked before: without indefinite lengths a count of what is to come is
 * enough. */
static bool skip_walked(struct atls_reader *r)
{
    struct atls_reader ahead = *r;
    struct atls_bytes string;
    struct head h;

    for (uint64_t left = 1; left > 0; left--) {
        if (take_head(&ahead, &h) != NULL)
            return false;
        if (h.indefinite)
            return atls_cbor_skip(r);
        if (h.type == ATLS_CBOR_ARRAY)
            left += h.value;
        else if (h.type == ATLS_CBOR_MAP)
            left += 2 * h.value;
        else if (h.type == ATLS_CBOR_TAG)
            left++;
        else if ((h.type == ATLS_CBOR_BYTES || h.type == ATLS_CBOR_TEXT) &&
                 !atls_get_bytes(&ahead, (size_t)h.value, &string))
            return false;
    }
    *r = ahead;
    return true;
}

/* The next key of a map that was walked before; its value is skipped. */
static bool next_key(struct atls_reader *r, struct atls_bytes *out)
{
    size_t start = r->pos;

    if (!skip_walked(r))
        return false;
    *out = atls_bytes_of(r->in.ptr + start, r->pos - start);
    return skip_walked(r);
}

static const char *find_duplicate_few(struct atls_reader r, size_t count)
{
    struct atls_bytes keys[KEYS_ON_STACK];
    struct atls_bytes key;

    for (size_t i = 0; i < count; i++) {
        if (!next_key(&r, &key))
            return RULE_TRUNCATED;
        if (!insert_key(keys, i, key))
            return RULE_DUPLICATE;
    }
    return NULL;
}

/* Sorting keeps the cost at n log n whatever keys were chosen. */
static const char *find_duplicate_many(struct atls_reader r, size_t count)
{
    struct atls_bytes *keys = calloc(count, sizeof *keys);
    const char *rule = NULL;

    if (keys == NULL)
        return RULE_MEMORY;
    for (size_t i = 0; i < count && rule == NULL; i++)
        if (!next_key(&r, &keys[i]))
            rule = RULE_TRUNCATED;
    if (rule == NULL)
        qsort(keys, count, sizeof *keys, compare_keys_qsort);
    for (size_t i = 1; i < count && rule == NULL; i++)
        if (compare_keys(keys[i - 1], keys[i]) == 0)
            rule = RULE_DUPLICATE;
    free(keys);
    return rule;
}

/* Looks for equal keys in a map that is out of order. It was walked before, so count is bounded by
 * what really arrived. */
static const char *find_duplicate(struct atls_reader r, size_t start, size_t count)
{
    r.pos = start;
    return count <= KEYS_ON_STACK ? find_duplicate_few(r, count) : find_duplicate_many(r, count);
}

/* A key has been read: in bytewise order (RFC 8949 section 4.2.1) it is new without a search. */
static const char *note_key(struct walk *w, struct frame *map)
{
    struct atls_bytes key = {w->r.in.ptr + map->key_pos, w->r.pos - map->key_pos};
    int order;

    map->at_value = true;
    if (!w->strict)
        return NULL;
    order = compare_keys(map->last_key, key);
    map->last_key = key;
    if (order == 0) {
        w->fail_pos = map->key_pos;
        return RULE_DUPLICATE;
    }
    if (order > 0)
        map->unsorted = true;
    return NULL;
}

static const char *leave(struct walk *w)
{
    struct frame *top = &w->frames[--w->depth];

    if (!top->unsorted)
        return NULL;
    w->fail_pos = top->start;
    return find_duplicate(w->r, top->start, (size_t)top->pairs);
}

/* An item is complete: so may be the containers that it was the last of. */
static const char *complete(struct walk *w)
{
    while (w->depth > 0) {
        struct frame *top = &w->frames[w->depth - 1];
        const char *rule;

        if (top->is_map && !top->at_value)
            return note_key(w, top);
        top->at_value = false;
        top->pairs++;
        if (top->indefinite || --top->left > 0)
            return NULL;
        if ((rule = leave(w)) != NULL)
            return rule;
    }
    return NULL;
}

static const char *enter(struct walk *w, const struct head *h)
{
    struct frame *top;
    size_t left = atls_reader_left(&w->r);

    if (h->indefinite && !w->indefinite)
        return RULE_INDEFINITE;
    if (h->value > (h->type == ATLS_CBOR_MAP ? left / 2 : left) && h->type != ATLS_CBOR_TAG)
        return RULE_TRUNCATED;
    if (!h->indefinite && h->value == 0 && h->type != ATLS_CBOR_TAG)
        return complete(w);
    if (w->depth == w->depth_max)
        return RULE_DEPTH;
    top = &w->frames[w->depth++];
    top->left = h->type == ATLS_CBOR_TAG ? 1 : h->value;
    top->pairs = 0;
    top->start = w->r.pos;
    top->key_pos = w->r.pos;
    top->last_key = atls_bytes_of(NULL, 0);
    top->indefinite = h->indefinite;
    top->is_map = h->type == ATLS_CBOR_MAP;
    top->at_value = false;
    top->unsorted = false;
    return NULL;
}

static const char *take_break(struct walk *w)
{
    const struct frame *top = w->depth == 0 ? NULL : &w->frames[w->depth - 1];
    const char *rule;

    if (top == NULL || !top->indefinite)
        return RULE_BREAK;
    if (top->at_value)
        return RULE_ODD_MAP;
    rule = leave(w);
    return rule != NULL ? rule : complete(w);
}

static const char *take_string(struct walk *w, const struct head *h)
{
    struct atls_bytes text;

    if (h->indefinite)
        return RULE_INDEFINITE;
    if (h->value > atls_reader_left(&w->r) || !atls_get_bytes(&w->r, (size_t)h->value, &text))
        return RULE_TRUNCATED;
    if (w->strict && h->type == ATLS_CBOR_TEXT && !atls_utf8_valid(text))
        return RULE_UTF8;
    return complete(w);
}

static const char *take_item(struct walk *w)
{
    struct head h;
    const char *rule;

    w->fail_pos = w->r.pos;
    if (w->depth > 0 && !w->frames[w->depth - 1].at_value)
        w->frames[w->depth - 1].key_pos = w->r.pos;
    if ((rule = take_head(&w->r, &h)) != NULL)
        return rule;
    if (h.type == ATLS_CBOR_SIMPLE && h.indefinite)
        return take_break(w);
    if (++w->items > ATLS_CBOR_ITEMS_MAX)
        return RULE_ITEMS;
    switch (h.type) {
    case ATLS_CBOR_BYTES:
    case ATLS_CBOR_TEXT:
        return take_string(w, &h);
    case ATLS_CBOR_ARRAY:
    case ATLS_CBOR_MAP:
    case ATLS_CBOR_TAG:
        return enter(w, &h);
    case ATLS_CBOR_UINT:
    case ATLS_CBOR_NINT:
    case ATLS_CBOR_SIMPLE:
    default:
        return complete(w);
    }
}

/* One item with all that it contains, without recursion. */
static const char *walk_item(struct walk *w)
{
    const char *rule;

    w->depth = 0;
    w->items = 0;
    do
        rule = take_item(w);
    while (rule == NULL && w->depth > 0);
    return rule;
}

static enum atls_code check(struct atls_bytes in, unsigned int flags, size_t depth_max,
                            struct atls_err *err)
{
    struct walk w;
    const char *rule;
    enum atls_code code = ATLS_E_DECODE;

    w.r = atls_reader_init(in);
    w.strict = true;
    w.depth_max = depth_max;
    w.indefinite = (flags & ATLS_CBOR_INDEFINITE) != 0;
    rule = walk_item(&w);
    if (rule == NULL && !atls_reader_done(&w.r) && (flags & ATLS_CBOR_SEQUENCE) == 0) {
        w.fail_pos = w.r.pos;
        rule = RULE_TRAILING;
    }
    if (rule == NULL)
        return ATLS_OK;
    if (rule == RULE_MEMORY)
        return atls_fail(err, ATLS_E_NOMEM, "CBOR: out of memory for the keys of a map");
    if (rule == RULE_DEPTH || rule == RULE_ITEMS)
        code = ATLS_E_LIMIT;
    return atls_fail_reason(err, code, ATLS_REASON_MALFORMED, "CBOR: %s at byte %zu of %zu", rule,
                            w.fail_pos, in.len);
}

enum atls_code atls_cbor_check(struct atls_bytes in, unsigned int flags, struct atls_err *err)
{
    return check(in, flags, ATLS_CBOR_DEPTH_MAX, err);
}

bool atls_cbor_peek(const struct atls_reader *r, enum atls_cbor_type *type)
{
    if (atls_reader_done(r) || r->in.ptr[r->pos] == BREAK)
        return false;
    *type = (enum atls_cbor_type)(r->in.ptr[r->pos] >> 5);
    return true;
}

/* Head of one type and definite length. */
static bool get_typed(struct atls_reader *r, enum atls_cbor_type type, struct head *out)
{
    struct atls_reader ahead = *r;

    if (take_head(&ahead, out) != NULL || out->type != type || out->indefinite)
        return false;
    *r = ahead;
    return true;
}

bool atls_cbor_get_uint(struct atls_reader *r, uint64_t *out)
{
    struct head h;

    if (!get_typed(r, ATLS_CBOR_UINT, &h))
        return false;
    *out = h.value;
    return true;
}

bool atls_cbor_get_int(struct atls_reader *r, int64_t *out)
{
    struct atls_reader ahead = *r;
    struct head h;

    if (take_head(&ahead, &h) != NULL || h.type > ATLS_CBOR_NINT || h.value > INT64_MAX)
        return false;
    *r = ahead;
    *out = h.type == ATLS_CBOR_UINT ? (int64_t)h.value : -1 - (int64_t)h.value;
    return true;
}

static bool get_string(struct atls_reader *r, enum atls_cbor_type type, struct atls_bytes *out)
{
    struct atls_reader ahead = *r;
    struct atls_bytes string;
    struct head h;

    if (!get_typed(&ahead, type, &h) || h.value > atls_reader_left(&ahead) ||
        !atls_get_bytes(&ahead, (size_t)h.value, &string))
        return false;
    if (type == ATLS_CBOR_TEXT && !atls_utf8_valid(string))
        return false;
    *r = ahead;
    *out = string;
    return true;
}

bool atls_cbor_get_bytes(struct atls_reader *r, struct atls_bytes *out)
{
    return get_string(r, ATLS_CBOR_BYTES, out);
}

bool atls_cbor_get_text(struct atls_reader *r, struct atls_bytes *out)
{
    return get_string(r, ATLS_CBOR_TEXT, out);
}

bool atls_cbor_get_tag(struct atls_reader *r, uint64_t *out)
{
    struct head h;

    if (!get_typed(r, ATLS_CBOR_TAG, &h))
        return false;
    *out = h.value;
    return true;
}

/* The one-byte item first..last of major type 7. */
static bool get_simple(struct atls_reader *r, uint8_t first, uint8_t last, uint8_t *out)
{
    struct atls_reader ahead = *r;
    uint8_t v;

    if (!atls_get_u8(&ahead, &v) || v < first || v > last)
        return false;
    *r = ahead;
    *out = v;
    return true;
}

bool atls_cbor_get_bool(struct atls_reader *r, bool *out)
{
    uint8_t v;

    if (!get_simple(r, 0xf4, 0xf5, &v))
        return false;
    *out = v == 0xf5;
    return true;
}

bool atls_cbor_get_null(struct atls_reader *r)
{
    uint8_t v;

    return get_simple(r, 0xf6, 0xf6, &v);
}

bool atls_cbor_get_item(struct atls_reader *r, struct atls_bytes *out)
{
    size_t start = r->pos;

    if (!atls_cbor_skip(r))
        return false;
    *out = atls_bytes_of(r->in.ptr + start, r->pos - start);
    return true;
}

/* Kept apart: the frames of a walk are too much to set up for an integer. */
static bool skip_container(struct atls_reader *r)
{
    struct walk w;

    w.r = *r;
    w.strict = false;
    w.depth_max = ATLS_CBOR_DEPTH_MAX;
    w.indefinite = true;
    if (walk_item(&w) != NULL)
        return false;
    *r = w.r;
    return true;
}

bool atls_cbor_skip(struct atls_reader *r)
{
    struct atls_reader ahead = *r;
    struct atls_bytes string;
    struct head h;

    if (take_head(&ahead, &h) != NULL)
        return false;
    if (h.type == ATLS_CBOR_ARRAY || h.type == ATLS_CBOR_MAP || h.type == ATLS_CBOR_TAG)
        return skip_container(r);
    if (h.indefinite)
        return false;
    if ((h.type == ATLS_CBOR_BYTES || h.type == ATLS_CBOR_TEXT) &&
        (h.value > atls_reader_left(&ahead) || !atls_get_bytes(&ahead, (size_t)h.value, &string)))
        return false;
    *r = ahead;
    return true;
}

static bool enter_container(struct atls_reader *r, enum atls_cbor_type type, size_t bytes_each,
                            struct atls_cbor_iter *it)
{
    struct atls_reader ahead = *r;
    struct head h;

    if (take_head(&ahead, &h) != NULL || h.type != type ||
        h.value > atls_reader_left(&ahead) / bytes_each)
        return false;
    *r = ahead;
    it->left = h.value;
    it->indefinite = h.indefinite;
    return true;
}

bool atls_cbor_enter_array(struct atls_reader *r, struct atls_cbor_iter *it)
{
    return enter_container(r, ATLS_CBOR_ARRAY, 1, it);
}

bool atls_cbor_enter_map(struct atls_reader *r, struct atls_cbor_iter *it)
{
    return enter_container(r, ATLS_CBOR_MAP, 2, it);
}

bool atls_cbor_more(struct atls_reader *r, struct atls_cbor_iter *it)
{
    if (it->indefinite) {
        if (atls_reader_done(r))
            return false;
        if (r->in.ptr[r->pos] != BREAK)
            return true;
        r->pos++;
        it->indefinite = false;
        it->left = 0;
        return false;
    }
    if (it->left == 0 || atls_reader_done(r))
        return false;
    it->left--;
    return true;
}

static void put_head(struct atls_writer *w, enum atls_cbor_type type, uint64_t v)
{
    unsigned int major = (unsigned int)type << 5;

    if (v < 24) {
        atls_put_u8(w, (uint8_t)(major | v));
    } else if (v <= 0xff) {
        atls_put_u8(w, (uint8_t)(major | 24));
        atls_put_u8(w, (uint8_t)v);
    } else if (v <= 0xffff) {
        atls_put_u8(w, (uint8_t)(major | 25));
        atls_put_u16(w, (uint16_t)v);
    } else if (v <= 0xffffffff) {
        atls_put_u8(w, (uint8_t)(major | 26));
        atls_put_u32(w, (uint32_t)v);
    } else {
        atls_put_u8(w, (uint8_t)(major | 27));
        atls_put_u64(w, v);
    }
}

void atls_cbor_put_uint(struct atls_writer *w, uint64_t v)
{
    put_head(w, ATLS_CBOR_UINT, v);
}

void atls_cbor_put_int(struct atls_writer *w, int64_t v)
{
    if (v >= 0)
        put_head(w, ATLS_CBOR_UINT, (uint64_t)v);
    else
        put_head(w, ATLS_CBOR_NINT, (uint64_t)(-1 - v));
}

void atls_cbor_put_bytes(struct atls_writer *w, struct atls_bytes bytes)
{
    put_head(w, ATLS_CBOR_BYTES, bytes.len);
    atls_put_bytes(w, bytes);
}

void atls_cbor_put_text(struct atls_writer *w, const char *text)
{
    atls_cbor_put_text_bytes(w, atls_bytes_of(text, strlen(text)));
}

void atls_cbor_put_text_bytes(struct atls_writer *w, struct atls_bytes text)
{
    put_head(w, ATLS_CBOR_TEXT, text.len);
    atls_put_bytes(w, text);
}

void atls_cbor_put_array(struct atls_writer *w, uint64_t count)
{
    put_head(w, ATLS_CBOR_ARRAY, count);
}

void atls_cbor_put_map(struct atls_writer *w, uint64_t pairs)
{
    put_head(w, ATLS_CBOR_MAP, pairs);
}

void atls_cbor_put_tag(struct atls_writer *w, uint64_t tag)
{
    put_head(w, ATLS_CBOR_TAG, tag);
}

void atls_cbor_put_bool(struct atls_writer *w, bool v)
{
    atls_put_u8(w, v ? 0xf5 : 0xf4);
}

void atls_cbor_put_null(struct atls_writer *w)
{
    atls_put_u8(w, 0xf6);
}

/* ---- senders that do not write shortest heads ---- */

/* A head and, of a string, its content. */
struct token {
    struct head head;
    struct atls_bytes encoded; /* the head as it stands */
    struct atls_bytes string;
};

static bool take_token(struct atls_reader *r, struct token *out)
{
    struct atls_reader ahead = *r;
    struct token t = {.string = {NULL, 0}};

    if (!take_head_of_any_width(&ahead, &t.head))
        return false;
    t.encoded = atls_bytes_of(r->in.ptr + r->pos, ahead.pos - r->pos);
    if ((t.head.type == ATLS_CBOR_BYTES || t.head.type == ATLS_CBOR_TEXT) &&
        (t.head.value > atls_reader_left(&ahead) ||
         !atls_get_bytes(&ahead, (size_t)t.head.value, &t.string)))
        return false;
    *r = ahead;
    *out = t;
    return true;
}

/* With definite lengths a document is the sequence of its heads: whether they nest as they should
 * is for the check that follows. */
static bool put_shortened(struct atls_writer *w, struct atls_bytes in)
{
    struct atls_reader r = atls_reader_init(in);
    struct token t;

    while (!atls_reader_done(&r)) {
        if (!take_token(&r, &t))
            return false;
        if (t.head.type == ATLS_CBOR_SIMPLE)
            atls_put_bytes(w, t.encoded); /* the width of a float is part of its value */
        else
            put_head(w, t.head.type, t.head.value);
        atls_put_bytes(w, t.string);
    }
    return true;
}

enum atls_code atls_cbor_shorten(struct atls_bytes in, size_t depth_max, struct atls_arena *arena,
                                 struct atls_bytes *out, struct atls_err *err)
{
    struct atls_bytes shortened = in;
    struct atls_writer w;
    bool kept = true;
    enum atls_code code;

    if (check(in, 0, depth_max, NULL) == ATLS_OK) {
        *out = in;
        return ATLS_OK;
    }
    w = atls_writer_init(in.len);
    /* What cannot be walked is left as it is: the check says what is wrong with it. */
    if (put_shortened(&w, in) && (w.failed != ATLS_OK || w.len != in.len))
        kept = w.failed == ATLS_OK && atls_arena_copy(arena, atls_writer_bytes(&w), &shortened);
    atls_writer_clear(&w);
    if (!kept)
        return atls_fail(err, ATLS_E_NOMEM, "CBOR: out of memory");
    if ((code = check(shortened, 0, depth_max, err)) == ATLS_OK)
        *out = shortened;
    return code;
}

bool atls_cbor_enter_map_of_any_width(struct atls_reader *r, struct atls_cbor_iter *it)
{
    struct atls_reader ahead = *r;
    struct head h;

    if (!take_head_of_any_width(&ahead, &h) || h.type != ATLS_CBOR_MAP ||
        h.value > atls_reader_left(&ahead) / 2)
        return false;
    *r = ahead;
    it->left = h.value;
    it->indefinite = false;
    return true;
}

bool atls_cbor_get_item_of_any_width(struct atls_reader *r, struct atls_bytes *out)
{
    struct atls_reader ahead = *r;
    uint64_t left = 1;
    struct token t;

    for (; left > 0; left--) {
        if (!take_token(&ahead, &t))
            return false;
        /* Each element takes a byte at least: what is left bounds the sums. */
        if (t.head.type == ATLS_CBOR_ARRAY || t.head.type == ATLS_CBOR_MAP) {
            if (t.head.value > atls_reader_left(&ahead))
                return false;
            left += t.head.type == ATLS_CBOR_MAP ? 2 * t.head.value : t.head.value;
        } else if (t.head.type == ATLS_CBOR_TAG) {
            left++;
        }
        if (left - 1 > atls_reader_left(&ahead))
            return false;
    }
    *out = atls_bytes_of(r->in.ptr + r->pos, ahead.pos - r->pos);
    *r = ahead;
    return true;
}
