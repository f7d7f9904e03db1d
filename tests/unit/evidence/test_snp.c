/* SEV-SNP evidence of a simulated AMD: good evidence gives claims on every line, under either key
 * and in every form; and each check alone refuses, with its reason. */
#include "testlib.h"

#include <stdlib.h>
#include <string.h>

#include "simulator/amd.h"
#include "soft_evidence.h"
#include "tee_source.h"

#include "bind/batch.h"
#include "bind/binder.h"
#include "core/err.h"
#include "core/reader.h"
#include "evidence/evidence.h"
#include "wire/kat.h"
#include "wire/snp.h"
#include "wire/tsm.h"

#define NOW_S INT64_C(1790000000)
#define DAY_S 86400

static const uint8_t binder[48] = "binder of the connection, as long as SHA-384 is";

static struct atls_sim_amd *amd, *foreign;
static struct atls_private_key *aik, *other_aik;

static int setup(void **state)
{
    (void)state;
    if (atls_sim_amd_new(2048, &amd, NULL) != ATLS_OK ||
        atls_sim_amd_new(2048, &foreign, NULL) != ATLS_OK ||
        atls_private_key_generate(ATLS_KEY_P256, &aik, NULL) != ATLS_OK ||
        atls_private_key_generate(ATLS_KEY_P256, &other_aik, NULL) != ATLS_OK)
        return -1;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    atls_sim_amd_free(amd);
    atls_sim_amd_free(foreign);
    atls_private_key_free(aik);
    atls_private_key_free(other_aik);
    return 0;
}

enum place { NOWHERE, IN_TABLE, IN_BUNDLE, ON_FILE };
enum form { TSM_KAT, TSM_BATCH, TSM_BARE, RAW_KAT, RAW_BATCH, RAW_BARE, FORM_COUNT };

/* Evidence and Verifier, of which a row changes one thing. */
struct fixture {
    struct atls_sim_snp order;
    enum form form;
    enum place vek, ask, crl; /* where each is; ask ON_FILE: among the anchors */
    bool no_ark, foreign_chain, ark_in_table, other_kind, ask_as_ark, junk_authorities;
    struct atls_sim_flaws ask_flaws;
    struct atls_sim_amd_crl crl_flaws;      /* of the list at crl */
    const struct atls_sim_amd_crl *crl_too; /* a second list, in the bundle */
    struct atls_bytes crl_bytes;            /* in place of the list at crl */
    enum atls_reason stale; /* why documents on file do not count; NONE: there are none */
    struct {
        size_t at;
        uint8_t flip;
    } before, after; /* a byte of the report, before and after it is signed; flip 0: none */
    size_t truncate; /* of the report; 0: whole */
    uint8_t challenge_flip[64];
    struct atls_bytes class_id;
    size_t binder_len;
    enum atls_evidence_scope scope;
    const struct atls_private_key *connection; /* whose key the connection has; NULL: aik */
    bool other_binder;
    struct atls_rules rules;
    unsigned int profiles;
    int64_t time_s;
    struct atls_chain_cache *cache;
    size_t asked; /* out: documents that the source was asked for */
};

static struct fixture fixture_of(enum atls_snp_line line)
{
    struct fixture f = {
        .vek = IN_TABLE,
        .ask = ON_FILE,
        .crl = ON_FILE,
        .binder_len = 32,
        .profiles = ATLS_PROFILE_KAT | ATLS_PROFILE_BATCH | ATLS_PROFILE_BARE,
        .time_s = NOW_S,
    };

    atls_sim_snp_init(&f.order, line, NOW_S);
    return f;
}

/* What was made for one appraisal. */
struct made {
    struct atls_buf kat, member, report, vek, ask, crl, crl_too, table, evidence;
    struct test_tee_source source;
};

static void must(enum atls_code code)
{
    assert_int_equal(code, ATLS_OK);
}

static struct atls_bytes spki_of(const struct atls_private_key *key)
{
    return atls_key_spki(atls_private_key_public(key));
}

static const struct atls_sim_amd *maker_of(const struct fixture *f)
{
    return f->foreign_chain ? foreign : amd;
}

static bool is_bare(const struct fixture *f)
{
    return f->form == TSM_BARE || f->form == RAW_BARE;
}

static bool is_batch(const struct fixture *f)
{
    return f->form == TSM_BATCH || f->form == RAW_BATCH;
}

static void make_challenge(const struct fixture *f, struct made *m, uint8_t out[64])
{
    const struct atls_bytes nonce = atls_bytes_of(binder, f->binder_len);
    struct atls_bytes kats[2];
    struct atls_batch_tree *tree = NULL;
    struct atls_writer w = atls_writer_init(8192);
    uint8_t other[] = {0xd9, 0x02, 0x59};

    memset(out, 0, 64);
    if (!is_bare(f))
        m->kat = test_kat(nonce, spki_of(aik));
    if (is_bare(f) && f->scope == ATLS_EVIDENCE_KEY_UNKNOWN) {
        memcpy(out, nonce.ptr, nonce.len);
    } else if (is_bare(f)) {
        must(atls_binder_bare_challenge(f->binder_len == 48 ? ATLS_HASH_SHA384 : ATLS_HASH_SHA256,
                                        nonce, spki_of(aik), out, NULL));
    } else if (is_batch(f)) {
        kats[0] = atls_bytes_of(other, sizeof other);
        kats[1] = atls_buf_bytes(&m->kat);
        must(atls_batch_tree_new(kats, 2, &tree, NULL));
        memcpy(out, atls_batch_tree_challenge(tree).ptr, 64);
        atls_batch_tree_put(tree, 1, kats[1], &w);
        must(atls_writer_finish(&w, &m->member, NULL));
        atls_batch_tree_free(tree);
    } else {
        must(atls_hash_one(ATLS_HASH_SHA512, atls_buf_bytes(&m->kat), out, NULL));
    }
    for (size_t i = 0; i < 64; i++)
        out[i] ^= f->challenge_flip[i];
}

static void make_report(const struct fixture *f, struct made *m)
{
    uint8_t report[ATLS_SNP_REPORT_LEN], challenge[64];

    make_challenge(f, m, challenge);
    must(atls_sim_amd_report(maker_of(f), &f->order, challenge, report, NULL));
    if (f->before.flip != 0) {
        report[f->before.at] ^= f->before.flip;
        must(atls_sim_amd_sign(maker_of(f), f->order.vlek, report, NULL));
    }
    report[f->after.at] ^= f->after.flip;
    must(atls_buf_copy(
        &m->report, atls_bytes_of(report, f->truncate != 0 ? f->truncate : sizeof report), NULL));
}

static void make_table(const struct fixture *f, struct made *m)
{
    static const uint8_t junk[] = "no certificate at all";
    struct atls_snp_certificates table = {.ask = {NULL, 0}};
    struct atls_buf ark = ATLS_BUF_INIT;

    if (f->vek == IN_TABLE && f->order.vlek == !f->other_kind)
        table.vlek = atls_buf_bytes(&m->vek);
    else if (f->vek == IN_TABLE)
        table.vcek = atls_buf_bytes(&m->vek);
    if (f->ask == IN_TABLE)
        table.ask = atls_buf_bytes(&m->ask);
    if (f->ark_in_table) {
        must(atls_sim_amd_certificate(maker_of(f), ATLS_SIM_ARK, &f->order, NULL, &ark, NULL));
        table.ark = atls_buf_bytes(&ark);
    }
    if (f->ask_as_ark)
        table.ark = atls_buf_bytes(&m->ask);
    if (f->junk_authorities)
        table.ask = table.ark = atls_bytes_of(junk, sizeof junk);
    must(atls_snp_certificates_encode(&table, &m->table, NULL));
    atls_buf_clear(&ark);
}

static void trust(const struct fixture *f, struct made *m)
{
    struct atls_buf ark = ATLS_BUF_INIT;

    must(atls_sim_amd_certificate(amd, ATLS_SIM_ARK, &f->order, NULL, &ark, NULL));
    if (!f->no_ark)
        test_tee_source_trust(&m->source, atls_buf_bytes(&ark));
    if (f->ask == ON_FILE)
        test_tee_source_trust(&m->source, atls_buf_bytes(&m->ask));
    m->source.class_id = f->class_id;
    m->source.stale = f->stale;
    if (f->vek == ON_FILE)
        test_tee_source_put(&m->source, ATLS_COLLATERAL_SNP_VEK, atls_buf_bytes(&m->vek));
    if (f->crl == ON_FILE)
        test_tee_source_put(&m->source, ATLS_COLLATERAL_SNP_CRL, atls_buf_bytes(&m->crl));
    atls_buf_clear(&ark);
}

/* Endorsements: at most VEK, authorities and a list. */
struct endorsements {
    struct atls_cmw_entry entries[3];
    struct atls_cmw all;
};

