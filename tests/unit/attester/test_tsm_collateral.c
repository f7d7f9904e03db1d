#include "testlib.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "attester/tsm/collateral.h"
#include "attester/tsm/needs.h"
#include "crypto/certificate.h"
#include "pki.h"
#include "wire/snp.h"

#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))
#define DAY       INT64_C(86400)
#define MILAN_V2  "sev-snp/milan-v2-provisional/report.bin"
#define MILAN_VEK "sev-snp/milan-v2-provisional/vcek.der"
#define AWS       "sev-snp/aws-vlek/report.bin"
#define AWS_VEK   "sev-snp/aws-vlek/vlek.der"
#define AWS_TCB   "04000000000018d9"
#define QUOTE     "tdx/v4-uptodate/quote.bin"

static char folder[] = "/tmp/atls-collateral-XXXXXX";

/* ---- the log ---- */

static struct {
    unsigned int count;
    enum atls_log_level level; /* of the last line */
    char all[8192];
} said;

static void hear(void *arg, enum atls_log_level level, const char *module, const char *message)
{
    size_t used = strlen(said.all);

    (void)arg;
    assert_string_equal(module, "attester");
    said.count++;
    said.level = level;
    snprintf(said.all + used, sizeof said.all - used, "%s\n", message);
}

static const struct atls_log test_log = {.level = ATLS_LOG_DEBUG, .handler = hear};

static void forget(void)
{
    memset(&said, 0, sizeof said);
}

/* ---- files ---- */

static const char *path_of(const char *name)
{
    static char path[512];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put(const char *name, struct atls_bytes content)
{
    FILE *f = fopen(path_of(name), "w");

    assert_non_null(f);
    assert_int_equal(fwrite(content.ptr, 1, content.len, f), content.len);
    assert_int_equal(fclose(f), 0);
}

static void put_text(const char *name, const char *text)
{
    put(name, atls_bytes_of(text, strlen(text)));
}

/* A document of Intel's form that ends at this time. */
static void put_json(const char *name, int64_t next_update_s)
{
    const time_t t = (time_t)next_update_s;
    char date[32], text[128];
    struct tm tm;

    assert_non_null(gmtime_r(&t, &tm));
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &tm);
    snprintf(text, sizeof text, "{\"tcbInfo\":{\"nextUpdate\":\"%s\"},\"signature\":\"00\"}", date);
    put_text(name, text);
}

static void put_crl(const char *name, int64_t next_update_s)
{
    struct test_identity ca = test_ca("Authority");
    struct atls_buf crl = test_crl(&ca, NULL, next_update_s - 30 * DAY, next_update_s);

    put(name, atls_buf_bytes(&crl));
    atls_buf_clear(&crl);
    test_identity_clear(&ca);
}

static void put_chain(const char *name, int64_t not_after_s)
{
    struct test_identity ca = test_ca("Authority");
    const struct test_certificate spec = {.common_name = "leaf", .not_after_s = not_after_s};
    struct test_identity leaf = test_issue(&ca, &spec);
    struct atls_buf pem[2] = {ATLS_BUF_INIT, ATLS_BUF_INIT};
    char text[8192] = "";

    test_assert_code(atls_pem_encode("CERTIFICATE", atls_buf_bytes(&ca.certificate), &pem[0], NULL),
                     ATLS_OK, NULL);
    test_assert_code(
        atls_pem_encode("CERTIFICATE", atls_buf_bytes(&leaf.certificate), &pem[1], NULL), ATLS_OK,
        NULL);
    snprintf(text, sizeof text, "%s%s", (const char *)pem[0].ptr, (const char *)pem[1].ptr);
    put_text(name, text);
    atls_buf_clear(&pem[0]);
    atls_buf_clear(&pem[1]);
    test_identity_clear(&leaf);
    test_identity_clear(&ca);
}

static void empty_folder(void)
{
    DIR *d = opendir(folder);
    struct dirent *e;

    assert_non_null(d);
    while ((e = readdir(d)) != NULL) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            unlink(path_of(e->d_name)) != 0)
            rmdir(path_of(e->d_name));
    }
    closedir(d);
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    empty_folder();
    return rmdir(folder);
}

/* ---- evidence ---- */

/* Room for a table of what is given; the caller clears it. */
static struct atls_buf table_of(struct atls_bytes vcek, struct atls_bytes vlek,
                                struct atls_bytes ask)
{
    const struct atls_snp_certificates certificates = {.vcek = vcek, .vlek = vlek, .ask = ask};
    struct atls_buf out = ATLS_BUF_INIT;

