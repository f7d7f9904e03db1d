#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atls/corim.h>

#include "core/reader.h"
#include "material.h"
#include "wire/cbor.h"
#include "wire/corim.h"
#include "wire/kat.h"

/* ---- opening ---- */

static void test_modes(void **state)
{
    struct place *p = *state;
    struct atls_store *s = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    struct stat st;

    assert_int_equal(stat(p->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    test_assert_code(place_open(p, ATLS_STORE_CREATE, &s, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "exists already"));
    test_assert_code(atls_store_open("/tmp/atls-no-such-store", ATLS_STORE_READ, &s, &err),
                     ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "there is none"));
    test_assert_code(atls_store_open(p->directory, ATLS_STORE_READ, &s, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "not a file"));
    test_assert_code(atls_store_open("/dev/null/x", ATLS_STORE_READ, &s, &err), ATLS_E_IO, &err);
    test_assert_code(atls_store_open("/dev/null/x", ATLS_STORE_CREATE, &s, &err), ATLS_E_IO, &err);
    test_assert_code(atls_store_open("", ATLS_STORE_READ, &s, &err), ATLS_E_USAGE, &err);
    test_assert_code(atls_store_open(NULL, ATLS_STORE_READ, &s, &err), ATLS_E_USAGE, &err);
    test_assert_code(atls_store_open(p->path, (enum atls_store_mode)0, &s, &err), ATLS_E_USAGE,
                     &err);
    assert_null(s);
    atls_store_close(NULL);
}

static void test_relative_path(void **state)
{
    struct place *p = *state;
    struct atls_store *s;
    struct atls_err err = ATLS_ERR_INIT;
    char before[1024];

    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(p->directory), 0);
    test_assert_code(atls_store_open("store.db", ATLS_STORE_READ, &s, &err), ATLS_OK, &err);
    atls_store_close(s);
    assert_int_equal(chdir(before), 0);
}

static void test_read_only_store_takes_no_writes(void **state)
{
    struct place *p = *state;
    struct atls_buf corim = make("m", PCR0);
    struct atls_store_import_report report;
    struct atls_store *s;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(place_open(p, ATLS_STORE_READ, &s, &err), ATLS_OK, &err);
    test_assert_code(import(s, &corim, &report, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "read only"));
    test_assert_code(atls_store_remove(s, "manifest:m", &err), ATLS_E_CONFIG, &err);
    atls_store_close(s);
    atls_buf_clear(&corim);
}

static void test_store_that_everybody_may_write(void **state)
{
    struct place *p = *state;
    struct atls_store *s = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    assert_int_equal(chmod(p->path, 0602), 0);
    test_assert_code(place_open(p, ATLS_STORE_READ, &s, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "everybody may write"));
    assert_int_equal(chmod(p->path, 0660), 0);
    test_assert_code(place_open(p, ATLS_STORE_READ, &s, &err), ATLS_OK, &err);
    atls_store_close(s);
}

static void test_files_that_are_no_store(void **state)
{
    static const struct {
        const char *name, *sql, *says;
    } rows[] = {
        {"empty", NULL, "not a store"},
        {"text", NULL, "not a store"},
        {"another database", "CREATE TABLE t(x)", "not a store"},
        {"a newer store", "PRAGMA application_id = 1096043603; PRAGMA user_version = 99",
         "version 99 is newer"},
    };
    struct place *p = *state;
    char path[128];

    snprintf(path, sizeof path, "%s/other.db", p->directory);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_store *s = NULL;
        FILE *f = fopen(path, "wb");

        assert_non_null(f);
        if (i == 1)
            for (size_t k = 0; k < 100; k++)
                fputs("this is not a database at all. ", f);
        fclose(f);
        if (rows[i].sql != NULL)
            sql_on_file(path, rows[i].sql);
        test_assert_code(atls_store_open(path, ATLS_STORE_READ, &s, &err), ATLS_E_CONFIG, &err);
        if (strstr(err.message, rows[i].says) == NULL)
            fail_msg("%s: %s", rows[i].name, err.message);
        unlink(path);
    }
}

static void test_older_store_is_brought_up_to_date(void **state)
{
    struct place *p = *state;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_store *s = NULL;
    char path[128];

    snprintf(path, sizeof path, "%s/other.db", p->directory);
    sql_on_file(path, "PRAGMA application_id = 1096043603; CREATE TABLE t(x); DROP TABLE t");
    test_assert_code(atls_store_open(path, ATLS_STORE_READ, &s, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "open it for writing once"));
    test_assert_code(atls_store_open(path, ATLS_STORE_WRITE, &s, &err), ATLS_OK, &err);
    atls_store_close(s);
    test_assert_code(atls_store_open(path, ATLS_STORE_READ, &s, &err), ATLS_OK, &err);
    atls_store_close(s);
}

/* Somebody else writes and does not end: who waits gives up, and nothing stays of what he did. */
static void test_locked_store(void **state)
{
    struct place *p = *state;
    struct atls_buf corim = make("m", PCR0);
    struct atls_store_options options;
    struct atls_store_import_report report;
    struct atls_store *impatient;
    struct store_connection *writer;
    struct atls_err err = ATLS_ERR_INIT;

    place_options(p, 0, ATLS_STORE_WRITE, &options);
    options.busy_timeout_ms = 10;
    test_assert_code(atls_store_open_with(p->path, &options, &impatient, &err), ATLS_OK, &err);
    test_assert_code(store_begin(p->store, STORE_ACCESS_WRITE, &writer, &err), ATLS_OK, &err);
    test_assert_code(import(impatient, &corim, &report, &err), ATLS_E_UNAVAILABLE, &err);
    assert_non_null(
        strstr(err.message, on_postgres() ? "lock timeout" : "locked by another process"));
    /* Reading goes on. */
    assert_int_equal(count_references(impatient, NOW), 0);
    test_assert_code(store_finish(writer, STORE_ACCESS_WRITE, ATLS_OK, &err), ATLS_OK, &err);
    test_assert_code(import(impatient, &corim, &report, &err), ATLS_OK, &err);
    assert_int_equal(report.reference_values, 1);
    atls_store_close(impatient);
    atls_buf_clear(&corim);
}

/* ---- importing manifests ---- */

static void test_import_and_look_up(void **state)
{
    struct place *p = *state;
    struct atls_buf spki = new_key(NULL);
    struct atls_buf corim = make_with_key("m", 7, atls_buf_bytes(&spki),
                                          ", \"vendor\": \"V\", \"model\": \"M\", " PCR0);
    struct atls_store_import_report report;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_reference_set *set;
    const struct atls_reference *items;
    struct atls_endorsement_source source;
    struct atls_attest_key key;
    uint8_t instance[33];
    size_t count;
    bool trust;

    test_assert_code(atls_store_has_trust(p->store, &trust, &err), ATLS_OK, &err);
    assert_false(trust);
    test_assert_code(import(p->store, &corim, &report, &err), ATLS_OK, &err);
    assert_string_equal(report.manifest_id, "m");
    assert_int_equal(report.reference_values, 1);
    assert_int_equal(report.attest_keys, 1);
    assert_int_equal(report.skipped, 0);
    test_assert_code(atls_store_has_trust(p->store, &trust, &err), ATLS_OK, &err);
    assert_true(trust);

    instance[0] = 1;
    memset(instance + 1, 7, 32);
    atls_store_source(p->store, &source);
    test_assert_code(source.attest_key(source.arg, atls_bytes_of(instance, 33), &key, &err),
                     ATLS_OK, &err);
    test_assert_bytes(atls_buf_bytes(&key.spki), atls_buf_bytes(&spki));
    test_assert_bytes(atls_buf_bytes(&key.class_id), class_item());
    test_assert_bytes(atls_buf_bytes(&key.vendor), atls_bytes_of("V", 1));
    test_assert_bytes(atls_buf_bytes(&key.model), atls_bytes_of("M", 1));
    assert_int_equal(key.public_area.len, 0);
    clear_key(&key);
    instance[5] ^= 1;
    test_assert_code(source.attest_key(source.arg, atls_bytes_of(instance, 33), &key, &err),
                     ATLS_E_NOT_FOUND, &err);
    test_assert_code(source.attest_key(source.arg, atls_bytes_of(NULL, 0), &key, &err),
                     ATLS_E_NOT_FOUND, &err);

    test_assert_code(atls_store_references(p->store, class_item(), NOW, &set, &err), ATLS_OK, &err);
    items = atls_reference_set_items(set, &count);
    assert_int_equal(count, 1);
    assert_string_equal(items[0].manifest, "m");
    test_assert_bytes(items[0].environment.class_id, class_item());
    assert_int_equal(items[0].count, 1);
    assert_int_equal(items[0].measurements[0].mkey.number, 0);
    assert_int_equal(items[0].measurements[0].mval.digests[0].hash, ATLS_HASH_SHA256);
    /* Once handed out, a set outlives what it came from. */
    test_assert_code(atls_store_remove(p->store, "manifest:m", &err), ATLS_OK, &err);
    assert_int_equal(count_references(p->store, NOW), 0);
    assert_string_equal(items[0].manifest, "m");
    atls_reference_set_unref(set);
    atls_reference_set_unref(NULL);
    test_assert_code(look_up(p->store, NOW, 7, &spki, &err), ATLS_E_NOT_FOUND, &err);
    atls_buf_clear(&corim);
    atls_buf_clear(&spki);
}

