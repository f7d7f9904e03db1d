/* Certificates with evidence as the public interface makes them, and what judges of them. */
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "world.h"

static X509 *parse(const struct atls_buf *der)
{
    const unsigned char *at = der->ptr;
    X509 *x = d2i_X509(NULL, &at, (long)der->len);

    if (x == NULL || at != der->ptr + der->len)
        abort();
    return x;
}

static struct atls_buf make(struct world *w, const struct atls_ra_certificate_options *o)
{
    struct atls_buf der = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    (void)w;
    test_assert_code(atls_ra_certificate_make(o, &der, &err), ATLS_OK, &err);
    return der;
}

static enum atls_code judge(struct world *w, const struct atls_buf *der, struct atls_bytes nonce,
                            struct atls_ra_certificate_verdict *out, struct atls_err *err)
{
    const struct atls_bytes chain[1] = {atls_buf_bytes(der)};
    struct atls_ra_certificate_check check;

    atls_ra_certificate_check_init(&check);
    check.chain = chain;
    check.chain_len = 1;
    check.nonce = nonce;
    check.peer_name = "host.example";
    return atls_ra_certificate_judge(w->config, &check, out, err);
}

/* {evidence, passport} x {none, nonce}: made, then accepted. */
static void what_is_made_is_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        const bool passport = (i & 1) != 0, nonce = (i & 2) != 0;
        struct atls_ra_certificate_verdict verdict;
        struct atls_ra_certificate_options o;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_buf der;
        struct world w;

        world_init(&w);
        w.options.freshness = nonce ? ATLS_FRESHNESS_NONCE : ATLS_FRESHNESS_NONE;
        w.fake_verifier.takes_results = passport;
        w.fake_verifier.wants_binder = passport && nonce;
        world_open_attester(&w);
        world_configure(&w);
        o = world_make_options(&w);
        o.passport = passport ? w.passport : NULL;
        o.nonce = nonce ? world_nonce(&w) : atls_bytes_of(NULL, 0);
        der = make(&w, &o);
        w.now_s += 240;
        test_assert_code(judge(&w, &der, o.nonce, &verdict, &err), ATLS_OK, &err);
        assert_non_null(verdict.result);
        assert_string_equal(verdict.form, "cmw");
        assert_string_equal(verdict.freshness, nonce ? "nonce" : "none");
        assert_int_equal(verdict.age_s, 300);
        assert_int_equal(verdict.not_before_s, WORLD_NOW - 60);
        assert_int_equal(verdict.not_after_s, WORLD_NOW + 86400);
        assert_false(verdict.expired);
        assert_int_equal(w.fake_verifier.nonce_len, nonce ? 32 : 0);
        assert_int_equal(w.fake_passport.echoed, passport && nonce);
        atls_ra_certificate_verdict_clear(&verdict);
        assert_null(verdict.result);
        atls_ra_certificate_verdict_clear(NULL);
        atls_buf_clear(&der);
        world_clear(&w);
    }
}

/* libcrypto agrees: self-signed, names, dates, the extension in its place and not critical. */
static void content(void **state)
{
    static const char *const names[] = {"host.example", "192.0.2.7", NULL};
    struct atls_ra_certificate_options o;
    struct atls_buf der;
    struct world w;
    ASN1_OBJECT *oid;
    X509_EXTENSION *extension;
    X509 *x;
    int at;

    (void)state;
    world_init(&w);
    world_open_attester(&w);
    o = world_make_options(&w);
    o.common_name = "rack 7";
    o.dns_names = names;
    o.lifetime_s = 60;
    der = make(&w, &o);
    x = parse(&der);
    assert_int_equal(X509_verify(x, X509_get0_pubkey(x)), 1);
    assert_int_equal(X509_check_host(x, "host.example", 0, 0, NULL), 1);
    assert_int_equal(X509_check_ip_asc(x, "192.0.2.7", 0), 1);
    oid = OBJ_txt2obj("1.3.6.1.5.5.7.1.35", 1);
    at = X509_get_ext_by_OBJ(x, oid, -1);
    assert_true(at >= 0);
    extension = X509_get_ext(x, at);
    assert_int_equal(X509_EXTENSION_get_critical(extension), 0);
    assert_int_equal(X509_get_ext_by_OBJ(x, oid, at), -1);
    /* CHOICE cbor: an OCTET STRING inside the one of the extension */
    assert_int_equal(ASN1_STRING_get0_data(X509_EXTENSION_get_data(extension))[0], 0x04);
    ASN1_OBJECT_free(oid);
    X509_free(x);
    atls_buf_clear(&der);
    world_clear(&w);
}

