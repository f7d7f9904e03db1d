/* Steps 12 to 17: what the operator demands of a report whose signature holds. */
#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "evidence/claims.h"
#include "evidence/snp_vek.h"

#define VMPL_MAX 3

const struct atls_snp_rules *atls_snp_rules_of(const struct atls_evidence_request *request)
{
    static const struct atls_snp_rules strict;
    const struct atls_rules *rules = atls_evidence_options_of(request)->rules;

    return rules != NULL ? &rules->snp : &strict;
}

static enum atls_code refuse(struct atls_err *err, enum atls_reason reason, const char *what)
{
    return atls_fail_reason(err, ATLS_E_EVIDENCE, reason, "SNP report: %s", what);
}

static enum atls_code check_policy(const struct atls_snp_rules *rules,
                                   const struct atls_snp_report *r, struct atls_err *err)
{
    if ((r->policy & ATLS_SNP_POLICY_DEBUG) != 0 && !rules->allow_debug)
        return refuse(err, ATLS_REASON_POLICY_DEBUG_ENABLED, "guest policy allows debugging");
    if ((r->policy & ATLS_SNP_POLICY_MIGRATION) != 0 && !rules->allow_migration)
        return refuse(err, ATLS_REASON_POLICY_MIGRATION, "guest policy allows a migration agent");
    if (rules->refuse_smt && (r->policy & ATLS_SNP_POLICY_SMT) != 0)
        return refuse(err, ATLS_REASON_POLICY_GUEST, "guest policy allows SMT");
    /* Major in the upper byte: the larger number is the later interface. */
    if (rules->abi.set && (r->policy & ATLS_SNP_POLICY_ABI) < rules->abi.value)
        return refuse(err, ATLS_REASON_POLICY_GUEST,
                      "guest policy lets an older firmware interface do");
    if ((r->policy & rules->policy_set) != rules->policy_set)
        return refuse(err, ATLS_REASON_POLICY_GUEST, "guest policy lacks bits that are demanded");
    if ((r->policy & rules->policy_clear) != 0)
        return refuse(err, ATLS_REASON_POLICY_GUEST, "guest policy has bits that are refused");
    return ATLS_OK;
}

static enum atls_code check_guest(const struct atls_snp_rules *rules,
                                  const struct atls_snp_report *r, struct atls_err *err)
{
    const uint64_t vmpl = rules->vmpl.set ? rules->vmpl.value : 0;

    if (r->vmpl == ATLS_SNP_VMPL_HOST)
        return refuse(err, ATLS_REASON_VMPL, "the host asked for it, not the guest");
    if (r->vmpl > VMPL_MAX || r->vmpl != vmpl)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_VMPL,
                                "SNP report: of VMPL %u, want %u", (unsigned)r->vmpl,
                                (unsigned)vmpl);
    if (rules->guest_svn.set && r->guest_svn < rules->guest_svn.value)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_MEASUREMENT,
                                "SNP report: guest SVN %u, want at least %llu",
                                (unsigned)r->guest_svn, (unsigned long long)rules->guest_svn.value);
    return ATLS_OK;
}

static bool is_listed(const struct atls_rule_digests *digests, struct atls_bytes found)
{
    for (size_t i = 0; i < digests->count; i++)
        if (atls_bytes_equal(atls_bytes_of(digests->list[i], sizeof digests->list[i]), found))
            return true;
    return false;
}

static enum atls_code check_keys(const struct atls_snp_rules *rules,
                                 const struct atls_snp_report *r, struct atls_err *err)
{
    if (rules->id_keys.count != 0 && !is_listed(&rules->id_keys, r->id_key_digest))
        return refuse(err, ATLS_REASON_ID_KEY, "ID key is none of those that are wanted");
    if (rules->author_keys.count != 0 && ((r->key_info & ATLS_SNP_AUTHOR_KEY) == 0 ||
                                          !is_listed(&rules->author_keys, r->author_key_digest)))
        return refuse(err, ATLS_REASON_ID_KEY, "author key is none of those that are wanted");
    return ATLS_OK;
}

