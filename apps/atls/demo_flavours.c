/* The demonstration by flavour: which cases make sense for which, and what a flavour is known not
 * to stop. */
#include "demo.h"

#include <string.h>

#include "demo_liar.h"
#include "parts.h"

/* ---- ways to prepare a case ---- */

/* A machine in the middle has the server's TLS key and shows evidence that the server makes for a
 * connection of its own. */
static enum atls_code relayed_evidence(struct bench *bench, struct atls_err *err)
{
    enum atls_code code = demo_open_liar(bench, LIE_RELAY, err);

    return code == ATLS_OK ? demo_usual_ends(bench, err) : code;
}

/* A first connection is as it should be; what was shown there is shown again. */
static enum atls_code replayed(struct bench *bench, struct atls_err *err)
{
    struct link *link = &bench->link;
    enum atls_code code;

    if ((code = demo_open_liar(bench, LIE_REPLAY, err)) != ATLS_OK ||
        (code = demo_usual_ends(bench, err)) != ATLS_OK)
        return code;
    link_run(link);
    if (link->client_err.code != ATLS_OK) {
        *err = link->client_err;
        return err->code;
    }
    link->client_err = link->server_err = (struct atls_err)ATLS_ERR_INIT;
    link->data_moved = false;
    return ATLS_OK;
}

/* All that the true server shows is passed on by who has its TLS key. */
static enum atls_code passed_on(struct bench *bench, struct atls_err *err)
{
    struct atls_attester *server = bench->demo->attesters[LAB_DEVICE_SERVER];
    enum atls_code code;

    bench->link.serve = link_passes_on;
    if ((bench->link.plain = SSL_CTX_new(TLS_server_method())) == NULL)
        return parts_tls_error(err, "TLS context");
    if ((code = atls_openssl_use_attester(bench->link.plain, server, err)) != ATLS_OK)
        return code;
    return demo_usual_ends(bench, err);
}

static enum atls_code resumed(struct bench *bench, struct atls_err *err)
{
    enum atls_code code = demo_plain(bench, err);

    return code == ATLS_OK ? link_take_ticket(&bench->link, err) : code;
}

static enum atls_code secret_at_one_end(struct bench *bench, struct atls_err *err)
{
    const struct demo_config server = {.attester = bench->demo->attesters[LAB_DEVICE_SERVER]};
    const struct demo_config client = {.require_peer = true, .secret_binder = true};

    return demo_open_ends(bench, &server, &client, err);
}

static enum atls_code secret_at_both_ends(struct bench *bench, struct atls_err *err)
{
    const struct demo_config server = {.attester = bench->demo->attesters[LAB_DEVICE_SERVER],
                                       .secret_binder = true};
    const struct demo_config client = {.require_peer = true, .secret_binder = true};

    return demo_open_ends(bench, &server, &client, err);
}

/* ---- the cases ---- */

/* Of flavours intra and pre. */
static const struct demo_case shared_cases[] = {
    {"a PCR value beside the quote is changed", demo_tamper_pcr, DEMO_BY_CLIENT, ATLS_E_EVIDENCE,
     ATLS_REASON_PCR_DIGEST_MISMATCH, NULL},
    {"evidence with another binder", demo_other_binder, DEMO_BY_CLIENT, ATLS_E_EVIDENCE,
     ATLS_REASON_NONCE_MISMATCH, NULL},
    {"evidence of the TPM beside a key that it does not name", demo_other_key, DEMO_BY_CLIENT,
     ATLS_E_EVIDENCE, ATLS_REASON_KEY_BINDING_MISMATCH, NULL},
    {"the key's certificate is for another name", demo_wrong_name, DEMO_BY_CLIENT,
     ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_NAME, NULL},
    {"the passport of another machine", demo_passport_of_another, DEMO_BY_CLIENT, ATLS_E_EVIDENCE,
     ATLS_REASON_KEY_BINDING_MISMATCH, NULL},
    {"both sides show one and the same key (reflection)", demo_equal_keys, DEMO_BY_CLIENT, ATLS_OK,
     ATLS_REASON_EQUAL_KEYS, NULL},
    {"a server that speaks TLS 1.2 only", demo_tls12, DEMO_BY_CLIENT, ATLS_E_TLS,
     ATLS_REASON_PEER_REFUSED, NULL},
    {"the server resumes an earlier TLS session", resumed, DEMO_BY_CLIENT, ATLS_E_TLS,
     ATLS_REASON_TLS_RESUMED, NULL},
};

static const struct demo_case replay = {"evidence of an earlier connection is replayed",
                                        replayed,
                                        DEMO_BY_CLIENT,
                                        ATLS_E_EVIDENCE,
                                        ATLS_REASON_NONCE_MISMATCH,
                                        NULL};

