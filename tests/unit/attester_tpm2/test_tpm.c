/* The TPM attester against a real software TPM: what it makes must convince a verifier that knows
 * nothing but the specification. */
#include "testlib.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <atls/limits.h>
#include <atls/tpm2.h>

#include "bind/binder.h"
#include "core/arena.h"
#include "core/reader.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "swtpm.h"
#include "wire/kat.h"
#include "wire/tpm.h"

static const struct atls_attester_ops *const backends[] = {&atls_tpm2_attester, NULL};
static const uint8_t binder_bytes[48] = {0xb1, 0x4d, 0xe2};
static const struct atls_bytes binder = {binder_bytes, 32};

/* The TPM of one test. */
static struct test_swtpm *tpm;

static int start_tpm(void **state)
{
    (void)state;
    tpm = test_swtpm_start(0);
    return 0;
}

static int stop_tpm(void **state)
{
    (void)state;
    test_swtpm_stop(tpm);
    tpm = NULL;
    return 0;
}

static enum atls_code try_open(const char *uri_options, const struct atls_attester_options *options,
                               struct atls_attester **out, struct atls_err *err)
{
    char uri[1024];

    return atls_attester_open(test_swtpm_uri(tpm, uri_options, uri, sizeof uri), backends, options,
                              out, err);
}

static struct atls_attester *open_tpm(const char *uri_options)
{
    struct atls_attester *a = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(try_open(uri_options, NULL, &a, &err), ATLS_OK, &err);
    return a;
}

/* Evidence taken apart; borrows from its buffer. */
struct parts {
    struct atls_buf evidence;
    struct atls_arena arena;
    struct atls_cmw cmw;
    struct atls_bundle bundle;
    struct atls_tpm_certify_half kat;
    struct atls_tpm_quote_half pat;
    struct atls_tpms_attest certify, quote;
    struct atls_tpmt_public ak, aik;
};

static struct parts *take_apart(struct atls_attester *a, struct atls_bytes for_binder)
{
    struct parts *p = calloc(1, sizeof *p);
    struct atls_err err = ATLS_ERR_INIT;

    assert_non_null(p);
    p->arena = atls_arena_init(1 << 20);
    test_assert_code(atls_attester_evidence(a, for_binder, &p->evidence, &err), ATLS_OK, &err);
    test_assert_code(atls_cmw_decode(atls_buf_bytes(&p->evidence), &p->arena, &p->cmw, &err),
                     ATLS_OK, &err);
    test_assert_code(atls_bundle_open(&p->cmw, &p->bundle, &err), ATLS_OK, &err);
    assert_true(atls_cmw_type_is(&p->bundle.kat.type, ATLS_TYPE_TPM_CERTIFY));
    assert_true(atls_cmw_type_is(&p->bundle.pat.type, ATLS_TYPE_TPM_QUOTE));
    test_assert_code(atls_tpm_certify_half_decode(p->bundle.kat.value, &p->kat, &err), ATLS_OK,
                     &err);
    test_assert_code(atls_tpm_quote_half_decode(p->bundle.pat.value, &p->pat, &err), ATLS_OK, &err);
    test_assert_code(atls_tpms_attest_decode(p->kat.cert_info, &p->certify, &err), ATLS_OK, &err);
    test_assert_code(atls_tpms_attest_decode(p->pat.attest_info, &p->quote, &err), ATLS_OK, &err);
    test_assert_code(atls_tpmt_public_decode(p->pat.ak_pub, &p->ak, &err), ATLS_OK, &err);
    test_assert_code(atls_tpmt_public_decode(p->kat.pub_area, &p->aik, &err), ATLS_OK, &err);
    return p;
}

static void parts_free(struct parts *p)
{
    atls_buf_clear(&p->evidence);
    atls_arena_clear(&p->arena);
    free(p);
}

