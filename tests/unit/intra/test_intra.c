/* Two ends of one handshake without a TLS library: honest runs, then each rule broken alone. */
#include "testlib.h"

#include <stdlib.h>
#include <string.h>

#include "bind/batch.h"
#include "flavour/intra/intra.h"
#include "handshake.h"
#include "session_pair.h"
#include "soft_evidence.h"
#include "wire/early_attestation.h"
#include "wire/kat.h"

#define SHA256_SUITE 0x1301
#define SHA384_SUITE 0x1302

struct shake {
    struct pair p; /* configurations; its sessions are not used */
    struct atls_intra *client, *server;
    uint16_t suite;
    bool retry;
    struct atls_err err;
};

static void init(struct shake *s)
{
    memset(s, 0, sizeof *s);
    pair_init(&s->p);
    s->p.client.options.flavour = s->p.server.options.flavour = ATLS_FLAVOUR_INTRA;
    s->suite = SHA256_SUITE;
}

static void start(struct shake *s)
{
    pair_configure(&s->p);
    test_assert_code(atls_intra_new(s->p.client.config, ATLS_ROLE_CLIENT, &s->client, &s->err),
                     ATLS_OK, &s->err);
    test_assert_code(atls_intra_new(s->p.server.config, ATLS_ROLE_SERVER, &s->server, &s->err),
                     ATLS_OK, &s->err);
}

static void clear(struct shake *s)
{
    atls_intra_free(s->client);
    atls_intra_free(s->server);
    atls_config_unref(s->p.client.config);
    atls_config_unref(s->p.server.config);
}

#define OK(s, call)           test_assert_code((call), ATLS_OK, &(s)->err)
#define REFUSED(s, call, why) refused((s), (call), (why), __LINE__)

static void refused(struct shake *s, enum atls_code code, enum atls_reason reason, int line)
{
    if (code == ATLS_OK || s->err.code != code || s->err.reason != reason)
        fail_msg("line %d: code %d, reason %s: %s", line, (int)code,
                 atls_reason_name(s->err.reason), s->err.message);
}

static void both_see(struct shake *s, struct atls_buf message, bool from_client)
{
    OK(s, atls_intra_message(s->client, atls_buf_bytes(&message), from_client, &s->err));
    OK(s, atls_intra_message(s->server, atls_buf_bytes(&message), from_client, &s->err));
    atls_buf_clear(&message);
}

static struct atls_bytes out(struct shake *s, struct atls_intra *intra, enum atls_intra_place place)
{
    struct atls_bytes data = {NULL, 0};

    OK(s, atls_intra_extension_out(intra, place, 0, &data, &s->err));
    return data;
}

static enum atls_code in(struct shake *s, struct atls_intra *intra, enum atls_intra_place place,
                         struct atls_bytes data)
{
    return atls_intra_extension_in(intra, place, 0, data, &s->err);
}

/* ClientHello with the client's own extension, a retry where it is wanted, no ServerHello yet. */
static void client_hellos(struct shake *s)
{
    both_see(s, test_client_hello(1), true);
    OK(s, in(s, s->server, ATLS_INTRA_CH, out(s, s->client, ATLS_INTRA_CH)));
    if (!s->retry)
        return;
    both_see(s, test_retry_request(s->suite), false);
    both_see(s, test_client_hello(2), true);
    OK(s, in(s, s->server, ATLS_INTRA_CH, out(s, s->client, ATLS_INTRA_CH)));
}

static void hellos(struct shake *s)
{
    client_hellos(s);
    OK(s, atls_intra_check_choice(s->server, &s->err));
    both_see(s, test_server_hello(3, s->suite), false);
}

static void pass(struct shake *s, enum atls_intra_place place)
{
    const struct atls_bytes data = out(s, s->server, place);

    if (data.ptr != NULL)
        OK(s, in(s, s->client, place, data));
}

/* Up to what the server chose. */
static void choices(struct shake *s)
{
    hellos(s);
    pass(s, ATLS_INTRA_EE);
    pass(s, ATLS_INTRA_CR);
    OK(s, atls_intra_check_choice(s->client, &s->err));
}

static struct atls_bytes key_of(const struct pair_end *end)
{
    return atls_attester_aik_spki(end->config->options.attester);
}

/* Makes the CMW of one end, and gives it over. */
static void prove(struct shake *s, const struct pair_end *end, struct atls_intra *intra)
{
    struct atls_proof proof;
    struct atls_buf cmw;

    assert_true(atls_intra_wants_own_cmw(intra));
    OK(s, atls_intra_proof(intra, key_of(end), &proof, &s->err));
    OK(s, atls_proof_make(&proof, NULL, &cmw, &s->err));
    OK(s, atls_intra_set_own_cmw(intra, atls_buf_bytes(&cmw), &s->err));
    assert_false(atls_intra_wants_own_cmw(intra));
    atls_buf_clear(&cmw);
}

static enum atls_code judge(struct shake *s, const struct pair_end *of, struct atls_intra *intra,
                            const char *technology)
{
    struct atls_judgement judgement;
    struct atls_result *result = NULL;
    enum atls_judge_step step;
    size_t count;
    enum atls_code code;

    OK(s, atls_intra_judgement(intra, key_of(of), &judgement, &s->err));
    judgement.chain = atls_attester_chain(of->config->options.attester, &count);
    judgement.chain_len = count;
    OK(s, atls_judge(&judgement, &result, &step, &s->err));
    code = atls_intra_set_judged(intra, technology, &s->err);
    atls_result_unref(result);
    return code;
}

static const struct atls_intra_facts good = {.version = 0x0304};

/* One side attests, the other judges. */
static void attest(struct shake *s, const struct pair_end *end, struct atls_intra *from,
                   struct atls_intra *to)
{
    prove(s, end, from);
    OK(s, in(s, to, ATLS_INTRA_CT, out(s, from, ATLS_INTRA_CT)));
    assert_true(atls_intra_judges(to));
    OK(s, judge(s, end, to, "fake"));
    assert_false(atls_intra_judges(to));
}

