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

static void put_u32le(struct atls_writer *w, uint32_t v)
{
    for (unsigned int i = 0; i < 4; i++)
        atls_put_u8(w, (uint8_t)(v >> 8 * i));
}

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
    put_u32le(&w, s->version);
    put_u32le(&w, 1236 + size + (uint32_t)s->report_size_more);
    put_u32le(&w, 2);
    put_u32le(&w, 0);
    put_times(&w, 0, 12);
    put_times(&w, 5, 1024);
    put_times(&w, s->type == 4 ? 0 : 5, 160);
    put_u32le(&w, 20 + size + (uint32_t)s->data_size_more);
    put_u32le(&w, s->data_version);
    put_u32le(&w, s->type);
    put_u32le(&w, s->hash);
    put_u32le(&w, size);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_both_types_and_all_hashes),
        cmocka_unit_test(refuses_each_broken_part),
        cmocka_unit_test(refuses_truncations_and_what_is_not_zero),
        cmocka_unit_test(refuses_what_is_longer_than_any),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
