/* What appraisal costs once the evidence is verified: reference values, endorsements, and many of
 * them; beside one signature check, of which a verification makes two. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "crypto/crypto.h"
#include "verifier/local/appraise.h"

#define PCRS       24
#define RECORDS    10000 /* of one PCR each, or of one component each */
#define COMPONENTS 64    /* of the evidence, by name */

static const uint8_t class_id[] = {0xd8, 0x25, 0x50, 0x31, 0xfb, 0x5a, 0xbf, 0x02, 0x3e, 0x49,
                                   0x92, 0xaa, 0x4e, 0x95, 0xf9, 0xc1, 0x50, 0x3b, 0xfa};

_Noreturn static void die(const char *what)
{
    fprintf(stderr, "bench: %s failed\n", what);
    exit(2);
}

/* Measurements with one SHA-256 digest each; number n has the bytes of n as its digest. */
struct list {
    struct atls_measurement *items;
    struct atls_digest *digests;
    uint8_t (*values)[32];
    char (*names)[16];
};

static struct list make_list(size_t count)
{
    struct list l = {calloc(count, sizeof *l.items), calloc(count, sizeof *l.digests),
                     calloc(count, sizeof *l.values), calloc(count, sizeof *l.names)};

    if (l.items == NULL || l.digests == NULL || l.values == NULL || l.names == NULL)
        die("calloc");
    for (size_t i = 0; i < count; i++) {
        memcpy(l.values[i], &i, sizeof i);
        l.digests[i] = (struct atls_digest){ATLS_HASH_SHA256, 1, {l.values[i], 32}};
        l.items[i].mkey = (struct atls_mkey){ATLS_MKEY_UINT, i % PCRS, {NULL, 0}};
        l.items[i].mval.present = ATLS_MVAL_DIGESTS;
        l.items[i].mval.digests = &l.digests[i];
        l.items[i].mval.digest_count = 1;
    }
    return l;
}

static void name_items(struct list *l, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int len = snprintf(l->names[i], sizeof l->names[i], "component-%05zu", i % 100000);

        l->items[i].mkey.kind = ATLS_MKEY_TEXT;
        l->items[i].mkey.bytes = atls_bytes_of(l->names[i], (size_t)len);
    }
}

static void free_list(struct list *l)
{
    free(l->items);
    free(l->digests);
    free(l->values);
    free(l->names);
}

/* One appraisal, over and over. */
struct work {
    struct atls_claims claims;
    struct atls_known_values known;
    enum atls_tier want;
};

static void run_appraise(void *arg, unsigned long count)
{
    struct work *w = arg;

    while (count-- > 0) {
        struct atls_outcome outcome;

        w->claims.arena = atls_arena_init(0);
        if (atls_appraise(&w->claims, &w->known, &outcome, NULL) != ATLS_OK ||
            outcome.status != w->want)
            die("appraisal");
        atls_arena_clear(&w->claims.arena);
    }
}

static struct work make_work(struct list *evidence, size_t count,
                             const struct atls_reference *references, size_t reference_count)
{
    struct work w;

    memset(&w, 0, sizeof w);
    w.claims.technology = "tpm";
    w.claims.submod = "TPM";
    w.claims.key_trust = ATLS_KEY_TRUST_ENROLLED;
    w.claims.environment.class_id = atls_bytes_of(class_id, sizeof class_id);
    w.claims.measurements = evidence->items;
    w.claims.measurement_count = count;
    w.known.references = references;
    w.known.reference_count = reference_count;
    w.want = ATLS_TIER_AFFIRMING;
    return w;
}

/* Each value a record of its own. */
static struct atls_reference *make_records(const struct list *l, size_t count)
{
    struct atls_reference *records = calloc(count, sizeof *records);

    if (records == NULL)
        die("calloc");
    for (size_t i = 0; i < count; i++) {
        records[i].manifest = "bench";
        records[i].environment.class_id = atls_bytes_of(class_id, sizeof class_id);
        records[i].measurements = &l->items[i];
        records[i].count = 1;
    }
    return records;
}

