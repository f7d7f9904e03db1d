#include "tpm_forge.h"

#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "core/writer.h"
#include "wire/cose.h"
#include "wire/kat.h"

#define LIMIT (32 * 1024 * 1024)

static void must(enum atls_code code, const struct atls_err *err)
{
    test_assert_code(code, ATLS_OK, err);
}

static struct atls_buf finish(struct atls_writer *w)
{
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    must(atls_writer_finish(w, &out, &err), &err);
    return out;
}

static void put_tpm2b(struct atls_writer *w, struct atls_bytes bytes)
{
    struct atls_mark mark = atls_open_vec(w, 0xffff);

    atls_put_bytes(w, bytes);
    atls_close_vec(w, mark);
}

/* ---- keys ---- */

static uint16_t curve_of(enum atls_key_type type)
{
    switch (type) {
    case ATLS_KEY_P384:
        return ATLS_TPM_ECC_NIST_P384;
    case ATLS_KEY_P521:
        return ATLS_TPM_ECC_NIST_P521;
    case ATLS_KEY_P256:
    case ATLS_KEY_NONE:
    case ATLS_KEY_ED25519:
    case ATLS_KEY_RSA:
    default:
        return ATLS_TPM_ECC_NIST_P256;
    }
}

static uint16_t hash_of(enum atls_key_type type)
{
    switch (type) {
    case ATLS_KEY_P384:
        return ATLS_TPM_ALG_SHA384;
    case ATLS_KEY_P521:
        return ATLS_TPM_ALG_SHA512;
    case ATLS_KEY_P256:
    case ATLS_KEY_NONE:
    case ATLS_KEY_ED25519:
    case ATLS_KEY_RSA:
    default:
        return ATLS_TPM_ALG_SHA256;
    }
}

static enum atls_key_type type_of(const struct test_tpm_key *key)
{
    return atls_key_type(atls_private_key_public(key->private_key));
}

struct test_tpm_key test_tpm_key_new(enum atls_key_type type, uint32_t attributes)
{
    struct test_tpm_key key = {0};
    struct atls_err err = ATLS_ERR_INIT;

    must(atls_private_key_generate(type, &key.private_key, &err), &err);
    key.name_alg = ATLS_TPM_ALG_SHA256;
    key.attributes = attributes;
    key.symmetric = ATLS_TPM_ALG_NULL;
    key.scheme = type == ATLS_KEY_RSA ? ATLS_TPM_ALG_RSASSA : ATLS_TPM_ALG_ECDSA;
    key.scheme_hash = hash_of(type);
    key.kdf = ATLS_TPM_ALG_NULL;
    return key;
}

struct test_tpm_key test_tpm_ek_new(enum atls_key_type type)
{
    /* PolicySecret(TPM_RH_ENDORSEMENT), TCG EK Credential Profile */
    static const uint8_t policy[32] = {0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8,
                                       0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24,
                                       0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64,
                                       0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa};
    struct test_tpm_key key = test_tpm_key_new(type, TEST_TPM_EK_ATTRIBUTES);

    key.auth_policy = atls_bytes_of(policy, sizeof policy);
    key.symmetric = ATLS_TPM_ALG_AES;
    key.symmetric_bits = 128;
    key.symmetric_mode = ATLS_TPM_ALG_CFB;
    key.scheme = ATLS_TPM_ALG_NULL;
    return key;
}

void test_tpm_key_clear(struct test_tpm_key *key)
{
    atls_private_key_free(key->private_key);
    key->private_key = NULL;
}

static void put_scheme(struct atls_writer *w, uint16_t scheme, uint16_t hash)
{
    atls_put_u16(w, scheme);
    if (scheme != ATLS_TPM_ALG_NULL)
        atls_put_u16(w, hash);
}

struct atls_buf test_tpm_public(const struct test_tpm_key *key)
{
    struct atls_writer w = atls_writer_init(4096);
    struct atls_cose_key cose;
    struct atls_err err = ATLS_ERR_INIT;
    bool rsa = type_of(key) == ATLS_KEY_RSA;

