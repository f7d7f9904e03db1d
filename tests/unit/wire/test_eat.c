#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "wire/cbor.h"
#include "wire/eat.h"

#define A8       "1111111111111111"
#define A32      A8 A8 A8 A8
#define X32      "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
#define KEY      "a301012006215820" X32
#define SIGN1    "d28443a10126a041a04100"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define ARENA_MAX (1 << 20)

static enum atls_code decode(struct atls_bytes in, struct atls_arena *arena,
                             struct atls_eat_claims *out, struct atls_err *err)
{
    struct atls_buf copy;
    enum atls_code code;

    test_assert_code(atls_buf_copy(&copy, in, err), ATLS_OK, err);
    code = atls_eat_claims_decode(atls_buf_bytes(&copy), 0, arena, out, err);
    atls_buf_clear(&copy);
    return code;
}

static const struct {
    const char *name;
    const char *hex;
    enum atls_code want;
    const char *message;
} rows[] = {
    {"empty claims set", "a0", ATLS_OK, NULL},
    {"no map", "80", ATLS_E_DECODE, "no map"},
    {"trailing byte", "a000", ATLS_E_DECODE, "trailing"},
    {"map of indefinite length", "bf0100ff", ATLS_E_DECODE, "iss"},
    {"empty map of indefinite length", "bfff", ATLS_OK, NULL},
    {"key of bytes", "a1410100", ATLS_E_DECODE, "key is neither"},
    {"key true", "a1f500", ATLS_E_DECODE, "key is neither"},
    {"text in place of a registered key", "a1647565696400", ATLS_E_DECODE, "registered claim"},
    {"text key of nobody", "a16161f97e00", ATLS_OK, NULL},
    {"key twice", "a206010601", ATLS_E_DECODE, "duplicate"},
    {"key in a longer form", "a1180601", ATLS_E_DECODE, "shortest"},

    {"iss", "a1016161", ATLS_OK, NULL},
    {"iss bytes", "a1014161", ATLS_E_DECODE, "iss"},
    {"sub number", "a10200", ATLS_E_DECODE, "sub"},
    {"aud text", "a1036161", ATLS_OK, NULL},
    {"aud array",
     "a10382"
     "61616162",
     ATLS_OK, NULL},
    {"aud empty array", "a10380", ATLS_E_DECODE, "aud"},
    {"aud number", "a10300", ATLS_E_DECODE, "aud"},
    {"aud with a number", "a1038100", ATLS_E_DECODE, "aud"},
    {"exp 0", "a10400", ATLS_OK, NULL},
    {"exp negative", "a10420", ATLS_E_DECODE, "exp"},
    {"exp float", "a104f93c00", ATLS_E_DECODE, "exp"},
    {"exp text", "a1046130", ATLS_E_DECODE, "exp"},
    {"exp with tag 1", "a104c100", ATLS_E_DECODE, "exp"},
    {"nbf double", "a105fb3ff0000000000000", ATLS_E_DECODE, "nbf"},
    {"iat 2^63 - 1", "a1061b7fffffffffffffff", ATLS_OK, NULL},
    {"iat 2^63", "a1061b8000000000000000", ATLS_E_DECODE, "iat"},
    {"cti", "a10740", ATLS_OK, NULL},
    {"cti text", "a10760", ATLS_E_DECODE, "cti"},

    {"cnf key", "a108a101" KEY, ATLS_OK, NULL},
    {"cnf kid", "a108a1034101", ATLS_OK, NULL},
    {"cnf of indefinite length", "a108bf034101ff", ATLS_OK, NULL},
    {"cnf empty", "a108a0", ATLS_E_DECODE, "cnf"},
    {"cnf key and kid", "a108a201" KEY "034101", ATLS_E_DECODE, "cnf"},
    {"cnf encrypted key", "a108a10280", ATLS_E_DECODE, "neither COSE_Key"},
    {"cnf kid empty", "a108a10340", ATLS_E_DECODE, "kid"},
    {"cnf kid text",
     "a108a10361"
     "61",
     ATLS_E_DECODE, "kid"},
    {"cnf key of an unknown type", "a108a101a301052006215820" X32, ATLS_E_UNSUPPORTED, "kty"},
    {"cnf private key", "a108a101a401012006215820" X32 "234101", ATLS_E_DECODE, "private"},
    {"cnf no map", "a10880", ATLS_E_DECODE, "cnf"},

    {"nonce of 8", "a10a48" A8, ATLS_OK, NULL},
    {"nonce of 64", "a10a5840" A32 A32, ATLS_OK, NULL},
    {"nonce of 7", "a10a4711111111111111", ATLS_E_DECODE, "eat_nonce"},
    {"nonce of 65", "a10a5841" A32 A32 "11", ATLS_E_DECODE, "eat_nonce"},
    {"nonce text", "a10a686161616161616161", ATLS_E_DECODE, "eat_nonce"},
    {"two nonces", "a10a8248" A8 "48" A8, ATLS_OK, NULL},
    {"two nonces of indefinite number", "a10a9f48" A8 "48" A8 "ff", ATLS_OK, NULL},
    {"one nonce in an array", "a10a8148" A8, ATLS_E_DECODE, "too few"},
    {"second nonce of 7", "a10a8248" A8 "4711111111111111", ATLS_E_DECODE, "eat_nonce"},
    {"nonce in chunks", "a10a5f48" A8 "ff", ATLS_E_DECODE, "indefinite"},

    {"ueid of 7",
     "a1190100470111111111"
     "1111",
     ATLS_OK, NULL},
    {"ueid of 33", "a1190100582101" A32, ATLS_OK, NULL},
    {"ueid of 6", "a119010046011111111111", ATLS_E_DECODE, "ueid"},
    {"ueid of 34", "a119010058220111" A32, ATLS_E_DECODE, "ueid"},
    {"ueid text", "a11901006701111111111111", ATLS_E_DECODE, "ueid"},
    {"sueids", "a1190101a1616148" A8, ATLS_OK, NULL},
    {"sueids empty", "a1190101a0", ATLS_E_DECODE, "sueids"},
    {"sueids label a number", "a1190101a10148" A8, ATLS_E_DECODE, "sueids"},
    {"sueids of 6", "a1190101a1616146111111111111", ATLS_E_DECODE, "sueids"},
    {"sueids of 34", "a1190101a1616158221111" A32, ATLS_E_DECODE, "sueids"},
    {"sueids no map", "a119010180", ATLS_E_DECODE, "sueids"},
    {"oemid of IEEE", "a119010243111111", ATLS_OK, NULL},
    {"oemid random", "a119010250" A8 A8, ATLS_OK, NULL},
    {"oemid enterprise number", "a119010219faf2", ATLS_OK, NULL},
    {"oemid of 4", "a11901024411111111", ATLS_E_DECODE, "oemid"},
    {"oemid negative", "a119010220", ATLS_E_DECODE, "oemid"},
    {"oemid text", "a119010263616161", ATLS_E_DECODE, "oemid"},
    {"hwmodel of 1", "a11901034111", ATLS_OK, NULL},
    {"hwmodel of 32", "a11901035820" A32, ATLS_OK, NULL},
    {"hwmodel empty", "a119010340", ATLS_E_DECODE, "hwmodel"},
    {"hwmodel of 33", "a1190103582111" A32, ATLS_E_DECODE, "hwmodel"},
    {"hwversion", "a1190104816131", ATLS_OK, NULL},
    {"hwversion with a number for scheme", "a119010482613101", ATLS_OK, NULL},
    {"hwversion with a text for scheme",
     "a119010482613161"
     "61",
     ATLS_OK, NULL},
    {"hwversion of indefinite length", "a11901049f613101ff", ATLS_OK, NULL},
    {"hwversion empty", "a119010480", ATLS_E_DECODE, "hwversion"},
    {"hwversion of three", "a11901048361310101", ATLS_E_DECODE, "hwversion"},
    {"hwversion bare", "a11901046131", ATLS_E_DECODE, "hwversion"},
    {"hwversion a number", "a11901048101", ATLS_E_DECODE, "hwversion"},
    {"hwversion scheme bytes", "a119010482613140", ATLS_E_DECODE, "scheme"},
    {"uptime", "a119010518ff", ATLS_OK, NULL},
    {"uptime negative", "a119010520", ATLS_E_DECODE, "uptime"},
    {"oemboot false", "a1190106f4", ATLS_OK, NULL},
    {"oemboot 1", "a119010601", ATLS_E_DECODE, "oemboot"},
    {"oemboot null", "a1190106f6", ATLS_E_DECODE, "oemboot"},
    {"dbgstat 0", "a119010700", ATLS_OK, NULL},
    {"dbgstat 4", "a119010704", ATLS_OK, NULL},
    {"dbgstat 5", "a119010705", ATLS_E_DECODE, "dbgstat"},
    {"dbgstat text", "a11901076130", ATLS_E_DECODE, "dbgstat"},

    {"location", "a1190108a2010002f97e00", ATLS_OK, NULL},
    {"location with all", "a1190108a9012002fa0000000003fb0000000000000000040005000600070008000900",
     ATLS_OK, NULL},
    {"location without longitude", "a1190108a201000300", ATLS_E_DECODE, "longitude"},
    {"location without latitude", "a1190108a202000300", ATLS_E_DECODE, "latitude"},
    {"location of another key", "a1190108a3010002000a00", ATLS_E_DECODE, "none of 1 to 9"},
    {"location key 0", "a1190108a3000001000200", ATLS_E_DECODE, "none of 1 to 9"},
    {"location text", "a1190108a201000260", ATLS_E_DECODE, "no number"},
    {"location true", "a1190108a2010002f5", ATLS_E_DECODE, "no number"},
    {"location time float", "a1190108a30100020008f93c00", ATLS_E_DECODE, "timestamp"},
    {"location age negative", "a1190108a3010002000920", ATLS_E_DECODE, "age"},
    {"location no map", "a119010880", ATLS_E_DECODE, "location"},

    {"profile URI", "a119010963613a62", ATLS_OK, NULL},
    {"profile OID", "a1190109432a0304", ATLS_OK, NULL},
    {"profile OID with a long arc", "a1190109428100", ATLS_OK, NULL},
    {"profile empty", "a119010960", ATLS_E_DECODE, "eat_profile"},
    {"profile OID empty", "a119010940", ATLS_E_DECODE, "eat_profile"},
    {"profile OID cut in an arc", "a1190109422a81", ATLS_E_DECODE, "eat_profile"},
    {"profile OID with a padded arc", "a1190109432a8001", ATLS_E_DECODE, "eat_profile"},
    {"profile number", "a119010901", ATLS_E_DECODE, "eat_profile"},
    {"profile with the tag of a URI", "a1190109d82063613a62", ATLS_E_DECODE, "eat_profile"},

    {"bootcount", "a119010b00", ATLS_OK, NULL},
    {"bootcount negative", "a119010b20", ATLS_E_DECODE, "bootcount"},
    {"bootseed",
     "a119010c41"
     "11",
     ATLS_OK, NULL},
    {"bootseed text", "a119010c6161", ATLS_E_DECODE, "bootseed"},
    {"dloas of two", "a119010d818261616162", ATLS_OK, NULL},
    {"dloas of three", "a119010d8183616161626163", ATLS_OK, NULL},
    {"dloas of four", "a119010d81846161616261636164", ATLS_E_DECODE, "dloas"},
    {"dloas of one", "a119010d81816161", ATLS_E_DECODE, "dloas"},
    {"dloas empty", "a119010d80", ATLS_E_DECODE, "dloas"},
    {"dloas with a number", "a119010d8182616101", ATLS_E_DECODE, "registrar"},
    {"dloas with a number for application", "a119010d81836161616201", ATLS_E_DECODE, "application"},
    {"swname", "a119010e6161", ATLS_OK, NULL},
    {"swname bytes", "a119010e4161", ATLS_E_DECODE, "swname"},
    {"swversion", "a119010f82613101", ATLS_OK, NULL},
    {"swversion bare", "a119010f6131", ATLS_E_DECODE, "swversion"},
    {"manifests", "a1190110818219ffff4111", ATLS_OK, NULL},
    {"manifests format of 17 bits", "a119011081821a000100004111", ATLS_E_DECODE, "manifests"},
    {"manifests format negative", "a11901108182204111", ATLS_E_DECODE, "manifests"},
    {"manifests empty", "a119011080", ATLS_E_DECODE, "manifests"},
    {"manifests content empty",
     "a1190110818200"
     "40",
     ATLS_E_DECODE, "manifests"},
    {"manifests content text",
     "a1190110818200"
     "6161",
     ATLS_OK, NULL},
    {"manifests content empty text", "a119011081820060", ATLS_E_DECODE, "manifests"},
    {"manifests content a number", "a119011081820000", ATLS_E_DECODE, "manifests"},
    {"manifests of three", "a1190110818300411100", ATLS_E_DECODE, "manifests"},
    {"measurements", "a119011181821901024111", ATLS_OK, NULL},
    {"measurements bare", "a1190111821901024111", ATLS_E_DECODE, "measurements"},
    {"measres",
     "a1190112818261"
     "618182616101",
     ATLS_OK, NULL},
    {"measres of bytes", "a119011281826161818241aa04", ATLS_OK, NULL},
    {"measres empty", "a119011280", ATLS_E_DECODE, "measres"},
    {"measres without results", "a11901128182616180", ATLS_E_DECODE, "measres"},
    {"measres system a number", "a11901128182018182616101", ATLS_E_DECODE, "measres"},
    {"measres result 0",
     "a119011281826161"
     "8182616100",
     ATLS_E_DECODE, "measres"},
    {"measres result 5",
     "a119011281826161"
     "8182616105",
     ATLS_E_DECODE, "measres"},
    {"measres id a number",
     "a119011281826161"
     "81820101",
     ATLS_E_DECODE, "measres"},
    {"measres group of three",
     "a119011281836161"
     "818261610100",
     ATLS_E_DECODE, "measres"},
    {"intuse 1", "a119011301", ATLS_OK, NULL},
    {"intuse 5", "a119011305", ATLS_OK, NULL},
    {"intuse 0", "a119011300", ATLS_E_DECODE, "intuse"},
    {"intuse 6", "a119011306", ATLS_E_DECODE, "intuse"},
    {"cmw record", "a119012b8219010741aa", ATLS_OK, NULL},
    {"cmw of one element", "a119012b8100", ATLS_E_DECODE, "CMW"},
    {"cmw text", "a119012b6161", ATLS_E_DECODE, "CMW"},

    {"submods claims set", "a119010aa16161a0", ATLS_OK, NULL},
    {"submods claims set of indefinite length", "a119010abf6161bfffff", ATLS_OK, NULL},
    {"submods empty", "a119010aa0", ATLS_E_DECODE, "submods"},
    {"submods array", "a119010a80", ATLS_E_DECODE, "submods"},
    {"submods name a number", "a119010aa101a0", ATLS_E_DECODE, "submods"},
    {"submods name twice", "a119010aa26161a06161a0", ATLS_E_DECODE, "duplicate"},
    {"submods broken claim within",
     "a119010aa16161a1190107"
     "05",
     ATLS_E_DECODE, "dbgstat"},
    {"submods CBOR token", "a119010aa161614b" SIGN1, ATLS_OK, NULL},
    {"submods CBOR token without tag", "a119010aa161614180", ATLS_E_DECODE, "no token"},
    {"submods CBOR token empty", "a119010aa1616140", ATLS_E_DECODE, "no token"},
    {"submods JSON token", "a119010aa161616161", ATLS_OK, NULL},
    {"submods JSON token empty", "a119010aa1616160", ATLS_E_DECODE, "empty"},
    {"submods digest by number", "a119010aa16161822f5820" A32, ATLS_OK, NULL},
    {"submods digest by name", "a119010aa1616182677348412d3235365820" A32, ATLS_OK, NULL},
    {"submods digest of an unknown algorithm", "a119010aa1616182187b4111", ATLS_OK, NULL},
    {"submods digest of indefinite length", "a119010aa161619f2f5820" A32 "ff", ATLS_OK, NULL},
    {"submods digest of 31",
     "a119010aa16161822f581f"
     "11111111111111" A8 A8 A8,
     ATLS_E_DECODE, "as long as"},
    {"submods digest empty", "a119010aa1616182187b40", ATLS_E_DECODE, "as long as"},
    {"submods digest by name of 48", "a119010aa1616182677348412d3338345820" A32, ATLS_E_DECODE,
     "as long as"},
    {"submods digest text", "a119010aa16161822f6161", ATLS_E_DECODE, "digest"},
    {"submods digest algorithm bytes",
     "a119010aa161618240"
     "4111",
     ATLS_E_DECODE, "algorithm"},
    {"submods digest of three", "a119010aa16161832f5820" A32 "00", ATLS_E_DECODE, "too many"},
    {"submods digest of one", "a119010aa16161812f", ATLS_E_DECODE, "too few"},
    {"submods bundle in bytes", "a119010aa1616144d9025a80", ATLS_OK, NULL},
    {"submods bundle bare", "a119010aa16161d9025a80", ATLS_OK, NULL},
    {"submods another tag bare", "a119010aa16161" SIGN1, ATLS_E_DECODE, "not 602"},
    {"submods number", "a119010aa1616101", ATLS_E_DECODE, "none of"},
    {"submods null", "a119010aa16161f6", ATLS_E_DECODE, "none of"},
};

