#include <stdlib.h>
#include <string.h>

#include <atls/limits.h>

#include "core/err.h"
#include "crypto/crypto.h"
#include "store/corim_template.h"
#include "wire/cbor.h"
#include "wire/corim.h"

#define RAW_MAX 1024

/* Names of hashes, in the order of their numbers. */
static const struct {
    const char *name;
    enum atls_hash hash;
} hashes[] = {
    {"sha256", ATLS_HASH_SHA256}, {"sha384", ATLS_HASH_SHA384}, {"sha512", ATLS_HASH_SHA512}};
#define HASHES (sizeof hashes / sizeof hashes[0])

/* By the number of the flag. */
static const char *const flag_names[] = {"configured",
                                         "secure",
                                         "recovery",
                                         "debug",
                                         "replay-protected",
                                         "integrity-protected",
                                         "runtime-measured",
                                         "immutable",
                                         "tcb",
                                         "confidential",
                                         "runtime-updatable",
                                         NULL};

static enum atls_code put_number(struct atls_writer *w, const struct store_json *at,
                                 struct atls_err *err)
{
    if (!json_is_integer(at->value) || json_integer_value(at->value) < 0)
        return store_json_fail(at, err, "not a number of 0 or more");
    atls_cbor_put_uint(w, (uint64_t)json_integer_value(at->value));
    return ATLS_OK;
}

static enum atls_code put_text(struct atls_writer *w, const struct store_json *at,
                               struct atls_err *err)
{
    if (!json_is_string(at->value) || json_string_length(at->value) == 0)
        return store_json_fail(at, err, "not a text with letters");
    atls_cbor_put_text_bytes(
        w, atls_bytes_of(json_string_value(at->value), json_string_length(at->value)));
    return ATLS_OK;
}

static enum atls_code put_version(struct atls_writer *w, const struct store_json *at,
                                  struct atls_err *err)
{
    atls_cbor_put_map(w, 1);
    atls_cbor_put_uint(w, 0);
    return put_text(w, at, err);
}

static enum atls_code put_svn(struct atls_writer *w, const struct store_json *at,
                              struct atls_err *err)
{
    atls_cbor_put_tag(w, strcmp(at->key, "svn") == 0 ? ATLS_TAG_SVN : ATLS_TAG_MIN_SVN);
    return put_number(w, at, err);
}

static enum atls_code put_digests(struct atls_writer *w, const struct store_json *at,
                                  struct atls_err *err)
{
    static const char *const names[] = {"sha256", "sha384", "sha512", NULL};
    uint8_t digest[ATLS_HASH_MAX];
    enum atls_code code;

    if ((code = store_json_object(at, names, err)) != ATLS_OK)
        return code;
    if (json_object_size(at->value) == 0)
        return store_json_fail(at, err, "no value");
    atls_cbor_put_array(w, json_object_size(at->value));
    for (size_t i = 0; i < HASHES; i++) {
        const struct store_json one = store_json_member(at, hashes[i].name);
        size_t len = atls_hash_len(hashes[i].hash);

        if (one.value == NULL)
            continue;
        if ((code = store_json_hex(&one, digest, len, err)) != ATLS_OK)
            return code;
        atls_cbor_put_array(w, 2);
        atls_cbor_put_int(w, atls_named_hash_of(hashes[i].hash)->number);
        atls_cbor_put_bytes(w, atls_bytes_of(digest, len));
    }
    return ATLS_OK;
}

static enum atls_code put_flags(struct atls_writer *w, const struct store_json *at,
                                struct atls_err *err)
{
    enum atls_code code;

    if ((code = store_json_object(at, flag_names, err)) != ATLS_OK)
        return code;
    if (json_object_size(at->value) == 0)
        return store_json_fail(at, err, "no value");
    atls_cbor_put_map(w, json_object_size(at->value));
    for (size_t i = 0; flag_names[i] != NULL; i++) {
        const struct store_json one = store_json_member(at, flag_names[i]);

        if (one.value == NULL)
            continue;
        if (!json_is_boolean(one.value))
            return store_json_fail(&one, err, "neither true nor false");
        atls_cbor_put_uint(w, i);
        atls_cbor_put_bool(w, json_is_true(one.value));
    }
    return ATLS_OK;
}

static enum atls_code put_raw(struct atls_writer *w, const struct store_json *at,
                              struct atls_err *err)
{
    uint8_t raw[RAW_MAX];
    size_t len = json_is_string(at->value) ? json_string_length(at->value) / 2 : 0;
    enum atls_code code;

    if (len == 0 || len > RAW_MAX)
        return store_json_fail(at, err, "not hexadecimal text of 1 to 1024 bytes");
    if ((code = store_json_hex(at, raw, len, err)) != ATLS_OK)
        return code;
    atls_cbor_put_tag(w, ATLS_TAG_BYTES);
    atls_cbor_put_bytes(w, atls_bytes_of(raw, len));
    return ATLS_OK;
}

/* Members of the values map, in its order. */
static const struct {
    const char *name;
    uint64_t key;
    enum atls_code (*put)(struct atls_writer *w, const struct store_json *at, struct atls_err *err);
} values[] = {
    {"version", 0, put_version}, {"svn", 1, put_svn},     {"min-svn", 1, put_svn},
    {"digests", 2, put_digests}, {"flags", 3, put_flags}, {"raw-value", 4, put_raw},
    {"name", 11, put_text},
};
#define VALUES (sizeof values / sizeof values[0])

static enum atls_code put_mkey(struct atls_writer *w, const struct store_json *at,
                               struct atls_err *err)
{
    return json_is_string(at->value) ? put_text(w, at, err) : put_number(w, at, err);
}

static enum atls_code put_measurement(struct atls_writer *w, const struct store_json *at,
                                      struct atls_err *err)
{
    static const char *const names[] = {"mkey",  "version",   "svn",  "min-svn", "digests",
                                        "flags", "raw-value", "name", NULL};
    const struct store_json mkey = store_json_member(at, "mkey"),
                            svn = store_json_member(at, "svn"),
                            least = store_json_member(at, "min-svn");
    enum atls_code code;
    size_t count;

    if ((code = store_json_object(at, names, err)) != ATLS_OK)
        return code;
    if (svn.value != NULL && least.value != NULL)
        return store_json_fail(at, err, "svn and min-svn exclude each other");
    if ((count = json_object_size(at->value) - (mkey.value != NULL)) == 0)
        return store_json_fail(at, err, "no value");
    atls_cbor_put_map(w, mkey.value != NULL ? 2 : 1);
    if (mkey.value != NULL) {
        atls_cbor_put_uint(w, 0);
        if ((code = put_mkey(w, &mkey, err)) != ATLS_OK)
            return code;
    }
    atls_cbor_put_uint(w, 1);
    atls_cbor_put_map(w, count);
    for (size_t i = 0; i < VALUES; i++) {
        const struct store_json one = store_json_member(at, values[i].name);

        if (one.value == NULL)
            continue;
        atls_cbor_put_uint(w, values[i].key);
        if ((code = values[i].put(w, &one, err)) != ATLS_OK)
            return code;
    }
    return ATLS_OK;
}

enum atls_code store_template_put_measurements(struct atls_writer *w, const struct store_json *list,
                                               struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    if (!json_is_array(list->value) || json_array_size(list->value) == 0)
        return store_json_fail(list, err, "not an array with elements");
    atls_cbor_put_array(w, json_array_size(list->value));
    for (size_t i = 0; i < json_array_size(list->value) && code == ATLS_OK; i++) {
        const struct store_json one = store_json_element(list, i);

        code = put_measurement(w, &one, err);
    }
    return code;
}
