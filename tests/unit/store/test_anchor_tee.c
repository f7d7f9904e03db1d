/* Anchors of confidential computing: who may be one, and what evidence verification gets of them.
 */
#include "failing_alloc.h"
#include "material.h"
#include "pki.h"

#include "core/json_writer.h"
#include "core/log.h"
#include "crypto/certificate.h"
#include "wire/cbor.h"

static const struct atls_store_anchor_options as_tee = {.purpose = ATLS_ANCHOR_TEE};

static enum atls_code import_tee(struct atls_store *s, struct atls_bytes certificates,
                                 size_t *out_count, struct atls_err *err)
{
    return atls_store_import_anchors_as(s, certificates, &as_tee, out_count, err);
}

/* DER of the certificates of a vector, first the intermediate, then the root. */
static void amd_chain(const char *line, struct atls_buf out[2])
{
    char name[64];
    struct atls_buf pem;
    size_t count;

    snprintf(name, sizeof name, "sev-snp/roots/ask_ark_%s.pem", line);
    pem = test_vector(name);
    test_assert_code(atls_certificates_from_pem(atls_buf_bytes(&pem), out, 2, &count, NULL),
                     ATLS_OK, NULL);
    assert_int_equal(count, 2);
    atls_buf_clear(&pem);
}

static size_t tee_count(struct atls_store *s, int64_t time_s)
{
    struct atls_store_view view = {.store = s, .time_s = time_s};
    struct atls_endorsement_source source;
    struct atls_certificate_set *set = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    size_t count;

    atls_store_view_source(&view, &source);
    test_assert_code(source.tee_anchors(source.arg, &set, &err), ATLS_OK, &err);
    count = set == NULL ? 0 : atls_certificate_set_count(set);
    atls_certificate_set_unref(set);
    return count;
}

static bool has_trust(struct atls_store *s)
{
    bool out = false;

    test_assert_code(atls_store_has_trust(s, &out, NULL), ATLS_OK, NULL);
    return out;
}

struct told {
    size_t count, new;
    char subject[256], fingerprint[80];
};

static void tell(void *arg, const char *subject, const char *fingerprint, bool is_new)
{
    struct told *told = arg;

    told->count++;
    told->new += is_new;
    snprintf(told->subject, sizeof told->subject, "%s", subject);
    snprintf(told->fingerprint, sizeof told->fingerprint, "%s", fingerprint);
}

/* AMD publishes intermediate and root in one text, in this order. */
static void a_chain_as_its_maker_publishes_it(void **state)
{
    struct place *p = *state;
    struct atls_buf pem = test_vector("sev-snp/roots/ask_ark_milan.pem"), chain[2];
    struct told told = {0};
    const struct atls_store_anchor_options as = {
        .purpose = ATLS_ANCHOR_TEE, .imported = tell, .imported_arg = &told};
    uint8_t digest[ATLS_HASH_MAX];
    struct atls_err err = ATLS_ERR_INIT;
    char hex[65];
    size_t count;

    amd_chain("milan", chain);
    assert_false(has_trust(p->store));
    assert_int_equal(tee_count(p->store, NOW), 0);
    test_assert_code(
        atls_store_import_anchors_as(p->store, atls_buf_bytes(&pem), &as, &count, &err), ATLS_OK,
        &err);
    assert_int_equal(err.code, ATLS_OK);
    assert_int_equal(count, 2);
    assert_int_equal(told.count, 2);
    assert_int_equal(told.new, 2);
    assert_non_null(strstr(told.subject, "CN=ARK-Milan"));
    test_assert_code(atls_hash_one(ATLS_HASH_SHA256, atls_buf_bytes(&chain[1]), digest, NULL),
                     ATLS_OK, NULL);
    assert_string_equal(told.fingerprint, atls_hex(atls_bytes_of(digest, 32), hex, sizeof hex));
    assert_true(has_trust(p->store));
    assert_int_equal(tee_count(p->store, NOW), 2);
    test_assert_code(
        atls_store_import_anchors_as(p->store, atls_buf_bytes(&pem), &as, &count, &err), ATLS_OK,
        &err);
    assert_int_equal(count, 0);
    assert_int_equal(told.new, 2);
    for (size_t i = 0; i < 2; i++)
        atls_buf_clear(&chain[i]);
    atls_buf_clear(&pem);
}

