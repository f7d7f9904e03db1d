#include <stdio.h>
#include <string.h>

#include "diag.h"
#include "testlib.h"

#include "wire/corim_profile.h"
#include "wire/kat.h"

/* ---- published manifests and the verdicts that their authors give ---- */

static const struct {
    const char *file;
    enum atls_code want;
    const char *says; /* name of the profile, or part of the refusal */
} vectors[] = {
    {"corim-1.cbor", ATLS_OK, "none"},
    {"corim-roles.cbor", ATLS_OK, "none"},
    {"corim-design-cd.cbor", ATLS_E_UNSUPPORTED, "profile d86f4a6086480186f84d010f06"},
    {"draft-corim-1.cbor", ATLS_OK, "none"},
    {"draft-corim-2.cbor", ATLS_OK, "none"},
    {"signed-good-corim.cbor", ATLS_OK, "none"},
    {"profile-psa-valid.cbor", ATLS_OK, "PSA"},
    {"profile-psa-no-profile.cbor", ATLS_OK, "none"},
    {"profile-psa-invalid-impl-id.cbor", ATLS_E_DECODE,
     "tag 0: reference triple 0: PSA profile: class-id"},
    {"profile-cca-platform-valid.cbor", ATLS_OK, "CCA platform"},
    {"profile-cca-platform-invalid-impl-id.cbor", ATLS_E_DECODE, "CCA platform profile: class-id"},
    {"profile-cca-realm-valid.cbor", ATLS_OK, "CCA realm"},
    {"profile-cca-realm-invalid-missing-rim.cbor", ATLS_E_DECODE, "has no cca.rim"},
    {"scheme-psa-valid.cbor", ATLS_OK, "PSA"},
    {"scheme-psa-bad-class.cbor", ATLS_E_DECODE, "attest-key triple 0: PSA profile: class-id"},
    {"scheme-psa-bad-refval-instance.cbor", ATLS_E_DECODE, "reference values have an instance"},
    {"scheme-psa-bad-refval-mval.cbor", ATLS_E_DECODE,
     "measurement 0: software component: has no digests"},
    {"scheme-psa-bad-ta-no-instance.cbor", ATLS_E_DECODE, "has no instance"},
    {"scheme-cca-platform-valid.cbor", ATLS_OK, "CCA platform"},
    {"scheme-cca-realm-valid.cbor", ATLS_OK, "CCA realm"},
    {"scheme-cca-platform-bad-no-class.cbor", ATLS_E_DECODE,
     "attest-key triple 0: CCA platform profile: class-id"},
    {"scheme-cca-platform-bad-refval-mkey.cbor", ATLS_E_DECODE, "mkey is neither cca"},
    {"scheme-cca-platform-bad-refval-no-digests.cbor", ATLS_E_DECODE, "has no digests"},
    {"scheme-cca-platform-bad-ta-instance.cbor", ATLS_E_DECODE, "instance is not a UEID"},
    {"scheme-cca-platform-bad-refval-no-mkey.cbor", ATLS_E_DECODE, "mkey is neither cca"},
    {"scheme-cca-realm-bad-no-rim.cbor", ATLS_E_DECODE, "has no cca.rim"},
    {"scheme-cca-realm-bad-no-integ-regs.cbor", ATLS_E_DECODE, "is not digests alone"},
    {"scheme-parsec-tpm-valid.cbor", ATLS_OK, "TPM"},
    {"scheme-parsec-tpm-bad-class-id.cbor", ATLS_E_DECODE, "class-id is not a UUID"},
    {"scheme-parsec-tpm-bad-no-digests.cbor", ATLS_E_DECODE, "a PCR has no digests"},
    {"scheme-parsec-tpm-bad-no-instance.cbor", ATLS_E_DECODE, "has no instance"},
    {"scheme-parsec-tpm-bad-multiple-keys.cbor", ATLS_E_DECODE, "several keys"},
    {"scheme-parsec-cca-valid.cbor", ATLS_OK, "Parsec CCA"},
    {"scheme-sevsnp-valid.cbor", ATLS_OK, "SEV-SNP"},
    {"scheme-sevsnp-bad-refval-no-key.cbor", ATLS_E_DECODE, "mkey is not the number of a field"},
    {"scheme-enacttrust-valid.cbor", ATLS_OK, "EnactTrust TPM"},
    {"scheme-enacttrust-bad-class.cbor", ATLS_E_DECODE, "has a class"},
    {"scheme-enacttrust-bad-no-digest.cbor", ATLS_E_DECODE, "is not one digest"},
    {"scheme-enacttrust-bad-multiple-keys.cbor", ATLS_E_DECODE, "several keys"},
};

