#include "simulator/intel.h"

#include <stdio.h>
#include <string.h>

#include <openssl/ecdsa.h>

#include "core/err.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "crypto/der.h"
#include "simulator/intel_parts.h"
#include "simulator/x509.h"

#define SGX_OID      "1.2.840.113741.1.13.1"
#define SPKI_POINT   27 /* where x || y begins in SubjectPublicKeyInfo of P-256 */
#define USAGE_ISSUE  0x06
#define USAGE_SIGN   0xc0
#define TEXT_MAX     (64 * 1024)
#define DAY_S        INT64_C(86400)
#define COPY(to, of) memcpy((to), (of), sizeof(to))

static const char *const key_names[ATLS_SIM_INTEL_KEYS] = {
    "root", "platform", "processor", "signing", "pck", "attestation",
};

const char *atls_sim_intel_key_name(enum atls_sim_intel_key key)
{
    return key_names[key];
}

enum atls_code atls_sim_intel_make(struct atls_sim_intel *out, struct atls_err *err)
{
    struct atls_sim_intel intel = {.keys = {NULL}};
    enum atls_code code = ATLS_OK;

    for (size_t i = 0; code == ATLS_OK && i < ATLS_SIM_INTEL_KEYS; i++)
        code = atls_sim_key_ec("P-256", &intel.keys[i], err);
    if (code != ATLS_OK)
        atls_sim_intel_clear(&intel);
    else
        *out = intel;
    return code;
}

void atls_sim_intel_clear(struct atls_sim_intel *intel)
{
    for (size_t i = 0; i < ATLS_SIM_INTEL_KEYS; i++) {
        EVP_PKEY_free(intel->keys[i]);
        intel->keys[i] = NULL;
    }
    atls_buf_clear(&intel->root);
}

/* ---- signatures and keys in Intel's form ---- */

enum atls_code atls_sim_intel_sign(EVP_PKEY *key, struct atls_bytes tbs, uint8_t out[64],
                                   struct atls_err *err)
{
    struct atls_buf der = ATLS_BUF_INIT;
    enum atls_code code = atls_sim_sign(key, ATLS_SIM_ECDSA_SHA256, tbs, &der, err);
    const unsigned char *at = der.ptr;
    ECDSA_SIG *sig;

    if (code != ATLS_OK)
        return code;
    sig = d2i_ECDSA_SIG(NULL, &at, (long)der.len);
    if (sig == NULL || BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, 32) != 32 ||
        BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + 32, 32) != 32)
        code = atls_fail(err, ATLS_E_CRYPTO, "simulator: ECDSA signature");
    ECDSA_SIG_free(sig);
    atls_buf_clear(&der);
    return code;
}

enum atls_code atls_sim_intel_point(EVP_PKEY *key, uint8_t out[64], struct atls_err *err)
{
    struct atls_buf spki = ATLS_BUF_INIT;
    enum atls_code code = atls_sim_spki(key, &spki, err);

    if (code == ATLS_OK && spki.len != SPKI_POINT + 64)
        code = atls_fail(err, ATLS_E_CRYPTO, "simulator: key is not of P-256");
    if (code == ATLS_OK)
        memcpy(out, spki.ptr + SPKI_POINT, 64);
    atls_buf_clear(&spki);
    return code;
}

enum atls_code atls_sim_intel_put_pem(struct atls_writer *w, const struct atls_buf *der,
                                      struct atls_err *err)
{
    struct atls_buf pem = ATLS_BUF_INIT;
    enum atls_code code = atls_pem_encode("CERTIFICATE", atls_buf_bytes(der), &pem, err);

    if (code == ATLS_OK)
        atls_put_bytes(w, atls_buf_bytes(&pem));
    atls_buf_clear(&pem);
    return code;
}

/* ---- extension of the PCK certificate ---- */

/* Opens {OID, ...}; close with atls_der_close. */
static size_t open_member(struct atls_writer *w, const char *oid)
{
    size_t pair = atls_der_open(w, ATLS_DER_SEQUENCE);

    atls_sim_put_oid(w, oid);
    return pair;
}

static void put_octets(struct atls_writer *w, const char *oid, const uint8_t *octets, size_t len)
{
    size_t pair = open_member(w, oid);

    atls_der_put(w, ATLS_DER_OCTET_STRING, atls_bytes_of(octets, len));
    atls_der_close(w, pair);
}

