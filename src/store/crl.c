#include <stdlib.h>

#include "core/err.h"
#include "core/reader.h"
#include "store/db.h"

/* ---- who issued it ---- */

/* Anchors that bear the name of the issuer: one of them must have signed. Without any the issuer is
 * an authority below an anchor, which building a path finds and then checks the list by. */
struct issuer_search {
    struct atls_bytes der;
    bool is_signed; /* by one of them */
    enum atls_code verdict;
    struct atls_err why;
};

static enum atls_code try_issuer(void *arg, const struct store_query *q, struct atls_err *err)
{
    struct issuer_search *search = arg;
    enum atls_code code;
    bool is_issuer = false;

    (void)err;
    if (search->is_signed)
        return ATLS_OK;
    code = atls_crl_verify(search->der, store_column(q, 2), &is_issuer, &search->why);
    if (code == ATLS_OK)
        search->is_signed = is_issuer;
    else
        search->verdict = code;
    return ATLS_OK;
}

static enum atls_code check_issuer(struct store_connection *c, struct atls_bytes der,
                                   struct atls_err *err)
{
    struct issuer_search search = {der, false, ATLS_OK, ATLS_ERR_INIT};
    enum atls_code code;

    if ((code = store_each(c, SQL_ANCHOR_LIST, try_issuer, &search, err)) != ATLS_OK)
        return code;
    if (search.is_signed || search.verdict == ATLS_OK)
        return ATLS_OK;
    if (err != NULL)
        *err = search.why;
    return search.verdict;
}

/* ---- what is on file ---- */

/* One issuer, key and scope has one list: *out_put says that the new one takes the place of the old
 * one, or is the first. */
static enum atls_code check_age(struct store_connection *c, const struct atls_crl *crl,
                                struct atls_bytes der, bool *out_put, struct atls_err *err)
{
    struct store_query q = store_query(c, SQL_CRL_FIND);
    enum atls_code code;
    int64_t on_file_s;
    bool row;

    store_bind_bytes(&q, 1, atls_buf_bytes(&crl->issuer));
    store_bind_bytes(&q, 2, atls_buf_bytes(&crl->key_id));
    store_bind_bytes(&q, 3, atls_buf_bytes(&crl->scope));
    if ((code = store_step(&q, &row, err)) != ATLS_OK)
        return code;
    *out_put = !row || !atls_bytes_equal(store_column(&q, 2), der);
    if (row && *out_put) {
        on_file_s = store_column_int(&q, 1);
        if (crl->this_update_s <= on_file_s)
            code = atls_fail(err, ATLS_E_CONFIG,
                             "revocation list: thisUpdate is %lld, that of crl:%lld on file %lld: "
                             "want a newer one",
                             (long long)crl->this_update_s, (long long)store_column_int(&q, 0),
                             (long long)on_file_s);
    }
    store_end(&q);
    return code;
}

static enum atls_code put_row(struct store_connection *c, const struct atls_crl *crl,
                              struct atls_bytes der, struct atls_err *err)
{
    struct store_query q = store_query(c, SQL_CRL_PUT);

    store_bind_bytes(&q, 1, atls_buf_bytes(&crl->issuer));
    store_bind_bytes(&q, 2, atls_buf_bytes(&crl->key_id));
    store_bind_bytes(&q, 3, atls_buf_bytes(&crl->scope));
    store_bind_int(&q, 4, crl->this_update_s);
    store_bind_int(&q, 5, crl->next_update_s);
    store_bind_bytes(&q, 6, der);
    return store_run(&q, NULL, err);
}

enum atls_code store_put_crl(struct store_connection *c, struct atls_bytes der, bool *out_new,
                             struct atls_err *err)
{
    struct atls_crl crl;
    enum atls_code code;
    bool put = false;

    if ((code = atls_crl_read(der, &crl, err)) != ATLS_OK)
        return code;
    if ((code = check_issuer(c, der, err)) == ATLS_OK &&
        (code = check_age(c, &crl, der, &put, err)) == ATLS_OK && put)
        code = put_row(c, &crl, der, err);
    atls_crl_clear(&crl);
    if (code == ATLS_OK)
        *out_new = put;
    return code;
}

static enum atls_code put_crls(struct store_connection *c, const struct atls_buf *lists,
                               size_t count, size_t *out_new, struct atls_err *err)
{
    enum atls_code code = ATLS_OK;
    size_t added = 0;
    bool is_new;

    for (size_t i = 0; i < count && code == ATLS_OK; i++) {
        code = store_put_crl(c, atls_buf_bytes(&lists[i]), &is_new, err);
        if (code == ATLS_OK && is_new)
            added++;
    }
    *out_new = added;
    return code;
}

enum atls_code atls_store_import_crls(struct atls_store *s, struct atls_bytes crls,
                                      size_t *out_count, struct atls_err *err)
{
    struct atls_buf *lists = calloc(ATLS_CRLS_MAX, sizeof *lists);
    struct store_connection *c;
    size_t count = 0, added = 0;
    enum atls_code code;

    if (lists == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "revocation lists: out of memory");
    if ((code = atls_crls_split(crls, lists, ATLS_CRLS_MAX, &count, err)) == ATLS_OK &&
        (code = store_begin(s, STORE_ACCESS_WRITE, &c, err)) == ATLS_OK)
        code = store_finish(c, STORE_ACCESS_WRITE, put_crls(c, lists, count, &added, err), err);
    for (size_t i = 0; i < count; i++)
        atls_buf_clear(&lists[i]);
    free(lists);
    if (code == ATLS_OK && out_count != NULL)
        *out_count = added;
    return code;
}

/* ---- use ---- */

static enum atls_code add_crl(void *arg, const struct store_query *q, struct atls_err *err)
{
    return atls_anchors_add_crls(arg, store_column(q, 4), err);
}

enum atls_code store_add_crls(struct store_connection *c, struct atls_anchors *anchors,
                              struct atls_err *err)
{
    return store_each(c, SQL_CRL_LIST, add_crl, anchors, err);
}
