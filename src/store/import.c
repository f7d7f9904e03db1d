#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <atls/corim.h>
#include <atls/limits.h>

#include "core/err.h"
#include "core/log.h"
#include "core/reader.h"
#include "store/db.h"
#include "store/manifest.h"
#include "wire/corim.h"
#include "wire/kat.h"
#include "wire/tpm.h"

/* Certificates of one PEM text: the bundle of all TPM makers has some hundreds. */
#define ANCHORS_MAX 2048
#define UEID_MIN    7
#define UEID_MAX    33
#define LABEL_MAX   127

/* ---- anchors ---- */

/* On file already: with the same class fine, with another one somebody has to decide. */
static enum atls_code check_anchor(struct atls_store *s, const struct store_anchor *anchor,
                                   bool *out_there, struct atls_err *err)
{
    char on_file[64];
    struct store_query q;
    enum atls_code code;

    if ((code = store_query(s, SQL_ANCHOR_GET_CLASS, &q, err)) != ATLS_OK)
        return code;
    store_bind_int(&q, 1, anchor->purpose);
    store_bind_bytes(&q, 2, anchor->der);
    if ((code = store_step(&q, out_there, err)) != ATLS_OK)
        return code;
    if (*out_there && !atls_bytes_equal(store_column(&q, 0), anchor->class_id)) {
        store_class_text(store_column(&q, 0), on_file, sizeof on_file);
        code = atls_fail(err, ATLS_E_CONFIG, "anchor: on file already for %s%s: remove it first",
                         on_file[0] == '\0' ? "no class" : "class ", on_file);
    } else if (*out_there && (!atls_bytes_equal(store_column(&q, 1), anchor->vendor) ||
                              !atls_bytes_equal(store_column(&q, 2), anchor->model))) {
        code = atls_fail(err, ATLS_E_CONFIG,
                         "anchor: on file already for another vendor or model: remove it first");
    }
    store_end(&q);
    return code;
}

enum atls_code store_put_anchor(struct atls_store *s, const struct store_anchor *anchor,
                                bool *out_new, struct atls_err *err)
{
    struct store_query q;
    enum atls_code code;
    bool there;

    if ((code = check_anchor(s, anchor, &there, err)) != ATLS_OK)
        return code;
    *out_new = !there;
    if (there)
        return ATLS_OK;
    if ((code = store_query(s, SQL_ANCHOR_PUT, &q, err)) != ATLS_OK)
        return code;
    store_bind_int(&q, 1, anchor->purpose);
    store_bind_bytes(&q, 2, anchor->der);
    store_bind_bytes(&q, 3, anchor->class_id);
    store_bind_text(&q, 4, anchor->vendor);
    store_bind_text(&q, 5, anchor->model);
    return store_run(&q, err);
}

/* One DER certificate, or PEM: DER begins with a SEQUENCE, which is no character of PEM text. */
static enum atls_code split_certificates(struct atls_bytes in, struct atls_buf *out,
                                         size_t *out_count, struct atls_err *err)
{
    enum atls_code code;

    if (in.len == 0)
        return atls_fail(err, ATLS_E_DECODE, "anchors: no certificate");
    if (in.ptr[0] != 0x30)
        return atls_certificates_from_pem(in, out, ANCHORS_MAX, out_count, err);
    if ((code = atls_buf_copy(&out[0], in, err)) == ATLS_OK)
        *out_count = 1;
    return code;
}

/* A certificate that cannot become an anchor later must be refused now. */
static enum atls_code check_certificates(const struct atls_buf *certificates, size_t count,
                                         struct atls_err *err)
{
    struct atls_anchors *anchors;
    enum atls_code code;

    if (count == 0)
        return atls_fail(err, ATLS_E_DECODE, "anchors: no certificate");
    if ((code = atls_anchors_new(&anchors, err)) != ATLS_OK)
        return code;
    for (size_t i = 0; i < count && code == ATLS_OK; i++)
        code = atls_anchors_add_der(anchors, atls_buf_bytes(&certificates[i]), err);
    atls_anchors_unref(anchors);
    return code;
}

