#include "simulator/arm.h"

#include <string.h>

#include "core/err.h"
#include "wire/cbor.h"
#include "wire/tpm.h"

#define TOKEN_MAX (1024 * 1024)

static const uint8_t digest_bl2[32] = "simulated digest of firmware BL2";
static const uint8_t digest_rmm[32] = "simulated digest of the RMM     ";
static const uint8_t signer[32] = "simulated firmware signer's hash";
static const struct atls_sim_component firmware[] = {
    {"BL2", "1.0.0", NULL, {digest_bl2, 32}, {signer, 32}},
    {"RMM", "0.5.0", "sha-256", {digest_rmm, 32}, {signer, 32}},
};

/* ---- heads as long as they can be ---- */

static void put_wide_head(struct atls_writer *w, uint8_t first, uint64_t value)
{
    atls_put_u8(w, (uint8_t)((first & 0xe0) | 27));
    atls_put_u64(w, value);
}

/* in has shortest heads, definite lengths and no simple values. */
static void put_wide(struct atls_writer *w, struct atls_bytes in)
{
    struct atls_reader r = atls_reader_init(in);

    while (!atls_reader_done(&r)) {
        uint8_t first = in.ptr[r.pos], info = first & 0x1f, type = first >> 5;
        size_t more = info < 24 ? 0 : (size_t)1 << (info - 24);
        uint64_t value = info < 24 ? info : 0;
        struct atls_bytes bytes;

        r.pos++;
        for (size_t i = 0; i < more; i++)
            value = value << 8 | in.ptr[r.pos++];
        put_wide_head(w, first, value);
        if ((type == ATLS_CBOR_BYTES || type == ATLS_CBOR_TEXT) &&
            atls_get_bytes(&r, (size_t)value, &bytes))
            atls_put_bytes(w, bytes);
    }
}

/* Moves what was written to out, widened when asked. */
static enum atls_code finish(struct atls_writer *w, bool wide, struct atls_buf *out,
                             struct atls_err *err)
{
    struct atls_writer widened = atls_writer_init(TOKEN_MAX);

    if (!wide || w->failed != ATLS_OK)
        return atls_writer_finish(w, out, err);
    put_wide(&widened, atls_writer_bytes(w));
    atls_writer_clear(w);
    return atls_writer_finish(&widened, out, err);
}

/* ---- claims ---- */

/* A claims set in the making: one writer for all items. */
struct claims {
    struct atls_writer w;
    uint64_t count;
    const struct atls_sim_claim *changes;
};

static struct claims claims_init(const struct atls_sim_claim *changes)
{
    struct claims c = {atls_writer_init(TOKEN_MAX), 0, changes};

    return c;
}

static bool is_end(const struct atls_sim_claim *change)
{
    return change == NULL || (change->key == 0 && change->item.ptr == NULL);
}

static const struct atls_sim_claim *find_change(const struct claims *c, int64_t key)
{
    for (const struct atls_sim_claim *one = c->changes; !is_end(one); one++)
        if (one->key == key && !one->beside)
            return one;
    return NULL;
}

/* True when the caller is to write the item of this claim. */
static bool begin_claim(struct claims *c, int64_t key)
{
    const struct atls_sim_claim *change = find_change(c, key);

    if (change == NULL) {
        c->count++;
        atls_cbor_put_int(&c->w, key);
    }
    return change == NULL;
}

static void put_bytes(struct claims *c, int64_t key, struct atls_bytes v)
{
    if (begin_claim(c, key))
        atls_cbor_put_bytes(&c->w, v);
}

static void put_text(struct claims *c, int64_t key, const char *v)
{
    if (begin_claim(c, key))
        atls_cbor_put_text(&c->w, v);
}

static void put_int(struct claims *c, int64_t key, int64_t v)
{
    if (begin_claim(c, key))
        atls_cbor_put_int(&c->w, v);
}

