#include "testlib.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/err.h"
#include "core/writer.h"
#include "evidence/event_log.h"
#include "wire/tpm_event_log.h"

/* ---- recorded logs ---- */

static enum atls_hash bank_of(const char *name)
{
    if (strcmp(name, "sha1") == 0)
        return ATLS_HASH_SHA1;
    assert_string_equal(name, "sha256");
    return ATLS_HASH_SHA256;
}

static void check_bank(struct atls_bytes log, enum atls_hash bank, json_t *pcrs)
{
    struct atls_replay replay;
    struct atls_err err = ATLS_ERR_INIT;
    const char *index;
    json_t *value;

    test_assert_code(atls_event_log_replay(log, bank, &replay, &err), ATLS_OK, &err);
    json_object_foreach(pcrs, index, value)
    {
        struct atls_buf want = test_unhex(json_string_value(value));

        test_assert_bytes(atls_bytes_of(replay.values[atoi(index)], atls_hash_len(bank)),
                          atls_buf_bytes(&want));
        atls_buf_clear(&want);
    }
}

static void recorded_logs_replay_to_recorded_values(void **state)
{
    struct atls_buf text = test_vector("tpm/eventlogs/expected_pcrs.json");
    json_t *root = json_loadb((const char *)text.ptr, text.len, 0, NULL), *banks, *pcrs;
    const char *file, *bank;
    size_t logs = 0;

    (void)state;
    assert_non_null(root);
    json_object_foreach(root, file, banks)
    {
        char path[128];
        struct atls_buf log;

        print_message("  %s\n", file);
        snprintf(path, sizeof path, "tpm/eventlogs/%s", file);
        log = test_vector(path);
        json_object_foreach(banks, bank, pcrs)
            check_bank(atls_buf_bytes(&log), bank_of(bank), pcrs);
        atls_buf_clear(&log);
        logs++;
    }
    assert_int_equal(logs, 7);
    json_decref(root);
    atls_buf_clear(&text);
}

/* Values for a log as a quote of these PCRs would give them. */
static struct atls_tpm_pcr_values values_of(const struct atls_replay *replay, uint32_t present)
{
    struct atls_tpm_pcr_values v = {0};

    v.hash = atls_tpm_hash_id(replay->bank);
    v.present = present;
    for (size_t i = 0; i < ATLS_TPM_PCRS_MAX; i++)
        v.values[i] = atls_bytes_of(replay->values[i], atls_hash_len(replay->bank));
    return v;
}

static void recorded_logs_verify(void **state)
{
    static const struct {
        const char *path;
        enum atls_hash bank;
        enum atls_secure_boot secure_boot;
        size_t events;
    } rows[] = {
        {"tpm/eventlogs/arch-linux-workstation.bin", ATLS_HASH_SHA256, ATLS_SECURE_BOOT_DISABLED,
         24},
        {"tpm/eventlogs/binary_bios_measurements-secureboot", ATLS_HASH_SHA256,
         ATLS_SECURE_BOOT_ENABLED, 98},
        {"tpm/eventlogs/cos-101-amd-sev.bin", ATLS_HASH_SHA384, ATLS_SECURE_BOOT_ENABLED, 48},
        {"tpm/eventlogs/crypto_agile_eventlog", ATLS_HASH_SHA256, ATLS_SECURE_BOOT_DISABLED, 26},
        {"tpm/eventlogs/debian-10.bin", ATLS_HASH_SHA1, ATLS_SECURE_BOOT_ENABLED, 25},
        {"tpm/eventlogs/eventlogwithsp800155.bin", ATLS_HASH_SHA256, ATLS_SECURE_BOOT_ENABLED, 53},
        {"tpm/eventlogs/gdc-host.bin", ATLS_HASH_SHA256, ATLS_SECURE_BOOT_DISABLED, 158},
        {"tpm/eventlogs/option_rom_eventlog", ATLS_HASH_SHA1, ATLS_SECURE_BOOT_ENABLED, 61},
        {"tpm/eventlogs/rhel8-uefi.bin", ATLS_HASH_SHA384, ATLS_SECURE_BOOT_ENABLED, 82},
        {"tpm/eventlogs/ubuntu-2404-amd-sevsnp.bin", ATLS_HASH_SHA256, ATLS_SECURE_BOOT_DISABLED,
         116},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf log = test_vector(rows[i].path);
        struct atls_replay replay;
        struct atls_tpm_pcr_values quoted;
        struct atls_boot_summary boot;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].path);
        test_assert_code(atls_event_log_replay(atls_buf_bytes(&log), rows[i].bank, &replay, &err),
                         ATLS_OK, &err);
        quoted = values_of(&replay, 0xffffff);
        test_assert_code(atls_event_log_verify(atls_buf_bytes(&log), &quoted, &boot, &err), ATLS_OK,
                         &err);
        assert_int_equal(boot.secure_boot, rows[i].secure_boot);
        assert_int_equal(boot.events, rows[i].events);
        atls_buf_clear(&log);
    }
}