static void rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_buf in = test_unhex(rows[i].hex);
        struct atls_arena arena = atls_arena_init(ARENA_MAX);
        struct atls_eat_claims claims = {.other_count = 77};
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        test_assert_code(decode(atls_buf_bytes(&in), &arena, &claims, &err), rows[i].want, &err);
        if (rows[i].want == ATLS_OK) {
            for (size_t len = 0; len < in.len; len++)
                test_assert_code(decode(atls_bytes_of(in.ptr, len), &arena, &claims, &err),
                                 ATLS_E_DECODE, &err);
        } else {
            assert_int_equal(claims.other_count, 77);
            if (strstr(err.message, rows[i].message) == NULL)
                fail_msg("%s, want %s", err.message, rows[i].message);
        }
        atls_arena_clear(&arena);
        atls_buf_clear(&in);
    }
}

/* A claim with as many elements as are taken, and with one more. */
static void lists_up_to_the_limit(void **state)
{
    static const struct {
        const char *name, *head, *element; /* head ends where the count follows in two digits */
        size_t most;
    } lists[] = {
        {"nonces", "a10a98", "48" A8, 64},
        {"aud", "a10398", "6161", 64},
        {"manifests", "a119011098",
         "8200"
         "41aa",
         64},
        {"dloas", "a119010d98", "8261616162", 64},
        {"measres", "a119011298", "8261618182616101", 64},
        {"results",
         "a119011281826161"
         "98",
         "82616101", 64},
    };
    char *hex = malloc(4096);

    (void)state;
    assert_non_null(hex);
    for (size_t i = 0; i < COUNT(lists); i++)
        for (size_t count = lists[i].most; count <= lists[i].most + 1; count++) {
            struct atls_arena arena = atls_arena_init(ARENA_MAX);
            struct atls_err err = ATLS_ERR_INIT;
            struct atls_eat_claims claims;
            struct atls_buf in;
            size_t len = (size_t)snprintf(hex, 4096, "%s%02zx", lists[i].head, count);

            for (size_t k = 0; k < count; k++)
                len += (size_t)snprintf(hex + len, 4096 - len, "%s", lists[i].element);
            in = test_unhex(hex);
            print_message("  %s, %zu\n", lists[i].name, count);
            test_assert_code(decode(atls_buf_bytes(&in), &arena, &claims, &err),
                             count == lists[i].most ? ATLS_OK : ATLS_E_LIMIT, &err);
            atls_arena_clear(&arena);
            atls_buf_clear(&in);
        }
    free(hex);
}