static void an_intermediate_needs_its_root(void **state)
{
    struct place *p = *state;
    struct atls_buf milan[2], genoa[2];
    struct atls_err err = ATLS_ERR_INIT;

    amd_chain("milan", milan);
    amd_chain("genoa", genoa);
    test_assert_code(import_tee(p->store, atls_buf_bytes(&genoa[1]), NULL, &err), ATLS_OK, &err);
    test_assert_code(import_tee(p->store, atls_buf_bytes(&milan[0]), NULL, &err),
                     ATLS_E_CERTIFICATE, &err);
    assert_int_equal(err.reason, ATLS_REASON_CHAIN_ISSUER);
    assert_int_equal(tee_count(p->store, NOW), 1);
    test_assert_code(import_tee(p->store, atls_buf_bytes(&milan[1]), NULL, &err), ATLS_OK, &err);
    test_assert_code(import_tee(p->store, atls_buf_bytes(&milan[0]), NULL, &err), ATLS_OK, &err);
    assert_int_equal(tee_count(p->store, NOW), 3);
    for (size_t i = 0; i < 2; i++) {
        atls_buf_clear(&milan[i]);
        atls_buf_clear(&genoa[i]);
    }
}

/* Each of these is fit to be an anchor but for one thing. */
static void certificates_that_are_refused(void **state)
{
    struct place *p = *state;
    struct test_identity root = test_ca("Root"), impostor = test_ca("Root");
    const struct test_certificate intermediate = {.common_name = "Intermediate", .is_ca = true};
    const struct test_certificate end = {.common_name = "End"};
    const struct test_certificate p384 = {
        .common_name = "P-384", .is_ca = true, .key_type = ATLS_KEY_P384};
    const struct test_certificate broken = {
        .common_name = "Broken", .is_ca = true, .break_signature = true};
    struct {
        const char *what;
        struct test_identity identity;
        enum atls_code code;
        enum atls_reason reason;
    } rows[] = {
        {"an intermediate of the root on file", test_issue(&root, &intermediate), ATLS_OK,
         ATLS_REASON_NONE},
        {"the certificate of no CA", test_issue(&root, &end), ATLS_E_CERTIFICATE,
         ATLS_REASON_KEY_USAGE},
        {"signed by another of the same name", test_issue(&impostor, &intermediate),
         ATLS_E_CERTIFICATE, ATLS_REASON_CHAIN_SIGNATURE},
        {"a root with another signature than its own", test_issue(NULL, &broken),
         ATLS_E_CERTIFICATE, ATLS_REASON_CHAIN_SIGNATURE},
        {"a root that signs as no maker does", test_issue(NULL, &p384), ATLS_E_CERTIFICATE,
         ATLS_REASON_CHAIN_SIGNATURE},
    };

    test_assert_code(import_tee(p->store, atls_buf_bytes(&root.certificate), NULL, NULL), ATLS_OK,
                     NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].what);
        test_assert_code(
            import_tee(p->store, atls_buf_bytes(&rows[i].identity.certificate), NULL, &err),
            rows[i].code, &err);
        assert_int_equal(err.reason, rows[i].reason);
        test_identity_clear(&rows[i].identity);
    }
    assert_int_equal(tee_count(p->store, NOW), 2);
    test_identity_clear(&root);
    test_identity_clear(&impostor);
}

static void what_is_malformed(void **state)
{
    struct place *p = *state;
    struct atls_buf chain[2];
    struct atls_err err = ATLS_ERR_INIT;

    amd_chain("turin_vcek", chain);
    test_assert_code(
        import_tee(p->store, atls_bytes_of(chain[1].ptr, chain[1].len - 1), NULL, &err),
        ATLS_E_DECODE, &err);
    test_assert_code(import_tee(p->store, atls_bytes_of(NULL, 0), NULL, &err), ATLS_E_DECODE, &err);
    assert_false(has_trust(p->store));
    for (size_t i = 0; i < 2; i++)
        atls_buf_clear(&chain[i]);
}