static void test_importing_an_id_again_replaces(void **state)
{
    struct place *p = *state;
    struct atls_buf a = new_key(NULL), b = new_key(NULL);
    struct atls_err err = ATLS_ERR_INIT;

    import_ok(p->store, make_with_key("m", 1, atls_buf_bytes(&a), ", " PCR0));
    import_ok(p->store, make_with_key("m", 1, atls_buf_bytes(&b), ""));
    test_assert_code(look_up(p->store, NOW, 1, &b, &err), ATLS_OK, &err);
    assert_int_equal(count_references(p->store, NOW), 0);
    atls_buf_clear(&a);
    atls_buf_clear(&b);
}

static void test_two_keys_for_one_instance(void **state)
{
    struct place *p = *state;
    struct atls_buf a = new_key(NULL), b = new_key(NULL);
    struct atls_buf other_key = make_with_key("second", 1, atls_buf_bytes(&b), ", " PCR0);
    struct atls_buf same_key = make_with_key("third", 1, atls_buf_bytes(&a), "");
    struct atls_store_import_report report;
    struct atls_err err = ATLS_ERR_INIT;

    import_ok(p->store, make_with_key("first", 1, atls_buf_bytes(&a), ""));
    test_assert_code(import(p->store, &other_key, &report, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "another key on file, from manifest first"));
    assert_non_null(strstr(err.message, "instance 010101"));
    /* Nothing of the refused one stays. */
    assert_int_equal(count_references(p->store, NOW), 0);
    test_assert_code(atls_store_remove(p->store, "manifest:second", &err), ATLS_E_NOT_FOUND, &err);
    test_assert_code(look_up(p->store, NOW, 1, &a, &err), ATLS_OK, &err);
    /* The same key from elsewhere is no conflict, and stays when one of them goes. */
    test_assert_code(import(p->store, &same_key, &report, &err), ATLS_OK, &err);
    test_assert_code(atls_store_remove(p->store, "manifest:first", &err), ATLS_OK, &err);
    test_assert_code(look_up(p->store, NOW, 1, &a, &err), ATLS_OK, &err);
    atls_buf_clear(&other_key);
    atls_buf_clear(&same_key);
    atls_buf_clear(&a);
    atls_buf_clear(&b);
}

/* A file that was changed by other means than an import. */
static void test_two_keys_on_file(void **state)
{
    struct place *p = *state;
    struct atls_buf a = new_key(NULL);
    struct atls_err err = ATLS_ERR_INIT;

    import_ok(p->store, make_with_key("first", 1, atls_buf_bytes(&a), ""));
    place_sql(p,
              "INSERT INTO attest_keys(instance, spki, public_area, class_id, vendor, model, label)"
              " SELECT instance, x'00', x'', class_id, '', '', '' FROM attest_keys",
              "INSERT INTO attest_keys(instance, spki, public_area, class_id, vendor, model, label,"
              " kind) SELECT instance, '\\x00', '', class_id, '', '', '', 3 FROM attest_keys");
    test_assert_code(look_up(p->store, NOW, 1, &a, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "two different attestation keys"));
    atls_buf_clear(&a);
}

static void test_validity(void **state)
{
    struct place *p = *state;
    struct atls_buf a = new_key(NULL);
    struct atls_buf corim = make_with_key("m", 1, atls_buf_bytes(&a),
                                          ", \"not-before\": 1000, \"not-after\": 2000, " PCR0);
    struct atls_bytes in = atls_buf_bytes(&corim), none = {NULL, 0};
    struct atls_store_import_report report;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_store_import_corim(p->store, in, none, 2001, &report, &err),
                     ATLS_E_CERTIFICATE, &err);
    assert_int_equal(err.reason, ATLS_REASON_CERTIFICATE_EXPIRED);
    test_assert_code(atls_store_import_corim(p->store, in, none, 999, &report, &err),
                     ATLS_E_CERTIFICATE, &err);
    assert_int_equal(err.reason, ATLS_REASON_CERTIFICATE_NOT_YET_VALID);
    test_assert_code(atls_store_import_corim(p->store, in, none, 2000, &report, &err), ATLS_OK,
                     &err);
    /* Each look-up judges again, whatever was cached. */
    for (size_t round = 0; round < 2; round++) {
        assert_int_equal(count_references(p->store, 999), 0);
        assert_int_equal(count_references(p->store, 1000), 1);
        assert_int_equal(count_references(p->store, 2000), 1);
        assert_int_equal(count_references(p->store, 2001), 0);
        test_assert_code(look_up(p->store, 999, 1, &a, &err), ATLS_E_NOT_FOUND, &err);
        test_assert_code(look_up(p->store, 1000, 1, &a, &err), ATLS_OK, &err);
        test_assert_code(look_up(p->store, 2001, 1, &a, &err), ATLS_E_NOT_FOUND, &err);
        assert_non_null(strstr(err.message, "valid at this time"));
    }
    /* A second manifest whose window lies elsewhere. */
    import_ok(p->store, make("later", "\"not-before\": 1, \"not-after\": 4000000000, " PCR0));
    assert_int_equal(count_references(p->store, 999), 1);
    assert_int_equal(count_references(p->store, 1500), 2);
    assert_int_equal(count_references(p->store, 3000), 1);
    assert_int_equal(count_references(p->store, 1500), 2);
    atls_buf_clear(&corim);
    atls_buf_clear(&a);
}

/* A server tells of changes soon, and of all that were made when it is asked. */
static void catch_up(struct atls_store *s)
{
    struct atls_err err = ATLS_ERR_INIT;

    if (on_postgres())
        test_assert_code(atls_store_ping(s, &err), ATLS_OK, &err);
}

static void test_other_process_is_seen(void **state)
{
    struct place *p = *state;
    struct atls_buf a = new_key(NULL);
    struct atls_buf certificate = new_certificate("ca", true);
    struct atls_anchors *anchors;
    struct atls_store *other;
    struct atls_err err = ATLS_ERR_INIT;
    size_t added;

    test_assert_code(place_open(p, ATLS_STORE_WRITE, &other, &err), ATLS_OK, &err);
    assert_int_equal(count_references(p->store, NOW), 0);
    import_ok(other, make_with_key("m", 1, atls_buf_bytes(&a), ", " PCR0));
    catch_up(p->store);
    assert_int_equal(count_references(p->store, NOW), 1);
    test_assert_code(look_up(p->store, NOW, 1, &a, &err), ATLS_OK, &err);
    test_assert_code(atls_store_anchors(p->store, ATLS_ANCHOR_AK, &anchors, &err), ATLS_OK, &err);
    assert_null(anchors);
    test_assert_code(atls_store_import_anchors(other, ATLS_ANCHOR_AK, atls_buf_bytes(&certificate),
                                               NULL, &added, &err),
                     ATLS_OK, &err);
    catch_up(p->store);
    test_assert_code(atls_store_anchors(p->store, ATLS_ANCHOR_AK, &anchors, &err), ATLS_OK, &err);
    assert_int_equal(atls_anchors_count(anchors), 1);
    atls_anchors_unref(anchors);
    test_assert_code(atls_store_remove(other, "manifest:m", &err), ATLS_OK, &err);
    catch_up(p->store);
    test_assert_code(look_up(p->store, NOW, 1, &a, &err), ATLS_E_NOT_FOUND, &err);
    assert_int_equal(count_references(p->store, NOW), 0);
    atls_store_close(other);
    atls_buf_clear(&certificate);
    atls_buf_clear(&a);
}

