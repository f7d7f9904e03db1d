#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "wire/measurement.h"

#define D32 "5820aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define D48                                                                                        \
    "5830aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aa"                                                                                           \
    "aaaaaa"
#define UUID "d825500102030405060708090a0b0c0d0e0f10"

struct row {
    const char *name;
    const char *hex;
    enum atls_code want;
    const char *says; /* part of the message of a refusal */
};

static void assert_row(const struct row *row, enum atls_code code, const struct atls_err *err)
{
    if (code != row->want || (row->says != NULL && strstr(err->message, row->says) == NULL))
        fail_msg("%s: code %d, want %d: %s", row->name, code, row->want, err->message);
    if (row->want == ATLS_E_DECODE)
        assert_int_equal(err->reason, ATLS_REASON_MALFORMED);
}

static const struct row environments[] = {
    {"class with a UUID", "a100a100" UUID, ATLS_OK, NULL},
    {"class with an OID", "a100a100d86f4155", ATLS_OK, NULL},
    {"class with opaque bytes", "a100a100d902304155", ATLS_OK, NULL},
    {"class with vendor, model, layer and index", "a100a4016141026142030104182a", ATLS_OK, NULL},
    {"instance alone, shortest UEID", "a101d9022647010203040506ff", ATLS_OK, NULL},
    {"instance, longest UEID",
     "a101d902265821010000000000000000000000000000000000000000000000000000000000000000", ATLS_OK,
     NULL},
    {"instance by UUID", "a101" UUID, ATLS_OK, NULL},
    {"instance by key text", "a101d9022a6161", ATLS_OK, NULL},
    {"instance by COSE_Key", "a101d9022ea10102", ATLS_OK, NULL},
    {"instance by thumbprint", "a101d9022d8201" D32, ATLS_OK, NULL},
    {"instance by certificate", "a101d902324130", ATLS_OK, NULL},
    {"group alone", "a102" UUID, ATLS_OK, NULL},
    {"not a map", "80", ATLS_E_DECODE, "environment: not a non-empty map"},
    {"empty", "a0", ATLS_E_DECODE, "environment: not a non-empty map"},
    {"empty class", "a100a0", ATLS_E_DECODE, "class: not a non-empty map"},
    {"class is a list", "a10080", ATLS_E_DECODE, "class: not a non-empty map"},
    {"unknown member", "a10300", ATLS_E_UNSUPPORTED, "environment: unknown member"},
    {"member named by text", "a1616100", ATLS_E_UNSUPPORTED, "environment: member with a key"},
    {"unknown member of a class", "a100a10500", ATLS_E_UNSUPPORTED, "class: unknown member"},
    {"member of a class named by text", "a100a1616100", ATLS_E_UNSUPPORTED, "class: member with"},
    {"class-id without a tag", "a100a1004155", ATLS_E_DECODE, "class-id: not tagged"},
    {"class-id with the tag of a UEID", "a100a100d9022647010203040506ff", ATLS_E_DECODE,
     "class-id: tag 550 is not one of its choices"},
    {"class-id with the tag of old PSA manifests", "a100a100d902584155", ATLS_E_UNSUPPORTED,
     "tag 600 or 601"},
    {"UUID of 15 bytes", "a100a100d8254f0102030405060708090a0b0c0d0e0f", ATLS_E_DECODE,
     "class-id: tag 37 is not on a byte string of legal length"},
    {"UUID of 17 bytes", "a100a100d825510102030405060708090a0b0c0d0e0f1011", ATLS_E_DECODE,
     "legal length"},
    {"UUID is text", "a100a100d82561ff", ATLS_E_DECODE, "legal length"},
    {"empty OID", "a100a100d86f40", ATLS_E_DECODE, "legal length"},
    {"vendor is a number", "a100a10101", ATLS_E_DECODE, "class: member of the wrong type"},
    {"model is a number", "a100a10201", ATLS_E_DECODE, "class: member of the wrong type"},
    {"layer is negative", "a100a10320", ATLS_E_DECODE, "class: member of the wrong type"},
    {"index is text", "a100a1046131", ATLS_E_DECODE, "class: member of the wrong type"},
    {"UEID of 6 bytes", "a101d9022646010203040506", ATLS_E_DECODE, "instance: tag 550"},
    {"UEID of 34 bytes",
     "a101d90226582201000000000000000000000000000000000000000000000000000000000000000000",
     ATLS_E_DECODE, "instance: tag 550"},
    {"key text is bytes", "a101d9022a4161", ATLS_E_DECODE, "PEM text is not on text"},
    {"key text is empty", "a101d9022a60", ATLS_E_DECODE, "PEM text is not on text"},
    {"thumbprint of the wrong length", "a101d9022d82014155", ATLS_E_DECODE, "digest of 1 bytes"},
    {"COSE_Key is a number", "a101d9022e01", ATLS_E_DECODE, "tag 558 is not on a COSE_Key"},
    {"group by UEID", "a102d9022647010203040506ff", ATLS_E_DECODE, "group: tag 550"},
    {"one trailing byte", "a102" UUID "00", ATLS_E_DECODE, "trailing bytes"},
};

