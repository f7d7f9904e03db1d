/* What each scheme demands of the triples of its manifests. Not for other modules. */
#ifndef ATLS_WIRE_CORIM_RULES_H
#define ATLS_WIRE_CORIM_RULES_H

#include "wire/corim.h"
#include "wire/corim_profile.h"

/* A rule that is broken as text for people, or NULL. Static. */
typedef const char *atls_corim_rule(const struct atls_environment *e);
typedef const char *atls_corim_value_rule(const struct atls_measurement *m);
typedef const char *atls_corim_list_rule(const struct atls_corim_reference *reference);
typedef const char *atls_corim_key_rule(const struct atls_corim_attest_key *key);

/* NULL: nothing is demanded. */
struct atls_corim_rules {
    atls_corim_rule *class_id;     /* of every environment but those of keys */
    atls_corim_rule *of_reference; /* environment of reference values, beyond class_id */
    atls_corim_value_rule *claim;  /* one measurement of any triple: mkey and values */
    atls_corim_value_rule *value;  /* a reference value, beyond claim */
    atls_corim_list_rule *list;    /* all reference values of one triple */
    atls_corim_key_rule *key;      /* identity and attest-key triples */
};

/* Rules of a scheme. Static. */
const struct atls_corim_rules *atls_corim_rules_of(enum atls_corim_scheme scheme);

#endif
