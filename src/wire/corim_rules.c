#include "wire/corim_rules.h"

#include <string.h>

#include "core/reader.h"
#include "wire/cbor.h"

/* ---- environments ---- */

/* A tagged byte string of at least min and at most max bytes. */
static bool is_tagged(struct atls_bytes item, uint64_t tag, size_t min, size_t max)
{
    struct atls_bytes content;
    uint64_t found;

    return item.ptr != NULL && atls_tagged_bytes(item, &found, &content) && found == tag &&
           content.len >= min && content.len <= max;
}

static bool is_hash_len(size_t len)
{
    return len == 32 || len == 48 || len == 64;
}

static const char *class_is_implementation_id(const struct atls_environment *e)
{
    return is_tagged(e->class_id, ATLS_TAG_BYTES, 32, 32)
               ? NULL
               : "class-id is not an implementation-id (tag 560, 32 bytes)";
}

static const char *class_is_rim(const struct atls_environment *e)
{
    struct atls_bytes rim;
    uint64_t tag;

    return e->class_id.ptr != NULL && atls_tagged_bytes(e->class_id, &tag, &rim) &&
                   tag == ATLS_TAG_BYTES && is_hash_len(rim.len)
               ? NULL
               : "class-id is not a realm initial measurement (tag 560, 32, 48 or 64 bytes)";
}

static const char *class_is_uuid(const struct atls_environment *e)
{
    return is_tagged(e->class_id, ATLS_TAG_UUID, 16, 16) ? NULL : "class-id is not a UUID (tag 37)";
}

static const char *class_is_absent(const struct atls_environment *e)
{
    return e->class_id.ptr == NULL && e->vendor.ptr == NULL && e->model.ptr == NULL &&
                   !e->has_layer && !e->has_index
               ? NULL
               : "has a class";
}

static const char *class_is_snp(const struct atls_environment *e)
{
    /* 1.3.6.1.4.1.3704.3.1 (VCEK) and 3.2 (VLEK) */
    static const uint8_t oid[] = {0x2b, 0x06, 0x01, 0x04, 0x01, 0x9c, 0x78, 0x03};
    struct atls_bytes content;
    uint64_t tag;

    return e->class_id.ptr != NULL && atls_tagged_bytes(e->class_id, &tag, &content) &&
                   tag == ATLS_TAG_OID && content.len == sizeof oid + 1 &&
                   memcmp(content.ptr, oid, sizeof oid) == 0 &&
                   (content.ptr[sizeof oid] == 1 || content.ptr[sizeof oid] == 2)
               ? NULL
               : "class-id is neither the OID of VCEK (1.3.6.1.4.1.3704.3.1) nor of VLEK (.2)";
}

static const char *class_is_tdx(const struct atls_environment *e)
{
    /* 2.16.840.1.113741: what is below it has Intel as its vendor, other classes are a
     * deployment's own. */
    static const uint8_t intel[] = {0x60, 0x86, 0x48, 0x01, 0x86, 0xf8, 0x4d};
    struct atls_bytes content;
    uint64_t tag;

    if (e->class_id.ptr == NULL || !atls_tagged_bytes(e->class_id, &tag, &content) ||
        tag != ATLS_TAG_OID)
        return "class-id is not an OID (tag 111)";
    if (content.len >= sizeof intel && memcmp(content.ptr, intel, sizeof intel) == 0 &&
        !atls_bytes_equal_text(e->vendor, "Intel Corporation"))
        return "vendor of an Intel class is not \"Intel Corporation\"";
    return NULL;
}

static const char *no_instance(const struct atls_environment *e)
{
    return e->instance.ptr == NULL ? NULL : "reference values have an instance";
}

static const char *instance_is_node(const struct atls_environment *e)
{
    return is_tagged(e->instance, ATLS_TAG_UUID, 16, 16)
               ? NULL
               : "instance is not the UUID (tag 37) of a node";
}

static const char *instance_is_opaque_or_absent(const struct atls_environment *e)
{
    return e->instance.ptr == NULL || is_tagged(e->instance, ATLS_TAG_BYTES, 1, 64)
               ? NULL
               : "instance is not opaque bytes (tag 560)";
}

static const char *refuse_references(const struct atls_environment *e)
{
    (void)e;
    return "reference values are not of this profile";
}

/* ---- values ---- */

static bool mkey_is(const struct atls_measurement *m, const char *name)
{
    return m->mkey.kind == ATLS_MKEY_TEXT && atls_bytes_equal_text(m->mkey.bytes, name);
}

