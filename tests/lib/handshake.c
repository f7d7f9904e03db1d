#include "handshake.h"

#include <string.h>

#include "testlib.h"

#include "core/writer.h"
#include "crypto/crypto.h"

static struct atls_buf finish(struct atls_writer *w)
{
    struct atls_buf out;

    assert_int_equal(atls_writer_finish(w, &out, NULL), ATLS_OK);
    return out;
}

static struct atls_buf hello(uint8_t type, struct atls_bytes random, uint16_t suite)
{
    struct atls_writer w = atls_writer_init(1024);
    struct atls_mark body;

    atls_put_u8(&w, type);
    body = atls_open_vec(&w, 0xffffff);
    atls_put_u16(&w, 0x0303);
    atls_put_bytes(&w, random);
    atls_put_u8(&w, 0);
    atls_put_u16(&w, suite);
    atls_put_u8(&w, 0);
    atls_put_u16(&w, 0);
    atls_close_vec(&w, body);
    return finish(&w);
}

struct atls_buf test_client_hello(uint8_t fill)
{
    uint8_t random[32];

    memset(random, fill, sizeof random);
    return hello(1, atls_bytes_of(random, sizeof random), 2);
}

struct atls_buf test_server_hello(uint8_t fill, uint16_t suite)
{
    uint8_t random[32];

    memset(random, fill, sizeof random);
    return hello(2, atls_bytes_of(random, sizeof random), suite);
}

struct atls_buf test_retry_request(uint16_t suite)
{
    static const struct atls_bytes text = HEX("HelloRetryRequest");
    uint8_t random[ATLS_HASH_MAX];

    assert_int_equal(atls_hash_one(ATLS_HASH_SHA256, text, random, NULL), ATLS_OK);
    return hello(2, atls_bytes_of(random, 32), suite);
}

struct atls_buf test_message(uint8_t type, uint32_t len)
{
    struct atls_writer w = atls_writer_init((size_t)len + 4);

    atls_put_u8(&w, type);
    atls_put_u24(&w, len);
    if (len != 0) {
        uint8_t *space = atls_put_space(&w, len);

        assert_non_null(space);
        memset(space, 0, len);
    }
    return finish(&w);
}
