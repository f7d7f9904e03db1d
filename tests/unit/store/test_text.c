#include <string.h>

#include "testlib.h"

#include "crypto/der.h"
#include "store/db.h"

static void test_uuid(void **state)
{
    static const char text[] = "cd1f0e55-26f9-460d-b9d8-f7fde171787c";
    static const struct {
        const char *name, *text;
        bool good;
    } rows[] = {
        {"lower case", "cd1f0e55-26f9-460d-b9d8-f7fde171787c", true},
        {"upper case", "CD1F0E55-26F9-460D-B9D8-F7FDE171787C", true},
        {"one digit less", "cd1f0e55-26f9-460d-b9d8-f7fde171787", false},
        {"one digit more", "cd1f0e55-26f9-460d-b9d8-f7fde171787c0", false},
        {"no hyphens", "cd1f0e5526f9460db9d8f7fde171787c", false},
        {"a hyphen for a digit", "cd1f0e5--26f9-460d-b9d8-f7fde171787c", false},
        {"a digit for a hyphen", "cd1f0e55026f9-460d-b9d8-f7fde171787c", false},
        {"another letter", "gd1f0e55-26f9-460d-b9d8-f7fde171787c", false},
        {"braces", "{cd1f0e55-26f9-460d-b9d8-f7fde17178}", false},
        {"empty", "", false},
    };
    uint8_t uuid[16], class_id[STORE_UUID_CLASS_ID];
    char out[STORE_UUID_TEXT];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (store_uuid_parse(rows[i].text, uuid) != rows[i].good)
            fail_msg("%s", rows[i].name);
        if (rows[i].good)
            assert_string_equal(store_uuid_text(uuid, out), text);
    }
    assert_true(store_class_from_uuid(text, class_id));
    assert_string_equal(store_class_text(atls_bytes_of(class_id, sizeof class_id), out, sizeof out),
                        text);
    assert_string_equal(store_class_text(atls_bytes_of("\xd9\x02\x30\x41\x55", 5), out, sizeof out),
                        "d902304155");
    assert_string_equal(store_class_text(atls_bytes_of(NULL, 0), out, sizeof out), "");
}

static void test_hex(void **state)
{
    uint8_t out[4];
    size_t len = 9;

    (void)state;
    assert_true(store_hex_parse("00fFAa9b", out, sizeof out, &len));
    assert_int_equal(len, 4);
    assert_memory_equal(out, "\x00\xff\xaa\x9b", 4);
    assert_true(store_hex_parse("", out, sizeof out, &len));
    assert_int_equal(len, 0);
    assert_false(store_hex_parse("0", out, sizeof out, &len));
    assert_false(store_hex_parse("0011223344", out, sizeof out, &len));
    assert_false(store_hex_parse("0g", out, sizeof out, &len));
    assert_false(store_hex_parse(" 0", out, sizeof out, &len));
}

static void test_purposes(void **state)
{
    static const enum atls_anchor_purpose all[] = {ATLS_ANCHOR_AK, ATLS_ANCHOR_EK, ATLS_ANCHOR_TLS,
                                                   ATLS_ANCHOR_TEE};
    enum atls_anchor_purpose purpose;

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        assert_true(store_purpose_by_name(store_purpose_name(all[i]), &purpose));
        assert_int_equal(purpose, all[i]);
    }
    assert_null(store_purpose_name((enum atls_anchor_purpose)0));
    assert_null(store_purpose_name((enum atls_anchor_purpose)5));
    assert_false(store_purpose_by_name("AK", &purpose));
}

static void test_mkey(void **state)
{
    static const struct {
        struct atls_mkey mkey;
        const char *want;
    } rows[] = {
        {{ATLS_MKEY_UINT, 7, {NULL, 0}}, "PCR 7"},
        {{ATLS_MKEY_UINT, 23, {NULL, 0}}, "PCR 23"},
        {{ATLS_MKEY_UINT, 24, {NULL, 0}}, "field 24"},
        {{ATLS_MKEY_UINT, 641, {NULL, 0}}, "field 641"},
        {{ATLS_MKEY_TEXT, 0, HEX("app\n")}, "app\\x0a"},
        {{ATLS_MKEY_OID, 0, HEX("\x55\x04")}, "5504"},
        {{ATLS_MKEY_UUID, 0, HEX("\x01\x02")}, "0102"},
        {{ATLS_MKEY_NONE, 0, {NULL, 0}}, ""},
    };
    char out[64];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_string_equal(store_mkey_text(&rows[i].mkey, out, sizeof out), rows[i].want);
}

