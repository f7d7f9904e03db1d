/* Attacks on batches (docs/batch.md), row by row, over live TLS connections.
 *
 * The attacker stands at the genuine machine's side of every connection, signs authenticators with
 * its key, sees every KAT and path, and gets platform tokens over batches that hold KATs of his
 * choice: only where a path leads stands between him and acceptance. */
#include "lab.h"

#include <stdio.h>
#include <string.h>

#include <atls/corim.h>
#include <atls/local.h>
#include <atls/store.h>

#include "bind/batch.h"
#include "bind/binder.h"
#include "core/writer.h"
#include "flavour/post/carrier.h"
#include "flavour/post/hello.h"
#include "wire/cbor.h"
#include "wire/kat.h"
#include "wire/soft.h"

#define LIMIT (1 << 20)

static struct {
    struct lab lab; /* its verifier appraises software, too, and its policy accepts it */
    struct atls_private_key *platform, *stranger;
    uint8_t ueid[ATLS_SOFT_UEID_LEN];
} world;

static const uint8_t app[32] = {0xab};

static struct atls_buf finish(struct atls_writer *w)
{
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_writer_finish(w, &out, &err), ATLS_OK, &err);
    return out;
}

/* ---- a Relying Party that accepts software whose key is on file ---- */

static void policy_free(void *self)
{
    (void)self;
}

static enum atls_code accept_all(void *self, struct atls_result *result, struct atls_decision *out,
                                 struct atls_err *err)
{
    (void)self, (void)result, (void)err;
    *out = (struct atls_decision){.accept = true, .names_insecure = true};
    return ATLS_OK;
}

static void enroll_platform(void)
{
    struct atls_store_attest_key key = {.class_uuid = LAB_CLASS, .technology = "soft"};
    struct atls_store *store = NULL;
    uint8_t digest[ATLS_HASH_MAX];
    struct atls_err err = ATLS_ERR_INIT;

    key.spki = atls_key_spki(atls_private_key_public(world.platform));
    assert_int_equal(atls_hash_one(ATLS_HASH_SHA256, key.spki, digest, NULL), ATLS_OK);
    world.ueid[0] = 1;
    memcpy(world.ueid + 1, digest, sizeof world.ueid - 1);
    key.instance = atls_bytes_of(world.ueid, sizeof world.ueid);
    test_assert_code(atls_store_open(world.lab.store, ATLS_STORE_WRITE, &store, &err), ATLS_OK,
                     &err);
    test_assert_code(atls_store_add_attest_key(store, &key, &err), ATLS_OK, &err);
    atls_store_close(store);
}

static int open_world(void **state)
{
    static const struct atls_verifier_ops *const backends[] = {&atls_local_verifier, NULL};
    static const struct atls_policy_ops policy = {policy_free, accept_all};
    struct atls_verifier_options options;
    struct atls_err err = ATLS_ERR_INIT;
    char uri[128];

    (void)state;
    lab_open(&world.lab);
    assert_int_equal(atls_private_key_generate(ATLS_KEY_P256, &world.platform, NULL), ATLS_OK);
    assert_int_equal(atls_private_key_generate(ATLS_KEY_P256, &world.stranger, NULL), ATLS_OK);
    enroll_platform();
    atls_verifier_unref(world.lab.verifier);
    atls_policy_unref(world.lab.policy);
    world.lab.verifier = NULL;
    world.lab.policy = NULL;
    atls_verifier_options_init(&options);
    options.allow_insecure_technology = true;
    snprintf(uri, sizeof uri, "local:%s", world.lab.store);
    test_assert_code(atls_verifier_open(uri, backends, &options, &world.lab.verifier, &err),
                     ATLS_OK, &err);
    test_assert_code(atls_policy_new(&policy, NULL, &world.lab.policy, &err), ATLS_OK, &err);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    atls_private_key_free(world.platform);
    atls_private_key_free(world.stranger);
    lab_close(&world.lab);
    return 0;
}

