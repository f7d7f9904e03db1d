"""Who appraises, and who asks for it: the relying party by itself, the relying party by a service
(background check), the Attester by a service before there was a connection (passport). In each the
server attests, the client attests, or both do; then a PCR changes, the service goes and comes back, its
keys rotate, and an enrolment is taken back."""
import base64
import hashlib
import json
import os
import re
import subprocess
import urllib.parse

import pytest

from conftest import ATLS, REFUSED, UNKNOWN, YES, run, wait_until
from verifierd import DAEMON, Verifierd, curl

DATA = os.urandom(300_000)
TOPOLOGIES = ["local", "background", "passport"]
CONFIG = """
    listeners:
      - address: 127.0.0.1:PORT
        certificate: {dir}/service.pem
        key: {dir}/service.key
    tenants:
    TENANTS
    discovery-max-age: 1s
    drain-delay: 0
    """
TENANT = '  - {name: NAME, prefix: "PREFIX", store: {dir}/STORE, result: {lifetime: LIFETIME}}'


class Service(Verifierd):
    """atls-verifierd over https; the store of the laboratory without a prefix, and more tenants."""

    def __init__(self, lab):
        super().__init__(lab.dir, DAEMON)
        self.certificate("service", "/CN=service", purpose="serverAuth")
        self.authority("ak-maker")
        self.tenants, self.port = [], 0
        self.tenant("one", "", "store.db")

    def tenant(self, name, prefix, store, lifetime="1h"):
        """A store is ready with a key and an anchor."""
        new_key(self.dir / store)
        run("store", "import", "--store", self.dir / store, "--anchor", "ak", self.dir / "ak-maker.pem")
        self.tenants.append((name, prefix, store, lifetime))

    def up(self, lifetime=None):
        """Starts it, on the port that it had."""
        tenants = [TENANT.replace("NAME", name).replace("PREFIX", prefix).replace("STORE", store)
                   .replace("LIFETIME", lifetime or own) for name, prefix, store, own in self.tenants]
        self.write(CONFIG.replace("PORT", str(self.port)).replace("TENANTS", ("\n    ").join(tenants)))
        self.start(ready=False)
        self.port = self.ports[0]
        wait_until("readiness", lambda: self.get("/readyz", tls=self.tls()).status == 200)
        return self

    @property
    def url(self):
        return f"https://localhost:{self.port}"

    def appraisals(self):
        return self.events("appraisal")


def new_key(store, *options):
    return run("store", "key", "new", "--store", store, *options).stdout.decode().strip()


def write_keys(store, path):
    """The public keys of a store in a file, replaced as a whole."""
    following = path.with_suffix(".next")
    following.write_bytes(run("store", "key", "list", "--store", store).stdout)
    following.rename(path)
    return path


@pytest.fixture
def service(lab):
    service = Service(lab)
    try:
        yield service.up()
    finally:
        service.kill()


class Sides:
    """Options of the two sides under a topology."""

    def __init__(self, lab, service, topology):
        self.ca = ["--ca", lab.dir / "ca.pem"]
        self.judges = {"local": lab.verifier, "background": f"veraison:{service.url}",
                       "passport": f"passport:{service.url}"}[topology]
        self.shows = ["--passport-from", service.url, "--passport-only"] if topology == "passport" else []
        self.lab = lab

    def attests(self, attester):
        return [*attester, *self.shows]

    def verifies(self):
        return ["--verifier", self.judges]

    def serve(self, *options):
        return self.lab.serve(*self.lab.tls(), *self.ca, *options, "--json-log")

    def connect(self, server, *options, data=DATA, status=YES):
        """Exit status, what came back, and the lines of standard error."""
        return run("connect", f"localhost:{server.port}", *self.ca, "--json", *options, stdin=data, status=status)


def stop(server):
    """A software TPM serves one process at a time."""
    server.terminate()
    assert server.wait(20) == YES


def events(server, name=None):
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if name is None or line.get("event") == name]


def the_peer(done):
    return json.loads(done.stderr.splitlines()[0])


def moved(server):
    """Bytes of the application that crossed a connection, over all that ended."""
    return [(line["received"], line["sent"]) for line in events(server) if "received" in line]


def is_attested(peer, topology, name):
    """The members that --json and --json-log have of a peer that attested itself."""
    assert peer["attested"] is True and peer["evidence-type"] == "tpm" and peer["status"] == "affirming", peer
    assert peer["binding"] == ("key" if topology == "passport" else "connection"), peer
    assert peer["name"] == name and peer["insecure"] is False and peer["attestations"] == 1, peer
    assert re.fullmatch("01[0-9a-f]{64}", peer["instance"]), peer
    assert peer["result"]["verifier"] and 0 <= peer["result"]["age"] <= 60, peer
    if topology != "local":
        assert peer["result"]["expires-at"] - peer["result"]["issued-at"] == 3600, peer


