#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diag.h"
#include "failing_alloc.h"
#include "pki.h"
#include "testlib.h"

#include <atls/corim.h>

#include "crypto/crypto.h"
#include "store/manifest.h"

#define DAY INT64_C(86400)

/* A manifest that says nothing of its own validity. */
#define MANIFEST "501({0: 'm', 1: [506(<<{1: {0: 't'}, 4: {6: [0]}}>>)]})"

static struct test_identity root, intermediate, other_root;

static struct atls_buf pem_of(struct atls_bytes der)
{
    struct atls_buf out = ATLS_BUF_INIT;

    assert_int_equal(atls_pem_encode("CERTIFICATE", der, &out, NULL), ATLS_OK);
    return out;
}

/* Two certificates as one PEM text, NUL terminated as those of one are. */
static struct atls_buf pem_of_two(const struct test_identity *a, const struct test_identity *b)
{
    struct atls_buf one = pem_of(atls_buf_bytes(&a->certificate)),
                    two = pem_of(atls_buf_bytes(&b->certificate)), out = ATLS_BUF_INIT;
    struct atls_writer w = atls_writer_init(1 << 16);

    atls_put_bytes(&w, atls_buf_bytes(&one));
    atls_put_bytes(&w, atls_buf_bytes(&two));
    atls_put_u8(&w, 0);
    assert_int_equal(atls_writer_finish(&w, &out, NULL), ATLS_OK);
    out.len--;
    atls_buf_clear(&one);
    atls_buf_clear(&two);
    return out;
}

/* The manifest signed by signer, with the chain of certificates. */
static struct atls_buf sign(const struct test_identity *signer, struct atls_bytes chain_pem,
                            int64_t not_before_s, int64_t not_after_s)
{
    struct atls_corim_sign_options options = {.signer = "me",
                                              .not_before_s = not_before_s,
                                              .not_after_s = not_after_s,
                                              .chain_pem = chain_pem};
    struct atls_buf manifest = test_diag(MANIFEST), key = ATLS_BUF_INIT, out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    assert_int_equal(atls_private_key_to_pem(signer->key, &key, NULL), ATLS_OK);
    options.key_pem = atls_buf_bytes(&key);
    test_assert_code(atls_corim_sign(atls_buf_bytes(&manifest), &options, &out, &err), ATLS_OK,
                     &err);
    atls_buf_clear(&key);
    atls_buf_clear(&manifest);
    return out;
}

static struct atls_bytes spki_of(const struct test_identity *one)
{
    return atls_key_spki(atls_private_key_public(one->key));
}

static int set_up(void **state)
{
    (void)state;
    root = test_ca("root");
    other_root = test_ca("other root");
    intermediate =
        test_issue(&root, &(struct test_certificate){.common_name = "intermediate", .is_ca = true});
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_identity_clear(&root);
    test_identity_clear(&other_root);
    test_identity_clear(&intermediate);
    return 0;
}

static const struct test_extension code_signing[] = {
    {"keyUsage", "critical,digitalSignature"}, {"extendedKeyUsage", "codeSigning"}, {NULL, NULL}};
static const struct test_extension any_usage[] = {{"extendedKeyUsage", "2.5.29.37.0"},
                                                  {NULL, NULL}};
static const struct test_extension no_extension[] = {{NULL, NULL}};
static const struct test_extension web[] = {{"extendedKeyUsage", "serverAuth"}, {NULL, NULL}};
static const struct test_extension agrees[] = {{"keyUsage", "critical,keyAgreement"}, {NULL, NULL}};
static const struct test_extension authority[] = {
    {"basicConstraints", "critical,CA:TRUE"},
    {"keyUsage", "critical,keyCertSign,digitalSignature"},
    {NULL, NULL}};

