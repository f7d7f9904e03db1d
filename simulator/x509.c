#include "simulator/x509.h"

#include <string.h>
#include <time.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "core/err.h"
#include "core/writer.h"
#include "crypto/der.h"

#define DER_MAX (64 * 1024)

#define OID_KEY_USAGE         "2.5.29.15"
#define OID_BASIC_CONSTRAINTS "2.5.29.19"
#define OID_CRL_NUMBER        "2.5.29.20"
#define OID_CRL_POINTS        "2.5.29.31"
#define OID_SUBJECT_KEY_ID    "2.5.29.14"
#define OID_AUTHORITY_KEY_ID  "2.5.29.35"
#define OID_PSS               "1.2.840.113549.1.1.10"
#define OID_MGF1              "1.2.840.113549.1.1.8"

static enum atls_code failed(struct atls_err *err, const char *what)
{
    ERR_clear_error();
    return atls_fail(err, ATLS_E_CRYPTO, "simulator: %s", what);
}

enum atls_code atls_sim_key_rsa(unsigned int bits, EVP_PKEY **out, struct atls_err *err)
{
    EVP_PKEY *key = EVP_RSA_gen(bits);

    if (key == NULL)
        return failed(err, "making an RSA key");
    *out = key;
    return ATLS_OK;
}

enum atls_code atls_sim_key_ec(const char *curve, EVP_PKEY **out, struct atls_err *err)
{
    EVP_PKEY *key = EVP_EC_gen(curve);

    if (key == NULL)
        return failed(err, "making an EC key");
    *out = key;
    return ATLS_OK;
}

enum atls_code atls_sim_key_to_pem(EVP_PKEY *key, struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(DER_MAX);
    struct atls_buf text = ATLS_BUF_INIT;
    BIO *bio = BIO_new(BIO_s_secmem());
    enum atls_code code;
    char *data = NULL;
    long len;

    if (bio == NULL)
        return failed(err, "writing a key");
    if (PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1 ||
        (len = BIO_get_mem_data(bio, &data)) <= 0) {
        BIO_free(bio);
        return failed(err, "writing a key");
    }
    atls_put_bytes(&w, atls_bytes_of(data, (size_t)len));
    atls_put_u8(&w, 0);
    BIO_free(bio);
    if ((code = atls_writer_finish(&w, &text, err)) == ATLS_OK) {
        text.len--;
        *out = text;
    }
    return code;
}

enum atls_code atls_sim_key_from_pem(struct atls_bytes pem, EVP_PKEY **out, struct atls_err *err)
{
    char no_password[] = ""; /* nobody is asked for one */
    EVP_PKEY *key = NULL;
    BIO *bio;

    if (pem.len == 0 || pem.len > DER_MAX || (bio = BIO_new_mem_buf(pem.ptr, (int)pem.len)) == NULL)
        return atls_fail(err, ATLS_E_DECODE, "simulator: no key in %zu bytes", pem.len);
    key = PEM_read_bio_PrivateKey(bio, NULL, NULL, no_password);
    BIO_free(bio);
    ERR_clear_error();
    if (key == NULL)
        return atls_fail(err, ATLS_E_DECODE, "simulator: PEM text holds no private key");
    *out = key;
    return ATLS_OK;
}

enum atls_code atls_sim_spki(EVP_PKEY *key, struct atls_buf *out, struct atls_err *err)
{
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(key, &der);
    enum atls_code code;

    if (len <= 0)
        return failed(err, "writing a public key");
    code = atls_buf_copy(out, atls_bytes_of(der, (size_t)len), err);
    OPENSSL_free(der);
    return code;
}

static bool is_pss(enum atls_sim_algorithm algorithm)
{
    return algorithm == ATLS_SIM_PSS_SHA384 || algorithm == ATLS_SIM_PSS_SHA256;
}

static const EVP_MD *md_of(enum atls_sim_algorithm algorithm)
{
    return algorithm == ATLS_SIM_ECDSA_SHA256 || algorithm == ATLS_SIM_PSS_SHA256 ? EVP_sha256()
                                                                                  : EVP_sha384();
}