static void run(struct shake *s)
{
    choices(s);
    if (atls_intra_wants_own_cmw(s->server))
        attest(s, &s->p.server, s->server, s->client);
    if (atls_intra_wants_own_cmw(s->client))
        attest(s, &s->p.client, s->client, s->server);
    assert_false(atls_intra_is_finished(s->client));
    OK(s, atls_intra_finish(s->client, &good, &s->err));
    OK(s, atls_intra_finish(s->server, &good, &s->err));
    assert_true(atls_intra_is_finished(s->client));
    assert_true(atls_intra_is_finished(s->server));
}

/* ---- honest runs ---- */

static void both_ends_agree(void **state)
{
    (void)state;
    for (unsigned int row = 0; row < 3 * 16; row++) {
        const unsigned int sides = row % 3; /* mutual, server alone, client alone */
        const unsigned int form = row / 3;
        struct shake s;

        init(&s);
        s.p.client.attests = s.p.server.requires = sides != 1;
        s.p.server.attests = s.p.client.requires = sides != 2;
        s.p.client.options.require_self = s.p.client.attests;
        s.p.server.options.require_self = s.p.server.attests;
        s.suite = (form & 1) != 0 ? SHA384_SUITE : SHA256_SUITE;
        s.retry = (form & 2) != 0;
        if ((form & 4) != 0)
            s.p.client.options.secret_binder = s.p.server.options.secret_binder = true;
        if ((form & 8) != 0 && s.p.server.attests) { /* the server shows a result */
            s.p.server.has_passport = true;
            s.p.server.options.passport_verifier = "verifier.example";
            s.p.client.verifier.takes_results = true;
            s.p.client.options.accepted_verifier = "verifier.example";
        }
        start(&s);
        if ((form & 4) != 0) {
            const struct atls_bytes secret = {(const uint8_t *)"0123456789abcdef0123456789abcdef"
                                                               "0123456789abcdef",
                                              s.suite == SHA384_SUITE ? 48 : 32};

            OK(&s, atls_intra_set_secret(s.client, secret, &s.err));
            OK(&s, atls_intra_set_secret(s.client, secret, &s.err));
            OK(&s, atls_intra_set_secret(s.server, secret, &s.err));
        }
        run(&s);
        assert_int_equal(s.p.server.passport.shown, (form & 8) != 0 && s.p.server.attests);
        clear(&s);
    }
}

/* The binder of the proof is the one of the formula. */
static void the_binder(void **state)
{
    struct shake s;
    struct atls_proof proof, again;
    struct atls_buf client = test_client_hello(1), server = test_server_hello(3, SHA256_SUITE);
    const struct atls_bytes parts[] = {atls_buf_bytes(&client), atls_buf_bytes(&server)};
    uint8_t th[ATLS_HASH_MAX];
    struct atls_binder_handshake handshake = {ATLS_HASH_SHA256, {th, 32}, {NULL, 0}};
    struct atls_binder want;

    (void)state;
    init(&s);
    start(&s);
    choices(&s);
    handshake.spki = key_of(&s.p.server);
    OK(&s, atls_hash_parts(ATLS_HASH_SHA256, parts, 2, th, &s.err));
    OK(&s, atls_binder_intra(&handshake, &want, &s.err));
    OK(&s, atls_intra_proof(s.server, key_of(&s.p.server), &proof, &s.err));
    test_assert_bytes(atls_binder_bytes(&proof.binder), atls_binder_bytes(&want));
    assert_int_equal(proof.profiles, ATLS_PROFILE_KAT);
    assert_false(proof.shows_result);
    OK(&s, atls_intra_proof(s.server, key_of(&s.p.server), &again, &s.err));
    test_assert_bytes(atls_binder_bytes(&again.binder), atls_binder_bytes(&want));
    REFUSED(&s, atls_intra_proof(s.server, key_of(&s.p.client), &again, &s.err), ATLS_REASON_NONE);
    atls_buf_clear(&client);
    atls_buf_clear(&server);
    clear(&s);
}

/* A server with an attester that nobody asks, and that asks for nothing. */
static void a_client_that_does_not_know_the_extension(void **state)
{
    (void)state;
    for (int required = 0; required < 3; required++) {
        struct shake s;

        init(&s);
        s.p.server.options.require_self = required == 1;
        s.p.server.requires = required == 2;
        start(&s);
        both_see(&s, test_client_hello(1), true);
        if (required != 0) {
            REFUSED(&s, atls_intra_check_choice(s.server, &s.err),
                    ATLS_REASON_ATTESTATION_REQUIRED);
            assert_int_equal(atls_intra_alert(&s.err), 49);
        } else {
            OK(&s, atls_intra_check_choice(s.server, &s.err));
            both_see(&s, test_server_hello(3, s.suite), false);
            assert_null(out(&s, s.server, ATLS_INTRA_EE).ptr);
            assert_null(out(&s, s.server, ATLS_INTRA_CR).ptr);
            assert_null(out(&s, s.server, ATLS_INTRA_CT).ptr);
            OK(&s, atls_intra_finish(s.server, &good, &s.err));
        }
        clear(&s);
    }
}

/* ---- the server's choice ---- */

#define FAKE_TYPE "application/vnd.libatls.evidence+cbor; technology=fake; profile=kat-bundle"
#define UNKNOWN   "\x00\x00\x01\x07" /* content-format 263 */

static enum atls_code offer(struct shake *s, const char *server, const char *client)
{
    struct atls_writer w = atls_writer_init(1024);
    struct atls_early_scheme fake = {.kind = ATLS_EARLY_MEDIA_TYPE,
                                     .text = atls_bytes_of(FAKE_TYPE, strlen(FAKE_TYPE))};
    struct atls_early_scheme unknown = {.kind = ATLS_EARLY_CONTENT_FORMAT, .content_format = 263};
    struct atls_early_scheme result = {.kind = ATLS_EARLY_RESULT, .text = atls_bytes_of("fake", 4)};
    const char *const vectors[] = {server, client};
    enum atls_code code;

