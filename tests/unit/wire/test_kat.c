#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "wire/cbor.h"
#include "wire/kat.h"

#define NONCE32 "5820000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define NONCE48                                                                                    \
    "5830000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"                         \
    "202122232425262728292a2b2c2d2e2f"
#define X32 "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
#define KEY "a301012006215820" X32

static enum atls_code decode_copy(struct atls_bytes in, struct atls_kat *out, struct atls_err *err)
{
    struct atls_buf copy;
    enum atls_code code;

    test_assert_code(atls_buf_copy(&copy, in, err), ATLS_OK, err);
    code = atls_kat_decode(atls_buf_bytes(&copy), out, err);
    atls_buf_clear(&copy);
    return code;
}

static const struct {
    const char *name;
    const char *hex;
    enum atls_code want;
    const char *message;
} rows[] = {
    {"32 bytes of nonce", "d90259a208a101" KEY "0a" NONCE32, ATLS_OK, NULL},
    {"48 bytes of nonce", "d90259a208a101" KEY "0a" NONCE48, ATLS_OK, NULL},
    {"nonce first", "d90259a20a" NONCE32 "08a101" KEY, ATLS_OK, NULL},
    {"trailing byte", "d90259a208a101" KEY "0a" NONCE32 "00", ATLS_E_DECODE, "trailing"},
    {"no tag", "a208a101" KEY "0a" NONCE32, ATLS_E_DECODE, "no tag 601"},
    {"another tag", "d83da208a101" KEY "0a" NONCE32, ATLS_E_DECODE, "no tag 601"},
    {"two tags", "d90259d90259a208a101" KEY "0a" NONCE32, ATLS_E_DECODE, "two claims"},
    {"signed", "d90259d28440a04040", ATLS_E_DECODE, "two claims"},
    {"no nonce", "d90259a108a101" KEY, ATLS_E_DECODE, "two claims"},
    {"no cnf", "d90259a10a" NONCE32, ATLS_E_DECODE, "two claims"},
    {"a third claim", "d90259a308a101" KEY "0a" NONCE32 "0b00", ATLS_E_DECODE, "two claims"},
    {"another claim for cnf", "d90259a20a" NONCE32 "0b00", ATLS_E_DECODE, "claim is neither"},
    {"another claim for nonce", "d90259a208a101" KEY "0b" NONCE32, ATLS_E_DECODE,
     "claim is neither"},
    {"text claim", "d90259a20a" NONCE32 "616100", ATLS_E_DECODE, "claim is neither"},
    {"nonce twice", "d90259a20a" NONCE32 "0a" NONCE32, ATLS_E_DECODE, "duplicate"},
    {"nonce text", "d90259a208a101" KEY "0a6161", ATLS_E_DECODE, "eat_nonce"},
    {"nonce of 31 bytes",
     "d90259a208a101" KEY "0a581f000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e",
     ATLS_E_DECODE, "eat_nonce"},
    {"nonce of 33 bytes", "d90259a208a101" KEY "0a582100" X32, ATLS_E_DECODE, "eat_nonce"},
    {"nonce empty", "d90259a208a101" KEY "0a40", ATLS_E_DECODE, "eat_nonce"},
    {"nonces in an array", "d90259a208a101" KEY "0a81" NONCE32, ATLS_E_DECODE, "eat_nonce"},
    {"cnf empty", "d90259a208a00a" NONCE32, ATLS_E_DECODE, "one confirmation method"},
    {"cnf with two methods", "d90259a208a201" KEY "0341aa0a" NONCE32, ATLS_E_DECODE,
     "one confirmation method"},
    {"cnf not a map", "d90259a20881010a" NONCE32, ATLS_E_DECODE, "one confirmation method"},
    {"cnf with a key id", "d90259a208a10341aa0a" NONCE32, ATLS_E_DECODE, "not COSE_Key"},
    {"cnf with an encrypted key", "d90259a208a102" KEY "0a" NONCE32, ATLS_E_DECODE, "not COSE_Key"},
    {"private key", "d90259a208a101a401012006215820" X32 "2341010a" NONCE32, ATLS_E_DECODE,
     "private"},
    {"key of an unknown type", "d90259a208a101a301052006215820" X32 "0a" NONCE32,
     ATLS_E_UNSUPPORTED, "kty 5"},
    {"indefinite map", "d90259bf08a101" KEY "0a" NONCE32 "ff", ATLS_E_DECODE, "indefinite"},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_unhex(rows[i].hex);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_kat kat = {.nonce = {NULL, 77}};

        print_message("  %s\n", rows[i].name);
        test_assert_code(decode_copy(atls_buf_bytes(&in), &kat, &err), rows[i].want, &err);
        if (rows[i].want != ATLS_OK) {
            assert_int_equal(kat.nonce.len, 77);
            if (strstr(err.message, rows[i].message) == NULL)
                fail_msg("%s, want %s", err.message, rows[i].message);
        }
        atls_buf_clear(&in);
    }
}

