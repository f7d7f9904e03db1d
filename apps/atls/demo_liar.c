/* An attester that lies, for cases that must be refused. */
#include "demo_liar.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>

#include "io.h"

struct liar {
    enum demo_lie lie;
    struct atls_attester *machine; /* whose evidence it abuses */
    struct atls_attester *key;     /* whose key it signs with */
    struct atls_buf old;           /* evidence that it keeps */
    struct demo *demo;
};

/* The next liar that opens: a URI cannot carry a pointer. */
static struct liar *opening;

static enum atls_code liar_open(const char *rest, const struct atls_attester_options *options,
                                void **out_self, struct atls_err *err)
{
    (void)rest;
    (void)options;
    (void)err;
    *out_self = opening;
    return ATLS_OK;
}

static void liar_close(void *self)
{
    struct liar *liar = self;

    atls_attester_unref(liar->machine);
    atls_attester_unref(liar->key);
    atls_buf_clear(&liar->old);
    free(liar);
}

static struct atls_bytes liar_aik_spki(void *self)
{
    return atls_attester_aik_spki(((struct liar *)self)->key);
}

static enum atls_signature liar_aik_scheme(void *self)
{
    return atls_attester_aik_scheme(((struct liar *)self)->key);
}

static enum atls_code liar_aik_sign(void *self, enum atls_signature scheme, struct atls_bytes tbs,
                                    struct atls_buf *out, struct atls_err *err)
{
    return atls_attester_sign(((struct liar *)self)->key, scheme, tbs, out, err);
}

/* Flips a bit at some distance behind the first place where mark stands. */
static bool flip_behind(struct atls_buf *buf, struct atls_bytes mark, size_t distance)
{
    for (size_t i = 0; i + mark.len + distance < buf->len; i++)
        if (memcmp(buf->ptr + i, mark.ptr, mark.len) == 0) {
            buf->ptr[i + mark.len + distance] ^= 1;
            return true;
        }
    return false;
}

static enum atls_code lie_about(struct liar *liar, struct atls_buf *evidence, struct atls_err *err)
{
    /* TPM_GENERATED and TPM_ST_ATTEST_QUOTE, then the signer's name and more. */
    static const uint8_t quote[] = {0xff, 0x54, 0x43, 0x47, 0x80, 0x18};
    /* Head of a 32-byte string in CBOR behind index 7 of the PCR values. */
    static const uint8_t pcr7[] = {0x07, 0x58, 0x20};
    bool found = true;

    if (liar->lie == LIE_ABOUT_QUOTE)
        found = flip_behind(evidence, atls_bytes_of(quote, sizeof(quote)), 90);
    else if (liar->lie == LIE_ABOUT_PCR)
        found = flip_behind(evidence, atls_bytes_of(pcr7, sizeof(pcr7)), 0);
    return found ? ATLS_OK : io_error(err, ATLS_E_INTERNAL, "nothing to tamper with was found");
}

static enum atls_code copy(struct atls_bytes from, struct atls_buf *out, struct atls_err *err)
{
    struct atls_buf made = {malloc(from.len), from.len};

    if (made.ptr == NULL)
        return io_error(err, ATLS_E_NOMEM, "out of memory");
    memcpy(made.ptr, from.ptr, from.len);
    *out = made;
    return ATLS_OK;
}

/* ---- evidence of a connection to the true server ---- */

/* A verifier that only takes what it is shown. */
static struct atls_buf *taking; /* where: a URI cannot carry a pointer */

static enum atls_code thief_open(const char *rest, const struct atls_verifier_options *options,
                                 void **out_self, struct atls_err *err)
{
    (void)rest;
    (void)options;
    (void)err;
    *out_self = taking;
    return ATLS_OK;
}

static void thief_close(void *self)
{
    (void)self;
}

static enum atls_code thief_appraise(void *self, const struct atls_appraisal *appraisal,
                                     struct atls_result **out, struct atls_err *err)
{
    enum atls_code code = copy(appraisal->evidence, self, err);

    (void)out;
    return code != ATLS_OK ? code : io_error(err, ATLS_E_REFUSED, "it has what it wanted");
}

static const struct atls_verifier_ops thief_ops = {.scheme = "thief",
                                                   .input = ATLS_VERIFIER_TAKES_EVIDENCE,
                                                   .open = thief_open,
                                                   .close = thief_close,
                                                   .appraise = thief_appraise};

/* Connects to the true server as any client may, and takes its evidence away. */
static enum atls_code steal_evidence(struct demo *demo, struct atls_buf *out, struct atls_err *err)
{
    static const struct atls_verifier_ops *const backends[] = {&thief_ops, NULL};
    struct bench bench = {.demo = demo};
    struct atls_buf taken = ATLS_BUF_INIT;
    enum atls_code code;

    taking = &taken;
    if ((code = atls_verifier_open("thief:", backends, NULL, &bench.verifier, err)) == ATLS_OK &&
        (code = demo_usual_ends(&bench, err)) == ATLS_OK) {
        link_run(&bench.link);
        if (taken.len == 0)
            code = io_error(err, ATLS_E_INTERNAL, "the true server showed nothing: %.200s",
                            bench.link.client_err.message);
    }
    demo_clear_bench(&bench);
    if (code == ATLS_OK)
        *out = taken;
    else
        atls_buf_clear(&taken);
    return code;
}

