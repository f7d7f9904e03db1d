/* Revocation lists in a store: which are taken, and what they do to chains. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "testlib.h"

#include "core/reader.h"
#include "pki.h"
#include "place.h"

#define DER(identity) atls_buf_bytes(&(identity).certificate)
#define THIS          (TEST_TIME_S - 10)
#define NEXT          (TEST_TIME_S + 1000)

static struct test_identity root, impostor, intermediate, leaf, other_leaf;

/* Extensions that make a certificate pass for every purpose but an EK's. */
static const struct test_extension signs[] = {{"basicConstraints", "critical,CA:FALSE"},
                                              {"keyUsage", "critical,digitalSignature"},
                                              {NULL, NULL}};

static void make_certificates(void)
{
    const struct test_certificate spec = {.common_name = "leaf", .extensions = signs};

    root = test_ca("root");
    impostor = test_ca("root");
    intermediate =
        test_issue(&root, &(struct test_certificate){.common_name = "intermediate", .is_ca = true});
    leaf = test_issue(&intermediate, &spec);
    other_leaf = test_issue(&intermediate, &spec);
}

static void clear_certificates(void)
{
    test_identity_clear(&root);
    test_identity_clear(&impostor);
    test_identity_clear(&intermediate);
    test_identity_clear(&leaf);
    test_identity_clear(&other_leaf);
}

static void trust(struct atls_store *s, enum atls_anchor_purpose purpose)
{
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_store_import_anchors(s, purpose, DER(root), NULL, NULL, &err), ATLS_OK,
                     &err);
}

/* The store trusts root for every purpose. */
static int set_up(void **state)
{
    struct place *p = place_new();

    trust(p->store, ATLS_ANCHOR_AK);
    trust(p->store, ATLS_ANCHOR_EK);
    trust(p->store, ATLS_ANCHOR_TLS);
    *state = p;
    return 0;
}

/* Imports one list and clears it. */
static enum atls_code import(struct atls_store *s, struct atls_buf der, size_t *out_count,
                             struct atls_err *err)
{
    enum atls_code code = atls_store_import_crls(s, atls_buf_bytes(&der), out_count, err);

    atls_buf_clear(&der);
    return code;
}

static void import_ok(struct atls_store *s, struct atls_buf der, size_t want)
{
    struct atls_err err = ATLS_ERR_INIT;
    size_t count = 99;

    test_assert_code(import(s, der, &count, &err), ATLS_OK, &err);
    assert_int_equal(count, want);
}

/* The reason for which a leaf below the intermediate is refused, NONE if it is not. */
static enum atls_reason judge_at(struct atls_store *s, enum atls_anchor_purpose purpose,
                                 const struct test_identity *one, int64_t time_s)
{
    const struct atls_bytes chain[] = {DER(*one), DER(intermediate)};
    struct atls_chain_check check = {.purpose = purpose == ATLS_ANCHOR_AK ? ATLS_CHAIN_TPM_AK
                                                                          : ATLS_CHAIN_TLS_CLIENT,
                                     .time_s = time_s};
    struct atls_chain_result result = {.key = NULL};
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_store_anchors(s, purpose, &check.anchors, &err), ATLS_OK, &err);
    assert_non_null(check.anchors);
    if (atls_chain_verify(chain, 2, &check, &result, &err) != ATLS_OK)
        assert_int_not_equal(err.reason, ATLS_REASON_NONE);
    atls_chain_result_clear(&result);
    atls_anchors_unref(check.anchors);
    return err.reason;
}

static enum atls_reason judge(struct atls_store *s, const struct test_identity *one)
{
    return judge_at(s, ATLS_ANCHOR_TLS, one, TEST_TIME_S);
}

/* What is listed of revocation lists. */
struct seen {
    size_t count;
    int64_t id, not_after_s;
    char subject[128], value[64];
};

static enum atls_code see(void *arg, const struct atls_store_entry *entry, struct atls_err *err)
{
    struct seen *seen = arg;

    (void)err;
    if (strcmp(entry->kind, "crl") != 0)
        return ATLS_OK;
    assert_string_equal(entry->manifest, "");
    seen->count++;
    seen->id = entry->id;
    seen->not_after_s = entry->not_after_s;
    snprintf(seen->subject, sizeof seen->subject, "%s", entry->subject);
    snprintf(seen->value, sizeof seen->value, "%s", entry->value);
    return ATLS_OK;
}

static struct seen list(struct atls_store *s)
{
    struct seen seen = {0};
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_store_list(s, see, &seen, &err), ATLS_OK, &err);
    return seen;
}

