#include "peer_claims.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <openssl/evp.h>

#include "text.h"

#define PATH_MAX_LEN   128
#define CLAIM_OVERHEAD 4 /* of a TLV, and "=" */

/* ---- paths ---- */

/* The name at *path up to a dot, which is passed over, in out of PATH_MAX_LEN + 1 bytes; false when
 * it is empty. */
static bool next_name(const char **path, char *out)
{
    size_t n = 0;

    for (; **path != '\0' && **path != '.' && n < PATH_MAX_LEN; (*path)++) {
        if ((*path)[0] == '\\' && (*path)[1] == '.')
            (*path)++;
        out[n++] = **path;
    }
    out[n] = '\0';
    return n > 0;
}

static const char *wrong_with_path(const char *path)
{
    size_t len = strlen(path);
    char name[PATH_MAX_LEN + 1];

    if (len == 0 || len > PATH_MAX_LEN)
        return "a claim is empty, or over 128 bytes";
    for (size_t i = 0; i < len; i++)
        if (path[i] <= ' ' || path[i] > '~' || path[i] == '=')
            return "a claim has a character other than visible ASCII without \"=\"";
    do {
        if (!next_name(&path, name))
            return "a claim has an empty name at a dot";
        if (*path == '.' && path[1] == '\0')
            return "a claim has an empty name at a dot";
    } while (*path++ == '.');
    return NULL;
}

const char *claims_wrong_with(const char *const *paths, size_t count)
{
    size_t room = 0;

    if (count > CLAIMS_MAX)
        return "there are over 16 claims";
    for (size_t i = 0; i < count; i++) {
        const char *wrong = wrong_with_path(paths[i]);

        if (wrong != NULL)
            return wrong;
        for (size_t k = 0; k < i; k++)
            if (strcmp(paths[i], paths[k]) == 0)
                return "a claim is given twice";
        room += strlen(paths[i]) + CLAIM_OVERHEAD + CLAIMS_VALUE_MAX;
    }
    return room > CLAIMS_ROOM ? "claims, with values of 128 bytes, need over 3072 bytes" : NULL;
}

/* An element's number: digits without zeros before them. */
static bool parse_index(const char *name, size_t *out)
{
    size_t len = strlen(name);

    if (len == 0 || len > 6 || strspn(name, "0123456789") != len || (len > 1 && name[0] == '0'))
        return false;
    *out = strtoul(name, NULL, 10);
    return true;
}

/* NULL when there is no such thing; borrows. */
static const json_t *find(const json_t *at, const char *path)
{
    char name[PATH_MAX_LEN + 1];
    size_t index = 0;

    for (;; path++) {
        if (!next_name(&path, name))
            return NULL;
        if (json_is_array(at))
            at = parse_index(name, &index) ? json_array_get(at, index) : NULL;
        else
            at = json_object_get(at, name);
        if (at == NULL || *path != '.')
            return at;
    }
}

/* ---- values ---- */

/* False when it does not fit. */
static bool escape(const char *text, size_t len, char *out, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        bool as_is = c > ' ' && c <= '~' ? c != '%' : c == ' ' && i > 0 && i + 1 < len;

        if (size - n < (as_is ? 2u : 4u))
            return false;
        if (as_is)
            out[n++] = (char)c;
        else
            n += (size_t)snprintf(out + n, size - n, "%%%02X", c);
    }
    out[n] = '\0';
    return n > 0;
}

