#include <stdio.h>
#include <string.h>

#include "core/base64.h"
#include "core/err.h"
#include "core/json_writer.h"
#include "core/log.h"
#include "core/reader.h"
#include "core/secret.h"
#include "store/db.h"
#include "store/json.h"
#include "wire/corim_triples.h"

/* A store as text: thousands of manifests. */
#define EXPORT_MAX ((size_t)256 << 20)
#define FORMAT     "libatls-store-1"
#define CRL_LABEL  "X509 CRL"

/* Parts of an export; the last are the private keys. */
#define EXPORT_PARTS 6

/* ---- listing ---- */

struct listing {
    enum atls_code (*visit)(void *arg, const struct atls_store_entry *entry, struct atls_err *err);
    void *arg;
};

/* NULL in the database means unlimited, as 0 does here. */
static int64_t column_time(const struct store_query *q, int at)
{
    return store_column_is_null(q, at) ? 0 : store_column_int(q, at);
}

/* A text column as C string: those of manifests are escaped and shorter than this. */
static const char *column_text(const struct store_query *q, int at, char out[128])
{
    struct atls_bytes text = store_column(q, at);

    snprintf(out, 128, "%.*s", (int)text.len, (const char *)text.ptr);
    return out;
}

typedef enum atls_code list_row(const struct store_query *q, const struct listing *l,
                                struct atls_err *err);

/* What an anchor is for, as text. */
struct anchor_text {
    struct atls_bytes der, class_id, vendor, model;
    const char *purpose;
};

#define ANCHOR_VALUE_MAX 512

/* A maker's anchor is told by its fingerprint, which others publish, too. */
static void put_anchor_value(const struct anchor_text *a, char out[ANCHOR_VALUE_MAX])
{
    char class_text[64], vendor[128], model[128], digest[STORE_DIGEST_TEXT];
    bool is_tee = strcmp(a->purpose, "tee") == 0;

    store_class_text(a->class_id, class_text, sizeof class_text);
    atls_escape(a->vendor, vendor, sizeof vendor);
    atls_escape(a->model, model, sizeof model);
    snprintf(out, ANCHOR_VALUE_MAX, "%s%s%s%s%s%s%s%s%s", a->purpose, is_tee ? " sha256:" : "",
             is_tee ? store_digest_text(a->der, digest) : "",
             class_text[0] != '\0' ? " class " : "", class_text,
             vendor[0] != '\0' ? " vendor " : "", vendor, model[0] != '\0' ? " model " : "", model);
}

static enum atls_code list_anchor(const struct store_query *q, const struct listing *l,
                                  struct atls_err *err)
{
    char subject[256], value[ANCHOR_VALUE_MAX];
    struct atls_store_entry entry = {store_column_int(q, 0), "anchor", "", subject, value, 0};
    const char *purpose = store_purpose_name((enum atls_anchor_purpose)store_column_int(q, 1));
    const struct anchor_text text = {store_column(q, 2), store_column(q, 3), store_column(q, 4),
                                     store_column(q, 5), purpose != NULL ? purpose : "?"};

    store_subject_text(text.der, subject, sizeof subject);
    put_anchor_value(&text, value);
    return l->visit(l->arg, &entry, err);
}

static enum atls_code list_manifest_anchor(const struct store_query *q, const struct listing *l,
                                           struct atls_err *err)
{
    char manifest[128], subject[256], value[ANCHOR_VALUE_MAX];
    struct atls_store_entry entry = {store_column_int(q, 0), "anchor", manifest, subject, value,
                                     column_time(q, 6)};
    const struct anchor_text text = {store_column(q, 2), store_column(q, 3), store_column(q, 4),
                                     store_column(q, 5), "tee"};

    column_text(q, 1, manifest);
    store_subject_text(text.der, subject, sizeof subject);
    put_anchor_value(&text, value);
    return l->visit(l->arg, &entry, err);
}

static enum atls_code list_key(const struct store_query *q, const struct listing *l,
                               struct atls_err *err)
{
    char manifest[128], instance[80], label[128], subject[256], value[64], technology[32],
        fingerprint[STORE_FINGERPRINT_TEXT];
    const char *kind =
        store_column_int(q, 10) == ATLS_TRIPLE_IDENTITY ? "identity-key" : "attest-key";
    struct atls_store_entry entry = {store_column_int(q, 0), kind, manifest, subject, value,
                                     column_time(q, 9)};

