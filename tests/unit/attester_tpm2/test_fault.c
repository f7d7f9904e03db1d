/* A TPM that misbehaves: a go-between on the way to a real software TPM changes what one command
 * answers. Whatever it does, the attester says which command failed, and works again afterwards. */
#include "testlib.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <tss2/tss2_tpm2_types.h>

#include <atls/tpm2.h>

#include "attester/tpm2/device.h"
#include "attester/tpm2/hcl.h"
#include "bind/credential.h"
#include "core/reader.h"
#include "crypto/crypto.h"
#include "swtpm.h"

#define MESSAGE_MAX 8192

static const struct atls_attester_ops *const backends[] = {&atls_tpm2_attester, NULL};
static const uint8_t binder_bytes[32] = {1};
static const struct atls_bytes binder = {binder_bytes, 32};

enum fault {
    FAULT_NONE,
    FAULT_CODE,    /* answers with a return code */
    FAULT_CUT,     /* the answer ends early, as its size says */
    FAULT_HANG_UP, /* the connection ends instead of an answer */
    FAULT_EXTEND,  /* something else extends PCR 16 after the command */
    FAULT_FLIP,    /* one bit of the last byte differs */
};

static const char *const fault_names[] = {
    [FAULT_CODE] = "failure code",
    [FAULT_CUT] = "answer cut short",
    [FAULT_HANG_UP] = "hangs up",
};

/* What happens to one command; changed by the test while no command is under way. */
static struct {
    TPM2_CC command;
    enum fault fault;
    uint32_t code;
    int times; /* that it happens */
    int seen;  /* that the command came */
} rule;
static pthread_mutex_t rule_mutex = PTHREAD_MUTEX_INITIALIZER;

static struct test_swtpm *tpm;
static char path[128];
static int listener;
static pthread_t thread;

