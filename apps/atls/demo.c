/* atls demo: the whole of attested TLS on this machine, with software TPMs. First what must work,
 * then what must not. */
#include "demo.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <atls/local.h>
#include <atls/passport.h>
#include <atls/remote.h>
#include <atls/store.h>
#include <atls/tpm2.h>

#include "commands.h"
#include "enrolment.h"
#include "io.h"
#include "parts.h"

/* Long enough for a loaded machine, short enough not to look stuck. */
#define TIMEOUT_MS 20000

static const char usage[] =
    "usage: atls demo [--flavour HOW | --tee NAME] [--json]\n"
    "\n"
    "Starts two software TPMs (swtpm), makes a certificate authority and a verifier's store in a\n"
    "temporary directory, enrols both TPMs, runs attested TLS connections between them, judged by\n"
    "the store itself, by a verifier service over HTTPS (atls-verifierd), and by passports of "
    "that\n"
    "service, and then shows that tampering of many kinds is refused, each time for the right\n"
    "reason. Needs the packages swtpm and swtpm-tools. Nothing outside the directory is touched.\n"
    "\n"
    "  --flavour HOW\n"
    "              post (default), intra, pre or all of them, one after the other\n"
    "              (docs/flavours.md)\n"
    "  --tee NAME  snp, tdx or cca: confidential machines instead of TPMs, simulated by\n"
    "              atls-tee-sim; needs FUSE\n"
    "  --json      one JSON object a line: {\"check\", \"ok\", \"detail\"}, of\n"
    "              connections also \"flavour\", of flavour pre \"freshness\", and \"gap\"\n"
    "              where something passes that this flavour is known not to stop\n"
    "  --help      this text\n"
    "\n"
    "Exit status: 0 all as expected; 2 something could not be done; 3 a check came out wrong.\n";

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

bool demo_goes_on(void)
{
    return stopped == 0;
}

void demo_title(const struct demo *demo, const char *title)
{
    if (!cli_flag(demo->cli, "json"))
        printf("\n%s%s%s\n", cli_colour(stdout, CLI_BOLD), title, cli_colour(stdout, CLI_PLAIN));
}

enum outcome { AS_EXPECTED, NOT_AS_EXPECTED, KNOWN_GAP };

static void report_json(const struct demo *demo, enum outcome outcome, const char *what,
                        const char *detail)
{
    json_t *line = json_pack("{ss sb ss}", "check", what, "ok", (int)(outcome != NOT_AS_EXPECTED),
                             "detail", detail);

    if (outcome == KNOWN_GAP)
        (void)json_object_set_new(line, "gap", json_true());
    if (demo->connecting)
        (void)json_object_set_new(line, "flavour", json_string(atls_flavour_name(demo->flavour)));
    if (demo->connecting && demo->flavour == ATLS_FLAVOUR_PRE)
        (void)json_object_set_new(
            line, "freshness",
            json_string(demo->freshness == ATLS_FRESHNESS_NONCE ? "nonce" : "none"));
    (void)cli_print_json(demo->cli, stdout, line);
}

static void report(struct demo *demo, enum outcome outcome, const char *what, const char *detail)
{
    static const struct {
        const char *mark;
        enum cli_colour colour;
    } marks[] = {[AS_EXPECTED] = {"ok", CLI_GREEN},
                 [NOT_AS_EXPECTED] = {"FAILED", CLI_RED},
                 [KNOWN_GAP] = {"passes", CLI_YELLOW}};

    if (outcome == NOT_AS_EXPECTED)
        demo->bad++;
    else
        demo->good++;
    if (cli_flag(demo->cli, "json"))
        report_json(demo, outcome, what, detail);
    else
        printf("%s%-6s%s  %s\n        %s%s%s\n", cli_colour(stdout, marks[outcome].colour),
               marks[outcome].mark, cli_colour(stdout, CLI_PLAIN), what,
               cli_colour(stdout, CLI_DIM), detail, cli_colour(stdout, CLI_PLAIN));
    fflush(stdout);
}

void demo_report(struct demo *demo, bool good, const char *what, const char *detail)
{
    report(demo, good ? AS_EXPECTED : NOT_AS_EXPECTED, what, detail);
}

