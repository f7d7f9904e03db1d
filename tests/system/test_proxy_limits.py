"""Limits and deadlines of atls-proxy: who is over one is told off, in the log and in the metrics, and all others go on."""
import contextlib
import re
import signal
import socket
import ssl
import threading

import pytest

from conftest import TIMEOUT, laboratory, wait_until
from proxy import Echo, Proxy
from test_proxy_faults import client_context, rest

FRONT = """
    attesters:
      own: {uri: "{uri}", certificate: "{certificate}"}
    routes:
      - name: web
        listen: ["127.0.0.1:0"]
        mode: terminate
        target: "{target}"
        downstream:
          attester: own
          require: none
          tls: {certificate: {dir}/tls.pem, key: {dir}/tls.key}
        limits: {{route}}
      - name: other
        listen: ["127.0.0.1:0"]
        mode: terminate
        target: 127.0.0.1:{echo}
        downstream:
          attester: own
          require: none
          tls: {certificate: {dir}/tls.pem, key: {dir}/tls.key}
    limits: {{all}}
    log: {level: debug}
    operation: {listen: "127.0.0.1:0"}
"""
SIDE = """
    verifiers:
      store: {uri: "local:{store}"}
    routes:
      - name: out
        listen: ["127.0.0.1:0"]
        mode: originate
        target: {target}
        upstream:
          require: {verifier: store, identity: pkix}
          tls: {ca: {dir}/ca.pem, name: localhost}
        limits: {{route}}
      - name: other
        listen: ["127.0.0.1:0"]
        mode: originate
        target: localhost:{sound}
        upstream:
          require: {verifier: store, identity: pkix}
          tls: {ca: {dir}/ca.pem}
    limits: {{all}}
    log: {level: debug}
    operation: {listen: "127.0.0.1:0"}
"""


class World:
    def __init__(self, lab, echo):
        lab.tls()
        options = lab.enrol(lab.tpm())
        self.lab, self.count, self.echo = lab, 0, echo
        self.attester = {"uri": options[1], "certificate": options[3]}
        self.sound = self.front()

    def front(self, route="", limits="", target=None):
        self.count += 1
        return Proxy(self.lab, f"front{self.count}", FRONT, route=route, all=limits, echo=self.echo.port,
                     target=target or f"127.0.0.1:{self.echo.port}", **self.attester).start()

    def side(self, route="", limits="", target=None):
        self.count += 1
        return Proxy(self.lab, f"side{self.count}", SIDE, route=route, all=limits, sound=self.sound.port(),
                     target=target or f"localhost:{self.sound.port()}").start()


@pytest.fixture(scope="module")
def world():
    with laboratory() as lab, Echo() as echo:
        yield World(lab, echo)


@contextlib.contextmanager
def call(proxy, index=0, source="127.0.0.1"):
    with socket.create_connection(("127.0.0.1", proxy.port(index)), timeout=TIMEOUT, source_address=(source, 0)) as s:
        yield s


def says(s, data=b"ping"):
    with contextlib.suppress(OSError):
        s.sendall(data)
        return s.recv(len(data), socket.MSG_WAITALL) == data
    return False


def room(proxy):
    """Waits until a connection is served again: who is gone is still counted for a moment."""
    def served():
        with call(proxy) as s:
            return says(s)
    wait_until("room", served)