static void maps_up_to_the_limit(void **state)
{
    static const struct {
        const char *name;
        int64_t claim; /* 0: claims of the set itself */
        size_t most;
    } maps[] = {{"claims", 0, 256}, {"submods", 266, 64}, {"sueids", 257, 64}};

    (void)state;
    for (size_t i = 0; i < COUNT(maps); i++)
        for (size_t count = maps[i].most; count <= maps[i].most + 1; count++) {
            struct atls_writer w = atls_writer_init(1 << 16);
            struct atls_arena arena = atls_arena_init(ARENA_MAX);
            struct atls_err err = ATLS_ERR_INIT;
            struct atls_eat_claims claims;

            if (maps[i].claim != 0) {
                atls_cbor_put_map(&w, 1);
                atls_cbor_put_int(&w, maps[i].claim);
            }
            atls_cbor_put_map(&w, count);
            for (size_t k = 0; k < count; k++) {
                char name[32];

                snprintf(name, sizeof name, "%zu", k);
                atls_cbor_put_text(&w, name);
                if (maps[i].claim == 257)
                    atls_cbor_put_bytes(&w, atls_bytes_of("12345678", 8));
                else
                    atls_cbor_put_map(&w, 0);
            }
            print_message("  %s, %zu\n", maps[i].name, count);
            test_assert_code(decode(atls_writer_bytes(&w), &arena, &claims, &err),
                             count == maps[i].most ? ATLS_OK : ATLS_E_LIMIT, &err);
            atls_arena_clear(&arena);
            atls_writer_clear(&w);
        }
}