static void put_component(struct atls_writer *w, const struct atls_sim_component *c)
{
    const char *const texts[] = {c->type, c->version, c->hash};
    static const int64_t keys[] = {1, 4, 6};
    uint64_t count = 2;

    for (size_t i = 0; i < 3; i++)
        count += texts[i] != NULL;
    atls_cbor_put_map(w, count);
    atls_cbor_put_int(w, 2);
    atls_cbor_put_bytes(w, c->value);
    atls_cbor_put_int(w, 5);
    atls_cbor_put_bytes(w, c->signer_id);
    for (size_t i = 0; i < 3; i++) {
        if (texts[i] == NULL)
            continue;
        atls_cbor_put_int(w, keys[i]);
        atls_cbor_put_text(w, texts[i]);
    }
}

static void put_components(struct claims *c, int64_t key, const struct atls_sim_component *list,
                           size_t count)
{
    if (!begin_claim(c, key))
        return;
    atls_cbor_put_array(&c->w, count);
    for (size_t i = 0; i < count; i++)
        put_component(&c->w, &list[i]);
}

static enum atls_code finish_claims(struct claims *c, bool wide, struct atls_buf *out,
                                    struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(TOKEN_MAX);

    for (const struct atls_sim_claim *one = c->changes; !is_end(one); one++) {
        if (one->item.ptr == NULL)
            continue;
        atls_cbor_put_int(&c->w, one->key);
        atls_put_bytes(&c->w, one->item);
        c->count++;
    }
    atls_cbor_put_map(&w, c->count);
    atls_put_bytes(&w, atls_writer_bytes(&c->w));
    if (c->w.failed != ATLS_OK)
        w.failed = c->w.failed;
    atls_writer_clear(&c->w);
    return finish(&w, wide, out, err);
}

/* ---- envelopes ---- */

static int64_t alg_of(const struct atls_private_key *key)
{
    switch (atls_key_type(atls_private_key_public(key))) {
    case ATLS_KEY_P384:
        return -35;
    case ATLS_KEY_P521:
        return -36;
    default:
        return -7;
    }
}

static enum atls_code make_protected(const struct atls_sim_envelope *e, bool wide,
                                     struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(TOKEN_MAX);

    if (e->protected_header.ptr != NULL)
        return atls_buf_copy(out, e->protected_header, err);
    atls_cbor_put_map(&w, 1);
    atls_cbor_put_int(&w, 1);
    atls_cbor_put_int(&w, e->alg != 0 ? e->alg : alg_of(e->key));
    return finish(&w, wide, out, err);
}

static enum atls_code sign(const struct atls_sim_envelope *e, struct atls_bytes protected_header,
                           struct atls_bytes payload, struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(TOKEN_MAX);
    enum atls_code code;

    if (e->signature.ptr != NULL)
        return atls_buf_copy(out, e->signature, err);
    atls_cose_put_to_be_signed(&w, protected_header, atls_bytes_of(NULL, 0), payload);
    code = w.failed != ATLS_OK ? atls_fail(err, w.failed, "simulator: out of memory")
                               : atls_private_key_sign_raw(e->key, atls_private_key_scheme(e->key),
                                                           atls_writer_bytes(&w), out, err);
    atls_writer_clear(&w);
    return code;
}

/* payload is the caller's. */
static enum atls_code make_token(const struct atls_sim_envelope *e, bool wide,
                                 struct atls_bytes payload, struct atls_buf *out,
                                 struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(TOKEN_MAX);
    struct atls_buf header = ATLS_BUF_INIT, signature = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = make_protected(e, wide, &header, err)) == ATLS_OK &&
        (code = sign(e, atls_buf_bytes(&header), payload, &signature, err)) == ATLS_OK) {
        if (!e->no_tag)
            atls_cbor_put_tag(&w, e->tag != 0 ? e->tag : 18);
        atls_cbor_put_array(&w, 4);
        atls_cbor_put_bytes(&w, atls_buf_bytes(&header));
        if (e->unprotected_header.ptr != NULL)
            atls_put_bytes(&w, e->unprotected_header);
        else
            atls_cbor_put_map(&w, 0);
        atls_cbor_put_bytes(&w, payload);
        atls_cbor_put_bytes(&w, atls_buf_bytes(&signature));
        code = finish(&w, wide, out, err);
    }
    atls_buf_clear(&header);
    atls_buf_clear(&signature);
    return code;
}

