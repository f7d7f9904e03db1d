"""A real Veraison judges evidence of a software TPM that was made, and endorsed, without the library."""
import json
import os

import pytest

import parsec_tpm
from parsec_tpm import AK, IK, MEDIA_TYPE, PROFILE
from test_veraison_recorded import claims, signature_holds
from veraison_lab import Veraison, b64url, decode64

PADDING = {0: "", 1: "===", 2: "==", 3: "="}


def query(nonce):
    """Padded base64url: the only form that every release takes."""
    text = b64url(nonce)
    return f"?nonce={text}{PADDING[len(text) % 4]}"


@pytest.fixture(scope="module", params=["http", "https"])
def veraison(request, tmp_path_factory):
    peer = Veraison()
    peer.start(tmp_path_factory.mktemp("veraison"), tls=request.param == "https")
    peer.older = "corim-unsigned" in peer.corim_type(PROFILE)
    yield peer
    peer.stop()


@pytest.fixture
def tpm(tmp_path):
    # The path of a socket may have 107 bytes, which pytest's own directories can exceed.
    link = f"/tmp/atls-interop-{os.getpid()}"
    os.symlink(tmp_path, link)
    device = None
    try:
        device = parsec_tpm.Tpm(f"{link}/tpm")
        device.make_keys()
        yield device
    finally:
        if device is not None:
            device.stop()
        os.unlink(link)


def provision(veraison, ak_pem, references, kid=None):
    corim = parsec_tpm.corim(ak_pem, references, kid, veraison.older)
    answer = veraison.provision(corim, veraison.corim_type(PROFILE))
    assert answer.status == 200
    return answer.json()


def judge(veraison, nonce, evidence):
    opened = veraison.new_session(query(nonce))
    assert opened.status == 201
    return veraison.submit(opened, parsec_tpm.cbor(evidence), MEDIA_TYPE)


def test_discovery(veraison):
    answer = veraison.discover("verification")
    assert answer.type == "application/vnd.veraison.discovery+json"
    assert answer.json()["ear-verification-key"] == veraison.ear_key
    assert MEDIA_TYPE in answer.json()["media-types"]
    assert answer.json()["api-endpoints"] == {"newChallengeResponseSession": "/challenge-response/v1/newSession"}
    assert veraison.discover("verification", "application/json").status == 406
    assert veraison.discover("provisioning").json()["api-endpoints"] == {
        "provisioningSubmit": "/endorsement-provisioning/v1/submit"}


@pytest.mark.parametrize("size", [8, 32, 48, 64])
def test_a_session_has_the_nonce_of_the_relying_party(veraison, size):
    nonce = b"\xfb\xff" + os.urandom(size - 2)  # differs in the two alphabets
    opened = veraison.new_session(query(nonce))
    assert opened.status == 201
    assert opened.headers["Location"].startswith("session/")
    assert decode64(opened.json()["nonce"]) == nonce
    assert MEDIA_TYPE in opened.json()["accept"]


@pytest.mark.parametrize("bad", ["?nonce=" + b64url(bytes(7)) + "==", "?nonceSize=65", "?nonce=!", "?nonceSize=7"])
def test_a_bad_nonce_is_a_problem(veraison, bad):
    answer = veraison.new_session(bad)
    assert (answer.status, answer.type) == (400, "application/problem+json")
    assert answer.json()["status"] == 400


def test_swtpm_evidence_is_affirmed(veraison, tpm, tmp_path):
    _, ak_pem = tpm.public(AK)
    assert provision(veraison, ak_pem, tpm.pcrs("sha256", range(8)))["status"] == "success"
    nonce = os.urandom(32)
    answer = judge(veraison, nonce, parsec_tpm.evidence(tpm, nonce))
    session = answer.json()
    assert (answer.status, session["status"]) == (200, "complete")
    assert signature_holds(session["result"], veraison.ear_key, tmp_path)
    ear = claims(session["result"])
    appraisal = ear["submods"]["PARSEC_TPM"]
    assert appraisal["ear.status"] == "affirming"
    assert decode64(ear["eat_nonce"]) == nonce
    identity = parsec_tpm.spki(tpm.public(IK)[1])
    assert decode64(appraisal["ear.veraison.key-attestation"]["akpub"]) == identity

    tpm.extend(3)
    answer = judge(veraison, nonce, parsec_tpm.evidence(tpm, nonce))
    if veraison.older:  # a PCR that does not match is a fault of the verifier there
        assert answer.status == 500
    else:
        assert claims(answer.json()["result"])["submods"]["PARSEC_TPM"]["ear.status"] == "none"


def test_an_unknown_or_damaged_attestation_key_is_refused(veraison, tpm):
    nonce = os.urandom(32)
    evidence = parsec_tpm.evidence(tpm, nonce)

    def status():
        result = judge(veraison, nonce, evidence).json()["result"]
        return claims(result)["submods"]["PARSEC_TPM"]["ear.status"]

    assert status() == "contraindicated"
    _, ak_pem = tpm.public(AK)
    assert provision(veraison, ak_pem, tpm.pcrs("sha256", range(8)))["status"] == "success"
    assert status() == "affirming"
    signature = evidence["pat"]["sig"]
    evidence["pat"]["sig"] = signature[:-1] + bytes([signature[-1] ^ 1])
    assert status() == "contraindicated"


def test_the_life_of_a_session(veraison):
    opened = veraison.new_session("?nonceSize=64")
    url, accept = veraison.session_url(opened), {"Accept": opened.type}
    assert veraison.submit(opened, b"x", "application/octet-stream").status == 415
    assert json.loads(veraison.call("GET", url, headers=accept).body)["status"] == "waiting"
    assert veraison.call("DELETE", url).status == 204
    assert veraison.call("GET", url, headers=accept).status == 404