static struct atls_config *configure(const char *const *profiles)
{
    static const char *const soft[] = {"soft", NULL};
    struct atls_config_options options;
    struct atls_config *out = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    atls_config_options_init(&options);
    options.require_peer = true;
    options.verifier = world.lab.verifier;
    options.policy = world.lab.policy;
    options.identity = ATLS_IDENTITY_ATTESTED;
    options.evidence_types = soft;
    options.profiles = profiles;
    test_assert_code(atls_config_new(&options, &out, &err), ATLS_OK, &err);
    return out;
}

/* A Relying Party that is a client, its REQUEST in the attacker's hand, and the KAT that would
 * answer it. */
struct victim {
    struct line line;
    struct atls_config *config;
    struct atls_buf request, kat;
    uint32_t id;
};

/* The attacker says that his evidence comes in every profile. */
static void say_hello(struct line *line)
{
    struct atls_writer w = atls_writer_init(4096), type = atls_writer_init(64),
                       profiles = atls_writer_init(64);
    struct atls_hello hello = {.flags = ATLS_HELLO_ATTESTS, .frame_max = ATLS_FRAME_BODY_MAX};

    atls_name_put(&type, "soft");
    atls_name_put(&profiles, "kat-batch");
    atls_name_put(&profiles, "kat-bundle");
    atls_name_put(&profiles, "bare");
    hello.names[ATLS_NAMES_EVIDENCE_OFFERED] = atls_writer_bytes(&type);
    hello.names[ATLS_NAMES_PROFILES] = atls_writer_bytes(&profiles);
    atls_hello_put(&w, &hello);
    assert_int_equal(w.failed, ATLS_OK);
    hand_send(line, atls_writer_bytes(&w));
    atls_writer_clear(&type);
    atls_writer_clear(&profiles);
    atls_writer_clear(&w);
}

static struct atls_buf make_kat(const struct victim *v)
{
    struct atls_buf binder = binder_of(&v->line.secret, ATLS_BINDER_LABEL, v->line.secret.hash,
                                       atls_buf_bytes(&v->request), machine_aik(&world.lab.m1));
    struct atls_writer w = atls_writer_init(LIMIT);
    struct atls_cose_key key;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_cose_key_from_spki(machine_aik(&world.lab.m1), &key, &err), ATLS_OK,
                     &err);
    test_assert_code(atls_kat_encode(atls_buf_bytes(&binder), &key, &w, &err), ATLS_OK, &err);
    atls_buf_clear(&binder);
    return finish(&w);
}

static void victim_open(struct victim *v, const char *const *profiles)
{
    v->config = configure(profiles);
    line_open(&v->line, &world.lab, ATLS_ROLE_CLIENT, v->config, NULL);
    v->request = hand_take_message(&v->line, ATLS_FRAME_REQUEST, &v->id);
    say_hello(&v->line);
    assert_int_equal(v->line.code, ATLS_OK);
    v->kat = make_kat(v);
}

static void victim_close(struct victim *v)
{
    line_close(&v->line);
    atls_config_unref(v->config);
    atls_buf_clear(&v->request);
    atls_buf_clear(&v->kat);
}

/* ---- evidence of the attacker's making ---- */

