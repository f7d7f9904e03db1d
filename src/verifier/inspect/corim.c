#include "core/reader.h"
#include "store/corim_json.h"
#include "verifier/inspect/view.h"
#include "wire/cbor.h"

static enum atls_code view_part(struct atls_view *v, const char *key, struct atls_bytes in,
                                enum store_corim_part part)
{
    struct atls_buf text = ATLS_BUF_INIT;
    enum atls_code code = store_corim_part_json(in, part, 0, &text, v->err);

    if (code == ATLS_OK)
        atls_json_put_raw(v->j, key, atls_buf_bytes(&text));
    atls_buf_clear(&text);
    return code;
}

enum atls_code atls_view_corim(struct atls_view *v, const char *key, struct atls_bytes in)
{
    return view_part(v, key, in, STORE_PART_CORIM);
}

enum atls_code atls_view_comid(struct atls_view *v, const char *key, struct atls_bytes in)
{
    return view_part(v, key, in, STORE_PART_COMID);
}

enum atls_code atls_view_cots(struct atls_view *v, const char *key, struct atls_bytes in)
{
    return view_part(v, key, in, STORE_PART_COTS);
}

enum atls_code atls_view_cotl(struct atls_view *v, const char *key, struct atls_bytes in)
{
    return view_part(v, key, in, STORE_PART_COTL);
}