    column_text(q, 1, manifest);
    atls_hex(store_column(q, 2), instance, sizeof instance);
    atls_escape(store_column(q, 8), label, sizeof label);
    snprintf(subject, sizeof subject, "%s%s%s", instance, label[0] != '\0' ? " " : "", label);
    atls_escape(store_column(q, 11), technology, sizeof technology);
    snprintf(value, sizeof value, "%s%s%s", store_fingerprint(store_column(q, 3), fingerprint),
             technology[0] != '\0' ? " " : "", technology);
    return l->visit(l->arg, &entry, err);
}

static enum atls_code list_crl(const struct store_query *q, const struct listing *l,
                               struct atls_err *err)
{
    char subject[256], value[64], until[STORE_TIME_TEXT];
    struct atls_store_entry entry = {store_column_int(q, 0), "crl", "", subject, value,
                                     store_column_int(q, 3)};

    store_name_text(store_column(q, 1), subject, sizeof subject);
    snprintf(value, sizeof value, "next update %s", store_time_text(entry.not_after_s, until));
    return l->visit(l->arg, &entry, err);
}

static enum atls_code list_collateral(const struct store_query *q, const struct listing *l,
                                      struct atls_err *err)
{
    char kind[128], subject[ATLS_COLLATERAL_SUBJECT_MAX + 40], value[64], until[STORE_TIME_TEXT];
    struct atls_bytes about = store_column(q, 2);
    struct atls_store_entry entry = {store_column_int(q, 0), "collateral", "", subject, value,
                                     column_time(q, 5)};

    column_text(q, 1, kind);
    snprintf(subject, sizeof subject, "%.32s %.*s", kind, (int)about.len, (const char *)about.ptr);
    snprintf(value, sizeof value, "%s%s", entry.not_after_s == 0 ? "no end" : "until ",
             entry.not_after_s == 0 ? "" : store_time_text(entry.not_after_s, until));
    return l->visit(l->arg, &entry, err);
}

static void put_digests_text(const struct atls_mval *v, char *out, size_t size)
{
    size_t used = 0;
    char hex[2 * ATLS_HASH_MAX + 1];

    snprintf(out, size, "(no digest)");
    for (size_t i = 0; i < v->digest_count && used < size; i++) {
        const struct atls_named_hash *named =
            atls_named_hash_by_number(v->digests[i].named_information);
        int n = snprintf(out + used, size - used, "%s%s:%s", used == 0 ? "" : " ",
                         named != NULL ? named->name : "?",
                         atls_hex(v->digests[i].value, hex, sizeof hex));

        used += n > 0 ? (size_t)n : 0;
    }
}

/* One entry a measurement, all with the id of their triple. */
static enum atls_code list_reference(const struct store_query *q, const struct listing *l,
                                     struct atls_err *err)
{
    char manifest[128], class_text[64], mkey[128], subject[256], value[512];
    struct atls_store_entry entry = {store_column_int(q, 0), "reference", manifest, subject, value,
                                     column_time(q, 4)};
    struct atls_arena arena = atls_arena_init((size_t)64 << 20);
    struct atls_measurement *measurements;
    enum atls_code code;
    size_t count;

    column_text(q, 1, manifest);
    store_class_text(store_column(q, 2), class_text, sizeof class_text);
    code = atls_measurements_decode(store_column(q, 3), &arena, &measurements, &count, err);
    for (size_t i = 0; code == ATLS_OK && i < count; i++) {
        store_mkey_text(&measurements[i].mkey, mkey, sizeof mkey);
        snprintf(subject, sizeof subject, "%s %s", class_text, mkey);
        put_digests_text(&measurements[i].mval, value, sizeof value);
        code = l->visit(l->arg, &entry, err);
    }
    atls_arena_clear(&arena);
    return code;
}

static const char *triple_name(int64_t kind)
{
    return kind == ATLS_TRIPLE_ENDORSED             ? "endorsed"
           : kind == ATLS_TRIPLE_CONDITIONAL_SERIES ? "conditional series"
                                                    : "conditional";
}

static enum atls_code list_endorsement(const struct store_query *q, const struct listing *l,
                                       struct atls_err *err)
{
    char manifest[128], subject[64], fingerprint[STORE_FINGERPRINT_TEXT], value[64];
    struct atls_store_entry entry = {
        store_column_int(q, 0), "endorsement", manifest, subject, value, column_time(q, 5)};

    column_text(q, 1, manifest);
    store_class_text(store_column(q, 2), subject, sizeof subject);
    snprintf(value, sizeof value, "%s %s", triple_name(store_column_int(q, 3)),
             store_fingerprint(store_column(q, 4), fingerprint));
    return l->visit(l->arg, &entry, err);
}

