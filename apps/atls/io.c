#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

enum atls_code io_error(struct atls_err *err, enum atls_code code, const char *format, ...)
{
    va_list args;

    *err = (struct atls_err)ATLS_ERR_INIT;
    err->code = code;
    va_start(args, format);
    vsnprintf(err->message, sizeof(err->message), format, args);
    va_end(args);
    return code;
}

static enum atls_code system_error(struct atls_err *err, int number, const char *what,
                                   const char *path)
{
    enum atls_code code = io_error(err, ATLS_E_IO, "%s %s: %s", what, path, strerror(number));

    err->sys_errno = number;
    return code;
}

/* ---- files ---- */

enum atls_code io_read_file(const char *path, struct atls_buf *out, struct atls_err *err)
{
    bool standard = strcmp(path, "-") == 0;
    struct atls_buf buf = ATLS_BUF_INIT;
    size_t size = 0;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    enum atls_code code = ATLS_OK;

    if (fd < 0)
        return system_error(err, errno, "open", path);
    for (;;) {
        ssize_t got;

        if (size - buf.len < 2) {
            size_t more = size == 0 ? 16384 : 2 * size;
            uint8_t *ptr = more > 2 * (size_t)IO_FILE_MAX ? NULL : realloc(buf.ptr, more);

            if (ptr == NULL) {
                code = io_error(err, ATLS_E_NOMEM, "%s: out of memory", path);
                break;
            }
            buf.ptr = ptr;
            size = more;
        }
        got = read(fd, buf.ptr + buf.len, size - buf.len - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            code = system_error(err, errno, "read", path);
        else if ((size_t)got > IO_FILE_MAX - buf.len)
            code = io_error(err, ATLS_E_LIMIT, "%s is larger than %u bytes", path, IO_FILE_MAX);
        if (got <= 0 || code != ATLS_OK)
            break;
        buf.len += (size_t)got;
    }
    if (!standard)
        close(fd);
    if (code != ATLS_OK) {
        atls_buf_clear(&buf);
        return code;
    }
    buf.ptr[buf.len] = '\0';
    *out = buf;
    return ATLS_OK;
}

enum atls_code io_write_file(const char *path, struct atls_bytes bytes, enum io_mode mode,
                             struct atls_err *err)
{
    bool standard = path == NULL || strcmp(path, "-") == 0;
    const char *name = standard ? "standard output" : path;
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (mode == IO_SECRET ? O_EXCL : O_TRUNC);
    int fd = standard ? STDOUT_FILENO : open(path, flags, mode == IO_SECRET ? 0600 : 0666);
    enum atls_code code = ATLS_OK;