@pytest.mark.parametrize("who", ["server", "client", "both"])
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_accepted_and_data_crosses(lab, service, topology, who):
    sides = Sides(lab, service, topology)
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
    seen = the_peer(done)
    wait_until("the end", lambda: events(server, "closed"))
    opened = events(server, "open")[0]
    assert moved(server) == [(len(DATA), len(DATA))]
    assert seen["self-attested"] is (who != "server") and opened["self-attested"] is (who != "client")
    if who == "client":
        assert seen["attested"] is False
    else:
        is_attested(seen, topology, "localhost")
    if who == "server":
        assert opened["attested"] is False
    else:
        is_attested(opened, topology, "client.example")
    count = {"local": 0}.get(topology, 2 if who == "both" else 1)
    assert len(service.appraisals()) == count, service.log.read_text()
    assert all(line["status"] == "affirming" for line in service.appraisals())


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_an_unattested_client_is_refused(lab, service, topology):
    sides = Sides(lab, service, topology)
    server = sides.serve("--require-peer", *sides.verifies(), *sides.attests(lab.enrol(lab.tpm())), "--echo")
    assert sides.connect(server, *sides.verifies(), status=REFUSED).stdout == b""
    wait_until("the refusal", lambda: events(server, "refused"))
    assert moved(server) == [(0, 0)]


@pytest.mark.parametrize("topology", ["local", "background"])
def test_a_changed_pcr_is_refused(lab, service, topology):
    sides, tpm = Sides(lab, service, topology), lab.tpm()
    server = sides.serve(*sides.attests(lab.enrol(tpm)), "--echo")
    assert sides.connect(server, *sides.verifies()).stdout == DATA
    tpm.extend(7)
    done = sides.connect(server, *sides.verifies(), status=REFUSED)
    assert b"refused" in done.stderr and b"PCR 7" in done.stderr, done.stderr
    assert done.stdout == b""
    wait_until("the refusal", lambda: len(moved(server)) == 2)
    assert moved(server)[1] == (0, 0)
    # The same of a client, whose server says what the verifier found.
    other = lab.tpm("two")
    client = lab.enrol(other, "client.example")
    server = sides.serve("--require-peer", *sides.verifies(), "--echo")
    other.extend(4)
    done = sides.connect(server, "--unattested-server", *client, status=REFUSED)
    assert done.stdout == b""
    refused = wait_until("the refusal", lambda: events(server, "refused"))[0]
    assert "PCR 4" in refused["message"] and (refused["received"], refused["sent"]) == (0, 0)


def test_a_changed_pcr_ends_with_the_passport(lab, service):
    """Its holder gets no new one; the one in stock counts until it ends, and never as a fresh one."""
    service.stop()
    service.up(lifetime="15s")
    sides, tpm = Sides(lab, service, "passport"), lab.tpm()
    server = sides.serve(*sides.attests(lab.enrol(tpm)), "--echo")
    pinned = write_keys(lab.store, lab.dir / "keys.jwks")
    judge = ["--verifier", f"passport:{pinned}"]
    assert sides.connect(server, *judge).stdout == DATA
    tpm.extend(7)
    seen = sides.connect(server, *judge)
    assert seen.stdout == DATA and the_peer(seen)["binding"] == "key"
    assert the_peer(seen)["result"]["expires-at"] - the_peer(seen)["result"]["issued-at"] == 15
    done = sides.connect(server, *judge, "--fresh-result", status=REFUSED)
    assert done.stdout == b"" and service.appraisals()[-1]["status"] != "affirming"
    assert "PCR 7" in service.appraisals()[-1]["explanation"]

    def ended():
        done = subprocess.run([ATLS, "connect", f"localhost:{server.port}", *map(str, [*sides.ca, *judge])], input=DATA,
                              capture_output=True, timeout=60, check=False)
        assert done.returncode in (YES, REFUSED), done.stderr
        return done.returncode == REFUSED and done
    assert wait_until("the end of the result", ended, 60).stdout == b""