void demo_report_gap(struct demo *demo, bool through, const char *what, const char *detail)
{
    report(demo, through ? KNOWN_GAP : NOT_AS_EXPECTED, what, detail);
}

/* ---- preparation ---- */

enum atls_code demo_verifier(const char *store, const char *const *rules,
                             struct atls_verifier **out, struct atls_err *err)
{
    static const struct atls_verifier_ops *const backends[] = {&atls_local_verifier, NULL};
    struct atls_verifier_options options;
    char uri[LAB_PATH + 16];

    atls_verifier_options_init(&options);
    options.rules = rules;
    snprintf(uri, sizeof(uri), "local:%s", store);
    return atls_verifier_open(uri, backends, &options, out, err);
}

/* With a nonce a result has to answer it. */
struct atls_verifier *demo_verifier_of(const struct demo *demo, enum demo_topology topology)
{
    if (topology == DEMO_PASSPORT && demo->freshness == ATLS_FRESHNESS_NONCE)
        return demo->fresh;
    return demo->remote[topology];
}

enum atls_code demo_config(const struct demo *demo, const struct demo_config *want,
                           struct atls_config **out, struct atls_err *err)
{
    static const char *const with_soft[] = {"tpm", "soft", NULL};
    struct atls_config_options options;

    atls_config_options_init(&options);
    options.flavour = demo->flavour;
    options.freshness = demo->freshness;
    options.secret_binder = want->secret_binder;
    options.attester = want->attester;
    options.passport = want->passport;
    options.require_peer = want->require_peer;
    if (want->require_peer) {
        options.verifier = want->verifier != NULL ? want->verifier : demo->verifier;
        options.policy = want->policy != NULL ? want->policy : demo->policy;
        options.identity = ATLS_IDENTITY_PKIX;
        options.anchors = atls_buf_bytes(&demo->lab.anchors);
        if (want->soft)
            options.evidence_types = with_soft;
    }
    if (demo->flavour == ATLS_FLAVOUR_INTRA && options.verifier != NULL &&
        atls_verifier_input(options.verifier) == ATLS_VERIFIER_TAKES_RESULTS)
        options.accepted_verifier = LAB_VERIFIER;
    if (demo->flavour == ATLS_FLAVOUR_INTRA && want->passport != NULL)
        options.passport_verifier = LAB_VERIFIER;
    options.gate_timeout_ms = options.answer_timeout_ms = TIMEOUT_MS;
    return atls_config_new(&options, out, err);
}

static enum atls_code make_store(struct demo *demo, struct atls_store **out, struct atls_err *err)
{
    struct atls_buf maker = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = lab_maker_anchors(&demo->lab, &maker, err)) != ATLS_OK)
        return code;
    if ((code = atls_store_open(demo->lab.store, ATLS_STORE_CREATE, out, err)) == ATLS_OK &&
        (code = atls_store_import_anchors(*out, ATLS_ANCHOR_EK, atls_buf_bytes(&maker), NULL, NULL,
                                          err)) == ATLS_OK)
        code = atls_store_import_anchors(*out, ATLS_ANCHOR_TLS, atls_buf_bytes(&demo->lab.anchors),
                                         NULL, NULL, err);
    atls_buf_clear(&maker);
    return code;
}

static enum atls_code import_reference_values(struct atls_tpm2_enrolment *tpm,
                                              struct atls_store *store,
                                              const struct enrolment_class *machine,
                                              const char *name, struct atls_err *err)
{
    struct atls_store_import_report report;
    struct atls_buf manifest = ATLS_BUF_INIT;
    char id[96];
    enum atls_code code;

    snprintf(id, sizeof(id), "demo/%s", name);
    code = enrolment_manifest(tpm, id, machine, &manifest, err);
    if (code == ATLS_OK)
        code = atls_store_import_corim(store, atls_buf_bytes(&manifest), atls_bytes_of(NULL, 0),
                                       (int64_t)time(NULL), &report, err);
    atls_buf_clear(&manifest);
    return code;
}

static enum atls_code enrol_device(struct demo *demo, struct atls_store *store, int device,
                                   struct atls_err *err)
{
    static const struct enrolment_class machine = {
        .uuid = LAB_CLASS, .vendor = "atls", .model = "demo"};
    struct lab_device *d = &demo->lab.devices[device];
    struct atls_tpm2_enrolment *tpm;
    char detail[200];
    enum atls_code code;

