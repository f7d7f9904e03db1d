/* Policies of docs/policies for confidential computing, over results with the claims that each
 * technology makes: as they are, and with a list filled in as an operator would. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "policy/jq.h"
#include "verifier/result.h"

#define SOURCES ATLS_TEST_VECTORS "/../../"
/* Bytes of one kind, all alike. */
#define CHIP        0xc1
#define HOST_DATA   0x0d
#define MEASUREMENT 0xa5
#define PLATFORM    0x91
#define INSTANCE    0x01
#define MAKE        0x3a

/* A machine: its claims, and what appraisal found of each part. */
struct machine {
    struct atls_claims claims;
    struct atls_outcome outcomes[2];
};

static struct atls_bytes bytes_of(struct atls_claims *claims, uint8_t byte, size_t len)
{
    uint8_t *bytes = atls_arena_alloc(&claims->arena, len, 1);

    assert_non_null(bytes);
    memset(bytes, byte, len);
    return atls_bytes_of(bytes, len);
}

static void add_bytes(struct atls_claims *claims, const char *name, uint8_t byte, size_t len)
{
    const struct atls_detail d = {name, ATLS_DETAIL_BYTES, 0, bytes_of(claims, byte, len)};

    assert_true(atls_claims_add(claims, d));
}

static void add_text(struct atls_claims *claims, const char *name, const char *text)
{
    const struct atls_detail d = {name, ATLS_DETAIL_TEXT, 0, atls_bytes_of(text, strlen(text))};

    assert_true(atls_claims_add(claims, d));
}

static void add_number(struct atls_claims *claims, const char *name, enum atls_detail_type type,
                       uint64_t number)
{
    assert_true(atls_claims_add(claims, (struct atls_detail){name, type, number, {NULL, 0}}));
}

/* Every policy here looks at digests of SHA-384. */
static void add_digest(struct atls_claims *claims, struct atls_mkey key, uint8_t byte)
{
    struct atls_measurement *m = &claims->measurements[claims->measurement_count++];

    memset(m, 0, sizeof *m);
    m->mkey = key;
    m->mval.present = ATLS_MVAL_DIGESTS;
    assert_non_null(m->mval.digests = atls_arena_alloc(&claims->arena, 1, sizeof *m->mval.digests));
    m->mval.digests[0] = (struct atls_digest){ATLS_HASH_SHA384, 7, bytes_of(claims, byte, 48)};
    m->mval.digest_count = 1;
}

static struct atls_mkey named(const char *name)
{
    return (struct atls_mkey){ATLS_MKEY_TEXT, 0, atls_bytes_of(name, strlen(name))};
}

static void start(struct atls_claims *claims, const char *technology, const char *submod)
{
    memset(claims, 0, sizeof *claims);
    claims->arena = atls_arena_init(65536);
    claims->technology = technology;
    claims->submod = submod;
    claims->key_spki = atls_bytes_of("spki", 4);
    claims->measurements = atls_arena_alloc(&claims->arena, 16, sizeof *claims->measurements);
    assert_non_null(claims->measurements);
}

static void approve(struct atls_outcome *o, int8_t instance, int8_t hardware)
{
    memset(o, 0, sizeof *o);
    o->policy_id = "policy:test";
    o->status = ATLS_TIER_AFFIRMING;
    o->trust[ATLS_TRUST_EXECUTABLES] = 3;
    o->trust[ATLS_TRUST_INSTANCE_IDENTITY] = instance;
    o->trust[ATLS_TRUST_HARDWARE] = hardware;
}

static void make_snp(struct machine *m)
{
    start(&m->claims, "snp", "SNP");
    add_digest(&m->claims, (struct atls_mkey){ATLS_MKEY_UINT, 641, {NULL, 0}}, MEASUREMENT);
    add_bytes(&m->claims, "chip-id", CHIP, 64);
    add_bytes(&m->claims, "host-data", HOST_DATA, 32);
    add_text(&m->claims, "product-line", "genoa");
    add_number(&m->claims, "vmpl", ATLS_DETAIL_UINT, 0);
    add_number(&m->claims, "debug", ATLS_DETAIL_BOOL, 0);
    approve(&m->outcomes[0], 0, 2);
}