static const struct demo_case intra_cases[] = {
    {"a man in the middle, with the server's TLS key, relays its evidence", relayed_evidence,
     DEMO_BY_CLIENT, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH, NULL},
    {"the client wants the secret binder, the server has the draft's", secret_at_one_end,
     DEMO_BY_CLIENT, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH, NULL},
    {"a TLS server that does not know the extension", demo_plain, DEMO_BY_CLIENT, ATLS_E_PROTOCOL,
     ATLS_REASON_ATTESTATION_REQUIRED, NULL},
    {"the server has nothing to attest itself with", demo_does_not_attest, DEMO_BY_CLIENT,
     ATLS_E_PROTOCOL, ATLS_REASON_ATTESTATION_REQUIRED, NULL},
    {"the client does not attest itself and the server requires it", demo_client_does_not_attest,
     DEMO_BY_SERVER, ATLS_E_PROTOCOL, ATLS_REASON_UNSUPPORTED_ATTESTATION_SCHEMES, NULL},
    {"software evidence that nobody asked for", demo_soft_not_asked_for, DEMO_BY_SERVER,
     ATLS_E_PROTOCOL, ATLS_REASON_UNSUPPORTED_ATTESTATION_SCHEMES, NULL},
};

static const struct demo_case pre_cases[] = {
    {"a TLS server whose certificate holds no evidence", demo_plain, DEMO_BY_CLIENT,
     ATLS_E_EVIDENCE, ATLS_REASON_NOT_ATTESTED, NULL},
    {"the server has nothing to attest itself with", demo_does_not_attest, DEMO_BY_CLIENT,
     ATLS_E_EVIDENCE, ATLS_REASON_NOT_ATTESTED, NULL},
    {"the client does not attest itself and the server requires it", demo_client_does_not_attest,
     DEMO_BY_SERVER, ATLS_E_TLS, ATLS_REASON_NONE, "did not return a certificate"},
    {"software evidence before a verifier that does not allow it", demo_soft_evidence,
     DEMO_BY_CLIENT, ATLS_E_EVIDENCE, ATLS_REASON_INSECURE_TECHNOLOGY, NULL},
};

/* What a flavour does not stop, and what would. */
struct gap {
    const char *what;
    demo_prepare *prepare;
    const char *stopped_by;
};

static const struct gap nonce_gaps[] = {
    {"a man in the middle, with the server's TLS key, passes nonce and certificate on", passed_on,
     "--flavour post or intra, whose evidence is of one connection"},
};

static const struct gap none_gaps[] = {
    {"the certificate of an earlier connection is replayed, with its key", replayed,
     "--freshness nonce, or the certificate's end"},
    {"a man in the middle, with the server's TLS key, passes the certificate on", passed_on,
     "--flavour post or intra, whose evidence is of one connection"},
};

static const struct gap not_seen = {"PCR 7 has changed since the certificate was made", NULL,
                                    "--freshness nonce, or the certificate's end"};

/* A connection that goes through, and should not: said openly. */
static void run_gap(struct bench *bench, const struct gap *gap, enum atls_code opened,
                    const struct atls_err *err)
{
    char detail[480];
    bool through;

    if (opened == ATLS_OK) {
        link_run(&bench->link);
        err = &bench->link.client_err;
    }
    through = opened == ATLS_OK && err->code == ATLS_OK && bench->link.data_moved;
    if (through)
        snprintf(
            detail, sizeof(detail),
            "client: accepted: bound to the key only, not to the connection; what stops it: %s",
            gap->stopped_by);
    else
        snprintf(detail, sizeof(detail), "client: %s: %s [%s]", atls_code_name(err->code),
                 err->message, atls_reason_name(err->reason));
    demo_report_gap(bench->demo, through, gap->what, detail);
}

static void run_gaps(struct demo *demo, const struct gap *gaps, size_t count)
{
    if (count > 0)
        demo_title(demo, "What this flavour does not stop");
    for (size_t i = 0; i < count && demo_goes_on(); i++) {
        struct bench bench = {.demo = demo};
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code = gaps[i].prepare(&bench, &err);

        run_gap(&bench, &gaps[i], code, &err);
        demo_clear_bench(&bench);
    }
}

