/* Claims sets of attestation results: whatever decodes holds what the decoder promises. */
#include <stdlib.h>

#include "wire/ear_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_submod(const struct atls_ear_appraisal *a)
{
    for (unsigned int i = 0; i < ATLS_TRUST_CLAIMS; i++) {
        if (a->trust[i] != 0 && !a->has_vector)
            abort();
        if (!atls_tier_allows(atls_tier_of(a->trust[i]), a->status))
            abort();
    }
    if (a->key.ptr != NULL && a->key.len == 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct atls_ear ear;
    struct atls_err err = ATLS_ERR_INIT;

    if (atls_ear_json_decode(atls_bytes_of(data, size), 0, &ear, &err) != ATLS_OK) {
        if (err.code == ATLS_OK || err.message[0] == '\0')
            abort();
        return 0;
    }
    if (ear.submod_count == 0 || ear.issued_at_s < 0 || ear.build.len == 0 ||
        (ear.has_expiry && ear.expiry_s < ear.issued_at_s))
        abort();
    for (size_t i = 0; i < ear.nonce_count; i++)
        if (ear.nonces[i].len < 8 || ear.nonces[i].len > 64)
            abort();
    for (size_t i = 0; i < ear.submod_count; i++)
        check_submod(&ear.submods[i]);
    atls_ear_clear(&ear);
    return 0;
}
