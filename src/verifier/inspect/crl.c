#include <string.h>

#include "core/err.h"
#include "crypto/crypto.h"
#include "verifier/inspect/x509.h"

/* Lists of one PEM text. */
#define LISTS_MAX 16

/* Where the parts of a list lie (RFC 5280 section 5.1); absent ones have .ptr NULL. */
struct list {
    struct atls_bytes issuer, this_update, next_update;
    struct atls_bytes revoked;    /* content of revokedCertificates */
    struct atls_bytes extensions; /* content */
};

struct entry {
    struct atls_bytes serial, date, extensions;
};

static enum atls_code malformed(struct atls_err *err, const char *field)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                            "revocation list: %s is missing or malformed", field);
}

static bool get_time(struct atls_reader *r, struct atls_bytes *out)
{
    struct atls_reader ahead = *r;
    struct atls_der e;
    char text[24];

    if (!atls_der_get_any(&ahead, &e) || !atls_x509_time_text(e.content, e.tag, text))
        return false;
    *out = e.whole;
    *r = ahead;
    return true;
}

static bool get_entry(struct atls_reader *r, struct entry *out)
{
    struct atls_bytes content;
    struct atls_reader entry;

    memset(out, 0, sizeof *out);
    if (!atls_der_get(r, ATLS_DER_SEQUENCE, &content))
        return false;
    entry = atls_reader_init(content);
    return atls_der_get(&entry, ATLS_DER_INTEGER, &out->serial) && get_time(&entry, &out->date) &&
           (atls_reader_done(&entry) ||
            atls_der_get(&entry, ATLS_DER_SEQUENCE, &out->extensions)) &&
           atls_reader_done(&entry);
}

static bool entries_are_well_formed(struct atls_bytes revoked)
{
    struct atls_reader r = atls_reader_init(revoked);
    struct entry e;

    while (!atls_reader_done(&r))
        if (!get_entry(&r, &e))
            return false;
    return true;
}

/* crlExtensions [0], the last of the signed part. */
static bool get_extensions(struct atls_reader *r, struct list *out)
{
    struct atls_bytes tagged;
    struct atls_reader inner;

    if (atls_reader_done(r))
        return true;
    if (!atls_der_get(r, ATLS_DER_CONTEXT_CONSTRUCTED(0), &tagged) || !atls_reader_done(r))
        return false;
    inner = atls_reader_init(tagged);
    return atls_der_get(&inner, ATLS_DER_SEQUENCE, &out->extensions) && atls_reader_done(&inner);
}

static enum atls_code walk_signed_part(struct atls_bytes part, struct list *out,
                                       struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(part);
    struct atls_der e;

    if (!atls_der_get_any(&r, &e))
        return malformed(err, "tbsCertList");
    if (e.tag == ATLS_DER_INTEGER && !atls_der_get_any(&r, &e)) /* version: absent of the first */
        return malformed(err, "version");
    if (e.tag != ATLS_DER_SEQUENCE)
        return malformed(err, "signature");
    if (!atls_der_get(&r, ATLS_DER_SEQUENCE, &out->issuer))
        return malformed(err, "issuer");
    if (!get_time(&r, &out->this_update))
        return malformed(err, "thisUpdate");
    if (!get_time(&r, &out->next_update))
        out->next_update = atls_bytes_of(NULL, 0);
    if (atls_der_get(&r, ATLS_DER_SEQUENCE, &out->revoked) &&
        !entries_are_well_formed(out->revoked))
        return malformed(err, "entry of revokedCertificates");
    return get_extensions(&r, out) ? ATLS_OK : malformed(err, "crlExtensions");
}

static enum atls_code walk(struct atls_bytes der, struct list *out, struct atls_err *err)
{
    struct atls_reader outer = atls_reader_init(der), r;
    struct atls_bytes body, part, skipped;

    memset(out, 0, sizeof *out);
    if (!atls_der_get(&outer, ATLS_DER_SEQUENCE, &body) || !atls_reader_done(&outer))
        return malformed(err, "SEQUENCE");
    r = atls_reader_init(body);
    if (!atls_der_get(&r, ATLS_DER_SEQUENCE, &part) ||
        !atls_der_get(&r, ATLS_DER_SEQUENCE, &skipped) || !atls_der_get_bit_string(&r, &skipped) ||
        !atls_reader_done(&r))
        return malformed(err, "signature");
    return walk_signed_part(part, out, err);
}

static void put_list(struct atls_view *v, const char *key, const struct list *list)
{
    struct atls_reader r = atls_reader_init(list->revoked);
    struct entry e;

    atls_json_open_object(v->j, key);
    atls_x509_put_name(v->j, "issuer", list->issuer);
    atls_x509_put_time(v->j, "this-update", list->this_update);
    if (list->next_update.ptr != NULL)
        atls_x509_put_time(v->j, "next-update", list->next_update);
    atls_json_open_array(v->j, "revoked");
    while (get_entry(&r, &e)) {
        atls_json_open_object(v->j, NULL);
        atls_json_put_hex(v->j, "serial", e.serial);
        atls_x509_put_time(v->j, "date", e.date);
        if (e.extensions.ptr != NULL)
            atls_x509_put_extensions(v, "extensions", e.extensions);
        atls_json_close(v->j);
    }
    atls_json_close(v->j);
    atls_x509_put_extensions(v, "extensions", list->extensions);
    atls_json_close(v->j);
}

/* All are read before the first is written. */
static enum atls_code view_lists(struct atls_view *v, const char *key, const struct atls_buf *ders,
                                 size_t count)
{
    struct list lists[LISTS_MAX];
    enum atls_code code;

    for (size_t i = 0; i < count; i++)
        if ((code = walk(atls_buf_bytes(&ders[i]), &lists[i], v->err)) != ATLS_OK)
            return code;
    if (count == 1) {
        put_list(v, key, &lists[0]);
        return ATLS_OK;
    }
    atls_json_open_object(v->j, key);
    atls_json_open_array(v->j, "lists");
    for (size_t i = 0; i < count; i++)
        put_list(v, NULL, &lists[i]);
    atls_json_close(v->j);
    atls_json_close(v->j);
    return ATLS_OK;
}

enum atls_code atls_view_crl(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_buf ders[LISTS_MAX] = {ATLS_BUF_INIT};
    enum atls_code code;
    size_t count = 0;

    if ((code = atls_crls_split(in, ders, LISTS_MAX, &count, v->err)) == ATLS_OK)
        code = view_lists(v, key, ders, count);
    for (size_t i = 0; i < count; i++)
        atls_buf_clear(&ders[i]);
    return code;
}
