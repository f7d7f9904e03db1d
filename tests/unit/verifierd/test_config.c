#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "testlib.h"

#define L "listeners:\n  - address: 127.0.0.1:0\n"
#define T "tenants:\n  - name: one\n    store: s.db\n"
#define P                                                                                          \
    T "    provisioning:\n      allow-unsigned: true\n      bearer-tokens:\n        - name: ci\n"  \
      "          file: /token\n"
#define HEX64 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static const struct {
    const char *name, *text;
    size_t line; /* 0: good */
    const char *rule;
} rows[] = {
    {"the smallest", L T, 0, NULL},
    {"everything by default loopback", "listeners: [{address: '[::1]:8443'}]\n" T, 0, NULL},
    {"TLS beyond the loopback",
     "listeners: [{address: 0.0.0.0:1, certificate: c, key: k, client-ca: a}]\n" T, 0, NULL},
    {"plain, by name", "listeners: [{address: 0.0.0.0:1, insecure: true}]\n" T, 0, NULL},
    {"a unix socket", "listeners: [{address: unix:/run/s, mode: 0600}]\n" T, 0, NULL},
    {"a socket of systemd", "listeners: [{address: systemd:a, certificate: c, key: k}]\n" T, 0,
     NULL},
    {"all limits",
     L T "limits: {body: 2MiB, bodies: 8MiB, header: 16KiB, connections: 10, "
         "connections-per-client: 0, rate: 0, burst: 1, request-timeout: 5s, idle-timeout: 1m}\n",
     0, NULL},
    {"the rest",
     L T "threads: 2\nlog: {format: text, level: debug}\ndrain-timeout: 1m\ndrain-delay: 0\n"
         "discovery-max-age: 1h\n",
     0, NULL},
    {"all of a tenant",
     L T "    prefix: /one\n    connections: 2\n    policy: p.jq\n"
         "    result: {profile: p, form: cwt, lifetime: 5m}\n"
         "    evidence: {allow-insecure-technology: true, allow-sha1-pcr-bank: true, "
         "allow-unsafe-clock: true, allow-ima-violations: true, require-ak-eku: true}\n"
         "    sessions: {ttl: 30s, max: 5, nonce-size: 32, nonce-encoding: url}\n",
     0, NULL},
    {"rules", L T "    evidence: {rules: {snp.vmpl: 1, tdx.statuses: 'UpToDate,OutOfDate'}}\n", 0,
     NULL},
    {"no rules", L T "    evidence: {rules: {}}\n", 0, NULL},
    {"a rule that is none",
     L T "    evidence:\n      rules:\n        snp.vmpl: 1\n        no.thing: x\n", 9,
     "no.thing=x: fault of the test"},
    {"a list of rules", L T "    evidence:\n      rules: [snp.vmpl=1]\n", 7, "want a mapping"},
    {"rules in one text", L T "    evidence:\n      rules: snp.vmpl=1\n", 7, "want a mapping"},
    {"a rule with two values", L T "    evidence:\n      rules:\n        snp.vmpl: [1, 2]\n", 8,
     "snp.vmpl has no single value"},
    {"a rule twice", L T "    evidence:\n      rules:\n        a.b: 1\n        a.b: 1\n", 9,
     "given twice"},
    {"collateral",
     L T "    evidence: {collateral: {amd: 'https://a', intel: 'https://b', intel-root-crl: "
         "'https://c/d', ca-file: /e}}\n",
     0, NULL},
    {"collateral of another maker", L T "    evidence:\n      collateral:\n        arm: x\n", 8,
     "unknown key \"arm\""},
    {"collateral in one text", L T "    evidence:\n      collateral: https://a\n", 7,
     "want a mapping"},
    {"provisioning", L P, 0, NULL},
    {"provisioning by certificate",
     "listeners: [{address: '127.0.0.1:1', certificate: c, key: k, client-ca: a}]\n" T
     "    provisioning:\n      anchors: [a, b]\n      client-certificates:\n"
     "        - {name: a, spki-sha256: " HEX64 "}\n        - {name: b, subject: CN=b}\n",
     0, NULL},

    {"nothing", "", 1, "file is empty"},
    {"not a mapping", "- a\n", 1, "want a mapping"},
    {"not YAML", L "tenants: [\n", 4, NULL},
    {"a tab", "listeners:\n\t- a\n", 2, NULL},
    {"bytes that are no UTF-8", "listeners: \xff\xfe\n", 1, NULL},
    {"an unknown key", L T "unknown: 1\n", 6, "unknown key \"unknown\""},
    {"an unknown key inside", L T "limits:\n  bodi: 1\n", 7, "unknown key \"bodi\""},
    {"a key given twice", L T "threads: 1\nthreads: 2\n", 7, "key threads is given twice"},
    {"a key that is no text", L T "[a]: 1\n", 6, NULL},
    {"an anchor", L T "threads: &a 1\n", 6, "anchors and tags"},
    {"an anchor on a mapping", L T "log: &a\n  level: info\n", 6, "anchors and tags"},
    {"an alias", L T "threads: *a\n", 6, "aliases"},
    {"a tag", L T "threads: !!int 1\n", 6, "anchors and tags"},
    {"a second document", L T "---\na: 1\n", 6, "second document"},
    {"too deep", "a: [[[[[[[[1]]]]]]]]\n", 1, "nested deeper"},
    {"a NUL in text", L T "threads: \"\\0\"\n", 6, "NUL"},
    {"no listeners", T, 1, "listeners is missing"},
    {"no tenants", L, 1, "tenants is missing"},
    {"an empty list", "listeners: []\n" T, 1, "has 0 entries"},
    {"a mapping for a list", "listeners: {a: b}\n" T, 1, "is no list"},
    {"a list for a value", L T "threads: [1]\n", 6, "want a single value"},
    {"a mapping for a value", L T "threads: {a: 1}\n", 6, "want a single value"},
    {"a value for a mapping", L T "limits: 1\n", 6, "want a mapping"},
    {"a list for a mapping", L T "limits: [1]\n", 6, "want a mapping"},
    {"a number that is none", L T "threads: two\n", 6, "want a number"},
    {"a number that is negative", L T "threads: -1\n", 6, "want a number"},
    {"a number with bytes behind", L T "threads: 1x\n", 6, "want a number"},
    {"a number that is too large", L T "threads: 257\n", 6, "want 0 to 256"},
    {"a number beyond any", L T "threads: 99999999999999999999\n", 6, "want a number"},
    {"a size of no unit", L T "limits: {body: 1MB}\n", 6, "want a size"},
    {"a time of no unit", L T "drain-timeout: 1d\n", 6, "want a time"},
    {"a time of nothing", L T "drain-timeout: ''\n", 6, "want a time"},
    {"a flag that is none", "listeners: [{address: '0.0.0.0:1', insecure: yes}]\n" T, 1,
     "want true or false"},
    {"a flag in quotes", "listeners: [{address: '0.0.0.0:1', insecure: 'true'}]\n" T, 1,
     "want true or false"},
    {"a choice that is none", L T "log: {level: loud}\n", 6,
     "want one of error, warning, info, debug"},
    {"bodies that are smaller than one", L T "limits:\n  body: 1MiB\n  bodies: 64KiB\n", 7,
     "smaller than body"},

    {"no address", "listeners: [{serve: api}]\n" T, 1, "address is missing"},
    {"an address without port", "listeners: [{address: 127.0.0.1}]\n" T, 1, "want ADDRESS:PORT"},
    {"an empty address", "listeners: [{address: ''}]\n" T, 1, "address is empty"},
    {"a port alone", "listeners: [{address: ':1'}]\n" T, 1, "want ADDRESS:PORT"},
    {"a port that is too large", "listeners: [{address: '127.0.0.1:65536'}]\n" T, 1,
     "want ADDRESS:PORT"},
    {"a name", "listeners: [{address: 'localhost:1'}]\n" T, 1, "not a name"},
    {"a relative socket", "listeners: [{address: 'unix:s'}]\n" T, 1, "absolute path"},
    {"no name for systemd", "listeners: [{address: 'systemd:'}]\n" T, 1, "FileDescriptorName"},
    {"the same address twice",
     "listeners:\n  - address: '127.0.0.1:1'\n  - address: '127.0.0.1:1'\n" T, 3, "given twice"},
    {"a certificate without key", "listeners: [{address: '0.0.0.0:1', certificate: c}]\n" T, 1,
     "go together"},
    {"a key without certificate", "listeners: [{address: '0.0.0.0:1', key: c}]\n" T, 1,
     "go together"},
    {"a client CA without TLS", "listeners: [{address: '127.0.0.1:1', client-ca: c}]\n" T, 1,
     "client-ca needs"},
    {"insecure and TLS",
     "listeners: [{address: '0.0.0.0:1', certificate: c, key: k, insecure: true}]\n" T, 1,
     "contradicts"},
    {"insecure on the loopback", "listeners: [{address: '127.0.0.1:1', insecure: true}]\n" T, 1,
     "nothing asks for it"},
    {"plain beyond the loopback", "listeners:\n  - address: '0.0.0.0:1'\n" T, 2,
     "plain HTTP beyond the loopback"},
    {"plain on any address of IPv6", "listeners:\n  - address: '[::]:1'\n" T, 2,
     "plain HTTP beyond the loopback"},
    {"plain on a socket of systemd", "listeners:\n  - address: systemd:a\n" T, 2,
     "plain HTTP on a socket of systemd"},
    {"a mode for TCP", "listeners: [{address: '127.0.0.1:1', mode: 0600}]\n" T, 1,
     "mode is for unix sockets"},
    {"a mode that is not octal", "listeners: [{address: 'unix:/s', mode: 0680}]\n" T, 1,
     "want octal digits"},
    {"no listener for the API", "listeners: [{address: '127.0.0.1:1', serve: operation}]\n" T, 1,
     "no listener serves the API"},

    {"a tenant without name", L "tenants: [{store: s}]\n", 3, "name is missing"},
    {"a tenant without store", L "tenants: [{name: s}]\n", 3, "store is missing"},
    {"a tenant's name with a space", L "tenants: [{name: a b, store: s}]\n", 3, "want a-z"},
    {"two tenants of one name",
     L "tenants:\n  - {name: a, store: s}\n  - {name: a, store: t, prefix: /b}\n", 5,
     "given twice"},
    {"two tenants of one prefix", L "tenants:\n  - {name: a, store: s}\n  - {name: b, store: t}\n",
     5, "also that of tenant a"},
    {"two tenants of one store",
     L "tenants:\n  - {name: a, store: s}\n  - {name: b, store: s, prefix: /b}\n", 5,
     "store and schema"},
    {"two schemas of one database",
     L "tenants:\n  - {name: a, store: 'postgresql:///x'}\n"
       "  - {name: b, store: 'postgresql:///x', schema: b, prefix: /b}\n",
     0, NULL},
    {"one schema, once by name",
     L "tenants:\n  - {name: a, store: 'postgres:///x'}\n"
       "  - {name: b, store: 'postgres:///x', schema: atls, prefix: /b}\n",
     5, "store and schema"},
    {"a schema of a file", L T "    schema: a\n", 4, "this is a file"},
    {"a schema that begins with a digit",
     L "tenants: [{name: a, store: 'postgres:///x', schema: 1a}]\n", 3, "want a-z"},
    {"a prefix without slash", L T "    prefix: a\n", 4, "prefix is"},
    {"a prefix of two segments", L T "    prefix: /a/b\n", 4, "prefix is"},
    {"a prefix that is a resource", L T "    prefix: /healthz\n", 4, "of no resource"},
    {"a nonce that is too short", L T "    sessions: {nonce-size: 7}\n", 6, "want 8 to 64"},
    {"a nonce that is too long", L T "    sessions: {nonce-size: 65}\n", 6, "want 8 to 64"},

    {"provisioning by anyone", L T "    provisioning:\n      allow-unsigned: true\n", 7,
     "anyone could"},
    {"provisioning of nothing",
     L T "    provisioning:\n      bearer-tokens: [{name: a, file: f}]\n", 7,
     "no manifest could be accepted"},
    {"a token without file",
     L T "    provisioning:\n      allow-unsigned: true\n      bearer-tokens: [{name: a}]\n", 8,
     "file is missing"},
    {"a token's name with a space",
     L T "    provisioning:\n      bearer-tokens: [{name: a b, file: f}]\n", 7, "want a-z"},
    {"a certificate's name with a space",
     L T "    provisioning:\n      client-certificates: [{name: a b, subject: s}]\n", 7,
     "want a-z"},
    {"a certificate of nobody", L T "    provisioning:\n      client-certificates: [{name: a}]\n",
     7, "want one of"},
    {"a certificate of two kinds",
     L T "    provisioning:\n      client-certificates: [{name: a, subject: s, spki-sha256: x}]\n",
     7, "want one of"},
    {"a fingerprint that is too short",
     L T "    provisioning:\n      client-certificates: [{name: a, spki-sha256: abcd}]\n", 7,
     "64 hexadecimal"},
    {"certificates that no listener asks for",
     L T "    provisioning:\n      allow-unsigned: true\n"
         "      client-certificates: [{name: a, subject: s}]\n",
     7, "no listener has a client-ca"},
    {"provisioning over insecure listeners",
     "listeners: [{address: '0.0.0.0:1', insecure: true}]\n" P, 6, "every listener is insecure"},
    {"anchors that are no files", L T "    provisioning:\n      anchors: [[a]]\n", 7,
     "list of files"},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct config *config = NULL;
        char where[32];
        enum atls_code code = config_parse(
            "f.yaml", atls_bytes_of(rows[i].text, strlen(rows[i].text)), &config, &err);

        if ((code == ATLS_OK) != (rows[i].line == 0))
            fail_msg("%s: %d, %s", rows[i].name, code, err.message);
        config_free(config);
        if (code == ATLS_OK)
            continue;
        assert_int_equal(code, ATLS_E_CONFIG);
        snprintf(where, sizeof where, "f.yaml:%zu: ", rows[i].line);
        if (strncmp(err.message, where, strlen(where)) != 0 ||
            (rows[i].rule != NULL && strstr(err.message, rows[i].rule) == NULL))
            fail_msg("%s: want line %zu, %s: %s", rows[i].name, rows[i].line,
                     rows[i].rule != NULL ? rows[i].rule : "anything", err.message);
    }
}

