/* A real software TPM (swtpm) for tests: its own process, state and socket in a temporary folder.
 *
 *     struct test_swtpm *tpm = test_swtpm_start(0);
 *     test_swtpm_uri(tpm, "pcrs=sha256:0,7", uri, sizeof uri);
 *     ...
 *     test_swtpm_stop(tpm);
 *
 * swtpm serves one connection at a time: what the fixture itself sends (test_swtpm_extend) needs
 * that nobody else is connected, or that the attester was opened with "connection=release". Call
 * from one thread. Failures fail the test. */
#ifndef ATLS_TEST_SWTPM_H
#define ATLS_TEST_SWTPM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum test_swtpm_flags {
    /* EK certificates in NV, issued by a CA of this TPM alone: RSA 2048 at 0x01c00002. */
    TEST_SWTPM_EK_CERTIFICATE = 1,
};

struct test_swtpm;

/* False when swtpm (or swtpm_setup, for certificates) is not installed. A test program's main
 * then prints why and returns TEST_SWTPM_SKIP. */
#define TEST_SWTPM_SKIP 77
bool test_swtpm_available(void);

/* A TPM that was started, with the banks sha1, sha256, sha384 and sha512 active (with certificates:
 * the first three). Takes well under a second, with certificates about one. */
struct test_swtpm *test_swtpm_start(unsigned int flags);
/* Ends the process and removes the folder. NULL is fine. */
void test_swtpm_stop(struct test_swtpm *tpm);

/* The TPM goes away without a word, as a device that is unplugged. */
void test_swtpm_kill(struct test_swtpm *tpm);
/* Power off and on again: PCRs and loaded objects are lost, the state in NV stays. */
void test_swtpm_restart(struct test_swtpm *tpm);

/* "swtpm:path=/tmp/.../tpm.sock"; lives as long as tpm. */
const char *test_swtpm_tcti(const struct test_swtpm *tpm);
/* "tpm2:swtpm:path=...?options"; options may be NULL. Returns out. */
char *test_swtpm_uri(const struct test_swtpm *tpm, const char *options, char *out, size_t size);
/* The temporary folder, for further files of a test. */
const char *test_swtpm_folder(const struct test_swtpm *tpm);
/* PEM files of the CA that issued the EK certificate (TEST_SWTPM_EK_CERTIFICATE). */
const char *test_swtpm_root_certificate(const struct test_swtpm *tpm);
const char *test_swtpm_issuer_certificate(const struct test_swtpm *tpm);

/* TPM2_PCR_Extend of the SHA-256 bank. */
void test_swtpm_extend(const struct test_swtpm *tpm, unsigned int pcr, const uint8_t digest[32]);
/* Sends one command and receives its response; returns its length, at least 10. */
size_t test_swtpm_command(const struct test_swtpm *tpm, const uint8_t *command, size_t len,
                          uint8_t *response, size_t size);

#endif
