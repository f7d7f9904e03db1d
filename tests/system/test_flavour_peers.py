"""Peers that know TLS and nothing of attestation: programs of OpenSSL and GnuTLS, and curl, against serve and connect
in the flavours that attest in the handshake. They complete or are refused as the policy of our side says, they see a
TLS alert of its own for it, and nothing is ever resumed."""
import http.server
import pathlib
import re
import select
import socket
import subprocess
import threading

import pytest

from conftest import REFUSED, TIMEOUT, UNKNOWN, need, tool, wait_until
from flavours import FLAVOURS, IN_HANDSHAKE, ended, events, new_world, stop

TEXT = b"over plain TLS\n"
PAGE = b"from behind\n" * 1000
# Alerts (RFC 8446 section 6).
UNEXPECTED_MESSAGE, HANDSHAKE_FAILURE, BAD_CERTIFICATE, ACCESS_DENIED, DECODE_ERROR = 10, 40, 42, 49, 50
PROTOCOL_VERSION, CERTIFICATE_REQUIRED = 70, 116
ALERT = re.compile(rb"(?:SSL alert number |[Rr]eceived alert \[)(\d+)")
EXTENSION = 65424

each_flavour = pytest.mark.parametrize("flavour", IN_HANDSHAKE)
# A plain client has no nonce, and is turned away at once where one is wanted.
each_without_nonces = pytest.mark.parametrize("flavour", ["intra", "pre-none"])
each_client = pytest.mark.parametrize("program", ["openssl", "gnutls-cli"])
each_server = pytest.mark.parametrize("program", ["openssl", "gnutls-serv"])


@pytest.fixture(scope="module")
def the_world():
    with new_world() as made:
        plain_client(made)
        yield made


@pytest.fixture
def world(the_world):
    yield the_world
    the_world.settle()


def plain_client(world):
    """A client's key and certificate, of the same authority as all others, without evidence."""
    key, request, certificate = (world.dir / f"plain.{kind}" for kind in ("key", "csr", "pem"))
    tool("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out",
         request, "-subj", "/CN=plain.example")
    world.lab.issue(request, certificate, "plain.example")


# ---- programs ----


class Plain:
    """A client that knows nothing of attestation: what it got, the alert that it saw, what it said."""

    def __init__(self, world, program, server, *options, trust=True, text=TEXT):
        need(program)
        arguments = getattr(self, program.replace("-", "_"))(world, server.port, trust)
        log = world.dir / "plain.log"
        with log.open("wb") as stderr:
            process = subprocess.Popen([*map(str, arguments), *map(str, options)], bufsize=0, stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=stderr)
        world.lab.processes.append(process)
        self.out = b""
        try:
            process.stdin.write(text)
        except BrokenPipeError:
            pass
        while not self.out.endswith(text) and select.select([process.stdout], [], [], TIMEOUT)[0]:
            piece = process.stdout.read(65536)
            if not piece:
                break
            self.out += piece
        try:
            process.stdin.close()
        except BrokenPipeError:
            pass
        self.out += process.stdout.read()
        self.status = process.wait(TIMEOUT)
        self.said = self.out + log.read_bytes()
        self.completed = text in self.out
        seen = ALERT.findall(self.said)
        self.alert = int(seen[-1]) if seen else None

    @staticmethod
    def openssl(world, port, trust):
        check = ["-CAfile", world.dir / "ca.pem", "-verify_return_error", "-verify_hostname", "localhost"]
        return ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost", "-quiet",
                "-no_ign_eof", *(check if trust else [])]

    @staticmethod
    def gnutls_cli(world, port, trust):
        check = ["--x509cafile", world.dir / "ca.pem"] if trust else ["--insecure"]
        return ["gnutls-cli", "-p", port, *check, "localhost"]

    def is_refused(self, *alerts):
        assert not self.completed and self.alert in alerts, (self.alert, self.said[-2000:])


# Options that have either program offer what they are asked for.
def tls12(program):
    return ["-tls1_2"] if program == "openssl" else ["--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.2"]


def certificate(world, program):
    names = ("-cert", "-key") if program == "openssl" else ("--x509certfile", "--x509keyfile")
    return [names[0], world.dir / "plain.pem", names[1], world.dir / "plain.key"]