    if (fd < 0)
        return system_error(err, errno, "create", name);
    while (bytes.len > 0 && code == ATLS_OK) {
        ssize_t put = write(fd, bytes.ptr, bytes.len);

        if (put < 0 && errno != EINTR)
            code = system_error(err, errno, "write", name);
        else if (put > 0)
            bytes = atls_bytes_of(bytes.ptr + put, bytes.len - (size_t)put);
    }
    if (!standard && close(fd) != 0 && code == ATLS_OK)
        code = system_error(err, errno, "write", name);
    return code;
}

/* ---- text ---- */

char *io_hex(struct atls_bytes bytes, char *out, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    size_t at = 0;

    for (size_t i = 0; i < bytes.len && size - at > 2; i++) {
        out[at++] = digits[bytes.ptr[i] >> 4];
        out[at++] = digits[bytes.ptr[i] & 15];
    }
    out[at] = '\0';
    return out;
}

json_t *io_hex_json(struct atls_bytes bytes)
{
    char *text = malloc(2 * bytes.len + 1);
    json_t *value = text != NULL ? json_string(io_hex(bytes, text, 2 * bytes.len + 1)) : NULL;

    free(text);
    return value;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

enum atls_code io_unhex(const char *what, const char *text, struct atls_buf *out,
                        struct atls_err *err)
{
    size_t len = strlen(text) / 2;
    uint8_t *ptr;

    if (strlen(text) % 2 != 0)
        return io_error(err, ATLS_E_CONFIG, "%s: an odd number of hex digits", what);
    if ((ptr = malloc(len + 1)) == NULL)
        return io_error(err, ATLS_E_NOMEM, "%s: out of memory", what);
    for (size_t i = 0; i < len; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

        if (high < 0 || low < 0) {
            free(ptr);
            return io_error(err, ATLS_E_CONFIG, "%s: byte %zu is not hex", what, i);
        }
        ptr[i] = (uint8_t)(high << 4 | low);
    }
    *out = (struct atls_buf){ptr, len};
    return ATLS_OK;
}

/* Exactly n digits as a number within bounds. */
static bool digits(const char **at, size_t n, int min, int max, int *out)
{
    int number = 0;

    for (size_t i = 0; i < n; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        number = 10 * number + (**at - '0');
    }
    *out = number;
    return number >= min && number <= max;
}

static bool literal(const char **at, char c)
{
    return *(*at)++ == c;
}

/* Days from 1970-01-01 to a date of the Gregorian calendar, years from March so that the leap day
 * comes last. */
static int64_t days_since_1970(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t m = (month + 9) % 12;

    return 365 * y + y / 4 - y / 100 + y / 400 + (m * 306 + 5) / 10 + day - 1 - 719468;
}

enum atls_code io_time(const char *text, int64_t *out, struct atls_err *err)
{
    static const int month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = 0, month = 1, day = 0, hour = 0, minute = 0, second = 0;
    int offset_h = 0, offset_m = 0, sign = 0;
    const char *at = text;
    bool good;

    good = digits(&at, 4, 1970, 9999, &year) && literal(&at, '-') &&
           digits(&at, 2, 1, 12, &month) && literal(&at, '-') &&
           digits(&at, 2, 1, month_days[month - 1], &day) && literal(&at, 'T') &&
           digits(&at, 2, 0, 23, &hour) && literal(&at, ':') && digits(&at, 2, 0, 59, &minute) &&
           literal(&at, ':') && digits(&at, 2, 0, 60, &second);
    if (good && (*at == '+' || *at == '-')) {
        sign = *at++ == '+' ? 1 : -1;
        good = digits(&at, 2, 0, 23, &offset_h) && literal(&at, ':') &&
               digits(&at, 2, 0, 59, &offset_m);
    } else if (good) {
        good = literal(&at, 'Z');
    }
    if (good && month == 2 && day == 29)
        good = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (!good || *at != '\0')
        return io_error(err, ATLS_E_CONFIG, "time is \"%.40s\", want 2026-01-31T12:00:00Z", text);
    *out = days_since_1970(year, month, day) * 86400 + hour * 3600 + minute * 60 + second -
           sign * (offset_h * 3600 + offset_m * 60);
    return ATLS_OK;
}

/* ---- keys ---- */

static enum atls_code copy_spki(X509_PUBKEY *key, const char *what, struct atls_buf *out,
                                struct atls_err *err)
{
    unsigned char *der = NULL;
    int len = key != NULL ? i2d_X509_PUBKEY(key, &der) : 0;

    if (len <= 0)
        return io_error(err, ATLS_E_CONFIG, "%s: neither a public key nor a certificate", what);
    *out = (struct atls_buf){malloc((size_t)len), (size_t)len};
    if (out->ptr != NULL)
        memcpy(out->ptr, der, (size_t)len);
    OPENSSL_free(der);
    return out->ptr != NULL ? ATLS_OK : io_error(err, ATLS_E_NOMEM, "%s: out of memory", what);
}

static enum atls_code spki_of_der(const char *what, const uint8_t *der, long len,
                                  struct atls_buf *out, struct atls_err *err)
{
    const unsigned char *at = der;
    X509 *certificate = d2i_X509(NULL, &at, len);
    X509_PUBKEY *key = NULL;
    enum atls_code code;

    if (certificate != NULL && at == der + len) {
        code = copy_spki(X509_get_X509_PUBKEY(certificate), what, out, err);
    } else {
        at = der;
        key = d2i_X509_PUBKEY(NULL, &at, len);
        code = copy_spki(at == der + len ? key : NULL, what, out, err);
    }
    X509_PUBKEY_free(key);
    X509_free(certificate);
    return code;
}

enum atls_code io_public_key(const char *what, struct atls_bytes in, struct atls_buf *out,
                             struct atls_err *err)
{
    char *name = NULL, *header = NULL;
    unsigned char *der = NULL;
    long len = 0;
    BIO *bio;
    enum atls_code code;

    if (in.len == 0 || in.len > IO_FILE_MAX)
        return io_error(err, ATLS_E_CONFIG, "%s: empty or too large", what);
    if ((bio = BIO_new_mem_buf(in.ptr, (int)in.len)) == NULL)
        return io_error(err, ATLS_E_NOMEM, "%s: out of memory", what);
    if (PEM_read_bio(bio, &name, &header, &der, &len) == 1)
        code = spki_of_der(what, der, len, out, err);
    else
        code = spki_of_der(what, in.ptr, (long)in.len, out, err);
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(der);
    BIO_free(bio);
    return code;
}

enum atls_code io_spki_pem(struct atls_bytes spki, struct atls_buf *out, struct atls_err *err)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    long len = 0;

    if (bio != NULL && PEM_write_bio(bio, "PUBLIC KEY", "", spki.ptr, (long)spki.len) > 0)
        len = BIO_get_mem_data(bio, &text);
    if (len > 0 && (out->ptr = malloc((size_t)len)) != NULL) {
        memcpy(out->ptr, text, (size_t)len);
        out->len = (size_t)len;
    }
    BIO_free(bio);
    return len > 0 && out->ptr != NULL ? ATLS_OK
                                       : io_error(err, ATLS_E_NOMEM, "PEM: out of memory");
}

/* ---- sockets ---- */

enum atls_code io_address(const char *text, struct io_address *out, struct atls_err *err)
{
    struct io_address address = {"", "", ""};
    const char *colon, *host = text;
    size_t len;

