/* Authenticator requests, as a peer may send them. */
#include <stdint.h>
#include <stdlib.h>

#include <atls/ea.h>

#include "core/reader.h"
#include "crypto/crypto.h"
#include "wire/tls_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct atls_ea_request *q, struct atls_bytes in)
{
    struct atls_bytes context;

    if (!atls_bytes_equal(q->raw, in) || q->context.len > ATLS_EA_CONTEXT_MAX ||
        q->scheme_count > ATLS_EA_SCHEMES_MAX)
        abort();
    for (size_t i = 0; i < q->scheme_count; i++)
        if (!atls_signature_find(q->schemes[i])->certificate_verify)
            abort();
    if (q->from == ATLS_ROLE_SERVER && q->server_name.ptr != NULL)
        abort();
    if (atls_ea_get_context(in, &context, NULL) != ATLS_OK ||
        !atls_bytes_equal(context, q->context))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_bytes in = atls_bytes_of(data, size), context;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ea_request q;

    if (atls_ea_get_context(in, &context, NULL) == ATLS_OK && context.len > ATLS_EA_CONTEXT_MAX)
        abort();
    if (atls_ea_request_decode(in, &q, &err) == ATLS_OK)
        check(&q, in);
    else if (err.alert == ATLS_ALERT_NONE) /* every refusal of a request has its alert */
        abort();
    return 0;
}
