#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include <atls/corim.h>

#include "crypto/crypto.h"
#include "store/json.h"
#include "store/manifest.h"
#include "wire/cbor.h"
#include "wire/corim.h"
#include "wire/kat.h"

#define CLASS "cd1f0e55-26f9-460d-b9d8-f7fde171787c"
#define HEAD  "\"id\": \"i\", \"tag-id\": \"t\", \"class\": \"" CLASS "\""
#define A64   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B64   "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"
#define A96   A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define PCR0  "\"reference-values\": {\"sha256\": {\"0\": \"" A64 "\"}}"
#define UEID  "01" A64
/* A P-256 key (that of the published signed manifest). */
#define PEM                                                                                        \
    "-----BEGIN PUBLIC KEY-----\\n"                                                                \
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMKBCTNIcKUSDii11ySs3526iDZ8A\\n"                          \
    "iTo7Tu6KPAqv7D7gS2XpJFbZiItSs3m9+9Ue6GnvHw/GW2ZZaVtszggXIw==\\n"                              \
    "-----END PUBLIC KEY-----\\n"
#define KEY "{\"instance\": \"" UEID "\", \"key\": \"" PEM "\"}"

static enum atls_code create(const char *json, struct atls_buf *out, struct atls_err *err)
{
    return atls_corim_create(atls_bytes_of(json, strlen(json)), out, err);
}

