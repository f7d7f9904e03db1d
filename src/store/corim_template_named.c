#include "store/corim_template_named.h"

#include <string.h>

#include <atls/limits.h>

#include "core/err.h"
#include "crypto/crypto.h"
#include "store/db.h"
#include "wire/cbor.h"
#include "wire/corim.h"
#include "wire/corim_profile.h"
#include "wire/kat.h"

#define RAW_MAX 1024
#define TCB_LEN 8

/* ---- profiles ---- */

#define DIGEST_384(name, mkey, number, usual)                                                      \
    {                                                                                              \
        name, mkey, number, STORE_FIELD_DIGEST, 48, usual                                          \
    }
#define RAW(name, number, len)                                                                     \
    {                                                                                              \
        name, NULL, number, STORE_FIELD_RAW, len, false                                            \
    }
#define TCB(name, number)                                                                          \
    {                                                                                              \
        name, NULL, number, STORE_FIELD_LEAST_TCB, 0, false                                        \
    }

/* Fields of an attestation report by AMD's numbers. */
static const struct store_field snp_fields[] = {
    DIGEST_384("measurement", NULL, 641, true),
    {"guest-svn", NULL, 1, STORE_FIELD_LEAST, 0, false},
    RAW("policy", 2, 8),
    RAW("family-id", 3, 16),
    RAW("image-id", 4, 16),
    {"vmpl", NULL, 5, STORE_FIELD_NUMBER, 4, false},
    TCB("current-tcb", 6),
    RAW("platform-info", 7, 8),
    RAW("host-data", 642, 32),
    DIGEST_384("id-key-digest", NULL, 643, false),
    DIGEST_384("author-key-digest", NULL, 644, false),
    TCB("reported-tcb", 647),
    TCB("committed-tcb", 3329),
    TCB("launch-tcb", 3968),
    {NULL, NULL, 0, STORE_FIELD_RAW, 0, false},
};

#define TDX(name, usual) DIGEST_384(name, name, 0, usual)
static const struct store_field tdx_fields[] = {
    TDX("mrtd", true),           TDX("rtmr0", true),
    TDX("rtmr1", true),          TDX("rtmr2", true),
    TDX("rtmr3", true),          TDX("mrseam", false),
    TDX("mrconfigid", false),    TDX("mrowner", false),
    TDX("mrownerconfig", false), {NULL, NULL, 0, STORE_FIELD_RAW, 0, false},
};

static const struct store_field platform_fields[] = {
    {"software-components", "cca.software-component", 0, STORE_FIELD_COMPONENTS, 0, true},
    {"config", "cca.platform-config", 0, STORE_FIELD_RAW, 0, true},
    {NULL, NULL, 0, STORE_FIELD_RAW, 0, false},
};

static const struct store_field realm_fields[] = {
    {"rim", "cca.rim", 0, STORE_FIELD_DIGEST, 0, true},
    {"rem0", "cca.rem0", 0, STORE_FIELD_DIGEST, 0, false},
    {"rem1", "cca.rem1", 0, STORE_FIELD_DIGEST, 0, false},
    {"rem2", "cca.rem2", 0, STORE_FIELD_DIGEST, 0, false},
    {"rem3", "cca.rem3", 0, STORE_FIELD_DIGEST, 0, false},
    {"rpv", "cca.rpv", 0, STORE_FIELD_RAW, 64, false},
    {NULL, NULL, 0, STORE_FIELD_RAW, 0, false},
};

static const struct store_field psa_fields[] = {
    {"software-components", "psa.software-component", 0, STORE_FIELD_COMPONENTS, 0, true},
    {NULL, NULL, 0, STORE_FIELD_RAW, 0, false},
};