static void the_same_object_until_the_store_changes(void **state)
{
    struct place *p = *state;
    struct atls_store_view view = {.store = p->store, .time_s = NOW};
    struct atls_endorsement_source source;
    struct atls_certificate_set *one, *two, *three, *four;
    struct atls_buf milan[2], genoa[2];
    struct test_identity ca = test_ca("CA");
    struct atls_buf crl = test_crl(&ca, NULL, NOW - 10, NOW + 10);

    amd_chain("milan", milan);
    amd_chain("genoa", genoa);
    test_assert_code(import_tee(p->store, atls_buf_bytes(&milan[1]), NULL, NULL), ATLS_OK, NULL);
    atls_store_view_source(&view, &source);
    test_assert_code(source.tee_anchors(source.arg, &one, NULL), ATLS_OK, NULL);
    test_assert_code(source.tee_anchors(source.arg, &two, NULL), ATLS_OK, NULL);
    assert_ptr_equal(one, two);
    test_assert_code(import_tee(p->store, atls_buf_bytes(&genoa[1]), NULL, NULL), ATLS_OK, NULL);
    test_assert_code(source.tee_anchors(source.arg, &three, NULL), ATLS_OK, NULL);
    assert_int_equal(atls_certificate_set_count(one), 1);
    assert_int_equal(atls_certificate_set_count(three), 2);
    assert_non_null(atls_certificate_set_find(three, atls_buf_bytes(&milan[1])));
    /* Nor is a chain that was verified with them believed beyond a list that came meanwhile. */
    test_assert_code(atls_store_import_collateral(p->store, "snp-crl-turin.crl",
                                                  atls_buf_bytes(&crl), NOW, NULL, NULL),
                     ATLS_OK, NULL);
    test_assert_code(source.tee_anchors(source.arg, &four, NULL), ATLS_OK, NULL);
    assert_int_not_equal(atls_certificate_set_serial(three), atls_certificate_set_serial(four));
    atls_certificate_set_unref(one);
    atls_certificate_set_unref(two);
    atls_certificate_set_unref(three);
    atls_certificate_set_unref(four);
    test_identity_clear(&ca);
    atls_buf_clear(&crl);
    for (size_t i = 0; i < 2; i++) {
        atls_buf_clear(&milan[i]);
        atls_buf_clear(&genoa[i]);
    }
}

static enum atls_code class_of(struct atls_store *s, int64_t time_s, struct atls_bytes der,
                               struct atls_attest_key *out, struct atls_err *err)
{
    struct atls_store_view view = {.store = s, .time_s = time_s};
    struct atls_endorsement_source source;

    atls_store_view_source(&view, &source);
    return source.anchor_class(source.arg, der, out, err);
}

static void the_class_of_an_anchor(void **state)
{
    struct place *p = *state;
    const struct atls_store_anchor_options as = {
        .purpose = ATLS_ANCHOR_TEE, .class_uuid = CLASS, .vendor = "ACME", .model = "Cloud 3"};
    struct atls_buf milan[2], genoa[2];
    struct atls_attest_key key;
    struct atls_err err = ATLS_ERR_INIT;

    amd_chain("milan", milan);
    amd_chain("genoa", genoa);
    test_assert_code(class_of(p->store, NOW, atls_buf_bytes(&milan[1]), &key, &err),
                     ATLS_E_NOT_FOUND, &err);
    test_assert_code(
        atls_store_import_anchors_as(p->store, atls_buf_bytes(&milan[1]), &as, NULL, &err), ATLS_OK,
        &err);
    test_assert_code(import_tee(p->store, atls_buf_bytes(&genoa[1]), NULL, &err), ATLS_OK, &err);
    test_assert_code(class_of(p->store, NOW, atls_buf_bytes(&milan[1]), &key, &err), ATLS_OK, &err);
    test_assert_bytes(atls_buf_bytes(&key.class_id), class_item());
    test_assert_bytes(atls_buf_bytes(&key.model), atls_bytes_of("Cloud 3", 7));
    clear_key(&key);
    test_assert_code(class_of(p->store, NOW, atls_buf_bytes(&genoa[1]), &key, &err),
                     ATLS_E_NOT_FOUND, &err);
    for (size_t i = 0; i < 2; i++) {
        atls_buf_clear(&milan[i]);
        atls_buf_clear(&genoa[i]);
    }
}

