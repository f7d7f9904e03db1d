/* Secrets: wiped on every way out, compared in constant time. */
#ifndef ATLS_CORE_SECRET_H
#define ATLS_CORE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include <atls/bytes.h>

/* Overwrites memory in a way that the compiler may not drop. ptr may be NULL when len is 0. */
void atls_wipe(void *ptr, size_t len);

/* True when both have the same length and content; time depends on the lengths only. */
ATLS_MUST_CHECK bool atls_secret_equal(struct atls_bytes a, struct atls_bytes b);

#endif