    if (strncmp(text, "unix:", 5) == 0) {
        if (text[5] == '\0' || strlen(text + 5) >= sizeof(address.path))
            return io_error(err, ATLS_E_CONFIG, "\"%s\": a path of 1 to %zu bytes must follow",
                            text, sizeof(address.path) - 1);
        strcpy(address.path, text + 5);
        *out = address;
        return ATLS_OK;
    }
    colon = strrchr(text, ':');
    len = colon != NULL ? (size_t)(colon - text) : 0;
    if (len >= 2 && text[0] == '[' && colon[-1] == ']') {
        host = text + 1;
        len -= 2;
    }
    if (len == 0 || len >= sizeof(address.host) || colon[1] == '\0' ||
        strlen(colon + 1) >= sizeof(address.port))
        return io_error(err, ATLS_E_CONFIG,
                        "\"%.80s\": want HOST:PORT, [ADDRESS]:PORT or unix:PATH", text);
    memcpy(address.host, host, len);
    strcpy(address.port, colon + 1);
    *out = address;
    return ATLS_OK;
}

static bool set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
           fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

static void unix_address(const struct io_address *address, struct sockaddr_un *out)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    strcpy(out->sun_path, address->path);
}

static enum atls_code listen_unix(const struct io_address *address, int *out_fd, char out_text[128],
                                  struct atls_err *err)
{
    struct sockaddr_un un;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    unix_address(address, &un);
    if (fd < 0 || !set_nonblocking(fd) || bind(fd, (struct sockaddr *)&un, sizeof(un)) != 0 ||
        listen(fd, SOMAXCONN) != 0) {
        enum atls_code code = system_error(err, errno, "listen on", address->path);

        if (fd >= 0)
            close(fd);
        return code;
    }
    snprintf(out_text, 128, "unix:%s", address->path);
    *out_fd = fd;
    return ATLS_OK;
}

static enum atls_code resolve(const struct io_address *address, int flags, struct addrinfo **out,
                              struct atls_err *err)
{
    struct addrinfo hints = {.ai_flags = flags, .ai_socktype = SOCK_STREAM};
    int result = getaddrinfo(address->host, address->port, &hints, out);

