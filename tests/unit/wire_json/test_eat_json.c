#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include <atls/limits.h>

#include "wire/eat_json.h"

#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))
#define ARENA_MAX (1 << 20)

/* 32 and 33 bytes, 8 bytes, 7 bytes. */
#define B32 "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA"
#define B33 "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAh"
#define B8  "AQIDBAUGBwg"
#define B7  "AQIDBAUGBw"
#define JWK "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" B32 "\"}"

/* Decodes from a block of the exact size that is gone before the result is looked at. */
static enum atls_code decode(struct atls_bytes in, struct atls_arena *arena,
                             struct atls_eat_claims *out, struct atls_err *err)
{
    struct atls_buf copy;
    enum atls_code code;

    test_assert_code(atls_buf_copy(&copy, in, err), ATLS_OK, err);
    code = atls_eat_json_decode(atls_buf_bytes(&copy), 0, arena, out, err);
    atls_buf_clear(&copy);
    return code;
}

static const struct {
    const char *name;
    const char *json;
    enum atls_code want;
    const char *message;
} rows[] = {
    {"empty claims set", "{}", ATLS_OK, NULL},
    {"nothing", "", ATLS_E_LIMIT, "0 bytes"},
    {"array", "[]", ATLS_E_DECODE, "no object"},
    {"trailing text", "{}x", ATLS_E_DECODE, "no object"},
    {"member twice", "{\"iat\":1,\"iat\":1}", ATLS_E_DECODE, "unique"},
    {"member with NUL", "{\"i\\u0000\":1}", ATLS_E_DECODE, "no object"},
    {"unknown member", "{\"x\":[1.5,{\"y\":null}]}", ATLS_OK, NULL},
    {"number in place of a name", "{\"10\":1}", ATLS_OK, NULL},

    {"iss", "{\"iss\":\"a\"}", ATLS_OK, NULL},
    {"iss number", "{\"iss\":1}", ATLS_E_DECODE, "iss"},
    {"aud text", "{\"aud\":\"a\"}", ATLS_OK, NULL},
    {"aud array", "{\"aud\":[\"a\",\"b\"]}", ATLS_OK, NULL},
    {"aud empty", "{\"aud\":[]}", ATLS_E_DECODE, "aud"},
    {"aud with a number", "{\"aud\":[\"a\",1]}", ATLS_E_DECODE, "aud"},
    {"exp 0", "{\"exp\":0}", ATLS_OK, NULL},
    {"exp negative", "{\"exp\":-1}", ATLS_E_DECODE, "exp"},
    {"exp float", "{\"exp\":1.0}", ATLS_E_DECODE, "exp"},
    {"exp text", "{\"exp\":\"1\"}", ATLS_E_DECODE, "exp"},
    {"iat beyond 63 bits", "{\"iat\":9223372036854775808}", ATLS_E_DECODE, "no object"},
    {"iat of 63 bits", "{\"iat\":9223372036854775807}", ATLS_OK, NULL},
    {"jti", "{\"jti\":\"a\"}", ATLS_OK, NULL},
    {"jti number", "{\"jti\":1}", ATLS_E_DECODE, "jti"},

    {"cnf jwk", "{\"cnf\":{\"jwk\":" JWK "}}", ATLS_OK, NULL},
    {"cnf jwk on P-256",
     "{\"cnf\":{\"jwk\":{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"k\",\"x\":\"" B32
     "\",\"y\":\"" B32 "\"}}}",
     ATLS_OK, NULL},
    {"cnf kid", "{\"cnf\":{\"kid\":\"a\"}}", ATLS_OK, NULL},
    {"cnf empty", "{\"cnf\":{}}", ATLS_E_DECODE, "cnf"},
    {"cnf array", "{\"cnf\":[]}", ATLS_E_DECODE, "cnf"},
    {"cnf jwk and kid", "{\"cnf\":{\"kid\":\"a\",\"jwk\":" JWK "}}", ATLS_E_DECODE, "cnf"},
    {"cnf of another method", "{\"cnf\":{\"jwe\":\"a\"}}", ATLS_E_DECODE, "cnf"},
    {"cnf kid empty", "{\"cnf\":{\"kid\":\"\"}}", ATLS_E_DECODE, "cnf kid"},
    {"cnf kid number", "{\"cnf\":{\"kid\":1}}", ATLS_E_DECODE, "cnf kid"},
    {"cnf jwk text", "{\"cnf\":{\"jwk\":\"a\"}}", ATLS_E_DECODE, "cnf jwk"},
    {"cnf jwk set", "{\"cnf\":{\"jwk\":{\"keys\":[" JWK "]}}}", ATLS_E_DECODE, "not one key"},
    {"cnf jwk with a private part",
     "{\"cnf\":{\"jwk\":{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" B32 "\",\"d\":\"" B32
     "\"}}}",
     ATLS_E_DECODE, ""},
    {"cnf jwk on another curve",
     "{\"cnf\":{\"jwk\":{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" B32 "\"}}}",
     ATLS_E_UNSUPPORTED, ""},

    {"nonce of 8", "{\"eat_nonce\":\"" B8 "\"}", ATLS_OK, NULL},
    {"nonce with padding", "{\"eat_nonce\":\"" B8 "=\"}", ATLS_OK, NULL},
    {"nonce of the other alphabet", "{\"eat_nonce\":\"+/8DBAUGBwg\"}", ATLS_OK, NULL},
    {"nonce of 7", "{\"eat_nonce\":\"" B7 "\"}", ATLS_E_DECODE, "eat_nonce"},
    {"nonce of 7 characters", "{\"eat_nonce\":\"AQIDBAU\"}", ATLS_E_DECODE, "8..88"},
    {"nonce of 64", "{\"eat_nonce\":\"AAAA" B32 "A" B32 "\"}", ATLS_E_DECODE, "8..88"},
    {"nonce of blanks", "{\"eat_nonce\":\"           \"}", ATLS_E_DECODE, "base64url"},
    {"nonce number", "{\"eat_nonce\":1}", ATLS_E_DECODE, "eat_nonce"},
    {"two nonces", "{\"eat_nonce\":[\"" B8 "\",\"" B8 "\"]}", ATLS_OK, NULL},
    {"one nonce in an array", "{\"eat_nonce\":[\"" B8 "\"]}", ATLS_E_DECODE, "eat_nonce"},
    {"nonce number in an array", "{\"eat_nonce\":[\"" B8 "\",1]}", ATLS_E_DECODE, "eat_nonce"},

    {"ueid of 7", "{\"ueid\":\"" B7 "\"}", ATLS_OK, NULL},
    {"ueid of 33", "{\"ueid\":\"" B33 "\"}", ATLS_OK, NULL},
    {"ueid of 6", "{\"ueid\":\"AQIDBAUG\"}", ATLS_E_DECODE, "ueid"},
    {"ueid of 34", "{\"ueid\":\"" B33 "IQ\"}", ATLS_E_DECODE, "ueid"},
    {"ueid with padding", "{\"ueid\":\"" B7 "==\"}", ATLS_E_DECODE, "ueid"},
    {"ueid number", "{\"ueid\":1}", ATLS_E_DECODE, "ueid"},
    {"sueids", "{\"sueids\":{\"a\":\"" B7 "\"}}", ATLS_OK, NULL},
    {"sueids empty", "{\"sueids\":{}}", ATLS_E_DECODE, "sueids"},
    {"sueids of 6", "{\"sueids\":{\"a\":\"AQIDBAUG\"}}", ATLS_E_DECODE, "sueids"},
    {"oemid of IEEE", "{\"oemid\":\"AQID\"}", ATLS_OK, NULL},
    {"oemid random", "{\"oemid\":\"AQIDBAUGBwgJCgsMDQ4PEA\"}", ATLS_OK, NULL},
    {"oemid number", "{\"oemid\":64242}", ATLS_OK, NULL},
    {"oemid negative", "{\"oemid\":-1}", ATLS_E_DECODE, "oemid"},
    {"oemid of 8", "{\"oemid\":\"" B8 "\"}", ATLS_E_DECODE, "oemid"},
    {"hwmodel empty", "{\"hwmodel\":\"\"}", ATLS_E_DECODE, "hwmodel"},
    {"hwmodel of 32", "{\"hwmodel\":\"" B32 "\"}", ATLS_OK, NULL},
    {"hwversion", "{\"hwversion\":[\"1\",\"semver\"]}", ATLS_OK, NULL},
    {"hwversion with a number", "{\"hwversion\":[\"1\",1]}", ATLS_OK, NULL},
    {"hwversion with true", "{\"hwversion\":[\"1\",true]}", ATLS_E_DECODE, "hwversion"},
    {"hwversion empty", "{\"hwversion\":[]}", ATLS_E_DECODE, "hwversion"},
    {"hwversion of three", "{\"hwversion\":[\"1\",1,1]}", ATLS_E_DECODE, "hwversion"},
    {"hwversion bare", "{\"hwversion\":\"1\"}", ATLS_E_DECODE, "hwversion"},
    {"uptime", "{\"uptime\":5}", ATLS_OK, NULL},
    {"uptime float", "{\"uptime\":5.5}", ATLS_E_DECODE, "uptime"},
    {"oemboot", "{\"oemboot\":false}", ATLS_OK, NULL},
    {"oemboot text", "{\"oemboot\":\"true\"}", ATLS_E_DECODE, "oemboot"},
    {"dbgstat first", "{\"dbgstat\":\"enabled\"}", ATLS_OK, NULL},
    {"dbgstat last", "{\"dbgstat\":\"disabled-fully-and-permanently\"}", ATLS_OK, NULL},
    {"dbgstat number", "{\"dbgstat\":3}", ATLS_E_DECODE, "dbgstat"},
    {"dbgstat of another name", "{\"dbgstat\":\"Disabled\"}", ATLS_E_DECODE, "dbgstat"},
    {"location", "{\"location\":{\"latitude\":1.5,\"longitude\":-2,\"timestamp\":3,\"age\":4}}",
     ATLS_OK, NULL},
    {"location without longitude", "{\"location\":{\"latitude\":1.5}}", ATLS_E_DECODE, "longitude"},
    {"location with another member", "{\"location\":{\"latitude\":1,\"longitude\":2,\"x\":1}}",
     ATLS_E_DECODE, "not known"},
    {"location text", "{\"location\":{\"latitude\":1,\"longitude\":\"2\"}}", ATLS_E_DECODE,
     "no number"},
    {"location time float", "{\"location\":{\"latitude\":1,\"longitude\":2,\"timestamp\":1.0}}",
     ATLS_E_DECODE, "timestamp"},
    {"location age negative", "{\"location\":{\"latitude\":1,\"longitude\":2,\"age\":-1}}",
     ATLS_E_DECODE, "age"},
    {"location array", "{\"location\":[1,2]}", ATLS_E_DECODE, "location"},

    {"profile URI", "{\"eat_profile\":\"urn:a:b\"}", ATLS_OK, NULL},
    {"profile OID", "{\"eat_profile\":\"2.16.840.1.113741.1.16.1\"}", ATLS_OK, NULL},
    {"profile OID with the largest arc", "{\"eat_profile\":\"1.2.18446744073709551609\"}", ATLS_OK,
     NULL},
    {"profile empty", "{\"eat_profile\":\"\"}", ATLS_E_DECODE, "eat_profile"},
    {"profile number", "{\"eat_profile\":1}", ATLS_E_DECODE, "eat_profile"},
    {"profile OID of one arc", "{\"eat_profile\":\"1\"}", ATLS_E_DECODE, "identifier"},
    {"profile OID with a dot behind", "{\"eat_profile\":\"1.2.\"}", ATLS_E_DECODE, "identifier"},
    {"profile OID with two dots", "{\"eat_profile\":\"1..2\"}", ATLS_E_DECODE, "identifier"},
    {"profile OID with a leading zero", "{\"eat_profile\":\"1.02\"}", ATLS_E_DECODE, "identifier"},
    {"profile OID of root 3", "{\"eat_profile\":\"3.2\"}", ATLS_E_DECODE, "identifier"},
    {"profile OID with second arc 40", "{\"eat_profile\":\"1.40\"}", ATLS_E_DECODE, "identifier"},
    {"profile OID with an arc beyond 64 bits", "{\"eat_profile\":\"1.2.18446744073709551620\"}",
     ATLS_E_DECODE, "identifier"},
    {"profile OID with a letter", "{\"eat_profile\":\"1.2a\"}", ATLS_E_DECODE, "identifier"},

    {"bootcount", "{\"bootcount\":0}", ATLS_OK, NULL},
    {"bootseed", "{\"bootseed\":\"AQ\"}", ATLS_OK, NULL},
    {"bootseed with spare bits", "{\"bootseed\":\"AR\"}", ATLS_E_DECODE, "bootseed"},
    {"dloas", "{\"dloas\":[[\"a\",\"b\",\"c\"],[\"a\",\"b\"]]}", ATLS_OK, NULL},
    {"dloas of one", "{\"dloas\":[[\"a\"]]}", ATLS_E_DECODE, "dloas"},
    {"dloas of four", "{\"dloas\":[[\"a\",\"b\",\"c\",\"d\"]]}", ATLS_E_DECODE, "dloas"},
    {"dloas with numbers", "{\"dloas\":[[1,2,3]]}", ATLS_E_DECODE, "dloas registrar"},
    {"dloas with a number for platform", "{\"dloas\":[[\"a\",2]]}", ATLS_E_DECODE,
     "dloas platform"},
    {"dloas with a number for application", "{\"dloas\":[[\"a\",\"b\",2]]}", ATLS_E_DECODE,
     "dloas application"},
    {"dloas empty", "{\"dloas\":[]}", ATLS_E_DECODE, "dloas"},
    {"swname", "{\"swname\":\"a\"}", ATLS_OK, NULL},
    {"swversion", "{\"swversion\":[\"a\"]}", ATLS_OK, NULL},
    {"manifests", "{\"manifests\":[[65535,\"AQ\"]]}", ATLS_OK, NULL},
    {"manifests format of 17 bits", "{\"manifests\":[[65536,\"AQ\"]]}", ATLS_E_DECODE, "manifests"},
    {"manifests format negative", "{\"manifests\":[[-1,\"AQ\"]]}", ATLS_E_DECODE, "manifests"},
    {"manifests empty", "{\"manifests\":[]}", ATLS_E_DECODE, "manifests"},
    {"manifests of three", "{\"manifests\":[[1,\"AQ\",1]]}", ATLS_E_DECODE, "manifests"},
    {"manifests content empty", "{\"manifests\":[[1,\"\"]]}", ATLS_E_DECODE, "manifests"},
    {"measurements of JSON", "{\"measurements\":[[296,\"{}\"]]}", ATLS_OK, NULL},
    {"measurements of no JSON", "{\"measurements\":[[296,\"\"]]}", ATLS_E_DECODE, "is empty"},
    {"measurements with a number", "{\"measurements\":[[296,1]]}", ATLS_E_DECODE, "measurements"},
    {"measurements of text for bytes", "{\"measurements\":[[295,\"{}\"]]}", ATLS_E_DECODE,
     "base64url"},
    {"measres", "{\"measres\":[[\"a\",[[\"b\",\"not-run\"]]]]}", ATLS_OK, NULL},
    {"measres empty", "{\"measres\":[]}", ATLS_E_DECODE, "measres"},
    {"measres without results", "{\"measres\":[[\"a\",[]]]}", ATLS_E_DECODE, "measres"},
    {"measres group of one", "{\"measres\":[[\"a\"]]}", ATLS_E_DECODE, "measres"},
    {"measres system a number", "{\"measres\":[[1,[[\"b\",\"fail\"]]]]}", ATLS_E_DECODE, "measres"},
    {"measres result of one", "{\"measres\":[[\"a\",[[\"b\"]]]]}", ATLS_E_DECODE, "measres"},
    {"measres id a number", "{\"measres\":[[\"a\",[[1,\"fail\"]]]]}", ATLS_E_DECODE, "measres"},
    {"measres result a number", "{\"measres\":[[\"a\",[[\"b\",1]]]]}", ATLS_E_DECODE, "result"},
    {"measres result of another name", "{\"measres\":[[\"a\",[[\"b\",\"ok\"]]]]}", ATLS_E_DECODE,
     "result"},
    {"intuse", "{\"intuse\":\"pop\"}", ATLS_OK, NULL},
    {"intuse of another name", "{\"intuse\":\"x\"}", ATLS_E_DECODE, "intuse"},
    {"cmw", "{\"cmw\":[\"a/b\",\"AQ\"]}", ATLS_OK, NULL},
    {"cmw broken", "{\"cmw\":[\"a/b\"]}", ATLS_E_DECODE, "CMW"},

    {"submods claims set", "{\"submods\":{\"a\":{}}}", ATLS_OK, NULL},
    {"submods empty", "{\"submods\":{}}", ATLS_E_DECODE, "submods"},
    {"submods array", "{\"submods\":[]}", ATLS_E_DECODE, "submods"},
    {"submods broken claim within", "{\"submods\":{\"a\":{\"iat\":-1}}}", ATLS_E_DECODE, "iat"},
    {"submods text", "{\"submods\":{\"a\":\"b\"}}", ATLS_E_DECODE, "kind and a token"},
    {"submods JWT", "{\"submods\":{\"a\":[\"JWT\",\"x.y.z\"]}}", ATLS_OK, NULL},
    {"submods JWT empty", "{\"submods\":{\"a\":[\"JWT\",\"\"]}}", ATLS_E_DECODE, "JWT is empty"},
    {"submods JWT number", "{\"submods\":{\"a\":[\"JWT\",1]}}", ATLS_E_DECODE, "submods"},
    {"submods CBOR", "{\"submods\":{\"a\":[\"CBOR\",\"0oA\"]}}", ATLS_OK, NULL},
    {"submods CBOR without tag", "{\"submods\":{\"a\":[\"CBOR\",\"gA\"]}}", ATLS_E_DECODE,
     "no token"},
    {"submods CBOR no base64url", "{\"submods\":{\"a\":[\"CBOR\",\"0oA=\"]}}", ATLS_E_DECODE,
     "base64url"},
    {"submods bundle in CBOR", "{\"submods\":{\"a\":[\"CBOR\",\"2QJagA\"]}}", ATLS_OK, NULL},
    {"submods digest by name", "{\"submods\":{\"a\":[\"DIGEST\",[\"SHA-256\",\"" B32 "\"]]}}",
     ATLS_OK, NULL},
    {"submods digest by number", "{\"submods\":{\"a\":[\"DIGEST\",[-16,\"" B32 "\"]]}}", ATLS_OK,
     NULL},
    {"submods digest of 33", "{\"submods\":{\"a\":[\"DIGEST\",[-16,\"" B33 "\"]]}}", ATLS_E_DECODE,
     "as long as"},
    {"submods digest algorithm true", "{\"submods\":{\"a\":[\"DIGEST\",[true,\"" B33 "\"]]}}",
     ATLS_E_DECODE, "digest algorithm"},
    {"submods digest bare", "{\"submods\":{\"a\":[\"DIGEST\",\"" B32 "\"]}}", ATLS_E_DECODE,
     "digest"},
    {"submods bundle", "{\"submods\":{\"a\":[\"BUNDLE\",[1]]}}", ATLS_OK, NULL},
    {"submods bundle object", "{\"submods\":{\"a\":[\"BUNDLE\",{}]}}", ATLS_E_DECODE, "none of"},
    {"submods of another kind", "{\"submods\":{\"a\":[\"jwt\",\"x.y.z\"]}}", ATLS_E_DECODE,
     "none of"},
    {"submods of one element", "{\"submods\":{\"a\":[\"JWT\"]}}", ATLS_E_DECODE,
     "kind and a token"},
    {"submods of three elements", "{\"submods\":{\"a\":[\"JWT\",\"x\",1]}}", ATLS_E_DECODE,
     "kind and a token"},
    {"submods kind a number", "{\"submods\":{\"a\":[1,\"x\"]}}", ATLS_E_DECODE, "kind and a token"},
};

