/* atls corim: reference manifests from a template, signed, checked, shown. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <atls/corim.h>

#include "commands.h"
#include "io.h"

static const char usage[] =
    "usage: atls corim create --template FILE [--out FILE]\n"
    "       atls corim from-evidence --id ID [--profile NAME] [--only NAME,...] [--as-template]\n"
    "                       [--out FILE] FILE\n"
    "       atls corim sign --key FILE --signer NAME [--chain FILE] [--not-after RFC3339]\n"
    "                       [--out FILE] FILE\n"
    "       atls corim verify {--key FILE | --anchor FILE ...} [--crl FILE ...] [--time RFC3339] "
    "FILE\n"
    "       atls corim show [--json] FILE\n"
    "\n"
    "Makes and shows reference manifests (CoRIM). FILE - is standard input.\n"
    "\n"
    "  --template FILE       JSON: id, class, vendor, model, attest-keys, reference-values, ...\n"
    "  --id ID               of the manifest that evidence becomes\n"
    "  --profile NAME        snp, tdx, cca-platform, cca-realm or psa; needed for CCA alone\n"
    "  --only NAME,...       these reference values alone, as a template names them\n"
    "  --as-template         write the template, to be edited, instead of the manifest\n"
    "  --out FILE            where the manifest goes; default standard output\n"
    "  --key FILE            private key (PEM) to sign with; public key (PEM, DER, JWK) or\n"
    "                        certificate that must have signed\n"
    "  --signer NAME         who signs, in the manifest's own words\n"
    "  --chain FILE          certificates (PEM) that go into the signature, the signer's first\n"
    "  --not-before RFC3339  the signature counts from here on\n"
    "  --not-after RFC3339   the signature counts until here\n"
    "  --anchor FILE ...     certificates (PEM): a signer below one of them is trusted\n"
    "  --crl FILE ...        revocation lists (PEM) for signers below an anchor\n"
    "  --time RFC3339        judge the validity at this time instead of now\n"
    "  --legacy              take what an old tool signed without tag 501\n"
    "  --signer-key FILE     the same as --key for verify\n"
    "  --json                JSON instead of text for people\n"
    "  --help                this text\n";

static enum atls_code create(const struct cli *cli, struct atls_buf *out, struct atls_err *err)
{
    struct atls_buf template = ATLS_BUF_INIT;
    enum atls_code code = io_read_file(cli_value(cli, "template"), &template, err);

    if (code == ATLS_OK)
        code = atls_corim_create(atls_buf_bytes(&template), out, err);
    atls_buf_clear(&template);
    return code;
}

static enum atls_code optional_time(const struct cli *cli, const char *name, int64_t *out,
                                    struct atls_err *err)
{
    const char *text = cli_value(cli, name);

    return text != NULL ? io_time(text, out, err) : ATLS_OK;
}

static enum atls_code sign(const struct cli *cli, struct atls_bytes in, struct atls_buf *out,
                           struct atls_err *err)
{
    struct atls_corim_sign_options options = {.signer = cli_value(cli, "signer")};
    const char *chain_path = cli_value(cli, "chain");
    struct atls_buf key = ATLS_BUF_INIT, chain = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = optional_time(cli, "not-before", &options.not_before_s, err)) == ATLS_OK &&
        (code = optional_time(cli, "not-after", &options.not_after_s, err)) == ATLS_OK &&
        (chain_path == NULL || (code = io_read_file(chain_path, &chain, err)) == ATLS_OK) &&
        (code = io_read_file(cli_value(cli, "key"), &key, err)) == ATLS_OK) {
        options.key_pem = atls_buf_bytes(&key);
        options.chain_pem = atls_buf_bytes(&chain);
        code = atls_corim_sign(in, &options, out, err);
    }
    atls_buf_clear(&chain);
    atls_buf_clear(&key);
    return code;
}

/* The content of every file that an option names, one after the other: PEM can be joined. */
static enum atls_code read_all(const struct cli *cli, const char *option, struct atls_buf *out,
                               struct atls_err *err)
{
    const char *path;

