/* Errors: one code for the program to switch on, one reason for the operator to search for, one
 * sentence for the person who reads the log.
 *
 *     struct atls_err err = ATLS_ERR_INIT;
 *     if (atls_policy_load("p.jq", &policy, &err) != ATLS_OK)
 *         fprintf(stderr, "%s\n", err.message);
 *
 * A function that can fail returns enum atls_code and takes struct atls_err * last, which may be
 * NULL. The error is set once, where its cause is known, and passed up unchanged. Messages name the
 * structure, the field, what was found and what was wanted; never secret bytes; text that came from
 * a peer is escaped and cut. No allocation. One thread at a time per object. */
#ifndef ATLS_ERR_H
#define ATLS_ERR_H

#if defined(__GNUC__)
#define ATLS_MUST_CHECK   __attribute__((warn_unused_result))
#define ATLS_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define ATLS_API          __attribute__((visibility("default")))
#else
#define ATLS_MUST_CHECK
#define ATLS_PRINTF(f, a)
#define ATLS_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Stable numbers: new codes are appended. */
enum atls_code {
    ATLS_OK = 0,
    ATLS_E_USAGE = 1,        /* the caller broke a documented precondition */
    ATLS_E_CONFIG = 2,       /* configuration is missing, contradictory or insecure */
    ATLS_E_NOMEM = 3,        /* out of memory */
    ATLS_E_IO = 4,           /* a file, socket or database failed; sys_errno may say more */
    ATLS_E_DECODE = 5,       /* bytes from outside are malformed */
    ATLS_E_UNSUPPORTED = 6,  /* well formed, but a version, algorithm or type we do not do */
    ATLS_E_CRYPTO = 7,       /* the cryptographic library failed */
    ATLS_E_VERIFY = 8,       /* a signature, MAC or digest does not match */
    ATLS_E_CERTIFICATE = 9,  /* chain, name, time or usage of a certificate is refused */
    ATLS_E_PROTOCOL = 10,    /* the peer broke a rule of the protocol */
    ATLS_E_EVIDENCE = 11,    /* evidence is refused; reason says by which check */
    ATLS_E_REFUSED = 12,     /* policy refused a peer whose evidence was appraised */
    ATLS_E_DECLINED = 13,    /* the peer declined to attest, authentically */
    ATLS_E_LIMIT = 14,       /* a limit of atls/limits.h or of the configuration was reached */
    ATLS_E_TIMEOUT = 15,     /* a deadline passed */
    ATLS_E_DEVICE = 16,      /* an attester's device failed or is missing */
    ATLS_E_TLS = 17,         /* the TLS library failed, or its connection is unfit */
    ATLS_E_CLOSED = 18,      /* the connection or session is closed */
    ATLS_E_NOT_FOUND = 19,   /* what was asked for is not in the store */
    ATLS_E_INTERNAL = 20,    /* a broken invariant: please report */
    ATLS_E_UNAVAILABLE = 21, /* a database or service cannot be reached now: trying again may do */
};

/* TLS alert numbers used as local reason codes (RFC 8446 section 6; RFC 9261 leaves signalling to
 * the application). 0 means that none applies. */
enum atls_alert {
    ATLS_ALERT_NONE = 0,
    ATLS_ALERT_UNEXPECTED_MESSAGE = 10,
    ATLS_ALERT_HANDSHAKE_FAILURE = 40,
    ATLS_ALERT_BAD_CERTIFICATE = 42,
    ATLS_ALERT_UNSUPPORTED_CERTIFICATE = 43,
    ATLS_ALERT_CERTIFICATE_REVOKED = 44,
    ATLS_ALERT_CERTIFICATE_EXPIRED = 45,
    ATLS_ALERT_CERTIFICATE_UNKNOWN = 46,
    ATLS_ALERT_ILLEGAL_PARAMETER = 47,
    ATLS_ALERT_UNKNOWN_CA = 48,
    ATLS_ALERT_ACCESS_DENIED = 49,
    ATLS_ALERT_DECODE_ERROR = 50,
    ATLS_ALERT_DECRYPT_ERROR = 51,
    ATLS_ALERT_INTERNAL_ERROR = 80,
    ATLS_ALERT_MISSING_EXTENSION = 109,
    ATLS_ALERT_UNSUPPORTED_EXTENSION = 110,
    ATLS_ALERT_CERTIFICATE_REQUIRED = 116,
};

/* Why evidence, a certificate or a message was refused, finer than the code. The slug (second
 * column) is what logs, --json output, EAR claims and test vectors carry; it never changes. */
