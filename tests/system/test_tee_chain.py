"""From a simulated machine to a verdict: its kernel's tree, the attester that asks it, a store that was told of its
maker, and what the verifier says of a machine that is otherwise than it should be."""
import os
import shutil

import pytest

from conftest import REFUSED, UNKNOWN, USAGE, YES, need, run
from test_tee_sim import Mount, WORLDS, made, service, sim, world  # noqa: F401

EVERY = list(WORLDS)
# An order that makes a guest another one.
BAD = {name: f"{order}={'11' * length}" for name, order, length in (
    ("milan", "measurement", 48), ("turin", "measurement", 48), ("vlek", "measurement", 48), ("tdx4", "mrtd", 48),
    ("tdx5", "rtmr1", 48), ("cca", "rem3", 32))}


class Machine:
    """Evidence made through the mount, or by "atls-tee-sim evidence" where there is none."""

    def __init__(self, directory, lab):
        self.dir, self.lab = directory, lab
        lab.mkdir(exist_ok=True)
        self.store = lab / "store.db"
        self.binder = os.urandom(32).hex()
        run("store", "init", "--store", self.store)
        self.trust()

    def trust(self):
        for root in (self.dir / "roots").glob("*.pem"):
            if root.name != "platform.pem":
                run("store", "import", "--store", self.store, "--anchor", "tee", root)
        for manifest in [*(self.dir / "roots").glob("*.corim"), *(self.dir / "reference").glob("*.corim")]:
            run("store", "import", "--store", self.store, "--corim", manifest)

    def learn(self):
        """The store gets what the maker publishes now."""
        if list((self.dir / "collateral").iterdir()):
            run("store", "import", "--store", self.store, "--collateral", self.dir / "collateral")

    def attest(self, report, status=YES, options=""):
        return run("evidence", "--attester", f"tsm:{report}{options}", "--binder", self.binder, "--out",
                   self.lab / "evidence.cmw", "--aik-out", self.lab / "aik.der", status=status)

    def appraise(self, status=YES, store=None, *more):
        done = run("appraise", "--evidence", self.lab / "evidence.cmw", "--binder", self.binder, "--aik",
                   self.lab / "aik.der", "--verifier", f"local:{store or self.store}", *more, status=status)
        return (done.stdout + done.stderr).decode()


@pytest.fixture(scope="session")
def made_now(tmp_path_factory):
    """Worlds that begin now, each made once."""
    directory = tmp_path_factory.mktemp("now")

    def make(name):
        if not (directory / name).exists():
            sim("init", directory / name, *WORLDS[name][0])
        return directory / name

    return make


@pytest.fixture
def machine(made_now, tmp_path):
    mounts = []

    def start(name):
        directory = shutil.copytree(made_now(name), tmp_path / name)
        mounts.append(Mount(directory, tmp_path / "report"))
        it = Machine(directory, tmp_path)
        it.learn()
        return it, tmp_path / "report"

    yield start
    for one in mounts:
        one.close()


@pytest.mark.parametrize("name", EVERY)
def test_a_good_machine_is_accepted(machine, tmp_path, name):
    it, report = machine(name)
    it.attest(report)
    assert "decision: accept" in it.appraise()
    assert not list(report.iterdir())
    it.binder = "00" * 32
    assert "mismatch]" in it.appraise(status=REFUSED)


@pytest.mark.parametrize("name, reason", [("vlek", "chain-signature"), ("tdx4", "untrusted-root"),
                                          ("cca", "untrusted-key")])
def test_roots_are_trusted_where_they_were_imported(machine, made, tmp_path, name, reason):  # noqa: F811
    it, report = machine(name)
    it.attest(report, options="" if name == "cca" else f"?collateral={it.dir}/collateral")
    assert "decision: accept" in it.appraise()
    other = Machine(made(name), tmp_path / "other")
    assert f"[{reason}]" in it.appraise(status=REFUSED, store=other.store)
    run("store", "init", "--store", tmp_path / "none.db")
    it.appraise(status=USAGE, store=tmp_path / "none.db")