/* ---- keys ---- */

static enum atls_code point_of(const struct atls_private_key *key, struct atls_cose_key *out,
                               struct atls_err *err)
{
    enum atls_code code =
        atls_cose_key_from_spki(atls_key_spki(atls_private_key_public(key)), out, err);

    if (code == ATLS_OK && out->kty != ATLS_COSE_EC2)
        code = atls_fail(err, ATLS_E_UNSUPPORTED, "simulator: key is no EC key");
    return code;
}

enum atls_code atls_sim_arm_instance(const struct atls_private_key *key, uint8_t out[33],
                                     struct atls_err *err)
{
    static const uint8_t uncompressed = 0x04;
    uint8_t digest[ATLS_HASH_MAX];
    struct atls_cose_key point;
    enum atls_code code;

    if ((code = point_of(key, &point, err)) != ATLS_OK)
        return code;
    code = atls_hash_parts(
        ATLS_HASH_SHA256,
        (const struct atls_bytes[]){atls_bytes_of(&uncompressed, 1), point.x, point.y}, 3, digest,
        err);
    if (code != ATLS_OK)
        return code;
    out[0] = 1;
    memcpy(out + 1, digest, 32);
    return ATLS_OK;
}

enum atls_code atls_sim_realm_key(const struct atls_private_key *key, bool legacy,
                                  struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(TOKEN_MAX);
    struct atls_cose_key point;
    enum atls_code code;

    if ((code = point_of(key, &point, err)) != ATLS_OK)
        return code;
    if (legacy) {
        atls_put_u8(&w, 0x04);
        atls_put_bytes(&w, point.x);
        atls_put_bytes(&w, point.y);
    } else {
        atls_cose_put_key(&w, &point);
    }
    return atls_writer_finish(&w, out, err);
}

/* ---- CCA ---- */

enum atls_code atls_sim_cca_init(struct atls_sim_cca *cca, const struct atls_private_key *platform,
                                 const struct atls_private_key *realm, struct atls_err *err)
{
    memset(cca, 0, sizeof *cca);
    cca->tag = ATLS_CCA_TAG_MAP;
    cca->platform_envelope.key = platform;
    cca->realm_envelope.key = realm;
    cca->platform_profile = ATLS_CCA_PLATFORM_2023;
    memcpy(cca->implementation_id, "simulated implementation of CCA.", 32);
    cca->config = atls_bytes_of("\xcf\xcf\xcf\xcf", 4);
    cca->lifecycle = 0x3000;
    cca->components = firmware;
    cca->component_count = 2;
    cca->platform_hash = ATLS_ARM_SHA256;
    cca->realm_profile = ATLS_CCA_REALM_2023;
    memset(cca->personalization_value, 0x50, sizeof cca->personalization_value);
    cca->realm_hash = ATLS_ARM_SHA256;
    memset(cca->initial_measurement, 0x1a, sizeof cca->initial_measurement);
    cca->binding = ATLS_ARM_SHA256;
    return atls_sim_arm_instance(platform, cca->instance_id, err);
}

static enum atls_hash hash_of(enum atls_arm_hash hash)
{
    return hash == ATLS_ARM_SHA256   ? ATLS_HASH_SHA256
           : hash == ATLS_ARM_SHA384 ? ATLS_HASH_SHA384
                                     : ATLS_HASH_SHA512;
}

static enum atls_code make_platform(const struct atls_sim_cca *cca, struct atls_bytes realm_key,
                                    struct atls_buf *out, struct atls_err *err)
{
    struct claims c = claims_init(cca->platform_changes);
    const enum atls_hash hash = hash_of(cca->binding);
    uint8_t challenge[ATLS_HASH_MAX];
    struct atls_buf payload = ATLS_BUF_INIT;
    enum atls_code code = atls_hash_one(hash, realm_key, challenge, err);

