#include <atls/passport.h>

#include <stdatomic.h>
#include <stdlib.h>

#include <atls/limits.h>

#include "core/err.h"

struct atls_passport {
    atomic_uint references;
    const struct atls_passport_ops *ops;
    void *self;
};

enum atls_code atls_passport_new(const struct atls_passport_ops *ops, void *self,
                                 struct atls_passport **out, struct atls_err *err)
{
    struct atls_passport *p = calloc(1, sizeof *p);

    if (p == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "passport: out of memory");
    atomic_init(&p->references, 1);
    p->ops = ops;
    p->self = self;
    *out = p;
    return ATLS_OK;
}

struct atls_passport *atls_passport_ref(struct atls_passport *p)
{
    atomic_fetch_add_explicit(&p->references, 1, memory_order_relaxed);
    return p;
}

void atls_passport_unref(struct atls_passport *p)
{
    if (p == NULL || atomic_fetch_sub_explicit(&p->references, 1, memory_order_acq_rel) != 1)
        return;
    p->ops->close(p->self);
    free(p);
}

enum atls_code atls_passport_result(struct atls_passport *p, struct atls_bytes binder,
                                    struct atls_buf *out_cmw, struct atls_err *err)
{
    struct atls_buf cmw = ATLS_BUF_INIT;
    enum atls_code code;

    if (binder.len != 0 && binder.len != 32 && binder.len != 48)
        return atls_fail_reason(err, ATLS_E_USAGE, ATLS_REASON_BINDER_MISSING,
                                "passport: binder of %zu bytes, want 32, 48 or none", binder.len);
    if ((code = p->ops->result(p->self, binder, &cmw, err)) != ATLS_OK)
        return code;
    if (cmw.len == 0 || cmw.len > ATLS_CMW_DATA_MAX) {
        code = atls_fail(err, ATLS_E_LIMIT, "passport: result of %zu bytes, want 1 to %d", cmw.len,
                         ATLS_CMW_DATA_MAX);
        atls_buf_clear(&cmw);
        return code;
    }
    *out_cmw = cmw;
    return ATLS_OK;
}
