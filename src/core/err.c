#include "core/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void atls_err_clear(struct atls_err *err)
{
    if (err == NULL)
        return;
    err->code = ATLS_OK;
    err->reason = ATLS_REASON_NONE;
    err->alert = ATLS_ALERT_NONE;
    err->sys_errno = 0;
    err->message[0] = '\0';
}

static void record(struct atls_err *err, enum atls_code code, const char *format, va_list args)
    ATLS_PRINTF(3, 0);

static void record(struct atls_err *err, enum atls_code code, const char *format, va_list args)
{
    char text[sizeof err->message] = "";

    /* Formatted aside first: an argument may be the message that is being replaced. */
    vsnprintf(text, sizeof text, format, args);
    atls_err_clear(err);
    err->code = code;
    memcpy(err->message, text, strlen(text) + 1); /* not what was on the stack behind it */
}

enum atls_code atls_fail(struct atls_err *err, enum atls_code code, const char *format, ...)
{
    va_list args;

    if (err == NULL)
        return code;
    va_start(args, format);
    record(err, code, format, args);
    va_end(args);
    return code;
}

enum atls_code atls_fail_reason(struct atls_err *err, enum atls_code code, enum atls_reason reason,
                                const char *format, ...)
{
    va_list args;

    if (err == NULL)
        return code;
    va_start(args, format);
    record(err, code, format, args);
    va_end(args);
    err->reason = reason;
    return code;
}

enum atls_code atls_fail_alert(struct atls_err *err, enum atls_code code, enum atls_reason reason,
                               enum atls_alert alert, const char *format, ...)
{
    va_list args;

    if (err == NULL)
        return code;
    va_start(args, format);
    record(err, code, format, args);
    va_end(args);
    err->reason = reason;
    err->alert = alert;
    return code;
}

enum atls_code atls_fail_errno(struct atls_err *err, int sys_errno, const char *format, ...)
{
    va_list args;
    char reason[96];
    size_t used;

    if (err == NULL)
        return ATLS_E_IO;
    va_start(args, format);
    record(err, ATLS_E_IO, format, args);
    va_end(args);
    err->sys_errno = sys_errno;
    /* XSI strerror_r: strerror() shares one buffer between threads. */
    if (strerror_r(sys_errno, reason, sizeof reason) != 0)
        snprintf(reason, sizeof reason, "error %d", sys_errno);
    used = strlen(err->message);
    snprintf(err->message + used, sizeof err->message - used, ": %s", reason);
    return ATLS_E_IO;
}

enum atls_code atls_err_prefix(struct atls_err *err, enum atls_code code, const char *prefix)
{
    char text[sizeof err->message];

    if (err == NULL)
        return code;
    snprintf(text, sizeof text, "%.64s: %.250s", prefix, err->message);
    memcpy(err->message, text, strlen(text) + 1);
    return code;
}

const char *atls_code_name(enum atls_code code)
{
    static const char *const names[] = {
        [ATLS_OK] = "ok",
        [ATLS_E_USAGE] = "wrong use",
        [ATLS_E_CONFIG] = "configuration error",
        [ATLS_E_NOMEM] = "out of memory",
        [ATLS_E_IO] = "input or output failed",
        [ATLS_E_DECODE] = "malformed",
        [ATLS_E_UNSUPPORTED] = "not supported",
        [ATLS_E_CRYPTO] = "cryptographic library failed",
        [ATLS_E_VERIFY] = "verification failed",
        [ATLS_E_CERTIFICATE] = "certificate refused",
        [ATLS_E_PROTOCOL] = "protocol violation",
        [ATLS_E_EVIDENCE] = "evidence refused",
        [ATLS_E_REFUSED] = "refused by policy",
        [ATLS_E_DECLINED] = "peer declined",
        [ATLS_E_LIMIT] = "limit reached",
        [ATLS_E_TIMEOUT] = "deadline passed",
        [ATLS_E_DEVICE] = "device failed",
        [ATLS_E_TLS] = "TLS failed",
        [ATLS_E_CLOSED] = "closed",
        [ATLS_E_NOT_FOUND] = "not found",
        [ATLS_E_INTERNAL] = "internal error",
        [ATLS_E_UNAVAILABLE] = "not available now",
    };

    if ((unsigned int)code >= sizeof names / sizeof names[0])
        return "unknown error";
    return names[code];
}

const char *atls_reason_name(enum atls_reason reason)
{
    static const char *const names[] = {
#define ATLS_REASON_SLUG(name, slug) slug,
        ATLS_REASONS(ATLS_REASON_SLUG)
#undef ATLS_REASON_SLUG
    };

    if ((unsigned int)reason >= sizeof names / sizeof names[0])
        return "unknown";
    return names[reason];
}
