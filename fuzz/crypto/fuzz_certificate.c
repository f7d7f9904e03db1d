/* Certificates and revocation lists: the input is a certificate, or two bytes of its length, the
 * certificate and a list that it is to have issued. */
#include <stdint.h>
#include <stdlib.h>

#include "core/reader.h"
#include "crypto/certificate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void accessors(const struct atls_certificate *c, struct atls_bytes in)
{
    static const uint8_t oid[] = {0x2b, 0x06, 0x01, 0x04, 0x01, 0x9c, 0x78, 0x01, 0x04};
    struct atls_bytes value;
    size_t count;

    REQUIRE(atls_bytes_equal(atls_certificate_der(c), in));
    REQUIRE(atls_certificate_serial(c).len > 0 && atls_certificate_subject(c).len > 0);
    REQUIRE(atls_certificate_path_length(c) >= -1 && atls_certificate_path_length(c) <= 127);
    value = atls_certificate_extension(c, atls_bytes_of(oid, sizeof oid), &count);
    REQUIRE((value.ptr == NULL) == (count == 0));
    if (atls_certificate_is_self_issued(c))
        REQUIRE(atls_bytes_equal(atls_certificate_subject_cn(c), atls_certificate_issuer_cn(c)));
}

static void certificate(struct atls_bytes in, struct atls_bytes list)
{
    struct atls_certificate *c;
    const struct atls_certificate *some[1];
    struct atls_revocation_check check = {.crl = list, .time_s = 1717200000};
    int64_t next;

    if (atls_certificate_parse(in, &c, NULL) != ATLS_OK)
        return;
    accessors(c, in);
    some[0] = check.issuer = c;
    for (int a = ATLS_SIGNED_ECDSA_P256_SHA256; a <= ATLS_SIGNED_RSA_PSS_SHA384; a++) {
        check.algorithm = (enum atls_certificate_signature)a;
        (void)!atls_certificate_issued_by(c, c, check.algorithm, NULL);
        if (atls_revocation_verify(&check, some, 1, &next, NULL) == ATLS_OK)
            REQUIRE(next > check.time_s);
    }
    atls_certificate_unref(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t len;

    certificate(atls_bytes_of(data, size), atls_bytes_of(NULL, 0));
    if (size < 2)
        return 0;
    len = (size_t)data[0] << 8 | data[1];
    if (len <= size - 2)
        certificate(atls_bytes_of(data + 2, len), atls_bytes_of(data + 2 + len, size - 2 - len));
    return 0;
}
