"""atls-verifierd when things break: it is killed in the middle of its work, a replica is, its database is, the
disk is full; manifests, sessions and clients are bad, or too many. What was acknowledged stays, nothing is
there by halves, and whoever tries again is served.

A locked SQLite store, a PostgreSQL that is away, and a daemon that starts before its database are in
test_verifierd_store.py; bytes that are no proper request in test_verifierd.py."""
import collections
import contextlib
import http.client
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading

import pytest

from conftest import CLASS, TIMEOUT, Lab, need, run, tool, wait_until
from test_verifierd_store import BUNDLE, Manifests, Postgres, World, b64, daemon_over, status_of, store, submit
from verifierd import NEW, SUBMIT, TOKEN, Answer, Load, is_problem, read_all, remove

MIB = 1024 * 1024
OTHER_CLASS = "3b0e1a52-9a2f-4c1d-8b69-0d3c1f4f7a11"
REFERENCES = 20  # of each manifest: what is there by halves has fewer
NAMES = [f"m{i}" for i in range(18)]


# ---- what the tests stand on: made once ----

class Machine:
    """A machine that is enrolled, its evidence for one nonce of its own choice, and manifests: one has the
    machine's reference values, without which it cannot be affirmed."""

    def __init__(self):
        self.nonce = os.urandom(32)
        self.new = f"{NEW}?nonce={b64(self.nonce)}"
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="atls-test.", dir="/tmp"))
        self.all = self.dir / "all.json"
        lab = Lab(self.dir)
        try:
            world = World(lab)
            self.evidence = world.evidence(self.nonce)
            listed = [entry for entry in listing(lab.store) if entry["kind"] == "reference"]
            store("remove", lab.store, "manifest:" + listed[0]["manifest"])
            store("export", lab.store, "--with-signing-keys", "--out", self.all)
        finally:
            lab.close()
        (self.dir / "m").mkdir()
        self.manifests = Manifests(self.dir / "m")
        own = {entry["subject"].split("PCR ")[1]: entry["value"].split(":")[1] for entry in listed}
        self.bodies = {"machine": self.manifests.signed("machine", **{"reference-values": {"sha256": own}})}
        for name in NAMES:
            self.bodies[name] = self.signed(name)
        self.counts = {name: REFERENCES for name in NAMES} | {"machine": len(own)}

    def signed(self, name, ca="ca", **more):
        values = [os.urandom(32).hex() for _ in range(REFERENCES)]
        return self.manifests.signed(name, ca, **{"class": OTHER_CLASS, "reference-values": {"sha256": {"0": values}}, **more})

    def daemon(self, directory, location, unsigned="false"):
        directory.mkdir(exist_ok=True)
        shutil.copy(self.manifests.dir / "ca.pem", directory)
        return daemon_over(directory, location, unsigned)

    def appraise(self, daemon, evidence=None):
        """A whole session; the answer to the evidence."""
        target = daemon.session(query=self.new[len(NEW):])
        return daemon.post(target, evidence or self.evidence, BUNDLE)


@pytest.fixture(scope="module")
def machine():
    need("openssl")
    made = Machine()
    yield made
    remove(made.dir)


@pytest.fixture(scope="module")
def server():
    postgres = Postgres()
    yield postgres
    postgres.stop(signal.SIGQUIT)  # at once: nobody wants its files any more
    postgres.close()


@pytest.fixture
def directory():
    path = pathlib.Path(tempfile.mkdtemp(prefix="atls-test.", dir="/tmp"))
    yield path
    remove(path)


def database(server):
    """A new one, empty."""
    if server.process.poll() is not None:  # a test that failed left it crashed
        server.start()
    name = "d" + os.urandom(8).hex()
    tool(server.programs / "createdb", "-h", server.dir, "-U", "atls", name)
    return server.uri.replace("/postgres?", f"/{name}?")


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def location(request, directory, machine):
    """A store on either engine, with anchors, keys and no manifest."""
    path = directory / "store.db" if request.param == "SQLite" else database(request.getfixturevalue("server"))
    return fill(path, machine)


