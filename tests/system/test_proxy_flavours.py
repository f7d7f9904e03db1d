"""Every way that attestation can be carried between two proxies, and who judges it: flavours, who attests, local store,
verifier service and passports, raw streams, and a proxy in the middle that is attested on both sides."""
import contextlib
import itertools
import os
import socket
import threading

import pytest

from backends import Threaded
from conftest import TIMEOUT, wait_until
from flavours import FLAVOURS, TOPOLOGIES, binding_of, freshness_of, new_world
from proxy import Caller, Echo, Proxy
from test_certificate import issued_ago
from test_proxy_faults import rest
from test_topologies import write_keys

KEYS = {"post": "", "intra": "flavour: intra", "pre-none": "flavour: pre\n      freshness: none",
        "pre-nonce": "flavour: pre\n      freshness: nonce"}
FRONT = """
    {own}
    {judge}
    routes:
      - name: web
        listen: ["127.0.0.1:0"]
        mode: terminate
        target: {target}
        downstream:
          {side}
"""
SIDE = """
    {own}
    {judge}
    routes:
      - name: out
        listen: ["127.0.0.1:0"]
        mode: originate
        target: localhost:{port}
        upstream:
          {side}
"""
MIDDLE = """
    {own}
    {judge}
    policies: {choosy: {dir}/choosy.jq}
    routes:
      - name: through
        listen: ["127.0.0.1:0"]
        mode: both
        target: localhost:{port}
        downstream:
          {down}
        upstream:
          {side}
"""


class Sides:
    """Proxies of a laboratory, by what goes into their configuration."""

    def __init__(self, world, backend):
        self.world, self.lab, self.backend, self.count = world, world.lab, backend, 0
        world.lab.tls()

    def attester(self, side, topology, certificate=None):
        options = self.world.attester[side]
        passport = f', passport: {{from: "{self.world.service.url}", only: true, ca: {self.lab.dir}/ca.pem}}'
        return f'own: {{uri: "{options[1]}", certificate: {certificate or options[3]}' \
               f'{passport if topology == "passport" else ""}}}'

    def verifier(self, topology, flavour):
        ca = f"ca: {self.lab.dir}/ca.pem"
        return {"local": f'own: {{uri: "{self.lab.verifier}"}}',
                "background": f'own: {{uri: "veraison:{self.world.service.url}", {ca}}}',
                "passport": f'own: {{uri: "passport:{self.world.service.url}", {ca}'
                            f'{", fresh-result: true" if flavour == "pre-nonce" else ""}}}'}[topology]

    def lines(self, flavour, attests, requires, server, more=(), identity="pkix", policy="default", name=None):
        """Of a side."""
        tls = [f"ca: {self.lab.dir}/ca.pem"] if identity == "pkix" and (requires or not server) else []
        tls += [f"name: {name}"] if name else []
        if server and (flavour == "post" or not attests):
            tls += [f"certificate: {self.lab.dir}/tls.pem", f"key: {self.lab.dir}/tls.key"]
        require = f"{{verifier: own, identity: {identity}, policy: {policy}}}" if requires else "none"
        lines = [KEYS[flavour], "attester: own" if attests else "", f"require: {require}",
                 f"tls: {{{', '.join(tls)}}}" if tls else "", *more]
        return "\n      ".join(line for line in lines if line)

    def start(self, form, attester, verifier, **values):
        self.count += 1
        return Proxy(self.lab, f"proxy{self.count}", form, own=f"attesters: {{{attester}}}" if attester else "",
                     judge=f"verifiers: {{{verifier}}}" if verifier else "", **values)

    def pair(self, flavour, who="server", topology="local", certificate=None, more=((), ()), target=None):
        shows, asks = who != "client", who != "server"
        front = self.start(FRONT, shows and self.attester("server", topology, certificate),
                           asks and self.verifier(topology, flavour), target=target or f"127.0.0.1:{self.backend.port}",
                           side=self.lines(flavour, shows, asks, True, more[0])).start()
        side = self.start(SIDE, asks and self.attester("client", topology), shows and self.verifier(topology, flavour),
                          port=front.port(), side=self.lines(flavour, asks, shows, False, more[1])).start()
        return front, side


@pytest.fixture(scope="module")
def the_sides():
    with new_world() as world, Echo() as echo:
        yield Sides(world, echo)


@pytest.fixture
def sides(the_sides):
    yield the_sides
    the_sides.world.settle()


def is_shown(line, who, flavour, topology):
    said = [line.get(f"{who}-{key}") for key in ("verdict", "evidence", "binding", "flavour", "freshness")]
    assert said == ["affirming", "tpm", binding_of(flavour, topology), flavour.split("-")[0],
                    freshness_of(flavour, topology)], line