def count(proxy, end, route):
    """What the metrics say."""
    port = int(proxy.events("operation")[0]["address"].rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as s:
        s.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        text = rest(s)[0].decode()
    found = re.search(rf'^atls_proxy_connections_total{{route="{route}",end="{end}"}} (\d+)$', text, re.M)
    return int(found[1]) if found else 0


def ended(proxy, end, route, number=1):
    """The log's line of the end, which the metrics have as often."""
    line = wait_until(f"{end} of {proxy.name}", lambda: [
        line for line in proxy.events() if line.get("end") == end and line.get("route", route) == route][number - 1:])[0]
    assert count(proxy, end, route) == number, (end, route)
    return line


# ---- how many ----

def test_connections_over_the_limit_are_closed_and_others_go_on(world):
    side = world.side(limits="connections: 3")
    with call(side) as first, call(side, 1) as second:
        assert says(first) and says(second)
        with call(side) as third:
            assert says(third)
            for number, (index, route) in enumerate(((0, "out"), (1, "other"))):
                with call(side, index) as s:
                    assert rest(s)[0] == b""
                assert ended(side, "limit-connections", route)["event"] == "refused"
            assert says(first) and says(second) and says(third)
        room(side)


def test_connections_of_a_route_over_its_limit_are_closed_and_other_routes_go_on(world):
    side = world.side(route="connections: 1")
    with call(side) as first:
        assert says(first)
        with call(side) as s:
            assert rest(s)[0] == b""
        line = ended(side, "limit-route", "")
        assert (line["event"], line["from-client"]) == ("refused", 0)
        assert says(first)
        with call(side, 1) as a, call(side, 1) as b:
            assert says(a) and says(b)
    room(side)


def test_handshakes_over_the_limit_are_closed_and_what_is_open_goes_on(world):
    front = world.front(limits="handshakes: 1")
    side = world.side(target=f"localhost:{front.port()}")
    with call(side) as open_before:
        assert says(open_before)
        front.wait("open")
        with call(front) as stalls:
            with call(front, 1) as s:
                assert rest(s)[0] == b""
            assert ended(front, "limit-handshakes", "other")["event"] == "refused"
            assert says(open_before)
            stalls.shutdown(socket.SHUT_WR)
            assert ended(front, "downstream-closed", "web")
        room(side)


def test_a_source_over_its_limit_is_told_off_and_others_are_not(world):
    side = world.side(limits="connections-per-source: 2")
    with call(side) as first, call(side, 1) as second:
        assert says(first) and says(second)
        with call(side) as s:
            assert rest(s)[0] == b""
        line = ended(side, "limit-source", "out")
        assert line["event"] == "refused" and line["client"].startswith("127.0.0.1:")
        with call(side, source="127.0.0.9") as a, call(side, 1, source="127.0.0.9") as b:
            assert says(a) and says(b) and says(first) and says(second)
    room(side)


def test_a_source_that_comes_too_fast_is_told_off_and_others_are_not(world):
    side = world.side(limits="rate: 1, burst: 2")
    with contextlib.ExitStack() as stack:
        calls = [stack.enter_context(call(side)) for _ in range(40)]
        served = [says(s) for s in calls]
        assert served[0] and not all(served)
        wait_until("the metric", lambda: count(side, "limit-source", "out") == served.count(False))
        with call(side, source="127.0.0.9") as a, call(side, 1, source="127.0.0.9") as b:
            assert says(a) and says(b)
        assert [says(s) for s in calls] == served
    room(side)


@pytest.mark.parametrize("limits, size, end", [("bytes-before-gate: 64KiB", 65539, "downstream-tls"),
                                               ("", 65539, "downstream-refused")])
def test_bytes_before_the_gate_are_bounded(world, limits, size, end):
    front = world.front(route=limits)
    side = world.side(target=f"localhost:{front.port()}")
    with call(side) as witness:
        assert says(witness)
        with call(front) as plain, client_context().wrap_socket(plain, server_hostname="localhost") as s:
            # A HELLO of the largest size whose version does not exist: which is refused where it may be so long.
            with contextlib.suppress(OSError):
                s.sendall(b"\x01" + size.to_bytes(3, "big") + b"\xff\0" + (size - 4).to_bytes(2, "big") + bytes(size - 4))
            line = wait_until("the end", lambda: [line for line in front.events() if "end" in line])[0]
            if limits:
                assert line["reason"] == "flood" and "65536 bytes" in line["message"], line
                assert ended(front, end, "web")
            else:
                assert line["reason"] != "flood", line
        assert says(witness)


# ---- how long ----

def stall(proxy, tls=False):
    with call(proxy) as plain, contextlib.suppress(OSError):
        if tls:
            with client_context().wrap_socket(plain, server_hostname="localhost") as s:
                rest(s)
        else:
            rest(plain)


def test_handshakes_have_a_deadline(world):
    front = world.front(route="handshake-timeout: 1s")
    stall(front)
    line = ended(front, "handshake-timeout", "web")
    assert line["event"] == "closed" and float(line["seconds"]) >= 1
    with call(front, 1) as plain, client_context().wrap_socket(plain, server_hostname="localhost") as s:
        assert s.selected_alpn_protocol() == "atls/1"  # the other route has its own


def test_gates_have_a_deadline(world):
    front = world.front(route="gate-timeout: 1s")
    stall(front, tls=True)
    assert float(ended(front, "gate-timeout", "web")["seconds"]) >= 1


@contextlib.contextmanager
def silent():
    with socket.create_server(("127.0.0.1", 0)) as s:
        yield f"localhost:{s.getsockname()[1]}"


def test_dialling_has_a_deadline(world):
    with silent() as target:
        side = world.side(route="dial-timeout: 1s", target=target)
        with call(side) as s:
            assert rest(s)[0] == b""
        assert float(ended(side, "dial-timeout", "out")["seconds"]) >= 1
        with call(side, 1) as s:
            assert says(s)


def test_a_target_has_a_deadline_for_its_gate(world):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(world.lab.dir / "tls.pem", world.lab.dir / "tls.key")
        context.set_alpn_protocols(["atls/1"])
        done = threading.Event()

        def serve():
            with contextlib.suppress(OSError), context.wrap_socket(listener.accept()[0], server_side=True):
                done.wait(TIMEOUT)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        side = world.side(route="gate-timeout: 1s", target=f"localhost:{listener.getsockname()[1]}")
        with call(side) as s:
            s.sendall(b"secret")
            assert rest(s)[0] == b""
        assert ended(side, "gate-timeout", "out")["to-client"] == 0
        done.set()
        thread.join(TIMEOUT)


def test_idle_connections_have_a_deadline(world):
    side = world.side(route="idle-timeout: 2s")
    with call(side) as s, call(side, 1) as other:
        assert says(s) and says(other)
        assert rest(s)[0] == b""
        line = ended(side, "idle-timeout", "out")
        assert line["event"] == "closed" and line["from-client"] == 4
        assert says(other)


def test_the_end_has_a_deadline(world):
    side = world.side(limits="drain-timeout: 1s")
    with call(side) as s:
        assert says(s)
        assert side.stop(signal.SIGTERM) == 0
        assert rest(s) == (b"", False)  # cut, not ended
        assert side.events("closed")[0]["end"] == "drained"


def test_limits_grow_and_shrink_with_a_reload(world):
    side = world.side(limits="connections: 2")

    def change(old, new):
        side.config.write_text(side.config.read_text().replace(f"connections: {old}", f"connections: {new}"))
        side.reload()

    with contextlib.ExitStack() as stack:
        calls = []
        for old, new in ((2, 5), (5, 3), (3, 6)):
            while len(calls) < old:
                calls.append(stack.enter_context(call(side)))
                assert says(calls[-1])
            with call(side) as s:
                assert rest(s)[0] == b""
            change(old, new)
        calls.append(stack.enter_context(call(side)))
        assert all(says(s) for s in calls) and len(calls) == 6
        with call(side) as s:
            assert rest(s)[0] == b""


def test_limits_of_a_source_change_with_a_reload(world):
    side = world.side(limits="connections: 9, connections-per-source: 1")
    with call(side) as first:
        assert says(first)
        with call(side) as s:
            assert rest(s)[0] == b""
        side.config.write_text(side.config.read_text().replace("connections-per-source: 1", "connections-per-source: 2"))
        side.reload()
        with call(side) as s:
            assert says(s)
            with call(side) as third:
                assert rest(third)[0] == b""
        assert says(first)