static void hex_text(const uint8_t *bytes, size_t len, char *out)
{
    for (size_t i = 0; i < len; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static enum atls_code digest(struct atls_bytes in, uint8_t out[32], char *text,
                             struct atls_err *err)
{
    unsigned len = 32;

    if (EVP_Digest(in.ptr, in.len, out, &len, EVP_sha256(), NULL) != 1)
        return set_error(err, ATLS_E_NOMEM, "claims: SHA-256 failed");
    hex_text(out, 32, text);
    return ATLS_OK;
}

/* Into values[count]; false without memory. What has no value that fits is left out. */
static bool add_claim(struct claims *c, const char *path, const json_t *value)
{
    char *out = c->values[c->count], *json = NULL;
    bool fits;

    if (json_is_string(value)) {
        fits =
            escape(json_string_value(value), json_string_length(value), out, sizeof c->values[0]);
    } else {
        json = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
        if (json == NULL)
            return false;
        fits = escape(json, strlen(json), out, sizeof c->values[0]);
        free(json);
    }
    if (fits)
        c->at[c->count++] = (struct proxy_header_claim){path, out};
    return true;
}

static enum atls_code add_claims(const char *text, const struct claims_wanted *wanted,
                                 struct claims *c, struct atls_err *err)
{
    json_t *root = json_loads(text, JSON_ALLOW_NUL, NULL);
    bool ok = root != NULL;

    for (size_t i = 0; ok && i < wanted->count && i < CLAIMS_MAX; i++) {
        const json_t *value = find(root, wanted->paths[i]);

        ok = value == NULL || add_claim(c, wanted->paths[i], value);
    }
    json_decref(root);
    return ok ? ATLS_OK : set_error(err, ATLS_E_NOMEM, "claims: out of memory");
}

/* ---- all of a peer ---- */

static const char *flavour_name(enum atls_flavour flavour)
{
    return flavour == ATLS_FLAVOUR_INTRA ? "intra" : flavour == ATLS_FLAVOUR_PRE ? "pre" : "post";
}

static void set_names(const struct atls_peer *peer, struct claims *c)
{
    struct atls_bytes instance = atls_bytes_of(NULL, 0);

    c->verdict = peer->result == NULL ? "none"
                 : !peer->attested    ? "refused"
                                      : atls_tier_name(atls_result_status(peer->result));
    c->flavour = flavour_name(peer->flavour);
    c->binding = peer->binding != NULL ? peer->binding : "";
    c->freshness = peer->freshness != NULL ? peer->freshness : "";
    if (peer->evidence_type != NULL &&
        !escape(peer->evidence_type, strlen(peer->evidence_type), c->evidence, sizeof c->evidence))
        c->evidence[0] = '\0';
    if (peer->result != NULL)
        instance = atls_result_instance(peer->result);
    if (instance.len > 0 && instance.len <= sizeof c->instance_bytes) {
        memcpy(c->instance_bytes, instance.ptr, instance.len);
        c->instance_len = instance.len;
        hex_text(instance.ptr, instance.len, c->instance);
    }
}

static enum atls_code set_from_json(const struct atls_peer *peer,
                                    const struct claims_wanted *wanted, struct claims *c,
                                    struct atls_err *err)
{
    const char *json;
    enum atls_code code = ATLS_OK;

    if (peer->result == NULL || (!wanted->ear && wanted->count == 0))
        return ATLS_OK;
    if ((json = atls_result_json(peer->result)) == NULL)
        return set_error(err, ATLS_E_NOMEM, "claims: the result is too large, or out of memory");
    if (wanted->ear)
        code = digest(atls_bytes_of(json, strlen(json)), c->ear_bytes, c->ear, err);
    if (code == ATLS_OK && wanted->count > 0)
        code = add_claims(json, wanted, c, err);
    return code;
}

enum atls_code claims_of(const struct atls_peer *peer, const struct claims_wanted *wanted,
                         struct claims *out, struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    memset(out, 0, sizeof *out);
    set_names(peer, out);
    if (wanted->key && peer->result != NULL && peer->spki.len > 0)
        code = digest(peer->spki, out->key_bytes, out->key, err);
    return code != ATLS_OK ? code : set_from_json(peer, wanted, out, err);
}

struct proxy_header_attestation claims_for_header(const struct claims *c)
{
    return (struct proxy_header_attestation){
        .verdict = c->verdict,
        .evidence = c->evidence,
        .binding = c->binding,
        .freshness = c->freshness,
        .ear = atls_bytes_of(c->ear_bytes, c->ear[0] != '\0' ? 32 : 0),
        .instance = atls_bytes_of(c->instance_bytes, c->instance_len),
        .key = atls_bytes_of(c->key_bytes, c->key[0] != '\0' ? 32 : 0),
        .claims = c->at,
        .claim_count = c->count,
    };
}
