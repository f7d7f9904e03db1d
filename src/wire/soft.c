#include "wire/soft.h"

#include <string.h>

#include "core/err.h"
#include "wire/cbor.h"

/* IANA named information hash algorithms that measurements use. */
static const struct {
    int64_t number;
    size_t len;
} hashes[] = {{1, 32}, {7, 48}, {8, 64}};

static bool measurement_valid(const struct atls_soft_measurement *m)
{
    if (m->name.len == 0 || m->name.len > ATLS_SOFT_NAME_MAX || !atls_utf8_valid(m->name))
        return false;
    for (size_t i = 0; i < sizeof hashes / sizeof hashes[0]; i++)
        if (hashes[i].number == m->named_information)
            return m->digest.len == hashes[i].len;
    return false;
}

/* Deterministic order of text keys (RFC 8949 section 4.2.1): bytewise over the encoding, in which
 * the length comes first. */
static int compare_names(struct atls_bytes a, struct atls_bytes b)
{
    if (a.len != b.len)
        return a.len < b.len ? -1 : 1;
    return memcmp(a.ptr, b.ptr, a.len);
}

static bool get_key(struct atls_reader *r, struct atls_cbor_iter *map, enum atls_soft_claim want)
{
    int64_t key;

    return atls_cbor_more(r, map) && atls_cbor_get_int(r, &key) && key == want;
}

static bool get_measurement(struct atls_reader *r, struct atls_soft_measurement *m)
{
    struct atls_cbor_iter array;

    return atls_cbor_get_text(r, &m->name) && atls_cbor_enter_array(r, &array) &&
           !array.indefinite && array.left == 2 && atls_cbor_more(r, &array) &&
           atls_cbor_get_int(r, &m->named_information) && atls_cbor_more(r, &array) &&
           atls_cbor_get_bytes(r, &m->digest) && measurement_valid(m);
}

static bool get_measurements(struct atls_reader *r, struct atls_soft_token *t)
{
    struct atls_cbor_iter map;

    if (!atls_cbor_enter_map(r, &map) || map.indefinite || map.left > ATLS_SOFT_MEASUREMENTS_MAX)
        return false;
    while (atls_cbor_more(r, &map)) {
        struct atls_soft_measurement *m = &t->measurements[t->measurement_count];

        if (!get_measurement(r, m) ||
            (t->measurement_count > 0 && compare_names(m[-1].name, m->name) >= 0))
            return false;
        t->measurement_count++;
    }
    return map.left == 0;
}

enum atls_code atls_soft_token_decode(struct atls_bytes payload, struct atls_soft_token *out,
                                      struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(payload);
    struct atls_soft_token t;
    struct atls_cbor_iter map;
    bool insecure;

    memset(&t, 0, sizeof t);
    if (!atls_cbor_enter_map(&r, &map) || map.indefinite ||
        !get_key(&r, &map, ATLS_SOFT_CLAIM_CHALLENGE) || !atls_cbor_get_bytes(&r, &t.challenge) ||
        t.challenge.len != ATLS_SOFT_CHALLENGE_LEN || !get_key(&r, &map, ATLS_SOFT_CLAIM_UEID) ||
        !atls_cbor_get_bytes(&r, &t.ueid) || t.ueid.len != ATLS_SOFT_UEID_LEN ||
        t.ueid.ptr[0] != 1 || !get_key(&r, &map, ATLS_SOFT_CLAIM_PROFILE) ||
        !atls_cbor_get_text(&r, &t.profile) ||
        !atls_bytes_equal_text(t.profile, ATLS_SOFT_PROFILE) ||
        !get_key(&r, &map, ATLS_SOFT_CLAIM_MEASUREMENTS) || !get_measurements(&r, &t) ||
        !get_key(&r, &map, ATLS_SOFT_CLAIM_INSECURE) || !atls_cbor_get_bool(&r, &insecure) ||
        !insecure || map.left != 0 || !atls_reader_done(&r))
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "soft token: malformed near byte %zu of %zu", r.pos, payload.len);
    *out = t;
    return ATLS_OK;
}

/* Fills order with the indices of the measurements in order of their names; false when two are
 * equal or one is not encodable. */
static bool sort_measurements(const struct atls_soft_token *t,
                              size_t order[ATLS_SOFT_MEASUREMENTS_MAX])
{
    for (size_t i = 0; i < t->measurement_count; i++) {
        size_t at = i;

        if (!measurement_valid(&t->measurements[i]))
            return false;
        for (; at > 0; at--) {
            int way = compare_names(t->measurements[order[at - 1]].name, t->measurements[i].name);

            if (way == 0)
                return false;
            if (way < 0)
                break;
            order[at] = order[at - 1];
        }
        order[at] = i;
    }
    return true;
}

enum atls_code atls_soft_token_put(struct atls_writer *w, const struct atls_soft_token *token,
                                   struct atls_err *err)
{
    size_t order[ATLS_SOFT_MEASUREMENTS_MAX] = {0};

    if (token->challenge.len != ATLS_SOFT_CHALLENGE_LEN || token->ueid.len != ATLS_SOFT_UEID_LEN ||
        token->ueid.ptr[0] != 1 || token->measurement_count > ATLS_SOFT_MEASUREMENTS_MAX)
        return atls_fail(err, ATLS_E_USAGE,
                         "soft token: challenge of %zu bytes, ueid of %zu, %zu measurements; want "
                         "%d, %d first 01, at most %d",
                         token->challenge.len, token->ueid.len, token->measurement_count,
                         ATLS_SOFT_CHALLENGE_LEN, ATLS_SOFT_UEID_LEN, ATLS_SOFT_MEASUREMENTS_MAX);
    if (!sort_measurements(token, order))
        return atls_fail(err, ATLS_E_USAGE,
                         "soft token: a measurement's name is empty, too long, not UTF-8 or there "
                         "twice, or its digest does not fit its hash");
    atls_cbor_put_map(w, 5);
    atls_cbor_put_int(w, ATLS_SOFT_CLAIM_CHALLENGE);
    atls_cbor_put_bytes(w, token->challenge);
    atls_cbor_put_int(w, ATLS_SOFT_CLAIM_UEID);
    atls_cbor_put_bytes(w, token->ueid);
    atls_cbor_put_int(w, ATLS_SOFT_CLAIM_PROFILE);
    atls_cbor_put_text(w, ATLS_SOFT_PROFILE);
    atls_cbor_put_int(w, ATLS_SOFT_CLAIM_MEASUREMENTS);
    atls_cbor_put_map(w, token->measurement_count);
    for (size_t i = 0; i < token->measurement_count; i++) {
        const struct atls_soft_measurement *m = &token->measurements[order[i]];

        atls_cbor_put_text_bytes(w, m->name);
        atls_cbor_put_array(w, 2);
        atls_cbor_put_int(w, m->named_information);
        atls_cbor_put_bytes(w, m->digest);
    }
    atls_cbor_put_int(w, ATLS_SOFT_CLAIM_INSECURE);
    atls_cbor_put_bool(w, true);
    return ATLS_OK;
}

void atls_soft_put_protected(struct atls_writer *w, int64_t alg, struct atls_bytes ueid)
{
    atls_cbor_put_map(w, 2);
    atls_cbor_put_int(w, 1);
    atls_cbor_put_int(w, alg);
    atls_cbor_put_int(w, 4);
    atls_cbor_put_bytes(w, ueid);
}