class PlainServer:
    """A server that knows nothing of attestation, and echoes (OpenSSL's: each line the wrong way round)."""

    def __init__(self, world, program, *options):
        need(program)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        _, pem, _, key = world.lab.tls()
        if program == "openssl":
            arguments = ["openssl", "s_server", "-accept", f"127.0.0.1:{self.port}", "-cert", pem, "-key", key, "-rev"]
        else:
            arguments = ["gnutls-serv", "-p", self.port, "--x509certfile", pem, "--x509keyfile", key, "--echo"]
        self.log = world.dir / "plain-server.log"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen([*map(str, arguments), *map(str, options)], stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=subprocess.STDOUT)
        world.lab.processes.append(self.process)
        wait_until("the plain server", self.listens)

    def listens(self):
        assert self.process.poll() is None, self.log.read_bytes()
        return f":{self.port:04X} 00000000:0000 0A" in pathlib.Path("/proc/net/tcp").read_text() or \
            f":{self.port:04X} 00000000000000000000000000000000:0000 0A" in pathlib.Path("/proc/net/tcp6").read_text()

    def saw(self, *alerts):
        """Waits until it has received one of these alerts. GnuTLS cannot read what clients of OpenSSL say before they
        have answered its flight: these do not encrypt it yet."""
        def ended():
            said = self.log.read_bytes()
            return ALERT.findall(said) or (b"Error in handshake: Decryption has failed" in said and [b"0"])
        assert int(wait_until("an alert", ended)[-1]) in (*alerts, 0), self.log.read_bytes()

    def has_data(self, data):
        """It never was given any of this."""
        return data in self.log.read_bytes()


class Web:
    """A web service behind --forward; what it was asked for is kept."""

    def __init__(self):
        asked = self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                body = PAGE
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.where = f"127.0.0.1:{self.server.server_address[1]}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def web():
    made = Web()
    yield made
    made.close()


def curl(world, server, *options):
    need("curl")
    return subprocess.run(["curl", "-sS", "--http1.1", "-m", "20", "--noproxy", "*", *map(str, options),
                           f"https://localhost:{server.port}/page"], capture_output=True, timeout=TIMEOUT, check=False)


def attesting(world, flavour, *options):
    """A server that attests itself, and asks nothing of its clients."""
    return world.serve(*FLAVOURS[flavour], *world.ca, *world.attester["server"], *options, "--echo")


def requiring(world, flavour, *options):
    """A server that has its clients attest themselves, and shows a plain certificate."""
    return world.serve(*FLAVOURS[flavour], *world.ca, *world.lab.tls(), "--require-peer", *world.judges(), *options,
                       "--echo")


def mutual(world, flavour, *options):
    return world.serve(*world.sides(flavour, "mutual")[0], *options, "--echo")


def nothing_moved(server, count=1):
    """Every connection ended without a byte of application data, and none was open."""
    def ends():
        return [line for line in events(server) if "received" in line]
    wait_until("the end", lambda: len(ends()) >= count)
    assert [(line["received"], line["sent"]) for line in ends()] == [(0, 0)] * count, events(server)
    assert not events(server, "open"), events(server)
    return ends()


# ---- clients ----


@each_client
def test_intra_attests_to_those_who_ask(world, program):
    """To anybody else it is a TLS server with a certificate of an authority, and its log says so."""
    server = attesting(world, "intra")
    client = Plain(world, program, server)
    assert client.completed, client.said
    closed = ended(server, "closed")[0]
    assert (closed["received"], closed["sent"]) == (len(TEXT), len(TEXT))
    opened = events(server, "open")[0]
    assert opened["attested"] is False and opened["self-attested"] is False and opened["shown"] is False, opened
    assert opened["flavour"] == "intra"
    stop(server)
    # As people read it.
    server = world.lab.serve(*FLAVOURS["intra"], *world.attester["server"], "--echo")
    assert Plain(world, program, server).completed
    assert "the client did not ask us to attest" in server.log.read_text(), server.log.read_text()
    stop(server)


@each_client
def test_intra_can_insist_on_attesting(world, program):
    server = attesting(world, "intra", "--require-self")
    Plain(world, program, server).is_refused(ACCESS_DENIED, HANDSHAKE_FAILURE)
    assert nothing_moved(server)[0]["reason"] == "attestation-required"
    # Who asks is served.
    client = world.client(server, *world.sides("intra", "server")[1])
    assert client.echo(b"x") == b"x"
    client.end()
    stop(server)


@each_client
def test_pre_shows_its_certificate_to_everybody(world, program):
    """It is signed by its own key: nobody's authority vouches for it."""
    server = attesting(world, "pre-none")
    client = Plain(world, program, server, trust=False)
    assert client.completed, client.said
    opened = ended(server, "open")[0]
    assert opened["attested"] is False and opened["shown"] is True and opened["self-attested"] is False, opened
    client = Plain(world, program, server)
    assert not client.completed and client.status != 0, client.said
    stop(server)


@each_client
def test_pre_with_nonces_needs_one(world, program):
    server = attesting(world, "pre-nonce")
    Plain(world, program, server, trust=False).is_refused(HANDSHAKE_FAILURE)
    assert nothing_moved(server)[0]["reason"] == "nonce-mismatch"
    stop(server)


