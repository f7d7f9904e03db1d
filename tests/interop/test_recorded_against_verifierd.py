"""What a client of Veraison sent, sent to atls-verifierd: the requests of tests/vectors/veraison in their
order, and the answers beside those that were recorded. Where ours differ on purpose, DIFFERENT says how, and
docs/verifierd-api.md why."""
import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from veraison_lab import DISCOVERY, PROVISIONING, SESSION, decode64

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "system"))
from conftest import Lab, run  # noqa: E402
from verifierd import DAEMON, TOKEN, Verifierd  # noqa: E402

RECORDINGS = HERE.parent / "vectors" / "veraison"
DOCUMENT = HERE.parent.parent / "docs" / "verifierd-api.md"
FOLDERS = sorted(path.name for path in RECORDINGS.iterdir() if path.is_dir())
PROBLEM = "application/problem+json"
RECORDED_EVIDENCE = "application/vnd.parallaxsecond.key-attestation.tpm"
# Each release writes nonces in its own way, and so does the daemon when it is told to.
ENCODINGS = {"main-6b88102": "url", "v0.0.2602": "std"}
CONFIG = """
    listeners:
      - address: 127.0.0.1:0
    tenants:
      - name: one
        store: {dir}/store.db
        result: {lifetime: 5m}
        sessions: {nonce-size: 32, nonce-encoding: ENCODING}
        provisioning:
          allow-unsigned: true
          bearer-tokens: [{name: ci, file: "{dir}/token"}]
    drain-delay: 0
    """
# (recording or None for both, exchange) -> status, and the state in the body, that ours have instead. Problem
# documents have no state.
BOTH, MAIN, OLDER = None, "main-6b88102", "v0.0.2602"
DIFFERENT = {
    (BOTH, "newSession: empty nonce"): (400, None),
    (BOTH, "POST again to the completed session"): (409, None),
    (BOTH, "DELETE again"): (404, None),
    (BOTH, "CoRIM without profile parameter"): (400, None),
    (BOTH, "not CBOR"): (400, None),
    (BOTH, "CoRIM bad-class-id"): (400, None),
    (BOTH, "CoRIM bad-multiple-keys"): (400, None),
    (BOTH, "CoRIM bad-no-digests"): (400, None),
    (BOTH, "CoRIM bad-no-instance"): (400, None),
    (BOTH, "the same CoRIM again"): (200, "success"),
    (MAIN, "instance of the other kind (550/560)"): (200, "success"),
    (MAIN, "unknown profile parameter"): (422, None),
    (MAIN, "profile of another scheme"): (422, None),
    (OLDER, "newSession: 32-byte nonce, base64url unpadded"): (201, "waiting"),
    (OLDER, "newSession: 64-byte nonce, base64url unpadded"): (201, "waiting"),
    (OLDER, "CoRIM scheme-parsec-tpm-valid"): (200, "success"),
    (OLDER, "CoRIM for a swtpm, PCR 0 to 7"): (400, None),
    (OLDER, "instance of the other kind (550/560)"): (400, None),
    (OLDER, "unknown profile parameter"): (400, None),
    (OLDER, "profile of another scheme"): (400, None),
}

# Exchange of evidence -> status, and the overall status of the result.
OTHER_VERDICTS = {
    "vector evidence.cbor, nonce deadbeefdeadbeef": (200, "contraindicated"),
    "vector evidence_bad_kat": (400, None),
    "vector evidence_not_cbor_map": (400, None),
    "no CBOR": (400, None),
    "trailing byte": (400, None),
    "PCR 3 extended": (200, "warning"),
}


def recorded(folder, name):
    return json.loads((RECORDINGS / folder / f"{name}.json").read_text())


