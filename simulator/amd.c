#include "simulator/amd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "crypto/der.h"
#include "simulator/x509.h"

#define ARC "1.3.6.1.4.1.3704.1."

#define CA_FROM_S  INT64_C(1577836800) /* 2020 */
#define CA_UNTIL_S INT64_C(2493072000) /* 2049 */
#define DAY_S      86400

#define VCEK_DAYS (7 * 365)
#define VLEK_DAYS 365
#define CRL_DAYS  7

/* keyCertSign, cRLSign */
#define CA_USAGE 0x06

#define EXTENSIONS_MAX 16
#define TEXT_MAX       (64 * 1024)

enum key { KEY_ARK, KEY_ASK, KEY_ASVK, KEY_VCEK, KEY_VLEK, KEY_COUNT };

struct atls_sim_amd {
    EVP_PKEY *keys[KEY_COUNT];
    struct atls_buf roots[ATLS_SNP_LINES]; /* DER; that of UNKNOWN is empty */
};

/* ---- certificates ---- */

/* The Name that AMD writes, with room for its last part. */
struct name {
    char common_name[64];
    struct atls_sim_attribute parts[7];
};

static const struct atls_sim_attribute *name_of(struct name *n)
{
    const struct atls_sim_attribute parts[7] = {
        {"2.5.4.11", 0, "Engineering"},
        {"2.5.4.6", ATLS_DER_PRINTABLE_STRING, "US"},
        {"2.5.4.7", 0, "Santa Clara"},
        {"2.5.4.8", 0, "CA"},
        {"2.5.4.10", 0, "TEST of libatls, trust nothing below it"},
        {"2.5.4.3", 0, n->common_name},
        {NULL, 0, NULL},
    };

    memcpy(n->parts, parts, sizeof parts);
    return n->parts;
}

static void name_authority(struct name *n, enum atls_sim_amd_certificate kind,
                           enum atls_snp_line line)
{
    const char *prefix = kind == ATLS_SIM_ARK   ? "ARK-"
                         : kind == ATLS_SIM_ASK ? "SEV-"
                                                : "SEV-VLEK-";

    (void)snprintf(n->common_name, sizeof n->common_name, "%s%s", prefix, atls_snp_line_name(line));
}

static EVP_PKEY *key_of(const struct atls_sim_amd *amd, enum atls_sim_amd_certificate kind)
{
    return amd->keys[KEY_ARK + (int)kind - ATLS_SIM_ARK];
}

/* Content octets: one serial a line and authority, as AMD has them. */
static void serial_of(enum atls_sim_amd_certificate kind, enum atls_snp_line line, uint8_t out[3])
{
    out[0] = (uint8_t)line;
    out[1] = kind == ATLS_SIM_ASVK ? 1 : 0;
    out[2] = kind == ATLS_SIM_ARK ? 0 : 1;
}

static void set_flaws(struct atls_sim_certificate *spec, struct name *subject, struct name *issuer,
                      const struct atls_sim_flaws *flaws)
{
    if (flaws->common_name != NULL)
        (void)snprintf(subject->common_name, sizeof subject->common_name, "%s", flaws->common_name);
    if (flaws->issuer_name != NULL)
        (void)snprintf(issuer->common_name, sizeof issuer->common_name, "%s", flaws->issuer_name);
    if (flaws->not_before_s != 0)
        spec->not_before_s = flaws->not_before_s;
    if (flaws->not_after_s != 0)
        spec->not_after_s = flaws->not_after_s;
    spec->break_signature = flaws->break_signature;
}