static void endorse(struct endorsements *e, enum atls_collateral_kind kind, struct atls_bytes bytes)
{
    const struct atls_collateral_row *row = atls_collateral_row_of(kind);
    struct atls_cmw_entry *entry = &e->entries[e->all.count++];

    entry->label.is_text = true;
    entry->label.text = atls_bytes_of(row->name, strlen(row->name));
    entry->value = atls_cmw_record(row->media_type, bytes, ATLS_CMW_ENDORSEMENTS);
}

static void collect(const struct fixture *f, const struct made *m, struct endorsements *e)
{
    memset(e, 0, sizeof *e);
    e->all.kind = ATLS_CMW_COLLECTION;
    e->all.entries = e->entries;
    if (f->vek == IN_BUNDLE)
        endorse(e, ATLS_COLLATERAL_SNP_VEK, atls_buf_bytes(&m->vek));
    if (f->ask == IN_BUNDLE)
        endorse(e, ATLS_COLLATERAL_SNP_CA, atls_buf_bytes(&m->ask));
    if (f->crl == IN_BUNDLE)
        endorse(e, ATLS_COLLATERAL_SNP_CRL, atls_buf_bytes(&m->crl));
    else if (f->crl_too != NULL)
        endorse(e, ATLS_COLLATERAL_SNP_CRL, atls_buf_bytes(&m->crl_too));
}

static struct atls_buf make_token(const struct fixture *f, const struct made *m)
{
    struct atls_writer w = atls_writer_init(65536);
    struct atls_tsm_report tsm = {
        .provider = atls_bytes_of(ATLS_TSM_PROVIDER_SNP, strlen(ATLS_TSM_PROVIDER_SNP)),
        .outblob = atls_buf_bytes(&m->report),
        .auxblob = atls_buf_bytes(&m->table),
    };
    struct atls_buf out = ATLS_BUF_INIT;

    if (f->form >= RAW_KAT) {
        atls_put_bytes(&w, atls_buf_bytes(&m->report));
        atls_put_bytes(&w, atls_buf_bytes(&m->table));
    } else {
        atls_tsm_report_put(&w, &tsm);
    }
    must(atls_writer_finish(&w, &out, NULL));
    return out;
}

static void make_evidence(const struct fixture *f, struct made *m)
{
    const char *type = f->form >= RAW_KAT ? ATLS_TYPE_SNP_REPORT : ATLS_TYPE_TSM_REPORT;
    struct atls_writer w = atls_writer_init(262144);
    struct atls_buf token = make_token(f, m);
    struct endorsements e;
    struct atls_cmw pat = atls_cmw_record(type, atls_buf_bytes(&token), ATLS_CMW_EVIDENCE), kat;

    collect(f, m, &e);
    if (is_bare(f)) {
        must(atls_cmw_encode(&pat, &w, NULL));
    } else {
        kat = is_batch(f)
                  ? atls_cmw_record(ATLS_TYPE_KAT_BATCH, atls_buf_bytes(&m->member),
                                    ATLS_CMW_EVIDENCE)
                  : atls_cmw_record(ATLS_TYPE_KAT, atls_buf_bytes(&m->kat), ATLS_CMW_EVIDENCE);
        must(atls_bundle_encode(&kat, &pat, e.all.count != 0 ? &e.all : NULL, &w, NULL));
    }
    must(atls_writer_finish(&w, &m->evidence, NULL));
    atls_buf_clear(&token);
}

static void make(const struct fixture *f, struct made *m)
{
    const bool vlek = f->order.vlek != f->other_kind;

    memset(m, 0, sizeof *m);
    must(atls_sim_amd_certificate(maker_of(f), vlek ? ATLS_SIM_VLEK : ATLS_SIM_VCEK, &f->order,
                                  NULL, &m->vek, NULL));
    must(atls_sim_amd_certificate(maker_of(f), vlek ? ATLS_SIM_ASVK : ATLS_SIM_ASK, &f->order,
                                  &f->ask_flaws, &m->ask, NULL));
    if (f->crl_bytes.ptr != NULL)
        must(atls_buf_copy(&m->crl, f->crl_bytes, NULL));
    else
        must(atls_sim_amd_crl(amd, &f->order, &f->crl_flaws, &m->crl, NULL));
    if (f->crl_too != NULL)
        must(atls_sim_amd_crl(amd, &f->order, f->crl_too, &m->crl_too, NULL));
    make_report(f, m);
    make_table(f, m);
    trust(f, m);
    make_evidence(f, m);
}

static void clear(struct made *m)
{
    atls_buf_clear(&m->kat);
    atls_buf_clear(&m->member);
    atls_buf_clear(&m->report);
    atls_buf_clear(&m->vek);
    atls_buf_clear(&m->ask);
    atls_buf_clear(&m->crl);
    atls_buf_clear(&m->crl_too);
    atls_buf_clear(&m->table);
    atls_buf_clear(&m->evidence);
    test_tee_source_clear(&m->source);
}

static enum atls_code verify(struct fixture *f, struct made *m, struct atls_claims *out,
                             struct atls_err *err)
{
    static const uint8_t another[48] = "binder of another connection";
    const struct atls_endorsement_source source = test_tee_source_over(&m->source);
    const struct atls_evidence_options options = {.rules = &f->rules};
    struct atls_evidence_request request = {
        .scope = f->scope,
        .evidence = atls_buf_bytes(&m->evidence),
        .binder = atls_bytes_of(f->other_binder ? another : binder, f->binder_len),
        .profiles = f->profiles,
        .time_s = f->time_s,
        .source = &source,
        .cache = f->cache,
        .options = &options,
    };
    enum atls_code code;

    if (f->scope != ATLS_EVIDENCE_KEY_UNKNOWN)
        request.aik_spki = spki_of(f->connection != NULL ? f->connection : aik);
    m->source.asked = 0;
    code = atls_evidence_verify(&request, out, err);
    f->asked = m->source.asked;
    return code;
}

static enum atls_code appraise(struct fixture *f, struct atls_claims *out, struct atls_err *err)
{
    enum atls_code code;
    struct made m;

    make(f, &m);
    code = verify(f, &m, out, err);
    clear(&m);
    return code;
}

static void accepted(struct fixture *f)
{
    struct atls_claims claims;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(appraise(f, &claims, &err), ATLS_OK, &err);
    assert_int_equal(err.code, ATLS_OK); /* what was looked for in vain is no error */
    atls_claims_clear(&claims);
}

static void refused_as(struct fixture *f, enum atls_code code, enum atls_reason reason)
{
    struct atls_claims claims;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(appraise(f, &claims, &err), code, &err);
    assert_string_equal(atls_reason_name(err.reason), atls_reason_name(reason));
}

static size_t details_of(const struct atls_claims *claims, const char *name, size_t *out_last)
{
    size_t count = 0;

    for (size_t i = 0; i < claims->detail_count; i++)
        if (strcmp(claims->details[i].name, name) == 0) {
            *out_last = i;
            count++;
        }
    return count;
}

static bool has_detail(const struct atls_claims *claims, const char *name)
{
    size_t last;

    return details_of(claims, name, &last) != 0;
}

/* The one of this name. */
static struct atls_detail detail_of(const struct atls_claims *claims, const char *name)
{
    size_t last = 0;

    assert_int_equal(details_of(claims, name, &last), 1);
    return claims->details[last];
}

static size_t measurements_of(const struct atls_claims *claims, uint64_t key, size_t *out_last)
{
    size_t count = 0;

    for (size_t i = 0; i < claims->measurement_count; i++)
        if (claims->measurements[i].mkey.number == key) {
            *out_last = i;
            count++;
        }
    return count;
}

/* The values of the one with this key. */
static struct atls_mval value_of(const struct atls_claims *claims, uint64_t key)
{
    size_t last = 0;

    assert_int_equal(measurements_of(claims, key, &last), 1);
    return claims->measurements[last].mval;
}

static void assert_text(const struct atls_claims *claims, const char *name, const char *want)
{
    const struct atls_detail d = detail_of(claims, name);

    assert_int_equal(d.type, ATLS_DETAIL_TEXT);
    test_assert_bytes(d.bytes, atls_bytes_of(want, strlen(want)));
}

static uint64_t number_of(const struct atls_claims *claims, const char *name)
{
    return detail_of(claims, name).number;
}

/* ---- what is good ---- */

static void every_line_key_form_and_scope(void **state)
{
    (void)state;
    for (int line = ATLS_SNP_MILAN; line < ATLS_SNP_LINES; line++)
        for (int vlek = 0; vlek < 2; vlek++)
            for (int form = 0; form < FORM_COUNT; form++)
                for (int scope = 0; scope < 3; scope++) {
                    struct fixture f = fixture_of((enum atls_snp_line)line);

                    f.order.vlek = vlek != 0;
                    f.form = (enum form)form;
                    f.scope = (enum atls_evidence_scope)scope;
                    f.binder_len = form % 2 == 0 ? 32 : 48;
                    accepted(&f);
                }
}