static enum atls_code put_anchors(struct atls_store *s, const struct store_anchor *as,
                                  const struct atls_buf *certificates, size_t count,
                                  size_t *out_new, struct atls_err *err)
{
    struct store_anchor anchor = *as;
    enum atls_code code = ATLS_OK;
    size_t added = 0;
    bool is_new;

    for (size_t i = 0; i < count && code == ATLS_OK; i++) {
        anchor.der = atls_buf_bytes(&certificates[i]);
        code = store_put_anchor(s, &anchor, &is_new, err);
        if (code == ATLS_OK && is_new)
            added++;
    }
    *out_new = added;
    return code;
}

static struct atls_bytes text_or_empty(const char *text)
{
    return text == NULL ? atls_bytes_of("", 0) : atls_bytes_of(text, strlen(text));
}

enum atls_code store_anchor_of(const struct atls_store_anchor_options *as,
                               uint8_t class_bytes[STORE_UUID_CLASS_ID], struct store_anchor *out,
                               struct atls_err *err)
{
    struct store_anchor anchor = {.purpose = as->purpose,
                                  .vendor = text_or_empty(as->vendor),
                                  .model = text_or_empty(as->model)};

    if (store_purpose_name(as->purpose) == NULL)
        return atls_fail(err, ATLS_E_USAGE, "anchors: no such purpose");
    if (as->class_uuid == NULL && (anchor.vendor.len != 0 || anchor.model.len != 0))
        return atls_fail(err, ATLS_E_CONFIG, "anchors: vendor and model are of a class: which?");
    if (anchor.vendor.len > LABEL_MAX || anchor.model.len > LABEL_MAX)
        return atls_fail(err, ATLS_E_CONFIG, "anchors: vendor and model have at most %d bytes",
                         LABEL_MAX);
    if (as->class_uuid != NULL) {
        if (!store_class_from_uuid(as->class_uuid, class_bytes))
            return atls_fail(err, ATLS_E_CONFIG, "anchors: the class is not a UUID");
        anchor.class_id = atls_bytes_of(class_bytes, STORE_UUID_CLASS_ID);
    }
    *out = anchor;
    return ATLS_OK;
}

