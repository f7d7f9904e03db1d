/* Documents that makers publish: imported, looked up by time, replaced, carried over. */
#include "material.h"
#include "pki.h"

static enum atls_code put(struct atls_store *s, const char *name, struct atls_bytes document,
                          enum atls_store_collateral_import *out, struct atls_err *err)
{
    return atls_store_import_collateral(s, name, document, NOW, out, err);
}

static struct atls_bytes text_bytes(const char *text)
{
    return atls_bytes_of(text, strlen(text));
}

static enum atls_code find(struct atls_store *s, enum atls_collateral_kind kind,
                           const char *subject, int64_t time_s, struct atls_buf *out,
                           struct atls_err *err)
{
    struct atls_store_view view = {.store = s, .time_s = time_s};
    const struct atls_collateral_query query = {kind, subject};
    struct atls_endorsement_source source;

    atls_store_view_source(&view, &source);
    return source.collateral(source.arg, &query, time_s, out, err);
}

/* Finds a document twice, the second time in memory, and compares it. */
static void find_this(struct atls_store *s, enum atls_collateral_kind kind, const char *subject,
                      int64_t time_s, struct atls_bytes want)
{
    for (int i = 0; i < 2; i++) {
        struct atls_buf found = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;

        test_assert_code(find(s, kind, subject, time_s, &found, &err), ATLS_OK, &err);
        test_assert_bytes(atls_buf_bytes(&found), want);
        atls_buf_clear(&found);
    }
}

static void no_such(struct atls_store *s, enum atls_collateral_kind kind, const char *subject,
                    int64_t time_s, enum atls_reason reason)
{
    struct atls_buf found = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(find(s, kind, subject, time_s, &found, &err), ATLS_E_NOT_FOUND, &err);
    assert_int_equal(err.reason, reason);
    assert_null(found.ptr);
}

#define FMSPC "00806f050000"
#define TCB(issued, next)                                                                          \
    "{\"tcbInfo\":{\"id\":\"TDX\",\"issueDate\":\"" issued "\",\"nextUpdate\":\"" next             \
    "\"},\"signature\":\"00\"}"
/* 2027-01-01 is 1798761600, before NOW. */
static const char january[] = TCB("2027-01-01T00:00:00Z", "2027-01-31T00:00:00Z");
static const char february[] = TCB("2027-02-01T00:00:00Z", "2027-03-01T00:00:00Z");
#define JANUARY_S  INT64_C(1798761600)
#define FEBRUARY_S INT64_C(1801440000)
#define DAY_S      INT64_C(86400)

