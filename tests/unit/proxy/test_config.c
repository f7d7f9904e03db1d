#define _DEFAULT_SOURCE /* mkdtemp */

#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "testlib.h"

/* Lines 1 to 5: what routes name. */
#define N                                                                                          \
    "attesters: {tpm: {uri: 'tpm2:device'}, soft: {uri: 'soft:k', insecure: true}, p: {uri: "      \
    "'tsm:', passport: {from: 'https://v/x'}}, q: {uri: 'tsm:', passport: {from: 'http://v'}}}\n"  \
    "verifiers: {local: {uri: 'local:/s.db'}, soft: {uri: 'local:/s.db', insecure: true}, "        \
    "pass: {uri: 'passport:https://v/'}, fresh: {uri: 'passport:https://v/', fresh-result: "       \
    "true}, file: {uri: 'passport:/f'}, far: {uri: 'veraison:https://v'}}\n"                       \
    "policies: {strict: /p.jq}\n"                                                                  \
    "\n"                                                                                           \
    "routes:\n"
/* Line 6 and on: a route that terminates; its downstream is on line 10. */
#define R                                                                                          \
    N "  - name: web\n"                                                                            \
      "    listen: ['0.0.0.0:443']\n"                                                              \
      "    mode: terminate\n"                                                                      \
      "    target: 127.0.0.1:80\n"
#define TLS "tls: {certificate: c, key: k}"
#define D   R "    downstream:\n      "
/* What a side may need beside the key that a row is about. */
#define REST "      attester: tpm\n      require: none\n      " TLS "\n"
#define REST2                                                                                      \
    "      attester: tpm\n      require: {verifier: local, identity: attested}\n      " TLS "\n"
#define T R "    downstream: {attester: tpm, require: none, " TLS "}\n"
/* A route that originates; upstream is on line 10. */
#define O                                                                                          \
    N "  - name: out\n"                                                                            \
      "    listen: ['127.0.0.1:5432']\n"                                                           \
      "    mode: originate\n"                                                                      \
      "    target: db.example:5432\n"
#define U O "    upstream:\n      "
#define L "{verifier: local, identity: attested}"

struct row {
    const char *name, *text;
    size_t line; /* 0: good */
    const char *rule;
};

static const struct row good[] = {
    {"the smallest that terminates", T, 0, NULL},
    {"the smallest that originates", O "    upstream: {require: " L "}\n", 0, NULL},
    {"both",
     N "  - {name: a, listen: ['[::]:1'], mode: both, target: 'a:1', downstream: {require: none, "
       "attester: tpm, " TLS "}, upstream: {require: " L "}}\n",
     0, NULL},
    {"everything of the process",
     "log: {format: text, level: debug}\nworkers: 2\njobs: 4\nuser: u\ngroup: g\nsandbox: off\n"
     "operation: {listen: '127.0.0.1:9464'}\n"
     "limits: {connections: 10, handshakes: 2, connections-per-source: 5, rate: 2, burst: 4, "
     "handshake-timeout: 1s, gate-timeout: 2s, dial-timeout: 3s, idle-timeout: 1m, "
     "drain-timeout: 5s, bytes-before-gate: 64KiB}\n" T,
     0, NULL},
    {"everything of an attester",
     "attesters: {a: {uri: 'tpm2:', certificate: c, endorsements: e, passport: {from: "
     "'http://v', ca: c, result-keys: k, timeout: 5s, lifetime: 1h, only: true, known-as: v}}, "
     "b: {uri: 'tsm:', dns-names: [x, y]}}\nroutes: [{name: a, listen: ['unix:/s'], mode: "
     "terminate, target: 'unix:/t', downstream: {attester: a, require: none, " TLS "}}]\n",
     0, NULL},
    {"everything of verifiers",
     "verifiers: {a: {uri: 'local:s', ca: c, insecure: true, allow-sha1-pcr-bank: true, "
     "allow-unsafe-clock: true, allow-ima-violations: true, require-ak-eku: true, rules: "
     "{snp.vmpl: 1}, collateral: {amd: 'https://a', intel: 'https://b', intel-root-crl: "
     "'https://c'}}, b: {uri: 'veraison:https://v', ca: c, result-keys: k, max-age: 5m, timeout: "
     "1s}, c: {uri: 'passport:/f', fresh-result: true, known-as: x}}\n"
     "routes: [{name: a, listen: ['unix:/s'], mode: terminate, target: 'unix:/t', downstream: "
     "{require: {verifier: a, identity: attested}, " TLS "}}]\n",
     0, NULL},
    {"everything of a side",
     U "require: {verifier: local, policy: strict, identity: pkix, evidence-types: [tpm, snp], "
       "profiles: [kat-bundle]}\n      attester: tpm\n      require-self: true\n      alpn: [a, "
       "b]\n      reattest-interval: 10s\n      on-failure: gate\n      tls: {certificate: c, key: "
       "k, ca: a, crl: r, name: x}\n",
     0, NULL},
    {"raw", U "require: " L "\n      raw: true\n", 0, NULL},
    {"presence of either word",
     D
     "{require: {presence: optional, verifier: local, identity: attested}, " TLS "}\n"
     "  - {name: b, listen: ['[::]:2'], mode: terminate, target: 'unix:/t', downstream: {require: "
     "{presence: required, verifier: local, identity: attested}, " TLS "}}\n",
     0, NULL},
    {"presence optional upstream",
     U "{require: {presence: optional, verifier: local, identity: pkix}, tls: {ca: a}}\n", 0, NULL},
    {"intra",
     U "require: " L
       "\n      flavour: intra\n      secret-binder: true\n      extension-type: 65282\n",
     0, NULL},
    {"intra, attested by itself", D "{flavour: intra, attester: tpm, require: none}\n", 0, NULL},
    {"intra, with results",
     U "{flavour: intra, attester: p, require: {verifier: pass, identity: attested}}\n", 0, NULL},
    {"pre",
     D "{flavour: pre, freshness: nonce, attester: tpm, certificate-lifetime: 1h, require: none}\n",
     0, NULL},
    {"pre, of a certain age",
     U "{flavour: pre, freshness: none, certificate-max-age: 438000h, require: " L "}\n", 0, NULL},
    {"port 0 is another each time",
     N "  - {name: a, listen: ['127.0.0.1:0', '127.0.0.1:00'], mode: originate, target: 'a:1', "
       "upstream: {require: " L "}}\n"
       "  - {name: b, listen: ['127.0.0.1:0'], mode: originate, target: 'a:1', upstream: "
       "{require: " L "}}\noperation: {listen: '127.0.0.1:0'}\n",
     0, NULL},
    {"pre, of others",
     U "{flavour: pre, freshness: none, require: {verifier: local, identity: attested, profiles: "
       "[ra-tls]}}\n",
     0, NULL},
    {"pre, with results",
     U "{flavour: pre, freshness: nonce, require: {verifier: fresh, identity: attested}}\n", 0,
     NULL},
    {"software, by name",
     U "{attester: soft, require: {verifier: soft, policy: default, identity: attested, "
       "evidence-types: [soft]}}\n",
     0, NULL},
    {"a key of its own", D "{attester: tpm, require: none, tls: {ephemeral: true}}\n", 0, NULL},
    {"clients with certificates",
     D "{require: {verifier: local, identity: pkix}, tls: {certificate: c, key: k, ca: a}}\n", 0,
     NULL},
    {"a server that is not attested", U "{attester: tpm, require: none, tls: {ca: a}}\n", 0, NULL},
    {"plain beyond this host, by name",
     N "  - {name: a, listen: [{address: '0.0.0.0:1', insecure: true}], mode: originate, target: "
       "'a:1', upstream: {require: " L "}}\n",
     0, NULL},
    {"a plain target beyond this host, by name",
     N "  - {name: a, listen: ['unix:/s', {address: 'unix:/r', mode: 0600}], mode: terminate, "
       "target: 'a:1', insecure-target: true, downstream: {attester: tpm, require: none, " TLS
       "}}\n",
     0, NULL},
    {"a target by name on this host",
     N "  - {name: a, listen: ['systemd:x'], mode: terminate, target: 'localhost:1', downstream: "
       "{attester: tpm, require: none, " TLS "}}\n",
     0, NULL},
    {"routes that share a listener",
     T "    match: {sni: [a.example, '*.b.example'], alpn: [atls/1]}\n"
       "  - {name: two, listen: ['0.0.0.0:443'], match: {sni: [c.example]}, mode: terminate, "
       "target: 'unix:/t', downstream: {attester: tpm, require: none, " TLS "}}\n"
       "  - {name: rest, listen: ['0.0.0.0:443'], mode: terminate, target: 'unix:/t', downstream: "
       "{attester: tpm, require: none, " TLS "}}\n",
     0, NULL},
    {"PROXY",
     R "    downstream: {require: " L ", " TLS "}\n    proxy-protocol: {in: true, out: true, "
       "trusted: [10.0.0.0/8, '::1', 'fd00::/8', 1.2.3.4], claims: [a, b]}\n",
     0, NULL},
    {"headers",
     R "    downstream: {alpn: [http/1.1, http/1.0], require: " L ", " TLS "}\n"
       "    http-headers: {verdict: X-A, evidence-type: X-B, key-sha256: X-C, instance: X-D, "
       "ear-sha256: X-E}\n",
     0, NULL},
    {"limits of a route",
     T "    limits: {connections: 5, handshake-timeout: 1s, gate-timeout: 2s, dial-timeout: 3s, "
       "idle-timeout: 4s, bytes-before-gate: 2MiB}\n",
     0, NULL},
};

