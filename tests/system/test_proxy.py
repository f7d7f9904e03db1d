"""Unmodified programs through a pair of proxies: plain, attested TLS, plain."""
import os
import subprocess

import pytest

from conftest import TIMEOUT, need, tool
from proxy import Backend, Proxy

BODY = os.urandom(1 << 20)

FRONT = """
    attesters:
      own: {attester}
    routes:
      - name: web
        listen: ["127.0.0.1:0"]
        mode: terminate
        target: 127.0.0.1:{backend}
        downstream:
          attester: own
          require: none
          tls: {certificate: {dir}/tls.pem, key: {dir}/tls.key}
"""
SIDE = """
    verifiers:
      store: {uri: "local:{store}"{insecure}}
    {policies}
    routes:
      - name: out
        listen: ["127.0.0.1:0"]
        mode: originate
        target: localhost:{front}
        upstream:
          require: {verifier: store, identity: pkix{more}}
          tls: {ca: {dir}/ca.pem}
"""


def attester_of(lab):
    """A TPM that is enrolled, as an attester of a configuration."""
    options = lab.enrol(lab.tpm())
    return f'{{uri: "{options[1]}", certificate: "{options[3]}"}}'


def side(lab, front, name="side", **values):
    return Proxy(lab, name, SIDE, front=front.port(), **{"insecure": "", "policies": "", "more": "", **values})


@pytest.fixture
def pair(lab):
    """Backend, proxy in front of it, proxy beside the client."""
    need("curl")
    lab.tls()
    with Backend(BODY) as backend:
        front = Proxy(lab, "front", FRONT, attester=attester_of(lab), backend=backend.port).start()
        yield backend, front, side(lab, front).start()


def curl(proxy, *arguments):
    return tool("curl", "-sS", "-f", "-m", TIMEOUT, *arguments, f"http://127.0.0.1:{proxy.port()}/",
                env={"no_proxy": "*"})


def fails(proxy):
    done = subprocess.run(["curl", "-sS", "-m", str(TIMEOUT), f"http://127.0.0.1:{proxy.port()}/"],
                          capture_output=True, timeout=TIMEOUT, check=False, env={**os.environ, "no_proxy": "*"})
    return done.returncode != 0 and done.stdout == b""


def test_curl_reaches_a_plain_server(pair):
    _, front, client = pair
    assert curl(client) == BODY
    line = client.wait("open")[0]
    assert line["target-verdict"] == "affirming" and line["target-evidence"] == "tpm"
    assert line["target-binding"] == "connection" and len(line["target-key"]) == 64
    for proxy in (client, front):
        line = proxy.wait("closed")[0]
        assert line["end"] == "closed" and int(line["to-client"]) > len(BODY), line
        assert proxy.stop() == 0


def test_a_dry_run_lets_pass_what_a_policy_refuses_and_says_so(lab):
    need("curl")
    lab.tls()
    with Backend(BODY) as backend:
        attester = attester_of(lab)
        lab.tpms[0].extend(4)
        front = Proxy(lab, "front", FRONT, attester=attester, backend=backend.port).start()
        client = side(lab, front).start("--dry-run")
        assert curl(client) == BODY
        assert "PCR 4" in client.wait("would-refuse")[0]["because"]
        assert client.wait("open")[0]["target-verdict"] == "warning"
        assert client.events("dry-run") and all(line["mode"] == "dry-run" for line in client.events())
        lab.tpms[0].stop()  # evidence that is not there is still asked for
        assert fails(client)


def test_a_machine_that_runs_something_else_is_refused(lab):
    need("curl")
    lab.tls()
    with Backend(BODY) as backend:
        attester = attester_of(lab)
        lab.tpms[0].extend(4)
        front = Proxy(lab, "front", FRONT, attester=attester, backend=backend.port).start()
        client = side(lab, front).start()
        assert fails(client)
        line = client.wait("refused")[0]
        assert line["end"] == "upstream-refused" and line["target-verdict"] != "affirming", line
        assert line["from-client"] == 0 and line["to-client"] == 0
        assert "PCR 4" in line["message"] or "PCR 4" in line["target-why"]
