/* Certificates with evidence as a peer shows them, up to its signature and beyond; and nonces as
 * they stand in a server name or in a name of an authority. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "flavour/pre/pre.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

/* A Verifier that believes nothing. */
static enum atls_code open_verifier(const char *rest, const struct atls_verifier_options *options,
                                    void **out_self, struct atls_err *err)
{
    static int self;

    (void)rest, (void)options, (void)err;
    *out_self = &self;
    return ATLS_OK;
}

static void close_verifier(void *self)
{
    (void)self;
}

static enum atls_code appraise(void *self, const struct atls_appraisal *a, struct atls_result **out,
                               struct atls_err *err)
{
    (void)self, (void)out;
    REQUIRE(a->evidence.len != 0 && a->binder.len == 32 && a->aik_spki.len != 0);
    return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_SIGNATURE, "fuzz: not believed");
}

static struct atls_config *configure(const char *const *profiles)
{
    static const struct atls_verifier_ops ops = {
        .scheme = "fuzz", .open = open_verifier, .close = close_verifier, .appraise = appraise};
    static const struct atls_verifier_ops *const backends[] = {&ops, NULL};
    struct atls_config_options options;
    struct atls_config *config = NULL;

    atls_config_options_init(&options);
    options.flavour = ATLS_FLAVOUR_PRE;
    options.freshness = ATLS_FRESHNESS_NONE;
    options.require_peer = true;
    options.identity = ATLS_IDENTITY_ATTESTED;
    options.profiles = profiles;
    REQUIRE(atls_verifier_open("fuzz:", backends, NULL, &options.verifier, NULL) == ATLS_OK);
    REQUIRE(atls_policy_default(&options.policy, NULL) == ATLS_OK);
    REQUIRE(atls_config_new(&options, &config, NULL) == ATLS_OK);
    atls_verifier_unref(options.verifier);
    atls_policy_unref(options.policy);
    return config;
}

/* What is accepted by one that takes our profiles alone, is by one that takes others', too. */
static enum atls_code judge(struct atls_config *config, struct atls_bytes der)
{
    struct atls_ra_certificate_verdict verdict;
    struct atls_ra_certificate_check check;
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code;

    atls_ra_certificate_check_init(&check);
    check.chain = &der;
    check.chain_len = 1;
    check.ignore_dates = true;
    code = atls_ra_certificate_judge(config, &check, &verdict, &err);
    REQUIRE(code != ATLS_OK && code == err.code && verdict.result == NULL);
    REQUIRE(verdict.freshness[0] == '\0');
    atls_ra_certificate_verdict_clear(&verdict);
    return err.reason == ATLS_REASON_SIGNATURE ? ATLS_OK : code;
}

static void certificates(struct atls_bytes in)
{
    static const char *const all[] = {"kat-bundle", "kat-batch", "bare", "parsec", "ra-tls", NULL};
    static struct atls_config *ours, *others;
    struct atls_ra_certificate_facts facts;

    if (ours == NULL) {
        ours = configure(NULL);
        others = configure(all);
    }
    if (judge(ours, in) == ATLS_OK)
        REQUIRE(judge(others, in) == ATLS_OK);
    else
        (void)judge(others, in);
    if (atls_ra_certificate_read(in, &facts, NULL) != ATLS_OK)
        return;
    REQUIRE(facts.form[0] != '\0' && facts.cmw.len != 0 && facts.spki.len != 0);
    atls_buf_clear(&facts.cmw);
}

static void nonces(struct atls_bytes in)
{
    struct atls_buf name = ATLS_BUF_INIT;
    struct atls_pre_nonce nonce;
    char host[ATLS_PRE_HOST_MAX + 1];

    if (atls_pre_host_read(in, &nonce)) {
        REQUIRE(atls_pre_host_make(&nonce, NULL, host, NULL) == ATLS_OK);
        REQUIRE(memcmp(host, in.ptr, ATLS_PRE_NONCE_LETTERS) == 0);
    }
    if (atls_pre_authority_read(in, &nonce)) {
        REQUIRE(atls_pre_authority_make(&nonce, &name, NULL) == ATLS_OK);
        REQUIRE(atls_bytes_equal(in, atls_buf_bytes(&name)));
        atls_buf_clear(&name);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    certificates(atls_bytes_of(data, size));
    nonces(atls_bytes_of(data, size));
    return 0;
}
