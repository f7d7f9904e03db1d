"""What breaks around a pair of proxies costs the connection that it breaks, and no other: one that was open
before (the witness) is answered afterwards, and so is a new one."""
import contextlib
import hashlib
import http.server
import os
import random
import select
import socket
import ssl
import struct
import threading

import pytest

from conftest import TIMEOUT, laboratory, run, wait_until
from proxy import Caller, Echo, Proxy
from test_topologies import Service, new_key, write_keys

FRONT = """
    attesters:
      own: {uri: "{uri}", certificate: "{certificate}"}
    routes:
      - name: sound
        listen: ["127.0.0.1:0"]
        mode: terminate
        target: 127.0.0.1:{sound}
        downstream:
          attester: own
          require: none
          tls: {certificate: {dir}/tls.pem, key: {dir}/tls.key}
      - name: broken
        listen: ["127.0.0.2:0"]
        mode: terminate
        target: {target}
        downstream:
          attester: own
          require: none
          tls: {certificate: {dir}/tls.pem, key: {dir}/tls.key}
        limits: {{limits}}
"""
SIDE = """
    verifiers:
      store: {uri: "local:{store}"}
      other: {verifier}
    routes:
      - name: sound
        listen: ["127.0.0.1:0"]
        mode: originate
        target: 127.0.0.1:{sound}
        upstream:
          require: {verifier: store, identity: pkix}
          tls: {ca: {dir}/ca.pem, name: localhost}
      - name: broken
        listen: ["127.0.0.2:0"]
        mode: originate
        target: 127.0.0.2:{broken}
        upstream:
          require: {verifier: other, identity: pkix}
          tls: {ca: {dir}/ca.pem, name: localhost}
        limits: {{limits}}
"""


class World:
    """A laboratory with an enrolled TPM, and pairs of proxies in it: each has a route that is sound and one
    on which something is going to break."""

    def __init__(self, lab):
        lab.tls()
        self.lab, self.count = lab, 0
        self.tpm = lab.tpm()
        options = lab.enrol(self.tpm)
        self.attester = {"uri": options[1], "certificate": options[3]}
        self.echo = Echo()
        self.keys = {name: lab.dir / f"{name}.jwks" for name in ("own", "foreign")}
        foreign = lab.dir / "foreign.db"
        run("store", "init", "--store", foreign)
        for name, store in (("own", lab.store), ("foreign", foreign)):
            new_key(store)
            write_keys(store, self.keys[name])

    def service(self, url, more="", keys="own"):
        """A verifier elsewhere."""
        return f'{{uri: "veraison:{url}", result-keys: {self.keys[keys]}{more}}}'

    @contextlib.contextmanager
    def pair(self, target=None, limits="", front_limits="", verifier='{uri: "local:{store}"}', broken=None):
        """Front and side. target: behind the broken route of the front; broken: the port in place of the
        front's that the side's broken route goes to."""
        self.count += 1
        front = Proxy(self.lab, f"front{self.count}", FRONT, sound=self.echo.port, limits=front_limits,
                      target=target or f"127.0.0.1:{self.echo.port}", **self.attester).start()
        side = Proxy(self.lab, f"side{self.count}", SIDE, sound=front.port(0), broken=broken or front.port(1),
                     limits=limits, verifier=verifier.replace("{store}", str(self.lab.store))).start()
        try:
            with Caller(side) as witness:
                assert witness.says()
                yield front, side
                assert witness.says()
                with Caller(side) as another:
                    assert another.says()
                # Nothing went wrong that was not meant to.
                for proxy in (front, side):
                    assert not [line for line in proxy.events(route="sound") if line["level"] != "info"]
        finally:
            for proxy in (side, front):
                if proxy.process.poll() is None:
                    proxy.process.kill()
                    proxy.process.wait(TIMEOUT)


@pytest.fixture(scope="module")
def world():
    with laboratory() as lab:
        world = World(lab)
        with world.echo:
            yield world


def call(proxy, index=1):
    """A connection to the route on which something breaks."""
    s = socket.create_connection((f"127.0.0.{index + 1}", proxy.port(index)), timeout=TIMEOUT)
    s.settimeout(TIMEOUT)
    return s


def answers(proxy):
    with call(proxy) as s, contextlib.suppress(OSError):
        s.sendall(b"ping")
        return s.recv(100) == b"ping"


def rest(s):
    """What comes until the end, and whether that was in good order."""
    data = b""
    try:
        while chunk := s.recv(65536):
            data += chunk
    except ConnectionError:
        return data, False
    return data, True


