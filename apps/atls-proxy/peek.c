#include "peek.h"

#include <stdbool.h>
#include <string.h>

#include "text.h"

#define RECORD_HEADER    5
#define RECORD_HANDSHAKE 22
#define FRAGMENT_MAX     16384 /* RFC 8446 section 5.1 */
#define CLIENT_HELLO     1
#define EXTENSION_SNI    0
#define EXTENSION_ALPN   16

/* Handshake bytes, whatever records they are in. */
struct cursor {
    const uint8_t *at;
    size_t in_record; /* left of the record that `at` is in; a record's header follows at 0 */
    size_t left;      /* of the message, or of what in it is being read; all of it is there */
};

static bool get_u8(struct cursor *c, uint8_t *out)
{
    if (c->left == 0)
        return false;
    if (c->in_record == 0) {
        c->in_record = (size_t)c->at[3] << 8 | c->at[4];
        c->at += RECORD_HEADER;
    }
    *out = *c->at++;
    c->in_record--;
    c->left--;
    return true;
}

static bool get_u16(struct cursor *c, size_t *out)
{
    uint8_t high = 0, low = 0;

    if (!get_u8(c, &high) || !get_u8(c, &low))
        return false;
    *out = (size_t)high << 8 | low;
    return true;
}

static bool skip(struct cursor *c, size_t len)
{
    uint8_t byte;

    while (len > 0 && get_u8(c, &byte))
        len--;
    return len == 0;
}

/* A vector with a prefix of one or two bytes: from here on c reads it alone; *out_outer is what is
 * left behind it, for leave. */
static bool enter(struct cursor *c, size_t prefix, size_t *out_outer)
{
    uint8_t byte = 0;
    size_t len = 0;

    if (prefix == 1 ? !get_u8(c, &byte) : !get_u16(c, &len))
        return false;
    len += byte;
    if (len > c->left)
        return false;
    *out_outer = c->left - len;
    c->left = len;
    return true;
}

/* Back from a vector that was read to its end. */
static bool leave(struct cursor *c, size_t outer)
{
    if (c->left != 0)
        return false;
    c->left = outer;
    return true;
}

static enum peek_state bad(struct atls_err *err, const char *what)
{
    set_error(err, ATLS_E_DECODE, "ClientHello: %s", what);
    if (err != NULL)
        err->reason = ATLS_REASON_MALFORMED;
    return PEEK_BAD;
}

static enum peek_state over(struct atls_err *err, const char *what)
{
    set_error(err, ATLS_E_LIMIT, "ClientHello: %s", what);
    return PEEK_BAD;
}

/* ---- records ---- */

/* Walks over the records at the beginning of in until they hold a whole message, *out_len bytes of
 * handshake with its header. */
static enum peek_state check_records(struct atls_bytes in, size_t *out_len, struct atls_err *err)
{
    size_t pos = 0, have = 0, want = 4;
    uint8_t head[4];

    while (have < want) {
        size_t len, n;

        if (pos < in.len && in.ptr[pos] != RECORD_HANDSHAKE)
            return pos == 0 ? PEEK_NOT_TLS
                            : bad(err, "a record of another type comes before its end");
        if (in.len - pos > 1 && in.ptr[pos + 1] != 3)
            return pos == 0 ? PEEK_NOT_TLS : bad(err, "record of another version");
        if (in.len - pos < RECORD_HEADER)
            return PEEK_MORE;
        len = (size_t)in.ptr[pos + 3] << 8 | in.ptr[pos + 4];
        if (len == 0 || len > FRAGMENT_MAX)
            return bad(err, "record is empty, or over 16384 bytes");
        pos += RECORD_HEADER;
        n = len < in.len - pos ? len : in.len - pos;
        for (size_t i = 0; i < n && have + i < 4; i++)
            head[have + i] = in.ptr[pos + i];
        if (have + n > 0 && head[0] != CLIENT_HELLO)
            return bad(err, "is a handshake message of another type");
        if (have + n >= 4) {
            want = 4 + ((size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3]);
            if (want > PEEK_MAX)
                return over(err, "is over 16384 bytes");
            if (want < have + len)
                return bad(err, "something follows it in its record");
        }
        have += n;
        pos += n;
        if (n < len)
            return PEEK_MORE;
    }
    *out_len = want;
    return PEEK_FOUND;
}

/* ---- what it says ---- */

