/* simulator/service.c: paths of AMD's and Intel's collateral services. */
#define _GNU_SOURCE /* memmem, mkdtemp */
#include "simulator/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "simulator/folder.h"
#include "testlib.h"

#define ID_64                                                                                      \
    "ab0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"                             \
    "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
#define ZERO_8  "0000000000000000"
#define ZERO_56 ZERO_8 ZERO_8 ZERO_8 ZERO_8 ZERO_8 ZERO_8 ZERO_8
#define BIG_64                                                                                     \
    "AB0102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F"                             \
    "202122232425262728292A2B2C2D2E2F303132333435363738393A3B3C3D3E3F"

static const char *const files[] = {
    "machine/vcek-chain.pem",
    "machine/vlek-chain.pem",
    "collateral/snp-crl-milan.crl",
    "collateral/snp-crl-turin.crl",
    "collateral/snp-vek-milan-" ID_64 "-03000000000008d9.der",
    "collateral/snp-vek-turin-ab01020304050607" ZERO_56 "-00010203000000ff.der",
    "collateral/tdx-pck-crl-platform.crl",
    "collateral/tdx-pck-crl-chain-platform.pem",
    "collateral/tdx-root-crl-root.crl",
    "collateral/tdx-tcb-info-00806f0500ab.json",
    "collateral/tdx-tcb-chain-tcb.pem",
    "collateral/tdx-qe-identity-td.json",
    "collateral/tdx-evaluation-tdx.json",
};

#define FILE_COUNT (sizeof files / sizeof files[0])

static int setup(void **state)
{
    static char folder[] = "/tmp/atls-sim-XXXXXX";

    assert_non_null(mkdtemp(folder));
    assert_int_equal(atls_sim_folder_make(folder, "machine", 0700, NULL), ATLS_OK);
    assert_int_equal(atls_sim_folder_make(folder, "collateral", 0700, NULL), ATLS_OK);
    for (size_t i = 0; i < FILE_COUNT; i++) /* each says its name */
        assert_int_equal(atls_sim_folder_write(folder, files[i],
                                               atls_bytes_of(files[i], strlen(files[i]) + 1),
                                               ATLS_SIM_PUBLIC, NULL),
                         ATLS_OK);
    *state = folder;
    return 0;
}

static int teardown(void **state)
{
    const char *folder = *state;
    char path[512];

    for (size_t i = 0; i < FILE_COUNT; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        assert_int_equal(unlink(path), 0);
    }
    snprintf(path, sizeof path, "%s/machine", folder);
    assert_int_equal(rmdir(path), 0);
    snprintf(path, sizeof path, "%s/collateral", folder);
    assert_int_equal(rmdir(path), 0);
    return rmdir(folder);
}

/* Arguments as "name=value&name=value". */
static const char *argument(void *context, const char *name)
{
    static char values[2][64]; /* two may be looked at together */
    static size_t turn;
    size_t len = strlen(name);

    for (const char *at = context; at != NULL && *at != '\0'; at = strchr(at, '&')) {
        at += *at == '&';
        if (strncmp(at, name, len) == 0 && at[len] == '=') {
            turn ^= 1;
            snprintf(values[turn], sizeof values[turn], "%.*s", (int)strcspn(at + len + 1, "&"),
                     at + len + 1);
            return values[turn];
        }
    }
    return NULL;
}

struct row {
    const char *says, *line, *path, *query;
    unsigned int status;
    const char *file; /* that the body is */
    const char *header;
};

