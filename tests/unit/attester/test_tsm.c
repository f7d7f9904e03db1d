/* The attester as a whole, over a kernel that is played. */
#include "testlib.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <atls/attester.h>
#include <atls/limits.h>

#include "attester/tsm/tsm.h"
#include "bind/binder.h"
#include "core/arena.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "evidence/collateral.h"
#include "failing_alloc.h"
#include "fake_tsm.h"
#include "wire/cca.h"
#include "wire/kat.h"
#include "wire/tdx.h"
#include "wire/tsm.h"

#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))
#define DIRECTORY "tsm:" TEST_TSM_DIRECTORY

static struct test_tsm machine;
static char folder[] = "/tmp/atls-tsm-XXXXXX";
static char log_text[4096];

static enum atls_code open_on_machine(const char *rest, const struct atls_attester_options *options,
                                      void **out_self, struct atls_err *err)
{
    return atls_tsm_open(&machine.kernel, rest, options, out_self, err);
}

static void hear(void *arg, enum atls_log_level level, const char *module, const char *message)
{
    (void)arg;
    (void)level;
    (void)module;
    strncat(log_text, message, sizeof log_text - strlen(log_text) - 1);
}

static enum atls_code open_tsm(const char *uri, struct atls_attester **out, struct atls_err *err)
{
    static struct atls_attester_ops ops;
    static const struct atls_attester_ops *const backends[] = {&ops, NULL};
    struct atls_attester_options options;

    ops = atls_tsm_attester;
    ops.open = open_on_machine;
    log_text[0] = '\0';
    atls_attester_options_init(&options);
    options.log = (struct atls_log){.level = ATLS_LOG_WARNING, .handler = hear};
    return atls_attester_open(uri, backends, &options, out, err);
}

/* The 64 bytes that evidence of this kind carries. */
static struct atls_bytes report_data(const char *technology, struct atls_bytes evidence,
                                     struct atls_arena *arena)
{
    struct atls_cca_token token;
    struct atls_cca_realm realm;

    if (strcmp(technology, "cca") != 0)
        return atls_bytes_of(evidence.ptr + (strcmp(technology, "snp") == 0 ? 0x50 : 48 + 520), 64);
    test_assert_code(atls_cca_token_open(evidence, arena, &token, NULL), ATLS_OK, NULL);
    test_assert_code(atls_cca_realm_decode(token.realm.payload, arena, &realm, NULL), ATLS_OK,
                     NULL);
    return realm.challenge;
}

/* What the platform token holds of the kernel's, with its challenge checked. */
static void check_token(const struct atls_cmw *pat, const char *provider, const char *technology,
                        struct atls_bytes challenge, struct atls_arena *arena)
{
    struct atls_tsm_report report;

    if (strcmp(technology, "cca") == 0) {
        assert_true(atls_cmw_type_is(
            &pat->type, "application/eat-collection; profile=\"http://arm.com/CCA-SSD/1.0.0\""));
        test_assert_bytes(report_data(technology, pat->value, arena), challenge);
        return;
    }
    assert_true(atls_cmw_type_is(&pat->type, ATLS_TYPE_TSM_REPORT));
    test_assert_code(atls_tsm_report_decode(pat->value, &report, NULL), ATLS_OK, NULL);
    test_assert_bytes(report.provider, atls_bytes_of(provider, strlen(provider)));
    test_assert_bytes(report_data(technology, report.outblob, arena), challenge);
    test_assert_bytes(report.auxblob, machine.aux);
    assert_int_equal(report.auxblob.ptr != NULL, machine.aux.len > 0);
    assert_int_equal(report.manifest.ptr != NULL, machine.services);
}

