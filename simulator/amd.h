/* A simulated AMD: roots and authorities of each product line, endorsement keys, revocation lists,
 * and reports in states to order, byte for byte as hardware and key distribution service give them.
 * Nobody trusts these roots who did not import them by name.
 *
 *     struct atls_sim_amd *amd;
 *     struct atls_sim_snp order;
 *
 *     code = atls_sim_amd_new(4096, &amd, err);
 *     atls_sim_snp_init(&order, ATLS_SNP_GENOA, time_s);
 *     order.policy |= ATLS_SNP_POLICY_DEBUG;
 *     code = atls_sim_amd_report(amd, &order, report_data, report, err);
 *     code = atls_sim_amd_table(amd, &order, &auxblob, err);
 *
 * One thread at a time. */
#ifndef ATLS_SIMULATOR_AMD_H
#define ATLS_SIMULATOR_AMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>

#include "wire/snp.h"

/* Keys of one AMD, and its roots. The lines share keys; names and certificates differ. */
struct atls_sim_amd;
/* bits of the RSA keys: 4096 as AMD's, which takes seconds; 2048 does for tests. Errors:
 * ATLS_E_CRYPTO, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_sim_amd_new(unsigned int bits, struct atls_sim_amd **out,
                                                struct atls_err *err);
/* All of it as PEM text (secret, NUL behind it), and back: a world that outlives its process keeps
 * its roots. Errors: ATLS_E_DECODE, ATLS_E_CRYPTO, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_sim_amd_save(const struct atls_sim_amd *amd,
                                                 struct atls_buf *out, struct atls_err *err);
ATLS_MUST_CHECK enum atls_code atls_sim_amd_load(struct atls_bytes text, struct atls_sim_amd **out,
                                                 struct atls_err *err);
void atls_sim_amd_free(struct atls_sim_amd *amd); /* NULL is fine */

enum atls_sim_amd_certificate {
    ATLS_SIM_ARK = 1, /* from 2020 to 2049, as are the other authorities */
    ATLS_SIM_ASK,
    ATLS_SIM_ASVK,
    ATLS_SIM_VCEK, /* for chip, TCB and line of an order */
    ATLS_SIM_VLEK,
};

/* What may be wrong with a certificate. Zeros: nothing. */
struct atls_sim_flaws {
    bool break_signature;
    int64_t not_before_s, not_after_s; /* 0: as usual */
    const char *common_name;           /* of the subject */
    const char *issuer_name;           /* the key that signs stays that of the usual issuer */
    bool other_key;                    /* certifies a key that signs nothing */
    bool wrong_curve;                  /* P-256 */
    bool no_id, both_ids;              /* hwID and cspID */
    bool wrapped_id;                   /* hwID as OCTET STRING */
    struct atls_bytes hw_id;           /* content of the extension */
    bool id_twice, no_fmc, reserved_spl;
    struct atls_bytes spl; /* content of the microcode SPL */
    bool no_ca;            /* of an authority */
    bool is_ca;            /* of an endorsement key */
};

/* One machine and its guest, all fields of a report. */
struct atls_sim_snp {
    enum atls_snp_line line;
    bool vlek;                                   /* who signs */
    uint32_t version, guest_svn, vmpl, key_info; /* key_info without the signing key */
    uint64_t policy, platform_info;
    uint8_t family_id[16], image_id[16], measurement[48], host_data[32];
    uint8_t id_key_digest[48], author_key_digest[48], report_id[32], report_id_ma[32];
    struct atls_snp_tcb current, reported, committed, launch;
    uint8_t cpuid_family, cpuid_model, cpuid_stepping;
    uint8_t chip_id[64];
    struct atls_snp_firmware current_firmware, committed_firmware;
    uint64_t launch_mitigations, current_mitigations;
    const char *csp_id;          /* of the VLEK; "CN=..." */
    int64_t time_s;              /* endorsement keys are valid from a day before */
    struct atls_sim_flaws flaws; /* of the endorsement key's certificate */
    bool with_authorities;       /* ASK or ASVK, and ARK, stand in the table as well */
};
/* A good machine of that line: version 3, VMPL 0, guest policy 0x30000, a chip id of its own. */
void atls_sim_snp_init(struct atls_sim_snp *order, enum atls_snp_line line, int64_t time_s);

/* ATLS_SNP_REPORT_LEN bytes, signed. Errors: ATLS_E_CRYPTO, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code
atls_sim_amd_report(const struct atls_sim_amd *amd, const struct atls_sim_snp *order,
                    const uint8_t report_data[ATLS_SNP_REPORT_DATA_LEN],
                    uint8_t out[ATLS_SNP_REPORT_LEN], struct atls_err *err);
/* Signs a report anew that was changed by hand. */
ATLS_MUST_CHECK enum atls_code atls_sim_amd_sign(const struct atls_sim_amd *amd, bool vlek,
                                                 uint8_t report[ATLS_SNP_REPORT_LEN],
                                                 struct atls_err *err);

/* DER. flaws (NULL: none) of authorities; those of endorsement keys are the order's. */
ATLS_MUST_CHECK enum atls_code atls_sim_amd_certificate(const struct atls_sim_amd *amd,
                                                        enum atls_sim_amd_certificate kind,
                                                        const struct atls_sim_snp *order,
                                                        const struct atls_sim_flaws *flaws,
                                                        struct atls_buf *out, struct atls_err *err);
/* ASK or ASVK of the order, then its ARK, PEM, as the key distribution service has them. */
ATLS_MUST_CHECK enum atls_code atls_sim_amd_chain(const struct atls_sim_amd *amd,
                                                  const struct atls_sim_snp *order,
                                                  struct atls_buf *out, struct atls_err *err);
/* The certificate table that comes with the report. */
ATLS_MUST_CHECK enum atls_code atls_sim_amd_table(const struct atls_sim_amd *amd,
                                                  const struct atls_sim_snp *order,
                                                  struct atls_buf *out, struct atls_err *err);

struct atls_sim_amd_crl {
    bool revoke_ask, revoke_asvk;
    int64_t this_update_s, next_update_s; /* 0: a day before and a week after the order's time */
    bool break_signature;
    bool other_issuer; /* of the line after this one */
};
/* DER; crl NULL: an empty list that is good. */
ATLS_MUST_CHECK enum atls_code atls_sim_amd_crl(const struct atls_sim_amd *amd,
                                                const struct atls_sim_snp *order,
                                                const struct atls_sim_amd_crl *crl,
                                                struct atls_buf *out, struct atls_err *err);

#endif
