"""Confidential machines, simulated, on both sides of connections: who attests, who appraises, in which form; a
machine that is otherwise than it should be; policies that name machines; and a machine that changes in mid-stream."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from conftest import ATLS, REFUSED, UNKNOWN, YES, Lab, ask_again, run, wait_until
from test_tee_sim import SIM, Mount, sim
from verifierd import DAEMON, Verifierd

TEES = ["snp", "tdx", "cca"]
SIDES = ["server", "client"]
POLICIES = pathlib.Path(__file__).resolve().parents[2] / "docs" / "policies"
DATA = b"what was sent\n" * 1000
CONFIG = """
    listeners:
      - address: 127.0.0.1:0
    tenants:
    TENANTS
    drain-delay: 0
    """
# An order that makes another guest, and what takes it back.
OTHER = {"snp": ("measurement", 48), "tdx": ("mrtd", 48), "cca": ("firmware", 32)}
AS_MADE = {tee: f"{order}=" + "a71500000000000000000000000051e5" * (length // 16)
           for tee, (order, length) in OTHER.items()}
WRONG = {tee: f"{order}=" + "11" * length for tee, (order, length) in OTHER.items()}


class Machine:
    """A simulated machine, mounted, and a store that knows of it and of no other: there its peers judge it."""

    def __init__(self, directory, tee, side):
        self.tee, self.name = tee, f"{tee}-{side}"
        self.dir, self.report, self.store = (directory / f"{self.name}{end}" for end in ("", ".report", ".db"))
        self.mount = None

    def init(self):
        options = ["--line", "milan", "--rsa-bits", "2048"] if self.tee == "snp" else []
        return subprocess.Popen([SIM, "init", self.dir, "--tee", self.tee, *options], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)

    def start(self):
        self.mount = Mount(self.dir, self.report)
        self.make_store(self.store)
        run("store", "key", "new", "--store", self.store)

    def make_store(self, store):
        """A new store that trusts the machine's maker, and takes what that publishes now."""
        run("store", "init", "--store", store)
        manifests = [*(self.dir / "roots").glob("*.corim"), *(self.dir / "reference").glob("*.corim")]
        for manifest in manifests:
            run("store", "import", "--store", store, "--corim", manifest)
        if self.tee != "cca":
            run("store", "import", "--store", store, "--anchor", "tee", *(self.dir / "roots").glob("*.pem"))
            run("store", "import", "--store", store, "--collateral", self.dir / "collateral")
        return store

    def keys(self):
        """Public keys of results about it."""
        path = self.store.with_suffix(".jwks")
        if not path.exists():
            path.write_bytes(run("store", "key", "list", "--store", self.store).stdout)
        return path

    @property
    def attester(self):
        return ["--attester", f"tsm:{self.report}"]

    def set(self, *orders):
        sim("set", self.dir, *orders)


