"""Attestation that a route asks for and does not insist on: who passes, and what the program behind, the log and the
metrics are told of it."""
import http.client
import http.server
import signal
import socket
import threading
import urllib.request

import pytest

from conftest import TIMEOUT, laboratory
from proxy import Caller, Echo, Proxy

# Flavours, and the TLS of a side that attests, or does not. In post TLS has a key of its own.
KINDS = {
    "post": ("", "certificate: {dir}/tls.pem, key: {dir}/tls.key, "),
    "intra": ("flavour: intra", ""),
    "pre-none": ("flavour: pre\n      freshness: none", ""),
    "pre-nonce": ("flavour: pre\n      freshness: nonce", ""),
}
FRONT = """
    {attesters}
    verifiers:
      store: {uri: "{verifier}"}
    routes:
      - name: web
        listen: ["127.0.0.1:0"]
        mode: terminate
        target: "{target}"
        {told}
        downstream:
          {flavour}
          {attester}
          require: {presence: {presence}, verifier: store, identity: pkix}
          tls: {{tls}ca: {dir}/ca.pem}
    operation: {listen: "127.0.0.1:0"}
"""
SIDE = """
    {attesters}
    verifiers:
      store: {uri: "{verifier}"}
    routes:
      - name: out
        listen: ["127.0.0.1:0"]
        mode: originate
        target: localhost:{port}
        upstream:
          {flavour}
          {attester}
          require: {presence: {presence}, verifier: store, identity: pkix}
          tls: {ca: {dir}/{ca}}
    operation: {listen: "127.0.0.1:0"}
"""
HEADERS = ("http-headers: {verdict: X-Attested-Verdict, evidence-type: X-Attested-Evidence, key-sha256: X-Attested-Key, "
           "instance: X-Attested-Instance, ear-sha256: X-Attested-Ear}")
NAMES = ["Verdict", "Evidence", "Key", "Instance", "Ear"]


class Bench:
    """A laboratory of two machines, and proxies with and without them."""

    def __init__(self, lab, kind):
        self.lab = lab
        self.flavour, self.own_tls = KINDS[kind]
        self.always = {"verifier": f"local:{lab.store}"}
        lab.tls()
        self.tpms = {"front": lab.tpm(), "side": lab.tpm("client")}
        self.machines = {name: self.machine(name, dns) for name, dns in (("front", "localhost"), ("side", "client.example"))}

    def machine(self, name, dns):
        uri, certificate = self.lab.enrol(self.tpms[name], dns)[1::2]
        return f'attesters: {{own: {{uri: "{uri}", certificate: "{certificate}"}}}}'

    def values(self, machine, name):
        return {"attesters": self.machines[name] if machine else "", "flavour": self.flavour,
                "attester": "attester: own" if machine else "", **self.always}

    def front(self, target, machine=True, told="", name="front", **values):
        tls = self.own_tls if machine else KINDS["post"][1]
        return Proxy(self.lab, name, FRONT, **{**self.values(machine, "front"), "tls": tls, "presence": "optional",
                                               "target": target, "told": told, **values}).start()

    def side(self, front, machine=True, name="side", **values):
        return Proxy(self.lab, name, SIDE, **{**self.values(machine, "side"), "presence": "required", "ca": "ca.pem",
                                              "port": front.port(), **values}).start()


@pytest.fixture(scope="module", params=KINDS)
def shared(request):
    with laboratory() as lab:
        yield Bench(lab, request.param)


@pytest.fixture
def bench(shared):
    yield shared
    for process in shared.lab.processes:
        if process.poll() is None:
            process.kill()
        process.wait(10)
    shared.lab.processes.clear()


def metrics(proxy):
    address = proxy.events("operation")[0]["address"]
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=TIMEOUT) as answer:
        return answer.read().decode().splitlines()


def count(proxy, side, technology, outcome):
    name = f'{{route="{proxy.events("listening")[0]["route"]}",side="{side}",technology="{technology}",outcome="{outcome}"}}'
    found = [line for line in metrics(proxy) if line.startswith("atls_proxy_attestations_total" + name)]
    return int(found[0].rpartition(" ")[2]) if found else 0


class Mirror(http.server.BaseHTTPRequestHandler):
    """Says what it was told."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = "|".join(",".join(self.headers.get_all(f"X-Attested-{name}", ["-"])) for name in NAMES).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def mirror():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def ask(proxy):
    """Twice on one connection, lying about itself."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port(), timeout=TIMEOUT)
    said = []
    for _ in range(2):
        connection.request("GET", "/", headers={f"X-Attested-{name}": "affirming" for name in NAMES})
        said.append(connection.getresponse().read().decode().split("|"))
    connection.close()
    assert said[0] == said[1]
    return said[0]


