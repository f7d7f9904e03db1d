#include "tee_source.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "testlib.h"

static enum atls_code tee_anchors(void *arg, struct atls_certificate_set **out,
                                  struct atls_err *err)
{
    struct test_tee_source *t = arg;

    (void)err;
    if (t->anchors_failure != ATLS_OK)
        return t->anchors_failure;
    *out = t->anchors != NULL ? atls_certificate_set_ref(t->anchors) : NULL;
    return ATLS_OK;
}

static struct atls_buf copy_of(struct atls_bytes bytes)
{
    struct atls_buf copy = {malloc(bytes.len + 1), bytes.len};

    assert_non_null(copy.ptr);
    if (bytes.len != 0)
        memcpy(copy.ptr, bytes.ptr, bytes.len);
    return copy;
}

static enum atls_code collateral(void *arg, const struct atls_collateral_query *query,
                                 int64_t time_s, struct atls_buf *out, struct atls_err *err)
{
    struct test_tee_source *t = arg;

    (void)time_s;
    t->asked++;
    for (size_t i = 0; i < t->count; i++)
        if (t->documents[i].kind == query->kind && t->documents[i].bytes.len != 0 &&
            (t->documents[i].subject == NULL ||
             strcmp(t->documents[i].subject, query->subject) == 0)) {
            *out = copy_of(t->documents[i].bytes);
            return ATLS_OK;
        }
    if (t->stale != ATLS_REASON_NONE)
        return atls_fail_reason(err, ATLS_E_NOT_FOUND, t->stale, "past its time");
    return t->failure != ATLS_OK ? t->failure : ATLS_E_NOT_FOUND;
}

static enum atls_code anchor_class(void *arg, struct atls_bytes anchor, struct atls_attest_key *out,
                                   struct atls_err *err)
{
    struct test_tee_source *t = arg;

    (void)anchor;
    if (t->class_failure != ATLS_OK)
        return t->class_failure;
    if (t->class_id.len == 0)
        return atls_fail(err, ATLS_E_NOT_FOUND, "no class");
    out->class_id = copy_of(t->class_id);
    return ATLS_OK;
}

struct atls_endorsement_source test_tee_source_over(struct test_tee_source *t)
{
    struct atls_endorsement_source source = {.arg = t,
                                             .anchor_class = anchor_class,
                                             .tee_anchors = tee_anchors,
                                             .collateral = collateral};

    return source;
}

void test_tee_source_trust(struct test_tee_source *t, struct atls_bytes root)
{
    struct atls_certificate *c;
    struct atls_err err = ATLS_ERR_INIT;

    if (t->anchors == NULL)
        test_assert_code(atls_certificate_set_new(&t->anchors, &err), ATLS_OK, &err);
    test_assert_code(atls_certificate_parse(root, &c, &err), ATLS_OK, &err);
    test_assert_code(atls_certificate_set_add(t->anchors, c, &err), ATLS_OK, &err);
    atls_certificate_unref(c);
}

void test_tee_source_put(struct test_tee_source *t, enum atls_collateral_kind kind,
                         struct atls_bytes bytes)
{
    size_t at = 0;

    while (at < t->count && t->documents[at].kind != kind)
        at++;
    assert_true(at < TEST_TEE_DOCUMENTS_MAX);
    t->documents[at].kind = kind;
    t->documents[at].bytes = bytes;
    if (at == t->count)
        t->count++;
}

void test_tee_source_clear(struct test_tee_source *t)
{
    atls_certificate_set_unref(t->anchors);
    memset(t, 0, sizeof *t);
}
