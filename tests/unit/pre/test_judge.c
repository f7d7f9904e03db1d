/* What refuses a certificate with evidence: each check alone. */
#include "world.h"

/* A certificate that is fine, in pieces; a row changes one of them. */
struct forgery {
    struct world w;
    struct atls_certificate_spec spec;
    struct atls_certificate_extra extra[3];
    struct atls_binder binder;
    struct atls_buf cmw, value, der;
    struct test_identity other; /* a key that is not the attester's */
    struct atls_bytes chain[2];
    struct atls_ra_certificate_check check;
    size_t flip_from_end; /* a bit of so many bytes before the end of the certificate; 0: none */
};

static struct atls_bytes nothing(void)
{
    return atls_bytes_of(NULL, 0);
}

static void forgery_init(struct forgery *f)
{
    memset(f, 0, sizeof *f);
    world_init(&f->w);
    world_open_attester(&f->w);
    f->other = test_leaf(NULL, "other.example", ATLS_KEY_P256);
    f->spec = world_spec(&f->w);
    f->spec.extra = f->extra;
    f->spec.extra_count = 1;
    atls_ra_certificate_check_init(&f->check);
    test_assert_code(atls_binder_pre(nothing(), f->spec.spki, &f->binder, NULL), ATLS_OK, NULL);
}

static void put_evidence(struct forgery *f)
{
    f->cmw = world_evidence(&f->w, atls_binder_bytes(&f->binder));
    f->value = world_value(atls_buf_bytes(&f->cmw));
    f->extra[0].oid = world_oid(0);
    f->extra[0].value = atls_buf_bytes(&f->value);
}

static enum atls_code forgery_judge(struct forgery *f, struct atls_ra_certificate_verdict *verdict,
                                    struct atls_err *err)
{
    if (f->der.ptr == NULL)
        f->der = world_certificate(&f->spec);
    if (f->flip_from_end != 0)
        f->der.ptr[f->der.len - f->flip_from_end] ^= 1;
    world_configure(&f->w);
    f->chain[0] = atls_buf_bytes(&f->der);
    f->check.chain = f->chain;
    if (f->check.chain_len == 0)
        f->check.chain_len = 1;
    return atls_ra_certificate_judge(f->w.config, &f->check, verdict, err);
}

static void forgery_clear(struct forgery *f)
{
    atls_buf_clear(&f->cmw);
    atls_buf_clear(&f->value);
    atls_buf_clear(&f->der);
    test_identity_clear(&f->other);
    world_clear(&f->w);
}

/* ---- changes ---- */

static void fine(struct forgery *f)
{
    (void)f;
}

static void expired(struct forgery *f)
{
    f->w.now_s = f->spec.not_after_s + 1;
}

static void at_its_last_second(struct forgery *f)
{
    f->w.now_s = f->spec.not_after_s;
}

static void not_yet_valid(struct forgery *f)
{
    f->w.now_s = f->spec.not_before_s - 1;
}

static void dates_ignored(struct forgery *f)
{
    expired(f);
    f->check.ignore_dates = true;
}

/* Valid for thirty years; now is so many seconds behind notBefore. */
static void made_ago(struct forgery *f, int64_t seconds)
{
    f->spec.not_after_s = f->spec.not_before_s + INT64_C(30) * 365 * 86400;
    f->w.now_s = f->spec.not_before_s + seconds;
}

static void a_week_old(struct forgery *f)
{
    made_ago(f, 7 * 86400);
}

static void too_old(struct forgery *f)
{
    made_ago(f, 7 * 86400 + 1);
}

static void as_old_as_the_option(struct forgery *f)
{
    f->w.options.certificate_max_age_s = 30 * 86400;
    made_ago(f, 30 * 86400);
}

static void too_old_for_the_option(struct forgery *f)
{
    f->w.options.certificate_max_age_s = 60;
    made_ago(f, 61);
}

static void too_old_ignored(struct forgery *f)
{
    too_old(f);
    f->check.ignore_dates = true;
}

static void signature_of_another_bit(struct forgery *f)
{
    f->flip_from_end = 1;
}

static void signed_by_another_key(struct forgery *f)
{
    f->spec.sign_arg = f->other.key;
}

static void issued_by_another(struct forgery *f)
{
    f->spec.issuer_certificate = atls_buf_bytes(&f->other.certificate);
    f->spec.sign_arg = f->other.key;
}

