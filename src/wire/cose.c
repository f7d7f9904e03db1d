#include "wire/cose.h"

#include <atls/limits.h>

#include "core/err.h"
#include "wire/cbor.h"
#include "wire/tlv.h"

#define TAG_SIGN1 18
/* Labels in one header: keeps the search for a label in both headers short. */
#define LABELS_MAX 32
/* RSA as large as libcrypto verifies (16384 bits); public exponents fit 64 bits. */
#define RSA_MODULUS_MAX  2048
#define RSA_EXPONENT_MAX 8

/* RFC 9052 section 3.1; x5chain: RFC 9360 section 2. */
enum { LABEL_ALG = 1, LABEL_CRIT = 2, LABEL_CONTENT_TYPE = 3, LABEL_KID = 4, LABEL_X5CHAIN = 33 };

/* One header map: what we understand in it, as encoded; .ptr NULL when absent. */
struct header {
    const char *name;
    struct atls_bytes labels[LABELS_MAX];
    size_t count;
    struct atls_bytes alg, crit, content_type, kid, x5chain;
};

static enum atls_code malformed(struct atls_err *err, const char *what, const char *rule)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "%s: %s", what, rule);
}

/* Where the value of a label goes, or NULL. */
static struct atls_bytes *slot_of(struct header *h, int64_t label)
{
    switch (label) {
    case LABEL_ALG:
        return &h->alg;
    case LABEL_CRIT:
        return &h->crit;
    case LABEL_CONTENT_TYPE:
        return &h->content_type;
    case LABEL_KID:
        return &h->kid;
    case LABEL_X5CHAIN:
        return &h->x5chain;
    default:
        return NULL;
    }
}

/* Splits a checked map. Labels are integers or text (RFC 9052 section 1.5). */
static enum atls_code read_header(struct atls_bytes in, struct header *h, struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_cbor_iter map;

    h->count = 0;
    if (!atls_cbor_enter_map(&r, &map))
        return malformed(err, h->name, "not a map");
    if (map.left > LABELS_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "%s: %llu labels, at most %d are taken", h->name,
                         (unsigned long long)map.left, LABELS_MAX);
    while (atls_cbor_more(&r, &map)) {
        struct atls_reader label_reader = r;
        struct atls_bytes *slot = NULL;
        struct atls_bytes label, value;
        int64_t number;

        if (!atls_cbor_get_item(&r, &label) || !atls_cbor_get_item(&r, &value))
            return malformed(err, h->name, "truncated");
        if (atls_cbor_get_int(&label_reader, &number))
            slot = slot_of(h, number);
        else if (label.ptr[0] >> 5 > ATLS_CBOR_NINT && label.ptr[0] >> 5 != ATLS_CBOR_TEXT)
            return malformed(err, h->name, "label is neither an integer nor text");
        if (slot != NULL)
            *slot = value;
        h->labels[h->count++] = label;
    }
    return ATLS_OK;
}

static bool has_label(const struct header *h, struct atls_bytes label)
{
    for (size_t i = 0; i < h->count; i++)
        if (atls_bytes_equal(h->labels[i], label))
            return true;
    return false;
}

static bool is_understood(struct header *prot, int64_t label,
                          const struct atls_cose_labels *understood)
{
    for (size_t i = 0; i < understood->count; i++)
        if (understood->labels[i] == label)
            return true;
    return slot_of(prot, label) != NULL;
}

/* RFC 9052 section 3.1: crit is a non-empty array of labels of the protected header. */
static enum atls_code check_crit(struct header *prot, const struct atls_cose_labels *understood,
                                 struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(prot->crit);
    struct atls_cbor_iter array;

    if (!atls_cbor_enter_array(&r, &array) || array.left == 0)
        return malformed(err, "COSE_Sign1 crit", "not a non-empty array");
    while (atls_cbor_more(&r, &array)) {
        struct atls_reader ahead = r;
        struct atls_bytes label;
        int64_t number;

        if (!atls_cbor_get_item(&ahead, &label) || !has_label(prot, label))
            return malformed(err, "COSE_Sign1 crit", "label is not in the protected header");
        if (!atls_cbor_get_int(&r, &number) || !is_understood(prot, number, understood))
            return atls_fail(err, ATLS_E_UNSUPPORTED,
                             "COSE_Sign1 crit: a label that is not understood is critical");
    }
    return ATLS_OK;
}

