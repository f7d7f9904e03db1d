/* Writing to the handler of atls/log.h. */
#ifndef ATLS_CORE_LOG_H
#define ATLS_CORE_LOG_H

#include <stddef.h>

#include <atls/bytes.h>
#include <atls/log.h>

/* log may be NULL, then nothing happens. Lines are cut at 1024 bytes. */
void atls_log(const struct atls_log *log, enum atls_log_level level, const char *module,
              const char *format, ...) ATLS_PRINTF(4, 5);

/* Text of a peer made fit for a log line or message: printable ASCII stays, everything else becomes
 * \xNN, the rest is cut with "...". out holds size bytes and is NUL terminated; returns out. */
const char *atls_escape(struct atls_bytes text, char *out, size_t size);

/* Lower-case hexadecimal of bytes, cut to what fits in size (with "..."), NUL terminated; returns
 * out. Never for secrets. */
const char *atls_hex(struct atls_bytes bytes, char *out, size_t size);

#endif
