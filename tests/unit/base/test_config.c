#include <string.h>

#include "testlib.h"

#include "core/err.h"

#include "fake_attester.h"
#include "flavour/base/config.h"
#include "pki.h"

/* Options that are fine for both roles, to be broken one at a time. */
struct good {
    struct fake_attester fake_attester;
    struct fake_verifier fake_verifier;
    struct atls_config_options options;
    struct test_identity ca;
    struct atls_buf pem;
};

static void good_init(struct good *g)
{
    struct atls_err err = ATLS_ERR_INIT;

    memset(g, 0, sizeof *g);
    atls_config_options_init(&g->options);
    g->options.attester = fake_attester_open(&g->fake_attester);
    g->options.require_peer = true;
    g->options.verifier = fake_verifier_open(&g->fake_verifier);
    test_assert_code(atls_policy_default(&g->options.policy, &err), ATLS_OK, &err);
    g->options.identity = ATLS_IDENTITY_PKIX;
    g->ca = test_ca("config test");
    test_assert_code(
        atls_pem_encode("CERTIFICATE", atls_buf_bytes(&g->ca.certificate), &g->pem, &err), ATLS_OK,
        &err);
    g->options.anchors = atls_buf_bytes(&g->pem);
}

static void no_attester(struct atls_config_options *o)
{
    o->attester = NULL;
}

static void nothing(struct atls_config_options *o)
{
    o->attester = NULL;
    o->require_peer = false;
}

static void self_without_attester(struct atls_config_options *o)
{
    o->attester = NULL;
    o->require_self = true;
}

static void attester_only(struct atls_config_options *o)
{
    struct atls_attester *attester = o->attester;

    atls_config_options_init(o);
    o->attester = attester;
    o->require_self = true;
}

static void no_verifier(struct atls_config_options *o)
{
    o->verifier = NULL;
}

static void no_policy(struct atls_config_options *o)
{
    o->policy = NULL;
}

static void no_identity(struct atls_config_options *o)
{
    o->identity = ATLS_IDENTITY_NONE;
}

static void unknown_identity(struct atls_config_options *o)
{
    o->identity = (enum atls_identity)9;
}

static void no_anchors(struct atls_config_options *o)
{
    o->anchors = atls_bytes_of(NULL, 0);
}

static void system_anchors(struct atls_config_options *o)
{
    o->anchors = atls_bytes_of(NULL, 0);
    o->system_anchors = true;
}

static void anchors_that_are_none(struct atls_config_options *o)
{
    o->anchors = atls_bytes_of("no PEM", 6);
}

static void same_key(struct atls_config_options *o)
{
    o->identity = ATLS_IDENTITY_SAME_KEY;
    o->anchors = atls_bytes_of(NULL, 0);
}

static void attested(struct atls_config_options *o)
{
    o->identity = ATLS_IDENTITY_ATTESTED;
    o->anchors = atls_bytes_of(NULL, 0);
}

static void attested_with_anchors(struct atls_config_options *o)
{
    o->identity = ATLS_IDENTITY_ATTESTED;
}

static struct atls_buf crl_pem;

static void make_crl(void)
{
    struct test_identity ca = test_ca("config test");
    struct atls_buf der = test_crl(&ca, NULL, TEST_TIME_S - 1, TEST_TIME_S + 1);

    assert_int_equal(atls_pem_encode("X509 CRL", atls_buf_bytes(&der), &crl_pem, NULL), ATLS_OK);
    atls_buf_clear(&der);
    test_identity_clear(&ca);
}

static void lists(struct atls_config_options *o)
{
    o->crls = atls_buf_bytes(&crl_pem);
}

static void lists_that_are_none(struct atls_config_options *o)
{
    o->crls = o->anchors;
}

static void attested_with_lists(struct atls_config_options *o)
{
    attested(o);
    lists(o);
}

/* Where the caller's header ends, what lies behind is not looked at. */
static void lists_of_nobody(struct atls_config_options *o)
{
    lists_that_are_none(o);
    o->size = offsetof(struct atls_config_options, crls);
}

