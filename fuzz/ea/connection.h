/* One fixed connection and request for the targets that validate authenticators. */
#ifndef ATLS_FUZZ_EA_CONNECTION_H
#define ATLS_FUZZ_EA_CONNECTION_H

#include <stdlib.h>
#include <string.h>

#include <atls/ea.h>

#include "crypto/crypto.h"

static enum atls_code fixed_exporter(void *arg, const char *label, struct atls_bytes context,
                                     uint8_t *out, size_t out_len, struct atls_err *err)
{
    static const uint8_t secret[32] = {1, 2, 3, 4, 5, 6, 7, 8};

    (void)arg;
    return atls_tls13_exporter(ATLS_HASH_SHA256, atls_bytes_of(secret, sizeof secret), "tls13 ",
                               label, context, out, out_len, err);
}

static const enum atls_signature fixed_schemes[] = {ATLS_ECDSA_P256_SHA256, ATLS_ED25519,
                                                    ATLS_RSA_PSS_SHA256};

/* A client that has asked under the context "context"; the request is the caller's to clear. */
static struct atls_ea *fixed_client(struct atls_buf *request)
{
    static const uint8_t status_request[] = {0, 5, 0, 0};
    const struct atls_ea_request_spec spec = {
        .context = {(const uint8_t *)"context", 7},
        .schemes = fixed_schemes,
        .scheme_count = 3,
        .attestation = true,
        .other_extensions = {status_request, sizeof status_request}};
    struct atls_ea *ea = NULL;

    if (atls_ea_new(ATLS_ROLE_CLIENT, ATLS_HASH_SHA256, fixed_exporter, NULL, &ea, NULL) !=
            ATLS_OK ||
        atls_ea_request(ea, &spec, request, NULL) != ATLS_OK)
        abort();
    return ea;
}

#endif
