/* The device's side of enrolment against a real software TPM, the verifier's side being our own
 * credential maker and the TPM's own TPM2_MakeCredential. */
#include "testlib.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <atls/tpm2.h>

#include "bind/credential.h"
#include "core/reader.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "swtpm.h"
#include "wire/tpm.h"

#define HANDLES "ak=0x81010002&aik=0x81010003"

static const struct atls_attester_ops *const backends[] = {&atls_tpm2_attester, NULL};

static struct test_swtpm *tpm;

static int start_tpm(void **state)
{
    (void)state;
    tpm = test_swtpm_start(0);
    return 0;
}

static int start_made_tpm(void **state)
{
    (void)state;
    tpm = test_swtpm_start(TEST_SWTPM_EK_CERTIFICATE);
    return 0;
}

static int stop_tpm(void **state)
{
    (void)state;
    test_swtpm_stop(tpm);
    return 0;
}

static enum atls_code try_open(const char *options, struct atls_tpm2_enrolment **out,
                               struct atls_err *err)
{
    char uri[512];

    return atls_tpm2_enrolment_open(test_swtpm_uri(tpm, options, uri, sizeof uri), out, err);
}

static struct atls_tpm2_enrolment *open_enrolment(const char *options)
{
    struct atls_tpm2_enrolment *e = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(try_open(options, &e, &err), ATLS_OK, &err);
    return e;
}

static struct atls_tpm2_identity identity_of(struct atls_tpm2_enrolment *e)
{
    struct atls_tpm2_identity identity;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_tpm2_enrolment_identity(e, &identity, &err), ATLS_OK, &err);
    return identity;
}

static enum atls_code try_attester(const char *options, struct atls_attester **out,
                                   struct atls_err *err)
{
    char uri[512];

    return atls_attester_open(test_swtpm_uri(tpm, options, uri, sizeof uri), backends, NULL, out,
                              err);
}

static struct atls_tpmt_public decode(const struct atls_buf *area)
{
    struct atls_tpmt_public out;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_tpmt_public_decode(atls_buf_bytes(area), &out, &err), ATLS_OK, &err);
    return out;
}

static void a_tpm_without_certificate_shows_its_keys(void **state)
{
    struct atls_tpm2_enrolment *e = open_enrolment(NULL);
    struct atls_tpm2_identity identity = identity_of(e), again = identity_of(e);
    struct atls_tpmt_public ek = decode(&identity.ek_public), ak = decode(&identity.ak_public),
                            aik = decode(&identity.aik_public);
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    assert_int_equal(identity.ek_certificate.len, 0);
    assert_int_equal(ek.curve, 3);
    test_assert_code(atls_tpm_check_role(&ek, ATLS_TPM_ROLE_EK, &err), ATLS_OK, &err);
    test_assert_code(atls_tpm_check_role(&ak, ATLS_TPM_ROLE_AK, &err), ATLS_OK, &err);
    test_assert_code(atls_tpm_check_role(&aik, ATLS_TPM_ROLE_SUBJECT, &err), ATLS_OK, &err);
    test_assert_bytes(atls_buf_bytes(&again.ek_public), atls_buf_bytes(&identity.ek_public));
    test_assert_bytes(atls_buf_bytes(&again.aik_public), atls_buf_bytes(&identity.aik_public));
    atls_tpm2_identity_clear(&identity);
    atls_tpm2_identity_clear(&again);
    atls_tpm2_enrolment_close(e);
}

/* Reads PEM certificates of path into anchors. */
static void add_anchors(struct atls_anchors *anchors, const char *path)
{
    static char pem[8192];
    FILE *f = fopen(path, "r");
    struct atls_err err = ATLS_ERR_INIT;
    size_t len, count;

    assert_non_null(f);
    len = fread(pem, 1, sizeof pem, f);
    fclose(f);
    test_assert_code(atls_anchors_add_pem(anchors, atls_bytes_of(pem, len), &count, &err), ATLS_OK,
                     &err);
}

