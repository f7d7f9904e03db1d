/* Documents that makers of confidential-computing hardware publish: one of a kind and subject. */
#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "store/collateral_document.h"
#include "store/db.h"

_Static_assert(ATLS_COLLATERAL_BUFFER >= ATLS_COLLATERAL_SUBJECT_MAX + 1 + ATLS_COLLATERAL_FILE_MAX,
               "room for a subject and a name");

/* "snp-crl milan" for messages. */
#define WHAT_MAX 120

static const char *what_is(const struct atls_collateral_query *query, char out[WHAT_MAX])
{
    snprintf(out, WHAT_MAX, "collateral %s %.64s", atls_collateral_row_of(query->kind)->name,
             query->subject);
    return out;
}

static enum atls_code check(const struct store_collateral *c, struct store_collateral_dates *out,
                            struct atls_err *err)
{
    char what[WHAT_MAX];
    enum atls_code code;

    if (atls_collateral_row_of(c->query.kind) == NULL ||
        !atls_collateral_subject_valid(c->query.subject))
        return atls_fail(err, ATLS_E_USAGE, "collateral: no such kind, or a subject that is none");
    if (c->document.len == 0 || c->document.len > ATLS_COLLATERAL_DOCUMENT_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "%s: %zu bytes, at most %d", what_is(&c->query, what),
                         c->document.len, ATLS_COLLATERAL_DOCUMENT_MAX);
    code = store_collateral_read(c->query.kind, c->document, out, err);
    return code == ATLS_OK ? ATLS_OK : atls_err_prefix(err, code, what_is(&c->query, what));
}

static enum atls_code check_all(struct store_connection *c,
                                const struct store_collateral *collateral,
                                struct store_collateral_dates *out, struct atls_err *err)
{
    char what[WHAT_MAX];
    enum atls_code code = check(collateral, out, err);

    if (code != ATLS_OK || (code = store_check_list(c, collateral, out, err)) == ATLS_OK)
        return code;
    return atls_err_prefix(err, code, what_is(&collateral->query, what));
}

static void bind_query(struct store_query *q, const struct atls_collateral_query *query)
{
    const char *name = atls_collateral_row_of(query->kind)->name;

    store_bind_text(q, 1, atls_bytes_of(name, strlen(name)));
    store_bind_text(q, 2, atls_bytes_of(query->subject, strlen(query->subject)));
}

/* The maker says when it issued a document: an older one would bring back what it has withdrawn. */
static enum atls_code compare(struct store_connection *c, const struct store_collateral *collateral,
                              const struct store_collateral_dates *dates,
                              enum atls_store_collateral_import *out, struct atls_err *err)
{
    struct store_query q = store_query(c, SQL_COLLATERAL_FIND);
    enum atls_code code;
    bool row;

    bind_query(&q, &collateral->query);
    if ((code = store_step(&q, &row, err)) != ATLS_OK)
        return code;
    *out = ATLS_STORE_COLLATERAL_NEW;
    if (row && atls_bytes_equal(store_column(&q, 3), collateral->document))
        *out = ATLS_STORE_COLLATERAL_SAME;
    else if (row && dates->has_from && !store_column_is_null(&q, 1) &&
             dates->from_s < store_column_int(&q, 1))
        *out = ATLS_STORE_COLLATERAL_OLDER;
    store_end(&q);
    return ATLS_OK;
}

static enum atls_code put_row(struct store_connection *c, const struct store_collateral *collateral,
                              const struct store_collateral_dates *dates, struct atls_err *err)
{
    struct store_query q = store_query(c, SQL_COLLATERAL_PUT);

    bind_query(&q, &collateral->query);
    store_bind_int(&q, 3, collateral->fetched_s);
    if (dates->has_from)
        store_bind_int(&q, 4, dates->from_s);
    if (dates->has_until)
        store_bind_int(&q, 5, dates->until_s);
    store_bind_bytes(&q, 6, collateral->document);
    return store_run(&q, NULL, err);
}

enum atls_code store_put_collateral(struct store_connection *c,
                                    const struct store_collateral *collateral,
                                    enum atls_store_collateral_import *out, struct atls_err *err)
{
    enum atls_store_collateral_import outcome;
    struct store_collateral_dates dates;
    enum atls_code code;

    if ((code = check_all(c, collateral, &dates, err)) != ATLS_OK ||
        (code = compare(c, collateral, &dates, &outcome, err)) != ATLS_OK)
        return code;
    if (outcome == ATLS_STORE_COLLATERAL_NEW)
        code = put_row(c, collateral, &dates, err);
    if (code == ATLS_OK)
        *out = outcome;
    return code;
}

enum atls_code atls_store_put_collateral(struct atls_store *s,
                                         const struct atls_collateral_query *query,
                                         struct atls_bytes document, int64_t fetched_s,
                                         enum atls_store_collateral_import *out,
                                         struct atls_err *err)
{
    const struct store_collateral collateral = {*query, document, fetched_s};
    enum atls_store_collateral_import outcome = ATLS_STORE_COLLATERAL_SAME;
    struct store_connection *c;
    enum atls_code code;

    if ((code = store_begin(s, STORE_ACCESS_WRITE, &c, err)) != ATLS_OK)
        return code;
    code = store_finish(c, STORE_ACCESS_WRITE, store_put_collateral(c, &collateral, &outcome, err),
                        err);
    if (code == ATLS_OK && out != NULL)
        *out = outcome;
    return code;
}

