#include <stdio.h>
#include <string.h>

#include "failing_alloc.h"
#include "pki.h"
#include "testlib.h"

#include "core/base64.h"
#include "core/reader.h"
#include "core/writer.h"
#include "verifier/local/authority.h"
#include "wire/cbor.h"
#include "wire/cose.h"

/* Two makers; the first has a certificate below an authority. */
static struct test_identity ca, maker, other;
static struct atls_bytes chain[2];
static struct atls_authority authority;

/* One key in every form that a manifest may name it by. */
enum form {
    FORM_PEM_KEY,
    FORM_PEM_CERTIFICATE,
    FORM_PEM_PATH,
    FORM_DER_CERTIFICATE,
    FORM_COSE_KEY,
    FORM_COSE_KEY_SET,
    FORM_KEY_DIGEST,
    FORM_KEY_DIGEST_384_BY_NAME,
    FORM_CERTIFICATE_DIGEST,
    FORMS,
};
static struct atls_buf texts[FORMS][2]; /* of maker, of other */
static const uint64_t tags[FORMS] = {
    ATLS_TAG_PKIX_KEY,  ATLS_TAG_PKIX_CERT, ATLS_TAG_PKIX_PATH,
    ATLS_TAG_CERT_DER,  ATLS_TAG_COSE_KEY,  ATLS_TAG_COSE_KEY,
    ATLS_TAG_KEY_THUMB, ATLS_TAG_KEY_THUMB, ATLS_TAG_CERT_THUMB,
};

static struct atls_bytes spki_of(const struct test_identity *id)
{
    return atls_key_spki(atls_private_key_public(id->key));
}

static struct atls_buf finish(struct atls_writer *w)
{
    struct atls_buf out = ATLS_BUF_INIT;

    assert_int_equal(atls_writer_finish(w, &out, NULL), ATLS_OK);
    return out;
}

static void put_pem(struct atls_writer *w, struct atls_bytes der)
{
    atls_put_text(w, "-----BEGIN CERTIFICATE-----\r\n");
    atls_base64_put(w, der);
    atls_put_text(w, "\n-----END CERTIFICATE-----\n");
}

static struct atls_buf pem_path(const struct test_identity *id, bool with_ca)
{
    struct atls_writer w = atls_writer_init(65536);

    put_pem(&w, atls_buf_bytes(&id->certificate));
    if (with_ca)
        put_pem(&w, atls_buf_bytes(&ca.certificate));
    return finish(&w);
}

static struct atls_buf cose_key(const struct test_identity *id, bool as_set)
{
    struct atls_writer w = atls_writer_init(65536);
    struct atls_cose_key key;

    assert_int_equal(atls_cose_key_from_spki(spki_of(id), &key, NULL), ATLS_OK);
    if (as_set)
        atls_cbor_put_array(&w, 1);
    atls_cose_put_key(&w, &key);
    return finish(&w);
}

static struct atls_buf thumbprint(enum atls_hash hash, const char *name,
                                  const struct atls_bytes *parts, size_t count)
{
    struct atls_writer w = atls_writer_init(256);
    uint8_t digest[ATLS_HASH_MAX];

    assert_int_equal(atls_hash_parts(hash, parts, count, digest, NULL), ATLS_OK);
    atls_cbor_put_array(&w, 2);
    if (name != NULL)
        atls_cbor_put_text(&w, name);
    else
        atls_cbor_put_int(&w, atls_named_hash_of(hash)->number);
    atls_cbor_put_bytes(&w, atls_bytes_of(digest, atls_hash_len(hash)));
    return finish(&w);
}

static int set_up(void **state)
{
    const struct test_identity *const who[] = {&maker, &other};

    (void)state;
    ca = test_ca("maker's authority");
    maker = test_leaf(&ca, "maker.example", ATLS_KEY_P256);
    other = test_leaf(&ca, "other.example", ATLS_KEY_P256);
    chain[0] = atls_buf_bytes(&maker.certificate);
    chain[1] = atls_buf_bytes(&ca.certificate);
    authority = (struct atls_authority){spki_of(&maker), chain, 2};
    for (size_t i = 0; i < 2; i++) {
        const struct atls_key *key = atls_private_key_public(who[i]->key);
        struct atls_bytes spki = spki_of(who[i]);
        struct atls_bytes certificate = atls_buf_bytes(&who[i]->certificate);

        assert_int_equal(atls_key_to_pem(key, &texts[FORM_PEM_KEY][i], NULL), ATLS_OK);
        texts[FORM_PEM_CERTIFICATE][i] = pem_path(who[i], false);
        texts[FORM_PEM_PATH][i] = pem_path(who[i], true);
        assert_int_equal(atls_buf_copy(&texts[FORM_DER_CERTIFICATE][i], certificate, NULL),
                         ATLS_OK);
        texts[FORM_COSE_KEY][i] = cose_key(who[i], false);
        texts[FORM_COSE_KEY_SET][i] = cose_key(who[i], true);
        texts[FORM_KEY_DIGEST][i] = thumbprint(ATLS_HASH_SHA256, NULL, &spki, 1);
        texts[FORM_KEY_DIGEST_384_BY_NAME][i] = thumbprint(ATLS_HASH_SHA384, "sha-384", &spki, 1);
        texts[FORM_CERTIFICATE_DIGEST][i] = thumbprint(ATLS_HASH_SHA256, NULL, &certificate, 1);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < FORMS; i++) {
        atls_buf_clear(&texts[i][0]);
        atls_buf_clear(&texts[i][1]);
    }
    test_identity_clear(&ca);
    test_identity_clear(&maker);
    test_identity_clear(&other);
    return 0;
}

