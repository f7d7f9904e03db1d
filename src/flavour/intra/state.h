/* The state of one connection, and what its parts (intra.c, extension.c) share. */
#ifndef ATLS_FLAVOUR_INTRA_STATE_H
#define ATLS_FLAVOUR_INTRA_STATE_H

#include "flavour/intra/intra.h"
#include "flavour/intra/scheme.h"
#include "flavour/intra/transcript.h"

/* One of the two attestations that a connection may have. */
struct atls_intra_side {
    struct atls_intra_schemes schemes;      /* that we can show, or take */
    const struct atls_intra_scheme *scheme; /* of schemes: what was negotiated; NULL: nothing */
    struct atls_buf choice;                 /* as encoded in EE or CR; a server's */
    struct atls_binder binder;              /* len 0: not made yet */
    struct atls_buf spki;                   /* that it was made for */
    struct atls_buf cmw;                    /* peer: the CMW; own: content of the extension */
    bool done;                              /* peer: judged; own: sent */
};

struct atls_intra {
    struct atls_config *config;
    enum atls_role role;
    struct atls_transcript *transcript;
    struct atls_intra_side own, peer;
    struct atls_buf offer;      /* content of the extension in ClientHello; empty: none */
    enum atls_intra_place last; /* that the peer sent an extension in; 0: none */
    size_t hellos;              /* ClientHellos that came with the extension */
    uint8_t secret[ATLS_BINDER_MAX];
    size_t secret_len; /* 0: none */
    bool finished;
    struct atls_err failed; /* the first failure; code ATLS_OK: none */
};

/* Every entry point begins and ends with these: an earlier failure is given again, a new one is
 * kept. */
ATLS_MUST_CHECK enum atls_code atls_intra_begin(const struct atls_intra *intra,
                                                struct atls_err *err);
enum atls_code atls_intra_settle(struct atls_intra *intra, enum atls_code code,
                                 const struct atls_err *err);

/* True once ServerHello has passed. */
bool atls_intra_has_hellos(const struct atls_intra *intra);

/* atls_intra_check_choice without the ceremony. */
ATLS_MUST_CHECK enum atls_code atls_intra_choice(const struct atls_intra *intra,
                                                 struct atls_err *err);

#endif