static void startup_locality_of_a_recorded_log(void **state)
{
    struct atls_buf log = test_vector("tpm/eventlogs/gdc-host.bin");
    struct atls_event_log reader;
    struct atls_event event;
    struct atls_replay replay;
    struct atls_tpm_pcr_values quoted;
    struct atls_boot_summary boot;
    struct atls_err err = ATLS_ERR_INIT;
    bool seen = false;
    size_t at;

    (void)state;
    test_assert_code(atls_event_log_open(atls_buf_bytes(&log), &reader, &err), ATLS_OK, &err);
    while (!seen && !atls_event_log_done(&reader)) {
        test_assert_code(atls_event_log_next(&reader, &event, &err), ATLS_OK, &err);
        seen = event.data.len == 17 && memcmp(event.data.ptr, "StartupLocality", 16) == 0;
    }
    assert_true(seen);
    test_assert_code(atls_event_log_replay(atls_buf_bytes(&log), ATLS_HASH_SHA256, &replay, &err),
                     ATLS_OK, &err);
    quoted = values_of(&replay, 0x1);
    at = (size_t)(event.data.ptr - log.ptr) + 16;
    /* The locality itself decides: 4 in place of 3 leads elsewhere, 1 nowhere. */
    assert_int_equal(log.ptr[at], 3);
    for (size_t i = 0; i < 2; i++) {
        log.ptr[at] = i == 0 ? 4 : 1;
        test_assert_code(atls_event_log_verify(atls_buf_bytes(&log), &quoted, &boot, &err),
                         ATLS_E_EVIDENCE, &err);
        assert_int_equal(err.reason, ATLS_REASON_EVENT_LOG_MISMATCH);
    }
    atls_buf_clear(&log);
}

/* ---- logs of our own ---- */

static void put_u16le(struct atls_writer *w, uint16_t v)
{
    atls_put_u8(w, (uint8_t)v);
    atls_put_u8(w, (uint8_t)(v >> 8));
}

static void put_head(struct atls_writer *w)
{
    static const uint8_t zeros[20];

    atls_put_u32le(w, 0);
    atls_put_u32le(w, ATLS_EV_NO_ACTION);
    atls_put_bytes(w, atls_bytes_of(zeros, sizeof zeros));
    atls_put_u32le(w, 16 + 4 + 4 + 4 + 4 + 1);
    atls_put_bytes(w, atls_bytes_of("Spec ID Event03", 16));
    atls_put_u32le(w, 0);
    atls_put_bytes(w, atls_bytes_of("\0\2\0\2", 4));
    atls_put_u32le(w, 1);
    put_u16le(w, ATLS_TPM_ALG_SHA256);
    put_u16le(w, 32);
    atls_put_u8(w, 0);
}

/* An event whose digest is of measured, and whose data is data. */
struct row {
    uint32_t pcr, type;
    struct atls_bytes measured, data;
};

static void put_row(struct atls_writer *w, const struct row *row)
{
    uint8_t digest[ATLS_HASH_MAX];

    assert_int_equal(atls_hash_one(ATLS_HASH_SHA256, row->measured, digest, NULL), ATLS_OK);
    atls_put_u32le(w, row->pcr);
    atls_put_u32le(w, row->type);
    atls_put_u32le(w, 1);
    put_u16le(w, ATLS_TPM_ALG_SHA256);
    atls_put_bytes(w, atls_bytes_of(digest, 32));
    atls_put_u32le(w, (uint32_t)row->data.len);
    atls_put_bytes(w, row->data);
}

#define SAME(literal) HEX(literal), HEX(literal)
#define GUID          "\x61\xdf\xe4\x8b\xca\x93\xd2\x11\xaa\x0d\x00\xe0\x98\x03\x2b\x8c"
#define NAME          "S\0e\0c\0u\0r\0e\0B\0o\0o\0t\0"
#define LEN(byte)     byte "\0\0\0\0\0\0\0"
#define SB(value)     GUID LEN("\x0a") LEN("\1") NAME value
#define SEPARATOR                                                                                  \
    {                                                                                              \
        7, ATLS_EV_SEPARATOR, SAME("\0\0\0\0")                                                     \
    }