def ended(proxy, count=1, route="broken"):
    """How the last connection of the route ended."""
    found = wait_until("the end", lambda: len(lines_of(proxy, route)) >= count and lines_of(proxy, route))
    return found[count - 1]


def lines_of(proxy, route):
    return [line for line in proxy.events() if line.get("route") == route and "end" in line]


def server(backlog=16):
    return socket.create_server(("127.0.0.1", 0), backlog=backlog)


def at(listener):
    return f"127.0.0.1:{listener.getsockname()[1]}"


# ---- the backend ----

def test_a_backend_that_is_down_and_comes_up(world):
    with server() as free:
        target = at(free)
    with world.pair(target) as (front, side):
        with call(side) as s:
            s.sendall(b"anybody there?")
            assert rest(s)[0] == b""
        line = ended(front)
        assert line["end"] == "dial-failed" and "refused" in line["message"], line
        assert line["to-client"] == 0
        host, port = target.split(":")
        with socket.create_server((host, int(port))) as up, call(side) as s:
            s.sendall(b"and now?")
            backend = up.accept()[0]
            with backend:
                assert backend.recv(100) == b"and now?"


def test_a_backend_that_takes_no_connection(world):
    # A queue that is full: the kernel leaves the next SYN without an answer.
    with server(backlog=0) as full, contextlib.ExitStack() as stack:
        for _ in range(3):
            s = stack.enter_context(socket.socket())
            s.setblocking(False)
            s.connect_ex(full.getsockname())
        with world.pair(at(full), front_limits="dial-timeout: 1s") as (front, side):
            with call(side) as s:
                assert rest(s)[0] == b""
            assert ended(front)["end"] == "dial-timeout"


def test_a_backend_that_says_nothing(world):
    with server() as silent, world.pair(at(silent), front_limits="idle-timeout: 1s") as (front, side):
        with call(side) as s:
            s.sendall(b"well?")
            assert rest(s)[0] == b""
        assert ended(front)["end"] == "idle-timeout"


def test_a_client_that_is_done_still_gets_everything(world):
    data = os.urandom(3 << 20)
    with server() as listener, world.pair(at(listener)) as (front, side), call(side) as s:
        s.sendall(b"all of it")
        s.shutdown(socket.SHUT_WR)
        backend = listener.accept()[0]
        with backend:
            assert rest(backend) == (b"all of it", True)
            threading.Thread(target=lambda: (backend.sendall(data), backend.shutdown(socket.SHUT_WR))).start()
            assert rest(s) == (data, True)
        for proxy in (front, side):
            line = ended(proxy)
            assert (line["end"], line["from-client"], line["to-client"]) == ("closed", 9, len(data)), line


def test_a_backend_that_is_done_still_gets_everything(world):
    data = os.urandom(3 << 20)
    with server() as listener, world.pair(at(listener)) as (front, side), call(side) as s:
        backend = listener.accept()[0]
        with backend:
            backend.sendall(b"bye")
            backend.shutdown(socket.SHUT_WR)
            assert rest(s) == (b"bye", True)
            threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR))).start()
            assert rest(backend) == (data, True)
        for proxy in (front, side):
            line = ended(proxy)
            assert (line["end"], line["from-client"], line["to-client"]) == ("closed", len(data), 3), line


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def test_a_backend_that_breaks_off_is_no_end_of_data(world):
    with server() as listener, world.pair(at(listener)) as (front, side), call(side) as s:
        backend = listener.accept()[0]
        backend.sendall(b"Content-Length: 1000000")
        assert s.recv(100) == b"Content-Length: 1000000"
        reset(backend)
        assert rest(s) == (b"", False)
        assert ended(front)["end"] == "upstream-closed" and ended(side)["end"] == "upstream-closed"


def test_a_client_that_breaks_off_is_no_end_of_data(world):
    with server() as listener, world.pair(at(listener)) as (front, side):
        s = call(side)
        s.sendall(b"PUT")
        with listener.accept()[0] as backend:
            assert backend.recv(100) == b"PUT"
            reset(s)
            assert rest(backend) == (b"", False)
        assert ended(front)["end"] == "downstream-closed" and ended(side)["end"] == "downstream-closed"


def is_reset(s):
    """After an end of data nothing more can be read; the error tells."""
    poll = select.poll()
    poll.register(s, 0)
    return poll.poll(TIMEOUT * 1000) != [] and s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


