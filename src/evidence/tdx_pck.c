#include "evidence/tdx_pck.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "crypto/der.h"

#define ROOT_NAME      "Intel SGX Root CA"
#define LEAF_NAME      "Intel SGX PCK Certificate"
#define PLATFORM_NAME  "Intel SGX PCK Platform CA"
#define PROCESSOR_NAME "Intel SGX PCK Processor CA"
#define CHAIN_LEN      3
#define UEID_LEN       33

/* 1.2.840.113741.1.13.1, of which the members' OIDs are extensions. */
static const uint8_t SGX_OID[] = {0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01};

enum member {
    MEMBER_PPID = 1,
    MEMBER_TCB = 2,
    MEMBER_PCE_ID = 3,
    MEMBER_FMSPC = 4,
    MEMBER_SGX_TYPE = 5,
    MEMBER_INSTANCE = 6,
    MEMBERS_MANDATORY = 1 << MEMBER_PPID | 1 << MEMBER_TCB | 1 << MEMBER_PCE_ID |
                        1 << MEMBER_FMSPC | 1 << MEMBER_SGX_TYPE,
};

#define TCB_PCE_SVN 17
#define TCB_CPU_SVN 18
#define TCB_MEMBERS 18

struct atls_pck {
    atomic_uint references;
    struct atls_pck_facts facts;
    struct atls_pck_chain chain;
    uint8_t ueid[UEID_LEN];
};

/* ---- the extension ---- */

static enum atls_code malformed(struct atls_err *err, const char *what)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                            "PCK certificate: SGX extension: %s malformed", what);
}

/* {OID, value}: last arc of an OID that is prefix and one more; 0 for another OID. */
static bool get_member(struct atls_reader *r, struct atls_bytes prefix, uint8_t *arc,
                       struct atls_der *value)
{
    struct atls_bytes pair, oid;
    struct atls_reader inner;

    if (!atls_der_get(r, ATLS_DER_SEQUENCE, &pair))
        return false;
    inner = atls_reader_init(pair);
    if (!atls_der_get(&inner, ATLS_DER_OID, &oid) || !atls_der_get_any(&inner, value) ||
        !atls_reader_done(&inner))
        return false;
    *arc = 0;
    if (oid.len == prefix.len + 1 && memcmp(oid.ptr, prefix.ptr, prefix.len) == 0)
        *arc = oid.ptr[prefix.len];
    return true;
}

static bool get_octets(const struct atls_der *value, uint8_t *out, size_t len)
{
    if (value->tag != ATLS_DER_OCTET_STRING || value->content.len != len)
        return false;
    memcpy(out, value->content.ptr, len);
    return true;
}

/* An INTEGER from 0 to max. */
static bool get_number(const struct atls_der *value, uint32_t max, uint32_t *out)
{
    struct atls_reader r = atls_reader_init(value->whole);
    struct atls_bytes magnitude;
    uint32_t number = 0;

    if (!atls_der_get_unsigned(&r, &magnitude) || magnitude.len > sizeof number)
        return false;
    for (size_t i = 0; i < magnitude.len; i++)
        number = number << 8 | magnitude.ptr[i];
    *out = number;
    return number <= max;
}

static bool take_tcb_member(uint8_t arc, const struct atls_der *value, struct atls_pck_facts *facts)
{
    uint8_t cpu_svn[ATLS_TDX_COMPONENTS]; /* the components again, in no use */
    uint32_t number;

    if (arc == TCB_CPU_SVN)
        return get_octets(value, cpu_svn, sizeof cpu_svn);
    if (!get_number(value, arc == TCB_PCE_SVN ? UINT16_MAX : UINT8_MAX, &number))
        return false;
    if (arc == TCB_PCE_SVN)
        facts->pce_svn = (uint16_t)number;
    else
        facts->components[arc - 1] = (uint8_t)number;
    return true;
}

