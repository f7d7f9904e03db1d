/* Text that grows: JSON, base64, hex. A failed allocation sticks and shows when the text is taken.
 */
#ifndef DAEMON_TEXT_H
#define DAEMON_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include <atls/bytes.h>

/* Sets code and message, as the library does for its own errors. */
enum atls_code set_error(struct atls_err *err, enum atls_code code, const char *format, ...)
    ATLS_PRINTF(3, 4);

/* Zeros are an empty text. */
struct text {
    char *ptr; /* NUL terminated once something was added */
    size_t len, size;
    bool failed;
};

void text_clear(struct text *t);
void text_add(struct text *t, const char *bytes, size_t len);
void text_puts(struct text *t, const char *s);
void text_printf(struct text *t, const char *format, ...) ATLS_PRINTF(2, 3);

/* JSON. A comma is put where one is needed: after anything but an opening bracket or a colon. What
 * is no UTF-8 becomes U+FFFD. */
void text_open(struct text *t, char bracket); /* '{' or '[' as an element or a value */
void text_close(struct text *t, char bracket);
void text_key(struct text *t, const char *key);
void text_string(struct text *t, const char *s);
void text_string_of(struct text *t, const char *s, size_t len);
void text_raw(struct text *t, const char *json); /* JSON text as an element or a value */
void text_int(struct text *t, int64_t value);
void text_member(struct text *t, const char *key, const char *value);
void text_member_int(struct text *t, const char *key, int64_t value);

enum base64_form { BASE64_STD, BASE64_URL }; /* padded; unpadded */
/* As a JSON string. */
void text_base64(struct text *t, struct atls_bytes bytes, enum base64_form form);
/* Strict base64url, padded or not, no bits left over; false when it is not, or longer than size. */
bool base64url_decode(const char *text, uint8_t *out, size_t size, size_t *out_len);
/* Exactly len bytes in hexadecimal, either case. */
bool hex_decode(const char *text, uint8_t *out, size_t len);

/* RFC 3339, UTC, whole seconds; out has 24 bytes. */
void time_text(int64_t time_s, char out[24]);
/* Random UUID of version 4; out has 37 bytes. False when there is no randomness. A name, no secret:
 * what follows is in memory already, so that it is for one process that never forks. */
bool uuid_new(char out[37]);
bool uuid_is(const char *text); /* 36 characters, lower-case hexadecimal */

#endif
