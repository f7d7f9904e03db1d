/* Whatever stands in tests/vectors can be shown, but for what is listed here with its reason. */
#include <dirent.h>
#include <fnmatch.h>
#include <sys/stat.h>

#include "inspected.h"

#define PATH_MAX_LEN 512

/* The first row that a path matches decides; every row is of use. said: NULL, or a part of the
 * message. */
struct refused {
    const char *pattern, *why, *said;
};
static const struct refused refused[] = {
    {"*/README.md", "prose", NULL},
    {"*.py", "a program", NULL},
    {"*.pp", "what another tool printed", NULL},
    {"*/*.diag", "diagnostic notation, of which the CBOR stands beside it", NULL},
    {"*/tpm_quote_sig_raw.bin", "bytes of a signature without its kind", NULL},
    {"psa/rfc9783-mac0/example_hmac_key.bin", "a secret key", NULL},
    {"eat/pkix-evidence1.pem", "evidence of a form that is not carried here", NULL},
    {"tpm/enacttrust/basic.token", "a token of a form that is not carried here", NULL},
    {"tpm/keylime-quote/quotepcr.out", "a format of tpm2-tools", NULL},
    {"tpm/keylime-quote/mkcred.out", "a format of tpm2-tools", NULL},
    {"tpm/keylime-quote/ak.name", "a TPM name: an algorithm and a digest", NULL},
    {"tpm/keylime-quote/secret.data", "a secret", NULL},
    {"tpm/eventlogs/binary_bios_measurements-bogus", "text where a log should be", NULL},
    {"tpm/ima/ima-sig-malformed.txt", "signature of another length than it says", "IMA log: entry"},
    {"tpm/parsec-tpm/evidence_bad_kat.cbor", "empty certifyInfo", "Parsec bundle"},
    {"tpm/parsec-tpm/evidence_not_cbor_map.cbor", "head that is cut", "CBOR"},
    {"cca/ccatoken-cmw-tag907/token_inner_not_bstr.cbor", "record whose value is no bytes",
     "not a byte string"},
    {"cmw/signed-neg-bad-payload.cbor", "says that it holds a wrapper", "CMW"},
    {"cmw/signed-neg-no-alg.cbor", "no algorithm", "names no algorithm"},
    {"cmw/signed-neg-no-cty.cbor", "no content type", "no content type"},
    {"cmw/signed-neg-wrong-cty.cbor", "another content type", "content type is not"},
    {"cmw/signed-neg-truncated.cbor", "cut", "truncated"},
    {"ear/jwt-neg-alg-none.jwt", "no signature", "signature"},
    {"ear/jwt-neg-empty-claims.jwt", "no claim", "eat_profile"},
    {"ear/jwt-neg-hs256.jwt", "authenticated, not signed", "HS256"},
    {"ear/jwt-neg-leading-dot.jwt", "a segment too many, empty", NULL},
    {"ear/jwt-neg-trailing.jwt", "a segment too many", "more than three"},
};
#define REFUSED (sizeof refused / sizeof refused[0])

/* Diagnostic notation that is JSON, too. */
static const char *const also_json[] = {"ear/ear-json-1.diag", "ear/ext-veraison-json-2.diag"};

/* What files are shown as, where the name tells; the first row that matches. */
static const struct {
    const char *pattern, *kind;
} shown[] = {
    {"tdx/sgx-v3-not-tdx/quote.bin", "sgx-quote"},
    {"tdx/*/quote.bin", "tdx-quote"},
    {"*/hcl_report.bin", "hcl-report"},
    {"sev-snp/*/report.bin", "snp-report"},
    {"*/ccel_acpi_table.bin", "ccel-table"},
    {"*/ccel*.bin", "event-log"},
    {"tpm/eventlogs/*.json", "json"},
    {"tpm/eventlogs/*", "event-log"},
    {"*crl*chain.pem", "certificate"},
    {"*crl*.der", "crl"},
    {"*_pub.pem", "public-key"},
    {"ear/*-pkey.pem", "public-key"},
    {"*-public.pem", "public-key"},
    {"tpm/keylime-quote/*pub.pem", "public-key"},
    {"*.pem", "certificate"},
    {"*.der", "certificate"},
    {"*.crt", "certificate"},
    {"*.cer", "certificate"},
    {"*.jwk", "jwk"},
    {"*pkey.json", "jwk"},
    {"tdx/*/tcb_info*.json", "intel-collateral"},
    {"tdx/*/qe_identity*.json", "intel-collateral"},
    {"tdx/*/*evaluation*.json", "intel-collateral"},
    {"*/cases.json", "json"},
    {"exported-authenticator/*.json", "json"},
    {"eat/psa-test-*.json", "json-claims"},
    {"eat/cca-*.json", "json-claims"},
    {"ear/*.jwt", "ear"},
    {"*/pcrs_*.txt", "pcrs"},
    {"tpm/ima/*", "ima-log"},
    {"psa/*/token.cbor", "psa"},
    {"cca/*/token.cbor", "cca"},
    {"cca/*/evidence.cbor", "parsec-cca"},
    {"tpm/*/evidence.cbor", "parsec-tpm"},
};