static void a_made_tpm_shows_its_certificate(void **state)
{
    struct atls_tpm2_enrolment *e = open_enrolment(NULL);
    struct atls_tpm2_identity identity = identity_of(e);
    struct atls_tpmt_public ek = decode(&identity.ek_public);
    struct atls_chain_check check = {.purpose = ATLS_CHAIN_TPM_EK, .time_s = 0};
    struct atls_bytes chain[1] = {atls_buf_bytes(&identity.ek_certificate)};
    struct atls_anchors *anchors = NULL;
    struct atls_chain_result result;
    struct atls_bytes trimmed;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    assert_int_equal(ek.type, 0x0001);
    test_assert_code(atls_tpm_check_role(&ek, ATLS_TPM_ROLE_EK, &err), ATLS_OK, &err);
    test_assert_code(atls_certificate_trim(chain[0], &trimmed, &err), ATLS_OK, &err);
    assert_int_equal(trimmed.len, chain[0].len);
    test_assert_code(atls_credential_match_certificate(&ek, chain[0], &err), ATLS_OK, &err);

    test_assert_code(atls_anchors_new(&anchors, &err), ATLS_OK, &err);
    add_anchors(anchors, test_swtpm_root_certificate(tpm));
    add_anchors(anchors, test_swtpm_issuer_certificate(tpm));
    check.anchors = anchors;
    check.time_s = (int64_t)time(NULL) + 60;
    test_assert_code(atls_chain_verify(chain, 1, &check, &result, &err), ATLS_OK, &err);
    atls_chain_result_clear(&result);
    atls_anchors_unref(anchors);
    atls_tpm2_identity_clear(&identity);
    atls_tpm2_enrolment_close(e);
}

/* The credential of secret for identity, by our own maker. */
static struct atls_credential make_credential(const struct atls_tpm2_identity *identity,
                                              const struct atls_buf *for_area,
                                              struct atls_bytes secret)
{
    struct atls_tpmt_public ek = decode(&identity->ek_public), ak = decode(for_area);
    struct atls_credential credential;
    struct atls_tpm_name name;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_tpm_name_of(&ak, &name, &err), ATLS_OK, &err);
    test_assert_code(atls_credential_make(&ek, &name, secret, &credential, &err), ATLS_OK, &err);
    return credential;
}

/* Both kinds of EK: this test runs with and without certificate. */
static void a_credential_opens_on_this_tpm_only(void **state)
{
    static const uint8_t secret_bytes[32] = {0x5e, 0xc4, 0xe7};
    const struct atls_bytes secret = {secret_bytes, sizeof secret_bytes};
    struct atls_tpm2_enrolment *e = open_enrolment("connection=release");
    struct atls_tpm2_identity identity = identity_of(e);
    struct atls_credential right = make_credential(&identity, &identity.ak_public, secret),
                           wrong = make_credential(&identity, &identity.aik_public, secret);
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (int i = 0; i < 5; i++) { /* more often than there are slots for what may leak */
        test_assert_code(atls_tpm2_enrolment_activate(e, atls_buf_bytes(&right.id_object),
                                                      atls_buf_bytes(&right.encrypted_secret), &out,
                                                      &err),
                         ATLS_OK, &err);
        test_assert_bytes(atls_buf_bytes(&out), secret);
        atls_buf_clear(&out);
        /* made for a key of another name */
        test_assert_code(atls_tpm2_enrolment_activate(e, atls_buf_bytes(&wrong.id_object),
                                                      atls_buf_bytes(&wrong.encrypted_secret), &out,
                                                      &err),
                         ATLS_E_DEVICE, &err);
        if (strstr(err.message, "TPM2_ActivateCredential") == NULL)
            fail_msg("message is \"%s\"", err.message);
        assert_null(out.ptr);
    }
    right.id_object.ptr[10] ^= 1;
    test_assert_code(atls_tpm2_enrolment_activate(e, atls_buf_bytes(&right.id_object),
                                                  atls_buf_bytes(&right.encrypted_secret), &out,
                                                  &err),
                     ATLS_E_DEVICE, &err);
    atls_credential_clear(&right);
    atls_credential_clear(&wrong);
    atls_tpm2_identity_clear(&identity);
    atls_tpm2_enrolment_close(e);
}