def test_a_program_is_told_in_headers_who_did_not_attest(bench, mirror):
    front = bench.front(mirror, told=HEADERS)
    plain, attested = bench.side(front, machine=False, name="plain"), bench.side(front)
    assert ask(plain) == ["none", "-", "-", "-", "-"]
    line = front.wait("open")[0]
    assert line["client-verdict"] == "none" and line["client-why"] == "not attested (optional)", line
    assert "client-evidence" not in line and "client-key" not in line, line
    assert front.wait("not-attested", side="downstream")
    assert front.wait("closed", route="web")[0]["client-verdict"] == "none"
    assert count(front, "downstream", "", "absent") == 1 and count(front, "downstream", "tpm", "accepted") == 0
    verdict, evidence, key, instance, ear = ask(attested)
    assert (verdict, evidence, len(key), len(ear)) == ("affirming", "tpm", 64, 64) and instance.startswith("01")
    assert front.wait("open", 2)[1]["client-verdict"] == "affirming"
    assert count(front, "downstream", "", "absent") == 1 and count(front, "downstream", "tpm", "accepted") == 1
    # What is insecure is said at the start, by name.
    assert any("optional" in line.get("message", "") for line in front.events()), front.log.read_text()


def test_a_program_is_told_by_the_proxy_protocol_who_did_not_attest(bench):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT)
        front = bench.front(f"127.0.0.1:{listener.getsockname()[1]}", told="proxy-protocol: {out: true}")
        side = bench.side(front, machine=False)
        with socket.create_connection(("127.0.0.1", side.port()), timeout=TIMEOUT) as s:
            s.sendall(b"data")
            with listener.accept()[0] as backend, backend.makefile("rb") as stream:
                head = stream.read(16)
                body = stream.read(int.from_bytes(head[14:], "big"))
                assert stream.read(4) == b"data"
    fields, rest = {}, body[12:]
    while rest:
        length = int.from_bytes(rest[1:3], "big")
        fields[rest[0]], rest = rest[3:3 + length], rest[3 + length:]
    assert fields[0xe0] == b"none" and not {0xe1, 0xe2, 0xe3, 0xe5, 0xe6, 0xe7} & set(fields), fields


def test_evidence_that_fails_is_refused(bench):
    with Echo() as echo:
        front = bench.front(f"127.0.0.1:{echo.port}")
        bench.tpms["side"].extend(7)
        side = bench.side(front)
        try:
            with Caller(side) as caller:
                assert not caller.says()
            assert front.wait("refused")[0]["reason"] == "policy"
        finally:
            side.stop()
            bench.tpms["side"].reset()
        assert not front.events("not-attested")


def test_a_verifier_out_of_reach_is_a_refusal(bench):
    with Echo() as echo:
        front = bench.front(f"127.0.0.1:{echo.port}", verifier="veraison:https://127.0.0.1:9")
        with Caller(bench.side(front)) as caller:
            assert not caller.says()
        assert front.wait("closed", end="verifier-unavailable") and not front.events("not-attested")


def test_a_target_may_go_without(bench):
    """The other direction: the target attests nothing, and TLS vouches for it or nobody does."""
    with Echo() as echo:
        front = bench.front(f"127.0.0.1:{echo.port}", machine=False)
        side = bench.side(front, presence="optional")
        with Caller(side) as caller:
            assert caller.says()
        line = side.wait("open")[0]
        assert line["target-verdict"] == "none" and line["target-why"] == "not attested (optional)", line
        assert count(side, "upstream", "", "absent") == 1
        assert front.wait("open")[0]["client-verdict"] == "affirming"
        side.stop()
        insists = bench.side(front)
        with Caller(insists) as caller:
            assert not caller.says()
        insists.stop()
        stranger = bench.side(front, presence="optional", ca="maker.pem")
        with Caller(stranger) as caller:
            assert caller.ended()
        assert not stranger.events("open") and not stranger.events("not-attested")


def test_who_attested_has_to_go_on(bench):
    if bench.flavour:
        return  # the others attest once
    with Echo() as echo:
        front = bench.front(f"127.0.0.1:{echo.port}")
        plain, side = bench.side(front, machine=False, name="plain"), bench.side(front)
        with Caller(plain) as without, Caller(side) as attested:
            assert without.says() and attested.says()
            front.tell(signal.SIGUSR1)
            front.wait("attested", 2)
            assert without.says() and attested.says()
            bench.tpms["side"].extend(7)
            try:
                front.tell(signal.SIGUSR1)
                assert front.wait("refused")[0]["reason"] == "policy"
                assert not attested.says() and without.says()
            finally:
                side.stop()
                bench.tpms["side"].reset()