/* A service's nonce, with zeros behind it. */
static void nonces_of_a_service(void **state)
{
    (void)state;
    for (size_t len = 8; len <= sizeof binder; len += 8) {
        struct fixture f = fixture_of(ATLS_SNP_GENOA);

        f.form = RAW_BARE;
        f.scope = ATLS_EVIDENCE_KEY_UNKNOWN;
        f.binder_len = len;
        accepted(&f);
        f.challenge_flip[len] = 1;
        refused_as(&f, ATLS_E_EVIDENCE, ATLS_REASON_REPORT_DATA_MISMATCH);
    }
}

static void every_version(void **state)
{
    (void)state;
    for (uint32_t version = 2; version <= 5; version++)
        for (int line = ATLS_SNP_MILAN; line < ATLS_SNP_LINES; line++) {
            struct fixture f = fixture_of((enum atls_snp_line)line);

            f.order.version = version;
            f.order.launch_mitigations = f.order.current_mitigations = 3;
            accepted(&f);
        }
}

static void what_is_claimed(void **state)
{
    struct fixture f = fixture_of(ATLS_SNP_MILAN);
    uint8_t hash[ATLS_HASH_MAX];
    struct atls_claims c;
    struct atls_err err = ATLS_ERR_INIT;
    size_t last;

    (void)state;
    f.order.guest_svn = 7;
    f.order.key_info = ATLS_SNP_AUTHOR_KEY;
    memset(f.order.author_key_digest, 0x77, 48);
    memset(f.order.host_data, 0x21, 32);
    f.order.version = 5;
    f.order.launch_mitigations = 1;
    f.order.current_mitigations = 3;
    test_assert_code(appraise(&f, &c, &err), ATLS_OK, &err);
    assert_string_equal(c.technology, "snp");
    assert_string_equal(c.submod, "SNP");
    assert_false(c.insecure);
    assert_int_equal(c.key_trust, ATLS_KEY_TRUST_CERTIFIED);
    test_assert_bytes(c.key_spki, spki_of(aik));
    assert_true(c.signer_spki.len != 0);
    must(atls_hash_one(ATLS_HASH_SHA256, atls_bytes_of(f.order.chip_id, 64), hash, NULL));
    assert_int_equal(c.instance.len, 33);
    assert_int_equal(c.instance.ptr[0], 1);
    test_assert_bytes(atls_bytes_of(c.instance.ptr + 1, 32), atls_bytes_of(hash, 32));
    test_assert_bytes(c.environment.class_id,
                      atls_bytes_of("\xd8\x6f\x49\x2b\x06\x01\x04\x01\x9c\x78\x03\x01", 12));

    assert_int_equal(c.measurements[0].mkey.number, 641);
    assert_int_equal(c.optional_count, c.measurement_count - 1);
    test_assert_bytes(c.measurements[0].mval.digests[0].value,
                      atls_bytes_of(f.order.measurement, 48));
    assert_int_equal(c.measurements[0].mval.digests[0].named_information, 7);
    test_assert_bytes(value_of(&c, 2).raw, atls_bytes_of("\0\0\0\0\0\x03\0\0", 8));
    assert_int_equal(value_of(&c, 1).svn, 7);
    assert_int_equal(value_of(&c, 647).svn, UINT64_C(0xdb18000000000104));
    test_assert_bytes(value_of(&c, 0).version, atls_bytes_of("5", 1));
    test_assert_bytes(value_of(&c, 3330).version, atls_bytes_of("1.55.40", 7));
    test_assert_bytes(value_of(&c, 642).raw, atls_bytes_of(f.order.host_data, 32));
    test_assert_bytes(value_of(&c, 648).raw, atls_bytes_of("\x19", 1));
    assert_int_equal(measurements_of(&c, 640, &last), 0);
    assert_int_equal(measurements_of(&c, 645, &last), 0);
    assert_int_equal(measurements_of(&c, 646, &last), 0);
    assert_int_equal(measurements_of(&c, 3328, &last), 0);

    assert_text(&c, "product-line", "Milan");
    assert_text(&c, "product-name", "Milan-B0");
    assert_text(&c, "signing-key", "vcek");
    assert_text(&c, "reported-tcb", "4.1.24.219");
    assert_text(&c, "committed-firmware", "1.55.40");
    test_assert_bytes(detail_of(&c, "chip-id").bytes, atls_bytes_of(f.order.chip_id, 64));
    test_assert_bytes(detail_of(&c, "author-key-digest").bytes,
                      atls_bytes_of(f.order.author_key_digest, 48));
    assert_int_equal(number_of(&c, "guest-policy"), 0x30000);
    assert_int_equal(number_of(&c, "vmpl"), 0);
    assert_int_equal(number_of(&c, "debug"), 0);
    assert_int_equal(number_of(&c, "report-version"), 5);
    assert_int_equal(number_of(&c, "platform-info"), 0x25);
    assert_int_equal(number_of(&c, "revocation-checked"), 1);
    assert_int_equal(number_of(&c, "current-mitigations"), 3);
    assert_false(has_detail(&c, "csp-id"));
    atls_claims_clear(&c);
}

static void what_a_vlek_claims(void **state)
{
    struct fixture f = fixture_of(ATLS_SNP_TURIN);
    struct atls_claims c;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    f.order.vlek = true;
    test_assert_code(appraise(&f, &c, &err), ATLS_OK, &err);
    assert_int_equal(c.instance.len, 0);
    assert_null(c.environment.instance.ptr);
    assert_int_equal(c.environment.class_id.ptr[11], 2);
    assert_text(&c, "csp-id", "CN=simulated.example");
    assert_text(&c, "signing-key", "vlek");
    assert_text(&c, "launch-tcb", "1.4.1.24.219");
    assert_false(has_detail(&c, "chip-id"));
    assert_false(has_detail(&c, "author-key-digest"));
    assert_false(has_detail(&c, "current-mitigations"));
    atls_claims_clear(&c);
}

static void an_anchor_may_name_the_class(void **state)
{
    struct fixture f = fixture_of(ATLS_SNP_GENOA);
    struct atls_claims c;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    f.class_id = atls_bytes_of("\xd8\x25\x41\x07", 4);
    test_assert_code(appraise(&f, &c, &err), ATLS_OK, &err);
    test_assert_bytes(c.environment.class_id, f.class_id);
    atls_claims_clear(&c);
}

/* Nothing is asked of anybody, and nothing is trusted: that is the Verifier's. */
static void where_the_verifier_is_elsewhere(void **state)
{
    struct fixture f = fixture_of(ATLS_SNP_MILAN);
    struct atls_claims c;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    f.scope = ATLS_EVIDENCE_KEY_TRUST_ELSEWHERE;
    f.vek = f.crl = NOWHERE;
    f.no_ark = true;
    f.order.version = 2;
    f.after.at = 0x2a0;
    f.after.flip = 1;
    test_assert_code(appraise(&f, &c, &err), ATLS_OK, &err);
    assert_int_equal(f.asked, 0);
    assert_int_equal(c.key_trust, ATLS_KEY_TRUST_NONE);
    assert_int_equal(c.signer_spki.len, 0);
    assert_int_equal(c.environment.class_id.len, 12);
    assert_false(has_detail(&c, "product-line"));
    assert_false(has_detail(&c, "reported-tcb"));
    atls_claims_clear(&c);
}

static void certificates_may_come_from_anywhere(void **state)
{
    static const enum place places[] = {IN_TABLE, IN_BUNDLE, ON_FILE};

    (void)state;
    for (size_t vek = 0; vek < 3; vek++)
        for (size_t ask = 0; ask < 3; ask++)
            for (size_t crl = 1; crl < 3; crl++)
                for (int vlek = 0; vlek < 2; vlek++) {
                    struct fixture f = fixture_of(ATLS_SNP_TURIN);

                    f.vek = places[vek];
                    f.ask = places[ask];
                    f.crl = places[crl];
                    f.order.vlek = vlek != 0;
                    f.order.version = vlek != 0 ? 2 : 3;
                    accepted(&f);
                }
}

static void an_ask_may_be_fetched(void **state)
{
    struct fixture f = fixture_of(ATLS_SNP_GENOA);
    struct atls_buf chain = ATLS_BUF_INIT;
    struct atls_claims claims;
    struct atls_err err = ATLS_ERR_INIT;
    struct made m;

    (void)state;
    f.ask = NOWHERE;
    must(atls_sim_amd_chain(amd, &f.order, &chain, NULL));
    make(&f, &m);
    test_tee_source_put(&m.source, ATLS_COLLATERAL_SNP_CA, atls_buf_bytes(&chain));
    test_assert_code(verify(&f, &m, &claims, &err), ATLS_OK, &err);
    atls_claims_clear(&claims);
    clear(&m);
    atls_buf_clear(&chain);
}

static void an_authority_of_the_peer_that_is_junk_does_no_harm(void **state)
{
    struct fixture f = fixture_of(ATLS_SNP_MILAN);

    (void)state;
    f.junk_authorities = true;
    accepted(&f);
}

