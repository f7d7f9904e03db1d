#include "testlib.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "attester/tsm/report.h"
#include "attester/tsm/table.h"
#include "fake_tsm.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SEV      "/dev/sev-guest"
#define TDX      "/dev/tdx_guest"

static const uint8_t challenge[64] = {9, 8, 7, [40] = 6, [63] = 5};

/* A table of one certificate, five bytes, and room behind it. */
static const uint8_t table[4096] = {
    0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5,       0xf4, 0xb9, 0x3b, 0xe8, 0xac,
    0xcd, 48,   0,    0,    0,    5,    0,    0,    0,    [48] = 'c', 'e',  'r',  't',  0};
#define TABLE_LEN 53

static enum atls_code make(struct test_tsm *t, const char *uri, struct atls_tsm_blobs *out,
                           struct atls_err *err)
{
    struct atls_tsm_config config;
    struct atls_log log = {0};
    struct atls_tsm_call call = {
        .kernel = &t->kernel, .config = &config, .log = &log, .challenge = challenge};
    enum atls_code code;

    test_assert_code(atls_tsm_config_parse(uri, &config, err), ATLS_OK, err);
    call.provider = config.provider;
    call.device = config.device;
    code = atls_tsm_report_make(
        &call, config.provider == &atls_tsm_snp ? atls_tsm_sev_device : atls_tsm_tdx_device, out,
        err);
    atls_tsm_config_clear(&config);
    return code;
}

static void start(struct test_tsm *t, const char *provider)
{
    test_tsm_init(t, provider);
    t->devices[0] = SEV;
    t->devices[1] = TDX;
}

static void extended_reports(void **state)
{
    static const struct {
        const char *name, *uri;
        size_t table_len; /* 0: the hypervisor gives none */
        uint32_t wants;   /* room that the hypervisor wants */
        unsigned int busy;
        uint32_t vmpl;
    } rows[] = {
        {"without certificates", "?device=" SEV, 0, 0, 0, 0},
        {"with certificates", "?device=" SEV, TABLE_LEN, 0, 0, 0},
        {"with much room wanted", "?device=" SEV, TABLE_LEN, 5 * 4096, 0, 0},
        {"room that is no multiple of a page", "?device=" SEV, TABLE_LEN, 4 * 4096 + 1, 0, 0},
        {"most room there is", "?device=" SEV, TABLE_LEN, 65536, 0, 0},
        {"busy at first", "?device=" SEV, TABLE_LEN, 0, 3, 0},
        {"another level", "?device=" SEV "&privlevel=2", 0, 0, 0, 2},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_tsm_blobs blobs = {0};
        struct atls_buf want;
        struct test_tsm t;

        print_message("  %s\n", rows[i].name);
        start(&t, "sev_guest");
        t.aux = atls_bytes_of(table, rows[i].table_len > 0 ? sizeof table : 0);
        t.certificates_len = rows[i].wants;
        t.vmm_busy = rows[i].busy;
        test_assert_code(make(&t, rows[i].uri, &blobs, &err), ATLS_OK, &err);
        want = test_tsm_evidence(&t, challenge);
        test_assert_bytes(atls_buf_bytes(&blobs.outblob), atls_buf_bytes(&want));
        test_assert_bytes(atls_buf_bytes(&blobs.auxblob), atls_bytes_of(table, rows[i].table_len));
        assert_ptr_equal(blobs.provider, &atls_tsm_snp);
        assert_int_equal(t.vmpl, rows[i].vmpl);
        assert_int_equal(t.pauses, rows[i].busy);
        atls_buf_clear(&want);
        atls_tsm_blobs_clear(&blobs);
        test_tsm_finish(&t);
    }
}

