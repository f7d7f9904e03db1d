#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include <atls/limits.h>

#include "core/writer.h"
#include "wire/ear_cbor.h"

/* Claims sets put together of pieces: indefinite lengths, so that nothing has to be counted. */
/* clang-format off */
#define MAP       "\xbf"
#define END       "\xff"
#define P23       "\x19\x01\x09\x78\x20" "tag:github.com,2023:veraison/ear"
#define P02       "\x19\x01\x09\x78\x18" "tag:ietf.org,2025-07:ear"
#define P03       "\x19\x01\x09\x78\x1d" "tag:ietf.org,2026:rats/ear#03"
#define P04       "\x19\x01\x09\x78\x1d" "tag:ietf.org,2026:rats/ear#04"
#define IAT       "\x06\x18\x64"
#define VID       "\x19\x03\xec\xa2\x00\x61" "d" "\x01\x61" "b"
#define HEAD      P04 IAT VID
#define STATUS(v) "\x19\x03\xe8" v
#define GOOD      STATUS("\x02")
#define SUBMODS   "\x19\x01\x0a" MAP
#define SUB(more) SUBMODS "\x61" "a" MAP more END END
#define TOP(more) MAP HEAD SUB(GOOD) more END
/* A claims set of -04 with one submodule of these members. */
#define ONE(more)       MAP HEAD SUB(more) END
#define VECTOR(s, more) ONE(STATUS(s) "\x19\x03\xe9" MAP more END)
#define POLICY(item)    "\x19\x03\xeb" item
#define KEY(item)       "\x3a\x00\x01\x11\x71" item
#define AKPUB(bytes)    KEY("\xa1\x65" "akpub" bytes)
#define SPKI            "\x4c\x30\x0a\x30\x04\x06\x02\x2a\x03\x03\x02\x00\x42"
#define ATTESTER(item)  "\x19\x03\xed" item
#define VERIFIER(item)  "\x19\x03\xee" item
#define ANNOTATED(item) "\x3a\x00\x01\x11\x6f" item
#define NONCE8          "\x48" "12345678"
/* clang-format on */

struct row {
    const char *name;
    struct atls_bytes cbor;
    enum atls_code want;
    const char *text; /* in the error */
};

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_ear ear;

        print_message("%s\n", rows[i].name);
        test_assert_code(atls_ear_cbor_decode(rows[i].cbor, &ear, &err), rows[i].want, &err);
        if (rows[i].want == ATLS_OK)
            atls_ear_clear(&ear);
        else if (rows[i].text != NULL && strstr(err.message, rows[i].text) == NULL)
            fail_msg("\"%s\" lacks \"%s\"", err.message, rows[i].text);
    }
}