    must(atls_cose_key_from_spki(atls_key_spki(atls_private_key_public(key->private_key)), &cose,
                                 &err),
         &err);
    atls_put_u16(&w, rsa ? ATLS_TPM_ALG_RSA : ATLS_TPM_ALG_ECC);
    atls_put_u16(&w, key->name_alg);
    atls_put_u32(&w, key->attributes);
    put_tpm2b(&w, key->auth_policy);
    atls_put_u16(&w, key->symmetric);
    if (key->symmetric != ATLS_TPM_ALG_NULL) {
        atls_put_u16(&w, key->symmetric_bits);
        atls_put_u16(&w, key->symmetric_mode);
    }
    put_scheme(&w, key->scheme, key->scheme_hash);
    if (rsa) {
        atls_put_u16(&w, (uint16_t)(cose.n.len * 8));
        atls_put_u32(&w, 0);
        put_tpm2b(&w, cose.n);
    } else {
        atls_put_u16(&w, curve_of(type_of(key)));
        put_scheme(&w, key->kdf, ATLS_TPM_ALG_SHA256);
        put_tpm2b(&w, cose.x);
        put_tpm2b(&w, cose.y);
    }
    return finish(&w);
}

static struct atls_buf name_of(uint16_t name_alg, struct atls_bytes area)
{
    struct atls_writer w = atls_writer_init(128);
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t digest[ATLS_HASH_MAX];
    enum atls_hash hash = atls_tpm_hash(name_alg);

    must(atls_hash_one(hash, area, digest, &err), &err);
    atls_put_u16(&w, name_alg);
    atls_put_bytes(&w, atls_bytes_of(digest, atls_hash_len(hash)));
    return finish(&w);
}

struct atls_buf test_tpm_name(const struct test_tpm_key *key)
{
    struct atls_buf area = test_tpm_public(key);
    struct atls_buf name = name_of(key->name_alg, atls_buf_bytes(&area));

    atls_buf_clear(&area);
    return name;
}

void test_tpm_ueid(const struct test_tpm_key *key, uint8_t out[ATLS_TPM_KID_LEN])
{
    struct atls_buf name = test_tpm_name(key);

    memset(out, 0, ATLS_TPM_KID_LEN);
    out[0] = 1;
    memcpy(out + 1, name.ptr + 2,
           name.len - 2 < ATLS_TPM_KID_LEN - 1 ? name.len - 2 : ATLS_TPM_KID_LEN - 1);
    atls_buf_clear(&name);
}

/* ---- attestations ---- */

struct atls_buf test_tpm_attest(const struct test_tpm_attest *a)
{
    struct atls_writer w = atls_writer_init(LIMIT);

    atls_put_u32(&w, a->magic);
    atls_put_u16(&w, a->type);
    put_tpm2b(&w, a->qualified_signer);
    put_tpm2b(&w, a->extra_data);
    atls_put_u64(&w, a->clock);
    atls_put_u32(&w, a->reset_count);
    atls_put_u32(&w, a->restart_count);
    atls_put_u8(&w, a->safe);
    atls_put_u64(&w, a->firmware_version);
    if (a->type == ATLS_TPM_ST_ATTEST_CERTIFY) {
        put_tpm2b(&w, a->name);
        put_tpm2b(&w, a->qualified_name);
    } else {
        atls_put_u32(&w, (uint32_t)a->selection_count);
        for (size_t i = 0; i < a->selection_count; i++) {
            const struct atls_tpm_pcr_selection *s = &a->selections[i];
            unsigned int len = s->bitmap > 0xffffff ? 4 : 3;

            atls_put_u16(&w, s->hash);
            atls_put_u8(&w, (uint8_t)len);
            for (unsigned int j = 0; j < len; j++)
                atls_put_u8(&w, (uint8_t)(s->bitmap >> (8 * j)));
        }
        put_tpm2b(&w, a->pcr_digest);
    }
    atls_put_bytes(&w, a->trailing);
    return finish(&w);
}

