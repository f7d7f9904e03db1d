#include "testlib.h"

#include <string.h>

#include "tpm_forge.h"

#include "bind/tpm_object.h"
#include "core/err.h"

static struct atls_tpmt_public area_of(const struct atls_buf *in)
{
    struct atls_tpmt_public area;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_tpmt_public_decode(atls_buf_bytes(in), &area, &err), ATLS_OK, &err);
    return area;
}

static void name_of_a_recorded_key(void **state)
{
    struct atls_buf in = test_vector("tpm/keylime-quote/ak.pub");
    struct atls_buf want = test_vector("tpm/keylime-quote/ak.name");
    struct atls_tpmt_public area;
    struct atls_tpm_name name;
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t ueid[ATLS_TPM_KID_LEN];

    (void)state;
    test_assert_code(atls_tpm2b_public_decode(atls_buf_bytes(&in), &area, &err), ATLS_OK, &err);
    test_assert_code(atls_tpm_name_of(&area, &name, &err), ATLS_OK, &err);
    test_assert_bytes(atls_tpm_name_bytes(&name), atls_buf_bytes(&want));
    test_assert_code(atls_tpm_ueid_of(&name, ueid, &err), ATLS_OK, &err);
    assert_int_equal(ueid[0], 1);
    assert_memory_equal(ueid + 1, want.ptr + 2, 32);
    atls_buf_clear(&in);
    atls_buf_clear(&want);
}