/* The private key stays out of it. */
static enum atls_code list_signing_key(const struct store_query *q, const struct listing *l,
                                       struct atls_err *err)
{
    char kid[128], value[64], from[STORE_TIME_TEXT];
    struct atls_store_entry entry = {store_column_int(q, 0), "signing-key", "", kid, value, 0};

    column_text(q, 1, kid);
    snprintf(value, sizeof value, "signs from %s", store_time_text(store_column_int(q, 2), from));
    return l->visit(l->arg, &entry, err);
}

struct rows {
    list_row *function;
    const struct listing *listing;
};

static enum atls_code call_row(void *arg, const struct store_query *q, struct atls_err *err)
{
    const struct rows *rows = arg;

    return rows->function(q, rows->listing, err);
}

static enum atls_code list_rows(struct store_connection *c, enum store_sql which,
                                list_row *row_function, const struct listing *l,
                                struct atls_err *err)
{
    struct rows rows = {row_function, l};

    return store_each(c, which, call_row, &rows, err);
}

enum atls_code atls_store_list(struct atls_store *s,
                               enum atls_code (*visit)(void *arg,
                                                       const struct atls_store_entry *entry,
                                                       struct atls_err *err),
                               void *arg, struct atls_err *err)
{
    static const struct {
        enum store_sql which;
        list_row *row;
    } parts[] = {{SQL_ANCHOR_LIST, list_anchor},
                 {SQL_MANIFEST_ANCHOR_LIST, list_manifest_anchor},
                 {SQL_CRL_LIST, list_crl},
                 {SQL_COLLATERAL_LIST, list_collateral},
                 {SQL_KEY_LIST, list_key},
                 {SQL_REFERENCE_LIST, list_reference},
                 {SQL_ENDORSEMENT_LIST, list_endorsement},
                 {SQL_SIGNING_KEY_LIST, list_signing_key}};
    const struct listing l = {visit, arg};
    struct store_connection *c;
    enum atls_code code;

    if ((code = store_begin(s, STORE_ACCESS_READ, &c, err)) != ATLS_OK)
        return code;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && code == ATLS_OK; i++)
        code = list_rows(c, parts[i].which, parts[i].row, &l, err);
    return store_finish(c, STORE_ACCESS_READ, code, err);
}

/* ---- export ---- */

static enum atls_code put_pem(struct atls_json *j, const char *key, const char *label,
                              struct atls_bytes der, struct atls_err *err)
{
    struct atls_buf pem = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = atls_pem_encode(label, der, &pem, err)) != ATLS_OK)
        return code;
    atls_json_put_text(j, key, atls_buf_bytes(&pem));
    atls_buf_clear(&pem);
    return ATLS_OK;
}

static void put_class(struct atls_json *j, struct atls_bytes class_id)
{
    char text[64];

    if (class_id.len != 0)
        atls_json_put_string(j, "class", store_class_text(class_id, text, sizeof text));
}

static void put_text(struct atls_json *j, const char *key, struct atls_bytes text)
{
    if (text.len != 0)
        atls_json_put_text(j, key, text);
}

/* Each writes one row into the open array of listing->arg, a struct atls_json. */
static enum atls_code export_anchor(const struct store_query *q, const struct listing *l,
                                    struct atls_err *err)
{
    struct atls_json *j = l->arg;
    const char *purpose = store_purpose_name((enum atls_anchor_purpose)store_column_int(q, 1));
    enum atls_code code;

    atls_json_open_object(j, NULL);
    atls_json_put_string(j, "purpose", purpose != NULL ? purpose : "?");
    put_class(j, store_column(q, 3));
    put_text(j, "vendor", store_column(q, 4));
    put_text(j, "model", store_column(q, 5));
    code = put_pem(j, "certificate", "CERTIFICATE", store_column(q, 2), err);
    atls_json_close(j);
    return code;
}

static enum atls_code export_crl(const struct store_query *q, const struct listing *l,
                                 struct atls_err *err)
{
    struct atls_json *j = l->arg;
    enum atls_code code;

    atls_json_open_object(j, NULL);
    code = put_pem(j, "list", CRL_LABEL, store_column(q, 4), err);
    atls_json_close(j);
    return code;
}

static enum atls_code export_collateral(const struct store_query *q, const struct listing *l,
                                        struct atls_err *err)
{
    struct atls_json *j = l->arg;

    (void)err;
    atls_json_open_object(j, NULL);
    atls_json_put_text(j, "kind", store_column(q, 1));
    atls_json_put_text(j, "subject", store_column(q, 2));
    atls_json_put_int(j, "fetched", store_column_int(q, 3));
    atls_json_put_base64url(j, "document", store_column(q, 6));
    atls_json_close(j);
    return ATLS_OK;
}