    for (size_t i = 0; (path = cli_value_at(cli, option, i)) != NULL; i++) {
        struct atls_buf file = ATLS_BUF_INIT;
        enum atls_code code = io_read_file(path, &file, err);
        uint8_t *joined;

        if (code != ATLS_OK)
            return code;
        if ((joined = realloc(out->ptr, out->len + file.len + 1)) == NULL) {
            atls_buf_clear(&file);
            return io_error(err, ATLS_E_NOMEM, "%s: out of memory", path);
        }
        memcpy(joined + out->len, file.ptr, file.len);
        joined[out->len + file.len] = '\n';
        out->ptr = joined;
        out->len += file.len + 1;
        atls_buf_clear(&file);
    }
    return ATLS_OK;
}

/* A JWK is the library's to read; everything else becomes a SubjectPublicKeyInfo here. */
static enum atls_code read_signer_key(const char *path, struct atls_buf *out, struct atls_err *err)
{
    struct atls_buf file = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = io_read_file(path, &file, err)) != ATLS_OK)
        return code;
    if (file.len != 0 && file.ptr[0] == '{') {
        *out = file;
        return ATLS_OK;
    }
    code = io_public_key(path, atls_buf_bytes(&file), out, err);
    atls_buf_clear(&file);
    return code;
}

static enum atls_code verify(const struct cli *cli, const char *key_path, struct atls_bytes in,
                             struct atls_err *err)
{
    struct atls_buf key = ATLS_BUF_INIT, anchors = ATLS_BUF_INIT, crls = ATLS_BUF_INIT;
    struct atls_corim_trust trust = {.time_s = (int64_t)time(NULL),
                                     .legacy = cli_flag(cli, "legacy")};
    enum atls_code code = ATLS_OK;

    if (key_path != NULL)
        code = read_signer_key(key_path, &key, err);
    if (code == ATLS_OK && (code = optional_time(cli, "time", &trust.time_s, err)) == ATLS_OK &&
        (code = read_all(cli, "anchor", &anchors, err)) == ATLS_OK &&
        (code = read_all(cli, "crl", &crls, err)) == ATLS_OK) {
        trust.signer_spki = atls_buf_bytes(&key);
        trust.anchors = atls_buf_bytes(&anchors);
        trust.crls = atls_buf_bytes(&crls);
        code = atls_corim_verify_trusted(in, &trust, NULL, err);
    }
    atls_buf_clear(&key);
    atls_buf_clear(&anchors);
    atls_buf_clear(&crls);
    return code;
}

/* Keys and anchors are the caller's, a manifest may be anybody's: one that cannot be read at all is
 * refused, whatever else was wrong. */
static bool is_unreadable(const struct cli *cli, struct atls_bytes in)
{
    struct atls_buf shown = ATLS_BUF_INIT;
    enum atls_code code = atls_corim_to_json(in, &shown, NULL);

    atls_buf_clear(&shown);
    return !cli_flag(cli, "legacy") && (code == ATLS_E_DECODE || code == ATLS_E_UNSUPPORTED);
}

static enum cli_status run_create(struct cli *cli)
{
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    if (!cli_need(cli, (const char *const[]){"template", NULL}))
        return CLI_USAGE;
    if (create(cli, &out, &err) == ATLS_OK)
        (void)!io_write_file(cli_value(cli, "out"), atls_buf_bytes(&out), IO_PUBLIC, &err);
    atls_buf_clear(&out);
    return err.code == ATLS_OK ? CLI_YES : cli_fail(cli, &err);
}

/* ---- from evidence ---- */

#define NAMES_MAX 32

/* Splits "a,b" in place. */
static bool split_names(char *text, const char *names[static NAMES_MAX + 1])
{
    size_t count = 0;

    for (char *at = text; at != NULL; count++) {
        char *comma = strchr(at, ',');

        if (count == NAMES_MAX)
            return false;
        names[count] = at;
        if (comma != NULL)
            *comma++ = '\0';
        at = comma;
    }
    names[count] = NULL;
    return true;
}

static enum atls_code make_template(const struct cli *cli, struct atls_bytes in,
                                    struct atls_buf *out, struct atls_err *err)
{
    struct atls_corim_evidence_options options = {.id = cli_value(cli, "id"),
                                                  .profile = cli_value(cli, "profile")};
    const char *only = cli_value(cli, "only"), *names[NAMES_MAX + 1];
    char *copy = NULL;
    enum atls_code code;

