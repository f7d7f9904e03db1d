"""Peers of atls-proxy that stall, each at another stage and all at once: each ends by the deadline that the manual names
for the stage, and a connection of another route goes on all the time."""
import contextlib
import signal
import socket
import ssl
import threading

import pytest

import carrier
from conftest import TIMEOUT, laboratory, wait_until
from proxy import Caller, Echo, Proxy
from test_proxy_faults import client_context, hello

LIMITS = "{handshake-timeout: 5s, dial-timeout: 5s, gate-timeout: 6s, idle-timeout: 7s}"
FRONT = """
    attesters:
      own: {uri: "{uri}", certificate: "{certificate}"}
      soft: {uri: "soft:", insecure: true}
    verifiers:
      store: {uri: "local:{store}", insecure: true}
    routes:
      - name: sound
        listen: ["127.0.0.1:0"]
        mode: terminate
        target: 127.0.0.1:{echo}
        downstream:
          attester: own
          require: none
          tls: {certificate: {dir}/tls.pem, key: {dir}/tls.key}
      - name: shows
        listen: ["127.0.0.2:0"]
        mode: terminate
        target: 127.0.0.1:{echo}
        downstream:
          attester: soft
          require: none
          tls: {certificate: {dir}/tls.pem, key: {dir}/tls.key}
        limits: {limits}
      - name: asks
        listen: ["127.0.0.3:0"]
        mode: terminate
        target: 127.0.0.1:{echo}
        downstream:
          require: {verifier: store, identity: attested}
          tls: {certificate: {dir}/tls.pem, key: {dir}/tls.key}
        limits: {limits}
"""
SIDE = """
    attesters:
      soft: {uri: "soft:", insecure: true}
    verifiers:
      store: {uri: "local:{store}", insecure: true}
    routes:
      - name: sound
        listen: ["127.0.0.1:0"]
        mode: originate
        target: 127.0.0.1:{sound}
        upstream:
          require: {verifier: store, identity: pkix}
          tls: {ca: {dir}/ca.pem, name: localhost}
"""
SIDE_ROUTE = """\
      - name: "{name}"
        listen: ["127.0.0.1:0"]
        mode: originate
        target: 127.0.0.2:{port}
        upstream:
          tls: {ca: {dir}/ca.pem, name: localhost}
          {what}
        limits: {limits}
"""
ASKS = "require: {verifier: store, identity: pkix}"
SHOWS = "attester: soft\n          require: none"


class World:
    def __init__(self, lab, echo):
        self.lab = lab
        lab.tls()
        options = lab.enrol(lab.tpm())
        self.values = {"uri": options[1], "certificate": options[3], "echo": echo.port}
        self.front = Proxy(lab, "front", FRONT, limits=LIMITS, **self.values).start()

    def side(self, routes=""):
        return Proxy(self.lab, "side", SIDE + routes, sound=self.front.port(), limits=LIMITS).start()


@pytest.fixture(scope="module")
def world():
    with laboratory() as lab, Echo() as echo:
        yield World(lab, echo)


class Stalls:
    """What peers do, in threads, until all is over."""

    def __init__(self):
        self.threads, self.over, self.problems = [], threading.Event(), []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(TIMEOUT)

    def start(self, name, work, *arguments):
        def run():
            try:
                work(*arguments)
            except Exception as problem:  # noqa: BLE001 what it was is the test's to show
                self.problems.append(f"{name}: {problem!r}")

        self.threads.append(threading.Thread(target=run, daemon=True))
        self.threads[-1].start()


# ---- clients ----

def says(*frames):
    def stage(s):
        for data in frames:
            s.sendall(data)
    return stage


def shown(*frames):
    """What a client says when evidence has come."""
    def stage(s):
        s.sendall(carrier.hello(carrier.REQUIRES) + carrier.request(carrier.CLIENT))
        carrier.take(s, carrier.AUTHENTICATOR)
        says(*frames)(s)
    return stage


def reads_nothing(s):
    shown(carrier.accepts())(s)
    s.settimeout(2)
    data = carrier.frame(carrier.DATA, bytes(50_000))
    with contextlib.suppress(TimeoutError):
        while True:
            s.sendall(data)