/* RFC 9360 section 2: one certificate as a string, or an array of two or more. */
static bool is_x5chain(struct atls_bytes item)
{
    struct atls_reader r = atls_reader_init(item);
    struct atls_cbor_iter array;
    struct atls_bytes certificate;

    if (atls_cbor_get_bytes(&r, &certificate))
        return certificate.len != 0;
    if (!atls_cbor_enter_array(&r, &array) || array.left < 2)
        return false;
    while (atls_cbor_more(&r, &array))
        if (!atls_cbor_get_bytes(&r, &certificate) || certificate.len == 0)
            return false;
    return true;
}

static bool get_content_type(struct atls_bytes item, struct atls_cose_sign1 *s)
{
    struct atls_reader r = atls_reader_init(item);

    s->has_content_type_text = atls_cbor_get_text(&r, &s->content_type_text);
    s->has_content_type_uint =
        !s->has_content_type_text && atls_cbor_get_uint(&r, &s->content_type_uint);
    return s->has_content_type_text || s->has_content_type_uint;
}

static enum atls_code read_headers(struct atls_cose_sign1 *s,
                                   const struct atls_cose_labels *understood, struct atls_err *err)
{
    struct header prot = {.name = "COSE_Sign1 protected header"};
    struct header unprot = {.name = "COSE_Sign1 unprotected header"};
    struct atls_bytes kid, x5chain;
    struct atls_reader r;
    enum atls_code code;

    if (s->protected_header.len == 0)
        return malformed(err, prot.name, "no alg");
    if ((code = atls_cbor_check(s->protected_header, 0, err)) != ATLS_OK ||
        (code = read_header(s->protected_header, &prot, err)) != ATLS_OK ||
        (code = read_header(s->unprotected_header, &unprot, err)) != ATLS_OK)
        return code;
    for (size_t i = 0; i < unprot.count; i++)
        if (has_label(&prot, unprot.labels[i]))
            return malformed(err, unprot.name, "label is in the protected header too");
    if (prot.alg.ptr == NULL)
        return malformed(err, prot.name, "no alg");
    r = atls_reader_init(prot.alg);
    if (!atls_cbor_get_int(&r, &s->alg))
        return malformed(err, prot.name, "alg is not an integer");
    if (unprot.crit.ptr != NULL)
        return malformed(err, unprot.name, "crit must be protected");
    if (prot.crit.ptr != NULL && (code = check_crit(&prot, understood, err)) != ATLS_OK)
        return code;
    if (prot.content_type.ptr != NULL && !get_content_type(prot.content_type, s))
        return malformed(err, prot.name, "content type is neither text nor unsigned");
    kid = prot.kid.ptr != NULL ? prot.kid : unprot.kid;
    r = atls_reader_init(kid);
    if (kid.ptr != NULL && !atls_cbor_get_bytes(&r, &s->kid))
        return malformed(err, "COSE_Sign1 kid", "not a byte string");
    x5chain = prot.x5chain.ptr != NULL ? prot.x5chain : unprot.x5chain;
    if (x5chain.ptr != NULL && !is_x5chain(x5chain))
        return malformed(err, "COSE_Sign1 x5chain", "neither a certificate nor two or more");
    s->x5chain = x5chain;
    return ATLS_OK;
}

enum atls_code atls_cose_sign1_decode(struct atls_bytes in, enum atls_cose_tagging tagging,
                                      struct atls_cose_sign1 *out, struct atls_err *err)
{
    static const struct atls_cose_labels none = {NULL, 0};

    return atls_cose_sign1_decode_with(in, tagging, &none, out, err);
}

