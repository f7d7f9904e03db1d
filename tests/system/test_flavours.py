"""How attestation is carried, from the outside: in each flavour either side attests or both do, the relying party
appraises itself, asks a service or takes a result; data goes both ways, what is refused is refused for its reason, and
whoever was attested is shown as what he is."""
import contextlib
import itertools
import os
import re
import signal
import socket
import ssl
import subprocess
import threading

import pytest

from conftest import ATLS, CLASS, REFUSED, TIMEOUT, UNKNOWN, USAGE, YES, run, wait_until
from flavours import (FLAVOURS, IN_HANDSHAKE, TOPOLOGIES, Client, binding_of, ended, events, freshness_of, new_world,
                      peer_of, stop)

DATA = os.urandom(300_000)
LARGE = os.urandom(8 << 20)

each_flavour = pytest.mark.parametrize("flavour", FLAVOURS)
each_in_handshake = pytest.mark.parametrize("flavour", IN_HANDSHAKE)
each_side = pytest.mark.parametrize("who", ["server", "client", "mutual"])


@pytest.fixture(scope="module")
def the_world():
    with new_world() as made:
        yield made


@pytest.fixture
def world(the_world):
    yield the_world
    the_world.settle()


def is_shown(peer, flavour, topology, name):
    """All that is said of a peer that attested itself."""
    said = {key: peer.get(key) for key in ("attested", "evidence-type", "status", "flavour", "binding", "freshness",
                                           "name", "insecure", "attestations")}
    assert said == {"attested": True, "evidence-type": "tpm", "status": "affirming", "flavour": flavour.split("-")[0],
                    "binding": binding_of(flavour, topology), "freshness": freshness_of(flavour, topology),
                    "name": name, "insecure": False, "attestations": 1}, peer
    assert re.fullmatch("01[0-9a-f]{64}", peer["instance"]), peer
    assert peer["result"]["verifier"] and 0 <= peer["result"]["age"] <= TIMEOUT, peer


# ---- what is accepted ----


@each_side
@pytest.mark.parametrize("topology", TOPOLOGIES)
@each_flavour
def test_accepted_and_data_goes_both_ways(world, flavour, topology, who):
    serve, connect = world.sides(flavour, who, topology)
    asked = len(world.service.appraisals())
    server = world.serve(*serve, "--echo")
    client = world.client(server, *connect)
    assert client.echo(DATA) == DATA
    seen = peer_of(client.end())
    closed = ended(server, "closed")[0]
    opened = events(server, "open")[0]
    assert (closed["received"], closed["sent"]) == (len(DATA), len(DATA))
    assert seen["flavour"] == opened["flavour"] == flavour.split("-")[0]
    if who == "client":
        assert seen["attested"] is False, seen
    else:
        is_shown(seen, flavour, topology, "localhost")
    if who == "server":
        assert opened["attested"] is False, opened
    else:
        is_shown(opened, flavour, topology, "client.example")
    new = world.service.appraisals()[asked:]
    # A passport was obtained at the start; one that answers a nonce, for the connection.
    each = {"local": 0, "passport": 2 if flavour == "pre-nonce" else 1}.get(topology, 1)
    assert len(new) == each * (2 if who == "mutual" else 1), new
    assert all(line["status"] == "affirming" for line in new), new
    stop(server)


@each_flavour
def test_what_people_read(world, flavour):
    """The same as text, at both ends."""
    serve, connect = world.sides(flavour, "mutual")
    server = world.lab.serve(*serve, "--echo")
    said = run("connect", f"localhost:{server.port}", *connect).stderr.decode()
    kind = flavour.split("-")[0]
    assert re.search(r"^  technology +tpm$", said, re.M) and re.search(r"^  instance +01[0-9a-f]{64}$", said, re.M), said
    assert re.search(f"^  flavour +{kind}$", said, re.M) and re.search("^  status +affirming$", said, re.M), said
    log = wait_until("the end", lambda: ": closed" in server.log.read_text() and server.log.read_text())
    assert f"flavour {kind}" in log and "name client.example" in log, log
    if kind == "pre":
        only = f"key only, not to connection; freshness: {flavour.split('-')[1]}"
        assert re.search(f"^  bound to +{re.escape(only)}$", said, re.M), said
        assert only in log, log
        # Nobody can use it without having been told.
        assert "not to the connection" in said.splitlines()[0], said
        assert "not to the connection" in log.split("listening on")[0], log
    else:
        assert re.search("^  bound to +connection$", said, re.M), said


