"""The daemon and platform tokens that stand alone, of simulated machines: what it announces, what it finds,
and what its rules refuse."""
import base64
import json
import os
import pathlib
import shutil
import subprocess

import pytest

from conftest import run, tool
from verifierd import DAEMON, Verifierd

SIM = os.environ.get("ATLS_TEE_SIM", "atls-tee-sim")
TSM = "application/vnd.veraison.tsm-report+cbor"
POLICIES = pathlib.Path(__file__).resolve().parents[2] / "docs" / "policies"
CONFIG = """
    listeners:
      - address: 127.0.0.1:0
    tenants:
      - name: one
        store: {dir}/store.db
        evidence: {rules: RULES}
        POLICY
    drain-delay: 0
    """
NONCE = bytes(range(64))


HASHES = {"sha256": 1, "sha384": 7, "sha512": 8}


class Tag:
    def __init__(self, number, content):
        self.number, self.content = number, content


def head(major, n):
    for size, more in ((1, 24), (2, 25), (4, 26), (8, 27)):
        if n < 24:
            return bytes([major << 5 | n])
        if n < 1 << 8 * size:
            return bytes([major << 5 | more]) + n.to_bytes(size, "big")
    raise ValueError(n)


def cbor(item):
    """As much CBOR as a manifest needs; maps come with their keys in order."""
    if isinstance(item, Tag):
        return head(6, item.number) + cbor(item.content)
    if isinstance(item, int):
        return head(0, item)
    if isinstance(item, (bytes, str)):
        content = item if isinstance(item, bytes) else item.encode()
        return head(2 if isinstance(item, bytes) else 3, len(content)) + content
    if isinstance(item, list):
        return head(4, len(item)) + b"".join(map(cbor, item))
    return head(5, len(item)) + b"".join(cbor(key) + cbor(value) for key, value in item.items())


def class_of(name, details):
    if name == "SNP":
        return Tag(111, bytes.fromhex("2b060104019c780301"))
    if name == "TDX":
        return Tag(37, bytes.fromhex("a2b07d9454f24ab49bdf856e7d832ab8"))
    return Tag(560, bytes.fromhex(details["implementation-id" if name == "CCA_SSD_PLATFORM" else "initial-measurement"]))


def reference_of(measurement):
    """A reference value that wants what was measured; None for what is no digest, number or bytes."""
    value = {}
    if "svn" in measurement:
        value[1] = Tag(553, int(measurement["svn"]))  # at least
    if "digests" in measurement:
        value[2] = [[HASHES[name], bytes.fromhex(digest)] for name, digest in measurement["digests"].items()]
    if "raw-value" in measurement:
        value[4] = Tag(560, bytes.fromhex(measurement["raw-value"]))
    if "name" in measurement:
        value[11] = measurement["name"]
    return {0: measurement["key"], 1: value} if value else None


def manifest_of(result):
    """Reference values for all that the claims of a result say."""
    triples = []
    for name, submod in result["submods"].items():
        claims = submod["ear_attester_claims"]
        values = [reference_of(m) for m in claims["measurements"]]
        triples.append([{0: {0: class_of(name, claims["details"])}}, [value for value in values if value]])
    comid = cbor(Tag(506, b""))[:-1] + cbor(cbor({1: {0: "machine"}, 4: {0: triples}}))
    return head(6, 501) + head(5, 2) + cbor(0) + cbor("machine") + cbor(1) + head(4, 1) + comid


class Machine:
    """A simulated machine, a store that trusts its maker, and the daemon over it."""

    def __init__(self, directory, tee, rules="{}"):
        self.dir, self.tee, self.sim = directory, tee, directory / tee
        self.store = directory / "store.db"
        tool(SIM, "init", self.sim, "--tee", tee, *(["--rsa-bits", "2048"] if tee == "snp" else []))
        run("store", "init", "--store", self.store)
        if tee == "cca":
            run("store", "import", "--store", self.store, "--corim", self.sim / "roots" / "platform.corim")
        else:
            for root in sorted((self.sim / "roots").glob("*.pem")):
                run("store", "import", "--store", self.store, "--anchor", "tee", root)
            self.take_collateral()
        run("store", "key", "new", "--store", self.store)
        self.daemon, self.rules = Verifierd(directory, DAEMON), rules
        self.start()

    def start(self, policy=""):
        self.daemon.write(CONFIG.replace("RULES", self.rules).replace("POLICY", policy))
        self.daemon.start()

    def ask_policy(self, name, **lists):
        """From now on the policy of that name, with a list filled in."""
        text = (POLICIES / name).read_text()
        for key, value in lists.items():
            assert f"def {key}: [];" in text
            text = text.replace(f"def {key}: [];", f'def {key}: ["{value}"];')
        (self.dir / "policy.jq").write_text(text)
        self.daemon.kill()
        self.start(f"policy: {self.dir}/policy.jq")

    def refer(self, result):
        path = self.dir / "manifest"
        path.write_bytes(manifest_of(result))
        run("store", "import", "--store", self.store, "--corim", path)

    def take_collateral(self):
        run("store", "import", "--store", self.store, "--collateral", self.sim / "collateral")

    def order(self, *orders):
        tool(SIM, "set", self.sim, *orders)

    def evidence(self, challenge):
        return subprocess.run([SIM, "evidence", str(self.sim), "--challenge", challenge.hex()], check=True,
                              capture_output=True).stdout

    def submit(self, nonce=NONCE, challenge=None):
        """The claims of the result about a token over challenge, nonce with zeros behind it."""
        challenge = challenge or nonce + bytes(64 - len(nonce))
        text = base64.urlsafe_b64encode(nonce).decode().rstrip("=")
        session = self.daemon.ask("POST", f"/challenge-response/v1/newSession?nonce={text}")
        assert session.status == 201 and TSM in session.json["accept"]
        answer = self.daemon.ask("POST", f"/challenge-response/v1/{session.headers['Location']}",
                                 self.evidence(challenge), {"Content-Type": TSM})
        assert answer.status == 200, answer.body
        part = answer.json["result"].split(".")[1]
        return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


