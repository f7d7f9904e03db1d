#include <string.h>

#include <atls/ear.h>

#include "core/err.h"
#include "core/log.h"
#include "verifier/inspect/json.h"
#include "wire/jws.h"

#define PROFILE_MAX 128

/* Profile of the EARs of all drafts: "tag:ietf.org,2026:rats/ear#03" and its forerunners. */
static bool is_profile(const char *text)
{
    return strstr(text, "rats/ear") != NULL || strstr(text, "veraison/ear") != NULL;
}

/* Claims that mean to be a result: of such a profile, whatever is wrong with the rest. */
static bool claims_to_be_ear(const struct atls_json_value *claims)
{
    char text[PROFILE_MAX + 1];
    struct atls_json_value profile;
    size_t len;

    if (!atls_json_member(claims, "eat_profile", &profile) ||
        !atls_json_get_text(&profile, text, PROFILE_MAX, &len))
        return false;
    text[len] = '\0';
    return is_profile(text);
}

static void put_claims(struct atls_view *v, const char *key, const struct atls_jws *jws,
                       const struct atls_json_value *claims, const struct atls_err *problem)
{
    atls_json_open_object(v->j, key);
    atls_json_put_bool(v->j, "complete", false);
    atls_json_put_text(v->j, "problem", atls_bytes_of(problem->message, strlen(problem->message)));
    if (jws != NULL) {
        atls_json_open_object(v->j, "header");
        atls_json_put_string(v->j, "alg", jws->alg);
        if (jws->kid[0] != '\0')
            atls_json_put_string(v->j, "kid", jws->kid);
        atls_json_close(v->j);
    }
    atls_view_put_json(v->j, "claims", claims);
    if (jws != NULL)
        atls_json_put_hex(v->j, "signature", atls_buf_bytes(&jws->signature));
    atls_json_close(v->j);
}

/* A result that breaks a rule of results is shown as the JSON that it is, with the rule. */
static bool put_incomplete(struct atls_view *v, const char *key, struct atls_bytes in,
                           const struct atls_err *problem)
{
    bool is_jwt = in.len > 3 && memcmp(in.ptr, "eyJ", 3) == 0;
    struct atls_json_value claims;
    struct atls_jws jws;
    bool is_ear;

    while (in.len > 0 && in.ptr[in.len - 1] == '\n')
        in.len--;
    if (is_jwt && atls_jws_decode(in, &jws, NULL) != ATLS_OK)
        return false;
    is_ear = atls_view_json_parse(is_jwt ? atls_buf_bytes(&jws.payload) : in, &claims, NULL) ==
                 ATLS_OK &&
             claims_to_be_ear(&claims);
    if (is_ear)
        put_claims(v, key, is_jwt ? &jws : NULL, &claims, problem);
    if (is_jwt)
        atls_jws_clear(&jws);
    return is_ear;
}

enum atls_code atls_view_ear(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_buf text = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code = atls_ear_show(in, &text, &err);

    if (code == ATLS_OK)
        atls_json_put_raw(v->j, key, atls_buf_bytes(&text));
    else if (code == ATLS_E_DECODE && put_incomplete(v, key, in, &err))
        code = ATLS_OK;
    else if (v->err != NULL)
        *v->err = err;
    atls_buf_clear(&text);
    return code;
}