/* The evidence stands in the certificate of another key, which is signed by that one. */
static void key_of_another(struct forgery *f)
{
    f->spec.spki = atls_key_spki(atls_private_key_public(f->other.key));
    f->spec.sign_arg = f->other.key;
}

static void evidence_names_another_key(struct forgery *f)
{
    f->w.fake.wrong_key = true;
    put_evidence(f);
}

static void no_extension(struct forgery *f)
{
    f->spec.extra_count = 0;
}

static void extension_twice(struct forgery *f)
{
    f->extra[1] = f->extra[0];
    f->spec.extra_count = 2;
}

static void unknown_critical_extension(struct forgery *f)
{
    f->extra[1] = (struct atls_certificate_extra){
        .oid = HEX("\x2a\x03"), .value = HEX("\x05\x00"), .critical = true};
    f->spec.extra_count = 2;
}

static void unknown_extension(struct forgery *f)
{
    unknown_critical_extension(f);
    f->extra[1].critical = false;
}

static void critical_evidence(struct forgery *f)
{
    f->extra[0].critical = true;
}

static void garbage_in_the_extension(struct forgery *f)
{
    f->extra[0].value = (struct atls_bytes)HEX("\x04\x03\xff\xff\xff");
}

static void empty_extension(struct forgery *f)
{
    f->extra[0].value = nothing();
}

static void cmw_in_json(struct forgery *f)
{
    f->extra[0].value = (struct atls_bytes)HEX("\x0c\x0e[\"a/b\",\"AQ\",4]");
}

static void garbage_in_the_record(struct forgery *f)
{
    f->extra[0].value = (struct atls_bytes)HEX("\x04\x07\x82\x63"
                                               "a/b"
                                               "\x41\x07");
}

static void no_certificate(struct forgery *f)
{
    assert_int_equal(atls_buf_copy(&f->der, (struct atls_bytes)HEX("\x30\x03\x02\x01\x00"), NULL),
                     ATLS_OK);
}

/* Forms of others: what is judged is their media type, so the fake verifier takes neither. */
static void put_foreign(struct forgery *f, size_t oid)
{
    f->extra[0].oid = world_oid(oid);
    f->extra[0].value = (struct atls_bytes)HEX("\xd9\xea\x60\x82\x41\x01\x41\x02");
}

static void tagged_evidence_unasked(struct forgery *f)
{
    put_foreign(f, 1);
}

static void legacy_quote_unasked(struct forgery *f)
{
    put_foreign(f, 2);
}

static void oe_report_unasked(struct forgery *f)
{
    put_foreign(f, 6);
}

/* Past the profile, to the verifier, which finds no evidence that it knows. */
static void tagged_evidence_asked_for(struct forgery *f)
{
    static const char *const profiles[] = {"ra-tls", NULL};

    put_foreign(f, 1);
    f->w.options.profiles = profiles;
}

static void other_flavours(struct forgery *f)
{
    uint8_t transcript[32] = {1};
    const struct atls_binder_handshake handshake = {
        ATLS_HASH_SHA256, atls_bytes_of(transcript, sizeof transcript), f->spec.spki};

    test_assert_code(atls_binder_intra(&handshake, &f->binder, NULL), ATLS_OK, NULL);
    put_evidence(f);
}

static void post_flavour(struct forgery *f)
{
    const uint8_t exported[32] = {0};

    test_assert_code(atls_binder_make(ATLS_HASH_SHA256, f->spec.spki, exported, &f->binder, NULL),
                     ATLS_OK, NULL);
    put_evidence(f);
}

/* Freshness nonce. */
static void want_nonce(struct forgery *f)
{
    f->w.options.freshness = ATLS_FRESHNESS_NONCE;
    f->check.nonce = world_nonce(&f->w);
}

static void answers_none(struct forgery *f)
{
    want_nonce(f);
}

static void answer(struct forgery *f, uint8_t bit)
{
    uint8_t nonce[ATLS_RA_NONCE_LEN];

    want_nonce(f);
    memcpy(nonce, f->w.nonce, sizeof nonce);
    nonce[31] ^= bit;
    test_assert_code(
        atls_binder_pre(atls_bytes_of(nonce, sizeof nonce), f->spec.spki, &f->binder, NULL),
        ATLS_OK, NULL);
    put_evidence(f);
}

static void answers_the_nonce(struct forgery *f)
{
    answer(f, 0);
}