class Replay:
    """The daemon, to which recorded requests go; the store knows one software TPM."""

    def __init__(self, lab, folder):
        self.folder, self.lab = folder, lab
        self.tpm = lab.tpm()
        lab.enrol(self.tpm)
        run("store", "key", "new", "--store", lab.store)
        self.daemon = Verifierd(lab.dir, DAEMON)
        self.daemon.token()
        self.daemon.write(CONFIG.replace("ENCODING", ENCODINGS[folder]))
        self.daemon.start()
        self.sessions = {}  # id as recorded -> ours

    def evidence(self, nonce):
        """Ours in place of the recorded one, whose machine the store does not know."""
        path = self.lab.dir / "evidence.cbor"
        run("evidence", "--attester", self.tpm.uri, "--binder", nonce.hex(), "--out", path)
        return path.read_bytes()

    def adapt(self, exchange, nonce):
        """Path, headers and body as they go to the daemon."""
        request = exchange["request"]
        path, headers = request["path"], dict(request["headers"])
        body = base64.b64decode(request["body_base64"]) if request.get("body_base64") else None
        for theirs, ours in self.sessions.items():
            path = path.replace(theirs, ours)
        if request["method"] == "POST" and exchange["service"] == "provisioning":
            # Recorded without authentication; and v0.0.2602 names unsigned manifests otherwise.
            headers["Authorization"] = f"Bearer {TOKEN}"
            headers["Content-Type"] = headers["Content-Type"].replace("corim-unsigned+cbor", "rim+cbor")
        elif request["method"] == "POST" and headers.get("Content-Type") == RECORDED_EVIDENCE:
            headers["Content-Type"] = "application/cmw+cbor"
            body = self.evidence(nonce) if body else None
        return request["method"], path, body, headers

    def send(self, exchange, nonce=None):
        method, path, body, headers = self.adapt(exchange, nonce)
        answer = self.daemon.ask(method, path, body, headers)
        location = exchange["response"]["headers"].get("Location")
        if location and "Location" in answer.headers:
            assert answer.headers["Location"].startswith("session/") and location.startswith("session/")
            self.sessions[location.split("/")[-1]] = answer.headers["Location"].split("/")[-1]
        return answer


@pytest.fixture(params=FOLDERS)
def replay(request):
    # The path of a socket may have 107 bytes, which pytest's own directories can exceed.
    directory = pathlib.Path(subprocess.run(["mktemp", "-d", "/tmp/atls-replay.XXXXXX"], capture_output=True,
                                            check=True, text=True).stdout.strip())
    lab = made = None
    try:
        lab = Lab(directory)
        made = Replay(lab, request.param)
        yield made
    finally:
        if made is not None:
            made.daemon.kill()
        if lab is not None:
            lab.close()
        shutil.rmtree(directory, ignore_errors=True)


def state_of(content_type, body):
    return json.loads(body).get("status") if content_type in (SESSION, PROVISIONING) else None


def different(folder, what):
    return DIFFERENT.get((folder, what), DIFFERENT.get((BOTH, what)))


def is_problem(answer):
    assert answer.type == PROBLEM and {"type", "title", "status", "detail"} <= set(answer.json), answer.body
    assert answer.json["status"] == answer.status


def nonces_agree(folder, theirs, ours, given):
    """The same octets where the request had them; the same length and way of writing in any case."""
    assert len(ours) == len(theirs), (ours, theirs)
    if given:
        assert ours == theirs
    standard = base64.standard_b64encode(decode64(ours)).decode()
    # What is minted reads the same in both alphabets.
    assert ours == standard if ENCODINGS[folder] == "std" else ours in (
        standard.rstrip("="), base64.urlsafe_b64encode(decode64(ours)).decode().rstrip("="))


def session_agrees(replay, exchange, answer):
    theirs, ours = json.loads(exchange["response"]["body"]), answer.json
    assert set(ours) == set(theirs), (exchange["what"], sorted(ours), sorted(theirs))
    nonces_agree(replay.folder, theirs["nonce"], ours["nonce"], "nonce=" in exchange["request"]["path"])
    assert ours["accept"] and all(isinstance(kind, str) and "/" in kind for kind in ours["accept"])
    assert ours["expiry"].endswith("Z") and len(ours["expiry"]) == 20
    if "evidence" in theirs:
        assert set(ours["evidence"]) == set(theirs["evidence"]) == {"type", "value"}


def compare(replay, exchange, answer):
    """The same as recorded, or what DIFFERENT says in its place and nothing else."""
    theirs = exchange["response"]
    kind = theirs["headers"].get("Content-Type")
    recorded_as = (theirs["status"], state_of(kind, theirs.get("body")))
    got = (answer.status, state_of(answer.type, answer.body))
    wanted = different(replay.folder, exchange["what"])
    # One exchange of that name only asks for discovery.
    if wanted is not None and kind != DISCOVERY:
        assert wanted != recorded_as, f"{exchange['what']}: no longer a difference"
        assert got == wanted, (exchange["what"], got, answer.body)
    else:
        assert got == recorded_as, (exchange["what"], got, answer.body)
        assert answer.type == (kind or ""), (exchange["what"], answer.type)
    if answer.status >= 400:
        is_problem(answer)
    elif answer.type == SESSION and kind == SESSION:
        session_agrees(replay, exchange, answer)
    elif answer.type == PROVISIONING:
        assert set(answer.json) == {"status", "expiry"}


