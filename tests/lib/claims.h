/* Claims sets for tests: a base set in which one claim is replaced, left out or added, and the JSON
 * notation of published vectors brought into CBOR. */
#ifndef ATLS_TEST_CLAIMS_H
#define ATLS_TEST_CLAIMS_H

#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>

struct test_claim {
    int64_t key;
    const char *hex; /* the item */
};

/* The map of base with the item of key replaced (added when base has none, left out for NULL). The
 * caller clears the result. */
struct atls_buf test_claims(const struct test_claim *base, size_t count, int64_t key,
                            const char *hex);

struct test_claim_name {
    const char *name;
    int64_t key;
    char type; /* 't' text, 'b' bytes in base64 with padding, 'i' integer, 'a' array of bytes,
                  'c' array of software components */
};

/* A JSON object as the map that it stands for: members named in names get their keys, others keep
 * their name and become null. The caller clears the result. */
struct atls_buf test_claims_of_json(struct atls_bytes json, const struct test_claim_name *names,
                                    size_t count);

#endif