#define V(options) "verifiers:\n  a:\n    uri: " options "\nroutes: []\n"
#define A(options) "attesters:\n  a:\n    uri: " options "\nroutes: []\n"

static const struct row bad[] = {
    {"nothing", "", 1, "file is empty"},
    {"an unknown key", T "unknown: 1\n", 11, "unknown key \"unknown\""},
    {"no routes", "jobs: 1\n", 1, "routes is missing"},
    {"routes that are none", "routes: []\n", 1, "has 0 entries"},
    {"routes in a mapping", "routes: {a: b}\n", 1, "is no list"},
    {"jobs of nobody", T "jobs: 0\n", 11, "want 1 to 256"},
    {"a limit that is none", T "limits: {connections: 0}\n", 11, "want 1 to"},
    {"a deadline that is none", T "limits: {idle-timeout: 0}\n", 11, "want 1 to"},
    {"a burst below the rate", T "limits:\n  rate: 5\n  burst: 4\n", 12, "less than a second"},
    {"more of one than of all", T "limits:\n  connections: 5\n  connections-per-source: 6\n", 12,
     "more than connections"},
    {"a sandbox that is unknown", T "sandbox: yes\n", 11, "want one of off, on, report"},
    {"a level that is none", T "log: {level: loud}\n", 11, "want one of error, warning"},

    {"operation without address", T "operation: {insecure: true}\n", 11, "listen is missing"},
    {"operation beyond this host", T "operation: {listen: '0.0.0.0:1'}\n", 11, "plain connections"},
    {"operation of systemd", T "operation: {listen: 'systemd:x'}\n", 11, "plain connections"},
    {"operation that is insecure for nothing",
     T "operation: {listen: '127.0.0.1:1', insecure: true}\n", 11, "nothing asks for it"},
    {"operation at a name", T "operation: {listen: 'localhost:1'}\n", 11, "not a name"},
    {"a mode for TCP", T "operation: {listen: '127.0.0.1:1', mode: 0600}\n", 11,
     "mode is for unix"},
    {"operation where a route is",
     O "    upstream: {require: " L "}\noperation: {listen: '127.0.0.1:5432'}\n", 7,
     "also that of operation"},

    {"attesters in a list", "attesters: [a]\nroutes: []\n", 1, "want a mapping of names"},
    {"attesters in a text", "attesters: a\nroutes: []\n", 1, "want a mapping of names"},
    {"no attesters", "attesters: {}\nroutes: []\n", 1, "has 0 entries"},
    {"an attester's name", "attesters:\n  A: {uri: 'tpm2:'}\nroutes: []\n", 2, "want a-z"},
    {"an attester without uri", "attesters:\n  a: {insecure: true}\nroutes: []\n", 2,
     "uri is missing"},
    {"an attester of no kind", A("'tpm:x'"), 3, "want tpm2:"},
    {"an attester in software", A("'soft:k'"), 3, "only with insecure: true"},
    {"an attester that is insecure for nothing", A("'tpm2:'\n    insecure: true"), 4,
     "nothing asks for it"},
    {"names for a certificate that is there", A("'tpm2:'\n    certificate: c\n    dns-names: [a]"),
     5, "self-signed"},
    {"names that are none", A("'tpm2:'\n    dns-names: [[a]]"), 4, "list of texts"},
    {"an empty name", A("'tpm2:'\n    dns-names: ['']"), 4, "list of texts"},
    {"a name twice", A("'tpm2:'\n    dns-names: [a, a]"), 4, "names \"a\" twice"},
    {"names in a text", A("'tpm2:'\n    dns-names: a"), 4, "is no list"},
    {"a passport from nowhere", A("'tpm2:'\n    passport: {only: true}"), 4, "from is missing"},
    {"a passport from a file", A("'tpm2:'\n    passport:\n      from: /f"), 5, "want the URL"},

    {"a verifier of no kind", V("'http://v'"), 3, "want local:STORE"},
    {"a verifier without uri", "verifiers:\n  a: {insecure: true}\nroutes: []\n", 2,
     "uri is missing"},
    {"verifiers in a list", "verifiers: [a]\nroutes: []\n", 1, "want a mapping of names"},
    {"keys of a local verifier", V("'local:s'\n    result-keys: k"), 4, "are not signed"},
    {"an age of evidence", V("'local:s'\n    max-age: 1"), 4, "is of signed results"},
    {"a timeout of a local verifier", V("'local:s'\n    timeout: 1"), 4, "elsewhere"},
    {"fresh results of a service", V("'veraison:u'\n    fresh-result: true"), 4, "is of passport"},
    {"a name of a service", V("'veraison:u'\n    known-as: x"), 4, "results of passport"},
    {"rules of a service", V("'veraison:u'\n    rules: {snp.vmpl: 1}"), 4, "appraised here"},
    {"collateral of a service", V("'veraison:u'\n    collateral: {amd: x}"), 4, "appraised here"},
    {"SHA-1 of a service", V("'veraison:u'\n    allow-sha1-pcr-bank: true"), 4, "appraised here"},
    {"clocks of a service", V("'veraison:u'\n    allow-unsafe-clock: true"), 4, "appraised here"},
    {"IMA of a service", V("'veraison:u'\n    allow-ima-violations: true"), 4, "appraised here"},
    {"EKU of a service", V("'veraison:u'\n    require-ak-eku: true"), 4, "appraised here"},
    {"an authority for nobody", V("'local:s'\n    ca: c"), 4, "none is named"},
    {"a rule that is none", V("'local:s'\n    rules:\n      snp.vmpl: 1\n      no.thing: x"), 6,
     "no.thing"},
    {"a list of rules", V("'local:s'\n    rules: [a]"), 4, "want a mapping"},
    {"rules in one text", V("'local:s'\n    rules: a"), 4, "want a mapping"},
    {"a rule of two values", V("'local:s'\n    rules:\n      snp.vmpl: [1, 2]"), 5,
     "no single value"},
    {"collateral of another", V("'local:s'\n    collateral:\n      arm: x"), 5, "unknown key"},

    {"a policy that is no file", "policies:\n  a: [x]\nroutes: []\n", 2, "is no file"},
    {"a policy of no name", "policies:\n  a: ''\nroutes: []\n", 2, "is no file"},
    {"another default", "policies:\n  default: f\nroutes: []\n", 2, "built-in one"},
    {"policies in a list", "policies: [a]\nroutes: []\n", 1, "want a mapping of names"},

    {"a route without name", N "  - {listen: ['unix:/s'], mode: both, target: 'a:1'}\n", 6,
     "name is missing"},
    {"a route's name",
     N "  - {name: 'a b', listen: ['unix:/s'], mode: originate, target: 'a:1', upstream: "
       "{require: " L "}}\n",
     6, "want a-z"},
    {"a route twice",
     T "  - {name: web, listen: ['unix:/s'], mode: originate, target: 'a:1', "
       "upstream: {require: " L "}}\n",
     11, "given twice"},
    {"a route without listener", N "  - {name: a, mode: both, target: 'a:1'}\n", 6,
     "listen is missing"},
    {"a route without target", N "  - {name: a, listen: ['unix:/s'], mode: both}\n", 6,
     "target is missing"},
    {"a route without mode", N "  - {name: a, listen: ['unix:/s'], target: 'a:1'}\n", 6,
     "mode is missing"},
    {"a mode that is none", N "  - {name: a, listen: ['unix:/s'], mode: half, target: 'a:1'}\n", 6,
     "want one of terminate"},
    {"a target without port",
     N "  - name: a\n    listen: ['unix:/s']\n    mode: both\n    target: a\n", 9,
     "want HOST:PORT"},
    {"terminating nothing", R, 6, "terminate without downstream"},
    {"terminating upstream", T "    upstream: {require: " L "}\n", 11, "plain there"},
    {"originating nothing", O, 6, "originate without upstream"},
    {"originating downstream",
     O "    upstream: {require: " L "}\n    downstream: {require: " L ", " TLS "}\n", 11,
     "plain there"},
    {"both without upstream",
     N "  - {name: a, listen: ['unix:/s'], mode: both, target: 'a:1', "
       "downstream: {require: " L ", " TLS "}}\n",
     6, "both without upstream"},
    {"a plain target beyond this host",
     N "  - name: a\n    listen: ['unix:/s']\n    mode: terminate\n    target: '10.0.0.1:1'\n"
       "    downstream: {attester: tpm, require: none, " TLS "}\n",
     9, "beyond this host"},
    {"a plain target by name",
     N "  - name: a\n    listen: ['unix:/s']\n    mode: terminate\n    target: 'a:1'\n"
       "    downstream: {attester: tpm, require: none, " TLS "}\n",
     9, "beyond this host"},
    {"a target that is insecure for nothing", T "    insecure-target: true\n", 11,
     "nothing asks for it"},
    {"an attested target that is insecure",
     O "    upstream: {require: " L "}\n    insecure-target: true\n", 11, "nothing asks for it"},

    {"a side that is no mapping", R "    downstream: x\n", 10, "want a mapping"},
    {"a flavour that is none", D "flavour: after\n" REST, 11, "want one of post, intra, pre"},
    {"an attester that nobody named", U "attester: other\n      require: none\n", 11,
     "attesters has no \"other\""},
    {"attesters in a list", U "attester: [tpm]\n      require: none\n", 11, "want a single value"},
    {"a verifier in a mapping", U "require: {verifier: {a: b}, identity: attested}\n", 11,
     "want a single value"},
    {"a policy in a list", U "require: {verifier: local, policy: [a], identity: attested}\n", 11,
     "want a single value"},
    {"no word of require", D "attester: tpm\n      " TLS "\n", 11, "require is missing"},
    {"nobody attested", D "require: none\n      " TLS "\n", 11, "without any attestation"},
    {"nobody attested upstream", U "require: none\n", 11, "without any attestation"},
    {"require in a text", U "require: all\n", 11, "neither a mapping nor none"},
    {"require of a list", U "require: [a]\n", 11, "neither a mapping nor none"},
    {"a presence that is none",
     U "require: {presence: maybe, verifier: local, identity: attested}\n", 11, "presence"},
    {"optional, and no verifier", U "require: {presence: optional, identity: attested}\n", 11,
     "verifier is missing"},
    {"optional, and nothing vouches for the target",
     U "require: {presence: optional, verifier: local, identity: attested}\n", 11,
     "nothing would vouch"},
    {"require without verifier", U "require: {identity: attested}\n", 11, "verifier is missing"},
    {"a verifier that nobody named", U "require: {verifier: other, identity: attested}\n", 11,
     "verifiers has no"},
    {"a policy that nobody named",
     U "require: {verifier: local, policy: other, identity: attested}\n", 11, "policies has no"},
    {"require without identity", U "require: {verifier: local}\n", 11, "identity is missing"},
    {"an identity that is none", U "require: {verifier: local, identity: none}\n", 11,
     "want one of pkix, same-key, attested"},
    {"software that the verifier refuses",
     U "require:\n        verifier: local\n        identity: attested\n        evidence-types: "
       "[tpm, soft]\n",
     14, "anyone can make"},
    {"a profile that is none",
     U "require:\n        verifier: local\n        identity: attested\n        profiles: [x]\n", 14,
     "want kat-bundle"},
    {"RA-TLS in post",
     U
     "require:\n        verifier: local\n        identity: attested\n        profiles: [ra-tls]\n",
     14, "for flavour pre"},
    {"require-self of nobody", U "require: " L "\n      require-self: true\n", 12,
     "wants an attester"},
    {"certificates of nobody",
     U "require: " L
       "\n      certificate-lifetime: 1h\n      flavour: pre\n      freshness: none\n",
     12, "wants an attester"},
    {"re-attestation of nobody", D "reattest-interval: 5m\n" REST, 11, "require is none"},
    {"a failure of nobody", D "on-failure: close\n" REST, 11, "require is none"},
    {"re-attestation that peers take for a flood",
     U "require: " L "\n      reattest-interval: 9s\n", 12,
     "reattest-interval: 9s, want 10s at least: a peer that is asked more than 12 times a minute"},
    {"raw and re-attested", D "raw: true\n      reattest-interval: 5m\n" REST2, 12,
     "no re-attestation"},
    {"raw with a gate", D "raw: true\n      on-failure: gate\n" REST2, 12, "no gate"},
    {"raw in intra", U "raw: true\n      flavour: intra\n      require: " L "\n", 11,
     "raw is for flavour post"},
    {"re-attestation in intra",
     U "reattest-interval: 5m\n      flavour: intra\n      require: " L "\n", 11,
     "reattest-interval is for flavour post"},
    {"on-failure in pre",
     U "on-failure: close\n      flavour: pre\n      freshness: none\n      require: " L "\n", 11,
     "on-failure is for flavour post"},
    {"a secret binder in post", D "secret-binder: true\n" REST, 11, "for flavour intra"},
    {"an extension in post", D "extension-type: 65400\n" REST, 11, "for flavour intra"},
    {"an extension that is taken",
     U "extension-type: 65281\n      flavour: intra\n      require: " L "\n", 11, "renegotiation"},
    {"an extension that is not private",
     U "extension-type: 16\n      flavour: intra\n      require: " L "\n", 11, "want 65280 to"},
    {"freshness in post", D "freshness: nonce\n" REST, 11, "for flavour pre"},
    {"a certificate's life in post", D "certificate-lifetime: 1h\n" REST, 11, "for flavour pre"},
    {"an age of certificates in post", U "certificate-max-age: 1h\n      require: " L "\n", 11,
     "for flavour pre"},
    {"an age of nobody's certificates",
     D "certificate-max-age: 1h\n      flavour: pre\n      freshness: none\n" REST, 11,
     "require is none"},
    {"an age of what is new",
     U "certificate-max-age: 1h\n      flavour: pre\n      freshness: nonce\n      require: " L
       "\n",
     11, "for freshness: none"},
    {"an age without end",
     U "certificate-max-age: 438001h\n      flavour: pre\n      freshness: none\n      require: " L
       "\n",
     11, "want 1 to"},
    {"pre without freshness", U "flavour: pre\n      require: " L "\n", 11, "freshness is missing"},
    {"results that intra cannot ask for",
     U "flavour: intra\n      require: {verifier: fresh, identity: attested}\n", 12,
     "cannot ask for one"},
    {"results of a verifier without name",
     U "flavour: intra\n      require: {verifier: file, identity: attested}\n", 12, "known-as"},
    {"a passport of a verifier without name",
     U "flavour: intra\n      attester: q\n      require: " L "\n", 11, "known-as"},
    {"fresh results for no nonce",
     U "{flavour: pre, freshness: none, require: {verifier: fresh, identity: attested}}\n", 11,
     "nothing to answer"},
    {"old results for a nonce",
     U "{flavour: pre, freshness: nonce, require: {verifier: pass, identity: attested}}\n", 11,
     "answers no nonce"},

    {"a certificate without key",
     D "attester: tpm\n      require: none\n      tls: {certificate: c}\n", 13, "go together"},
    {"a key without certificate", D "attester: tpm\n      require: none\n      tls: {key: c}\n", 13,
     "go together"},
    {"two keys",
     D "attester: tpm\n      require: none\n      tls: {certificate: c, key: k, ephemeral: true}\n",
     13, "contradicts"},
    {"no key", D "attester: tpm\n      require: none\n", 11, "neither certificate and key"},
    {"no key, and yet TLS", D "attester: tpm\n      require: none\n      tls: {ephemeral: false}\n",
     13, "neither certificate and key"},
    {"a key for nothing", D "require: " L "\n      tls: {ephemeral: true}\n", 12,
     "nothing would vouch"},
    {"an ephemeral client", U "require: " L "\n      tls: {ephemeral: true}\n", 12,
     "for downstream"},
    {"a key beside the attester's",
     D "flavour: intra\n      attester: tpm\n      require: none\n      " TLS "\n", 14,
     "is the attester's"},
    {"an ephemeral key beside the attester's",
     D "flavour: intra\n      attester: tpm\n      require: none\n      tls: {ephemeral: true}\n",
     14, "is the attester's"},
    {"a name that is none", U "require: " L "\n      tls: {name: 'a b'}\n", 12, "name is \"a b\""},
    {"a name of clients",
     D "attester: tpm\n      require: none\n      tls: {certificate: c, key: k, name: x}\n", 13,
     "downstream are clients"},
    {"an authority that nobody asks", U "require: " L "\n      tls: {ca: a}\n", 12,
     "no certificate is checked"},
    {"a list that nobody asks",
     D "attester: tpm\n      require: none\n      tls: {certificate: c, key: k, crl: x}\n", 13,
     "no certificate is checked"},
    {"clients of any authority", D "require: {verifier: local, identity: pkix}\n      " TLS "\n",
     12, "vouch for any client"},
    {"keys of any authority", D "require: {verifier: local, identity: same-key}\n      " TLS "\n",
     12, "vouch for any client"},
    {"a server without name",
     N "  - name: a\n    listen: ['unix:/s']\n    mode: originate\n    target: unix:/t\n"
       "    upstream:\n      require: {verifier: local, identity: pkix}\n",
     11, "name is missing"},
    {"protocols that are too long",
     U "require: " L "\n      alpn: ["
       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]\n",
     12, "1 to 255 bytes"},

    {"no listeners",
     N "  - {name: a, listen: [], mode: originate, target: 'a:1', upstream: "
       "{require: " L "}}\n",
     6, "has 0 entries"},
    {"a listener by name",
     N "  - {name: a, listen: ['a:1'], mode: originate, target: 'a:1', upstream: {require: " L
       "}}\n",
     6, "not a name"},
    {"a listener of two addresses",
     N "  - {name: a, listen: [[a]], mode: originate, target: 'a:1', upstream: {require: " L "}}\n",
     6, "want a mapping"},
    {"a listener without address",
     N "  - {name: a, listen: [{mode: 0600}], mode: originate, target: 'a:1', upstream: "
       "{require: " L "}}\n",
     6, "address is missing"},
    {"a listener twice",
     N "  - {name: a, listen: ['unix:/s', 'unix:/s'], mode: originate, target: 'a:1', upstream: "
       "{require: " L "}}\n",
     6, "given twice"},
    {"a listener twice, once by another port",
     N "  - {name: a, listen: ['127.0.0.1:80', '127.0.0.1:080'], mode: originate, target: 'a:1', "
       "upstream: {require: " L "}}\n",
     6, "given twice"},
    {"plain from beyond this host",
     N "  - {name: a, listen: ['0.0.0.0:1'], mode: originate, target: 'a:1', upstream: {require: " L
       "}}\n",
     6, "from beyond this host"},
    {"plain from systemd",
     N "  - {name: a, listen: ['systemd:x'], mode: originate, target: 'a:1', upstream: {require: " L
       "}}\n",
     6, "from beyond this host"},
    {"TLS that is insecure",
     N "  - {name: a, listen: [{address: '0.0.0.0:1', insecure: true}], mode: terminate, target: "
       "'unix:/t', downstream: {attester: tpm, require: none, " TLS "}}\n",
     6, "nothing asks for it"},
    {"plain routes at one listener",
     O "    upstream: {require: " L "}\n"
       "  - {name: b, listen: ['127.0.0.1:5432'], mode: originate, target: 'a:1', upstream: "
       "{require: " L "}}\n",
     11, "cannot be told apart"},
    {"another mode at one listener",
     N "  - {name: a, listen: ['unix:/s'], match: {sni: [a]}, mode: terminate, target: 'unix:/t', "
       "downstream: {attester: tpm, require: none, " TLS "}}\n"
       "  - {name: b, listen: [{address: 'unix:/s', mode: 0600}], mode: terminate, target: "
       "'unix:/t', downstream: {attester: tpm, require: none, " TLS "}}\n",
     7, "another mode"},
    {"another PROXY at one listener",
     N "  - {name: a, listen: ['unix:/s'], match: {sni: [a]}, mode: terminate, target: 'unix:/t', "
       "downstream: {attester: tpm, require: none, " TLS "}, proxy-protocol: {in: true}}\n"
       "  - {name: b, listen: ['unix:/s'], mode: terminate, target: "
       "'unix:/t', downstream: {attester: tpm, require: none, " TLS "}}\n",
     7, "another proxy-protocol"},
    {"two routes without match",
     T "  - {name: b, listen: ['0.0.0.0:443'], mode: terminate, target: 'unix:/t', downstream: "
       "{attester: tpm, require: none, " TLS "}}\n",
     11, "takes all of it"},
    {"a route behind one without match",
     T "  - {name: b, listen: ['0.0.0.0:443'], match: {sni: [a]}, mode: terminate, target: "
       "'unix:/t', downstream: {attester: tpm, require: none, " TLS "}}\n",
     11, "takes all of it"},
    {"a route behind its star",
     T "    match: {sni: ['*.a', b], alpn: [x, y]}\n"
       "  - {name: b, listen: ['0.0.0.0:443'], match: {sni: [x.a, b], alpn: [y]}, mode: "
       "terminate, target: 'unix:/t', downstream: {attester: tpm, require: none, " TLS "}}\n",
     12, "takes all of it"},

    {"a match of nothing", T "    match: {}\n", 11, "neither sni nor alpn"},
    {"a match in capitals", T "    match: {sni: [A.example]}\n", 11, "in lower case"},
    {"a star inside", T "    match: {sni: ['a.*.b']}\n", 11, "in lower case"},
    {"a star alone", T "    match: {sni: ['*.']}\n", 11, "in lower case"},
    {"a match of an address", T "    match: {sni: ['::1']}\n", 11, "in lower case"},
    {"a match of plain connections", O "    upstream: {require: " L "}\n    match: {sni: [a]}\n",
     11, "takes plain connections"},

    {"PROXY of nothing", T "    proxy-protocol: {in: false}\n", 11, "neither in: true"},
    {"PROXY from anybody", T "    proxy-protocol: {in: true}\n", 11, "anybody could claim"},
    {"PROXY from everybody", T "    proxy-protocol: {in: true, trusted: [0.0.0.0/0]}\n", 11,
     "BITS from 1"},
    {"PROXY from a name", T "    proxy-protocol: {in: true, trusted: [a]}\n", 11, "BITS from 1"},
    {"a network with bits behind", T "    proxy-protocol: {in: true, trusted: [10.0.0.1/8]}\n", 11,
     "BITS from 1"},
    {"a network of too many bits", T "    proxy-protocol: {in: true, trusted: [10.0.0.0/33]}\n", 11,
     "BITS from 1"},
    {"a network without bits", T "    proxy-protocol: {in: true, trusted: [10.0.0.0/]}\n", 11,
     "BITS from 1"},
    {"a network of no number", T "    proxy-protocol: {in: true, trusted: [10.0.0.0/8x]}\n", 11,
     "BITS from 1"},
    {"a network in a list", T "    proxy-protocol: {in: true, trusted: [[a]]}\n", 11,
     "BITS from 1"},
    {"a network that is too long",
     T "    proxy-protocol: {in: true, trusted: "
       "['00000000000000000000000000000000000000000000000000000000000000001']}\n",
     11, "BITS from 1"},
    {"networks in a text", T "    proxy-protocol: {in: true, trusted: a}\n", 11, "is no list"},
    {"trusted for nothing", T "    proxy-protocol: {out: true, trusted: [1.2.3.4]}\n", 11,
     "for in: true"},
    {"claims for nothing", T "    proxy-protocol: {in: true, trusted: [1.2.3.4], claims: [a]}\n",
     11, "for out: true"},
    {"claim without a name", T "    proxy-protocol: {out: true, claims: [a..b]}\n", 11, "at a dot"},
    {"claims of nobody", T "    proxy-protocol: {out: true, claims: [a]}\n", 11, "none is"},

    {"headers of nothing", T "    http-headers: {}\n", 11, "names no header"},
    {"headers of another", T "    http-headers: {name: X}\n", 11, "unknown key"},
    {"headers of nobody", T "    http-headers: {verdict: X-A}\n", 11, "require is none"},
    {"headers into TLS", O "    upstream: {require: " L "}\n    http-headers: {verdict: X-A}\n", 11,
     "mode terminate"},
    {"headers into HTTP/2",
     R "    downstream: {alpn: [h2], require: " L ", " TLS "}\n    http-headers: {verdict: X-A}\n",
     11, "alpn has \"h2\""},
    {"a header that is none", T "    http-headers: {verdict: 'X A'}\n", 11, "no name of an HTTP"},
    {"a header that frames", T "    http-headers: {verdict: content-length}\n", 11,
     "meaning of its own"},
    {"a header twice", T "    http-headers: {verdict: X-A, instance: x-a}\n", 11, "given twice"},
    {"a header that frames, by another sign", T "    http-headers: {verdict: Content_Length}\n", 11,
     "meaning of its own"},
    {"a header twice, by another sign", T "    http-headers: {verdict: X-A, instance: x_a}\n", 11,
     "given twice"},
    {"a limit of a route that is none", T "    limits: {connections: 0}\n", 11, "want 1 to"},
    {"a limit of all in a route", T "    limits: {rate: 5}\n", 11, "unknown key"},
};