static enum atls_code export_key(const struct store_query *q, const struct listing *l,
                                 struct atls_err *err)
{
    struct atls_json *j = l->arg;
    struct atls_bytes area = store_column(q, 4);
    enum atls_code code;

    if (!store_column_is_null(q, 1))
        return ATLS_OK; /* comes back with its manifest */
    atls_json_open_object(j, NULL);
    atls_json_put_hex(j, "instance", store_column(q, 2));
    code = put_pem(j, "key", "PUBLIC KEY", store_column(q, 3), err);
    if (area.len != 0)
        atls_json_put_base64url(j, "public-area", area);
    put_class(j, store_column(q, 5));
    put_text(j, "vendor", store_column(q, 6));
    put_text(j, "model", store_column(q, 7));
    put_text(j, "label", store_column(q, 8));
    put_text(j, "technology", store_column(q, 11));
    atls_json_close(j);
    return code;
}

static enum atls_code export_manifest(const struct store_query *q, const struct listing *l,
                                      struct atls_err *err)
{
    struct atls_json *j = l->arg;
    enum atls_code code = ATLS_OK;

    atls_json_open_object(j, NULL);
    atls_json_put_text(j, "id", store_column(q, 1));
    if (!store_column_is_null(q, 2))
        code = put_pem(j, "signer", "PUBLIC KEY", store_column(q, 2), err);
    atls_json_put_base64url(j, "corim", store_column(q, 3));
    atls_json_close(j);
    return code;
}

/* The private key goes out as the PEM text that came in or was made. */
static enum atls_code export_signing_key(const struct store_query *q, const struct listing *l,
                                         struct atls_err *err)
{
    struct atls_json *j = l->arg;

    (void)err;
    atls_json_open_object(j, NULL);
    atls_json_put_text(j, "kid", store_column(q, 1));
    atls_json_put_int(j, "use-from", store_column_int(q, 2));
    atls_json_put_text(j, "key", store_column(q, 3));
    atls_json_close(j);
    return ATLS_OK;
}

static enum atls_code export_parts(struct store_connection *c, size_t count, struct atls_json *j,
                                   struct atls_err *err)
{
    static const struct {
        const char *key;
        enum store_sql which;
        list_row *row;
    } parts[EXPORT_PARTS] = {{"anchors", SQL_ANCHOR_LIST, export_anchor},
                             {"crls", SQL_CRL_LIST, export_crl},
                             {"collateral", SQL_COLLATERAL_LIST, export_collateral},
                             {"attest-keys", SQL_KEY_LIST, export_key},
                             {"manifests", SQL_MANIFEST_LIST, export_manifest},
                             {"signing-keys", SQL_SIGNING_KEY_LIST, export_signing_key}};
    const struct listing l = {NULL, j};
    enum atls_code code = ATLS_OK;

    for (size_t i = 0; i < count && code == ATLS_OK; i++) {
        atls_json_open_array(j, parts[i].key);
        code = list_rows(c, parts[i].which, parts[i].row, &l, err);
        atls_json_close(j);
    }
    return code;
}

static enum atls_code export_json(struct atls_store *s, size_t parts, struct atls_buf *out,
                                  struct atls_err *err)
{
    struct atls_json j = atls_json_init(EXPORT_MAX);
    struct store_connection *c;
    enum atls_code code;

    j.pretty = true;
    atls_json_open_object(&j, NULL);
    atls_json_put_string(&j, "format", FORMAT);
    if ((code = store_begin(s, STORE_ACCESS_READ, &c, err)) == ATLS_OK)
        code = store_finish(c, STORE_ACCESS_READ, export_parts(c, parts, &j, err), err);
    atls_json_close(&j);
    if (code != ATLS_OK) {
        atls_json_clear(&j);
        return code;
    }
    return atls_json_finish(&j, out, err);
}

enum atls_code atls_store_export_json(struct atls_store *s, struct atls_buf *out,
                                      struct atls_err *err)
{
    return export_json(s, EXPORT_PARTS - 1, out, err);
}

enum atls_code atls_store_export_json_with_keys(struct atls_store *s, struct atls_buf *out,
                                                struct atls_err *err)
{
    return export_json(s, EXPORT_PARTS, out, err);
}

struct pem_export {
    struct atls_writer w;
    enum atls_anchor_purpose purpose; /* of anchors */
};