static const char *const bare_profile[] = {"bare", NULL};
static const char *const no_profile[] = {NULL};
static const char *const unknown_profile[] = {"kat-bundle", "kat", NULL};

static void profiles(struct atls_config_options *o)
{
    o->profiles = bare_profile;
}

static void profiles_empty(struct atls_config_options *o)
{
    o->profiles = no_profile;
}

static void profiles_unknown(struct atls_config_options *o)
{
    o->profiles = unknown_profile;
}

static void profiles_of_nobody(struct atls_config_options *o)
{
    attester_only(o);
    o->require_self = false;
    o->profiles = bare_profile;
}

static void raw_interval(struct atls_config_options *o)
{
    o->raw = true;
    o->reattest_interval_s = 60;
}

static void raw(struct atls_config_options *o)
{
    o->raw = true;
}

static void interval_alone(struct atls_config_options *o)
{
    attester_only(o);
    o->reattest_interval_s = 60;
}

static void optional_for_nobody(struct atls_config_options *o)
{
    attester_only(o);
    o->peer_optional = true;
}

static void optional_peer(struct atls_config_options *o)
{
    o->peer_optional = true;
}

static void unknown_on_failure(struct atls_config_options *o)
{
    o->on_failure = (enum atls_on_failure)2;
}

static void no_gate_timeout(struct atls_config_options *o)
{
    o->gate_timeout_ms = 0;
}

static void no_answer_timeout(struct atls_config_options *o)
{
    o->answer_timeout_ms = 0;
}

static void no_requests(struct atls_config_options *o)
{
    o->peer_requests_per_minute = 0;
}

static void none_outstanding(struct atls_config_options *o)
{
    o->peer_requests_outstanding = 0;
}

static void most_outstanding(struct atls_config_options *o)
{
    o->peer_requests_outstanding = 64;
}

static void too_many_outstanding(struct atls_config_options *o)
{
    o->peer_requests_outstanding = 65;
}

static void no_frames(struct atls_config_options *o)
{
    o->frames_before_gate = 0;
}

static void no_bytes(struct atls_config_options *o)
{
    o->bytes_before_gate = 0;
}

static void no_types(struct atls_config_options *o)
{
    static const char *const types[] = {NULL};

    o->evidence_types = types;
}

static void empty_type(struct atls_config_options *o)
{
    static const char *const types[] = {"tpm", "", NULL};

    o->evidence_types = types;
}

static char long_name[300];

static void long_type(struct atls_config_options *o)
{
    static const char *const types[] = {long_name, NULL};

    memset(long_name, 'a', 256);
    o->evidence_types = types;
}

static void long_protocol(struct atls_config_options *o)
{
    static const char *const names[] = {long_name, NULL};

    memset(long_name, 'a', 256);
    o->inner_protocols = names;
}

static void longest_protocol(struct atls_config_options *o)
{
    static const char *const names[] = {long_name, NULL};

    memset(long_name, 'a', 255);
    long_name[255] = '\0';
    o->inner_protocols = names;
}

static void too_many_protocols(struct atls_config_options *o)
{
    static const char *names[40];

    memset(long_name, 'a', 255);
    long_name[255] = '\0';
    for (size_t i = 0; i < 39; i++)
        names[i] = long_name;
    o->inner_protocols = names;
}

static enum atls_code no_result(void *self, struct atls_bytes binder, struct atls_buf *out_cmw,
                                struct atls_err *err)
{
    (void)self;
    (void)binder;
    (void)out_cmw;
    return atls_fail(err, ATLS_E_IO, "none");
}

static void close_nothing(void *self)
{
    (void)self;
}

static const struct atls_passport_ops passport_ops = {close_nothing, no_result};
static struct atls_passport *passport; /* made and cleared with the rest of the material */

static void with_passport(struct atls_config_options *o)
{
    o->passport = passport;
}

static void with_passport_alone(struct atls_config_options *o)
{
    o->passport = passport;
    o->passport_only = true;
}

static void passport_of_nobody(struct atls_config_options *o)
{
    no_attester(o);
    o->passport = passport;
}

static void only_no_passport(struct atls_config_options *o)
{
    o->passport_only = true;
}