/* Signature of an ECDSA P-256 key given as TPMT_PUBLIC. */
static void check_signature(const struct atls_tpmt_public *signer, struct atls_bytes tbs,
                            struct atls_bytes tpmt_signature)
{
    struct atls_writer spki = atls_writer_init(1024);
    struct atls_buf der = ATLS_BUF_INIT;
    struct atls_tpmt_signature signature;
    struct atls_key *key = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_tpmt_signature_decode(tpmt_signature, &signature, &err), ATLS_OK, &err);
    assert_int_equal(signature.algorithm, 0x0018);
    assert_int_equal(signature.hash, 0x000b);
    test_assert_code(atls_ecdsa_der_from_rs(signature.r, signature.s, &der, &err), ATLS_OK, &err);
    test_assert_code(atls_tpmt_public_put_spki(signer, &spki, &err), ATLS_OK, &err);
    test_assert_code(atls_key_from_spki(atls_writer_bytes(&spki), &key, &err), ATLS_OK, &err);
    test_assert_code(
        atls_key_verify(key, ATLS_ECDSA_P256_SHA256, &tbs, 1, atls_buf_bytes(&der), &err), ATLS_OK,
        &err);
    atls_key_unref(key);
    atls_buf_clear(&der);
    atls_writer_clear(&spki);
}

/* nameAlg || SHA-256(TPMT_PUBLIC) */
static void make_name(struct atls_bytes area, uint8_t out[34])
{
    uint8_t digest[ATLS_HASH_MAX];

    test_assert_code(atls_hash_one(ATLS_HASH_SHA256, area, digest, NULL), ATLS_OK, NULL);
    out[0] = 0x00;
    out[1] = 0x0b;
    memcpy(out + 2, digest, 32);
}

/* The values that evidence shows hash to what the TPM signed, selection by selection. */
static void check_pcrs(const struct parts *p)
{
    struct atls_bytes values[ATLS_TPM_VALUE_BANKS_MAX * ATLS_TPM_PCRS_MAX];
    uint8_t digest[ATLS_HASH_MAX];
    size_t count = 0;

    assert_int_equal(p->quote.selection_count, p->pat.bank_count);
    for (size_t b = 0; b < p->quote.selection_count; b++) {
        assert_int_equal(p->quote.selections[b].hash, p->pat.banks[b].hash);
        assert_int_equal(p->quote.selections[b].bitmap, p->pat.banks[b].present);
        for (unsigned int i = 0; i < ATLS_TPM_PCRS_MAX; i++) {
            if ((p->pat.banks[b].present >> i & 1) == 0)
                continue;
            assert_int_equal(p->pat.banks[b].values[i].len,
                             atls_hash_len(atls_tpm_hash(p->pat.banks[b].hash)));
            values[count++] = p->pat.banks[b].values[i];
        }
    }
    test_assert_code(atls_hash_parts(ATLS_HASH_SHA256, values, count, digest, NULL), ATLS_OK, NULL);
    test_assert_bytes(p->quote.pcr_digest, atls_bytes_of(digest, 32));
}

static void check_parts(struct atls_attester *a, const struct parts *p,
                        struct atls_bytes for_binder)
{
    struct atls_writer spki = atls_writer_init(1024);
    uint8_t qualifying[32], name[34];

    assert_int_equal(p->certify.magic, ATLS_TPM_GENERATED);
    assert_int_equal(p->quote.magic, ATLS_TPM_GENERATED);
    assert_int_equal(p->certify.type, ATLS_TPM_ST_ATTEST_CERTIFY);
    assert_int_equal(p->quote.type, ATLS_TPM_ST_ATTEST_QUOTE);
    check_signature(&p->ak, p->kat.cert_info, p->kat.signature);
    check_signature(&p->ak, p->pat.attest_info, p->pat.signature);

    test_assert_code(atls_binder_qualifying_data(for_binder, qualifying, NULL), ATLS_OK, NULL);
    test_assert_bytes(p->certify.extra_data, atls_bytes_of(qualifying, 32));
    test_assert_bytes(p->quote.extra_data, atls_bytes_of(qualifying, 32));

    make_name(p->kat.pub_area, name);
    test_assert_bytes(p->certify.name, atls_bytes_of(name, sizeof name));
    make_name(p->pat.ak_pub, name);
    name[1] = 0x01;
    test_assert_bytes(p->kat.kid, atls_bytes_of(name + 1, 33));
    test_assert_bytes(p->pat.kid, atls_bytes_of(name + 1, 33));

    assert_int_not_equal(p->certify.qualified_signer.len, 0);
    test_assert_bytes(p->certify.qualified_signer, p->quote.qualified_signer);
    assert_int_equal(p->certify.reset_count, p->quote.reset_count);
    assert_int_equal(p->certify.restart_count, p->quote.restart_count);
    assert_true(p->certify.safe && p->quote.safe);