/* The ids that a parser of DER takes for DER. */
static void chip_ids_that_look_like_der(void **state)
{
    static const uint8_t firsts[][2] = {{0x02, 0x3e}, {0x04, 0x3e}, {0x30, 0x3e}, {0x04, 0x06}};

    (void)state;
    for (size_t i = 0; i < 4; i++)
        for (int wrapped = 0; wrapped < 2; wrapped++)
            for (int turin = 0; turin < 2; turin++) {
                struct fixture f = fixture_of(turin != 0 ? ATLS_SNP_TURIN : ATLS_SNP_MILAN);

                memcpy(f.order.chip_id, firsts[i], 2);
                f.order.flaws.wrapped_id = wrapped != 0;
                accepted(&f);
            }
}

/* ---- each check alone ---- */

typedef void change_fn(struct fixture *f);

#define CHANGE(name) static void name(struct fixture *f)
/* One byte of the report, signed as it then is. */
#define SIGNED(name, where, bits)                                                                  \
    CHANGE(name)                                                                                   \
    {                                                                                              \
        f->before.at = (where);                                                                    \
        f->before.flip = (bits);                                                                   \
    }
#define UNSIGNED(name, where, bits)                                                                \
    CHANGE(name)                                                                                   \
    {                                                                                              \
        f->after.at = (where);                                                                     \
        f->after.flip = (bits);                                                                    \
    }
#define SET(name, member, value)                                                                   \
    CHANGE(name)                                                                                   \
    {                                                                                              \
        f->member = (value);                                                                       \
    }

/* structure */
SET(short_report, truncate, ATLS_SNP_REPORT_LEN - 1)
SET(tiny_report, truncate, 1)
SIGNED(version_1, 0x000, 3 ^ 1)
SIGNED(version_6, 0x000, 3 ^ 6)
SIGNED(version_high, 0x003, 1)
SIGNED(algorithm_2, 0x034, 3)
SIGNED(policy_bit_17, 0x00a, 2)
SIGNED(policy_bit_26, 0x00b, 4)
SIGNED(policy_bit_63, 0x00f, 0x80)
SIGNED(key_info_bit_5, 0x048, 0x20)
SIGNED(key_info_bit_31, 0x04b, 0x80)
SIGNED(unsigned_report, 0x048, 0x1c)
SIGNED(reserved_signer_2, 0x048, 0x08)
SIGNED(reserved_signer_6, 0x048, 0x18)
SIGNED(reserved_4c, 0x04c, 1)
SIGNED(reserved_18b, 0x18b, 1)
SIGNED(reserved_19f, 0x19f, 1)
SIGNED(reserved_1eb, 0x1eb, 1)
SIGNED(reserved_1ef, 0x1ef, 1)
SIGNED(reserved_1f8, 0x1f8, 1)
SIGNED(reserved_208, 0x208, 1)
SIGNED(reserved_29f, 0x29f, 1)
UNSIGNED(upper_r, 0x2d0, 1)
UNSIGNED(upper_s, 0x318, 1)
UNSIGNED(tail, 0x330, 1)
UNSIGNED(last_byte, 0x49f, 1)
CHANGE(cpuid_in_version_2)
{
    f->order.version = 2;
    f->before.at = 0x188;
    f->before.flip = 0x19;
}
SET(unknown_family, order.cpuid_family, 0x17)
SET(unknown_model, order.cpuid_model, 0x20)
SET(refused_line, rules.snp.refused_lines, 1U << ATLS_SNP_MILAN)
CHANGE(refused_line_2)
{
    f->order.version = 2;
    f->rules.snp.refused_lines = 1U << ATLS_SNP_MILAN;
}

/* the leaf */
SET(leaf_name, order.flaws.common_name, "VCEK")
SET(leaf_named_vlek, order.flaws.common_name, "SEV-VLEK")
SET(leaf_without_id, order.flaws.no_id, true)
SET(leaf_with_both_ids, order.flaws.both_ids, true)
SET(leaf_that_is_ca, order.flaws.is_ca, true)
SET(leaf_of_other_kind, other_kind, true)
CHANGE(vlek_without_id)
{
    f->order.vlek = true;
    f->order.flaws.no_id = true;
}
CHANGE(vlek_with_both_ids)
{
    f->order.vlek = true;
    f->order.flaws.both_ids = true;
}
CHANGE(vlek_named_vcek)
{
    f->order.vlek = true;
    f->order.flaws.common_name = "SEV-VCEK";
}
CHANGE(vcek_in_its_place)
{
    f->order.vlek = true;
    f->other_kind = true;
    f->vek = IN_BUNDLE;
}
SET(id_twice, order.flaws.id_twice, true)
SET(id_of_63, order.flaws.hw_id, atls_bytes_of(f->order.chip_id, 63))
CHANGE(id_in_the_wrong_wrapping)
{
    static const uint8_t wrapped[10] = {0x05, 0x08};

    f->order.flaws.hw_id = atls_bytes_of(wrapped, sizeof wrapped);
}
SET(no_leaf, vek, NOWHERE)
CHANGE(no_vlek)
{
    f->order.vlek = true;
    f->order.version = 2;
    f->vek = NOWHERE;
}
SET(leaf_on_p256, order.flaws.wrong_curve, true)
SET(leaf_of_genoa, order.flaws.issuer_name, "SEV-Genoa")
SET(leaf_of_rome, order.flaws.issuer_name, "SEV-Rome")
SET(leaf_of_nobody, order.flaws.issuer_name, "Milan")
SET(leaf_of_asvk, order.flaws.issuer_name, "SEV-VLEK-Milan")
SET(leaf_broken, order.flaws.break_signature, true)
SET(leaf_expired, order.flaws.not_after_s, NOW_S - 1)
SET(leaf_too_new, order.flaws.not_before_s, NOW_S + 1)
CHANGE(spl_negative)
{
    f->order.flaws.spl = atls_bytes_of("\x02\x01\xdb", 3);
}
CHANGE(spl_long)
{
    f->order.flaws.spl = atls_bytes_of("\x02\x02\x00\x01", 4);
}
CHANGE(spl_too_large)
{
    f->order.flaws.spl = atls_bytes_of("\x02\x02\x01\x00", 4);
}

/* the chain */
SET(no_ark, no_ark, true)
CHANGE(nobody_on_file)
{
    f->no_ark = true;
    f->ask = IN_TABLE;
}
CHANGE(foreign_root)
{
    f->foreign_chain = true;
    f->ask = IN_TABLE;
    f->ark_in_table = true;
}
CHANGE(foreign_ask)
{
    f->foreign_chain = true;
    f->ask = IN_TABLE;
}
CHANGE(foreign_leaf)
{
    f->foreign_chain = true;
    f->ask = NOWHERE;
}
CHANGE(ask_as_root)
{
    f->no_ark = true;
    f->ask_as_ark = true;
}
SET(no_ask, ask, NOWHERE)
SET(ask_no_ca, ask_flaws.no_ca, true)
SET(ask_broken, ask_flaws.break_signature, true)
SET(ask_named_otherwise, ask_flaws.common_name, "SEV-Genoa")
SET(ask_of_another_root, ask_flaws.issuer_name, "ARK-Genoa")
SET(ask_expired, ask_flaws.not_after_s, NOW_S - 1)
SET(ask_too_new, ask_flaws.not_before_s, NOW_S + 1)

/* revocation */
SET(no_crl, crl, NOWHERE)
SET(crl_broken, crl_flaws.break_signature, true)
SET(crl_old, crl_flaws.next_update_s, NOW_S)
SET(crl_too_new, crl_flaws.this_update_s, NOW_S + 1)
SET(crl_of_another, crl_flaws.other_issuer, true)
SET(ask_revoked, crl_flaws.revoke_ask, true)
CHANGE(crl_stale)
{
    f->crl = NOWHERE;
    f->stale = ATLS_REASON_CRL_EXPIRED;
}
CHANGE(crl_stale_optional)
{
    f->crl = NOWHERE;
    f->stale = ATLS_REASON_CRL_EXPIRED;
    f->rules.snp.crl_optional = true;
}
CHANGE(ask_revoked_in_bundle)
{
    f->crl = IN_BUNDLE;
    f->crl_flaws.revoke_ask = true;
}
CHANGE(ask_revoked_optional)
{
    f->crl_flaws.revoke_ask = true;
    f->rules.snp.crl_optional = true;
}
CHANGE(crl_old_optional)
{
    f->crl_flaws.next_update_s = NOW_S;
    f->rules.snp.crl_optional = true;
}
CHANGE(asvk_revoked)
{
    f->order.vlek = true;
    f->crl_flaws.revoke_asvk = true;
}
CHANGE(revoked_whatever_the_peer_says)
{
    static const struct atls_sim_amd_crl clean;

    f->crl_flaws.revoke_ask = true;
    f->crl_too = &clean;
}
CHANGE(both_lists_unfit)
{
    static const struct atls_sim_amd_crl broken = {.break_signature = true};

    f->crl_flaws.next_update_s = NOW_S;
    f->crl_too = &broken;
}
CHANGE(crl_malformed)
{
    f->crl_bytes = atls_bytes_of("list", 4);
}

