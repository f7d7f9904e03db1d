/* Recorded TPM evidence (tests/vectors/tpm/cases.json): each case gives its verdict, through the
 * functions that appraise live evidence. */
#include "testlib.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "bind/tpm_object.h"
#include "core/err.h"
#include "evidence/tpm.h"
#include "wire/cbor.h"

/* ---- files ---- */

static const char *file_of(json_t *c, const char *role)
{
    return json_string_value(json_object_get(json_object_get(c, "files"), role));
}

static struct atls_buf load(json_t *c, const char *role)
{
    char path[256];

    assert_non_null(file_of(c, role));
    snprintf(path, sizeof path, "tpm/%s", file_of(c, role));
    return test_vector(path);
}

/* DER of a certificate that a file holds as PEM or DER. */
static struct atls_buf load_certificate(json_t *c, const char *role)
{
    struct atls_buf in = load(c, role), out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    size_t count;

    if (in.ptr[0] == 0x30)
        return in;
    test_assert_code(atls_certificates_from_pem(atls_buf_bytes(&in), &out, 1, &count, &err),
                     ATLS_OK, &err);
    atls_buf_clear(&in);
    return out;
}

/* PCR values and what they borrow from. */
struct values {
    struct atls_tpm_pcr_values bank;
    uint8_t data[ATLS_TPM_PCRS_MAX][ATLS_HASH_MAX];
};

static void set_value(struct values *v, size_t index, const uint8_t *ptr, size_t len)
{
    assert_true(index < ATLS_TPM_PCRS_MAX && len <= ATLS_HASH_MAX);
    memcpy(v->data[index], ptr, len);
    v->bank.values[index] = atls_bytes_of(v->data[index], len);
    v->bank.present |= (uint32_t)1 << index;
}

/* Lines of "index hex". */
static void parse_lines(struct values *v, struct atls_bytes text)
{
    char *copy = calloc(1, text.len + 1), *save = NULL;

    assert_non_null(copy);
    memcpy(copy, text.ptr, text.len);
    for (char *line = strtok_r(copy, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        char *hex = strchr(line, ' ');
        struct atls_buf value;

        assert_non_null(hex);
        value = test_unhex(hex + 1);
        set_value(v, (size_t)strtoul(line, NULL, 10), value.ptr, value.len);
        atls_buf_clear(&value);
    }
    free(copy);
}

/* tpm2_quote's file: TPML_PCR_SELECTION as in memory (16 entries of 8 bytes), a count, and
 * TPML_DIGEST as in memory (8 entries of 66 bytes); little-endian. */
static void parse_tool(struct values *v, struct atls_bytes in)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_bytes rest, value;
    uint32_t selections, lists, digests, bitmap = 0;
    uint16_t hash, len;
    uint8_t select_len;

    assert_true(atls_get_u32le(&r, &selections) && selections == 1 && atls_get_u16le(&r, &hash) &&
                atls_get_u8(&r, &select_len) && atls_get_u32le(&r, &bitmap) &&
                atls_get_bytes(&r, 1 + 15 * 8, &rest) && atls_get_u32le(&r, &lists) && lists == 1 &&
                atls_get_u32le(&r, &digests) && digests <= 8);
    for (size_t i = 0; i < ATLS_TPM_PCRS_MAX; i++) {
        if ((bitmap >> i & 1) == 0)
            continue;
        assert_true(atls_get_u16le(&r, &len) && atls_get_bytes(&r, 64, &value) && len <= 64);
        set_value(v, i, value.ptr, len);
    }
}

static void load_values(json_t *c, const struct atls_tpms_attest *quote, struct values *out)
{
    struct atls_buf in = load(c, "pcrs");

    memset(out, 0, sizeof *out);
    /* Neither form names the bank: it is that of the quote. */
    out->bank.hash = quote->selections[0].hash;
    if (strstr(file_of(c, "pcrs"), ".txt") != NULL)
        parse_lines(out, atls_buf_bytes(&in));
    else
        parse_tool(out, atls_buf_bytes(&in));
    atls_buf_clear(&in);
}

static struct atls_key *key_of(struct atls_bytes pem)
{
    struct atls_key *key;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_key_from_pem(pem, &key, &err), ATLS_OK, &err);
    return key;
}

static struct atls_key *key_of_area(const struct atls_tpmt_public *area)
{
    struct atls_writer w = atls_writer_init(4096);
    struct atls_key *key;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_tpmt_public_put_spki(area, &w, &err), ATLS_OK, &err);
    test_assert_code(atls_key_from_spki(atls_writer_bytes(&w), &key, &err), ATLS_OK, &err);
    atls_writer_clear(&w);
    return key;
}