static void make_tdx(struct machine *m)
{
    start(&m->claims, "tdx", "TDX");
    add_digest(&m->claims, named("mrtd"), MEASUREMENT);
    add_digest(&m->claims, named("mrconfigid"), HOST_DATA);
    add_text(&m->claims, "tcb-status", "UpToDate");
    add_bytes(&m->claims, "ppid", CHIP, 16);
    add_bytes(&m->claims, "platform-instance-id", PLATFORM, 16);
    add_number(&m->claims, "debug", ATLS_DETAIL_BOOL, 0);
    approve(&m->outcomes[0], 0, 2);
}

static void make_cca(struct machine *m)
{
    struct atls_claims *realm = calloc(1, sizeof *realm);

    assert_non_null(realm);
    start(&m->claims, "cca", "CCA_SSD_PLATFORM");
    add_bytes(&m->claims, "implementation-id", MAKE, 32);
    add_bytes(&m->claims, "instance-id", INSTANCE, 33);
    add_text(&m->claims, "lifecycle", "secured");
    start(realm, "cca", "CCA_REALM");
    add_bytes(realm, "initial-measurement", MEASUREMENT, 32);
    add_bytes(realm, "personalization-value", HOST_DATA, 64);
    m->claims.next = realm;
    approve(&m->outcomes[0], 2, 2);
    approve(&m->outcomes[1], 0, 0);
}

static void make_psa(struct machine *m)
{
    start(&m->claims, "psa", "PSA_IOT");
    add_bytes(&m->claims, "implementation-id", MAKE, 32);
    add_bytes(&m->claims, "instance-id", INSTANCE, 33);
    add_text(&m->claims, "client-id", "-1");
    add_text(&m->claims, "lifecycle", "secured");
    approve(&m->outcomes[0], 2, 2);
}

/* ---- what may be otherwise ---- */

static struct atls_detail *detail(struct atls_claims *claims, const char *name)
{
    size_t i = 0;

    while (i < claims->detail_count && strcmp(claims->details[i].name, name) != 0)
        i++;
    assert_true(i < claims->detail_count);
    return &claims->details[i];
}

static void unapproved(struct machine *m)
{
    m->outcomes[0].trust[ATLS_TRUST_EXECUTABLES] = 33;
    atls_outcome_problem(&m->outcomes[0], ATLS_REASON_MEASUREMENT, "not the one");
}

static void unapproved_realm(struct machine *m)
{
    m->outcomes[1].trust[ATLS_TRUST_EXECUTABLES] = 33;
    atls_outcome_problem(&m->outcomes[1], ATLS_REASON_REALM_MEASUREMENT, "not the one");
}

static void nobodys_hardware(struct machine *m)
{
    m->outcomes[0].trust[ATLS_TRUST_HARDWARE] = 0;
}

static void unknown_instance(struct machine *m)
{
    m->outcomes[0].trust[ATLS_TRUST_INSTANCE_IDENTITY] = 0;
}

static void old_tcb(struct machine *m)
{
    m->outcomes[0].trust[ATLS_TRUST_HARDWARE] = 32;
    detail(&m->claims, "tcb-status")->bytes = atls_bytes_of("OutOfDate", 9);
}

static void debugged(struct machine *m)
{
    detail(&m->claims, "debug")->number = 1;
}

static void lower_level(struct machine *m)
{
    detail(&m->claims, "vmpl")->number = 2;
}

static void no_instance_id(struct machine *m)
{
    detail(&m->claims, "platform-instance-id")->name = "other";
}

static void no_chip_id(struct machine *m)
{
    detail(&m->claims, "chip-id")->name = "other";
}

static void debugged_lifecycle(struct machine *m)
{
    detail(&m->claims, "lifecycle")->bytes = atls_bytes_of("non-rot-debug", 13);
}

static void another_submodule(struct machine *m)
{
    m->claims.submod = "OTHER";
}

static void no_details(struct machine *m)
{
    m->claims.detail_count = 0;
}

static void no_measurements(struct machine *m)
{
    m->claims.measurement_count = 0;
}

