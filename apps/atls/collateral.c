/* atls collateral: what makers of confidential-computing hardware publish. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <atls/collateral.h>
#include <atls/store.h>

#include "commands.h"
#include "documents.h"
#include "io.h"

#define DAY_S       86400
#define SUBJECT_MAX 256

#define CHIP_DIGITS       128
#define SHORT_CHIP_DIGITS 16

static const char usage[] =
    "usage: atls collateral fetch --from [MAKER=]URL ... {--store DB | --out DIR} WHAT ...\n"
    "       atls collateral check {--store DB | --dir DIR} [--within DAYS] [--json]\n"
    "\n"
    "Fetches and watches what makers of confidential-computing hardware publish: certificates,\n"
    "revocation lists, TCB levels. Nothing is verified here: appraisal does that each time.\n"
    "\n"
    "  --from [MAKER=]URL ...  the service: MAKER is amd, intel or intel-root-crl; without it for\n"
    "                     amd and intel. There is no default\n"
    "  --ca FILE          who may vouch for the service (PEM); default: the system's\n"
    "  --store DB         the store: a file, or a URI that begins with postgresql://\n"
    "  --schema NAME      of the store in a PostgreSQL database; default atls\n"
    "  --out DIR          write files called KIND-SUBJECT.EXTENSION\n"
    "  --dir DIR          a directory of such files\n"
    "  --timeout S        for one exchange; default 10\n"
    "  --wait S           for a service that is asked too often, all waits together; default 60\n"
    "\n"
    "WHAT, all that is given together:\n"
    "  --evidence FILE ...  what this evidence is verified with\n"
    "  --line NAME ...    certificates and list of a line of AMD's processors: milan, genoa, "
    "turin\n"
    "  --chip-id HEX      with one --line and --tcb: the certificate of this chip\n"
    "  --tcb HEX          REPORTED_TCB, 16 digits as in the report\n"
    "  --fmspc HEX ...    TCB levels of an Intel platform, and all lists and identities\n"
    "  --refresh          what is in the store or directory and runs out within --within\n"
    "\n"
    "  --within DAYS      running out counts as expired (check), or is fetched anew (--refresh);\n"
    "                     default 0 for check, 7 for --refresh\n"
    "  --time RFC3339     check as of this time; default now\n"
    "  --json             one object a line\n"
    "  --help             this text\n"
    "\n"
    "Exit status of check: 0 all counts; 1 usage; 2 could not tell; 3 something has expired.\n";

/* ---- where it goes ---- */

/* Documents to fetch, each once. */
struct wishes {
    struct wish {
        char kind[32], subject[SUBJECT_MAX];
        bool came;
    } * items;
    size_t count;
};

struct place {
    struct atls_store *store;
    const char *directory;
    struct wishes *wishes;
};

/* A chain comes with each document that it signs, and need not be fetched once more. */
static void note(struct wishes *wishes, const char *file_name)
{
    char stem[sizeof wishes->items->kind + SUBJECT_MAX + 2];

    for (size_t i = 0; i < wishes->count; i++) {
        snprintf(stem, sizeof stem, "%s-%s.", wishes->items[i].kind, wishes->items[i].subject);
        if (strncmp(file_name, stem, strlen(stem)) == 0)
            wishes->items[i].came = true;
    }
}

static enum atls_code open_store(const struct cli *cli, enum atls_store_mode mode,
                                 struct atls_store **out, struct atls_err *err)
{
    struct atls_store_options options;

    atls_store_options_init(&options);
    options.mode = mode;
    options.schema = cli_value(cli, "schema");
    return atls_store_open_with(cli_value(cli, "store"), &options, out, err);
}

static enum atls_code keep(void *arg, const char *file_name, struct atls_bytes document,
                           struct atls_err *err)
{
    static const char *const outcomes[] = {
        [ATLS_STORE_COLLATERAL_NEW] = "fetched",
        [ATLS_STORE_COLLATERAL_SAME] = "on file already",
        [ATLS_STORE_COLLATERAL_OLDER] = "older than what is on file: not imported",
    };
    enum atls_store_collateral_import outcome = ATLS_STORE_COLLATERAL_NEW;
    struct place *place = arg;
    enum atls_code code;

    if (place->store != NULL)
        code = atls_store_import_collateral(place->store, file_name, document, (int64_t)time(NULL),
                                            &outcome, err);
    else
        code = documents_write(place->directory, file_name, document, err);
    if (code != ATLS_OK)
        return code;
    note(place->wishes, file_name);
    printf("%s: %s\n", file_name, outcomes[outcome]);
    return ATLS_OK;
}

/* ---- what is wanted ---- */