/* the report under its key */
SET(another_key, order.flaws.other_key, true)
UNSIGNED(data_changed, 0x050, 1)
UNSIGNED(signature_changed, 0x2a0, 1)
UNSIGNED(signature_s_changed, 0x2e8, 1)
SIGNED(reported_bl, 0x180, 1)
SIGNED(reported_microcode, 0x187, 1)
SET(reserved_spl, order.flaws.reserved_spl, true)
SIGNED(chip_id_first, 0x1a0, 1)
SIGNED(chip_id_last, 0x1df, 1)
CHANGE(chip_of_another_certificate)
{
    static const uint8_t other[64] = {1, 2, 3};

    f->order.flaws.hw_id = atls_bytes_of(other, sizeof other);
}
CHANGE(chip_id_short)
{
    static const uint8_t other[8] = {0x11, 0x18, 0x1f};

    f->order.flaws.hw_id = atls_bytes_of(other, sizeof other);
}
CHANGE(masked)
{
    static const uint8_t id[64] = {1, 2, 3};

    memset(f->order.chip_id, 0, 64);
    f->order.flaws.hw_id = atls_bytes_of(id, sizeof id);
    f->order.key_info = ATLS_SNP_MASKED_CHIP;
}
CHANGE(zero_but_not_masked)
{
    masked(f);
    f->order.key_info = 0;
    f->rules.snp.allow_masked_chip_id = true;
}
CHANGE(other_csp)
{
    f->order.vlek = true;
    strcpy(f->rules.snp.csp_id, "CN=simulated.exampl");
}
CHANGE(vcek_where_a_csp_is_wanted)
{
    strcpy(f->rules.snp.csp_id, "CN=simulated.example");
}

/* the challenge */
SET(report_data_0, challenge_flip[0], 1)
SET(report_data_40, challenge_flip[40], 1)
SET(report_data_63, challenge_flip[63], 0x80)
CHANGE(bare_data_upper_half)
{
    f->form = TSM_BARE;
    f->challenge_flip[60] = 1;
}
SET(another_connection, other_binder, true)
CHANGE(another_key_of_the_connection)
{
    f->connection = other_aik;
}

/* rules */
SET(debug, order.policy, 0x30000 | ATLS_SNP_POLICY_DEBUG)
SET(migration, order.policy, 0x30000 | ATLS_SNP_POLICY_MIGRATION)
SET(smt, rules.snp.refuse_smt, true)
CHANGE(smt_of_platform)
{
    f->rules.snp.refuse_smt = true;
    f->order.policy &= ~ATLS_SNP_POLICY_SMT;
}
CHANGE(abi)
{
    f->order.policy |= 0x0136;
    f->rules.snp.abi = (struct atls_rule_number){true, 0x0137};
}
CHANGE(abi_major)
{
    f->order.policy |= 0x01ff;
    f->rules.snp.abi = (struct atls_rule_number){true, 0x0200};
}
SET(policy_set, rules.snp.policy_set, UINT64_C(1) << 24)
SET(policy_clear, rules.snp.policy_clear, ATLS_SNP_POLICY_SMT)
SET(vmpl_1, order.vmpl, 1)
SET(vmpl_of_host, order.vmpl, ATLS_SNP_VMPL_HOST)
CHANGE(vmpl_0_where_2_is_wanted)
{
    f->rules.snp.vmpl = (struct atls_rule_number){true, 2};
}
CHANGE(vmpl_4)
{
    f->order.vmpl = 4;
    f->rules.snp.vmpl = (struct atls_rule_number){true, 4};
}
CHANGE(guest_svn)
{
    f->order.guest_svn = 4;
    f->rules.snp.guest_svn = (struct atls_rule_number){true, 5};
}
CHANGE(id_key)
{
    f->rules.snp.id_keys.count = 1;
    f->rules.snp.id_keys.list[0][47] = 1;
}
CHANGE(author_key)
{
    f->order.key_info = ATLS_SNP_AUTHOR_KEY;
    f->rules.snp.author_keys.count = 1;
    f->rules.snp.author_keys.list[0][0] = 1;
}
CHANGE(author_key_not_enabled)
{
    f->rules.snp.author_keys.count = 1;
}
CHANGE(reserved_tcb)
{
    f->before.at = 0x03a;
    f->before.flip = 1;
}
CHANGE(tcb_above_127)
{
    f->before.at = 0x1f0;
    f->before.flip = 0x80;
}
#define FLOOR(name, member)                                                                        \
    CHANGE(name)                                                                                   \
    {                                                                                              \
        f->rules.snp.minimum_tcb_set[f->order.line] = true;                                        \
        f->rules.snp.minimum_tcb[f->order.line] = f->order.reported;                               \
        f->rules.snp.minimum_tcb[f->order.line].member++;                                          \
    }
FLOOR(old_boot_loader, boot_loader)
FLOOR(old_tee, tee)
FLOOR(old_snp, snp)
FLOOR(old_microcode, microcode)
CHANGE(old_launch)
{
    f->order.launch.snp--;
    f->rules.snp.launch_tcb_set[f->order.line] = true;
    f->rules.snp.launch_tcb[f->order.line] = f->order.reported;
}
SET(reported_above_current, order.current.snp, f->order.reported.snp - 1)
SET(committed_above_current, order.committed.tee, f->order.current.tee + 1)
CHANGE(provisional_tcb)
{
    f->order.committed.microcode--;
    f->rules.snp.refuse_provisional = true;
}
CHANGE(provisional_build)
{
    f->order.committed_firmware.build--;
    f->rules.snp.refuse_provisional = true;
}
CHANGE(provisional_minor)
{
    f->order.committed_firmware.minor--;
    f->rules.snp.refuse_provisional = true;
}
CHANGE(provisional_major)
{
    f->order.committed_firmware.major--;
    f->rules.snp.refuse_provisional = true;
}
SET(platform_set, rules.snp.platform_set, 0x08)
SET(platform_clear, rules.snp.platform_clear, 0x04)
SET(mitigation_unknown, rules.snp.mitigations, 1)
CHANGE(mitigation_of_launch)
{
    f->order.version = 5;
    f->order.current_mitigations = 3;
    f->order.launch_mitigations = 1;
    f->rules.snp.mitigations = 2;
}
CHANGE(mitigation_of_now)
{
    f->order.version = 5;
    f->order.current_mitigations = 1;
    f->order.launch_mitigations = 3;
    f->rules.snp.mitigations = 2;
}

#define ROW(name, change, code, reason)                                                            \
    {                                                                                              \
        name, change, ATLS_E_##code, ATLS_REASON_##reason                                          \
    }