static void extended_reports_that_fail(void **state)
{
    static const struct {
        const char *name;
        struct test_tsm_fault fault;
        uint64_t exitinfo2;
        uint32_t wants, said, status, len;
        unsigned int busy;
        enum atls_code want;
        const char *message;
    } rows[] = {
        {"no device", {"open", SEV, ENOENT, 0, 1}, 0, 0, 0, 0, 0, 0, ATLS_E_DEVICE, SEV},
        {"no SNP guest", {"ioctl", "", ENOTTY, 0, 1}, 0, 0, 0, 0, 0, 0, ATLS_E_DEVICE, "gone"},
        {"firmware error",
         {"ioctl", "", EIO, 0, 1},
         0x16,
         0,
         0,
         0,
         0,
         0,
         ATLS_E_DEVICE,
         "firmware error 0x16"},
        {"another error of the hypervisor",
         {"ioctl", "", EIO, 0, 1},
         UINT64_C(3) << 32,
         0,
         0,
         0,
         0,
         0,
         ATLS_E_DEVICE,
         "hypervisor's 0x3"},
        {"busy to the end",
         {NULL, NULL, 0, 0, 0},
         0,
         0,
         0,
         0,
         0,
         100000,
         ATLS_E_TIMEOUT,
         "hypervisor's 0x2"},
        {"more room than we give",
         {NULL, NULL, 0, 0, 0},
         0,
         65537,
         0,
         0,
         0,
         0,
         ATLS_E_LIMIT,
         "65537 bytes"},
        {"room that was given already",
         {NULL, NULL, 0, 0, 0},
         0,
         20000,
         16384,
         0,
         0,
         0,
         ATLS_E_DEVICE,
         "refuses room"},
        {"more room a second time",
         {NULL, NULL, 0, 0, 0},
         0,
         40000,
         20480,
         0,
         0,
         0,
         ATLS_E_DEVICE,
         "hypervisor's 0x1"},
        {"a status", {NULL, NULL, 0, 0, 0}, 0, 0, 0, 0x16, 0, 0, ATLS_E_DEVICE, "status 0x16"},
        {"a report of another size",
         {NULL, NULL, 0, 0, 0},
         0,
         0,
         0,
         0,
         1183,
         0,
         ATLS_E_DEVICE,
         "1183 bytes"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_tsm_blobs blobs = {0};
        struct test_tsm t;

        print_message("  %s\n", rows[i].name);
        start(&t, "sev_guest");
        t.faults[0] = rows[i].fault;
        t.exitinfo2 = rows[i].exitinfo2;
        t.certificates_len = rows[i].wants;
        t.certificates_said = rows[i].said;
        t.status = rows[i].status;
        t.report_len = rows[i].len;
        t.vmm_busy = rows[i].busy;
        test_assert_code(make(&t, "?device=" SEV, &blobs, &err), rows[i].want, &err);
        assert_non_null(strstr(err.message, rows[i].message));
        assert_null(blobs.outblob.ptr);
        test_tsm_finish(&t);
    }
}

static void a_malformed_table_is_left_out(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_tsm_blobs blobs = {0};
    uint8_t bad[sizeof table];
    struct test_tsm t;

    (void)state;
    start(&t, "sev_guest");
    memcpy(bad, table, sizeof bad);
    bad[18] = 1; /* offset 65584 */
    t.aux = atls_bytes_of(bad, sizeof bad);
    test_assert_code(make(&t, "?device=" SEV, &blobs, &err), ATLS_OK, &err);
    assert_int_equal(blobs.auxblob.len, 0);
    atls_tsm_blobs_clear(&blobs);
    test_tsm_finish(&t);
}

static void tables_are_cut_at_their_end(void **state)
{
    static const struct {
        const char *name;
        size_t room;
        int flip; /* byte to change; -1: none */
        uint8_t value;
        bool ok;
        size_t len;
    } rows[] = {
        {"a table", sizeof table, -1, 0, true, TABLE_LEN},
        {"without room behind it", TABLE_LEN, -1, 0, true, TABLE_LEN},
        {"a certificate to the end of the room", 4096, 21, 0x0f, true, 48 + 0x0f05},
        {"a certificate cut", TABLE_LEN - 1, -1, 0, false, 0},
        {"no row of zeros", 24, -1, 0, false, 0},
        {"a row of zeros cut", 47, -1, 0, false, 0},
        {"nothing", 0, -1, 0, false, 0},
        {"an offset behind the room", sizeof table, 19, 0xff, false, 0},
        {"a length that wraps", sizeof table, 23, 0xff, false, 0},
    };
    struct atls_bytes out = {NULL, 7};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint8_t room[sizeof table];

        print_message("  %s\n", rows[i].name);
        memcpy(room, table, sizeof room);
        if (rows[i].flip >= 0)
            room[rows[i].flip] = rows[i].value;
        out = (struct atls_bytes){NULL, 7};
        assert_int_equal(atls_tsm_table_trim(atls_bytes_of(room, rows[i].room), &out), rows[i].ok);
        assert_int_equal(out.len, rows[i].ok ? rows[i].len : 7);
    }
    assert_true(atls_tsm_table_trim(atls_bytes_of(table + 100, 1000), &out));
    assert_int_equal(out.len, 0);
}

