"""Headers that tell of attested clients, before a real nginx: what it takes requests to be is what the client is told,
with the proxy's headers and no others of their names, whatever the client writes."""
import contextlib
import json
import pathlib
import socket
import threading

import pytest

from backends import Program, Threaded, answers
from conftest import TIMEOUT, laboratory, need, wait_until
from proxy import Proxy
from test_proxy_told import FRONT, SIDE

NGINX = """
daemon off;
user root;
worker_processes 1;
pid {dir}/nginx.pid;
error_log {dir}/nginx.error;
events {{ worker_connections 256; }}
http {{
    log_format requests '$request_method $uri';
    access_log {dir}/nginx.log requests;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    # As trusting as it can be made.
    underscores_in_headers on;
    ignore_invalid_headers off;
    large_client_header_buffers 8 64k;
    server {{
        listen unix:{dir}/nginx.sock;
        location / {{
            proxy_pass http://unix:{dir}/behind.sock;
            proxy_http_version 1.1;
        }}
        location /ws {{
            proxy_pass http://unix:{dir}/behind.sock;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $http_connection;
        }}
        location /variables {{ return 200 "$http_x_attested_verdict|$http_x_attested_key"; }}
    }}
}}
"""
TOLD = "http-headers: {verdict: X-Attested-Verdict, evidence-type: X-Attested-Evidence, key-sha256: X-Attested-Key}"
NAMES = ("x-attested-verdict", "x-attested-evidence", "x-attested-key")
LIE = b"X-Attested-Verdict: lie\r\n"


class Behind(Threaded):
    """Says in JSON what nginx made of a request; at /ws switches to sending everything back, if asked."""

    def serve(self, s):
        with s.makefile("rb") as stream:
            while line := stream.readline():
                method, path, _ = line.decode().split()
                fields = []
                while (field := stream.readline()) not in (b"\r\n", b""):
                    name, _, value = field.decode("latin-1").partition(":")
                    fields.append((name.lower(), value.strip()))
                if dict(fields).get("upgrade") and path == "/ws":
                    s.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
                    while data := stream.read1(65536):
                        s.sendall(data)
                    return
                body = stream.read(int(dict(fields).get("content-length", 0)))
                text = json.dumps({"method": method, "path": path, "fields": fields, "body": body.decode("latin-1")}).encode()
                s.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(text) +
                          (b"" if method == "HEAD" else text))


class Nginx(Program):
    def __init__(self, lab):
        self.dir = pathlib.Path(lab.dir) / "nginx"
        self.dir.mkdir()
        (self.dir / "nginx.conf").write_text(NGINX.format(dir=self.dir))
        self.behind = Behind(self.dir / "behind.sock")
        super().__init__("nginx", "-e", self.dir / "nginx.error", "-c", self.dir / "nginx.conf")
        self.target = f"unix:{self.dir}/nginx.sock"
        wait_until("nginx", lambda: answers(self.dir / "nginx.sock"))

    def requests(self):
        return (self.dir / "nginx.log").read_text().splitlines()

    def close(self):
        super().close()
        self.behind.close()


class World:
    def __init__(self, lab):
        need("nginx")
        lab.tls()
        server = dict(zip(("uri", "certificate"), lab.enrol(lab.tpm())[1::2]))
        client = dict(zip(("uri", "certificate"), lab.enrol(lab.tpm("client"), "client.example")[1::2]))
        self.web = Nginx(lab)
        self.front = Proxy(lab, "front", FRONT, target=self.web.target, told=TOLD, **server).start()
        self.side = Proxy(lab, "side", SIDE, port=self.front.port(), **client).start()
        self.key = None

    def refused(self):
        return self.front.events(end="data-refused")


@pytest.fixture(scope="module")
def world():
    with laboratory() as lab:
        world = World(lab)
        try:
            with Client(world) as c:
                told = dict(c.ask(get("/first"))["fields"])
                assert told["x-attested-verdict"] == "affirming" and told["x-attested-evidence"] == "tpm"
                world.key = told["x-attested-key"]
                assert world.key == world.front.wait("open")[0]["client-key"]
            yield world
        finally:
            world.web.close()


