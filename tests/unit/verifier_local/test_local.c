#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arm_world.h"
#include "conditional.h"
#include "pki.h"
#include "testlib.h"
#include "tpm_world.h"

#include <atls/corim.h>
#include <atls/local.h>
#include <atls/store.h>

#include "core/log.h"
#include "crypto/crypto.h"
#include "wire/cbor.h"
#include "wire/corim.h"
#include "wire/ear_json.h"
#include "wire/parsec.h"

#define NOW       TPM_WORLD_NOW
#define NOT_AFTER TPM_WORLD_NOT_AFTER
#define CLASS_ID  TPM_WORLD_CLASS

static const uint8_t binder[48] = "binder of one connection, as long as SHA-384 is";
static const struct atls_verifier_ops *const backends[] = {&atls_local_verifier, NULL};

static void refer(const struct tpm_world *w, uint32_t bitmap)
{
    tpm_world_refer(w, bitmap, NULL, NULL);
}

static enum atls_code appraise(struct tpm_world *w, const struct atls_verifier_options *options,
                               int64_t time_s, struct atls_result **out, struct atls_err *err)
{
    struct atls_verifier *v = NULL;
    struct atls_appraisal a;
    enum atls_code code;

    atls_buf_clear(&w->evidence);
    w->evidence = test_tpm_evidence_encode(&w->e);
    test_assert_code(atls_verifier_open(w->uri, backends, options, &v, err), ATLS_OK, err);
    a = (struct atls_appraisal){atls_buf_bytes(&w->evidence),
                                atls_bytes_of(binder, 32),
                                test_tpm_evidence_aik_spki(&w->e),
                                time_s,
                                0,
                                {NULL, 0}};
    code = atls_verifier_appraise(v, &a, out, err);
    atls_verifier_unref(v);
    return code;
}

/* What we emit is an EAR by our own strict decoder. */
static void assert_is_ear(struct atls_result *r)
{
    const char *text = atls_result_json(r);
    static struct atls_ear ear;
    struct atls_err err = ATLS_ERR_INIT;

    assert_non_null(text);
    test_assert_code(atls_ear_json_decode(atls_bytes_of(text, strlen(text)), 0, &ear, &err),
                     ATLS_OK, &err);
    assert_int_equal(ear.version, ATLS_EAR_04);
    assert_int_equal(ear.submod_count, 1);
    assert_int_equal(ear.submods[0].status, atls_result_status(r));
    assert_int_equal(ear.nonce_count, 1);
    test_assert_bytes(ear.nonces[0], atls_bytes_of(binder, 32));
    test_assert_bytes(ear.submods[0].key, atls_result_key(r));
    for (unsigned int i = 0; i < ATLS_TRUST_CLAIMS; i++)
        assert_int_equal(ear.submods[0].trust[i],
                         atls_result_submod_trust(r, 0, (enum atls_trust_claim)i));
    atls_ear_clear(&ear);
}

