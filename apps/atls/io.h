/* Files, sockets, hex, time: the I/O that the libraries leave to programs. */
#ifndef ATLS_APP_IO_H
#define ATLS_APP_IO_H

#include <stdint.h>
#include <sys/socket.h>

#include "cli.h"

#define IO_FILE_MAX (32u * 1024 * 1024) /* above every limit of atls/limits.h */

/* Sets code and message, as the library does for its own errors. */
enum atls_code io_error(struct atls_err *err, enum atls_code code, const char *format, ...)
    ATLS_PRINTF(3, 4);

/* The whole of a file of at most IO_FILE_MAX bytes, NUL terminated (not counted); "-" is standard
 * input. *out is the caller's to clear. */
ATLS_MUST_CHECK enum atls_code io_read_file(const char *path, struct atls_buf *out,
                                            struct atls_err *err);
enum io_mode { IO_PUBLIC, IO_SECRET }; /* secret: mode 0600, and the file must not exist */
/* Writes a file; path NULL or "-" is standard output. */
ATLS_MUST_CHECK enum atls_code io_write_file(const char *path, struct atls_bytes bytes,
                                             enum io_mode mode, struct atls_err *err);

/* Lower-case hex, NUL terminated, at most (size - 1) / 2 bytes of it; returns out. */
char *io_hex(struct atls_bytes bytes, char *out, size_t size);
/* The same as a JSON string; NULL when memory runs out. */
json_t *io_hex_json(struct atls_bytes bytes);
/* Exactly an even number of hex digits. what names it in messages. */
ATLS_MUST_CHECK enum atls_code io_unhex(const char *what, const char *text, struct atls_buf *out,
                                        struct atls_err *err);
/* "2026-11-21T10:00:00Z" or with an offset "+01:00" (RFC 3339, no fraction) to seconds since 1970.
 */
ATLS_MUST_CHECK enum atls_code io_time(const char *text, int64_t *out, struct atls_err *err);

/* DER SubjectPublicKeyInfo out of a file's content: public key or certificate, DER or PEM. */
ATLS_MUST_CHECK enum atls_code io_public_key(const char *what, struct atls_bytes in,
                                             struct atls_buf *out, struct atls_err *err);
/* SPKI (DER) as PEM text. */
ATLS_MUST_CHECK enum atls_code io_spki_pem(struct atls_bytes spki, struct atls_buf *out,
                                           struct atls_err *err);

/* "HOST:PORT", "[ADDR]:PORT" or "unix:PATH", split; host is "" for unix. */
struct io_address {
    char host[256];
    char port[32];
    char path[108]; /* of a socket file, or "" */
};
ATLS_MUST_CHECK enum atls_code io_address(const char *text, struct io_address *out,
                                          struct atls_err *err);
/* A listening socket, non-blocking; out_text (128 bytes) gets where it listens, a port of 0
 * resolved. */
ATLS_MUST_CHECK enum atls_code io_listen(const struct io_address *address, int *out_fd,
                                         char out_text[128], struct atls_err *err);
/* "ADDRESS:PORT" or "unix". */
void io_name_address(const struct sockaddr *address, socklen_t len, char out_text[128]);
/* A connected socket, non-blocking; waits at most timeout_ms for each address. */
ATLS_MUST_CHECK enum atls_code io_connect(const struct io_address *address, int timeout_ms,
                                          int *out_fd, struct atls_err *err);
int64_t io_now_ms(void); /* monotonic */

#endif
