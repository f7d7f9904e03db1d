/* atls enrol: a verifier learns the attestation key of a TPM, in one run or by files between two
 * parties. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "commands.h"
#include "enrolment.h"
#include "io.h"
#include "parts.h"

static const char usage[] =
    "usage: atls enrol --attester tpm2:... --store DB --class UUID [OPTION ...]\n"
    "       atls enrol request --attester tpm2:... --out R.json                    (device)\n"
    "       atls enrol challenge R.json --store DB --out C.json --keep K.json      (verifier)\n"
    "       atls enrol answer C.json --attester tpm2:... --out A.json              (device)\n"
    "       atls enrol accept A.json --keep K.json --store DB --class UUID         (verifier)\n"
    "\n"
    "Enrols the attestation key (AK) of a TPM by credential activation: only the TPM whose\n"
    "endorsement key (EK) is certified by a maker in the store can answer, and only if it holds "
    "the\n"
    "AK. Without a verb both halves run here.\n"
    "\n"
    "  --attester URI          tpm2:TCTI[?ak=HANDLE&aik=HANDLE&pcrs=...]\n"
    "  --store DB              the verifier's store; EK anchors: atls store import --anchor ek\n"
    "  --class UUID            class of the machine: which reference values apply\n"
    "  --vendor NAME           of the class\n"
    "  --model NAME            of the class\n"
    "  --allow-untrusted-ek    accept a TPM whose EK no anchor vouches for\n"
    "  --reference-values now  take the PCRs as they are now as reference values of the class\n"
    "  --corim-out FILE        also write those reference values as a manifest\n"
    "  --corim-key FORM        put the AK into it, too; its instance as ueid or as bytes\n"
    "  --persist               make AK and AIK persistent at the handles that the URI names\n"
    "  --name NAME             for --aik-cert-out and --csr-out: DNS name of this machine\n"
    "  --attester-cert PEM     certificate chain that --aik-cert-out writes instead of a "
    "self-signed\n"
    "                          one\n"
    "  --endorsements PEM      certificates that vouch for the attestation key\n"
    "  --insecure-soft         refused here: software proves nothing\n"
    "  --aik-cert-out FILE     write the AIK's certificate (PEM)\n"
    "  --csr-out FILE          write a certificate request for the AIK (PEM)\n"
    "  --out FILE              what this step makes; default standard output\n"
    "  --keep FILE             what the verifier keeps between challenge and accept; used once\n"
    "  --lifetime S            how long a challenge may be answered; default 300\n"
    "  --json                  print the outcome as JSON\n"
    "  --help                  this text\n";

/* ---- files between two parties: JSON objects with bytes in hex ---- */

static json_t *read_json(const char *path, const char *type, struct atls_err *err)
{
    struct atls_buf file = ATLS_BUF_INIT;
    json_error_t error;
    json_t *value;
    const char *found;

    if (io_read_file(path, &file, err) != ATLS_OK)
        return NULL;
    value = json_loadb((const char *)file.ptr, file.len, JSON_REJECT_DUPLICATES, &error);
    atls_buf_clear(&file);
    if (value == NULL) {
        io_error(err, ATLS_E_DECODE, "%s: line %d: %s", path, error.line, error.text);
        return NULL;
    }
    found = json_string_value(json_object_get(value, "type"));
    if (found == NULL || strcmp(found, type) != 0) {
        io_error(err, ATLS_E_DECODE, "%s: type is not \"%s\"", path, type);
        json_decref(value);
        return NULL;
    }
    return value;
}

static enum atls_code get_bytes(const char *path, const json_t *value, const char *name,
                                struct atls_buf *out, struct atls_err *err)
{
    const char *text = json_string_value(json_object_get(value, name));
    enum atls_code code;

    if (text == NULL)
        return io_error(err, ATLS_E_DECODE, "%s: member \"%s\" is missing", path, name);
    if ((code = io_unhex(name, text, out, err)) == ATLS_E_CONFIG)
        err->code = code = ATLS_E_DECODE;
    return code;
}