    if (code != ATLS_OK)
        return code;
    put_text(&c, 265, atls_cca_platform_profile_name(cca->platform_profile));
    put_bytes(&c, 10, atls_bytes_of(challenge, atls_hash_len(hash)));
    put_bytes(&c, 2396, atls_bytes_of(cca->implementation_id, 32));
    put_bytes(&c, 256, atls_bytes_of(cca->instance_id, 33));
    put_bytes(&c, 2401, cca->config);
    put_int(&c, 2395, (int64_t)cca->lifecycle);
    put_components(&c, 2399, cca->components, cca->component_count);
    put_text(&c, 2402, atls_arm_hash_name(cca->platform_hash));
    if ((code = finish_claims(&c, cca->wide, &payload, err)) == ATLS_OK)
        code = make_token(&cca->platform_envelope, cca->wide, atls_buf_bytes(&payload), out, err);
    atls_buf_clear(&payload);
    return code;
}

static void put_realm_measurements(const struct atls_sim_cca *cca, struct claims *c)
{
    size_t len = (size_t)cca->realm_hash;

    put_text(c, 44236, atls_arm_hash_name(cca->realm_hash));
    put_bytes(c, 44238, atls_bytes_of(cca->initial_measurement, len));
    if (!begin_claim(c, 44239))
        return;
    atls_cbor_put_array(&c->w, ATLS_CCA_EXTENSIBLE);
    for (size_t i = 0; i < ATLS_CCA_EXTENSIBLE; i++)
        atls_cbor_put_bytes(&c->w, atls_bytes_of(cca->extensible[i], len));
}

static enum atls_code make_realm(const struct atls_sim_cca *cca, struct atls_bytes realm_key,
                                 struct atls_buf *out, struct atls_err *err)
{
    struct claims c = claims_init(cca->realm_changes);
    struct atls_buf payload = ATLS_BUF_INIT;
    enum atls_code code;

    if (cca->realm_profile != ATLS_CCA_REALM_LEGACY)
        put_text(&c, 265, atls_cca_realm_profile_name(cca->realm_profile));
    put_bytes(&c, 10, cca->challenge);
    put_bytes(&c, 44235, atls_bytes_of(cca->personalization_value, 64));
    put_realm_measurements(cca, &c);
    put_bytes(&c, 44237, realm_key);
    put_text(&c, 44240, atls_arm_hash_name(cca->binding));
    if ((code = finish_claims(&c, cca->wide, &payload, err)) == ATLS_OK)
        code = make_token(&cca->realm_envelope, cca->wide, atls_buf_bytes(&payload), out, err);
    atls_buf_clear(&payload);
    return code;
}

static void put_member(const struct atls_sim_cca *cca, struct atls_writer *w, int64_t key,
                       struct atls_bytes token)
{
    atls_cbor_put_int(w, key);
    if (cca->tag != ATLS_CCA_TAG_MAP) {
        atls_cbor_put_array(w, 2);
        atls_cbor_put_uint(w, 263);
    }
    atls_cbor_put_bytes(w, token);
}

static enum atls_code wrap(const struct atls_sim_cca *cca, struct atls_bytes platform,
                           struct atls_bytes realm, struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(TOKEN_MAX);

    if (cca->tag != 0)
        atls_cbor_put_tag(&w, cca->tag);
    atls_cbor_put_map(&w, 2);
    put_member(cca, &w, 44234, cca->platform_token.ptr != NULL ? cca->platform_token : platform);
    put_member(cca, &w, 44241, cca->realm_token.ptr != NULL ? cca->realm_token : realm);
    return finish(&w, cca->wide, out, err);
}

static enum atls_code make_realm_key(const struct atls_sim_cca *cca, struct atls_buf *out,
                                     struct atls_err *err)
{
    const bool legacy = cca->realm_profile == ATLS_CCA_REALM_LEGACY;
    struct atls_writer w = atls_writer_init(TOKEN_MAX);
    struct atls_buf key = ATLS_BUF_INIT;
    enum atls_code code;

    if (cca->realm_key.ptr != NULL)
        return atls_buf_copy(out, cca->realm_key, err);
    if ((code = atls_sim_realm_key(cca->realm_envelope.key, legacy, &key, err)) != ATLS_OK)
        return code;
    atls_put_bytes(&w, atls_buf_bytes(&key));
    atls_buf_clear(&key);
    return finish(&w, cca->wide && !legacy, out, err);
}