    if (only != NULL) {
        if ((copy = strdup(only)) == NULL)
            return io_error(err, ATLS_E_NOMEM, "out of memory");
        if (!split_names(copy, names)) {
            free(copy);
            return io_error(err, ATLS_E_CONFIG, "--only has more than %d names", NAMES_MAX);
        }
        options.only = names;
    }
    code = atls_corim_template_of_evidence(in, &options, out, err);
    free(copy);
    return code;
}

static enum atls_code make_manifest(const struct cli *cli, struct atls_bytes in,
                                    struct atls_buf *out, struct atls_err *err)
{
    struct atls_buf template = ATLS_BUF_INIT;
    enum atls_code code;

    if (cli_flag(cli, "as-template"))
        return make_template(cli, in, out, err);
    if ((code = make_template(cli, in, &template, err)) == ATLS_OK)
        code = atls_corim_create(atls_buf_bytes(&template), out, err);
    atls_buf_clear(&template);
    return code;
}

static enum cli_status run_from_evidence(struct cli *cli, struct atls_bytes in)
{
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    if (!cli_need(cli, (const char *const[]){"id", NULL}))
        return CLI_USAGE;
    if (make_manifest(cli, in, &out, &err) == ATLS_OK &&
        io_write_file(cli_value(cli, "out"), atls_buf_bytes(&out), IO_PUBLIC, &err) == ATLS_OK) {
        if (cli_flag(cli, "as-template") && cli_value(cli, "out") == NULL)
            putchar('\n');
        cli_say(cli, "nothing was verified: these values are good if the machine was");
    }
    atls_buf_clear(&out);
    return err.code == ATLS_OK ? CLI_YES : cli_fail(cli, &err);
}

static enum cli_status run_sign(struct cli *cli, struct atls_bytes in)
{
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    if (!cli_need(cli, (const char *const[]){"key", "signer", NULL}))
        return CLI_USAGE;
    if (sign(cli, in, &out, &err) == ATLS_OK)
        (void)!io_write_file(cli_value(cli, "out"), atls_buf_bytes(&out), IO_PUBLIC, &err);
    atls_buf_clear(&out);
    return err.code == ATLS_OK ? CLI_YES : cli_fail(cli, &err);
}

static enum cli_status run_verify(struct cli *cli, struct atls_bytes in)
{
    const char *key = cli_value(cli, "key"), *signer_key = cli_value(cli, "signer-key");
    struct atls_err err = ATLS_ERR_INIT;

    if (key != NULL && signer_key != NULL)
        return cli_usage(cli, "--key and --signer-key are the same: give one");
    if (key == NULL && signer_key == NULL && cli_value(cli, "anchor") == NULL)
        return cli_usage(cli, "--key or --anchor is missing");
    if (verify(cli, key != NULL ? key : signer_key, in, &err) != ATLS_OK)
        return is_unreadable(cli, in) ? cli_fail_peer(cli, &err) : cli_fail(cli, &err);
    puts("signature and validity are good");
    return CLI_YES;
}

static enum cli_status run_show(struct cli *cli, struct atls_bytes in)
{
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    enum cli_status status;

    if (atls_corim_to_json(in, &out, &err) != ATLS_OK)
        return cli_fail(cli, &err);
    status = cli_show_json(cli, atls_buf_bytes(&out));
    atls_buf_clear(&out);
    return status;
}

static enum cli_status run(struct cli *cli)
{
    static const struct {
        const char *name;
        enum cli_status (*run)(struct cli *cli, struct atls_bytes in);
    } verbs[] = {{"from-evidence", run_from_evidence},
                 {"sign", run_sign},
                 {"verify", run_verify},
                 {"show", run_show}};
    const char *verb = cli_operand(cli, 0), *path = cli_operand(cli, 1);
    struct atls_buf in = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    enum cli_status status;

    if (verb != NULL && strcmp(verb, "create") == 0)
        return run_create(cli);
    for (size_t i = 0; verb != NULL && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(verb, verbs[i].name) != 0)
            continue;
        if (path == NULL)
            return cli_usage(cli, "FILE is missing");
        if (io_read_file(path, &in, &err) != ATLS_OK)
            return cli_fail(cli, &err);
        status = verbs[i].run(cli, atls_buf_bytes(&in));
        atls_buf_clear(&in);
        return status;
    }
    return cli_usage(cli, "want create, from-evidence, sign, verify or show");
}

const struct command command_corim = {
    "corim", "make, sign, verify and show reference manifests", usage, 2, run, NULL};