/* All eighteen, each once. */
static bool read_tcb(const struct atls_der *value, struct atls_pck_facts *facts)
{
    uint8_t prefix[sizeof SGX_OID + 1];
    struct atls_reader r = atls_reader_init(value->content);
    struct atls_der member;
    uint32_t seen = 0;
    uint8_t arc;

    memcpy(prefix, SGX_OID, sizeof SGX_OID);
    prefix[sizeof SGX_OID] = MEMBER_TCB;
    if (value->tag != ATLS_DER_SEQUENCE)
        return false;
    while (!atls_reader_done(&r)) {
        if (!get_member(&r, atls_bytes_of(prefix, sizeof prefix), &arc, &member))
            return false;
        if (arc == 0 || arc > TCB_MEMBERS)
            continue;
        if ((seen & (uint32_t)1 << arc) != 0 || !take_tcb_member(arc, &member, facts))
            return false;
        seen |= (uint32_t)1 << arc;
    }
    return seen == ((uint32_t)1 << (TCB_MEMBERS + 1)) - 2;
}

static bool take_member(uint8_t arc, const struct atls_der *value, struct atls_pck_facts *facts)
{
    switch (arc) {
    case MEMBER_PPID:
        return get_octets(value, facts->ppid, sizeof facts->ppid);
    case MEMBER_TCB:
        return read_tcb(value, facts);
    case MEMBER_PCE_ID:
        return get_octets(value, facts->pce_id, sizeof facts->pce_id);
    case MEMBER_FMSPC:
        return get_octets(value, facts->fmspc, sizeof facts->fmspc);
    case MEMBER_SGX_TYPE:
        if (value->tag != 0x0a || value->content.len != 1) /* ENUMERATED */
            return false;
        facts->sgx_type = value->content.ptr[0];
        return true;
    case MEMBER_INSTANCE:
        facts->has_instance = true;
        return get_octets(value, facts->instance, sizeof facts->instance);
    default:
        return true;
    }
}

enum atls_code atls_pck_facts_read(struct atls_bytes value, struct atls_pck_facts *out,
                                   struct atls_err *err)
{
    struct atls_reader outer = atls_reader_init(value), r;
    struct atls_pck_facts facts = {.sgx_type = 0};
    struct atls_bytes list;
    struct atls_der member;
    uint32_t seen = 0;
    uint8_t arc;

    if (!atls_der_get(&outer, ATLS_DER_SEQUENCE, &list) || !atls_reader_done(&outer))
        return malformed(err, "value");
    r = atls_reader_init(list);
    while (!atls_reader_done(&r)) {
        if (!get_member(&r, atls_bytes_of(SGX_OID, sizeof SGX_OID), &arc, &member))
            return malformed(err, "member");
        if (arc == 0 || arc > MEMBER_INSTANCE)
            continue;
        if ((seen & (uint32_t)1 << arc) != 0 || !take_member(arc, &member, &facts))
            return malformed(err, "member that occurs twice or is");
        seen |= (uint32_t)1 << arc;
    }
    if ((seen & MEMBERS_MANDATORY) != MEMBERS_MANDATORY)
        return malformed(err, "list in which a member is missing is");
    *out = facts;
    return ATLS_OK;
}

/* ---- the chain ---- */

void atls_pck_chain_clear(struct atls_pck_chain *chain)
{
    static const struct atls_pck_chain empty;

    atls_certificate_unref(chain->leaf);
    atls_certificate_unref(chain->intermediate);
    atls_certificate_unref(chain->root);
    *chain = empty;
}

const char *atls_pck_authority_of(const struct atls_certificate *leaf)
{
    struct atls_bytes issuer = atls_certificate_issuer_cn(leaf);

    if (atls_bytes_equal_text(issuer, PLATFORM_NAME))
        return "platform";
    return atls_bytes_equal_text(issuer, PROCESSOR_NAME) ? "processor" : "";
}

enum atls_code atls_pck_check_name(const struct atls_certificate *c, const char *name,
                                   struct atls_err *err)
{
    if (!atls_bytes_equal_text(atls_certificate_subject_cn(c), name))
        return atls_fail_reason(err, ATLS_E_CERTIFICATE, ATLS_REASON_CHAIN_ISSUER,
                                "PCK chain: certificate in the role of \"%s\" has another name",
                                name);
    return ATLS_OK;
}

enum atls_code atls_pck_check_use(const struct atls_certificate *c, bool is_ca, int64_t time_s,
                                  struct atls_err *err)
{
    if (atls_certificate_is_ca(c) != is_ca)
        return atls_fail_reason(err, ATLS_E_CERTIFICATE, ATLS_REASON_CHAIN_ISSUER,
                                "PCK chain: a certificate %s",
                                is_ca ? "may not issue certificates" : "is an authority");
    return atls_certificate_check_time(c, time_s, err);
}

