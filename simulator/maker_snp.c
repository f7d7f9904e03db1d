/* Machines with AMD SEV-SNP: one chip with its VCEK, or the cloud's VLEK, of two firmwares. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "simulator/amd.h"
#include "simulator/folder.h"
#include "simulator/maker.h"
#include "simulator/manifest.h"
#include "simulator/service.h"
#include "wire/measurement.h"

#define DAY_S INT64_C(86400)
/* How long a list holds, and since when it does not when that is ordered. */
#define HOLDS_S (30 * DAY_S)
#define AGO_S   (60 * DAY_S)

#define CORIM_PROFILE    "tag:amd.com,2024:snp-corim-profile"
#define MKEY_MEASUREMENT 641

#define RSA_BITS   4096
#define AMD_FILE   "keys/amd.pem"
#define CHIP_FILE  "machine/chip-id"
#define CHAINS_MAX (64 * 1024)

/* Firmware that was current, and one before it. */
enum firmware { CURRENT, OLD, FIRMWARES };
static const char *const vek_files[FIRMWARES] = {"machine/vek.der", "machine/vek-old.der"};

/* Certificates are made once, since each making signs anew. */
static const struct {
    enum atls_sim_amd_certificate kind;
    const char *file;
} authorities[] = {{ATLS_SIM_ASK, "machine/ask.der"}, {ATLS_SIM_ASVK, "machine/asvk.der"}};

struct snp {
    struct atls_sim_amd *amd;
    enum atls_snp_line line;
    const char *line_name; /* "milan"; static */
    bool vlek;
    int64_t time_s;
    uint8_t chip_id[64];
    struct atls_buf veks[FIRMWARES];
};

static void order_init(const struct snp *snp, enum firmware firmware, struct atls_sim_snp *out)
{
    atls_sim_snp_init(out, snp->line, snp->time_s);
    out->vlek = snp->vlek;
    memcpy(out->chip_id, snp->chip_id, sizeof out->chip_id);
    if (firmware == CURRENT)
        return;
    out->reported.snp -= 4;
    out->reported.microcode -= 10;
    out->current = out->committed = out->launch = out->reported;
    out->current_firmware.minor--;
    out->committed_firmware = out->current_firmware;
}

static enum firmware firmware_of(const struct atls_sim_state *state)
{
    return atls_sim_state_is(state, ATLS_SIM_ORDER_TCB, "old") ? OLD : CURRENT;
}

/* ---- what is kept ---- */

static enum atls_code keep_certificate(const struct snp *snp, const char *folder,
                                       const struct atls_sim_snp *order,
                                       enum atls_sim_amd_certificate kind, const char *file,
                                       struct atls_err *err)
{
    struct atls_buf der = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = atls_sim_amd_certificate(snp->amd, kind, order, NULL, &der, err)) != ATLS_OK)
        return code;
    code = atls_sim_folder_write(folder, file, atls_buf_bytes(&der), ATLS_SIM_PUBLIC, err);
    atls_buf_clear(&der);
    return code;
}

static enum atls_code keep_certificates(const struct snp *snp, const char *folder,
                                        struct atls_err *err)
{
    struct atls_sim_snp order;
    enum atls_code code;

    for (int i = 0; i < FIRMWARES; i++) {
        order_init(snp, (enum firmware)i, &order);
        if ((code = keep_certificate(snp, folder, &order, snp->vlek ? ATLS_SIM_VLEK : ATLS_SIM_VCEK,
                                     vek_files[i], err)) != ATLS_OK)
            return code;
    }
    for (size_t i = 0; i < sizeof authorities / sizeof authorities[0]; i++)
        if ((code = keep_certificate(snp, folder, &order, authorities[i].kind, authorities[i].file,
                                     err)) != ATLS_OK)
            return code;
    return ATLS_OK;
}