    assert_int_equal(p->ak.attributes, 0x50472);
    assert_int_equal(p->aik.attributes, 0x40472);
    test_assert_code(atls_tpmt_public_put_spki(&p->aik, &spki, NULL), ATLS_OK, NULL);
    test_assert_bytes(atls_writer_bytes(&spki), atls_attester_aik_spki(a));
    atls_writer_clear(&spki);
    check_pcrs(p);
}

static void evidence_convinces(void **state)
{
    static const size_t lengths[] = {32, 48};
    struct atls_attester *a = open_tpm(NULL);

    (void)state;
    assert_string_equal(atls_attester_scheme(a), "tpm2");
    assert_string_equal(atls_attester_evidence_type(a), "tpm");
    assert_false(atls_attester_insecure(a));
    for (size_t i = 0; i < 2; i++) {
        struct atls_bytes for_binder = {binder_bytes, lengths[i]};
        struct parts *p = take_apart(a, for_binder);

        check_parts(a, p, for_binder);
        assert_int_equal(p->quote.selections[0].bitmap, 0xff);
        assert_null(p->bundle.endorsements);
        assert_null(p->pat.event_log.ptr);
        assert_null(p->pat.ima_log.ptr);
        parts_free(p);
    }
    atls_attester_unref(a);
}

static void every_selection_is_quoted_and_read(void **state)
{
    static const struct {
        const char *options;
        size_t banks;
        uint32_t bitmap; /* of each bank */
    } rows[] = {
        {"pcrs=sha256:0", 1, 1},
        {"pcrs=sha256:0-23", 1, 0xffffff},
        {"pcrs=sha384:0-8", 1, 0x1ff},
        {"pcrs=sha512:23", 1, 0x800000},
        {"pcrs=sha1:0-23+sha256:0-23+sha384:0-23", 3, 0xffffff},
        {"pcrs=sha512:0-23+sha384:0-23+sha256:0-23+sha1:0-23", 4, 0xffffff},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_attester *a = open_tpm(rows[i].options);
        struct parts *p = take_apart(a, binder);

        print_message("  %s\n", rows[i].options);
        check_parts(a, p, binder);
        assert_int_equal(p->quote.selection_count, rows[i].banks);
        for (size_t b = 0; b < rows[i].banks; b++)
            assert_int_equal(p->quote.selections[b].bitmap, rows[i].bitmap);
        parts_free(p);
        atls_attester_unref(a);
    }
}

static void a_bank_that_the_tpm_lacks_is_refused_at_the_start(void **state)
{
    struct test_swtpm *plain = tpm;
    struct atls_attester *a = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    tpm = test_swtpm_start(TEST_SWTPM_EK_CERTIFICATE);
    test_assert_code(try_open("pcrs=sha256:0+sha512:3", NULL, &a, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "the TPM has no PCR 3 in bank 0x000d"));
    assert_null(a);
    test_swtpm_stop(tpm);
    tpm = plain;
}

static void extended_pcrs_show(void **state)
{
    static const uint8_t digest[32] = {1};
    static const uint8_t chain[64] = {[32] = 1}; /* 32 zeros, then digest */
    struct atls_attester *a = open_tpm("pcrs=sha256:10,16&connection=release");
    struct parts *before = take_apart(a, binder), *after;
    uint8_t want[ATLS_HASH_MAX];

    (void)state;
    test_swtpm_extend(tpm, 10, digest);
    after = take_apart(a, binder);
    check_parts(a, before, binder);
    check_parts(a, after, binder);
    test_assert_code(atls_hash_one(ATLS_HASH_SHA256, atls_bytes_of(chain, 64), want, NULL), ATLS_OK,
                     NULL);
    test_assert_bytes(before->pat.banks[0].values[10], atls_bytes_of(chain, 32));
    test_assert_bytes(after->pat.banks[0].values[10], atls_bytes_of(want, 32));
    test_assert_bytes(after->pat.banks[0].values[16], atls_bytes_of(chain, 32));
    parts_free(before);
    parts_free(after);
    atls_attester_unref(a);
}

