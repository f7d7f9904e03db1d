/* A service as makers have one, for tests: answers by path, counts, and can be told to fail. */
#ifndef ATLS_TEST_COLLATERAL_SERVICE_H
#define ATLS_TEST_COLLATERAL_SERVICE_H

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_server.h"
#include "pki.h"
#include "testlib.h"

#include <atls/collateral.h>

#include "core/reader.h"

struct service {
    struct test_http_server *server;
    struct test_identity root;
    struct atls_buf crl, chain, vcek; /* DER, percent-encoded PEM, DER */
    char identity[512];               /* of a quoting enclave */
    /* Orders; 0 or NULL: as usual. */
    int status;
    const char *headers;
    bool no_chain, no_vlek;
    int vlek_status;
    const char *body; /* in place of every document */
    char last[512];   /* target of the request before */
    atomic_size_t asked;
};

static inline void service_reply(struct service *s, struct test_http_response *response,
                                 struct atls_bytes body, const char *chain_header)
{
    static char headers[65536];

    if (s->body != NULL)
        body = atls_bytes_of(s->body, strlen(s->body));
    headers[0] = '\0';
    if (chain_header != NULL && !s->no_chain)
        snprintf(headers, sizeof headers, "%s: %.*s\r\n", chain_header, (int)s->chain.len,
                 (const char *)s->chain.ptr);
    test_http_reply(response, 200, headers, body);
}

static inline void service_answer(void *arg, const struct test_http_request *request,
                                  struct test_http_response *response)
{
    struct service *s = arg;
    const char *target = request->target;

    atomic_fetch_add(&s->asked, 1);
    snprintf(s->last, sizeof s->last, "%s", target);
    if (s->status != 0)
        test_http_reply_text(response, s->status, s->headers != NULL ? s->headers : "", "no");
    else if (s->vlek_status != 0 && strstr(target, "/vlek/") != NULL)
        test_http_reply_text(response, s->vlek_status, "Retry-After: 9\r\n", "no");
    else if (strstr(target, "/v1/Milan/crl") != NULL || strstr(target, "rootcacrl") != NULL)
        service_reply(s, response, atls_buf_bytes(&s->crl), NULL);
    else if (strstr(target, "pckcrl") != NULL)
        service_reply(s, response, atls_buf_bytes(&s->crl), "SGX-PCK-CRL-Issuer-Chain");
    else if (strstr(target, "qe/identity") != NULL)
        service_reply(s, response, atls_bytes_of(s->identity, strlen(s->identity)),
                      "SGX-Enclave-Identity-Issuer-Chain");
    else if (strstr(target, "/vcek/v1/Milan/cert_chain") != NULL ||
             (strstr(target, "/vlek/v1/Milan/cert_chain") != NULL && !s->no_vlek)) {
        struct atls_buf pem =
            test_vector(strstr(target, "vlek") == NULL ? "sev-snp/roots/ask_ark_milan.pem"
                                                       : "sev-snp/roots/ask_ark_milan_vlek.pem");

        service_reply(s, response, atls_buf_bytes(&pem), NULL);
        atls_buf_clear(&pem);
    } else if (strncmp(target, "/kds/vcek/v1/Milan/", 19) == 0) {
        service_reply(s, response, atls_buf_bytes(&s->vcek), NULL);
    } else {
        test_http_reply_text(response, 404, "", "not here");
    }
}

static inline struct atls_buf service_percent(const struct atls_buf *der)
{
    struct atls_buf pem = ATLS_BUF_INIT, encoded;
    char *out;

    test_assert_code(atls_pem_encode("CERTIFICATE", atls_buf_bytes(der), &pem, NULL), ATLS_OK,
                     NULL);
    out = malloc(3 * pem.len + 1);
    assert_non_null(out);
    for (size_t i = 0; i < pem.len; i++)
        snprintf(out + 3 * i, 4, "%%%02X", pem.ptr[i]);
    encoded = (struct atls_buf){(uint8_t *)out, 3 * pem.len};
    atls_buf_clear(&pem);
    return encoded;
}

/* Lists and identities count from from_s until until_s, given as text for the identity. */
static inline struct service *service_start(int64_t from_s, int64_t until_s, const char *from,
                                            const char *until)
{
    struct service *s = calloc(1, sizeof *s);

    assert_non_null(s);
    s->root = test_ca("Root");
    s->crl = test_crl(&s->root, NULL, from_s, until_s);
    s->chain = service_percent(&s->root.certificate);
    s->vcek = test_vector("sev-snp/milan-v2-provisional/vcek.der");
    snprintf(s->identity, sizeof s->identity,
             "{\"enclaveIdentity\":{\"issueDate\":\"%s\",\"nextUpdate\":\"%s\"},"
             "\"signature\":\"00\"}",
             from, until);
    s->server = test_http_start(service_answer, s, NULL);
    return s;
}

static inline void service_stop(struct service *s)
{
    test_http_stop(s->server);
    test_identity_clear(&s->root);
    atls_buf_clear(&s->crl);
    atls_buf_clear(&s->chain);
    atls_buf_clear(&s->vcek);
    free(s);
}

static inline size_t service_asked(struct service *s)
{
    test_http_sync(s->server);
    return atomic_load(&s->asked);
}

/* Answers of both makers below "/kds" of the service. */
static inline struct atls_collateral_fetcher *service_fetcher(struct service *s,
                                                              uint32_t wait_max_s)
{
    struct atls_collateral_fetcher *fetcher = NULL;
    struct atls_collateral_options options;
    struct atls_err err = ATLS_ERR_INIT;
    char url[128];

    snprintf(url, sizeof url, "%s/kds", test_http_url(s->server));
    atls_collateral_options_init(&options);
    test_assert_code(atls_collateral_options_add(&options, url, &err), ATLS_OK, &err);
    options.wait_max_s = wait_max_s;
    test_assert_code(atls_collateral_open(&options, &fetcher, &err), ATLS_OK, &err);
    return fetcher;
}

#define SERVICE_CHIP                                                                               \
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"                             \
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define SERVICE_VEK "milan-" SERVICE_CHIP "-03000000000008d9"

#endif