static void each_kind_is_found_under_its_name(void **state)
{
    struct place *p = *state;
    struct test_identity ca = test_ca("CA");
    struct atls_buf crl = test_crl(&ca, NULL, NOW - 10, NOW + 10);
    struct atls_buf vek = test_vector("sev-snp/milan-v2-provisional/vcek.der");
    struct atls_buf chain = test_vector("sev-snp/roots/ask_ark_milan.pem");
    static const char qe[] = "{\"enclaveIdentity\":{\"issueDate\":\"2027-01-01T00:00:00Z\","
                             "\"nextUpdate\":\"2027-01-31T00:00:00Z\"},\"signature\":\"00\"}";
    static const char numbers[] =
        "{\"tcbEvaluationDataNumbers\":{\"issueDate\":\"2027-01-01T00:00:00Z\","
        "\"nextUpdate\":\"2027-01-31T00:00:00Z\"},\"signature\":\"00\"}";
    const struct {
        const char *name;
        enum atls_collateral_kind kind;
        const char *subject;
        struct atls_bytes document;
    } rows[] = {
        {"snp-vek-milan-00ff-0102.der", ATLS_COLLATERAL_SNP_VEK, "milan-00ff-0102",
         atls_buf_bytes(&vek)},
        {"snp-ca-milan.pem", ATLS_COLLATERAL_SNP_CA, "milan", atls_buf_bytes(&chain)},
        {"snp-crl-milan.crl", ATLS_COLLATERAL_SNP_CRL, "milan", atls_buf_bytes(&crl)},
        {"some/where/tdx-tcb-info-" FMSPC ".json", ATLS_COLLATERAL_TDX_TCB_INFO, FMSPC,
         text_bytes(january)},
        {"tdx-qe-identity-td.json", ATLS_COLLATERAL_TDX_QE_IDENTITY, "td", text_bytes(qe)},
        {"tdx-tcb-chain-tcb.pem", ATLS_COLLATERAL_TDX_TCB_CHAIN, "tcb", atls_buf_bytes(&chain)},
        {"tdx-pck-crl-platform.crl", ATLS_COLLATERAL_TDX_PCK_CRL, "platform", atls_buf_bytes(&crl)},
        {"tdx-pck-crl-chain-platform.pem", ATLS_COLLATERAL_TDX_PCK_CRL_CHAIN, "platform",
         atls_buf_bytes(&chain)},
        {"tdx-root-crl-root.crl", ATLS_COLLATERAL_TDX_ROOT_CRL, "root", atls_buf_bytes(&crl)},
        {"tdx-evaluation-tdx.json", ATLS_COLLATERAL_TDX_EVALUATION, "tdx", text_bytes(numbers)},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum atls_store_collateral_import outcome = ATLS_STORE_COLLATERAL_OLDER;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        no_such(p->store, rows[i].kind, rows[i].subject, NOW, ATLS_REASON_NONE);
        test_assert_code(put(p->store, rows[i].name, rows[i].document, &outcome, &err), ATLS_OK,
                         &err);
        assert_int_equal(outcome, ATLS_STORE_COLLATERAL_NEW);
        find_this(p->store, rows[i].kind, rows[i].subject, NOW, rows[i].document);
        test_assert_code(put(p->store, rows[i].name, rows[i].document, &outcome, &err), ATLS_OK,
                         &err);
        assert_int_equal(outcome, ATLS_STORE_COLLATERAL_SAME);
    }
    test_identity_clear(&ca);
    atls_buf_clear(&crl);
    atls_buf_clear(&vek);
    atls_buf_clear(&chain);
}

static void what_counts_has_a_time(void **state)
{
    struct place *p = *state;
    struct test_identity ca = test_ca("CA");
    struct atls_buf crl = test_crl(&ca, NULL, NOW - 10, NOW + 10);
    struct atls_buf vek = test_vector("sev-snp/milan-v2-provisional/vcek.der");

    test_assert_code(put(p->store, "snp-crl-genoa.crl", atls_buf_bytes(&crl), NULL, NULL), ATLS_OK,
                     NULL);
    test_assert_code(put(p->store, "snp-vek-milan-00-00.der", atls_buf_bytes(&vek), NULL, NULL),
                     ATLS_OK, NULL);
    test_assert_code(put(p->store, "tdx-tcb-info-" FMSPC ".json", text_bytes(january), NULL, NULL),
                     ATLS_OK, NULL);
    find_this(p->store, ATLS_COLLATERAL_SNP_CRL, "genoa", NOW + 10, atls_buf_bytes(&crl));
    no_such(p->store, ATLS_COLLATERAL_SNP_CRL, "genoa", NOW + 11, ATLS_REASON_CRL_EXPIRED);
    no_such(p->store, ATLS_COLLATERAL_SNP_CRL, "genoa", NOW - 11,
            ATLS_REASON_COLLATERAL_NOT_YET_VALID);
    no_such(p->store, ATLS_COLLATERAL_SNP_VEK, "milan-00-00", NOW + 9 * 365 * DAY_S,
            ATLS_REASON_CERTIFICATE_EXPIRED);
    no_such(p->store, ATLS_COLLATERAL_TDX_TCB_INFO, FMSPC, JANUARY_S + 31 * DAY_S,
            ATLS_REASON_COLLATERAL_EXPIRED);
    test_identity_clear(&ca);
    atls_buf_clear(&crl);
    atls_buf_clear(&vek);
}