/* Takes the reference. */
static enum atls_code write_json(const char *path, json_t *value, enum io_mode mode,
                                 struct atls_err *err)
{
    char *text = value != NULL ? json_dumps(value, JSON_INDENT(2)) : NULL;
    size_t len = text != NULL ? strlen(text) : 0;
    enum atls_code code;

    json_decref(value);
    if (text == NULL)
        return io_error(err, ATLS_E_NOMEM, "JSON: out of memory");
    text[len] = '\n'; /* in the place of the NUL, which is not written */
    code = io_write_file(path, atls_bytes_of(text, len + 1), mode, err);
    OPENSSL_cleanse(text, len + 1);
    free(text);
    return code;
}

static enum atls_code open_tpm(const struct cli *cli, struct atls_tpm2_enrolment **out,
                               struct atls_err *err)
{
    return atls_tpm2_enrolment_open(cli_value(cli, "attester"), out, err);
}

/* ---- the four steps ---- */

static enum atls_code step_request(const struct cli *cli, struct atls_err *err)
{
    struct atls_tpm2_enrolment *tpm = NULL;
    struct atls_tpm2_identity identity = {0};
    enum atls_code code;

    if ((code = open_tpm(cli, &tpm, err)) == ATLS_OK &&
        (!cli_flag(cli, "persist") || (code = atls_tpm2_enrolment_persist(tpm, err)) == ATLS_OK) &&
        (code = atls_tpm2_enrolment_identity(tpm, &identity, err)) == ATLS_OK)
        code = write_json(cli_value(cli, "out"),
                          json_pack("{ss so so so}", "type", "atls-enrol-request", "ek-certificate",
                                    io_hex_json(atls_buf_bytes(&identity.ek_certificate)),
                                    "ek-public", io_hex_json(atls_buf_bytes(&identity.ek_public)),
                                    "ak-public", io_hex_json(atls_buf_bytes(&identity.ak_public))),
                          IO_PUBLIC, err);
    atls_tpm2_identity_clear(&identity);
    atls_tpm2_enrolment_close(tpm);
    return code;
}

static enum atls_code write_challenge(const struct cli *cli,
                                      const struct atls_enrol_challenge *challenge,
                                      struct atls_err *err)
{
    enum atls_code code;

    /* What is kept comes first: a challenge without it could never be accepted. */
    code = write_json(cli_value(cli, "keep"),
                      json_pack("{ss ss sI so}", "type", "atls-enrol-keep", "instance",
                                challenge->instance, "expires", (json_int_t)challenge->expires_s,
                                "keep", io_hex_json(atls_buf_bytes(&challenge->keep))),
                      IO_SECRET, err);
    if (code != ATLS_OK)
        return code;
    code = write_json(cli_value(cli, "out"),
                      json_pack("{ss sI so so}", "type", "atls-enrol-challenge", "expires",
                                (json_int_t)challenge->expires_s, "credential-blob",
                                io_hex_json(atls_buf_bytes(&challenge->credential_blob)),
                                "encrypted-secret",
                                io_hex_json(atls_buf_bytes(&challenge->encrypted_secret))),
                      IO_PUBLIC, err);
    if (code == ATLS_OK)
        cli_say(cli, "challenge for instance %s, EK %s", challenge->instance,
                challenge->ek_trusted ? "certified" : "NOT certified");
    return code;
}

static enum atls_code step_challenge(const struct cli *cli, struct atls_err *err)
{
    const char *path = cli_operand(cli, 1);
    struct atls_buf ek_certificate = ATLS_BUF_INIT, ek = ATLS_BUF_INIT, ak = ATLS_BUF_INIT;
    struct atls_enrol_challenge challenge = {0};
    struct atls_enrol_options options;
    struct atls_store *store = NULL;
    unsigned long lifetime_s = 300;
    json_t *json = read_json(path, "atls-enrol-request", err);
    enum atls_code code = err->code;

