"""Evidence on its own: made, appraised offline, and checked by tools of others."""
import base64
import json
import re
import subprocess

from conftest import CLASS, REFUSED, USAGE, need, run, tool


def make(lab, tpm, *extra):
    evidence, aik = tpm.dir / "evidence.cbor", tpm.dir / "aik.der"
    done = run("evidence", "--attester", tpm.uri, "--random-binder", "--out", evidence, "--aik-out", aik, *extra)
    return evidence, aik, re.search(rb"binder ([0-9a-f]{64})", done.stderr).group(1).decode()


def appraise(lab, evidence, aik, binder, *extra, **options):
    return run("appraise", "--evidence", evidence, "--binder", binder, "--aik", aik, "--verifier", lab.verifier,
               *extra, **options)


def test_appraisal_accepts_and_refuses(lab):
    tpm = lab.tpm()
    lab.enrol(tpm)
    evidence, aik, binder = make(lab, tpm)
    answer = json.loads(appraise(lab, evidence, aik, binder, "--json").stdout)
    assert answer["decision"] == "accept"
    assert answer["ear"]["ear_status"] == "affirming"
    # The certificate of the AIK serves as well as its key, PEM as well as DER.
    appraise(lab, evidence, tpm.dir / "aik.pem", binder)

    other = ("0" if binder[0] != "0" else "1") + binder[1:]
    done = appraise(lab, evidence, aik, other, status=REFUSED)
    assert b"[nonce-mismatch]" in done.stderr
    assert json.loads(appraise(lab, evidence, aik, other, "--json", status=REFUSED).stdout)["reason"] == "nonce-mismatch"

    tool("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", lab.dir / "k.pem")
    tool("openssl", "ec", "-in", lab.dir / "k.pem", "-pubout", "-out", lab.dir / "k.pub")
    assert b"[key-binding-mismatch]" in appraise(lab, evidence, lab.dir / "k.pub", binder, status=REFUSED).stderr

    broken = lab.dir / "broken.cbor"
    broken.write_bytes(evidence.read_bytes()[:-1])
    assert b"[malformed]" in appraise(lab, broken, aik, binder, status=REFUSED).stderr

    policy = lab.dir / "never.jq"
    policy.write_text('{decision: "refuse", reasons: ["never"]}')
    assert b"never" in appraise(lab, evidence, aik, binder, "--policy", policy, status=REFUSED).stderr

    tpm.extend(7)
    evidence, aik, binder = make(lab, tpm)
    assert b"PCR 7" in appraise(lab, evidence, aik, binder, status=REFUSED).stderr


def test_appraisal_as_of_another_time(lab):
    """What counts is what was valid then, and the result says that it was made then."""
    tpm = lab.tpm()
    lab.enrol(tpm)
    evidence, aik, binder = make(lab, tpm)
    # From 2020 to 2098 a maker demands a value of a PCR that was not quoted.
    template = {"id": "maker", "tag-id": "t", "class": CLASS, "not-before": 1577836800, "not-after": 4070908800,
                "reference-values": {"sha256": {"22": "00" * 32}}}
    (lab.dir / "maker.json").write_text(json.dumps(template))
    run("corim", "create", "--template", lab.dir / "maker.json", "--out", lab.dir / "maker.cbor")

    def at(time, **options):
        return appraise(lab, evidence, aik, binder, "--json", "--time", time, **options)

    assert json.loads(at("2026-07-01T00:00:00Z").stdout)["ear"]["iat"] == 1782864000
    run("store", "import", "--store", lab.store, "--corim", lab.dir / "maker.cbor")
    assert json.loads(at("2019-12-31T23:59:59Z").stdout)["ear"]["iat"] == 1577836799
    assert b"PCR 22" in at("2020-01-01T00:00:00Z", status=REFUSED).stderr
    assert b"PCR 22" in at("2099-01-01T00:00:00Z", status=REFUSED).stderr
    at("2099-01-01T00:00:01Z")
    at("yesterday", status=USAGE)