static bool names(const struct atls_authority *a, uint64_t tag, struct atls_bytes content)
{
    const struct atls_corim_key key = {tag, content};
    struct atls_err err = ATLS_ERR_INIT;
    bool named = false;

    test_assert_code(atls_authority_is_named(a, &key, &named, &err), ATLS_OK, &err);
    return named;
}

static void a_key_is_named_in_every_form(void **state)
{
    (void)state;
    for (size_t i = 0; i < FORMS; i++) {
        print_message("form %zu\n", i);
        assert_true(names(&authority, tags[i], atls_buf_bytes(&texts[i][0])));
        assert_false(names(&authority, tags[i], atls_buf_bytes(&texts[i][1])));
    }
}

static void a_path_is_named_by_all_its_certificates(void **state)
{
    struct atls_buf whole = thumbprint(ATLS_HASH_SHA512, NULL, chain, 2);
    struct atls_buf leaf = thumbprint(ATLS_HASH_SHA512, NULL, chain, 1);

    (void)state;
    assert_true(names(&authority, ATLS_TAG_PATH_THUMB, atls_buf_bytes(&whole)));
    assert_false(names(&authority, ATLS_TAG_PATH_THUMB, atls_buf_bytes(&leaf)));
    assert_true(names(&authority, ATLS_TAG_CERT_THUMB, atls_buf_bytes(&leaf)));
    assert_false(names(&authority, ATLS_TAG_CERT_THUMB, atls_buf_bytes(&whole)));
    atls_buf_clear(&whole);
    atls_buf_clear(&leaf);
}

static void without_certificates_only_the_key_is_named(void **state)
{
    const struct atls_authority key_alone = {.spki = authority.spki};
    struct atls_buf nothing = thumbprint(ATLS_HASH_SHA256, NULL, NULL, 0);

    (void)state;
    assert_true(
        names(&key_alone, ATLS_TAG_PKIX_CERT, atls_buf_bytes(&texts[FORM_PEM_CERTIFICATE][0])));
    assert_false(
        names(&key_alone, ATLS_TAG_CERT_THUMB, atls_buf_bytes(&texts[FORM_CERTIFICATE_DIGEST][0])));
    assert_false(names(&key_alone, ATLS_TAG_PATH_THUMB, atls_buf_bytes(&nothing)));
    atls_buf_clear(&nothing);
}

/* The form says what the text is of. */
static void a_certificate_is_no_key_and_a_key_no_certificate(void **state)
{
    (void)state;
    assert_false(
        names(&authority, ATLS_TAG_PKIX_KEY, atls_buf_bytes(&texts[FORM_PEM_CERTIFICATE][0])));
    assert_false(names(&authority, ATLS_TAG_PKIX_CERT, atls_buf_bytes(&texts[FORM_PEM_KEY][0])));
}

static void nobody_is_named_by_nothing(void **state)
{
    const struct atls_authority nobody = {.spki = {NULL, 0}};
    struct atls_bytes empty = atls_bytes_of("", 0);
    struct atls_buf digest = thumbprint(ATLS_HASH_SHA256, NULL, &empty, 1);

    (void)state;
    for (size_t i = 0; i < FORMS; i++)
        assert_false(names(&nobody, tags[i], atls_buf_bytes(&texts[i][0])));
    assert_false(names(&nobody, ATLS_TAG_KEY_THUMB, atls_buf_bytes(&digest)));
    assert_true(atls_authority_equal(&nobody, &nobody));
    assert_false(atls_authority_equal(&nobody, &authority));
    atls_buf_clear(&digest);
}