static bool is_also_json(const char *path)
{
    for (size_t i = 0; i < sizeof also_json / sizeof also_json[0]; i++)
        if (strcmp(path, also_json[i]) == 0)
            return true;
    return false;
}

static const char *kind_of(const char *path)
{
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++)
        if (fnmatch(shown[i].pattern, path, 0) == 0)
            return shown[i].kind;
    return NULL;
}

struct walk {
    size_t files, bad;
    bool used[REFUSED];
};

static size_t row_of(const char *path)
{
    for (size_t i = 0; i < REFUSED && !is_also_json(path); i++)
        if (fnmatch(refused[i].pattern, path, 0) == 0)
            return i;
    return REFUSED;
}

static void complain(struct walk *w, const char *path, const char *what)
{
    print_message("%s: %s\n", path, what);
    w->bad++;
}

static void check_shown(struct walk *w, const char *path, const struct atls_buf *text)
{
    const char *want = kind_of(path);
    json_t *root = json_loads((const char *)text->ptr, JSON_REJECT_DUPLICATES, NULL);
    const char *kind = json_string_value(json_object_get(root, "kind"));

    if (root == NULL || kind == NULL || !json_is_false(json_object_get(root, "verified")))
        complain(w, path, "what is shown is no JSON that says what it is");
    else if (want != NULL && strcmp(kind, want) != 0)
        complain(w, path, kind);
    json_decref(root);
}

static void check_file(struct walk *w, const char *path)
{
    struct atls_buf in = test_vector(path), text = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    size_t row = row_of(path);
    enum atls_code code = atls_inspect(atls_buf_bytes(&in), NULL, &text, &err);

    w->files++;
    if (row < REFUSED)
        w->used[row] = true;
    if (code != ATLS_OK && row == REFUSED)
        complain(w, path, err.message);
    else if (code == ATLS_OK && row < REFUSED)
        complain(w, path, "is shown, in spite of what is listed");
    else if (code != ATLS_OK &&
             (err.message[0] == '\0' ||
              (refused[row].said != NULL && strstr(err.message, refused[row].said) == NULL)))
        complain(w, path, err.message);
    else if (code == ATLS_OK)
        check_shown(w, path, &text);
    atls_buf_clear(&text);
    atls_buf_clear(&in);
}

static void walk_directory(struct walk *w, const char *relative, int depth)
{
    char path[PATH_MAX_LEN], whole[PATH_MAX_LEN + sizeof ATLS_TEST_VECTORS];
    struct dirent *entry;
    struct stat st;
    DIR *directory;

    assert_true(depth < 8);
    snprintf(whole, sizeof whole, "%s/%s", ATLS_TEST_VECTORS, relative);
    directory = opendir(whole);
    assert_non_null(directory);
    while ((entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        assert_true(snprintf(path, sizeof path, "%s%s%s", relative, relative[0] == '\0' ? "" : "/",
                             entry->d_name) < (int)sizeof path);
        snprintf(whole, sizeof whole, "%s/%s", ATLS_TEST_VECTORS, path);
        assert_int_equal(stat(whole, &st), 0);
        if (S_ISDIR(st.st_mode))
            walk_directory(w, path, depth + 1);
        else
            check_file(w, path);
    }
    closedir(directory);
}

static void every_vector_is_shown_but_those_listed(void **state)
{
    struct walk w = {0, 0, {false}};

    (void)state;
    walk_directory(&w, "", 0);
    print_message("%zu files\n", w.files);
    assert_true(w.files > 300);
    for (size_t i = 0; i < REFUSED; i++)
        if (!w.used[i])
            complain(&w, refused[i].pattern, "no such file");
    assert_int_equal(w.bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_vector_is_shown_but_those_listed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