static const struct {
    const char *name, *policy;
    void (*make)(struct machine *m);
    void (*tweak)(struct machine *m); /* NULL: nothing */
    const char *list;                 /* of the policy, that is filled in; NULL: none */
    const char *text;                 /* with this, or */
    uint8_t byte;                     /* with len of these in hexadecimal */
    size_t len;
    const char *reason; /* NULL: it accepts */
} rows[] = {
    {"as it is", "snp.jq", make_snp, NULL, NULL, NULL, 0, 0, NULL},
    {"the chip", "snp.jq", make_snp, NULL, "chips", NULL, CHIP, 64, NULL},
    {"another chip", "snp.jq", make_snp, NULL, "chips", NULL, CHIP + 1, 64, "chip is not listed"},
    {"a masked chip", "snp.jq", make_snp, no_chip_id, "chips", NULL, CHIP, 64,
     "chip is not listed"},
    {"a masked chip, any", "snp.jq", make_snp, no_chip_id, NULL, NULL, 0, 0, NULL},
    {"the measurement", "snp.jq", make_snp, NULL, "measurements", NULL, MEASUREMENT, 48, NULL},
    {"another measurement", "snp.jq", make_snp, NULL, "measurements", NULL, CHIP, 48,
     "measurement is not listed"},
    {"no measurement", "snp.jq", make_snp, no_measurements, NULL, NULL, 0, 0,
     "measurement is not listed"},
    {"the host data", "snp.jq", make_snp, NULL, "host_data", NULL, HOST_DATA, 32, NULL},
    {"other host data", "snp.jq", make_snp, NULL, "host_data", NULL, CHIP, 32,
     "host data is not listed"},
    {"the line", "snp.jq", make_snp, NULL, "lines", "genoa", 0, 0, NULL},
    {"another line", "snp.jq", make_snp, NULL, "lines", "turin", 0, 0,
     "product line is not listed"},
    {"below a paravisor", "snp.jq", make_snp, lower_level, NULL, NULL, 0, 0, "VMPL is not listed"},
    {"debugged", "snp.jq", make_snp, debugged, NULL, NULL, 0, 0, "the host may debug the guest"},
    {"nobody's hardware", "snp.jq", make_snp, nobodys_hardware, NULL, NULL, 0, 0,
     "nobody vouches for the hardware"},
    {"an unknown launch", "snp.jq", make_snp, unapproved, NULL, NULL, 0, 0,
     "SNP is warning: not the one"},
    {"another technology", "snp.jq", make_tdx, NULL, NULL, NULL, 0, 0,
     "want exactly the submodule SNP"},
    {"no details", "snp.jq", make_snp, no_details, NULL, NULL, 0, 0, "VMPL is not listed"},

    {"as it is", "tdx.jq", make_tdx, NULL, NULL, NULL, 0, 0, NULL},
    {"the platform", "tdx.jq", make_tdx, NULL, "platforms", NULL, PLATFORM, 16, NULL},
    {"another platform", "tdx.jq", make_tdx, NULL, "platforms", NULL, CHIP, 16,
     "platform is not listed"},
    {"a platform without instance id", "tdx.jq", make_tdx, no_instance_id, "platforms", NULL, CHIP,
     16, NULL},
    {"the MRTD", "tdx.jq", make_tdx, NULL, "mrtds", NULL, MEASUREMENT, 48, NULL},
    {"another MRTD", "tdx.jq", make_tdx, NULL, "mrtds", NULL, CHIP, 48, "MRTD is not listed"},
    {"the MRCONFIGID", "tdx.jq", make_tdx, NULL, "mrconfigids", NULL, HOST_DATA, 48, NULL},
    {"another MRCONFIGID", "tdx.jq", make_tdx, NULL, "mrconfigids", NULL, CHIP, 48,
     "MRCONFIGID is not listed"},
    {"an old TCB", "tdx.jq", make_tdx, old_tcb, NULL, NULL, 0, 0, "TDX is warning: "},
    {"an old TCB, warnings allowed", "tdx.jq", make_tdx, old_tcb, "ears", "warning", 0, 0,
     "status of the TCB is OutOfDate"},
    {"debugged", "tdx.jq", make_tdx, debugged, NULL, NULL, 0, 0, "the host may debug the domain"},
    {"nobody's hardware", "tdx.jq", make_tdx, nobodys_hardware, NULL, NULL, 0, 0,
     "nobody vouches for the hardware"},
    {"unknown code", "tdx.jq", make_tdx, unapproved, "ears", "warning", 0, 0,
     "what runs is not approved"},
    {"another technology", "tdx.jq", make_snp, NULL, NULL, NULL, 0, 0,
     "want exactly the submodule TDX"},
    {"no details", "tdx.jq", make_tdx, no_details, NULL, NULL, 0, 0,
     "status of the TCB is unknown"},

    {"as it is", "cca.jq", make_cca, NULL, NULL, NULL, 0, 0, NULL},
    {"the platform", "cca.jq", make_cca, NULL, "platforms", NULL, INSTANCE, 33, NULL},
    {"another platform", "cca.jq", make_cca, NULL, "platforms", NULL, CHIP, 33,
     "platform is not listed"},
    {"the realm", "cca.jq", make_cca, NULL, "realms", NULL, MEASUREMENT, 32, NULL},
    {"another realm", "cca.jq", make_cca, NULL, "realms", NULL, CHIP, 32,
     "initial measurement is not listed"},
    {"the personalization value", "cca.jq", make_cca, NULL, "personal", NULL, HOST_DATA, 64, NULL},
    {"another personalization value", "cca.jq", make_cca, NULL, "personal", NULL, CHIP, 64,
     "personalization value is not listed"},
    {"a platform in debug", "cca.jq", make_cca, debugged_lifecycle, NULL, NULL, 0, 0,
     "lifecycle is not listed"},
    {"an unknown platform", "cca.jq", make_cca, unknown_instance, NULL, NULL, 0, 0,
     "the platform is not known"},
    {"nobody's platform", "cca.jq", make_cca, nobodys_hardware, NULL, NULL, 0, 0,
     "nobody vouches for the platform"},
    {"an unknown realm", "cca.jq", make_cca, unapproved_realm, NULL, NULL, 0, 0,
     "CCA_REALM is warning: not the one"},
    {"no platform", "cca.jq", make_cca, another_submodule, NULL, NULL, 0, 0,
     "want exactly the submodules CCA_SSD_PLATFORM and CCA_REALM"},

    {"as it is", "psa.jq", make_psa, NULL, NULL, NULL, 0, 0, NULL},
    {"the device", "psa.jq", make_psa, NULL, "devices", NULL, INSTANCE, 33, NULL},
    {"another device", "psa.jq", make_psa, NULL, "devices", NULL, CHIP, 33, "device is not listed"},
    {"the make", "psa.jq", make_psa, NULL, "makes", NULL, MAKE, 32, NULL},
    {"another make", "psa.jq", make_psa, NULL, "makes", NULL, CHIP, 32,
     "implementation is not listed"},
    {"the caller", "psa.jq", make_psa, NULL, "callers", "-1", 0, 0, NULL},
    {"another caller", "psa.jq", make_psa, NULL, "callers", "1", 0, 0, "caller is not listed"},
    {"a device in debug", "psa.jq", make_psa, debugged_lifecycle, NULL, NULL, 0, 0,
     "lifecycle is not listed"},
    {"an unknown device", "psa.jq", make_psa, unknown_instance, NULL, NULL, 0, 0,
     "the device is not known"},
    {"unknown software", "psa.jq", make_psa, unapproved, NULL, NULL, 0, 0,
     "PSA_IOT is warning: not the one"},
    {"another technology", "psa.jq", make_snp, NULL, NULL, NULL, 0, 0,
     "want exactly the submodule PSA_IOT"},
};