def fill(path, machine):
    store("init", path)
    store("import", path, "--from-json", machine.all)
    return path


@contextlib.contextmanager
def running(*daemons, start=True):
    """They end well, or the test fails; or at least they end."""
    try:
        for daemon in daemons:
            if start:
                daemon.start()
        yield daemons[0] if len(daemons) == 1 else daemons
        for daemon in daemons:
            daemon.finish()
    finally:
        for daemon in daemons:
            daemon.kill()


# ---- what is on file ----

def listing(path):
    return [json.loads(line) for line in store("list", path, "--json").splitlines()]


def whole(path, machine):
    """Manifests on file, none of which is there by halves; the store is sound."""
    counts = collections.Counter(entry["manifest"] for entry in listing(path) if entry["kind"] == "reference")
    assert all(machine.counts[name] == count for name, count in counts.items()), counts
    exported = {entry["id"] for entry in json.loads(store("export", path)).get("manifests", [])}
    assert exported == set(counts)
    if not str(path).startswith("postgresql"):
        with contextlib.closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    return exported


def verified(daemon, tokens):
    """Statuses of results, each of which verifies with the keys that are published now."""
    keys, path = daemon.dir / "keys.json", daemon.dir / "ear.jwt"
    keys.write_bytes(daemon.get("/.well-known/jwks.json").body)
    statuses = []
    for token in tokens:
        path.write_text(token)
        result = json.loads(run("ear", "verify", "--key", keys, "--max-age", "120", "--json", path).stdout)
        assert result["verified"] is True
        statuses.append(status_of(result))
    return statuses


def target_of(answer):
    return "/challenge-response/v1/" + answer.headers["Location"]


# ---- killed in the middle ----

class Crowd:
    """Clients that provision and have evidence appraised until something breaks, and what they were told
    before. It breaks when so many requests of a kind were sent, or answered: moment is one of (kind, "sent",
    3) and (kind, "told", 3), and fatal what happens then."""

    def __init__(self, daemon, machine, names, moment, fatal):
        self.daemon, self.machine, self.moment, self.fatal = daemon, machine, moment, fatal
        self.provisioned, self.opened, self.results, self.surprises = set(), set(), {}, []
        self.counts, self.lock, self.over = collections.Counter(), threading.Lock(), threading.Event()
        self.breaking = False
        work = [(self.provision, names[0::2]), (self.provision, names[1::2]), (self.appraise,), (self.appraise,)]
        self.threads = [threading.Thread(target=self.run, args=each) for each in work]

    def run(self, work, *arguments):
        connection = self.daemon.connection()
        try:
            while not self.over.is_set():
                work(connection, *arguments)
        except (OSError, http.client.HTTPException):
            pass  # no answer, or none that ended
        except Exception as surprise:  # noqa: BLE001 what it was is the test's to show
            self.surprises.append(repr(surprise))
        finally:
            connection.close()

    def happened(self, kind, what):
        with self.lock:
            self.counts[kind, what] += 1
            now = (kind, what, self.counts[kind, what]) == self.moment
        if now:
            self.breaking = True  # before: others may be answered at once
            self.fatal()
            self.over.set()

    def ask(self, connection, kind, target, body=None, headers=None):
        connection.request("POST", target, body=body, headers=headers or {})
        self.happened(kind, "sent")
        response = connection.getresponse()
        answer = Answer(response, response.read())
        if answer.status == 503 and self.breaking:
            raise ConnectionError("the database is gone")
        return answer

    def provision(self, connection, names):
        for name in names:
            answer = self.ask(connection, "provisioning", SUBMIT, self.machine.bodies[name],
                              {"Authorization": f"Bearer {TOKEN}", "Content-Type": self.machine.manifests.type()})
            assert answer.status == 200 and answer.json["status"] == "success", answer.body
            self.provisioned.add(name)
            self.happened("provisioning", "told")

    def appraise(self, connection):
        answer = self.ask(connection, "session", self.machine.new)
        assert answer.status == 201, answer.body
        target = target_of(answer)
        self.opened.add(target)
        answer = self.ask(connection, "appraisal", target, self.machine.evidence, {"Content-Type": BUNDLE})
        assert answer.status == 200 and answer.json["status"] == "complete", answer.body
        self.results[target] = answer.json["result"]
        self.happened("appraisal", "told")

    def work(self, end):
        """Until it breaks; end returns when it has."""
        for thread in self.threads:
            thread.start()
        try:
            end()
        finally:
            self.over.set()
            for thread in self.threads:
                thread.join(TIMEOUT)
        assert not self.surprises, self.surprises