static void rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_bytes in = atls_bytes_of(rows[i].json, strlen(rows[i].json));
        struct atls_arena arena = atls_arena_init(ARENA_MAX);
        struct atls_eat_claims claims = {.other_count = 77};
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        test_assert_code(decode(in, &arena, &claims, &err), rows[i].want, &err);
        if (rows[i].want == ATLS_OK) {
            for (size_t len = 0; len < in.len; len++)
                assert_int_not_equal(decode(atls_bytes_of(in.ptr, len), &arena, &claims, NULL),
                                     ATLS_OK);
        } else {
            assert_int_equal(claims.other_count, 77);
            if (strstr(err.message, rows[i].message) == NULL)
                fail_msg("%s, want %s", err.message, rows[i].message);
        }
        atls_arena_clear(&arena);
    }
}

static void lists_up_to_the_limit(void **state)
{
    static const struct {
        const char *name, *before, *element, *after; /* %zu: to make names unique */
        size_t most;
    } lists[] = {
        {"claims", "{", "\"%zu\":0", "}", 256},
        {"submods", "{\"submods\":{", "\"%zu\":{}", "}}", 64},
        {"sueids", "{\"sueids\":{", "\"%zu\":\"" B7 "\"", "}}", 64},
        {"aud", "{\"aud\":[", "\"%zu\"", "]}", 64},
        {"nonces", "{\"eat_nonce\":[", "\"" B8 "\"", "]}", 64},
        {"dloas", "{\"dloas\":[", "[\"%zu\",\"\"]", "]}", 64},
    };
    char *json = malloc(8192);

    (void)state;
    assert_non_null(json);
    for (size_t i = 0; i < COUNT(lists); i++)
        for (size_t count = lists[i].most; count <= lists[i].most + 1; count++) {
            struct atls_arena arena = atls_arena_init(ARENA_MAX);
            struct atls_err err = ATLS_ERR_INIT;
            struct atls_eat_claims claims;
            const char *number = strstr(lists[i].element, "%zu");

            strcpy(json, lists[i].before);
            for (size_t k = 0; k < count; k++) {
                char element[64];

                if (number == NULL)
                    snprintf(element, sizeof element, "%s", lists[i].element);
                else
                    snprintf(element, sizeof element, "%.*s%u%s", (int)(number - lists[i].element),
                             lists[i].element, (unsigned int)k, number + 3);
                strcat(json, k == 0 ? "" : ",");
                strcat(json, element);
            }
            strcat(json, lists[i].after);
            print_message("  %s, %zu\n", lists[i].name, count);
            test_assert_code(decode(atls_bytes_of(json, strlen(json)), &arena, &claims, &err),
                             count == lists[i].most ? ATLS_OK : ATLS_E_LIMIT, &err);
            atls_arena_clear(&arena);
        }
    free(json);
}