static enum atls_code keep(const struct snp *snp, const char *folder, struct atls_err *err)
{
    struct atls_buf text = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = atls_sim_amd_save(snp->amd, &text, err)) != ATLS_OK)
        return code;
    code = atls_sim_folder_write(folder, AMD_FILE, atls_buf_bytes(&text), ATLS_SIM_SECRET, err);
    atls_buf_clear(&text);
    if (code == ATLS_OK)
        code = atls_sim_folder_write(folder, CHIP_FILE,
                                     atls_bytes_of(snp->chip_id, sizeof snp->chip_id),
                                     ATLS_SIM_PUBLIC, err);
    return code != ATLS_OK ? code : keep_certificates(snp, folder, err);
}

static void snp_close(void *self)
{
    struct snp *snp = self;

    if (snp == NULL)
        return;
    atls_sim_amd_free(snp->amd);
    for (int i = 0; i < FIRMWARES; i++)
        atls_buf_clear(&snp->veks[i]);
    free(snp);
}

static struct snp *snp_new(const struct atls_sim_setup *setup, struct atls_err *err)
{
    static const struct {
        const char *name;
        enum atls_snp_line line;
    } lines[] = {{"milan", ATLS_SNP_MILAN}, {"genoa", ATLS_SNP_GENOA}, {"turin", ATLS_SNP_TURIN}};
    struct snp *snp = calloc(1, sizeof *snp);

    if (snp == NULL) {
        (void)atls_fail(err, ATLS_E_NOMEM, "out of memory");
        return NULL;
    }
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (strcmp(lines[i].name, setup->line) == 0) {
            snp->line = lines[i].line;
            snp->line_name = lines[i].name;
        }
    snp->vlek = setup->vlek;
    snp->time_s = setup->time_s;
    return snp;
}

static enum atls_code snp_make(const char *folder, const struct atls_sim_setup *setup,
                               struct atls_err *err)
{
    struct snp *snp = snp_new(setup, err);
    enum atls_code code;

    if (snp == NULL)
        return ATLS_E_NOMEM;
    if ((code = atls_sim_amd_new(setup->rsa_bits != 0 ? setup->rsa_bits : RSA_BITS, &snp->amd,
                                 err)) == ATLS_OK &&
        (code = atls_random(snp->chip_id, atls_snp_chip_id_len(snp->line), err)) == ATLS_OK)
        code = keep(snp, folder, err);
    snp_close(snp);
    return code;
}

static enum atls_code snp_load(struct snp *snp, const char *folder, struct atls_err *err)
{
    struct atls_buf text = ATLS_BUF_INIT, chip = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = atls_sim_folder_read(folder, AMD_FILE, &text, err)) != ATLS_OK)
        return code;
    code = atls_sim_amd_load(atls_buf_bytes(&text), &snp->amd, err);
    atls_buf_clear(&text);
    if (code != ATLS_OK || (code = atls_sim_folder_read(folder, CHIP_FILE, &chip, err)) != ATLS_OK)
        return code;
    if (chip.len == sizeof snp->chip_id)
        memcpy(snp->chip_id, chip.ptr, chip.len);
    else
        code = atls_fail(err, ATLS_E_DECODE, CHIP_FILE ": %zu bytes, want 64", chip.len);
    atls_buf_clear(&chip);
    for (int i = 0; code == ATLS_OK && i < FIRMWARES; i++)
        code = atls_sim_folder_read(folder, vek_files[i], &snp->veks[i], err);
    return code;
}

static enum atls_code snp_open(const char *folder, const struct atls_sim_setup *setup,
                               void **out_self, struct atls_err *err)
{
    struct snp *snp = snp_new(setup, err);
    enum atls_code code;

    if (snp == NULL)
        return ATLS_E_NOMEM;
    if ((code = snp_load(snp, folder, err)) != ATLS_OK) {
        snp_close(snp);
        return code;
    }
    *out_self = snp;
    return ATLS_OK;
}

/* ---- evidence ---- */