/* What may sign a manifest. */
static void test_signers(void **state)
{
    static const struct {
        const char *name;
        const struct test_extension *extensions;
        enum atls_code want;
        enum atls_reason reason;
    } rows[] = {
        {"for signing code", code_signing, ATLS_OK, ATLS_REASON_NONE},
        {"for anything", any_usage, ATLS_OK, ATLS_REASON_NONE},
        {"for nothing said", no_extension, ATLS_OK, ATLS_REASON_NONE},
        {"for a web server", web, ATLS_E_CERTIFICATE, ATLS_REASON_KEY_USAGE},
        {"for agreeing on keys", agrees, ATLS_E_CERTIFICATE, ATLS_REASON_KEY_USAGE},
        {"of an authority", authority, ATLS_E_CERTIFICATE, ATLS_REASON_KEY_USAGE},
    };
    struct atls_anchors *anchors = test_anchors(atls_buf_bytes(&root.certificate));
    const int64_t now = TEST_TIME_S;
    const struct store_manifest_trust trust = {.anchors = anchors, .time_s = &now};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct test_identity leaf =
            test_issue(&root, &(struct test_certificate){.common_name = "signer",
                                                         .extensions = rows[i].extensions});
        struct atls_buf pem = pem_of(atls_buf_bytes(&leaf.certificate)),
                        in = sign(&leaf, atls_buf_bytes(&pem), 0, 0);
        struct atls_err err = ATLS_ERR_INIT;
        struct store_manifest m;
        enum atls_code code = store_manifest_open(atls_buf_bytes(&in), &trust, &m, &err);

        if (code != rows[i].want || err.reason != rows[i].reason)
            fail_msg("%s: code %d: %s", rows[i].name, code, err.message);
        if (code == ATLS_OK) {
            test_assert_bytes(m.signer_spki, spki_of(&leaf));
            assert_int_equal(m.payload.ptr[0], 0xd9);
            atls_corim_clear(&m.corim);
        }
        atls_buf_clear(&in);
        atls_buf_clear(&pem);
        test_identity_clear(&leaf);
    }
    atls_anchors_unref(anchors);
}

/* A leaf of the intermediate, and a manifest that it signed with both certificates in it. */
struct signed_one {
    struct test_identity leaf;
    struct atls_buf chain, in;
};

static struct signed_one make(int64_t not_before_s, int64_t not_after_s)
{
    struct signed_one s;

    s.leaf = test_issue(&intermediate, &(struct test_certificate){.common_name = "signer",
                                                                  .extensions = code_signing});
    s.chain = pem_of_two(&s.leaf, &intermediate);
    s.in = sign(&s.leaf, atls_buf_bytes(&s.chain), not_before_s, not_after_s);
    return s;
}

static void clear(struct signed_one *s)
{
    test_identity_clear(&s->leaf);
    atls_buf_clear(&s->chain);
    atls_buf_clear(&s->in);
}

static void refused(struct atls_bytes in, const struct store_manifest_trust *trust,
                    enum atls_code want, enum atls_reason reason, const char *says)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct store_manifest m;

    test_assert_code(store_manifest_open(in, trust, &m, &err), want, &err);
    assert_int_equal(err.reason, reason);
    if (strstr(err.message, says) == NULL)
        fail_msg("no %s in: %s", says, err.message);
}

static void test_path(void **state)
{
    struct signed_one s = make(0, 0);
    struct atls_anchors *anchors = test_anchors(atls_buf_bytes(&root.certificate)),
                        *others = test_anchors(atls_buf_bytes(&other_root.certificate));
    int64_t now = TEST_TIME_S;
    struct store_manifest_trust trust = {.anchors = anchors, .time_s = &now};
    struct atls_buf one = pem_of(atls_buf_bytes(&s.leaf.certificate)),
                    unlinked = sign(&s.leaf, atls_buf_bytes(&one), 0, 0),
                    bare = sign(&s.leaf, atls_bytes_of(NULL, 0), 0, 0),
                    manifest = test_diag(MANIFEST);
    struct atls_err err = ATLS_ERR_INIT;
    struct store_manifest m;

    (void)state;
    test_assert_code(store_manifest_open(atls_buf_bytes(&s.in), &trust, &m, &err), ATLS_OK, &err);
    test_assert_bytes(m.signer_spki, spki_of(&s.leaf));
    atls_corim_clear(&m.corim);

    refused(atls_buf_bytes(&unlinked), &trust, ATLS_E_CERTIFICATE, ATLS_REASON_UNTRUSTED_ROOT,
            "signer of the CoRIM: certificate 0 of path");
    refused(atls_buf_bytes(&bare), &trust, ATLS_E_VERIFY, ATLS_REASON_SIGNATURE,
            "has no certificates (x5chain)");
    refused(atls_buf_bytes(&manifest), &trust, ATLS_E_VERIFY, ATLS_REASON_SIGNATURE,
            "not signed, but a signer is wanted");
    trust.anchors = others;
    refused(atls_buf_bytes(&s.in), &trust, ATLS_E_CERTIFICATE, ATLS_REASON_UNTRUSTED_ROOT,
            "signer of the CoRIM");
    trust.anchors = anchors;
    trust.time_s = NULL;
    refused(atls_buf_bytes(&s.in), &trust, ATLS_E_USAGE, ATLS_REASON_NONE, "no time");
    trust.anchors = NULL;
    refused(atls_buf_bytes(&s.in), &trust, ATLS_E_VERIFY, ATLS_REASON_SIGNATURE,
            "no key of a signer was given");
    atls_anchors_unref(anchors);
    atls_anchors_unref(others);
    atls_buf_clear(&one);
    atls_buf_clear(&unlinked);
    atls_buf_clear(&bare);
    atls_buf_clear(&manifest);
    clear(&s);
}

