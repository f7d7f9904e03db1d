/* The attester of confidential machines: AMD SEV-SNP, Intel TDX and Arm CCA through what Linux
 * calls trusted security modules (TSM). The platform token is what the kernel gave; see
 * docs/attesters.md.
 */
#include "attester/tsm/tsm.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <atls/limits.h>

#include "attester/bundle.h"
#include "attester/file.h"
#include "attester/tsm/collateral.h"
#include "attester/tsm/report.h"
#include "core/err.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "wire/cca.h"
#include "wire/tdx.h"
#include "wire/tsm.h"

struct tsm {
    struct atls_tsm_config config;
    const struct atls_tsm_kernel *kernel;
    struct atls_log log;
    struct atls_private_key *aik;
    const struct atls_tsm_provider *provider;
    atls_tsm_source *source;
    const char *device;                     /* NULL: configfs */
    struct atls_tsm_collateral *collateral; /* NULL: none configured */
};

/* Where kernels without configfs-tsm have their device. */
static const struct device {
    const char *path;
    const struct atls_tsm_provider *provider;
} devices[] = {
    {"/dev/sev-guest", &atls_tsm_snp},
    {"/dev/tdx_guest", &atls_tsm_tdx},
    {"/dev/tdx-guest", &atls_tsm_tdx},
};

static void tsm_close(void *self)
{
    struct tsm *tsm = self;

    atls_private_key_free(tsm->aik);
    atls_tsm_collateral_free(tsm->collateral);
    atls_tsm_config_clear(&tsm->config);
    free(tsm);
}

static struct atls_tsm_call call_of(const struct tsm *tsm)
{
    return (struct atls_tsm_call){.kernel = tsm->kernel,
                                  .config = &tsm->config,
                                  .log = &tsm->log,
                                  .provider = tsm->provider,
                                  .device = tsm->device};
}

/* Opens and closes it, so that a device that may not be used shows now. */
static enum atls_code use_device(struct tsm *tsm, const struct device *device, struct atls_err *err)
{
    struct atls_tsm_call call = call_of(tsm);
    int fd = tsm->kernel->open(tsm->kernel->arg, device->path, O_RDWR);

    if (fd < 0)
        return atls_tsm_fail(&call, -fd, "open", device->path, err);
    (void)tsm->kernel->close(tsm->kernel->arg, fd);
    tsm->device = device->path;
    tsm->provider = device->provider;
    tsm->source = device->provider == &atls_tsm_snp ? atls_tsm_sev_device : atls_tsm_tdx_device;
    return ATLS_OK;
}

static enum atls_code find_device(struct tsm *tsm, struct atls_err *err)
{
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
        const struct device *device = &devices[i];

        if ((tsm->config.provider == NULL || tsm->config.provider == device->provider) &&
            tsm->kernel->find(tsm->kernel->arg, device->path) == 0)
            return use_device(tsm, device, err);
    }
    return atls_fail(err, ATLS_E_DEVICE,
                     "tsm: no reports at %s and no device of an older kernel: this is no "
                     "confidential machine, or its driver is not loaded",
                     tsm->config.directory);
}

static enum atls_code find_provider(struct tsm *tsm, struct atls_err *err)
{
    const struct atls_tsm_config *config = &tsm->config;
    const struct device forced = {config->device, config->provider};
    struct atls_tsm_call call = call_of(tsm);
    bool absent = false;
    enum atls_code code;

    if (config->device != NULL)
        return use_device(tsm, &forced, err);
    code = atls_tsm_configfs_provider(&call, &tsm->provider, &absent, err);
    if (code != ATLS_OK && absent && !config->directory_given && config->service == NULL)
        return find_device(tsm, err);
    if (code != ATLS_OK)
        return code;
    if (config->provider != NULL && config->provider != tsm->provider)
        return atls_fail(err, ATLS_E_CONFIG, "tsm: the provider is %s, want %s",
                         tsm->provider->name, config->provider->name);
    tsm->source = atls_tsm_configfs;
    return ATLS_OK;
}

