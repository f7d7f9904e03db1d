#include "verifier/local/expression.h"

#include "core/reader.h"
#include "wire/cbor.h"

enum expression_tag { TAG_NUMERIC = 60010, TAG_DIGEST_SET = 60020, TAG_TEXT_SET = 60021 };

enum comparison {
    OPERATOR_EQUAL = 0,
    OPERATOR_GREATER = 1,
    OPERATOR_GREATER_OR_EQUAL = 2,
    OPERATOR_LESS = 3,
    OPERATOR_LESS_OR_EQUAL = 4,
    OPERATOR_MEMBER = 6,
    OPERATOR_NOT_MEMBER = 7,
};

/* right: what follows the operator, up to the end of the item. */
static bool compare_numbers(uint64_t operation, struct atls_reader *right, struct atls_bytes actual)
{
    struct atls_reader left = atls_reader_init(actual);
    int64_t a, b;

    if (!atls_cbor_get_int(&left, &a) || !atls_reader_done(&left) || !atls_cbor_get_int(right, &b))
        return false;
    switch (operation) {
    case OPERATOR_EQUAL:
        return a == b;
    case OPERATOR_GREATER:
        return a > b;
    case OPERATOR_GREATER_OR_EQUAL:
        return a >= b;
    case OPERATOR_LESS:
        return a < b;
    case OPERATOR_LESS_OR_EQUAL:
        return a <= b;
    default:
        return false;
    }
}

/* [algorithm, bytes]; the algorithm as encoded. */
static bool read_digest(struct atls_bytes item, struct atls_bytes *out_algorithm)
{
    struct atls_reader r = atls_reader_init(item);
    struct atls_bytes ignored;
    struct atls_cbor_iter pair;

    return atls_cbor_enter_array(&r, &pair) && pair.left == 2 &&
           atls_cbor_get_item(&r, out_algorithm) && atls_cbor_get_bytes(&r, &ignored) &&
           atls_reader_done(&r);
}

static bool is_text(struct atls_bytes item)
{
    struct atls_reader r = atls_reader_init(item);
    struct atls_bytes ignored;

    return atls_cbor_get_text(&r, &ignored) && atls_reader_done(&r);
}

/* Whether a member of the set says something of actual, which is text or of this algorithm. */
static bool is_like(uint64_t tag, struct atls_bytes member, struct atls_bytes algorithm)
{
    struct atls_bytes other;

    if (tag == TAG_TEXT_SET)
        return is_text(member);
    return read_digest(member, &other) && atls_bytes_equal(algorithm, other);
}

static bool find_in_set(uint64_t tag, uint64_t operation, struct atls_reader *set,
                        struct atls_bytes actual)
{
    struct atls_bytes member, algorithm = {NULL, 0};
    bool found = false, alike = false;
    struct atls_cbor_iter list;

    if (operation != OPERATOR_MEMBER && operation != OPERATOR_NOT_MEMBER)
        return false;
    if (tag == TAG_TEXT_SET ? !is_text(actual) : !read_digest(actual, &algorithm))
        return false;
    if (!atls_cbor_enter_array(set, &list))
        return false;
    while (atls_cbor_more(set, &list)) {
        if (!atls_cbor_get_item(set, &member))
            return false;
        alike = alike || is_like(tag, member, algorithm);
        found = found || atls_bytes_equal(member, actual);
    }
    return operation == OPERATOR_MEMBER ? found : alike && !found;
}

bool atls_extension_holds(struct atls_bytes condition, struct atls_bytes actual)
{
    struct atls_reader r = atls_reader_init(condition);
    struct atls_cbor_iter pair;
    uint64_t tag, operation;
    bool holds;

    if (!atls_cbor_get_tag(&r, &tag) ||
        (tag != TAG_NUMERIC && tag != TAG_DIGEST_SET && tag != TAG_TEXT_SET))
        return atls_bytes_equal(condition, actual);
    if (!atls_cbor_enter_array(&r, &pair) || pair.left != 2 || !atls_cbor_get_uint(&r, &operation))
        return false;
    holds = tag == TAG_NUMERIC ? compare_numbers(operation, &r, actual)
                               : find_in_set(tag, operation, &r, actual);
    return holds && atls_reader_done(&r);
}
