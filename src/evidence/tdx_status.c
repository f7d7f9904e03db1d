#include "evidence/tdx_status.h"

#include <string.h>

#include "core/err.h"
#include "core/reader.h"

/* Indices of TEE_TCB_SVN. */
#define MODULE_SVN     0
#define MODULE_VERSION 1
#define MICROCODE      2

static const struct {
    const char *name;
    unsigned int status;
    enum atls_reason reason; /* when it is not accepted */
} statuses[] = {
    {"UpToDate", ATLS_TDX_UP_TO_DATE, ATLS_REASON_TCB_CONFIGURATION},
    {"SWHardeningNeeded", ATLS_TDX_SW_HARDENING_NEEDED, ATLS_REASON_TCB_CONFIGURATION},
    {"ConfigurationNeeded", ATLS_TDX_CONFIGURATION_NEEDED, ATLS_REASON_TCB_CONFIGURATION},
    {"ConfigurationAndSWHardeningNeeded", ATLS_TDX_CONFIGURATION_AND_SW_HARDENING_NEEDED,
     ATLS_REASON_TCB_CONFIGURATION},
    {"OutOfDate", ATLS_TDX_OUT_OF_DATE, ATLS_REASON_TCB_OUT_OF_DATE},
    {"OutOfDateConfigurationNeeded", ATLS_TDX_OUT_OF_DATE_CONFIGURATION_NEEDED,
     ATLS_REASON_TCB_OUT_OF_DATE},
    {"TDRelaunchAdvised", ATLS_TDX_RELAUNCH_ADVISED, ATLS_REASON_TCB_OUT_OF_DATE},
    {"TDRelaunchAdvisedConfigurationNeeded", ATLS_TDX_RELAUNCH_ADVISED_CONFIGURATION_NEEDED,
     ATLS_REASON_TCB_OUT_OF_DATE},
    {"Revoked", ATLS_TDX_REVOKED, ATLS_REASON_TCB_REVOKED},
};
#define STATUSES (sizeof statuses / sizeof statuses[0])

#define OUT_OF_DATE (ATLS_TDX_OUT_OF_DATE | ATLS_TDX_OUT_OF_DATE_CONFIGURATION_NEEDED)
#define WANTS_CONFIGURED                                                                           \
    (ATLS_TDX_CONFIGURATION_NEEDED | ATLS_TDX_CONFIGURATION_AND_SW_HARDENING_NEEDED |              \
     ATLS_TDX_OUT_OF_DATE_CONFIGURATION_NEEDED)
#define UP_TO_DATE_OR_ADVICE                                                                       \
    (ATLS_TDX_UP_TO_DATE | ATLS_TDX_SW_HARDENING_NEEDED | ATLS_TDX_CONFIGURATION_NEEDED |          \
     ATLS_TDX_CONFIGURATION_AND_SW_HARDENING_NEEDED)

unsigned int atls_tdx_status_of(struct atls_bytes text)
{
    for (size_t i = 0; i < STATUSES; i++)
        if (atls_bytes_equal_text(text, statuses[i].name))
            return statuses[i].status;
    return 0;
}

const char *atls_tdx_status_name(unsigned int status)
{
    for (size_t i = 0; i < STATUSES; i++)
        if (statuses[i].status == status)
            return statuses[i].name;
    return "";
}

static enum atls_code not_supported(struct atls_err *err, const char *what)
{
    return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_TCB_NOT_SUPPORTED, "TCB: %s", what);
}

/* ---- levels ---- */

const struct atls_tdx_module *atls_tdx_module_of(const struct atls_tdx_tcb_info *info,
                                                 uint8_t version)
{
    for (size_t i = 0; i < info->module_count; i++) {
        struct atls_bytes id = info->modules[i].id;

        if (id.len == 6 &&
            atls_bytes_equal_without_case(atls_bytes_of(id.ptr, 4), atls_bytes_of("TDX_", 4)) &&
            atls_hex_digit(id.ptr[4]) == version >> 4 &&
            atls_hex_digit(id.ptr[5]) == (version & 0xf))
            return &info->modules[i];
    }
    return NULL;
}

/* The highest level that isv_svn reaches, or NULL. */
static const struct atls_tdx_level *svn_level(const struct atls_tdx_svn_level *levels, size_t count,
                                              uint32_t isv_svn)
{
    for (size_t i = 0; i < count; i++)
        if (levels[i].isv_svn <= isv_svn)
            return &levels[i].level;
    return NULL;
}

enum atls_code atls_tdx_qe_level(const struct atls_tdx_qe_identity *qe, uint16_t isv_svn,
                                 const struct atls_tdx_level **out, struct atls_err *err)
{
    const struct atls_tdx_level *level = svn_level(qe->levels, qe->level_count, isv_svn);

    if (level == NULL)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_TCB_NOT_SUPPORTED,
                                "TCB: no level of the quoting enclave reaches down to its "
                                "ISVSVN %u",
                                isv_svn);
    *out = level;
    return ATLS_OK;
}

