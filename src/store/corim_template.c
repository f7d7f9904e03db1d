#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <atls/corim.h>
#include <atls/limits.h>

#include "core/err.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "store/corim_template.h"
#include "store/corim_template_named.h"
#include "store/db.h"
#include "store/json.h"
#include "wire/cbor.h"
#include "wire/corim.h"
#include "wire/corim_profile.h"
#include "wire/kat.h"

/* PEM and hexadecimal are about three times as long as what they stand for. */
#define TEMPLATE_MAX ((size_t)4 * ATLS_CORIM_MAX)
#define UEID_LEN     33
#define PCR_LAST     23
#define TAG_EPOCH    1

/* What a template says, checked; texts borrow from the document. */
struct template
{
    const char *id, *tag_id, *vendor, *model;
    const struct store_template_profile *profile;
    const char *uri; /* of the profile; NULL: none */
    uint8_t class_id[STORE_CLASS_ITEM_MAX];
    size_t class_len;
    bool instance_is_bytes; /* and not a UEID: what some readers want for the same octets */
    struct atls_corim_validity validity;
    /* Triples as encoded, and how many. */
    struct atls_writer references, endorsed, keys, series, conditionals;
    size_t reference_count, endorsed_count, key_count, series_count, conditional_count;
};

/* ---- times ---- */

static enum atls_code get_time(const struct store_json *object, const char *key, bool *out_has,
                               int64_t *out, struct atls_err *err)
{
    const struct store_json at = store_json_member(object, key);

    *out_has = at.value != NULL;
    if (at.value == NULL)
        return ATLS_OK;
    if (json_is_integer(at.value) && json_integer_value(at.value) >= 0) {
        *out = json_integer_value(at.value);
        return ATLS_OK;
    }
    if (json_is_string(at.value) && store_time_parse(json_string_value(at.value), out))
        return ATLS_OK;
    return store_json_fail(&at, err,
                           "neither seconds since 1970 nor a time as \"2026-01-31T12:00:00Z\"");
}

static enum atls_code get_validity(const struct store_json *root, struct template *t,
                                   struct atls_err *err)
{
    struct atls_corim_validity *v = &t->validity;
    const struct store_json end = store_json_member(root, "not-after");
    enum atls_code code;

    if ((code = get_time(root, "not-before", &v->has_not_before, &v->not_before_s, err)) !=
            ATLS_OK ||
        (code = get_time(root, "not-after", &v->has_not_after, &v->not_after_s, err)) != ATLS_OK)
        return code;
    if (v->has_not_before && !v->has_not_after)
        return store_json_fail(&end, err, "missing: a beginning needs an end");
    if (v->has_not_before && v->not_after_s < v->not_before_s)
        return store_json_fail(&end, err, "is before not-before");
    return ATLS_OK;
}

/* ---- triples ---- */

/* environment-map; ueid empty: the class alone. */
static void put_environment(struct atls_writer *w, const struct template *t, struct atls_bytes ueid)
{
    atls_cbor_put_map(w, ueid.len != 0 ? 2 : 1);
    atls_cbor_put_uint(w, 0);
    atls_cbor_put_map(w, 1u + (t->vendor != NULL) + (t->model != NULL));
    atls_cbor_put_uint(w, 0);
    atls_put_bytes(w, atls_bytes_of(t->class_id, t->class_len));
    if (t->vendor != NULL) {
        atls_cbor_put_uint(w, 1);
        atls_cbor_put_text(w, t->vendor);
    }
    if (t->model != NULL) {
        atls_cbor_put_uint(w, 2);
        atls_cbor_put_text(w, t->model);
    }
    if (ueid.len != 0) {
        atls_cbor_put_uint(w, 1);
        atls_cbor_put_tag(w, t->instance_is_bytes ? ATLS_TAG_BYTES : ATLS_TAG_UEID);
        atls_cbor_put_bytes(w, ueid);
    }
}

static enum atls_code put_key(const struct store_json *at, struct template *t, struct atls_err *err)
{
    static const char *const names[] = {"instance", "key", NULL};
    const struct store_json instance = store_json_member(at, "instance"),
                            key_at = store_json_member(at, "key");
    uint8_t ueid[UEID_LEN];
    struct atls_buf pem = ATLS_BUF_INIT;
    struct atls_key *key;
    const char *text;
    enum atls_code code;