/* Sets within sets: CBOR of 16 levels holds eight of them. */
static void depth(void **state)
{
    static const struct {
        unsigned int sets, outer;
        enum atls_code want;
    } rows_of_depth[] = {
        {8, 0, ATLS_OK},      {9, 0, ATLS_E_LIMIT}, {1, 7, ATLS_OK},
        {1, 8, ATLS_E_LIMIT}, {2, 7, ATLS_E_LIMIT},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows_of_depth); i++) {
        struct atls_writer w = atls_writer_init(1 << 12);
        struct atls_arena arena = atls_arena_init(ARENA_MAX);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_eat_claims claims;

        for (unsigned int k = 1; k < rows_of_depth[i].sets; k++) {
            atls_cbor_put_map(&w, 1);
            atls_cbor_put_int(&w, ATLS_EAT_SUBMODS);
            atls_cbor_put_map(&w, 1);
            atls_cbor_put_text(&w, "x");
        }
        atls_cbor_put_map(&w, 1);
        atls_cbor_put_int(&w, ATLS_EAT_UPTIME);
        atls_cbor_put_int(&w, 5);
        test_assert_code(atls_eat_claims_decode(atls_writer_bytes(&w), rows_of_depth[i].outer,
                                                &arena, &claims, &err),
                         rows_of_depth[i].want, &err);
        if (rows_of_depth[i].want == ATLS_OK) {
            const struct atls_eat_claims *c = &claims;

            for (unsigned int k = 1; k < rows_of_depth[i].sets; k++) {
                assert_false(c->uptime_s.present); /* nothing is inherited, upwards or down */
                assert_non_null(atls_eat_submod_find(c, "x"));
                c = atls_eat_submod_find(c, "x")->claims;
            }
            assert_int_equal(c->uptime_s.value, 5);
        }
        atls_arena_clear(&arena);
        atls_writer_clear(&w);
    }
}