static void guest_of(struct atls_sim_snp *order, const struct atls_sim_state *state)
{
    atls_sim_state_hex(state, ATLS_SIM_ORDER_MEASUREMENT, order->measurement);
    atls_sim_state_hex(state, ATLS_SIM_ORDER_HOST_DATA, order->host_data);
    order->guest_svn = (uint32_t)atls_sim_state_number(state, ATLS_SIM_ORDER_GUEST_SVN);
    if (atls_sim_state_is(state, ATLS_SIM_ORDER_DEBUG, "yes"))
        order->policy |= ATLS_SNP_POLICY_DEBUG;
    if (atls_sim_state_is(state, ATLS_SIM_ORDER_MASKED, "yes")) {
        order->key_info |= ATLS_SNP_MASKED_CHIP;
        memset(order->chip_id, 0, sizeof order->chip_id);
    }
}

/* The table that the host hands out: the endorsement key's certificate. */
static enum atls_code make_table(const struct snp *snp, enum firmware firmware,
                                 struct atls_buf *out, struct atls_err *err)
{
    const struct atls_bytes vek = atls_buf_bytes(&snp->veks[firmware]);
    struct atls_snp_certificates table = {.vcek = {NULL, 0}};

    if (snp->vlek)
        table.vlek = vek;
    else
        table.vcek = vek;
    return atls_snp_certificates_encode(&table, out, err);
}

static enum atls_code snp_evidence(void *self, const struct atls_sim_state *state,
                                   const struct atls_sim_request *request,
                                   struct atls_sim_blobs *out, struct atls_err *err)
{
    const struct snp *snp = self;
    uint8_t report[ATLS_SNP_REPORT_LEN];
    struct atls_sim_snp order;
    enum atls_code code;

    if (request->service_provider[0] != '\0')
        return atls_fail(err, ATLS_E_USAGE, "there is no service \"%s\"",
                         request->service_provider);
    if (request->privlevel < atls_sim_state_number(state, ATLS_SIM_ORDER_VMPL_FLOOR))
        return atls_fail(err, ATLS_E_DEVICE, "VMPL %u is not the guest's", request->privlevel);
    order_init(snp, firmware_of(state), &order);
    guest_of(&order, state);
    order.vmpl = request->privlevel;
    if ((code = atls_sim_amd_report(snp->amd, &order, request->inblob.ptr, report, err)) !=
            ATLS_OK ||
        (code = atls_buf_copy(&out->outblob, atls_bytes_of(report, sizeof report), err)) != ATLS_OK)
        return code;
    if (atls_sim_state_is(state, ATLS_SIM_ORDER_CERTIFICATES, "no"))
        return ATLS_OK;
    return make_table(snp, firmware_of(state), &out->auxblob, err);
}

/* ---- what AMD publishes ---- */

static enum atls_code publish_crl(const struct snp *snp, const char *folder,
                                  const struct atls_sim_state *state, int64_t time_s,
                                  struct atls_err *err)
{
    bool revoked = atls_sim_state_is(state, ATLS_SIM_ORDER_REVOKED, "intermediate");
    int64_t from_s =
        atls_sim_state_is(state, ATLS_SIM_ORDER_COLLATERAL, "expired") ? time_s - AGO_S : time_s;
    const struct atls_sim_amd_crl list = {.revoke_ask = revoked && !snp->vlek,
                                          .revoke_asvk = revoked && snp->vlek,
                                          .this_update_s = from_s,
                                          .next_update_s = from_s + HOLDS_S};
    struct atls_buf der = ATLS_BUF_INIT;
    struct atls_sim_snp order;
    enum atls_code code;
    char name[64];

    order_init(snp, CURRENT, &order);
    if ((code = atls_sim_amd_crl(snp->amd, &order, &list, &der, err)) != ATLS_OK)
        return code;
    snprintf(name, sizeof name, "collateral/snp-crl-%s.crl", snp->line_name);
    code = atls_sim_folder_write(folder, name, atls_buf_bytes(&der), ATLS_SIM_PUBLIC, err);
    atls_buf_clear(&der);
    return code;
}