/* False, after an explanation, when it is not as the row says. */
static bool is_as_said(const struct row *row)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct config *config = NULL;
    char where[32];
    enum atls_code code =
        config_parse("f.yaml", atls_bytes_of(row->text, strlen(row->text)), &config, &err);

    config_free(config);
    snprintf(where, sizeof where, "f.yaml:%zu: ", row->line);
    if (code == (row->line == 0 ? ATLS_OK : ATLS_E_CONFIG) &&
        (row->line == 0 || (strncmp(err.message, where, strlen(where)) == 0 &&
                            strstr(err.message, row->rule) != NULL)))
        return true;
    print_error("%s: want line %zu, %s: %d, %s\n", row->name, row->line,
                row->rule != NULL ? row->rule : "good", code, err.message);
    return false;
}

static void test_rows(const struct row *rows, size_t count)
{
    size_t wrong = 0;

    for (size_t i = 0; i < count; i++)
        wrong += !is_as_said(&rows[i]);
    assert_int_equal(wrong, 0);
}

static void test_good(void **state)
{
    (void)state;
    test_rows(good, sizeof good / sizeof good[0]);
}

static void test_bad(void **state)
{
    (void)state;
    test_rows(bad, sizeof bad / sizeof bad[0]);
}

static struct config *parse(const char *text)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct config *config = NULL;

    test_assert_code(config_parse("f", atls_bytes_of(text, strlen(text)), &config, &err), ATLS_OK,
                     &err);
    if (config == NULL)
        abort();
    return config;
}

