/* Evidence as a source of reference values, and of the documents that it needs: whatever it says, a
 * template that comes out is JSON that either becomes a manifest or is refused. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <atls/corim.h>

#include "evidence/wanted.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static enum atls_code wanted(void *arg, const struct atls_collateral_query *query,
                             struct atls_err *err)
{
    (void)arg;
    (void)err;
    require(atls_collateral_row_of(query->kind) != NULL);
    require(atls_collateral_subject_valid(query->subject));
    return ATLS_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const profiles[] = {NULL, "cca-platform", "cca-realm"};
    const struct atls_bytes in = {data, size};

    (void)!atls_evidence_wanted(in, wanted, NULL, NULL);
    for (size_t i = 0; i < sizeof profiles / sizeof profiles[0]; i++) {
        const struct atls_corim_evidence_options options = {.id = "i", .profile = profiles[i]};
        struct atls_buf template = ATLS_BUF_INIT, manifest = ATLS_BUF_INIT;

        if (atls_corim_template_of_evidence(in, &options, &template, NULL) == ATLS_OK) {
            (void)!atls_corim_create(atls_buf_bytes(&template), &manifest, NULL);
            atls_buf_clear(&manifest);
        }
        atls_buf_clear(&template);
    }
    return 0;
}
