/* Reading JSON with a schema: every refusal names the place, "$.attest-keys[2].key". */
#ifndef ATLS_STORE_JSON_H
#define ATLS_STORE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include <atls/bytes.h>

/* A value and where it stands; parents outlive their children. */
struct store_json {
    const struct store_json *up; /* NULL: the document */
    const char *key;             /* NULL: element number index */
    size_t index;
    const json_t *value; /* NULL: an optional member that is not there */
};

/* Parses a document: no duplicate members, no trailing bytes, at most limit bytes. *out is the
 * caller's to json_decref. Errors: ATLS_E_DECODE with line and column, ATLS_E_LIMIT. */
ATLS_MUST_CHECK enum atls_code store_json_load(struct atls_bytes in, size_t limit, json_t **out,
                                               struct atls_err *err);
/* ATLS_E_DECODE: the path of at, then rule. */
enum atls_code store_json_fail(const struct store_json *at, struct atls_err *err, const char *rule);
/* Puts the path of at in front of an error that something else found in it. */
enum atls_code store_json_prefix(const struct store_json *at, struct atls_err *err,
                                 enum atls_code code);

/* An object with no other members than names (NULL-terminated). */
ATLS_MUST_CHECK enum atls_code store_json_object(const struct store_json *at,
                                                 const char *const *names, struct atls_err *err);
/* A member of an object, or value NULL. */
struct store_json store_json_member(const struct store_json *object, const char *key);
struct store_json store_json_element(const struct store_json *array, size_t index);

/* Text without NUL and not empty; *out borrows. When optional and absent *out is NULL. */
enum store_json_need { STORE_JSON_REQUIRED, STORE_JSON_OPTIONAL };
ATLS_MUST_CHECK enum atls_code store_json_text(const struct store_json *object, const char *key,
                                               enum store_json_need need, const char **out,
                                               struct atls_err *err);
/* Bytes of hexadecimal text of exactly len bytes. */
ATLS_MUST_CHECK enum atls_code store_json_hex(const struct store_json *at, uint8_t *out, size_t len,
                                              struct atls_err *err);
/* An optional array: *out_count 0 when it is not there. */
ATLS_MUST_CHECK enum atls_code store_json_array(const struct store_json *object, const char *key,
                                                struct store_json *out, size_t *out_count,
                                                struct atls_err *err);

#endif
