/* The configuration file, atls-verifierd.yaml(5). Reading it opens nothing that it names; texts
 * live as long as the configuration. Immutable once read. */
#ifndef VERIFIERD_CONFIG_H
#define VERIFIERD_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <atls/bytes.h>
#include <atls/ear.h>

#include "listen.h"
#include "rules.h"

#define CONFIG_LISTENERS_MAX 16
#define CONFIG_TENANTS_MAX   64
#define CONFIG_CLIENTS_MAX   64 /* tokens, and certificates, of one tenant */
#define CONFIG_FILES_MAX     16

enum config_serve { SERVE_ALL = 0, SERVE_API = 1, SERVE_OPERATION = 2 };

struct config_listener {
    size_t line;
    const char *address; /* as written */
    struct listen_at listen;
    const char *certificate, *key, *client_ca;
    bool insecure;
    int serve; /* enum config_serve */
};

struct config_token {
    size_t line;
    const char *name, *file;
};

struct config_client {
    size_t line;
    const char *name, *subject, *spki;
    uint8_t spki_sha256[32];
};

struct config_provisioning {
    size_t line; /* 0: there is none, nobody may */
    const char *anchors[CONFIG_FILES_MAX];
    size_t anchor_count;
    const char *signer_key;
    bool allow_unsigned;
    struct config_token tokens[CONFIG_CLIENTS_MAX];
    size_t token_count;
    struct config_client clients[CONFIG_CLIENTS_MAX];
    size_t client_count;
};

struct config_tenant {
    size_t line;
    const char *name, *prefix, *store, *policy;
    const char *schema; /* of PostgreSQL; NULL: the library's */
    int64_t connections;
    const char *profile; /* NULL: the library's */
    int form;            /* enum atls_ear_form; 0: the library's */
    int64_t lifetime_s;
    bool allow_insecure_technology, allow_sha1_pcr_bank, allow_unsafe_clock, require_ak_eku,
        allow_ima_violations;
    /* "name=value", NULL-terminated; its own. */
    char *rules[RULES_MAX + 1];
    size_t rule_count;
    /* Services to fetch what makers publish from, or NULL. */
    const char *collateral_amd, *collateral_intel, *collateral_intel_root_crl, *collateral_ca_file;
    int64_t session_ttl_s, sessions_max, nonce_size;
    int nonce_encoding; /* enum base64_form */
    struct config_provisioning provisioning;
};

struct config_limits {
    int64_t body, bodies; /* bytes: of one, of all that are being received */
    int64_t header;       /* bytes of all headers of a request */
    int64_t connections, connections_per_client;
    int64_t rate, burst; /* requests a second of one client; 0: no limit */
    int64_t request_timeout_s, idle_timeout_s;
};

struct tree_node;

struct config {
    struct tree_node *tree; /* texts above are its */
    const char *file;
    struct config_listener listeners[CONFIG_LISTENERS_MAX];
    size_t listener_count;
    struct config_tenant tenants[CONFIG_TENANTS_MAX];
    size_t tenant_count;
    struct config_limits limits;
    int64_t threads; /* 0: one a core */
    int log_json;    /* 1 or 0 */
    int log_level;   /* enum atls_log_level */
    int64_t drain_timeout_s, drain_delay_s, discovery_max_age_s;
};

/* Reads text; file names it in messages and is borrowed. Errors: ATLS_E_CONFIG with
 * "FILE:LINE: rule", ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code config_parse(const char *file, struct atls_bytes text,
                                            struct config **out, struct atls_err *err);
/* The same from the file, at most 256 KiB. */
ATLS_MUST_CHECK enum atls_code config_load(const char *file, struct config **out,
                                           struct atls_err *err);
void config_free(struct config *config); /* NULL is fine */

#endif