static const struct {
    const char *name;
    change_fn *change;
    enum atls_code code;
    enum atls_reason reason;
} rows[] = {
    ROW("short report", short_report, DECODE, MALFORMED),
    ROW("tiny report", tiny_report, DECODE, MALFORMED),
    ROW("version 1", version_1, UNSUPPORTED, UNSUPPORTED_VERSION),
    ROW("version 6", version_6, UNSUPPORTED, UNSUPPORTED_VERSION),
    ROW("version high", version_high, UNSUPPORTED, UNSUPPORTED_VERSION),
    ROW("algorithm 2", algorithm_2, UNSUPPORTED, UNSUPPORTED_ALGORITHM),
    ROW("policy bit 17", policy_bit_17, DECODE, MALFORMED),
    ROW("policy bit 26", policy_bit_26, DECODE, MALFORMED),
    ROW("policy bit 63", policy_bit_63, DECODE, MALFORMED),
    ROW("key info bit 5", key_info_bit_5, DECODE, MALFORMED),
    ROW("key info bit 31", key_info_bit_31, DECODE, MALFORMED),
    ROW("unsigned report", unsigned_report, EVIDENCE, UNSIGNED_REPORT),
    ROW("reserved signer 2", reserved_signer_2, DECODE, MALFORMED),
    ROW("reserved signer 6", reserved_signer_6, DECODE, MALFORMED),
    ROW("reserved 4c", reserved_4c, DECODE, MALFORMED),
    ROW("reserved 18b", reserved_18b, DECODE, MALFORMED),
    ROW("reserved 19f", reserved_19f, DECODE, MALFORMED),
    ROW("reserved 1eb", reserved_1eb, DECODE, MALFORMED),
    ROW("reserved 1ef", reserved_1ef, DECODE, MALFORMED),
    ROW("reserved 1f8", reserved_1f8, DECODE, MALFORMED),
    ROW("reserved 208", reserved_208, DECODE, MALFORMED),
    ROW("reserved 29f", reserved_29f, DECODE, MALFORMED),
    ROW("upper r", upper_r, DECODE, MALFORMED),
    ROW("upper s", upper_s, DECODE, MALFORMED),
    ROW("tail", tail, DECODE, MALFORMED),
    ROW("last byte", last_byte, DECODE, MALFORMED),
    ROW("cpuid in version 2", cpuid_in_version_2, DECODE, MALFORMED),
    ROW("unknown family", unknown_family, EVIDENCE, UNSUPPORTED_PRODUCT),
    ROW("unknown model", unknown_model, EVIDENCE, UNSUPPORTED_PRODUCT),
    ROW("refused line", refused_line, EVIDENCE, UNSUPPORTED_PRODUCT),
    ROW("refused line 2", refused_line_2, EVIDENCE, UNSUPPORTED_PRODUCT),
    ROW("leaf name", leaf_name, EVIDENCE, SIGNING_KEY_MISMATCH),
    ROW("leaf named vlek", leaf_named_vlek, EVIDENCE, SIGNING_KEY_MISMATCH),
    ROW("leaf without id", leaf_without_id, EVIDENCE, SIGNING_KEY_MISMATCH),
    ROW("leaf with both ids", leaf_with_both_ids, EVIDENCE, SIGNING_KEY_MISMATCH),
    ROW("leaf that is ca", leaf_that_is_ca, EVIDENCE, SIGNING_KEY_MISMATCH),
    ROW("leaf of other kind", leaf_of_other_kind, EVIDENCE, SIGNING_KEY_MISMATCH),
    ROW("vlek without id", vlek_without_id, EVIDENCE, SIGNING_KEY_MISMATCH),
    ROW("vlek with both ids", vlek_with_both_ids, EVIDENCE, SIGNING_KEY_MISMATCH),
    ROW("vlek named vcek", vlek_named_vcek, EVIDENCE, SIGNING_KEY_MISMATCH),
    ROW("vcek in its place", vcek_in_its_place, EVIDENCE, SIGNING_KEY_MISMATCH),
    ROW("id twice", id_twice, DECODE, MALFORMED),
    ROW("id of 63", id_of_63, DECODE, MALFORMED),
    ROW("id in the wrong wrapping", id_in_the_wrong_wrapping, DECODE, MALFORMED),
    ROW("no leaf", no_leaf, EVIDENCE, COLLATERAL_UNAVAILABLE),
    ROW("no vlek", no_vlek, EVIDENCE, COLLATERAL_UNAVAILABLE),
    ROW("leaf on p256", leaf_on_p256, UNSUPPORTED, UNSUPPORTED_ALGORITHM),
    ROW("leaf of genoa", leaf_of_genoa, CERTIFICATE, CHAIN_ISSUER),
    ROW("leaf of rome", leaf_of_rome, CERTIFICATE, CHAIN_ISSUER),
    ROW("leaf of nobody", leaf_of_nobody, CERTIFICATE, CHAIN_ISSUER),
    ROW("leaf of asvk", leaf_of_asvk, CERTIFICATE, CHAIN_ISSUER),
    ROW("leaf broken", leaf_broken, CERTIFICATE, CHAIN_SIGNATURE),
    ROW("leaf expired", leaf_expired, CERTIFICATE, CERTIFICATE_EXPIRED),
    ROW("leaf too new", leaf_too_new, CERTIFICATE, CERTIFICATE_NOT_YET_VALID),
    ROW("spl negative", spl_negative, DECODE, MALFORMED),
    ROW("spl long", spl_long, DECODE, MALFORMED),
    ROW("spl too large", spl_too_large, DECODE, MALFORMED),
    ROW("no ark", no_ark, CERTIFICATE, UNTRUSTED_ROOT),
    ROW("nobody on file", nobody_on_file, CERTIFICATE, UNTRUSTED_ROOT),
    ROW("foreign root", foreign_root, CERTIFICATE, UNTRUSTED_ROOT),
    ROW("foreign ask", foreign_ask, CERTIFICATE, CHAIN_SIGNATURE),
    ROW("foreign leaf", foreign_leaf, CERTIFICATE, CHAIN_ISSUER),
    ROW("ask as root", ask_as_root, CERTIFICATE, UNTRUSTED_ROOT),
    ROW("no ask", no_ask, CERTIFICATE, CHAIN_ISSUER),
    ROW("ask no ca", ask_no_ca, CERTIFICATE, CHAIN_ISSUER),
    ROW("ask broken", ask_broken, CERTIFICATE, CHAIN_SIGNATURE),
    ROW("ask named otherwise", ask_named_otherwise, CERTIFICATE, CHAIN_ISSUER),
    ROW("ask of another root", ask_of_another_root, CERTIFICATE, CHAIN_ISSUER),
    ROW("ask expired", ask_expired, CERTIFICATE, CERTIFICATE_EXPIRED),
    ROW("ask too new", ask_too_new, CERTIFICATE, CERTIFICATE_NOT_YET_VALID),
    ROW("no crl", no_crl, EVIDENCE, CRL_UNAVAILABLE),
    ROW("crl on file past its time", crl_stale, CERTIFICATE, CRL_EXPIRED),
    ROW("crl on file past its time, and optional", crl_stale_optional, CERTIFICATE, CRL_EXPIRED),
    ROW("crl broken", crl_broken, CERTIFICATE, CRL_SIGNATURE),
    ROW("crl old", crl_old, CERTIFICATE, CRL_EXPIRED),
    ROW("crl too new", crl_too_new, CERTIFICATE, CRL_EXPIRED),
    ROW("crl of another", crl_of_another, CERTIFICATE, CRL_SIGNATURE),
    ROW("ask revoked", ask_revoked, CERTIFICATE, CERTIFICATE_REVOKED),
    ROW("ask revoked in bundle", ask_revoked_in_bundle, CERTIFICATE, CERTIFICATE_REVOKED),
    ROW("ask revoked optional", ask_revoked_optional, CERTIFICATE, CERTIFICATE_REVOKED),
    ROW("crl old optional", crl_old_optional, CERTIFICATE, CRL_EXPIRED),
    ROW("asvk revoked", asvk_revoked, CERTIFICATE, CERTIFICATE_REVOKED),
    ROW("revoked whatever the peer says", revoked_whatever_the_peer_says, CERTIFICATE,
        CERTIFICATE_REVOKED),
    ROW("both lists unfit", both_lists_unfit, CERTIFICATE, CRL_SIGNATURE),
    ROW("crl malformed", crl_malformed, DECODE, MALFORMED),
    ROW("another key", another_key, EVIDENCE, REPORT_SIGNATURE),
    ROW("data changed", data_changed, EVIDENCE, REPORT_SIGNATURE),
    ROW("signature changed", signature_changed, EVIDENCE, REPORT_SIGNATURE),
    ROW("signature s changed", signature_s_changed, EVIDENCE, REPORT_SIGNATURE),
    ROW("reported bl", reported_bl, EVIDENCE, TCB_MISMATCH),
    ROW("reported microcode", reported_microcode, EVIDENCE, TCB_MISMATCH),
    ROW("reserved spl", reserved_spl, EVIDENCE, TCB_MISMATCH),
    ROW("chip id first", chip_id_first, EVIDENCE, CHIP_ID_MISMATCH),
    ROW("chip id last", chip_id_last, EVIDENCE, CHIP_ID_MISMATCH),
    ROW("chip of another certificate", chip_of_another_certificate, EVIDENCE, CHIP_ID_MISMATCH),
    ROW("chip id short", chip_id_short, EVIDENCE, CHIP_ID_MISMATCH),
    ROW("masked", masked, EVIDENCE, CHIP_ID_MISMATCH),
    ROW("zero but not masked", zero_but_not_masked, EVIDENCE, CHIP_ID_MISMATCH),
    ROW("other csp", other_csp, EVIDENCE, CSP_ID_MISMATCH),
    ROW("VCEK where a csp is wanted", vcek_where_a_csp_is_wanted, EVIDENCE, CSP_ID_MISMATCH),
    ROW("report data 0", report_data_0, EVIDENCE, REPORT_DATA_MISMATCH),
    ROW("report data 40", report_data_40, EVIDENCE, REPORT_DATA_MISMATCH),
    ROW("report data 63", report_data_63, EVIDENCE, REPORT_DATA_MISMATCH),
    ROW("bare data upper half", bare_data_upper_half, EVIDENCE, REPORT_DATA_MISMATCH),
    ROW("another connection", another_connection, EVIDENCE, NONCE_MISMATCH),
    ROW("another key of the connection", another_key_of_the_connection, EVIDENCE,
        KEY_BINDING_MISMATCH),
    ROW("debug", debug, EVIDENCE, POLICY_DEBUG_ENABLED),
    ROW("migration", migration, EVIDENCE, POLICY_MIGRATION),
    ROW("smt", smt, EVIDENCE, POLICY_GUEST),
    ROW("smt of platform", smt_of_platform, EVIDENCE, PLATFORM_INFO),
    ROW("abi", abi, EVIDENCE, POLICY_GUEST),
    ROW("abi major", abi_major, EVIDENCE, POLICY_GUEST),
    ROW("policy set", policy_set, EVIDENCE, POLICY_GUEST),
    ROW("policy clear", policy_clear, EVIDENCE, POLICY_GUEST),
    ROW("vmpl 1", vmpl_1, EVIDENCE, VMPL),
    ROW("vmpl of host", vmpl_of_host, EVIDENCE, VMPL),
    ROW("vmpl 0 where 2 is wanted", vmpl_0_where_2_is_wanted, EVIDENCE, VMPL),
    ROW("vmpl 4", vmpl_4, EVIDENCE, VMPL),
    ROW("guest svn", guest_svn, EVIDENCE, MEASUREMENT),
    ROW("id key", id_key, EVIDENCE, ID_KEY),
    ROW("author key", author_key, EVIDENCE, ID_KEY),
    ROW("author key not enabled", author_key_not_enabled, EVIDENCE, ID_KEY),
    ROW("reserved tcb", reserved_tcb, DECODE, MALFORMED),
    ROW("tcb above 127", tcb_above_127, DECODE, MALFORMED),
    ROW("old boot loader", old_boot_loader, EVIDENCE, TCB_TOO_OLD),
    ROW("old tee", old_tee, EVIDENCE, TCB_TOO_OLD),
    ROW("old snp", old_snp, EVIDENCE, TCB_TOO_OLD),
    ROW("old microcode", old_microcode, EVIDENCE, TCB_TOO_OLD),
    ROW("old launch", old_launch, EVIDENCE, TCB_TOO_OLD),
    ROW("reported above current", reported_above_current, EVIDENCE, TCB_INCONSISTENT),
    ROW("committed above current", committed_above_current, EVIDENCE, TCB_INCONSISTENT),
    ROW("provisional tcb", provisional_tcb, EVIDENCE, PROVISIONAL_FIRMWARE),
    ROW("provisional build", provisional_build, EVIDENCE, PROVISIONAL_FIRMWARE),
    ROW("provisional minor", provisional_minor, EVIDENCE, PROVISIONAL_FIRMWARE),
    ROW("provisional major", provisional_major, EVIDENCE, PROVISIONAL_FIRMWARE),
    ROW("platform set", platform_set, EVIDENCE, PLATFORM_INFO),
    ROW("platform clear", platform_clear, EVIDENCE, PLATFORM_INFO),
    ROW("mitigation unknown", mitigation_unknown, EVIDENCE, MITIGATION),
    ROW("mitigation of launch", mitigation_of_launch, EVIDENCE, MITIGATION),
    ROW("mitigation of now", mitigation_of_now, EVIDENCE, MITIGATION),
};