/* ---- what is run ---- */

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const struct variant {
    enum atls_flavour flavour;
    enum atls_freshness freshness;
    const char *title;
    const struct demo_case *own; /* beside shared_cases; NULL: those of demo_cases.c */
    size_t own_count;
    const struct gap *gaps;
    size_t gap_count;
} variants[] = {
    {ATLS_FLAVOUR_POST, ATLS_FRESHNESS_UNSAID, "Flavour post: behind the handshake", NULL, 0, NULL,
     0},
    {ATLS_FLAVOUR_INTRA, ATLS_FRESHNESS_UNSAID, "Flavour intra: in the handshake", intra_cases,
     COUNT(intra_cases), NULL, 0},
    {ATLS_FLAVOUR_PRE, ATLS_FRESHNESS_NONCE,
     "Flavour pre, freshness nonce: in the certificate, bound to the key only", pre_cases,
     COUNT(pre_cases), nonce_gaps, COUNT(nonce_gaps)},
    {ATLS_FLAVOUR_PRE, ATLS_FRESHNESS_NONE,
     "Flavour pre, freshness none: in the certificate, as old as that", pre_cases, COUNT(pre_cases),
     none_gaps, COUNT(none_gaps)},
};
#define VARIANTS COUNT(variants)

static const struct demo_case changed = {"PCR 7 has changed: a new connection is not opened",
                                         demo_changed_before,
                                         DEMO_BY_CLIENT,
                                         ATLS_E_REFUSED,
                                         ATLS_REASON_POLICY,
                                         "PCR 7"};
bool demo_flavours_find(const char *name, struct demo_flavours *out)
{
    bool all = strcmp(name, "all") == 0;

    *out = (struct demo_flavours){{all, all, all}};
    for (size_t i = 0; i < VARIANTS; i++)
        if (strcmp(name, atls_flavour_name(variants[i].flavour)) == 0)
            out->run[variants[i].flavour] = true;
    return out->run[ATLS_FLAVOUR_POST] || out->run[ATLS_FLAVOUR_INTRA] ||
           out->run[ATLS_FLAVOUR_PRE];
}

static void set_variant(struct demo *demo, const struct variant *variant)
{
    demo->flavour = variant->flavour;
    demo->freshness = variant->freshness;
}

static void run_tampered(struct demo *demo, const struct variant *variant)
{
    demo_title(demo, "Tampering that must be refused");
    if (variant->own == NULL) {
        demo_run_tampered(demo);
        return;
    }
    if (variant->freshness != ATLS_FRESHNESS_NONE)
        demo_run_case(demo, &replay, NULL);
    demo_run_cases(demo, variant->own, variant->own_count);
    demo_run_cases(demo, shared_cases, COUNT(shared_cases));
}

static void run_variant(struct demo *demo, const struct variant *variant)
{
    set_variant(demo, variant);
    demo_title(demo, variant->title);
    demo_run_good(demo);
    if (variant->flavour == ATLS_FLAVOUR_INTRA && demo_goes_on())
        demo_run_accepted(demo, "both ask for the secret binder, which is not of the draft",
                          secret_at_both_ends);
    if (demo_goes_on())
        run_tampered(demo, variant);
    run_gaps(demo, variant->gaps, variant->gap_count);
}

/* What each flavour sees of a machine that changes. Those without freshness were connected to
 * before; that bench is given back here. */
static void run_changed(struct demo *demo, const struct demo_flavours *flavours,
                        struct bench *before, enum atls_code opened, struct atls_err *err)
{
    demo_title(demo, "The machine changes");
    if (flavours->run[ATLS_FLAVOUR_POST]) {
        set_variant(demo, &variants[0]);
        demo_run_changed(demo);
    } else if (lab_extend_pcr(&demo->lab, LAB_DEVICE_SERVER, 7, err) != ATLS_OK) {
        opened = err->code;
    }
    for (size_t i = 1; i < VARIANTS && demo_goes_on(); i++) {
        if (!flavours->run[variants[i].flavour])
            continue;
        set_variant(demo, &variants[i]);
        if (variants[i].freshness == ATLS_FRESHNESS_NONE)
            run_gap(before, &not_seen, opened, err);
        else
            demo_run_case(demo, &changed, NULL);
    }
}

void demo_flavours_run(struct demo *demo, const struct demo_flavours *flavours)
{
    struct bench before = {.demo = demo};
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code = ATLS_OK;

    for (size_t i = 0; i < VARIANTS && demo_goes_on(); i++)
        if (flavours->run[variants[i].flavour])
            run_variant(demo, &variants[i]);
    if (flavours->run[ATLS_FLAVOUR_PRE] && demo_goes_on()) {
        set_variant(demo, &variants[VARIANTS - 1]);
        code = replayed(&before, &err);
    }
    if (demo_goes_on())
        run_changed(demo, flavours, &before, code, &err);
    demo_clear_bench(&before);
}