#define ATLS_REASONS(X)                                                                            \
    X(NONE, "none")                                                                                \
    X(MALFORMED, "malformed")                                                                      \
    X(NOT_TPM_GENERATED, "not-tpm-generated")                                                      \
    X(WRONG_ATTEST_TYPE, "wrong-attest-type")                                                      \
    X(SIGNATURE, "signature")                                                                      \
    X(WEAK_HASH, "weak-hash")                                                                      \
    X(NONCE_MISMATCH, "nonce-mismatch")                                                            \
    X(NAME_MISMATCH, "name-mismatch")                                                              \
    X(KEY_ATTRIBUTES, "key-attributes")                                                            \
    X(KEY_BINDING_MISMATCH, "key-binding-mismatch")                                                \
    X(QUALIFIED_SIGNER_EMPTY, "qualified-signer-empty")                                            \
    X(QUALIFIED_SIGNER_MISMATCH, "qualified-signer-mismatch")                                      \
    X(RESET_COUNT_MISMATCH, "reset-count-mismatch")                                                \
    X(CLOCK_UNSAFE, "clock-unsafe")                                                                \
    X(PCR_SELECTION, "pcr-selection")                                                              \
    X(WEAK_PCR_BANK, "weak-pcr-bank")                                                              \
    X(PCR_DIGEST_MISMATCH, "pcr-digest-mismatch")                                                  \
    X(EVENT_LOG_MISMATCH, "event-log-mismatch")                                                    \
    X(IMA_LOG_MISMATCH, "ima-log-mismatch")                                                        \
    X(MEASUREMENT, "measurement")                                                                  \
    X(UNTRUSTED_AK, "untrusted-ak")                                                                \
    X(CHAIN_ISSUER, "chain-issuer")                                                                \
    X(CHAIN_SIGNATURE, "chain-signature")                                                          \
    X(UNTRUSTED_ROOT, "untrusted-root")                                                            \
    X(CERTIFICATE_EXPIRED, "certificate-expired")                                                  \
    X(CERTIFICATE_NOT_YET_VALID, "certificate-not-yet-valid")                                      \
    X(CERTIFICATE_REVOKED, "certificate-revoked")                                                  \
    X(CERTIFICATE_NAME, "certificate-name")                                                        \
    X(KEY_USAGE, "key-usage")                                                                      \
    X(UNKNOWN_EVIDENCE_TYPE, "unknown-evidence-type")                                              \
    X(KID_MISMATCH, "kid-mismatch")                                                                \
    X(INSECURE_TECHNOLOGY, "insecure-technology")                                                  \
    X(BINDER_MISMATCH, "binder-mismatch")                                                          \
    X(BINDER_MISSING, "binder-missing")                                                            \
    X(FINISHED_MISMATCH, "finished-mismatch")                                                      \
    X(CONTEXT_USED, "context-used")                                                                \
    X(CONTEXT_MISMATCH, "context-mismatch")                                                        \
    X(SCHEME_NOT_OFFERED, "scheme-not-offered")                                                    \
    X(EXTENSION_NOT_OFFERED, "extension-not-offered")                                              \
    X(NOT_ATTESTED, "not-attested")                                                                \
    X(EMPTY_AUTHENTICATOR, "empty-authenticator")                                                  \
    X(IDENTITY_MISMATCH, "identity-mismatch")                                                      \
    X(EQUAL_KEYS, "equal-keys")                                                                    \
    X(TLS_VERSION, "tls-version")                                                                  \
    X(TLS_RESUMED, "tls-resumed")                                                                  \
    X(TLS_EARLY_DATA, "tls-early-data")                                                            \
    X(GATE_CLOSED, "gate-closed")                                                                  \
    X(NO_COMMON_PARAMETERS, "no-common-parameters")                                                \
    X(DEADLINE, "deadline")                                                                        \
    X(FLOOD, "flood")                                                                              \
    X(NO_REFERENCE_VALUES, "no-reference-values")                                                  \
    X(POLICY, "policy")                                                                            \
    X(POLICY_OUTPUT, "policy-output")                                                              \
    X(PEER_REFUSED, "peer-refused")                                                                \
    X(UNSUPPORTED_VERSION, "unsupported-version")                                                  \
    X(UNSUPPORTED_ALGORITHM, "unsupported-algorithm")                                              \
    X(UNSUPPORTED_PRODUCT, "unsupported-product")                                                  \
    X(UNSIGNED_REPORT, "unsigned-report")                                                          \
    X(SIGNING_KEY_MISMATCH, "signing-key-mismatch")                                                \
    X(REPORT_SIGNATURE, "report-signature")                                                        \
    X(REPORT_DATA_MISMATCH, "report-data-mismatch")                                                \
    X(TCB_MISMATCH, "tcb-mismatch")                                                                \
    X(TCB_TOO_OLD, "tcb-too-old")                                                                  \
    X(TCB_INCONSISTENT, "tcb-inconsistent")                                                        \
    X(PROVISIONAL_FIRMWARE, "provisional-firmware")                                                \
    X(CHIP_ID_MISMATCH, "chip-id-mismatch")                                                        \
    X(CSP_ID_MISMATCH, "csp-id-mismatch")                                                          \
    X(POLICY_DEBUG_ENABLED, "policy-debug-enabled")                                                \
    X(POLICY_MIGRATION, "policy-migration")                                                        \
    X(POLICY_GUEST, "policy-guest")                                                                \
    X(VMPL, "vmpl")                                                                                \
    X(ID_KEY, "id-key")                                                                            \
    X(PLATFORM_INFO, "platform-info")                                                              \
    X(MITIGATION, "mitigation")                                                                    \
    X(CRL_UNAVAILABLE, "crl-unavailable")                                                          \
    X(CRL_SIGNATURE, "crl-signature")                                                              \
    X(CRL_EXPIRED, "crl-expired")                                                                  \
    X(COLLATERAL_UNAVAILABLE, "collateral-unavailable")                                            \
    X(COLLATERAL_SIGNATURE, "collateral-signature")                                                \
    X(COLLATERAL_EXPIRED, "collateral-expired")                                                    \
    X(COLLATERAL_NOT_YET_VALID, "collateral-not-yet-valid")                                        \
    X(VENDOR_ID, "vendor-id")                                                                      \
    X(TEE_TYPE, "tee-type")                                                                        \
    X(TCB_INFO_MISMATCH, "tcb-info-mismatch")                                                      \
    X(QE_IDENTITY_MISMATCH, "qe-identity-mismatch")                                                \
    X(FMSPC_MISMATCH, "fmspc-mismatch")                                                            \
    X(PCEID_MISMATCH, "pceid-mismatch")                                                            \
    X(TDX_MODULE_MISMATCH, "tdx-module-mismatch")                                                  \
    X(QE_REPORT_SIGNATURE, "qe-report-signature")                                                  \
    X(QE_REPORT_DATA, "qe-report-data")                                                            \
    X(QUOTE_SIGNATURE, "quote-signature")                                                          \
    X(TCB_NOT_SUPPORTED, "tcb-not-supported")                                                      \
    X(TCB_OUT_OF_DATE, "tcb-out-of-date")                                                          \
    X(TCB_REVOKED, "tcb-revoked")                                                                  \
    X(TCB_CONFIGURATION, "tcb-configuration")                                                      \
    X(TCB_EVAL_NUMBER, "tcb-eval-number")                                                          \
    X(TD_DEBUG, "td-debug")                                                                        \
    X(TD_ATTRIBUTES, "td-attributes")                                                              \
    X(MR_SERVICE_TD_NOT_ALLOWED, "mr-service-td-not-allowed")                                      \
    X(TRAILING_DATA, "trailing-data")                                                              \
    X(PROFILE, "profile")                                                                          \
    X(MISSING_CLAIM, "missing-claim")                                                              \
    X(MISSING_TOKEN, "missing-token")                                                              \
    X(UNTRUSTED_KEY, "untrusted-key")                                                              \
    X(PLATFORM_SIGNATURE, "platform-signature")                                                    \
    X(REALM_BINDING, "realm-binding")                                                              \
    X(REALM_SIGNATURE, "realm-signature")                                                          \
    X(CHALLENGE_MISMATCH, "challenge-mismatch")                                                    \
    X(LIFECYCLE, "lifecycle")                                                                      \
    X(PLATFORM_MEASUREMENT, "platform-measurement")                                                \
    X(REALM_MEASUREMENT, "realm-measurement")                                                      \
    X(COSE_TYPE, "cose-type")                                                                      \
    X(CLIENT_ID, "client-id")                                                                      \
    X(BATCH_PATH, "batch-path")                                                                    \
    X(EVIDENCE_PROFILE, "evidence-profile")                                                        \
    X(ATTESTATION_REQUIRED, "attestation-required")                                                \
    X(UNSUPPORTED_ATTESTATION_SCHEMES, "unsupported-attestation-schemes")                          \
    X(SCHEME_MISMATCH, "scheme-mismatch")                                                          \
    X(EXTENSION_MISPLACED, "extension-misplaced")                                                  \
    X(TRANSCRIPT, "transcript")                                                                    \
    X(ENCLAVE_DEBUG, "enclave-debug")                                                              \
    X(ENCLAVE_ATTRIBUTES, "enclave-attributes")                                                    \
    X(CERTIFICATE_TOO_OLD, "certificate-too-old")

enum atls_reason {
#define ATLS_REASON_ENUM(name, slug) ATLS_REASON_##name,
    ATLS_REASONS(ATLS_REASON_ENUM)
#undef ATLS_REASON_ENUM
};

struct atls_err {
    enum atls_code code;
    enum atls_reason reason;
    enum atls_alert alert;
    int sys_errno; /* 0, or the errno that caused it */
    char message[320];
};

#define ATLS_ERR_INIT                                                                              \
    {                                                                                              \
        ATLS_OK, ATLS_REASON_NONE, ATLS_ALERT_NONE, 0,                                             \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/* Forgets a recorded error. err may be NULL. */
ATLS_API void atls_err_clear(struct atls_err *err);

/* Short fixed name of a code ("evidence refused"), never NULL, static storage. */
ATLS_API const char *atls_code_name(enum atls_code code);

/* The slug of a reason ("pcr-digest-mismatch"), never NULL, static storage. */
ATLS_API const char *atls_reason_name(enum atls_reason reason);

#ifdef __cplusplus
}
#endif
#endif