@pytest.mark.parametrize("with_certificate", [False, True])
@pytest.mark.parametrize("make", [requiring, mutual])
@each_client
@each_flavour
def test_who_must_attest_and_cannot(world, flavour, program, make, with_certificate):
    """Also with a certificate of the right authority: it is no attestation."""
    server = make(world, flavour)
    options = certificate(world, program) if with_certificate else []
    client = Plain(world, program, server, *options, trust=False)
    if flavour == "intra":
        client.is_refused(ACCESS_DENIED, HANDSHAKE_FAILURE)
        reason = "attestation-required"
    elif flavour == "pre-nonce" and make is mutual:
        client.is_refused(HANDSHAKE_FAILURE)
        reason = "nonce-mismatch"
    elif flavour == "pre-nonce" or not with_certificate:
        # Whoever has no certificate for the named authority sends none.
        client.is_refused(CERTIFICATE_REQUIRED, BAD_CERTIFICATE)
        reason = None
    else:
        client.is_refused(BAD_CERTIFICATE)
        reason = "not-attested"
    end = nothing_moved(server)[0]
    assert end["event"] in ("refused", "failed") and end["reason"] in (reason, end["reason"] if reason is None else reason)
    # The same server goes on for those who can.
    side = "mutual" if make is mutual else "client"
    able = world.client(server, *world.sides(flavour, side)[1])
    assert able.echo(b"x") == b"x"
    able.end()
    stop(server)


@each_client
@each_flavour
def test_no_version_but_1_3(world, flavour, program):
    for server in (attesting(world, flavour), requiring(world, flavour)):
        Plain(world, program, server, *tls12(program), trust=False).is_refused(PROTOCOL_VERSION)
        nothing_moved(server)
        stop(server)


def test_an_extension_of_our_number_that_is_none_of_ours(world):
    """Empty, as OpenSSL's tool sends it: malformed is refused, another number is nobody's business."""
    server = attesting(world, "intra")
    Plain(world, "openssl", server, "-serverinfo", EXTENSION).is_refused(DECODE_ERROR)
    assert nothing_moved(server)[0]["event"] == "refused"
    assert Plain(world, "openssl", server, "-serverinfo", EXTENSION + 1).completed
    stop(server)
    server = requiring(world, "intra")
    for number, alerts in ((EXTENSION, [DECODE_ERROR]), (EXTENSION + 1, [ACCESS_DENIED, HANDSHAKE_FAILURE])):
        Plain(world, "openssl", server, "-serverinfo", number).is_refused(*alerts)
    nothing_moved(server, 2)
    stop(server)


@each_without_nonces
def test_nothing_is_resumed(world, flavour):
    """No tickets are given out; a session of another server is of no use, nor is data before the handshake."""
    server = attesting(world, flavour)
    session, early = world.dir / "session.pem", world.dir / "early"
    session.unlink(missing_ok=True)
    early.write_bytes(b"EARLY DATA\n")
    first = Plain(world, "openssl", server, "-sess_out", session, trust=False)
    assert first.completed and not session.exists(), first.said
    # A session that does exist: of a server with tickets.
    other = PlainServer(world, "openssl", "-max_early_data", "4096")
    giver = subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{other.port}", "-servername", "localhost",
                              "-sess_out", session], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    world.lab.processes.append(giver)
    wait_until("a session", lambda: session.exists() and session.read_bytes().endswith(b"-----\n"))
    giver.stdin.close()
    assert Plain(world, "openssl", server, "-sess_in", session, trust=False).completed
    shown = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-servername", "localhost",
                            "-sess_in", session], input=b"", capture_output=True, timeout=TIMEOUT, check=False).stdout
    assert b"New, TLSv1.3" in shown and b"Reused" not in shown, shown
    ended(server, "closed", 3)
    # Who sends data before the handshake is refused at once.
    Plain(world, "openssl", server, "-sess_in", session, "-early_data", early,
          trust=False).is_refused(UNEXPECTED_MESSAGE)
    assert [(line["received"], line["sent"]) for line in ended(server, "failed")] == [(0, 0)]
    assert [line["received"] for line in events(server, "closed")] == [len(TEXT), len(TEXT), 0]
    stop(server)


@each_without_nonces
def test_web_pages_for_clients_that_do_not_ask(world, web, flavour):
    server = world.serve(*FLAVOURS[flavour], *world.attester["server"], "--forward", web.where)
    trust = ["--cacert", world.dir / "ca.pem"] if flavour == "intra" else ["-k"]
    for options in ([], ["--no-alpn"]):
        done = curl(world, server, *trust, *options)
        assert done.returncode == 0 and done.stdout == PAGE, done.stderr
    assert web.asked == ["/page"] * 2
    if flavour == "pre-none":
        assert curl(world, server, "--cacert", world.dir / "ca.pem").returncode == 60
    stop(server)


