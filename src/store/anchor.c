/* Trust anchors: who may vouch for keys, certificates and evidence. */
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "store/db.h"

/* Certificates of one PEM text: the bundle of all TPM makers has some hundreds. */
#define ANCHORS_MAX 2048
#define LABEL_MAX   127

/* On file already: with the same class fine, with another one somebody has to decide. */
static enum atls_code check_anchor(struct store_connection *c, const struct store_anchor *anchor,
                                   bool *out_there, struct atls_err *err)
{
    char on_file[64];
    struct store_query q = store_query(c, SQL_ANCHOR_GET_CLASS);
    enum atls_code code;

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

enum atls_code store_put_anchor(struct store_connection *c, const struct store_anchor *anchor,
                                bool *out_new, struct atls_err *err)
{
    struct store_query q;
    enum atls_code code;
    bool there;

    if ((code = check_anchor(c, anchor, &there, err)) != ATLS_OK)
        return code;
    *out_new = !there;
    if (there)
        return ATLS_OK;
    q = store_query(c, SQL_ANCHOR_PUT);
    store_bind_int(&q, 1, anchor->purpose);
    store_bind_bytes(&q, 2, anchor->der);
    store_bind_bytes(&q, 3, anchor->class_id);
    store_bind_text(&q, 4, anchor->vendor);
    store_bind_text(&q, 5, anchor->model);
    return store_run(&q, NULL, err);
}

enum atls_code store_put_manifest_anchor(struct store_connection *c, int64_t manifest,
                                         const struct store_anchor *anchor, struct atls_err *err)
{
    struct store_query q = store_query(c, SQL_MANIFEST_ANCHOR_PUT);

    store_bind_int(&q, 1, manifest);
    store_bind_bytes(&q, 2, anchor->der);
    store_bind_bytes(&q, 3, anchor->class_id);
    store_bind_text(&q, 4, anchor->vendor);
    store_bind_text(&q, 5, anchor->model);
    return store_run(&q, NULL, err);
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

/* What each is must be known before any is trusted; who signed whom once all are on file. */
static enum atls_code check_tee(struct store_connection *c, const struct atls_buf *certificates,
                                size_t count, struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    for (size_t i = 0; i < count && code == ATLS_OK; i++)
        code = store_check_tee_anchor(c, atls_buf_bytes(&certificates[i]), err);
    return code;
}

static enum atls_code put_anchors(struct store_connection *c, const struct store_anchor *as,
                                  const struct atls_buf *certificates, size_t count, bool *out_new,
                                  struct atls_err *err)
{
    struct store_anchor anchor = *as;
    enum atls_code code = ATLS_OK;

    for (size_t i = 0; i < count && code == ATLS_OK; i++) {
        anchor.der = atls_buf_bytes(&certificates[i]);
        code = store_put_anchor(c, &anchor, &out_new[i], err);
    }
    if (code == ATLS_OK && as->purpose == ATLS_ANCHOR_TEE)
        code = check_tee(c, certificates, count, err);
    return code;
}

static void tell(const struct atls_store_anchor_options *as, const struct atls_buf *certificates,
                 size_t count, const bool *is_new)
{
    char subject[256], fingerprint[STORE_DIGEST_TEXT];

    for (size_t i = 0; i < count && as->imported != NULL; i++) {
        store_subject_text(atls_buf_bytes(&certificates[i]), subject, sizeof subject);
        as->imported(as->imported_arg, subject,
                     store_digest_text(atls_buf_bytes(&certificates[i]), fingerprint), is_new[i]);
    }
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

/* Certificates of an import, and which were not on file. */
struct certificates {
    struct atls_buf ders[ANCHORS_MAX];
    bool is_new[ANCHORS_MAX];
    size_t count;
};

static enum atls_code import_certificates(struct atls_store *s, struct certificates *all,
                                          const struct store_anchor *anchor, struct atls_err *err)
{
    struct store_connection *c;
    enum atls_code code = ATLS_OK;

    if (anchor->purpose != ATLS_ANCHOR_TEE)
        code = check_certificates(all->ders, all->count, err);
    if (code != ATLS_OK || (code = store_begin(s, STORE_ACCESS_WRITE, &c, err)) != ATLS_OK)
        return code;
    return store_finish(c, STORE_ACCESS_WRITE,
                        put_anchors(c, anchor, all->ders, all->count, all->is_new, err), err);
}

enum atls_code atls_store_import_anchors_as(struct atls_store *s, struct atls_bytes certificates,
                                            const struct atls_store_anchor_options *as,
                                            size_t *out_count, struct atls_err *err)
{
    uint8_t class_bytes[STORE_UUID_CLASS_ID];
    struct store_anchor anchor;
    struct certificates *all;
    enum atls_code code;
    size_t added = 0;

    if ((code = store_anchor_of(as, class_bytes, &anchor, err)) != ATLS_OK)
        return code;
    if ((all = calloc(1, sizeof *all)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "anchors: out of memory");
    code = split_certificates(certificates, all->ders, &all->count, err);
    if (code == ATLS_OK && (code = import_certificates(s, all, &anchor, err)) == ATLS_OK)
        tell(as, all->ders, all->count, all->is_new);
    for (size_t i = 0; i < all->count; i++) {
        atls_buf_clear(&all->ders[i]);
        added += all->is_new[i];
    }
    free(all);
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