enum atls_code atls_cose_sign1_decode_with(struct atls_bytes in, enum atls_cose_tagging tagging,
                                           const struct atls_cose_labels *understood,
                                           struct atls_cose_sign1 *out, struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_cose_sign1 s = {.detached = false};
    struct atls_cbor_iter array;
    enum atls_code code;
    uint64_t tag;

    if ((code = atls_cbor_check(in, 0, err)) != ATLS_OK)
        return code;
    if (atls_cbor_get_tag(&r, &tag)) {
        if (tag != TAG_SIGN1 || tagging == ATLS_COSE_TAG_FORBIDDEN)
            return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                    "COSE_Sign1: tag %llu, want %s", (unsigned long long)tag,
                                    tagging == ATLS_COSE_TAG_FORBIDDEN ? "none" : "18");
    } else if (tagging == ATLS_COSE_TAG_REQUIRED) {
        return malformed(err, "COSE_Sign1", "no tag, want 18");
    }
    if (!atls_cbor_enter_array(&r, &array) || array.left != 4)
        return malformed(err, "COSE_Sign1", "not an array of 4");
    if (!atls_cbor_get_bytes(&r, &s.protected_header))
        return malformed(err, "COSE_Sign1 protected header", "not a byte string");
    if (!atls_cbor_get_item(&r, &s.unprotected_header))
        return malformed(err, "COSE_Sign1 unprotected header", "truncated");
    s.detached = atls_cbor_get_null(&r);
    if (!s.detached && !atls_cbor_get_bytes(&r, &s.payload))
        return malformed(err, "COSE_Sign1 payload", "neither a byte string nor nil");
    if (!atls_cbor_get_bytes(&r, &s.signature) || s.signature.len == 0)
        return malformed(err, "COSE_Sign1 signature", "not a non-empty byte string");
    if ((code = read_headers(&s, understood, err)) != ATLS_OK)
        return code;
    *out = s;
    return ATLS_OK;
}

/* RFC 9052 section 3: an empty map goes as a string of no bytes. */
static struct atls_bytes without_empty_map(struct atls_bytes header)
{
    return header.len == 1 && header.ptr[0] == 0xa0 ? atls_bytes_of(NULL, 0) : header;
}

/* The first two members in place: the head of the array and the protected header. */
static bool get_protected(struct atls_reader *r, struct atls_bytes *out)
{
    struct atls_cbor_iter array;
    uint64_t tag;

    (void)(atls_cbor_get_tag(r, &tag) && tag == TAG_SIGN1);
    return atls_cbor_enter_array(r, &array) && array.left == 4 && atls_cbor_get_bytes(r, out);
}

/* in with another protected header, in arena. */
static enum atls_code replace_protected(const struct atls_reader *after, struct atls_bytes header,
                                        struct atls_arena *arena, struct atls_bytes *in,
                                        struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(in->len + 16);
    bool tagged = in->ptr[0] >> 5 == ATLS_CBOR_TAG;
    bool kept;

    if (tagged)
        atls_cbor_put_tag(&w, TAG_SIGN1);
    atls_cbor_put_array(&w, 4);
    atls_cbor_put_bytes(&w, header);
    atls_put_bytes(&w, atls_bytes_of(after->in.ptr + after->pos, atls_reader_left(after)));
    kept = w.failed == ATLS_OK && atls_arena_copy(arena, atls_writer_bytes(&w), in);
    atls_writer_clear(&w);
    return kept ? ATLS_OK : atls_fail(err, ATLS_E_NOMEM, "COSE_Sign1: out of memory");
}

enum atls_code atls_cose_sign1_decode_of_any_width(struct atls_bytes in,
                                                   enum atls_cose_tagging tagging,
                                                   struct atls_arena *arena,
                                                   struct atls_cose_sign1 *out,
                                                   struct atls_err *err)
{
    struct atls_bytes protected_header = {NULL, 0}, shortened = {NULL, 0};
    struct atls_cose_sign1 sign1;
    struct atls_reader r;
    enum atls_code code;