@each_flavour
def test_confidential_machines(world, fuse, flavour):
    """Evidence of SEV-SNP, of a simulated machine, to a store that knows its maker."""
    from test_tee_sim import Mount, sim
    tee, report, store = (world.dir / f"{name}-{flavour}" for name in ("snp", "report", "snp.db"))
    sim("init", tee, "--tee", "snp", "--line", "milan", "--rsa-bits", "2048")
    mount = Mount(tee, report)
    try:
        run("store", "init", "--store", store)
        for manifest in [*(tee / "roots").glob("*.corim"), *(tee / "reference").glob("*.corim")]:
            run("store", "import", "--store", store, "--corim", manifest)
        run("store", "import", "--store", store, "--anchor", "tee", *(tee / "roots").glob("*.pem"))
        run("store", "import", "--store", store, "--collateral", tee / "collateral")
        certificate = world.lab.tls() if flavour == "post" else []
        server = world.serve(*certificate, *FLAVOURS[flavour], "--attester", f"tsm:{report}", "--echo")
        judge = [*FLAVOURS[flavour], "--verifier", f"local:{store}", "--identity", "attested"]
        client = world.client(server, *judge)
        assert client.echo(DATA) == DATA
        seen = peer_of(client.end())
        assert seen["evidence-type"] == "snp" and seen["status"] == "affirming", seen
        assert seen["binding"] == binding_of(flavour, "local") and seen["freshness"] == freshness_of(flavour, "local")
        # Another guest on the same machine.
        stop(server)
        sim("set", tee, "measurement=" + "11" * 48)
        server = world.serve(*certificate, *FLAVOURS[flavour], "--attester", f"tsm:{report}", "--echo")
        done = world.connect(server, *judge, data=b"x", status=REFUSED)
        assert done.stdout == b"" and b"measurement" in done.stderr, done.stderr
        stop(server)
    finally:
        world.settle()
        mount.close()


def test_with_a_secret_in_the_binder(world):
    """Both sides ask for it, or there is no connection."""
    serve, connect = world.sides("intra", "mutual")
    server = world.serve(*serve, "--secret-binder", "--echo")
    client = world.client(server, *connect, "--secret-binder")
    assert client.echo(DATA) == DATA
    is_shown(peer_of(client.end()), "intra", "local", "localhost")
    done = world.connect(server, *connect, data=b"x", status=REFUSED)
    assert done.stdout == b"" and re.search(rb"\[(binder|nonce)-mismatch\]", done.stderr), done.stderr
    stop(server)
    server = world.serve(*serve, "--echo")
    done = world.connect(server, *connect, "--secret-binder", data=b"x", status=REFUSED)
    assert done.stdout == b"" and re.search(rb"\[(binder|nonce)-mismatch\]", done.stderr), done.stderr
    stop(server)


def test_another_number_of_the_extension(world):
    serve, connect = world.sides("intra", "mutual")
    server = world.serve(*serve, "--extension-type", "65299", "--echo")
    client = world.client(server, *connect, "--extension-type", "65299")
    assert client.echo(DATA) == DATA
    client.end()
    done = world.connect(server, *connect, data=b"x", status=REFUSED)
    assert done.stdout == b"", done.stderr
    stop(server)


def test_results_are_negotiated_by_their_verifiers_name(world):
    serve, connect = world.sides("intra", "server", "passport")
    server = world.serve(*serve, "--passport-verifier", "verifier.example", "--echo")
    client = world.client(server, *connect, "--accepted-verifier", "verifier.example")
    assert client.echo(DATA) == DATA
    is_shown(peer_of(client.end()), "intra", "passport", "localhost")
    done = world.connect(server, *connect, "--accepted-verifier", "other.example", data=b"x", status=REFUSED)
    assert done.stdout == b"", done.stderr
    refused = ended(server, "refused")[0]
    assert refused["reason"] == "unsupported-attestation-schemes", refused
    stop(server)


