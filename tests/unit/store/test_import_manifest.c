/* What manifests bring to a store beyond reference values, and whom they are taken from. */
#include "material.h"

#include "conditional.h"
#include "pki.h"
#include "wire/cbor.h"
#include "wire/corim.h"
#include "wire/measurement.h"

#define PCR7 "[{\"mkey\": 7, \"digests\": {\"sha256\": \"" D64 "\"}}]"
#define SVN  "[{\"mkey\": 7, \"svn\": 4}]"
#define THREE                                                                                      \
    "\"endorsed-values\": " SVN ", \"conditional-endorsements\": [{\"conditions\": " PCR7          \
    ", \"additions\": " SVN "}]"                                                                   \
    ", \"conditional-series\": [{\"series\": [{\"selection\": " PCR7 ", \"addition\": " SVN "}]}]"

struct found {
    size_t count, endorsed, series, conditional;
};

static struct found endorsements(struct atls_store *s, struct atls_bytes class_id, int64_t time_s)
{
    struct atls_endorsement_set *set = NULL;
    const struct atls_endorsement *items;
    struct found found = {0, 0, 0, 0};
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_store_endorsements(s, class_id, time_s, &set, &err), ATLS_OK, &err);
    items = atls_endorsement_set_items(set, &found.count);
    for (size_t i = 0; i < found.count; i++) {
        found.endorsed += items[i].endorsed != NULL && items[i].kind == ATLS_TRIPLE_ENDORSED &&
                          items[i].endorsed->ect.count == 1;
        found.series += items[i].series != NULL &&
                        items[i].kind == ATLS_TRIPLE_CONDITIONAL_SERIES &&
                        items[i].series->entry_count == 1;
        found.conditional += items[i].conditional != NULL &&
                             items[i].kind == ATLS_TRIPLE_CONDITIONAL &&
                             items[i].conditional->condition_count == 1;
        assert_string_equal(items[i].manifest, "m");
        assert_int_equal(items[i].authority.len, 0);
    }
    atls_endorsement_set_unref(set);
    return found;
}

static void endorsements_of_a_class(void **state)
{
    struct place *p = *state;
    struct atls_buf corim = make("m", "\"not-before\": 1000, \"not-after\": 2000, " THREE);
    struct atls_store_import_report report;
    struct atls_err err = ATLS_ERR_INIT;

    assert_int_equal(endorsements(p->store, class_item(), 1500).count, 0);
    test_assert_code(atls_store_import_corim(p->store, atls_buf_bytes(&corim),
                                             atls_bytes_of(NULL, 0), 1500, &report, &err),
                     ATLS_OK, &err);
    assert_int_equal(report.endorsements, 3);
    assert_int_equal(report.skipped + report.reference_values + report.attest_keys, 0);
    for (int round = 0; round < 2; round++) { /* from the database, then from memory */
        struct found found = endorsements(p->store, class_item(), 1500);

        assert_int_equal(found.count, 3);
        assert_int_equal(found.endorsed, 1);
        assert_int_equal(found.series, 1);
        assert_int_equal(found.conditional, 1);
        assert_int_equal(endorsements(p->store, class_item(), 999).count, 0);
        assert_int_equal(endorsements(p->store, class_item(), 2001).count, 0);
        assert_int_equal(endorsements(p->store, atls_bytes_of("x", 1), 1500).count, 0);
        assert_int_equal(endorsements(p->store, atls_bytes_of(NULL, 0), 1500).count, 0);
    }
    test_assert_code(atls_store_remove(p->store, "manifest:m", &err), ATLS_OK, &err);
    assert_int_equal(endorsements(p->store, class_item(), 1500).count, 0);
    atls_endorsement_set_unref(NULL);
    atls_reference_set_unref(NULL);
    atls_buf_clear(&corim);
}

/* More classes without anything than are remembered push nothing out that is on file. */
static void classes_of_evidence_do_not_flood_the_cache(void **state)
{
    struct place *p = *state;
    char name[80];

    import_ok(p->store, make("m", THREE));
    assert_int_equal(endorsements(p->store, class_item(), NOW).count, 3);
    for (int i = 0; i < 200; i++) {
        memset(name, 0, sizeof name);
        snprintf(name, sizeof name, "%d", i);
        assert_int_equal(
            endorsements(p->store, atls_bytes_of(name, i % 2 == 0 ? 3 : sizeof name), NOW).count,
            0);
    }
    assert_int_equal(endorsements(p->store, class_item(), NOW).count, 3);
}

