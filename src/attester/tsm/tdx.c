/* TDX quotes for kernels older than configfs-tsm: a TD report from /dev/tdx_guest, which the quote
 * generation service (QGS) of the machine below turns into a quote. The service listens on vsock; a
 * container or a sidecar may offer it as a Unix socket. Messages are little-endian with their
 * length in front, four bytes big-endian. Linux, Documentation/ABI and uapi of tdx-guest; Intel's
 * QGS message format, version 1.0. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attester/tsm/report.h"
#include "core/err.h"
#include "core/reader.h"
#include "core/writer.h"

#define TDX_CMD_GET_REPORT0 0xc4405401ul
#define TD_REPORT_LEN       1024
#define QGS_MAJOR           1
#define QGS_GET_QUOTE       0 /* request; the response is the next */
#define QGS_HEADER_LEN      16
#define QGS_REQUEST_LEN     (QGS_HEADER_LEN + 4 + 4 + TD_REPORT_LEN)
#define QGS_RESPONSE_MAX    (QGS_HEADER_LEN + 8 + ATLS_TSM_BLOB_MAX)

struct report_request {
    uint8_t report_data[ATLS_QUOTE_CHALLENGE_LEN];
    uint8_t report[TD_REPORT_LEN];
};
_Static_assert(sizeof(struct report_request) == 0x440, "the structure is the kernel's");

static enum atls_code get_td_report(struct atls_tsm_call *call, struct report_request *out,
                                    struct atls_err *err)
{
    const struct atls_tsm_kernel *kernel = call->kernel;
    int result, fd = kernel->open(kernel->arg, call->device, O_RDWR);

    if (fd < 0)
        return atls_tsm_fail(call, -fd, "open", call->device, err);
    memset(out, 0, sizeof *out);
    memcpy(out->report_data, call->challenge, sizeof out->report_data);
    result = kernel->ioctl(kernel->arg, fd, TDX_CMD_GET_REPORT0, out);
    (void)kernel->close(kernel->arg, fd);
    return result < 0 ? atls_tsm_fail(call, -result, "get a TD report from", call->device, err)
                      : ATLS_OK;
}

static enum atls_code make_request(const struct report_request *td, struct atls_buf *out,
                                   struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(4 + QGS_REQUEST_LEN);

    atls_put_u32(&w, QGS_REQUEST_LEN);
    atls_put_u32le(&w, QGS_MAJOR); /* major and, above it, minor */
    atls_put_u32le(&w, QGS_GET_QUOTE);
    atls_put_u32le(&w, QGS_REQUEST_LEN);
    atls_put_u32le(&w, 0); /* error */
    atls_put_u32le(&w, TD_REPORT_LEN);
    atls_put_u32le(&w, 0); /* no list of attestation key ids: the service chooses */
    atls_put_bytes(&w, atls_bytes_of(td->report, sizeof td->report));
    return atls_writer_finish(&w, out, err);
}

static const char *name_of(const struct atls_tsm_qgs *qgs, char *out, size_t size)
{
    if (qgs->path != NULL)
        snprintf(out, size, "%.200s", qgs->path);
    else
        snprintf(out, size, "vsock:%" PRIu32 ":%" PRIu32, qgs->cid, qgs->port);
    return out;
}

/* Time left until the deadline of the call. */
static int64_t left_ms(const struct atls_tsm_call *call)
{
    return call->deadline_ms - call->kernel->now_ms(call->kernel->arg);
}

static int send_all(const struct atls_tsm_call *call, int fd, struct atls_bytes in)
{
    const struct atls_tsm_kernel *kernel = call->kernel;

    while (in.len > 0) {
        ssize_t n = kernel->write(kernel->arg, fd, in.ptr, in.len);

        if (n == -EAGAIN) {
            int result = kernel->wait(kernel->arg, fd, true, left_ms(call));

            if (result < 0)
                return result;
            continue;
        }
        if (n < 0)
            return (int)n;
        in = atls_bytes_of(in.ptr + n, in.len - (size_t)n);
    }
    return 0;
}

/* Exactly len bytes. */
static int receive(const struct atls_tsm_call *call, int fd, uint8_t *out, size_t len)
{
    const struct atls_tsm_kernel *kernel = call->kernel;

    while (len > 0) {
        ssize_t n = kernel->read(kernel->arg, fd, out, len);

        if (n == -EAGAIN) {
            int result = kernel->wait(kernel->arg, fd, false, left_ms(call));

            if (result < 0)
                return result;
            continue;
        }
        if (n <= 0)
            return n < 0 ? (int)n : -ECONNRESET;
        out += n;
        len -= (size_t)n;
    }
    return 0;
}

