#include "testlib.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "wire/parsec.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define A32      "1111111111111111111111111111111111111111111111111111111111111111"
#define KAT      "636b6174"
#define PAT      "63706174"
#define UCCS     "d90259a10a4101"
#define TOKEN    "d9018fa0"

static void bundles_of_cca(void **state)
{
    static const struct {
        const char *name, *hex;
        enum atls_code want;
        size_t kat_len, token_len;
    } rows[] = {
        {"smallest", "a2" KAT "00" PAT "00", ATLS_OK, 1, 1},
        {"both", "a2" KAT UCCS PAT TOKEN, ATLS_OK, 7, 4},
        {"the other way", "a2" PAT TOKEN KAT UCCS, ATLS_OK, 7, 4},
        {"longer heads",
         "ba00000002"
         "78036b6174"
         "da00000259b8011"
         "80a590001"
         "01"
         "7803706174" TOKEN,
         ATLS_OK, 13, 4},
        {"kat twice", "a2" KAT UCCS KAT UCCS, ATLS_E_DECODE, 0, 0},
        {"kat twice, of other widths", "a2" KAT UCCS "78036b6174" UCCS, ATLS_E_DECODE, 0, 0},
        {"kat alone", "a1" KAT UCCS, ATLS_E_DECODE, 0, 0},
        {"a third member", "a3" KAT UCCS PAT TOKEN "616100", ATLS_E_DECODE, 0, 0},
        {"another member", "a2" KAT UCCS "616100", ATLS_E_DECODE, 0, 0},
        {"a number as key", "a2" KAT UCCS "01" TOKEN, ATLS_E_DECODE, 0, 0},
        {"no map", "82" KAT UCCS, ATLS_E_DECODE, 0, 0},
        {"indefinite length", "bf" KAT UCCS PAT TOKEN "ff", ATLS_E_DECODE, 0, 0},
        {"trailing byte", "a2" KAT UCCS PAT TOKEN "00", ATLS_E_DECODE, 0, 0},
        {"empty", "", ATLS_E_DECODE, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_buf in = test_unhex(rows[i].hex);
        struct atls_arena arena = atls_arena_init(1 << 16);
        struct atls_parsec_cca out = {{NULL, 77}, {NULL, 0}};
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        test_assert_code(atls_parsec_cca_decode(atls_buf_bytes(&in), &arena, &out, &err),
                         rows[i].want, &err);
        assert_int_equal(out.kat.len, rows[i].want == ATLS_OK ? rows[i].kat_len : 77);
        assert_int_equal(out.token.len, rows[i].token_len);
        if (rows[i].want == ATLS_OK) /* slices of what came */
            assert_true(out.kat.ptr > in.ptr && out.kat.ptr < in.ptr + in.len);
        atls_arena_clear(&arena);
        atls_buf_clear(&in);
    }
}

#define KEY                                                                                        \
    "a4010220012158"                                                                               \
    "20" A32 "2258"                                                                                \
    "20" A32
#define CNF "08a101" KEY
#define N8  "0a480102030405060708"
#define A64 A32 A32
static void kats(void **state)
{
    static const struct {
        const char *name, *hex;
        enum atls_code want;
    } rows[] = {
        {"smallest nonce", "d90259a2" N8 CNF, ATLS_OK},
        {"largest nonce",
         "d90259a2"
         "0a5840" A64 CNF,
         ATLS_OK},
        {"cnf first", "d90259a2" CNF N8, ATLS_OK},
        {"longer heads",
         "da00000259b802"
         "180a5808"
         "0102030405060708"
         "1808b8011801" KEY,
         ATLS_OK},
        {"nonce of 65 bytes",
         "d90259a2"
         "0a5841" A64 "11" CNF,
         ATLS_E_DECODE},
        {"nonce of 7 bytes",
         "d90259a2"
         "0a4701020304050607" CNF,
         ATLS_E_DECODE},
        {"nonce as text",
         "d90259a2"
         "0a683132333435363738" CNF,
         ATLS_E_DECODE},
        {"no nonce", "d90259a1" CNF, ATLS_E_DECODE},
        {"another claim in the nonce's place",
         "d90259a2"
         "0b480102030405060708" CNF,
         ATLS_E_DECODE},
        {"three claims", "d90259a3" N8 CNF "0101", ATLS_E_DECODE},
        {"no tag", "a2" N8 CNF, ATLS_E_DECODE},
        {"another tag", "d9025aa2" N8 CNF, ATLS_E_DECODE},
        {"two tags", "d90259d90259a2" N8 CNF, ATLS_E_DECODE},
        {"cnf by kid", "d90259a2" N8 "08a1034101", ATLS_E_DECODE},
        {"cnf of two methods", "d90259a2" N8 "08a201" KEY "034101", ATLS_E_DECODE},
        {"cnf no map", "d90259a2" N8 "0801", ATLS_E_DECODE},
        {"key of an unknown type", "d90259a2" N8 "08a101a201042001", ATLS_E_UNSUPPORTED},
        {"trailing byte", "d90259a2" N8 CNF "00", ATLS_E_DECODE},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_buf in = test_unhex(rows[i].hex);
        struct atls_arena arena = atls_arena_init(1 << 20);
        struct atls_parsec_cca_kat kat = {.nonce = {NULL, 77}};
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        test_assert_code(atls_parsec_cca_kat_decode(atls_buf_bytes(&in), &arena, &kat, &err),
                         rows[i].want, &err);
        if (rows[i].want != ATLS_OK) {
            assert_int_equal(kat.nonce.len, 77);
        } else {
            assert_int_equal(kat.key.crv, ATLS_COSE_P256);
            for (size_t len = 0; len < in.len; len++)
                assert_int_equal(
                    atls_parsec_cca_kat_decode(atls_bytes_of(in.ptr, len), &arena, &kat, NULL),
                    ATLS_E_DECODE);
        }
        atls_arena_clear(&arena);
        atls_buf_clear(&in);
    }
}

#define VERSION "6674706d56657263322e30"
#define KID     "636b6964582101" A32
#define SIG     "637369674153"
#define CERT    "6863657274496e666f4143"
#define AREA                                                                                       \
    "677075624172656"                                                                              \
    "14150"
#define INFO   "6a617474657374496e666f4149"
#define HALF_K KAT "a5" VERSION KID SIG CERT AREA
#define HALF_P PAT "a4" VERSION KID SIG INFO

static void bundles_of_tpms(void **state)
{
    static const struct {
        const char *name, *hex;
        enum atls_code want;
    } rows[] = {
        {"smallest", "a2" HALF_K HALF_P, ATLS_OK},
        {"halves the other way", "a2" HALF_P HALF_K, ATLS_OK},
        {"members in another order", "a2" KAT "a5" AREA CERT SIG KID VERSION HALF_P, ATLS_OK},
        {"no quote", "a1" HALF_K, ATLS_E_DECODE},
        {"two quotes", "a2" HALF_P HALF_P, ATLS_E_DECODE},
        {"a third half", "a3" HALF_K HALF_P "616100", ATLS_E_DECODE},
        {"another half",
         "a2" HALF_K "6161"
         "a4" VERSION KID SIG INFO,
         ATLS_E_DECODE},
        {"a number as key",
         "a2" HALF_K "01"
         "a4" VERSION KID SIG INFO,
         ATLS_E_DECODE},
        {"version 1.2",
         "a2" HALF_K PAT "a4"
         "6674706d56657263312e32" KID SIG INFO,
         ATLS_E_DECODE},
        {"version as number",
         "a2" HALF_K PAT "a4"
         "6674706d56657202" KID SIG INFO,
         ATLS_E_DECODE},
        {"no kid", "a2" HALF_K PAT "a3" VERSION SIG INFO, ATLS_E_DECODE},
        {"kid twice", "a2" HALF_K PAT "a4" VERSION KID KID INFO, ATLS_E_DECODE},
        {"kid of type 02", "a2" HALF_K PAT "a4" VERSION "636b6964582102" A32 SIG INFO,
         ATLS_E_DECODE},
        {"kid of 32 bytes", "a2" HALF_K PAT "a4" VERSION "636b69645820" A32 SIG INFO,
         ATLS_E_DECODE},
        {"public area in the quote", "a2" HALF_K PAT "a4" VERSION KID SIG AREA, ATLS_E_DECODE},
        {"quote in the certification", "a2" KAT "a5" VERSION KID SIG INFO AREA HALF_P,
         ATLS_E_DECODE},
        {"signature as text", "a2" HALF_K PAT "a4" VERSION KID "637369676153" INFO, ATLS_E_DECODE},
        {"half that is no map", "a2" HALF_K PAT "80", ATLS_E_DECODE},
        {"number as key of a half",
         "a2" HALF_K PAT "a4" VERSION KID SIG "0141"
         "49",
         ATLS_E_DECODE},
        {"longer head", "b802" HALF_K HALF_P, ATLS_E_DECODE},
        {"no map",
         "82"
         "00"
         "00",
         ATLS_E_DECODE},
        {"trailing byte", "a2" HALF_K HALF_P "00", ATLS_E_DECODE},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_buf in = test_unhex(rows[i].hex);
        struct atls_parsec_tpm out = {.kat.kid = {NULL, 77}};
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        test_assert_code(atls_parsec_tpm_decode(atls_buf_bytes(&in), &out, &err), rows[i].want,
                         &err);
        if (rows[i].want != ATLS_OK) {
            assert_int_equal(out.kat.kid.len, 77);
        } else {
            assert_true(atls_bytes_equal_text(out.kat.attest, "C"));
            assert_true(atls_bytes_equal_text(out.kat.public_area, "P"));
            assert_true(atls_bytes_equal_text(out.pat.attest, "I"));
            assert_true(atls_bytes_equal_text(out.pat.signature, "S"));
            for (size_t len = 0; len < in.len; len++)
                assert_int_equal(atls_parsec_tpm_decode(atls_bytes_of(in.ptr, len), &out, NULL),
                                 ATLS_E_DECODE);
        }
        atls_buf_clear(&in);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bundles_of_cca),
        cmocka_unit_test(kats),
        cmocka_unit_test(bundles_of_tpms),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