static void a_list_counts_for_every_purpose(void **state)
{
    static const enum atls_anchor_purpose purposes[] = {ATLS_ANCHOR_AK, ATLS_ANCHOR_EK,
                                                        ATLS_ANCHOR_TLS};
    struct place *p = *state;

    /* The anchors are in memory already when the list comes. */
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(judge_at(p->store, purposes[i], &leaf, TEST_TIME_S), ATLS_REASON_NONE);
    import_ok(p->store, test_crl(&intermediate, &leaf, THIS, NEXT), 1);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(judge_at(p->store, purposes[i], &leaf, TEST_TIME_S),
                         ATLS_REASON_CERTIFICATE_REVOKED);
        assert_int_equal(judge_at(p->store, purposes[i], &other_leaf, TEST_TIME_S),
                         ATLS_REASON_NONE);
        /* past its nextUpdate nobody of that issuer passes */
        assert_int_equal(judge_at(p->store, purposes[i], &other_leaf, NEXT + 1),
                         ATLS_REASON_CERTIFICATE_REVOKED);
    }
}

static void the_intermediate_may_be_revoked(void **state)
{
    struct place *p = *state;

    import_ok(p->store, test_crl(&root, &intermediate, THIS, NEXT), 1);
    assert_int_equal(judge(p->store, &other_leaf), ATLS_REASON_CERTIFICATE_REVOKED);
}

static void newer_lists_take_the_place_of_older_ones(void **state)
{
    struct place *p = *state;
    struct atls_buf first = test_crl(&root, NULL, THIS, NEXT), same_time, same = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    int64_t id;

    assert_int_equal(atls_buf_copy(&same, atls_buf_bytes(&first), NULL), ATLS_OK);
    import_ok(p->store, first, 1);
    id = list(p->store).id;
    import_ok(p->store, same, 0);
    test_assert_code(import(p->store, test_crl(&root, NULL, THIS - 1, NEXT), NULL, &err),
                     ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "crl:1"));
    same_time = test_crl(&root, &intermediate, THIS, NEXT);
    test_assert_code(import(p->store, same_time, NULL, &err), ATLS_E_CONFIG, &err);
    assert_int_equal(judge(p->store, &leaf), ATLS_REASON_NONE);
    import_ok(p->store, test_crl(&root, &intermediate, THIS + 1, NEXT + 1), 1);
    assert_int_equal(judge(p->store, &leaf), ATLS_REASON_CERTIFICATE_REVOKED);
    assert_int_equal(list(p->store).count, 1);
    assert_int_equal(list(p->store).id, id);
    assert_int_equal(list(p->store).not_after_s, NEXT + 1);
}

/* Lists for another part of the issuer's certificates stand beside each other. */
static void lists_of_other_scope_stay(void **state)
{
    static const struct test_extension users[] = {
        {"issuingDistributionPoint", "critical,onlyuser:TRUE"}, {NULL, NULL}};
    static const struct test_extension authorities[] = {
        {"issuingDistributionPoint", "critical,onlyCA:TRUE"}, {NULL, NULL}};
    struct place *p = *state;

    import_ok(p->store, test_crl_extended(&intermediate, THIS, NEXT, authorities), 1);
    /* nothing says that the leaf is not revoked */
    assert_int_equal(judge(p->store, &leaf), ATLS_REASON_CERTIFICATE_REVOKED);
    import_ok(p->store, test_crl_extended(&intermediate, THIS - 5, NEXT, users), 1);
    assert_int_equal(list(p->store).count, 2);
    assert_int_equal(judge(p->store, &leaf), ATLS_REASON_NONE);
}

static void lists_that_are_refused(void **state)
{
    static const struct test_extension delta[] = {{"deltaCRL", "critical,DER:020101"},
                                                  {NULL, NULL}};
    struct place *p = *state;
    const struct {
        const char *name;
        struct atls_buf der;
        enum atls_code want;
        enum atls_reason reason;
    } rows[] = {
        {"an impostor's with the name of an anchor", test_crl(&impostor, &intermediate, THIS, NEXT),
         ATLS_E_VERIFY, ATLS_REASON_CHAIN_SIGNATURE},
        {"delta", test_crl_extended(&root, THIS, NEXT, delta), ATLS_E_UNSUPPORTED,
         ATLS_REASON_NONE},
        {"no nextUpdate", test_crl_extended(&root, THIS, 0, NULL), ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"nothing", ATLS_BUF_INIT, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        size_t count = 99;
        enum atls_code code = import(p->store, rows[i].der, &count, &err);

        if (code != rows[i].want || err.reason != rows[i].reason || count != 99)
            fail_msg("%s: %s: %s", rows[i].name, atls_code_name(code), err.message);
    }
    assert_int_equal(list(p->store).count, 0);
}

static struct atls_buf pem_of(struct atls_buf one, struct atls_buf two)
{
    struct atls_writer w = atls_writer_init(65536);
    struct atls_buf lists[] = {one, two}, pem = ATLS_BUF_INIT, out = ATLS_BUF_INIT;

    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(atls_pem_encode("X509 CRL", atls_buf_bytes(&lists[i]), &pem, NULL),
                         ATLS_OK);
        atls_put_bytes(&w, atls_buf_bytes(&pem));
        atls_buf_clear(&pem);
        atls_buf_clear(&lists[i]);
    }
    assert_int_equal(atls_writer_finish(&w, &out, NULL), ATLS_OK);
    return out;
}

