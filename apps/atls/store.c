/* atls store: what a verifier trusts and expects. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <atls/store.h>

#include "commands.h"
#include "documents.h"
#include "io.h"

/* The year 9999. */
#define MAX_TIME_S INT64_C(253402300799)

static const char usage[] =
    "usage: atls store init --store DB\n"
    "       atls store import --store DB {--anchor PURPOSE FILE | --crl FILE | --corim FILE\n"
    "             | --collateral PATH ... | --from-json FILE}\n"
    "       atls store list --store DB [--json]\n"
    "       atls store remove --store DB ENTRY\n"
    "       atls store export --store DB [--anchors PURPOSE | --with-signing-keys | --documents "
    "DIR]\n"
    "             [--out FILE]\n"
    "       atls store key --store DB {new | add FILE | list | remove KID}\n"
    "\n"
    "Keeps trust anchors, revocation lists, collateral, attestation keys, reference values,\n"
    "endorsements and the keys that sign results, in one file or in a PostgreSQL database that\n"
    "several share.\n"
    "\n"
    "  --store DB         the store: a file, or a URI that begins with postgresql://\n"
    "  --schema NAME      of the store in a PostgreSQL database; default atls\n"
    "  --anchor PURPOSE   import FILE, certificates (PEM or DER), as anchors: ak (attestation key\n"
    "                     certificates), ek (TPM makers), tls (identity certificates) or tee\n"
    "                     (makers of confidential-computing hardware; prints fingerprints)\n"
    "  --class UUID       the class of machines that an ak or tee anchor stands for\n"
    "  --vendor NAME      of the class, for reference values that name it\n"
    "  --model NAME       of the class\n"
    "  --crl FILE         import certificate revocation lists (PEM or DER); once one is past its\n"
    "                     next update, certificates of its issuer are refused\n"
    "  --collateral PATH ...  import documents that makers publish: files called\n"
    "                     KIND-SUBJECT.EXTENSION, or a directory of such\n"
    "  --corim FILE       import a reference manifest\n"
    "  --signer FILE      the manifest must be signed by this public key or certificate\n"
    "  --signer-anchors FILE  or by a certificate that leads to one of these (PEM)\n"
    "  --profile NAME     the manifest must have this profile: a URI, or an OID in dots\n"
    "  --legacy           take what an old tool wrote, too\n"
    "  --from-json FILE   import what \"export\" wrote\n"
    "  --anchors PURPOSE  export the anchors of one purpose as PEM instead of everything as JSON\n"
    "  --documents DIR    export the documents that makers publish as files\n"
    "  --with-signing-keys  export private keys, too: into a new file that nobody else may read\n"
    "  --out FILE         where the export goes; default standard output\n"
    "  --type TYPE        of a new signing key: p256 (default), p384 or ed25519\n"
    "  --use-from TIME    when a key begins to sign: seconds since 1970, or +SECONDS from now;\n"
    "                     default now\n"
    "  --json             list as JSON, one object a line\n"
    "  --help             this text\n"
    "\n"
    "ENTRY is anchor:ID, crl:ID, collateral:ID, attest-key:ID, manifest:ID or signing-key:KID as\n"
    "\"list\" shows them. \"key list\" prints the public keys as a JWK set, the one that signs now "
    "first.\n";

static const struct {
    const char *name;
    enum atls_anchor_purpose purpose;
} purposes[] = {{"ak", ATLS_ANCHOR_AK},
                {"ek", ATLS_ANCHOR_EK},
                {"tls", ATLS_ANCHOR_TLS},
                {"tee", ATLS_ANCHOR_TEE}};

static enum atls_code find_purpose(const char *name, enum atls_anchor_purpose *out,
                                   struct atls_err *err)
{
    for (size_t i = 0; i < sizeof(purposes) / sizeof(purposes[0]); i++)
        if (strcmp(name, purposes[i].name) == 0) {
            *out = purposes[i].purpose;
            return ATLS_OK;
        }
    return io_error(err, ATLS_E_CONFIG, "purpose is \"%.40s\", want ak, ek, tls or tee", name);
}