static void test_time(void **state)
{
    struct signed_one s = make(TEST_TIME_S - DAY, TEST_TIME_S + DAY), always = make(0, 0);
    struct atls_anchors *anchors = test_anchors(atls_buf_bytes(&root.certificate));
    int64_t now = TEST_TIME_S;
    const struct store_manifest_trust trust = {.anchors = anchors, .time_s = &now};
    struct atls_err err = ATLS_ERR_INIT;
    struct store_manifest m;

    (void)state;
    test_assert_code(store_manifest_open(atls_buf_bytes(&s.in), &trust, &m, &err), ATLS_OK, &err);
    assert_int_equal(m.validity.not_after_s, TEST_TIME_S + DAY);
    atls_corim_clear(&m.corim);
    now = TEST_TIME_S + DAY + 1;
    refused(atls_buf_bytes(&s.in), &trust, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_EXPIRED,
            "CoRIM: valid until");
    now = TEST_TIME_S - DAY - 1;
    refused(atls_buf_bytes(&s.in), &trust, ATLS_E_CERTIFICATE,
            ATLS_REASON_CERTIFICATE_NOT_YET_VALID, "CoRIM: valid from");
    now = TEST_NOT_AFTER_S + 1;
    refused(atls_buf_bytes(&always.in), &trust, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_EXPIRED,
            "signer of the CoRIM: certificate");
    now = TEST_NOT_BEFORE_S - 1;
    refused(atls_buf_bytes(&always.in), &trust, ATLS_E_CERTIFICATE,
            ATLS_REASON_CERTIFICATE_NOT_YET_VALID, "signer of the CoRIM: certificate");
    atls_anchors_unref(anchors);
    clear(&s);
    clear(&always);
}

static void test_revoked(void **state)
{
    struct signed_one s = make(0, 0);
    struct atls_buf empty = test_crl(&root, NULL, TEST_TIME_S - DAY, TEST_TIME_S + DAY),
                    list = test_crl(&intermediate, &s.leaf, TEST_TIME_S - DAY, TEST_TIME_S + DAY);
    struct atls_anchors *anchors = test_anchors(atls_buf_bytes(&root.certificate));
    const int64_t now = TEST_TIME_S;
    const struct store_manifest_trust trust = {.anchors = anchors, .time_s = &now};
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_anchors_add_crls(anchors, atls_buf_bytes(&empty), &err), ATLS_OK, &err);
    test_assert_code(atls_anchors_add_crls(anchors, atls_buf_bytes(&list), &err), ATLS_OK, &err);
    refused(atls_buf_bytes(&s.in), &trust, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_REVOKED,
            "signer of the CoRIM");
    atls_anchors_unref(anchors);
    atls_buf_clear(&empty);
    atls_buf_clear(&list);
    clear(&s);
}

/* With a key and anchors either will do, and neither is no reason to believe the other. */
static void test_key_or_anchors(void **state)
{
    struct signed_one s = make(0, 0);
    struct test_identity stranger =
        test_issue(NULL, &(struct test_certificate){.key_type = ATLS_KEY_ED25519});
    struct atls_anchors *anchors = test_anchors(atls_buf_bytes(&root.certificate)),
                        *others = test_anchors(atls_buf_bytes(&other_root.certificate));
    struct atls_buf bare = sign(&s.leaf, atls_bytes_of(NULL, 0), 0, 0);
    const int64_t now = TEST_TIME_S;
    struct store_manifest_trust trust = {
        .signer_spki = spki_of(&s.leaf), .anchors = others, .time_s = &now};
    struct atls_err err = ATLS_ERR_INIT;
    struct store_manifest m;

    (void)state;
    test_assert_code(store_manifest_open(atls_buf_bytes(&s.in), &trust, &m, &err), ATLS_OK, &err);
    assert_ptr_equal(m.signer_spki.ptr, trust.signer_spki.ptr);
    atls_corim_clear(&m.corim);
    trust.signer_spki = atls_bytes_of("x", 1);
    refused(atls_buf_bytes(&s.in), &trust, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
            "signer of the CoRIM");
    trust.signer_spki = spki_of(&stranger);
    refused(atls_buf_bytes(&s.in), &trust, ATLS_E_CERTIFICATE, ATLS_REASON_UNTRUSTED_ROOT,
            "signer of the CoRIM");
    refused(atls_buf_bytes(&bare), &trust, ATLS_E_VERIFY, ATLS_REASON_SIGNATURE,
            "signed with COSE algorithm -7, which the signer's key does not do");
    trust.anchors = anchors;
    test_assert_code(store_manifest_open(atls_buf_bytes(&s.in), &trust, &m, &err), ATLS_OK, &err);
    test_assert_bytes(m.signer_spki, spki_of(&s.leaf));
    atls_corim_clear(&m.corim);
    atls_anchors_unref(anchors);
    atls_anchors_unref(others);
    atls_buf_clear(&bare);
    test_identity_clear(&stranger);
    clear(&s);
}