static void put_number(struct atls_writer *w, unsigned int arc, uint64_t number)
{
    char oid[64];
    size_t pair;

    snprintf(oid, sizeof oid, SGX_OID ".2.%u", arc);
    pair = open_member(w, oid);
    atls_sim_put_integer(w, number);
    atls_der_close(w, pair);
}

static void put_tcb(struct atls_writer *w, const struct atls_sim_tdx *order)
{
    size_t pair = open_member(w, SGX_OID ".2"), list = atls_der_open(w, ATLS_DER_SEQUENCE);

    for (unsigned int i = 0; i < 16; i++)
        put_number(w, i + 1, order->components[i]);
    put_number(w, 17, order->pce_svn);
    put_octets(w, SGX_OID ".2.18", order->components, sizeof order->components);
    atls_der_close(w, list);
    atls_der_close(w, pair);
}

static void put_sgx_extension(struct atls_writer *w, const struct atls_sim_tdx *order)
{
    static const uint8_t standard[1] = {0};
    size_t list = atls_der_open(w, ATLS_DER_SEQUENCE), pair;

    put_octets(w, SGX_OID ".1", order->ppid, sizeof order->ppid);
    put_tcb(w, order);
    put_octets(w, SGX_OID ".3", order->pce_id, sizeof order->pce_id);
    for (int i = 0; i < (order->omit_fmspc ? 0 : order->fmspc_twice ? 2 : 1); i++)
        put_octets(w, SGX_OID ".4", order->fmspc, sizeof order->fmspc);
    pair = open_member(w, SGX_OID ".5");
    atls_der_put(w, 0x0a, atls_bytes_of(standard, sizeof standard));
    atls_der_close(w, pair);
    if (!order->processor)
        put_octets(w, SGX_OID ".6", order->instance, sizeof order->instance);
    atls_der_close(w, list);
}

/* ---- certificates ---- */

static const uint8_t serials[ATLS_SIM_INTEL_KEYS] = {1, 2, 3, 4, 5, 6};

/* CN and O. */
struct name {
    struct atls_sim_attribute attributes[3];
};

static struct name name_of(const char *common_name)
{
    struct name name = {{{"2.5.4.3", 0, common_name},
                         {"2.5.4.10", 0, "TEST of libatls, trust nothing below it"},
                         {NULL, 0, NULL}}};

    return name;
}

static const char *right_name(enum atls_sim_intel_key key)
{
    static const char *const names[ATLS_SIM_INTEL_KEYS] = {
        "Intel SGX Root CA",     "Intel SGX PCK Platform CA", "Intel SGX PCK Processor CA",
        "Intel SGX TCB Signing", "Intel SGX PCK Certificate", "",
    };

    return names[key];
}

/* One certificate to make. */
struct making {
    enum atls_sim_intel_key key, issuer;
    const struct atls_sim_tdx_certificate *order, *issuer_order;
    bool is_ca;
    struct atls_bytes extension; /* of SGX; empty: none */
    EVP_PKEY *other;             /* certified in place of key; NULL: none */
};

static enum atls_code make_certificate(const struct atls_sim_intel *intel, const struct making *m,
                                       struct atls_buf *out, struct atls_err *err)
{
    const char *subject = m->order->name, *issuer = m->issuer_order->name;
    struct name names[2] = {name_of(subject != NULL ? subject : right_name(m->key)),
                            name_of(issuer != NULL ? issuer : right_name(m->issuer))};
    const bool is_ca = m->is_ca != m->order->wrong_ca;
    const struct atls_sim_extension extension = {SGX_OID, false, m->extension};
    const struct atls_sim_certificate spec = {
        .subject = names[0].attributes,
        .issuer = names[1].attributes,
        .serial = atls_bytes_of(&serials[m->key], 1),
        .not_before_s = m->order->not_before_s,
        .not_after_s = m->order->not_after_s,
        .key = m->other != NULL ? m->other : intel->keys[m->key],
        .signer = intel->keys[m->issuer],
        .algorithm = ATLS_SIM_ECDSA_SHA256,
        .is_ca = is_ca,
        .path_length = -1,
        .key_usage = is_ca ? USAGE_ISSUE : USAGE_SIGN,
        .extensions = &extension,
        .extension_count = m->extension.len != 0,
        .break_signature = m->order->break_signature,
    };