    for (size_t i = 0; i < 2; i++) {
        struct atls_mark mark = atls_open_vec(&w, 0xffff);

        for (const char *c = vectors[i]; *c != '\0'; c++)
            atls_early_scheme_put(&w, *c == 'f' ? &fake : *c == 'r' ? &result : &unknown);
        atls_close_vec(&w, mark);
    }
    assert_int_equal(w.failed, ATLS_OK);
    both_see(s, test_client_hello(1), true);
    code = in(s, s->server, ATLS_INTRA_CH, atls_writer_bytes(&w));
    atls_writer_clear(&w);
    return code;
}

static void what_the_server_chooses(void **state)
{
    static const struct {
        const char *name;
        bool attests, requires, require_self;
        const char *server, *client; /* vectors: f is ours, u and r are not */
        bool ee, cr;                 /* both false: refused */
    } rows[] = {
        {"both", true, true, true, "f", "f", true, true},
        {"the first that it knows", true, true, true, "urf", "ruf", true, true},
        {"both vectors empty", true, false, false, "", "", false, false},
        {"nothing in common", true, false, false, "ur", "ur", false, false},
        {"a client that only attests, to a server that only attests", true, false, false, "", "f",
         false, false},
        {"a client that only asks, of a server that only asks", false, true, false, "f", "", false,
         false},
        {"one side only: server's", true, false, false, "f", "f", true, false},
        {"one side only: client's", false, true, false, "f", "f", false, true},
        {"one side only: the client does not ask", true, true, false, "", "f", false, true},
        {"the server's side is required, and not asked for", true, true, true, "", "f", false,
         false},
        {"the server's side is required, and has nothing in common", true, true, true, "ur", "f",
         false, false},
        {"the client's side is required, and not offered", true, true, false, "f", "", false,
         false},
        {"the client's side is required, and has nothing in common", true, true, false, "f", "ur",
         false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const enum atls_code want = rows[i].ee || rows[i].cr ? ATLS_OK : ATLS_E_PROTOCOL;
        struct shake s;
        enum atls_code code;

        init(&s);
        s.p.server.attests = rows[i].attests;
        s.p.server.requires = rows[i].requires;
        s.p.server.options.require_self = rows[i].require_self;
        start(&s);
        code = offer(&s, rows[i].server, rows[i].client);
        if (code != want)
            fail_msg("%s: %s", rows[i].name, s.err.message);
        if (want == ATLS_OK) {
            OK(&s, atls_intra_check_choice(s.server, &s.err));
            both_see(&s, test_server_hello(3, s.suite), false);
            assert_int_equal(out(&s, s.server, ATLS_INTRA_EE).ptr != NULL, rows[i].ee);
            assert_int_equal(out(&s, s.server, ATLS_INTRA_CR).ptr != NULL, rows[i].cr);
        } else {
            assert_int_equal(s.err.reason, ATLS_REASON_UNSUPPORTED_ATTESTATION_SCHEMES);
            assert_int_equal(atls_intra_alert(&s.err), 40);
        }
        clear(&s);
    }
}

static void what_a_client_offers(void **state)
{
    (void)state;
    for (int sides = 0; sides < 3; sides++) {
        struct atls_early_offer offered;
        struct atls_early_scheme scheme;
        struct shake s;

        init(&s);
        s.p.client.attests = sides != 1; /* without an attester there is no certificate */
        s.p.client.requires = sides != 2;
        start(&s);
        OK(&s, atls_early_offer_decode(out(&s, s.client, ATLS_INTRA_CH), &offered, &s.err));
        assert_int_equal(offered.client.len != 0, s.p.client.attests);
        assert_int_equal(offered.server.len != 0, s.p.client.requires);
        if (s.p.client.attests) {
            assert_true(atls_early_next(&offered.client, &scheme));
            test_assert_bytes(scheme.text, atls_bytes_of(FAKE_TYPE, strlen(FAKE_TYPE)));
            assert_int_equal(offered.client.len, 0);
        }
        clear(&s);
    }
}

/* ---- the client's rules ---- */

static void choices_that_were_not_offered(void **state)
{
    static const struct atls_bytes unknown = HEX(UNKNOWN);

    (void)state;
    for (int row = 0; row < 4; row++) {
        const enum atls_intra_place place = row % 2 == 0 ? ATLS_INTRA_EE : ATLS_INTRA_CR;
        struct atls_bytes chosen = unknown;
        struct shake s;

        init(&s);
        if (row >= 2) { /* a scheme that was offered for the other side only */
            s.p.client.requires = place == ATLS_INTRA_CR;
            s.p.client.attests = place == ATLS_INTRA_EE;
        }
        start(&s);
        both_see(&s, test_client_hello(1), true);
        both_see(&s, test_server_hello(3, s.suite), false);
        if (row >= 2) {
            struct atls_early_offer offered;
            struct atls_early_scheme scheme;

            OK(&s, atls_early_offer_decode(out(&s, s.client, ATLS_INTRA_CH), &offered, &s.err));
            if (!atls_early_next(place == ATLS_INTRA_EE ? &offered.client : &offered.server,
                                 &scheme))
                abort();
            chosen = scheme.whole;
        }
        REFUSED(&s, in(&s, s.client, place, chosen), ATLS_REASON_SCHEME_NOT_OFFERED);
        assert_int_equal(atls_intra_alert(&s.err), 47);
        clear(&s);
    }
}

static void choices_that_are_malformed(void **state)
{
    (void)state;
    for (int row = 0; row < 3; row++) {
        struct atls_bytes chosen;
        struct shake s;
        uint8_t twice[256];

        init(&s);
        start(&s);
        hellos(&s);
        chosen = out(&s, s.server, ATLS_INTRA_EE);
        memcpy(twice, chosen.ptr, chosen.len);
        memcpy(twice + chosen.len, chosen.ptr, chosen.len);
        chosen = atls_bytes_of(twice, row == 0   ? chosen.len - 1
                                      : row == 1 ? chosen.len + 1
                                                 : 2 * chosen.len); /* two schemes */
        REFUSED(&s, in(&s, s.client, row == 1 ? ATLS_INTRA_CR : ATLS_INTRA_EE, chosen),
                ATLS_REASON_MALFORMED);
        assert_int_equal(atls_intra_alert(&s.err), 50);
        clear(&s);
    }
}

/* A side that one end requires and the other does not choose. */
static void sides_that_were_left_out(void **state)
{
    (void)state;
    for (int row = 0; row < 9; row++) {
        const int left_out = row % 3; /* EE, CR, both */
        const int when = row / 3;     /* asked, Certificate, handshake done */
        struct atls_bytes data;
        struct shake s;

        init(&s);
        s.p.client.requires = left_out != 1;
        s.p.client.options.require_self = left_out != 0;
        if (left_out == 2) /* neither is required, and neither came */
        s.p.client.requires = s.p.client.options.require_self = false;
        start(&s);
        both_see(&s, test_client_hello(1), true);
        both_see(&s, test_server_hello(3, s.suite), false);
        if (left_out == 0) {
            struct atls_early_offer offered;

            OK(&s, atls_early_offer_decode(out(&s, s.client, ATLS_INTRA_CH), &offered, &s.err));
            OK(&s, in(&s, s.client, ATLS_INTRA_CR, offered.client));
        }
        if (when == 0)
            REFUSED(&s, atls_intra_check_choice(s.client, &s.err),
                    ATLS_REASON_ATTESTATION_REQUIRED);
        else if (when == 1)
            REFUSED(&s, atls_intra_extension_out(s.client, ATLS_INTRA_CT, 0, &data, &s.err),
                    ATLS_REASON_ATTESTATION_REQUIRED);
        else
            REFUSED(&s, atls_intra_finish(s.client, &good, &s.err),
                    ATLS_REASON_ATTESTATION_REQUIRED);
        assert_int_equal(atls_intra_alert(&s.err), 49);
        clear(&s);
    }
}

/* EE chose, CR did not, which the client requires: seen when the server's Certificate comes. */
static void a_side_left_out_is_seen_with_the_certificate(void **state)
{
    struct shake s;

    (void)state;
    init(&s);
    s.p.client.options.require_self = true;
    s.p.server.requires = false;
    start(&s);
    hellos(&s);
    pass(&s, ATLS_INTRA_EE);
    assert_null(out(&s, s.server, ATLS_INTRA_CR).ptr);
    prove(&s, &s.p.server, s.server);
    REFUSED(&s, in(&s, s.client, ATLS_INTRA_CT, out(&s, s.server, ATLS_INTRA_CT)),
            ATLS_REASON_ATTESTATION_REQUIRED);
    clear(&s);
}

/* ---- places ---- */

static void extensions_that_come_twice_or_out_of_order(void **state)
{
    struct shake s;

    (void)state;
    for (int row = 0; row < 5; row++) {
        init(&s);
        start(&s);
        choices(&s);
        switch (row) {
        case 0:
            REFUSED(&s, in(&s, s.client, ATLS_INTRA_EE, out(&s, s.server, ATLS_INTRA_EE)),
                    ATLS_REASON_EXTENSION_MISPLACED);
            break;
        case 1:
            REFUSED(&s, in(&s, s.client, ATLS_INTRA_CR, out(&s, s.server, ATLS_INTRA_CR)),
                    ATLS_REASON_EXTENSION_MISPLACED);
            break;
        case 2:
        case 3:
            attest(&s, &s.p.server, s.server, s.client);
            REFUSED(&s,
                    in(&s, s.client, row == 2 ? ATLS_INTRA_CT : ATLS_INTRA_CR,
                       out(&s, s.server, row == 2 ? ATLS_INTRA_CT : ATLS_INTRA_CR)),
                    ATLS_REASON_EXTENSION_MISPLACED);
            break;
        default: /* a second CertificateRequest, after the handshake */
            attest(&s, &s.p.server, s.server, s.client);
            attest(&s, &s.p.client, s.client, s.server);
            OK(&s, atls_intra_finish(s.client, &good, &s.err));
            REFUSED(&s, in(&s, s.client, ATLS_INTRA_CR, out(&s, s.server, ATLS_INTRA_CR)),
                    ATLS_REASON_EXTENSION_MISPLACED);
            assert_false(atls_intra_is_finished(s.client));
            break;
        }
        assert_int_equal(atls_intra_alert(&s.err), 47);
        clear(&s);
    }
}

static void messages_that_are_not_of_the_peer(void **state)
{
    static const struct {
        bool client; /* who receives */
        enum atls_intra_place place;
    } rows[] = {{true, ATLS_INTRA_CH},
                {false, ATLS_INTRA_EE},
                {false, ATLS_INTRA_CR},
                {true, (enum atls_intra_place)0},
                {false, (enum atls_intra_place)5}};
    static const struct atls_bytes data = HEX("\x00\x00\x00\x00");

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_bytes none = {NULL, 0};
        struct shake s;

        init(&s);
        start(&s);
        choices(&s);
        REFUSED(&s, in(&s, rows[i].client ? s.client : s.server, rows[i].place, data),
                ATLS_REASON_EXTENSION_MISPLACED);
        /* what the one may not receive the other may not send */
        test_assert_code(atls_intra_extension_out(rows[i].client ? s.server : s.client,
                                                  rows[i].place, 0, &none, &s.err),
                         ATLS_E_USAGE, &s.err);
        clear(&s);
    }
}