    if ((code = atls_cbor_shorten(in, ATLS_CBOR_DEPTH_MAX, arena, &in, err)) != ATLS_OK)
        return code;
    r = atls_reader_init(in);
    if (!get_protected(&r, &protected_header))
        return atls_cose_sign1_decode(in, tagging, out, err); /* says what is wrong */
    if (protected_header.len != 0) {
        code = atls_cbor_shorten(protected_header, ATLS_CBOR_DEPTH_MAX, arena, &shortened, err);
        if (code == ATLS_OK && shortened.ptr != protected_header.ptr)
            code = replace_protected(&r, shortened, arena, &in, err);
    }
    if (code != ATLS_OK || (code = atls_cose_sign1_decode(in, tagging, &sign1, err)) != ATLS_OK)
        return code;
    sign1.protected_header = protected_header;
    *out = sign1;
    return ATLS_OK;
}

void atls_cose_put_to_be_signed(struct atls_writer *w, struct atls_bytes protected_header,
                                struct atls_bytes external_aad, struct atls_bytes payload)
{
    atls_cbor_put_array(w, 4);
    atls_cbor_put_text(w, "Signature1");
    atls_cbor_put_bytes(w, without_empty_map(protected_header));
    atls_cbor_put_bytes(w, external_aad);
    atls_cbor_put_bytes(w, payload);
}

void atls_cose_put_sign1(struct atls_writer *w, struct atls_bytes protected_header,
                         struct atls_bytes unprotected_header, struct atls_bytes payload,
                         struct atls_bytes signature)
{
    atls_cbor_put_tag(w, TAG_SIGN1);
    atls_cbor_put_array(w, 4);
    atls_cbor_put_bytes(w, without_empty_map(protected_header));
    if (unprotected_header.len == 0)
        atls_cbor_put_map(w, 0);
    else
        atls_put_bytes(w, unprotected_header);
    atls_cbor_put_bytes(w, payload);
    atls_cbor_put_bytes(w, signature);
}

/* RFC 9052 section 7.1, RFC 9053 section 7, RFC 8230 section 4. */
enum { KEY_KTY = 1, KEY_KID = 2, KEY_ALG = 3 };
enum { RSA_LAST_PRIVATE = -12, RSA_FIRST_PRIVATE = -3, EC_PRIVATE = -4 };

/* Key types and curves, with the content of their AlgorithmIdentifier (RFC 5480 section 2.1.1,
 * RFC 8410 section 3, RFC 3279 section 2.3.1). */
#define DER(literal)                                                                               \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }
#define OID_EC "\x06\x07\x2a\x86\x48\xce\x3d\x02\x01"

struct key_kind {
    enum atls_cose_kty kty;
    enum atls_cose_crv crv;
    size_t field; /* bytes of a coordinate; 0 for RSA */
    struct atls_bytes algorithm;
};

static const struct key_kind key_kinds[] = {
    {ATLS_COSE_EC2, ATLS_COSE_P256, 32, DER(OID_EC "\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07")},
    {ATLS_COSE_EC2, ATLS_COSE_P384, 48, DER(OID_EC "\x06\x05\x2b\x81\x04\x00\x22")},
    {ATLS_COSE_EC2, ATLS_COSE_P521, 66, DER(OID_EC "\x06\x05\x2b\x81\x04\x00\x23")},
    {ATLS_COSE_OKP, ATLS_COSE_ED25519, 32, DER("\x06\x03\x2b\x65\x70")},
    {ATLS_COSE_RSA, (enum atls_cose_crv)0, 0,
     DER("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00")},
};
#define KEY_KINDS (sizeof key_kinds / sizeof key_kinds[0])

static const struct key_kind *find_kind(int64_t kty, int64_t crv)
{
    for (size_t i = 0; i < KEY_KINDS; i++)
        if ((int64_t)key_kinds[i].kty == kty &&
            (kty == ATLS_COSE_RSA || (int64_t)key_kinds[i].crv == crv))
            return &key_kinds[i];
    return NULL;
}

/* The members of a COSE_Key as encoded, before the key type says what -1 to -3 mean. */
struct key_members {
    struct atls_bytes kty, kid, alg;
    struct atls_bytes minus1, minus2, minus3;
    bool has_minus4;      /* private in every type */
    bool has_rsa_private; /* -3 to -12 */
};