static enum atls_code configure(struct tsm *tsm, const char *rest, struct atls_err *err)
{
    enum atls_code code;

    if ((code = atls_tsm_config_parse(rest, &tsm->config, err)) != ATLS_OK ||
        (code = find_provider(tsm, err)) != ATLS_OK)
        return code;
    if (tsm->config.event_log != NULL && tsm->provider != &atls_tsm_tdx)
        return atls_fail(err, ATLS_E_CONFIG, "tsm: event-log is of TDX, the provider is %s",
                         tsm->provider->name);
    if (tsm->config.collateral != NULL &&
        (code = atls_tsm_collateral_new("tsm", tsm->config.collateral, &tsm->log, &tsm->collateral,
                                        err)) != ATLS_OK)
        return code;
    return atls_file_private_key("attestation identity key", tsm->config.aik, &tsm->aik, err);
}

enum atls_code atls_tsm_open(const struct atls_tsm_kernel *kernel, const char *rest,
                             const struct atls_attester_options *options, void **out_self,
                             struct atls_err *err)
{
    struct tsm *tsm;
    enum atls_code code;

    if (options->endorsements != NULL)
        return atls_fail(err, ATLS_E_CONFIG,
                         "tsm: endorsements of this attester come from collateral=DIR");
    if ((tsm = calloc(1, sizeof *tsm)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "tsm: out of memory");
    tsm->kernel = kernel;
    tsm->log = options->log;
    if ((code = configure(tsm, rest, err)) != ATLS_OK) {
        tsm_close(tsm);
        return code;
    }
    *out_self = tsm;
    return ATLS_OK;
}

static enum atls_code tsm_open(const char *rest, const struct atls_attester_options *options,
                               void **out_self, struct atls_err *err)
{
    return atls_tsm_open(&atls_tsm_system, rest, options, out_self, err);
}

static struct atls_bytes tsm_aik_spki(void *self)
{
    const struct tsm *tsm = self;

    return atls_key_spki(atls_private_key_public(tsm->aik));
}

static enum atls_signature tsm_aik_scheme(void *self)
{
    const struct tsm *tsm = self;

    return atls_private_key_scheme(tsm->aik);
}

static enum atls_code tsm_aik_sign(void *self, enum atls_signature scheme, struct atls_bytes tbs,
                                   struct atls_buf *out, struct atls_err *err)
{
    const struct tsm *tsm = self;

    return atls_private_key_sign(tsm->aik, scheme, tbs, out, err);
}

static const char *tsm_evidence_type(void *self)
{
    const struct tsm *tsm = self;

    return tsm->provider->technology;
}

/* A token of Arm's stands for itself; the others are told apart, and joined with their
 * certificates, by the map around them. */
static enum atls_code put_token(const struct tsm *tsm, struct atls_tsm_blobs *blobs,
                                struct atls_quote *out, struct atls_err *err)
{
    const char *service = tsm->config.service;
    struct atls_writer w = atls_writer_init(SIZE_MAX);
    struct atls_tsm_report report = {
        .provider = atls_bytes_of(blobs->provider->name, strlen(blobs->provider->name)),
        .outblob = atls_buf_bytes(&blobs->outblob),
        .auxblob = atls_buf_bytes(&blobs->auxblob),
    };

