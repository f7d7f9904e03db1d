/* Extensions of certificates: what is found lies inside the input, and is found again in the
 * certificate that a second walk gives; a CMW that comes of it is one. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/cmw.h"
#include "wire/ra_tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void require_inside(struct atls_bytes part, const uint8_t *data, size_t size)
{
    REQUIRE(part.ptr >= data && part.len <= size && (size_t)(part.ptr - data) <= size - part.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_arena arena = atls_arena_init(64 * 1024);
    struct atls_writer w = atls_writer_init(size + 4096);
    struct atls_ra_tls found;
    struct atls_cmw cmw;

    if (atls_ra_tls_find(atls_bytes_of(data, size), &found, NULL) == ATLS_OK) {
        require_inside(found.spki, data, size);
        if (found.value.len != 0)
            require_inside(found.value, data, size);
        REQUIRE(*atls_ra_tls_form_name(found.form) != '\0');
        if (atls_ra_tls_cmw(found.form, found.value, &w, NULL) == ATLS_OK &&
            atls_cmw_decode(atls_writer_bytes(&w), &arena, &cmw, NULL) != ATLS_OK)
            REQUIRE(found.form == ATLS_RA_TLS_CMW || found.form == ATLS_RA_TLS_DICE);
    }
    atls_writer_clear(&w);
    atls_arena_clear(&arena);
    return 0;
}
