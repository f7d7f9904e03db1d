"""The flavours intra and pre in two shells: server, client and both attest themselves, by evidence or by a
result."""
import hashlib
import json
import os

import pytest

from conftest import YES, wait_until
from test_topologies import Sides, events, moved, service  # noqa: F401 (a fixture)

DATA = os.urandom(300_000)
VARIANTS = {
    "intra": ["--flavour", "intra"],
    "intra secret": ["--flavour", "intra", "--secret-binder", "--extension-type", "65500"],
    "pre none": ["--flavour", "pre", "--freshness", "none"],
    "pre nonce": ["--flavour", "pre", "--freshness", "nonce"],
}


class Flavour(Sides):
    """The two sides of test_topologies, without a TLS certificate for who attests."""

    def __init__(self, lab, service, topology, variant):
        super().__init__(lab, service, topology)
        self.options = VARIANTS[variant]
        self.fresh = topology == "passport" and variant == "pre nonce"

    def verifies(self):
        return [*super().verifies(), *(["--fresh-result"] if self.fresh else [])]

    def serve(self, *options):
        certificate = [] if "--attester" in options else self.lab.tls()
        return self.lab.serve(*certificate, *self.ca, *options, *self.options, "--json-log")

    def connect(self, server, *options, data=DATA, status=YES):
        return super().connect(server, *options, *self.options, data=data, status=status)


def last_json(done):
    return json.loads(done.stderr.splitlines()[-1])


def is_attested(peer, topology, variant, name):
    connection = variant.startswith("intra") and topology != "passport"
    assert peer["attested"] is True and peer["evidence-type"] == "tpm" and peer["status"] == "affirming", peer
    assert peer["flavour"] == variant.split()[0] and peer["name"] == name and peer["attestations"] == 1, peer
    assert peer["binding"] == ("connection" if connection else "key"), peer
    assert peer["freshness"] == ("connection" if connection else "nonce" if variant == "pre nonce" else "none"), peer


@pytest.mark.parametrize("who", ["server", "client", "both"])
@pytest.mark.parametrize("topology", ["local", "background", "passport"])
@pytest.mark.parametrize("variant", ["intra", "pre none", "pre nonce"])
def test_accepted_and_data_crosses(lab, service, variant, topology, who):
    sides = Flavour(lab, service, topology, variant)
    serve, connect = [], []
    if who in ("server", "both"):
        serve += sides.attests(lab.enrol(lab.tpm("one")))
        connect += sides.verifies()
    else:
        connect += ["--unattested-server"]
    if who in ("client", "both"):
        connect += sides.attests(lab.enrol(lab.tpm("two"), "client.example"))
        serve += ["--require-peer", *sides.verifies()]
    server = sides.serve(*serve, "--echo")
    done = sides.connect(server, *connect)
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(DATA).digest()
    wait_until("the end", lambda: events(server, "closed"))
    assert moved(server) == [(len(DATA), len(DATA))]
    seen, opened = last_json(done), events(server, "open")[0]
    assert seen["flavour"] == opened["flavour"] == variant.split()[0]
    if who == "client":
        assert seen["attested"] is False
    else:
        is_attested(seen, topology, variant, "localhost")
    if who == "server":
        assert opened["attested"] is False
    else:
        is_attested(opened, topology, variant, "client.example")