/* ---- anchors that manifests bring ---- */

struct ark_manifest {
    const char *id;
    struct atls_bytes der;
    const char *class_oid; /* of the class-id; NULL: none */
    int64_t not_after_s;   /* 0: none */
};

/* {0: {? 0: class, 1: vendor, 2: model}} */
static void put_ark_environment(struct atls_writer *w, const char *class_oid)
{
    atls_cbor_put_map(w, 1);
    atls_cbor_put_uint(w, 0);
    atls_cbor_put_map(w, class_oid != NULL ? 3 : 2);
    if (class_oid != NULL) {
        atls_cbor_put_uint(w, 0);
        atls_cbor_put_tag(w, ATLS_TAG_OID);
        atls_cbor_put_bytes(w, atls_bytes_of(class_oid, strlen(class_oid)));
    }
    atls_cbor_put_uint(w, 1);
    atls_cbor_put_text(w, "AMD");
    atls_cbor_put_uint(w, 2);
    atls_cbor_put_text(w, "ARK-Milan");
}

static void put_ark_comid(struct atls_writer *w, const struct ark_manifest *m)
{
    struct atls_buf pem = ATLS_BUF_INIT;

    test_assert_code(atls_pem_encode("CERTIFICATE", m->der, &pem, NULL), ATLS_OK, NULL);
    atls_cbor_put_map(w, 2);
    atls_cbor_put_uint(w, 1);
    atls_cbor_put_map(w, 1);
    atls_cbor_put_uint(w, 0);
    atls_cbor_put_text(w, "t");
    atls_cbor_put_uint(w, 4);
    atls_cbor_put_map(w, 1);
    atls_cbor_put_uint(w, ATLS_TRIPLE_ATTEST_KEY);
    atls_cbor_put_array(w, 1);
    atls_cbor_put_array(w, 2);
    put_ark_environment(w, m->class_oid);
    atls_cbor_put_array(w, 1);
    atls_cbor_put_tag(w, ATLS_TAG_PKIX_CERT);
    atls_cbor_put_text(w, (const char *)pem.ptr);
    atls_buf_clear(&pem);
}

static struct atls_buf make_ark(const struct ark_manifest *m)
{
    struct atls_writer w = atls_writer_init(1 << 16), comid = atls_writer_init(1 << 16);
    struct atls_buf out = ATLS_BUF_INIT;

    put_ark_comid(&comid, m);
    atls_cbor_put_tag(&w, 501);
    atls_cbor_put_map(&w, m->not_after_s != 0 ? 4 : 3);
    atls_cbor_put_uint(&w, 0);
    atls_cbor_put_text(&w, m->id);
    atls_cbor_put_uint(&w, 1);
    atls_cbor_put_array(&w, 1);
    atls_cbor_put_tag(&w, 506);
    atls_cbor_put_bytes(&w, atls_writer_bytes(&comid));
    atls_cbor_put_uint(&w, 3);
    atls_cbor_put_tag(&w, ATLS_TAG_URI);
    atls_cbor_put_text(&w, "https://amd.com/ark");
    if (m->not_after_s != 0) {
        atls_cbor_put_uint(&w, 4);
        atls_cbor_put_map(&w, 1);
        atls_cbor_put_uint(&w, 1);
        atls_cbor_put_tag(&w, 1);
        atls_cbor_put_int(&w, m->not_after_s);
    }
    test_assert_code(atls_writer_finish(&w, &out, NULL), ATLS_OK, NULL);
    atls_writer_clear(&comid);
    return out;
}

