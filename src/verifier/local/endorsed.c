#include "verifier/local/endorsed.h"

#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "crypto/crypto.h"

/* Beside their content: the claims and conflicts themselves. */
#define OVERHEAD                                                                                   \
    (ATLS_ENDORSED_MAX * sizeof(struct atls_endorsed_claim) +                                      \
     ATLS_CONFLICTS_MAX * sizeof(struct atls_endorsement_conflict) + 64)
/* What an arena rounds to, or more. */
#define ROUNDING ((size_t)32)

/* What is left to copy, the first failure, and what was copied. */
struct copier {
    struct atls_arena *arena;
    size_t left;
    enum atls_code failed;
    struct atls_endorsed_claim *claims;
    size_t count;
};

/* Takes len bytes off what is left, as the arena counts them. */
static bool take(struct copier *c, size_t len)
{
    size_t rounded = len / ROUNDING * ROUNDING + ROUNDING;

    if (c->failed == ATLS_OK && (len > c->left || rounded > c->left))
        c->failed = ATLS_E_LIMIT;
    if (c->failed != ATLS_OK)
        return false;
    c->left -= rounded;
    return true;
}

/* count elements of size bytes, which are in memory; NULL after a failure, and for none. */
static void *copy_array(struct copier *c, const void *from, size_t count, size_t size)
{
    void *to;

    if (count == 0 || !take(c, count * size))
        return NULL;
    if ((to = atls_arena_alloc(c->arena, count, size)) == NULL)
        c->failed = ATLS_E_NOMEM;
    else
        memcpy(to, from, count * size);
    return to;
}

static void copy_bytes(struct copier *c, struct atls_bytes *bytes)
{
    if (bytes->ptr == NULL || !take(c, bytes->len))
        return;
    if (!atls_arena_copy(c->arena, *bytes, bytes))
        c->failed = ATLS_E_NOMEM;
}

static const char *copy_text(struct copier *c, const char *text)
{
    const char *copy = copy_array(c, text, strlen(text) + 1, 1);

    return copy == NULL ? "" : copy;
}

static struct atls_digest *copy_digests(struct copier *c, const struct atls_digest *from,
                                        size_t count)
{
    struct atls_digest *to = copy_array(c, from, count, sizeof *to);

    for (size_t i = 0; i < count && to != NULL; i++)
        copy_bytes(c, &to[i].value);
    return to;
}

static void copy_registers(struct copier *c, struct atls_mval *v)
{
    v->registers = copy_array(c, v->registers, v->register_count, sizeof *v->registers);
    for (size_t i = 0; i < v->register_count && c->failed == ATLS_OK; i++) {
        struct atls_integrity_register *r = &v->registers[i];

        copy_bytes(c, &r->name);
        r->digests = copy_digests(c, r->digests, r->digest_count);
    }
}

static void copy_mval(struct copier *c, struct atls_mval *v)
{
    struct atls_bytes *const plain[] = {
        &v->version, &v->version_scheme, &v->raw,  &v->mask, &v->mac,
        &v->ip,      &v->serial,         &v->ueid, &v->uuid, &v->name,
    };

    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        copy_bytes(c, plain[i]);
    v->digests = copy_digests(c, v->digests, v->digest_count);
    copy_registers(c, v);
    v->keys = copy_array(c, v->keys, v->key_count, sizeof *v->keys);
    for (size_t i = 0; i < v->key_count && c->failed == ATLS_OK; i++)
        copy_bytes(c, &v->keys[i].content);
    v->extensions = copy_array(c, v->extensions, v->extension_count, sizeof *v->extensions);
    for (size_t i = 0; i < v->extension_count && c->failed == ATLS_OK; i++)
        copy_bytes(c, &v->extensions[i].item);
}

static void copy_environment(struct copier *c, struct atls_environment *e)
{
    copy_bytes(c, &e->class_id);
    copy_bytes(c, &e->vendor);
    copy_bytes(c, &e->model);
    copy_bytes(c, &e->instance);
    copy_bytes(c, &e->group);
}

static enum atls_code copy_authority(struct copier *c, const struct atls_authority *authority,
                                     struct atls_bytes *out, struct atls_err *err)
{
    uint8_t digest[ATLS_HASH_MAX];
    enum atls_code code;

    if (authority->spki.len == 0)
        return ATLS_OK;
    if ((code = atls_hash_one(ATLS_HASH_SHA256, authority->spki, digest, err)) != ATLS_OK)
        return code;
    *out = atls_bytes_of(digest, atls_hash_len(ATLS_HASH_SHA256));
    copy_bytes(c, out);
    return ATLS_OK;
}

