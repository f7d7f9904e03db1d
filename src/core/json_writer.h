/* JSON text (RFC 8259) for people and policies, built without a JSON library.
 *
 *     struct atls_json j = atls_json_init(limit);
 *     atls_json_open_object(&j, NULL);
 *     atls_json_put_text(&j, "decision", atls_bytes_of("accept", 6));
 *     atls_json_close(&j);
 *     return atls_json_finish(&j, &text, err);
 *
 * Output is pure ASCII: everything else is escaped, so that text of a peer can neither break the
 * document nor a terminal. The first failure (memory, limit, depth, misuse) sticks and
 * atls_json_finish reports it. key names a member inside an object and is NULL inside an array and
 * at the top. Unique keys are the caller's to give. One thread at a time. */
#ifndef ATLS_CORE_JSON_WRITER_H
#define ATLS_CORE_JSON_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/writer.h"

/* As deep as the deepest document that is shown (CBOR, atls/limits.h) with what wraps each level.
 */
#define ATLS_JSON_DEPTH_MAX 64
/* Integers that every reader keeps exact (RFC 7493 section 2.2). */
#define ATLS_JSON_INTEGER_MAX INT64_C(9007199254740991)

struct atls_json {
    struct atls_writer w;
    bool pretty; /* set it after init: one member a line, two spaces a level */
    bool misused;
    unsigned int depth;
    bool is_array[ATLS_JSON_DEPTH_MAX];
    bool filled[ATLS_JSON_DEPTH_MAX + 1]; /* [0]: the document itself */
};

/* limit: bytes of the text that may be made, its NUL included. */
struct atls_json atls_json_init(size_t limit);

void atls_json_open_object(struct atls_json *j, const char *key);
void atls_json_open_array(struct atls_json *j, const char *key);
/* As the two above with a key that is no C string, as in all functions of this suffix; its .ptr is
 * never NULL inside an object. */
void atls_json_open_object_key(struct atls_json *j, struct atls_bytes key);
void atls_json_open_array_key(struct atls_json *j, struct atls_bytes key);
void atls_json_close(struct atls_json *j);

/* Text in UTF-8; bytes that are not become U+FFFD. */
void atls_json_put_text(struct atls_json *j, const char *key, struct atls_bytes text);
void atls_json_put_text_key(struct atls_json *j, struct atls_bytes key, struct atls_bytes text);
void atls_json_put_string(struct atls_json *j, const char *key, const char *text);
/* A number; beyond ATLS_JSON_INTEGER_MAX its decimal digits as text. */
void atls_json_put_int(struct atls_json *j, const char *key, int64_t v);
void atls_json_put_uint(struct atls_json *j, const char *key, uint64_t v);
void atls_json_put_bool(struct atls_json *j, const char *key, bool v);
void atls_json_put_null(struct atls_json *j, const char *key);
/* Bytes as lower-case hexadecimal text, and as base64url without padding (RFC 4648 section 5). */
void atls_json_put_hex(struct atls_json *j, const char *key, struct atls_bytes bytes);
void atls_json_put_base64url(struct atls_json *j, const char *key, struct atls_bytes bytes);
/* One JSON value as it stands: for text that another encoder made. */
void atls_json_put_raw(struct atls_json *j, const char *key, struct atls_bytes json);
void atls_json_put_raw_key(struct atls_json *j, struct atls_bytes key, struct atls_bytes json);

/* Moves the text to out: NUL terminated, the NUL not counted; the caller's to clear. On failure the
 * content is forgotten. Errors: ATLS_E_NOMEM, ATLS_E_LIMIT, ATLS_E_INTERNAL (unbalanced or
 * misused). */
ATLS_MUST_CHECK enum atls_code atls_json_finish(struct atls_json *j, struct atls_buf *out,
                                                struct atls_err *err);
/* Forgets the content, wiped. */
void atls_json_clear(struct atls_json *j);

#endif