/* Any condition may be the one that the attester's class is in. */
static void conditional_endorsements_are_found_by_every_condition(void **state)
{
    static const struct atls_bytes board = HEX("\xd9\x02\x30\x41\x62"),
                                   other = HEX("\xd9\x02\x30\x41\x63"), none = {NULL, 0};
    static const struct {
        const char *name;
        int classes[3]; /* of the conditions: 0 the attester's, 1 the board's, 2 none, -1 no more */
        size_t attester, board, none;
    } rows[] = {
        {"one class", {0, -1}, 1, 0, 0},
        {"another class first", {1, 0, -1}, 1, 1, 0},
        {"one class twice, once for each", {1, 0, 1}, 1, 1, 0},
        {"an instance without class is asked for always", {0, 2, 1}, 0, 0, 1},
    };
    struct place *p = *state;
    struct atls_bytes classes[] = {class_item(), board, none};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct test_part parts[3], addition = {.class_id = class_item(), .mkey = "x", .svn = 1};
        struct atls_store_import_report report;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_buf corim;
        size_t count = 0;

        print_message("  %s\n", rows[i].name);
        for (; count < 3 && rows[i].classes[count] >= 0; count++)
            parts[count] = (struct test_part){
                .class_id = classes[rows[i].classes[count]], .mkey = "a", .svn = count};
        corim = test_conditional("m", parts, count, &addition, 1);
        test_assert_code(import(p->store, &corim, &report, &err), ATLS_OK, &err);
        assert_int_equal(report.endorsements, 1);
        assert_int_equal(report.skipped, 0);
        assert_int_equal(endorsements(p->store, class_item(), NOW).count, rows[i].attester);
        assert_int_equal(endorsements(p->store, board, NOW).count, rows[i].board);
        assert_int_equal(endorsements(p->store, none, NOW).count, rows[i].none);
        assert_int_equal(endorsements(p->store, other, NOW).count, 0);
        atls_buf_clear(&corim);
    }
    test_assert_code(atls_store_remove(p->store, "manifest:m", NULL), ATLS_OK, NULL);
    assert_int_equal(endorsements(p->store, none, NOW).count, 0);
}

static void the_very_same_manifest_again(void **state)
{
    struct place *p = *state;
    struct atls_buf corim = make("m", THREE ", " PCR0), changed = make("m", PCR0);
    struct atls_store_import_report report;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(import(p->store, &corim, &report, &err), ATLS_OK, &err);
    assert_false(report.unchanged);
    test_assert_code(import(p->store, &corim, &report, &err), ATLS_OK, &err);
    assert_true(report.unchanged);
    assert_string_equal(report.manifest_id, "m");
    assert_int_equal(report.endorsements + report.reference_values, 0);
    assert_int_equal(endorsements(p->store, class_item(), NOW).count, 3);
    test_assert_code(import(p->store, &changed, &report, &err), ATLS_OK, &err);
    assert_false(report.unchanged);
    assert_int_equal(endorsements(p->store, class_item(), NOW).count, 0);
    assert_int_equal(count_references(p->store, NOW), 1);
    atls_buf_clear(&corim);
    atls_buf_clear(&changed);
}

/* ---- keys ---- */

struct key_triple {
    int kind;           /* 2 or 3 */
    uint8_t class_byte; /* class-id: tag 560 of one such byte */
    uint8_t instance_byte;
    const struct atls_buf *spki;
};

static void put_key_triple(struct atls_writer *w, const struct key_triple *t)
{
    struct atls_buf pem = ATLS_BUF_INIT;
    uint8_t instance[33];

    memset(instance, t->instance_byte, sizeof instance);
    instance[0] = 1;
    test_assert_code(atls_pem_encode("PUBLIC KEY", atls_buf_bytes(t->spki), &pem, NULL), ATLS_OK,
                     NULL);
    atls_cbor_put_uint(w, (uint64_t)t->kind);
    atls_cbor_put_array(w, 1);
    atls_cbor_put_array(w, 2);
    atls_cbor_put_map(w, 2);
    atls_cbor_put_uint(w, 0);
    atls_cbor_put_map(w, 1);
    atls_cbor_put_uint(w, 0);
    atls_cbor_put_tag(w, ATLS_TAG_BYTES);
    atls_cbor_put_bytes(w, atls_bytes_of(&t->class_byte, 1));
    atls_cbor_put_uint(w, 1);
    atls_cbor_put_tag(w, ATLS_TAG_UEID);
    atls_cbor_put_bytes(w, atls_bytes_of(instance, sizeof instance));
    atls_cbor_put_array(w, 1);
    atls_cbor_put_tag(w, ATLS_TAG_PKIX_KEY);
    atls_cbor_put_text_bytes(w, atls_buf_bytes(&pem));
    atls_buf_clear(&pem);
}

