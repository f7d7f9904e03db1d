/* SEV-SNP reports and certificate tables: fields where they belong, and nothing else let in. */
#include "testlib.h"

#include <string.h>

#include "core/reader.h"
#include "wire/snp.h"

/* A report in which every field is told from its neighbours, made by hand. */
static void make_report(uint8_t out[ATLS_SNP_REPORT_LEN])
{
    memset(out, 0, ATLS_SNP_REPORT_LEN);
    out[0x000] = 5;
    memcpy(out + 0x004, "\x11\x22\x33\x44", 4);
    memcpy(out + 0x008, "\x37\x01\x03\x02\0\0\0\0", 8);
    memset(out + 0x010, 0xa1, 16);
    memset(out + 0x020, 0xa2, 16);
    out[0x030] = 2;
    out[0x034] = 1;
    memcpy(out + 0x038, "\x01\x02\x03\x04\0\0\0\xd9", 8);
    memcpy(out + 0x040, "\x25\0\0\0\0\0\0\x80", 8);
    out[0x048] = 0x07; /* author key, masked, VLEK */
    memset(out + 0x050, 0xa3, 64);
    memset(out + 0x090, 0xa4, 48);
    memset(out + 0x0c0, 0xa5, 32);
    memset(out + 0x0e0, 0xa6, 48);
    memset(out + 0x110, 0xa7, 48);
    memset(out + 0x140, 0xa8, 32);
    memset(out + 0x160, 0xa9, 32);
    memcpy(out + 0x180, "\x01\x01\x01\x01\0\0\0\x01", 8);
    memcpy(out + 0x188, "\x1a\x02\x03", 3);
    memset(out + 0x1a0, 0xaa, 64);
    memcpy(out + 0x1e0, "\x01\x02\x02\x02\0\0\0\x02", 8);
    memcpy(out + 0x1e8, "\x28\x37\x01", 3);
    memcpy(out + 0x1ec, "\x27\x36\x02", 3);
    memcpy(out + 0x1f0, "\x01\x03\x03\x03\0\0\0\x03", 8);
    memcpy(out + 0x1f8, "\x01\0\0\0\0\0\0\x10", 8);
    memcpy(out + 0x200, "\x02\0\0\0\0\0\0\x20", 8);
    for (size_t i = 0; i < 48; i++) {
        out[0x2a0 + i] = (uint8_t)i;
        out[0x2e8 + i] = (uint8_t)(100 + i);
    }
}

static void repeated(struct atls_bytes in, uint8_t byte, size_t len)
{
    assert_int_equal(in.len, len);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(in.ptr[i], byte);
}

static void every_field_is_where_it_belongs(void **state)
{
    uint8_t in[ATLS_SNP_REPORT_LEN];
    struct atls_snp_report r;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    make_report(in);
    test_assert_code(atls_snp_report_decode(atls_bytes_of(in, sizeof in), &r, &err), ATLS_OK, &err);
    assert_int_equal(r.version, 5);
    assert_int_equal(r.guest_svn, 0x44332211);
    assert_int_equal(r.policy, 0x2030137);
    assert_int_equal(r.vmpl, 2);
    assert_int_equal(r.platform_info, UINT64_C(0x8000000000000025));
    assert_int_equal(r.key_info, 7);
    assert_int_equal(r.signer, ATLS_SNP_VLEK);
    repeated(r.family_id, 0xa1, 16);
    repeated(r.image_id, 0xa2, 16);
    repeated(r.report_data, 0xa3, 64);
    repeated(r.measurement, 0xa4, 48);
    repeated(r.host_data, 0xa5, 32);
    repeated(r.id_key_digest, 0xa6, 48);
    repeated(r.author_key_digest, 0xa7, 48);
    repeated(r.report_id, 0xa8, 32);
    repeated(r.report_id_ma, 0xa9, 32);
    repeated(r.chip_id, 0xaa, 64);
    assert_int_equal(r.current_tcb.ptr[7], 0xd9);
    assert_int_equal(r.reported_tcb.ptr[7], 1);
    assert_int_equal(r.committed_tcb.ptr[7], 2);
    assert_int_equal(r.launch_tcb.ptr[7], 3);
    assert_true(r.has_cpuid);
    assert_int_equal(r.cpuid_family, 0x1a);
    assert_int_equal(r.cpuid_model, 2);
    assert_int_equal(r.cpuid_stepping, 3);
    assert_int_equal(r.current.major, 1);
    assert_int_equal(r.current.minor, 0x37);
    assert_int_equal(r.current.build, 0x28);
    assert_int_equal(r.committed.major, 2);
    assert_int_equal(r.committed.minor, 0x36);
    assert_int_equal(r.committed.build, 0x27);
    assert_true(r.has_mitigations);
    assert_int_equal(r.launch_mitigations, UINT64_C(0x1000000000000001));
    assert_int_equal(r.current_mitigations, UINT64_C(0x2000000000000002));
    test_assert_bytes(r.signed_part, atls_bytes_of(in, 672));
    for (size_t i = 0; i < 48; i++) {
        assert_int_equal(r.signature[i], 47 - i);
        assert_int_equal(r.signature[48 + i], 147 - i);
    }
}