    test_assert_code(atls_snp_certificates_encode(&certificates, &out, NULL), ATLS_OK, NULL);
    return out;
}

static const struct atls_bytes none = {NULL, 0};

static void check_need(const struct atls_tsm_needs *needs, size_t i, enum atls_collateral_kind kind,
                       const char *subject, bool optional)
{
    assert_true(i < needs->count);
    assert_int_equal(needs->items[i].kind, kind);
    assert_string_equal(needs->items[i].subject, subject);
    assert_int_equal(needs->items[i].optional, optional);
}

static void snp_reports_need_their_line(void **state)
{
    struct atls_buf aws = test_vector(AWS), vlek = test_vector(AWS_VEK);
    struct atls_buf table = table_of(none, atls_buf_bytes(&vlek), atls_buf_bytes(&vlek));
    struct atls_buf other = table_of(atls_buf_bytes(&vlek), none, none);
    struct atls_tsm_needs needs;

    (void)state;
    assert_true(atls_tsm_snp_needs(atls_buf_bytes(&aws), none, NULL, &needs));
    assert_int_equal(needs.count, 3);
    check_need(&needs, 0, ATLS_COLLATERAL_SNP_VEK, "milan-vlek-" AWS_TCB, false);
    check_need(&needs, 1, ATLS_COLLATERAL_SNP_CA, "milan", false);
    check_need(&needs, 2, ATLS_COLLATERAL_SNP_CRL, "milan", false);

    assert_true(atls_tsm_snp_needs(atls_buf_bytes(&aws), atls_buf_bytes(&table), NULL, &needs));
    assert_int_equal(needs.count, 2);
    check_need(&needs, 0, ATLS_COLLATERAL_SNP_CA, "milan", true);
    check_need(&needs, 1, ATLS_COLLATERAL_SNP_CRL, "milan", false);

    /* a VCEK is no VLEK; a table that is none has nothing */
    assert_true(atls_tsm_snp_needs(atls_buf_bytes(&aws), atls_buf_bytes(&other), NULL, &needs));
    assert_int_equal(needs.count, 3);
    assert_true(atls_tsm_snp_needs(atls_buf_bytes(&aws), atls_bytes_of("x", 1), NULL, &needs));
    assert_int_equal(needs.count, 3);

    aws.ptr[0x188] = 0x20; /* a family of processors that nobody knows */
    assert_false(atls_tsm_snp_needs(atls_buf_bytes(&aws), none, "milan", &needs));
    assert_false(atls_tsm_snp_needs(atls_bytes_of(aws.ptr, 1183), none, "milan", &needs));
    atls_buf_clear(&aws);
    atls_buf_clear(&vlek);
    atls_buf_clear(&table);
    atls_buf_clear(&other);
}

static void lines_of_processors(void **state)
{
    static const struct {
        uint8_t family, model;
        const char *line;
    } rows[] = {
        {0x19, 0x01, "milan"}, {0x19, 0x11, "genoa"},  {0x19, 0xa0, "genoa"},
        {0x1a, 0x02, "turin"}, {0x1a, 0x50, "venice"},
    };
    struct atls_buf report = test_vector(AWS);
    char want[64];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_tsm_needs needs;

        report.ptr[0x188] = rows[i].family;
        report.ptr[0x189] = rows[i].model;
        assert_true(atls_tsm_snp_needs(atls_buf_bytes(&report), none, NULL, &needs));
        snprintf(want, sizeof want, "%s-vlek-" AWS_TCB, rows[i].line);
        assert_string_equal(needs.items[0].subject, want);
    }
    atls_buf_clear(&report);
}

static void old_reports_take_the_line_of_their_key(void **state)
{
    struct atls_buf report = test_vector(MILAN_V2), vcek = test_vector(MILAN_VEK);
    struct atls_buf table = table_of(atls_buf_bytes(&vcek), none, none);
    struct atls_buf broken = table_of(atls_bytes_of("no certificate", 14), none, none);
    struct atls_tsm_needs needs;

    (void)state;
    assert_true(atls_tsm_snp_needs(atls_buf_bytes(&report), atls_buf_bytes(&table), NULL, &needs));
    check_need(&needs, 0, ATLS_COLLATERAL_SNP_CA, "milan", false);
    assert_false(atls_tsm_snp_needs(atls_buf_bytes(&report), none, NULL, &needs));
    assert_false(
        atls_tsm_snp_needs(atls_buf_bytes(&report), atls_buf_bytes(&broken), NULL, &needs));
    assert_true(atls_tsm_snp_needs(atls_buf_bytes(&report), none, "genoa", &needs));
    assert_int_equal(needs.items[0].kind, ATLS_COLLATERAL_SNP_VEK);
    assert_memory_equal(needs.items[0].subject, "genoa-c38427a30d4c7af9", 22);
    assert_string_equal(needs.items[0].subject + 6 + 128, "-0300000000000873");
    atls_buf_clear(&report);
    atls_buf_clear(&vcek);
    atls_buf_clear(&table);
    atls_buf_clear(&broken);
}

