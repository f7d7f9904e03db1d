#include "wire/tdx_collateral.h"

#include <string.h>

#include "core/err.h"
#include "core/reader.h"

/* Where lists go. A step that fails for want of memory says so here. */
struct memory {
    struct atls_arena *arena;
    bool exhausted;
};

static void *allocate(struct memory *m, size_t count, size_t size)
{
    void *p = atls_arena_alloc(m->arena, count, size);

    m->exhausted |= p == NULL;
    return p;
}

/* ---- errors ---- */

static enum atls_code missing(const char *document, const char *member, struct atls_err *err)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                            "%s: member \"%s\" is missing or malformed", document, member);
}

static enum atls_code no_memory(const char *document, struct atls_err *err)
{
    return atls_fail(err, ATLS_E_NOMEM, "%s: out of memory", document);
}

/* ---- members of an object ---- */

static bool get_hex(const struct atls_json_value *object, const char *name, uint8_t *out,
                    size_t len)
{
    struct atls_json_value value;

    return atls_json_member(object, name, &value) && atls_json_get_hex(&value, out, len);
}

static bool get_u32(const struct atls_json_value *object, const char *name, uint32_t *out)
{
    struct atls_json_value value;
    uint64_t number;

    if (!atls_json_member(object, name, &value) || !atls_json_get_uint(&value, UINT32_MAX, &number))
        return false;
    *out = (uint32_t)number;
    return true;
}

static bool get_u16(const struct atls_json_value *object, const char *name, uint16_t *out)
{
    uint32_t number;

    if (!get_u32(object, name, &number) || number > UINT16_MAX)
        return false;
    *out = (uint16_t)number;
    return true;
}

static bool get_time(const struct atls_json_value *object, const char *name, int64_t *out_s)
{
    struct atls_json_value value;

    return atls_json_member(object, name, &value) && atls_json_get_time(&value, out_s);
}

static bool get_window(const struct atls_json_value *object, struct atls_tdx_window *out)
{
    return get_time(object, "issueDate", &out->issue_s) &&
           get_time(object, "nextUpdate", &out->next_update_s);
}

static bool has_id(const struct atls_json_value *object, const char *id, uint32_t version)
{
    struct atls_json_value value;
    uint32_t found;

    return atls_json_member(object, "id", &value) && atls_json_is_text(&value, id) &&
           get_u32(object, "version", &found) && found == version;
}

/* 16 hexadecimal digits of a mask in the order of memory: a little-endian number. */
static bool get_u64le(const struct atls_json_value *object, const char *name, uint64_t *out)
{
    uint8_t bytes[8] = {0};
    struct atls_reader r = atls_reader_init(atls_bytes_of(bytes, sizeof bytes));

    return get_hex(object, name, bytes, sizeof bytes) && atls_get_u64le(&r, out);
}

/* Printable ASCII that stands there as it is: it goes into messages and claims. */
static bool get_word(const struct atls_json_value *value, size_t max, struct atls_bytes *out)
{
    struct atls_bytes text;

    if (!atls_json_get_plain(value, &text) || text.len == 0 || text.len > max)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < 0x21 || text.ptr[i] > 0x7e)
            return false;
    *out = text;
    return true;
}

/* The elements of an array, at most max; false when there is none of this name. */
static bool open_array(const struct atls_json_value *object, const char *name, size_t max,
                       struct atls_json_value *out, size_t *out_count)
{
    struct atls_json_walk walk;
    struct atls_json_value array, element;
    size_t count = 0;

    if (!atls_json_member(object, name, &array) || array.kind != ATLS_JSON_ARRAY)
        return false;
    for (walk = atls_json_walk(&array); atls_json_next(&walk, NULL, &element); count++)
        if (count == max)
            return false;
    *out = array;
    *out_count = count;
    return true;
}

/* ---- the frame ---- */

enum atls_code atls_tdx_signed_open(struct atls_bytes text, const char *name,
                                    struct atls_tdx_signed *out, struct atls_err *err)
{
    struct atls_tdx_signed s;
    struct atls_json_value root, member;
    struct atls_json_walk walk;
    size_t members = 0;
    enum atls_code code = atls_json_parse(text, &root, err);

    if (code != ATLS_OK)
        return code;
    if (!atls_json_member(&root, name, &s.content) || s.content.kind != ATLS_JSON_OBJECT)
        return missing("signed document", name, err);
    if (!get_hex(&root, "signature", s.signature, sizeof s.signature))
        return missing(name, "signature", err);
    for (walk = atls_json_walk(&root); atls_json_next(&walk, NULL, &member);)
        members++;
    if (members != 2)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "%s: %zu members beside each other, want it and its signature",
                                name, members);
    *out = s;
    return ATLS_OK;
}

/* ---- levels ---- */