/* For people to compare with what the maker says. */
static void show_fingerprint(void *arg, const char *subject, const char *fingerprint, bool is_new)
{
    (void)arg;
    printf("%s sha256:%s%s\n", subject, fingerprint, is_new ? "" : " (on file already)");
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
    if (as.purpose == ATLS_ANCHOR_TEE)
        as.imported = show_fingerprint;
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

static enum atls_code import_document(void *arg, const char *path, const char *name,
                                      struct atls_bytes document, struct atls_err *err)
{
    static const char *const outcomes[] = {
        [ATLS_STORE_COLLATERAL_NEW] = "imported",
        [ATLS_STORE_COLLATERAL_SAME] = "on file already",
        [ATLS_STORE_COLLATERAL_OLDER] = "older than what is on file: not imported",
    };
    enum atls_store_collateral_import outcome = ATLS_STORE_COLLATERAL_SAME;
    enum atls_code code =
        atls_store_import_collateral(arg, name, document, (int64_t)time(NULL), &outcome, err);
    char message[sizeof err->message];

    if (code == ATLS_OK) {
        printf("%s: %s\n", name, outcomes[outcome]);
        return ATLS_OK;
    }
    snprintf(message, sizeof message, "%s", err->message);
    return io_error(err, code, "%.80s: %.150s", path, message);
}

static enum atls_code import_collateral(const struct cli *cli, struct atls_store *store,
                                        struct atls_err *err)
{
    enum atls_code code = ATLS_OK;
    const char *path;

    for (size_t i = 0; (path = cli_value_at(cli, "collateral", i)) != NULL && code == ATLS_OK; i++)
        code = documents_each(path, import_document, store, err);
    return code;
}

static void print_report(const struct atls_store_import_report *report)
{
    if (report->unchanged)
        printf("manifest %s: on file already\n", report->manifest_id);
    else
        printf("manifest %s: %zu reference values, %zu attestation keys, %zu identity keys, "
               "%zu endorsements, %zu anchors, %zu skipped\n",
               report->manifest_id, report->reference_values, report->attest_keys,
               report->identity_keys, report->endorsements, report->anchors, report->skipped);
}

/* Who may have signed: without either file nobody has. */
static enum atls_code read_signers(const struct cli *cli, struct atls_buf *spki,
                                   struct atls_buf *anchors, struct atls_err *err)
{
    const char *signer = cli_value(cli, "signer"), *chain = cli_value(cli, "signer-anchors");
    struct atls_buf file = ATLS_BUF_INIT;
    enum atls_code code = ATLS_OK;

    if (signer != NULL && (code = io_read_file(signer, &file, err)) == ATLS_OK)
        code = io_public_key(signer, atls_buf_bytes(&file), spki, err);
    atls_buf_clear(&file);
    if (code == ATLS_OK && chain != NULL)
        code = io_read_file(chain, anchors, err);
    return code;
}

static enum atls_code import_corim(const struct cli *cli, struct atls_store *store,
                                   struct atls_err *err)
{
    struct atls_buf file = ATLS_BUF_INIT, spki = ATLS_BUF_INIT, anchors = ATLS_BUF_INIT;
    struct atls_store_import_report report;
    struct atls_store_corim_options options;
    enum atls_code code;

    atls_store_corim_options_init(&options);
    options.profile = cli_value(cli, "profile");
    options.legacy = cli_flag(cli, "legacy");
    options.time_s = (int64_t)time(NULL);
    if ((code = io_read_file(cli_value(cli, "corim"), &file, err)) == ATLS_OK &&
        (code = read_signers(cli, &spki, &anchors, err)) == ATLS_OK) {
        options.signer_spki = atls_buf_bytes(&spki);
        options.anchors = atls_buf_bytes(&anchors);
        options.allow_unsigned = spki.len == 0 && anchors.len == 0;
        code = atls_store_import_corim_as(store, atls_buf_bytes(&file), &options, &report, err);
    }
    if (code == ATLS_OK)
        print_report(&report);
    atls_buf_clear(&file);
    atls_buf_clear(&spki);
    atls_buf_clear(&anchors);
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
                 {"collateral", import_collateral},
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
        return io_error(err, ATLS_E_CONFIG,
                        "want one of --anchor, --crl, --collateral, --corim and --from-json");
    return kinds[which].import(cli, store, err);
}

static enum atls_code show_entry(void *arg, const struct atls_store_entry *entry,
                                 struct atls_err *err)
{
    const struct cli *cli = arg;

    if (!cli_flag(cli, "json") && strcmp(entry->kind, "signing-key") == 0) {
        printf("%s%s:%s%s  %s\n", cli_colour(stdout, CLI_BOLD), entry->kind, entry->subject,
               cli_colour(stdout, CLI_PLAIN), entry->value);
        return ATLS_OK;
    }
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

static enum atls_code write_document(void *arg, const struct atls_store_collateral *c,
                                     struct atls_err *err)
{
    return documents_write(arg, c->file_name, c->document, err);
}

static enum atls_code export_documents(const struct cli *cli, struct atls_store *store,
                                       struct atls_err *err)
{
    char directory[4096];

    snprintf(directory, sizeof directory, "%s", cli_value(cli, "documents"));
    return atls_store_list_collateral(store, write_document, directory, err);
}

static enum atls_code run_export(const struct cli *cli, struct atls_store *store,
                                 struct atls_err *err)
{
    struct atls_buf out = ATLS_BUF_INIT;
    enum atls_anchor_purpose purpose = ATLS_ANCHOR_AK;
    bool with_keys = cli_flag(cli, "with-signing-keys");
    enum atls_code code;

    if (with_keys + (cli_value(cli, "anchors") != NULL) + (cli_value(cli, "documents") != NULL) > 1)
        return io_error(err, ATLS_E_CONFIG,
                        "want one of --anchors, --documents and --with-signing-keys");
    if (cli_value(cli, "documents") != NULL)
        return export_documents(cli, store, err);
    if (with_keys)
        code = atls_store_export_json_with_keys(store, &out, err);
    else if (cli_value(cli, "anchors") == NULL)
        code = atls_store_export_json(store, &out, err);
    else if ((code = find_purpose(cli_value(cli, "anchors"), &purpose, err)) == ATLS_OK)
        code = atls_store_anchors_pem(store, purpose, &out, err);
    if (code == ATLS_OK)
        code = io_write_file(cli_value(cli, "out"), atls_buf_bytes(&out),
                             with_keys ? IO_SECRET : IO_PUBLIC, err);
    atls_buf_clear(&out);
    return code;
}

/* ---- keys that sign results ---- */

static enum atls_code use_from(const struct cli *cli, int64_t *out, struct atls_err *err)
{
    const char *text = cli_value(cli, "use-from");
    bool later = text != NULL && text[0] == '+';
    int64_t now_s = (int64_t)time(NULL);
    char *end;
    long long v;

    if (text == NULL) {
        *out = now_s;
        return ATLS_OK;
    }
    errno = 0;
    v = strtoll(text + later, &end, 10);
    if (errno != 0 || text[later] < '0' || text[later] > '9' || *end != '\0' || v > MAX_TIME_S)
        return io_error(err, ATLS_E_CONFIG,
                        "--use-from is \"%.40s\", want seconds since 1970, or +SECONDS", text);
    *out = later ? now_s + v : v;
    return ATLS_OK;
}

static enum atls_code new_key(const struct cli *cli, struct atls_store *store, struct atls_err *err)
{
    static const struct {
        const char *name;
        enum atls_key_type type;
    } types[] = {{"p256", ATLS_KEY_P256}, {"p384", ATLS_KEY_P384}, {"ed25519", ATLS_KEY_ED25519}};
    const char *name = cli_value(cli, "type");
    enum atls_key_type type = name == NULL ? ATLS_KEY_P256 : ATLS_KEY_NONE;
    char kid[ATLS_KID_TEXT];
    int64_t from_s;
    enum atls_code code;

    for (size_t i = 0; name != NULL && i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(name, types[i].name) == 0)
            type = types[i].type;
    if (type == ATLS_KEY_NONE)
        return io_error(err, ATLS_E_CONFIG, "--type is \"%.40s\", want p256, p384 or ed25519",
                        name);
    if ((code = use_from(cli, &from_s, err)) == ATLS_OK &&
        (code = atls_store_new_signing_key(store, type, from_s, kid, err)) == ATLS_OK)
        printf("%s\n", kid);
    return code;
}

static enum atls_code add_key(const struct cli *cli, struct atls_store *store, struct atls_err *err)
{
    struct atls_buf file = ATLS_BUF_INIT;
    char kid[ATLS_KID_TEXT];
    int64_t from_s;
    enum atls_code code;

    if (cli_operand(cli, 2) == NULL)
        return io_error(err, ATLS_E_CONFIG, "FILE is missing");
    if ((code = use_from(cli, &from_s, err)) == ATLS_OK &&
        (code = io_read_file(cli_operand(cli, 2), &file, err)) == ATLS_OK &&
        (code = atls_store_add_signing_key(store, atls_buf_bytes(&file), from_s, kid, err)) ==
            ATLS_OK)
        printf("%s\n", kid);
    atls_buf_clear(&file);
    return code;
}

static enum atls_code list_keys(const struct cli *cli, struct atls_store *store,
                                struct atls_err *err)
{
    struct atls_buf jwks = ATLS_BUF_INIT;
    enum atls_code code = atls_store_signing_keys_jwks(store, (int64_t)time(NULL), &jwks, err);

    if (code == ATLS_OK)
        code = io_write_file(cli_value(cli, "out"), atls_buf_bytes(&jwks), IO_PUBLIC, err);
    if (code == ATLS_OK && cli_value(cli, "out") == NULL)
        putchar('\n');
    atls_buf_clear(&jwks);
    return code;
}

static enum atls_code remove_key(const struct cli *cli, struct atls_store *store,
                                 struct atls_err *err)
{
    char what[128];

    if (cli_operand(cli, 2) == NULL)
        return io_error(err, ATLS_E_CONFIG, "KID is missing");
    snprintf(what, sizeof what, "signing-key:%.100s", cli_operand(cli, 2));
    return atls_store_remove(store, what, err);
}

static enum atls_code run_key(const struct cli *cli, struct atls_store *store, struct atls_err *err)
{
    static const struct {
        const char *name;
        enum atls_code (*run)(const struct cli *, struct atls_store *, struct atls_err *);
    } verbs[] = {{"new", new_key}, {"add", add_key}, {"list", list_keys}, {"remove", remove_key}};
    const char *verb = cli_operand(cli, 1);

    for (size_t i = 0; verb != NULL && i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcmp(verb, verbs[i].name) == 0)
            return verbs[i].run(cli, store, err);
    return io_error(err, ATLS_E_CONFIG, "want key new, add, list or remove");
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
        size_t operands; /* with the verb */
        enum atls_code (*run)(const struct cli *, struct atls_store *, struct atls_err *);
    } verbs[] = {
        {"init", ATLS_STORE_CREATE, 1, run_init},   {"import", ATLS_STORE_WRITE, 2, run_import},
        {"list", ATLS_STORE_READ, 1, run_list},     {"remove", ATLS_STORE_WRITE, 2, run_remove},
        {"export", ATLS_STORE_READ, 1, run_export}, {"key", ATLS_STORE_WRITE, 3, run_key},
    };
    struct atls_store_options options;
    const char *verb = cli_operand(cli, 0);
    struct atls_store *store = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    for (size_t i = 0; verb != NULL && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(verb, verbs[i].name) != 0)
            continue;
        if (cli_operand(cli, verbs[i].operands) != NULL)
            return cli_usage(cli, "operand \"%.40s\" is one too many",
                             cli_operand(cli, verbs[i].operands));
        if (!cli_need(cli, (const char *const[]){"store", NULL}))
            return CLI_USAGE;
        atls_store_options_init(&options);
        options.mode = verbs[i].mode;
        options.schema = cli_value(cli, "schema");
        if (atls_store_open_with(cli_value(cli, "store"), &options, &store, &err) == ATLS_OK)
            (void)!verbs[i].run(cli, store, &err);
        atls_store_close(store);
        return err.code == ATLS_OK ? CLI_YES : cli_fail(cli, &err);
    }
    return cli_usage(cli, "want init, import, list, remove, export or key");
}

const struct command command_store = {
    "store", "trust anchors, attestation keys, reference values", usage, 3, run, NULL};
