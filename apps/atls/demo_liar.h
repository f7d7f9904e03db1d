/* Attesters of the demonstration that do not tell the truth, and software ones. */
#ifndef ATLS_APP_DEMO_LIAR_H
#define ATLS_APP_DEMO_LIAR_H

#include "demo.h"

enum demo_lie {
    LIE_ABOUT_QUOTE,    /* changes what the TPM signed */
    LIE_ABOUT_PCR,      /* changes a PCR value beside the quote */
    LIE_OTHER_BINDER,   /* evidence for another connection */
    LIE_OLD_EVIDENCE,   /* evidence of some other time */
    LIE_REPLAY,         /* once the truth, and the same again on every later connection */
    LIE_RELAY,          /* evidence of a connection of its own to the true server */
    LIE_OTHER_KEY,      /* its own key, the TPM's evidence */
    LIE_NOTHING_TO_SAY, /* no evidence at all */
};

/* Opens bench->attester over the true server's; with its key, but for LIE_OTHER_KEY. */
ATLS_MUST_CHECK enum atls_code demo_open_liar(struct bench *bench, enum demo_lie lie,
                                              struct atls_err *err);

/* A software attester whose AIK the identity CA has certified for the server's name, and the file
 * of that certificate. */
ATLS_MUST_CHECK enum atls_code demo_open_soft(const struct demo *demo, char certificate[LAB_PATH],
                                              struct atls_attester **out, struct atls_err *err);

#endif
