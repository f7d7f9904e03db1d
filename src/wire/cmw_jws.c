/* Signed CMWs of JOSE. */
#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "wire/cmw_json.h"

static enum atls_code malformed(struct atls_err *err, const char *rule)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "signed JSON CMW: %s", rule);
}

static struct atls_bytes text_of(const json_t *string)
{
    return atls_bytes_of(json_string_value(string), json_string_length(string));
}

/* A segment of the compact form; a dot in it would make two of one. */
static bool is_segment(const json_t *member)
{
    return json_is_string(member) && json_string_length(member) != 0 &&
           memchr(json_string_value(member), '.', json_string_length(member)) == NULL;
}

static enum atls_code put_compact(const json_t *flattened, struct atls_buf *out,
                                  struct atls_err *err)
{
    static const char *const names[] = {"protected", "payload", "signature"};
    const json_t *header = json_object_get(flattened, "header");
    size_t known = header != NULL ? 4 : 3;
    struct atls_writer w = atls_writer_init(ATLS_EAR_MAX);

    if (header != NULL && !json_is_object(header))
        return malformed(err, "\"header\" is no object");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const json_t *member = json_object_get(flattened, names[i]);

        if (!is_segment(member)) {
            atls_writer_clear(&w);
            return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                    "signed JSON CMW: \"%s\" is missing or no base64url", names[i]);
        }
        if (i != 0)
            atls_put_u8(&w, '.');
        atls_put_bytes(&w, text_of(member));
    }
    if (json_object_size(flattened) != known) {
        atls_writer_clear(&w);
        return malformed(err, "members beside those of one flattened signature");
    }
    return atls_writer_finish(&w, out, err);
}

/* RFC 7515 section 4.1.10. */
static bool is_type_of_cmw(const json_t *cty)
{
    static const char *const types[] = {"application/cmw+json", "cmw+json"};

    for (size_t i = 0; json_is_string(cty) && i < sizeof types / sizeof types[0]; i++)
        if (atls_bytes_equal_without_case(text_of(cty), atls_bytes_of(types[i], strlen(types[i]))))
            return true;
    return false;
}

/* RFC 7515 section 7.2.1: no name in both headers, so that none of those that count is unprotected.
 */
static bool is_disjoint(const json_t *header, json_t *other)
{
    for (void *i = json_object_iter(other); i != NULL; i = json_object_iter_next(other, i))
        if (json_object_get(header, json_object_iter_key(i)) != NULL)
            return false;
    return true;
}

static enum atls_code check_header(const struct atls_jws *jws, json_t *flattened,
                                   struct atls_err *err)
{
    json_t *header =
        json_loadb((const char *)jws->header.ptr, jws->header.len, JSON_REJECT_DUPLICATES, NULL);
    const char *rule = NULL;

    if (header == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "signed JSON CMW: no memory");
    if (json_object_get(header, "cty") == NULL)
        rule = "no cty in the protected header";
    else if (!is_type_of_cmw(json_object_get(header, "cty")))
        rule = "cty is not application/cmw+json";
    else if (!is_disjoint(header, json_object_get(flattened, "header")))
        rule = "a member of both headers";
    json_decref(header);
    return rule == NULL ? ATLS_OK : malformed(err, rule);
}

static enum atls_code load(struct atls_bytes in, json_t **out, struct atls_err *err)
{
    json_error_t why;

    if (in.len > ATLS_EAR_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "signed JSON CMW: %zu bytes, want at most %d", in.len,
                         ATLS_EAR_MAX);
    *out = json_loadb((const char *)in.ptr, in.len, JSON_REJECT_DUPLICATES, &why);
    if (*out == NULL && json_error_code(&why) == json_error_out_of_memory)
        return atls_fail(err, ATLS_E_NOMEM, "signed JSON CMW: no memory");
    return *out != NULL ? ATLS_OK : malformed(err, "no JSON object with unique members");
}

enum atls_code atls_cmw_jws_open(struct atls_bytes in, struct atls_cmw_jws *out,
                                 struct atls_err *err)
{
    struct atls_cmw_jws opened = {.compact = ATLS_BUF_INIT};
    json_t *flattened = NULL;
    enum atls_code code;

    if (in.len != 0 && in.ptr[0] == '{')
        code = load(in, &flattened, err);
    else
        code = atls_buf_copy(&opened.compact, in, err);
    if (code == ATLS_OK && flattened != NULL)
        code = put_compact(flattened, &opened.compact, err);
    if (code == ATLS_OK)
        code = atls_jws_decode(atls_buf_bytes(&opened.compact), &opened.jws, err);
    if (code == ATLS_OK && (code = check_header(&opened.jws, flattened, err)) == ATLS_OK)
        *out = opened;
    else
        atls_cmw_jws_clear(&opened);
    json_decref(flattened);
    return code;
}

void atls_cmw_jws_clear(struct atls_cmw_jws *signed_cmw)
{
    atls_jws_clear(&signed_cmw->jws);
    atls_buf_clear(&signed_cmw->compact);
}