/* Without names of its own, the certificate is for whom the attester's is. */
static void names_of_the_attester(void **state)
{
    static const char *const names[] = {"rack-7.example", NULL};
    struct atls_ra_certificate_options o;
    struct atls_buf der;
    struct world w;
    X509 *x;

    (void)state;
    world_init(&w);
    w.fake.dns_names = names;
    world_open_attester(&w);
    o = world_make_options(&w);
    der = make(&w, &o);
    x = parse(&der);
    assert_int_equal(X509_check_host(x, "rack-7.example", 0, 0, NULL), 1);
    assert_int_equal(X509_NAME_cmp(X509_get_subject_name(x), X509_get_issuer_name(x)), 0);
    assert_int_equal(X509_NAME_entry_count(X509_get_subject_name(x)), 1);
    X509_free(x);
    atls_buf_clear(&der);
    world_clear(&w);
}

/* The form of DICE holds the record as it stands. */
static void form_dice(void **state)
{
    struct atls_ra_certificate_verdict verdict;
    struct atls_ra_certificate_options o;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ra_tls found;
    struct atls_buf der, none = ATLS_BUF_INIT;
    struct world w;

    (void)state;
    world_init(&w);
    world_open_attester(&w);
    world_configure(&w);
    o = world_make_options(&w);
    o.form = ATLS_RA_FORM_DICE;
    der = make(&w, &o);
    test_assert_code(atls_ra_tls_find(atls_buf_bytes(&der), &found, &err), ATLS_OK, &err);
    assert_int_equal(found.form, ATLS_RA_TLS_DICE);
    assert_int_equal(found.value.ptr[0], 0x82);
    test_assert_code(judge(&w, &der, atls_bytes_of(NULL, 0), &verdict, &err), ATLS_OK, &err);
    assert_string_equal(verdict.form, "dice");
    atls_ra_certificate_verdict_clear(&verdict);
    o.form = (enum atls_ra_form)2;
    test_assert_code(atls_ra_certificate_make(&o, &none, &err), ATLS_E_USAGE, &err);
    atls_buf_clear(&der);
    world_clear(&w);
}

/* Our bundles are collections, which the extension of DICE does not take; nor is what is no CMW
 * wrapped up. */
static void forms_that_do_not_fit(void **state)
{
    static const uint8_t collection[] = {0xa1, 0x61, 'k', 0x82, 0x18, 0x3c, 0x41, 0x00};
    struct atls_pre_template t = {.lifetime_s = 100, .now_s = WORLD_NOW, .common_name = "x"};
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    struct world w;

    (void)state;
    world_init(&w);
    world_open_attester(&w);
    t.attester = w.attester;
    test_assert_code(atls_pre_wrap(&t, atls_bytes_of(collection, sizeof collection), &out, &err),
                     ATLS_OK, &err);
    atls_buf_clear(&out);
    t.form = ATLS_RA_FORM_DICE;
    test_assert_code(atls_pre_wrap(&t, atls_bytes_of(collection, sizeof collection), &out, &err),
                     ATLS_E_UNSUPPORTED, &err);
    assert_non_null(strstr(err.message, "a collection"));
    test_assert_code(atls_pre_wrap(&t, atls_bytes_of("\x01\x02", 2), &out, &err),
                     ATLS_E_UNSUPPORTED, &err);
    t.form = ATLS_RA_FORM_CMW;
    test_assert_code(atls_pre_wrap(&t, atls_bytes_of("\x01\x02", 2), &out, &err), ATLS_E_USAGE,
                     &err);
    world_clear(&w);
}

static void largest_evidence_fits(void **state)
{
    struct atls_ra_certificate_verdict verdict;
    struct atls_ra_certificate_options o;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf der;
    struct world w;

    (void)state;
    world_init(&w);
    w.fake.evidence_len = ATLS_CMW_DATA_MAX - 40;
    world_open_attester(&w);
    world_configure(&w);
    o = world_make_options(&w);
    der = make(&w, &o);
    assert_true(der.len > 65000);
    test_assert_code(judge(&w, &der, atls_bytes_of(NULL, 0), &verdict, &err), ATLS_OK, &err);
    atls_ra_certificate_verdict_clear(&verdict);
    atls_buf_clear(&der);
    world_clear(&w);
}