@pytest.mark.parametrize("who", ["server", "client", "mutual"])
@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_data_goes_both_ways_and_both_logs_say_who_it_is(sides, flavour, topology, who):
    front, side = sides.pair(flavour, who, topology)
    data = os.urandom(300_000)
    for _ in range(2):
        with Caller(side) as caller:
            writer = threading.Thread(target=caller.socket.sendall, args=(data,), daemon=True)
            writer.start()
            got = b""
            while len(got) < len(data) and (more := caller.socket.recv(65536)):
                got += more
            writer.join(TIMEOUT)
            assert got == data, (side.log.read_text(), front.log.read_text())
    for proxy, peer, expected in ((side, "target", who != "client"), (front, "client", who != "server")):
        line = proxy.wait("open", 2)[1]
        if expected:
            is_shown(line, peer, flavour, topology)
        else:
            assert f"{peer}-verdict" not in line, line
        assert [line["end"] for line in proxy.wait("closed", 2)] == ["closed"] * 2
        assert not [line for line in proxy.events() if line["level"] == "error"]
        assert proxy.stop() == 0


@pytest.mark.parametrize("who", ["server", "client"])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_machine_that_changed_is_refused_by_the_end_that_asks(sides, flavour, who):
    sides.world.change(who, 4)
    front, side = sides.pair(flavour, "mutual")
    with Caller(side) as caller:
        assert not caller.says(b"secret")
    judge, judged = (side, front) if who == "server" else (front, side)
    line = judge.wait("refused")[0]
    assert line["end"] == ("upstream-refused" if who == "server" else "downstream-refused"), line
    assert "PCR 4" in line["message"], line
    # The other end hears of it, and nothing had passed. In the handshake a client is judged last: what it sends
    # meanwhile goes as far as the one that judges it.
    other = wait_until("the end", lambda: [line for line in judged.events() if "end" in line])[0]
    assert (line["from-client"], line["to-client"], other["to-client"]) == (0, 0, 0), other
    assert other["from-client"] == 0 or (who == "client" and flavour != "post"), other


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_ends_of_different_flavours_do_not_meet(sides, flavour):
    """Whatever the other end speaks, no byte passes."""
    front, _ = sides.pair(flavour)
    for other in set(FLAVOURS) - {flavour}:
        if {flavour, other} == {"pre-none", "pre-nonce"}:
            continue  # which end asks for what is seen below
        side = sides.start(SIDE, None, sides.verifier("local", other), port=front.port(),
                           side=sides.lines(other, False, True, False)).start()
        with Caller(side) as caller:
            assert not caller.says(b"secret")
        assert not side.events("open"), other
        assert side.stop() == 0
    assert all(line["from-client"] == 0 for line in front.events() if "end" in line)


def test_an_old_certificate_answers_no_nonce(sides):
    front, _ = sides.pair("pre-none")
    side = sides.start(SIDE, None, sides.verifier("local", "pre-nonce"), port=front.port(),
                       side=sides.lines("pre-nonce", False, True, False)).start()
    with Caller(side) as caller:
        assert not caller.says(b"secret")
    assert side.wait("refused")[0]["end"] == "upstream-refused"


@pytest.mark.parametrize("flavour", ["post", "intra"])
def test_a_passport_that_cannot_be_had_costs_the_connection(sides, flavour):
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = f"https://localhost:{free.getsockname()[1]}"
    keys = write_keys(sides.lab.store, sides.lab.dir / "own.jwks")
    attester = sides.attester("server", "passport").replace(f'"{sides.world.service.url}"', f'"{nobody}", result-keys: {keys}')
    front = sides.start(FRONT, attester, None,
                        target=f"127.0.0.1:{sides.backend.port}", side=sides.lines(flavour, True, False, True)).start()
    side = sides.start(SIDE, None, sides.verifier("passport", flavour), port=front.port(),
                       side=sides.lines(flavour, False, True, False)).start()
    for number in (1, 2):
        with Caller(side) as caller:
            assert not caller.says(b"secret")
        line = wait_until("the end", lambda: [line for line in front.events() if "end" in line][number - 1:])[0]
        assert line["end"] in ("attester-failed", "verifier-unavailable") and nobody in line["message"], line
        assert line["from-client"] == 0
    assert front.stop() == 0 and side.stop() == 0


class Once(Threaded):
    """Sends back SIZE bytes, then ends."""
    SIZE = 100_000

    def serve(self, s):
        with s.makefile("rb") as stream:
            s.sendall(stream.read(self.SIZE))


