"""Configurations that atls-proxy does not take, by command: which line it names, and which rule. Where one is put
before a proxy that runs, the old one stays. "# here" marks the line."""
import pathlib
import re
import shutil

import pytest

from conftest import laboratory, run
from proxy import Proxy
from test_proxy_faults import client_context
from test_proxy_limits import call

GOOD = """\
attesters:
  own: {uri: "soft:", insecure: true}
verifiers:
  store: {uri: "local:{store}"}
policies:
  mine: {dir}/mine.jq
routes:
  - name: web
    listen: ["127.0.0.1:0"]
    mode: terminate
    target: 127.0.0.1:9
    downstream:
      attester: own
      require: {verifier: store, identity: pkix, policy: mine}
      tls: {certificate: {dir}/tls.pem, key: {dir}/tls.key, ca: {dir}/ca.pem}
  - name: out
    listen: ["127.0.0.1:0"]
    mode: originate
    target: db.example:9
    upstream:
      require: {verifier: store, identity: pkix}
      tls: {ca: {dir}/ca.pem}
"""
REQUIRE = "      require: {verifier: store, identity: pkix}\n"
OUT = "    target: db.example:9\n"
WEB = '    listen: ["127.0.0.1:0"]\n    mode: terminate\n'
FRONT_TLS = "      tls: {certificate: {dir}/tls.pem, key: {dir}/tls.key, ca: {dir}/ca.pem}\n"
UP = "    upstream:\n"
DOWN = "    downstream:\n"
LAST = "      tls: {ca: {dir}/ca.pem}\n"