static const struct store_template_profile profiles[] = {
    {"tpm", ATLS_CORIM_TPM_PROFILE, STORE_CLASS_UUID, NULL},
    {"soft", ATLS_SOFT_PROFILE, STORE_CLASS_UUID, NULL},
    {"snp", ATLS_CORIM_SNP_PROFILE, STORE_CLASS_SNP, snp_fields},
    {"tdx", NULL, STORE_CLASS_TD, tdx_fields},
    {"cca-platform", "tag:arm.com,2025:cca_platform#1.0.0", STORE_CLASS_IMPLEMENTATION,
     platform_fields},
    {"cca-realm", "tag:arm.com,2025:cca_realm#1.0.0", STORE_CLASS_RIM, realm_fields},
    {"psa", "tag:arm.com,2025:psa#1.0.0", STORE_CLASS_IMPLEMENTATION, psa_fields},
};

const struct store_template_profile *store_template_profile_by_name(const char *name)
{
    for (size_t i = 0; i < sizeof profiles / sizeof profiles[0]; i++)
        if (strcmp(profiles[i].name, name) == 0)
            return &profiles[i];
    return NULL;
}

/* ---- classes ---- */

/* 1.3.6.1.4.1.3704.3.1 and .2, encoded as tag 111. */
static bool snp_class(const char *text, uint8_t *out, size_t *out_len)
{
    static const uint8_t vcek[] = {0xd8, 0x6f, 0x49, 0x2b, 0x06, 0x01,
                                   0x04, 0x01, 0x9c, 0x78, 0x03, 0x01};

    if (text != NULL && strcmp(text, "vcek") != 0 && strcmp(text, "vlek") != 0) {
        *out_len = STORE_UUID_CLASS_ID;
        return store_class_from_uuid(text, out);
    }
    memcpy(out, vcek, sizeof vcek);
    *out_len = sizeof vcek;
    if (text != NULL && strcmp(text, "vlek") == 0)
        out[sizeof vcek - 1] = 2;
    return true;
}

/* Tag 560 with the bytes of hexadecimal text. */
static bool bytes_class(const char *text, bool is_rim, uint8_t *out, size_t *out_len)
{
    struct atls_writer w = atls_writer_init(STORE_CLASS_ITEM_MAX);
    uint8_t bytes[64];
    size_t len = 0;
    bool ok = store_hex_parse(text, bytes, sizeof bytes, &len) &&
              (len == 32 || (is_rim && (len == 48 || len == 64)));

    if (ok) {
        atls_cbor_put_tag(&w, ATLS_TAG_BYTES);
        atls_cbor_put_bytes(&w, atls_bytes_of(bytes, len));
        ok = w.failed == ATLS_OK;
    }
    if (ok) {
        memcpy(out, w.ptr, w.len);
        *out_len = w.len;
    }
    atls_writer_clear(&w);
    return ok;
}

bool store_template_class(const struct store_template_profile *profile, const char *text,
                          uint8_t out[STORE_CLASS_ITEM_MAX], size_t *out_len)
{
    *out_len = STORE_UUID_CLASS_ID;
    if (profile->class_form == STORE_CLASS_SNP)
        return snp_class(text, out, out_len);
    if (profile->class_form == STORE_CLASS_TD)
        return store_class_from_uuid(text != NULL ? text : "a2b07d94-54f2-4ab4-9bdf-856e7d832ab8",
                                     out);
    if (text == NULL)
        return false;
    if (profile->class_form == STORE_CLASS_UUID)
        return store_class_from_uuid(text, out);
    return bytes_class(text, profile->class_form == STORE_CLASS_RIM, out, out_len);
}

/* ---- values ---- */

static void put_digest(struct atls_writer *w, struct atls_bytes digest)
{
    enum atls_hash hash = digest.len == 32   ? ATLS_HASH_SHA256
                          : digest.len == 48 ? ATLS_HASH_SHA384
                                             : ATLS_HASH_SHA512;

    atls_cbor_put_uint(w, 2);
    atls_cbor_put_array(w, 1);
    atls_cbor_put_array(w, 2);
    atls_cbor_put_int(w, atls_named_hash_of(hash)->number);
    atls_cbor_put_bytes(w, digest);
}