/* What was acknowledged survives the death of the process. */
static void test_crash_after_import(void **state)
{
    struct place *p = *state;
    pid_t child;
    int status;

    atls_store_close(p->store);
    p->store = NULL;
    child = fork();
    if (child == 0) {
        struct atls_store *s;
        struct atls_buf corim = make("m", PCR0), late = make("n", PCR0);
        struct atls_store_import_report report;
        const struct store_manifest_import unfinished = {.corim = atls_buf_bytes(&late)};
        struct store_connection *c;

        if (place_open(p, ATLS_STORE_WRITE, &s, NULL) != ATLS_OK ||
            import(s, &corim, &report, NULL) != ATLS_OK ||
            store_begin(s, STORE_ACCESS_WRITE, &c, NULL) != ATLS_OK ||
            store_put_manifest(c, &unfinished, &report, NULL) != ATLS_OK)
            _exit(1);
        _exit(0); /* in the middle of a transaction, without closing */
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    test_assert_code(place_open(p, ATLS_STORE_WRITE, &p->store, NULL), ATLS_OK, NULL);
    assert_int_equal(count_references(p->store, NOW), 1);
}

/* ---- published manifests ---- */

static void test_vectors(void **state)
{
    static const struct {
        const char *file;
        enum atls_code want;
        size_t references, keys;
        const char *says;
    } rows[] = {
        {"scheme-parsec-tpm-valid.cbor", ATLS_OK, 3, 1, NULL},
        {"scheme-parsec-tpm-bad-class-id.cbor", ATLS_E_DECODE, 0, 0, "class-id"},
        {"scheme-parsec-tpm-bad-multiple-keys.cbor", ATLS_E_DECODE, 0, 0, "several keys"},
        {"scheme-parsec-tpm-bad-no-digests.cbor", ATLS_E_DECODE, 0, 0, "no digests"},
        {"scheme-parsec-tpm-bad-no-instance.cbor", ATLS_E_DECODE, 0, 0, "has no instance"},
        {"unsigned-good-corim.cbor", ATLS_OK, 3, 0, NULL},
        {"corim-1.cbor", ATLS_OK, 1, 0, NULL},
        {"corim-roles.cbor", ATLS_OK, 1, 0, NULL},
        {"draft-corim-1.cbor", ATLS_OK, 1, 0, NULL},
        {"draft-corim-2.cbor", ATLS_OK, 3, 0, NULL},
        {"profile-psa-valid.cbor", ATLS_OK, 1, 1, NULL},
        {"profile-psa-no-profile.cbor", ATLS_OK, 1, 0, NULL},
        {"profile-cca-platform-valid.cbor", ATLS_OK, 2, 1, NULL},
        {"profile-cca-realm-valid.cbor", ATLS_OK, 6, 0, NULL},
        {"scheme-psa-valid.cbor", ATLS_OK, 3, 2, NULL},
        {"scheme-cca-platform-valid.cbor", ATLS_OK, 5, 1, NULL},
        {"scheme-cca-realm-valid.cbor", ATLS_OK, 6, 0, NULL},
        {"scheme-parsec-cca-valid.cbor", ATLS_OK, 5, 1, NULL},
        {"scheme-sevsnp-valid.cbor", ATLS_OK, 18, 0, NULL},
        {"scheme-enacttrust-valid.cbor", ATLS_OK, 1, 1, NULL},
        {"legacy-signed-corim-valid.cbor", ATLS_E_UNSUPPORTED, 0, 0, "payload is not tag 501"},
        {"legacy-signed-corim-empty-payload.cbor", ATLS_E_UNSUPPORTED, 0, 0, "payload is not"},
    };
    struct place *p = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_store_import_report report = {.skipped = 0};
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_buf in;
        char path[128];
        enum atls_code code;

        snprintf(path, sizeof path, "corim/%s", rows[i].file);
        in = test_vector(path);
        code = import(p->store, &in, &report, &err);
        if (code != rows[i].want || report.reference_values != rows[i].references ||
            report.attest_keys != rows[i].keys ||
            (rows[i].says != NULL && strstr(err.message, rows[i].says) == NULL))
            fail_msg("%s: code %d, %zu references, %zu keys, %zu skipped: %s", rows[i].file, code,
                     report.reference_values, report.attest_keys, report.skipped, err.message);
        /* Vectors of several profiles give one device several keys. */
        snprintf(path, sizeof path, "manifest:%.100s", report.manifest_id);
        if (code == ATLS_OK)
            test_assert_code(atls_store_remove(p->store, path, &err), ATLS_OK, &err);
        atls_buf_clear(&in);
    }
}

/* The published key, as SubjectPublicKeyInfo. */
static const char published_spki[] =
    "3059301306072a8648ce3d020106082a8648ce3d03010703420004"
    "30a0424cd21c2944838a2d75c92b37e76ea20d9f00893a3b4eee8a3c0aafec3e"
    "e04b65e92456d9888b52b379bdfbd51ee869ef1f0fc65b6659695b6cce081723";

static void test_signed_manifest(void **state)
{
    struct place *p = *state;
    struct atls_buf in = test_vector("corim/signed-good-corim.cbor"),
                    spki = test_unhex(published_spki), other = new_key(NULL);
    struct atls_bytes signed_one = atls_buf_bytes(&in), key = atls_buf_bytes(&spki),
                      none = {NULL, 0}, payload;
    struct atls_store_import_report report;
    struct atls_err err = ATLS_ERR_INIT;
    const int64_t good = 1700000000;

    test_assert_code(atls_store_import_corim(p->store, signed_one, key, good, &report, &err),
                     ATLS_OK, &err);
    assert_string_equal(report.manifest_id, "test corim id");
    test_assert_code(atls_corim_verify(signed_one, key, good, &payload, &err), ATLS_OK, &err);
    assert_int_equal(payload.ptr[0], 0xd9);
    test_assert_code(atls_corim_verify(signed_one, key, good, NULL, &err), ATLS_OK, &err);
    test_assert_code(atls_corim_verify(signed_one, none, good, NULL, &err), ATLS_E_USAGE, &err);

    test_assert_code(atls_store_import_corim(p->store, signed_one, none, good, &report, &err),
                     ATLS_E_VERIFY, &err);
    assert_non_null(strstr(err.message, "ACME Ltd signing key"));
    test_assert_code(atls_store_import_corim(p->store, payload, key, good, &report, &err),
                     ATLS_E_VERIFY, &err);
    assert_non_null(strstr(err.message, "not signed"));
    test_assert_code(
        atls_store_import_corim(p->store, signed_one, atls_buf_bytes(&other), good, &report, &err),
        ATLS_E_VERIFY, &err);
    assert_int_equal(err.reason, ATLS_REASON_SIGNATURE);
    test_assert_code(atls_store_import_corim(p->store, signed_one, key, 1767139201, &report, &err),
                     ATLS_E_CERTIFICATE, &err);
    assert_int_equal(err.reason, ATLS_REASON_CERTIFICATE_EXPIRED);
    test_assert_code(atls_store_import_corim(p->store, signed_one, key, 1600000000, &report, &err),
                     ATLS_E_CERTIFICATE, &err);
    assert_int_equal(err.reason, ATLS_REASON_CERTIFICATE_NOT_YET_VALID);
    test_assert_code(
        atls_store_import_corim(p->store, signed_one, atls_bytes_of("x", 1), good, &report, &err),
        ATLS_E_DECODE, &err);
    /* Any bit of header, payload or signature. */
    for (size_t i = 4; i < in.len; i += 7) {
        in.ptr[i] ^= 0x01;
        assert_int_not_equal(atls_corim_verify(signed_one, key, good, NULL, NULL), ATLS_OK);
        in.ptr[i] ^= 0x01;
    }
    atls_buf_clear(&in);
    atls_buf_clear(&spki);
    atls_buf_clear(&other);
}

/* ---- hand-made manifests against the profiles ---- */

/* CoMID bytes -> CoRIM "x" with a profile and members more. */
static struct atls_buf wrap(const char *profile, const char *comid_hex, const char *more_hex,
                            size_t more)
{
    struct atls_buf comid = test_unhex(comid_hex), extra = test_unhex(more_hex),
                    out = ATLS_BUF_INIT;
    struct atls_writer w = atls_writer_init(1 << 16);

    atls_cbor_put_tag(&w, 501);
    atls_cbor_put_map(&w, 2u + (profile != NULL) + more);
    atls_cbor_put_uint(&w, 0);
    atls_cbor_put_text(&w, "x");
    atls_cbor_put_uint(&w, 1);
    atls_cbor_put_array(&w, 1);
    atls_cbor_put_tag(&w, 506);
    atls_cbor_put_bytes(&w, atls_buf_bytes(&comid));
    if (profile != NULL) {
        atls_cbor_put_uint(&w, 3);
        atls_cbor_put_tag(&w, 32);
        atls_cbor_put_text(&w, profile);
    }
    atls_put_bytes(&w, atls_buf_bytes(&extra));
    test_assert_code(atls_writer_finish(&w, &out, NULL), ATLS_OK, NULL);
    atls_buf_clear(&comid);
    atls_buf_clear(&extra);
    return out;
}

#define IDENT  "01a1006174"
#define UUID16 "d825500102030405060708090a0b0c0d0e0f10"
#define ENV    "a100a100" UUID16
#define HASH1                                                                                      \
    "a102818201"                                                                                   \
    "5820" D64
#define MEAS(mkey)              "81a200" mkey "01" HASH1
#define REFS(env, measurements) "a2" IDENT "04a1008182" env measurements
#define UEID33                  "5821010000000000000000000000000000000000000000000000000000000000000000"
#define KEYENV                  "a200a100" UUID16 "01d90226" UEID33
/* "-----BEGIN PUBLIC KEY-----" and nothing that parses */
#define BADPEM       "d9022a781a2d2d2d2d2d424547494e205055424c4943204b45592d2d2d2d2d"
#define KEYS(record) "a2" IDENT "04a10381" record

#define THUMB                                                                                      \
    "82015820"                                                                                     \
    "00000000000000000000000000000000"                                                             \
    "00000000000000000000000000000000"

