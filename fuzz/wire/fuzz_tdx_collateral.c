/* Intel's signed documents: what is read stands in the text, levels are in order. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/reader.h"
#include "wire/tdx_collateral.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void level(struct atls_bytes in, const struct atls_tdx_level *l)
{
    REQUIRE(l->status.ptr >= in.ptr && l->status.ptr + l->status.len <= in.ptr + in.len);
    for (size_t i = 0; i < l->advisory_count; i++)
        REQUIRE(l->advisories[i].len > 0 && l->advisories[i].ptr >= in.ptr &&
                l->advisories[i].ptr + l->advisories[i].len <= in.ptr + in.len);
}

static void svn_levels(struct atls_bytes in, const struct atls_tdx_svn_level *levels, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        level(in, &levels[i].level);
        REQUIRE(i == 0 || levels[i - 1].isv_svn >= levels[i].isv_svn);
    }
}

static void tcb_info(struct atls_bytes in, const struct atls_json_value *content,
                     struct atls_arena *arena)
{
    struct atls_tdx_tcb_info info;
    bool is_tdx;

    if (atls_tdx_tcb_info_read(content, arena, &is_tdx, &info, NULL) != ATLS_OK || !is_tdx)
        return;
    for (size_t i = 0; i < info.module_count; i++)
        svn_levels(in, info.modules[i].levels, info.modules[i].level_count);
    for (size_t i = 0; i < info.level_count; i++) {
        level(in, &info.levels[i].level);
        REQUIRE(i == 0 || memcmp(info.levels[i - 1].sgx, info.levels[i].sgx, 16) >= 0);
    }
}

static void qe_identity(struct atls_bytes in, const struct atls_json_value *content,
                        struct atls_arena *arena)
{
    struct atls_tdx_qe_identity qe;
    bool is_tdx;

    if (atls_tdx_qe_identity_read(content, arena, &is_tdx, &qe, NULL) == ATLS_OK && is_tdx)
        svn_levels(in, qe.levels, qe.level_count);
}

static void evaluation(const struct atls_json_value *content)
{
    struct atls_tdx_evaluation e;
    bool is_tdx;

    if (atls_tdx_evaluation_read(content, &is_tdx, &e, NULL) == ATLS_OK && is_tdx)
        REQUIRE(e.least <= e.greatest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {ATLS_TDX_TCB_INFO, ATLS_TDX_QE_IDENTITY,
                                        ATLS_TDX_EVALUATION};
    struct atls_bytes in = atls_bytes_of(data, size);

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct atls_arena arena = atls_arena_init(1024 * 1024);
        struct atls_tdx_signed s;

        if (atls_tdx_signed_open(in, names[i], &s, NULL) == ATLS_OK) {
            tcb_info(in, &s.content, &arena);
            qe_identity(in, &s.content, &arena);
            evaluation(&s.content);
        }
        atls_arena_clear(&arena);
    }
    return 0;
}