static struct atls_buf make_token(struct atls_bytes challenge,
                                  const struct atls_private_key *platform)
{
    static struct atls_soft_token token;
    struct atls_writer header = atls_writer_init(LIMIT), payload = atls_writer_init(LIMIT),
                       tbs = atls_writer_init(LIMIT), w = atls_writer_init(LIMIT);
    const struct atls_bytes ueid = atls_bytes_of(world.ueid, sizeof world.ueid);
    const struct atls_bytes none = {NULL, 0};
    struct atls_buf signature = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    token = (struct atls_soft_token){.challenge = challenge, .ueid = ueid, .measurement_count = 1};
    token.measurements[0].name = atls_bytes_of("app", 3);
    token.measurements[0].named_information = 1;
    token.measurements[0].digest = atls_bytes_of(app, sizeof app);
    test_assert_code(atls_soft_token_put(&payload, &token, &err), ATLS_OK, &err);
    atls_soft_put_protected(&header, -7, ueid);
    atls_cose_put_to_be_signed(&tbs, atls_writer_bytes(&header), none, atls_writer_bytes(&payload));
    test_assert_code(atls_private_key_sign_raw(platform, ATLS_ECDSA_P256_SHA256,
                                               atls_writer_bytes(&tbs), &signature, &err),
                     ATLS_OK, &err);
    atls_cose_put_sign1(&w, atls_writer_bytes(&header), none, atls_writer_bytes(&payload),
                        atls_buf_bytes(&signature));
    atls_buf_clear(&signature);
    atls_writer_clear(&header);
    atls_writer_clear(&payload);
    atls_writer_clear(&tbs);
    return finish(&w);
}

/* A tree over KATs, the platform's token over it, and a path that a row bends. */
struct batch {
    struct atls_bytes kats[4];
    size_t count;
    struct atls_batch_tree *tree;
    const struct atls_private_key *signs;
    struct atls_writer member; /* as the tree has it */
    struct atls_batch_path path;
    uint8_t scratch[2 * ATLS_BATCH_HASH_LEN];
};

/* A batch of count KATs, and the path of the one at index. */
static void batch_make(struct batch *b, const struct atls_bytes *kats, size_t count, size_t index)
{
    struct atls_err err = ATLS_ERR_INIT;

    *b = (struct batch){.count = count, .signs = world.platform};
    memcpy(b->kats, kats, count * sizeof *kats);
    test_assert_code(atls_batch_tree_new(kats, count, &b->tree, &err), ATLS_OK, &err);
    b->member = atls_writer_init(LIMIT);
    atls_batch_tree_put(b->tree, index, kats[index], &b->member);
    test_assert_code(atls_batch_path_decode(atls_writer_bytes(&b->member), &b->path, &err), ATLS_OK,
                     &err);
}

static void batch_clear(struct batch *b)
{
    atls_batch_tree_free(b->tree);
    atls_writer_clear(&b->member);
}

static struct atls_buf encode_path(const struct atls_batch_path *path)
{
    struct atls_writer w = atls_writer_init(LIMIT);

    atls_cbor_put_array(&w, 3);
    atls_cbor_put_bytes(&w, path->kat);
    atls_cbor_put_uint(&w, path->index);
    atls_cbor_put_array(&w, path->depth);
    for (size_t i = 0; i < path->depth; i++)
        atls_cbor_put_bytes(&w, path->siblings[i]);
    return finish(&w);
}

static struct atls_buf encode_bundle(const struct atls_cmw *kat, struct atls_bytes challenge,
                                     const struct atls_private_key *platform)
{
    struct atls_buf token = make_token(challenge, platform);
    const struct atls_cmw pat =
        atls_cmw_record(ATLS_TYPE_SOFT, atls_buf_bytes(&token), ATLS_CMW_EVIDENCE);
    struct atls_writer w = atls_writer_init(LIMIT);
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_bundle_encode(kat, &pat, NULL, &w, &err), ATLS_OK, &err);
    atls_buf_clear(&token);
    return finish(&w);
}

/* The batch's token beside its path, bent or not. */
static struct atls_buf batch_evidence(const struct batch *b)
{
    struct atls_buf member = encode_path(&b->path), out;
    const struct atls_cmw kat =
        atls_cmw_record(ATLS_TYPE_KAT_BATCH, atls_buf_bytes(&member), ATLS_CMW_EVIDENCE);

    out = encode_bundle(&kat, atls_batch_tree_challenge(b->tree), b->signs);
    atls_buf_clear(&member);
    return out;
}

