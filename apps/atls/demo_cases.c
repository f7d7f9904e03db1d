/* The cases of the demonstration. Each is a row: who tampers with what, and for which reason it
 * must be refused. */
#include "demo.h"

#include <stdlib.h>
#include <string.h>

#include <atls/passport.h>
#include <atls/remote.h>
#include <atls/store.h>
#include <atls/tpm2.h>

#include "demo_liar.h"
#include "io.h"
#include "parts.h"

/* ---- ends ---- */

/* The context of one side. In flavours intra and pre the certificate of a side that attests is its
 * attester's. */
static enum atls_code make_tls(const struct demo *demo, enum atls_role role,
                               struct atls_config *config, bool attests, SSL_CTX **out,
                               struct atls_err *err)
{
    const struct lab *lab = &demo->lab;
    bool own = role == ATLS_ROLE_SERVER && (!attests || demo->flavour == ATLS_FLAVOUR_POST);

    *out = SSL_CTX_new(role == ATLS_ROLE_SERVER ? TLS_server_method() : TLS_client_method());
    if (*out == NULL || X509_STORE_add_cert(SSL_CTX_get_cert_store(*out), lab->ca) != 1 ||
        (own && (SSL_CTX_use_certificate(*out, lab->tls) != 1 ||
                 SSL_CTX_use_PrivateKey(*out, lab->tls_key) != 1)))
        return parts_tls_error(err, "TLS context");
    if (role == ATLS_ROLE_CLIENT)
        SSL_CTX_set_verify(*out, SSL_VERIFY_PEER, NULL);
    return atls_openssl_prepare_for(*out, config, err);
}

enum atls_code demo_open_ends(struct bench *bench, const struct demo_config *server,
                              const struct demo_config *client, struct atls_err *err)
{
    enum atls_code code;

    if ((code = demo_config(bench->demo, server, &bench->server, err)) != ATLS_OK ||
        (code = demo_config(bench->demo, client, &bench->client, err)) != ATLS_OK ||
        (code = make_tls(bench->demo, ATLS_ROLE_SERVER, bench->server, server->attester != NULL,
                         &bench->server_tls, err)) != ATLS_OK ||
        (code = make_tls(bench->demo, ATLS_ROLE_CLIENT, bench->client, client->attester != NULL,
                         &bench->client_tls, err)) != ATLS_OK)
        return code;
    bench->link.server = (struct link_side){bench->server, bench->server_tls};
    bench->link.client = (struct link_side){bench->client, bench->client_tls};
    return ATLS_OK;
}

void demo_clear_bench(struct bench *bench)
{
    SSL_SESSION_free(bench->link.ticket);
    SSL_CTX_free(bench->link.plain);
    SSL_CTX_free(bench->server_tls);
    SSL_CTX_free(bench->client_tls);
    atls_config_unref(bench->server);
    atls_config_unref(bench->client);
    atls_policy_unref(bench->policy);
    atls_verifier_unref(bench->verifier);
    atls_attester_unref(bench->attester);
    atls_buf_clear(&bench->recorded);
}

/* ---- the good ones ---- */

static const char *const topologies[DEMO_TOPOLOGIES] = {
    [DEMO_LOCAL] = "Connections that must work: the verifier is in the relying party",
    [DEMO_SERVICE] = "The same by background check: the relying party asks the service over HTTPS",
    [DEMO_PASSPORT] = "The same by passport: the attester shows a result of the service",
};

static const struct good_case {
    const char *what;
    bool server_attests, client_attests;
} good_cases[] = {
    {"the server attests itself to the client; 1 MiB arrives whole", true, false},
    {"the client attests itself to the server; 1 MiB arrives whole", false, true},
    {"both attest themselves to each other; 1 MiB arrives whole", true, true},
};

/* One side: it attests itself, it judges its peer, or both. */
static struct demo_config good_side(const struct demo *demo, enum demo_topology topology,
                                    int device, bool attests, bool judges)
{
    struct demo_config side = {.require_peer = judges,
                               .verifier = demo_verifier_of(demo, topology)};

    if (attests)
        side.attester = demo->attesters[device];
    if (attests && topology == DEMO_PASSPORT)
        side.passport = demo->passports[device];
    return side;
}

