/* Every attack on every flavour, and the tables of docs/attacks.md.
 *
 *     attack_table                 runs everything and prints the tables
 *     attack_table --check FILE    and fails, showing the difference, when FILE has others
 *     attack_table --write FILE    and puts them into FILE
 *
 * A row that succeeds must be known to: it names the columns, and what stops it there, which is
 * another row. A row that is refused is refused by the check that the table names; its control, the
 * same attempt without the flaw, is accepted, so that the refusal cannot be for another cause. */
#include "scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <atls/local.h>
#include <atls/store.h>

#include "bind/binder.h"
#include "chips.h"
#include "flavours.h"
#include "soft_evidence.h"
#include "table.h"
#include "wire/kat.h"

static struct lab lab;
static struct chips chips;

/* Beside the lab: a Relying Party that lets software attest, policies, and what has no machine. */
static struct {
    struct atls_private_key *platform; /* of software, on file */
    struct atls_verifier *lenient;
    struct atls_policy *accepts_all, *pins_m1;
    struct machine stranger; /* no TPM that anybody enrolled, a key of its own */
    struct machine tampered; /* m1 in another state */
    struct atls_attester *m1, *m2;
} extra;

/* ---- what victims want, what attackers show ---- */

static struct wish by_name(void)
{
    return (struct wish){.identity = ATLS_IDENTITY_PKIX, .name = "m1.example"};
}

static struct wish by_evidence(void)
{
    return (struct wish){.identity = ATLS_IDENTITY_ATTESTED};
}

static struct show everything_of(const struct machine *m)
{
    return (struct show){.named = m, .signs = m, .evidence = m};
}

static struct outcome play(const struct bench *b, const struct wish *wish, const struct show *show)
{
    return scene_play(b, wish, show);
}

/* The same attempt without its flaw. */
static void control(const struct bench *b, const struct wish *wish, const struct show *show)
{
    struct outcome o = scene_play(b, wish, show);

    if (!o.accepted)
        fail_msg("control in %s refused: %s: %s", b->column->title, atls_reason_name(o.reason),
                 o.message);
}

static void control_honest(const struct bench *b, const struct wish *wish)
{
    const struct show show = everything_of(&lab.m1);

    control(b, wish, &show);
}

static struct atls_buf copy(struct atls_bytes bytes)
{
    struct atls_buf out = ATLS_BUF_INIT;

    test_assert_code(atls_buf_copy(&out, bytes, NULL), ATLS_OK, NULL);
    return out;
}

/* ---- controls ---- */

static struct outcome honest_by_name(const struct bench *b)
{
    const struct wish wish = by_name();
    const struct show show = everything_of(&lab.m1);

    return play(b, &wish, &show);
}

static struct outcome honest_by_evidence(const struct bench *b)
{
    const struct wish wish = by_evidence();
    const struct show show = everything_of(&lab.m1);

    return play(b, &wish, &show);
}

/* ---- relay ---- */

static struct atls_buf of_the_machine(const struct scene *s, const struct show *show)
{
    return scene_oracle(s, show->arg);
}

static struct outcome relay(const struct bench *b, const struct machine *signs)
{
    const struct wish wish = by_name();
    struct show show = everything_of(&lab.m1);

    control_honest(b, &wish);
    show.signs = signs;
    show.cmw = of_the_machine;
    show.arg = &lab.m1;
    return play(b, &wish, &show);
}

static struct outcome relay_without_keys(const struct bench *b)
{
    return relay(b, &extra.stranger);
}

static struct outcome relay_with_stolen_key(const struct bench *b)
{
    return relay(b, &lab.m1);
}

/* What is public of this connection, and where a formula wants secrets, those of another. */
static struct atls_buf over_public_values(const struct scene *s, const struct show *show)
{
    struct scene other = *s;
    struct atls_buf binder, out;

    memset(other.secret, 0x5a, sizeof other.secret);
    memset(other.exporter.secret, 0x5a, sizeof other.exporter.secret);
    binder = scene_binder(&other, s->speaks, machine_aik(show->named));
    out = machine_evidence(show->evidence, atls_buf_bytes(&binder));
    atls_buf_clear(&binder);
    return out;
}

static struct outcome relay_with_transcript(const struct bench *b)
{
    const struct wish wish = by_name();
    struct show show = everything_of(&lab.m1);

    control_honest(b, &wish);
    show.cmw = over_public_values;
    return play(b, &wish, &show);
}

static struct outcome relay_with_attester(const struct bench *b)
{
    return honest_by_name(b);
}

static struct outcome relay_with_measured_attester(const struct bench *b)
{
    const struct wish wish = by_name();
    struct show show = everything_of(&lab.m1);

    control_honest(b, &wish);
    show.evidence = &extra.tampered;
    return play(b, &wish, &show);
}

/* ---- replay ---- */

static struct atls_buf recorded(const struct scene *s, const struct show *show)
{
    const struct atls_buf *cmw = show->arg;

    (void)s;
    return copy(atls_buf_bytes(cmw));
}

/* Shown once, where it is accepted, and kept. */
static void record(const struct bench *b, const struct wish *wish, struct atls_buf *out)
{
    struct show show = everything_of(&lab.m1);

    show.record = out;
    control(b, wish, &show);
}