@pytest.mark.parametrize("options, hours", [([], 24), (["--certificate-hours", "2"], 2)])
def test_how_long_a_certificate_is_valid(world, options, hours):
    serve, _ = world.sides("pre-none", "server")
    server = world.serve(*serve, *options, "--echo")
    certificate = ssl.get_server_certificate(("127.0.0.1", int(server.port))).encode()
    for seconds, ends in ((hours * 3600 - 300, False), (hours * 3600 + 60, True)):
        done = subprocess.run(["openssl", "x509", "-noout", "-checkend", str(seconds)], input=certificate,
                              capture_output=True, timeout=TIMEOUT, check=False)
        assert (done.returncode != 0) == ends, (seconds, done.stdout)
    stop(server)


# ---- what is refused ----


@pytest.mark.parametrize("topology", ["local", "background"])
@each_flavour
def test_a_changed_server_is_refused(world, flavour, topology):
    serve, connect = world.sides(flavour, "server", topology)
    world.change("server", 7)
    server = world.serve(*serve, "--echo")
    done = world.connect(server, *connect, data=DATA, status=REFUSED)
    assert done.stdout == b""
    assert re.search(rb"refused: .*PCR 7 .*\[policy\]$", done.stderr, re.M), done.stderr
    wait_until("the end", lambda: [line for line in events(server) if "received" in line])
    assert [(line["received"], line["sent"]) for line in events(server) if "received" in line] == [(0, 0)]
    stop(server)


def test_a_certificate_without_nonce_is_as_old_as_it_is(world):
    """A server that goes on shows what it was; a nonce finds out, and so does its next start."""
    serve, connect = world.sides("pre-none", "server")
    server = world.serve(*serve, "--echo")
    world.connect(server, *connect)
    world.change("server", 7)
    world.connect(server, *connect)
    done = world.connect(server, *world.sides("pre-nonce", "server")[1], status=REFUSED)
    assert b"[nonce-mismatch]" in done.stderr, done.stderr
    stop(server)
    server = world.serve(*serve, "--echo")
    done = world.connect(server, *connect, status=REFUSED)
    assert b"PCR 7" in done.stderr, done.stderr
    stop(server)


@pytest.mark.parametrize("topology", ["local", "background"])
@each_flavour
def test_a_changed_client_is_refused(world, flavour, topology):
    """Also one that has nothing to wait for: its end is not that of somebody who was accepted."""
    serve, connect = world.sides(flavour, "client", topology)
    world.change("client", 4)
    server = world.serve(*serve, "--echo")
    for data in (DATA, b"x", b""):
        done = world.connect(server, *connect, data=data, status=REFUSED)
        assert done.stdout == b"" and b"[peer-refused]" in done.stderr, done.stderr
    for refused in ended(server, "refused", 3):
        assert "PCR 4" in refused["message"] and refused["reason"] == "policy", refused
        assert (refused["received"], refused["sent"]) == (0, 0)
    assert not events(server, "open")
    stop(server)


@each_flavour
def test_a_machine_that_nobody_enrolled(world, flavour):
    stranger = world.lab.tpm(f"stranger-{flavour}")
    certificate = world.lab.tls() if flavour == "post" else []
    server = world.serve(*certificate, *FLAVOURS[flavour], "--attester", f"tpm2:swtpm:path={stranger.socket}", "--echo")
    done = world.connect(server, *FLAVOURS[flavour], *world.judges(), "--identity", "attested", data=b"x",
                         status=REFUSED)
    assert done.stdout == b"" and b"[untrusted-ak]" in done.stderr, done.stderr
    stop(server)