enum atls_code atls_sim_cca_token(const struct atls_sim_cca *cca, struct atls_buf *out,
                                  struct atls_err *err)
{
    struct atls_buf key = ATLS_BUF_INIT, platform = ATLS_BUF_INIT, realm = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = make_realm_key(cca, &key, err)) == ATLS_OK &&
        (code = make_platform(cca, atls_buf_bytes(&key), &platform, err)) == ATLS_OK &&
        (code = make_realm(cca, atls_buf_bytes(&key), &realm, err)) == ATLS_OK)
        code = wrap(cca, atls_buf_bytes(&platform), atls_buf_bytes(&realm), out, err);
    atls_buf_clear(&key);
    atls_buf_clear(&platform);
    atls_buf_clear(&realm);
    return code;
}

/* ---- PSA ---- */

enum atls_code atls_sim_psa_init(struct atls_sim_psa *psa, const struct atls_private_key *key,
                                 struct atls_err *err)
{
    memset(psa, 0, sizeof *psa);
    psa->envelope.key = key;
    psa->profile = ATLS_PSA_RFC9783;
    memcpy(psa->implementation_id, "simulated implementation of PSA.", 32);
    psa->client_id = 1;
    psa->lifecycle = 0x3000;
    psa->boot_seed = atls_bytes_of("simulated boot seed of 32 bytes.", 32);
    psa->components = firmware;
    psa->component_count = 2;
    return atls_sim_arm_instance(key, psa->instance_id, err);
}

/* Keys of claims by profile, in the order of enum; 0: none. */
enum psa_claim {
    PROFILE,
    CLIENT,
    LIFECYCLE,
    IMPLEMENTATION,
    SEED,
    CERTIFICATION,
    COMPONENTS,
    NONE,
    NONCE,
    INSTANCE,
    PSA_CLAIMS
};
static const int64_t psa_keys[][PSA_CLAIMS] = {
    [ATLS_PSA_PROFILE_1] = {-75000, -75001, -75002, -75003, -75004, -75005, -75006, -75007, -75008,
                            -75009},
    [ATLS_PSA_2_0_0] = {265, 2394, 2395, 2396, 2397, 2398, 2399, 0, 10, 256},
    [ATLS_PSA_RFC9783] = {265, 2394, 2395, 2396, 268, 2398, 2399, 0, 10, 256},
};

enum atls_code atls_sim_psa_token(const struct atls_sim_psa *psa, struct atls_buf *out,
                                  struct atls_err *err)
{
    const int64_t *keys = psa_keys[psa->profile];
    struct claims c = claims_init(psa->changes);
    struct atls_buf payload = ATLS_BUF_INIT;
    enum atls_code code;

    put_text(&c, keys[PROFILE], atls_psa_profile_name(psa->profile));
    put_int(&c, keys[CLIENT], psa->client_id);
    put_int(&c, keys[LIFECYCLE], (int64_t)psa->lifecycle);
    put_bytes(&c, keys[IMPLEMENTATION], atls_bytes_of(psa->implementation_id, 32));
    if (psa->boot_seed.ptr != NULL)
        put_bytes(&c, keys[SEED], psa->boot_seed);
    if (psa->certification_reference != NULL)
        put_text(&c, keys[CERTIFICATION], psa->certification_reference);
    if (psa->component_count != 0 || keys[NONE] == 0)
        put_components(&c, keys[COMPONENTS], psa->components, psa->component_count);
    else
        put_int(&c, keys[NONE], 1);
    put_bytes(&c, keys[NONCE], psa->nonce);
    put_bytes(&c, keys[INSTANCE], atls_bytes_of(psa->instance_id, 33));
    if ((code = finish_claims(&c, psa->wide, &payload, err)) == ATLS_OK)
        code = make_token(&psa->envelope, psa->wide, atls_buf_bytes(&payload), out, err);
    atls_buf_clear(&payload);
    return code;
}