static void answers_another(struct forgery *f)
{
    answer(f, 1);
}

/* A nonce that was not sent: evidence made for another connection. */
static void answers_unasked(struct forgery *f)
{
    answer(f, 0);
    f->w.options.freshness = ATLS_FRESHNESS_NONE;
    f->check.nonce = nothing();
}

static void nonce_not_given(struct forgery *f)
{
    want_nonce(f);
    f->check.nonce = nothing();
}

static void nonce_unasked(struct forgery *f)
{
    f->check.nonce = world_nonce(&f->w);
}

static void nonce_too_short(struct forgery *f)
{
    want_nonce(f);
    f->check.nonce.len--;
}

static void chain_of_none(struct forgery *f)
{
    f->check.chain_len = ATLS_CHAIN_MAX + 1;
}

static void check_of_another_size(struct forgery *f)
{
    f->check.size--;
}

static void contraindicated(struct forgery *f)
{
    f->w.fake_verifier.contraindicated = true;
}

static void other_technology(struct forgery *f)
{
    f->w.fake_verifier.type = "other";
}

static void same_key_unvalidated(struct forgery *f)
{
    f->w.options.identity = ATLS_IDENTITY_SAME_KEY;
}

static void same_key_validated(struct forgery *f)
{
    same_key_unvalidated(f);
    f->check.chain_validated = true;
}

static void pkix_self_signed(struct forgery *f)
{
    world_trust_ca(&f->w);
    f->check.peer_name = "host.example";
}

static void issued_by_the_ca(struct forgery *f)
{
    static const char *const names[] = {"host.example", NULL};

    pkix_self_signed(f);
    f->spec.dns_names = names;
    f->spec.issuer_certificate = atls_buf_bytes(&f->w.ca.certificate);
    f->spec.scheme = atls_private_key_scheme(f->w.ca.key);
    f->spec.sign_arg = f->w.ca.key;
}

static void issued_for_another_name(struct forgery *f)
{
    issued_by_the_ca(f);
    f->check.peer_name = "else.example";
}

/* A fresh self-signed certificate, and behind it who that key is. */
static void with_identity(struct forgery *f, struct atls_bytes spki)
{
    const struct test_certificate spec = {.dns_names = (const char *const[]){"host.example", NULL},
                                          .spki = spki};

    pkix_self_signed(f);
    test_identity_clear(&f->other);
    f->other = test_issue(&f->w.ca, &spec);
    f->chain[1] = atls_buf_bytes(&f->other.certificate);
    f->check.chain_len = 2;
}

static void identity_behind(struct forgery *f)
{
    with_identity(f, f->spec.spki);
}

static void identity_of_another_key(struct forgery *f)
{
    struct test_identity third = test_leaf(NULL, "host.example", ATLS_KEY_P256);

    with_identity(f, atls_key_spki(atls_private_key_public(third.key)));
    test_identity_clear(&third);
}

static void identity_of_another_name(struct forgery *f)
{
    with_identity(f, f->spec.spki);
    f->check.peer_name = "else.example";
}

static void identity_behind_a_bad_signature(struct forgery *f)
{
    with_identity(f, f->spec.spki);
    f->flip_from_end = 1;
}

static void our_own_key(struct forgery *f)
{
    f->w.options.attester = f->w.attester;
}

static void old_but_answers_the_nonce(struct forgery *f)
{
    answers_the_nonce(f);
    too_old(f);
}

static void too_old_and_issued(struct forgery *f)
{
    issued_by_the_ca(f);
    too_old(f);
}

/* ---- rows ---- */