class Client:
    """A connection beside the client's proxy, which says what it is told to."""

    def __init__(self, world):
        self.world = world
        self.socket = socket.create_connection(("127.0.0.1", world.side.port()), timeout=TIMEOUT)
        self.stream = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()
        self.socket.close()

    def send(self, data):
        with contextlib.suppress(OSError):
            self.socket.sendall(data)

    def answer(self, head=False):
        """Status and body of the next response; None at the end."""
        line = self.stream.readline()
        if not line:
            return None, b""
        length = 0
        while (field := self.stream.readline()) not in (b"\r\n", b""):
            if field.lower().startswith(b"content-length:"):
                length = int(field.split(b":")[1])
        return int(line.split()[1]), b"" if head else self.stream.read(length)

    def told(self):
        """What nginx took the next request to be; the proxy's words are as they should be, once each."""
        status, body = self.answer()
        assert status == 200, (status, body)
        request = json.loads(body)
        if self.world.key is not None:
            want = dict(zip(NAMES, ("affirming", "tpm", self.world.key)))
            for name, value in request["fields"]:
                plain = "".join(c if c.isalnum() else "-" for c in name)
                assert plain not in want or name in want, (name, value)
            for name, value in want.items():
                assert [v for n, v in request["fields"] if n == name] == [value], request
        return request

    def ask(self, data):
        self.send(data)
        return self.told()


def get(path, fields=b"", method=b"GET"):
    return method + b" " + path.encode() + b" HTTP/1.1\r\nHost: web\r\n" + fields + b"\r\n"


def names(request):
    return [name for name, _ in request["fields"]]


# ---- what goes through ----

def test_a_request_gets_the_headers_once_wherever_the_lie_stands(world):
    with Client(world) as c:
        for fields in (b"", LIE, LIE * 3, b"Accept: a\r\n" + LIE + b"X-Mine: yes\r\n"):
            request = c.ask(get("/one", fields))
            assert (b"X-Mine" in fields) == ("x-mine" in names(request))


@pytest.mark.parametrize("name", [
    "x-attested-verdict", "X-ATTESTED-VERDICT", "x-AtTeStEd-vErDiCt", "X_Attested_Verdict", "x_attested-verdict",
    "X.Attested.Verdict", "X-Attested_Key", "x~attested~evidence", "X'Attested'Key", "x*attested*key"])
def test_a_name_that_reads_the_same_is_taken_out(world, name):
    with Client(world) as c:
        request = c.ask(get("/spoof", name.encode() + b": lie\r\n" + name.encode() + b":lie\r\nX-Other: stays\r\n"))
        assert ["x-other", "stays"] in request["fields"] and "lie" not in str(request["fields"])
        c.send(get("/variables", name.encode() + b": lie\r\n"))
        assert c.answer() == (200, f"affirming|{world.key}".encode())


def test_names_that_only_look_alike_stay(world):
    with Client(world) as c:
        request = c.ask(get("/near", b"X-Attested-Verdicts: a\r\nX-Attested: b\r\nMy-X-Attested-Verdict: c\r\nVerdict: d\r\n"))
        assert {"x-attested-verdicts", "x-attested", "my-x-attested-verdict", "verdict"} <= set(names(request))


def test_pipelined_requests_each_get_theirs(world):
    with Client(world) as c:
        c.send(b"".join(get(f"/{i}", LIE if i % 2 else b"") for i in range(50)))
        for i in range(50):
            assert c.told()["path"] == f"/{i}"


def test_requests_may_come_byte_by_byte(world):
    with Client(world) as c:
        c.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in get("/slow", LIE):
            c.send(bytes([byte]))
        assert c.told()["path"] == "/slow"


