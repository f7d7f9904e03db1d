#include "wire/parsec.h"

#include <string.h>

#include "core/err.h"
#include "wire/arm_claims.h"
#include "wire/cbor.h"
#include "wire/tpm.h"

#define NONCE_MIN 8
#define NONCE_MAX 64

static enum atls_code malformed(struct atls_err *err, const char *what, const char *rule)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "Parsec bundle: %s %s", what,
                            rule);
}

/* ---- CCA ---- */

/* One pair of the map, whose whole document was checked. */
static enum atls_code take_member(struct atls_reader *r, struct atls_arena *arena,
                                  struct atls_parsec_cca *out, struct atls_err *err)
{
    struct atls_bytes key, value, name = {NULL, 0};
    struct atls_reader text;
    enum atls_code code;

    if (!atls_cbor_get_item_of_any_width(r, &key) || !atls_cbor_get_item_of_any_width(r, &value))
        return malformed(err, "map", "is truncated");
    if ((code = atls_cbor_shorten(key, ATLS_ARM_DEPTH_MAX, arena, &key, err)) != ATLS_OK)
        return code;
    text = atls_reader_init(key);
    if (atls_cbor_get_text(&text, &name) && atls_bytes_equal_text(name, "kat"))
        out->kat = value;
    else if (name.ptr != NULL && atls_bytes_equal_text(name, "pat"))
        out->token = value;
    else
        return malformed(err, "map", "has a member that is neither kat nor pat");
    return ATLS_OK;
}

enum atls_code atls_parsec_cca_decode(struct atls_bytes in, struct atls_arena *arena,
                                      struct atls_parsec_cca *out, struct atls_err *err)
{
    struct atls_parsec_cca parsec = {{NULL, 0}, {NULL, 0}};
    struct atls_reader r = atls_reader_init(in);
    struct atls_bytes checked;
    struct atls_cbor_iter map;
    enum atls_code code;

    /* Keys are two, known, and none stands twice: both are there. */
    if ((code = atls_cbor_shorten(in, ATLS_ARM_DEPTH_MAX, arena, &checked, err)) != ATLS_OK)
        return code;
    if (!atls_cbor_enter_map_of_any_width(&r, &map) || map.left != 2)
        return malformed(err, "map", "is not one of two members");
    if ((code = take_member(&r, arena, &parsec, err)) != ATLS_OK ||
        (code = take_member(&r, arena, &parsec, err)) != ATLS_OK)
        return code;
    *out = parsec;
    return ATLS_OK;
}

/* cnf: exactly {1: COSE_Key}. */
static enum atls_code read_cnf(struct atls_bytes item, struct atls_cose_key *out,
                               struct atls_err *err)
{
    enum { CNF_COSE_KEY = 1 };
    struct atls_reader r = atls_reader_init(item);
    struct atls_cbor_iter map;
    struct atls_bytes key;
    int64_t method = 0;

    if (!atls_cbor_enter_map(&r, &map) || map.left != 1 || !atls_cbor_get_int(&r, &method) ||
        method != CNF_COSE_KEY || !atls_cbor_get_item(&r, &key))
        return malformed(err, "kat: cnf", "is not one COSE_Key");
    return atls_cose_key_decode(key, out, err);
}

enum atls_code atls_parsec_cca_kat_decode(struct atls_bytes in, struct atls_arena *arena,
                                          struct atls_parsec_cca_kat *out, struct atls_err *err)
{
    enum { TAG_UCCS = 601, NONCE = 0, CNF = 1, CLAIMS = 2 };
    static const int64_t keys[CLAIMS] = {10, 8};
    const struct atls_arm_decoder d = {"Parsec bundle: kat", arena, err};
    struct atls_parsec_cca_kat kat;
    struct atls_bytes items[CLAIMS];
    struct atls_cbor_iter map;
    struct atls_reader r;
    uint64_t tag = 0;
    enum atls_code code;

    memset(&kat, 0, sizeof kat);
    if ((code = atls_arm_shorten(&d, in, &in)) != ATLS_OK)
        return code;
    r = atls_reader_init(in);
    if (!atls_cbor_get_tag(&r, &tag) || tag != TAG_UCCS)
        return malformed(err, "kat", "has not tag 601");
    in = atls_bytes_of(in.ptr + r.pos, atls_reader_left(&r));
    if (!atls_cbor_enter_map(&r, &map) || map.left != CLAIMS)
        return malformed(err, "kat", "is not a map of two claims");
    if ((code = atls_arm_split(&d, in, keys, items, CLAIMS)) != ATLS_OK)
        return code;
    if (!atls_arm_bytes(items[NONCE], &kat.nonce) || kat.nonce.len < NONCE_MIN ||
        kat.nonce.len > NONCE_MAX)
        return malformed(err, "kat: nonce", "is not one of 8 to 64 bytes");
    if ((code = read_cnf(items[CNF], &kat.key, err)) != ATLS_OK)
        return code;
    *out = kat;
    return ATLS_OK;
}