static void unknown_flavour(struct atls_config_options *o)
{
    o->flavour = (enum atls_flavour)9;
}

static void intra(struct atls_config_options *o)
{
    o->flavour = ATLS_FLAVOUR_INTRA;
    o->extension_type = 65280;
    o->secret_binder = true;
}

static void intra_renegotiation_info(struct atls_config_options *o)
{
    intra(o);
    o->extension_type = 65281;
}

static void intra_registered_extension(struct atls_config_options *o)
{
    intra(o);
    o->extension_type = 65279;
}

static void intra_raw(struct atls_config_options *o)
{
    intra(o);
    o->raw = true;
}

static void intra_interval(struct atls_config_options *o)
{
    intra(o);
    o->reattest_interval_s = 60;
}

static void intra_gate(struct atls_config_options *o)
{
    intra(o);
    o->on_failure = ATLS_ON_FAILURE_GATE;
}

static void intra_fresh(struct atls_config_options *o)
{
    intra(o);
    o->freshness = ATLS_FRESHNESS_NONCE;
}

static void intra_passport(struct atls_config_options *o)
{
    intra(o);
    o->passport = passport;
    o->passport_verifier = "verifier.example";
}

static void intra_passport_of_whom(struct atls_config_options *o)
{
    intra(o);
    o->passport = passport;
}

static void intra_passport_none(struct atls_config_options *o)
{
    intra(o);
    o->passport_verifier = "verifier.example";
}

static void intra_nameless(struct atls_config_options *o)
{
    intra_passport(o);
    o->passport_verifier = "";
}

static void intra_long(struct atls_config_options *o)
{
    intra_passport(o);
    memset(long_name, 'v', 256);
    o->passport_verifier = long_name;
}

static void intra_evidence_of_whom(struct atls_config_options *o)
{
    intra(o);
    o->accepted_verifier = "verifier.example";
}

static void post_extension(struct atls_config_options *o)
{
    o->extension_type = 65280;
}

static void post_secret(struct atls_config_options *o)
{
    o->secret_binder = true;
}

static void post_verifier(struct atls_config_options *o)
{
    o->passport = passport;
    o->passport_verifier = "verifier.example";
}

static void post_fresh(struct atls_config_options *o)
{
    o->freshness = ATLS_FRESHNESS_NONE;
}

static void pre(struct atls_config_options *o)
{
    o->flavour = ATLS_FLAVOUR_PRE;
}

static void pre_fresh(struct atls_config_options *o)
{
    pre(o);
    o->freshness = ATLS_FRESHNESS_NONCE;
}

static void pre_not_fresh(struct atls_config_options *o)
{
    pre(o);
    o->freshness = ATLS_FRESHNESS_NONE;
}

static void pre_unknown_freshness(struct atls_config_options *o)
{
    pre(o);
    o->freshness = (enum atls_freshness)9;
}

static void pre_forms_of_others(struct atls_config_options *o)
{
    static const char *const profiles[] = {"ra-tls", NULL};

    pre_not_fresh(o);
    o->profiles = profiles;
}

static void post_forms_of_others(struct atls_config_options *o)
{
    pre_forms_of_others(o);
    o->flavour = ATLS_FLAVOUR_POST;
    o->freshness = ATLS_FRESHNESS_UNSAID;
}

static void pre_a_minute(struct atls_config_options *o)
{
    pre_not_fresh(o);
    o->certificate_lifetime_s = 60;
}

static void pre_a_year(struct atls_config_options *o)
{
    pre_not_fresh(o);
    o->certificate_lifetime_s = 366 * 86400;
}

static void pre_too_short(struct atls_config_options *o)
{
    pre_not_fresh(o);
    o->certificate_lifetime_s = 59;
}

static void pre_too_long(struct atls_config_options *o)
{
    pre_not_fresh(o);
    o->certificate_lifetime_s = 366 * 86400 + 1;
}

static void pre_oldest(struct atls_config_options *o)
{
    pre_not_fresh(o);
    o->certificate_max_age_s = ATLS_CERTIFICATE_MAX_AGE_S;
}

