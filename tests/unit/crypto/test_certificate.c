/* Certificates, revocation lists and sets: AMD's own chains, and made ones in which one thing at a
 * time is wrong. */
#include "testlib.h"

#include <string.h>

#include "simulator/x509.h"

#include "core/writer.h"
#include "crypto/certificate.h"
#include "crypto/certificate_parts.h"
#include "crypto/der.h"

#define FROM_S INT64_C(1700000000)
#define TO_S   INT64_C(2600000000) /* 2052: GeneralizedTime */
#define NOW_S  INT64_C(1717200000) /* 2024-06-01 */

#define CN "2.5.4.3"

static const struct atls_sim_attribute root_name[] = {
    {"2.5.4.6", ATLS_DER_PRINTABLE_STRING, "US"}, {CN, 0, "root"}, {NULL, 0, NULL}};
static const struct atls_sim_attribute leaf_name[] = {{CN, 0, "leaf"}, {NULL, 0, NULL}};

static EVP_PKEY *rsa, *p256, *p384;

static int setup(void **state)
{
    (void)state;
    assert_int_equal(atls_sim_key_rsa(2048, &rsa, NULL), ATLS_OK);
    assert_int_equal(atls_sim_key_ec("P-256", &p256, NULL), ATLS_OK);
    assert_int_equal(atls_sim_key_ec("P-384", &p384, NULL), ATLS_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(p256);
    EVP_PKEY_free(p384);
    return 0;
}

/* A leaf that the root issued, in RSA-PSS; rows change one thing. */
static struct atls_sim_certificate leaf_spec(void)
{
    const struct atls_sim_certificate spec = {
        .subject = leaf_name,
        .issuer = root_name,
        .serial = HEX("\x12\x34"),
        .not_before_s = FROM_S,
        .not_after_s = TO_S,
        .key = p384,
        .signer = rsa,
        .algorithm = ATLS_SIM_PSS_SHA384,
    };

    return spec;
}

static struct atls_sim_certificate root_spec(void)
{
    struct atls_sim_certificate spec = leaf_spec();

    spec.subject = root_name;
    spec.key = rsa;
    spec.is_ca = true;
    spec.path_length = 1;
    spec.key_usage = ATLS_USAGE_CERT_SIGN | ATLS_USAGE_CRL_SIGN;
    return spec;
}

static struct atls_buf der_of(const struct atls_sim_certificate *spec)
{
    struct atls_buf der = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_sim_certificate_make(spec, &der, &err), ATLS_OK, &err);
    return der;
}

static struct atls_certificate *make(const struct atls_sim_certificate *spec)
{
    struct atls_certificate *c = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf der = der_of(spec);

    test_assert_code(atls_certificate_parse(atls_buf_bytes(&der), &c, &err), ATLS_OK, &err);
    atls_buf_clear(&der);
    return c;
}

static struct atls_certificate *make_root(void)
{
    const struct atls_sim_certificate spec = root_spec();

    return make(&spec);
}

static struct atls_bytes text_of(const char *text)
{
    return atls_bytes_of(text, strlen(text));
}

/* ---- real ones ---- */

