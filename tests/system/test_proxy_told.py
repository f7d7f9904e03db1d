"""What the program behind a proxy is told of clients that attest themselves: in headers of HTTP, which nobody else
can write, and before the data, in a header of the PROXY protocol."""
import http.client
import http.server
import json
import re
import signal
import socket
import threading

import pytest

from backends import Nginx
from conftest import TIMEOUT, laboratory, need
from proxy import Proxy
from test_proxy_programs import curl

FRONT = """
    attesters:
      own: {uri: "{uri}", certificate: "{certificate}"}
    verifiers:
      store: {uri: "local:{store}"}
    routes:
      - name: web
        listen: ["127.0.0.1:0"]
        mode: terminate
        target: "{target}"
        {told}
        downstream:
          attester: own
          require: {verifier: store, identity: pkix}
          tls: {certificate: {dir}/tls.pem, key: {dir}/tls.key, ca: {dir}/ca.pem}
"""
SIDE = """
    attesters:
      own: {uri: "{uri}", certificate: "{certificate}"}
    verifiers:
      store: {uri: "local:{store}"}
    routes:
      - name: out
        listen: ["127.0.0.1:0"]
        mode: originate
        target: localhost:{port}
        upstream:
          attester: own
          require: {verifier: store, identity: pkix}
          tls: {ca: {dir}/ca.pem}
"""


@pytest.fixture
def told():
    """Starts a pair whose front has these lines and this target; the proxy beside the client."""
    need("curl")
    with laboratory() as lab:
        lab.tls()
        server = dict(zip(("uri", "certificate"), lab.enrol(lab.tpm())[1::2]))
        client = dict(zip(("uri", "certificate"), lab.enrol(lab.tpm("client"), "client.example")[1::2]))

        def start(target, lines):
            front = Proxy(lab, "front", FRONT, target=target, told=lines, **server).start()
            return front, Proxy(lab, "side", SIDE, port=front.port(), **client).start()

        yield lab, start


def test_headers_are_the_proxys_and_not_the_clients(told):
    lab, start = told
    web = Nginx(lab)
    try:
        front, side = start(web.target, "http-headers: {verdict: X-Attested-Verdict, evidence-type: X-Attested-Evidence, "
                                        "key-sha256: X-Attested-Key}")
        url = f"http://127.0.0.1:{side.port()}/who"
        honest = curl(url).decode().split()
        assert honest[:2] == ["affirming", "tpm"]
        assert honest[2] == front.wait("open")[0]["client-key"]
        spoof = ["-H", "X-Attested-Verdict: contraindicated", "-H", "x-attested-key: 00", "-H", "X-ATTESTED-EVIDENCE: snp"]
        assert curl(*spoof, url, url).decode().split() == honest * 2
    finally:
        web.close()


class Mirror(http.server.BaseHTTPRequestHandler):
    """Says what it was told."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = " ".join(self.headers.get(f"X-Attested-{name}", "") for name in ("Verdict", "Key", "Ear")).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_headers_are_of_the_verdict_that_counts_now(told):
    """An idle connection attests again, and what it is told of is the new result."""
    _, start = told
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        front, side = start(f"127.0.0.1:{server.server_port}",
                            "http-headers: {verdict: X-Attested-Verdict, key-sha256: X-Attested-Key, "
                            "ear-sha256: X-Attested-Ear}")
        connection = http.client.HTTPConnection("127.0.0.1", side.port(), timeout=TIMEOUT)

        def ask():
            connection.request("GET", "/")
            return connection.getresponse().read().decode().split()

        told_first = ask()
        assert ask() == told_first and told_first[0] == "affirming" and len(told_first[2]) == 64
        for count in (2, 3):
            front.tell(signal.SIGUSR1)
            front.wait("attested", count)
        told_last = ask()
        assert told_last[:2] == told_first[:2] and len(told_last[2]) == 64 and told_last[2] != told_first[2]
        connection.close()
        assert front.wait("closed", route="web", end="closed")[0]["client-verdict"] == "affirming"
    finally:
        server.shutdown()
        server.server_close()


def exchange(proxy, request):
    """Status, document and all that comes behind it, until an end in good order."""
    with socket.create_connection(("127.0.0.1", proxy.port()), timeout=TIMEOUT) as s:
        if request:
            s.sendall(request)
        response = http.client.HTTPResponse(s)
        response.begin()
        body = response.read()
        assert response.getheader("Connection") == "close"
        assert s.recv(1) == b""
        return response.status, response.getheader("Content-Type"), json.loads(body)


def problem(status, title):
    return status, "application/problem+json", {"type": "about:blank", "title": title, "status": status}


def test_a_client_of_http_is_told_why_there_is_no_answer(told):
    """Whether its first request has come or not; and no request goes on that two readers could read in two ways."""
    _, start = told
    server = socket.create_server(("127.0.0.1", 0))
    target = f"127.0.0.1:{server.getsockname()[1]}"
    front, side = start(target, "http-headers: {verdict: X-Attested-Verdict}")
    assert exchange(side, b"GET / HTTP/1.1\nHost: x\n\n") == problem(400, "Bad Request")
    assert exchange(side, b"GET / HTTP/9.9\r\nHost: x\r\n\r\n") == problem(505, "HTTP Version Not Supported")
    assert [line["end"] for line in front.wait("refused", 2)] == ["data-refused"] * 2
    server.close()
    for request in (b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n"):
        assert exchange(side, request) == problem(502, "Bad Gateway")
    assert [line["end"] for line in front.wait("closed", 3)] == ["dial-failed"] * 3


def test_a_client_of_no_http_is_cut_off(told):
    _, start = told
    with socket.create_server(("127.0.0.1", 0)) as free:
        target = f"127.0.0.1:{free.getsockname()[1]}"
    front, side = start(target, "")
    with socket.create_connection(("127.0.0.1", side.port()), timeout=TIMEOUT) as s:
        with pytest.raises(ConnectionResetError):
            s.recv(1)
    assert front.wait("closed")[0]["end"] == "dial-failed"


def test_the_header_of_the_proxy_protocol_says_who_it_is(told):
    _, start = told
    with socket.create_server(("127.0.0.1", 0)) as listener:
        front, side = start(f"127.0.0.1:{listener.getsockname()[1]}", "proxy-protocol: {out: true}")
        with socket.create_connection(("127.0.0.1", side.port()), timeout=TIMEOUT) as s:
            s.sendall(b"\r\n\r\n\0\r\nQUIT\nme, too")
            listener.settimeout(TIMEOUT)
            with listener.accept()[0] as backend, backend.makefile("rb") as stream:
                head = stream.read(16)
                assert head[:12] == b"\r\n\r\n\0\r\nQUIT\n" and head[12:14] == b"\x21\x11"
                body = stream.read(int.from_bytes(head[14:], "big"))
                assert stream.read(19) == b"\r\n\r\n\0\r\nQUIT\nme, too"
        fields, rest = {}, body[12:]
        while rest:
            length = int.from_bytes(rest[1:3], "big")
            fields[rest[0]], rest = rest[3:3 + length], rest[3 + length:]
        line = front.wait("open")[0]
        assert socket.inet_ntoa(body[:4]) == "127.0.0.1"
        assert line["client"] == f"127.0.0.1:{int.from_bytes(body[8:10], 'big')}"
        assert (fields[0xe0], fields[0xe1], fields[0xe5]) == (b"affirming", b"tpm", b"connection")
        assert fields[0xe7].hex() == line["client-key"] and re.fullmatch("01[0-9a-f]{64}", fields[0xe3].hex())
