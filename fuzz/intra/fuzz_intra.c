/* One end of a handshake whose peer says anything in any order. Whatever came: nobody is taken for
 * attested without a CMW that was judged, we do not end without having shown what we must, and
 * after a failure nothing succeeds.
 *
 * Byte 0 of the input: 1 server, 2 require_peer, 4 require_self, 8 secret_binder. Then steps: what
 * to do, a length (two bytes), so many bytes. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "core/writer.h"
#include "flavour/intra/intra.h"
#include "wire/early_attestation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

/* ---- configurations ---- */

static enum atls_code open_verifier(const char *rest, const struct atls_verifier_options *options,
                                    void **out_self, struct atls_err *err)
{
    (void)rest;
    (void)options;
    (void)err;
    *out_self = NULL;
    return ATLS_OK;
}

static void close_verifier(void *self)
{
    (void)self;
}

static enum atls_code appraise(void *self, const struct atls_appraisal *appraisal,
                               struct atls_result **out, struct atls_err *err)
{
    (void)self;
    (void)appraisal;
    (void)out;
    return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH, "refused");
}

static struct atls_config *configs[8]; /* [1 require_peer, 2 require_self, 4 secret_binder] */
static struct atls_bytes own_spki;

static void prepare(void)
{
    static const struct atls_verifier_ops ops = {
        .scheme = "refuse", .open = open_verifier, .close = close_verifier, .appraise = appraise};
    static const struct atls_verifier_ops *const verifiers[] = {&ops, NULL};
    static const struct atls_attester_ops *const attesters[] = {&atls_soft_attester, NULL};
    static const char *const types[] = {"soft", NULL};
    static const char *const profiles[] = {"kat-bundle", "bare", NULL};
    struct atls_attester_options attester_options;
    struct atls_config_options options;
    struct atls_policy *policy = NULL;

    if (configs[0] != NULL)
        return;
    atls_attester_options_init(&attester_options);
    attester_options.insecure = true;
    atls_config_options_init(&options);
    options.flavour = ATLS_FLAVOUR_INTRA;
    require(atls_attester_open("soft:", attesters, &attester_options, &options.attester, NULL) ==
            ATLS_OK);
    require(atls_verifier_open("refuse:", verifiers, NULL, &options.verifier, NULL) == ATLS_OK);
    require(atls_policy_default(&policy, NULL) == ATLS_OK);
    options.policy = policy;
    options.identity = ATLS_IDENTITY_ATTESTED;
    options.evidence_types = types;
    for (unsigned int i = 0; i < 8; i++) {
        options.require_peer = (i & 1) != 0;
        options.profiles = options.require_peer ? profiles : NULL;
        options.require_self = (i & 2) != 0;
        options.secret_binder = (i & 4) != 0;
        require(atls_config_new(&options, &configs[i], NULL) == ATLS_OK);
    }
    own_spki = atls_attester_aik_spki(options.attester);
    atls_attester_unref(options.attester);
    atls_verifier_unref(options.verifier);
    atls_policy_unref(policy);
}

/* ---- messages that a random input would not find ---- */

static void put_hello(struct atls_writer *w, uint8_t type, const uint8_t *random)
{
    struct atls_mark body;

    atls_put_u8(w, type);
    body = atls_open_vec(w, 0xffffff);
    atls_put_u16(w, 0x0303);
    atls_put_bytes(w, atls_bytes_of(random, 32));
    atls_put_u8(w, 0);
    atls_put_u16(w, 0x1301);
    atls_close_vec(w, body);
}

static enum atls_code give_hello(struct atls_intra *intra, bool from_client, bool is_retry)
{
    static const uint8_t plain[32] = {1};
    static const uint8_t retry[32] = {0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11,
                                      0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
                                      0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e,
                                      0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};
    struct atls_writer w = atls_writer_init(64);
    enum atls_code code;

    put_hello(&w, from_client ? 1 : 2, is_retry ? retry : plain);
    code = atls_intra_message(intra, atls_writer_bytes(&w), from_client, NULL);
    atls_writer_clear(&w);
    return code;
}

/* ---- steps ---- */

struct end {
    struct atls_intra *intra;
    const struct atls_config_options *options;
    bool has_cmw, was_judged, was_sent;
    bool failed;
};

enum step {
    CLIENT_MESSAGE,
    SERVER_MESSAGE,
    CLIENT_HELLO,
    SERVER_HELLO,
    RETRY,
    EXTENSION_IN,
    EXTENSION_OUT,
    CHECK,
    PROOF,
    OWN_CMW,
    JUDGEMENT,
    JUDGED,
    SECRET,
    FINISH,
    STEPS,
};

static enum atls_code extension_in(struct end *e, struct atls_bytes in)
{
    const enum atls_intra_place place = in.len > 0 ? (enum atls_intra_place)in.ptr[0] : 0;
    const size_t entry = in.len > 1 ? in.ptr[1] : 0;
    const struct atls_bytes data =
        in.len > 2 ? atls_bytes_of(in.ptr + 2, in.len - 2) : atls_bytes_of(NULL, 0);
    const enum atls_code code = atls_intra_extension_in(e->intra, place, entry, data, NULL);