static void certificates_without_a_choice(void **state)
{
    static const struct atls_bytes cmw = HEX("\x00\x00\x01\xaa");
    struct shake s;

    (void)state;
    init(&s); /* the server's Certificate, without EncryptedExtensions */
    start(&s);
    hellos(&s);
    pass(&s, ATLS_INTRA_CR);
    REFUSED(&s, in(&s, s.client, ATLS_INTRA_CT, cmw), ATLS_REASON_EXTENSION_NOT_OFFERED);
    assert_int_equal(atls_intra_alert(&s.err), 110);
    clear(&s);

    init(&s); /* the client's, without CertificateRequest */
    s.p.server.requires = false;
    start(&s);
    hellos(&s);
    REFUSED(&s, in(&s, s.server, ATLS_INTRA_CT, cmw), ATLS_REASON_EXTENSION_NOT_OFFERED);
    assert_int_equal(atls_intra_alert(&s.err), 110);
    clear(&s);
}

static void later_entries_of_a_certificate(void **state)
{
    (void)state;
    for (int after_first = 0; after_first < 2; after_first++) {
        struct atls_bytes data;
        struct shake s;

        init(&s);
        start(&s);
        choices(&s);
        prove(&s, &s.p.server, s.server);
        OK(&s, atls_intra_extension_out(s.server, ATLS_INTRA_CT, 1, &data, &s.err));
        assert_null(data.ptr);
        data = out(&s, s.server, ATLS_INTRA_CT);
        if (after_first)
            OK(&s, in(&s, s.client, ATLS_INTRA_CT, data));
        REFUSED(&s, atls_intra_extension_in(s.client, ATLS_INTRA_CT, 1, data, &s.err),
                ATLS_REASON_EXTENSION_MISPLACED);
        assert_int_equal(atls_intra_alert(&s.err), 47);
        clear(&s);
    }
}

