#include "demo_lab.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "io.h"
#include "parts.h"

#define START_TIMEOUT_MS 10000
#define REMOVE_DEPTH_MAX 4

void lab_path(const struct lab *lab, const char *name, char out[LAB_PATH])
{
    char text[LAB_PATH]; /* out may be part of the lab */

    snprintf(text, sizeof(text), "%s/%s", lab->dir, name);
    memcpy(out, text, sizeof(text));
}

static enum atls_code write_text(const struct lab *lab, const char *name, const char *text,
                                 struct atls_err *err)
{
    char path[LAB_PATH];

    lab_path(lab, name, path);
    return io_write_file(path, atls_bytes_of(text, strlen(text)), IO_PUBLIC, err);
}

/* ---- processes ---- */

/* In the child: does not return. */
static void become(const char *const argv[], const char *log, int out_fd)
{
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);

    if (fd < 0 || dup2(out_fd >= 0 ? out_fd : fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
        _exit(126);
    /* exec takes what it does not change without const. */
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

enum atls_code lab_spawn(const struct lab *lab, const char *const argv[], pid_t *out, int *out_fd,
                         struct atls_err *err)
{
    int ends[2] = {-1, -1};
    char log[LAB_PATH];
    pid_t pid;

    lab_path(lab, "programs.log", log);
    if (out_fd != NULL && (pipe(ends) != 0 || fcntl(ends[0], F_SETFD, FD_CLOEXEC) != 0 ||
                           fcntl(ends[1], F_SETFD, FD_CLOEXEC) != 0))
        return io_error(err, ATLS_E_IO, "pipe: %s", strerror(errno));
    pid = fork();
    if (pid == 0)
        become(argv, log, ends[1]);
    if (ends[1] >= 0)
        close(ends[1]);
    if (pid < 0) {
        if (ends[0] >= 0)
            close(ends[0]);
        return io_error(err, ATLS_E_IO, "fork: %s", strerror(errno));
    }
    if (out_fd != NULL)
        *out_fd = ends[0];
    *out = pid;
    return ATLS_OK;
}

void lab_last_words(const struct lab *lab, char out[LAB_PATH])
{
    char path[LAB_PATH], line[LAB_PATH];
    FILE *file;

    lab_path(lab, "programs.log", path);
    out[0] = '\0';
    if ((file = fopen(path, "r")) == NULL)
        return;
    while (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] != '\0')
            memcpy(out, line, sizeof(line));
    }
    fclose(file);
}

enum atls_code lab_run(const struct lab *lab, const char *const argv[], struct atls_err *err)
{
    char words[LAB_PATH];
    pid_t pid;
    int status;
    enum atls_code code = lab_spawn(lab, argv, &pid, NULL, err);

    if (code != ATLS_OK)
        return code;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return io_error(err, ATLS_E_IO, "waitpid: %s", strerror(errno));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return io_error(err, ATLS_E_DEVICE, "%s is not installed", argv[0]);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return ATLS_OK;
    lab_last_words(lab, words);
    return io_error(err, ATLS_E_DEVICE, "%s failed: %s", argv[0], words);
}

void lab_find_program(const char *program, const char *variable, char out[LAB_PROGRAM])
{
    const char *named = getenv(variable);
    char self[LAB_PROGRAM];
    size_t room = sizeof(self) - strlen(program) - 1;
    ssize_t len = readlink("/proc/self/exe", self, room);
    char *slash;

    snprintf(out, LAB_PROGRAM, "%s", named != NULL ? named : program);
    if (named != NULL || len <= 0)
        return;
    self[len] = '\0';
    if ((slash = strrchr(self, '/')) == NULL)
        return;
    memcpy(slash + 1, program, strlen(program) + 1);
    if (access(self, X_OK) == 0)
        snprintf(out, LAB_PROGRAM, "%s", self);
}

/* ---- TPMs ---- */

/* The TPM maker's CA lives in the lab, not where the system keeps its own. */
static enum atls_code configure_maker(const struct lab *lab, struct atls_err *err)
{
    char text[1024], path[LAB_PATH];
    enum atls_code code;

