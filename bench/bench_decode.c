/* What decoding a bundle costs, beside hashing the same bytes. */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "core/arena.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "wire/cbor.h"
#include "wire/cmw.h"
#include "wire/kat.h"
#include "wire/tpm.h"

_Noreturn static void die(const char *what)
{
    fprintf(stderr, "bench: %s failed\n", what);
    exit(2);
}

/* A TPM bundle of the usual kind: 24 SHA-256 PCRs, P-256 keys, about 2 kB with an AK chain of one.
 */
static struct atls_buf make_bundle(void)
{
    static uint8_t filler[512];
    struct atls_tpm_certify_half kat;
    struct atls_tpm_quote_half pat;
    struct atls_writer w = atls_writer_init(65536);
    struct atls_buf kat_bytes, pat_bytes, bundle;
    struct atls_cmw kat_record, pat_record;

    for (size_t i = 0; i < sizeof filler; i++)
        filler[i] = (uint8_t)i;
    kat.kid = atls_bytes_of("\x01"
                            "0123456789abcdef0123456789abcdef",
                            33);
    kat.signature = atls_bytes_of(filler, 72);
    kat.cert_info = atls_bytes_of(filler, 145);
    kat.pub_area = atls_bytes_of(filler, 88);
    atls_tpm_put_certify_half(&w, &kat);
    if (atls_writer_finish(&w, &kat_bytes, NULL) != ATLS_OK)
        die("kat");
    pat = (struct atls_tpm_quote_half){0};
    pat.kid = kat.kid;
    pat.signature = kat.signature;
    pat.attest_info = kat.cert_info;
    pat.ak_pub = kat.pub_area;
    pat.bank_count = 1;
    pat.banks[0].hash = 0x000b;
    pat.banks[0].present = 0xffffff;
    for (size_t i = 0; i < ATLS_TPM_PCRS_MAX; i++)
        pat.banks[0].values[i] = atls_bytes_of(filler + i, 32);
    pat.event_log = atls_bytes_of(filler, 420);
    atls_tpm_put_quote_half(&w, &pat);
    if (atls_writer_finish(&w, &pat_bytes, NULL) != ATLS_OK)
        die("pat");
    kat_record =
        atls_cmw_record(ATLS_TYPE_TPM_CERTIFY, atls_buf_bytes(&kat_bytes), ATLS_CMW_EVIDENCE);
    pat_record =
        atls_cmw_record(ATLS_TYPE_TPM_QUOTE, atls_buf_bytes(&pat_bytes), ATLS_CMW_EVIDENCE);
    if (atls_bundle_encode(&kat_record, &pat_record, NULL, &w, NULL) != ATLS_OK ||
        atls_writer_finish(&w, &bundle, NULL) != ATLS_OK)
        die("bundle");
    atls_buf_clear(&kat_bytes);
    atls_buf_clear(&pat_bytes);
    return bundle;
}

static void run_decode(void *arg, unsigned long count)
{
    const struct atls_buf *in = arg;

    while (count-- > 0) {
        struct atls_arena arena = atls_arena_init(65536);
        struct atls_tpm_certify_half kat;
        struct atls_tpm_quote_half pat;
        struct atls_bundle bundle;
        struct atls_cmw cmw;

        if (atls_cmw_decode(atls_buf_bytes(in), &arena, &cmw, NULL) != ATLS_OK ||
            atls_bundle_open(&cmw, &bundle, NULL) != ATLS_OK ||
            atls_tpm_certify_half_decode(bundle.kat.value, &kat, NULL) != ATLS_OK ||
            atls_tpm_quote_half_decode(bundle.pat.value, &pat, NULL) != ATLS_OK)
            die("decode");
        atls_arena_clear(&arena);
    }
}

static void run_hash(void *arg, unsigned long count)
{
    const struct atls_buf *in = arg;
    uint8_t digest[ATLS_HASH_MAX];

    while (count-- > 0)
        if (atls_hash_one(ATLS_HASH_SHA256, atls_buf_bytes(in), digest, NULL) != ATLS_OK)
            die("hash");
}

int main(void)
{
    struct atls_buf bundle = make_bundle();
    struct bench benches[] = {
        {"decode", run_decode, &bundle, 0, 0},
        {"SHA-256", run_hash, &bundle, 0, 0},
    };

    bench_run(benches, 2, 15, 100);
    printf("decode of a TPM bundle of %zu bytes\n", bundle.len);
    printf("  %.2f us median (%.2f best); SHA-256 of it %.2f us; ratio %.2f\n",
           benches[0].median_ns / 1e3, benches[0].best_ns / 1e3, benches[1].median_ns / 1e3,
           benches[0].median_ns / benches[1].median_ns);
    atls_buf_clear(&bundle);
    return 0;
}