static void identity_key_signs_handshakes(void **state)
{
    static const uint8_t text[] = "TLS 1.3, client CertificateVerify";
    const struct atls_bytes tbs = {text, sizeof text};
    struct atls_attester *a = open_tpm(NULL);
    struct atls_buf signature = ATLS_BUF_INIT;
    struct atls_key *key = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_bytes spki;
    size_t count = 0;

    (void)state;
    assert_int_equal(atls_attester_aik_scheme(a), ATLS_ECDSA_P256_SHA256);
    test_assert_code(atls_certificate_spki(atls_attester_chain(a, &count)[0], &spki, &err), ATLS_OK,
                     &err);
    assert_int_equal(count, 1);
    test_assert_bytes(spki, atls_attester_aik_spki(a));
    test_assert_code(atls_key_from_spki(spki, &key, &err), ATLS_OK, &err);
    for (int i = 0; i < 20; i++) { /* so that short r and s occur now and then */
        test_assert_code(atls_attester_sign(a, ATLS_ECDSA_P256_SHA256, tbs, &signature, &err),
                         ATLS_OK, &err);
        test_assert_code(
            atls_key_verify(key, ATLS_ECDSA_P256_SHA256, &tbs, 1, atls_buf_bytes(&signature), &err),
            ATLS_OK, &err);
        atls_buf_clear(&signature);
    }
    atls_key_unref(key);
    atls_attester_unref(a);
}

static void other_schemes_are_refused_by_the_backend(void **state)
{
    struct atls_attester_options options;
    const struct atls_challenge short_binder = {.binder = atls_bytes_of(binder_bytes, 31),
                                                .profiles = ATLS_PROFILE_KAT};
    struct atls_buf signature = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    char uri[256];
    void *self = NULL;

    (void)state;
    atls_attester_options_init(&options);
    test_swtpm_uri(tpm, NULL, uri, sizeof uri);
    test_assert_code(atls_tpm2_attester.open(uri + strlen("tpm2:"), &options, &self, &err), ATLS_OK,
                     &err);
    test_assert_code(
        atls_tpm2_attester.aik_sign(self, ATLS_ECDSA_P384_SHA384, binder, &signature, &err),
        ATLS_E_USAGE, &err);
    test_assert_code(atls_tpm2_attester.evidence(self, &short_binder, &signature, &err),
                     ATLS_E_USAGE, &err);
    atls_tpm2_attester.close(self);
}

static void one_tpm_has_one_attestation_key(void **state)
{
    struct atls_attester *a = open_tpm(NULL);
    struct parts *first = take_apart(a, binder), *second;

    (void)state;
    atls_attester_unref(a);
    test_swtpm_restart(tpm);
    a = open_tpm(NULL);
    second = take_apart(a, binder);
    test_assert_bytes(second->pat.ak_pub, first->pat.ak_pub);
    test_assert_bytes(second->pat.kid, first->pat.kid);
    assert_false(atls_bytes_equal(second->kat.pub_area, first->kat.pub_area));
    atls_attester_unref(a);
    test_swtpm_stop(tpm);
    parts_free(second);

    tpm = test_swtpm_start(0);
    a = open_tpm(NULL);
    second = take_apart(a, binder);
    assert_false(atls_bytes_equal(second->pat.ak_pub, first->pat.ak_pub));
    atls_attester_unref(a);
    parts_free(first);
    parts_free(second);
}

/* TPM2_GetCapability(TPM_CAP_HANDLES) from first on: how many there are. */
static uint32_t loaded_handles(uint32_t first)
{
    const uint8_t command[] = {
        0x80, 0x01, 0, 0, 0, 22, 0, 0, 0x01, 0x7a, 0, 0, 0, 1, (uint8_t)(first >> 24),
        0,    0,    0, 0, 0, 0,  16};
    uint8_t response[256];
    size_t len = test_swtpm_command(tpm, command, sizeof command, response, sizeof response);

    assert_true(len >= 19);
    assert_memory_equal(response + 6, "\0\0\0\0", 4);
    return (uint32_t)response[15] << 24 | (uint32_t)response[16] << 16 |
           (uint32_t)response[17] << 8 | response[18];
}

static void nothing_stays_loaded(void **state)
{
    struct atls_attester *a = open_tpm("connection=release");
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    assert_int_equal(loaded_handles(0x80000000), 0);
    for (int i = 0; i < 8; i++) {
        test_assert_code(atls_attester_evidence(a, binder, &out, &err), ATLS_OK, &err);
        atls_buf_clear(&out);
        test_assert_code(atls_attester_sign(a, ATLS_ECDSA_P256_SHA256, binder, &out, &err), ATLS_OK,
                         &err);
        atls_buf_clear(&out);
    }
    assert_int_equal(loaded_handles(0x80000000), 0);
    assert_int_equal(loaded_handles(0x02000000), 0);
    assert_int_equal(loaded_handles(0x03000000), 0);
    atls_attester_unref(a);
}