static void test_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        const struct atls_corim_profile *profile = NULL;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_corim_envelope envelope;
        struct atls_corim corim;
        struct atls_buf in;
        enum atls_code code;
        char path[128];

        snprintf(path, sizeof path, "corim/%s", vectors[i].file);
        in = test_vector(path);
        /* All of them are well-formed: what is refused, the profile refuses. */
        test_assert_code(atls_corim_envelope_decode(atls_buf_bytes(&in), &envelope, &err), ATLS_OK,
                         &err);
        test_assert_code(atls_corim_decode(envelope.manifest, &corim, &err), ATLS_OK, &err);
        code = atls_corim_profile_check(&corim, &profile, &err);
        if (code != vectors[i].want ||
            (code == ATLS_OK ? strcmp(profile->name, vectors[i].says) != 0
                             : strstr(err.message, vectors[i].says) == NULL))
            fail_msg("%s: code %d, want %d: %s", vectors[i].file, code, vectors[i].want,
                     err.message);
        atls_corim_clear(&corim);
        atls_buf_clear(&in);
    }
}

/* The TDX manifests are published as CoMIDs alone. */
static void test_tdx_vectors(void **state)
{
    static const char *const files[] = {"corim/profile-tdx-comid_qe_refval.cbor",
                                        "corim/profile-tdx-comid_seam_refval.cbor"};
    struct atls_buf oid = test_diag("111(h'6086480186f84d011001')");

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct atls_buf in = test_vector(files[i]);
        struct atls_arena arena = atls_arena_init(1 << 20);
        const struct atls_corim_profile *profile = NULL;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_corim corim;
        struct atls_comid comid;
        struct atls_corim_tag tag = {.number = ATLS_TAG_COMID, .comid = &comid};

        memset(&corim, 0, sizeof corim);
        corim.profile = atls_buf_bytes(&oid);
        corim.tags = &tag;
        corim.tag_count = 1;
        test_assert_code(atls_comid_decode(atls_buf_bytes(&in), &arena, &comid, &err), ATLS_OK,
                         &err);
        test_assert_code(atls_corim_profile_check(&corim, &profile, &err), ATLS_OK, &err);
        assert_int_equal(profile->scheme, ATLS_CORIM_SCHEME_TDX);
        atls_arena_clear(&arena);
        atls_buf_clear(&in);
    }
    atls_buf_clear(&oid);
}

/* ---- each rule alone ---- */

#define PSA        "32('tag:arm.com,2025:psa#1.0.0')"
#define CCA        "32('tag:arm.com,2025:cca_platform#1.0.0')"
#define REALM      "32('tag:arm.com,2025:cca_realm#1.0.0')"
#define TPM        "32('tag:github.com/parallaxsecond,2023-03-03:tpm')"
#define ENACTTRUST "32('https://enacttrust.com/veraison/1.0.0')"
#define SNP        "32('tag:amd.com,2024:snp-corim-profile')"
#define ARK        "32('https://amd.com/ark')"
#define TDX        "111(h'6086480186f84d011001')"
#define SOFT       "32('" ATLS_SOFT_PROFILE "')"

#define IMPLEMENTATION "{0: {0: 560(h(32))}}"
#define SIGNER         "13: [560(h(32))]"
#define DIGEST         "2: [[1, h(32)]]"
#define COMPONENT      "{0: 'psa.software-component', 1: {" DIGEST ", " SIGNER "}}"
#define CCA_COMPONENT  "{0: 'cca.software-component', 1: {" DIGEST ", " SIGNER "}}"
#define CCA_CONFIG     "{0: 'cca.platform-config', 1: {4: 560(h'01')}}"
#define UEID           "550(h'01aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')"
#define DEVICE         "{0: {0: 560(h(32))}, 1: " UEID "}"
#define PEM            "554('-----BEGIN PUBLIC KEY-----')"
#define CERTIFICATE    "555('-----BEGIN CERTIFICATE-----')"
#define UUID           "37(h(16))"
#define MACHINE        "{0: {0: " UUID "}}"
#define REALM_CLASS    "{0: {0: 560(h(32))}}"
#define RIM            "{0: 'cca.rim', 1: {" DIGEST "}}"
#define VCEK           "{0: {0: 111(h'2b060104019c780301')}}"
#define SEAM           "{0: {0: 111(h'6086480186f84d0102030403'), 1: 'Intel Corporation'}}"
#define AMD            "{0: {1: 'AMD', 2: 'ARK'}}"

#define REFS(environment, measurements) "{0: [[" environment ", [" measurements "]]]}"
#define KEYS(environment, keys)         "{3: [[" environment ", [" keys "]]]}"

