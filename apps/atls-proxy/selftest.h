/* Why a device or file that a URI names cannot be used, in the words of whoever has to change that.
 * It looks at files alone, as the user that the process is. */
#ifndef PROXY_SELFTEST_H
#define PROXY_SELFTEST_H

#include <stdbool.h>
#include <stddef.h>

#include <atls/err.h>

#define SELFTEST_MAX 256

/* uri: of an attester or a verifier. True when something is in the way: out says what, "PATH: what
 * is wrong; what is wanted". */
bool selftest_uri(const char *uri, char out[SELFTEST_MAX]);
/* Puts that in front of what the library found when it used uri. */
void selftest_explain(const char *uri, struct atls_err *err);

#endif