static void before_server_hello(void **state)
{
    static const enum atls_intra_place places[] = {ATLS_INTRA_EE, ATLS_INTRA_CR, ATLS_INTRA_CT};
    struct atls_proof proof;
    struct shake s;

    (void)state;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct atls_bytes data;

        init(&s);
        start(&s);
        client_hellos(&s);
        REFUSED(&s, in(&s, s.client, places[i], atls_bytes_of(UNKNOWN, 4)),
                ATLS_REASON_EXTENSION_MISPLACED);
        REFUSED(&s, atls_intra_extension_out(s.server, places[i], 0, &data, &s.err),
                ATLS_REASON_TRANSCRIPT);
        clear(&s);
    }
    init(&s);
    start(&s);
    client_hellos(&s);
    REFUSED(&s, atls_intra_proof(s.server, key_of(&s.p.server), &proof, &s.err),
            ATLS_REASON_TRANSCRIPT);
    clear(&s);
}

static void client_hellos_that_come_again(void **state)
{
    struct atls_bytes first, changed;
    struct shake s;
    uint8_t copy[1024];

    (void)state;
    for (int row = 0; row < 6; row++) {
        init(&s);
        s.retry = row == 4;
        start(&s);
        first = out(&s, s.client, ATLS_INTRA_CH);
        memcpy(copy, first.ptr, first.len);
        changed = atls_bytes_of(copy, first.len);
        both_see(&s, test_client_hello(1), true);
        if (row != 2)
            OK(&s, in(&s, s.server, ATLS_INTRA_CH, first));
        if (row != 0 && row != 5)
            both_see(&s, test_retry_request(s.suite), false);
        if (row == 4) {
            both_see(&s, test_client_hello(2), true);
            OK(&s, in(&s, s.server, ATLS_INTRA_CH, first));
        }
        copy[first.len - 1] ^= row == 1;
        if (row == 3) { /* left out */
            both_see(&s, test_client_hello(2), true);
            OK(&s, atls_intra_check_choice(s.server, &s.err)); /* it may come yet */
            both_see(&s, test_server_hello(3, s.suite), false);
            REFUSED(&s, atls_intra_check_choice(s.server, &s.err), ATLS_REASON_EXTENSION_MISPLACED);
        } else if (row == 5) { /* after ServerHello */
            both_see(&s, test_server_hello(3, s.suite), false);
            REFUSED(&s, in(&s, s.server, ATLS_INTRA_CH, first), ATLS_REASON_EXTENSION_MISPLACED);
        } else { /* 0: no retry; 1: changed; 2: only after it; 4: a third time */
            REFUSED(&s, in(&s, s.server, ATLS_INTRA_CH, changed), ATLS_REASON_EXTENSION_MISPLACED);
        }
        assert_int_equal(atls_intra_alert(&s.err), 47);
        clear(&s);
    }
}

/* ---- CMWs ---- */

static void cmws_that_are_malformed(void **state)
{
    static const struct atls_bytes rows[] = {HEX(""), HEX("\x00\x00\x00"), HEX("\x00\x00\x02\xaa"),
                                             HEX("\x00\x00\x01\xaa\xbb")};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct shake s;

        init(&s);
        start(&s);
        choices(&s);
        REFUSED(&s, in(&s, s.client, ATLS_INTRA_CT, rows[i]), ATLS_REASON_MALFORMED);
        clear(&s);
    }
}