static void test_round_trip(void **state)
{
    static const char *const inputs[] = {
        "d90259a208a101" KEY "0a" NONCE32,
        "d90259a208a101" KEY "0a" NONCE48,
        "d90259a208a101a301032042ff0121430100010a" NONCE32,
        "d90259a208a101a401022001215820" X32 "22f50a" NONCE32,
    };

    (void)state;
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        struct atls_buf in = test_unhex(inputs[i]);
        struct atls_writer w = atls_writer_init(256), small = atls_writer_init(16);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_kat kat;

        test_assert_code(atls_kat_decode(atls_buf_bytes(&in), &kat, &err), ATLS_OK, &err);
        test_assert_code(atls_kat_encode(kat.nonce, &kat.key, &w, &err), ATLS_OK, &err);
        test_assert_bytes(atls_writer_bytes(&w), atls_buf_bytes(&in));
        assert_int_equal(kat.cose_key_encoded.ptr - in.ptr, 7);
        test_assert_code(atls_kat_encode(kat.nonce, &kat.key, &small, &err), ATLS_E_LIMIT, &err);
        for (size_t len = 0; len < in.len; len++)
            test_assert_code(decode_copy(atls_bytes_of(in.ptr, len), &kat, &err), ATLS_E_DECODE,
                             &err);
        atls_writer_clear(&w);
        atls_writer_clear(&small);
        atls_buf_clear(&in);
    }
}

static void test_encode_refuses(void **state)
{
    static const uint8_t bytes[64] = {1};
    struct atls_cose_key key = {.kty = ATLS_COSE_OKP, .crv = ATLS_COSE_ED25519, .x = {bytes, 32}};
    struct atls_cose_key short_key = key, no_key = {.alg = 0};
    struct atls_writer w = atls_writer_init(256);
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    short_key.x.len = 31;
    for (size_t len = 0; len <= sizeof bytes; len++) {
        test_assert_code(atls_kat_encode(atls_bytes_of(bytes, len), &key, &w, &err),
                         len == 32 || len == 48 ? ATLS_OK : ATLS_E_USAGE, &err);
        if (len != 32 && len != 48)
            assert_int_equal(w.len, 0);
        atls_writer_clear(&w);
    }
    test_assert_code(atls_kat_encode(atls_bytes_of(bytes, 32), &short_key, &w, &err), ATLS_E_USAGE,
                     &err);
    test_assert_code(atls_kat_encode(atls_bytes_of(bytes, 32), &no_key, &w, &err), ATLS_E_USAGE,
                     &err);
    assert_int_equal(w.len, 0);
    atls_writer_clear(&w);
}

/* The published example of a bundle of another type: a CMW like ours, but not our bundle. */
static void test_foreign_bundle(void **state)
{
    struct atls_buf in = test_vector("key-attestation/kat-cab-ex-1.cbor");
    struct atls_arena arena = atls_arena_init(1 << 16);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_cose_sign1 sign1;
    struct atls_bundle bundle;
    const struct atls_cmw *kat;
    struct atls_cmw cmw;

    (void)state;
    test_assert_code(atls_cmw_decode(atls_buf_bytes(&in), &arena, &cmw, &err), ATLS_OK, &err);
    assert_int_equal(cmw.count, 2);
    kat = atls_cmw_find(&cmw, "kat");
    assert_non_null(kat);
    test_assert_code(atls_cose_sign1_decode(kat->value, ATLS_COSE_TAG_OPTIONAL, &sign1, &err),
                     ATLS_OK, &err);
    assert_true(sign1.alg == -7);
    test_assert_code(atls_bundle_open(&cmw, &bundle, &err), ATLS_E_DECODE, &err);
    assert_non_null(strstr(err.message, "__cmwc_t"));
    atls_arena_clear(&arena);
    atls_buf_clear(&in);
}