#define ROWS_MAX 6

struct scenario {
    const char *name;
    struct row rows[ROWS_MAX];
    uint32_t quoted;
    const char *want; /* part of the message of the refusal; NULL: accepted */
    enum atls_secure_boot secure_boot;
};

#define VARIABLE ATLS_EV_EFI_VARIABLE_DRIVER_CONFIG
#define ACTION   0x80000007u

static const struct scenario scenarios[] = {
    {"secure boot is on",
     {{7, VARIABLE, SAME(SB("\1"))}, SEPARATOR},
     0x80,
     NULL,
     ATLS_SECURE_BOOT_ENABLED},
    {"secure boot is off",
     {{7, VARIABLE, SAME(SB("\0"))}, SEPARATOR},
     0x80,
     NULL,
     ATLS_SECURE_BOOT_DISABLED},
    {"SecureBoot without a value",
     {{7, VARIABLE, SAME(GUID LEN("\x0a") LEN("\0") NAME)}, SEPARATOR},
     0x80,
     NULL,
     ATLS_SECURE_BOOT_DISABLED},
    {"nothing says whether secure boot is on", {SEPARATOR}, 0x80, NULL, ATLS_SECURE_BOOT_UNKNOWN},
    {"SecureBoot of another vendor",
     {{7, VARIABLE, SAME("0123456789abcdef" LEN("\x0a") LEN("\1") NAME "\1")}, SEPARATOR},
     0x80,
     NULL,
     ATLS_SECURE_BOOT_UNKNOWN},
    {"data that is no variable",
     {{7, VARIABLE, SAME("x")}, SEPARATOR},
     0x80,
     NULL,
     ATLS_SECURE_BOOT_UNKNOWN},
    {"SecureBoot in another PCR",
     {{1, VARIABLE, SAME(SB("\1"))}, {1, ATLS_EV_SEPARATOR, SAME("\0\0\0\0")}, SEPARATOR},
     0x82,
     NULL,
     ATLS_SECURE_BOOT_UNKNOWN},
    {"SecureBoot after the separator, where anybody may extend",
     {SEPARATOR, {7, VARIABLE, SAME(SB("\1"))}},
     0x80,
     NULL,
     ATLS_SECURE_BOOT_UNKNOWN},
    {"SecureBoot as an event of another type",
     {{7, ACTION, SAME(SB("\1"))}, SEPARATOR},
     0x80,
     NULL,
     ATLS_SECURE_BOOT_UNKNOWN},
    {"SecureBoot without PCR 7 in the quote",
     {{7, VARIABLE, SAME(SB("\1"))}, SEPARATOR, {0, ATLS_EV_SEPARATOR, SAME("\0\0\0\0")}},
     0x01,
     NULL,
     ATLS_SECURE_BOOT_UNKNOWN},
    {"an event of no PCR extends nothing",
     {{ATLS_EVENT_NO_PCR, ACTION, SAME("x")}, SEPARATOR},
     0x80,
     NULL,
     ATLS_SECURE_BOOT_UNKNOWN},
    {"a separator of another length above PCR 7",
     {{12, ATLS_EV_SEPARATOR, SAME("WBCL")}, SEPARATOR},
     0x1080,
     NULL,
     ATLS_SECURE_BOOT_UNKNOWN},
    {"a PCR above 7 that the log does not extend is not the log's to explain",
     {SEPARATOR},
     0x880,
     NULL,
     ATLS_SECURE_BOOT_UNKNOWN},

    {"two SecureBoot variables",
     {{7, VARIABLE, SAME(SB("\1"))}, {7, VARIABLE, SAME(SB("\1"))}, SEPARATOR},
     0x80,
     "more than one SecureBoot",
     ATLS_SECURE_BOOT_UNKNOWN},
    {"SecureBoot 2",
     {{7, VARIABLE, SAME(SB("\2"))}, SEPARATOR},
     0x80,
     "neither 0 nor 1",
     ATLS_SECURE_BOOT_UNKNOWN},
    {"SecureBoot of two bytes",
     {{7, VARIABLE, SAME(GUID LEN("\x0a") LEN("\2") NAME "\1\1")}, SEPARATOR},
     0x80,
     "neither 0 nor 1",
     ATLS_SECURE_BOOT_UNKNOWN},
    {"data that the digest does not cover",
     {{7, VARIABLE, HEX(SB("\0")), HEX(SB("\1"))}, SEPARATOR},
     0x80,
     "does not cover its data",
     ATLS_SECURE_BOOT_UNKNOWN},
    {"no separator",
     {{7, VARIABLE, SAME(SB("\1"))}},
     0x80,
     "no separator",
     ATLS_SECURE_BOOT_UNKNOWN},
    {"two separators",
     {SEPARATOR, SEPARATOR},
     0x80,
     "more than one separator",
     ATLS_SECURE_BOOT_UNKNOWN},
    {"a separator under another name, to make room for events before the next",
     {{7, ACTION, SAME("\0\0\0\0")}, {7, VARIABLE, SAME(SB("\1"))}, SEPARATOR},
     0x80,
     "do not agree",
     ATLS_SECURE_BOOT_UNKNOWN},
    {"another event under the name of a separator",
     {{7, ATLS_EV_SEPARATOR, SAME("\1\0\0\0")}, SEPARATOR},
     0x80,
     "do not agree",
     ATLS_SECURE_BOOT_UNKNOWN},
    {"a separator that reports an error",
     {{7, ATLS_EV_SEPARATOR, SAME("\xff\xff\xff\xff")}},
     0x80,
     "firmware met an error",
     ATLS_SECURE_BOOT_UNKNOWN},
    {"a PCR of firmware that the log leaves out",
     {SEPARATOR},
     0x81,
     "no separator",
     ATLS_SECURE_BOOT_UNKNOWN},
    {"StartupLocality in PCR 1",
     {{1, ATLS_EV_NO_ACTION, SAME("StartupLocality\0\3")}, SEPARATOR},
     0x80,
     "out of place",
     ATLS_SECURE_BOOT_UNKNOWN},
    {"StartupLocality after an event of PCR 0",
     {{0, ACTION, SAME("x")}, {0, ATLS_EV_NO_ACTION, SAME("StartupLocality\0\3")}, SEPARATOR},
     0x80,
     "out of place",
     ATLS_SECURE_BOOT_UNKNOWN},
    {"StartupLocality twice",
     {{0, ATLS_EV_NO_ACTION, SAME("StartupLocality\0\3")},
      {0, ATLS_EV_NO_ACTION, SAME("StartupLocality\0\3")},
      SEPARATOR},
     0x80,
     "out of place",
     ATLS_SECURE_BOOT_UNKNOWN},
    {"StartupLocality without a value",
     {{0, ATLS_EV_NO_ACTION, SAME("StartupLocality\0")}, SEPARATOR},
     0x80,
     "out of place",
     ATLS_SECURE_BOOT_UNKNOWN},
    {"StartupLocality 2",
     {{0, ATLS_EV_NO_ACTION, SAME("StartupLocality\0\2")}, SEPARATOR},
     0x80,
     "not 0, 3 or 4",
     ATLS_SECURE_BOOT_UNKNOWN},
};