/* A manifest without a profile of at most two kinds of triples. */
static struct atls_buf make_keys(const char *id, const struct key_triple *triples, size_t count)
{
    struct atls_writer comid = atls_writer_init(1 << 16), w = atls_writer_init(1 << 16);
    struct atls_buf out = ATLS_BUF_INIT;

    atls_cbor_put_map(&comid, 2);
    atls_cbor_put_uint(&comid, 1);
    atls_cbor_put_map(&comid, 1);
    atls_cbor_put_uint(&comid, 0);
    atls_cbor_put_text(&comid, "t");
    atls_cbor_put_uint(&comid, 4);
    atls_cbor_put_map(&comid, count);
    for (size_t i = 0; i < count; i++)
        put_key_triple(&comid, &triples[i]);
    atls_cbor_put_tag(&w, 501);
    atls_cbor_put_map(&w, 2);
    atls_cbor_put_uint(&w, 0);
    atls_cbor_put_text(&w, id);
    atls_cbor_put_uint(&w, 1);
    atls_cbor_put_array(&w, 1);
    atls_cbor_put_tag(&w, 506);
    atls_cbor_put_bytes(&w, atls_writer_bytes(&comid));
    test_assert_code(atls_writer_finish(&w, &out, NULL), ATLS_OK, NULL);
    atls_writer_clear(&comid);
    return out;
}

static enum atls_code look_up_in_class(struct atls_store *s, int class_byte, uint8_t instance_byte,
                                       const struct atls_buf *want, struct atls_err *err)
{
    const uint8_t class_id[] = {0xd9, 0x02, 0x30, 0x41, (uint8_t)class_byte};
    struct atls_store_view view = {.store = s, .time_s = NOW};
    struct atls_attest_key key;
    uint8_t instance[33];
    enum atls_code code;

    memset(instance, instance_byte, sizeof instance);
    instance[0] = 1;
    code = atls_store_attest_key(&view, atls_bytes_of(class_id, class_byte < 0 ? 0 : 5),
                                 atls_bytes_of(instance, sizeof instance), &key, err);
    if (code == ATLS_OK) {
        test_assert_bytes(atls_buf_bytes(&key.spki), atls_buf_bytes(want));
        clear_key(&key);
    }
    return code;
}

struct kinds {
    size_t attest, identity, endorsements;
};

static enum atls_code count_kinds(void *arg, const struct atls_store_entry *entry,
                                  struct atls_err *err)
{
    struct kinds *kinds = arg;

    (void)err;
    kinds->attest += strcmp(entry->kind, "attest-key") == 0;
    kinds->identity += strcmp(entry->kind, "identity-key") == 0;
    kinds->endorsements += strcmp(entry->kind, "endorsement") == 0;
    return ATLS_OK;
}

static void identity_keys_are_no_attestation_keys(void **state)
{
    struct place *p = *state;
    struct atls_buf a = new_key(NULL), b = new_key(NULL);
    const struct key_triple triples[] = {{2, 'c', 7, &a}, {3, 'c', 7, &b}};
    struct atls_buf corim = make_keys("k", triples, 2), only = make_keys("o", triples, 1);
    struct atls_store_import_report report;
    struct kinds kinds = {0, 0, 0};
    struct atls_err err = ATLS_ERR_INIT;
    bool trust = true;

    test_assert_code(import(p->store, &only, &report, &err), ATLS_OK, &err);
    assert_int_equal(report.identity_keys, 1);
    assert_int_equal(report.attest_keys, 0);
    test_assert_code(look_up_in_class(p->store, 'c', 7, &b, &err), ATLS_E_NOT_FOUND, &err);
    test_assert_code(atls_store_has_trust(p->store, &trust, &err), ATLS_OK, &err);
    assert_false(trust);
    test_assert_code(import(p->store, &corim, &report, &err), ATLS_OK, &err);
    assert_int_equal(report.identity_keys, 1);
    assert_int_equal(report.attest_keys, 1);
    test_assert_code(look_up_in_class(p->store, 'c', 7, &b, &err), ATLS_OK, &err);
    import_ok(p->store, make("m", THREE));
    test_assert_code(atls_store_list(p->store, count_kinds, &kinds, &err), ATLS_OK, &err);
    assert_int_equal(kinds.attest, 1);
    assert_int_equal(kinds.identity, 2);
    assert_int_equal(kinds.endorsements, 3);
    atls_buf_clear(&a);
    atls_buf_clear(&b);
    atls_buf_clear(&corim);
    atls_buf_clear(&only);
}