/* Letters, digits, hyphens and underscores in labels that are not empty. */
static bool read_host(struct cursor *c, struct peek *out)
{
    size_t n = 0;
    uint8_t byte = 0;
    char last = '.';

    while (get_u8(c, &byte)) {
        char ch = (char)(byte >= 'A' && byte <= 'Z' ? byte + ('a' - 'A') : byte);

        if (n + 1 >= sizeof out->sni)
            return false;
        if (!((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '-' || ch == '_' ||
              (ch == '.' && last != '.')))
            return false;
        out->sni[n++] = last = ch;
    }
    out->sni[n] = '\0';
    return last != '.';
}

/* RFC 6066 section 3: a list, in which each type of name stands once; there is but one type. */
static bool read_sni(struct cursor *c, struct peek *out)
{
    uint8_t type = 0xff;
    size_t outer = 0, inner = 0;

    return enter(c, 2, &outer) && get_u8(c, &type) && type == 0 && enter(c, 2, &inner) &&
           read_host(c, out) && leave(c, inner) && leave(c, outer);
}

struct names {
    size_t used;
    bool over;
};

static bool read_name(struct cursor *c, struct peek *out, struct names *names)
{
    size_t outer = 0, begin = names->used;
    bool has_zero = false;
    uint8_t byte;

    if (!enter(c, 1, &outer) || c->left == 0)
        return false;
    if (c->left + 1 > sizeof out->text - begin || out->alpn_count == PEEK_ALPN_MAX) {
        names->over = true;
        return false;
    }
    while (get_u8(c, &byte)) {
        has_zero = has_zero || byte == 0;
        out->text[names->used++] = (char)byte;
    }
    out->text[names->used++] = '\0';
    if (has_zero)
        names->used = begin;
    else
        out->alpn[out->alpn_count++] = out->text + begin;
    return leave(c, outer);
}

static bool read_alpn(struct cursor *c, struct peek *out, struct names *names)
{
    size_t outer = 0;

    if (!enter(c, 2, &outer) || c->left == 0)
        return false;
    while (c->left > 0)
        if (!read_name(c, out, names))
            return false;
    return leave(c, outer);
}

static enum peek_state read_extensions(struct cursor *c, struct peek *out, struct atls_err *err)
{
    struct names names = {0, false};
    bool has_sni = false, has_alpn = false;

    while (c->left > 0) {
        size_t type = 0, outer = 0;

        if (!get_u16(c, &type) || !enter(c, 2, &outer))
            return bad(err, "extension is cut");
        if (type == EXTENSION_SNI) {
            if (has_sni || !read_sni(c, out))
                return bad(err, "server_name: is there twice, or no one host name");
            has_sni = true;
        } else if (type == EXTENSION_ALPN) {
            if (has_alpn || !read_alpn(c, out, &names))
                return names.over
                           ? over(err, "ALPN: over 32 names or 1024 bytes")
                           : bad(err, "application_layer_protocol_negotiation: is there twice, "
                                      "empty, or no list of names");
            has_alpn = true;
        } else if (!skip(c, c->left)) {
            return bad(err, "extension is cut");
        }
        if (!leave(c, outer))
            return bad(err, "extension has bytes behind its end");
    }
    return PEEK_FOUND;
}

/* legacy_session_id<0..32>, cipher_suites<2..2^16-2>, legacy_compression_methods<1..2^8-1> */
static bool skip_vectors(struct cursor *c)
{
    size_t outer = 0;

    if (!enter(c, 1, &outer) || c->left > 32 || !skip(c, c->left) || !leave(c, outer))
        return false;
    if (!enter(c, 2, &outer) || c->left < 2 || c->left % 2 != 0 || !skip(c, c->left) ||
        !leave(c, outer))
        return false;
    return enter(c, 1, &outer) && c->left > 0 && skip(c, c->left) && leave(c, outer);
}

enum peek_state peek_client_hello(struct atls_bytes in, struct peek *out, struct atls_err *err)
{
    struct cursor c = {in.ptr, 0, 0};
    enum peek_state state;
    size_t outer = 0;

    if (in.len > PEEK_MAX)
        in.len = PEEK_MAX;
    if ((state = check_records(in, &c.left, err)) != PEEK_FOUND)
        return state == PEEK_MORE && in.len == PEEK_MAX ? over(err, "is over 16384 bytes") : state;
    out->sni[0] = '\0';
    out->alpn_count = 0;
    /* Type and length, legacy_version, random. */
    if (!skip(&c, 4 + 2 + 32) || !skip_vectors(&c))
        return bad(err, "is cut before its extensions");
    if (c.left == 0) /* of TLS 1.2, which handshakes refuse */
        return PEEK_FOUND;
    if (!enter(&c, 2, &outer) || outer != 0)
        return bad(err, "extensions do not end where it does");
    return read_extensions(&c, out, err);
}