/* "advisoryIDs" may be absent. */
static bool read_advisories(const struct atls_json_value *object, struct memory *memory,
                            struct atls_tdx_level *level)
{
    struct atls_json_value array, element;
    struct atls_json_walk walk;
    struct atls_bytes *list;
    size_t count = 0;

    if (!atls_json_member(object, "advisoryIDs", &array))
        return true;
    if (!open_array(object, "advisoryIDs", ATLS_TDX_ADVISORIES_MAX, &array, &count) ||
        (list = allocate(memory, count, sizeof *list)) == NULL)
        return false;
    walk = atls_json_walk(&array);
    for (size_t i = 0; i < count; i++)
        if (!atls_json_next(&walk, NULL, &element) ||
            !get_word(&element, ATLS_TDX_ADVISORY_LEN, &list[i]))
            return false;
    level->advisories = list;
    level->advisory_count = count;
    return true;
}

/* What every level has, whatever it is the level of; *tcb is its "tcb" object. */
static bool read_level(const struct atls_json_value *object, struct memory *memory,
                       struct atls_json_value *tcb, struct atls_tdx_level *out)
{
    struct atls_json_value status;

    return atls_json_member(object, "tcb", tcb) && tcb->kind == ATLS_JSON_OBJECT &&
           atls_json_member(object, "tcbStatus", &status) &&
           get_word(&status, ATLS_TDX_ADVISORY_LEN, &out->status) &&
           get_time(object, "tcbDate", &out->date_s) && read_advisories(object, memory, out);
}

/* Levels of a module or an enclave, put in order: the highest first. */
static bool read_svn_levels(const struct atls_json_value *object, struct memory *memory,
                            struct atls_tdx_svn_level **out, size_t *out_count)
{
    struct atls_tdx_svn_level *levels;
    struct atls_json_value array, element, tcb;
    struct atls_json_walk walk;
    size_t count;

    if (!open_array(object, "tcbLevels", ATLS_TDX_LEVELS_MAX, &array, &count) ||
        (levels = allocate(memory, count, sizeof *levels)) == NULL)
        return false;
    walk = atls_json_walk(&array);
    for (size_t i = 0; i < count; i++) {
        struct atls_tdx_svn_level level = {.isv_svn = 0};
        size_t at = i;

        if (!atls_json_next(&walk, NULL, &element) ||
            !read_level(&element, memory, &tcb, &level.level) ||
            !get_u32(&tcb, "isvsvn", &level.isv_svn))
            return false;
        for (; at > 0 && levels[at - 1].isv_svn < level.isv_svn; at--)
            levels[at] = levels[at - 1];
        levels[at] = level;
    }
    *out = levels;
    *out_count = count;
    return true;
}

/* Exactly sixteen of {"svn":0..255, ...}. */
static bool read_components(const struct atls_json_value *tcb, const char *name,
                            uint8_t out[ATLS_TDX_COMPONENTS])
{
    struct atls_json_value array, element;
    struct atls_json_walk walk;
    size_t count;

    if (!open_array(tcb, name, ATLS_TDX_COMPONENTS, &array, &count) || count != ATLS_TDX_COMPONENTS)
        return false;
    walk = atls_json_walk(&array);
    for (size_t i = 0; i < ATLS_TDX_COMPONENTS; i++) {
        uint32_t svn;

        if (!atls_json_next(&walk, NULL, &element) || !get_u32(&element, "svn", &svn) ||
            svn > UINT8_MAX)
            return false;
        out[i] = (uint8_t)svn;
    }
    return true;
}

/* Above zero when a is the higher level: SGX components, PCESVN, then TDX components. */
static int compare_levels(const struct atls_tdx_platform_level *a,
                          const struct atls_tdx_platform_level *b)
{
    int order = memcmp(a->sgx, b->sgx, sizeof a->sgx);

    if (order == 0)
        order = (int)a->pce_svn - (int)b->pce_svn;
    return order != 0 ? order : memcmp(a->tdx, b->tdx, sizeof a->tdx);
}

static bool read_platform_level(const struct atls_json_value *tcb, bool with_tdx,
                                struct atls_tdx_platform_level *out)
{
    return read_components(tcb, "sgxtcbcomponents", out->sgx) &&
           get_u16(tcb, "pcesvn", &out->pce_svn) &&
           (!with_tdx || read_components(tcb, "tdxtcbcomponents", out->tdx));
}

static bool read_platform_levels(const struct atls_json_value *object, bool with_tdx,
                                 struct memory *memory, struct atls_tdx_tcb_info *info)
{
    struct atls_json_value array, element, tcb;
    struct atls_json_walk walk;

