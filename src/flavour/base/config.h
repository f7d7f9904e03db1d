/* What atls_config_new made of its options. Immutable once built, share freely. */
#ifndef ATLS_FLAVOUR_BASE_CONFIG_H
#define ATLS_FLAVOUR_BASE_CONFIG_H

#include <stdatomic.h>

#include <atls/config.h>

#include "crypto/crypto.h"
#include "flavour/base/names.h"

struct atls_config {
    atomic_size_t references;
    /* As given, with references of our own; the arrays of names, anchors and lists are gone, their
     * content is below. */
    struct atls_config_options options;
    struct atls_buf names[ATLS_NAMES_COUNT]; /* encoded Name lists, as HELLO carries them */
    unsigned int profiles;        /* enum atls_evidence_profile: of evidence that is accepted */
    struct atls_buf technologies; /* of evidence that is accepted, a Name list; empty: all secure */
    struct atls_anchors *anchors; /* NULL unless pkix */
    struct atls_chain_cache *cache;              /* NULL unless require_peer */
    char *accepted_verifier, *passport_verifier; /* or NULL */
};

static inline struct atls_bytes atls_config_names(const struct atls_config *c,
                                                  enum atls_names which)
{
    return atls_buf_bytes(&c->names[which]);
}

#endif