/* A flag for everything of the class, and one that depends on a PCR. */
static void endorse(struct work *w, struct list *evidence)
{
    static struct atls_measurement claim;
    static struct atls_corim_endorsed endorsed;
    static struct atls_corim_ect condition, addition;
    static struct atls_corim_conditional conditional;
    static struct atls_endorsement items[2];

    claim.mval.present = ATLS_MVAL_FLAGS;
    claim.mval.flags_known = claim.mval.flags = 2;
    addition.environment = w->claims.environment;
    addition.measurements = &claim;
    addition.count = 1;
    endorsed.ect = addition;
    condition.environment = w->claims.environment;
    condition.measurements = evidence->items;
    condition.count = 8;
    conditional.conditions = &condition;
    conditional.additions = &addition;
    conditional.condition_count = conditional.addition_count = 1;
    items[0] = (struct atls_endorsement){
        .manifest = "bench", .kind = ATLS_TRIPLE_ENDORSED, .endorsed = &endorsed};
    items[1] = (struct atls_endorsement){
        .manifest = "bench", .kind = ATLS_TRIPLE_CONDITIONAL, .conditional = &conditional};
    w->known.endorsements = items;
    w->known.endorsement_count = 2;
}

struct signature {
    struct atls_private_key *key;
    struct atls_buf value;
};

static const uint8_t message[64];

static void run_verify(void *arg, unsigned long count)
{
    const struct signature *s = arg;
    struct atls_bytes part = {message, sizeof message};

    while (count-- > 0)
        if (atls_key_verify(atls_private_key_public(s->key), ATLS_ECDSA_P256_SHA256, &part, 1,
                            atls_buf_bytes(&s->value), NULL) != ATLS_OK)
            die("verify");
}

static struct signature sign(void)
{
    struct signature s = {NULL, ATLS_BUF_INIT};

    if (atls_private_key_generate(ATLS_KEY_P256, &s.key, NULL) != ATLS_OK ||
        atls_private_key_sign(s.key, ATLS_ECDSA_P256_SHA256, atls_bytes_of(message, sizeof message),
                              &s.value, NULL) != ATLS_OK)
        die("sign");
    return s;
}

int main(void)
{
    struct list few = make_list(PCRS), many = make_list(RECORDS), named = make_list(RECORDS);
    struct atls_reference *few_records = make_records(&few, PCRS),
                          *many_records = make_records(&many, RECORDS),
                          *named_records = make_records(&named, RECORDS);
    struct work plain = make_work(&few, PCRS, few_records, PCRS), endorsed = plain,
                pcrs = make_work(&few, PCRS, many_records, RECORDS),
                components = make_work(&named, COMPONENTS, named_records, RECORDS);
    struct signature signature = sign();
    struct bench benches[] = {
        {"24 PCRs, 24 references", run_appraise, &plain, 0, 0},
        {"likewise, two endorsements", run_appraise, &endorsed, 0, 0},
        {"24 PCRs, 10000 references", run_appraise, &pcrs, 0, 0},
        {"64 names, 10000 references", run_appraise, &components, 0, 0},
        {"ECDSA P-256 verification", run_verify, &signature, 0, 0},
    };
    enum { COUNT = sizeof benches / sizeof benches[0] };

    endorse(&endorsed, &few);
    name_items(&named, RECORDS);
    components.want = ATLS_TIER_WARNING; /* of the names, most are not in the evidence */
    bench_run(benches, COUNT, 15, 100);
    printf("appraisal of verified claims\n");
    for (size_t i = 0; i < COUNT; i++)
        printf("  %-28s %9.2f us median (%.2f best), %.4f of a signature check\n", benches[i].name,
               benches[i].median_ns / 1e3, benches[i].best_ns / 1e3,
               benches[i].median_ns / benches[COUNT - 1].median_ns);
    free(few_records);
    free(many_records);
    free(named_records);
    free_list(&few);
    free_list(&many);
    free_list(&named);
    atls_private_key_free(signature.key);
    atls_buf_clear(&signature.value);
    return 0;
}