static void amds_chains_verify(void **state)
{
    static const struct {
        const char *ca, *leaf, *name;
    } rows[] = {
        {"sev-snp/roots/ask_ark_milan.pem", "sev-snp/milan-debug/vcek.der", "SEV-Milan"},
        {"sev-snp/roots/ask_ark_milan.pem", "sev-snp/milan-v2-provisional/vcek.der", "SEV-Milan"},
        {"sev-snp/roots/ask_ark_milan_vlek.pem", "sev-snp/aws-vlek/vlek.der", "SEV-VLEK-Milan"},
        {"sev-snp/roots/ask_ark_genoa.pem", "sev-snp/azure-genoa/vcek.pem", "SEV-Genoa"},
        {"sev-snp/roots/ask_ark_turin_vcek.pem", "sev-snp/turin-vcek-only/vcek.der", "SEV-Turin"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf ca_text = test_vector(rows[i].ca), leaf_text = test_vector(rows[i].leaf);
        struct atls_certificate *ca[2], *leaf[4];
        struct atls_err err = ATLS_ERR_INIT;
        size_t count = 0, leaves = 0;

        test_assert_code(atls_certificates_parse(atls_buf_bytes(&ca_text), ca, 2, &count, &err),
                         ATLS_OK, &err);
        assert_int_equal(count, 2);
        test_assert_code(
            atls_certificates_parse(atls_buf_bytes(&leaf_text), leaf, 4, &leaves, &err), ATLS_OK,
            &err);
        test_assert_code(
            atls_certificate_issued_by(leaf[0], ca[0], ATLS_SIGNED_RSA_PSS_SHA384, &err), ATLS_OK,
            &err);
        test_assert_code(atls_certificate_issued_by(ca[0], ca[1], ATLS_SIGNED_RSA_PSS_SHA384, &err),
                         ATLS_OK, &err);
        test_assert_code(atls_certificate_issued_by(ca[1], ca[1], ATLS_SIGNED_RSA_PSS_SHA384, &err),
                         ATLS_OK, &err);
        test_assert_bytes(atls_certificate_issuer_cn(leaf[0]), text_of(rows[i].name));
        assert_true(atls_certificate_is_ca(ca[0]) && atls_certificate_is_ca(ca[1]));
        assert_int_equal(atls_certificate_path_length(ca[0]), 0);
        assert_false(atls_certificate_is_ca(leaf[0]));
        assert_true(atls_certificate_is_self_issued(ca[1]));
        assert_false(atls_certificate_is_self_issued(ca[0]));
        assert_int_equal(atls_key_type(atls_certificate_key(leaf[0])), ATLS_KEY_P384);
        test_assert_bytes(atls_certificate_serial(leaf[0]), atls_bytes_of("", 1));
        for (size_t j = 0; j < leaves; j++)
            atls_certificate_unref(leaf[j]);
        atls_certificate_unref(ca[0]);
        atls_certificate_unref(ca[1]);
        atls_buf_clear(&ca_text);
        atls_buf_clear(&leaf_text);
    }
}

/* ---- what a certificate says ---- */

static void it_says_what_it_was_made_with(void **state)
{
    static const uint8_t oid[] = {0x2a, 0x03}; /* 1.2.3 */
    const struct atls_sim_extension extensions[] = {{"1.2.3", false, HEX("raw")},
                                                    {"1.2.4", false, HEX("other")}};
    struct atls_sim_certificate spec = leaf_spec();
    struct atls_certificate *c;
    struct atls_key *key;
    struct atls_buf spki;
    size_t count = 9;

    (void)state;
    spec.extensions = extensions;
    spec.extension_count = 2;
    c = make(&spec);
    assert_int_equal(atls_certificate_not_before_s(c), FROM_S);
    assert_int_equal(atls_certificate_not_after_s(c), TO_S);
    test_assert_bytes(atls_certificate_subject_cn(c), text_of("leaf"));
    test_assert_bytes(atls_certificate_issuer_cn(c), text_of("root"));
    test_assert_bytes(atls_certificate_serial(c), atls_bytes_of("\x12\x34", 2));
    assert_int_equal(atls_certificate_path_length(c), -1);
    test_assert_bytes(atls_certificate_extension(c, atls_bytes_of(oid, 2), &count), text_of("raw"));
    assert_int_equal(count, 1);
    assert_null(atls_certificate_extension(c, atls_bytes_of(oid, 1), &count).ptr);
    assert_int_equal(count, 0);
    assert_int_equal(atls_sim_spki(p384, &spki, NULL), ATLS_OK);
    key = atls_certificate_key_ref(c);
    assert_ptr_equal(key, atls_certificate_key(c));
    test_assert_bytes(atls_key_spki(key), atls_buf_bytes(&spki));
    atls_key_unref(key);
    atls_buf_clear(&spki);
    atls_certificate_unref(c);
    atls_certificate_unref(NULL);
    assert_null(atls_certificate_ref(NULL));
}

static void an_extension_may_stand_there_twice(void **state)
{
    static const uint8_t oid[] = {0x2a, 0x03};
    const struct atls_sim_extension extensions[] = {{"1.2.3", false, HEX("first")},
                                                    {"1.2.3", false, HEX("second")}};
    struct atls_sim_certificate spec = leaf_spec();
    struct atls_certificate *c;
    size_t count;

    (void)state;
    spec.extensions = extensions;
    spec.extension_count = 2;
    c = make(&spec);
    test_assert_bytes(atls_certificate_extension(c, atls_bytes_of(oid, 2), &count),
                      text_of("first"));
    assert_int_equal(count, 2);
    atls_certificate_unref(c);
}

static void names_with_none_or_two_common_names_have_none(void **state)
{
    static const struct atls_sim_attribute two[] = {
        {CN, 0, "leaf"}, {CN, 0, "leaf"}, {NULL, 0, NULL}};
    static const struct atls_sim_attribute none[] = {{"2.5.4.6", 0, "US"}, {NULL, 0, NULL}};
    static const struct atls_sim_attribute odd[] = {{CN, ATLS_DER_OCTET_STRING, "leaf"},
                                                    {NULL, 0, NULL}};
    static const struct atls_sim_attribute ia5[] = {{CN, ATLS_DER_IA5_STRING, "leaf"},
                                                    {NULL, 0, NULL}};
    static const struct {
        const struct atls_sim_attribute *name;
        const char *want;
    } rows[] = {{two, ""}, {none, ""}, {odd, ""}, {ia5, "leaf"}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_sim_certificate spec = leaf_spec();
        struct atls_certificate *c;

        spec.subject = rows[i].name;
        c = make(&spec);
        test_assert_bytes(atls_certificate_subject_cn(c), text_of(rows[i].want));
        atls_certificate_unref(c);
    }
}

static void who_is_an_authority(void **state)
{
    static const struct {
        const char *name;
        bool is_ca, not_critical;
        uint8_t usage;
        bool want;
    } rows[] = {
        {"no constraints", false, false, 0, false},
        {"constraints", true, false, 0, true},
        {"constraints that are not critical", true, true, 0, true},
        {"a usage that allows it", true, false, ATLS_USAGE_CERT_SIGN, true},
        {"a usage that does not", true, false, ATLS_USAGE_CRL_SIGN, false},
        {"the usage alone", false, false, ATLS_USAGE_CERT_SIGN, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_sim_certificate spec = leaf_spec();
        struct atls_certificate *c;

        print_message("  %s\n", rows[i].name);
        spec.is_ca = rows[i].is_ca;
        spec.not_critical_ca = rows[i].not_critical;
        spec.path_length = -1;
        spec.key_usage = rows[i].usage;
        c = make(&spec);
        assert_int_equal(atls_certificate_is_ca(c), rows[i].want);
        assert_int_equal(atls_certificate_path_length(c), -1);
        atls_certificate_unref(c);
    }
}

static void a_key_of_another_kind_is_none(void **state)
{
    struct atls_sim_certificate spec = leaf_spec();
    struct atls_certificate *c, *child;
    struct atls_err err = ATLS_ERR_INIT;
    EVP_PKEY *odd;

    (void)state;
    assert_int_equal(atls_sim_key_ec("secp256k1", &odd, NULL), ATLS_OK);
    spec.key = odd;
    spec.subject = root_name;
    c = make(&spec);
    assert_null(atls_certificate_key(c));
    assert_null(atls_certificate_key_ref(c));
    spec = leaf_spec();
    child = make(&spec);
    test_assert_code(atls_certificate_issued_by(child, c, ATLS_SIGNED_RSA_PSS_SHA384, &err),
                     ATLS_E_CERTIFICATE, &err);
    assert_int_equal(err.reason, ATLS_REASON_CHAIN_SIGNATURE);
    atls_certificate_unref(child);
    atls_certificate_unref(c);
    EVP_PKEY_free(odd);
}

/* ---- parsing ---- */

static void truncations_and_trailing_bytes_are_refused(void **state)
{
    const struct atls_sim_certificate spec = root_spec();
    struct atls_buf der = der_of(&spec);
    uint8_t longer[4096] = {0};
    struct atls_certificate *c;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (size_t len = 0; len < der.len; len++)
        assert_int_equal(atls_certificate_parse(atls_bytes_of(der.ptr, len), &c, &err),
                         ATLS_E_DECODE);
    assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
    memcpy(longer, der.ptr, der.len);
    assert_int_equal(atls_certificate_parse(atls_bytes_of(longer, der.len + 1), &c, &err),
                     ATLS_E_DECODE);
    atls_buf_clear(&der);
}

static void too_long_is_refused(void **state)
{
    static const uint8_t zeros[256 * 1024 + 1];
    struct atls_certificate *c;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_certificate_parse(atls_bytes_of(zeros, sizeof zeros), &c, &err),
                     ATLS_E_LIMIT, &err);
}

static void too_many_extensions_are_refused(void **state)
{
    struct atls_sim_certificate spec = leaf_spec();
    struct atls_sim_extension extensions[65];
    struct atls_certificate *c;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf der;

    (void)state;
    for (size_t i = 0; i < 65; i++)
        extensions[i] = (struct atls_sim_extension){"1.2.3", false, HEX("x")};
    spec.extensions = extensions;
    spec.extension_count = 64;
    atls_certificate_unref(make(&spec));
    spec.extension_count = 65;
    der = der_of(&spec);
    test_assert_code(atls_certificate_parse(atls_buf_bytes(&der), &c, &err), ATLS_E_LIMIT, &err);
    atls_buf_clear(&der);
}

/* Every single bit flip of a certificate either does not parse or no longer verifies. */
static void no_bit_may_change(void **state)
{
    struct atls_sim_certificate spec = leaf_spec();
    struct atls_certificate *root = make_root(), *c;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf der;
    size_t parsed = 0;

    (void)state;
    spec.key_usage = 0x80;
    spec.is_ca = true;
    der = der_of(&spec);
    for (size_t i = 0; i < der.len; i++) {
        der.ptr[i] ^= (uint8_t)(1 << (i % 8));
        if (atls_certificate_parse(atls_buf_bytes(&der), &c, &err) == ATLS_OK) {
            parsed++;
            assert_int_equal(atls_certificate_issued_by(c, root, ATLS_SIGNED_RSA_PSS_SHA384, &err),
                             ATLS_E_CERTIFICATE);
            atls_certificate_unref(c);
        }
        der.ptr[i] ^= (uint8_t)(1 << (i % 8));
    }
    print_message("  %zu bytes, %zu changed ones parse\n", der.len, parsed);
    assert_true(parsed > 256); /* the signature's, at least */
    atls_buf_clear(&der);
    atls_certificate_unref(root);
}

/* An extension's content that a profile fixes. */
static void malformed_extensions(void **state)
{
    static const struct {
        const char *name, *oid;
        struct atls_bytes value;
    } rows[] = {
        {"constraints that are no SEQUENCE", "2.5.29.19", HEX("\x04\x00")},
        {"constraints with a byte behind", "2.5.29.19", HEX("\x30\x00\x00")},
        {"a BOOLEAN of two octets", "2.5.29.19", HEX("\x30\x04\x01\x02\xff\xff")},
        {"a BOOLEAN that is neither", "2.5.29.19", HEX("\x30\x03\x01\x01\x01")},
        {"a path length below 0", "2.5.29.19", HEX("\x30\x06\x01\x01\xff\x02\x01\xff")},
        {"a path length of 128", "2.5.29.19", HEX("\x30\x07\x01\x01\xff\x02\x02\x00\x80")},
        {"a path length of two octets", "2.5.29.19", HEX("\x30\x07\x01\x01\xff\x02\x02\x01\x00")},
        {"something behind the path length", "2.5.29.19",
         HEX("\x30\x08\x01\x01\xff\x02\x01\x01\x05\x00")},
        {"usage that is no BIT STRING", "2.5.29.15", HEX("\x04\x02\x01\x06")},
        {"usage without bits", "2.5.29.15", HEX("\x03\x01\x00")},
        {"usage with eight unused bits", "2.5.29.15", HEX("\x03\x02\x08\x06")},
        {"usage with a byte behind", "2.5.29.15", HEX("\x03\x02\x01\x06\x00")},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct atls_sim_extension e = {rows[i].oid, true, rows[i].value};
        struct atls_sim_certificate spec = leaf_spec();
        struct atls_certificate *c;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_buf der;

        print_message("  %s\n", rows[i].name);
        spec.extensions = &e;
        spec.extension_count = 1;
        der = der_of(&spec);
        test_assert_code(atls_certificate_parse(atls_buf_bytes(&der), &c, &err), ATLS_E_DECODE,
                         &err);
        assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
        atls_buf_clear(&der);
    }
}

static void constraints_or_usage_twice_are_refused(void **state)
{
    static const struct atls_sim_extension rows[2][2] = {
        {{"2.5.29.19", true, HEX("\x30\x00")}, {"2.5.29.19", true, HEX("\x30\x03\x01\x01\xff")}},
        {{"2.5.29.15", true, HEX("\x03\x02\x07\x80")},
         {"2.5.29.15", true, HEX("\x03\x02\x02\x04")}},
    };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct atls_sim_certificate spec = leaf_spec();
        struct atls_certificate *c;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_buf der;

        spec.extensions = rows[i];
        spec.extension_count = 2;
        der = der_of(&spec);
        test_assert_code(atls_certificate_parse(atls_buf_bytes(&der), &c, &err), ATLS_E_DECODE,
                         &err);
        atls_buf_clear(&der);
    }
}

