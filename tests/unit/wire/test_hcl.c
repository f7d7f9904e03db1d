#include "testlib.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/writer.h"
#include "wire/hcl.h"

#define VARIABLES_AT 1236

/* One report as its parts. */
struct sample {
    const char *magic;
    uint32_t version, type, hash, data_version;
    int report_size_more, data_size_more; /* lies */
    const char *variables;
    size_t padding;
};

static const struct sample good = {
    .magic = "HCLA",
    .version = 2,
    .type = 2,
    .hash = 1,
    .data_version = 1,
    .variables = "{}",
    .padding = 7,
};

static void put_times(struct atls_writer *w, uint8_t byte, size_t count)
{
    while (count-- > 0)
        atls_put_u8(w, byte);
}

/* The slot is all 5, or for a TDREPORT 5 and zeros. */
static struct atls_buf make(const struct sample *s)
{
    const uint32_t size = (uint32_t)strlen(s->variables);
    struct atls_writer w = atls_writer_init(65536);
    struct atls_buf out = ATLS_BUF_INIT;

    atls_put_bytes(&w, atls_bytes_of(s->magic, 4));
    atls_put_u32le(&w, s->version);
    atls_put_u32le(&w, 1236 + size + (uint32_t)s->report_size_more);
    atls_put_u32le(&w, 2);
    atls_put_u32le(&w, 0);
    put_times(&w, 0, 12);
    put_times(&w, 5, 1024);
    put_times(&w, s->type == 4 ? 0 : 5, 160);
    atls_put_u32le(&w, 20 + size + (uint32_t)s->data_size_more);
    atls_put_u32le(&w, s->data_version);
    atls_put_u32le(&w, s->type);
    atls_put_u32le(&w, s->hash);
    atls_put_u32le(&w, size);
    atls_put_bytes(&w, atls_bytes_of(s->variables, size));
    put_times(&w, 0, s->padding);
    test_assert_code(atls_writer_finish(&w, &out, NULL), ATLS_OK, NULL);
    return out;
}

static void refuse(struct atls_bytes in, enum atls_code code, enum atls_reason reason)
{
    struct atls_hcl_report report;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_hcl_report_decode(in, &report, &err), code, &err);
    assert_int_equal(err.reason, reason);
}

static void accepts_both_types_and_all_hashes(void **state)
{
    static const enum atls_hash hashes[] = {ATLS_HASH_SHA256, ATLS_HASH_SHA384, ATLS_HASH_SHA512};

    (void)state;
    for (uint32_t type = 2; type <= 4; type += 2)
        for (uint32_t hash = 1; hash <= 3; hash++) {
            struct sample s = good;
            struct atls_hcl_report report;
            struct atls_err err = ATLS_ERR_INIT;
            struct atls_buf in;

            s.type = type;
            s.hash = hash;
            s.version = hash == 1 ? 1 : 2;
            in = make(&s);
            test_assert_code(atls_hcl_report_decode(atls_buf_bytes(&in), &report, &err), ATLS_OK,
                             &err);
            assert_int_equal(report.type, type);
            assert_int_equal(report.hash, hashes[hash - 1]);
            assert_int_equal(report.hardware_report.len, type == 2 ? 1184 : 1024);
            assert_ptr_equal(report.hardware_report.ptr, in.ptr + 32);
            test_assert_bytes(report.variables, atls_bytes_of("{}", 2));
            atls_buf_clear(&in);
        }
}