static enum atls_code put_block(struct pem_export *x, const char *label, struct atls_bytes der,
                                struct atls_err *err)
{
    struct atls_buf pem = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = atls_pem_encode(label, der, &pem, err)) != ATLS_OK)
        return code;
    atls_put_bytes(&x->w, atls_buf_bytes(&pem));
    atls_buf_clear(&pem);
    return ATLS_OK;
}

static enum atls_code export_anchor_pem(const struct store_query *q, const struct listing *l,
                                        struct atls_err *err)
{
    struct pem_export *x = l->arg;

    if (store_column_int(q, 1) != (int64_t)x->purpose)
        return ATLS_OK;
    return put_block(x, "CERTIFICATE", store_column(q, 2), err);
}

static enum atls_code export_crl_pem(const struct store_query *q, const struct listing *l,
                                     struct atls_err *err)
{
    return put_block(l->arg, CRL_LABEL, store_column(q, 4), err);
}

static enum atls_code export_pem(struct atls_store *s, enum store_sql which, list_row *row_function,
                                 enum atls_anchor_purpose purpose, struct atls_buf *out,
                                 struct atls_err *err)
{
    struct pem_export x = {atls_writer_init(EXPORT_MAX), purpose};
    const struct listing l = {NULL, &x};
    struct store_connection *c;
    enum atls_code code;

    if ((code = store_begin(s, STORE_ACCESS_READ, &c, err)) == ATLS_OK)
        code = store_finish(c, STORE_ACCESS_READ, list_rows(c, which, row_function, &l, err), err);
    if (code != ATLS_OK) {
        atls_writer_clear(&x.w);
        return code;
    }
    return atls_writer_finish(&x.w, out, err);
}

enum atls_code atls_store_anchors_pem(struct atls_store *s, enum atls_anchor_purpose purpose,
                                      struct atls_buf *out, struct atls_err *err)
{
    if (store_purpose_name(purpose) == NULL)
        return atls_fail(err, ATLS_E_USAGE, "anchors: no such purpose");
    return export_pem(s, SQL_ANCHOR_LIST, export_anchor_pem, purpose, out, err);
}

enum atls_code atls_store_crls_pem(struct atls_store *s, struct atls_buf *out, struct atls_err *err)
{
    return export_pem(s, SQL_CRL_LIST, export_crl_pem, ATLS_ANCHOR_TLS, out, err);
}

/* ---- import ---- */

/* An optional class as encoded item; empty when absent. */
static enum atls_code get_class(const struct store_json *at, const char **out_uuid,
                                uint8_t class_id[STORE_UUID_CLASS_ID], struct atls_bytes *out,
                                struct atls_err *err)
{
    const struct store_json class_at = store_json_member(at, "class");
    enum atls_code code;

    *out = atls_bytes_of(NULL, 0);
    if ((code = store_json_text(at, "class", STORE_JSON_OPTIONAL, out_uuid, err)) != ATLS_OK)
        return code;
    if (*out_uuid == NULL)
        return ATLS_OK;
    if (!store_class_from_uuid(*out_uuid, class_id))
        return store_json_fail(&class_at, err, "not a UUID");
    *out = atls_bytes_of(class_id, STORE_UUID_CLASS_ID);
    return ATLS_OK;
}

/* A member of base64url text; the caller clears *out. */
static enum atls_code get_base64url(const struct store_json *at, const char *key,
                                    enum store_json_need need, struct atls_buf *out,
                                    struct atls_err *err)
{
    const struct store_json member = store_json_member(at, key);
    struct atls_writer w = atls_writer_init(EXPORT_MAX);
    const char *text;
    enum atls_code code;

    if ((code = store_json_text(at, key, need, &text, err)) != ATLS_OK || text == NULL)
        return code;
    if (!atls_base64url_get(atls_bytes_of(text, strlen(text)), &w)) {
        atls_writer_clear(&w);
        return store_json_fail(&member, err, "not base64url without padding");
    }
    return atls_writer_finish(&w, out, err);
}

/* A member that is a public key in PEM; the caller unrefs *out. */
static enum atls_code get_key(const struct store_json *at, const char *key,
                              enum store_json_need need, struct atls_key **out,
                              struct atls_err *err)
{
    const struct store_json member = store_json_member(at, key);
    const char *pem;
    enum atls_code code;

    *out = NULL;
    if ((code = store_json_text(at, key, need, &pem, err)) != ATLS_OK || pem == NULL)
        return code;
    if ((code = atls_key_from_pem(atls_bytes_of(pem, strlen(pem)), out, err)) != ATLS_OK)
        return store_json_prefix(&member, err, code);
    return ATLS_OK;
}