static struct outcome replay(const struct bench *b, const struct wish *wish)
{
    struct show show = everything_of(&lab.m1);
    struct atls_buf cmw = ATLS_BUF_INIT;
    struct outcome out;

    record(b, wish, &cmw);
    show.cmw = recorded;
    show.arg = &cmw;
    out = play(b, wish, &show);
    atls_buf_clear(&cmw);
    return out;
}

static struct outcome replay_evidence(const struct bench *b)
{
    const struct wish wish = by_name();

    return replay(b, &wish);
}

static struct outcome replay_within(const struct bench *b)
{
    const struct wish wish = by_name();

    return scene_answer_again(b, &wish, &lab.m1);
}

static struct outcome state_before(const struct bench *b)
{
    const struct wish wish = by_name();
    struct show show = everything_of(&lab.m1);
    struct atls_buf cmw = ATLS_BUF_INIT;
    struct outcome out;

    record(b, &wish, &cmw); /* while its state was good */
    show.cmw = recorded;
    show.arg = &cmw;
    out = play(b, &wish, &show);
    if (!out.accepted) { /* then it has to make evidence of what it is now */
        show = everything_of(&lab.m1);
        show.evidence = &extra.tampered;
        out = play(b, &wish, &show);
    }
    atls_buf_clear(&cmw);
    return out;
}

/* What a machine showed a month ago, as it stands; whoever has the key can date it anew, which is
 * what state_before does. */
static struct outcome shown_long_ago(const struct bench *b)
{
    const struct wish wish = by_evidence();
    struct show show = everything_of(&lab.m1);

    control_honest(b, &wish);
    show.aged = true;
    return play(b, &wish, &show);
}

static struct outcome state_after(const struct bench *b)
{
    const struct wish wish = by_name();

    return scene_state_changes(b, &wish, &lab.m1, &extra.tampered);
}

static struct atls_buf over_zeros(const struct scene *s, const struct show *show)
{
    const uint8_t zeros[48] = {0};
    struct atls_buf right = scene_binder(s, s->speaks, machine_aik(show->named));
    struct atls_buf out = machine_evidence(show->evidence, atls_bytes_of(zeros, right.len));

    atls_buf_clear(&right);
    return out;
}

static struct outcome made_before(const struct bench *b)
{
    const struct wish wish = by_name();
    struct show show = everything_of(&lab.m1);

    control_honest(b, &wish);
    show.cmw = over_zeros;
    return play(b, &wish, &show);
}

/* One half of the evidence answers this connection, the other an earlier one. */
struct halves {
    bool old_certify, old_quote;
};

static const uint8_t earlier[32] = {0x11, 0x22, 0x33};

static void change_halves(struct test_tpm_evidence *e, void *arg)
{
    const struct halves *h = arg;

    if (h->old_certify)
        e->certify.extra_data = atls_bytes_of(earlier, sizeof earlier);
    if (h->old_quote)
        e->quote.extra_data = atls_bytes_of(earlier, sizeof earlier);
}

static struct atls_buf in_halves(const struct scene *s, const struct show *show)
{
    struct atls_buf binder = scene_binder(s, s->speaks, machine_aik(show->named));
    struct atls_buf out =
        machine_evidence_with(show->evidence, atls_buf_bytes(&binder), change_halves, show->arg);

    atls_buf_clear(&binder);
    return out;
}

static struct outcome halves(const struct bench *b, struct halves h)
{
    const struct wish wish = by_name();
    struct show show = everything_of(&lab.m1);

    control_honest(b, &wish);
    show.cmw = in_halves;
    show.arg = &h;
    return play(b, &wish, &show);
}

static struct outcome old_quote(const struct bench *b)
{
    return halves(b, (struct halves){.old_quote = true});
}

static struct outcome old_certify(const struct bench *b)
{
    return halves(b, (struct halves){.old_certify = true});
}

/* ---- software that attests: a token beside its binder, and another profile ---- */

static struct wish lets_software(const char *const *profiles)
{
    static const char *const soft[] = {"soft", NULL};

    return (struct wish){.identity = ATLS_IDENTITY_PKIX,
                         .name = "m1.example",
                         .verifier = extra.lenient,
                         .policy = extra.accepts_all,
                         .profiles = profiles,
                         .evidence_types = soft};
}

static struct show software(struct atls_buf (*cmw)(const struct scene *, const struct show *))
{
    struct show show = everything_of(&lab.m1);

    show.technology = "soft";
    show.cmw = cmw;
    return show;
}

/* A key attestation token over one binder, and a platform token over that of another. */
static struct atls_buf bundle_of(struct atls_bytes shown, struct atls_bytes signed_for)
{
    struct atls_buf kat = test_kat(shown, machine_aik(&lab.m1)),
                    other = test_kat(signed_for, machine_aik(&lab.m1)), pat, out;
    uint8_t challenge[ATLS_HASH_MAX];

    test_assert_code(atls_hash_one(ATLS_HASH_SHA512, atls_buf_bytes(&other), challenge, NULL),
                     ATLS_OK, NULL);
    pat = test_soft_token(extra.platform, atls_bytes_of(challenge, 64));
    out = test_bundle(ATLS_TYPE_KAT, atls_buf_bytes(&kat), ATLS_TYPE_SOFT, atls_buf_bytes(&pat));
    atls_buf_clear(&kat);
    atls_buf_clear(&other);
    atls_buf_clear(&pat);
    return out;
}