static void pre_age_without_end(struct atls_config_options *o)
{
    pre_not_fresh(o);
    o->certificate_max_age_s = UINT32_MAX;
}

static void pre_age_above_the_limit(struct atls_config_options *o)
{
    pre_not_fresh(o);
    o->certificate_max_age_s = ATLS_CERTIFICATE_MAX_AGE_S + 1;
}

static void pre_age_of_what_is_new(struct atls_config_options *o)
{
    pre_oldest(o);
    o->freshness = ATLS_FRESHNESS_NONCE;
}

static void pre_age_of_nobody(struct atls_config_options *o)
{
    attester_only(o);
    pre_oldest(o);
}

static void post_age(struct atls_config_options *o)
{
    o->certificate_max_age_s = 60;
}

static void pre_life_of_nothing(struct atls_config_options *o)
{
    pre_a_minute(o);
    o->attester = NULL;
}

static void post_lifetime(struct atls_config_options *o)
{
    o->certificate_lifetime_s = 60;
}

static void pre_raw(struct atls_config_options *o)
{
    pre_fresh(o);
    o->raw = true;
}

static void size_zero(struct atls_config_options *o)
{
    o->size = 0;
}

static void size_of_the_future(struct atls_config_options *o)
{
    o->size = sizeof *o + 8;
}