static void check_kat(struct atls_attester *a, struct atls_bytes binder,
                      const struct atls_bundle *bundle, uint8_t challenge[ATLS_HASH_MAX])
{
    struct atls_writer spki = atls_writer_init(1024);
    struct atls_kat kat;

    assert_true(atls_cmw_type_is(&bundle->kat.type, ATLS_TYPE_KAT));
    test_assert_code(atls_kat_decode(bundle->kat.value, &kat, NULL), ATLS_OK, NULL);
    test_assert_bytes(kat.nonce, binder);
    test_assert_code(atls_cose_put_spki(&spki, &kat.key, NULL), ATLS_OK, NULL);
    test_assert_bytes(atls_writer_bytes(&spki), atls_attester_aik_spki(a));
    atls_writer_clear(&spki);
    test_assert_code(atls_hash_one(ATLS_HASH_SHA512, bundle->kat.value, challenge, NULL), ATLS_OK,
                     NULL);
}

static void check_evidence(struct atls_attester *a, const struct atls_challenge *c,
                           const char *provider, const char *technology)
{
    struct atls_arena arena = atls_arena_init(1 << 20);
    struct atls_buf cmw = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t challenge[ATLS_HASH_MAX];
    struct atls_bundle bundle;
    struct atls_cmw decoded;

    test_assert_code(atls_attester_evidence_for(a, c, &cmw, &err), ATLS_OK, &err);
    test_assert_code(atls_cmw_decode(atls_buf_bytes(&cmw), &arena, &decoded, &err), ATLS_OK, &err);
    if (c->profiles == ATLS_PROFILE_KAT) {
        test_assert_code(atls_bundle_open(&decoded, &bundle, &err), ATLS_OK, &err);
        check_kat(a, c->binder, &bundle, challenge);
        assert_null(bundle.endorsements);
        check_token(&bundle.pat, provider, technology, atls_bytes_of(challenge, 64), &arena);
    } else {
        assert_int_equal(decoded.kind, ATLS_CMW_RECORD);
        test_assert_code(
            atls_binder_bare_challenge(c->binder.len == 48 ? ATLS_HASH_SHA384 : ATLS_HASH_SHA256,
                                       c->binder, atls_attester_aik_spki(a), challenge, &err),
            ATLS_OK, &err);
        check_token(&decoded, provider, technology, atls_bytes_of(challenge, 64), &arena);
    }
    atls_buf_clear(&cmw);
    atls_arena_clear(&arena);
}

static void evidence_of_every_machine(void **state)
{
    static const struct {
        const char *name, *uri, *provider, *technology;
        bool devices, services;
        struct atls_bytes aux;
    } rows[] = {
        {"SNP", DIRECTORY, "sev_guest", "snp", false, false, {NULL, 0}},
        {"SNP with certificates", DIRECTORY, "sev_guest", "snp", false, false, HEX("table")},
        {"SNP with a service",
         DIRECTORY "?service=svsm",
         "sev_guest",
         "snp",
         false,
         true,
         {NULL, 0}},
        {"TDX", DIRECTORY, "tdx_guest", "tdx", false, false, {NULL, 0}},
        {"CCA", DIRECTORY, "arm_cca_guest", "cca", false, false, {NULL, 0}},
        {"SNP of an older kernel", "tsm:", "sev_guest", "snp", true, false, {NULL, 0}},
        {"TDX of an older kernel",
         "tsm:?provider=tdx_guest",
         "tdx_guest",
         "tdx",
         true,
         false,
         {NULL, 0}},
        {"SNP by its device",
         "tsm:?device=/dev/sev-guest",
         "sev_guest",
         "snp",
         true,
         false,
         {NULL, 0}},
        {"TDX by its device",
         "tsm:?device=/dev/tdx_guest",
         "tdx_guest",
         "tdx",
         true,
         false,
         {NULL, 0}},
    };
    static const uint8_t binder[48] = {1, 2, 3, [47] = 9};
    static const size_t lengths[] = {32, 48};
    static const unsigned int profiles[] = {ATLS_PROFILE_KAT, ATLS_PROFILE_BARE};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_attester *a = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        test_tsm_init(&machine, rows[i].provider);
        machine.no_directory = rows[i].devices;
        machine.devices[0] = rows[i].devices ? "/dev/sev-guest" : NULL;
        machine.devices[1] = rows[i].devices ? "/dev/tdx_guest" : NULL;
        machine.services = rows[i].services;
        machine.aux = rows[i].aux;
        test_assert_code(open_tsm(rows[i].uri, &a, &err), ATLS_OK, &err);
        assert_int_equal(machine.reports, 0);
        assert_string_equal(atls_attester_evidence_type(a), rows[i].technology);
        assert_string_equal(atls_attester_scheme(a), "tsm");
        assert_false(atls_attester_insecure(a));
        assert_true(atls_attester_profiles(a) & ATLS_PROFILE_BARE);
        for (size_t n = 0; n < 4; n++) {
            const struct atls_challenge c = {.binder = {binder, lengths[n % 2]},
                                             .profiles = profiles[n / 2]};

            check_evidence(a, &c, rows[i].provider, rows[i].technology);
        }
        assert_int_equal(machine.reports, 4);
        atls_attester_unref(a);
        test_tsm_finish(&machine);
    }
}