static struct atls_buf bundle(const struct scene *s, const struct show *show)
{
    struct atls_buf binder = scene_binder(s, s->speaks, machine_aik(show->named));
    const struct atls_bytes fresh = atls_buf_bytes(&binder);
    struct atls_buf old = copy(fresh), out;

    old.ptr[0] ^= 1;
    out = bundle_of(fresh, show->arg != NULL ? atls_buf_bytes(&old) : fresh);
    atls_buf_clear(&binder);
    atls_buf_clear(&old);
    return out;
}

static struct outcome fresh_beside_old(const struct bench *b)
{
    const struct wish wish = lets_software(NULL);
    struct show show = software(bundle);

    control(b, &wish, &show);
    show.arg = &show;
    return play(b, &wish, &show);
}

static struct atls_buf bare(const struct scene *s, const struct show *show)
{
    struct atls_buf binder = scene_binder(s, s->speaks, machine_aik(show->named)), pat,
                    out = ATLS_BUF_INIT;
    struct atls_writer w = atls_writer_init(1 << 16);
    struct atls_cmw record_;
    uint8_t challenge[64];

    test_assert_code(atls_binder_bare_challenge(
                         binder.len == 48 ? ATLS_HASH_SHA384 : ATLS_HASH_SHA256,
                         atls_buf_bytes(&binder), machine_aik(show->named), challenge, NULL),
                     ATLS_OK, NULL);
    pat = test_soft_token(extra.platform, atls_bytes_of(challenge, sizeof challenge));
    record_ = atls_cmw_record(ATLS_TYPE_SOFT, atls_buf_bytes(&pat), ATLS_CMW_EVIDENCE);
    test_assert_code(atls_cmw_encode(&record_, &w, NULL), ATLS_OK, NULL);
    test_assert_code(atls_writer_finish(&w, &out, NULL), ATLS_OK, NULL);
    atls_buf_clear(&pat);
    atls_buf_clear(&binder);
    return out;
}

static void control_bare(const struct bench *b)
{
    static const char *const profiles[] = {"bare", NULL};
    const struct wish takes_bare = lets_software(profiles);
    struct show show = software(bare);

    show.scheme = ATLS_TYPE_SOFT;
    control(b, &takes_bare, &show);
}

static struct outcome unwanted_profile(const struct bench *b)
{
    const struct wish wish = lets_software(NULL);
    const struct show show = software(bare);

    control_bare(b);
    return play(b, &wish, &show);
}

static struct outcome unwanted_scheme(const struct bench *b)
{
    const struct wish wish = lets_software(NULL);
    struct show show = software(bare);

    control_bare(b);
    show.scheme = ATLS_TYPE_SOFT;
    return play(b, &wish, &show);
}

static struct outcome unwanted_technology(const struct bench *b)
{
    const struct wish wish = by_name();
    struct show show = software(bundle);

    control_honest(b, &wish);
    return play(b, &wish, &show);
}

/* ---- diversion ---- */

static struct outcome diversion_name(const struct bench *b)
{
    struct wish wish = by_name();
    const struct show show = everything_of(&lab.m2);

    wish.name = "m2.example";
    control(b, &wish, &show);
    wish.name = "m1.example";
    return play(b, &wish, &show);
}

static struct outcome diversion_any(const struct bench *b)
{
    const struct wish wish = by_evidence();
    const struct show show = everything_of(&lab.m2);

    return play(b, &wish, &show);
}

static struct outcome diversion_pinned(const struct bench *b)
{
    struct wish wish = by_evidence();
    const struct show show = everything_of(&lab.m2);

    wish.policy = extra.pins_m1;
    control_honest(b, &wish);
    return play(b, &wish, &show);
}

static struct atls_buf of_a_chip(const struct scene *s, const struct show *show)
{
    struct atls_buf binder = scene_binder(s, s->speaks, machine_aik(show->named));
    struct atls_buf out = chips_evidence(&chips, show->arg == NULL ? 0 : 1, atls_buf_bytes(&binder),
                                         machine_aik(show->named));

    atls_buf_clear(&binder);
    return out;
}

static struct outcome diversion_chip(const struct bench *b)
{
    struct wish wish = by_evidence();
    struct show show = everything_of(&lab.m1);

    wish.verifier = chips.verifier;
    wish.policy = chips.pins_first;
    show.technology = "snp";
    show.cmw = of_a_chip;
    control(b, &wish, &show);
    show.arg = &show;
    return play(b, &wish, &show);
}

/* ---- splice, keys ---- */

static struct outcome splice_evidence(const struct bench *b)
{
    const struct wish wish = by_evidence();
    struct show show = everything_of(&lab.m2);

    control(b, &wish, &show);
    show.evidence = &lab.m1;
    return play(b, &wish, &show);
}

static struct outcome splice_certificate(const struct bench *b)
{
    const struct wish wish = by_evidence();
    struct show show = everything_of(&lab.m1);

    control(b, &wish, &show);
    show.signs = &lab.m2;
    return play(b, &wish, &show);
}

static struct outcome splice_chain(const struct bench *b)
{
    struct wish wish = by_evidence();
    struct show show = everything_of(&lab.m2);

