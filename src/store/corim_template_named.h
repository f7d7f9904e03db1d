/* Reference values of confidential computing by name: "measurement" instead of 641. One table of
 * profiles says what a template's members are called, and what they become in a manifest. */
#ifndef ATLS_STORE_CORIM_TEMPLATE_NAMED_H
#define ATLS_STORE_CORIM_TEMPLATE_NAMED_H

#include "core/writer.h"
#include "store/json.h"

/* How the value of a field is written. */
enum store_field_form {
    STORE_FIELD_DIGEST,     /* hexadecimal of SHA-256, 384 or 512, by its length (or len) */
    STORE_FIELD_RAW,        /* hexadecimal of len bytes, 0: of 1 to 1024 */
    STORE_FIELD_NUMBER,     /* a number; as raw value of len bytes, big-endian */
    STORE_FIELD_LEAST,      /* a number that is reached */
    STORE_FIELD_LEAST_TCB,  /* 16 digits as in the report; each component is reached */
    STORE_FIELD_COMPONENTS, /* list of {"name"?, "version"?, "signer-id", "digest"} */
};
struct store_field {
    const char *name;
    const char *mkey; /* text; NULL: number */
    unsigned int number;
    enum store_field_form form;
    size_t len;
    bool is_usual; /* from-evidence takes it unless it is told otherwise */
};

enum store_class_form {
    STORE_CLASS_UUID,           /* must be given */
    STORE_CLASS_TD,             /* UUID; that of trust domains by default */
    STORE_CLASS_SNP,            /* "vcek" (default), "vlek", or a UUID */
    STORE_CLASS_IMPLEMENTATION, /* 64 hexadecimal digits */
    STORE_CLASS_RIM,            /* 64, 96 or 128 */
};
struct store_template_profile {
    const char *name;
    const char *uri; /* NULL: none, for a profile knows classes of its own alone */
    enum store_class_form class_form;
    const struct store_field *fields; /* ends with name NULL; NULL: banks of digests */
};
/* NULL when there is none. */
const struct store_template_profile *store_template_profile_by_name(const char *name);

/* Longest: tag and 64 bytes. */
#define STORE_CLASS_ITEM_MAX 72
/* A class-id as encoded item from the text of a template (NULL: not given). False when it is not of
 * the profile's form. *out_len: bytes of it. */
ATLS_MUST_CHECK bool store_template_class(const struct store_template_profile *profile,
                                          const char *text, uint8_t out[STORE_CLASS_ITEM_MAX],
                                          size_t *out_len);

/* Takes one triple: count measurements, encoded one after the other. */
typedef void store_put_triple(void *arg, struct atls_bytes measurements, size_t count);
/* Reads {"name": value, ...}. Members with one value make one triple, for they hold together; one
 * with a list of alternatives makes a triple of each. Errors: ATLS_E_DECODE with path and rule,
 * ATLS_E_LIMIT, ATLS_E_NOMEM. */
struct store_named_values {
    const struct store_template_profile *profile;
    struct atls_bytes class_item; /* a realm's measurement is its class */
    store_put_triple *put;
    void *arg;
};
ATLS_MUST_CHECK enum atls_code store_template_put_named(const struct store_named_values *values,
                                                        const struct store_json *at,
                                                        struct atls_err *err);

#endif
