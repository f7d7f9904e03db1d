#include "verifier/local/match.h"

#include <string.h>

#include "core/reader.h"
#include "verifier/local/expression.h"
#include "wire/corim_profile.h"

/* An absent member of the condition asks for nothing. */
static inline bool member_matches(struct atls_bytes condition, struct atls_bytes actual)
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

bool atls_environment_equal(const struct atls_environment *a, const struct atls_environment *b)
{
    return atls_environment_matches(a, b) && atls_environment_matches(b, a);
}

bool atls_mkey_equal(const struct atls_mkey *a, const struct atls_mkey *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == ATLS_MKEY_UINT)
        return a->number == b->number;
    return a->kind == ATLS_MKEY_NONE || atls_bytes_equal(a->bytes, b->bytes);
}

/* ---- digests ---- */

static bool same_algorithm(const struct atls_digest *a, const struct atls_digest *b)
{
    if (a->hash != ATLS_HASH_NONE || b->hash != ATLS_HASH_NONE)
        return a->hash == b->hash;
    /* Of an algorithm that has only a name, the name is not kept: it is like no other. */
    return a->named_information == b->named_information &&
           a->named_information != ATLS_NAMED_HASH_TEXT;
}

struct digests {
    const struct atls_digest *items;
    size_t count;
};

static struct digests digests_of(const struct atls_mval *m)
{
    struct digests d = {m->digests, m->digest_count};

    return d;
}

static struct digests digests_of_register(const struct atls_integrity_register *r)
{
    struct digests d = {r->digests, r->digest_count};

    return d;
}

static bool names_one_twice(struct digests d)
{
    for (size_t i = 1; i < d.count; i++)
        for (size_t k = 0; k < i; k++)
            if (same_algorithm(&d.items[i], &d.items[k]))
                return true;
    return false;
}

/* How many algorithms both lists have, and how many of these with equal digests. */
static void compare_digests(struct digests c, struct digests a, size_t *out_common,
                            size_t *out_equal)
{
    *out_common = *out_equal = 0;
    for (size_t i = 0; i < c.count; i++) {
        for (size_t k = 0; k < a.count; k++) {
            if (!same_algorithm(&c.items[i], &a.items[k]))
                continue;
            ++*out_common;
            if (atls_bytes_equal(c.items[i].value, a.items[k].value))
                ++*out_equal;
        }
    }
}

static bool lists_hold(struct digests c, struct digests a)
{
    size_t common, equal;

    if (c.count == 1 && a.count == 1) /* most evidence */
        return same_algorithm(c.items, a.items) && atls_bytes_equal(c.items->value, a.items->value);
    compare_digests(c, a, &common, &equal);
    return common > 0 && equal == common && !names_one_twice(c) && !names_one_twice(a);
}

const struct atls_digest *atls_digest_alike(const struct atls_mval *list,
                                            const struct atls_digest *d)
{
    for (size_t i = 0; i < list->digest_count; i++)
        if (same_algorithm(&list->digests[i], d))
            return &list->digests[i];
    return NULL;
}

/* ---- one comparison a member: does that of c hold for that of a? ---- */

static bool digests_hold(const struct atls_mval *c, const struct atls_mval *a)
{
    return lists_hold(digests_of(c), digests_of(a));
}

static bool version_holds(const struct atls_mval *c, const struct atls_mval *a)
{
    return atls_bytes_equal(c->version, a->version) &&
           member_matches(c->version_scheme, a->version_scheme);
}

static bool flags_hold(const struct atls_mval *c, const struct atls_mval *a)
{
    return (c->flags_known & ~a->flags_known) == 0 && ((c->flags ^ a->flags) & c->flags_known) == 0;
}