/* A client that takes evidence of "soft" in one profile, and what a server sends instead. */
static void cmws_of_another_scheme(void **state)
{
    static const char *const soft[] = {"soft", NULL};
    static const struct {
        const char *taken, *sent;
        enum atls_reason reason;
    } rows[] = {
        {"kat-bundle", "kat-bundle", ATLS_REASON_NONE},
        {"kat-batch", "kat-batch", ATLS_REASON_NONE},
        {"bare", "bare", ATLS_REASON_NONE},
        {"kat-bundle", "bare", ATLS_REASON_SCHEME_MISMATCH},
        {"kat-bundle", "kat-batch", ATLS_REASON_SCHEME_MISMATCH},
        {"kat-batch", "kat-bundle", ATLS_REASON_SCHEME_MISMATCH},
        {"bare", "kat-bundle", ATLS_REASON_SCHEME_MISMATCH},
        {"kat-bundle", "unknown", ATLS_REASON_SCHEME_MISMATCH},
        {"kat-bundle", "garbage", ATLS_REASON_MALFORMED},
        {"result", "kat-bundle", ATLS_REASON_SCHEME_MISMATCH},
        {"result", "unknown", ATLS_REASON_NONE}, /* is for the Verifier to judge */
        {"fake", "kat-bundle", ATLS_REASON_SCHEME_MISMATCH},
        {"fake", "unknown", ATLS_REASON_NONE},
    };
    static const struct atls_bytes garbage = HEX("\x81");
    struct atls_private_key *key;
    const uint8_t value[64] = {1};
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf kat, token;

    (void)state;
    test_assert_code(atls_private_key_generate(ATLS_KEY_P256, &key, &err), ATLS_OK, &err);
    kat = test_kat(atls_bytes_of(value, 32), atls_key_spki(atls_private_key_public(key)));
    token = test_soft_token(key, atls_bytes_of(value, 64));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *const profiles[] = {rows[i].taken, NULL};
        struct atls_buf cmw = ATLS_BUF_INIT;
        struct atls_early_offer offered;
        struct atls_early_scheme scheme;
        struct atls_writer w = atls_writer_init(1 << 16);
        enum atls_code code;
        struct shake s;

        init(&s);
        if (strcmp(rows[i].taken, "result") == 0) {
            s.p.client.verifier.takes_results = true;
            s.p.client.options.accepted_verifier = "verifier.example";
        } else if (strcmp(rows[i].taken, "fake") != 0) {
            s.p.client.options.evidence_types = soft;
            s.p.client.options.profiles = profiles;
        }
        start(&s);
        both_see(&s, test_client_hello(1), true);
        both_see(&s, test_server_hello(3, s.suite), false);
        OK(&s, atls_early_offer_decode(out(&s, s.client, ATLS_INTRA_CH), &offered, &s.err));
        if (!atls_early_next(&offered.server, &scheme))
            abort();
        if (strcmp(rows[i].taken, "fake") == 0) /* after kat-batch */
            assert_true(atls_early_next(&offered.server, &scheme));
        OK(&s, in(&s, s.client, ATLS_INTRA_EE, scheme.whole));

        if (strcmp(rows[i].sent, "kat-bundle") == 0)
            cmw = test_bundle(ATLS_TYPE_KAT, atls_buf_bytes(&kat), ATLS_TYPE_SOFT,
                              atls_buf_bytes(&token));
        else if (strcmp(rows[i].sent, "kat-batch") == 0)
            cmw = test_bundle(ATLS_TYPE_KAT_BATCH, atls_buf_bytes(&kat), ATLS_TYPE_SOFT,
                              atls_buf_bytes(&token));
        else if (strcmp(rows[i].sent, "garbage") == 0)
            OK(&s, atls_buf_copy(&cmw, garbage, &s.err));
        else {
            const struct atls_cmw record =
                atls_cmw_record(strcmp(rows[i].sent, "bare") == 0 ? ATLS_TYPE_SOFT : "text/plain",
                                atls_buf_bytes(&token), 0);

            OK(&s, atls_cmw_encode(&record, &w, &s.err));
            OK(&s, atls_writer_finish(&w, &cmw, &s.err));
        }
        atls_early_cmw_put(&w, atls_buf_bytes(&cmw));
        code = in(&s, s.client, ATLS_INTRA_CT, atls_writer_bytes(&w));
        if ((code == ATLS_OK) != (rows[i].reason == ATLS_REASON_NONE) ||
            (code != ATLS_OK && s.err.reason != rows[i].reason))
            fail_msg("%s taken, %s sent: %s", rows[i].taken, rows[i].sent, s.err.message);
        if (code != ATLS_OK)
            assert_int_equal(atls_intra_alert(&s.err), 42);
        atls_writer_clear(&w);
        atls_buf_clear(&cmw);
        clear(&s);
    }
    atls_buf_clear(&kat);
    atls_buf_clear(&token);
    atls_private_key_free(key);
}

/* Our own CMW: nobody else to blame, so the alert is internal_error. */
static void own_cmws(void **state)
{
    uint8_t *large = calloc(1, ATLS_EARLY_CMW_MAX + 1);
    struct atls_proof proof;
    struct atls_bytes data;
    struct shake s;

    (void)state;
    if (large == NULL)
        abort();
    for (int row = 0; row < 6; row++) {
        const size_t len = row == 0 ? 0 : row == 1 ? ATLS_EARLY_CMW_MAX + 1 : ATLS_EARLY_CMW_MAX;

        init(&s);
        start(&s);
        choices(&s);
        if (row != 3)
            OK(&s, atls_intra_proof(s.server, key_of(&s.p.server), &proof, &s.err));
        switch (row) {
        case 0: /* empty */
        case 1: /* too large */
            test_assert_code(atls_intra_set_own_cmw(s.server, atls_bytes_of(large, len), &s.err),
                             ATLS_E_LIMIT, &s.err);
            break;
        case 2: /* the largest, and then a second one */
            OK(&s, atls_intra_set_own_cmw(s.server, atls_bytes_of(large, len), &s.err));
            data = out(&s, s.server, ATLS_INTRA_CT);
            assert_int_equal(data.len, 3 + ATLS_EARLY_CMW_MAX);
            OK(&s, in(&s, s.client, ATLS_INTRA_CT, data));
            test_assert_code(atls_intra_set_own_cmw(s.server, atls_bytes_of(large, len), &s.err),
                             ATLS_E_USAGE, &s.err);
            break;
        case 3: /* without a proof */
            test_assert_code(atls_intra_set_own_cmw(s.server, atls_bytes_of(large, len), &s.err),
                             ATLS_E_USAGE, &s.err);
            break;
        case 4: /* none */
            test_assert_code(atls_intra_extension_out(s.server, ATLS_INTRA_CT, 0, &data, &s.err),
                             ATLS_E_USAGE, &s.err);
            break;
        default: /* evidence of a technology that was not negotiated */ {
            struct atls_private_key *key;
            struct atls_buf kat, token, cmw;

            OK(&s, atls_private_key_generate(ATLS_KEY_P256, &key, &s.err));
            kat = test_kat(atls_binder_bytes(&proof.binder), key_of(&s.p.server));
            token = test_soft_token(key, atls_bytes_of(large, 64));
            cmw = test_bundle(ATLS_TYPE_KAT, atls_buf_bytes(&kat), ATLS_TYPE_SOFT,
                              atls_buf_bytes(&token));
            REFUSED(&s, atls_intra_set_own_cmw(s.server, atls_buf_bytes(&cmw), &s.err),
                    ATLS_REASON_SCHEME_MISMATCH);
            assert_int_equal(s.err.code, ATLS_E_INTERNAL);
            atls_buf_clear(&kat);
            atls_buf_clear(&token);
            atls_buf_clear(&cmw);
            atls_private_key_free(key);
            break;
        }
        }
        assert_int_equal(atls_intra_alert(&s.err), 80);
        clear(&s);
    }
    free(large);
}

/* ---- binders and verdicts ---- */

