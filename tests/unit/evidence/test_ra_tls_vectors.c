/* Certificates of Gramine, the SGX SDK and rats-tls, and an SGX quote with the collateral of its
 * time: tests/vectors/ra-tls/README.md, tests/vectors/tdx/README.md. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "testlib.h"

#include "core/reader.h"
#include "evidence/ra_tls.h"
#include "evidence/sgx.h"
#include "tee_source.h"
#include "wire/json.h"
#include "wire/ra_tls.h"
#include "wire/ra_tls_forms.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static json_t *cases;

static const char *text_of(const json_t *row, const char *name)
{
    const char *text = json_string_value(json_object_get(row, name));

    if (text == NULL) {
        fail_msg("no text \"%s\"", name);
        abort();
    }
    return text;
}

static size_t size_of(const json_t *row, const char *name)
{
    assert_true(json_is_integer(json_object_get(row, name)));
    return (size_t)json_integer_value(json_object_get(row, name));
}

static int64_t time_of(const char *text)
{
    struct atls_json_value value;
    char quoted[64];
    int64_t time_s;

    snprintf(quoted, sizeof quoted, "\"%s\"", text);
    assert_int_equal(atls_json_parse(atls_bytes_of(quoted, strlen(quoted)), &value, NULL), ATLS_OK);
    assert_true(atls_json_get_time(&value, &time_s));
    return time_s;
}

/* A certificate, what was found in it, and its evidence as a CMW. */
struct scene {
    struct atls_buf der;
    struct atls_ra_tls found;
    struct atls_buf evidence;
    struct atls_arena arena;
    struct atls_cmw pat;
    struct atls_evidence_request request;
    struct test_tee_source store;
    struct atls_endorsement_source source;
    struct atls_buf root, files[8];
    size_t file_count;
};

/* Evidence of the scene anew, in this form and of this value. */
static void take_evidence(struct scene *s, enum atls_ra_tls_form form, struct atls_bytes value)
{
    static const uint8_t binder[32];
    struct atls_writer w = atls_writer_init(1 << 17);
    struct atls_err err = ATLS_ERR_INIT;

    atls_buf_clear(&s->evidence);
    atls_arena_clear(&s->arena);
    s->arena = atls_arena_init(1 << 16);
    test_assert_code(atls_ra_tls_cmw(form, value, &w, &err), ATLS_OK, &err);
    test_assert_code(atls_writer_finish(&w, &s->evidence, &err), ATLS_OK, &err);
    test_assert_code(atls_cmw_decode(atls_buf_bytes(&s->evidence), &s->arena, &s->pat, &err),
                     ATLS_OK, &err);
    s->source = test_tee_source_over(&s->store);
    s->request = (struct atls_evidence_request){.evidence = atls_buf_bytes(&s->evidence),
                                                .binder = atls_bytes_of(binder, sizeof binder),
                                                .profiles = ATLS_PROFILE_RATLS,
                                                .aik_spki = s->found.spki,
                                                .source = &s->source,
                                                .time_s = time_of("2025-07-01T00:00:00Z")};
}

static void open_certificate(const json_t *row, struct scene *s)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf pem;
    char path[128];
    size_t count;

    memset(s, 0, sizeof *s);
    snprintf(path, sizeof path, "ra-tls/%s", text_of(row, "file"));
    pem = test_vector(path);
    test_assert_code(atls_certificates_from_pem(atls_buf_bytes(&pem), &s->der, 1, &count, &err),
                     ATLS_OK, &err);
    atls_buf_clear(&pem);
    test_assert_code(atls_ra_tls_find(atls_buf_bytes(&s->der), &s->found, &err), ATLS_OK, &err);
    take_evidence(s, s->found.form, s->found.value);
}

static void close_certificate(struct scene *s)
{
    for (size_t i = 0; i < s->file_count; i++)
        atls_buf_clear(&s->files[i]);
    atls_buf_clear(&s->root);
    atls_buf_clear(&s->der);
    atls_buf_clear(&s->evidence);
    atls_arena_clear(&s->arena);
    test_tee_source_clear(&s->store);
}

static void trust_intel(struct scene *s)
{
    s->root = test_vector("tdx/roots/intel_sgx_root_ca.der");
    test_tee_source_trust(&s->store, atls_buf_bytes(&s->root));
}