static bool sign(EVP_MD_CTX *ctx, EVP_PKEY *key, enum atls_sim_algorithm algorithm,
                 struct atls_bytes tbs, struct atls_writer *w)
{
    uint8_t signature[1024];
    size_t len = sizeof signature;
    EVP_PKEY_CTX *options;

    if (EVP_DigestSignInit(ctx, &options, md_of(algorithm), NULL, key) != 1)
        return false;
    if (is_pss(algorithm) &&
        (EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) != 1 ||
         EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) != 1))
        return false;
    if (EVP_DigestSign(ctx, signature, &len, tbs.ptr, tbs.len) != 1)
        return false;
    atls_put_bytes(w, atls_bytes_of(signature, len));
    return true;
}

enum atls_code atls_sim_sign(EVP_PKEY *key, enum atls_sim_algorithm algorithm,
                             struct atls_bytes tbs, struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(DER_MAX);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL && sign(ctx, key, algorithm, tbs, &w);

    EVP_MD_CTX_free(ctx);
    if (!ok) {
        atls_writer_clear(&w);
        return failed(err, "signing");
    }
    return atls_writer_finish(&w, out, err);
}

void atls_sim_put_oid(struct atls_writer *w, const char *oid)
{
    ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);

    if (object == NULL) {
        ERR_clear_error();
        w->failed = ATLS_E_USAGE;
        return;
    }
    atls_der_put(w, ATLS_DER_OID, atls_bytes_of(OBJ_get0_data(object), OBJ_length(object)));
    ASN1_OBJECT_free(object);
}

void atls_sim_put_integer(struct atls_writer *w, uint64_t value)
{
    uint8_t bytes[8];

    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(value >> (56 - 8 * i));
    atls_der_put_unsigned(w, atls_bytes_of(bytes, sizeof bytes));
}

/* AlgorithmIdentifier of a hash, with NULL parameters. */
static void put_hash(struct atls_writer *w, const char *oid)
{
    size_t sequence = atls_der_open(w, ATLS_DER_SEQUENCE);

    atls_sim_put_oid(w, oid);
    atls_der_put(w, ATLS_DER_NULL, atls_bytes_of(NULL, 0));
    atls_der_close(w, sequence);
}

/* RFC 4055 section 3.1 */
static void put_pss_params(struct atls_writer *w, const char *hash, uint64_t salt)
{
    size_t params = atls_der_open(w, ATLS_DER_SEQUENCE), tag, mask;

    tag = atls_der_open(w, ATLS_DER_CONTEXT_CONSTRUCTED(0));
    put_hash(w, hash);
    atls_der_close(w, tag);
    tag = atls_der_open(w, ATLS_DER_CONTEXT_CONSTRUCTED(1));
    mask = atls_der_open(w, ATLS_DER_SEQUENCE);
    atls_sim_put_oid(w, OID_MGF1);
    put_hash(w, hash);
    atls_der_close(w, mask);
    atls_der_close(w, tag);
    tag = atls_der_open(w, ATLS_DER_CONTEXT_CONSTRUCTED(2));
    atls_sim_put_integer(w, salt);
    atls_der_close(w, tag);
    tag = atls_der_open(w, ATLS_DER_CONTEXT_CONSTRUCTED(3));
    atls_sim_put_integer(w, 1);
    atls_der_close(w, tag);
    atls_der_close(w, params);
}

static void put_algorithm(struct atls_writer *w, enum atls_sim_algorithm algorithm)
{
    size_t sequence = atls_der_open(w, ATLS_DER_SEQUENCE);

    if (algorithm == ATLS_SIM_ECDSA_SHA256) {
        atls_sim_put_oid(w, "1.2.840.10045.4.3.2");
    } else if (algorithm == ATLS_SIM_ECDSA_SHA384) {
        atls_sim_put_oid(w, "1.2.840.10045.4.3.3");
    } else if (algorithm == ATLS_SIM_PKCS1_SHA384) {
        atls_sim_put_oid(w, "1.2.840.113549.1.1.12");
        atls_der_put(w, ATLS_DER_NULL, atls_bytes_of(NULL, 0));
    } else {
        atls_sim_put_oid(w, OID_PSS);
        if (algorithm == ATLS_SIM_PSS_SHA384)
            put_pss_params(w, "2.16.840.1.101.3.4.2.2", 48);
        else
            put_pss_params(w, "2.16.840.1.101.3.4.2.1", 32);
    }
    atls_der_close(w, sequence);
}

