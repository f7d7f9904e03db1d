"""A balancer in front of a proxy says in a header of the PROXY protocol who its clients are: in the log, in the limits
of a source, and to the target. What is wrong with a header costs the connection that it stands in front of."""
import contextlib
import socket
import struct

import pytest

from backends import Threaded
from conftest import TIMEOUT, laboratory, wait_until
from proxy import Proxy
from test_proxy_faults import client_context, hello
from test_proxy_listeners import hello as hello_for

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
FRONT = """
    attesters:
      own: {uri: "{uri}", certificate: "{certificate}"}
    routes:
      - name: web
        listen: ["127.0.0.1:0"]
        mode: terminate
        target: "{target}"
        proxy-protocol: {in: true, out: true, trusted: [127.0.0.1]}
        downstream:
          attester: own
          require: none
          tls: {certificate: {dir}/tls.pem, key: {dir}/tls.key}
      - name: direct
        listen: ["127.0.0.1:0"]
        mode: terminate
        target: "{target}"
        downstream:
          attester: own
          require: none
          tls: {certificate: {dir}/tls.pem, key: {dir}/tls.key}
    limits: {{limits}}
    log: {level: debug}
"""
SIDE = """
    verifiers:
      store: {uri: "local:{store}"}
    routes:
      - name: out
        listen: ["127.0.0.1:0", "unix:{dir}/{socket}.sock"]
        mode: originate
        target: localhost:{front}
        proxy-protocol: {in: true, out: true, trusted: [127.0.0.1, "127.0.1.0/24", "::1"]}
        upstream:
          require: {verifier: store, identity: pkix}
          tls: {ca: {dir}/ca.pem}
    limits: {{limits}}
    log: {level: debug}
"""


def header(command=1, family=0x11, body=b"", version=2):
    return SIGNATURE + bytes([version << 4 | command, family]) + struct.pack(">H", len(body)) + body


def four(source, port, tlvs=b""):
    return header(body=socket.inet_aton(source) + socket.inet_aton("192.0.2.200") + struct.pack(">HH", port, 443) + tlvs)


def six(source, port):
    return header(family=0x21, body=socket.inet_pton(socket.AF_INET6, source) +
                  socket.inet_pton(socket.AF_INET6, "2001:db8::200") + struct.pack(">HH", port, 443))


def tlv(kind, value):
    return bytes([kind]) + struct.pack(">H", len(value)) + value


class Behind(Threaded):
    """Reads a header, which every connection must have, then sends back what comes."""

    def __init__(self):
        self.heads = []
        super().__init__()

    def serve(self, s):
        with s.makefile("rb") as stream:
            head = stream.read(16)
            if not head:
                return
            assert head[:12] == SIGNATURE, head
            self.heads.append((head[12], head[13], stream.read(int.from_bytes(head[14:], "big"))))
            while data := stream.read1(65536):
                s.sendall(data)


class World:
    def __init__(self, lab):
        lab.tls()
        options = lab.enrol(lab.tpm())
        self.lab, self.count = lab, 0
        self.attester = {"uri": options[1], "certificate": options[3]}
        self.behind = Behind()

    def pair(self, limits="", front_limits=""):
        self.count += 1
        front = Proxy(self.lab, f"front{self.count}", FRONT, target=self.behind.target, limits=front_limits,
                      **self.attester).start()
        side = Proxy(self.lab, f"side{self.count}", SIDE, front=front.port(), limits=limits,
                     socket=f"side{self.count}").start()
        return front, side


@pytest.fixture(scope="module")
def world():
    with laboratory() as lab:
        world = World(lab)
        with world.behind:
            yield world


@pytest.fixture(scope="module")
def pair(world):
    return world.pair()


@pytest.fixture
def sound(world, pair):
    """A connection that is open before and after what goes wrong, and one more afterwards."""
    with call(pair[1], four("192.0.2.99", 99)) as witness:
        assert says(witness)
        yield pair
        assert says(witness)
        with call(pair[1], four("192.0.2.98", 98)) as another:
            assert says(another)


def call(proxy, data=b"", source="127.0.0.1", index=0):
    s = socket.create_connection(("127.0.0.1", proxy.port(index)), timeout=TIMEOUT, source_address=(source, 0))
    with contextlib.suppress(OSError):
        s.sendall(data)
    return s


def says(s, data=b"ping"):
    with contextlib.suppress(OSError):
        s.sendall(data)
        got = b""
        while len(got) < len(data) and (more := s.recv(100)):
            got += more
        return got == data
    return False


def rest(s):
    with contextlib.suppress(OSError):
        return s.recv(100)
    return b""


def end_of(proxy, s, client=None):
    """How the connection ended, by the address that it has, or that its header gave it."""
    client = client or "{}:{}".format(*s.getsockname())
    return wait_until("the end", lambda: [line for line in proxy.events(client=client) if "end" in line])[0]


# ---- headers that say something ----