/* Where the root is on file a list is its own; nobody's list of a later day takes its place. */
static void a_list_that_its_root_did_not_sign(void **state)
{
    static const struct atls_store_anchor_options as_tee = {.purpose = ATLS_ANCHOR_TEE};
    static const struct {
        const char *root, *file;
        enum atls_collateral_kind kind;
        const char *subject;
    } rows[] = {
        {"ARK-Milan", "snp-crl-milan.crl", ATLS_COLLATERAL_SNP_CRL, "milan"},
        {"Intel SGX Root CA", "tdx-root-crl-root.crl", ATLS_COLLATERAL_TDX_ROOT_CRL, "root"}};
    struct place *p = *state;
    struct atls_err err = ATLS_ERR_INIT;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct test_identity root = test_ca(rows[i].root), forger = test_ca(rows[i].root);
        struct atls_buf genuine = test_crl(&root, NULL, NOW - 10, NOW + 10);
        struct atls_buf forged = test_crl(&forger, NULL, NOW - 5, NOW + 20);

        test_assert_code(atls_store_import_anchors_as(p->store, atls_buf_bytes(&root.certificate),
                                                      &as_tee, NULL, &err),
                         ATLS_OK, &err);
        test_assert_code(put(p->store, rows[i].file, atls_buf_bytes(&forged), NULL, &err),
                         ATLS_E_CERTIFICATE, &err);
        assert_int_equal(err.reason, ATLS_REASON_CRL_SIGNATURE);
        no_such(p->store, rows[i].kind, rows[i].subject, NOW, ATLS_REASON_NONE);
        err = (struct atls_err)ATLS_ERR_INIT;
        test_assert_code(put(p->store, rows[i].file, atls_buf_bytes(&genuine), NULL, &err), ATLS_OK,
                         &err);
        find_this(p->store, rows[i].kind, rows[i].subject, NOW, atls_buf_bytes(&genuine));
        /* That of a line whose root is not on file is nobody's to judge. */
        test_assert_code(put(p->store, "snp-crl-turin.crl", atls_buf_bytes(&forged), NULL, &err),
                         ATLS_OK, &err);
        test_identity_clear(&root);
        test_identity_clear(&forger);
        atls_buf_clear(&genuine);
        atls_buf_clear(&forged);
    }
}

static void an_older_document_does_not_come_back(void **state)
{
    static const char name[] = "tdx-tcb-info-" FMSPC ".json";
    struct place *p = *state;
    enum atls_store_collateral_import outcome;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(put(p->store, name, text_bytes(january), &outcome, &err), ATLS_OK, &err);
    find_this(p->store, ATLS_COLLATERAL_TDX_TCB_INFO, FMSPC, JANUARY_S, text_bytes(january));
    test_assert_code(put(p->store, name, text_bytes(february), &outcome, &err), ATLS_OK, &err);
    assert_int_equal(outcome, ATLS_STORE_COLLATERAL_NEW);
    find_this(p->store, ATLS_COLLATERAL_TDX_TCB_INFO, FMSPC, FEBRUARY_S, text_bytes(february));
    test_assert_code(put(p->store, name, text_bytes(january), &outcome, &err), ATLS_OK, &err);
    assert_int_equal(outcome, ATLS_STORE_COLLATERAL_OLDER);
    find_this(p->store, ATLS_COLLATERAL_TDX_TCB_INFO, FMSPC, FEBRUARY_S, text_bytes(february));
    /* Of the same date the one that comes last. */
    test_assert_code(put(p->store, name,
                         text_bytes(TCB("2027-02-01T00:00:00Z", //
                                        "2027-03-02T00:00:00Z")),
                         &outcome, &err),
                     ATLS_OK, &err);
    assert_int_equal(outcome, ATLS_STORE_COLLATERAL_NEW);
}