static enum atls_code make_authority(const struct atls_sim_amd *amd,
                                     enum atls_sim_amd_certificate kind, enum atls_snp_line line,
                                     const struct atls_sim_flaws *flaws, struct atls_buf *out,
                                     struct atls_err *err)
{
    static const struct atls_sim_flaws none;
    struct atls_sim_certificate spec = {
        .not_before_s = CA_FROM_S,
        .not_after_s = CA_UNTIL_S,
        .key = key_of(amd, kind),
        .signer = amd->keys[KEY_ARK],
        .algorithm = ATLS_SIM_PSS_SHA384,
        .is_ca = flaws == NULL || !flaws->no_ca,
        .path_length = kind == ATLS_SIM_ARK ? -1 : 0,
        .key_usage = CA_USAGE,
        .crl_url = "https://kdsintf.amd.com/vcek/v1/Simulated/crl",
    };
    struct name subject, issuer;
    uint8_t serial[3];

    name_authority(&subject, kind, line);
    name_authority(&issuer, ATLS_SIM_ARK, line);
    set_flaws(&spec, &subject, &issuer, flaws != NULL ? flaws : &none);
    serial_of(kind, line, serial);
    spec.serial = atls_bytes_of(serial, sizeof serial);
    spec.subject = name_of(&subject);
    spec.issuer = name_of(&issuer);
    return atls_sim_certificate_make(&spec, out, err);
}

/* Extensions in the making: their content stands in one buffer. */
struct extensions {
    struct atls_sim_extension list[EXTENSIONS_MAX];
    size_t count;
    uint8_t content[512];
    size_t used;
};

static void add(struct extensions *e, const char *oid, const uint8_t *value, size_t len)
{
    uint8_t *to = e->content + e->used;

    memcpy(to, value, len);
    e->used += len;
    e->list[e->count++] = (struct atls_sim_extension){oid, false, atls_bytes_of(to, len)};
}

static void add_integer(struct extensions *e, const char *oid, uint8_t value)
{
    const uint8_t one[] = {0x02, 0x01, value}, two[] = {0x02, 0x02, 0x00, value};

    add(e, oid, value > 127 ? two : one, value > 127 ? sizeof two : sizeof one);
}

static void add_text(struct extensions *e, const char *oid, const char *text)
{
    const size_t len = strlen(text);
    uint8_t value[130] = {ATLS_DER_IA5_STRING, (uint8_t)len};

    memcpy(value + 2, text, len);
    add(e, oid, value, len + 2);
}

static bool is_new(enum atls_snp_line line)
{
    return line == ATLS_SNP_TURIN || line == ATLS_SNP_VENICE;
}

static void add_spls(struct extensions *e, const struct atls_sim_snp *order)
{
    const struct atls_snp_tcb *tcb = &order->reported;

    add_integer(e, ARC "3.1", tcb->boot_loader);
    add_integer(e, ARC "3.2", tcb->tee);
    add_integer(e, ARC "3.3", tcb->snp);
    if (!is_new(order->line))
        add_integer(e, ARC "3.4", 0);
    add_integer(e, ARC "3.5", order->flaws.reserved_spl ? 1 : 0);
    add_integer(e, ARC "3.6", 0);
    add_integer(e, ARC "3.7", 0);
    if (order->flaws.spl.len != 0)
        add(e, ARC "3.8", order->flaws.spl.ptr, order->flaws.spl.len);
    else
        add_integer(e, ARC "3.8", tcb->microcode);
    if (is_new(order->line) && !order->flaws.no_fmc)
        add_integer(e, ARC "3.9", tcb->fmc);
}

static void add_hw_id(struct extensions *e, const struct atls_sim_snp *order)
{
    const size_t len = atls_snp_chip_id_len(order->line);
    uint8_t wrapped[2 + 64] = {ATLS_DER_OCTET_STRING, (uint8_t)len};

    memcpy(wrapped + 2, order->chip_id, len);
    if (order->flaws.hw_id.len != 0)
        add(e, ARC "4", order->flaws.hw_id.ptr, order->flaws.hw_id.len);
    else if (order->flaws.wrapped_id)
        add(e, ARC "4", wrapped, len + 2);
    else
        add(e, ARC "4", wrapped + 2, len);
}

