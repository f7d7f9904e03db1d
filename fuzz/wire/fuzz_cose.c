/* COSE_Sign1, COSE_Key and SubjectPublicKeyInfo: what is decoded is written back the same. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/cose.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void sign1(struct atls_bytes in)
{
    struct atls_writer w = atls_writer_init(in.len + 16);
    struct atls_cose_sign1 s, again;
    bool tagged = atls_cose_sign1_decode(in, ATLS_COSE_TAG_REQUIRED, &s, NULL) == ATLS_OK;
    bool bare = atls_cose_sign1_decode(in, ATLS_COSE_TAG_FORBIDDEN, &again, NULL) == ATLS_OK;

    REQUIRE(!tagged || !bare);
    REQUIRE((atls_cose_sign1_decode(in, ATLS_COSE_TAG_OPTIONAL, &again, NULL) == ATLS_OK) ==
            (tagged || bare));
    if (tagged && !s.detached) {
        atls_cose_put_sign1(&w, s.protected_header, s.unprotected_header, s.payload, s.signature);
        REQUIRE(atls_bytes_equal(atls_writer_bytes(&w), in));
    }
    atls_writer_clear(&w);
}

static bool equal(const struct atls_cose_key *a, const struct atls_cose_key *b)
{
    return a->kty == b->kty && a->crv == b->crv && atls_bytes_equal(a->x, b->x) &&
           atls_bytes_equal(a->y, b->y) && a->y_is_odd == b->y_is_odd &&
           atls_bytes_equal(a->n, b->n) && atls_bytes_equal(a->e, b->e);
}

static void key(struct atls_bytes in)
{
    struct atls_writer cose = atls_writer_init(4096), spki = atls_writer_init(4096);
    struct atls_cose_key first, again;

    if (atls_cose_key_decode(in, &first, NULL) == ATLS_OK) {
        atls_cose_put_key(&cose, &first);
        REQUIRE(atls_cose_key_decode(atls_writer_bytes(&cose), &again, NULL) == ATLS_OK);
        REQUIRE(equal(&first, &again));
        if (first.kty != ATLS_COSE_EC2 || first.y.ptr != NULL) {
            REQUIRE(atls_cose_put_spki(&spki, &first, NULL) == ATLS_OK);
            REQUIRE(atls_cose_key_from_spki(atls_writer_bytes(&spki), &again, NULL) == ATLS_OK);
            REQUIRE(equal(&first, &again));
        }
    }
    atls_writer_clear(&cose);
    atls_writer_clear(&spki);
}

static void from_spki(struct atls_bytes in)
{
    struct atls_writer w = atls_writer_init(in.len + 16);
    struct atls_cose_key k;

    if (atls_cose_key_from_spki(in, &k, NULL) == ATLS_OK) {
        REQUIRE(atls_cose_put_spki(&w, &k, NULL) == ATLS_OK);
        REQUIRE(atls_bytes_equal(atls_writer_bytes(&w), in));
    }
    atls_writer_clear(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_bytes in = {data, size};

    sign1(in);
    key(in);
    from_spki(in);
    return 0;
}