/* ---- TPM ---- */

/* A member of a half: where its bytes go. */
struct member {
    const char *name;
    struct atls_bytes *out;
};
#define MEMBERS_MAX 4

static struct atls_bytes *find_member(const struct member *members, struct atls_bytes name)
{
    for (size_t i = 0; i < MEMBERS_MAX; i++)
        if (members[i].name != NULL && atls_bytes_equal_text(name, members[i].name))
            return members[i].out;
    return NULL;
}

static bool is_version(struct atls_reader *r)
{
    struct atls_bytes version;

    return atls_cbor_get_text(r, &version) && atls_bytes_equal_text(version, "2.0");
}

/* Members are as many as wanted, known, and none stands twice: all are there. */
static enum atls_code read_half(struct atls_reader *r, const char *half,
                                const struct member *members, uint64_t wanted, struct atls_err *err)
{
    struct atls_cbor_iter map;

    if (!atls_cbor_enter_map(r, &map) || map.left != wanted)
        return malformed(err, half, "is no map of the members of its kind");
    while (atls_cbor_more(r, &map)) {
        struct atls_bytes name, *out;

        if (!atls_cbor_get_text(r, &name))
            return malformed(err, half, "has a key that is not text");
        if (atls_bytes_equal_text(name, "tpmVer")) {
            if (!is_version(r))
                return malformed(err, half, "has a tpmVer that is not \"2.0\"");
            continue;
        }
        if ((out = find_member(members, name)) == NULL)
            return malformed(err, half, "has a member that is not of its kind");
        if (!atls_cbor_get_bytes(r, out))
            return malformed(err, half, "has a member that is no byte string");
    }
    return ATLS_OK;
}

static enum atls_code read_certification(struct atls_reader *r, struct atls_parsec_tpm_half *out,
                                         struct atls_err *err)
{
    const struct member members[MEMBERS_MAX] = {{"kid", &out->kid},
                                                {"sig", &out->signature},
                                                {"certInfo", &out->attest},
                                                {"pubArea", &out->public_area}};

    return read_half(r, "kat", members, 5, err);
}

static enum atls_code read_quote(struct atls_reader *r, struct atls_parsec_tpm_half *out,
                                 struct atls_err *err)
{
    const struct member members[MEMBERS_MAX] = {
        {"kid", &out->kid}, {"sig", &out->signature}, {"attestInfo", &out->attest}, {NULL, NULL}};

    return read_half(r, "pat", members, 4, err);
}

static bool is_kid(struct atls_bytes kid)
{
    return kid.len == ATLS_TPM_KID_LEN && kid.ptr[0] == 0x01;
}

enum atls_code atls_parsec_tpm_decode(struct atls_bytes in, struct atls_parsec_tpm *out,
                                      struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_parsec_tpm parsec;
    struct atls_cbor_iter map;
    enum atls_code code;

    memset(&parsec, 0, sizeof parsec);
    if ((code = atls_cbor_check(in, 0, err)) != ATLS_OK)
        return code;
    if (!atls_cbor_enter_map(&r, &map) || map.left != 2)
        return malformed(err, "map", "is not one of two members");
    while (atls_cbor_more(&r, &map)) {
        struct atls_bytes name;

        if (!atls_cbor_get_text(&r, &name))
            return malformed(err, "map", "has a key that is not text");
        if (atls_bytes_equal_text(name, "kat"))
            code = read_certification(&r, &parsec.kat, err);
        else if (atls_bytes_equal_text(name, "pat"))
            code = read_quote(&r, &parsec.pat, err);
        else
            code = malformed(err, "map", "has a member that is neither kat nor pat");
        if (code != ATLS_OK)
            return code;
    }
    if (!is_kid(parsec.kat.kid) || !is_kid(parsec.pat.kid))
        return malformed(err, "kid", "is not one of 33 bytes, the first 01");
    *out = parsec;
    return ATLS_OK;
}
