#include "soft_evidence.h"

#include <string.h>

#include "testlib.h"

#include <atls/limits.h>

#include "wire/cose.h"
#include "wire/kat.h"

static struct atls_buf finish(struct atls_writer *w)
{
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_writer_finish(w, &out, &err), ATLS_OK, &err);
    return out;
}

void test_soft_ueid(const struct atls_private_key *key, uint8_t out[ATLS_SOFT_UEID_LEN])
{
    uint8_t hash[ATLS_HASH_MAX];

    assert_int_equal(
        atls_hash_one(ATLS_HASH_SHA256, atls_key_spki(atls_private_key_public(key)), hash, NULL),
        ATLS_OK);
    out[0] = 1;
    memcpy(out + 1, hash, 32);
}

struct atls_buf test_soft_token(const struct atls_private_key *key, struct atls_bytes challenge)
{
    struct atls_writer header = atls_writer_init(256), tbs = atls_writer_init(8192);
    struct atls_writer claims = atls_writer_init(8192), w = atls_writer_init(8192);
    static struct atls_soft_token t;
    struct atls_buf signature = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t ueid[ATLS_SOFT_UEID_LEN];

    test_soft_ueid(key, ueid);
    memset(&t, 0, sizeof t);
    t.challenge = challenge;
    t.ueid = atls_bytes_of(ueid, sizeof ueid);
    test_assert_code(atls_soft_token_put(&claims, &t, &err), ATLS_OK, &err);
    atls_soft_put_protected(&header, -7, t.ueid);
    atls_cose_put_to_be_signed(&tbs, atls_writer_bytes(&header), atls_bytes_of(NULL, 0),
                               atls_writer_bytes(&claims));
    test_assert_code(atls_private_key_sign_raw(key, atls_private_key_scheme(key),
                                               atls_writer_bytes(&tbs), &signature, &err),
                     ATLS_OK, &err);
    atls_cose_put_sign1(&w, atls_writer_bytes(&header), atls_bytes_of(NULL, 0),
                        atls_writer_bytes(&claims), atls_buf_bytes(&signature));
    atls_writer_clear(&header);
    atls_writer_clear(&tbs);
    atls_writer_clear(&claims);
    atls_buf_clear(&signature);
    return finish(&w);
}

struct atls_buf test_kat(struct atls_bytes binder, struct atls_bytes aik)
{
    struct atls_writer w = atls_writer_init(4096);
    struct atls_cose_key key;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_cose_key_from_spki(aik, &key, &err), ATLS_OK, &err);
    test_assert_code(atls_kat_encode(binder, &key, &w, &err), ATLS_OK, &err);
    return finish(&w);
}

struct atls_buf test_bundle(const char *kat_type, struct atls_bytes kat, const char *pat_type,
                            struct atls_bytes pat)
{
    const struct atls_cmw k = atls_cmw_record(kat_type, kat, ATLS_CMW_EVIDENCE);
    const struct atls_cmw p = atls_cmw_record(pat_type, pat, ATLS_CMW_EVIDENCE);
    struct atls_writer w = atls_writer_init(ATLS_CMW_DATA_MAX);
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_bundle_encode(&k, &p, NULL, &w, &err), ATLS_OK, &err);
    return finish(&w);
}
