/* Setting errors; reading them is atls/err.h. */
#ifndef ATLS_CORE_ERR_H
#define ATLS_CORE_ERR_H

#include <atls/err.h>

/* Records code and message in err (may be NULL), forgetting what was there, and returns code. Keeps
 * errno of the caller out: see atls_fail_errno. */
enum atls_code atls_fail(struct atls_err *err, enum atls_code code, const char *format, ...)
    ATLS_PRINTF(3, 4);

/* As atls_fail, with the reason that a refusal carries. */
enum atls_code atls_fail_reason(struct atls_err *err, enum atls_code code, enum atls_reason reason,
                                const char *format, ...) ATLS_PRINTF(4, 5);

/* As atls_fail_reason, with the alert that RFC 9261 / RFC 8446 would name. */
enum atls_code atls_fail_alert(struct atls_err *err, enum atls_code code, enum atls_reason reason,
                               enum atls_alert alert, const char *format, ...) ATLS_PRINTF(5, 6);

/* As atls_fail with ATLS_E_IO; appends ": " and the text of sys_errno. */
enum atls_code atls_fail_errno(struct atls_err *err, int sys_errno, const char *format, ...)
    ATLS_PRINTF(3, 4);

/* Puts "prefix: " before a recorded message, for a caller that knows whose fault it is ("peer",
 * "store.db"). Returns code, whatever err holds: a failure whose cause nobody recorded stays one.
 */
enum atls_code atls_err_prefix(struct atls_err *err, enum atls_code code, const char *prefix);

#endif