class World(Lab):
    """All machines, and the daemon with a tenant for each."""

    def __init__(self, directory):
        super().__init__(directory)
        self.machines = {(tee, side): Machine(directory, tee, side) for tee in TEES for side in SIDES}
        self.daemon = Verifierd(directory, DAEMON)
        self.identity = ["--identity", "attested", "--ca", directory / "ca.pem"]

    def start(self):
        made = [machine.init() for machine in self.machines.values()]
        assert [one.wait() for one in made] == [0] * len(made)
        for machine in self.machines.values():
            machine.start()
        self.daemon.write(CONFIG.replace("TENANTS", "\n    ".join(
            f'  - {{name: {machine.name}, prefix: "/{machine.name}", store: {machine.store}, result: {{lifetime: 1h}}}}'
            for machine in self.machines.values())))
        self.daemon.start()

    def close(self):
        self.daemon.kill()
        super().close()
        for machine in self.machines.values():
            if machine.mount is not None:
                machine.mount.close()

    def url(self, machine):
        return f"http://127.0.0.1:{self.daemon.ports[0]}/{machine.name}"

    def judges(self, topology, machine):
        """Options of a side that judges the machine."""
        where = {"local": f"local:{machine.store}", "background": f"veraison:{self.url(machine)}",
                 "passport": f"passport:{machine.keys()}"}[topology]
        keys = ["--result-keys", machine.keys()] if topology == "background" else []
        return ["--verifier", where, *keys, *self.identity]

    def shows(self, topology, machine):
        """Options of a side that is the machine."""
        if topology != "passport":
            return machine.attester
        return [*machine.attester, "--passport-from", self.url(machine), "--passport-only", "--result-keys",
                machine.keys()]

    def start_reattesting(self, server, machine):
        """A client that has the server's machine attest again each second, and whose standard input stays open."""
        process = subprocess.Popen(
            [ATLS, "connect", f"localhost:{server.port}", *map(str, self.judges("local", machine)), "--reattest-interval",
             "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        self.processes.append(process)
        return process


@pytest.fixture(scope="module")
def world(fuse):
    # The path of a socket may have 107 bytes, which pytest's own directories can exceed.
    directory = pathlib.Path(tempfile.mkdtemp(prefix="atls-test.", dir="/tmp"))
    made = World(directory)
    try:
        made.start()
        yield made
    finally:
        made.close()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def machine(world):
    """The server's machine of a technology, put right again afterwards."""
    used = []

    def take(tee):
        used.append(world.machines[tee, "server"])
        return used[0]

    yield take
    for one in used:
        shutil.copy(one.dir / "state.made", one.dir / "state")
        sim("collateral", one.dir)
    for process in world.processes:
        process.kill()
        process.wait(10)
    world.processes.clear()


@pytest.fixture(autouse=True)
def kept(world):
    """How each machine was made."""
    for one in world.machines.values():
        if not (one.dir / "state.made").exists():
            shutil.copy(one.dir / "state", one.dir / "state.made")


# ---- who attests, who appraises, in which form ----


@pytest.mark.parametrize("profile", ["kat-bundle", "bare"])
@pytest.mark.parametrize("topology", ["local", "background", "passport"])
@pytest.mark.parametrize("who", ["server", "client", "mutual"])
@pytest.mark.parametrize("tee", TEES)
def test_connections(world, tee, who, topology, profile):
    server, client = (world.machines[tee, side] for side in SIDES)
    form = ["--profile", profile]
    serve, connect = ["--echo", "--once", *world.tls()], []
    if who != "client":
        serve += world.shows(topology, server)
        connect += [*world.judges(topology, server), *form]
    else:
        connect += ["--unattested-server", "--ca", world.dir / "ca.pem"]
    if who != "server":
        serve += ["--require-peer", *world.judges(topology, client), *form]
        connect += world.shows(topology, client)
    process = world.serve(*serve)
    done = run("connect", f"localhost:{process.port}", *connect, stdin=DATA)
    assert done.stdout == DATA
    assert process.wait(20) == YES, process.log.read_text()
    for attested, text in ((who != "client", done.stderr.decode()), (who != "server", process.log.read_text())):
        if attested:
            assert tee in text and "affirming" in text, text


@pytest.mark.parametrize("topology", ["local", "background"])
@pytest.mark.parametrize("tee", TEES)
def test_bare_evidence_over_a_binder_of_32_bytes(world, tmp_path, tee, topology):
    """With a cipher suite of SHA-256 the key is in the challenge, which the service has to be told."""
    server = world.machines[tee, "server"]
    config = tmp_path / "openssl.cnf"
    config.write_text("openssl_conf = all\n[all]\nssl_conf = tls\n[tls]\nsystem_default = suites\n"
                      "[suites]\nCiphersuites = TLS_AES_128_GCM_SHA256\n")
    process = world.serve("--echo", "--once", *world.tls(), *server.attester, env={"OPENSSL_CONF": str(config)})
    done = run("connect", f"localhost:{process.port}", *world.judges(topology, server), "--profile", "bare", stdin=DATA)
    assert done.stdout == DATA


def test_forms_that_a_machine_cannot_make(world):
    server = world.machines["snp", "server"]
    process = world.serve(*world.tls(), *server.attester)
    done = run("connect", f"localhost:{process.port}", *world.judges("local", server), "--profile", "parsec",
               status=REFUSED)
    assert b"[no-common-parameters]" in done.stderr


# ---- machines that are otherwise ----


def connect(world, one, *options, store=None, status=YES, serve=()):
    """A connection to the machine; what the client said on standard error."""
    process = world.serve("--echo", "--once", *world.tls(), *one.attester, *serve)
    done = run("connect", f"localhost:{process.port}", "--verifier", f"local:{store or one.store}", *world.identity,
               "--json", *options, stdin=DATA, status=status)
    assert done.stdout == (DATA if status == YES else b"")
    return done.stderr.decode()


STATES = [
    ("snp", "debug=yes", "policy-debug-enabled"),
    ("snp", WRONG["snp"], "no reference value"),
    ("snp", "revoked=intermediate", "certificate-revoked"),
    ("snp", "collateral=expired", "crl-"),
    ("snp", "masked=yes", "chip-id-mismatch"),
    ("snp", "vmpl-floor=1", "vmpl"),
    ("tdx", "debug=yes", "td-debug"),
    ("tdx", WRONG["tdx"], "no reference value"),
    ("tdx", "rtmr2=" + "11" * 48, "no reference value"),
    ("tdx", "revoked=leaf", "certificate-revoked"),
    ("tdx", "revoked=intermediate", "certificate-revoked"),
    ("tdx", "tcb=old", "tcb-out-of-date"),
    ("tdx", "collateral=expired", "collateral-"),
    ("cca", "lifecycle=0x4001", "lifecycle"),
    ("cca", WRONG["cca"], "no reference value"),
    ("cca", "rim=" + "11" * 32, "no-reference-values"),
    ("cca", "rem1=" + "11" * 32, "no reference value"),
]


@pytest.mark.parametrize("tee, order, reason", STATES)
def test_a_machine_that_is_otherwise_is_refused(world, machine, tmp_path, tee, order, reason):
    one = machine(tee)
    one.set(order)
    store = one.make_store(tmp_path / "today.db")
    assert reason in connect(world, one, store=store, status=REFUSED)


@pytest.mark.parametrize("tee, order, rule, reason", [
    ("snp", "debug=yes", "snp.debug=allow", "policy-debug-enabled"),
    ("snp", "masked=yes", "snp.masked-chip-id=allow", "chip-id-mismatch"),
    ("tdx", "debug=yes", "tdx.debug=allow", "td-debug"),
    ("cca", "lifecycle=0x4000", "cca.lifecycle=debug", "lifecycle"),
])
def test_rules_say_what_passes(world, machine, tmp_path, tee, order, rule, reason):
    """With the rule the evidence counts, and a policy decides."""
    one = machine(tee)
    one.set(order)
    (tmp_path / "any.jq").write_text('{decision: "accept"}')
    assert f"[{reason}]" in connect(world, one, "--policy", tmp_path / "any.jq", status=REFUSED)
    connect(world, one, "--rule", rule, "--policy", tmp_path / "any.jq")


def test_old_firmware_is_what_a_rule_says(world, machine):
    """AMD publishes no list of what is old."""
    one, rule = machine("snp"), ("--rule", "snp.minimum-tcb.milan=4.1.24.219")
    connect(world, one, *rule)
    one.set("tcb=old")
    connect(world, one)
    assert "tcb-too-old" in connect(world, one, *rule, status=REFUSED)


@pytest.mark.parametrize("tee, reason", [("snp", "chain-signature"), ("tdx", "untrusted-root"), ("cca", "untrusted-key")])
def test_makers_count_where_they_were_imported(world, tee, reason):
    """The other machine is of another maker; its store has a root of the same name."""
    one, other = (world.machines[tee, side] for side in SIDES)
    assert f"[{reason}]" in connect(world, one, store=other.store, status=REFUSED)


# ---- policies that name machines ----

NAMED = {"snp": ("SNP", "chips", "chip-id", "chip is not listed"),
         "tdx": ("TDX", "platforms", "platform-instance-id", "platform is not listed"),
         "cca": ("CCA_SSD_PLATFORM", "platforms", "instance-id", "platform is not listed")}


@pytest.mark.parametrize("tee", TEES)
@pytest.mark.parametrize("topology", ["local", "background", "passport"])
def test_policies_name_machines(world, tmp_path, tee, topology):
    one, other = (world.machines[tee, side] for side in SIDES)
    submod, member, detail, says = NAMED[tee]
    policy = tmp_path / "named.jq"
    process = world.serve("--echo", *world.tls(), *world.shows(topology, one))
    arguments = ["connect", f"localhost:{process.port}", *world.judges(topology, one), "--policy", policy]

    def name(machine):
        text = (POLICIES / f"{tee}.jq").read_text()
        assert f"def {member}: [];" in text
        policy.write_text(text.replace(f"def {member}: [];", f'def {member}: ["{identity(machine, tmp_path)}"];'))

    def identity(machine, directory):
        """What an operator reads off evidence of the machine."""
        evidence, aik = directory / "evidence.cmw", directory / "aik.der"
        run("evidence", *machine.attester, "--binder", "5a" * 32, "--out", evidence, "--aik-out", aik)
        done = run("appraise", "--evidence", evidence, "--binder", "5a" * 32, "--aik", aik, "--verifier",
                   f"local:{machine.store}", "--json")
        return json.loads(done.stdout)["ear"]["submods"][submod]["ear_attester_claims"]["details"][detail]

    name(one)
    assert run(*arguments, stdin=DATA).stdout == DATA
    name(other)
    done = run(*arguments, stdin=DATA, status=REFUSED)
    assert says.encode() in done.stderr and done.stdout == b""


# ---- nothing there, and changes in mid-stream ----


def test_where_nothing_is_mounted_there_is_no_start(world, tmp_path):
    done = run("serve", "--listen", "127.0.0.1:0", *world.tls(), "--attester", f"tsm:{tmp_path}", status=UNKNOWN)
    assert b"provider" in done.stderr and b"No such file" in done.stderr
    done = run("evidence", "--attester", f"tsm:{tmp_path}/none", "--random-binder", "--out", tmp_path / "x", "--aik-out",
               tmp_path / "y", status=UNKNOWN)
    assert b"this kernel has none" in done.stderr


@pytest.mark.parametrize("tee", TEES)
def test_a_machine_that_changes_loses_its_connection(world, machine, tee):
    one = machine(tee)
    process = world.serve("--echo", *world.tls(), *one.attester)
    client = world.start_reattesting(process, one)
    client.stdin.write(b"before\n")
    assert client.stdout.read(7) == b"before\n"
    one.set(WRONG[tee])
    assert client.wait(30) == REFUSED
    said = client.stderr.read().decode()
    assert "no reference value" in said, said


@pytest.mark.parametrize("tee", TEES)
def test_a_client_that_changes_is_shown_out(world, machine, tee):
    """The server asks again when it is told to."""
    one = machine(tee)
    process = world.serve("--echo", *world.tls(), "--require-peer", "--verifier", f"local:{one.store}", "--identity",
                          "attested")
    client = subprocess.Popen([ATLS, "connect", f"localhost:{process.port}", "--unattested-server", "--ca",
                               world.dir / "ca.pem", *one.attester], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, bufsize=0)
    world.processes.append(client)
    client.stdin.write(b"before\n")
    assert client.stdout.read(7) == b"before\n"
    ask_again(process)
    wait_until("the second attestation", lambda: "attested again" in process.log.read_text())
    client.stdin.write(b"after\n")
    assert client.stdout.read(6) == b"after\n"
    one.set(WRONG[tee])
    ask_again(process)
    assert client.wait(30) == REFUSED
    assert "no reference value" in process.log.read_text()