/* An instance of PSA or CCA means nothing without its implementation. */
static void one_key_for_class_and_instance(void **state)
{
    struct place *p = *state;
    struct atls_buf a = new_key(NULL), b = new_key(NULL);
    const struct key_triple one = {3, 'c', 7, &a}, two = {3, 'd', 7, &b}, other = {3, 'c', 7, &b};
    struct atls_buf conflicting = make_keys("third", &other, 1),
                    by_instance = make_with_key("fourth", 7, atls_buf_bytes(&a), "");
    struct atls_store_import_report report;
    struct atls_err err = ATLS_ERR_INIT;

    import_ok(p->store, make_keys("first", &one, 1));
    import_ok(p->store, make_keys("second", &two, 1));
    for (int round = 0; round < 2; round++) {
        test_assert_code(look_up_in_class(p->store, 'c', 7, &a, &err), ATLS_OK, &err);
        test_assert_code(look_up_in_class(p->store, 'd', 7, &b, &err), ATLS_OK, &err);
        test_assert_code(look_up_in_class(p->store, 'e', 7, &b, &err), ATLS_E_NOT_FOUND, &err);
        test_assert_code(look_up_in_class(p->store, -1, 7, &b, &err), ATLS_E_CONFIG, &err);
        test_assert_code(look_up(p->store, NOW, 7, &a, &err), ATLS_E_CONFIG, &err);
    }
    test_assert_code(import(p->store, &conflicting, &report, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "another key on file, from manifest first"));
    /* A TPM is found by its instance alone, which must then be its own. */
    test_assert_code(import(p->store, &by_instance, &report, &err), ATLS_E_CONFIG, &err);
    test_assert_code(atls_store_remove(p->store, "manifest:second", &err), ATLS_OK, &err);
    test_assert_code(look_up(p->store, NOW, 7, &a, &err), ATLS_OK, &err);
    test_assert_code(import(p->store, &by_instance, &report, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "another class on file"));
    atls_buf_clear(&a);
    atls_buf_clear(&b);
    atls_buf_clear(&conflicting);
    atls_buf_clear(&by_instance);
}

/* ---- whose manifests are taken ---- */

static struct atls_buf pem_of(const struct test_identity *one)
{
    struct atls_buf out = ATLS_BUF_INIT;

    assert_int_equal(atls_pem_encode("CERTIFICATE", atls_buf_bytes(&one->certificate), &out, NULL),
                     ATLS_OK);
    return out;
}

static struct atls_buf sign(const struct test_identity *signer, struct atls_buf corim)
{
    struct atls_buf chain = pem_of(signer), key = ATLS_BUF_INIT, out = ATLS_BUF_INIT;
    struct atls_corim_sign_options options = {.signer = "me", .chain_pem = atls_buf_bytes(&chain)};
    struct atls_err err = ATLS_ERR_INIT;

    assert_int_equal(atls_private_key_to_pem(signer->key, &key, NULL), ATLS_OK);
    options.key_pem = atls_buf_bytes(&key);
    test_assert_code(atls_corim_sign(atls_buf_bytes(&corim), &options, &out, &err), ATLS_OK, &err);
    atls_buf_clear(&key);
    atls_buf_clear(&chain);
    atls_buf_clear(&corim);
    return out;
}

static const struct test_extension code_signing[] = {
    {"keyUsage", "critical,digitalSignature"}, {"extendedKeyUsage", "codeSigning"}, {NULL, NULL}};

