#include "ea/ea.h"

#include "core/err.h"
#include "core/secret.h"
#include "core/writer.h"

enum atls_code atls_ea_transcript(const struct atls_ea_keys *keys, struct atls_bytes request,
                                  struct atls_digest **out, struct atls_err *err)
{
    struct atls_digest *d = NULL;
    enum atls_code code;

    if ((code = atls_digest_new(keys->hash, &d, err)) != ATLS_OK)
        return code;
    if ((code =
             atls_digest_add(d, atls_bytes_of(keys->handshake_context, atls_hash_len(keys->hash)),
                             err)) != ATLS_OK ||
        (code = atls_digest_add(d, request, err)) != ATLS_OK) {
        atls_digest_free(d);
        return code;
    }
    *out = d;
    return ATLS_OK;
}

enum atls_code atls_ea_signed_content(const struct atls_ea_keys *keys,
                                      const struct atls_digest *transcript, struct atls_buf *out,
                                      struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(256);
    uint8_t digest[ATLS_HASH_MAX];
    enum atls_code code;

    if ((code = atls_digest_peek(transcript, digest, err)) != ATLS_OK)
        return code;
    for (int i = 0; i < 64; i++)
        atls_put_u8(&w, 0x20);
    atls_put_text(&w, "Exported Authenticator");
    atls_put_u8(&w, 0);
    atls_put_bytes(&w, atls_bytes_of(digest, atls_hash_len(keys->hash)));
    return atls_writer_finish(&w, out, err);
}

enum atls_code atls_ea_finished_mac(const struct atls_ea_keys *keys,
                                    const struct atls_digest *transcript,
                                    uint8_t out[ATLS_HASH_MAX], struct atls_err *err)
{
    size_t len = atls_hash_len(keys->hash);
    uint8_t digest[ATLS_HASH_MAX];
    enum atls_code code;

    if ((code = atls_digest_peek(transcript, digest, err)) != ATLS_OK)
        return code;
    return atls_hmac(keys->hash, atls_bytes_of(keys->finished_key, len), atls_bytes_of(digest, len),
                     out, err);
}

enum atls_code atls_ea_empty_mac(const struct atls_ea_keys *keys, struct atls_bytes request,
                                 struct atls_bytes context, uint8_t out[ATLS_HASH_MAX],
                                 struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(512);
    struct atls_buf certificate = ATLS_BUF_INIT;
    struct atls_digest *transcript = NULL;
    enum atls_code code;

    /* A Certificate without entries is hashed, though it is not sent. */
    atls_tls_put_certificate(&w, context, NULL, 0, atls_bytes_of(NULL, 0));
    if ((code = atls_writer_finish(&w, &certificate, err)) != ATLS_OK)
        return code;
    if ((code = atls_ea_transcript(keys, request, &transcript, err)) == ATLS_OK &&
        (code = atls_digest_add(transcript, atls_buf_bytes(&certificate), err)) == ATLS_OK)
        code = atls_ea_finished_mac(keys, transcript, out, err);
    atls_digest_free(transcript);
    atls_buf_clear(&certificate);
    return code;
}
