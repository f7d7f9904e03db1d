"""atls-verifierd with real evidence, real manifests and real stores: SQLite, and PostgreSQL under two
replicas. What was acknowledged survives SIGKILL; a database that is locked or gone gives 503, and
what comes back works again by itself."""
import base64
import glob
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading

import pytest

from conftest import CLASS, need, run, tool, wait_until
from verifierd import DAEMON, NEW, TOKEN, Load, Verifierd, is_problem, remove

BUNDLE = "application/cmw+cbor"
CONFIG = """
    listeners:
      - address: 127.0.0.1:0
    tenants:
      - name: one
        store: "STORE"
        evidence: {allow-insecure-technology: true}
        provisioning:
          anchors: ["{dir}/ca.pem"]
          allow-unsigned: UNSIGNED
          bearer-tokens: [{name: ci, file: "{dir}/token"}]
    limits: {rate: 0}
    drain-delay: 0
    """


def store(verb, location, *arguments):
    return run("store", verb, "--store", location, *arguments).stdout.decode()


def new_key(location, use_from=1):
    return store("key", location, "--use-from", use_from, "new").strip()


def new_store(location, directory):
    """One with a key and an anchor: all that a verifier needs to begin."""
    store("init", location)
    new_key(location)
    store("import", location, "--anchor", "ak", directory / "ca.pem")


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def daemon_over(directory, store, unsigned="false"):
    daemon = Verifierd(directory, DAEMON)
    daemon.token()
    daemon.write(CONFIG.replace("STORE", str(store)).replace("UNSIGNED", unsigned))
    return daemon


class Manifests:
    """Manifests of a class of machines, signed by somebody below the authority of the directory."""

    def __init__(self, directory):
        self.dir = pathlib.Path(directory)
        daemon = Verifierd(directory)
        daemon.authority()
        daemon.authority("foreign")
        self.signers = {ca: self.signer(f"signer-{ca}", ca) for ca in ("ca", "foreign")}
        self.profile = json.loads(run("corim", "show", "--json", self.make("profile")).stdout).get("profile")

    def signer(self, name, ca):
        key, request, out, extensions = (self.dir / f"{name}.{kind}" for kind in ("key", "csr", "pem", "ext"))
        extensions.write_text("basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n")
        tool("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out",
             request, "-subj", f"/CN={name}")
        tool("openssl", "x509", "-req", "-in", request, "-CA", self.dir / f"{ca}.pem", "-CAkey", self.dir / f"{ca}.key",
             "-CAcreateserial", "-days", "10", "-extfile", extensions, "-out", out)
        return key, out

    def make(self, name, digest="11" * 32, **more):
        template, out = self.dir / f"{name}.json", self.dir / f"{name}.cbor"
        template.write_text(json.dumps({"id": name, "tag-id": f"{name}-tag", "class": CLASS,
                                        "reference-values": {"sha256": {"0": digest}}, **more}))
        run("corim", "create", "--template", template, "--out", out)
        return out

    def signed(self, name, ca="ca", **more):
        key, certificate = self.signers[ca]
        out = self.dir / f"{name}.signed"
        run("corim", "sign", "--key", key, "--chain", certificate, "--signer", "Example", "--out", out,
            self.make(name, **more))
        return out.read_bytes()

    def type(self, kind="cose"):
        return f'application/rim+{kind}; profile="{self.profile}"'


@pytest.fixture
def manifests():
    need("openssl")
    directory = tempfile.mkdtemp(prefix="atls-test.", dir="/tmp")
    try:
        yield Manifests(directory)
    finally:
        remove(directory)


@pytest.fixture
def daemon(manifests):
    path = manifests.dir / "store.db"
    new_store(path, manifests.dir)
    made = daemon_over(manifests.dir, path)
    made.store = path
    try:
        yield made
        made.finish()
    finally:
        made.kill()


def submit(daemon, manifests, body, kind="cose", **options):
    return daemon.submit(body, type=manifests.type(kind), **options)


def ids(location):
    """Manifests on file."""
    return {entry["id"] for entry in json.loads(store("export", location)).get("manifests", [])}


# ---- evidence ----