static enum atls_code wish(void *arg, const char *kind, const char *subject, struct atls_err *err)
{
    struct wishes *wishes = arg;
    struct wish *grown;

    for (size_t i = 0; i < wishes->count; i++)
        if (strcmp(wishes->items[i].kind, kind) == 0 &&
            strcmp(wishes->items[i].subject, subject) == 0)
            return ATLS_OK;
    grown = realloc(wishes->items, (wishes->count + 1) * sizeof *grown);
    if (grown == NULL)
        return io_error(err, ATLS_E_NOMEM, "out of memory");
    wishes->items = grown;
    grown[wishes->count].came = false;
    snprintf(grown[wishes->count].kind, sizeof grown->kind, "%s", kind);
    snprintf(grown[wishes->count].subject, sizeof grown->subject, "%s", subject);
    wishes->count++;
    return ATLS_OK;
}

/* Subjects are in lower case. */
static const char *lower(const char *text, char *out, size_t size)
{
    size_t i;

    for (i = 0; text[i] != '\0' && i + 1 < size; i++)
        out[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] | 0x20 : text[i]);
    out[i] = '\0';
    return out;
}

static enum atls_code wish_for_chip(const struct cli *cli, struct wishes *wishes,
                                    struct atls_err *err)
{
    const char *line = cli_value(cli, "line"), *chip = cli_value(cli, "chip-id"),
               *tcb = cli_value(cli, "tcb");
    char text[SUBJECT_MAX + 128], subject[SUBJECT_MAX];
    char zeros[CHIP_DIGITS - SHORT_CHIP_DIGITS + 1];

    if (chip == NULL && tcb == NULL)
        return ATLS_OK;
    if (chip == NULL || tcb == NULL || line == NULL || cli_value_at(cli, "line", 1) != NULL)
        return io_error(err, ATLS_E_CONFIG, "--chip-id, --tcb and one --line go together");
    /* Turin's service knows chips by 16 digits; in reports, and so in names, zeros follow. */
    memset(zeros, '0', sizeof zeros - 1);
    zeros[strlen(chip) == SHORT_CHIP_DIGITS ? sizeof zeros - 1 : 0] = '\0';
    snprintf(text, sizeof text, "%.16s-%.128s%s-%.16s", line, chip, zeros, tcb);
    return wish(wishes, "snp-vek", lower(text, subject, sizeof subject), err);
}

static enum atls_code wish_for_lines(const struct cli *cli, struct wishes *wishes,
                                     struct atls_err *err)
{
    enum atls_code code = wish_for_chip(cli, wishes, err);
    char subject[SUBJECT_MAX];
    const char *line;

    for (size_t i = 0; code == ATLS_OK && (line = cli_value_at(cli, "line", i)) != NULL; i++) {
        lower(line, subject, sizeof subject);
        if ((code = wish(wishes, "snp-ca", subject, err)) == ATLS_OK)
            code = wish(wishes, "snp-crl", subject, err);
    }
    return code;
}

/* The chains come with what they sign. */
static enum atls_code wish_for_platforms(const struct cli *cli, struct wishes *wishes,
                                         struct atls_err *err)
{
    static const struct {
        const char *kind, *subject;
    } common[] = {{"tdx-qe-identity", "td"},
                  {"tdx-pck-crl", "platform"},
                  {"tdx-pck-crl", "processor"},
                  {"tdx-root-crl", "root"}};
    enum atls_code code = ATLS_OK;
    char subject[SUBJECT_MAX];
    const char *fmspc;

    for (size_t i = 0; code == ATLS_OK && (fmspc = cli_value_at(cli, "fmspc", i)) != NULL; i++)
        code = wish(wishes, "tdx-tcb-info", lower(fmspc, subject, sizeof subject), err);
    for (size_t i = 0; cli_value(cli, "fmspc") != NULL && code == ATLS_OK &&
                       i < sizeof(common) / sizeof(common[0]);
         i++)
        code = wish(wishes, common[i].kind, common[i].subject, err);
    return code;
}

static enum atls_code wish_for_evidence(const struct cli *cli, struct wishes *wishes,
                                        struct atls_err *err)
{
    enum atls_code code = ATLS_OK;
    const char *path;

    for (size_t i = 0; code == ATLS_OK && (path = cli_value_at(cli, "evidence", i)) != NULL; i++) {
        struct atls_buf file = ATLS_BUF_INIT;
        size_t before = wishes->count;

        if ((code = io_read_file(path, &file, err)) == ATLS_OK)
            code = atls_collateral_of_evidence(atls_buf_bytes(&file), wish, wishes, err);
        atls_buf_clear(&file);
        if (code == ATLS_OK && wishes->count == before)
            printf("%s: needs none\n", path);
    }
    return code;
}