/* One text holds all three, or the leaf alone and another text both of its issuers. */
static enum atls_code parse_chain(const struct atls_pck_check *check, struct atls_pck_chain *out,
                                  struct atls_err *err)
{
    struct atls_certificate *list[CHAIN_LEN] = {NULL}, *issuers[CHAIN_LEN - 1] = {NULL};
    struct atls_bytes text = check->certificates;
    size_t count, more = 0;
    enum atls_code code;

    if (text.len > 0 && text.ptr[text.len - 1] == 0) /* a terminator may be counted */
        text.len--;
    if ((code = atls_certificates_parse(text, list, CHAIN_LEN, &count, err)) != ATLS_OK)
        return code;
    if (count == 1 && check->issuers.len != 0)
        code = atls_certificates_parse(check->issuers, issuers, CHAIN_LEN - 1, &more, err);
    for (size_t i = 0; i < more; i++)
        list[count + i] = issuers[i];
    if (code == ATLS_OK && count + more != CHAIN_LEN)
        code = atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "PCK chain: %zu certificates, want leaf, intermediate and root",
                                count + more);
    out->leaf = list[0];
    out->intermediate = list[1];
    out->root = list[2];
    if (code != ATLS_OK)
        atls_pck_chain_clear(out);
    return code;
}

/* A root that came with the evidence is a hint: it counts when it is on file, byte for byte. */
static enum atls_code check_root(const struct atls_pck_check *check,
                                 const struct atls_certificate *root, struct atls_err *err)
{
    if (check->anchors == NULL ||
        atls_certificate_set_find(check->anchors, atls_certificate_der(root)) == NULL ||
        !atls_certificate_is_self_issued(root))
        return atls_fail_reason(err, ATLS_E_CERTIFICATE, ATLS_REASON_UNTRUSTED_ROOT,
                                "PCK chain: its root is not on file");
    return ATLS_OK;
}

static enum atls_code check_names(const struct atls_pck_chain *chain, struct atls_err *err)
{
    const char *authority = atls_pck_authority_of(chain->leaf);
    const char *issuer = strcmp(authority, "processor") == 0 ? PROCESSOR_NAME : PLATFORM_NAME;
    enum atls_code code;

    if ((code = atls_pck_check_name(chain->root, ROOT_NAME, err)) != ATLS_OK ||
        (code = atls_pck_check_name(chain->intermediate, issuer, err)) != ATLS_OK)
        return code;
    return atls_pck_check_name(chain->leaf, LEAF_NAME, err);
}

static enum atls_code check_signatures(const struct atls_pck_chain *chain, struct atls_err *err)
{
    const enum atls_certificate_signature algorithm = ATLS_SIGNED_ECDSA_P256_SHA256;
    enum atls_code code;

    if ((code = atls_certificate_issued_by(chain->root, chain->root, algorithm, err)) != ATLS_OK ||
        (code = atls_certificate_issued_by(chain->intermediate, chain->root, algorithm, err)) !=
            ATLS_OK)
        return code;
    return atls_certificate_issued_by(chain->leaf, chain->intermediate, algorithm, err);
}

static enum atls_code check_chain(const struct atls_pck_check *check,
                                  const struct atls_pck_chain *chain, struct atls_err *err)
{
    enum atls_code code;

    if ((code = check_root(check, chain->root, err)) != ATLS_OK ||
        (code = check_names(chain, err)) != ATLS_OK ||
        (code = check_signatures(chain, err)) != ATLS_OK ||
        (code = atls_pck_check_use(chain->root, true, check->time_s, err)) != ATLS_OK ||
        (code = atls_pck_check_use(chain->intermediate, true, check->time_s, err)) != ATLS_OK)
        return code;
    return atls_pck_check_use(chain->leaf, false, check->time_s, err);
}

static enum atls_code read_leaf(struct atls_pck *pck, struct atls_err *err)
{
    const struct atls_key *key = atls_certificate_key(pck->chain.leaf);
    uint8_t digest[ATLS_HASH_MAX];
    struct atls_bytes value;
    size_t count;
    enum atls_code code;