    if ((code = store_json_object(at, names, err)) != ATLS_OK ||
        (code = store_json_text(at, "key", STORE_JSON_REQUIRED, &text, err)) != ATLS_OK ||
        (code = store_json_hex(&instance, ueid, sizeof ueid, err)) != ATLS_OK)
        return code;
    if (ueid[0] != 0x01)
        return store_json_fail(&instance, err, "a UEID of a key begins with 01");
    if ((code = atls_key_from_pem(atls_bytes_of(text, strlen(text)), &key, err)) != ATLS_OK)
        return store_json_prefix(&key_at, err, code);
    /* Written anew: the manifest holds a SubjectPublicKeyInfo whatever the template had. */
    code = atls_key_to_pem(key, &pem, err);
    atls_key_unref(key);
    if (code != ATLS_OK)
        return code;
    atls_cbor_put_array(&t->keys, 2);
    put_environment(&t->keys, t, atls_bytes_of(ueid, sizeof ueid));
    atls_cbor_put_array(&t->keys, 1);
    atls_cbor_put_tag(&t->keys, ATLS_TAG_PKIX_KEY);
    atls_cbor_put_text_bytes(&t->keys, atls_buf_bytes(&pem));
    t->key_count++;
    atls_buf_clear(&pem);
    return ATLS_OK;
}

/* Names of hashes in a template. */
static const struct {
    const char *name;
    enum atls_hash hash;
} banks[] = {
    {"sha256", ATLS_HASH_SHA256}, {"sha384", ATLS_HASH_SHA384}, {"sha512", ATLS_HASH_SHA512}};
static const char *const bank_names[] = {"sha256", "sha384", "sha512", NULL};

/* A PCR index, or a name. */
static enum atls_code get_mkey(const struct store_json *at, const struct template *t,
                               struct atls_mkey *out, struct atls_err *err)
{
    size_t len = strlen(at->key);
    unsigned long pcr;

    memset(out, 0, sizeof *out);
    if (strcmp(t->profile->name, "soft") == 0) {
        out->kind = ATLS_MKEY_TEXT;
        out->bytes = atls_bytes_of(at->key, len);
        return len != 0 ? ATLS_OK : store_json_fail(at, err, "a measurement without a name");
    }
    pcr = strtoul(at->key, NULL, 10);
    if (len == 0 || len > 2 || strspn(at->key, "0123456789") != len || pcr > PCR_LAST ||
        (len == 2 && at->key[0] == '0'))
        return store_json_fail(at, err, "not a PCR index of 0 to 23");
    out->kind = ATLS_MKEY_UINT;
    out->number = pcr;
    return ATLS_OK;
}

static enum atls_code put_measurement(struct atls_writer *w, const struct store_json *at,
                                      const struct atls_mkey *mkey, enum atls_hash bank,
                                      struct atls_err *err)
{
    uint8_t digest[ATLS_HASH_MAX];
    enum atls_code code;

    if ((code = store_json_hex(at, digest, atls_hash_len(bank), err)) != ATLS_OK)
        return code;
    atls_cbor_put_map(w, 2);
    atls_cbor_put_uint(w, 0);
    if (mkey->kind == ATLS_MKEY_UINT)
        atls_cbor_put_uint(w, mkey->number);
    else
        atls_cbor_put_text_bytes(w, mkey->bytes);
    atls_cbor_put_uint(w, 1);
    atls_cbor_put_map(w, 1);
    atls_cbor_put_uint(w, 2);
    atls_cbor_put_array(w, 1);
    atls_cbor_put_array(w, 2);
    atls_cbor_put_int(w, atls_named_hash_of(bank)->number);
    atls_cbor_put_bytes(w, atls_bytes_of(digest, atls_hash_len(bank)));
    return ATLS_OK;
}

static void put_reference(struct template *t, struct atls_bytes measurements, size_t count)
{
    atls_cbor_put_array(&t->references, 2);
    put_environment(&t->references, t, atls_bytes_of(NULL, 0));
    atls_cbor_put_array(&t->references, count);
    atls_put_bytes(&t->references, measurements);
    t->reference_count++;
}

/* Alternatives for one measurement: a triple each, because the measurements of one triple hold
 * together. */
