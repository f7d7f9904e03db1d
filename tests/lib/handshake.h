/* Hellos of TLS 1.3 that never crossed a wire: enough of each for a transcript. */
#ifndef ATLS_TEST_HANDSHAKE_H
#define ATLS_TEST_HANDSHAKE_H

#include <stdbool.h>
#include <stdint.h>

#include <atls/bytes.h>

/* Each is the caller's to clear. Their randoms are fill, 32 times. */
struct atls_buf test_client_hello(uint8_t fill);
struct atls_buf test_server_hello(uint8_t fill, uint16_t suite);
struct atls_buf test_retry_request(uint16_t suite);
/* A handshake message of any type and length, filled with zeros. */
struct atls_buf test_message(uint8_t type, uint32_t len);

#endif