static char *read_text(const char *folder, const char *name)
{
    char path[512], *text = calloc(1, 65536);
    FILE *file;

    assert_non_null(text);
    snprintf(path, sizeof path, SOURCES "%s/%s", folder, name);
    if ((file = fopen(path, "r")) == NULL)
        fail_msg("%s cannot be read", path);
    assert_true(fread(text, 1, 65535, file) > 0);
    fclose(file);
    return text;
}

/* The policy with one list filled in, the way an operator does. */
static struct atls_policy *policy_of(size_t row)
{
    char *text = read_text("docs/policies", rows[row].policy), *at, def[64], value[160] = "";
    char *edited = calloc(1, 70000);
    struct atls_policy *p = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    assert_non_null(edited);
    if (rows[row].text != NULL)
        snprintf(value, sizeof value, "%s", rows[row].text);
    for (size_t i = 0; i < rows[row].len; i++)
        snprintf(value + 2 * i, sizeof value - 2 * i, "%02x", rows[row].byte);
    strcpy(edited, text);
    if (rows[row].list != NULL) {
        snprintf(def, sizeof def, "def %s: [", rows[row].list);
        if ((at = strstr(text, def)) == NULL || strchr(at, ']') == NULL)
            fail_msg("%s has no list %s", rows[row].policy, rows[row].list);
        snprintf(edited, 70000, "%.*s%s\"%s\"%s", (int)(at - text), text, def, value,
                 strchr(at, ']'));
    }
    test_assert_code(
        atls_policy_compile(rows[row].policy, atls_bytes_of(edited, strlen(edited)), &p, &err),
        ATLS_OK, &err);
    free(edited);
    free(text);
    return p;
}

