/* JSON (RFC 8259) as signed documents need it: strict, bounded, without a tree and without memory.
 *
 *     struct atls_json_value root, info;
 *     if ((code = atls_json_parse(text, &root, err)) != ATLS_OK)
 *         return code;
 *     if (!atls_json_member(&root, "tcbInfo", &info)) ...
 *     verify the signature over info.raw, then read info
 *
 * atls_json_parse checks the whole text once: grammar, UTF-8, escapes, depth, and that no object
 * has a member name twice, however it is spelled; so what is found by name later is what everybody
 * else finds. Values are then walked where they stand: raw is their exact text, from first to last
 * byte, and a signature over it covers just what is read. Walking only goes over values that came
 * from a parsed text. Pure codec; any thread. */
#ifndef ATLS_WIRE_JSON_H
#define ATLS_WIRE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>

/* Length of a text, in bytes. */
#define ATLS_JSON_TEXT_MAX ((size_t)1024 * 1024)
/* Arrays and objects within each other. */
#define ATLS_JSON_NESTING_MAX 16
/* Member names of all objects that are open at one place: their spans fit a stack frame, and
 * comparing them is cheap. */
#define ATLS_JSON_NAMES_MAX 256

enum atls_json_kind {
    ATLS_JSON_NULL,
    ATLS_JSON_BOOL,
    ATLS_JSON_NUMBER,
    ATLS_JSON_STRING,
    ATLS_JSON_ARRAY,
    ATLS_JSON_OBJECT,
};

/* A value of a checked text, which it borrows from. */
struct atls_json_value {
    enum atls_json_kind kind;
    struct atls_bytes raw; /* without the white space around it */
};

/* Checks text, which holds exactly one value and white space. *out is written on success only.
 * Errors: ATLS_E_DECODE (malformed), ATLS_E_LIMIT (length, depth, names). */
ATLS_MUST_CHECK enum atls_code atls_json_parse(struct atls_bytes text, struct atls_json_value *out,
                                               struct atls_err *err);

/* The member of this name, in UTF-8; false when value is no object or has none. */
ATLS_MUST_CHECK bool atls_json_member(const struct atls_json_value *value, const char *name,
                                      struct atls_json_value *out);

/* Goes over the elements of an array or the members of an object, in their order. */
struct atls_json_walk {
    const uint8_t *next, *end; /* private */
    bool members;
};
/* Of a value of another kind: nothing to go over. */
struct atls_json_walk atls_json_walk(const struct atls_json_value *value);
/* False at the end. name (may be NULL) is a string in an object, and is not touched in an array. */
ATLS_MUST_CHECK bool atls_json_next(struct atls_json_walk *walk, struct atls_json_value *name,
                                    struct atls_json_value *out);

/* True when value is a string of just this text. */
bool atls_json_is_text(const struct atls_json_value *value, const char *text);
/* Decodes a string into room bytes at out, as UTF-8 without a terminator. False when value is no
 * string or is longer; out may then hold a part of it. */
ATLS_MUST_CHECK bool atls_json_get_text(const struct atls_json_value *value, char *out, size_t room,
                                        size_t *out_len);
/* A string without escapes, as it stands there. */
ATLS_MUST_CHECK bool atls_json_get_plain(const struct atls_json_value *value,
                                         struct atls_bytes *out);
/* A string of exactly 2 * len hexadecimal digits of either case. */
ATLS_MUST_CHECK bool atls_json_get_hex(const struct atls_json_value *value, uint8_t *out,
                                       size_t len);
/* A number without sign, fraction and exponent, at most max. */
ATLS_MUST_CHECK bool atls_json_get_uint(const struct atls_json_value *value, uint64_t max,
                                        uint64_t *out);
ATLS_MUST_CHECK bool atls_json_get_bool(const struct atls_json_value *value, bool *out);
/* An RFC 3339 date and time in UTC, "2025-06-19T10:32:27Z", in seconds since 1970; fractions of a
 * second are dropped. */
ATLS_MUST_CHECK bool atls_json_get_time(const struct atls_json_value *value, int64_t *out_s);

#endif