struct tcbs {
    struct atls_snp_tcb current, reported, committed, launch;
};

static bool read_tcbs(const struct atls_snp_report *r, enum atls_snp_line line, struct tcbs *out)
{
    return atls_snp_tcb_read(line, r->current_tcb, &out->current) &&
           atls_snp_tcb_read(line, r->reported_tcb, &out->reported) &&
           atls_snp_tcb_read(line, r->committed_tcb, &out->committed) &&
           atls_snp_tcb_read(line, r->launch_tcb, &out->launch);
}

static bool is_provisional(const struct atls_snp_report *r)
{
    return !atls_bytes_equal(r->committed_tcb, r->current_tcb) ||
           r->committed.major != r->current.major || r->committed.minor != r->current.minor ||
           r->committed.build != r->current.build;
}

static enum atls_code check_tcbs(const struct atls_snp_rules *rules,
                                 const struct atls_snp_report *r, enum atls_snp_line line,
                                 struct atls_err *err)
{
    struct tcbs tcbs;

    if (!read_tcbs(r, line, &tcbs))
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "SNP report: a TCB_VERSION that no %s processor has",
                                atls_snp_line_name(line));
    if (rules->minimum_tcb_set[line] &&
        !atls_snp_tcb_covers(&tcbs.reported, &rules->minimum_tcb[line]))
        return refuse(err, ATLS_REASON_TCB_TOO_OLD, "a component of the reported TCB is too old");
    if (rules->launch_tcb_set[line] && !atls_snp_tcb_covers(&tcbs.launch, &rules->launch_tcb[line]))
        return refuse(err, ATLS_REASON_TCB_TOO_OLD, "a component of the launch TCB is too old");
    if (!atls_snp_tcb_covers(&tcbs.current, &tcbs.reported))
        return refuse(err, ATLS_REASON_TCB_INCONSISTENT, "reported TCB is above the current one");
    if (!atls_snp_tcb_covers(&tcbs.current, &tcbs.committed))
        return refuse(err, ATLS_REASON_TCB_INCONSISTENT, "committed TCB is above the current one");
    return ATLS_OK;
}

static enum atls_code check_platform(const struct atls_snp_rules *rules,
                                     const struct atls_snp_report *r, struct atls_err *err)
{
    if (rules->refuse_smt && (r->platform_info & ATLS_SNP_PLATFORM_SMT) != 0)
        return refuse(err, ATLS_REASON_PLATFORM_INFO, "SMT is on");
    if ((r->platform_info & rules->platform_set) != rules->platform_set)
        return refuse(err, ATLS_REASON_PLATFORM_INFO, "PLATFORM_INFO lacks bits that are demanded");
    if ((r->platform_info & rules->platform_clear) != 0)
        return refuse(err, ATLS_REASON_PLATFORM_INFO, "PLATFORM_INFO has bits that are refused");
    /* A report that cannot say that a mitigation is on does not say it. */
    if (rules->mitigations != 0 &&
        (!r->has_mitigations || (r->launch_mitigations & r->current_mitigations &
                                 rules->mitigations) != rules->mitigations))
        return refuse(err, ATLS_REASON_MITIGATION, "mitigations that are demanded are not on");
    return ATLS_OK;
}

enum atls_code atls_snp_rules_check(const struct atls_snp_rules *rules,
                                    const struct atls_snp_report *report, enum atls_snp_line line,
                                    struct atls_err *err)
{
    enum atls_code code;

    if ((code = check_policy(rules, report, err)) != ATLS_OK ||
        (code = check_guest(rules, report, err)) != ATLS_OK ||
        (code = check_keys(rules, report, err)) != ATLS_OK)
        return code;
    if (line != ATLS_SNP_LINE_UNKNOWN && (code = check_tcbs(rules, report, line, err)) != ATLS_OK)
        return code;
    if (rules->refuse_provisional && is_provisional(report))
        return refuse(err, ATLS_REASON_PROVISIONAL_FIRMWARE,
                      "firmware is not committed: its host may roll it back");
    return check_platform(rules, report, err);
}