    lab_path(lab, "maker", path);
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return io_error(err, ATLS_E_IO, "mkdir %s: %s", path, strerror(errno));
    snprintf(text, sizeof(text),
             "statedir = %s/maker\nsigningkey = %s/maker/signkey.pem\n"
             "issuercert = %s/maker/issuercert.pem\ncertserial = %s/maker/certserial\n",
             lab->dir, lab->dir, lab->dir, lab->dir);
    if ((code = write_text(lab, "maker.conf", text, err)) != ATLS_OK ||
        (code = write_text(lab, "maker.options",
                           "--platform-manufacturer atls\n--platform-version 1\n"
                           "--platform-model demo\n",
                           err)) != ATLS_OK)
        return code;
    snprintf(text, sizeof(text),
             "create_certs_tool = swtpm_localca\ncreate_certs_tool_config = %s/maker.conf\n"
             "create_certs_tool_options = %s/maker.options\nactive_pcr_banks = sha256\n",
             lab->dir, lab->dir);
    return write_text(lab, "setup.conf", text, err);
}

enum atls_code lab_start_tpm(struct lab *lab, int device, struct atls_err *err)
{
    struct lab_device *d = &lab->devices[device];
    char state[2 * LAB_PATH], server[2 * LAB_PATH], control[2 * LAB_PATH], number[16];
    char words[LAB_PATH];
    const char *const argv[] = {"swtpm",
                                "socket",
                                "--tpm2",
                                "--tpmstate",
                                state,
                                "--flags",
                                "not-need-init,startup-clear",
                                "--server",
                                server,
                                "--ctrl",
                                control,
                                NULL};
    int64_t deadline = io_now_ms() + START_TIMEOUT_MS;
    enum atls_code code;

    snprintf(number, sizeof(number), "tpm%d", device);
    snprintf(state, sizeof(state), "dir=%s/%s", lab->dir, number);
    snprintf(server, sizeof(server), "type=unixio,path=%s", d->socket);
    snprintf(control, sizeof(control), "type=unixio,path=%s.ctrl", d->socket);
    unlink(d->socket);
    if ((code = lab_spawn(lab, argv, &d->pid, NULL, err)) != ATLS_OK)
        return code;
    while (access(d->socket, F_OK) != 0) {
        int status;

        if (waitpid(d->pid, &status, WNOHANG) == d->pid) {
            d->pid = 0;
            lab_last_words(lab, words);
            return io_error(err, ATLS_E_DEVICE, "swtpm did not start: %s", words);
        }
        if (io_now_ms() > deadline)
            return io_error(err, ATLS_E_DEVICE, "swtpm does not listen after %d s",
                            START_TIMEOUT_MS / 1000);
        poll(NULL, 0, 10);
    }
    return ATLS_OK;
}

