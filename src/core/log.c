#include "core/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void atls_log(const struct atls_log *log, enum atls_log_level level, const char *module,
              const char *format, ...)
{
    char line[1024];
    va_list args;

    if (log == NULL || log->handler == NULL || level > log->level)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    log->handler(log->arg, level, module, line);
}

/* Appends text when it and a later "..." fit; says whether it did. */
static int append(char *out, size_t size, size_t *used, const char *text, size_t len, int last)
{
    if (len + (last ? 1 : 4) > size - *used)
        return 0;
    memcpy(out + *used, text, len);
    *used += len;
    out[*used] = '\0';
    return 1;
}

static void cut(char *out, size_t size, size_t used)
{
    if (size - used >= 4)
        memcpy(out + used, "...", 4);
}

const char *atls_escape(struct atls_bytes text, char *out, size_t size)
{
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < text.len; i++) {
        char one[5];
        int len;

        if (text.ptr[i] >= 0x20 && text.ptr[i] < 0x7f && text.ptr[i] != '\\')
            len = snprintf(one, sizeof one, "%c", text.ptr[i]);
        else
            len = snprintf(one, sizeof one, "\\x%02x", text.ptr[i]);
        if (!append(out, size, &used, one, (size_t)len, i + 1 == text.len)) {
            cut(out, size, used);
            break;
        }
    }
    return out;
}

const char *atls_hex(struct atls_bytes bytes, char *out, size_t size)
{
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < bytes.len; i++) {
        char one[3];

        snprintf(one, sizeof one, "%02x", bytes.ptr[i]);
        if (!append(out, size, &used, one, 2, i + 1 == bytes.len)) {
            cut(out, size, used);
            break;
        }
    }
    return out;
}