/* One of another purpose must be fit for building paths. */
static enum atls_code check_certificate(const struct store_anchor *anchor, struct atls_err *err)
{
    struct atls_anchors *check;
    enum atls_code code;

    if (anchor->purpose == ATLS_ANCHOR_TEE)
        return ATLS_OK; /* once all are on file */
    if ((code = atls_anchors_new(&check, err)) != ATLS_OK)
        return code;
    code = atls_anchors_add_der(check, anchor->der, err);
    atls_anchors_unref(check);
    return code;
}

static enum atls_code import_certificate(struct store_connection *c, struct store_anchor *anchor,
                                         struct atls_bytes pem, struct atls_err *err)
{
    struct atls_buf der = ATLS_BUF_INIT;
    enum atls_code code;
    size_t count;
    bool is_new;

    if ((code = atls_certificates_from_pem(pem, &der, 1, &count, err)) != ATLS_OK)
        return code;
    anchor->der = atls_buf_bytes(&der);
    if ((code = check_certificate(anchor, err)) == ATLS_OK)
        code = store_put_anchor(c, anchor, &is_new, err);
    atls_buf_clear(&der);
    return code;
}

static enum atls_code import_anchor(struct store_connection *c, const struct store_json *at,
                                    struct atls_err *err)
{
    static const char *const names[] = {"purpose", "class", "vendor", "model", "certificate", NULL};
    const struct store_json purpose_at = store_json_member(at, "purpose"),
                            certificate_at = store_json_member(at, "certificate");
    struct atls_store_anchor_options as = {.class_uuid = NULL};
    uint8_t class_bytes[STORE_UUID_CLASS_ID];
    struct store_anchor anchor;
    struct atls_bytes class_id;
    const char *purpose_text, *pem;
    enum atls_code code;

    if ((code = store_json_object(at, names, err)) != ATLS_OK ||
        (code = store_json_text(at, "purpose", STORE_JSON_REQUIRED, &purpose_text, err)) !=
            ATLS_OK ||
        (code = store_json_text(at, "certificate", STORE_JSON_REQUIRED, &pem, err)) != ATLS_OK ||
        (code = store_json_text(at, "vendor", STORE_JSON_OPTIONAL, &as.vendor, err)) != ATLS_OK ||
        (code = store_json_text(at, "model", STORE_JSON_OPTIONAL, &as.model, err)) != ATLS_OK ||
        (code = get_class(at, &as.class_uuid, class_bytes, &class_id, err)) != ATLS_OK)
        return code;
    if (!store_purpose_by_name(purpose_text, &as.purpose))
        return store_json_fail(&purpose_at, err, "neither \"ak\", \"ek\", \"tls\" nor \"tee\"");
    if ((code = store_anchor_of(&as, class_bytes, &anchor, err)) != ATLS_OK)
        return store_json_prefix(at, err, code);
    code = import_certificate(c, &anchor, atls_bytes_of(pem, strlen(pem)), err);
    return code == ATLS_OK ? ATLS_OK : store_json_prefix(&certificate_at, err, code);
}

static enum atls_code check_tee(void *arg, const struct store_query *q, struct atls_err *err)
{
    if (store_column_int(q, 1) != ATLS_ANCHOR_TEE)
        return ATLS_OK;
    return store_check_tee_anchor(arg, store_column(q, 2), err);
}

/* An export may list an intermediate before its root. */
static enum atls_code check_anchors(struct store_connection *c, struct atls_err *err)
{
    return store_each(c, SQL_ANCHOR_LIST, check_tee, c, err);
}

/* Newer documents on file stay. */
static enum atls_code import_collateral(struct store_connection *c, const struct store_json *at,
                                        struct atls_err *err)
{
    static const char *const names[] = {"kind", "subject", "fetched", "document", NULL};
    const struct store_json kind_at = store_json_member(at, "kind"),
                            fetched_at = store_json_member(at, "fetched");
    enum atls_store_collateral_import outcome;
    struct store_collateral collateral = {.fetched_s = 0};
    const struct atls_collateral_row *row;
    struct atls_buf document = ATLS_BUF_INIT;
    const char *kind;
    enum atls_code code;

