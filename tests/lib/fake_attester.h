/* An attester whose evidence is what a test says, and the verifier for it, both through the public
 * tables of operations. Evidence is: length of the binder, binder, 32 bytes of SHA-256 over the
 * AIK, padding; or a CMW record of it, which the verifier takes as well. */
#ifndef ATLS_TEST_FAKE_ATTESTER_H
#define ATLS_TEST_FAKE_ATTESTER_H

#include <stdbool.h>
#include <stddef.h>

#include <atls/attester.h>
#include <atls/passport.h>
#include <atls/policy.h>
#include <atls/verifier.h>

#include "crypto/crypto.h"

/* What the attester does; must outlive it. Zeros: the smallest good evidence of type "fake". */
struct fake_attester {
    size_t evidence_len;          /* padded to this, over ATLS_CMW_DATA_MAX, too */
    bool wrong_binder;            /* evidence answers another challenge */
    bool wrong_key;               /* evidence names another AIK */
    bool other_type;              /* offers type "other" */
    enum atls_code fail_evidence; /* evidence fails with this code */
    enum atls_code fail_sign;
    bool silent;                  /* fails without saying why */
    unsigned int delay_ms;        /* evidence takes so long */
    struct atls_private_key *key; /* the AIK, made when NULL; taken over by the attester */
    enum atls_key_type key_type;  /* of the key made; NONE: P-256 */
    const char *certificate;      /* file, or NULL: self-signed */
    const char *const *dns_names; /* of the self-signed certificate */
    unsigned int profiles;        /* that it makes; 0: KAT */
    const char *media_type;       /* of the CMW record that its evidence is; NULL: it is none */
    _Atomic unsigned int asked;   /* profiles that it was last asked for, by any thread */
    struct atls_attester_ops ops; /* its own, filled in by open */
};
/* Fails the test when it cannot. The caller unrefs. */
struct atls_attester *fake_attester_open(struct fake_attester *fake);

/* A passport of the same form: its results carry a nonce of 32 zeros where no binder is asked for.
 * Must outlive it. */
struct fake_passport {
    struct fake_attester *attester;
    bool wrong_binder; /* a result that is asked to echo a binder does not */
    bool wrong_key;
    bool too_large;
    enum atls_code fail;
    size_t shown, echoed; /* how many results were given out, and with a binder */
};
struct atls_passport *fake_passport_open(struct fake_passport *fake);

/* What the verifier does; must outlive it. Zeros: appraises as affirming, of type "fake". */
struct fake_verifier {
    const char *type;        /* of the results; NULL: "fake" */
    bool insecure;           /* results are marked insecure */
    bool contraindicated;    /* the status of results */
    enum atls_code fail;     /* appraisal fails with this code, if not ATLS_OK */
    enum atls_reason reason; /* and this reason */
    bool silent;             /* and does not say why */
    unsigned int delay_ms;
    bool takes_results;                 /* passports */
    bool wants_binder;                  /* and of these only such as echo the binder */
    _Atomic unsigned int profiles;      /* that the latest appraisal takes, in any thread */
    _Atomic size_t nonce_len;           /* of the latest appraisal */
    _Atomic unsigned int running, most; /* appraisals at this time, and at any */
};
struct atls_verifier *fake_verifier_open(struct fake_verifier *fake);

#endif