static void test_profiles(void **state)
{
    const char *tpm = ATLS_CORIM_TPM_PROFILE, *soft = ATLS_SOFT_PROFILE;
    const struct {
        const char *name, *profile, *comid;
        enum atls_code want;
        size_t references, skipped;
        const char *says;
    } rows[] = {
        {"PCR 0", tpm, REFS(ENV, MEAS("00")), ATLS_OK, 1, 0, NULL},
        {"PCR 23", tpm, REFS(ENV, MEAS("17")), ATLS_OK, 1, 0, NULL},
        {"PCR 24", tpm, REFS(ENV, MEAS("1818")), ATLS_E_DECODE, 0, 0, "PCR index"},
        {"PCR by name", tpm, REFS(ENV, MEAS("6130")), ATLS_E_DECODE, 0, 0, "PCR index"},
        {"PCR without mkey", tpm, REFS(ENV, "81a101" HASH1), ATLS_E_DECODE, 0, 0, "PCR index"},
        {"PCR with a raw value", tpm, REFS(ENV, "81a2000001a104d902304155"), ATLS_E_DECODE, 0, 0,
         "no digests"},
        {"class of bytes", tpm, REFS("a100a100d902304155", MEAS("00")), ATLS_E_DECODE, 0, 0,
         "class-id is not a UUID"},
        {"no class-id", tpm, REFS("a100a1016156", MEAS("00")), ATLS_E_DECODE, 0, 0,
         "class-id is not a UUID"},
        {"name", soft, REFS(ENV, MEAS("6130")), ATLS_OK, 1, 0, NULL},
        {"name is a number", soft, REFS(ENV, MEAS("00")), ATLS_E_DECODE, 0, 0, "not a name"},
        {"empty name", soft, REFS(ENV, MEAS("60")), ATLS_E_DECODE, 0, 0, "not a name"},
        {"name with a raw value", soft, REFS(ENV, "81a200613001a104d902304155"), ATLS_E_DECODE, 0,
         0, "no digests"},
        {"no profile, class of bytes", NULL, REFS("a100a100d902304155", MEAS("00")), ATLS_OK, 1, 0,
         NULL},
        {"no profile, no class-id", NULL, REFS("a100a1016156", MEAS("00")), ATLS_OK, 0, 1, NULL},
        {"no profile, key by thumbprint, no instance", NULL, KEYS("82" ENV "81d9022d" THUMB),
         ATLS_OK, 0, 1, NULL},
        {"no profile, key by thumbprint", NULL, KEYS("82" KEYENV "81d9022d" THUMB), ATLS_OK, 0, 1,
         NULL},
        {"no profile, key that does not parse", NULL, KEYS("82" ENV "81" BADPEM), ATLS_E_DECODE, 0,
         0, "tag 0: attest-key triple 0: key 0"},
        {"key without instance", tpm, KEYS("82" ENV "81" BADPEM), ATLS_E_DECODE, 0, 0,
         "has no instance"},
        {"key without class", tpm, KEYS("82a101d90226" UEID33 "81" BADPEM), ATLS_E_DECODE, 0, 0,
         "class-id is not a UUID"},
        {"key by certificate", tpm, KEYS("82" KEYENV "81d9022b6161"), ATLS_E_DECODE, 0, 0,
         "tag 554"},
        {"key with conditions", tpm, KEYS("83" KEYENV "81" BADPEM "a10000"), ATLS_E_DECODE, 0, 0,
         "has conditions"},
        {"key of 40 bytes of instance", tpm,
         KEYS("82a200a100" UUID16 "01d902305828"
              "00000000000000000000000000000000000000000000000000"
              "000000000000000000000000000000"
              "81" BADPEM),
         ATLS_E_DECODE, 0, 0, "7 to 33 bytes"},
        {"PEM that does not parse", tpm, KEYS("82" KEYENV "81" BADPEM), ATLS_E_DECODE, 0, 0, NULL},
        {"PEM that does not parse, no profile", NULL, KEYS("82" KEYENV "81" BADPEM), ATLS_E_DECODE,
         0, 0, NULL},
        {"PEM of something else", tpm, KEYS("82" KEYENV "81d9022a6161"), ATLS_E_DECODE, 0, 0,
         "does not begin with"},
        {"two links to CoSWID tags", tpm, "a2" IDENT "04a106820000", ATLS_OK, 0, 2, NULL},
        {"unknown kind of triples", tpm, "a2" IDENT "04a1078100", ATLS_E_UNSUPPORTED, 0, 0,
         "unknown kind 7"},
        {"replaces another tag", tpm,
         "a3" IDENT "0381a20061610101"
         "04a1068100",
         ATLS_E_UNSUPPORTED, 0, 0, "replaces another"},
        {"unknown member of a CoMID", tpm,
         "a3" IDENT "04a1068100"
         "186400",
         ATLS_E_UNSUPPORTED, 0, 0, "CoMID with members"},
        {"unknown profile", "tag:example.com,2026:x", REFS(ENV, MEAS("00")), ATLS_E_UNSUPPORTED, 0,
         0, "profile tag:example.com,2026:x"},
    };
    struct place *p = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_store_import_report report = {.skipped = 0};
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_buf in = wrap(rows[i].profile, rows[i].comid, "", 0);
        enum atls_code code = import(p->store, &in, &report, &err);

        if (code != rows[i].want || report.reference_values != rows[i].references ||
            report.skipped != rows[i].skipped ||
            (rows[i].says != NULL && strstr(err.message, rows[i].says) == NULL))
            fail_msg("%s: code %d, %zu references, %zu skipped: %s", rows[i].name, code,
                     report.reference_values, report.skipped, err.message);
        atls_buf_clear(&in);
    }
}

static void test_manifests_refused_as_a_whole(void **state)
{
    struct place *p = *state;
    struct atls_store_import_report report;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf in = wrap(NULL, REFS(ENV, MEAS("00")), "186400", 1);
    struct atls_writer w = atls_writer_init(1 << 16);
    char id[200];

    test_assert_code(import(p->store, &in, &report, &err), ATLS_E_UNSUPPORTED, &err);
    assert_non_null(strstr(err.message, "members that are not known"));
    atls_buf_clear(&in);

    in = wrap(NULL, REFS(ENV, MEAS("00")), "", 0);
    atls_cbor_put_tag(&w, 501);
    atls_cbor_put_map(&w, 3);
    atls_put_bytes(&w, atls_bytes_of(in.ptr + 4, in.len - 4));
    atls_put_bytes(&w, atls_bytes_of("\x03\xd8\x6f\x41\x55", 5));
    test_assert_code(atls_store_import_corim(p->store, atls_writer_bytes(&w),
                                             atls_bytes_of(NULL, 0), NOW, &report, &err),
                     ATLS_E_UNSUPPORTED, &err);
    assert_non_null(strstr(err.message, "profile d86f4155"));
    atls_writer_clear(&w);
    atls_buf_clear(&in);

    /* An id that would have to be cut cannot name a manifest. */
    memset(id, 'i', 127);
    id[127] = '\0';
    in = make(id, PCR0);
    test_assert_code(import(p->store, &in, &report, &err), ATLS_OK, &err);
    assert_string_equal(report.manifest_id, id);
    atls_buf_clear(&in);
    id[127] = 'i';
    id[128] = '\0';
    in = make(id, PCR0);
    test_assert_code(import(p->store, &in, &report, &err), ATLS_E_LIMIT, &err);
    atls_buf_clear(&in);
    memset(id, '\0', sizeof id);
    for (size_t i = 0; i < 40; i++)
        memcpy(id + 2 * i, "\xc3\xa9", 2);
    in = make(id, PCR0);
    test_assert_code(import(p->store, &in, &report, &err), ATLS_E_LIMIT, &err);
    atls_buf_clear(&in);
    memset(id + 20, '\0', sizeof id - 20);
    in = make(id, PCR0);
    test_assert_code(import(p->store, &in, &report, &err), ATLS_OK, &err);
    assert_memory_equal(report.manifest_id, "\\xc3\\xa9", 8);
    atls_buf_clear(&in);
}

/* ---- enrolled keys ---- */

/* TPMT_PUBLIC of a P-256 key, from its SubjectPublicKeyInfo. */
static struct atls_buf public_area(const struct atls_buf *spki)
{
    struct atls_buf head = test_unhex("0023000b00050072"
                                      "0000"
                                      "00100018000b00030010"
                                      "0020");
    struct atls_writer w = atls_writer_init(1024);
    struct atls_buf out = ATLS_BUF_INIT;

    atls_put_bytes(&w, atls_buf_bytes(&head));
    atls_put_bytes(&w, atls_bytes_of(spki->ptr + spki->len - 64, 32));
    atls_put_u16(&w, 32);
    atls_put_bytes(&w, atls_bytes_of(spki->ptr + spki->len - 32, 32));
    test_assert_code(atls_writer_finish(&w, &out, NULL), ATLS_OK, NULL);
    atls_buf_clear(&head);
    return out;
}