static void quotes_need_the_collateral_of_their_platform(void **state)
{
    static const struct {
        const char *file, *fmspc, *authority;
    } rows[] = {
        {QUOTE, "b0c06f000000", "platform"},
        {"tdx/azure-tdx-vtpm/quote.bin", "90c06f000000", "platform"},
        {"tdx/v5-alibaba-servtd/quote.bin", "90c06f000000", "platform"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_buf quote = test_vector(rows[i].file);
        struct atls_tsm_needs needs;

        print_message("  %s\n", rows[i].file);
        assert_true(atls_tsm_tdx_needs(atls_buf_bytes(&quote), &needs));
        assert_int_equal(needs.count, 7);
        check_need(&needs, 0, ATLS_COLLATERAL_TDX_TCB_INFO, rows[i].fmspc, false);
        check_need(&needs, 1, ATLS_COLLATERAL_TDX_QE_IDENTITY, "td", false);
        check_need(&needs, 2, ATLS_COLLATERAL_TDX_TCB_CHAIN, "tcb", false);
        check_need(&needs, 3, ATLS_COLLATERAL_TDX_PCK_CRL, rows[i].authority, false);
        check_need(&needs, 4, ATLS_COLLATERAL_TDX_PCK_CRL_CHAIN, rows[i].authority, true);
        check_need(&needs, 5, ATLS_COLLATERAL_TDX_ROOT_CRL, "root", false);
        check_need(&needs, 6, ATLS_COLLATERAL_TDX_EVALUATION, "tdx", true);
        atls_buf_clear(&quote);
    }
}

/* Changes text in the quote in place; the signature over it is none of ours. */
static void replace(struct atls_buf *in, const char *from, const char *to)
{
    const size_t len = strlen(from);

    assert_int_equal(len, strlen(to));
    for (size_t i = 0; i + len <= in->len; i++) {
        if (memcmp(in->ptr + i, from, len) == 0) {
            memcpy(in->ptr + i, to, len);
            return;
        }
    }
    fail_msg("no \"%s\"", from);
}

static void quotes_that_name_no_platform(void **state)
{
    struct atls_buf quote = test_vector(QUOTE);
    struct atls_tsm_needs needs;
    size_t at = 0;

    (void)state;
    assert_false(atls_tsm_tdx_needs(none, &needs));
    assert_false(atls_tsm_tdx_needs(atls_bytes_of(quote.ptr, 700), &needs));
    while (memcmp(quote.ptr + at, "-----BEGIN", 10) != 0)
        at++;
    quote.ptr[at - 6] = 3; /* certification data of another type */
    assert_false(atls_tsm_tdx_needs(atls_buf_bytes(&quote), &needs));
    quote.ptr[at - 6] = 5;
    assert_true(atls_tsm_tdx_needs(atls_buf_bytes(&quote), &needs));
    replace(&quote, "-----BEGIN", "-----BEGUN"); /* the chain begins with its second certificate */
    assert_false(atls_tsm_tdx_needs(atls_buf_bytes(&quote), &needs));
    atls_buf_clear(&quote);
}

/* ---- the directory ---- */

static struct atls_tsm_collateral *open_folder(void)
{
    struct atls_tsm_collateral *c = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_tsm_collateral_new("tsm", folder, &test_log, &c, &err), ATLS_OK, &err);
    return c;
}

/* Attaches to a fresh quote; the caller clears it. */
static struct atls_quote attach(struct atls_tsm_collateral *c, const struct atls_tsm_blobs *blobs)
{
    struct atls_quote quote = {0};
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_tsm_collateral_attach(c, blobs, &quote, &err), ATLS_OK, &err);
    return quote;
}