static void put_file(struct scene *s, enum atls_collateral_kind kind, const char *path)
{
    s->files[s->file_count] = test_vector(path);
    test_tee_source_put(&s->store, kind, atls_buf_bytes(&s->files[s->file_count++]));
}

/* What the quote says of itself and of the key: everything but platform and collateral. */
static enum atls_code check_binding(struct scene *s, struct atls_err *err)
{
    static const struct atls_dcap_rules rules;
    struct atls_dcap_check check = {.rules = &rules, .sources = {.tee = ATLS_DCAP_SGX}};
    struct atls_ra_tls_answer answer;
    struct atls_sgx_quote quote;
    enum atls_code code;

    if ((code = atls_ra_tls_expect(&s->pat, &s->request, &answer, err)) != ATLS_OK ||
        (code = atls_sgx_quote_decode(answer.quote, &quote, err)) != ATLS_OK ||
        (code = atls_dcap_verify_alone(&check, &quote.dcap, err)) != ATLS_OK)
        return code;
    check.report_data = atls_bytes_of(answer.report_data, sizeof answer.report_data);
    check.report_data_is_key = answer.report_data_is_key;
    if ((code = atls_dcap_check_report_data(&check, quote.report.report_data, err)) != ATLS_OK)
        return code;
    return atls_ra_tls_accept(&answer, &s->request, err);
}

static void assert_hex(struct atls_bytes got, const char *hex)
{
    struct atls_buf want = test_unhex(hex);

    test_assert_bytes(got, atls_buf_bytes(&want));
    atls_buf_clear(&want);
}

/* Every value of a certificate that is its binding. */
static void check_values(const json_t *row, struct scene *s)
{
    static const uint8_t zeros[32];
    struct atls_dice_evidence e;
    struct atls_dice_claims claims;
    struct atls_sgx_quote quote;
    uint8_t digest[ATLS_HASH_MAX];
    struct atls_bytes report_data;

    assert_string_equal(atls_ra_tls_form_name(s->found.form), text_of(row, "form"));
    assert_int_equal(atls_hash_one(ATLS_HASH_SHA256, s->found.spki, digest, NULL), ATLS_OK);
    assert_hex(atls_bytes_of(digest, 32), text_of(row, "spki_sha256"));
    assert_int_equal(atls_dice_evidence_decode(s->found.value, &e, NULL), ATLS_OK);
    assert_int_equal(e.quote.len, size_of(row, "quote_len"));
    assert_int_equal(e.claims.len, size_of(row, "claims_len"));
    assert_int_equal(atls_dice_claims_decode(e.claims, &claims, NULL), ATLS_OK);
    assert_int_equal(claims.hash, ATLS_DICE_SHA256);
    assert_hex(claims.pubkey_hash, text_of(row, "spki_sha256"));
    assert_int_equal(claims.others, size_of(row, "other_claims"));
    assert_false(claims.has_nonce);
    assert_int_equal(atls_sgx_quote_decode(e.quote, &quote, NULL), ATLS_OK);
    assert_int_equal(quote.dcap.version, 3);
    report_data = quote.report.report_data;
    assert_hex(atls_bytes_of(report_data.ptr, 32), text_of(row, "report_data"));
    test_assert_bytes(atls_bytes_of(report_data.ptr + 32, 32), atls_bytes_of(zeros, 32));
    assert_int_equal(atls_hash_one(ATLS_HASH_SHA256, e.claims, digest, NULL), ATLS_OK);
    test_assert_bytes(atls_bytes_of(report_data.ptr, 32), atls_bytes_of(digest, 32));
}

/* Content of the extension of this OID, however it ranks. */
static struct atls_bytes extension_of(const struct scene *s, const char *oid_hex)
{
    struct atls_buf oid = test_unhex(oid_hex);
    struct atls_bytes value = {NULL, 0};

    for (size_t i = 0; i + oid.len + 4 < s->der.len && value.ptr == NULL; i++) {
        const uint8_t *at = s->der.ptr + i + oid.len;

        if (memcmp(s->der.ptr + i, oid.ptr, oid.len) == 0 && at[0] == 0x04 && at[1] == 0x82)
            value = atls_bytes_of(at + 4, (size_t)(at[2] << 8 | at[3]));
    }
    atls_buf_clear(&oid);
    if (value.ptr == NULL) {
        fail_msg("no extension %s", oid_hex);
        abort();
    }
    return value;
}

