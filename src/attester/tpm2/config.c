#include "attester/tpm2/config.h"

#include <stdlib.h>
#include <string.h>

#include "attester/file.h"
#include "core/err.h"
#include "core/secret.h"

#define PCRS_DEFAULT "sha256:0,1,2,3,4,5,6,7"
#define PCR_COUNT    24u /* the PC Client platform has as many; three bytes of bitmap */
/* Persistent handles (TPM 2.0 Part 2, 7.5). */
#define HANDLE_FIRST 0x81000000ul
#define HANDLE_LAST  0x81fffffful

static const struct bank_name {
    const char *name;
    TPM2_ALG_ID id;
} bank_names[ATLS_TPM2_BANKS_MAX] = {
    {"sha1", TPM2_ALG_SHA1},
    {"sha256", TPM2_ALG_SHA256},
    {"sha384", TPM2_ALG_SHA384},
    {"sha512", TPM2_ALG_SHA512},
};

/* TCTIs whose TPM is a simulator, which no firmware has started. */
static const char *const simulators[] = {"swtpm", "mssim", "libtpms"};

static enum atls_code parse_handle(const char *name, const char *text, TPM2_HANDLE *out,
                                   struct atls_err *err)
{
    char *end = NULL;
    unsigned long value;

    if (text == NULL)
        return ATLS_OK;
    value = strtoul(text, &end, 0);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || value < HANDLE_FIRST ||
        value > HANDLE_LAST)
        return atls_fail(err, ATLS_E_CONFIG,
                         "tpm2: %s=%s is no persistent handle, want 0x%lx to 0x%lx", name, text,
                         HANDLE_FIRST, HANDLE_LAST);
    *out = (TPM2_HANDLE)value;
    return ATLS_OK;
}

/* A decimal PCR number; *text moves behind it. */
static bool parse_index(const char **text, unsigned int *out)
{
    unsigned int value = 0, digits = 0;

    for (; **text >= '0' && **text <= '9' && digits < 3; (*text)++, digits++)
        value = 10 * value + (unsigned int)(**text - '0');
    *out = value;
    return digits > 0 && value < ATLS_TPM2_PCRS_MAX;
}

/* "0,1,2,4-7" up to '+' or the end; *text moves there. */
static bool parse_indices(const char **text, TPMS_PCR_SELECTION *bank)
{
    for (;;) {
        unsigned int first, last;

        if (!parse_index(text, &first))
            return false;
        last = first;
        if (**text == '-') {
            (*text)++;
            if (!parse_index(text, &last) || last < first)
                return false;
        }
        for (unsigned int i = first; i <= last; i++)
            bank->pcrSelect[i / 8] = (BYTE)(bank->pcrSelect[i / 8] | 1u << i % 8);
        if (**text != ',')
            return **text == '\0' || **text == '+';
        (*text)++;
    }
}

static const struct bank_name *parse_bank_name(const char **text)
{
    for (size_t i = 0; i < ATLS_TPM2_BANKS_MAX; i++) {
        size_t len = strlen(bank_names[i].name);

        if (strncmp(*text, bank_names[i].name, len) == 0 && (*text)[len] == ':') {
            *text += len + 1;
            return &bank_names[i];
        }
    }
    return NULL;
}

static int compare_banks(const void *a, const void *b)
{
    const TPMS_PCR_SELECTION *x = a, *y = b;

    return (x->hash > y->hash) - (x->hash < y->hash);
}

/* "sha256:0,7+sha384:0-3" */
static enum atls_code parse_pcrs(const char *text, TPML_PCR_SELECTION *out, struct atls_err *err)
{
    TPML_PCR_SELECTION pcrs = {0};
    const char *at = text;

    for (;;) {
        const struct bank_name *bank = parse_bank_name(&at);
        TPMS_PCR_SELECTION *selection = &pcrs.pcrSelections[pcrs.count];

        if (bank == NULL || pcrs.count == ATLS_TPM2_BANKS_MAX)
            break;
        for (UINT32 i = 0; i < pcrs.count; i++) {
            if (pcrs.pcrSelections[i].hash == bank->id)
                return atls_fail(err, ATLS_E_CONFIG, "tpm2: pcrs=%s names bank %s twice", text,
                                 bank->name);
        }
        *selection = (TPMS_PCR_SELECTION){.hash = bank->id, .sizeofSelect = ATLS_TPM2_PCRS_MAX / 8};
        pcrs.count++;
        if (!parse_indices(&at, selection))
            break;
        if (*at++ == '\0') {
            qsort(pcrs.pcrSelections, pcrs.count, sizeof pcrs.pcrSelections[0], compare_banks);
            *out = pcrs;
            return ATLS_OK;
        }
    }
    return atls_fail(
        err, ATLS_E_CONFIG,
        "tpm2: pcrs=%s is not BANK:0,1,4-7[+BANK:...] with banks sha1, sha256, sha384, "
        "sha512 and PCRs 0 to %d",
        text, ATLS_TPM2_PCRS_MAX - 1);
}

/* "file:PATH"; the newline that editors add is not part of the authorisation. */
static enum atls_code read_auth(const char *text, TPM2B_AUTH *out, struct atls_err *err)
{
    static const char prefix[] = "file:";
    struct atls_buf file = ATLS_BUF_INIT;
    enum atls_code code;
    size_t len;