@pytest.mark.parametrize("first", ["client", "backend"])
@pytest.mark.parametrize("breaks", ["client", "backend"])
def test_what_breaks_off_behind_the_end_of_the_other_direction_is_told(world, first, breaks):
    with server() as listener, world.pair(at(listener)) as (front, side):
        ends = {"client": call(side)}
        ends["backend"] = listener.accept()[0]
        second = {"client": "backend", "backend": "client"}[first]
        ends[first].sendall(b"all of it")
        ends[first].shutdown(socket.SHUT_WR)
        assert rest(ends[second]) == (b"all of it", True)
        ends[second].sendall(b"half of")
        assert ends[first].recv(100) == b"half of"
        left = ends[{"client": "backend", "backend": "client"}[breaks]]
        reset(ends[breaks])
        with left:
            assert is_reset(left)
        want = "downstream-closed" if breaks == "client" else "upstream-closed"
        assert ended(front)["end"] == want and ended(side)["end"] == want


def talk(s, seed, length):
    """Sends so many bytes, in pieces of all sizes, and reads until the end at the same time. The digests of both, and
    whether the other side ended in order."""
    random_ = random.Random(seed)
    s.settimeout(TIMEOUT * 5)
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        if random_.random() < 0.5:
            s.setsockopt(socket.SOL_SOCKET, option, random_.choice([16384, 65536]))
    sent, got = hashlib.sha256(), hashlib.sha256()

    def send():
        left = length
        while left:
            piece = random_.randbytes(min(left, random_.choice([1, 1000, 16380, 100_000, 500_000])))
            s.sendall(piece)
            sent.update(piece)
            left -= len(piece)
        s.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    sender.start()
    data, whole = rest(s)
    got.update(data)
    sender.join(TIMEOUT * 5)
    return sent.hexdigest(), got.hexdigest(), whole


def test_both_directions_are_busy_on_many_connections(world):
    count, size, told = 12, 100_000, {}

    def serve(listener):
        for _ in range(count):
            threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    def answer(s):
        number = s.recv(1)[0]
        told["backend", number] = talk(s, 100 + number, (number * 37 % 12) * size)
        s.close()

    def ask(number):
        with call(side) as s:
            s.sendall(bytes([number]))
            told["client", number] = talk(s, number, number * size)

    with server(count) as listener, world.pair(at(listener)) as (front, side):
        threads = [threading.Thread(target=serve, args=(listener,))]
        threads += [threading.Thread(target=ask, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT * 5)
        # Small windows are slow, and the backends have as much time as the clients had.
        wait_until("all of them", lambda: len(told) == 2 * count, TIMEOUT * 5)
        for number in range(count):
            sent, got, whole = told["client", number]
            assert told["backend", number] == (got, sent, True) and whole, number
        for proxy in (front, side):
            assert [ended(proxy, n + 1)["end"] for n in range(count)] == ["closed"] * count


def fill(*sockets):
    """All send, none reads, until nothing moves for a while."""
    poll = select.poll()
    for s in sockets:
        s.setblocking(False)
        poll.register(s, select.POLLOUT)
    by_number = {s.fileno(): s for s in sockets}
    while ready := poll.poll(300):
        for number, _ in ready:
            by_number[number].send(bytes(65536))


def test_programs_that_go_while_both_directions_are_full_leave_nothing_behind(world):
    with server() as listener, world.pair(at(listener)) as (front, side):
        client = call(side)
        backend = listener.accept()[0]
        fill(client, backend)
        client.close()
        backend.close()
        assert ended(front)["end"] != "closed" and ended(side)["end"] != "closed"


def test_a_client_that_does_not_read_holds_no_link_whose_backend_went(world):
    with server() as listener, world.pair(at(listener)) as (front, side):
        client = call(side)
        backend = listener.accept()[0]
        fill(client, backend)
        backend.close()
        with client:
            assert ended(front)["end"] == "upstream-closed"
            client.settimeout(TIMEOUT)
            data, whole = rest(client)
            assert data and not whole
            assert ended(side)["end"] == "upstream-closed"


def test_a_client_that_left_after_its_half_close_is_found(world):
    with server() as listener, world.pair(at(listener)) as (front, side):
        s = call(side)
        s.sendall(b"GET")
        with listener.accept()[0] as backend:
            assert backend.recv(100) == b"GET"
            s.close()
            assert backend.recv(100) == b""
            backend.sendall(b"nobody reads this")
            assert ended(side)["end"] == "downstream-closed"
            assert ended(front)


def test_a_client_that_does_not_read_holds_up_nobody(world):
    with server() as listener, world.pair(at(listener), front_limits="idle-timeout: 2s") as (front, side), call(side):
        backend = listener.accept()[0]
        with backend:
            backend.setblocking(False)
            sent = 0
            with contextlib.suppress(OSError):
                while sent < 1 << 30:
                    sent += backend.send(bytes(65536))
            assert sent < 256 << 20  # what is on its way is bounded
            with Caller(side) as other:
                for _ in range(20):
                    assert other.says(b"x" * 100_000)
            assert ended(front)["end"] == "idle-timeout"


# ---- the verifier ----

def test_a_verifier_that_is_down(world):
    with server() as free:
        url = f"http://{at(free)}"
    with world.pair(verifier=world.service(url)) as (front, side):
        with call(side) as s:
            s.sendall(b"secret")
            assert rest(s)[0] == b""
        assert ended(side)["end"] == "verifier-unavailable"
        assert ended(front)["from-client"] == 0


def test_a_verifier_that_does_not_answer(world):
    with server() as silent, world.pair(
            verifier=world.service(f"http://{at(silent)}", ", timeout: 1s")) as (front, side):
        with call(side) as s:
            s.sendall(b"secret")
            assert rest(s)[0] == b""
        line = ended(side)
        assert line["end"] == "verifier-unavailable" and line["reason"] == "deadline", line
        assert at(silent) in line["message"], line
        assert ended(front)["from-client"] == 0


class Liar(http.server.BaseHTTPRequestHandler):
    """Says yes to everything, in its own words."""
    protocol_version = "HTTP/1.1"

    def answer(self, *_):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b'{"status": "complete", "result": "yes", "ear.status": "affirming"}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


def test_a_verifier_that_talks_nonsense(world):
    liar = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar)
    threading.Thread(target=liar.serve_forever, daemon=True).start()
    try:
        with world.pair(verifier=world.service(f"http://127.0.0.1:{liar.server_port}")) as (front, side):
            with call(side) as s:
                s.sendall(b"secret")
                assert rest(s)[0] == b""
            assert ended(side)["end"] in ("verifier-unavailable", "upstream-refused")
            assert ended(front)["from-client"] == 0 and not side.events("open", route="broken")
    finally:
        liar.shutdown()
        liar.server_close()