/* Appends hexadecimal; returns what follows. */
static char *put_hex(char *at, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        at += sprintf(at, "%02x", bytes[i]);
    return at;
}

/* Copies a certificate to where its name says what it is good for (evidence/collateral.h). */
static enum atls_code publish_vek(const struct snp *snp, const char *folder, enum firmware firmware,
                                  struct atls_err *err)
{
    char file[256], *at = file;
    struct atls_sim_snp order;
    uint8_t tcb[8];

    order_init(snp, firmware, &order);
    atls_snp_tcb_write(snp->line, &order.reported, tcb);
    at += sprintf(at, "collateral/snp-vek-%s-", snp->line_name);
    if (snp->vlek)
        at += sprintf(at, "vlek");
    else
        at = put_hex(at, snp->chip_id, sizeof snp->chip_id);
    *at++ = '-';
    at = put_hex(at, tcb, sizeof tcb);
    sprintf(at, ".der");
    return atls_sim_folder_write(folder, file, atls_buf_bytes(&snp->veks[firmware]),
                                 ATLS_SIM_PUBLIC, err);
}

static enum atls_code put_pem(struct atls_writer *w, struct atls_bytes der, struct atls_err *err)
{
    struct atls_buf pem = ATLS_BUF_INIT;
    enum atls_code code = atls_pem_encode("CERTIFICATE", der, &pem, err);

    if (code == ATLS_OK)
        atls_put_bytes(w, atls_buf_bytes(&pem));
    atls_buf_clear(&pem);
    return code;
}

/* Writes the certificates in these files (NULL: none) and the root (unless empty) as PEM. */
static enum atls_code write_chain(const char *folder, const char *const files[2],
                                  struct atls_bytes root, const char *to, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(CHAINS_MAX);
    struct atls_buf text = ATLS_BUF_INIT;
    enum atls_code code = ATLS_OK;

    for (size_t i = 0; code == ATLS_OK && i < 2; i++) {
        struct atls_buf der = ATLS_BUF_INIT;

        if (files[i] == NULL)
            continue;
        if ((code = atls_sim_folder_read(folder, files[i], &der, err)) == ATLS_OK)
            code = put_pem(&w, atls_buf_bytes(&der), err);
        atls_buf_clear(&der);
    }
    if (code == ATLS_OK && root.len > 0)
        code = put_pem(&w, root, err);
    if (code != ATLS_OK) {
        atls_writer_clear(&w);
        return code;
    }
    if ((code = atls_writer_finish(&w, &text, err)) == ATLS_OK)
        code = atls_sim_folder_write(folder, to, atls_buf_bytes(&text), ATLS_SIM_PUBLIC, err);
    atls_buf_clear(&text);
    return code;
}

static enum atls_code publish_chains(const struct snp *snp, const char *folder,
                                     struct atls_err *err)
{
    const char *const ask[2] = {authorities[0].file, NULL}, *const asvk[2] = {authorities[1].file,
                                                                              NULL};
    const char *const both[2] = {authorities[0].file, authorities[1].file}, *const none[2] = {NULL,
                                                                                              NULL};
    char ca[64], root[64];
    struct atls_buf ark = ATLS_BUF_INIT;
    struct atls_sim_snp order;
    enum atls_code code;

    order_init(snp, CURRENT, &order);
    snprintf(ca, sizeof ca, "collateral/snp-ca-%s.pem", snp->line_name);
    snprintf(root, sizeof root, "roots/ark-%s.pem", snp->line_name);
    if ((code = atls_sim_amd_certificate(snp->amd, ATLS_SIM_ARK, &order, NULL, &ark, err)) ==
            ATLS_OK &&
        (code = write_chain(folder, ask, atls_buf_bytes(&ark), "machine/vcek-chain.pem", err)) ==
            ATLS_OK &&
        (code = write_chain(folder, asvk, atls_buf_bytes(&ark), "machine/vlek-chain.pem", err)) ==
            ATLS_OK &&
        (code = write_chain(folder, none, atls_buf_bytes(&ark), root, err)) == ATLS_OK)
        code = write_chain(folder, both, atls_bytes_of(NULL, 0), ca, err);
    atls_buf_clear(&ark);
    return code;
}