    show.behind = &lab.m1;
    control(b, &wish, &show);
    wish = by_name();
    return play(b, &wish, &show);
}

static struct outcome key_not_attested(const struct bench *b)
{
    const struct wish wish = by_evidence();
    struct show show = everything_of(&extra.stranger);

    control_honest(b, &wish);
    show.evidence = &lab.m1;
    return play(b, &wish, &show);
}

static void import_key(struct test_tpm_evidence *e, void *arg)
{
    (void)arg;
    e->aik.attributes &= ~(uint32_t)ATLS_TPMA_SENSITIVE_DATA_ORIGIN;
}

static struct atls_buf of_imported_key(const struct scene *s, const struct show *show)
{
    struct atls_buf binder = scene_binder(s, s->speaks, machine_aik(show->named));
    struct atls_buf out =
        machine_evidence_with(show->evidence, atls_buf_bytes(&binder), import_key, NULL);

    atls_buf_clear(&binder);
    return out;
}

static struct outcome key_imported(const struct bench *b)
{
    const struct wish wish = by_name();
    struct show show = everything_of(&lab.m1);

    control_honest(b, &wish);
    show.cmw = of_imported_key;
    return play(b, &wish, &show);
}

static struct outcome platform_unknown(const struct bench *b)
{
    const struct wish wish = by_evidence();
    const struct show show = everything_of(&extra.stranger);

    control_honest(b, &wish);
    return play(b, &wish, &show);
}

static struct outcome reflection(const struct bench *b)
{
    struct wish wish = by_evidence();
    const struct show show = everything_of(&lab.m1);

    wish.own = extra.m2;
    control_honest(b, &wish);
    wish.own = extra.m1;
    return play(b, &wish, &show);
}

/* ---- downgrade ---- */

static struct outcome manner(const struct bench *b, enum manner how)
{
    const struct wish wish = by_name();
    struct show show = everything_of(&lab.m1);

    control_honest(b, &wish);
    show.manner = how;
    return play(b, &wish, &show);
}

static struct outcome unaware(const struct bench *b)
{
    return manner(b, MANNER_UNAWARE);
}

/* ---- attestation that is optional ---- */

/* The genuine machine, its name and its key, and no evidence; who has them is let in. */
static struct outcome optional_none(const struct bench *b)
{
    struct bench asks = *b;
    const struct wish wish = by_name();
    struct show show = everything_of(&lab.m1);

    asks.optional = true;
    control_honest(&asks, &wish);
    show.manner = b->column->flavour == ATLS_FLAVOUR_POST ? MANNER_DECLINES : MANNER_UNAWARE;
    return play(&asks, &wish, &show);
}

/* A man in the middle takes the evidence away, without a key of that name: of post, where he is
 * none of the ends of the connection, he has a refusal that was made for another one. */
static struct outcome optional_stripped(const struct bench *b)
{
    struct bench asks = *b;
    const struct wish wish = by_name();
    struct show show = everything_of(&lab.m1);

    asks.optional = true;
    show.manner = b->column->flavour == ATLS_FLAVOUR_POST ? MANNER_DECLINES : MANNER_UNAWARE;
    show.declines_elsewhere = true;
    if (b->column->flavour != ATLS_FLAVOUR_POST)
        show.signs = &lab.m2;
    return play(&asks, &wish, &show);
}

/* And with a certificate of his own, for his own name. */
static struct outcome optional_other_name(const struct bench *b)
{
    struct bench asks = *b;
    const struct wish wish = by_name();
    struct show show = everything_of(&lab.m2);

    asks.optional = true;
    show.manner = MANNER_UNAWARE;
    return play(&asks, &wish, &show);
}

static struct outcome anonymous(const struct bench *b)
{
    return manner(b, MANNER_ANONYMOUS);
}

static struct outcome without(const struct bench *b)
{
    return manner(b, MANNER_WITHOUT);
}

static struct outcome later_entry(const struct bench *b)
{
    return manner(b, MANNER_LATER_ENTRY);
}

static struct outcome foreign(const struct bench *b)
{
    return manner(b, MANNER_FOREIGN);
}

static struct outcome twice(const struct bench *b)
{
    return manner(b, MANNER_TWICE);
}

static struct outcome unchosen(const struct bench *b)
{
    return manner(b, MANNER_UNCHOSEN);
}

static struct outcome tls_1_2(const struct bench *b)
{
    return manner(b, MANNER_TLS_1_2);
}

static struct outcome resumed(const struct bench *b)
{
    struct wish wish = by_name();
    struct show show = everything_of(&lab.m1);
    struct outcome out;

    control_honest(b, &wish);
    show.manner = MANNER_UNAWARE;
    wish.session = scene_session(b, &show.resumes);
    out = play(b, &wish, &show);
    SSL_SESSION_free(wish.session);
    SSL_CTX_free(show.resumes);
    return out;
}

static struct outcome use_again(const struct bench *b, const struct machine *signs)
{
    const struct wish wish = by_name();
    struct show first = everything_of(&lab.m1), second = everything_of(&extra.stranger);

    first.signs = signs;
    second.manner = MANNER_UNAWARE;
    return scene_used_again(b, &wish, &first, &second);
}

static struct outcome used_again(const struct bench *b)
{
    return use_again(b, &lab.m1);
}

