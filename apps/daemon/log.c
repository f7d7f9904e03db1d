#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static atomic_int log_is_json, log_level = ATLS_LOG_INFO;

static const char *const levels[] = {"error", "warning", "info", "debug"};

void log_setup(bool json, enum atls_log_level level)
{
    atomic_store(&log_is_json, json ? 1 : 0);
    atomic_store(&log_level, (int)level);
}

static const char *log_mode_text;

void log_mode(const char *mode)
{
    log_mode_text = mode;
}

static void time_now(char out[40])
{
    struct timespec ts;
    struct tm tm;
    char seconds[24];

    if (clock_gettime(CLOCK_REALTIME, &ts) != 0 || gmtime_r(&ts.tv_sec, &tm) == NULL ||
        strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &tm) == 0) {
        out[0] = '\0';
        return;
    }
    snprintf(out, 40, "%s.%03ldZ", seconds, ts.tv_nsec / 1000000);
}

void log_begin(struct log_line *line, enum atls_log_level level, const char *event)
{
    char now[40];

    *line = (struct log_line){.on = (int)level <= atomic_load(&log_level),
                              .json = atomic_load(&log_is_json) != 0};
    if (!line->on)
        return;
    time_now(now);
    if (line->json) {
        text_open(&line->text, '{');
        text_member(&line->text, "time", now);
        text_member(&line->text, "level", levels[level]);
        text_member(&line->text, "event", event);
    } else {
        text_printf(&line->text, "%s %s %s", now, levels[level], event);
    }
    log_field(line, "mode", log_mode_text);
}

/* Whether a value of the text form is fine without quotes. */
static bool is_bare(const char *s)
{
    for (; *s != '\0'; s++)
        if (*s <= 0x20 || *s >= 0x7f || *s == '"' || *s == '\\' || *s == '=')
            return false;
    return true;
}

void log_field(struct log_line *line, const char *key, const char *value)
{
    if (!line->on || value == NULL || value[0] == '\0')
        return;
    if (line->json) {
        text_member(&line->text, key, value);
    } else if (is_bare(value)) {
        text_add(&line->text, " ", 1);
        text_puts(&line->text, key);
        text_add(&line->text, "=", 1);
        text_puts(&line->text, value);
    } else {
        struct text quoted = {0};

        text_string(&quoted, value);
        text_add(&line->text, " ", 1);
        text_puts(&line->text, key);
        text_add(&line->text, "=", 1);
        if (!quoted.failed)
            text_puts(&line->text, quoted.ptr + (quoted.ptr[0] == ','));
        text_clear(&quoted);
    }
}

void log_number(struct log_line *line, const char *key, int64_t value)
{
    if (!line->on)
        return;
    if (line->json)
        text_member_int(&line->text, key, value);
    else
        text_printf(&line->text, " %s=%lld", key, (long long)value);
}

void log_end(struct log_line *line)
{
    if (line->on && line->json)
        text_close(&line->text, '}');
    if (line->on)
        text_add(&line->text, "\n", 1);
    /* One write a line: lines of several threads do not mix. */
    if (line->on && !line->text.failed)
        while (write(STDERR_FILENO, line->text.ptr, line->text.len) < 0 && errno == EINTR)
            ;
    text_clear(&line->text);
}

void log_say(enum atls_log_level level, const char *event, const char *format, ...)
{
    struct log_line line;
    char message[640];
    va_list args;

    log_begin(&line, level, event);
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    log_field(&line, "message", message);
    log_end(&line);
}

void log_library(void *arg, enum atls_log_level level, const char *module, const char *message)
{
    const struct log_about *about = arg;
    struct log_line line;

    log_begin(&line, level, "library");
    if (about != NULL)
        log_field(&line, about->key, about->value);
    log_field(&line, "module", module);
    log_field(&line, "message", message);
    log_end(&line);
}