def test_the_service_goes_and_comes_back(lab, service):
    attester = lab.enrol(lab.tpm())
    pinned = write_keys(lab.store, lab.dir / "keys.jwks")
    sides = Sides(lab, service, "background")
    server = sides.serve(*attester, "--passport-from", service.url, "--echo")
    ask, stock = sides.verifies(), ["--verifier", f"passport:{pinned}"]
    assert sides.connect(server, *ask).stdout == DATA
    assert sides.connect(server, *stock).stdout == DATA

    service.stop()
    done = sides.connect(server, *ask, status=UNKNOWN)
    assert done.stdout == b"" and b"localhost" in done.stderr, done.stderr
    wait_until("the end", lambda: len(moved(server)) == 3)
    assert moved(server)[2] == (0, 0)
    assert sides.connect(server, *stock).stdout == DATA
    assert sides.connect(server, *stock, "--fresh-result", status=REFUSED).stdout == b""

    service.up()
    assert sides.connect(server, *ask).stdout == DATA
    assert sides.connect(server, *stock, "--fresh-result").stdout == DATA
    assert sides.connect(server, "--verifier", f"passport:{service.url}").stdout == DATA


def test_keys_rotate_while_all_goes_on(lab, service):
    attester = lab.enrol(lab.tpm())
    sides = Sides(lab, service, "background")
    server = sides.serve(*attester, "--passport-from", service.url, "--echo")
    pinned = write_keys(lab.store, lab.dir / "keys.jwks")
    named, discovered = (["--verifier", f"passport:{keys}"] for keys in (pinned, service.url))
    ask = [*sides.verifies(), "--result-keys", pinned]
    first = service.appraisals()[0]["kid"]
    assert sides.connect(server, *named).stdout == DATA

    # Published for longer than discovery may be cached before it signs; nobody meets a failure.
    second = new_key(lab.store, "--use-from", "+3")
    write_keys(lab.store, pinned)

    def changed_over():
        assert sides.connect(server, *ask).stdout == DATA
        assert sides.connect(server, *sides.verifies()).stdout == DATA
        return service.appraisals()[-1]["kid"] == second
    wait_until("the new key", changed_over, 40)
    assert first != second
    # Results of both keys count: the passport in stock, and what is issued now.
    for judge in (named, discovered, [*named, "--fresh-result"]):
        assert sides.connect(server, *judge).stdout == DATA

    run("store", "key", "remove", "--store", lab.store, "--", first)
    write_keys(lab.store, pinned)
    for judge in (named, discovered):
        not_signed_by_these(sides.connect(server, *judge, status=REFUSED))
    assert sides.connect(server, *ask).stdout == DATA
    assert sides.connect(server, *named, "--fresh-result").stdout == DATA


def not_signed_by_these(done):
    assert done.stdout == b"" and re.search(rb"\[(kid-mismatch|signature)\]", done.stderr), done.stderr


def test_a_key_that_is_not_the_pinned_one(lab, service):
    """Of a background check nothing is known then; a passport of another verifier is refused."""
    attester = lab.enrol(lab.tpm())
    run("store", "init", "--store", lab.dir / "other.db")
    new_key(lab.dir / "other.db")
    pinned = ["--result-keys", write_keys(lab.dir / "other.db", lab.dir / "other.jwks")]
    sides = Sides(lab, service, "background")
    server = sides.serve(*attester, "--passport-from", service.url, "--echo")
    not_signed_by_these(sides.connect(server, *sides.verifies(), *pinned, status=UNKNOWN))
    not_signed_by_these(sides.connect(server, "--verifier", "passport:", *pinned, status=REFUSED))
    wait_until("both ends", lambda: len(moved(server)) == 2)
    assert moved(server) == [(0, 0), (0, 0)]


def test_each_tenant_at_its_prefix(lab, service):
    """The tenant next door has no such machine on file, keys of its own, and says so by its URL alone."""
    attester = lab.enrol(lab.tpm())
    run("store", "init", "--store", lab.dir / "other.db")
    run("store", "import", "--store", lab.dir / "other.db", "--anchor", "ek", lab.maker_anchors())
    service.stop()
    service.tenants[0] = ("one", "/one", "store.db", "1h")
    service.tenant("two", "/two", "other.db")
    service.up()
    background = Sides(lab, service, "background")
    server = background.serve(*attester, "--echo")
    good, bad = (["--verifier", f"veraison:{service.url}/{name}"] for name in ("one", "two"))
    assert background.connect(server, *good).stdout == DATA
    done = background.connect(server, *bad, status=REFUSED)
    assert done.stdout == b"" and b"untrusted-ak" in done.stderr, done.stderr
    assert [line["tenant"] for line in service.appraisals()] == ["one", "two"]
    done = background.connect(server, "--verifier", f"veraison:{service.url}", status=UNKNOWN)
    assert done.stdout == b""
    stop(server)
    holder = background.serve(*attester, "--passport-from", f"{service.url}/one", "--passport-only", "--echo")
    assert background.connect(holder, "--verifier", f"passport:{service.url}/one").stdout == DATA
    done = background.connect(holder, "--verifier", f"passport:{service.url}/two", status=REFUSED)
    assert done.stdout == b""
    stop(holder)
    options = [*lab.tls(), *background.ca, *attester, "--passport-from", f"{service.url}/two"]
    run("serve", "--listen", "127.0.0.1:0", *options, status=REFUSED)


