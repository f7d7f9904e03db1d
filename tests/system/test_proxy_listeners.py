"""Where connections come in, and which route they take: by server name and protocols of the ClientHello, at sockets of
IPv6, of the file system and of the service manager, several of a route, several routes at one."""
import contextlib
import os
import pathlib
import shutil
import socket
import ssl
import stat
import subprocess
import sys

import pytest

from backends import Threaded
from conftest import TIMEOUT, laboratory, wait_until
from proxy import PROXY, Caller, Echo, Proxy
from test_proxy_faults import client_context, rest

# One listener for all of them; more are put in front.
SHARED = """
    attesters:
      own: {uri: "{uri}", certificate: "{certificate}"}
    routes:
{routes}
    log: {level: debug}
"""
ROUTE = """\
      - name: {name}
        listen: ["{listen}"]
        mode: terminate
        target: "{target}"
        {match}
        downstream:
          attester: own
          require: none
          {side}
"""
POST = "tls: {certificate: {dir}/tls.pem, key: {dir}/tls.key}"
SIDE = """
    verifiers:
      store: {uri: "local:{store}"}
    routes:
      - name: out
        listen: ["{listen}"]
        mode: originate
        target: "{target}"
        upstream:
          {side}
          require: {verifier: store, identity: attested}
"""


class Named(Threaded):
    """Says who it is, then sends back what it gets."""

    def __init__(self, name, path=None):
        self.name = name
        super().__init__(path)

    def serve(self, s):
        s.sendall(self.name.encode() + b"\n")
        while data := s.recv(65536):
            s.sendall(data)


class World:
    def __init__(self, lab, stack):
        lab.tls()
        self.lab, self.count, self.stack, self.behind = lab, 0, stack, {}
        options = lab.enrol(lab.tpm())
        self.attester = {"uri": options[1], "certificate": options[3]}
        self.listen = f"unix:{lab.dir}/door.sock"

    def target(self, name):
        if name not in self.behind:
            self.behind[name] = self.stack.enter_context(Named(name))
        return self.behind[name].target

    def front(self, *routes, listen=None):
        """Routes as (name, match[, lines of the side])."""
        self.count += 1
        text = "".join(ROUTE.replace("{name}", name).replace("{match}", f"match: {match}" if match else "")
                       .replace("{target}", self.target(name)).replace("{side}", (more or [POST])[0])
                       .replace("{listen}", listen or self.listen) for name, match, *more in routes)
        return Proxy(self.lab, f"front{self.count}", SHARED.replace("{routes}\n", text), **self.attester)

    def side(self, target, side, listen="127.0.0.1:0"):
        self.count += 1
        return Proxy(self.lab, f"side{self.count}", SIDE, target=target, side=side, listen=listen).start()


@pytest.fixture(scope="module")
def world():
    with laboratory() as lab, contextlib.ExitStack() as stack:
        yield World(lab, stack)


