#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <atls/corim.h>

#include "core/json_writer.h"

#define CLASS     "31fb5abf-023e-4992-aa4e-95f9c1503bfa"
#define ALL_PCRS  0xffffffu
#define MONTH_S   (30 * 86400)
#define JSON_SIZE 65536

_Noreturn void world_die(const char *what, const struct atls_err *err)
{
    fprintf(stderr, "bench: %s: %s\n", what, err == NULL ? "failed" : err->message);
    exit(2);
}

/* ---- machines ---- */

static void make_machine(struct world_machine *m, size_t number)
{
    memset(m->nonce, (int)(0x10 + number), sizeof m->nonce);
    test_tpm_evidence_init(&m->parts, atls_bytes_of(m->nonce, sizeof m->nonce));
    m->parts.bank_count = m->parts.quote.selection_count = 0;
    test_tpm_evidence_add_bank(&m->parts, ATLS_TPM_ALG_SHA256, ALL_PCRS);
    m->evidence = test_tpm_evidence_encode(&m->parts);
}

void world_make(struct world *w)
{
    for (size_t i = 0; i < WORLD_MACHINES; i++)
        make_machine(&w->machines[i], i);
}

void world_clear(struct world *w)
{
    for (size_t i = 0; i < WORLD_MACHINES; i++) {
        atls_buf_clear(&w->machines[i].evidence);
        test_tpm_evidence_clear(&w->machines[i].parts);
    }
}

/* ---- the store ---- */

static struct atls_json open_template(const char *id)
{
    struct atls_json j = atls_json_init(JSON_SIZE);

    atls_json_open_object(&j, NULL);
    atls_json_put_string(&j, "id", id);
    atls_json_put_string(&j, "tag-id", id);
    atls_json_put_string(&j, "class", CLASS);
    atls_json_put_int(&j, "not-after", time(NULL) + MONTH_S);
    return j;
}

static void import(struct atls_store *s, struct atls_json *j)
{
    struct atls_buf json = ATLS_BUF_INIT, corim = ATLS_BUF_INIT;
    struct atls_store_import_report report;
    struct atls_err err = ATLS_ERR_INIT;

    atls_json_close(j);
    if (atls_json_finish(j, &json, &err) != ATLS_OK ||
        atls_corim_create(atls_buf_bytes(&json), &corim, &err) != ATLS_OK ||
        atls_store_import_corim(s, atls_buf_bytes(&corim), atls_bytes_of(NULL, 0), time(NULL),
                                &report, &err) != ATLS_OK)
        world_die("importing a manifest", &err);
    atls_buf_clear(&json);
    atls_buf_clear(&corim);
}

static void put_key(struct atls_json *j, const struct test_tpm_key *ak)
{
    struct atls_buf pem = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t ueid[ATLS_TPM_KID_LEN];

    test_tpm_ueid(ak, ueid);
    if (atls_key_to_pem(atls_private_key_public(ak->private_key), &pem, &err) != ATLS_OK)
        world_die("attestation key", &err);
    atls_json_open_object(j, NULL);
    atls_json_put_hex(j, "instance", atls_bytes_of(ueid, sizeof ueid));
    atls_json_put_text(j, "key", atls_buf_bytes(&pem));
    atls_json_close(j);
    atls_buf_clear(&pem);
}

static void import_keys(struct atls_store *s, const struct world *w)
{
    struct atls_json j = open_template("keys");

    atls_json_open_array(&j, "attest-keys");
    for (size_t i = 0; i < WORLD_MACHINES; i++)
        put_key(&j, &w->machines[i].parts.ak);
    atls_json_close(&j);
    import(s, &j);
}

/* All machines have the same values. */
static void import_references(struct atls_store *s, const struct test_tpm_evidence *e)
{
    struct atls_json j = open_template("references");
    char index[12];

    atls_json_open_object(&j, "reference-values");
    atls_json_open_object(&j, "sha256");
    for (unsigned int i = 0; i < WORLD_PCRS; i++) {
        if (i == 16 || i == 23)
            continue; /* anybody may reset these: they prove nothing, and count for nothing */
        snprintf(index, sizeof index, "%u", i);
        atls_json_put_hex(&j, index, e->banks[0].values[i]);
    }
    atls_json_close(&j);
    atls_json_close(&j);
    import(s, &j);
}

void world_store(const struct world *w, const char *location)
{
    struct atls_store_options options;
    struct atls_store *s = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    char kid[ATLS_KID_TEXT];

    atls_store_options_init(&options);
    options.mode = ATLS_STORE_CREATE;
    if (atls_store_open_with(location, &options, &s, &err) != ATLS_OK)
        world_die("making a store", &err);
    import_keys(s, w);
    import_references(s, &w->machines[0].parts);
    if (atls_store_new_signing_key(s, ATLS_KEY_P256, time(NULL) - 1, kid, &err) != ATLS_OK)
        world_die("signing key", &err);
    atls_store_close(s);
}

/* ---- primitives ---- */

static const uint8_t message[128];

void world_signature_make(struct world_signature *s)
{
    struct atls_err err = ATLS_ERR_INIT;

    *s = (struct world_signature){NULL, ATLS_BUF_INIT};
    if (atls_private_key_generate(ATLS_KEY_P256, &s->key, &err) != ATLS_OK ||
        atls_private_key_sign(s->key, ATLS_ECDSA_P256_SHA256,
                              atls_bytes_of(message, sizeof message), &s->value, &err) != ATLS_OK)
        world_die("signing", &err);
}

void world_signature_clear(struct world_signature *s)
{
    atls_private_key_free(s->key);
    atls_buf_clear(&s->value);
}

void world_run_verify_two(void *signature, unsigned long count)
{
    const struct world_signature *s = signature;
    const struct atls_bytes part = {message, sizeof message};

    for (count *= 2; count > 0; count--)
        if (atls_key_verify(atls_private_key_public(s->key), ATLS_ECDSA_P256_SHA256, &part, 1,
                            atls_buf_bytes(&s->value), NULL) != ATLS_OK)
            world_die("verifying", NULL);
}

void world_run_sign(void *signature, unsigned long count)
{
    const struct world_signature *s = signature;

    while (count-- > 0) {
        struct atls_buf out = ATLS_BUF_INIT;

        if (atls_private_key_sign(s->key, ATLS_ECDSA_P256_SHA256,
                                  atls_bytes_of(message, sizeof message), &out, NULL) != ATLS_OK)
            world_die("signing", NULL);
        atls_buf_clear(&out);
    }
}
