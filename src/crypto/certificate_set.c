#include "crypto/certificate.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/reader.h"

#define SET_MAX  1024
#define SET_STEP 16 /* certificates by which a full set grows */

struct atls_certificate_set {
    atomic_uint references;
    uint64_t serial;
    struct atls_certificate **list;
    size_t count, room;
};

enum atls_code atls_certificates_parse(struct atls_bytes text, struct atls_certificate **out,
                                       size_t max, size_t *out_count, struct atls_err *err)
{
    enum atls_code code = ATLS_OK;
    size_t count = 0, parsed = 0;
    struct atls_buf *der;

    if (max == 0)
        return atls_fail(err, ATLS_E_LIMIT, "certificates: no room for any");
    if (text.len != 0 && text.ptr[0] == 0x30) { /* SEQUENCE; such text is not taken for PEM */
        if ((code = atls_certificate_parse(text, out, err)) == ATLS_OK)
            *out_count = 1;
        return code;
    }
    if ((der = calloc(max, sizeof *der)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "certificates");
    code = atls_certificates_from_pem(text, der, max, &count, err);
    while (code == ATLS_OK && parsed < count &&
           (code = atls_certificate_parse(atls_buf_bytes(&der[parsed]), &out[parsed], err)) ==
               ATLS_OK)
        parsed++;
    for (size_t i = 0; i < count; i++)
        atls_buf_clear(&der[i]);
    free(der);
    if (code == ATLS_OK) {
        *out_count = count;
        return ATLS_OK;
    }
    while (parsed > 0)
        atls_certificate_unref(out[--parsed]);
    return code;
}

enum atls_code atls_certificate_set_new(struct atls_certificate_set **out, struct atls_err *err)
{
    static atomic_uint_fast64_t last_serial;
    struct atls_certificate_set *set = calloc(1, sizeof *set);

    if (set == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "certificate set");
    atomic_init(&set->references, 1);
    set->serial = atomic_fetch_add_explicit(&last_serial, 1, memory_order_relaxed) + 1;
    *out = set;
    return ATLS_OK;
}

enum atls_code atls_certificate_set_add(struct atls_certificate_set *set,
                                        struct atls_certificate *c, struct atls_err *err)
{
    struct atls_certificate **list;

    if (set->count == SET_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "certificate set: more than %d", SET_MAX);
    if (set->count == set->room) {
        list = realloc(set->list, (set->room + SET_STEP) * sizeof *list);
        if (list == NULL)
            return atls_fail(err, ATLS_E_NOMEM, "certificate set");
        set->list = list;
        set->room += SET_STEP;
    }
    set->list[set->count++] = atls_certificate_ref(c);
    return ATLS_OK;
}

struct atls_certificate_set *atls_certificate_set_ref(struct atls_certificate_set *set)
{
    if (set != NULL)
        atomic_fetch_add_explicit(&set->references, 1, memory_order_relaxed);
    return set;
}

void atls_certificate_set_unref(struct atls_certificate_set *set)
{
    if (set == NULL || atomic_fetch_sub_explicit(&set->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < set->count; i++)
        atls_certificate_unref(set->list[i]);
    free(set->list);
    free(set);
}

size_t atls_certificate_set_count(const struct atls_certificate_set *set)
{
    return set->count;
}

const struct atls_certificate *atls_certificate_set_at(const struct atls_certificate_set *set,
                                                       size_t index)
{
    return set->list[index];
}

const struct atls_certificate *atls_certificate_set_find(const struct atls_certificate_set *set,
                                                         struct atls_bytes der)
{
    for (size_t i = 0; i < set->count; i++)
        if (atls_bytes_equal(atls_certificate_der(set->list[i]), der))
            return set->list[i];
    return NULL;
}

uint64_t atls_certificate_set_serial(const struct atls_certificate_set *set)
{
    return set->serial;
}