static void depth(void **state)
{
    static const struct {
        unsigned int sets, outer;
        enum atls_code want;
    } rows_of_depth[] = {
        {8, 0, ATLS_OK}, {9, 0, ATLS_E_LIMIT}, {1, 7, ATLS_OK}, {1, 8, ATLS_E_LIMIT}};

    (void)state;
    for (size_t i = 0; i < COUNT(rows_of_depth); i++) {
        struct atls_arena arena = atls_arena_init(ARENA_MAX);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_eat_claims claims;
        char json[512] = "";

        for (unsigned int k = 1; k < rows_of_depth[i].sets; k++)
            strcat(json, "{\"submods\":{\"x\":");
        strcat(json, "{}");
        for (unsigned int k = 1; k < rows_of_depth[i].sets; k++)
            strcat(json, "}}");
        test_assert_code(atls_eat_json_decode(atls_bytes_of(json, strlen(json)),
                                              rows_of_depth[i].outer, &arena, &claims, &err),
                         rows_of_depth[i].want, &err);
        atls_arena_clear(&arena);
    }
}

static void what_claims_say(void **state)
{
    static const char json[] =
        "{\"sub\":\"s\",\"jti\":\"id\",\"cnf\":{\"jwk\":{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":"
        "\"k\",\"x\":\"" B32 "\",\"y\":\"" B32 "\"}},\"eat_nonce\":\"+/8DBAUGBwg=\",\"location\":{"
        "\"latitude\":1.5,\"longitude\":-2},\"eat_profile\":\"2.16.840.1.113741.1.16.1\","
        "\"intuse\":\"csr\",\"measurements\":[[296,\"{}\"],[258,\"AQ\"]],\"submods\":{\"t\":["
        "\"CBOR\","
        "\"0oA\"],\"b\":[\"CBOR\",\"2QJagA\"],\"j\":[\"BUNDLE\",[1, 2]]},\"x\":[1, 2]}";
    static const uint8_t nonce[] = {0xfb, 0xff, 3, 4, 5, 6, 7, 8};
    static const uint8_t oid[] = {0x60, 0x86, 0x48, 0x01, 0x86, 0xf8, 0x4d, 0x01, 0x10, 0x01};
    struct atls_arena arena = atls_arena_init(ARENA_MAX);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_eat_claims c;

    (void)state;
    test_assert_code(decode(atls_bytes_of(json, strlen(json)), &arena, &c, &err), ATLS_OK, &err);
    assert_true(atls_bytes_equal_text(c.sub, "s"));
    assert_true(atls_bytes_equal_text(c.cti, "id"));
    assert_int_equal(c.cnf.key.crv, ATLS_COSE_P256);
    assert_true(atls_bytes_equal_text(c.cnf.key.kid, "k"));
    assert_int_equal(c.cnf.key.y.len, 32);
    assert_int_equal(c.nonce_count, 1);
    test_assert_bytes(c.nonces[0], atls_bytes_of(nonce, sizeof nonce));
    assert_true(atls_bytes_equal_text(c.location.numbers[0], "1.5"));
    assert_true(atls_bytes_equal_text(c.location.numbers[1], "-2"));
    assert_true(c.profile.is_oid);
    test_assert_bytes(c.profile.value, atls_bytes_of(oid, sizeof oid));
    assert_int_equal(c.intuse.value, 4);
    assert_true(c.measurements[0].is_text && !c.measurements[1].is_text);
    assert_int_equal(atls_eat_submod_find(&c, "t")->kind, ATLS_EAT_SUBMOD_CBOR_TOKEN);
    assert_int_equal(atls_eat_submod_find(&c, "b")->kind, ATLS_EAT_SUBMOD_BUNDLE);
    assert_true(atls_bytes_equal_text(atls_eat_submod_find(&c, "j")->token, "[1,2]"));
    assert_int_equal(c.other_count, 1);
    assert_true(atls_bytes_equal_text(c.others[0].key.text, "x"));
    assert_true(atls_bytes_equal_text(c.others[0].value, "[1,2]"));
    atls_arena_clear(&arena);
}