static const struct {
    const char *name, *profile, *triples;
    enum atls_code want;
    const char *says;
} rules[] = {
    /* PSA */
    {"PSA component", PSA, REFS(IMPLEMENTATION, COMPONENT), ATLS_OK, NULL},
    {"PSA component with a name and a version", PSA,
     REFS(IMPLEMENTATION,
          "{0: 'psa.software-component', 1: {0: {0: '1'}, " DIGEST ", 11: 'BL', " SIGNER "}}"),
     ATLS_OK, NULL},
    {"PSA component of an older profile", "32('http://arm.com/psa/iot/1')",
     REFS(IMPLEMENTATION, COMPONENT), ATLS_OK, NULL},
    {"PSA signer-id of 64 bytes", PSA,
     REFS(IMPLEMENTATION, "{0: 'psa.software-component', 1: {" DIGEST ", 13: [560(h(64))]}}"),
     ATLS_OK, NULL},
    {"PSA key", PSA, KEYS(DEVICE, PEM), ATLS_OK, NULL},
    {"PSA identity key", PSA, "{2: [[" DEVICE ", [" PEM "]]]}", ATLS_OK, NULL},
    {"implementation-id of 31 bytes", PSA, REFS("{0: {0: 560(h(31))}}", COMPONENT), ATLS_E_DECODE,
     "class-id is not an implementation-id"},
    {"implementation-id as a UUID", PSA, REFS(MACHINE, COMPONENT), ATLS_E_DECODE,
     "class-id is not an implementation-id"},
    {"PSA component without a class-id", PSA, REFS("{0: {1: 'v'}}", COMPONENT), ATLS_E_DECODE,
     "class-id is not an implementation-id"},
    {"PSA reference values of one device", PSA, REFS(DEVICE, COMPONENT), ATLS_E_DECODE,
     "reference values have an instance"},
    {"PSA component of another mkey", PSA, REFS(IMPLEMENTATION, CCA_COMPONENT), ATLS_E_DECODE,
     "is not psa.software-component"},
    {"second PSA component without digests", PSA,
     REFS(IMPLEMENTATION, COMPONENT ", {0: 'psa.software-component', 1: {" SIGNER "}}"),
     ATLS_E_DECODE, "measurement 1: software component: has no digests"},
    {"PSA component without a signer-id", PSA,
     REFS(IMPLEMENTATION, "{0: 'psa.software-component', 1: {" DIGEST "}}"), ATLS_E_DECODE,
     "has no signer-id"},
    {"PSA component with two signer-ids", PSA,
     REFS(IMPLEMENTATION,
          "{0: 'psa.software-component', 1: {" DIGEST ", 13: [560(h(32)), 560(h(32))]}}"),
     ATLS_E_DECODE, "several signer-ids"},
    {"PSA signer-id of 33 bytes", PSA,
     REFS(IMPLEMENTATION, "{0: 'psa.software-component', 1: {" DIGEST ", 13: [560(h(33))]}}"),
     ATLS_E_DECODE, "signer-id is not tag 560"},
    {"PSA signer-id by its key", PSA,
     REFS(IMPLEMENTATION, "{0: 'psa.software-component', 1: {" DIGEST ", 13: [" PEM "]}}"),
     ATLS_E_DECODE, "signer-id is not tag 560"},
    {"PSA component with a security version", PSA,
     REFS(IMPLEMENTATION, "{0: 'psa.software-component', 1: {1: 1, " DIGEST ", " SIGNER "}}"),
     ATLS_E_DECODE, "a value other than"},
    {"PSA component with an extension that nobody knows", PSA,
     REFS(IMPLEMENTATION, "{0: 'psa.software-component', 1: {" DIGEST ", " SIGNER ", 101: 1}}"),
     ATLS_E_UNSUPPORTED, "value 101 is not known"},
    {"PSA certificate for a component", PSA,
     "{10: [[[[" IMPLEMENTATION ", [" COMPONENT "]]], [[" IMPLEMENTATION
     ", [{0: 'psa.certification', 1: {100: '1 - 2'}}]]]]]}",
     ATLS_OK, NULL},
    {"PSA certificate as a reference value", PSA,
     REFS(IMPLEMENTATION, "{0: 'psa.certification', 1: {100: '1 - 2'}}"), ATLS_E_DECODE,
     "is not psa.software-component"},
    {"PSA certificate by number", PSA,
     "{1: [[" IMPLEMENTATION ", [{0: 'psa.certification', 1: {100: 12}}]]]}", ATLS_E_DECODE,
     "endorsed triple 0: PSA profile: measurement 0: psa.certification: the certificate number"},
    {"PSA certificate with a name", PSA,
     "{1: [[" IMPLEMENTATION ", [{0: 'psa.certification', 1: {11: 'n', 100: '12'}}]]]}",
     ATLS_E_DECODE, "psa.certification: a value other than"},
    {"PSA endorsement of no implementation", PSA, "{1: [[" MACHINE ", [" COMPONENT "]]]}",
     ATLS_E_DECODE, "endorsed triple 0: PSA profile: class-id"},
    {"PSA condition of no implementation", PSA,
     "{10: [[[[" MACHINE ", [" COMPONENT "]]], [[" IMPLEMENTATION ", [" COMPONENT "]]]]]}",
     ATLS_E_DECODE, "conditional-endorsement triple 0: PSA profile: class-id"},
    {"PSA series for no implementation", PSA,
     "{8: [[[" MACHINE ", []], [[[" COMPONENT "], [" COMPONENT "]]]]]}", ATLS_E_DECODE,
     "conditional-endorsement-series triple 0: PSA profile: class-id"},
    {"PSA series", PSA, "{8: [[[" IMPLEMENTATION ", []], [[[" COMPONENT "], [" COMPONENT "]]]]]}",
     ATLS_OK, NULL},
    {"PSA selection of another mkey", PSA,
     "{8: [[[" IMPLEMENTATION ", []], [[[" RIM "], [" COMPONENT "]]]]]}", ATLS_E_DECODE,
     "mkey is neither psa"},
    {"PSA key without an instance", PSA, KEYS(IMPLEMENTATION, PEM), ATLS_E_DECODE,
     "has no instance"},
    {"PSA key without an implementation-id", PSA, KEYS("{1: " UEID "}", PEM), ATLS_E_DECODE,
     "class-id is not"},
    {"PSA instance of 32 bytes", PSA, KEYS("{0: {0: 560(h(32))}, 1: 550(h(32))}", PEM),
     ATLS_E_DECODE, "instance is not a UEID"},
    {"PSA instance that does not begin with 01", PSA,
     KEYS("{0: {0: 560(h(32))}, 1: 550(h(33))}", PEM), ATLS_E_DECODE, "instance is not a UEID"},
    {"PSA instance of opaque bytes", PSA, KEYS("{0: {0: 560(h(32))}, 1: 560(h(33))}", PEM),
     ATLS_E_DECODE, "instance is not a UEID"},
    {"two PSA keys", PSA, KEYS(DEVICE, PEM ", " PEM), ATLS_E_DECODE, "several keys"},
    {"PSA key in a certificate", PSA, KEYS(DEVICE, CERTIFICATE), ATLS_E_DECODE, "(tag 554)"},
    {"PSA key in the PEM of a certificate", PSA, KEYS(DEVICE, "554('-----BEGIN CERTIFICATE-----')"),
     ATLS_E_DECODE, "does not begin with"},
    {"PSA key for one mkey", PSA, "{3: [[" DEVICE ", [" PEM "], {0: 1}]]}", ATLS_E_DECODE,
     "has conditions"},
    {"PSA identity without an instance", PSA, "{2: [[" IMPLEMENTATION ", [" PEM "]]]}",
     ATLS_E_DECODE, "identity triple 0: PSA profile: has no instance"},
    /* CCA platform */
    {"CCA components and configuration", CCA,
     REFS(IMPLEMENTATION, CCA_COMPONENT ", " CCA_COMPONENT ", " CCA_CONFIG), ATLS_OK, NULL},
    {"CCA component of the older profile", "32('http://arm.com/cca/ssd/1')",
     REFS(IMPLEMENTATION, CCA_COMPONENT), ATLS_OK, NULL},
    {"two CCA configurations", CCA, REFS(IMPLEMENTATION, CCA_CONFIG ", " CCA_CONFIG), ATLS_E_DECODE,
     "more than one cca.platform-config"},
    {"CCA configuration by digest", CCA,
     REFS(IMPLEMENTATION, "{0: 'cca.platform-config', 1: {" DIGEST "}}"), ATLS_E_DECODE,
     "is not a raw-value alone"},
    {"CCA configuration with a name", CCA,
     REFS(IMPLEMENTATION, "{0: 'cca.platform-config', 1: {4: 560(h'01'), 11: 'n'}}"), ATLS_E_DECODE,
     "is not a raw-value alone"},
    {"CCA component without digests", CCA,
     REFS(IMPLEMENTATION, "{0: 'cca.software-component', 1: {" SIGNER "}}"), ATLS_E_DECODE,
     "has no digests"},
    {"CCA component of PSA", CCA, REFS(IMPLEMENTATION, COMPONENT), ATLS_E_DECODE,
     "mkey is neither cca"},
    {"CCA reference values of one device", CCA, REFS(DEVICE, CCA_COMPONENT), ATLS_E_DECODE,
     "reference values have an instance"},
    {"CCA key without an instance", CCA, KEYS(IMPLEMENTATION, PEM), ATLS_E_DECODE,
     "has no instance"},
    /* CCA realm */
    {"realm with its initial measurement", REALM, REFS(REALM_CLASS, RIM), ATLS_OK, NULL},
    {"realm of the older profile", "32('http://arm.com/cca/realm/1')", REFS(REALM_CLASS, RIM),
     ATLS_OK, NULL},
    {"realm with extensible measurements and a personalization value", REALM,
     REFS(REALM_CLASS, RIM ", {0: 'cca.rem3', 1: {" DIGEST "}}, "
                           "{0: 'cca.rpv', 1: {4: 560(h(64))}}"),
     ATLS_OK, NULL},
    {"realm without its initial measurement", REALM,
     REFS(REALM_CLASS, "{0: 'cca.rem0', 1: {" DIGEST "}}"), ATLS_E_DECODE, "has no cca.rim"},
    {"realm whose initial measurement is another", REALM, REFS("{0: {0: 560(h(48))}}", RIM),
     ATLS_E_DECODE, "cca.rim is not the class-id"},
    {"realm with a class-id of 33 bytes", REALM, REFS("{0: {0: 560(h(33))}}", RIM), ATLS_E_DECODE,
     "class-id is not a realm initial measurement"},
    {"realm with two initial measurements", REALM, REFS(REALM_CLASS, RIM ", " RIM), ATLS_E_DECODE,
     "an mkey twice"},
    {"realm with cca.rem4", REALM, REFS(REALM_CLASS, RIM ", {0: 'cca.rem4', 1: {" DIGEST "}}"),
     ATLS_E_DECODE, "mkey is none of cca.rim"},
    {"realm measurement with a name", REALM,
     REFS(REALM_CLASS, "{0: 'cca.rim', 1: {" DIGEST ", 11: 'n'}}"), ATLS_E_DECODE,
     "is not digests alone"},
    {"personalization value of 65 bytes", REALM,
     REFS(REALM_CLASS, RIM ", {0: 'cca.rpv', 1: {4: 560(h(65))}}"), ATLS_E_DECODE, "cca.rpv"},
    {"personalization value as digests", REALM,
     REFS(REALM_CLASS, RIM ", {0: 'cca.rpv', 1: {" DIGEST "}}"), ATLS_E_DECODE, "cca.rpv"},
    {"realm with an instance", REALM, REFS(DEVICE, RIM), ATLS_E_DECODE,
     "reference values have an instance"},
    {"key of a realm", REALM, KEYS(DEVICE, PEM), ATLS_E_DECODE, "no manifest has it"},
    /* TPM */
    {"PCR", TPM, REFS(MACHINE, "{0: 23, 1: {" DIGEST "}}"), ATLS_OK, NULL},
    {"key of a TPM, by UEID", TPM, KEYS("{0: {0: " UUID "}, 1: " UEID "}", PEM), ATLS_OK, NULL},
    {"key of a TPM, by bytes", TPM, KEYS("{0: {0: " UUID "}, 1: 560(h(33))}", PEM), ATLS_OK, NULL},
    {"PCR 24", TPM, REFS(MACHINE, "{0: 24, 1: {" DIGEST "}}"), ATLS_E_DECODE, "PCR index"},
    {"PCR by name", TPM, REFS(MACHINE, "{0: 'a', 1: {" DIGEST "}}"), ATLS_E_DECODE, "PCR index"},
    {"PCR without digests", TPM, REFS(MACHINE, "{0: 1, 1: {4: 560(h(32))}}"), ATLS_E_DECODE,
     "a PCR has no digests"},
    {"PCR of no machine", TPM, REFS(IMPLEMENTATION, "{0: 1, 1: {" DIGEST "}}"), ATLS_E_DECODE,
     "class-id is not a UUID"},
    {"key of a TPM with a kid of 6 bytes", TPM, KEYS("{0: {0: " UUID "}, 1: 560(h(6))}", PEM),
     ATLS_E_DECODE, "instance is not the kid"},
    {"key of a TPM by UUID", TPM, KEYS("{0: {0: " UUID "}, 1: " UUID "}", PEM), ATLS_E_DECODE,
     "instance is not the kid"},
    {"key of a TPM without a kid", TPM, KEYS(MACHINE, PEM), ATLS_E_DECODE, "has no instance"},
    {"two keys of a TPM", TPM, KEYS("{0: {0: " UUID "}, 1: " UEID "}", PEM ", " PEM), ATLS_E_DECODE,
     "several keys"},
    /* TPM with node id */
    {"PCR composite", ENACTTRUST, REFS("{1: " UUID "}", "{1: {" DIGEST "}}"), ATLS_OK, NULL},
    {"key of a node", ENACTTRUST, KEYS("{1: " UUID "}", PEM), ATLS_OK, NULL},
    {"node with a class", ENACTTRUST, REFS("{0: {1: 'v'}, 1: " UUID "}", "{1: {" DIGEST "}}"),
     ATLS_E_DECODE, "has a class"},
    {"node by UEID", ENACTTRUST, REFS("{1: " UEID "}", "{1: {" DIGEST "}}"), ATLS_E_DECODE,
     "instance is not the UUID"},
    {"composite with an mkey", ENACTTRUST, REFS("{1: " UUID "}", "{0: 1, 1: {" DIGEST "}}"),
     ATLS_E_DECODE, "has an mkey"},
    {"composite of two digests", ENACTTRUST,
     REFS("{1: " UUID "}", "{1: {2: [[1, h(32)], [7, h(48)]]}}"), ATLS_E_DECODE,
     "is not one digest"},
    {"two composites", ENACTTRUST, REFS("{1: " UUID "}", "{1: {" DIGEST "}}, {1: {" DIGEST "}}"),
     ATLS_E_DECODE, "more than one measurement"},
    {"key of a node with a class", ENACTTRUST, KEYS("{0: {1: 'v'}, 1: " UUID "}", PEM),
     ATLS_E_DECODE, "has a class"},
    {"two keys of a node", ENACTTRUST, KEYS("{1: " UUID "}", PEM ", " PEM), ATLS_E_DECODE,
     "several keys"},
    /* SEV-SNP */
    {"report fields", SNP,
     REFS(VCEK, "{0: 1, 1: {1: 553(0)}}, {0: 641, 1: {2: [[7, h(48)]]}}, "
                "{0: 642, 1: {4: 560(h(32))}}, {0: 647, 1: {1: 552(3)}}"),
     ATLS_OK, NULL},
    {"class of VLEK", SNP, REFS("{0: {0: 111(h'2b060104019c780302')}}", "{0: 1, 1: {1: 553(0)}}"),
     ATLS_OK, NULL},
    {"AMD root key", SNP, KEYS(AMD, CERTIFICATE), ATLS_OK, NULL},
    {"class of another key", SNP,
     REFS("{0: {0: 111(h'2b060104019c780303')}}", "{0: 1, 1: {1: 553(0)}}"), ATLS_E_DECODE,
     "class-id is neither"},
    {"instance by UUID", SNP,
     REFS("{0: {0: 111(h'2b060104019c780301')}, 1: " UUID "}", "{0: 1, 1: {1: 553(0)}}"),
     ATLS_E_DECODE, "instance is not opaque bytes"},
    {"field that no report has", SNP, REFS(VCEK, "{0: 8, 1: {1: 553(0)}}"), ATLS_E_DECODE,
     "mkey is not the number"},
    {"field without a number", SNP, REFS(VCEK, "{1: {1: 553(0)}}"), ATLS_E_DECODE,
     "mkey is not the number"},
    {"measurement as a raw value", SNP, REFS(VCEK, "{0: 641, 1: {4: 560(h(48))}}"), ATLS_E_DECODE,
     "not of the kind"},
    {"measurement of SHA-256", SNP, REFS(VCEK, "{0: 641, 1: {2: [[1, h(32)]]}}"), ATLS_E_DECODE,
     "one digest of SHA-384"},
    {"host data of 31 bytes", SNP, REFS(VCEK, "{0: 642, 1: {4: 560(h(31))}}"), ATLS_E_DECODE,
     "not as long as the field"},
    {"field twice", SNP, REFS(VCEK, "{0: 1, 1: {1: 553(0)}}, {0: 1, 1: {1: 553(1)}}"),
     ATLS_E_DECODE, "a field twice"},
    {"AMD root key without a model", SNP, KEYS("{0: {1: 'AMD'}}", CERTIFICATE), ATLS_E_DECODE,
     "has no vendor or no model"},
    {"AMD root key as a key", SNP, KEYS(AMD, PEM), ATLS_E_DECODE, "key is not a certificate"},
    {"AMD root key in other PEM", SNP, KEYS(AMD, "555('-----BEGIN PUBLIC KEY-----')"),
     ATLS_E_DECODE, "does not begin with -----BEGIN CERTIFICATE"},
    {"two AMD root keys", SNP, KEYS(AMD, CERTIFICATE ", " CERTIFICATE), ATLS_E_DECODE,
     "several keys"},
    {"AMD root key for one mkey", SNP, "{3: [[" AMD ", [" CERTIFICATE "], {0: 1}]]}", ATLS_E_DECODE,
     "has conditions"},
    {"root keys alone", ARK, KEYS(AMD, CERTIFICATE), ATLS_OK, NULL},
    {"root keys with reference values", ARK, REFS(VCEK, "{0: 1, 1: {1: 553(0)}}"), ATLS_E_DECODE,
     "reference values are not of this profile"},
    {"root key without a vendor", ARK, KEYS("{0: {2: 'ARK'}}", CERTIFICATE), ATLS_E_DECODE,
     "has no vendor"},
    /* TDX */
    {"TDX module", TDX,
     REFS(SEAM, "{1: {-73: 60010([2, 6]), -83: 60020([6, [[1, h(32)]]]), -88: 60021([7, ['a']])}}"),
     ATLS_OK, NULL},
    {"TDX module with plain values", TDX, REFS(SEAM, "{1: {-73: 6, -82: h(8)}}"), ATLS_OK, NULL},
    {"TDX class of a deployment", TDX, REFS("{0: {0: 111(h'2b0601')}}", "{1: {-73: 6}}"), ATLS_OK,
     NULL},
    {"certificate of Intel", TDX, KEYS(SEAM, CERTIFICATE), ATLS_OK, NULL},
    {"key for a TDX class", TDX, KEYS(SEAM, PEM), ATLS_OK, NULL},
    {"Intel class of another vendor", TDX,
     REFS("{0: {0: 111(h'6086480186f84d0102030403'), 1: 'Intel'}}", "{1: {-73: 6}}"), ATLS_E_DECODE,
     "vendor of an Intel class"},
    {"TDX class by UUID", TDX, REFS(MACHINE, "{1: {-73: 6}}"), ATLS_E_DECODE,
     "class-id is not an OID"},
    {"TDX value that nobody knows", TDX, REFS(SEAM, "{1: {-74: 6}}"), ATLS_E_UNSUPPORTED,
     "value -74 is not known"},
    {"number with a set operator", TDX, REFS(SEAM, "{1: {-73: 60010([6, 6])}}"), ATLS_E_DECODE,
     "an expression"},
    {"set with an order operator", TDX, REFS(SEAM, "{1: {-83: 60020([0, [[1, h(32)]]])}}"),
     ATLS_E_DECODE, "an expression"},
    {"operator 8", TDX, REFS(SEAM, "{1: {-88: 60021([8, ['a']])}}"), ATLS_E_DECODE,
     "an expression"},
    {"expression of one member", TDX, REFS(SEAM, "{1: {-73: 60010([2])}}"), ATLS_E_DECODE,
     "an expression"},
    {"number that is text", TDX, REFS(SEAM, "{1: {-73: 60010([2, 'a'])}}"), ATLS_E_DECODE,
     "an expression"},
    {"empty set of digests", TDX, REFS(SEAM, "{1: {-83: 60020([6, []])}}"), ATLS_E_DECODE,
     "an expression"},
    {"set of digests that is text", TDX, REFS(SEAM, "{1: {-83: 60020([6, ['a']])}}"), ATLS_E_DECODE,
     "an expression"},
    {"set of texts that is numbers", TDX, REFS(SEAM, "{1: {-88: 60021([6, [1]])}}"), ATLS_E_DECODE,
     "an expression"},
    {"two keys for a TDX class", TDX, KEYS(SEAM, PEM ", " PEM), ATLS_E_DECODE, "several keys"},
    {"key for no TDX class", TDX, KEYS(MACHINE, CERTIFICATE), ATLS_E_DECODE,
     "class-id is not an OID"},
    /* software */
    {"measurement by name", SOFT, REFS(MACHINE, "{0: 'a', 1: {" DIGEST "}}"), ATLS_OK, NULL},
    {"measurement by number", SOFT, REFS(MACHINE, "{0: 1, 1: {" DIGEST "}}"), ATLS_E_DECODE,
     "mkey is not a name"},
    {"measurement with an empty name", SOFT, REFS(MACHINE, "{0: '', 1: {" DIGEST "}}"),
     ATLS_E_DECODE, "mkey is not a name"},
    {"measurement without digests", SOFT, REFS(MACHINE, "{0: 'a', 1: {1: 1}}"), ATLS_E_DECODE,
     "a measurement has no digests"},
    {"software of no machine", SOFT, REFS(IMPLEMENTATION, "{0: 'a', 1: {" DIGEST "}}"),
     ATLS_E_DECODE, "class-id is not a UUID"},
    /* whatever the profile */
    {"no profile, any value", "", REFS(DEVICE, "{0: 'a', 1: {-7: 1, 100: 'a'}}"), ATLS_OK, NULL},
    {"no profile, several keys", "", KEYS(DEVICE, PEM ", " PEM), ATLS_OK, NULL},
    {"links to CoSWID tags", PSA, "{6: [[" IMPLEMENTATION ", ['a']]]}", ATLS_OK, NULL},
    {"domains", PSA, "{4: [[" MACHINE ", [" SEAM "]]], 5: [[" MACHINE ", [" SEAM "]]]}", ATLS_OK,
     NULL},
    {"unknown kind of triples", "", "{7: [0]}", ATLS_E_UNSUPPORTED, "unknown kind 7"},
    {"unknown kind of triples, below zero", "", "{-1: [0]}", ATLS_E_UNSUPPORTED, "unknown kind -1"},
    {"unknown profile", "32('tag:example.com,2026:x')", REFS(DEVICE, COMPONENT), ATLS_E_UNSUPPORTED,
     "profile tag:example.com,2026:x is not"},
    {"unknown profile by OID", "111(h'2b06')", REFS(DEVICE, COMPONENT), ATLS_E_UNSUPPORTED,
     "profile d86f422b06 is not"},
};