static enum atls_code put_alternatives(const struct store_json *list, struct template *t,
                                       const struct atls_mkey *mkey, enum atls_hash bank,
                                       struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    if (json_array_size(list->value) == 0)
        return store_json_fail(list, err, "no value");
    for (size_t i = 0; i < json_array_size(list->value) && code == ATLS_OK; i++) {
        const struct store_json at = store_json_element(list, i);
        struct atls_writer w = atls_writer_init(1024);

        if ((code = put_measurement(&w, &at, mkey, bank, err)) == ATLS_OK)
            put_reference(t, atls_writer_bytes(&w), 1);
        if (code == ATLS_OK && w.failed != ATLS_OK)
            code = store_json_fail(&at, err, "name too long");
        atls_writer_clear(&w);
    }
    return code;
}

/* One bank: all measurements of one value make one triple. */
static enum atls_code put_bank(const struct store_json *bank_at, struct template *t,
                               enum atls_hash bank, struct atls_err *err)
{
    struct atls_writer single = atls_writer_init(ATLS_CORIM_MAX);
    enum atls_code code = ATLS_OK;
    struct atls_mkey mkey;
    size_t count = 0;

    if (!json_is_object(bank_at->value) || json_object_size(bank_at->value) == 0)
        return store_json_fail(bank_at, err, "not an object with members");
    for (void *iter = json_object_iter((json_t *)(uintptr_t)bank_at->value);
         iter != NULL && code == ATLS_OK;
         iter = json_object_iter_next((json_t *)(uintptr_t)bank_at->value, iter)) {
        const struct store_json at = {bank_at, json_object_iter_key(iter), 0,
                                      json_object_iter_value(iter)};

        if ((code = get_mkey(&at, t, &mkey, err)) != ATLS_OK)
            break;
        if (json_is_array(at.value)) {
            code = put_alternatives(&at, t, &mkey, bank, err);
        } else {
            code = put_measurement(&single, &at, &mkey, bank, err);
            count++;
        }
    }
    if (code == ATLS_OK && single.failed != ATLS_OK)
        code = atls_fail(err, single.failed, "CoRIM: too large, or out of memory");
    if (code == ATLS_OK && count != 0)
        put_reference(t, atls_writer_bytes(&single), count);
    atls_writer_clear(&single);
    return code;
}

static void put_named_triple(void *arg, struct atls_bytes measurements, size_t count)
{
    put_reference(arg, measurements, count);
}

static enum atls_code put_references(const struct store_json *root, struct template *t,
                                     struct atls_err *err)
{
    const struct store_json at = store_json_member(root, "reference-values");
    const struct store_named_values named = {t->profile, atls_bytes_of(t->class_id, t->class_len),
                                             put_named_triple, t};
    enum atls_code code;

    if (at.value == NULL)
        return ATLS_OK;
    if (t->profile->fields != NULL)
        return store_template_put_named(&named, &at, err);
    if ((code = store_json_object(&at, bank_names, err)) != ATLS_OK)
        return code;
    for (size_t i = 0; i < sizeof banks / sizeof banks[0] && code == ATLS_OK; i++) {
        const struct store_json bank = store_json_member(&at, banks[i].name);

        if (bank.value != NULL)
            code = put_bank(&bank, t, banks[i].hash, err);
    }
    return code;
}

/* ---- endorsements ---- */

/* [environment, measurements] of the class. */
static enum atls_code put_record(struct atls_writer *w, const struct template *t,
                                 const struct store_json *measurements, struct atls_err *err)
{
    atls_cbor_put_array(w, 2);
    put_environment(w, t, atls_bytes_of(NULL, 0));
    return store_template_put_measurements(w, measurements, err);
}

static enum atls_code put_endorsed(const struct store_json *root, struct template *t,
                                   struct atls_err *err)
{
    const struct store_json at = store_json_member(root, "endorsed-values");

    if (at.value == NULL)
        return ATLS_OK;
    t->endorsed_count = 1;
    return put_record(&t->endorsed, t, &at, err);
}

/* {"conditions": [...], "additions": [...]} */
static enum atls_code put_conditional(const struct store_json *at, struct template *t,
                                      struct atls_err *err)
{
    static const char *const names[] = {"conditions", "additions", NULL};
    const struct store_json conditions = store_json_member(at, "conditions"),
                            additions = store_json_member(at, "additions");
    struct atls_writer *w = &t->conditionals;
    enum atls_code code;

