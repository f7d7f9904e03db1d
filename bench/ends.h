/* Two TLS ends in memory, and what attests and appraises between them: software, as slow as the
 * bench says. Everything here ends the program on failure. */
#ifndef ATLS_BENCH_ENDS_H
#define ATLS_BENCH_ENDS_H

#include <openssl/ssl.h>

#include <atls/config.h>
#include <atls/session.h>

_Noreturn void bench_die(const char *what, const struct atls_err *err);

struct ends {
    SSL_CTX *client_ctx, *server_ctx;
    SSL *client, *server;
    struct atls_config *client_config, *server_config;
};

void ends_contexts(struct ends *e);
/* A fresh connection, both sides done. */
void ends_handshake(struct ends *e);
void ends_drop(struct ends *e);

/* The attested part, over sessions so that nothing waits. */
struct atls_session *ends_session(SSL *ssl, struct atls_config *config, const char *name);

struct ends_parts {
    struct atls_attester *attester;
    struct atls_verifier *verifier;
    struct atls_policy *policy;
};

/* Writes a platform key to a file and enrols its public half in a new store, as an operator would.
 */
void ends_enrol(const char *key_path, const char *store_path);
/* In a directory that has both already: platform.pem and store.db. */
void ends_parts_load(struct ends_parts *p, const char *dir, const char *options);
/* In an empty directory; options of the software attester, "" or "?name=value". */
void ends_parts_open(struct ends_parts *p, const char *dir, const char *options);
/* Removes the directory, too. */
void ends_parts_close(struct ends_parts *p, const char *dir);

struct atls_config *ends_relying_party(struct atls_verifier *verifier, struct atls_policy *policy,
                                       struct atls_attester *attester);
struct atls_config *ends_attester_only(struct atls_attester *attester);

#endif