static struct outcome used_after_failure(const struct bench *b)
{
    return use_again(b, &lab.m2);
}

static struct outcome asked_again(const struct bench *b)
{
    const struct wish wish = by_name();
    const struct show first = everything_of(&lab.m1);
    struct show second = everything_of(&extra.stranger);

    second.manner = MANNER_WITHOUT;
    return scene_asked_again(b, &wish, &first, &second);
}

/* He attests, and well, in another flavour. */
static struct outcome speaks(const struct bench *b, int column)
{
    const struct wish wish = by_name();
    struct show show = everything_of(&lab.m1);

    control_honest(b, &wish);
    show.speaks = &columns[column];
    return play(b, &wish, &show);
}

static struct outcome speaks_post(const struct bench *b)
{
    return speaks(b, POST);
}

static struct outcome speaks_intra(const struct bench *b)
{
    return speaks(b, b->column->flavour == ATLS_FLAVOUR_INTRA && !b->column->secret_binder
                         ? INTRA_SECRET
                         : INTRA);
}

static struct outcome speaks_pre(const struct bench *b)
{
    return speaks(b, PRE_NONE);
}

/* The right evidence of another flavour, in the right place of this one. */
static struct atls_buf of_formula(const struct scene *s, const struct show *show)
{
    struct atls_buf binder = scene_binder(s, show->arg, machine_aik(show->named));
    struct atls_buf out = machine_evidence(show->evidence, atls_buf_bytes(&binder));

    atls_buf_clear(&binder);
    return out;
}

static struct outcome formula(const struct bench *b, int column)
{
    const struct wish wish = by_name();
    struct show show = everything_of(&lab.m1);
    struct column of = columns[column];

    control_honest(b, &wish);
    show.cmw = of_formula;
    show.arg = &of;
    return play(b, &wish, &show);
}

static struct outcome formula_post(const struct bench *b)
{
    return formula(b, POST);
}

static struct outcome formula_intra(const struct bench *b)
{
    return formula(b, INTRA);
}

static struct outcome formula_intra_secret(const struct bench *b)
{
    return formula(b, INTRA_SECRET);
}

static struct outcome formula_pre_none(const struct bench *b)
{
    return formula(b, PRE_NONE);
}

static struct outcome formula_pre_nonce(const struct bench *b)
{
    return formula(b, PRE_NONCE);
}

/* ---- certificates, bytes ---- */

static struct outcome expired(const struct bench *b, struct wish wish)
{
    struct show show = everything_of(&lab.m1);

    control_honest(b, &wish);
    show.expired = true;
    return play(b, &wish, &show);
}

static struct outcome expired_by_name(const struct bench *b)
{
    return expired(b, by_name());
}

static struct outcome expired_by_evidence(const struct bench *b)
{
    return expired(b, by_evidence());
}

static struct atls_buf garbage_bytes(const struct scene *s, const struct show *show)
{
    uint8_t bytes[600];

    (void)s, (void)show;
    memset(bytes, 0xa5, sizeof bytes);
    return copy(atls_bytes_of(bytes, sizeof bytes));
}

static struct atls_buf cut(const struct scene *s, const struct show *show)
{
    struct show whole = *show;
    struct atls_buf out;

    whole.cmw = NULL;
    out = scene_cmw(s, &whole);
    out.len--;
    return out;
}

static struct atls_buf with_tail(const struct scene *s, const struct show *show)
{
    struct show whole = *show;
    struct atls_buf good, out = ATLS_BUF_INIT;

    whole.cmw = NULL;
    good = scene_cmw(s, &whole);
    out.ptr = calloc(1, good.len + 1);
    assert_non_null(out.ptr);
    memcpy(out.ptr, good.ptr, good.len);
    out.len = good.len + 1;
    atls_buf_clear(&good);
    return out;
}

static struct outcome bytes(const struct bench *b,
                            struct atls_buf (*cmw)(const struct scene *, const struct show *))
{
    const struct wish wish = by_name();
    struct show show = everything_of(&lab.m1);

    control_honest(b, &wish);
    show.cmw = cmw;
    return play(b, &wish, &show);
}

static struct outcome garbage(const struct bench *b)
{
    return bytes(b, garbage_bytes);
}

static struct outcome truncated(const struct bench *b)
{
    return bytes(b, cut);
}

static struct outcome trailing(const struct bench *b)
{
    return bytes(b, with_tail);
}

/* ---- the tables ---- */

#define BIT(column) (1u << (column))
#define ALL         (BIT(COLUMNS) - 1)
#define BOTH_INTRA  (BIT(INTRA) | BIT(INTRA_SECRET))
#define BOTH_PRE    (BIT(PRE_NONE) | BIT(PRE_NONCE))
/* Among the absent: no client of OpenSSL's can be made to do it. */
#define NO_CLIENT BIT(COLUMNS)
#define NO_SERVER BIT(COLUMNS + 1) /* TLS has no such server */