    if (!cli_number(cli, "lifetime", 1, 86400, &lifetime_s))
        code = io_error(err, ATLS_E_CONFIG, "--lifetime");
    atls_enrol_options_init(&options);
    options.allow_untrusted_ek = cli_flag(cli, "allow-untrusted-ek");
    options.lifetime_s = (uint32_t)lifetime_s;
    if (code == ATLS_OK &&
        (code = get_bytes(path, json, "ek-certificate", &ek_certificate, err)) == ATLS_OK &&
        (code = get_bytes(path, json, "ek-public", &ek, err)) == ATLS_OK &&
        (code = get_bytes(path, json, "ak-public", &ak, err)) == ATLS_OK &&
        (code = atls_store_open(cli_value(cli, "store"), ATLS_STORE_READ, &store, err)) ==
            ATLS_OK) {
        const struct atls_enrol_request request = {atls_buf_bytes(&ek_certificate),
                                                   atls_buf_bytes(&ek), atls_buf_bytes(&ak)};

        code = atls_enrol_challenge(store, &request, &options, &challenge, err);
    }
    if (code == ATLS_OK)
        code = write_challenge(cli, &challenge, err);
    atls_enrol_challenge_clear(&challenge);
    atls_store_close(store);
    atls_buf_clear(&ak);
    atls_buf_clear(&ek);
    atls_buf_clear(&ek_certificate);
    json_decref(json);
    return code;
}

static enum atls_code step_answer(const struct cli *cli, struct atls_err *err)
{
    const char *path = cli_operand(cli, 1);
    struct atls_buf blob = ATLS_BUF_INIT, encrypted = ATLS_BUF_INIT, secret = ATLS_BUF_INIT;
    struct atls_tpm2_enrolment *tpm = NULL;
    json_t *json = read_json(path, "atls-enrol-challenge", err);
    enum atls_code code = err->code;

    if (code == ATLS_OK &&
        (code = get_bytes(path, json, "credential-blob", &blob, err)) == ATLS_OK &&
        (code = get_bytes(path, json, "encrypted-secret", &encrypted, err)) == ATLS_OK &&
        (code = open_tpm(cli, &tpm, err)) == ATLS_OK &&
        (code = atls_tpm2_enrolment_activate(tpm, atls_buf_bytes(&blob), atls_buf_bytes(&encrypted),
                                             &secret, err)) == ATLS_OK)
        code = write_json(cli_value(cli, "out"),
                          json_pack("{ss so}", "type", "atls-enrol-answer", "secret",
                                    io_hex_json(atls_buf_bytes(&secret))),
                          IO_PUBLIC, err);
    atls_tpm2_enrolment_close(tpm);
    atls_buf_clear(&secret);
    atls_buf_clear(&encrypted);
    atls_buf_clear(&blob);
    json_decref(json);
    return code;
}

/* Reads what the verifier kept and takes the file away first: whoever comes second finds nothing,
 * and a wrong answer cannot be followed by another guess. */
static enum atls_code claim_keep(const char *path, struct atls_buf *out, char instance[80],
                                 struct atls_err *err)
{
    char claimed[4096];
    json_t *json;
    enum atls_code code;

    if ((size_t)snprintf(claimed, sizeof(claimed), "%s.%ld", path, (long)getpid()) >=
        sizeof(claimed))
        return io_error(err, ATLS_E_CONFIG, "--keep: the path is too long");
    if (rename(path, claimed) != 0)
        return io_error(err, ATLS_E_CONFIG, "%s: not there, or used already", path);
    json = read_json(claimed, "atls-enrol-keep", err);
    unlink(claimed);
    if (json == NULL)
        return err->code;
    snprintf(instance, 80, "%s",
             json_is_string(json_object_get(json, "instance"))
                 ? json_string_value(json_object_get(json, "instance"))
                 : "");
    code = get_bytes(path, json, "keep", out, err);
    json_decref(json);
    return code;
}

static enum cli_status say_enrolled(const struct cli *cli, const char *instance)
{
    if (cli_flag(cli, "json"))
        return cli_print_json(cli, stdout,
                              json_pack("{sb ss ss*}", "enrolled", 1, "instance", instance, "class",
                                        cli_value(cli, "class")));
    cli_say(cli, "enrolled: instance %s, class %s", instance, cli_value(cli, "class"));
    return CLI_YES;
}