static void test_defaults(void **state)
{
    struct config *c = parse(T);
    const struct config_side *side = &c->routes[0].downstream;

    (void)state;
    assert_true(c->sandbox == CONFIG_SANDBOX_ON && c->ready_timeout_s == 60 &&
                c->store_interval_s == 5 && c->limits.reattestations == 64 && c->log_json == 1 &&
                c->log_level == ATLS_LOG_INFO);
    assert_int_equal(c->operation.line, 0);
    assert_true(c->limits.connections > 0 && c->limits.handshakes > 0 && c->limits.rate > 0 &&
                c->limits.burst > 0 && c->limits.connections_per_source > 0 &&
                c->limits.drain_timeout_s > 0);
    assert_memory_equal(&c->routes[0].deadlines, &c->limits.deadlines, sizeof c->limits.deadlines);
    assert_int_equal(c->limits.deadlines.gate_timeout_s, 30);
    assert_int_equal(c->limits.deadlines.bytes_before_gate, 1024 * 1024);
    assert_int_equal(side->flavour, ATLS_FLAVOUR_POST);
    assert_int_equal(side->on_failure, ATLS_ON_FAILURE_CLOSE);
    assert_false(side->raw || side->require_self);
    assert_string_equal(side->attester->uri, "tpm2:device");
    assert_int_equal(side->require.line, 0);
    assert_null(side->tls.name);
    assert_int_equal(c->routes[0].upstream.line, 0);
    assert_int_equal(c->listener_count, 1);
    assert_ptr_equal(c->listeners[0].routes[0], &c->routes[0]);
    assert_false(c->listeners[0].plain);
    assert_int_equal(c->listeners[0].at.mode, -1);
    config_free(c);
    config_free(NULL);
}