def test_an_enrolment_that_is_taken_back(lab, service):
    """The service finds the evidence contraindicated, and the client repeats what it says."""
    attester = lab.enrol(lab.tpm())
    background = Sides(lab, service, "background")
    server = background.serve(*attester, "--echo")
    assert background.connect(server, *background.verifies()).stdout == DATA
    entries = run("store", "list", "--store", lab.store).stdout.decode()
    entry = re.search(r"^(attest-key:\d+)", entries, re.M).group(1)
    run("store", "remove", "--store", lab.store, entry)
    done = background.connect(server, *background.verifies(), status=REFUSED)
    line = service.appraisals()[-1]
    assert line["status"] == "contraindicated" and line["reason"] == "untrusted-ak", line
    said = done.stderr.decode()
    assert line["explanation"] in said and "[untrusted-ak]" in said, (line, said)
    wait_until("the refusal", lambda: len(moved(server)) == 2)
    assert moved(server)[1] == (0, 0)


# ---- by hand ----

@pytest.fixture
def proof(lab):
    """Evidence in files over one binder, of a TPM that is enrolled."""
    tpm, binder = lab.tpm(), os.urandom(32)
    lab.enrol(tpm)
    evidence, aik = lab.dir / "evidence.cbor", lab.dir / "aik.der"
    run("evidence", "--attester", tpm.uri, "--binder", binder.hex(), "--out", evidence, "--aik-out", aik)
    return binder, evidence, aik


def test_appraise_asks_the_service(lab, service, proof):
    binder, evidence, aik = proof
    ask = ["appraise", "--evidence", evidence, "--aik", aik, "--verifier", f"veraison:{service.url}", "--ca",
           lab.dir / "ca.pem", "--json"]
    shown = json.loads(run(*ask, "--binder", binder.hex()).stdout)
    assert shown["decision"] == "accept" and shown["ear"]["submods"], shown
    assert service.appraisals()[-1]["status"] == "affirming"
    count = len(service.appraisals())
    shown = json.loads(run(*ask, "--binder", os.urandom(32).hex(), status=REFUSED).stdout)
    assert shown["reason"] in ("nonce-mismatch", "binder-mismatch")
    assert len(service.appraisals()) == count
    service.stop()
    run(*ask, "--binder", binder.hex(), status=UNKNOWN)


def test_a_token_by_curl(lab, service, proof):
    binder, evidence, _ = proof
    text = base64.urlsafe_b64encode(binder).rstrip(b"=").decode()
    ca = ["--cacert", lab.dir / "ca.pem"]
    status, headers, body = curl(service, *ca, "-X", "POST",
                                 f"/challenge-response/v1/newSession?nonce={text}", scheme="https")
    assert status == 201 and json.loads(body)["status"] == "waiting"
    target = urllib.parse.urljoin("/challenge-response/v1/newSession", headers["location"])
    status, headers, body = curl(service, *ca, "-H", "Content-Type: application/cmw+cbor", "--data-binary",
                                 f"@{evidence}", target, scheme="https")
    assert status == 200 and json.loads(body)["status"] == "complete"
    token = lab.dir / "token.jwt"
    token.write_text(json.loads(body)["result"])
    status, _, keys = curl(service, *ca, "/.well-known/jwks.json", scheme="https")
    jwks = lab.dir / "fetched.jwks"
    jwks.write_bytes(keys)
    verify = ["ear", "verify", "--key", jwks, "--max-age", "60", "--json", token]
    shown = json.loads(run(*verify, "--nonce", binder.hex()).stdout)
    assert shown["verified"] is True and shown["claims"]["ear_status"] == "affirming", shown
    assert b"[nonce-mismatch]" in run(*verify, "--nonce", "00" * 32, status=REFUSED).stderr
    head, claims, signature = token.read_text().split(".")
    flipped = "A" if claims[9] != "A" else "B"
    token.write_text(f"{head}.{claims[:9]}{flipped}{claims[10:]}.{signature}")
    run(*verify, status=REFUSED)