TLS, PLAIN = True, False
CLIENTS = {
    # stage: (address, whether it shakes hands, what it does then, how it ends)
    "nothing": (2, PLAIN, says(), "handshake-timeout"),
    "half a ClientHello": (2, PLAIN, lambda s: s.sendall(carrier.half(hello())), "handshake-timeout"),
    "a ClientHello": (2, PLAIN, lambda s: s.sendall(hello()), "handshake-timeout"),
    "no HELLO": (2, TLS, says(), "gate-timeout"),
    "half a HELLO": (2, TLS, says(carrier.half(carrier.hello(carrier.REQUIRES))), "gate-timeout"),
    "no REQUEST": (2, TLS, says(carrier.hello(carrier.REQUIRES)), "gate-timeout"),
    "half a REQUEST": (2, TLS, says(carrier.hello(carrier.REQUIRES), carrier.half(carrier.request(carrier.CLIENT))),
                       "gate-timeout"),
    "no VERDICT": (2, TLS, shown(), "gate-timeout"),
    "half a VERDICT": (2, TLS, shown(carrier.half(carrier.accepts())), "gate-timeout"),
    "no DATA": (2, TLS, shown(carrier.accepts()), "idle-timeout"),
    "half of DATA": (2, TLS, shown(carrier.accepts(), carrier.half(carrier.frame(carrier.DATA, bytes(1000)))),
                     "idle-timeout"),
    "reads nothing": (2, TLS, reads_nothing, "idle-timeout"),
    "no AUTHENTICATOR": (3, TLS, says(carrier.hello(carrier.ATTESTS)), "gate-timeout"),
    "half an AUTHENTICATOR": (3, TLS, says(carrier.hello(carrier.ATTESTS), carrier.half(
        carrier.frame(carrier.AUTHENTICATOR, carrier.number(1, 4) + bytes(5000)))), "gate-timeout"),
}


def test_clients_that_stall_end_by_the_deadline_of_their_stage(world):
    names, over = {}, threading.Event()

    def stall(name, plain, handshake, stage):
        with plain, contextlib.ExitStack() as stack:
            s = plain
            if handshake:
                s = stack.enter_context(client_context().wrap_socket(plain, server_hostname="localhost"))
            stage(s)
            over.wait(TIMEOUT)

    side = world.side()
    with Stalls() as stalls, Caller(side) as witness:
        assert witness.says()
        for name, (host, handshake, stage, _) in CLIENTS.items():
            plain = socket.create_connection((f"127.0.0.{host}", world.front.port(host - 1)), timeout=TIMEOUT)
            names["%s:%d" % plain.getsockname()[:2]] = name
            stalls.start(name, stall, name, plain, handshake, stage)

        def ended():
            assert witness.says()
            return len(found(world.front)) >= len(CLIENTS)

        try:
            wait_until("all ends", ended, TIMEOUT)
        finally:
            over.set()
    assert not stalls.problems
    ends = {names[line["client"]]: line["end"] for line in found(world.front)}
    assert ends == {name: row[3] for name, row in CLIENTS.items()}
    assert side.stop() == 0


def found(proxy):
    return [line for line in proxy.events() if "end" in line and line.get("route") != "sound"]


# ---- servers ----

def shown_by_side(*frames):
    """What a server says when evidence has come."""
    def stage(s):
        s.sendall(carrier.hello(carrier.REQUIRES) + carrier.request(carrier.SERVER))
        carrier.take(s, carrier.AUTHENTICATOR)
        says(*frames)(s)
    return stage


