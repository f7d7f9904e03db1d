/* Outputs of policy programs: only {"decision": "accept", ...} accepts, and reasons stay bounded.
 *
 * The input is a recipe for one jq value, so that jq's own JSON parser is not what is tested:
 *   o n (key value)*n   object     a n value*n   array     s n bytes   text
 *   D R I               the texts "decision", "reasons", "insecure"
 *   A F S               the texts "accept", "refuse", "soft"
 *   t f n 0..9          true, false, null, a number; anything else and the end: null */
#include <stdlib.h>
#include <string.h>

#include "policy/jq.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct recipe {
    const uint8_t *data;
    size_t left;
    int has_accept, has_soft; /* a text that may mean so was cooked */
};

static int next(struct recipe *r)
{
    if (r->left == 0)
        return -1;
    r->left--;
    return *r->data++;
}

static jv text(struct recipe *r, const char *bytes, size_t len)
{
    if (len == 6 && memcmp(bytes, "accept", 6) == 0)
        r->has_accept = 1;
    if (len == 4 && memcmp(bytes, "soft", 4) == 0)
        r->has_soft = 1;
    return jv_string_sized(bytes, (int)len);
}

static jv cook(struct recipe *r, int depth);

static jv cook_text(struct recipe *r)
{
    size_t len = (size_t)(next(r) + 1);
    const char *bytes;

    if (len > r->left)
        len = r->left;
    bytes = (const char *)r->data;
    r->data += len;
    r->left -= len;
    return text(r, len == 0 ? "" : bytes, len);
}

static jv cook_container(struct recipe *r, int depth, int is_object)
{
    jv v = is_object ? jv_object() : jv_array();

    for (int n = next(r) % 32; n > 0 && r->left > 0; n--) {
        jv key;

        if (!is_object) {
            v = jv_array_append(v, cook(r, depth + 1));
            continue;
        }
        key = cook(r, depth + 1);
        if (jv_get_kind(key) != JV_KIND_STRING) {
            jv_free(key);
            key = jv_string("x");
        }
        v = jv_object_set(v, key, cook(r, depth + 1));
    }
    return v;
}

static jv cook(struct recipe *r, int depth)
{
    int c = depth > 8 ? -1 : next(r);

    switch (c) {
    case 'o':
    case 'a':
        return cook_container(r, depth, c == 'o');
    case 's':
        return cook_text(r);
    case 'D':
        return text(r, "decision", 8);
    case 'R':
        return text(r, "reasons", 7);
    case 'I':
        return text(r, "insecure", 8);
    case 'A':
        return text(r, "accept", 6);
    case 'F':
        return text(r, "refuse", 6);
    case 'S':
        return text(r, "soft", 4);
    case 't':
        return jv_true();
    case 'f':
        return jv_false();
    default:
        return c >= '0' && c <= '9' ? jv_number(c - '0') : jv_null();
    }
}

static void check(const struct atls_decision *d, const struct recipe *r)
{
    if (d->reason_count > ATLS_DECISION_REASONS_MAX)
        abort();
    if ((d->accept && !r->has_accept) || (d->names_insecure && !r->has_soft))
        abort();
    for (size_t i = 0; i < d->reason_count; i++) {
        size_t len = strnlen(d->reasons[i], sizeof d->reasons[i]);

        if (len == sizeof d->reasons[i])
            abort();
        for (size_t k = 0; k < len; k++)
            if (d->reasons[i][k] < 0x20 || d->reasons[i][k] > 0x7e)
                abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct atls_decision d;
    struct recipe r = {data, size, 0, 0};
    jv output = cook(&r, 0);

    memset(&d, 0, sizeof d);
    if (atls_policy_read_output(output, "soft", &d, NULL) != ATLS_OK &&
        (d.accept || d.names_insecure || d.reason_count != 0))
        abort();
    check(&d, &r);
    return 0;
}