static const struct row {
    const char *attack;
    struct outcome (*run)(const struct bench *b);
    unsigned int succeeds; /* columns where it is known to */
    unsigned int absent;   /* columns where there is no such thing */
    const char *note;      /* what stops it where it succeeds; or NULL */
} rows[] = {
    {"control: the genuine machine, by its name", honest_by_name, ALL, 0, NULL},
    {"control: the genuine machine, by evidence alone", honest_by_evidence, ALL, 0, NULL},

    {"relay: passes on evidence that the machine makes for him", relay_without_keys, 0, 0, NULL},
    {"relay, machine's key stolen", relay_with_stolen_key, BOTH_PRE, 0,
     "keys that do not leave the machine; post or intra"},
    {"relay, key stolen, the machine attests any transcript that it is told of",
     relay_with_transcript, BIT(INTRA) | BOTH_PRE, 0, "secret binder; post"},
    {"relay, key stolen, the machine attests any challenge at all", relay_with_attester, ALL, 0,
     "nothing on the wire; the next row"},
    {"the same, and measurements show what may use its attester", relay_with_measured_attester, 0,
     0, NULL},

    {"replay of an earlier connection's evidence, key stolen", replay_evidence, BIT(PRE_NONE), 0,
     "freshness nonce"},
    {"replay within the connection, when asked again", replay_within, 0, BOTH_INTRA | BOTH_PRE,
     NULL},
    {"stale: evidence made before there was a challenge", made_before, 0, 0, NULL},
    {"stale: the machine's state changed since its evidence", state_before, BIT(PRE_NONE), 0,
     "freshness nonce"},
    {"stale: certificate of a month ago, which says that it is valid for many years",
     shown_long_ago, 0, BIT(POST) | BOTH_INTRA | BIT(PRE_NONCE), NULL},
    {"stale: its state changes while connected", state_after, BOTH_INTRA | BOTH_PRE, 0,
     "post, which asks again; connect anew, with nonce in pre"},
    {"stale: quote of an earlier connection beside a fresh key certification", old_quote, 0, 0,
     NULL},
    {"stale: key certification of an earlier connection beside a fresh quote", old_certify, 0, 0,
     NULL},
    {"stale: fresh binder, in a token that the platform's old one does not name", fresh_beside_old,
     0, 0, NULL},
    {"expired certificate, identity by name", expired_by_name, 0, 0, NULL},
    {"expired certificate, identity by evidence", expired_by_evidence, ALL & ~BOTH_PRE, 0,
     "the certificate says nothing there: only evidence counts"},

    {"diversion: another genuine machine, identity by name", diversion_name, 0, 0, NULL},
    {"diversion: another genuine machine, any will do", diversion_any, ALL, 0,
     "identity pkix, or the next row"},
    {"diversion: another genuine machine, policy pins the instance", diversion_pinned, 0, 0, NULL},
    {"diversion: another genuine confidential machine, policy pins the chip", diversion_chip, 0, 0,
     NULL},

    {"splice: evidence of one machine, certificate and key of another", splice_evidence, 0, 0,
     NULL},
    {"splice: certificate and evidence of one, key of another", splice_certificate, 0, 0, NULL},
    {"splice: another machine's own certificate, that of the right name behind it", splice_chain, 0,
     0, NULL},
    {"key that nobody attested, beside genuine evidence", key_not_attested, 0, 0, NULL},
    {"key that was made outside of the TPM", key_imported, 0, 0, NULL},
    {"platform that nobody vouches for", platform_unknown, 0, 0, NULL},
    {"reflection: mutual, with the victim's own key and evidence", reflection, 0, 0, NULL},

    {"downgrade: a peer that knows no attestation", unaware, 0, 0, NULL},
    {"attestation is optional: none is shown", optional_none, 0, 0,
     "nothing, for that is what was asked for: it is told as not attested, never as attested"},
    {"attestation is optional: taken away, without the key of the name", optional_stripped, 0, 0,
     NULL},
    {"attestation is optional: none is shown, certificate of another name", optional_other_name, 0,
     0, NULL},
    {"downgrade: no certificate at all", anonymous, 0, BIT(POST) | NO_SERVER, NULL},
    {"downgrade: attestation negotiated, none shown", without, 0, 0, NULL},
    {"downgrade: TLS 1.2", tls_1_2, 0, 0, NULL},
    {"downgrade: resumption of a session without attestation", resumed, 0, 0, NULL},
    {"downgrade: nothing shown where the program uses an attested connection's SSL again",
     used_again, 0, BIT(POST), NULL},
    {"the same with an SSL whose handshake failed when its evidence had been judged",
     used_after_failure, 0, BIT(POST), NULL},
    {"downgrade: another certificate after the handshake, where the program asks for one",
     asked_again, 0, BIT(POST) | NO_SERVER, NULL},
    {"downgrade: attests in flavour post", speaks_post, 0, BIT(POST), NULL},
    {"downgrade: attests in flavour intra, or intra with another binder", speaks_intra, 0, 0, NULL},
    {"downgrade: attests in flavour pre", speaks_pre, 0, BOTH_PRE, NULL},
    {"downgrade: evidence in a profile that was not offered", unwanted_profile, 0, 0, NULL},
    {"downgrade: evidence in a form of others that was not asked for", foreign, 0,
     BIT(POST) | BOTH_INTRA, NULL},
    {"downgrade: chooses a scheme that was not offered", unwanted_scheme, 0, BIT(POST) | BOTH_PRE,
     NULL},
    {"downgrade: evidence of a technology that was not offered", unwanted_technology, 0, 0, NULL},

    {"evidence as post would make it, of this connection's values", formula_post, 0, BIT(POST),
     NULL},
    {"evidence as intra would make it", formula_intra, 0, BIT(INTRA), NULL},
    {"evidence as intra with secret binder would make it", formula_intra_secret, 0,
     BIT(INTRA_SECRET), NULL},
    {"evidence as pre without nonce would make it", formula_pre_none, 0, BIT(PRE_NONE), NULL},
    {"evidence as pre with nonce would make it", formula_pre_nonce, 0, BIT(PRE_NONCE), NULL},

    {"attestation that was not negotiated, in its place", unchosen, 0,
     BIT(POST) | BOTH_PRE | NO_CLIENT, NULL},
    {"attestation beside a later certificate of the chain", later_entry, 0, 0, NULL},
    {"attestation twice", twice, 0, 0, NULL},
    {"garbage in place of evidence", garbage, 0, 0, NULL},
    {"evidence without its last byte", truncated, 0, 0, NULL},
    {"evidence and one byte more", trailing, 0, 0, NULL},
};

