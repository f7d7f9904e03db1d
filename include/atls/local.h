/* The local verifier (library libatls-verifier): appraisal against a store in this process. */
#ifndef ATLS_LOCAL_H
#define ATLS_LOCAL_H

#include <atls/verifier.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "local:PATH" of a store (atls/store.h). */
ATLS_API extern const struct atls_verifier_ops atls_local_verifier;

#ifdef __cplusplus
}
#endif
#endif
