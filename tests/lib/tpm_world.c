#include "tpm_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "testlib.h"

#include <atls/corim.h>
#include <atls/store.h>

#include "crypto/crypto.h"

void tpm_world_open(struct tpm_world *w, struct atls_bytes binder)
{
    struct atls_store *s = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    memset(w, 0, sizeof *w);
    test_tpm_evidence_init(&w->e, binder);
    snprintf(w->dir, sizeof w->dir, "/tmp/atls-local-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->path, sizeof w->path, "%s/store.db", w->dir);
    snprintf(w->uri, sizeof w->uri, "local:%s", w->path);
    test_assert_code(atls_store_open(w->path, ATLS_STORE_CREATE, &s, &err), ATLS_OK, &err);
    atls_store_close(s);
}

void tpm_world_close(struct tpm_world *w)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char path[128];

    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s%s", w->path, suffixes[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(w->dir), 0);
    atls_buf_clear(&w->evidence);
    test_tpm_evidence_clear(&w->e);
}

void tpm_world_import(const struct tpm_world *w, struct atls_json *template_json)
{
    struct atls_buf json = ATLS_BUF_INIT, corim = ATLS_BUF_INIT;
    struct atls_store_import_report report;
    struct atls_store *s = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_json_finish(template_json, &json, &err), ATLS_OK, &err);
    test_assert_code(atls_corim_create(atls_buf_bytes(&json), &corim, &err), ATLS_OK, &err);
    test_assert_code(atls_store_open(w->path, ATLS_STORE_WRITE, &s, &err), ATLS_OK, &err);
    test_assert_code(atls_store_import_corim(s, atls_buf_bytes(&corim), atls_bytes_of(NULL, 0),
                                             TPM_WORLD_NOW, &report, &err),
                     ATLS_OK, &err);
    atls_store_close(s);
    atls_buf_clear(&json);
    atls_buf_clear(&corim);
}

struct atls_json tpm_world_template(const char *id)
{
    struct atls_json j = atls_json_init(65536);

    atls_json_open_object(&j, NULL);
    atls_json_put_string(&j, "id", id);
    atls_json_put_string(&j, "tag-id", id);
    atls_json_put_string(&j, "class", TPM_WORLD_CLASS);
    atls_json_put_int(&j, "not-after", TPM_WORLD_NOT_AFTER);
    return j;
}

void tpm_world_enrol_as(const struct tpm_world *w, const char *profile,
                        const struct atls_private_key *key, struct atls_bytes instance)
{
    struct atls_json j = tpm_world_template("keys");
    struct atls_buf pem = ATLS_BUF_INIT;

    assert_int_equal(atls_key_to_pem(atls_private_key_public(key), &pem, NULL), ATLS_OK);
    atls_json_put_string(&j, "profile", profile);
    atls_json_open_array(&j, "attest-keys");
    atls_json_open_object(&j, NULL);
    atls_json_put_hex(&j, "instance", instance);
    atls_json_put_text(&j, "key", atls_buf_bytes(&pem));
    atls_json_close(&j);
    atls_json_close(&j);
    atls_json_close(&j);
    tpm_world_import(w, &j);
    atls_buf_clear(&pem);
}

void tpm_world_enrol(const struct tpm_world *w)
{
    uint8_t ueid[33];

    test_tpm_ueid(&w->e.ak, ueid);
    tpm_world_enrol_as(w, "tpm", w->e.ak.private_key, atls_bytes_of(ueid, sizeof ueid));
}

void tpm_world_refer(const struct tpm_world *w, uint32_t bitmap, const char *vendor,
                     const char *model)
{
    struct atls_json j = tpm_world_template("rack-7");
    char index[12];

    if (vendor != NULL)
        atls_json_put_string(&j, "vendor", vendor);
    if (model != NULL)
        atls_json_put_string(&j, "model", model);
    atls_json_open_object(&j, "reference-values");
    atls_json_open_object(&j, "sha256");
    for (unsigned int i = 0; i < 24; i++) {
        if ((bitmap >> i & 1) == 0)
            continue;
        snprintf(index, sizeof index, "%u", i);
        atls_json_put_hex(&j, index, w->e.banks[0].values[i]);
    }
    atls_json_close(&j);
    atls_json_close(&j);
    atls_json_close(&j);
    tpm_world_import(w, &j);
}