@each_flavour
def test_policy_decides(world, flavour):
    never = world.dir / "never.jq"
    never.write_text('{decision: "refuse", reasons: ["closed for maintenance"]}')
    serve, connect = world.sides(flavour, "mutual")
    server = world.serve(*serve, "--echo")
    done = world.connect(server, *connect, "--policy", never, data=b"x", status=REFUSED)
    assert done.stdout == b"" and b"closed for maintenance" in done.stderr and b"[policy]" in done.stderr
    stop(server)
    server = world.serve(*serve, "--policy", never, "--echo")
    done = world.connect(server, *connect, data=b"x", status=REFUSED)
    assert done.stdout == b"" and b"[peer-refused]" in done.stderr, done.stderr
    refused = ended(server, "refused")[0]
    assert refused["reason"] == "policy" and "closed for maintenance" in refused["message"], refused
    stop(server)


@each_flavour
def test_software_evidence_is_refused_unless_named(world, flavour):
    certificate = world.lab.tls() if flavour == "post" else []
    server = world.serve(*certificate, *FLAVOURS[flavour], "--attester", "soft:", "--insecure-soft", "--echo")
    done = world.connect(server, *FLAVOURS[flavour], *world.judges(), "--identity", "attested", data=b"x", status=REFUSED)
    assert done.stdout == b"", done.stderr
    assert not events(server, "open"), events(server)
    stop(server)


# ---- who it is ----


@each_flavour
def test_names_and_anchors(world, flavour):
    serve, connect = world.sides(flavour, "server")
    server = world.serve(*serve, "--echo")
    client = world.client(server, *connect, "--name", "localhost")
    assert client.echo(b"x") == b"x"
    client.end()
    done = world.connect(server, *connect, "--name", "other.example", data=b"x", status=REFUSED)
    assert done.stdout == b"", done.stderr
    other = world.dir / "other.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", world.dir / "other.key", "-out", other, "-subj", "/CN=Other CA", "-days", "2"],
                   check=True, capture_output=True, timeout=TIMEOUT)
    done = world.connect(server, *FLAVOURS[flavour], *world.judges(), "--ca", other, data=b"x", status=REFUSED)
    assert done.stdout == b"" and b"certificate" in done.stderr, done.stderr
    stop(server)


@each_flavour
def test_an_unattested_server_is_the_one_that_tls_says(world, flavour):
    """Whoever attests himself to a server that does not, has nothing but its certificate."""
    serve, connect = world.sides(flavour, "client")
    server = world.serve(*serve, "--echo")
    other = world.dir / "another.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", world.dir / "another.key", "-out", other, "-subj", "/CN=Another CA", "-days", "2"],
                   check=True, capture_output=True, timeout=TIMEOUT)
    done = world.connect(server, *connect, "--name", "other.example", data=b"x", status=REFUSED)
    assert done.stdout == b"" and b"ostname mismatch" in done.stderr, done.stderr
    without = [*FLAVOURS[flavour], "--unattested-server", *world.attester["client"]]
    done = world.connect(server, *without, "--ca", other, data=b"x", status=REFUSED)
    assert done.stdout == b"" and b"TLS certificate" in done.stderr, done.stderr
    client = world.client(server, *connect)
    assert client.echo(b"x") == b"x"
    client.end()
    assert len(events(server, "open")) == 1
    stop(server)


@each_flavour
def test_attested_identity_needs_no_certificate(world, flavour):
    uri = world.tpms["server"].uri
    server = world.serve(*FLAVOURS[flavour], "--attester", uri, "--identity", "attested", "--echo")
    client = world.client(server, *FLAVOURS[flavour], *world.judges(), "--identity", "attested")
    assert client.echo(b"hello") == b"hello"
    said = client.end()
    assert any("TLS does not check" in line for line in said), said
    assert peer_of(said)["attested"] is True
    # It is not enough for whoever wants a certificate of an authority.
    done = world.connect(server, *FLAVOURS[flavour], *world.judges(), *world.ca, data=b"x", status=REFUSED)
    assert done.stdout == b"", done.stderr
    stop(server)