/* The certificates are in the signed part: another's are no use, and no bit of them changes. */
static void test_certificates_are_signed(void **state)
{
    struct signed_one s = make(0, 0);
    struct atls_anchors *anchors = test_anchors(atls_buf_bytes(&root.certificate));
    const int64_t now = TEST_TIME_S;
    const struct store_manifest_trust trust = {.anchors = anchors, .time_s = &now};
    struct store_manifest m;

    (void)state;
    for (size_t i = 4; i < s.in.len; i += 5) {
        s.in.ptr[i] ^= 0x01;
        assert_int_not_equal(store_manifest_open(atls_buf_bytes(&s.in), &trust, &m, NULL), ATLS_OK);
        s.in.ptr[i] ^= 0x01;
    }
    atls_anchors_unref(anchors);
    clear(&s);
}

static void test_public_interface(void **state)
{
    struct signed_one s = make(TEST_TIME_S - DAY, TEST_TIME_S + DAY);
    struct atls_buf anchor = pem_of(atls_buf_bytes(&root.certificate)),
                    list = test_crl(&intermediate, &s.leaf, TEST_TIME_S - DAY, TEST_TIME_S + DAY);
    struct atls_corim_trust trust = {.anchors = atls_buf_bytes(&anchor), .time_s = TEST_TIME_S};
    struct atls_bytes payload;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_corim_verify_trusted(atls_buf_bytes(&s.in), &trust, &payload, &err),
                     ATLS_OK, &err);
    assert_int_equal(payload.ptr[0], 0xd9);
    test_assert_code(atls_corim_verify_trusted(atls_buf_bytes(&s.in), &trust, NULL, &err), ATLS_OK,
                     &err);
    trust.time_s += 2 * DAY;
    test_assert_code(atls_corim_verify_trusted(atls_buf_bytes(&s.in), &trust, NULL, &err),
                     ATLS_E_CERTIFICATE, &err);
    trust.time_s = TEST_TIME_S;
    trust.crls = atls_buf_bytes(&list);
    test_assert_code(atls_corim_verify_trusted(atls_buf_bytes(&s.in), &trust, NULL, &err),
                     ATLS_E_CERTIFICATE, &err);
    assert_int_equal(err.reason, ATLS_REASON_CERTIFICATE_REVOKED);
    trust.crls = atls_bytes_of("x", 1);
    test_assert_code(atls_corim_verify_trusted(atls_buf_bytes(&s.in), &trust, NULL, &err),
                     ATLS_E_DECODE, &err);
    trust.anchors = atls_bytes_of(NULL, 0);
    trust.signer_spki = spki_of(&s.leaf);
    test_assert_code(atls_corim_verify_trusted(atls_buf_bytes(&s.in), &trust, NULL, &err),
                     ATLS_E_USAGE, &err);
    trust.crls = atls_bytes_of(NULL, 0);
    test_assert_code(atls_corim_verify_trusted(atls_buf_bytes(&s.in), &trust, NULL, &err), ATLS_OK,
                     &err);
    trust.signer_spki = atls_bytes_of(NULL, 0);
    test_assert_code(atls_corim_verify_trusted(atls_buf_bytes(&s.in), &trust, NULL, &err),
                     ATLS_E_USAGE, &err);
    trust.anchors = atls_bytes_of("x", 1);
    test_assert_code(atls_corim_verify_trusted(atls_buf_bytes(&s.in), &trust, NULL, &err),
                     ATLS_E_DECODE, &err);
    atls_buf_clear(&anchor);
    atls_buf_clear(&list);
    clear(&s);
}