static void documents_that_are_refused(void **state)
{
    struct place *p = *state;
    static uint8_t large[256 * 1024 + 1];
    struct test_identity ca = test_ca("CA");
    struct atls_buf vek = test_vector("sev-snp/milan-v2-provisional/vcek.der");
    struct atls_buf crl = test_crl(&ca, NULL, NOW - 10, NOW + 10);
    const struct atls_bytes certificate = atls_buf_bytes(&vek);
    const struct {
        const char *what, *name;
        struct atls_bytes document;
        enum atls_code code;
    } rows[] = {
        {"a name of no kind", "snp-key-milan.der", certificate, ATLS_E_CONFIG},
        {"a name without subject", "snp-crl-.crl", certificate, ATLS_E_CONFIG},
        {"a name without subject and dash", "snp-crl.crl", certificate, ATLS_E_CONFIG},
        {"a subject in capitals", "snp-crl-Milan.crl", certificate, ATLS_E_CONFIG},
        {"the extension of another kind", "snp-crl-milan.der", certificate, ATLS_E_CONFIG},
        {"no name", "", certificate, ATLS_E_CONFIG},
        {"nothing", "snp-vek-a.der", {NULL, 0}, ATLS_E_LIMIT},
        {"too much", "snp-vek-a.der", {large, sizeof large}, ATLS_E_LIMIT},
        {"a certificate that ends early",
         "snp-vek-a.der",
         {certificate.ptr, certificate.len - 1},
         ATLS_E_DECODE},
        {"a certificate for a list", "snp-crl-a.crl", certificate, ATLS_E_DECODE},
        {"a list that ends early", "snp-crl-a.crl", {crl.ptr, crl.len - 1}, ATLS_E_DECODE},
        {"no JSON", "tdx-tcb-info-a.json", certificate, ATLS_E_DECODE},
        {"JSON of another kind", "tdx-qe-identity-td.json", text_bytes(january), ATLS_E_DECODE},
        {"the inner object is none", "tdx-tcb-info-a.json",
         text_bytes("{\"tcbInfo\":1,\"signature\":\"00\"}"), ATLS_E_DECODE},
        {"without issue date", "tdx-tcb-info-a.json",
         text_bytes("{\"tcbInfo\":{\"nextUpdate\":\"2027-01-31T00:00:00Z\"},\"signature\":\"0\"}"),
         ATLS_E_DECODE},
        {"without next update", "tdx-tcb-info-a.json",
         text_bytes("{\"tcbInfo\":{\"issueDate\":\"2027-01-31T00:00:00Z\"},\"signature\":\"0\"}"),
         ATLS_E_DECODE},
        {"a date that is none", "tdx-tcb-info-a.json",
         text_bytes(TCB("2027-02-29T00:00:00Z", "2027-03-01T00:00:00Z")), ATLS_E_DECODE},
        {"a member that is not known", "tdx-tcb-info-a.json",
         text_bytes("{\"tcbInfo\":{\"issueDate\":\"2027-01-31T00:00:00Z\","
                    "\"nextUpdate\":\"2027-01-31T00:00:00Z\"},\"signature\":\"0\",\"more\":1}"),
         ATLS_E_DECODE},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum atls_store_collateral_import outcome = ATLS_STORE_COLLATERAL_OLDER;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].what);
        test_assert_code(put(p->store, rows[i].name, rows[i].document, &outcome, &err),
                         rows[i].code, &err);
        assert_int_equal(outcome, ATLS_STORE_COLLATERAL_OLDER);
    }
    test_identity_clear(&ca);
    atls_buf_clear(&vek);
    atls_buf_clear(&crl);
}

static void queries_that_name_nothing(void **state)
{
    struct place *p = *state;
    char longest[ATLS_COLLATERAL_SUBJECT_MAX + 2];

    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    no_such(p->store, ATLS_COLLATERAL_NONE, "milan", NOW, ATLS_REASON_NONE);
    no_such(p->store, ATLS_COLLATERAL_SNP_CRL, "Milan", NOW, ATLS_REASON_NONE);
    no_such(p->store, ATLS_COLLATERAL_SNP_CRL, "", NOW, ATLS_REASON_NONE);
    no_such(p->store, ATLS_COLLATERAL_SNP_CRL, longest, NOW, ATLS_REASON_NONE);
    longest[ATLS_COLLATERAL_SUBJECT_MAX] = '\0';
    no_such(p->store, ATLS_COLLATERAL_SNP_CRL, longest, NOW, ATLS_REASON_NONE);
}

struct listed {
    size_t count, rows;
    int64_t id;
    char file_name[64];
};

static enum atls_code visit(void *arg, const struct atls_store_collateral *c, struct atls_err *err)
{
    struct listed *listed = arg;

    (void)err;
    listed->count++;
    listed->id = c->id;
    snprintf(listed->file_name, sizeof listed->file_name, "%s", c->file_name);
    assert_string_equal(c->kind, "tdx-tcb-info");
    assert_string_equal(c->subject, FMSPC);
    assert_int_equal(c->fetched_s, NOW);
    assert_int_equal(c->not_before_s, JANUARY_S);
    assert_int_equal(c->not_after_s, JANUARY_S + 30 * DAY_S);
    test_assert_bytes(c->document, text_bytes(january));
    return ATLS_OK;
}

static enum atls_code row(void *arg, const struct atls_store_entry *entry, struct atls_err *err)
{
    struct listed *listed = arg;

