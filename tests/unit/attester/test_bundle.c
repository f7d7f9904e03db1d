#include "testlib.h"

#include <stdlib.h>
#include <string.h>

#include <atls/limits.h>

#include "attester/bundle.h"
#include "bind/binder.h"
#include "core/arena.h"
#include "core/err.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "wire/kat.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define TYPE     "application/x-token"

/* Quotes the challenge and len - 64 bytes behind it; endorsed by documents of these lengths. */
struct device {
    size_t len;
    const char *bulk;
    size_t documents[3];
    bool fails;
    unsigned int quotes;
};

static void fill(struct atls_buf *out, size_t len)
{
    out->ptr = calloc(1, len);
    assert_non_null(out->ptr);
    out->len = len;
}

static enum atls_code quote(void *self, const uint8_t challenge[ATLS_QUOTE_CHALLENGE_LEN],
                            struct atls_quote *out, struct atls_err *err)
{
    static const char *const labels[] = {"zulu", "a", "snp-crl"};
    struct device *d = self;

    d->quotes++;
    if (d->fails)
        return atls_fail(err, ATLS_E_DEVICE, "device: out of order");
    *out = (struct atls_quote){.type = TYPE, .bulk = d->bulk, .bulk_len = d->len};
    fill(&out->token, d->len);
    memcpy(out->token.ptr, challenge, ATLS_QUOTE_CHALLENGE_LEN);
    for (size_t i = 0; i < COUNT(d->documents); i++) {
        struct atls_quote_endorsement *e = &out->endorsements[out->endorsement_count];

        if (d->documents[i] == 0)
            continue;
        e->label = labels[i];
        e->media_type = "application/pkix-crl";
        fill(&e->value, d->documents[i]);
        out->endorsement_count++;
    }
    return ATLS_OK;
}

static struct atls_private_key *key;

static struct atls_quoter quoter_of(struct device *d)
{
    return (struct atls_quoter){"test", d, quote, atls_key_spki(atls_private_key_public(key))};
}

static const uint8_t binder[48] = {5, 6, 7};

static void bundles_hold_what_the_device_gave(void **state)
{
    static const size_t lengths[] = {32, 48};

    (void)state;
    for (size_t i = 0; i < COUNT(lengths); i++) {
        struct atls_arena arena = atls_arena_init(1 << 20);
        struct device d = {.len = 100, .documents = {10, 20, 30}};
        const struct atls_quoter quoter = quoter_of(&d);
        const struct atls_challenge c = {.binder = {binder, lengths[i]},
                                         .profiles = ATLS_PROFILE_KAT | ATLS_PROFILE_BARE};
        struct atls_buf cmw = ATLS_BUF_INIT, kat = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;
        uint8_t challenge[ATLS_HASH_MAX];
        struct atls_bundle bundle;
        struct atls_cmw decoded;

        test_assert_code(atls_bundle_evidence(&quoter, &c, &cmw, &err), ATLS_OK, &err);
        test_assert_code(atls_cmw_decode(atls_buf_bytes(&cmw), &arena, &decoded, &err), ATLS_OK,
                         &err);
        test_assert_code(atls_bundle_open(&decoded, &bundle, &err), ATLS_OK, &err);
        test_assert_code(atls_bundle_kat(quoter.spki, c.binder, &kat, &err), ATLS_OK, &err);
        test_assert_bytes(bundle.kat.value, atls_buf_bytes(&kat));
        test_assert_code(atls_hash_one(ATLS_HASH_SHA512, bundle.kat.value, challenge, &err),
                         ATLS_OK, &err);
        assert_int_equal(bundle.pat.value.len, 100);
        assert_memory_equal(bundle.pat.value.ptr, challenge, 64);
        assert_true(atls_cmw_type_is(&bundle.pat.type, TYPE));
        assert_int_equal(bundle.pat.ind, ATLS_CMW_EVIDENCE);
        assert_non_null(bundle.endorsements);
        assert_int_equal(bundle.endorsements->count, 3);
        assert_int_equal(atls_cmw_find(bundle.endorsements, "snp-crl")->value.len, 30);
        assert_int_equal(atls_cmw_find(bundle.endorsements, "a")->ind, ATLS_CMW_ENDORSEMENTS);
        assert_int_equal(d.quotes, 1);
        atls_buf_clear(&kat);
        atls_buf_clear(&cmw);
        atls_arena_clear(&arena);
    }
}

static void bare_evidence_is_the_token_alone(void **state)
{
    static const size_t lengths[] = {32, 48};

    (void)state;
    for (size_t i = 0; i < COUNT(lengths); i++) {
        struct atls_arena arena = atls_arena_init(1 << 20);
        struct device d = {.len = 64, .documents = {10, 20, 30}};
        const struct atls_quoter quoter = quoter_of(&d);
        const struct atls_challenge c = {.binder = {binder, lengths[i]},
                                         .profiles = ATLS_PROFILE_BARE};
        struct atls_buf cmw = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;
        uint8_t challenge[64];
        struct atls_cmw decoded;

        test_assert_code(atls_bundle_evidence(&quoter, &c, &cmw, &err), ATLS_OK, &err);
        test_assert_code(atls_cmw_decode(atls_buf_bytes(&cmw), &arena, &decoded, &err), ATLS_OK,
                         &err);
        assert_int_equal(decoded.kind, ATLS_CMW_RECORD);
        test_assert_code(atls_binder_bare_challenge(i == 0 ? ATLS_HASH_SHA256 : ATLS_HASH_SHA384,
                                                    c.binder, quoter.spki, challenge, &err),
                         ATLS_OK, &err);
        test_assert_bytes(decoded.value, atls_bytes_of(challenge, 64));
        atls_buf_clear(&cmw);
        atls_arena_clear(&arena);
    }
}