static bool reaches(const uint8_t *have, const uint8_t *want, size_t first)
{
    for (size_t i = first; i < ATLS_TDX_COMPONENTS; i++)
        if (have[i] < want[i])
            return false;
    return true;
}

static bool reaches_sgx(const struct atls_tdx_tcb *tcb, const struct atls_tdx_platform_level *level)
{
    return reaches(tcb->sgx, level->sgx, 0) && tcb->pce_svn >= level->pce_svn;
}

/* A module with an identity of its own has levels of its own: its two components do not count. */
static bool reaches_tdx(const struct atls_tdx_tcb *tcb, const struct atls_tdx_platform_level *level)
{
    const uint8_t *svn = tcb->body != NULL ? tcb->body->tcb_svn.ptr : NULL;

    return svn == NULL || reaches(svn, level->tdx, svn[MODULE_VERSION] > 0 ? MICROCODE : 0);
}

/* Highest level that the SGX part reaches, and highest that both parts reach. */
static enum atls_code find_platform(const struct atls_tdx_tcb_info *info,
                                    const struct atls_tdx_tcb *tcb,
                                    const struct atls_tdx_level **sgx,
                                    const struct atls_tdx_level **tdx, struct atls_err *err)
{
    *sgx = NULL;
    for (size_t i = 0; i < info->level_count; i++) {
        const struct atls_tdx_platform_level *level = &info->levels[i];

        if (!reaches_sgx(tcb, level))
            continue;
        if (*sgx == NULL)
            *sgx = &level->level;
        if (reaches_tdx(tcb, level)) {
            *tdx = &level->level;
            return ATLS_OK;
        }
    }
    return not_supported(err, *sgx == NULL ? "no level reaches down to the platform's SGX TCB"
                                           : "no level reaches down to the platform's TDX TCB");
}

/* ---- merging ---- */

/* What a part that is out of date or revoked makes of the status of the whole. */
static unsigned int merge(unsigned int whole, unsigned int part)
{
    if (part == ATLS_TDX_REVOKED || whole == ATLS_TDX_REVOKED)
        return ATLS_TDX_REVOKED;
    if (part != ATLS_TDX_OUT_OF_DATE)
        return whole;
    if (whole == ATLS_TDX_UP_TO_DATE || whole == ATLS_TDX_SW_HARDENING_NEEDED)
        return ATLS_TDX_OUT_OF_DATE;
    if (whole == ATLS_TDX_CONFIGURATION_NEEDED ||
        whole == ATLS_TDX_CONFIGURATION_AND_SW_HARDENING_NEEDED)
        return ATLS_TDX_OUT_OF_DATE_CONFIGURATION_NEEDED;
    return whole;
}

/* Statuses of the parts, each known. */
struct parts {
    unsigned int sgx, tdx, module, qe; /* module: 0 when it has no level of its own */
};

static enum atls_code read_status(const struct atls_tdx_level *level, unsigned int *out,
                                  struct atls_err *err)
{
    *out = atls_tdx_status_of(level->status);
    return *out != 0 ? ATLS_OK : not_supported(err, "a level has a status that is not known");
}

static void use_level(struct atls_tdx_tcb_status *s, const struct atls_tdx_level *level)
{
    if (s->level_count == 0 || level->date_s < s->date_s)
        s->date_s = level->date_s;
    s->levels[s->level_count++] = level;
}

static enum atls_code find_module(const struct atls_tdx_tcb_info *info, uint8_t version,
                                  const struct atls_tdx_module **out, struct atls_err *err)
{
    *out = atls_tdx_module_of(info, version);
    if (*out != NULL)
        return ATLS_OK;
    return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_TDX_MODULE_MISMATCH,
                            "TCB info: no identity of a TDX module of version %u", version);
}

static enum atls_code find_module_level(const struct atls_tdx_tcb_info *info,
                                        const struct atls_tdx_tcb *tcb,
                                        const struct atls_tdx_level **out, struct atls_err *err)
{
    const uint8_t *svn = tcb->body != NULL ? tcb->body->tcb_svn.ptr : NULL;
    const struct atls_tdx_module *module;
    enum atls_code code;

    *out = NULL;
    if (svn == NULL || svn[MODULE_VERSION] == 0)
        return ATLS_OK;
    if ((code = find_module(info, svn[MODULE_VERSION], &module, err)) != ATLS_OK)
        return code;
    *out = svn_level(module->levels, module->level_count, svn[MODULE_SVN]);
    return *out != NULL ? ATLS_OK
                        : not_supported(err, "no level reaches down to the TDX module's SVN");
}

