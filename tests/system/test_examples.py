"""The examples as their README says to run them."""
import os
import pathlib
import socket
import subprocess

import pytest

from conftest import REFUSED, TIMEOUT, YES, need, wait_until

EXAMPLES = pathlib.Path(os.environ["ATLS_EXAMPLES"])


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def is_listening(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def client(lab, port, name="localhost"):
    return subprocess.run([EXAMPLES / "client", name, str(port), lab.dir / "ca.pem", lab.verifier],
                          capture_output=True, timeout=TIMEOUT, check=False)


def test_examples_are_short():
    sources = pathlib.Path(__file__).resolve().parents[2] / "examples"
    for name, lines in (("client.c", 60), ("server.c", 60), ("flavour_client.c", 80), ("flavour_server.c", 80)):
        assert len((sources / name).read_text().splitlines()) < lines


def test_client_and_server(lab):
    tpm = lab.tpm()
    attester = lab.enrol(tpm)
    tls = lab.tls()
    port = free_port()
    server = subprocess.Popen([EXAMPLES / "server", str(port), tls[1], tls[3], attester[1], attester[3]],
                              stderr=subprocess.PIPE)
    lab.processes.append(server)
    wait_until("the server", lambda: server.poll() is not None or is_listening(port))
    assert server.poll() is None, server.stderr.read()

    done = client(lab, port)
    assert (done.returncode, done.stdout) == (YES, b"hello\n"), done.stderr

    need("tpm2_pcrextend")
    tpm.extend(7)
    done = client(lab, port)
    assert done.returncode == REFUSED and b"PCR 7" in done.stderr and done.stdout == b"", done.stderr


@pytest.mark.parametrize("flavour, says", [
    ("intra", b"intra: tpm, bound to the connection, freshness: connection\n"),
    ("pre", b"pre: tpm, bound to the key, freshness: nonce\n"),
])
def test_other_flavours(lab, flavour, says):
    tpm = lab.tpm()
    attester = lab.enrol(tpm)
    port = free_port()
    server = subprocess.Popen([EXAMPLES / "flavour_server", flavour, str(port), attester[1], attester[3]],
                              stderr=subprocess.PIPE)
    lab.processes.append(server)
    wait_until("the server", lambda: server.poll() is not None or is_listening(port))
    assert server.poll() is None, server.stderr.read()

    def connect(name="localhost"):
        return subprocess.run([EXAMPLES / "flavour_client", flavour, name, str(port), lab.dir / "ca.pem", lab.verifier],
                              capture_output=True, timeout=TIMEOUT, check=False)

    done = connect()
    assert (done.returncode, done.stdout, done.stderr) == (YES, b"hello\n", says)
    done = connect("127.0.0.1")  # which the certificate does not name
    assert done.returncode == REFUSED and b"certificate-name" in done.stderr and done.stdout == b"", done.stderr

    need("tpm2_pcrextend")
    tpm.extend(7)
    done = connect()
    assert done.returncode == REFUSED and b"PCR 7" in done.stderr and done.stdout == b"", done.stderr
