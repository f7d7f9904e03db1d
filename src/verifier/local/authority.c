#include "verifier/local/authority.h"

#include <stdio.h>
#include <string.h>

#include "core/base64.h"
#include "core/err.h"
#include "core/reader.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "wire/cbor.h"
#include "wire/cose.h"

#define SPKI_MAX (8 * 1024)
#define PEM_MAX  (64 * 1024)

bool atls_authority_equal(const struct atls_authority *a, const struct atls_authority *b)
{
    return atls_bytes_equal(a->spki, b->spki);
}

/* A key that cannot be read names nobody; only what says nothing about the key is passed on. */
static enum atls_code unless_unreadable(enum atls_code code, struct atls_err *err)
{
    if (code == ATLS_E_NOMEM || code == ATLS_E_CRYPTO)
        return code;
    if (err != NULL)
        *err = (struct atls_err)ATLS_ERR_INIT;
    return ATLS_OK;
}

static enum atls_code certificate_names(struct atls_bytes certificate, struct atls_bytes spki,
                                        bool *out, struct atls_err *err)
{
    struct atls_bytes found;
    enum atls_code code = atls_certificate_spki(certificate, &found, err);

    *out = code == ATLS_OK && atls_bytes_equal(found, spki);
    return unless_unreadable(code, err);
}

/* Position of needle in text from start on, or text.len. */
static size_t find(struct atls_bytes text, size_t start, const char *needle)
{
    size_t len = strlen(needle);

    for (size_t i = start; len <= text.len && i <= text.len - len; i++)
        if (memcmp(text.ptr + i, needle, len) == 0)
            return i;
    return text.len;
}

/* Appends what the first block of PEM text of this label holds; false when there is none. */
static bool get_pem(struct atls_bytes pem, const char *label, struct atls_writer *out)
{
    struct atls_writer digits = atls_writer_init(PEM_MAX);
    char begin[40], end[40];
    size_t from, to;
    bool ok;

    snprintf(begin, sizeof begin, "-----BEGIN %s-----", label);
    snprintf(end, sizeof end, "-----END %s-----", label);
    from = find(pem, 0, begin);
    to = find(pem, from, end);
    if (to == pem.len)
        return false;
    for (size_t i = from + strlen(begin); i < to; i++)
        if (pem.ptr[i] != '\n' && pem.ptr[i] != '\r')
            atls_put_u8(&digits, pem.ptr[i]);
    ok = digits.failed == ATLS_OK && atls_base64_get(atls_writer_bytes(&digits), out);
    if (digits.failed != ATLS_OK)
        out->failed = digits.failed;
    atls_writer_clear(&digits);
    return ok;
}

/* The public key, or that of the first certificate, of PEM text. Equal bytes are an equal key, so
 * that it need not be parsed: one that is none equals no authority. */
static enum atls_code pem_names(struct atls_bytes pem, bool is_key, struct atls_bytes spki,
                                bool *out, struct atls_err *err)
{
    struct atls_writer der = atls_writer_init(PEM_MAX);
    enum atls_code code = ATLS_OK;

    *out = false;
    if (get_pem(pem, is_key ? "PUBLIC KEY" : "CERTIFICATE", &der)) {
        if (is_key)
            *out = atls_bytes_equal(atls_writer_bytes(&der), spki);
        else
            code = certificate_names(atls_writer_bytes(&der), spki, out, err);
    }
    if (der.failed == ATLS_E_NOMEM)
        code = atls_fail(err, ATLS_E_NOMEM, "authorized-by: out of memory");
    atls_writer_clear(&der);
    return code;
}

static enum atls_code cose_key_names(struct atls_bytes item, struct atls_bytes spki, bool *out,
                                     struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(SPKI_MAX);
    struct atls_cose_key key;
    enum atls_code code;

    code = atls_cose_key_decode(item, &key, err);
    if (code == ATLS_OK)
        code = atls_cose_put_spki(&w, &key, err);
    if (code == ATLS_OK)
        code = w.failed;
    *out = code == ATLS_OK && atls_bytes_equal(atls_writer_bytes(&w), spki);
    atls_writer_clear(&w);
    return unless_unreadable(code, err);
}