/* The launch measurement, for guests whose reports a chip's key signs, or a cloud's. */
static enum atls_code publish_reference(const struct snp *snp, const char *folder,
                                        struct atls_err *err)
{
    /* 1.3.6.1.4.1.3704.3.1 and .2 */
    static const uint8_t vcek[] = {0x2b, 6, 1, 4, 1, 0x9c, 0x78, 3, 1},
                         vlek[] = {0x2b, 6, 1, 4, 1, 0x9c, 0x78, 3, 2};
    uint8_t measurement[48] = {0};
    const struct atls_sim_reference reference = {.number = MKEY_MEASUREMENT,
                                                 .digest = atls_bytes_of(measurement, 48)};
    struct atls_sim_manifest manifest = {
        .id = snp->vlek ? "libatls TEST snp vlek" : "libatls TEST snp",
        .profile = CORIM_PROFILE,
        .references = &reference,
        .reference_count = 1,
    };
    struct atls_buf class_id = ATLS_BUF_INIT, corim = ATLS_BUF_INIT;
    struct atls_sim_state made;
    enum atls_code code;

    atls_sim_state_init(&made, ATLS_SIM_SNP);
    atls_sim_state_hex(&made, ATLS_SIM_ORDER_MEASUREMENT, measurement);
    if ((code = atls_sim_class_id(ATLS_TAG_OID, atls_bytes_of(snp->vlek ? vlek : vcek, sizeof vcek),
                                  &class_id, err)) != ATLS_OK)
        return code;
    manifest.class_id = atls_buf_bytes(&class_id);
    if ((code = atls_sim_manifest_make(&manifest, &corim, err)) == ATLS_OK)
        code = atls_sim_folder_write(folder, "reference/guest.corim", atls_buf_bytes(&corim),
                                     ATLS_SIM_PUBLIC, err);
    atls_buf_clear(&class_id);
    atls_buf_clear(&corim);
    return code;
}

static enum atls_code snp_publish(void *self, const char *folder,
                                  const struct atls_sim_state *state, int64_t time_s,
                                  struct atls_err *err)
{
    const struct snp *snp = self;
    enum atls_code code;

    for (int i = 0; i < FIRMWARES; i++)
        if ((code = publish_vek(snp, folder, (enum firmware)i, err)) != ATLS_OK)
            return code;
    if ((code = publish_reference(snp, folder, err)) != ATLS_OK ||
        (code = publish_chains(snp, folder, err)) != ATLS_OK)
        return code;
    return publish_crl(snp, folder, state, time_s, err);
}

static enum atls_code snp_answer(void *self, const char *folder,
                                 const struct atls_sim_question *question,
                                 struct atls_sim_answer *out, struct atls_err *err)
{
    return atls_sim_kds_answer(folder, ((const struct snp *)self)->line_name, question, out, err);
}

#define BIT(name) (1u << ATLS_SIM_ATTRIBUTE_##name)

const struct atls_sim_maker atls_sim_snp_maker = {
    .tee = ATLS_SIM_SNP,
    .provider = "sev_guest",
    .inblob_least = ATLS_SIM_INBLOB_MAX,
    .attributes = BIT(INBLOB) | BIT(OUTBLOB) | BIT(AUXBLOB) | BIT(PROVIDER) | BIT(GENERATION) |
                  BIT(PRIVLEVEL) | BIT(PRIVLEVEL_FLOOR),
    .at_a_floor = BIT(MANIFESTBLOB) | BIT(SERVICE_PROVIDER) | BIT(SERVICE_GUID) |
                  BIT(SERVICE_MANIFEST_VERSION),
    .make = snp_make,
    .open = snp_open,
    .close = snp_close,
    .evidence = snp_evidence,
    .publish = snp_publish,
    .answer = snp_answer,
};