    if (code == ATLS_OK && place == ATLS_INTRA_CT) {
        require(entry == 0 && !e->has_cmw);
        e->has_cmw = true;
    }
    return code;
}

static enum atls_code extension_out(struct end *e, struct atls_bytes in)
{
    const enum atls_intra_place place = in.len > 0 ? (enum atls_intra_place)in.ptr[0] : 0;
    const size_t entry = in.len > 1 ? in.ptr[1] : 0;
    struct atls_bytes out = {NULL, 0};
    const enum atls_code code = atls_intra_extension_out(e->intra, place, entry, &out, NULL);
    struct atls_early_offer offer;

    require(code == ATLS_OK || out.ptr == NULL);
    if (out.ptr != NULL && place == ATLS_INTRA_CH)
        require(atls_early_offer_decode(out, &offer, NULL) == ATLS_OK);
    if (out.ptr != NULL && place == ATLS_INTRA_CT)
        e->was_sent = true;
    return code;
}

static enum atls_code judgement(struct end *e, struct atls_bytes spki)
{
    struct atls_judgement out;
    const enum atls_code code = atls_intra_judgement(e->intra, spki, &out, NULL);

    if (code == ATLS_OK)
        require(e->has_cmw && out.cmw.len != 0 && out.binder.len == 32 && out.spki.len != 0);
    return code;
}

static enum atls_code finish(struct end *e, struct atls_bytes in)
{
    const struct atls_intra_facts facts = {
        .version = in.len > 0 ? (uint16_t)(0x0300 | in.ptr[0]) : 0x0304,
        .resumed = in.len > 1 && (in.ptr[1] & 1) != 0,
        .early_data = in.len > 1 && (in.ptr[1] & 2) != 0,
    };
    const enum atls_code code = atls_intra_finish(e->intra, &facts, NULL);

    if (code == ATLS_OK) {
        require(facts.version == 0x0304 && !facts.resumed && !facts.early_data);
        require(!e->options->require_peer || (e->has_cmw && e->was_judged));
        require(!e->options->require_self || e->was_sent);
        require(!e->has_cmw || e->was_judged);
    }
    return code;
}

static enum atls_code take_step(struct end *e, enum step step, struct atls_bytes in)
{
    struct atls_proof proof;
    enum atls_code code = ATLS_E_USAGE;

    switch (step) {
    case CLIENT_MESSAGE:
    case SERVER_MESSAGE:
        return atls_intra_message(e->intra, in, step == CLIENT_MESSAGE, NULL);
    case CLIENT_HELLO:
    case SERVER_HELLO:
    case RETRY:
        return give_hello(e->intra, step == CLIENT_HELLO, step == RETRY);
    case EXTENSION_IN:
        return extension_in(e, in);
    case EXTENSION_OUT:
        return extension_out(e, in);
    case CHECK:
        return atls_intra_check_choice(e->intra, NULL);
    case PROOF:
        return atls_intra_proof(e->intra, own_spki, &proof, NULL);
    case OWN_CMW:
        return atls_intra_set_own_cmw(e->intra, in, NULL);
    case JUDGEMENT:
        return judgement(e, in);
    case JUDGED:
        code = atls_intra_set_judged(e->intra, "soft", NULL);
        e->was_judged = e->was_judged || code == ATLS_OK;
        return code;
    case SECRET:
        return atls_intra_set_secret(e->intra, in, NULL);
    case FINISH:
        return finish(e, in);
    case STEPS:
        break;
    }
    return code;
}

static bool get_step(struct atls_reader *r, enum step *step, struct atls_bytes *in)
{
    uint8_t what;

    if (!atls_get_u8(r, &what) || !atls_get_vec(r, 0, 0xffff, in))
        return false;
    *step = (enum step)(what % STEPS);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_reader r = atls_reader_init(atls_bytes_of(data, size));
    struct end e = {.intra = NULL};
    struct atls_bytes in;
    enum step step;
    uint8_t flags;

    prepare();
    if (!atls_get_u8(&r, &flags))
        return 0;
    e.options = &configs[flags >> 1 & 7]->options;
    require(atls_intra_new(configs[flags >> 1 & 7],
                           (flags & 1) != 0 ? ATLS_ROLE_SERVER : ATLS_ROLE_CLIENT, &e.intra,
                           NULL) == ATLS_OK);
    while (get_step(&r, &step, &in)) {
        const enum atls_code code = take_step(&e, step, in);

        require(!e.failed || code != ATLS_OK);
        e.failed = e.failed || code != ATLS_OK;
        require(!e.failed || !atls_intra_is_finished(e.intra));
    }
    atls_intra_free(e.intra);
    return 0;
}