static void test_environments(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof environments / sizeof environments[0]; i++) {
        struct atls_buf in = test_unhex(environments[i].hex);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_environment e;

        assert_row(&environments[i], atls_environment_decode(atls_buf_bytes(&in), &e, &err), &err);
        /* Every prefix of a good one is refused. */
        for (size_t n = 0; environments[i].want == ATLS_OK && n < in.len; n++)
            assert_int_not_equal(atls_environment_decode(atls_bytes_of(in.ptr, n), &e, NULL),
                                 ATLS_OK);
        atls_buf_clear(&in);
    }
}

static void test_environment_members(void **state)
{
    struct atls_buf in = test_unhex("a300a500" UUID "0161560261"
                                    "4d0301041907d001d9022647010203040506"
                                    "ff02d902304155");
    struct atls_buf uuid = test_unhex(UUID), ueid = test_unhex("d9022647010203040506ff"),
                    group = test_unhex("d902304155");
    struct atls_environment e;

    (void)state;
    test_assert_code(atls_environment_decode(atls_buf_bytes(&in), &e, NULL), ATLS_OK, NULL);
    test_assert_bytes(e.class_id, atls_buf_bytes(&uuid));
    test_assert_bytes(e.instance, atls_buf_bytes(&ueid));
    test_assert_bytes(e.group, atls_buf_bytes(&group));
    test_assert_bytes(e.vendor, atls_bytes_of("V", 1));
    test_assert_bytes(e.model, atls_bytes_of("M", 1));
    assert_true(e.has_layer && e.layer == 1 && e.has_index && e.index == 2000);
    atls_buf_clear(&in);
    atls_buf_clear(&uuid);
    atls_buf_clear(&ueid);
    atls_buf_clear(&group);
}