static void every_length_but_one_is_refused(void **state)
{
    uint8_t in[ATLS_SNP_REPORT_LEN + 1] = {0};
    struct atls_snp_report r;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    make_report(in);
    for (size_t len = 0; len <= sizeof in; len++)
        if (len != ATLS_SNP_REPORT_LEN) {
            test_assert_code(atls_snp_report_decode(atls_bytes_of(in, len), &r, &err),
                             ATLS_E_DECODE, &err);
            assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
        }
}

/* Which bytes a version leaves unused: all of them are looked at, and no other. */
static void unused_bytes_of_each_version(void **state)
{
    static const struct {
        uint32_t version;
        size_t unused;
    } rows[] = {
        /* 4 at 0x4c, 24 or 21 at 0x188, 1 at 0x1eb, 1 at 0x1ef, 168 or 152 at 0x1f8, and 48 + 368
         * of the signature */
        {2, 4 + 24 + 1 + 1 + 168 + 416},
        {3, 4 + 21 + 1 + 1 + 168 + 416},
        {4, 4 + 21 + 1 + 1 + 168 + 416},
        {5, 4 + 21 + 1 + 1 + 152 + 416},
    };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        uint8_t in[ATLS_SNP_REPORT_LEN];
        size_t refused = 0;

        make_report(in);
        in[0] = (uint8_t)rows[i].version;
        if (rows[i].version < 5)
            memset(in + 0x1f8, 0, 16);
        if (rows[i].version < 3)
            memset(in + 0x188, 0, 3);
        for (size_t at = 0x38; at < sizeof in; at++) {
            struct atls_snp_report r;

            if (at >= 0x48 && at < 0x4c)
                continue; /* KEY_INFO: below */
            in[at] ^= 0x10;
            refused += atls_snp_report_decode(atls_bytes_of(in, sizeof in), &r, NULL) != ATLS_OK;
            in[at] ^= 0x10;
        }
        assert_int_equal(refused, rows[i].unused);
    }
}