static void what_claims_say(void **state)
{
    static const char hex[] = "af"
                              "026173"                       /* sub */
                              "08a101" KEY                   /* cnf */
                              "0a8248" A8 "49" A8 "22"       /* two nonces */
                              "190101a1616e48" A8            /* sueids */
                              "19010219faf2"                 /* oemid */
                              "190104826131616d"             /* hwversion */
                              "19010703"                     /* dbgstat */
                              "190108a4010102f97e0008020903" /* location */
                              "190109432a0304"               /* eat_profile */
                              "19010d8183616161626163"       /* dloas */
                              "190111818219010241aa"         /* measurements */
                              "19011281826179818241bb03"     /* measres */
                              "19012b8219010741aa"           /* cmw */
                              "3a0001387f8101"               /* -80000 */
                              "616b6176";                    /* "k" */
    struct atls_buf in = test_unhex(hex);
    struct atls_arena arena = atls_arena_init(ARENA_MAX);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_eat_claims c;

    (void)state;
    test_assert_code(atls_eat_claims_decode(atls_buf_bytes(&in), 0, &arena, &c, &err), ATLS_OK,
                     &err);
    assert_true(atls_bytes_equal_text(c.sub, "s"));
    assert_null(c.iss.ptr);
    assert_int_equal(c.cnf.key.crv, ATLS_COSE_ED25519);
    assert_int_equal(c.cnf.key_encoded.len, 40);
    assert_null(c.cnf.kid.ptr);
    assert_int_equal(c.nonce_count, 2);
    assert_int_equal(c.nonces[1].len, 9);
    assert_true(atls_bytes_equal_text(c.sueids[0].name, "n"));
    assert_int_equal(c.oemid.pen.value, 64242);
    assert_null(c.oemid.bytes.ptr);
    assert_true(c.hwversion.has_scheme && c.hwversion.scheme.is_text);
    assert_int_equal(c.dbgstat.value, 3);
    assert_false(c.intuse.present);
    assert_int_equal(c.location.numbers[1].len, 3);
    assert_null(c.location.numbers[2].ptr);
    assert_int_equal(c.location.timestamp_s.value, 2);
    assert_int_equal(c.location.age_s.value, 3);
    assert_true(c.profile.is_oid);
    assert_true(atls_bytes_equal_text(c.dloas[0].application, "c"));
    assert_int_equal(c.measurements[0].content_format, 258);
    assert_int_equal(c.measres[0].results[0].result, ATLS_EAT_RESULT_NOT_RUN);
    assert_false(c.measres[0].results[0].is_text);
    assert_int_equal(c.cmw->type.content_format, 263);
    assert_int_equal(c.other_count, 2);
    assert_int_equal(atls_eat_other_find(&c, -80000)->value.len, 2);
    assert_null(atls_eat_other_find(&c, 9));
    assert_true(atls_bytes_equal_text(c.others[1].key.text, "k"));
    assert_null(atls_eat_submod_find(&c, "x"));
    atls_arena_clear(&arena);
    atls_buf_clear(&in);
}

/* However little memory there is: refused, never half a claims set. */
static void short_of_memory(void **state)
{
    static const char hex[] = "a9036161"
                              "0a48" A8 "190101a1616e48" A8 "19010aa16161a0"
                              "19010d818261616162"
                              "1901108182004111"
                              "190112818261618182616101"
                              "19012b8219010741aa"
                              "616b00";
    struct atls_buf in = test_unhex(hex);
    size_t limit = 0;
    enum atls_code code;

    (void)state;
    do {
        struct atls_arena arena = atls_arena_init(limit);
        struct atls_eat_claims claims = {.other_count = 77};
        struct atls_err err = ATLS_ERR_INIT;

        code = atls_eat_claims_decode(atls_buf_bytes(&in), 0, &arena, &claims, &err);
        assert_true(code == ATLS_OK || code == ATLS_E_NOMEM);
        assert_int_equal(claims.other_count, code == ATLS_OK ? 1 : 77);
        atls_arena_clear(&arena);
        limit += 16;
    } while (code != ATLS_OK);
    assert_true(limit > 1024);
    atls_buf_clear(&in);
}

static void forms_of_ueids(void **state)
{
    static const struct {
        const char *name, *hex;
        enum atls_eat_ueid_form want;
    } forms[] = {
        {"random of 16", "01" A8 A8, ATLS_EAT_UEID_RANDOM},
        {"random of 24", "01" A8 A8 A8, ATLS_EAT_UEID_RANDOM},
        {"random of 32", "01" A32, ATLS_EAT_UEID_RANDOM},
        {"random of 15", "01" A8 "11111111111111", ATLS_EAT_UEID_OTHER},
        {"EUI-48", "02111111111111", ATLS_EAT_UEID_EUI},
        {"EUI-64", "02" A8, ATLS_EAT_UEID_EUI},
        {"EUI of 7", "0211111111111111", ATLS_EAT_UEID_OTHER},
        {"IMEI",
         "0301020304050607080900010203"
         "04",
         ATLS_EAT_UEID_IMEI},
        {"IMEI with ASCII",
         "0331323334353637383930313233"
         "34",
         ATLS_EAT_UEID_OTHER},
        {"IMEI of 13",
         "03010203040506070809000102"
         "03",
         ATLS_EAT_UEID_OTHER},
        {"octet that is not assigned", "04" A8 A8, ATLS_EAT_UEID_OTHER},
        {"octet alone", "01", ATLS_EAT_UEID_OTHER},
        {"empty", "", ATLS_EAT_UEID_OTHER},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(forms); i++) {
        struct atls_buf ueid = test_unhex(forms[i].hex);

        print_message("  %s\n", forms[i].name);
        assert_int_equal(atls_eat_ueid_form(atls_buf_bytes(&ueid)), forms[i].want);
        atls_buf_clear(&ueid);
    }
}

static void names(void **state)
{
    (void)state;
    assert_string_equal(atls_eat_claim_name(ATLS_EAT_NONCE), "eat_nonce");
    assert_null(atls_eat_claim_name(9));
    assert_string_equal(atls_eat_dbgstat_name(0), "enabled");
    assert_string_equal(atls_eat_dbgstat_name(4), "disabled-fully-and-permanently");
    assert_null(atls_eat_dbgstat_name(5));
    assert_string_equal(atls_eat_intuse_name(1), "generic");
    assert_string_equal(atls_eat_intuse_name(5), "pop");
    assert_null(atls_eat_intuse_name(0));
    assert_null(atls_eat_intuse_name(6));
    assert_string_equal(atls_eat_result_name(4), "absent");
    assert_null(atls_eat_result_name(0));
    assert_null(atls_eat_result_name(5));
}

#define CWT "d83d" SIGN1