static const struct row measurements[] = {
    {"one digest", "81a101a102818201" D32, ATLS_OK, NULL},
    {"PCR index as mkey", "81a2000701a102818201" D32, ATLS_OK, NULL},
    {"text as mkey", "81a200616101a102818201" D32, ATLS_OK, NULL},
    {"UUID as mkey", "81a200" UUID "01a102818201" D32, ATLS_OK, NULL},
    {"OID as mkey", "81a200d86f415501a10101", ATLS_OK, NULL},
    {"digests of two algorithms", "81a101a102828201" D32 "8207" D48, ATLS_OK, NULL},
    {"algorithm by name", "81a101a1028182677368612d323536" D32, ATLS_OK, NULL},
    {"algorithm with an unknown number",
     "81a101a10281821863"
     "4155",
     ATLS_OK, NULL},
    {"two algorithms with unknown names", "81a101a1028282616141558261624155", ATLS_OK, NULL},
    {"exact svn with its tag", "81a101a101d9022805", ATLS_OK, NULL},
    {"version with a scheme", "81a101a100a200613101194000", ATLS_OK, NULL},
    {"raw value", "81a101a104d902304155", ATLS_OK, NULL},
    {"raw value with a mask",
     "81a101a104d90233824155"
     "41ff",
     ATLS_OK, NULL},
    {"raw value with the old mask",
     "81a101a204d902304155"
     "0541ff",
     ATLS_OK, NULL},
    {"range", "81a101a10fd90234820105", ATLS_OK, NULL},
    {"range without a most", "81a101a10fd902348201f6", ATLS_OK, NULL},
    {"range of one number", "81a101a10f07", ATLS_OK, NULL},
    {"integrity registers by number and name", "81a101a10ea200818201" D32 "6161818201" D32, ATLS_OK,
     NULL},
    {"keys", "81a101a10d81d902304155", ATLS_OK, NULL},
    {"a member of some profile", "81a101a1384800", ATLS_OK, NULL},
    {"a member named by text", "81a101a1616100", ATLS_OK, NULL},
    {"not a list", "a0", ATLS_E_DECODE, "measurements: not a non-empty list"},
    {"empty list", "80", ATLS_E_DECODE, "measurements: not a non-empty list"},
    {"measurement is a list", "8180", ATLS_E_DECODE, "measurement: not a map"},
    {"no values", "81a10007", ATLS_E_DECODE, "measurement: has no values"},
    {"empty values", "81a101a0", ATLS_E_DECODE, "mval: not a non-empty map"},
    {"unknown member", "81a201a101010300", ATLS_E_UNSUPPORTED, "measurement: unknown member"},
    {"member named by text", "81a1616100", ATLS_E_UNSUPPORTED, "measurement: member with a key"},
    {"negative mkey", "81a2002001a10101", ATLS_E_DECODE, "mkey: not tagged"},
    {"mkey of old PSA manifests", "81a200d90259a001a10101", ATLS_E_UNSUPPORTED, "600 or 601"},
    {"mval key is bytes", "81a101a1414100", ATLS_E_DECODE, "mval: key is neither"},
    {"no digests in the list", "81a101a10280", ATLS_E_DECODE, "digests: digests are not"},
    {"one algorithm twice", "81a101a102828201" D32 "8201" D32, ATLS_E_DECODE,
     "two digests of one algorithm"},
    {"one algorithm twice, by number and name", "81a101a102828201" D32 "82677368612d323536" D32,
     ATLS_E_DECODE, "two digests of one algorithm"},
    {"one unknown name twice", "81a101a1028282616141558261614155", ATLS_E_DECODE,
     "two digests of one algorithm"},
    {"digest longer than its algorithm", "81a101a102818201" D48, ATLS_E_DECODE,
     "digest of 48 bytes, sha-256 has 32"},
    {"digest shorter than its algorithm", "81a101a102818207" D32, ATLS_E_DECODE,
     "digest of 32 bytes, sha-384 has 48"},
    {"empty digest",
     "81a101a10281821863"
     "40",
     ATLS_E_DECODE, "not a non-empty byte string"},
    {"digest of three members", "81a101a102818301" D32 "00", ATLS_E_DECODE, "[algorithm, bytes]"},
    {"algorithm is bytes", "81a101a10281824101" D32, ATLS_E_DECODE, "neither a number nor a name"},
    {"svn below zero", "81a101a10120", ATLS_E_DECODE, "svn: not an unsigned integer"},
    {"svn with another tag", "81a101a101d9022a05", ATLS_E_DECODE, "neither 552 nor 553"},
    {"version without text", "81a101a100a10101", ATLS_E_DECODE, "version: has no text"},
    {"version is text", "81a101a1006131", ATLS_E_DECODE, "version: not a map"},
    {"version text is a number", "81a101a100a10001", ATLS_E_DECODE, "version: member of the wrong"},
    {"version with an unknown member", "81a101a100a10201", ATLS_E_DECODE, "version: unknown"},
    {"empty flags", "81a101a103a0", ATLS_E_DECODE, "flags: not a non-empty map"},
    {"unknown flag", "81a101a103a10bf5", ATLS_E_UNSUPPORTED, "flags: unknown member"},
    {"flag is a number", "81a101a103a10001", ATLS_E_DECODE, "neither true nor false"},
    {"raw value with another tag", "81a101a104d902324155", ATLS_E_DECODE, "neither 560 nor 563"},
    {"raw value is text", "81a101a104d902306161", ATLS_E_DECODE, "not bytes, nor"},
    {"raw value pair of three", "81a101a104d9023383415541ff41ff", ATLS_E_DECODE, "not bytes, nor"},
    {"mask longer than its value", "81a101a104d9023382415542ffff", ATLS_E_DECODE,
     "mask is not as long"},
    {"mask without a value", "81a101a10541ff", ATLS_E_DECODE, "mask is not as long"},
    {"two masks",
     "81a101a204d90233824155"
     "41ff"
     "0541ff",
     ATLS_E_DECODE, "a second one"},
    {"mask is text", "81a101a105616f", ATLS_E_DECODE, "raw-value mask"},
    {"name is a number", "81a101a10b01", ATLS_E_DECODE, "name: not text"},
    {"no keys in the list", "81a101a10d80", ATLS_E_DECODE, "keys: not a non-empty list"},
    {"empty integrity registers", "81a101a10ea0", ATLS_E_DECODE, "not a non-empty map"},
    {"register named by bytes", "81a101a10ea14161818201" D32, ATLS_E_DECODE, "id is neither"},
    {"register without digests", "81a101a10ea10080", ATLS_E_DECODE, "integrity registers: digests"},
    {"range with least above most", "81a101a10fd90234820501", ATLS_E_DECODE, "least is above most"},
    {"range of one end", "81a101a10fd902348101", ATLS_E_DECODE, "int-range: neither"},
    {"range with another tag", "81a101a10fd90235820105", ATLS_E_DECODE, "int-range: neither"},
    {"authority that is no key", "81a201a1010102810a", ATLS_E_DECODE, "key: not tagged"},
    {"version scheme is a list", "81a101a100a20061310180", ATLS_E_DECODE, "version: member of"},
    {"MAC of 5 bytes", "81a101a106450102030405", ATLS_E_DECODE, "mac-addr: not 6 or 8"},
    {"MAC of 8 bytes", "81a101a106480102030405060708", ATLS_OK, NULL},
    {"IP address of 5 bytes", "81a101a107450102030405", ATLS_E_DECODE, "ip-addr: not 4 or 16"},
    {"IP address is text", "81a101a1076431323334", ATLS_E_DECODE, "ip-addr: not 4 or 16"},
    {"serial number is a number", "81a101a10801", ATLS_E_DECODE, "serial-number: not text"},
    {"UEID of 6 bytes", "81a101a10946010203040506", ATLS_E_DECODE, "ueid: not 7 to 33"},
    {"UUID of 15 bytes", "81a101a10a4f0102030405060708090a0b0c0d0e0f", ATLS_E_DECODE,
     "uuid: not 16"},
    {"key text that holds a private key",
     "81a101a10d81d9022b7820202d2d2d2d2d424547494e20454320505249564154"
     "45204b45592d2d2d2d2d0a",
     ATLS_E_DECODE, "PEM text holds a private key"},
    {"one trailing byte", "81a101a1010100", ATLS_E_DECODE, "measurements: truncated, or trailing"},
};

