/* Manifest templates in JSON: what is made from one decodes, shows as text, and imports whole or
 * not at all; the text of a store's export goes through the same reader. */
#include <stdlib.h>

#include <atls/corim.h>

#include "store/json.h"
#include "store/manifest.h"
#include "wire/corim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_bytes in = atls_bytes_of(data, size);
    struct atls_buf manifest = ATLS_BUF_INIT, text = ATLS_BUF_INIT;
    const struct store_manifest_trust nobody = {.anchors = NULL};
    struct store_manifest opened;
    json_t *shown;

    if (atls_corim_create(in, &manifest, NULL) != ATLS_OK) {
        must(manifest.ptr == NULL);
        return 0;
    }
    must(store_manifest_open(atls_buf_bytes(&manifest), &nobody, &opened, NULL) == ATLS_OK);
    must(store_manifest_check(&opened.corim, NULL, NULL) == ATLS_OK);
    must(opened.corim.unknown_members == 0 && opened.corim.tag_count == 1);
    atls_corim_clear(&opened.corim);
    must(atls_corim_to_json(atls_buf_bytes(&manifest), &text, NULL) == ATLS_OK);
    must(store_json_load(atls_buf_bytes(&text), text.len, &shown, NULL) == ATLS_OK);
    json_decref(shown);
    atls_buf_clear(&manifest);
    atls_buf_clear(&text);
    return 0;
}