# What, in place of what, which rule.
CASES = {
    # The shape of the document.
    "an unknown key": ("", "colour: blue # here\n", "colour"),
    "an unknown key of a route": (OUT, OUT + "    colour: blue # here\n", "colour"),
    "an unknown key of a side": (UP, UP + "      colour: blue # here\n", "colour"),
    "an unknown key in one line": (LAST, "      tls: {ca: {dir}/ca.pem, colour: blue} # here\n", "colour"),
    "a key twice": (OUT, OUT + "    target: db.example:10 # here\n", "target"),
    "a part twice": ("", "routes: [] # here\n", "routes"),
    "a mapping in place of a value": (OUT, "    target: {host: db} # here\n", "target"),
    "a value in place of a mapping": (LAST, "      tls: yes # here\n", "tls"),
    "a value in place of a list": (WEB, "    listen: 127.0.0.1:0 # here\n    mode: terminate\n", "listen"),
    "a list in place of a mapping": ("policies:\n  mine: {dir}/mine.jq\n", "policies: [{dir}/mine.jq] # here\n", "policies"),
    "a word in place of a number": ("", "limits: {connections: many} # here\n", "connections"),
    "a number below its range": ("", "limits: {connections: 0} # here\n", "connections is 0, want 1 to"),
    "a number above its range": ("", "limits: {bytes-before-gate: 1GiB} # here\n", "bytes-before-gate is 1GiB, want 65536 to"),
    "a number that overflows": ("", "limits: {idle-timeout: 99999999999999999999} # here\n", "idle-timeout"),
    "a time with another unit": ("", "limits: {idle-timeout: 3 weeks} # here\n", "idle-timeout"),
    "a time below its range": ("", "limits: {handshake-timeout: 0} # here\n", "handshake-timeout is 0"),
    "a word that is none of the choices": ("", "sandbox: maybe # here\n", "sandbox"),
    "no flag": (UP, UP + "      raw: perhaps # here\n", "raw"),
    "a burst below the rate": ("", "limits: {rate: 100, burst: 10} # here\n", "burst is 10"),
    "more of a source than of all": ("", "limits: {connections: 10, connections-per-source: 11} # here\n",
                                     "connections-per-source is 11"),
    "no route": (GOOD[GOOD.index("routes:"):], "routes: [] # here\n", "routes"),
    "no name": ('  - name: out\n    listen: ["127.0.0.1:0"]\n', '  - listen: ["127.0.0.1:0"] # here\n', "name is missing"),
    # What is missing.
    "no target": (OUT, "", "target is missing", "  - name: out\n"),
    "no mode": ("    mode: originate\n", "", "mode is missing", "  - name: out\n"),
    "no listen": ('    listen: ["127.0.0.1:0"]\n    mode: originate\n', "    mode: originate\n", "listen is missing",
                  "  - name: out\n"),
    "no side": (UP + REQUIRE + LAST, "", "without upstream: nobody would be attested", "  - name: out\n"),
    "no requirement": (REQUIRE, "", "require is missing", LAST),
    "no verifier": (REQUIRE, "      require: {identity: pkix} # here\n", "verifier is missing"),
    "no identity": (REQUIRE, "      require: {verifier: store} # here\n", "identity is missing"),
    "no uri": ('  own: {uri: "soft:", insecure: true}\n', "  own: {insecure: true} # here\n", "uri is missing"),
    "no key": (FRONT_TLS, "      tls: {certificate: {dir}/tls.pem, ca: {dir}/ca.pem} # here\n", "go together"),
    "no certificate": (FRONT_TLS, "      tls: {ca: {dir}/ca.pem} # here\n", "neither certificate and key nor ephemeral"),
    "no authority for clients": (FRONT_TLS, "      tls: {certificate: {dir}/tls.pem, key: {dir}/tls.key} # here\n",
                                 "ca is missing"),
    "no freshness": (UP, UP + "      flavour: pre # here\n", "freshness is missing"),
    "no name of a target at a socket": (OUT, "    target: unix:/run/db\n", "name is missing", LAST),
    "nobody who may send a header": (OUT, OUT + "    proxy-protocol: {in: true} # here\n", "without trusted"),
    # What is not secure, and has its name.
    "software without its name": ('  own: {uri: "soft:", insecure: true}\n', '  own: {uri: "soft:"} # here\n',
                                  "only with insecure: true"),
    "evidence of software without its name": (
        REQUIRE, "      require:\n        verifier: store\n        identity: pkix\n        evidence-types: [soft] # here\n",
        "soft is evidence that anyone can make"),
    "plain connections from everywhere": ('    listen: ["127.0.0.1:0"]\n    mode: originate\n',
                                          '    listen: ["0.0.0.0:0"] # here\n    mode: originate\n', "say insecure: true"),
    "plain connections to elsewhere": ("    target: 127.0.0.1:9\n", "    target: 192.0.2.1:9 # here\n", "insecure-target: true"),
    "metrics for everybody": ("", 'operation: {listen: "0.0.0.0:0"} # here\n', "insecure: true"),
    "a name of insecurity that nothing needs": ('    listen: ["127.0.0.1:0"]\n    mode: originate\n',
                                                '    listen: [{address: "127.0.0.1:0", insecure: true}] # here\n    mode: originate\n',
                                                "nothing asks for it"),
    "insecure hardware": ('  own: {uri: "soft:", insecure: true}\n', '  own: {uri: "tsm:", insecure: true} # here\n',
                          "nothing asks for it"),
    "everybody may send a header": (
        OUT, OUT + "    proxy-protocol:\n      in: true\n      trusted: [0.0.0.0/0] # here\n", "trusted is a list"),
    "old forms in another flavour": (
        REQUIRE, "      require:\n        verifier: store\n        identity: pkix\n        profiles: [ra-tls] # here\n",
        "is for flavour pre"),
    "an age without end": (UP, UP + "      flavour: pre\n      freshness: none\n      certificate-max-age: 99999999h # here\n",
                           "certificate-max-age"),
    "headers of clients that nobody attests": (
        "      require: {verifier: store, identity: pkix, policy: mine}\n" + FRONT_TLS,
        "      require: none\n      tls: {certificate: {dir}/tls.pem, key: {dir}/tls.key}\n"
        "    http-headers: {verdict: X-Verdict} # here\n", "require is none"),
    "a header that frames": (DOWN, "    http-headers: {verdict: Content_Length} # here\n" + DOWN, "a meaning of its own"),
    # Names of what is not there.
    "an attester that is not there": (UP, UP + "      attester: tpm # here\n", 'attesters has no "tpm"'),
    "a verifier that is not there": (REQUIRE, "      require: {verifier: far, identity: pkix} # here\n", 'verifiers has no "far"'),
    "a policy that is not there": (
        REQUIRE, "      require: {verifier: store, identity: pkix, policy: none} # here\n", 'policies has no "none"'),
    # Routes that cannot be told apart.
    "two routes of one name": ("  - name: out\n", "  - name: web # here\n", "route web is given twice"),
    "plain routes at one listener": (
        "", '  - {name: b, listen: ["unix:/run/x"], mode: originate, target: "a:1", '
        "upstream: {require: {verifier: store, identity: pkix}}}\n"
        '  - {name: c, listen: ["unix:/run/x"], mode: originate, target: "a:1", '
        "upstream: {require: {verifier: store, identity: pkix}}} # here\n", "cannot be told apart"),
    "a listener twice in a route": ('    listen: ["127.0.0.1:0"]\n    mode: originate\n',
                                    '    listen: ["127.0.0.1:81", "127.0.0.1:081"] # here\n    mode: originate\n', "given twice"),
    # Files.
    "a certificate that is not there": (FRONT_TLS, FRONT_TLS.replace("tls.pem", "none.pem").replace("\n", " # here\n"),
                                        "none.pem"),
    "an authority that is none": (LAST, "      tls: {ca: {dir}/mine.jq} # here\n", "mine.jq"),
    "a key that others can read": (FRONT_TLS, FRONT_TLS.replace("tls.key", "open.key").replace("\n", " # here\n"), "open.key"),
    "a key of another certificate": (FRONT_TLS, FRONT_TLS.replace("tls.key", "ca.key"), "ca.key", None),
    "a policy that is no file": ("  mine: {dir}/mine.jq\n", "  mine: {dir}/none.jq # here\n", "none.jq"),
    "a policy that does not compile": ("  mine: {dir}/mine.jq\n", "  mine: {dir}/broken.jq # here\n", "mine"),
    "a store that is not there": ('"local:{store}"}\n', '"local:{dir}/none.db"} # here\n', "none.db"),
    # YAML.
    "a tab": ("", "operation:\n\tlisten: x # here\n", ""),
    "a bracket that is open": (LAST, "      tls: {ca: {dir}/ca.pem\n", "", None),
    "an anchor": (LAST, "      tls: &anchor {ca: {dir}/ca.pem} # here\n", "anchor"),
    "an alias": (LAST, "      tls: *anchor # here\n", "alias"),
    "a bomb of aliases": ("", "a: &a [x, x] # here\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\n", "anchor"),
    "a tag": (LAST, "      tls: !!map {ca: {dir}/ca.pem} # here\n", "tag"),
    "a second document": ("", "--- # here\nroutes: []\n", ""),
    "too deep": ("", "log: " + "[" * 200 + "]" * 200 + " # here\n", "deep"),
    "too many values": ("", "policies2: [" + "x, " * 9000 + "x] # here\n", "8192 values"),
    "no text": ("", "log: \x01 # here\n", ""),
}