/* Runs a connection whose ends were opened, or says why they could not be. */
static void run_to_good_end(struct bench *bench, const struct good_case *good,
                            enum atls_code opened, const struct atls_err *err)
{
    struct link *link = &bench->link;
    char detail[400];
    bool fine;

    if (opened == ATLS_OK)
        link_run(link);
    fine = opened == ATLS_OK && link->client_err.code == ATLS_OK &&
           link->server_err.code == ATLS_OK && link->data_moved &&
           (!good->server_attests || link->client_peer[0] != '\0') &&
           (!good->client_attests || link->server_peer[0] != '\0');
    if (fine)
        snprintf(detail, sizeof(detail), "%s%s%s%s", good->server_attests ? "server: " : "",
                 link->client_peer,
                 good->client_attests ? (good->server_attests ? "; client: " : "client: ") : "",
                 link->server_peer);
    else
        snprintf(detail, sizeof(detail), "%.120s %.120s %.120s", err->message,
                 link->client_err.message, link->server_err.message);
    demo_report(bench->demo, fine, good->what, detail);
}

static void run_good(struct demo *demo, enum demo_topology topology, const struct good_case *good)
{
    struct demo_config server =
        good_side(demo, topology, LAB_DEVICE_SERVER, good->server_attests, good->client_attests);
    struct demo_config client =
        good_side(demo, topology, LAB_DEVICE_CLIENT, good->client_attests, good->server_attests);
    struct bench bench = {.demo = demo};
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code = demo_open_ends(&bench, &server, &client, &err);

    run_to_good_end(&bench, good, code, &err);
    demo_clear_bench(&bench);
}

void demo_run_accepted(struct demo *demo, const char *what, demo_prepare *prepare)
{
    const struct good_case good = {what, true, false};
    struct bench bench = {.demo = demo};
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code = prepare(&bench, &err);

    run_to_good_end(&bench, &good, code, &err);
    demo_clear_bench(&bench);
}

void demo_run_good(struct demo *demo)
{
    /* Without freshness the topologies differ in nothing that could be seen. */
    const int count = demo->freshness == ATLS_FRESHNESS_NONE ? 1 : DEMO_TOPOLOGIES;

    for (int t = 0; t < count && demo_goes_on(); t++) {
        demo_title(demo, topologies[t]);
        for (size_t i = 0; i < sizeof(good_cases) / sizeof(good_cases[0]) && demo_goes_on(); i++)
            run_good(demo, (enum demo_topology)t, &good_cases[i]);
    }
}

/* ---- the tampered ones ---- */

/* The usual ends: server with bench->attester (or the true one), client that requires it. */
enum atls_code demo_usual_ends(struct bench *bench, struct atls_err *err)
{
    struct atls_attester *attester =
        bench->attester != NULL ? bench->attester : bench->demo->attesters[LAB_DEVICE_SERVER];
    const struct demo_config server = {.attester = attester};
    const struct demo_config client = {
        .require_peer = true, .verifier = bench->verifier, .policy = bench->policy};

    return demo_open_ends(bench, &server, &client, err);
}

static enum atls_code tamper_quote(struct bench *bench, struct atls_err *err)
{
    enum atls_code code = demo_open_liar(bench, LIE_ABOUT_QUOTE, err);

    return code == ATLS_OK ? demo_usual_ends(bench, err) : code;
}

enum atls_code demo_tamper_pcr(struct bench *bench, struct atls_err *err)
{
    enum atls_code code = demo_open_liar(bench, LIE_ABOUT_PCR, err);

    return code == ATLS_OK ? demo_usual_ends(bench, err) : code;
}

enum atls_code demo_other_binder(struct bench *bench, struct atls_err *err)
{
    enum atls_code code = demo_open_liar(bench, LIE_OTHER_BINDER, err);

    return code == ATLS_OK ? demo_usual_ends(bench, err) : code;
}