static void full_slots_are_reported_as_such(void **state)
{
    /* TPM2_HashSequenceStart: one slot each. */
    static const uint8_t command[] = {0x80, 0x01, 0, 0, 0, 14, 0, 0, 0x01, 0x86, 0, 0, 0, 0x0b};
    struct atls_attester *a = open_tpm("connection=release"), *b = NULL;
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t response[64];

    (void)state;
    for (int i = 0; i < 3; i++)
        test_swtpm_command(tpm, command, sizeof command, response, sizeof response);
    test_assert_code(atls_attester_evidence(a, binder, &out, &err), ATLS_E_DEVICE, &err);
    assert_non_null(strstr(err.message, "no free slot"));
    assert_null(out.ptr);
    test_assert_code(atls_attester_sign(a, ATLS_ECDSA_P256_SHA256, binder, &out, &err),
                     ATLS_E_DEVICE, &err);
    test_assert_code(try_open(NULL, NULL, &b, &err), ATLS_E_DEVICE, &err);
    assert_non_null(strstr(err.message, "TPM2_CreatePrimary"));
    assert_null(b);
    atls_attester_unref(a);
}

static void two_programs_share_a_simulator(void **state)
{
    struct atls_attester *a = open_tpm("connection=release"), *b = open_tpm("connection=release");

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct parts *p = take_apart(a, binder), *q = take_apart(b, binder);

        check_parts(a, p, binder);
        check_parts(b, q, binder);
        test_assert_bytes(p->pat.ak_pub, q->pat.ak_pub);
        parts_free(p);
        parts_free(q);
    }
    atls_attester_unref(a);
    atls_attester_unref(b);
}

struct worker {
    pthread_t thread;
    struct atls_attester *attester;
    uint8_t binder[32];
    bool failed;
};

/* Evidence and signatures in turn; whatever fails is told to the main thread, which may fail. */
static void *work(void *arg)
{
    struct worker *w = arg;

    for (int i = 0; i < 5 && !w->failed; i++) {
        struct atls_arena arena = atls_arena_init(1 << 20);
        struct atls_buf evidence = ATLS_BUF_INIT, signature = ATLS_BUF_INIT;
        struct atls_bytes own = {w->binder, sizeof w->binder};
        struct atls_tpm_certify_half kat;
        struct atls_tpms_attest attest;
        struct atls_bundle bundle;
        struct atls_cmw cmw;

        w->binder[1] = (uint8_t)i;
        w->failed = atls_attester_evidence(w->attester, own, &evidence, NULL) != ATLS_OK ||
                    atls_attester_sign(w->attester, ATLS_ECDSA_P256_SHA256, own, &signature,
                                       NULL) != ATLS_OK ||
                    atls_cmw_decode(atls_buf_bytes(&evidence), &arena, &cmw, NULL) != ATLS_OK ||
                    atls_bundle_open(&cmw, &bundle, NULL) != ATLS_OK ||
                    atls_tpm_certify_half_decode(bundle.kat.value, &kat, NULL) != ATLS_OK ||
                    atls_tpms_attest_decode(kat.cert_info, &attest, NULL) != ATLS_OK ||
                    !atls_bytes_equal(attest.extra_data, own);
        atls_buf_clear(&evidence);
        atls_buf_clear(&signature);
        atls_arena_clear(&arena);
    }
    return NULL;
}

static void four_threads_get_their_own_evidence(void **state)
{
    static const char *const options[] = {"connection=keep", "connection=release"};

    (void)state;
    for (size_t o = 0; o < 2; o++) {
        struct atls_attester *a = open_tpm(options[o]);
        struct worker workers[4];

        print_message("  %s\n", options[o]);
        for (size_t i = 0; i < 4; i++) {
            workers[i] = (struct worker){.attester = a, .binder = {(uint8_t)i}};
            assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
        }
        for (size_t i = 0; i < 4; i++)
            pthread_join(workers[i].thread, NULL);
        for (size_t i = 0; i < 4; i++)
            assert_false(workers[i].failed);
        atls_attester_unref(a);
    }
}