static struct atls_result *result_of(size_t row)
{
    static const uint8_t binder[32];
    static struct machine m;
    struct atls_result *r = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    memset(&m, 0, sizeof m);
    rows[row].make(&m);
    if (rows[row].tweak != NULL)
        rows[row].tweak(&m);
    test_assert_code(
        atls_result_new(&m.claims, m.outcomes, atls_bytes_of(binder, 32), 1700000000, &r, &err),
        ATLS_OK, &err);
    return r;
}

static bool has_reason(const struct atls_decision *d, const char *reason)
{
    for (size_t i = 0; i < d->reason_count; i++)
        if (strncmp(d->reasons[i], reason, strlen(reason)) == 0)
            return true;
    return false;
}

static void policies_of_confidential_computing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_policy *p = policy_of(i);
        struct atls_result *r = result_of(i);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_decision d;

        test_assert_code(atls_policy_decide(p, r, &d, &err), ATLS_OK, &err);
        if (d.accept != (rows[i].reason == NULL) ||
            (rows[i].reason != NULL && !has_reason(&d, rows[i].reason)))
            fail_msg("%s, %s: %s", rows[i].policy, rows[i].name,
                     d.reason_count > 0 ? d.reasons[0] : "no reason");
        atls_result_unref(r);
        atls_policy_unref(p);
    }
}

/* Names of details are those of the sources that make them. */
static void details_are_those_of_the_technologies(void **state)
{
    static const struct {
        const char *source, *common; /* what other technologies have as well; or NULL */
        void (*make)(struct machine *m);
    } sources[] = {
        {"snp_claims.c", NULL, make_snp},
        {"tdx_claims.c", "dcap_claims.c", make_tdx},
        {"cca.c", NULL, make_cca},
        {"psa.c", NULL, make_psa},
    };

    (void)state;
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        char *text = read_text("src/evidence", sources[i].source), quoted[64];
        char *common =
            sources[i].common != NULL ? read_text("src/evidence", sources[i].common) : NULL;
        static struct machine m;

        memset(&m, 0, sizeof m);
        sources[i].make(&m);
        for (struct atls_claims *c = &m.claims; c != NULL; c = c->next)
            for (size_t k = 0; k < c->detail_count; k++) {
                if (strcmp(c->details[k].name, "client-id") == 0)
                    continue; /* of what the tokens of Arm have in common */
                snprintf(quoted, sizeof quoted, "\"%s\"", c->details[k].name);
                if (strstr(text, quoted) == NULL &&
                    (common == NULL || strstr(common, quoted) == NULL))
                    fail_msg("%s has no detail %s", sources[i].source, quoted);
            }
        atls_claims_clear(&m.claims);
        free(common);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies_of_confidential_computing),
        cmocka_unit_test(details_are_those_of_the_technologies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