def check_acknowledged(crowd, path, sessions_stay):
    """The service runs again: what the clients were told holds, and what they try again succeeds."""
    daemon, machine = crowd.daemon, crowd.machine
    assert crowd.provisioned <= whole(path, machine)
    assert len(verified(daemon, crowd.results.values())) == len(crowd.results)
    for target in crowd.opened:
        answer = daemon.get(target)
        if not sessions_stay:
            is_problem(answer, 404)
            is_problem(daemon.post(target, machine.evidence, BUNDLE), 404)
            continue
        assert answer.status == 200, answer.body
        if target in crowd.results:
            assert answer.json["result"] == crowd.results[target]
        elif answer.json["status"] == "waiting":
            answer = daemon.post(target, machine.evidence, BUNDLE)
        assert answer.status == 200 and answer.json["status"] == "complete", answer.body
    again = machine.appraise(daemon)
    assert again.status == 200, again.body
    if "machine" in crowd.provisioned:
        assert verified(daemon, [again.json["result"]]) == ["affirming"]


def check_retried(daemon, machine, path, names):
    for name in names:
        answer = submit(daemon, machine.manifests, machine.bodies[name])
        assert answer.status == 200, answer.body
    assert whole(path, machine) >= set(names)


@pytest.mark.parametrize("moments", [
    [("provisioning", "sent", 1), ("provisioning", "told", 2), ("provisioning", "sent", 5)],
    [("appraisal", "sent", 1), ("appraisal", "told", 1), ("appraisal", "sent", 7)],
], ids=["provisioning", "appraisal"])
def test_killed_in_the_middle(location, machine, directory, moments):
    daemon = machine.daemon(directory, location)
    with running(daemon, start=False):
        for i, moment in enumerate(moments):
            names = (["machine"] if i == 1 else []) + NAMES[i * 6:i * 6 + 6]
            daemon.start()
            crowd = Crowd(daemon, machine, names, moment, lambda: os.kill(daemon.process.pid, signal.SIGKILL))
            crowd.work(lambda: daemon.process.wait(TIMEOUT))
            daemon.start()
            check_acknowledged(crowd, location, sessions_stay=str(location).startswith("postgresql"))
            check_retried(daemon, machine, location, names)
            daemon.finish()


def recovered(daemon, machine):
    """For a moment the daemon may still know of the database that it is away."""
    answer = daemon.post(machine.new)
    if answer.status != 201:
        is_problem(answer, 503)
        return False
    return daemon.post(target_of(answer), machine.evidence, BUNDLE).status == 200


@pytest.mark.parametrize("moment", [("provisioning", "sent", 4), ("appraisal", "told", 3)], ids=lambda m: m[0])
def test_the_database_crashes_in_the_middle(server, machine, directory, moment):
    """Without a restart of the daemon. Sessions are not kept over a crash of the database."""
    path = fill(database(server), machine)
    with running(machine.daemon(directory, path)) as daemon:
        names = ["machine", *NAMES[:5]]
        crowd = Crowd(daemon, machine, names, moment, lambda: server.process.send_signal(signal.SIGQUIT))
        crowd.work(lambda: server.process.wait(TIMEOUT))
        server.start()
        wait_until("recovery", lambda: recovered(daemon, machine))
        check_acknowledged(crowd, path, sessions_stay=False)
        check_retried(daemon, machine, path, names)