static void add_ids(struct extensions *e, const struct atls_sim_snp *order, bool vlek)
{
    const struct atls_sim_flaws *flaws = &order->flaws;

    if ((!vlek && !flaws->no_id) || flaws->both_ids)
        add_hw_id(e, order);
    if ((vlek && !flaws->no_id) || flaws->both_ids)
        add_text(e, ARC "5", order->csp_id);
    if (flaws->id_twice && vlek)
        add_text(e, ARC "5", order->csp_id);
    else if (flaws->id_twice)
        add_hw_id(e, order);
}

static void add_all(struct extensions *e, const struct atls_sim_snp *order, bool vlek)
{
    char product[32];

    (void)snprintf(product, sizeof product, "%s%s", atls_snp_line_name(order->line),
                   order->line == ATLS_SNP_MILAN && !vlek ? "-B0" : "");
    add_integer(e, ARC "1", is_new(order->line) ? 1 : 0);
    add_text(e, ARC "2", product);
    add_spls(e, order);
    add_ids(e, order, vlek);
}

static enum atls_code make_vek(const struct atls_sim_amd *amd, bool vlek,
                               const struct atls_sim_snp *order, EVP_PKEY *key,
                               struct atls_buf *out, struct atls_err *err)
{
    struct atls_sim_certificate spec = {
        .not_before_s = order->time_s - DAY_S,
        .not_after_s = order->time_s + (int64_t)(vlek ? VLEK_DAYS : VCEK_DAYS) * DAY_S,
        .key = key,
        .signer = amd->keys[vlek ? KEY_ASVK : KEY_ASK],
        .algorithm = ATLS_SIM_PSS_SHA384,
        .is_ca = order->flaws.is_ca,
    };
    struct extensions *e = calloc(1, sizeof *e);
    struct name subject, issuer;
    enum atls_code code;

    if (e == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "simulator: out of memory");
    (void)snprintf(subject.common_name, sizeof subject.common_name, "%s",
                   vlek ? "SEV-VLEK" : "SEV-VCEK");
    name_authority(&issuer, vlek ? ATLS_SIM_ASVK : ATLS_SIM_ASK, order->line);
    set_flaws(&spec, &subject, &issuer, &order->flaws);
    spec.subject = name_of(&subject);
    spec.issuer = name_of(&issuer);
    add_all(e, order, vlek);
    spec.extensions = e->list;
    spec.extension_count = e->count;
    code = atls_sim_certificate_make(&spec, out, err);
    free(e);
    return code;
}

static enum atls_code make_endorsement(const struct atls_sim_amd *amd, bool vlek,
                                       const struct atls_sim_snp *order, struct atls_buf *out,
                                       struct atls_err *err)
{
    const struct atls_sim_flaws *flaws = &order->flaws;
    EVP_PKEY *other = NULL;
    enum atls_code code = ATLS_OK;

    if (flaws->other_key || flaws->wrong_curve)
        code = atls_sim_key_ec(flaws->wrong_curve ? "P-256" : "P-384", &other, err);
    if (code == ATLS_OK)
        code = make_vek(amd, vlek, order,
                        other != NULL ? other : amd->keys[vlek ? KEY_VLEK : KEY_VCEK], out, err);
    EVP_PKEY_free(other);
    return code;
}

enum atls_code atls_sim_amd_certificate(const struct atls_sim_amd *amd,
                                        enum atls_sim_amd_certificate kind,
                                        const struct atls_sim_snp *order,
                                        const struct atls_sim_flaws *flaws, struct atls_buf *out,
                                        struct atls_err *err)
{
    if (kind == ATLS_SIM_VCEK || kind == ATLS_SIM_VLEK)
        return make_endorsement(amd, kind == ATLS_SIM_VLEK, order, out, err);
    /* One root a line, always the same bytes: it is what others pin. */
    if (kind == ATLS_SIM_ARK && flaws == NULL)
        return atls_buf_copy(out, atls_buf_bytes(&amd->roots[order->line]), err);
    return make_authority(amd, kind, order->line, flaws, out, err);
}

