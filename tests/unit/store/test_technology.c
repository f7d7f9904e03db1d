/* What keys are enrolled for: said by manifests, by whoever enrols, or by their shape; and in
 * stores of before, which do not say it. */
#include "material.h"

#include "core/err.h"
#include "wire/corim.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* 01 || SHA-256 of the key, as the software attester calls itself. */
static void soft_instance(const struct atls_buf *spki, uint8_t out[33])
{
    uint8_t digest[ATLS_HASH_MAX];

    assert_int_equal(atls_hash_one(ATLS_HASH_SHA256, atls_buf_bytes(spki), digest, NULL), ATLS_OK);
    out[0] = 0x01;
    memcpy(out + 1, digest, 32);
}

/* Every key that is listed: manifest, instance and label, fingerprint and technology. */
struct seen {
    char text[4096];
};

static enum atls_code see(void *arg, const struct atls_store_entry *entry, struct atls_err *err)
{
    struct seen *seen = arg;
    size_t used = strlen(seen->text);

    (void)err;
    if (strcmp(entry->kind, "attest-key") == 0)
        snprintf(seen->text + used, sizeof seen->text - used, "%s|%s|%s\n", entry->manifest,
                 entry->subject, entry->value);
    return ATLS_OK;
}

static void list(struct atls_store *s, struct seen *out)
{
    struct atls_err err = ATLS_ERR_INIT;

    memset(out, 0, sizeof *out);
    test_assert_code(atls_store_list(s, see, out, &err), ATLS_OK, &err);
}

/* The only key on file. */
static void assert_listed(struct atls_store *s, const char *technology)
{
    struct seen seen;
    char end[32];

    list(s, &seen);
    snprintf(end, sizeof end, " %s\n", technology);
    if (strlen(seen.text) < strlen(end) ||
        strcmp(seen.text + strlen(seen.text) - strlen(end), end) != 0)
        fail_msg("%s, want %s", seen.text, technology);
}

static const char *look_up_technology(struct atls_store *s, struct atls_bytes instance)
{
    struct atls_store_view view = {.store = s, .time_s = NOW};
    struct atls_endorsement_source source;
    struct atls_attest_key key;
    struct atls_err err = ATLS_ERR_INIT;

    atls_store_view_source(&view, &source);
    test_assert_code(source.attest_key(source.arg, instance, &key, &err), ATLS_OK, &err);
    clear_key(&key);
    return key.technology;
}

/* A manifest with one key, with or without its profile. */
static struct atls_buf make_for(const char *profile, unsigned int byte, const struct atls_buf *spki)
{
    char key[1400], text[3000];

    key_json(key, sizeof key, byte, atls_buf_bytes(spki));
    snprintf(text, sizeof text, "\"profile\": \"%s\", \"attest-keys\": [%s]", profile, key);
    return make(profile, text);
}

/* The profile is one of at most ten members of the payload, key 3, and a URI of 24 to 255 bytes. */
static void drop_profile(struct atls_buf *corim, const char *uri)
{
    const size_t len = strlen(uri), head = 5; /* 03 d820 78 len */
    size_t at = 0;

    while (at + len <= corim->len && memcmp(corim->ptr + at, uri, len) != 0)
        at++;
    assert_true(at + len <= corim->len && at > head);
    assert_int_equal(corim->ptr[at - head], 0x03);
    assert_int_equal(corim->ptr[3] & 0xe0, 0xa0);
    corim->ptr[3]--;
    memmove(corim->ptr + at - head, corim->ptr + at + len, corim->len - at - len);
    corim->len -= len + head;
}

static void set_instance(struct atls_buf *corim, const uint8_t instance[33], unsigned int byte)
{
    uint8_t before[33] = {0x01};
    size_t at = 0;

    memset(before + 1, (int)byte, 32);
    while (at + 33 <= corim->len && memcmp(corim->ptr + at, before, 33) != 0)
        at++;
    assert_true(at + 33 <= corim->len);
    memcpy(corim->ptr + at, instance, 33);
}

/* ---- manifests ---- */

