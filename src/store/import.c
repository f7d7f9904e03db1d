/* Attestation keys, enrolled on their own or brought by manifests. */
#include <string.h>

#include "core/err.h"
#include "core/log.h"
#include "core/reader.h"
#include "store/db.h"
#include "wire/corim.h"
#include "wire/tpm.h"

#define LABEL_MAX 127
/* Of one instance, in as many classes: each key that comes is compared with all of them. */
#define INSTANCE_KEYS_MAX 256

static struct atls_bytes text_or_empty(const char *text)
{
    return text == NULL ? atls_bytes_of("", 0) : atls_bytes_of(text, strlen(text));
}

/* Such a class does not help to find the key: evidence of a TPM names its instance alone. */
static bool is_found_by_instance(struct atls_bytes class_id)
{
    static const uint8_t uuid_tag[] = {0xd8, ATLS_TAG_UUID};

    return class_id.len < sizeof uuid_tag || memcmp(class_id.ptr, uuid_tag, sizeof uuid_tag) == 0;
}

/* NULL, or what is different about the key on file so that a look-up would be ambiguous: one
 * environment has one key of one technology, and an instance that is looked up alone has one class.
 */
static const char *difference(const struct store_key_row *row, const struct store_query *on_file)
{
    struct atls_bytes spki = store_column(on_file, 0), class_id = store_column(on_file, 1);
    bool same_class = atls_bytes_equal(class_id, row->class_id);

    if (!same_class && !is_found_by_instance(class_id) && !is_found_by_instance(row->class_id))
        return NULL;
    if (!atls_bytes_equal(spki, row->spki))
        return "key";
    if (!same_class)
        return "class";
    return atls_bytes_equal_text(store_column(on_file, 4), row->technology) ? NULL : "technology";
}

static enum atls_code conflict(const struct store_key_row *row, const struct store_query *q,
                               const char *what, struct atls_err *err)
{
    char instance[2 * STORE_UEID_MAX + 1], label[LABEL_MAX + 1];
    bool enrolled = store_column_is_null(q, 2);
    struct atls_bytes name = store_column(q, 2);

    atls_escape(store_column(q, 3), label, sizeof label);
    return atls_fail(
        err, ATLS_E_CONFIG, "attestation key: instance %s has another %s on file, from %s %.*s",
        atls_hex(row->instance, instance, sizeof instance), what,
        enrolled ? "the enrolment of" : "manifest", enrolled ? (int)strlen(label) : (int)name.len,
        enrolled ? label : (const char *)name.ptr);
}

enum atls_code store_check_conflict(struct store_connection *c, const struct store_key_row *row,
                                    struct atls_err *err)
{
    struct store_query q = store_query(c, SQL_KEY_CONFLICT);
    size_t count = 0;
    const char *what;
    enum atls_code code;
    bool there;

    store_bind_bytes(&q, 1, row->instance);
    store_bind_int(&q, 2, row->kind);
    while ((code = store_step(&q, &there, err)) == ATLS_OK && there) {
        what = difference(row, &q);
        if (what != NULL)
            code = conflict(row, &q, what, err);
        else if (++count > INSTANCE_KEYS_MAX)
            code = atls_fail(err, ATLS_E_LIMIT, "attestation key: more than %d of one instance",
                             INSTANCE_KEYS_MAX);
        if (code != ATLS_OK)
            break;
    }
    store_end(&q);
    return code;
}

enum atls_code store_put_key_row(struct store_connection *c, const struct store_key_row *row,
                                 struct atls_err *err)
{
    struct store_query q = store_query(c, SQL_KEY_PUT);

    if (row->manifest != 0)
        store_bind_int(&q, 1, row->manifest);
    store_bind_bytes(&q, 2, row->instance);
    store_bind_bytes(&q, 3, row->spki);
    store_bind_bytes(&q, 4, row->public_area);
    store_bind_bytes(&q, 5, row->class_id);
    store_bind_text(&q, 6, row->vendor);
    store_bind_text(&q, 7, row->model);
    store_bind_text(&q, 8, row->label);
    store_bind_int(&q, 9, row->kind);
    store_bind_text(&q, 10, text_or_empty(row->technology));
    return store_run(&q, NULL, err);
}

/* The public area is of this key, and the instance is made from its Name (TPM 2.0 Part 1, 16). */
static enum atls_code check_public_area(const struct atls_store_attest_key *key,
                                        struct atls_err *err)
{
    struct atls_writer spki = atls_writer_init(4096);
    struct atls_tpmt_public area;
    uint8_t digest[ATLS_HASH_MAX];
    enum atls_code code;
    bool same_key;