enum atls_code demo_old_evidence(struct bench *bench, struct atls_err *err)
{
    enum atls_code code = demo_open_liar(bench, LIE_OLD_EVIDENCE, err);

    return code == ATLS_OK ? demo_usual_ends(bench, err) : code;
}

enum atls_code demo_other_key(struct bench *bench, struct atls_err *err)
{
    enum atls_code code = demo_open_liar(bench, LIE_OTHER_KEY, err);

    return code == ATLS_OK ? demo_usual_ends(bench, err) : code;
}

static enum atls_code declines(struct bench *bench, struct atls_err *err)
{
    enum atls_code code = demo_open_liar(bench, LIE_NOTHING_TO_SAY, err);

    return code == ATLS_OK ? demo_usual_ends(bench, err) : code;
}

enum atls_code demo_relayed(struct bench *bench, struct atls_err *err)
{
    bench->link.serve = link_in_the_middle;
    return demo_usual_ends(bench, err);
}

static enum atls_code with_recording(struct bench *bench, link_server *serve, struct atls_err *err)
{
    enum atls_code code;

    if ((code = demo_usual_ends(bench, err)) != ATLS_OK ||
        (code = link_record(&bench->link, &bench->recorded, err)) != ATLS_OK)
        return code;
    bench->link.server_err = (struct atls_err)ATLS_ERR_INIT;
    bench->link.recorded = atls_buf_bytes(&bench->recorded);
    bench->link.serve = serve;
    return ATLS_OK;
}

enum atls_code demo_replayed(struct bench *bench, struct atls_err *err)
{
    return with_recording(bench, link_replay, err);
}

static enum atls_code early_data(struct bench *bench, struct atls_err *err)
{
    return with_recording(bench, link_early_data, err);
}

/* A plain TLS server with a certificate that TLS is content with. */
static enum atls_code plain_server(struct bench *bench, int version, struct atls_err *err)
{
    const struct lab *lab = &bench->demo->lab;
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    bench->link.serve = link_plain;
    bench->link.plain = context;
    if (context == NULL || SSL_CTX_set_min_proto_version(context, version) != 1 ||
        SSL_CTX_set_max_proto_version(context, version) != 1 ||
        SSL_CTX_use_certificate(context, lab->tls) != 1 ||
        SSL_CTX_use_PrivateKey(context, lab->tls_key) != 1)
        return parts_tls_error(err, "TLS context");
    return demo_usual_ends(bench, err);
}

enum atls_code demo_tls12(struct bench *bench, struct atls_err *err)
{
    return plain_server(bench, TLS1_2_VERSION, err);
}

enum atls_code demo_plain(struct bench *bench, struct atls_err *err)
{
    return plain_server(bench, TLS1_3_VERSION, err);
}

enum atls_code demo_does_not_attest(struct bench *bench, struct atls_err *err)
{
    const struct demo_config server = {.require_peer = true};
    const struct demo_config client = {.attester = bench->demo->attesters[LAB_DEVICE_CLIENT],
                                       .require_peer = true};

    return demo_open_ends(bench, &server, &client, err);
}

enum atls_code demo_client_does_not_attest(struct bench *bench, struct atls_err *err)
{
    const struct demo_config server = {.attester = bench->demo->attesters[LAB_DEVICE_SERVER],
                                       .require_peer = true};
    const struct demo_config client = {.require_peer = true};

    return demo_open_ends(bench, &server, &client, err);
}

enum atls_code demo_equal_keys(struct bench *bench, struct atls_err *err)
{
    const struct demo_config both = {.attester = bench->demo->attesters[LAB_DEVICE_SERVER],
                                     .require_peer = true};

    return demo_open_ends(bench, &both, &both, err);
}

static enum atls_code with_certificate(struct bench *bench, const struct lab_certificate *spec,
                                       struct atls_err *err)
{
    static const struct atls_attester_ops *const backends[] = {&atls_tpm2_attester, NULL};
    const struct demo *demo = bench->demo;
    struct lab_certificate certificate = *spec;
    struct atls_attester_options options;
    char path[LAB_PATH];
    enum atls_code code;