/* ---- what runs out ---- */

struct horizon {
    struct wishes *wishes;
    int64_t at_s;
};

static enum atls_code wish_for_old(void *arg, const struct atls_store_collateral *c,
                                   struct atls_err *err)
{
    const struct horizon *h = arg;

    if (c->not_after_s == 0 || c->not_after_s > h->at_s)
        return ATLS_OK;
    /* A cloud's operator hands it out, and no service. */
    if (strstr(c->subject, "-vlek-") != NULL)
        return ATLS_OK;
    return wish(h->wishes, c->kind, c->subject, err);
}

static enum atls_code wish_for_old_file(void *arg, const char *path, const char *name,
                                        struct atls_bytes document, struct atls_err *err)
{
    char buffer[ATLS_COLLATERAL_BUFFER];
    struct atls_store_collateral collateral;

    (void)path;
    if (atls_collateral_describe(name, document, buffer, &collateral, NULL) != ATLS_OK)
        return ATLS_OK; /* "check" says what is wrong with it */
    return wish_for_old(arg, &collateral, err);
}

static enum atls_code wish_for_refresh(const struct cli *cli, const struct place *place,
                                       struct wishes *wishes, struct atls_err *err)
{
    unsigned long days = 7;
    struct horizon horizon = {wishes, (int64_t)time(NULL)};

    if (!cli_flag(cli, "refresh"))
        return ATLS_OK;
    if (!cli_number(cli, "within", 0, 3650, &days))
        return io_error(err, ATLS_E_CONFIG, "--within is no number of days");
    horizon.at_s += (int64_t)days * DAY_S;
    return place->store != NULL
               ? atls_store_list_collateral(place->store, wish_for_old, &horizon, err)
               : documents_each(place->directory, wish_for_old_file, &horizon, err);
}

/* ---- fetch ---- */

static enum atls_code open_fetcher(const struct cli *cli, struct atls_collateral_fetcher **out,
                                   struct atls_err *err)
{
    struct atls_collateral_options options;
    unsigned long timeout_s = 10, wait_s = 60;
    enum atls_code code;
    const char *from;

    atls_collateral_options_init(&options);
    for (size_t i = 0; (from = cli_value_at(cli, "from", i)) != NULL; i++)
        if ((code = atls_collateral_options_add(&options, from, err)) != ATLS_OK)
            return code;
    if (!cli_number(cli, "timeout", 1, 3600, &timeout_s) ||
        !cli_number(cli, "wait", 0, 3600, &wait_s))
        return io_error(err, ATLS_E_CONFIG, "--timeout or --wait is no number of seconds");
    options.ca_file = cli_value(cli, "ca");
    options.timeout_ms = (uint32_t)timeout_s * 1000;
    options.wait_max_s = (uint32_t)wait_s;
    return atls_collateral_open(&options, out, err);
}

/* One that fails leaves the others; the last failure is the status of all. */
static void fetch_all(const struct cli *cli, struct atls_collateral_fetcher *fetcher,
                      const struct wishes *wishes, struct place *place, struct atls_err *err)
{
    for (size_t i = 0; i < wishes->count; i++) {
        struct atls_err one = ATLS_ERR_INIT;

        if (wishes->items[i].came ||
            atls_collateral_fetch(fetcher, wishes->items[i].kind, wishes->items[i].subject, keep,
                                  place, &one) == ATLS_OK)
            continue;
        if (err->code != ATLS_OK)
            cli_say(cli, "%s", err->message);
        *err = one;
    }
}

static enum atls_code collect(const struct cli *cli, const struct place *place,
                              struct wishes *wishes, struct atls_err *err)
{
    enum atls_code code;

    if ((code = wish_for_evidence(cli, wishes, err)) != ATLS_OK ||
        (code = wish_for_lines(cli, wishes, err)) != ATLS_OK ||
        (code = wish_for_platforms(cli, wishes, err)) != ATLS_OK)
        return code;
    return wish_for_refresh(cli, place, wishes, err);
}

static enum cli_status run_fetch(struct cli *cli)
{
    struct atls_collateral_fetcher *fetcher = NULL;
    struct wishes wishes = {NULL, 0};
    struct place place = {.directory = cli_value(cli, "out"), .wishes = &wishes};
    struct atls_err err = ATLS_ERR_INIT;