static uint32_t u32_at(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool receive(int fd, uint8_t *message, size_t *len)
{
    size_t got = 0;

    do {
        ssize_t n = recv(fd, message + got, MESSAGE_MAX - got, 0);

        if (n <= 0)
            return false;
        got += (size_t)n;
    } while (got < 10 || got < u32_at(message + 2));
    *len = got;
    return true;
}

static bool exchange(int fd, const uint8_t *command, size_t len, uint8_t *response,
                     size_t *response_len)
{
    return send(fd, command, len, MSG_NOSIGNAL) == (ssize_t)len &&
           receive(fd, response, response_len);
}

/* TPM2_PCR_Extend of PCR 16. */
static bool extend(int fd)
{
    static const uint8_t command[65] = {0x80, 0x02, 0, 0, 0, 65, 0,    0, 0x01, 0x82, 0, 0,
                                        0,    16,   0, 0, 0, 9,  0x40, 0, 0,    9,    0, 0,
                                        0,    0,    0, 0, 0, 0,  1,    0, 0x0b, 5};
    static uint8_t response[MESSAGE_MAX];
    size_t len;

    return exchange(fd, command, sizeof command, response, &len) && u32_at(response + 6) == 0;
}

static void put_u32(uint8_t *p, size_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

/* The fault that this command is to meet. */
static enum fault next_fault(const uint8_t *command, uint32_t *out_code)
{
    enum fault fault = FAULT_NONE;

    pthread_mutex_lock(&rule_mutex);
    if (u32_at(command + 6) == rule.command) {
        rule.seen++;
        if (rule.times > 0) {
            rule.times--;
            fault = rule.fault;
            *out_code = rule.code;
        }
    }
    pthread_mutex_unlock(&rule_mutex);
    return fault;
}

/* One command and its answer; false ends the connection. */
static bool pass_on(int client, int server)
{
    static uint8_t command[MESSAGE_MAX], response[MESSAGE_MAX];
    size_t len, response_len;
    enum fault fault;
    uint32_t code = 0;

    if (!receive(client, command, &len))
        return false;
    fault = next_fault(command, &code);
    if (fault == FAULT_HANG_UP)
        return false;
    if (fault == FAULT_CODE) {
        static const uint8_t head[6] = {0x80, 0x01, 0, 0, 0, 10};

        memcpy(response, head, sizeof head);
        put_u32(response + 6, code);
        response_len = 10;
    } else if (!exchange(server, command, len, response, &response_len)) {
        return false;
    }
    if (fault == FAULT_EXTEND && !extend(server))
        return false;
    if (fault == FAULT_FLIP)
        response[response_len - 1] ^= 1;
    if (fault == FAULT_CUT && response_len > 12) {
        response_len -= 2;
        put_u32(response + 2, response_len);
    }
    return send(client, response, response_len, MSG_NOSIGNAL) == (ssize_t)response_len;
}

static int connect_tpm(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s",
             test_swtpm_tcti(tpm) + strlen("swtpm:path="));
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void *go_between(void *arg)
{
    int client;

    while ((client = accept(listener, NULL, NULL)) >= 0) {
        int server = connect_tpm();

        while (server >= 0 && pass_on(client, server))
            ;
        close(server);
        close(client);
    }
    return arg;
}

static int set_up(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char control[160], link[160];

    (void)state;
    tpm = test_swtpm_start(0);
    memset(&rule, 0, sizeof rule);
    snprintf(path, sizeof path, "%s/between.sock", test_swtpm_folder(tpm));
    snprintf(address.sun_path, sizeof address.sun_path, "%s/between.sock", test_swtpm_folder(tpm));
    /* the TCTI looks for the control channel beside */
    snprintf(control, sizeof control, "%s.ctrl", test_swtpm_tcti(tpm) + strlen("swtpm:path="));
    snprintf(link, sizeof link, "%s.ctrl", path);
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    return symlink(control, link) != 0 ||
           bind(listener, (const struct sockaddr *)&address, sizeof address) != 0 ||
           listen(listener, 4) != 0 || pthread_create(&thread, NULL, go_between, NULL) != 0;
}

static int tear_down(void **state)
{
    (void)state;
    shutdown(listener, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(listener);
    test_swtpm_stop(tpm);
    return 0;
}

static void set_rule(TPM2_CC command, enum fault fault, uint32_t code, int times)
{
    pthread_mutex_lock(&rule_mutex);
    rule.command = command;
    rule.fault = fault;
    rule.code = code;
    rule.times = times;
    rule.seen = 0;
    pthread_mutex_unlock(&rule_mutex);
}

static int times_seen(void)
{
    int seen;

    pthread_mutex_lock(&rule_mutex);
    seen = rule.seen;
    pthread_mutex_unlock(&rule_mutex);
    return seen;
}

static char *make_uri(const char *options, char *out, size_t size)
{
    snprintf(out, size, "tpm2:swtpm:path=%s?pcrs=sha256:0-7,16%s", path, options);
    return out;
}

static enum atls_code try_attester(struct atls_attester **out, struct atls_err *err)
{
    char uri[512];

    return atls_attester_open(make_uri("", uri, sizeof uri), backends, NULL, out, err);
}

static struct atls_attester *open_attester(void)
{
    struct atls_attester *a = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(try_attester(&a, &err), ATLS_OK, &err);
    return a;
}

static void check_message(const struct atls_err *err, const char *want)
{
    if (strstr(err->message, want) == NULL)
        fail_msg("message is \"%s\", want \"%s\" in it", err->message, want);
}

/* A connection that broke, or was given up, leaves in the TPM what was loaded over it; a reset
 * empties it. */
static void reset_after(enum fault fault)
{
    if (fault == FAULT_HANG_UP || fault == FAULT_CUT)
        test_swtpm_restart(tpm);
}

static void every_command_of_opening_may_fail(void **state)
{
    static const struct {
        const char *name;
        TPM2_CC command;
        enum fault fault;
    } rows[] = {
        {"TPM2_Startup", TPM2_CC_Startup, FAULT_CODE},
        {"TPM2_Startup", TPM2_CC_Startup, FAULT_HANG_UP},
        {"TPM2_CreatePrimary", TPM2_CC_CreatePrimary, FAULT_CODE},
        {"TPM2_CreatePrimary", TPM2_CC_CreatePrimary, FAULT_HANG_UP},
        {"TPM2_ContextSave", TPM2_CC_ContextSave, FAULT_CODE},
        {"TPM2_ContextSave", TPM2_CC_ContextSave, FAULT_HANG_UP},
        {"TPM2_Create", TPM2_CC_Create, FAULT_CODE},
        {"TPM2_Create", TPM2_CC_Create, FAULT_HANG_UP},
        {"TPM2_Load", TPM2_CC_Load, FAULT_CODE},
        {"TPM2_Load", TPM2_CC_Load, FAULT_HANG_UP},
        {"TPM2_PCR_Read", TPM2_CC_PCR_Read, FAULT_CODE},
        {"TPM2_PCR_Read", TPM2_CC_PCR_Read, FAULT_HANG_UP},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_attester *a = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s: %s\n", rows[i].name, fault_names[rows[i].fault]);
        set_rule(rows[i].command, rows[i].fault, TPM2_RC_FAILURE, 1);
        test_assert_code(try_attester(&a, &err), ATLS_E_DEVICE, &err);
        check_message(&err, rows[i].name);
        assert_null(a);
        reset_after(rows[i].fault);
        atls_attester_unref(open_attester());
    }
}

/* An index for the report, which takes two reads and holds none. */
static void put_index(void)
{
    static const TPM2B_AUTH no_auth = {0};
    const TPM2B_NV_PUBLIC area = {
        .nvPublic = {.nvIndex = ATLS_TPM2_HCL_INDEX,
                     .nameAlg = TPM2_ALG_SHA256,
                     .attributes = TPMA_NV_OWNERWRITE | TPMA_NV_OWNERREAD | TPMA_NV_NO_DA,
                     .dataSize = 1200}};
    const TPM2B_MAX_NV_BUFFER data = {.size = 1};
    struct atls_tpm2_config config = {.tcti = test_swtpm_tcti(tpm), .simulator = true};
    struct atls_tpm2_device device = {.config = &config};
    struct atls_err err = ATLS_ERR_INIT;
    ESYS_TR nv = ESYS_TR_NONE;

    test_assert_code(atls_tpm2_connect(&device, &err), ATLS_OK, &err);
    assert_int_equal(Esys_NV_DefineSpace(device.esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD,
                                         ESYS_TR_NONE, ESYS_TR_NONE, &no_auth, &area, &nv),
                     0);
    assert_int_equal(Esys_NV_Write(device.esys, ESYS_TR_RH_OWNER, nv, ESYS_TR_PASSWORD,
                                   ESYS_TR_NONE, ESYS_TR_NONE, &data, 0),
                     0);
    atls_tpm2_disconnect(&device);
}

static void reading_the_report_of_the_machine_may_fail(void **state)
{
    static const struct {
        const char *name;
        TPM2_CC command;
        enum fault fault;
    } rows[] = {
        {"TPM2_GetCapability", TPM2_CC_GetCapability, FAULT_CODE},
        {"TPM2_GetCapability", TPM2_CC_GetCapability, FAULT_HANG_UP},
        {"TPM2_NV_ReadPublic", TPM2_CC_NV_ReadPublic, FAULT_CODE},
        {"TPM2_NV_ReadPublic", TPM2_CC_NV_ReadPublic, FAULT_HANG_UP},
        {"TPM2_NV_Read", TPM2_CC_NV_Read, FAULT_CODE},
        {"TPM2_NV_Read", TPM2_CC_NV_Read, FAULT_HANG_UP},
        {"TPM2_NV_Read", TPM2_CC_NV_Read, FAULT_CUT},
    };
    char uri[512];

    (void)state;
    put_index();
    make_uri("&hcl-report=nv", uri, sizeof uri);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_attester *a = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s: %s\n", rows[i].name, fault_names[rows[i].fault]);
        set_rule(rows[i].command, rows[i].fault, TPM2_RC_FAILURE, 1);
        test_assert_code(atls_attester_open(uri, backends, NULL, &a, &err), ATLS_E_DEVICE, &err);
        check_message(&err, rows[i].name);
        reset_after(rows[i].fault);
        /* all of it is read now, and found to be no report */
        test_assert_code(atls_attester_open(uri, backends, NULL, &a, &err), ATLS_E_DECODE, &err);
        check_message(&err, "HCL report: ");
        assert_null(a);
    }
    set_rule(TPM2_CC_NV_Read, FAULT_NONE, 0, 0);
    assert_int_equal(atls_attester_open(uri, backends, NULL, &(struct atls_attester *){NULL}, NULL),
                     ATLS_E_DECODE);
    assert_int_equal(times_seen(), 2);
}

static void every_command_of_evidence_may_fail(void **state)
{
    static const struct {
        const char *name;
        TPM2_CC command;
        enum fault fault;
    } rows[] = {
        {"TPM2_ContextLoad", TPM2_CC_ContextLoad, FAULT_HANG_UP},
        {"TPM2_Certify", TPM2_CC_Certify, FAULT_CODE},
        {"TPM2_Certify", TPM2_CC_Certify, FAULT_HANG_UP},
        {"TPM2_Certify", TPM2_CC_Certify, FAULT_CUT},
        {"TPM2_Quote", TPM2_CC_Quote, FAULT_CODE},
        {"TPM2_Quote", TPM2_CC_Quote, FAULT_HANG_UP},
        {"TPM2_Quote", TPM2_CC_Quote, FAULT_CUT},
        {"TPM2_PCR_Read", TPM2_CC_PCR_Read, FAULT_CODE},
        {"TPM2_PCR_Read", TPM2_CC_PCR_Read, FAULT_HANG_UP},
    };
    struct atls_attester *a = open_attester();

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf out = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s: %s\n", rows[i].name, fault_names[rows[i].fault]);
        set_rule(rows[i].command, rows[i].fault, TPM2_RC_FAILURE, 1);
        test_assert_code(atls_attester_evidence(a, binder, &out, &err), ATLS_E_DEVICE, &err);
        check_message(&err, rows[i].name);
        assert_null(out.ptr);
        reset_after(rows[i].fault);
        test_assert_code(atls_attester_evidence(a, binder, &out, &err), ATLS_OK, &err);
        atls_buf_clear(&out);
    }
    atls_attester_unref(a);
}

static void signing_may_fail(void **state)
{
    struct atls_attester *a = open_attester();
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    set_rule(TPM2_CC_Sign, FAULT_CODE, TPM2_RC_FAILURE, 1);
    test_assert_code(atls_attester_sign(a, ATLS_ECDSA_P256_SHA256, binder, &out, &err),
                     ATLS_E_DEVICE, &err);
    check_message(&err, "TPM2_Sign: 0x101: ");
    test_assert_code(atls_attester_sign(a, ATLS_ECDSA_P256_SHA256, binder, &out, &err), ATLS_OK,
                     &err);
    atls_buf_clear(&out);
    atls_attester_unref(a);
}

static void a_forgotten_context_is_made_again(void **state)
{
    struct atls_attester *a = open_attester();
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    set_rule(TPM2_CC_ContextLoad, FAULT_CODE, TPM2_RC_INTEGRITY | TPM2_RC_P | TPM2_RC_1, 2);
    test_assert_code(atls_attester_evidence(a, binder, &out, &err), ATLS_OK, &err);
    assert_int_equal(times_seen(), 2);
    atls_buf_clear(&out);
    atls_attester_unref(a);
}

static void a_busy_tpm_is_waited_for(void **state)
{
    struct atls_attester *a = open_attester();
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    /* more often than the TSS asks again on its own */
    set_rule(TPM2_CC_Quote, FAULT_CODE, TPM2_RC_RETRY, 12);
    test_assert_code(atls_attester_evidence(a, binder, &out, &err), ATLS_OK, &err);
    assert_int_equal(times_seen(), 13);
    atls_buf_clear(&out);
    set_rule(TPM2_CC_Quote, FAULT_CODE, TPM2_RC_RETRY, 1000);
    test_assert_code(atls_attester_evidence(a, binder, &out, &err), ATLS_E_DEVICE, &err);
    check_message(&err, "TPM2_Quote: 0x922: ");
    assert_true(times_seen() < 1000);
    atls_attester_unref(a);
}

static void a_measurement_in_between_is_quoted_again(void **state)
{
    struct atls_attester *a = open_attester();
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    set_rule(TPM2_CC_Quote, FAULT_EXTEND, 0, 2);
    test_assert_code(atls_attester_evidence(a, binder, &out, &err), ATLS_OK, &err);
    assert_int_equal(times_seen(), 3);
    atls_buf_clear(&out);
    set_rule(TPM2_CC_Quote, FAULT_EXTEND, 0, 3);
    test_assert_code(atls_attester_evidence(a, binder, &out, &err), ATLS_E_DEVICE, &err);
    check_message(&err, "disagree with the quote's digest, 3 times");
    assert_int_equal(times_seen(), 3);
    /* a wrong value is no different */
    set_rule(TPM2_CC_PCR_Read, FAULT_FLIP, 0, 1000);
    test_assert_code(atls_attester_evidence(a, binder, &out, &err), ATLS_E_DEVICE, &err);
    check_message(&err, "disagree with the quote's digest");
    assert_null(out.ptr);
    atls_attester_unref(a);
}

static void every_command_of_enrolment_may_fail(void **state)
{
    static const struct {
        const char *name;
        TPM2_CC command;
        int step; /* 0 identity, 1 activate, 2 persist, 3 PCRs */
    } rows[] = {
        {"TPM2_GetCapability", TPM2_CC_GetCapability, 0},
        {"TPM2_CreatePrimary", TPM2_CC_CreatePrimary, 0},
        {"TPM2_CreatePrimary", TPM2_CC_CreatePrimary, 1},
        {"TPM2_StartAuthSession", TPM2_CC_StartAuthSession, 1},
        {"TPM2_PolicySecret", TPM2_CC_PolicySecret, 1},
        {"TPM2_ActivateCredential", TPM2_CC_ActivateCredential, 1},
        {"TPM2_GetCapability", TPM2_CC_GetCapability, 2},
        {"TPM2_EvictControl", TPM2_CC_EvictControl, 2},
        {"TPM2_PCR_Read", TPM2_CC_PCR_Read, 3},
    };
    static const uint8_t secret[4] = {9};
    static const enum fault faults[] = {FAULT_CODE, FAULT_HANG_UP};
    struct atls_tpm2_enrolment *e = NULL;
    struct atls_tpm2_identity identity, none;
    struct atls_tpmt_public ek, ak;
    struct atls_credential credential;
    struct atls_tpm_name name;
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    char uri[512];

    (void)state;
    test_assert_code(atls_tpm2_enrolment_open(
                         make_uri("&ak=0x81010002&aik=0x81010003", uri, sizeof uri), &e, &err),
                     ATLS_OK, &err);
    test_assert_code(atls_tpm2_enrolment_identity(e, &identity, &err), ATLS_OK, &err);
    test_assert_code(atls_tpmt_public_decode(atls_buf_bytes(&identity.ek_public), &ek, &err),
                     ATLS_OK, &err);
    test_assert_code(atls_tpmt_public_decode(atls_buf_bytes(&identity.ak_public), &ak, &err),
                     ATLS_OK, &err);
    test_assert_code(atls_tpm_name_of(&ak, &name, &err), ATLS_OK, &err);
    test_assert_code(atls_credential_make(&ek, &name, atls_bytes_of(secret, 4), &credential, &err),
                     ATLS_OK, &err);
    for (size_t i = 0; i < 2 * sizeof rows / sizeof rows[0]; i++) {
        enum atls_code code = ATLS_OK;

        print_message("  %s: %s\n", rows[i / 2].name, fault_names[faults[i % 2]]);
        set_rule(rows[i / 2].command, faults[i % 2], TPM2_RC_FAILURE, 1);
        if (rows[i / 2].step == 0)
            code = atls_tpm2_enrolment_identity(e, &none, &err);
        else if (rows[i / 2].step == 1)
            code = atls_tpm2_enrolment_activate(e, atls_buf_bytes(&credential.id_object),
                                                atls_buf_bytes(&credential.encrypted_secret), &out,
                                                &err);
        else if (rows[i / 2].step == 2)
            code = atls_tpm2_enrolment_persist(e, &err);
        else
            code = atls_tpm2_enrolment_pcrs(e, NULL, NULL, &err);
        test_assert_code(code, ATLS_E_DEVICE, &err);
        check_message(&err, rows[i / 2].name);
        reset_after(faults[i % 2]);
    }
    set_rule(0, FAULT_NONE, 0, 0);
    test_assert_code(atls_tpm2_enrolment_persist(e, &err), ATLS_OK, &err);
    test_assert_code(atls_tpm2_enrolment_activate(e, atls_buf_bytes(&credential.id_object),
                                                  atls_buf_bytes(&credential.encrypted_secret),
                                                  &out, &err),
                     ATLS_OK, &err);
    test_assert_bytes(atls_buf_bytes(&out), atls_bytes_of(secret, 4));
    /* a persistent key is looked up each time */
    set_rule(TPM2_CC_ReadPublic, FAULT_CODE, TPM2_RC_FAILURE, 1);
    atls_buf_clear(&out);
    test_assert_code(atls_tpm2_enrolment_activate(e, atls_buf_bytes(&credential.id_object),
                                                  atls_buf_bytes(&credential.encrypted_secret),
                                                  &out, &err),
                     ATLS_E_DEVICE, &err);
    check_message(&err, "TPM2_ReadPublic");
    atls_credential_clear(&credential);
    atls_tpm2_identity_clear(&identity);
    atls_tpm2_enrolment_close(e);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ROW(every_command_of_opening_may_fail),
        ROW(reading_the_report_of_the_machine_may_fail),
        ROW(every_command_of_evidence_may_fail),
        ROW(signing_may_fail),
        ROW(a_forgotten_context_is_made_again),
        ROW(a_busy_tpm_is_waited_for),
        ROW(a_measurement_in_between_is_quoted_again),
        ROW(every_command_of_enrolment_may_fail),
    };

    if (!test_swtpm_available()) {
        print_message("skipped: swtpm and swtpm_setup are not installed\n");
        return TEST_SWTPM_SKIP;
    }
    setenv("TSS2_LOG", "all+none",
           1); /* failures are provoked here; the library would print them */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