/* What is said is what is read. */
static void test_values(void **state)
{
    struct config *c = parse(
        "limits: {connections: 9, connections-per-source: 5, gate-timeout: 7s, idle-timeout: 2m}\n"
        "log: {format: text, level: error}\nsandbox: report\nready-timeout: 5s\nstore-interval: "
        "1m\n"
        "operation: {listen: 'unix:/o', mode: 0600}\n" U
        "flavour: pre\n      freshness: nonce\n      attester: tpm\n      require-self: true\n"
        "      certificate-lifetime: 2h\n      alpn: [h2, x]\n      require: {verifier: local, "
        "policy: strict, identity: same-key, evidence-types: [tpm], profiles: [ra-tls, bare]}\n"
        "    limits: {connections: 3, gate-timeout: 8s}\n");
    const struct config_route *r = &c->routes[0];
    const struct config_side *side = &r->upstream;

    (void)state;
    assert_int_equal(c->log_json, 0);
    assert_int_equal(c->log_level, ATLS_LOG_ERROR);
    assert_int_equal(c->sandbox, CONFIG_SANDBOX_REPORT);
    assert_int_equal(c->ready_timeout_s, 5);
    assert_int_equal(c->store_interval_s, 60);
    assert_string_equal(c->operation.at.address.path, "/o");
    assert_int_equal(c->operation.at.mode, 0600);
    assert_int_equal(r->connections, 3);
    assert_int_equal(r->deadlines.gate_timeout_s, 8);
    assert_int_equal(r->deadlines.idle_timeout_s, 120);
    assert_int_equal(r->mode, CONFIG_ORIGINATE);
    assert_string_equal(r->target.host, "db.example");
    assert_true(c->listeners[0].plain);
    assert_int_equal(side->flavour, ATLS_FLAVOUR_PRE);
    assert_int_equal(side->freshness, ATLS_FRESHNESS_NONCE);
    assert_true(side->require_self);
    assert_int_equal(side->certificate_lifetime_s, 7200);
    assert_int_equal(side->alpn.count, 2);
    assert_string_equal(side->alpn.at[1], "x");
    assert_null(side->alpn.at[2]);
    assert_string_equal(side->require.verifier->name, "local");
    assert_string_equal(side->require.policy->file, "/p.jq");
    assert_int_equal(side->require.identity, ATLS_IDENTITY_SAME_KEY);
    assert_string_equal(side->require.evidence_types.at[0], "tpm");
    assert_int_equal(side->require.profiles.count, 2);
    assert_string_equal(side->tls.name, "db.example"); /* of the target */
    config_free(c);
    c = parse(T "limits: {connections: 9, rate: 5000}\n");
    assert_int_equal(c->limits.connections_per_source, 9);
    assert_int_equal(c->limits.burst, 5000);
    config_free(c);
    c = parse(U "require: {verifier: local, policy: default, identity: attested}\n"
                "      on-failure: gate\n");
    assert_null(c->routes[0].upstream.require.policy);
    assert_int_equal(c->routes[0].upstream.on_failure, ATLS_ON_FAILURE_GATE);
    config_free(c);
}