def test_a_verifier_whose_key_is_another(world):
    service = Service(world.lab)
    try:
        service.up()
        write_keys(world.lab.store, world.keys["own"])
        ca = f", ca: {world.lab.dir}/ca.pem"
        with world.pair(verifier=world.service(service.url, ca)) as (_, side), call(side) as s:
            s.sendall(b"hello")
            assert s.recv(100) == b"hello"
        with world.pair(verifier=world.service(service.url, ca, "foreign")) as (front, side):
            with call(side) as s:
                s.sendall(b"secret")
                assert rest(s)[0] == b""
            line = ended(side)
            assert (line["end"], line["reason"]) == ("verifier-unavailable", "kid-mismatch"), line
            assert ended(front)["from-client"] == 0
    finally:
        service.kill()


# ---- the TPM ----

def test_a_tpm_that_goes_and_comes_back(world):
    with world.pair() as (front, side):
        with call(side) as open_before:
            open_before.sendall(b"one")
            assert open_before.recv(100) == b"one"
            world.tpm.stop()
            try:
                with call(side) as s:
                    s.sendall(b"secret")
                    assert rest(s)[0] == b""
                assert ended(front)["from-client"] == 0
                open_before.sendall(b"two")
                assert open_before.recv(100) == b"two"
            finally:
                world.tpm.socket.unlink(missing_ok=True)
                world.tpm.start()
            # Its clock counts as unsafe until it has gone past what it last wrote down.
            wait_until("evidence that is accepted", lambda: answers(side))


# ---- clients of the front that stall or talk nonsense ----

def hello():
    """The ClientHello of a client of flavour post."""
    context, incoming, outgoing = client_context(), ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def client_context(alpn="atls/1"):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols([alpn])
    return context


