#include "crypto/crypto.h"

#include <limits.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "core/err.h"
#include "core/reader.h"
#include "core/writer.h"
#include "crypto/libcrypto.h"

#define PEM_LEN_MAX (16 * 1024 * 1024)

enum atls_code atls_pem_encode(const char *label, struct atls_bytes der, struct atls_buf *out,
                               struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(2 * PEM_LEN_MAX);
    struct atls_buf text = ATLS_BUF_INIT;
    enum atls_code code;
    char *data = NULL;
    BIO *bio;
    long len;

    if (der.len == 0 || der.len > PEM_LEN_MAX)
        return atls_fail(err, ATLS_E_USAGE, "PEM: %zu bytes of DER, want 1..%d", der.len,
                         PEM_LEN_MAX);
    if ((bio = BIO_new(BIO_s_mem())) == NULL)
        return atls_fail_memory(err, "PEM");
    if (PEM_write_bio(bio, label, "", der.ptr, (long)der.len) <= 0 ||
        (len = BIO_get_mem_data(bio, &data)) <= 0) {
        BIO_free(bio);
        return atls_fail_libcrypto(err, "PEM");
    }
    atls_put_bytes(&w, atls_bytes_of(data, (size_t)len));
    atls_put_u8(&w, 0);
    BIO_free(bio);
    if ((code = atls_writer_finish(&w, &text, err)) != ATLS_OK)
        return code;
    text.len--; /* the NUL is there but not counted */
    *out = text;
    return ATLS_OK;
}

enum atls_code atls_key_to_pem(const struct atls_key *key, struct atls_buf *out,
                               struct atls_err *err)
{
    return atls_pem_encode("PUBLIC KEY", atls_key_spki(key), out, err);
}

static enum atls_code open_pem(struct atls_bytes pem, BIO **out, struct atls_err *err)
{
    if (pem.len == 0) /* libcrypto takes no buffer of no bytes */
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "PEM text is empty");
    if (pem.len > PEM_LEN_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "PEM text of %zu bytes, at most %d", pem.len,
                         PEM_LEN_MAX);
    if ((*out = BIO_new_mem_buf(pem.ptr, (int)pem.len)) == NULL)
        return atls_fail_memory(err, "PEM");
    return ATLS_OK;
}

/* One block; label and header are freed by the caller, as is data. */
struct block {
    char *label;
    char *header;
    unsigned char *data;
    long len;
};

static bool read_block(BIO *bio, struct block *out)
{
    memset(out, 0, sizeof *out);
    return PEM_read_bio(bio, &out->label, &out->header, &out->data, &out->len) == 1;
}

static void clear_block(struct block *b)
{
    OPENSSL_free(b->label);
    OPENSSL_free(b->header);
    OPENSSL_clear_free(b->data, b->len < 0 ? 0 : (size_t)b->len);
}

enum atls_code atls_key_from_pem(struct atls_bytes pem, struct atls_key **out, struct atls_err *err)
{
    struct atls_bytes der, spki;
    enum atls_code code;
    struct block block;
    BIO *bio = NULL;

    if ((code = open_pem(pem, &bio, err)) != ATLS_OK)
        return code;
    if (!read_block(bio, &block)) {
        code = atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "public key: no PEM block in %zu bytes", pem.len);
    } else {
        der = atls_bytes_of(block.data, (size_t)block.len);
        if (strcmp(block.label, "PUBLIC KEY") == 0)
            code = atls_key_from_spki(der, out, err);
        else if (strcmp(block.label, "CERTIFICATE") != 0)
            code = atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                    "public key: PEM block is no \"PUBLIC KEY\" or "
                                    "\"CERTIFICATE\"");
        else if ((code = atls_certificate_spki(der, &spki, err)) == ATLS_OK)
            code = atls_key_from_spki(spki, out, err);
    }
    clear_block(&block);
    BIO_free(bio);
    ERR_clear_error();
    return code;
}

enum atls_code atls_pem_blocks(const char *label, struct atls_bytes pem, struct atls_buf *out,
                               size_t max, size_t *out_count, struct atls_err *err)
{
    size_t count = 0;
    enum atls_code code;
    struct block block;
    BIO *bio = NULL;

    if ((code = open_pem(pem, &bio, err)) != ATLS_OK)
        return code;
    while (code == ATLS_OK && read_block(bio, &block)) {
        if (strcmp(block.label, label) == 0) {
            if (count == max)
                code = atls_fail(err, ATLS_E_LIMIT, "PEM: more than %zu of \"%s\"", max, label);
            else if ((code = atls_buf_copy(&out[count],
                                           atls_bytes_of(block.data, (size_t)block.len), err)) ==
                     ATLS_OK)
                count++;
        }
        clear_block(&block);
    }
    BIO_free(bio);
    /* The end of the text is the one reason to stop that is no error. */
    if (code == ATLS_OK && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        code = atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "PEM: block after number %zu of \"%s\" is malformed", count, label);
    if (code == ATLS_OK && count == 0)
        code = atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "PEM: no \"%s\" in %zu bytes", label, pem.len);
    ERR_clear_error();
    if (code != ATLS_OK) {
        while (count > 0)
            atls_buf_clear(&out[--count]);
        return code;
    }
    *out_count = count;
    return ATLS_OK;
}

enum atls_code atls_certificates_from_pem(struct atls_bytes pem, struct atls_buf *out, size_t max,
                                          size_t *out_count, struct atls_err *err)
{
    return atls_pem_blocks("CERTIFICATE", pem, out, max, out_count, err);
}