enum atls_code atls_sim_amd_chain(const struct atls_sim_amd *amd, const struct atls_sim_snp *order,
                                  struct atls_buf *out, struct atls_err *err)
{
    struct atls_buf der = ATLS_BUF_INIT, first = ATLS_BUF_INIT, second = ATLS_BUF_INIT;
    struct atls_writer w = atls_writer_init(TEXT_MAX);
    enum atls_code code;

    code = atls_sim_amd_certificate(amd, order->vlek ? ATLS_SIM_ASVK : ATLS_SIM_ASK, order, NULL,
                                    &der, err);
    if (code == ATLS_OK)
        code = atls_pem_encode("CERTIFICATE", atls_buf_bytes(&der), &first, err);
    if (code == ATLS_OK)
        code =
            atls_pem_encode("CERTIFICATE", atls_buf_bytes(&amd->roots[order->line]), &second, err);
    if (code == ATLS_OK) {
        atls_put_bytes(&w, atls_buf_bytes(&first));
        atls_put_bytes(&w, atls_buf_bytes(&second));
        code = atls_writer_finish(&w, out, err);
    }
    atls_buf_clear(&der);
    atls_buf_clear(&first);
    atls_buf_clear(&second);
    return code;
}

enum atls_code atls_sim_amd_table(const struct atls_sim_amd *amd, const struct atls_sim_snp *order,
                                  struct atls_buf *out, struct atls_err *err)
{
    struct atls_buf vek = ATLS_BUF_INIT, ask = ATLS_BUF_INIT;
    struct atls_snp_certificates table = {.ask = {NULL, 0}};
    enum atls_code code;

    code = atls_sim_amd_certificate(amd, order->vlek ? ATLS_SIM_VLEK : ATLS_SIM_VCEK, order, NULL,
                                    &vek, err);
    if (code == ATLS_OK && order->with_authorities) {
        code = atls_sim_amd_certificate(amd, order->vlek ? ATLS_SIM_ASVK : ATLS_SIM_ASK, order,
                                        NULL, &ask, err);
        table.ask = atls_buf_bytes(&ask);
        table.ark = atls_buf_bytes(&amd->roots[order->line]);
    }
    if (order->vlek)
        table.vlek = atls_buf_bytes(&vek);
    else
        table.vcek = atls_buf_bytes(&vek);
    if (code == ATLS_OK)
        code = atls_snp_certificates_encode(&table, out, err);
    atls_buf_clear(&vek);
    atls_buf_clear(&ask);
    return code;
}

enum atls_code atls_sim_amd_crl(const struct atls_sim_amd *amd, const struct atls_sim_snp *order,
                                const struct atls_sim_amd_crl *crl, struct atls_buf *out,
                                struct atls_err *err)
{
    static const struct atls_sim_amd_crl good;
    const struct atls_sim_amd_crl *c = crl != NULL ? crl : &good;
    uint8_t ask[3], asvk[3];
    struct atls_bytes serials[2];
    struct atls_sim_crl spec = {
        .signer = amd->keys[KEY_ARK],
        .algorithm = ATLS_SIM_PSS_SHA384,
        .this_update_s = c->this_update_s != 0 ? c->this_update_s : order->time_s - DAY_S,
        .next_update_s =
            c->next_update_s != 0 ? c->next_update_s : order->time_s + CRL_DAYS * DAY_S,
        .serials = serials,
        .number = atls_bytes_of("\x01", 1),
        .break_signature = c->break_signature,
    };
    enum atls_snp_line issuer_line = order->line;
    struct name issuer;

