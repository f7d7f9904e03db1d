"""What the tests of the flavours share: one laboratory for all of them, with two software TPMs that are enrolled
and a verifier service, and connections whose data may wait for each other."""
import contextlib
import json
import select
import subprocess
import threading

from conftest import ATLS, TIMEOUT, YES, laboratory, run, wait_until
from test_topologies import Service

FLAVOURS = {
    "post": [],  # the default
    "intra": ["--flavour", "intra"],
    "pre-none": ["--flavour", "pre", "--freshness", "none"],
    "pre-nonce": ["--flavour", "pre", "--freshness", "nonce"],
}
IN_HANDSHAKE = [name for name in FLAVOURS if name != "post"]
TOPOLOGIES = ["local", "background", "passport"]


class World:
    """The laboratory, what its two machines attest with, and the service."""

    def __init__(self, lab):
        self.lab, self.dir = lab, lab.dir
        self.tpms = {"server": lab.tpm("one"), "client": lab.tpm("two")}
        names = {"server": "localhost", "client": "client.example"}
        self.attester = {side: lab.enrol(tpm, names[side]) for side, tpm in self.tpms.items()}
        self.service = Service(lab).up()
        self.ca = ["--ca", lab.dir / "ca.pem"]
        self.changed = []

    def close(self):
        self.service.kill()

    def settle(self):
        """Ends what a test began: a software TPM serves one process at a time."""
        for process in self.lab.processes:
            if process.poll() is None:
                process.kill()
            process.wait(10)
        self.lab.processes.clear()
        for tpm in self.changed:
            tpm.reset()
        self.changed.clear()

    def change(self, side, pcr):
        """Other software was started on this machine."""
        self.changed.append(self.tpms[side])
        self.tpms[side].extend(pcr)

    # ---- options ----

    def judges(self, topology="local", flavour=None):
        where = {"local": self.lab.verifier, "background": f"veraison:{self.service.url}",
                 "passport": f"passport:{self.service.url}"}[topology]
        fresh = ["--fresh-result"] if (topology, flavour) == ("passport", "pre-nonce") else []
        return ["--verifier", where, *fresh]

    def shows(self, side, topology="local"):
        results = ["--passport-from", self.service.url, "--passport-only"] if topology == "passport" else []
        return [*self.attester[side], *results]

    def sides(self, flavour, who, topology="local"):
        """Options of a server and of a client: who attests, and who appraises it."""
        serve, connect = [*FLAVOURS[flavour], *self.ca], [*FLAVOURS[flavour], *self.ca]
        if who == "client" or flavour == "post":
            serve += self.lab.tls()
        if who == "client":
            connect += ["--unattested-server"]
        else:
            serve += self.shows("server", topology)
            connect += self.judges(topology, flavour)
        if who != "server":
            serve += ["--require-peer", *self.judges(topology, flavour)]
            connect += self.shows("client", topology)
        return serve, connect

    # ---- processes ----

    def serve(self, *options, **streams):
        return self.lab.serve(*options, "--json-log", **streams)

    def connect(self, server, *options, data=b"", status=YES):
        """A client whose input ends at once: for connections that are refused."""
        return run("connect", f"localhost:{server.port}", *options, "--json", stdin=data, status=status)

    def client(self, server, *options):
        return Client(self.lab, f"localhost:{server.port}", *options)


class Client:
    """A client whose standard input stays open until it is told otherwise."""

    def __init__(self, lab, where, *options):
        self.process = subprocess.Popen([ATLS, "connect", where, *map(str, options), "--json"], bufsize=0,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        lab.processes.append(self.process)

    def send(self, data):
        def write():
            with contextlib.suppress(BrokenPipeError):
                left = memoryview(data)
                while left:
                    left = left[self.process.stdin.write(left):]
        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        return thread

    def receive(self, count):
        """So many bytes, or what came before the end."""
        data = b""
        while len(data) < count:
            ready, _, _ = select.select([self.process.stdout], [], [], TIMEOUT)
            assert ready, f"{len(data)} of {count} bytes in {TIMEOUT} s"
            piece = self.process.stdout.read(count - len(data))
            if not piece:
                break
            data += piece
        return data

    def echo(self, data):
        """Sends data and gives back what came, which is less when the connection ended."""
        writer = self.send(data)
        got = self.receive(len(data))
        writer.join(TIMEOUT)
        return got

    def end(self, status=YES):
        """Ends the input; lines of standard error."""
        self.process.stdin.close()
        said = self.process.stderr.read()
        assert self.process.wait(TIMEOUT) == status, said
        return said.decode().splitlines()


@contextlib.contextmanager
def new_world():
    with laboratory() as lab:
        made = World(lab)
        try:
            yield made
        finally:
            made.close()


def stop(server):
    server.terminate()
    assert server.wait(20) == YES, server.log.read_text()


def events(server, name=None):
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if name is None or line.get("event") == name]


def ended(server, name, count=1):
    """Lines of the log, once there are so many of the name."""
    return wait_until(f"{count} of {name}", lambda: len(events(server, name)) >= count and events(server, name))


def peer_of(lines):
    """What a client says of its server: the first line that is JSON."""
    return json.loads(next(line for line in lines if line.startswith("{")))


def binding_of(flavour, topology):
    return "key" if topology == "passport" or flavour.startswith("pre") else "connection"


def freshness_of(flavour, topology):
    """A result from before is as old as it is, whatever carries it; where a nonce is wanted it is new."""
    if flavour == "pre-nonce":
        return "nonce"
    return "none" if topology == "passport" or flavour == "pre-none" else "connection"