/* ---- kinds of cases ---- */

static int64_t time_of(json_t *c)
{
    int year, month, day;
    struct tm tm = {0};

    assert_int_equal(sscanf(json_string_value(json_object_get(c, "verify_time")), "%d-%d-%dT",
                            &year, &month, &day),
                     3);
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    tm.tm_mday = day;
    return (int64_t)mktime(&tm);
}

static enum atls_code verify_chain(json_t *c, const char *leaf, enum atls_chain_purpose purpose,
                                   struct atls_key **out_key, struct atls_err *err)
{
    struct atls_buf certificate = load_certificate(c, leaf);
    struct atls_buf intermediate = load_certificate(c, "intermediate");
    struct atls_buf root = load_certificate(c, "root");
    const struct atls_bytes chain[] = {atls_buf_bytes(&certificate), atls_buf_bytes(&intermediate)};
    struct atls_chain_check check = {.purpose = purpose, .time_s = time_of(c)};
    struct atls_anchors *anchors;
    struct atls_chain_result result;
    enum atls_code code;

    test_assert_code(atls_anchors_new(&anchors, err), ATLS_OK, err);
    test_assert_code(atls_anchors_add_der(anchors, atls_buf_bytes(&root), err), ATLS_OK, err);
    check.anchors = anchors;
    code = atls_chain_verify(chain, 2, &check, &result, err);
    if (code == ATLS_OK) {
        *out_key = atls_key_ref(result.key);
        atls_chain_result_clear(&result);
    }
    atls_anchors_unref(anchors);
    atls_buf_clear(&certificate);
    atls_buf_clear(&intermediate);
    atls_buf_clear(&root);
    return code;
}

static enum atls_code run_certificate(json_t *c, struct atls_err *err)
{
    bool ek = strcmp(json_string_value(json_object_get(c, "verdict")), "accept-as-ek") == 0;
    struct atls_key *key;
    enum atls_code code =
        verify_chain(c, "cert", ek ? ATLS_CHAIN_TPM_EK : ATLS_CHAIN_TPM_AK, &key, err);

    if (code == ATLS_OK)
        atls_key_unref(key);
    return code;
}

static struct atls_tpmt_public decode_area(struct atls_bytes in)
{
    struct atls_tpmt_public area;
    struct atls_err err = ATLS_ERR_INIT;

    if (atls_tpm2b_public_decode(in, &area, &err) != ATLS_OK)
        test_assert_code(atls_tpmt_public_decode(in, &area, &err), ATLS_OK, &err);
    return area;
}

/* The AK of the case, with what the case says of its trust. */
static struct atls_key *trusted_key(json_t *c, const struct atls_tpmt_public *area)
{
    struct atls_key *key = key_of_area(area), *certified;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_tpm_name name;

    test_assert_code(atls_tpm_check_role(area, ATLS_TPM_ROLE_AK, &err), ATLS_OK, &err);
    if (file_of(c, "ak_cert") != NULL) {
        test_assert_code(verify_chain(c, "ak_cert", ATLS_CHAIN_TPM_AK, &certified, &err), ATLS_OK,
                         &err);
        test_assert_bytes(atls_key_spki(certified), atls_key_spki(key));
        atls_key_unref(certified);
    }
    if (file_of(c, "ak_name") != NULL) {
        struct atls_buf want = load(c, "ak_name");

        test_assert_code(atls_tpm_name_of(area, &name, &err), ATLS_OK, &err);
        test_assert_bytes(atls_tpm_name_bytes(&name), atls_buf_bytes(&want));
        atls_buf_clear(&want);
    }
    return key;
}

static enum atls_code run_quote(json_t *c, struct atls_err *err)
{
    struct atls_buf public = load(c, "ak_pub"), quote = load(c, "quote"), sig = load(c, "sig");
    struct atls_buf nonce = test_unhex(json_string_value(json_object_get(c, "nonce")));
    struct atls_buf log = ATLS_BUF_INIT;
    struct atls_tpmt_public area = decode_area(atls_buf_bytes(&public));
    struct atls_key *key = trusted_key(c, &area);
    struct atls_tpms_attest attest;
    static struct values values;
    struct atls_tpm_quote_check check = {
        .signer = {.key = key, .area = &area},
        .attest = atls_buf_bytes(&quote),
        .signature = atls_buf_bytes(&sig),
        .nonce = atls_buf_bytes(&nonce),
        .banks = &values.bank,
        .bank_count = 1,
    };
    struct atls_tpm_quote_result result;
    enum atls_code code;