static void machines_that_do_not_open(void **state)
{
    static const struct {
        const char *name, *uri, *provider, *message;
        bool no_directory, no_driver;
        const char *device;
        struct test_tsm_fault fault;
        enum atls_code want;
    } rows[] = {
        {"no confidential machine",
         "tsm:",
         "sev_guest",
         "no confidential machine",
         true,
         false,
         NULL,
         {NULL, NULL, 0, 0, 0},
         ATLS_E_DEVICE},
        {"module without a driver",
         "tsm:",
         "sev_guest",
         "no confidential machine",
         false,
         true,
         NULL,
         {NULL, NULL, 0, 0, 0},
         ATLS_E_DEVICE},
        {"module without a driver, and a device",
         "tsm:",
         "sev_guest",
         NULL,
         false,
         true,
         "/dev/sev-guest",
         {NULL, NULL, 0, 0, 0},
         ATLS_OK},
        {"an older name of the device",
         "tsm:",
         "tdx_guest",
         NULL,
         true,
         false,
         "/dev/tdx-guest",
         {NULL, NULL, 0, 0, 0},
         ATLS_OK},
        {"a directory that was named is no guess",
         DIRECTORY,
         "sev_guest",
         TEST_TSM_DIRECTORY,
         true,
         false,
         "/dev/sev-guest",
         {NULL, NULL, 0, 0, 0},
         ATLS_E_DEVICE},
        {"a service that a device does not know",
         "tsm:?service=svsm",
         "sev_guest",
         "/sys/kernel/config",
         true,
         false,
         "/dev/sev-guest",
         {NULL, NULL, 0, 0, 0},
         ATLS_E_DEVICE},
        {"a device of another technology",
         "tsm:?provider=tdx_guest",
         "sev_guest",
         "no confidential machine",
         true,
         false,
         "/dev/sev-guest",
         {NULL, NULL, 0, 0, 0},
         ATLS_E_DEVICE},
        {"a device that may not be used",
         "tsm:",
         "sev_guest",
         "not allowed",
         true,
         false,
         "/dev/sev-guest",
         {"open", "/dev/sev-guest", EACCES, 0, 1},
         ATLS_E_DEVICE},
        {"a forced device that is not there",
         "tsm:?device=/dev/sev-guest",
         "sev_guest",
         "/dev/sev-guest",
         false,
         false,
         NULL,
         {NULL, NULL, 0, 0, 0},
         ATLS_E_DEVICE},
        {"a tree that may not be used",
         DIRECTORY,
         "sev_guest",
         "not allowed",
         false,
         false,
         NULL,
         {"make_directory", "", EACCES, 0, 1},
         ATLS_E_DEVICE},
        {"a tree that may not be seen",
         "tsm:",
         "sev_guest",
         "not allowed",
         false,
         false,
         NULL,
         {"find", "report", EACCES, 0, 1},
         ATLS_E_DEVICE},
        {"a provider that cannot be read",
         DIRECTORY,
         "sev_guest",
         "provider",
         false,
         false,
         NULL,
         {"read", "/provider", EIO, 0, 1},
         ATLS_E_DEVICE},
        {"a provider that we do not know",
         DIRECTORY,
         "other_guest",
         "other_guest",
         false,
         false,
         NULL,
         {NULL, NULL, 0, 0, 0},
         ATLS_E_UNSUPPORTED},
        {"another provider than wanted",
         DIRECTORY "?provider=tdx_guest",
         "sev_guest",
         "want tdx_guest",
         false,
         false,
         NULL,
         {NULL, NULL, 0, 0, 0},
         ATLS_E_CONFIG},
        {"the provider that is wanted",
         DIRECTORY "?provider=sev_guest",
         "sev_guest",
         NULL,
         false,
         false,
         NULL,
         {NULL, NULL, 0, 0, 0},
         ATLS_OK},
        {"an option that there is not",
         DIRECTORY "?x=1",
         "sev_guest",
         "unknown option",
         false,
         false,
         NULL,
         {NULL, NULL, 0, 0, 0},
         ATLS_E_CONFIG},
        {"collateral in no directory",
         DIRECTORY "?collateral=/nowhere",
         "sev_guest",
         "no directory",
         false,
         false,
         NULL,
         {NULL, NULL, 0, 0, 0},
         ATLS_E_CONFIG},
        {"a key that is not there",
         DIRECTORY "?aik=/nowhere/key.pem",
         "sev_guest",
         "/nowhere/key.pem",
         false,
         false,
         NULL,
         {NULL, NULL, 0, 0, 0},
         ATLS_E_IO},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_attester *a = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        test_tsm_init(&machine, rows[i].provider);
        machine.no_directory = rows[i].no_directory;
        machine.no_driver = rows[i].no_driver;
        machine.devices[0] = rows[i].device;
        machine.faults[0] = rows[i].fault;
        test_assert_code(open_tsm(rows[i].uri, &a, &err), rows[i].want, &err);
        if (rows[i].message != NULL)
            assert_non_null(strstr(err.message, rows[i].message));
        atls_attester_unref(a);
        test_tsm_finish(&machine);
    }
}