enum atls_code atls_store_import_anchors_as(struct atls_store *s, struct atls_bytes certificates,
                                            const struct atls_store_anchor_options *as,
                                            size_t *out_count, struct atls_err *err)
{
    uint8_t class_bytes[STORE_UUID_CLASS_ID];
    struct store_anchor anchor;
    struct atls_buf *ders;
    enum atls_code code;
    size_t count = 0, added = 0;

    if ((code = store_anchor_of(as, class_bytes, &anchor, err)) != ATLS_OK)
        return code;
    if ((ders = calloc(ANCHORS_MAX, sizeof *ders)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "anchors: out of memory");
    if ((code = split_certificates(certificates, ders, &count, err)) == ATLS_OK &&
        (code = check_certificates(ders, count, err)) == ATLS_OK) {
        store_lock(s);
        if ((code = store_begin(s, err)) == ATLS_OK)
            code = store_finish(s, put_anchors(s, &anchor, ders, count, &added, err), err);
        store_unlock(s);
    }
    for (size_t i = 0; i < count; i++)
        atls_buf_clear(&ders[i]);
    free(ders);
    if (code == ATLS_OK && out_count != NULL)
        *out_count = added;
    return code;
}

enum atls_code atls_store_import_anchors(struct atls_store *s, enum atls_anchor_purpose purpose,
                                         struct atls_bytes certificates, const char *class_uuid,
                                         size_t *out_count, struct atls_err *err)
{
    const struct atls_store_anchor_options as = {.purpose = purpose, .class_uuid = class_uuid};

    return atls_store_import_anchors_as(s, certificates, &as, out_count, err);
}

/* ---- attestation keys ---- */

/* A key as it goes into the table; manifest 0: enrolled on its own. */
struct key_row {
    int64_t manifest;
    struct atls_bytes instance, spki, public_area, class_id;
    struct atls_bytes vendor, model, label;
};

/* One instance, one key, one class: another would make the look-up ambiguous. */
static enum atls_code check_conflict(struct atls_store *s, const struct key_row *row,
                                     struct atls_err *err)
{
    char instance[2 * UEID_MAX + 1], label[LABEL_MAX + 1];
    struct store_query q;
    enum atls_code code;
    bool conflict;

    if ((code = store_query(s, SQL_KEY_CONFLICT, &q, err)) != ATLS_OK)
        return code;
    store_bind_bytes(&q, 1, row->instance);
    store_bind_bytes(&q, 2, row->spki);
    store_bind_bytes(&q, 3, row->class_id);
    if ((code = store_step(&q, &conflict, err)) != ATLS_OK)
        return code;
    if (conflict) {
        bool enrolled = store_column_is_null(&q, 1);
        struct atls_bytes name = store_column(&q, 1);

        atls_escape(store_column(&q, 2), label, sizeof label);
        code = atls_fail(err, ATLS_E_CONFIG,
                         "attestation key: instance %s has another %s on file, from %s %.*s",
                         atls_hex(row->instance, instance, sizeof instance),
                         store_column_int(&q, 0) != 0 ? "key" : "class",
                         enrolled ? "the enrolment of" : "manifest",
                         enrolled ? (int)strlen(label) : (int)name.len,
                         enrolled ? label : (const char *)name.ptr);
    }
    store_end(&q);
    return code;
}

static void bind_manifest(struct store_query *q, int at, int64_t manifest)
{
    if (manifest == 0)
        store_bind_null(q, at);
    else
        store_bind_int(q, at, manifest);
}

static enum atls_code put_key_row(struct atls_store *s, const struct key_row *row,
                                  struct atls_err *err)
{
    struct store_query q;
    enum atls_code code;

    if ((code = store_query(s, SQL_KEY_PUT, &q, err)) != ATLS_OK)
        return code;
    bind_manifest(&q, 1, row->manifest);
    store_bind_bytes(&q, 2, row->instance);
    store_bind_bytes(&q, 3, row->spki);
    store_bind_bytes(&q, 4, row->public_area);
    store_bind_bytes(&q, 5, row->class_id);
    store_bind_text(&q, 6, row->vendor);
    store_bind_text(&q, 7, row->model);
    store_bind_text(&q, 8, row->label);
    return store_run(&q, err);
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

    if (key->instance.len < UEID_MIN || key->instance.len > UEID_MAX)
        return atls_fail(err, ATLS_E_CONFIG,
                         "attestation key: the instance has %zu bytes, a UEID %d to %d",
                         key->instance.len, UEID_MIN, UEID_MAX);
    if (label.len > LABEL_MAX)
        return atls_fail(err, ATLS_E_CONFIG, "attestation key: the label has %zu bytes, at most %d",
                         label.len, LABEL_MAX);
    if ((code = atls_key_from_spki(key->spki, &parsed, err)) != ATLS_OK)
        return atls_err_prefix(err, code, "attestation key");
    atls_key_unref(parsed);
    return key->public_area.len == 0 ? ATLS_OK : check_public_area(key, err);
}

enum atls_code store_put_attest_key(struct atls_store *s, const struct atls_store_attest_key *key,
                                    struct atls_err *err)
{
    struct key_row row = {.instance = key->instance,
                          .spki = key->spki,
                          .public_area = key->public_area,
                          .vendor = text_or_empty(key->vendor),
                          .model = text_or_empty(key->model),
                          .label = text_or_empty(key->label)};
    uint8_t class_id[STORE_UUID_CLASS_ID];
    struct store_query q;
    enum atls_code code;

    if ((code = check_attest_key(key, err)) != ATLS_OK)
        return code;
    if (key->class_uuid != NULL) {
        if (!store_class_from_uuid(key->class_uuid, class_id))
            return atls_fail(err, ATLS_E_CONFIG, "attestation key: the class is not a UUID");
        row.class_id = atls_bytes_of(class_id, sizeof class_id);
    }
    if ((code = check_conflict(s, &row, err)) != ATLS_OK ||
        (code = store_query(s, SQL_KEY_REPLACE, &q, err)) != ATLS_OK)
        return code;
    store_bind_bytes(&q, 1, row.instance);
    if ((code = store_run(&q, err)) != ATLS_OK)
        return code;
    return put_key_row(s, &row, err);
}

enum atls_code atls_store_add_attest_key(struct atls_store *s,
                                         const struct atls_store_attest_key *key,
                                         struct atls_err *err)
{
    enum atls_code code;

    store_lock(s);
    if ((code = store_begin(s, err)) == ATLS_OK)
        code = store_finish(s, store_put_attest_key(s, key, err), err);
    store_unlock(s);
    return code;
}

/* ---- manifests ---- */

static enum atls_code against_profile(struct atls_err *err, const char *rule)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "CoRIM: %s", rule);
}