static void test_measurements(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof measurements / sizeof measurements[0]; i++) {
        struct atls_buf in = test_unhex(measurements[i].hex);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_arena arena = atls_arena_init(1 << 20);
        struct atls_measurement *m;
        size_t count;

        assert_row(&measurements[i],
                   atls_measurements_decode(atls_buf_bytes(&in), &arena, &m, &count, &err), &err);
        for (size_t n = 0; measurements[i].want == ATLS_OK && n < in.len; n++)
            assert_int_not_equal(
                atls_measurements_decode(atls_bytes_of(in.ptr, n), &arena, &m, &count, NULL),
                ATLS_OK);
        atls_arena_clear(&arena);
        atls_buf_clear(&in);
    }
}

static struct atls_measurement decode_one(const char *hex, struct atls_arena *arena,
                                          struct atls_buf *in)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_measurement *m;
    size_t count;

    *in = test_unhex(hex);
    test_assert_code(atls_measurements_decode(atls_buf_bytes(in), arena, &m, &count, &err), ATLS_OK,
                     &err);
    assert_int_equal(count, 1);
    return m[0];
}

static void test_measurement_members(void **state)
{
    struct atls_arena arena = atls_arena_init(1 << 20);
    struct atls_measurement m;
    struct atls_buf in;

    (void)state;
    m = decode_one("81a2000701a1028282677368612d323536" D32 "82616141ee", &arena, &in);
    assert_int_equal(m.mkey.kind, ATLS_MKEY_UINT);
    assert_int_equal(m.mkey.number, 7);
    assert_int_equal(m.mval.present, ATLS_MVAL_DIGESTS);
    assert_int_equal(m.mval.digest_count, 2);
    assert_int_equal(m.mval.digests[0].hash, ATLS_HASH_SHA256);
    assert_int_equal(m.mval.digests[0].named_information, 1);
    assert_int_equal(m.mval.digests[0].value.len, 32);
    assert_int_equal(m.mval.digests[1].hash, ATLS_HASH_NONE);
    assert_true(m.mval.digests[1].named_information == ATLS_NAMED_HASH_TEXT);
    atls_buf_clear(&in);

    m = decode_one("81a200d86f415501a500a100613101d902290503a200f503f404d9023382421234420ff00b6178",
                   &arena, &in);
    assert_int_equal(m.mkey.kind, ATLS_MKEY_OID);
    test_assert_bytes(m.mkey.bytes, atls_bytes_of("\x55", 1));
    assert_int_equal(m.mval.present, ATLS_MVAL_VERSION | ATLS_MVAL_MIN_SVN | ATLS_MVAL_FLAGS |
                                         ATLS_MVAL_RAW | ATLS_MVAL_NAME);
    test_assert_bytes(m.mval.version, atls_bytes_of("1", 1));
    assert_int_equal(m.mval.svn, 5);
    assert_int_equal(m.mval.flags_known, 1 << 0 | 1 << 3);
    assert_int_equal(m.mval.flags, 1 << 0);
    test_assert_bytes(m.mval.raw, atls_bytes_of("\x12\x34", 2));
    test_assert_bytes(m.mval.mask, atls_bytes_of("\x0f\xf0", 2));
    test_assert_bytes(m.mval.name, atls_bytes_of("x", 1));
    atls_buf_clear(&in);
    atls_arena_clear(&arena);
}

