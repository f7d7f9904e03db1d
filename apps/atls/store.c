/* atls store: what a verifier trusts and expects. */
#include <string.h>
#include <time.h>

#include <atls/store.h>

#include "commands.h"
#include "io.h"

static const char usage[] =
    "usage: atls store init --store DB\n"
    "       atls store import --store DB {--anchor PURPOSE FILE | --crl FILE | --corim FILE\n"
    "             | --from-json FILE}\n"
    "       atls store list --store DB [--json]\n"
    "       atls store remove --store DB ENTRY\n"
    "       atls store export --store DB [--anchors PURPOSE] [--out FILE]\n"
    "\n"
    "Keeps trust anchors, revocation lists, attestation keys and reference values in one file.\n"
    "\n"
    "  --store DB         the store\n"
    "  --anchor PURPOSE   import FILE, certificates (PEM or DER), as anchors: ak (attestation key\n"
    "                     certificates), ek (TPM makers) or tls (identity certificates)\n"
    "  --class UUID       the class of machines that an ak anchor stands for\n"
    "  --vendor NAME      of the class, for reference values that name it\n"
    "  --model NAME       of the class\n"
    "  --crl FILE         import certificate revocation lists (PEM or DER); once one is past its\n"
    "                     next update, certificates of its issuer are refused\n"
    "  --corim FILE       import a reference manifest\n"
    "  --signer FILE      the manifest must be signed by this public key or certificate\n"
    "  --from-json FILE   import what \"export\" wrote\n"
    "  --anchors PURPOSE  export the anchors of one purpose as PEM instead of everything as JSON\n"
    "  --out FILE         where the export goes; default standard output\n"
    "  --json             list as JSON, one object a line\n"
    "  --help             this text\n"
    "\n"
    "ENTRY is anchor:ID, crl:ID, attest-key:ID or manifest:ID as \"list\" shows them.\n";

static const struct {
    const char *name;
    enum atls_anchor_purpose purpose;
} purposes[] = {{"ak", ATLS_ANCHOR_AK}, {"ek", ATLS_ANCHOR_EK}, {"tls", ATLS_ANCHOR_TLS}};

static enum atls_code find_purpose(const char *name, enum atls_anchor_purpose *out,
                                   struct atls_err *err)
{
    for (size_t i = 0; i < sizeof(purposes) / sizeof(purposes[0]); i++)
        if (strcmp(name, purposes[i].name) == 0) {
            *out = purposes[i].purpose;
            return ATLS_OK;
        }
    return io_error(err, ATLS_E_CONFIG, "purpose is \"%.40s\", want ak, ek or tls", name);
}

static enum atls_code import_anchors(const struct cli *cli, struct atls_store *store,
                                     struct atls_err *err)
{
    struct atls_buf file = ATLS_BUF_INIT;
    struct atls_store_anchor_options as = {.class_uuid = cli_value(cli, "class"),
                                           .vendor = cli_value(cli, "vendor"),
                                           .model = cli_value(cli, "model")};
    size_t count = 0;
    enum atls_code code;

    if (cli_operand(cli, 1) == NULL)
        return io_error(err, ATLS_E_CONFIG, "--anchor: FILE is missing");
    if ((code = find_purpose(cli_value(cli, "anchor"), &as.purpose, err)) != ATLS_OK ||
        (code = io_read_file(cli_operand(cli, 1), &file, err)) != ATLS_OK)
        return code;
    code = atls_store_import_anchors_as(store, atls_buf_bytes(&file), &as, &count, err);
    atls_buf_clear(&file);
    if (code == ATLS_OK)
        printf("%zu new anchor%s\n", count, count == 1 ? "" : "s");
    return code;
}

static enum atls_code import_crls(const struct cli *cli, struct atls_store *store,
                                  struct atls_err *err)
{
    struct atls_buf file = ATLS_BUF_INIT;
    size_t count = 0;
    enum atls_code code;

    if ((code = io_read_file(cli_value(cli, "crl"), &file, err)) != ATLS_OK)
        return code;
    code = atls_store_import_crls(store, atls_buf_bytes(&file), &count, err);
    atls_buf_clear(&file);
    if (code == ATLS_OK)
        printf("%zu new revocation list%s\n", count, count == 1 ? "" : "s");
    return code;
}

static enum atls_code import_corim(const struct cli *cli, struct atls_store *store,
                                   struct atls_err *err)
{
    const char *signer = cli_value(cli, "signer");
    struct atls_buf file = ATLS_BUF_INIT, signer_file = ATLS_BUF_INIT, spki = ATLS_BUF_INIT;
    struct atls_store_import_report report;
    enum atls_code code;

    if ((code = io_read_file(cli_value(cli, "corim"), &file, err)) == ATLS_OK &&
        (signer == NULL ||
         ((code = io_read_file(signer, &signer_file, err)) == ATLS_OK &&
          (code = io_public_key(signer, atls_buf_bytes(&signer_file), &spki, err)) == ATLS_OK)))
        code = atls_store_import_corim(store, atls_buf_bytes(&file), atls_buf_bytes(&spki),
                                       (int64_t)time(NULL), &report, err);
    if (code == ATLS_OK)
        printf("manifest %s: %zu reference values, %zu attestation keys, %zu skipped\n",
               report.manifest_id, report.reference_values, report.attest_keys, report.skipped);
    atls_buf_clear(&file);
    atls_buf_clear(&signer_file);
    atls_buf_clear(&spki);
    return code;
}