static void short_of_memory(void **state)
{
    static const char json[] =
        "{\"aud\":\"a\",\"cnf\":{\"jwk\":" JWK "},\"eat_nonce\":\"" B8 "\",\"sueids\":{\"a\":\"" B7
        "\"},\"eat_profile\":\"1.2.3\",\"dloas\":[[\"a\",\"b\"]],\"manifests\":[[1,\"AQ\"]],"
        "\"measres\":[[\"a\",[[\"b\",\"fail\"]]]],\"cmw\":[\"a/b\",\"AQ\"],\"submods\":{\"a\":{}},"
        "\"x\":1}";
    size_t limit = 0;
    enum atls_code code;

    (void)state;
    do {
        struct atls_arena arena = atls_arena_init(limit);
        struct atls_eat_claims claims = {.other_count = 77};
        struct atls_err err = ATLS_ERR_INIT;

        code = decode(atls_bytes_of(json, strlen(json)), &arena, &claims, &err);
        assert_true(code == ATLS_OK || code == ATLS_E_NOMEM);
        assert_int_equal(claims.other_count, code == ATLS_OK ? 1 : 77);
        atls_arena_clear(&arena);
        limit += 16;
    } while (code != ATLS_OK);
    assert_true(limit > 1024);
}

static void too_long(void **state)
{
    struct atls_arena arena = atls_arena_init(ARENA_MAX);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_eat_claims claims;
    char *json = malloc(ATLS_EAR_MAX + 1);

    (void)state;
    assert_non_null(json);
    memset(json, ' ', ATLS_EAR_MAX + 1);
    memcpy(json, "{}", 2);
    test_assert_code(decode(atls_bytes_of(json, ATLS_EAR_MAX), &arena, &claims, &err), ATLS_OK,
                     &err);
    test_assert_code(decode(atls_bytes_of(json, ATLS_EAR_MAX + 1), &arena, &claims, &err),
                     ATLS_E_LIMIT, &err);
    atls_arena_clear(&arena);
    free(json);
}