static const struct atls_quote_endorsement *find(const struct atls_quote *quote, const char *label)
{
    for (size_t i = 0; i < quote->endorsement_count; i++)
        if (strcmp(quote->endorsements[i].label, label) == 0)
            return &quote->endorsements[i];
    fail_msg("no endorsement %s", label);
    abort(); /* not reached */
}

static void documents_of_a_quote_go_with_it(void **state)
{
    struct atls_tsm_blobs blobs = {.provider = &atls_tsm_tdx, .outblob = test_vector(QUOTE)};
    const int64_t later = (int64_t)time(NULL) + 20 * DAY;
    const struct atls_quote_endorsement *e;
    struct atls_tsm_collateral *c = open_folder();
    struct atls_quote quote;

    (void)state;
    forget();
    put_json("tdx-tcb-info-b0c06f000000.json", later);
    put_json("tdx-tcb-info-90c06f000000.json", later); /* of another platform */
    put_json("tdx-qe-identity-td.json", later);
    put_chain("tdx-tcb-chain-tcb.pem", later);
    put_crl("tdx-pck-crl-platform.crl", later);
    put_crl("tdx-pck-crl-processor.crl", later); /* of another authority */
    put_crl("tdx-root-crl-root.crl", later);
    quote = attach(c, &blobs);
    assert_string_equal(said.all, "");
    assert_int_equal(quote.endorsement_count, 5);
    e = find(&quote, "tdx-tcb-info");
    assert_non_null(e);
    assert_string_equal(e->media_type, "application/json");
    assert_memory_equal(e->value.ptr, "{\"tcbInfo\":", 11);
    assert_string_equal(find(&quote, "tdx-tcb-chain")->media_type,
                        "application/pem-certificate-chain");
    assert_string_equal(find(&quote, "tdx-root-crl")->media_type, "application/pkix-crl");
    assert_non_null(find(&quote, "tdx-pck-crl"));
    assert_non_null(find(&quote, "tdx-qe-identity"));
    atls_quote_clear(&quote);

    /* what is optional comes when it is there, and what was replaced is taken at once */
    put_chain("tdx-pck-crl-chain-platform.pem", later);
    put_json("tdx-evaluation-tdx.json", later);
    put_text("tdx-qe-identity-td.json",
             "{\"enclaveIdentity\":{\"nextUpdate\":\"2099-01-01T00:00:00Z\"}}");
    quote = attach(c, &blobs);
    assert_int_equal(quote.endorsement_count, 7);
    assert_memory_equal(find(&quote, "tdx-qe-identity")->value.ptr, "{\"enclaveIdentity\"", 18);
    assert_string_equal(said.all, "");
    atls_quote_clear(&quote);
    atls_tsm_collateral_free(c);
    atls_tsm_blobs_clear(&blobs);
    empty_folder();
}

static void what_is_missing_is_said_once(void **state)
{
    struct atls_tsm_blobs blobs = {.provider = &atls_tsm_snp, .outblob = test_vector(AWS)};
    struct atls_tsm_collateral *c = open_folder();
    const int64_t later = (int64_t)time(NULL) + 20 * DAY;
    struct atls_quote quote;

    (void)state;
    forget();
    quote = attach(c, &blobs);
    assert_int_equal(quote.endorsement_count, 0);
    assert_int_equal(said.count, 3);
    assert_int_equal(said.level, ATLS_LOG_ERROR);
    assert_non_null(strstr(said.all, "/snp-vek-milan-vlek-" AWS_TCB ".der"));
    assert_non_null(strstr(said.all, "/snp-ca-milan.pem"));
    assert_non_null(strstr(said.all, "/snp-crl-milan.crl"));
    atls_quote_clear(&quote);
    quote = attach(c, &blobs);
    assert_int_equal(said.count, 3);
    atls_quote_clear(&quote);

    put_crl("snp-crl-milan.crl", later);
    put_text("snp-ca-milan.pem", ""); /* as good as none, and no news */
    quote = attach(c, &blobs);
    assert_int_equal(quote.endorsement_count, 1);
    assert_non_null(find(&quote, "snp-crl"));
    assert_int_equal(said.count, 3);
    atls_quote_clear(&quote);

    assert_int_equal(unlink(path_of("snp-crl-milan.crl")), 0);
    quote = attach(c, &blobs);
    assert_int_equal(said.count, 4);
    atls_quote_clear(&quote);
    atls_tsm_collateral_free(c);
    atls_tsm_blobs_clear(&blobs);
    empty_folder();
}