static enum atls_signature signature_scheme(const struct test_tpm_key *key)
{
    static const struct {
        uint16_t scheme, hash;
        enum atls_signature signature;
    } rows[] = {
        {ATLS_TPM_ALG_RSASSA, ATLS_TPM_ALG_SHA256, ATLS_RSA_PKCS1_SHA256},
        {ATLS_TPM_ALG_RSASSA, ATLS_TPM_ALG_SHA384, ATLS_RSA_PKCS1_SHA384},
        {ATLS_TPM_ALG_RSASSA, ATLS_TPM_ALG_SHA512, ATLS_RSA_PKCS1_SHA512},
        {ATLS_TPM_ALG_RSAPSS, ATLS_TPM_ALG_SHA256, ATLS_RSA_PSS_SHA256},
        {ATLS_TPM_ALG_RSAPSS, ATLS_TPM_ALG_SHA384, ATLS_RSA_PSS_SHA384},
        {ATLS_TPM_ALG_RSAPSS, ATLS_TPM_ALG_SHA512, ATLS_RSA_PSS_SHA512},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].scheme == key->scheme && rows[i].hash == key->scheme_hash)
            return rows[i].signature;
    return atls_private_key_scheme(key->private_key);
}

static struct atls_bytes strip_zeros(struct atls_bytes n)
{
    while (n.len > 1 && n.ptr[0] == 0)
        n = atls_bytes_of(n.ptr + 1, n.len - 1);
    return n;
}

struct atls_buf test_tpm_sign(const struct test_tpm_key *key, struct atls_bytes bytes)
{
    struct atls_writer w = atls_writer_init(4096);
    struct atls_buf signature = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    atls_put_u16(&w, key->scheme);
    atls_put_u16(&w, key->scheme_hash);
    if (type_of(key) == ATLS_KEY_RSA) {
        must(
            atls_private_key_sign(key->private_key, signature_scheme(key), bytes, &signature, &err),
            &err);
        put_tpm2b(&w, atls_buf_bytes(&signature));
    } else {
        must(atls_private_key_sign_raw(key->private_key, signature_scheme(key), bytes, &signature,
                                       &err),
             &err);
        put_tpm2b(&w, strip_zeros(atls_bytes_of(signature.ptr, signature.len / 2)));
        put_tpm2b(&w,
                  strip_zeros(atls_bytes_of(signature.ptr + signature.len / 2, signature.len / 2)));
    }
    atls_buf_clear(&signature);
    return finish(&w);
}

/* ---- whole evidence ---- */

/* Qualified name of every test AK: any 34 bytes will do, as long as both halves agree. */
static const uint8_t qualified_signer[34] = {0x00, 0x0b, 'q', 's'};

void test_tpm_evidence_set(struct test_tpm_evidence *e, size_t at, unsigned int pcr,
                           struct atls_bytes value)
{
    assert_true(value.len <= ATLS_HASH_MAX);
    memcpy(e->values[at][pcr], value.ptr, value.len);
    e->banks[at].values[pcr] = atls_bytes_of(e->values[at][pcr], value.len);
}

void test_tpm_evidence_add_bank(struct test_tpm_evidence *e, uint16_t hash, uint32_t bitmap)
{
    size_t at = e->bank_count++, len = atls_hash_len(atls_tpm_hash(hash));

    assert_true(at < ATLS_TPM_VALUE_BANKS_MAX);
    e->banks[at].hash = hash;
    e->banks[at].present = bitmap;
    e->quote.selections[e->quote.selection_count].hash = hash;
    e->quote.selections[e->quote.selection_count++].bitmap = bitmap;
    for (unsigned int pcr = 0; pcr < ATLS_TPM_PCRS_MAX; pcr++) {
        memset(e->values[at][pcr], (int)(0x40 * at + pcr + 1), len);
        e->banks[at].values[pcr] = atls_bytes_of(e->values[at][pcr], len);
    }
}

static struct test_tpm_attest good_attest(const struct test_tpm_evidence *e, uint16_t type)
{
    struct test_tpm_attest a = {0};

    a.magic = ATLS_TPM_GENERATED;
    a.type = type;
    a.qualified_signer = atls_bytes_of(qualified_signer, sizeof qualified_signer);
    a.extra_data = atls_bytes_of(e->nonce, sizeof e->nonce);
    a.clock = 123456;
    a.reset_count = 7;
    a.restart_count = 2;
    a.safe = 1;
    a.firmware_version = 0x0102030405060708;
    return a;
}