/* Names of Verifiers that flavour intra negotiates by. */
static void test_known_as(void **state)
{
    static const struct {
        const char *url, *name;
    } rows[] = {
        {"https://v.example/x", "v.example"},
        {"https://v.example", "v.example"},
        {"https://v.example:8443/", "v.example"},
        {"https://[::1]:8443/", "::1"},
        {"https://v?x", "v"},
        {"http://v.example/", ""},
        {"/etc/keys.pem", ""},
        {"https:///x", ""},
    };
    char text[1024], longest[257];
    struct config *c;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(text, sizeof text, "verifiers: {a: {uri: 'passport:%s'}}\n%s", rows[i].url,
                 "routes: [{name: a, listen: ['unix:/s'], mode: originate, target: 'a:1', "
                 "upstream: {require: {verifier: a, identity: attested}}}]\n");
        c = parse(text);
        assert_true(c->verifiers[0].takes_results);
        assert_string_equal(c->verifiers[0].accepted, rows[i].name);
        config_free(c);
    }
    memset(longest, 'a', 256);
    for (size_t len = 256; len >= 255; len--) {
        struct atls_err err = ATLS_ERR_INIT;

        longest[len] = '\0';
        snprintf(text, sizeof text, "verifiers: {a: {uri: 'passport:/f', known-as: %s}}\n%s",
                 longest,
                 "routes: [{name: a, listen: ['unix:/s'], mode: originate, target: 'a:1', "
                 "upstream: {require: {verifier: a, identity: attested}}}]\n");
        c = NULL;
        test_assert_code(config_parse("f", atls_bytes_of(text, strlen(text)), &c, &err),
                         len > 255 ? ATLS_E_CONFIG : ATLS_OK, &err);
        assert_true(len <= 255 || strstr(err.message, "known-as has 256 bytes") != NULL);
        assert_true(len > 255 || strcmp(c->verifiers[0].accepted, longest) == 0);
        config_free(c);
        /* No name of a host that is too long for one. */
        snprintf(text, sizeof text, "verifiers: {a: {uri: 'passport:https://%s'}}\n%s", longest,
                 "routes: [{name: a, listen: ['unix:/s'], mode: originate, target: 'a:1', "
                 "upstream: {require: {verifier: a, identity: attested}}}]\n");
        c = parse(text);
        assert_string_equal(c->verifiers[0].accepted, len > 255 ? "" : longest);
        config_free(c);
    }
}

#define M(match) T "    match: " match "\n"

static void test_match(void **state)
{
#define NONCE "aaaaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbbb"
    static const struct {
        const char *text, *sni, *alpn;
        bool matches;
    } rows[] = {
        {T, "", NULL, true},
        {T, "a.example", "x", true},
        {M("{sni: [a.example, b.example]}"), "b.example", NULL, true},
        {M("{sni: [a.example, b.example]}"), "c.example", NULL, false},
        {M("{sni: [a.example]}"), "", NULL, false},
        {M("{sni: [a.example]}"), "x.a.example", NULL, false},
        {M("{sni: [a.example]}"), NONCE ".a.example", NULL, false}, /* no flavour pre */
        {M("{sni: ['*.a.example']}"), "x.a.example", NULL, true},
        {M("{sni: ['*.a.example']}"), "a.example", NULL, false},
        {M("{sni: ['*.a.example']}"), ".a.example", NULL, false},
        {M("{sni: ['*.a.example']}"), "x.y.a.example", NULL, false},
        {M("{sni: ['*.a.example']}"), "a", NULL, false},
        {M("{alpn: [x, y]}"), "", "y", true},
        {M("{alpn: [x, y]}"), "", "z", false},
        {M("{alpn: [x, y]}"), "", NULL, false},
        {M("{sni: [a], alpn: [x]}"), "a", "x", true},
        {M("{sni: [a], alpn: [x]}"), "a", "y", false},
        {M("{sni: [a], alpn: [x]}"), "b", "x", false},
    };
    struct config *c;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *const alpn[] = {"other", rows[i].alpn};

        c = parse(rows[i].text);
        if (config_route_matches(&c->routes[0], rows[i].sni, alpn, rows[i].alpn != NULL ? 2 : 1) !=
            rows[i].matches)
            fail_msg("row %zu", i);
        config_free(c);
    }
    c = parse(D "{flavour: pre, freshness: nonce, attester: tpm, require: none}\n"
                "    match: {sni: [a.example]}\n");
    assert_true(config_route_matches(&c->routes[0], "a.example", NULL, 0));
    assert_true(config_route_matches(&c->routes[0], NONCE ".a.example", NULL, 0));
    assert_false(config_route_matches(&c->routes[0], NONCE "a.a.example", NULL, 0));
    assert_false(config_route_matches(&c->routes[0], NONCE, NULL, 0));
    config_free(c);
}