static const struct {
    const char *name;
    void (*change)(struct atls_config_options *o);
    enum atls_code want;
    const char *says;
} rows[] = {
    {"relying party only", no_attester, ATLS_OK, ""},
    {"attester only", attester_only, ATLS_OK, ""},
    {"neither", nothing, ATLS_E_CONFIG, "nothing to do"},
    {"require_self without attester", self_without_attester, ATLS_E_CONFIG, "require_self"},
    {"require_peer without verifier", no_verifier, ATLS_E_CONFIG, "verifier"},
    {"require_peer without policy", no_policy, ATLS_E_CONFIG, "policy"},
    {"require_peer without identity", no_identity, ATLS_E_CONFIG, "identity"},
    {"identity that is none", unknown_identity, ATLS_E_CONFIG, "identity"},
    {"pkix without anchors", no_anchors, ATLS_E_CONFIG, "anchors"},
    {"pkix with the system's anchors", system_anchors, ATLS_OK, ""},
    {"anchors that are none", anchors_that_are_none, ATLS_E_DECODE, ""},
    {"same-key", same_key, ATLS_OK, ""},
    {"attested", attested, ATLS_OK, ""},
    {"revocation lists", lists, ATLS_OK, ""},
    {"revocation lists that are none", lists_that_are_none, ATLS_E_DECODE, "X509 CRL"},
    {"revocation lists that nothing would use", attested_with_lists, ATLS_E_CONFIG, "crls"},
    {"a caller that knows no revocation lists", lists_of_nobody, ATLS_OK, ""},
    {"anchors that nothing would use", attested_with_anchors, ATLS_E_CONFIG, "anchors"},
    {"raw", raw, ATLS_OK, ""},
    {"raw with an interval", raw_interval, ATLS_E_CONFIG, "raw"},
    {"profiles", profiles, ATLS_OK, ""},
    {"no profiles", profiles_empty, ATLS_E_CONFIG, "profiles are empty"},
    {"a profile that is none", profiles_unknown, ATLS_E_CONFIG, "\"kat\""},
    {"profiles without require_peer", profiles_of_nobody, ATLS_E_CONFIG, "require_peer"},
    {"an interval without require_peer", interval_alone, ATLS_E_CONFIG, "reattest_interval_s"},
    {"peer_optional without require_peer", optional_for_nobody, ATLS_E_CONFIG, "peer_optional"},
    {"peer_optional", optional_peer, ATLS_OK, ""},
    {"on_failure that is none", unknown_on_failure, ATLS_E_CONFIG, "on_failure"},
    {"no gate_timeout_ms", no_gate_timeout, ATLS_E_CONFIG, "gate_timeout_ms"},
    {"no answer_timeout_ms", no_answer_timeout, ATLS_E_CONFIG, "answer_timeout_ms"},
    {"no peer_requests_per_minute", no_requests, ATLS_E_CONFIG, "peer_requests_per_minute"},
    {"no peer_requests_outstanding", none_outstanding, ATLS_E_CONFIG, "peer_requests_outstanding"},
    {"most peer_requests_outstanding", most_outstanding, ATLS_OK, ""},
    {"too many peer_requests_outstanding", too_many_outstanding, ATLS_E_CONFIG, "at most 64"},
    {"no frames_before_gate", no_frames, ATLS_E_CONFIG, "frames_before_gate"},
    {"no bytes_before_gate", no_bytes, ATLS_E_CONFIG, "bytes_before_gate"},
    {"no evidence types", no_types, ATLS_E_CONFIG, "evidence_types is empty"},
    {"empty evidence type", empty_type, ATLS_E_CONFIG, "evidence_types"},
    {"evidence type of 256 bytes", long_type, ATLS_E_CONFIG, "evidence_types"},
    {"inner protocol of 256 bytes", long_protocol, ATLS_E_CONFIG, "inner_protocols"},
    {"inner protocol of 255 bytes", longest_protocol, ATLS_OK, ""},
    {"too many inner protocols", too_many_protocols, ATLS_E_CONFIG, "inner_protocols"},
    {"a passport beside evidence", with_passport, ATLS_OK, ""},
    {"a passport alone", with_passport_alone, ATLS_OK, ""},
    {"a passport without attester", passport_of_nobody, ATLS_E_CONFIG, "passport"},
    {"passport_only without passport", only_no_passport, ATLS_E_CONFIG, "passport_only"},
    {"flavour that is none", unknown_flavour, ATLS_E_CONFIG, "flavour"},
    {"intra", intra, ATLS_OK, ""},
    {"intra as renegotiation_info", intra_renegotiation_info, ATLS_E_CONFIG, "extension_type"},
    {"intra under a registered number", intra_registered_extension, ATLS_E_CONFIG,
     "extension_type"},
    {"intra without frames to end", intra_raw, ATLS_E_CONFIG, "raw"},
    {"intra that attests again", intra_interval, ATLS_E_CONFIG, "reattest_interval_s"},
    {"intra with a gate to close", intra_gate, ATLS_E_CONFIG, "on_failure"},
    {"intra with a nonce", intra_fresh, ATLS_E_CONFIG, "freshness"},
    {"intra with a passport", intra_passport, ATLS_OK, ""},
    {"intra with a passport of whom?", intra_passport_of_whom, ATLS_E_CONFIG, "passport_verifier"},
    {"intra with a Verifier's name alone", intra_passport_none, ATLS_E_CONFIG, "passport_verifier"},
    {"intra with an empty name", intra_nameless, ATLS_E_CONFIG, "1 to 255"},
    {"intra with a name of 256 bytes", intra_long, ATLS_E_CONFIG, "1 to 255"},
    {"intra with evidence of a Verifier", intra_evidence_of_whom, ATLS_E_CONFIG,
     "accepted_verifier"},
    {"post with an extension", post_extension, ATLS_E_CONFIG, "flavour intra"},
    {"post with a secret binder", post_secret, ATLS_E_CONFIG, "flavour intra"},
    {"post with a Verifier's name", post_verifier, ATLS_E_CONFIG, "flavour intra"},
    {"post with a freshness", post_fresh, ATLS_E_CONFIG, "freshness"},
    {"pre without freshness", pre, ATLS_E_CONFIG, "freshness"},
    {"pre with nonces", pre_fresh, ATLS_OK, ""},
    {"pre without nonces, by name", pre_not_fresh, ATLS_OK, ""},
    {"pre with a freshness that is none", pre_unknown_freshness, ATLS_E_CONFIG, "freshness"},
    {"pre without frames to end", pre_raw, ATLS_E_CONFIG, "raw"},
    {"pre with forms of others", pre_forms_of_others, ATLS_OK, ""},
    {"post with forms of others", post_forms_of_others, ATLS_E_CONFIG, "ra-tls"},
    {"pre, certificates of a minute", pre_a_minute, ATLS_OK, ""},
    {"pre, certificates of a year", pre_a_year, ATLS_OK, ""},
    {"pre, certificates too short", pre_too_short, ATLS_E_CONFIG, "certificate_lifetime_s"},
    {"pre, certificates too long", pre_too_long, ATLS_E_CONFIG, "certificate_lifetime_s"},
    {"pre, certificates of nobody", pre_life_of_nothing, ATLS_E_CONFIG, "certificate_lifetime_s"},
    {"pre, oldest certificates", pre_oldest, ATLS_OK, ""},
    {"pre, age without end", pre_age_without_end, ATLS_E_CONFIG, "certificate_max_age_s"},
    {"pre, age above the limit", pre_age_above_the_limit, ATLS_E_CONFIG, "certificate_max_age_s"},
    {"pre, age with nonces", pre_age_of_what_is_new, ATLS_E_CONFIG, "certificate_max_age_s"},
    {"pre, age of nobody's", pre_age_of_nobody, ATLS_E_CONFIG, "certificate_max_age_s"},
    {"post with an age", post_age, ATLS_E_CONFIG, "certificate_max_age_s"},
    {"post with a lifetime", post_lifetime, ATLS_E_CONFIG, "certificate_lifetime_s"},
    {"options that were not initialised", size_zero, ATLS_E_USAGE, "atls_config_options_init"},
    {"options of a later header", size_of_the_future, ATLS_E_USAGE, "size"},
};

