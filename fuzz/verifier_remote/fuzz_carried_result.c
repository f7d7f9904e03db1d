/* What a peer shows as its passport: a CMW, the token in it, and what the token says. Once with the
 * key that signed the seeds, as a Relying Party does, and once as if every signature held, so that
 * what lies behind it is reached. */
#include <stdlib.h>
#include <string.h>

#include "core/reader.h"
#include "verifier/ear/envelope.h"
#include "verifier/remote/carried_result.h"
#include "verifier/result.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW INT64_C(1700000000)

static const char key_pem[] = "-----BEGIN PUBLIC KEY-----\n"
                              "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEU4wEgNEoOWrp4awQkDEMEFNkdpiO\n"
                              "PmeNt2UoBsdC29+iW+uiX6/3vzyc6Bo1CPbgLCvViVsMAKONr8DY/dLyUQ==\n"
                              "-----END PUBLIC KEY-----\n";

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* What is made of it names its key only through submodules that are acceptable. */
static void check_result(struct atls_ear *ear)
{
    const struct atls_result_source source = {.ear = ear};
    struct atls_result *r = NULL;
    bool found = false;

    if (atls_result_from_ear(&source, &r, NULL) != ATLS_OK)
        return;
    for (size_t i = 0; i < atls_result_submods(r); i++) {
        enum atls_tier tier = atls_result_submod_status(r, i);

        found = found || tier == ATLS_TIER_AFFIRMING || tier == ATLS_TIER_WARNING;
    }
    must(atls_result_key(r).len == 0 || found);
    must(atls_result_nonce(r).len <= ATLS_RESULT_NONCE_MAX);
    atls_result_unref(r);
}

/* What is written for a token that was read says the same of it. */
static void check_round_trip(const struct atls_carried_result *carried, const struct atls_ear *ear)
{
    struct atls_carried_result again;
    struct atls_buf cmw = ATLS_BUF_INIT;

    if (atls_carried_result_encode(carried->token, ear, &cmw, NULL) != ATLS_OK)
        return;
    must(atls_carried_result_open(atls_buf_bytes(&cmw), &again, NULL) == ATLS_OK);
    must(again.form == carried->form && atls_bytes_equal(again.token, carried->token));
    must(atls_carried_result_check(&again, ear, NULL) == ATLS_OK);
    atls_buf_clear(&cmw);
}

static void believe(const struct atls_carried_result *carried)
{
    struct atls_envelope e;
    struct atls_ear ear;

    if (atls_envelope_open(carried->token, &e, NULL) != ATLS_OK)
        return;
    if (atls_envelope_claims(&e, 0, &ear, NULL) == ATLS_OK) {
        if (atls_carried_result_check(carried, &ear, NULL) == ATLS_OK)
            check_round_trip(carried, &ear);
        check_result(&ear);
        atls_ear_clear(&ear);
    }
    atls_envelope_clear(&e);
}

static void verify(const struct atls_carried_result *carried)
{
    static struct atls_ear_keys *keys; /* for the life of the process */
    struct atls_ear_check check;
    struct atls_ear ear;

    if (keys == NULL)
        must(atls_ear_keys_parse(atls_bytes_of(key_pem, sizeof key_pem - 1), &keys, NULL) ==
             ATLS_OK);
    atls_ear_check_init(&check);
    check.keys = keys;
    check.time_s = NOW;
    check.max_age_s = 3600;
    if (atls_ear_accept(carried->token, &check, &ear, NULL) != ATLS_OK)
        return;
    must(ear.issued_at_s <= NOW + 60 && NOW - ear.issued_at_s <= 3600);
    check_result(&ear);
    atls_ear_clear(&ear);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct atls_bytes in = atls_bytes_of(data, size);
    struct atls_carried_result carried;
    struct atls_err err = ATLS_ERR_INIT;

    if (atls_carried_result_open(in, &carried, &err) != ATLS_OK) {
        must(err.code != ATLS_OK && err.message[0] != '\0');
        return 0;
    }
    must(carried.token.ptr >= data && carried.token.ptr + carried.token.len <= data + size);
    verify(&carried);
    believe(&carried);
    return 0;
}