static void endorsements_come_from_the_directory(void **state)
{
    struct atls_attester_options options;
    struct atls_err err = ATLS_ERR_INIT;
    void *self = NULL;

    (void)state;
    test_tsm_init(&machine, "sev_guest");
    atls_attester_options_init(&options);
    options.endorsements = "chain.pem";
    test_assert_code(open_on_machine("", &options, &self, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "collateral=DIR"));
    test_tsm_finish(&machine);
}

/* The kernel of this machine; where it is no confidential one, opening says so. */
static void the_real_kernel(void **state)
{
    static const struct atls_attester_ops *const backends[] = {&atls_tsm_attester, NULL};
    struct atls_attester *a = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    char uri[64];

    (void)state;
    snprintf(uri, sizeof uri, "tsm:%s/none", folder);
    test_assert_code(atls_attester_open(uri, backends, NULL, &a, &err), ATLS_E_DEVICE, &err);
    snprintf(uri, sizeof uri, "tsm:%s", folder);
    test_assert_code(atls_attester_open(uri, backends, NULL, &a, &err), ATLS_E_DEVICE, &err);
    assert_non_null(strstr(err.message, "/provider"));
    assert_null(a);
}

static void keys_may_come_from_a_file(void **state)
{
    struct atls_private_key *key = NULL;
    struct atls_attester *a = NULL;
    struct atls_buf pem = ATLS_BUF_INIT, signature = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    const struct atls_bytes tbs = HEX("to be signed");
    char path[64], uri[160];
    FILE *f;

    (void)state;
    snprintf(path, sizeof path, "%s/key.pem", folder);
    snprintf(uri, sizeof uri, DIRECTORY "?aik=%s", path);
    test_assert_code(atls_private_key_generate(ATLS_KEY_P384, &key, &err), ATLS_OK, &err);
    test_assert_code(atls_private_key_to_pem(key, &pem, &err), ATLS_OK, &err);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(pem.ptr, 1, pem.len, f), pem.len);
    fclose(f);
    test_tsm_init(&machine, "sev_guest");
    test_assert_code(open_tsm(uri, &a, &err), ATLS_OK, &err);
    test_assert_bytes(atls_attester_aik_spki(a), atls_key_spki(atls_private_key_public(key)));
    assert_int_equal(atls_attester_aik_scheme(a), atls_private_key_scheme(key));
    test_assert_code(atls_attester_sign(a, atls_attester_aik_scheme(a), tbs, &signature, &err),
                     ATLS_OK, &err);
    test_assert_code(atls_key_verify(atls_private_key_public(key), atls_attester_aik_scheme(a),
                                     &tbs, 1, atls_buf_bytes(&signature), &err),
                     ATLS_OK, &err);
    unlink(path);
    atls_buf_clear(&signature);
    atls_buf_clear(&pem);
    atls_private_key_free(key);
    atls_attester_unref(a);
    test_tsm_finish(&machine);
}