def test_bodies_end_where_they_say(world):
    inner = get("/smuggled", LIE)
    with Client(world) as c:
        c.send(get("/length", b"Content-Length: %d\r\n" % len(inner), b"POST") + inner + get("/next", LIE))
        assert c.told()["body"] == inner.decode()
        assert c.told()["path"] == "/next"
        chunked = b"%x;name=\"value\"\r\n%s\r\n5\r\nhello\r\n000\r\n" % (len(inner), inner)
        c.send(get("/chunked", b"Transfer-Encoding: CHUNKED\r\n", b"POST") + chunked +
               b"X-Attested-Verdict: lie\r\nx_attested_key: lie\r\nX-Checksum: 1\r\n\r\n" + get("/after", LIE))
        request = c.told()
        assert request["body"] == inner.decode() + "hello" and "lie" not in str(request["fields"])
        assert c.told()["path"] == "/after"
    assert not any("smuggled" in line for line in world.web.requests())


def test_a_client_may_wait_for_the_word_to_go_on(world):
    with Client(world) as c:
        c.send(get("/put", b"Expect: 100-continue\r\nContent-Length: 5\r\n" + LIE, b"PUT"))
        assert c.answer() == (100, b"")
        c.send(b"hello" + get("/then"))
        assert c.told()["body"] == "hello"
        assert c.told()["path"] == "/then"


def test_head_and_options_have_no_body(world):
    with Client(world) as c:
        c.send(get("/head", LIE, b"HEAD") + get("/then", LIE))
        assert c.answer(head=True)[0] == 200
        assert c.told()["path"] == "/then"
        assert c.ask(b"OPTIONS / HTTP/1.1\r\nHost: web\r\n" + LIE + b"\r\n")["method"] == "OPTIONS"
        assert c.ask(b"GET http://web/absolute HTTP/1.1\r\nHost: WEB\r\n" + LIE + b"\r\n")["path"] == "/absolute"
        assert c.ask(b"GET /old HTTP/1.0\r\n" + LIE + b"\r\n")["path"] == "/old"


UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n"


def test_websocket_is_a_tunnel_once_it_was_agreed(world):
    with Client(world) as c:
        c.send(get("/ws", UPGRADE + LIE))
        assert c.answer()[0] == 101
        data = get("/any", LIE) * 3 + bytes(range(256))
        c.send(data)
        assert c.stream.read(len(data)) == data
    with Client(world) as c:  # refused: what follows are requests
        assert "upgrade" in names(c.ask(get("/ws2", UPGRADE)))
        assert c.ask(get("/then", LIE))["path"] == "/then"


def test_what_follows_an_offer_waits_for_the_answer(world):
    with Client(world) as c:
        c.send(get("/other", UPGRADE + LIE) + get("/then", LIE))
        assert c.told()["path"] == "/other"
        assert c.told()["path"] == "/then"