    if (c->other_issuer)
        issuer_line = issuer_line == ATLS_SNP_VENICE ? ATLS_SNP_MILAN : issuer_line + 1;
    name_authority(&issuer, ATLS_SIM_ARK, issuer_line);
    spec.issuer = name_of(&issuer);
    serial_of(ATLS_SIM_ASK, order->line, ask);
    serial_of(ATLS_SIM_ASVK, order->line, asvk);
    if (c->revoke_ask)
        serials[spec.serial_count++] = atls_bytes_of(ask, sizeof ask);
    if (c->revoke_asvk)
        serials[spec.serial_count++] = atls_bytes_of(asvk, sizeof asvk);
    return atls_sim_crl_make(&spec, out, err);
}

/* ---- reports ---- */

void atls_sim_snp_init(struct atls_sim_snp *order, enum atls_snp_line line, int64_t time_s)
{
    static const uint8_t families[ATLS_SNP_LINES] = {0, 0x19, 0x19, 0x1a, 0x1a};
    static const uint8_t models[ATLS_SNP_LINES] = {0, 0x01, 0x11, 0x02, 0x50};
    const struct atls_snp_tcb tcb = {is_new(line) ? 1 : 0, 4, 1, 24, 219};

    memset(order, 0, sizeof *order);
    order->line = line;
    order->version = 3;
    order->policy = ATLS_SNP_POLICY_ONE | ATLS_SNP_POLICY_SMT;
    order->platform_info = 0x25; /* SMT, ECC, alias check complete */
    memset(order->measurement, 0x3a, sizeof order->measurement);
    memset(order->report_id, 0x5c, sizeof order->report_id);
    memset(order->report_id_ma, 0xff, sizeof order->report_id_ma);
    order->current = order->reported = order->committed = order->launch = tcb;
    order->cpuid_family = families[line];
    order->cpuid_model = models[line];
    order->cpuid_stepping = 1;
    for (size_t i = 0; i < atls_snp_chip_id_len(line); i++)
        order->chip_id[i] = (uint8_t)(0x11 + 7 * i);
    order->current_firmware = order->committed_firmware = (struct atls_snp_firmware){1, 55, 40};
    order->csp_id = "CN=simulated.example";
    order->time_s = time_s;
}

/* Writes little-endian. */
static void put(uint8_t *report, size_t at, uint64_t value, size_t len)
{
    for (size_t i = 0; i < len; i++)
        report[at + i] = (uint8_t)(value >> (8 * i));
}

static void put_firmware(uint8_t *report, size_t at, const struct atls_snp_firmware *f)
{
    report[at] = f->build;
    report[at + 1] = f->minor;
    report[at + 2] = f->major;
}

static void put_fields(const struct atls_sim_snp *o, uint8_t *out)
{
    put(out, 0x000, o->version, 4);
    put(out, 0x004, o->guest_svn, 4);
    put(out, 0x008, o->policy, 8);
    memcpy(out + 0x010, o->family_id, 16);
    memcpy(out + 0x020, o->image_id, 16);
    put(out, 0x030, o->vmpl, 4);
    put(out, 0x034, 1, 4);
    put(out, 0x040, o->platform_info, 8);
    put(out, 0x048, o->key_info | (o->vlek ? 1u << 2 : 0), 4);
    memcpy(out + 0x090, o->measurement, 48);
    memcpy(out + 0x0c0, o->host_data, 32);
    memcpy(out + 0x0e0, o->id_key_digest, 48);
    memcpy(out + 0x110, o->author_key_digest, 48);
    memcpy(out + 0x140, o->report_id, 32);
    memcpy(out + 0x160, o->report_id_ma, 32);
    if (!o->vlek)
        memcpy(out + 0x1a0, o->chip_id, 64);
    if (o->version >= 3) {
        out[0x188] = o->cpuid_family;
        out[0x189] = o->cpuid_model;
        out[0x18a] = o->cpuid_stepping;
    }
    if (o->version >= 5) {
        put(out, 0x1f8, o->launch_mitigations, 8);
        put(out, 0x200, o->current_mitigations, 8);
    }
    put_firmware(out, 0x1e8, &o->current_firmware);
    put_firmware(out, 0x1ec, &o->committed_firmware);
    atls_snp_tcb_write(o->line, &o->current, out + 0x038);
    atls_snp_tcb_write(o->line, &o->reported, out + 0x180);
    atls_snp_tcb_write(o->line, &o->committed, out + 0x1e0);
    atls_snp_tcb_write(o->line, &o->launch, out + 0x1f0);
}

