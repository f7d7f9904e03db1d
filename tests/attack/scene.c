#include "scene.h"

#include <string.h>

#include "bind/binder.h"

const struct column columns[COLUMNS] = {
    [POST] = {.title = "post", .flavour = ATLS_FLAVOUR_POST},
    [INTRA] = {.title = "intra", .flavour = ATLS_FLAVOUR_INTRA},
    [INTRA_SECRET] = {.title = "intra, secret binder",
                      .flavour = ATLS_FLAVOUR_INTRA,
                      .secret_binder = true},
    [PRE_NONE] = {.title = "pre, freshness none",
                  .flavour = ATLS_FLAVOUR_PRE,
                  .freshness = ATLS_FRESHNESS_NONE},
    [PRE_NONCE] = {.title = "pre, freshness nonce",
                   .flavour = ATLS_FLAVOUR_PRE,
                   .freshness = ATLS_FRESHNESS_NONCE},
};

const char *machine_name(const struct lab *lab, const struct machine *m)
{
    return atls_bytes_equal(machine_aik(m), machine_aik(&lab->m2)) ? "m2.example" : "m1.example";
}

struct atls_config *scene_config(const struct bench *b, const struct wish *wish)
{
    struct atls_config_options options;
    struct atls_config *out = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf pem = ATLS_BUF_INIT;

    test_assert_code(
        atls_pem_encode("CERTIFICATE", atls_buf_bytes(&b->lab->ca.certificate), &pem, &err),
        ATLS_OK, &err);
    atls_config_options_init(&options);
    options.attester = wish->own;
    options.require_peer = true;
    options.peer_optional = b->optional;
    options.verifier = wish->verifier != NULL ? wish->verifier : b->lab->verifier;
    options.policy = wish->policy != NULL ? wish->policy : b->lab->policy;
    options.identity = wish->identity;
    if (wish->identity == ATLS_IDENTITY_PKIX)
        options.anchors = atls_buf_bytes(&pem);
    options.profiles = wish->profiles;
    options.evidence_types = wish->evidence_types;
    options.flavour = b->column->flavour;
    options.freshness = b->column->freshness;
    options.secret_binder = b->column->secret_binder;
    test_assert_code(atls_config_new(&options, &out, &err), ATLS_OK, &err);
    atls_buf_clear(&pem);
    return out;
}

/* 32 bytes that both ends of this connection know by now, where a formula wants a value that other
 * connections have. */
static const uint8_t *stand_in(const struct scene *s)
{
    switch (s->speaks->flavour) {
    case ATLS_FLAVOUR_POST:
        return s->exporter.secret;
    case ATLS_FLAVOUR_INTRA:
        return s->transcript_hash;
    case ATLS_FLAVOUR_PRE:
        break;
    }
    return s->nonce;
}

static void post_binder(const struct scene *s, struct atls_bytes spki, struct atls_binder *out)
{
    const enum atls_hash hash = s->speaks->flavour == ATLS_FLAVOUR_PRE ? ATLS_HASH_SHA256 : s->hash;
    struct atls_err err = ATLS_ERR_INIT;

    if (s->speaks->flavour == ATLS_FLAVOUR_POST) {
        struct atls_buf right =
            binder_of(&s->exporter, ATLS_BINDER_LABEL, s->hash, s->request, spki);

        assert_true(right.len <= sizeof out->data);
        memcpy(out->data, right.ptr, right.len);
        out->len = right.len;
        atls_buf_clear(&right);
        return;
    }
    test_assert_code(atls_binder_make(hash, spki, stand_in(s), out, &err), ATLS_OK, &err);
}

static void intra_binder(const struct scene *s, bool secret, struct atls_bytes spki,
                         struct atls_binder *out)
{
    uint8_t value[64] = {0};
    struct atls_binder_handshake handshake = {.hash = ATLS_HASH_SHA256, .spki = spki};
    struct atls_err err = ATLS_ERR_INIT;
    size_t len;

    memcpy(value, stand_in(s), 32);
    handshake.transcript_hash = atls_bytes_of(value, 32);
    if (s->speaks->flavour == ATLS_FLAVOUR_INTRA) {
        handshake.hash = s->hash;
        handshake.transcript_hash = atls_bytes_of(s->transcript_hash, atls_hash_len(s->hash));
    }
    len = atls_hash_len(handshake.hash);
    test_assert_code(
        secret ? atls_binder_intra_secret(&handshake, atls_bytes_of(s->secret, len), out, &err)
               : atls_binder_intra(&handshake, out, &err),
        ATLS_OK, &err);
}

struct atls_buf scene_binder(const struct scene *s, const struct column *formula,
                             struct atls_bytes spki)
{
    struct atls_binder binder = {.len = 0};
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    const bool nonce = formula->freshness == ATLS_FRESHNESS_NONCE;

    switch (formula->flavour) {
    case ATLS_FLAVOUR_POST:
        post_binder(s, spki, &binder);
        break;
    case ATLS_FLAVOUR_INTRA:
        intra_binder(s, formula->secret_binder, spki, &binder);
        break;
    case ATLS_FLAVOUR_PRE:
        test_assert_code(
            atls_binder_pre(nonce ? atls_bytes_of(stand_in(s), 32) : atls_bytes_of(NULL, 0), spki,
                            &binder, &err),
            ATLS_OK, &err);
        break;
    }
    test_assert_code(atls_buf_copy(&out, atls_binder_bytes(&binder), &err), ATLS_OK, &err);
    return out;
}

struct atls_buf scene_cmw(const struct scene *s, const struct show *show)
{
    struct atls_buf binder, out = ATLS_BUF_INIT;

    if (show->cmw != NULL) {
        out = show->cmw(s, show);
    } else {
        binder = scene_binder(s, s->speaks, machine_aik(show->named));
        out = machine_evidence(show->evidence, atls_buf_bytes(&binder));
        atls_buf_clear(&binder);
    }
    if (show->record != NULL) {
        atls_buf_clear(show->record);
        test_assert_code(atls_buf_copy(show->record, atls_buf_bytes(&out), NULL), ATLS_OK, NULL);
    }
    return out;
}

struct outcome scene_refused(const struct atls_err *err)
{
    struct outcome out = {.code = err->code, .reason = err->reason};

    memcpy(out.message, err->message, sizeof out.message);
    return out;
}

struct outcome scene_play(const struct bench *b, const struct wish *wish, const struct show *show)
{
    const bool frames = b->column->flavour == ATLS_FLAVOUR_POST && show->speaks == NULL &&
                        show->manner != MANNER_UNAWARE && show->manner != MANNER_TLS_1_2 &&
                        wish->session == NULL;

    return frames ? post_play(b, wish, show) : tls_play(b, wish, show);
}

struct atls_buf scene_oracle(const struct scene *s, struct machine *m)
{
    return s->bench->column->flavour == ATLS_FLAVOUR_POST ? post_oracle(s, m) : tls_oracle(s, m);
}

struct outcome scene_state_changes(const struct bench *b, const struct wish *wish,
                                   const struct machine *before, const struct machine *after)
{
    const struct show show = {.named = before, .signs = before, .evidence = before};

    return b->column->flavour == ATLS_FLAVOUR_POST ? post_state_changes(b, wish, before, after)
                                                   : tls_play(b, wish, &show);
}
