#include <string.h>

#include "testlib.h"

#include "verifier/local/expression.h"
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

static struct atls_digest twice_aa[] = {{ATLS_HASH_SHA256, 1, TEXT("aaaa")},
                                        {ATLS_HASH_SHA256, 1, TEXT("aaaa")}};

static struct atls_corim_key keys_a[] = {{ATLS_TAG_BYTES, TEXT("a")}};
static struct atls_corim_key keys_b[] = {{ATLS_TAG_BYTES, TEXT("b")}};
static struct atls_corim_key keys_a_as_der[] = {{ATLS_TAG_CERT_DER, TEXT("a")}};
static struct atls_corim_key keys_ab[] = {{ATLS_TAG_BYTES, TEXT("a")}, {ATLS_TAG_BYTES, TEXT("b")}};
static struct atls_corim_key keys_ba[] = {{ATLS_TAG_BYTES, TEXT("b")}, {ATLS_TAG_BYTES, TEXT("a")}};

static struct atls_integrity_register register_0_a[] = {{{NULL, 0}, 0, sha256_a, 1}};
static struct atls_integrity_register register_0_b[] = {{{NULL, 0}, 0, sha256_b, 1}};
static struct atls_integrity_register register_0_384[] = {{{NULL, 0}, 0, sha384_a, 1}};
static struct atls_integrity_register register_1_a[] = {{{NULL, 0}, 1, sha256_a, 1}};
static struct atls_integrity_register register_s_a[] = {{TEXT("s"), 0, sha256_a, 1}};
static struct atls_integrity_register register_t_a[] = {{TEXT("t"), 0, sha256_a, 1}};
static struct atls_integrity_register registers_0_s[] = {{TEXT("s"), 0, sha256_b, 1},
                                                         {{NULL, 0}, 0, sha256_a, 1}};

static struct atls_mval_extension extension_100_a[] = {{100, TEXT("\x61\x61")}};
static struct atls_mval_extension extension_100_b[] = {{100, TEXT("\x61\x62")}};
/* > 5, and 6 */
static struct atls_mval_extension extension_100_more[] = {{100, TEXT("\xd9\xea\x6a\x82\x01\x05")}};
static struct atls_mval_extension extension_100_6[] = {{100, TEXT("\x06")}};
static struct atls_mval_extension extension_m1_a[] = {{-1, TEXT("\x61\x61")}};
static struct atls_mval_extension extensions_2[] = {{-1, TEXT("\x01")}, {100, TEXT("\x61\x61")}};