/* What an old tool signed counts on request only, under its published key. */
static void test_legacy(void **state)
{
    static const char x_and_y[] =
        "3059301306072a8648ce3d020106082a8648ce3d03010703420004"
        "30a0424cd21c2944838a2d75c92b37e76ea20d9f00893a3b4eee8a3c0aafec3e"
        "e04b65e92456d9888b52b379bdfbd51ee869ef1f0fc65b6659695b6cce081723";
    struct atls_buf in = test_vector("corim/legacy-signed-corim-valid.cbor"),
                    empty = test_vector("corim/legacy-signed-corim-empty-payload.cbor"),
                    spki = test_unhex(x_and_y);
    struct atls_corim_trust trust = {
        .signer_spki = atls_buf_bytes(&spki), .time_s = 1700000000, .legacy = true};
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_corim_verify_trusted(atls_buf_bytes(&in), &trust, NULL, &err), ATLS_OK,
                     &err);
    test_assert_code(atls_corim_verify_trusted(atls_buf_bytes(&empty), &trust, NULL, &err),
                     ATLS_E_DECODE, &err);
    trust.legacy = false;
    test_assert_code(atls_corim_verify_trusted(atls_buf_bytes(&in), &trust, NULL, &err),
                     ATLS_E_UNSUPPORTED, &err);
    atls_buf_clear(&in);
    atls_buf_clear(&empty);
    atls_buf_clear(&spki);
}

/* The published key, but for its "use", which says that it does not sign. */
static void test_jwk(void **state)
{
#define PUBLISHED                                                                                  \
    "{\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": "                                                \
    "\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\", "                                            \
    "\"y\": \"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\"}"
    static const char two[] =
        "{\"keys\": [" PUBLISHED ", {\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"x\": "
        "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";
    struct atls_buf in = test_vector("corim/signed-good-corim.cbor"),
                    encrypts = test_vector("corim/signed-good-pub.jwk");
    struct atls_corim_trust trust = {.signer_spki = HEX(PUBLISHED), .time_s = 1700000000};
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_corim_verify_trusted(atls_buf_bytes(&in), &trust, NULL, &err), ATLS_OK,
                     &err);
    in.ptr[in.len - 1] ^= 1;
    test_assert_code(atls_corim_verify_trusted(atls_buf_bytes(&in), &trust, NULL, &err),
                     ATLS_E_VERIFY, &err);
    trust.signer_spki = atls_buf_bytes(&encrypts);
    test_assert_code(atls_corim_verify_trusted(atls_buf_bytes(&in), &trust, NULL, &err),
                     ATLS_E_UNSUPPORTED, &err);
    trust.signer_spki = atls_bytes_of("{}", 2);
    test_assert_code(atls_corim_verify_trusted(atls_buf_bytes(&in), &trust, NULL, &err),
                     ATLS_E_DECODE, &err);
    trust.signer_spki = atls_bytes_of(two, sizeof two - 1);
    test_assert_code(atls_corim_verify_trusted(atls_buf_bytes(&in), &trust, NULL, &err),
                     ATLS_E_USAGE, &err);
    atls_buf_clear(&encrypts);
    atls_buf_clear(&in);
}

static void test_chain_of_another_key(void **state)
{
    struct atls_corim_sign_options options = {.signer = "me"};
    struct atls_buf manifest = test_diag(MANIFEST), key = ATLS_BUF_INIT, out = ATLS_BUF_INIT,
                    pem = pem_of(atls_buf_bytes(&other_root.certificate));
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    assert_int_equal(atls_private_key_to_pem(root.key, &key, NULL), ATLS_OK);
    options.key_pem = atls_buf_bytes(&key);
    options.chain_pem = atls_buf_bytes(&pem);
    test_assert_code(atls_corim_sign(atls_buf_bytes(&manifest), &options, &out, &err), ATLS_E_USAGE,
                     &err);
    options.chain_pem = atls_bytes_of("x", 1);
    test_assert_code(atls_corim_sign(atls_buf_bytes(&manifest), &options, &out, &err),
                     ATLS_E_DECODE, &err);
    assert_null(out.ptr);
    atls_buf_clear(&manifest);
    atls_buf_clear(&key);
    atls_buf_clear(&pem);
}

/* ---- lists of tags ---- */

