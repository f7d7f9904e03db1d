/* The demonstration with confidential machines: what a relying party imports before it trusts such
 * machines, and what its verifier then refuses. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include <atls/corim.h>
#include <atls/store.h>

#include "demo.h"
#include "demo_machine.h"
#include "io.h"

#define OPTIONS_MAX 7

/* A machine that is otherwise than it should be, before a store that is up to date. */
struct otherwise {
    struct demo_case base;
    const char *order, *undo; /* of atls-tee-sim; NULL: the machine is as it was made */
    const char *rule;         /* of the verifier, or NULL */
    bool stranger;            /* the store trusts the other machine's maker alone */
};

struct demo_tee {
    const char *name, *title;
    const char *options[LAB_DEVICES][OPTIONS_MAX]; /* of atls-tee-sim init */
    const char *profiles[3];                       /* manifests that evidence becomes */
    const char *submod, *member;                   /* of a result: where the machine is named */
    const struct otherwise *cases;
    size_t case_count;
};

/* ---- the cases ---- */

static demo_prepare otherwise;

#define SHA256_OF_ELEVENS "1111111111111111111111111111111111111111111111111111111111111111"
#define SHA256_AS_MADE    "a71500000000000000000000000051e5a71500000000000000000000000051e5"
#define SHA384_OF_ELEVENS SHA256_OF_ELEVENS "11111111111111111111111111111111"
#define SHA384_AS_MADE    SHA256_AS_MADE "a71500000000000000000000000051e5"

#define REFUSED(what, names)                                                                       \
    {                                                                                              \
        what, otherwise, DEMO_BY_CLIENT, ATLS_E_REFUSED, ATLS_REASON_POLICY, names                 \
    }
#define WRONG(what, reason) REFUSED_AS(what, ATLS_E_EVIDENCE, reason)
/* A chain of certificates that does not hold. */
#define UNTRUSTED(what, reason) REFUSED_AS(what, ATLS_E_CERTIFICATE, reason)
#define REFUSED_AS(what, code, reason)                                                             \
    {                                                                                              \
        what, otherwise, DEMO_BY_CLIENT, code, ATLS_REASON_##reason, NULL                          \
    }

static const struct otherwise snp_cases[] = {
    {REFUSED("another guest was launched (measurement)", "no reference value"),
     "measurement=" SHA384_OF_ELEVENS, "measurement=" SHA384_AS_MADE, NULL, false},
    {WRONG("the host may look into the guest", POLICY_DEBUG_ENABLED), "debug=yes", "debug=no", NULL,
     false},
    {UNTRUSTED("AMD revoked the authority of the chip's key (CRL)", CERTIFICATE_REVOKED),
     "revoked=intermediate", "revoked=none", NULL, false},
    {WRONG("firmware older than a rule wants (snp.minimum-tcb.milan)", TCB_TOO_OLD), "tcb=old",
     "tcb=current", "snp.minimum-tcb.milan=4.1.24.219", false},
    {UNTRUSTED("AMD's revocation list has expired", CRL_EXPIRED), "collateral=expired",
     "collateral=fresh", NULL, false},
    {UNTRUSTED("AMD's root was never imported, only that of another line", UNTRUSTED_ROOT), NULL,
     NULL, NULL, true},
};

static const struct otherwise tdx_cases[] = {
    {REFUSED("another domain was built (MRTD)", "no reference value"), "mrtd=" SHA384_OF_ELEVENS,
     "mrtd=" SHA384_AS_MADE, NULL, false},
    {WRONG("the host may look into the domain", TD_DEBUG), "debug=yes", "debug=no", NULL, false},
    {UNTRUSTED("Intel revoked the platform's key (PCK)", CERTIFICATE_REVOKED), "revoked=leaf",
     "revoked=none", NULL, false},
    {WRONG("the platform's TCB is out of date", TCB_OUT_OF_DATE), "tcb=old", "tcb=current", NULL,
     false},
    {WRONG("Intel's documents have expired", COLLATERAL_EXPIRED), "collateral=expired",
     "collateral=fresh", NULL, false},
    {UNTRUSTED("the root was never imported, only another of its name", UNTRUSTED_ROOT), NULL, NULL,
     NULL, true},
};