static void names_by_hash(void **state)
{
    static const struct {
        uint16_t alg;
        size_t len; /* 0: refused */
    } rows[] = {
        {ATLS_TPM_ALG_SHA256, 34}, {ATLS_TPM_ALG_SHA384, 50}, {ATLS_TPM_ALG_SHA512, 66},
        {ATLS_TPM_ALG_SHA1, 0},    {ATLS_TPM_ALG_NULL, 0},    {0x0012, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_tpmt_public area = {.name_alg = rows[i].alg, .raw = {(const uint8_t *)"x", 1}};
        struct atls_tpm_name name;
        struct atls_err err = ATLS_ERR_INIT;
        uint8_t ueid[ATLS_TPM_KID_LEN];
        enum atls_code code = atls_tpm_name_of(&area, &name, &err);

        if (rows[i].len == 0) {
            test_assert_code(code, ATLS_E_EVIDENCE, &err);
            assert_int_equal(err.reason, ATLS_REASON_WEAK_HASH);
            continue;
        }
        test_assert_code(code, ATLS_OK, &err);
        assert_int_equal(name.len, rows[i].len);
        code = atls_tpm_ueid_of(&name, ueid, &err);
        test_assert_code(code, rows[i].len == 34 ? ATLS_OK : ATLS_E_EVIDENCE, &err);
        if (code != ATLS_OK)
            assert_int_equal(err.reason, ATLS_REASON_KID_MISMATCH);
    }
}

static void roles_by_attributes(void **state)
{
    static const struct {
        const char *name;
        enum atls_tpm_role role;
        uint32_t attributes;
        bool good;
    } rows[] = {
        {"AK", ATLS_TPM_ROLE_AK, TEST_TPM_AK_ATTRIBUTES, true},
        {"AK with a policy, without userWithAuth", ATLS_TPM_ROLE_AK, 0x000500b2, true},
        {"AK that is an AIK", ATLS_TPM_ROLE_AK, TEST_TPM_AIK_ATTRIBUTES, false},
        {"AK that is an EK", ATLS_TPM_ROLE_AK, TEST_TPM_EK_ATTRIBUTES, false},
        {"AK without any", ATLS_TPM_ROLE_AK, 0, false},
        {"AIK", ATLS_TPM_ROLE_SUBJECT, TEST_TPM_AIK_ATTRIBUTES, true},
        {"AIK that is an AK", ATLS_TPM_ROLE_SUBJECT, TEST_TPM_AK_ATTRIBUTES, false},
        {"AIK with everything", ATLS_TPM_ROLE_SUBJECT, 0xffffffff, false},
        {"no role", (enum atls_tpm_role)0, 0xffffffff, false},
        {"a role beyond the table", (enum atls_tpm_role)4, 0xffffffff, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_tpmt_public area = {.attributes = rows[i].attributes};
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code = atls_tpm_check_role(&area, rows[i].role, &err);

        print_message("  %s\n", rows[i].name);
        assert_int_equal(code == ATLS_OK, rows[i].good);
        if (code == ATLS_E_EVIDENCE)
            assert_int_equal(err.reason, ATLS_REASON_KEY_ATTRIBUTES);
    }
}

static void endorsement_keys(void **state)
{
    static const enum atls_key_type types[] = {ATLS_KEY_P256, ATLS_KEY_RSA};
    struct atls_buf in = test_vector("tpm/keylime-quote/ek.pub");
    struct atls_tpmt_public area;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_tpm2b_public_decode(atls_buf_bytes(&in), &area, &err), ATLS_OK, &err);
    test_assert_code(atls_tpm_check_role(&area, ATLS_TPM_ROLE_EK, &err), ATLS_OK, &err);
    atls_buf_clear(&in);
    for (size_t i = 0; i < 2; i++) {
        struct test_tpm_key ek = test_tpm_ek_new(types[i]);
        struct atls_buf public = test_tpm_public(&ek);

        area = area_of(&public);
        test_assert_code(atls_tpm_check_role(&area, ATLS_TPM_ROLE_EK, &err), ATLS_OK, &err);
        atls_buf_clear(&public);
        test_tpm_key_clear(&ek);
    }
}

/* The default templates, off by one thing each. */
static void endorsement_keys_of_other_templates(void **state)
{
    static const struct {
        const char *name;
        uint32_t flip;
        enum atls_code want;
    } bits[] = {
        {"without fixedTPM", ATLS_TPMA_FIXED_TPM, ATLS_E_EVIDENCE},
        {"without fixedParent", ATLS_TPMA_FIXED_PARENT, ATLS_E_EVIDENCE},
        {"made outside", ATLS_TPMA_SENSITIVE_DATA_ORIGIN, ATLS_E_EVIDENCE},
        {"usable with a password", ATLS_TPMA_USER_WITH_AUTH, ATLS_E_EVIDENCE},
        {"without adminWithPolicy", ATLS_TPMA_ADMIN_WITH_POLICY, ATLS_E_EVIDENCE},
        {"unrestricted", ATLS_TPMA_RESTRICTED, ATLS_E_EVIDENCE},
        {"that does not decrypt", ATLS_TPMA_DECRYPT, ATLS_E_EVIDENCE},
        {"that signs", ATLS_TPMA_SIGN, ATLS_E_EVIDENCE},
    };
    static const uint8_t policy[32] = {1};
    struct test_tpm_key key = test_tpm_ek_new(ATLS_KEY_P256);
    struct atls_buf public = test_tpm_public(&key);
    const struct atls_tpmt_public good = area_of(&public);
    struct atls_tpmt_public areas[9];
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++) {
        struct atls_tpmt_public area = good;

        print_message("  %s\n", bits[i].name);
        area.attributes ^= bits[i].flip;
        test_assert_code(atls_tpm_check_role(&area, ATLS_TPM_ROLE_EK, &err), bits[i].want, &err);
        assert_int_equal(err.reason, ATLS_REASON_KEY_ATTRIBUTES);
    }
    for (size_t i = 0; i < sizeof areas / sizeof areas[0]; i++)
        areas[i] = good;
    areas[0].name_alg = ATLS_TPM_ALG_SHA384;
    areas[1].symmetric = ATLS_TPM_ALG_NULL;
    areas[2].symmetric_bits = 256;
    areas[3].symmetric_mode = 0x0042;
    areas[4].scheme = ATLS_TPM_ALG_ECDH;
    areas[5].curve = ATLS_TPM_ECC_NIST_P384;
    areas[6].kdf = 0x0020;
    areas[7].type = ATLS_TPM_ALG_RSA;
    areas[7].key_bits = 3072;
    areas[7].exponent = 65537;
    areas[8].type = ATLS_TPM_ALG_RSA;
    areas[8].key_bits = 2048;
    areas[8].exponent = 3;
    for (size_t i = 0; i < sizeof areas / sizeof areas[0]; i++)
        test_assert_code(atls_tpm_check_role(&areas[i], ATLS_TPM_ROLE_EK, &err), ATLS_E_UNSUPPORTED,
                         &err);
    areas[0] = good;
    areas[0].auth_policy = atls_bytes_of(policy, sizeof policy);
    test_assert_code(atls_tpm_check_role(&areas[0], ATLS_TPM_ROLE_EK, &err), ATLS_E_EVIDENCE, &err);
    areas[0].auth_policy.len = 0;
    test_assert_code(atls_tpm_check_role(&areas[0], ATLS_TPM_ROLE_EK, &err), ATLS_E_EVIDENCE, &err);
    assert_int_equal(err.reason, ATLS_REASON_KEY_ATTRIBUTES);
    atls_buf_clear(&public);
    test_tpm_key_clear(&key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(name_of_a_recorded_key),
        cmocka_unit_test(names_by_hash),
        cmocka_unit_test(roles_by_attributes),
        cmocka_unit_test(endorsement_keys),
        cmocka_unit_test(endorsement_keys_of_other_templates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