static void published_manifests_say_it(void **state)
{
    static const struct {
        const char *file, *technology;
    } rows[] = {
        {"scheme-parsec-tpm-valid", "tpm"},    {"profile-psa-valid", "psa"},
        {"profile-cca-platform-valid", "cca"}, {"scheme-cca-platform-valid", "cca"},
        {"scheme-parsec-cca-valid", "cca"},    {"scheme-enacttrust-valid", "tpm"},
    };
    struct place *p = *state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_store_import_report report;
        struct atls_err err = ATLS_ERR_INIT;
        char name[160];
        struct atls_buf in;

        print_message("  %s\n", rows[i].file);
        snprintf(name, sizeof name, "corim/%s.cbor", rows[i].file);
        in = test_vector(name);
        test_assert_code(import(p->store, &in, &report, &err), ATLS_OK, &err);
        assert_int_equal(report.attest_keys, 1);
        assert_listed(p->store, rows[i].technology);
        snprintf(name, sizeof name, "manifest:%.127s", report.manifest_id);
        test_assert_code(atls_store_remove(p->store, name, &err), ATLS_OK, &err);
        atls_buf_clear(&in);
    }
}

static void the_profile_of_a_manifest_says_it(void **state)
{
    static const struct {
        const char *profile;
        bool soft_instance, without_profile;
        const char *technology;
    } rows[] = {
        {"tpm", false, false, "tpm"},  {"tpm", true, false, "tpm"}, {"soft", false, false, "soft"},
        {"soft", true, false, "soft"}, {"tpm", false, true, "tpm"}, {"tpm", true, true, "soft"},
    };
    struct place *p = *state;
    struct atls_buf spki = new_key(NULL);

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_buf corim = make_for(rows[i].profile, 5, &spki);
        uint8_t instance[33] = {0x01};
        struct atls_err err = ATLS_ERR_INIT;
        char name[32];

        memset(instance + 1, 5, 32);
        if (rows[i].soft_instance) {
            soft_instance(&spki, instance);
            set_instance(&corim, instance, 5);
        }
        if (rows[i].without_profile)
            drop_profile(&corim, ATLS_CORIM_TPM_PROFILE);
        import_ok(p->store, corim);
        assert_listed(p->store, rows[i].technology);
        assert_string_equal(look_up_technology(p->store, atls_bytes_of(instance, 33)),
                            rows[i].technology);
        snprintf(name, sizeof name, "manifest:%s", rows[i].profile);
        test_assert_code(atls_store_remove(p->store, name, &err), ATLS_OK, &err);
    }
    atls_buf_clear(&spki);
}

static void schemes_without_keys_of_vectors(void **state)
{
    (void)state;
    assert_null(store_technology_of_scheme(ATLS_CORIM_SCHEME_NONE));
    assert_string_equal(store_technology_of_scheme(ATLS_CORIM_SCHEME_CCA_REALM), "cca");
    assert_string_equal(store_technology_of_scheme(ATLS_CORIM_SCHEME_SEV_SNP), "snp");
    assert_string_equal(store_technology_of_scheme(ATLS_CORIM_SCHEME_SEV_SNP_ANCHOR), "snp");
    assert_string_equal(store_technology_of_scheme(ATLS_CORIM_SCHEME_TDX), "tdx");
    assert_string_equal(store_technology_of_scheme(ATLS_CORIM_SCHEME_SOFT), "soft");
}

/* ---- keys by hand ---- */

static void keys_by_hand(void **state)
{
    static const struct {
        const char *says;
        bool soft_instance;
        const char *technology;
    } rows[] = {
        {"psa", false, "psa"}, {"tpm", true, "tpm"}, {"soft", false, "soft"},
        {NULL, false, "tpm"},  {NULL, true, "soft"}, {"cca", true, "cca"},
    };
    struct place *p = *state;
    struct atls_buf spki = new_key(NULL);

    for (size_t i = 0; i < COUNT(rows); i++) {
        uint8_t instance[33] = {0x01};
        const struct atls_store_attest_key key = {.instance = atls_bytes_of(instance, 33),
                                                  .spki = atls_buf_bytes(&spki),
                                                  .technology = rows[i].says};
        struct atls_err err = ATLS_ERR_INIT;
        struct seen seen;

        instance[32] = (uint8_t)i;
        if (rows[i].soft_instance)
            soft_instance(&spki, instance);
        test_assert_code(atls_store_add_attest_key(p->store, &key, &err), ATLS_OK, &err);
        test_assert_code(atls_store_add_attest_key(p->store, &key, &err), ATLS_OK, &err);
        assert_listed(p->store, rows[i].technology);
        assert_string_equal(look_up_technology(p->store, key.instance), rows[i].technology);
        if (rows[i].soft_instance) {
            /* Gone before the next one. */
            place_sql(p, "DELETE FROM attest_keys", "DELETE FROM attest_keys");
            list(p->store, &seen);
            assert_string_equal(seen.text, "");
        }
    }
    atls_buf_clear(&spki);
}