static enum atls_code import_ark(struct atls_store *s, const struct ark_manifest *m,
                                 struct atls_store_import_report *report, struct atls_err *err)
{
    struct atls_buf corim = make_ark(m);
    enum atls_code code = import(s, &corim, report, err);

    atls_buf_clear(&corim);
    return code;
}

static void a_manifest_brings_a_root(void **state)
{
    struct place *p = *state;
    struct atls_buf milan[2];
    struct atls_store_import_report report;
    struct atls_attest_key key;
    struct atls_err err = ATLS_ERR_INIT;
    struct ark_manifest m = {"ark", {NULL, 0}, NULL, NOW + 10};

    amd_chain("milan", milan);
    m.der = atls_buf_bytes(&milan[1]);
    test_assert_code(import_ark(p->store, &m, &report, &err), ATLS_OK, &err);
    assert_int_equal(report.anchors, 1);
    assert_int_equal(report.skipped, 0);
    assert_true(has_trust(p->store));
    assert_int_equal(tee_count(p->store, NOW), 1);
    assert_int_equal(tee_count(p->store, NOW + 11), 0);
    assert_int_equal(tee_count(p->store, NOW + 10), 1);
    test_assert_code(class_of(p->store, NOW, m.der, &key, &err), ATLS_E_NOT_FOUND, &err);
    /* The intermediate of a root that a manifest brought. */
    test_assert_code(import_tee(p->store, atls_buf_bytes(&milan[0]), NULL, &err), ATLS_OK, &err);
    assert_int_equal(tee_count(p->store, NOW), 2);
    test_assert_code(atls_store_remove(p->store, "manifest:ark", &err), ATLS_OK, &err);
    assert_int_equal(tee_count(p->store, NOW), 1);
    for (size_t i = 0; i < 2; i++)
        atls_buf_clear(&milan[i]);
}

/* By hand goes before manifests; manifests must agree. */
static void classes_of_one_root(void **state)
{
    struct place *p = *state;
    const struct atls_store_anchor_options as = {.purpose = ATLS_ANCHOR_TEE, .class_uuid = CLASS};
    struct atls_buf milan[2];
    struct atls_store_import_report report;
    struct atls_attest_key key;
    struct atls_err err = ATLS_ERR_INIT;
    struct ark_manifest one = {"one", {NULL, 0}, "\x2b\x06\x01", 0},
                        two = {"two", {NULL, 0}, "\x2b\x06\x02", NOW + 10};

    amd_chain("milan", milan);
    one.der = two.der = atls_buf_bytes(&milan[1]);
    test_assert_code(import_ark(p->store, &one, &report, &err), ATLS_OK, &err);
    test_assert_code(class_of(p->store, NOW, one.der, &key, &err), ATLS_OK, &err);
    test_assert_bytes(atls_buf_bytes(&key.class_id), atls_bytes_of("\xd8\x6f\x43\x2b\x06\x01", 6));
    test_assert_bytes(atls_buf_bytes(&key.vendor), atls_bytes_of("AMD", 3));
    clear_key(&key);
    test_assert_code(import_ark(p->store, &two, &report, &err), ATLS_OK, &err);
    test_assert_code(class_of(p->store, NOW, one.der, &key, &err), ATLS_E_CONFIG, &err);
    test_assert_code(class_of(p->store, NOW + 11, one.der, &key, &err), ATLS_OK, &err);
    clear_key(&key);
    test_assert_code(atls_store_import_anchors_as(p->store, one.der, &as, NULL, &err), ATLS_OK,
                     &err);
    test_assert_code(class_of(p->store, NOW, one.der, &key, &err), ATLS_OK, &err);
    test_assert_bytes(atls_buf_bytes(&key.class_id), class_item());
    clear_key(&key);
    assert_int_equal(tee_count(p->store, NOW), 1);
    for (size_t i = 0; i < 2; i++)
        atls_buf_clear(&milan[i]);
}