    test_assert_code(atls_tpms_attest_decode(atls_buf_bytes(&quote), &attest, err), ATLS_OK, err);
    load_values(c, &attest, &values);
    if (file_of(c, "log") != NULL) {
        log = load(c, "log");
        check.event_log = atls_buf_bytes(&log);
    }
    code = atls_tpm_quote_verify(&check, &result, err);
    if (code == ATLS_OK) {
        assert_int_equal(result.has_event_log, file_of(c, "log") != NULL);
        if (result.has_event_log)
            assert_int_equal(result.boot.secure_boot, ATLS_SECURE_BOOT_ENABLED);
    }
    atls_key_unref(key);
    atls_buf_clear(&public);
    atls_buf_clear(&quote);
    atls_buf_clear(&sig);
    atls_buf_clear(&nonce);
    atls_buf_clear(&log);
    return code;
}

/* A Parsec bundle: {"kat": {...}, "pat": {...}} without akPub and pcrs. */
struct parsec {
    struct atls_bytes kat_sig, kat_kid, pub_area, cert_info, pat_sig, pat_kid, attest_info;
};

static bool parsec_half(struct atls_reader *r, struct parsec *p, bool kat)
{
    struct atls_cbor_iter map;
    struct atls_bytes name, value;

    if (!atls_cbor_enter_map(r, &map))
        return false;
    while (atls_cbor_more(r, &map)) {
        if (!atls_cbor_get_text(r, &name))
            return false;
        if (atls_bytes_equal_text(name, "tpmVer")) {
            if (!atls_cbor_get_text(r, &value) || !atls_bytes_equal_text(value, "2.0"))
                return false;
            continue;
        }
        if (!atls_cbor_get_bytes(r, &value))
            return false;
        if (atls_bytes_equal_text(name, "sig"))
            *(kat ? &p->kat_sig : &p->pat_sig) = value;
        else if (atls_bytes_equal_text(name, "kid"))
            *(kat ? &p->kat_kid : &p->pat_kid) = value;
        else if (kat && atls_bytes_equal_text(name, "pubArea"))
            p->pub_area = value;
        else if (kat && atls_bytes_equal_text(name, "certInfo"))
            p->cert_info = value;
        else if (!kat && atls_bytes_equal_text(name, "attestInfo"))
            p->attest_info = value;
    }
    return true;
}

static bool parsec_decode(struct atls_bytes in, struct parsec *p)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_cbor_iter map;
    struct atls_bytes name;

    memset(p, 0, sizeof *p);
    if (!atls_cbor_enter_map(&r, &map))
        return false;
    while (atls_cbor_more(&r, &map))
        if (!atls_cbor_get_text(&r, &name) ||
            !parsec_half(&r, p, atls_bytes_equal_text(name, "kat")))
            return false;
    return atls_reader_done(&r);
}

static enum atls_code verify_parsec(const struct parsec *p, const struct atls_key *ak,
                                    struct atls_bytes nonce, struct atls_err *err)
{
    static const uint8_t zeros[32];
    struct atls_tpmt_public area = decode_area(p->pub_area);
    struct atls_key *subject = key_of_area(&area);
    struct atls_tpm_certify_check certify = {
        .signer = {.key = ak},
        .attest = p->cert_info,
        .signature = p->kat_sig,
        .nonce = nonce,
        .subject = p->pub_area,
        .spki = atls_key_spki(subject), /* the bundle comes without a TLS identity */
    };
    struct atls_tpm_pcr_values bank = {.hash = ATLS_TPM_ALG_SHA256, .present = 7};
    struct atls_tpm_quote_check quote = {
        .signer = {.key = ak},
        .attest = p->attest_info,
        .signature = p->pat_sig,
        .nonce = nonce,
        .banks = &bank,
        .bank_count = 1,
    };
    struct atls_tpms_attest certified;
    struct atls_tpm_quote_result quoted;
    enum atls_code code;

    for (size_t i = 0; i < 3; i++)
        bank.values[i] = atls_bytes_of(zeros, sizeof zeros);
    test_assert_bytes(p->kat_kid, p->pat_kid);
    code = atls_tpm_certify_verify(&certify, &certified, err);
    if (code == ATLS_OK)
        code = atls_tpm_quote_verify(&quote, &quoted, err);
    if (code == ATLS_OK)
        test_assert_bytes(certified.qualified_signer, quoted.attest.qualified_signer);
    atls_key_unref(subject);
    return code;
}