@each_flavour
def test_same_key(world, flavour):
    """With intra the attested key is that of TLS, which validated its chain; with post TLS has a key of its own, and
    with pre nobody but its own key signs the certificate."""
    serve, connect = world.sides(flavour, "server")
    server = world.serve(*serve, "--echo")
    if flavour == "intra":
        client = world.client(server, *connect, "--identity", "same-key")
        assert client.echo(b"x") == b"x"
        assert peer_of(client.end())["attested"] is True
        done = world.connect(server, *connect, "--identity", "same-key", "--name", "other.example", status=REFUSED)
        assert b"hostname mismatch" in done.stderr.lower(), done.stderr
    else:
        done = world.connect(server, *connect, "--identity", "same-key", data=b"x", status=REFUSED)
        assert done.stdout == b"" and b"[identity-mismatch]" in done.stderr, done.stderr
    stop(server)


def test_revoked_certificates_are_refused(world):
    listed = world.lab.crl(world.tpms["server"].dir / "aik.pem")
    for flavour in FLAVOURS:
        serve, connect = world.sides(flavour, "server")
        server = world.serve(*serve, "--echo")
        done = world.connect(server, *connect, "--crl", listed, data=b"x", status=REFUSED)
        assert done.stdout == b"" and re.search(rb"revoked", done.stderr), (flavour, done.stderr)
        stop(server)


# ---- both ends must mean the same ----


@pytest.mark.parametrize(("server", "client"), list(itertools.permutations(FLAVOURS, 2)))
def test_flavours_do_not_mix(world, server, client):
    serve, _ = world.sides(server, "server")
    _, connect = world.sides(client, "server")
    process = world.serve(*serve, "--echo")
    done = world.connect(process, *connect, data=b"x", status=REFUSED)
    assert done.stdout == b""
    assert not any(line.startswith(b"{") for line in done.stderr.splitlines()), done.stderr
    stop(process)


def test_options_of_other_flavours_are_refused(world):
    connect = ["connect", "localhost:1", *world.judges(), *world.ca]
    for options in (["--flavour", "none"], ["--flavour", "pre"], ["--flavour", "pre", "--freshness", "new"],
                    ["--freshness", "nonce"], ["--flavour", "intra", "--freshness", "none"], ["--secret-binder"],
                    ["--extension-type", "65299"], [*FLAVOURS["pre-none"], "--secret-binder"],
                    ["--flavour", "intra", "--extension-type", "65281"], ["--flavour", "intra", "--extension-type", "16"],
                    ["--flavour", "intra", "--reattest-interval", "1"], ["--flavour", "intra", "--raw"],
                    [*FLAVOURS["pre-nonce"], "--reattest-interval", "1"],
                    ["--flavour", "intra", "--accepted-verifier", "x"],
                    ["--flavour", "intra", "--passport-verifier", "x"]):
        done = run(*connect, *options, status=USAGE)
        assert done.stderr, options


# ---- sockets, ends, many at once ----


@each_flavour
def test_socket_files(world, flavour):
    path, log = world.dir / f"s-{flavour}", world.dir / f"s-{flavour}.log"
    serve, connect = world.sides(flavour, "mutual")
    with log.open("wb") as stderr:
        server = subprocess.Popen([ATLS, "serve", "--listen", f"unix:{path}", *map(str, serve), "--echo"], stderr=stderr)
    world.lab.processes.append(server)
    wait_until("the server", path.exists)
    client = Client(world.lab, f"unix:{path}", *connect, "--name", "localhost")
    assert client.echo(DATA) == DATA
    is_shown(peer_of(client.end()), flavour, "local", "localhost")
    server.send_signal(signal.SIGTERM)
    assert server.wait(20) == YES, log.read_text()
    assert not path.exists()


@each_flavour
def test_forwarding(world, flavour):
    """What the service behind it answers arrives whole."""
    listener = socket.create_server(("127.0.0.1", 0))
    received = []

    def upper():
        connection, _ = listener.accept()
        with connection:
            data = b""
            while len(data) < 250_000 and (piece := connection.recv(65536)):
                data += piece
            received.append(data)
            connection.sendall(data.upper())

    thread = threading.Thread(target=upper, daemon=True)
    thread.start()
    serve, connect = world.sides(flavour, "server")
    server = world.serve(*serve, "--forward", f"127.0.0.1:{listener.getsockname()[1]}")
    client = world.client(server, *connect)
    client.send(b"hello" * 50_000)
    assert client.receive(250_000) == b"HELLO" * 50_000
    client.end()
    thread.join(20)
    assert received == [b"hello" * 50_000]
    listener.close()
    stop(server)