    certificate.spki = atls_attester_aik_spki(demo->attesters[LAB_DEVICE_SERVER]);
    lab_path(&demo->lab, "other-aik.pem", path);
    if ((code = lab_issue(&demo->lab, &certificate, path, err)) != ATLS_OK)
        return code;
    atls_attester_options_init(&options);
    options.certificate = path;
    if ((code = atls_attester_open(demo->lab.devices[LAB_DEVICE_SERVER].uri, backends, &options,
                                   &bench->attester, err)) != ATLS_OK)
        return code;
    return demo_usual_ends(bench, err);
}

enum atls_code demo_wrong_name(struct bench *bench, struct atls_err *err)
{
    return with_certificate(
        bench, &(struct lab_certificate){.name = "other.example", .not_after_days = 30}, err);
}

static enum atls_code expired(struct bench *bench, struct atls_err *err)
{
    return with_certificate(
        bench, &(struct lab_certificate){.name = LAB_SERVER, .not_after_days = -1}, err);
}

static enum atls_code other_ca(struct bench *bench, struct atls_err *err)
{
    return with_certificate(
        bench,
        &(struct lab_certificate){.name = LAB_SERVER, .not_after_days = 30, .other_ca = true}, err);
}

enum atls_code demo_soft_evidence(struct bench *bench, struct atls_err *err)
{
    const struct demo_config client = {.require_peer = true, .soft = true};
    struct demo_config server = {.require_peer = false};
    char certificate[LAB_PATH];
    enum atls_code code = demo_open_soft(bench->demo, certificate, &bench->attester, err);

    server.attester = bench->attester;
    return code == ATLS_OK ? demo_open_ends(bench, &server, &client, err) : code;
}

enum atls_code demo_soft_not_asked_for(struct bench *bench, struct atls_err *err)
{
    char certificate[LAB_PATH];
    enum atls_code code = demo_open_soft(bench->demo, certificate, &bench->attester, err);

    return code == ATLS_OK ? demo_usual_ends(bench, err) : code;
}

struct wanted_entry {
    const char *kind, *instance, *manifest;
    char found[160];
};

static enum atls_code look_at_entry(void *arg, const struct atls_store_entry *entry,
                                    struct atls_err *err)
{
    struct wanted_entry *wanted = arg;

    (void)err;
    if (strcmp(wanted->kind, "manifest") == 0 && strcmp(entry->manifest, wanted->manifest) == 0)
        snprintf(wanted->found, sizeof(wanted->found), "manifest:%s", entry->manifest);
    else if (strcmp(wanted->kind, entry->kind) == 0 &&
             strstr(entry->subject, wanted->instance) != NULL)
        snprintf(wanted->found, sizeof(wanted->found), "%s:%lld", entry->kind,
                 (long long)entry->id);
    return ATLS_OK;
}

/* Removes what a store holds of one kind for one device. */
static enum atls_code forget(struct atls_store *store, const char *kind,
                             const struct lab_device *device, struct atls_err *err)
{
    struct wanted_entry wanted = {.kind = kind, .instance = device->instance};
    char manifest[96];
    enum atls_code code;

    snprintf(manifest, sizeof(manifest), "demo/%s", device->name);
    wanted.manifest = manifest;
    if ((code = atls_store_list(store, look_at_entry, &wanted, err)) != ATLS_OK)
        return code;
    return atls_store_remove(store, wanted.found, err);
}

enum atls_code demo_copy_store(const struct demo *demo, const char *path, struct atls_store **out,
                               struct atls_err *err)
{
    struct atls_store *from = NULL, *to = NULL;
    struct atls_buf all = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = atls_store_open(demo->lab.store, ATLS_STORE_READ, &from, err)) == ATLS_OK &&
        (code = atls_store_export_json(from, &all, err)) == ATLS_OK &&
        (code = atls_store_open(path, ATLS_STORE_CREATE, &to, err)) == ATLS_OK)
        code = atls_store_import_json(to, atls_buf_bytes(&all), err);
    atls_store_close(from);
    atls_buf_clear(&all);
    if (code == ATLS_OK)
        *out = to;
    else
        atls_store_close(to);
    return code;
}