static bool is_hash_len(size_t len)
{
    return len == 32 || len == 48 || len == 64;
}

/* Hexadecimal text of any length up to size. */
static enum atls_code get_hex(const struct store_json *at, uint8_t *out, size_t size,
                              size_t *out_len, struct atls_err *err)
{
    if (!json_is_string(at->value) ||
        !store_hex_parse(json_string_value(at->value), out, size, out_len) || *out_len == 0)
        return store_json_fail(at, err, "not hexadecimal text, or too long");
    return ATLS_OK;
}

static enum atls_code put_digest_field(struct atls_writer *w, const struct store_field *f,
                                       const struct store_json *at, struct atls_err *err)
{
    uint8_t digest[64];
    size_t len = 0;
    enum atls_code code;

    if ((code = get_hex(at, digest, sizeof digest, &len, err)) != ATLS_OK)
        return code;
    if (f->len != 0 ? len != f->len : !is_hash_len(len))
        return store_json_fail(at, err,
                               f->len != 0 ? "not a digest of 48 bytes"
                                           : "not a digest of 32, 48 or 64 bytes");
    atls_cbor_put_map(w, 1);
    put_digest(w, atls_bytes_of(digest, len));
    return ATLS_OK;
}

static void put_raw(struct atls_writer *w, struct atls_bytes raw)
{
    atls_cbor_put_map(w, 1);
    atls_cbor_put_uint(w, 4);
    atls_cbor_put_tag(w, ATLS_TAG_BYTES);
    atls_cbor_put_bytes(w, raw);
}

static enum atls_code put_raw_field(struct atls_writer *w, const struct store_field *f,
                                    const struct store_json *at, struct atls_err *err)
{
    uint8_t raw[RAW_MAX];
    size_t len = 0;
    enum atls_code code;

    if ((code = get_hex(at, raw, sizeof raw, &len, err)) != ATLS_OK)
        return code;
    if (f->len != 0 && len != f->len)
        return store_json_fail(at, err, "not as long as the field");
    put_raw(w, atls_bytes_of(raw, len));
    return ATLS_OK;
}

static enum atls_code get_number(const struct store_json *at, uint64_t *out, struct atls_err *err)
{
    if (!json_is_integer(at->value) || json_integer_value(at->value) < 0)
        return store_json_fail(at, err, "not a number of 0 or more");
    *out = (uint64_t)json_integer_value(at->value);
    return ATLS_OK;
}

static enum atls_code put_number_field(struct atls_writer *w, const struct store_field *f,
                                       const struct store_json *at, struct atls_err *err)
{
    uint8_t raw[8];
    uint64_t number = 0;
    enum atls_code code;

    if ((code = get_number(at, &number, err)) != ATLS_OK)
        return code;
    if (f->len < sizeof raw && number >> (8 * f->len) != 0)
        return store_json_fail(at, err, "larger than the field");
    for (size_t i = f->len; i-- > 0; number >>= 8)
        raw[i] = (uint8_t)number;
    put_raw(w, atls_bytes_of(raw, f->len));
    return ATLS_OK;
}

static void put_least(struct atls_writer *w, uint64_t least)
{
    atls_cbor_put_map(w, 1);
    atls_cbor_put_uint(w, 1);
    atls_cbor_put_tag(w, ATLS_TAG_MIN_SVN);
    atls_cbor_put_uint(w, least);
}

/* The number that the report has these bytes as. */
static enum atls_code put_tcb_field(struct atls_writer *w, const struct store_json *at,
                                    struct atls_err *err)
{
    uint8_t tcb[TCB_LEN];
    uint64_t number = 0;
    enum atls_code code;

    if ((code = store_json_hex(at, tcb, sizeof tcb, err)) != ATLS_OK)
        return code;
    for (size_t i = sizeof tcb; i-- > 0;)
        number = number << 8 | tcb[i];
    put_least(w, number);
    return ATLS_OK;
}