static void note_member(struct key_members *m, int64_t label, struct atls_bytes value)
{
    const struct {
        int64_t label;
        struct atls_bytes *slot;
    } slots[] = {
        {KEY_KTY, &m->kty}, {KEY_KID, &m->kid}, {KEY_ALG, &m->alg},
        {-1, &m->minus1},   {-2, &m->minus2},   {-3, &m->minus3},
    };

    for (size_t i = 0; i < sizeof slots / sizeof slots[0]; i++)
        if (slots[i].label == label)
            *slots[i].slot = value;
    m->has_minus4 |= label == EC_PRIVATE;
    m->has_rsa_private |= label >= RSA_LAST_PRIVATE && label <= RSA_FIRST_PRIVATE;
}

static enum atls_code read_members(struct atls_bytes in, struct key_members *m,
                                   struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_cbor_iter map;

    if (!atls_cbor_enter_map(&r, &map))
        return malformed(err, "COSE_Key", "not a map");
    while (atls_cbor_more(&r, &map)) {
        struct atls_bytes text, value;
        int64_t label = 0;

        if (!atls_cbor_get_int(&r, &label) && !atls_cbor_get_text(&r, &text))
            return malformed(err, "COSE_Key", "label is neither an integer nor text");
        if (!atls_cbor_get_item(&r, &value))
            return malformed(err, "COSE_Key", "truncated");
        note_member(m, label, value);
    }
    return ATLS_OK;
}

/* A member that must be one byte string; false too when it is absent. */
static bool member_bytes(struct atls_bytes member, struct atls_bytes *out)
{
    struct atls_reader r = atls_reader_init(member);

    return atls_cbor_get_bytes(&r, out);
}

static bool member_int(struct atls_bytes member, int64_t *out)
{
    struct atls_reader r = atls_reader_init(member);

    return atls_cbor_get_int(&r, out);
}

/* RFC 8230 section 4: unsigned, big-endian, no leading zero. */
static bool is_rsa_number(struct atls_bytes number, size_t max)
{
    return number.len != 0 && number.len <= max && number.ptr[0] != 0;
}

static enum atls_code read_rsa(const struct key_members *m, struct atls_cose_key *key,
                               struct atls_err *err)
{
    if (m->has_rsa_private)
        return malformed(err, "COSE_Key", "holds a private part");
    if (!member_bytes(m->minus1, &key->n) || !is_rsa_number(key->n, RSA_MODULUS_MAX))
        return malformed(err, "COSE_Key n", "missing, or not a positive number without leading 0");
    if (!member_bytes(m->minus2, &key->e) || !is_rsa_number(key->e, RSA_EXPONENT_MAX))
        return malformed(err, "COSE_Key e", "missing, or not a positive number without leading 0");
    return ATLS_OK;
}

static enum atls_code read_curve_key(const struct key_members *m, size_t field,
                                     struct atls_cose_key *key, struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(m->minus3);

    if (m->has_minus4)
        return malformed(err, "COSE_Key", "holds a private part");
    if (!member_bytes(m->minus2, &key->x) || key->x.len != field)
        return malformed(err, "COSE_Key x", "missing, or not as long as the field");
    if (key->kty == ATLS_COSE_OKP || atls_cbor_get_bool(&r, &key->y_is_odd))
        return ATLS_OK;
    if (!atls_cbor_get_bytes(&r, &key->y) || key->y.len != field)
        return malformed(err, "COSE_Key y", "missing, or not as long as the field");
    return ATLS_OK;
}

enum atls_code atls_cose_key_decode(struct atls_bytes in, struct atls_cose_key *out,
                                    struct atls_err *err)
{
    struct key_members m = {.has_minus4 = false};
    struct atls_cose_key key = {.alg = 0};
    const struct key_kind *kind;
    int64_t kty, crv = 0;
    enum atls_code code;

