/* CBOR from diagnostic notation (RFC 8949 section 8), so that a test says what it decodes:
 *
 *     struct atls_buf in = test_diag("501({0: 'id', 1: [506(<<{1: {0: 't'}}>>)]})");
 *
 * Integers, 'text' (without escapes), h'00ff', h(32) for as many octets aa, arrays, maps, tags,
 * <<item>> for a byte string that holds it, true, false, null. Fails the test when the text is
 * none.
 */
#ifndef ATLS_TEST_DIAG_H
#define ATLS_TEST_DIAG_H

#include <atls/bytes.h>

/* The caller clears the result. */
struct atls_buf test_diag(const char *text);

#endif