/* clang-format off */
static void claims_of_the_top(void **state)
{
    static const struct row rows[] = {
        {"smallest of 2023", HEX(MAP P23 IAT VID SUB(GOOD) END), ATLS_OK, NULL},
        {"smallest of -02", HEX(MAP P02 IAT VID SUB(GOOD) END), ATLS_OK, NULL},
        {"smallest of -03", HEX(MAP P03 IAT VID SUB(GOOD) END), ATLS_OK, NULL},
        {"smallest of -04", HEX(TOP("")), ATLS_OK, NULL},
        {"unknown claims are ignored", HEX(TOP("\x01\x61" "i" "\x63" "abc" "\x80")), ATLS_OK, NULL},

        {"no map", HEX("\x80"), ATLS_E_DECODE, "claims set"},
        {"no profile", HEX(MAP IAT VID SUB(GOOD) END), ATLS_E_DECODE, "eat_profile"},
        {"profile as bytes", HEX(MAP "\x19\x01\x09\x41" "a" IAT VID SUB(GOOD) END), ATLS_E_DECODE,
         "eat_profile"},
        {"unknown profile", HEX(MAP "\x19\x01\x09\x61" "x" IAT VID SUB(GOOD) END),
         ATLS_E_UNSUPPORTED, "\"x\""},
        {"no iat", HEX(MAP P04 VID SUB(GOOD) END), ATLS_E_DECODE, "iat"},
        {"iat as float", HEX(MAP P04 "\x06\xf9\x3c\x00" VID SUB(GOOD) END), ATLS_E_DECODE, "iat"},
        {"iat as text", HEX(MAP P04 "\x06\x61" "1" VID SUB(GOOD) END), ATLS_E_DECODE, "iat"},
        {"iat with a tag", HEX(MAP P04 "\x06\xc1\x01" VID SUB(GOOD) END), ATLS_E_DECODE, "iat"},
        {"iat negative", HEX(MAP P04 "\x06\x20" VID SUB(GOOD) END), ATLS_E_DECODE, "iat"},
        {"iat 0", HEX(MAP P04 "\x06\x00" VID SUB(GOOD) END), ATLS_OK, NULL},
        {"iat beyond 63 bits",
         HEX(MAP P04 "\x06\x1b\x80\x00\x00\x00\x00\x00\x00\x00" VID SUB(GOOD) END), ATLS_E_DECODE,
         "iat"},
        {"exp at iat", HEX(TOP("\x04\x18\x64")), ATLS_OK, NULL},
        {"exp before iat", HEX(TOP("\x04\x18\x63")), ATLS_E_DECODE, "exp"},
        {"exp as text", HEX(TOP("\x04\x61" "1")), ATLS_E_DECODE, "exp"},
        {"nbf as null", HEX(TOP("\x05\xf6")), ATLS_E_DECODE, "nbf"},
        {"claim twice", HEX(TOP("\x04\x18\x64\x04\x18\x64")), ATLS_E_DECODE, NULL},
        {"key in a longer form", HEX(MAP P04 "\x18\x06\x18\x64" VID SUB(GOOD) END), ATLS_E_DECODE,
         NULL},

        {"nonce", HEX(TOP("\x0a" NONCE8)), ATLS_OK, NULL},
        {"two nonces", HEX(TOP("\x0a\x82" NONCE8 NONCE8)), ATLS_OK, NULL},
        {"nonce of 7 bytes", HEX(TOP("\x0a\x47" "1234567")), ATLS_E_DECODE, "eat_nonce"},
        {"nonce of 65 bytes", HEX(TOP("\x0a\x58\x41" "1234567890123456789012345678901234567890"
                                      "1234567890123456789012345")), ATLS_E_DECODE, "eat_nonce"},
        {"nonce as text", HEX(TOP("\x0a\x68" "12345678")), ATLS_E_DECODE, "eat_nonce"},
        {"array of one nonce", HEX(TOP("\x0a\x81" NONCE8)), ATLS_E_DECODE, "fewer than 2"},
        {"array of no nonce", HEX(TOP("\x0a\x80")), ATLS_E_DECODE, "fewer than 2"},
        {"five nonces", HEX(TOP("\x0a\x85" NONCE8 NONCE8 NONCE8 NONCE8 NONCE8)), ATLS_E_DECODE,
         "too many"},

        {"no verifier", HEX(MAP P04 IAT SUB(GOOD) END), ATLS_E_DECODE, "ear_verifier_id"},
        {"verifier as text", HEX(MAP P04 IAT "\x19\x03\xec\x61" "d" SUB(GOOD) END), ATLS_E_DECODE,
         "ear_verifier_id"},
        {"verifier without build", HEX(MAP P04 IAT "\x19\x03\xec\xa1\x00\x61" "d" SUB(GOOD) END),
         ATLS_E_DECODE, "build"},
        {"verifier without developer",
         HEX(MAP P04 IAT "\x19\x03\xec\xa1\x01\x61" "b" SUB(GOOD) END), ATLS_E_DECODE, "developer"},
        {"verifier by text keys",
         HEX(MAP P04 IAT "\x19\x03\xec\xa2\x69" "developer" "\x61" "d" "\x65" "build" "\x61" "b"
             SUB(GOOD) END), ATLS_E_DECODE, "developer"},
        {"empty developer", HEX(MAP P04 IAT "\x19\x03\xec\xa2\x00\x60\x01\x61" "b" SUB(GOOD) END),
         ATLS_E_DECODE, "developer"},

        {"text key of a registered claim", HEX(TOP("\x63" "exp" "\x18\x64")), ATLS_E_DECODE,
         "has a number"},
        {"text key of EAR", HEX(TOP("\x6a" "ear_status" "\x02")), ATLS_E_DECODE, "has a number"},
        {"text key of EAR, older", HEX(TOP("\x6a" "ear.status" "\x02")), ATLS_E_DECODE,
         "has a number"},
        {"text key in a submodule", HEX(ONE(GOOD "\x6a" "ear_status" "\x02")), ATLS_E_DECODE,
         "has a number"},

        {"no submods", HEX(MAP HEAD END), ATLS_E_DECODE, "submods"},
        {"empty submods", HEX(MAP HEAD SUBMODS END END), ATLS_E_DECODE, "submods"},
        {"submods as array", HEX(MAP HEAD "\x19\x01\x0a\x80" END), ATLS_E_DECODE, "submods"},
        {"label as number", HEX(MAP HEAD SUBMODS "\x01" MAP GOOD END END END), ATLS_E_DECODE,
         "label"},
        {"label with a NUL", HEX(MAP HEAD SUBMODS "\x62" "a\0" MAP GOOD END END END),
         ATLS_E_DECODE, "NUL"},
        {"empty label", HEX(MAP HEAD SUBMODS "\x60" MAP GOOD END END END), ATLS_OK, NULL},
        {"submodule that is no map", HEX(MAP HEAD SUBMODS "\x61" "a" "\x02" END END),
         ATLS_E_DECODE, "\"a\""},

        {"overall status", HEX(TOP(STATUS("\x02"))), ATLS_OK, NULL},
        {"overall status in -02", HEX(MAP P02 IAT VID SUB(GOOD) STATUS("\x02") END),
         ATLS_E_DECODE, "outside"},
        {"overall status of another number", HEX(TOP(STATUS("\x03"))), ATLS_E_DECODE, "0, 2"},
        {"overall status better than the worst",
         HEX(MAP HEAD SUB(STATUS("\x18\x20")) STATUS("\x02") END), ATLS_E_DECODE, "worst"},
        {"no overall statement", HEX(MAP HEAD SUB(STATUS("\x18\x20")) STATUS("\x00") END), ATLS_OK,
         NULL},

        {"cti", HEX(TOP("\x07\x41" "x")), ATLS_OK, NULL},
        {"cti as text", HEX(TOP("\x07\x61" "x")), ATLS_E_DECODE, "cti"},
        {"raw evidence of -04", HEX(TOP("\x19\x03\xea\x83\x19\x01\x07\x41" "x" "\x04")), ATLS_OK,
         NULL},
        {"raw evidence with a text type",
         HEX(TOP("\x19\x03\xea\x83\x63" "a/b" "\x41" "x" "\x04")), ATLS_OK, NULL},
        {"raw evidence of -04 as bytes", HEX(TOP("\x19\x03\xea\x41" "x")), ATLS_E_DECODE, NULL},
        {"raw evidence as collection",
         HEX(TOP("\x19\x03\xea\xa1\x61" "a" "\x82\x19\x01\x07\x41" "x")), ATLS_E_DECODE,
         "no record"},
        {"raw evidence of -03", HEX(MAP P03 IAT VID SUB(GOOD) "\x19\x03\xea\x41" "x" END), ATLS_OK,
         NULL},
        {"raw evidence of -03 as CMW",
         HEX(MAP P03 IAT VID SUB(GOOD) "\x19\x03\xea\x82\x19\x01\x07\x41" "x" END), ATLS_E_DECODE,
         "ear_raw_evidence"},
        {"topology", HEX(TOP("\x19\x03\xef\xa1\x61" "a" "\x81\x61" "b")), ATLS_OK, NULL},
        {"empty topology of -03", HEX(MAP P03 IAT VID SUB(GOOD) "\x19\x03\xef\xa0" END),
         ATLS_E_DECODE, "empty"},
        {"no topology in -02", HEX(MAP P02 IAT VID SUB(GOOD) "\x19\x03\xef\xa0" END), ATLS_OK,
         NULL},
        {"empty topology", HEX(TOP("\x19\x03\xef\xa0")), ATLS_E_DECODE, "empty"},
        {"topology as array", HEX(TOP("\x19\x03\xef\x80")), ATLS_E_DECODE, "topology"},
        {"topology of a number", HEX(TOP("\x19\x03\xef\xa1\x01\x81\x61" "b")), ATLS_E_DECODE,
         "topology"},
        {"topology with an empty list", HEX(TOP("\x19\x03\xef\xa1\x61" "a" "\x80")), ATLS_E_DECODE,
         "empty list"},
        {"topology with a number in its list", HEX(TOP("\x19\x03\xef\xa1\x61" "a" "\x81\x01")),
         ATLS_E_DECODE, "no text"},
    };

    (void)state;
    check_rows(rows, sizeof rows / sizeof rows[0]);
}