class World:
    """A laboratory with a TPM that is enrolled, and the daemon over its store."""

    def __init__(self, lab):
        self.lab = lab
        self.tpm = lab.tpm()
        lab.enrol(self.tpm)
        self.kid = new_key(lab.store)
        self.daemon = daemon_over(lab.dir, lab.store)

    def evidence(self, nonce):
        out = self.tpm.dir / "evidence.cbor"
        run("evidence", "--attester", self.tpm.uri, "--binder", nonce.hex(), "--out", out)
        return out.read_bytes()

    def result(self, token):
        keys, path = self.lab.dir / "keys.json", self.lab.dir / "ear.jwt"
        keys.write_bytes(self.daemon.get("/.well-known/jwks.json").body)
        path.write_text(token)
        return json.loads(run("ear", "verify", "--key", keys, "--max-age", "60", "--json", path).stdout)


@pytest.fixture
def world(lab):
    made = World(lab)
    try:
        made.daemon.start()
        yield made
        made.daemon.finish()
    finally:
        made.daemon.kill()


def status_of(result):
    claims = result["claims"]
    return claims.get("ear_status") or next(iter(claims["submods"].values()))["ear_status"]


def test_background_check_of_a_tpm(world):
    nonce = os.urandom(32)
    answer = world.daemon.post(f"{NEW}?nonce={b64(nonce)}")
    assert base64.b64decode(answer.json["nonce"]) == nonce and any(BUNDLE in t for t in answer.json["accept"])
    target = "/challenge-response/v1/" + answer.headers["Location"]
    done = world.daemon.post(target, world.evidence(nonce), BUNDLE)
    assert done.status == 200 and done.json["status"] == "complete", done.body
    result = world.result(done.json["result"])
    assert result["verified"] is True and result["header"]["kid"] == world.kid
    assert status_of(result) == "affirming", result
    line = world.daemon.events("appraisal")[0]
    assert line["status"] == "affirming" and line["submod"] == "TPM" and line["kid"] == world.kid
    assert line["genuine"] == "yes" and len(line["instance"]) == 66
    independent_check(world.daemon, done.json["result"])


def independent_check(daemon, token):
    """The signature, by another implementation of ES256, with the key of the discovery document."""
    pytest.importorskip("cryptography")
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils
    jwk = daemon.get("/.well-known/veraison/verification").json["ear-verification-key"]
    x, y = (int.from_bytes(unb64(jwk[name]), "big") for name in "xy")
    signed, signature = token.rsplit(".", 1)
    r, s = (int.from_bytes(part, "big") for part in (unb64(signature)[:32], unb64(signature)[32:]))
    ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key().verify(
        utils.encode_dss_signature(r, s), signed.encode(), ec.ECDSA(hashes.SHA256()))


def test_nonces_of_the_server_and_what_does_not_answer_them(world):
    answer = world.daemon.post(NEW)
    nonce = base64.b64decode(answer.json["nonce"])
    assert len(nonce) == 48
    target = "/challenge-response/v1/" + answer.headers["Location"]
    good = world.evidence(nonce)
    # What is no evidence at all is refused, and the session goes on waiting.
    for body in (b"x", good[:-1], good + b"\0", b"\x80"):
        is_problem(world.daemon.post(target, body, BUNDLE), 400)
        assert world.daemon.get(target).json["status"] == "waiting"
    is_problem(world.daemon.post(target, good, "application/json"), 415)
    assert status_of(world.result(world.daemon.post(target, good, BUNDLE).json["result"])) == "affirming"
    # Evidence for another session is a result as well, and not a good one.
    other = world.daemon.post(world.daemon.session(), good, BUNDLE)
    assert other.status == 200
    assert status_of(world.result(other.json["result"])) == "contraindicated"
    line = world.daemon.events("appraisal")[-1]
    assert line["reason"] == "nonce-mismatch" and line["explanation"] and line["genuine"] == "no"
    world.tpm.extend(7)
    answer = world.daemon.post(NEW)
    changed = world.daemon.post("/challenge-response/v1/" + answer.headers["Location"],
                                world.evidence(base64.b64decode(answer.json["nonce"])), BUNDLE)
    assert status_of(world.result(changed.json["result"])) != "affirming"
    assert "PCR 7" in world.daemon.events("appraisal")[-1]["explanation"]


