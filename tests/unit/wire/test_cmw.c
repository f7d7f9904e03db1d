#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include <atls/limits.h>

#include "wire/cbor.h"
#include "wire/cmw.h"

#define ARENA_MAX (1 << 20)

/* Decodes from a block of the exact size and encodes again. Nothing of the tree outlives it. */
static enum atls_code round_trip(struct atls_bytes in, struct atls_writer *w, struct atls_err *err)
{
    struct atls_arena arena = atls_arena_init(ARENA_MAX);
    struct atls_buf copy;
    struct atls_cmw cmw;
    enum atls_code code;

    test_assert_code(atls_buf_copy(&copy, in, err), ATLS_OK, err);
    code = atls_cmw_decode(atls_buf_bytes(&copy), &arena, &cmw, err);
    if (code == ATLS_OK)
        test_assert_code(atls_cmw_encode(&cmw, w, err), ATLS_OK, err);
    atls_arena_clear(&arena);
    atls_buf_clear(&copy);
    return code;
}

/* Published examples, the same after decoding and encoding: all are in canonical order. */
static void test_vectors(void **state)
{
    static const char *const files[] = {
        "cmw/cmw-example-1.cbor",        "cmw/cmw-example-2.cbor",
        "cmw/cmw-example-tag-1.cbor",    "cmw/collection-cbor-ok.cbor",
        "cmw/collection-example-1.cbor",
    };

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct atls_buf in = test_vector(files[i]);
        struct atls_writer w = atls_writer_init(4096);
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", files[i]);
        test_assert_code(round_trip(atls_buf_bytes(&in), &w, &err), ATLS_OK, &err);
        /* The composite example does not order its labels. */
        if (strstr(files[i], "collection-example-1") == NULL)
            test_assert_bytes(atls_writer_bytes(&w), atls_buf_bytes(&in));
        assert_int_equal(w.len, in.len);
        for (size_t len = 0; len < in.len; len++)
            test_assert_code(round_trip(atls_bytes_of(in.ptr, len), &w, &err), ATLS_E_DECODE, &err);
        atls_writer_clear(&w);
        atls_buf_clear(&in);
    }
}

static void test_record_fields(void **state)
{
    static const struct atls_bytes in = HEX("\x83\x19\xfd\xe7\x41\x2a\x04");
    struct atls_arena arena = atls_arena_init(ARENA_MAX);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_cmw cmw;

    (void)state;
    test_assert_code(atls_cmw_decode(in, &arena, &cmw, &err), ATLS_OK, &err);
    assert_int_equal(cmw.kind, ATLS_CMW_RECORD);
    assert_false(cmw.type.is_text);
    assert_int_equal(cmw.type.content_format, 64999);
    assert_true(atls_bytes_equal_text(cmw.value, "*"));
    assert_int_equal(cmw.ind, ATLS_CMW_EVIDENCE);
    assert_int_equal(arena.used, 0);
    atls_arena_clear(&arena);
}

static void test_collection_fields(void **state)
{
    struct atls_buf in = test_vector("cmw/collection-example-1.cbor");
    struct atls_arena arena = atls_arena_init(ARENA_MAX);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_cmw cmw;

    (void)state;
    test_assert_code(atls_cmw_decode(atls_buf_bytes(&in), &arena, &cmw, &err), ATLS_OK, &err);
    assert_int_equal(cmw.kind, ATLS_CMW_COLLECTION);
    assert_true(
        atls_bytes_equal_text(cmw.collection_type, "tag:example.com,2024:composite-attester"));
    assert_int_equal(cmw.count, 3);
    assert_int_equal(cmw.entries[0].value.kind, ATLS_CMW_RECORD);
    assert_int_equal(cmw.entries[1].value.kind, ATLS_CMW_TAG);
    assert_int_equal(cmw.entries[1].value.type.content_format, 64999);
    assert_true(atls_bytes_equal_text(cmw.entries[2].value.type.text, "application/eat+jwt"));
    assert_int_equal(cmw.entries[2].value.ind, ATLS_CMW_ATTESTATION_RESULTS);
    assert_null(atls_cmw_find(&cmw, "0"));
    atls_arena_clear(&arena);
    atls_buf_clear(&in);
}

