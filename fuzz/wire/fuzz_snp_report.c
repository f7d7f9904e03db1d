/* SEV-SNP: a report, and behind it a certificate table. */
#include <stdint.h>
#include <stdlib.h>

#include "core/reader.h"
#include "wire/snp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void inside(struct atls_bytes whole, struct atls_bytes part)
{
    REQUIRE(part.ptr == NULL || (part.len != 0 && part.ptr >= whole.ptr &&
                                 part.ptr + part.len <= whole.ptr + whole.len));
}

static void table(struct atls_bytes in)
{
    struct atls_snp_certificates c, again;
    struct atls_buf out = ATLS_BUF_INIT;

    if (atls_snp_certificates_decode(in, &c, NULL) != ATLS_OK)
        return;
    inside(in, c.vcek);
    inside(in, c.vlek);
    inside(in, c.ask);
    inside(in, c.ark);
    if (atls_snp_certificates_encode(&c, &out, NULL) != ATLS_OK)
        return; /* certificates may share bytes, so that they need more room */
    REQUIRE(atls_snp_certificates_decode(atls_buf_bytes(&out), &again, NULL) == ATLS_OK);
    REQUIRE(atls_bytes_equal(c.vcek, again.vcek) && atls_bytes_equal(c.vlek, again.vlek) &&
            atls_bytes_equal(c.ask, again.ask) && atls_bytes_equal(c.ark, again.ark));
    atls_buf_clear(&out);
}

static void tcb(enum atls_snp_line line, struct atls_bytes in)
{
    struct atls_snp_tcb t;
    uint8_t out[8];

    if (!atls_snp_tcb_read(line, in, &t))
        return;
    atls_snp_tcb_write(line, &t, out);
    REQUIRE(atls_bytes_equal(in, atls_bytes_of(out, sizeof out)));
    REQUIRE(atls_snp_tcb_covers(&t, &t));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_bytes in = atls_bytes_of(data, size);
    struct atls_snp_report r;

    table(in);
    if (size < ATLS_SNP_REPORT_LEN)
        return 0;
    table(atls_bytes_of(data + ATLS_SNP_REPORT_LEN, size - ATLS_SNP_REPORT_LEN));
    if (atls_snp_report_decode(atls_bytes_of(data, ATLS_SNP_REPORT_LEN), &r, NULL) == ATLS_OK) {
        REQUIRE(r.version >= 2 && r.version <= 5 && (r.policy & ATLS_SNP_POLICY_ONE) != 0);
        REQUIRE(r.signer == ATLS_SNP_VCEK || r.signer == ATLS_SNP_VLEK);
        for (int line = ATLS_SNP_MILAN; line < ATLS_SNP_LINES; line++) {
            tcb((enum atls_snp_line)line, r.current_tcb);
            tcb((enum atls_snp_line)line, r.launch_tcb);
        }
    }
    return 0;
}