/* The parts of a to-be-signed certificate, one of which a row replaces. */
static struct atls_buf tbs_with(size_t replaced, struct atls_bytes by)
{
    static const uint8_t version[] = {0xa0, 0x03, 0x02, 0x01, 0x02}, serial[] = {0x02, 0x01, 0x07};
    static const uint8_t algorithm[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                        0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
    static const uint8_t name[] = {0x30, 0x0f, 0x31, 0x0d, 0x30, 0x0b, 0x06, 0x03, 0x55,
                                   0x04, 0x03, 0x0c, 0x04, 'r',  'o',  'o',  't'};
    static const char validity[] = "\x30\x1e\x17\x0d"
                                   "240101000000Z\x17\x0d"
                                   "250101000000Z";
    struct atls_writer w = atls_writer_init(4096);
    struct atls_buf spki, out = ATLS_BUF_INIT;
    struct atls_bytes parts[] = {
        atls_bytes_of(version, sizeof version),
        atls_bytes_of(serial, sizeof serial),
        atls_bytes_of(algorithm, sizeof algorithm),
        atls_bytes_of(name, sizeof name),
        atls_bytes_of(validity, sizeof validity - 1),
        atls_bytes_of(name, sizeof name),
        {NULL, 0},
        {NULL, 0}, /* unique ids and extensions */
    };
    size_t mark = atls_der_open(&w, ATLS_DER_SEQUENCE);

    assert_int_equal(atls_sim_spki(p256, &spki, NULL), ATLS_OK);
    parts[6] = atls_buf_bytes(&spki);
    if (replaced < sizeof parts / sizeof parts[0])
        parts[replaced] = by;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        atls_put_bytes(&w, parts[i]);
    atls_der_close(&w, mark);
    assert_int_equal(atls_writer_finish(&w, &out, NULL), ATLS_OK);
    atls_buf_clear(&spki);
    return out;
}

static void malformed_fields(void **state)
{
    static const struct {
        const char *name;
        size_t replaced;
        struct atls_bytes by;
        enum atls_code want;
    } rows[] = {
        {"as it should be", 99, HEX(""), ATLS_OK},
        {"no version", 0, HEX(""), ATLS_E_DECODE},
        {"version 2", 0, HEX("\xa0\x03\x02\x01\x01"), ATLS_E_DECODE},
        {"a byte behind the version", 0, HEX("\xa0\x05\x02\x01\x02\x05\x00"), ATLS_E_DECODE},
        {"serial of another type", 1, HEX("\x04\x01\x07"), ATLS_E_DECODE},
        {"serial without octets", 1, HEX("\x02\x00"), ATLS_E_DECODE},
        {"algorithm of another type", 2, HEX("\x31\x00"), ATLS_E_DECODE},
        {"issuer of another type", 3, HEX("\x31\x00"), ATLS_E_DECODE},
        {"issuer that holds no SET", 3, HEX("\x30\x02\x05\x00"), ATLS_E_DECODE},
        {"issuer with an empty SET", 3, HEX("\x30\x02\x31\x00"), ATLS_E_DECODE},
        {"issuer without SEQUENCE", 3, HEX("\x30\x04\x31\x02\x05\x00"), ATLS_E_DECODE},
        {"attribute without value", 3, HEX("\x30\x09\x31\x07\x30\x05\x06\x03\x55\x04\x03"),
         ATLS_E_DECODE},
        {"attribute with two values", 5,
         HEX("\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x05\x00\x05\x00"), ATLS_E_DECODE},
        {"subject of no names", 5, HEX("\x30\x00"), ATLS_OK},
        {"validity of one time", 4,
         HEX("\x30\x0f\x17\x0d"
             "240101000000Z"),
         ATLS_E_DECODE},
        {"validity of another type", 4, HEX("\x31\x00"), ATLS_E_DECODE},
        {"leap day", 4,
         HEX("\x30\x1e\x17\x0d"
             "240229000000Z\x17\x0d"
             "250101000000Z"),
         ATLS_OK},
        {"leap day that is none", 4,
         HEX("\x30\x1e\x17\x0d"
             "230229000000Z\x17\x0d"
             "250101000000Z"),
         ATLS_E_DECODE},
        {"month 13", 4,
         HEX("\x30\x1e\x17\x0d"
             "241301000000Z\x17\x0d"
             "250101000000Z"),
         ATLS_E_DECODE},
        {"month 0", 4,
         HEX("\x30\x1e\x17\x0d"
             "240001000000Z\x17\x0d"
             "250101000000Z"),
         ATLS_E_DECODE},
        {"day 0", 4,
         HEX("\x30\x1e\x17\x0d"
             "240100000000Z\x17\x0d"
             "250101000000Z"),
         ATLS_E_DECODE},
        {"hour 24", 4,
         HEX("\x30\x1e\x17\x0d"
             "240101240000Z\x17\x0d"
             "250101000000Z"),
         ATLS_E_DECODE},
        {"minute 60", 4,
         HEX("\x30\x1e\x17\x0d"
             "240101006000Z\x17\x0d"
             "250101000000Z"),
         ATLS_E_DECODE},
        {"second 60", 4,
         HEX("\x30\x1e\x17\x0d"
             "240101000060Z\x17\x0d"
             "250101000000Z"),
         ATLS_E_DECODE},
        {"a zone", 4,
         HEX("\x30\x1e\x17\x0d"
             "240101000000+\x17\x0d"
             "250101000000Z"),
         ATLS_E_DECODE},
        {"no digit", 4,
         HEX("\x30\x1e\x17\x0d"
             "24010100000xZ\x17\x0d"
             "250101000000Z"),
         ATLS_E_DECODE},
        {"time of another type", 4,
         HEX("\x30\x1e\x04\x0d"
             "240101000000Z\x17\x0d"
             "250101000000Z"),
         ATLS_E_DECODE},
        {"something behind a time", 4,
         HEX("\x30\x1f\x17\x0e"
             "240101000000ZZ\x17\x0d"
             "250101000000Z"),
         ATLS_E_DECODE},
        {"the year 0", 4,
         HEX("\x30\x20\x18\x0f"
             "00000101000000Z\x17\x0d"
             "250101000000Z"),
         ATLS_E_DECODE},
        {"no key", 6, HEX(""), ATLS_E_DECODE},
        {"a key of another type", 6, HEX("\x31\x00"), ATLS_E_DECODE},
        {"a key that is none", 6, HEX("\x30\x00"), ATLS_E_DECODE},
        {"unique ids", 7, HEX("\x81\x02\x00\x01\x82\x02\x00\x01"), ATLS_OK},
        {"an empty unique id", 7, HEX("\x81\x00"), ATLS_E_DECODE},
        {"an empty unique id of the subject", 7, HEX("\x82\x00"), ATLS_E_DECODE},
        {"something that is not known", 7, HEX("\xa4\x00"), ATLS_E_DECODE},
        {"no extensions in their place", 7, HEX("\xa3\x02\x30\x00"), ATLS_E_DECODE},
        {"extensions of another type", 7, HEX("\xa3\x02\x31\x00"), ATLS_E_DECODE},
        {"an extension that is no SEQUENCE", 7, HEX("\xa3\x04\x30\x02\x05\x00"), ATLS_E_DECODE},
        {"an extension without value", 7, HEX("\xa3\x08\x30\x06\x30\x04\x06\x02\x2a\x03"),
         ATLS_E_DECODE},
        {"an extension without OID", 7, HEX("\xa3\x06\x30\x04\x30\x02\x04\x00"), ATLS_E_DECODE},
        {"critical, and no value", 7, HEX("\xa3\x0b\x30\x09\x30\x07\x06\x02\x2a\x03\x01\x01\xff"),
         ATLS_E_DECODE},
        {"critical said in another way", 7,
         HEX("\xa3\x0d\x30\x0b\x30\x09\x06\x02\x2a\x03\x01\x01\x01\x04\x00"), ATLS_E_DECODE},
        {"the default written", 7,
         HEX("\xa3\x0d\x30\x0b\x30\x09\x06\x02\x2a\x03\x01\x01\x00\x04\x00"), ATLS_OK},
        {"an extension with a fourth field", 7,
         HEX("\xa3\x0c\x30\x0a\x30\x08\x06\x02\x2a\x03\x04\x00\x05\x00"), ATLS_E_DECODE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf tbs = tbs_with(rows[i].replaced, rows[i].by), der;
        struct atls_sim_certificate spec = leaf_spec();
        struct atls_certificate *c = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        spec.tbs = atls_buf_bytes(&tbs);
        spec.signer = p256;
        spec.algorithm = ATLS_SIM_ECDSA_SHA256;
        der = der_of(&spec);
        test_assert_code(atls_certificate_parse(atls_buf_bytes(&der), &c, &err), rows[i].want,
                         &err);
        atls_certificate_unref(c);
        atls_buf_clear(&der);
        atls_buf_clear(&tbs);
    }
}

static void dates_are_counted_right(void **state)
{
    static const struct {
        struct atls_bytes in;
        int64_t want;
    } rows[] = {
        {HEX("\x17\x0d"
             "700101000000Z"),
         0},
        {HEX("\x17\x0d"
             "500101000000Z"),
         -631152000},
        {HEX("\x17\x0d"
             "491231235959Z"),
         2524607999},
        {HEX("\x17\x0d"
             "000229000000Z"),
         951782400},
        {HEX("\x18\x0f"
             "21000301000000Z"),
         4107542400},
        {HEX("\x18\x0f"
             "99991231235959Z"),
         253402300799},
        {HEX("\x18\x0f"
             "19691231235959Z"),
         -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_reader r = atls_reader_init(rows[i].in);
        int64_t got = 7;

        assert_true(atls_der_get_time(&r, &got));
        assert_int_equal(got, rows[i].want);
        assert_true(atls_reader_done(&r));
    }
}

/* ---- issuing ---- */

static void what_an_issuer_must_have_done(void **state)
{
    static const struct atls_sim_attribute other[] = {{CN, 0, "other"}, {NULL, 0, NULL}};
    static const struct atls_sim_extension odd = {"1.2.3", true, HEX("x")};
    static const struct {
        const char *name;
        const struct atls_sim_attribute *issuer;
        enum atls_sim_algorithm algorithm;
        bool broken, other_key, critical;
        enum atls_code want;
        enum atls_reason reason;
    } rows[] = {
        {"good", NULL, 0, false, false, false, ATLS_OK, ATLS_REASON_NONE},
        {"issued by another name", other, 0, false, false, false, ATLS_E_CERTIFICATE,
         ATLS_REASON_CHAIN_ISSUER},
        {"a wrong signature", NULL, 0, true, false, false, ATLS_E_CERTIFICATE,
         ATLS_REASON_CHAIN_SIGNATURE},
        {"a critical extension", NULL, 0, false, false, true, ATLS_E_CERTIFICATE, ATLS_REASON_NONE},
        {"SHA-256", NULL, ATLS_SIM_PSS_SHA256, false, false, false, ATLS_E_CERTIFICATE,
         ATLS_REASON_CHAIN_SIGNATURE},
        {"another padding", NULL, ATLS_SIM_PKCS1_SHA384, false, false, false, ATLS_E_CERTIFICATE,
         ATLS_REASON_CHAIN_SIGNATURE},
        {"a key of another type", NULL, ATLS_SIM_ECDSA_SHA256, false, true, false,
         ATLS_E_CERTIFICATE, ATLS_REASON_CHAIN_SIGNATURE},
    };
    struct atls_certificate *root = make_root();

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_sim_certificate spec = leaf_spec();
        struct atls_certificate *leaf;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        if (rows[i].issuer != NULL)
            spec.issuer = rows[i].issuer;
        if (rows[i].algorithm != 0)
            spec.algorithm = rows[i].algorithm;
        if (rows[i].other_key)
            spec.signer = p256;
        spec.break_signature = rows[i].broken;
        spec.extensions = &odd;
        spec.extension_count = rows[i].critical;
        leaf = make(&spec);
        test_assert_code(atls_certificate_issued_by(leaf, root, ATLS_SIGNED_RSA_PSS_SHA384, &err),
                         rows[i].want, &err);
        assert_int_equal(err.reason, rows[i].reason);
        atls_certificate_unref(leaf);
    }
    atls_certificate_unref(root);
}

static void intels_algorithm(void **state)
{
    struct atls_sim_certificate spec = root_spec();
    struct atls_certificate *root, *leaf;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    spec.key = spec.signer = p256;
    spec.algorithm = ATLS_SIM_ECDSA_SHA256;
    root = make(&spec);
    spec = leaf_spec();
    spec.signer = p256;
    spec.algorithm = ATLS_SIM_ECDSA_SHA256;
    leaf = make(&spec);
    test_assert_code(atls_certificate_issued_by(leaf, root, ATLS_SIGNED_ECDSA_P256_SHA256, &err),
                     ATLS_OK, &err);
    test_assert_code(atls_certificate_issued_by(root, root, ATLS_SIGNED_ECDSA_P256_SHA256, &err),
                     ATLS_OK, &err);
    test_assert_code(atls_certificate_issued_by(leaf, root, ATLS_SIGNED_RSA_PSS_SHA384, &err),
                     ATLS_E_CERTIFICATE, &err);
    atls_certificate_unref(leaf);
    spec.break_signature = true;
    leaf = make(&spec);
    test_assert_code(atls_certificate_issued_by(leaf, root, ATLS_SIGNED_ECDSA_P256_SHA256, &err),
                     ATLS_E_CERTIFICATE, &err);
    assert_int_equal(err.reason, ATLS_REASON_CHAIN_SIGNATURE);
    atls_certificate_unref(leaf);
    atls_certificate_unref(root);
}

static void validity_holds_at_both_ends(void **state)
{
    struct atls_certificate *root = make_root();
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_certificate_check_time(root, FROM_S, &err), ATLS_OK, &err);
    test_assert_code(atls_certificate_check_time(root, TO_S, &err), ATLS_OK, &err);
    test_assert_code(atls_certificate_check_time(root, FROM_S - 1, &err), ATLS_E_CERTIFICATE, &err);
    assert_int_equal(err.reason, ATLS_REASON_CERTIFICATE_NOT_YET_VALID);
    test_assert_code(atls_certificate_check_time(root, TO_S + 1, &err), ATLS_E_CERTIFICATE, &err);
    assert_int_equal(err.reason, ATLS_REASON_CERTIFICATE_EXPIRED);
    assert_non_null(strstr(err.message, "\"root\""));
    atls_certificate_unref(root);
}

/* ---- revocation lists ---- */

static struct atls_sim_crl crl_spec(void)
{
    const struct atls_sim_crl spec = {
        .issuer = root_name,
        .signer = rsa,
        .algorithm = ATLS_SIM_PSS_SHA384,
        .this_update_s = NOW_S - 10,
        .next_update_s = NOW_S + 10,
        .number = HEX("\x05"),
    };