    if (intel->kept[m->key].len != 0)
        return atls_buf_copy(out, intel->kept[m->key], err);
    return atls_sim_certificate_make(&spec, out, err);
}

static enum atls_sim_intel_key authority(const struct atls_sim_tdx *order)
{
    return order->processor ? ATLS_SIM_INTEL_PROCESSOR : ATLS_SIM_INTEL_PLATFORM;
}

void atls_sim_intel_certificates_clear(struct atls_sim_intel_certificates *c)
{
    atls_buf_clear(&c->root);
    atls_buf_clear(&c->intermediate);
    atls_buf_clear(&c->leaf);
    atls_buf_clear(&c->signing);
}

static enum atls_code make_leaf(const struct atls_sim_intel *intel,
                                const struct atls_sim_tdx *order, struct atls_buf *out,
                                struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(TEXT_MAX);
    struct making leaf = {.key = ATLS_SIM_INTEL_PCK,
                          .issuer = authority(order),
                          .order = &order->leaf,
                          .issuer_order = &order->intermediate,
                          .other = order->leaf_key};
    enum atls_code code;

    if (!order->omit_extension)
        put_sgx_extension(&w, order);
    leaf.extension = atls_writer_bytes(&w);
    code = w.failed != ATLS_OK ? atls_fail(err, w.failed, "simulator: SGX extension")
                               : make_certificate(intel, &leaf, out, err);
    atls_writer_clear(&w);
    return code;
}

enum atls_code atls_sim_intel_certify(const struct atls_sim_intel *intel,
                                      const struct atls_sim_tdx *order,
                                      struct atls_sim_intel_certificates *out, struct atls_err *err)
{
    const struct making root = {ATLS_SIM_INTEL_ROOT,
                                ATLS_SIM_INTEL_ROOT,
                                &order->root,
                                &order->root,
                                true,
                                {NULL, 0},
                                NULL};
    const struct making middle = {authority(order),
                                  ATLS_SIM_INTEL_ROOT,
                                  &order->intermediate,
                                  &order->root,
                                  true,
                                  {NULL, 0},
                                  NULL};
    const struct making signing = {ATLS_SIM_INTEL_SIGNING,
                                   ATLS_SIM_INTEL_ROOT,
                                   &order->signing,
                                   &order->root,
                                   false,
                                   {NULL, 0},
                                   NULL};
    enum atls_code code;

    code = intel->root.len != 0 ? atls_buf_copy(&out->root, atls_buf_bytes(&intel->root), err)
                                : make_certificate(intel, &root, &out->root, err);
    if (code != ATLS_OK ||
        (code = make_certificate(intel, &middle, &out->intermediate, err)) != ATLS_OK ||
        (code = make_certificate(intel, &signing, &out->signing, err)) != ATLS_OK)
        return code;
    return make_leaf(intel, order, &out->leaf, err);
}

/* PEM of two certificates. */
static enum atls_code make_chain(const struct atls_buf *first, const struct atls_buf *second,
                                 struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(TEXT_MAX);
    enum atls_code code = atls_sim_intel_put_pem(&w, first, err);

    if (code == ATLS_OK)
        code = atls_sim_intel_put_pem(&w, second, err);
    if (code == ATLS_OK)
        return atls_writer_finish(&w, out, err);
    atls_writer_clear(&w);
    return code;
}

/* ---- revocation lists ---- */

static enum atls_code make_crl(const struct atls_sim_intel *intel, const struct atls_sim_tdx *order,
                               enum atls_sim_intel_key issuer, struct atls_buf *out,
                               struct atls_err *err)
{
    static const uint8_t number[1] = {1};
    const bool is_root = issuer == ATLS_SIM_INTEL_ROOT;
    struct name name = name_of(right_name(issuer));
    struct atls_bytes revoked[2];
    struct atls_sim_crl spec = {
        .issuer = name.attributes,
        .signer = intel->keys[issuer],
        .algorithm = ATLS_SIM_ECDSA_SHA256,
        .this_update_s = order->crl_this_s,
        .next_update_s = order->crl_next_s,
        .serials = revoked,
        .number = atls_bytes_of(number, sizeof number),
        .break_signature = is_root ? order->break_root_crl : order->break_pck_crl,
    };