static void put_name(struct atls_writer *w, const struct atls_sim_attribute *name)
{
    size_t names = atls_der_open(w, ATLS_DER_SEQUENCE), set, pair;

    for (; name->oid != NULL; name++) {
        set = atls_der_open(w, ATLS_DER_SET);
        pair = atls_der_open(w, ATLS_DER_SEQUENCE);
        atls_sim_put_oid(w, name->oid);
        atls_der_put(w, name->tag != 0 ? name->tag : (uint8_t)ATLS_DER_UTF8_STRING,
                     atls_bytes_of(name->text, strlen(name->text)));
        atls_der_close(w, pair);
        atls_der_close(w, set);
    }
    atls_der_close(w, names);
}

/* UTCTime until 2049, GeneralizedTime from then on (RFC 5280 section 4.1.2.5). */
static void put_time(struct atls_writer *w, int64_t time_s)
{
    time_t t = (time_t)time_s;
    char text[32];
    struct tm tm;
    bool is_short;
    size_t len;

    if (gmtime_r(&t, &tm) == NULL || tm.tm_year < 50 || tm.tm_year > 9999 - 1900) {
        w->failed = ATLS_E_USAGE;
        return;
    }
    is_short = tm.tm_year < 150;
    len = strftime(text, sizeof text, "%Y%m%d%H%M%SZ", &tm);
    atls_der_put(w, is_short ? ATLS_DER_UTC_TIME : ATLS_DER_GENERALIZED_TIME,
                 is_short ? atls_bytes_of(text + 2, len - 2) : atls_bytes_of(text, len));
}

static void put_extension(struct atls_writer *w, const struct atls_sim_extension *e)
{
    static const uint8_t yes = 0xff;
    size_t sequence = atls_der_open(w, ATLS_DER_SEQUENCE);

    atls_sim_put_oid(w, e->oid);
    if (e->critical)
        atls_der_put(w, ATLS_DER_BOOLEAN, atls_bytes_of(&yes, 1));
    atls_der_put(w, ATLS_DER_OCTET_STRING, e->value);
    atls_der_close(w, sequence);
}

/* Opens the two elements around an extension's content, which the caller writes. */
struct open_extension {
    size_t sequence, octets;
};

static struct open_extension open_extension(struct atls_writer *w, const char *oid, bool critical)
{
    static const uint8_t yes = 0xff;
    struct open_extension e = {atls_der_open(w, ATLS_DER_SEQUENCE), 0};

    atls_sim_put_oid(w, oid);
    if (critical)
        atls_der_put(w, ATLS_DER_BOOLEAN, atls_bytes_of(&yes, 1));
    e.octets = atls_der_open(w, ATLS_DER_OCTET_STRING);
    return e;
}

static void close_extension(struct atls_writer *w, struct open_extension e)
{
    atls_der_close(w, e.octets);
    atls_der_close(w, e.sequence);
}

static void put_key_usage(struct atls_writer *w, uint8_t usage)
{
    struct open_extension e = open_extension(w, OID_KEY_USAGE, true);
    uint8_t bits[2] = {0, usage};

    while ((usage >> bits[0] & 1) == 0)
        bits[0]++; /* X.690 section 11.2.2: no zeros at the end */
    atls_der_put(w, ATLS_DER_BIT_STRING, atls_bytes_of(bits, sizeof bits));
    close_extension(w, e);
}

static void put_constraints(struct atls_writer *w, const struct atls_sim_certificate *spec)
{
    static const uint8_t yes = 0xff;
    struct open_extension e = open_extension(w, OID_BASIC_CONSTRAINTS, !spec->not_critical_ca);
    size_t sequence = atls_der_open(w, ATLS_DER_SEQUENCE);

    atls_der_put(w, ATLS_DER_BOOLEAN, atls_bytes_of(&yes, 1));
    if (spec->path_length >= 0)
        atls_sim_put_integer(w, (uint64_t)spec->path_length);
    atls_der_close(w, sequence);
    close_extension(w, e);
}