def test_keys_rotate_without_a_reload(world):
    second = new_key(world.lab.store, "+0")

    def keys():
        return [key["kid"] for key in world.daemon.get("/.well-known/jwks.json").json["keys"]]
    wait_until("both keys", lambda: keys() == [second, world.kid])
    answer = world.daemon.post(NEW)
    done = world.daemon.post("/challenge-response/v1/" + answer.headers["Location"],
                             world.evidence(base64.b64decode(answer.json["nonce"])), BUNDLE)
    assert world.result(done.json["result"])["header"]["kid"] == second


# ---- manifests ----

def test_manifests_come_in_whole_or_not_at_all(daemon, manifests):
    daemon.start()
    good = manifests.signed("good")
    assert submit(daemon, manifests, good).json["status"] == "success"
    assert ids(daemon.store) == {"good"}
    again = submit(daemon, manifests, good)
    assert again.status == 200 and again.json["status"] == "success"
    before = store("export", daemon.store)
    problems = [
        (400, b"", "cose"), (400, b"x", "cose"), (400, good[:-1], "cose"), (400, good + b"\0", "cose"),
        (403, manifests.signed("other", ca="foreign"), "cose"), (403, manifests.make("bare").read_bytes(), "cose"),
        (403, manifests.make("unsigned").read_bytes(), "cbor"),
        (403, bytes(good[:-1]) + bytes([good[-1] ^ 1]), "cose"),
    ]
    for status, body, kind in problems:
        answer = submit(daemon, manifests, body, kind)
        assert answer.status == status, (status, kind, answer.status, answer.body)
        is_problem(answer, status)
    is_problem(daemon.submit(good, type='application/rim+cose; profile="tag:example.com,2026:another"'), 422)
    for cut in range(1, len(good), 37):
        assert submit(daemon, manifests, good[:cut]).status in (400, 403)
    assert store("export", daemon.store) == before
    assert daemon.metric('atls_verifierd_provisioning_total{tenant="one",outcome="success"}') == 2


def test_unsigned_manifests_where_they_are_allowed(manifests):
    path = manifests.dir / "unsigned.db"
    new_store(path, manifests.dir)
    made = daemon_over(manifests.dir, path, unsigned="true")
    try:
        made.start(ready=False)
        body = manifests.make("bare").read_bytes()
        assert submit(made, manifests, body, "cbor").status == 200
        is_problem(submit(made, manifests, manifests.signed("s"), "cbor"), 400)
        is_problem(submit(made, manifests, manifests.make("b2").read_bytes(), "cose"), 403)
        assert ids(path) == {"bare"}
    finally:
        made.kill()


def test_a_store_that_gets_its_keys_later(manifests):
    """Empty at first: not ready, no sessions; no restart is needed when the key comes."""
    path = manifests.dir / "empty.db"
    store("init", path)
    made = daemon_over(manifests.dir, path)
    try:
        assert made.check().returncode == 1
        made.start(ready=False)
        lines = made.log.read_text().splitlines()
        assert "not ready" in lines[0] and all(line.startswith("{") for line in lines)
        assert made.get("/readyz").status == 503
        is_problem(made.post(NEW), 503)
        new_key(path)
        store("import", path, "--anchor", "ak", manifests.dir / "ca.pem")
        submit(made, manifests, manifests.signed("first"))
        wait_until("readiness", lambda: made.get("/readyz").status == 200)
        made.session()
        assert made.check().returncode == 0
    finally:
        made.kill()