/* What every cell is run over: binders of both lengths, transcripts with and without a second
 * ClientHello. */
static const struct pass {
    const char *suite;
    bool retry;
} passes[] = {{"TLS_AES_256_GCM_SHA384", false}, {"TLS_AES_128_GCM_SHA256", true}};
#define PASSES (sizeof passes / sizeof passes[0])

static void put_outcome(FILE *out, const struct row *row, const struct outcome *o)
{
    if (o->unattested)
        fputs("passes, **not attested**", out);
    else if (o->accepted)
        fputs(strncmp(row->attack, "control", 7) == 0 ? "accepted" : "**SUCCEEDS**", out);
    else if (o->reason != ATLS_REASON_NONE)
        fprintf(out, "refused (`%s`)", atls_reason_name(o->reason));
    else
        fprintf(out, "refused (%s)", o->code == ATLS_E_TLS ? "by TLS" : atls_code_name(o->code));
}

static bool is_absent(const struct row *row, enum atls_role victim, size_t column)
{
    const unsigned int nobody = victim == ATLS_ROLE_SERVER ? NO_CLIENT : NO_SERVER;

    return (row->absent & (BIT(column) | nobody)) != 0;
}

/* Where attestation is optional, who shows something is judged as where it is required (a
 * technology that HELLO should not have offered, when it comes); and who shows nothing at all is at
 * best not attested. */
static bool is_same_when_optional(const struct bench *b, const struct row *row,
                                  const struct outcome *required)
{
    const bool shows_none = row->run == unaware || row->run == anonymous || row->run == without ||
                            row->run == speaks_post || row->run == speaks_intra ||
                            row->run == speaks_pre || row->run == used_again ||
                            row->run == used_after_failure || row->run == asked_again ||
                            row->run == resumed || row->run == optional_none ||
                            row->run == unchosen || row->run == later_entry;
    struct bench asks = *b;
    struct outcome o;

    asks.optional = true;
    o = row->run(&asks);
    if (shows_none ? !o.accepted
                   : o.accepted == required->accepted &&
                         (o.reason == required->reason || row->run == unwanted_technology) &&
                         o.unattested == required->unattested)
        return true;
    print_error("%s, %s, optional: accepted %d, not attested %d: %s\n", row->attack,
                b->column->title, (int)o.accepted, (int)o.unattested, o.message);
    return false;
}

static bool one_cell(struct table *t, const struct row *row, enum atls_role victim, size_t column)
{
    struct bench b = {.lab = &lab, .column = &columns[column], .victim = victim};
    const bool known = (row->succeeds & BIT(column)) != 0;
    struct outcome o[PASSES];
    bool good = true;

    if (is_absent(row, victim, column)) {
        fputs("| – ", t->out);
        return true;
    }
    for (size_t i = 0; i < PASSES; i++) {
        b.suite = passes[i].suite;
        b.retry = passes[i].retry;
        assert_true(SSL_CTX_set_ciphersuites(lab.client_ctx, b.suite) == 1);
        o[i] = row->run(&b);
        good = good && o[i].accepted == known && o[i].reason == o[0].reason &&
               o[i].unattested == (row->run == optional_none);
    }
    good = good && is_same_when_optional(&b, row, &o[0]);
    fputs("| ", t->out);
    put_outcome(t->out, row, &o[0]);
    fputs(" ", t->out);
    for (size_t i = 0; i < PASSES && !good; i++)
        print_error("%s, %s attests, %s, %s: %s %s\n", row->attack,
                    victim == ATLS_ROLE_CLIENT ? "server" : "client", b.column->title,
                    passes[i].suite, o[i].accepted ? "SUCCEEDS" : "refused:", o[i].message);
    return good;
}

/* How many cells are not as they are known to be. */
static size_t put_row(struct table *t, const struct row *row, enum atls_role victim)
{
    size_t surprises = 0, there = 0;

    for (size_t c = 0; c < COLUMNS; c++)
        there += is_absent(row, victim, c) ? 0 : 1;
    if (there == 0)
        return 0;
    fprintf(t->out, "| %s ", row->attack);
    for (size_t c = 0; c < COLUMNS; c++)
        surprises += one_cell(t, row, victim, c) ? 0 : 1;
    fprintf(t->out, "| %s |\n", row->note != NULL ? row->note : "");
    return surprises;
}