static void put_crl_point(struct atls_writer *w, const char *url)
{
    struct open_extension e = open_extension(w, OID_CRL_POINTS, false);
    size_t points = atls_der_open(w, ATLS_DER_SEQUENCE);
    size_t point = atls_der_open(w, ATLS_DER_SEQUENCE);
    size_t name = atls_der_open(w, ATLS_DER_CONTEXT_CONSTRUCTED(0));
    size_t full = atls_der_open(w, ATLS_DER_CONTEXT_CONSTRUCTED(0));

    atls_der_put(w, ATLS_DER_CONTEXT(6), atls_bytes_of(url, strlen(url)));
    atls_der_close(w, full);
    atls_der_close(w, name);
    atls_der_close(w, point);
    atls_der_close(w, points);
    close_extension(w, e);
}

static void put_key_ids(struct atls_writer *w, struct atls_bytes subject,
                        struct atls_bytes authority)
{
    struct open_extension e;
    size_t sequence;

    if (subject.len != 0) {
        e = open_extension(w, OID_SUBJECT_KEY_ID, false);
        atls_der_put(w, ATLS_DER_OCTET_STRING, subject);
        close_extension(w, e);
    }
    if (authority.len != 0) {
        e = open_extension(w, OID_AUTHORITY_KEY_ID, false);
        sequence = atls_der_open(w, ATLS_DER_SEQUENCE);
        atls_der_put(w, ATLS_DER_CONTEXT(0), authority);
        atls_der_close(w, sequence);
        close_extension(w, e);
    }
}

static bool has_extensions(const struct atls_sim_certificate *spec)
{
    return spec->is_ca || spec->key_usage != 0 || spec->crl_url != NULL ||
           spec->subject_key_id.len != 0 || spec->authority_key_id.len != 0 ||
           spec->extension_count != 0;
}

static void put_extensions(struct atls_writer *w, const struct atls_sim_certificate *spec)
{
    size_t tag, sequence;

    if (!has_extensions(spec))
        return;
    tag = atls_der_open(w, ATLS_DER_CONTEXT_CONSTRUCTED(3));
    sequence = atls_der_open(w, ATLS_DER_SEQUENCE);
    put_key_ids(w, spec->subject_key_id, spec->authority_key_id);
    if (spec->key_usage != 0)
        put_key_usage(w, spec->key_usage);
    if (spec->is_ca)
        put_constraints(w, spec);
    if (spec->crl_url != NULL)
        put_crl_point(w, spec->crl_url);
    for (size_t i = 0; i < spec->extension_count; i++)
        put_extension(w, &spec->extensions[i]);
    atls_der_close(w, sequence);
    atls_der_close(w, tag);
}

/* An INTEGER of given content octets; none: 0. */
static void put_serial(struct atls_writer *w, struct atls_bytes serial)
{
    static const uint8_t zero = 0;

    atls_der_put(w, ATLS_DER_INTEGER, serial.len == 0 ? atls_bytes_of(&zero, 1) : serial);
}

static void put_tbs(struct atls_writer *w, const struct atls_sim_certificate *spec,
                    struct atls_bytes spki)
{
    size_t tbs = atls_der_open(w, ATLS_DER_SEQUENCE), mark;

    mark = atls_der_open(w, ATLS_DER_CONTEXT_CONSTRUCTED(0));
    atls_sim_put_integer(w, 2); /* version 3 */
    atls_der_close(w, mark);
    put_serial(w, spec->serial);
    put_algorithm(w, spec->algorithm);
    put_name(w, spec->issuer);
    mark = atls_der_open(w, ATLS_DER_SEQUENCE);
    put_time(w, spec->not_before_s);
    put_time(w, spec->not_after_s);
    atls_der_close(w, mark);
    put_name(w, spec->subject);
    atls_put_bytes(w, spki);
    put_extensions(w, spec);
    atls_der_close(w, tbs);
}

/* What signs a to-be-signed part, and how well. */
struct signer {
    EVP_PKEY *key;
    enum atls_sim_algorithm algorithm;
    bool break_signature;
};