static const struct {
    const char *name;
    const char *hex;
    enum atls_code want;
    const char *message;
} rows[] = {
    {"smallest record", "82004100", ATLS_OK, NULL},
    {"record, ind 31", "83004100181f", ATLS_OK, NULL},
    {"record, content-format 65535", "8219ffff4100", ATLS_OK, NULL},
    {"record, indefinite", "9f004100ff", ATLS_OK, NULL},
    {"record with ind, indefinite", "9f00410001ff", ATLS_OK, NULL},
    {"smallest tag", "da637401014100", ATLS_OK, NULL},
    {"last tag", "da6374ffff4100", ATLS_OK, NULL},
    {"smallest collection", "a10082004100", ATLS_OK, NULL},
    {"negative label", "a12082004100", ATLS_OK, NULL},
    {"collection, indefinite", "bf0082004100ff", ATLS_OK, NULL},
    {"indefinite record in indefinite collection", "bf009f004100ffff", ATLS_OK, NULL},
    {"collection in a collection", "a100a10082004100", ATLS_OK, NULL},
    {"collection type is an OID", "a2685f5f636d77635f7463322e350082004100", ATLS_OK, NULL},
    {"collection type last", "a20082004100685f5f636d77635f7463322e35", ATLS_OK, NULL},

    {"nothing", "", ATLS_E_DECODE, "first byte"},
    {"an integer", "00", ATLS_E_DECODE, "first byte"},
    {"JSON", "5b5d", ATLS_E_DECODE, "first byte"},
    {"COSE_Sign1", "d28440a04040", ATLS_E_DECODE, "first byte"},
    {"text", "6161", ATLS_E_DECODE, "first byte"},
    {"break", "ff", ATLS_E_DECODE, "first byte"},
    {"empty array", "80", ATLS_E_DECODE, "first byte"},
    {"array of 1", "8100", ATLS_E_DECODE, "first byte"},
    {"array of 4", "840041000100", ATLS_E_DECODE, "first byte"},
    {"array of 2 in a longer head", "9802004100", ATLS_E_DECODE, "first byte"},
    {"map in a longer head", "b8010082004100", ATLS_E_DECODE, "shortest"},
    {"tag in a longer head", "db00000000637401014100", ATLS_E_DECODE, "first byte"},
    {"empty map", "a0", ATLS_E_DECODE, "first byte"},
    {"reserved map head", "bc", ATLS_E_DECODE, "first byte"},
    {"trailing byte", "8200410000", ATLS_E_DECODE, "trailing"},

    {"indefinite array of 0", "9fff", ATLS_E_DECODE, "array is empty"},
    {"indefinite array of 1", "9f00ff", ATLS_E_DECODE, "array of 1"},
    {"indefinite array of 4", "9f0041000100ff", ATLS_E_DECODE, "array of 4"},
    {"member array of 1", "a1008100", ATLS_E_DECODE, "array of 1"},
    {"member array of 4", "a100840041000100", ATLS_E_DECODE, "array of 4"},
    {"member array of 0", "a10080", ATLS_E_DECODE, "array is empty"},
    {"type negative", "82204100", ATLS_E_DECODE, "type is neither"},
    {"type 65536", "821a000100004100", ATLS_E_DECODE, "above 65535"},
    {"type a float", "82f900004100", ATLS_E_DECODE, "type is neither"},
    {"type a byte string", "8241614100", ATLS_E_DECODE, "type is neither"},
    {"type empty text", "82604100", ATLS_E_DECODE, "not a Content-Type"},
    {"type without slash", "8261614100", ATLS_E_DECODE, "not a Content-Type"},
    {"type indefinite text", "827f63612f62ff4100", ATLS_E_DECODE, "indefinite"},
    {"value text", "82006161", ATLS_E_DECODE, "value is not a byte string"},
    {"value empty", "820040", ATLS_E_DECODE, "value is empty"},
    {"value in chunks", "82005f4100ff", ATLS_E_DECODE, "indefinite"},
    {"ind 0", "8300410000", ATLS_E_DECODE, "ind is not"},
    {"ind negative", "8300410020", ATLS_E_DECODE, "ind is not"},
    {"ind null", "83004100f6", ATLS_E_DECODE, "ind is not"},
    {"ind a float", "83004100f93c00", ATLS_E_DECODE, "ind is not"},
    {"ind text", "830041006131", ATLS_E_DECODE, "ind is not"},
    {"ind above 32 bits", "830041001b0000000100000001", ATLS_E_DECODE, "ind is not"},
    {"ind bit 5", "830041001820", ATLS_E_DECODE, "not assigned"},
    {"ind bit 31", "830041001a80000001", ATLS_E_DECODE, "not assigned"},

    {"tag below the range", "da637400ff4100", ATLS_E_DECODE, "not one of TN()"},
    {"tag above the range", "da637500014100", ATLS_E_DECODE, "not one of TN()"},
    {"tag with last byte 0", "da637402004100", ATLS_E_DECODE, "zero byte"},
    {"tag far below", "a100c04100", ATLS_E_DECODE, "not one of TN()"},
    {"tag on text", "da637401016161", ATLS_E_DECODE, "content is not a byte string"},
    {"tag on nothing", "da6374010140", ATLS_E_DECODE, "value is empty"},
    {"tag on tag", "da63740101da637401014100", ATLS_E_DECODE, "content is not a byte string"},
    {"tag on record", "da6374010182004100", ATLS_E_DECODE, "content is not a byte string"},

    {"empty collection, indefinite", "bfff", ATLS_E_DECODE, "collection is empty"},
    {"empty inner collection", "a100a0", ATLS_E_DECODE, "collection is empty"},
    {"only the type", "a1685f5f636d77635f7463322e35", ATLS_E_DECODE, "collection is empty"},
    {"inner collection of only the type", "a100a1685f5f636d77635f7463322e35", ATLS_E_DECODE,
     "collection is empty"},
    {"label twice", "a200820041000082004100", ATLS_E_DECODE, "duplicate"},
    {"label twice in two widths", "a20082004100180082004100", ATLS_E_DECODE, "shortest"},
    {"type twice", "a3685f5f636d77635f7463322e35685f5f636d77635f7463322e350082004100",
     ATLS_E_DECODE, "duplicate"},
    {"label empty text", "a16082004100", ATLS_E_DECODE, "label is empty"},
    {"label a bool", "a1f482004100", ATLS_E_DECODE, "label is neither"},
    {"label a byte string", "a1410082004100", ATLS_E_DECODE, "label is neither"},
    {"label above 63 bits", "a11bffffffffffffffff82004100", ATLS_E_DECODE, "label is neither"},
    {"label not UTF-8", "a161ff82004100", ATLS_E_DECODE, "UTF-8"},
    {"collection type a number", "a2685f5f636d77635f74000082004100", ATLS_E_DECODE,
     "__cmwc_t is not text"},
    {"collection type a record", "a2685f5f636d77635f74820041000082004100", ATLS_E_DECODE,
     "__cmwc_t is not text"},
    {"collection type empty", "a2685f5f636d77635f74600082004100", ATLS_E_DECODE, "absolute URI"},
    {"member a byte string", "a1004100", ATLS_E_DECODE, "neither record, tag nor collection"},
    {"member JSON text", "a100655b2261225d", ATLS_E_DECODE, "neither record, tag nor collection"},
    {"member null", "a100f6", ATLS_E_DECODE, "neither record, tag nor collection"},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_unhex(rows[i].hex);
        struct atls_writer w = atls_writer_init(4096);
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        test_assert_code(round_trip(atls_buf_bytes(&in), &w, &err), rows[i].want, &err);
        if (rows[i].want != ATLS_OK && strstr(err.message, rows[i].message) == NULL)
            fail_msg("%s, want %s", err.message, rows[i].message);
        atls_writer_clear(&w);
        atls_buf_clear(&in);
    }
}