static void envelopes(void **state)
{
    static const struct {
        const char *name, *hex;
        enum atls_eat_kind want; /* 0: refused */
        enum atls_code code;
        const char *message;
    } tokens[] = {
        {"COSE_Sign1", SIGN1, ATLS_EAT_CWT, ATLS_OK, NULL},
        {"CWT", CWT, ATLS_EAT_CWT, ATLS_OK, NULL},
        {"CWT in CWT", "d83d" CWT, 0, ATLS_E_DECODE, "tag 61"},
        {"CWT of COSE_Mac0", "d83dd18443a10105a041a04100", 0, ATLS_E_UNSUPPORTED, "COSE_Mac0"},
        {"COSE_Sign", "d8628440a04080", 0, ATLS_E_UNSUPPORTED, "COSE_Sign;"},
        {"COSE_Encrypt0", "d08340a040", 0, ATLS_E_DECODE, "tag 16"},
        {"no tag", "8443a10126a041a04100", 0, ATLS_E_DECODE, "no tag"},
        {"CWT without a tag of COSE", "d83d8443a10126a041a04100", 0, ATLS_E_DECODE, "no tag of"},
        {"detached payload", "d28443a10126a0f64100", 0, ATLS_E_DECODE, "detached"},
        {"protected header of indefinite length", "d28444bf0126ffa041a04100", 0, ATLS_E_DECODE,
         "indefinite"},
        {"UCCS", "d90259a0", ATLS_EAT_UCCS, ATLS_OK, NULL},
        {"trailing byte", "d90259a000", 0, ATLS_E_DECODE, "trailing"},
        {"bundle", "d9025a824b" SIGN1 "a1616141a0", ATLS_EAT_BUNDLE, ATLS_OK, NULL},
        {"bundle of JSON", "d9025a826161a1616141a0", ATLS_EAT_BUNDLE, ATLS_OK, NULL},
        {"bundle of indefinite length", "d9025a9f4b" SIGN1 "bf616141a0ffff", ATLS_EAT_BUNDLE,
         ATLS_OK, NULL},
        {"bundle no array", "d9025aa0", 0, ATLS_E_DECODE, "bundle"},
        {"bundle of one", "d9025a814b" SIGN1, 0, ATLS_E_DECODE, "too few"},
        {"bundle of three", "d9025a834b" SIGN1 "a1616141a000", 0, ATLS_E_DECODE, "too many"},
        {"bundle without sets", "d9025a824b" SIGN1 "a0", 0, ATLS_E_DECODE, "too few"},
        {"bundle with sets in an array", "d9025a824b" SIGN1 "80", 0, ATLS_E_DECODE, "no map"},
        {"bundle with a number for name", "d9025a824b" SIGN1 "a10141a0", 0, ATLS_E_DECODE, "name"},
        {"bundle with a bare set", "d9025a824b" SIGN1 "a16161a0", 0, ATLS_E_DECODE, "byte string"},
        {"bundle with an empty set", "d9025a824b" SIGN1 "a1616140", 0, ATLS_E_DECODE,
         "byte string"},
        {"bundle with a bare token", "d9025a82" SIGN1 "a1616141a0", 0, ATLS_E_DECODE, "main token"},
        {"bundle with an empty token", "d9025a8240a1616141a0", 0, ATLS_E_DECODE, "main token"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(tokens); i++) {
        struct atls_buf in = test_unhex(tokens[i].hex);
        struct atls_arena arena = atls_arena_init(ARENA_MAX);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_eat_token token = {.claims = {NULL, 77}};

        print_message("  %s\n", tokens[i].name);
        test_assert_code(atls_eat_token_open(atls_buf_bytes(&in), &arena, &token, &err),
                         tokens[i].code, &err);
        assert_int_equal(token.kind, tokens[i].want);
        if (tokens[i].code != ATLS_OK) {
            assert_int_equal(token.claims.len, 77);
            if (strstr(err.message, tokens[i].message) == NULL)
                fail_msg("%s, want %s", err.message, tokens[i].message);
        } else {
            assert_int_equal(token.claims.len, tokens[i].want == ATLS_EAT_BUNDLE ? 0 : 1);
            for (size_t len = 0; len < in.len; len++)
                assert_int_not_equal(
                    atls_eat_token_open(atls_bytes_of(in.ptr, len), &arena, &token, NULL), ATLS_OK);
        }
        atls_arena_clear(&arena);
        atls_buf_clear(&in);
    }
}

static void pairs_of_a_bundle(void **state)
{
    static const struct {
        const char *name, *claims;
        enum atls_code want;
    } mains[] = {
        {"two digests, one set", "a119010aa26161822f5820" A32 "6162822f5820" A32, ATLS_OK},
        {"no submodule of that name", "a119010aa16162822f5820" A32, ATLS_E_DECODE},
        {"a claims set in its place", "a119010aa16161a0", ATLS_E_DECODE},
        {"no submodules", "a0", ATLS_E_DECODE},
    };
    struct atls_buf in = test_unhex("d9025a824b" SIGN1 "a1616141a0");
    struct atls_arena arena = atls_arena_init(ARENA_MAX), tiny = atls_arena_init(8);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_eat_token token;

    (void)state;
    test_assert_code(atls_eat_token_open(atls_buf_bytes(&in), &arena, &token, &err), ATLS_OK, &err);
    assert_int_equal(token.bundle.main_kind, ATLS_EAT_SUBMOD_CBOR_TOKEN);
    for (size_t i = 0; i < COUNT(mains); i++) {
        struct atls_buf claims_in = test_unhex(mains[i].claims);
        struct atls_eat_detached *pairs = NULL;
        struct atls_eat_claims claims;

        print_message("  %s\n", mains[i].name);
        test_assert_code(
            atls_eat_claims_decode(atls_buf_bytes(&claims_in), 0, &arena, &claims, &err), ATLS_OK,
            &err);
        test_assert_code(atls_eat_bundle_pair(&token.bundle, &claims, &arena, &pairs, &err),
                         mains[i].want, &err);
        assert_true((pairs != NULL) == (mains[i].want == ATLS_OK));
        if (pairs != NULL) {
            assert_true(atls_bytes_equal_text(pairs[0].name, "a"));
            assert_int_equal(pairs[0].expected.algorithm.number, -16);
            assert_int_equal(pairs[0].expected.digest.len, 32);
            assert_int_equal(pairs[0].claims.len, 1);
        }
        test_assert_code(atls_eat_bundle_pair(&token.bundle, &claims, &tiny, &pairs, &err),
                         ATLS_E_NOMEM, &err);
        atls_buf_clear(&claims_in);
    }
    test_assert_code(atls_eat_token_open(atls_buf_bytes(&in), &tiny, &token, &err), ATLS_E_NOMEM,
                     &err);
    atls_arena_clear(&arena);
    atls_arena_clear(&tiny);
    atls_buf_clear(&in);
}

static void measured_components(void **state)
{
    static const struct {
        const char *name, *hex;
        enum atls_code want;
        const char *message;
    } components[] = {
        {"digest",
         "a201816178028201"
         "5820" A32,
         ATLS_OK, NULL},
        {"raw", "a2018161780541aa", ATLS_OK, NULL},
        {"all", "a401826178826131010282677368612d3235365820" A32 "038141aa0448" A8, ATLS_OK, NULL},
        {"of indefinite length", "bf019f6178ff0541aaff", ATLS_OK, NULL},
        {"no id", "a20541aa0448" A8, ATLS_E_DECODE, "no id"},
        {"no measurement", "a2018161780448" A8, ATLS_E_DECODE, "exactly one"},
        {"two measurements",
         "a301816178028201"
         "5820" A32 "0541aa",
         ATLS_E_DECODE, "exactly one"},
        {"id alone", "a101816178", ATLS_E_DECODE, "too few"},
        {"another key", "a3018161780541aa0600", ATLS_E_DECODE, "none of 1 to 5"},
        {"text key",
         "a30181617805"
         "41aa617800",
         ATLS_E_DECODE, "no integer"},
        {"id bare", "a20161780541aa", ATLS_E_DECODE, "component id"},
        {"id with a number", "a20181010541aa", ATLS_E_DECODE, "name is no text"},
        {"id of three",
         "a201836178816101"
         "000541aa",
         ATLS_E_DECODE, "component id"},
        {"version bare",
         "a201826178"
         "61310541aa",
         ATLS_E_DECODE, "component version"},
        {"digest of 31", "a201816178028201581f11111111111111" A8 A8 A8, ATLS_E_DECODE,
         "as long as"},
        {"raw text",
         "a2018161780561"
         "61",
         ATLS_E_DECODE, "no byte string"},
        {"authorities empty", "a3018161780541aa0380", ATLS_E_DECODE, "authorities"},
        {"authority empty", "a3018161780541aa038140", ATLS_E_DECODE, "authorities"},
        {"flags of 7", "a3018161780541aa044711111111111111", ATLS_E_DECODE, "flags"},
        {"flags a number", "a3018161780541aa0400", ATLS_E_DECODE, "flags"},
        {"no map", "80", ATLS_E_DECODE, "component"},
        {"trailing byte", "a2018161780541aa00", ATLS_E_DECODE, "trailing"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(components); i++) {
        struct atls_buf in = test_unhex(components[i].hex);
        struct atls_arena arena = atls_arena_init(ARENA_MAX);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_eat_component c = {.authority_count = 77};

        print_message("  %s\n", components[i].name);
        test_assert_code(atls_eat_component_decode(atls_buf_bytes(&in), &arena, &c, &err),
                         components[i].want, &err);
        if (components[i].want == ATLS_OK) {
            assert_true(atls_bytes_equal_text(c.name, "x"));
            assert_true(c.has_digest == (c.raw.ptr == NULL));
            for (size_t len = 0; len < in.len; len++)
                assert_int_equal(
                    atls_eat_component_decode(atls_bytes_of(in.ptr, len), &arena, &c, NULL),
                    ATLS_E_DECODE);
        } else {
            assert_int_equal(c.authority_count, 77);
            if (strstr(err.message, components[i].message) == NULL)
                fail_msg("%s, want %s", err.message, components[i].message);
        }
        atls_arena_clear(&arena);
        atls_buf_clear(&in);
    }
}

/* The published files, with the verdicts of tests/vectors/eat/README.md. What is said there of
 * signatures, keys and bindings is for appraisal: such files decode. */
static void published_files(void **state)
{
    enum shape { CLAIMS, TOKEN, COMPONENT };
    static const struct {
        const char *file;
        enum shape shape;
        enum atls_code want;
        const char *why; /* of what is not plainly valid */
    } files[] = {
        {"eat-simple.cbor", CLAIMS, ATLS_OK, NULL},
        {"eat-valid_hw_block.cbor", CLAIMS, ATLS_OK, NULL},
        {"eat-valid_iot.cbor", CLAIMS, ATLS_OK, NULL},
        {"eat-valid_key_store.cbor", CLAIMS, ATLS_OK, NULL},
        {"eat-valid_tee.cbor", CLAIMS, ATLS_OK, NULL},
        {"kat-kat-ex-1.cbor", CLAIMS, ATLS_OK, "kak-pub (2500) is a claim of another profile"},
        {"eat-valid_cwt.cbor", TOKEN, ATLS_OK, "signature: its key is not published"},
        {"measured-component-ex1.cbor", COMPONENT, ATLS_OK, NULL},
        {"psa-2_0_0_sign1.bin", TOKEN, ATLS_OK, "PSA token: claims in test_psa.c"},
        {"psa-iot-1_sign1.bin", TOKEN, ATLS_OK, "PSA token: claims in test_psa.c"},
        {"psa.good.cose", TOKEN, ATLS_OK, "PSA token: claims in test_psa.c"},
        {"cca-good.cbor", TOKEN, ATLS_E_DECODE, "tag 399 is no token of RFC 9711: test_cca.c"},
        {"kat-cab-ex-1.cbor", TOKEN, ATLS_E_DECODE, "a CMW, its halves without tags: test_kat.c"},
        {"parsec-tpm-evidence.cbor", TOKEN, ATLS_E_DECODE, "a bundle of TPM structures"},
        {"P1ClaimsAll.cbor", CLAIMS, ATLS_OK, "keys of its profile are others: test_psa.c"},
        {"P2ClaimsAll.cbor", CLAIMS, ATLS_OK, "a set of RFC 9711 too"},
        {"P2ClaimsMissingMandatoryNonce.cbor", CLAIMS, ATLS_OK, "the nonce is its profile's rule"},
        {"P2ClaimsInvalidMultiNonce.cbor", CLAIMS, ATLS_OK, "one nonce is its profile's rule"},
        {"CcaPlatformExample.cbor", CLAIMS, ATLS_OK, "a set of RFC 9711 too"},
        {"CcaRealmClaimsAll.cbor", CLAIMS, ATLS_OK, "a set of RFC 9711 too"},
        {"CcaClaimsMissingMandPubKey.cbor", CLAIMS, ATLS_OK, "the key is its profile's rule"},
        {"pkix-evidence1.pem", TOKEN, ATLS_E_DECODE, "ASN.1, not EAT"},
        {"parsec-cca-evidence.cbor", TOKEN, ATLS_E_DECODE, "a bundle: test_bundle_of_parsec"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(files); i++) {
        struct atls_arena arena = atls_arena_init(ARENA_MAX);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_eat_component component;
        struct atls_eat_claims claims;
        struct atls_eat_token token;
        struct atls_buf in;
        enum atls_code code;
        char path[64];

        snprintf(path, sizeof path, "eat/%s", files[i].file);
        print_message("  %s%s%s\n", files[i].file, files[i].why == NULL ? "" : ": ",
                      files[i].why == NULL ? "" : files[i].why);
        in = test_vector(path);
        if (files[i].shape == CLAIMS)
            code = decode(atls_buf_bytes(&in), &arena, &claims, &err);
        else if (files[i].shape == COMPONENT)
            code = atls_eat_component_decode(atls_buf_bytes(&in), &arena, &component, &err);
        else
            code = atls_eat_token_open(atls_buf_bytes(&in), &arena, &token, &err);
        test_assert_code(code, files[i].want, &err);
        if (files[i].shape == TOKEN && code == ATLS_OK)
            test_assert_code(atls_eat_claims_decode(token.claims, 0, &arena, &claims, &err),
                             ATLS_OK, &err);
        atls_arena_clear(&arena);
        atls_buf_clear(&in);
    }
}

static void published_content(void **state)
{
    struct atls_buf in = test_vector("eat/eat-valid_iot.cbor");
    struct atls_buf component_in = test_vector("eat/measured-component-ex1.cbor");
    struct atls_buf keys = test_vector("eat/eat-valid_key_store.cbor");
    struct atls_arena arena = atls_arena_init(ARENA_MAX);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_eat_component component;
    const struct atls_eat_submod *os;
    struct atls_eat_claims claims;

    (void)state;
    test_assert_code(atls_eat_claims_decode(atls_buf_bytes(&in), 0, &arena, &claims, &err), ATLS_OK,
                     &err);
    assert_int_equal(claims.ueid.len, 16);
    assert_int_equal(claims.oemid.bytes.len, 3);
    os = atls_eat_submod_find(&claims, "OS");
    assert_non_null(os);
    assert_int_equal(os->kind, ATLS_EAT_SUBMOD_CLAIMS);
    assert_int_equal(os->claims->measurement_count, 1);
    assert_int_equal(os->claims->measurements[0].content_format, 258);
    assert_int_equal(os->claims->nonce_count, 0);

    test_assert_code(
        atls_eat_component_decode(atls_buf_bytes(&component_in), &arena, &component, &err), ATLS_OK,
        &err);
    assert_true(atls_bytes_equal_text(component.name, "boot loader X"));
    assert_int_equal(component.version.scheme.number, 16384);
    assert_int_equal(component.authority_count, 2);
    assert_int_equal(component.flags.ptr[7], 1);

    test_assert_code(atls_eat_claims_decode(atls_buf_bytes(&keys), 0, &arena, &claims, &err),
                     ATLS_OK, &err);
    assert_int_equal(claims.exp_s.value, 1634324274);
    assert_non_null(atls_eat_other_find(&claims, -80001));
    assert_non_null(atls_eat_submod_find(&claims, "HLOS"));
    atls_arena_clear(&arena);
    atls_buf_clear(&in);
    atls_buf_clear(&component_in);
    atls_buf_clear(&keys);
}

/* {"kat": UCCS, "pat": CCA token}: the first half is a token of its own. */
static void test_bundle_of_parsec(void **state)
{
    struct atls_buf in = test_vector("eat/parsec-cca-evidence.cbor");
    struct atls_reader r = atls_reader_init(atls_buf_bytes(&in));
    struct atls_arena arena = atls_arena_init(ARENA_MAX);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_eat_claims claims;
    struct atls_eat_token token;
    struct atls_bytes text, kat = {NULL, 0};
    struct atls_cbor_iter map;

    (void)state;
    assert_true(atls_cbor_enter_map(&r, &map) && atls_cbor_more(&r, &map) &&
                atls_cbor_get_text(&r, &text) && atls_cbor_get_item(&r, &kat));
    test_assert_code(atls_eat_token_open(kat, &arena, &token, &err), ATLS_OK, &err);
    assert_int_equal(token.kind, ATLS_EAT_UCCS);
    test_assert_code(atls_eat_claims_decode(token.claims, 0, &arena, &claims, &err), ATLS_OK, &err);
    assert_int_equal(claims.nonces[0].len, 8);
    assert_int_equal(claims.cnf.key.crv, ATLS_COSE_P256);
    atls_arena_clear(&arena);
    atls_buf_clear(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules),
        cmocka_unit_test(lists_up_to_the_limit),
        cmocka_unit_test(maps_up_to_the_limit),
        cmocka_unit_test(depth),
        cmocka_unit_test(what_claims_say),
        cmocka_unit_test(short_of_memory),
        cmocka_unit_test(forms_of_ueids),
        cmocka_unit_test(names),
        cmocka_unit_test(envelopes),
        cmocka_unit_test(pairs_of_a_bundle),
        cmocka_unit_test(measured_components),
        cmocka_unit_test(published_files),
        cmocka_unit_test(published_content),
        cmocka_unit_test(test_bundle_of_parsec),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