    if ((code = store_json_object(at, names, err)) != ATLS_OK ||
        (code = store_json_text(at, "kind", STORE_JSON_REQUIRED, &kind, err)) != ATLS_OK ||
        (code = store_json_text(at, "subject", STORE_JSON_REQUIRED, &collateral.query.subject,
                                err)) != ATLS_OK)
        return code;
    if ((row = atls_collateral_row_by_name(atls_bytes_of(kind, strlen(kind)))) == NULL)
        return store_json_fail(&kind_at, err, "not the name of a kind of document");
    if (!json_is_integer(fetched_at.value))
        return store_json_fail(&fetched_at, err, "not an integer, seconds since 1970");
    if ((code = get_base64url(at, "document", STORE_JSON_REQUIRED, &document, err)) != ATLS_OK)
        return code;
    collateral.query.kind = row->kind;
    collateral.fetched_s = json_integer_value(fetched_at.value);
    collateral.document = atls_buf_bytes(&document);
    code = store_put_collateral(c, &collateral, &outcome, err);
    atls_buf_clear(&document);
    return code == ATLS_OK ? ATLS_OK : store_json_prefix(at, err, code);
}

static enum atls_code import_crl(struct store_connection *c, const struct store_json *at,
                                 struct atls_err *err)
{
    static const char *const names[] = {"list", NULL};
    const struct store_json list_at = store_json_member(at, "list");
    struct atls_buf der = ATLS_BUF_INIT;
    const char *pem;
    enum atls_code code;
    size_t count;
    bool is_new;

    if ((code = store_json_object(at, names, err)) != ATLS_OK ||
        (code = store_json_text(at, "list", STORE_JSON_REQUIRED, &pem, err)) != ATLS_OK)
        return code;
    code = atls_crls_split(atls_bytes_of(pem, strlen(pem)), &der, 1, &count, err);
    if (code == ATLS_OK)
        code = store_put_crl(c, atls_buf_bytes(&der), &is_new, err);
    atls_buf_clear(&der);
    return code == ATLS_OK ? ATLS_OK : store_json_prefix(&list_at, err, code);
}

static enum atls_code import_key(struct store_connection *c, const struct store_json *at,
                                 struct atls_err *err)
{
    static const char *const names[] = {"instance", "key",   "public-area", "class", "vendor",
                                        "model",    "label", "technology",  NULL};
    const struct store_json instance_at = store_json_member(at, "instance");
    struct atls_store_attest_key key;
    uint8_t instance[64], class_bytes[STORE_UUID_CLASS_ID];
    struct atls_buf area = ATLS_BUF_INIT;
    struct atls_key *parsed = NULL;
    struct atls_bytes class_id;
    const char *instance_text;
    enum atls_code code;

    memset(&key, 0, sizeof key);
    if ((code = store_json_object(at, names, err)) != ATLS_OK ||
        (code = store_json_text(at, "instance", STORE_JSON_REQUIRED, &instance_text, err)) !=
            ATLS_OK ||
        (code = store_json_text(at, "vendor", STORE_JSON_OPTIONAL, &key.vendor, err)) != ATLS_OK ||
        (code = store_json_text(at, "model", STORE_JSON_OPTIONAL, &key.model, err)) != ATLS_OK ||
        (code = store_json_text(at, "label", STORE_JSON_OPTIONAL, &key.label, err)) != ATLS_OK ||
        (code = store_json_text(at, "technology", STORE_JSON_OPTIONAL, &key.technology, err)) !=
            ATLS_OK ||
        (code = get_class(at, &key.class_uuid, class_bytes, &class_id, err)) != ATLS_OK)
        return code;
    if (!store_hex_parse(instance_text, instance, sizeof instance, &key.instance.len))
        return store_json_fail(&instance_at, err, "not hexadecimal");
    key.instance.ptr = instance;
    if ((code = get_base64url(at, "public-area", STORE_JSON_OPTIONAL, &area, err)) == ATLS_OK &&
        (code = get_key(at, "key", STORE_JSON_REQUIRED, &parsed, err)) == ATLS_OK) {
        key.public_area = atls_buf_bytes(&area);
        key.spki = atls_key_spki(parsed);
        if ((code = store_put_attest_key(c, &key, err)) != ATLS_OK)
            code = store_json_prefix(at, err, code);
    }
    atls_key_unref(parsed);
    atls_buf_clear(&area);
    return code;
}

static enum atls_code import_manifest(struct store_connection *c, const struct store_json *at,
                                      struct atls_err *err)
{
    static const char *const names[] = {"id", "signer", "corim", NULL};
    const struct store_json id_at = store_json_member(at, "id");
    struct store_manifest_import import = {.legacy = true}; /* as it was taken before */
    struct atls_store_import_report report;
    struct atls_buf corim = ATLS_BUF_INIT;
    struct atls_key *signer = NULL;
    const char *id;
    enum atls_code code;