struct first {
    const char *kind;
    int64_t id;
};

static enum atls_code see_first(void *arg, const struct atls_store_entry *entry,
                                struct atls_err *err)
{
    struct first *first = arg;

    (void)err;
    if (first->id == 0 && strcmp(entry->kind, first->kind) == 0)
        first->id = entry->id;
    return ATLS_OK;
}

/* Id of the first of a kind: what was rolled back may have used up some. */
static int64_t id_of(struct atls_store *s, const char *kind)
{
    struct first first = {kind, 0};

    assert_int_equal(atls_store_list(s, see_first, &first, NULL), ATLS_OK);
    assert_int_not_equal(first.id, 0);
    return first.id;
}

static void test_enrolled_key(void **state)
{
    char name[48];
    struct place *p = *state;
    struct atls_buf spki = new_key(NULL), other = new_key(NULL), area = public_area(&spki);
    uint8_t instance[33] = {1}, digest[ATLS_HASH_MAX], wrong[33] = {1};
    struct atls_store_attest_key key = {
        .instance = {instance, 33}, .class_uuid = CLASS, .vendor = "V", .label = "host 1\n"};
    struct atls_store_attest_key bad;
    struct atls_endorsement_source source;
    struct atls_attest_key found;
    struct atls_err err = ATLS_ERR_INIT;
    bool trust;

    test_assert_code(atls_hash_one(ATLS_HASH_SHA256, atls_buf_bytes(&area), digest, NULL), ATLS_OK,
                     NULL);
    memcpy(instance + 1, digest, 32);
    key.spki = atls_buf_bytes(&spki);
    key.public_area = atls_buf_bytes(&area);
    test_assert_code(atls_store_add_attest_key(p->store, &key, &err), ATLS_OK, &err);
    test_assert_code(atls_store_add_attest_key(p->store, &key, &err), ATLS_OK, &err);
    test_assert_code(atls_store_has_trust(p->store, &trust, &err), ATLS_OK, &err);
    assert_true(trust);
    atls_store_source(p->store, &source);
    test_assert_code(source.attest_key(source.arg, key.instance, &found, &err), ATLS_OK, &err);
    test_assert_bytes(atls_buf_bytes(&found.public_area), key.public_area);
    test_assert_bytes(atls_buf_bytes(&found.class_id), class_item());
    test_assert_bytes(atls_buf_bytes(&found.vendor), atls_bytes_of("V", 1));
    clear_key(&found);

    bad = key;
    bad.spki = atls_buf_bytes(&other);
    test_assert_code(atls_store_add_attest_key(p->store, &bad, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "public area is of another key"));
    bad.public_area = atls_bytes_of(NULL, 0);
    test_assert_code(atls_store_add_attest_key(p->store, &bad, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "another key on file, from the enrolment of host 1\\x0a"));
    bad = key;
    bad.class_uuid = NULL;
    test_assert_code(atls_store_add_attest_key(p->store, &bad, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "another class on file"));
    bad.class_uuid = "no uuid";
    test_assert_code(atls_store_add_attest_key(p->store, &bad, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "not a UUID"));
    bad = key;
    bad.instance = atls_bytes_of(wrong, 33);
    test_assert_code(atls_store_add_attest_key(p->store, &bad, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "the instance is not 01"));
    bad.instance.len = 6;
    test_assert_code(atls_store_add_attest_key(p->store, &bad, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "the instance has 6 bytes"));
    bad = key;
    bad.public_area.len--;
    test_assert_code(atls_store_add_attest_key(p->store, &bad, &err), ATLS_E_DECODE, &err);
    bad = key;
    bad.spki.len--;
    test_assert_code(atls_store_add_attest_key(p->store, &bad, &err), ATLS_E_DECODE, &err);
    bad = key;
    bad.label = "0123456789012345678901234567890123456789012345678901234567890123456789"
                "0123456789012345678901234567890123456789012345678901234567";
    test_assert_code(atls_store_add_attest_key(p->store, &bad, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "label has 128 bytes"));

    test_assert_code(atls_store_remove(p->store, "attest-key:99", &err), ATLS_E_NOT_FOUND, &err);
    snprintf(name, sizeof name, "attest-key:%lld", (long long)id_of(p->store, "attest-key"));
    test_assert_code(atls_store_remove(p->store, name, &err), ATLS_OK, &err);
    test_assert_code(atls_store_remove(p->store, name, &err), ATLS_E_NOT_FOUND, &err);
    test_assert_code(source.attest_key(source.arg, key.instance, &found, &err), ATLS_E_NOT_FOUND,
                     &err);
    atls_buf_clear(&spki);
    atls_buf_clear(&other);
    atls_buf_clear(&area);
}

static void test_key_of_a_manifest_and_enrolled(void **state)
{
    struct place *p = *state;
    struct atls_buf a = new_key(NULL), b = new_key(NULL);
    uint8_t instance[33];
    struct atls_store_attest_key key = {.instance = {instance, 33}, .class_uuid = CLASS};
    struct atls_err err = ATLS_ERR_INIT;

    instance[0] = 1;
    memset(instance + 1, 3, 32);
    import_ok(p->store, make_with_key("m", 3, atls_buf_bytes(&a), ""));
    key.spki = atls_buf_bytes(&b);
    test_assert_code(atls_store_add_attest_key(p->store, &key, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "from manifest m"));
    key.spki = atls_buf_bytes(&a);
    test_assert_code(atls_store_add_attest_key(p->store, &key, &err), ATLS_OK, &err);
    test_assert_code(atls_store_remove(p->store, "attest-key:1", &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "goes with its manifest (manifest:m)"));
    test_assert_code(atls_store_remove(p->store, "manifest:m", &err), ATLS_OK, &err);
    test_assert_code(look_up(p->store, NOW, 3, &a, &err), ATLS_OK, &err);
    atls_buf_clear(&a);
    atls_buf_clear(&b);
}

/* ---- anchors ---- */

static void test_anchors(void **state)
{
    struct place *p = *state;
    struct atls_buf one = new_certificate("one", true), two = new_certificate("two", true),
                    pem = ATLS_BUF_INIT, pem_two = ATLS_BUF_INIT, exported = ATLS_BUF_INIT;
    struct atls_writer both = atls_writer_init(1 << 16);
    struct atls_endorsement_source source;
    struct atls_attest_key found;
    struct atls_anchors *anchors;
    struct atls_err err = ATLS_ERR_INIT;
    size_t added;

    test_assert_code(atls_store_import_anchors(p->store, ATLS_ANCHOR_AK, atls_buf_bytes(&one),
                                               CLASS, &added, &err),
                     ATLS_OK, &err);
    assert_int_equal(added, 1);
    assert_int_equal(atls_pem_encode("CERTIFICATE", atls_buf_bytes(&one), &pem, NULL), ATLS_OK);
    assert_int_equal(atls_pem_encode("CERTIFICATE", atls_buf_bytes(&two), &pem_two, NULL), ATLS_OK);
    atls_put_bytes(&both, atls_buf_bytes(&pem));
    atls_put_bytes(&both, atls_buf_bytes(&pem_two));
    /* With another class the one on file is refused, and the other one does not come in either. */
    test_assert_code(atls_store_import_anchors(p->store, ATLS_ANCHOR_AK, atls_writer_bytes(&both),
                                               NULL, &added, &err),
                     ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, CLASS));
    test_assert_code(atls_store_import_anchors(p->store, ATLS_ANCHOR_AK, atls_writer_bytes(&both),
                                               CLASS, &added, &err),
                     ATLS_OK, &err);
    assert_int_equal(added, 1);
    test_assert_code(atls_store_import_anchors(p->store, ATLS_ANCHOR_TLS, atls_writer_bytes(&both),
                                               NULL, NULL, &err),
                     ATLS_OK, &err);

    atls_store_source(p->store, &source);
    test_assert_code(source.ak_anchors(source.arg, &anchors, &err), ATLS_OK, &err);
    assert_int_equal(atls_anchors_count(anchors), 2);
    atls_anchors_unref(anchors);
    for (size_t round = 0; round < 2; round++) {
        test_assert_code(source.anchor_class(source.arg, atls_buf_bytes(&two), &found, &err),
                         ATLS_OK, &err);
        test_assert_bytes(atls_buf_bytes(&found.class_id), class_item());
        clear_key(&found);
    }
    test_assert_code(source.anchor_class(source.arg, atls_bytes_of("x", 1), &found, &err),
                     ATLS_E_NOT_FOUND, &err);
    test_assert_code(atls_store_anchors(p->store, ATLS_ANCHOR_EK, &anchors, &err), ATLS_OK, &err);
    assert_null(anchors);

    test_assert_code(atls_store_anchors_pem(p->store, ATLS_ANCHOR_TLS, &exported, &err), ATLS_OK,
                     &err);
    test_assert_bytes(atls_buf_bytes(&exported), atls_writer_bytes(&both));
    atls_buf_clear(&exported);
    test_assert_code(atls_store_anchors_pem(p->store, ATLS_ANCHOR_EK, &exported, &err), ATLS_OK,
                     &err);
    assert_int_equal(exported.len, 0);

    test_assert_code(atls_store_remove(p->store, "anchor:1", &err), ATLS_OK, &err);
    test_assert_code(atls_store_remove(p->store, "anchor:1", &err), ATLS_E_NOT_FOUND, &err);
    test_assert_code(source.anchor_class(source.arg, atls_buf_bytes(&one), &found, &err),
                     ATLS_E_NOT_FOUND, &err);
    atls_writer_clear(&both);
    atls_buf_clear(&exported);
    atls_buf_clear(&one);
    atls_buf_clear(&two);
    atls_buf_clear(&pem);
    atls_buf_clear(&pem_two);
}

