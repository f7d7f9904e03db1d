/* Frames of atls/1: whatever decodes encodes to the same bytes again; HELLO to the same meaning. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/reader.h"
#include "flavour/post/carrier.h"
#include "flavour/post/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void check_hello(struct atls_bytes body)
{
    struct atls_writer w = atls_writer_init(1 << 20);
    struct atls_hello hello, again;

    if (atls_hello_decode(body, &hello, NULL) != ATLS_OK)
        return;
    atls_hello_put(&w, &hello);
    require(w.failed == ATLS_OK);
    require(atls_hello_decode(atls_bytes_of(w.ptr + 4, w.len - 4), &again, NULL) == ATLS_OK);
    require(again.flags == hello.flags && again.frame_max == hello.frame_max);
    for (size_t i = 0; i < ATLS_NAMES_COUNT; i++)
        require(atls_bytes_equal(again.names[i], hello.names[i]));
    (void)atls_names_common(hello.names[0], hello.names[1]);
    atls_writer_clear(&w);
}

static enum atls_code encode_again(enum atls_frame_type type, struct atls_bytes body,
                                   struct atls_writer *w)
{
    struct atls_message_frame message;
    struct atls_status_frame status;
    enum atls_code code = ATLS_E_UNSUPPORTED;

    if (type == ATLS_FRAME_REQUEST || type == ATLS_FRAME_AUTHENTICATOR) {
        if ((code = atls_message_frame_decode(body, &message, NULL)) == ATLS_OK)
            atls_message_frame_put(w, type, message.id, message.message);
    } else if (type == ATLS_FRAME_DECLINE) {
        if ((code = atls_decline_decode(body, &status, NULL)) == ATLS_OK)
            atls_decline_put(w, &status);
    } else if (type == ATLS_FRAME_VERDICT) {
        if ((code = atls_verdict_decode(body, &status, NULL)) == ATLS_OK)
            atls_verdict_put(w, &status);
    } else if (type == ATLS_FRAME_CLOSE) {
        if ((code = atls_close_decode(body, &status, NULL)) == ATLS_OK)
            atls_close_put(w, &status);
    }
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_reader r = atls_reader_init(atls_bytes_of(data, size));
    struct atls_bytes raw, body;
    struct atls_frame_header header;

    while (atls_get_bytes(&r, ATLS_FRAME_HEADER_LEN, &raw)) {
        struct atls_writer w = atls_writer_init(1 << 21);

        if (atls_frame_header_decode(raw.ptr, &header, NULL) != ATLS_OK ||
            !atls_get_bytes(&r, header.len, &body))
            return 0;
        if (header.type == ATLS_FRAME_HELLO)
            check_hello(body);
        else if (encode_again(header.type, body, &w) == ATLS_OK)
            require(atls_bytes_equal(atls_writer_bytes(&w),
                                     atls_bytes_of(raw.ptr, 4 + (size_t)header.len)));
        atls_writer_clear(&w);
    }
    return 0;
}
