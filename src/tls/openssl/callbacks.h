/* Callbacks of contexts whose flavour attests inside of the handshake. */
#ifndef ATLS_TLS_OPENSSL_CALLBACKS_H
#define ATLS_TLS_OPENSSL_CALLBACKS_H

#include "tls/openssl/flavour.h"

/* The hooks of a flavour; NULL: post, or one that this build has not got. */
const struct atls_flavour_hooks *atls_flavour_hooks_of(enum atls_flavour flavour);
/* Has the SSL shut when its handshake ends, also when the program set a state callback on it. */
void atls_callbacks_watch(SSL *ssl);
/* Opens the SSL that was shut since its handshake ended. */
void atls_callbacks_open(struct atls_handshake *h);
/* The key log callback that the program had set on ssl's context before it was prepared, or NULL.
 */
SSL_CTX_keylog_cb_func atls_callbacks_keylog(const SSL *ssl);
/* The configuration that ctx was prepared for (borrowed), or NULL. */
struct atls_config *atls_callbacks_config(const SSL_CTX *ctx);
/* What OpenSSL's verification mode must have at least for a configuration with require_peer. */
int atls_callbacks_verify_mode(const struct atls_config *config);
/* Says in OpenSSL's error queue that the SSL has no state. */
void atls_callbacks_not_attached(void);
/* Registers the callbacks of every such flavour, and keeps a reference to config with ctx. */
ATLS_MUST_CHECK enum atls_code atls_callbacks_set(SSL_CTX *ctx, struct atls_config *config,
                                                  struct atls_err *err);

#endif
