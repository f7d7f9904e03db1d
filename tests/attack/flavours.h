/* Parts of the attack tables. */
#ifndef ATLS_ATTACK_FLAVOURS_H
#define ATLS_ATTACK_FLAVOURS_H

#include "lab.h"
#include "table.h"

/* The table of expectations that are missing, each of which must be an error; fails the test when
 * one is not. */
void nothing_put(struct table *t, struct lab *lab);

#endif