def test_discovery(replay):
    for exchange in recorded(replay.folder, "discovery"):
        answer = replay.send(exchange)
        compare(replay, exchange, answer)
        if answer.status != 200:
            continue
        theirs, ours = json.loads(exchange["response"]["body"]), answer.json
        assert set(theirs) - {"attestation-schemes"} <= set(ours), (sorted(theirs), sorted(ours))
        assert ours["api-endpoints"] == theirs["api-endpoints"] and ours["media-types"]
        assert ours["service-state"].upper().endswith("READY") and theirs["service-state"].upper().endswith("READY")
        key = theirs.get("ear-verification-key")
        if key is not None:
            assert set(key) <= set(ours["ear-verification-key"])
            assert all(ours["ear-verification-key"][name] == key[name] for name in ("kty", "crv", "alg"))
        assert "max-age=" in answer.headers["Cache-Control"]


def test_new_sessions(replay):
    for exchange in recorded(replay.folder, "new-session"):
        compare(replay, exchange, replay.send(exchange))


def test_one_session_from_beginning_to_end(replay):
    exchanges = recorded(replay.folder, "session")
    nonce = decode64(json.loads(exchanges[0]["response"]["body"])["nonce"])
    token = None
    for exchange in exchanges:
        answer = replay.send(exchange, nonce)
        compare(replay, exchange, answer)
        if exchange["what"] == "POST of good evidence":
            token = replay.lab.dir / "token"
            token.write_text(answer.json["result"])
            keys = replay.lab.dir / "keys"
            keys.write_bytes(replay.daemon.get("/.well-known/jwks.json").body)
            shown = run("ear", "verify", "--key", keys, "--max-age", "60", "--nonce", nonce.hex(), "--json", token)
            assert json.loads(shown.stdout)["claims"]["ear_status"] == "affirming"
    assert token is not None


def test_provisioning(replay):
    for exchange in recorded(replay.folder, "provisioning"):
        compare(replay, exchange, replay.send(exchange))


def test_every_difference_is_explained():
    """In the table of the document, by the name of its exchange."""
    text = DOCUMENT.read_text()
    assert [what for _, what in DIFFERENT if f"`{what}`" not in text] == []
    assert [what for what in OTHER_VERDICTS if f"`{what}`" not in text] == []
    everything = {exchange["what"] for folder in FOLDERS for name in ("discovery", "new-session", "provisioning", "session")
                  for exchange in recorded(folder, name)}
    assert {what for _, what in DIFFERENT} <= everything


def overall(token):
    """Status of the one submodule, under its older and its newer name."""
    part = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    (submod,) = claims["submods"].values()
    return submod.get("ear.status", submod.get("ear_status"))


@pytest.mark.parametrize("replay", [MAIN], indirect=True)
def test_parsec_bundles(replay):
    """Evidence of another attester, as it was recorded: the store gets the manifest that was recorded with it, which
    of the other release is not one that the daemon takes."""
    for exchange in recorded(MAIN, "provisioning"):
        if exchange["what"] == "CoRIM for a swtpm, PCR 0 to 7":
            assert replay.send(exchange).status == 200
    judged = set()
    for exchange in recorded(MAIN, "parsec-tpm"):
        request, theirs = exchange["request"], exchange["response"]
        body = json.loads(theirs["body"]) if theirs["status"] == 200 else {}
        if "nonce" not in body:
            continue  # an answer of a problem
        nonce = base64.urlsafe_b64encode(decode64(body["nonce"])).decode().rstrip("=")
        session = replay.daemon.ask("POST", f"/challenge-response/v1/newSession?nonce={nonce}", None,
                                    {"Accept": SESSION})
        answer = replay.daemon.ask("POST", f"/challenge-response/v1/{session.headers['Location']}",
                                   base64.b64decode(request["body_base64"]), dict(request["headers"]))
        recorded_as = (200, overall(body["result"]))
        got = (answer.status, overall(answer.json["result"]) if answer.status == 200 else None)
        wanted = OTHER_VERDICTS.get(exchange["what"], recorded_as)
        assert got == wanted, (exchange["what"], got, answer.body)
        assert exchange["what"] not in OTHER_VERDICTS or wanted != recorded_as
        judged.add(exchange["what"])
    assert set(OTHER_VERDICTS) <= judged and "good evidence over the session nonce" in judged
