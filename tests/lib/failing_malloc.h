/* Makes one allocation of the program under test fail, counted from now. For tests that are linked
 * with --wrap of these functions (tests/CMakeLists.txt: names that end in _memory_wrapped). One
 * thread. */
#ifndef ATLS_TEST_FAILING_MALLOC_H
#define ATLS_TEST_FAILING_MALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* The allocation after n more fails, once. */
void test_failing_malloc_arm(size_t n);
/* Back to normal; true when the failure did happen. */
bool test_failing_malloc_disarm(void);

#endif
