/* Rules of an operator for confidential-computing evidence: what verification demands beyond what
 * is always checked, and what it lets pass. Each has a name and a value as text ("snp.vmpl=0");
 * one table (rules.c) has them all, and docs/tee-rules.md says what they mean. Zeros are the strict
 * defaults. Immutable once built. */
#ifndef ATLS_EVIDENCE_RULES_H
#define ATLS_EVIDENCE_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>

#include "wire/snp.h"
#include <atls/err.h>

/* A value that may be absent. */
struct atls_rule_number {
    bool set;
    uint64_t value;
};

#define ATLS_RULE_IDS_MAX 16

/* Digests of which one is wanted; none: any will do. */
struct atls_rule_digests {
    size_t count;
    uint8_t list[ATLS_RULE_IDS_MAX][48];
};

struct atls_snp_rules {
    bool allow_debug;          /* snp.debug=allow; policy-debug-enabled */
    bool allow_migration;      /* snp.migration=allow; policy-migration */
    bool allow_masked_chip_id; /* snp.masked-chip-id=allow; chip-id-mismatch */
    bool crl_optional;         /* snp.crl=optional: none at hand is no refusal; crl-unavailable */
    bool refuse_provisional;   /* snp.provisional-firmware=refuse; provisional-firmware */
    bool refuse_smt;           /* snp.smt=refuse: by guest policy and platform; policy-guest,
                                  platform-info */
    bool unknown_policy_bits;  /* snp.unknown-policy-bits=allow; malformed */
    struct atls_rule_number vmpl;         /* snp.vmpl=0..3; unset: 0; vmpl */
    struct atls_rule_number guest_svn;    /* snp.guest-svn: least; measurement */
    uint64_t policy_set;                  /* snp.policy-set: bits that must be; policy-guest */
    uint64_t policy_clear;                /* snp.policy-clear: bits that must not be */
    struct atls_rule_number abi;          /* snp.abi=MAJOR.MINOR least minimum ABI (<<8) */
    uint64_t platform_set;                /* snp.platform-set; platform-info */
    uint64_t platform_clear;              /* snp.platform-clear */
    uint64_t mitigations;                 /* snp.mitigations: bits; mitigation */
    unsigned int refused_lines;           /* snp.refuse-lines=milan,...: bit n is line n;
                                             unsupported-product */
    bool minimum_tcb_set[ATLS_SNP_LINES]; /* snp.minimum-tcb.LINE=bl.tee.snp.microcode, turin */
    struct atls_snp_tcb minimum_tcb[ATLS_SNP_LINES]; /* with fmc first; tcb-too-old */
    bool launch_tcb_set[ATLS_SNP_LINES];             /* snp.launch-tcb.LINE; tcb-too-old */
    struct atls_snp_tcb launch_tcb[ATLS_SNP_LINES];
    struct atls_rule_digests id_keys;     /* snp.id-keys=HEX,...: of the ID block; id-key */
    struct atls_rule_digests author_keys; /* snp.author-keys=HEX,...; id-key */
    char csp_id[128]; /* snp.csp-id=TEXT: of a VLEK; csp-id-mismatch; "" : any */
};

/* Statuses of a TCB (Intel's names), as bits. */
enum atls_tdx_status {
    ATLS_TDX_UP_TO_DATE = 1 << 0,
    ATLS_TDX_SW_HARDENING_NEEDED = 1 << 1,
    ATLS_TDX_CONFIGURATION_NEEDED = 1 << 2,
    ATLS_TDX_CONFIGURATION_AND_SW_HARDENING_NEEDED = 1 << 3,
    ATLS_TDX_OUT_OF_DATE = 1 << 4,
    ATLS_TDX_OUT_OF_DATE_CONFIGURATION_NEEDED = 1 << 5,
    ATLS_TDX_RELAUNCH_ADVISED = 1 << 6,
    ATLS_TDX_RELAUNCH_ADVISED_CONFIGURATION_NEEDED = 1 << 7,
    ATLS_TDX_REVOKED = 1 << 8, /* never accepted */
};