/* Holds nothing but these members. */
static bool only(const struct atls_measurement *m, unsigned int members)
{
    return (m->mval.present & ~members) == 0;
}

static bool has(const struct atls_measurement *m, unsigned int member)
{
    return (m->mval.present & member) != 0;
}

/* The keys of a software component are one signer-id. */
static const char *signer_id(const struct atls_measurement *m)
{
    if (m->mval.key_count != 1)
        return "software component: cryptokeys are several signer-ids";
    if (m->mval.keys[0].tag != ATLS_TAG_BYTES || !is_hash_len(m->mval.keys[0].content.len))
        return "software component: signer-id is not tag 560 with 32, 48 or 64 bytes";
    return NULL;
}

static const char *component_claim(const struct atls_measurement *m)
{
    static const unsigned int members =
        ATLS_MVAL_DIGESTS | ATLS_MVAL_KEYS | ATLS_MVAL_NAME | ATLS_MVAL_VERSION;

    if (!only(m, members))
        return "software component: a value other than digests, cryptokeys, name and version";
    return has(m, ATLS_MVAL_KEYS) ? signer_id(m) : NULL;
}

static const char *component_value(const struct atls_measurement *m)
{
    if (!has(m, ATLS_MVAL_DIGESTS))
        return "software component: has no digests";
    return has(m, ATLS_MVAL_KEYS) ? NULL : "software component: has no signer-id (cryptokeys)";
}

#define PSA_CERTIFICATION 100

static const char *psa_certification(const struct atls_measurement *m)
{
    struct atls_bytes text;
    struct atls_reader r;

    if (!only(m, ATLS_MVAL_EXTENSIONS) || m->mval.extension_count != 1 ||
        m->mval.extensions[0].key != PSA_CERTIFICATION)
        return "psa.certification: a value other than the certificate number (100)";
    r = atls_reader_init(m->mval.extensions[0].item);
    return atls_cbor_get_text(&r, &text) && text.len != 0
               ? NULL
               : "psa.certification: the certificate number is not text";
}

static const char *psa_claim(const struct atls_measurement *m)
{
    if (mkey_is(m, "psa.software-component"))
        return component_claim(m);
    if (mkey_is(m, "psa.certification"))
        return psa_certification(m);
    return "mkey is neither psa.software-component nor psa.certification";
}

static const char *psa_value(const struct atls_measurement *m)
{
    return mkey_is(m, "psa.software-component")
               ? component_value(m)
               : "mkey of a reference value is not psa.software-component";
}

static const char *cca_claim(const struct atls_measurement *m)
{
    if (mkey_is(m, "cca.software-component"))
        return component_claim(m);
    if (!mkey_is(m, "cca.platform-config"))
        return "mkey is neither cca.software-component nor cca.platform-config";
    return has(m, ATLS_MVAL_RAW) && only(m, ATLS_MVAL_RAW)
               ? NULL
               : "cca.platform-config: is not a raw-value alone";
}

static const char *cca_value(const struct atls_measurement *m)
{
    return mkey_is(m, "cca.software-component") ? component_value(m) : NULL;
}

static const char *cca_list(const struct atls_corim_reference *reference)
{
    size_t configurations = 0;

    for (size_t i = 0; i < reference->count; i++)
        configurations += mkey_is(&reference->measurements[i], "cca.platform-config");
    return configurations <= 1 ? NULL : "more than one cca.platform-config";
}

static const char *const realm_keys[] = {"cca.rim",  "cca.rem0", "cca.rem1",
                                         "cca.rem2", "cca.rem3", "cca.rpv"};
#define REALM_KEYS (sizeof realm_keys / sizeof realm_keys[0])
#define REALM_RIM  0
#define REALM_RPV  5

static size_t realm_key(const struct atls_measurement *m)
{
    size_t i = 0;

    while (i < REALM_KEYS && !mkey_is(m, realm_keys[i]))
        i++;
    return i;
}

static const char *realm_claim(const struct atls_measurement *m)
{
    /* The personalization value has 64 bytes in a token; published manifests leave zeros out. */
    enum { RPV_MAX = 64 };
    size_t key = realm_key(m);

    if (key == REALM_KEYS)
        return "mkey is none of cca.rim, cca.rem0 to cca.rem3 and cca.rpv";
    if (key == REALM_RPV)
        return has(m, ATLS_MVAL_RAW) && only(m, ATLS_MVAL_RAW) && m->mval.raw.len != 0 &&
                       m->mval.raw.len <= RPV_MAX
                   ? NULL
                   : "cca.rpv: is not a raw-value of 1 to 64 bytes alone";
    return has(m, ATLS_MVAL_DIGESTS) && only(m, ATLS_MVAL_DIGESTS)
               ? NULL
               : "cca.rim or cca.rem: is not digests alone";
}