    if (result != 0)
        return io_error(err, ATLS_E_IO, "%s:%s: %s", address->host, address->port,
                        gai_strerror(result));
    return ATLS_OK;
}

void io_name_address(const struct sockaddr *address, socklen_t len, char out_text[128])
{
    char host[80] = "?", port[16] = "?";

    if (address->sa_family == AF_UNIX) {
        strcpy(out_text, "unix");
        return;
    }
    (void)getnameinfo(address, len, host, sizeof(host), port, sizeof(port),
                      NI_NUMERICHOST | NI_NUMERICSERV);
    if (strchr(host, ':') != NULL)
        snprintf(out_text, 128, "[%s]:%s", host, port);
    else
        snprintf(out_text, 128, "%s:%s", host, port);
}

enum atls_code io_listen(const struct io_address *address, int *out_fd, char out_text[128],
                         struct atls_err *err)
{
    struct sockaddr_storage storage;
    socklen_t len = sizeof(storage);
    struct addrinfo *list;
    int fd = -1, saved = 0;
    enum atls_code code;

    if (address->path[0] != '\0')
        return listen_unix(address, out_fd, out_text, err);
    if ((code = resolve(address, AI_PASSIVE, &list, err)) != ATLS_OK)
        return code;
    for (struct addrinfo *at = list; at != NULL && fd < 0; at = at->ai_next) {
        int on = 1;

        fd = socket(at->ai_family, at->ai_socktype, at->ai_protocol);
        if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
            set_nonblocking(fd) && bind(fd, at->ai_addr, at->ai_addrlen) == 0 &&
            listen(fd, SOMAXCONN) == 0)
            break;
        saved = errno;
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(list);
    if (fd < 0)
        return system_error(err, saved, "listen on", address->host);
    if (getsockname(fd, (struct sockaddr *)&storage, &len) != 0)
        storage.ss_family = AF_UNSPEC;
    io_name_address((struct sockaddr *)&storage, len, out_text);
    *out_fd = fd;
    return ATLS_OK;
}

/* Finishes a connection that has begun; 0, or what went wrong. */
static int await_connected(int fd, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    int failure = 0, ready;
    socklen_t len = sizeof(failure);

    do
        ready = poll(&poll_fd, 1, timeout_ms);
    while (ready < 0 && errno == EINTR);
    if (ready == 0)
        return ETIMEDOUT;
    if (ready < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &len) != 0)
        return errno;
    return failure;
}

static int connect_one(int family, const struct sockaddr *to, socklen_t len, int timeout_ms,
                       int *out_fd)
{
    int fd = socket(family, SOCK_STREAM, 0), on = 1, failure = 0;

    if (fd < 0)
        return errno;
    if (!set_nonblocking(fd))
        failure = errno;
    else if (connect(fd, to, len) != 0)
        failure = errno == EINPROGRESS ? await_connected(fd, timeout_ms) : errno;
    if (failure != 0) {
        close(fd);
        return failure;
    }
    if (family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    *out_fd = fd;
    return 0;
}

enum atls_code io_connect(const struct io_address *address, int timeout_ms, int *out_fd,
                          struct atls_err *err)
{
    struct addrinfo *list;
    int failure = EADDRNOTAVAIL;
    enum atls_code code;

    if (address->path[0] != '\0') {
        struct sockaddr_un un;

        unix_address(address, &un);
        failure = connect_one(AF_UNIX, (struct sockaddr *)&un, sizeof(un), timeout_ms, out_fd);
        return failure == 0 ? ATLS_OK : system_error(err, failure, "connect to", address->path);
    }
    if ((code = resolve(address, 0, &list, err)) != ATLS_OK)
        return code;
    for (struct addrinfo *at = list; at != NULL && failure != 0; at = at->ai_next)
        failure = connect_one(at->ai_family, at->ai_addr, at->ai_addrlen, timeout_ms, out_fd);
    freeaddrinfo(list);
    return failure == 0 ? ATLS_OK : system_error(err, failure, "connect to", address->host);
}

int64_t io_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