/* A collection {"__cmwc_t": type, 0: record}. */
static enum atls_code decode_typed(const char *type)
{
    static const struct atls_bytes record = HEX("\x00\x82\x00\x41\x00");
    struct atls_arena arena = atls_arena_init(ARENA_MAX);
    struct atls_writer w = atls_writer_init(256);
    struct atls_cmw cmw;
    enum atls_code code;

    atls_cbor_put_map(&w, 2);
    atls_cbor_put_text(&w, "__cmwc_t");
    atls_cbor_put_text(&w, type);
    atls_put_bytes(&w, record);
    code = atls_cmw_decode(atls_writer_bytes(&w), &arena, &cmw, NULL);
    atls_arena_clear(&arena);
    atls_writer_clear(&w);
    return code;
}

static void test_collection_types(void **state)
{
    static const char *const fine[] = {
        "tag:ietf.org,2024-02-29:rats/kat",
        "urn:uuid:7d3c1c52-31a5-4a0e-9b1e-6f0f0c0a71b5",
        "https://example.com/a?b=c%20d#e",
        "a+b-c.1:x",
        "http://[2001:db8::1]/",
        "1.3.6.1.5.5.7.1.35",
        "2.999",
        "0.39",
        "1.0.8571.2",
        "2.16.840.1.113741.1.16.1",
    };
    static const char *const refused[] = {
        "",       "relative/path", "//host/path", ":x",    "1a:x",    "tag:",  "tag",   "a:b c",
        "a:b\"c", "a:b\xc3\xa9",   "a:%2",        "a:%zz", "a:b#c#d", "a:<b>", ".1.2",  "1",
        "1.",     "1..2",          "1.02",        "01.2",  "3.1",     "1.40",  "0.100", "1.2.3.",
        "10.2",   "1.2a",          "a:b\\c",      "a:{b}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
        print_message("  %s\n", fine[i]);
        assert_int_equal(decode_typed(fine[i]), ATLS_OK);
    }
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        print_message("  not %s\n", refused[i]);
        assert_int_equal(decode_typed(refused[i]), ATLS_E_DECODE);
    }
}