/* What a TPM would hold after the rows: by an implementation of three lines, not by the replay. */
static void extend_all(const struct scenario *s, uint8_t values[ATLS_TPM_PCRS_MAX][ATLS_HASH_MAX])
{
    memset(values, 0, sizeof(uint8_t[ATLS_TPM_PCRS_MAX][ATLS_HASH_MAX]));
    for (size_t i = 0; i < ROWS_MAX && s->rows[i].data.ptr != NULL; i++) {
        const struct row *row = &s->rows[i];
        uint8_t joined[32 + ATLS_HASH_MAX];

        if (row->type == ATLS_EV_NO_ACTION || row->pcr == ATLS_EVENT_NO_PCR)
            continue;
        memcpy(joined, values[row->pcr], 32);
        assert_int_equal(atls_hash_one(ATLS_HASH_SHA256, row->measured, joined + 32, NULL),
                         ATLS_OK);
        assert_int_equal(
            atls_hash_one(ATLS_HASH_SHA256, atls_bytes_of(joined, 64), values[row->pcr], NULL),
            ATLS_OK);
    }
}

static void what_events_may_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        const struct scenario *s = &scenarios[i];
        uint8_t values[ATLS_TPM_PCRS_MAX][ATLS_HASH_MAX];
        struct atls_writer w = atls_writer_init(4096);
        struct atls_tpm_pcr_values quoted = {.hash = ATLS_TPM_ALG_SHA256, .present = s->quoted};
        struct atls_boot_summary boot = {0};
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code;

        print_message("  %s\n", s->name);
        extend_all(s, values);
        put_head(&w);
        for (size_t n = 0; n < ATLS_TPM_PCRS_MAX; n++)
            quoted.values[n] = atls_bytes_of(values[n], 32);
        for (size_t n = 0; n < ROWS_MAX && s->rows[n].data.ptr != NULL; n++)
            put_row(&w, &s->rows[n]);
        code = atls_event_log_verify(atls_writer_bytes(&w), &quoted, &boot, &err);
        test_assert_code(code, s->want == NULL ? ATLS_OK : ATLS_E_EVIDENCE, &err);
        if (s->want != NULL) {
            assert_int_equal(err.reason, ATLS_REASON_EVENT_LOG_MISMATCH);
            assert_non_null(strstr(err.message, s->want));
        }
        assert_int_equal(boot.secure_boot, s->secure_boot);
        atls_writer_clear(&w);
    }
}