def first_flight(s, context):
    """Half of what a server answers."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    while not outgoing.pending:
        incoming.write(s.recv(65536))
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
    s.sendall(carrier.half(outgoing.read()))


SERVERS = {
    # stage: (what the side has, whether it shakes hands, what it does then, how it ends)
    "nothing": (ASKS, PLAIN, None, "dial-timeout"),
    "half a flight": (ASKS, PLAIN, first_flight, "dial-timeout"),
    "no HELLO": (ASKS, TLS, says(), "gate-timeout"),
    "half a HELLO": (ASKS, TLS, says(carrier.half(carrier.hello(carrier.ATTESTS))), "gate-timeout"),
    "no AUTHENTICATOR": (ASKS, TLS, says(carrier.hello(carrier.ATTESTS)), "gate-timeout"),
    "half an AUTHENTICATOR": (ASKS, TLS, says(carrier.hello(carrier.ATTESTS), carrier.half(
        carrier.frame(carrier.AUTHENTICATOR, carrier.number(1, 4) + bytes(5000)))), "gate-timeout"),
    "no REQUEST": (SHOWS, TLS, says(carrier.hello(carrier.REQUIRES)), "gate-timeout"),
    "half a REQUEST": (SHOWS, TLS, says(carrier.hello(carrier.REQUIRES), carrier.half(carrier.request(carrier.SERVER))),
                       "gate-timeout"),
    "no VERDICT": (SHOWS, TLS, shown_by_side(), "gate-timeout"),
    "half a VERDICT": (SHOWS, TLS, shown_by_side(carrier.half(carrier.accepts())), "gate-timeout"),
    "no DATA": (SHOWS, TLS, shown_by_side(carrier.accepts()), "idle-timeout"),
    "half of DATA": (SHOWS, TLS, shown_by_side(carrier.accepts(), carrier.half(
        carrier.frame(carrier.DATA, bytes(1000)))), "idle-timeout"),
    # What is no attested TLS at all ends at once.
    "HTTP": (ASKS, PLAIN, lambda s, _: s.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), "upstream-tls"),
    "random bytes": (ASKS, PLAIN, lambda s, _: s.sendall(bytes(range(255, 0, -1)) * 8), "upstream-tls"),
    "TLS 1.2": (ASKS, "1.2", says(), "refused-by-upstream"),
    "another ALPN": (ASKS, "http/1.1", says(), "upstream-tls"),
}


def route_of(name):
    return name.lower().replace(" ", "-").replace(".", "-")


def test_servers_that_stall_end_by_the_deadline_of_their_stage(world):
    over = threading.Event()

    def context_of(kind):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(world.lab.dir / "tls.pem", world.lab.dir / "tls.key")
        context.set_alpn_protocols(["http/1.1" if kind == "http/1.1" else "atls/1"])
        if kind == "1.2":
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context

    def serve(name, listener, kind, stage):
        s = listener.accept()[0]
        s.settimeout(TIMEOUT)
        with s, contextlib.ExitStack() as stack:
            if kind is PLAIN:
                if stage is not None:
                    stage(s, context_of(kind))
            elif kind is TLS:
                stage(stack.enter_context(context_of(kind).wrap_socket(s, server_side=True)))
            else:
                with contextlib.suppress(OSError):
                    stage(stack.enter_context(context_of(kind).wrap_socket(s, server_side=True)))
            over.wait(TIMEOUT)

    with contextlib.ExitStack() as stack:
        routes, listeners = "", {}
        for name, row in SERVERS.items():
            listeners[name] = stack.enter_context(socket.create_server(("127.0.0.2", 0)))
            port = str(listeners[name].getsockname()[1])
            routes += SIDE_ROUTE.replace("{name}", route_of(name)).replace("{port}", port).replace("{what}", row[0])
        side = world.side(routes)
        stalls = stack.enter_context(Stalls())
        witness = stack.enter_context(Caller(side))
        assert witness.says()
        for index, (name, (_, kind, stage, _)) in enumerate(SERVERS.items()):
            stalls.start(name, serve, name, listeners[name], kind, stage)
            s = stack.enter_context(socket.create_connection(("127.0.0.1", side.port(index + 1)), timeout=TIMEOUT))
            s.sendall(b"secret")

        def ended():
            assert witness.says()
            return len(found(side)) >= len(SERVERS)

        try:
            wait_until("all ends", ended, TIMEOUT)
        finally:
            over.set()
    assert not stalls.problems
    assert {line["route"]: line["end"] for line in found(side)} == {route_of(name): row[3] for name, row in SERVERS.items()}
    assert side.stop() == 0


# ---- peers that are asked again ----

def test_peers_that_do_not_answer_when_asked_again(world):
    slow = Proxy(world.lab, "slow", FRONT, limits=LIMITS, **world.values).start()
    routes = ""
    for name, more in {"close": "", "gate": "on-failure: gate\n          "}.items():
        text = SIDE_ROUTE.replace("{name}", name).replace("{port}", str(slow.port())).replace("127.0.0.2", "127.0.0.1")
        routes += text.replace("{what}", more + ASKS).replace("{limits}", "{gate-timeout: 6s, idle-timeout: 14s}")
    side = world.side(routes)
    with Caller(side) as witness, Caller(side, index=1) as closed, Caller(side, index=2) as gated:
        assert witness.says() and closed.says() and gated.says()
        slow.tell(signal.SIGSTOP)
        try:
            side.tell(signal.SIGUSR1)
            side.wait("attested", 2, route="sound")
            wait_until("the deadline", lambda: witness.says() and side.events("withdrawn", route="gate"), TIMEOUT)
            wait_until("the ends", lambda: witness.says() and len(found(side)) == 2, TIMEOUT)
        finally:
            slow.tell(signal.SIGCONT)
        assert {line["route"]: line["end"] for line in found(side)} == {"close": "gate-timeout", "gate": "withdrawn"}
        assert closed.ended() and gated.ended()
    assert side.stop() == 0 and slow.stop() == 0