static void what_selects_the_format(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
        enum atls_code code;
        enum atls_reason reason;
    } rows[] = {
        {0x000, 1, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_VERSION},
        {0x000, 6, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_VERSION},
        {0x001, 1, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_VERSION},
        {0x034, 0, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_ALGORITHM},
        {0x034, 2, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_ALGORITHM},
        {0x037, 1, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_ALGORITHM},
        {0x00a, 1, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {0x00f, 0x80, ATLS_OK, ATLS_REASON_NONE}, /* for the caller to judge */
        {0x048, 0x20, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {0x04b, 0x80, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {0x048, 0x00, ATLS_OK, ATLS_REASON_NONE},
        {0x048, 0x08, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {0x048, 0x0c, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {0x048, 0x10, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {0x048, 0x14, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {0x048, 0x18, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {0x048, 0x1f, ATLS_E_EVIDENCE, ATLS_REASON_UNSIGNED_REPORT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t in[ATLS_SNP_REPORT_LEN];
        struct atls_snp_report r;
        struct atls_err err = ATLS_ERR_INIT;

        make_report(in);
        in[rows[i].at] = rows[i].value;
        test_assert_code(atls_snp_report_decode(atls_bytes_of(in, sizeof in), &r, &err),
                         rows[i].code, &err);
        assert_int_equal(err.reason, rows[i].reason);
    }
}

/* ---- lines and TCBs ---- */

static void lines_by_cpuid(void **state)
{
    static const struct {
        uint8_t family, model;
        enum atls_snp_line want;
    } rows[] = {
        {0x19, 0x00, ATLS_SNP_MILAN},
        {0x19, 0x0f, ATLS_SNP_MILAN},
        {0x19, 0x10, ATLS_SNP_GENOA},
        {0x19, 0x1f, ATLS_SNP_GENOA},
        {0x19, 0x20, 0},
        {0x19, 0x9f, 0},
        {0x19, 0xa0, ATLS_SNP_GENOA},
        {0x19, 0xaf, ATLS_SNP_GENOA},
        {0x19, 0xb0, 0},
        {0x1a, 0x00, ATLS_SNP_TURIN},
        {0x1a, 0x11, ATLS_SNP_TURIN},
        {0x1a, 0x12, 0},
        {0x1a, 0x4f, 0},
        {0x1a, 0x50, ATLS_SNP_VENICE},
        {0x1a, 0x57, ATLS_SNP_VENICE},
        {0x1a, 0x58, 0},
        {0x1a, 0x90, ATLS_SNP_VENICE},
        {0x1a, 0xaf, ATLS_SNP_VENICE},
        {0x1a, 0xc0, ATLS_SNP_VENICE},
        {0x1a, 0xc7, ATLS_SNP_VENICE},
        {0x1a, 0xc8, 0},
        {0x17, 0x01, 0},
        {0x1b, 0x01, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(atls_snp_line_of_cpuid(rows[i].family, rows[i].model), rows[i].want);
}

static void lines_by_name(void **state)
{
    (void)state;
    for (int line = ATLS_SNP_MILAN; line < ATLS_SNP_LINES; line++) {
        const char *name = atls_snp_line_name((enum atls_snp_line)line);

        assert_int_equal(atls_snp_line_by_name(atls_bytes_of(name, strlen(name))), line);
        assert_int_equal(atls_snp_chip_id_len((enum atls_snp_line)line),
                         line >= ATLS_SNP_TURIN ? 8 : 64);
    }
    assert_int_equal(atls_snp_line_by_name(atls_bytes_of("milan", 5)), ATLS_SNP_LINE_UNKNOWN);
    assert_int_equal(atls_snp_line_by_name(atls_bytes_of("", 0)), ATLS_SNP_LINE_UNKNOWN);
    assert_string_equal(atls_snp_line_name(ATLS_SNP_LINE_UNKNOWN), "");
    assert_string_equal(atls_snp_line_name((enum atls_snp_line)99), "");
}

static void tcbs_of_both_layouts(void **state)
{
    static const struct {
        enum atls_snp_line line;
        struct atls_bytes in;
        bool want;
        struct atls_snp_tcb tcb;
    } rows[] = {
        {ATLS_SNP_MILAN, HEX("\x03\x02\0\0\0\0\x18\xd9"), true, {0, 3, 2, 0x18, 0xd9}},
        {ATLS_SNP_GENOA, HEX("\x7f\x7f\0\0\0\0\x7f\xff"), true, {0, 0x7f, 0x7f, 0x7f, 0xff}},
        {ATLS_SNP_TURIN, HEX("\x01\x02\x03\x04\0\0\0\xff"), true, {1, 2, 3, 4, 0xff}},
        {ATLS_SNP_VENICE, HEX("\0\0\0\0\0\0\0\0"), true, {0, 0, 0, 0, 0}},
        {ATLS_SNP_MILAN, HEX("\x03\x02\x01\0\0\0\x18\xd9"), false, {0}},
        {ATLS_SNP_MILAN, HEX("\x03\x02\0\x01\0\0\x18\xd9"), false, {0}},
        {ATLS_SNP_MILAN, HEX("\x03\x02\0\0\x01\0\x18\xd9"), false, {0}},
        {ATLS_SNP_MILAN, HEX("\x03\x02\0\0\0\x01\x18\xd9"), false, {0}},
        {ATLS_SNP_MILAN, HEX("\x80\x02\0\0\0\0\x18\xd9"), false, {0}},
        {ATLS_SNP_MILAN, HEX("\x03\x80\0\0\0\0\x18\xd9"), false, {0}},
        {ATLS_SNP_MILAN, HEX("\x03\x02\0\0\0\0\x80\xd9"), false, {0}},
        {ATLS_SNP_TURIN, HEX("\x01\x02\x03\x04\x01\0\0\xff"), false, {0}},
        {ATLS_SNP_TURIN, HEX("\x01\x02\x03\x04\0\x01\0\xff"), false, {0}},
        {ATLS_SNP_TURIN, HEX("\x01\x02\x03\x04\0\0\x01\xff"), false, {0}},
        {ATLS_SNP_TURIN, HEX("\x80\x02\x03\x04\0\0\0\xff"), false, {0}},
        {ATLS_SNP_MILAN, HEX("\x03\x02\0\0\0\0\x18"), false, {0}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_snp_tcb tcb = {9, 9, 9, 9, 9};
        uint8_t again[8];

        assert_int_equal(atls_snp_tcb_read(rows[i].line, rows[i].in, &tcb), rows[i].want);
        if (!rows[i].want)
            continue;
        assert_memory_equal(&tcb, &rows[i].tcb, sizeof tcb);
        atls_snp_tcb_write(rows[i].line, &tcb, again);
        test_assert_bytes(atls_bytes_of(again, 8), rows[i].in);
    }
}

static void tcbs_compare_component_by_component(void **state)
{
    const struct atls_snp_tcb base = {5, 5, 5, 5, 5};

    (void)state;
    assert_true(atls_snp_tcb_covers(&base, &base));
    for (int i = 0; i < 5; i++) {
        struct atls_snp_tcb lower = {9, 9, 9, 9, 9}, higher = base;

        *(i == 0   ? &lower.fmc
          : i == 1 ? &lower.boot_loader
          : i == 2 ? &lower.tee
          : i == 3 ? &lower.snp
                   : &lower.microcode) = 4;
        assert_false(atls_snp_tcb_covers(&lower, &base));
        higher.snp = 6;
        assert_true(atls_snp_tcb_covers(&higher, &base));
    }
}

/* ---- certificate tables ---- */

#define VCEK_GUID  "\x63\xda\x75\x8d\xe6\x64\x45\x64\xad\xc5\xf4\xb9\x3b\xe8\xac\xcd"
#define VLEK_GUID  "\xa8\x07\x4b\xc2\xa2\x5a\x48\x3e\xaa\xe6\x39\xc0\x45\xa0\xb8\xa1"
#define OTHER_GUID "\xfb\xa8\x07\x4b\xc2\xa2\x5a\x48\x3e\xaa\xe6\x39\xc0\x45\xa0\xb8"
#define ZEROS      "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

static void tables(void **state)
{
    static const struct {
        const char *name;
        struct atls_bytes in;
        enum atls_code want;
        const char *vcek;
    } rows[] = {
        {"no entries", HEX(ZEROS), ATLS_OK, NULL},
        {"no entries, something behind", HEX(ZEROS "xyz"), ATLS_OK, NULL},
        {"one", HEX(VCEK_GUID "\x30\0\0\0\x04\0\0\0" ZEROS "vcek"), ATLS_OK, "vcek"},
        {"one, padded", HEX(VCEK_GUID "\x31\0\0\0\x04\0\0\0" ZEROS "-vcek--"), ATLS_OK, "vcek"},
        {"one of another kind", HEX(OTHER_GUID "\x30\0\0\0\x04\0\0\0" ZEROS "vcek"), ATLS_OK, NULL},
        {"two that share bytes",
         HEX(VCEK_GUID "\x48\0\0\0\x04\0\0\0" VLEK_GUID "\x4a\0\0\0\x02\0\0\0" ZEROS "vcek"),
         ATLS_OK, "vcek"},
        {"nothing", HEX(""), ATLS_E_DECODE, NULL},
        {"half an end", HEX("\0\0\0\0"), ATLS_E_DECODE, NULL},
        {"no end", HEX(VCEK_GUID "\x18\0\0\0\x04\0\0\0vcek"), ATLS_E_DECODE, NULL},
        {"a kind twice",
         HEX(VCEK_GUID "\x48\0\0\0\x04\0\0\0" VCEK_GUID "\x48\0\0\0\x04\0\0\0" ZEROS "vcek"),
         ATLS_E_DECODE, NULL},
        {"an unknown kind twice",
         HEX(OTHER_GUID "\x48\0\0\0\x04\0\0\0" OTHER_GUID "\x48\0\0\0\x04\0\0\0" ZEROS "vcek"),
         ATLS_E_DECODE, NULL},
        {"empty", HEX(VCEK_GUID "\x30\0\0\0\0\0\0\0" ZEROS "vcek"), ATLS_E_DECODE, NULL},
        {"within the entries", HEX(VCEK_GUID "\x2f\0\0\0\x04\0\0\0" ZEROS "vcek"), ATLS_E_DECODE,
         NULL},
        {"at the beginning", HEX(VCEK_GUID "\0\0\0\0\x04\0\0\0" ZEROS "vcek"), ATLS_E_DECODE, NULL},
        {"one byte too long", HEX(VCEK_GUID "\x30\0\0\0\x05\0\0\0" ZEROS "vcek"), ATLS_E_DECODE,
         NULL},
        {"behind the end", HEX(VCEK_GUID "\x35\0\0\0\x01\0\0\0" ZEROS "vcek"), ATLS_E_DECODE, NULL},
        {"a sum that wraps in 32 bits", HEX(VCEK_GUID "\xf0\xff\xff\xff\x20\0\0\0" ZEROS "vcek"),
         ATLS_E_DECODE, NULL},
        {"a length that wraps", HEX(VCEK_GUID "\x30\0\0\0\xff\xff\xff\xff" ZEROS "vcek"),
         ATLS_E_DECODE, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_snp_certificates c;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        test_assert_code(atls_snp_certificates_decode(rows[i].in, &c, &err), rows[i].want, &err);
        if (rows[i].want != ATLS_OK)
            assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
        else if (rows[i].vcek != NULL)
            test_assert_bytes(c.vcek, atls_bytes_of(rows[i].vcek, strlen(rows[i].vcek)));
        else
            assert_null(c.vcek.ptr);
    }
}

static void too_many_entries(void **state)
{
    uint8_t in[66 * 24] = {0};
    struct atls_snp_certificates c;

    (void)state;
    for (size_t i = 0; i < 64; i++) {
        in[24 * i] = (uint8_t)(i + 1);
        in[24 * i + 16] = (uint8_t)((65 * 24) & 0xff);
        in[24 * i + 17] = (uint8_t)((65 * 24) >> 8);
        in[24 * i + 20] = 1;
    }
    assert_int_equal(atls_snp_certificates_decode(atls_bytes_of(in, sizeof in), &c, NULL),
                     ATLS_E_DECODE);
    memmove(in, in + 24, 65 * 24);
    assert_int_equal(atls_snp_certificates_decode(atls_bytes_of(in, sizeof in), &c, NULL), ATLS_OK);
}

static void tables_round_trip(void **state)
{
    static const uint8_t content[] = "vcekvlekaskark";

    (void)state;
    for (unsigned int which = 0; which < 16; which++) {
        struct atls_snp_certificates in = {.vcek = {NULL, 0}}, out;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_buf table = ATLS_BUF_INIT;

        if ((which & 1) != 0)
            in.vcek = atls_bytes_of(content, 4);
        if ((which & 2) != 0)
            in.vlek = atls_bytes_of(content + 4, 4);
        if ((which & 4) != 0)
            in.ask = atls_bytes_of(content + 8, 3);
        if ((which & 8) != 0)
            in.ark = atls_bytes_of(content + 11, 3);
        test_assert_code(atls_snp_certificates_encode(&in, &table, &err), ATLS_OK, &err);
        test_assert_code(atls_snp_certificates_decode(atls_buf_bytes(&table), &out, &err), ATLS_OK,
                         &err);
        test_assert_bytes(out.vcek, in.vcek);
        test_assert_bytes(out.vlek, in.vlek);
        test_assert_bytes(out.ask, in.ask);
        test_assert_bytes(out.ark, in.ark);
        if (which != 0)
            for (size_t len = 0; len < table.len; len++)
                assert_int_equal(
                    atls_snp_certificates_decode(atls_bytes_of(table.ptr, len), &out, &err),
                    ATLS_E_DECODE);
        atls_buf_clear(&table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_is_where_it_belongs),
        cmocka_unit_test(every_length_but_one_is_refused),
        cmocka_unit_test(unused_bytes_of_each_version),
        cmocka_unit_test(what_selects_the_format),
        cmocka_unit_test(lines_by_cpuid),
        cmocka_unit_test(lines_by_name),
        cmocka_unit_test(tcbs_of_both_layouts),
        cmocka_unit_test(tcbs_compare_component_by_component),
        cmocka_unit_test(tables),
        cmocka_unit_test(too_many_entries),
        cmocka_unit_test(tables_round_trip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
