/* Confidential computing: what the makers of its hardware are trusted by, and what they publish. */
#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "store/lookup.h"

/* ---- classes of anchors ---- */

static void bind_der(struct store_query *q, struct atls_bytes der)
{
    store_bind_bytes(q, 1, der);
}

static bool read_class_row(struct key_builder *b, const struct store_query *q)
{
    struct key_row *row = store_add_row(b);

    if (row == NULL)
        return false;
    row->window = store_column_window(q, 3, 4);
    row->brought = store_column_int(q, 5) != 0;
    return store_copy_column(b, q, 0, &row->class_id) && store_copy_column(b, q, 1, &row->vendor) &&
           store_copy_column(b, q, 2, &row->model);
}

struct class_request {
    int64_t time_s;
    struct atls_attest_key *out;
};

/* What somebody imported by hand goes before what manifests say; these must agree. */
static enum atls_code choose_class(const struct key_entry *e, int64_t time_s,
                                   const struct key_row **out, struct atls_err *err)
{
    const struct key_row *chosen = NULL;

    for (size_t i = 0; i < e->count; i++) {
        const struct key_row *row = &e->rows[i];

        if (row->class_id.len == 0 || !store_window_covers(&row->window, time_s) ||
            (chosen != NULL && row->brought && !chosen->brought))
            continue;
        if (chosen != NULL && !atls_bytes_equal(chosen->class_id, row->class_id))
            return atls_fail(err, ATLS_E_CONFIG, "store: one anchor stands for two classes");
        if (chosen == NULL)
            chosen = row;
    }
    *out = chosen;
    return ATLS_OK;
}

static enum atls_code take_class(const struct key_entry *entry, void *arg, struct atls_err *err)
{
    const struct class_request *request = arg;
    const struct key_row *row = NULL;
    enum atls_code code;

    if (entry == NULL)
        return atls_fail(err, ATLS_E_NOT_FOUND, "store: the anchor is not on file");
    if ((code = choose_class(entry, request->time_s, &row, err)) != ATLS_OK)
        return code;
    if (row == NULL)
        return atls_fail(err, ATLS_E_NOT_FOUND, "store: the anchor stands for no class");
    return store_copy_row(row, request->out, err);
}

enum atls_code store_find_anchor_class(void *arg, struct atls_bytes anchor,
                                       struct atls_attest_key *out, struct atls_err *err)
{
    static const struct entry_kind kind = {'a', SQL_ANCHOR_CLASS, bind_der, read_class_row};
    struct class_request request = {store_view_time(arg), out};
    const struct entry_search search = {&kind, anchor, take_class, &request};

    return store_find_entry(arg, &search, err);
}

/* ---- the anchors themselves ---- */

static enum atls_code add_certificate(struct atls_certificate_set *set, struct atls_bytes der,
                                      struct atls_err *err)
{
    struct atls_certificate *certificate;
    enum atls_code code;

    if (atls_certificate_set_find(set, der) != NULL)
        return ATLS_OK;
    if ((code = atls_certificate_parse(der, &certificate, err)) != ATLS_OK)
        return atls_err_prefix(err, code, "store");
    code = atls_certificate_set_add(set, certificate, err);
    atls_certificate_unref(certificate);
    return code;
}

static enum atls_code read_tee_anchors(struct store_connection *c, int64_t time_s,
                                       struct tee_set *out, struct atls_err *err)
{
    struct store_query q = store_query(c, SQL_TEE_ANCHORS);
    enum atls_code code;
    bool row;

    while ((code = store_step(&q, &row, err)) == ATLS_OK && row) {
        const struct window w = store_column_window(&q, 1, 2);

        store_window_narrow(&out->window, &w, time_s);
        if (store_window_covers(&w, time_s) &&
            (code = add_certificate(out->set, store_column(&q, 0), err)) != ATLS_OK)
            break;
    }
    store_end(&q);
    return code;
}

static enum atls_code load_tee_anchors(struct store_connection *c, int64_t time_s,
                                       struct tee_set *out, struct atls_err *err)
{
    struct tee_set tee = {NULL, {INT64_MIN, INT64_MAX}, true};
    enum atls_code code;

    if ((code = atls_certificate_set_new(&tee.set, err)) != ATLS_OK)
        return code;
    code = read_tee_anchors(c, time_s, &tee, err);
    if (code != ATLS_OK || atls_certificate_set_count(tee.set) == 0) {
        atls_certificate_set_unref(tee.set);
        tee.set = NULL;
    }
    if (code == ATLS_OK)
        *out = tee;
    return code;
}

static bool is_known(const struct tee_set *tee, int64_t time_s)
{
    return tee->known && store_window_covers(&tee->window, time_s);
}

static struct atls_certificate_set *ref_or_null(struct atls_certificate_set *set)
{
    return set == NULL ? NULL : atls_certificate_set_ref(set);
}

/* Puts loaded into the cache unless somebody was faster: all are to get the same object. The cache
 * is locked, loaded becomes what the caller may hand out. */