    if (is_root && order->revoke_intermediate)
        revoked[spec.serial_count++] = atls_bytes_of(&serials[authority(order)], 1);
    if (is_root && order->revoke_signing)
        revoked[spec.serial_count++] = atls_bytes_of(&serials[ATLS_SIM_INTEL_SIGNING], 1);
    if (!is_root && order->revoke_leaf)
        revoked[spec.serial_count++] = atls_bytes_of(&serials[ATLS_SIM_INTEL_PCK], 1);
    return atls_sim_crl_make(&spec, out, err);
}

/* ---- all together ---- */

void atls_sim_tdx_evidence_clear(struct atls_sim_tdx_evidence *evidence)
{
    atls_buf_clear(&evidence->root);
    atls_buf_clear(&evidence->quote);
    atls_buf_clear(&evidence->tcb_info);
    atls_buf_clear(&evidence->qe_identity);
    atls_buf_clear(&evidence->evaluation);
    atls_buf_clear(&evidence->tcb_chain);
    atls_buf_clear(&evidence->pck_crl_chain);
    atls_buf_clear(&evidence->root_crl);
    atls_buf_clear(&evidence->pck_crl);
}

static enum atls_code make_parts(const struct atls_sim_intel *intel,
                                 const struct atls_sim_tdx *order,
                                 const struct atls_sim_intel_certificates *c,
                                 struct atls_sim_tdx_evidence *out, struct atls_err *err)
{
    enum atls_code code;

    if ((code = make_chain(&c->signing, &c->root, &out->tcb_chain, err)) != ATLS_OK ||
        (code = make_chain(&c->intermediate, &c->root, &out->pck_crl_chain, err)) != ATLS_OK ||
        (code = make_crl(intel, order, ATLS_SIM_INTEL_ROOT, &out->root_crl, err)) != ATLS_OK ||
        (code = make_crl(intel, order, authority(order), &out->pck_crl, err)) != ATLS_OK ||
        (code = atls_sim_intel_documents(intel, order, out, err)) != ATLS_OK ||
        (code = atls_sim_intel_quote(intel, order, c, &out->quote, err)) != ATLS_OK)
        return code;
    return atls_buf_copy(&out->root, atls_buf_bytes(&c->root), err);
}

enum atls_code atls_sim_tdx_make(const struct atls_sim_intel *intel,
                                 const struct atls_sim_tdx *order,
                                 struct atls_sim_tdx_evidence *out, struct atls_err *err)
{
    struct atls_sim_intel_certificates certificates = {{NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}};
    struct atls_sim_tdx_evidence evidence = {.root = ATLS_BUF_INIT};
    enum atls_code code = atls_sim_intel_certify(intel, order, &certificates, err);

    if (code == ATLS_OK)
        code = make_parts(intel, order, &certificates, &evidence, err);
    atls_sim_intel_certificates_clear(&certificates);
    if (code != ATLS_OK)
        atls_sim_tdx_evidence_clear(&evidence);
    else
        *out = evidence;
    return code;
}

/* ---- an order of which nothing is wrong ---- */

static const uint8_t components[16] = {5, 5, 2, 2, 4, 1, 0, 5};
static const uint8_t old_components[16] = {4, 4, 2, 2, 4, 1, 0, 5};
static const uint8_t tdx_components[16] = {5, 0, 6};
static const uint8_t old_tdx_components[16] = {3, 0, 5};

static void init_certificates(struct atls_sim_tdx *o, int64_t time_s)
{
    struct atls_sim_tdx_certificate *const list[] = {&o->root, &o->intermediate, &o->leaf,
                                                     &o->signing};

    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        list[i]->not_before_s = time_s - 30 * DAY_S;
        list[i]->not_after_s = time_s + 3650 * DAY_S;
    }
    memset(o->ppid, 0x11, sizeof o->ppid);
    memset(o->instance, 0x22, sizeof o->instance);
    COPY(o->fmspc, "\x50\x80\x6f\x0a\x0b\x0c");
    COPY(o->components, components);
    o->pce_svn = 13;
    o->crl_this_s = time_s - DAY_S;
    o->crl_next_s = time_s + 29 * DAY_S;
}