static void test_depth(void **state)
{
    static const struct atls_bytes record = HEX("\x82\x00\x41\x00");

    (void)state;
    for (int levels = ATLS_CMW_DEPTH_MAX; levels <= ATLS_CMW_DEPTH_MAX + 1; levels++) {
        struct atls_writer w = atls_writer_init(256), again = atls_writer_init(256);
        struct atls_err err = ATLS_ERR_INIT;

        for (int i = 0; i < levels; i++) {
            atls_cbor_put_map(&w, 1);
            atls_cbor_put_int(&w, i);
        }
        atls_put_bytes(&w, record);
        test_assert_code(round_trip(atls_writer_bytes(&w), &again, &err),
                         levels == ATLS_CMW_DEPTH_MAX ? ATLS_OK : ATLS_E_LIMIT, &err);
        atls_writer_clear(&w);
        atls_writer_clear(&again);
    }
}

static void test_entry_limit(void **state)
{
    static const struct atls_bytes record = HEX("\x82\x00\x41\x00");

    (void)state;
    for (unsigned int with_type = 0; with_type < 2; with_type++) {
        for (unsigned int count = ATLS_CMW_ENTRIES_MAX; count <= ATLS_CMW_ENTRIES_MAX + 2;
             count++) {
            struct atls_writer w = atls_writer_init(4096), again = atls_writer_init(4096);
            struct atls_err err = ATLS_ERR_INIT;

            atls_cbor_put_map(&w, count + with_type);
            for (unsigned int i = 0; i < count; i++) {
                atls_cbor_put_uint(&w, i);
                atls_put_bytes(&w, record);
            }
            if (with_type != 0) {
                atls_cbor_put_text(&w, "__cmwc_t");
                atls_cbor_put_text(&w, "2.5");
            }
            test_assert_code(round_trip(atls_writer_bytes(&w), &again, &err),
                             count == ATLS_CMW_ENTRIES_MAX ? ATLS_OK : ATLS_E_LIMIT, &err);
            atls_writer_clear(&w);
            atls_writer_clear(&again);
        }
    }
}

static void test_arena_too_small(void **state)
{
    static const struct atls_bytes in = HEX("\xa1\x00\x82\x00\x41\x00");
    struct atls_arena arena = atls_arena_init(16);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_cmw cmw;

    (void)state;
    test_assert_code(atls_cmw_decode(in, &arena, &cmw, &err), ATLS_E_NOMEM, &err);
    atls_arena_clear(&arena);
}