/* ---- Parsec, CCA ---- */

static enum atls_code make_kat(const struct atls_sim_parsec_cca *parsec, struct atls_buf *out,
                               struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(TOKEN_MAX);
    struct atls_cose_key key;
    enum atls_code code;

    if (parsec->kat.ptr != NULL)
        return atls_buf_copy(out, parsec->kat, err);
    if ((code = atls_cose_key_from_spki(parsec->spki, &key, err)) != ATLS_OK)
        return code;
    atls_cbor_put_tag(&w, 601);
    atls_cbor_put_map(&w, 2);
    atls_cbor_put_int(&w, 10);
    atls_cbor_put_bytes(&w, parsec->nonce);
    atls_cbor_put_int(&w, 8);
    atls_cbor_put_map(&w, 1);
    atls_cbor_put_int(&w, 1);
    atls_cose_put_key(&w, &key);
    return finish(&w, parsec->cca->wide, out, err);
}

static enum atls_code put_bundle(struct atls_bytes kat, struct atls_bytes token,
                                 struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(TOKEN_MAX);

    atls_cbor_put_map(&w, 2);
    atls_cbor_put_text(&w, "kat");
    atls_put_bytes(&w, kat);
    atls_cbor_put_text(&w, "pat");
    atls_put_bytes(&w, token);
    return atls_writer_finish(&w, out, err);
}

enum atls_code atls_sim_parsec_cca_bundle(const struct atls_sim_parsec_cca *parsec,
                                          struct atls_buf *out, struct atls_err *err)
{
    const size_t tag_len = parsec->cca->wide ? 9 : 3;
    struct atls_buf kat = ATLS_BUF_INIT, token = ATLS_BUF_INIT;
    uint8_t challenge[ATLS_HASH_MAX];
    struct atls_bytes hashed;
    enum atls_code code;

    if ((code = make_kat(parsec, &kat, err)) != ATLS_OK)
        return code;
    hashed = atls_buf_bytes(&kat);
    if (parsec->untagged_hash)
        hashed = atls_bytes_of(kat.ptr + tag_len, kat.len - tag_len);
    if ((code = atls_hash_one(ATLS_HASH_SHA512, hashed, challenge, err)) == ATLS_OK) {
        parsec->cca->challenge = atls_bytes_of(challenge, sizeof challenge);
        code = atls_sim_cca_token(parsec->cca, &token, err);
        parsec->cca->challenge = atls_bytes_of(NULL, 0);
    }
    if (code == ATLS_OK)
        code = put_bundle(atls_buf_bytes(&kat), atls_buf_bytes(&token), out, err);
    atls_buf_clear(&kat);
    atls_buf_clear(&token);
    return code;
}

/* ---- Parsec, TPM ---- */

#define ALG_SHA256 ATLS_TPM_ALG_SHA256

static void put_sized(struct atls_writer *w, struct atls_bytes bytes)
{
    atls_put_u16(w, (uint16_t)bytes.len);
    atls_put_bytes(w, bytes);
}

/* TPMT_PUBLIC of an unrestricted signing key, P-256. */
static enum atls_code make_area(const struct atls_sim_parsec_tpm *parsec, struct atls_buf *out,
                                struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(TOKEN_MAX);
    struct atls_cose_key key;
    enum atls_code code;

    if (parsec->public_area.ptr != NULL)
        return atls_buf_copy(out, parsec->public_area, err);
    if ((code = atls_cose_key_from_spki(parsec->spki, &key, err)) != ATLS_OK)
        return code;
    atls_put_u16(&w, ATLS_TPM_ALG_ECC);
    atls_put_u16(&w, ALG_SHA256);
    atls_put_u32(&w, parsec->attributes != 0 ? parsec->attributes : 0x00040072);
    atls_put_u16(&w, 0); /* authPolicy */
    atls_put_u16(&w, ATLS_TPM_ALG_NULL);
    atls_put_u16(&w, ATLS_TPM_ALG_ECDSA);
    atls_put_u16(&w, ALG_SHA256);
    atls_put_u16(&w, ATLS_TPM_ECC_NIST_P256);
    atls_put_u16(&w, ATLS_TPM_ALG_NULL);
    put_sized(&w, key.x);
    put_sized(&w, key.y);
    return atls_writer_finish(&w, out, err);
}