/* Gives the victim an authenticator of the machine with this evidence. */
static void answer(struct victim *v, const struct atls_buf *evidence)
{
    const struct attempt a = {
        .connection = &v->line.secret,
        .sender = ATLS_ROLE_SERVER,
        .request = atls_buf_bytes(&v->request),
        .certificate = atls_buf_bytes(&world.lab.m1.certificate.certificate),
        .key = world.lab.m1.aik.private_key,
        .cmw = atls_buf_bytes(evidence),
    };
    struct atls_buf authenticator = attempt_make(&a);

    hand_authenticator(&v->line, v->id, atls_buf_bytes(&authenticator));
    atls_buf_clear(&authenticator);
}

static void answer_batch(struct victim *v, const struct batch *b)
{
    struct atls_buf evidence = batch_evidence(b);

    answer(v, &evidence);
    atls_buf_clear(&evidence);
}

/* ---- the control of everything below ---- */

static void each_connection_accepts_its_own_leaf(void **state)
{
    struct victim v[3];
    struct atls_bytes kats[3];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        victim_open(&v[i], NULL);
        kats[i] = atls_buf_bytes(&v[i].kat);
    }
    for (size_t i = 0; i < 3; i++) {
        struct batch b;

        batch_make(&b, kats, 3, i);
        answer_batch(&v[i], &b);
        assert_accepted("own leaf", &v[i].line);
        batch_clear(&b);
    }
    for (size_t i = 0; i < 3; i++)
        victim_close(&v[i]);
}

/* ---- bent paths ---- */

static void leaf_of_another_connection(struct batch *b)
{
    struct atls_writer w = atls_writer_init(LIMIT);

    atls_batch_tree_put(b->tree, 1, b->kats[1], &w);
    atls_writer_clear(&b->member);
    b->member = w;
    assert_int_equal(atls_batch_path_decode(atls_writer_bytes(&b->member), &b->path, NULL),
                     ATLS_OK);
}

static void path_of_another_leaf(struct batch *b)
{
    leaf_of_another_connection(b);
    b->path.kat = b->kats[0];
}

/* What the node above hashes, in place of a KAT. */
static void node_as_leaf(struct batch *b)
{
    uint8_t digest[ATLS_HASH_MAX];
    const struct atls_bytes parts[] = {atls_bytes_of("\0", 1), atls_bytes_of("\0\0\0\0", 4),
                                       b->path.kat};

    assert_int_equal(atls_hash_parts(ATLS_HASH_SHA512, parts, 3, digest, NULL), ATLS_OK);
    memcpy(b->scratch, digest, ATLS_BATCH_HASH_LEN);
    memcpy(b->scratch + ATLS_BATCH_HASH_LEN, b->path.siblings[0].ptr, ATLS_BATCH_HASH_LEN);
    b->path.kat = atls_bytes_of(b->scratch, sizeof b->scratch);
    b->path.siblings[0] = b->path.siblings[1];
    b->path.depth = 1;
}

static void shorter(struct batch *b)
{
    b->path.depth = 1;
}

static void longer(struct batch *b)
{
    b->path.siblings[b->path.depth++] = b->path.siblings[0];
}

/* The last leaf again at the free place beside it, as trees without empty places would have it. */
static void duplicate_leaf(struct batch *b)
{
    b->path.index = 3;
}

static void siblings_exchanged(struct batch *b)
{
    const struct atls_bytes first = b->path.siblings[0];

    b->path.siblings[0] = b->path.siblings[1];
    b->path.siblings[1] = first;
}

static void signed_by_a_stranger(struct batch *b)
{
    b->signs = world.stranger;
}

static const struct {
    const char *name;
    void (*bend)(struct batch *b);
    size_t place; /* of the victim's KAT */
    enum atls_reason reason;
} rows[] = {
    {"path of another leaf", path_of_another_leaf, 0, ATLS_REASON_NONCE_MISMATCH},
    {"leaf of another connection", leaf_of_another_connection, 0, ATLS_REASON_NONCE_MISMATCH},
    {"node as leaf", node_as_leaf, 0, ATLS_REASON_NONCE_MISMATCH},
    {"shorter path", shorter, 0, ATLS_REASON_NONCE_MISMATCH},
    {"longer path", longer, 0, ATLS_REASON_NONCE_MISMATCH},
    {"duplicate leaf", duplicate_leaf, 2, ATLS_REASON_NONCE_MISMATCH},
    {"siblings exchanged", siblings_exchanged, 0, ATLS_REASON_NONCE_MISMATCH},
    {"signed by a stranger", signed_by_a_stranger, 0, ATLS_REASON_SIGNATURE},
};