/* A store that knows less of the first devices: without the server's key, or without its reference
 * values. */
static enum atls_code with_poorer_store(struct bench *bench, const char *name, const char *kind,
                                        int devices, struct atls_err *err)
{
    struct atls_store *store = NULL;
    char path[LAB_PATH];
    enum atls_code code;

    lab_path(&bench->demo->lab, name, path);
    code = demo_copy_store(bench->demo, path, &store, err);
    for (int i = 0; i < devices && code == ATLS_OK; i++)
        code = forget(store, kind, &bench->demo->lab.devices[i], err);
    atls_store_close(store);
    if (code != ATLS_OK || (code = demo_verifier(path, NULL, &bench->verifier, err)) != ATLS_OK)
        return code;
    return demo_usual_ends(bench, err);
}

static enum atls_code not_enrolled(struct bench *bench, struct atls_err *err)
{
    return with_poorer_store(bench, "no-key.db", "attest-key", LAB_DEVICE_SERVER + 1, err);
}

static enum atls_code no_reference_values(struct bench *bench, struct atls_err *err)
{
    return with_poorer_store(bench, "no-values.db", "manifest", LAB_DEVICES, err);
}

static enum atls_code policy_refuses(struct bench *bench, struct atls_err *err)
{
    static const char text[] = "{decision: \"refuse\", reasons: [\"closed for maintenance\"]}";
    enum atls_code code = atls_policy_compile("maintenance", atls_bytes_of(text, sizeof(text) - 1),
                                              &bench->policy, err);

    return code == ATLS_OK ? demo_usual_ends(bench, err) : code;
}

/* Evidence where a passport is due: this side takes results alone. */
static enum atls_code evidence_for_a_passport(struct bench *bench, struct atls_err *err)
{
    const struct demo_config client = {.require_peer = true,
                                       .verifier = bench->demo->remote[DEMO_PASSPORT]};
    const struct demo_config server = {.attester = bench->demo->attesters[LAB_DEVICE_SERVER]};

    return demo_open_ends(bench, &server, &client, err);
}

/* The passport of one machine in the hands of another, whose key is not the one it names. */
enum atls_code demo_passport_of_another(struct bench *bench, struct atls_err *err)
{
    const struct demo_config client = {.require_peer = true,
                                       .verifier = demo_verifier_of(bench->demo, DEMO_PASSPORT)};
    const struct demo_config server = {.attester = bench->demo->attesters[LAB_DEVICE_SERVER],
                                       .passport = bench->demo->passports[LAB_DEVICE_CLIENT]};

    return demo_open_ends(bench, &server, &client, err);
}

static enum atls_code other_verifier(struct bench *bench, struct atls_err *err)
{
    static const struct atls_verifier_ops *const backends[] = {&atls_veraison_verifier, NULL};
    struct atls_verifier_options options;
    struct demo_config client = {.require_peer = true};
    const struct demo_config server = {.attester = bench->demo->attesters[LAB_DEVICE_SERVER]};
    char uri[96];
    enum atls_code code;

    snprintf(uri, sizeof(uri), "veraison:%s", bench->demo->service.url);
    atls_verifier_options_init(&options);
    options.ca_file = bench->demo->service.ca_file;
    options.result_keys = bench->demo->service.ca_file; /* a key, and not the service's */
    if ((code = atls_verifier_open(uri, backends, &options, &bench->verifier, err)) != ATLS_OK)
        return code;
    client.verifier = bench->verifier;
    return demo_open_ends(bench, &server, &client, err);
}

static enum atls_code changed_before_the_service(struct bench *bench, struct atls_err *err)
{
    const struct demo_config client = {.require_peer = true,
                                       .verifier = bench->demo->remote[DEMO_SERVICE]};
    const struct demo_config server = {.attester = bench->demo->attesters[LAB_DEVICE_SERVER]};

    return demo_open_ends(bench, &server, &client, err);
}

static enum atls_code extend_pcr7(void *arg, struct atls_err *err)
{
    struct demo *demo = arg;