    if ((code = atls_tpmt_public_decode(key->public_area, &area, err)) != ATLS_OK ||
        (code = atls_tpmt_public_put_spki(&area, &spki, err)) != ATLS_OK) {
        atls_writer_clear(&spki);
        return code;
    }
    same_key = spki.failed == ATLS_OK && atls_bytes_equal(atls_writer_bytes(&spki), key->spki);
    atls_writer_clear(&spki);
    if (!same_key)
        return atls_fail(err, ATLS_E_CONFIG, "attestation key: the public area is of another key");
    if ((code = atls_hash_one(ATLS_HASH_SHA256, key->public_area, digest, err)) != ATLS_OK)
        return code;
    if (atls_tpm_hash(area.name_alg) != ATLS_HASH_SHA256 || key->instance.len != 33 ||
        key->instance.ptr[0] != 0x01 || memcmp(key->instance.ptr + 1, digest, 32) != 0)
        return atls_fail(err, ATLS_E_CONFIG,
                         "attestation key: the instance is not 01 || SHA-256 of the public area");
    return ATLS_OK;
}

static enum atls_code check_attest_key(const struct atls_store_attest_key *key,
                                       struct atls_err *err)
{
    struct atls_bytes label = text_or_empty(key->label);
    struct atls_key *parsed;
    enum atls_code code;

    if (key->instance.len < STORE_UEID_MIN || key->instance.len > STORE_UEID_MAX)
        return atls_fail(err, ATLS_E_CONFIG,
                         "attestation key: the instance has %zu bytes, a UEID %d to %d",
                         key->instance.len, STORE_UEID_MIN, STORE_UEID_MAX);
    if (label.len > LABEL_MAX)
        return atls_fail(err, ATLS_E_CONFIG, "attestation key: the label has %zu bytes, at most %d",
                         label.len, LABEL_MAX);
    if ((code = atls_key_from_spki(key->spki, &parsed, err)) != ATLS_OK)
        return atls_err_prefix(err, code, "attestation key");
    atls_key_unref(parsed);
    return key->public_area.len == 0 ? ATLS_OK : check_public_area(key, err);
}

static enum atls_code choose_technology(const struct atls_store_attest_key *key,
                                        struct store_key_row *row, struct atls_err *err)
{
    char text[32];

    if (key->technology == NULL)
        return store_technology_unsaid(row, &row->technology, err);
    row->technology = atls_technology_name(text_or_empty(key->technology));
    if (row->technology == NULL)
        return atls_fail(err, ATLS_E_CONFIG, "attestation key: no technology is called \"%s\"",
                         atls_escape(text_or_empty(key->technology), text, sizeof text));
    if (key->public_area.len != 0 && row->technology != atls_technology_tpm.name)
        return atls_fail(err, ATLS_E_CONFIG,
                         "attestation key: a public area is a TPM's, the technology is \"%s\"",
                         row->technology);
    return ATLS_OK;
}

enum atls_code store_put_attest_key(struct store_connection *c,
                                    const struct atls_store_attest_key *key, struct atls_err *err)
{
    struct store_key_row row = {.kind = ATLS_TRIPLE_ATTEST_KEY,
                                .instance = key->instance,
                                .spki = key->spki,
                                .public_area = key->public_area,
                                .vendor = text_or_empty(key->vendor),
                                .model = text_or_empty(key->model),
                                .label = text_or_empty(key->label)};
    uint8_t class_id[STORE_UUID_CLASS_ID];
    struct store_query q;
    enum atls_code code;

    if ((code = check_attest_key(key, err)) != ATLS_OK ||
        (code = choose_technology(key, &row, err)) != ATLS_OK)
        return code;
    if (key->class_uuid != NULL) {
        if (!store_class_from_uuid(key->class_uuid, class_id))
            return atls_fail(err, ATLS_E_CONFIG, "attestation key: the class is not a UUID");
        row.class_id = atls_bytes_of(class_id, sizeof class_id);
    }
    if ((code = store_check_conflict(c, &row, err)) != ATLS_OK)
        return code;
    q = store_query(c, SQL_KEY_REPLACE);
    store_bind_bytes(&q, 1, row.instance);
    if ((code = store_run(&q, NULL, err)) != ATLS_OK)
        return code;
    return store_put_key_row(c, &row, err);
}

enum atls_code atls_store_add_attest_key(struct atls_store *s,
                                         const struct atls_store_attest_key *key,
                                         struct atls_err *err)
{
    struct store_connection *c;
    enum atls_code code;

    if ((code = store_begin(s, STORE_ACCESS_WRITE, &c, err)) != ATLS_OK)
        return code;
    return store_finish(c, STORE_ACCESS_WRITE, store_put_attest_key(c, key, err), err);
}