    return spec;
}

static enum atls_code revocation(const struct atls_sim_crl *spec, int64_t time_s,
                                 const struct atls_certificate *leaf, struct atls_err *err)
{
    struct atls_certificate *root = make_root();
    struct atls_buf der = ATLS_BUF_INIT;
    struct atls_revocation_check check = {
        .issuer = root, .algorithm = ATLS_SIGNED_RSA_PSS_SHA384, .time_s = time_s};
    int64_t next = 0;
    enum atls_code code;

    test_assert_code(atls_sim_crl_make(spec, &der, err), ATLS_OK, err);
    check.crl = atls_buf_bytes(&der);
    if ((code = atls_revocation_verify(&check, &leaf, 1, &next, err)) == ATLS_OK) {
        assert_int_equal(next, spec->next_update_s);
        assert_int_equal(atls_revocation_verify(&check, NULL, 0, NULL, err), ATLS_OK);
    }
    atls_buf_clear(&der);
    atls_certificate_unref(root);
    return code;
}

static void what_a_list_must_be(void **state)
{
    static const struct atls_bytes serials[] = {HEX("\x01"), HEX("\x12\x34"), HEX("\x12")};
    static const struct atls_bytes others[] = {HEX("\x01"), HEX("\x12\x35"), HEX("\x00\x12\x34")};
    static const struct atls_sim_attribute other[] = {{CN, 0, "other"}, {NULL, 0, NULL}};
    static const struct atls_sim_extension critical = {"2.5.29.27", true, HEX("\x02\x01\x01")};
    static const struct {
        const char *name;
        const struct atls_bytes *serials;
        const struct atls_sim_attribute *issuer;
        enum atls_sim_algorithm algorithm;
        bool broken, no_next, critical, no_extensions;
        int64_t time_s;
        enum atls_code want;
        enum atls_reason reason;
    } rows[] = {
        {"empty", NULL, NULL, 0, 0, 0, 0, 0, NOW_S, ATLS_OK, ATLS_REASON_NONE},
        {"empty without extensions", NULL, NULL, 0, 0, 0, 0, 1, NOW_S, ATLS_OK, ATLS_REASON_NONE},
        {"others", others, NULL, 0, 0, 0, 0, 0, NOW_S, ATLS_OK, ATLS_REASON_NONE},
        {"others, without extensions", others, NULL, 0, 0, 0, 0, 1, NOW_S, ATLS_OK,
         ATLS_REASON_NONE},
        {"revoked", serials, NULL, 0, 0, 0, 0, 0, NOW_S, ATLS_E_CERTIFICATE,
         ATLS_REASON_CERTIFICATE_REVOKED},
        {"of another issuer", NULL, other, 0, 0, 0, 0, 0, NOW_S, ATLS_E_CERTIFICATE,
         ATLS_REASON_CRL_SIGNATURE},
        {"a wrong signature", serials, NULL, 0, 1, 0, 0, 0, NOW_S, ATLS_E_CERTIFICATE,
         ATLS_REASON_CRL_SIGNATURE},
        {"another algorithm", NULL, NULL, ATLS_SIM_PKCS1_SHA384, 0, 0, 0, 0, NOW_S,
         ATLS_E_CERTIFICATE, ATLS_REASON_CRL_SIGNATURE},
        {"delta", NULL, NULL, 0, 0, 0, 1, 0, NOW_S, ATLS_E_CERTIFICATE, ATLS_REASON_CRL_SIGNATURE},
        {"without nextUpdate", NULL, NULL, 0, 0, 1, 0, 0, NOW_S, ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"its first second", NULL, NULL, 0, 0, 0, 0, 0, NOW_S - 10, ATLS_OK, ATLS_REASON_NONE},
        {"not yet", NULL, NULL, 0, 0, 0, 0, 0, NOW_S - 11, ATLS_E_CERTIFICATE,
         ATLS_REASON_CRL_EXPIRED},
        {"its last second", NULL, NULL, 0, 0, 0, 0, 0, NOW_S + 9, ATLS_OK, ATLS_REASON_NONE},
        {"old", NULL, NULL, 0, 0, 0, 0, 0, NOW_S + 10, ATLS_E_CERTIFICATE, ATLS_REASON_CRL_EXPIRED},
    };
    const struct atls_sim_certificate leaf_of = leaf_spec();
    struct atls_certificate *leaf = make(&leaf_of);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_sim_crl spec = crl_spec();
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        spec.serials = rows[i].serials;
        spec.serial_count = rows[i].serials == NULL ? 0 : 3;
        if (rows[i].issuer != NULL)
            spec.issuer = rows[i].issuer;
        if (rows[i].algorithm != 0)
            spec.algorithm = rows[i].algorithm;
        if (rows[i].no_extensions)
            spec.number.len = 0;
        spec.extensions = &critical;
        spec.extension_count = rows[i].critical;
        spec.break_signature = rows[i].broken;
        spec.no_next_update = rows[i].no_next;
        test_assert_code(revocation(&spec, rows[i].time_s, leaf, &err), rows[i].want, &err);
        assert_int_equal(err.reason, rows[i].reason);
    }
    atls_certificate_unref(leaf);
}