/* The class of an anchor with all that is said of it. */
static void assert_class_of(struct atls_store *s, struct atls_bytes der, const char *vendor,
                            const char *model)
{
    struct atls_endorsement_source source;
    struct atls_attest_key key;
    struct atls_err err = ATLS_ERR_INIT;

    atls_store_source(s, &source);
    test_assert_code(source.anchor_class(source.arg, der, &key, &err), ATLS_OK, &err);
    test_assert_bytes(atls_buf_bytes(&key.class_id), class_item());
    test_assert_bytes(atls_buf_bytes(&key.vendor), atls_bytes_of(vendor, strlen(vendor)));
    test_assert_bytes(atls_buf_bytes(&key.model), atls_bytes_of(model, strlen(model)));
    clear_key(&key);
}

static void test_anchors_of_a_vendor_and_model(void **state)
{
    struct place *p = *state;
    struct atls_buf certificate = new_certificate("maker", true), json = ATLS_BUF_INIT;
    const struct atls_bytes der = atls_buf_bytes(&certificate);
    struct atls_store_anchor_options as = {
        .purpose = ATLS_ANCHOR_AK, .class_uuid = CLASS, .vendor = "ACME", .model = "Gateway 3"};
    struct atls_store *other = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    char path[128], large[129];
    size_t added;

    test_assert_code(atls_store_import_anchors_as(p->store, der, &as, &added, &err), ATLS_OK, &err);
    assert_int_equal(added, 1);
    assert_class_of(p->store, der, "ACME", "Gateway 3");
    test_assert_code(atls_store_import_anchors_as(p->store, der, &as, &added, &err), ATLS_OK, &err);
    assert_int_equal(added, 0);
    as.model = "Gateway 4";
    test_assert_code(atls_store_import_anchors_as(p->store, der, &as, &added, &err), ATLS_E_CONFIG,
                     &err);
    assert_non_null(strstr(err.message, "vendor or model"));
    as.model = "Gateway 3";
    as.vendor = NULL;
    test_assert_code(atls_store_import_anchors_as(p->store, der, &as, &added, &err), ATLS_E_CONFIG,
                     &err);
    as.class_uuid = NULL;
    test_assert_code(atls_store_import_anchors_as(p->store, der, &as, &added, &err), ATLS_E_CONFIG,
                     &err);
    assert_non_null(strstr(err.message, "which?"));
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    as.class_uuid = CLASS;
    as.model = large;
    test_assert_code(atls_store_import_anchors_as(p->store, der, &as, &added, &err), ATLS_E_CONFIG,
                     &err);
    assert_non_null(strstr(err.message, "127"));

    /* They travel with an export. */
    snprintf(path, sizeof path, "%s/other.db", p->directory);
    test_assert_code(atls_store_export_json(p->store, &json, &err), ATLS_OK, &err);
    test_assert_code(atls_store_open(path, ATLS_STORE_CREATE, &other, &err), ATLS_OK, &err);
    test_assert_code(atls_store_import_json(other, atls_buf_bytes(&json), &err), ATLS_OK, &err);
    assert_class_of(other, der, "ACME", "Gateway 3");
    atls_store_close(other);
    atls_buf_clear(&json);
    atls_buf_clear(&certificate);
}

static void test_anchors_refused(void **state)
{
    struct place *p = *state;
    struct atls_buf one = new_certificate("one", true);
    struct atls_bytes der = atls_buf_bytes(&one);
    struct atls_anchors *anchors;
    struct atls_endorsement_source source;
    struct atls_attest_key found;
    struct atls_buf pem = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    size_t added = 77;

    test_assert_code(
        atls_store_import_anchors(p->store, (enum atls_anchor_purpose)9, der, NULL, &added, &err),
        ATLS_E_USAGE, &err);
    test_assert_code(atls_store_import_anchors(p->store, ATLS_ANCHOR_AK, der, "x", &added, &err),
                     ATLS_E_CONFIG, &err);
    test_assert_code(atls_store_import_anchors(p->store, ATLS_ANCHOR_AK,
                                               atls_bytes_of(der.ptr, der.len - 1), NULL, &added,
                                               &err),
                     ATLS_E_DECODE, &err);
    test_assert_code(atls_store_import_anchors(p->store, ATLS_ANCHOR_AK, atls_bytes_of("text", 4),
                                               NULL, &added, &err),
                     ATLS_E_DECODE, &err);
    test_assert_code(atls_store_import_anchors(p->store, ATLS_ANCHOR_AK, atls_bytes_of(NULL, 0),
                                               NULL, &added, &err),
                     ATLS_E_DECODE, &err);
    assert_int_equal(added, 77);
    test_assert_code(atls_store_anchors(p->store, (enum atls_anchor_purpose)0, &anchors, &err),
                     ATLS_E_USAGE, &err);
    test_assert_code(atls_store_anchors(p->store, ATLS_ANCHOR_TEE, &anchors, &err), ATLS_E_USAGE,
                     &err);
    test_assert_code(atls_store_anchors_pem(p->store, (enum atls_anchor_purpose)5, &pem, &err),
                     ATLS_E_USAGE, &err);
    /* An anchor without a class vouches for keys, and for no machine's reference values. */
    test_assert_code(atls_store_import_anchors(p->store, ATLS_ANCHOR_AK, der, NULL, &added, &err),
                     ATLS_OK, &err);
    atls_store_source(p->store, &source);
    test_assert_code(source.anchor_class(source.arg, der, &found, &err), ATLS_E_NOT_FOUND, &err);
    assert_non_null(strstr(err.message, "stands for no class"));
    atls_buf_clear(&one);
}

/* ---- listing, export ---- */

struct seen {
    size_t anchors, keys, references;
    char text[4096];
    size_t stop_at;
};

static enum atls_code see(void *arg, const struct atls_store_entry *entry, struct atls_err *err)
{
    struct seen *seen = arg;
    size_t used = strlen(seen->text);

    (void)err;
    seen->anchors += strcmp(entry->kind, "anchor") == 0;
    seen->keys += strcmp(entry->kind, "attest-key") == 0;
    seen->references += strcmp(entry->kind, "reference") == 0;
    snprintf(seen->text + used, sizeof seen->text - used, "%s|%s|%s|%s|%lld\n", entry->kind,
             entry->manifest, entry->subject, entry->value, (long long)entry->not_after_s);
    return seen->anchors + seen->keys + seen->references == seen->stop_at ? ATLS_E_CLOSED : ATLS_OK;
}

static void fill(struct atls_store *s, struct atls_buf *spki)
{
    struct atls_buf certificate = new_certificate("Root, \xc3\xa9", true), area;
    uint8_t instance[33] = {1}, digest[ATLS_HASH_MAX];
    struct atls_store_attest_key key = {.instance = {instance, 33},
                                        .class_uuid = CLASS,
                                        .vendor = "V",
                                        .model = "M",
                                        .label = "host\\1"};
    struct atls_private_key *private_key;
    struct atls_buf signer = new_key(&private_key), pem = ATLS_BUF_INIT, corim, signed_one;
    struct atls_corim_sign_options options = {.signer = "me", .not_after_s = 4000000000};
    struct atls_store_import_report report;
    struct atls_err err = ATLS_ERR_INIT;

    *spki = new_key(NULL);
    area = public_area(spki);
    assert_int_equal(atls_hash_one(ATLS_HASH_SHA256, atls_buf_bytes(&area), digest, NULL), ATLS_OK);
    memcpy(instance + 1, digest, 32);
    key.spki = atls_buf_bytes(spki);
    key.public_area = atls_buf_bytes(&area);
    test_assert_code(atls_store_add_attest_key(s, &key, &err), ATLS_OK, &err);
    test_assert_code(atls_store_import_anchors(s, ATLS_ANCHOR_AK, atls_buf_bytes(&certificate),
                                               CLASS, NULL, &err),
                     ATLS_OK, &err);
    test_assert_code(atls_store_import_anchors(s, ATLS_ANCHOR_TLS, atls_buf_bytes(&certificate),
                                               NULL, NULL, &err),
                     ATLS_OK, &err);
    import_ok(s, make_with_key("m", 9, atls_buf_bytes(spki),
                               ", \"not-after\": 3000000000, \"reference-values\": {\"sha256\": "
                               "{\"0\": [\"" D64 "\", \"" E64 "\"], \"7\": \"" D64 "\"}}"));
    corim = make("signed one", PCR0);
    test_assert_code(atls_private_key_to_pem(private_key, &pem, &err), ATLS_OK, &err);
    options.key_pem = atls_buf_bytes(&pem);
    test_assert_code(atls_corim_sign(atls_buf_bytes(&corim), &options, &signed_one, &err), ATLS_OK,
                     &err);
    test_assert_code(atls_store_import_corim(s, atls_buf_bytes(&signed_one),
                                             atls_buf_bytes(&signer), NOW, &report, &err),
                     ATLS_OK, &err);
    atls_private_key_free(private_key);
    atls_buf_clear(&certificate);
    atls_buf_clear(&area);
    atls_buf_clear(&signer);
    atls_buf_clear(&pem);
    atls_buf_clear(&corim);
    atls_buf_clear(&signed_one);
}