def test_result_is_a_signed_token(lab):
    tpm = lab.tpm()
    lab.enrol(tpm)
    evidence, aik, binder = make(lab, tpm)
    tool("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", lab.dir / "k.pem")
    tool("openssl", "ec", "-in", lab.dir / "k.pem", "-pubout", "-out", lab.dir / "k.pub")
    token = lab.dir / "ear.jwt"
    appraise(lab, evidence, aik, binder, "--ear-out", token, "--sign-key", lab.dir / "k.pem")
    shown = json.loads(run("ear", "show", "--json", token).stdout)
    assert shown["verified"] is False
    verified = json.loads(run("ear", "verify", "--max-age", "any", "--key", lab.dir / "k.pub", "--json", token).stdout)
    assert verified["verified"] is True
    assert verified["claims"] == shown["claims"]
    run("ear", "verify", "--max-age", "any", "--key", lab.dir / "ca.pem", token, status=REFUSED)
    header, _, signature = token.read_text().strip().split(".")
    assert json.loads(base64.urlsafe_b64decode(header + "==")) ["alg"] == "ES256"
    assert len(base64.urlsafe_b64decode(signature + "==")) == 64


def test_tools_of_others_verify_the_quote(lab):
    need("tpm2_checkquote", "tpm2_readpublic")
    tpm = lab.tpm()
    lab.enrol(tpm)
    evidence, aik, binder = make(lab, tpm)
    attest, signature = find_half(lab, evidence, "pat", "attestInfo")
    files = {name: lab.dir / name for name in ("attest", "signature", "ak.pem")}
    files["attest"].write_bytes(attest)
    files["signature"].write_bytes(signature)
    tool("tpm2_readpublic", "-c", "0x81010002", "-f", "pem", "-o", files["ak.pem"], env={"TPM2TOOLS_TCTI": tpm.tcti})
    # The binder itself is what the TPM signed as qualifying data.
    tool("tpm2_checkquote", "-u", files["ak.pem"], "-m", files["attest"], "-s", files["signature"], "-q", binder,
         "-g", "sha256")
    check_signature(lab, files["ak.pem"], attest, signature)
    info, certify_signature = find_half(lab, evidence, "kat", "certInfo")
    check_signature(lab, files["ak.pem"], info, certify_signature)
    assert info.startswith(bytes.fromhex("ff5443478017")) and bytes.fromhex("0020" + binder) in info


def diagnostic(path):
    """A file as CBOR diagnostic notation."""
    return json.loads(run("inspect", "--kind", "cbor", "--json", path).stdout)["content"]["diagnostic"]


def find_half(lab, evidence, label, member):
    """Bytes of a TPM structure and of the signature beside it, out of one half of the evidence."""
    half = lab.dir / f"{label}.cbor"
    half.write_bytes(bytes.fromhex(re.search(rf'"{label}": \["[^"]*", h\'([0-9a-f]+)\'', diagnostic(evidence)).group(1)))
    text = diagnostic(half)
    return [bytes.fromhex(re.search(rf'"{name}": h\'([0-9a-f]+)\'', text).group(1)) for name in (member, "sig")]


def check_signature(lab, key, message, signature):
    """TPMT_SIGNATURE, ECDSA with SHA-256, by openssl."""
    assert signature[:4] == bytes.fromhex("0018000b")
    r_len = int.from_bytes(signature[4:6], "big")
    r, rest = signature[6:6 + r_len], signature[6 + r_len:]
    s = rest[2:2 + int.from_bytes(rest[:2], "big")]

    def integer(number):
        body = number.lstrip(b"\0")
        body = b"\0" + body if body[0] & 0x80 else body
        return b"\x02" + bytes([len(body)]) + body

    body = integer(r) + integer(s)
    (lab.dir / "der").write_bytes(b"\x30" + bytes([len(body)]) + body)
    (lab.dir / "message").write_bytes(message)
    done = subprocess.run(["openssl", "dgst", "-sha256", "-verify", str(key), "-signature", str(lab.dir / "der"),
                           str(lab.dir / "message")], capture_output=True, check=False)
    assert done.returncode == 0, done.stdout