static void several_lists_come_together_or_not_at_all(void **state)
{
    struct place *p = *state;
    struct atls_buf bad =
        pem_of(test_crl(&intermediate, NULL, THIS, NEXT), test_crl(&impostor, NULL, THIS, NEXT));
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(import(p->store, bad, NULL, &err), ATLS_E_VERIFY, &err);
    assert_int_equal(list(p->store).count, 0);
    import_ok(p->store,
              pem_of(test_crl(&intermediate, NULL, THIS, NEXT), test_crl(&root, NULL, THIS, NEXT)),
              2);
    assert_int_equal(list(p->store).count, 2);
    assert_int_equal(judge(p->store, &leaf), ATLS_REASON_NONE);
}

/* Two anchors of one name: whichever signed, it is the issuer's. */
static void either_of_two_anchors_may_have_signed(void **state)
{
    struct place *p = *state;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(
        atls_store_import_anchors(p->store, ATLS_ANCHOR_EK, DER(impostor), NULL, NULL, &err),
        ATLS_OK, &err);
    import_ok(p->store, test_crl(&root, NULL, THIS, NEXT), 1);
    import_ok(p->store, test_crl(&impostor, NULL, THIS + 1, NEXT), 1);
}

/* A list of an authority that is not on file cannot be verified when it comes. It is when a path
 * leads over that authority: a forged one shuts its chains out and never lets one in. */
static void a_forged_list_of_an_intermediate_refuses(void **state)
{
    struct place *p = *state;
    struct test_identity forger = test_ca("intermediate");
    struct atls_err err = ATLS_ERR_INIT;

    import_ok(p->store, test_crl(&intermediate, &leaf, THIS, NEXT), 1);
    import_ok(p->store, test_crl(&forger, NULL, THIS + 1, NEXT), 1);
    assert_int_equal(judge(p->store, &leaf), ATLS_REASON_CERTIFICATE_REVOKED);
    assert_int_equal(judge(p->store, &other_leaf), ATLS_REASON_CERTIFICATE_REVOKED);
    test_assert_code(atls_store_remove(p->store, "crl:1", &err), ATLS_OK, &err);
    assert_int_equal(judge(p->store, &other_leaf), ATLS_REASON_NONE);
    test_identity_clear(&forger);
}

static void listing_and_removal(void **state)
{
    struct place *p = *state;
    struct atls_err err = ATLS_ERR_INIT;
    struct seen seen;

    import_ok(p->store, test_crl(&intermediate, &leaf, THIS, NEXT), 1);
    seen = list(p->store);
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.subject, "CN=intermediate");
    assert_string_equal(seen.value, "next update 2025-01-01T00:16:40Z");
    assert_int_equal(seen.not_after_s, NEXT);
    test_assert_code(atls_store_remove(p->store, "crl:7", &err), ATLS_E_NOT_FOUND, &err);
    test_assert_code(atls_store_remove(p->store, "crl:", &err), ATLS_E_USAGE, &err);
    test_assert_code(atls_store_remove(p->store, "crl:1", &err), ATLS_OK, &err);
    assert_int_equal(list(p->store).count, 0);
    assert_int_equal(judge(p->store, &leaf), ATLS_REASON_NONE);
}

static void lists_travel_with_an_export(void **state)
{
    struct place *p = *state;
    struct atls_buf json = ATLS_BUF_INIT, pem = ATLS_BUF_INIT, again = ATLS_BUF_INIT;
    struct atls_store *other = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_store_crls_pem(p->store, &pem, &err), ATLS_OK, &err);
    assert_int_equal(pem.len, 0);
    import_ok(p->store,
              pem_of(test_crl(&intermediate, &leaf, THIS, NEXT), test_crl(&root, NULL, THIS, NEXT)),
              2);
    test_assert_code(atls_store_crls_pem(p->store, &pem, &err), ATLS_OK, &err);
    test_assert_code(atls_store_export_json(p->store, &json, &err), ATLS_OK, &err);
    test_assert_code(place_open_other(p, ATLS_STORE_CREATE, &other, &err), ATLS_OK, &err);
    test_assert_code(atls_store_import_json(other, atls_buf_bytes(&json), &err), ATLS_OK, &err);
    test_assert_code(atls_store_import_json(other, atls_buf_bytes(&json), &err), ATLS_OK, &err);
    assert_int_equal(judge(other, &leaf), ATLS_REASON_CERTIFICATE_REVOKED);
    assert_int_equal(judge(other, &other_leaf), ATLS_REASON_NONE);
    test_assert_code(atls_store_crls_pem(other, &again, &err), ATLS_OK, &err);
    test_assert_bytes(atls_buf_bytes(&again), atls_buf_bytes(&pem));
    import_ok(other, again, 0);
    atls_store_close(other);
    atls_buf_clear(&json);
    atls_buf_clear(&pem);
}