static int make_material(void **state)
{
    (void)state;
    make_crl();
    return atls_passport_new(&passport_ops, NULL, &passport, NULL) == ATLS_OK ? 0 : -1;
}

static int clear_material(void **state)
{
    (void)state;
    atls_buf_clear(&crl_pem);
    atls_passport_unref(passport);
    return 0;
}

static void judges_options(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct good g;
        struct atls_config_options changed;
        struct atls_config *c = NULL;
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code;

        memset(long_name, 0, sizeof long_name);
        good_init(&g);
        changed = g.options;
        rows[i].change(&changed);
        code = atls_config_new(&changed, &c, &err);
        if (code != rows[i].want || strstr(err.message, rows[i].says) == NULL)
            fail_msg("%s: %s: %s", rows[i].name, atls_code_name(code), err.message);
        assert_true((code == ATLS_OK) == (c != NULL));
        atls_config_unref(c);
        atls_attester_unref(g.options.attester);
        atls_verifier_unref(g.options.verifier);
        atls_policy_unref(g.options.policy);
        atls_buf_clear(&g.pem);
        test_identity_clear(&g.ca);
    }
}

/* Results of Verifiers elsewhere: who they are must be said in a handshake, and what echoes a
 * binder needs one that is new. */
static void judges_results_by_flavour(void **state)
{
    static const struct {
        const char *name;
        enum atls_flavour flavour;
        enum atls_freshness freshness;
        bool wants_binder;
        const char *accepted;
        enum atls_code want;
    } cases[] = {
        {"post", ATLS_FLAVOUR_POST, ATLS_FRESHNESS_UNSAID, true, NULL, ATLS_OK},
        {"intra", ATLS_FLAVOUR_INTRA, ATLS_FRESHNESS_UNSAID, false, "v", ATLS_OK},
        {"intra, echo", ATLS_FLAVOUR_INTRA, ATLS_FRESHNESS_UNSAID, true, "v", ATLS_E_CONFIG},
        {"intra, nameless", ATLS_FLAVOUR_INTRA, ATLS_FRESHNESS_UNSAID, false, NULL, ATLS_E_CONFIG},
        {"pre, old", ATLS_FLAVOUR_PRE, ATLS_FRESHNESS_NONE, false, NULL, ATLS_OK},
        {"pre, echo of nothing", ATLS_FLAVOUR_PRE, ATLS_FRESHNESS_NONE, true, NULL, ATLS_E_CONFIG},
        {"pre, echo", ATLS_FLAVOUR_PRE, ATLS_FRESHNESS_NONCE, true, NULL, ATLS_OK},
        {"pre, nonce and no echo", ATLS_FLAVOUR_PRE, ATLS_FRESHNESS_NONCE, false, NULL,
         ATLS_E_CONFIG},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fake_verifier fake = {.takes_results = true, .wants_binder = cases[i].wants_binder};
        struct atls_config_options o;
        struct atls_config *c = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        atls_config_options_init(&o);
        o.require_peer = true;
        o.verifier = fake_verifier_open(&fake);
        test_assert_code(atls_policy_default(&o.policy, &err), ATLS_OK, &err);
        o.identity = ATLS_IDENTITY_ATTESTED;
        o.flavour = cases[i].flavour;
        o.freshness = cases[i].freshness;
        o.accepted_verifier = cases[i].accepted;
        if (atls_config_new(&o, &c, &err) != cases[i].want)
            fail_msg("%s: %s", cases[i].name, err.message);
        if (c != NULL && cases[i].accepted != NULL)
            assert_string_equal(c->options.accepted_verifier, cases[i].accepted);
        atls_config_unref(c);
        atls_verifier_unref(o.verifier);
        atls_policy_unref(o.policy);
    }
}