static void test_list(void **state)
{
    struct place *p = *state;
    struct seen seen = {0}, stopped = {.stop_at = 4};
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf spki;

    fill(p->store, &spki);
    test_assert_code(atls_store_list(p->store, see, &seen, &err), ATLS_OK, &err);
    assert_int_equal(seen.anchors, 2);
    assert_int_equal(seen.keys, 2);
    assert_int_equal(seen.references, 4);
    assert_non_null(strstr(seen.text, "anchor||CN=Root, \\xc3\\xa9|ak class " CLASS "|0\n"));
    assert_non_null(strstr(seen.text, "|tls|0\n"));
    assert_non_null(strstr(seen.text, " host\\x5c1|sha256:"));
    assert_non_null(strstr(seen.text, "attest-key|m|01090909"));
    assert_non_null(strstr(seen.text, "reference|m|" CLASS " PCR 7|sha-256:" D64 "|3000000000\n"));
    assert_non_null(strstr(seen.text, "reference|signed one|" CLASS " PCR 0|"));
    assert_non_null(strstr(seen.text, "|4000000000\n"));
    test_assert_code(atls_store_list(p->store, see, &stopped, &err), ATLS_E_CLOSED, &err);
    assert_int_equal(stopped.keys + stopped.anchors, 4);
    stopped = (struct seen){.stop_at = 5};
    test_assert_code(atls_store_list(p->store, see, &stopped, &err), ATLS_E_CLOSED, &err);
    stopped = (struct seen){.stop_at = 1};
    test_assert_code(atls_store_list(p->store, see, &stopped, &err), ATLS_E_CLOSED, &err);
    atls_buf_clear(&spki);
}

static void test_export_and_import(void **state)
{
    struct place *p = *state;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf first = ATLS_BUF_INIT, second = ATLS_BUF_INIT, spki;
    struct atls_store *other;
    struct seen a = {0}, b = {0};

    fill(p->store, &spki);
    test_assert_code(atls_store_export_json(p->store, &first, &err), ATLS_OK, &err);
    assert_int_equal(first.ptr[first.len], '\0');
    test_assert_code(place_open_other(p, ATLS_STORE_CREATE, &other, &err), ATLS_OK, &err);
    test_assert_code(atls_store_import_json(other, atls_buf_bytes(&first), &err), ATLS_OK, &err);
    test_assert_code(atls_store_export_json(other, &second, &err), ATLS_OK, &err);
    test_assert_bytes(atls_buf_bytes(&second), atls_buf_bytes(&first));
    test_assert_code(atls_store_list(p->store, see, &a, &err), ATLS_OK, &err);
    test_assert_code(atls_store_list(other, see, &b, &err), ATLS_OK, &err);
    assert_string_equal(a.text, b.text);
    /* Again into itself: nothing doubles. */
    test_assert_code(atls_store_import_json(other, atls_buf_bytes(&first), &err), ATLS_OK, &err);
    memset(&b, 0, sizeof b);
    test_assert_code(atls_store_list(other, see, &b, &err), ATLS_OK, &err);
    assert_int_equal(b.references, 4);
    assert_int_equal(b.keys, 2);
    assert_int_equal(b.anchors, 2);
    atls_store_close(other);
    atls_buf_clear(&first);
    atls_buf_clear(&second);
    atls_buf_clear(&spki);
}

static void test_import_json_refused(void **state)
{
    static const struct {
        const char *name, *json;
        enum atls_code want;
        const char *says;
    } rows[] = {
        {"nothing but a format", "{\"format\": \"libatls-store-1\"}", ATLS_OK, NULL},
        {"empty", "", ATLS_E_DECODE, "JSON: line"},
        {"a list", "[]", ATLS_E_DECODE, "$: not an object"},
        {"two of one member", "{\"format\": \"a\", \"format\": \"a\"}", ATLS_E_DECODE, "duplicate"},
        {"trailing bytes", "{\"format\": \"libatls-store-1\"} x", ATLS_E_DECODE, "JSON: line"},
        {"no format", "{}", ATLS_E_DECODE, "$.format: missing"},
        {"another format", "{\"format\": \"x\"}", ATLS_E_DECODE, "$.format: not \"libatls"},
        {"format is a number", "{\"format\": 1}", ATLS_E_DECODE, "$.format: not a text"},
        {"unknown member", "{\"format\": \"libatls-store-1\", \"x\\n\": 1}", ATLS_E_DECODE,
         "$.x\\x0a: unknown member"},
        {"anchors are an object", "{\"format\": \"libatls-store-1\", \"anchors\": {}}",
         ATLS_E_DECODE, "$.anchors: not an array"},
        {"anchor is a number", "{\"format\": \"libatls-store-1\", \"anchors\": [1]}", ATLS_E_DECODE,
         "$.anchors[0]: not an object"},
        {"anchor without a purpose",
         "{\"format\": \"libatls-store-1\", \"anchors\": [{\"certificate\": \"x\"}]}",
         ATLS_E_DECODE, "$.anchors[0].purpose: missing"},
        {"anchor with an unknown purpose",
         "{\"format\": \"libatls-store-1\", \"anchors\": [{\"purpose\": \"x\", \"certificate\": "
         "\"x\"}]}",
         ATLS_E_DECODE, "$.anchors[0].purpose: neither"},
        {"anchor with a class that is no UUID",
         "{\"format\": \"libatls-store-1\", \"anchors\": [{\"purpose\": \"ak\", \"class\": \"x\", "
         "\"certificate\": \"x\"}]}",
         ATLS_E_DECODE, "$.anchors[0].class: not a UUID"},
        {"anchor that is no certificate",
         "{\"format\": \"libatls-store-1\", \"anchors\": [{\"purpose\": \"ak\", \"certificate\": "
         "\"x\"}]}",
         ATLS_E_DECODE, "$.anchors[0].certificate"},
        {"key with an instance that is not hexadecimal",
         "{\"format\": \"libatls-store-1\", \"attest-keys\": [{\"instance\": \"0x\", \"key\": "
         "\"x\"}]}",
         ATLS_E_DECODE, "$.attest-keys[0].instance: not hexadecimal"},
        {"key that is no PEM",
         "{\"format\": \"libatls-store-1\", \"attest-keys\": [{\"instance\": \"00\", \"key\": "
         "\"x\"}]}",
         ATLS_E_DECODE, "$.attest-keys[0].key"},
        {"key with a public area that is not base64url",
         "{\"format\": \"libatls-store-1\", \"attest-keys\": [{\"instance\": \"00\", \"key\": "
         "\"x\", \"public-area\": \"=\"}]}",
         ATLS_E_DECODE, "$.attest-keys[0].public-area: not base64url"},
        {"manifest without content",
         "{\"format\": \"libatls-store-1\", \"manifests\": [{\"id\": \"m\"}]}", ATLS_E_DECODE,
         "$.manifests[0].corim: missing"},
        {"manifest that is no CoRIM",
         "{\"format\": \"libatls-store-1\", \"manifests\": [{\"id\": \"m\", \"corim\": \"AAAA\"}]}",
         ATLS_E_DECODE, "$.manifests[0]: "},
        {"manifest with a signer that is no key",
         "{\"format\": \"libatls-store-1\", \"manifests\": [{\"id\": \"m\", \"corim\": \"AAAA\", "
         "\"signer\": \"x\"}]}",
         ATLS_E_DECODE, "$.manifests[0].signer: "},
    };
    struct place *p = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code = atls_store_import_json(
            p->store, atls_bytes_of(rows[i].json, strlen(rows[i].json)), &err);

        if (code != rows[i].want ||
            (rows[i].says != NULL && strstr(err.message, rows[i].says) == NULL))
            fail_msg("%s: code %d: %s", rows[i].name, code, err.message);
    }
}