/* The evidence that another form in the same certificate is. */
static void check_second(const json_t *second, struct scene *s)
{
    const char *binding = text_of(second, "binding");
    const enum atls_ra_tls_form form = strcmp(text_of(second, "form"), "sgx-quote") == 0
                                           ? ATLS_RA_TLS_SGX_QUOTE
                                           : ATLS_RA_TLS_SDK_QUOTE;
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code;

    assert_string_equal(atls_ra_tls_form_name(form), text_of(second, "form"));
    take_evidence(s, form, extension_of(s, text_of(second, "oid")));
    code = check_binding(s, &err);
    assert_string_equal(code == ATLS_OK ? "good" : atls_reason_name(err.reason), binding);
}

static void bindings_as_published(void **state)
{
    const json_t *row, *second;
    size_t i;

    (void)state;
    json_array_foreach(json_object_get(cases, "certificates"), i, row)
    {
        struct atls_err err = ATLS_ERR_INIT;
        struct scene s;

        print_message("%s\n", text_of(row, "file"));
        open_certificate(row, &s);
        check_values(row, &s);
        test_assert_code(check_binding(&s, &err), ATLS_OK, &err);
        if ((second = json_object_get(row, "second")) != NULL)
            check_second(second, &s);
        close_certificate(&s);
    }
    assert_int_equal(i, 3);
}

/* ---- the whole appraisal ---- */

static void put_collateral(struct scene *s, const json_t *verdict)
{
    if (json_is_true(json_object_get(verdict, "root")))
        trust_intel(s);
    if (json_object_get(verdict, "tcb_info") == NULL)
        return;
    put_file(s, ATLS_COLLATERAL_SGX_TCB_INFO, text_of(verdict, "tcb_info"));
    put_file(s, ATLS_COLLATERAL_SGX_QE_IDENTITY, "tdx/sgx-v3-not-tdx/qe_identity.json");
    put_file(s, ATLS_COLLATERAL_TDX_TCB_CHAIN, "tdx/sgx-v3-not-tdx/tcb_signing_chain.pem");
    put_file(s, ATLS_COLLATERAL_TDX_ROOT_CRL, "tdx/sgx-v3-not-tdx/root_ca_crl.der");
    put_file(s, ATLS_COLLATERAL_TDX_PCK_CRL, "tdx/sgx-v3-not-tdx/pck_crl.der");
    s->store.documents[s->store.count - 1].subject = "processor";
    s->files[s->file_count] = test_vector("tdx/v4-uptodate/pck_crl.der");
    s->store.documents[s->store.count].kind = ATLS_COLLATERAL_TDX_PCK_CRL;
    s->store.documents[s->store.count].subject = "platform";
    s->store.documents[s->store.count++].bytes = atls_buf_bytes(&s->files[s->file_count++]);
}

static void verdicts_as_published(void **state)
{
    const json_t *row, *verdict;
    size_t i, k;

    (void)state;
    json_array_foreach(json_object_get(cases, "certificates"), i, row)
    {
        json_array_foreach(json_object_get(cases, "verdicts"), k, verdict)
        {
            struct atls_err err = ATLS_ERR_INIT;
            struct atls_claims claims;
            struct scene s;

            open_certificate(row, &s);
            put_collateral(&s, verdict);
            s.request.time_s = time_of(text_of(verdict, "time"));
            if (atls_evidence_verify(&s.request, &claims, &err) == ATLS_OK ||
                strcmp(atls_reason_name(err.reason), text_of(verdict, "error")) != 0)
                fail_msg("%s, %s: got %s: %s", text_of(row, "file"), text_of(verdict, "name"),
                         atls_reason_name(err.reason), err.message);
            close_certificate(&s);
        }
    }
}

/* ---- one bit ---- */

struct change {
    const char *name;
    enum atls_reason reason;
    size_t (*where)(const struct atls_sgx_quote *q, struct atls_bytes value,
                    const struct atls_dice_evidence *e);
};