@pytest.mark.parametrize("sent", ["nothing", "a byte", "half a ClientHello", "a ClientHello"])
def test_a_client_that_stalls_in_its_handshake(world, sent):
    whole = hello()
    data = {"nothing": b"", "a byte": whole[:1], "half a ClientHello": whole[:len(whole) // 2], "a ClientHello": whole}
    with world.pair(front_limits="handshake-timeout: 1s") as (front, _), call(front) as s:
        s.sendall(data[sent])
        rest(s)
        assert ended(front)["end"] == "handshake-timeout"


def test_a_client_that_stalls_before_the_gate(world):
    with server() as backend, world.pair(at(backend), front_limits="gate-timeout: 1s") as (front, _):
        with call(front) as plain, client_context().wrap_socket(plain, server_hostname="localhost") as s:
            assert s.selected_alpn_protocol() == "atls/1"
            with contextlib.suppress(ssl.SSLError, OSError):
                while s.recv(65536):
                    pass
            assert ended(front)["end"] == "gate-timeout"
        backend.setblocking(False)
        with pytest.raises(BlockingIOError):
            backend.accept()  # the backend has heard nothing of it


GARBAGE = {
    "random bytes": bytes(range(255, 0, -1)) * 8,
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a record that is too long": b"\x16\x03\x01\xff\xff" + bytes(70_000),
    "an alert": b"\x15\x03\x03\x00\x02\x02\x28",
    "no ClientHello": b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00",
}


@pytest.mark.parametrize("what", GARBAGE)
def test_a_client_that_talks_nonsense(world, what):
    with server() as backend, world.pair(at(backend)) as (front, _):
        with call(front) as s:
            with contextlib.suppress(OSError):
                s.sendall(GARBAGE[what])
            rest(s)
            assert ended(front)["end"] in ("downstream-tls", "prelude-refused")
        backend.setblocking(False)
        with pytest.raises(BlockingIOError):
            backend.accept()


@pytest.mark.parametrize("what", ["no ALPN", "another ALPN", "TLS 1.2"])
def test_a_client_of_plain_tls(world, what):
    context = client_context({"no ALPN": None, "another ALPN": "http/1.1", "TLS 1.2": "atls/1"}[what])
    if what == "TLS 1.2":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    with server() as backend, world.pair(at(backend)) as (front, _):
        with call(front) as plain, pytest.raises(OSError):
            with context.wrap_socket(plain, server_hostname="localhost") as s:
                s.sendall(b"let me in")
                assert s.recv(100) == b"", "an answer"
                raise ConnectionError
        assert ended(front)["end"] == "downstream-tls"
        backend.setblocking(False)
        with pytest.raises(BlockingIOError):
            backend.accept()


# ---- servers that the side dials ----

def test_a_server_that_stalls_in_its_handshake(world):
    with socket.create_server(("127.0.0.2", 0)) as silent, world.pair(
            broken=silent.getsockname()[1], limits="dial-timeout: 1s") as (_, side), call(side) as s:
        s.sendall(b"secret")
        assert rest(s)[0] == b""
        assert ended(side)["end"] == "dial-timeout"


def serve_tls(world, listener, then):
    """Takes one connection, is a TLS server with the right certificate, and does then(it)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(world.lab.dir / "tls.pem", world.lab.dir / "tls.key")
    context.set_alpn_protocols(["atls/1"])

    def run():
        with contextlib.suppress(OSError), context.wrap_socket(listener.accept()[0], server_side=True) as s:
            s.settimeout(TIMEOUT)
            then(s)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def all_of(s, seen):
    with contextlib.suppress(ssl.SSLError, OSError):
        while data := s.recv(65536):
            seen.append(data)


def test_a_server_that_stalls_before_the_gate(world):
    seen = []
    with socket.create_server(("127.0.0.2", 0)) as listener:
        thread = serve_tls(world, listener, lambda s: all_of(s, seen))
        with world.pair(broken=listener.getsockname()[1], limits="gate-timeout: 1s") as (_, side):
            with call(side) as s:
                s.sendall(b"secret")
                assert rest(s)[0] == b""
            assert ended(side)["end"] == "gate-timeout"
        thread.join(TIMEOUT)
    assert b"secret" not in b"".join(seen)


def test_a_server_that_talks_nonsense_behind_its_handshake(world):
    seen = []

    def babble(s):
        s.sendall(bytes(1000))
        all_of(s, seen)

    with socket.create_server(("127.0.0.2", 0)) as listener:
        thread = serve_tls(world, listener, babble)
        with world.pair(broken=listener.getsockname()[1]) as (_, side):
            with call(side) as s:
                s.sendall(b"secret")
                assert rest(s)[0] == b""
            assert ended(side)["end"] in ("upstream-tls", "upstream-refused")
        thread.join(TIMEOUT)
    assert b"secret" not in b"".join(seen)