    if ((code = store_json_object(at, names, err)) != ATLS_OK)
        return code;
    atls_cbor_put_array(w, 2);
    atls_cbor_put_array(w, 1);
    if ((code = put_record(w, t, &conditions, err)) != ATLS_OK)
        return code;
    atls_cbor_put_array(w, 1);
    t->conditional_count++;
    return put_record(w, t, &additions, err);
}

/* {"selection": [...], "addition": [...]} */
static enum atls_code put_series_entry(const struct store_json *at, struct atls_writer *w,
                                       struct atls_err *err)
{
    static const char *const names[] = {"selection", "addition", NULL};
    const struct store_json selection = store_json_member(at, "selection"),
                            addition = store_json_member(at, "addition");
    enum atls_code code;

    if ((code = store_json_object(at, names, err)) != ATLS_OK)
        return code;
    atls_cbor_put_array(w, 2);
    if ((code = store_template_put_measurements(w, &selection, err)) != ATLS_OK)
        return code;
    return store_template_put_measurements(w, &addition, err);
}

/* {"conditions"?: [...], "series": [...]} */
static enum atls_code put_one_series(const struct store_json *at, struct template *t,
                                     struct atls_err *err)
{
    static const char *const names[] = {"conditions", "series", NULL};
    const struct store_json conditions = store_json_member(at, "conditions");
    struct atls_writer *w = &t->series;
    struct store_json list, entry;
    enum atls_code code;
    size_t count;

    if ((code = store_json_object(at, names, err)) != ATLS_OK ||
        (code = store_json_array(at, "series", &list, &count, err)) != ATLS_OK)
        return code;
    if (count == 0)
        return store_json_fail(at, err, "no series");
    atls_cbor_put_array(w, 2);
    atls_cbor_put_array(w, 2);
    put_environment(w, t, atls_bytes_of(NULL, 0));
    if (conditions.value == NULL)
        atls_cbor_put_array(w, 0);
    else if ((code = store_template_put_measurements(w, &conditions, err)) != ATLS_OK)
        return code;
    atls_cbor_put_array(w, count);
    for (size_t i = 0; i < count && code == ATLS_OK; i++) {
        entry = store_json_element(&list, i);
        code = put_series_entry(&entry, w, err);
    }
    t->series_count++;
    return code;
}

/* Every element of an optional array. */
static enum atls_code put_each(const struct store_json *root, const char *name, struct template *t,
                               enum atls_code (*put)(const struct store_json *at,
                                                     struct template *t, struct atls_err *err),
                               struct atls_err *err)
{
    struct store_json list, element;
    enum atls_code code;
    size_t count;

    if ((code = store_json_array(root, name, &list, &count, err)) != ATLS_OK)
        return code;
    for (size_t i = 0; i < count && code == ATLS_OK; i++) {
        element = store_json_element(&list, i);
        code = put(&element, t, err);
    }
    return code;
}

/* ---- the document ---- */

/* How instances are written: their octets are the same. */
static enum atls_code get_instance_form(const struct store_json *root, struct template *t,
                                        struct atls_err *err)
{
    const struct store_json at = store_json_member(root, "instance-form");
    const char *form;
    enum atls_code code;

    if ((code = store_json_text(root, "instance-form", STORE_JSON_OPTIONAL, &form, err)) != ATLS_OK)
        return code;
    t->instance_is_bytes = form != NULL && strcmp(form, "bytes") == 0;
    if (form != NULL && !t->instance_is_bytes && strcmp(form, "ueid") != 0)
        return store_json_fail(&at, err, "neither \"ueid\" nor \"bytes\"");
    return ATLS_OK;
}

static const char *class_rule(const struct store_template_profile *profile)
{
    return profile->class_form == STORE_CLASS_IMPLEMENTATION
               ? "not an implementation id of 64 hexadecimal digits"
           : profile->class_form == STORE_CLASS_RIM
               ? "not a realm's initial measurement of 64, 96 or 128 hexadecimal digits"
           : profile->class_form == STORE_CLASS_SNP ? "neither \"vcek\", \"vlek\" nor a UUID"
                                                    : "not a UUID";
}

/* What the template is of, and its class. */
static enum atls_code get_profile(const struct store_json *root, struct template *t,
                                  struct atls_err *err)
{
    const struct store_json profile_at = store_json_member(root, "profile"),
                            class_at = store_json_member(root, "class");
    const char *profile, *class_text;
    enum store_json_need need = STORE_JSON_REQUIRED;
    enum atls_code code;

