"""The flavours intra and pre in two shells: what is refused, what is printed and logged, how the stream ends, and
TLS peers that know nothing of attestation."""
import signal
import socket
import subprocess

import pytest

from conftest import REFUSED, UNKNOWN, YES, need, run, wait_until
from test_flavours import DATA, VARIANTS, Flavour, is_attested, last_json
from test_topologies import events, moved, service, stop  # noqa: F401 (a fixture)

# ---- what is refused ----


@pytest.mark.parametrize("variant", ["intra", "pre none", "pre nonce"])
def test_an_unattested_client_is_refused(lab, service, variant):
    sides = Flavour(lab, service, "local", variant)
    server = sides.serve("--require-peer", *sides.verifies(), *sides.attests(lab.enrol(lab.tpm())), "--echo")
    done = sides.connect(server, *sides.verifies(), status=None)
    assert done.returncode in (UNKNOWN, REFUSED) and done.stdout == b"", done.stderr
    wait_until("the refusal", lambda: moved(server))
    assert moved(server) == [(0, 0)] and not events(server, "open")


@pytest.mark.parametrize("variant", ["intra", "pre nonce"])
def test_a_changed_pcr_is_refused(lab, service, variant):
    sides, tpm = Flavour(lab, service, "local", variant), lab.tpm()
    server = sides.serve(*sides.attests(lab.enrol(tpm)), "--echo")
    assert sides.connect(server, *sides.verifies()).stdout == DATA
    tpm.extend(7)
    done = sides.connect(server, *sides.verifies(), status=REFUSED)
    assert b"refused" in done.stderr and b"PCR 7" in done.stderr and done.stdout == b"", done.stderr


def test_a_certificate_without_nonce_is_as_old_as_it_is(lab, service):
    sides, tpm = Flavour(lab, service, "local", "pre none"), lab.tpm()
    attester = lab.enrol(tpm)
    server = sides.serve(*sides.attests(attester), "--echo")
    assert sides.connect(server, *sides.verifies()).stdout == DATA
    tpm.extend(7)
    assert sides.connect(server, *sides.verifies()).stdout == DATA
    # A client that wants an answer to its nonce is not content with it.
    done = run("connect", f"localhost:{server.port}", *sides.ca, *sides.verifies(), *VARIANTS["pre nonce"], stdin=b"x",
               status=REFUSED)
    assert b"[nonce-mismatch]" in done.stderr, done.stderr
    # A server that starts now makes a new one.
    stop(server)
    server = sides.serve(*sides.attests(attester), "--echo")
    done = sides.connect(server, *sides.verifies(), status=REFUSED)
    assert b"PCR 7" in done.stderr, done.stderr


def test_both_ends_ask_for_the_secret_binder(lab, service):
    sides = Flavour(lab, service, "local", "intra secret")
    server = sides.serve(*sides.attests(lab.enrol(lab.tpm())), "--echo")
    is_attested(last_json(sides.connect(server, *sides.verifies())), "local", "intra", "localhost")
    options = ["connect", f"localhost:{server.port}", *sides.ca, *sides.verifies(), "--flavour", "intra"]
    done = run(*options, "--extension-type", "65500", stdin=b"x", status=REFUSED)
    assert b"[nonce-mismatch]" in done.stderr, done.stderr
    # Another number is another extension: the server knows nothing of it.
    done = run(*options, "--secret-binder", stdin=b"x", status=REFUSED)
    assert b"[attestation-required]" in done.stderr, done.stderr


def test_results_go_by_the_name_of_their_verifier(lab, service):
    sides = Flavour(lab, service, "passport", "intra")
    server = sides.serve(*sides.attests(lab.enrol(lab.tpm())), "--passport-verifier", "the verifier", "--echo")
    options = ["connect", f"localhost:{server.port}", *sides.ca, *sides.verifies(), "--flavour", "intra"]
    assert run(*options, "--accepted-verifier", "the verifier", stdin=DATA).stdout == DATA
    for other in ([], ["--accepted-verifier", "The verifier"]):
        done = run(*options, *other, stdin=b"x", status=REFUSED)
        assert done.stdout == b"" and b"refused" in done.stderr, done.stderr
    wait_until("the refusals", lambda: len(moved(server)) == 3)
    assert [line["reason"] for line in events(server) if "reason" in line][1:] == ["unsupported-attestation-schemes"] * 2