/* ---- the liar ---- */

static enum atls_code liar_evidence(void *self, const struct atls_challenge *challenge,
                                    struct atls_buf *out_cmw, struct atls_err *err)
{
    const struct atls_bytes binder = challenge->binder;
    struct liar *liar = self;
    uint8_t other[48];
    enum atls_code code;

    if (liar->lie == LIE_NOTHING_TO_SAY)
        return io_error(err, ATLS_E_DEVICE, "no evidence today");
    if (liar->lie == LIE_OLD_EVIDENCE || (liar->lie == LIE_REPLAY && liar->old.len > 0))
        return copy(atls_buf_bytes(&liar->old), out_cmw, err);
    if (liar->lie == LIE_RELAY)
        return steal_evidence(liar->demo, out_cmw, err);
    memcpy(other, binder.ptr, binder.len);
    if (liar->lie == LIE_OTHER_BINDER)
        other[0] ^= 1;
    code = atls_attester_evidence(liar->machine, atls_bytes_of(other, binder.len), out_cmw, err);
    if (code != ATLS_OK)
        return code;
    if (liar->lie == LIE_REPLAY)
        code = copy(atls_buf_bytes(out_cmw), &liar->old, err);
    else
        code = lie_about(liar, out_cmw, err);
    if (code != ATLS_OK)
        atls_buf_clear(out_cmw);
    return code;
}

static const char *liar_evidence_type(void *self)
{
    return atls_attester_evidence_type(((struct liar *)self)->machine);
}

static const struct atls_attester_ops liar_ops = {
    .scheme = "liar",
    .evidence_type = "tpm",
    .evidence_type_of = liar_evidence_type,
    .open = liar_open,
    .close = liar_close,
    .aik_spki = liar_aik_spki,
    .aik_scheme = liar_aik_scheme,
    .aik_sign = liar_aik_sign,
    .evidence = liar_evidence,
};

static enum atls_code open_bare_soft(const struct demo *demo, const char *certificate,
                                     struct atls_attester **out, struct atls_err *err)
{
    static const struct atls_attester_ops *const backends[] = {&atls_soft_attester, NULL};
    struct atls_attester_options options;
    char key[LAB_PATH], uri[3 * LAB_PATH];

    lab_path(&demo->lab, "soft.pem", key);
    snprintf(uri, sizeof(uri), "soft:%s?aik=%s", key, key);
    atls_attester_options_init(&options);
    options.insecure = true;
    options.certificate = certificate;
    return atls_attester_open(uri, backends, &options, out, err);
}

enum atls_code demo_open_soft(const struct demo *demo, char certificate[LAB_PATH],
                              struct atls_attester **out, struct atls_err *err)
{
    struct atls_attester *bare;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char path[LAB_PATH];
    FILE *file;
    bool written;
    enum atls_code code;

    lab_path(&demo->lab, "soft.pem", path);
    file = key != NULL ? fopen(path, "w") : NULL;
    written = file != NULL && PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1;
    if (file != NULL && fclose(file) != 0)
        written = false;
    EVP_PKEY_free(key);
    if (!written)
        return io_error(err, ATLS_E_IO, "write %s", path);
    if ((code = open_bare_soft(demo, NULL, &bare, err)) != ATLS_OK)
        return code;
    lab_path(&demo->lab, "soft-aik.pem", certificate);
    code = lab_issue(&demo->lab,
                     &(struct lab_certificate){.name = LAB_SERVER,
                                               .spki = atls_attester_aik_spki(bare),
                                               .not_after_days = 30},
                     certificate, err);
    atls_attester_unref(bare);
    return code == ATLS_OK ? open_bare_soft(demo, certificate, out, err) : code;
}

enum atls_code demo_open_liar(struct bench *bench, enum demo_lie lie, struct atls_err *err)
{
    static const struct atls_attester_ops *const backends[] = {&liar_ops, NULL};
    static const uint8_t earlier[32] = {1};
    struct atls_attester *tpm = bench->demo->attesters[LAB_DEVICE_SERVER];
    struct liar *liar = calloc(1, sizeof(*liar));
    struct atls_attester_options options;
    char certificate[LAB_PATH];
    enum atls_code code = ATLS_OK;

    if (liar == NULL)
        return io_error(err, ATLS_E_NOMEM, "out of memory");
    atls_attester_options_init(&options);
    options.certificate = bench->demo->lab.devices[LAB_DEVICE_SERVER].aik_chain;
    liar->lie = lie;
    liar->demo = bench->demo;
    liar->machine = atls_attester_ref(tpm);
    if (lie == LIE_OLD_EVIDENCE)
        code =
            atls_attester_evidence(tpm, atls_bytes_of(earlier, sizeof(earlier)), &liar->old, err);
    if (lie == LIE_OTHER_KEY) {
        code = demo_open_soft(bench->demo, certificate, &liar->key, err);
        options.certificate = certificate;
    } else {
        liar->key = atls_attester_ref(tpm);
    }
    if (code != ATLS_OK) {
        liar_close(liar);
        return code;
    }
    opening = liar;
    return atls_attester_open("liar:", backends, &options, &bench->attester, err);
}
