/* What keys are enrolled for: only evidence of that technology is believed for them. */
#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "store/db.h"
#include "wire/cbor.h"

#define UEID_LEN         33
#define PROFILE_ITEM_MAX 256
#define TDX_OID_TEXT     "2.16.840.1.113741.1.16.1"

const char *store_technology_of_scheme(enum atls_corim_scheme scheme)
{
    static const struct atls_technology *const technologies[] = {
        [ATLS_CORIM_SCHEME_NONE] = NULL,
        [ATLS_CORIM_SCHEME_PSA] = &atls_technology_psa,
        [ATLS_CORIM_SCHEME_CCA_PLATFORM] = &atls_technology_cca,
        [ATLS_CORIM_SCHEME_CCA_REALM] = &atls_technology_cca,
        [ATLS_CORIM_SCHEME_PARSEC_TPM] = &atls_technology_tpm,
        [ATLS_CORIM_SCHEME_PARSEC_CCA] = &atls_technology_cca,
        [ATLS_CORIM_SCHEME_ENACTTRUST_TPM] = &atls_technology_tpm,
        [ATLS_CORIM_SCHEME_SEV_SNP] = &atls_technology_snp,
        [ATLS_CORIM_SCHEME_SEV_SNP_ANCHOR] = &atls_technology_snp,
        [ATLS_CORIM_SCHEME_TDX] = &atls_technology_tdx,
        [ATLS_CORIM_SCHEME_SOFT] = &atls_technology_soft,
    };
    const struct atls_technology *technology = technologies[scheme];

    return technology == NULL ? NULL : technology->name;
}

enum atls_code store_technology_unsaid(const struct store_key_row *row, const char **out,
                                       struct atls_err *err)
{
    uint8_t digest[ATLS_HASH_MAX];
    enum atls_code code;

    *out = atls_technology_tpm.name;
    if (row->public_area.len != 0 || row->instance.len != UEID_LEN || row->instance.ptr[0] != 0x01)
        return ATLS_OK;
    code = atls_hash_one(ATLS_HASH_SHA256, row->spki, digest, err);
    if (code == ATLS_OK && memcmp(row->instance.ptr + 1, digest, UEID_LEN - 1) == 0)
        *out = atls_technology_soft.name;
    return code;
}

/* ---- keys on file of before ---- */

/* The text is that of store/import_manifest.c: a URI, or an OID in dots, which one profile alone
 * has; anything else, and none, is no scheme. */
static enum atls_code scheme_of_text(struct atls_bytes profile, enum atls_corim_scheme *out,
                                     struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(PROFILE_ITEM_MAX);
    const struct atls_corim_profile *found;

    *out = ATLS_CORIM_SCHEME_NONE;
    if (atls_bytes_equal_text(profile, TDX_OID_TEXT)) {
        *out = ATLS_CORIM_SCHEME_TDX;
        return ATLS_OK;
    }
    if (profile.len == 0)
        return ATLS_OK;
    atls_cbor_put_tag(&w, ATLS_TAG_URI);
    atls_cbor_put_text_bytes(&w, profile);
    if (w.failed != ATLS_OK) {
        atls_writer_clear(&w);
        return atls_fail(err, w.failed, "store: the profile of a manifest cannot be kept");
    }
    found = atls_corim_profile_find(atls_writer_bytes(&w));
    if (found != NULL)
        *out = found->scheme;
    atls_writer_clear(&w);
    return ATLS_OK;
}

static enum atls_code name_technology(void *arg, const struct store_query *q, struct atls_err *err)
{
    const struct store_key_row row = {.instance = store_column(q, 2),
                                      .spki = store_column(q, 3),
                                      .public_area = store_column(q, 4)};
    struct store_query put = store_query(arg, SQL_KEY_SET_TECHNOLOGY);
    enum atls_corim_scheme scheme = ATLS_CORIM_SCHEME_NONE;
    const char *technology;
    enum atls_code code;

    if (!store_column_is_null(q, 12) &&
        (code = scheme_of_text(store_column(q, 12), &scheme, err)) != ATLS_OK)
        return code;
    technology = store_technology_of_scheme(scheme);
    if (technology == NULL && (code = store_technology_unsaid(&row, &technology, err)) != ATLS_OK)
        return code;
    store_bind_int(&put, 1, store_column_int(q, 0));
    store_bind_text(&put, 2, atls_bytes_of(technology, strlen(technology)));
    return store_run(&put, NULL, err);
}

enum atls_code store_bring_up_to_date(struct store_connection *c, int64_t before,
                                      struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    if (before < STORE_TECHNOLOGY_BELOW)
        code = store_each(c, SQL_KEY_LIST, name_technology, c, err);
    if (code == ATLS_OK && before < STORE_READ_AGAIN_BELOW)
        code = store_read_manifests_again(c, err);
    return code;
}
