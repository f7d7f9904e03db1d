"""atls-verifierd over HTTP: the tables of the API, who may do what, limits, reload, drain. Store and
issuer are in memory here; test_verifierd_store.py has real ones."""
import base64
import fcntl
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading

import pytest

from conftest import TIMEOUT, need, wait_until
from verifierd import (EVIDENCE, NEW, PROBLEM, RIM, SESSION, SUBMIT, TOKEN, Load, Verifierd, curl, is_problem, read_all,
                       remove)

MIB = 1024 * 1024
PLAIN = """
    listeners:
      - address: 127.0.0.1:0
    tenants:
      - name: one
        store: {dir}/one.db
        provisioning:
          signer-key: {dir}/signer.pem
          bearer-tokens:
            - name: ci
              file: {dir}/token
      - name: two
        prefix: /two
        store: {dir}/two.db
        sessions: {nonce-encoding: url, nonce-size: 32, max: 5}
    limits: {rate: 0}
    log: {level: debug}
    drain-delay: 0
    """


@pytest.fixture
def bare():
    need("openssl")
    daemon = Verifierd(tempfile.mkdtemp(prefix="atls-test.", dir="/tmp"))
    try:
        daemon.token()
        daemon.authority("signer")
        yield daemon
        daemon.finish()
    finally:
        daemon.kill()
        remove(daemon.dir)


@pytest.fixture
def daemon(bare):
    bare.write(PLAIN)
    return bare.start()


def with_limits(text):
    return PLAIN.replace("limits: {rate: 0}", f"limits: {{{text}}}")


# ---- the tables of the API, by curl ----

def test_a_session_as_curl_sees_it(daemon):
    status, headers, body = curl(daemon, "-X", "POST", NEW)
    assert status == 201
    assert headers["content-type"] == SESSION
    assert headers["location"].startswith("session/")
    session = json.loads(body)
    assert session["status"] == "waiting" and len(base64.b64decode(session["nonce"])) == 48
    assert EVIDENCE in session["accept"] and session["expiry"].endswith("Z")
    target = "/challenge-response/v1/" + headers["location"]

    status, headers, body = curl(daemon, target)
    assert (status, json.loads(body)) == (200, session)
    status, headers, body = curl(daemon, "-H", f"Content-Type: {EVIDENCE}", "--data-binary", "good", target)
    assert status == 200 and headers["content-type"] == SESSION
    done = json.loads(body)
    assert done["status"] == "complete" and done["result"].count(".") == 2
    assert done["evidence"] == {"type": EVIDENCE, "value": base64.b64encode(b"good").decode()}
    status, headers, body = curl(daemon, "-H", f"Content-Type: {EVIDENCE}", "--data-binary", "good", target)
    assert status == 409 and headers["content-type"] == PROBLEM
    assert json.loads(curl(daemon, target)[2]) == done
    status, headers, body = curl(daemon, "-X", "DELETE", target)
    assert (status, body) == (204, b"")
    assert curl(daemon, target)[0] == 404


@pytest.mark.parametrize("status, arguments", [
    (406, ["-X", "POST", "-H", "Accept: application/json", NEW]),
    (400, ["-X", "POST", NEW + "?nonceSize=7"]),
    (400, ["-X", "POST", NEW + "?nonce=AAAAAAAAAAA&nonceSize=8"]),
    (400, ["-X", "POST", NEW + "?nonce=%2B%2B%2B%2B%2B%2B%2B%2B%2B%2B%2B%2B"]),
    (405, [NEW]),
    (405, ["-X", "OPTIONS", NEW]),
    (404, ["/challenge-response/v1/session/12345678-1234-4123-8123-123456789abc"]),
    (400, ["/challenge-response/v1/session/1"]),
    (415, ["--data", "x", "/challenge-response/v1/session/12345678-1234-4123-8123-123456789abc"]),
    (401, ["--data", "x", "-H", f"Content-Type: {RIM}", SUBMIT]),
    (404, ["/.well-known/veraison/management"]),
    (404, ["/"]),
])
def test_refusals_as_curl_sees_them(daemon, status, arguments):
    got, headers, body = curl(daemon, *arguments)
    assert got == status and headers["content-type"] == PROBLEM
    assert json.loads(body)["status"] == status
    assert (status != 405) or headers["allow"] == "POST"
    assert (status != 415) or EVIDENCE in headers["accept"]
    assert (status != 401) or headers["www-authenticate"] == 'Bearer realm="one"'