static void a_manifest_whose_certificate_is_no_root(void **state)
{
    struct place *p = *state;
    struct atls_buf milan[2];
    struct atls_store_import_report report;
    struct atls_err err = ATLS_ERR_INIT;
    struct ark_manifest m = {"ask", {NULL, 0}, NULL, 0};

    amd_chain("milan", milan);
    m.der = atls_buf_bytes(&milan[0]);
    test_assert_code(import_ark(p->store, &m, &report, &err), ATLS_E_CERTIFICATE, &err);
    assert_int_equal(err.reason, ATLS_REASON_CHAIN_ISSUER);
    assert_false(has_trust(p->store));
    for (size_t i = 0; i < 2; i++)
        atls_buf_clear(&milan[i]);
}

/* ---- listing, export ---- */

struct seen {
    size_t by_hand, brought;
    int64_t id;
};

static enum atls_code see(void *arg, const struct atls_store_entry *entry, struct atls_err *err)
{
    struct seen *seen = arg;

    (void)err;
    if (strcmp(entry->kind, "anchor") != 0)
        return ATLS_OK;
    assert_int_equal(strncmp(entry->value, "tee sha256:", 11), 0);
    seen->by_hand += entry->manifest[0] == '\0';
    seen->brought += strcmp(entry->manifest, "ark") == 0;
    seen->id = entry->id;
    return ATLS_OK;
}

static void anchors_are_listed_and_carried_over(void **state)
{
    struct place *p = *state;
    struct atls_buf pem = test_vector("sev-snp/roots/ask_ark_genoa.pem"), milan[2];
    struct atls_buf exported = ATLS_BUF_INIT;
    struct atls_store *other;
    struct atls_store_import_report report;
    struct seen seen = {0};
    struct atls_err err = ATLS_ERR_INIT;
    struct ark_manifest m = {"ark", {NULL, 0}, NULL, 0};

    amd_chain("milan", milan);
    m.der = atls_buf_bytes(&milan[1]);
    test_assert_code(import_tee(p->store, atls_buf_bytes(&pem), NULL, &err), ATLS_OK, &err);
    test_assert_code(import_ark(p->store, &m, &report, &err), ATLS_OK, &err);
    test_assert_code(atls_store_list(p->store, see, &seen, &err), ATLS_OK, &err);
    assert_int_equal(seen.by_hand, 2);
    assert_int_equal(seen.brought, 1);
    test_assert_code(atls_store_export_json(p->store, &exported, &err), ATLS_OK, &err);
    test_assert_code(place_open_other(p, ATLS_STORE_CREATE, &other, &err), ATLS_OK, &err);
    test_assert_code(atls_store_import_json(other, atls_buf_bytes(&exported), &err), ATLS_OK, &err);
    assert_int_equal(tee_count(other, NOW), 3);
    atls_store_close(other);
    for (size_t i = 0; i < 2; i++)
        atls_buf_clear(&milan[i]);
    atls_buf_clear(&pem);
    atls_buf_clear(&exported);
}

/* An export that somebody wrote by hand is judged as any import. */
static void an_export_without_the_root(void **state)
{
    struct place *p = *state;
    struct atls_buf milan[2], pem = ATLS_BUF_INIT;
    struct atls_json j = atls_json_init(1 << 16);
    struct atls_buf text = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    amd_chain("milan", milan);
    test_assert_code(atls_pem_encode("CERTIFICATE", atls_buf_bytes(&milan[0]), &pem, NULL), ATLS_OK,
                     NULL);
    atls_json_open_object(&j, NULL);
    atls_json_put_string(&j, "format", "libatls-store-1");
    atls_json_open_array(&j, "anchors");
    atls_json_open_object(&j, NULL);
    atls_json_put_string(&j, "purpose", "tee");
    atls_json_put_text(&j, "certificate", atls_buf_bytes(&pem));
    atls_json_close(&j);
    atls_json_close(&j);
    atls_json_close(&j);
    test_assert_code(atls_json_finish(&j, &text, NULL), ATLS_OK, NULL);
    test_assert_code(atls_store_import_json(p->store, atls_buf_bytes(&text), &err),
                     ATLS_E_CERTIFICATE, &err);
    assert_int_equal(err.reason, ATLS_REASON_CHAIN_ISSUER);
    assert_false(has_trust(p->store));
    for (size_t i = 0; i < 2; i++)
        atls_buf_clear(&milan[i]);
    atls_buf_clear(&pem);
    atls_buf_clear(&text);
}