/* What a profile demands of a reference triple beyond the base rules. */
typedef enum atls_code check_measurement(const struct atls_measurement *m, struct atls_err *err);

static enum atls_code check_tpm_measurement(const struct atls_measurement *m, struct atls_err *err)
{
    enum { PCR_LAST = 23 };

    if (m->mkey.kind != ATLS_MKEY_UINT || m->mkey.number > PCR_LAST)
        return against_profile(err, "TPM profile: mkey is not a PCR index of 0 to 23");
    if ((m->mval.present & ATLS_MVAL_DIGESTS) == 0)
        return against_profile(err, "TPM profile: a PCR has no digests");
    return ATLS_OK;
}

static enum atls_code check_soft_measurement(const struct atls_measurement *m, struct atls_err *err)
{
    if (m->mkey.kind != ATLS_MKEY_TEXT || m->mkey.bytes.len == 0)
        return against_profile(err, "software profile: mkey is not a name");
    if ((m->mval.present & ATLS_MVAL_DIGESTS) == 0)
        return against_profile(err, "software profile: a measurement has no digests");
    return ATLS_OK;
}

/* Without a profile (check NULL) a triple that appraisal cannot use is skipped; with one it is
 * refused. */
static const struct profile {
    const char *uri;
    check_measurement *check;
} profiles[] = {
    {NULL, NULL},
    {ATLS_CORIM_TPM_PROFILE, check_tpm_measurement},
    {ATLS_SOFT_PROFILE, check_soft_measurement},
};

static const struct profile *find_profile(const struct atls_corim *corim)
{
    if (corim->profile.ptr == NULL)
        return &profiles[0];
    for (size_t i = 1; i < sizeof profiles / sizeof profiles[0]; i++)
        if (corim->profile_uri.ptr != NULL &&
            atls_bytes_equal_text(corim->profile_uri, profiles[i].uri))
            return &profiles[i];
    return NULL;
}

/* One import under way. */
struct import {
    struct atls_store *store;
    const struct profile *profile;
    int64_t manifest; /* row id */
    struct atls_store_import_report report;
};

static bool has_tag(struct atls_bytes item, uint64_t tag)
{
    struct atls_bytes content;
    uint64_t found;

    return item.ptr != NULL && atls_tagged_bytes(item, &found, &content) && found == tag;
}

static enum atls_code put_reference(struct import *im, const struct atls_corim_reference *ref,
                                    struct atls_err *err)
{
    struct store_query q;
    enum atls_code code;