/* Twice through one cache: a refusal is not kept, and nothing kept makes a refusal good. */
static void refused(struct fixture *f, enum atls_code code, enum atls_reason reason)
{
    struct fixture good = fixture_of(f->order.line);

    must(atls_chain_cache_new(8, &f->cache, NULL));
    good.cache = f->cache;
    accepted(&good);
    for (int i = 0; i < 2; i++)
        refused_as(f, code, reason);
    atls_chain_cache_free(f->cache);
}

static void each_check_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f = fixture_of(ATLS_SNP_MILAN);

        print_message("  %s\n", rows[i].name);
        rows[i].change(&f);
        refused(&f, rows[i].code, rows[i].reason);
    }
}

/* What the newer layout has that the older has not. */
SIGNED(turin_fmc, 0x180, 1)
SIGNED(turin_snp, 0x183, 1)
SIGNED(turin_id_beyond_8, 0x1a8, 1)
SIGNED(turin_reserved_6, 0x03e, 1)
SIGNED(turin_launch_fmc, 0x1f0, 0x80)
SET(turin_no_fmc, order.flaws.no_fmc, true)
FLOOR(turin_old_fmc, fmc)
CHANGE(turin_long_id)
{
    static const uint8_t other[64] = {0x11, 0x18, 0x1f, 0x26, 0x2d, 0x34, 0x3b, 0x42};

    f->order.flaws.hw_id = atls_bytes_of(other, sizeof other);
}
SET(turin_with_milan_cpuid, order.cpuid_family, 0x19)

static void turins_own_checks(void **state)
{
    static const struct {
        const char *name;
        change_fn *change;
        enum atls_code code;
        enum atls_reason reason;
    } turin[] = {
        ROW("turin fmc", turin_fmc, EVIDENCE, TCB_MISMATCH),
        ROW("turin snp", turin_snp, EVIDENCE, TCB_MISMATCH),
        ROW("turin no fmc", turin_no_fmc, EVIDENCE, TCB_MISMATCH),
        ROW("turin id beyond 8", turin_id_beyond_8, EVIDENCE, CHIP_ID_MISMATCH),
        ROW("turin long id", turin_long_id, EVIDENCE, CHIP_ID_MISMATCH),
        ROW("turin reserved 6", turin_reserved_6, DECODE, MALFORMED),
        ROW("turin launch fmc", turin_launch_fmc, DECODE, MALFORMED),
        ROW("turin old fmc", turin_old_fmc, EVIDENCE, TCB_TOO_OLD),
        ROW("turin with milan cpuid", turin_with_milan_cpuid, CERTIFICATE, CHAIN_ISSUER),
    };

    (void)state;
    for (size_t i = 0; i < sizeof turin / sizeof turin[0]; i++) {
        struct fixture f = fixture_of(ATLS_SNP_TURIN);

        print_message("  %s\n", turin[i].name);
        turin[i].change(&f);
        refused(&f, turin[i].code, turin[i].reason);
    }
}

/* The same evidence where a rule lets it pass. */
static void what_rules_let_pass(void **state)
{
    struct fixture f;

    (void)state;
    f = fixture_of(ATLS_SNP_MILAN);
    debug(&f);
    f.rules.snp.allow_debug = true;
    accepted(&f);
    f = fixture_of(ATLS_SNP_MILAN);
    migration(&f);
    f.rules.snp.allow_migration = true;
    accepted(&f);
    f = fixture_of(ATLS_SNP_MILAN);
    policy_bit_26(&f);
    f.rules.snp.unknown_policy_bits = true;
    accepted(&f);
    f = fixture_of(ATLS_SNP_MILAN);
    no_crl(&f);
    f.rules.snp.crl_optional = true;
    accepted(&f);
    f = fixture_of(ATLS_SNP_MILAN);
    vmpl_1(&f);
    f.rules.snp.vmpl = (struct atls_rule_number){true, 1};
    accepted(&f);
    f = fixture_of(ATLS_SNP_MILAN);
    masked(&f);
    f.rules.snp.allow_masked_chip_id = true;
    accepted(&f);
    f = fixture_of(ATLS_SNP_GENOA);
    f.order.cpuid_model = 0xa0;
    f.order.committed.microcode--; /* as on the machines of large clouds */
    f.rules.snp.minimum_tcb_set[ATLS_SNP_GENOA] = f.rules.snp.launch_tcb_set[ATLS_SNP_GENOA] = true;
    f.rules.snp.minimum_tcb[ATLS_SNP_GENOA] = f.order.reported;
    f.rules.snp.launch_tcb[ATLS_SNP_GENOA] = f.order.reported;
    f.rules.snp.minimum_tcb_set[ATLS_SNP_MILAN] = true; /* of another line */
    f.rules.snp.minimum_tcb[ATLS_SNP_MILAN].microcode = 255;
    f.rules.snp.platform_set = 0x20;
    f.rules.snp.abi = (struct atls_rule_number){true, 0};
    f.rules.snp.id_keys.count = 2;
    f.rules.snp.id_keys.list[0][0] = 1;
    accepted(&f);
    f = fixture_of(ATLS_SNP_MILAN);
    f.order.key_info = ATLS_SNP_AUTHOR_KEY;
    f.rules.snp.author_keys.count = 1;
    f.order.vlek = true;
    strcpy(f.rules.snp.csp_id, "CN=simulated.example");
    accepted(&f);
}

static void a_list_of_the_verifier_comes_first(void **state)
{
    static const struct atls_sim_amd_crl clean, revoked = {.revoke_ask = true};
    struct fixture f = fixture_of(ATLS_SNP_MILAN);

    (void)state;
    f.crl_too = &revoked;
    accepted(&f);
    f = fixture_of(ATLS_SNP_MILAN);
    crl_old(&f);
    f.crl_too = &clean;
    accepted(&f);
    f = fixture_of(ATLS_SNP_MILAN);
    crl_malformed(&f);
    f.crl_too = &clean;
    accepted(&f);
    f = fixture_of(ATLS_SNP_MILAN); /* each list is about its own authorities */
    f.crl_flaws.revoke_asvk = true;
    accepted(&f);
}