static void bent_paths_stop_at_the_challenge(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct victim v, bystander;
        struct atls_bytes kats[3];
        struct batch b;

        victim_open(&v, NULL);
        victim_open(&bystander, NULL);
        for (size_t j = 0; j < 3; j++)
            kats[j] = atls_buf_bytes(j == rows[i].place ? &v.kat : &bystander.kat);
        batch_make(&b, kats, 3, rows[i].place);
        rows[i].bend(&b);
        answer_batch(&v, &b);
        assert_refused(rows[i].name, &v.line, ATLS_E_EVIDENCE, rows[i].reason);
        batch_clear(&b);
        victim_close(&v);
        victim_close(&bystander);
    }
}

/* A path that is no path is malformed, and says so. */
static void a_place_outside_the_tree_is_malformed(void **state)
{
    struct victim v;
    struct batch b;
    struct atls_bytes kat;

    (void)state;
    victim_open(&v, NULL);
    kat = atls_buf_bytes(&v.kat);
    batch_make(&b, &kat, 1, 0);
    b.path.index = 1;
    answer_batch(&v, &b);
    assert_refused("index 1 of one", &v.line, ATLS_E_DECODE, ATLS_REASON_BATCH_PATH);
    batch_clear(&b);
    victim_close(&v);
}

/* ---- other times, other connections ---- */

/* The token of an hour ago, to which a new connection's KAT is added at a place that was free. */
static void an_old_batch_takes_nobody_in(void **state)
{
    struct victim old[3], fresh;
    struct atls_bytes kats[3];
    struct atls_buf evidence;
    struct batch b;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        victim_open(&old[i], NULL);
        kats[i] = atls_buf_bytes(&old[i].kat);
    }
    batch_make(&b, kats, 3, 2);
    evidence = batch_evidence(&b);
    answer(&old[2], &evidence);
    assert_accepted("at its time", &old[2].line);

    victim_open(&fresh, NULL);
    answer(&fresh, &evidence);
    assert_refused("as it was", &fresh.line, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH);
    victim_close(&fresh);

    victim_open(&fresh, NULL);
    b.path.kat = atls_buf_bytes(&fresh.kat); /* in the place of the one that it was made for */
    answer_batch(&fresh, &b);
    assert_refused("in its place", &fresh.line, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH);
    victim_close(&fresh);

    victim_open(&fresh, NULL);
    b.path.kat = atls_buf_bytes(&fresh.kat);
    b.path.index = 3;
    answer_batch(&fresh, &b);
    assert_refused("at the free place", &fresh.line, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH);
    victim_close(&fresh);

    batch_clear(&b);
    atls_buf_clear(&evidence);
    for (size_t i = 0; i < 3; i++)
        victim_close(&old[i]);
}

/* The authenticator of one connection, whole, on another: what both wait for is in one batch. */
static void a_relayed_batch_stops_at_finished(void **state)
{
    struct victim v[2];
    struct atls_bytes kats[2];
    struct atls_buf evidence, authenticator;
    struct batch b;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        victim_open(&v[i], NULL);
        kats[i] = atls_buf_bytes(&v[i].kat);
    }
    batch_make(&b, kats, 2, 1);
    evidence = batch_evidence(&b);
    const struct attempt a = {
        .connection = &v[0].line.secret,
        .sender = ATLS_ROLE_SERVER,
        .request = atls_buf_bytes(&v[1].request), /* the attacker passed it on */
        .certificate = atls_buf_bytes(&world.lab.m1.certificate.certificate),
        .key = world.lab.m1.aik.private_key,
        .cmw = atls_buf_bytes(&evidence),
    };
    authenticator = attempt_make(&a);
    hand_authenticator(&v[1].line, v[1].id, atls_buf_bytes(&authenticator));
    assert_refused("relayed", &v[1].line, ATLS_E_VERIFY, ATLS_REASON_FINISHED_MISMATCH);
    atls_buf_clear(&authenticator);
    atls_buf_clear(&evidence);
    batch_clear(&b);
    victim_close(&v[0]);
    victim_close(&v[1]);
}

