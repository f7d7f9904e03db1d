#include "enrolment.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <atls/corim.h>
#include <atls/store.h>

#include "io.h"

enum atls_code enrolment_run(struct atls_tpm2_enrolment *tpm, struct atls_store *store,
                             const struct enrolment_class *machine, bool allow_untrusted_ek,
                             char out_instance[80], struct atls_err *err)
{
    struct atls_tpm2_identity identity = {0};
    struct atls_enrol_challenge challenge = {0};
    struct atls_enrol_options options;
    struct atls_buf secret = ATLS_BUF_INIT;
    enum atls_code code;

    atls_enrol_options_init(&options);
    options.allow_untrusted_ek = allow_untrusted_ek;
    if ((code = atls_tpm2_enrolment_identity(tpm, &identity, err)) == ATLS_OK) {
        const struct atls_enrol_request request = {atls_buf_bytes(&identity.ek_certificate),
                                                   atls_buf_bytes(&identity.ek_public),
                                                   atls_buf_bytes(&identity.ak_public)};

        code = atls_enrol_challenge(store, &request, &options, &challenge, err);
    }
    if (code == ATLS_OK &&
        (code = atls_tpm2_enrolment_activate(tpm, atls_buf_bytes(&challenge.credential_blob),
                                             atls_buf_bytes(&challenge.encrypted_secret), &secret,
                                             err)) == ATLS_OK) {
        const struct atls_enrol_answer answer = {.secret = atls_buf_bytes(&secret),
                                                 .class_uuid = machine->uuid,
                                                 .vendor = machine->vendor,
                                                 .model = machine->model};

        code = atls_enrol_accept(store, &challenge.keep, &answer, err);
    }
    if (code == ATLS_OK)
        strcpy(out_instance, challenge.instance);
    atls_buf_clear(&secret);
    atls_enrol_challenge_clear(&challenge);
    atls_tpm2_identity_clear(&identity);
    return code;
}

/* Banks and their values on the way to the manifest's template. */
struct pcr_values {
    json_t *banks;
    bool failed;
};

static void add_pcr(void *arg, enum atls_hash bank, unsigned int index, struct atls_bytes value)
{
    static const struct {
        enum atls_hash hash;
        const char *name;
    } names[] = {
        {ATLS_HASH_SHA256, "sha256"}, {ATLS_HASH_SHA384, "sha384"}, {ATLS_HASH_SHA512, "sha512"}};
    struct pcr_values *values = arg;
    char number[16];

    snprintf(number, sizeof(number), "%u", index);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        json_t *members;

        if (names[i].hash != bank)
            continue;
        members = json_object_get(values->banks, names[i].name);
        if (members == NULL) {
            members = json_object();
            if (json_object_set_new(values->banks, names[i].name, members) != 0)
                values->failed = true;
        }
        if (json_object_set_new(members, number, io_hex_json(value)) != 0)
            values->failed = true;
    }
}

/* [{"instance", "key"}] of the one attestation key; *out stays NULL when none is named. */
static enum atls_code attest_keys(const struct enrolment_class *machine, json_t **out,
                                  struct atls_err *err)
{
    struct atls_buf text = ATLS_BUF_INIT;
    json_t *store, *entry, *found = NULL;
    size_t i;
    enum atls_code code;

    if (machine->instance_form == NULL)
        return ATLS_OK;
    if ((code = atls_store_export_json(machine->key_store, &text, err)) != ATLS_OK)
        return code;
    store = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    json_array_foreach(json_object_get(store, "attest-keys"), i, entry)
    {
        const char *instance = json_string_value(json_object_get(entry, "instance"));

        if (found == NULL && instance != NULL && strcmp(instance, machine->key_instance) == 0)
            found =
                json_pack("[{ss sO}]", "instance", instance, "key", json_object_get(entry, "key"));
    }
    json_decref(store);
    atls_buf_clear(&text);
    if (found == NULL)
        return io_error(err, ATLS_E_INTERNAL, "manifest: key %s is not on file",
                        machine->key_instance);
    *out = found;
    return ATLS_OK;
}

enum atls_code enrolment_manifest(struct atls_tpm2_enrolment *tpm, const char *id,
                                  const struct enrolment_class *machine, struct atls_buf *out,
                                  struct atls_err *err)
{
    struct pcr_values values = {.banks = json_object()};
    json_t *template = NULL, *keys = NULL;
    char *text = NULL;
    enum atls_code code = atls_tpm2_enrolment_pcrs(tpm, add_pcr, &values, err);

    if (code == ATLS_OK)
        code = attest_keys(machine, &keys, err);
    if (code == ATLS_OK && !values.failed) {
        template = json_pack("{ss ss+ ss ss* ss* ss* sO* sO}", "id", id, "tag-id", id, "/values",
                             "class", machine->uuid, "vendor", machine->vendor, "model",
                             machine->model, "instance-form", machine->instance_form, "attest-keys",
                             keys, "reference-values", values.banks);
        text = template != NULL ? json_dumps(template, JSON_COMPACT) : NULL;
    }
    if (code == ATLS_OK && text == NULL)
        code = io_error(err, ATLS_E_NOMEM, "manifest: out of memory");
    if (code == ATLS_OK)
        code = atls_corim_create(atls_bytes_of(text, strlen(text)), out, err);
    free(text);
    json_decref(template);
    json_decref(keys);
    json_decref(values.banks);
    return code;
}