/* Every content-format that has a tag, there and back; the formula by its published examples. */
static void test_tag_numbers(void **state)
{
    static const struct {
        uint16_t content_format;
        uint32_t tag;
    } published[] = {{0, 1668546817},     {61, 1668546878},    {263, 1668547081},
                     {273, 1668547091},   {10005, 1668556861}, {10571, 1668557429},
                     {64999, 1668612070}, {65024, 1668612095}};
    static const struct atls_bytes value = HEX("x");
    uint64_t tag;

    (void)state;
    for (uint32_t cf = 0; cf <= 65025; cf++) {
        struct atls_cmw cmw = {.kind = ATLS_CMW_TAG, .value = value}, again;
        struct atls_arena arena = atls_arena_init(ARENA_MAX);
        struct atls_writer w = atls_writer_init(16);
        struct atls_reader r;

        cmw.type.content_format = (uint16_t)cf;
        assert_int_equal(atls_cmw_encode(&cmw, &w, NULL), cf == 65025 ? ATLS_E_USAGE : ATLS_OK);
        if (cf == 65025)
            break;
        assert_int_equal(atls_cmw_decode(atls_writer_bytes(&w), &arena, &again, NULL), ATLS_OK);
        assert_int_equal(again.type.content_format, cf);
        r = atls_reader_init(atls_writer_bytes(&w));
        assert_true(atls_cbor_get_tag(&r, &tag));
        for (size_t i = 0; i < sizeof published / sizeof published[0]; i++)
            if (published[i].content_format == cf)
                assert_true(tag == published[i].tag);
        atls_writer_clear(&w);
    }
}

static struct atls_cmw_entry numbered(int64_t number, const struct atls_cmw *value)
{
    struct atls_cmw_entry entry = {.value = *value};

    entry.label.number = number;
    return entry;
}

static struct atls_cmw_entry named(const char *text, const struct atls_cmw *value)
{
    struct atls_cmw_entry entry = {.value = *value};

    entry.label.is_text = true;
    entry.label.text = atls_bytes_of(text, strlen(text));
    return entry;
}

static void test_encode_order(void **state)
{
    static const struct atls_bytes value = HEX("v");
    static const struct atls_bytes want =
        HEX("\xa8\x01\x82\x00\x41v\x18\x64\x82\x00\x41v\x20\x82\x00\x41v\x38\x63\x82\x00\x41v"
            "\x61z\x82\x00\x41v\x68__cmwc_t\x63"
            "2.5\x68zzzzzzzz\x82\x00\x41v\x69zzzzzzzzz\x82\x00\x41v");
    const struct atls_cmw record = atls_cmw_record_cf(0, value, 0);
    struct atls_cmw_entry entries[] = {
        named("zzzzzzzzz", &record), numbered(-100, &record),    named("z", &record),
        numbered(100, &record),      named("zzzzzzzz", &record), numbered(-1, &record),
        numbered(1, &record),
    };
    struct atls_cmw cmw = {.kind = ATLS_CMW_COLLECTION, .entries = entries, .count = 7};
    struct atls_writer w = atls_writer_init(256), again = atls_writer_init(256);
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    cmw.collection_type = atls_bytes_of("2.5", 3);
    test_assert_code(atls_cmw_encode(&cmw, &w, &err), ATLS_OK, &err);
    test_assert_bytes(atls_writer_bytes(&w), want);
    test_assert_code(atls_cbor_check(atls_writer_bytes(&w), 0, &err), ATLS_OK, &err);
    test_assert_code(round_trip(atls_writer_bytes(&w), &again, &err), ATLS_OK, &err);
    test_assert_bytes(atls_writer_bytes(&again), want);
    assert_ptr_equal(atls_cmw_find(&cmw, "z"), &entries[2].value);
    assert_null(atls_cmw_find(&cmw, "zz"));
    assert_null(atls_cmw_find_record(&cmw, "zz", "text/plain").ptr);
    assert_null(atls_cmw_find_record(NULL, "z", "text/plain").ptr);
    atls_writer_clear(&w);
    atls_writer_clear(&again);
}

