#include "verifier/local/match.h"

#include "core/reader.h"

/* An absent member of the condition asks for nothing. */
static bool member_matches(struct atls_bytes condition, struct atls_bytes actual)
{
    return condition.ptr == NULL || (actual.ptr != NULL && atls_bytes_equal(condition, actual));
}

static bool number_matches(bool asked, uint64_t condition, bool present, uint64_t actual)
{
    return !asked || (present && condition == actual);
}

bool atls_environment_matches(const struct atls_environment *c, const struct atls_environment *a)
{
    return member_matches(c->class_id, a->class_id) && member_matches(c->vendor, a->vendor) &&
           member_matches(c->model, a->model) &&
           number_matches(c->has_layer, c->layer, a->has_layer, a->layer) &&
           number_matches(c->has_index, c->index, a->has_index, a->index) &&
           member_matches(c->instance, a->instance) && member_matches(c->group, a->group);
}

bool atls_mkey_equal(const struct atls_mkey *a, const struct atls_mkey *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == ATLS_MKEY_UINT)
        return a->number == b->number;
    return a->kind == ATLS_MKEY_NONE || atls_bytes_equal(a->bytes, b->bytes);
}

static bool same_algorithm(const struct atls_digest *a, const struct atls_digest *b)
{
    if (a->hash != ATLS_HASH_NONE || b->hash != ATLS_HASH_NONE)
        return a->hash == b->hash;
    /* Of an algorithm that has only a name, the name is not kept: it is like no other. */
    return a->named_information == b->named_information &&
           a->named_information != ATLS_NAMED_HASH_TEXT;
}

/* How many pairs of one algorithm there are, and how many of these are equal. */
static void compare_digests(const struct atls_mval *c, const struct atls_mval *a,
                            size_t *out_common, size_t *out_equal)
{
    *out_common = *out_equal = 0;
    for (size_t i = 0; i < c->digest_count; i++) {
        for (size_t k = 0; k < a->digest_count; k++) {
            if (!same_algorithm(&c->digests[i], &a->digests[k]))
                continue;
            ++*out_common;
            if (atls_bytes_equal(c->digests[i].value, a->digests[k].value))
                ++*out_equal;
        }
    }
}

const struct atls_digest *atls_digest_alike(const struct atls_mval *list,
                                            const struct atls_digest *d)
{
    for (size_t i = 0; i < list->digest_count; i++)
        if (same_algorithm(&list->digests[i], d))
            return &list->digests[i];
    return NULL;
}

static bool digests_hold(const struct atls_mval *c, const struct atls_mval *a)
{
    size_t common, equal;

    compare_digests(c, a, &common, &equal);
    return common > 0 && equal == common;
}

static bool flags_hold(const struct atls_mval *c, const struct atls_mval *a)
{
    return (c->flags_known & ~a->flags_known) == 0 && ((c->flags ^ a->flags) & c->flags_known) == 0;
}

static bool raw_holds(const struct atls_mval *c, const struct atls_mval *a)
{
    if (c->mask.ptr == NULL)
        return atls_bytes_equal(c->raw, a->raw);
    if (c->raw.len != a->raw.len || c->mask.len != c->raw.len)
        return false;
    for (size_t i = 0; i < c->raw.len; i++)
        if (((c->raw.ptr[i] ^ a->raw.ptr[i]) & c->mask.ptr[i]) != 0)
            return false;
    return true;
}

static bool svn_holds(const struct atls_mval *c, const struct atls_mval *a)
{
    if ((c->present & ATLS_MVAL_MIN_SVN) == 0)
        return (a->present & ATLS_MVAL_SVN) != 0 && a->svn == c->svn;
    /* What itself is only a minimum says no more than an equal minimum. */
    if (a->present & ATLS_MVAL_MIN_SVN)
        return a->svn == c->svn;
    return (a->present & ATLS_MVAL_SVN) != 0 && a->svn >= c->svn;
}

bool atls_mval_holds(const struct atls_mval *c, const struct atls_mval *a)
{
    /* Members that are compared like with like must be there; svn has its own rule. */
    static const unsigned int plain =
        ATLS_MVAL_VERSION | ATLS_MVAL_DIGESTS | ATLS_MVAL_FLAGS | ATLS_MVAL_RAW | ATLS_MVAL_NAME;

    if (c->present == 0 || (c->present & ATLS_MVAL_OTHER) != 0 ||
        (c->present & plain & ~a->present) != 0)
        return false;
    if ((c->present & ATLS_MVAL_VERSION) && !atls_bytes_equal(c->version, a->version))
        return false;
    if ((c->present & (ATLS_MVAL_SVN | ATLS_MVAL_MIN_SVN)) && !svn_holds(c, a))
        return false;
    if ((c->present & ATLS_MVAL_DIGESTS) && !digests_hold(c, a))
        return false;
    if ((c->present & ATLS_MVAL_FLAGS) && !flags_hold(c, a))
        return false;
    if ((c->present & ATLS_MVAL_RAW) && !raw_holds(c, a))
        return false;
    return (c->present & ATLS_MVAL_NAME) == 0 || atls_bytes_equal(c->name, a->name);
}
