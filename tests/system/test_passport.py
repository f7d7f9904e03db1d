"""Passports between processes: a verifier service with a store and a key of its own, a server and a
client with software TPMs that obtain its results, and relying parties that take these."""
import json
import time

import pytest

from conftest import REFUSED, UNKNOWN, USAGE, run, tool, wait_until
from verifierd import DAEMON, Verifierd

DATA = b"what crosses the connection\n"
CONFIG = """
    listeners:
      - address: 127.0.0.1:0
        certificate: {dir}/service.pem
        key: {dir}/service.key
    tenants:
      - name: one
        store: {dir}/store.db
        result: {form: FORM, lifetime: LIFETIME}
    drain-delay: 0
    """


class Service(Verifierd):
    """A verifier over https, with the store of the laboratory."""

    def __init__(self, lab):
        super().__init__(lab.dir, DAEMON)
        self.certificate("service", "/CN=service", purpose="serverAuth")
        self.keys = lab.dir / "keys.jwks"
        self.new_key()

    def new_key(self):
        run("store", "key", "--store", self.dir / "store.db", "new")
        keys = run("store", "key", "--store", self.dir / "store.db", "list").stdout
        (self.dir / "keys.next").write_bytes(keys)
        (self.dir / "keys.next").rename(self.keys)

    def run(self, form="jwt", lifetime="1h"):
        self.write(CONFIG.replace("FORM", form).replace("LIFETIME", lifetime))
        self.start(ready=False)
        wait_until("readiness", lambda: self.get("/readyz", tls=self.tls()).status == 200)
        return self

    @property
    def url(self):
        return f"https://localhost:{self.ports[0]}"


@pytest.fixture
def service(lab):
    service = Service(lab)
    try:
        yield service
    finally:
        service.kill()


def passport(lab, service):
    """Options that show results."""
    return ["--passport-from", service.url, "--passport-only", "--ca", lab.dir / "ca.pem"]


def judge(lab, server, *verifier, stdin=DATA, status=0):
    return run("connect", f"localhost:{server.port}", "--ca", lab.dir / "ca.pem", "--verifier", *verifier, "--json",
               stdin=stdin, status=status)


def peer(done):
    return json.loads(done.stderr.splitlines()[0])


@pytest.mark.parametrize("form", ["jwt", "cwt"])
def test_a_server_shows_its_result(lab, service, form):
    attester = lab.enrol(lab.tpm())
    service.run(form)
    server = lab.serve(*lab.tls(), *attester, *passport(lab, service), "--echo")

    # Its verifier's keys from a file, or by discovery.
    for verifier in ([f"passport:{service.keys}"], [f"passport:{service.url}"],
                     ["passport:", "--result-keys", service.keys]):
        done = judge(lab, server, *verifier)
        assert done.stdout == DATA
        who = peer(done)
        assert who["binding"] == "key" and who["status"] == "affirming" and who["evidence-type"] == "tpm", who
        assert 0 <= who["result"]["age"] <= 60 and who["result"]["expires-at"] - who["result"]["issued-at"] == 3600
        assert who["result"]["verifier"], who
    assert len(service.events("appraisal")) == 1, service.log.read_text()

    # For people.
    text = run("connect", f"localhost:{server.port}", "--ca", lab.dir / "ca.pem", "--verifier",
               f"passport:{service.keys}", stdin=DATA).stderr.decode()
    assert "bound to    key only, not to connection; freshness: none" in text and "s old, by" in text, text

    # Made for this very connection.
    who = peer(judge(lab, server, f"passport:{service.keys}", "--fresh-result"))
    assert who["binding"] == "connection", who
    assert len(service.events("appraisal")) == 2

    # Evidence is not to be had, and who has another verifier's keys is not satisfied.
    refused = judge(lab, server, lab.verifier, stdin=b"", status=REFUSED)
    assert b"[no-common-parameters]" in refused.stderr, refused.stderr
    run("store", "init", "--store", lab.dir / "other.db")
    run("store", "key", "--store", lab.dir / "other.db", "new")
    other = lab.dir / "other.jwks"
    other.write_bytes(run("store", "key", "--store", lab.dir / "other.db", "list").stdout)
    refused = judge(lab, server, f"passport:{other}", stdin=b"", status=REFUSED)
    assert b"[kid-mismatch]" in refused.stderr or b"[signature]" in refused.stderr, refused.stderr

    # Without the service the result in stock is shown, and a fresh one cannot be made.
    service.stop()
    assert judge(lab, server, f"passport:{service.keys}").stdout == DATA
    judge(lab, server, f"passport:{service.keys}", "--fresh-result", stdin=b"", status=REFUSED)