def test_other_offers_are_taken_out(world):
    with Client(world) as c:
        for fields in (b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n", UPGRADE):
            c.send(get("/ws", fields + LIE))  # the second is not of the first request
            assert "upgrade" not in names(c.told())


# ---- what does not ----

BODY = get("/smuggled")
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
REFUSED = {
    "two lengths": (get("/", LENGTH + b"Content-Length: 0\r\n", b"POST") + BODY, 400),
    "two lengths that agree": (get("/", LENGTH * 2, b"POST") + BODY, 400),
    "two lengths in one": (get("/", b"Content-Length: 0, 0\r\n", b"POST") + BODY, 400),
    "a length with a sign": (get("/", b"Content-Length: +5\r\n", b"POST") + BODY, 400),
    "a length below zero": (get("/", b"Content-Length: -1\r\n", b"POST") + BODY, 400),
    "a length in hexadecimal": (get("/", b"Content-Length: 0x5\r\n", b"POST") + BODY, 400),
    "a length without end": (get("/", b"Content-Length: 99999999999999999999999\r\n", b"POST") + BODY, 400),
    "an empty length": (get("/", b"Content-Length: \r\n", b"POST") + BODY, 400),
    "length and chunked": (get("/", LENGTH + b"Transfer-Encoding: chunked\r\n", b"POST") + b"0\r\n\r\n" + BODY, 400),
    "chunked and length": (get("/", b"Transfer-Encoding: chunked\r\n" + LENGTH, b"POST") + b"0\r\n\r\n" + BODY, 400),
    "chunked twice": (get("/", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"POST") + b"0\r\n\r\n", 400),
    "another coding": (get("/", b"Transfer-Encoding: gzip, chunked\r\n", b"POST") + b"0\r\n\r\n" + BODY, 501),
    "identity": (get("/", b"Transfer-Encoding: identity\r\n", b"POST") + BODY, 501),
    "chunked, misspelt": (get("/", b"Transfer-Encoding: xchunked\r\n", b"POST") + BODY, 501),
    "chunked behind a vertical tab": (get("/", b"Transfer-Encoding: \x0bchunked\r\n", b"POST") + b"0\r\n\r\n" + BODY, 400),
    "chunked in HTTP/1.0": (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + BODY, 400),
    "a coding with underscores": (get("/", b"Transfer_Encoding: chunked\r\n" + LENGTH, b"POST") + b"0\r\n\r\n" + BODY, 400),
    "a length with underscores": (get("/", b"Content_Length: 0\r\n" + LENGTH, b"POST") + BODY, 400),
    "a folded field": (get("/", b"X-A: b\r\n X-Attested-Verdict: lie\r\n"), 400),
    "a folded coding": (get("/", b"Transfer-Encoding:\r\n chunked\r\n", b"POST") + b"0\r\n\r\n" + BODY, 501),
    "a folded first field": (b"GET / HTTP/1.1\r\n X-A: b\r\nHost: web\r\n\r\n", 400),
    "LF alone": (get("/").replace(b"\r\n", b"\n"), 400),
    "LF alone in a field": (get("/", b"X-A: b\nX-Attested-Verdict: lie\r\n"), 400),
    "CR alone in a field": (get("/", b"X-A: b\rX-Attested-Verdict: lie\r\n"), 400),
    "LF alone at the end": (b"GET / HTTP/1.1\r\nHost: web\r\n\n", 400),
    "a space before the colon": (get("/", b"X-Attested-Verdict : lie\r\n"), 400),
    "a tab before the colon": (get("/", b"X-Attested-Verdict\t: lie\r\n"), 400),
    "a space before the colon of a length": (get("/", b"Content-Length : %d\r\n" % len(BODY), b"POST") + BODY, 400),
    "a field without a name": (get("/", b": lie\r\n"), 400),
    "a field without a colon": (get("/", b"X-Attested-Verdict\r\n"), 400),
    "a null in a name": (get("/", b"X-Attested-\0Verdict: lie\r\n"), 400),
    "a null in a value": (get("/", b"X-A: a\0b\r\n"), 400),
    "a name outside of ASCII": (get("/", b"X-Attested\xadVerdict: lie\r\n"), 400),
    "a field that is to be taken out": (get("/", b"Connection: close, X-Attested-Verdict\r\n"), 400),
    "a length that is to be taken out": (get("/", b"Connection: Content-Length\r\n" + LENGTH, b"POST") + BODY, 400),
    "two hosts": (get("/", b"Host: other\r\n"), 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "another host than that of the target": (b"GET http://other/ HTTP/1.1\r\nHost: web\r\n\r\n", 400),
    "CONNECT": (b"CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n", 501),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "two spaces": (b"GET  / HTTP/1.1\r\nHost: web\r\n\r\n", 400),
    "a tab for a space": (b"GET\t/ HTTP/1.1\r\nHost: web\r\n\r\n", 400),
    "a space in the target": (b"GET /a b HTTP/1.1\r\nHost: web\r\n\r\n", 400),
    "a header of the PROXY protocol": (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + get("/"), 400),
    "a chunk size with spaces": (get("/cut", b"Transfer-Encoding: chunked\r\n", b"POST") + b"5 \r\nhello\r\n0\r\n\r\n" + BODY, None),
    "a chunk size with a sign": (get("/cut", b"Transfer-Encoding: chunked\r\n", b"POST") + b"+5\r\nhello\r\n0\r\n\r\n" + BODY, None),
    "a chunk size with 0x": (get("/cut", b"Transfer-Encoding: chunked\r\n", b"POST") + b"0x5\r\nhello\r\n0\r\n\r\n" + BODY, None),
    "a chunk size that wraps": (get("/cut", b"Transfer-Encoding: chunked\r\n", b"POST") + b"10000000000000005\r\nhello\r\n0\r\n\r\n", None),
    "a chunk that ends with LF": (get("/cut", b"Transfer-Encoding: chunked\r\n", b"POST") + b"5\nhello\r\n0\r\n\r\n" + BODY, None),
    "a chunk that is longer than it says": (get("/cut", b"Transfer-Encoding: chunked\r\n", b"POST") + b"4\r\nhello\r\n0\r\n\r\n", None),
    "LF in an extension": (get("/cut", b"Transfer-Encoding: chunked\r\n", b"POST") + b"5;a\nhello\r\n0\r\n\r\n" + BODY, None),
    "a length in a trailer": (get("/cut", b"Transfer-Encoding: chunked\r\n", b"POST") + b"0\r\nContent-Length: 5\r\n\r\n" + BODY, None),
    "a head that is too long": (get("/", b"".join(b"X-%d: %s\r\n" % (i, b"x" * 1000) for i in range(40))), 431),
    "too many fields": (get("/", b"".join(b"X-%d: x\r\n" % i for i in range(200))), 431),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100), 400),
}