@pytest.mark.parametrize("who", ["server", "mutual"])
def test_a_raw_stream_goes_through(sides, who):
    with Once() as once:
        front, side = sides.pair("post", who, more=(["raw: true"], ["raw: true"]), target=once.target)
        data = os.urandom(Once.SIZE)
        for half_closes in (False, True):
            with Caller(side) as caller:
                caller.socket.sendall(data)
                if half_closes:  # which takes nothing from what the target has to say
                    caller.socket.shutdown(socket.SHUT_WR)
                assert rest(caller.socket) == (data, True)
        for proxy in (front, side):
            for line in proxy.wait("closed", 2):
                assert (line["end"], line["from-client"], line["to-client"]) == ("closed", len(data), len(data)), line
        assert side.events("open")[0]["target-binding"] == "connection"


@pytest.mark.parametrize("raw", ["front", "side"])
def test_a_raw_end_and_a_framed_one_agree_on_frames(sides, raw):
    front, side = sides.pair("post", more=(["raw: true"], []) if raw == "front" else ([], ["raw: true"]))
    with Caller(side) as caller:
        assert caller.says(b"x" * 5000) and caller.says(b"again"), (side.log.read_text(), front.log.read_text())


# ---- a proxy in the middle ----

CHOOSY = '{"decision": (if .ear_status == "affirming" then "refuse" else "accept" end), "reasons": ["too good"]}\n'


@contextlib.contextmanager
def chain(sides, outer, inner, choosy=None):
    """Beside the client, in the middle, in front of the server. The one in the middle has the client's TPM, whose AIK
    has the name client.example."""
    (sides.lab.dir / "choosy.jq").write_text(choosy or '{"decision": "accept", "reasons": []}\n')
    front = sides.start(FRONT, sides.attester("server", "local"), sides.verifier("local", inner),
                        target=f"127.0.0.1:{sides.backend.port}", side=sides.lines(inner, True, True, True)).start()
    middle = sides.start(MIDDLE, sides.attester("client", "local"), sides.verifier("local", inner), port=front.port(),
                         down=sides.lines(outer, True, False, True),
                         side=sides.lines(inner, True, True, False, policy="choosy")).start()
    # In flavour post there are two names, of TLS and of the AIK, which pkix wants to be one.
    side = sides.start(SIDE, None, sides.verifier("local", outer), port=middle.port(),
                       side=sides.lines(outer, False, True, False, identity="attested") if outer == "post" else
                       sides.lines(outer, False, True, False, name="client.example")).start()
    yield side, middle, front


@pytest.mark.parametrize("outer, inner", itertools.product(FLAVOURS, FLAVOURS))
def test_a_proxy_in_the_middle_is_attested_on_both_sides(sides, outer, inner):
    with chain(sides, outer, inner) as (side, middle, front):
        with Caller(side) as caller:
            assert caller.says(b"x" * 10_000), [p.log.read_text() for p in (side, middle, front)]
        is_shown(side.wait("open")[0], "target", outer, "local")
        line = middle.wait("open")[0]
        is_shown(line, "target", inner, "local")
        assert "client-verdict" not in line
        is_shown(front.wait("open")[0], "client", inner, "local")
        for proxy in (side, middle, front):
            assert proxy.wait("closed")[0]["end"] == "closed"
            assert proxy.stop() == 0


def test_each_side_in_the_middle_has_its_own_policy(sides):
    with chain(sides, "intra", "post", CHOOSY) as (side, middle, front):
        with Caller(side) as caller:
            assert not caller.says(b"secret")
        line = middle.wait("refused")[0]
        assert line["end"] == "upstream-refused" and "too good" in line["message"], line
        assert front.wait("refused")[0]["end"] == "refused-by-downstream"
        assert all(line["from-client"] == 0 for proxy in (middle, front) for line in proxy.events() if "end" in line)


# ---- how old a certificate may be ----

@pytest.mark.parametrize("age, passes", [("", False), ("certificate-max-age: 239h", False), ("certificate-max-age: 241h", True)])
def test_how_old_the_certificate_of_a_server_may_be(sides, age, passes):
    machine = sides.world.tpms["server"]
    old = issued_ago(sides.lab, machine, 10)
    front, side = sides.pair("pre-none", certificate=old, more=((), [age] if age else ()))
    with Caller(side) as caller:
        assert caller.says(b"hello") == passes
    if not passes:
        line = side.wait("refused")[0]
        assert (line["end"], line["reason"]) == ("upstream-refused", "certificate-too-old"), line