@each_flavour
def test_web_pages_behind_attestation(world, web, flavour):
    """What requires attested clients is not reached by others, and by these through connect."""
    serve, connect = world.sides(flavour, "mutual")
    server = world.serve(*serve, "--forward", web.where)
    plain = ["--cert", world.dir / "plain.pem", "--key", world.dir / "plain.key"]
    for options in ([], plain):
        done = curl(world, server, "-k", *options)
        assert done.returncode != 0 and done.stdout == b"", done
    assert web.asked == []
    client = world.client(server, *connect)
    client.send(b"GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answer = b""
    while not answer.endswith(PAGE) and (piece := client.receive(1)):
        answer += piece
    assert answer.startswith(b"HTTP/1.0 200"), answer[:300]
    client.end()
    assert web.asked == ["/page"]
    stop(server)


# ---- servers ----


@each_server
@each_flavour
def test_a_server_that_does_not_attest_is_refused(world, flavour, program):
    for who in ("server", "mutual"):
        server = PlainServer(world, program)
        done = world.connect(server, *world.sides(flavour, who)[1], data=b"not for you\n", status=REFUSED)
        assert done.stdout == b""
        assert re.search(rb"\[(not-attested|attestation-required)\]$", done.stderr, re.M), done.stderr
        server.saw(ACCESS_DENIED, HANDSHAKE_FAILURE, BAD_CERTIFICATE)
        assert not server.has_data(b"not for you")


@each_server
def test_intra_does_not_attest_to_a_server_that_does_not_ask(world, program):
    """Nothing came back of what was offered: that is no connection that anybody wanted."""
    server = PlainServer(world, program)
    done = world.connect(server, *world.sides("intra", "client")[1], data=b"not for you\n", status=REFUSED)
    assert done.stdout == b"" and b"[attestation-required]" in done.stderr, done.stderr
    server.saw(ACCESS_DENIED, HANDSHAKE_FAILURE)
    assert not server.has_data(b"not for you")


@pytest.mark.parametrize("flavour", ["pre-none", "pre-nonce"])
@each_server
def test_pre_shows_its_certificate_to_a_server_that_asks_for_one(world, flavour, program):
    """Whether it looked at the evidence nobody can tell; insisting on it is an option."""
    server = PlainServer(world, program, *(["-verify", "3"] if program == "openssl" else []))
    client = world.client(server, *world.sides(flavour, "client")[1])
    client.send(TEXT)
    answer = TEXT[:-1][::-1] + b"\n" if program == "openssl" else TEXT
    assert client.receive(len(TEXT)) == answer
    client.end()
    if flavour == "pre-nonce":
        done = world.connect(server, *world.sides(flavour, "client")[1], "--require-self", status=REFUSED)
        assert re.search(rb"\[(nonce-mismatch|not-attested)\]", done.stderr), done.stderr


@each_flavour
def test_a_server_without_client_certificates(world, flavour):
    server = PlainServer(world, "openssl")
    done = world.connect(server, *world.sides(flavour, "client")[1], "--require-self", data=b"not for you\n",
                         status=REFUSED)
    assert re.search(rb"\[(attestation-required|not-attested)\]", done.stderr), done.stderr
    assert done.stdout == b"" and not server.has_data(b"not for you")


@each_server
@each_flavour
def test_no_server_below_1_3(world, flavour, program):
    server = PlainServer(world, program, *tls12(program))
    for who in ("server", "client"):
        done = world.connect(server, *world.sides(flavour, who)[1], data=b"not for you\n", status=None)
        assert done.returncode in (UNKNOWN, REFUSED) and done.stdout == b"", done.stderr
        assert not server.has_data(b"not for you")


@each_flavour
def test_tickets_of_a_server_are_of_no_use(world, flavour):
    """It hands some out before it learns that it is refused, and to a client that only attests itself."""
    server = PlainServer(world, "openssl", "-num_tickets", "4", "-max_early_data", "4096")
    for _ in range(2):
        done = world.connect(server, *world.sides(flavour, "server")[1], data=b"not for you\n", status=REFUSED)
        assert done.stdout == b""
    assert not server.has_data(b"not for you") and b"Reused" not in server.log.read_bytes()


@each_flavour
def test_a_self_signed_server_is_told_from_an_attested_one(world, flavour):
    """Identity attested turns the check of the certificate off, and the check of the evidence never."""
    server = PlainServer(world, "openssl")
    done = world.connect(server, *FLAVOURS[flavour], *world.judges(), "--identity", "attested", data=b"not for you\n",
                         status=REFUSED)
    assert done.stdout == b"" and re.search(rb"\[(not-attested|attestation-required)\]", done.stderr), done.stderr
    assert not server.has_data(b"not for you")