@pytest.fixture
def sound(world):
    """A connection that is answered before and after what goes wrong on another."""
    with Client(world) as witness:
        assert witness.ask(get("/witness"))["path"] == "/witness"
        yield world
        assert witness.ask(get("/witness"))["path"] == "/witness"


@pytest.mark.parametrize("what", REFUSED)
def test_what_two_readers_might_take_for_two_things_is_refused(sound, what):
    data, status = REFUSED[what]
    count = len(sound.refused())
    with Client(sound) as c:
        c.send(data)
        if status is not None:
            told, body = c.answer()
            assert told == status and json.loads(body)["status"] == status, body
        # Of a request that had begun to go on, nginx may say what it thinks.
        with contextlib.suppress(OSError):
            c.stream.read()
    line = wait_until("the end", lambda: len(sound.refused()) > count and sound.refused()[count])
    assert line["event"] == "refused", line
    if status is not None:
        assert line["to-client"] > 0
    assert not any(path in ("/", "/smuggled") for method, path in map(str.split, sound.web.requests()) if method != "OPTIONS")


@pytest.mark.parametrize("what", ["two lengths", "length and chunked", "a folded field", "a space before the colon",
                                  "LF alone in a field", "CONNECT", "a length with underscores"])
def test_behind_a_good_request_a_bad_one_ends_the_connection(sound, what):
    count = len(sound.refused())
    with Client(sound) as c:
        assert c.ask(get("/good", LIE))["path"] == "/good"
        c.send(REFUSED[what][0])
        with contextlib.suppress(OSError):
            assert c.stream.read() == b""
    wait_until("the end", lambda: len(sound.refused()) > count)
    assert not any("smuggled" in line for line in sound.web.requests())


def test_a_client_that_ends_within_a_request(sound):
    for data in (get("/half")[:-2], get("/half", b"Content-Length: 5\r\n", b"POST") + b"hel",
                 get("/half", b"Transfer-Encoding: chunked\r\n", b"POST") + b"5\r\nhello\r\n"):
        count = len(sound.refused())
        with Client(sound) as c:
            c.send(data)
            c.socket.shutdown(socket.SHUT_WR)
            with contextlib.suppress(OSError):
                c.stream.read()
        line = wait_until("the end", lambda: len(sound.refused()) > count and sound.refused()[count])
        assert "within a request" in line["message"], line


def test_many_clients_at_once_each_are_told_of_themselves(world):
    failed = []

    def run(number):
        try:
            with Client(world) as c:
                for i in range(20):
                    assert c.ask(get(f"/{number}/{i}", LIE, b"POST" if i % 2 else b"GET")
                                 .replace(b"Host", b"Content-Length: 0\r\nHost"))["path"] == f"/{number}/{i}"
        except Exception as e:
            failed.append(e)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert not failed