static void put_table(struct table *t, enum atls_role victim)
{
    const char *head[COLUMNS + 3] = {"Attack"};
    size_t surprises = 0;

    for (size_t c = 0; c < COLUMNS; c++)
        head[c + 1] = columns[c].title;
    head[COLUMNS + 1] = "what stops it where it succeeds";
    table_head(t, head);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        surprises += put_row(t, &rows[i], victim);
    if (surprises != 0)
        fail_msg("%zu cells are not what is known of them", surprises);
}

static struct table tables;

static void servers_attest(void **state)
{
    (void)state;
    fputs("\n### A client wants its server attested\n\n", tables.out);
    put_table(&tables, ATLS_ROLE_CLIENT);
}

static void clients_attest(void **state)
{
    (void)state;
    fputs("\n### A server wants its client attested\n\n", tables.out);
    put_table(&tables, ATLS_ROLE_SERVER);
}

static void nothing_to_expect(void **state)
{
    (void)state;
    fputs("\n### Expectations that are missing\n\n", tables.out);
    nothing_put(&tables, &lab);
}

/* ---- set up ---- */

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

static void enrol_software(void)
{
    struct atls_store_attest_key key = {.class_uuid = LAB_CLASS, .technology = "soft"};
    struct atls_store *store = NULL;
    uint8_t ueid[ATLS_SOFT_UEID_LEN];
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_private_key_generate(ATLS_KEY_P256, &extra.platform, &err), ATLS_OK,
                     &err);
    test_soft_ueid(extra.platform, ueid);
    key.spki = atls_key_spki(atls_private_key_public(extra.platform));
    key.instance = atls_bytes_of(ueid, sizeof ueid);
    test_assert_code(atls_store_open(lab.store, ATLS_STORE_WRITE, &store, &err), ATLS_OK, &err);
    test_assert_code(atls_store_add_attest_key(store, &key, &err), ATLS_OK, &err);
    atls_store_close(store);
}

static void make_policies(void)
{
    static const struct atls_policy_ops accepting = {policy_free, accept_all};
    char text[512], hex[67];
    struct atls_err err = ATLS_ERR_INIT;
    int len;

    for (size_t i = 0; i < 33; i++)
        snprintf(hex + 2 * i, 3, "%02x", lab.m1.ueid[i]);
    len = snprintf(text, sizeof text,
                   "if .submods.TPM.ear_status == \"affirming\" and "
                   ".submods.TPM.ear_attester_claims.instance == \"%s\" "
                   "then {decision: \"accept\"} else {decision: \"refuse\"} end",
                   hex);
    test_assert_code(atls_policy_new(&accepting, NULL, &extra.accepts_all, &err), ATLS_OK, &err);
    test_assert_code(
        atls_policy_compile("pins m1", atls_bytes_of(text, (size_t)len), &extra.pins_m1, &err),
        ATLS_OK, &err);
}

static int open_all(void **state)
{
    static const struct atls_verifier_ops *const backends[] = {&atls_local_verifier, NULL};
    struct atls_verifier_options options;
    struct atls_err err = ATLS_ERR_INIT;
    char uri[128];

    (void)state;
    lab_open(&lab);
    enrol_software();
    atls_verifier_options_init(&options);
    options.allow_insecure_technology = true;
    snprintf(uri, sizeof uri, "local:%s", lab.store);
    test_assert_code(atls_verifier_open(uri, backends, &options, &extra.lenient, &err), ATLS_OK,
                     &err);
    make_policies();
    chips_open(&chips, lab.folder);
    extra.tampered = lab.m1;
    extra.tampered.pcr7[0] = 0x99;
    extra.stranger = lab.m1;
    extra.stranger.ak = test_tpm_key_new(ATLS_KEY_P256, TEST_TPM_AK_ATTRIBUTES);
    extra.stranger.aik = test_tpm_key_new(ATLS_KEY_P256, TEST_TPM_AIK_ATTRIBUTES);
    extra.stranger.certificate =
        test_issue(&lab.ca, &(struct test_certificate){.common_name = "m1",
                                                       .spki = machine_aik(&extra.stranger)});
    extra.m1 = machine_attester(&lab.m1);
    extra.m2 = machine_attester(&lab.m2);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    atls_attester_unref(extra.m1);
    atls_attester_unref(extra.m2);
    test_tpm_key_clear(&extra.stranger.ak);
    test_tpm_key_clear(&extra.stranger.aik);
    test_identity_clear(&extra.stranger.certificate);
    atls_verifier_unref(extra.lenient);
    atls_policy_unref(extra.accepts_all);
    atls_policy_unref(extra.pins_m1);
    atls_private_key_free(extra.platform);
    chips_close(&chips);
    lab_close(&lab);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(servers_attest),
        cmocka_unit_test(clients_attest),
        cmocka_unit_test(nothing_to_expect),
    };
    int failed;

    table_open(&tables);
    failed = cmocka_run_group_tests(tests, open_all, close_all);
    table_close(&tables);
    fputs(tables.text, stdout);
    if (failed == 0 && argc == 3) {
        const bool rewrite = strcmp(argv[1], "--write") == 0;

        failed = table_settle(argv[2], tables.text, rewrite) ? 0 : 1;
    }
    table_clear(&tables);
    return failed == 0 ? 0 : 1;
}