static void test_encode_refuses(void **state)
{
    static const struct atls_bytes value = HEX("v"), empty = {NULL, 0};
    struct atls_cmw record = atls_cmw_record("a/b", value, 4);
    struct atls_cmw no_value = atls_cmw_record("a/b", empty, 4);
    struct atls_cmw bad_type = atls_cmw_record("a b", value, 4);
    struct atls_cmw not_utf8 = atls_cmw_record("a/b; c=\"\xff\"", value, 4);
    struct atls_cmw bad_ind = atls_cmw_record_cf(60, value, 32);
    struct atls_cmw tag_text = record, tag_ind = bad_ind, no_kind = {.count = 0};
    struct atls_cmw_entry twice[] = {numbered(1, &record), numbered(1, &record)};
    struct atls_cmw_entry reserved[] = {named("__cmwc_t", &record)};
    struct atls_cmw_entry blank[] = {named("", &record)};
    struct atls_cmw_entry label_utf8[] = {named("\xc0\x80", &record)};
    struct atls_cmw_entry inner[] = {numbered(1, &no_value)};
    struct atls_cmw_entry one[] = {numbered(1, &record)};
    static struct atls_cmw_entry many[ATLS_CMW_ENTRIES_MAX + 1];
    struct atls_cmw_entry deep[ATLS_CMW_DEPTH_MAX + 1];
    struct atls_cmw collection = {.kind = ATLS_CMW_COLLECTION};
    static struct {
        const char *name;
        struct atls_cmw cmw;
        const char *message;
    } cases[14];
    size_t count = 0;

    (void)state;
    tag_text.kind = ATLS_CMW_TAG;
    tag_text.ind = 0;
    tag_ind.kind = ATLS_CMW_TAG;
    tag_ind.ind = 4;
    for (size_t i = 0; i <= ATLS_CMW_ENTRIES_MAX; i++)
        many[i] = numbered((int64_t)i, &record);
    for (size_t i = 0; i <= ATLS_CMW_DEPTH_MAX; i++) {
        deep[i] = numbered(0, i == 0 ? &record : &collection);
        if (i > 0) {
            deep[i].value.entries = &deep[i - 1];
            deep[i].value.count = 1;
        }
    }
#define CASE(n, c, m)                                                                              \
    do {                                                                                           \
        cases[count].name = (n);                                                                   \
        cases[count].cmw = (c);                                                                    \
        cases[count++].message = (m);                                                              \
    } while (0)
    CASE("zero value", no_kind, "kind");
    CASE("no value", no_value, "value is empty");
    CASE("type no Content-Type", bad_type, "Content-Type");
    CASE("type not UTF-8", not_utf8, "Content-Type");
    CASE("ind not assigned", bad_ind, "not assigned");
    CASE("tag with text type", tag_text, "type has no tag");
    CASE("tag with ind", tag_ind, "no ind");
    CASE("empty collection", collection, "collection is empty");
    collection.count = 2;
    collection.entries = twice;
    CASE("label twice", collection, "label occurs twice");
    collection.count = 1;
    collection.entries = reserved;
    CASE("reserved label", collection, "reserved");
    collection.entries = blank;
    CASE("empty label", collection, "label is empty");
    collection.entries = label_utf8;
    CASE("label not UTF-8", collection, "label is not UTF-8");
    collection.entries = inner;
    CASE("member refused", collection, "value is empty");
    collection.entries = one;
    collection.collection_type = atls_bytes_of("relative", 8);
    CASE("collection type", collection, "absolute URI");
#undef CASE
    for (size_t i = 0; i < count; i++) {
        struct atls_writer w = atls_writer_init(4096);
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", cases[i].name);
        test_assert_code(atls_cmw_encode(&cases[i].cmw, &w, &err), ATLS_E_USAGE, &err);
        if (strstr(err.message, cases[i].message) == NULL)
            fail_msg("%s, want %s", err.message, cases[i].message);
        assert_int_equal(w.len, 0);
        atls_writer_clear(&w);
    }

    struct atls_writer w = atls_writer_init(8);
    struct atls_err err = ATLS_ERR_INIT;

    collection.collection_type = empty;
    collection.entries = many;
    collection.count = ATLS_CMW_ENTRIES_MAX + 1;
    test_assert_code(atls_cmw_encode(&collection, &w, &err), ATLS_E_USAGE, &err);
    assert_non_null(strstr(err.message, "too many"));
    collection.entries = &deep[ATLS_CMW_DEPTH_MAX];
    collection.count = 1;
    test_assert_code(atls_cmw_encode(&collection, &w, &err), ATLS_E_USAGE, &err);
    assert_non_null(strstr(err.message, "too deeply"));
    collection.entries = many;
    collection.count = 2;
    test_assert_code(atls_cmw_encode(&collection, &w, &err), ATLS_E_LIMIT, &err);
    atls_writer_clear(&w);
}