void test_tpm_evidence_init(struct test_tpm_evidence *e, struct atls_bytes binder)
{
    uint8_t digest[ATLS_HASH_MAX];
    struct atls_err err = ATLS_ERR_INIT;

    memset(e, 0, sizeof *e);
    e->ak = test_tpm_key_new(ATLS_KEY_P256, TEST_TPM_AK_ATTRIBUTES);
    e->aik = test_tpm_key_new(ATLS_KEY_P256, TEST_TPM_AIK_ATTRIBUTES);
    /* docs/binding.md: the binder itself, or SHA-256 of a longer one */
    if (binder.len == sizeof e->nonce) {
        memcpy(e->nonce, binder.ptr, sizeof e->nonce);
    } else {
        must(atls_hash_one(ATLS_HASH_SHA256, binder, digest, &err), &err);
        memcpy(e->nonce, digest, sizeof e->nonce);
    }
    e->certify = good_attest(e, ATLS_TPM_ST_ATTEST_CERTIFY);
    e->certify.qualified_name = atls_bytes_of(qualified_signer, sizeof qualified_signer);
    e->quote = good_attest(e, ATLS_TPM_ST_ATTEST_QUOTE);
    e->quote.clock++;
    test_tpm_evidence_add_bank(e, ATLS_TPM_ALG_SHA256, 0xff);
}

void test_tpm_evidence_clear(struct test_tpm_evidence *e)
{
    test_tpm_key_clear(&e->ak);
    test_tpm_key_clear(&e->aik);
}

struct atls_bytes test_tpm_evidence_aik_spki(const struct test_tpm_evidence *e)
{
    return atls_key_spki(atls_private_key_public(e->aik.private_key));
}

/* What encode makes where the test planted nothing. */
struct made {
    uint8_t kid[ATLS_TPM_KID_LEN];
    struct atls_buf ak_public, aik_public, name, cert_info, certify_signature, attest_info,
        quote_signature;
    uint8_t digest[ATLS_HASH_MAX];
};

static struct atls_bytes pick(struct atls_bytes planted, const struct atls_buf *made)
{
    return planted.ptr != NULL ? planted : atls_buf_bytes(made);
}

static void make_certify(const struct test_tpm_evidence *e, struct made *m)
{
    struct test_tpm_attest a = e->certify;

    m->name = name_of(e->aik.name_alg, pick(e->aik_public, &m->aik_public));
    if (a.name.ptr == NULL)
        a.name = atls_buf_bytes(&m->name);
    m->cert_info = test_tpm_attest(&a);
    m->certify_signature = test_tpm_sign(&e->ak, pick(e->cert_info, &m->cert_info));
}

static void make_quote(const struct test_tpm_evidence *e, struct made *m)
{
    struct test_tpm_attest a = e->quote;
    struct atls_bytes parts[ATLS_TPM_VALUE_BANKS_MAX * ATLS_TPM_PCRS_MAX];
    enum atls_hash hash = atls_tpm_hash(e->ak.scheme_hash);
    struct atls_err err = ATLS_ERR_INIT;
    size_t count = 0;

    for (size_t i = 0; i < e->bank_count; i++)
        for (unsigned int pcr = 0; pcr < ATLS_TPM_PCRS_MAX; pcr++)
            if ((e->banks[i].present >> pcr & 1) != 0)
                parts[count++] = e->banks[i].values[pcr];
    must(atls_hash_parts(hash, parts, count, m->digest, &err), &err);
    if (a.pcr_digest.ptr == NULL)
        a.pcr_digest = atls_bytes_of(m->digest, atls_hash_len(hash));
    m->attest_info = test_tpm_attest(&a);
    m->quote_signature = test_tpm_sign(&e->ak, pick(e->attest_info, &m->attest_info));
}

static struct atls_buf encode_certify_half(const struct test_tpm_evidence *e, const struct made *m)
{
    struct atls_writer w = atls_writer_init(LIMIT);
    struct atls_tpm_certify_half half = {
        .kid = e->certify_kid.ptr != NULL ? e->certify_kid : atls_bytes_of(m->kid, sizeof m->kid),
        .signature = pick(e->certify_signature, &m->certify_signature),
        .cert_info = pick(e->cert_info, &m->cert_info),
        .pub_area = pick(e->aik_public, &m->aik_public),
    };

    atls_tpm_put_certify_half(&w, &half);
    return finish(&w);
}

