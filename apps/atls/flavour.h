/* How attestation is carried, from the options that serve and connect share. */
#ifndef ATLS_APP_FLAVOUR_H
#define ATLS_APP_FLAVOUR_H

#include <atls/config.h>
#include <atls/ea.h>

#include "cli.h"

#define FLAVOUR_NAME 256 /* of a Verifier, with its end */

/* What the usage texts of serve and connect say of it. */
extern const char flavour_options[];

struct flavour {
    enum atls_flavour flavour;
    enum atls_freshness freshness;
    bool secret_binder;
    uint32_t lifetime_s;                  /* of certificates of ours; 0: the default */
    uint32_t max_age_s;                   /* of certificates of peers; 0: the default */
    uint16_t extension_type;              /* 0: the default */
    char accepted_verifier[FLAVOUR_NAME]; /* "" when there is none */
    char passport_verifier[FLAVOUR_NAME];
};

/* "post", "intra" or "pre"; false for another name. */
bool flavour_find(const char *name, enum atls_flavour *out);

/* False, after an explanation, when an option goes with another flavour, or one is missing.
 * role: ours; require_peer: the peer must attest. */
bool flavour_usage(const struct cli *cli, enum atls_role role, bool require_peer,
                   struct flavour *out);
/* Sets what a configuration has of it; options borrows from flavour. */
void flavour_configure(const struct flavour *flavour, struct atls_config_options *options);

/* What everybody who uses it has to know; "" when there is nothing. Static. */
const char *flavour_warning(const struct flavour *flavour);

#endif