    if (!open_array(object, "tcbLevels", ATLS_TDX_LEVELS_MAX, &array, &info->level_count) ||
        (info->levels = allocate(memory, info->level_count, sizeof *info->levels)) == NULL)
        return false;
    walk = atls_json_walk(&array);
    for (size_t i = 0; i < info->level_count; i++) {
        struct atls_tdx_platform_level level = {.pce_svn = 0};
        size_t at = i;

        if (!atls_json_next(&walk, NULL, &element) ||
            !read_level(&element, memory, &tcb, &level.level) ||
            !read_platform_level(&tcb, with_tdx, &level))
            return false;
        for (; at > 0 && compare_levels(&info->levels[at - 1], &level) < 0; at--)
            info->levels[at] = info->levels[at - 1];
        info->levels[at] = level;
    }
    return true;
}

/* ---- TCB info ---- */

static bool read_module_facts(const struct atls_json_value *object, struct atls_tdx_module *out)
{
    return get_hex(object, "mrsigner", out->mr_signer, sizeof out->mr_signer) &&
           get_u64le(object, "attributes", &out->attributes) &&
           get_u64le(object, "attributesMask", &out->attributes_mask);
}

/* "tdxModuleIdentities" may be absent: files of 2023 have none. */
static bool read_modules(const struct atls_json_value *content, struct memory *memory,
                         struct atls_tdx_tcb_info *info)
{
    struct atls_json_value array, element, id;
    struct atls_json_walk walk;

    if (!atls_json_member(content, "tdxModuleIdentities", &array))
        return true;
    if (!open_array(content, "tdxModuleIdentities", ATLS_TDX_MODULES_MAX, &array,
                    &info->module_count) ||
        (info->modules = allocate(memory, info->module_count, sizeof *info->modules)) == NULL)
        return false;
    walk = atls_json_walk(&array);
    for (size_t i = 0; i < info->module_count; i++) {
        struct atls_tdx_module *m = &info->modules[i];

        if (!atls_json_next(&walk, NULL, &element) || !atls_json_member(&element, "id", &id) ||
            !get_word(&id, ATLS_TDX_ADVISORY_LEN, &m->id) || !read_module_facts(&element, m) ||
            !read_svn_levels(&element, memory, &m->levels, &m->level_count))
            return false;
    }
    return true;
}

/* A step that reads a member failed: for want of memory, or for what stands there. */
static enum atls_code failed_step(const struct memory *memory, const char *document,
                                  const char *member, struct atls_err *err)
{
    return memory->exhausted ? no_memory(document, err) : missing(document, member, err);
}

static const char tcb_info_name[] = "TCB info";

/* What both technologies have but for the levels. */
static enum atls_code read_head(const struct atls_json_value *content,
                                struct atls_tdx_tcb_info *info, struct atls_err *err)
{
    if (!get_window(content, &info->window))
        return missing(tcb_info_name, "issueDate\", \"nextUpdate", err);
    if (!get_hex(content, "fmspc", info->fmspc, sizeof info->fmspc))
        return missing(tcb_info_name, "fmspc", err);
    if (!get_hex(content, "pceId", info->pce_id, sizeof info->pce_id))
        return missing(tcb_info_name, "pceId", err);
    if (!get_u32(content, "tcbEvaluationDataNumber", &info->evaluation_number))
        return missing(tcb_info_name, "tcbEvaluationDataNumber", err);
    return ATLS_OK;
}

static enum atls_code read_tdx_part(const struct atls_json_value *content, struct memory *memory,
                                    struct atls_tdx_tcb_info *info, struct atls_err *err)
{
    struct atls_json_value module;

    if (!atls_json_member(content, "tdxModule", &module) ||
        !read_module_facts(&module, &info->module))
        return missing(tcb_info_name, "tdxModule", err);
    if (!read_modules(content, memory, info))
        return failed_step(memory, tcb_info_name, "tdxModuleIdentities", err);
    return ATLS_OK;
}

enum atls_code atls_tdx_tcb_info_read(const struct atls_json_value *content,
                                      struct atls_arena *arena, bool *out_is_tdx,
                                      struct atls_tdx_tcb_info *out, struct atls_err *err)
{
    struct memory memory = {arena, false};
    struct atls_tdx_tcb_info info = {.evaluation_number = 0};
    enum atls_code code;

    *out_is_tdx = has_id(content, "TDX", 3);
    if (!*out_is_tdx)
        return ATLS_OK;
    if ((code = read_head(content, &info, err)) != ATLS_OK ||
        (code = read_tdx_part(content, &memory, &info, err)) != ATLS_OK)
        return code;
    if (!read_platform_levels(content, true, &memory, &info))
        return failed_step(&memory, tcb_info_name, "tcbLevels", err);
    *out = info;
    return ATLS_OK;
}

enum atls_code atls_sgx_tcb_info_read(const struct atls_json_value *content,
                                      struct atls_arena *arena, bool *out_is_sgx,
                                      struct atls_tdx_tcb_info *out, struct atls_err *err)
{
    struct memory memory = {arena, false};
    struct atls_tdx_tcb_info info = {.evaluation_number = 0};
    enum atls_code code;

