#include "testlib.h"

#include <stdlib.h>
#include <string.h>

#include <atls/limits.h>

#include "core/err.h"
#include "wire/tpm.h"
#include "wire/tpm_event_log.h"

/* Reads to the end; count receives the number of events. */
static enum atls_code read_all(struct atls_bytes in, size_t *count, struct atls_err *err)
{
    struct atls_event_log log;
    struct atls_event event;
    enum atls_code code = atls_event_log_open(in, &log, err);

    *count = 0;
    while (code == ATLS_OK && !atls_event_log_done(&log)) {
        code = atls_event_log_next(&log, &event, err);
        *count += code == ATLS_OK;
    }
    return code;
}

static void recorded_logs(void **state)
{
    static const struct {
        const char *path;
        bool crypto_agile;
        size_t algorithms;
        size_t events;
    } rows[] = {
        {"tpm/eventlogs/arch-linux-workstation.bin", true, 2, 24},
        {"tpm/eventlogs/binary_bios_measurements-secureboot", true, 1, 98},
        {"tpm/eventlogs/cos-101-amd-sev.bin", true, 3, 48},
        {"tpm/eventlogs/crypto_agile_eventlog", true, 1, 26},
        {"tpm/eventlogs/debian-10.bin", false, 1, 25},
        {"tpm/eventlogs/eventlogwithsp800155.bin", true, 3, 53},
        {"tpm/eventlogs/gdc-host.bin", true, 1, 158},
        {"tpm/eventlogs/option_rom_eventlog", false, 1, 61},
        {"tpm/eventlogs/rhel8-uefi.bin", true, 3, 82},
        {"tpm/eventlogs/short_no_action_eventlog", false, 1, 1},
        {"tpm/eventlogs/ubuntu-2404-amd-sevsnp.bin", true, 3, 116},
        {"tpm/gce-cos-85-nonce9009/event_log.bin", true, 3, 44},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_vector(rows[i].path);
        struct atls_event_log log;
        struct atls_err err = ATLS_ERR_INIT;
        size_t count;

        print_message("  %s\n", rows[i].path);
        test_assert_code(atls_event_log_open(atls_buf_bytes(&in), &log, &err), ATLS_OK, &err);
        assert_int_equal(log.crypto_agile, rows[i].crypto_agile);
        assert_int_equal(log.algorithm_count, rows[i].algorithms);
        test_assert_code(read_all(atls_buf_bytes(&in), &count, &err), ATLS_OK, &err);
        assert_int_equal(count, rows[i].events);
        atls_buf_clear(&in);
    }
}

static void text_is_no_log(void **state)
{
    struct atls_buf in = test_vector("tpm/eventlogs/binary_bios_measurements-bogus");
    struct atls_err err = ATLS_ERR_INIT;
    size_t count;

    (void)state;
    test_assert_code(read_all(atls_buf_bytes(&in), &count, &err), ATLS_E_DECODE, &err);
    assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
    atls_buf_clear(&in);
}

#define ZEROS20   "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define SHA1      "\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"
#define SHA256    "\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2"
#define U32(byte) byte "\0\0\0"
/* Two algorithms; the data is 37 bytes. */
#define SPEC_ID                                                                                    \
    "Spec ID Event03\0" U32("\0") "\0\2\0\2" U32("\2") "\x04\0\x14\0"                              \
                                                       "\x0b\0\x20\0"                              \
                                                       "\0"
#define HEAD  U32("\0") U32("\3") ZEROS20 U32("\x25") SPEC_ID
#define EVENT U32("\7") U32("\4") U32("\2") "\x04\0" SHA1 "\x0b\0" SHA256 U32("\4") "data"

static void a_crypto_agile_log(void **state)
{
    static const struct atls_bytes in = HEX(HEAD EVENT);
    struct atls_event_log log;
    struct atls_event event;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_event_log_open(in, &log, &err), ATLS_OK, &err);
    assert_true(log.crypto_agile);
    assert_int_equal(atls_event_log_find(&log, ATLS_TPM_ALG_SHA1), 0);
    assert_int_equal(atls_event_log_find(&log, ATLS_TPM_ALG_SHA256), 1);
    assert_int_equal(atls_event_log_find(&log, ATLS_TPM_ALG_SHA384), -1);
    test_assert_code(atls_event_log_next(&log, &event, &err), ATLS_OK, &err);
    assert_int_equal(event.pcr, 7);
    assert_int_equal(event.type, ATLS_EV_SEPARATOR);
    test_assert_bytes(event.digests[0], atls_bytes_of(SHA1, 20));
    test_assert_bytes(event.digests[1], atls_bytes_of(SHA256, 32));
    assert_true(atls_bytes_equal_text(event.data, "data"));
    assert_true(atls_event_log_done(&log));
}