static bool holds_digest(const struct atls_measurement *m, struct atls_bytes value)
{
    for (size_t i = 0; i < m->mval.digest_count; i++)
        if (atls_bytes_equal(m->mval.digests[i].value, value))
            return true;
    return false;
}

static const char *realm_list(const struct atls_corim_reference *reference)
{
    size_t seen[REALM_KEYS] = {0};
    struct atls_bytes rim;
    uint64_t tag;

    for (size_t i = 0; i < reference->count; i++) {
        const struct atls_measurement *m = &reference->measurements[i];
        size_t key = realm_key(m);

        if (key == REALM_KEYS || seen[key]++ != 0)
            return "an mkey twice";
        if (key == REALM_RIM && (!atls_tagged_bytes(reference->environment.class_id, &tag, &rim) ||
                                 !holds_digest(m, rim)))
            return "cca.rim is not the class-id";
    }
    return seen[REALM_RIM] != 0 ? NULL : "has no cca.rim";
}

static const char *tpm_value(const struct atls_measurement *m)
{
    enum { PCR_LAST = 23 };

    if (m->mkey.kind != ATLS_MKEY_UINT || m->mkey.number > PCR_LAST)
        return "mkey is not a PCR index of 0 to 23";
    return has(m, ATLS_MVAL_DIGESTS) ? NULL : "a PCR has no digests";
}

static const char *soft_value(const struct atls_measurement *m)
{
    if (m->mkey.kind != ATLS_MKEY_TEXT || m->mkey.bytes.len == 0)
        return "mkey is not a name";
    return has(m, ATLS_MVAL_DIGESTS) ? NULL : "a measurement has no digests";
}

static const char *node_claim(const struct atls_measurement *m)
{
    return m->mkey.kind == ATLS_MKEY_NONE ? NULL : "has an mkey";
}

static const char *node_value(const struct atls_measurement *m)
{
    return m->mval.digest_count == 1 ? NULL : "is not one digest of the PCR composite";
}

static const char *node_list(const struct atls_corim_reference *reference)
{
    return reference->count == 1 ? NULL : "more than one measurement";
}

/* Fields of an attestation report and how their values are written; raw_len 0: any length. */
static const struct snp_field {
    uint64_t first, last; /* mkeys */
    unsigned int members;
    size_t raw_len;
} snp_fields[] = {
    {0, 0, ATLS_MVAL_VERSION | ATLS_MVAL_SVN | ATLS_MVAL_MIN_SVN, 0},
    {1, 1, ATLS_MVAL_SVN | ATLS_MVAL_MIN_SVN, 0},
    {2, 2, ATLS_MVAL_RAW, 8},
    {3, 4, ATLS_MVAL_RAW, 16},
    {5, 5, ATLS_MVAL_RAW | ATLS_MVAL_SVN, 4},
    {6, 6, ATLS_MVAL_SVN | ATLS_MVAL_MIN_SVN, 0},
    {7, 7, ATLS_MVAL_RAW, 8},
    {640, 640, ATLS_MVAL_RAW, 64},
    {641, 641, ATLS_MVAL_DIGESTS, 0},
    {642, 642, ATLS_MVAL_RAW, 32},
    {643, 644, ATLS_MVAL_DIGESTS, 0},
    {645, 646, ATLS_MVAL_RAW, 32},
    {647, 647, ATLS_MVAL_SVN | ATLS_MVAL_MIN_SVN, 0},
    {648, 650, ATLS_MVAL_RAW | ATLS_MVAL_SVN, 1},
    {3328, 3328, ATLS_MVAL_RAW, 64},
    {3329, 3329, ATLS_MVAL_SVN | ATLS_MVAL_MIN_SVN, 0},
    {3330, 3330, ATLS_MVAL_VERSION, 0},
    {3936, 3936, ATLS_MVAL_VERSION, 0},
    {3968, 3968, ATLS_MVAL_SVN | ATLS_MVAL_MIN_SVN, 0},
};