static void equal_keys(void **state)
{
    (void)state;
    for (int server = 0; server < 2; server++) {
        struct atls_judgement judgement;
        struct atls_proof proof;
        struct shake s;

        init(&s);
        start(&s);
        choices(&s);
        prove(&s, &s.p.server, s.server);
        OK(&s, in(&s, s.client, ATLS_INTRA_CT, out(&s, s.server, ATLS_INTRA_CT)));
        OK(&s, atls_intra_judgement(s.client, key_of(&s.p.server), &judgement, &s.err));
        if (server) { /* a peer that shows our own key */
            OK(&s, in(&s, s.server, ATLS_INTRA_CT, out(&s, s.server, ATLS_INTRA_CT)));
            REFUSED(&s, atls_intra_judgement(s.server, key_of(&s.p.server), &judgement, &s.err),
                    ATLS_REASON_EQUAL_KEYS);
        } else {
            REFUSED(&s, atls_intra_proof(s.client, key_of(&s.p.server), &proof, &s.err),
                    ATLS_REASON_EQUAL_KEYS);
        }
        assert_int_equal(atls_intra_alert(&s.err), 42);
        clear(&s);
    }
}

static void secrets(void **state)
{
    static const uint8_t zeros[64];
    struct atls_proof proof;
    struct shake s;

    (void)state;
    for (int row = 0; row < 6; row++) {
        uint8_t other[32] = {1};

        init(&s);
        s.p.client.options.secret_binder = s.p.server.options.secret_binder = row != 0;
        start(&s);
        choices(&s);
        switch (row) {
        case 0: /* not asked for */
            REFUSED(&s, atls_intra_set_secret(s.server, atls_bytes_of(zeros, 32), &s.err),
                    ATLS_REASON_NONE);
            break;
        case 1: /* asked for and not there */
            REFUSED(&s, atls_intra_proof(s.server, key_of(&s.p.server), &proof, &s.err),
                    ATLS_REASON_BINDER_MISSING);
            break;
        case 2:
        case 3: /* no digest's length, or that of another hash */
            if (row == 2)
                REFUSED(&s, atls_intra_set_secret(s.server, atls_bytes_of(zeros, 64), &s.err),
                        ATLS_REASON_NONE);
            else {
                OK(&s, atls_intra_set_secret(s.server, atls_bytes_of(zeros, 48), &s.err));
                REFUSED(&s, atls_intra_proof(s.server, key_of(&s.p.server), &proof, &s.err),
                        ATLS_REASON_NONE);
            }
            break;
        case 4: /* another one */
            OK(&s, atls_intra_set_secret(s.server, atls_bytes_of(zeros, 32), &s.err));
            REFUSED(&s, atls_intra_set_secret(s.server, atls_bytes_of(other, 32), &s.err),
                    ATLS_REASON_NONE);
            break;
        default: /* another one at the other end: the evidence does not answer */ {
            struct atls_judgement judgement;

            OK(&s, atls_intra_set_secret(s.server, atls_bytes_of(zeros, 32), &s.err));
            OK(&s, atls_intra_set_secret(s.client, atls_bytes_of(other, 32), &s.err));
            prove(&s, &s.p.server, s.server);
            OK(&s, atls_intra_proof(s.server, key_of(&s.p.server), &proof, &s.err));
            OK(&s, in(&s, s.client, ATLS_INTRA_CT, out(&s, s.server, ATLS_INTRA_CT)));
            OK(&s, atls_intra_judgement(s.client, key_of(&s.p.server), &judgement, &s.err));
            assert_memory_not_equal(judgement.binder.ptr, proof.binder.data, 32);
            break;
        }
        }
        clear(&s);
    }
}

static void proofs_and_judgements_that_nobody_asked_for(void **state)
{
    static const struct atls_bytes none = {NULL, 0};
    struct atls_judgement judgement;
    struct atls_proof proof;
    struct shake s;

    (void)state;
    for (int row = 0; row < 5; row++) {
        init(&s);
        s.p.server.requires = row != 0;
        s.p.server.attests = row != 1;
        s.p.client.requires = row != 1;
        start(&s);
        hellos(&s);
        pass(&s, ATLS_INTRA_EE);
        pass(&s, ATLS_INTRA_CR);
        switch (row) {
        case 0:
            test_assert_code(
                atls_intra_judgement(s.server, key_of(&s.p.client), &judgement, &s.err),
                ATLS_E_USAGE, &s.err);
            break;
        case 1:
            test_assert_code(atls_intra_proof(s.server, key_of(&s.p.client), &proof, &s.err),
                             ATLS_E_USAGE, &s.err);
            break;
        case 2: /* no key */
            test_assert_code(atls_intra_proof(s.server, none, &proof, &s.err), ATLS_E_USAGE,
                             &s.err);
            break;
        case 3: /* no CMW */
            REFUSED(&s, atls_intra_judgement(s.server, key_of(&s.p.client), &judgement, &s.err),
                    ATLS_REASON_NOT_ATTESTED);
            assert_int_equal(atls_intra_alert(&s.err), 109);
            break;
        default: /* a verdict without a judgement */
            test_assert_code(atls_intra_set_judged(s.server, "fake", &s.err), ATLS_E_USAGE, &s.err);
            break;
        }
        clear(&s);
    }
}

static void a_verdict_about_another_technology(void **state)
{
    struct shake s;

    (void)state;
    init(&s);
    start(&s);
    choices(&s);
    prove(&s, &s.p.server, s.server);
    OK(&s, in(&s, s.client, ATLS_INTRA_CT, out(&s, s.server, ATLS_INTRA_CT)));
    REFUSED(&s, judge(&s, &s.p.server, s.client, "other"), ATLS_REASON_SCHEME_MISMATCH);
    assert_int_equal(atls_intra_alert(&s.err), 42);
    assert_false(atls_intra_judges(s.client));
    clear(&s);
}

/* ---- post-conditions ---- */