static void a_tpm_that_goes_away_is_an_error_and_may_come_back(void **state)
{
    static const char *const options[] = {"connection=keep", "connection=release"};

    (void)state;
    for (size_t o = 0; o < 2; o++) {
        struct atls_attester *a = open_tpm(options[o]);
        struct parts *before = take_apart(a, binder), *after;
        struct atls_buf out = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", options[o]);
        test_swtpm_kill(tpm);
        for (int i = 0; i < 3; i++) {
            test_assert_code(atls_attester_evidence(a, binder, &out, &err), ATLS_E_DEVICE, &err);
            test_assert_code(atls_attester_sign(a, ATLS_ECDSA_P256_SHA256, binder, &out, &err),
                             ATLS_E_DEVICE, &err);
            assert_null(out.ptr);
        }
        test_swtpm_restart(tpm);
        after = take_apart(a, binder);
        test_assert_bytes(after->pat.ak_pub, before->pat.ak_pub);
        test_assert_bytes(after->kat.pub_area, before->kat.pub_area);
        assert_int_not_equal(after->quote.reset_count, before->quote.reset_count);
        check_signature(&after->ak, after->kat.cert_info, after->kat.signature);
        check_signature(&after->ak, after->pat.attest_info, after->pat.signature);
        parts_free(before);
        parts_free(after);
        atls_attester_unref(a);
    }
}

static void power_cuts_do_not_lock_the_keys(void **state)
{
    struct atls_attester *a = open_tpm("connection=release");
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (int i = 0; i < 10; i++) { /* swtpm locks after three */
        test_assert_code(atls_attester_sign(a, ATLS_ECDSA_P256_SHA256, binder, &out, &err), ATLS_OK,
                         &err);
        atls_buf_clear(&out);
        test_swtpm_kill(tpm);
        test_swtpm_restart(tpm);
    }
    test_assert_code(atls_attester_evidence(a, binder, &out, &err), ATLS_OK, &err);
    atls_buf_clear(&out);
    atls_attester_unref(a);
}

/* TPM2_Clear, authorised by lockout with an empty password. */
static void clear_tpm(void)
{
    static const uint8_t command[] = {0x80, 0x02, 0, 0,    0,    27, 0, 0, 0x01,
                                      0x26, 0x40, 0, 0,    0x0a, 0,  0, 0, 9,
                                      0x40, 0,    0, 0x09, 0,    0,  0, 0, 0};
    uint8_t response[64];

    test_swtpm_command(tpm, command, sizeof command, response, sizeof response);
    assert_memory_equal(response + 6, "\0\0\0\0", 4);
}

static void a_cleared_tpm_has_lost_the_identity_key(void **state)
{
    struct atls_attester *a = open_tpm("connection=release");
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    clear_tpm();
    test_assert_code(atls_attester_evidence(a, binder, &out, &err), ATLS_E_DEVICE, &err);
    assert_non_null(strstr(err.message, "TPM2_Load"));
    atls_attester_unref(a);
}

static void another_tpm_in_its_place_is_refused(void **state)
{
    char state_file[256], other_state[256], command[600];
    struct test_swtpm *other = test_swtpm_start(0);
    struct atls_attester *a = open_tpm("connection=release");
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    snprintf(state_file, sizeof state_file, "%s/state/tpm2-00.permall", test_swtpm_folder(tpm));
    snprintf(other_state, sizeof other_state, "%s/state/tpm2-00.permall", test_swtpm_folder(other));
    test_swtpm_kill(tpm);
    snprintf(command, sizeof command, "cp %s %s", other_state, state_file);
    assert_int_equal(system(command), 0);
    test_swtpm_restart(tpm);
    test_assert_code(atls_attester_evidence(a, binder, &out, &err), ATLS_E_DEVICE, &err);
    assert_non_null(strstr(err.message, "no longer has the attestation key"));
    atls_attester_unref(a);
    test_swtpm_stop(other);
}

static void tpms_that_cannot_be_reached_are_reported(void **state)
{
    static const char *const uris[] = {
        "tpm2:swtpm:path=/nonexistent/tpm.sock",
        "tpm2:nosuchtcti:x",
        "tpm2:device:/dev/null/x",
    };

    (void)state;
    for (size_t i = 0; i < sizeof uris / sizeof uris[0]; i++) {
        struct atls_attester *a = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", uris[i]);
        test_assert_code(atls_attester_open(uris[i], backends, NULL, &a, &err), ATLS_E_DEVICE,
                         &err);
        assert_non_null(strstr(err.message, uris[i] + strlen("tpm2:")));
        assert_null(a);
    }
}