static const char *snp_claim(const struct atls_measurement *m)
{
    const struct snp_field *field = NULL;

    for (size_t i = 0; i < sizeof snp_fields / sizeof snp_fields[0]; i++)
        if (m->mkey.kind == ATLS_MKEY_UINT && m->mkey.number >= snp_fields[i].first &&
            m->mkey.number <= snp_fields[i].last)
            field = &snp_fields[i];
    if (field == NULL)
        return "mkey is not the number of a field of an attestation report";
    if (!only(m, field->members))
        return "value is not of the kind that the field has";
    if (has(m, ATLS_MVAL_RAW) && field->raw_len != 0 && m->mval.raw.len != field->raw_len)
        return "raw-value is not as long as the field";
    if (has(m, ATLS_MVAL_DIGESTS) &&
        (m->mval.digest_count != 1 || m->mval.digests[0].hash != ATLS_HASH_SHA384))
        return "is not one digest of SHA-384";
    return NULL;
}

/* Measurements are few: a comparison of all pairs would cost 8 million steps at worst, a mark for
 * each field costs none. */
static const char *snp_list(const struct atls_corim_reference *reference)
{
    enum { SNP_LAST = 3968 };
    uint8_t seen[SNP_LAST / 8 + 1] = {0};

    for (size_t i = 0; i < reference->count; i++) {
        uint64_t key = reference->measurements[i].mkey.number;

        if (key > SNP_LAST || (seen[key / 8] >> key % 8 & 1) != 0)
            return "a field twice";
        seen[key / 8] = (uint8_t)(seen[key / 8] | 1u << key % 8);
    }
    return NULL;
}

/* 60010 [op, number], 60020 [op, digests], 60021 [op, texts]; op 0 to 7. */
enum { TDX_NUMERIC = 60010, TDX_DIGESTS = 60020, TDX_TEXTS = 60021 };

static bool is_operand(struct atls_reader *r, uint64_t tag)
{
    struct atls_cbor_iter list, pair;
    struct atls_bytes bytes;
    int64_t number;

    if (tag == TDX_NUMERIC)
        return atls_cbor_get_int(r, &number);
    if (!atls_cbor_enter_array(r, &list) || list.left == 0)
        return false;
    while (atls_cbor_more(r, &list)) {
        if (tag == TDX_TEXTS ? !atls_cbor_get_text(r, &bytes)
                             : !atls_cbor_enter_array(r, &pair) || pair.left != 2 ||
                                   !atls_cbor_skip(r) || !atls_cbor_get_bytes(r, &bytes))
            return false;
    }
    return true;
}

static bool is_expression_or_plain(struct atls_bytes item)
{
    enum { OP_LE = 4, OP_MEMBER = 6, OP_LAST = 7 };
    struct atls_reader r = atls_reader_init(item);
    struct atls_cbor_iter pair;
    uint64_t tag, op;

    if (!atls_cbor_get_tag(&r, &tag))
        return true;
    if (tag != TDX_NUMERIC && tag != TDX_DIGESTS && tag != TDX_TEXTS)
        return true;
    return atls_cbor_enter_array(&r, &pair) && pair.left == 2 && atls_cbor_get_uint(&r, &op) &&
           (tag == TDX_NUMERIC ? op <= OP_LE : op >= OP_MEMBER && op <= OP_LAST) &&
           is_operand(&r, tag);
}

static const char *tdx_claim(const struct atls_measurement *m)
{
    for (size_t i = 0; i < m->mval.extension_count; i++)
        if (!is_expression_or_plain(m->mval.extensions[i].item))
            return "an expression (tag 60010, 60020, 60021) is not [operator, operand] of its kind";
    return NULL;
}

/* ---- keys ---- */

static bool begins_with(struct atls_bytes text, const char *prefix)
{
    size_t len = strlen(prefix);

    return text.len >= len && memcmp(text.ptr, prefix, len) == 0;
}

/* Exactly one, unconditional SubjectPublicKeyInfo. */
static const char *one_public_key(const struct atls_corim_attest_key *key)
{
    if (key->count != 1)
        return "several keys";
    if (key->keys[0].tag != ATLS_TAG_PKIX_KEY)
        return "key is not a SubjectPublicKeyInfo (tag 554)";
    if (!begins_with(key->keys[0].content, "-----BEGIN PUBLIC KEY-----"))
        return "key does not begin with -----BEGIN PUBLIC KEY-----";
    return key->conditional ? "has conditions (mkey or authorized-by)" : NULL;
}