static void what_is_too_large_is_named(void **state)
{
    static const struct {
        const char *name;
        struct device device;
        unsigned int profile;
        enum atls_code want;
        const char *message;
    } rows[] = {
        {"token, no part of it known",
         {.len = 66000},
         ATLS_PROFILE_KAT,
         ATLS_E_LIMIT,
         "the platform token is too large: 66000"},
        {"token, its largest part known",
         {.len = 66000, .bulk = "auxblob"},
         ATLS_PROFILE_KAT,
         ATLS_E_LIMIT,
         "the auxblob is too large: 66000"},
        {"a document",
         {.len = 30000, .documents = {10, 0, 40000}},
         ATLS_PROFILE_KAT,
         ATLS_E_LIMIT,
         "the snp-crl is too large: 40000"},
        {"the largest of documents",
         {.len = 100, .documents = {30000, 40000, 1}},
         ATLS_PROFILE_KAT,
         ATLS_E_LIMIT,
         "the a is too large: 40000"},
        {"documents that do not travel",
         {.len = 66000, .documents = {70000, 0, 0}},
         ATLS_PROFILE_BARE,
         ATLS_E_LIMIT,
         "the platform token is too large: 66000"},
        {"documents that would not fit, bare",
         {.len = 65000, .documents = {70000, 0, 0}},
         ATLS_PROFILE_BARE,
         ATLS_OK,
         NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct device d = rows[i].device;
        const struct atls_quoter quoter = quoter_of(&d);
        const struct atls_challenge c = {.binder = {binder, 32}, .profiles = rows[i].profile};
        struct atls_buf cmw = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        test_assert_code(atls_bundle_evidence(&quoter, &c, &cmw, &err), rows[i].want, &err);
        if (rows[i].message != NULL)
            assert_non_null(strstr(err.message, rows[i].message));
        assert_int_equal(cmw.len > 0, rows[i].want == ATLS_OK);
        atls_buf_clear(&cmw);
    }
}

/* Bare evidence of exactly the limit, and a byte more. */
static void the_limit_is_exact(void **state)
{
    const struct atls_challenge c = {.binder = {binder, 32}, .profiles = ATLS_PROFILE_BARE};
    size_t overhead;

    (void)state;
    {
        struct device d = {.len = 65000};
        const struct atls_quoter quoter = quoter_of(&d);
        struct atls_buf cmw = ATLS_BUF_INIT;

        test_assert_code(atls_bundle_evidence(&quoter, &c, &cmw, NULL), ATLS_OK, NULL);
        overhead = cmw.len - d.len;
        atls_buf_clear(&cmw);
    }
    for (size_t more = 0; more < 2; more++) {
        struct device d = {.len = ATLS_CMW_DATA_MAX - overhead + more};
        const struct atls_quoter quoter = quoter_of(&d);
        struct atls_buf cmw = ATLS_BUF_INIT;

        test_assert_code(atls_bundle_evidence(&quoter, &c, &cmw, NULL),
                         more == 0 ? ATLS_OK : ATLS_E_LIMIT, NULL);
        assert_int_equal(cmw.len, more == 0 ? ATLS_CMW_DATA_MAX : 0);
        atls_buf_clear(&cmw);
    }
}

static void failures_are_passed_on(void **state)
{
    static const struct {
        const char *name;
        size_t binder_len;
        unsigned int profiles;
        bool fails;
        enum atls_code want;
    } rows[] = {
        {"device out of order", 32, ATLS_PROFILE_KAT, true, ATLS_E_DEVICE},
        {"device out of order, bare", 32, ATLS_PROFILE_BARE, true, ATLS_E_DEVICE},
        {"a binder that no KAT holds", 33, ATLS_PROFILE_KAT, false, ATLS_E_USAGE},
        {"profiles that are made elsewhere", 32, ATLS_PROFILE_BATCH | ATLS_PROFILE_PARSEC, false,
         ATLS_E_USAGE},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct device d = {.len = 64, .fails = rows[i].fails};
        const struct atls_quoter quoter = quoter_of(&d);
        const struct atls_challenge c = {.binder = {binder, rows[i].binder_len},
                                         .profiles = rows[i].profiles};
        struct atls_buf cmw = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        test_assert_code(atls_bundle_evidence(&quoter, &c, &cmw, &err), rows[i].want, &err);
        assert_null(cmw.ptr);
        assert_int_equal(d.quotes, rows[i].fails);
    }
}

static void a_key_that_cose_does_not_have(void **state)
{
    struct device d = {.len = 64};
    struct atls_quoter quoter = quoter_of(&d);
    const struct atls_challenge c = {.binder = {binder, 32}, .profiles = ATLS_PROFILE_KAT};
    struct atls_buf cmw = ATLS_BUF_INIT;

    (void)state;
    quoter.spki = atls_bytes_of("no key", 6);
    assert_int_not_equal(atls_bundle_evidence(&quoter, &c, &cmw, NULL), ATLS_OK);
    assert_null(cmw.ptr);
    assert_int_equal(d.quotes, 0);
}

static int make_key(void **state)
{
    (void)state;
    return atls_private_key_generate(ATLS_KEY_P256, &key, NULL) != ATLS_OK;
}

static int drop_key(void **state)
{
    (void)state;
    atls_private_key_free(key);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(bundles_hold_what_the_device_gave),
        cmocka_unit_test(bare_evidence_is_the_token_alone),
        cmocka_unit_test(what_is_too_large_is_named),
        cmocka_unit_test(the_limit_is_exact),
        cmocka_unit_test(failures_are_passed_on),
        cmocka_unit_test(a_key_that_cose_does_not_have),
    };

    return cmocka_run_group_tests(tests, make_key, drop_key);
}