/* Writes len bytes to name in the TPM's folder. */
static const char *write_log(const char *name, size_t len)
{
    static char path[256];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", test_swtpm_folder(tpm), name);
    f = fopen(path, "w");
    assert_non_null(f);
    for (size_t i = 0; i < len; i++)
        fputc('L', f);
    fclose(f);
    return path;
}

static void logs_ride_along(void **state)
{
    char options[600];
    struct atls_attester *a;
    struct parts *p;

    (void)state;
    snprintf(options, sizeof options, "event-log=%s", write_log("event.log", 5000));
    snprintf(options + strlen(options), 300, "&ima-log=%s", write_log("ima.log", 300));
    a = open_tpm(options);
    p = take_apart(a, binder);
    check_parts(a, p, binder);
    assert_int_equal(p->pat.event_log.len, 5000);
    assert_int_equal(p->pat.ima_log.len, 300);
    assert_int_equal(p->pat.event_log.ptr[4999], 'L');
    parts_free(p);
    atls_attester_unref(a);
}

static void what_is_too_large_is_named(void **state)
{
    static const struct {
        const char *name, *option;
        size_t len;
        enum atls_code want;
        const char *message;
    } rows[] = {
        {"event log that fits", "event-log", 60000, ATLS_OK, NULL},
        {"event log that does not", "event-log", 70000, ATLS_E_LIMIT,
         "the event log is too large: 70000 bytes"},
        {"IMA log that does not", "ima-log", 70000, ATLS_E_LIMIT,
         "the IMA log is too large: 70000 bytes"},
        {"log larger than any log", "ima-log", ATLS_EVENT_LOG_MAX + 1, ATLS_E_LIMIT,
         "larger than 16777216 bytes"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf out = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_attester *a;
        char options[300];

        print_message("  %s\n", rows[i].name);
        snprintf(options, sizeof options, "%s=%s", rows[i].option,
                 write_log("large.log", rows[i].len));
        a = open_tpm(options);
        test_assert_code(atls_attester_evidence(a, binder, &out, &err), rows[i].want, &err);
        if (rows[i].message != NULL && strstr(err.message, rows[i].message) == NULL)
            fail_msg("message is \"%s\"", err.message);
        atls_buf_clear(&out);
        atls_attester_unref(a);
    }
}

static void a_missing_log_is_reported(void **state)
{
    struct atls_attester *a = open_tpm("event-log=/nonexistent/log");
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_attester_evidence(a, binder, &out, &err), ATLS_E_IO, &err);
    assert_non_null(strstr(err.message, "event log: cannot open /nonexistent/log"));
    atls_attester_unref(a);
}

/* PEM file of count certificates; the first one's DER goes to out_first. */
static const char *endorsement_file(size_t count, struct atls_buf *out_first)
{
    static char path[256];
    FILE *f;

    snprintf(path, sizeof path, "%s/endorsements.pem", test_swtpm_folder(tpm));
    f = fopen(path, "w");
    assert_non_null(f);
    for (size_t i = 0; i < count; i++) {
        struct atls_private_key *key = NULL;
        struct atls_buf der = ATLS_BUF_INIT, pem = ATLS_BUF_INIT;
        struct atls_certificate_spec spec = {.common_name = "x", .not_after_s = 4102444800};

        test_assert_code(atls_private_key_generate(ATLS_KEY_P256, &key, NULL), ATLS_OK, NULL);
        spec.sign_arg = key;
        spec.sign = atls_private_key_sign_function;
        spec.scheme = atls_private_key_scheme(key);
        spec.spki = atls_key_spki(atls_private_key_public(key));
        test_assert_code(atls_certificate_make(&spec, &der, NULL), ATLS_OK, NULL);
        test_assert_code(atls_pem_encode("CERTIFICATE", atls_buf_bytes(&der), &pem, NULL), ATLS_OK,
                         NULL);
        assert_int_equal(fwrite(pem.ptr, 1, pem.len, f), pem.len);
        if (i == 0 && out_first != NULL)
            *out_first = der;
        else
            atls_buf_clear(&der);
        atls_buf_clear(&pem);
        atls_private_key_free(key);
    }
    fclose(f);
    return path;
}