static void files_that_cannot_be_used_are_missing(void **state)
{
    struct atls_tsm_blobs blobs = {.provider = &atls_tsm_snp, .outblob = test_vector(AWS)};
    struct atls_tsm_collateral *c = open_folder();
    struct atls_buf large = {calloc(1, ATLS_COLLATERAL_DOCUMENT_MAX + 1),
                             ATLS_COLLATERAL_DOCUMENT_MAX + 1};
    struct atls_quote quote;

    (void)state;
    forget();
    assert_non_null(large.ptr);
    put("snp-crl-milan.crl", atls_buf_bytes(&large));
    put_text("snp-ca-milan.pem", "");
    assert_int_equal(mkdir(path_of("snp-vek-milan-vlek-" AWS_TCB ".der"), 0700), 0);
    quote = attach(c, &blobs);
    assert_int_equal(quote.endorsement_count, 0);
    assert_int_equal(said.count, 3);
    assert_non_null(strstr(said.all, "snp-crl-milan.crl is larger than"));
    assert_non_null(strstr(said.all, "snp-ca-milan.pem is empty"));
    assert_non_null(strstr(said.all, "Is a directory"));
    atls_quote_clear(&quote);
    atls_buf_clear(&large);
    atls_tsm_collateral_free(c);
    atls_tsm_blobs_clear(&blobs);
    empty_folder();
}

/* Every kind of document, by how long it still holds. */
static void age_is_told(void **state)
{
    static const struct {
        const char *name;
        int64_t left_s;
        unsigned int said;
        enum atls_log_level level;
        const char *message;
    } rows[] = {
        {"fresh", 4 * DAY, 0, ATLS_LOG_ERROR, ""},
        {"about to expire", 2 * DAY, 1, ATLS_LOG_WARNING, "expires in 4"},
        {"expired", -1 * DAY, 1, ATLS_LOG_ERROR, "has expired"},
    };
    struct atls_tsm_blobs blobs = {.provider = &atls_tsm_tdx, .outblob = test_vector(QUOTE)};
    static void (*const writers[])(const char *, int64_t) = {put_json, put_json, put_chain, put_crl,
                                                             put_crl};
    static const char *const files[] = {"tdx-tcb-info-b0c06f000000.json", "tdx-qe-identity-td.json",
                                        "tdx-tcb-chain-tcb.pem", "tdx-pck-crl-platform.crl",
                                        "tdx-root-crl-root.crl"};

    (void)state;
    for (size_t f = 0; f < COUNT(files); f++) {
        for (size_t i = 0; i < COUNT(rows); i++) {
            const int64_t now = (int64_t)time(NULL);
            struct atls_tsm_collateral *c = open_folder();
            struct atls_quote quote;

            print_message("  %s, %s\n", files[f], rows[i].name);
            for (size_t j = 0; j < COUNT(files); j++)
                writers[j](files[j], now + (f == j ? rows[i].left_s : 30 * DAY));
            forget();
            for (int again = 0; again < 2; again++) {
                quote = attach(c, &blobs);
                assert_int_equal(quote.endorsement_count, COUNT(files)); /* sent all the same */
                atls_quote_clear(&quote);
                assert_int_equal(said.count, rows[i].said);
            }
            assert_int_equal(said.level, rows[i].level);
            assert_non_null(strstr(said.all, rows[i].message));
            assert_true(rows[i].said == 0 || strstr(said.all, files[f]) != NULL);
            writers[f](files[f], now + 40 * DAY);
            quote = attach(c, &blobs);
            assert_int_equal(said.count, rows[i].said);
            atls_quote_clear(&quote);
            atls_tsm_collateral_free(c);
        }
    }
    atls_tsm_blobs_clear(&blobs);
    empty_folder();
}

static void documents_without_an_end(void **state)
{
    static const struct {
        const char *file, *content;
    } rows[] = {
        {"tdx-tcb-info-b0c06f000000.json", "{"},
        {"tdx-tcb-info-b0c06f000000.json", "{\"tcbInfo\":{\"nextUpdate\":\"soon\"}}"},
        {"tdx-tcb-info-b0c06f000000.json", "{\"tcbInfo\":1}"},
        {"tdx-tcb-chain-tcb.pem", "no certificate"},
        {"tdx-root-crl-root.crl", "no list"},
    };
    struct atls_tsm_blobs blobs = {.provider = &atls_tsm_tdx, .outblob = test_vector(QUOTE)};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_tsm_collateral *c = open_folder();
        struct atls_quote quote;

        print_message("  %s: %s\n", rows[i].file, rows[i].content);
        put_text(rows[i].file, rows[i].content);
        forget();
        quote = attach(c, &blobs);
        assert_int_equal(quote.endorsement_count, 1);
        assert_int_equal(said.count, 5); /* and four that are missing */
        assert_non_null(strstr(said.all, "does not say how long it holds"));
        atls_quote_clear(&quote);
        quote = attach(c, &blobs);
        assert_int_equal(said.count, 5);
        atls_quote_clear(&quote);
        atls_tsm_collateral_free(c);
        empty_folder();
    }
    atls_tsm_blobs_clear(&blobs);
}