def door(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(TIMEOUT)
    s.connect(str(path))
    return s


def who_answers(caller):
    with contextlib.suppress(ConnectionError), caller.socket.makefile("rb") as stream:
        return stream.readline().decode().strip()
    return ""


def hello(name, protocols):
    """A ClientHello as it goes out; name None: without."""
    context = client_context(None)
    if protocols:
        context.set_alpn_protocols(protocols)
    outgoing = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


# ---- by the ClientHello ----

INTRA = "flavour: intra\n          alpn: [h2, http/1.1]"
ROUTES = [("exact", "{sni: [a.example, b.example]}"), ("both", "{sni: [c.example], alpn: [atls/1]}"),
          ("wild", '{sni: ["*.example"]}'), ("web", "{alpn: [h2, http/1.1]}", INTRA), ("rest", "")]


@pytest.fixture(scope="module")
def front(world):
    return world.front(*ROUTES).start()


@pytest.mark.parametrize("name, protocols, route", [
    ("a.example", ["atls/1"], "exact"), ("b.example", ["atls/1"], "exact"), ("B.Example", ["atls/1"], "exact"),
    ("a.example", None, "exact"), ("a.example", ["h2"], "exact"),
    ("c.example", ["atls/1"], "both"), ("c.example", ["x", "atls/1"], "both"), ("c.example", ["h2"], "wild"),
    ("c.example", None, "wild"), ("any.example", ["atls/1"], "wild"), ("x.y.example", ["atls/1"], "rest"),
    ("example", ["atls/1"], "rest"), ("a.example.org", ["atls/1"], "rest"), ("xa.example", None, "wild"),
    (None, ["h2"], "web"), ("other.test", ["http/1.1", "x"], "web"), (None, ["x", "h2"], "web"), (None, ["h2c"], "rest"),
    (None, ["atls/1"], "rest"), (None, None, "rest")])
def test_the_first_route_that_matches_takes_it(world, front, name, protocols, route):
    count = len([line for line in front.events() if "end" in line])
    with door(world.listen[5:]) as s:
        s.sendall(hello(name, protocols))
        s.shutdown(socket.SHUT_WR)  # that is all there is
        with contextlib.suppress(OSError):
            rest(s)
    line = wait_until("the end", lambda: [line for line in front.events() if "end" in line][count:])[0]
    assert line["route"] == route, line


def test_a_hello_may_come_in_pieces(world):
    front = world.front(("exact", "{sni: [a.example]}"), listen="127.0.0.1:0").start()
    with socket.create_connection(("127.0.0.1", front.port()), timeout=TIMEOUT) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in hello("a.example", ["atls/1"]):
            s.sendall(bytes([byte]))
        s.shutdown(socket.SHUT_WR)
        rest(s)
    assert front.wait("closed", route="exact")
    assert front.stop() == 0


def test_the_log_names_all_routes_of_a_listener(front):
    assert [line["route"] for line in front.events("listening")] == ["exact both wild web rest"]


@pytest.mark.parametrize("name, route", [("a.example", "exact"), ("c.example", "both"), ("d.example", "wild"),
                                         ("nobody.test", "rest")])
def test_data_go_to_the_target_of_the_route(world, front, name, route):
    side = world.side(world.listen, f"tls: {{name: {name}}}")
    with Caller(side) as caller:
        assert who_answers(caller) == route
        assert caller.says(b"x" * 20_000)
    assert front.wait("closed", route=route, end="closed")[0]["client"] == "unix"
    assert side.stop() == 0


def test_the_protocols_inside_of_tls_choose_too(world, front):
    side = world.side(world.listen, "flavour: intra\n      alpn: [http/1.1]\n      tls: {name: nobody.test}")
    with Caller(side) as caller:
        assert who_answers(caller) == "web"
    assert side.wait("open")[0]["target-flavour"] == "intra"
    assert side.stop() == 0


def test_a_nonce_is_no_part_of_the_name(world):
    pre = "flavour: pre\n          freshness: nonce"
    front = world.front(("exact", "{sni: [localhost]}", pre), ("rest", "", pre), listen=world.listen + "2").start()
    for name, route in (("localhost", "exact"), ("other.test", "rest")):
        side = world.side(world.listen + "2", pre.replace("          ", "      ") + f"\n      tls: {{name: {name}}}")
        with Caller(side) as caller:
            assert who_answers(caller) == route
        assert side.wait("open")[0]["target-freshness"] == "nonce"
        assert side.stop() == 0
    assert front.stop() == 0


def test_a_hello_that_no_route_is_for(world):
    front = world.front(*ROUTES[:3], listen=world.listen + "3").start()
    for number, (name, protocols, said) in enumerate(((None, ["atls/1"], 'no route is for ""'),
                                                      ("other.test", None, 'no route is for "other.test"'),
                                                      ("c.d.example", ["h2", "atls/1"], 'for "c.d.example"'))):
        with door(world.listen[5:] + "3") as s:
            s.sendall(hello(name, protocols))
            assert rest(s)[0] == b""
        line = front.wait("refused", number + 1)[number]
        assert line["end"] == "prelude-refused" and said in line["message"] and "route" not in line, line
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00"):
        number = len(front.events("refused"))
        with door(world.listen[5:] + "3") as s:
            s.sendall(data)
            assert rest(s)[0] == b""
        assert front.wait("refused", number + 1)[number]["end"] == "prelude-refused"
    side = world.side(world.listen + "3", "tls: {name: a.example}")
    with Caller(side) as caller:
        assert who_answers(caller) == "exact"
    assert side.stop() == 0 and front.stop() == 0


@pytest.mark.parametrize("first, second, said", [
    ("", "{sni: [a.example]}", "takes all of it"), ("{sni: ['*.example']}", "{sni: [a.example]}", "takes all of it"),
    ("{sni: [a.example]}", "{sni: [a.example], alpn: [atls/1]}", "takes all of it"),
    ("{sni: [a.example]}", "{sni: [a.example, b.example]}", None), ("{alpn: [h2]}", "{sni: [a.example]}", None),
    ("{sni: [A.example]}", "", "in lower case"), ("{sni: ['a.*.example']}", "", "sni"), ("{}", "", "match has neither")])
def test_routes_that_get_nothing_are_refused(world, first, second, said):
    done = world.front(("exact", first), ("wild", second)).check()
    if said is None:
        assert "good, 2 routes, 1 listeners" in done.stdout, done
    else:
        assert done.returncode == 1 and said in done.stderr, done


# ---- protocols behind the gate ----

@pytest.mark.parametrize("offered, served, agreed", [("[h2, http/1.1]", "[http/1.1]", True), ("[h2]", "[http/1.1]", False),
                                                     ("[http/1.1]", "", True), ("", "[http/1.1]", True)])
def test_the_protocol_behind_the_gate_is_agreed_upon(world, offered, served, agreed):
    front = world.front(("exact", "", (f"alpn: {served}\n          " if served else "") + POST), listen="127.0.0.1:0").start()
    side = world.side(f"localhost:{front.port()}", (f"alpn: {offered}" if offered else "tls: {name: localhost}"))
    with Caller(side) as caller:
        got = who_answers(caller)
    assert (got == "exact") == agreed, side.log.read_text()
    if not agreed:
        line = [line for line in side.events() if "end" in line][0]
        assert line["from-client"] == 0 and line["end"] in ("refused-by-upstream", "upstream-tls"), line
        assert [line for line in front.events() if "end" in line][0]["reason"] == "no-common-parameters"
    assert side.stop() == 0 and front.stop() == 0


# ---- sockets ----

def test_ipv6_goes_in_and_out(world):
    front = world.front(("exact", ""), listen="[::1]:0").start()
    assert front.events("listening")[0]["address"].startswith("[::1]:")
    side = world.side(f"[::1]:{front.port()}", "tls: {name: localhost}", listen="[::1]:0")
    with socket.create_connection(("::1", side.port()), timeout=TIMEOUT) as s, s.makefile("rb") as stream:
        assert stream.readline() == b"exact\n"
        who = f"[::1]:{s.getsockname()[1]}"
        assert side.wait("open")[0]["client"] == who
    assert front.wait("closed")[0]["client"].startswith("[::1]:")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", side.port()), timeout=TIMEOUT)
    assert side.stop() == 0 and front.stop() == 0


def test_both_plain_sides_may_be_unix_sockets(world):
    lab = world.lab
    with Named("behind", lab.dir / "behind.sock") as behind:
        text = ROUTE.replace("{name}", "web").replace("{match}", "").replace("{target}", behind.target).replace("{side}", POST)
        front = Proxy(lab, "unix-front", SHARED.replace("{routes}\n", text.replace("{listen}", "127.0.0.1:0")),
                      **world.attester).start()
        side = Proxy(lab, "unix-side", SIDE.replace('["{listen}"]', "[{address: unix:{dir}/in.sock, mode: 0600}, "
                                                    "unix:{dir}/in2.sock]"),
                     target=f"localhost:{front.port()}", side="tls: {name: localhost}").start()
        paths = [lab.dir / "in.sock", lab.dir / "in2.sock"]
        assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [0o600, 0o660]
        for path in paths:
            with door(path) as s, s.makefile("rb") as stream:
                assert stream.readline() == b"behind\n"
                s.sendall(b"to and fro")
                s.shutdown(socket.SHUT_WR)
                assert stream.read() == b"to and fro"
        assert [line["client"] for line in side.wait("closed", 2)] == ["unix", "unix"]
        # Left behind by one that was killed, a socket is replaced; by one that ends, it is removed.
        side.process.kill()
        side.process.wait(TIMEOUT)
        assert paths[0].exists()
        side.start()
        with door(paths[0]) as s, s.makefile("rb") as stream:
            assert stream.readline() == b"behind\n"
        assert side.stop() == 0 and not any(path.exists() for path in paths)
    # A target that is gone costs the connection.
    side.start()
    with door(paths[1]) as s:
        assert rest(s)[0] == b""
    assert front.wait("closed", route="web", end="dial-failed")
    assert side.stop() == 0 and front.stop() == 0


def test_a_socket_that_somebody_else_serves_is_left_alone(world):
    path = world.lab.dir / "taken.sock"
    with Named("owner", path), socket.create_server(("127.0.0.1", 0)) as taken:
        for listen in (f"unix:{path}", f"127.0.0.1:{taken.getsockname()[1]}"):
            front = world.front(("exact", ""), listen=listen)
            done = subprocess.run([PROXY, "--config", front.config], capture_output=True, timeout=TIMEOUT, check=False, text=True)
            assert done.returncode == 1 and f"{front.config}:6: " in done.stderr and "in use" in done.stderr, done.stderr
        with door(path) as s, s.makefile("rb") as stream:
            assert stream.readline() == b"owner\n"


# ---- sockets of the service manager ----

LAUNCHER = """
import os, sys
count = int(sys.argv[1])
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(count), LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.argv[3], sys.argv[3:])
"""


class Manager:
    """Holds sockets and hands them over, as systemd does: from descriptor 3 on, by name."""

    def __init__(self, world, **sockets):
        self.world, self.names, self.sockets = world, list(sockets), list(sockets.values())

    def start(self, proxy, names=None, ok=True):
        names = names or self.names
        with proxy.log.open("wb") as stderr:
            # Descriptors from 3 on, whatever they were: first out of the way, then into their places.
            high = [os.dup2(s.fileno(), 200 + i, inheritable=True) for i, s in enumerate(self.sockets)]
            moves = "; ".join(f"exec {3 + i}<&{fd} {fd}<&-" for i, fd in enumerate(high))
            proxy.process = subprocess.Popen(
                ["bash", "-c", f'{moves}; exec "$@"', "launcher", sys.executable, "-c", LAUNCHER, str(len(high)),
                 ":".join(names), shutil.which(PROXY) or PROXY, "--config", str(proxy.config)],
                stderr=stderr, stdin=subprocess.DEVNULL, pass_fds=high)
            for fd in high:
                os.close(fd)
        self.world.lab.processes.append(proxy.process)
        wait_until("the proxy", lambda: proxy.process.poll() is not None or proxy.events("start"))
        assert (proxy.process.poll() is None) == ok, proxy.log.read_text()
        return proxy


@pytest.fixture
def manager(world):
    path = world.lab.dir / f"manager{world.count}.sock"
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(path))
    unix.listen(16)
    with unix, socket.create_server(("127.0.0.1", 0)) as four, \
            socket.create_server(("::1", 0), family=socket.AF_INET6) as six:
        yield Manager(world, four=four, six=six, path=unix)