/* The members that both kinds of TPMS_ATTEST begin with. */
static void put_attest_head(const struct atls_sim_parsec_tpm *parsec, struct atls_writer *w,
                            enum atls_tpm_attest_type type)
{
    const bool is_quote = type == ATLS_TPM_ST_ATTEST_QUOTE;
    uint8_t name[34] = {0x00, 0x0b, 0x51};

    atls_put_u32(w, ATLS_TPM_GENERATED);
    atls_put_u16(w, (uint16_t)type);
    put_sized(w, atls_bytes_of(name, sizeof name));
    put_sized(w, is_quote && parsec->quote_nonce.ptr != NULL ? parsec->quote_nonce : parsec->nonce);
    atls_put_u64(w, 123456);
    atls_put_u32(w, is_quote && parsec->other_boot ? 8 : 7);
    atls_put_u32(w, 0);
    atls_put_u8(w, parsec->clock_unsafe ? 0 : 1);
    atls_put_u64(w, 0x20240101);
}

static enum atls_code make_certification(const struct atls_sim_parsec_tpm *parsec,
                                         struct atls_bytes area, struct atls_buf *out,
                                         struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(TOKEN_MAX);
    uint8_t name[2 + ATLS_HASH_MAX] = {0x00, 0x0b};
    enum atls_code code = atls_hash_one(ATLS_HASH_SHA256, area, name + 2, err);

    if (code != ATLS_OK)
        return code;
    name[33] ^= parsec->other_name ? 1 : 0;
    put_attest_head(parsec, &w, ATLS_TPM_ST_ATTEST_CERTIFY);
    put_sized(&w, atls_bytes_of(name, 34));
    put_sized(&w, atls_bytes_of(name, 34)); /* qualifiedName: not looked at */
    return atls_writer_finish(&w, out, err);
}

static enum atls_code put_pcr_digest(const struct atls_sim_parsec_tpm *parsec, uint32_t pcrs,
                                     struct atls_writer *w, struct atls_err *err)
{
    static const uint8_t zeros[24 * 32];
    uint8_t digest[ATLS_HASH_MAX];
    size_t count = 0;
    enum atls_code code;

    if (parsec->pcr_digest.ptr != NULL) {
        put_sized(w, parsec->pcr_digest);
        return ATLS_OK;
    }
    for (unsigned int pcr = 0; pcr < 24; pcr++)
        count += pcrs >> pcr & 1;
    code = atls_hash_one(ATLS_HASH_SHA256, atls_bytes_of(zeros, count * 32), digest, err);
    if (code == ATLS_OK)
        put_sized(w, atls_bytes_of(digest, 32));
    return code;
}

static void put_selection(struct atls_writer *w, uint16_t bank, uint32_t pcrs)
{
    atls_put_u16(w, bank);
    atls_put_u8(w, 4);
    for (unsigned int i = 0; i < 4; i++)
        atls_put_u8(w, (uint8_t)(pcrs >> (8 * i)));
}

static enum atls_code make_quote(const struct atls_sim_parsec_tpm *parsec, struct atls_buf *out,
                                 struct atls_err *err)
{
    const uint32_t pcrs = parsec->pcrs != 0 ? parsec->pcrs : 7;
    struct atls_writer w = atls_writer_init(TOKEN_MAX);
    enum atls_code code;

    put_attest_head(parsec, &w, ATLS_TPM_ST_ATTEST_QUOTE);
    atls_put_u32(&w, parsec->two_banks ? 2 : 1);
    put_selection(&w, parsec->bank != 0 ? parsec->bank : ALG_SHA256, pcrs);
    if (parsec->two_banks)
        put_selection(&w, ATLS_TPM_ALG_SHA384, pcrs);
    if ((code = put_pcr_digest(parsec, pcrs, &w, err)) != ATLS_OK) {
        atls_writer_clear(&w);
        return code;
    }
    return atls_writer_finish(&w, out, err);
}