static void quotes_of_a_service(void **state)
{
    static const struct {
        const char *name, *uri, *path;
        uint32_t cid, port;
        size_t chunk;
        bool starve;
    } rows[] = {
        {"the machine below", "?device=" TDX, NULL, 2, 4050, 0, false},
        {"the same by name", "?device=" TDX "&qgs=vsock", NULL, 2, 4050, 0, false},
        {"another machine", "?device=" TDX "&qgs=vsock:3", NULL, 3, 4050, 0, false},
        {"another port", "?device=" TDX "&qgs=vsock:3:4051", NULL, 3, 4051, 0, false},
        {"a socket in the file system", "?device=" TDX "&qgs=unix:/run/qgs", "/run/qgs", 2, 4050, 0,
         false},
        {"a slow stream of single bytes", "?device=" TDX, NULL, 2, 4050, 1, true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_tsm_blobs blobs = {0};
        struct atls_buf want;
        struct test_tsm t;

        print_message("  %s\n", rows[i].name);
        start(&t, "tdx_guest");
        t.chunk = rows[i].chunk;
        t.starve = rows[i].starve;
        test_assert_code(make(&t, rows[i].uri, &blobs, &err), ATLS_OK, &err);
        want = test_tsm_evidence(&t, challenge);
        test_assert_bytes(atls_buf_bytes(&blobs.outblob), atls_buf_bytes(&want));
        assert_int_equal(blobs.auxblob.len, 0);
        assert_ptr_equal(blobs.provider, &atls_tsm_tdx);
        if (rows[i].path == NULL) {
            assert_null(t.reached.path);
            assert_int_equal(t.reached.cid, rows[i].cid);
            assert_int_equal(t.reached.port, rows[i].port);
        } else {
            assert_non_null(t.reached.path);
        }
        atls_buf_clear(&want);
        atls_tsm_blobs_clear(&blobs);
        test_tsm_finish(&t);
    }
}

#define HEAD   "\x01\x00\x00\x00\x01\x00\x00\x00"
#define NO_ERR "\x00\x00\x00\x00"

static void services_that_fail(void **state)
{
    static const struct {
        const char *name;
        struct test_tsm_fault fault;
        struct atls_bytes response;
        bool starve;
        enum atls_code want;
        const char *message;
    } rows[] = {
        {"no device", {"open", TDX, ENOENT, 0, 1}, {NULL, 0}, false, ATLS_E_DEVICE, TDX},
        {"no TD", {"ioctl", "", ENOTTY, 0, 1}, {NULL, 0}, false, ATLS_E_DEVICE, "gone"},
        {"TD report busy once", {"ioctl", "", EBUSY, 0, 1}, {NULL, 0}, false, ATLS_OK, NULL},
        {"nobody listens",
         {"connect", "", ECONNREFUSED, 0, 1},
         {NULL, 0},
         false,
         ATLS_E_DEVICE,
         "vsock:2:4050"},
        {"connecting takes too long",
         {"connect", "", ETIMEDOUT, 0, 1000000},
         {NULL, 0},
         false,
         ATLS_E_TIMEOUT,
         "slow"},
        {"the queue is full for a moment",
         {"connect", "", EAGAIN, 0, 2},
         {NULL, 0},
         false,
         ATLS_OK,
         NULL},
        {"hangs up while we write",
         {"write", "socket", EPIPE, 0, 1},
         {NULL, 0},
         false,
         ATLS_OK,
         NULL},
        {"hangs up while we read",
         {"read", "socket", ECONNRESET, 0, 1},
         {NULL, 0},
         false,
         ATLS_OK,
         NULL},
        {"hangs up before its body",
         {"read", "socket", ECONNRESET, 1, 1},
         {NULL, 0},
         false,
         ATLS_OK,
         NULL},
        {"breaks while we read",
         {"read", "socket", EIO, 0, 1},
         {NULL, 0},
         false,
         ATLS_E_DEVICE,
         "read from the quote service"},
        {"cannot be written to",
         {"wait", "socket", ETIMEDOUT, 0, 1000000},
         {NULL, 0},
         true,
         ATLS_E_TIMEOUT,
         "write to the quote service"},
        {"never answers",
         {"wait", "socket", ETIMEDOUT, 1, 1000000},
         {NULL, 0},
         true,
         ATLS_E_TIMEOUT,
         "slow"},
        {"length alone, then the end",
         {NULL, NULL, 0, 0, 0},
         HEX("\0\0\0\x20"),
         false,
         ATLS_E_TIMEOUT,
         "hung up"},
        {"length cut", {NULL, NULL, 0, 0, 0}, HEX("\0\0"), false, ATLS_E_TIMEOUT, "hung up"},
        {"empty response", {NULL, NULL, 0, 0, 0}, HEX("\0\0\0\0"), false, ATLS_E_LIMIT, "0 bytes"},
        {"response too large",
         {NULL, NULL, 0, 0, 0},
         HEX("\0\x01\0\x19"),
         false,
         ATLS_E_LIMIT,
         "65561 bytes"},
        {"an error",
         {NULL, NULL, 0, 0, 0},
         HEX("\0\0\0\x10" HEAD "\x10\0\0\0\x01\x20\x01\0"),
         false,
         ATLS_E_DEVICE,
         "error 0x12001"},
        {"no response",
         {NULL, NULL, 0, 0, 0},
         HEX("\0\0\0\x02xx"),
         false,
         ATLS_E_DECODE,
         "malformed"},
        {"a quote over other bytes",
         {NULL, NULL, 0, 0, 0},
         HEX("\0\0\0\x1c" HEAD "\x1c\0\0\0" NO_ERR "\0\0\0\0\x04\0\0\0quot"),
         false,
         ATLS_E_DEVICE,
         "no evidence"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_tsm_blobs blobs = {0};
        struct test_tsm t;

        print_message("  %s\n", rows[i].name);
        start(&t, "tdx_guest");
        t.faults[0] = rows[i].fault;
        t.response = rows[i].response;
        t.starve = rows[i].starve;
        test_assert_code(make(&t, "?device=" TDX, &blobs, &err), rows[i].want, &err);
        if (rows[i].message != NULL)
            assert_non_null(strstr(err.message, rows[i].message));
        atls_tsm_blobs_clear(&blobs);
        test_tsm_finish(&t);
    }
}

static void responses_are_read_strictly(void **state)
{
    static const char good[] = HEAD "\x1e\0\0\0" NO_ERR "\x02\0\0\0\x04\0\0\0idquot";
    static const struct {
        const char *name;
        size_t at;
        char value;
        enum atls_code want;
    } rows[] = {
        {"another minor version", 2, 7, ATLS_OK},
        {"another major version", 0, 2, ATLS_E_DECODE},
        {"a request", 4, 0, ATLS_E_DECODE},
        {"another type", 4, 3, ATLS_E_DECODE},
        {"another size", 8, 0x1f, ATLS_E_DECODE},
        {"an error", 12, 1, ATLS_E_DEVICE},
        {"a longer id", 16, 3, ATLS_E_DECODE},
        {"a shorter id", 16, 1, ATLS_E_DECODE},
        {"an id of 4 GiB", 19, (char)0xff, ATLS_E_DECODE},
        {"a longer quote", 20, 5, ATLS_E_DECODE},
        {"a shorter quote", 20, 3, ATLS_E_DECODE},
    };
    struct atls_bytes quote = {NULL, 0};
    char in[sizeof good];

    (void)state;
    test_assert_code(atls_tsm_qgs_response(atls_bytes_of(good, sizeof good - 1), &quote, NULL),
                     ATLS_OK, NULL);
    test_assert_bytes(quote, atls_bytes_of("quot", 4));
    for (size_t len = 0; len <= sizeof good; len++) {
        if (len != sizeof good - 1)
            test_assert_code(atls_tsm_qgs_response(atls_bytes_of(good, len), &quote, NULL),
                             ATLS_E_DECODE, NULL);
    }
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        memcpy(in, good, sizeof in);
        in[rows[i].at] = rows[i].value;
        test_assert_code(atls_tsm_qgs_response(atls_bytes_of(in, sizeof in - 1), &quote, &err),
                         rows[i].want, &err);
    }
    memcpy(in, HEAD "\x18\0\0\0" NO_ERR "\0\0\0\0\0\0\0\0", 24);
    test_assert_code(atls_tsm_qgs_response(atls_bytes_of(in, 24), &quote, NULL), ATLS_E_DECODE,
                     NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(extended_reports),
        cmocka_unit_test(extended_reports_that_fail),
        cmocka_unit_test(a_malformed_table_is_left_out),
        cmocka_unit_test(tables_are_cut_at_their_end),
        cmocka_unit_test(quotes_of_a_service),
        cmocka_unit_test(services_that_fail),
        cmocka_unit_test(responses_are_read_strictly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
