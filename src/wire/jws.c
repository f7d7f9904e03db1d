#include "wire/jws.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "core/base64.h"
#include "core/err.h"
#include "core/json_writer.h"
#include "core/log.h"
#include "core/reader.h"

/* Lengths of signatures (RFC 7518 sections 3.4 and 3.5, RFC 8037 section 3.1); those of RSA are as
 * long as the key. HMAC and "none" are not here, so that no public key ever serves as a secret. */
static const struct algorithm {
    const char *name;
    size_t least, most;
} algorithms[] = {
    {"ES256", 64, 64},    {"ES384", 96, 96},    {"ES512", 132, 132},  {"EdDSA", 64, 64},
    {"PS256", 256, 1024}, {"PS384", 256, 1024}, {"PS512", 256, 1024},
};

static enum atls_code malformed(struct atls_err *err, const char *rule)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "JWS: %s", rule);
}

static enum atls_code decode_segment(struct atls_bytes text, const char *name, struct atls_buf *out,
                                     struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(ATLS_EAR_MAX);

    if (text.len == 0 || !atls_base64url_get(text, &w)) {
        atls_writer_clear(&w);
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "JWS: %s is empty or no base64url without padding", name);
    }
    return atls_writer_finish(&w, out, err);
}

/* Three segments, no more and no fewer dots than two. */
static enum atls_code split(struct atls_bytes token, struct atls_bytes segments[static 3],
                            struct atls_err *err)
{
    size_t start = 0, count = 0;

    if (token.len == 0)
        return malformed(err, "empty");
    for (size_t i = 0; i <= token.len; i++) {
        if (i < token.len && token.ptr[i] != '.')
            continue;
        if (count == 3)
            return malformed(err, "more than three segments");
        segments[count++] = atls_bytes_of(token.ptr + start, i - start);
        start = i + 1;
    }
    return count == 3 ? ATLS_OK : malformed(err, "fewer than three segments");
}

/* A text member of the header: absent leaves out empty. */
static enum atls_code copy_member(const json_t *header, const char *name, char *out, size_t size,
                                  struct atls_err *err)
{
    const json_t *value = json_object_get(header, name);

    if (value == NULL)
        return ATLS_OK;
    if (!json_is_string(value) || json_string_length(value) >= size)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "JWS header: \"%s\" is no text of at most %zu bytes", name,
                                size - 1);
    snprintf(out, size, "%s", json_string_value(value));
    return ATLS_OK;
}

static enum atls_code check_algorithm(const struct atls_jws *jws, struct atls_err *err)
{
    char shown[ATLS_JWS_ALG_MAX * 4 + 1];

    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++) {
        if (strcmp(jws->alg, algorithms[i].name) != 0)
            continue;
        if (jws->signature.len < algorithms[i].least || jws->signature.len > algorithms[i].most)
            return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                    "JWS: %s signature of %zu bytes, want %zu..%zu", jws->alg,
                                    jws->signature.len, algorithms[i].least, algorithms[i].most);
        return ATLS_OK;
    }
    return atls_fail_reason(
        err, ATLS_E_UNSUPPORTED, ATLS_REASON_SIGNATURE, "JWS header: alg \"%s\" is not accepted",
        atls_escape(atls_bytes_of(jws->alg, strlen(jws->alg)), shown, sizeof shown));
}

/* RFC 7515 section 4.1.9: a media type, in letters of either case, whose "application/" may be left
 * out. A token that says it is something else was made for another use. */
static enum atls_code check_type(const struct atls_jws *jws, bool is_there, struct atls_err *err)
{
    static const char *const types[] = {"jwt", "application/jwt", "eat+jwt", "application/eat+jwt"};
    struct atls_bytes typ = atls_bytes_of(jws->typ, strlen(jws->typ));
    char shown[ATLS_JWS_KID_MAX];

    if (!is_there)
        return ATLS_OK;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (atls_bytes_equal_without_case(typ, atls_bytes_of(types[i], strlen(types[i]))))
            return ATLS_OK;
    return atls_fail(err, ATLS_E_UNSUPPORTED, "JWS header: typ \"%s\", want JWT or eat+jwt",
                     atls_escape(typ, shown, sizeof shown));
}

static enum atls_code read_header(struct atls_jws *jws, struct atls_err *err)
{
    json_t *header =
        json_loadb((const char *)jws->header.ptr, jws->header.len, JSON_REJECT_DUPLICATES, NULL);
    enum atls_code code;

    if (!json_is_object(header)) {
        json_decref(header);
        return malformed(err, "header is no JSON object with unique members");
    }
    if (json_object_get(header, "crit") != NULL) {
        json_decref(header);
        return atls_fail(err, ATLS_E_UNSUPPORTED, "JWS header: \"crit\" names what we do not do");
    }
    if ((code = copy_member(header, "alg", jws->alg, sizeof jws->alg, err)) == ATLS_OK &&
        (code = copy_member(header, "kid", jws->kid, sizeof jws->kid, err)) == ATLS_OK &&
        (code = copy_member(header, "typ", jws->typ, sizeof jws->typ, err)) == ATLS_OK &&
        (code = check_algorithm(jws, err)) == ATLS_OK)
        code = check_type(jws, json_object_get(header, "typ") != NULL, err);
    json_decref(header);
    return code;
}

enum atls_code atls_jws_decode(struct atls_bytes token, struct atls_jws *out, struct atls_err *err)
{
    struct atls_bytes segments[3];
    struct atls_jws jws;
    enum atls_code code;

    memset(&jws, 0, sizeof jws);
    if (token.len > ATLS_EAR_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "JWS: %zu bytes, want at most %d", token.len,
                         ATLS_EAR_MAX);
    if ((code = split(token, segments, err)) == ATLS_OK &&
        (code = decode_segment(segments[0], "header", &jws.header, err)) == ATLS_OK &&
        (code = decode_segment(segments[1], "payload", &jws.payload, err)) == ATLS_OK &&
        (code = decode_segment(segments[2], "signature", &jws.signature, err)) == ATLS_OK)
        code = read_header(&jws, err);
    if (code != ATLS_OK) {
        atls_jws_clear(&jws);
        return code;
    }
    jws.signed_part = atls_bytes_of(token.ptr, segments[0].len + 1 + segments[1].len);
    *out = jws;
    return ATLS_OK;
}

void atls_jws_clear(struct atls_jws *jws)
{
    atls_buf_clear(&jws->header);
    atls_buf_clear(&jws->payload);
    atls_buf_clear(&jws->signature);
    memset(jws, 0, sizeof *jws);
}

void atls_jws_put_signed_part(struct atls_writer *w, const char *alg, const char *kid,
                              struct atls_bytes payload)
{
    struct atls_json j = atls_json_init(1024);
    struct atls_buf header = ATLS_BUF_INIT;
    enum atls_code code;

    atls_json_open_object(&j, NULL);
    atls_json_put_string(&j, "alg", alg);
    atls_json_put_string(&j, "typ", "JWT");
    if (kid != NULL)
        atls_json_put_string(&j, "kid", kid);
    atls_json_close(&j);
    if ((code = atls_json_finish(&j, &header, NULL)) != ATLS_OK) {
        if (w->failed == ATLS_OK)
            w->failed = code;
        return;
    }
    atls_base64url_put(w, atls_buf_bytes(&header));
    atls_put_u8(w, '.');
    atls_base64url_put(w, payload);
    atls_buf_clear(&header);
}

void atls_jws_put_signature(struct atls_writer *w, struct atls_bytes signature)
{
    atls_put_u8(w, '.');
    atls_base64url_put(w, signature);
}
