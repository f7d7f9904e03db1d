/* Makes one token of every form, profile and algorithm that we sign, for others to verify: each in
 * a file of its own in the directory given, with the key as JWK beside it. */
#include <stdio.h>
#include <string.h>

#include <atls/ear.h>

#include "crypto/crypto.h"
#include "verifier/ear/keys.h"
#include "verifier/ear/sign.h"
#include "verifier/result.h"

static const uint8_t nonce[32] = {'n', 'o', 'n', 'c', 'e'};

static struct atls_result *make_result(const struct atls_key *key)
{
    static struct atls_claims claims;
    struct atls_outcome outcome;
    struct atls_result *r = NULL;

    memset(&outcome, 0, sizeof outcome);
    memset(&claims, 0, sizeof claims);
    claims.technology = "tpm";
    claims.submod = "TPM";
    claims.key_spki = atls_key_spki(key);
    outcome.policy_id = "policy:test";
    outcome.status = ATLS_TIER_AFFIRMING;
    outcome.trust[ATLS_TRUST_EXECUTABLES] = 3;
    if (atls_result_new(&claims, &outcome, atls_bytes_of(nonce, sizeof nonce), 1700000000, &r,
                        NULL) != ATLS_OK)
        return NULL;
    return r;
}

static int write_file(const char *directory, const char *name, const struct atls_buf *content)
{
    char path[512];
    FILE *file;
    int fine;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    if ((file = fopen(path, "wb")) == NULL)
        return -1;
    fine = fwrite(content->ptr, 1, content->len, file) == content->len;
    return fclose(file) == 0 && fine ? 0 : -1;
}

static int make_tokens(const char *directory, enum atls_key_type type, const char *alg)
{
    static const struct {
        const char *name, *profile;
    } profiles[] = {{"2023", "tag:github.com,2023:veraison/ear"},
                    {"02", "tag:ietf.org,2025-07:ear"},
                    {"03", "tag:ietf.org,2026:rats/ear#03"},
                    {"04", "tag:ietf.org,2026:rats/ear#04"}};
    struct atls_private_key *key = NULL;
    struct atls_ear_options options;
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_result *r = NULL;
    char name[64];
    int rc = 0;

    if (atls_private_key_generate(type, &key, NULL) != ATLS_OK ||
        (r = make_result(atls_private_key_public(key))) == NULL ||
        atls_ear_jwk_encode(atls_private_key_public(key), alg, &out, NULL) != ATLS_OK)
        return -1;
    snprintf(name, sizeof name, "%s.jwk", alg);
    rc = write_file(directory, name, &out);
    atls_buf_clear(&out);
    for (size_t i = 0; rc == 0 && i < 2 * sizeof profiles / sizeof profiles[0]; i++) {
        atls_ear_options_init(&options);
        options.form = i % 2 == 0 ? ATLS_EAR_FORM_JWT : ATLS_EAR_FORM_CWT;
        options.profile = profiles[i / 2].profile;
        options.kid = alg;
        options.lifetime_s = 300;
        if (atls_ear_sign_with(r, key, &options, &out, NULL) != ATLS_OK)
            return -1;
        snprintf(name, sizeof name, "%s-%s.%s", alg, profiles[i / 2].name,
                 i % 2 == 0 ? "jwt" : "cwt");
        rc = write_file(directory, name, &out);
        atls_buf_clear(&out);
    }
    atls_result_unref(r);
    atls_private_key_free(key);
    return rc;
}

int main(int argc, char **argv)
{
    static const struct {
        enum atls_key_type type;
        const char *alg;
    } rows[] = {{ATLS_KEY_P256, "ES256"}, {ATLS_KEY_P384, "ES384"}, {ATLS_KEY_ED25519, "EdDSA"}};

    if (argc != 2)
        return 1;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (make_tokens(argv[1], rows[i].type, rows[i].alg) != 0)
            return 1;
    return 0;
}