static const char *psa_key(const struct atls_corim_attest_key *key)
{
    struct atls_bytes ueid;
    uint64_t tag;
    const char *broken = class_is_implementation_id(&key->environment);

    if (broken != NULL)
        return broken;
    if (key->environment.instance.ptr == NULL)
        return "has no instance";
    if (!atls_tagged_bytes(key->environment.instance, &tag, &ueid) || tag != ATLS_TAG_UEID ||
        ueid.len != 33 || ueid.ptr[0] != 0x01)
        return "instance is not a UEID of 33 bytes that begins with 01 (tag 550)";
    return one_public_key(key);
}

static const char *realm_key_triple(const struct atls_corim_attest_key *key)
{
    (void)key;
    return "the platform binds the key of a realm: no manifest has it";
}

static const char *tpm_key(const struct atls_corim_attest_key *key)
{
    const struct atls_environment *e = &key->environment;
    const char *broken = class_is_uuid(e);

    if (broken != NULL)
        return broken;
    if (e->instance.ptr == NULL)
        return "has no instance";
    if (!is_tagged(e->instance, ATLS_TAG_UEID, 7, 33) &&
        !is_tagged(e->instance, ATLS_TAG_BYTES, 7, 33))
        return "instance is not the kid of 7 to 33 bytes (tag 550 or 560)";
    return one_public_key(key);
}

static const char *node_key(const struct atls_corim_attest_key *key)
{
    const char *broken = class_is_absent(&key->environment);

    if (broken == NULL)
        broken = instance_is_node(&key->environment);
    return broken != NULL ? broken : one_public_key(key);
}

/* Exactly one, unconditional certificate. */
static const char *one_certificate(const struct atls_corim_attest_key *key)
{
    if (key->count != 1)
        return "several keys";
    if (key->keys[0].tag != ATLS_TAG_PKIX_CERT)
        return "key is not a certificate (tag 555)";
    if (!begins_with(key->keys[0].content, "-----BEGIN CERTIFICATE-----"))
        return "key does not begin with -----BEGIN CERTIFICATE-----";
    return key->conditional ? "has conditions (mkey or authorized-by)" : NULL;
}

static const char *ark_key(const struct atls_corim_attest_key *key)
{
    if (key->environment.vendor.len == 0 || key->environment.model.len == 0)
        return "has no vendor or no model";
    return one_certificate(key);
}

static const char *tdx_key(const struct atls_corim_attest_key *key)
{
    const char *broken = class_is_tdx(&key->environment);

    if (broken != NULL)
        return broken;
    return key->keys[0].tag == ATLS_TAG_PKIX_CERT ? one_certificate(key) : one_public_key(key);
}

/* Row by enum atls_corim_scheme. */
static const struct atls_corim_rules rules[] = {
    [ATLS_CORIM_SCHEME_NONE] = {NULL, NULL, NULL, NULL, NULL, NULL},
    [ATLS_CORIM_SCHEME_PSA] = {class_is_implementation_id, no_instance, psa_claim, psa_value, NULL,
                               psa_key},
    [ATLS_CORIM_SCHEME_CCA_PLATFORM] = {class_is_implementation_id, no_instance, cca_claim,
                                        cca_value, cca_list, psa_key},
    [ATLS_CORIM_SCHEME_CCA_REALM] = {class_is_rim, no_instance, realm_claim, NULL, realm_list,
                                     realm_key_triple},
    [ATLS_CORIM_SCHEME_PARSEC_TPM] = {class_is_uuid, NULL, NULL, tpm_value, NULL, tpm_key},
    [ATLS_CORIM_SCHEME_PARSEC_CCA] = {class_is_implementation_id, no_instance, cca_claim, cca_value,
                                      cca_list, psa_key},
    [ATLS_CORIM_SCHEME_ENACTTRUST_TPM] = {class_is_absent, instance_is_node, node_claim, node_value,
                                          node_list, node_key},
    [ATLS_CORIM_SCHEME_SEV_SNP] = {class_is_snp, instance_is_opaque_or_absent, snp_claim, NULL,
                                   snp_list, ark_key},
    [ATLS_CORIM_SCHEME_SEV_SNP_ANCHOR] = {NULL, refuse_references, NULL, NULL, NULL, ark_key},
    [ATLS_CORIM_SCHEME_TDX] = {class_is_tdx, NULL, tdx_claim, NULL, NULL, tdx_key},
    [ATLS_CORIM_SCHEME_SOFT] = {class_is_uuid, NULL, NULL, soft_value, NULL, tpm_key},
};

const struct atls_corim_rules *atls_corim_rules_of(enum atls_corim_scheme scheme)
{
    return &rules[scheme];
}