static const struct row rows[] = {
    {"a VCEK", "milan", "/vcek/v1/Milan/" ID_64, "blSPL=03&teeSPL=00&snpSPL=8&ucodeSPL=217", 200,
     "collateral/snp-vek-milan-" ID_64 "-03000000000008d9.der", NULL},
    {"a VCEK, id in capitals", "milan", "/vcek/v1/Milan/" BIG_64,
     "ucodeSPL=217&blSPL=3&teeSPL=0&snpSPL=008", 200,
     "collateral/snp-vek-milan-" ID_64 "-03000000000008d9.der", NULL},
    {"a VCEK of Turin", "turin", "/vcek/v1/Turin/ab01020304050607",
     "fmcSPL=0&blSPL=1&teeSPL=2&snpSPL=3&ucodeSPL=255", 200,
     "collateral/snp-vek-turin-ab01020304050607" ZERO_56 "-00010203000000ff.der", NULL},
    {"a VCEK of another TCB", "milan", "/vcek/v1/Milan/" ID_64,
     "blSPL=04&teeSPL=00&snpSPL=8&ucodeSPL=217", 404, NULL, NULL},
    {"a TCB without microcode", "milan", "/vcek/v1/Milan/" ID_64, "blSPL=03&teeSPL=00&snpSPL=8",
     400, NULL, NULL},
    {"a TCB of Turin without FMC", "turin", "/vcek/v1/Turin/ab01020304050607",
     "blSPL=1&teeSPL=2&snpSPL=3&ucodeSPL=255", 400, NULL, NULL},
    {"a component above a byte", "milan", "/vcek/v1/Milan/" ID_64,
     "blSPL=03&teeSPL=00&snpSPL=8&ucodeSPL=256", 400, NULL, NULL},
    {"a component that is none", "milan", "/vcek/v1/Milan/" ID_64,
     "blSPL=x&teeSPL=00&snpSPL=8&ucodeSPL=1", 400, NULL, NULL},
    {"an empty component", "milan", "/vcek/v1/Milan/" ID_64, "blSPL=&teeSPL=00&snpSPL=8&ucodeSPL=1",
     400, NULL, NULL},
    {"an id of Turin's length", "milan", "/vcek/v1/Milan/ab01020304050607",
     "blSPL=03&teeSPL=00&snpSPL=8&ucodeSPL=217", 400, NULL, NULL},
    {"an id that is a path", "turin", "/vcek/v1/Turin/../../../state.x",
     "fmcSPL=0&blSPL=1&teeSPL=2&snpSPL=3&ucodeSPL=255", 400, NULL, NULL},
    {"another line", "milan", "/vcek/v1/Genoa/cert_chain", "", 404, NULL, NULL},
    {"the line in small letters", "milan", "/vcek/v1/milan/cert_chain", "", 404, NULL, NULL},
    {"a longer name", "milan", "/vcek/v1/Milano/cert_chain", "", 404, NULL, NULL},
    {"no line", "milan", "/vcek/v1/", "", 404, NULL, NULL},
    {"the chain of VCEKs", "milan", "/vcek/v1/Milan/cert_chain", "", 200, "machine/vcek-chain.pem",
     NULL},
    {"the chain of VLEKs", "milan", "/vlek/v1/Milan/cert_chain", "", 200, "machine/vlek-chain.pem",
     NULL},
    {"the list", "milan", "/vcek/v1/Milan/crl", "", 200, "collateral/snp-crl-milan.crl", NULL},
    {"the same for VLEKs", "turin", "/vlek/v1/Turin/crl", "", 200, "collateral/snp-crl-turin.crl",
     NULL},
    {"a VLEK, which is not handed out", "milan", "/vlek/v1/Milan/" ID_64,
     "blSPL=03&teeSPL=00&snpSPL=8&ucodeSPL=217", 404, NULL, NULL},
    {"a path of Intel", "milan", "/tdx/certification/v4/qe/identity", "", 404, NULL, NULL},
    {"TCB information", NULL, "/tdx/certification/v4/tcb", "fmspc=00806F0500AB", 200,
     "collateral/tdx-tcb-info-00806f0500ab.json", "TCB-Info-Issuer-Chain"},
    {"TCB information of another platform", NULL, "/tdx/certification/v4/tcb", "fmspc=00806F0500AC",
     404, NULL, NULL},
    {"TCB information of none", NULL, "/tdx/certification/v4/tcb", "", 400, NULL, NULL},
    {"TCB information of less", NULL, "/tdx/certification/v4/tcb", "fmspc=00806F0500A", 400, NULL,
     NULL},
    {"the identity of the quoting enclave", NULL, "/tdx/certification/v4/qe/identity", "", 200,
     "collateral/tdx-qe-identity-td.json", "SGX-Enclave-Identity-Issuer-Chain"},
    {"evaluation numbers", NULL, "/tdx/certification/v4/tcbevaluationdatanumbers", "", 200,
     "collateral/tdx-evaluation-tdx.json", "TCB-Evaluation-Data-Numbers-Issuer-Chain"},
    {"the list of platforms", NULL, "/sgx/certification/v4/pckcrl", "ca=platform&encoding=der", 200,
     "collateral/tdx-pck-crl-platform.crl", "SGX-PCK-CRL-Issuer-Chain"},
    {"the list of processors, which is not there", NULL, "/sgx/certification/v4/pckcrl",
     "ca=processor&encoding=der", 404, NULL, NULL},
    {"the list of nobody", NULL, "/sgx/certification/v4/pckcrl", "encoding=der", 400, NULL, NULL},
    {"the list of others", NULL, "/sgx/certification/v4/pckcrl", "ca=root", 400, NULL, NULL},
    {"an encoding that is none", NULL, "/sgx/certification/v4/pckcrl", "ca=platform&encoding=xer",
     400, NULL, NULL},
    {"the root's list, where Intel has it", NULL, "/IntelSGXRootCA.der", "", 200,
     "collateral/tdx-root-crl-root.crl", NULL},
    {"documents of SGX", NULL, "/sgx/certification/v4/qe/identity", "", 404, NULL, NULL},
};