    if ((code = store_json_object(at, names, err)) != ATLS_OK ||
        (code = store_json_text(at, "id", STORE_JSON_REQUIRED, &id, err)) != ATLS_OK ||
        (code = get_base64url(at, "corim", STORE_JSON_REQUIRED, &corim, err)) != ATLS_OK)
        return code;
    if ((code = get_key(at, "signer", STORE_JSON_OPTIONAL, &signer, err)) == ATLS_OK) {
        import.corim = atls_buf_bytes(&corim);
        if (signer != NULL)
            import.signer_spki = atls_key_spki(signer);
        if ((code = store_put_manifest(c, &import, &report, err)) != ATLS_OK)
            code = store_json_prefix(at, err, code);
        else if (strcmp(report.manifest_id, id) != 0)
            code = store_json_fail(&id_at, err, "not the id of the manifest");
    }
    if (signer != NULL)
        atls_key_unref(signer);
    atls_buf_clear(&corim);
    return code;
}

static enum atls_code import_signing_key(struct store_connection *c, const struct store_json *at,
                                         struct atls_err *err)
{
    static const char *const names[] = {"kid", "use-from", "key", NULL};
    const struct store_json kid_at = store_json_member(at, "kid"),
                            use_from_at = store_json_member(at, "use-from");
    const char *kid_text, *pem;
    char kid[ATLS_KID_TEXT];
    enum atls_code code;

    if ((code = store_json_object(at, names, err)) != ATLS_OK ||
        (code = store_json_text(at, "kid", STORE_JSON_REQUIRED, &kid_text, err)) != ATLS_OK ||
        (code = store_json_text(at, "key", STORE_JSON_REQUIRED, &pem, err)) != ATLS_OK)
        return code;
    if (!json_is_integer(use_from_at.value))
        return store_json_fail(&use_from_at, err, "not an integer, seconds since 1970");
    if ((code = store_put_signing_key(c, atls_bytes_of(pem, strlen(pem)),
                                      json_integer_value(use_from_at.value), kid, err)) != ATLS_OK)
        code = store_json_prefix(at, err, code);
    atls_wipe((void *)(uintptr_t)pem, strlen(pem)); /* the document is ours */
    if (code != ATLS_OK)
        return code;
    return strcmp(kid, kid_text) == 0
               ? ATLS_OK
               : store_json_fail(&kid_at, err, "not the thumbprint of the key");
}

static enum atls_code import_all(struct store_connection *c, const struct store_json *root,
                                 struct atls_err *err)
{
    static const char *const names[] = {"format",      "anchors",   "crls",         "collateral",
                                        "attest-keys", "manifests", "signing-keys", NULL};
    static const struct {
        const char *key;
        enum atls_code (*import)(struct store_connection *c, const struct store_json *at,
                                 struct atls_err *err);
    } parts[] = {{"anchors", import_anchor}, /* first: they say who may have signed a list */
                 {"crls", import_crl},
                 {"collateral", import_collateral},
                 {"attest-keys", import_key},
                 {"manifests", import_manifest},
                 {"signing-keys", import_signing_key}};
    const struct store_json format_at = store_json_member(root, "format");
    struct store_json list, element;
    const char *format;
    enum atls_code code;
    size_t count;

    if ((code = store_json_object(root, names, err)) != ATLS_OK ||
        (code = store_json_text(root, "format", STORE_JSON_REQUIRED, &format, err)) != ATLS_OK)
        return code;
    if (strcmp(format, FORMAT) != 0)
        return store_json_fail(&format_at, err, "not \"" FORMAT "\"");
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if ((code = store_json_array(root, parts[i].key, &list, &count, err)) != ATLS_OK)
            return code;
        for (size_t k = 0; k < count; k++) {
            element = store_json_element(&list, k);
            if ((code = parts[i].import(c, &element, err)) != ATLS_OK)
                return code;
        }
        if (parts[i].import == import_anchor && (code = check_anchors(c, err)) != ATLS_OK)
            return code;
    }
    return ATLS_OK;
}

enum atls_code atls_store_import_json(struct atls_store *s, struct atls_bytes json,
                                      struct atls_err *err)
{
    struct store_json root = {NULL, NULL, 0, NULL};
    struct store_connection *c;
    enum atls_code code;
    json_t *document;

    if ((code = store_json_load(json, EXPORT_MAX, &document, err)) != ATLS_OK)
        return code;
    root.value = document;
    if ((code = store_begin(s, STORE_ACCESS_WRITE, &c, err)) == ATLS_OK)
        code = store_finish(c, STORE_ACCESS_WRITE, import_all(c, &root, err), err);
    json_decref(document);
    return code;
}