def test_another_flavour_at_the_other_end(lab):
    options = {**VARIANTS, "post": ["--flavour", "post"]}
    attester = lab.enrol(lab.tpm())
    for there in ("post", "intra", "pre none", "pre nonce"):
        server = lab.serve(*(lab.tls() if there == "post" else []), *attester, *options[there], "--echo", "--json-log")
        others = {"post", "intra", "pre nonce"} - {there}
        for here in others:
            done = lab.connect(server, *options[here], stdin=DATA, status=None)
            assert done.returncode in (UNKNOWN, REFUSED) and done.stdout == b"", (there, here, done.stderr)
        wait_until("the ends", lambda count=len(others): len(moved(server)) == count)
        assert set(moved(server)) == {(0, 0)}, there
        stop(server)


# ---- what is said ----


def test_rows_and_lines(lab):
    tpm = lab.tpm()
    attester = lab.enrol(tpm)
    says = {"intra": ("bound to    connection", "freshness"),
            "pre none": ("bound to    key only, not to connection; freshness: none", "connection\n"),
            "pre nonce": ("bound to    key only, not to connection; freshness: nonce", "connection\n")}
    for variant, (row, never) in says.items():
        server = lab.serve(*attester, *VARIANTS[variant], "--echo")
        text = lab.connect(server, *VARIANTS[variant], stdin=b"x").stderr.decode()
        assert f"\n  flavour     {variant.split()[0]}\n  {row}\n" in text and never not in text.split("bound to")[1], text
        warning = f"flavour pre: evidence is bound to the key only, not to the connection; freshness: {variant[4:]}"
        assert (f"atls connect: {warning}" in text) == variant.startswith("pre"), text
        log = server.log.read_text()
        assert (f"atls serve: {warning}" in log) == variant.startswith("pre"), log
        assert f", flavour {variant.split()[0]}" in log, log
        stop(server)
    # And of a client, in the log.
    server = lab.serve(*lab.tls(), "--require-peer", "--verifier", lab.verifier, *VARIANTS["pre none"], "--echo")
    run("connect", f"localhost:{server.port}", "--ca", lab.dir / "ca.pem", "--unattested-server", *attester,
        *VARIANTS["pre none"], stdin=b"x")
    log = server.log.read_text()
    assert ", flavour pre, bound to key only, not to connection; freshness: none, result 0 s old, by " in log, log


def test_sigusr1_says_that_it_can_do_nothing(lab):
    server = lab.serve(*lab.enrol(lab.tpm()), *VARIANTS["intra"], "--echo", "--json-log")
    server.send_signal(signal.SIGUSR1)
    wait_until("the notice", lambda: events(server, "notice"))
    assert events(server, "notice")[0]["message"] == ("SIGUSR1: in flavour intra a client attests once, when it connects")
    assert lab.connect(server, *VARIANTS["intra"], stdin=b"x").stdout == b"x"


# ---- the stream ----


def test_one_direction_ends_before_the_other(lab):
    """A program that answers once it has everything; then a server that ends first."""
    listener = socket.create_server(("127.0.0.1", 0))
    attester = lab.enrol(lab.tpm())
    server = lab.serve(*attester, *VARIANTS["intra"], "--forward", f"127.0.0.1:{listener.getsockname()[1]}")
    client = lab.start_connect(server, *VARIANTS["intra"])
    client.stdin.write(b"hello")
    client.stdin.close()
    connection, _ = listener.accept()
    with connection:
        data = b""
        while piece := connection.recv(65536):
            data += piece
        connection.sendall(data.upper() * 100_000)
    assert client.stdout.read() == b"HELLO" * 100_000
    assert client.wait(20) == YES
    stop(server)
    with (lab.dir / "source").open("wb") as source:
        source.write(DATA)
    with (lab.dir / "source").open("rb") as source:
        server = lab.serve(*attester, *VARIANTS["intra"], "--once", stdin=source)
    client = lab.start_connect(server, *VARIANTS["intra"])  # its input stays open
    data = b""
    while len(data) < len(DATA):
        data += client.stdout.read(len(DATA) - len(data))
    assert data == DATA
    server.terminate()
    assert client.wait(30) == YES
    assert server.wait(30) == YES