static void facts_of_the_tls_library(void **state)
{
    static const struct {
        struct atls_intra_facts facts;
        enum atls_reason reason;
    } rows[] = {
        {{.version = 0x0303}, ATLS_REASON_TLS_VERSION},
        {{.version = 0x0305}, ATLS_REASON_TLS_VERSION},
        {{.version = 0}, ATLS_REASON_TLS_VERSION},
        {{.version = 0x0304, .resumed = true}, ATLS_REASON_TLS_RESUMED},
        {{.version = 0x0304, .early_data = true}, ATLS_REASON_TLS_EARLY_DATA},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct shake s;

        init(&s);
        start(&s);
        run(&s);
        REFUSED(&s, atls_intra_finish(s.client, &rows[i].facts, &s.err), rows[i].reason);
        assert_false(atls_intra_is_finished(s.client));
        /* and it stays so */
        REFUSED(&s, atls_intra_finish(s.client, &good, &s.err), rows[i].reason);
        clear(&s);
    }
}

static void what_is_missing_at_the_end(void **state)
{
    (void)state;
    for (int row = 0; row < 5; row++) {
        struct shake s;

        init(&s);
        start(&s);
        switch (row) {
        case 0: /* no message was seen at all */
            REFUSED(&s, atls_intra_finish(s.client, &good, &s.err), ATLS_REASON_TRANSCRIPT);
            break;
        case 1: /* the peer's CMW did not come */
            choices(&s);
            REFUSED(&s, atls_intra_finish(s.client, &good, &s.err), ATLS_REASON_NOT_ATTESTED);
            break;
        case 2: /* it came, and was not judged */
            choices(&s);
            prove(&s, &s.p.server, s.server);
            OK(&s, in(&s, s.client, ATLS_INTRA_CT, out(&s, s.server, ATLS_INTRA_CT)));
            REFUSED(&s, atls_intra_finish(s.client, &good, &s.err), ATLS_REASON_NOT_ATTESTED);
            break;
        case 3: /* ours was not made */
            choices(&s);
            attest(&s, &s.p.server, s.server, s.client);
            REFUSED(&s, atls_intra_finish(s.client, &good, &s.err), ATLS_REASON_NOT_ATTESTED);
            break;
        default: /* ours was made, and not sent */
            choices(&s);
            attest(&s, &s.p.server, s.server, s.client);
            prove(&s, &s.p.client, s.client);
            REFUSED(&s, atls_intra_finish(s.client, &good, &s.err), ATLS_REASON_NOT_ATTESTED);
            break;
        }
        assert_false(atls_intra_is_finished(s.client));
        clear(&s);
    }
}

/* Callbacks that cannot report a failure lose nothing: every later call gives the first one. */
static void the_first_failure_stays(void **state)
{
    static const struct atls_bytes data = HEX("\x00");
    struct atls_judgement judgement;
    struct atls_proof proof;
    struct atls_bytes none;
    struct shake s;

    (void)state;
    init(&s);
    start(&s);
    choices(&s);
    /* nobody listens */
    assert_int_equal(atls_intra_message(s.client, data, true, NULL), ATLS_E_PROTOCOL);
    REFUSED(&s, atls_intra_message(s.client, data, true, &s.err), ATLS_REASON_TRANSCRIPT);
    atls_err_clear(&s.err);
    REFUSED(&s, in(&s, s.client, ATLS_INTRA_CT, data), ATLS_REASON_TRANSCRIPT);
    atls_err_clear(&s.err);
    REFUSED(&s, atls_intra_extension_out(s.client, ATLS_INTRA_CH, 0, &none, &s.err),
            ATLS_REASON_TRANSCRIPT);
    atls_err_clear(&s.err);
    REFUSED(&s, atls_intra_check_choice(s.client, &s.err), ATLS_REASON_TRANSCRIPT);
    atls_err_clear(&s.err);
    REFUSED(&s, atls_intra_set_secret(s.client, data, &s.err), ATLS_REASON_TRANSCRIPT);
    atls_err_clear(&s.err);
    REFUSED(&s, atls_intra_proof(s.client, data, &proof, &s.err), ATLS_REASON_TRANSCRIPT);
    atls_err_clear(&s.err);
    REFUSED(&s, atls_intra_set_own_cmw(s.client, data, &s.err), ATLS_REASON_TRANSCRIPT);
    atls_err_clear(&s.err);
    REFUSED(&s, atls_intra_judgement(s.client, data, &judgement, &s.err), ATLS_REASON_TRANSCRIPT);
    atls_err_clear(&s.err);
    REFUSED(&s, atls_intra_set_judged(s.client, "fake", &s.err), ATLS_REASON_TRANSCRIPT);
    atls_err_clear(&s.err);
    REFUSED(&s, atls_intra_finish(s.client, &good, &s.err), ATLS_REASON_TRANSCRIPT);
    assert_false(atls_intra_wants_own_cmw(s.client));
    assert_false(atls_intra_judges(s.client));
    assert_false(atls_intra_is_finished(s.client));
    clear(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ends_agree),
        cmocka_unit_test(the_binder),
        cmocka_unit_test(a_client_that_does_not_know_the_extension),
        cmocka_unit_test(what_the_server_chooses),
        cmocka_unit_test(what_a_client_offers),
        cmocka_unit_test(choices_that_were_not_offered),
        cmocka_unit_test(choices_that_are_malformed),
        cmocka_unit_test(sides_that_were_left_out),
        cmocka_unit_test(a_side_left_out_is_seen_with_the_certificate),
        cmocka_unit_test(extensions_that_come_twice_or_out_of_order),
        cmocka_unit_test(messages_that_are_not_of_the_peer),
        cmocka_unit_test(certificates_without_a_choice),
        cmocka_unit_test(later_entries_of_a_certificate),
        cmocka_unit_test(before_server_hello),
        cmocka_unit_test(client_hellos_that_come_again),
        cmocka_unit_test(cmws_that_are_malformed),
        cmocka_unit_test(cmws_of_another_scheme),
        cmocka_unit_test(own_cmws),
        cmocka_unit_test(equal_keys),
        cmocka_unit_test(secrets),
        cmocka_unit_test(proofs_and_judgements_that_nobody_asked_for),
        cmocka_unit_test(a_verdict_about_another_technology),
        cmocka_unit_test(facts_of_the_tls_library),
        cmocka_unit_test(what_is_missing_at_the_end),
        cmocka_unit_test(the_first_failure_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