/* TPM2_MakeCredential of another implementation, if the tool is there. */
static void the_tools_credential_opens(void **state)
{
    struct atls_tpm2_enrolment *e = open_enrolment(NULL);
    struct atls_tpm2_identity identity = identity_of(e);
    struct atls_tpmt_public ak = decode(&identity.ak_public);
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_bytes id_object, secret;
    struct atls_reader r;
    struct atls_tpm_name name;
    struct atls_err err = ATLS_ERR_INIT;
    char path[128], command[1024];
    uint8_t file[1024], size[2];
    uint32_t magic, version;
    size_t used;
    FILE *f;

    (void)state;
    if (system("command -v tpm2_makecredential >/dev/null") != 0) {
        print_message("  skipped: tpm2_makecredential is not installed\n");
        atls_tpm2_identity_clear(&identity);
        atls_tpm2_enrolment_close(e);
        skip();
    }
    snprintf(path, sizeof path, "%s/ek.pub", test_swtpm_folder(tpm));
    f = fopen(path, "w");
    assert_non_null(f);
    size[0] = (uint8_t)(identity.ek_public.len >> 8);
    size[1] = (uint8_t)identity.ek_public.len;
    fwrite(size, 1, 2, f);
    fwrite(identity.ek_public.ptr, 1, identity.ek_public.len, f);
    fclose(f);
    test_assert_code(atls_tpm_name_of(&ak, &name, &err), ATLS_OK, &err);
    used = (size_t)snprintf(command, sizeof command,
                            "cd %s && printf 'from the tool' > secret && tpm2_makecredential -T "
                            "none -u ek.pub -s secret -o credential 2>/dev/null -n ",
                            test_swtpm_folder(tpm));
    for (size_t i = 0; i < name.len; i++)
        used += (size_t)snprintf(command + used, sizeof command - used, "%02x", name.data[i]);
    assert_int_equal(system(command), 0);

    snprintf(path, sizeof path, "%s/credential", test_swtpm_folder(tpm));
    f = fopen(path, "r");
    assert_non_null(f);
    used = fread(file, 1, sizeof file, f);
    fclose(f);
    r = atls_reader_init(atls_bytes_of(file, used));
    assert_true(atls_get_u32(&r, &magic) && atls_get_u32(&r, &version));
    used = r.pos;
    assert_true(atls_get_vec(&r, 0, 0xffff, &id_object));
    id_object = atls_bytes_of(file + used, r.pos - used);
    used = r.pos;
    assert_true(atls_get_vec(&r, 0, 0xffff, &secret) && atls_reader_done(&r));
    secret = atls_bytes_of(file + used, r.pos - used);
    test_assert_code(atls_tpm2_enrolment_activate(e, id_object, secret, &out, &err), ATLS_OK, &err);
    test_assert_bytes(atls_buf_bytes(&out), atls_bytes_of("from the tool", 13));
    atls_buf_clear(&out);
    atls_tpm2_identity_clear(&identity);
    atls_tpm2_enrolment_close(e);
}