#define LIST(tags) "508(<<{0: {0: 'l'}, 1: [" tags "], 2: {0: 1(10), 1: 1(20)}}>>)"
#define INSIDE     "506(<<{1: {0: 't', 1: 2}, 4: {6: [0]}}>>)"

static void test_lists(void **state)
{
    static const struct {
        const char *name, *tags;
        enum atls_code want;
    } rows[] = {
        {"a CoMID", INSIDE ", " LIST("{0: 't'}"), ATLS_OK},
        {"a CoMID of one version", INSIDE ", " LIST("{0: 't', 1: 2}"), ATLS_OK},
        {"a CoSWID", "505(<<{0: 's', 12: 1, 'x': 0}>>), " LIST("{0: 's', 1: 1}"), ATLS_OK},
        {"a CoSWID by UUID", "505(<<{1: 0, 0: h(16)}>>), " LIST("{0: h(16)}"), ATLS_OK},
        {"a CoTS",
         "507(<<{1: {0: 'c', 1: 3}, 2: [], 6: {0: [[0, h'30']]}}>>), " LIST("{0: 'c', 1: 3}"),
         ATLS_OK},
        {"both of two", INSIDE ", 505(<<{0: 's'}>>), " LIST("{0: 's'}, {0: 't'}"), ATLS_OK},
        {"one that is elsewhere", INSIDE ", " LIST("{0: 't'}, {0: 'u'}"), ATLS_E_UNSUPPORTED},
        {"another version", INSIDE ", " LIST("{0: 't', 1: 3}"), ATLS_E_UNSUPPORTED},
        {"a version that nobody said", "505(<<{0: 's'}>>), " LIST("{0: 's', 1: 1}"),
         ATLS_E_UNSUPPORTED},
        {"a UUID for a text", "505(<<{0: 's'}>>), " LIST("{0: h(16)}"), ATLS_E_UNSUPPORTED},
        {"a store without a name", "507(<<{2: [], 6: {0: [[0, h'30']]}}>>), " LIST("{0: 'c'}"),
         ATLS_E_UNSUPPORTED},
        {"a CoSWID without a name", "505(<<{1: 'c'}>>), " LIST("{0: 'c'}"), ATLS_E_UNSUPPORTED},
        {"a CoSWID that is none", "505(<<[]>>), " LIST("{0: 'c'}"), ATLS_E_UNSUPPORTED},
        {"a list", LIST("{0: 'l'}"), ATLS_E_UNSUPPORTED},
    };
    int64_t now = 15;
    const struct store_manifest_trust trust = {.time_s = &now};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct store_manifest m;
        struct atls_buf in;
        char text[512];

        snprintf(text, sizeof text, "501({0: 'm', 1: [%s]})", rows[i].tags);
        in = test_diag(text);
        if (store_manifest_open(atls_buf_bytes(&in), &trust, &m, &err) != rows[i].want)
            fail_msg("%s: %s", rows[i].name, err.message);
        if (rows[i].want == ATLS_OK) {
            assert_true(m.validity.not_before_s == 10 && m.validity.not_after_s == 20);
            atls_corim_clear(&m.corim);
        }
        atls_buf_clear(&in);
    }
}

static void test_limit_of_lists(void **state)
{
    enum { LISTED = 2049 };
    char *list = calloc(1, LISTED * 10 + 64), *text = calloc(1, LISTED * 20 + 256);
    struct atls_err err = ATLS_ERR_INIT;
    const struct store_manifest_trust trust = {.time_s = NULL};
    struct store_manifest m;
    struct atls_buf in;

    (void)state;
    assert_true(list != NULL && text != NULL);
    for (size_t i = 0; i < LISTED; i++)
        strcat(list, i == 0 ? "{0: 't'}" : ",{0: 't'}");
    sprintf(text, "501({0: 'm', 1: [" INSIDE ", " LIST("%s") ", " LIST("%s") "]})", list, list);
    in = test_diag(text);
    test_assert_code(store_manifest_open(atls_buf_bytes(&in), &trust, &m, &err), ATLS_E_LIMIT,
                     &err);
    atls_buf_clear(&in);
    free(list);
    free(text);
}

/* A manifest counts no longer than a list in it. */
static void test_time_of_lists(void **state)
{
    struct atls_buf in = test_diag("501({0: 'm', 1: [" INSIDE ", " LIST("{0: 't'}") "]})");
    int64_t now = 21;
    const struct store_manifest_trust trust = {.time_s = &now};

    (void)state;
    refused(atls_buf_bytes(&in), &trust, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_EXPIRED,
            "valid until 20");
    now = 9;
    refused(atls_buf_bytes(&in), &trust, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_NOT_YET_VALID,
            "valid from 10");
    atls_buf_clear(&in);
}