    (void)err;
    listed->rows++;
    assert_string_equal(entry->kind, "collateral");
    assert_string_equal(entry->subject, "tdx-tcb-info " FMSPC);
    assert_string_equal(entry->value, "until 2027-01-31T00:00:00Z");
    assert_int_equal(entry->not_after_s, JANUARY_S + 30 * DAY_S);
    return ATLS_OK;
}

static void documents_are_listed_carried_over_and_removed(void **state)
{
    struct place *p = *state;
    struct listed listed = {0};
    struct atls_buf exported = ATLS_BUF_INIT;
    struct atls_store *other;
    struct atls_err err = ATLS_ERR_INIT;
    char what[64];

    test_assert_code(put(p->store, "tdx-tcb-info-" FMSPC ".json", text_bytes(january), NULL, &err),
                     ATLS_OK, &err);
    test_assert_code(atls_store_list_collateral(p->store, visit, &listed, &err), ATLS_OK, &err);
    test_assert_code(atls_store_list(p->store, row, &listed, &err), ATLS_OK, &err);
    assert_int_equal(listed.count, 1);
    assert_int_equal(listed.rows, 1);
    assert_string_equal(listed.file_name, "tdx-tcb-info-" FMSPC ".json");
    test_assert_code(atls_store_export_json(p->store, &exported, &err), ATLS_OK, &err);
    test_assert_code(place_open_other(p, ATLS_STORE_CREATE, &other, &err), ATLS_OK, &err);
    test_assert_code(atls_store_import_json(other, atls_buf_bytes(&exported), &err), ATLS_OK, &err);
    test_assert_code(atls_store_list_collateral(other, visit, &listed, &err), ATLS_OK, &err);
    assert_int_equal(listed.count, 2);
    atls_store_close(other);
    atls_buf_clear(&exported);
    snprintf(what, sizeof what, "collateral:%lld", (long long)listed.id);
    test_assert_code(atls_store_remove(p->store, what, &err), ATLS_OK, &err);
    no_such(p->store, ATLS_COLLATERAL_TDX_TCB_INFO, FMSPC, JANUARY_S, ATLS_REASON_NONE);
    test_assert_code(atls_store_remove(p->store, what, &err), ATLS_E_NOT_FOUND, &err);
}

static void exports_that_are_refused(void **state)
{
#define EXPORT(rest) "{\"format\":\"libatls-store-1\",\"collateral\":[{" rest "}]}"
    static const struct {
        const char *text, *where;
    } rows[] = {
        {EXPORT("\"subject\":\"a\",\"fetched\":1,\"document\":\"AA\""), "kind"},
        {EXPORT("\"kind\":\"x\",\"subject\":\"a\",\"fetched\":1,\"document\":\"AA\""), "kind"},
        {EXPORT("\"kind\":\"snp-crl\",\"fetched\":1,\"document\":\"AA\""), "subject"},
        {EXPORT("\"kind\":\"snp-crl\",\"subject\":\"A\",\"fetched\":1,\"document\":\"AA\""), "[0]"},
        {EXPORT("\"kind\":\"snp-crl\",\"subject\":\"a\",\"document\":\"AA\""), "fetched"},
        {EXPORT("\"kind\":\"snp-crl\",\"subject\":\"a\",\"fetched\":1"), "document"},
        {EXPORT("\"kind\":\"snp-crl\",\"subject\":\"a\",\"fetched\":1,\"document\":\"AA\""), "[0]"},
        {EXPORT("\"kind\":\"snp-crl\",\"subject\":\"a\",\"fetched\":1,\"document\":\"AA\","
                "\"x\":1"),
         "[0]"},
    };
    struct place *p = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].text);
        assert_int_not_equal(atls_store_import_json(p->store, text_bytes(rows[i].text), &err),
                             ATLS_OK);
        assert_non_null(strstr(err.message, rows[i].where));
    }
}

static void a_kind_that_a_newer_program_wrote(void **state)
{
    struct place *p = *state;
    struct listed listed = {0};
    struct atls_err err = ATLS_ERR_INIT;

    place_sql(p,
              "INSERT INTO collateral(kind, subject, fetched, document) VALUES('x', 'y', 1, x'00')",
              "INSERT INTO collateral(kind, subject, fetched, document)"
              " VALUES('x', 'y', 1, '\\x00')");
    test_assert_code(atls_store_list_collateral(p->store, visit, &listed, &err), ATLS_E_IO, &err);
    assert_int_equal(listed.count, 0);
}

