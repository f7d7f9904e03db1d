/* What the parts of the decoder of EAT claims sets in JSON share. Not for others. */
#ifndef ATLS_WIRE_EAT_JSON_READ_H
#define ATLS_WIRE_EAT_JSON_READ_H

#include <jansson.h>

#include "wire/eat_claims.h"

/* Text, copied; absent counts as another type. */
enum atls_code atls_eat_json_text(const struct atls_eat_decoder *d, const json_t *value,
                                  const char *where, struct atls_bytes *out);
/* least..most bytes from base64url without padding. */
struct atls_eat_lengths {
    size_t least, most;
};
enum atls_code atls_eat_json_octets(const struct atls_eat_decoder *d, const json_t *value,
                                    const char *where, struct atls_eat_lengths lengths,
                                    struct atls_bytes *out);
/* The text of any value. */
enum atls_code atls_eat_json_dump(const struct atls_eat_decoder *d, const json_t *value,
                                  struct atls_bytes *out);
/* A list of least elements or more, up to most; *out_count of them. */
enum atls_code atls_eat_json_list(const struct atls_eat_decoder *d, const json_t *array,
                                  const char *where, struct atls_eat_lengths counts,
                                  size_t *out_count);
enum atls_code atls_eat_json_version(const struct atls_eat_decoder *d, const json_t *value,
                                     const char *where, struct atls_eat_version *out);
enum atls_code atls_eat_json_digest(const struct atls_eat_decoder *d, const json_t *value,
                                    enum atls_eat_registry registry, struct atls_eat_digest *out);
/* One claim whose form is ATLS_EAT_FORM_OWN, other than submods. */
enum atls_code atls_eat_json_read_own(const struct atls_eat_decoder *d, const json_t *value,
                                      const struct atls_eat_row *row, struct atls_eat_claims *out);
/* Claims with objects in them. */
enum atls_code atls_eat_json_cnf(const struct atls_eat_decoder *d, const json_t *value,
                                 struct atls_eat_cnf *out);
enum atls_code atls_eat_json_profile(const struct atls_eat_decoder *d, const json_t *value,
                                     struct atls_eat_profile *out);

/* Iterating writes nothing, but its API has no const. */
static inline json_t *atls_eat_json_mutable(const json_t *value)
{
    return (json_t *)(uintptr_t)value;
}

#endif
