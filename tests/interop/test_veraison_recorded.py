"""The recorded exchanges with Veraison are what they claim to be: judged with openssl alone."""
import base64
import json
import pathlib
import urllib.parse

import pytest

from veraison_lab import decode64, openssl

RECORDINGS = pathlib.Path(__file__).resolve().parent.parent / "vectors" / "veraison"
FOLDERS = sorted(path.name for path in RECORDINGS.iterdir() if path.is_dir())
P256_SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")


def exchanges(folder, name):
    return json.loads((RECORDINGS / folder / f"{name}.json").read_text())


def der_integer(octets):
    octets = octets.lstrip(b"\0") or b"\0"
    octets = b"\0" + octets if octets[0] & 0x80 else octets
    return bytes([2, len(octets)]) + octets


def signature_holds(token, jwk, directory):
    signed, _, signature = token.rpartition(".")
    raw = decode64(signature)
    assert len(raw) == 64
    numbers = der_integer(raw[:32]) + der_integer(raw[32:])
    key, der = directory / "key.der", directory / "signature.der"
    key.write_bytes(P256_SPKI + b"\4" + decode64(jwk["x"]) + decode64(jwk["y"]))
    der.write_bytes(bytes([0x30, len(numbers)]) + numbers)
    shown = openssl("dgst", "-sha256", "-verify", key, "-keyform", "DER", "-signature", der, stdin=signed.encode())
    return shown.strip() == b"Verified OK"


def claims(token):
    return json.loads(decode64(token.split(".")[1]))


def test_there_are_recordings():
    assert FOLDERS == ["main-6b88102", "v0.0.2602"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_result_verifies_and_echoes_the_nonce_of_its_session(folder, tmp_path):
    key = json.loads((RECORDINGS / folder / "ear-key.jwk").read_text())
    seen = 0
    for name in ("session", "parsec-tpm"):
        for exchange in exchanges(folder, name):
            body = json.loads(exchange["response"].get("body") or "{}")
            if "result" not in body:
                continue
            assert signature_holds(body["result"], key, tmp_path), exchange["what"]
            assert json.loads(decode64(body["result"].split(".")[0]))["alg"] == "ES256"
            assert decode64(claims(body["result"])["eat_nonce"]) == decode64(body["nonce"]), exchange["what"]
            seen += 1
    assert seen > 10


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_session_has_the_nonce_of_its_request(folder):
    seen = 0
    for exchange in exchanges(folder, "new-session"):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(exchange["request"]["path"]).query)
        if exchange["response"]["status"] != 201:
            continue
        session = json.loads(exchange["response"]["body"])
        assert session["status"] == "waiting"
        if "nonce" in query:
            assert decode64(session["nonce"]) == decode64(query["nonce"][0]), exchange["what"]
            seen += 1
        # v0.0.2602 writes standard base64 with padding, main base64url without.
        written = base64.standard_b64encode if folder.startswith("v") else base64.urlsafe_b64encode
        padding = "" if folder.startswith("v") else "="
        assert session["nonce"] == written(decode64(session["nonce"])).decode().rstrip(padding or "\0")
    assert seen >= 4


@pytest.mark.parametrize("folder", FOLDERS)
def test_good_evidence_is_affirmed_and_damaged_is_not(folder):
    status = {}
    for exchange in exchanges(folder, "parsec-tpm"):
        body = json.loads(exchange["response"]["body"])
        if "result" in body:
            status[exchange["what"]] = claims(body["result"])["submods"]["PARSEC_TPM"]["ear.status"]
    assert status["good evidence over the session nonce"] == "affirming"
    for damaged in ("signature of pat broken", "signature of kat broken", "pubArea of another key", "kid unknown"):
        assert status[damaged] == "contraindicated", damaged
    assert status.get("PCR 3 extended") in (None, "none")
