/* A request and its answer, apart from the HTTP library: what the resources see. */
#ifndef VERIFIERD_REQUEST_H
#define VERIFIERD_REQUEST_H

#include <stdatomic.h>

#include "media.h"
#include "state.h"
#include "text.h"
#include "uri.h"

enum method { METHOD_OTHER = 0, METHOD_GET = 1, METHOD_POST = 2, METHOD_DELETE = 4 };

#define HEADERS_MAX 6

struct reply {
    unsigned status; /* 0: none yet */
    const char *content_type;
    struct text body;
    size_t header_count;
    struct reply_header {
        const char *name;
        char value[1024];
    } headers[HEADERS_MAX];
};

/* The certificate of a TLS client. */
struct peer {
    bool present, verified;
    char subject[512]; /* RFC 4514 */
    uint8_t spki_sha256[32];
    char problem[160]; /* why it is not verified */
};

struct service;
struct route;

struct request {
    struct service *service;
    struct generation *generation;
    int serve;     /* enum config_serve of the listener */
    bool insecure; /* plain HTTP beyond the host */
    enum method method;
    const char *method_text;
    unsigned target_status; /* not 0: the target is refused, by this rule */
    const char *target_rule;
    struct uri uri;
    const char *content_type, *accept, *authorization; /* NULL when absent; borrowed */
    const char *header_rule; /* a header is given twice or malformed; NULL: fine */
    unsigned header_status;
    unsigned wait_s;        /* not 0: the client asked too often */
    int64_t content_length; /* -1: chunked; 0: no body */
    char id[37];
    char client[64]; /* address, for the log */
    int64_t start_us;
    /* The certificate of the client; called at most once, when it matters. */
    void (*get_peer)(void *arg, struct peer *out);
    void *peer_arg;

    /* Found by request_begin. */
    const struct route *route;
    struct tenant *tenant;
    char session_id[ATLS_SESSION_ID_TEXT];
    struct media media;
    const char *media_text; /* as the issuer lists it, or as received */
    char who[80];           /* who is authenticated */
    size_t body_max;        /* more is refused; 0: no body is wanted */
    struct atls_bytes body;
};

/* What all generations share. */
struct service {
    atomic_bool draining;
    atomic_llong connections, bodies_bytes;
    atomic_llong active;    /* requests whose headers are here, and not yet their answer's end */
    atomic_llong upkeep_ms; /* when the last upkeep ended, monotonic; 0: never */
};

/* Checks everything that needs no body. False when reply holds the answer already. */
bool request_begin(struct request *r, struct reply *reply);
/* Answers; r->body is whole. */
void request_finish(struct request *r, struct reply *reply);
/* Counts, and frees the answer. */
void request_end(struct request *r, struct reply *reply);
void reply_clear(struct reply *reply);

void reply_header(struct reply *reply, const char *name, const char *format, ...) ATLS_PRINTF(3, 4);
/* An answer of this type; the body is the caller's to add. */
void reply_start(struct reply *reply, unsigned status, const char *content_type);

/* application/problem+json (RFC 9457): rule says place and rule. */
void reply_problem(struct request *r, struct reply *reply, unsigned status, const char *format, ...)
    ATLS_PRINTF(4, 5);
/* The same of an error of the libraries; statuses by code, 503 with Retry-After for what passes. */
void reply_error(struct request *r, struct reply *reply, const struct atls_err *err);
const char *status_title(unsigned status);

/* Places of the API; the name is what metrics call it. */
struct route {
    const char *name;
    const char *path; /* behind the tenant's prefix; "*" at the end takes the rest, a session id */
    bool operation;   /* of the daemon, not of a tenant */
    int methods;      /* enum method, all that there are */
    const char *allow;
    const char *parameters[3]; /* that it knows */
    const char *produces;      /* media type; NULL: whatever the client accepts */
    bool (*begin)(struct request *r, struct reply *reply); /* may be NULL */
    void (*answer)(struct request *r, struct reply *reply);
};

/* session.c, provision.c, discovery.c, operation.c */
void session_new(struct request *r, struct reply *reply);
bool session_begin(struct request *r, struct reply *reply);
void session_answer(struct request *r, struct reply *reply);
bool provision_begin(struct request *r, struct reply *reply);
void provision_answer(struct request *r, struct reply *reply);
void discovery_verification(struct request *r, struct reply *reply);
void discovery_provisioning(struct request *r, struct reply *reply);
void discovery_keys(struct request *r, struct reply *reply);
void operation_healthz(struct request *r, struct reply *reply);
void operation_readyz(struct request *r, struct reply *reply);
void operation_metrics(struct request *r, struct reply *reply);

#define MEDIA_SESSION   "application/vnd.veraison.challenge-response-session+json"
#define MEDIA_PROVISION "application/vnd.veraison.provisioning-session+json"
#define MEDIA_DISCOVERY "application/vnd.veraison.discovery+json"

/* Of provisioning, both with parameter profile. */
#define MEDIA_RIM_CBOR "application/rim+cbor"
#define MEDIA_RIM_COSE "application/rim+cose"

/* The store, or false after a 503. */
bool need_store(struct request *r, struct reply *reply, struct atls_store **out);

/* auth.c: who may provision. True with r->who, false after 401 or 403. */
bool auth_provisioner(struct request *r, struct reply *reply);
/* Reads a bearer token's file into its hash. Errors: ATLS_E_CONFIG. */
ATLS_MUST_CHECK enum atls_code auth_load_token(const char *path, uint8_t sha256[32],
                                               struct atls_err *err);

#endif