static void evidence_that_cannot_be_had(void **state)
{
    static const uint8_t binder[32] = {1}, table[40000];
    static const struct {
        const char *name;
        struct test_tsm_fault fault;
        size_t padding, aux_len;
        enum atls_code want;
        const char *message;
    } rows[] = {
        {"provider gone",
         {"read", "/outblob", ENOTTY, 0, 1},
         0,
         0,
         ATLS_E_DEVICE,
         "driver is gone"},
        {"busy to the end", {"read", "/outblob", EBUSY, 0, 100000}, 0, 0, ATLS_E_TIMEOUT, "busy"},
        {"much padding",
         {NULL, NULL, 0, 0, 0},
         64 * 1024 - 1184 - 100,
         0,
         ATLS_E_LIMIT,
         "the outblob is too large: 65436 bytes"},
        {"many certificates",
         {NULL, NULL, 0, 0, 0},
         30000,
         sizeof table,
         ATLS_E_LIMIT,
         "the auxblob is too large: 40000 bytes"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_attester *a = NULL;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_buf cmw = ATLS_BUF_INIT;

        print_message("  %s\n", rows[i].name);
        test_tsm_init(&machine, "sev_guest");
        machine.padding = rows[i].padding;
        machine.aux = atls_bytes_of(rows[i].aux_len > 0 ? table : NULL, rows[i].aux_len);
        test_assert_code(open_tsm(DIRECTORY, &a, &err), ATLS_OK, &err);
        machine.faults[0] = rows[i].fault;
        test_assert_code(
            atls_attester_evidence(a, atls_bytes_of(binder, sizeof binder), &cmw, &err),
            rows[i].want, &err);
        assert_non_null(strstr(err.message, rows[i].message));
        assert_null(cmw.ptr);
        atls_attester_unref(a);
        test_tsm_finish(&machine);
    }
}

static void put_file(const char *name, size_t len)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    f = fopen(path, "w");
    assert_non_null(f);
    while (len-- > 0)
        fputc('x', f);
    fclose(f);
}

static void collateral_goes_into_the_bundle(void **state)
{
    struct atls_arena arena = atls_arena_init(1 << 20);
    static const uint8_t binder[32] = {1};
    struct atls_attester *a = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf cmw = ATLS_BUF_INIT, report = test_vector("sev-snp/aws-vlek/report.bin");
    struct atls_bundle bundle;
    struct atls_cmw decoded;
    char uri[160];

    (void)state;
    test_tsm_init(&machine, "sev_guest");
    machine.evidence = atls_buf_bytes(&report);
    put_file("snp-crl-milan.crl", 300);
    snprintf(uri, sizeof uri, DIRECTORY "?collateral=%s", folder);
    test_assert_code(open_tsm(uri, &a, &err), ATLS_OK, &err);
    test_assert_code(atls_attester_evidence(a, atls_bytes_of(binder, sizeof binder), &cmw, &err),
                     ATLS_OK, &err);
    test_assert_code(atls_cmw_decode(atls_buf_bytes(&cmw), &arena, &decoded, &err), ATLS_OK, &err);
    test_assert_code(atls_bundle_open(&decoded, &bundle, &err), ATLS_OK, &err);
    assert_non_null(bundle.endorsements);
    assert_int_equal(bundle.endorsements->count, 1);
    assert_int_equal(atls_collateral_in(bundle.endorsements, ATLS_COLLATERAL_SNP_CRL).len, 300);
    assert_non_null(strstr(log_text, "snp-ca-milan.pem"));
    atls_buf_clear(&cmw);

    put_file("snp-crl-milan.crl", 70000);
    test_assert_code(atls_attester_evidence(a, atls_bytes_of(binder, sizeof binder), &cmw, &err),
                     ATLS_E_LIMIT, &err);
    assert_non_null(strstr(err.message, "the snp-crl is too large: 70000 bytes"));
    atls_attester_unref(a);
    atls_buf_clear(&report);
    atls_arena_clear(&arena);
    test_tsm_finish(&machine);
}