/* The shape counts whole: of any other length or first byte it is no software key's. */
static void shapes_of_software_keys(void **state)
{
    struct atls_buf spki = new_key(NULL);
    uint8_t instance[34] = {0};
    struct store_key_row row = {.spki = atls_buf_bytes(&spki)};
    const char *technology;

    (void)state;
    soft_instance(&spki, instance);
    row.instance = atls_bytes_of(instance, 33);
    assert_int_equal(store_technology_unsaid(&row, &technology, NULL), ATLS_OK);
    assert_string_equal(technology, "soft");
    row.public_area = atls_bytes_of("x", 1);
    assert_int_equal(store_technology_unsaid(&row, &technology, NULL), ATLS_OK);
    assert_string_equal(technology, "tpm");
    row.public_area.len = 0;
    row.instance.len = 32;
    assert_int_equal(store_technology_unsaid(&row, &technology, NULL), ATLS_OK);
    assert_string_equal(technology, "tpm");
    row.instance.len = 33;
    instance[32] ^= 1;
    assert_int_equal(store_technology_unsaid(&row, &technology, NULL), ATLS_OK);
    assert_string_equal(technology, "tpm");
    instance[32] ^= 1;
    instance[0] = 0x02;
    assert_int_equal(store_technology_unsaid(&row, &technology, NULL), ATLS_OK);
    assert_string_equal(technology, "tpm");
    atls_buf_clear(&spki);
}

static void refused(struct place *p, const struct atls_store_attest_key *key, const char *says)
{
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_store_add_attest_key(p->store, key, &err), ATLS_E_CONFIG, &err);
    if (strstr(err.message, says) == NULL)
        fail_msg("%s, want %s", err.message, says);
}

/* One instance has one technology, whoever says it. */
static void another_technology_is_refused(void **state)
{
    struct place *p = *state;
    struct atls_buf spki = new_key(NULL), corim = make_for("soft", 5, &spki), other;
    uint8_t instance[33] = {0x01};
    struct atls_store_attest_key key = {.instance = atls_bytes_of(instance, 33),
                                        .spki = atls_buf_bytes(&spki),
                                        .class_uuid = CLASS,
                                        .technology = "tpm"};
    struct atls_store_import_report report;
    struct atls_err err = ATLS_ERR_INIT;

    memset(instance + 1, 5, 32);
    import_ok(p->store, corim);
    refused(p, &key, "has another technology on file, from manifest soft");
    other = make_for("tpm", 5, &spki);
    test_assert_code(import(p->store, &other, &report, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "has another technology on file, from manifest soft"));
    test_assert_code(atls_store_remove(p->store, "manifest:soft", &err), ATLS_OK, &err);
    test_assert_code(import(p->store, &other, &report, &err), ATLS_OK, &err);
    test_assert_code(atls_store_add_attest_key(p->store, &key, &err), ATLS_OK, &err);
    key.technology = "soft";
    refused(p, &key, "has another technology on file");
    key.technology = "TPM";
    refused(p, &key, "no technology is called \"TPM\"");
    key.technology = "";
    refused(p, &key, "no technology is called \"\"");
    atls_buf_clear(&other);
    atls_buf_clear(&spki);
}

/* A file that was written by other means. */
static void what_is_not_known_is_no_technology(void **state)
{
    struct place *p = *state;
    struct atls_buf spki = new_key(NULL);
    uint8_t instance[33] = {0x01};
    const struct atls_store_attest_key key = {.instance = atls_bytes_of(instance, 33),
                                              .spki = atls_buf_bytes(&spki)};
    static const char twice[] = "INSERT INTO attest_keys(instance, spki, public_area, class_id,"
                                " vendor, model, label, kind, technology) SELECT instance, spki,"
                                " public_area, class_id, vendor, model, label, kind, 'soft'"
                                " FROM attest_keys";
    static const char unknown[] = "UPDATE attest_keys SET technology = 'tpm3'";
    struct atls_endorsement_source source;
    struct atls_attest_key found;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_store_add_attest_key(p->store, &key, &err), ATLS_OK, &err);
    place_sql(p, unknown, unknown);
    assert_null(look_up_technology(p->store, key.instance));
    place_sql(p, twice, twice);
    atls_store_source(p->store, &source);
    test_assert_code(source.attest_key(source.arg, key.instance, &found, &err), ATLS_E_CONFIG,
                     &err);
    assert_non_null(strstr(err.message, "two technologies"));
    atls_buf_clear(&spki);
}