    out->bulk = blobs->auxblob.len > blobs->outblob.len ? "auxblob" : "outblob";
    out->bulk_len =
        blobs->auxblob.len > blobs->outblob.len ? blobs->auxblob.len : blobs->outblob.len;
    if (blobs->provider == &atls_tsm_cca) {
        out->type = ATLS_TYPE_CCA;
        out->token = blobs->outblob;
        blobs->outblob = (struct atls_buf)ATLS_BUF_INIT;
        return ATLS_OK;
    }
    if (service != NULL) {
        report.service_provider = atls_bytes_of(service, strlen(service));
        report.manifest = atls_buf_bytes(&blobs->manifest);
    }
    out->type = ATLS_TYPE_TSM_REPORT;
    atls_tsm_report_put(&w, &report);
    return atls_writer_finish(&w, &out->token, err);
}

/* Read after the quote: a log that grew since then still begins with what the quote covers, and is
 * refused by the verifier rather than hidden here. */
static enum atls_code attach_event_log(const struct tsm *tsm, struct atls_quote *quote,
                                       struct atls_err *err)
{
    struct atls_quote_endorsement *e = &quote->endorsements[quote->endorsement_count];
    struct atls_buf area = ATLS_BUF_INIT;
    struct atls_bytes log = {NULL, 0};
    enum atls_code code;

    if (tsm->config.event_log == NULL)
        return ATLS_OK;
    if (quote->endorsement_count == ATLS_QUOTE_ENDORSEMENTS_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "tsm: no room for the event log among %d endorsements",
                         ATLS_QUOTE_ENDORSEMENTS_MAX);
    code = atls_file_read("event log", tsm->config.event_log, ATLS_EVENT_LOG_MAX, &area, err);
    if (code == ATLS_OK && (code = atls_ccel_trim(atls_buf_bytes(&area), &log, err)) != ATLS_OK)
        code = atls_err_prefix(err, code, tsm->config.event_log);
    if (code == ATLS_OK && (code = atls_buf_copy(&e->value, log, err)) == ATLS_OK) {
        e->label = ATLS_TDX_EVENT_LOG;
        e->media_type = ATLS_TDX_EVENT_LOG_TYPE;
        quote->endorsement_count++;
    }
    atls_buf_clear(&area);
    return code;
}

/* The slow step: see attester/bundle.h. */
static enum atls_code tsm_quote(void *self, const uint8_t challenge[ATLS_QUOTE_CHALLENGE_LEN],
                                struct atls_quote *out, struct atls_err *err)
{
    const struct tsm *tsm = self;
    struct atls_tsm_call call = call_of(tsm);
    struct atls_tsm_blobs blobs = {0};
    struct atls_quote quote = {0};
    enum atls_code code;

    call.challenge = challenge;
    if ((code = atls_tsm_report_make(&call, tsm->source, &blobs, err)) == ATLS_OK &&
        (tsm->collateral == NULL ||
         (code = atls_tsm_collateral_attach(tsm->collateral, &blobs, &quote, err)) == ATLS_OK) &&
        (code = attach_event_log(tsm, &quote, err)) == ATLS_OK)
        code = put_token(tsm, &blobs, &quote, err);
    atls_tsm_blobs_clear(&blobs);
    if (code == ATLS_OK)
        *out = quote;
    else
        atls_quote_clear(&quote);
    return code;
}

static void tsm_quoter(void *self, struct atls_quoter *out)
{
    *out = (struct atls_quoter){"tsm", self, tsm_quote, tsm_aik_spki(self)};
}

static enum atls_code tsm_evidence(void *self, const struct atls_challenge *challenge,
                                   struct atls_buf *out_cmw, struct atls_err *err)
{
    struct atls_quoter quoter;

    tsm_quoter(self, &quoter);
    return atls_bundle_evidence(&quoter, challenge, out_cmw, err);
}

const struct atls_attester_ops atls_tsm_attester = {
    .scheme = "tsm",
    .open = tsm_open,
    .close = tsm_close,
    .aik_spki = tsm_aik_spki,
    .aik_scheme = tsm_aik_scheme,
    .aik_sign = tsm_aik_sign,
    .evidence = tsm_evidence,
    .profiles = ATLS_PROFILE_KAT | ATLS_PROFILE_BARE,
    .evidence_type_of = tsm_evidence_type,
    .quoter = tsm_quoter,
};
