#include "wire/tpm_ima_log.h"

#include <string.h>

#include <atls/limits.h>

#include "core/err.h"

/* struct ima_template_data of template "ima": a SHA-1 digest and a path padded with zeros. */
#define IMA_DIGEST_LEN    20
#define IMA_PATH_LEN      256
#define TEMPLATE_NAME_MAX 15
#define ALGORITHM_MAX     16
#define DIGEST_MAX        64

enum third_field { THIRD_NONE, THIRD_SIGNATURE, THIRD_BUFFER };

struct template_row {
    const char *name;
    bool fixed; /* two fields of fixed length in place of counted ones */
    enum third_field third;
};

static const struct template_row templates[] = {
    {"ima", true, THIRD_NONE},
    {"ima-ng", false, THIRD_NONE},
    {"ima-ngv2", false, THIRD_NONE},
    {"ima-sig", false, THIRD_SIGNATURE},
    {"ima-sigv2", false, THIRD_SIGNATURE},
    {"ima-buf", false, THIRD_BUFFER},
};

static const struct template_row *find_template(struct atls_bytes name)
{
    for (size_t i = 0; i < sizeof templates / sizeof templates[0]; i++)
        if (atls_bytes_equal_text(name, templates[i].name))
            return &templates[i];
    return NULL;
}

struct atls_ima_log atls_ima_log_init(struct atls_bytes in)
{
    struct atls_ima_log log;

    log.r = atls_reader_init(in);
    log.scratch = atls_writer_init(ATLS_IMA_TEMPLATE_DATA_MAX);
    /* A PCR index is small: three of the four bytes of a binary one are zeros. */
    log.ascii = in.len > 0 && memchr(in.ptr, 0, in.len < 4 ? in.len : 4) == NULL;
    return log;
}

bool atls_ima_log_done(const struct atls_ima_log *log)
{
    return atls_reader_done(&log->r);
}

void atls_ima_log_clear(struct atls_ima_log *log)
{
    atls_writer_clear(&log->scratch);
}

/* ---- fields of template data ---- */

static bool get_counted(struct atls_reader *r, struct atls_bytes *out)
{
    uint32_t len;

    return atls_get_u32le(r, &len) && atls_get_bytes(r, len, out);
}

/* Bytes before the last one that equals delimiter; false when there is none. */
static bool split_last(struct atls_bytes in, char delimiter, struct atls_bytes *head,
                       struct atls_bytes *tail)
{
    for (size_t i = in.len; i > 0; i--) {
        if (in.ptr[i - 1] != (uint8_t)delimiter)
            continue;
        *head = atls_bytes_of(in.ptr, i - 1);
        *tail = atls_bytes_of(in.ptr + i, in.len - i);
        return true;
    }
    return false;
}

static bool split_first(struct atls_bytes in, char delimiter, struct atls_bytes *head,
                        struct atls_bytes *tail)
{
    const uint8_t *at = in.len == 0 ? NULL : memchr(in.ptr, delimiter, in.len);

    if (at == NULL)
        return false;
    *head = atls_bytes_of(in.ptr, (size_t)(at - in.ptr));
    *tail = atls_bytes_of(at + 1, in.len - head->len - 1);
    return true;
}

/* "sha256:" NUL digest, or "ima:sha256:" NUL digest in the v2 templates. */
static bool get_digest_field(struct atls_bytes field, struct atls_ima_entry *e)
{
    struct atls_bytes prefix, name, rest;

    if (!split_first(field, '\0', &prefix, &e->digest) || !split_last(prefix, ':', &name, &rest) ||
        rest.len != 0)
        return false;
    if (split_last(name, ':', &rest, &prefix))
        name = prefix;
    e->algorithm = name;
    return name.len > 0 && name.len <= ALGORITHM_MAX && e->digest.len > 0 &&
           e->digest.len <= DIGEST_MAX;
}

static bool get_path_field(struct atls_bytes field, struct atls_ima_entry *e)
{
    struct atls_bytes rest;

    return split_first(field, '\0', &e->path, &rest) && rest.len == 0;
}

/* struct signature_v2_hdr (security/integrity/integrity.h), version 2 or 3, of a type that IMA
 * logs: 3 IMA or EVM signature, 5 portable EVM signature, 6 fs-verity signature. */