/* A manifest of one CoMID, and what the check says of it. */
static enum atls_code check(const char *profile, const char *triples, const char *more,
                            const struct atls_corim_profile **out, struct atls_err *err)
{
    char text[2048];
    struct atls_corim corim;
    struct atls_buf in;
    enum atls_code code;

    snprintf(text, sizeof text, "501({0: 'i', 1: [506(<<{1: {0: 't'}, 4: %s}>>)]%s%s%s})", triples,
             profile[0] == '\0' ? "" : ", 3: ", profile, more);
    in = test_diag(text);
    test_assert_code(atls_corim_decode(atls_buf_bytes(&in), &corim, err), ATLS_OK, err);
    code = atls_corim_profile_check(&corim, out, err);
    atls_corim_clear(&corim);
    atls_buf_clear(&in);
    return code;
}

static void test_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code = check(rules[i].profile, rules[i].triples, "", NULL, &err);

        if (code != rules[i].want ||
            (rules[i].says != NULL && strstr(err.message, rules[i].says) == NULL))
            fail_msg("%s: code %d, want %d: %s", rules[i].name, code, rules[i].want, err.message);
        if (code == ATLS_E_DECODE)
            assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
    }
}

static void test_members_that_are_not_known(void **state)
{
    struct atls_buf in =
        test_diag("501({0: 'i', 1: [506(<<{1: {0: 't'}, 4: {6: [0]}, 99: 0}>>)]})");
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_corim corim;

    (void)state;
    assert_int_equal(check("", "{6: [0]}", ", 99: 0", NULL, &err), ATLS_E_UNSUPPORTED);
    assert_string_equal(err.message + 0, "CoRIM: members that are not known");
    test_assert_code(atls_corim_decode(atls_buf_bytes(&in), &corim, &err), ATLS_OK, &err);
    test_assert_code(atls_corim_profile_check(&corim, NULL, &err), ATLS_E_UNSUPPORTED, &err);
    atls_corim_clear(&corim);
    atls_buf_clear(&in);
}