/* What an export says is not believed: it is imported by the same checks. */
static void test_import_json_checks_again(void **state)
{
    struct place *p = *state;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf text = ATLS_BUF_INIT, spki;
    struct atls_store *other;
    char *at;
    struct seen seen = {0};

    fill(p->store, &spki);
    test_assert_code(atls_store_export_json(p->store, &text, &err), ATLS_OK, &err);
    test_assert_code(place_open_other(p, ATLS_STORE_CREATE, &other, &err), ATLS_OK, &err);
    at = strstr((char *)text.ptr, "\"signed one\"");
    assert_non_null(at);
    memcpy(at, "\"another on\"", 12);
    test_assert_code(atls_store_import_json(other, atls_buf_bytes(&text), &err), ATLS_E_DECODE,
                     &err);
    assert_non_null(strstr(err.message, "$.manifests[1].id: not the id of the manifest"));
    memcpy(at, "\"signed one\"", 12);
    at = strstr(at, "\"signer\"");
    assert_non_null(at);
    memcpy(at, "\"Signer\"", 8);
    test_assert_code(atls_store_import_json(other, atls_buf_bytes(&text), &err), ATLS_E_DECODE,
                     &err);
    assert_non_null(strstr(err.message, "$.manifests[1].Signer: unknown member"));
    memcpy(at, "\"signer\"", 8);
    at = strstr(at, "\"corim\"");
    assert_non_null(at);
    at += strlen("\"corim\": \"") + 200;
    *at = *at == 'A' ? 'B' : 'A';
    assert_int_not_equal(atls_store_import_json(other, atls_buf_bytes(&text), &err), ATLS_OK);
    test_assert_code(atls_store_list(other, see, &seen, &err), ATLS_OK, &err);
    assert_string_equal(seen.text, "");
    atls_store_close(other);
    atls_buf_clear(&text);
    atls_buf_clear(&spki);
}

static void test_remove_refused(void **state)
{
    static const char *const rows[] = {"",          "anchor:",    "anchor:x",
                                       "anchor:-1", "anchor:1x",  "anchor:99999999999999999999",
                                       "key:1",     "attest-key:"};
    struct place *p = *state;
    struct atls_err err = ATLS_ERR_INIT;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        test_assert_code(atls_store_remove(p->store, rows[i], &err), ATLS_E_USAGE, &err);
    test_assert_code(atls_store_remove(p->store, "manifest:x'; DROP TABLE manifests;--", &err),
                     ATLS_E_NOT_FOUND, &err);
    test_assert_code(atls_store_remove(p->store, "manifest:", &err), ATLS_E_NOT_FOUND, &err);
}

/* ---- threads and cost ---- */

struct worker {
    struct atls_store *store;
    const struct atls_buf *spki;
};

static void *work(void *arg)
{
    const struct worker *w = arg;
    struct atls_err err = ATLS_ERR_INIT;

    for (int i = 0; i < 500; i++) {
        enum atls_code code = look_up(w->store, NOW, 1, w->spki, &err);
        struct atls_reference_set *set;

        if ((code != ATLS_OK && code != ATLS_E_NOT_FOUND) ||
            atls_store_references(w->store, class_item(), NOW, &set, NULL) != ATLS_OK)
            return arg;
        atls_reference_set_unref(set);
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct place *p = *state;
    struct atls_buf spki = new_key(NULL);
    struct worker worker = {p->store, &spki};
    pthread_t threads[4];
    void *result;

    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, &worker), 0);
    for (size_t i = 0; i < 20; i++) {
        import_ok(p->store, make_with_key("m", 1, atls_buf_bytes(&spki), ", " PCR0));
        assert_int_equal(atls_store_remove(p->store, "manifest:m", NULL), ATLS_OK);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_null(result);
    }
    atls_buf_clear(&spki);
}

/* More instances than the cache keeps, more classes than it has room for. */
static void test_cache_overflows(void **state)
{
    struct place *p = *state;
    struct atls_buf spki = new_key(NULL), one = new_key(NULL);
    struct atls_err err = ATLS_ERR_INIT;
    char sql[700];

    import_ok(p->store, make_with_key("m", 1, atls_buf_bytes(&one), ", " PCR0));
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)"
             " INSERT INTO reference_triples(manifest, class_id, environment, measurements)"
             " SELECT manifest, cast(printf('%%09d', i) AS BLOB), environment, measurements"
             " FROM reference_triples, n;"
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 17000)"
             " INSERT INTO attest_keys(instance, spki, public_area, class_id, vendor, model, label)"
             " SELECT cast(printf('%%09d', i) AS BLOB), spki, x'', class_id, '', '', ''"
             " FROM attest_keys, n");
    if (on_postgres())
        sql_on_server(
            p->schema[0],
            "INSERT INTO reference_triples(manifest, class_id, environment, measurements)"
            " SELECT manifest, convert_to(lpad(i::text, 9, '0'), 'UTF8'), environment,"
            " measurements FROM reference_triples, generate_series(1, 100) i;"
            "INSERT INTO attest_keys(instance, spki, public_area, class_id, vendor, model, label,"
            " kind) SELECT convert_to(lpad(i::text, 9, '0'), 'UTF8'), spki, '', class_id, '', '',"
            " '', 3 FROM attest_keys, generate_series(1, 17000) i");
    else
        sql_on_file(p->path, sql);
    for (unsigned int i = 1; i <= 17000; i++) {
        struct atls_endorsement_source source;
        struct atls_attest_key key;
        char name[16];

        snprintf(name, sizeof name, "%09u", i);
        atls_store_source(p->store, &source);
        assert_int_equal(source.attest_key(source.arg, atls_bytes_of(name, 9), &key, NULL),
                         ATLS_OK);
        clear_key(&key);
        if (i <= 100) {
            struct atls_reference_set *set;
            size_t count;

            assert_int_equal(
                atls_store_references(p->store, atls_bytes_of(name, 9), NOW, &set, NULL), ATLS_OK);
            (void)atls_reference_set_items(set, &count);
            assert_int_equal(count, 1);
            atls_reference_set_unref(set);
        }
    }
    test_assert_code(look_up(p->store, NOW, 1, &one, &err), ATLS_OK, &err);
    assert_int_equal(count_references(p->store, NOW), 1);
    atls_buf_clear(&spki);
    atls_buf_clear(&one);
}

/* A file with damage inside is an error, never an answer. */
static void test_damaged_reference(void **state)
{
    struct place *p = *state;
    struct atls_reference_set *set = NULL;
    struct seen seen = {0};
    struct atls_err err = ATLS_ERR_INIT;

    import_ok(p->store, make("m", PCR0));
    place_sql(p, "UPDATE reference_triples SET measurements = x'80'",
              "UPDATE reference_triples SET measurements = '\\x80'");
    test_assert_code(atls_store_references(p->store, class_item(), NOW, &set, &err), ATLS_E_DECODE,
                     &err);
    test_assert_code(atls_store_list(p->store, see, &seen, &err), ATLS_E_DECODE, &err);
    place_sql(p, "DROP TABLE reference_triples; DROP TABLE attest_keys",
              "DROP TABLE reference_triples; DROP TABLE attest_keys");
    test_assert_code(atls_store_references(p->store, class_item(), NOW, &set, &err),
                     on_postgres() ? ATLS_E_CONFIG : ATLS_E_IO, &err);
    assert_null(set);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, place_set_up, place_tear_down)
#define ON_BOTH                                                                                    \
    WITH_STORE(test_read_only_store_takes_no_writes), WITH_STORE(test_locked_store),               \
        WITH_STORE(test_import_and_look_up), WITH_STORE(test_importing_an_id_again_replaces),      \
        WITH_STORE(test_two_keys_for_one_instance), WITH_STORE(test_two_keys_on_file),             \
        WITH_STORE(test_validity), WITH_STORE(test_other_process_is_seen),                         \
        WITH_STORE(test_crash_after_import), WITH_STORE(test_vectors),                             \
        WITH_STORE(test_signed_manifest), WITH_STORE(test_profiles),                               \
        WITH_STORE(test_manifests_refused_as_a_whole), WITH_STORE(test_enrolled_key),              \
        WITH_STORE(test_key_of_a_manifest_and_enrolled), WITH_STORE(test_anchors),                 \
        WITH_STORE(test_anchors_of_a_vendor_and_model), WITH_STORE(test_anchors_refused),          \
        WITH_STORE(test_list), WITH_STORE(test_export_and_import),                                 \
        WITH_STORE(test_import_json_refused), WITH_STORE(test_import_json_checks_again),           \
        WITH_STORE(test_remove_refused), WITH_STORE(test_threads),                                 \
        WITH_STORE(test_cache_overflows), WITH_STORE(test_damaged_reference)

int main(void)
{
    const struct CMUnitTest files[] = {
        WITH_STORE(test_modes),
        WITH_STORE(test_relative_path),
        WITH_STORE(test_store_that_everybody_may_write),
        WITH_STORE(test_files_that_are_no_store),
        WITH_STORE(test_older_store_is_brought_up_to_date),
        ON_BOTH,
    };
    const struct CMUnitTest servers[] = {ON_BOTH};

    return PLACE_RUN_BOTH("store", files, servers);
}
