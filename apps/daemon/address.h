/* Addresses as configurations write them: HOST:PORT, [V6]:PORT, unix:PATH, systemd:NAME. */
#ifndef DAEMON_ADDRESS_H
#define DAEMON_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

#include <atls/err.h>

enum address_family { ADDRESS_TCP = 1, ADDRESS_UNIX, ADDRESS_SYSTEMD };

enum address_use {
    ADDRESS_LISTEN, /* an IP address and a port, which may be 0; a unix socket; one of systemd */
    ADDRESS_TARGET, /* an IP address or a name, and a port from 1; a unix socket */
};

struct address {
    const char *text; /* as written; borrowed */
    enum address_family family;
    char host[256];   /* of TCP: without brackets */
    char port[8];     /* decimal, without leading zeros */
    const char *path; /* of a unix socket, or the name that systemd gave; points into text */
    bool numeric;     /* host is an IP address, no name */
    bool loopback;    /* host is 127.0.0.0/8 or ::1 */
};

/* out borrows text. A path is absolute and has at most 107 bytes; a name of TCP is one of DNS, of
 * at most 253 bytes. Errors: ATLS_E_CONFIG, without the place. */
ATLS_MUST_CHECK enum atls_code address_parse(const char *text, enum address_use use,
                                             struct address *out, struct atls_err *err);
/* Whether both are the same place, however they are written. */
bool address_same(const struct address *a, const struct address *b);
/* An IPv4 address that a socket of IPv6 shows as a mapped one (RFC 4291 section 2.5.5.2) becomes
 * IPv4; others stay. */
void address_unmap(struct sockaddr_storage *address);
/* Whether text is an IP address, without brackets, or a name of DNS. */
bool address_is_host(const char *text);
/* Whether a URI has a password, as libpq reads it: in front of the host, or as a parameter. */
bool address_has_password(const char *uri);

#endif