static const struct row {
    const char *name;
    void (*change)(struct forgery *f);
    enum atls_code code;
    enum atls_reason reason;
} rows[] = {
    {"fine", fine, ATLS_OK, ATLS_REASON_NONE},
    {"at its last second", at_its_last_second, ATLS_OK, ATLS_REASON_NONE},
    {"critical evidence", critical_evidence, ATLS_OK, ATLS_REASON_NONE},
    {"an unknown extension", unknown_extension, ATLS_OK, ATLS_REASON_NONE},
    {"dates ignored", dates_ignored, ATLS_OK, ATLS_REASON_NONE},
    {"answers the nonce", answers_the_nonce, ATLS_OK, ATLS_REASON_NONE},
    {"same-key, validated by TLS", same_key_validated, ATLS_OK, ATLS_REASON_NONE},
    {"issued by the CA", issued_by_the_ca, ATLS_OK, ATLS_REASON_NONE},
    {"identity behind a fresh certificate", identity_behind, ATLS_OK, ATLS_REASON_NONE},
    {"at its last second of a week", a_week_old, ATLS_OK, ATLS_REASON_NONE},
    {"as old as the option allows", as_old_as_the_option, ATLS_OK, ATLS_REASON_NONE},
    {"old, but answers the nonce", old_but_answers_the_nonce, ATLS_OK, ATLS_REASON_NONE},
    {"too old, dates ignored", too_old_ignored, ATLS_OK, ATLS_REASON_NONE},
    {"too old", too_old, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_TOO_OLD},
    {"too old for the option", too_old_for_the_option, ATLS_E_CERTIFICATE,
     ATLS_REASON_CERTIFICATE_TOO_OLD},
    {"too old, issued by the CA", too_old_and_issued, ATLS_E_CERTIFICATE,
     ATLS_REASON_CERTIFICATE_TOO_OLD},
    {"expired", expired, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_EXPIRED},
    {"not yet valid", not_yet_valid, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_NOT_YET_VALID},
    {"a bit of the signature", signature_of_another_bit, ATLS_E_CERTIFICATE,
     ATLS_REASON_CHAIN_SIGNATURE},
    {"signed by another key", signed_by_another_key, ATLS_E_CERTIFICATE,
     ATLS_REASON_CHAIN_SIGNATURE},
    {"issued by another, attested", issued_by_another, ATLS_E_CERTIFICATE,
     ATLS_REASON_CHAIN_ISSUER},
    {"another key", key_of_another, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH},
    {"evidence names another key", evidence_names_another_key, ATLS_E_EVIDENCE,
     ATLS_REASON_KEY_BINDING_MISMATCH},
    {"no extension", no_extension, ATLS_E_EVIDENCE, ATLS_REASON_NOT_ATTESTED},
    {"the extension twice", extension_twice, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"an unknown critical extension", unknown_critical_extension, ATLS_E_CERTIFICATE,
     ATLS_REASON_NONE},
    {"garbage in the extension", garbage_in_the_extension, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"an empty extension", empty_extension, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"a CMW in JSON", cmw_in_json, ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE},
    {"garbage in the record", garbage_in_the_record, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"no certificate", no_certificate, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"tagged evidence, not asked for", tagged_evidence_unasked, ATLS_E_EVIDENCE,
     ATLS_REASON_EVIDENCE_PROFILE},
    {"legacy quote, not asked for", legacy_quote_unasked, ATLS_E_EVIDENCE,
     ATLS_REASON_EVIDENCE_PROFILE},
    {"Open Enclave report, not asked for", oe_report_unasked, ATLS_E_EVIDENCE,
     ATLS_REASON_EVIDENCE_PROFILE},
    {"tagged evidence, asked for", tagged_evidence_asked_for, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"evidence of intra", other_flavours, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH},
    {"evidence of post", post_flavour, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH},
    {"answers no nonce", answers_none, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH},
    {"answers another nonce", answers_another, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH},
    {"answers a nonce that was not sent", answers_unasked, ATLS_E_EVIDENCE,
     ATLS_REASON_NONCE_MISMATCH},
    {"nonce not given", nonce_not_given, ATLS_E_USAGE, ATLS_REASON_NONE},
    {"nonce with freshness none", nonce_unasked, ATLS_E_USAGE, ATLS_REASON_NONE},
    {"nonce too short", nonce_too_short, ATLS_E_USAGE, ATLS_REASON_NONE},
    {"chain too long", chain_of_none, ATLS_E_USAGE, ATLS_REASON_NONE},
    {"check of another size", check_of_another_size, ATLS_E_USAGE, ATLS_REASON_NONE},
    {"policy", contraindicated, ATLS_E_REFUSED, ATLS_REASON_POLICY},
    {"another technology", other_technology, ATLS_E_EVIDENCE, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE},
    {"same-key, not validated", same_key_unvalidated, ATLS_E_CERTIFICATE,
     ATLS_REASON_IDENTITY_MISMATCH},
    {"pkix, self-signed", pkix_self_signed, ATLS_E_CERTIFICATE, ATLS_REASON_UNTRUSTED_ROOT},
    {"issued for another name", issued_for_another_name, ATLS_E_CERTIFICATE,
     ATLS_REASON_CERTIFICATE_NAME},
    {"identity of another key behind", identity_of_another_key, ATLS_E_CERTIFICATE,
     ATLS_REASON_UNTRUSTED_ROOT},
    {"identity of another name behind", identity_of_another_name, ATLS_E_CERTIFICATE,
     ATLS_REASON_CERTIFICATE_NAME},
    {"identity behind a bad signature", identity_behind_a_bad_signature, ATLS_E_CERTIFICATE,
     ATLS_REASON_CHAIN_SIGNATURE},
    {"our own key", our_own_key, ATLS_E_CERTIFICATE, ATLS_REASON_EQUAL_KEYS},
};