static const struct otherwise cca_cases[] = {
    {REFUSED("another realm was made (initial measurement)", "no-reference-values"),
     "rim=" SHA256_OF_ELEVENS, "rim=" SHA256_AS_MADE, NULL, false},
    {REFUSED("the platform runs other firmware", "no reference value"),
     "firmware=" SHA256_OF_ELEVENS, "firmware=" SHA256_AS_MADE, NULL, false},
    {WRONG("the platform can be debugged (lifecycle)", LIFECYCLE), "lifecycle=0x4001",
     "lifecycle=0x3000", NULL, false},
    {WRONG("the platform's key was never imported, only that of another", UNTRUSTED_KEY), NULL,
     NULL, NULL, true},
};

#define CASES(list) list, sizeof(list) / sizeof(list[0])

static const struct demo_tee technologies[] = {
    {"snp",
     "AMD SEV-SNP",
     {{"--tee", "snp", "--line", "milan", "--rsa-bits", "2048"},
      {"--tee", "snp", "--line", "genoa", "--rsa-bits", "2048"}},
     {"snp"},
     "SNP",
     "chip-id",
     CASES(snp_cases)},
    {"tdx",
     "Intel TDX",
     {{"--tee", "tdx"}, {"--tee", "tdx", "--tdx-quote", "5"}},
     {"tdx"},
     "TDX",
     "platform-instance-id",
     CASES(tdx_cases)},
    {"cca",
     "Arm CCA",
     {{"--tee", "cca"}, {"--tee", "cca"}},
     {"cca-platform", "cca-realm"},
     "CCA_SSD_PLATFORM",
     "instance-id",
     CASES(cca_cases)},
};

const struct demo_tee *demo_tee_find(const char *name)
{
    for (size_t i = 0; i < sizeof(technologies) / sizeof(technologies[0]); i++)
        if (strcmp(technologies[i].name, name) == 0)
            return &technologies[i];
    return NULL;
}

/* ---- what the relying party imports ---- */

static const uint8_t some_binder[32] = {1};

/* Reference values out of evidence of a machine that we made ourselves. */
static enum atls_code learn_values(struct demo *demo, struct atls_store *store, int device,
                                   struct atls_bytes evidence, struct atls_err *err)
{
    const char *const *profiles = demo->tee->profiles;
    enum atls_code code = ATLS_OK;

    for (size_t i = 0; code == ATLS_OK && profiles[i] != NULL; i++) {
        struct atls_buf template = ATLS_BUF_INIT, manifest = ATLS_BUF_INIT;
        struct atls_store_import_report report;
        char id[96];

        snprintf(id, sizeof(id), "demo/%s/%s", demo->lab.devices[device].name, profiles[i]);
        code = atls_corim_template_of_evidence(
            evidence, &(struct atls_corim_evidence_options){.id = id, .profile = profiles[i]},
            &template, err);
        if (code == ATLS_OK)
            code = atls_corim_create(atls_buf_bytes(&template), &manifest, err);
        if (code == ATLS_OK)
            code = atls_store_import_corim(store, atls_buf_bytes(&manifest), atls_bytes_of(NULL, 0),
                                           (int64_t)time(NULL), &report, err);
        atls_buf_clear(&manifest);
        atls_buf_clear(&template);
    }
    return code;
}

static enum atls_code learn_machine(struct demo *demo, struct atls_store *store, int device,
                                    struct atls_err *err)
{
    struct atls_buf evidence = ATLS_BUF_INIT;
    char detail[200];
    enum atls_code code;

    if ((code = machine_trust(&demo->lab, device, store, err)) != ATLS_OK ||
        (code = atls_attester_evidence(demo->attesters[device],
                                       atls_bytes_of(some_binder, sizeof(some_binder)), &evidence,
                                       err)) != ATLS_OK)
        return code;
    if ((code = learn_values(demo, store, device, atls_buf_bytes(&evidence), err)) == ATLS_OK) {
        snprintf(detail, sizeof(detail),
                 "trust in its maker imported; reference values out of %zu bytes of good evidence",
                 evidence.len);
        demo_report(demo, true, demo->lab.devices[device].name, detail);
    }
    atls_buf_clear(&evidence);
    return code;
}

