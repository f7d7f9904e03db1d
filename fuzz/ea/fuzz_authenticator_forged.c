/* Authenticators of a peer that holds the connection's keys but not the certificate's: the input is
 * Certificate || CertificateVerify, the target adds the true Finished, so that the fuzzer gets
 * behind the MAC. What passes must keep every rule. */
#include "connection.h"

#include "core/reader.h"
#include "core/writer.h"
#include "ea/ea.h"
#include "wire/tls_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* in || Finished over it. */
static struct atls_buf finish(struct atls_ea *ea, const struct atls_buf *request,
                              struct atls_bytes in)
{
    struct atls_writer w = atls_writer_init(SIZE_MAX / 2);
    struct atls_digest *transcript = NULL;
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_ea_keys keys;
    uint8_t mac[ATLS_HASH_MAX];

    if (atls_ea_keys_for(ea, ATLS_ROLE_SERVER, &keys, NULL) != ATLS_OK ||
        atls_ea_transcript(&keys, atls_buf_bytes(request), &transcript, NULL) != ATLS_OK ||
        atls_digest_add(transcript, in, NULL) != ATLS_OK ||
        atls_ea_finished_mac(&keys, transcript, mac, NULL) != ATLS_OK)
        abort();
    atls_digest_free(transcript);
    atls_put_bytes(&w, in);
    atls_tls_put_finished(&w, atls_bytes_of(mac, 32));
    if (atls_writer_finish(&w, &out, NULL) != ATLS_OK)
        abort();
    return out;
}

static void check(const struct atls_ea_peer *peer)
{
    struct atls_bytes spki;

    if (peer->chain_len == 0 || peer->chain_len > ATLS_CHAIN_MAX ||
        !atls_bytes_equal_text(peer->context, "context") ||
        peer->attested != (peer->cmw.len != 0) ||
        atls_certificate_spki(peer->chain[0], &spki, NULL) != ATLS_OK ||
        !atls_bytes_equal(spki, peer->spki))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_buf request = ATLS_BUF_INIT, whole;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ea_peer peer;
    struct atls_ea *ea;

    if (size == 0) /* a Finished alone is a refusal, with a MAC of its own */
        return 0;
    ea = fixed_client(&request);
    whole = finish(ea, &request, atls_bytes_of(data, size));
    if (atls_ea_validate(ea, atls_buf_bytes(&request), atls_buf_bytes(&whole), &peer, &err) ==
        ATLS_OK)
        check(&peer);
    else if (err.reason == ATLS_REASON_FINISHED_MISMATCH)
        abort(); /* the MAC was right */
    atls_buf_clear(&whole);
    atls_buf_clear(&request);
    atls_ea_free(ea);
    return 0;
}