static void init_documents(struct atls_sim_tdx *o, int64_t time_s)
{
    static const struct atls_sim_tdx_status current = {"UpToDate", "2025-05-14", NULL};
    static const struct atls_sim_tdx_status old = {"OutOfDate", "2024-03-13",
                                                   "INTEL-SA-00001,INTEL-SA-00002"};
    const struct atls_sim_tdx_document document = {
        "TDX", 3, time_s - DAY_S, time_s + 29 * DAY_S, 18, false, false};
    struct atls_sim_tdx_module *m = &o->modules[0];

    o->tcb_info = o->qe_identity = o->evaluation = document;
    o->qe_identity.id = "TD_QE";
    o->qe_identity.version = 2;
    o->evaluation.version = 1;
    o->evaluation_least = 16;
    o->evaluation_greatest = 19;
    COPY(o->info_fmspc, o->fmspc);
    o->module.mask = UINT64_MAX;
    m->id = "TDX_01";
    m->mask = UINT64_MAX;
    m->levels[0].isv_svn = 5;
    m->levels[0].status = current;
    m->levels[1].isv_svn = 3;
    m->levels[1].status = old;
    m->level_count = 2;
    o->module_count = 1;
    COPY(o->levels[0].sgx, components);
    COPY(o->levels[0].tdx, tdx_components);
    o->levels[0].pce_svn = 13;
    o->levels[0].status = current;
    COPY(o->levels[1].sgx, old_components);
    COPY(o->levels[1].tdx, old_tdx_components);
    o->levels[1].pce_svn = 11;
    o->levels[1].status = old;
    o->level_count = 2;
    o->qe_levels[0].isv_svn = 8;
    o->qe_levels[0].status = current;
    o->qe_levels[1].isv_svn = 4;
    o->qe_levels[1].status = old;
    o->qe_level_count = 2;
}

static void init_enclave(struct atls_sim_tdx *o)
{
    memset(o->misc_mask, 0xff, sizeof o->misc_mask);
    o->attributes[0] = 0x11;
    memset(o->attributes_mask, 0xff, 8);
    o->attributes_mask[0] = 0xfb;
    memset(o->mr_signer, 0xdc, sizeof o->mr_signer);
    o->prod_id = 2;
    COPY(o->quote.qe_attributes, o->attributes);
    o->quote.qe_attributes[0] = 0x15;
    o->quote.qe_attributes[8] = 0xe7;
    COPY(o->quote.qe_mr_signer, o->mr_signer);
    o->quote.qe_prod_id = 2;
    o->quote.qe_isv_svn = 8;
    o->quote.qe_auth_len = 32;
}

void atls_sim_tdx_init(struct atls_sim_tdx *order, int64_t time_s)
{
    struct atls_sim_tdx_quote *q = &order->quote;

    memset(order, 0, sizeof *order);
    init_certificates(order, time_s);
    init_documents(order, time_s);
    init_enclave(order);
    q->version = 4;
    q->body_type = 3;
    q->key_type = 2;
    q->tee_type = 0x81;
    COPY(q->tcb_svn, tdx_components);
    q->tcb_svn[1] = 1;
    COPY(q->tcb_svn2, q->tcb_svn);
    memset(q->mr_seam, 0x5e, sizeof q->mr_seam);
    q->attributes = UINT64_C(1) << 28;
    q->xfam = 0x61ae7;
    memset(q->mr_td, 0xd0, sizeof q->mr_td);
    for (size_t i = 0; i < 4; i++)
        memset(q->rtmr[i], (int)(0xe0 + i), sizeof q->rtmr[i]);
    q->certification = 5;
    q->terminated = true;
}

/* What TDX has not is left as it is, and not written. */
void atls_sim_sgx_init(struct atls_sim_tdx *order, int64_t time_s)
{
    struct atls_sim_tdx_quote *q = &order->quote;
    struct atls_sim_sgx_report *enclave = &q->enclave;

    atls_sim_tdx_init(order, time_s);
    order->sgx = true;
    order->tcb_info.id = order->evaluation.id = "SGX";
    order->qe_identity.id = "QE";
    order->prod_id = q->qe_prod_id = 1;
    q->version = 3;
    q->tee_type = 0;
    enclave->attributes[0] = 0x05; /* INIT, MODE64BIT */
    enclave->attributes[8] = 0xe7;
    memset(enclave->mr_enclave, 0xe1, sizeof enclave->mr_enclave);
    memset(enclave->mr_signer, 0x51, sizeof enclave->mr_signer);
    enclave->prod_id = 7;
    enclave->isv_svn = 3;
}
