"""The same verifier service under our commands: `atls serve` proves with a software TPM, `atls connect`
asks a real Veraison, which was provisioned with what `atls enrol` wrote."""
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from parsec_tpm import PROFILE
from veraison_lab import Veraison

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "system"))
from conftest import CLASS, REFUSED, UNKNOWN, YES, Lab, run, wait_until  # noqa: E402

DATA = os.urandom(100_000)


@pytest.fixture(scope="module")
def veraison(tmp_path_factory):
    peer = Veraison()
    peer.start(tmp_path_factory.mktemp("veraison"), tls=True)
    peer.older = "corim-unsigned" in peer.corim_type(PROFILE)
    yield peer
    peer.stop()


@pytest.fixture
def lab():
    # The path of a socket may have 107 bytes, which pytest's own directories can exceed.
    directory = pathlib.Path(subprocess.run(["mktemp", "-d", "/tmp/atls-veraison.XXXXXX"], capture_output=True,
                                            check=True, text=True).stdout.strip())
    laboratory = None
    try:
        laboratory = Lab(directory)
        yield laboratory
    finally:
        if laboratory is not None:
            laboratory.close()
        subprocess.run(["rm", "-rf", directory], check=True)


class World:
    """A server with a TPM that Veraison knows, and a client that asks Veraison about it."""

    def __init__(self, lab, veraison):
        self.lab, self.veraison, self.tpm = lab, veraison, lab.tpm()
        self.attester = lab.enrol(self.tpm)
        self.ca = lab.dir / "both.pem"
        self.ca.write_bytes((lab.dir / "ca.pem").read_bytes() + pathlib.Path(veraison.ca).read_bytes())
        self.keys = lab.dir / "keys.jwk"
        self.keys.write_text(json.dumps(veraison.ear_key))
        self.server = None

    def provision(self):
        """v0.0.2602 wants instances as UEIDs and the profile without its tag, later ones both the other way."""
        manifest = self.lab.dir / "machine.corim"
        run("enrol", "--attester", self.tpm.uri, "--store", self.lab.store, "--class", CLASS, "--persist",
            "--corim-out", manifest, "--corim-key", "ueid" if self.veraison.older else "bytes")
        corim = manifest.read_bytes()
        if self.veraison.older:
            text = PROFILE.encode()
            corim = corim.replace(b"\xd8\x20\x78" + bytes([len(text)]) + text, b"\x78" + bytes([len(text)]) + text)
        answer = self.veraison.provision(corim, self.veraison.corim_type(PROFILE))
        assert (answer.status, answer.json()["status"]) == (200, "success"), answer.body

    def serve(self):
        self.server = self.lab.serve(*self.lab.tls(), *self.attester, "--echo", "--json-log")

    def connect(self, *options, status=YES):
        return run("connect", f"localhost:{self.server.port}", "--ca", self.ca, "--verifier",
                   f"veraison:{self.veraison.verification}", "--json", *options, stdin=DATA, status=status)

    def nothing_moved(self):
        def ends():
            lines = [json.loads(line) for line in self.server.log.read_text().splitlines() if line.startswith("{")]
            return [(line["received"], line["sent"]) for line in lines if "received" in line]
        assert wait_until("the end", ends)[-1] == (0, 0)


@pytest.fixture
def world(lab, veraison):
    return World(lab, veraison)


def test_affirmed_and_data_crosses(world):
    world.provision()
    world.serve()
    for trust in ([], ["--result-keys", world.keys]):
        done = world.connect(*trust)
        assert done.stdout == DATA
        peer = json.loads(done.stderr.splitlines()[0])
        assert peer["attested"] is True and peer["evidence-type"] == "tpm", peer
        assert peer["status"] == "affirming" and peer["binding"] == "connection" and peer["name"] == "localhost", peer


def test_a_changed_pcr_is_not_accepted(world):
    world.provision()
    world.serve()
    assert world.connect().stdout == DATA
    world.tpm.extend(3)
    # v0.0.2602 calls a PCR that does not match a fault of the verifier: then nothing is known.
    done = world.connect(status=UNKNOWN if world.veraison.older else REFUSED)
    assert done.stdout == b""
    world.nothing_moved()


def test_a_machine_that_nobody_provisioned_is_refused(world):
    world.serve()
    done = world.connect(status=REFUSED)
    assert done.stdout == b"" and b"not genuine" in done.stderr, done.stderr
    world.nothing_moved()


def test_results_under_another_key_tell_nothing(world):
    world.provision()
    world.serve()
    other = world.lab.dir / "other.pem"
    key = subprocess.run(["openssl", "x509", "-in", world.lab.dir / "ca.pem", "-noout", "-pubkey"],
                         capture_output=True, check=True).stdout
    other.write_bytes(key)
    done = world.connect("--result-keys", other, status=UNKNOWN)
    assert done.stdout == b"" and re.search(rb"\[(kid-mismatch|signature)\]", done.stderr), done.stderr
    world.nothing_moved()


def test_evidence_for_another_connection_is_refused_here(world):
    """Before anybody is asked: by our own check of the challenge."""
    world.provision()
    evidence, aik = world.lab.dir / "e.cbor", world.lab.dir / "aik.der"
    run("evidence", "--attester", world.tpm.uri, "--binder", "5f" * 32, "--out", evidence, "--aik-out", aik)
    judge = ["appraise", "--evidence", evidence, "--aik", aik, "--ca", world.ca, "--json", "--verifier",
             f"veraison:{world.veraison.verification}"]
    assert json.loads(run(*judge, "--binder", "5f" * 32).stdout)["decision"] == "accept"
    shown = json.loads(run(*judge, "--binder", "60" * 32, status=REFUSED).stdout)
    assert shown["reason"] == "nonce-mismatch", shown