def test_sockets_of_the_service_manager_stay_over_restarts(world, manager):
    front = world.front(("exact", ""), ("wild", ""), listen="systemd:NAME")
    text = front.config.read_text().replace('["systemd:NAME"]', '["systemd:four", "systemd:path"]', 1)
    front.config.write_text(text.replace('["systemd:NAME"]', '["systemd:six"]'))
    four, six, unix = manager.sockets
    targets = [(f"127.0.0.1:{four.getsockname()[1]}", "exact"), (f"[::1]:{six.getsockname()[1]}", "wild"),
               (f"unix:{unix.getsockname()}", "exact")]
    for _ in range(2):
        sides = [(world.side(target, "tls: {name: localhost}"), route) for target, route in targets]
        callers = [Caller(side) for side, _ in sides]  # they wait until somebody is there
        manager.start(front)
        for (side, route), caller in zip(sides, callers):
            with caller:
                assert who_answers(caller) == route, (side.log.read_text(), front.log.read_text())
            assert side.stop() == 0
        assert {line["route"] for line in front.wait("closed", 3)} == {"exact", "wild"}
        front.reload()
        assert front.stop() == 0
        assert pathlib.Path(unix.getsockname()).exists()  # it is not ours to remove


@pytest.mark.parametrize("names, said", [(["four", "x", "y"], "systemd:six: systemd passed no socket of this name"),
                                         (["four", "six", "six"], "passed 2 sockets of this name, want one")])