static enum atls_code step_accept(const struct cli *cli, struct atls_err *err)
{
    const char *path = cli_operand(cli, 1);
    struct atls_buf keep = ATLS_BUF_INIT, secret = ATLS_BUF_INIT;
    struct atls_store *store = NULL;
    char instance[80] = "";
    json_t *json = read_json(path, "atls-enrol-answer", err);
    enum atls_code code = err->code;

    if (code == ATLS_OK && (code = get_bytes(path, json, "secret", &secret, err)) == ATLS_OK &&
        (code = atls_store_open(cli_value(cli, "store"), ATLS_STORE_WRITE, &store, err)) ==
            ATLS_OK &&
        (code = claim_keep(cli_value(cli, "keep"), &keep, instance, err)) == ATLS_OK) {
        const struct atls_enrol_answer answer = {.secret = atls_buf_bytes(&secret),
                                                 .class_uuid = cli_value(cli, "class"),
                                                 .vendor = cli_value(cli, "vendor"),
                                                 .model = cli_value(cli, "model")};

        code = atls_enrol_accept(store, &keep, &answer, err);
    }
    if (code == ATLS_OK)
        (void)say_enrolled(cli, instance);
    atls_store_close(store);
    atls_buf_clear(&secret);
    atls_buf_clear(&keep);
    json_decref(json);
    return code;
}

/* ---- certificates of the AIK ---- */

static enum atls_code write_chain(const char *path, struct atls_attester *attester,
                                  struct atls_err *err)
{
    size_t count = 0;
    const struct atls_bytes *chain = atls_attester_chain(attester, &count);
    BIO *bio = BIO_new(BIO_s_mem());
    bool good = bio != NULL;
    enum atls_code code;
    char *text;
    long len;

    for (size_t i = 0; i < count && good; i++)
        good = PEM_write_bio(bio, "CERTIFICATE", "", chain[i].ptr, (long)chain[i].len) > 0;
    len = good ? BIO_get_mem_data(bio, &text) : 0;
    code = len > 0 ? io_write_file(path, atls_bytes_of(text, (size_t)len), IO_PUBLIC, err)
                   : parts_tls_error(err, "certificate");
    BIO_free(bio);
    return code;
}

/* Fills in everything of a request but its signature. */
static bool describe_request(X509_REQ *request, struct atls_bytes spki, const char *name)
{
    const unsigned char *at = spki.ptr;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)spki.len);
    STACK_OF(X509_EXTENSION) *extensions = NULL;
    X509_EXTENSION *names = NULL;
    char san[300];
    bool good;

    snprintf(san, sizeof(san), "DNS:%s", name);
    good = key != NULL && X509_REQ_set_version(request, X509_REQ_VERSION_1) == 1 &&
           X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(request), "CN", MBSTRING_UTF8,
                                      (const unsigned char *)name, -1, -1, 0) == 1 &&
           X509_REQ_set_pubkey(request, key) == 1 &&
           (names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san)) != NULL &&
           X509v3_add_ext(&extensions, names, -1) != NULL &&
           X509_REQ_add_extensions(request, extensions) == 1;
    X509_EXTENSION_free(names);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    EVP_PKEY_free(key);
    return good;
}

/* The TPM signs what it is given: OpenSSL encodes, the attester signs. */
static enum atls_code sign_request(X509_REQ *request, struct atls_attester *attester,
                                   struct atls_err *err)
{
    static const struct {
        enum atls_signature scheme;
        int nid;
    } algorithms[] = {
        {ATLS_ECDSA_P256_SHA256, NID_ecdsa_with_SHA256},
        {ATLS_ECDSA_P384_SHA384, NID_ecdsa_with_SHA384},
        {ATLS_ED25519, NID_ED25519},
    };
    X509_ALGOR *algorithm = X509_ALGOR_new();
    ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();
    struct atls_buf signature = ATLS_BUF_INIT;
    unsigned char *tbs = NULL;
    int nid = NID_undef, len = 0;
    enum atls_code code;