static void exports_that_are_refused(void **state)
{
    static const struct {
        const char *name, *crls;
        enum atls_code want;
        const char *says;
    } rows[] = {
        {"no array", "7", ATLS_E_DECODE, "$.crls: not an array"},
        {"no list", "[{}]", ATLS_E_DECODE, "$.crls[0].list: missing"},
        {"another member", "[{\"list\": \"x\", \"y\": 1}]", ATLS_E_DECODE, "$.crls[0].y"},
        {"no PEM", "[{\"list\": \"x\"}]", ATLS_E_DECODE, "$.crls[0].list"},
    };
    struct place *p = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code;
        char text[256];

        snprintf(text, sizeof text, "{\"format\": \"libatls-store-1\", \"crls\": %s}",
                 rows[i].crls);
        code = atls_store_import_json(p->store, atls_bytes_of(text, strlen(text)), &err);
        if (code != rows[i].want || strstr(err.message, rows[i].says) == NULL)
            fail_msg("%s: %s: %s", rows[i].name, atls_code_name(code), err.message);
    }
}

static void a_store_of_before_takes_lists(void **state)
{
    struct place *p = *state;
    struct atls_err err = ATLS_ERR_INIT;

    atls_store_close(p->store);
    p->store = NULL;
    sql_on_file(p->path, "DROP TABLE crls; ALTER TABLE anchors DROP COLUMN vendor;"
                         "ALTER TABLE anchors DROP COLUMN model;"
                         "ALTER TABLE attest_keys DROP COLUMN kind; DROP TABLE signing_keys;"
                         "ALTER TABLE attest_keys DROP COLUMN technology;"
                         "DROP TABLE endorsement_triples; DROP TABLE manifest_anchors;"
                         "DROP TABLE collateral; PRAGMA user_version = 1");
    test_assert_code(atls_store_open(p->path, ATLS_STORE_READ, &p->store, &err), ATLS_E_CONFIG,
                     &err);
    assert_non_null(strstr(err.message, "older"));
    test_assert_code(atls_store_open(p->path, ATLS_STORE_WRITE, &p->store, &err), ATLS_OK, &err);
    import_ok(p->store, test_crl(&intermediate, &leaf, THIS, NEXT), 1);
    assert_int_equal(judge(p->store, &leaf), ATLS_REASON_CERTIFICATE_REVOKED);
}

/* A file that was written by other means: no list is passed over in silence. */
static void a_damaged_list_is_an_error(void **state)
{
    struct place *p = *state;
    struct atls_anchors *anchors = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    import_ok(p->store, test_crl(&intermediate, &leaf, THIS, NEXT), 1);
    place_sql(p, "UPDATE crls SET der = x'3000'", "UPDATE crls SET der = '\\x3000'");
    test_assert_code(atls_store_anchors(p->store, ATLS_ANCHOR_AK, &anchors, &err), ATLS_E_DECODE,
                     &err);
    assert_null(anchors);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, set_up, place_tear_down)
#define ON_BOTH                                                                                    \
    WITH_STORE(a_list_counts_for_every_purpose), WITH_STORE(the_intermediate_may_be_revoked),      \
        WITH_STORE(newer_lists_take_the_place_of_older_ones),                                      \
        WITH_STORE(lists_of_other_scope_stay), WITH_STORE(lists_that_are_refused),                 \
        WITH_STORE(several_lists_come_together_or_not_at_all),                                     \
        WITH_STORE(either_of_two_anchors_may_have_signed),                                         \
        WITH_STORE(a_forged_list_of_an_intermediate_refuses), WITH_STORE(listing_and_removal),     \
        WITH_STORE(lists_travel_with_an_export), WITH_STORE(exports_that_are_refused),             \
        WITH_STORE(a_damaged_list_is_an_error)

int main(void)
{
    const struct CMUnitTest files[] = {WITH_STORE(a_store_of_before_takes_lists), ON_BOTH};
    const struct CMUnitTest servers[] = {ON_BOTH};
    int rc;

    make_certificates();
    rc = PLACE_RUN_BOTH("revocation lists", files, servers);
    clear_certificates();
    return rc;
}