static void selectors(void **state)
{
    static const struct {
        const char *name, *json;
        enum atls_eat_submod_kind want; /* 0: refused */
    } selected[] = {
        {"JWT", "[\"JWT\",\"x\"]", ATLS_EAT_SUBMOD_JSON_TOKEN},
        {"CBOR", "[\"CBOR\",\"0oA\"]", ATLS_EAT_SUBMOD_CBOR_TOKEN},
        {"BUNDLE", "[\"BUNDLE\",[]]", ATLS_EAT_SUBMOD_BUNDLE},
        {"DIGEST", "[\"DIGEST\",[-16,\"" B32 "\"]]", 0},
        {"claims set", "{}", 0},
        {"one element", "[\"JWT\"]", 0},
        {"trailing text", "[\"JWT\",\"x\"]x", 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(selected); i++) {
        struct atls_arena arena = atls_arena_init(ARENA_MAX);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_eat_submod submod = {.token = {NULL, 77}};

        print_message("  %s\n", selected[i].name);
        test_assert_code(
            atls_eat_json_selector_decode(atls_bytes_of(selected[i].json, strlen(selected[i].json)),
                                          &arena, &submod, &err),
            selected[i].want == 0 ? ATLS_E_DECODE : ATLS_OK, &err);
        assert_int_equal(submod.kind, selected[i].want);
        if (selected[i].want == 0)
            assert_int_equal(submod.token.len, 77);
        atls_arena_clear(&arena);
    }
}

static void bundles(void **state)
{
    static const struct {
        const char *name, *json;
        enum atls_eat_submod_kind want; /* 0: refused */
        const char *message;
    } tokens[] = {
        {"JWT", "[[\"JWT\",\"x\"],{\"a\":\"e30\"}]", ATLS_EAT_SUBMOD_JSON_TOKEN, NULL},
        {"CWT", "[[\"CBOR\",\"0oA\"],{\"a\":\"e30\"}]", ATLS_EAT_SUBMOD_CBOR_TOKEN, NULL},
        {"bundle for token", "[[\"BUNDLE\",[]],{\"a\":\"e30\"}]", 0, "digest or a bundle"},
        {"bundle of CBOR for token", "[[\"CBOR\",\"2QJagA\"],{\"a\":\"e30\"}]", 0,
         "digest or a bundle"},
        {"digest for token", "[[\"DIGEST\",[-16,\"" B32 "\"]],{\"a\":\"e30\"}]", 0,
         "digest or a bundle"},
        {"token bare", "[\"x\",{\"a\":\"e30\"}]", 0, "kind and a token"},
        {"no sets", "[[\"JWT\",\"x\"],{}]", 0, "no object"},
        {"sets in an array", "[[\"JWT\",\"x\"],[\"e30\"]]", 0, "no object"},
        {"set bare", "[[\"JWT\",\"x\"],{\"a\":{}}]", 0, "no text"},
        {"set empty", "[[\"JWT\",\"x\"],{\"a\":\"\"}]", 0, "length"},
        {"of one", "[[\"JWT\",\"x\"]]", 0, "array of 2"},
        {"object", "{}", 0, "no array"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(tokens); i++) {
        struct atls_bytes in = atls_bytes_of(tokens[i].json, strlen(tokens[i].json));
        struct atls_arena arena = atls_arena_init(ARENA_MAX), tiny = atls_arena_init(16);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_eat_bundle bundle = {.set_count = 77};

        print_message("  %s\n", tokens[i].name);
        test_assert_code(atls_eat_json_bundle_decode(in, &arena, &bundle, &err),
                         tokens[i].want == 0 ? ATLS_E_DECODE : ATLS_OK, &err);
        assert_int_equal(bundle.main_kind, tokens[i].want);
        assert_int_equal(bundle.set_count, tokens[i].want == 0 ? 77 : 1);
        if (tokens[i].want == 0)
            assert_non_null(strstr(err.message, tokens[i].message));
        else
            test_assert_code(atls_eat_json_bundle_decode(in, &tiny, &bundle, &err), ATLS_E_NOMEM,
                             &err);
        atls_arena_clear(&arena);
        atls_arena_clear(&tiny);
    }
}

static void measured_components(void **state)
{
    static const struct {
        const char *name, *json, *message; /* NULL: valid */
    } components[] = {
        {"digest", "{\"id\":[\"x\"],\"digested-measurement\":[\"sha-256\",\"" B32 "\"]}", NULL},
        {"raw", "{\"id\":[\"x\",[\"1\",2]],\"raw-measurement\":\"AQ\"}", NULL},
        {"all",
         "{\"id\":[\"x\"],\"digested-measurement\":[1,\"" B32
         "\"],\"authorities\":[\"AQ\",\"Ag\"],\"flags\":\"" B8 "\"}",
         NULL},
        {"no id", "{\"raw-measurement\":\"AQ\"}", "component id"},
        {"id a text", "{\"id\":\"x\",\"raw-measurement\":\"AQ\"}", "component id"},
        {"id with a number", "{\"id\":[1],\"raw-measurement\":\"AQ\"}", "component id"},
        {"id with a bare version", "{\"id\":[\"x\",\"1\"],\"raw-measurement\":\"AQ\"}",
         "component version"},
        {"no measurement", "{\"id\":[\"x\"]}", "exactly one"},
        {"two measurements",
         "{\"id\":[\"x\"],\"raw-measurement\":\"AQ\",\"digested-measurement\":[1,\"" B32 "\"]}",
         "exactly one"},
        {"digest of 33", "{\"id\":[\"x\"],\"digested-measurement\":[1,\"" B33 "\"]}", "as long as"},
        {"raw a number", "{\"id\":[\"x\"],\"raw-measurement\":1}", "raw measurement"},
        {"another member", "{\"id\":[\"x\"],\"raw-measurement\":\"AQ\",\"x\":1}", "not known"},
        {"authorities empty", "{\"id\":[\"x\"],\"raw-measurement\":\"AQ\",\"authorities\":[]}",
         "authorities"},
        {"authority empty", "{\"id\":[\"x\"],\"raw-measurement\":\"AQ\",\"authorities\":[\"\"]}",
         "authorities"},
        {"flags of 7", "{\"id\":[\"x\"],\"raw-measurement\":\"AQ\",\"flags\":\"" B7 "\"}", "flags"},
        {"array", "[]", "no object"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(components); i++) {
        struct atls_bytes in = atls_bytes_of(components[i].json, strlen(components[i].json));
        struct atls_arena arena = atls_arena_init(ARENA_MAX);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_eat_component c = {.name = {NULL, 77}};

        print_message("  %s\n", components[i].name);
        test_assert_code(atls_eat_json_component_decode(in, &arena, &c, &err),
                         components[i].message == NULL ? ATLS_OK : ATLS_E_DECODE, &err);
        assert_int_equal(c.name.len, components[i].message == NULL ? 1 : 77);
        if (components[i].message != NULL && strstr(err.message, components[i].message) == NULL)
            fail_msg("%s, want %s", err.message, components[i].message);
        atls_arena_clear(&arena);
    }
}

static void published_files(void **state)
{
    struct atls_buf results = test_vector("eat/eat-valid_results.json");
    struct atls_buf component = test_vector("eat/measured-component-ex1.json");
    struct atls_buf in_cbor = test_vector("eat/measured-component-ex1.cbor");
    struct atls_arena arena = atls_arena_init(ARENA_MAX);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_eat_component json, cbor;
    struct atls_eat_claims claims;

    (void)state;
    test_assert_code(decode(atls_buf_bytes(&results), &arena, &claims, &err), ATLS_OK, &err);
    assert_int_equal(claims.dbgstat.value, 2);
    assert_int_equal(claims.measres[0].results[0].result, ATLS_EAT_RESULT_SUCCESS);
    assert_int_equal(claims.nonces[0].len, 8);

    /* One component, two notations. */
    test_assert_code(
        atls_eat_json_component_decode(atls_buf_bytes(&component), &arena, &json, &err), ATLS_OK,
        &err);
    test_assert_code(atls_eat_component_decode(atls_buf_bytes(&in_cbor), &arena, &cbor, &err),
                     ATLS_OK, &err);
    test_assert_bytes(json.name, cbor.name);
    test_assert_bytes(json.digest.digest, cbor.digest.digest);
    test_assert_bytes(json.authorities[1], cbor.authorities[1]);
    test_assert_bytes(json.flags, cbor.flags);
    assert_true(json.version.scheme.number == cbor.version.scheme.number);
    atls_arena_clear(&arena);
    atls_buf_clear(&results);
    atls_buf_clear(&component);
    atls_buf_clear(&in_cbor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules),
        cmocka_unit_test(lists_up_to_the_limit),
        cmocka_unit_test(depth),
        cmocka_unit_test(what_claims_say),
        cmocka_unit_test(short_of_memory),
        cmocka_unit_test(too_long),
        cmocka_unit_test(selectors),
        cmocka_unit_test(bundles),
        cmocka_unit_test(measured_components),
        cmocka_unit_test(published_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