static enum atls_code run_parsec(json_t *c, struct atls_err *err)
{
    struct atls_buf evidence = load(c, "evidence"), pem = load(c, "ak");
    const char *hex = json_string_value(json_object_get(c, "nonce"));
    struct atls_buf nonce = test_unhex(hex != NULL ? hex : "");
    struct atls_key *ak = key_of(atls_buf_bytes(&pem));
    struct parsec p;
    enum atls_code code = atls_cbor_check(atls_buf_bytes(&evidence), 0, err);

    if (code == ATLS_OK) {
        assert_true(parsec_decode(atls_buf_bytes(&evidence), &p));
        code = verify_parsec(&p, ak, atls_buf_bytes(&nonce), err);
    }
    atls_key_unref(ak);
    atls_buf_clear(&evidence);
    atls_buf_clear(&pem);
    atls_buf_clear(&nonce);
    return code;
}

/* 16 bytes of node id, TPM2B_ATTEST, TPMT_SIGNATURE. */
static enum atls_code run_enacttrust(json_t *c, struct atls_err *err)
{
    struct atls_buf token = load(c, "token"), pem = load(c, "ak");
    struct atls_reader r = atls_reader_init(atls_buf_bytes(&token));
    struct atls_key *ak = key_of(atls_buf_bytes(&pem));
    struct atls_bytes node, attest = {NULL, 0}, signature = {NULL, 0};
    struct atls_tpm_quote_check check = {.signer = {.key = ak}};
    struct atls_tpm_quote_result result;
    enum atls_code code;

    assert_true(atls_get_bytes(&r, 16, &node) && atls_get_vec(&r, 0, 0xffff, &attest) &&
                atls_get_bytes(&r, atls_reader_left(&r), &signature));
    check.attest = attest;
    check.signature = signature;
    check.nonce = atls_bytes_of("any nonce", 9);
    code = atls_tpm_quote_verify(&check, &result, err);
    atls_key_unref(ak);
    atls_buf_clear(&token);
    atls_buf_clear(&pem);
    return code;
}

static const struct {
    const char *role; /* file that tells the kind */
    enum atls_code (*run)(json_t *c, struct atls_err *err);
} kinds[] = {
    {"quote", run_quote},
    {"evidence", run_parsec},
    {"token", run_enacttrust},
    {"cert", run_certificate},
};

static enum atls_code run_case(json_t *c, struct atls_err *err)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (file_of(c, kinds[i].role) != NULL)
            return kinds[i].run(c, err);
    fail_msg("a case of no known kind");
    return ATLS_E_INTERNAL;
}

static void every_case_gives_its_verdict(void **state)
{
    struct atls_buf text = test_vector("tpm/cases.json");
    json_t *root = json_loadb((const char *)text.ptr, text.len, 0, NULL), *c;
    size_t i;

    (void)state;
    assert_non_null(root);
    assert_int_equal(json_array_size(json_object_get(root, "cases")), 14);
    json_array_foreach(json_object_get(root, "cases"), i, c)
    {
        const char *verdict = json_string_value(json_object_get(c, "verdict"));
        const char *want = json_string_value(json_object_get(c, "error"));
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code;

        print_message("  %s\n", json_string_value(json_object_get(c, "id")));
        code = run_case(c, &err);
        if (strncmp(verdict, "accept", 6) == 0) {
            test_assert_code(code, ATLS_OK, &err);
        } else {
            assert_int_not_equal(code, ATLS_OK);
            assert_string_equal(atls_reason_name(err.reason), want);
        }
    }
    json_decref(root);
    atls_buf_clear(&text);
}

/* ---- mutations of a recorded quote ---- */

struct recorded {
    struct atls_buf public, quote, sig, log;
    struct atls_tpmt_public area;
    struct atls_key *key;
    struct values values;
    struct atls_tpm_quote_check check;
};