static enum atls_code put_value(struct atls_writer *w, const struct store_field *f,
                                const struct store_json *at, struct atls_err *err)
{
    uint64_t number = 0;
    enum atls_code code;

    switch (f->form) {
    case STORE_FIELD_DIGEST:
        return put_digest_field(w, f, at, err);
    case STORE_FIELD_NUMBER:
        return put_number_field(w, f, at, err);
    case STORE_FIELD_LEAST:
        if ((code = get_number(at, &number, err)) == ATLS_OK)
            put_least(w, number);
        return code;
    case STORE_FIELD_LEAST_TCB:
        return put_tcb_field(w, at, err);
    case STORE_FIELD_RAW:
    case STORE_FIELD_COMPONENTS: /* not one value */
    default:
        return put_raw_field(w, f, at, err);
    }
}

/* {0: mkey, 1: the values map that follows}. */
static void put_head(struct atls_writer *w, const struct store_field *f)
{
    atls_cbor_put_map(w, 2);
    atls_cbor_put_uint(w, 0);
    if (f->mkey != NULL)
        atls_cbor_put_text(w, f->mkey);
    else
        atls_cbor_put_uint(w, f->number);
    atls_cbor_put_uint(w, 1);
}

/* ---- software components ---- */

struct component {
    const char *name, *version;
    uint8_t digest[64], signer[64];
    size_t digest_len, signer_len;
};

static enum atls_code get_component(const struct store_json *at, struct component *out,
                                    struct atls_err *err)
{
    static const char *const names[] = {"name", "version", "signer-id", "digest", NULL};
    const struct store_json digest = store_json_member(at, "digest"),
                            signer = store_json_member(at, "signer-id");
    enum atls_code code;

    if ((code = store_json_object(at, names, err)) != ATLS_OK ||
        (code = store_json_text(at, "name", STORE_JSON_OPTIONAL, &out->name, err)) != ATLS_OK ||
        (code = store_json_text(at, "version", STORE_JSON_OPTIONAL, &out->version, err)) !=
            ATLS_OK ||
        (code = get_hex(&digest, out->digest, sizeof out->digest, &out->digest_len, err)) !=
            ATLS_OK ||
        (code = get_hex(&signer, out->signer, sizeof out->signer, &out->signer_len, err)) !=
            ATLS_OK)
        return code;
    if (!is_hash_len(out->digest_len))
        return store_json_fail(&digest, err, "not a digest of 32, 48 or 64 bytes");
    return is_hash_len(out->signer_len) ? ATLS_OK
                                        : store_json_fail(&signer, err, "not 32, 48 or 64 bytes");
}

static void put_component(struct atls_writer *w, const struct component *c)
{
    atls_cbor_put_map(w, 2u + (c->version != NULL) + (c->name != NULL));
    if (c->version != NULL) {
        atls_cbor_put_uint(w, 0);
        atls_cbor_put_map(w, 1);
        atls_cbor_put_uint(w, 0);
        atls_cbor_put_text(w, c->version);
    }
    put_digest(w, atls_bytes_of(c->digest, c->digest_len));
    if (c->name != NULL) {
        atls_cbor_put_uint(w, 11);
        atls_cbor_put_text(w, c->name);
    }
    atls_cbor_put_uint(w, 13);
    atls_cbor_put_array(w, 1);
    atls_cbor_put_tag(w, ATLS_TAG_BYTES);
    atls_cbor_put_bytes(w, atls_bytes_of(c->signer, c->signer_len));
}