static struct atls_buf encode_quote_half(const struct test_tpm_evidence *e, const struct made *m)
{
    struct atls_writer w = atls_writer_init(LIMIT);
    struct atls_tpm_quote_half half = {
        .kid = e->quote_kid.ptr != NULL ? e->quote_kid : atls_bytes_of(m->kid, sizeof m->kid),
        .signature = pick(e->quote_signature, &m->quote_signature),
        .attest_info = pick(e->attest_info, &m->attest_info),
        .ak_pub = pick(e->ak_public, &m->ak_public),
        .bank_count = e->bank_count,
        .event_log = e->event_log,
        .ima_log = e->ima_log,
    };

    memcpy(half.banks, e->banks, sizeof half.banks);
    atls_tpm_put_quote_half(&w, &half);
    return finish(&w);
}

static void clear_made(struct made *m)
{
    atls_buf_clear(&m->ak_public);
    atls_buf_clear(&m->aik_public);
    atls_buf_clear(&m->name);
    atls_buf_clear(&m->cert_info);
    atls_buf_clear(&m->certify_signature);
    atls_buf_clear(&m->attest_info);
    atls_buf_clear(&m->quote_signature);
}

static struct atls_buf encode_bundle(const struct test_tpm_evidence *e, struct atls_bytes certify,
                                     struct atls_bytes quote)
{
    struct atls_writer w = atls_writer_init(LIMIT);
    struct atls_cmw kat = atls_cmw_record(e->kat_type != NULL ? e->kat_type : ATLS_TYPE_TPM_CERTIFY,
                                          certify, ATLS_CMW_EVIDENCE);
    struct atls_cmw pat = atls_cmw_record(e->pat_type != NULL ? e->pat_type : ATLS_TYPE_TPM_QUOTE,
                                          quote, ATLS_CMW_EVIDENCE);
    struct atls_cmw_entry certificates[ATLS_CHAIN_MAX], entries[TEST_TPM_ENDORSEMENTS_MAX + 1],
        *chain = &entries[0];
    const size_t first = e->ak_chain_count > 0 ? 0 : 1;
    struct atls_cmw endorsements;
    struct atls_err err = ATLS_ERR_INIT;

    memset(certificates, 0, sizeof certificates);
    memset(entries, 0, sizeof entries);
    memset(&endorsements, 0, sizeof endorsements);
    for (size_t i = 0; i < e->ak_chain_count; i++) {
        certificates[i].label.number = e->ak_chain_first + (int64_t)i;
        certificates[i].value =
            atls_cmw_record_cf(e->ak_chain_format != 0 ? e->ak_chain_format : 287, e->ak_chain[i],
                               ATLS_CMW_ENDORSEMENTS);
    }
    chain->label.is_text = true;
    chain->label.text = atls_bytes_of("ak-chain", 8);
    chain->value.kind = ATLS_CMW_COLLECTION;
    chain->value.entries = certificates;
    chain->value.count = e->ak_chain_count;
    if (e->ak_chain_is_record)
        chain->value = certificates[0].value;
    memcpy(&entries[1], e->endorsements, e->endorsement_count * sizeof entries[0]);
    endorsements.kind = ATLS_CMW_COLLECTION;
    endorsements.entries = &entries[first];
    endorsements.count = e->endorsement_count + 1 - first;
    must(atls_bundle_encode(&kat, &pat, endorsements.count > 0 ? &endorsements : NULL, &w, &err),
         &err);
    return finish(&w);
}

struct atls_buf test_tpm_evidence_encode(const struct test_tpm_evidence *e)
{
    struct made m;
    struct atls_buf certify, quote, out;

    memset(&m, 0, sizeof m);
    test_tpm_ueid(&e->ak, m.kid);
    m.ak_public = test_tpm_public(&e->ak);
    m.aik_public = test_tpm_public(&e->aik);
    make_certify(e, &m);
    make_quote(e, &m);
    certify = encode_certify_half(e, &m);
    quote = encode_quote_half(e, &m);
    out = encode_bundle(e, atls_buf_bytes(&certify), atls_buf_bytes(&quote));
    atls_buf_clear(&certify);
    atls_buf_clear(&quote);
    clear_made(&m);
    return out;
}
