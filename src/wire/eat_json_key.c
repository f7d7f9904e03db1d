/* Keys and profiles, in JSON. */
#include "wire/eat_json_read.h"

#include <string.h>

#include "core/err.h"
#include "wire/jwk.h"

/* Out of the arena of a set, whose keys are gone with it. */
static bool copy_key(const struct atls_eat_decoder *d, const struct atls_jwk *jwk,
                     struct atls_cose_key *out)
{
    struct atls_bytes kid = atls_bytes_of(jwk->kid, strlen(jwk->kid));
    const struct {
        struct atls_bytes from, *to;
    } members[] = {
        {jwk->key.x, &out->x}, {jwk->key.y, &out->y}, {jwk->key.n, &out->n},
        {jwk->key.e, &out->e}, {kid, &out->kid},
    };

    *out = jwk->key;
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        if (members[i].from.len > 0 && !atls_arena_copy(d->arena, members[i].from, members[i].to))
            return false;
    return true;
}

static enum atls_code read_jwk(const struct atls_eat_decoder *d, const json_t *value,
                               struct atls_eat_cnf *out)
{
    struct atls_jwks jwks;
    bool copied;
    enum atls_code code;

    if (!json_is_object(value) || json_object_get(value, "keys") != NULL)
        return atls_eat_malformed(d, "cnf jwk", "is not one key");
    if ((code = atls_eat_json_dump(d, value, &out->key_encoded)) != ATLS_OK ||
        (code = atls_jwk_decode(out->key_encoded, &jwks, d->err)) != ATLS_OK)
        return code;
    copied = copy_key(d, &jwks.keys[0], &out->key);
    atls_jwks_clear(&jwks);
    return copied ? ATLS_OK : atls_fail(d->err, ATLS_E_NOMEM, "EAT cnf: no memory");
}

/* RFC 7800 section 3: one key, given or named. */
enum atls_code atls_eat_json_cnf(const struct atls_eat_decoder *d, const json_t *value,
                                 struct atls_eat_cnf *out)
{
    const json_t *jwk = json_object_get(value, "jwk"), *kid = json_object_get(value, "kid");
    enum atls_code code;

    if (json_object_size(value) != 1 || (jwk == NULL && kid == NULL))
        return atls_eat_malformed(d, "cnf", "is no object of either jwk or kid");
    if (kid != NULL) {
        code = atls_eat_json_text(d, kid, "cnf kid", &out->kid);
        return code == ATLS_OK && out->kid.len == 0 ? atls_eat_malformed(d, "cnf kid", "is empty")
                                                    : code;
    }
    return read_jwk(d, jwk, out);
}

/* One arc of a dotted OID, without leading zeros, and the dot behind it. */
static bool take_arc(struct atls_bytes *text, uint64_t *out)
{
    uint64_t arc = 0;
    size_t i = 0;

    for (; i < text->len && text->ptr[i] >= '0' && text->ptr[i] <= '9'; i++) {
        if (arc > (UINT64_MAX - 9) / 10 || (i == 1 && text->ptr[0] == '0'))
            return false;
        arc = 10 * arc + (uint64_t)(text->ptr[i] - '0');
    }
    if (i == 0 || (i < text->len && (text->ptr[i] != '.' || i + 1 == text->len)))
        return false;
    i += i < text->len;
    text->ptr += i;
    text->len -= i;
    *out = arc;
    return true;
}

static void put_arc(struct atls_writer *w, uint64_t arc)
{
    unsigned int shift = 63;

    while (shift > 0 && arc >> shift == 0)
        shift -= 7;
    for (; shift > 0; shift -= 7)
        atls_put_u8(w, (uint8_t)(0x80 | (arc >> shift & 0x7f)));
    atls_put_u8(w, (uint8_t)(arc & 0x7f));
}

/* Content octets of a dotted OID of two arcs or more; false for what is none. */
static bool put_oid(struct atls_writer *w, struct atls_bytes text)
{
    uint64_t first = 0, arc = 0;

    if (!take_arc(&text, &first) || first > 2 || text.len == 0 || !take_arc(&text, &arc) ||
        (first < 2 && arc > 39) || arc > UINT64_MAX - 80)
        return false;
    put_arc(w, 40 * first + arc);
    while (text.len > 0) {
        if (!take_arc(&text, &arc))
            return false;
        put_arc(w, arc);
    }
    return true;
}

/* Section 4.3.2: no URI begins with a digit. */
enum atls_code atls_eat_json_profile(const struct atls_eat_decoder *d, const json_t *value,
                                     struct atls_eat_profile *out)
{
    const char *text = json_string_value(value);
    struct atls_writer w;
    bool copied;

    if (json_string_length(value) == 0)
        return atls_eat_malformed(d, "eat_profile", "is no text with content");
    out->is_oid = text[0] >= '0' && text[0] <= '9';
    if (!out->is_oid)
        return atls_eat_json_text(d, value, "eat_profile", &out->value);
    w = atls_writer_init(2 * json_string_length(value));
    if (!put_oid(&w, atls_bytes_of(text, json_string_length(value)))) {
        atls_writer_clear(&w);
        return atls_eat_malformed(d, "eat_profile", "is no object identifier");
    }
    copied = w.failed == ATLS_OK && atls_arena_copy(d->arena, atls_writer_bytes(&w), &out->value);
    atls_writer_clear(&w);
    return copied ? ATLS_OK : atls_fail(d->err, ATLS_E_NOMEM, "EAT eat_profile: no memory");
}