    for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++)
        if (algorithms[i].scheme == atls_attester_aik_scheme(attester))
            nid = algorithms[i].nid;
    if (nid == NID_undef) {
        code = io_error(err, ATLS_E_UNSUPPORTED, "no certificate request for a key of this type");
    } else if (algorithm == NULL || bits == NULL ||
               X509_ALGOR_set0(algorithm, OBJ_nid2obj(nid), V_ASN1_UNDEF, NULL) != 1 ||
               X509_REQ_set1_signature_algo(request, algorithm) != 1 ||
               (len = i2d_re_X509_REQ_tbs(request, &tbs)) <= 0) {
        code = parts_tls_error(err, "certificate request");
    } else if ((code = atls_attester_sign(attester, atls_attester_aik_scheme(attester),
                                          atls_bytes_of(tbs, (size_t)len), &signature, err)) ==
               ATLS_OK) {
        if (ASN1_BIT_STRING_set(bits, signature.ptr, (int)signature.len) != 1)
            code = parts_tls_error(err, "certificate request");
        bits->flags = (bits->flags & ~7L) | ASN1_STRING_FLAG_BITS_LEFT; /* whole bytes */
        if (code == ATLS_OK) {
            X509_REQ_set0_signature(request, bits);
            bits = NULL;
        }
    }
    atls_buf_clear(&signature);
    OPENSSL_free(tbs);
    ASN1_BIT_STRING_free(bits);
    X509_ALGOR_free(algorithm);
    return code;
}

static enum atls_code write_request(const char *path, struct atls_attester *attester,
                                    const char *name, struct atls_err *err)
{
    X509_REQ *request = X509_REQ_new();
    BIO *bio = BIO_new(BIO_s_mem());
    enum atls_code code;
    char *text;
    long len = 0;

    if (request == NULL || bio == NULL ||
        !describe_request(request, atls_attester_aik_spki(attester), name))
        code = parts_tls_error(err, "certificate request");
    else
        code = sign_request(request, attester, err);
    if (code == ATLS_OK) {
        if (PEM_write_bio_X509_REQ(bio, request) == 1)
            len = BIO_get_mem_data(bio, &text);
        code = len > 0 ? io_write_file(path, atls_bytes_of(text, (size_t)len), IO_PUBLIC, err)
                       : parts_tls_error(err, "certificate request");
    }
    BIO_free(bio);
    X509_REQ_free(request);
    return code;
}

static enum atls_code write_certificates(const struct cli *cli, struct atls_err *err)
{
    const char *chain = cli_value(cli, "aik-cert-out"), *request = cli_value(cli, "csr-out");
    const char *name = cli_value(cli, "name");
    struct atls_attester *attester = NULL;
    enum atls_code code;

    if (chain == NULL && request == NULL)
        return ATLS_OK;
    if (request != NULL && name == NULL)
        return io_error(err, ATLS_E_CONFIG, "--csr-out needs --name");
    if ((code = parts_attester(cli, name, &attester, err)) == ATLS_OK &&
        (chain == NULL || (code = write_chain(chain, attester, err)) == ATLS_OK) && request != NULL)
        code = write_request(request, attester, name, err);
    atls_attester_unref(attester);
    return code;
}

/* ---- both halves here ---- */

static enum atls_code take_reference_values(const struct cli *cli, struct atls_tpm2_enrolment *tpm,
                                            const struct enrolment_class *machine,
                                            struct atls_err *err)
{
    const char *wanted = cli_value(cli, "reference-values"), *out = cli_value(cli, "corim-out");
    struct atls_store_import_report report;
    struct atls_buf manifest = ATLS_BUF_INIT;
    char id[120];
    enum atls_code code;