    if (im->profile->check != NULL) {
        if (!has_tag(ref->environment.class_id, ATLS_TAG_UUID))
            return against_profile(err, "profile: class-id of a reference triple is not a UUID");
        for (size_t i = 0; i < ref->count; i++)
            if ((code = im->profile->check(&ref->measurements[i], err)) != ATLS_OK)
                return code;
    } else if (ref->environment.class_id.ptr == NULL) {
        im->report.skipped++;
        return ATLS_OK;
    }
    if ((code = store_query(im->store, SQL_REFERENCE_PUT, &q, err)) != ATLS_OK)
        return code;
    store_bind_int(&q, 1, im->manifest);
    store_bind_bytes(&q, 2, ref->environment.class_id);
    store_bind_bytes(&q, 3, ref->environment_item);
    store_bind_bytes(&q, 4, ref->measurements_item);
    if ((code = store_run(&q, err)) == ATLS_OK)
        im->report.reference_values += ref->count;
    return code;
}

/* UEID bytes of an instance: tag 550, or 560 as older tools write it. */
static bool get_ueid(struct atls_bytes instance, struct atls_bytes *out)
{
    uint64_t tag;

    return instance.ptr != NULL && atls_tagged_bytes(instance, &tag, out) &&
           (tag == ATLS_TAG_UEID || tag == ATLS_TAG_BYTES) && out->len >= UEID_MIN &&
           out->len <= UEID_MAX;
}

/* NULL, or why an attest-key triple is not one that appraisal can use. */
static const char *unusable(const struct atls_corim_attest_key *key, struct atls_bytes *out_ueid)
{
    if (!get_ueid(key->environment.instance, out_ueid))
        return "attest-key triple without an instance that is a UEID (tag 550 or 560)";
    if (!has_tag(key->environment.class_id, ATLS_TAG_UUID))
        return "attest-key triple whose class-id is not a UUID";
    if (key->count != 1)
        return "attest-key triple with several keys";
    if (key->keys[0].tag != ATLS_TAG_PKIX_KEY)
        return "attest-key triple whose key is not a SubjectPublicKeyInfo (tag 554)";
    if (key->conditional)
        return "attest-key triple with conditions";
    return NULL;
}

/* A PEM text that holds a certificate would be taken for a key otherwise. */
static enum atls_code parse_key(struct atls_bytes pem, struct atls_key **out, struct atls_err *err)
{
    static const char label[] = "-----BEGIN PUBLIC KEY-----";

    if (pem.len < sizeof label - 1 || memcmp(pem.ptr, label, sizeof label - 1) != 0)
        return against_profile(err,
                               "attestation key does not begin with -----BEGIN PUBLIC KEY-----");
    return atls_key_from_pem(pem, out, err);
}

static enum atls_code is_there(struct import *im, struct atls_bytes instance, bool *out,
                               struct atls_err *err)
{
    struct store_query q;
    enum atls_code code;

    if ((code = store_query(im->store, SQL_KEY_SAME, &q, err)) != ATLS_OK)
        return code;
    store_bind_int(&q, 1, im->manifest);
    store_bind_bytes(&q, 2, instance);
    if ((code = store_step(&q, out, err)) == ATLS_OK)
        store_end(&q);
    return code;
}

static enum atls_code put_manifest_key(struct import *im, const struct atls_corim_attest_key *key,
                                       struct atls_err *err)
{
    struct key_row row = {.manifest = im->manifest,
                          .class_id = key->environment.class_id,
                          .vendor = key->environment.vendor,
                          .model = key->environment.model};
    const char *why = unusable(key, &row.instance);
    struct atls_key *parsed;
    enum atls_code code;
    bool there;

    if (why != NULL && im->profile->check != NULL)
        return against_profile(err, why);
    if (why != NULL) {
        im->report.skipped++;
        return ATLS_OK;
    }
    if ((code = parse_key(key->keys[0].content, &parsed, err)) != ATLS_OK)
        return code;
    row.spki = atls_key_spki(parsed);
    if ((code = check_conflict(im->store, &row, err)) == ATLS_OK &&
        (code = is_there(im, row.instance, &there, err)) == ATLS_OK && !there)
        code = put_key_row(im->store, &row, err);
    atls_key_unref(parsed);
    if (code == ATLS_OK)
        im->report.attest_keys++;
    return code;
}