/* Members that not every device has. */
static void test_identities(void **state)
{
    struct atls_arena arena = atls_arena_init(1 << 20);
    struct atls_measurement m;
    struct atls_buf in;

    (void)state;
    m = decode_one("81a101a706460102030405060744010203040861310947010203040506070a50"
                   "0102030405060708090a0b0c0d0e0f100d82d902304155d9022a616b00a2006131016132",
                   &arena, &in);
    assert_int_equal(m.mval.present, ATLS_MVAL_MAC | ATLS_MVAL_IP | ATLS_MVAL_SERIAL |
                                         ATLS_MVAL_UEID | ATLS_MVAL_UUID | ATLS_MVAL_KEYS |
                                         ATLS_MVAL_VERSION);
    test_assert_bytes(m.mval.mac, atls_bytes_of("\x01\x02\x03\x04\x05\x06", 6));
    test_assert_bytes(m.mval.ip, atls_bytes_of("\x01\x02\x03\x04", 4));
    test_assert_bytes(m.mval.serial, atls_bytes_of("1", 1));
    assert_int_equal(m.mval.ueid.len, 7);
    assert_int_equal(m.mval.uuid.len, 16);
    assert_int_equal(m.mval.key_count, 2);
    assert_int_equal(m.mval.keys[0].tag, ATLS_TAG_BYTES);
    test_assert_bytes(m.mval.keys[1].content, atls_bytes_of("k", 1));
    test_assert_bytes(m.mval.version_scheme, atls_bytes_of("\x61\x32", 2));
    atls_buf_clear(&in);
    atls_arena_clear(&arena);
}

static void test_registers_and_ranges(void **state)
{
    static const struct {
        const char *hex;
        struct atls_int_range want;
    } ranges[] = {
        {"81a101a10f07", {false, true, true, 7, 7}},
        {"81a101a10f20", {false, true, true, -1, -1}},
        {"81a101a10fd902348201f6", {true, true, false, 1, 0}},
        {"81a101a10fd9023482f601", {true, false, true, 0, 1}},
        {"81a101a10fd90234822001", {true, true, true, -1, 1}},
    };
    struct atls_arena arena = atls_arena_init(1 << 20);
    struct atls_measurement m;
    struct atls_buf in;

    (void)state;
    m = decode_one("81a101a10ea203818201" D32 "6161828201" D32 "82616241ff", &arena, &in);
    assert_int_equal(m.mval.present, ATLS_MVAL_REGISTERS);
    assert_int_equal(m.mval.register_count, 2);
    assert_null(m.mval.registers[0].name.ptr);
    assert_int_equal(m.mval.registers[0].number, 3);
    assert_int_equal(m.mval.registers[0].digest_count, 1);
    test_assert_bytes(m.mval.registers[1].name, atls_bytes_of("a", 1));
    assert_int_equal(m.mval.registers[1].digest_count, 2);
    assert_int_equal(m.mval.registers[1].digests[0].hash, ATLS_HASH_SHA256);
    atls_buf_clear(&in);
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        m = decode_one(ranges[i].hex, &arena, &in);
        assert_int_equal(m.mval.present, ATLS_MVAL_INT_RANGE);
        assert_int_equal(m.mval.range.is_range, ranges[i].want.is_range);
        assert_int_equal(m.mval.range.has_least, ranges[i].want.has_least);
        assert_int_equal(m.mval.range.has_most, ranges[i].want.has_most);
        assert_int_equal(m.mval.range.least, ranges[i].want.least);
        assert_int_equal(m.mval.range.most, ranges[i].want.most);
        atls_buf_clear(&in);
    }
    atls_arena_clear(&arena);
}