def test_a_result_that_could_not_be_kept_is_made_again(server, machine, directory):
    """The database fails after the appraisal: the session goes on waiting."""
    path = fill(database(server), machine)

    def sql(text):
        tool(server.programs / "psql", "-q", "-v", "ON_ERROR_STOP=1", path, stdin=text.encode())
    with running(machine.daemon(directory, path)) as daemon:
        target = daemon.session(query=machine.new[len(NEW):])
        sql("SET search_path = atls; CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END $$;"
            " CREATE TRIGGER full_disk BEFORE UPDATE ON sessions FOR EACH ROW WHEN (NEW.result <> '')"
            " EXECUTE FUNCTION full_disk();")
        answer = daemon.post(target, machine.evidence, BUNDLE)
        is_problem(answer, 503)
        assert int(answer.headers["Retry-After"]) > 0
        assert daemon.get(target).json["status"] == "waiting"
        sql("DROP TRIGGER full_disk ON atls.sessions;")
        assert daemon.post(target, machine.evidence, BUNDLE).json["status"] == "complete"


# ---- two replicas ----

class Pair:
    """A client of two replicas, that asks the other one again, once, when one does not answer."""

    def __init__(self, *daemons):
        self.daemons, self.retries = daemons, 0

    def ask(self, work):
        first, second = random.sample(self.daemons, 2)
        try:
            answer = work(first)
            if answer.status < 500:
                return answer
        except (OSError, http.client.HTTPException):
            pass
        self.retries += 1
        return work(second)


def test_a_replica_is_killed_under_load(server, machine, directory):
    path = fill(database(server), machine)
    a, b = (machine.daemon(directory / name, path) for name in "ab")
    provisioned, opened, results, lock = set(), set(), {}, threading.Lock()

    def work(state):
        pair = state.setdefault("pair", Pair(a, b))
        with lock:
            name = [*NAMES, "machine"][len(provisioned) % (len(NAMES) + 1)]
        assert pair.ask(lambda daemon: submit(daemon, machine.manifests, machine.bodies[name])).status == 200
        with lock:
            provisioned.add(name)
        answer = pair.ask(lambda daemon: daemon.post(machine.new))
        assert answer.status == 201, answer.body
        target = target_of(answer)
        opened.add(target)
        answer = pair.ask(lambda daemon: daemon.post(target, machine.evidence, BUNDLE))
        if answer.status == 409:  # its answer got lost with the replica, the result did not
            answer = pair.ask(lambda daemon: daemon.get(target))
        assert answer.status == 200 and answer.json["status"] == "complete", answer.body
        results[target] = answer.json["result"]
    with running(a, b):
        with Load(4, work) as load:
            load.wait(4)
            waiting = a.session(query=machine.new[len(NEW):])
            os.kill(a.process.pid, signal.SIGKILL)
            a.process.wait(TIMEOUT)
            load.wait(12)
        assert not load.failures, load.failures[:3]
        assert provisioned <= whole(path, machine)
        for target in opened:
            assert b.get(target).json["result"] == results[target]
        assert b.post(waiting, machine.evidence, BUNDLE).json["status"] == "complete"
        verified(b, list(results.values())[:10])


# ---- a full disk ----