static bool answers_a_nonce(const struct row *row)
{
    return row->change == answers_the_nonce || row->change == old_but_answers_the_nonce;
}

/* What *out says follows how far judging came. */
static void assert_verdict(const struct row *row, const struct atls_ra_certificate_verdict *v)
{
    const bool parsed = v->form[0] != '\0';

    assert_string_equal(v->freshness, row->code != ATLS_OK   ? ""
                                      : answers_a_nonce(row) ? "nonce"
                                                             : "none");
    assert_int_equal(v->result != NULL, row->code == ATLS_OK || row->code == ATLS_E_REFUSED ||
                                            row->change == other_technology);
    assert_int_equal(v->expired, row->change == expired || row->change == dates_ignored ||
                                     row->change == not_yet_valid || row->change == too_old ||
                                     row->change == too_old_ignored ||
                                     row->change == too_old_for_the_option ||
                                     row->change == too_old_and_issued);
    if (row->code == ATLS_OK)
        assert_true(parsed);
}

static void each_check_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_ra_certificate_verdict verdict;
        struct atls_err err = ATLS_ERR_INIT;
        struct forgery f;
        enum atls_code code;

        forgery_init(&f);
        put_evidence(&f);
        if (rows[i].change == other_flavours || rows[i].change == post_flavour ||
            answers_a_nonce(&rows[i]) || rows[i].change == answers_another ||
            rows[i].change == answers_unasked || rows[i].change == evidence_names_another_key) {
            atls_buf_clear(&f.cmw); /* made again */
            atls_buf_clear(&f.value);
        }
        rows[i].change(&f);
        code = forgery_judge(&f, &verdict, &err);
        if (code != rows[i].code || err.reason != rows[i].reason)
            fail_msg("%s: %d, %s: %s", rows[i].name, code, atls_reason_name(err.reason),
                     err.message);
        assert_verdict(&rows[i], &verdict);
        /* Evidence that fails is never taken for none. */
        if (atls_pre_shows_evidence(f.chain[0]) != (rows[i].change != no_extension))
            fail_msg("%s: counts as %s", rows[i].name,
                     rows[i].change != no_extension ? "ordinary TLS" : "evidence");
        atls_ra_certificate_verdict_clear(&verdict);
        forgery_clear(&f);
    }
}

/* Nor is a certificate that cannot be read, wherever it ends; and a certificate is judged by itself
 * as if attestation were required. */
static void optional_evidence(void **state)
{
    struct atls_ra_certificate_verdict verdict;
    struct atls_err err = ATLS_ERR_INIT;
    struct forgery f;

    (void)state;
    forgery_init(&f);
    f.spec.extra_count = 0;
    f.w.options.peer_optional = true;
    test_assert_code(forgery_judge(&f, &verdict, &err), ATLS_E_EVIDENCE, &err);
    assert_int_equal(err.reason, ATLS_REASON_NOT_ATTESTED);
    for (size_t len = 0; len < f.der.len; len++)
        assert_true(atls_pre_shows_evidence(atls_bytes_of(f.der.ptr, len)));
    assert_false(atls_pre_shows_evidence(atls_buf_bytes(&f.der)));
    atls_ra_certificate_verdict_clear(&verdict);
    forgery_clear(&f);
}