    return lab_extend_pcr(&demo->lab, LAB_DEVICE_SERVER, 7, err);
}

static enum atls_code changed_in_mid_stream(struct bench *bench, struct atls_err *err)
{
    bench->link.between = extend_pcr7;
    bench->link.arg = bench->demo;
    return demo_usual_ends(bench, err);
}

enum atls_code demo_changed_before(struct bench *bench, struct atls_err *err)
{
    return demo_usual_ends(bench, err); /* PCR 7 stays extended until the TPM is reset */
}

static const struct demo_case tampered_cases[] = {
    {"a bit of what the TPM signed is changed", tamper_quote, DEMO_BY_CLIENT, ATLS_E_EVIDENCE,
     ATLS_REASON_SIGNATURE, NULL},
    {"a PCR value beside the quote is changed", demo_tamper_pcr, DEMO_BY_CLIENT, ATLS_E_EVIDENCE,
     ATLS_REASON_PCR_DIGEST_MISMATCH, NULL},
    {"evidence made for another connection", demo_other_binder, DEMO_BY_CLIENT, ATLS_E_EVIDENCE,
     ATLS_REASON_NONCE_MISMATCH, NULL},
    {"evidence of an earlier connection is replayed", demo_old_evidence, DEMO_BY_CLIENT,
     ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH, NULL},
    {"evidence of the TPM beside a key that is not its own", demo_other_key, DEMO_BY_CLIENT,
     ATLS_E_EVIDENCE, ATLS_REASON_KEY_BINDING_MISMATCH, NULL},
    {"a man in the middle, with the server's TLS key, relays the authenticator", demo_relayed,
     DEMO_BY_CLIENT, ATLS_E_VERIFY, ATLS_REASON_FINISHED_MISMATCH, NULL},
    {"an authenticator of an earlier connection is replayed", demo_replayed, DEMO_BY_CLIENT,
     ATLS_E_PROTOCOL, ATLS_REASON_CONTEXT_MISMATCH, NULL},
    {"the server sends data before it has attested itself", early_data, DEMO_BY_CLIENT, ATLS_OK,
     ATLS_REASON_GATE_CLOSED, NULL},
    {"the server declines to attest itself (empty authenticator)", declines, DEMO_BY_CLIENT,
     ATLS_E_DECLINED, ATLS_REASON_EMPTY_AUTHENTICATOR, NULL},
    {"the server has nothing to attest itself with", demo_does_not_attest, DEMO_BY_CLIENT, ATLS_OK,
     ATLS_REASON_NO_COMMON_PARAMETERS, NULL},
    {"the client does not attest itself and the server requires it", demo_client_does_not_attest,
     DEMO_BY_SERVER, ATLS_OK, ATLS_REASON_NO_COMMON_PARAMETERS, NULL},
    {"both sides show one and the same key (reflection)", demo_equal_keys, DEMO_BY_CLIENT, ATLS_OK,
     ATLS_REASON_EQUAL_KEYS, NULL},
    {"software evidence that nobody asked for", demo_soft_not_asked_for, DEMO_BY_CLIENT, ATLS_OK,
     ATLS_REASON_NO_COMMON_PARAMETERS, NULL},
    {"software evidence before a verifier that does not allow it", demo_soft_evidence,
     DEMO_BY_CLIENT, ATLS_E_EVIDENCE, ATLS_REASON_INSECURE_TECHNOLOGY, NULL},
    {"a TPM whose attestation key was never enrolled", not_enrolled, DEMO_BY_CLIENT,
     ATLS_E_EVIDENCE, ATLS_REASON_UNTRUSTED_AK, NULL},
    {"the key's certificate is for another name", demo_wrong_name, DEMO_BY_CLIENT,
     ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_NAME, NULL},
    {"the key's certificate has expired", expired, DEMO_BY_CLIENT, ATLS_E_CERTIFICATE,
     ATLS_REASON_CERTIFICATE_EXPIRED, NULL},
    {"the key's certificate is of a CA that nobody trusts", other_ca, DEMO_BY_CLIENT,
     ATLS_E_CERTIFICATE, ATLS_REASON_UNTRUSTED_ROOT, NULL},
    {"no reference values are on file", no_reference_values, DEMO_BY_CLIENT, ATLS_E_REFUSED,
     ATLS_REASON_POLICY, "no-reference-values"},
    {"the relying party's own policy says no", policy_refuses, DEMO_BY_CLIENT, ATLS_E_REFUSED,
     ATLS_REASON_POLICY, "closed for maintenance"},
    {"a server that speaks TLS 1.2 only", demo_tls12, DEMO_BY_CLIENT, ATLS_E_TLS,
     ATLS_REASON_PEER_REFUSED, NULL},
    {"a plain TLS server that does not know the protocol", demo_plain, DEMO_BY_CLIENT, ATLS_E_TLS,
     ATLS_REASON_NO_COMMON_PARAMETERS, NULL},
    {"evidence where the relying party takes passports alone", evidence_for_a_passport,
     DEMO_BY_CLIENT, ATLS_OK, ATLS_REASON_NO_COMMON_PARAMETERS, NULL},
    {"the passport of another machine", demo_passport_of_another, DEMO_BY_CLIENT, ATLS_E_EVIDENCE,
     ATLS_REASON_KEY_BINDING_MISMATCH, NULL},
    {"a verifier service whose results another key has signed", other_verifier, DEMO_BY_CLIENT,
     ATLS_E_UNAVAILABLE, ATLS_REASON_SIGNATURE, NULL},
};