    if (key == NULL || atls_key_type(key) != ATLS_KEY_P256)
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_ALGORITHM,
                                "PCK certificate: its key is not of P-256");
    value =
        atls_certificate_extension(pck->chain.leaf, atls_bytes_of(SGX_OID, sizeof SGX_OID), &count);
    if (count != 1)
        return malformed(err, "certificate in which it does not occur once is");
    if ((code = atls_pck_facts_read(value, &pck->facts, err)) != ATLS_OK)
        return code;
    value = pck->facts.has_instance ? atls_bytes_of(pck->facts.instance, sizeof pck->facts.instance)
                                    : atls_bytes_of(pck->facts.ppid, sizeof pck->facts.ppid);
    if ((code = atls_hash_one(ATLS_HASH_SHA256, value, digest, err)) != ATLS_OK)
        return code;
    pck->ueid[0] = 1;
    memcpy(pck->ueid + 1, digest, UEID_LEN - 1);
    return ATLS_OK;
}

/* ---- the object ---- */

static void *pck_ref(void *thing)
{
    struct atls_pck *pck = thing;

    atomic_fetch_add_explicit(&pck->references, 1, memory_order_relaxed);
    return pck;
}

static void pck_unref(void *thing)
{
    struct atls_pck *pck = thing;

    if (pck == NULL || atomic_fetch_sub_explicit(&pck->references, 1, memory_order_acq_rel) != 1)
        return;
    atls_pck_chain_clear(&pck->chain);
    free(pck);
}

void atls_pck_unref(struct atls_pck *pck)
{
    pck_unref(pck);
}

const struct atls_pck_facts *atls_pck_facts_of(const struct atls_pck *pck)
{
    return &pck->facts;
}

const struct atls_pck_chain *atls_pck_chain_of(const struct atls_pck *pck)
{
    return &pck->chain;
}

const struct atls_key *atls_pck_key(const struct atls_pck *pck)
{
    return atls_certificate_key(pck->chain.leaf);
}

struct atls_bytes atls_pck_ueid(const struct atls_pck *pck)
{
    return atls_bytes_of(pck->ueid, sizeof pck->ueid);
}

const char *atls_pck_authority(const struct atls_pck *pck)
{
    return atls_pck_authority_of(pck->chain.leaf);
}

static void find_window(const struct atls_pck_chain *chain, int64_t *not_before_s,
                        int64_t *not_after_s)
{
    const struct atls_certificate *const list[] = {chain->leaf, chain->intermediate, chain->root};

    *not_before_s = INT64_MIN;
    *not_after_s = INT64_MAX;
    for (size_t i = 0; i < CHAIN_LEN; i++) {
        if (atls_certificate_not_before_s(list[i]) > *not_before_s)
            *not_before_s = atls_certificate_not_before_s(list[i]);
        if (atls_certificate_not_after_s(list[i]) < *not_after_s)
            *not_after_s = atls_certificate_not_after_s(list[i]);
    }
}

/* A chain counts with the anchors that it was verified with. */
static struct atls_cached_thing key_of(const struct atls_pck_check *check)
{
    struct atls_cached_thing key = {
        .tag = "tdx-pck",
        .parts = {check->certificates, check->issuers},
        .part_count = 2,
        .scope = check->anchors,
        .scope_serial = check->anchors != NULL ? atls_certificate_set_serial(check->anchors) : 0,
    };

    return key;
}

static enum atls_code make_pck(const struct atls_pck_check *check, struct atls_pck **out,
                               struct atls_err *err)
{
    const struct atls_cached_thing key = key_of(check);
    struct atls_pck *pck = calloc(1, sizeof *pck);
    int64_t not_before_s, not_after_s;
    enum atls_code code;

    if (pck == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "PCK chain: out of memory");
    atomic_init(&pck->references, 1);
    if ((code = parse_chain(check, &pck->chain, err)) != ATLS_OK ||
        (code = check_chain(check, &pck->chain, err)) != ATLS_OK ||
        (code = read_leaf(pck, err)) != ATLS_OK) {
        pck_unref(pck);
        return code;
    }
    find_window(&pck->chain, &not_before_s, &not_after_s);
    atls_chain_cache_put(check->cache, &key, not_before_s, not_after_s, pck, pck_ref, pck_unref);
    *out = pck;
    return ATLS_OK;
}

enum atls_code atls_pck_verify(const struct atls_pck_check *check, struct atls_pck **out,
                               struct atls_err *err)
{
    const struct atls_cached_thing key = key_of(check);
    struct atls_pck *pck = atls_chain_cache_get(check->cache, &key, check->time_s);

    if (pck == NULL)
        return make_pck(check, out, err);
    *out = pck;
    return ATLS_OK;
}