static void who_may_have_signed(void **state)
{
    struct place *p = *state;
    struct test_identity root = test_ca("root"), stranger = test_ca("stranger");
    struct test_identity leaf = test_issue(
        &root, &(struct test_certificate){.common_name = "maker", .extensions = code_signing});
    struct atls_bytes leaf_spki = atls_key_spki(atls_private_key_public(leaf.key)),
                      other_spki = atls_key_spki(atls_private_key_public(stranger.key));
    struct atls_buf root_pem = pem_of(&root), stranger_pem = pem_of(&stranger);
    struct atls_buf plain = make("plain", PCR0), signed_one = sign(&leaf, make("signed", PCR0));
    const struct {
        const char *name;
        const struct atls_buf *corim;
        struct atls_bytes spki;
        const struct atls_buf *anchors;
        bool allow_unsigned;
        const char *profile;
        enum atls_code want;
    } rows[] = {
        {"nobody, nothing allowed", &plain, {NULL, 0}, NULL, false, NULL, ATLS_E_USAGE},
        {"unsigned, allowed", &plain, {NULL, 0}, NULL, true, NULL, ATLS_OK},
        {"unsigned, a signer wanted", &plain, leaf_spki, NULL, false, NULL, ATLS_E_VERIFY},
        {"unsigned, anchors wanted", &plain, {NULL, 0}, &root_pem, false, NULL, ATLS_E_VERIFY},
        {"unsigned, a signer or allowed", &plain, leaf_spki, NULL, true, NULL, ATLS_OK},
        {"signed, nobody trusted", &signed_one, {NULL, 0}, NULL, true, NULL, ATLS_E_VERIFY},
        {"signed, by its key", &signed_one, leaf_spki, NULL, false, NULL, ATLS_OK},
        {"signed, another key", &signed_one, other_spki, NULL, true, NULL, ATLS_E_VERIFY},
        {"signed, its anchor", &signed_one, {NULL, 0}, &root_pem, false, NULL, ATLS_OK},
        {"signed, another anchor",
         &signed_one,
         {NULL, 0},
         &stranger_pem,
         false,
         NULL,
         ATLS_E_CERTIFICATE},
        {"signed, another key, its anchor", &signed_one, other_spki, &root_pem, true, NULL,
         ATLS_OK},
        {"its profile", &plain, {NULL, 0}, NULL, true, ATLS_CORIM_TPM_PROFILE, ATLS_OK},
        {"another profile",
         &plain,
         {NULL, 0},
         NULL,
         true,
         "tag:example.com,2026:x",
         ATLS_E_UNSUPPORTED},
        {"anchors that are none", &signed_one, {NULL, 0}, &plain, false, NULL, ATLS_E_DECODE},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_store_corim_options options;
        struct atls_store_import_report report;
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code;

        atls_store_corim_options_init(&options);
        options.signer_spki = rows[i].spki;
        if (rows[i].anchors != NULL)
            options.anchors = atls_buf_bytes(rows[i].anchors);
        options.allow_unsigned = rows[i].allow_unsigned;
        options.profile = rows[i].profile;
        options.time_s = TEST_TIME_S;
        code = atls_store_import_corim_as(p->store, atls_buf_bytes(rows[i].corim), &options,
                                          &report, &err);
        if (code != rows[i].want)
            fail_msg("%s: code %d: %s", rows[i].name, code, err.message);
        if (code == ATLS_OK && rows[i].corim == &signed_one) {
            struct atls_reference_set *set;
            const struct atls_reference *items;
            size_t count;

            assert_int_equal(atls_store_references(p->store, class_item(), TEST_TIME_S, &set, NULL),
                             ATLS_OK);
            items = atls_reference_set_items(set, &count);
            assert_int_equal(count, 2);
            assert_int_equal(items[0].authority.len, 0);
            test_assert_bytes(items[1].authority, leaf_spki);
            atls_reference_set_unref(set);
        }
    }
    test_identity_clear(&root);
    test_identity_clear(&stranger);
    test_identity_clear(&leaf);
    atls_buf_clear(&root_pem);
    atls_buf_clear(&stranger_pem);
    atls_buf_clear(&plain);
    atls_buf_clear(&signed_one);
}