/* What this build does not know must never match, so it has to be told. */
static void test_members_that_are_not_known(void **state)
{
    struct atls_arena arena = atls_arena_init(1 << 20);
    struct atls_measurement m;
    struct atls_buf in;

    (void)state;
    m = decode_one("81a101a2010161618101", &arena, &in);
    assert_int_equal(m.mval.present, ATLS_MVAL_SVN | ATLS_MVAL_OTHER);
    atls_buf_clear(&in);
    m = decode_one("81a101a401010c001864613138488101", &arena, &in);
    assert_int_equal(m.mval.present, ATLS_MVAL_SVN | ATLS_MVAL_EXTENSIONS);
    assert_int_equal(m.mval.extension_count, 3);
    assert_int_equal(m.mval.extensions[0].key, 12);
    assert_int_equal(m.mval.extensions[1].key, 100);
    test_assert_bytes(m.mval.extensions[1].item, atls_bytes_of("\x61\x31", 2));
    assert_int_equal(m.mval.extensions[2].key, -73);
    test_assert_bytes(m.mval.extensions[2].item, atls_bytes_of("\x81\x01", 2));
    atls_buf_clear(&in);
    m = decode_one("81a201a101010281d902304155", &arena, &in);
    assert_int_equal(m.mval.present, ATLS_MVAL_SVN);
    assert_int_equal(m.authorized_by_count, 1);
    test_assert_bytes(m.authorized_by[0].content, atls_bytes_of("\x55", 1));
    atls_buf_clear(&in);
    atls_arena_clear(&arena);
}

static const struct row keys[] = {
    {"PEM key", "81d9022a6161", ATLS_OK, NULL},
    {"certificate and path", "82d9022b6161d9022c6161", ATLS_OK, NULL},
    {"thumbprints", "83d9022d8201" D32 "d9022f8201" D32 "d902318201" D32, ATLS_OK, NULL},
    {"COSE_Key, bytes and DER", "83d9022ea10102d902304155d902324130", ATLS_OK, NULL},
    {"empty list", "80", ATLS_E_DECODE, "keys: not a non-empty list"},
    {"a map", "a0", ATLS_E_DECODE, "keys: not a non-empty list"},
    {"a UUID", "81" UUID, ATLS_E_DECODE, "key: tag 37 is not one of its choices"},
    {"thumbprint with a third member", "81d9022d8301" D32 "00", ATLS_E_DECODE, "[algorithm"},
    {"one trailing byte", "81d9022a616100", ATLS_E_DECODE, "keys: truncated, or trailing"},
};

static void test_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct atls_buf in = test_unhex(keys[i].hex);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_arena arena = atls_arena_init(1 << 16);
        struct atls_corim_key *out;
        size_t count;

        assert_row(&keys[i],
                   atls_corim_keys_decode(atls_buf_bytes(&in), &arena, &out, &count, &err), &err);
        atls_arena_clear(&arena);
        atls_buf_clear(&in);
    }
}

/* count copies of item behind the head of a list, behind prefix. */
static struct atls_buf repeat(const char *prefix, size_t count, const char *item)
{
    size_t len = strlen(prefix) + strlen(item) * count;
    char *hex = malloc(len + 1);
    struct atls_buf out;

    assert_non_null(hex);
    memcpy(hex, prefix, strlen(prefix));
    for (size_t i = 0; i < count; i++)
        memcpy(hex + strlen(prefix) + i * strlen(item), item, strlen(item));
    hex[len] = '\0';
    out = test_unhex(hex);
    free(hex);
    return out;
}

