"""The whole background check: evidence of a software TPM made by `atls evidence`, judged by a real Veraison
that `atls appraise` asks."""
import hashlib
import json
import os
import subprocess

import pytest

import parsec_tpm
from parsec_tpm import AK, PROFILE
from veraison_lab import Veraison

ATLS = os.environ.get("ATLS", "atls")
YES, UNKNOWN, REFUSED = 0, 2, 3


def atls(*arguments):
    return subprocess.run([ATLS, *map(str, arguments)], capture_output=True, timeout=60, check=False)


@pytest.fixture(scope="module", params=["http", "https"])
def veraison(request, tmp_path_factory):
    peer = Veraison()
    peer.start(tmp_path_factory.mktemp("veraison"), tls=request.param == "https")
    peer.older = "corim-unsigned" in peer.corim_type(PROFILE)
    yield peer
    peer.stop()


@pytest.fixture
def tpm(tmp_path):
    # The path of a socket may have 107 bytes, which pytest's own directories can exceed.
    link = f"/tmp/atls-client-{os.getpid()}"
    os.symlink(tmp_path, link)
    device = None
    try:
        device = parsec_tpm.Tpm(f"{link}/tpm")
        device.make_keys()
        yield device
    finally:
        if device is not None:
            device.stop()
        os.unlink(link)


class Machine:
    """A TPM, what its evidence says, and how a Relying Party asks about it."""

    def __init__(self, tpm, veraison, folder):
        self.tpm, self.veraison, self.folder = tpm, veraison, folder
        self.keys = folder / "keys.jwk"
        self.keys.write_text(json.dumps(veraison.ear_key))

    def provision(self):
        area, pem = self.tpm.public(AK)
        kid = b"\x01" + hashlib.sha256(area).digest()  # how our evidence names an attestation key
        corim = parsec_tpm.corim(pem, self.tpm.pcrs("sha256", range(8)), kid, self.veraison.older)
        answer = self.veraison.provision(corim, self.veraison.corim_type(PROFILE))
        assert (answer.status, answer.json()["status"]) == (200, "success")

    def prove(self, binder):
        uri = f"tpm2:swtpm:path={self.tpm.socket}?ak=0x81010002&aik=0x81010003"
        done = atls("evidence", "--attester", uri, "--binder", binder.hex(), "--out", self.folder / "evidence.cbor",
                    "--aik-out", self.folder / "aik.der")
        assert done.returncode == YES, done.stderr

    def judge(self, binder, *options):
        trust = (["--ca", self.veraison.ca] if self.veraison.ca else ["--result-keys", self.keys]) \
            if not options else list(options)
        done = atls("appraise", "--evidence", self.folder / "evidence.cbor", "--binder", binder.hex(), "--aik",
                    self.folder / "aik.der", "--verifier", f"veraison:{self.veraison.verification}", "--json", *trust)
        return done.returncode, json.loads(done.stdout or b"{}"), done.stderr.decode()


@pytest.fixture
def machine(tpm, veraison, tmp_path):
    return Machine(tpm, veraison, tmp_path)


@pytest.mark.parametrize("size", [32, 48])
def test_affirmed(machine, size):
    binder = b"\xfb\xff" + os.urandom(size - 2)
    machine.provision()
    machine.prove(binder)
    status, shown, said = machine.judge(binder)
    assert (status, shown.get("decision")) == (YES, "accept"), said
    assert shown["ear"]["submods"]["PARSEC_TPM"]


def test_another_measurement_is_not_affirmed(machine):
    binder = os.urandom(32)
    machine.provision()
    machine.tpm.extend(3)
    machine.prove(binder)
    status, _, said = machine.judge(binder)
    # There a PCR that does not match is a fault of the verifier: then nothing is known.
    assert status == (UNKNOWN if machine.veraison.older else REFUSED), said


def test_an_unknown_key_is_refused(machine):
    binder = os.urandom(32)
    machine.prove(binder)
    status, _, said = machine.judge(binder)
    assert status == REFUSED
    assert "the service finds the evidence not genuine" in said


def test_replayed_evidence_is_refused_here(machine):
    """The challenge is checked here before anybody else is asked."""
    machine.provision()
    machine.prove(os.urandom(32))
    status, shown, said = machine.judge(os.urandom(32))
    assert (status, shown["reason"]) == (REFUSED, "nonce-mismatch"), said


def test_results_of_another_key_tell_nothing(machine, tmp_path):
    binder = os.urandom(32)
    machine.provision()
    machine.prove(binder)
    other = tmp_path / "other.pem"
    other.write_bytes(machine.tpm.public(AK)[1])
    trust = ["--ca", machine.veraison.ca] if machine.veraison.ca else []
    status, _, said = machine.judge(binder, "--result-keys", other, *trust)
    assert status == UNKNOWN, said
