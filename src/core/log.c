#include "core/log.h"

#include <stdarg.h>
#include <stdbool.h>
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

/* Writes the form of one byte to out, unless that is NULL; its length. */
typedef size_t form_fn(uint8_t byte, char *out);

static const char DIGITS[] = "0123456789abcdef";

static size_t hex_form(uint8_t byte, char *out)
{
    if (out != NULL) {
        out[0] = DIGITS[byte >> 4];
        out[1] = DIGITS[byte & 0xf];
    }
    return 2;
}

static size_t escaped_form(uint8_t byte, char *out)
{
    bool plain = byte >= 0x20 && byte < 0x7f && byte != '\\';

    if (out != NULL) {
        out[0] = plain ? (char)byte : '\\';
        if (!plain) {
            out[1] = 'x';
            hex_form(byte, out + 2);
        }
    }
    return plain ? 1 : 4;
}

/* All of it when it fits with its NUL; else as much as fits before "...". */
static const char *put_forms(struct atls_bytes bytes, form_fn *form, char *out, size_t size)
{
    size_t total = 0, used = 0, room;

    for (size_t i = 0; i < bytes.len && total < size; i++)
        total += form(bytes.ptr[i], NULL);
    room = total < size ? size - 1 : size < 4 ? 0 : size - 4;
    for (size_t i = 0; i < bytes.len && form(bytes.ptr[i], NULL) <= room - used; i++)
        used += form(bytes.ptr[i], out + used);
    out[used] = '\0';
    if (total >= size && size >= 4)
        memcpy(out + used, "...", 4);
    return out;
}

const char *atls_escape(struct atls_bytes text, char *out, size_t size)
{
    return put_forms(text, escaped_form, out, size);
}

const char *atls_hex(struct atls_bytes bytes, char *out, size_t size)
{
    return put_forms(bytes, hex_form, out, size);
}
