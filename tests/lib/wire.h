/* A connection in memory between two BIOs that says what went over it: bytes, and flights, a flight
 * being what one end sends before the other speaks again. It holds everything that was sent, so
 * that no end ever waits for room. One thread. Needs no test framework. */
#ifndef ATLS_TEST_WIRE_H
#define ATLS_TEST_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/bio.h>

enum wire_side { WIRE_CLIENT = 0, WIRE_SERVER = 1 };

struct wire;
struct wire_end {
    struct wire *wire;
    uint8_t *sent; /* by this end, all of it */
    size_t len, cap;
    size_t taken; /* by the other */
    unsigned int flights;
};
struct wire {
    struct wire_end ends[2]; /* enum wire_side */
    int last;                /* which end spoke last; -1: none */
};

/* Stays where it is while its BIOs live. */
void wire_init(struct wire *w);
/* The BIO of one end, for SSL_set_bio; NULL without memory. */
BIO *wire_bio(struct wire *w, enum wire_side side);
/* After the BIOs were freed. */
void wire_clear(struct wire *w);

#endif
