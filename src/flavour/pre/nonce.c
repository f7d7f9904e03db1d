#include "flavour/pre/pre.h"

#include <arpa/inet.h>
#include <string.h>

#include "core/base32.h"
#include "core/err.h"
#include "core/reader.h"
#include "crypto/der.h"

#define LABEL_MAX 63

_Static_assert(ATLS_PRE_NONCE_LETTERS == ATLS_BASE32_LEN(ATLS_RA_NONCE_LEN), "one label");

static bool is_address(const char *name)
{
    unsigned char address[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

static bool is_host_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

/* Labels of 1 to 63 letters; the last dot of an absolute name is left out of *out_len. */
static bool is_host(const char *name, size_t *out_len)
{
    size_t len = strlen(name), label = 0;

    if (len > 1 && name[len - 1] == '.')
        len--;
    for (size_t i = 0; i < len; i++) {
        if (name[i] == '.' ? label == 0 : !is_host_letter(name[i]))
            return false;
        label = name[i] == '.' ? 0 : label + 1;
        if (label > LABEL_MAX)
            return false;
    }
    *out_len = len;
    return label != 0;
}

static enum atls_code put_letters(const struct atls_pre_nonce *nonce,
                                  char out[ATLS_PRE_NONCE_LETTERS], struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(ATLS_PRE_NONCE_LETTERS);

    atls_base32_put(&w, atls_pre_nonce_bytes(nonce));
    if (w.failed != ATLS_OK)
        return atls_fail(err, w.failed, "nonce: out of memory");
    memcpy(out, w.ptr, ATLS_PRE_NONCE_LETTERS);
    atls_writer_clear(&w);
    return ATLS_OK;
}

enum atls_code atls_pre_host_make(const struct atls_pre_nonce *nonce, const char *name,
                                  char out[ATLS_PRE_HOST_MAX + 1], struct atls_err *err)
{
    const char *host = name == NULL || is_address(name) ? ATLS_PRE_NO_NAME : name;
    char letters[ATLS_PRE_NONCE_LETTERS];
    enum atls_code code;
    size_t len;

    if (!is_host(host, &len))
        return atls_fail(err, ATLS_E_CONFIG,
                         "server name: no host name, which freshness nonce wants");
    if (len > ATLS_PRE_HOST_MAX - sizeof letters - 1)
        return atls_fail(err, ATLS_E_CONFIG,
                         "server name: %zu letters, want at most %zu: freshness nonce puts %zu "
                         "before them",
                         len, ATLS_PRE_HOST_MAX - sizeof letters - 1, sizeof letters + 1);
    if ((code = put_letters(nonce, letters, err)) != ATLS_OK)
        return code;
    memcpy(out, letters, sizeof letters);
    out[sizeof letters] = '.';
    memcpy(out + sizeof letters + 1, host, len);
    out[sizeof letters + 1 + len] = '\0';
    return ATLS_OK;
}

bool atls_pre_host_read(struct atls_bytes host, struct atls_pre_nonce *out)
{
    const size_t letters = ATLS_PRE_NONCE_LETTERS;

    return host.len > letters + 1 && host.len <= ATLS_PRE_HOST_MAX && host.ptr[letters] == '.' &&
           atls_base32_get(atls_bytes_of(host.ptr, letters), out->bytes, sizeof out->bytes);
}

/* Name { RelativeDistinguishedName { commonName } } up to the value (RFC 5280 section 4.1.2.4). */
static const uint8_t id_common_name[] = {0x55, 0x04, 0x03};

enum atls_code atls_pre_authority_make(const struct atls_pre_nonce *nonce, struct atls_buf *out,
                                       struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(128);
    char letters[ATLS_PRE_NONCE_LETTERS];
    enum atls_code code = put_letters(nonce, letters, err);
    size_t name, set, pair;

    if (code != ATLS_OK)
        return code;
    name = atls_der_open(&w, ATLS_DER_SEQUENCE);
    set = atls_der_open(&w, ATLS_DER_SET);
    pair = atls_der_open(&w, ATLS_DER_SEQUENCE);
    atls_der_put(&w, ATLS_DER_OID, atls_bytes_of(id_common_name, sizeof id_common_name));
    atls_der_put(&w, ATLS_DER_UTF8_STRING, atls_bytes_of(letters, sizeof letters));
    atls_der_close(&w, pair);
    atls_der_close(&w, set);
    atls_der_close(&w, name);
    return atls_writer_finish(&w, out, err);
}

/* The one element of this tag that in holds. */
static bool get_only(struct atls_bytes in, uint8_t tag, struct atls_bytes *out)
{
    struct atls_reader r = atls_reader_init(in);

    return atls_der_get(&r, tag, out) && atls_reader_done(&r);
}

bool atls_pre_authority_read(struct atls_bytes name, struct atls_pre_nonce *out)
{
    struct atls_bytes content, set, pair, type, letters;
    struct atls_reader r;

    if (!get_only(name, ATLS_DER_SEQUENCE, &content) || !get_only(content, ATLS_DER_SET, &set) ||
        !get_only(set, ATLS_DER_SEQUENCE, &pair))
        return false;
    r = atls_reader_init(pair);
    if (!atls_der_get(&r, ATLS_DER_OID, &type) ||
        !atls_bytes_equal(type, atls_bytes_of(id_common_name, sizeof id_common_name)) ||
        !atls_der_get(&r, ATLS_DER_UTF8_STRING, &letters) || !atls_reader_done(&r))
        return false;
    return atls_base32_get(letters, out->bytes, sizeof out->bytes);
}
