"""Confidential machines, simulated, on both sides of connections: who attests, who appraises, in which form; a
machine that is otherwise than it should be; policies that name machines; and a machine that changes in mid-stream."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

from conftest import ATLS, CLASS, REFUSED, UNKNOWN, YES, Lab, ask_again, run, wait_until
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


def peer_of(done):
    """Who was attested, as a client says with --json."""
    return json.loads(done.stderr.decode().splitlines()[-1])


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
