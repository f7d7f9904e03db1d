#include "primitive.h"

#include "ends.h"

void primitive_init(struct primitive *p)
{
    *p = (struct primitive){.key = EVP_EC_gen("P-256")};
    primitive_sign(p, 1);
}

void primitive_clear(struct primitive *p)
{
    EVP_PKEY_free(p->key);
}

void primitive_sign(void *arg, unsigned long count)
{
    struct primitive *p = arg;

    while (count-- > 0) {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();

        p->signature_len = sizeof p->signature;
        if (EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, p->key, NULL) != 1 ||
            EVP_DigestSign(ctx, p->signature, &p->signature_len, p->tbs, sizeof p->tbs) != 1)
            bench_die("sign", NULL);
        EVP_MD_CTX_free(ctx);
    }
}

void primitive_verify(void *arg, unsigned long count)
{
    struct primitive *p = arg;

    while (count-- > 0) {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();

        if (EVP_DigestVerifyInit_ex(ctx, NULL, "SHA256", NULL, NULL, p->key, NULL) != 1 ||
            EVP_DigestVerify(ctx, p->signature, p->signature_len, p->tbs, sizeof p->tbs) != 1)
            bench_die("verify", NULL);
        EVP_MD_CTX_free(ctx);
    }
}

void primitive_export(void *arg, unsigned long count)
{
    static const unsigned char context[7] = "context";
    unsigned char out[32];

    while (count-- > 0)
        if (SSL_export_keying_material(arg, out, sizeof out, "Attestation", 11, context,
                                       sizeof context, 1) != 1)
            bench_die("export", NULL);
}
