/* The demonstration's laboratory: a directory of its own with two software TPMs, certified by a TPM
 * maker's CA of their own, an identity CA, and a verifier's store. */
#ifndef ATLS_APP_DEMO_LAB_H
#define ATLS_APP_DEMO_LAB_H

#include <stdbool.h>
#include <sys/types.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <atls/attester.h>

#define LAB_PATH     160 /* of a file in the laboratory */
#define LAB_SERVER   "server.example"
#define LAB_CLIENT   "client.example"
#define LAB_VERIFIER "verifier.example" /* what both sides call the service */
#define LAB_CLASS    "31fb5abf-023e-4992-aa4e-95f9c1503bfa"

enum { LAB_DEVICE_SERVER, LAB_DEVICE_CLIENT, LAB_DEVICES };

struct lab_device {
    const char *name;         /* DNS name */
    pid_t pid;                /* of swtpm, or of what mounts the reports; 0: not running */
    char socket[96];          /* where it serves TPM commands; "": no TPM */
    char world[LAB_PATH];     /* directory of a simulated machine (demo_machine.h) */
    char report[LAB_PATH];    /* where its reports are mounted */
    char uri[2 * LAB_PATH];   /* of the attester over it */
    char aik_chain[LAB_PATH]; /* file: certificate of its AIK, PEM */
    char instance[80];        /* UEID in hex, once enrolled */
};

struct lab {
    char dir[64];
    char store[LAB_PATH]; /* path: knows both TPMs and their reference values */
    struct lab_device devices[LAB_DEVICES];
    EVP_PKEY *ca_key, *tls_key; /* identity CA; TLS key of the server */
    X509 *ca, *tls;
    struct atls_buf anchors; /* PEM of the identity CA */
};

/* Makes the directory and the identity CA. Errors name the step. The lab is the caller's to clear,
 * also after a failure. */
ATLS_MUST_CHECK enum atls_code lab_open(struct lab *lab, struct atls_err *err);
/* Stops the TPMs and removes the directory. */
void lab_clear(struct lab *lab);

/* Manufactures the TPM of a device (EK, EK certificate of the maker's local CA) and starts it. */
ATLS_MUST_CHECK enum atls_code lab_make_tpm(struct lab *lab, int device, struct atls_err *err);
/* Starts a TPM that was stopped: PCRs are as after a reset. */
ATLS_MUST_CHECK enum atls_code lab_start_tpm(struct lab *lab, int device, struct atls_err *err);
/* Ends what serves a device, and waits for that. */
void lab_stop_device(struct lab *lab, int device);
/* TPM2_PCR_Extend of SHA-256, straight to the TPM. */
ATLS_MUST_CHECK enum atls_code lab_extend_pcr(struct lab *lab, int device, uint32_t pcr,
                                              struct atls_err *err);
/* Certificates (PEM) of the TPM maker's CA: what an operator imports as EK anchors. */
ATLS_MUST_CHECK enum atls_code lab_maker_anchors(const struct lab *lab, struct atls_buf *out,
                                                 struct atls_err *err);

/* Path of a file in the lab's directory. */
void lab_path(const struct lab *lab, const char *name, char out[LAB_PATH]);
/* A program of ours: the one that the environment names, beside this program when it runs from
 * where it was built or installed, or else of the PATH. */
#define LAB_PROGRAM (2 * LAB_PATH)
void lab_find_program(const char *program, const char *variable, char out[LAB_PROGRAM]);
/* Runs a program to its end; what it prints goes to a file in the lab, whose last line is part of
 * the message when it fails. Errors: ATLS_E_DEVICE, ATLS_E_IO. */
ATLS_MUST_CHECK enum atls_code lab_run(const struct lab *lab, const char *const argv[],
                                       struct atls_err *err);
/* Starts one; *out_fd, unless out_fd is NULL, reads what it prints on standard output. */
ATLS_MUST_CHECK enum atls_code lab_spawn(const struct lab *lab, const char *const argv[],
                                         pid_t *out, int *out_fd, struct atls_err *err);
/* The last line that any program printed; out is "" when there is none. */
void lab_last_words(const struct lab *lab, char out[LAB_PATH]);
/* Writes a private key in a new file of mode 0600. */
ATLS_MUST_CHECK enum atls_code lab_write_key(const char *path, EVP_PKEY *key, struct atls_err *err);

struct lab_certificate {
    const char *name;       /* DNS name */
    struct atls_bytes spki; /* DER */
    int not_after_days;     /* from now; negative: expired */
    bool other_ca;          /* issued by a CA that nobody trusts */
};
/* Has the identity CA issue a certificate and writes it as PEM. */
ATLS_MUST_CHECK enum atls_code lab_issue(const struct lab *lab, const struct lab_certificate *spec,
                                         const char *path, struct atls_err *err);

#endif