@pytest.mark.parametrize("head, who, family, address", [
    (four("192.0.2.7", 4711), "192.0.2.7:4711", 0x11, socket.inet_aton("192.0.2.7")),
    (six("2001:db8::7", 4711), "[2001:db8::7]:4711", 0x21, socket.inet_pton(socket.AF_INET6, "2001:db8::7")),
    (four("192.0.2.8", 1, tlv(0xee, b"vendor") + tlv(0x04, bytes(3)) + tlv(0x02, b"web.example") +
          tlv(0xe0, b"affirming") + tlv(0x20, b"\x01" + bytes(4) + tlv(0x21, b"TLSv1.3"))), "192.0.2.8:1", 0x11,
     socket.inet_aton("192.0.2.8")),
], ids=["v4", "v6", "with TLVs of others"])
def test_the_address_in_the_header_is_the_clients(world, pair, head, who, family, address):
    front, side = pair
    with call(side, head) as s:
        assert says(s)
        kind, got, body = world.behind.heads[-1]
        assert (kind, got) == (0x21, family) and body[:len(address)] == address
        # But for the checksum nothing: nobody attested, and what the balancer's header claimed stays behind.
        assert body[12 if family == 0x11 else 36:][:3] == b"\x03\0\4" and len(body) == (19 if family == 0x11 else 43)
        for proxy in pair:
            assert proxy.wait("open", client=who)
    for proxy in pair:
        assert proxy.wait("closed", client=who)[0]["end"] == "closed"


@pytest.mark.parametrize("head", [header(command=0, family=0), header(command=0, body=bytes(12)),
                                  header(family=0), header(family=0, body=b"whatever")],
                         ids=["LOCAL", "LOCAL with addresses", "UNSPEC", "UNSPEC with bytes"])
def test_a_header_without_an_address_leaves_the_balancers(world, pair, head):
    _, side = pair
    with call(side, head) as s:
        assert says(s)
        who = f"127.0.0.1:{s.getsockname()[1]}"
        assert side.wait("open", client=who)
        kind, family, body = world.behind.heads[-1]
        assert (kind, family, body[:4]) == (0x21, 0x11, socket.inet_aton("127.0.0.1"))
        assert body[8:10] == struct.pack(">H", s.getsockname()[1])


def test_addresses_of_unix_sockets_are_none(world, pair):
    _, side = pair
    with call(side, header(family=0x31, body=b"/run/client".ljust(108, b"\0") + b"/run/server".ljust(108, b"\0"))) as s:
        assert says(s)
        number = side.wait("open", client="unix")[-1]["connection"]
        # The next one hears of a client without an address, or of one at a unix socket, and of nobody else.
        assert world.behind.heads[-1][1] in (0x00, 0x31)
    assert side.wait("closed", connection=number)[0]["end"] == "closed"


def test_behind_a_header_the_hello_chooses_the_route(world):
    text = FRONT.replace("        proxy-protocol: {in: true, out: true", "        match: {sni: [localhost]}\n"
                         "        proxy-protocol: {in: true, out: true")
    front = Proxy(world.lab, "chooses", text, target=world.behind.target, limits="", **world.attester).start()
    side = Proxy(world.lab, "chosen", SIDE, front=front.port(), limits="", socket="chosen").start()
    with call(side, four("192.0.2.30", 30)) as s:
        assert says(s)
        assert front.wait("open", client="192.0.2.30:30")[0]["route"] == "web"
    for data, said in ((hello_for("other.test", ["atls/1"]), 'no route is for "other.test"'), (b"GET / HTTP/1.1\r\n", "TLS")):
        with call(front, four("192.0.2.31", 31) + data) as s:
            assert rest(s) == b""
        line = front.wait("refused", client="192.0.2.31:31", end="prelude-refused")[-1]
        assert said in line["message"], line


def test_a_balancer_at_a_unix_socket_is_trusted(world, pair):
    _, side = pair
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(TIMEOUT)
        s.connect(str(world.lab.dir / f"{side.name}.sock"))
        s.sendall(four("192.0.2.17", 17))
        assert says(s)
        assert side.wait("open", client="192.0.2.17:17")


def test_a_header_may_come_in_pieces(pair):
    _, side = pair
    head = four("192.0.2.9", 9, tlv(0xee, bytes(1000)))
    with call(side) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(0, len(head), 100):
            s.sendall(head[i:i + 100])
        assert says(s)
        assert side.wait("open", client="192.0.2.9:9")


def test_a_header_is_as_long_as_is_allowed_and_data_may_follow_at_once(pair):
    _, side = pair
    head = four("192.0.2.10", 10, tlv(0xee, bytes(4096 - 28 - 3)))
    assert len(head) == 4096
    with call(side, head + b"at once") as s:
        assert says(s, b"") and s.recv(7, socket.MSG_WAITALL) == b"at once"
        assert side.wait("open", client="192.0.2.10:10")


# ---- headers that are wrong ----