static bool raw_holds(const struct atls_mval *c, const struct atls_mval *a)
{
    /* What is itself masked is not one value. */
    if (a->mask.ptr != NULL)
        return false;
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

static bool name_holds(const struct atls_mval *c, const struct atls_mval *a)
{
    return atls_bytes_equal(c->name, a->name);
}

static bool mac_holds(const struct atls_mval *c, const struct atls_mval *a)
{
    return atls_bytes_equal(c->mac, a->mac);
}

static bool ip_holds(const struct atls_mval *c, const struct atls_mval *a)
{
    return atls_bytes_equal(c->ip, a->ip);
}

static bool serial_holds(const struct atls_mval *c, const struct atls_mval *a)
{
    return atls_bytes_equal(c->serial, a->serial);
}

static bool ueid_holds(const struct atls_mval *c, const struct atls_mval *a)
{
    return atls_bytes_equal(c->ueid, a->ueid);
}

static bool uuid_holds(const struct atls_mval *c, const struct atls_mval *a)
{
    return atls_bytes_equal(c->uuid, a->uuid);
}

static bool keys_hold(const struct atls_mval *c, const struct atls_mval *a)
{
    if (c->key_count != a->key_count)
        return false;
    for (size_t i = 0; i < c->key_count; i++)
        if (c->keys[i].tag != a->keys[i].tag ||
            !atls_bytes_equal(c->keys[i].content, a->keys[i].content))
            return false;
    return true;
}

static bool same_register(const struct atls_integrity_register *a,
                          const struct atls_integrity_register *b)
{
    if (a->name.ptr == NULL || b->name.ptr == NULL)
        return a->name.ptr == NULL && b->name.ptr == NULL && a->number == b->number;
    return atls_bytes_equal(a->name, b->name);
}

static const struct atls_integrity_register *
find_register(const struct atls_mval *m, const struct atls_integrity_register *alike)
{
    for (size_t i = 0; i < m->register_count; i++)
        if (same_register(&m->registers[i], alike))
            return &m->registers[i];
    return NULL;
}

static bool registers_hold(const struct atls_mval *c, const struct atls_mval *a)
{
    for (size_t i = 0; i < c->register_count; i++) {
        const struct atls_integrity_register *found = find_register(a, &c->registers[i]);

        if (found == NULL ||
            !lists_hold(digests_of_register(&c->registers[i]), digests_of_register(found)))
            return false;
    }
    return c->register_count > 0;
}

static bool range_holds(const struct atls_mval *c, const struct atls_mval *a)
{
    bool c_least = !c->range.is_range || c->range.has_least;
    bool c_most = !c->range.is_range || c->range.has_most;
    bool a_least = !a->range.is_range || a->range.has_least;
    bool a_most = !a->range.is_range || a->range.has_most;

    return (!c_least || (a_least && a->range.least >= c->range.least)) &&
           (!c_most || (a_most && a->range.most <= c->range.most));
}

static const struct atls_mval_extension *find_extension(const struct atls_mval *m, int64_t key)
{
    for (size_t i = 0; i < m->extension_count; i++)
        if (m->extensions[i].key == key)
            return &m->extensions[i];
    return NULL;
}

static bool extensions_hold(const struct atls_mval *c, const struct atls_mval *a)
{
    for (size_t i = 0; i < c->extension_count; i++) {
        const struct atls_mval_extension *found = find_extension(a, c->extensions[i].key);

        if (found == NULL || !atls_corim_extension_known(found->key) ||
            !atls_extension_holds(c->extensions[i].item, found->item))
            return false;
    }
    return c->extension_count > 0;
}

/* One row a bit of enum atls_mval_present, in its order; without a function nothing holds. */
static const struct member {
    unsigned int bits; /* of these the entry has one */
    bool (*holds)(const struct atls_mval *c, const struct atls_mval *a);
} members[] = {
    {ATLS_MVAL_VERSION, version_holds},
    {ATLS_MVAL_SVN | ATLS_MVAL_MIN_SVN, svn_holds},
    {ATLS_MVAL_SVN | ATLS_MVAL_MIN_SVN, svn_holds},
    {ATLS_MVAL_DIGESTS, digests_hold},
    {ATLS_MVAL_FLAGS, flags_hold},
    {ATLS_MVAL_RAW, raw_holds},
    {ATLS_MVAL_NAME, name_holds},
    {ATLS_MVAL_OTHER, NULL},
    {ATLS_MVAL_MAC, mac_holds},
    {ATLS_MVAL_IP, ip_holds},
    {ATLS_MVAL_SERIAL, serial_holds},
    {ATLS_MVAL_UEID, ueid_holds},
    {ATLS_MVAL_UUID, uuid_holds},
    {ATLS_MVAL_KEYS, keys_hold},
    {ATLS_MVAL_REGISTERS, registers_hold},
    {ATLS_MVAL_INT_RANGE, range_holds},
    {ATLS_MVAL_EXTENSIONS, extensions_hold},
};
#define MEMBERS (sizeof members / sizeof members[0])

bool atls_mval_holds(const struct atls_mval *c, const struct atls_mval *a)
{
    /* What most evidence has, without the detour. */
    if (c->present == ATLS_MVAL_DIGESTS)
        return (a->present & ATLS_MVAL_DIGESTS) != 0 && digests_hold(c, a);
    if (c->present == 0 || (c->present >> MEMBERS) != 0)
        return false;
    for (size_t i = 0; i < MEMBERS; i++)
        if ((c->present >> i & 1) != 0 &&
            (members[i].holds == NULL || (a->present & members[i].bits) == 0 ||
             !members[i].holds(c, a)))
            return false;
    return true;
}

enum atls_svn_form atls_svn_form_of(const char *technology,
                                    const struct atls_environment *environment)
{
    /* Tag 111, 1.3.6.1.4.1.3704.3 and one arc more: .1 and .2 for the two kinds of keys. */
    static const uint8_t snp[] = {0xd8, 0x6f, 0x49, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x9c, 0x78, 0x03};
    const struct atls_bytes id = environment->class_id;

    if (strcmp(technology, "snp") == 0 ||
        (id.len == sizeof snp + 1 && memcmp(id.ptr, snp, sizeof snp) == 0))
        return ATLS_SVN_SNP_TCB;
    return ATLS_SVN_NUMBER;
}

static bool is_snp_tcb(const struct atls_mkey *key)
{
    return key->kind == ATLS_MKEY_UINT &&
           (key->number == 6 || key->number == 647 || key->number == 3329 || key->number == 3968);
}

static bool components_hold(uint64_t condition, uint64_t actual)
{
    for (unsigned int shift = 0; shift < 64; shift += 8)
        if ((actual >> shift & 0xff) < (condition >> shift & 0xff))
            return false;
    return true;
}

bool atls_measurement_holds(enum atls_svn_form form, const struct atls_measurement *condition,
                            const struct atls_measurement *actual)
{
    static const unsigned int svns = ATLS_MVAL_SVN | ATLS_MVAL_MIN_SVN;
    struct atls_mval rest;

    if (form == ATLS_SVN_NUMBER || !is_snp_tcb(&condition->mkey) ||
        (condition->mval.present & svns) == 0)
        return atls_mval_holds(&condition->mval, &actual->mval);
    if ((actual->mval.present & ATLS_MVAL_SVN) == 0 ||
        !components_hold(condition->mval.svn, actual->mval.svn))
        return false;
    rest = condition->mval;
    rest.present &= ~svns;
    return rest.present == 0 || atls_mval_holds(&rest, &actual->mval);
}

/* Members of which a part may be named. */
static bool parts_vouched(const struct atls_mval *vouched, const struct atls_mval *c)
{
    if ((c->present & ATLS_MVAL_DIGESTS) && !digests_hold(c, vouched))
        return false;
    if ((c->present & ATLS_MVAL_FLAGS) && !flags_hold(c, vouched))
        return false;
    if ((c->present & ATLS_MVAL_REGISTERS) && !registers_hold(c, vouched))
        return false;
    if ((c->present & ATLS_MVAL_RAW) && vouched->mask.ptr != NULL) {
        for (size_t i = 0; i < vouched->mask.len; i++)
            if (((c->mask.ptr == NULL ? 0xff : c->mask.ptr[i]) & ~vouched->mask.ptr[i]) != 0)
                return false;
    }
    for (size_t i = 0; i < c->extension_count; i++)
        if (find_extension(vouched, c->extensions[i].key) == NULL)
            return false;
    return c->version_scheme.ptr == NULL || vouched->version_scheme.ptr != NULL;
}

bool atls_mval_vouched(const struct atls_mval *vouched, const struct atls_mval *c)
{
    static const unsigned int svns = ATLS_MVAL_SVN | ATLS_MVAL_MIN_SVN;
    unsigned int named = vouched->present;

    if (named & svns)
        named |= svns;
    return (c->present & ~named) == 0 && parts_vouched(vouched, c);
}

/* ---- what two entries say of one thing ---- */

static bool raws_agree(const struct atls_mval *a, const struct atls_mval *b)
{
    if (a->raw.len != b->raw.len)
        return false;
    for (size_t i = 0; i < a->raw.len; i++) {
        unsigned int mask = a->mask.len == a->raw.len ? a->mask.ptr[i] : 0xffu;

        mask &= b->mask.len == b->raw.len ? b->mask.ptr[i] : 0xffu;
        if (((unsigned int)(a->raw.ptr[i] ^ b->raw.ptr[i]) & mask) != 0)
            return false;
    }
    return true;
}

static enum atls_mval_relation relate_lists(struct digests a, struct digests b)
{
    size_t common, equal;

    compare_digests(a, b, &common, &equal);
    if (common == 0)
        return ATLS_MVAL_UNRELATED;
    return common == equal ? ATLS_MVAL_AGREE : ATLS_MVAL_DIFFER;
}

static enum atls_mval_relation relate_registers(const struct atls_mval *a,
                                                const struct atls_mval *b)
{
    enum atls_mval_relation relation = ATLS_MVAL_UNRELATED;

    for (size_t i = 0; i < a->register_count && relation != ATLS_MVAL_DIFFER; i++) {
        const struct atls_integrity_register *found = find_register(b, &a->registers[i]);
        enum atls_mval_relation one =
            found == NULL
                ? ATLS_MVAL_UNRELATED
                : relate_lists(digests_of_register(&a->registers[i]), digests_of_register(found));

        if (one != ATLS_MVAL_UNRELATED)
            relation = one;
    }
    return relation;
}

static enum atls_mval_relation relate_extensions(const struct atls_mval *a,
                                                 const struct atls_mval *b)
{
    enum atls_mval_relation relation = ATLS_MVAL_UNRELATED;

    for (size_t i = 0; i < a->extension_count; i++) {
        const struct atls_mval_extension *found = find_extension(b, a->extensions[i].key);

        if (found == NULL)
            continue;
        if (!atls_bytes_equal(a->extensions[i].item, found->item) &&
            !atls_extension_holds(a->extensions[i].item, found->item) &&
            !atls_extension_holds(found->item, a->extensions[i].item))
            return ATLS_MVAL_DIFFER;
        relation = ATLS_MVAL_AGREE;
    }
    return relation;
}

static enum atls_mval_relation relate_flags(const struct atls_mval *a, const struct atls_mval *b)
{
    unsigned int both = a->flags_known & b->flags_known;

    if (both == 0)
        return ATLS_MVAL_UNRELATED;
    return ((a->flags ^ b->flags) & both) == 0 ? ATLS_MVAL_AGREE : ATLS_MVAL_DIFFER;
}

/* Member number index, which both have. */
static enum atls_mval_relation relate_member(size_t index, const struct atls_mval *a,
                                             const struct atls_mval *b)
{
    bool agree;

    switch (1u << index) {
    case ATLS_MVAL_DIGESTS:
        return relate_lists(digests_of(a), digests_of(b));
    case ATLS_MVAL_FLAGS:
        return relate_flags(a, b);
    case ATLS_MVAL_REGISTERS:
        return relate_registers(a, b);
    case ATLS_MVAL_EXTENSIONS:
        return relate_extensions(a, b);
    case ATLS_MVAL_RAW:
        agree = raws_agree(a, b);
        break;
    default:
        agree = members[index].holds != NULL &&
                (members[index].holds(a, b) || members[index].holds(b, a));
        break;
    }
    return agree ? ATLS_MVAL_AGREE : ATLS_MVAL_DIFFER;
}

enum atls_mval_relation atls_mval_relate(const struct atls_mval *a, const struct atls_mval *b)
{
    enum atls_mval_relation relation = ATLS_MVAL_UNRELATED;

    for (size_t i = 0; i < MEMBERS && relation != ATLS_MVAL_DIFFER; i++) {
        enum atls_mval_relation one = ATLS_MVAL_UNRELATED;

        if ((a->present & members[i].bits) != 0 && (b->present & members[i].bits) != 0)
            one = relate_member(i, a, b);
        if (one != ATLS_MVAL_UNRELATED)
            relation = one;
    }
    return relation;
}

static bool lists_within(struct digests a, struct digests b)
{
    size_t common, equal;

    compare_digests(a, b, &common, &equal);
    return common == a.count && equal == common;
}

static bool registers_within(const struct atls_mval *a, const struct atls_mval *b)
{
    for (size_t i = 0; i < a->register_count; i++) {
        const struct atls_integrity_register *found = find_register(b, &a->registers[i]);

        if (found == NULL ||
            !lists_within(digests_of_register(&a->registers[i]), digests_of_register(found)))
            return false;
    }
    return true;
}

static bool extensions_within(const struct atls_mval *a, const struct atls_mval *b)
{
    for (size_t i = 0; i < a->extension_count; i++) {
        const struct atls_mval_extension *found = find_extension(b, a->extensions[i].key);

        if (found == NULL || !atls_bytes_equal(a->extensions[i].item, found->item))
            return false;
    }
    return true;
}

static bool same_range(const struct atls_mval *a, const struct atls_mval *b)
{
    return range_holds(a, b) && range_holds(b, a);
}

static bool same_raw(const struct atls_mval *a, const struct atls_mval *b)
{
    return atls_bytes_equal(a->raw, b->raw) && (a->mask.ptr == NULL) == (b->mask.ptr == NULL) &&
           atls_bytes_equal(a->mask, b->mask);
}

bool atls_mval_within(const struct atls_mval *a, const struct atls_mval *b)
{
    static const unsigned int plain = ATLS_MVAL_VERSION | ATLS_MVAL_FLAGS | ATLS_MVAL_NAME |
                                      ATLS_MVAL_MAC | ATLS_MVAL_IP | ATLS_MVAL_SERIAL |
                                      ATLS_MVAL_UEID | ATLS_MVAL_UUID | ATLS_MVAL_KEYS;
    static const unsigned int svns = ATLS_MVAL_SVN | ATLS_MVAL_MIN_SVN;

    if ((a->present & ~b->present) != 0 || (a->present & ATLS_MVAL_OTHER) != 0)
        return false;
    for (size_t i = 0; i < MEMBERS; i++)
        if ((a->present & plain & 1u << i) != 0 && !members[i].holds(a, b))
            return false;
    return ((a->present & svns) == 0 || a->svn == b->svn) &&
           ((a->present & ATLS_MVAL_RAW) == 0 || same_raw(a, b)) &&
           ((a->present & ATLS_MVAL_INT_RANGE) == 0 || same_range(a, b)) &&
           ((a->present & ATLS_MVAL_DIGESTS) == 0 || lists_within(digests_of(a), digests_of(b))) &&
           ((a->present & ATLS_MVAL_REGISTERS) == 0 || registers_within(a, b)) &&
           ((a->present & ATLS_MVAL_EXTENSIONS) == 0 || extensions_within(a, b));
}