static void claims_of_a_submodule(void **state)
{
    static const struct row rows[] = {
        {"status none", HEX(ONE(STATUS("\x00"))), ATLS_OK, NULL},
        {"status warning", HEX(ONE(STATUS("\x18\x20"))), ATLS_OK, NULL},
        {"status contraindicated", HEX(ONE(STATUS("\x18\x60"))), ATLS_OK, NULL},
        {"status of no tier", HEX(ONE(STATUS("\x01"))), ATLS_E_DECODE, "ear_status"},
        {"status as text", HEX(ONE(STATUS("\x64" "none"))), ATLS_E_DECODE, "ear_status"},
        {"status negative", HEX(ONE(STATUS("\x21"))), ATLS_E_DECODE, "ear_status"},
        {"no status", HEX(ONE("")), ATLS_E_DECODE, "ear_status"},

        {"vector", HEX(VECTOR("\x02", "\x00\x02\x04\x21\x01\x00")), ATLS_OK, NULL},
        {"edges of the values", HEX(VECTOR("\x18\x60", "\x00\x18\x7f\x07\x38\x7f")), ATLS_OK, NULL},
        {"empty vector", HEX(VECTOR("\x02", "")), ATLS_E_DECODE, "empty"},
        {"vector as array", HEX(ONE(GOOD "\x19\x03\xe9\x81\x02")), ATLS_E_DECODE, "no map"},
        {"unknown claim", HEX(VECTOR("\x02", "\x08\x02")), ATLS_E_DECODE, "no claim of it"},
        {"negative claim", HEX(VECTOR("\x02", "\x20\x02")), ATLS_E_DECODE, "no claim of it"},
        {"claim by name", HEX(VECTOR("\x02", "\x68" "hardware" "\x02")), ATLS_E_DECODE,
         "no claim of it"},
        {"value too large", HEX(VECTOR("\x18\x60", "\x04\x18\x80")), ATLS_E_DECODE, "hardware"},
        {"value too small", HEX(VECTOR("\x18\x60", "\x04\x38\x80")), ATLS_E_DECODE, "hardware"},
        {"value as float", HEX(VECTOR("\x02", "\x04\xf9\x40\x00")), ATLS_E_DECODE, "hardware"},
        {"status better than a warning", HEX(VECTOR("\x02", "\x04\x18\x20")), ATLS_E_DECODE,
         "better"},
        {"no statement over a contraindication", HEX(VECTOR("\x00", "\x04\x18\x60")),
         ATLS_E_DECODE, "better"},
        {"status worse than the vector", HEX(VECTOR("\x18\x60", "\x04\x02")), ATLS_OK, NULL},

        {"policies", HEX(ONE(GOOD POLICY("\x82\x61" "p" "\x61" "q"))), ATLS_OK, NULL},
        {"empty list of policies", HEX(ONE(GOOD POLICY("\x80"))), ATLS_E_DECODE, "empty"},
        {"one policy where a list is due", HEX(ONE(GOOD POLICY("\x61" "p"))), ATLS_E_DECODE,
         "no list"},
        {"policy that is no text", HEX(ONE(GOOD POLICY("\x82\x61" "p" "\x01"))), ATLS_E_DECODE,
         "no text"},
        {"empty policy", HEX(ONE(GOOD POLICY("\x81\x60"))), ATLS_E_DECODE, "no text"},
        {"nine policies",
         HEX(ONE(GOOD POLICY("\x89\x61" "1\x61" "2\x61" "3\x61" "4\x61" "5\x61" "6\x61" "7\x61"
                             "8\x61" "9"))), ATLS_E_LIMIT, "policies"},
        {"policy of 2023", HEX(MAP P23 IAT VID SUB(GOOD POLICY("\x61" "p")) END), ATLS_OK, NULL},
        {"list where one policy is due",
         HEX(MAP P23 IAT VID SUB(GOOD POLICY("\x81\x61" "p")) END), ATLS_E_DECODE, "policy"},

        {"key", HEX(ONE(GOOD AKPUB(SPKI))), ATLS_OK, NULL},
        {"key by number", HEX(ONE(GOOD KEY("\xa1\x00" SPKI))), ATLS_OK, NULL},
        {"key by number and by name", HEX(ONE(GOOD KEY("\xa2\x00" SPKI "\x65" "akpub" SPKI))),
         ATLS_E_DECODE, "twice"},
        {"key among other members", HEX(ONE(GOOD KEY("\xa3\x01\x02\x41" "b" "\x02\x65" "akpub" SPKI))),
         ATLS_OK, NULL},
        {"no key", HEX(ONE(GOOD KEY("\xa1\x01\x02"))), ATLS_E_DECODE, "has no"},
        {"key attestation as array", HEX(ONE(GOOD KEY("\x80"))), ATLS_E_DECODE, "no map"},
        {"key as text", HEX(ONE(GOOD AKPUB("\x63" "abc"))), ATLS_E_DECODE, "akpub"},
        {"empty key", HEX(ONE(GOOD AKPUB("\x40"))), ATLS_E_DECODE, "akpub"},
        {"key that is no DER", HEX(ONE(GOOD AKPUB("\x43\x01\x02\x03"))), ATLS_E_DECODE, "akpub"},
        {"key with a byte behind it",
         HEX(ONE(GOOD AKPUB("\x4d\x30\x0a\x30\x04\x06\x02\x2a\x03\x03\x02\x00\x42\x00"))),
         ATLS_E_DECODE, "akpub"},

        {"claims of attester and verifier",
         HEX(ONE(GOOD ATTESTER("\xa1\x01\x02") VERIFIER("\xa1\x61" "a" "\xf5"))), ATLS_OK, NULL},
        {"empty attester claims", HEX(ONE(GOOD ATTESTER("\xa0"))), ATLS_E_DECODE,
         "ear_attester_claims"},
        {"verifier claims as text", HEX(ONE(GOOD VERIFIER("\x61" "a"))), ATLS_E_DECODE,
         "ear_verifier_claims"},
        {"empty annotated evidence of 2023", HEX(MAP P23 IAT VID SUB(GOOD ANNOTATED("\xa0")) END),
         ATLS_OK, NULL},
        {"annotated evidence of 2023 as text",
         HEX(MAP P23 IAT VID SUB(GOOD ANNOTATED("\x61" "a")) END), ATLS_OK, NULL},
        {"claim by a key of another type", HEX(ONE(GOOD ATTESTER("\xa1\x41" "a" "\x01"))),
         ATLS_E_DECODE, "neither a number nor text"},
        {"claim with a NUL in its name", HEX(ONE(GOOD ATTESTER("\xa1\x62" "a\0" "\x01"))),
         ATLS_E_DECODE, "neither a number nor text"},
        {"claim as a number and as text", HEX(ONE(GOOD ATTESTER("\xa2\x07\x01\x61" "7" "\x01"))),
         ATLS_E_DECODE, "as a number and as text"},
        {"number below -2^63",
         HEX(ONE(GOOD ATTESTER("\xa1\x01\x3b\xff\xff\xff\xff\xff\xff\xff\xff"))), ATLS_E_DECODE,
         "-2^63"},
    };

    (void)state;
    check_rows(rows, sizeof rows / sizeof rows[0]);
}

