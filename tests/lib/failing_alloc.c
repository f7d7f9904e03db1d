#include "failing_alloc.h"

#include <stdlib.h>

#include <openssl/crypto.h>

#include "testlib.h"

static bool armed;
static size_t left;

static bool fails_now(void)
{
    if (!armed)
        return false;
    if (left-- != 0)
        return false;
    armed = false;
    return true;
}

static void *counted_malloc(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return fails_now() ? NULL : malloc(size);
}

static void *counted_realloc(void *ptr, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return fails_now() ? NULL : realloc(ptr, size);
}

static void plain_free(void *ptr, const char *file, int line)
{
    (void)file, (void)line;
    free(ptr);
}

void test_failing_alloc_install(void)
{
    if (CRYPTO_set_mem_functions(counted_malloc, counted_realloc, plain_free) != 1)
        abort();
}

void test_failing_alloc_arm(size_t n)
{
    left = n;
    armed = true;
}

bool test_failing_alloc_disarm(void)
{
    bool happened = !armed;

    armed = false;
    return happened;
}