# ---- peers that know nothing of attestation ----


def s_client(server, lab, data=b"hello\n"):
    """What comes back of the data through openssl s_client."""
    process = subprocess.Popen(["openssl", "s_client", "-quiet", "-connect", f"localhost:{server.port}", "-CAfile",
                                str(lab.dir / "ca.pem")],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0)
    lab.processes.append(process)
    try:
        process.stdin.write(data)
        out = process.stdout.read(len(data))
    except BrokenPipeError:
        out = b""
    process.kill()
    return out


@pytest.mark.parametrize("variant", ["intra", "pre none"])
def test_a_plain_client_is_served_where_nothing_is_required_of_it(lab, variant):
    attester = lab.enrol(lab.tpm())
    server = lab.serve(*attester, *VARIANTS[variant], "--echo", "--json-log")
    assert s_client(server, lab) == b"hello\n", server.log.read_text()
    assert events(server, "open")[0]["attested"] is False
    stop(server)
    server = lab.serve(*attester, *VARIANTS[variant], "--echo", "--json-log", "--require-peer", "--verifier", lab.verifier)
    assert s_client(server, lab) == b""
    wait_until("the refusal", lambda: moved(server))
    assert moved(server) == [(0, 0)] and not events(server, "open")


def test_a_plain_client_gives_no_nonce_to_answer(lab):
    server = lab.serve(*lab.enrol(lab.tpm()), *VARIANTS["pre nonce"], "--echo", "--json-log")
    assert s_client(server, lab) == b""
    wait_until("the refusal", lambda: moved(server))
    assert moved(server) == [(0, 0)] and events(server, "refused")[0]["reason"] == "nonce-mismatch"


def test_a_plain_client_of_another_library(lab):
    """The certificate of pre is signed by the key itself: a client that knows no evidence cannot check it."""
    need("gnutls-cli")
    attester = lab.enrol(lab.tpm())
    for variant, check in (("intra", ["--x509cafile", str(lab.dir / "ca.pem")]), ("pre none", ["--insecure"])):
        server = lab.serve(*attester, *VARIANTS[variant], "--echo", "--json-log")
        done = subprocess.run(["gnutls-cli", *check, "-p", server.port, "localhost"], input=b"hello\n",
                              capture_output=True, timeout=30, check=False)
        assert b"Handshake was completed" in done.stdout, (variant, done.stdout, done.stderr)
        wait_until("the end", lambda: moved(server))
        assert moved(server) == [(6, 6)], server.log.read_text()
        stop(server)


@pytest.mark.parametrize("variant, slug", [("intra", "attestation-required"), ("pre none", "not-attested"),
                                           ("pre nonce", "not-attested")])
def test_a_plain_server_is_refused(lab, variant, slug):
    (_, certificate, _, key), tls_server = lab.tls(), None
    lab.enrol(lab.tpm())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    tls_server = subprocess.Popen(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(certificate), "-key",
                                   str(key), "-quiet", "-rev"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    lab.processes.append(tls_server)
    wait_until("openssl s_server", lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
    done = run("connect", f"localhost:{port}", "--ca", lab.dir / "ca.pem", "--verifier", lab.verifier, *VARIANTS[variant],
               stdin=b"secret\n", status=REFUSED)
    assert f"[{slug}]" in done.stderr.decode() and done.stdout == b"", done.stderr
