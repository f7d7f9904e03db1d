/* Logging: the library never prints; it calls the handler that the program set. */
#ifndef ATLS_LOG_H
#define ATLS_LOG_H

#include <atls/err.h>

#ifdef __cplusplus
extern "C" {
#endif

enum atls_log_level {
    ATLS_LOG_ERROR = 0,
    ATLS_LOG_WARNING = 1,
    ATLS_LOG_INFO = 2,
    ATLS_LOG_DEBUG = 3
};

/* message is one line without its newline, text of a peer already escaped; both strings live only
 * during the call. May be called from any thread that uses the object it was set on. */
struct atls_log {
    void *arg;
    enum atls_log_level level; /* nothing more detailed is delivered */
    void (*handler)(void *arg, enum atls_log_level level, const char *module, const char *message);
};

#ifdef __cplusplus
}
#endif
#endif