void lab_stop_device(struct lab *lab, int device)
{
    struct lab_device *d = &lab->devices[device];

    if (d->pid == 0)
        return;
    kill(d->pid, SIGTERM);
    while (waitpid(d->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    d->pid = 0;
    if (d->socket[0] != '\0')
        unlink(d->socket);
}

enum atls_code lab_make_tpm(struct lab *lab, int device, struct atls_err *err)
{
    struct lab_device *d = &lab->devices[device];
    char name[16], state[LAB_PATH], config[LAB_PATH], socket[LAB_PATH];
    const char *const argv[] = {
        "swtpm_setup", "--tpm2", "--tpmstate",      state, "--create-ek-cert", "--lock-nvram",
        "--config",    config,   "--not-overwrite", NULL};
    enum atls_code code;

    snprintf(name, sizeof(name), "tpm%d", device);
    lab_path(lab, name, state);
    lab_path(lab, "setup.conf", config);
    snprintf(name, sizeof(name), "tpm%d.sock", device);
    lab_path(lab, name, socket);
    if ((size_t)snprintf(d->socket, sizeof(d->socket), "%s", socket) >= sizeof(d->socket))
        return io_error(err, ATLS_E_CONFIG, "%s: too long for a socket", socket);
    snprintf(d->uri, sizeof(d->uri), "tpm2:swtpm:path=%s?ak=0x81010002&aik=0x81010003", socket);
    if (mkdir(state, 0700) != 0)
        return io_error(err, ATLS_E_IO, "mkdir %s: %s", state, strerror(errno));
    if ((code = configure_maker(lab, err)) != ATLS_OK ||
        (code = lab_run(lab, argv, err)) != ATLS_OK)
        return code;
    return lab_start_tpm(lab, device, err);
}

enum atls_code lab_extend_pcr(struct lab *lab, int device, uint32_t pcr, struct atls_err *err)
{
    /* TPM2_PCR_Extend (TPM 2.0 Library Part 3, 22.2) with an empty password. */
    uint8_t command[65] = {
        0x80, 0x02, 0, 0, 0,    65,   0, 0, 0x01, 0x82, 0, 0, 0, 0, /* header, PCR */
        0,    0,    0, 9, 0x40, 0,    0, 9, 0,    0,    0, 0, 0,    /* password session */
        0,    0,    0, 1, 0,    0x0b,                               /* one digest, SHA-256 */
    };
    static const uint8_t success[4] = {0, 0, 0, 0};
    struct io_address address = {"", "", ""};
    struct pollfd fd = {.events = POLLIN};
    uint8_t response[64];
    ssize_t got;
    enum atls_code code;

    command[13] = (uint8_t)pcr;
    memset(command + 33, 0x5a, 32);
    snprintf(address.path, sizeof(address.path), "%s", lab->devices[device].socket);
    if ((code = io_connect(&address, START_TIMEOUT_MS, &fd.fd, err)) != ATLS_OK)
        return code;
    got = write(fd.fd, command, sizeof(command));
    if (got == (ssize_t)sizeof(command) && poll(&fd, 1, START_TIMEOUT_MS) == 1)
        got = read(fd.fd, response, sizeof(response));
    close(fd.fd);
    if (got < 10 || memcmp(response + 6, success, sizeof(success)) != 0)
        return io_error(err, ATLS_E_DEVICE, "TPM2_PCR_Extend failed");
    return ATLS_OK;
}

enum atls_code lab_maker_anchors(const struct lab *lab, struct atls_buf *out, struct atls_err *err)
{
    static const char *const names[] = {"maker/issuercert.pem",
                                        "maker/swtpm-localca-rootca-cert.pem"};
    struct atls_buf files[2] = {ATLS_BUF_INIT, ATLS_BUF_INIT};
    enum atls_code code = ATLS_OK;
    char path[LAB_PATH];

    for (size_t i = 0; i < 2 && code == ATLS_OK; i++) {
        lab_path(lab, names[i], path);
        code = io_read_file(path, &files[i], err);
    }
    if (code == ATLS_OK && (out->ptr = malloc(files[0].len + files[1].len)) == NULL)
        code = io_error(err, ATLS_E_NOMEM, "anchors: out of memory");
    if (code == ATLS_OK) {
        memcpy(out->ptr, files[0].ptr, files[0].len);
        memcpy(out->ptr + files[0].len, files[1].ptr, files[1].len);
        out->len = files[0].len + files[1].len;
    }
    atls_buf_clear(&files[0]);
    atls_buf_clear(&files[1]);
    return code;
}

/* ---- certificates ---- */

static bool add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;
    bool added;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    added = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

/* issuer NULL: self-signed CA. */
static X509 *make_certificate(X509 *issuer, EVP_PKEY *issuer_key, EVP_PKEY *key, const char *name,
                              int not_after_days)
{
    X509 *certificate = X509_new();
    X509_NAME *subject = certificate != NULL ? X509_get_subject_name(certificate) : NULL;
    int64_t serial = 0;
    char san[80];
    bool good;

    snprintf(san, sizeof(san), "DNS:%s", name);
    good = subject != NULL && RAND_bytes((unsigned char *)&serial, 7) == 1 &&
           X509_set_version(certificate, X509_VERSION_3) == 1 &&
           ASN1_INTEGER_set_int64(X509_get_serialNumber(certificate), serial) == 1 &&
           X509_time_adj_ex(X509_getm_notBefore(certificate), -30, 0, NULL) != NULL &&
           X509_time_adj_ex(X509_getm_notAfter(certificate), not_after_days, 0, NULL) != NULL &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1,
                                      -1, 0) == 1 &&
           X509_set_issuer_name(certificate,
                                issuer != NULL ? X509_get_subject_name(issuer) : subject) == 1 &&
           X509_set_pubkey(certificate, key) == 1;
    if (good && issuer == NULL)
        good = add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE") &&
               add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign") &&
               add_extension(certificate, certificate, NID_subject_key_identifier, "hash");
    else if (good)
        good = add_extension(certificate, issuer, NID_subject_alt_name, san) &&
               add_extension(certificate, issuer, NID_key_usage, "critical,digitalSignature") &&
               add_extension(certificate, issuer, NID_authority_key_identifier, "keyid");
    if (good && X509_sign(certificate, issuer_key, EVP_sha256()) > 0)
        return certificate;
    X509_free(certificate);
    return NULL;
}

static enum atls_code write_certificate(const char *path, X509 *certificate, struct atls_err *err)
{
    FILE *file = fopen(path, "w");
    bool good = file != NULL && PEM_write_X509(file, certificate) == 1;

    if (file != NULL && fclose(file) != 0)
        good = false;
    return good ? ATLS_OK : io_error(err, ATLS_E_IO, "write %s", path);
}

enum atls_code lab_write_key(const char *path, EVP_PKEY *key, struct atls_err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    bool good =
        file != NULL && PEM_write_PKCS8PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1;

    if (file != NULL && fclose(file) != 0)
        good = false;
    return good ? ATLS_OK : io_error(err, ATLS_E_IO, "write %s", path);
}

enum atls_code lab_issue(const struct lab *lab, const struct lab_certificate *spec,
                         const char *path, struct atls_err *err)
{
    const unsigned char *at = spec->spki.ptr;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)spec->spki.len);
    EVP_PKEY *other_key = spec->other_ca ? EVP_EC_gen("P-256") : NULL;
    X509 *other =
        other_key != NULL ? make_certificate(NULL, other_key, other_key, "Other CA", 30) : NULL;
    X509 *certificate = NULL;
    enum atls_code code;

    if (key != NULL && spec->other_ca == (other != NULL))
        certificate = make_certificate(spec->other_ca ? other : lab->ca,
                                       spec->other_ca ? other_key : lab->ca_key, key, spec->name,
                                       spec->not_after_days);
    code = certificate != NULL ? write_certificate(path, certificate, err)
                               : parts_tls_error(err, "certificate");
    X509_free(certificate);
    X509_free(other);
    EVP_PKEY_free(other_key);
    EVP_PKEY_free(key);
    return code;
}

