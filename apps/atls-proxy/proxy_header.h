/* PROXY protocol, version 2: who the client is, in front of a connection's stream, and what is
 * known of its attestation. docs/proxy-header.md has the layout byte by byte.
 *
 *     code = proxy_header_read(received, &header, &need, &err);
 *     if (code == ATLS_OK && header.len == 0)
 *         (call again when there are `need` bytes)
 *     else if (code == ATLS_OK)
 *         (the stream begins behind header.len bytes)
 *
 * Pure functions; nothing is allocated. */
#ifndef PROXY_PROXY_HEADER_H
#define PROXY_PROXY_HEADER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include <atls/bytes.h>

#define PROXY_HEADER_HEAD 16
/* Of a whole header, in and out; what nginx reads at most. */
#define PROXY_HEADER_MAX 4096

/* Attestation, of the range for private use. */
enum proxy_header_type {
    PROXY_HEADER_VERDICT = 0xe0,   /* text: "affirming", "warning", "contraindicated", ... */
    PROXY_HEADER_EVIDENCE = 0xe1,  /* text: "tpm" */
    PROXY_HEADER_EAR = 0xe2,       /* SHA-256 of the claims set of the result as JSON */
    PROXY_HEADER_INSTANCE = 0xe3,  /* UEID */
    PROXY_HEADER_CLAIM = 0xe4,     /* text: NAME=VALUE; may repeat */
    PROXY_HEADER_BINDING = 0xe5,   /* text: "connection", "key" */
    PROXY_HEADER_FRESHNESS = 0xe6, /* text: "connection", "nonce", "none" */
    PROXY_HEADER_KEY = 0xe7,       /* SHA-256 of the attested key's SubjectPublicKeyInfo */
};

struct proxy_header {
    size_t len; /* bytes of the header; 0: there are more to come */
    /* Addresses are said. Otherwise (LOCAL, UNSPEC) those of the connection itself count, and all
     * below is empty. */
    bool has_addresses;
    struct sockaddr_storage source, destination; /* AF_INET, AF_INET6, AF_UNIX */
    struct atls_bytes alpn, authority;           /* borrow from the input; empty: not said */
};

/* Reads from the beginning of a stream. ATLS_OK with out->len 0: so far it is one, and *out_need
 * bytes are needed for more to be said; the caller takes no byte from the stream before it knows
 * out->len. TLVs of others, and of attestation, are passed over. Errors: ATLS_E_DECODE,
 * ATLS_E_UNSUPPORTED (another version, or datagrams), ATLS_E_LIMIT. */
ATLS_MUST_CHECK enum atls_code proxy_header_read(struct atls_bytes in, struct proxy_header *out,
                                                 size_t *out_need, struct atls_err *err);

struct proxy_header_claim {
    const char *name, *value;
};

/* What goes out; NULL and empty: not said. */
struct proxy_header_attestation {
    const char *verdict, *evidence, *binding, *freshness;
    struct atls_bytes ear, instance, key;
    const struct proxy_header_claim *claims;
    size_t claim_count;
};

struct proxy_header_said {
    const struct sockaddr *source, *destination; /* of one family; otherwise UNSPEC is said */
    struct atls_bytes alpn, authority;
    const struct proxy_header_attestation *attestation; /* NULL: nothing is said of it */
};

/* Writes a header, with a CRC-32C, into out of PROXY_HEADER_MAX bytes. Errors: ATLS_E_LIMIT. */
ATLS_MUST_CHECK enum atls_code proxy_header_write(const struct proxy_header_said *said,
                                                  uint8_t out[static PROXY_HEADER_MAX],
                                                  size_t *out_len, struct atls_err *err);

#endif