static void claims_become_a_tree(void **state)
{
    static const struct atls_bytes in = HEX(ONE(GOOD
        AKPUB(SPKI) POLICY("\x82\x61" "p" "\x61" "q")
        ATTESTER(MAP
            "\x01\x20"                                  /* 1: -1 */
            "\x20\x1b\xff\xff\xff\xff\xff\xff\xff\xff"  /* -1: 2^64 - 1 */
            "\x61" "t" "\xc0\x62" "ab"                  /* "t": 0("ab") */
            "\x61" "b" "\x42\x01\x02"                   /* "b": h'0102' */
            "\x61" "y" "\xf5\x61" "n" "\xf4\x61" "0" "\xf6\x61" "u" "\xf7"
            "\x61" "h" "\xf9\x3e\x00"                   /* 1.5 */
            "\x61" "s" "\xf9\x00\x01"                   /* 2^-24 */
            "\x61" "m" "\xf9\x80\x01"                   /* -2^-24 */
            "\x61" "i" "\xf9\xfc\x00"                   /* -infinity */
            "\x61" "f" "\xfa\x3f\xc0\x00\x00"           /* 1.5 */
            "\x61" "d" "\xfb\x3f\xf8\x00\x00\x00\x00\x00\x00"
            "\x61" "a" "\x82\x01\xa1\x61" "x" "\x80"    /* [1, {"x": []}] */
            END)));
    static const struct {
        const char *key;
        double want;
    } reals[] = {{"h", 1.5}, {"s", 1.0 / 16777216}, {"m", -1.0 / 16777216}, {"f", 1.5}, {"d", 1.5}};
    const struct atls_ear_value *c, *a;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ear ear;

    (void)state;
    test_assert_code(atls_ear_cbor_decode(in, &ear, &err), ATLS_OK, &err);
    c = &ear.submods[0].attester_claims;
    assert_int_equal(c->kind, ATLS_EAR_VALUE_OBJECT);
    assert_int_equal(atls_ear_value_get(c, "1")->u.integer, -1);
    assert_int_equal(atls_ear_value_get(c, "-1")->kind, ATLS_EAR_VALUE_UINT);
    assert_true(atls_ear_value_get(c, "-1")->u.large == UINT64_MAX);
    assert_int_equal(atls_ear_value_get(c, "t")->kind, ATLS_EAR_VALUE_TEXT);
    test_assert_bytes(atls_ear_value_get(c, "t")->bytes, atls_bytes_of("ab", 2));
    assert_int_equal(atls_ear_value_get(c, "b")->kind, ATLS_EAR_VALUE_BYTES);
    test_assert_bytes(atls_ear_value_get(c, "b")->bytes, atls_bytes_of("\1\2", 2));
    assert_true(atls_ear_value_get(c, "y")->u.boolean);
    assert_int_equal(atls_ear_value_get(c, "n")->kind, ATLS_EAR_VALUE_BOOL);
    assert_false(atls_ear_value_get(c, "n")->u.boolean);
    assert_int_equal(atls_ear_value_get(c, "0")->kind, ATLS_EAR_VALUE_NULL);
    assert_int_equal(atls_ear_value_get(c, "u")->kind, ATLS_EAR_VALUE_NULL);
    for (size_t i = 0; i < sizeof reals / sizeof reals[0]; i++) {
        assert_int_equal(atls_ear_value_get(c, reals[i].key)->kind, ATLS_EAR_VALUE_REAL);
        assert_true(atls_ear_value_get(c, reals[i].key)->u.real == reals[i].want);
    }
    assert_true(atls_ear_value_get(c, "i")->u.real < -1e308);
    a = atls_ear_value_get(c, "a");
    assert_int_equal(a->kind, ATLS_EAR_VALUE_ARRAY);
    assert_int_equal(a->count, 2);
    assert_null(a->items[0].key);
    assert_int_equal(a->items[0].u.integer, 1);
    assert_int_equal(atls_ear_value_get(&a->items[1], "x")->count, 0);
    assert_null(atls_ear_value_get(c, "absent"));
    assert_null(atls_ear_value_get(a, "x"));
    assert_null(atls_ear_value_get(NULL, "x"));
    assert_int_equal(ear.submods[0].verifier_claims.kind, ATLS_EAR_VALUE_NULL);
    assert_int_equal(ear.submods[0].policy_count, 2);
    test_assert_bytes(ear.submods[0].policy_ids[1], atls_bytes_of("q", 1));
    assert_int_equal(ear.submods[0].key.len, 12);
    atls_ear_clear(&ear);
}
/* clang-format on */

