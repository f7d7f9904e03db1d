/* Collateral (library libatls-verifier): what makers of confidential-computing hardware publish
 * beside their roots, fetched from their services or from a cache of one's own: certificates of
 * chips and of authorities, revocation lists, TCB levels. All of it is signed by its maker, and
 * nothing that is fetched is verified here: evidence verification does that each time.
 *
 *     atls_collateral_options_init(&options);
 *     options.amd_url = "https://kds.example.com";
 *     atls_collateral_open(&options, &fetcher, &err);
 *     atls_collateral_fetch(fetcher, "snp-crl", "milan", keep, &store, &err);
 *
 * Kinds and subjects: docs/collateral.md. */
#ifndef ATLS_COLLATERAL_H
#define ATLS_COLLATERAL_H

#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Call atls_collateral_options_init first; strings are copied. No service is asked that is not
 * named here. */
struct atls_collateral_options {
    size_t size;           /* of this struct, set by init */
    const char *amd_url;   /* a Key Distribution System: "https://HOST[:PORT][/PREFIX]"; or NULL */
    const char *intel_url; /* a PCS or PCCS, likewise; or NULL */
    const char *intel_root_crl_url; /* Intel's root revocation list, the whole URL; NULL: below
                                       intel_url */
    const char *ca_file;            /* PEM: who may vouch for the services; NULL: the system's */
    uint32_t timeout_ms;            /* of one exchange; 0: 10000 */
    uint32_t wait_max_s; /* how long all waits together may be that a service asks for when it is
                            asked too often (429); 0: none, it fails at once */
};
ATLS_API void atls_collateral_options_init(struct atls_collateral_options *options);

/* Takes one service: "amd=URL", "intel=URL", "intel-root-crl=URL", or "URL" for amd and intel; from
 * is borrowed. Errors: ATLS_E_CONFIG (no such name; given before). */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_collateral_options_add(struct atls_collateral_options *options, const char *from,
                            struct atls_err *err);

struct atls_collateral_fetcher;
/* Errors: ATLS_E_USAGE (options not initialised), ATLS_E_CONFIG (no URL, one that is none, CA
 * file), ATLS_E_NOMEM. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_collateral_open(const struct atls_collateral_options *options,
                     struct atls_collateral_fetcher **out, struct atls_err *err);
ATLS_API void atls_collateral_close(struct atls_collateral_fetcher *fetcher); /* NULL is fine */

/* Borrowed for the call; what it returns beside ATLS_OK ends the fetch. file_name is the name that
 * atls_store_import_collateral takes. */
typedef enum atls_code atls_collateral_visit(void *arg, const char *file_name,
                                             struct atls_bytes document, struct atls_err *err);
/* Fetches one document, and tells of it and of the chain that comes with it. Any thread. Errors:
 * ATLS_E_NOT_FOUND (the service has none; no maker publishes such a one), ATLS_E_CONFIG (no URL of
 * its maker), ATLS_E_UNAVAILABLE (no connection, 5xx, asked too often), ATLS_E_TIMEOUT,
 * ATLS_E_CERTIFICATE (the service's certificate is refused), ATLS_E_PROTOCOL (an answer that is no
 * such document, over 256 KiB, or a redirection), ATLS_E_USAGE (no such kind), ATLS_E_NOMEM. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_collateral_fetch(struct atls_collateral_fetcher *fetcher, const char *kind,
                      const char *subject, atls_collateral_visit *visit, void *arg,
                      struct atls_err *err);

/* Kind and subject as atls_collateral_fetch takes them; borrowed for the call. */
typedef enum atls_code atls_collateral_want(void *arg, const char *kind, const char *subject,
                                            struct atls_err *err);
/* What somebody needs who wants to verify this evidence (one CMW, CBOR) and has no collateral;
 * nothing in the evidence is verified. Evidence that needs none is ATLS_OK. Errors: ATLS_E_DECODE,
 * ATLS_E_UNSUPPORTED, those of want. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_collateral_of_evidence(struct atls_bytes evidence,
                                                                    atls_collateral_want *want,
                                                                    void *arg,
                                                                    struct atls_err *err);

#ifdef __cplusplus
}
#endif
#endif
