/* The configuration of atls-proxy, atls-proxy.yaml(5). Reading it opens nothing that it names;
 * texts live as long as the configuration. Immutable once read, share freely.
 *
 * A route connects clients that come in at its listeners (downstream) with its target (upstream).
 * Each side is either plain, or attested TLS as a struct config_side says. Routes may share a
 * listener; then the ClientHello picks one. */
#ifndef PROXY_CONFIG_H
#define PROXY_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include <atls/bytes.h>
#include <atls/config.h>
#include <atls/log.h>

#include "address.h"
#include "listen.h"
#include "rules.h"
#include "schema.h"

#define CONFIG_FILE_DEFAULT "/etc/atls/proxy.yaml"

#define CONFIG_ROUTES_MAX    256
#define CONFIG_LISTENERS_MAX 256 /* of all routes */
#define CONFIG_SHARE_MAX     64  /* routes at one listener, listeners of one route */
#define CONFIG_NAMED_MAX     64  /* attesters; verifiers; policies */
#define CONFIG_NETWORKS_MAX  64

struct config_attester {
    size_t line;
    const char *name, *uri;
    const char *certificate, *endorsements; /* files, or NULL */
    struct schema_texts dns_names;          /* in a self-signed certificate */
    bool insecure;                          /* uri is soft: */
    /* Results to show instead of evidence. */
    struct {
        size_t line;                   /* 0: none */
        const char *url;               /* of the service */
        const char *known_as;          /* as written, or NULL */
        const char *ca, *result_keys;  /* files, or NULL */
        int64_t timeout_s, lifetime_s; /* 0: the library's */
        bool only;                     /* never evidence itself */
        char verifier[256];            /* how flavour intra calls the Verifier; "": no name */
    } passport;
};

struct config_verifier {
    size_t line;
    const char *name, *uri;
    const char *ca, *result_keys; /* files, or NULL */
    int64_t max_age_s, timeout_s; /* 0: the library's */
    bool fresh_result, insecure;
    bool allow_sha1_pcr_bank, allow_unsafe_clock, allow_ima_violations, require_ak_eku;
    char *rules[RULES_MAX + 1]; /* "name=value", NULL-terminated; its own */
    size_t rule_count;
    char *collateral[4]; /* "maker=URL", the same */
    size_t collateral_count;
    bool takes_results;   /* uri is passport: */
    const char *known_as; /* as written, or NULL */
    char accepted[256];   /* how flavour intra calls it; "": no name */
};

struct config_policy {
    size_t line;
    const char *name, *file; /* a jq program */
};

/* Whether a peer may go without. */
enum config_presence {
    CONFIG_PRESENCE_REQUIRED = 0,
    CONFIG_PRESENCE_OPTIONAL, /* who shows nothing passes as not attested */
};

/* What the peer must show. */
struct config_require {
    size_t line; /* 0: nothing */
    enum config_presence presence;
    const struct config_verifier *verifier;
    const struct config_policy *policy; /* NULL: the built-in one */
    enum atls_identity identity;
    struct schema_texts evidence_types, profiles; /* none: the library's */
};

struct config_tls {
    size_t line;
    const char *certificate, *key; /* PEM files; NULL: the attester's, an ephemeral one, or none */
    bool ephemeral;                /* a key that lives as long as the process */
    const char *ca, *crl;          /* PEM files; ca NULL: upstream the system's, else nobody */
    const char *name; /* upstream: of the server, for SNI and for its certificate; set wherever one
                         is checked. Downstream: NULL */
};

/* An attested end: one struct atls_config and one TLS context. */
struct config_side {
    size_t line; /* 0: this end is plain */
    enum atls_flavour flavour;
    enum atls_freshness freshness;
    bool raw, secret_binder;
    int64_t extension_type;                 /* 0: the library's */
    const struct config_attester *attester; /* NULL: we show nothing */
    bool require_self;                      /* a peer that does not ask for it is refused */
    struct config_require require;
    struct config_tls tls;
    struct schema_texts alpn;    /* post: behind the gate; intra, pre: of TLS. None: no protocol */
    int64_t reattest_interval_s; /* 0: on demand only */
    enum atls_on_failure on_failure;
    int64_t certificate_lifetime_s; /* pre; 0: the library's */
    int64_t certificate_max_age_s;  /* pre, of the peer's; 0: the library's */
};

/* IPv4 is kept as mapped to IPv6. */
struct config_network {
    uint8_t address[16];
    unsigned bits; /* 0 to 128 */
};

/* What HTTP headers may tell of the downstream peer. */
enum config_header {
    CONFIG_HEADER_VERDICT = 0,   /* "affirming", "warning", ...: its result's status */
    CONFIG_HEADER_EVIDENCE_TYPE, /* "tpm" */
    CONFIG_HEADER_KEY,           /* SHA-256 of its AIK's SubjectPublicKeyInfo, hexadecimal */
    CONFIG_HEADER_INSTANCE,      /* UEID, hexadecimal */
    CONFIG_HEADER_EAR,           /* SHA-256 of its result's claims set as JSON, hexadecimal */
    CONFIG_HEADERS,              /* how many there are */
};