/* Claims of the published example: a KAT of another profile, with kak-pub. */
static void test_foreign_kat(void **state)
{
    struct atls_buf in = test_vector("key-attestation/kat-kat-ex-1.cbor");
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_reader r = atls_reader_init(atls_buf_bytes(&in));
    struct atls_cbor_iter map;
    struct atls_cose_key key;
    struct atls_bytes item = {NULL, 0};
    struct atls_kat kat;
    uint64_t claim = 0;
    size_t keys = 0;

    (void)state;
    test_assert_code(atls_kat_decode(atls_buf_bytes(&in), &kat, &err), ATLS_E_DECODE, &err);
    assert_true(atls_cbor_enter_map(&r, &map));
    while (atls_cbor_more(&r, &map)) {
        assert_true(atls_cbor_get_uint(&r, &claim) && atls_cbor_get_item(&r, &item));
        if (claim != 2500)
            continue;
        test_assert_code(atls_cose_key_decode(item, &key, &err), ATLS_OK, &err);
        assert_int_equal(item.len, 75);
        keys++;
    }
    assert_int_equal(keys, 1);
    atls_buf_clear(&in);
}

static enum atls_code open_encoded(const struct atls_writer *w, struct atls_arena *arena,
                                   struct atls_bundle *out, struct atls_err *err)
{
    struct atls_cmw cmw;
    struct atls_cmw *kept = atls_arena_alloc(arena, 1, sizeof *kept);

    assert_non_null(kept);
    test_assert_code(atls_cmw_decode(atls_writer_bytes(w), arena, &cmw, err), ATLS_OK, err);
    *kept = cmw;
    return atls_bundle_open(kept, out, err);
}

static void test_bundle(void **state)
{
    static const struct atls_bytes value = HEX("v"), chain = HEX("c");
    const struct atls_cmw kat = atls_cmw_record_cf(267, value, 0);
    const struct atls_cmw pat = atls_cmw_record(ATLS_TYPE_SOFT, value, 0);
    struct atls_cmw_entry vcek = {.value = atls_cmw_record_cf(287, chain, 2)};
    struct atls_cmw endorsements = {.kind = ATLS_CMW_COLLECTION, .entries = &vcek, .count = 1};

    (void)state;
    for (int with = 0; with < 2; with++) {
        struct atls_arena arena = atls_arena_init(1 << 16);
        struct atls_writer w = atls_writer_init(1024);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_bundle bundle;

        test_assert_code(atls_bundle_encode(&kat, &pat, with ? &endorsements : NULL, &w, &err),
                         ATLS_OK, &err);
        test_assert_code(open_encoded(&w, &arena, &bundle, &err), ATLS_OK, &err);
        assert_true(atls_cmw_type_is(&bundle.kat.type, ATLS_TYPE_KAT));
        assert_true(atls_cmw_type_is(&bundle.pat.type, ATLS_TYPE_SOFT));
        assert_int_equal(bundle.endorsements != NULL, with);
        if (with)
            assert_int_equal(bundle.endorsements->entries[0].value.type.content_format, 287);
        atls_writer_clear(&w);
        atls_arena_clear(&arena);
    }
}

static struct atls_cmw_entry named(const char *text, const struct atls_cmw *value)
{
    struct atls_cmw_entry entry = {.value = *value};

    entry.label.is_text = true;
    entry.label.text = atls_bytes_of(text, strlen(text));
    return entry;
}