def changed(case):
    """The configuration of a case, and the line that is wrong; 0: some line."""
    old, new, _, *marker = case
    text = GOOD + new if old == "" else GOOD.replace(old, new)
    assert old == "" or GOOD.count(old) == 1, old
    marker = marker[0] if marker else "# here"
    if marker is None:
        return text, 0
    assert text.count(marker) == 1, marker
    return text, text[:text.index(marker)].count("\n") + 1


@pytest.fixture(scope="module")
def place():
    with laboratory() as lab:
        lab.tls()
        run("store", "import", "--store", lab.store, "--anchor", "ak", lab.dir / "ca.pem")
        (lab.dir / "mine.jq").write_text('{"decision": "accept", "reasons": []}\n')
        (lab.dir / "broken.jq").write_text("not jq (\n")
        shutil.copy(lab.dir / "tls.key", lab.dir / "open.key")
        (lab.dir / "open.key").chmod(0o644)
        yield lab


@pytest.fixture(scope="module")
def running(place):
    proxy = Proxy(place, "running", GOOD).start()
    assert proxy.check().returncode == 0
    return proxy


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_has_its_line_and_its_rule(place, running, name):
    text, line = changed(CASES[name])
    running.write(text)
    done = running.check()
    assert done.returncode == 1 and done.stdout == "", done
    last = done.stderr.splitlines()[-1]
    found = re.fullmatch(rf"atls-proxy: {re.escape(str(running.config))}:(\d+): (.+)", last)
    assert found, done.stderr
    assert line in (0, int(found[1])), (line, last)
    assert CASES[name][2] in found[2], last
    # One that runs says the same, and stays as it was.
    event = running.reload(ok=False)
    assert f"{running.config}:{found[1]}: " in event["message"] and CASES[name][2] in event["message"], event
    with call(running) as plain, client_context().wrap_socket(plain, server_hostname="localhost") as s:
        assert s.selected_alpn_protocol() == "atls/1"


def test_a_configuration_that_is_not_there(place):
    proxy = Proxy(place, "gone", GOOD)
    proxy.config.unlink()
    done = proxy.check()
    assert done.returncode == 1 and f"{proxy.config}: " in done.stderr and "No such file" in done.stderr, done.stderr
    proxy.config.mkdir()
    assert proxy.check().returncode == 1


def test_a_configuration_that_is_too_long(place):
    proxy = Proxy(place, "long", GOOD + f"# {'x' * 100}\n" * 3000)
    done = proxy.check()
    assert done.returncode == 1 and f"{proxy.config}: longer than 262144 bytes" in done.stderr, done.stderr


def test_a_configuration_with_a_password_is_a_secret(place):
    proxy = Proxy(place, "secret", GOOD.replace('"local:{store}"', '"local:postgresql://me:word@localhost/store"'))
    proxy.config.chmod(0o644)
    done = proxy.check()
    assert done.returncode == 1 and str(proxy.config) in done.stderr and "want a secret" in done.stderr, done.stderr
    assert "word" not in done.stderr


def test_two_listeners_with_port_0_are_two(place):
    proxy = Proxy(place, "two", GOOD.replace('listen: ["127.0.0.1:0"]\n    mode: originate',
                                             'listen: ["127.0.0.1:0", "127.0.0.1:0"]\n    mode: originate') +
                  'operation: {listen: "127.0.0.1:0"}\n')
    assert "good, 2 routes, 3 listeners" in proxy.check().stdout
    proxy.start()
    lines = proxy.events("listening") + proxy.events("operation")
    assert [line.get("route") for line in lines] == ["web", "out", "out", None]
    assert len({line["address"] for line in lines}) == 4
    # A reload with one less closes that one alone.
    text = pathlib.Path(proxy.config).read_text()
    proxy.write(text.replace('["127.0.0.1:0", "127.0.0.1:0"]', '["127.0.0.1:0"]'))
    proxy.reload()
    with pytest.raises(ConnectionRefusedError), call(proxy, 2):
        pass
    with call(proxy, 1), call(proxy, 0):
        pass
    assert len(proxy.events("listening")) == 3
    assert proxy.stop() == 0