/* A COSE_Key, or a COSE_KeySet of at least one. */
static enum atls_code cose_names(struct atls_bytes item, struct atls_bytes spki, bool *out,
                                 struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(item);
    struct atls_cbor_iter set;
    struct atls_bytes key;
    enum atls_code code;

    *out = false;
    if (!atls_cbor_enter_array(&r, &set))
        return cose_key_names(item, spki, out, err);
    while (atls_cbor_more(&r, &set)) {
        if (!atls_cbor_get_item(&r, &key)) {
            *out = false;
            return ATLS_OK;
        }
        if ((code = cose_key_names(key, spki, out, err)) != ATLS_OK || !*out)
            return code;
    }
    return ATLS_OK;
}

/* [algorithm, digest] of the parts one after the other. */
static enum atls_code thumbprint_names(struct atls_bytes item, const struct atls_bytes *parts,
                                       size_t count, bool *out, struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(item);
    const struct atls_named_hash *row;
    uint8_t digest[ATLS_HASH_MAX];
    struct atls_bytes name, value;
    struct atls_cbor_iter pair;
    enum atls_code code;
    int64_t number;

    *out = false;
    if (count == 0 || !atls_cbor_enter_array(&r, &pair) || pair.left != 2)
        return ATLS_OK;
    if (atls_cbor_get_int(&r, &number))
        row = atls_named_hash_by_number(number);
    else
        row = atls_cbor_get_text(&r, &name) ? atls_named_hash_by_name(name) : NULL;
    if (row == NULL || row->hash == ATLS_HASH_NONE || !atls_cbor_get_bytes(&r, &value) ||
        !atls_reader_done(&r))
        return ATLS_OK;
    if ((code = atls_hash_parts(row->hash, parts, count, digest, err)) != ATLS_OK)
        return code;
    *out = atls_bytes_equal(atls_bytes_of(digest, atls_hash_len(row->hash)), value);
    return ATLS_OK;
}

enum atls_code atls_authority_is_named(const struct atls_authority *authority,
                                       const struct atls_corim_key *key, bool *out,
                                       struct atls_err *err)
{
    *out = false;
    if (authority->spki.len == 0)
        return ATLS_OK;
    switch (key->tag) {
    case ATLS_TAG_PKIX_KEY:
        return pem_names(key->content, true, authority->spki, out, err);
    case ATLS_TAG_PKIX_CERT:
    case ATLS_TAG_PKIX_PATH: /* the leaf comes first */
        return pem_names(key->content, false, authority->spki, out, err);
    case ATLS_TAG_CERT_DER:
        return certificate_names(key->content, authority->spki, out, err);
    case ATLS_TAG_COSE_KEY:
        return cose_names(key->content, authority->spki, out, err);
    case ATLS_TAG_KEY_THUMB:
        return thumbprint_names(key->content, &authority->spki, 1, out, err);
    case ATLS_TAG_CERT_THUMB:
        return thumbprint_names(key->content, authority->chain, authority->chain_count != 0, out,
                                err);
    case ATLS_TAG_PATH_THUMB:
        return thumbprint_names(key->content, authority->chain, authority->chain_count, out, err);
    case ATLS_TAG_BYTES:
    default:
        return ATLS_OK;
    }
}

enum atls_code atls_authority_holds(const struct atls_authority *authority,
                                    const struct atls_corim_key *keys, size_t count, bool *out,
                                    struct atls_err *err)
{
    bool named = true;

    for (size_t i = 0; i < count && named; i++) {
        enum atls_code code = atls_authority_is_named(authority, &keys[i], &named, err);

        if (code != ATLS_OK)
            return code;
    }
    *out = named;
    return ATLS_OK;
}
