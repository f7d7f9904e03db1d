/* Everything that inspection may meet: the first byte names the kind, the rest is the input. Output
 * is JSON in ASCII that says first that nothing was verified. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include <atls/inspect.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const kinds[] = {
    NULL,
    "certificate",
    "tpm-attest",
    "ear",
    "corim",
    "soft",
    "kat",
    "tpm-certify",
    "tpm-quote",
    "cmw",
    "authenticator",
    "request",
    "frame",
    "tpm-public",
    "tpm-signature",
    "event-log",
    "cbor",
    "comid",
    "cots",
    "cotl",
    "concise-evidence",
    "eat",
    "psa",
    "cca",
    "kat-batch",
    "parsec-cca",
    "parsec-tpm",
    "crl",
    "public-key",
    "jwk",
    "ima-log",
    "pcrs",
    "tsm-report",
    "snp-report",
    "snp-certificates",
    "tdx-quote",
    "sgx-quote",
    "hcl-report",
    "ccel-table",
    "intel-collateral",
    "cose",
    "json-claims",
    "json",
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char head[] = "{\n  \"verified\": false,\n  \"kind\": \"";
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    json_t *root;

    if (size == 0)
        return 0;
    if (atls_inspect(atls_bytes_of(data + 1, size - 1),
                     kinds[data[0] % (sizeof kinds / sizeof kinds[0])], &out, &err) != ATLS_OK) {
        if (err.code == ATLS_OK || err.message[0] == '\0' || out.ptr != NULL)
            abort();
        return 0;
    }
    if (out.len < sizeof head - 1 || memcmp(out.ptr, head, sizeof head - 1) != 0)
        abort();
    for (size_t i = 0; i < out.len; i++)
        if ((out.ptr[i] < 0x20 && out.ptr[i] != '\n') || out.ptr[i] > 0x7e)
            abort();
    root =
        json_loadb((const char *)out.ptr, out.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    if (root == NULL)
        abort();
    json_decref(root);
    atls_buf_clear(&out);
    return 0;
}