/* A bundle's event log, or empty. */
static struct atls_buf event_log_of(struct atls_attester *a)
{
    static const uint8_t binder[32] = {1};
    struct atls_arena arena = atls_arena_init(1 << 20);
    struct atls_buf cmw = ATLS_BUF_INIT, out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    const struct atls_cmw *record;
    struct atls_bundle bundle;
    struct atls_cmw decoded;

    test_assert_code(atls_attester_evidence(a, atls_bytes_of(binder, sizeof binder), &cmw, &err),
                     ATLS_OK, &err);
    test_assert_code(atls_cmw_decode(atls_buf_bytes(&cmw), &arena, &decoded, &err), ATLS_OK, &err);
    test_assert_code(atls_bundle_open(&decoded, &bundle, &err), ATLS_OK, &err);
    assert_non_null(bundle.endorsements);
    record = atls_cmw_find(bundle.endorsements, ATLS_TDX_EVENT_LOG);
    assert_non_null(record);
    assert_true(atls_cmw_type_is(&record->type, ATLS_TDX_EVENT_LOG_TYPE));
    test_assert_code(atls_buf_copy(&out, record->value, &err), ATLS_OK, &err);
    atls_buf_clear(&cmw);
    atls_arena_clear(&arena);
    return out;
}

static void the_event_log_goes_into_the_bundle_without_padding(void **state)
{
    static const uint8_t binder[32] = {1};
    struct atls_buf log = test_vector("tdx/v4-gcp-cos113-uptodate/ccel.bin"), found,
                    cmw = ATLS_BUF_INIT;
    struct atls_attester *a = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    char uri[256];

    (void)state;
    test_tsm_init(&machine, "tdx_guest");
    snprintf(uri, sizeof uri, DIRECTORY "?event-log=%s",
             ATLS_TEST_VECTORS "/tdx/v4-gcp-cos113-uptodate/ccel.bin");
    test_assert_code(open_tsm(uri, &a, &err), ATLS_OK, &err);
    found = event_log_of(a);
    assert_true(found.len > 0 && found.len < log.len);
    assert_memory_equal(found.ptr, log.ptr, found.len);
    atls_buf_clear(&found);
    atls_attester_unref(a);

    put_file("snp-crl-milan.crl", 40); /* bytes that are no log */
    snprintf(uri, sizeof uri, DIRECTORY "?event-log=%s/snp-crl-milan.crl", folder);
    test_assert_code(open_tsm(uri, &a, &err), ATLS_OK, &err);
    test_assert_code(atls_attester_evidence(a, atls_bytes_of(binder, sizeof binder), &cmw, &err),
                     ATLS_E_DECODE, &err);
    assert_non_null(strstr(err.message, "snp-crl-milan.crl"));
    atls_attester_unref(a);
    atls_buf_clear(&log);
    test_tsm_finish(&machine);

    test_tsm_init(&machine, "sev_guest");
    test_assert_code(open_tsm(DIRECTORY "?event-log=/nowhere", &a, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "event-log is of TDX"));
    test_tsm_finish(&machine);
}

