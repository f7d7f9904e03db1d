#include "evidence/arm.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "wire/cbor.h"

#define CLASS_ITEM_MAX 128
#define SIGN1_HEAD_MAX 64

const struct atls_arm_rules *atls_arm_rules_of(const struct atls_evidence_request *request)
{
    static const struct atls_arm_rules strict;
    const struct atls_rules *rules = atls_evidence_options_of(request)->rules;

    return rules != NULL ? &rules->arm : &strict;
}

/* ---- keys ---- */

static void put_class_id(struct atls_writer *w, struct atls_bytes id)
{
    atls_cbor_put_tag(w, ATLS_TAG_BYTES);
    atls_cbor_put_bytes(w, id);
}

bool atls_arm_class_id(struct atls_arena *arena, struct atls_bytes id, struct atls_bytes *out)
{
    struct atls_writer w = atls_writer_init(CLASS_ITEM_MAX);
    bool ok;

    put_class_id(&w, id);
    ok = w.failed == ATLS_OK && atls_arena_copy(arena, atls_writer_bytes(&w), out);
    atls_writer_clear(&w);
    return ok;
}

static enum atls_code untrusted(struct atls_err *err, const char *what)
{
    return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_UNTRUSTED_KEY, "%s", what);
}

/* From a source that looks for instances alone: good when it is of this class all the same. One of
 * no class is not: whoever holds any enrolled key could claim to be any implementation. */
static enum atls_code find_by_instance(const struct atls_evidence_request *request,
                                       struct atls_bytes instance, struct atls_bytes class_id,
                                       struct atls_attest_key *out, struct atls_err *err)
{
    struct atls_attest_key key = {0};
    enum atls_code code = atls_evidence_attest_key(request, instance, &key, err);

    if (code == ATLS_E_NOT_FOUND)
        return untrusted(err, "no attestation key is on file for this implementation and instance");
    if (code != ATLS_OK)
        return code;
    if (!atls_bytes_equal(atls_buf_bytes(&key.class_id), class_id)) {
        atls_attest_key_clear(&key);
        return untrusted(err, "the attestation key of this instance is not this implementation's");
    }
    *out = key;
    return ATLS_OK;
}

static enum atls_code find_by_class(const struct atls_evidence_request *request,
                                    struct atls_bytes instance, struct atls_bytes class_id,
                                    struct atls_attest_key *out, struct atls_err *err)
{
    const struct atls_endorsement_source *source = request->source;
    struct atls_attest_key key = {0};
    enum atls_code code;

    if (source == NULL || source->attest_key_of == NULL)
        return ATLS_E_NOT_FOUND;
    code = source->attest_key_of(source->arg, class_id, instance, &key, err);
    if (code == ATLS_OK) {
        atls_buf_clear(&key.class_id);
        code = atls_buf_copy(&key.class_id, class_id, err);
    }
    if (code != ATLS_OK) {
        atls_attest_key_clear(&key);
        return code;
    }
    *out = key;
    return ATLS_OK;
}

enum atls_code atls_arm_find_key(const struct atls_evidence_request *request,
                                 const struct atls_arm_speaker *speaker,
                                 struct atls_attest_key *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(CLASS_ITEM_MAX);
    struct atls_attest_key key = {0};
    struct atls_buf class_id;
    enum atls_code code;

    put_class_id(&w, speaker->implementation_id);
    if ((code = atls_writer_finish(&w, &class_id, err)) != ATLS_OK)
        return code;
    code = find_by_class(request, speaker->instance_id, atls_buf_bytes(&class_id), &key, err);
    if (code == ATLS_E_NOT_FOUND) {
        atls_err_clear(err);
        code =
            find_by_instance(request, speaker->instance_id, atls_buf_bytes(&class_id), &key, err);
    }
    atls_buf_clear(&class_id);
    if (code != ATLS_OK)
        return code;
    code = atls_attest_key_check(&key, speaker->technology, ATLS_REASON_UNTRUSTED_KEY, err);
    if (code != ATLS_OK) {
        atls_attest_key_clear(&key);
        return code;
    }
    *out = key;
    return ATLS_OK;
}