static void a_public_area_is_a_tpms(void **state)
{
    static const uint8_t head[] = {0x00, 0x23, 0x00, 0x0b, 0x00, 0x05, 0x00, 0x72,
                                   0x00, 0x00, 0x00, 0x10, 0x00, 0x18, 0x00, 0x0b,
                                   0x00, 0x03, 0x00, 0x10, 0x00, 0x20};
    struct place *p = *state;
    struct atls_buf spki = new_key(NULL), area = ATLS_BUF_INIT;
    struct atls_writer w = atls_writer_init(256);
    uint8_t instance[33] = {0x01};
    struct atls_store_attest_key key = {.instance = atls_bytes_of(instance, 33),
                                        .spki = atls_buf_bytes(&spki)};
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_cose_key point;

    assert_int_equal(atls_cose_key_from_spki(key.spki, &point, NULL), ATLS_OK);
    atls_put_bytes(&w, atls_bytes_of(head, sizeof head));
    atls_put_bytes(&w, point.x);
    atls_put_u16(&w, 32);
    atls_put_bytes(&w, point.y);
    assert_int_equal(atls_writer_finish(&w, &area, NULL), ATLS_OK);
    key.public_area = atls_buf_bytes(&area);
    soft_instance(&area, instance);
    key.technology = "soft";
    refused(p, &key, "a public area is a TPM's, the technology is \"soft\"");
    key.technology = "tpm";
    test_assert_code(atls_store_add_attest_key(p->store, &key, &err), ATLS_OK, &err);
    assert_listed(p->store, "tpm");
    atls_buf_clear(&area);
    atls_buf_clear(&spki);
}

/* ---- stores and exports of before ---- */

/* Keys of every kind: of manifests with and without profile, and by hand. */
static void fill(struct place *p)
{
    static const char *const vectors[] = {"profile-psa-valid", "scheme-parsec-cca-valid",
                                          "scheme-enacttrust-valid"};
    struct atls_buf a = new_key(NULL), b = new_key(NULL), c = new_key(NULL), corim;
    uint8_t instance[33];
    struct atls_store_attest_key key = {.instance = atls_bytes_of(instance, 33)};
    struct atls_err err = ATLS_ERR_INIT;

    for (size_t i = 0; i < COUNT(vectors); i++) {
        char name[64];

        snprintf(name, sizeof name, "corim/%s.cbor", vectors[i]);
        import_ok(p->store, test_vector(name));
    }
    import_ok(p->store, make_for("tpm", 5, &a));
    import_ok(p->store, make_for("soft", 6, &b));
    corim = make_with_key("none", 7, atls_buf_bytes(&c), "");
    soft_instance(&c, instance);
    set_instance(&corim, instance, 7);
    drop_profile(&corim, ATLS_CORIM_TPM_PROFILE);
    import_ok(p->store, corim);
    key.label = "hand, soft";
    key.spki = atls_buf_bytes(&a);
    soft_instance(&a, instance);
    test_assert_code(atls_store_add_attest_key(p->store, &key, &err), ATLS_OK, &err);
    key.label = "hand, tpm";
    instance[32] ^= 1;
    test_assert_code(atls_store_add_attest_key(p->store, &key, &err), ATLS_OK, &err);
    atls_buf_clear(&a);
    atls_buf_clear(&b);
    atls_buf_clear(&c);
}

static size_t count_of(const char *text, const char *what)
{
    size_t count = 0;

    while ((text = strstr(text, what)) != NULL) {
        text += strlen(what);
        count++;
    }
    return count;
}

static void assert_filled(const struct seen *seen)
{
    assert_int_equal(count_of(seen->text, "\n"), 8);
    assert_int_equal(count_of(seen->text, " tpm\n"), 3);
    assert_int_equal(count_of(seen->text, " soft\n"), 3);
    assert_int_equal(count_of(seen->text, " psa\n"), 1);
    assert_int_equal(count_of(seen->text, " cca\n"), 1);
}