#define THREADS 4
#define ROUNDS  25

struct asker {
    void *self;
    uint8_t number;
    unsigned int good;
};

static void *ask_often(void *arg)
{
    struct asker *asker = arg;
    uint8_t binder[32] = {asker->number};

    for (uint8_t i = 0; i < ROUNDS; i++) {
        const struct atls_challenge c = {.binder = {binder, sizeof binder},
                                         .profiles = ATLS_PROFILE_KAT};
        struct atls_buf cmw = ATLS_BUF_INIT;

        binder[1] = i;
        if (atls_tsm_attester.evidence(asker->self, &c, &cmw, NULL) == ATLS_OK)
            asker->good++;
        atls_buf_clear(&cmw);
    }
    return NULL;
}

/* Each thread has an entry of its own; evidence over another's challenge would not pass. */
static void threads_do_not_meet(void **state)
{
    struct asker askers[THREADS];
    struct atls_attester_options options;
    struct atls_err err = ATLS_ERR_INIT;
    pthread_t threads[THREADS];
    char uri[160];
    void *self = NULL;

    (void)state;
    test_tsm_init(&machine, "sev_guest");
    put_file("snp-crl-milan.crl", 30);
    atls_attester_options_init(&options);
    snprintf(uri, sizeof uri, TEST_TSM_DIRECTORY "?collateral=%s", folder);
    test_assert_code(open_on_machine(uri, &options, &self, &err), ATLS_OK, &err);
    for (uint8_t i = 0; i < THREADS; i++) {
        askers[i] = (struct asker){self, i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, &askers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(askers[i].good, ROUNDS);
    }
    assert_int_equal(machine.reports, THREADS * ROUNDS);
    atls_tsm_attester.close(self);
    test_tsm_finish(&machine);
}

/* Whatever part of libcrypto runs short of memory, nothing is taken for evidence, nothing leaks. */
static void memory_runs_short(void **state)
{
    static const uint8_t binder[32] = {1};
    const struct atls_challenge c = {.binder = {binder, sizeof binder},
                                     .profiles = ATLS_PROFILE_KAT};
    struct atls_attester_options options;
    struct atls_err err = ATLS_ERR_INIT;
    void *self = NULL;
    size_t n;

    (void)state;
    test_tsm_init(&machine, "sev_guest");
    atls_attester_options_init(&options);
    test_assert_code(open_on_machine(TEST_TSM_DIRECTORY, &options, &self, &err), ATLS_OK, &err);
    for (n = 0;; n++) {
        struct atls_buf cmw = ATLS_BUF_INIT;
        enum atls_code code;

        test_failing_alloc_arm(n);
        code = atls_tsm_attester.evidence(self, &c, &cmw, NULL);
        if (!test_failing_alloc_disarm()) {
            test_assert_code(code, ATLS_OK, NULL);
            atls_buf_clear(&cmw);
            break;
        }
        assert_int_equal(cmw.len > 0, code == ATLS_OK);
        atls_buf_clear(&cmw);
    }
    atls_tsm_attester.close(self);
    test_tsm_finish(&machine);
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int teardown(void **state)
{
    char path[128];

    (void)state;
    snprintf(path, sizeof path, "%s/snp-crl-milan.crl", folder);
    unlink(path);
    return rmdir(folder);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(evidence_of_every_machine),
        cmocka_unit_test(machines_that_do_not_open),
        cmocka_unit_test(endorsements_come_from_the_directory),
        cmocka_unit_test(the_real_kernel),
        cmocka_unit_test(keys_may_come_from_a_file),
        cmocka_unit_test(evidence_that_cannot_be_had),
        cmocka_unit_test(collateral_goes_into_the_bundle),
        cmocka_unit_test(the_event_log_goes_into_the_bundle_without_padding),
        cmocka_unit_test(threads_do_not_meet),
        cmocka_unit_test(memory_runs_short),
    };

    test_failing_alloc_install();
    return cmocka_run_group_tests(tests, setup, teardown);
}