    if (!cli_need(cli, (const char *const[]){"from", NULL}))
        return CLI_USAGE;
    if ((cli_value(cli, "store") == NULL) == (place.directory == NULL))
        return cli_usage(cli, "want one of --store and --out");
    if (cli_value(cli, "evidence") == NULL && cli_value(cli, "line") == NULL &&
        cli_value(cli, "fmspc") == NULL && !cli_flag(cli, "refresh"))
        return cli_usage(cli, "want --evidence, --line, --fmspc or --refresh");
    if (open_fetcher(cli, &fetcher, &err) == ATLS_OK &&
        (place.directory != NULL ||
         open_store(cli, ATLS_STORE_WRITE, &place.store, &err) == ATLS_OK) &&
        collect(cli, &place, &wishes, &err) == ATLS_OK)
        fetch_all(cli, fetcher, &wishes, &place, &err);
    free(wishes.items);
    atls_store_close(place.store);
    atls_collateral_close(fetcher);
    return err.code == ATLS_OK ? CLI_YES : cli_fail(cli, &err);
}

/* ---- check ---- */

struct checking {
    const struct cli *cli;
    int64_t now_s, until_s; /* what ends before the second is told by the exit status */
    size_t ending;
};

static const char *time_text(int64_t time_s, char out[32])
{
    time_t t = (time_t)time_s;
    struct tm tm;

    if (time_s == 0 || gmtime_r(&t, &tm) == NULL ||
        strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        snprintf(out, 32, "-");
    return out;
}

static enum atls_code check_entry(void *arg, const struct atls_store_collateral *collateral,
                                  struct atls_err *err)
{
    struct checking *c = arg;
    int64_t from_s = collateral->not_before_s, until_s = collateral->not_after_s;
    bool ends = until_s != 0 && until_s < c->until_s;
    const char *state = until_s != 0 && until_s < c->now_s ? "expired"
                        : ends                             ? "runs out"
                        : from_s > c->now_s                ? "not yet"
                                                           : "good";
    char text[32];

    c->ending += ends;
    if (cli_flag(c->cli, "json"))
        return cli_print_json(c->cli, stdout,
                              json_pack("{ss sI sI ss}", "name", collateral->file_name,
                                        "not-before", (json_int_t)from_s, "not-after",
                                        (json_int_t)until_s, "state", state)) == CLI_YES
                   ? ATLS_OK
                   : io_error(err, ATLS_E_NOMEM, "out of memory");
    printf("%-8s  %-20s  %s\n", state, time_text(until_s, text), collateral->file_name);
    return ATLS_OK;
}

static enum atls_code check_file(void *arg, const char *path, const char *name,
                                 struct atls_bytes document, struct atls_err *err)
{
    const struct checking *c = arg;
    struct atls_err why = ATLS_ERR_INIT;
    char buffer[ATLS_COLLATERAL_BUFFER];
    struct atls_store_collateral collateral;
    enum atls_code code = atls_collateral_describe(name, document, buffer, &collateral, &why);

    if (code == ATLS_E_NOT_FOUND) {
        cli_say(c->cli, "%s: not the name of a document, passed over", path);
        return ATLS_OK;
    }
    if (code != ATLS_OK)
        return io_error(err, code, "%.80s: %.150s", path, why.message);
    return check_entry(arg, &collateral, err);
}

static enum cli_status run_check(struct cli *cli)
{
    const char *directory = cli_value(cli, "dir"), *at = cli_value(cli, "time");
    struct checking c = {.cli = cli, .now_s = (int64_t)time(NULL)};
    struct atls_store *store = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    unsigned long days = 0;

    if ((cli_value(cli, "store") == NULL) == (directory == NULL))
        return cli_usage(cli, "want one of --store and --dir");
    if (!cli_number(cli, "within", 0, 3650, &days))
        return CLI_USAGE;
    if (at != NULL && io_time(at, &c.now_s, &err) != ATLS_OK)
        return cli_fail(cli, &err);
    c.until_s = c.now_s + (int64_t)days * DAY_S;
    if (directory != NULL)
        (void)!documents_each(directory, check_file, &c, &err);
    else if (open_store(cli, ATLS_STORE_READ, &store, &err) == ATLS_OK)
        (void)!atls_store_list_collateral(store, check_entry, &c, &err);
    atls_store_close(store);
    if (err.code != ATLS_OK)
        return cli_fail(cli, &err);
    return c.ending != 0 ? CLI_REFUSED : CLI_YES;
}

static enum cli_status run(struct cli *cli)
{
    const char *verb = cli_operand(cli, 0);

    if (verb != NULL && strcmp(verb, "fetch") == 0)
        return run_fetch(cli);
    if (verb != NULL && strcmp(verb, "check") == 0)
        return run_check(cli);
    return cli_usage(cli, "want fetch or check");
}

const struct command command_collateral = {
    "collateral", "fetch and watch what makers of confidential-computing hardware publish",
    usage,        1,
    run,          NULL};