static void evidence_against_reference_values(void **state)
{
    static const struct {
        const char *name;
        uint32_t references;
        int executables;
        enum atls_tier status;
        enum atls_reason reason;
        const char *explanation;
        bool change_pcr_7;
    } rows[] = {
        {"every PCR is known", 0xff, 3, ATLS_TIER_AFFIRMING, ATLS_REASON_NONE, "", false},
        {"PCR 7 changed", 0xff, 33, ATLS_TIER_WARNING, ATLS_REASON_MEASUREMENT,
         "PCR 7 (sha256) is ", true},
        {"PCR 5 has no reference value", 0xdf, 33, ATLS_TIER_WARNING, ATLS_REASON_MEASUREMENT,
         "PCR 5 (sha256) is ", false},
        {"no reference values", 0, 0, ATLS_TIER_WARNING, ATLS_REASON_NO_REFERENCE_VALUES,
         "no-reference-values: class " CLASS_ID " has none in the store", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static struct tpm_world w;
        struct atls_result *r = NULL;
        struct atls_err err = ATLS_ERR_INIT;
        uint8_t ueid[33];

        print_message("%s\n", rows[i].name);
        tpm_world_open(&w, atls_bytes_of(binder, 32));
        tpm_world_enrol(&w);
        if (rows[i].references != 0)
            refer(&w, rows[i].references);
        if (rows[i].change_pcr_7)
            test_tpm_evidence_set(&w.e, 0, 7,
                                  atls_bytes_of("0123456789abcdef0123456789abcdef", 32));
        test_assert_code(appraise(&w, NULL, NOW, &r, &err), ATLS_OK, &err);
        assert_int_equal(atls_result_status(r), rows[i].status);
        assert_int_equal(atls_result_submod_trust(r, 0, ATLS_TRUST_EXECUTABLES),
                         rows[i].executables);
        assert_int_equal(atls_result_submod_trust(r, 0, ATLS_TRUST_INSTANCE_IDENTITY), 2);
        assert_int_equal(atls_result_submod_trust(r, 0, ATLS_TRUST_HARDWARE), 0);
        assert_int_equal(atls_result_reason(r), rows[i].reason);
        assert_memory_equal(atls_result_explanation(r), rows[i].explanation,
                            strlen(rows[i].explanation));
        assert_string_equal(atls_result_evidence_type(r), "tpm");
        assert_int_equal(atls_result_issued_at(r), NOW);
        test_tpm_ueid(&w.e.ak, ueid);
        test_assert_bytes(atls_result_instance(r), atls_bytes_of(ueid, sizeof ueid));
        assert_is_ear(r);
        atls_result_unref(r);
        tpm_world_close(&w);
    }
}

/* Imports a manifest that key signed. */
static void import_signed(const struct tpm_world *w, struct atls_json *template_json,
                          const struct atls_private_key *key)
{
    struct atls_buf json = ATLS_BUF_INIT, corim = ATLS_BUF_INIT, pem = ATLS_BUF_INIT,
                    in_sign1 = ATLS_BUF_INIT;
    struct atls_corim_sign_options options = {.signer = "maker", .not_after_s = NOT_AFTER};
    struct atls_store_import_report report;
    struct atls_store *s = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_private_key_to_pem(key, &pem, &err), ATLS_OK, &err);
    options.key_pem = atls_buf_bytes(&pem);
    test_assert_code(atls_json_finish(template_json, &json, &err), ATLS_OK, &err);
    test_assert_code(atls_corim_create(atls_buf_bytes(&json), &corim, &err), ATLS_OK, &err);
    test_assert_code(atls_corim_sign(atls_buf_bytes(&corim), &options, &in_sign1, &err), ATLS_OK,
                     &err);
    test_assert_code(atls_store_open(w->path, ATLS_STORE_WRITE, &s, &err), ATLS_OK, &err);
    test_assert_code(atls_store_import_corim(s, atls_buf_bytes(&in_sign1),
                                             atls_key_spki(atls_private_key_public(key)), NOW,
                                             &report, &err),
                     ATLS_OK, &err);
    atls_store_close(s);
    atls_buf_clear(&json);
    atls_buf_clear(&corim);
    atls_buf_clear(&pem);
    atls_buf_clear(&in_sign1);
}

/* The maker says svn 3 of the class, and "secure" of whoever has this PCR 7. */
static void endorse(const struct tpm_world *w, const struct atls_private_key *maker)
{
    struct atls_json j = tpm_world_template("maker");

    atls_json_open_array(&j, "endorsed-values");
    atls_json_open_object(&j, NULL);
    atls_json_put_string(&j, "mkey", "firmware");
    atls_json_put_uint(&j, "svn", 3);
    atls_json_close(&j);
    atls_json_close(&j);
    atls_json_open_array(&j, "conditional-endorsements");
    atls_json_open_object(&j, NULL);
    atls_json_open_array(&j, "conditions");
    atls_json_open_object(&j, NULL);
    atls_json_put_uint(&j, "mkey", 7);
    atls_json_open_object(&j, "digests");
    atls_json_put_hex(&j, "sha256", w->e.banks[0].values[7]);
    atls_json_close(&j);
    atls_json_close(&j);
    atls_json_close(&j);
    atls_json_open_array(&j, "additions");
    atls_json_open_object(&j, NULL);
    atls_json_put_string(&j, "mkey", "release");
    atls_json_open_object(&j, "flags");
    atls_json_put_bool(&j, "secure", true);
    atls_json_close(&j);
    atls_json_close(&j);
    atls_json_close(&j);
    atls_json_close(&j);
    atls_json_close(&j);
    atls_json_close(&j);
    import_signed(w, &j, maker);
}

