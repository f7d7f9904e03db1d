/* A verifier service that speaks Veraison's challenge-response API and says what a test wants: it
 * appraises nothing. Links wire_json and verifier_ear, so only tests of modules above these may use
 * it.
 *
 *     struct test_veraison v;
 *     test_veraison_init(&v, NULL);
 *     v.akpub = aik_spki;                                      what results attest
 *     v.overrides[0] = (struct test_override){.method = "POST", .target =
 * "/challenge-response/v1/session", .status = 500};  one thing goes wrong
 *     ...
 *     test_veraison_clear(&v); */
#ifndef ATLS_TEST_FAKE_VERAISON_H
#define ATLS_TEST_FAKE_VERAISON_H

#include <stdbool.h>
#include <stdint.h>

#include "crypto/crypto.h"
#include "http_server.h"

#define TEST_VERAISON_NEW     "/challenge-response/v1/newSession"
#define TEST_VERAISON_SESSION "/challenge-response/v1/session"
#define TEST_VERAISON_SESSION_HEADER                                                               \
    "Content-Type: application/vnd.veraison.challenge-response-session+json\r\n"
#define TEST_VERAISON_OVERRIDES 3

enum test_nonce_form {
    TEST_NONCE_STANDARD, /* padded: released services */
    TEST_NONCE_URL,      /* unpadded */
    TEST_NONCE_URL_PADDED,
    TEST_NONCE_STANDARD_UNPADDED,
};

/* An answer in place of the service's own, for requests of this method and beginning of target. */
struct test_override {
    const char *method, *target; /* method NULL: none */
    unsigned int skip;           /* requests that are left alone before */
    unsigned int times;          /* 0: always */
    int status;
    const char *headers, *body; /* NULL: "" */
    bool never_end, slow, close;
    bool refuse; /* further connections */
};

/* Change it while no request is under way, between calls of test_http_sync. */
struct test_veraison {
    struct test_http_server *server;
    struct atls_private_key *key; /* that signs; P-256 */
    struct atls_buf jwk;          /* its public half, NUL terminated */
    const char *kid;              /* in headers of tokens, or NULL */
    bool no_key;                  /* discovery names none */
    const char *keys;             /* discovery: "ear-verification-keys" instead, or NULL */
    const char *state;            /* discovery: service-state, or NULL */
    const char *media_types;      /* discovery and sessions: JSON; NULL: both forms */
    const char *accept;           /* sessions: JSON instead of media_types */
    unsigned int max_age_s;       /* of discovery */
    enum test_nonce_form form;
    bool wants_padding;   /* 400 without */
    unsigned int polls;   /* GETs that find it processing */
    const char *location; /* NULL: relative */
    struct test_override overrides[TEST_VERAISON_OVERRIDES];
    /* The result. */
    int64_t issued_at_s;     /* 0: now */
    int64_t lifetime_s;      /* 0: names no expiry */
    const char *profile;     /* NULL: Veraison's */
    const char *status;      /* NULL: affirming */
    const char *vector;      /* JSON; NULL: good */
    const char *problem;     /* or NULL */
    const char *own_reason;  /* as the service of this project has it beside problems; or NULL */
    const char *other;       /* JSON of a second submodule, "OTHER", or NULL */
    struct atls_bytes akpub; /* SPKI; empty: no key */
    struct atls_bytes nonce; /* instead of the session's; .ptr NULL: that */
    const char *token;       /* instead of a token */
    /* What it saw. */
    size_t discoveries, sessions, submissions, looks, goodbyes;
    uint8_t sent_nonce[64];
    size_t sent_nonce_len;
    char sent_type[256];
    struct atls_buf sent_body;
};

/* identity: https with this certificate; NULL: http. */
void test_veraison_init(struct test_veraison *v, const struct test_identity *identity);
void test_veraison_clear(struct test_veraison *v);
/* A token as it would issue now; the caller frees it. */
char *test_veraison_token(const struct test_veraison *v);
/* Another key signs from now on, and discovery names it. */
void test_veraison_rotate(struct test_veraison *v);

#endif