enum atls_code atls_store_check_collateral(struct atls_store *s,
                                           const struct atls_collateral_query *query,
                                           struct atls_bytes document, struct atls_err *err)
{
    const struct store_collateral collateral = {*query, document, 0};
    struct store_collateral_dates dates;
    struct store_connection *c;
    enum atls_code code;

    if ((code = store_begin(s, STORE_ACCESS_READ, &c, err)) != ATLS_OK)
        return code;
    return store_finish(c, STORE_ACCESS_READ, check_all(c, &collateral, &dates, err), err);
}

enum atls_code atls_store_import_collateral(struct atls_store *s, const char *file_name,
                                            struct atls_bytes document, int64_t time_s,
                                            enum atls_store_collateral_import *out,
                                            struct atls_err *err)
{
    const char *slash = strrchr(file_name, '/');
    char subject[ATLS_COLLATERAL_SUBJECT_MAX + 1];
    struct atls_collateral_query query = {ATLS_COLLATERAL_NONE, subject};
    const struct atls_collateral_row *row =
        atls_collateral_row_of_file(slash != NULL ? slash + 1 : file_name, subject);

    if (row == NULL)
        return atls_fail(err, ATLS_E_CONFIG,
                         "collateral: a file is called KIND-SUBJECT.EXTENSION, as "
                         "\"snp-crl-milan.crl\" (docs/collateral.md)");
    query.kind = row->kind;
    return atls_store_put_collateral(s, &query, document, time_s, out, err);
}

/* ---- what is on file ---- */

static enum atls_code read_entry(const struct store_query *q, struct atls_store_collateral *out,
                                 char file[ATLS_COLLATERAL_FILE_MAX],
                                 char subject[ATLS_COLLATERAL_SUBJECT_MAX + 1],
                                 struct atls_err *err)
{
    const struct atls_collateral_row *row = atls_collateral_row_by_name(store_column(q, 1));
    struct atls_bytes text = store_column(q, 2);
    struct atls_collateral_query query = {ATLS_COLLATERAL_NONE, subject};

    if (row == NULL || text.len > ATLS_COLLATERAL_SUBJECT_MAX)
        return atls_fail(err, ATLS_E_IO, "store: collateral:%lld is of no kind that is known",
                         (long long)store_column_int(q, 0));
    memcpy(subject, text.ptr, text.len);
    subject[text.len] = '\0';
    query.kind = row->kind;
    atls_collateral_file_name(&query, file);
    *out = (struct atls_store_collateral){
        .id = store_column_int(q, 0),
        .kind = row->name,
        .subject = subject,
        .file_name = file,
        .fetched_s = store_column_int(q, 3),
        .not_before_s = store_column_is_null(q, 4) ? 0 : store_column_int(q, 4),
        .not_after_s = store_column_is_null(q, 5) ? 0 : store_column_int(q, 5),
        .document = store_column(q, 6),
    };
    return ATLS_OK;
}

struct collateral_listing {
    atls_store_collateral_visit *visit;
    void *arg;
};

static enum atls_code list_row(void *arg, const struct store_query *q, struct atls_err *err)
{
    const struct collateral_listing *l = arg;
    char file[ATLS_COLLATERAL_FILE_MAX], subject[ATLS_COLLATERAL_SUBJECT_MAX + 1];
    struct atls_store_collateral entry;
    enum atls_code code;

    if ((code = read_entry(q, &entry, file, subject, err)) != ATLS_OK)
        return code;
    return l->visit(l->arg, &entry, err);
}

enum atls_code atls_store_list_collateral(struct atls_store *s, atls_store_collateral_visit *visit,
                                          void *arg, struct atls_err *err)
{
    struct collateral_listing l = {visit, arg};
    struct store_connection *c;
    enum atls_code code;

    if ((code = store_begin(s, STORE_ACCESS_READ, &c, err)) != ATLS_OK)
        return code;
    return store_finish(c, STORE_ACCESS_READ, store_each(c, SQL_COLLATERAL_LIST, list_row, &l, err),
                        err);
}

enum atls_code atls_collateral_describe(const char *file_name, struct atls_bytes document,
                                        char buffer[ATLS_COLLATERAL_BUFFER],
                                        struct atls_store_collateral *out, struct atls_err *err)
{
    char *subject = buffer, *file = buffer + ATLS_COLLATERAL_SUBJECT_MAX + 1;
    const struct atls_collateral_row *row = atls_collateral_row_of_file(file_name, subject);
    struct store_collateral_dates dates;
    enum atls_code code;

    if (row == NULL)
        return atls_fail(err, ATLS_E_NOT_FOUND, "collateral: not the name of a document");
    if ((code = store_collateral_read(row->kind, document, &dates, err)) != ATLS_OK)
        return code;
    snprintf(file, ATLS_COLLATERAL_FILE_MAX, "%s", file_name);
    *out = (struct atls_store_collateral){.kind = row->name,
                                          .subject = subject,
                                          .file_name = file,
                                          .not_before_s = dates.has_from ? dates.from_s : 0,
                                          .not_after_s = dates.has_until ? dates.until_s : 0,
                                          .document = document};
    return ATLS_OK;
}