static void test_signed(void **state)
{
    static const struct {
        const char *file;
        enum atls_code want;
        const char *message;
    } files[] = {
        {"cmw/signed-neg-bad-signature.cbor", ATLS_OK, NULL}, /* structure alone is looked at */
        {"cmw/signed-neg-bad-payload.cbor", ATLS_OK, NULL},
        {"cmw/signed-neg-no-alg.cbor", ATLS_E_DECODE, "no alg"},
        {"cmw/signed-neg-no-cty.cbor", ATLS_E_DECODE, "no content type"},
        {"cmw/signed-neg-wrong-cty.cbor", ATLS_E_DECODE, "content type is not"},
        {"cmw/signed-neg-truncated.cbor", ATLS_E_DECODE, "truncated"},
    };
    static const struct {
        const char *name;
        const char *hex;
        enum atls_code want;
        const char *message;
    } made[] = {
        {"content type 273", "d28447a2012603190111a041004199", ATLS_OK, NULL},
        {"content type 275", "d28447a2012603190113a041004199", ATLS_E_DECODE,
         "content type is not"},
        {"content type unprotected", "d28443a10126a10319011141004199", ATLS_E_DECODE,
         "no content type"},
        {"detached", "d28447a2012603190111a0f64199", ATLS_E_DECODE, "detached"},
        {"no tag", "8447a2012603190111a041004199", ATLS_E_DECODE, "no tag"},
    };
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_cose_sign1 s;

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct atls_buf in = test_vector(files[i].file);
        struct atls_arena arena = atls_arena_init(ARENA_MAX);
        struct atls_cmw cmw;

        print_message("  %s\n", files[i].file);
        test_assert_code(atls_cmw_signed_open(atls_buf_bytes(&in), &s, &err), files[i].want, &err);
        if (files[i].want != ATLS_OK)
            assert_non_null(strstr(err.message, files[i].message));
        else
            test_assert_code(atls_cmw_decode(s.payload, &arena, &cmw, &err),
                             strstr(files[i].file, "bad-payload") ? ATLS_E_DECODE : ATLS_OK, &err);
        atls_arena_clear(&arena);
        atls_buf_clear(&in);
    }
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) {
        struct atls_buf in = test_unhex(made[i].hex);

        print_message("  %s\n", made[i].name);
        test_assert_code(atls_cmw_signed_open(atls_buf_bytes(&in), &s, &err), made[i].want, &err);
        if (made[i].want != ATLS_OK)
            assert_non_null(strstr(err.message, made[i].message));
        atls_buf_clear(&in);
    }
}