class FileLimit:
    """No file of the daemon may grow."""

    def __init__(self, directory):
        self.dir, self.daemon = directory, None

    def fill(self):
        hard = resource.prlimit(self.daemon.process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(self.daemon.process.pid, resource.RLIMIT_FSIZE, (65536, hard))

    def make_room(self):
        hard = resource.prlimit(self.daemon.process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(self.daemon.process.pid, resource.RLIMIT_FSIZE, (hard, hard))

    def restart(self):
        """The limit goes with the process."""

    def close(self):
        pass


class SmallDisk:
    """A file system of its own, which is full when a test says so."""

    def __init__(self, directory):
        self.dir = directory / "disk"
        self.dir.mkdir()
        tool("mount", "-t", "tmpfs", "-o", "size=2m", "none", self.dir)

    def fill(self):
        with contextlib.suppress(OSError), (self.dir / "filling").open("wb", buffering=0) as f:
            while True:
                f.write(b"\0" * 4096)

    def make_room(self):
        (self.dir / "filling").unlink()

    def restart(self):
        self.daemon.kill()
        self.daemon.start(ready=False)
        answer = self.daemon.post(NEW)
        assert answer.status in (201, 503), answer.body

    def close(self):
        tool("umount", "--lazy", self.dir)


def may_mount():
    with tempfile.TemporaryDirectory() as path:
        if os.getuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "none", path], capture_output=True, check=False).returncode:
            return False
        return subprocess.run(["umount", path], check=False).returncode == 0


@pytest.fixture(params=[FileLimit] + ([SmallDisk] if may_mount() else []), ids=lambda kind: kind.__name__)
def disk(request, directory):
    made = request.param(directory)
    yield made
    made.close()


def test_a_full_disk(disk, directory, machine):
    """Nothing comes in; what is there is appraised with."""
    path = fill(disk.dir / "store.db", machine)
    with running(machine.daemon(directory, path)) as daemon:
        disk.daemon = daemon
        check_retried(daemon, machine, path, ["machine", *NAMES[:3]])
        disk.fill()
        refused = [name for name in NAMES[3:9] if submit(daemon, machine.manifests, machine.bodies[name]).status != 200]
        assert refused
        for name in refused:
            answer = submit(daemon, machine.manifests, machine.bodies[name])
            is_problem(answer, 503)
            assert int(answer.headers["Retry-After"]) > 0
            assert verified(daemon, [machine.appraise(daemon).json["result"]]) == ["affirming"]
        assert daemon.get("/readyz").status == 200
        disk.restart()
        disk.make_room()
        wait_until("readiness", lambda: daemon.get("/readyz").status == 200)
        check_retried(daemon, machine, path, refused)
        assert whole(path, machine) == {"machine", *NAMES[:9]}


# ---- what is refused ----

TWO_TENANTS = """
    listeners:
      - address: 127.0.0.1:0
    tenants:
      - name: one
        store: {one}
        sessions: {ttl: 1h}
        provisioning:
          anchors: ["{dir}/ca.pem"]
          bearer-tokens: [{name: ci, file: "{dir}/token"}]
      - name: two
        prefix: /two
        store: {two}
        sessions: {ttl: 1s}
        evidence: {allow-insecure-technology: true}
    limits: {rate: 0}
    drain-delay: 0
    """


def two_tenants(directory, one, two, machine):
    daemon = machine.daemon(directory, one)
    daemon.write(TWO_TENANTS.replace("{one}", str(one)).replace("{two}", str(two)))
    return daemon


def test_sessions_that_are_over_or_of_somebody_else(location, directory, machine, request):
    other = directory / "two.db" if location == directory / "store.db" else database(request.getfixturevalue("server"))
    with running(two_tenants(directory, location, fill(other, machine), machine)) as daemon:
        target = daemon.session(query=machine.new[len(NEW):])
        for method in ("GET", "DELETE"):
            is_problem(daemon.ask(method, "/two" + target), 404)
        assert "session" in is_problem(daemon.post("/two" + target, machine.evidence, BUNDLE), 404)["detail"]
        assert daemon.get(target).json["status"] == "waiting"
        done = daemon.post(target, machine.evidence, BUNDLE)
        assert done.json["status"] == "complete"
        for body in (machine.evidence, machine.evidence[:-1]):
            assert "given already" in is_problem(daemon.post(target, body, BUNDLE), 409)["detail"]
        assert daemon.get(target).json == done.json
        short = daemon.session("/two", machine.new[len(NEW):])
        wait_until("the end of the session", lambda: daemon.get(short).status == 404)
        assert "expired" in is_problem(daemon.post(short, machine.evidence, BUNDLE), 404)["detail"]
        assert len(daemon.events("appraisal")) == 1


