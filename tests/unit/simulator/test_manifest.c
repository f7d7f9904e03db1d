/* simulator/manifest.c: what stores are to read of it. */
#include "simulator/manifest.h"

#include <string.h>

#include "testlib.h"
#include "wire/corim.h"
#include "wire/corim_profile.h"
#include "wire/measurement.h"

#define PLATFORM "tag:arm.com,2025:cca_platform#1.0.0"

static const uint8_t id[33] = {1, 2, 3}, digest[64] = {4}, raw[] = {5, 6};
static const char pem[] = "-----BEGIN PUBLIC KEY-----\n"
                          "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt\n"
                          "6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==\n"
                          "-----END PUBLIC KEY-----\n";

/* Makes and reads; the caller clears both. */
static void make(const struct atls_sim_manifest *manifest, struct atls_buf *text,
                 struct atls_corim *corim)
{
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_sim_manifest_make(manifest, text, &err), ATLS_OK, &err);
    test_assert_code(atls_corim_decode(atls_buf_bytes(text), corim, &err), ATLS_OK, &err);
    test_assert_code(atls_corim_profile_check(corim, NULL, &err), ATLS_OK, &err);
}

static void a_key_is_one_that_stores_take(void **state)
{
    struct atls_sim_manifest manifest = {.id = "key",
                                         .profile = PLATFORM,
                                         .instance = {id, sizeof id},
                                         .key_pem = {(const uint8_t *)pem, sizeof pem - 1}};
    struct atls_buf class_id = ATLS_BUF_INIT, text = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_corim corim;

    (void)state;
    test_assert_code(atls_sim_class_id(ATLS_TAG_BYTES, atls_bytes_of(id, 32), &class_id, &err),
                     ATLS_OK, &err);
    manifest.class_id = atls_buf_bytes(&class_id);
    make(&manifest, &text, &corim);
    atls_corim_clear(&corim);
    atls_buf_clear(&text);
    atls_buf_clear(&class_id);
}

static void measurements_are_ones_that_stores_take(void **state)
{
    const struct atls_sim_reference references[] = {
        {.name = "cca.software-component",
         .digest = {digest, 32},
         .component = "BL2",
         .version = "1",
         .signer_id = {id, 32}},
        {.name = "cca.platform-config", .raw = {raw, sizeof raw}},
    };
    struct atls_sim_manifest manifest = {
        .id = "values", .profile = PLATFORM, .references = references, .reference_count = 2};
    struct atls_buf class_id = ATLS_BUF_INIT, text = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_corim corim;

    (void)state;
    test_assert_code(atls_sim_class_id(ATLS_TAG_BYTES, atls_bytes_of(id, 32), &class_id, &err),
                     ATLS_OK, &err);
    manifest.class_id = atls_buf_bytes(&class_id);
    make(&manifest, &text, &corim);
    atls_corim_clear(&corim);
    atls_buf_clear(&text);
    atls_buf_clear(&class_id);
}

static void hashes_go_by_their_length(void **state)
{
    static const struct {
        size_t len;
        uint8_t head[5]; /* [hash, bytes of that length */
    } rows[] = {{32, {0x82, 0x01, 0x58, 32, 4}},
                {48, {0x82, 0x07, 0x58, 48, 4}},
                {64, {0x82, 0x08, 0x58, 64, 4}}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct atls_sim_reference reference = {.number = 7, .digest = {digest, rows[i].len}};
        struct atls_sim_manifest manifest = {
            .id = "x", .references = &reference, .reference_count = 1};
        struct atls_buf class_id = ATLS_BUF_INIT, text = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_corim corim;
        bool found = false;

        test_assert_code(atls_sim_class_id(ATLS_TAG_UUID, atls_bytes_of(id, 16), &class_id, &err),
                         ATLS_OK, &err);
        manifest.class_id = atls_buf_bytes(&class_id);
        make(&manifest, &text, &corim);
        for (size_t at = 0; at + 5 <= text.len; at++)
            found = found || memcmp(text.ptr + at, rows[i].head, 5) == 0;
        assert_true(found);
        atls_corim_clear(&corim);
        atls_buf_clear(&text);
        atls_buf_clear(&class_id);
    }
}

static void what_is_too_long_is_told(void **state)
{
    static const uint8_t large[70000];
    const struct atls_sim_reference reference = {.name = "x", .raw = {large, sizeof large}};
    const struct atls_sim_manifest manifest = {
        .id = "x", .class_id = {raw, 1}, .references = &reference, .reference_count = 1};
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_sim_manifest_make(&manifest, &out, &err), ATLS_E_LIMIT, &err);
    test_assert_code(
        atls_sim_class_id(ATLS_TAG_BYTES, atls_bytes_of(large, sizeof large), &out, &err),
        ATLS_E_LIMIT, &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_one_that_stores_take),
        cmocka_unit_test(measurements_are_ones_that_stores_take),
        cmocka_unit_test(hashes_go_by_their_length),
        cmocka_unit_test(what_is_too_long_is_told),
    };

    return cmocka_run_group_tests_name("manifest", tests, NULL, NULL);
}