enum atls_code atls_arm_check_instance(const struct atls_key *key, struct atls_bytes instance_id,
                                       struct atls_err *err)
{
    static const uint8_t uncompressed = 0x04;
    struct atls_cose_key k;
    uint8_t digest[ATLS_HASH_MAX];
    enum atls_code code;

    if ((code = atls_cose_key_from_spki(atls_key_spki(key), &k, err)) != ATLS_OK)
        return code;
    if (k.kty != ATLS_COSE_EC2)
        return untrusted(err, "instance ids are of EC keys, the key on file is none");
    code = atls_hash_parts(ATLS_HASH_SHA256,
                           (const struct atls_bytes[]){atls_bytes_of(&uncompressed, 1), k.x, k.y},
                           3, digest, err);
    if (code != ATLS_OK)
        return code;
    return instance_id.len == 33 && memcmp(instance_id.ptr + 1, digest, 32) == 0
               ? ATLS_OK
               : untrusted(err, "instance id is not 01 || SHA-256 of the attestation key's point");
}

/* ---- signatures ---- */

static bool is_ecdsa(int64_t alg)
{
    return alg == -7 || alg == -35 || alg == -36;
}

enum atls_code atls_arm_verify_signature(const struct atls_arm_signature *s, struct atls_err *err)
{
    const struct atls_signature_algorithm *algorithm =
        is_ecdsa(s->sign1->alg) ? atls_signature_by_cose(s->sign1->alg, atls_key_type(s->key))
                                : NULL;
    struct atls_writer w;
    enum atls_code code;

    if (algorithm == NULL)
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_ALGORITHM,
                                "%s: alg %" PRId64 " does not fit the key, want ES256, ES384 or "
                                "ES512 of its curve",
                                s->what, s->sign1->alg);
    w = atls_writer_init(s->sign1->protected_header.len + s->sign1->payload.len + SIGN1_HEAD_MAX);
    atls_cose_put_to_be_signed(&w, s->sign1->protected_header, atls_bytes_of(NULL, 0),
                               s->sign1->payload);
    code = w.failed != ATLS_OK
               ? atls_fail(err, w.failed, "%s: out of memory", s->what)
               : atls_key_verify_raw(s->key, algorithm->scheme, atls_writer_bytes(&w),
                                     s->sign1->signature, err);
    atls_writer_clear(&w);
    if (code == ATLS_E_VERIFY || code == ATLS_E_DECODE)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, s->reason,
                                "%s: the signature does not verify with its key", s->what);
    return code;
}

enum atls_code atls_arm_check_lifecycle(enum atls_arm_lifecycle lifecycle, bool allow_debug,
                                        const char *what, struct atls_err *err)
{
    if (lifecycle == ATLS_ARM_LIFECYCLE_SECURED ||
        (allow_debug && lifecycle == ATLS_ARM_LIFECYCLE_NON_ROT_DEBUG))
        return ATLS_OK;
    return atls_fail_reason(
        err, ATLS_E_EVIDENCE, ATLS_REASON_LIFECYCLE, "%s: lifecycle is %s, want secured%s", what,
        atls_arm_lifecycle_name(lifecycle), allow_debug ? " or non-rot-debug" : "");
}

/* ---- measurements ---- */

static struct atls_bytes text_of(const char *text)
{
    return atls_bytes_of(text, strlen(text));
}

static const struct atls_named_hash *hash_of(struct atls_bytes name, struct atls_bytes value)
{
    const struct atls_named_hash *named = name.ptr == NULL ? NULL : atls_named_hash_by_name(name);

    if (named != NULL && named->len == value.len)
        return named;
    return atls_named_hash_of(value.len == 32   ? ATLS_HASH_SHA256
                              : value.len == 48 ? ATLS_HASH_SHA384
                                                : ATLS_HASH_SHA512);
}