    if ((code = store_json_text(root, "profile", STORE_JSON_OPTIONAL, &profile, err)) != ATLS_OK)
        return code;
    t->profile = store_template_profile_by_name(profile != NULL ? profile : "tpm");
    if (t->profile == NULL)
        return store_json_fail(&profile_at, err,
                               "none of \"tpm\", \"soft\", \"snp\", \"tdx\", \"cca-platform\", "
                               "\"cca-realm\" and \"psa\"");
    if (t->profile->class_form == STORE_CLASS_SNP || t->profile->class_form == STORE_CLASS_TD)
        need = STORE_JSON_OPTIONAL;
    if ((code = store_json_text(root, "class", need, &class_text, err)) != ATLS_OK)
        return code;
    if (!store_template_class(t->profile, class_text, t->class_id, &t->class_len))
        return store_json_fail(&class_at, err, class_rule(t->profile));
    /* AMD's profile knows two classes; with one of the deployment's own there is none. */
    if (t->profile->class_form != STORE_CLASS_SNP || t->class_len != STORE_UUID_CLASS_ID)
        t->uri = t->profile->uri;
    return ATLS_OK;
}

static enum atls_code get_head(const struct store_json *root, struct template *t,
                               struct atls_err *err)
{
    static const char *const names[] = {"id",
                                        "tag-id",
                                        "profile",
                                        "class",
                                        "vendor",
                                        "model",
                                        "instance-form",
                                        "not-before",
                                        "not-after",
                                        "attest-keys",
                                        "reference-values",
                                        "endorsed-values",
                                        "conditional-endorsements",
                                        "conditional-series",
                                        NULL};
    enum atls_code code;

    if ((code = store_json_object(root, names, err)) != ATLS_OK ||
        (code = store_json_text(root, "id", STORE_JSON_REQUIRED, &t->id, err)) != ATLS_OK ||
        (code = store_json_text(root, "tag-id", STORE_JSON_REQUIRED, &t->tag_id, err)) != ATLS_OK ||
        (code = store_json_text(root, "vendor", STORE_JSON_OPTIONAL, &t->vendor, err)) != ATLS_OK ||
        (code = store_json_text(root, "model", STORE_JSON_OPTIONAL, &t->model, err)) != ATLS_OK)
        return code;
    if ((code = get_profile(root, t, err)) != ATLS_OK)
        return code;
    if ((code = get_instance_form(root, t, err)) != ATLS_OK)
        return code;
    return get_validity(root, t, err);
}

/* One list of triples, when there are any. */
static void put_list(struct atls_writer *w, enum atls_comid_triple kind, size_t count,
                     const struct atls_writer *list)
{
    if (count == 0)
        return;
    atls_cbor_put_uint(w, (uint64_t)kind);
    atls_cbor_put_array(w, count);
    atls_put_bytes(w, atls_writer_bytes(list));
}

static void put_triples(struct atls_writer *w, const struct template *t)
{
    atls_cbor_put_map(w, (uint64_t)(t->reference_count != 0) + (t->endorsed_count != 0) +
                             (t->key_count != 0) + (t->series_count != 0) +
                             (t->conditional_count != 0));
    put_list(w, ATLS_TRIPLE_REFERENCE, t->reference_count, &t->references);
    put_list(w, ATLS_TRIPLE_ENDORSED, t->endorsed_count, &t->endorsed);
    put_list(w, ATLS_TRIPLE_ATTEST_KEY, t->key_count, &t->keys);
    put_list(w, ATLS_TRIPLE_CONDITIONAL_SERIES, t->series_count, &t->series);
    put_list(w, ATLS_TRIPLE_CONDITIONAL, t->conditional_count, &t->conditionals);
}