static void what_files_say(void **state)
{
    char buffer[ATLS_COLLATERAL_BUFFER];
    struct atls_store_collateral c = {.id = 5};
    struct atls_buf chain = test_vector("sev-snp/roots/ask_ark_milan.pem");
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_collateral_describe("tdx-tcb-info-" FMSPC ".json", text_bytes(january),
                                              buffer, &c, &err),
                     ATLS_OK, &err);
    assert_string_equal(c.kind, "tdx-tcb-info");
    assert_string_equal(c.subject, FMSPC);
    assert_string_equal(c.file_name, "tdx-tcb-info-" FMSPC ".json");
    assert_int_equal(c.not_before_s, JANUARY_S);
    assert_int_equal(c.not_after_s, JANUARY_S + 30 * DAY_S);
    assert_int_equal(c.id, 0);
    test_assert_code(atls_collateral_describe("README.md", text_bytes(january), buffer, &c, &err),
                     ATLS_E_NOT_FOUND, &err);
    test_assert_code(
        atls_collateral_describe("snp-vek-a.der", text_bytes(january), buffer, &c, &err),
        ATLS_E_DECODE, &err);
    /* Candidates are alternatives: no date of one is that of all. */
    test_assert_code(
        atls_collateral_describe("snp-ca-milan.pem", atls_buf_bytes(&chain), buffer, &c, &err),
        ATLS_OK, &err);
    assert_int_equal(c.not_before_s, 0);
    assert_int_equal(c.not_after_s, 0);
    atls_buf_clear(&chain);
}

/* ---- a store of the version before ---- */

static void a_store_of_version_4_takes_documents(void **state)
{
    static const char sqlite[] = "DROP TABLE manifest_anchors; DROP TABLE collateral;"
                                 "ALTER TABLE attest_keys DROP COLUMN technology;"
                                 "PRAGMA user_version = 4";
    static const char postgres[] = "DROP TABLE manifest_anchors; DROP TABLE collateral;"
                                   "ALTER TABLE attest_keys DROP COLUMN technology;"
                                   "UPDATE store_state SET version = 4";
    struct place *p = *state;
    struct atls_err err = ATLS_ERR_INIT;

    import_ok(p->store, make("m", PCR0));
    atls_store_close(p->store);
    p->store = NULL;
    if (on_postgres())
        sql_on_server(p->schema[0], postgres);
    else
        sql_on_file(p->path, sqlite);
    test_assert_code(place_open(p, ATLS_STORE_READ, &p->store, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "older"));
    test_assert_code(place_open(p, ATLS_STORE_WRITE, &p->store, &err), ATLS_OK, &err);
    assert_int_equal(count_references(p->store, NOW), 1);
    test_assert_code(put(p->store, "tdx-tcb-info-" FMSPC ".json", text_bytes(january), NULL, &err),
                     ATLS_OK, &err);
    find_this(p->store, ATLS_COLLATERAL_TDX_TCB_INFO, FMSPC, JANUARY_S, text_bytes(january));
    atls_store_close(p->store);
    test_assert_code(place_open(p, ATLS_STORE_READ, &p->store, &err), ATLS_OK, &err);
    assert_false(atls_store_is_writable(p->store));
    test_assert_code(put(p->store, "tdx-tcb-info-" FMSPC ".json", text_bytes(february), NULL, &err),
                     ATLS_E_CONFIG, &err);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, place_set_up, place_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {WITH_STORE(each_kind_is_found_under_its_name),
                                       WITH_STORE(what_counts_has_a_time),
                                       WITH_STORE(a_list_that_its_root_did_not_sign),
                                       WITH_STORE(an_older_document_does_not_come_back),
                                       WITH_STORE(documents_that_are_refused),
                                       WITH_STORE(queries_that_name_nothing),
                                       WITH_STORE(documents_are_listed_carried_over_and_removed),
                                       WITH_STORE(exports_that_are_refused),
                                       WITH_STORE(a_kind_that_a_newer_program_wrote),
                                       WITH_STORE(a_store_of_version_4_takes_documents),
                                       cmocka_unit_test(what_files_say)};

    return PLACE_RUN_BOTH("collateral", tests, tests);
}