struct config_proxy_header {
    size_t line; /* 0: none */
    bool in, out;
    struct config_network trusted[CONFIG_NETWORKS_MAX]; /* who may send one over TCP */
    size_t trusted_count;
    struct schema_texts claims; /* names of claims of the result that go out */
};

/* Of one connection. */
struct config_deadlines {
    int64_t handshake_timeout_s; /* downstream: PROXY header, ClientHello, TLS handshake */
    int64_t gate_timeout_s;      /* of a side: handshake done to verdicts in */
    int64_t dial_timeout_s;      /* upstream: names, connect, TLS handshake */
    int64_t idle_timeout_s;      /* nothing moves in either direction */
    int64_t bytes_before_gate;   /* taken from the peer of a side */
};

struct config_limits {
    int64_t connections;            /* open at a time */
    int64_t handshakes;             /* not yet through the gate, at a time */
    int64_t connections_per_source; /* of one address; of IPv6, of one /64 */
    int64_t rate, burst;            /* new ones a second of one source, and at once */
    int64_t reattestations;         /* after a change, at a time */
    int64_t drain_timeout_s;
    struct config_deadlines deadlines; /* where a route says no other */
};

enum config_mode {
    CONFIG_TERMINATE = 0, /* attested TLS in, plain out */
    CONFIG_ORIGINATE,     /* plain in, attested TLS out */
    CONFIG_BOTH,
};

struct config_route {
    size_t line;
    const char *name;
    enum config_mode mode;
    struct address target;
    bool insecure_target; /* plain, beyond this host */
    /* Of the ClientHello; none: any. Names are lower case or "*.NAME", one label for the star. A
     * label of a nonce before the name (flavour pre) is no part of it. */
    struct schema_texts match_sni, match_alpn;
    struct config_side downstream, upstream;
    struct config_proxy_header proxy;
    const char *headers[CONFIG_HEADERS]; /* names, or NULL */
    bool has_headers;
    int64_t connections; /* open at a time; that of all counts, too */
    struct config_deadlines deadlines;
};

/* A socket that connections come in at. */
struct config_listener {
    size_t line;
    struct listen_at at;
    bool insecure, plain; /* plain: of a route that originates, which is its only one */
    const struct config_proxy_header *proxy; /* of the first route; all agree on in and trusted */
    const struct config_route *routes[CONFIG_SHARE_MAX]; /* in order: the first that matches */
    size_t route_count;
};

enum config_sandbox {
    CONFIG_SANDBOX_OFF = 0,
    CONFIG_SANDBOX_ON,
    CONFIG_SANDBOX_REPORT, /* what it would forbid is logged by the kernel, where that can be */
};

struct config_operation {
    size_t line; /* 0: none */
    struct listen_at at;
    bool insecure;
};

struct tree_node;

struct config {
    struct tree_node *tree; /* texts above are its */
    const char *file;
    int log_json; /* 1 or 0 */
    enum atls_log_level log_level;
    int64_t workers; /* 0: one a core */
    int64_t jobs;
    const char *user, *group; /* to become, or NULL */
    enum config_sandbox sandbox;
    int64_t store_interval_s; /* between two looks whether a verifier's store has changed */
    int64_t ready_timeout_s;  /* until the service manager is told, whatever is missing */
    struct config_operation operation;
    struct config_limits limits;
    struct config_attester *attesters;
    struct config_verifier *verifiers;
    struct config_policy *policies;
    struct config_route *routes;
    struct config_listener *listeners;
    size_t attester_count, verifier_count, policy_count, route_count, listener_count;
};

/* Reads text; file names it in messages and is borrowed. Errors: ATLS_E_CONFIG with
 * "FILE:LINE: rule", ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code config_parse(const char *file, struct atls_bytes text,
                                            struct config **out, struct atls_err *err);
/* The same from the file, at most 256 KiB, which must be kept like a secret when a URI in it has a
 * password. */
ATLS_MUST_CHECK enum atls_code config_load(const char *file, struct config **out,
                                           struct atls_err *err);
/* Whether every file that it names can be read, certificates are PEM, and private keys can be read
 * by nobody but owner and group. Blocks. Errors: ATLS_E_CONFIG with "FILE:LINE: ...". */
ATLS_MUST_CHECK enum atls_code config_check_files(const struct config *config,
                                                  struct atls_err *err);
void config_free(struct config *config); /* NULL is fine */

/* Whether two readings say the same of it, apart from lines: what is open lives on. Files that they
 * name are not looked at. */
bool config_attester_same(const struct config_attester *a, const struct config_attester *b);
bool config_verifier_same(const struct config_verifier *a, const struct config_verifier *b);
bool config_policy_same(const struct config_policy *a, const struct config_policy *b);

/* Whether address is of one of the networks; one of a unix socket is, always. */
bool config_is_trusted(const struct config_proxy_header *proxy, const struct sockaddr *address);
/* Whether a ClientHello of this SNI (lower case; "" for none) and these ALPN names goes to the
 * route. */
bool config_route_matches(const struct config_route *route, const char *sni,
                          const char *const *alpn, size_t alpn_count);

#endif
