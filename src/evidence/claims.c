#include "evidence/claims.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "wire/cbor.h"

#define CLAIMS_MAX    (256 * 1024)
#define UEID_ITEM_MAX 64

void atls_attest_key_clear(struct atls_attest_key *key)
{
    if (key == NULL)
        return;
    atls_buf_clear(&key->spki);
    atls_buf_clear(&key->public_area);
    atls_buf_clear(&key->class_id);
    atls_buf_clear(&key->vendor);
    atls_buf_clear(&key->model);
}

void atls_claims_start(struct atls_claims *claims, const struct atls_technology *technology)
{
    claims->arena = atls_arena_init(CLAIMS_MAX);
    claims->technology = technology->name;
    claims->submod = technology->submod;
    claims->insecure = technology->insecure;
}

struct atls_claims atls_claims_init(const struct atls_technology *technology)
{
    struct atls_claims claims = {0};

    atls_claims_start(&claims, technology);
    return claims;
}

void atls_claims_clear(struct atls_claims *claims)
{
    static const struct atls_claims empty;

    struct atls_claims *next;

    if (claims == NULL)
        return;
    next = claims->next;
    atls_arena_clear(&claims->arena);
    *claims = empty;
    while (next != NULL) {
        struct atls_claims *gone = next;

        next = gone->next;
        atls_arena_clear(&gone->arena);
        free(gone);
    }
}

bool atls_claims_add(struct atls_claims *claims, struct atls_detail detail)
{
    if (claims->detail_count >= ATLS_DETAILS_MAX)
        return false;
    claims->details[claims->detail_count++] = detail;
    return true;
}

bool atls_claims_add_uint(struct atls_claims *claims, const char *name, uint64_t number)
{
    const struct atls_detail detail = {.name = name, .type = ATLS_DETAIL_UINT, .number = number};

    return atls_claims_add(claims, detail);
}

bool atls_claims_add_bool(struct atls_claims *claims, const char *name, bool yes)
{
    const struct atls_detail detail = {.name = name, .type = ATLS_DETAIL_BOOL, .number = yes};

    return atls_claims_add(claims, detail);
}

static bool add_copy(struct atls_claims *claims, struct atls_detail detail, struct atls_bytes bytes)
{
    return bytes.ptr == NULL || (atls_arena_copy(&claims->arena, bytes, &detail.bytes) &&
                                 atls_claims_add(claims, detail));
}

bool atls_claims_add_bytes(struct atls_claims *claims, const char *name, struct atls_bytes bytes)
{
    const struct atls_detail detail = {.name = name, .type = ATLS_DETAIL_BYTES};

    return add_copy(claims, detail, bytes);
}

bool atls_claims_add_text(struct atls_claims *claims, const char *name, struct atls_bytes text)
{
    const struct atls_detail detail = {.name = name, .type = ATLS_DETAIL_TEXT};

    return add_copy(claims, detail, text);
}

bool atls_claims_add_string(struct atls_claims *claims, const char *name, const char *text)
{
    return atls_claims_add_text(claims, name, atls_bytes_of(text, strlen(text)));
}

/* A copy, or absent when there is nothing to copy. */
static bool copy_optional(struct atls_arena *arena, const struct atls_buf *from,
                          struct atls_bytes *out)
{
    return from->len == 0 || atls_arena_copy(arena, atls_buf_bytes(from), out);
}

static bool copy_tagged_ueid(struct atls_arena *arena, struct atls_bytes ueid,
                             struct atls_bytes *out)
{
    struct atls_writer w = atls_writer_init(UEID_ITEM_MAX);
    bool ok;

    atls_cbor_put_tag(&w, ATLS_TAG_UEID);
    atls_cbor_put_bytes(&w, ueid);
    ok = w.failed == ATLS_OK && atls_arena_copy(arena, atls_writer_bytes(&w), out);
    atls_writer_clear(&w);
    return ok;
}

enum atls_code atls_claims_identify(struct atls_claims *claims, struct atls_bytes instance,
                                    const struct atls_attest_key *key, struct atls_bytes spki,
                                    struct atls_err *err)
{
    struct atls_arena *arena = &claims->arena;

    if (instance.len != 0 && (!atls_arena_copy(arena, instance, &claims->instance) ||
                              !copy_tagged_ueid(arena, instance, &claims->environment.instance)))
        return atls_fail(err, ATLS_E_NOMEM, "claims: out of memory");
    if (!copy_optional(arena, &key->class_id, &claims->environment.class_id) ||
        !copy_optional(arena, &key->vendor, &claims->environment.vendor) ||
        !copy_optional(arena, &key->model, &claims->environment.model) ||
        !atls_arena_copy(arena, spki, &claims->key_spki))
        return atls_fail(err, ATLS_E_NOMEM, "claims: out of memory");
    return ATLS_OK;
}

bool atls_claims_add_digest(struct atls_claims *claims, struct atls_measurement *m,
                            enum atls_hash hash, struct atls_bytes value)
{
    const struct atls_named_hash *named = atls_named_hash_of(hash);
    struct atls_digest *digest = &m->mval.digests[m->mval.digest_count];

    if (named == NULL || !atls_arena_copy(&claims->arena, value, &digest->value))
        return false;
    digest->hash = hash;
    digest->named_information = named->number;
    m->mval.present |= ATLS_MVAL_DIGESTS;
    m->mval.digest_count++;
    return true;
}

enum atls_code atls_evidence_attest_key(const struct atls_evidence_request *request,
                                        struct atls_bytes instance, struct atls_attest_key *out,
                                        struct atls_err *err)
{
    const struct atls_endorsement_source *source = request->source;
    struct atls_attest_key key = {0};
    enum atls_code code;

    if (source == NULL || source->attest_key == NULL)
        return atls_fail(err, ATLS_E_NOT_FOUND, "no source of attestation keys");
    if ((code = source->attest_key(source->arg, instance, &key, err)) != ATLS_OK) {
        atls_attest_key_clear(&key);
        return code;
    }
    *out = key;
    return ATLS_OK;
}

enum atls_code atls_attest_key_check(const struct atls_attest_key *key,
                                     const struct atls_technology *technology,
                                     enum atls_reason reason, struct atls_err *err)
{
    if (key->technology == NULL)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, reason,
                                "the attestation key is enrolled for no technology, want \"%s\"",
                                technology->name);
    if (strcmp(key->technology, technology->name) != 0)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, reason,
                                "the attestation key is enrolled for \"%s\", want \"%s\"",
                                key->technology, technology->name);
    return ATLS_OK;
}

const struct atls_evidence_options *
atls_evidence_options_of(const struct atls_evidence_request *request)
{
    static const struct atls_evidence_options strict;

    return request->options != NULL ? request->options : &strict;
}
