"""The examples as their README says to run them."""
import os
import pathlib
import socket
import subprocess

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
    for name in ("client.c", "server.c"):
        assert len((sources / name).read_text().splitlines()) < 60


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