static void keep_tee_anchors(struct store_cache *cache, struct tee_set *loaded, int64_t time_s)
{
    struct tee_set before = cache->tee;

    if (is_known(&before, time_s)) {
        atls_certificate_set_unref(loaded->set);
        loaded->set = ref_or_null(before.set);
        return;
    }
    cache->tee = *loaded;
    loaded->set = ref_or_null(loaded->set);
    atls_certificate_set_unref(before.set);
}

enum atls_code store_find_tee_anchors(void *arg, struct atls_certificate_set **out,
                                      struct atls_err *err)
{
    struct atls_store_view *view = arg;
    struct atls_store *s = view->store;
    int64_t time_s = store_view_time(view);
    struct store_connection *c;
    struct tee_set loaded;
    uint64_t generation;
    enum atls_code code;

    if ((code = store_lock_view(view, err)) != ATLS_OK)
        return code;
    if (is_known(&s->cache->tee, time_s)) {
        *out = ref_or_null(s->cache->tee.set);
        pthread_mutex_unlock(&s->cache->lock);
        return ATLS_OK;
    }
    if ((code = store_unlock_and_borrow(s, &generation, &c, err)) != ATLS_OK)
        return code;
    code = load_tee_anchors(c, time_s, &loaded, err);
    store_give_back(c);
    if (code != ATLS_OK)
        return code;
    if (store_lock_again(s, generation))
        keep_tee_anchors(s->cache, &loaded, time_s);
    pthread_mutex_unlock(&s->cache->lock);
    *out = loaded.set;
    return ATLS_OK;
}

/* ---- collateral ---- */

/* Kind and subject in one: "snp-crl", NUL, "milan". */
#define NAME_MAX_LEN (ATLS_COLLATERAL_SUBJECT_MAX + 32)

static void bind_kind_and_subject(struct store_query *q, struct atls_bytes name)
{
    size_t kind = strnlen((const char *)name.ptr, name.len);

    store_bind_text(q, 1, atls_bytes_of(name.ptr, kind));
    store_bind_text(q, 2, atls_bytes_of(name.ptr + kind + 1, name.len - kind - 1));
}

static bool read_document_row(struct key_builder *b, const struct store_query *q)
{
    struct key_row *row = store_add_row(b);

    if (row == NULL)
        return false;
    row->window = store_column_window(q, 1, 2);
    return store_copy_column(b, q, 3, &row->document);
}

struct document_request {
    enum atls_collateral_kind kind;
    int64_t time_s;
    struct atls_buf *out;
};

static enum atls_code not_now(const struct window *w, const struct document_request *request,
                              struct atls_err *err)
{
    const struct atls_collateral_row *row = atls_collateral_row_of(request->kind);
    char until[STORE_TIME_TEXT], from[STORE_TIME_TEXT];
    enum atls_reason reason = strcmp(row->extension, "crl") == 0 ? ATLS_REASON_CRL_EXPIRED
                              : strcmp(row->extension, "json") == 0
                                  ? ATLS_REASON_COLLATERAL_EXPIRED
                                  : ATLS_REASON_CERTIFICATE_EXPIRED;

    if (request->time_s < w->from_s)
        return atls_fail_reason(err, ATLS_E_NOT_FOUND, ATLS_REASON_COLLATERAL_NOT_YET_VALID,
                                "store: on file, but it counts from %s on",
                                store_time_text(w->from_s, from));
    return atls_fail_reason(err, ATLS_E_NOT_FOUND, reason,
                            "store: on file, but it counted until %s",
                            store_time_text(w->until_s, until));
}

static enum atls_code take_document(const struct key_entry *entry, void *arg, struct atls_err *err)
{
    const struct document_request *request = arg;

    if (entry == NULL)
        return atls_fail(err, ATLS_E_NOT_FOUND, "store: not on file");
    if (!store_window_covers(&entry->rows[0].window, request->time_s))
        return not_now(&entry->rows[0].window, request, err);
    return atls_buf_copy(request->out, entry->rows[0].document, err);
}

enum atls_code store_find_collateral(void *arg, const struct atls_collateral_query *query,
                                     int64_t time_s, struct atls_buf *out, struct atls_err *err)
{
    static const struct entry_kind kind = {'c', SQL_COLLATERAL_FIND, bind_kind_and_subject,
                                           read_document_row};
    const struct atls_collateral_row *row = atls_collateral_row_of(query->kind);
    char name[NAME_MAX_LEN], what[NAME_MAX_LEN];
    struct document_request request = {query->kind, time_s, out};
    struct entry_search search = {&kind, {NULL, 0}, take_document, &request};
    enum atls_code code;

    if (row == NULL || !atls_collateral_subject_valid(query->subject))
        return atls_fail(err, ATLS_E_NOT_FOUND, "store: no collateral has such a name");
    snprintf(name, sizeof name, "%s%c%s", row->name, '\0', query->subject);
    search.name = atls_bytes_of(name, strlen(row->name) + 1 + strlen(query->subject));
    code = store_find_entry(arg, &search, err);
    if (code == ATLS_OK)
        return ATLS_OK;
    snprintf(what, sizeof what, "%.24s %.64s", row->name, query->subject);
    return atls_err_prefix(err, code, what);
}