static enum atls_code make_identity_ca(struct lab *lab, struct atls_err *err)
{
    char path[LAB_PATH];
    enum atls_code code;

    lab->ca_key = EVP_EC_gen("P-256");
    lab->tls_key = EVP_EC_gen("P-256");
    if (lab->ca_key == NULL || lab->tls_key == NULL)
        return parts_tls_error(err, "keys");
    lab->ca = make_certificate(NULL, lab->ca_key, lab->ca_key, "atls demo CA", 30);
    if (lab->ca != NULL)
        lab->tls = make_certificate(lab->ca, lab->ca_key, lab->tls_key, LAB_SERVER, 30);
    if (lab->tls == NULL)
        return parts_tls_error(err, "certificates");
    lab_path(lab, "ca.pem", path);
    if ((code = write_certificate(path, lab->ca, err)) != ATLS_OK)
        return code;
    return io_read_file(path, &lab->anchors, err);
}

/* ---- the whole ---- */

enum atls_code lab_open(struct lab *lab, struct atls_err *err)
{
    const char *parent = getenv("TMPDIR");

    *lab = (struct lab){.devices = {{.name = LAB_SERVER}, {.name = LAB_CLIENT}}};
    /* A socket's path may have 107 bytes. */
    if (parent == NULL || parent[0] != '/' || strlen(parent) > 40)
        parent = "/tmp";
    snprintf(lab->dir, sizeof(lab->dir), "%s/atls-demo.XXXXXX", parent);
    if (mkdtemp(lab->dir) == NULL) {
        enum atls_code code = io_error(err, ATLS_E_IO, "mkdtemp %s: %s", lab->dir, strerror(errno));

        lab->dir[0] = '\0';
        return code;
    }
    lab_path(lab, "store.db", lab->store);
    return make_identity_ca(lab, err);
}

/* Removes a directory and what it holds; depth is bounded because the lab's own is. */
static void remove_tree(const char *path, int depth)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    char child[512];

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            (size_t)snprintf(child, sizeof(child), "%s/%s", path, entry->d_name) >= sizeof(child))
            continue;
        if (unlink(child) != 0 && depth < REMOVE_DEPTH_MAX)
            remove_tree(child, depth + 1);
    }
    if (dir != NULL)
        closedir(dir);
    (void)rmdir(path);
}

void lab_clear(struct lab *lab)
{
    for (int i = 0; i < LAB_DEVICES; i++)
        lab_stop_device(lab, i);
    X509_free(lab->tls);
    X509_free(lab->ca);
    EVP_PKEY_free(lab->tls_key);
    EVP_PKEY_free(lab->ca_key);
    atls_buf_clear(&lab->anchors);
    if (lab->dir[0] != '\0')
        remove_tree(lab->dir, 0);
    *lab = (struct lab){.dir = ""};
}