static void malformed_credentials_do_not_reach_the_tpm(void **state)
{
    static uint8_t large[2048] = {0x07, 0xfe};
    static const struct {
        const char *name;
        struct atls_bytes id_object, secret;
        const char *message;
    } rows[] = {
        {"empty credential", {NULL, 0}, HEX("\x00\x01\x00"), "TPM2B_ID_OBJECT"},
        {"credential of no bytes", HEX("\x00\x00"), HEX("\x00\x01\x00"), "TPM2B_ID_OBJECT"},
        {"credential cut", HEX("\x00\x02\x00"), HEX("\x00\x01\x00"), "TPM2B_ID_OBJECT"},
        {"credential with a tail", HEX("\x00\x01\x00\x00"), HEX("\x00\x01\x00"), "TPM2B_ID_OBJECT"},
        {"credential larger than any", {large, 2048}, HEX("\x00\x01\x00"), "TPM2B_ID_OBJECT"},
        {"empty secret", HEX("\x00\x01\x00"), {NULL, 0}, "TPM2B_ENCRYPTED_SECRET"},
        {"secret with a tail", HEX("\x00\x01\x00"), HEX("\x00\x01\x00\x00"),
         "TPM2B_ENCRYPTED_SECRET"},
        {"secret larger than any", HEX("\x00\x01\x00"), {large, 2048}, "TPM2B_ENCRYPTED_SECRET"},
    };
    struct atls_tpm2_enrolment *e = open_enrolment(NULL);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf out = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        test_assert_code(
            atls_tpm2_enrolment_activate(e, rows[i].id_object, rows[i].secret, &out, &err),
            ATLS_E_DECODE, &err);
        assert_non_null(strstr(err.message, rows[i].message));
        assert_null(out.ptr);
    }
    atls_tpm2_enrolment_close(e);
}

static void persistent_keys_serve_the_attester(void **state)
{
    struct atls_tpm2_enrolment *e;
    struct atls_tpm2_identity before, after;
    struct atls_attester *a = NULL, *b = NULL;
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    static const uint8_t binder[32] = {7};

    (void)state;
    test_assert_code(try_attester(HANDLES, &a, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "no key at ak=0x81010002; enrol this TPM first"));
    assert_null(a);

    e = open_enrolment(HANDLES);
    before = identity_of(e);
    test_assert_code(atls_tpm2_enrolment_persist(e, &err), ATLS_OK, &err);
    test_assert_code(atls_tpm2_enrolment_persist(e, &err), ATLS_OK, &err); /* nothing left to do */
    after = identity_of(e);
    test_assert_bytes(atls_buf_bytes(&after.aik_public), atls_buf_bytes(&before.aik_public));
    atls_tpm2_identity_clear(&after);
    atls_tpm2_enrolment_close(e);

    test_swtpm_restart(tpm);
    e = open_enrolment(HANDLES);
    after = identity_of(e);
    test_assert_bytes(atls_buf_bytes(&after.ak_public), atls_buf_bytes(&before.ak_public));
    test_assert_bytes(atls_buf_bytes(&after.aik_public), atls_buf_bytes(&before.aik_public));
    atls_tpm2_identity_clear(&before);
    atls_tpm2_identity_clear(&after);
    test_assert_code(atls_tpm2_enrolment_persist(e, &err), ATLS_OK, &err);
    atls_tpm2_enrolment_close(e);

    test_assert_code(try_attester(HANDLES "&connection=release", &a, &err), ATLS_OK, &err);
    test_assert_code(try_attester(HANDLES "&connection=release", &b, &err), ATLS_OK, &err);
    test_assert_bytes(atls_attester_aik_spki(a), atls_attester_aik_spki(b));
    test_assert_code(atls_attester_evidence(a, atls_bytes_of(binder, 32), &out, &err), ATLS_OK,
                     &err);
    atls_buf_clear(&out);
    test_assert_code(
        atls_attester_sign(b, ATLS_ECDSA_P256_SHA256, atls_bytes_of(binder, 32), &out, &err),
        ATLS_OK, &err);
    atls_buf_clear(&out);
    atls_attester_unref(a);
    atls_attester_unref(b);
}

static void one_key_may_be_persistent_alone(void **state)
{
    static const char *const options[] = {"ak=0x81010002", "aik=0x81010003"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct atls_tpm2_enrolment *e = open_enrolment(options[i]);
        struct atls_attester *a = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        test_assert_code(atls_tpm2_enrolment_persist(e, &err), ATLS_OK, &err);
        atls_tpm2_enrolment_close(e);
        test_assert_code(try_attester(options[i], &a, &err), ATLS_OK, &err);
        atls_attester_unref(a);
    }
}

