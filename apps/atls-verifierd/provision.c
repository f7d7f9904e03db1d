/* Provisioning: a manifest comes in whole, from somebody who is known, or not at all. */
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "log.h"
#include "metrics.h"
#include "request.h"

#define SIGN1_TAG 0xd2 /* CBOR tag 18, COSE_Sign1 (RFC 9052 section 4.2) */

/* Which of the two types, and its profile. */
static bool check_type(struct request *r, struct reply *reply)
{
    const char *rule = NULL;

    if (r->content_type == NULL || !media_parse(r->content_type, &r->media, &rule) ||
        (strcmp(r->media.type, MEDIA_RIM_CBOR) != 0 &&
         strcmp(r->media.type, MEDIA_RIM_COSE) != 0)) {
        reply_header(reply, "Accept", MEDIA_RIM_COSE ", " MEDIA_RIM_CBOR);
        reply_problem(r, reply, 415, "Content-Type: %s",
                      rule != NULL              ? rule
                      : r->content_type == NULL ? "missing"
                                                : "neither " MEDIA_RIM_COSE " nor " MEDIA_RIM_CBOR);
        return false;
    }
    if (r->media.count > 1 ||
        (r->media.count == 1 && media_parameter(&r->media, "profile") == NULL)) {
        reply_problem(r, reply, 400, "Content-Type: the one parameter is profile");
        return false;
    }
    if (media_parameter(&r->media, "profile") == NULL) {
        reply_problem(r, reply, 400, "Content-Type: profile=\"...\" of the manifest is missing");
        return false;
    }
    if (strcmp(r->media.type, MEDIA_RIM_CBOR) == 0 &&
        !r->tenant->config->provisioning.allow_unsigned) {
        reply_problem(r, reply, 403, "Content-Type: unsigned manifests are refused here");
        return false;
    }
    return true;
}

bool provision_begin(struct request *r, struct reply *reply)
{
    if (r->tenant->config->provisioning.line == 0) {
        reply_problem(r, reply, 403, "provisioning over HTTP is off for this tenant");
        return false;
    }
    if (r->insecure) {
        reply_problem(r, reply, 403, "provisioning is not served on an insecure listener");
        return false;
    }
    if (!auth_provisioner(r, reply) || !check_type(r, reply))
        return false;
    r->body_max = (size_t)r->generation->config->limits.body;
    return true;
}

static void log_provisioning(const struct request *r, const char *outcome,
                             const struct atls_store_import_report *report,
                             const struct atls_err *err)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char hex[2 * EVP_MAX_MD_SIZE + 1] = "";
    struct log_line line;
    unsigned len = 0;

    metric_add(METRIC_PROVISIONING, r->tenant->config->name, outcome, NULL);
    log_begin(&line, report != NULL ? ATLS_LOG_INFO : ATLS_LOG_WARNING, "provisioning");
    log_field(&line, "request", r->id);
    log_field(&line, "tenant", r->tenant->config->name);
    log_field(&line, "client", r->client);
    log_field(&line, "who", r->who);
    log_field(&line, "outcome", outcome);
    log_field(&line, "profile", media_parameter(&r->media, "profile"));
    if (EVP_Digest(r->body.ptr, r->body.len, digest, &len, EVP_sha256(), NULL) == 1)
        for (unsigned i = 0; i < len; i++)
            snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    log_field(&line, "sha256", hex);
    if (report != NULL) {
        log_field(&line, "manifest", report->manifest_id);
        log_number(&line, "reference_values", (int64_t)report->reference_values);
        log_number(&line, "attest_keys", (int64_t)report->attest_keys);
        log_number(&line, "endorsements", (int64_t)report->endorsements);
        log_number(&line, "identity_keys", (int64_t)report->identity_keys);
        log_number(&line, "skipped", (int64_t)report->skipped);
        log_field(&line, "unchanged", report->unchanged ? "yes" : "");
    } else {
        log_field(&line, "reason",
                  err->reason != ATLS_REASON_NONE ? atls_reason_name(err->reason) : "");
        log_field(&line, "explanation", err->message);
    }
    log_end(&line);
}

/* Whether a chain is refused for who the signer is, and not for its time or form. */
static bool is_stranger(enum atls_reason reason)
{
    return reason == ATLS_REASON_UNTRUSTED_ROOT || reason == ATLS_REASON_CHAIN_ISSUER ||
           reason == ATLS_REASON_CHAIN_SIGNATURE || reason == ATLS_REASON_CERTIFICATE_REVOKED;
}

static void refuse_manifest(struct request *r, struct reply *reply, struct atls_err *err)
{
    /* A manifest that contradicts what is on file is a conflict, not our misconfiguration. */
    if (err->code == ATLS_E_CONFIG)
        err->code = ATLS_E_PROTOCOL;
    if (err->code == ATLS_E_CERTIFICATE && is_stranger(err->reason))
        err->code = ATLS_E_VERIFY;
    reply_error(r, reply, err);
    log_provisioning(r, reply->status >= 500 ? "failed" : "refused", NULL, err);
}

static enum atls_code import(const struct request *r, struct atls_store *store,
                             struct atls_store_import_report *report, struct atls_err *err)
{
    bool is_signed = strcmp(r->media.type, MEDIA_RIM_COSE) == 0;
    struct atls_store_corim_options options;

    if (r->body.len == 0)
        return set_error(err, ATLS_E_DECODE, "body: empty, want a manifest");
    if (!is_signed && r->body.ptr[0] == SIGN1_TAG)
        return set_error(err, ATLS_E_DECODE,
                         "body: signed manifest, want Content-Type " MEDIA_RIM_COSE);
    atls_store_corim_options_init(&options);
    options.profile = media_parameter(&r->media, "profile");
    options.time_s = now_wall_s();
    if (!is_signed) {
        options.allow_unsigned = true;
        return atls_store_import_corim_as(store, r->body, &options, report, err);
    }
    options.anchors = atls_buf_bytes(&r->tenant->anchors);
    options.signer_spki = atls_buf_bytes(&r->tenant->signer_spki);
    if (options.anchors.len == 0 && options.signer_spki.len == 0)
        return set_error(err, ATLS_E_VERIFY, "manifest: this tenant trusts no signer");
    return atls_store_import_corim_as(store, r->body, &options, report, err);
}

void provision_answer(struct request *r, struct reply *reply)
{
    struct atls_store_import_report report = {.skipped = 0};
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_store *store;
    char expiry[24];

    if (!need_store(r, reply, &store))
        return;
    if (import(r, store, &report, &err) != ATLS_OK) {
        refuse_manifest(r, reply, &err);
        return;
    }
    tenant_changed(r->tenant);
    log_provisioning(r, "success", &report, NULL);
    time_text(now_wall_s() + r->tenant->config->session_ttl_s, expiry);
    reply_start(reply, 200, MEDIA_PROVISION);
    reply_header(reply, "Cache-Control", "no-store");
    text_open(&reply->body, '{');
    text_member(&reply->body, "status", "success");
    text_member(&reply->body, "expiry", expiry);
    text_close(&reply->body, '}');
}