static void test_x509_rows(void **state)
{
    static const struct {
        const char *name;
        struct atls_bytes in;
        const char *message; /* NULL: taken */
    } cases[] = {
        {"CBOR record", HEX("\x04\x04\x82\x00\x41\x00"), NULL},
        {"CBOR collection", HEX("\x04\x06\xa1\x00\x82\x00\x41\x00"), NULL},
        {"CBOR tag", HEX("\x04\x07\xda\x63\x74\x01\x01\x41\x00"), NULL},
        {"JSON record", HEX("\x0c\x0c[\"a/b\",\"AA\"]"), NULL},
        {"JSON collection", HEX("\x0c\x12{\"x\":[\"a/b\",\"AA\"]}"), NULL},
        {"nothing", HEX(""), "neither UTF8String nor OCTET STRING"},
        {"IA5String", HEX("\x16\x0c[\"a/b\",\"AA\"]"), "neither UTF8String nor OCTET STRING"},
        {"constructed OCTET STRING", HEX("\x24\x04\x82\x00\x41\x00"),
         "neither UTF8String nor OCTET STRING"},
        {"BER length", HEX("\x04\x81\x04\x82\x00\x41\x00"), "neither UTF8String nor OCTET STRING"},
        {"truncated", HEX("\x04\x05\x82\x00\x41\x00"), "neither UTF8String nor OCTET STRING"},
        {"trailing byte", HEX("\x04\x04\x82\x00\x41\x00\x00"), "trailing"},
        {"CBOR under UTF8String", HEX("\x0c\x04\x82\x00\x41\x00"), "no JSON CMW"},
        {"JSON under OCTET STRING", HEX("\x04\x0c[\"a/b\",\"AA\"]"), "no CBOR CMW"},
        {"JSON not UTF-8", HEX("\x0c\x04[\"\xff\""), "no JSON CMW"},
        {"empty OCTET STRING", HEX("\x04\x00"), "no CBOR CMW"},
        {"empty UTF8String", HEX("\x0c\x00"), "no JSON CMW"},
        {"COSE", HEX("\x04\x01\xd2"), "no CBOR CMW"},
        {"JSON after a blank", HEX("\x0c\x0d [\"a/b\",\"AA\"]"), "no JSON CMW"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct atls_writer w = atls_writer_init(64);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_cmw_x509 v;

        print_message("  %s\n", cases[i].name);
        test_assert_code(atls_cmw_x509_decode(cases[i].in, &v, &err),
                         cases[i].message == NULL ? ATLS_OK : ATLS_E_DECODE, &err);
        if (cases[i].message == NULL) {
            test_assert_code(atls_cmw_x509_encode(&v, &w, &err), ATLS_OK, &err);
            test_assert_bytes(atls_writer_bytes(&w), cases[i].in);
            v.is_json = !v.is_json;
            test_assert_code(atls_cmw_x509_encode(&v, &w, &err), ATLS_E_USAGE, &err);
        } else if (strstr(err.message, cases[i].message) == NULL) {
            fail_msg("%s, want %s", err.message, cases[i].message);
        }
        atls_writer_clear(&w);
    }
}

static void test_x509_certificate(void **state)
{
    static const uint8_t oid[] = {0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x23};
    struct atls_buf der = test_vector("cmw/x509-cert-cbor-cmw.der");
    struct atls_arena arena = atls_arena_init(ARENA_MAX);
    struct atls_writer w = atls_writer_init(4);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_cmw_x509 v;
    struct atls_cmw cmw;
    size_t at = 0;

    (void)state;
    while (at + sizeof oid < der.len && memcmp(der.ptr + at, oid, sizeof oid) != 0)
        at++;
    at += sizeof oid;
    assert_int_equal(der.ptr[at], 0x04); /* extnValue, not critical, of a short length */
    test_assert_code(
        atls_cmw_x509_decode(atls_bytes_of(der.ptr + at + 2, der.ptr[at + 1]), &v, &err), ATLS_OK,
        &err);
    assert_false(v.is_json);
    test_assert_code(atls_cmw_decode(v.cmw, &arena, &cmw, &err), ATLS_OK, &err);
    test_assert_code(atls_cmw_x509_encode(&v, &w, &err), ATLS_E_LIMIT, &err);
    atls_writer_clear(&w);
    atls_arena_clear(&arena);
    atls_buf_clear(&der);
}

static void test_sniff(void **state)
{
    (void)state;
    for (unsigned int first = 0; first < 256; first++) {
        uint8_t byte = (uint8_t)first;
        enum atls_cmw_shape want = ATLS_CMW_SHAPE_UNKNOWN;

        if (first == '[')
            want = ATLS_CMW_SHAPE_JSON_RECORD;
        else if (first == '{')
            want = ATLS_CMW_SHAPE_JSON_COLLECTION;
        else if (first == 'e')
            want = ATLS_CMW_SHAPE_JWS;
        else if (first == 0x82 || first == 0x83 || first == 0x9f)
            want = ATLS_CMW_SHAPE_CBOR_RECORD;
        else if ((first >= 0xa1 && first <= 0xbb) || first == 0xbf)
            want = ATLS_CMW_SHAPE_CBOR_COLLECTION;
        else if (first == 0xda)
            want = ATLS_CMW_SHAPE_CBOR_TAG;
        else if (first == 0xd2)
            want = ATLS_CMW_SHAPE_COSE;
        assert_int_equal(atls_cmw_sniff(atls_bytes_of(&byte, 1)), want);
    }
    assert_int_equal(atls_cmw_sniff(atls_bytes_of(NULL, 0)), ATLS_CMW_SHAPE_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_record_fields),
        cmocka_unit_test(test_collection_fields),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_collection_types),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_entry_limit),
        cmocka_unit_test(test_arena_too_small),
        cmocka_unit_test(test_tag_numbers),
        cmocka_unit_test(test_encode_order),
        cmocka_unit_test(test_encode_refuses),
        cmocka_unit_test(test_signed),
        cmocka_unit_test(test_x509_rows),
        cmocka_unit_test(test_x509_certificate),
        cmocka_unit_test(test_sniff),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