static size_t in_hash(const struct atls_sgx_quote *q, struct atls_bytes value,
                      const struct atls_dice_evidence *e)
{
    struct atls_dice_claims claims;

    (void)q;
    assert_int_equal(atls_dice_claims_decode(e->claims, &claims, NULL), ATLS_OK);
    return (size_t)(claims.pubkey_hash.ptr - value.ptr) + 31;
}

static size_t in_report_data(const struct atls_sgx_quote *q, struct atls_bytes value,
                             const struct atls_dice_evidence *e)
{
    (void)e;
    return (size_t)(q->report.report_data.ptr - value.ptr);
}

static size_t in_signature(const struct atls_sgx_quote *q, struct atls_bytes value,
                           const struct atls_dice_evidence *e)
{
    (void)e;
    return (size_t)(q->dcap.signature.ptr - value.ptr) + 63;
}

static size_t in_attestation_key(const struct atls_sgx_quote *q, struct atls_bytes value,
                                 const struct atls_dice_evidence *e)
{
    (void)e;
    return (size_t)(q->dcap.attestation_key.ptr - value.ptr) + 63;
}

static const struct change changes[] = {
    {"hash of the key in the claims", ATLS_REASON_REPORT_DATA_MISMATCH, in_hash},
    {"report data", ATLS_REASON_QUOTE_SIGNATURE, in_report_data},
    {"quote signature", ATLS_REASON_QUOTE_SIGNATURE, in_signature},
    {"attestation key", ATLS_REASON_QE_REPORT_DATA, in_attestation_key},
};

static void open_parts(const struct scene *s, struct atls_dice_evidence *e,
                       struct atls_sgx_quote *quote)
{
    assert_int_equal(atls_dice_evidence_decode(s->found.value, e, NULL), ATLS_OK);
    assert_int_equal(atls_sgx_quote_decode(e->quote, quote, NULL), ATLS_OK);
}

static void change_one(const json_t *row, const struct change *change)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_dice_evidence e;
    struct atls_sgx_quote quote;
    struct atls_buf value;
    struct scene s;

    open_certificate(row, &s);
    open_parts(&s, &e, &quote);
    assert_int_equal(atls_buf_copy(&value, s.found.value, NULL), ATLS_OK);
    value.ptr[change->where(&quote, s.found.value, &e)] ^= 1;
    take_evidence(&s, s.found.form, atls_buf_bytes(&value));
    if (check_binding(&s, &err) == ATLS_OK || err.reason != change->reason)
        fail_msg("%s, %s: got %s", text_of(row, "file"), change->name,
                 atls_reason_name(err.reason));
    atls_buf_clear(&value);
    close_certificate(&s);
}

/* A bit of the PCK certificate's signature, in the PEM text of the chain: the last character but
 * padding before the end of the first certificate carries one. */
static void change_chain(const json_t *row)
{
    static const char end[] = "-----END CERTIFICATE-----";
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_claims claims;
    struct atls_dice_evidence e;
    struct atls_sgx_quote quote;
    struct atls_buf value;
    struct scene s;
    char *at;

    open_certificate(row, &s);
    trust_intel(&s);
    open_parts(&s, &e, &quote);
    assert_int_equal(atls_buf_copy(&value, s.found.value, NULL), ATLS_OK);
    at = (char *)value.ptr + (quote.dcap.certification.ptr - s.found.value.ptr);
    at = strstr(at, end);
    if (at == NULL) {
        fail_msg("no certificate");
        abort();
    }
    at -= 8; /* inside of the last line */
    *at = *at == 'A' ? 'B' : 'A';
    take_evidence(&s, s.found.form, atls_buf_bytes(&value));
    assert_int_not_equal(atls_evidence_verify(&s.request, &claims, &err), ATLS_OK);
    assert_int_equal(err.reason, ATLS_REASON_CHAIN_SIGNATURE);
    atls_buf_clear(&value);
    close_certificate(&s);
}

/* The key of another certificate. */
static void change_key(const json_t *row)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf spki;
    struct scene s;

    open_certificate(row, &s);
    assert_int_equal(atls_buf_copy(&spki, s.found.spki, NULL), ATLS_OK);
    spki.ptr[spki.len - 1] ^= 1;
    s.request.aik_spki = atls_buf_bytes(&spki);
    assert_int_equal(check_binding(&s, &err), ATLS_E_EVIDENCE);
    assert_int_equal(err.reason, ATLS_REASON_KEY_BINDING_MISMATCH);
    atls_buf_clear(&spki);
    close_certificate(&s);
}