/* ---- one profile for another ---- */

static const char *const kat_alone[] = {"kat-bundle", NULL};
static const char *const batch_alone[] = {"kat-batch", NULL};

static void profiles_that_were_not_asked_for(void **state)
{
    struct atls_bytes kat;
    struct atls_buf evidence;
    struct victim v;
    struct batch b;

    (void)state;
    victim_open(&v, kat_alone);
    kat = atls_buf_bytes(&v.kat);
    batch_make(&b, &kat, 1, 0);
    answer_batch(&v, &b);
    assert_refused("a batch to one that takes none", &v.line, ATLS_E_EVIDENCE,
                   ATLS_REASON_EVIDENCE_PROFILE);
    batch_clear(&b);
    victim_close(&v);

    victim_open(&v, batch_alone);
    kat = atls_buf_bytes(&v.kat);
    batch_make(&b, &kat, 1, 0);
    const struct atls_cmw record = atls_cmw_record_cf(267, kat, ATLS_CMW_EVIDENCE);

    evidence = encode_bundle(&record, atls_batch_tree_challenge(b.tree), world.platform);
    answer(&v, &evidence);
    assert_refused("a bundle to one that takes batches", &v.line, ATLS_E_EVIDENCE,
                   ATLS_REASON_EVIDENCE_PROFILE);
    atls_buf_clear(&evidence);
    batch_clear(&b);
    victim_close(&v);
}

/* A batch of one has another challenge than the KAT alone, both ways round. */
static void a_batch_of_one_is_no_bundle(void **state)
{
    uint8_t digest[ATLS_HASH_MAX];
    struct atls_bytes kat;
    struct atls_buf evidence, member;
    struct victim v;
    struct batch b;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        victim_open(&v, NULL);
        kat = atls_buf_bytes(&v.kat);
        batch_make(&b, &kat, 1, 0);
        member = encode_path(&b.path);
        assert_int_equal(atls_hash_one(ATLS_HASH_SHA512, kat, digest, NULL), ATLS_OK);
        const struct atls_cmw plain = atls_cmw_record_cf(267, kat, ATLS_CMW_EVIDENCE);
        const struct atls_cmw batch =
            atls_cmw_record(ATLS_TYPE_KAT_BATCH, atls_buf_bytes(&member), ATLS_CMW_EVIDENCE);

        evidence = i == 0 ? encode_bundle(&plain, atls_batch_tree_challenge(b.tree), world.platform)
                          : encode_bundle(&batch, atls_bytes_of(digest, 64), world.platform);
        answer(&v, &evidence);
        assert_refused(i == 0 ? "token of a batch" : "token of a bundle", &v.line, ATLS_E_EVIDENCE,
                       ATLS_REASON_NONCE_MISMATCH);
        atls_buf_clear(&evidence);
        atls_buf_clear(&member);
        batch_clear(&b);
        victim_close(&v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_connection_accepts_its_own_leaf),
        cmocka_unit_test(bent_paths_stop_at_the_challenge),
        cmocka_unit_test(a_place_outside_the_tree_is_malformed),
        cmocka_unit_test(an_old_batch_takes_nobody_in),
        cmocka_unit_test(a_relayed_batch_stops_at_finished),
        cmocka_unit_test(profiles_that_were_not_asked_for),
        cmocka_unit_test(a_batch_of_one_is_no_bundle),
    };

    return cmocka_run_group_tests(tests, open_world, close_world);
}