    if ((code = atls_tpm2_enrolment_open(d->uri, &tpm, err)) != ATLS_OK)
        return code;
    if ((code = atls_tpm2_enrolment_persist(tpm, err)) == ATLS_OK &&
        (code = enrolment_run(tpm, store, &machine, false, d->instance, err)) == ATLS_OK) {
        snprintf(detail, sizeof(detail), "EK certificate below its maker's CA; instance %s",
                 d->instance);
        demo_report(demo, true, d->name, detail);
        code = import_reference_values(tpm, store, &machine, d->name, err);
    }
    atls_tpm2_enrolment_close(tpm);
    return code;
}

/* Opens a device's attester with a self-signed certificate, for its AIK, and then with the one that
 * the identity CA issued for it. */
enum atls_code demo_open_attester(struct demo *demo, int device, struct atls_err *err)
{
    static const struct atls_attester_ops *const backends[] = {&atls_tpm2_attester,
                                                               &atls_tsm_attester, NULL};
    struct lab_device *d = &demo->lab.devices[device];
    struct atls_attester_options options;
    struct atls_attester *bare;
    char name[32];
    enum atls_code code;

    atls_attester_options_init(&options);
    if ((code = atls_attester_open(d->uri, backends, &options, &bare, err)) != ATLS_OK)
        return code;
    snprintf(name, sizeof(name), "aik%d.pem", device);
    lab_path(&demo->lab, name, d->aik_chain);
    code =
        lab_issue(&demo->lab,
                  &(struct lab_certificate){
                      .name = d->name, .spki = atls_attester_aik_spki(bare), .not_after_days = 30},
                  d->aik_chain, err);
    atls_attester_unref(bare);
    if (code != ATLS_OK)
        return code;
    options.certificate = d->aik_chain;
    return atls_attester_open(d->uri, backends, &options, &demo->attesters[device], err);
}

/* The daemon answers before it has read its store, and says so. */
static enum atls_code open_passport(const struct atls_passport_options *options,
                                    struct atls_passport **out, struct atls_err *err)
{
    const struct timespec pause = {0, 50000000};
    int64_t deadline = io_now_ms() + TIMEOUT_MS;
    enum atls_code code;

    while ((code = atls_passport_open(options, out, err)) == ATLS_E_UNAVAILABLE &&
           io_now_ms() < deadline && demo_goes_on())
        nanosleep(&pause, NULL);
    return code;
}

/* The service, and all that asks it: verifiers of relying parties, and the attesters themselves. */
static enum atls_code start_service(struct demo *demo, struct atls_err *err)
{
    static const struct atls_verifier_ops *const backends[] = {&atls_veraison_verifier,
                                                               &atls_passport_verifier, NULL};
    static const char *const schemes[DEMO_TOPOLOGIES] = {
        [DEMO_SERVICE] = "veraison", [DEMO_PASSPORT] = "passport"};
    struct atls_passport_options passport;
    struct atls_verifier_options options;
    char uri[96];
    enum atls_code code;

    if ((code = demo_service_start(&demo->lab, &demo->service, err)) != ATLS_OK)
        return code;
    if (!cli_flag(demo->cli, "json"))
        printf("\nA verifier service (atls-verifierd) at %s\n", demo->service.url);
    atls_verifier_options_init(&options);
    options.ca_file = demo->service.ca_file;
    for (int i = DEMO_SERVICE; i <= DEMO_PASSPORT && code == ATLS_OK; i++) {
        snprintf(uri, sizeof(uri), "%s:%s", schemes[i], demo->service.url);
        code = atls_verifier_open(uri, backends, &options, &demo->remote[i], err);
    }
    options.result_echoes_binder = true;
    if (code == ATLS_OK)
        code = atls_verifier_open(uri, backends, &options, &demo->fresh, err);
    atls_passport_options_init(&passport);
    passport.verifier_url = demo->service.url;
    passport.ca_file = demo->service.ca_file;
    for (int i = 0; i < LAB_DEVICES && code == ATLS_OK; i++) {
        passport.attester = demo->attesters[i];
        code = open_passport(&passport, &demo->passports[i], err);
    }
    return code;
}