static void persisting_replaces_nothing(void **state)
{
    struct atls_tpm2_enrolment *first = open_enrolment(HANDLES "&connection=release"),
                               *second = open_enrolment(HANDLES "&connection=release"),
                               *none = open_enrolment("connection=release"), *e = NULL;
    struct atls_attester *a = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_tpm2_enrolment_persist(none, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "names no handle"));
    test_assert_code(atls_tpm2_enrolment_persist(first, &err), ATLS_OK, &err);
    /* the second has the same AK, which is fine, and another AIK */
    test_assert_code(atls_tpm2_enrolment_persist(second, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "0x81010003 was taken by another key"));
    atls_tpm2_enrolment_close(first);
    atls_tpm2_enrolment_close(second);
    atls_tpm2_enrolment_close(none);

    /* each key in the other's place is unfit */
    test_assert_code(try_open("ak=0x81010003", &e, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "ak=0x81010003 is unfit as attestation key"));
    assert_null(e);
    test_assert_code(try_attester("aik=0x81010002", &a, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "aik=0x81010002 is unfit as attestation identity key"));
}

struct seen {
    size_t count;
    unsigned int last;
    enum atls_hash bank;
};

static void see(void *arg, enum atls_hash bank, unsigned int index, struct atls_bytes value)
{
    struct seen *seen = arg;

    assert_int_equal(value.len, atls_hash_len(bank));
    if (bank == seen->bank)
        assert_true(index > seen->last);
    else
        assert_true(bank > seen->bank);
    if (bank == ATLS_HASH_SHA256 && index == 16)
        assert_int_equal(value.ptr[0], 0);
    if (index == 17)
        assert_int_equal(value.ptr[0], 0xff);
    seen->bank = bank;
    seen->last = index;
    seen->count++;
}

static void pcrs_are_visited_in_order(void **state)
{
    struct atls_tpm2_enrolment *e = open_enrolment("pcrs=sha384:0-3+sha256:23,16,17");
    struct atls_err err = ATLS_ERR_INIT;
    struct seen seen = {0};

    (void)state;
    test_assert_code(atls_tpm2_enrolment_pcrs(e, see, &seen, &err), ATLS_OK, &err);
    assert_int_equal(seen.count, 7);
    assert_int_equal(seen.bank, ATLS_HASH_SHA384);
    atls_tpm2_enrolment_close(e);
}

/* TPM2_HierarchyChangeAuth to "owned". */
static void set_auth(uint32_t hierarchy)
{
    const uint8_t command[] = {
        0x80, 0x02, 0,   0,   0,    34, 0, 0,    0x01, 0x29, 0x40, 0, 0, (uint8_t)hierarchy,
        0,    0,    0,   9,   0x40, 0,  0, 0x09, 0,    0,    0,    0, 0, 0,
        5,    'o',  'w', 'n', 'e',  'd'};
    uint8_t response[64];

    test_swtpm_command(tpm, command, sizeof command, response, sizeof response);
    assert_memory_equal(response + 6, "\0\0\0\0", 4);
}

static void hierarchies_with_authorisation_need_it(void **state)
{
    static const uint8_t secret[5] = {1};
    struct atls_tpm2_enrolment *e = NULL;
    struct atls_tpm2_identity identity;
    struct atls_credential credential;
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    char options[256], path[128];
    FILE *f;

    (void)state;
    set_auth(0x0b);
    test_assert_code(try_open(HANDLES, &e, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "the TPM refuses the authorisation"));
    set_auth(0x01);
    snprintf(path, sizeof path, "%s/auth", test_swtpm_folder(tpm));
    f = fopen(path, "w");
    assert_non_null(f);
    fputs("owned\n", f);
    fclose(f);
    snprintf(options, sizeof options, HANDLES "&hierarchy-auth=file:%s", path);
    e = open_enrolment(options);
    test_assert_code(atls_tpm2_enrolment_persist(e, &err), ATLS_OK, &err);
    identity = identity_of(e);
    credential = make_credential(&identity, &identity.ak_public, atls_bytes_of(secret, 5));
    test_assert_code(atls_tpm2_enrolment_activate(e, atls_buf_bytes(&credential.id_object),
                                                  atls_buf_bytes(&credential.encrypted_secret),
                                                  &out, &err),
                     ATLS_OK, &err);
    test_assert_bytes(atls_buf_bytes(&out), atls_bytes_of(secret, 5));
    atls_buf_clear(&out);
    atls_credential_clear(&credential);
    atls_tpm2_identity_clear(&identity);
    atls_tpm2_enrolment_close(e);

    /* once the keys are persistent, the authorisation is not needed any more */
    e = open_enrolment(HANDLES);
    test_assert_code(atls_tpm2_enrolment_identity(e, &identity, &err), ATLS_E_CONFIG, &err);
    atls_tpm2_enrolment_close(e);
}