/* A manifest with keys of one instance, each of a class of its own. */
static struct atls_buf many_classes(const char *id, unsigned int first, size_t count,
                                    const struct atls_buf *key)
{
    static const char profile[] = "http://arm.com/psa/iot/1";
    struct atls_writer comid = atls_writer_init(512 * 1024), w = atls_writer_init(512 * 1024);
    uint8_t instance[33] = {1}, class_id[32] = {0};
    struct atls_buf out = ATLS_BUF_INIT;

    atls_cbor_put_map(&comid, 2);
    atls_cbor_put_uint(&comid, 1);
    atls_cbor_put_map(&comid, 1);
    atls_cbor_put_uint(&comid, 0);
    atls_cbor_put_text(&comid, id);
    atls_cbor_put_uint(&comid, 4);
    atls_cbor_put_map(&comid, 1);
    atls_cbor_put_uint(&comid, 3);
    atls_cbor_put_array(&comid, count);
    for (size_t i = 0; i < count; i++) {
        class_id[0] = (uint8_t)((first + i) >> 8);
        class_id[1] = (uint8_t)(first + i);
        atls_cbor_put_array(&comid, 2);
        atls_cbor_put_map(&comid, 2);
        atls_cbor_put_uint(&comid, 0);
        atls_cbor_put_map(&comid, 1);
        atls_cbor_put_uint(&comid, 0);
        atls_cbor_put_tag(&comid, 600);
        atls_cbor_put_bytes(&comid, atls_bytes_of(class_id, sizeof class_id));
        atls_cbor_put_uint(&comid, 1);
        atls_cbor_put_tag(&comid, 550);
        atls_cbor_put_bytes(&comid, atls_bytes_of(instance, sizeof instance));
        atls_cbor_put_array(&comid, 1);
        atls_cbor_put_tag(&comid, 554);
        atls_cbor_put_text(&comid, (const char *)key->ptr);
    }
    atls_cbor_put_tag(&w, 501);
    atls_cbor_put_map(&w, 3);
    atls_cbor_put_uint(&w, 0);
    atls_cbor_put_text(&w, id);
    atls_cbor_put_uint(&w, 1);
    atls_cbor_put_array(&w, 1);
    atls_cbor_put_tag(&w, 506);
    atls_cbor_put_bytes(&w, atls_writer_bytes(&comid));
    atls_cbor_put_uint(&w, 3);
    atls_cbor_put_tag(&w, 32);
    atls_cbor_put_text(&w, profile);
    test_assert_code(atls_writer_finish(&w, &out, NULL), ATLS_OK, NULL);
    atls_writer_clear(&comid);
    return out;
}

/* Each is compared with those before it, while others wait for the store. */
static void an_instance_has_a_bounded_number_of_keys(void **state)
{
    struct place *p = *state;
    struct atls_buf key = new_key(NULL), pem = ATLS_BUF_INIT;
    static const struct {
        const char *id;
        unsigned int first;
        size_t count;
        enum atls_code want;
    } rows[] = {
        {"all", 0, 257, ATLS_OK},           {"one more", 257, 1, ATLS_E_LIMIT},
        {"all", 1000, 258, ATLS_E_LIMIT}, /* the old one stays */
        {"one more", 257, 1, ATLS_E_LIMIT}, {"all", 0, 256, ATLS_OK},
        {"one more", 257, 1, ATLS_OK},
    };

    assert_int_equal(atls_pem_encode("PUBLIC KEY", atls_buf_bytes(&key), &pem, NULL), ATLS_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf corim = many_classes(rows[i].id, rows[i].first, rows[i].count, &pem);
        struct atls_store_corim_options options;
        struct atls_store_import_report report;
        struct atls_err err = ATLS_ERR_INIT;

        atls_store_corim_options_init(&options);
        options.allow_unsigned = true;
        options.time_s = TEST_TIME_S;
        test_assert_code(
            atls_store_import_corim_as(p->store, atls_buf_bytes(&corim), &options, &report, &err),
            rows[i].want, &err);
        atls_buf_clear(&corim);
    }
    atls_buf_clear(&pem);
    atls_buf_clear(&key);
}