static void put_corim(struct atls_writer *w, const struct template *t, struct atls_bytes comid)
{
    const struct atls_corim_validity *v = &t->validity;

    atls_cbor_put_tag(w, ATLS_TAG_CORIM);
    atls_cbor_put_map(w, 2u + (t->uri != NULL) + v->has_not_after);
    atls_cbor_put_uint(w, 0);
    atls_cbor_put_text(w, t->id);
    atls_cbor_put_uint(w, 1);
    atls_cbor_put_array(w, 1);
    atls_cbor_put_tag(w, ATLS_TAG_COMID);
    atls_cbor_put_bytes(w, comid);
    if (t->uri != NULL) {
        atls_cbor_put_uint(w, 3);
        atls_cbor_put_tag(w, ATLS_TAG_URI);
        atls_cbor_put_text(w, t->uri);
    }
    if (!v->has_not_after)
        return;
    atls_cbor_put_uint(w, 4);
    atls_cbor_put_map(w, 1u + v->has_not_before);
    if (v->has_not_before) {
        atls_cbor_put_uint(w, 0);
        atls_cbor_put_tag(w, TAG_EPOCH);
        atls_cbor_put_int(w, v->not_before_s);
    }
    atls_cbor_put_uint(w, 1);
    atls_cbor_put_tag(w, TAG_EPOCH);
    atls_cbor_put_int(w, v->not_after_s);
}

/* Writes the whole, and reads it again: what was made must be what is taken, limits included. */
static enum atls_code encode(const struct template *t, struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer comid = atls_writer_init(ATLS_CORIM_MAX),
                       w = atls_writer_init(ATLS_CORIM_MAX);
    struct atls_buf text = ATLS_BUF_INIT;
    struct atls_corim decoded;
    enum atls_code code;

    atls_cbor_put_map(&comid, 2);
    atls_cbor_put_uint(&comid, 1);
    atls_cbor_put_map(&comid, 1);
    atls_cbor_put_uint(&comid, 0);
    atls_cbor_put_text(&comid, t->tag_id);
    atls_cbor_put_uint(&comid, 4);
    put_triples(&comid, t);
    put_corim(&w, t, atls_writer_bytes(&comid));
    if (comid.failed != ATLS_OK)
        w.failed = comid.failed;
    atls_writer_clear(&comid);
    if ((code = atls_writer_finish(&w, &text, err)) != ATLS_OK)
        return code;
    if ((code = atls_corim_decode(atls_buf_bytes(&text), &decoded, err)) == ATLS_OK) {
        code = atls_corim_profile_check(&decoded, NULL, err);
        atls_corim_clear(&decoded);
    }
    if (code != ATLS_OK) {
        atls_buf_clear(&text);
        return code;
    }
    *out = text;
    return ATLS_OK;
}

static enum atls_code create(const struct store_json *root, struct template *t,
                             struct atls_buf *out, struct atls_err *err)
{
    enum atls_code code;

    if ((code = get_head(root, t, err)) != ATLS_OK ||
        (code = put_references(root, t, err)) != ATLS_OK ||
        (code = put_endorsed(root, t, err)) != ATLS_OK ||
        (code = put_each(root, "attest-keys", t, put_key, err)) != ATLS_OK ||
        (code = put_each(root, "conditional-series", t, put_one_series, err)) != ATLS_OK ||
        (code = put_each(root, "conditional-endorsements", t, put_conditional, err)) != ATLS_OK)
        return code;
    if (t->reference_count == 0 && t->key_count == 0 && t->endorsed_count == 0 &&
        t->series_count == 0 && t->conditional_count == 0)
        return store_json_fail(root, err,
                               "neither attest-keys nor reference-values nor endorsements");
    if (t->references.failed != ATLS_OK || t->endorsed.failed != ATLS_OK ||
        t->keys.failed != ATLS_OK || t->series.failed != ATLS_OK ||
        t->conditionals.failed != ATLS_OK)
        return atls_fail(err, ATLS_E_LIMIT, "CoRIM: too large, or out of memory");
    return encode(t, out, err);
}

enum atls_code atls_corim_create(struct atls_bytes template_json, struct atls_buf *out,
                                 struct atls_err *err)
{
    struct store_json root = {NULL, NULL, 0, NULL};
    struct template t;
    enum atls_code code;
    json_t *document;

    if ((code = store_json_load(template_json, TEMPLATE_MAX, &document, err)) != ATLS_OK)
        return code;
    memset(&t, 0, sizeof t);
    t.references = t.endorsed = t.keys = t.series = t.conditionals =
        atls_writer_init(ATLS_CORIM_MAX);
    root.value = document;
    code = create(&root, &t, out, err);
    atls_writer_clear(&t.references);
    atls_writer_clear(&t.endorsed);
    atls_writer_clear(&t.keys);
    atls_writer_clear(&t.series);
    atls_writer_clear(&t.conditionals);
    json_decref(document);
    return code;
}