/* A number of a DER signature, reversed into its place. */
static bool place_number(struct atls_reader *r, uint8_t *to)
{
    struct atls_bytes n;

    if (!atls_der_get_unsigned(r, &n) || n.len > 48)
        return false;
    for (size_t i = 0; i < n.len; i++)
        to[i] = n.ptr[n.len - 1 - i];
    return true;
}

enum atls_code atls_sim_amd_sign(const struct atls_sim_amd *amd, bool vlek,
                                 uint8_t report[ATLS_SNP_REPORT_LEN], struct atls_err *err)
{
    struct atls_buf signature = ATLS_BUF_INIT;
    struct atls_reader r;
    struct atls_bytes numbers;
    enum atls_code code;
    bool ok;

    code = atls_sim_sign(amd->keys[vlek ? KEY_VLEK : KEY_VCEK], ATLS_SIM_ECDSA_SHA384,
                         atls_bytes_of(report, ATLS_SNP_SIGNED_LEN), &signature, err);
    if (code != ATLS_OK)
        return code;
    memset(report + ATLS_SNP_SIGNED_LEN, 0, ATLS_SNP_REPORT_LEN - ATLS_SNP_SIGNED_LEN);
    r = atls_reader_init(atls_buf_bytes(&signature));
    ok = atls_der_get(&r, ATLS_DER_SEQUENCE, &numbers);
    if (ok) {
        r = atls_reader_init(numbers);
        ok = place_number(&r, report + ATLS_SNP_SIGNED_LEN) &&
             place_number(&r, report + ATLS_SNP_SIGNED_LEN + 72);
    }
    atls_buf_clear(&signature);
    return ok ? ATLS_OK : atls_fail(err, ATLS_E_CRYPTO, "simulator: signature of odd form");
}

enum atls_code atls_sim_amd_report(const struct atls_sim_amd *amd, const struct atls_sim_snp *order,
                                   const uint8_t report_data[ATLS_SNP_REPORT_DATA_LEN],
                                   uint8_t out[ATLS_SNP_REPORT_LEN], struct atls_err *err)
{
    memset(out, 0, ATLS_SNP_REPORT_LEN);
    put_fields(order, out);
    memcpy(out + 0x050, report_data, ATLS_SNP_REPORT_DATA_LEN);
    return atls_sim_amd_sign(amd, order->vlek, out, err);
}

/* ---- an AMD as a whole ---- */

static enum atls_code make_keys(struct atls_sim_amd *amd, unsigned int bits, struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    for (int i = 0; i < KEY_COUNT && code == ATLS_OK; i++)
        code = i < KEY_VCEK ? atls_sim_key_rsa(bits, &amd->keys[i], err)
                            : atls_sim_key_ec("P-384", &amd->keys[i], err);
    for (int line = ATLS_SNP_MILAN; line < ATLS_SNP_LINES && code == ATLS_OK; line++)
        code = make_authority(amd, ATLS_SIM_ARK, (enum atls_snp_line)line, NULL, &amd->roots[line],
                              err);
    return code;
}

static struct atls_sim_amd *new_empty(struct atls_err *err)
{
    struct atls_sim_amd *amd = calloc(1, sizeof *amd);

    if (amd == NULL)
        (void)atls_fail(err, ATLS_E_NOMEM, "simulator: out of memory");
    return amd;
}

