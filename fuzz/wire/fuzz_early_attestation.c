/* The extension remoteAttestation: what decodes is encoded to the same bytes, in every place. */
#include <stdint.h>
#include <stdlib.h>

#include "core/reader.h"
#include "wire/early_attestation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void require_same(struct atls_writer *w, struct atls_bytes in)
{
    REQUIRE(w->failed == ATLS_OK);
    REQUIRE(atls_bytes_equal(atls_writer_bytes(w), in));
    atls_writer_clear(w);
}

static void vector(struct atls_bytes list)
{
    struct atls_writer w = atls_writer_init(list.len);
    struct atls_early_scheme scheme;
    struct atls_bytes rest = list;
    size_t count = 0;

    for (; atls_early_next(&rest, &scheme); count++) {
        REQUIRE(atls_early_contains(list, scheme.whole));
        atls_early_scheme_put(&w, &scheme);
    }
    REQUIRE(rest.len == 0 && count <= ATLS_EARLY_SCHEMES_MAX);
    require_same(&w, list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_bytes in = {data, size}, cmw;
    struct atls_writer w = atls_writer_init(size);
    struct atls_early_offer offer;
    struct atls_early_scheme scheme;

    if (atls_early_offer_decode(in, &offer, NULL) == ATLS_OK) {
        vector(offer.server);
        vector(offer.client);
        atls_early_offer_put(&w, &offer);
        require_same(&w, in);
    }
    if (atls_early_choice_decode(in, &scheme, NULL) == ATLS_OK) {
        REQUIRE(atls_bytes_equal(scheme.whole, in));
        atls_early_scheme_put(&w, &scheme);
        require_same(&w, in);
    }
    if (atls_early_cmw_decode(in, &cmw, NULL) == ATLS_OK) {
        REQUIRE(cmw.len != 0 && cmw.len <= ATLS_EARLY_CMW_MAX);
        atls_early_cmw_put(&w, cmw);
        require_same(&w, in);
    }
    return 0;
}