/* Of two windows what both have: the later beginning, the earlier end. */
static void test_windows_narrow(void **state)
{
    static const struct {
        const char *name, *validity; /* of the manifest; the list's is 10 to 20 */
        int64_t from_s, until_s;
    } rows[] = {
        {"none", "", 10, 20},
        {"no beginning, later end", ", 4: {1: 1(30)}", 10, 20},
        {"no beginning, earlier end", ", 4: {1: 1(15)}", 10, 15},
        {"wider", ", 4: {0: 1(5), 1: 1(30)}", 10, 20},
        {"within", ", 4: {0: 1(12), 1: 1(18)}", 12, 18},
        {"earlier", ", 4: {0: 1(5), 1: 1(15)}", 10, 15},
        {"later", ", 4: {0: 1(15), 1: 1(30)}", 15, 20},
    };
    int64_t now;
    const struct store_manifest_trust trust = {.time_s = &now};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct store_manifest m;
        struct atls_buf in;
        char text[512];

        print_message("  %s\n", rows[i].name);
        snprintf(text, sizeof text, "501({0: 'm', 1: [" INSIDE ", " LIST("{0: 't'}") "]%s})",
                 rows[i].validity);
        in = test_diag(text);
        for (now = rows[i].from_s; now <= rows[i].until_s;
             now += rows[i].until_s - rows[i].from_s) {
            test_assert_code(store_manifest_open(atls_buf_bytes(&in), &trust, &m, &err), ATLS_OK,
                             &err);
            assert_int_equal(m.validity.not_before_s, rows[i].from_s);
            assert_int_equal(m.validity.not_after_s, rows[i].until_s);
            atls_corim_clear(&m.corim);
        }
        now = rows[i].from_s - 1;
        refused(atls_buf_bytes(&in), &trust, ATLS_E_CERTIFICATE,
                ATLS_REASON_CERTIFICATE_NOT_YET_VALID, "valid from");
        now = rows[i].until_s + 1;
        refused(atls_buf_bytes(&in), &trust, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_EXPIRED,
                "valid until");
        atls_buf_clear(&in);
    }
}

/* ---- short of memory ---- */

/* Whichever allocation of libcrypto fails, nobody is taken for a signer who is none, and the answer
 * is the right one or that there is none. */
static void test_out_of_memory(void **state)
{
    struct signed_one s = make(0, 0);
    struct atls_anchors *anchors = test_anchors(atls_buf_bytes(&root.certificate)),
                        *others = test_anchors(atls_buf_bytes(&other_root.certificate));
    const int64_t now = TEST_TIME_S;
    struct store_manifest_trust trust = {.time_s = &now};
    bool failed = true;

    (void)state;
    for (size_t n = 0; failed; n++) {
        struct store_manifest m;
        enum atls_code code;

        trust.anchors = others;
        test_failing_alloc_arm(n);
        code = store_manifest_open(atls_buf_bytes(&s.in), &trust, &m, NULL);
        failed = test_failing_alloc_disarm();
        assert_int_not_equal(code, ATLS_OK);

        trust.anchors = anchors;
        test_failing_alloc_arm(n);
        code = store_manifest_open(atls_buf_bytes(&s.in), &trust, &m, NULL);
        failed = test_failing_alloc_disarm() || failed;
        if (code == ATLS_OK) {
            test_assert_bytes(m.signer_spki, spki_of(&s.leaf));
            atls_corim_clear(&m.corim);
        }
    }
    atls_anchors_unref(anchors);
    atls_anchors_unref(others);
    clear(&s);
}

/* ---- profile and keys ---- */

/* The public key as text that ends with NUL; the caller frees it. */
static char *key_pem(const struct test_identity *one)
{
    struct atls_buf pem = ATLS_BUF_INIT;
    char *text;

    assert_int_equal(atls_key_to_pem(atls_private_key_public(one->key), &pem, NULL), ATLS_OK);
    assert_non_null(text = calloc(1, pem.len + 1));
    memcpy(text, pem.ptr, pem.len);
    atls_buf_clear(&pem);
    return text;
}