enum atls_code atls_sim_amd_new(unsigned int bits, struct atls_sim_amd **out, struct atls_err *err)
{
    struct atls_sim_amd *amd = new_empty(err);
    enum atls_code code;

    if (amd == NULL)
        return ATLS_E_NOMEM;
    if ((code = make_keys(amd, bits, err)) != ATLS_OK) {
        atls_sim_amd_free(amd);
        return code;
    }
    *out = amd;
    return ATLS_OK;
}

void atls_sim_amd_free(struct atls_sim_amd *amd)
{
    if (amd == NULL)
        return;
    for (int i = 0; i < KEY_COUNT; i++)
        EVP_PKEY_free(amd->keys[i]);
    for (int i = 0; i < ATLS_SNP_LINES; i++)
        atls_buf_clear(&amd->roots[i]);
    free(amd);
}

enum atls_code atls_sim_amd_save(const struct atls_sim_amd *amd, struct atls_buf *out,
                                 struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(TEXT_MAX);
    struct atls_buf text = ATLS_BUF_INIT;
    enum atls_code code = ATLS_OK;

    for (int i = 0; i < KEY_COUNT && code == ATLS_OK; i++) {
        if ((code = atls_sim_key_to_pem(amd->keys[i], &text, err)) == ATLS_OK)
            atls_put_bytes(&w, atls_buf_bytes(&text));
        atls_buf_clear(&text);
    }
    for (int line = ATLS_SNP_MILAN; line < ATLS_SNP_LINES && code == ATLS_OK; line++) {
        if ((code = atls_pem_encode("CERTIFICATE", atls_buf_bytes(&amd->roots[line]), &text,
                                    err)) == ATLS_OK)
            atls_put_bytes(&w, atls_buf_bytes(&text));
        atls_buf_clear(&text);
    }
    if (code != ATLS_OK) {
        atls_writer_clear(&w);
        return code;
    }
    atls_put_u8(&w, 0);
    if ((code = atls_writer_finish(&w, out, err)) == ATLS_OK)
        out->len--;
    return code;
}

/* Where the PEM block that begins at text ends, behind its last line; 0 when it does not. */
static size_t block_len(struct atls_bytes text)
{
    static const char end[] = "-----END ";
    size_t at = 0;

    while (text.len - at >= sizeof end && memcmp(text.ptr + at, end, sizeof end - 1) != 0)
        at++;
    while (at < text.len && text.ptr[at] != '\n')
        at++;
    return at < text.len ? at + 1 : 0;
}

static enum atls_code load_keys(struct atls_sim_amd *amd, struct atls_bytes *text,
                                struct atls_err *err)
{
    for (int i = 0; i < KEY_COUNT; i++) {
        const size_t len = block_len(*text);
        const enum atls_code code =
            atls_sim_key_from_pem(atls_bytes_of(text->ptr, len), &amd->keys[i], err);

        if (code != ATLS_OK)
            return code;
        *text = atls_bytes_of(text->ptr + len, text->len - len);
    }
    return ATLS_OK;
}

enum atls_code atls_sim_amd_load(struct atls_bytes text, struct atls_sim_amd **out,
                                 struct atls_err *err)
{
    struct atls_sim_amd *amd = new_empty(err);
    enum atls_code code;
    size_t count = 0;

    if (amd == NULL)
        return ATLS_E_NOMEM;
    if ((code = load_keys(amd, &text, err)) == ATLS_OK)
        code = atls_certificates_from_pem(text, &amd->roots[ATLS_SNP_MILAN], ATLS_SNP_LINES - 1,
                                          &count, err);
    if (code == ATLS_OK && count != ATLS_SNP_LINES - 1)
        code = atls_fail(err, ATLS_E_DECODE, "simulator: %zu roots, want %d", count,
                         ATLS_SNP_LINES - 1);
    if (code != ATLS_OK) {
        atls_sim_amd_free(amd);
        return code;
    }
    *out = amd;
    return ATLS_OK;
}