static void a_tpm_that_goes_away_fails_every_step(void **state)
{
    struct atls_tpm2_enrolment *e = open_enrolment(HANDLES);
    struct atls_tpm2_identity identity = identity_of(e), none;
    static const uint8_t secret[5] = {1};
    struct atls_credential credential =
        make_credential(&identity, &identity.ak_public, atls_bytes_of(secret, 5));
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    struct seen seen = {0};

    (void)state;
    test_swtpm_kill(tpm);
    for (int i = 0; i < 2; i++) {
        test_assert_code(atls_tpm2_enrolment_identity(e, &none, &err), ATLS_E_DEVICE, &err);
        test_assert_code(atls_tpm2_enrolment_persist(e, &err), ATLS_E_DEVICE, &err);
        test_assert_code(atls_tpm2_enrolment_activate(e, atls_buf_bytes(&credential.id_object),
                                                      atls_buf_bytes(&credential.encrypted_secret),
                                                      &out, &err),
                         ATLS_E_DEVICE, &err);
        test_assert_code(atls_tpm2_enrolment_pcrs(e, see, &seen, &err), ATLS_E_DEVICE, &err);
    }
    assert_int_equal(seen.count, 0);
    assert_null(out.ptr);
    atls_credential_clear(&credential);
    atls_tpm2_identity_clear(&identity);
    atls_tpm2_enrolment_close(e);
}

static void other_uris_are_refused(void **state)
{
    static const char *const uris[] = {"soft:", "tpm2", "", "swtpm:path=/x"};
    struct atls_tpm2_enrolment *e = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof uris / sizeof uris[0]; i++)
        test_assert_code(atls_tpm2_enrolment_open(uris[i], &e, &err), ATLS_E_CONFIG, &err);
    assert_null(e);
    atls_tpm2_enrolment_close(NULL);
}

int main(void)
{
#define ROW(test)      cmocka_unit_test_setup_teardown(test, start_tpm, stop_tpm)
#define ROW_MADE(test) cmocka_unit_test_setup_teardown(test, start_made_tpm, stop_tpm)
    const struct CMUnitTest tests[] = {
        ROW(a_tpm_without_certificate_shows_its_keys),
        ROW_MADE(a_made_tpm_shows_its_certificate),
        ROW(a_credential_opens_on_this_tpm_only),
        ROW_MADE(a_credential_opens_on_this_tpm_only),
        ROW(the_tools_credential_opens),
        ROW_MADE(the_tools_credential_opens),
        ROW(malformed_credentials_do_not_reach_the_tpm),
        ROW(persistent_keys_serve_the_attester),
        ROW(one_key_may_be_persistent_alone),
        ROW(persisting_replaces_nothing),
        ROW(pcrs_are_visited_in_order),
        ROW(hierarchies_with_authorisation_need_it),
        ROW(a_tpm_that_goes_away_fails_every_step),
        ROW(other_uris_are_refused),
    };

    if (!test_swtpm_available()) {
        print_message("skipped: swtpm and swtpm_setup are not installed\n");
        return TEST_SWTPM_SKIP;
    }
    setenv("TSS2_LOG", "all+none",
           1); /* failures are provoked here; the library would print them */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