static int setup(void **state)
{
    struct recorded *r = calloc(1, sizeof *r);
    struct atls_buf pcrs = test_vector("tpm/gce-cos-85-nonce9009/pcrs_sha256.txt");

    assert_non_null(r);
    r->public = test_vector("tpm/gce-cos-85-nonce9009/ak_public_tpmt.bin");
    r->quote = test_vector("tpm/gce-cos-85-nonce9009/quote_sha256_msg.bin");
    r->sig = test_vector("tpm/gce-cos-85-nonce9009/quote_sha256_sig_tpmt.bin");
    r->log = test_vector("tpm/gce-cos-85-nonce9009/event_log.bin");
    r->area = decode_area(atls_buf_bytes(&r->public));
    r->key = key_of_area(&r->area);
    r->values.bank.hash = ATLS_TPM_ALG_SHA256;
    parse_lines(&r->values, atls_buf_bytes(&pcrs));
    atls_buf_clear(&pcrs);
    r->check.signer.key = r->key;
    r->check.signer.area = &r->area;
    r->check.attest = atls_buf_bytes(&r->quote);
    r->check.signature = atls_buf_bytes(&r->sig);
    r->check.nonce = atls_bytes_of("\x90\x09", 2);
    r->check.banks = &r->values.bank;
    r->check.bank_count = 1;
    r->check.event_log = atls_buf_bytes(&r->log);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct recorded *r = *state;

    atls_key_unref(r->key);
    atls_buf_clear(&r->public);
    atls_buf_clear(&r->quote);
    atls_buf_clear(&r->sig);
    atls_buf_clear(&r->log);
    free(r);
    return 0;
}

static void expect(const struct recorded *r, enum atls_reason want)
{
    struct atls_tpm_quote_result result;
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code = atls_tpm_quote_verify(&r->check, &result, &err);

    if ((code == ATLS_OK) != (want == ATLS_REASON_NONE) || err.reason != want)
        fail_msg("got %s (%s), want %s", atls_reason_name(err.reason), err.message,
                 atls_reason_name(want));
}

/* Bytes 0 to 3 are the magic, 4 and 5 the type, and some are lengths or hold rules of their own;
 * every other byte is caught by the signature, and none gets past it. */
static void any_flipped_byte_of_the_message(void **state)
{
    struct recorded *r = *state;
    size_t by_signature = 0;

    expect(r, ATLS_REASON_NONE);
    for (size_t i = 0; i < r->quote.len; i++) {
        struct atls_tpm_quote_result result;
        struct atls_err err = ATLS_ERR_INIT;

        r->quote.ptr[i] ^= 0x04;
        assert_int_not_equal(atls_tpm_quote_verify(&r->check, &result, &err), ATLS_OK);
        assert_true(err.reason == ATLS_REASON_SIGNATURE || err.reason == ATLS_REASON_MALFORMED ||
                    (i < 4 && err.reason == ATLS_REASON_NOT_TPM_GENERATED) ||
                    ((i == 4 || i == 5) && err.reason == ATLS_REASON_WRONG_ATTEST_TYPE));
        by_signature += err.reason == ATLS_REASON_SIGNATURE;
        r->quote.ptr[i] ^= 0x04;
    }
    assert_true(by_signature > 90);
    expect(r, ATLS_REASON_NONE);
}

static void any_flipped_bit_of_the_signature(void **state)
{
    struct recorded *r = *state;

    for (size_t i = 6; i < r->sig.len; i++) {
        r->sig.ptr[i] ^= (uint8_t)(1 << i % 8);
        expect(r, ATLS_REASON_SIGNATURE);
        r->sig.ptr[i] ^= (uint8_t)(1 << i % 8);
    }
}

/* Where only the key is on file, the signature names its scheme, within what the key can be. */
static void a_key_without_its_public_area(void **state)
{
    static const uint8_t ecdsa[] = {0, 0x18, 0, 0x0b, 0, 1, 1, 0, 1, 1};
    static const uint8_t sm3[] = {0, 0x14, 0, 0x12, 0, 1, 1};
    static const uint8_t sha1[] = {0, 0x14, 0, 0x04, 0, 1, 1};
    struct recorded *r = *state;

    r->check.signer.area = NULL;
    expect(r, ATLS_REASON_NONE);
    r->check.signature = atls_bytes_of(ecdsa, sizeof ecdsa);
    expect(r, ATLS_REASON_SIGNATURE);
    r->check.signature = atls_bytes_of(sm3, sizeof sm3);
    expect(r, ATLS_REASON_SIGNATURE);
    r->check.signature = atls_bytes_of(sha1, sizeof sha1);
    expect(r, ATLS_REASON_WEAK_HASH);
}

static void no_expected_nonce_matches_nothing(void **state)
{
    struct recorded *r = *state;

    r->check.nonce = atls_bytes_of(NULL, 0);
    expect(r, ATLS_REASON_NONCE_MISMATCH);
}