/* A certificate with this Name as subject, as far as a walk to the key looks. */
static struct atls_buf certificate_of(struct atls_bytes name)
{
    struct atls_buf rest =
        test_unhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004"
                   "0000000000000000000000000000000000000000000000000000000000000000"
                   "0000000000000000000000000000000000000000000000000000000000000000");
    struct atls_writer w = atls_writer_init(4096);
    struct atls_buf out = ATLS_BUF_INIT;
    size_t whole = atls_der_open(&w, ATLS_DER_SEQUENCE), tbs = atls_der_open(&w, ATLS_DER_SEQUENCE);

    atls_put_bytes(&w, atls_bytes_of("\xa0\x03\x02\x01\x02\x02\x01\x01", 8)); /* version, serial */
    atls_put_bytes(&w, atls_bytes_of("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02", 12));
    atls_put_bytes(&w, name); /* issuer */
    atls_put_bytes(&w, atls_bytes_of("\x30\x1e\x17\x0d"
                                     "200101000000Z"
                                     "\x17\x0d"
                                     "300101000000Z",
                                     32));
    atls_put_bytes(&w, name);
    atls_put_bytes(&w, atls_buf_bytes(&rest));
    atls_der_close(&w, tbs);
    atls_put_bytes(&w, atls_bytes_of("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02", 12));
    atls_put_bytes(&w, atls_bytes_of("\x03\x02\x00\x00", 4));
    atls_der_close(&w, whole);
    assert_int_equal(atls_writer_finish(&w, &out, NULL), ATLS_OK);
    atls_buf_clear(&rest);
    return out;
}

static void test_subject(void **state)
{
    static const struct {
        const char *name, *hex, *want;
    } rows[] = {
        {"two attributes", "301a310b3009060355040613025858310b300906035504030c024142",
         "C=XX, CN=AB"},
        {"one set of two",
         "301831163009060355040613025858"
         "3009060355040a0c024142",
         "C=XX, O=AB"},
        {"an attribute without a short name", "300d310b300906035504630c024142", "?=AB"},
        {"an attribute of another arc", "300c310a3008060255040c024142", "?=AB"},
        {"text that is not printable", "300d310b300906035504030c020a42", "CN=\\x0aB"},
        {"empty", "3000", "(no subject)"},
        {"a sequence in place of a set", "300d300b300906035504030c024142", "(no subject)"},
        {"a set of something else", "3006310404024142", "(no subject)"},
    };
    char out[128], little[8];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf name = test_unhex(rows[i].hex);
        struct atls_buf certificate;

        name.ptr[1] = (uint8_t)(name.len - 2);
        certificate = certificate_of(atls_buf_bytes(&name));
        store_subject_text(atls_buf_bytes(&certificate), out, sizeof out);
        if (strcmp(out, rows[i].want) != 0)
            fail_msg("%s: %s", rows[i].name, out);
        store_subject_text(atls_buf_bytes(&certificate), little, sizeof little);
        assert_int_equal(strncmp(little, out, sizeof little - 1), 0);
        atls_buf_clear(&name);
        atls_buf_clear(&certificate);
    }
    assert_string_equal(store_subject_text(atls_bytes_of("x", 1), out, sizeof out), "(no subject)");
}

static void test_fingerprint(void **state)
{
    char out[STORE_FINGERPRINT_TEXT];

    (void)state;
    assert_string_equal(store_fingerprint(atls_bytes_of("abc", 3), out), "sha256:ba7816bf8f01cfea");
}

static void test_times(void **state)
{
    static const struct {
        int64_t time_s;
        const char *want;
    } rows[] = {
        {0, "1970-01-01T00:00:00Z"},
        {1830297599, "2027-12-31T23:59:59Z"},
        {INT64_C(253402300799), "9999-12-31T23:59:59Z"},
        {INT64_C(253402300800), "(no date)"},
        {INT64_MAX, "(no date)"},
        {INT64_MIN, "(no date)"},
    };
    char text[STORE_TIME_TEXT];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_string_equal(store_time_text(rows[i].time_s, text), rows[i].want);
}

static void test_oid(void **state)
{
    static const struct {
        const char *name, *item;
        size_t size;
        const char *text; /* NULL: refused */
    } rows[] = {
        {"Intel's profile", "d86f4a6086480186f84d011001", 64, "2.16.840.1.113741.1.16.1"},
        {"one arc of two numbers", "d86f4155", 64, "2.5"},
        {"first arc 0", "d86f4100", 64, "0.0"},
        {"first arc 1", "d86f412a", 64, "1.2"},
        {"first arc 2, large", "d86f428837", 64, "2.999"},
        {"just fits", "d86f4155", 4, "2.5"},
        {"does not fit", "d86f4155", 3, NULL},
        {"the second does not fit", "d86f425504", 5, NULL},
        {"no octet", "d86f40", 64, NULL},
        {"cut inside an arc", "d86f425586", 64, NULL},
        {"an arc of 70 bits", "d86f4bffffffffffffffffffff7f", 64, NULL},
        {"another tag", "d8704155", 64, NULL},
        {"not tagged", "4155", 64, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf item = test_unhex(rows[i].item);
        char out[64] = "";
        bool ok = store_oid_text(atls_buf_bytes(&item), out, rows[i].size);

        if (ok != (rows[i].text != NULL) || (ok && strcmp(out, rows[i].text) != 0))
            fail_msg("%s: %d \"%s\"", rows[i].name, ok, out);
        atls_buf_clear(&item);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_oid),         cmocka_unit_test(test_uuid),
        cmocka_unit_test(test_hex),         cmocka_unit_test(test_purposes),
        cmocka_unit_test(test_mkey),        cmocka_unit_test(test_subject),
        cmocka_unit_test(test_fingerprint), cmocka_unit_test(test_times),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