static void each_path_has_its_document(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *row = &rows[i];
        union {
            const char *in;
            void *out;
        } query = {row->query};
        const struct atls_sim_question question = {row->path, query.out, argument};
        struct atls_sim_answer answer = {.status = 404};
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code = row->line != NULL
                                  ? atls_sim_kds_answer(*state, row->line, &question, &answer, &err)
                                  : atls_sim_pcs_answer(*state, &question, &answer, &err);

        test_assert_code(code, ATLS_OK, &err);
        if (answer.status != row->status)
            fail_msg("%s: status %u, want %u", row->says, answer.status, row->status);
        if (row->file != NULL)
            test_assert_bytes(atls_buf_bytes(&answer.body),
                              atls_bytes_of(row->file, strlen(row->file) + 1));
        else
            assert_int_equal(answer.body.len, 0);
        if (row->header == NULL) {
            assert_null(answer.header);
        } else {
            assert_string_equal(answer.header, row->header);
            assert_non_null(memmem(answer.value.ptr, answer.value.len, "collateral%2Ftdx-", 17));
        }
        atls_sim_answer_clear(&answer);
    }
}

static struct atls_sim_answer ask_pcs(const char *folder, const char *path, void *query)
{
    const struct atls_sim_question question = {path, query, argument};
    struct atls_sim_answer answer = {.status = 404};

    assert_int_equal(atls_sim_pcs_answer(folder, &question, &answer, NULL), ATLS_OK);
    assert_int_equal(answer.status, 200);
    return answer;
}

static void lists_come_in_other_forms(void **state)
{
    static char platform[] = "ca=platform", pem[] = "ca=platform&encoding=pem";
    char *queries[] = {platform, pem};
    struct atls_sim_answer answer;

    for (size_t i = 0; i < 2; i++) {
        answer = ask_pcs(*state, "/sgx/certification/v4/pckcrl", queries[i]);
        assert_memory_equal(answer.body.ptr, "-----BEGIN X509 CRL-----\n", 25);
        assert_string_equal(answer.type, "application/x-pem-file");
        assert_string_equal(answer.header, "SGX-PCK-CRL-Issuer-Chain");
        atls_sim_answer_clear(&answer);
    }
    answer = ask_pcs(*state, "/sgx/certification/v4/rootcacrl", NULL);
    assert_memory_equal(answer.body.ptr, "636f6c6c61746572616c2f", 22);
    assert_int_equal(answer.body.len, 2 * sizeof "collateral/tdx-root-crl-root.crl");
    atls_sim_answer_clear(&answer);
}

static void a_document_without_its_chain_is_an_error(void **state)
{
    const struct atls_sim_question question = {"/tdx/certification/v4/qe/identity", NULL, argument};
    struct atls_sim_answer answer = {.status = 404};
    struct atls_err err = ATLS_ERR_INIT;
    char from[512], to[512];

    snprintf(from, sizeof from, "%s/collateral/tdx-tcb-chain-tcb.pem", (const char *)*state);
    snprintf(to, sizeof to, "%s/collateral/away", (const char *)*state);
    assert_int_equal(rename(from, to), 0);
    test_assert_code(atls_sim_pcs_answer(*state, &question, &answer, &err), ATLS_E_IO, &err);
    assert_int_equal(answer.status, 404);
    assert_null(answer.body.ptr);
    assert_int_equal(rename(to, from), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_path_has_its_document),
        cmocka_unit_test(lists_come_in_other_forms),
        cmocka_unit_test(a_document_without_its_chain_is_an_error),
    };

    return cmocka_run_group_tests_name("service", tests, setup, teardown);
}