static void test_limits(void **state)
{
    const struct {
        const char *name, *prefix;
        size_t count;
        const char *item;
        bool is_keys;
        enum atls_code want;
    } rows[] = {
        {"as many measurements as are taken", "991000", 4096, "a101a10101", false, ATLS_OK},
        {"one measurement more", "991001", 4097, "a101a10101", false, ATLS_E_LIMIT},
        {"as many keys as are taken", "9840", 64, "d902304155", true, ATLS_OK},
        {"one key more", "9841", 65, "d902304155", true, ATLS_E_LIMIT},
        {"33 digests of one measurement", "81a101a1029821", 33, "8218634155", false, ATLS_E_DECODE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = repeat(rows[i].prefix, rows[i].count, rows[i].item);
        struct atls_arena arena = atls_arena_init(1 << 22);
        struct atls_measurement *m;
        struct atls_corim_key *k;
        enum atls_code code;
        size_t count = 0;

        code = rows[i].is_keys
                   ? atls_corim_keys_decode(atls_buf_bytes(&in), &arena, &k, &count, NULL)
                   : atls_measurements_decode(atls_buf_bytes(&in), &arena, &m, &count, NULL);
        if (code != rows[i].want || (code == ATLS_OK && count != rows[i].count))
            fail_msg("%s: code %d, %zu", rows[i].name, code, count);
        atls_arena_clear(&arena);
        atls_buf_clear(&in);
    }
}

static void test_memory_is_bounded(void **state)
{
    struct atls_buf list = test_unhex("81a101a102818201" D32),
                    list_keys = test_unhex("81d9022a6161");
    struct atls_arena none = atls_arena_init(0), little;
    struct atls_measurement *m;
    struct atls_corim_key *k;
    size_t count;

    (void)state;
    little = atls_arena_init(sizeof *m + 16);
    assert_int_equal(atls_measurements_decode(atls_buf_bytes(&list), &none, &m, &count, NULL),
                     ATLS_E_NOMEM);
    assert_int_equal(atls_measurements_decode(atls_buf_bytes(&list), &little, &m, &count, NULL),
                     ATLS_E_NOMEM);
    assert_int_equal(atls_corim_keys_decode(atls_buf_bytes(&list_keys), &none, &k, &count, NULL),
                     ATLS_E_NOMEM);
    atls_arena_clear(&little);
    atls_buf_clear(&list);
    atls_buf_clear(&list_keys);
}

static void test_named_hashes(void **state)
{
    (void)state;
    assert_int_equal(atls_named_hash_by_number(7)->hash, ATLS_HASH_SHA384);
    assert_null(atls_named_hash_by_number(0));
    assert_int_equal(atls_named_hash_by_name(atls_bytes_of("sha-512", 7))->number, 8);
    assert_null(atls_named_hash_by_name(atls_bytes_of("sha-51", 6)));
    assert_int_equal(atls_named_hash_of(ATLS_HASH_SHA256)->number, 1);
    assert_null(atls_named_hash_of(ATLS_HASH_SHA1));
    assert_null(atls_named_hash_of(ATLS_HASH_NONE));
}

static void test_tagged_bytes(void **state)
{
    struct atls_buf in = test_unhex(UUID);
    struct atls_bytes content;
    uint64_t tag;

    (void)state;
    assert_true(atls_tagged_bytes(atls_buf_bytes(&in), &tag, &content));
    assert_true(tag == 37 && content.len == 16);
    assert_false(atls_tagged_bytes(atls_bytes_of(in.ptr, in.len - 1), &tag, &content));
    assert_false(atls_tagged_bytes(atls_bytes_of("\xd8\x25\x41\x00\x00", 5), &tag, &content));
    assert_false(atls_tagged_bytes(atls_bytes_of("\x41\x00", 2), &tag, &content));
    atls_buf_clear(&in);
}

static void test_names_of_hashes(void **state)
{
    (void)state;
    assert_string_equal(atls_hash_name(ATLS_HASH_NONE), "");
    assert_string_equal(atls_hash_name(ATLS_HASH_SHA1), "sha1");
    assert_string_equal(atls_hash_name(ATLS_HASH_SHA256), "sha256");
    assert_string_equal(atls_hash_name(ATLS_HASH_SHA384), "sha384");
    assert_string_equal(atls_hash_name(ATLS_HASH_SHA512), "sha512");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_of_hashes),
        cmocka_unit_test(test_environments),
        cmocka_unit_test(test_environment_members),
        cmocka_unit_test(test_measurements),
        cmocka_unit_test(test_measurement_members),
        cmocka_unit_test(test_identities),
        cmocka_unit_test(test_registers_and_ranges),
        cmocka_unit_test(test_members_that_are_not_known),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_memory_is_bounded),
        cmocka_unit_test(test_named_hashes),
        cmocka_unit_test(test_tagged_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