@each_flavour
def test_the_service_behind_is_not_asked_before_the_client_is_attested(world, flavour):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serve, connect = world.sides(flavour, "client")
        world.change("client", 4)
        server = world.serve(*serve, "--forward", f"127.0.0.1:{listener.getsockname()[1]}")
        done = world.connect(server, *connect, data=b"GET / HTTP/1.0\r\n\r\n", status=REFUSED)
        assert b"[peer-refused]" in done.stderr, done.stderr
        ended(server, "refused")
        stop(server)  # which was the only one to come
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


@each_flavour
def test_a_service_behind_that_cannot_be_reached_ends_the_connection(world, flavour):
    """The client passed, which is logged, and does not take what it got for the answer."""
    serve, connect = world.sides(flavour, "mutual")
    path = world.dir / f"behind-{flavour}"
    server = world.serve(*serve, "--forward", f"unix:{path}")
    done = world.connect(server, *connect, data=b"x", status=UNKNOWN)
    assert done.stdout == b"", done.stdout
    failed = ended(server, "failed")[0]
    assert f"connect to {path}" in failed["message"], failed
    assert [line["event"] for line in events(server) if line.get("event") == "open"] == ["open"]

    # The next client is served again.
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        client = world.client(server, *connect)
        listener.settimeout(TIMEOUT)
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(TIMEOUT)
            client.send(b"hello")
            assert connection.recv(5) == b"hello"
        client.end()
    stop(server)


@each_flavour
def test_once_ends_as_its_connection_ended(world, flavour):
    serve, connect = world.sides(flavour, "mutual")
    server = world.serve(*serve, "--once", "--echo")
    client = world.client(server, *connect)
    assert client.echo(b"x") == b"x"
    client.end()
    assert server.wait(20) == YES
    world.change("client", 4)
    server = world.serve(*serve, "--once", "--echo")
    world.connect(server, *connect, data=b"x", status=REFUSED)
    assert server.wait(20) == REFUSED, server.log.read_text()


@each_flavour
def test_many_clients_at_once(world, flavour):
    serve, connect = world.sides(flavour, "server")
    server = world.serve(*serve, "--echo")
    results = []

    def one(number):
        text = f"client {number} ".encode() * 5000
        client = world.client(server, *connect)
        results.append(client.echo(text) == text)
        client.end()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert results == [True] * 8
    assert len(ended(server, "closed", 8)) == 8
    stop(server)


@each_in_handshake
def test_large_data(world, flavour):
    serve, connect = world.sides(flavour, "server")
    server = world.serve(*serve, "--echo")
    client = world.client(server, *connect)
    assert client.echo(LARGE) == LARGE
    client.end()
    closed = ended(server, "closed")[0]
    assert (closed["received"], closed["sent"]) == (len(LARGE), len(LARGE))
    stop(server)


@each_flavour
def test_each_direction_ends_by_itself(world, flavour):
    """Whoever has said all that he has to say still hears the other side out, and nothing is lost."""
    serve, connect = world.sides(flavour, "server")
    server = world.serve(*serve, "--echo")
    assert run("connect", f"localhost:{server.port}", *connect, stdin=DATA).stdout == DATA
    closed = ended(server, "closed")[0]
    assert (closed["received"], closed["sent"]) == (len(DATA), len(DATA))
    stop(server)
    # The server has nothing to say, and then everything.
    out, source = world.dir / f"out-{flavour}", world.dir / "source"
    source.write_bytes(DATA)
    with out.open("wb") as stdout:
        server = world.serve(*serve, stdout=stdout)
        assert run("connect", f"localhost:{server.port}", *connect, stdin=DATA).stdout == b""
        wait_until("the data", lambda: out.stat().st_size == len(DATA))
    assert out.read_bytes() == DATA
    stop(server)
    with source.open("rb") as stdin:
        server = world.serve(*serve, stdin=stdin)
    client = world.client(server, *connect)
    assert client.receive(len(DATA)) == DATA
    client.send(b"and this").join(TIMEOUT)
    client.end()
    assert ended(server, "closed")[0]["received"] == len(b"and this")
    stop(server)