static void names_flavours(void **state)
{
    (void)state;
    assert_string_equal(atls_flavour_name(ATLS_FLAVOUR_POST), "post");
    assert_string_equal(atls_flavour_name(ATLS_FLAVOUR_INTRA), "intra");
    assert_string_equal(atls_flavour_name(ATLS_FLAVOUR_PRE), "pre");
    assert_string_equal(atls_flavour_name((enum atls_flavour)3), "");
}

static void keeps_what_it_needs(void **state)
{
    struct good g;
    struct atls_config *c, *again;
    struct atls_err err = ATLS_ERR_INIT;
    char type[] = "fake";
    const char *types[] = {type, NULL};

    (void)state;
    good_init(&g);
    g.options.evidence_types = types;
    test_assert_code(atls_config_new(&g.options, &c, &err), ATLS_OK, &err);
    /* Everything of the caller goes away. */
    atls_attester_unref(g.options.attester);
    atls_verifier_unref(g.options.verifier);
    atls_policy_unref(g.options.policy);
    atls_buf_clear(&g.pem);
    test_identity_clear(&g.ca);
    memset(type, 'x', sizeof type - 1);
    types[0] = NULL;

    assert_true(atls_names_contain(atls_config_names(c, ATLS_NAMES_EVIDENCE_ACCEPTED),
                                   atls_bytes_of("fake", 4)));
    assert_true(atls_names_contain(atls_config_names(c, ATLS_NAMES_EVIDENCE_OFFERED),
                                   atls_bytes_of("fake", 4)));
    assert_int_equal(atls_anchors_count(c->anchors), 1);
    assert_string_equal(atls_attester_scheme(c->options.attester), "fake");
    again = atls_config_ref(c);
    assert_ptr_equal(again, c);
    atls_config_unref(c);
    assert_int_equal(atls_anchors_count(again->anchors), 1);
    atls_config_unref(again);
    atls_config_unref(NULL);
}

static void accepts_secure_technologies_by_default(void **state)
{
    struct good g;
    struct atls_config *c;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_bytes accepted;

    (void)state;
    good_init(&g);
    test_assert_code(atls_config_new(&g.options, &c, &err), ATLS_OK, &err);
    accepted = atls_config_names(c, ATLS_NAMES_EVIDENCE_ACCEPTED);
    assert_true(atls_names_contain(accepted, atls_bytes_of("tpm", 3)));
    assert_false(atls_names_contain(accepted, atls_bytes_of("soft", 4)));
    atls_config_unref(c);
    atls_attester_unref(g.options.attester);
    atls_verifier_unref(g.options.verifier);
    atls_policy_unref(g.options.policy);
    atls_buf_clear(&g.pem);
    test_identity_clear(&g.ca);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_options),
        cmocka_unit_test(judges_results_by_flavour),
        cmocka_unit_test(names_flavours),
        cmocka_unit_test(keeps_what_it_needs),
        cmocka_unit_test(accepts_secure_technologies_by_default),
    };

    return cmocka_run_group_tests(tests, make_material, clear_material);
}