    if (text == NULL)
        return ATLS_OK;
    if (strncmp(text, prefix, sizeof prefix - 1) != 0)
        return atls_fail(err, ATLS_E_CONFIG, "tpm2: hierarchy-auth is not file:PATH");
    code = atls_file_read("hierarchy-auth", text + sizeof prefix - 1, sizeof out->buffer + 1, &file,
                          err);
    if (code != ATLS_OK)
        return code;
    len = file.len;
    if (len > 0 && file.ptr[len - 1] == '\n')
        len--;
    if (len > sizeof out->buffer) {
        atls_buf_clear(&file);
        return atls_fail(err, ATLS_E_LIMIT, "hierarchy-auth: more than %zu bytes",
                         sizeof out->buffer);
    }
    out->size = (UINT16)len;
    if (len > 0)
        memcpy(out->buffer, file.ptr, len);
    atls_buf_clear(&file);
    return ATLS_OK;
}

static const char *path_or_none(const char *text)
{
    return text == NULL || strcmp(text, "none") == 0 ? NULL : text;
}

static bool is_simulator(const char *tcti)
{
    size_t len = strcspn(tcti, ":");

    for (size_t i = 0; i < sizeof simulators / sizeof simulators[0]; i++) {
        if (strlen(simulators[i]) == len && strncmp(simulators[i], tcti, len) == 0)
            return true;
    }
    return false;
}

static enum atls_code parse_connection(const char *text, bool *out, struct atls_err *err)
{
    *out = text != NULL && strcmp(text, "release") == 0;
    if (text == NULL || *out || strcmp(text, "keep") == 0)
        return ATLS_OK;
    return atls_fail(err, ATLS_E_CONFIG, "tpm2: connection=%s, want keep or release", text);
}

/* Where the report of a confidential machine is, and what goes with it. */
static enum atls_code take_hcl(struct atls_tpm2_config *config, const char *report,
                               struct atls_err *err)
{
    config->tdx_quote = path_or_none(config->tdx_quote);
    config->collateral = path_or_none(config->collateral);
    config->hcl_report = path_or_none(report);
    if (config->hcl_report != NULL && strcmp(config->hcl_report, "nv") == 0)
        config->hcl_report = "";
    else if (config->hcl_report != NULL && config->hcl_report[0] == '\0')
        return atls_fail(err, ATLS_E_CONFIG, "tpm2: hcl-report is empty, want nv or a file");
    if (config->hcl_report == NULL && (config->tdx_quote != NULL || config->collateral != NULL))
        return atls_fail(err, ATLS_E_CONFIG, "tpm2: %s goes with hcl-report only",
                         config->tdx_quote != NULL ? "tdx-quote" : "collateral");
    return ATLS_OK;
}

static enum atls_code parse(struct atls_tpm2_config *config, struct atls_err *err)
{
    const char *ak = NULL, *aik = NULL, *pcrs = NULL, *event_log = NULL, *ima_log = NULL,
               *auth = NULL, *connection = NULL, *hcl_report = NULL;
    const struct atls_uri_known known[] = {
        {"ak", &ak},
        {"aik", &aik},
        {"pcrs", &pcrs},
        {"event-log", &event_log},
        {"ima-log", &ima_log},
        {"hierarchy-auth", &auth},
        {"connection", &connection},
        {"hcl-report", &hcl_report},
        {"tdx-quote", &config->tdx_quote},
        {"collateral", &config->collateral},
    };
    enum atls_code code =
        atls_uri_options("tpm2", &config->uri, known, sizeof known / sizeof known[0], NULL, err);

    if (code != ATLS_OK || (code = parse_handle("ak", ak, &config->ak, err)) != ATLS_OK ||
        (code = parse_handle("aik", aik, &config->aik, err)) != ATLS_OK ||
        (code = parse_pcrs(pcrs == NULL ? PCRS_DEFAULT : pcrs, &config->pcrs, err)) != ATLS_OK ||
        (code = parse_connection(connection, &config->release, err)) != ATLS_OK ||
        (code = take_hcl(config, hcl_report, err)) != ATLS_OK ||
        (code = read_auth(auth, &config->hierarchy_auth, err)) != ATLS_OK)
        return code;
    if (config->ak != 0 && config->ak == config->aik)
        return atls_fail(err, ATLS_E_CONFIG, "tpm2: ak and aik name the same handle 0x%08x",
                         (unsigned int)config->ak);
    config->event_log = path_or_none(event_log);
    config->ima_log = path_or_none(ima_log);
    config->simulator = is_simulator(config->uri.base);
    config->tcti = config->uri.base[0] == '\0' ? NULL : config->uri.base;
    return ATLS_OK;
}

enum atls_code atls_tpm2_config_read(const char *rest, struct atls_tpm2_config *out,
                                     struct atls_err *err)
{
    struct atls_tpm2_config config = {0};
    enum atls_code code = atls_uri_parse("tpm2", rest, &config.uri, err);

    if (code == ATLS_OK)
        code = parse(&config, err);
    if (code != ATLS_OK) {
        atls_tpm2_config_clear(&config);
        return code;
    }
    *out = config;
    return ATLS_OK;
}

void atls_tpm2_config_clear(struct atls_tpm2_config *config)
{
    atls_uri_clear(&config->uri);
    atls_wipe(config, sizeof *config);
}
