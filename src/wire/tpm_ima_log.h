/* IMA runtime measurement logs (Linux, Documentation/security/IMA-templates.rst): what the kernel
 * extended into a PCR, 10 as a rule, in the binary or the ASCII form of the kernel. The binary form
 * is little-endian (ima_canonical_fmt).
 *
 * Templates "ima", "ima-ng", "ima-sig", "ima-buf" and the "v2" forms of the second and third; a
 * binary log may hold others, whose fields are then not looked at.
 *
 *     struct atls_ima_log log = atls_ima_log_init(in);
 *     while (!atls_ima_log_done(&log)) {
 *         if ((code = atls_ima_log_next(&log, &entry, err)) != ATLS_OK) break;
 *         ...
 *     }
 *     atls_ima_log_clear(&log);
 *
 * Reading a log proves nothing: an entry counts only when a replay (evidence/ima_log.h) shows it
 * before a quoted PCR value. One thread at a time per log. */
#ifndef ATLS_WIRE_TPM_IMA_LOG_H
#define ATLS_WIRE_TPM_IMA_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/reader.h"
#include "core/writer.h"

#define ATLS_IMA_TEMPLATE_HASH_LEN 20
/* A path is at most PATH_MAX; a buffer (key, policy) rarely more than some kilobytes. */
#define ATLS_IMA_TEMPLATE_DATA_MAX (1024 * 1024)

struct atls_ima_log {
    struct atls_reader r;
    bool ascii;
    struct atls_writer scratch; /* template data of the entry last read, when it had to be built */
};

struct atls_ima_entry {
    uint32_t pcr;
    uint8_t template_hash[ATLS_IMA_TEMPLATE_HASH_LEN]; /* SHA-1 as logged; not checked here */
    bool violation; /* all-zero template hash: the file changed while it was measured */
    struct atls_bytes template_name;
    struct atls_bytes template_data; /* what is hashed; borrows from log until the next call */
    /* Fields, empty for a template that we do not know; they borrow as template_data does. */
    struct atls_bytes algorithm; /* "sha256"; "sha1" for template ima */
    struct atls_bytes digest;
    struct atls_bytes path;      /* no NUL; text of whoever named the file */
    struct atls_bytes signature; /* ima-sig: a whole signature extended attribute, or empty */
    struct atls_bytes buffer;    /* ima-buf */
};

/* Looks at the first bytes to tell the binary from the ASCII form. */
struct atls_ima_log atls_ima_log_init(struct atls_bytes in);
/* True when every entry was read; an empty log is done at once. */
bool atls_ima_log_done(const struct atls_ima_log *log);
/* The next entry. Errors: ATLS_E_DECODE, malformed; ATLS_E_LIMIT (more than ATLS_EVENT_LOG_MAX
 * bytes); ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_ima_log_next(struct atls_ima_log *log,
                                                 struct atls_ima_entry *out, struct atls_err *err);
void atls_ima_log_clear(struct atls_ima_log *log);

#endif