static void an_old_report_is_known_by_its_key_on_file(void **state)
{
    static const char *const lines[] = {"milan", "genoa"};
    struct atls_tsm_blobs blobs = {.provider = &atls_tsm_snp, .outblob = test_vector(MILAN_V2)};
    struct atls_buf vcek = test_vector(MILAN_VEK);

    (void)state;
    for (size_t i = 0; i < COUNT(lines); i++) {
        struct atls_tsm_collateral *c = open_folder();
        struct atls_tsm_needs needs;
        struct atls_quote quote;
        char name[256];

        forget();
        quote = attach(c, &blobs);
        assert_int_equal(quote.endorsement_count, 0);
        assert_int_equal(said.count, 1);
        assert_non_null(strstr(said.all, "does not say which collateral"));
        atls_quote_clear(&quote);

        assert_true(atls_tsm_snp_needs(atls_buf_bytes(&blobs.outblob), none, lines[i], &needs));
        snprintf(name, sizeof name, "snp-vek-%s.der", needs.items[0].subject);
        put(name, atls_buf_bytes(&vcek));
        quote = attach(c, &blobs);
        assert_int_equal(quote.endorsement_count, 1);
        test_assert_bytes(atls_buf_bytes(&find(&quote, "snp-vek")->value), atls_buf_bytes(&vcek));
        assert_non_null(strstr(said.all, lines[i]));
        atls_quote_clear(&quote);
        atls_tsm_collateral_free(c);
        empty_folder();
    }
    atls_buf_clear(&vcek);
    atls_tsm_blobs_clear(&blobs);
}

static void realms_need_none(void **state)
{
    struct atls_tsm_blobs blobs = {.provider = &atls_tsm_cca,
                                   .outblob = test_vector("eat/cca-good.cbor")};
    struct atls_tsm_collateral *c = open_folder();
    struct atls_quote quote;

    (void)state;
    forget();
    quote = attach(c, &blobs);
    assert_int_equal(quote.endorsement_count, 0);
    assert_int_equal(said.count, 0);
    atls_quote_clear(&quote);
    atls_tsm_collateral_free(c);
    atls_tsm_blobs_clear(&blobs);
}

static void folders_that_are_none(void **state)
{
    char too_long[600];
    struct atls_tsm_collateral *c = NULL;

    (void)state;
    memset(too_long, '/', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = '\0';
    put_text("file", "x");
    test_assert_code(atls_tsm_collateral_new("tsm", path_of("none"), &test_log, &c, NULL),
                     ATLS_E_CONFIG, NULL);
    test_assert_code(atls_tsm_collateral_new("tsm", path_of("file"), &test_log, &c, NULL),
                     ATLS_E_CONFIG, NULL);
    test_assert_code(atls_tsm_collateral_new("tsm", too_long, &test_log, &c, NULL), ATLS_E_CONFIG,
                     NULL);
    test_assert_code(atls_tsm_collateral_new("tsm", "", &test_log, &c, NULL), ATLS_E_CONFIG, NULL);
    assert_null(c);
    atls_tsm_collateral_free(NULL);
    empty_folder();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(snp_reports_need_their_line),
        cmocka_unit_test(lines_of_processors),
        cmocka_unit_test(old_reports_take_the_line_of_their_key),
        cmocka_unit_test(quotes_need_the_collateral_of_their_platform),
        cmocka_unit_test(quotes_that_name_no_platform),
        cmocka_unit_test(documents_of_a_quote_go_with_it),
        cmocka_unit_test(what_is_missing_is_said_once),
        cmocka_unit_test(files_that_cannot_be_used_are_missing),
        cmocka_unit_test(age_is_told),
        cmocka_unit_test(documents_without_an_end),
        cmocka_unit_test(an_old_report_is_known_by_its_key_on_file),
        cmocka_unit_test(realms_need_none),
        cmocka_unit_test(folders_that_are_none),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