static struct atls_measurement *next_measurement(struct atls_claims *claims, const char *mkey)
{
    struct atls_measurement *m = &claims->measurements[claims->measurement_count++];

    m->mkey.kind = ATLS_MKEY_TEXT;
    m->mkey.bytes = text_of(mkey);
    return m;
}

static bool put_digest(struct atls_claims *claims, struct atls_measurement *m,
                       struct atls_bytes hash_name, struct atls_bytes value)
{
    const struct atls_named_hash *named = hash_of(hash_name, value);
    struct atls_digest *digest = atls_arena_alloc(&claims->arena, 1, sizeof *digest);

    if (digest == NULL || !atls_arena_copy(&claims->arena, value, &digest->value))
        return false;
    digest->hash = named->hash;
    digest->named_information = named->number;
    m->mval.digests = digest;
    m->mval.digest_count = 1;
    m->mval.present |= ATLS_MVAL_DIGESTS;
    return true;
}

bool atls_arm_add_digest(struct atls_claims *claims, const char *mkey, struct atls_bytes named_hash,
                         struct atls_bytes value)
{
    return put_digest(claims, next_measurement(claims, mkey), named_hash, value);
}

bool atls_arm_add_raw(struct atls_claims *claims, const char *mkey, struct atls_bytes value)
{
    struct atls_measurement *m = next_measurement(claims, mkey);

    m->mval.present |= ATLS_MVAL_RAW;
    return atls_arena_copy(&claims->arena, value, &m->mval.raw);
}

static bool put_signer(struct atls_claims *claims, struct atls_measurement *m,
                       struct atls_bytes signer_id)
{
    m->mval.keys = atls_arena_alloc(&claims->arena, 1, sizeof *m->mval.keys);
    if (m->mval.keys == NULL || !atls_arena_copy(&claims->arena, signer_id, &m->mval.keys->content))
        return false;
    m->mval.keys->tag = ATLS_TAG_BYTES;
    m->mval.key_count = 1;
    m->mval.present |= ATLS_MVAL_KEYS;
    return true;
}

static bool put_member(struct atls_claims *claims, struct atls_measurement *m,
                       enum atls_mval_present member, struct atls_bytes text)
{
    if (text.ptr == NULL)
        return true;
    m->mval.present |= (unsigned int)member;
    return atls_arena_copy(&claims->arena, text,
                           member == ATLS_MVAL_NAME ? &m->mval.name : &m->mval.version);
}

static bool add_component(struct atls_claims *claims, const char *mkey,
                          const struct atls_arm_component *c, struct atls_bytes default_hash)
{
    struct atls_measurement *m = next_measurement(claims, mkey);
    struct atls_bytes named = c->algorithm.ptr != NULL ? c->algorithm : default_hash;

    return put_digest(claims, m, named, c->value) && put_signer(claims, m, c->signer_id) &&
           put_member(claims, m, ATLS_MVAL_NAME, c->type) &&
           put_member(claims, m, ATLS_MVAL_VERSION, c->version);
}

bool atls_arm_add_components(struct atls_claims *claims,
                             const struct atls_arm_components *components)
{
    struct atls_bytes default_hash = {NULL, 0};

    claims->measurements = atls_arena_alloc(&claims->arena, components->count + components->further,
                                            sizeof *claims->measurements);
    if (claims->measurements == NULL)
        return false;
    if (components->default_hash != NULL)
        default_hash = text_of(components->default_hash);
    for (size_t i = 0; i < components->count; i++)
        if (!add_component(claims, components->mkey, &components->list[i], default_hash))
            return false;
    return true;
}

/* ---- details ---- */

bool atls_arm_add_client_id(struct atls_claims *claims, int32_t client_id)
{
    char text[16];

    snprintf(text, sizeof text, "%" PRId32, client_id);
    return atls_claims_add_string(claims, "client-id", text);
}