def with_part(manifest, other):
    """The manifest with the CoMID of another beside its own."""
    def part(data):
        at = data.index(b"\x01\x81\xd9\x01\xfa\x59") + 2
        return at, at + 6 + int.from_bytes(data[at + 4:at + 6], "big")
    (start, end), (other_start, other_end) = part(manifest), part(other)
    return manifest[:start - 1] + b"\x82" + manifest[start:end] + other[other_start:other_end] + manifest[end:]


def last_digest_broken(manifest):
    """SHA-384 with the 32 bytes of SHA-256."""
    head, digest, tail = manifest.rpartition(b"\x82\x01\x58\x20")
    assert digest
    return head + b"\x82\x07\x58\x20" + tail


def public_key(directory):
    path = directory / "some.key"
    tool("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)
    return tool("openssl", "pkey", "-in", path, "-pubout").decode()


def test_manifests_of_which_one_part_is_bad(location, directory, machine):
    """The whole manifest is refused, and the good ones before and after it are not."""
    def bare(name, **more):
        machine.signed(name, **more)
        return (machine.manifests.dir / f"{name}.cbor").read_bytes()

    def keys(*instances):
        return [{"instance": "01" + instance * 32, "key": public_key(directory)} for instance in instances]
    good = {name: bare(name) for name in ("g1", "g2", "g3", "g4")}
    known = bare("known", **{"attest-keys": keys("aa")})
    bad = [
        (400, last_digest_broken(bare("b1"))),
        (400, with_part(bare("b2"), last_digest_broken(bare("b3")))),
        (409, bare("b4", **{"attest-keys": keys("bb", "aa")})),
        (409, with_part(bare("b5"), bare("b6", **{"attest-keys": keys("aa")}))),
    ]
    with running(machine.daemon(directory, location, unsigned="true")) as daemon:
        assert submit(daemon, machine.manifests, known, "cbor").status == 200
        for (status, body), name in zip(bad, good, strict=True):
            before = store("export", location)
            problem = is_problem(submit(daemon, machine.manifests, body, "cbor"), status)
            assert ": " in problem["detail"], problem  # place: rule
            assert store("export", location) == before
            assert submit(daemon, machine.manifests, good[name], "cbor").status == 200
        # What is bad is one of its parts: the same with a good one comes in.
        both = with_part(bare("b2"), bare("b3"))
        assert submit(daemon, machine.manifests, both, "cbor").status == 200
        exported = {entry["id"] for entry in json.loads(store("export", location))["manifests"]}
        assert exported == {"known", "b2", *good}


def test_manifests_of_nobody_and_of_a_stranger(location, directory, machine):
    bare = (machine.manifests.dir / "m1.cbor").read_bytes()
    signed = machine.bodies["m0"]
    problems = [
        (bare, "cbor", "unsigned"), (bare, "cose", "sign"),
        (machine.signed("foreign", ca="foreign"), "cose", "issue"),
        (signed[:-1] + bytes([signed[-1] ^ 1]), "cose", "signature"),
    ]
    with running(machine.daemon(directory, location)) as daemon:
        check_retried(daemon, machine, location, ["m0"])
        before = store("export", location)
        for body, kind, word in problems:
            problem = is_problem(submit(daemon, machine.manifests, body, kind), 403)
            assert word in problem["detail"] and ": " in problem["detail"], problem
        is_problem(submit(daemon, machine.manifests, machine.bodies["m1"], token=TOKEN[:-1]), 401)
        is_problem(submit(daemon, machine.manifests, machine.bodies["m1"], token=None), 401)
        assert store("export", location) == before
        check_retried(daemon, machine, location, ["m1"])


# ---- floods ----

def with_limits(daemon, limits, sessions=""):
    text = daemon.config.read_text().replace("limits: {rate: 0}", f"limits: {{{limits}}}")
    daemon.config.write_text(text.replace("evidence:", f"sessions: {{{sessions}}}\n    evidence:"))
    return daemon


def test_a_flood_of_sessions(location, directory, machine):
    """So many may be open, and no more; with evidence or without, they take memory that is bounded."""
    daemon = with_limits(machine.daemon(directory, location), "rate: 0", "max: 40")
    statuses = collections.Counter()

    def work(state):
        connection = state.setdefault("connection", daemon.connection())
        answer = daemon.post(machine.new, connection=connection)
        statuses[answer.status] += 1
        if answer.status == 201:
            assert daemon.post(target_of(answer), machine.evidence, BUNDLE, connection=connection).status == 200
        else:
            is_problem(answer, 503)
            assert int(answer.headers["Retry-After"]) > 0
    with running(daemon):
        with Load(4, work) as load:
            load.wait(200)
            before = daemon.rss()
            load.wait(1000)
            after = daemon.rss()
        assert not load.failures, load.failures[:3]
        assert statuses[201] == 40 and set(statuses) == {201, 503}
        assert after < before + 8 * MIB, (before, after)


def test_a_flood_of_bodies(location, directory, machine):
    """Fifty bodies of 1 MB at once, on fifty connections: each gets its answer in the end."""
    daemon = with_limits(machine.daemon(directory, location), "rate: 0, bodies: 8MiB, request-timeout: 60s")
    head = (f"POST {SUBMIT} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n"
            f"Content-Type: {machine.manifests.type()}\r\nContent-Length: {MIB}\r\n\r\n").encode()
    with running(daemon), contextlib.ExitStack() as stack:
        before = daemon.rss()
        sockets = [stack.enter_context(socket.create_connection(("127.0.0.1", daemon.ports[0]), timeout=TIMEOUT))
                   for _ in range(50)]
        first, others = sockets[:8], sockets[8:]
        for s in first:
            s.sendall(head + b"x" * (MIB - 1))
        wait_until("the bodies", lambda: daemon.metric("atls_verifierd_bodies_bytes") == 8 * MIB)
        for s in others:
            s.sendall(head + b"x" * MIB)
        for s in others:
            answer = read_all(s)
            assert answer.startswith(b"HTTP/1.1 503 ") and b"Retry-After" in answer, answer
        assert daemon.metric("atls_verifierd_bodies_bytes") == 8 * MIB
        assert daemon.rss() < before + 32 * MIB, (before, daemon.rss())
        # What has no body is served, and what has one is told to come again.
        target = daemon.session(query=machine.new[len(NEW):])
        answer = daemon.post(target, machine.evidence, BUNDLE)
        is_problem(answer, 503)
        assert int(answer.headers["Retry-After"]) > 0
        is_problem(submit(daemon, machine.manifests, b"x" * (MIB + 1)), 413)
        for s in first:
            s.sendall(b"x")
            assert read_all(s).startswith(b"HTTP/1.1 400 ")
        wait_until("the memory back", lambda: daemon.metric("atls_verifierd_bodies_bytes") == 0)
        assert daemon.post(target, machine.evidence, BUNDLE).status == 200
        check_retried(daemon, machine, location, ["m0"])


def test_more_requests_than_one_client_may_send(location, directory, machine):
    daemon = with_limits(machine.daemon(directory, location), "rate: 1, burst: 4")
    with running(daemon, start=False):
        daemon.start(ready=False)
        statuses = collections.Counter()

        def refused():
            answer = daemon.post(machine.new)
            statuses[answer.status] += 1
            return answer.status == 429 and answer
        answer = wait_until("a refusal", refused)
        is_problem(answer, 429)
        assert int(answer.headers["Retry-After"]) >= 1
        assert statuses[201] >= 1 and set(statuses) == {201, 429}
        wait_until("its turn", lambda: daemon.post(machine.new).status == 201)