/* ---- without memory ---- */

/* Whatever allocation fails, what must not be an anchor is none, and the store is as it was. */
static void short_of_memory(void **state)
{
    struct place *p = *state;
    struct atls_buf milan[2], genoa[2];
    bool failed = true;
    size_t before;

    amd_chain("milan", milan);
    amd_chain("genoa", genoa);
    test_assert_code(import_tee(p->store, atls_buf_bytes(&genoa[1]), NULL, NULL), ATLS_OK, NULL);
    for (size_t n = 0; failed; n++) {
        test_failing_alloc_arm(n);
        assert_int_not_equal(import_tee(p->store, atls_buf_bytes(&milan[0]), NULL, NULL), ATLS_OK);
        failed = test_failing_alloc_disarm();
        assert_int_equal(tee_count(p->store, NOW), 1);
    }
    failed = true;
    for (size_t n = 0; failed; n++) {
        enum atls_code code;

        before = tee_count(p->store, NOW);
        test_failing_alloc_arm(n);
        code = import_tee(p->store, atls_buf_bytes(&milan[1]), NULL, NULL);
        failed = test_failing_alloc_disarm();
        assert_int_equal(tee_count(p->store, NOW), code == ATLS_OK ? 2 : before);
    }
    for (size_t i = 0; i < 2; i++) {
        atls_buf_clear(&milan[i]);
        atls_buf_clear(&genoa[i]);
    }
}

/* ---- keys of an instance and a class ---- */

static void the_key_of_an_instance_of_a_class(void **state)
{
    struct place *p = *state;
    struct atls_store_view view = {.store = p->store, .time_s = NOW};
    struct atls_buf spki = new_key(NULL);
    struct atls_endorsement_source source;
    struct atls_attest_key key;
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t instance[33] = {1};

    memset(instance + 1, 7, 32);
    import_ok(p->store, make_with_key("m", 7, atls_buf_bytes(&spki), ""));
    atls_store_view_source(&view, &source);
    test_assert_code(source.attest_key_of(source.arg, class_item(),
                                          atls_bytes_of(instance, sizeof instance), &key, &err),
                     ATLS_OK, &err);
    test_assert_bytes(atls_buf_bytes(&key.spki), atls_buf_bytes(&spki));
    clear_key(&key);
    test_assert_code(source.attest_key_of(source.arg, atls_bytes_of("\x41\x01", 2),
                                          atls_bytes_of(instance, sizeof instance), &key, &err),
                     ATLS_E_NOT_FOUND, &err);
    atls_buf_clear(&spki);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, place_set_up, place_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {WITH_STORE(a_chain_as_its_maker_publishes_it),
                                       WITH_STORE(an_intermediate_needs_its_root),
                                       WITH_STORE(certificates_that_are_refused),
                                       WITH_STORE(what_is_malformed),
                                       WITH_STORE(the_same_object_until_the_store_changes),
                                       WITH_STORE(the_class_of_an_anchor),
                                       WITH_STORE(a_manifest_brings_a_root),
                                       WITH_STORE(classes_of_one_root),
                                       WITH_STORE(a_manifest_whose_certificate_is_no_root),
                                       WITH_STORE(anchors_are_listed_and_carried_over),
                                       WITH_STORE(an_export_without_the_root),
                                       WITH_STORE(short_of_memory),
                                       WITH_STORE(the_key_of_an_instance_of_a_class)};

    test_failing_alloc_install();
    return PLACE_RUN_BOTH("anchors of makers", tests, tests);
}
