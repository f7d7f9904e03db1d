/* Structured log: one line an event on standard error, JSON or text, never a token or a key. */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

#include <stdbool.h>

#include <atls/log.h>

#include "text.h"

/* May be called again, from one thread, when the configuration was read again. */
void log_setup(bool json, enum atls_log_level level);

/* Every line from now on says so, too; static text, NULL: nothing. Before there are threads. */
void log_mode(const char *mode);

/* One event: a text that is filled by log_field and written by log_end. When the level is not
 * logged, all of these do nothing. */
struct log_line {
    struct text text;
    bool on, json;
};
void log_begin(struct log_line *line, enum atls_log_level level, const char *event);
void log_field(struct log_line *line, const char *key, const char *value); /* "" is left out */
void log_number(struct log_line *line, const char *key, int64_t value);
void log_end(struct log_line *line);

/* An event with one sentence. */
void log_say(enum atls_log_level level, const char *event, const char *format, ...)
    ATLS_PRINTF(3, 4);
/* A field that says what a message is about. */
struct log_about {
    const char *key, *value;
};
/* What the libraries log; arg: a struct log_about, or NULL. */
void log_library(void *arg, enum atls_log_level level, const char *module, const char *message);

#endif