static void a_list_names_certificates_of_its_issuer(void **state)
{
    static const struct atls_sim_attribute other[] = {{CN, 0, "other"}, {NULL, 0, NULL}};
    static const struct atls_bytes serial = HEX("\x12\x34");
    struct atls_sim_certificate spec = leaf_spec();
    struct atls_sim_crl list = crl_spec();
    struct atls_certificate *leaf;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    spec.issuer = other;
    leaf = make(&spec);
    list.serials = &serial;
    list.serial_count = 1;
    test_assert_code(revocation(&list, NOW_S, leaf, &err), ATLS_OK, &err);
    atls_certificate_unref(leaf);
}

static void an_issuer_that_may_not_sign_lists(void **state)
{
    struct atls_sim_certificate spec = root_spec();
    const struct atls_sim_crl list = crl_spec();
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_revocation_check check = {.algorithm = ATLS_SIGNED_RSA_PSS_SHA384, .time_s = NOW_S};
    struct atls_certificate *root;
    struct atls_buf der;

    (void)state;
    spec.key_usage = ATLS_USAGE_CERT_SIGN;
    root = make(&spec);
    assert_int_equal(atls_sim_crl_make(&list, &der, &err), ATLS_OK);
    check.crl = atls_buf_bytes(&der);
    check.issuer = root;
    test_assert_code(atls_revocation_verify(&check, NULL, 0, NULL, &err), ATLS_E_CERTIFICATE, &err);
    assert_int_equal(err.reason, ATLS_REASON_CRL_SIGNATURE);
    atls_buf_clear(&der);
    atls_certificate_unref(root);
}