/* An unsigned manifest that says svn 7 of one instance, whatever its class. */
static void endorse_instance(const struct tpm_world *w, struct atls_bytes ueid)
{
    struct atls_writer comid = atls_writer_init(4096), corim = atls_writer_init(4096);
    struct atls_store_import_report report;
    struct atls_store *s = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    atls_cbor_put_map(&comid, 2);
    atls_cbor_put_uint(&comid, 1); /* tag-identity */
    atls_cbor_put_map(&comid, 1);
    atls_cbor_put_uint(&comid, 0);
    atls_cbor_put_text(&comid, "audit");
    atls_cbor_put_uint(&comid, 4); /* triples */
    atls_cbor_put_map(&comid, 1);
    atls_cbor_put_uint(&comid, ATLS_TRIPLE_ENDORSED);
    atls_cbor_put_array(&comid, 1);
    atls_cbor_put_array(&comid, 2);
    atls_cbor_put_map(&comid, 1); /* environment: instance */
    atls_cbor_put_uint(&comid, 1);
    atls_cbor_put_tag(&comid, ATLS_TAG_UEID);
    atls_cbor_put_bytes(&comid, ueid);
    atls_cbor_put_array(&comid, 1);
    atls_cbor_put_map(&comid, 2); /* measurement */
    atls_cbor_put_uint(&comid, 0);
    atls_cbor_put_text(&comid, "audit");
    atls_cbor_put_uint(&comid, 1);
    atls_cbor_put_map(&comid, 1);
    atls_cbor_put_uint(&comid, 1); /* svn */
    atls_cbor_put_uint(&comid, 7);
    atls_cbor_put_tag(&corim, ATLS_TAG_CORIM);
    atls_cbor_put_map(&corim, 2);
    atls_cbor_put_uint(&corim, 0);
    atls_cbor_put_text(&corim, "audit");
    atls_cbor_put_uint(&corim, 1);
    atls_cbor_put_array(&corim, 1);
    atls_cbor_put_tag(&corim, ATLS_TAG_COMID);
    atls_cbor_put_bytes(&corim, atls_writer_bytes(&comid));
    assert_int_equal(corim.failed, ATLS_OK);
    test_assert_code(atls_store_open(w->path, ATLS_STORE_WRITE, &s, &err), ATLS_OK, &err);
    test_assert_code(atls_store_import_corim(s, atls_writer_bytes(&corim), atls_bytes_of(NULL, 0),
                                             NOW, &report, &err),
                     ATLS_OK, &err);
    atls_store_close(s);
    atls_writer_clear(&comid);
    atls_writer_clear(&corim);
}

static bool shows(struct atls_result *r, const char *key, const char *value)
{
    const char *at, *text = atls_result_json(r);
    char want[128];

    assert_non_null(text);
    at = strstr(text, "\"endorsements\":[");
    assert_non_null(at);
    snprintf(want, sizeof want, "\"key\":\"%s\",\"value\":%s}", key, value);
    return strstr(at, want) != NULL;
}

static void endorsements_of_the_store_are_shown(void **state)
{
    static const struct {
        const char *name;
        bool endorsed, change_pcr_7, audited, other_audited;
    } rows[] = {
        {"nobody endorses", false, false, false, false},
        {"the maker does", true, false, false, false},
        {"the maker does, for another PCR 7", true, true, false, false},
        {"somebody else does, for the instance", false, false, true, false},
        {"both do", true, false, true, false},
        {"somebody else does, for another instance", true, false, false, true},
    };
    struct atls_private_key *maker = NULL;
    uint8_t thumbprint[ATLS_HASH_MAX];
    char authority[128], hex[65];

    (void)state;
    assert_int_equal(atls_private_key_generate(ATLS_KEY_P256, &maker, NULL), ATLS_OK);
    assert_int_equal(atls_hash_one(ATLS_HASH_SHA256, atls_key_spki(atls_private_key_public(maker)),
                                   thumbprint, NULL),
                     ATLS_OK);
    atls_hex(atls_bytes_of(thumbprint, 32), hex, sizeof hex);
    snprintf(authority, sizeof authority, "\"manifest\":\"maker\",\"authority\":\"%s\"", hex);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static struct tpm_world w;
        struct atls_result *r = NULL;
        struct atls_err err = ATLS_ERR_INIT;
        uint8_t ueid[33];

        print_message("%s\n", rows[i].name);
        tpm_world_open(&w, atls_bytes_of(binder, 32));
        tpm_world_enrol(&w);
        refer(&w, 0xff);
        if (rows[i].endorsed)
            endorse(&w, maker);
        test_tpm_ueid(&w.e.ak, ueid);
        ueid[32] ^= rows[i].other_audited;
        if (rows[i].audited || rows[i].other_audited)
            endorse_instance(&w, atls_bytes_of(ueid, sizeof ueid));
        if (rows[i].change_pcr_7)
            test_tpm_evidence_set(&w.e, 0, 7,
                                  atls_bytes_of("0123456789abcdef0123456789abcdef", 32));
        test_assert_code(appraise(&w, NULL, NOW, &r, &err), ATLS_OK, &err);
        assert_int_equal(atls_result_submod_trust(r, 0, ATLS_TRUST_EXECUTABLES),
                         rows[i].change_pcr_7 ? 33 : 3);
        assert_int_equal(shows(r, "firmware", "{\"svn\":3}"), rows[i].endorsed);
        assert_int_equal(shows(r, "release", "{\"flags\":{\"secure\":true}}"),
                         rows[i].endorsed && !rows[i].change_pcr_7);
        assert_int_equal(shows(r, "audit", "{\"svn\":7}"), rows[i].audited);
        assert_int_equal(strstr(atls_result_json(r), authority) != NULL, rows[i].endorsed);
        assert_is_ear(r);
        atls_result_unref(r);
        tpm_world_close(&w);
    }
    atls_private_key_free(maker);
}

