/* Profiles of CoRIM: what a scheme demands of its manifests beyond the base rules.
 *
 *     const struct atls_corim_profile *profile;
 *
 *     atls_corim_decode(manifest, &corim, err);
 *     atls_corim_profile_check(&corim, &profile, err);
 *
 * A profile that is not known makes the whole manifest unusable: what it means is not known here.
 * Immutable tables, any thread. */
#ifndef ATLS_WIRE_CORIM_PROFILE_H
#define ATLS_WIRE_CORIM_PROFILE_H

#include "wire/corim.h"

enum atls_corim_scheme {
    ATLS_CORIM_SCHEME_NONE, /* no profile: base rules */
    ATLS_CORIM_SCHEME_PSA,
    ATLS_CORIM_SCHEME_CCA_PLATFORM,
    ATLS_CORIM_SCHEME_CCA_REALM,
    ATLS_CORIM_SCHEME_PARSEC_TPM,
    ATLS_CORIM_SCHEME_PARSEC_CCA, /* rules of the CCA platform */
    ATLS_CORIM_SCHEME_ENACTTRUST_TPM,
    ATLS_CORIM_SCHEME_SEV_SNP,
    ATLS_CORIM_SCHEME_SEV_SNP_ANCHOR, /* root certificates */
    ATLS_CORIM_SCHEME_TDX,
    ATLS_CORIM_SCHEME_SOFT,
};

struct atls_corim_profile {
    enum atls_corim_scheme scheme;
    const char *name;          /* "PSA", for people */
    const char *const *uris;   /* current first, then older ones, NULL at the end; may be NULL */
    struct atls_bytes oid;     /* content octets; .ptr NULL when it has none */
    const int64_t *extensions; /* keys of mval beyond the base ones that the profile defines */
    size_t extension_count;
};

/* Profile of an encoded item (tag 32 or 111), for .ptr NULL the one of no profile. NULL: not known.
 * Static. */
const struct atls_corim_profile *atls_corim_profile_find(struct atls_bytes item);

/* True when the profile defines the member of measurement values. */
bool atls_corim_profile_defines(const struct atls_corim_profile *profile, int64_t key);

/* True when some profile does: what nobody defines, nobody can compare. */
bool atls_corim_extension_known(int64_t key);

/* Checks the triples of every CoMID against the manifest's profile. Whether PEM texts and
 * certificates parse is the crypto layer's to say. *out (may be NULL) is static. Errors:
 * ATLS_E_UNSUPPORTED (profile, member of the map or kind of triple that is not known),
 * ATLS_E_DECODE (a rule of the profile is broken), naming profile, tag, triple, member and rule. */
ATLS_MUST_CHECK enum atls_code atls_corim_profile_check(const struct atls_corim *corim,
                                                        const struct atls_corim_profile **out,
                                                        struct atls_err *err);

#endif
