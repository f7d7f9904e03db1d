/* The configurations of a pair, apart from its sessions: other flavours have the same. */
#include "session_pair.h"

#include <string.h>

#include "testlib.h"

#include "crypto/crypto.h"

static int64_t wall_s(void *arg)
{
    (void)arg;
    return 1735689600; /* 2025-01-01 */
}

static int64_t monotonic_ms(void *arg)
{
    const struct pair *p = arg;

    return p->now_ms;
}

static enum atls_code export_value(void *arg, const char *label, struct atls_bytes context,
                                   uint8_t *out, size_t out_len, struct atls_err *err)
{
    const struct pair_end *end = arg;

    return atls_tls13_exporter(end->tls.hash, atls_bytes_of(end->secret, sizeof end->secret),
                               "tls13 ", label, context, out, out_len, err);
}

static void init_end(struct pair *p, struct pair_end *end, enum atls_role role)
{
    static const char *const types[] = {"fake", NULL};

    end->attests = end->requires = true;
    atls_config_options_init(&end->options);
    end->options.identity = ATLS_IDENTITY_ATTESTED;
    end->options.evidence_types = types;
    end->options.clock = (struct atls_clock){p, wall_s, monotonic_ms};
    end->tls = (struct atls_tls){
        .arg = end,
        .exporter = export_value,
        .role = role,
        .version = 0x0304,
        .resumed = ATLS_ANSWER_NO,
        .early_data = ATLS_ANSWER_NO,
    };
    memset(end->secret, 7, sizeof end->secret);
}

void pair_init(struct pair *p)
{
    memset(p, 0, sizeof *p);
    p->hash = ATLS_HASH_SHA256;
    p->now_ms = 1000000;
    init_end(p, &p->client, ATLS_ROLE_CLIENT);
    init_end(p, &p->server, ATLS_ROLE_SERVER);
}

static void configure_end(struct pair_end *end)
{
    struct atls_config_options *o = &end->options;
    struct atls_policy *own = NULL;

    if (end->attests)
        o->attester = fake_attester_open(&end->attester);
    if (end->has_passport) {
        end->passport.attester = &end->attester;
        o->passport = fake_passport_open(&end->passport);
    }
    o->require_peer = end->requires;
    if (end->requires) {
        o->verifier = fake_verifier_open(&end->verifier);
        if (o->policy == NULL) {
            test_assert_code(atls_policy_default(&own, &end->err), ATLS_OK, &end->err);
            o->policy = own;
        }
    }
    test_assert_code(atls_config_new(o, &end->config, &end->err), ATLS_OK, &end->err);
    atls_attester_unref(o->attester);
    atls_passport_unref(o->passport);
    if (o->verifier != NULL)
        atls_verifier_unref(o->verifier);
    if (own != NULL) {
        atls_policy_unref(own);
        o->policy = NULL;
    }
}

void pair_configure(struct pair *p)
{
    configure_end(&p->client);
    configure_end(&p->server);
    p->client.tls.hash = p->server.tls.hash = p->hash;
}