static void test_shared(void **state)
{
    struct config *c =
        parse(M("{sni: [a]}") "  - {name: b, listen: ['0.0.0.0:443', 'unix:/s'], mode: terminate, "
                              "target: 'unix:/t', downstream: {attester: tpm, require: none, " TLS
                              "}}\n");

    (void)state;
    assert_int_equal(c->listener_count, 2);
    assert_int_equal(c->listeners[0].route_count, 2);
    assert_string_equal(c->listeners[0].routes[0]->name, "web");
    assert_string_equal(c->listeners[0].routes[1]->name, "b");
    assert_int_equal(c->listeners[1].route_count, 1);
    config_free(c);
}

static bool is_trusted(const struct config *c, int family, const char *text)
{
    struct sockaddr_storage at;
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

    memset(&at, 0, sizeof at);
    at.ss_family = (sa_family_t)family;
    if (family == AF_INET) {
        assert_int_equal(inet_pton(AF_INET, text, &in.sin_addr), 1);
        memcpy(&at, &in, sizeof in);
    } else if (family == AF_INET6) {
        assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
        memcpy(&at, &in6, sizeof in6);
    }
    return config_is_trusted(&c->routes[0].proxy, (struct sockaddr *)&at);
}

static void test_trusted(void **state)
{
    struct config *c = parse(T "    proxy-protocol: {in: true, trusted: [10.1.0.0/17, 1.2.3.4, "
                               "'fd00::/9', '::1']}\n");

    (void)state;
    assert_true(is_trusted(c, AF_INET, "10.1.0.0"));
    assert_true(is_trusted(c, AF_INET, "10.1.127.255"));
    assert_false(is_trusted(c, AF_INET, "10.1.128.0"));
    assert_false(is_trusted(c, AF_INET, "10.0.127.255"));
    assert_true(is_trusted(c, AF_INET, "1.2.3.4"));
    assert_false(is_trusted(c, AF_INET, "1.2.3.5"));
    assert_true(is_trusted(c, AF_INET6, "::ffff:1.2.3.4"));
    assert_false(is_trusted(c, AF_INET6, "::1.2.3.4"));
    assert_true(is_trusted(c, AF_INET6, "fd7f::1"));
    assert_false(is_trusted(c, AF_INET6, "fd80::1"));
    assert_true(is_trusted(c, AF_INET6, "::1"));
    assert_true(is_trusted(c, AF_UNIX, NULL));
    assert_false(is_trusted(c, AF_UNSPEC, NULL));
    config_free(c);
}

/* What a change of each value does to what is open. */
static void test_same(void **state)
{
    static const char *const attesters[] = {
        "{uri: 'tsm:', passport: {from: 'http://v'}}",
        "{uri: 'tpm2:', passport: {from: 'http://v'}}",
        "{uri: 'tsm:', certificate: c, passport: {from: 'http://v'}}",
        "{uri: 'tsm:', endorsements: c, passport: {from: 'http://v'}}",
        "{uri: 'tsm:', dns-names: [a], passport: {from: 'http://v'}}",
        "{uri: 'tsm:', dns-names: [b], passport: {from: 'http://v'}}",
        "{uri: 'tsm:'}",
        "{uri: 'tsm:', passport: {from: 'http://w'}}",
        "{uri: 'tsm:', passport: {from: 'http://v', ca: c}}",
        "{uri: 'tsm:', passport: {from: 'http://v', result-keys: c}}",
        "{uri: 'tsm:', passport: {from: 'http://v', timeout: 5}}",
        "{uri: 'tsm:', passport: {from: 'http://v', lifetime: 500}}",
        "{uri: 'tsm:', passport: {from: 'http://v', only: true}}",
        "{uri: 'tsm:', passport: {from: 'http://v', known-as: x}}",
    };
    static const char *const verifiers[] = {
        "{uri: 'local:s'}",
        "{uri: 'local:t'}",
        "{uri: 'local:s', insecure: true}",
        "{uri: 'local:s', allow-sha1-pcr-bank: true}",
        "{uri: 'local:s', allow-unsafe-clock: true}",
        "{uri: 'local:s', allow-ima-violations: true}",
        "{uri: 'local:s', require-ak-eku: true}",
        "{uri: 'local:s', rules: {snp.vmpl: 1}}",
        "{uri: 'local:s', rules: {snp.vmpl: 2}}",
        "{uri: 'local:s', collateral: {amd: a}}",
        "{uri: 'local:s', collateral: {amd: a}, ca: c}",
        "{uri: 'passport:s'}",
        "{uri: 'passport:s', result-keys: k}",
        "{uri: 'passport:s', max-age: 1}",
        "{uri: 'passport:s', timeout: 1}",
        "{uri: 'passport:s', fresh-result: true}",
        "{uri: 'passport:s', known-as: x}",
    };
    char text[4096];
    size_t len = 0;
    struct config *a, *b;

    (void)state;
    len += (size_t)snprintf(text + len, sizeof text - len, "attesters:\n");
    for (size_t i = 0; i < sizeof attesters / sizeof attesters[0]; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "  a%zu: %s\n", i, attesters[i]);
    len += (size_t)snprintf(text + len, sizeof text - len, "verifiers:\n");
    for (size_t i = 0; i < sizeof verifiers / sizeof verifiers[0]; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "  v%zu: %s\n", i, verifiers[i]);
    (void)snprintf(text + len, sizeof text - len,
                   "policies: {p: f, q: g}\nroutes: [{name: a, listen: ['unix:/s'], mode: "
                   "originate, target: 'a:1', upstream: {require: {verifier: v0, identity: "
                   "attested}}}]\n");
    a = parse(text);
    b = parse(text);
    for (size_t i = 0; i < a->attester_count; i++)
        for (size_t k = 0; k < a->attester_count; k++) {
            b->attesters[k].name = a->attesters[i].name; /* the values alone differ */
            assert_int_equal(config_attester_same(&a->attesters[i], &b->attesters[k]), i == k);
        }
    for (size_t i = 0; i < a->verifier_count; i++)
        for (size_t k = 0; k < a->verifier_count; k++) {
            b->verifiers[k].name = a->verifiers[i].name;
            assert_int_equal(config_verifier_same(&a->verifiers[i], &b->verifiers[k]), i == k);
        }
    b->verifiers[0].name = "other";
    assert_false(config_verifier_same(&a->verifiers[0], &b->verifiers[0]));
    b->attesters[0].name = "other";
    assert_false(config_attester_same(&a->attesters[0], &b->attesters[0]));
    assert_true(config_policy_same(&a->policies[0], &b->policies[0]));
    b->policies[1].name = b->policies[0].name;
    assert_false(config_policy_same(&a->policies[0], &b->policies[1]));
    config_free(a);
    config_free(b);
}