static enum atls_code import_json(const struct cli *cli, struct atls_store *store,
                                  struct atls_err *err)
{
    struct atls_buf file = ATLS_BUF_INIT;
    enum atls_code code = io_read_file(cli_value(cli, "from-json"), &file, err);

    if (code == ATLS_OK)
        code = atls_store_import_json(store, atls_buf_bytes(&file), err);
    atls_buf_clear(&file);
    return code;
}

static enum atls_code run_import(const struct cli *cli, struct atls_store *store,
                                 struct atls_err *err)
{
    static const struct {
        const char *option;
        enum atls_code (*import)(const struct cli *, struct atls_store *, struct atls_err *);
    } kinds[] = {{"anchor", import_anchors},
                 {"crl", import_crls},
                 {"corim", import_corim},
                 {"from-json", import_json}};
    const size_t count = sizeof(kinds) / sizeof(kinds[0]);
    size_t given = 0, which = 0;

    for (size_t i = 0; i < count; i++)
        if (cli_value(cli, kinds[i].option) != NULL) {
            given++;
            which = i;
        }
    if (given != 1)
        return io_error(err, ATLS_E_CONFIG, "want one of --anchor, --crl, --corim and --from-json");
    return kinds[which].import(cli, store, err);
}

static enum atls_code show_entry(void *arg, const struct atls_store_entry *entry,
                                 struct atls_err *err)
{
    const struct cli *cli = arg;

    if (!cli_flag(cli, "json")) {
        printf("%s%s:%lld%s  %s  %s", cli_colour(stdout, CLI_BOLD), entry->kind,
               (long long)entry->id, cli_colour(stdout, CLI_PLAIN), entry->subject, entry->value);
        if (entry->manifest[0] != '\0')
            printf("  (manifest:%s)", entry->manifest);
        fputc('\n', stdout);
        return ATLS_OK;
    }
    if (cli_print_json(cli, stdout,
                       json_pack("{ss sI ss ss ss sI}", "kind", entry->kind, "id",
                                 (json_int_t)entry->id, "manifest", entry->manifest, "subject",
                                 entry->subject, "value", entry->value, "not-after",
                                 (json_int_t)entry->not_after_s)) != CLI_YES)
        return io_error(err, ATLS_E_NOMEM, "list: out of memory");
    return ATLS_OK;
}

static enum atls_code run_list(const struct cli *cli, struct atls_store *store,
                               struct atls_err *err)
{
    struct cli copy = *cli;

    return atls_store_list(store, show_entry, &copy, err);
}

static enum atls_code run_remove(const struct cli *cli, struct atls_store *store,
                                 struct atls_err *err)
{
    if (cli_operand(cli, 1) == NULL)
        return io_error(err, ATLS_E_CONFIG, "ENTRY is missing");
    return atls_store_remove(store, cli_operand(cli, 1), err);
}

static enum atls_code run_export(const struct cli *cli, struct atls_store *store,
                                 struct atls_err *err)
{
    struct atls_buf out = ATLS_BUF_INIT;
    enum atls_anchor_purpose purpose = ATLS_ANCHOR_AK;
    enum atls_code code;

    if (cli_value(cli, "anchors") == NULL)
        code = atls_store_export_json(store, &out, err);
    else if ((code = find_purpose(cli_value(cli, "anchors"), &purpose, err)) == ATLS_OK)
        code = atls_store_anchors_pem(store, purpose, &out, err);
    if (code == ATLS_OK)
        code = io_write_file(cli_value(cli, "out"), atls_buf_bytes(&out), IO_PUBLIC, err);
    atls_buf_clear(&out);
    return code;
}

static enum atls_code run_init(const struct cli *cli, struct atls_store *store,
                               struct atls_err *err)
{
    (void)cli;
    (void)store;
    (void)err;
    return ATLS_OK; /* opening has made it */
}

static enum cli_status run(struct cli *cli)
{
    static const struct {
        const char *name;
        enum atls_store_mode mode;
        enum atls_code (*run)(const struct cli *, struct atls_store *, struct atls_err *);
    } verbs[] = {
        {"init", ATLS_STORE_CREATE, run_init},   {"import", ATLS_STORE_WRITE, run_import},
        {"list", ATLS_STORE_READ, run_list},     {"remove", ATLS_STORE_WRITE, run_remove},
        {"export", ATLS_STORE_READ, run_export},
    };
    const char *verb = cli_operand(cli, 0);
    struct atls_store *store = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    for (size_t i = 0; verb != NULL && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(verb, verbs[i].name) != 0)
            continue;
        if (!cli_need(cli, (const char *const[]){"store", NULL}))
            return CLI_USAGE;
        if (atls_store_open(cli_value(cli, "store"), verbs[i].mode, &store, &err) == ATLS_OK)
            (void)!verbs[i].run(cli, store, &err);
        atls_store_close(store);
        return err.code == ATLS_OK ? CLI_YES : cli_fail(cli, &err);
    }
    return cli_usage(cli, "want init, import, list, remove or export");
}

const struct command command_store = {"store", "trust anchors, attestation keys, reference values",
                                      usage, 2, run};