/* Kinds of triples that the draft defines and no technology here uses. */
static bool is_skippable(int64_t kind)
{
    static const uint8_t kinds[] = {ATLS_TRIPLE_ENDORSED,   ATLS_TRIPLE_IDENTITY,
                                    ATLS_TRIPLE_DEPENDENCY, ATLS_TRIPLE_MEMBERSHIP,
                                    ATLS_TRIPLE_COSWID,     ATLS_TRIPLE_CONDITIONAL_SERIES,
                                    ATLS_TRIPLE_CONDITIONAL};

    for (size_t i = 0; i < sizeof kinds; i++)
        if (kind == kinds[i])
            return true;
    return false;
}

static enum atls_code put_comid(struct import *im, const struct atls_comid *m, struct atls_err *err)
{
    enum atls_code code;

    /* What we do not understand may narrow what we do. */
    if (m->unknown_members != 0)
        return atls_fail(err, ATLS_E_UNSUPPORTED, "CoRIM: CoMID with members that are not known");
    if (m->replaces)
        return atls_fail(err, ATLS_E_UNSUPPORTED,
                         "CoRIM: a tag replaces another: import it under the same manifest id, or "
                         "remove the older manifest by hand");
    for (size_t i = 0; i < m->other_count; i++) {
        if (!is_skippable(m->others[i].kind))
            return atls_fail(err, ATLS_E_UNSUPPORTED, "CoRIM: triples of unknown kind %lld",
                             (long long)m->others[i].kind);
        im->report.skipped += m->others[i].count;
    }
    im->report.skipped += m->endorsed_count + m->identity_count + m->series_count +
                          m->conditional_count + m->domain_count;
    for (size_t i = 0; i < m->reference_count; i++)
        if ((code = put_reference(im, &m->references[i], err)) != ATLS_OK)
            return code;
    for (size_t i = 0; i < m->attest_key_count; i++)
        if ((code = put_manifest_key(im, &m->attest_keys[i], err)) != ATLS_OK)
            return code;
    return ATLS_OK;
}

/* Id of a manifest as escaped text, whole: it names the manifest everywhere. */
static enum atls_code manifest_name(const struct atls_corim_id *id, char *out, size_t size,
                                    struct atls_err *err)
{
    char escaped[4 * sizeof((struct atls_store_import_report *)NULL)->manifest_id + 4];
    char uuid[STORE_UUID_TEXT];

    if (id->uuid.ptr != NULL) {
        snprintf(out, size, "%s", store_uuid_text(id->uuid.ptr, uuid));
        return ATLS_OK;
    }
    /* A name that was cut would stand for many. */
    if (id->text.len < size)
        atls_escape(id->text, escaped, sizeof escaped);
    if (id->text.len >= size || strlen(escaped) >= size)
        return atls_fail(err, ATLS_E_LIMIT, "CoRIM: id of %zu bytes, too long to name a manifest",
                         id->text.len);
    memcpy(out, escaped, strlen(escaped) + 1);
    return ATLS_OK;
}

static enum atls_code delete_manifest(struct atls_store *s, const char *name, struct atls_err *err)
{
    struct store_query q;
    enum atls_code code;
    bool row;

    if ((code = store_query(s, SQL_MANIFEST_DELETE, &q, err)) != ATLS_OK)
        return code;
    store_bind_text(&q, 1, text_or_empty(name));
    if ((code = store_step(&q, &row, err)) == ATLS_OK)
        store_end(&q);
    return code;
}

static void bind_time(struct store_query *q, int at, bool has, int64_t time_s)
{
    if (has)
        store_bind_int(q, at, time_s);
    else
        store_bind_null(q, at);
}

static enum atls_code put_manifest_row(struct import *im, const struct store_manifest *m,
                                       struct atls_bytes blob, struct atls_err *err)
{
    uint8_t digest[ATLS_HASH_MAX];
    struct store_query q;
    enum atls_code code;
    bool row;