/* Two machines with TPMs, and a store that knows them. */
static enum atls_code prepare_tpms(struct demo *demo, struct atls_err *err)
{
    struct atls_store *store = NULL;
    enum atls_code code;

    if (!cli_flag(demo->cli, "json"))
        printf("Two software TPMs, an identity CA and a verifier's store in %s\n", demo->lab.dir);
    for (int i = 0; i < LAB_DEVICES; i++)
        if ((code = lab_make_tpm(&demo->lab, i, err)) != ATLS_OK)
            return code;
    demo_title(demo, "Enrolment by credential activation");
    if ((code = make_store(demo, &store, err)) == ATLS_OK)
        for (int i = 0; i < LAB_DEVICES && code == ATLS_OK; i++)
            code = enrol_device(demo, store, i, err);
    atls_store_close(store);
    for (int i = 0; i < LAB_DEVICES && code == ATLS_OK; i++)
        code = demo_open_attester(demo, i, err);
    return code;
}

static enum atls_code prepare(struct demo *demo, struct atls_err *err)
{
    enum atls_code code;

    if ((code = lab_open(&demo->lab, err)) != ATLS_OK ||
        (code = demo->tee != NULL ? demo_tee_prepare(demo, err) : prepare_tpms(demo, err)) !=
            ATLS_OK ||
        (code = demo_verifier(demo->lab.store, NULL, &demo->verifier, err)) != ATLS_OK ||
        (code = atls_policy_default(&demo->policy, err)) != ATLS_OK)
        return code;
    return start_service(demo, err);
}

static void clear(struct demo *demo)
{
    for (int i = 0; i < LAB_DEVICES; i++)
        atls_passport_unref(demo->passports[i]);
    for (int i = 0; i < LAB_DEVICES; i++)
        atls_attester_unref(demo->attesters[i]);
    for (int i = 0; i < DEMO_TOPOLOGIES; i++)
        atls_verifier_unref(demo->remote[i]);
    atls_verifier_unref(demo->fresh);
    demo_service_stop(&demo->service);
    atls_policy_unref(demo->policy);
    atls_verifier_unref(demo->verifier);
    lab_clear(&demo->lab);
}

static enum cli_status summary(const struct demo *demo)
{
    bool all = demo->bad == 0 && demo_goes_on();

    if (!cli_flag(demo->cli, "json"))
        printf("\n%s%zu checks as expected, %zu not%s%s\n",
               cli_colour(stdout, all ? CLI_GREEN : CLI_RED), demo->good, demo->bad,
               demo_goes_on() ? "" : "; stopped by a signal", cli_colour(stdout, CLI_PLAIN));
    if (!demo_goes_on())
        return CLI_UNKNOWN;
    return demo->bad == 0 ? CLI_YES : CLI_REFUSED;
}

static enum cli_status run(struct cli *cli)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct demo demo = {.cli = cli};
    struct atls_err err = ATLS_ERR_INIT;
    const char *tee = cli_value(cli, "tee"), *flavour = cli_value(cli, "flavour");
    struct demo_flavours flavours;
    enum cli_status status;

    if (tee != NULL && (demo.tee = demo_tee_find(tee)) == NULL)
        return cli_usage(cli, "--tee %s: want snp, tdx or cca", tee);
    if (tee != NULL && flavour != NULL)
        return cli_usage(cli, "--flavour is shown with TPMs, not with --tee");
    if (!demo_flavours_find(flavour != NULL ? flavour : "post", &flavours))
        return cli_usage(cli, "--flavour is \"%s\", want post, intra, pre or all", flavour);
    sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    if (prepare(&demo, &err) == ATLS_OK) {
        demo.connecting = true;
        if (demo.tee != NULL) {
            demo_run_good(&demo);
            demo_tee_run(&demo);
        } else {
            demo_flavours_run(&demo, &flavours);
        }
        status = summary(&demo);
    } else {
        (void)cli_fail(cli, &err);
        status = CLI_UNKNOWN;
    }
    clear(&demo);
    return status;
}

const struct command command_demo = {
    "demo", "see it work, and see tampering refused", usage, 0, run, NULL};