/* A log has no length of its own: only a cut between events leaves a log. */
static void truncations_are_refused(void **state)
{
    static const struct atls_bytes in = HEX(HEAD EVENT EVENT);
    static const size_t boundaries[] = {sizeof(HEAD) - 1, sizeof(HEAD EVENT) - 1};

    (void)state;
    for (size_t len = 0; len < in.len; len++) {
        struct atls_err err = ATLS_ERR_INIT;
        bool boundary = len == boundaries[0] || len == boundaries[1];
        uint8_t *cut = malloc(len > 0 ? len : 1);
        size_t count;

        assert_non_null(cut);
        memcpy(cut, in.ptr, len);
        test_assert_code(read_all(atls_bytes_of(cut, len), &count, &err),
                         boundary ? ATLS_OK : ATLS_E_DECODE, &err);
        assert_int_equal(err.reason, boundary ? ATLS_REASON_NONE : ATLS_REASON_MALFORMED);
        free(cut);
    }
}

#define SPEC_OF(count, algorithms, vendor)                                                         \
    "Spec ID Event03\0" U32("\0") "\0\2\0\2" U32(count) algorithms vendor
#define HEAD_OF(len, spec)                                                                         \
    U32("\0") U32("\3") ZEROS20 U32(len)                                                           \
    spec

static void logs_that_are_refused(void **state)
{
    static const struct {
        const char *name;
        struct atls_bytes in;
    } rows[] = {
        {"empty", HEX("")},
        {"the head in PCR 2", HEX(U32("\2") U32("\3") ZEROS20 U32("\x25") SPEC_ID)},
        {"the head as a measured event", HEX(U32("\0") U32("\4") ZEROS20 U32("\x25") SPEC_ID)},
        {"no algorithm", HEX(HEAD_OF("\x1d", SPEC_OF("\0", "", "\0")))},
        {"more algorithms than 16", HEX(HEAD_OF("\x1d", SPEC_OF("\x11", "", "\0")))},
        {"2^32 - 1 algorithms", HEX(U32("\0") U32("\3") ZEROS20 U32("\x1d") "Spec ID Event03\0" U32(
                                    "\0") "\0\2\0\2\xff\xff\xff\xff\0")},
        {"SHA-256 of 20 bytes", HEX(HEAD_OF("\x21", SPEC_OF("\1", "\x0b\0\x14\0", "\0")))},
        {"an unknown algorithm without bytes",
         HEX(HEAD_OF("\x21", SPEC_OF("\1", "\x77\0\0\0", "\0")))},
        {"an unknown algorithm of 65 bytes",
         HEX(HEAD_OF("\x21", SPEC_OF("\1", "\x77\0\x41\0", "\0")))},
        {"an algorithm listed twice",
         HEX(HEAD_OF("\x25", SPEC_OF("\2", "\x04\0\x14\0\x04\0\x14\0", "\0")))},
        {"vendor information beyond the head",
         HEX(HEAD_OF("\x21", SPEC_OF("\1", "\x04\0\x14\0", "\1")))},
        {"a byte after the vendor information", HEX(HEAD_OF("\x22", SPEC_OF("\1", "\x04\0\x14\0",
                                                                            "\0"
                                                                            "x")))},
        {"uintnSize 3",
         HEX(HEAD_OF("\x21", "Spec ID Event03\0" U32("\0") "\0\2\0\3" U32("\1") "\x04\0\x14\0\0"))},
        {"an event with one digest of two",
         HEX(HEAD U32("\7") U32("\4") U32("\1") "\x04\0" SHA1 U32("\0"))},
        {"an event with a digest twice",
         HEX(HEAD U32("\7") U32("\4") U32("\2") "\x04\0" SHA1 "\x04\0" SHA1 U32("\0"))},
        {"an event with a digest that the head does not list",
         HEX(HEAD U32("\7") U32("\4") U32("\2") "\x04\0" SHA1 "\x12\0" SHA256 U32("\0"))},
        {"event count FFFFFFFF", HEX(HEAD U32("\7") U32("\4") "\xff\xff\xff\xff")},
        {"event size beyond the log",
         HEX(HEAD U32("\7") U32("\4") U32("\2") "\x04\0" SHA1 "\x0b\0" SHA256 "\xff\xff\xff\xff")},
        {"a measured event of PCR 24",
         HEX(HEAD U32("\x18") U32("\4") U32("\2") "\x04\0" SHA1 "\x0b\0" SHA256 U32("\0"))},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        size_t count;

        print_message("  %s\n", rows[i].name);
        test_assert_code(read_all(rows[i].in, &count, &err), ATLS_E_DECODE, &err);
        assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
    }
}