/* Leave to import without a signature is none to undo a signed manifest. */
static void only_a_signed_manifest_replaces_a_signed_one(void **state)
{
    struct place *p = *state;
    struct test_identity root = test_ca("root");
    struct test_identity signer = test_leaf(&root, "signer", ATLS_KEY_P256);
    struct atls_bytes spki = atls_key_spki(atls_private_key_public(signer.key));
    struct atls_buf plain = make("m", PCR0), other = make("m", THREE);
    struct atls_buf first = sign(&signer, make("m", PCR0)), next = sign(&signer, make("m", THREE));
    const struct {
        const char *name;
        const struct atls_buf *corim;
        enum atls_code want;
        bool unchanged;
    } rows[] = {
        {"unsigned", &plain, ATLS_OK, false},
        {"signed", &first, ATLS_OK, false},
        {"the unsigned one again", &plain, ATLS_E_CONFIG, false},
        {"another that is unsigned", &other, ATLS_E_CONFIG, false},
        {"the signed one again", &first, ATLS_OK, true},
        {"another that is signed", &next, ATLS_OK, false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_store_corim_options options;
        struct atls_store_import_report report;
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code;

        atls_store_corim_options_init(&options);
        options.signer_spki = spki;
        options.allow_unsigned = true;
        options.time_s = TEST_TIME_S;
        code = atls_store_import_corim_as(p->store, atls_buf_bytes(rows[i].corim), &options,
                                          &report, &err);
        if (code != rows[i].want)
            fail_msg("%s: code %d: %s", rows[i].name, code, err.message);
        if (code == ATLS_OK)
            assert_int_equal(report.unchanged, rows[i].unchanged);
    }
    test_identity_clear(&root);
    test_identity_clear(&signer);
    atls_buf_clear(&plain);
    atls_buf_clear(&other);
    atls_buf_clear(&first);
    atls_buf_clear(&next);
}

static void a_signer_whose_certificate_is_revoked(void **state)
{
    struct place *p = *state;
    struct test_identity root = test_ca("root"),
                         leaf = test_issue(&root,
                                           &(struct test_certificate){.common_name = "maker",
                                                                      .extensions = code_signing});
    struct atls_buf anchors = pem_of(&root), corim = sign(&leaf, make("m", PCR0)),
                    crl = test_crl(&root, &leaf, TEST_TIME_S - 10, TEST_TIME_S + 1000),
                    exported = ATLS_BUF_INIT;
    struct atls_store_corim_options options;
    struct atls_store_import_report report;
    struct atls_store *other;
    struct atls_err err = ATLS_ERR_INIT;

    atls_store_corim_options_init(&options);
    options.anchors = atls_buf_bytes(&anchors);
    options.time_s = TEST_TIME_S;
    test_assert_code(
        atls_store_import_corim_as(p->store, atls_buf_bytes(&corim), &options, &report, &err),
        ATLS_OK, &err);
    /* The key that verified goes with an export. */
    test_assert_code(atls_store_export_json(p->store, &exported, &err), ATLS_OK, &err);
    test_assert_code(place_open_other(p, ATLS_STORE_CREATE, &other, &err), ATLS_OK, &err);
    test_assert_code(atls_store_import_json(other, atls_buf_bytes(&exported), &err), ATLS_OK, &err);
    assert_int_equal(count_references(other, TEST_TIME_S), 1);
    atls_store_close(other);
    test_assert_code(atls_store_import_crls(p->store, atls_buf_bytes(&crl), NULL, &err), ATLS_OK,
                     &err);
    test_assert_code(
        atls_store_import_corim_as(p->store, atls_buf_bytes(&corim), &options, &report, &err),
        ATLS_E_CERTIFICATE, &err);
    assert_int_equal(err.reason, ATLS_REASON_CERTIFICATE_REVOKED);
    options.size = 0;
    test_assert_code(
        atls_store_import_corim_as(p->store, atls_buf_bytes(&corim), &options, &report, &err),
        ATLS_E_USAGE, &err);
    test_identity_clear(&root);
    test_identity_clear(&leaf);
    atls_buf_clear(&anchors);
    atls_buf_clear(&corim);
    atls_buf_clear(&crl);
    atls_buf_clear(&exported);
}

/* A profile that is an OID is asked for in dots. */
static void a_profile_by_its_oid(void **state)
{
    struct place *p = *state;
    static const char profile[] = "\x60\x86\x48\x01\x86\xf8\x4d\x01\x10\x01";
    struct atls_buf comid = test_vector("corim/profile-tdx-comid_seam_refval.cbor");
    struct atls_writer w = atls_writer_init(1 << 16);
    struct atls_buf corim = ATLS_BUF_INIT;
    struct atls_store_corim_options options;
    struct atls_store_import_report report;
    struct atls_err err = ATLS_ERR_INIT;

    atls_cbor_put_tag(&w, 501);
    atls_cbor_put_map(&w, 3);
    atls_cbor_put_uint(&w, 0);
    atls_cbor_put_text(&w, "tdx");
    atls_cbor_put_uint(&w, 1);
    atls_cbor_put_array(&w, 1);
    atls_cbor_put_tag(&w, 506);
    atls_cbor_put_bytes(&w, atls_buf_bytes(&comid));
    atls_cbor_put_uint(&w, 3);
    atls_cbor_put_tag(&w, ATLS_TAG_OID);
    atls_cbor_put_bytes(&w, atls_bytes_of(profile, sizeof profile - 1));
    test_assert_code(atls_writer_finish(&w, &corim, &err), ATLS_OK, &err);
    atls_buf_clear(&comid);
    atls_store_corim_options_init(&options);
    options.allow_unsigned = true;
    options.time_s = TEST_TIME_S;
    options.profile = "2.16.840.1.113741.1.16.2";
    test_assert_code(
        atls_store_import_corim_as(p->store, atls_buf_bytes(&corim), &options, &report, &err),
        ATLS_E_UNSUPPORTED, &err);
    assert_non_null(strstr(err.message, "\"2.16.840.1.113741.1.16.1\""));
    options.profile = "2.16.840.1.113741.1.16.1";
    test_assert_code(
        atls_store_import_corim_as(p->store, atls_buf_bytes(&corim), &options, &report, &err),
        ATLS_OK, &err);
    assert_true(report.reference_values > 0);
    atls_buf_clear(&corim);
}

/* ---- stores of before, and damaged ones ---- */

#define TO_VERSION_3                                                                               \
    "DROP TABLE manifest_anchors; DROP TABLE collateral;"                                          \
    "DROP TABLE endorsement_triples; DROP TABLE signing_keys;"                                     \
    "ALTER TABLE attest_keys DROP COLUMN kind; ALTER TABLE attest_keys DROP COLUMN technology;"    \
    "PRAGMA user_version = 3;"

static void what_an_older_program_skipped_is_read_again(void **state)
{
    struct place *p = *state;
    struct atls_buf key = new_key(NULL);
    struct atls_err err = ATLS_ERR_INIT;

    import_ok(p->store, make("m", THREE));
    import_ok(p->store, make_with_key("n", 3, atls_buf_bytes(&key), ", " PCR0));
    import_ok(p->store, make("expired", "\"not-after\": 1900000000, " PCR0));
    atls_store_close(p->store);
    p->store = NULL;
    /* One whose text nobody can read today keeps what it brought. */
    sql_on_file(p->path, TO_VERSION_3 "UPDATE manifests SET blob = x'00' WHERE name = 'n'");
    test_assert_code(place_open(p, ATLS_STORE_READ, &p->store, &err), ATLS_E_CONFIG, &err);
    test_assert_code(place_open(p, ATLS_STORE_WRITE, &p->store, &err), ATLS_OK, &err);
    assert_int_equal(endorsements(p->store, class_item(), NOW).count, 3);
    assert_int_equal(count_references(p->store, NOW), 2);
    assert_int_equal(count_references(p->store, 1900000001), 1);
    test_assert_code(look_up(p->store, NOW, 3, &key, &err), ATLS_OK, &err);
    atls_buf_clear(&key);
}

static void damaged_endorsements_are_an_error(void **state)
{
    static const char *const sqlite[] = {"UPDATE endorsement_triples SET item = x'80'",
                                         "UPDATE endorsement_triples SET kind = 6"};
    static const char *const postgres[] = {"UPDATE endorsement_triples SET item = '\\x80'",
                                           "UPDATE endorsement_triples SET kind = 6"};
    struct place *p = *state;

    for (size_t i = 0; i < 2; i++) {
        struct atls_endorsement_set *set = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        import_ok(p->store, make("m", THREE));
        assert_int_equal(endorsements(p->store, class_item(), NOW).count, 3);
        place_sql(p, sqlite[i], postgres[i]);
        test_assert_code(atls_store_endorsements(p->store, class_item(), NOW, &set, &err),
                         ATLS_E_DECODE, &err);
        assert_null(set);
        test_assert_code(atls_store_remove(p->store, "manifest:m", &err), ATLS_OK, &err);
    }
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, place_set_up, place_tear_down)
#define ON_BOTH                                                                                    \
    WITH_STORE(endorsements_of_a_class),                                                           \
        WITH_STORE(conditional_endorsements_are_found_by_every_condition),                         \
        WITH_STORE(classes_of_evidence_do_not_flood_the_cache),                                    \
        WITH_STORE(the_very_same_manifest_again),                                                  \
        WITH_STORE(identity_keys_are_no_attestation_keys),                                         \
        WITH_STORE(one_key_for_class_and_instance), WITH_STORE(who_may_have_signed),               \
        WITH_STORE(an_instance_has_a_bounded_number_of_keys),                                      \
        WITH_STORE(only_a_signed_manifest_replaces_a_signed_one),                                  \
        WITH_STORE(a_signer_whose_certificate_is_revoked), WITH_STORE(a_profile_by_its_oid),       \
        WITH_STORE(damaged_endorsements_are_an_error)

int main(void)
{
    const struct CMUnitTest files[] = {WITH_STORE(what_an_older_program_skipped_is_read_again),
                                       ON_BOTH};
    const struct CMUnitTest servers[] = {ON_BOTH};

    return PLACE_RUN_BOTH("manifests", files, servers);
}