static const struct {
    const char *name;
    struct {
        const char *label;
        enum atls_cmw_kind kind;
    } entries[4];
    const char *message; /* NULL: taken */
} bundles[] = {
    {"kat and pat", {{"kat", ATLS_CMW_RECORD}, {"pat", ATLS_CMW_RECORD}}, NULL},
    {"no kat", {{"pat", ATLS_CMW_RECORD}, {"x", ATLS_CMW_RECORD}}, "kat is missing"},
    {"no pat", {{"kat", ATLS_CMW_RECORD}, {"x", ATLS_CMW_RECORD}}, "pat is missing"},
    {"kat a tag", {{"kat", ATLS_CMW_TAG}, {"pat", ATLS_CMW_RECORD}}, "kat is missing"},
    {"pat a collection",
     {{"kat", ATLS_CMW_RECORD}, {"pat", ATLS_CMW_COLLECTION}},
     "pat is missing"},
    {"a label that is not known",
     {{"kat", ATLS_CMW_RECORD}, {"pat", ATLS_CMW_RECORD}, {"x", ATLS_CMW_RECORD}},
     "a label"},
    {"a label that is not known beside endorsements",
     {{"kat", ATLS_CMW_RECORD},
      {"pat", ATLS_CMW_RECORD},
      {"endorsements", ATLS_CMW_COLLECTION},
      {"x", ATLS_CMW_RECORD}},
     "a label"},
    {"endorsements a record",
     {{"kat", ATLS_CMW_RECORD}, {"pat", ATLS_CMW_RECORD}, {"endorsements", ATLS_CMW_RECORD}},
     "endorsements are not"},
};

static const struct atls_bytes any_value = HEX("v");

/* A bundle of the type given, or of none, with the entries of a row. */
static enum atls_code open_row(size_t row, const char *type, struct atls_bundle *out,
                               struct atls_err *err)
{
    const struct atls_cmw record = atls_cmw_record_cf(267, any_value, 0);
    struct atls_cmw_entry one = named("x", &record), entries[4];
    struct atls_cmw cmw = {.kind = ATLS_CMW_COLLECTION, .entries = entries};

    if (type != NULL)
        cmw.collection_type = atls_bytes_of(type, strlen(type));
    for (; cmw.count < 4 && bundles[row].entries[cmw.count].label != NULL; cmw.count++) {
        struct atls_cmw *value = &entries[cmw.count].value;

        entries[cmw.count] = named(bundles[row].entries[cmw.count].label, &record);
        value->kind = bundles[row].entries[cmw.count].kind;
        value->entries = &one;
        value->count = 1;
    }
    return atls_bundle_open(&cmw, out, err);
}

static void test_bundle_refused(void **state)
{
    static const struct atls_cmw marker;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_bundle bundle = {.endorsements = &marker};

    (void)state;
    for (size_t i = 1; i < sizeof bundles / sizeof bundles[0]; i++) {
        print_message("  %s\n", bundles[i].name);
        test_assert_code(open_row(i, ATLS_BUNDLE_TYPE, &bundle, &err), ATLS_E_DECODE, &err);
        if (strstr(err.message, bundles[i].message) == NULL)
            fail_msg("%s, want %s", err.message, bundles[i].message);
        assert_ptr_equal(bundle.endorsements, &marker);
    }
    test_assert_code(open_row(0, NULL, &bundle, &err), ATLS_E_DECODE, &err);
    assert_non_null(strstr(err.message, "__cmwc_t"));
    test_assert_code(open_row(0, "2.5", &bundle, &err), ATLS_E_DECODE, &err);
    assert_non_null(strstr(err.message, "__cmwc_t"));
    test_assert_code(open_row(0, ATLS_BUNDLE_TYPE, &bundle, &err), ATLS_OK, &err);
    assert_null(bundle.endorsements);
}

static void test_bundle_kinds(void **state)
{
    const struct atls_cmw record = atls_cmw_record_cf(267, any_value, 0);
    struct atls_cmw tag = record, collection = record;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_bundle bundle;
    struct atls_writer w = atls_writer_init(1024);

    (void)state;
    tag.kind = ATLS_CMW_TAG;
    collection.kind = ATLS_CMW_COLLECTION;
    test_assert_code(atls_bundle_open(&record, &bundle, &err), ATLS_E_DECODE, &err);
    assert_non_null(strstr(err.message, "not a CMW collection"));
    test_assert_code(atls_bundle_encode(&tag, &record, NULL, &w, &err), ATLS_E_USAGE, &err);
    test_assert_code(atls_bundle_encode(&record, &collection, NULL, &w, &err), ATLS_E_USAGE, &err);
    test_assert_code(atls_bundle_encode(&record, &record, &record, &w, &err), ATLS_E_USAGE, &err);
    assert_int_equal(w.len, 0);
    atls_writer_clear(&w);
}