def test_a_locked_store_gives_503_and_recovers(daemon, manifests):
    daemon.start()
    first = manifests.signed("first")
    other = sqlite3.connect(daemon.store, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answer = submit(daemon, manifests, first)
    is_problem(answer, 503)
    assert int(answer.headers["Retry-After"]) > 0
    other.execute("ROLLBACK")
    other.close()
    assert submit(daemon, manifests, first).status == 200
    assert ids(daemon.store) == {"first"}


def provision_until_killed(daemon, manifests, bodies, kill):
    """Submits one after the other; what was acknowledged, by name."""
    done, lock = [], threading.Lock()

    def work(names):
        for name in names:
            try:
                if submit(daemon, manifests, bodies[name]).status == 200:
                    with lock:
                        done.append(name)
            except OSError:
                return
            except Exception:  # noqa: BLE001 an answer that was cut off is none
                return
    names = list(bodies)
    threads = [threading.Thread(target=work, args=(names[i::2],)) for i in range(2)]
    for thread in threads:
        thread.start()
    wait_until("some of them", lambda: len(done) >= kill)
    daemon.process.send_signal(signal.SIGKILL)
    daemon.process.wait(30)
    for thread in threads:
        thread.join(30)
    return set(done)


def test_killed_while_it_is_provisioned(daemon, manifests):
    bodies = {f"m{i}": manifests.signed(f"m{i}", digest=f"{i:02x}" * 32) for i in range(24)}
    for kill in (3, 8):
        daemon.start(ready=False)
        done = provision_until_killed(daemon, manifests, bodies, kill)
        assert done <= ids(daemon.store), done - ids(daemon.store)
    daemon.start(ready=False)
    for body in bodies.values():
        assert submit(daemon, manifests, body).status == 200
    assert ids(daemon.store) == set(bodies)


# ---- PostgreSQL ----

class Postgres:
    """A server of the test's own on a socket of its own; never as root."""

    def __init__(self):
        programs = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
        if not programs:
            pytest.skip("not installed: postgresql")
        self.programs = pathlib.Path(programs[-1]).parent
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="atls-pg.", dir="/tmp"))
        self.user = {}
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.dir, nobody.pw_uid, nobody.pw_gid)
            self.user = {"user": "nobody", "group": nobody.pw_gid}
        subprocess.run([self.programs / "initdb", "-D", self.dir / "data", "-U", "atls", "--auth=trust", "-N", "-E", "UTF8",
                        "--locale=C"], check=True, capture_output=True, timeout=120, cwd="/", **self.user)
        self.uri = f"postgresql://atls@/postgres?host={self.dir}"
        self.process = None
        self.start()

    def start(self):
        self.process = None

        def answers():
            # After a crash it gives up while processes of the old one are still there.
            if self.process is None or self.process.poll() is not None:
                self.process = subprocess.Popen(
                    [self.programs / "postgres", "-D", self.dir / "data", "-k", self.dir, "-h", "", "-F"],
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **self.user)
            return subprocess.run([self.programs / "pg_isready", "-h", self.dir], check=False,
                                  capture_output=True).returncode == 0

        wait_until("PostgreSQL", answers, 60)

    def stop(self, number=signal.SIGINT):
        self.process.send_signal(number)
        self.process.wait(60)

    def close(self):
        if self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


@pytest.fixture
def replicas(manifests):
    """Two daemons over one database."""
    postgres = Postgres()
    made = []
    try:
        new_store(postgres.uri, manifests.dir)
        for name in ("a", "b"):
            directory = manifests.dir / name
            directory.mkdir()
            shutil.copy(manifests.dir / "ca.pem", directory)
            made.append(daemon_over(directory, postgres.uri))
            made[-1].start()
        yield postgres, *made
        for daemon in made:
            daemon.finish()
    finally:
        for daemon in made:
            daemon.kill()
        postgres.close()


def test_replicas_share_sessions_and_keys(replicas, lab):
    postgres, a, b = replicas
    world = World(lab)
    store("export", lab.store, "--with-signing-keys", "--out", lab.dir / "all.json")
    store("import", postgres.uri, "--from-json", lab.dir / "all.json")
    nonce = os.urandom(32)
    target = a.session(query=f"?nonce={b64(nonce)}")
    assert b.get(target).json["status"] == "waiting"
    done = b.post(target, world.evidence(nonce), BUNDLE)
    assert done.status == 200 and done.json["status"] == "complete", done.body
    assert a.get(target).json == done.json
    is_problem(a.post(target, world.evidence(nonce), BUNDLE), 409)
    assert a.get("/.well-known/jwks.json").json == b.get("/.well-known/jwks.json").json
    world.daemon = a
    assert status_of(world.result(done.json["result"])) == "affirming"
    assert b.ask("DELETE", target).status == 204 and a.get(target).status == 404