static void a_store_of_version_5_names_them(void **state)
{
    static const char *const sqlite[] = {
        "ALTER TABLE attest_keys DROP COLUMN technology; PRAGMA user_version = 5",
        /* A manifest that nobody can read today keeps its key, for what its profile says. */
        "ALTER TABLE attest_keys DROP COLUMN technology; PRAGMA user_version = 5;"
        "UPDATE manifests SET blob = x'00'",
        /* Manifests are read again, too. */
        "ALTER TABLE attest_keys DROP COLUMN technology; DROP TABLE manifest_anchors;"
        "DROP TABLE collateral; PRAGMA user_version = 4"};
    static const char *const postgres[] = {
        "ALTER TABLE attest_keys DROP COLUMN technology; UPDATE store_state SET version = 5",
        "ALTER TABLE attest_keys DROP COLUMN technology; UPDATE store_state SET version = 5;"
        "UPDATE manifests SET blob = '\\x00'",
        "ALTER TABLE attest_keys DROP COLUMN technology; DROP TABLE manifest_anchors;"
        "DROP TABLE collateral; UPDATE store_state SET version = 4"};
    struct place *p = *state;
    struct seen before, after;

    fill(p);
    list(p->store, &before);
    assert_filled(&before);
    /* Last comes what changes ids and so the order of the list. */
    for (size_t i = 0; i < COUNT(sqlite); i++) {
        struct atls_err err = ATLS_ERR_INIT;
        const size_t at = i == 1 ? 2 : i == 2 ? 1 : 0;

        atls_store_close(p->store);
        p->store = NULL;
        if (on_postgres())
            sql_on_server(p->schema[0], postgres[at]);
        else
            sql_on_file(p->path, sqlite[at]);
        test_assert_code(place_open(p, ATLS_STORE_READ, &p->store, &err), ATLS_E_CONFIG, &err);
        assert_non_null(strstr(err.message, "older"));
        test_assert_code(place_open(p, ATLS_STORE_WRITE, &p->store, &err), ATLS_OK, &err);
        list(p->store, &after);
        assert_filled(&after);
        if (at == 0)
            assert_string_equal(after.text, before.text);
    }
}

static void an_export_says_it_and_one_of_before_does_not(void **state)
{
    static const char *const members[] = {"\"technology\": \"soft\"", "\"technology\": \"tpm\""};
    struct place *p = *state;
    struct atls_buf json = ATLS_BUF_INIT;
    struct seen before, after;
    struct atls_store *other;
    struct atls_err err = ATLS_ERR_INIT;
    char *text;

    fill(p);
    list(p->store, &before);
    test_assert_code(atls_store_export_json(p->store, &json, &err), ATLS_OK, &err);
    text = (char *)json.ptr;
    for (size_t i = 0; i < COUNT(members); i++) {
        char *at = strstr(text, members[i]), *end;

        assert_non_null(at);
        end = at + strlen(members[i]);
        while (*at != ',')
            at--;
        memmove(at, end, strlen(end) + 1);
        assert_null(strstr(text, members[i]));
    }
    test_assert_code(place_open_other(p, ATLS_STORE_CREATE, &other, &err), ATLS_OK, &err);
    test_assert_code(atls_store_import_json(other, atls_bytes_of(text, strlen(text)), &err),
                     ATLS_OK, &err);
    list(other, &after);
    assert_filled(&after);
    atls_store_close(other);
    atls_buf_clear(&json);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, place_set_up, place_tear_down)
#define ON_BOTH                                                                                    \
    WITH_STORE(published_manifests_say_it), WITH_STORE(the_profile_of_a_manifest_says_it),         \
        WITH_STORE(keys_by_hand), WITH_STORE(another_technology_is_refused),                       \
        WITH_STORE(what_is_not_known_is_no_technology), WITH_STORE(a_public_area_is_a_tpms),       \
        WITH_STORE(a_store_of_version_5_names_them),                                               \
        WITH_STORE(an_export_says_it_and_one_of_before_does_not)

int main(void)
{
    const struct CMUnitTest files[] = {cmocka_unit_test(schemes_without_keys_of_vectors),
                                       cmocka_unit_test(shapes_of_software_keys), ON_BOTH};
    const struct CMUnitTest servers[] = {ON_BOTH};

    return PLACE_RUN_BOTH("store technology", files, servers);
}
