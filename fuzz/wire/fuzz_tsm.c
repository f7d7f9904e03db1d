/* TSM reports: what decodes is written again, and reads the same. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/tsm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct atls_bytes in = {data, size};
    struct atls_writer w = atls_writer_init(1 << 20);
    struct atls_tsm_report first, second;

    if (atls_tsm_report_decode(in, &first, NULL) != ATLS_OK)
        return 0;
    REQUIRE(first.outblob.len > 0);
    REQUIRE((first.manifest.ptr == NULL) == (first.service_provider.ptr == NULL));
    atls_tsm_report_put(&w, &first);
    REQUIRE(w.failed == ATLS_OK);
    if (first.provider.ptr[first.provider.len - 1] != '\n') {
        REQUIRE(atls_tsm_report_decode(atls_writer_bytes(&w), &second, NULL) == ATLS_OK);
        REQUIRE(atls_bytes_equal(first.provider, second.provider));
        REQUIRE(atls_bytes_equal(first.outblob, second.outblob));
        REQUIRE(atls_bytes_equal(first.auxblob, second.auxblob));
        REQUIRE(atls_bytes_equal(first.manifest, second.manifest));
        REQUIRE(atls_bytes_equal(first.service_provider, second.service_provider));
    }
    atls_writer_clear(&w);
    return 0;
}