static const struct {
    const char *name, *json;
    enum atls_code want;
    const char *says;
} rows[] = {
    {"one PCR", "{" HEAD ", " PCR0 "}", ATLS_OK, NULL},
    {"one key", "{" HEAD ", \"attest-keys\": [" KEY "]}", ATLS_OK, NULL},
    {"highest PCR", "{" HEAD ", \"reference-values\": {\"sha256\": {\"23\": \"" A64 "\"}}}",
     ATLS_OK, NULL},
    {"software",
     "{" HEAD ", \"profile\": \"soft\", \"reference-values\": {\"sha384\": {\"app\": \"" A96
     "\"}}}",
     ATLS_OK, NULL},
    {"instance as a UEID", "{" HEAD ", \"instance-form\": \"ueid\", \"attest-keys\": [" KEY "]}",
     ATLS_OK, NULL},
    {"instance as bytes", "{" HEAD ", \"instance-form\": \"bytes\", \"attest-keys\": [" KEY "]}",
     ATLS_OK, NULL},
    {"instance of no known form",
     "{" HEAD ", \"instance-form\": \"uuid\", \"attest-keys\": [" KEY "]}", ATLS_E_DECODE,
     "$.instance-form: neither"},
    {"instance form is a number", "{" HEAD ", \"instance-form\": 560, \"attest-keys\": [" KEY "]}",
     ATLS_E_DECODE, "$.instance-form"},
    {"validity", "{" HEAD ", " PCR0 ", \"not-before\": 0, \"not-after\": 5}", ATLS_OK, NULL},
    {"no JSON", "x", ATLS_E_DECODE, "JSON: line 1"},
    {"a list", "[]", ATLS_E_DECODE, "$: not an object"},
    {"unknown member", "{" HEAD ", " PCR0 ", \"pcrs\": {}}", ATLS_E_DECODE,
     "$.pcrs: unknown member"},
    {"duplicate member", "{" HEAD ", \"id\": \"j\", " PCR0 "}", ATLS_E_DECODE, "JSON: line 1"},
    {"no id", "{\"tag-id\": \"t\", \"class\": \"" CLASS "\", " PCR0 "}", ATLS_E_DECODE,
     "$.id: missing"},
    {"id is a number", "{\"id\": 7}", ATLS_E_DECODE, "$.id: not a text"},
    {"empty id", "{\"id\": \"\"}", ATLS_E_DECODE, "$.id: not a text, or empty"},
    {"no tag-id", "{\"id\": \"i\", \"class\": \"" CLASS "\"}", ATLS_E_DECODE, "$.tag-id: missing"},
    {"no class", "{\"id\": \"i\", \"tag-id\": \"t\"}", ATLS_E_DECODE, "$.class: missing"},
    {"class without hyphens",
     "{\"id\": \"i\", \"tag-id\": \"t\", \"class\": \"cd1f0e5526f9460db9d8f7fde171787c\"}",
     ATLS_E_DECODE, "$.class: not a UUID"},
    {"class with another character",
     "{\"id\": \"i\", \"tag-id\": \"t\", \"class\": \"cd1f0e55-26f9-460d-b9d8-f7fde171787x\"}",
     ATLS_E_DECODE, "$.class: not a UUID"},
    {"class with a hyphen in a wrong place",
     "{\"id\": \"i\", \"tag-id\": \"t\", \"class\": \"cd1f0e552-6f9-460d-b9d8-f7fde171787c\"}",
     ATLS_E_DECODE, "$.class: not a UUID"},
    {"unknown profile", "{" HEAD ", \"profile\": \"sgx\", " PCR0 "}", ATLS_E_DECODE,
     "$.profile: none of"},
    {"vendor is a number", "{" HEAD ", \"vendor\": 1, " PCR0 "}", ATLS_E_DECODE, "$.vendor"},
    {"model is a number", "{" HEAD ", \"model\": 1, " PCR0 "}", ATLS_E_DECODE, "$.model"},
    {"nothing to say", "{" HEAD "}", ATLS_E_DECODE, "$: neither attest-keys nor reference-values"},
    {"beginning without an end", "{" HEAD ", " PCR0 ", \"not-before\": 5}", ATLS_E_DECODE,
     "$.not-after: missing"},
    {"end before the beginning", "{" HEAD ", " PCR0 ", \"not-before\": 5, \"not-after\": 4}",
     ATLS_E_DECODE, "$.not-after: is before not-before"},
    {"negative time", "{" HEAD ", " PCR0 ", \"not-after\": -1}", ATLS_E_DECODE,
     "$.not-after: neither seconds"},
    {"time with a fraction", "{" HEAD ", " PCR0 ", \"not-before\": 1.5}", ATLS_E_DECODE,
     "$.not-before: neither seconds"},
    {"no banks", "{" HEAD ", \"reference-values\": {}}", ATLS_E_DECODE, "$: neither"},
    {"banks are a list", "{" HEAD ", \"reference-values\": []}", ATLS_E_DECODE,
     "$.reference-values: not an object"},
    {"unknown bank", "{" HEAD ", \"reference-values\": {\"sha1\": {}}}", ATLS_E_DECODE,
     "$.reference-values.sha1: unknown member"},
    {"empty bank", "{" HEAD ", \"reference-values\": {\"sha256\": {}}}", ATLS_E_DECODE,
     "$.reference-values.sha256: not an object with members"},
    {"PCR 24", "{" HEAD ", \"reference-values\": {\"sha256\": {\"24\": \"" A64 "\"}}}",
     ATLS_E_DECODE, "$.reference-values.sha256.24: not a PCR index"},
    {"PCR with a leading zero",
     "{" HEAD ", \"reference-values\": {\"sha256\": {\"07\": \"" A64 "\"}}}", ATLS_E_DECODE,
     "sha256.07: not a PCR index"},
    {"PCR by name", "{" HEAD ", \"reference-values\": {\"sha256\": {\"x\": \"" A64 "\"}}}",
     ATLS_E_DECODE, "sha256.x: not a PCR index"},
    {"PCR with an empty name",
     "{" HEAD ", \"reference-values\": {\"sha256\": {\"\": \"" A64 "\"}}}", ATLS_E_DECODE,
     "not a PCR index"},
    {"PCR that is very large",
     "{" HEAD ", \"reference-values\": {\"sha256\": {\"123\": \"" A64 "\"}}}", ATLS_E_DECODE,
     "not a PCR index"},
    {"measurement without a name",
     "{" HEAD ", \"profile\": \"soft\", \"reference-values\": {\"sha256\": {\"\": \"" A64 "\"}}}",
     ATLS_E_DECODE, "without a name"},
    {"digest of another hash",
     "{" HEAD ", \"reference-values\": {\"sha384\": {\"0\": \"" A64 "\"}}}", ATLS_E_DECODE,
     "$.reference-values.sha384.0: not 48 bytes"},
    {"digest with a digit less",
     "{" HEAD ", \"reference-values\": {\"sha256\": {\"0\": \"" A96 "a\"}}}", ATLS_E_DECODE,
     "not 32 bytes"},
    {"digest that is not hexadecimal",
     "{" HEAD ", \"reference-values\": {\"sha256\": {\"0\": \"zz\"}}}", ATLS_E_DECODE,
     "not 32 bytes"},
    {"digest is a number", "{" HEAD ", \"reference-values\": {\"sha256\": {\"0\": 5}}}",
     ATLS_E_DECODE, "not 32 bytes"},
    {"no alternatives in the list", "{" HEAD ", \"reference-values\": {\"sha256\": {\"0\": []}}}",
     ATLS_E_DECODE, "$.reference-values.sha256.0: no value"},
    {"alternative that is no digest",
     "{" HEAD ", \"reference-values\": {\"sha256\": {\"0\": [\"" A64 "\", \"\"]}}}", ATLS_E_DECODE,
     "$.reference-values.sha256.0[1]: not 32 bytes"},
    {"keys are an object", "{" HEAD ", \"attest-keys\": {}}", ATLS_E_DECODE,
     "$.attest-keys: not an array"},
    {"key is text", "{" HEAD ", \"attest-keys\": [\"x\"]}", ATLS_E_DECODE,
     "$.attest-keys[0]: not an object"},
    {"key without an instance", "{" HEAD ", \"attest-keys\": [{\"key\": \"" PEM "\"}]}",
     ATLS_E_DECODE, "$.attest-keys[0].instance: not 33 bytes"},
    {"instance of 32 bytes",
     "{" HEAD ", \"attest-keys\": [{\"instance\": \"" A64 "\", \"key\": \"" PEM "\"}]}",
     ATLS_E_DECODE, "instance: not 33 bytes"},
    {"instance of another kind",
     "{" HEAD ", \"attest-keys\": [{\"instance\": \"02" A64 "\", \"key\": \"" PEM "\"}]}",
     ATLS_E_DECODE, "instance: a UEID of a key begins with 01"},
    {"key that does not parse",
     "{" HEAD ", \"attest-keys\": [{\"instance\": \"" UEID "\", \"key\": \"x\"}]}", ATLS_E_DECODE,
     "$.attest-keys[0].key: "},
    {"second key with an unknown member", "{" HEAD ", \"attest-keys\": [" KEY ", {\"kid\": 1}]}",
     ATLS_E_DECODE, "$.attest-keys[1].kid: unknown member"},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf out = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code = create(rows[i].json, &out, &err);

        if (code != rows[i].want ||
            (rows[i].says != NULL && strstr(err.message, rows[i].says) == NULL))
            fail_msg("%s: code %d: %s", rows[i].name, code, err.message);
        assert_true((code == ATLS_OK) == (out.len != 0));
        atls_buf_clear(&out);
    }
}

