#include <stdlib.h>

#include "core/err.h"
#include "core/reader.h"
#include "store/db.h"

/* ---- who issued it ---- */

/* Anchors that bear the name of the issuer: one of them must have signed. Without any the issuer is
 * an authority below an anchor, which building a path finds and then checks the list by. */
static enum atls_code check_issuer(struct atls_store *s, struct atls_bytes der,
                                   struct atls_err *err)
{
    enum atls_code code, verdict = ATLS_OK;
    struct atls_err why = ATLS_ERR_INIT;
    struct store_query q;
    bool row, is_issuer = false, signed_by_one = false;

    if ((code = store_query(s, SQL_ANCHOR_LIST, &q, err)) != ATLS_OK)
        return code;
    while ((code = store_step(&q, &row, err)) == ATLS_OK && row && !signed_by_one) {
        enum atls_code one = atls_crl_verify(der, store_column(&q, 2), &is_issuer, &why);

        if (one == ATLS_OK)
            signed_by_one = is_issuer;
        else
            verdict = one;
    }
    if (code != ATLS_OK)
        return code;
    store_end(&q);
    if (signed_by_one || verdict == ATLS_OK)
        return ATLS_OK;
    if (err != NULL)
        *err = why;
    return verdict;
}

/* ---- what is on file ---- */

/* One issuer, key and scope has one list: *out_put says that the new one takes the place of the old
 * one, or is the first. */
static enum atls_code check_age(struct atls_store *s, const struct atls_crl *crl,
                                struct atls_bytes der, bool *out_put, struct atls_err *err)
{
    struct store_query q;
    enum atls_code code;
    int64_t on_file_s;
    bool row;

    if ((code = store_query(s, SQL_CRL_FIND, &q, err)) != ATLS_OK)
        return code;
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

static enum atls_code put_row(struct atls_store *s, const struct atls_crl *crl,
                              struct atls_bytes der, struct atls_err *err)
{
    struct store_query q;
    enum atls_code code;

    if ((code = store_query(s, SQL_CRL_PUT, &q, err)) != ATLS_OK)
        return code;
    store_bind_bytes(&q, 1, atls_buf_bytes(&crl->issuer));
    store_bind_bytes(&q, 2, atls_buf_bytes(&crl->key_id));
    store_bind_bytes(&q, 3, atls_buf_bytes(&crl->scope));
    store_bind_int(&q, 4, crl->this_update_s);
    store_bind_int(&q, 5, crl->next_update_s);
    store_bind_bytes(&q, 6, der);
    return store_run(&q, err);
}

enum atls_code store_put_crl(struct atls_store *s, struct atls_bytes der, bool *out_new,
                             struct atls_err *err)
{
    struct atls_crl crl;
    enum atls_code code;
    bool put = false;

    if ((code = atls_crl_read(der, &crl, err)) != ATLS_OK)
        return code;
    if ((code = check_issuer(s, der, err)) == ATLS_OK &&
        (code = check_age(s, &crl, der, &put, err)) == ATLS_OK && put)
        code = put_row(s, &crl, der, err);
    atls_crl_clear(&crl);
    if (code == ATLS_OK)
        *out_new = put;
    return code;
}

static enum atls_code put_crls(struct atls_store *s, const struct atls_buf *lists, size_t count,
                               size_t *out_new, struct atls_err *err)
{
    enum atls_code code = ATLS_OK;
    size_t added = 0;
    bool is_new;

    for (size_t i = 0; i < count && code == ATLS_OK; i++) {
        code = store_put_crl(s, atls_buf_bytes(&lists[i]), &is_new, err);
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
    size_t count = 0, added = 0;
    enum atls_code code;

    if (lists == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "revocation lists: out of memory");
    if ((code = atls_crls_split(crls, lists, ATLS_CRLS_MAX, &count, err)) == ATLS_OK) {
        store_lock(s);
        if ((code = store_begin(s, err)) == ATLS_OK)
            code = store_finish(s, put_crls(s, lists, count, &added, err), err);
        store_unlock(s);
    }
    for (size_t i = 0; i < count; i++)
        atls_buf_clear(&lists[i]);
    free(lists);
    if (code == ATLS_OK && out_count != NULL)
        *out_count = added;
    return code;
}

/* ---- use ---- */

enum atls_code store_add_crls(struct atls_store *s, struct atls_anchors *anchors,
                              struct atls_err *err)
{
    struct store_query q;
    enum atls_code code;
    bool row;

    if ((code = store_query(s, SQL_CRL_LIST, &q, err)) != ATLS_OK)
        return code;
    while ((code = store_step(&q, &row, err)) == ATLS_OK && row) {
        if ((code = atls_anchors_add_crls(anchors, store_column(&q, 4), err)) != ATLS_OK) {
            store_end(&q);
            return code;
        }
    }
    if (code == ATLS_OK)
        store_end(&q);
    return code;
}