@pytest.mark.parametrize("name, order, reason", [
    ("milan", "debug=yes", "[policy-debug-enabled]"),
    ("milan", "measurement=" + "11" * 48, "no reference value"),
    ("milan", "vmpl-floor=1", "[vmpl]"),
    ("milan", "revoked=intermediate", "[certificate-revoked]"),
    ("milan", "collateral=expired", "[crl-expired]"),
    ("vlek", "revoked=intermediate", "[certificate-revoked]"),
    ("tdx4", "debug=yes", "[td-debug]"),
    ("tdx5", "mrtd=" + "11" * 48, "no reference value"),
    ("tdx4", "rtmr3=" + "11" * 48, "no reference value"),
    ("tdx4", "tcb=old", "[tcb-out-of-date]"),
    ("tdx4", "revoked=leaf", "[certificate-revoked]"),
    ("tdx5", "revoked=intermediate", "[certificate-revoked]"),
    ("tdx4", "collateral=expired", "[collateral-expired]"),
    ("cca", "lifecycle=0x4000", "[lifecycle]"),
    ("cca", "firmware=" + "11" * 32, "no reference value"),
    ("cca", "rem0=" + "11" * 32, "no reference value"),
])
def test_a_machine_that_is_otherwise_is_refused(machine, tmp_path, name, order, reason):
    it, report = machine(name)
    sim("set", it.dir, order)
    # A list or document of the same date or an older one would be passed over.
    (tmp_path / "store.db").unlink()
    run("store", "init", "--store", it.store)
    it.trust()
    it.learn()
    it.attest(report)
    assert reason in it.appraise(status=REFUSED)


@pytest.mark.parametrize("name", ["milan", "tdx4", "cca"])
def test_transient_faults_are_passed(machine, name):
    it, report = machine(name)
    for order in ("fault=EBUSY:2", "fault=ETIMEDOUT", "fault=EINTR:2", "race=1", "delay=5"):
        sim("set", it.dir, order)
        it.attest(report)
        assert "decision: accept" in it.appraise()
        assert not list(report.iterdir())


@pytest.mark.parametrize("name, order", [("milan", "fault=EIO"), ("tdx4", "fault=ENXIO"), ("cca", "fault=ENOTTY"),
                                         ("milan", "race=10"), ("milan", "truncate=1183"), ("cca", "truncate=100")])
def test_lasting_faults_are_told(machine, name, order):
    it, report = machine(name)
    sim("set", it.dir, order)
    it.attest(report, status=UNKNOWN)
    assert not list(report.iterdir())


def test_old_firmware_is_what_a_rule_says(machine):
    """AMD publishes no list of what is old."""
    it, report = machine("milan")
    rule = ("--rule", "snp.minimum-tcb.milan=4.1.24.219")
    it.attest(report)
    assert "decision: accept" in it.appraise(YES, None, *rule)
    sim("set", it.dir, "tcb=old")
    it.attest(report)
    assert "decision: accept" in it.appraise()
    assert "[tcb-too-old]" in it.appraise(REFUSED, None, *rule)


@pytest.mark.parametrize("name, reason", [("milan", "[chain-issuer]"), ("tdx4", "[collateral-unavailable]")])
def test_evidence_brings_what_a_store_lacks(machine, tmp_path, name, reason):
    it, report = machine(name)
    (tmp_path / "store.db").unlink()
    run("store", "init", "--store", it.store)
    run("store", "import", "--store", it.store, "--anchor", "tee", next((it.dir / "roots").glob("*.pem")))
    for manifest in (it.dir / "reference").iterdir():
        run("store", "import", "--store", it.store, "--corim", manifest)
    it.attest(report)
    assert reason in it.appraise(status=REFUSED)
    it.attest(report, options=f"?collateral={it.dir}/collateral")
    assert "decision: accept" in it.appraise()


def test_what_the_service_hands_out_is_found_again(machine, service, made_now, tmp_path):  # noqa: F811
    """A chip of Turin has a short name there, and the one of the report everywhere else."""
    it, report = machine("turin")
    sim("set", it.dir, "certificates=no")
    it.attest(report)
    directory, url, _ = service("turin", made_now("turin"))
    for more in (["--evidence", tmp_path / "evidence.cmw"], None):
        if more is None:
            name = next(path.name for path in (directory / "collateral").glob("snp-vek-*18000000db.der"))
            _, chip, tcb = name.removeprefix("snp-vek-").removesuffix(".der").split("-")
            more = ["--line", "turin", "--chip-id", chip[:16], "--tcb", tcb]
        (tmp_path / "store.db").unlink()
        run("store", "init", "--store", it.store)
        it.trust()
        run("collateral", "fetch", "--from", f"amd={url}", "--store", it.store, *more)
        assert "decision: accept" in it.appraise()


@pytest.mark.parametrize("name", EVERY)
def test_a_connection_is_attested(machine, lab, name):
    need("openssl")
    it, report = machine(name)
    server = lab.serve("--attester", f"tsm:{report}", "--echo", *lab.tls())
    arguments = ("connect", f"localhost:{server.port}", "--verifier", f"local:{it.store}", "--ca", lab.dir / "ca.pem",
                 "--identity", "attested")
    assert run(*arguments, stdin=b"hello\n").stdout == b"hello\n"
    sim("set", it.dir, BAD[name])
    assert run(*arguments, stdin=b"hello\n", status=REFUSED).stdout == b""