/* Of quotes of either, each under its own prefix. */
struct atls_dcap_rules {
    unsigned int statuses; /* tdx.statuses=UpToDate,...; 0: UpToDate alone; tcb-* */
    int64_t tcb_date_s;    /* tdx.tcb-date=YYYY-MM-DD: floor that out-of-date statuses need */
    bool crl_optional;     /* tdx.crl=optional; crl-unavailable */
    bool allow_trailing;   /* tdx.trailing-data=allow; trailing-data */
    struct atls_rule_number evaluation; /* tdx.evaluation-number: least; tcb-eval-number */
};

struct atls_tdx_rules {
    struct atls_dcap_rules dcap;
    bool allow_debug;        /* tdx.debug=allow; td-debug */
    bool allow_ve;           /* tdx.sept-ve-disable=optional; td-attributes */
    uint64_t attributes_set; /* tdx.attributes-set, -clear: bits; td-attributes */
    uint64_t attributes_clear;
    struct atls_rule_number xfam; /* tdx.xfam: bits that may be; td-attributes */
    size_t service_td_count;      /* tdx.service-td=HEX,...; mr-service-td-not-allowed */
    uint8_t service_td[ATLS_RULE_IDS_MAX][48];
};

struct atls_sgx_rules {
    struct atls_dcap_rules dcap;
    bool by_signer;          /* sgx.identity=signer: MRSIGNER, ISVPRODID and ISVSVN must have
                                reference values, in place of MRENCLAVE; measurement */
    bool allow_debug;        /* sgx.debug=allow; enclave-debug */
    uint64_t attributes_set; /* sgx.attributes-set, -clear: bits of flags; enclave-attributes */
    uint64_t attributes_clear;
    struct atls_rule_number xfrm;        /* sgx.xfrm: bits that may be; enclave-attributes */
    struct atls_rule_number misc_select; /* sgx.misc-select: bits that may be; likewise */
    struct atls_rule_number isv_svn;     /* sgx.isv-svn: least; measurement */
};

struct atls_arm_rules {
    bool cca_allow_debug;       /* cca.lifecycle=debug: 40xx as well; lifecycle */
    bool cca_allow_p256;        /* cca.realm-key=p256: as well; unsupported-algorithm */
    bool psa_allow_debug;       /* psa.lifecycle=debug */
    bool psa_allow_legacy;      /* psa.legacy=allow: 2.0.0 and PSA_IOT_PROFILE_1; profile */
    bool psa_allow_unmeasured;  /* psa.no-measurements=allow; measurement */
    bool psa_instance_from_key; /* psa.instance=key: 01 || SHA-256 of the point; untrusted-key */
    struct atls_rule_number psa_client; /* psa.client-id=N (two's complement); unset: < 0 or > 0;
                                           client-id */
    bool psa_secure_callers;            /* psa.callers=secure: client ids above 0 only */
};

struct atls_rules {
    struct atls_snp_rules snp;
    struct atls_tdx_rules tdx;
    struct atls_sgx_rules sgx;
    struct atls_arm_rules arm;
};

/* One row of the table, as docs/tee-rules.md has it. */
struct atls_rule_row {
    const char *name;
    const char *wants;  /* values that it takes */
    const char *normal; /* without the rule */
    enum atls_reason reason;
};
/* Row number index, or NULL behind the last. Static. */
const struct atls_rule_row *atls_rule_row_at(size_t index);

/* Sets one rule; a list replaces what was there. Errors: ATLS_E_CONFIG (no rule of that name,
 * value not of its kind: names both and what is wanted). */
ATLS_MUST_CHECK enum atls_code atls_rules_set(struct atls_rules *rules, const char *name,
                                              const char *value, struct atls_err *err);
/* Sets "name=value"s, NULL-terminated; list may be NULL. Errors: as atls_rules_set; a name twice.
 */
ATLS_MUST_CHECK enum atls_code atls_rules_set_all(struct atls_rules *rules, const char *const *list,
                                                  struct atls_err *err);

#endif