static const struct demo_case changed_cases[] = {
    {"PCR 7 changes in mid-stream: the next attestation ends the connection", changed_in_mid_stream,
     DEMO_BY_CLIENT, ATLS_E_REFUSED, ATLS_REASON_POLICY, "PCR 7"},
    {"PCR 7 has changed: a new connection is not opened", demo_changed_before, DEMO_BY_CLIENT,
     ATLS_E_REFUSED, ATLS_REASON_POLICY, "PCR 7"},
    {"PCR 7 has changed: the service finds it, too", changed_before_the_service, DEMO_BY_CLIENT,
     ATLS_E_REFUSED, ATLS_REASON_POLICY, "PCR 7"},
};

static bool as_expected(const struct demo_case *tampered, const struct link *link,
                        const struct atls_err *err)
{
    return !link->data_moved && err->code != ATLS_OK &&
           (tampered->want_code == ATLS_OK || err->code == tampered->want_code) &&
           err->reason == tampered->want &&
           (tampered->names == NULL || strstr(err->message, tampered->names) != NULL);
}

void demo_run_case(struct demo *demo, const struct demo_case *tampered, const void *arg)
{
    struct bench bench = {.demo = demo, .arg = arg};
    struct atls_err err = ATLS_ERR_INIT;
    const struct atls_err *verdict = &err;
    char detail[480];
    bool good = false;

    if (tampered->prepare(&bench, &err) == ATLS_OK) {
        link_run(&bench.link);
        verdict =
            tampered->judge == DEMO_BY_CLIENT ? &bench.link.client_err : &bench.link.server_err;
        good = as_expected(tampered, &bench.link, verdict);
    }
    snprintf(detail, sizeof(detail), "%s: %s: %s [%s]",
             tampered->judge == DEMO_BY_CLIENT ? "client" : "server", atls_code_name(verdict->code),
             verdict->code != ATLS_OK ? verdict->message : "accepted",
             atls_reason_name(verdict->reason));
    demo_report(demo, good, tampered->what, detail);
    demo_clear_bench(&bench);
}

void demo_run_cases(struct demo *demo, const struct demo_case *cases, size_t count)
{
    for (size_t i = 0; i < count && demo_goes_on(); i++)
        demo_run_case(demo, &cases[i], NULL);
}

void demo_run_tampered(struct demo *demo)
{
    demo_run_cases(demo, tampered_cases, sizeof(tampered_cases) / sizeof(tampered_cases[0]));
}

void demo_run_changed(struct demo *demo)
{
    demo_run_cases(demo, changed_cases, sizeof(changed_cases) / sizeof(changed_cases[0]));
}