/* All elements of one entry; they share its authority and environment. */
static enum atls_code copy_entry(struct copier *c, const struct atls_accepted_claims *acs,
                                 const struct atls_accepted_entry *entry, struct atls_err *err)
{
    struct atls_bytes authority = {NULL, 0};
    struct atls_environment environment = *entry->environment;
    enum atls_code code = copy_authority(c, &entry->authority, &authority, err);

    copy_environment(c, &environment);
    for (size_t i = entry->first; i != 0 && code == ATLS_OK; i = acs->elements[i - 1].next) {
        struct atls_endorsed_claim *claim = &c->claims[c->count++];

        claim->manifest = copy_text(c, acs->elements[i - 1].manifest);
        claim->authority = authority;
        claim->environment = environment;
        claim->measurement = *acs->elements[i - 1].measurement;
        claim->measurement.authorized_by = NULL; /* it was heeded, and is not the claim's */
        claim->measurement.authorized_by_count = 0;
        copy_bytes(c, &claim->measurement.mkey.bytes);
        copy_mval(c, &claim->measurement.mval);
    }
    return code;
}

static size_t count_endorsed(const struct atls_accepted_claims *acs)
{
    size_t count = 0;

    for (size_t i = 0; i < acs->entry_count; i++)
        if (acs->entries[i].kind == ATLS_ACCEPTED_ENDORSEMENT)
            for (size_t k = acs->entries[i].first; k != 0; k = acs->elements[k - 1].next)
                count++;
    return count;
}

static void copy_conflicts(struct copier *c, const struct atls_accepted_claims *acs,
                           struct atls_outcome *outcome)
{
    struct atls_endorsement_conflict *to;
    size_t named =
        acs->conflict_count < ATLS_CONFLICTS_MAX ? acs->conflict_count : ATLS_CONFLICTS_MAX;

    if (named == 0 || c->failed != ATLS_OK)
        return;
    if ((to = atls_arena_alloc(c->arena, named, sizeof *to)) == NULL) {
        c->failed = ATLS_E_NOMEM;
        return;
    }
    for (size_t i = 0; i < named; i++) {
        to[i].manifest = copy_text(c, acs->conflicts[i].manifest);
        to[i].mkey = *acs->conflicts[i].mkey;
        copy_bytes(c, &to[i].mkey.bytes);
    }
    outcome->conflicts = to;
    outcome->conflicts_named = named;
    outcome->conflict_count = acs->conflict_count;
}

static enum atls_code finish(const struct copier *c, struct atls_err *err)
{
    if (c->failed == ATLS_E_LIMIT)
        return atls_fail(err, ATLS_E_LIMIT, "appraisal: endorsed claims of more than %d bytes",
                         (int)ATLS_ENDORSED_BYTES_MAX);
    if (c->failed != ATLS_OK)
        return atls_fail(err, c->failed, "appraisal: out of memory");
    return ATLS_OK;
}

enum atls_code atls_endorsed_keep(const struct atls_accepted_claims *acs, struct atls_arena *arena,
                                  struct atls_outcome *outcome, struct atls_err *err)
{
    struct copier c = {arena, ATLS_ENDORSED_BYTES_MAX, ATLS_OK, NULL, 0};
    size_t count = count_endorsed(acs);
    enum atls_code code = ATLS_OK;

    if (count > ATLS_ENDORSED_MAX)
        return atls_fail(err, ATLS_E_LIMIT,
                         "appraisal: %zu endorsed claims, a result shows at most %d", count,
                         ATLS_ENDORSED_MAX);
    if (count == 0 && acs->conflict_count == 0)
        return ATLS_OK;
    arena->limit += ATLS_ENDORSED_BYTES_MAX + OVERHEAD;
    if ((c.claims = atls_arena_alloc(arena, count, sizeof *c.claims)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "appraisal: out of memory");
    for (size_t i = 0; i < acs->entry_count && code == ATLS_OK; i++)
        if (acs->entries[i].kind == ATLS_ACCEPTED_ENDORSEMENT)
            code = copy_entry(&c, acs, &acs->entries[i], err);
    if (code != ATLS_OK)
        return code;
    copy_conflicts(&c, acs, outcome);
    if ((code = finish(&c, err)) != ATLS_OK)
        return code;
    outcome->endorsed = c.claims;
    outcome->endorsed_count = c.count;
    return ATLS_OK;
}