static void one_bit_changed(void **state)
{
    const json_t *row;
    size_t i;

    (void)state;
    json_array_foreach(json_object_get(cases, "certificates"), i, row)
    {
        for (size_t k = 0; k < COUNT(changes); k++)
            change_one(row, &changes[k]);
        change_chain(row);
        change_key(row);
    }
}

/* ---- a quote with the collateral of its time ---- */

static void a_real_enclave(void **state)
{
    static const struct {
        unsigned int statuses;
        const char *time;
        enum atls_reason reason;
    } rows[] = {
        {0, "2025-07-01T00:00:00Z", ATLS_REASON_TCB_CONFIGURATION},
        {ATLS_TDX_CONFIGURATION_AND_SW_HARDENING_NEEDED, "2025-07-01T00:00:00Z", ATLS_REASON_NONE},
        {ATLS_TDX_SW_HARDENING_NEEDED, "2025-07-01T00:00:00Z", ATLS_REASON_TCB_CONFIGURATION},
        {ATLS_TDX_CONFIGURATION_AND_SW_HARDENING_NEEDED, "2025-07-20T00:00:00Z",
         ATLS_REASON_COLLATERAL_EXPIRED},
        {ATLS_TDX_CONFIGURATION_AND_SW_HARDENING_NEEDED, "2025-06-19T00:00:00Z",
         ATLS_REASON_COLLATERAL_NOT_YET_VALID},
    };
    struct atls_buf bytes = test_vector("tdx/sgx-v3-not-tdx/quote.bin");
    struct atls_sgx_quote quote;
    struct scene s;

    (void)state;
    memset(&s, 0, sizeof s);
    trust_intel(&s);
    put_file(&s, ATLS_COLLATERAL_SGX_TCB_INFO, "tdx/sgx-v3-not-tdx/tcb_info.json");
    put_file(&s, ATLS_COLLATERAL_SGX_QE_IDENTITY, "tdx/sgx-v3-not-tdx/qe_identity.json");
    put_file(&s, ATLS_COLLATERAL_TDX_TCB_CHAIN, "tdx/sgx-v3-not-tdx/tcb_signing_chain.pem");
    put_file(&s, ATLS_COLLATERAL_TDX_ROOT_CRL, "tdx/sgx-v3-not-tdx/root_ca_crl.der");
    put_file(&s, ATLS_COLLATERAL_TDX_PCK_CRL, "tdx/sgx-v3-not-tdx/pck_crl.der");
    s.source = test_tee_source_over(&s.store);
    assert_int_equal(atls_sgx_quote_decode(atls_buf_bytes(&bytes), &quote, NULL), ATLS_OK);
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct atls_sgx_rules rules = {.dcap = {.statuses = rows[i].statuses}};
        const struct atls_sgx_check check = {
            .quote = atls_buf_bytes(&bytes),
            .report_data = quote.report.report_data,
            .rules = &rules,
            .sources = {.source = &s.source, .time_s = time_of(rows[i].time)}};
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_sgx_result result;
        const enum atls_code code = atls_sgx_verify(&check, &result, &err);

        if ((code == ATLS_OK) != (rows[i].reason == ATLS_REASON_NONE) ||
            (code != ATLS_OK && err.reason != rows[i].reason))
            fail_msg("row %zu: %s: %s", i, atls_reason_name(err.reason), err.message);
        if (code == ATLS_OK)
            atls_sgx_result_clear(&result);
    }
    atls_buf_clear(&bytes);
    close_certificate(&s);
}

static int load(void **state)
{
    struct atls_buf text = test_vector("ra-tls/cases.json");

    (void)state;
    cases = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    atls_buf_clear(&text);
    return cases == NULL;
}

static int unload(void **state)
{
    (void)state;
    json_decref(cases);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bindings_as_published),
        cmocka_unit_test(verdicts_as_published),
        cmocka_unit_test(one_bit_changed),
        cmocka_unit_test(a_real_enclave),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