static void test_find(void **state)
{
    static const struct {
        const char *item;
        enum atls_corim_scheme want;
    } found[] = {
        {PSA, ATLS_CORIM_SCHEME_PSA},
        {"32('http://arm.com/psa/iot/1')", ATLS_CORIM_SCHEME_PSA},
        {CCA, ATLS_CORIM_SCHEME_CCA_PLATFORM},
        {"32('http://arm.com/cca/ssd/1')", ATLS_CORIM_SCHEME_CCA_PLATFORM},
        {REALM, ATLS_CORIM_SCHEME_CCA_REALM},
        {"32('http://arm.com/cca/realm/1')", ATLS_CORIM_SCHEME_CCA_REALM},
        {TPM, ATLS_CORIM_SCHEME_PARSEC_TPM},
        {"32('tag:github.com/parallaxsecond,2023-03-03:cca')", ATLS_CORIM_SCHEME_PARSEC_CCA},
        {ENACTTRUST, ATLS_CORIM_SCHEME_ENACTTRUST_TPM},
        {SNP, ATLS_CORIM_SCHEME_SEV_SNP},
        {ARK, ATLS_CORIM_SCHEME_SEV_SNP_ANCHOR},
        {TDX, ATLS_CORIM_SCHEME_TDX},
        {SOFT, ATLS_CORIM_SCHEME_SOFT},
    };
    static const char *const not_found[] = {
        "32('')",
        "'tag:arm.com,2025:psa#1.0.0'",
        "111(h'')",
        "32('tag:arm.com,2025:psa#1.0.1')",
        "33('https://amd.com/ark')",
        "560(h'6086480186f84d011001')",
        "111('6086480186f84d011001')",
    };

    (void)state;
    assert_int_equal(atls_corim_profile_find(atls_bytes_of(NULL, 0))->scheme,
                     ATLS_CORIM_SCHEME_NONE);
    for (size_t i = 0; i < sizeof found / sizeof found[0]; i++) {
        struct atls_buf item = test_diag(found[i].item);
        const struct atls_corim_profile *profile = atls_corim_profile_find(atls_buf_bytes(&item));

        assert_non_null(profile);
        assert_int_equal(profile->scheme, found[i].want);
        assert_null(atls_corim_profile_find(atls_bytes_of(item.ptr, item.len - 1)));
        atls_buf_clear(&item);
    }
    for (size_t i = 0; i < sizeof not_found / sizeof not_found[0]; i++) {
        struct atls_buf item = test_diag(not_found[i]);

        if (atls_corim_profile_find(atls_buf_bytes(&item)) != NULL)
            fail_msg("%s", not_found[i]);
        atls_buf_clear(&item);
    }
}

static void test_extensions(void **state)
{
    struct atls_buf psa = test_diag(PSA), tdx = test_diag(TDX);
    const struct atls_corim_profile *profile = atls_corim_profile_find(atls_buf_bytes(&psa));

    (void)state;
    assert_true(atls_corim_profile_defines(profile, 100));
    assert_false(atls_corim_profile_defines(profile, -73));
    profile = atls_corim_profile_find(atls_buf_bytes(&tdx));
    assert_true(atls_corim_profile_defines(profile, -73));
    assert_true(atls_corim_profile_defines(profile, -125));
    assert_false(atls_corim_profile_defines(profile, 100));
    atls_buf_clear(&psa);
    atls_buf_clear(&tdx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors), cmocka_unit_test(test_tdx_vectors),
        cmocka_unit_test(test_rules),   cmocka_unit_test(test_members_that_are_not_known),
        cmocka_unit_test(test_find),    cmocka_unit_test(test_extensions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
