/* Store, issuer and policy that live in memory and fail when a test says so, in place of those of
 * libatls-verifier: what the daemon does around them shows alone. */
#ifndef VERIFIERD_DOUBLE_H
#define VERIFIERD_DOUBLE_H

#include <stdbool.h>

#include <atls/err.h>

struct double_faults {
    enum atls_code open, ping, keys;
    enum atls_code session_open, session_get, session_finish, session_remove, sweep;
    enum atls_code issuer, issue, import, policy;
    unsigned no_entropy;
};
/* What fails, with which code; zeros: nothing does. */
extern struct double_faults double_faults;

struct double_calls {
    unsigned opens, issues, imports, sweeps;
    bool own_nonce;                                           /* of the latest submission */
    char media_type[128], nonce[129], profile[128], rule[64]; /* the last of an issuer */
    unsigned allow_unsigned, anchors, signer;
};
/* What was asked of it. */
extern struct double_calls double_calls;

#define DOUBLE_EVIDENCE "application/vnd.example.evidence"
#define DOUBLE_EAT      "application/eat+cwt; eat_profile=\"tag:example.com,2026:one\""
#define DOUBLE_RESULT   "eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl"

#endif