static void endorsements_ride_along(void **state)
{
    struct atls_buf first = ATLS_BUF_INIT;
    struct atls_attester_options options;
    struct atls_attester *a = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    const struct atls_cmw *chain;
    struct parts *p;

    (void)state;
    atls_attester_options_init(&options);
    options.endorsements = endorsement_file(2, &first);
    test_assert_code(try_open(NULL, &options, &a, &err), ATLS_OK, &err);
    p = take_apart(a, binder);
    check_parts(a, p, binder);
    assert_non_null(p->bundle.endorsements);
    chain = atls_cmw_find(p->bundle.endorsements, "ak-chain");
    assert_non_null(chain);
    assert_int_equal(chain->kind, ATLS_CMW_COLLECTION);
    assert_int_equal(chain->count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_false(chain->entries[i].label.is_text);
        assert_int_equal(chain->entries[i].label.number, i);
        assert_true(atls_cmw_type_is(&chain->entries[i].value.type, "application/pkix-cert"));
    }
    test_assert_bytes(chain->entries[0].value.value, atls_buf_bytes(&first));
    parts_free(p);
    atls_buf_clear(&first);
    atls_attester_unref(a);
}

static void unfit_endorsements_are_refused(void **state)
{
    static const struct {
        const char *name;
        size_t count;
    } rows[] = {{"none", 0}, {"one too many", ATLS_CHAIN_MAX + 1}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_attester_options options;
        struct atls_attester *a = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        atls_attester_options_init(&options);
        options.endorsements = endorsement_file(rows[i].count, NULL);
        assert_int_not_equal(try_open(NULL, &options, &a, &err), ATLS_OK);
        assert_non_null(strstr(err.message, options.endorsements));
        assert_null(a);
        options.endorsements = "/nonexistent.pem";
        test_assert_code(try_open(NULL, &options, &a, &err), ATLS_E_IO, &err);
    }
}

static void keep_message(void *arg, enum atls_log_level level, const char *module,
                         const char *message)
{
    (void)level, (void)module;
    snprintf(arg, 256, "%s", message);
}

static void opening_logs_the_key(void **state)
{
    struct atls_attester_options options;
    struct atls_attester *a = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    char message[256] = "", kid[80];
    struct parts *p;

    (void)state;
    atls_attester_options_init(&options);
    options.log = (struct atls_log){message, ATLS_LOG_INFO, keep_message};
    test_assert_code(try_open(NULL, &options, &a, &err), ATLS_OK, &err);
    p = take_apart(a, binder);
    for (size_t i = 0; i < 33; i++)
        snprintf(kid + 2 * i, 3, "%02x", p->pat.kid.ptr[i]);
    assert_non_null(strstr(message, kid));
    parts_free(p);
    atls_attester_unref(a);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, start_tpm, stop_tpm)
    const struct CMUnitTest tests[] = {
        ROW(evidence_convinces),
        ROW(every_selection_is_quoted_and_read),
        ROW(a_bank_that_the_tpm_lacks_is_refused_at_the_start),
        ROW(extended_pcrs_show),
        ROW(identity_key_signs_handshakes),
        ROW(other_schemes_are_refused_by_the_backend),
        ROW(one_tpm_has_one_attestation_key),
        ROW(nothing_stays_loaded),
        ROW(full_slots_are_reported_as_such),
        ROW(two_programs_share_a_simulator),
        ROW(four_threads_get_their_own_evidence),
        ROW(a_tpm_that_goes_away_is_an_error_and_may_come_back),
        ROW(power_cuts_do_not_lock_the_keys),
        ROW(a_cleared_tpm_has_lost_the_identity_key),
        ROW(another_tpm_in_its_place_is_refused),
        ROW(tpms_that_cannot_be_reached_are_reported),
        ROW(logs_ride_along),
        ROW(what_is_too_large_is_named),
        ROW(a_missing_log_is_reported),
        ROW(endorsements_ride_along),
        ROW(unfit_endorsements_are_refused),
        ROW(opening_logs_the_key),
    };

    if (!test_swtpm_available()) {
        print_message("skipped: swtpm and swtpm_setup are not installed\n");
        return TEST_SWTPM_SKIP;
    }
    setenv("TSS2_LOG", "all+none",
           1); /* failures are provoked here; the library would print them */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