static void published_claims_sets(void **state)
{
    static const struct {
        const char *file;
        enum atls_tier status;
        int hardware;
    } rows[] = {
        {"ear/ear-cbor-1.cbor", ATLS_TIER_CONTRAINDICATED, 2},
        {"ear/ext-teep-cbor-1.cbor", ATLS_TIER_NONE, 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_vector(rows[i].file), longer = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_ear ear;

        test_assert_code(atls_ear_cbor_decode(atls_buf_bytes(&in), &ear, &err), ATLS_OK, &err);
        assert_int_equal(ear.version, ATLS_EAR_03);
        assert_int_equal(ear.issued_at_s, 1666529184);
        test_assert_bytes(ear.build, atls_bytes_of("vts 0.0.1", 9));
        test_assert_bytes(ear.raw_evidence, atls_bytes_of("lifeboatman", 11));
        assert_int_equal(ear.submod_count, 1);
        assert_string_equal((const char *)ear.submods[0].name.ptr, "PSA");
        assert_int_equal(ear.submods[0].status, rows[i].status);
        assert_int_equal(ear.submods[0].trust[ATLS_TRUST_HARDWARE], rows[i].hardware);
        assert_int_equal(ear.submods[0].policy_count, 1);
        atls_ear_clear(&ear);
        for (size_t len = 0; len < in.len; len++)
            assert_int_not_equal(atls_ear_cbor_decode(atls_bytes_of(in.ptr, len), &ear, NULL),
                                 ATLS_OK);
        longer.ptr = calloc(1, in.len + 1);
        assert_non_null(longer.ptr);
        memcpy(longer.ptr, in.ptr, in.len);
        longer.len = in.len + 1;
        test_assert_code(atls_ear_cbor_decode(atls_buf_bytes(&longer), &ear, &err), ATLS_E_DECODE,
                         &err);
        atls_buf_clear(&longer);
        atls_buf_clear(&in);
    }
}

/* The largest there may be, and one of everything more. */
static void limits_hold(void **state)
{
    static const char head[] = MAP HEAD SUBMODS;
    struct atls_writer w = atls_writer_init(2 * ATLS_EAR_MAX);
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t *big = calloc(1, ATLS_EAR_MAX + 1);
    struct atls_ear ear;

    (void)state;
    assert_non_null(big);
    test_assert_code(atls_ear_cbor_decode(atls_bytes_of(big, ATLS_EAR_MAX + 1), &ear, &err),
                     ATLS_E_LIMIT, &err);
    test_assert_code(atls_ear_cbor_decode(atls_bytes_of(big, 0), &ear, &err), ATLS_E_LIMIT, &err);
    free(big);
    for (size_t count = ATLS_EAR_SUBMODS_MAX; count <= ATLS_EAR_SUBMODS_MAX + 1; count++) {
        w.len = 0;
        atls_put_bytes(&w, atls_bytes_of(head, sizeof head - 1));
        for (size_t i = 0; i < count; i++) {
            atls_put_u8(&w, 0x61);
            atls_put_u8(&w, (uint8_t)('a' + i));
            atls_put_bytes(&w, atls_bytes_of("\xa1\x19\x03\xe8\x02", 5));
        }
        atls_put_text(&w, END END);
        test_assert_code(atls_ear_cbor_decode(atls_writer_bytes(&w), &ear, &err),
                         count <= ATLS_EAR_SUBMODS_MAX ? ATLS_OK : ATLS_E_LIMIT, &err);
        if (count <= ATLS_EAR_SUBMODS_MAX)
            atls_ear_clear(&ear);
    }
    for (size_t count = 1024; count <= 1025; count++) {
        w.len = 0;
        atls_put_bytes(&w, atls_bytes_of(head, sizeof head - 1));
        atls_put_bytes(&w, atls_bytes_of("\x61\x61\xbf\x19\x03\xe8\x02\x19\x03\xed\xbf", 11));
        for (size_t i = 0; i < count; i++) {
            atls_put_u8(&w, 0x19);
            atls_put_u16(&w, (uint16_t)(1000 + i));
            atls_put_u8(&w, 1);
        }
        atls_put_text(&w, END END END END);
        test_assert_code(atls_ear_cbor_decode(atls_writer_bytes(&w), &ear, &err),
                         count <= 1024 ? ATLS_OK : ATLS_E_LIMIT, &err);
        if (count <= 1024)
            atls_ear_clear(&ear);
    }
    atls_writer_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(claims_of_the_top),    cmocka_unit_test(claims_of_a_submodule),
        cmocka_unit_test(claims_become_a_tree), cmocka_unit_test(published_claims_sets),
        cmocka_unit_test(limits_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