static bool signature_valid(struct atls_bytes signature)
{
    struct atls_reader r = atls_reader_init(signature);
    struct atls_bytes value;
    uint32_t key_id;
    uint8_t type, version, hash;

    return signature.len == 0 || (atls_get_u8(&r, &type) && (type == 3 || type == 5 || type == 6) &&
                                  atls_get_u8(&r, &version) && (version == 2 || version == 3) &&
                                  atls_get_u8(&r, &hash) && atls_get_u32(&r, &key_id) &&
                                  atls_get_vec(&r, 1, 0xffff, &value) && atls_reader_done(&r));
}

static bool get_third_field(struct atls_reader *r, enum third_field third, struct atls_ima_entry *e)
{
    switch (third) {
    case THIRD_SIGNATURE:
        return get_counted(r, &e->signature) && signature_valid(e->signature);
    case THIRD_BUFFER:
        return get_counted(r, &e->buffer);
    case THIRD_NONE:
    default:
        return true;
    }
}

/* Reads the fields out of the template data, which must be used up. */
static bool get_fields(const struct template_row *t, struct atls_ima_entry *e)
{
    struct atls_reader r = atls_reader_init(e->template_data);
    struct atls_bytes digest, path;

    if (t->fixed) {
        e->algorithm = atls_bytes_of("sha1", 4);
        return atls_get_bytes(&r, IMA_DIGEST_LEN, &e->digest) &&
               atls_get_bytes(&r, IMA_PATH_LEN, &path) && split_first(path, '\0', &e->path, &path);
    }
    return get_counted(&r, &digest) && get_digest_field(digest, e) && get_counted(&r, &path) &&
           get_path_field(path, e) && get_third_field(&r, t->third, e) && atls_reader_done(&r);
}

/* ---- template data that the log does not hold as such ---- */