@each_in_handshake
def test_an_end_without_close_notify_is_no_end(world, flavour):
    """Between the two somebody who can cut the line cannot make it look as if all had been said."""
    serve, connect = world.sides(flavour, "server")
    server = world.serve(*serve, "--echo")
    relay = Cut(int(server.port))
    client = Client(world.lab, f"localhost:{relay.port}", *connect)
    assert client.echo(b"one\n") == b"one\n"
    relay.cut()
    assert client.process.wait(TIMEOUT) == UNKNOWN, client.process.stderr.read()
    failed = ended(server, "failed")[0]
    assert "close_notify" in failed["message"] or "unexpected eof" in failed["message"], failed
    stop(server)


class Cut:
    """Passes bytes between a client and a server until it ends both connections."""

    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.to, self.ends = self.listener.getsockname()[1], port, []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        client, _ = self.listener.accept()
        self.ends = [client, socket.create_connection(("127.0.0.1", self.to))]
        for one, other in (self.ends, self.ends[::-1]):
            threading.Thread(target=self.pump, args=(one, other), daemon=True).start()

    @staticmethod
    def pump(one, other):
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)

    def cut(self):
        for one in self.ends:
            one.shutdown(socket.SHUT_RDWR)
            one.close()
        self.listener.close()


@each_flavour
def test_sigterm_lets_open_connections_finish(world, flavour):
    serve, connect = world.sides(flavour, "server")
    server = world.serve(*serve, "--echo")
    client = world.client(server, *connect)
    assert client.echo(b"one\n") == b"one\n"
    server.send_signal(signal.SIGTERM)
    wait_until("the end of listening", lambda: not listens(server.port))
    assert client.echo(b"two\n") == b"two\n"
    client.end()
    assert server.wait(20) == YES
    # A second signal ends them, too.
    server = world.serve(*serve, "--echo")
    client = world.client(server, *connect)
    assert client.echo(b"one\n") == b"one\n"
    server.send_signal(signal.SIGTERM)
    wait_until("the end of listening", lambda: not listens(server.port))
    server.send_signal(signal.SIGTERM)
    assert server.wait(20) == YES
    assert client.process.wait(TIMEOUT) == YES, client.process.stderr.read()


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", int(port)), 1).close()
        return True
    except OSError:
        return False


@each_in_handshake
def test_a_signal_cannot_have_clients_attest_again(world, flavour):
    """They attest once, when they connect; the server says so, and goes on."""
    serve, connect = world.sides(flavour, "mutual")
    server = world.serve(*serve, "--echo")
    client = world.client(server, *connect)
    assert client.echo(b"one\n") == b"one\n"
    server.send_signal(signal.SIGUSR1)
    notice = wait_until("the notice", lambda: [line for line in events(server, "notice") if "SIGUSR1" in line["message"]])
    assert flavour.split("-")[0] in notice[0]["message"]
    assert client.echo(b"two\n") == b"two\n"
    client.end()
    assert events(server, "open")[0]["attestations"] == 1
    stop(server)


@each_in_handshake
def test_faults_and_silence_stay_with_their_connection(world, flavour):
    serve, connect = world.sides(flavour, "mutual")
    server = world.serve(*serve, "--timeout", "3", "--echo")
    address = ("127.0.0.1", int(server.port))
    with socket.create_connection(address) as silent, socket.create_connection(address) as plain:
        plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
        plain.recv(1000)
        client = world.client(server, *connect)
        assert client.echo(b"still here") == b"still here"
        client.end()
        failed = ended(server, "failed", 2)
        assert "deadline" in [line["reason"] for line in failed], failed
        silent.settimeout(10)
        assert silent.recv(1000) == b""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        done = run("connect", f"localhost:{mute.getsockname()[1]}", *connect, "--timeout", "1", status=UNKNOWN)
        assert b"[deadline]" in done.stderr
    stop(server)