static void test_keys(void **state)
{
    char *key = key_pem(&root);
    struct atls_buf certificate = pem_of(atls_buf_bytes(&root.certificate)),
                    two = pem_of_two(&root, &intermediate);
    const struct {
        const char *name, *tag, *pem;
        enum atls_code want;
        const char *says;
    } rows[] = {
        {"key", "554", key, ATLS_OK, NULL},
        {"certificate", "555", (const char *)certificate.ptr, ATLS_OK, NULL},
        {"path", "556", (const char *)two.ptr, ATLS_OK, NULL},
        {"key that does not parse", "554", "-----BEGIN PUBLIC KEY-----", ATLS_E_DECODE,
         "CoRIM: tag 0: attest-key triple 0: key 0"},
        {"key that is a certificate", "554", (const char *)certificate.ptr, ATLS_E_DECODE,
         "does not begin with -----BEGIN PUBLIC KEY-----"},
        {"certificate that does not parse", "555", "-----BEGIN CERTIFICATE-----", ATLS_E_DECODE,
         "attest-key triple 0: key 0"},
        {"certificate that is something else", "555", "x", ATLS_E_DECODE,
         "does not begin with -----BEGIN CERTIFICATE-----"},
        {"two certificates for one", "555", (const char *)two.ptr, ATLS_E_DECODE,
         "holds 2 certificates"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_corim corim;
        struct atls_buf in;
        enum atls_code code;
        char *text = malloc(8192);

        assert_non_null(text);
        snprintf(
            text, 8192,
            "501({0: 'm', 1: [506(<<{1: {0: 't'}, 4: {3: [[{0: {1: 'v'}}, [%s('%s')]]]}}>>)]})",
            rows[i].tag, rows[i].pem);
        in = test_diag(text);
        test_assert_code(atls_corim_decode(atls_buf_bytes(&in), &corim, &err), ATLS_OK, &err);
        code = store_manifest_check(&corim, NULL, &err);
        if (code != rows[i].want ||
            (rows[i].says != NULL && strstr(err.message, rows[i].says) == NULL))
            fail_msg("%s: code %d: %s", rows[i].name, code, err.message);
        atls_corim_clear(&corim);
        atls_buf_clear(&in);
        free(text);
    }
    free(key);
    atls_buf_clear(&certificate);
    atls_buf_clear(&two);
}

static void test_check(void **state)
{
    static const struct {
        const char *name, *text;
        enum atls_code want;
        const char *says;
    } rows[] = {
        {"other keys are not looked into",
         "501({0: 'm', 1: [506(<<{1: {0: 't'}, 4: {2: [[{0: {1: 'v'}}, [560(h'01')]]]}}>>)]})",
         ATLS_OK, NULL},
        {"identity by DER that does not parse",
         "501({0: 'm', 1: [505(h'a0'), 506(<<{1: {0: 't'}, 4: {2: [[{0: {1: 'v'}}, "
         "[562(h'30')]]]}}>>)]})",
         ATLS_E_DECODE, "CoRIM: tag 1: identity triple 0: key 0"},
        {"unknown profile", "501({0: 'm', 1: [505(h'a0')], 3: 32('p')})", ATLS_E_UNSUPPORTED,
         "profile p is not one that is known"},
        {"profile that is not kept",
         "501({0: 'm', 1: [506(<<{1: {0: 't'}, 4: {0: [[{0: {1: 'v'}}, [{1: {1: 1}}]]]}}>>)], "
         "3: 32('tag:arm.com,2025:psa#1.0.0')})",
         ATLS_E_DECODE, "PSA profile"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct atls_corim_profile *profile = NULL;
        struct atls_buf in = test_diag(rows[i].text);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_corim corim;

        test_assert_code(atls_corim_decode(atls_buf_bytes(&in), &corim, &err), ATLS_OK, &err);
        if (store_manifest_check(&corim, &profile, &err) != rows[i].want ||
            (rows[i].says != NULL && strstr(err.message, rows[i].says) == NULL))
            fail_msg("%s: %s", rows[i].name, err.message);
        assert_int_equal(profile != NULL, rows[i].want == ATLS_OK);
        atls_corim_clear(&corim);
        atls_buf_clear(&in);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signers),
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_revoked),
        cmocka_unit_test(test_key_or_anchors),
        cmocka_unit_test(test_certificates_are_signed),
        cmocka_unit_test(test_public_interface),
        cmocka_unit_test(test_legacy),
        cmocka_unit_test(test_jwk),
        cmocka_unit_test(test_chain_of_another_key),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_time_of_lists),
        cmocka_unit_test(test_windows_narrow),
        cmocka_unit_test(test_limit_of_lists),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_check),
    };

    test_failing_alloc_install();
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