/* digest is IMA_DIGEST_LEN bytes. */
static bool put_fixed(struct atls_writer *w, struct atls_bytes digest, struct atls_bytes path)
{
    static const uint8_t zeros[IMA_PATH_LEN];

    if (path.len >= IMA_PATH_LEN)
        return false;
    atls_put_bytes(w, digest);
    atls_put_bytes(w, path);
    atls_put_bytes(w, atls_bytes_of(zeros, IMA_PATH_LEN - path.len));
    return true;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Exactly len bytes in lower-case digits, as the kernel prints them. */
static bool unhex(struct atls_bytes hex, uint8_t *out, size_t len)
{
    if (hex.len != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = hex_digit(hex.ptr[2 * i]), low = hex_digit(hex.ptr[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool put_hex(struct atls_writer *w, struct atls_bytes hex)
{
    uint8_t byte;

    if (hex.len % 2 != 0)
        return false;
    for (size_t i = 0; i < hex.len; i += 2) {
        if (!unhex(atls_bytes_of(hex.ptr + i, 2), &byte, 1))
            return false;
        atls_put_u8(w, byte);
    }
    return true;
}

/* "sha256:HEX" as {length, "sha256:" NUL digest}. */
static bool put_digest_field(struct atls_writer *w, struct atls_bytes text)
{
    struct atls_bytes prefix, hex;

    if (!split_last(text, ':', &prefix, &hex))
        return false;
    atls_put_u32le(w, (uint32_t)(prefix.len + 2 + hex.len / 2));
    atls_put_bytes(w, prefix);
    atls_put_u8(w, ':');
    atls_put_u8(w, 0);
    return put_hex(w, hex);
}

static bool put_counted_fields(struct atls_writer *w, const struct template_row *t,
                               struct atls_bytes text)
{
    struct atls_bytes digest, path, third = {NULL, 0};

    if (!split_first(text, ' ', &digest, &path) || !put_digest_field(w, digest))
        return false;
    /* A path may hold spaces; what follows it holds none. */
    if (t->third != THIRD_NONE && !split_last(path, ' ', &path, &third))
        return false;
    atls_put_u32le(w, (uint32_t)(path.len + 1));
    atls_put_bytes(w, path);
    atls_put_u8(w, 0);
    if (t->third == THIRD_NONE)
        return true;
    atls_put_u32le(w, (uint32_t)(third.len / 2));
    return put_hex(w, third);
}

static bool put_fixed_fields(struct atls_writer *w, struct atls_bytes text)
{
    struct atls_bytes hex, path;
    uint8_t digest[IMA_DIGEST_LEN];

    return split_first(text, ' ', &hex, &path) && unhex(hex, digest, sizeof digest) &&
           put_fixed(w, atls_bytes_of(digest, sizeof digest), path);
}

/* ---- entries ---- */

static bool get_index(struct atls_bytes digits, uint32_t *out)
{
    uint32_t index = 0;

    if (digits.len < 1 || digits.len > 2)
        return false;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
            return false;
        index = index * 10 + (uint32_t)(digits.ptr[i] - '0');
    }
    *out = index;
    return true;
}

/* "10 HEX TEMPLATE FIELDS" and a newline, which tools tend to strip from the last line; the kernel
 * pads the index to two characters. */
static bool get_ascii(struct atls_ima_log *log, struct atls_ima_entry *e)
{
    struct atls_bytes left = {log->r.in.ptr + log->r.pos, atls_reader_left(&log->r)};
    struct atls_bytes line = left, index, hash, rest;
    const struct template_row *t;

    if (split_first(left, '\n', &line, &rest))
        log->r.pos += line.len + 1;
    else
        log->r.pos = log->r.in.len;
    if (line.len > 0 && line.ptr[0] == ' ')
        line = atls_bytes_of(line.ptr + 1, line.len - 1);
    if (!split_first(line, ' ', &index, &line) || !get_index(index, &e->pcr) ||
        !split_first(line, ' ', &hash, &line) ||
        !unhex(hash, e->template_hash, sizeof e->template_hash) ||
        !split_first(line, ' ', &e->template_name, &line) ||
        (t = find_template(e->template_name)) == NULL)
        return false;
    return t->fixed ? put_fixed_fields(&log->scratch, line)
                    : put_counted_fields(&log->scratch, t, line);
}

static bool get_binary(struct atls_ima_log *log, struct atls_ima_entry *e)
{
    struct atls_reader *r = &log->r;
    struct atls_bytes hash, digest, path;
    const struct template_row *t;

    if (!atls_get_u32le(r, &e->pcr) || !atls_get_bytes(r, ATLS_IMA_TEMPLATE_HASH_LEN, &hash) ||
        !get_counted(r, &e->template_name) || e->template_name.len == 0 ||
        e->template_name.len > TEMPLATE_NAME_MAX)
        return false;
    memcpy(e->template_hash, hash.ptr, hash.len);
    t = find_template(e->template_name);
    if (t == NULL || !t->fixed)
        return get_counted(r, &e->template_data) &&
               e->template_data.len <= ATLS_IMA_TEMPLATE_DATA_MAX;
    return atls_get_bytes(r, IMA_DIGEST_LEN, &digest) && get_counted(r, &path) &&
           put_fixed(&log->scratch, digest, path);
}

enum atls_code atls_ima_log_next(struct atls_ima_log *log, struct atls_ima_entry *out,
                                 struct atls_err *err)
{
    struct atls_ima_entry e;
    const struct template_row *t;
    size_t start = log->r.pos;

    if (log->r.in.len > ATLS_EVENT_LOG_MAX)
        return atls_fail_reason(err, ATLS_E_LIMIT, ATLS_REASON_MALFORMED,
                                "IMA log: %zu bytes, at most %d are read", log->r.in.len,
                                ATLS_EVENT_LOG_MAX);
    memset(&e, 0, sizeof e);
    log->scratch.len = 0;
    if (log->ascii ? !get_ascii(log, &e) : !get_binary(log, &e))
        goto malformed;
    if (log->scratch.failed != ATLS_OK)
        return atls_fail_reason(err, log->scratch.failed, ATLS_REASON_MALFORMED,
                                "IMA log: entry at byte %zu cannot be kept", start);
    if (log->scratch.len > 0)
        e.template_data = atls_writer_bytes(&log->scratch);
    e.violation = atls_bytes_are_zero(atls_bytes_of(e.template_hash, sizeof e.template_hash));
    t = find_template(e.template_name);
    if (t != NULL && !get_fields(t, &e))
        goto malformed;
    *out = e;
    return ATLS_OK;

malformed:
    log->r.pos = start;
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                            "IMA log: entry at byte %zu of %zu is malformed", start, log->r.in.len);
}