    if ((code = atls_cbor_check(in, 0, err)) != ATLS_OK ||
        (code = read_members(in, &m, err)) != ATLS_OK)
        return code;
    if (!member_int(m.kty, &kty))
        return malformed(err, "COSE_Key kty", "missing, or not an integer");
    if (kty != ATLS_COSE_RSA && !member_int(m.minus1, &crv))
        return malformed(err, "COSE_Key crv", "missing, or not an integer");
    if ((kind = find_kind(kty, crv)) == NULL)
        return atls_fail(err, ATLS_E_UNSUPPORTED,
                         "COSE_Key: kty %lld, crv %lld is not a key type that is supported",
                         (long long)kty, (long long)crv);
    if (m.kid.ptr != NULL && !member_bytes(m.kid, &key.kid))
        return malformed(err, "COSE_Key kid", "not a byte string");
    if (m.alg.ptr != NULL && !member_int(m.alg, &key.alg))
        return malformed(err, "COSE_Key alg", "not an integer");
    key.kty = kind->kty;
    key.crv = kind->crv;
    code = kind->field == 0 ? read_rsa(&m, &key, err) : read_curve_key(&m, kind->field, &key, err);
    if (code == ATLS_OK)
        *out = key;
    return code;
}

void atls_cose_put_key(struct atls_writer *w, const struct atls_cose_key *key)
{
    bool is_ec2 = key->kty == ATLS_COSE_EC2;
    bool is_rsa = key->kty == ATLS_COSE_RSA;

    atls_cbor_put_map(w, is_ec2 ? 4 : 3);
    atls_cbor_put_int(w, KEY_KTY);
    atls_cbor_put_int(w, key->kty);
    atls_cbor_put_int(w, -1);
    if (is_rsa)
        atls_cbor_put_bytes(w, key->n);
    else
        atls_cbor_put_int(w, key->crv);
    atls_cbor_put_int(w, -2);
    atls_cbor_put_bytes(w, is_rsa ? key->e : key->x);
    if (!is_ec2)
        return;
    atls_cbor_put_int(w, -3);
    if (key->y.ptr == NULL)
        atls_cbor_put_bool(w, key->y_is_odd);
    else
        atls_cbor_put_bytes(w, key->y);
}

#define POINT_UNCOMPRESSED 0x04

static enum atls_code spki_rsa(struct atls_bytes bits, struct atls_cose_key *key,
                               struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(bits);
    struct atls_bytes sequence;

    if (!atls_tlv_get(&r, ATLS_TLV_SEQUENCE, &sequence) || !atls_reader_done(&r))
        return malformed(err, "RSAPublicKey", "not one SEQUENCE");
    r = atls_reader_init(sequence);
    if (!atls_tlv_get_positive(&r, &key->n) || key->n.len > RSA_MODULUS_MAX)
        return malformed(err, "RSAPublicKey modulus", "not a positive INTEGER, or too large");
    if (!atls_tlv_get_positive(&r, &key->e) || key->e.len > RSA_EXPONENT_MAX ||
        !atls_reader_done(&r))
        return malformed(err, "RSAPublicKey exponent", "not a positive INTEGER, or not the last");
    return ATLS_OK;
}

static enum atls_code spki_point(struct atls_bytes bits, size_t field, struct atls_cose_key *key,
                                 struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(bits);
    uint8_t form;

    if (!atls_get_u8(&r, &form))
        return malformed(err, "ECPoint", "empty");
    if (form == 2 || form == 3)
        return atls_fail(err, ATLS_E_UNSUPPORTED, "ECPoint: compressed form is not supported");
    if (form != POINT_UNCOMPRESSED || !atls_get_bytes(&r, field, &key->x) ||
        !atls_get_bytes(&r, field, &key->y) || !atls_reader_done(&r))
        return malformed(err, "ECPoint", "not an uncompressed point of the curve's size");
    return ATLS_OK;
}

static enum atls_code spki_key(struct atls_bytes bits, const struct key_kind *kind,
                               struct atls_cose_key *key, struct atls_err *err)
{
    key->kty = kind->kty;
    key->crv = kind->crv;
    switch (kind->kty) {
    case ATLS_COSE_RSA:
        return spki_rsa(bits, key, err);
    case ATLS_COSE_EC2:
        return spki_point(bits, kind->field, key, err);
    case ATLS_COSE_OKP:
    default:
        if (bits.len != kind->field)
            return malformed(err, "SubjectPublicKeyInfo", "Ed25519 key is not of 32 bytes");
        key->x = bits;
        return ATLS_OK;
    }
}

