#include <string.h>

#include "testlib.h"

#include "verifier/local/match.h"

#define TEXT(s)                                                                                    \
    {                                                                                              \
        (const uint8_t *)(s), sizeof(s) - 1                                                        \
    }

static void environments(void **state)
{
    static const struct {
        const char *name;
        struct atls_environment condition, actual;
        bool want;
    } rows[] = {
        {"a condition that asks nothing", {.class_id = {NULL, 0}}, {.class_id = TEXT("c")}, true},
        {"equal class", {.class_id = TEXT("c")}, {.class_id = TEXT("c")}, true},
        {"actual has more",
         {.class_id = TEXT("c")},
         {.class_id = TEXT("c"), .vendor = TEXT("v"), .instance = TEXT("i")},
         true},
        {"another class", {.class_id = TEXT("c")}, {.class_id = TEXT("d")}, false},
        {"class that begins alike", {.class_id = TEXT("c")}, {.class_id = TEXT("cc")}, false},
        {"class absent", {.class_id = TEXT("c")}, {.vendor = TEXT("v")}, false},
        {"another vendor", {.vendor = TEXT("v")}, {.vendor = TEXT("w")}, false},
        {"vendor absent", {.vendor = TEXT("v")}, {.model = TEXT("v")}, false},
        {"another model", {.model = TEXT("m")}, {.model = TEXT("n")}, false},
        {"another instance", {.instance = TEXT("i")}, {.instance = TEXT("j")}, false},
        {"instance absent", {.instance = TEXT("i")}, {.class_id = TEXT("c")}, false},
        {"another group", {.group = TEXT("g")}, {.group = TEXT("h")}, false},
        {"equal layer", {.has_layer = true, .layer = 1}, {.has_layer = true, .layer = 1}, true},
        {"another layer", {.has_layer = true, .layer = 1}, {.has_layer = true, .layer = 2}, false},
        {"layer 0 is not an absent layer", {.has_layer = true}, {.class_id = TEXT("c")}, false},
        {"another index", {.has_index = true, .index = 1}, {.has_index = true, .index = 2}, false},
        {"index 0 is not an absent index", {.has_index = true}, {.class_id = TEXT("c")}, false},
        {"empty text is not an absent one", {.vendor = TEXT("")}, {.class_id = TEXT("c")}, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        print_message("%s\n", rows[i].name);
        assert_int_equal(atls_environment_matches(&rows[i].condition, &rows[i].actual),
                         rows[i].want);
    }
}

static void keys(void **state)
{
    static const struct {
        const char *name;
        struct atls_mkey a, b;
        bool want;
    } rows[] = {
        {"none and none", {ATLS_MKEY_NONE, 0, {NULL, 0}}, {ATLS_MKEY_NONE, 1, {NULL, 0}}, true},
        {"none and 0", {ATLS_MKEY_NONE, 0, {NULL, 0}}, {ATLS_MKEY_UINT, 0, {NULL, 0}}, false},
        {"numbers", {ATLS_MKEY_UINT, 7, {NULL, 0}}, {ATLS_MKEY_UINT, 7, {NULL, 0}}, true},
        {"other numbers", {ATLS_MKEY_UINT, 7, {NULL, 0}}, {ATLS_MKEY_UINT, 8, {NULL, 0}}, false},
        {"texts", {ATLS_MKEY_TEXT, 0, TEXT("a")}, {ATLS_MKEY_TEXT, 1, TEXT("a")}, true},
        {"other texts", {ATLS_MKEY_TEXT, 0, TEXT("a")}, {ATLS_MKEY_TEXT, 0, TEXT("b")}, false},
        {"text and OID of the same bytes",
         {ATLS_MKEY_TEXT, 0, TEXT("a")},
         {ATLS_MKEY_OID, 0, TEXT("a")},
         false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        print_message("%s\n", rows[i].name);
        assert_int_equal(atls_mkey_equal(&rows[i].a, &rows[i].b), rows[i].want);
        assert_int_equal(atls_mkey_equal(&rows[i].b, &rows[i].a), rows[i].want);
    }
}

static struct atls_digest sha256_a[] = {{ATLS_HASH_SHA256, 1, TEXT("aaaa")}};
static struct atls_digest sha256_b[] = {{ATLS_HASH_SHA256, 1, TEXT("bbbb")}};
static struct atls_digest sha384_a[] = {{ATLS_HASH_SHA384, 7, TEXT("aaaa")}};
static struct atls_digest both_ab[] = {{ATLS_HASH_SHA256, 1, TEXT("aaaa")},
                                       {ATLS_HASH_SHA384, 7, TEXT("bbbb")}};
static struct atls_digest both_aa[] = {{ATLS_HASH_SHA384, 7, TEXT("aaaa")},
                                       {ATLS_HASH_SHA256, 1, TEXT("aaaa")}};
static struct atls_digest twice[] = {{ATLS_HASH_SHA256, 1, TEXT("aaaa")},
                                     {ATLS_HASH_SHA256, 1, TEXT("bbbb")}};
static struct atls_digest unknown_12[] = {{ATLS_HASH_NONE, 12, TEXT("aaaa")}};
static struct atls_digest unknown_11[] = {{ATLS_HASH_NONE, 11, TEXT("aaaa")}};
static struct atls_digest unknown_name[] = {{ATLS_HASH_NONE, ATLS_NAMED_HASH_TEXT, TEXT("aaaa")}};

#define DIGESTS(array)                                                                             \
    .present = ATLS_MVAL_DIGESTS, .digests = array, .digest_count = sizeof array / sizeof array[0]
#define RAW(value) .present = ATLS_MVAL_RAW, .raw = TEXT(value)

static void values(void **state)
{
    static const struct {
        const char *name;
        struct atls_mval condition, actual;
        bool want;
    } rows[] = {
        {"an empty condition holds for nothing", {.present = 0}, {DIGESTS(sha256_a)}, false},
        {"equal digest", {DIGESTS(sha256_a)}, {DIGESTS(sha256_a)}, true},
        {"another digest", {DIGESTS(sha256_a)}, {DIGESTS(sha256_b)}, false},
        {"no algorithm in common", {DIGESTS(sha384_a)}, {DIGESTS(sha256_a)}, false},
        {"actual has a further algorithm", {DIGESTS(sha256_a)}, {DIGESTS(both_ab)}, true},
        {"condition has a further algorithm", {DIGESTS(both_ab)}, {DIGESTS(sha256_a)}, true},
        {"one of two common ones differs", {DIGESTS(both_aa)}, {DIGESTS(both_ab)}, false},
        {"both common ones equal, in another order", {DIGESTS(both_aa)}, {DIGESTS(both_aa)}, true},
        {"alternatives in one list are none", {DIGESTS(twice)}, {DIGESTS(sha256_a)}, false},
        {"algorithm known to nobody, same number",
         {DIGESTS(unknown_12)},
         {DIGESTS(unknown_12)},
         true},
        {"algorithm known to nobody, other number",
         {DIGESTS(unknown_12)},
         {DIGESTS(unknown_11)},
         false},
        {"algorithm that has only a name", {DIGESTS(unknown_name)}, {DIGESTS(unknown_name)}, false},
        {"known against unknown algorithm", {DIGESTS(sha256_a)}, {DIGESTS(unknown_12)}, false},
        {"digest wanted, raw value there", {DIGESTS(sha256_a)}, {RAW("aaaa")}, false},
        {"equal raw value", {RAW("ab")}, {RAW("ab")}, true},
        {"another raw value", {RAW("ab")}, {RAW("ac")}, false},
        {"longer raw value", {RAW("ab")}, {RAW("abc")}, false},
        {"differs outside the mask", {RAW("ab"), .mask = TEXT("\xff\x00")}, {RAW("ac")}, true},
        {"differs inside the mask", {RAW("ab"), .mask = TEXT("\xff\x01")}, {RAW("ac")}, false},
        {"mask of another length", {RAW("ab"), .mask = TEXT("\xff")}, {RAW("ab")}, false},
        {"masked value of another length", {RAW("ab"), .mask = TEXT("\0\0")}, {RAW("abc")}, false},
        {"equal svn",
         {.present = ATLS_MVAL_SVN, .svn = 4},
         {.present = ATLS_MVAL_SVN, .svn = 4},
         true},
        {"higher svn than the exact one",
         {.present = ATLS_MVAL_SVN, .svn = 4},
         {.present = ATLS_MVAL_SVN, .svn = 5},
         false},
        {"minimum svn reached",
         {.present = ATLS_MVAL_MIN_SVN, .svn = 4},
         {.present = ATLS_MVAL_SVN, .svn = 4},
         true},
        {"minimum svn exceeded",
         {.present = ATLS_MVAL_MIN_SVN, .svn = 4},
         {.present = ATLS_MVAL_SVN, .svn = 5},
         true},
        {"minimum svn not reached",
         {.present = ATLS_MVAL_MIN_SVN, .svn = 4},
         {.present = ATLS_MVAL_SVN, .svn = 3},
         false},
        {"a minimum proves only itself",
         {.present = ATLS_MVAL_MIN_SVN, .svn = 4},
         {.present = ATLS_MVAL_MIN_SVN, .svn = 5},
         false},
        {"equal minimum",
         {.present = ATLS_MVAL_MIN_SVN, .svn = 4},
         {.present = ATLS_MVAL_MIN_SVN, .svn = 4},
         true},
        {"minimum where the exact one is wanted",
         {.present = ATLS_MVAL_SVN, .svn = 4},
         {.present = ATLS_MVAL_MIN_SVN, .svn = 4},
         false},
        {"svn absent", {.present = ATLS_MVAL_SVN, .svn = 0}, {RAW("a")}, false},
        {"minimum svn, absent", {.present = ATLS_MVAL_MIN_SVN, .svn = 0}, {RAW("a")}, false},
        {"equal flags",
         {.present = ATLS_MVAL_FLAGS, .flags_known = 3, .flags = 1},
         {.present = ATLS_MVAL_FLAGS, .flags_known = 7, .flags = 5},
         true},
        {"flag differs",
         {.present = ATLS_MVAL_FLAGS, .flags_known = 3, .flags = 1},
         {.present = ATLS_MVAL_FLAGS, .flags_known = 7, .flags = 3},
         false},
        {"flag unknown",
         {.present = ATLS_MVAL_FLAGS, .flags_known = 8, .flags = 0},
         {.present = ATLS_MVAL_FLAGS, .flags_known = 7, .flags = 0},
         false},
        {"equal version",
         {.present = ATLS_MVAL_VERSION, .version = TEXT("1")},
         {.present = ATLS_MVAL_VERSION, .version = TEXT("1")},
         true},
        {"another version",
         {.present = ATLS_MVAL_VERSION, .version = TEXT("1")},
         {.present = ATLS_MVAL_VERSION, .version = TEXT("2")},
         false},
        {"equal name",
         {.present = ATLS_MVAL_NAME, .name = TEXT("n")},
         {.present = ATLS_MVAL_NAME, .name = TEXT("n")},
         true},
        {"another name",
         {.present = ATLS_MVAL_NAME, .name = TEXT("n")},
         {.present = ATLS_MVAL_NAME, .name = TEXT("m")},
         false},
        {"a member that is not compared",
         {.present = ATLS_MVAL_OTHER | ATLS_MVAL_SVN, .svn = 1},
         {.present = ATLS_MVAL_OTHER | ATLS_MVAL_SVN, .svn = 1},
         false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        print_message("%s\n", rows[i].name);
        assert_int_equal(atls_mval_holds(&rows[i].condition, &rows[i].actual), rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(environments),
        cmocka_unit_test(keys),
        cmocka_unit_test(values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