/* Every byte of a list changed: none is taken, and none lets the revoked certificate through. */
static void no_bit_of_a_list_may_change(void **state)
{
    static const struct atls_bytes serials[] = {HEX("\x12\x34"), HEX("\x01")};
    const struct atls_sim_certificate leaf_of = leaf_spec();
    struct atls_certificate *root = make_root(), *leaf = make(&leaf_of);
    const struct atls_certificate *list[] = {leaf};
    struct atls_sim_crl spec = crl_spec();
    struct atls_revocation_check check = {
        .algorithm = ATLS_SIGNED_RSA_PSS_SHA384, .time_s = NOW_S, .issuer = root};
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf der;

    (void)state;
    spec.serials = serials;
    spec.serial_count = 2;
    assert_int_equal(atls_sim_crl_make(&spec, &der, &err), ATLS_OK);
    for (size_t i = 0; i < der.len; i++) {
        der.ptr[i] ^= (uint8_t)(1 << (i % 8));
        check.crl = atls_buf_bytes(&der);
        assert_int_not_equal(atls_revocation_verify(&check, list, 1, NULL, &err), ATLS_OK);
        assert_int_not_equal(err.reason, ATLS_REASON_CERTIFICATE_REVOKED);
        der.ptr[i] ^= (uint8_t)(1 << (i % 8));
    }
    for (size_t len = 0; len < der.len; len++) {
        check.crl = atls_bytes_of(der.ptr, len);
        assert_int_equal(atls_revocation_verify(&check, list, 1, NULL, &err), ATLS_E_DECODE);
    }
    atls_buf_clear(&der);
    atls_certificate_unref(leaf);
    atls_certificate_unref(root);
}

