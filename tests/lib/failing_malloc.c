#include "failing_malloc.h"

/* What the linker makes of the calls, and the functions themselves. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *ptr, size_t size);
/* Visible, since the linker takes calls of shared libraries for calls of these. */
#define VISIBLE __attribute__((visibility("default")))
VISIBLE void *__wrap_malloc(size_t size);
VISIBLE void *__wrap_calloc(size_t count, size_t size);
VISIBLE void *__wrap_realloc(void *ptr, size_t size);

static bool armed;
static size_t left;

static bool fails_now(void)
{
    if (!armed || left-- != 0)
        return false;
    armed = false;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *ptr, size_t size)
{
    return fails_now() ? NULL : __real_realloc(ptr, size);
}

void test_failing_malloc_arm(size_t n)
{
    left = n;
    armed = true;
}

bool test_failing_malloc_disarm(void)
{
    const bool happened = !armed;

    armed = false;
    return happened;
}