enum atls_code demo_tee_prepare(struct demo *demo, struct atls_err *err)
{
    struct atls_store *store = NULL;
    enum atls_code code = ATLS_OK;

    if (!cli_flag(demo->cli, "json"))
        printf("Two simulated %s machines, an identity CA and a verifier's store in %s\n",
               demo->tee->title, demo->lab.dir);
    for (int i = 0; i < LAB_DEVICES && code == ATLS_OK; i++)
        if ((code = machine_make(&demo->lab, i, demo->tee->options[i], err)) == ATLS_OK)
            code = demo_open_attester(demo, i, err);
    if (code != ATLS_OK)
        return code;
    demo_title(demo, "What the relying party imports");
    if ((code = atls_store_open(demo->lab.store, ATLS_STORE_CREATE, &store, err)) == ATLS_OK &&
        (code = atls_store_import_anchors(store, ATLS_ANCHOR_TLS,
                                          atls_buf_bytes(&demo->lab.anchors), NULL, NULL, err)) ==
            ATLS_OK)
        for (int i = 0; i < LAB_DEVICES && code == ATLS_OK; i++)
            code = learn_machine(demo, store, i, err);
    atls_store_close(store);
    return code;
}

/* ---- machines that are otherwise ---- */

/* The store as its operator would have it today: with what the maker publishes now. */
static enum atls_code make_store(const struct demo *demo, const struct otherwise *o,
                                 const char *path, struct atls_err *err)
{
    struct atls_store *store = NULL;
    enum atls_code code;

    unlink(path);
    if (o->stranger) {
        if ((code = atls_store_open(path, ATLS_STORE_CREATE, &store, err)) == ATLS_OK)
            code = machine_trust(&demo->lab, LAB_DEVICE_CLIENT, store, err);
    } else if ((code = demo_copy_store(demo, path, &store, err)) == ATLS_OK) {
        code = machine_publish(&demo->lab, LAB_DEVICE_SERVER, store, err);
    }
    atls_store_close(store);
    return code;
}

static enum atls_code otherwise(struct bench *bench, struct atls_err *err)
{
    const struct otherwise *o = bench->arg;
    const char *const rules[] = {o->rule, NULL};
    char path[LAB_PATH];
    enum atls_code code;

    lab_path(&bench->demo->lab, "case.db", path);
    if ((o->order != NULL &&
         (code = machine_order(&bench->demo->lab, LAB_DEVICE_SERVER, o->order, err)) != ATLS_OK) ||
        (code = make_store(bench->demo, o, path, err)) != ATLS_OK ||
        (code = demo_verifier(path, rules, &bench->verifier, err)) != ATLS_OK)
        return code;
    return demo_usual_ends(bench, err);
}

static void run_otherwise(struct demo *demo, const struct otherwise *o)
{
    struct atls_err err = ATLS_ERR_INIT;

    demo_run_case(demo, &o->base, o);
    if (o->undo != NULL && machine_order(&demo->lab, LAB_DEVICE_SERVER, o->undo, &err) != ATLS_OK)
        demo_report(demo, false, "the machine is put right again", err.message);
}

/* ---- machines by name ---- */

/* What a result about a device says of which machine it is. */
static enum atls_code machine_identity(const struct demo *demo, int device, char out[256],
                                       struct atls_err *err)
{
    struct atls_appraisal appraisal = {.binder = atls_bytes_of(some_binder, sizeof(some_binder))};
    struct atls_attester *attester = demo->attesters[device];
    struct atls_buf evidence = ATLS_BUF_INIT;
    struct atls_result *result = NULL;
    const char *json, *name = NULL;
    json_t *claims = NULL;
    enum atls_code code;