    if ((code = atls_hash_one(ATLS_HASH_SHA256, blob, digest, err)) != ATLS_OK ||
        (code = store_query(im->store, SQL_MANIFEST_PUT, &q, err)) != ATLS_OK)
        return code;
    store_bind_text(&q, 1, text_or_empty(im->report.manifest_id));
    store_bind_bytes(&q, 2, atls_bytes_of(digest, 32));
    store_bind_text(&q, 3, text_or_empty(im->profile->uri));
    bind_time(&q, 4, m->validity.has_not_before, m->validity.not_before_s);
    bind_time(&q, 5, m->validity.has_not_after, m->validity.not_after_s);
    if (m->signer_spki.len == 0)
        store_bind_null(&q, 6);
    else
        store_bind_bytes(&q, 6, m->signer_spki);
    store_bind_bytes(&q, 7, blob);
    if ((code = store_step(&q, &row, err)) != ATLS_OK)
        return code;
    im->manifest = store_column_int(&q, 0);
    store_end(&q);
    return ATLS_OK;
}

static enum atls_code put_tags(struct import *im, const struct atls_corim *corim,
                               struct atls_err *err)
{
    enum atls_code code;

    for (size_t i = 0; i < corim->tag_count; i++) {
        if (corim->tags[i].comid == NULL)
            im->report.skipped++;
        else if ((code = put_comid(im, corim->tags[i].comid, err)) != ATLS_OK)
            return code;
    }
    return ATLS_OK;
}

static enum atls_code put_opened(struct import *im, const struct store_manifest *m,
                                 struct atls_bytes blob, struct atls_err *err)
{
    char profile[128];
    enum atls_code code;

    if ((im->profile = find_profile(&m->corim)) == NULL)
        return atls_fail(err, ATLS_E_UNSUPPORTED, "CoRIM: profile %s is not one that is known",
                         m->corim.profile_uri.ptr != NULL
                             ? atls_escape(m->corim.profile_uri, profile, sizeof profile)
                             : atls_hex(m->corim.profile, profile, sizeof profile));
    if (m->corim.unknown_members != 0)
        return atls_fail(err, ATLS_E_UNSUPPORTED, "CoRIM: members that are not known");
    if ((code = manifest_name(&m->corim.id, im->report.manifest_id, sizeof im->report.manifest_id,
                              err)) != ATLS_OK ||
        (code = delete_manifest(im->store, im->report.manifest_id, err)) != ATLS_OK ||
        (code = put_manifest_row(im, m, blob, err)) != ATLS_OK)
        return code;
    return put_tags(im, &m->corim, err);
}

enum atls_code store_put_manifest(struct atls_store *s, const struct store_manifest_import *import,
                                  struct atls_store_import_report *out, struct atls_err *err)
{
    struct import im;
    struct store_manifest m;
    enum atls_code code;

    memset(&im, 0, sizeof im);
    im.store = s;
    if ((code = store_manifest_open(import->corim, import->signer_spki,
                                    import->check_time ? &import->time_s : NULL, &m, err)) !=
        ATLS_OK)
        return code;
    code = put_opened(&im, &m, import->corim, err);
    atls_corim_clear(&m.corim);
    if (code == ATLS_OK)
        *out = im.report;
    return code;
}

enum atls_code atls_store_import_corim(struct atls_store *s, struct atls_bytes corim,
                                       struct atls_bytes signer_spki, int64_t time_s,
                                       struct atls_store_import_report *out, struct atls_err *err)
{
    const struct store_manifest_import import = {corim, signer_spki, true, time_s};
    struct atls_store_import_report report = {{0}, 0, 0, 0};
    enum atls_code code;

    store_lock(s);
    if ((code = store_begin(s, err)) == ATLS_OK)
        code = store_finish(s, store_put_manifest(s, &import, &report, err), err);
    store_unlock(s);
    if (code == ATLS_OK)
        *out = report;
    return code;
}
