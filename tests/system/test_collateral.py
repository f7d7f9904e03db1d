"""atls collateral: fetched for evidence, watched, refreshed; and fetched on demand by a verifier. The
service is that of a simulated maker."""
import hashlib
import http.server
import json
import os
import subprocess
import threading

import pytest

from conftest import REFUSED, TIMEOUT, UNKNOWN, USAGE, YES, run, tool

SIM = os.environ.get("ATLS_TEE_SIM", "atls-tee-sim")
WORLDS = {"snp": ["--tee", "snp", "--line", "milan", "--rsa-bits", "2048"], "tdx": ["--tee", "tdx"]}
# What it is called when nothing is at hand.
MISSING = ("chain-issuer", "crl-unavailable", "collateral-unavailable")
KINDS = {"snp": {"snp-vek", "snp-ca", "snp-crl"},
         "tdx": {"tdx-tcb-info", "tdx-qe-identity", "tdx-tcb-chain", "tdx-pck-crl", "tdx-pck-crl-chain",
                 "tdx-root-crl"}}


def sim(*arguments):
    done = subprocess.run([SIM, *map(str, arguments)], capture_output=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, (arguments, done.stderr.decode(errors="replace"))
    return done.stdout


def cbor(major, data):
    n = len(data)
    head = bytes([major << 5 | n]) if n < 24 else bytes([major << 5 | 24, n]) if n < 256 else \
        bytes([major << 5 | 25]) + n.to_bytes(2, "big")
    return head + data


class Machine:
    """A simulated machine, its evidence for one connection, and its maker's service."""

    def __init__(self, directory, tee):
        self.dir, self.tee = directory / tee, tee
        sim("init", self.dir, *WORLDS[tee])
        tool("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out",
             directory / "aik.pem")
        spki = tool("openssl", "pkey", "-in", directory / "aik.pem", "-pubout", "-outform", "DER")
        self.aik = directory / "aik.der"
        self.aik.write_bytes(spki)
        binder = bytes(range(32))
        self.binder = binder.hex()
        # The challenge of the bare profile (docs/binding.md).
        challenge = (binder + hashlib.sha256(spki).digest()).hex()
        report = sim("evidence", self.dir, "--challenge", challenge)
        self.evidence = directory / "evidence.cmw"
        self.evidence.write_bytes(b"\x82" + cbor(3, b"application/vnd.veraison.tsm-report+cbor") +
                                  cbor(2, report))
        self.store = directory / "store.db"
        run("store", "init", "--store", self.store)
        for root in (self.dir / "roots").iterdir():
            run("store", "import", "--store", self.store, "--anchor", "tee", root)
        self.process = subprocess.Popen([SIM, "serve", self.dir], stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL)
        self.url = "http://" + self.process.stdout.readline().decode().split()[-1].removeprefix("http://")

    def stop(self):
        self.process.terminate()
        self.process.wait(TIMEOUT)
        self.process.stdout.close()

    def appraise(self, *options, status):
        return run("appraise", "--evidence", self.evidence, "--binder", self.binder, "--aik", self.aik,
                   "--verifier", f"local:{self.store}", "--profile", "bare", *options, status=status)


@pytest.fixture(params=WORLDS)
def machine(request, tmp_path):
    made = Machine(tmp_path, request.param)
    yield made
    made.stop()


def on_file(store):
    lines = run("store", "list", "--store", store, "--json").stdout.decode().splitlines()
    return {entry["subject"].split()[0] for entry in map(json.loads, lines) if entry["kind"] == "collateral"}


def test_what_evidence_needs(machine, tmp_path):
    out = run("collateral", "fetch", "--from", machine.url, "--evidence", machine.evidence, "--store",
              machine.store).stdout.decode()
    assert out.count(": fetched") == len(KINDS[machine.tee])
    assert on_file(machine.store) == KINDS[machine.tee]
    # Again: the very same.
    out = run("collateral", "fetch", "--from", machine.url, "--evidence", machine.evidence, "--store",
              machine.store).stdout.decode()
    assert ": fetched" not in out and "on file already" in out
    # The same as files, which a store without connection imports.
    run("collateral", "fetch", "--from", machine.url, "--evidence", machine.evidence, "--out", tmp_path / "files")
    names = {file.name for file in (tmp_path / "files").iterdir()}
    published = {file.name: file.read_bytes() for file in (machine.dir / "collateral").iterdir()}
    for name in names - {name for name in names if name.endswith(".pem")}:
        assert (tmp_path / "files" / name).read_bytes() == published[name]
    run("store", "init", "--store", tmp_path / "other.db")
    run("store", "import", "--store", tmp_path / "other.db", "--collateral", tmp_path / "files")
    assert on_file(tmp_path / "other.db") == KINDS[machine.tee]
    run("store", "export", "--store", tmp_path / "other.db", "--documents", tmp_path / "again")
    assert {file.name: file.read_bytes() for file in (tmp_path / "again").iterdir()} == \
        {file.name: file.read_bytes() for file in (tmp_path / "files").iterdir()}


def reason(done):
    return done.stderr.decode().rsplit("[", 1)[-1].split("]")[0]


def test_appraised_with_what_was_fetched(machine):
    refused = machine.appraise(status=REFUSED)
    assert reason(refused) in MISSING
    run("collateral", "fetch", "--from", machine.url, "--evidence", machine.evidence, "--store", machine.store)
    machine.process.terminate()
    # Genuine; nobody has said what it may have measured.
    done = machine.appraise(status=None)
    assert b"unavailable" not in done.stderr and b"warning" in done.stdout + done.stderr


def test_appraised_with_what_is_fetched_on_demand(machine):
    done = machine.appraise("--collateral-from", machine.url, status=None)
    assert b"unavailable" not in done.stderr and b"warning" in done.stdout + done.stderr
    # The store was opened to be read.
    assert on_file(machine.store) == set()
    # Nobody there: refused, since nothing is at hand.
    machine.process.terminate()
    machine.process.wait(TIMEOUT)
    refused = machine.appraise("--collateral-from", machine.url, status=None)
    assert refused.returncode in (UNKNOWN, REFUSED) and reason(refused) in MISSING


def test_from_evidence_to_reference_values(machine, tmp_path):
    run("collateral", "fetch", "--from", machine.url, "--evidence", machine.evidence, "--store", machine.store)
    assert b"affirming" not in machine.appraise(status=REFUSED).stdout
    made = run("corim", "from-evidence", "--id", "known-good", "--out", tmp_path / "good.corim", machine.evidence)
    assert b"nothing was verified" in made.stderr
    run("store", "import", "--store", machine.store, "--corim", tmp_path / "good.corim")
    assert b"affirming" in machine.appraise(status=YES).stdout
    # The template is the same manifest.
    template = run("corim", "from-evidence", "--id", "known-good", "--as-template", machine.evidence).stdout
    (tmp_path / "template.json").write_bytes(template)
    assert run("corim", "create", "--template", tmp_path / "template.json").stdout == \
        (tmp_path / "good.corim").read_bytes()
    # Another machine of the class measured something else.
    values = json.loads(template)
    name = "measurement" if machine.tee == "snp" else "mrtd"
    values["reference-values"] = {name: "00" * 48}
    (tmp_path / "template.json").write_text(json.dumps(values))
    run("corim", "create", "--template", tmp_path / "template.json", "--out", tmp_path / "good.corim")
    run("store", "import", "--store", machine.store, "--corim", tmp_path / "good.corim")
    machine.appraise(status=REFUSED)
    # Values by name.
    only = "measurement,host-data" if machine.tee == "snp" else "mrtd,rtmr0"
    template = json.loads(run("corim", "from-evidence", "--id", "i", "--as-template", "--only", only,
                              machine.evidence).stdout)
    assert ",".join(template["reference-values"]) == only
    done = run("corim", "from-evidence", "--id", "i", "--only", "x", machine.evidence, status=USAGE)
    assert b'has no value "x"' in done.stderr


def test_what_runs_out(machine):
    run("collateral", "fetch", "--from", machine.url, "--evidence", machine.evidence, "--store", machine.store)
    run("collateral", "check", "--store", machine.store)
    out = run("collateral", "check", "--store", machine.store, "--within", "100", "--json", status=REFUSED).stdout
    states = {entry["name"]: entry["state"] for entry in map(json.loads, out.decode().splitlines())}
    assert len(states) == len(KINDS[machine.tee])
    # Lists and levels are short-lived, certificates are not.
    assert all((state == "runs out") == name.endswith((".crl", ".json")) for name, state in states.items()), states
    out = run("collateral", "check", "--dir", machine.dir / "collateral", "--time", "2099-01-01T00:00:00Z",
              status=REFUSED).stdout
    assert b"expired" in out and b"runs out" not in out
    # What is issued anew takes its place.
    sim("collateral", machine.dir, "--time", "2037-01-01T00:00:00Z")
    before = run("collateral", "check", "--store", machine.store).stdout
    run("collateral", "fetch", "--from", machine.url, "--store", machine.store, "--refresh", "--within", "60",
        status=None)
    after = run("collateral", "check", "--store", machine.store).stdout
    assert before != after and b"2037" in after


def test_a_machine_is_named_by_hand(machine, tmp_path):
    if machine.tee == "tdx":
        name = next(file.name for file in (machine.dir / "collateral").iterdir() if "tcb-info" in file.name)
        fmspc = name.rsplit("-", 1)[1].split(".")[0]
        done = run("collateral", "fetch", "--from", f"intel={machine.url}", "--fmspc", fmspc.upper(), "--out",
                   tmp_path / "out", status=None)
        assert (tmp_path / "out" / name).exists(), done.stderr
        return
    name = next(file.name for file in (machine.dir / "collateral").iterdir() if "vek" in file.name)
    line, chip, tcb = name.removeprefix("snp-vek-").split(".")[0].split("-")
    run("collateral", "fetch", "--from", f"amd={machine.url}", "--line", line.title(), "--chip-id", chip, "--tcb", tcb,
        "--out", tmp_path / "out")
    assert (tmp_path / "out" / name).read_bytes() == (machine.dir / "collateral" / name).read_bytes()


class Service(http.server.BaseHTTPRequestHandler):
    """Answers what the test says."""

    def do_GET(self):
        status, headers = self.server.answers.pop(0) if self.server.answers else (404, {})
        self.server.paths.append(self.path)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def service():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.answers, server.paths = [], []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("status, headers, exit_status, text", [
    (302, {"Location": "file:///etc/passwd"}, UNKNOWN, b"302"),
    (429, {"Retry-After": "100"}, UNKNOWN, b"429"),
    (404, {}, UNKNOWN, b"has none"),
    (200, {}, UNKNOWN, b"list"),
])
def test_a_service_that_does_not_serve(service, tmp_path, status, headers, exit_status, text):
    service.answers = [(200, {})] + [(status, headers)] * 2
    done = run("collateral", "fetch", "--from", service.url, "--line", "milan", "--out", tmp_path / "out",
               "--wait", "1", status=None)
    assert done.returncode == exit_status, done.stderr
    assert text in done.stderr
    assert "/vcek/v1/Milan/crl" in service.paths


def test_a_service_that_is_asked_too_often_is_waited_for(service, tmp_path):
    service.answers = [(429, {"Retry-After": "1"}), (404, {}), (404, {})]
    run("collateral", "fetch", "--from", service.url, "--line", "milan", "--out", tmp_path / "out", status=None)
    assert service.paths == ["/vcek/v1/Milan/cert_chain"] * 2 + ["/vcek/v1/Milan/crl"]


@pytest.mark.parametrize("arguments, text", [
    (["fetch", "--line", "milan", "--out", "x"], b"--from"),
    (["fetch", "--from", "http://a", "--line", "milan"], b"one of --store and --out"),
    (["fetch", "--from", "http://a", "--out", "x"], b"--evidence, --line"),
    (["fetch", "--from", "a", "--line", "milan", "--out", "x"], b"want a URL"),
    (["fetch", "--from", "ftp://a", "--line", "milan", "--out", "x"], b"want a URL"),
    (["fetch", "--from", "http://a", "--line", "milan", "--chip-id", "00", "--out", "x"], b"go together"),
    (["fetch", "--from", "intel=http://a", "--line", "milan", "--out", "x"], b"no service of AMD"),
    (["check"], b"one of --store and --dir"),
    (["check", "--dir", ".", "--within", "x"], b"--within"),
    (["other"], b"want fetch or check"),
])
def test_usage(tmp_path, arguments, text):
    done = run("collateral", *arguments, status=USAGE, cwd=tmp_path)
    assert text in done.stderr, done.stderr


def test_files_that_are_none(tmp_path):
    (tmp_path / "README").write_text("nothing")
    done = run("collateral", "check", "--dir", tmp_path)
    assert b"passed over" in done.stderr
    (tmp_path / "snp-crl-milan.crl").write_text("nothing")
    assert b"snp-crl-milan.crl" in run("collateral", "check", "--dir", tmp_path, status=None).stderr
