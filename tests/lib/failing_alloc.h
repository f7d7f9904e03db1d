/* Makes one allocation of libcrypto fail, counted from now: what runs short of memory must say so,
 * and must never take it for a good answer. */
#ifndef ATLS_TEST_FAILING_ALLOC_H
#define ATLS_TEST_FAILING_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* First call of main, before libcrypto allocated anything. */
void test_failing_alloc_install(void);
/* The allocation after n more fails, once. */
void test_failing_alloc_arm(size_t n);
/* Back to normal; true when the failure did happen. */
bool test_failing_alloc_disarm(void);

#endif