static void values_exchanged(void **state)
{
    struct recorded *r = *state;
    struct atls_bytes first = r->values.bank.values[0];

    r->values.bank.values[0] = r->values.bank.values[1];
    r->values.bank.values[1] = first;
    expect(r, ATLS_REASON_PCR_DIGEST_MISMATCH);
}

static void values_of_other_pcrs(void **state)
{
    struct recorded *r = *state;

    r->values.bank.present &= ~1U;
    expect(r, ATLS_REASON_PCR_SELECTION);
    r->values.bank.present |= 1;
    r->values.bank.hash = ATLS_TPM_ALG_SHA384;
    expect(r, ATLS_REASON_PCR_SELECTION);
    r->values.bank.hash = ATLS_TPM_ALG_SHA256;
    r->check.bank_count = 0;
    expect(r, ATLS_REASON_PCR_SELECTION);
}

/* Every digest of the quoted bank, event by event; SHA-1 digests of the same log are not looked at.
 */
static void any_flipped_digest_of_the_log(void **state)
{
    struct recorded *r = *state;
    struct atls_replay before;
    struct atls_err err = ATLS_ERR_INIT;
    size_t refused = 0;

    test_assert_code(
        atls_event_log_replay(atls_buf_bytes(&r->log), ATLS_HASH_SHA256, &before, &err), ATLS_OK,
        &err);
    for (size_t i = 0; i < r->log.len; i += 7) {
        struct atls_replay after;
        struct atls_tpm_quote_result result;

        r->log.ptr[i] ^= 0x40;
        if (atls_event_log_replay(atls_buf_bytes(&r->log), ATLS_HASH_SHA256, &after, NULL) ==
                ATLS_OK &&
            memcmp(&before.values, &after.values, sizeof before.values) != 0) {
            test_assert_code(atls_tpm_quote_verify(&r->check, &result, &err), ATLS_E_EVIDENCE,
                             &err);
            assert_int_equal(err.reason, ATLS_REASON_EVENT_LOG_MISMATCH);
            refused++;
        }
        r->log.ptr[i] ^= 0x40;
    }
    assert_true(refused > 100);
    expect(r, ATLS_REASON_NONE);
}

static void secure_boot_data_flipped(void **state)
{
    static const uint8_t name[20] = {'S', 0, 'e', 0, 'c', 0, 'u', 0, 'r', 0,
                                     'e', 0, 'B', 0, 'o', 0, 'o', 0, 't', 0};
    struct recorded *r = *state;
    size_t at = 0;

    while (at + sizeof name < r->log.len && memcmp(r->log.ptr + at, name, sizeof name) != 0)
        at++;
    assert_true(at + sizeof name < r->log.len);
    assert_int_equal(r->log.ptr[at + sizeof name], 1);
    r->log.ptr[at + sizeof name] = 0;
    expect(r, ATLS_REASON_EVENT_LOG_MISMATCH);
}

static void log_counts_and_sizes_beyond_the_file(void **state)
{
    struct recorded *r = *state;
    uint32_t head;
    struct atls_reader in = atls_reader_init(atls_buf_bytes(&r->log));

    in.pos = 28;
    assert_true(atls_get_u32le(&in, &head));
    /* count of the first event after the head */
    memset(r->log.ptr + 32 + head + 8, 0xff, 4);
    expect(r, ATLS_REASON_MALFORMED);
    memcpy(r->log.ptr + 32 + head + 8, "\3\0\0\0", 4);
    expect(r, ATLS_REASON_NONE);
    /* its size, after three digests */
    memset(r->log.ptr + 32 + head + 12 + 22 + 34 + 50, 0xff, 4);
    expect(r, ATLS_REASON_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_gives_its_verdict),
        cmocka_unit_test_setup_teardown(any_flipped_byte_of_the_message, setup, teardown),
        cmocka_unit_test_setup_teardown(any_flipped_bit_of_the_signature, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_without_its_public_area, setup, teardown),
        cmocka_unit_test_setup_teardown(no_expected_nonce_matches_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(values_exchanged, setup, teardown),
        cmocka_unit_test_setup_teardown(values_of_other_pcrs, setup, teardown),
        cmocka_unit_test_setup_teardown(any_flipped_digest_of_the_log, setup, teardown),
        cmocka_unit_test_setup_teardown(secure_boot_data_flipped, setup, teardown),
        cmocka_unit_test_setup_teardown(log_counts_and_sizes_beyond_the_file, setup, teardown),
    };

    setenv("TZ", "UTC", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