static void import_unsigned(const struct tpm_world *w, struct atls_buf corim)
{
    struct atls_store_import_report report;
    struct atls_store *s = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_store_open(w->path, ATLS_STORE_WRITE, &s, &err), ATLS_OK, &err);
    test_assert_code(atls_store_import_corim(s, atls_buf_bytes(&corim), atls_bytes_of(NULL, 0), NOW,
                                             &report, &err),
                     ATLS_OK, &err);
    atls_store_close(s);
    atls_buf_clear(&corim);
}

/* The class of the attester is in no first condition but one, and what waits for parts of the
 * machine is found by the classes of these. */
static void endorsements_that_lead_through_other_classes(void **state)
{
    static const uint8_t machine[] = {
        0xd8, 0x25, 0x50, 0x31, 0xfb, 0x5a, 0xbf, 0x02, 0x3e, 0x49,
        0x92, 0xaa, 0x4e, 0x95, 0xf9, 0xc1, 0x50, 0x3b, 0xfa}; /* CLASS_ID */
    static const struct atls_bytes board_class = HEX("\xd9\x02\x30\x41\x62"),
                                   modem_class = HEX("\xd9\x02\x30\x41\x6d");
    const struct test_part board = {.class_id = board_class, .mkey = "board", .svn = 1};
    const struct test_part other_board = {.class_id = board_class, .mkey = "board", .svn = 2};
    const struct test_part modem = {.class_id = modem_class, .mkey = "modem", .svn = 5};
    struct test_part boot = {.class_id = {machine, sizeof machine}, .pcr = 7};
    struct test_part approved = {.class_id = boot.class_id, .mkey = "approved", .svn = 1};
    static struct tpm_world w;
    static const struct {
        const char *name;
        bool has_board, has_modem, modem_of_other_board;
    } rows[] = {
        {"nothing is said of the board", false, true, false},
        {"nothing is said of the modem", true, false, false},
        {"board, and by it the modem", true, true, false},
        {"the modem of another board", true, true, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct test_part both[] = {modem, boot};
        struct atls_result *r = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("%s\n", rows[i].name);
        tpm_world_open(&w, atls_bytes_of(binder, 32));
        tpm_world_enrol(&w);
        refer(&w, 0xff);
        boot.digest = both[1].digest = w.e.banks[0].values[7];
        import_unsigned(&w, test_conditional("approval", both, 2, &approved, 1));
        if (rows[i].has_modem)
            import_unsigned(
                &w, test_conditional("modem", rows[i].modem_of_other_board ? &other_board : &board,
                                     1, &modem, 1));
        if (rows[i].has_board)
            import_unsigned(&w, test_conditional("board", &boot, 1, &board, 1));
        test_assert_code(appraise(&w, NULL, NOW, &r, &err), ATLS_OK, &err);
        if (rows[i].has_board)
            assert_true(shows(r, "board", "{\"svn\":1}"));
        else
            assert_null(strstr(atls_result_json(r), "\"board\""));
        assert_int_equal(strstr(atls_result_json(r), "\"approved\"") != NULL,
                         rows[i].has_board && rows[i].has_modem && !rows[i].modem_of_other_board);
        atls_result_unref(r);
        tpm_world_close(&w);
    }
}

static void evidence_that_is_not_genuine_has_no_result(void **state)
{
    enum { OTHER_KEY, OTHER_BINDER, LATE, NO_CLASS_BANK };
    static const struct {
        const char *name;
        int fault;
        enum atls_reason want;
    } rows[] = {
        {"attestation key that nobody enrolled", OTHER_KEY, ATLS_REASON_UNTRUSTED_AK},
        {"evidence for another connection", OTHER_BINDER, ATLS_REASON_NONCE_MISMATCH},
        {"manifest of the key has expired", LATE, ATLS_REASON_UNTRUSTED_AK},
        {"a bank of SHA-1", NO_CLASS_BANK, ATLS_REASON_WEAK_PCR_BANK},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static struct tpm_world w, other;
        struct atls_result *r = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("%s\n", rows[i].name);
        tpm_world_open(&w, atls_bytes_of(binder, rows[i].fault == OTHER_BINDER ? 48 : 32));
        tpm_world_open(&other, atls_bytes_of(binder, 32));
        tpm_world_enrol(&other);
        tpm_world_enrol(&w);
        refer(&w, 0xff);
        if (rows[i].fault == OTHER_KEY)
            snprintf(w.uri, sizeof w.uri, "local:%s", other.path);
        if (rows[i].fault == NO_CLASS_BANK)
            test_tpm_evidence_add_bank(&w.e, 0x0004, 1);
        test_assert_code(appraise(&w, NULL, rows[i].fault == LATE ? NOT_AFTER + 1 : NOW, &r, &err),
                         ATLS_E_EVIDENCE, &err);
        assert_int_equal(err.reason, rows[i].want);
        assert_null(r);
        tpm_world_close(&w);
        tpm_world_close(&other);
    }
}

static void certify_ak(struct tpm_world *w, const struct test_identity *ca,
                       struct test_identity *out)
{
    static const struct test_extension extensions[] = {{"keyUsage", "critical,digitalSignature"},
                                                       {"extendedKeyUsage", "2.23.133.8.3"},
                                                       {NULL, NULL}};

    *out = test_issue(
        ca, &(struct test_certificate){.key = w->e.ak.private_key, .extensions = extensions});
    w->e.ak_chain[0] = atls_buf_bytes(&out->certificate);
    w->e.ak_chain_count = 1;
}

/* A certified attestation key is good until its certificate is on a list, or the list is old. */
static void revocation_of_attestation_keys(void **state)
{
    static struct tpm_world w;
    struct test_identity ca = test_ca("ak ca"), ak;
    struct atls_buf crls[2];
    struct atls_store *s = NULL;
    struct atls_result *r = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    tpm_world_open(&w, atls_bytes_of(binder, 32));
    certify_ak(&w, &ca, &ak);
    crls[0] = test_crl(&ca, NULL, NOW - 10, NOW + 10);
    crls[1] = test_crl(&ca, &ak, NOW - 5, NOW + 10);
    test_assert_code(atls_store_open(w.path, ATLS_STORE_WRITE, &s, &err), ATLS_OK, &err);
    test_assert_code(atls_store_import_anchors(s, ATLS_ANCHOR_AK, atls_buf_bytes(&ca.certificate),
                                               CLASS_ID, NULL, &err),
                     ATLS_OK, &err);
    refer(&w, 0xff);
    test_assert_code(appraise(&w, NULL, NOW, &r, &err), ATLS_OK, &err);
    atls_result_unref(r);
    test_assert_code(atls_store_import_crls(s, atls_buf_bytes(&crls[0]), NULL, &err), ATLS_OK,
                     &err);
    test_assert_code(appraise(&w, NULL, NOW, &r, &err), ATLS_OK, &err);
    assert_int_equal(atls_result_status(r), ATLS_TIER_AFFIRMING);
    atls_result_unref(r);
    r = NULL;
    test_assert_code(appraise(&w, NULL, NOW + 11, &r, &err), ATLS_E_CERTIFICATE, &err);
    assert_int_equal(err.reason, ATLS_REASON_CERTIFICATE_REVOKED);
    test_assert_code(atls_store_import_crls(s, atls_buf_bytes(&crls[1]), NULL, &err), ATLS_OK,
                     &err);
    test_assert_code(appraise(&w, NULL, NOW, &r, &err), ATLS_E_CERTIFICATE, &err);
    assert_int_equal(err.reason, ATLS_REASON_CERTIFICATE_REVOKED);
    assert_null(r);
    atls_store_close(s);
    for (size_t i = 0; i < 2; i++)
        atls_buf_clear(&crls[i]);
    test_identity_clear(&ak);
    test_identity_clear(&ca);
    tpm_world_close(&w);
}

static void import_anchor(struct atls_store *s, enum atls_anchor_purpose purpose,
                          const struct test_identity *ca)
{
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(
        atls_store_import_anchors(s, purpose, atls_buf_bytes(&ca->certificate), NULL, NULL, &err),
        ATLS_OK, &err);
}

static void what_changes_in_the_store_is_a_new_generation(void **state)
{
    static struct tpm_world w;
    struct test_identity ca = test_ca("ak ca");
    struct atls_store *s = NULL;
    struct atls_verifier *v = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    uint64_t before = 0, after = 0;

    (void)state;
    tpm_world_open(&w, atls_bytes_of(binder, 32));
    test_assert_code(atls_store_open(w.path, ATLS_STORE_WRITE, &s, &err), ATLS_OK, &err);
    import_anchor(s, ATLS_ANCHOR_AK, &ca);
    test_assert_code(atls_verifier_open(w.uri, backends, NULL, &v, &err), ATLS_OK, &err);
    test_assert_code(atls_verifier_ping(v, &err), ATLS_OK, &err);
    test_assert_code(atls_verifier_generation(v, &before, &err), ATLS_OK, &err);
    test_assert_code(atls_verifier_generation(v, &after, &err), ATLS_OK, &err);
    assert_int_equal(before, after);
    import_anchor(s, ATLS_ANCHOR_TLS, &ca);
    test_assert_code(atls_verifier_generation(v, &after, &err), ATLS_OK, &err);
    assert_true(after > before);
    atls_store_close(s);
    atls_verifier_unref(v);
    test_identity_clear(&ca);
    tpm_world_close(&w);
}

/* One verifier that has remembered the chain sees a list that another process imports. */
static void a_list_counts_for_chains_that_are_remembered(void **state)
{
    static struct tpm_world w;
    struct test_identity ca = test_ca("ak ca"), ak;
    struct atls_appraisal a;
    struct atls_verifier *v = NULL;
    struct atls_store *s = NULL;
    struct atls_result *r = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf crl;

    (void)state;
    tpm_world_open(&w, atls_bytes_of(binder, 32));
    certify_ak(&w, &ca, &ak);
    test_assert_code(atls_store_open(w.path, ATLS_STORE_WRITE, &s, &err), ATLS_OK, &err);
    test_assert_code(atls_store_import_anchors(s, ATLS_ANCHOR_AK, atls_buf_bytes(&ca.certificate),
                                               CLASS_ID, NULL, &err),
                     ATLS_OK, &err);
    w.evidence = test_tpm_evidence_encode(&w.e);
    test_assert_code(atls_verifier_open(w.uri, backends, NULL, &v, &err), ATLS_OK, &err);
    a = (struct atls_appraisal){atls_buf_bytes(&w.evidence),
                                atls_bytes_of(binder, 32),
                                test_tpm_evidence_aik_spki(&w.e),
                                NOW,
                                0,
                                {NULL, 0}};
    for (int i = 0; i < 2; i++) {
        test_assert_code(atls_verifier_appraise(v, &a, &r, &err), ATLS_OK, &err);
        atls_result_unref(r);
    }
    crl = test_crl(&ca, &ak, NOW - 5, NOW + 10);
    test_assert_code(atls_store_import_crls(s, atls_buf_bytes(&crl), NULL, &err), ATLS_OK, &err);
    test_assert_code(atls_verifier_appraise(v, &a, &r, &err), ATLS_E_CERTIFICATE, &err);
    assert_int_equal(err.reason, ATLS_REASON_CERTIFICATE_REVOKED);
    atls_verifier_unref(v);
    atls_store_close(s);
    atls_buf_clear(&crl);
    test_identity_clear(&ak);
    test_identity_clear(&ca);
    tpm_world_close(&w);
}

/* Reference values that name vendor and model fit a certified key whose anchor stands for these. */
static void vendor_and_model_of_a_certified_key(void **state)
{
    static const struct {
        const char *name, *vendor, *model;
        enum atls_tier want;
    } rows[] = {
        {"those of the anchor", "ACME", "Gateway 3", ATLS_TIER_AFFIRMING},
        {"another model", "ACME", "Gateway 4", ATLS_TIER_WARNING},
        {"another vendor", "Other", "Gateway 3", ATLS_TIER_WARNING},
        {"the anchor says none", NULL, NULL, ATLS_TIER_WARNING},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static struct tpm_world w;
        struct test_identity ca = test_ca("ak ca"), ak;
        const struct atls_store_anchor_options as = {.purpose = ATLS_ANCHOR_AK,
                                                     .class_uuid = CLASS_ID,
                                                     .vendor = rows[i].vendor,
                                                     .model = rows[i].model};
        struct atls_store *s = NULL;
        struct atls_result *r = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("%s\n", rows[i].name);
        tpm_world_open(&w, atls_bytes_of(binder, 32));
        certify_ak(&w, &ca, &ak);
        test_assert_code(atls_store_open(w.path, ATLS_STORE_WRITE, &s, &err), ATLS_OK, &err);
        test_assert_code(
            atls_store_import_anchors_as(s, atls_buf_bytes(&ca.certificate), &as, NULL, &err),
            ATLS_OK, &err);
        atls_store_close(s);
        tpm_world_refer(&w, 0xff, "ACME", "Gateway 3");
        test_assert_code(appraise(&w, NULL, NOW, &r, &err), ATLS_OK, &err);
        assert_int_equal(atls_result_status(r), rows[i].want);
        atls_result_unref(r);
        test_identity_clear(&ak);
        test_identity_clear(&ca);
        tpm_world_close(&w);
    }
}

static void options_reach_the_checks(void **state)
{
    static struct tpm_world w;
    struct atls_verifier_options options;
    struct atls_result *r = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    tpm_world_open(&w, atls_bytes_of(binder, 32));
    tpm_world_enrol(&w);
    refer(&w, 0xff);
    test_tpm_evidence_add_bank(&w.e, 0x0004, 1);
    atls_verifier_options_init(&options);
    options.allow_sha1_pcr_bank = true;
    test_assert_code(appraise(&w, &options, NOW, &r, &err), ATLS_OK, &err);
    assert_int_equal(atls_result_status(r), ATLS_TIER_AFFIRMING); /* by the other bank */
    assert_is_ear(r);
    atls_result_unref(r);
    tpm_world_close(&w);
}

/* PCR 10 after the one violation that the log begins with: what is extended is ones. */
static void plant_violation(struct tpm_world *w, struct atls_buf *log)
{
    uint8_t joined[96], value[ATLS_HASH_MAX];

    memset(joined, 0, 48);
    memset(joined + 48, 0xff, 48);
    assert_int_equal(
        atls_hash_one(ATLS_HASH_SHA384, atls_bytes_of(joined, sizeof joined), value, NULL),
        ATLS_OK);
    test_tpm_evidence_add_bank(&w->e, ATLS_TPM_ALG_SHA384, 0x400);
    test_tpm_evidence_set(&w->e, 1, 10, atls_bytes_of(value, 48));
    *log = test_vector("tpm/ima/ima-log-sha384");
    w->e.ima_log = atls_buf_bytes(log);
}

static void violations_of_the_ima_log_pass_when_allowed(void **state)
{
    static struct tpm_world w;
    struct atls_verifier_options options;
    struct atls_result *r = NULL;
    struct atls_buf log;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    tpm_world_open(&w, atls_bytes_of(binder, 32));
    tpm_world_enrol(&w);
    plant_violation(&w, &log);
    atls_verifier_options_init(&options);
    test_assert_code(appraise(&w, &options, NOW, &r, &err), ATLS_E_EVIDENCE, &err);
    assert_int_equal(err.reason, ATLS_REASON_MEASUREMENT);
    options.allow_ima_violations = true;
    test_assert_code(appraise(&w, &options, NOW, &r, &err), ATLS_OK, &err);
    atls_result_unref(r);
    /* a caller that was built before the option was there */
    options.size = offsetof(struct atls_verifier_options, allow_ima_violations);
    test_assert_code(appraise(&w, &options, NOW, &r, &err), ATLS_E_EVIDENCE, &err);
    assert_int_equal(err.reason, ATLS_REASON_MEASUREMENT);
    atls_buf_clear(&log);
    tpm_world_close(&w);
}

static void rules_are_checked_at_the_start(void **state)
{
    static const char *const good[] = {"snp.vmpl=1", NULL}, *const bad[] = {"snp.vmpl=9", NULL};
    static struct tpm_world w;
    struct atls_verifier_options options;
    struct atls_verifier *v = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    tpm_world_open(&w, atls_bytes_of(binder, 32));
    tpm_world_enrol(&w);
    atls_verifier_options_init(&options);
    options.rules = bad;
    test_assert_code(atls_verifier_open(w.uri, backends, &options, &v, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "rule snp.vmpl is \"9\""));
    test_assert_code(atls_verifier_check_rules(bad, &err), ATLS_E_CONFIG, &err);
    test_assert_code(atls_verifier_check_rules(good, &err), ATLS_OK, &err);
    test_assert_code(atls_verifier_check_rules(NULL, &err), ATLS_OK, &err);
    options.rules = good;
    test_assert_code(atls_verifier_open(w.uri, backends, &options, &v, &err), ATLS_OK, &err);
    atls_verifier_unref(v);
    tpm_world_close(&w);
}

static void stores_that_trust_nobody(void **state)
{
    static struct tpm_world w;
    struct atls_verifier *v = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    tpm_world_open(&w, atls_bytes_of(binder, 32));
    test_assert_code(atls_verifier_open(w.uri, backends, NULL, &v, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "no attestation key"));
    refer(&w, 0xff); /* reference values vouch for nobody */
    test_assert_code(atls_verifier_open(w.uri, backends, NULL, &v, &err), ATLS_E_CONFIG, &err);
    test_assert_code(atls_verifier_open("local:", backends, NULL, &v, &err), ATLS_E_CONFIG, &err);
    test_assert_code(atls_verifier_open("local:/nowhere/at/all.db", backends, NULL, &v, &err),
                     ATLS_E_CONFIG, &err);
    assert_null(v);
    tpm_world_enrol(&w);
    test_assert_code(atls_verifier_open(w.uri, backends, NULL, &v, &err), ATLS_OK, &err);
    atls_verifier_unref(v);
    tpm_world_close(&w);
}

static char logged[512];

static void keep_line(void *arg, enum atls_log_level level, const char *module, const char *message)
{
    (void)arg;
    (void)level;
    snprintf(logged, sizeof logged, "%s: %s", module, message);
}

static void results_are_logged(void **state)
{
    static struct tpm_world w;
    struct atls_verifier_options options;
    struct atls_result *r = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    tpm_world_open(&w, atls_bytes_of(binder, 32));
    tpm_world_enrol(&w);
    atls_verifier_options_init(&options);
    options.log = (struct atls_log){NULL, ATLS_LOG_DEBUG, keep_line};
    test_assert_code(appraise(&w, &options, NOW, &r, &err), ATLS_OK, &err);
    assert_memory_equal(logged, "verifier: tpm evidence is warning: no-reference-values", 54);
    atls_result_unref(r);
    tpm_world_close(&w);
}

/* A key that anyone can make, enrolled as such, and evidence of a "TPM" that it signed: the kid of
 * the one is good for the other. Enrolled for a TPM, the very same evidence is good. */
static void a_software_key_does_not_speak_for_a_tpm(void **state)
{
    static const struct {
        const char *profile;
        bool insecure_too;
        enum atls_code want;
    } rows[] = {
        {"soft", false, ATLS_E_EVIDENCE},
        {"soft", true, ATLS_E_EVIDENCE},
        {"tpm", false, ATLS_OK},
    };
    struct atls_private_key *key, *aik;

    (void)state;
    assert_int_equal(atls_private_key_generate(ATLS_KEY_P256, &key, NULL), ATLS_OK);
    assert_int_equal(atls_private_key_generate(ATLS_KEY_P256, &aik, NULL), ATLS_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static struct tpm_world w;
        struct atls_verifier_options options;
        struct atls_verifier *v = NULL;
        struct atls_result *r = NULL;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_buf bundle;
        struct atls_appraisal a = {.binder = atls_bytes_of(binder, 32),
                                   .aik_spki = test_arm_spki(aik),
                                   .time_s = NOW,
                                   .profiles = ATLS_PROFILE_PARSEC};
        uint8_t kid[33];

        tpm_world_open(&w, atls_bytes_of(binder, 32));
        bundle = test_parsec_tpm_by(key, a.aik_spki, a.binder, kid);
        tpm_world_enrol_as(&w, rows[i].profile, key, atls_bytes_of(kid, sizeof kid));
        w.evidence = test_arm_record(ATLS_TYPE_PARSEC_TPM, atls_buf_bytes(&bundle));
        a.evidence = atls_buf_bytes(&w.evidence);
        atls_verifier_options_init(&options);
        options.allow_insecure_technology = rows[i].insecure_too;
        test_assert_code(atls_verifier_open(w.uri, backends, &options, &v, &err), ATLS_OK, &err);
        test_assert_code(atls_verifier_appraise(v, &a, &r, &err), rows[i].want, &err);
        if (rows[i].want == ATLS_OK)
            assert_string_equal(atls_result_evidence_type(r), "tpm");
        else
            test_assert_other_technology(&err, ATLS_REASON_UNTRUSTED_AK, "tpm", "soft");
        atls_result_unref(r);
        atls_verifier_unref(v);
        atls_buf_clear(&bundle);
        tpm_world_close(&w);
    }
    atls_private_key_free(key);
    atls_private_key_free(aik);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evidence_against_reference_values),
        cmocka_unit_test(endorsements_of_the_store_are_shown),
        cmocka_unit_test(endorsements_that_lead_through_other_classes),
        cmocka_unit_test(evidence_that_is_not_genuine_has_no_result),
        cmocka_unit_test(a_software_key_does_not_speak_for_a_tpm),
        cmocka_unit_test(revocation_of_attestation_keys),
        cmocka_unit_test(what_changes_in_the_store_is_a_new_generation),
        cmocka_unit_test(a_list_counts_for_chains_that_are_remembered),
        cmocka_unit_test(vendor_and_model_of_a_certified_key),
        cmocka_unit_test(options_reach_the_checks),
        cmocka_unit_test(violations_of_the_ima_log_pass_when_allowed),
        cmocka_unit_test(rules_are_checked_at_the_start),
        cmocka_unit_test(stores_that_trust_nobody),
        cmocka_unit_test(results_are_logged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