static void test_defaults_are_safe(void **state)
{
    static const char text[] = L T;
    struct config *c = NULL;

    (void)state;
    assert_int_equal(config_parse("f", atls_bytes_of(text, sizeof text - 1), &c, NULL), ATLS_OK);
    assert_int_equal(c->tenants[0].provisioning.line, 0);
    assert_false(c->tenants[0].allow_insecure_technology || c->tenants[0].allow_sha1_pcr_bank ||
                 c->tenants[0].allow_unsafe_clock || c->tenants[0].allow_ima_violations);
    assert_int_equal(c->tenants[0].session_ttl_s, 150);
    assert_int_equal(c->tenants[0].nonce_size, 48);
    assert_int_equal(c->tenants[0].form, 0);
    assert_int_equal(c->limits.body, 1024 * 1024);
    assert_true(c->limits.rate > 0);
    assert_true(c->listeners[0].listen.address.loopback);
    config_free(c);
}

static void test_too_large(void **state)
{
    size_t size = 256 * 1024 + 1;
    char *text = malloc(size + 1);
    struct atls_err err = ATLS_ERR_INIT;
    struct config *c = NULL;

    (void)state;
    memset(text, '#', size);
    assert_int_equal(config_parse("f", atls_bytes_of(text, size), &c, &err), ATLS_E_CONFIG);
    assert_non_null(strstr(err.message, "longer than 256 KiB"));
    /* Many small values. */
    for (size_t i = 0; i + 1 < size - 1; i += 2)
        memcpy(text + i, "1,", 2);
    memcpy(text, "[ ", 2);
    assert_int_equal(config_parse("f", atls_bytes_of(text, size - 1), &c, &err), ATLS_E_CONFIG);
    assert_non_null(strstr(err.message, "more than 8192 values"));
    free(text);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

static void test_files(void **state)
{
    char path[] = "/tmp/atls-verifierd.XXXXXX";
    struct atls_err err = ATLS_ERR_INIT;
    struct config *config = NULL;
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    write_file(path, L T, 0644);
    assert_int_equal(config_load(path, &config, &err), ATLS_OK);
    config_free(config);
    unlink(path);
    assert_int_equal(config_load(path, &config, &err), ATLS_E_CONFIG);
}

/* A configuration that holds a password is a secret like a token. */
static void test_passwords(void **state)
{
    static const struct {
        const char *store;
        bool has_password;
    } stores[] = {
        {"postgresql://u:p@h/d", true},
        {"postgres://u:p@h:1,g:2/d?x=y", true},
        {"postgresql://h/d?user=u&password=p", true},
        {"postgresql:///d?sslkey=k&sslpassword=p", true},
        {"postgresql://u@h:5432/d", false},
        {"postgresql://h:5432/d?options=a:b@c", false},
        {"postgresql:///d?passfile=/etc/pass", false},
        {"/var/lib/u:p@h", false},
    };
    char path[] = "/tmp/atls-config-XXXXXX", text[256];
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    for (size_t i = 0; i < sizeof stores / sizeof stores[0]; i++) {
        const mode_t modes[] = {0644, 0620, 0640, 0600};

        snprintf(text, sizeof text, L "tenants: [{name: one, store: '%s'}]\n", stores[i].store);
        for (size_t k = 0; k < 4; k++) {
            bool refused = stores[i].has_password && k < 2;
            struct atls_err err = ATLS_ERR_INIT;
            struct config *config = NULL;

            write_file(path, text, modes[k]);
            test_assert_code(config_load(path, &config, &err), refused ? ATLS_E_CONFIG : ATLS_OK,
                             &err);
            assert_true((config == NULL) == refused);
            assert_null(strstr(err.message, "u:p"));
            config_free(config);
        }
    }
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),      cmocka_unit_test(test_defaults_are_safe),
        cmocka_unit_test(test_too_large), cmocka_unit_test(test_files),
        cmocka_unit_test(test_passwords),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
