/* Authenticators as a peer without the connection's keys may send them: none but the corpus's own,
 * made with the keys, can pass, and a refusal never fills the peer in. */
#include "connection.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint16_t extensions[] = {5};
    const struct atls_ea_client_hello hello = {fixed_schemes, 3, extensions, 1};
    struct atls_bytes in = atls_bytes_of(data, size), context;
    struct atls_ea_peer peer = {.chain_len = 0};
    struct atls_buf request = ATLS_BUF_INIT;
    struct atls_ea *ea = fixed_client(&request);

    if (atls_ea_get_context(in, &context, NULL) == ATLS_OK && context.len > ATLS_EA_CONTEXT_MAX)
        abort();
    if (atls_ea_validate(ea, atls_buf_bytes(&request), in, &peer, NULL) == ATLS_OK
            ? peer.chain_len == 0
            : peer.chain_len != 0)
        abort();
    peer.chain_len = 0;
    if (atls_ea_validate_spontaneous(ea, &hello, in, &peer, NULL) == ATLS_OK ? peer.attested
                                                                             : peer.chain_len != 0)
        abort();
    atls_buf_clear(&request);
    atls_ea_free(ea);
    return 0;
}