static void refuses_each_broken_part(void **state)
{
    static const struct {
        const char *name;
        struct sample change; /* zeros and NULL: as in the good one */
        enum atls_code code;
        enum atls_reason reason;
    } rows[] = {
        {"magic", {.magic = "HCLB"}, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"version 3", {.version = 3}, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_VERSION},
        {"report size too large", {.report_size_more = 1}, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"report size too small", {.report_size_more = -1}, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"data size too large", {.data_size_more = 1}, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"data version 2",
         {.data_version = 2},
         ATLS_E_UNSUPPORTED,
         ATLS_REASON_UNSUPPORTED_VERSION},
        {"type 3", {.type = 3}, ATLS_E_UNSUPPORTED, ATLS_REASON_TEE_TYPE},
        {"hash 4", {.hash = 4}, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_ALGORITHM},
        {"variables of one byte", {.variables = "{"}, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct sample *c = &rows[i].change;
        struct sample s = good;
        struct atls_buf in;

        print_message("  %s\n", rows[i].name);
        s.magic = c->magic != NULL ? c->magic : s.magic;
        s.version = c->version != 0 ? c->version : s.version;
        s.data_version = c->data_version != 0 ? c->data_version : s.data_version;
        s.type = c->type != 0 ? c->type : s.type;
        s.hash = c->hash != 0 ? c->hash : s.hash;
        s.variables = c->variables != NULL ? c->variables : s.variables;
        s.report_size_more = c->report_size_more;
        s.data_size_more = c->data_size_more;
        in = make(&s);
        refuse(atls_buf_bytes(&in), rows[i].code, rows[i].reason);
        atls_buf_clear(&in);
    }
}

static void refuses_truncations_and_what_is_not_zero(void **state)
{
    struct atls_buf in = make(&good);
    struct sample tdx = good;

    (void)state;
    for (size_t len = 0; len < in.len - good.padding; len++)
        refuse(atls_bytes_of(in.ptr, len), ATLS_E_DECODE, ATLS_REASON_MALFORMED);
    in.ptr[in.len - 1] = 1;
    refuse(atls_buf_bytes(&in), ATLS_E_DECODE, ATLS_REASON_MALFORMED);
    in.ptr[in.len - 1] = 0;
    in.ptr[31] = 1;
    refuse(atls_buf_bytes(&in), ATLS_E_DECODE, ATLS_REASON_MALFORMED);
    atls_buf_clear(&in);
    tdx.type = 4;
    in = make(&tdx);
    in.ptr[32 + 1183] = 1;
    refuse(atls_buf_bytes(&in), ATLS_E_DECODE, ATLS_REASON_MALFORMED);
    atls_buf_clear(&in);
}

static void refuses_what_is_longer_than_any(void **state)
{
    struct sample s = good;
    struct atls_buf in;
    char *large = malloc(4098);

    (void)state;
    assert_non_null(large);
    memset(large, ' ', 4097);
    large[4097] = '\0';
    s.variables = large;
    in = make(&s);
    refuse(atls_buf_bytes(&in), ATLS_E_DECODE, ATLS_REASON_MALFORMED);
    atls_buf_clear(&in);
    free(large);
    s = good;
    s.padding = 8192 - 1236 - 2;
    in = make(&s);
    assert_int_equal(in.len, 8192);
    assert_int_equal(
        atls_hcl_report_decode(atls_buf_bytes(&in), &(struct atls_hcl_report){0}, NULL), ATLS_OK);
    atls_buf_clear(&in);
    s.padding++;
    in = make(&s);
    refuse(atls_buf_bytes(&in), ATLS_E_DECODE, ATLS_REASON_MALFORMED);
    atls_buf_clear(&in);
}

/* ---- the JSON text ---- */

/* A modulus of 256 bytes, all 0xff, and of 255. */
#define N_85        "_____________________________________________________________________________________"
#define N_2048      N_85 N_85 N_85 N_85 "_w"
#define N_2040      N_85 N_85 N_85 N_85
#define KEY(kid, n) "{\"kid\":\"" kid "\",\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"" n "\"}"
#define GOOD_KEY    KEY("HCLAkPub", N_2048)

static void variables_that_are_accepted(void **state)
{
    static const struct {
        const char *name, *json, *machine;
        bool has_user_data, has_secure_boot;
    } rows[] = {
        {"the key alone", "{\"keys\":[" GOOD_KEY "]}", "", false, false},
        {"padded base64url", "{\"keys\":[" KEY("HCLAkPub", N_2048 "==") "]}", "", false, false},
        {"another key beside it", "{\"keys\":[{\"kid\":\"HCLEkPub\"}," GOOD_KEY "]}", "", false,
         false},
        {"machine and secure boot",
         "{\"keys\":[" GOOD_KEY
         "],\"vm-configuration\":{\"vmUniqueId\":\"a-1\",\"secure-boot\":true,\"other\":1}}",
         "a-1", false, true},
        {"user data",
         "{\"keys\":[" GOOD_KEY "],\"user-data\":\""
         "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
         "00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff\"}",
         "", true, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_hcl_variables v;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        test_assert_code(
            atls_hcl_variables_decode(atls_bytes_of(rows[i].json, strlen(rows[i].json)), &v, &err),
            ATLS_OK, &err);
        assert_int_equal(v.attestation_key.len, 294); /* RSA 2048 */
        assert_string_equal(v.machine, rows[i].machine);
        assert_int_equal(v.has_user_data, rows[i].has_user_data);
        assert_int_equal(v.has_secure_boot, rows[i].has_secure_boot);
        if (v.has_user_data)
            assert_int_equal(v.user_data[63], 0xff);
        atls_hcl_variables_clear(&v);
    }
    atls_hcl_variables_clear(NULL);
}

static void variables_that_are_refused(void **state)
{
    static const struct {
        const char *name, *json;
    } rows[] = {
        {"no JSON", "{"},
        {"no object", "[]"},
        {"no keys", "{}"},
        {"keys that are no array", "{\"keys\":" GOOD_KEY "}"},
        {"no HCLAkPub", "{\"keys\":[" KEY("HCLEkPub", N_2048) "]}"},
        {"two of that name", "{\"keys\":[" GOOD_KEY "," GOOD_KEY "]}"},
        {"a member twice", "{\"keys\":[" GOOD_KEY "],\"keys\":[]}"},
        {"RSA of 2040 bits", "{\"keys\":[" KEY("HCLAkPub", N_2040) "]}"},
        {"a key that is not RSA",
         "{\"keys\":[{\"kid\":\"HCLAkPub\",\"kty\":\"EC\",\"e\":\"AQAB\",\"n\":\"" N_2048 "\"}]}"},
        {"no exponent", "{\"keys\":[{\"kid\":\"HCLAkPub\",\"kty\":\"RSA\",\"n\":\"" N_2048 "\"}]}"},
        {"no modulus", "{\"keys\":[{\"kid\":\"HCLAkPub\",\"kty\":\"RSA\",\"e\":\"AQAB\"}]}"},
        {"a modulus that is no base64url", "{\"keys\":[" KEY("HCLAkPub", N_2048 "+") "]}"},
        {"short user data", "{\"keys\":[" GOOD_KEY "],\"user-data\":\"00\"}"},
        {"user data that is no text", "{\"keys\":[" GOOD_KEY "],\"user-data\":0}"},
        {"machine that is no text",
         "{\"keys\":[" GOOD_KEY "],\"vm-configuration\":{\"vmUniqueId\":1}}"},
        {"machine of 64 bytes", "{\"keys\":[" GOOD_KEY "],\"vm-configuration\":{\"vmUniqueId\":\""
                                "0123456789012345678901234567890123456789012345678901234567890123"
                                "\"}}"},
        {"secure boot that is text",
         "{\"keys\":[" GOOD_KEY "],\"vm-configuration\":{\"secure-boot\":\"yes\"}}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_hcl_variables v;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        test_assert_code(
            atls_hcl_variables_decode(atls_bytes_of(rows[i].json, strlen(rows[i].json)), &v, &err),
            ATLS_E_DECODE, &err);
        assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
    }
}

/* Real ones: of newer hosts with user data, and an older one without. */
static void reports_of_real_machines(void **state)
{
    static const struct {
        const char *path;
        enum atls_hcl_type type;
        size_t variables;
        bool has_user_data;
    } rows[] = {
        {"sev-snp/azure-genoa/hcl_report.bin", ATLS_HCL_SNP, 1200, true},
        {"sev-snp/azure-milan-v2/hcl_report.bin", ATLS_HCL_SNP, 1110, true},
        {"sev-snp/azure-wrong-vcek/hcl_report.bin", ATLS_HCL_SNP, 0, false},
        {"tdx/azure-tdx-vtpm/hcl_report.bin", ATLS_HCL_TDX, 1196, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_vector(rows[i].path);
        struct atls_hcl_report report;
        struct atls_hcl_variables v;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].path);
        test_assert_code(atls_hcl_report_decode(atls_buf_bytes(&in), &report, &err), ATLS_OK, &err);
        assert_int_equal(report.type, rows[i].type);
        assert_int_equal(report.hash, ATLS_HASH_SHA256);
        if (rows[i].variables != 0)
            assert_int_equal(report.variables.len, rows[i].variables);
        test_assert_code(atls_hcl_variables_decode(report.variables, &v, &err), ATLS_OK, &err);
        assert_int_equal(v.has_user_data, rows[i].has_user_data);
        assert_int_equal(v.attestation_key.len, 294);
        atls_hcl_variables_clear(&v);
        atls_buf_clear(&in);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_both_types_and_all_hashes),
        cmocka_unit_test(refuses_each_broken_part),
        cmocka_unit_test(refuses_truncations_and_what_is_not_zero),
        cmocka_unit_test(refuses_what_is_longer_than_any),
        cmocka_unit_test(variables_that_are_accepted),
        cmocka_unit_test(variables_that_are_refused),
        cmocka_unit_test(reports_of_real_machines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