def test_one_replica_is_killed_under_load(replicas, manifests):
    """Clients that try again, elsewhere, never see a failure; what was acknowledged is there."""
    postgres, a, b = replicas
    bodies = [manifests.signed(f"m{i}", digest=f"{i:02x}" * 32) for i in range(12)]
    acknowledged, lock = set(), threading.Lock()

    def with_retry(state, what):
        for attempt in range(4):
            daemon = (a, b)[(state["at"] + attempt) % 2]
            try:
                answer = what(daemon)
                if answer.status < 500:
                    return answer
            except OSError:
                pass
            except Exception:  # noqa: BLE001 an answer that was cut off
                pass
        raise AssertionError("no replica answers")

    def work(state):
        state["at"] = state.get("at", 0) + 1
        index = state["at"] % len(bodies)
        assert with_retry(state, lambda d: submit(d, manifests, bodies[index])).status == 200
        with lock:
            acknowledged.add(f"m{index}")
        opened = with_retry(state, lambda d: d.post(NEW))
        assert opened.status == 201
        target = "/challenge-response/v1/" + opened.headers["Location"]
        assert with_retry(state, lambda d: d.get(target)).json["status"] == "waiting"
    with Load(3, work) as load:
        load.wait(6)
        a.process.send_signal(signal.SIGKILL)
        load.wait(20)
    assert not load.failures, load.failures[:3]
    assert acknowledged <= ids(postgres.uri)


def test_a_database_that_is_gone_gives_503_and_recovers(replicas, manifests):
    postgres, a, _ = replicas
    body = manifests.signed("late")
    target = a.session()
    postgres.stop()
    for answer in (a.post(NEW), a.get(target), submit(a, manifests, body)):
        is_problem(answer, 503)
        assert int(answer.headers["Retry-After"]) > 0
    wait_until("not ready", lambda: a.get("/readyz").status == 503)
    assert a.get("/healthz").status == 200
    postgres.start()
    wait_until("readiness", lambda: a.get("/readyz").status == 200)
    assert a.get(target).json["status"] == "waiting"  # it went down in order
    assert submit(a, manifests, body).status == 200
    assert ids(postgres.uri) == {"late"}
    postgres.stop(signal.SIGKILL)
    is_problem(a.post(NEW), 503)
    subprocess.run(["rm", "-f", postgres.dir / "data" / "postmaster.pid"], check=True)
    postgres.start()
    wait_until("readiness", lambda: a.get("/readyz").status == 200)
    a.session()
    assert ids(postgres.uri) == {"late"}


def test_a_daemon_that_starts_before_its_database(replicas):
    postgres, a, _ = replicas
    postgres.stop()
    a.kill()
    a.start(ready=False)
    assert a.get("/readyz").status == 503
    is_problem(a.post(NEW), 503)
    postgres.start()
    wait_until("readiness", lambda: a.get("/readyz").status == 200)
    a.session()


@pytest.mark.parametrize("other", ["{dir}/./store.db", "{dir}/link.db"])
def test_one_store_under_two_names_is_refused(manifests, other):
    """Sessions and keys of one tenant would be those of the other."""
    path = manifests.dir / "store.db"
    new_store(path, manifests.dir)
    daemon = daemon_over(manifests.dir, path)
    assert daemon.check().returncode == 0
    (manifests.dir / "link.db").symlink_to(path)
    daemon.write(CONFIG.replace("STORE", str(path)).replace("UNSIGNED", "false").replace(
        "    limits:", f'      - {{name: two, prefix: /two, store: "{other}"}}\n    limits:'))
    done = daemon.check()
    assert done.returncode == 1 and b"tenant two: store is also that of tenant one" in done.stderr, done.stderr


def test_what_a_client_leaves_unsaid(daemon):
    """The token of a request that is cut off leaves no trace in log or answers."""
    daemon.start(ready=False)
    with socket.create_connection(("127.0.0.1", daemon.ports[0]), timeout=10) as s:
        s.sendall(f"POST /endorsement-provisioning/v1/submit HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {TOKEN}\r\n".encode())
    daemon.stop()
    assert TOKEN not in daemon.log.read_text()