static void test_round_trip(void **state)
{
    static const char json[] =
        "{" HEAD ", \"vendor\": \"V\", \"model\": \"M\", \"not-before\": \"2026-01-31T12:00:00Z\","
        " \"not-after\": \"2028-02-29T23:59:59Z\", \"attest-keys\": [" KEY "],"
        " \"reference-values\": {\"sha256\": {\"0\": \"" A64 "\", \"7\": [\"" A64 "\", \"" B64
        "\"], \"14\": \"" B64 "\"}, \"sha384\": {\"0\": \"" A96 "\"}}}";
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    const struct atls_comid *m;
    struct atls_corim c;

    (void)state;
    test_assert_code(create(json, &out, &err), ATLS_OK, &err);
    test_assert_code(atls_corim_decode(atls_buf_bytes(&out), &c, &err), ATLS_OK, &err);
    test_assert_bytes(c.id.text, atls_bytes_of("i", 1));
    test_assert_bytes(c.profile_uri,
                      atls_bytes_of(ATLS_CORIM_TPM_PROFILE, strlen(ATLS_CORIM_TPM_PROFILE)));
    assert_int_equal(c.validity.not_before_s, 1769860800);
    assert_int_equal(c.validity.not_after_s, 1835481599);
    assert_int_equal(c.tag_count, 1);
    m = c.tags[0].comid;
    test_assert_bytes(m->id.text, atls_bytes_of("t", 1));
    /* Two alternatives, the single values of one bank together, the other bank. */
    assert_int_equal(m->reference_count, 4);
    assert_int_equal(m->references[0].count, 1);
    assert_int_equal(m->references[0].measurements[0].mkey.number, 7);
    assert_int_equal(m->references[1].count, 1);
    assert_int_equal(m->references[1].measurements[0].mkey.number, 7);
    assert_int_equal(m->references[1].measurements[0].mval.digests[0].value.ptr[0], 0xbb);
    assert_int_equal(m->references[2].count, 2);
    assert_int_equal(m->references[2].measurements[0].mkey.number, 0);
    assert_int_equal(m->references[2].measurements[1].mkey.number, 14);
    assert_int_equal(m->references[3].measurements[0].mval.digests[0].hash, ATLS_HASH_SHA384);
    test_assert_bytes(m->references[0].environment.vendor, atls_bytes_of("V", 1));
    test_assert_bytes(m->references[0].environment.model, atls_bytes_of("M", 1));
    assert_null(m->references[0].environment.instance.ptr);
    assert_int_equal(m->attest_key_count, 1);
    assert_int_equal(m->attest_keys[0].environment.instance.len, 3 + 2 + 33);
    assert_int_equal(m->attest_keys[0].keys[0].tag, ATLS_TAG_PKIX_KEY);
    atls_corim_clear(&c);
    atls_buf_clear(&out);
}