static void logs_at_the_edge(void **state)
{
    static const struct {
        const char *name;
        struct atls_bytes in;
        size_t events;
    } rows[] = {
        {"a head alone", HEX(HEAD), 0},
        {"an unknown algorithm, skipped by its listed size",
         HEX(HEAD_OF("\x21", SPEC_OF("\1", "\x77\0\x03\0", "\0")) U32("\7") U32("\4")
                 U32("\1") "\x77\0abc" U32("\0")),
         1},
        {"digests in another order than the head's",
         HEX(HEAD U32("\7") U32("\4") U32("\2") "\x0b\0" SHA256 "\x04\0" SHA1 U32("\0")), 1},
        {"an event of no PCR",
         HEX(HEAD "\xff\xff\xff\xff" U32("\4") U32("\2") "\x04\0" SHA1 "\x0b\0" SHA256 U32("\0")),
         1},
        {"a no-action event of PCR 24",
         HEX(HEAD U32("\x18") U32("\3") U32("\2") "\x04\0" SHA1 "\x0b\0" SHA256 U32("\0")), 1},
        {"a SHA-1 log of one event", HEX(U32("\0") U32("\x08") SHA1 U32("\0")), 1},
        {"an older Spec ID heads a SHA-1 log",
         HEX(U32("\0") U32("\3") ZEROS20 U32("\x10") "Spec ID Event00\0"), 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        size_t count;

        print_message("  %s\n", rows[i].name);
        test_assert_code(read_all(rows[i].in, &count, &err), ATLS_OK, &err);
        assert_int_equal(count, rows[i].events);
    }
}

static void more_than_a_log_may_have(void **state)
{
    static uint8_t big[ATLS_EVENT_LOG_MAX + 1];
    struct atls_event_log log;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_event_log_open(atls_bytes_of(big, sizeof big), &log, &err), ATLS_E_LIMIT,
                     &err);
    /* An event of 1 MiB is the largest. */
    memcpy(big + 28, "\1\0\x10\0", 4);
    test_assert_code(atls_event_log_open(atls_bytes_of(big, ATLS_EVENT_DATA_MAX + 64), &log, &err),
                     ATLS_E_DECODE, &err);
    memcpy(big + 28, "\0\0\x10\0", 4);
    test_assert_code(atls_event_log_open(atls_bytes_of(big, ATLS_EVENT_DATA_MAX + 32), &log, &err),
                     ATLS_OK, &err);
}

#define GUID      "0123456789abcdef"
#define U64(byte) byte "\0\0\0\0\0\0\0"

static void uefi_variables(void **state)
{
    static const struct atls_bytes good = HEX(GUID U64("\2") U64("\1") "a\0b\0\1");
    static const struct {
        const char *name;
        struct atls_bytes in;
    } rows[] = {
        {"a byte after the data", HEX(GUID U64("\2") U64("\1") "a\0b\0\1\1")},
        {"more data than there is", HEX(GUID U64("\2") U64("\2") "a\0b\0\1")},
        {"a name of 2^63 units", HEX(GUID "\0\0\0\0\0\0\0\x80" U64("\1") "a\0b\0\1")},
        {"a name beyond the end", HEX(GUID U64("\3") U64("\0") "a\0b\0\1")},
    };
    struct atls_uefi_variable v;

    (void)state;
    assert_true(atls_uefi_variable_decode(good, &v));
    test_assert_bytes(v.guid, atls_bytes_of(GUID, 16));
    test_assert_bytes(v.name, atls_bytes_of("a\0b\0", 4));
    test_assert_bytes(v.data, atls_bytes_of("\1", 1));
    for (size_t len = 0; len < good.len; len++)
        assert_false(atls_uefi_variable_decode(atls_bytes_of(good.ptr, len), &v));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        print_message("  %s\n", rows[i].name);
        assert_false(atls_uefi_variable_decode(rows[i].in, &v));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_logs),
        cmocka_unit_test(text_is_no_log),
        cmocka_unit_test(a_crypto_agile_log),
        cmocka_unit_test(truncations_are_refused),
        cmocka_unit_test(logs_that_are_refused),
        cmocka_unit_test(logs_at_the_edge),
        cmocka_unit_test(more_than_a_log_may_have),
        cmocka_unit_test(uefi_variables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
