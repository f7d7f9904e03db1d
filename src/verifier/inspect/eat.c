#include "verifier/inspect/eat.h"

#include "core/err.h"
#include "core/reader.h"
#include "wire/eat_json.h"
#include "wire/json.h"
#include "wire/jws.h"

/* A set takes three levels of what is written, so that those tell how deep within others it is:
 * deeper ones are refused, and shown as they are, before the writer runs out of levels. */
static enum atls_code decode_claims(const struct atls_eat_shown *s, struct atls_bytes in,
                                    struct atls_eat_claims *out)
{
    unsigned int depth = s->v->j->depth / 3;

    return s->is_json ? atls_eat_json_decode(in, depth, s->arena, out, s->v->err)
                      : atls_eat_claims_decode(in, depth, s->arena, out, s->v->err);
}

/* A claims set that nothing protects, of the name that says so. */
static enum atls_code show_bare(const struct atls_eat_shown *s, const char *key,
                                const char *envelope, struct atls_bytes in)
{
    struct atls_eat_claims claims;
    enum atls_code code = decode_claims(s, in, &claims);

    if (code != ATLS_OK)
        return code;
    atls_json_open_object(s->v->j, key);
    atls_json_put_string(s->v->j, "envelope", envelope);
    atls_eat_show_claims(s, "claims", &claims);
    atls_json_close(s->v->j);
    return ATLS_OK;
}

/* A signature over no claim at all. */
static bool is_empty(struct atls_bytes payload)
{
    struct atls_json_value claims;

    return atls_json_parse(payload, &claims, NULL) == ATLS_OK &&
           atls_bytes_equal_text(claims.raw, "{}");
}

static enum atls_code show_jwt(const struct atls_eat_shown *s, const char *key,
                               struct atls_bytes in)
{
    struct atls_eat_claims claims;
    struct atls_jws jws;
    enum atls_code code = atls_jws_decode(in, &jws, s->v->err);

    if (code != ATLS_OK)
        return code;
    if (is_empty(atls_buf_bytes(&jws.payload)))
        code = atls_fail_reason(s->v->err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "JWT: the claims set is empty");
    else
        code = decode_claims(s, atls_buf_bytes(&jws.payload), &claims);
    if (code == ATLS_OK) {
        atls_json_open_object(s->v->j, key);
        atls_json_put_string(s->v->j, "envelope", "jwt");
        atls_json_put_string(s->v->j, "alg", jws.alg);
        if (jws.kid[0] != '\0')
            atls_json_put_string(s->v->j, "kid", jws.kid);
        atls_eat_show_claims(s, "claims", &claims);
        atls_json_put_hex(s->v->j, "signature", atls_buf_bytes(&jws.signature));
        atls_json_close(s->v->j);
    }
    atls_jws_clear(&jws);
    return code;
}

static enum atls_code show_bundle(const struct atls_eat_shown *s, const char *key,
                                  const struct atls_eat_bundle *bundle)
{
    struct atls_json *j = s->v->j;

    atls_json_open_object(j, key);
    atls_json_put_string(j, "envelope", "bundle");
    atls_eat_show_token(s, "token", bundle->main_kind, bundle->main_token);
    atls_json_open_array(j, "claims-sets");
    for (size_t i = 0; i < bundle->set_count; i++) {
        atls_json_open_object(j, NULL);
        atls_json_put_text(j, "name", bundle->sets[i].name);
        atls_view_or_hex(s->v, "content", bundle->sets[i].bytes, atls_view_eat);
        atls_json_close(j);
    }
    atls_json_close(j);
    atls_json_close(j);
    return ATLS_OK;
}

static enum atls_code show_tagged(const struct atls_eat_shown *s, const char *key,
                                  struct atls_bytes in)
{
    struct atls_json *j = s->v->j;
    struct atls_eat_claims claims;
    struct atls_eat_token token;
    enum atls_code code = atls_eat_token_open(in, s->arena, &token, s->v->err);

    if (code != ATLS_OK)
        return code;
    if (token.kind == ATLS_EAT_BUNDLE)
        return show_bundle(s, key, &token.bundle);
    if (token.kind == ATLS_EAT_UCCS)
        return show_bare(s, key, "uccs", token.claims);
    if ((code = decode_claims(s, token.claims, &claims)) != ATLS_OK)
        return code;
    atls_json_open_object(j, key);
    atls_json_put_string(j, "envelope", "cwt");
    atls_json_put_int(j, "alg", token.sign1.alg);
    if (token.sign1.kid.ptr != NULL)
        atls_json_put_hex(j, "kid", token.sign1.kid);
    atls_eat_show_claims(s, "claims", &claims);
    atls_json_put_hex(j, "signature", token.sign1.signature);
    atls_json_close(j);
    return ATLS_OK;
}

static enum atls_code show_json_array(const struct atls_eat_shown *s, const char *key,
                                      struct atls_bytes in)
{
    struct atls_eat_bundle bundle;
    enum atls_code code = atls_eat_json_bundle_decode(in, s->arena, &bundle, s->v->err);

    return code == ATLS_OK ? show_bundle(s, key, &bundle) : code;
}

enum atls_code atls_view_eat(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_arena arena = atls_arena_init(ATLS_EAT_ARENA_MAX);
    struct atls_eat_shown s = {v, &arena, true};
    uint8_t first = in.len == 0 ? 0 : in.ptr[0];
    enum atls_code code;

    if (first == '{') {
        code = show_bare(&s, key, "none", in);
    } else if (first == '[') {
        code = show_json_array(&s, key, in);
    } else if (first >= 'A' && first <= 'z') {
        code = show_jwt(&s, key, in);
    } else {
        s.is_json = false;
        code = first >> 5 == 5 ? show_bare(&s, key, "none", in) : show_tagged(&s, key, in);
    }
    atls_arena_clear(&arena);
    return code;
}