/* A CA that copies the extension of the request makes a certificate that carries it. */
static void requests(void **state)
{
    static const char *const names[] = {"host.example", NULL};
    struct atls_ra_certificate_verdict verdict;
    struct atls_ra_certificate_options o;
    struct atls_certificate_extra extra = {.critical = false};
    struct atls_certificate_spec spec;
    struct atls_buf request = ATLS_BUF_INIT, der;
    struct atls_err err = ATLS_ERR_INIT;
    STACK_OF(X509_EXTENSION) * asked;
    const unsigned char *at;
    const ASN1_OCTET_STRING *value;
    X509_REQ *req;
    struct world w;

    (void)state;
    world_init(&w);
    world_trust_ca(&w);
    world_open_attester(&w);
    world_configure(&w);
    o = world_make_options(&w);
    o.dns_names = names;
    test_assert_code(atls_ra_certificate_request(&o, &request, &err), ATLS_OK, &err);
    at = request.ptr;
    req = d2i_X509_REQ(NULL, &at, (long)request.len);
    assert_int_equal(X509_REQ_verify(req, X509_REQ_get0_pubkey(req)), 1);
    asked = X509_REQ_get_extensions(req);
    assert_int_equal(sk_X509_EXTENSION_num(asked), 2);
    value = X509_EXTENSION_get_data(sk_X509_EXTENSION_value(asked, 1));

    extra.oid = world_oid(0);
    extra.value = atls_bytes_of(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
    spec = world_spec(&w);
    spec.dns_names = names;
    spec.issuer_certificate = atls_buf_bytes(&w.ca.certificate);
    spec.scheme = atls_private_key_scheme(w.ca.key);
    spec.sign_arg = w.ca.key;
    spec.extra = &extra;
    spec.extra_count = 1;
    der = world_certificate(&spec);
    test_assert_code(judge(&w, &der, atls_bytes_of(NULL, 0), &verdict, &err), ATLS_OK, &err);
    atls_ra_certificate_verdict_clear(&verdict);

    o.nonce = world_nonce(&w);
    test_assert_code(atls_ra_certificate_request(&o, &request, &err), ATLS_E_USAGE, &err);
    sk_X509_EXTENSION_pop_free(asked, X509_EXTENSION_free);
    X509_REQ_free(req);
    atls_buf_clear(&request);
    atls_buf_clear(&der);
    world_clear(&w);
}

static void options_are_checked(void **state)
{
    static const uint8_t bytes[33];
    struct atls_ra_certificate_options good, o;
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    struct world w;

    (void)state;
    world_init(&w);
    world_open_attester(&w);
    good = world_make_options(&w);
#define REFUSED(change, code)                                                                      \
    do {                                                                                           \
        o = good;                                                                                  \
        change;                                                                                    \
        test_assert_code(atls_ra_certificate_make(&o, &out, &err), (code), &err);                  \
        assert_null(out.ptr);                                                                      \
    } while (0)
    REFUSED(o.size--, ATLS_E_USAGE);
    REFUSED(o.attester = NULL, ATLS_E_USAGE);
    REFUSED(o.nonce = atls_bytes_of(bytes, 31), ATLS_E_USAGE);
    REFUSED(o.nonce = atls_bytes_of(bytes, 33), ATLS_E_USAGE);
    REFUSED(o.lifetime_s = 59, ATLS_E_USAGE);
    REFUSED(o.lifetime_s = 366 * 86400 + 1, ATLS_E_USAGE);
    REFUSED(o.profiles = ATLS_PROFILE_BARE, ATLS_E_USAGE); /* which this attester does not make */
    o = good;
    o.size--;
    test_assert_code(atls_ra_certificate_request(&o, &out, &err), ATLS_E_USAGE, &err);
    w.fake.fail_evidence = ATLS_E_DEVICE;
    REFUSED((void)0, ATLS_E_DEVICE);
    w.fake.fail_evidence = ATLS_OK;
    w.fake.fail_sign = ATLS_E_DEVICE;
    REFUSED((void)0, ATLS_E_DEVICE);
    w.fake.fail_sign = ATLS_OK;
    w.fake_passport.fail = ATLS_E_UNAVAILABLE;
    REFUSED(o.passport = w.passport, ATLS_E_UNAVAILABLE);
    o = good;
    o.lifetime_s = 366 * 86400;
    test_assert_code(atls_ra_certificate_make(&o, &out, &err), ATLS_OK, &err);
    atls_buf_clear(&out);
    world_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_made_is_accepted),
        cmocka_unit_test(content),
        cmocka_unit_test(names_of_the_attester),
        cmocka_unit_test(form_dice),
        cmocka_unit_test(forms_that_do_not_fit),
        cmocka_unit_test(largest_evidence_fits),
        cmocka_unit_test(requests),
        cmocka_unit_test(options_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
