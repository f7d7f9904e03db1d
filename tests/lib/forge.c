#include "forge.h"

#include <stdio.h>
#include <string.h>

#include "core/writer.h"
#include "testlib.h"

#define LIMIT (1 << 20)

struct test_connection test_connection(enum atls_hash hash, uint8_t fill)
{
    struct test_connection c = {.hash = hash};

    memset(c.secret, fill, sizeof c.secret);
    return c;
}

enum atls_code test_exporter(void *arg, const char *label, struct atls_bytes context, uint8_t *out,
                             size_t out_len, struct atls_err *err)
{
    const struct test_connection *c = arg;

    return atls_tls13_exporter(c->hash, atls_bytes_of(c->secret, atls_hash_len(c->hash)),
                               c->prefix == NULL ? "tls13 " : c->prefix, label, context, out,
                               out_len, err);
}

static struct atls_buf finish(struct atls_writer *w)
{
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_writer_finish(w, &out, &err), ATLS_OK, &err);
    return out;
}

struct atls_buf test_certificate_message(struct atls_bytes context,
                                         const struct test_entry *entries, size_t count)
{
    struct atls_writer w = atls_writer_init(LIMIT);
    struct atls_mark message, list, m;

    atls_put_u8(&w, 11);
    message = atls_open_vec(&w, 0xffffff);
    m = atls_open_vec(&w, 0xff);
    atls_put_bytes(&w, context);
    atls_close_vec(&w, m);
    list = atls_open_vec(&w, 0xffffff);
    for (size_t i = 0; i < count; i++) {
        m = atls_open_vec(&w, 0xffffff);
        atls_put_bytes(&w, entries[i].certificate);
        atls_close_vec(&w, m);
        m = atls_open_vec(&w, 0xffff);
        atls_put_bytes(&w, entries[i].extensions);
        atls_close_vec(&w, m);
    }
    atls_close_vec(&w, list);
    atls_close_vec(&w, message);
    return finish(&w);
}

struct atls_buf test_extension_bytes(uint16_t type, struct atls_bytes data)
{
    struct atls_writer w = atls_writer_init(LIMIT);
    struct atls_mark m;

    atls_put_u16(&w, type);
    m = atls_open_vec(&w, 0xffff);
    atls_put_bytes(&w, data);
    atls_close_vec(&w, m);
    return finish(&w);
}

struct atls_buf test_cmw_extension(struct atls_bytes cmw)
{
    struct atls_writer w = atls_writer_init(LIMIT);
    struct atls_mark data, inner;

    atls_put_u16(&w, ATLS_EA_CMW_ATTESTATION);
    data = atls_open_vec(&w, 0xffff);
    inner = atls_open_vec(&w, 0xffff);
    atls_put_bytes(&w, cmw);
    atls_close_vec(&w, inner);
    atls_close_vec(&w, data);
    return finish(&w);
}

static void export_value(const struct test_forgery *f, const char *what, uint8_t *out)
{
    struct test_connection c = *f->connection;
    struct atls_err err = ATLS_ERR_INIT;
    char label[80];

    snprintf(label, sizeof label, "EXPORTER-%s authenticator %s",
             f->sender == ATLS_ROLE_CLIENT ? "client" : "server", what);
    test_assert_code(
        test_exporter(&c, label, atls_bytes_of(NULL, 0), out, atls_hash_len(c.hash), &err), ATLS_OK,
        &err);
}

static struct atls_buf make_verify(const struct test_forgery *f, const uint8_t *handshake_context)
{
    size_t len = atls_hash_len(f->connection->hash);
    const struct atls_bytes parts[] = {atls_bytes_of(handshake_context, len), f->request,
                                       f->certificate};
    struct atls_writer w = atls_writer_init(LIMIT);
    struct atls_buf signature = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t digest[ATLS_HASH_MAX];
    struct atls_mark message, m;

    test_assert_code(atls_hash_parts(f->connection->hash, parts, 3, digest, &err), ATLS_OK, &err);
    for (int i = 0; i < 64; i++)
        atls_put_u8(&w, ' ');
    atls_put_text(&w, f->context_string == NULL ? "Exported Authenticator" : f->context_string);
    atls_put_u8(&w, 0);
    atls_put_bytes(&w, atls_bytes_of(digest, len));
    test_assert_code(
        atls_private_key_sign(f->key, f->scheme, atls_writer_bytes(&w), &signature, &err), ATLS_OK,
        &err);
    atls_writer_clear(&w);
    if (f->break_signature)
        signature.ptr[signature.len - 1] ^= 1;
    atls_put_u8(&w, 15);
    message = atls_open_vec(&w, 0xffffff);
    atls_put_u16(&w, f->named_scheme != 0 ? f->named_scheme : (uint16_t)f->scheme);
    m = atls_open_vec(&w, 0xffff);
    atls_put_bytes(&w, atls_buf_bytes(&signature));
    atls_close_vec(&w, m);
    atls_close_vec(&w, message);
    atls_buf_clear(&signature);
    return finish(&w);
}

struct atls_buf test_forge(const struct test_forgery *f)
{
    size_t len = atls_hash_len(f->connection->hash);
    uint8_t handshake_context[64], finished_key[64], digest[ATLS_HASH_MAX], mac[ATLS_HASH_MAX];
    struct atls_writer w = atls_writer_init(LIMIT);
    struct atls_buf made = ATLS_BUF_INIT;
    struct atls_bytes verify = f->verify, parts[4];
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_mark message;

    export_value(f, "handshake context", handshake_context);
    export_value(f, "finished key", finished_key);
    if (verify.len == 0) {
        made = make_verify(f, handshake_context);
        verify = atls_buf_bytes(&made);
    }
    parts[0] = atls_bytes_of(handshake_context, len);
    parts[1] = f->request;
    parts[2] = f->certificate;
    parts[3] = verify;
    test_assert_code(atls_hash_parts(f->connection->hash, parts, 4, digest, &err), ATLS_OK, &err);
    test_assert_code(atls_hmac(f->connection->hash, atls_bytes_of(finished_key, len),
                               atls_bytes_of(digest, len), mac, &err),
                     ATLS_OK, &err);
    if (f->break_mac)
        mac[len - 1] ^= 1;
    atls_put_bytes(&w, f->certificate);
    atls_put_bytes(&w, verify);
    atls_put_u8(&w, 20);
    message = atls_open_vec(&w, 0xffffff);
    atls_put_bytes(&w, atls_bytes_of(mac, len));
    atls_put_bytes(&w, f->finished_tail);
    atls_close_vec(&w, message);
    atls_buf_clear(&made);
    return finish(&w);
}