static void a_bank_that_the_log_lacks(void **state)
{
    struct atls_buf log = test_vector("tpm/eventlogs/debian-10.bin");
    struct atls_replay replay;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_event_log_replay(atls_buf_bytes(&log), ATLS_HASH_SHA256, &replay, &err),
                     ATLS_E_EVIDENCE, &err);
    assert_int_equal(err.reason, ATLS_REASON_EVENT_LOG_MISMATCH);
    atls_buf_clear(&log);
}

/* A flipped bit of any digest that PCRs 0 to 7 hold, in turn. */
static void every_digest_counts(void **state)
{
    struct atls_buf log = test_vector("tpm/eventlogs/crypto_agile_eventlog");
    struct atls_replay replay;
    struct atls_tpm_pcr_values quoted;
    struct atls_event_log reader;
    struct atls_event event;
    struct atls_err err = ATLS_ERR_INIT;
    size_t flipped = 0;

    (void)state;
    test_assert_code(atls_event_log_replay(atls_buf_bytes(&log), ATLS_HASH_SHA256, &replay, &err),
                     ATLS_OK, &err);
    quoted = values_of(&replay, 0xff);
    test_assert_code(atls_event_log_open(atls_buf_bytes(&log), &reader, &err), ATLS_OK, &err);
    while (!atls_event_log_done(&reader)) {
        struct atls_boot_summary boot;
        uint8_t *at;

        test_assert_code(atls_event_log_next(&reader, &event, &err), ATLS_OK, &err);
        if (event.type == ATLS_EV_NO_ACTION)
            continue;
        at = log.ptr + (event.digests[0].ptr - log.ptr);
        *at ^= 1;
        test_assert_code(atls_event_log_verify(atls_buf_bytes(&log), &quoted, &boot, &err),
                         ATLS_E_EVIDENCE, &err);
        assert_int_equal(err.reason, ATLS_REASON_EVENT_LOG_MISMATCH);
        *at ^= 1;
        flipped++;
    }
    assert_true(flipped > 20);
    atls_buf_clear(&log);
}

static void initial_values_of_dynamic_launch(void **state)
{
    static const struct scenario none = {.name = "", .rows = {SEPARATOR}};
    struct atls_writer w = atls_writer_init(4096);
    struct atls_replay replay;
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t ones[32];

    (void)state;
    memset(ones, 0xff, sizeof ones);
    put_head(&w);
    put_row(&w, &none.rows[0]);
    test_assert_code(atls_event_log_replay(atls_writer_bytes(&w), ATLS_HASH_SHA256, &replay, &err),
                     ATLS_OK, &err);
    for (size_t i = 0; i < ATLS_TPM_PCRS_MAX; i++)
        assert_int_equal(memcmp(replay.values[i], ones, 32) == 0, i >= 17 && i <= 22);
    assert_int_equal(replay.extended, 0x80);
    atls_writer_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_logs_replay_to_recorded_values),
        cmocka_unit_test(recorded_logs_verify),
        cmocka_unit_test(startup_locality_of_a_recorded_log),
        cmocka_unit_test(what_events_may_say),
        cmocka_unit_test(a_bank_that_the_log_lacks),
        cmocka_unit_test(every_digest_counts),
        cmocka_unit_test(initial_values_of_dynamic_launch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