def test_heads_are_refused_without_a_body(daemon):
    answer = daemon.raw(f"HEAD {NEW} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 405 " in head and b"Allow: POST" in head and body == b""


def test_discovery(daemon):
    answer = daemon.get("/two/.well-known/veraison/verification")
    assert answer.status == 200 and answer.headers["Cache-Control"] == "public, max-age=60"
    document = answer.json
    assert document["api-endpoints"] == {"newChallengeResponseSession": "/two" + NEW}
    assert document["service-state"] == "READY"
    assert document["ear-verification-key"] == document["ear-verification-keys"]["keys"][0]
    assert daemon.get("/.well-known/jwks.json").json == document["ear-verification-keys"]


def test_nonces(daemon):
    given = base64.urlsafe_b64encode(b"\xfb\xff" * 16).decode()
    for prefix, wanted in (("", given.replace("-", "+").replace("_", "/")), ("/two", given.rstrip("="))):
        for text in (given, given.rstrip("="), given.replace("=", "%3D")):
            answer = daemon.post(f"{prefix}{NEW}?nonce={text}")
            assert answer.json["nonce"] == wanted
            daemon.ask("DELETE", f"{prefix}/challenge-response/v1/" + answer.headers["Location"])
    assert len(base64.urlsafe_b64decode(daemon.post("/two" + NEW).json["nonce"] + "=")) == 32
    assert len(base64.b64decode(daemon.post(NEW + "?nonceSize=64").json["nonce"])) == 64


# ---- bytes that are no proper request ----

SESSION_PATH = "/challenge-response/v1/session/12345678-1234-4123-8123-123456789abc"
MALFORMED = [
    ("a percent sign alone", 400, f"POST {NEW}?nonce=% HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("an encoded NUL", 400, "GET /healthz%00 HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("an encoded slash", 400, "GET /a%2fb HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("a dot segment", 400, "GET /two/../healthz HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("a parameter given twice", 400, f"POST {NEW}?nonceSize=8&nonceSize=9 HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("a target of 3000 bytes", 414, f"GET /{'a' * 3000} HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("headers of 9000 bytes", 431, f"GET /healthz HTTP/1.1\r\nHost: h\r\nX: {'a' * 9000}\r\n\r\n"),
    ("a type given twice", 400,
     f"POST {SESSION_PATH} HTTP/1.1\r\nHost: h\r\nContent-Type: {EVIDENCE}\r\nContent-Type: a/b\r\nContent-Length: 4\r\n\r\ngood"),
    ("an authorization given twice", 400,
     f"POST {SUBMIT} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {TOKEN}\r\nAuthorization: Bearer x\r\nContent-Length: 4\r\n\r\ngood"),
    ("a body where none is wanted", 400, f"POST {NEW} HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\ngood"),
    ("chunks where none are wanted", 400,
     f"POST {NEW} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n"),
    ("a GET with a body", 400, f"GET {SESSION_PATH} HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\ngood"),
    ("an empty body", 400,
     f"POST {SESSION_PATH} HTTP/1.1\r\nHost: h\r\nContent-Type: {EVIDENCE}\r\nContent-Length: 0\r\n\r\n"),
    ("evidence that is too long", 413,
     f"POST {SESSION_PATH} HTTP/1.1\r\nHost: h\r\nContent-Type: {EVIDENCE}\r\nContent-Length: 65530\r\n\r\n" + "x" * 65530),
    ("chunks that are too many", 413,
     f"POST {SESSION_PATH} HTTP/1.1\r\nHost: h\r\nContent-Type: {EVIDENCE}\r\nTransfer-Encoding: chunked\r\n\r\n"
     + ("4000\r\n" + "x" * 0x4000 + "\r\n") * 5 + "0\r\n\r\n"),
    ("a malformed Accept", 400, f"POST {NEW} HTTP/1.1\r\nHost: h\r\nAccept: json\r\n\r\n"),
    ("an Accept of two lines", 406, f"POST {NEW} HTTP/1.1\r\nHost: h\r\nAccept: a/b\r\nAccept: c/d\r\n\r\n"),
    ("an unknown method", 405, f"BREW {NEW} HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("an asterisk", 400, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("a host given twice", 400, "GET /healthz HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n"),
]


@pytest.mark.parametrize("status, request_text", [row[1:] for row in MALFORMED], ids=[row[0] for row in MALFORMED])
def test_malformed_requests_get_a_problem_document(daemon, status, request_text):
    answer = daemon.raw(request_text.replace("\r\nHost: h", "\r\nHost: h\r\nConnection: close", 1).encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer[:400]
    assert b"Content-Type: application/problem+json" in head
    assert json.loads(body)["status"] == status
    assert daemon.metric('atls_verifierd_sessions_open{tenant="one"}') == 0
    assert not daemon.events("provisioning") and not daemon.events("appraisal")


@pytest.mark.parametrize("data", ids=lambda data: data[:20].hex(), argvalues=[
    b"\r\n\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\0" * 5000,
    b"GET /healthz HTTP/1.1\r\n\r\n", b"GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n", b"A" * 100000,
    b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 20000 + b"\r\n",
])
def test_what_is_not_http_is_refused(bare, data):
    bare.write(with_limits("rate: 0, request-timeout: 1s, idle-timeout: 1s"))
    bare.start(ready=False)
    answer = bare.raw(data, shut=True)
    assert answer == b"" or answer.split(b" ", 2)[1][:1] in b"45", answer[:200]
    assert bare.get("/healthz").status == 200


def test_two_lengths_are_refused(daemon):
    """One of them could hide a second request."""
    answer = daemon.raw(f"POST {NEW} HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n"
                        "Connection: close\r\n\r\n0\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400 "), answer[:200]


UNFRAMED = [
    ("two lengths that differ", 400, "Content-Length: 0\r\nContent-Length: 20\r\n"),
    ("two lengths that are the same", 400, "Content-Length: 0\r\nContent-Length: 0\r\n"),
    ("a length beside chunks", 400, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
    ("a coding that is not chunked", 501, "Transfer-Encoding: identity\r\n"),
    ("a coding beside chunked", 501, "Transfer-Encoding: gzip, chunked\r\n"),
    ("two codings", 400, "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
    ("a space in front of the colon", 400, "Transfer-Encoding : chunked\r\nContent-Length: 0\r\n"),
    ("a tab in front of the colon", 400, "Content-Length\t: 5\r\n"),
]


@pytest.mark.parametrize("status, fields", [row[1:] for row in UNFRAMED], ids=[row[0] for row in UNFRAMED])
def test_nothing_is_read_behind_a_request_whose_end_is_in_doubt(daemon, status, fields):
    """Whoever stands before us may have seen another end: what follows could be smuggled (RFC 9112 section 11.2)."""
    answer = daemon.raw(f"POST {NEW} HTTP/1.1\r\nHost: h\r\n{fields}\r\n0\r\n\r\n"
                        "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    # libmicrohttpd 1.0 refuses other codings itself, with 400.
    assert answer.split(b" ", 2)[1] in (b"%d" % status, b"400"), answer[:200]
    assert answer.count(b"HTTP/1.1 ") == 1 and b"Connection: close" in answer, answer


def test_who_asks_first_is_told_before_the_body(daemon):
    """Expect: 100-continue (RFC 9110 section 10.1.1)."""
    answer = daemon.raw(f"POST {SESSION_PATH} HTTP/1.1\r\nHost: h\r\nContent-Type: {EVIDENCE}\r\nContent-Length: 1000000\r\n"
                        "Expect: 100-continue\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 413 ") and b"Connection: close" in answer


# ---- who may provision ----

TLS = """
    listeners:
      - address: 127.0.0.1:0
        certificate: {dir}/server.pem
        key: {dir}/server.key
        client-ca: {dir}/ca.pem
    tenants:
      - name: one
        store: {dir}/one.db
        provisioning:
          signer-key: {dir}/signer.pem
          bearer-tokens: [{name: ci, file: "{dir}/token"}]
          client-certificates:
            - {name: by-name, subject: "CN=ops,O=Example"}
            - {name: by-key, spki-sha256: SPKI}
      - name: two
        prefix: /two
        store: {dir}/two.db
        provisioning:
          signer-key: {dir}/signer.pem
          bearer-tokens: [{name: other, file: "{dir}/other"}]
    limits: {rate: 0}
    drain-delay: 0
    """


def test_who_may_provision(bare):
    bare.authority()
    bare.authority("foreign")
    bare.certificate("server", "/CN=localhost", purpose="serverAuth")
    named = bare.certificate("named", "/O=Example/CN=ops")
    keyed = bare.certificate("keyed", "/CN=whoever")
    unknown = bare.certificate("unknown", "/O=Example/CN=ops2")
    foreign = bare.certificate("foreign-named", "/O=Example/CN=ops", ca="foreign")
    server = bare.certificate("server-named", "/O=Example/CN=ops", purpose="serverAuth")
    bare.token("other", "other-token-0123456789-abcdef")
    bare.write(TLS.replace("SPKI", bare.spki(keyed[0])))
    bare.start(ready=False)
    wait_until("readiness", lambda: bare.get("/readyz", tls=bare.tls()).status == 200)

    def submit(certificate=None, token=None, prefix=""):
        return bare.submit(token=token, prefix=prefix, tls=bare.tls(certificate)).status

    assert submit() == 401
    assert submit(token=TOKEN) == 200
    assert submit(token=TOKEN[:-1]) == 401
    assert submit(token=TOKEN + "k") == 401
    assert submit(token="other-token-0123456789-abcdef") == 401
    assert submit(named) == 200
    assert submit(keyed) == 200
    assert submit(unknown) == 403
    assert submit(foreign) == 401
    assert submit(server) == 401
    assert submit(named, token="wrong-wrong-wrong-wrong-wrong") == 401
    assert submit(token=TOKEN, prefix="/two") == 401
    assert submit(named, prefix="/two") == 401
    assert submit(token="other-token-0123456789-abcdef", prefix="/two") == 200
    # Everything else needs nobody's leave.
    assert bare.post(NEW, tls=bare.tls()).status == 201
    who = [line["who"] for line in bare.events("provisioning")]
    assert who == ["token:ci", "certificate:by-name", "certificate:by-key", "token:other"]
    assert len(bare.events("authentication")) == 10
    log = bare.log.read_text()
    assert TOKEN not in log and "other-token" not in log and "wrong-wrong" not in log


def test_provisioning_is_recorded(daemon):
    assert daemon.submit().json["status"] == "success"
    line = daemon.events("provisioning")[0]
    assert line["who"] == "token:ci" and line["manifest"] == "manifest-1" and line["outcome"] == "success"
    assert line["profile"] == "tag:example.com,2026:p" and len(line["sha256"]) == 64
    assert daemon.metric('atls_verifierd_provisioning_total{tenant="one",outcome="success"}') == 1
    is_problem(daemon.submit(type="application/rim+cose"), 400)
    is_problem(daemon.submit(type='application/rim+cbor; profile="p"'), 403)
    is_problem(daemon.submit(type="application/json"), 415)
    is_problem(daemon.submit(prefix="/two"), 403)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660 | 0o002])
def test_a_token_that_others_can_read_is_refused(bare, mode):
    bare.token(mode=mode)
    bare.write(PLAIN)
    done = bare.check()
    assert done.returncode == 1 and b"mode is 0" in done.stderr
    assert f"verifierd.yaml:{5}: tenant one: " .encode() in done.stderr


def test_decisions_are_recorded(daemon):
    assert daemon.post(daemon.session(), b"forged", EVIDENCE).json["status"] == "complete"
    line = daemon.events("appraisal")[0]
    assert line["tenant"] == "one" and line["status"] == "contraindicated" and line["reason"] == "signature"
    assert line["client"] == "127.0.0.1" and line["media_type"] == EVIDENCE and line["submod"] == "TEST"
    assert line["duration_us"] >= 0 and len(line["request"]) == 36
    assert daemon.metric('atls_verifierd_appraisals_total{tenant="one",submod="TEST",status="contraindicated"}') == 1
    assert daemon.metric('atls_verifierd_refusals_total{tenant="one",reason="signature"}') == 1
    assert daemon.metric('atls_verifierd_requests_total{endpoint="session",code="200"}') == 1


def test_tenants_are_apart(daemon):
    target = daemon.session()
    for method in ("GET", "DELETE"):
        is_problem(daemon.ask(method, "/two" + target), 404)
    is_problem(daemon.post("/two" + target, b"good", EVIDENCE), 404)
    assert daemon.get(target).json["status"] == "waiting"


# ---- limits ----

def test_rate_of_one_client(bare):
    bare.write(with_limits("rate: 1, burst: 5"))
    bare.start(ready=False)
    wait_until("a refusal", lambda: bare.get("/healthz").status == 429)
    answer = bare.get("/healthz")
    if answer.status == 429:  # the next second may have begun
        is_problem(answer, 429)
        assert int(answer.headers["Retry-After"]) >= 1


def test_sessions_are_bounded(daemon):
    for _ in range(5):
        daemon.session("/two")
    answer = daemon.post("/two" + NEW)
    is_problem(answer, 503)
    assert int(answer.headers["Retry-After"]) > 0
    daemon.session()  # the other tenant's are not touched


def test_bodies_together_are_bounded(bare):
    bare.write(with_limits("rate: 0, body: 1MiB, bodies: 1MiB"))
    bare.start()
    head = (f"POST {SUBMIT} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: {RIM}\r\n"
            "Content-Length: 1000000\r\n\r\n").encode()
    with socket.create_connection(("127.0.0.1", bare.ports[0]), timeout=30) as first:
        first.sendall(head + b"x" * 900000)
        wait_until("the first body", lambda: bare.metric("atls_verifierd_bodies_bytes") > 900000)
        answer = bare.raw(head + b"x" * 1000000)
        assert answer.startswith(b"HTTP/1.1 503 ") and b"Retry-After" in answer
        first.sendall(b"x" * 100000)
        assert read_all(first).startswith(b"HTTP/1.1 200 ")
    assert bare.metric("atls_verifierd_bodies_bytes") == 0


def test_a_body_that_was_refused_makes_room(bare):
    """Two that grow at the same time do not keep each other out."""
    bare.write(with_limits("rate: 0, body: 1MiB, bodies: 1MiB"))
    bare.start()
    head = (f"POST {SUBMIT} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: {RIM}\r\n"
            "Content-Length: 700000\r\n\r\n").encode()

    def held():
        return bare.metric("atls_verifierd_bodies_bytes")
    with socket.create_connection(("127.0.0.1", bare.ports[0]), timeout=30) as first, \
            socket.create_connection(("127.0.0.1", bare.ports[0]), timeout=30) as second:
        for number, s in enumerate((first, second), 1):
            s.sendall(head + b"x" * 300000)
            wait_until("half of the room", lambda: held() == number * MIB / 2)
        second.sendall(b"x" * 300000)
        wait_until("room", lambda: held() == MIB / 2)
        first.sendall(b"x" * 400000)
        assert read_all(first).startswith(b"HTTP/1.1 200 ")
        second.sendall(b"x" * 100000)
        assert read_all(second).startswith(b"HTTP/1.1 503 ")


@pytest.mark.parametrize("start", [b"", b"GET /heal", b"GET /healthz HTTP/1.1\r\nHost: ",
                                   f"POST {SUBMIT} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: {RIM}\r\n"
                                   "Content-Length: 100\r\n\r\nabc".encode()])
def test_a_client_that_is_slow_is_cut_off(bare, start):
    """One byte now and then keeps the idle time-out off; the time for one request is over some day."""
    bare.write(with_limits("rate: 0, request-timeout: 1s, idle-timeout: 1s"))
    bare.start()
    with socket.create_connection(("127.0.0.1", bare.ports[0]), timeout=0.3) as s:
        s.sendall(start)

        def is_cut():
            try:
                s.sendall(b"a")
                return s.recv(4096) == b""
            except socket.timeout:
                return False
            except OSError:
                return True
        wait_until("the end", is_cut)


# ---- configuration ----

@pytest.mark.parametrize("old, new, line, rule", [
    ("log: {level: debug}", "log: {levle: debug}", 16, 'unknown key "levle"'),
    ("max: 5", "max: five", 14, "want a number"),
    ("127.0.0.1:0", "0.0.0.0:0", 2, "plain HTTP beyond the loopback"),
    ("bearer-tokens", "bearer-token", 8, 'unknown key "bearer-token"'),
    ("prefix: /two", "prefix: two", 11, "prefix is"),
    ("{dir}/two.db", "{dir}/one.db", 11, "store and schema"),
    ("file: {dir}/token", "file: {dir}/none", 4, "No such file"),
    ("signer-key: {dir}/signer.pem", "signer-key: {dir}/token", 4, "neither public key nor certificate"),
])
def test_errors_of_the_configuration_have_a_line(bare, old, new, line, rule):
    text = PLAIN.lstrip("\n").replace("rate: 0}", "rate: 0}", 1)
    assert old in text
    bare.write(text)
    assert bare.check().returncode == 0
    bare.write(text.replace(old, new))
    for done in (bare.check(), subprocess.run([bare.program, "--config", bare.config], capture_output=True, timeout=30,
                                              check=False)):
        message = done.stderr.decode()
        assert done.returncode == 1, message
        assert f"verifierd.yaml:{line}: " in message and rule in message, message


def test_usage(bare):
    for arguments, status in ((["--help"], 0), (["--version"], 0), (["--nonsense"], 1), (["--config"], 1)):
        done = subprocess.run([bare.program, *arguments], capture_output=True, timeout=30, check=False)
        assert done.returncode == status
    done = subprocess.run([bare.program, "--config", bare.dir / "none"], capture_output=True, timeout=30, check=False)
    assert done.returncode == 1 and b"No such file" in done.stderr


def test_addresses(bare):
    """IPv6, and an address that somebody else has."""
    bare.write(PLAIN.replace("127.0.0.1:0", "\"[::1]:0\""))
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 on the loopback")
    bare.start(ready=False)
    with socket.create_connection(("::1", bare.ports[0]), timeout=30) as s:
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert b" 200 OK" in read_all(s)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        bare.write(PLAIN.replace("127.0.0.1:0", f"127.0.0.1:{port}"))
        line = bare.reload(ok=False)
        assert f"127.0.0.1:{port}: Address already in use" in line["message"]
        done = subprocess.run([bare.program, "--config", bare.config], capture_output=True, timeout=30, check=False)
        assert done.returncode == 1 and b"Address already in use" in done.stderr


def test_log_as_text(bare):
    bare.write(PLAIN.replace("level: debug", "format: text"))
    bare.dir.joinpath("log").write_text("")
    with bare.log.open("wb") as stderr:
        bare.process = subprocess.Popen([bare.program, "--config", bare.config], stderr=stderr)
    wait_until("the start", lambda: " info start message=" in bare.log.read_text())
    assert " info listening address=127.0.0.1:" in bare.log.read_text()
    assert bare.stop() == 0


# ---- reload ----

def keep_asking(daemon):
    """A whole session on a kept connection, which the daemon may end between two requests by saying so."""
    def work(state):
        for method, target, body, wanted in (("POST", NEW, None, 201), ("POST", None, b"good", 200), ("GET", None, None, 200),
                                             ("DELETE", None, None, 204)):
            connection = state.get("connection")
            if connection is None:
                connection = state["connection"] = daemon.connection()
            headers = {"Content-Type": EVIDENCE} if body else {}
            answer = daemon.ask(method, target or state["target"], body, headers, connection)
            assert answer.status == wanted, (method, target, answer.status, answer.body)
            if wanted == 201:
                state["target"] = "/challenge-response/v1/" + answer.headers["Location"]
            if answer.headers.get("Connection") == "close":
                connection.close()
                state["connection"] = None
    return work


def test_reload_under_load_loses_nothing(daemon):
    with Load(4, keep_asking(daemon)) as load:
        for _ in range(8):
            load.wait(20)
            daemon.reload()
    assert not load.failures, load.failures[:3]
    wait_until("the old ones to end", lambda: daemon.metric("atls_verifierd_connections") <= 2)
    assert daemon.metric('atls_verifierd_reloads_total{outcome="success"}') == 8


def test_reload_keeps_tenants_ready(daemon):
    """Whoever asks meanwhile must not take the service for one that is only starting."""
    def ask(_):
        assert daemon.get("/readyz").status == 200
        assert daemon.get("/.well-known/veraison/verification").json["service-state"] == "READY"

    with Load(6, ask) as load:
        for _ in range(20):
            load.wait(10)
            daemon.reload()
    assert not load.failures, load.failures[:3]


def threads(daemon):
    return len(os.listdir(f"/proc/{daemon.process.pid}/task"))


def test_reload_keeps_a_connection_that_waits_for_a_thread(bare):
    """It was taken from the socket's queue, and the thread that it was given to has not looked yet."""
    shim = os.environ["ATLS_HELD_THREAD"]
    assert pathlib.Path(shim).exists()
    bare.write(PLAIN + "threads: 1\n")
    hold = bare.dir / "hold"
    hold.touch()
    bare.start(ready=False, env={"LD_PRELOAD": shim, "ATLS_HOLD": str(hold), "ASAN_OPTIONS":
                                 os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"})
    before = threads(bare)
    with hold.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with socket.create_connection(("127.0.0.1", bare.ports[0]), timeout=TIMEOUT) as s:
            s.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
            wait_until("the thread", lambda: hold.with_name("hold.held").exists())
            bare.reload()
            bare.reload()  # since the first the old one was looked at, whether it can end
            assert threads(bare) > before
            fcntl.flock(lock, fcntl.LOCK_UN)
            answer = read_all(s)
    assert b" 200 OK" in answer and b"Connection: close" in answer, answer
    wait_until("the old ones to end", lambda: threads(bare) == before)


def test_reload_that_fails_loses_nothing(bare):
    """A listener that would start takes no connection when another one does not."""
    bare.write(PLAIN)
    bare.start()

    def ask(_):
        assert bare.get("/healthz").status == 200

    with socket.create_server(("127.0.0.1", 0)) as taken:
        bare.write(PLAIN.replace("127.0.0.1:0", f"127.0.0.1:0\n      - address: 127.0.0.1:{taken.getsockname()[1]}"))
        with Load(6, ask) as load:
            for _ in range(20):
                load.wait(10)
                bare.reload(ok=False)
    assert not load.failures, load.failures[:3]
    assert len(bare.events("listening")) == 1


def test_reload_changes_what_the_file_changes(daemon):
    target = daemon.session()
    is_problem(daemon.post("/three" + NEW), 404)
    text = PLAIN.replace("limits:", "  - name: three\n        prefix: /three\n        store: {dir}/three.db\n    limits:")
    daemon.write(text.replace("rate: 0", "rate: 0, body: 2KiB").replace("127.0.0.1:0", "127.0.0.1:0\n      - address: 127.0.0.2:0"))
    daemon.token(text="a-new-token-0123456789-abcdefghi")
    daemon.reload()
    daemon.session("/three")
    assert daemon.get(target).json["status"] == "waiting"  # sessions stay
    assert daemon.submit().status == 401
    assert daemon.submit(token="a-new-token-0123456789-abcdefghi").status == 200
    is_problem(daemon.submit(b"x" * 2049, token="a-new-token-0123456789-abcdefghi"), 413)
    port = int([line for line in daemon.events("listening") if "127.0.0.2" in line["address"]][0]["address"].split(":")[1])
    socket.create_connection(("127.0.0.2", port), timeout=10).close()
    daemon.write(PLAIN)
    daemon.reload()
    is_problem(daemon.post("/three" + NEW), 404)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=10).close()


def test_reload_of_nonsense_changes_nothing(daemon):
    daemon.write(PLAIN + "nonsense: true\n")
    line = daemon.reload(ok=False)
    assert "verifierd.yaml:19: unknown key" in line["message"], line
    daemon.session()
    assert daemon.metric('atls_verifierd_reloads_total{outcome="failed"}') == 1
    daemon.write(PLAIN)
    daemon.reload()


def test_reload_brings_a_new_certificate(bare):
    bare.authority()
    named = bare.certificate("named", "/O=Example/CN=ops")
    bare.certificate("server", "/CN=localhost", purpose="serverAuth")
    bare.token("other", "other-token-0123456789-abcdef")
    bare.write(TLS.replace("SPKI", "00" * 32))
    bare.start(ready=False)
    assert bare.post(NEW, tls=bare.tls()).status == 201
    bare.authority()  # servers and clients of the old one are strangers from now on
    bare.certificate("server", "/CN=localhost", purpose="serverAuth")
    bare.reload()
    assert bare.post(NEW, tls=bare.tls()).status == 201
    assert bare.submit(token=None, tls=bare.tls(named)).status == 401
    assert bare.submit(token=None, tls=bare.tls(bare.certificate("renewed", "/O=Example/CN=ops"))).status == 200


# ---- end ----

def half_a_request(daemon):
    s = socket.create_connection(("127.0.0.1", daemon.ports[0]), timeout=30)
    s.sendall((f"POST {SUBMIT} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: {RIM}\r\nContent-Length: 8\r\n\r\n"
               "mani").encode())
    return s


def test_drain_finishes_what_has_begun(bare):
    bare.write(PLAIN.replace("drain-delay: 0", "drain-delay: 3s\n    drain-timeout: 20s"))
    bare.start()
    kept = bare.connection()
    assert bare.get("/readyz", connection=kept).status == 200
    with half_a_request(bare) as begun:
        wait_until("the request", lambda: bare.metric("atls_verifierd_bodies_bytes") > 0)
        bare.tell(signal.SIGTERM)
        wait_until("the drain", lambda: bare.events("drain"))
        # Not ready, and still there for those who do not know yet.
        answer = bare.get("/readyz")
        assert answer.status == 503 and answer.json["checks"][0]["status"] == "failed"
        assert answer.headers["Connection"] == "close"
        assert bare.get("/.well-known/veraison/provisioning").json["service-state"] == "TERMINATING"

        def shut():
            try:
                socket.create_connection(("127.0.0.1", bare.ports[0]), timeout=5).close()
                return False
            except ConnectionRefusedError:
                return True
        wait_until("the end of the delay", shut)
        begun.sendall(b"fest")
        assert b" 200 OK" in read_all(begun)
    assert bare.process.wait(30) == 0
    assert bare.events("stop")[0]["message"].startswith("0 requests")


def test_drain_has_a_deadline(bare):
    bare.write(PLAIN + "drain-timeout: 1s\n")
    bare.start()
    with half_a_request(bare) as begun:
        wait_until("the request", lambda: bare.metric("atls_verifierd_bodies_bytes") > 0)
        assert bare.stop() == 0
        assert read_all(begun) == b""
    assert bare.events("stop")[0]["message"].startswith("1 requests")


def test_a_second_signal_ends_it_at_once(bare):
    bare.write(PLAIN.replace("drain-delay: 0", "drain-delay: 10m\n    drain-timeout: 1h"))
    bare.start()
    bare.tell(signal.SIGTERM)
    wait_until("the drain", lambda: bare.events("drain"))
    assert bare.stop() == 0


# ---- the service manager ----

def test_service_manager_is_told(bare):
    bare.write(PLAIN)
    path = bare.dir / "notify"
    told = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(str(path))
        s.settimeout(0.05)

        def hears(word):
            def listen():
                try:
                    told.append(s.recv(4096).decode())
                except socket.timeout:
                    pass
                return any(word in message for message in told)
            return listen
        bare.start(env={"NOTIFY_SOCKET": str(path)})
        wait_until("READY", hears("READY=1"))
        wait_until("WATCHDOG", hears("WATCHDOG=1"))
        told.clear()
        bare.tell(signal.SIGHUP)
        wait_until("RELOADING", hears("RELOADING=1\nMONOTONIC_USEC="))
        wait_until("READY", hears("READY=1"))
        bare.tell(signal.SIGTERM)
        wait_until("STOPPING", hears("STOPPING=1"))
        assert bare.process.wait(30) == 0


def test_sockets_of_the_service_manager(bare):
    bare.write(PLAIN.replace("127.0.0.1:0", "systemd:api\n        insecure: true\n      - address: 127.0.0.1:0"))
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        # LISTEN_PID must be that of the daemon itself.
        start = ("import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_PID'] = str(os.getpid()); "
                 "os.execvp(sys.argv[2], sys.argv[2:])")
        bare.start(before=[sys.executable, "-c", start, str(s.fileno())], pass_fds=[s.fileno()],
                   env={"LISTEN_FDS": "1", "LISTEN_FDNAMES": "api"}, ready=False)
        assert bare.ports[0] == port
        assert "systemd passed" not in bare.log.read_text()
        wait_until("readiness", lambda: bare.get("/readyz").status == 200)
        bare.session()
        # What comes over a socket that anyone may reach in the clear is no way to provision.
        is_problem(bare.submit(), 403)
        assert bare.submit(port=1).status == 200
        bare.reload()
        bare.session()
    done = bare.check()
    assert done.returncode == 0


def test_unix_sockets(bare):
    path = bare.dir / "socket"
    bare.write(PLAIN.replace("127.0.0.1:0", "127.0.0.1:0\n      - {address: \"unix:{dir}/socket\", mode: 0600, serve: operation}"))
    bare.start()
    assert path.stat().st_mode & 0o777 == 0o600

    def ask(target):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(path))
            s.sendall(f"GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
            return read_all(s)
    assert b" 200 OK" in ask("/metrics") and b"atls_verifierd_build_info" in ask("/metrics")
    assert b" 404 " in ask("/.well-known/jwks.json")
    bare.kill()
    assert path.exists()
    bare.start()  # takes the place of the socket that was left behind
    assert b" 200 OK" in ask("/healthz")
    bare.stop()
    assert not path.exists()


# ---- floods ----


def test_a_flood_of_sessions_is_bounded(daemon):
    """Five at a time is all that this tenant has."""
    def work(state):
        connection = state.setdefault("connection", daemon.connection())
        assert daemon.post("/two" + NEW, connection=connection).status in (201, 503)
    with Load(4, work) as load:
        load.wait(300)
        before = daemon.rss()
        load.wait(3000)
        after = daemon.rss()
    assert not load.failures, load.failures[:3]
    assert after < before + 4 * MIB, (before, after)
    assert daemon.metric('atls_verifierd_requests_total{endpoint="newSession",code="503"}') > 0


def test_a_flood_of_bodies_is_bounded(bare):
    """Many bodies of 1 MB at once, none of which ends: together they take what the limit says."""
    bare.write(with_limits("rate: 0, bodies: 16MiB, connections: 200, request-timeout: 60s"))
    bare.start()
    before = bare.rss()
    head = (f"POST {SUBMIT} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: {RIM}\r\n"
            f"Content-Length: {MIB}\r\n\r\n").encode()
    open_sockets, lock = [], threading.Lock()

    def flood():
        for _ in range(20):
            s = socket.create_connection(("127.0.0.1", bare.ports[0]), timeout=30)
            with lock:
                open_sockets.append(s)
            s.sendall(head + b"x" * (MIB - 1))
    threads = [threading.Thread(target=flood) for _ in range(4)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(open_sockets) == 80
        wait_until("the bodies", lambda: bare.metric("atls_verifierd_bodies_bytes") > 8 * MIB)
        assert bare.metric("atls_verifierd_bodies_bytes") <= 16 * MIB
        assert bare.rss() < before + 40 * MIB, (before, bare.rss())
        assert bare.get("/healthz").status == 200
        bare.session()
    finally:
        for s in open_sockets:
            s.close()
    wait_until("the memory back", lambda: bare.metric("atls_verifierd_bodies_bytes") == 0)


def test_connections_are_shared_by_the_threads(bare):
    """However fast they come: each thread waits for its own by an epoll instance."""
    bare.write(PLAIN + "threads: 2\n")
    bare.start()
    connections = [bare.connection() for _ in range(16)]
    for connection in connections:
        connection.connect()
    for connection in connections:
        assert bare.post(NEW, connection=connection).status == 201
    proc = pathlib.Path(f"/proc/{bare.process.pid}")
    waits = [entry.name for entry in (proc / "fd").iterdir() if os.readlink(entry) == "anon_inode:[eventpoll]"]
    shares = [(proc / "fdinfo" / name).read_text().count("tfd:") for name in waits]
    assert len(shares) == 2 and min(shares) >= 8, shares
    for connection in connections:
        connection.close()


def test_a_client_that_stops_in_a_tls_record_costs_nothing(bare):
    """All threads sleep while they wait for it."""
    bare.authority()
    bare.certificate("server", "/CN=localhost", purpose="serverAuth")
    bare.write("""
        listeners:
          - address: 127.0.0.1:0
            certificate: {dir}/server.pem
            key: {dir}/server.key
        tenants:
          - name: one
            store: {dir}/one.db
        """)
    bare.start(ready=False)
    threads = pathlib.Path(f"/proc/{bare.process.pid}/task")

    def all_sleep():
        return all((thread / "stat").read_text().rsplit(")", 1)[1].split()[0] == "S" for thread in threads.iterdir())

    with socket.create_connection(("127.0.0.1", bare.ports[0])) as client:
        wait_until("a sleep", all_sleep)
        client.sendall(b"\x16\x03\x01")  # of a record header, three bytes of five
        assert bare.get("/healthz", tls=bare.tls()).status == 200
        for _ in range(5):
            wait_until("a sleep", all_sleep)


def test_a_flood_of_connections_is_bounded(bare):
    bare.write(with_limits("rate: 0, connections: 64, connections-per-client: 32"))
    bare.start()
    open_sockets = []
    try:
        for _ in range(200):
            open_sockets.append(socket.create_connection(("127.0.0.1", bare.ports[0]), timeout=30))
        open_sockets[-1].settimeout(30)
        assert read_all(open_sockets[-1]) == b""  # one more than a client may have
        assert bare.process.poll() is None
    finally:
        for s in open_sockets:
            s.close()

    def has_room():
        try:
            return bare.get("/healthz").status == 200
        except OSError:
            return False
    wait_until("room", has_room)


def test_environment_is_not_needed(bare):
    bare.write(PLAIN)
    bare.start(env={name: "" for name in os.environ if name.startswith(("LC_", "LANG"))})
    bare.session()
