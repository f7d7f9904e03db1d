/* Matching of CoRIM: does what a manifest says hold for what evidence says? (draft-ietf-rats-corim,
 * "Rules of Comparison"). A condition is contained in an entry when everything that the condition
 * names is in the entry and satisfies it; the entry may have more. Pure: any thread. */
#ifndef ATLS_VERIFIER_LOCAL_MATCH_H
#define ATLS_VERIFIER_LOCAL_MATCH_H

#include <stdbool.h>

#include "wire/measurement.h"

/* Every member of condition is in actual, with equal bytes; actual may have more. */
bool atls_environment_matches(const struct atls_environment *condition,
                              const struct atls_environment *actual);

/* The same members with equal bytes. */
bool atls_environment_equal(const struct atls_environment *a, const struct atls_environment *b);

/* Equal kind and content; a measurement without mkey matches only another without. */
bool atls_mkey_equal(const struct atls_mkey *a, const struct atls_mkey *b);

/* The digest of a list that is of the same algorithm as d, or NULL; borrows from the list. */
const struct atls_digest *atls_digest_alike(const struct atls_mval *list,
                                            const struct atls_digest *d);

/* Every member of condition is in actual and holds:
 *
 *     version, name, serial, MAC,   equal (a version scheme when the condition names one)
 *     IP, UEID, UUID
 *     svn                           equal, or at least the minimum; what is itself only a minimum
 *                                   holds for an equal minimum only
 *     digests                       an algorithm in common, and every common one equal; no list
 *                                   names one twice
 *     flags                         every flag of the condition known and equal
 *     raw value                     equal under the mask of the condition; not itself masked
 *     cryptographic keys            as many, in the same order, of equal tag and content
 *     integrity registers           every register of the condition there, then as digests
 *     integer                       in the range; a range in the range
 *     extensions of a profile       known to some profile, and atls_extension_holds
 *
 * An empty condition and one with a member that nobody can compare hold for nothing. */
bool atls_mval_holds(const struct atls_mval *condition, const struct atls_mval *actual);

/* How the numbers of one attester are to be read. */
enum atls_svn_form {
    ATLS_SVN_NUMBER = 0,
    /* SEV-SNP: mkeys 6, 647, 3329 and 3968 are versions of a TCB, eight bytes of which each is the
     * version of one component; an svn and a minimum alike hold when no component is older. */
    ATLS_SVN_SNP_TCB = 1,
};
/* By technology, or the class of its environment where that is the maker's own. */
enum atls_svn_form atls_svn_form_of(const char *technology,
                                    const struct atls_environment *environment);

/* As atls_mval_holds, of two measurements that have the same mkey. */
bool atls_measurement_holds(enum atls_svn_form form, const struct atls_measurement *condition,
                            const struct atls_measurement *actual);

/* A claim that somebody vouched for by naming some of its members: does condition ask only for
 * those? vouched and condition both hold for the claim. */
bool atls_mval_vouched(const struct atls_mval *vouched, const struct atls_mval *condition);

/* What two values say of one thing. */
enum atls_mval_relation {
    ATLS_MVAL_UNRELATED, /* no member in common */
    ATLS_MVAL_AGREE,     /* one holds for the other in every common member */
    ATLS_MVAL_DIFFER,
};
enum atls_mval_relation atls_mval_relate(const struct atls_mval *a, const struct atls_mval *b);

/* a says nothing that b does not say: all members of a are in b, with the same content. */
bool atls_mval_within(const struct atls_mval *a, const struct atls_mval *b);

#endif