/* Indicators of kat, pat and of a record at two depths below endorsements. */
static const struct {
    const char *name;
    uint32_t kat, pat, endorsement, chained;
    const char *message; /* NULL: taken */
} indicators[] = {
    {"none", 0, 0, 0, 0, NULL},
    {"each its own", 4, 4, 2, 2, NULL},
    {"each its own among all", 31, 31, 31, 31, NULL},
    {"kat an endorsement", 2, 4, 2, 2, "ind of kat"},
    {"kat everything but evidence", 27, 4, 2, 2, "ind of kat"},
    {"pat an attestation result", 4, 8, 2, 2, "ind of pat"},
    {"pat everything but evidence", 4, 27, 2, 2, "ind of pat"},
    {"endorsement a reference value", 4, 4, 1, 2, "below endorsements"},
    {"certificate of a chain evidence", 4, 4, 2, 4, "below endorsements"},
    {"certificate of a chain everything but endorsement", 4, 4, 0, 29, "below endorsements"},
};

static void test_indicators(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof indicators / sizeof indicators[0]; i++) {
        struct atls_cmw kat = atls_cmw_record_cf(267, any_value, indicators[i].kat);
        struct atls_cmw pat = atls_cmw_record_cf(60, any_value, indicators[i].pat);
        struct atls_cmw endorsement = atls_cmw_record_cf(60, any_value, indicators[i].endorsement);
        struct atls_cmw_entry link = {
            .value = atls_cmw_record_cf(287, any_value, indicators[i].chained)};
        struct atls_cmw chain = {.kind = ATLS_CMW_COLLECTION, .entries = &link, .count = 1};
        struct atls_cmw_entry below[] = {named("a", &endorsement), named("ak-chain", &chain)};
        struct atls_cmw endorsements = {.kind = ATLS_CMW_COLLECTION, .entries = below, .count = 2};
        struct atls_cmw_entry parts[] = {named("kat", &kat), named("pat", &pat),
                                         named("endorsements", &endorsements)};
        struct atls_cmw cmw = {.kind = ATLS_CMW_COLLECTION, .entries = parts, .count = 3};
        bool taken = indicators[i].message == NULL;
        struct atls_writer w = atls_writer_init(1024);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_bundle bundle;

        print_message("  %s\n", indicators[i].name);
        cmw.collection_type = atls_bytes_of(ATLS_BUNDLE_TYPE, strlen(ATLS_BUNDLE_TYPE));
        test_assert_code(atls_bundle_open(&cmw, &bundle, &err), taken ? ATLS_OK : ATLS_E_DECODE,
                         &err);
        assert_int_equal(err.reason, taken ? ATLS_REASON_NONE : ATLS_REASON_MALFORMED);
        assert_true(taken || strstr(err.message, indicators[i].message) != NULL);
        test_assert_code(atls_bundle_encode(&kat, &pat, &endorsements, &w, &err),
                         taken ? ATLS_OK : ATLS_E_USAGE, &err);
        assert_true(taken || strstr(err.message, indicators[i].message) != NULL);
        assert_int_equal(w.len != 0, taken);
        atls_writer_clear(&w);
    }
}

/* A tree that no decoder gives: a collection that holds itself has no record at its end. */
static void test_endless_endorsements(void **state)
{
    struct atls_cmw record = atls_cmw_record_cf(267, any_value, 0);
    struct atls_cmw_entry parts[3], loop;
    struct atls_cmw endless = {.kind = ATLS_CMW_COLLECTION, .entries = &loop, .count = 1};
    struct atls_cmw cmw = {.kind = ATLS_CMW_COLLECTION, .entries = parts, .count = 3};
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_bundle bundle;

    (void)state;
    loop = named("x", &endless);
    parts[0] = named("kat", &record);
    parts[1] = named("pat", &record);
    parts[2] = named("endorsements", &endless);
    cmw.collection_type = atls_bytes_of(ATLS_BUNDLE_TYPE, strlen(ATLS_BUNDLE_TYPE));
    test_assert_code(atls_bundle_open(&cmw, &bundle, &err), ATLS_E_DECODE, &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),           cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_encode_refuses), cmocka_unit_test(test_foreign_bundle),
        cmocka_unit_test(test_foreign_kat),    cmocka_unit_test(test_bundle),
        cmocka_unit_test(test_bundle_refused), cmocka_unit_test(test_bundle_kinds),
        cmocka_unit_test(test_indicators),     cmocka_unit_test(test_endless_endorsements),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