def test_sockets_that_are_missing_or_too_many(world, manager, names, said):
    front = world.front(("exact", ""), ("wild", ""), listen="systemd:four")
    front.config.write_text('"systemd:six"'.join(front.config.read_text().rsplit('"systemd:four"', 1)))
    manager.start(front, names, ok=False)
    assert said in front.log.read_text() and f"{front.config}:" in front.log.read_text(), front.log.read_text()


def test_a_socket_that_no_listener_names_is_told(world, manager):
    front = world.front(("exact", ""), listen="systemd:four")
    manager.start(front, ["four", "left", "over"])
    told = front.events("socket", level="warning")
    assert [f"systemd:{name}:" in line["message"] for name, line in zip(["left", "over"], told)] == [True] * 2, told
    front.reload()
    assert len(front.events("socket")) == 2 * len(told) == 4
    assert front.stop() == 0


# ---- several ----

def test_a_route_has_several_listeners(world):
    front = world.front(("exact", ""), listen='127.0.0.1:0", "[::1]:0", "127.0.0.1:0", "unix:{dir}/several.sock').start()
    lines = front.events("listening")
    assert len({line["address"] for line in lines}) == 4 and {line["route"] for line in lines} == {"exact"}
    for line in lines:
        address = line["address"]
        side = world.side(address if address.startswith("unix") else address.replace("127.0.0.1", "localhost"),
                          "tls: {name: localhost}")
        with Caller(side) as caller:
            assert who_answers(caller) == "exact", address
        assert side.stop() == 0
    assert front.stop() == 0