static enum atls_code receive_response(struct atls_tsm_call *call, int fd, const char *name,
                                       struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(QGS_RESPONSE_MAX);
    struct atls_reader r;
    uint8_t head[4] = {0}, *room;
    uint32_t len = 0;
    int result = receive(call, fd, head, sizeof head);

    r = atls_reader_init(atls_bytes_of(head, sizeof head));
    if (result < 0)
        return atls_tsm_fail(call, -result, "read from the quote service", name, err);
    if (!atls_get_u32(&r, &len) || len == 0 || len > QGS_RESPONSE_MAX)
        return atls_fail(err, ATLS_E_LIMIT,
                         "tsm: quote service %s: response of %" PRIu32 " bytes, at most %d", name,
                         len, QGS_RESPONSE_MAX);
    if ((room = atls_put_space(&w, len)) != NULL && (result = receive(call, fd, room, len)) < 0) {
        atls_writer_clear(&w);
        return atls_tsm_fail(call, -result, "read from the quote service", name, err);
    }
    return atls_writer_finish(&w, out, err);
}

/* One connection a quote: services close theirs when they like. */
static enum atls_code exchange(struct atls_tsm_call *call, struct atls_bytes request,
                               struct atls_buf *out, struct atls_err *err)
{
    const struct atls_tsm_kernel *kernel = call->kernel;
    char name[256];
    enum atls_code code;
    int result, fd = kernel->connect(kernel->arg, &call->config->qgs, left_ms(call));

    name_of(&call->config->qgs, name, sizeof name);
    if (fd < 0)
        return atls_tsm_fail(call, -fd, "reach the quote service", name, err);
    if ((result = send_all(call, fd, request)) < 0)
        code = atls_tsm_fail(call, -result, "write to the quote service", name, err);
    else
        code = receive_response(call, fd, name, out, err);
    (void)kernel->close(kernel->arg, fd);
    return code;
}

enum atls_code atls_tsm_qgs_response(struct atls_bytes in, struct atls_bytes *out,
                                     struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_bytes id, quote;
    uint32_t version, type, size, error, id_len, quote_len;

    if (!atls_get_u32le(&r, &version) || !atls_get_u32le(&r, &type) || !atls_get_u32le(&r, &size) ||
        !atls_get_u32le(&r, &error) || size != in.len)
        return atls_fail(err, ATLS_E_DECODE, "tsm: the quote service's response is malformed");
    if ((version & 0xffff) != QGS_MAJOR || type != QGS_GET_QUOTE + 1)
        return atls_fail(err, ATLS_E_DECODE,
                         "tsm: the quote service answers with version 0x%" PRIx32 ", type %" PRIu32
                         ", want 1 and %d",
                         version, type, QGS_GET_QUOTE + 1);
    if (error != 0)
        return atls_fail(err, ATLS_E_DEVICE, "tsm: the quote service failed with error 0x%" PRIx32,
                         error);
    if (!atls_get_u32le(&r, &id_len) || !atls_get_u32le(&r, &quote_len) ||
        !atls_get_bytes(&r, id_len, &id) || !atls_get_bytes(&r, quote_len, &quote) ||
        !atls_reader_done(&r) || quote.len == 0)
        return atls_fail(err, ATLS_E_DECODE, "tsm: the quote service's response is malformed");
    *out = quote;
    return ATLS_OK;
}

enum atls_code atls_tsm_tdx_device(struct atls_tsm_call *call, struct atls_tsm_blobs *out,
                                   struct atls_err *err)
{
    struct report_request td;
    struct atls_buf request = ATLS_BUF_INIT, response = ATLS_BUF_INIT;
    struct atls_bytes quote;
    enum atls_code code;

    if ((code = get_td_report(call, &td, err)) == ATLS_OK &&
        (code = make_request(&td, &request, err)) == ATLS_OK &&
        (code = exchange(call, atls_buf_bytes(&request), &response, err)) == ATLS_OK &&
        (code = atls_tsm_qgs_response(atls_buf_bytes(&response), &quote, err)) == ATLS_OK)
        code = atls_buf_copy(&out->outblob, quote, err);
    out->provider = &atls_tsm_tdx;
    atls_buf_clear(&request);
    atls_buf_clear(&response);
    return code;
}
