#include "testlib.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

struct atls_buf test_unhex(const char *hex)
{
    struct atls_buf out = ATLS_BUF_INIT;
    size_t len = strlen(hex);

    if (len % 2 != 0)
        fail_msg("odd number of hex digits: %s", hex);
    out.ptr = malloc(len / 2 + 1);
    if (out.ptr == NULL)
        fail_msg("out of memory");
    for (size_t i = 0; i < len; i += 2) {
        int high = digit(hex[i]), low = digit(hex[i + 1]);

        if (high < 0 || low < 0)
            fail_msg("not hex at %zu: %s", i, hex);
        out.ptr[i / 2] = (uint8_t)(high << 4 | low);
    }
    out.len = len / 2;
    return out;
}

struct atls_buf test_vector(const char *path)
{
    struct atls_buf out = ATLS_BUF_INIT;
    char full[1024];
    FILE *f;
    long size = 0;

    snprintf(full, sizeof full, "%s/%s", ATLS_TEST_VECTORS, path);
    f = fopen(full, "rb");
    if (f == NULL || fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) < 0 ||
        fseek(f, 0, SEEK_SET) != 0)
        fail_msg("cannot read %s", full);
    out.ptr = malloc((size_t)size + 1);
    if (out.ptr == NULL || fread(out.ptr, 1, (size_t)size, f) != (size_t)size)
        fail_msg("cannot read %s", full);
    fclose(f);
    out.ptr[size] = '\0'; /* some are read as text */
    out.len = (size_t)size;
    return out;
}

void test_assert_bytes(struct atls_bytes got, struct atls_bytes want)
{
    if (got.len == want.len && (got.len == 0 || memcmp(got.ptr, want.ptr, got.len) == 0))
        return;
    print_error("got %zu bytes:  ", got.len);
    for (size_t i = 0; i < got.len && i < 256; i++)
        print_error("%02x", got.ptr[i]);
    print_error("\nwant %zu bytes: ", want.len);
    for (size_t i = 0; i < want.len && i < 256; i++)
        print_error("%02x", want.ptr[i]);
    print_error("\n");
    fail_msg("bytes differ");
}

void test_assert_code_at(enum atls_code code, enum atls_code want, const struct atls_err *err,
                         const char *file, int line)
{
    if (code == want)
        return;
    print_error("got %s (%s: %s), want %s\n", atls_code_name(code),
                err == NULL ? "" : atls_reason_name(err->reason), err == NULL ? "" : err->message,
                atls_code_name(want));
    _fail(file, line);
}