static void what_cannot_be_read_names_nobody(void **state)
{
    static const struct {
        const char *name;
        uint64_t tag;
        struct atls_bytes content;
    } rows[] = {
        {"text that is no PEM", ATLS_TAG_PKIX_KEY, HEX("-----BEGIN")},
        {"PEM without end", ATLS_TAG_PKIX_KEY, HEX("-----BEGIN PUBLIC KEY-----\nMFkw")},
        {"PEM that is no base64", ATLS_TAG_PKIX_KEY,
         HEX("-----BEGIN PUBLIC KEY-----\nM*kw\n-----END PUBLIC KEY-----\n")},
        {"certificate that is none", ATLS_TAG_PKIX_CERT,
         HEX("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n")},
        {"empty PEM", ATLS_TAG_PKIX_KEY,
         HEX("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n")},
        {"bytes that are no certificate", ATLS_TAG_CERT_DER, HEX("\x30\x00")},
        {"map that is no COSE_Key", ATLS_TAG_COSE_KEY, HEX("\xa0")},
        {"empty COSE_KeySet", ATLS_TAG_COSE_KEY, HEX("\x80")},
        {"COSE_KeySet cut short", ATLS_TAG_COSE_KEY, HEX("\x81")},
        {"key identifier", ATLS_TAG_BYTES, HEX("maker")},
        {"tag that is no key", ATLS_TAG_OID, HEX("\x2a\x03")},
        {"digest of an algorithm without number", ATLS_TAG_KEY_THUMB, HEX("\x82\x63xxx\x41z")},
        {"digest of an algorithm that is not computed", ATLS_TAG_KEY_THUMB, HEX("\x82\x0a\x41z")},
        {"digest that is no pair", ATLS_TAG_KEY_THUMB, HEX("\x83\x01\x41z\x41z")},
        {"digest that is no bytes", ATLS_TAG_KEY_THUMB, HEX("\x82\x01\x61z")},
        {"digest cut short", ATLS_TAG_KEY_THUMB, HEX("\x82\x01\x41z")},
        {"digest that is no list", ATLS_TAG_KEY_THUMB, HEX("\x01")},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        print_message("%s\n", rows[i].name);
        assert_false(names(&authority, rows[i].tag, rows[i].content));
    }
}

static void every_key_of_a_set_must_be_the_one(void **state)
{
    struct atls_writer w = atls_writer_init(65536);
    struct atls_cose_key key;
    struct atls_buf set;

    (void)state;
    atls_cbor_put_array(&w, 2);
    assert_int_equal(atls_cose_key_from_spki(spki_of(&maker), &key, NULL), ATLS_OK);
    atls_cose_put_key(&w, &key);
    assert_int_equal(atls_cose_key_from_spki(spki_of(&other), &key, NULL), ATLS_OK);
    atls_cose_put_key(&w, &key);
    set = finish(&w);
    assert_false(names(&authority, ATLS_TAG_COSE_KEY, atls_buf_bytes(&set)));
    atls_buf_clear(&set);
}

static void every_named_key_must_be_the_one(void **state)
{
    const struct atls_corim_key keys[] = {
        {ATLS_TAG_PKIX_KEY, atls_buf_bytes(&texts[FORM_PEM_KEY][0])},
        {ATLS_TAG_KEY_THUMB, atls_buf_bytes(&texts[FORM_KEY_DIGEST][0])},
        {ATLS_TAG_PKIX_KEY, atls_buf_bytes(&texts[FORM_PEM_KEY][1])},
    };
    static const struct {
        size_t first, count;
        bool want;
    } rows[] = {{0, 0, true}, {0, 1, true}, {0, 2, true}, {0, 3, false}, {2, 1, false}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool holds = !rows[i].want;

        assert_int_equal(
            atls_authority_holds(&authority, keys + rows[i].first, rows[i].count, &holds, NULL),
            ATLS_OK);
        assert_int_equal(holds, rows[i].want);
    }
}

/* Out of memory is neither yes nor no. */
static void running_short_of_memory_is_no_answer(void **state)
{

    (void)state;
    for (size_t f = 0; f < FORMS; f++) {
        const struct atls_corim_key key = {tags[f], atls_buf_bytes(&texts[f][0])};
        bool failed = true;

        for (size_t n = 0; failed && n < 10000; n++) {
            bool named = false;
            enum atls_code code;

            test_failing_alloc_arm(n);
            code = atls_authority_is_named(&authority, &key, &named, NULL);
            failed = test_failing_alloc_disarm();
            if (code == ATLS_OK)
                assert_true(named);
            else
                assert_true(failed && (code == ATLS_E_NOMEM || code == ATLS_E_CRYPTO));
        }
        assert_false(failed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_named_in_every_form),
        cmocka_unit_test(a_path_is_named_by_all_its_certificates),
        cmocka_unit_test(without_certificates_only_the_key_is_named),
        cmocka_unit_test(a_certificate_is_no_key_and_a_key_no_certificate),
        cmocka_unit_test(nobody_is_named_by_nothing),
        cmocka_unit_test(what_cannot_be_read_names_nobody),
        cmocka_unit_test(every_key_of_a_set_must_be_the_one),
        cmocka_unit_test(every_named_key_must_be_the_one),
        cmocka_unit_test(running_short_of_memory_is_no_answer),
    };

    test_failing_alloc_install();
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