@pytest.fixture
def machine():
    made, directory = [], pathlib.Path(subprocess.run(["mktemp", "-d", "/tmp/atls-tee.XXXXXX"], capture_output=True,
                                                      check=True, text=True).stdout.strip())

    def make(tee, rules="{}"):
        made.append(Machine(directory, tee, rules))
        return made[0]

    try:
        yield make
    finally:
        for one in made:
            one.daemon.kill()
        shutil.rmtree(directory, ignore_errors=True)


def problems(submod):
    return " ".join(submod["ear_verifier_claims"]["problems"])


@pytest.mark.parametrize("tee, names", [("snp", ["SNP"]), ("tdx", ["TDX"]),
                                        ("cca", ["CCA_SSD_PLATFORM", "CCA_REALM"])])
def test_genuine_tokens_get_a_result_without_key(machine, tee, names):
    result = machine(tee).submit()
    assert sorted(result["submods"]) == sorted(names)
    first = result["submods"][names[0]]
    # Genuine hardware; and nobody has said which code it may run.
    assert first["ear_trustworthiness_vector"]["hardware"] == 2, first
    assert result["ear_status"] == "warning"
    for submod in result["submods"].values():
        assert submod["ear_verifier_claims"]["reason"] == "no-reference-values"
        assert "ear_veraison_key_attestation" not in submod
    assert result["eat_nonce"] == base64.urlsafe_b64encode(NONCE).decode().rstrip("=")


@pytest.mark.parametrize("tee", ["snp", "tdx", "cca"])
def test_the_whole_challenge_counts(machine, tee):
    lab = machine(tee)
    assert lab.submit(NONCE[:32])["ear_status"] == "warning"
    for challenge in (NONCE[:32] + NONCE[:32], bytes(64), NONCE[:31] + bytes(33)):
        result = lab.submit(NONCE[:32], challenge)
        assert result["ear_status"] == "contraindicated"
        (submod,) = result["submods"].values()
        assert submod["ear_trustworthiness_vector"]["hardware"] == 99
        assert submod["ear_verifier_claims"]["reason"] in ("report-data-mismatch", "challenge-mismatch")


KNOWN = {"snp": ("snp.jq", "SNP", "chips", "chip-id", "chip is not listed"),
         "tdx": ("tdx.jq", "TDX", "platforms", "platform-instance-id", "platform is not listed"),
         "cca": ("cca.jq", "CCA_SSD_PLATFORM", "platforms", "instance-id", "platform is not listed")}


@pytest.mark.parametrize("tee, order, reason",
                         [("snp", "measurement", "measurement"), ("tdx", "rtmr2", "measurement"),
                          ("cca", "firmware", "platform-measurement"), ("cca", "rem1", "realm-measurement")])
def test_what_is_known_is_affirming(machine, tee, order, reason):
    lab = machine(tee)
    lab.refer(lab.submit())
    result = lab.submit()
    assert result["ear_status"] == "affirming", result
    assert all(submod["ear_status"] == "affirming" for submod in result["submods"].values())
    policy, name, pinned, detail, says = KNOWN[tee]
    value = result["submods"][name]["ear_attester_claims"]["details"][detail]
    lab.ask_policy(policy, **{pinned: value})
    assert lab.submit()["ear_status"] == "affirming"
    other = value[:-1] + ("0" if value[-1] != "0" else "1")
    lab.ask_policy(policy, **{pinned: other})
    refused = lab.submit()["submods"][name]
    assert refused["ear_status"] == "contraindicated" and says in problems(refused)
    lab.ask_policy("default.jq")
    lab.order(f"{order}=" + ("5a" * (32 if tee == "cca" else 48)))
    reasons = [submod["ear_verifier_claims"].get("reason") for submod in lab.submit()["submods"].values()]
    assert reason in reasons, reasons


@pytest.mark.parametrize("tee, order, rules, reason",
                         [("snp", "debug=yes", "{snp.debug: allow}", "policy-debug-enabled"),
                          ("tdx", "debug=yes", "{tdx.debug: allow}", "td-debug"),
                          ("cca", "lifecycle=0x4000", "{cca.lifecycle: debug}", "lifecycle")])
def test_rules_let_pass_what_is_refused_without(machine, tee, order, rules, reason):
    lab = machine(tee)
    lab.order(order)
    (submod,) = lab.submit()["submods"].values()
    assert submod["ear_status"] == "contraindicated"
    assert submod["ear_verifier_claims"]["reason"] == reason
    lab.daemon.kill()
    lab.rules = rules
    lab.start()
    assert lab.submit()["ear_status"] == "warning"


def test_an_old_tcb_that_is_let_pass_is_a_warning(machine):
    lab = machine("tdx")
    lab.order("tcb=old")
    lab.take_collateral()
    (submod,) = lab.submit()["submods"].values()
    assert submod["ear_verifier_claims"]["reason"] == "tcb-out-of-date"
    lab.daemon.kill()
    lab.rules = "{tdx.statuses: 'UpToDate,OutOfDate', tdx.tcb-date: 2000-01-01}"
    lab.start()
    submod = lab.submit()["submods"]["TDX"]
    assert submod["ear_trustworthiness_vector"]["hardware"] == 32
    assert "knows weaknesses of it (OutOfDate)" in problems(submod)