/* More than there is room for. */
static void test_too_many(void **state)
{
    static const struct {
        const char *head, *entry, *rule;
        size_t count;
    } rows[] = {
        {"attesters:\n", "  a%zu: {uri: 'tpm2:'}\n", "has 65 entries", CONFIG_NAMED_MAX + 1},
        {"routes:\n", "  - {name: a%zu, listen: ['unix:/s%zu'], mode: originate, target: 'a:1'}\n",
         "has 257 entries", CONFIG_ROUTES_MAX + 1},
        {N,
         "  - {name: a%zu, listen: ['unix:/s'], match: {sni: [s%zu]}, mode: terminate, target: "
         "'unix:/t', downstream: {attester: tpm, require: none, " TLS "}}\n",
         "more than 64 routes", CONFIG_SHARE_MAX + 1},
        {N,
         "  - {name: a%zu, listen: ['unix:/s%zu', 'unix:/t%zu'], mode: originate, target: "
         "'a:1', upstream: {require: " L "}}\n",
         "more than 256 listeners", CONFIG_LISTENERS_MAX / 2 + 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        size_t len = strlen(rows[i].head), size = 200000;
        struct config *c = NULL;
        char *text = malloc(size);

        assert_non_null(text);
        memcpy(text, rows[i].head, len + 1);
        for (size_t k = 0; k < rows[i].count; k++) {
            /* Each % of an entry is its number. */
            for (const char *at = rows[i].entry; *at != '\0'; at++) {
                if (strncmp(at, "%zu", 3) == 0) {
                    len += (size_t)snprintf(text + len, size - len, "%zu", k);
                    at += 2;
                } else {
                    text[len++] = *at;
                }
            }
        }
        test_assert_code(config_parse("f", atls_bytes_of(text, len), &c, &err), ATLS_E_CONFIG,
                         &err);
        if (strstr(err.message, rows[i].rule) == NULL)
            fail_msg("want %s: %s", rows[i].rule, err.message);
        free(text);
    }
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *f;

    (void)chmod(path, 0600);
    f = fopen(path, "w");
    if (f == NULL)
        abort();
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

static void test_load(void **state)
{
    static const struct {
        const char *uri, *passport;
        bool has_password;
    } rows[] = {
        {"local:postgresql://u:p@h/d", "https://v", true},
        {"local:postgresql://u@h/d", "https://v", false},
        {"local:/s", "https://u:p@v", true},
        {"local:/s", "https://v", false},
    };
    char folder[] = "/tmp/atls-proxy.XXXXXX", path[64], text[512];
    struct atls_err err = ATLS_ERR_INIT;
    struct config *c = NULL;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/proxy.yaml", folder);
    test_assert_code(config_load(path, &c, &err), ATLS_E_CONFIG, &err);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t open = 0; open < 2; open++) {
            snprintf(text, sizeof text,
                     "verifiers: {a: {uri: '%s'}}\nattesters: {a: {uri: 'tsm:', passport: {from: "
                     "'%s'}}}\nroutes: [{name: a, listen: ['unix:/s'], mode: originate, target: "
                     "'a:1', upstream: {require: {verifier: a, identity: attested}}}]\n",
                     rows[i].uri, rows[i].passport);
            write_file(path, text, open == 0 ? 0640 : 0644);
            c = NULL;
            test_assert_code(config_load(path, &c, &err),
                             rows[i].has_password && open == 1 ? ATLS_E_CONFIG : ATLS_OK, &err);
            assert_true((c == NULL) == (rows[i].has_password && open == 1));
            config_free(c);
        }
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void test_example(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct config *c = NULL;

    (void)state;
    test_assert_code(config_load(ATLS_TEST_VECTORS "/../../dist/atls-proxy.yaml", &c, &err),
                     ATLS_OK, &err);
    assert_int_equal(c->route_count, 2);
    config_free(c);
}

/* Every file that is named is looked at, and found missing at its line. */
static void test_files(void **state)
{
    static const struct {
        const char *file;
        size_t line;
        const char *pem; /* what has to be in it; NULL: anything */
    } files[] = {
        {"aik", 3, "CERTIFICATE"},
        {"ek", 3, "CERTIFICATE"},
        {"service-ca", 7, "CERTIFICATE"},
        {"keys", 7, NULL},
        {"verifier-ca", 11, "CERTIFICATE"},
        {"result-keys", 11, NULL},
        {"policy", 14, NULL},
        {"cert", 20, "CERTIFICATE"},
        {"key", 20, NULL},
        {"clients", 20, "CERTIFICATE"},
        {"crl", 20, "X509 CRL"},
        {"up-cert", 27, "CERTIFICATE"},
        {"up-key", 27, NULL},
    };
    static const char form[] = "attesters: # %s\n"
                               "  a:\n"
                               "    uri: 'tsm:'\n"
                               "    certificate: %s/aik\n"
                               "    endorsements: %s/ek\n"
                               "    passport:\n"
                               "      from: https://v\n"
                               "      ca: %s/service-ca\n"
                               "      result-keys: %s/keys\n"
                               "verifiers:\n"
                               "  v: {uri: 'veraison:https://v', ca: %s/verifier-ca, result-keys: "
                               "%s/result-keys}\n"
                               "# policies\n"
                               "policies:\n"
                               "  p: %s/policy\n"
                               "routes:\n"
                               "  - {name: a, listen: ['unix:/s'], mode: both, target: 'a:1',\n"
                               "     downstream: {\n"
                               "       require: {verifier: v, policy: p, identity: pkix},\n"
                               "       tls:\n"
                               "         {certificate: %s/cert, key: %s/key, ca: %s/clients,\n"
                               "          crl: %s/crl}},\n"
                               "     upstream: {\n"
                               "       require: {verifier: v, identity: attested},\n"
                               "       attester: a,\n"
                               "       raw: true,\n"
                               "       tls:\n"
                               "         {certificate: %s/up-cert, key: %s/up-key}}}\n";
    char folder[] = "/tmp/atls-proxy.XXXXXX", path[128], where[160], text[4096];
    struct atls_err err = ATLS_ERR_INIT;
    size_t len = 0;
    struct config *c;

    (void)state;
    assert_non_null(mkdtemp(folder));
    for (const char *at = form; *at != '\0'; at++) {
        if (strncmp(at, "%s", 2) == 0) {
            len += (size_t)snprintf(text + len, sizeof text - len, "%s", folder);
            at++;
        } else {
            text[len++] = *at;
        }
    }
    text[len] = '\0';
    c = parse(text);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i].file);
        snprintf(where, sizeof where, "f:%zu: %s: No such file", files[i].line, path);
        test_assert_code(config_check_files(c, &err), ATLS_E_CONFIG, &err);
        if (strncmp(err.message, where, strlen(where)) != 0)
            fail_msg("want %s: %s", where, err.message);
        write_file(path, "x", 0644);
        if (files[i].pem != NULL) {
            test_assert_code(config_check_files(c, &err), ATLS_E_CONFIG, &err);
            assert_non_null(strstr(err.message, files[i].pem));
            snprintf(where, sizeof where, "-----BEGIN %s-----\n", files[i].pem);
            write_file(path, where, 0644);
        }
        if (strstr(files[i].file, "key") == files[i].file + strlen(files[i].file) - 3) {
            test_assert_code(config_check_files(c, &err), ATLS_E_CONFIG, &err);
            assert_non_null(strstr(err.message, "others can neither read nor write"));
            assert_int_equal(chmod(path, 0600), 0);
        }
    }
    test_assert_code(config_check_files(c, &err), ATLS_OK, &err);
    config_free(c);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i].file);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),     cmocka_unit_test(test_bad),
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_values),
        cmocka_unit_test(test_known_as), cmocka_unit_test(test_match),
        cmocka_unit_test(test_shared),   cmocka_unit_test(test_trusted),
        cmocka_unit_test(test_same),     cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_load),     cmocka_unit_test(test_example),
        cmocka_unit_test(test_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