#define LIST(array, pointer, count) .pointer = array, .count = sizeof array / sizeof array[0]
#define KEYS(array)                 .present = ATLS_MVAL_KEYS, LIST(array, keys, key_count)
#define REGISTERS(array)            .present = ATLS_MVAL_REGISTERS, LIST(array, registers, register_count)
#define EXTENSIONS(array)           .present = ATLS_MVAL_EXTENSIONS, LIST(array, extensions, extension_count)
#define MEMBER(bit, member, value)  .present = ATLS_MVAL_##bit, .member = TEXT(value)
/* A plain integer says so in is_range alone. */
#define INTEGER(n) .present = ATLS_MVAL_INT_RANGE, .range = {.least = n, .most = n}
#define RANGE(has_lower, lower, has_upper, upper)                                                  \
    .present = ATLS_MVAL_INT_RANGE,                                                                \
    .range = {true, .has_least = has_lower, .has_most = has_upper, .least = lower, .most = upper}

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
        {"version with the scheme that is asked for",
         {.present = ATLS_MVAL_VERSION, .version = TEXT("1"), .version_scheme = TEXT("\x01")},
         {.present = ATLS_MVAL_VERSION, .version = TEXT("1"), .version_scheme = TEXT("\x01")},
         true},
        {"version with another scheme",
         {.present = ATLS_MVAL_VERSION, .version = TEXT("1"), .version_scheme = TEXT("\x01")},
         {.present = ATLS_MVAL_VERSION, .version = TEXT("1"), .version_scheme = TEXT("\x02")},
         false},
        {"version without the scheme that is asked for",
         {.present = ATLS_MVAL_VERSION, .version = TEXT("1"), .version_scheme = TEXT("\x01")},
         {.present = ATLS_MVAL_VERSION, .version = TEXT("1")},
         false},
        {"version with a scheme that nobody asks for",
         {.present = ATLS_MVAL_VERSION, .version = TEXT("1")},
         {.present = ATLS_MVAL_VERSION, .version = TEXT("1"), .version_scheme = TEXT("\x01")},
         true},
        {"an algorithm twice in the condition, equal",
         {DIGESTS(twice_aa)},
         {DIGESTS(sha256_a)},
         false},
        {"an algorithm twice in the entry, equal", {DIGESTS(sha256_a)}, {DIGESTS(twice_aa)}, false},
        {"an empty list of digests", {.present = ATLS_MVAL_DIGESTS}, {DIGESTS(sha256_a)}, false},
        {"a masked value is not one value",
         {RAW("ab")},
         {RAW("ab"), .mask = TEXT("\xff\xff")},
         false},
        {"an empty mask on an empty value", {RAW(""), .mask = TEXT("")}, {RAW("")}, true},
        {"equal MAC", {MEMBER(MAC, mac, "123456")}, {MEMBER(MAC, mac, "123456")}, true},
        {"another MAC", {MEMBER(MAC, mac, "123456")}, {MEMBER(MAC, mac, "123457")}, false},
        {"MAC absent", {MEMBER(MAC, mac, "123456")}, {MEMBER(SERIAL, serial, "123456")}, false},
        {"equal IP", {MEMBER(IP, ip, "1234")}, {MEMBER(IP, ip, "1234")}, true},
        {"another IP", {MEMBER(IP, ip, "1234")}, {MEMBER(IP, ip, "1235")}, false},
        {"IP absent", {MEMBER(IP, ip, "1234")}, {MEMBER(MAC, mac, "1234")}, false},
        {"equal serial", {MEMBER(SERIAL, serial, "s")}, {MEMBER(SERIAL, serial, "s")}, true},
        {"another serial", {MEMBER(SERIAL, serial, "s")}, {MEMBER(SERIAL, serial, "t")}, false},
        {"serial absent", {MEMBER(SERIAL, serial, "s")}, {MEMBER(NAME, name, "s")}, false},
        {"equal UEID", {MEMBER(UEID, ueid, "1234567")}, {MEMBER(UEID, ueid, "1234567")}, true},
        {"another UEID", {MEMBER(UEID, ueid, "1234567")}, {MEMBER(UEID, ueid, "1234568")}, false},
        {"UEID absent", {MEMBER(UEID, ueid, "1234567")}, {MEMBER(UUID, uuid, "1234567")}, false},
        {"equal UUID", {MEMBER(UUID, uuid, "u")}, {MEMBER(UUID, uuid, "u")}, true},
        {"another UUID", {MEMBER(UUID, uuid, "u")}, {MEMBER(UUID, uuid, "v")}, false},
        {"UUID absent", {MEMBER(UUID, uuid, "u")}, {MEMBER(UEID, ueid, "u")}, false},
        {"equal keys", {KEYS(keys_ab)}, {KEYS(keys_ab)}, true},
        {"keys in another order", {KEYS(keys_ab)}, {KEYS(keys_ba)}, false},
        {"fewer keys than the entry", {KEYS(keys_a)}, {KEYS(keys_ab)}, false},
        {"more keys than the entry", {KEYS(keys_ab)}, {KEYS(keys_a)}, false},
        {"a key of another tag", {KEYS(keys_a)}, {KEYS(keys_a_as_der)}, false},
        {"a key of other content", {KEYS(keys_a)}, {KEYS(keys_b)}, false},
        {"keys absent", {KEYS(keys_a)}, {RAW("a")}, false},
        {"equal register", {REGISTERS(register_0_a)}, {REGISTERS(register_0_a)}, true},
        {"entry has a further register",
         {REGISTERS(register_0_a)},
         {REGISTERS(registers_0_s)},
         true},
        {"condition has a further register",
         {REGISTERS(registers_0_s)},
         {REGISTERS(register_0_a)},
         false},
        {"register of other digest", {REGISTERS(register_0_a)}, {REGISTERS(register_0_b)}, false},
        {"register of another number", {REGISTERS(register_1_a)}, {REGISTERS(register_0_a)}, false},
        {"register of another name", {REGISTERS(register_s_a)}, {REGISTERS(register_t_a)}, false},
        {"register by name and by number",
         {REGISTERS(register_s_a)},
         {REGISTERS(register_0_a)},
         false},
        {"register of another algorithm",
         {REGISTERS(register_0_a)},
         {REGISTERS(register_0_384)},
         false},
        {"registers absent", {REGISTERS(register_0_a)}, {DIGESTS(sha256_a)}, false},
        {"no register at all", {.present = ATLS_MVAL_REGISTERS}, {REGISTERS(register_0_a)}, false},
        {"equal integer", {INTEGER(5)}, {INTEGER(5)}, true},
        {"another integer", {INTEGER(5)}, {INTEGER(6)}, false},
        {"integer absent", {INTEGER(0)}, {.present = ATLS_MVAL_SVN}, false},
        {"integer in the range", {RANGE(true, -5, true, 5)}, {INTEGER(-5)}, true},
        {"integer at the upper end", {RANGE(true, -5, true, 5)}, {INTEGER(5)}, true},
        {"integer below the range", {RANGE(true, -5, true, 5)}, {INTEGER(-6)}, false},
        {"integer above the range", {RANGE(true, -5, true, 5)}, {INTEGER(6)}, false},
        {"range without lower bound", {RANGE(false, 0, true, 5)}, {INTEGER(INT64_MIN)}, true},
        {"range without upper bound", {RANGE(true, 5, false, 0)}, {INTEGER(INT64_MAX)}, true},
        {"range within the range", {RANGE(true, 0, true, 9)}, {RANGE(true, 0, true, 9)}, true},
        {"range beyond the range", {RANGE(true, 0, true, 9)}, {RANGE(true, 0, true, 10)}, false},
        {"unbounded below where a bound is asked for",
         {RANGE(true, 0, true, 9)},
         {RANGE(false, 5, true, 9)},
         false},
        {"unbounded above where a bound is asked for",
         {RANGE(true, 0, true, 9)},
         {RANGE(true, 0, false, 5)},
         false},
        {"range of one integer where it is asked for",
         {INTEGER(5)},
         {RANGE(true, 5, true, 5)},
         true},
        {"range where an integer is asked for", {INTEGER(5)}, {RANGE(true, 5, true, 6)}, false},
        {"equal extension", {EXTENSIONS(extension_100_a)}, {EXTENSIONS(extension_100_a)}, true},
        {"another extension", {EXTENSIONS(extension_100_a)}, {EXTENSIONS(extension_100_b)}, false},
        {"entry has a further extension",
         {EXTENSIONS(extension_100_a)},
         {EXTENSIONS(extensions_2)},
         true},
        {"condition has a further extension",
         {EXTENSIONS(extensions_2)},
         {EXTENSIONS(extension_100_a)},
         false},
        {"extension of another number",
         {EXTENSIONS(extension_m1_a)},
         {EXTENSIONS(extension_100_a)},
         false},
        {"an extension that no profile defines",
         {EXTENSIONS(extension_m1_a)},
         {EXTENSIONS(extension_m1_a)},
         false},
        {"extensions absent", {EXTENSIONS(extension_100_a)}, {RAW("a")}, false},
        {"no extension at all",
         {.present = ATLS_MVAL_EXTENSIONS},
         {EXTENSIONS(extension_100_a)},
         false},
        {"a member that this build does not know",
         {.present = 1u << 17 | ATLS_MVAL_SVN, .svn = 1},
         {.present = 1u << 17 | ATLS_MVAL_SVN, .svn = 1},
         false},
        {"several members, all equal",
         {.present = ATLS_MVAL_SVN | ATLS_MVAL_NAME, .svn = 1, .name = TEXT("n")},
         {.present = ATLS_MVAL_SVN | ATLS_MVAL_NAME | ATLS_MVAL_RAW, .svn = 1, .name = TEXT("n")},
         true},
        {"several members, one differs",
         {.present = ATLS_MVAL_SVN | ATLS_MVAL_NAME, .svn = 1, .name = TEXT("n")},
         {.present = ATLS_MVAL_SVN | ATLS_MVAL_NAME, .svn = 2, .name = TEXT("n")},
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

/* What a value that vouches for a part of a claim answers for. */
static void vouching(void **state)
{
    static const struct {
        const char *name;
        struct atls_mval vouched, condition;
        bool want;
    } rows[] = {
        {"the member that is named", {DIGESTS(sha256_a)}, {DIGESTS(sha256_a)}, true},
        {"another member", {DIGESTS(sha256_a)}, {.present = ATLS_MVAL_SVN, .svn = 1}, false},
        {"a further member",
         {DIGESTS(sha256_a)},
         {.present = ATLS_MVAL_DIGESTS | ATLS_MVAL_SVN, .digests = sha256_a, .digest_count = 1},
         false},
        {"another bank", {DIGESTS(sha256_a)}, {DIGESTS(sha384_a)}, false},
        {"one bank of two", {DIGESTS(both_ab)}, {DIGESTS(sha256_a)}, true},
        {"an svn by its minimum",
         {.present = ATLS_MVAL_MIN_SVN, .svn = 1},
         {.present = ATLS_MVAL_SVN, .svn = 4},
         true},
        {"another flag",
         {.present = ATLS_MVAL_FLAGS, .flags_known = 1},
         {.present = ATLS_MVAL_FLAGS, .flags_known = 2},
         false},
        {"the flag that is named",
         {.present = ATLS_MVAL_FLAGS, .flags_known = 3},
         {.present = ATLS_MVAL_FLAGS, .flags_known = 2},
         true},
        {"another register", {REGISTERS(register_0_a)}, {REGISTERS(register_s_a)}, false},
        {"the register that is named", {REGISTERS(registers_0_s)}, {REGISTERS(register_0_a)}, true},
        {"a bit outside the mask", {RAW("ab"), .mask = TEXT("\xff\x00")}, {RAW("ab")}, false},
        {"a mask of more bits",
         {RAW("ab"), .mask = TEXT("\xff\x00")},
         {RAW("ab"), .mask = TEXT("\xff\x01")},
         false},
        {"a mask of fewer bits",
         {RAW("ab"), .mask = TEXT("\xff\x01")},
         {RAW("ab"), .mask = TEXT("\x0f\x01")},
         true},
        {"another extension", {EXTENSIONS(extension_100_a)}, {EXTENSIONS(extension_m1_a)}, false},
        {"the extension that is named",
         {EXTENSIONS(extensions_2)},
         {EXTENSIONS(extension_100_a)},
         true},
        {"a version scheme that was not named",
         {.present = ATLS_MVAL_VERSION, .version = TEXT("1")},
         {.present = ATLS_MVAL_VERSION, .version = TEXT("1"), .version_scheme = TEXT("\x01")},
         false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        print_message("%s\n", rows[i].name);
        assert_int_equal(atls_mval_vouched(&rows[i].vouched, &rows[i].condition), rows[i].want);
    }
}

static void relations(void **state)
{
    static const struct {
        const char *name;
        struct atls_mval a, b;
        enum atls_mval_relation want;
        bool within; /* a within b */
    } rows[] = {
        {"nothing in common",
         {DIGESTS(sha256_a)},
         {.present = ATLS_MVAL_SVN},
         ATLS_MVAL_UNRELATED,
         false},
        {"equal digests", {DIGESTS(sha256_a)}, {DIGESTS(sha256_a)}, ATLS_MVAL_AGREE, true},
        {"other digests", {DIGESTS(sha256_a)}, {DIGESTS(sha256_b)}, ATLS_MVAL_DIFFER, false},
        {"other banks", {DIGESTS(sha256_a)}, {DIGESTS(sha384_a)}, ATLS_MVAL_UNRELATED, false},
        {"a bank of two", {DIGESTS(sha256_a)}, {DIGESTS(both_ab)}, ATLS_MVAL_AGREE, true},
        {"two banks where there is one",
         {DIGESTS(both_ab)},
         {DIGESTS(sha256_a)},
         ATLS_MVAL_AGREE,
         false},
        {"a member of two",
         {.present = ATLS_MVAL_SVN, .svn = 1},
         {.present = ATLS_MVAL_SVN | ATLS_MVAL_NAME, .svn = 1, .name = TEXT("n")},
         ATLS_MVAL_AGREE,
         true},
        {"one of two members differs",
         {.present = ATLS_MVAL_SVN | ATLS_MVAL_NAME, .svn = 2, .name = TEXT("n")},
         {.present = ATLS_MVAL_SVN | ATLS_MVAL_NAME, .svn = 1, .name = TEXT("n")},
         ATLS_MVAL_DIFFER,
         false},
        {"a minimum and what reaches it",
         {.present = ATLS_MVAL_MIN_SVN, .svn = 1},
         {.present = ATLS_MVAL_SVN, .svn = 4},
         ATLS_MVAL_AGREE,
         false},
        {"a minimum and what does not",
         {.present = ATLS_MVAL_SVN, .svn = 4},
         {.present = ATLS_MVAL_MIN_SVN, .svn = 5},
         ATLS_MVAL_DIFFER,
         false},
        {"other flags",
         {.present = ATLS_MVAL_FLAGS, .flags_known = 1, .flags = 1},
         {.present = ATLS_MVAL_FLAGS, .flags_known = 2},
         ATLS_MVAL_UNRELATED,
         false},
        {"a flag of two",
         {.present = ATLS_MVAL_FLAGS, .flags_known = 1, .flags = 1},
         {.present = ATLS_MVAL_FLAGS, .flags_known = 3, .flags = 3},
         ATLS_MVAL_AGREE,
         true},
        {"a flag otherwise",
         {.present = ATLS_MVAL_FLAGS, .flags_known = 1, .flags = 1},
         {.present = ATLS_MVAL_FLAGS, .flags_known = 1},
         ATLS_MVAL_DIFFER,
         false},
        {"other registers",
         {REGISTERS(register_0_a)},
         {REGISTERS(register_s_a)},
         ATLS_MVAL_UNRELATED,
         false},
        {"a register of two",
         {REGISTERS(register_0_a)},
         {REGISTERS(registers_0_s)},
         ATLS_MVAL_AGREE,
         true},
        {"a register otherwise",
         {REGISTERS(register_0_a)},
         {REGISTERS(register_0_b)},
         ATLS_MVAL_DIFFER,
         false},
        {"extensions of other numbers",
         {EXTENSIONS(extension_100_a)},
         {EXTENSIONS(extension_m1_a)},
         ATLS_MVAL_UNRELATED,
         false},
        {"an extension of two",
         {EXTENSIONS(extension_100_a)},
         {EXTENSIONS(extensions_2)},
         ATLS_MVAL_AGREE,
         true},
        {"an extension otherwise",
         {EXTENSIONS(extension_100_a)},
         {EXTENSIONS(extension_100_b)},
         ATLS_MVAL_DIFFER,
         false},
        {"an expression and what satisfies it",
         {EXTENSIONS(extension_100_more)},
         {EXTENSIONS(extension_100_6)},
         ATLS_MVAL_AGREE,
         false},
        {"equal expressions",
         {EXTENSIONS(extension_100_more)},
         {EXTENSIONS(extension_100_more)},
         ATLS_MVAL_AGREE,
         true},
        {"raw values that differ outside a mask",
         {RAW("ab"), .mask = TEXT("\xff\x00")},
         {RAW("ac")},
         ATLS_MVAL_AGREE,
         false},
        {"raw values that differ inside it",
         {RAW("ab")},
         {RAW("ac"), .mask = TEXT("\xff\x01")},
         ATLS_MVAL_DIFFER,
         false},
        {"raw values of other lengths", {RAW("ab")}, {RAW("abc")}, ATLS_MVAL_DIFFER, false},
        {"equal masked values",
         {RAW("ab"), .mask = TEXT("\xff\x00")},
         {RAW("ab"), .mask = TEXT("\xff\x00")},
         ATLS_MVAL_AGREE,
         true},
        {"an integer of a range", {INTEGER(1)}, {RANGE(true, 0, true, 1)}, ATLS_MVAL_AGREE, false},
        {"equal ranges",
         {RANGE(true, 0, false, 0)},
         {RANGE(true, 0, false, 1)},
         ATLS_MVAL_AGREE,
         true},
        {"an integer outside a range",
         {INTEGER(2)},
         {RANGE(true, 0, true, 1)},
         ATLS_MVAL_DIFFER,
         false},
        {"equal names",
         {MEMBER(NAME, name, "n")},
         {MEMBER(NAME, name, "n")},
         ATLS_MVAL_AGREE,
         true},
        {"what nobody can compare",
         {.present = ATLS_MVAL_OTHER},
         {.present = ATLS_MVAL_OTHER},
         ATLS_MVAL_DIFFER,
         false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        print_message("%s\n", rows[i].name);
        assert_int_equal(atls_mval_relate(&rows[i].a, &rows[i].b), rows[i].want);
        assert_int_equal(atls_mval_relate(&rows[i].b, &rows[i].a), rows[i].want);
        assert_int_equal(atls_mval_within(&rows[i].a, &rows[i].b), rows[i].within);
    }
}

/* Text of CBOR in rows. */
#define NUMBER(op, n) TEXT("\xd9\xea\x6a\x82" op n)
#define SET_OF_DIGESTS                                                                             \
    "\x82\x82\x01\x42"                                                                             \
    "aa"                                                                                           \
    "\x82\x01\x42"                                                                                 \
    "bb"
#define SET_OF_TEXTS                                                                               \
    "\x82\x61"                                                                                     \
    "a"                                                                                            \
    "\x61"                                                                                         \
    "b"
#define DIGEST(alg, value) TEXT("\x82" alg "\x42" value)

static void expressions(void **state)
{
    static const struct {
        const char *name;
        struct atls_bytes condition, actual;
        bool want;
    } rows[] = {
        {"equal items", TEXT("\x05"), TEXT("\x05"), true},
        {"other items", TEXT("\x05"), TEXT("\x06"), false},
        {"a tag that is no expression", TEXT("\xd9\x02\x28\x05"), TEXT("\xd9\x02\x28\x05"), true},
        {"= holds", NUMBER("\x00", "\x05"), TEXT("\x05"), true},
        {"= does not", NUMBER("\x00", "\x05"), TEXT("\x06"), false},
        {"> holds", NUMBER("\x01", "\x05"), TEXT("\x06"), true},
        {"> does not", NUMBER("\x01", "\x05"), TEXT("\x05"), false},
        {">= holds", NUMBER("\x02", "\x05"), TEXT("\x05"), true},
        {">= does not", NUMBER("\x02", "\x05"), TEXT("\x04"), false},
        {"< holds", NUMBER("\x03", "\x05"), TEXT("\x24"), true},
        {"< does not", NUMBER("\x03", "\x05"), TEXT("\x05"), false},
        {"<= holds", NUMBER("\x04", "\x05"), TEXT("\x05"), true},
        {"<= does not", NUMBER("\x04", "\x05"), TEXT("\x06"), false},
        {"an operator that is none of numbers", NUMBER("\x06", "\x05"), TEXT("\x05"), false},
        {"a number where text is", NUMBER("\x00", "\x05"), TEXT("\x61\x35"), false},
        {"a number and more", NUMBER("\x00", "\x05"), TEXT("\x05\x05"), false},
        {"no number in the expression", NUMBER("\x00", "\xf6"), TEXT("\x05"), false},
        {"bytes behind the expression", NUMBER("\x00", "\x05\x05"), TEXT("\x05"), false},
        {"three members in the expression", TEXT("\xd9\xea\x6a\x83\x00\x05\x05"), TEXT("\x05"),
         false},
        {"an operator that is not a number", NUMBER("\x20", "\x05"), TEXT("\x05"), false},
        {"an expression cut short", TEXT("\xd9\xea\x6a\x82\x00"), TEXT("\x05"), false},
        {"digest of the set", TEXT("\xd9\xea\x74\x82\x06" SET_OF_DIGESTS), DIGEST("\x01", "bb"),
         true},
        {"digest not of the set", TEXT("\xd9\xea\x74\x82\x06" SET_OF_DIGESTS), DIGEST("\x01", "cc"),
         false},
        {"digest outside the set", TEXT("\xd9\xea\x74\x82\x07" SET_OF_DIGESTS),
         DIGEST("\x01", "cc"), true},
        {"digest not outside the set", TEXT("\xd9\xea\x74\x82\x07" SET_OF_DIGESTS),
         DIGEST("\x01", "aa"), false},
        {"another algorithm is not outside", TEXT("\xd9\xea\x74\x82\x07" SET_OF_DIGESTS),
         DIGEST("\x07", "cc"), false},
        {"text where a digest is asked for", TEXT("\xd9\xea\x74\x82\x07" SET_OF_DIGESTS),
         TEXT("\x61\x63"), false},
        {"text of the set", TEXT("\xd9\xea\x75\x82\x06" SET_OF_TEXTS), TEXT("\x61\x61"), true},
        {"text not of the set", TEXT("\xd9\xea\x75\x82\x06" SET_OF_TEXTS), TEXT("\x61\x63"), false},
        {"text outside the set", TEXT("\xd9\xea\x75\x82\x07" SET_OF_TEXTS), TEXT("\x61\x63"), true},
        {"text not outside the set", TEXT("\xd9\xea\x75\x82\x07" SET_OF_TEXTS), TEXT("\x61\x62"),
         false},
        {"a number where text is asked for", TEXT("\xd9\xea\x75\x82\x07" SET_OF_TEXTS),
         TEXT("\x05"), false},
        {"an operator that is none of sets", TEXT("\xd9\xea\x75\x82\x00" SET_OF_TEXTS),
         TEXT("\x61\x61"), false},
        {"no set in the expression", TEXT("\xd9\xea\x75\x82\x06\x61\x61"), TEXT("\x61\x61"), false},
        {"outside an empty set", TEXT("\xd9\xea\x75\x82\x07\x80"), TEXT("\x61\x61"), false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        print_message("%s\n", rows[i].name);
        assert_int_equal(atls_extension_holds(rows[i].condition, rows[i].actual), rows[i].want);
    }
}

static void equal_environments(void **state)
{
    const struct atls_environment class = {.class_id = TEXT("c")},
                                  instance = {.class_id = TEXT("c"), .instance = TEXT("i")};

    (void)state;
    assert_true(atls_environment_equal(&class, &class));
    assert_true(atls_environment_matches(&class, &instance));
    assert_false(atls_environment_equal(&class, &instance));
    assert_false(atls_environment_equal(&instance, &class));
}

#define SNP_CLASS(kind) TEXT("\xd8\x6f\x49\x2b\x06\x01\x04\x01\x9c\x78\x03" kind)

static void forms_of_svns(void **state)
{
    static const struct atls_environment vcek = {.class_id = SNP_CLASS("\x01")},
                                         vlek = {.class_id = SNP_CLASS("\x02")},
                                         longer = {.class_id = SNP_CLASS("\x01\x01")},
                                         other = {.class_id = TEXT("c")},
                                         none = {.group = TEXT("")};

    (void)state;
    assert_int_equal(atls_svn_form_of("tpm", &vcek), ATLS_SVN_SNP_TCB);
    assert_int_equal(atls_svn_form_of("tpm", &vlek), ATLS_SVN_SNP_TCB);
    assert_int_equal(atls_svn_form_of("snp", &other), ATLS_SVN_SNP_TCB);
    assert_int_equal(atls_svn_form_of("snp", &none), ATLS_SVN_SNP_TCB);
    assert_int_equal(atls_svn_form_of("tpm", &longer), ATLS_SVN_NUMBER);
    assert_int_equal(atls_svn_form_of("tpm", &other), ATLS_SVN_NUMBER);
    assert_int_equal(atls_svn_form_of("tpm", &none), ATLS_SVN_NUMBER);
}

static void tcbs_hold_component_by_component(void **state)
{
    static const struct {
        const char *name;
        enum atls_svn_form form;
        uint64_t mkey;
        unsigned int condition, actual; /* members present */
        uint64_t wanted, found;
        bool want;
    } rows[] = {
        {"equal", ATLS_SVN_SNP_TCB, 647, ATLS_MVAL_SVN, ATLS_MVAL_SVN, 0x4800000000000203,
         0x4800000000000203, true},
        {"every component newer", ATLS_SVN_SNP_TCB, 647, ATLS_MVAL_MIN_SVN, ATLS_MVAL_SVN,
         0x4800000000000203, 0x4900000000000304, true},
        {"newer, of an exact value", ATLS_SVN_SNP_TCB, 6, ATLS_MVAL_SVN, ATLS_MVAL_SVN, 0x0203,
         0x0204, true},
        {"the lowest component older, the highest newer", ATLS_SVN_SNP_TCB, 3329, ATLS_MVAL_MIN_SVN,
         ATLS_MVAL_SVN, 0x4800000000000203, 0xff00000000000202, false},
        {"the same, of an exact value", ATLS_SVN_SNP_TCB, 3968, ATLS_MVAL_SVN, ATLS_MVAL_SVN,
         0x4800000000000203, 0xff00000000000202, false},
        {"the highest component older", ATLS_SVN_SNP_TCB, 647, ATLS_MVAL_MIN_SVN, ATLS_MVAL_SVN,
         0x4800000000000203, 0x47ffffffffffffff, false},
        {"evidence that is only a minimum", ATLS_SVN_SNP_TCB, 647, ATLS_MVAL_MIN_SVN,
         ATLS_MVAL_MIN_SVN, 1, 1, false},
        {"evidence without a number", ATLS_SVN_SNP_TCB, 647, ATLS_MVAL_SVN, ATLS_MVAL_NAME, 0, 0,
         false},
        {"another measurement: a number", ATLS_SVN_SNP_TCB, 1, ATLS_MVAL_MIN_SVN, ATLS_MVAL_SVN,
         0x0203, 0x0300, true},
        {"another measurement, equality", ATLS_SVN_SNP_TCB, 1, ATLS_MVAL_SVN, ATLS_MVAL_SVN, 2, 3,
         false},
        {"another attester: a number", ATLS_SVN_NUMBER, 647, ATLS_MVAL_MIN_SVN, ATLS_MVAL_SVN,
         0x0203, 0x0300, true},
        {"with a name that differs", ATLS_SVN_SNP_TCB, 647, ATLS_MVAL_SVN | ATLS_MVAL_NAME,
         ATLS_MVAL_SVN | ATLS_MVAL_NAME, 1, 1, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct atls_mkey mkey = {ATLS_MKEY_UINT, rows[i].mkey, {NULL, 0}};
        const struct atls_measurement condition = {
            .mkey = mkey,
            .mval = {.present = rows[i].condition, .svn = rows[i].wanted, .name = TEXT("a")}};
        const struct atls_measurement actual = {
            .mkey = mkey,
            .mval = {.present = rows[i].actual, .svn = rows[i].found, .name = TEXT("b")}};

        print_message("%s\n", rows[i].name);
        assert_int_equal(atls_measurement_holds(rows[i].form, &condition, &actual), rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(environments),
        cmocka_unit_test(keys),
        cmocka_unit_test(values),
        cmocka_unit_test(vouching),
        cmocka_unit_test(relations),
        cmocka_unit_test(expressions),
        cmocka_unit_test(equal_environments),
        cmocka_unit_test(forms_of_svns),
        cmocka_unit_test(tcbs_hold_component_by_component),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
