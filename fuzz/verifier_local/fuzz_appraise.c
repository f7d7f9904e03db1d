/* The triples of a CoMID at work: its first reference record is the evidence, all of it is what the
 * store knows. What endorsers add is bounded, shown, and changes no judgement. */
#include <stdlib.h>
#include <string.h>

#include "verifier/local/appraise.h"
#include "verifier/local/endorsed.h"
#include "verifier/local/match.h"
#include "wire/corim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* More triples of a kind, and pairs of values, are not looked at. */
#define MAX 64

static void must(bool condition)
{
    if (!condition)
        abort();
}

struct known {
    struct atls_reference references[MAX];
    struct atls_endorsement endorsements[3 * MAX];
    struct atls_known_values values;
};

/* Every other manifest is unsigned. */
static struct atls_bytes authority_of(size_t index)
{
    return index % 2 == 0 ? atls_bytes_of("maker", 5) : atls_bytes_of(NULL, 0);
}

static void add(struct known *k, enum atls_comid_triple kind, const void *triple)
{
    struct atls_endorsement *e = &k->endorsements[k->values.endorsement_count];

    *e = (struct atls_endorsement){
        .manifest = "fuzz", .authority = authority_of(k->values.endorsement_count++), .kind = kind};
    if (kind == ATLS_TRIPLE_ENDORSED)
        e->endorsed = triple;
    else if (kind == ATLS_TRIPLE_CONDITIONAL)
        e->conditional = triple;
    else
        e->series = triple;
}

static void know(const struct atls_comid *comid, struct known *k)
{
    memset(k, 0, sizeof *k);
    for (size_t i = 0; i < comid->reference_count && i < MAX; i++) {
        const struct atls_corim_reference *r = &comid->references[i];

        k->references[i] = (struct atls_reference){"fuzz", r->environment, r->measurements,
                                                   r->count, authority_of(i)};
        k->values.reference_count++;
    }
    for (size_t i = 0; i < comid->endorsed_count && i < MAX; i++)
        add(k, ATLS_TRIPLE_ENDORSED, &comid->endorsed[i]);
    for (size_t i = 0; i < comid->conditional_count && i < MAX; i++)
        add(k, ATLS_TRIPLE_CONDITIONAL, &comid->conditionals[i]);
    for (size_t i = 0; i < comid->series_count && i < MAX; i++)
        add(k, ATLS_TRIPLE_CONDITIONAL_SERIES, &comid->series[i]);
    k->values.references = k->references;
    k->values.endorsements = k->endorsements;
}

static struct atls_claims make_claims(const struct atls_corim_reference *r)
{
    struct atls_claims claims;

    memset(&claims, 0, sizeof claims);
    claims.arena = atls_arena_init(1024);
    claims.technology = "soft";
    claims.submod = "SOFT";
    claims.key_trust = ATLS_KEY_TRUST_ENROLLED;
    claims.environment = r->environment;
    claims.measurements = r->measurements;
    claims.measurement_count = r->count;
    claims.key_spki = atls_bytes_of("spki", 4);
    claims.signer_spki = atls_bytes_of("maker", 5);
    return claims;
}

static void compare_pairs(const struct atls_corim_reference *r)
{
    for (size_t i = 0; i < r->count && i < MAX; i++) {
        for (size_t k = 0; k < r->count && k < MAX; k++) {
            const struct atls_mval *a = &r->measurements[i].mval, *b = &r->measurements[k].mval;
            enum atls_mval_relation relation = atls_mval_relate(a, b);

            must(relation == atls_mval_relate(b, a));
            if (atls_mval_holds(a, b))
                must(relation == ATLS_MVAL_AGREE);
            if (relation == ATLS_MVAL_DIFFER)
                must(!atls_mval_within(a, b));
        }
    }
}

/* A result of it is made and shown. */
static void show(struct atls_claims *claims, const struct atls_outcome *outcome)
{
    static const uint8_t binder[32] = {1};
    struct atls_result *result = NULL;

    must(atls_result_new(claims, outcome, atls_bytes_of(binder, sizeof binder), 1700000000, &result,
                         NULL) == ATLS_OK);
    (void)atls_result_json(result); /* NULL when it is too long */
    atls_result_unref(result);
}

static void appraise(const struct atls_comid *comid)
{
    static struct known known;
    struct atls_claims claims = make_claims(&comid->references[0]), alone = claims;
    struct atls_known_values references;
    struct atls_outcome with, without;
    enum atls_code code;

    know(comid, &known);
    references = known.values;
    references.endorsement_count = 0;
    must(atls_appraise(&alone, &references, &without, NULL) == ATLS_OK);
    must(without.endorsed_count == 0 && without.conflict_count == 0);
    code = atls_appraise(&claims, &known.values, &with, NULL);
    must(code == ATLS_OK || code == ATLS_E_LIMIT);
    if (code == ATLS_OK) {
        must(memcmp(with.trust, without.trust, sizeof with.trust) == 0);
        must(with.status == without.status && with.problem_count == without.problem_count);
        must(with.endorsed_count <= ATLS_ENDORSED_MAX);
        show(&claims, &with);
    }
    atls_arena_clear(&claims.arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_arena arena = atls_arena_init(1 << 24);
    struct atls_bytes in = atls_bytes_of(data, size);
    struct atls_comid comid;

    if (atls_comid_decode(in, &arena, &comid, NULL) == ATLS_OK && comid.reference_count != 0) {
        compare_pairs(&comid.references[0]);
        appraise(&comid);
    }
    atls_arena_clear(&arena);
    return 0;
}