/* TPMT_SIGNATURE, ECDSA with SHA-256. */
static enum atls_code sign_attest(const struct atls_private_key *key, struct atls_bytes attest,
                                  struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(TOKEN_MAX);
    struct atls_buf rs = ATLS_BUF_INIT;
    enum atls_code code = atls_private_key_sign_raw(key, ATLS_ECDSA_P256_SHA256, attest, &rs, err);

    if (code != ATLS_OK)
        return code;
    atls_put_u16(&w, ATLS_TPM_ALG_ECDSA);
    atls_put_u16(&w, ALG_SHA256);
    put_sized(&w, atls_bytes_of(rs.ptr, 32));
    put_sized(&w, atls_bytes_of(rs.ptr + 32, 32));
    atls_buf_clear(&rs);
    return atls_writer_finish(&w, out, err);
}

struct half {
    struct atls_buf attest, signature;
};

static void put_half(const struct atls_sim_parsec_tpm *parsec, const struct half *half,
                     const uint8_t kid[33], const char *attest_name, struct atls_writer *w)
{
    atls_cbor_put_text(w, "tpmVer");
    atls_cbor_put_text(w, parsec->version != NULL ? parsec->version : "2.0");
    atls_cbor_put_text(w, "kid");
    atls_cbor_put_bytes(w, atls_bytes_of(kid, 33));
    atls_cbor_put_text(w, "sig");
    atls_cbor_put_bytes(w, atls_buf_bytes(&half->signature));
    atls_cbor_put_text(w, attest_name);
    atls_cbor_put_bytes(w, atls_buf_bytes(&half->attest));
}

static enum atls_code put_halves(const struct atls_sim_parsec_tpm *parsec,
                                 const struct half halves[2], struct atls_bytes area,
                                 struct atls_buf *out, struct atls_err *err)
{
    const struct half *kat = &halves[parsec->swapped ? 1 : 0];
    const struct half *pat = &halves[parsec->swapped ? 0 : 1];
    struct atls_writer w = atls_writer_init(TOKEN_MAX);

    atls_cbor_put_map(&w, 2);
    atls_cbor_put_text(&w, "kat");
    atls_cbor_put_map(&w, 5);
    put_half(parsec, kat, parsec->kid, "certInfo", &w);
    atls_cbor_put_text(&w, "pubArea");
    atls_cbor_put_bytes(&w, area);
    atls_cbor_put_text(&w, "pat");
    atls_cbor_put_map(&w, 4);
    put_half(parsec, pat, parsec->quote_kid[0] != 0 ? parsec->quote_kid : parsec->kid, "attestInfo",
             &w);
    return atls_writer_finish(&w, out, err);
}

enum atls_code atls_sim_parsec_tpm_bundle(const struct atls_sim_parsec_tpm *parsec,
                                          struct atls_buf *out, struct atls_err *err)
{
    const struct atls_private_key *quote_ak =
        parsec->quote_ak != NULL ? parsec->quote_ak : parsec->ak;
    struct atls_buf area = ATLS_BUF_INIT;
    struct half halves[2];
    enum atls_code code;

    memset(halves, 0, sizeof halves);
    if ((code = make_area(parsec, &area, err)) == ATLS_OK &&
        (code = make_certification(parsec, atls_buf_bytes(&area), &halves[0].attest, err)) ==
            ATLS_OK &&
        (code = make_quote(parsec, &halves[1].attest, err)) == ATLS_OK &&
        (code = sign_attest(parsec->ak, atls_buf_bytes(&halves[0].attest), &halves[0].signature,
                            err)) == ATLS_OK &&
        (code = sign_attest(quote_ak, atls_buf_bytes(&halves[1].attest), &halves[1].signature,
                            err)) == ATLS_OK)
        code = put_halves(parsec, halves, atls_buf_bytes(&area), out, err);
    atls_buf_clear(&area);
    for (size_t i = 0; i < 2; i++) {
        atls_buf_clear(&halves[i].attest);
        atls_buf_clear(&halves[i].signature);
    }
    return code;
}