def test_both_sides_show_results(lab, service):
    server_side, client_side = lab.enrol(lab.tpm("one")), lab.enrol(lab.tpm("two"), "client.example")
    service.run()
    server = lab.serve(*lab.tls(), *server_side, *passport(lab, service), "--require-peer", "--verifier",
                       f"passport:{service.url}", "--echo", "--json-log")
    done = judge(lab, server, f"passport:{service.url}", *client_side, "--passport-from", service.url)
    assert done.stdout == DATA and peer(done)["binding"] == "key"
    opened = json.loads(server.log.read_text().splitlines()[1])
    assert opened["name"] == "client.example" and opened["binding"] == "key", opened
    # A client without a passport has none to show.
    judge(lab, server, f"passport:{service.url}", *client_side, stdin=b"", status=REFUSED)


def test_evidence_and_passport_side_by_side(lab, service):
    """A server that may show either serves those who take evidence, too."""
    attester = lab.enrol(lab.tpm())
    service.run()
    server = lab.serve(*lab.tls(), *attester, "--passport-from", service.url, "--ca", lab.dir / "ca.pem", "--echo")
    assert peer(judge(lab, server, lab.verifier))["binding"] == "connection"
    assert peer(judge(lab, server, f"passport:{service.url}"))["binding"] == "key"


def test_a_machine_that_is_not_trusted_says_so_at_the_start(lab, service):
    tpm = lab.tpm()
    attester = lab.enrol(tpm)
    tpm.extend(7)
    service.run()
    done = run("serve", "--listen", "127.0.0.1:0", *lab.tls(), *attester, *passport(lab, service), status=REFUSED)
    assert b"PCR 7" in done.stderr and b"listening" not in done.stderr, done.stderr


def test_without_a_verifier_there_is_no_start(lab, service):
    attester = lab.enrol(lab.tpm())
    service.run()
    options = passport(lab, service)
    service.stop()
    done = run("serve", "--listen", "127.0.0.1:0", *lab.tls(), *attester, *options, status=UNKNOWN)
    assert b"listening" not in done.stderr
    # A service whose certificate nobody vouches for.
    service.run()
    run("serve", "--listen", "127.0.0.1:0", *lab.tls(), *attester, "--passport-from", service.url, status=REFUSED)


def test_short_results_are_renewed(lab, service):
    """New ones come while connections go on, and the verifier may begin to use another key."""
    attester = lab.enrol(lab.tpm())
    service.run(lifetime="12s")
    # With keys from a file: discovery is asked again after ten seconds only.
    server = lab.serve(*lab.tls(), *attester, *passport(lab, service), "--result-keys", service.keys, "--echo")
    first = peer(judge(lab, server, f"passport:{service.keys}"))["result"]["issued-at"]
    service.new_key()

    def renewed():
        return peer(judge(lab, server, f"passport:{service.keys}"))["result"]["issued-at"] > first

    wait_until("a new result", renewed, 60)


def test_a_kept_passport_is_judged_offline(lab, service, tmp_path):
    """The result that the local verifier signs is one that a passport may carry."""
    attester = lab.enrol(lab.tpm())
    binder, other = "5f" * 32, "60" * 32
    files = {name: tmp_path / name for name in ("e.cbor", "aik.der", "token", "sign.pem", "public.pem", "cmw")}
    tool("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", files["sign.pem"])
    tool("openssl", "pkey", "-in", files["sign.pem"], "-pubout", "-out", files["public.pem"])
    run("evidence", *attester, "--binder", binder, "--out", files["e.cbor"], "--aik-out", files["aik.der"])
    run("appraise", "--evidence", files["e.cbor"], "--binder", binder, "--aik", files["aik.der"], "--verifier",
        lab.verifier, "--ear-out", files["token"], "--sign-key", files["sign.pem"])
    token = files["token"].read_bytes().strip()
    kind = b"application/eat+jwt"
    # [type, value, 8]: an attestation result.
    files["cmw"].write_bytes(b"\x83\x73" + kind + b"\x59" + len(token).to_bytes(2, "big") + token + b"\x08")

    def appraise(*arguments, at=0, challenge=other, status=0, evidence="cmw"):
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + at))
        return run("appraise", "--evidence", files[evidence], "--binder", challenge, "--aik", files["aik.der"],
                   "--verifier", f"passport:{files['public.pem']}", "--time", when, *arguments, status=status)

    assert b"passport: tpm, result of " in appraise().stdout
    assert json.loads(appraise("--json").stdout)["decision"] == "accept"
    appraise(at=86000)
    assert b"[certificate-expired]" in appraise(at=86500, status=REFUSED).stderr
    assert b"[certificate-not-yet-valid]" in appraise(at=-600, status=REFUSED).stderr
    appraise("--result-max-age", 200000, at=86500)
    assert b"and answers the challenge" in appraise("--fresh-result", challenge=binder).stdout
    assert b"[binder-mismatch]" in appraise("--fresh-result", status=REFUSED).stderr
    assert b"[unknown-evidence-type]" in appraise(evidence="e.cbor", status=REFUSED).stderr
    files["public.pem"].write_text("nonsense")
    appraise(status=USAGE)