WRONG = {
    "one of version 1": (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "version 2"),
    "garbage": (bytes(range(255, 55, -1)), "version 2"),
    "none": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "version 2"),
    "TLS at once": (hello(), "version 2"),
    "another version": (header(version=3, body=bytes(12)), "version"),
    "another command": (header(command=5, body=bytes(12)), "neither LOCAL nor PROXY"),
    "datagrams": (header(family=0x12, body=bytes(12)), ""),
    "another family": (header(family=0x41, body=bytes(12)), ""),
    "one too short for its addresses": (header(body=bytes(11)), "too short"),
    "one that is too long": (header(body=bytes(4096 - 15)), "4096"),
    "the longest there is": (header(body=bytes(65535)), "4096"),
    "TLVs that run past its end": (four("192.0.2.1", 1, b"\xee\0\x09x"), "TLVs"),
    "another checksum": (four("192.0.2.1", 1, tlv(0x03, b"\1\2\3\4")), "CRC-32C"),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_a_header_that_is_wrong(world, sound, what, tls):
    proxy = sound[0] if tls else sound[1]
    data, message = WRONG[what]
    heads = len(world.behind.heads)
    with call(proxy, data) as s:
        assert rest(s) == b""
        line = end_of(proxy, s)
        assert line["event"] == "refused" and line["end"] == "prelude-refused", line
        assert message in line["message"] and "route" not in line, line
    assert len(world.behind.heads) == heads


def test_the_header_of_somebody_who_is_not_trusted(sound):
    side = sound[1]
    with call(side, four("192.0.2.1", 1) + b"hello", source="127.0.0.9") as s:
        assert rest(s) == b""
        line = end_of(side, s)
    assert line["end"] == "prelude-refused" and "trusted" in line["message"], line
    with call(side, four("192.0.2.1", 2), source="127.0.1.9") as s:
        assert says(s)


@pytest.mark.parametrize("length", [0, 1, 12, 15, 16, 27])
def test_half_a_header(sound, length):
    side = sound[1]
    with call(side, four("192.0.2.1", 1)[:length]) as s:
        s.shutdown(socket.SHUT_WR)
        assert rest(s) == b""
        line = end_of(side, s)
        assert line["end"] == "downstream-closed" and line["from-client"] == 0, line


def test_a_balancer_that_stalls(world):
    front, side = world.pair("handshake-timeout: 2s", "handshake-timeout: 2s")
    for proxy in (front, side):
        for data in (b"", four("192.0.2.1", 1)[:20]):
            with call(proxy, data) as s:
                assert rest(s) == b""
                assert end_of(proxy, s)["end"] == "handshake-timeout"
    # After its header, the client has what is left of the time.
    with call(front, four("192.0.2.1", 7)) as s:
        assert rest(s) == b""
        line = end_of(front, s, "192.0.2.1:7")
        assert (line["end"], line["route"]) == ("handshake-timeout", "web")


def test_a_header_where_none_is_expected(sound):
    front = sound[0]
    with call(front, four("192.0.2.66", 66) + hello(), index=1) as s:
        rest(s)
        assert end_of(front, s)["end"] == "downstream-tls"
    with call(front, index=1) as plain, client_context().wrap_socket(plain, server_hostname="localhost") as s:
        assert s.selected_alpn_protocol() == "atls/1"


# ---- limits of a source ----

def test_limits_of_a_source_are_those_of_the_client_in_the_header(world):
    _, side = world.pair("connections-per-source: 2", "connections-per-source: 1000")
    with contextlib.ExitStack() as stack:
        for port in (1, 2):
            assert says(stack.enter_context(call(side, four("192.0.2.1", port))))
        with call(side, four("192.0.2.1", 3)) as s:
            assert not says(s)
            line = side.wait("refused")[0]
            assert (line["end"], line["client"]) == ("limit-source", "192.0.2.1:3")
        for source in ("192.0.2.2", "192.0.2.3", "192.0.2.4"):
            assert says(stack.enter_context(call(side, four(source, 1))))
        for port in (1, 2, 3):  # the balancer looks whether somebody is there
            assert says(stack.enter_context(call(side, header(command=0, family=0))))
        for port in (1, 2):
            assert says(stack.enter_context(call(side, six(f"2001:db8::{port}", 1))))
        with call(side, six("2001:db8::3", 3)) as s:  # of the same /64
            assert not says(s)
            assert side.wait("refused", client="[2001:db8::3]:3")[0]["end"] == "limit-source"

    def served():
        with call(side, four("192.0.2.1", 4)) as s:
            return says(s)
    wait_until("room", served)


def test_the_rate_of_a_source_is_that_of_the_client_in_the_header(world):
    _, side = world.pair("rate: 1, burst: 1, connections-per-source: 1000")
    with contextlib.ExitStack() as stack:
        calls = [stack.enter_context(call(side, four("192.0.2.1", port))) for port in range(1, 41)]
        assert not all([says(s) for s in calls])
    assert side.wait("refused", end="limit-source")[0]["client"].startswith("192.0.2.1:")
    with call(side, four("192.0.2.2", 1)) as s:
        assert says(s)