/* A list whose entry carries extensions, signed as it should be. */
static struct atls_buf list_with(struct atls_bytes entries)
{
    struct atls_writer w = atls_writer_init(4096);
    struct atls_sim_certificate spec = leaf_spec();
    struct atls_certificate *leaf = make(&spec);
    struct atls_buf tbs = ATLS_BUF_INIT, der;
    size_t mark = atls_der_open(&w, ATLS_DER_SEQUENCE);

    atls_sim_put_integer(&w, 1);
    atls_put_bytes(&w, leaf->parts.algorithm);
    atls_put_bytes(&w, leaf->issuer);
    atls_put_bytes(&w, text_of("\x17\x0d"
                               "240101000000Z\x17\x0d"
                               "250101000000Z"));
    atls_put_bytes(&w, entries);
    atls_der_close(&w, mark);
    assert_int_equal(atls_writer_finish(&w, &tbs, NULL), ATLS_OK);
    spec.tbs = atls_buf_bytes(&tbs);
    der = der_of(&spec);
    atls_buf_clear(&tbs);
    atls_certificate_unref(leaf);
    return der;
}

static void entries_of_lists(void **state)
{
#define DATE                                                                                       \
    "\x17\x0d"                                                                                     \
    "240101000000Z"
    static const struct {
        const char *name;
        struct atls_bytes entries;
        enum atls_code want;
        enum atls_reason reason;
    } rows[] = {
        {"a reason that is not critical",
         HEX("\x30\x22\x30\x20\x02\x01\x05" DATE
             "\x30\x0c\x30\x0a\x06\x03\x55\x1d\x15\x04\x03\x0a\x01\x01"),
         ATLS_OK, ATLS_REASON_NONE},
        {"an issuer of its own, critical",
         HEX("\x30\x25\x30\x23\x02\x01\x05" DATE
             "\x30\x0f\x30\x0d\x06\x03\x55\x1d\x1d\x01\x01\xff\x04\x03\x0a\x01\x01"),
         ATLS_E_CERTIFICATE, ATLS_REASON_CRL_SIGNATURE},
        {"an entry that is no SEQUENCE", HEX("\x30\x02\x05\x00"), ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"an entry without date", HEX("\x30\x05\x30\x03\x02\x01\x05"), ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"an entry with something else behind", HEX("\x30\x16\x30\x14\x02\x01\x05" DATE "\x05\x00"),
         ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"an entry with a malformed extension",
         HEX("\x30\x18\x30\x16\x02\x01\x05" DATE "\x30\x02\x05\x00"), ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"something else in the place of entries", HEX("\x05\x00"), ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"a malformed extension of the list", HEX("\xa0\x04\x30\x02\x05\x00"), ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"extensions of another type", HEX("\xa0\x02\x31\x00"), ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
    };
    struct atls_certificate *root = make_root();

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf der = list_with(rows[i].entries);
        struct atls_revocation_check check = {atls_buf_bytes(&der), root,
                                              ATLS_SIGNED_RSA_PSS_SHA384, NOW_S};
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        test_assert_code(atls_revocation_verify(&check, NULL, 0, NULL, &err), rows[i].want, &err);
        assert_int_equal(err.reason, rows[i].reason);
        atls_buf_clear(&der);
    }
    atls_certificate_unref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(amds_chains_verify),
        cmocka_unit_test(it_says_what_it_was_made_with),
        cmocka_unit_test(an_extension_may_stand_there_twice),
        cmocka_unit_test(names_with_none_or_two_common_names_have_none),
        cmocka_unit_test(who_is_an_authority),
        cmocka_unit_test(a_key_of_another_kind_is_none),
        cmocka_unit_test(truncations_and_trailing_bytes_are_refused),
        cmocka_unit_test(too_long_is_refused),
        cmocka_unit_test(too_many_extensions_are_refused),
        cmocka_unit_test(no_bit_may_change),
        cmocka_unit_test(malformed_extensions),
        cmocka_unit_test(constraints_or_usage_twice_are_refused),
        cmocka_unit_test(malformed_fields),
        cmocka_unit_test(dates_are_counted_right),
        cmocka_unit_test(what_an_issuer_must_have_done),
        cmocka_unit_test(intels_algorithm),
        cmocka_unit_test(validity_holds_at_both_ends),
        cmocka_unit_test(what_a_list_must_be),
        cmocka_unit_test(a_list_names_certificates_of_its_issuer),
        cmocka_unit_test(an_issuer_that_may_not_sign_lists),
        cmocka_unit_test(no_bit_of_a_list_may_change),
        cmocka_unit_test(entries_of_lists),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