enum atls_code atls_cose_key_from_spki(struct atls_bytes spki, struct atls_cose_key *key,
                                       struct atls_err *err)
{
    struct atls_cose_key found = {.alg = 0};
    struct atls_bytes algorithm, bits;
    const struct key_kind *kind = NULL;
    const char *rule = atls_tlv_split_spki(spki, &algorithm, &bits);
    enum atls_code code;

    if (rule != NULL)
        return malformed(err, "SubjectPublicKeyInfo", rule);
    for (size_t i = 0; i < KEY_KINDS && kind == NULL; i++)
        if (atls_bytes_equal(algorithm, key_kinds[i].algorithm))
            kind = &key_kinds[i];
    if (kind == NULL)
        return atls_fail(err, ATLS_E_UNSUPPORTED,
                         "SubjectPublicKeyInfo: algorithm is not one that is supported");
    code = spki_key(bits, kind, &found, err);
    if (code == ATLS_OK)
        *key = found;
    return code;
}

/* Everything before the key bits; bits counts the bytes of the key alone. */
static void put_spki_head(struct atls_writer *w, const struct key_kind *kind, size_t bits)
{
    atls_tlv_put_head(w, ATLS_TLV_SEQUENCE,
                      atls_tlv_size(kind->algorithm.len) + atls_tlv_size(bits + 1));
    atls_tlv_put_head(w, ATLS_TLV_SEQUENCE, kind->algorithm.len);
    atls_put_bytes(w, kind->algorithm);
    atls_tlv_put_head(w, ATLS_TLV_BIT_STRING, bits + 1);
    atls_put_u8(w, 0);
}

static enum atls_code put_spki_rsa(struct atls_writer *w, const struct key_kind *kind,
                                   const struct atls_cose_key *key, struct atls_err *err)
{
    size_t body;

    if (!is_rsa_number(key->n, RSA_MODULUS_MAX) || !is_rsa_number(key->e, RSA_EXPONENT_MAX))
        return atls_fail(err, ATLS_E_USAGE, "COSE_Key: n or e is not a number of its form");
    body = atls_tlv_positive_size(key->n) + atls_tlv_positive_size(key->e);
    put_spki_head(w, kind, atls_tlv_size(body));
    atls_tlv_put_head(w, ATLS_TLV_SEQUENCE, body);
    atls_tlv_put_positive(w, key->n);
    atls_tlv_put_positive(w, key->e);
    return ATLS_OK;
}

enum atls_code atls_cose_put_spki(struct atls_writer *w, const struct atls_cose_key *key,
                                  struct atls_err *err)
{
    const struct key_kind *kind = find_kind(key->kty, key->crv);

    if (kind == NULL)
        return atls_fail(err, ATLS_E_UNSUPPORTED, "COSE_Key: kty %d, crv %d is not supported",
                         (int)key->kty, (int)key->crv);
    if (kind->kty == ATLS_COSE_RSA)
        return put_spki_rsa(w, kind, key, err);
    if (kind->kty == ATLS_COSE_EC2 && key->y.ptr == NULL)
        return atls_fail(err, ATLS_E_UNSUPPORTED, "COSE_Key: compressed point");
    if (key->x.len != kind->field || (kind->kty == ATLS_COSE_EC2 && key->y.len != kind->field))
        return atls_fail(err, ATLS_E_USAGE, "COSE_Key: coordinate is not as long as the field");
    if (kind->kty == ATLS_COSE_OKP) {
        put_spki_head(w, kind, kind->field);
        atls_put_bytes(w, key->x);
        return ATLS_OK;
    }
    put_spki_head(w, kind, 1 + 2 * kind->field);
    atls_put_u8(w, POINT_UNCOMPRESSED);
    atls_put_bytes(w, key->x);
    atls_put_bytes(w, key->y);
    return ATLS_OK;
}
