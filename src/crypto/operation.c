#include "crypto/libcrypto.h"

#include "core/err.h"

static enum atls_code begin(EVP_PKEY *pkey, int (*init)(EVP_PKEY_CTX *ctx), EVP_PKEY_CTX **out,
                            struct atls_err *err)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);

    if (ctx == NULL)
        return atls_fail_memory(err, "operation of a key");
    if (init(ctx) != 1) {
        EVP_PKEY_CTX_free(ctx);
        return atls_fail_libcrypto(err, "operation of a key");
    }
    *out = ctx;
    return ATLS_OK;
}

enum atls_code atls_operation_begin(struct atls_operation *op, EVP_PKEY *pkey,
                                    int (*init)(EVP_PKEY_CTX *ctx), EVP_PKEY_CTX **out,
                                    struct atls_err *err)
{
    EVP_PKEY_CTX *ctx = atomic_load_explicit(&op->kept, memory_order_acquire), *first = NULL;
    enum atls_code code;

    /* Copies of RSA contexts make PSS signatures that nobody else takes (libcrypto 3.0). */
    if (EVP_PKEY_is_a(pkey, "RSA") || EVP_PKEY_is_a(pkey, "RSA-PSS"))
        return begin(pkey, init, out, err);
    if (ctx == NULL) {
        if ((code = begin(pkey, init, &ctx, err)) != ATLS_OK)
            return code;
        if (!atomic_compare_exchange_strong(&op->kept, &first, ctx)) {
            EVP_PKEY_CTX_free(ctx); /* another thread was faster */
            ctx = first;
        }
    }
    if ((ctx = EVP_PKEY_CTX_dup(ctx)) == NULL)
        return atls_fail_memory(err, "operation of a key");
    *out = ctx;
    return ATLS_OK;
}

void atls_operation_clear(struct atls_operation *op)
{
    EVP_PKEY_CTX_free(atomic_load_explicit(&op->kept, memory_order_acquire));
}