/* Whether the module that is loaded now is what the highest levels want: a relaunch would do. */
static enum atls_code is_module_renewed(const struct atls_tdx_tcb_info *info, const uint8_t *svn2,
                                        bool *out, struct atls_err *err)
{
    const uint8_t *highest = info->levels[0].tdx;
    const struct atls_tdx_module *module;
    uint32_t module_svn = highest[MODULE_SVN];
    enum atls_code code;

    if (svn2[MODULE_VERSION] > 0) {
        if ((code = find_module(info, svn2[MODULE_VERSION], &module, err)) != ATLS_OK)
            return code;
        module_svn = module->level_count > 0 ? module->levels[0].isv_svn : UINT32_MAX;
    }
    *out = svn2[MODULE_SVN] >= module_svn && svn2[MICROCODE] >= highest[MICROCODE];
    return ATLS_OK;
}

/* A trust domain of TD 1.5 whose module was renewed under it keeps the old one's measurements. */
static enum atls_code advise_relaunch(const struct atls_tdx_tcb_info *info,
                                      const struct atls_tdx_tcb *tcb, const struct parts *parts,
                                      unsigned int *status, struct atls_err *err)
{
    bool renewed;
    enum atls_code code;

    if (tcb->body == NULL || !tcb->body->is_15 || parts->qe != ATLS_TDX_UP_TO_DATE ||
        (parts->sgx & UP_TO_DATE_OR_ADVICE) == 0 || (*status & OUT_OF_DATE) == 0 ||
        parts->module != ATLS_TDX_OUT_OF_DATE)
        return ATLS_OK;
    code = is_module_renewed(info, tcb->body->tcb_svn2.ptr, &renewed, err);
    if (code == ATLS_OK && renewed)
        *status = ((parts->sgx | *status) & WANTS_CONFIGURED) != 0
                      ? ATLS_TDX_RELAUNCH_ADVISED_CONFIGURATION_NEEDED
                      : ATLS_TDX_RELAUNCH_ADVISED;
    return code;
}

enum atls_code atls_tdx_tcb_status(const struct atls_tdx_tcb_info *info,
                                   const struct atls_tdx_qe_identity *qe,
                                   const struct atls_tdx_tcb *tcb, struct atls_tdx_tcb_status *out,
                                   struct atls_err *err)
{
    const struct atls_tdx_level *sgx = NULL, *tdx = NULL, *module, *enclave = NULL;
    struct atls_tdx_tcb_status s = {.status = 0};
    struct parts parts = {0};
    enum atls_code code;

    if ((code = find_platform(info, tcb, &sgx, &tdx, err)) != ATLS_OK ||
        (code = find_module_level(info, tcb, &module, err)) != ATLS_OK ||
        (code = atls_tdx_qe_level(qe, tcb->qe_isv_svn, &enclave, err)) != ATLS_OK ||
        (code = read_status(sgx, &parts.sgx, err)) != ATLS_OK ||
        (code = read_status(tdx, &parts.tdx, err)) != ATLS_OK ||
        (module != NULL && (code = read_status(module, &parts.module, err)) != ATLS_OK) ||
        (code = read_status(enclave, &parts.qe, err)) != ATLS_OK)
        return code;
    s.status = merge(parts.tdx, parts.module);
    if ((code = advise_relaunch(info, tcb, &parts, &s.status, err)) != ATLS_OK)
        return code;
    s.status = merge(s.status, parts.qe);
    use_level(&s, tdx);
    if (module != NULL)
        use_level(&s, module);
    use_level(&s, enclave);
    *out = s;
    return ATLS_OK;
}

/* ---- policy ---- */

static enum atls_reason reason_of(unsigned int status)
{
    for (size_t i = 0; i < STATUSES; i++)
        if (statuses[i].status == status)
            return statuses[i].reason;
    return ATLS_REASON_TCB_NOT_SUPPORTED;
}

enum atls_code atls_tdx_check_status(const struct atls_tdx_tcb_status *tcb,
                                     const struct atls_dcap_rules *rules, struct atls_err *err)
{
    const unsigned int accepted = rules->statuses != 0 ? rules->statuses : ATLS_TDX_UP_TO_DATE;

    if (tcb->status == ATLS_TDX_REVOKED || (accepted & tcb->status) == 0)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, reason_of(tcb->status),
                                "TCB: status %s is not accepted",
                                atls_tdx_status_name(tcb->status));
    if ((tcb->status & OUT_OF_DATE) == 0)
        return ATLS_OK;
    if (rules->tcb_date_s == 0 || tcb->date_s < rules->tcb_date_s)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_TCB_OUT_OF_DATE,
                                "TCB: status %s of a level whose date is %s",
                                atls_tdx_status_name(tcb->status),
                                rules->tcb_date_s == 0 ? "held to no floor" : "below the floor");
    return ATLS_OK;
}
