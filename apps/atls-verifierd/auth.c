/* Who may provision: a bearer token (RFC 6750) or a client certificate, as the tenant lists them.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "file.h"
#include "log.h"
#include "request.h"

#define TOKEN_MIN 22 /* 128 bits in base64 */
#define TOKEN_MAX 1024

/* b64token of RFC 6750 section 2.1. */
static bool is_token(const char *text, size_t len)
{
    size_t n = 0;

    while (n < len && ((text[n] >= 'a' && text[n] <= 'z') || (text[n] >= 'A' && text[n] <= 'Z') ||
                       (text[n] >= '0' && text[n] <= '9') || memchr("-._~+/", text[n], 6) != NULL))
        n++;
    while (n > 0 && n < len && text[n] == '=')
        n++;
    return n == len;
}

static bool sha256_of(const char *text, size_t len, uint8_t out[32])
{
    unsigned n = 0;

    return EVP_Digest(text, len, out, &n, EVP_sha256(), NULL) == 1 && n == 32;
}

enum atls_code auth_load_token(const char *path, uint8_t sha256[32], struct atls_err *err)
{
    struct atls_buf file = ATLS_BUF_INIT;
    enum atls_code code = file_read(path, FILE_SECRET, TOKEN_MAX + 1, &file, err);
    size_t len = file.len;

    if (code != ATLS_OK)
        return code;
    if (len > 0 && file.ptr[len - 1] == '\n')
        len--;
    if (len < TOKEN_MIN || len > TOKEN_MAX || !is_token((const char *)file.ptr, len))
        code = set_error(err, ATLS_E_CONFIG,
                         "%.100s: want one token of %d to %d letters, digits and -._~+/", path,
                         TOKEN_MIN, TOKEN_MAX);
    else if (!sha256_of((const char *)file.ptr, len, sha256))
        code = set_error(err, ATLS_E_CRYPTO, "%.100s: SHA-256 failed", path);
    atls_buf_clear(&file);
    return code;
}

static void log_refusal(const struct request *r, const char *why)
{
    struct log_line line;

    log_begin(&line, ATLS_LOG_WARNING, "authentication");
    log_field(&line, "request", r->id);
    log_field(&line, "tenant", r->tenant->config->name);
    log_field(&line, "client", r->client);
    log_field(&line, "explanation", why);
    log_end(&line);
}

static void challenge(struct request *r, struct reply *reply, const char *error, const char *why)
{
    reply_header(reply, "WWW-Authenticate", "Bearer realm=\"%s\"%s%s%s", r->tenant->config->name,
                 error != NULL ? ", error=\"" : "", error != NULL ? error : "",
                 error != NULL ? "\"" : "");
    reply_problem(r, reply, 401, "%s", why);
    log_refusal(r, why);
}

/* Looks through all of them, whichever fits. */
static const char *match_token(const struct tenant *t, const char *text, size_t len)
{
    const char *name = NULL;
    uint8_t digest[32];

    if (len > TOKEN_MAX || !is_token(text, len) || !sha256_of(text, len, digest))
        return NULL;
    for (size_t i = 0; i < t->token_count; i++)
        if (CRYPTO_memcmp(digest, t->tokens[i].sha256, sizeof digest) == 0)
            name = t->tokens[i].name;
    OPENSSL_cleanse(digest, sizeof digest);
    return name;
}

static bool check_bearer(struct request *r, struct reply *reply)
{
    const char *text = r->authorization, *name;
    size_t scheme = strcspn(text, " ");

    if (scheme != 6 || strncasecmp(text, "Bearer", 6) != 0 || text[6] == '\0') {
        challenge(r, reply, "invalid_request", "Authorization: want a bearer token");
        return false;
    }
    text += 6 + strspn(text + 6, " ");
    if ((name = match_token(r->tenant, text, strlen(text))) == NULL) {
        challenge(r, reply, "invalid_token", "Authorization: unknown token");
        return false;
    }
    snprintf(r->who, sizeof r->who, "token:%s", name);
    return true;
}

static const char *match_client(const struct config_provisioning *p, const struct peer *peer)
{
    for (size_t i = 0; i < p->client_count; i++) {
        const struct config_client *c = &p->clients[i];

        if (c->subject != NULL ? strcmp(c->subject, peer->subject) == 0
                               : CRYPTO_memcmp(c->spki_sha256, peer->spki_sha256, 32) == 0)
            return c->name;
    }
    return NULL;
}

static bool check_certificate(struct request *r, struct reply *reply)
{
    const struct config_provisioning *p = &r->tenant->config->provisioning;
    struct peer peer = {.present = false};
    const char *name;
    char why[256];

    if (r->get_peer != NULL && p->client_count > 0)
        r->get_peer(r->peer_arg, &peer);
    if (!peer.present) {
        challenge(r, reply, NULL, "provisioning needs a bearer token or a client certificate");
        return false;
    }
    if (!peer.verified) {
        snprintf(why, sizeof why, "client certificate: %s", peer.problem);
        challenge(r, reply, NULL, why);
        return false;
    }
    if ((name = match_client(p, &peer)) == NULL) {
        snprintf(why, sizeof why, "client certificate: %.150s is none of this tenant's",
                 peer.subject);
        reply_problem(r, reply, 403, "client certificate: not one of this tenant's");
        log_refusal(r, why);
        return false;
    }
    snprintf(r->who, sizeof r->who, "certificate:%s", name);
    return true;
}

bool auth_provisioner(struct request *r, struct reply *reply)
{
    return r->authorization != NULL ? check_bearer(r, reply) : check_certificate(r, reply);
}