/* Whose configuration it is. */
static void configurations(void **state)
{
    struct atls_ra_certificate_verdict verdict;
    struct atls_err err = ATLS_ERR_INIT;
    struct forgery f;

    (void)state;
    forgery_init(&f);
    put_evidence(&f);
    f.w.options.flavour = ATLS_FLAVOUR_POST;
    f.w.options.freshness = ATLS_FRESHNESS_UNSAID;
    test_assert_code(forgery_judge(&f, &verdict, &err), ATLS_E_USAGE, &err);
    forgery_clear(&f);

    forgery_init(&f);
    put_evidence(&f);
    f.der = world_certificate(&f.spec);
    world_configure_attester(&f.w);
    f.chain[0] = atls_buf_bytes(&f.der);
    f.check.chain = f.chain;
    f.check.chain_len = 1;
    test_assert_code(atls_ra_certificate_judge(f.w.config, &f.check, &verdict, NULL), ATLS_E_USAGE,
                     &err);
    f.check.chain_len = 0;
    test_assert_code(atls_ra_certificate_judge(f.w.config, &f.check, &verdict, NULL), ATLS_E_USAGE,
                     &err);
    forgery_clear(&f);
}

/* Every truncation of a certificate is refused, and so is a byte behind it. */
static void truncations(void **state)
{
    struct atls_ra_certificate_verdict verdict;
    struct atls_err err = ATLS_ERR_INIT;
    struct forgery f;
    uint8_t *longer;

    (void)state;
    forgery_init(&f);
    put_evidence(&f);
    test_assert_code(forgery_judge(&f, &verdict, &err), ATLS_OK, &err);
    atls_ra_certificate_verdict_clear(&verdict);
    for (size_t len = 0; len < f.der.len; len++) {
        f.chain[0] = atls_bytes_of(f.der.ptr, len);
        assert_int_equal(atls_ra_certificate_judge(f.w.config, &f.check, &verdict, &err),
                         ATLS_E_DECODE);
    }
    longer = calloc(1, f.der.len + 1);
    if (longer == NULL)
        abort();
    memcpy(longer, f.der.ptr, f.der.len);
    f.chain[0] = atls_bytes_of(longer, f.der.len + 1);
    assert_int_equal(atls_ra_certificate_judge(f.w.config, &f.check, &verdict, &err),
                     ATLS_E_DECODE);
    free(longer);
    forgery_clear(&f);
}

/* Certificates of others, from outside: parsed, their own signatures good, in which form. */
static void certificates_of_others(void **state)
{
    static const char *const files[] = {"ra-tls/gramine-cert.pem", "ra-tls/intel-sgxsdk-cert.pem",
                                        "ra-tls/rats-tls-cert.pem"};
    static const char *const profiles[] = {"ra-tls", NULL};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct atls_buf pem = test_vector(files[i]), der = ATLS_BUF_INIT;
        struct atls_ra_certificate_check check;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_pre_peer peer;
        struct atls_bytes chain;
        struct world w;
        size_t count;

        world_init(&w);
        w.options.profiles = profiles;
        /* of 2001, 2021 and 2023: too old for the default */
        w.options.certificate_max_age_s = 25 * 365 * 86400;
        world_configure(&w);
        test_assert_code(atls_certificates_from_pem(atls_buf_bytes(&pem), &der, 1, &count, &err),
                         ATLS_OK, &err);
        chain = atls_buf_bytes(&der);
        atls_ra_certificate_check_init(&check);
        check.chain = &chain;
        check.chain_len = 1;
        if (i == 2) { /* until 2024 */
            test_assert_code(atls_pre_peer_open(w.config, &check, &peer, &err), ATLS_E_CERTIFICATE,
                             &err);
            assert_int_equal(err.reason, ATLS_REASON_CERTIFICATE_EXPIRED);
            atls_pre_peer_clear(&peer);
            check.ignore_dates = true;
        }
        test_assert_code(atls_pre_peer_open(w.config, &check, &peer, &err), ATLS_OK, &err);
        assert_int_equal(peer.form, ATLS_RA_TLS_DICE);
        assert_int_equal(peer.expired, i == 2);
        assert_int_equal(peer.cmw.ptr[0], 0x83);
        test_assert_bytes(peer.judgement.spki, peer.spki);
        atls_pre_peer_clear(&peer);
        /* the last byte is of the signature */
        der.ptr[der.len - 1] ^= 1;
        test_assert_code(atls_pre_peer_open(w.config, &check, &peer, &err), ATLS_E_CERTIFICATE,
                         &err);
        assert_int_equal(err.reason, ATLS_REASON_CHAIN_SIGNATURE);
        atls_pre_peer_clear(&peer);
        atls_buf_clear(&der);
        atls_buf_clear(&pem);
        world_clear(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_check_alone),       cmocka_unit_test(optional_evidence),
        cmocka_unit_test(configurations),         cmocka_unit_test(truncations),
        cmocka_unit_test(certificates_of_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