static enum atls_code put_components(struct atls_writer *w, const struct store_field *f,
                                     const struct store_json *at, size_t *count,
                                     struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    if (!json_is_array(at->value) || json_array_size(at->value) == 0)
        return store_json_fail(at, err, "not an array with elements");
    for (size_t i = 0; i < json_array_size(at->value) && code == ATLS_OK; i++) {
        const struct store_json one = store_json_element(at, i);
        struct component c;

        memset(&c, 0, sizeof c);
        if ((code = get_component(&one, &c, err)) != ATLS_OK)
            break;
        put_head(w, f);
        put_component(w, &c);
        ++*count;
    }
    return code;
}

/* ---- triples ---- */

/* Those that hold together. */
struct together {
    struct atls_writer w;
    size_t count;
};

static enum atls_code put_alternatives(const struct store_named_values *values,
                                       const struct store_field *f, const struct store_json *list,
                                       struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    if (json_array_size(list->value) == 0)
        return store_json_fail(list, err, "no value");
    if (values->profile->class_form == STORE_CLASS_RIM)
        return store_json_fail(list, err, "one value: each realm is a class of its own");
    for (size_t i = 0; i < json_array_size(list->value) && code == ATLS_OK; i++) {
        const struct store_json at = store_json_element(list, i);
        struct atls_writer w = atls_writer_init(2 * RAW_MAX);

        put_head(&w, f);
        if ((code = put_value(&w, f, &at, err)) == ATLS_OK && w.failed != ATLS_OK)
            code = atls_fail(err, w.failed, "CoRIM: out of memory");
        if (code == ATLS_OK)
            values->put(values->arg, atls_writer_bytes(&w), 1);
        atls_writer_clear(&w);
    }
    return code;
}

static enum atls_code put_member(const struct store_named_values *values,
                                 const struct store_field *f, const struct store_json *at,
                                 struct together *t, struct atls_err *err)
{
    if (f->form == STORE_FIELD_COMPONENTS)
        return put_components(&t->w, f, at, &t->count, err);
    if (json_is_array(at->value))
        return put_alternatives(values, f, at, err);
    put_head(&t->w, f);
    t->count++;
    return put_value(&t->w, f, at, err);
}

/* What a realm is made of is its class: manifests say it again as a measurement. */
static void put_rim(const struct store_named_values *values, struct together *t)
{
    struct atls_bytes rim;
    uint64_t tag;

    if (!atls_tagged_bytes(values->class_item, &tag, &rim))
        return;
    put_head(&t->w, &realm_fields[0]);
    atls_cbor_put_map(&t->w, 1);
    put_digest(&t->w, rim);
    t->count++;
}

static enum atls_code put_members(const struct store_named_values *values,
                                  const struct store_json *at, struct together *t,
                                  struct atls_err *err)
{
    const struct store_field *f = values->profile->fields;
    size_t found = 0;
    enum atls_code code;

    if (values->profile->class_form == STORE_CLASS_RIM &&
        store_json_member(at, "rim").value == NULL)
        put_rim(values, t);
    for (; f->name != NULL; f++) {
        const struct store_json member = store_json_member(at, f->name);

        if (member.value == NULL)
            continue;
        found++;
        if ((code = put_member(values, f, &member, t, err)) != ATLS_OK)
            return code;
    }
    if (found != json_object_size(at->value))
        return store_json_fail(at, err, "a member that is not known (docs/store.md)");
    return ATLS_OK;
}

enum atls_code store_template_put_named(const struct store_named_values *values,
                                        const struct store_json *at, struct atls_err *err)
{
    struct together t = {atls_writer_init(ATLS_CORIM_MAX), 0};
    enum atls_code code;

    if (!json_is_object(at->value))
        return store_json_fail(at, err, "not an object");
    code = put_members(values, at, &t, err);
    if (code == ATLS_OK && t.w.failed != ATLS_OK)
        code = atls_fail(err, t.w.failed, "CoRIM: too large, or out of memory");
    if (code == ATLS_OK && t.count != 0)
        values->put(values->arg, atls_writer_bytes(&t.w), t.count);
    atls_writer_clear(&t.w);
    return code;
}