static void a_source_that_fails(void **state)
{
    static const struct {
        enum atls_code failure, want;
    } ways[] = {
        {ATLS_E_NOT_FOUND, ATLS_E_EVIDENCE},
        {ATLS_E_UNAVAILABLE, ATLS_E_UNAVAILABLE}, /* which is no word about the evidence */
        {ATLS_E_IO, ATLS_E_IO},
        {ATLS_E_CONFIG, ATLS_E_CONFIG},
        {ATLS_E_NOMEM, ATLS_E_NOMEM},
    };

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        struct fixture f = fixture_of(ATLS_SNP_MILAN);
        struct atls_claims claims;
        struct atls_err err = ATLS_ERR_INIT;
        struct made m;

        f.crl = NOWHERE;
        make(&f, &m);
        m.source.failure = ways[i].failure;
        test_assert_code(verify(&f, &m, &claims, &err), ways[i].want, &err);
        clear(&m);
        f = fixture_of(ATLS_SNP_MILAN);
        f.vek = NOWHERE;
        make(&f, &m);
        m.source.failure = ways[i].failure;
        test_assert_code(verify(&f, &m, &claims, &err), ways[i].want, &err);
        clear(&m);
        f = fixture_of(ATLS_SNP_MILAN);
        f.ask = NOWHERE;
        make(&f, &m);
        m.source.failure = ways[i].failure;
        test_assert_code(verify(&f, &m, &claims, &err),
                         ways[i].want == ATLS_E_EVIDENCE ? ATLS_E_CERTIFICATE : ways[i].want, &err);
        clear(&m);
        f = fixture_of(ATLS_SNP_MILAN);
        make(&f, &m);
        m.source.class_failure = ATLS_E_CONFIG;
        test_assert_code(verify(&f, &m, &claims, &err), ATLS_E_CONFIG, &err);
        clear(&m);
    }
}

/* ---- the cache ---- */

static void a_chain_is_verified_once(void **state)
{
    struct fixture f = fixture_of(ATLS_SNP_MILAN);
    struct atls_claims claims;
    struct atls_err err = ATLS_ERR_INIT;
    struct made m;

    (void)state;
    must(atls_chain_cache_new(8, &f.cache, NULL));
    make(&f, &m);
    for (int i = 0; i < 3; i++) {
        test_assert_code(verify(&f, &m, &claims, &err), ATLS_OK, &err);
        assert_int_equal(f.asked != 0, i == 0);
        assert_int_equal(number_of(&claims, "revocation-checked"), 1);
        atls_claims_clear(&claims);
    }
    f.time_s = NOW_S - 1; /* before the first success nothing is known */
    test_assert_code(verify(&f, &m, &claims, &err), ATLS_OK, &err);
    assert_int_not_equal(f.asked, 0);
    atls_claims_clear(&claims);
    f.time_s = NOW_S + 3600; /* nor what the verifier got an hour later */
    test_assert_code(verify(&f, &m, &claims, &err), ATLS_OK, &err);
    assert_int_not_equal(f.asked, 0);
    atls_claims_clear(&claims);
    f.rules.snp.crl_optional = true; /* nor under another rule */
    test_assert_code(verify(&f, &m, &claims, &err), ATLS_OK, &err);
    assert_int_not_equal(f.asked, 0);
    atls_claims_clear(&claims);
    f.time_s = NOW_S + 8 * DAY_S; /* nor beyond the list */
    test_assert_code(verify(&f, &m, &claims, &err), ATLS_E_CERTIFICATE, &err);
    clear(&m);
    atls_chain_cache_free(f.cache);
}

/* One document of the source, two machines: what is kept of the one is not taken for the other. */
static void fetched_keys_are_told_apart(void **state)
{
    struct fixture f = fixture_of(ATLS_SNP_MILAN), other = fixture_of(ATLS_SNP_MILAN);
    struct atls_claims claims;
    struct atls_err err = ATLS_ERR_INIT;
    struct made m, n;

    (void)state;
    must(atls_chain_cache_new(8, &f.cache, NULL));
    f.vek = other.vek = ON_FILE;
    other.order.chip_id[5] ^= 1;
    other.cache = f.cache;
    make(&f, &m);
    make(&other, &n);
    test_assert_code(verify(&f, &m, &claims, &err), ATLS_OK, &err);
    atls_claims_clear(&claims);
    test_assert_code(verify(&other, &n, &claims, &err), ATLS_OK, &err);
    assert_int_not_equal(other.asked, 0);
    atls_claims_clear(&claims);
    test_assert_code(verify(&f, &m, &claims, &err), ATLS_OK, &err);
    assert_int_equal(f.asked, 0);
    atls_claims_clear(&claims);
    clear(&m);
    clear(&n);
    atls_chain_cache_free(f.cache);
}

/* ---- mutation ---- */

/* Where a byte string stands within evidence. */
static size_t position_of(const struct atls_buf *evidence, struct atls_bytes part)
{
    for (size_t i = 0; i + part.len <= evidence->len; i++)
        if (memcmp(evidence->ptr + i, part.ptr, part.len) == 0)
            return i;
    fail_msg("part is not in the evidence");
    return 0;
}

static size_t flip_all(struct fixture *f, struct made *m, struct atls_bytes part)
{
    const size_t at = position_of(&m->evidence, part), len = part.len;
    struct atls_claims claims;
    size_t flipped = 0;

    for (size_t i = 0; i < len; i++)
        for (int bit = 0; bit < 8; bit++, flipped++) {
            m->evidence.ptr[at + i] ^= (uint8_t)(1 << bit);
            if (verify(f, m, &claims, NULL) == ATLS_OK) {
                atls_claims_clear(&claims);
                fail_msg("bit %d of byte %zu may be changed", bit, i);
            }
            m->evidence.ptr[at + i] ^= (uint8_t)(1 << bit);
        }
    return flipped;
}

static void no_bit_of_report_or_table_may_change(void **state)
{
    struct fixture f = fixture_of(ATLS_SNP_MILAN);
    size_t flipped;
    struct made m;

    (void)state;
    must(atls_chain_cache_new(8, &f.cache, NULL));
    make(&f, &m);
    flipped = flip_all(&f, &m, atls_buf_bytes(&m.report));
    print_message("  report: %zu bits, none may change\n", flipped);
    assert_int_equal(flipped, ATLS_SNP_REPORT_LEN * 8);
    /* One entry, its end, the VCEK. */
    flipped = flip_all(&f, &m, atls_bytes_of(m.table.ptr, 48));
    print_message("  certificate table: %zu bits, none may change\n", flipped);
    flipped = flip_all(&f, &m, atls_buf_bytes(&m.kat));
    print_message("  KAT: %zu bits, none may change\n", flipped);
    atls_chain_cache_free(f.cache);
    f.cache = NULL;
    flipped = flip_all(&f, &m, atls_buf_bytes(&m.vek));
    print_message("  VCEK: %zu bits, none may change\n", flipped);
    clear(&m);
}

static void every_truncation_is_refused(void **state)
{
    struct fixture f = fixture_of(ATLS_SNP_MILAN);
    struct atls_claims claims;
    struct atls_buf whole;
    struct made m;

    (void)state;
    make(&f, &m);
    whole = m.evidence;
    for (size_t len = 0; len < whole.len; len++) {
        m.evidence.len = len;
        assert_int_not_equal(verify(&f, &m, &claims, NULL), ATLS_OK);
    }
    m.evidence = whole;
    clear(&m);
}

static void a_world_can_be_kept(void **state)
{
    struct fixture f = fixture_of(ATLS_SNP_GENOA);
    struct atls_sim_amd *first = amd, *again = NULL;
    struct atls_buf text = ATLS_BUF_INIT, ark = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_claims claims;
    struct made m;

    (void)state;
    test_assert_code(atls_sim_amd_save(amd, &text, &err), ATLS_OK, &err);
    test_assert_code(atls_sim_amd_load(atls_buf_bytes(&text), &again, &err), ATLS_OK, &err);
    amd = again;
    make(&f, &m);
    amd = first;
    must(atls_sim_amd_certificate(amd, ATLS_SIM_ARK, &f.order, NULL, &ark, &err));
    assert_non_null(atls_certificate_set_find(m.source.anchors, atls_buf_bytes(&ark)));
    atls_buf_clear(&ark);
    test_assert_code(verify(&f, &m, &claims, &err), ATLS_OK, &err);
    atls_claims_clear(&claims);
    for (size_t len = 0; len < text.len; len += 97)
        assert_int_not_equal(atls_sim_amd_load(atls_bytes_of(text.ptr, len), &first, &err),
                             ATLS_OK);
    clear(&m);
    atls_sim_amd_free(again);
    atls_buf_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_line_key_form_and_scope),
        cmocka_unit_test(nonces_of_a_service),
        cmocka_unit_test(every_version),
        cmocka_unit_test(what_is_claimed),
        cmocka_unit_test(what_a_vlek_claims),
        cmocka_unit_test(an_anchor_may_name_the_class),
        cmocka_unit_test(where_the_verifier_is_elsewhere),
        cmocka_unit_test(certificates_may_come_from_anywhere),
        cmocka_unit_test(an_ask_may_be_fetched),
        cmocka_unit_test(an_authority_of_the_peer_that_is_junk_does_no_harm),
        cmocka_unit_test(chip_ids_that_look_like_der),
        cmocka_unit_test(each_check_alone),
        cmocka_unit_test(turins_own_checks),
        cmocka_unit_test(what_rules_let_pass),
        cmocka_unit_test(a_list_of_the_verifier_comes_first),
        cmocka_unit_test(a_source_that_fails),
        cmocka_unit_test(a_chain_is_verified_once),
        cmocka_unit_test(fetched_keys_are_told_apart),
        cmocka_unit_test(no_bit_of_report_or_table_may_change),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(a_world_can_be_kept),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