    if (wanted == NULL && out == NULL)
        return ATLS_OK;
    snprintf(id, sizeof(id), "enrolled/%s", machine->key_instance);
    code = enrolment_manifest(tpm, id, machine, &manifest, err);
    if (code == ATLS_OK && out != NULL)
        code = io_write_file(out, atls_buf_bytes(&manifest), IO_PUBLIC, err);
    if (code == ATLS_OK && wanted != NULL)
        code = atls_store_import_corim(machine->key_store, atls_buf_bytes(&manifest),
                                       atls_bytes_of(NULL, 0), (int64_t)time(NULL), &report, err);
    if (code == ATLS_OK && wanted != NULL)
        cli_say(cli, "manifest %s: %zu reference values", report.manifest_id,
                report.reference_values);
    atls_buf_clear(&manifest);
    return code;
}

static enum cli_status run_whole(struct cli *cli)
{
    char instance[80] = "";
    struct enrolment_class machine = {.uuid = cli_value(cli, "class"),
                                      .vendor = cli_value(cli, "vendor"),
                                      .model = cli_value(cli, "model"),
                                      .key_instance = instance,
                                      .instance_form = cli_value(cli, "corim-key")};
    struct atls_tpm2_enrolment *tpm = NULL;
    struct atls_store *store = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code;

    if (!cli_need(cli, (const char *const[]){"attester", "store", "class", NULL}))
        return CLI_USAGE;
    if (cli_value(cli, "reference-values") != NULL &&
        strcmp(cli_value(cli, "reference-values"), "now") != 0)
        return cli_usage(cli, "--reference-values is \"%s\", want now",
                         cli_value(cli, "reference-values"));
    if (machine.instance_form != NULL && strcmp(machine.instance_form, "ueid") != 0 &&
        strcmp(machine.instance_form, "bytes") != 0)
        return cli_usage(cli, "--corim-key is \"%s\", want ueid or bytes", machine.instance_form);
    if (machine.instance_form != NULL && cli_value(cli, "corim-out") == NULL)
        return cli_usage(cli, "--corim-key wants --corim-out: nothing else has that key");
    if ((code = atls_store_open(cli_value(cli, "store"), ATLS_STORE_WRITE, &store, &err)) ==
            ATLS_OK &&
        (code = open_tpm(cli, &tpm, &err)) == ATLS_OK &&
        (!cli_flag(cli, "persist") || (code = atls_tpm2_enrolment_persist(tpm, &err)) == ATLS_OK) &&
        (code = enrolment_run(tpm, store, &machine, cli_flag(cli, "allow-untrusted-ek"), instance,
                              &err)) == ATLS_OK) {
        machine.key_store = store;
        code = take_reference_values(cli, tpm, &machine, &err);
    }
    /* The attester below needs the TPM for itself. */
    atls_tpm2_enrolment_close(tpm);
    atls_store_close(store);
    if (code == ATLS_OK)
        code = write_certificates(cli, &err);
    return code == ATLS_OK ? say_enrolled(cli, instance) : cli_fail_peer(cli, &err);
}

static const struct step {
    const char *name;
    bool takes_file;
    const char *needs[4];
    enum atls_code (*run)(const struct cli *cli, struct atls_err *err);
} steps[] = {
    {"request", false, {"attester", NULL}, step_request},
    {"challenge", true, {"store", "out", "keep", NULL}, step_challenge},
    {"answer", true, {"attester", NULL}, step_answer},
    {"accept", true, {"keep", "store", "class", NULL}, step_accept},
};

static enum cli_status run(struct cli *cli)
{
    const char *verb = cli_operand(cli, 0);
    struct atls_err err = ATLS_ERR_INIT;

    if (verb == NULL)
        return run_whole(cli);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (strcmp(verb, steps[i].name) != 0)
            continue;
        if (!cli_need(cli, steps[i].needs))
            return CLI_USAGE;
        if (steps[i].takes_file != (cli_operand(cli, 1) != NULL))
            return cli_usage(cli, "%s %s a file", verb, steps[i].takes_file ? "takes" : "takes no");
        return steps[i].run(cli, &err) == ATLS_OK ? CLI_YES : cli_fail_peer(cli, &err);
    }
    return cli_usage(cli, "want request, challenge, answer or accept");
}

const struct command command_enrol = {
    "enrol", "have a verifier trust a TPM's attestation key", usage, 2, run, NULL};