    if ((code = atls_attester_evidence(attester, appraisal.binder, &evidence, err)) != ATLS_OK)
        return code;
    appraisal.evidence = atls_buf_bytes(&evidence);
    appraisal.aik_spki = atls_attester_aik_spki(attester);
    code = atls_verifier_appraise(demo->verifier, &appraisal, &result, err);
    atls_buf_clear(&evidence);
    if (code != ATLS_OK)
        return code;
    if ((json = atls_result_json(result)) != NULL && (claims = json_loads(json, 0, NULL)) != NULL)
        (void)json_unpack(claims, "{s{s{s{s{ss}}}}}", "submods", demo->tee->submod,
                          "ear_attester_claims", "details", demo->tee->member, &name);
    if (name == NULL || snprintf(out, 256, "%s", name) >= 256)
        code = io_error(err, ATLS_E_INTERNAL, "a result without %s", demo->tee->member);
    json_decref(claims);
    atls_result_unref(result);
    return code;
}

/* The built-in policy knows no machine by name; this one takes one alone, and leaves to the
 * verifier what it may run. */
static enum atls_code one_machine(struct bench *bench, int device, struct atls_err *err)
{
    static const char form[] =
        "[ (select(.ear_status != \"affirming\") | \"the whole is \\(.ear_status)\"),\n"
        "  (select(.submods.%s.ear_attester_claims.details.\"%s\" != \"%s\")\n"
        "   | \"this machine is not listed\") ] as $reasons\n"
        "| if $reasons == [] then {decision: \"accept\"} else {decision: \"refuse\", reasons: "
        "$reasons} end";
    const struct demo_tee *tee = bench->demo->tee;
    char identity[256], text[1024];
    enum atls_code code;

    if ((code = machine_identity(bench->demo, device, identity, err)) != ATLS_OK)
        return code;
    snprintf(text, sizeof(text), form, tee->submod, tee->member, identity);
    if ((code = atls_policy_compile("list", atls_bytes_of(text, strlen(text)), &bench->policy,
                                    err)) != ATLS_OK)
        return code;
    return demo_usual_ends(bench, err);
}

static enum atls_code server_is_listed(struct bench *bench, struct atls_err *err)
{
    return one_machine(bench, LAB_DEVICE_SERVER, err);
}

static enum atls_code other_is_listed(struct bench *bench, struct atls_err *err)
{
    return one_machine(bench, LAB_DEVICE_CLIENT, err);
}

/* ---- the whole ---- */

static const struct demo_case any_machine[] = {
    {"the policy lists other machines than this one", other_is_listed, DEMO_BY_CLIENT,
     ATLS_E_REFUSED, ATLS_REASON_POLICY, "not listed"},
    {"evidence made for another connection", demo_other_binder, DEMO_BY_CLIENT, ATLS_E_EVIDENCE,
     ATLS_REASON_NONCE_MISMATCH, NULL},
    {"evidence of an earlier connection is replayed", demo_old_evidence, DEMO_BY_CLIENT,
     ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH, NULL},
    {"evidence beside a key that is not its own", demo_other_key, DEMO_BY_CLIENT, ATLS_E_EVIDENCE,
     ATLS_REASON_KEY_BINDING_MISMATCH, NULL},
    {"a man in the middle, with the server's TLS key, relays the authenticator", demo_relayed,
     DEMO_BY_CLIENT, ATLS_E_VERIFY, ATLS_REASON_FINISHED_MISMATCH, NULL},
    {"an authenticator of an earlier connection is replayed", demo_replayed, DEMO_BY_CLIENT,
     ATLS_E_PROTOCOL, ATLS_REASON_CONTEXT_MISMATCH, NULL},
};

void demo_tee_run(struct demo *demo)
{
    const size_t count = sizeof(any_machine) / sizeof(any_machine[0]);
    const struct demo_tee *tee = demo->tee;

    demo_title(demo, "A policy that names the machine");
    demo_run_accepted(demo, "the policy lists this machine; 1 MiB arrives whole", server_is_listed);
    demo_title(demo, "What must be refused");
    for (size_t i = 0; i < count && demo_goes_on(); i++)
        demo_run_case(demo, &any_machine[i], NULL);
    for (size_t i = 0; i < tee->case_count && demo_goes_on(); i++)
        run_otherwise(demo, &tee->cases[i]);
}