    *out_is_sgx = has_id(content, "SGX", 3);
    if (!*out_is_sgx)
        return ATLS_OK;
    if ((code = read_head(content, &info, err)) != ATLS_OK)
        return code;
    if (!read_platform_levels(content, false, &memory, &info))
        return failed_step(&memory, tcb_info_name, "tcbLevels", err);
    *out = info;
    return ATLS_OK;
}

/* ---- identity of the quoting enclave ---- */

static bool read_qe_facts(const struct atls_json_value *content, struct atls_tdx_qe_identity *out)
{
    return get_hex(content, "miscselect", out->misc_select, sizeof out->misc_select) &&
           get_hex(content, "miscselectMask", out->misc_select_mask,
                   sizeof out->misc_select_mask) &&
           get_hex(content, "attributes", out->attributes, sizeof out->attributes) &&
           get_hex(content, "attributesMask", out->attributes_mask, sizeof out->attributes_mask) &&
           get_hex(content, "mrsigner", out->mr_signer, sizeof out->mr_signer) &&
           get_u16(content, "isvprodid", &out->isv_prod_id);
}

static enum atls_code read_qe_identity(const struct atls_json_value *content,
                                       struct atls_arena *arena, struct atls_tdx_qe_identity *out,
                                       struct atls_err *err)
{
    static const char name[] = "QE identity";
    struct memory memory = {arena, false};
    struct atls_tdx_qe_identity identity = {.evaluation_number = 0};

    if (!get_window(content, &identity.window))
        return missing(name, "issueDate\", \"nextUpdate", err);
    if (!get_u32(content, "tcbEvaluationDataNumber", &identity.evaluation_number))
        return missing(name, "tcbEvaluationDataNumber", err);
    if (!read_qe_facts(content, &identity))
        return missing(name, "miscselect\" to \"isvprodid", err);
    if (!read_svn_levels(content, &memory, &identity.levels, &identity.level_count))
        return failed_step(&memory, name, "tcbLevels", err);
    *out = identity;
    return ATLS_OK;
}

enum atls_code atls_tdx_qe_identity_read(const struct atls_json_value *content,
                                         struct atls_arena *arena, bool *out_is_tdx,
                                         struct atls_tdx_qe_identity *out, struct atls_err *err)
{
    *out_is_tdx = has_id(content, "TD_QE", 2);
    return *out_is_tdx ? read_qe_identity(content, arena, out, err) : ATLS_OK;
}

enum atls_code atls_sgx_qe_identity_read(const struct atls_json_value *content,
                                         struct atls_arena *arena, bool *out_is_sgx,
                                         struct atls_tdx_qe_identity *out, struct atls_err *err)
{
    *out_is_sgx = has_id(content, "QE", 2);
    return *out_is_sgx ? read_qe_identity(content, arena, out, err) : ATLS_OK;
}

/* ---- evaluation data numbers ---- */

static enum atls_code read_evaluation(const struct atls_json_value *content,
                                      struct atls_tdx_evaluation *out, struct atls_err *err)
{
    static const char name[] = "TCB evaluation data numbers";
    struct atls_tdx_evaluation evaluation = {.least = UINT32_MAX};
    struct atls_json_value array, element;
    struct atls_json_walk walk;
    size_t count;

    if (!get_window(content, &evaluation.window))
        return missing(name, "issueDate\", \"nextUpdate", err);
    if (!open_array(content, "tcbEvalNumbers", ATLS_TDX_LEVELS_MAX, &array, &count) || count == 0)
        return missing(name, "tcbEvalNumbers", err);
    for (walk = atls_json_walk(&array); atls_json_next(&walk, NULL, &element);) {
        uint32_t number;

        if (!get_u32(&element, "tcbEvaluationDataNumber", &number))
            return missing(name, "tcbEvaluationDataNumber", err);
        if (number < evaluation.least)
            evaluation.least = number;
        if (number > evaluation.greatest)
            evaluation.greatest = number;
    }
    *out = evaluation;
    return ATLS_OK;
}

enum atls_code atls_tdx_evaluation_read(const struct atls_json_value *content, bool *out_is_tdx,
                                        struct atls_tdx_evaluation *out, struct atls_err *err)
{
    *out_is_tdx = has_id(content, "TDX", 1);
    return *out_is_tdx ? read_evaluation(content, out, err) : ATLS_OK;
}

enum atls_code atls_sgx_evaluation_read(const struct atls_json_value *content, bool *out_is_sgx,
                                        struct atls_tdx_evaluation *out, struct atls_err *err)
{
    *out_is_sgx = has_id(content, "SGX", 1);
    return *out_is_sgx ? read_evaluation(content, out, err) : ATLS_OK;
}
