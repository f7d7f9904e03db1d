/* Keys, certificates and manifests for tests of the store, and what it answers about them. */
#ifndef ATLS_TEST_STORE_MATERIAL_H
#define ATLS_TEST_STORE_MATERIAL_H

#include "place.h"

#include <atls/corim.h>

#include "core/reader.h"

#define NOW   1800000000
#define CLASS "cd1f0e55-26f9-460d-b9d8-f7fde171787c"

static inline struct atls_buf new_key(struct atls_private_key **out_private)
{
    struct atls_private_key *key;
    struct atls_buf spki = ATLS_BUF_INIT;

    test_assert_code(atls_private_key_generate(ATLS_KEY_P256, &key, NULL), ATLS_OK, NULL);
    test_assert_code(atls_buf_copy(&spki, atls_key_spki(atls_private_key_public(key)), NULL),
                     ATLS_OK, NULL);
    if (out_private != NULL)
        *out_private = key;
    else
        atls_private_key_free(key);
    return spki;
}

static inline struct atls_buf new_certificate(const char *name, bool is_ca)
{
    struct atls_private_key *key;
    struct atls_buf spki = new_key(&key), out = ATLS_BUF_INIT;
    struct atls_certificate_spec spec = {.common_name = name,
                                         .not_before_s = 1,
                                         .not_after_s = NOW * 2LL,
                                         .scheme = ATLS_ECDSA_P256_SHA256,
                                         .spki = atls_buf_bytes(&spki),
                                         .sign = atls_private_key_sign_function,
                                         .sign_arg = key,
                                         .is_ca = is_ca};
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_certificate_make(&spec, &out, &err), ATLS_OK, &err);
    atls_private_key_free(key);
    atls_buf_clear(&spki);
    return out;
}

/* A manifest of the TPM or software profile from a template. */
static inline struct atls_buf make(const char *id, const char *rest)
{
    char text[4096];
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    snprintf(text, sizeof text, "{\"id\": \"%s\", \"tag-id\": \"t\", \"class\": \"" CLASS "\", %s}",
             id, rest);
    test_assert_code(atls_corim_create(atls_bytes_of(text, strlen(text)), &out, &err), ATLS_OK,
                     &err);
    return out;
}

#define D64  "0000000000000000000000000000000000000000000000000000000000000001"
#define E64  "0000000000000000000000000000000000000000000000000000000000000002"
#define PCR0 "\"reference-values\": {\"sha256\": {\"0\": \"" D64 "\"}}"

/* Instance 01 || 32 times byte, and a PEM key, as JSON text. */
static inline void key_json(char *out, size_t size, unsigned int byte, struct atls_bytes spki)
{
    char instance[67] = "01";
    struct atls_buf pem = ATLS_BUF_INIT;
    char escaped[1024];
    size_t used = 0;

    for (size_t i = 0; i < 32; i++)
        snprintf(instance + 2 + 2 * i, 3, "%02x", byte);
    test_assert_code(atls_pem_encode("PUBLIC KEY", spki, &pem, NULL), ATLS_OK, NULL);
    for (size_t i = 0; i < pem.len && used + 3 < sizeof escaped; i++) {
        if (pem.ptr[i] == '\n') {
            escaped[used++] = '\\';
            escaped[used++] = 'n';
        } else {
            escaped[used++] = (char)pem.ptr[i];
        }
    }
    escaped[used] = '\0';
    snprintf(out, size, "{\"instance\": \"%s\", \"key\": \"%s\"}", instance, escaped);
    atls_buf_clear(&pem);
}

static inline struct atls_buf make_with_key(const char *id, unsigned int byte,
                                            struct atls_bytes spki, const char *rest)
{
    char key[1400], text[3000];

    key_json(key, sizeof key, byte, spki);
    snprintf(text, sizeof text, "\"attest-keys\": [%s]%s", key, rest);
    return make(id, text);
}

static inline enum atls_code import(struct atls_store *s, const struct atls_buf *corim,
                                    struct atls_store_import_report *report, struct atls_err *err)
{
    return atls_store_import_corim(s, atls_buf_bytes(corim), atls_bytes_of(NULL, 0), NOW, report,
                                   err);
}

static inline void import_ok(struct atls_store *s, struct atls_buf corim)
{
    struct atls_store_import_report report;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(import(s, &corim, &report, &err), ATLS_OK, &err);
    atls_buf_clear(&corim);
}

static inline void clear_key(struct atls_attest_key *key)
{
    atls_buf_clear(&key->spki);
    atls_buf_clear(&key->public_area);
    atls_buf_clear(&key->class_id);
    atls_buf_clear(&key->vendor);
    atls_buf_clear(&key->model);
}

/* Looks a key up at a time; found keys are compared with spki. */
static inline enum atls_code look_up(struct atls_store *s, int64_t time_s, unsigned int byte,
                                     const struct atls_buf *spki, struct atls_err *err)
{
    struct atls_store_view view = {.store = s, .time_s = time_s};
    struct atls_endorsement_source source;
    struct atls_attest_key key;
    uint8_t instance[33];
    enum atls_code code;

    instance[0] = 1;
    memset(instance + 1, (int)byte, 32);
    atls_store_view_source(&view, &source);
    code = source.attest_key(source.arg, atls_bytes_of(instance, sizeof instance), &key, err);
    if (code == ATLS_OK) {
        test_assert_bytes(atls_buf_bytes(&key.spki), atls_buf_bytes(spki));
        clear_key(&key);
    }
    return code;
}

/* CLASS as encoded class-id. */
static inline struct atls_bytes class_item(void)
{
    static const uint8_t item[] = {0xd8, 0x25, 0x50, 0xcd, 0x1f, 0x0e, 0x55, 0x26, 0xf9, 0x46,
                                   0x0d, 0xb9, 0xd8, 0xf7, 0xfd, 0xe1, 0x71, 0x78, 0x7c};

    return atls_bytes_of(item, sizeof item);
}

static inline size_t count_references(struct atls_store *s, int64_t time_s)
{
    struct atls_reference_set *set;
    struct atls_err err = ATLS_ERR_INIT;
    size_t count;

    test_assert_code(atls_store_references(s, class_item(), time_s, &set, &err), ATLS_OK, &err);
    (void)atls_reference_set_items(set, &count);
    atls_reference_set_unref(set);
    return count;
}

#endif