/* SIGNED{} around tbs. */
static enum atls_code put_signed(const struct signer *signer, struct atls_bytes tbs,
                                 struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(DER_MAX);
    struct atls_buf signature = ATLS_BUF_INIT;
    enum atls_code code;
    size_t mark;

    if ((code = atls_sim_sign(signer->key, signer->algorithm, tbs, &signature, err)) != ATLS_OK)
        return code;
    if (signer->break_signature)
        signature.ptr[signature.len - 1] ^= 1;
    mark = atls_der_open(&w, ATLS_DER_SEQUENCE);
    atls_put_bytes(&w, tbs);
    put_algorithm(&w, signer->algorithm);
    atls_der_put_bit_string(&w, atls_buf_bytes(&signature));
    atls_der_close(&w, mark);
    atls_buf_clear(&signature);
    return atls_writer_finish(&w, out, err);
}

static enum atls_code sign_written(struct atls_writer *w, const struct signer *signer,
                                   struct atls_buf *out, struct atls_err *err)
{
    struct atls_buf tbs = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = atls_writer_finish(w, &tbs, err)) == ATLS_OK)
        code = put_signed(signer, atls_buf_bytes(&tbs), out, err);
    atls_buf_clear(&tbs);
    return code;
}

enum atls_code atls_sim_certificate_make(const struct atls_sim_certificate *spec,
                                         struct atls_buf *out, struct atls_err *err)
{
    const struct signer signer = {spec->signer, spec->algorithm, spec->break_signature};
    struct atls_writer w = atls_writer_init(DER_MAX);
    struct atls_buf spki = ATLS_BUF_INIT;
    enum atls_code code;

    if (spec->tbs.len != 0)
        return put_signed(&signer, spec->tbs, out, err);
    if ((code = atls_sim_spki(spec->key, &spki, err)) != ATLS_OK)
        return code;
    put_tbs(&w, spec, atls_buf_bytes(&spki));
    atls_buf_clear(&spki);
    return sign_written(&w, &signer, out, err);
}

static void put_revoked(struct atls_writer *w, const struct atls_sim_crl *spec)
{
    size_t list, entry;

    if (spec->serial_count == 0)
        return;
    list = atls_der_open(w, ATLS_DER_SEQUENCE);
    for (size_t i = 0; i < spec->serial_count; i++) {
        entry = atls_der_open(w, ATLS_DER_SEQUENCE);
        put_serial(w, spec->serials[i]);
        put_time(w, spec->this_update_s);
        atls_der_close(w, entry);
    }
    atls_der_close(w, list);
}

static void put_crl_extensions(struct atls_writer *w, const struct atls_sim_crl *spec)
{
    struct open_extension e;
    size_t tag, sequence;

    if (spec->number.len == 0 && spec->authority_key_id.len == 0 && spec->extension_count == 0)
        return;
    tag = atls_der_open(w, ATLS_DER_CONTEXT_CONSTRUCTED(0));
    sequence = atls_der_open(w, ATLS_DER_SEQUENCE);
    put_key_ids(w, atls_bytes_of(NULL, 0), spec->authority_key_id);
    if (spec->number.len != 0) {
        e = open_extension(w, OID_CRL_NUMBER, false);
        atls_der_put(w, ATLS_DER_INTEGER, spec->number);
        close_extension(w, e);
    }
    for (size_t i = 0; i < spec->extension_count; i++)
        put_extension(w, &spec->extensions[i]);
    atls_der_close(w, sequence);
    atls_der_close(w, tag);
}

enum atls_code atls_sim_crl_make(const struct atls_sim_crl *spec, struct atls_buf *out,
                                 struct atls_err *err)
{
    const struct signer signer = {spec->signer, spec->algorithm, spec->break_signature};
    struct atls_writer w = atls_writer_init(DER_MAX);
    size_t tbs = atls_der_open(&w, ATLS_DER_SEQUENCE);

    atls_sim_put_integer(&w, 1); /* version 2 */
    put_algorithm(&w, spec->algorithm);
    put_name(&w, spec->issuer);
    put_time(&w, spec->this_update_s);
    if (!spec->no_next_update)
        put_time(&w, spec->next_update_s);
    put_revoked(&w, spec);
    put_crl_extensions(&w, spec);
    atls_der_close(&w, tbs);
    return sign_written(&w, &signer, out, err);
}
