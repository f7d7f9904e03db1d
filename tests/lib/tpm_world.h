/* One TPM in software, a store in a folder of its own that knows it, and its evidence. Fails the
 * test rather than returning an error. */
#ifndef ATLS_TEST_TPM_WORLD_H
#define ATLS_TEST_TPM_WORLD_H

#include "tpm_forge.h"

#include "core/json_writer.h"

#define TPM_WORLD_NOW       1700000000
#define TPM_WORLD_NOT_AFTER 1800000000
#define TPM_WORLD_CLASS     "31fb5abf-023e-4992-aa4e-95f9c1503bfa"

struct tpm_world {
    struct test_tpm_evidence e;
    struct atls_buf evidence;
    char dir[64], path[96], uri[128]; /* of the store; uri: "local:PATH" */
};

/* Evidence answers binder. The store is empty. */
void tpm_world_open(struct tpm_world *w, struct atls_bytes binder);
void tpm_world_close(struct tpm_world *w);

/* Starts the template of a manifest of the class. */
struct atls_json tpm_world_template(const char *id);
/* Imports a manifest made of this template. */
void tpm_world_import(const struct tpm_world *w, struct atls_json *template_json);
/* The AK of the evidence, as enrolled. */
void tpm_world_enrol(const struct tpm_world *w);
/* Any key as that of an instance, by a manifest of a profile ("tpm", "soft"). */
void tpm_world_enrol_as(const struct tpm_world *w, const char *profile,
                        const struct atls_private_key *key, struct atls_bytes instance);
/* The PCRs of the evidence that bitmap names, as reference values of vendor and model (or NULL). */
void tpm_world_refer(const struct tpm_world *w, uint32_t bitmap, const char *vendor,
                     const char *model);

#endif
