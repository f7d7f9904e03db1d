"""Attestation that is asked for and not insisted on: through the command line, each flavour, in both directions."""
import signal
import subprocess

import pytest

from conftest import REFUSED, TIMEOUT
from flavours import FLAVOURS, ended, events, new_world, peer_of, stop

each_flavour = pytest.mark.parametrize("flavour", FLAVOURS)
SAYS = "peer: not attested (optional)"


@pytest.fixture(scope="module")
def shared_world():
    with new_world() as made:
        yield made


@pytest.fixture
def world(shared_world):
    yield shared_world
    shared_world.settle()


def openssl(world, name):
    """A self-signed authority that nobody knows."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", world.dir / f"{name}.key", "-out", world.dir / f"{name}.pem", "-subj", f"/CN={name}",
                    "-days", "2"], check=True, capture_output=True, timeout=TIMEOUT)
    return world.dir / f"{name}.pem"


@each_flavour
def test_a_server_tells_clients_that_attest_from_those_that_do_not(world, flavour):
    serve, _ = world.sides(flavour, "server")
    server = world.serve(*serve, "--optional-peer", *world.judges(flavour=flavour), "--echo")
    connect = [*FLAVOURS[flavour], *world.ca, *world.judges(flavour=flavour)]
    client = world.client(server, *connect)
    assert client.echo(b"hello") == b"hello"
    assert peer_of(client.end())["attested"] is True
    line = ended(server, "open")[0]
    assert line["attested"] is False and line["unattested"] is True and "evidence-type" not in line, line
    attesting = world.client(server, *connect, *world.attester["client"])
    assert attesting.echo(b"hello") == b"hello"
    attesting.end()
    line = ended(server, "open", 2)[1]
    assert line["attested"] is True and line["evidence-type"] == "tpm", line
    stop(server)


@each_flavour
def test_a_client_says_that_its_server_did_not_attest(world, flavour):
    serve, _ = world.sides(flavour, "client")
    server = world.serve(*serve, "--echo")
    connect = [*FLAVOURS[flavour], *world.judges(flavour=flavour), *world.attester["client"]]
    client = world.client(server, *connect, *world.ca, "--optional-peer")
    assert client.echo(b"hello") == b"hello"
    said = client.end()
    assert any("optional" in line for line in said), said
    assert peer_of(said) | {"attested": False, "unattested": True} == peer_of(said)
    # In words; and the same, insisting; and what TLS does not vouch for.
    done = subprocess.run([str(part) for part in client.process.args[:-1]], input=b"", capture_output=True,
                          timeout=TIMEOUT, check=True)
    assert SAYS in done.stderr.decode(), done.stderr
    done = world.connect(server, *connect, *world.ca, data=b"x", status=REFUSED)
    assert done.stdout == b"", done.stderr
    for options in (["--ca", openssl(world, "stranger")], [*world.ca, "--name", "other.example"]):
        done = world.connect(server, *connect, "--optional-peer", *options, data=b"x", status=REFUSED)
        assert done.stdout == b"" and SAYS.encode() not in done.stderr, done.stderr
    stop(server)


@each_flavour
def test_evidence_that_fails_is_never_taken_for_none(world, flavour):
    serve, _ = world.sides(flavour, "server")
    judges = world.judges(flavour=flavour)
    server = world.serve(*serve, "--optional-peer", *judges, "--echo")
    world.change("client", 7)
    connect = [*FLAVOURS[flavour], *world.ca, *judges, *world.attester["client"]]
    client = world.client(server, *connect)
    assert client.echo(b"hello") == b""
    client.process.stdin.close()
    assert client.process.wait(TIMEOUT) != 0
    refused = ended(server, "refused")[0]
    assert refused["reason"] == "policy" and not events(server, "open"), refused
    stop(server)
    # Nor that of a server.
    world.settle()
    world.change("server", 7)
    server = world.serve(*serve, "--echo")
    done = world.connect(server, *FLAVOURS[flavour], *world.ca, *judges, "--optional-peer", data=b"x", status=REFUSED)
    assert done.stdout == b"" and b"[policy]" in done.stderr, done.stderr
    stop(server)


@each_flavour
def test_a_verifier_out_of_reach_is_a_refusal(world, flavour):
    serve, _ = world.sides(flavour, "server")
    server = world.serve(*serve, "--echo")
    nobody = ["--verifier", "veraison:https://127.0.0.1:9", "--verifier-timeout", "1"]
    done = world.connect(server, *FLAVOURS[flavour], *world.ca, *nobody, "--optional-peer", data=b"x", status=2)
    assert done.stdout == b"" and SAYS.encode() not in done.stderr, done.stderr
    stop(server)


def test_who_passed_without_is_not_asked_again(world):
    serve, _ = world.sides("post", "server")
    server = world.serve(*serve, "--optional-peer", *world.judges(), "--echo")
    client = world.client(server, *world.ca, *world.judges())
    attesting = world.client(server, *world.ca, *world.judges(), *world.attester["client"])
    assert client.echo(b"one") == b"one" and attesting.echo(b"one") == b"one"
    server.send_signal(signal.SIGUSR1)
    ended(server, "attested-again")
    assert client.echo(b"two") == b"two" and attesting.echo(b"two") == b"two"
    # Who attested has to go on doing so.
    world.change("client", 7)
    server.send_signal(signal.SIGUSR1)
    ended(server, "refused")
    assert client.echo(b"three") == b"three"
    client.end()
    assert attesting.process.wait(TIMEOUT) == REFUSED
    attesting.process.stdin.close()
    stop(server)


@pytest.mark.parametrize("flavour", ["intra", "pre-none"])
def test_programs_that_know_nothing_of_it_come_in(world, flavour):
    """Plain TLS to a server that would like to know; in post there is no atls/1, and nobody comes in."""
    serve, _ = world.sides(flavour, "server")
    server = world.serve(*serve, "--optional-peer", *world.judges(flavour=flavour), "--echo")
    takes = ["openssl", "s_client", "-connect", f"localhost:{server.port}", "-tls1_3", "-quiet", "-no_ign_eof"]
    program = subprocess.Popen(takes, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0)
    try:
        program.stdin.write(b"hello\n")
        assert program.stdout.read(6) == b"hello\n"
    finally:
        program.kill()
        program.wait(10)
        program.stdin.close()
        program.stdout.close()
    assert ended(server, "open")[0]["unattested"] is True
    stop(server)