/* The same octets under either tag. */
static void test_instance_forms(void **state)
{
    static const struct {
        const char *json;
        uint8_t head[4]; /* tag and length of the byte string */
    } forms[] = {
        {"{" HEAD ", \"attest-keys\": [" KEY "]}", {0xd9, 0x02, 0x26, 0x58}},
        {"{" HEAD ", \"instance-form\": \"ueid\", \"attest-keys\": [" KEY "]}",
         {0xd9, 0x02, 0x26, 0x58}},
        {"{" HEAD ", \"instance-form\": \"bytes\", \"attest-keys\": [" KEY "]}",
         {0xd9, 0x02, 0x30, 0x58}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct atls_buf out = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_corim c;
        struct atls_bytes instance;

        test_assert_code(create(forms[i].json, &out, &err), ATLS_OK, &err);
        test_assert_code(atls_corim_decode(atls_buf_bytes(&out), &c, &err), ATLS_OK, &err);
        instance = c.tags[0].comid->attest_keys[0].environment.instance;
        assert_int_equal(instance.len, 3 + 2 + 33);
        assert_memory_equal(instance.ptr, forms[i].head, sizeof forms[i].head);
        assert_int_equal(instance.ptr[4], 33);
        assert_int_equal(instance.ptr[5], 0x01);
        assert_int_equal(instance.ptr[6], 0xaa);
        atls_corim_clear(&c);
        atls_buf_clear(&out);
    }
}

static void test_times(void **state)
{
    static const struct {
        const char *text;
        int64_t want; /* -1: refused */
    } times[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2000-02-29T00:00:00Z", 951782400},
        {"2000-03-01T00:00:00Z", 951868800},
        {"2024-12-31T23:59:59Z", 1735689599},
        {"2100-02-28T00:00:00Z", 4107456000},
        {"9999-12-31T23:59:59Z", 253402300799},
        {"2100-02-29T00:00:00Z", -1},
        {"2026-02-29T00:00:00Z", -1},
        {"1969-12-31T23:59:59Z", -1},
        {"2026-00-01T00:00:00Z", -1},
        {"2026-13-01T00:00:00Z", -1},
        {"2026-04-31T00:00:00Z", -1},
        {"2026-01-00T00:00:00Z", -1},
        {"2026-12-32T00:00:00Z", -1},
        {"2026-01-01T24:00:00Z", -1},
        {"2026-01-01T00:60:00Z", -1},
        {"2026-01-01T00:00:60Z", -1},
        {"2026-01-01T00:00:00", -1},
        {"2026-01-01T00:00:00Zx", -1},
        {"2026-01-01 00:00:00Z", -1},
        {"2026-01-01T00:00:00+01:00", -1},
        {"2026-1-01T00:00:00Z", -1},
        {"20260101T000000Z", -1},
        {"", -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        char json[512];
        struct atls_buf out = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_corim c;
        enum atls_code code;

        snprintf(json, sizeof json, "{" HEAD ", " PCR0 ", \"not-after\": \"%s\"}", times[i].text);
        code = create(json, &out, &err);
        if ((code == ATLS_OK) != (times[i].want >= 0))
            fail_msg("%s: code %d: %s", times[i].text, code, err.message);
        if (code == ATLS_OK) {
            assert_int_equal(atls_corim_decode(atls_buf_bytes(&out), &c, NULL), ATLS_OK);
            if (c.validity.not_after_s != times[i].want)
                fail_msg("%s: %lld", times[i].text, (long long)c.validity.not_after_s);
            atls_corim_clear(&c);
        }
        atls_buf_clear(&out);
    }
}

/* More values than a manifest may hold, and a document that is too large to be read at all. */
static void test_limits(void **state)
{
    enum { VALUES = 4097 };
    size_t size = (size_t)VALUES * 70 + 512, used;
    char *json = malloc(size);
    char *big = calloc(1, (size_t)4 << 20 | 1);
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    assert_non_null(json);
    assert_non_null(big);
    used = (size_t)snprintf(json, size, "{" HEAD ", \"reference-values\": {\"sha256\": {\"0\": [");
    for (int i = 0; i < VALUES; i++)
        used += (size_t)snprintf(json + used, size - used, "%s\"" A64 "\"", i == 0 ? "" : ",");
    snprintf(json + used, size - used, "]}}}");
    test_assert_code(create(json, &out, &err), ATLS_E_LIMIT, &err);
    test_assert_code(atls_corim_create(atls_bytes_of(big, (size_t)4 << 20 | 1), &out, &err),
                     ATLS_E_LIMIT, &err);
    assert_int_equal(out.len, 0);
    free(json);
    free(big);
}

static void test_name_too_long(void **state)
{
    char json[4096], name[1100];
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    snprintf(json, sizeof json,
             "{" HEAD ", \"profile\": \"soft\", \"reference-values\": {\"sha256\": {\"%s\": [\"" A64
             "\"]}}}",
             name);
    test_assert_code(create(json, &out, &err), ATLS_E_DECODE, &err);
    assert_non_null(strstr(err.message, "name too long"));
}

/* ---- showing ---- */

static void test_to_json(void **state)
{
    static const struct {
        const char *file;
        enum atls_code want;
        const char *has[4];
    } shown[] = {
        {"signed-good-corim.cbor",
         ATLS_OK,
         {"\"verified\": false", "\"signer\": \"ACME Ltd signing key\"", "\"cose-alg\": -7",
          "\"not-after\": 1767139200"}},
        {"scheme-parsec-tpm-valid.cbor",
         ATLS_OK,
         {"\"profile\": \"tag:github.com/parallaxsecond,2023-03-03:tpm\"",
          "\"class\": \"" CLASS "\"", "\"algorithm\": \"sha-384\"", "-----BEGIN PUBLIC KEY-----"}},
        {"scheme-psa-valid.cbor",
         ATLS_OK,
         {"\"mkey\": \"psa.software-component\"", "\"name\": \"BL\"", "\"cryptokeys\": [",
          "\"tag\": 554"}},
        {"scheme-sevsnp-valid.cbor",
         ATLS_OK,
         {"\"mkey\": 641", "\"raw-value\": \"", "\"min-svn\": ", "\"svn\": "}},
        {"corim-design-cd.cbor",
         ATLS_OK,
         {"\"endorsed-triples\": [", "\"dependent-rims\": [",
          "\"layer\": ", "\"raw-value-mask\": "}},
        {"corim-roles.cbor",
         ATLS_OK,
         {"\"roles\": [", "\"entities\": [", "\"kind\": \"comid\"", "\"id\": "}},
        {"legacy-signed-corim-valid.cbor", ATLS_E_UNSUPPORTED, {NULL}},
        {"comid-1.cbor", ATLS_E_DECODE, {NULL}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        struct atls_buf in, text = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;
        char path[128];

        snprintf(path, sizeof path, "corim/%s", shown[i].file);
        in = test_vector(path);
        test_assert_code(atls_corim_to_json(atls_buf_bytes(&in), &text, &err), shown[i].want, &err);
        if (shown[i].want == ATLS_OK) {
            json_t *parsed =
                json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);

            assert_non_null(parsed);
            json_decref(parsed);
            for (size_t k = 0; k < 4; k++)
                if (strstr((const char *)text.ptr, shown[i].has[k]) == NULL)
                    fail_msg("%s: no %s in %s", shown[i].file, shown[i].has[k],
                             (const char *)text.ptr);
        }
        atls_buf_clear(&in);
        atls_buf_clear(&text);
    }
}

/* Members that no published manifest of ours has. */
static void test_to_json_of_rare_members(void **state)
{
    static const char *const has[] = {
        "\"version\": 7",
        "\"version\": \"1\"",
        "\"instance\": \"d9022ea10102\"",
        "\"group\": \"55\"",
        "\"class\": \"55\"",
        "\"configured\": true",
        "\"secure\": false",
        "\"raw-value-mask\": \"ff\"",
        "\"name\": \"n\"",
        "\"algorithm\": 99",
        "\"algorithm\": null",
        "\"mkey\": \"55\"",
        "\"conditional\": true",
        "\"content\": \"aa\"",
        "\"kind\": \"coswid\"",
        "\"profile\": \"55\"",
        "\"bytes\": 1",
    };
    struct atls_buf comid =
        test_unhex("a2"
                   "01a20061740107"
                   "04a2"
                   "0081" /* one reference: class by OID, instance by COSE_Key, group */
                   "82a300a100d86f415501d9022ea1010202d902304155"
                   "82" /* two measurements */
                   "a200d86f415501a600a100613103a200f501f404d902338241554"
                   "1ff0b616e0281821863"
                   "4155"
                   "186400"
                   "a101a10281826161"
                   "4155"
                   "0381" /* one key with conditions */
                   "83a102d90230415581d9023041aaa10007");
    struct atls_buf manifest_head = test_unhex("d901f5a3006169"
                                               "0182"
                                               "d901f941a0"
                                               "d901fa");
    struct atls_writer w = atls_writer_init(1 << 16);
    struct atls_buf text = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    atls_put_bytes(&w, atls_buf_bytes(&manifest_head));
    atls_cbor_put_bytes(&w, atls_buf_bytes(&comid));
    atls_put_bytes(&w, atls_bytes_of("\x03\xd8\x6f\x41\x55", 5));
    test_assert_code(atls_corim_to_json(atls_writer_bytes(&w), &text, &err), ATLS_OK, &err);
    for (size_t i = 0; i < sizeof has / sizeof has[0]; i++)
        if (strstr((const char *)text.ptr, has[i]) == NULL)
            fail_msg("no %s in %s", has[i], (const char *)text.ptr);
    atls_writer_clear(&w);
    atls_buf_clear(&text);
    atls_buf_clear(&comid);
    atls_buf_clear(&manifest_head);
}

/* ---- signing ---- */

static void test_sign_and_verify(void **state)
{
    struct atls_corim_sign_options options = {.signer = "me", .not_before_s = 5, .not_after_s = 9};
    struct atls_buf corim = ATLS_BUF_INIT, pem = ATLS_BUF_INIT, out = ATLS_BUF_INIT;
    static const enum atls_key_type types[] = {ATLS_KEY_P256, ATLS_KEY_P384};
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(create("{" HEAD ", " PCR0 "}", &corim, &err), ATLS_OK, &err);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct atls_private_key *key;
        struct atls_bytes spki, payload;

        test_assert_code(atls_private_key_generate(types[i], &key, &err), ATLS_OK, &err);
        test_assert_code(atls_private_key_to_pem(key, &pem, &err), ATLS_OK, &err);
        options.key_pem = atls_buf_bytes(&pem);
        spki = atls_key_spki(atls_private_key_public(key));
        test_assert_code(atls_corim_sign(atls_buf_bytes(&corim), &options, &out, &err), ATLS_OK,
                         &err);
        test_assert_code(atls_corim_verify(atls_buf_bytes(&out), spki, 7, &payload, &err), ATLS_OK,
                         &err);
        test_assert_bytes(payload, atls_buf_bytes(&corim));
        test_assert_code(atls_corim_verify(atls_buf_bytes(&out), spki, 4, &payload, &err),
                         ATLS_E_CERTIFICATE, &err);
        test_assert_code(atls_corim_verify(atls_buf_bytes(&out), spki, 10, &payload, &err),
                         ATLS_E_CERTIFICATE, &err);
        out.ptr[out.len - 1] ^= 1;
        test_assert_code(atls_corim_verify(atls_buf_bytes(&out), spki, 7, &payload, &err),
                         ATLS_E_VERIFY, &err);
        assert_int_equal(err.reason, ATLS_REASON_SIGNATURE);
        atls_private_key_free(key);
        atls_buf_clear(&pem);
        atls_buf_clear(&out);
    }
    atls_buf_clear(&corim);
}

static void test_sign_refused(void **state)
{
    char long_name[129];
    struct atls_private_key *key;
    struct atls_buf corim = ATLS_BUF_INIT, pem = ATLS_BUF_INIT, out = ATLS_BUF_INIT,
                    signed_one = ATLS_BUF_INIT;
    struct atls_corim_sign_options good = {.signer = "me"}, bad;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    memset(long_name, 'n', 128);
    long_name[128] = '\0';
    test_assert_code(create("{" HEAD ", " PCR0 "}", &corim, &err), ATLS_OK, &err);
    test_assert_code(atls_private_key_generate(ATLS_KEY_P256, &key, &err), ATLS_OK, &err);
    test_assert_code(atls_private_key_to_pem(key, &pem, &err), ATLS_OK, &err);
    good.key_pem = atls_buf_bytes(&pem);
    bad = good;
    bad.signer = NULL;
    test_assert_code(atls_corim_sign(atls_buf_bytes(&corim), &bad, &out, &err), ATLS_E_USAGE, &err);
    bad.signer = "";
    test_assert_code(atls_corim_sign(atls_buf_bytes(&corim), &bad, &out, &err), ATLS_E_USAGE, &err);
    bad.signer = long_name;
    test_assert_code(atls_corim_sign(atls_buf_bytes(&corim), &bad, &out, &err), ATLS_E_USAGE, &err);
    bad.signer = "\xff";
    test_assert_code(atls_corim_sign(atls_buf_bytes(&corim), &bad, &out, &err), ATLS_E_USAGE, &err);
    bad = good;
    bad.not_before_s = 9;
    bad.not_after_s = 5;
    test_assert_code(atls_corim_sign(atls_buf_bytes(&corim), &bad, &out, &err), ATLS_E_USAGE, &err);
    bad = good;
    bad.key_pem = atls_bytes_of("x", 1);
    assert_int_not_equal(atls_corim_sign(atls_buf_bytes(&corim), &bad, &out, &err), ATLS_OK);
    /* What is signed already, or no manifest at all. */
    test_assert_code(atls_corim_sign(atls_buf_bytes(&corim), &good, &signed_one, &err), ATLS_OK,
                     &err);
    test_assert_code(atls_corim_sign(atls_buf_bytes(&signed_one), &good, &out, &err), ATLS_E_DECODE,
                     &err);
    test_assert_code(atls_corim_sign(atls_bytes_of("\xa0", 1), &good, &out, &err), ATLS_E_DECODE,
                     &err);
    assert_int_equal(out.len, 0);
    atls_private_key_free(key);
    atls_buf_clear(&corim);
    atls_buf_clear(&pem);
    atls_buf_clear(&signed_one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_instance_forms),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_name_too_long),
        cmocka_unit_test(test_to_json),
        cmocka_unit_test(test_to_json_of_rare_members),
        cmocka_unit_test(test_sign_and_verify),
        cmocka_unit_test(test_sign_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
