"""Tokens of ours held against implementations of others, and theirs against ours."""
import hashlib
import json
import os

import pytest

from conftest import REFUSED, UNKNOWN, run, tool

cbor2 = pytest.importorskip("cbor2", reason="not installed: python3-cbor2")
jwk = pytest.importorskip("jwcrypto.jwk", reason="not installed: python3-jwcrypto")
jws = pytest.importorskip("jwcrypto.jws")
from cryptography.exceptions import InvalidSignature  # noqa: E402 (jwcrypto brings it)
from cryptography.hazmat.primitives import hashes  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils  # noqa: E402

NONCE = b"nonce".ljust(32, b"\0")
ALGORITHMS = ["ES256", "ES384", "EdDSA"]
PROFILES = {"2023": "tag:github.com,2023:veraison/ear", "02": "tag:ietf.org,2025-07:ear",
            "03": "tag:ietf.org,2026:rats/ear#03", "04": "tag:ietf.org,2026:rats/ear#04"}
COSE = {"ES256": -7, "ES384": -35, "EdDSA": -8}
TIME = "2023-11-14T22:13:20Z"


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tokens")
    tool(os.environ["ATLS_TOKENS"], directory)
    return directory


def key_of(directory, algorithm):
    return jwk.JWK.from_json((directory / f"{algorithm}.jwk").read_text())


def verify(key, token, *extra, **options):
    return run("ear", "verify", "--key", key, "--max-age", "60", "--time", TIME, "--json", *extra, token, **options)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_jwt_verifies_with_jwcrypto(tokens, algorithm, profile):
    token = jws.JWS()
    token.allowed_algs = [algorithm]
    token.deserialize((tokens / f"{algorithm}-{profile}.jwt").read_text())
    token.verify(key_of(tokens, algorithm))
    assert token.jose_header == {"alg": algorithm, "typ": "JWT", "kid": algorithm}
    claims = json.loads(token.payload)
    assert claims["eat_profile"] == PROFILES[profile]
    assert claims["exp"] == claims["iat"] + 300
    submod = claims["submods"]["TPM"]
    assert submod["ear.status" if profile in ("2023", "02") else "ear_status"] == "affirming"
    own = json.loads(verify(tokens / f"{algorithm}.jwk", tokens / f"{algorithm}-{profile}.jwt").stdout)
    assert own["claims"] == claims
    with pytest.raises(jws.InvalidJWSSignature):
        token.verify(jwk.JWK.generate(kty="EC", crv="P-256", alg="ES256"))


def check_cose(key, algorithm, signed, signature):
    """RFC 9053 section 2.1 and 2.2."""
    if algorithm == "EdDSA":
        assert isinstance(key, ed25519.Ed25519PublicKey)
        key.verify(signature, signed)
        return
    half = len(signature) // 2
    assert half == {"ES256": 32, "ES384": 48}[algorithm]
    der = utils.encode_dss_signature(int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))
    key.verify(der, signed, ec.ECDSA({"ES256": hashes.SHA256(), "ES384": hashes.SHA384()}[algorithm]))


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_cwt_verifies_by_hand(tokens, algorithm, profile):
    cwt = cbor2.loads((tokens / f"{algorithm}-{profile}.cwt").read_bytes())
    assert cwt.tag == 61 and cwt.value.tag == 18
    protected, unprotected, payload, signature = cwt.value.value
    assert cbor2.loads(protected) == {1: COSE[algorithm], 3: 263}
    assert unprotected == {4: algorithm.encode()}
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    key = key_of(tokens, algorithm).get_op_key("verify")
    check_cose(key, algorithm, signed, signature)
    with pytest.raises(InvalidSignature):
        check_cose(key, algorithm, signed + b"\0", signature)

    claims = cbor2.loads(payload)
    assert cbor2.dumps(claims) == payload  # definite lengths, shortest heads
    assert claims[265] == PROFILES[profile]
    assert claims[4] == claims[6] + 300
    assert claims[10] == NONCE
    assert claims[1004][0] == "libatls"
    assert (1000 in claims) == (profile in ("03", "04"))
    submod = claims[266]["TPM"]
    assert submod[1000] == 2
    assert submod[1001] == {0: 0, 1: 0, 2: 3, 3: 0, 4: 0, 5: 0, 6: 0, 7: 0}
    assert submod[1003] == ("policy:test" if profile in ("2023", "02") else ["policy:test"])
    attester, verifier = (1005, 1006) if profile == "04" else (-70000, -70001)
    assert submod[attester]["technology"] == "tpm"
    assert submod[verifier]["insecure"] is False
    assert len(hashlib.sha256(submod[-70002]["akpub"]).digest()) == 32


@pytest.mark.parametrize("form", ["jwt", "cwt"])
def test_nonce_and_key_are_ours_to_name(tokens, form):
    token = tokens / f"ES256-04.{form}"
    keys = tokens / "keys.json"
    keys.write_text(json.dumps({"keys": [json.loads((tokens / f"{a}.jwk").read_text()) for a in ALGORITHMS]}))
    assert json.loads(verify(keys, token, "--nonce", NONCE.hex()).stdout)["verified"] is True
    refused = verify(keys, token, "--nonce", NONCE[::-1].hex(), status=REFUSED)
    assert b"nonce-mismatch" in refused.stdout + refused.stderr
    refused = verify(tokens / "ES384.jwk", token, status=REFUSED)
    assert b"kid-mismatch" in refused.stdout + refused.stderr
    pem = tokens / "key.pem"
    pem.write_bytes(key_of(tokens, "ES256").export_to_pem())
    verify(pem, token)
    run("ear", "verify", "--key", pem, "--max-age", "60", token, status=REFUSED)  # issued years ago
    shown = json.loads(run("ear", "show", "--json", token).stdout)
    assert shown["verified"] is False
    assert shown["claims"]["submods"]["TPM"]["ear_status"] == "affirming"


CLAIMS = {"eat_profile": PROFILES["2023"], "iat": 1700000000, "eat_nonce": "bm9uY2Vub25jZQ==",
          "ear.verifier-id": {"build": "v1", "developer": "Veraison Project"},
          "submods": {"PSA_IOT": {"ear.status": "affirming", "ear.appraisal-policy-id": "policy:PSA_IOT",
                                  "ear.trustworthiness-vector": {"hardware": 2}}}}


@pytest.mark.parametrize("parameters", [{"kty": "EC", "crv": "P-256"}, {"kty": "EC", "crv": "P-384"},
                                        {"kty": "EC", "crv": "P-521"}, {"kty": "OKP", "crv": "Ed25519"},
                                        {"kty": "RSA", "size": 2048}], ids=lambda p: p.get("crv", "RSA"))
def test_jwt_of_jwcrypto_verifies(tmp_path, parameters):
    algorithm = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA"}.get(
        parameters.get("crv"), "PS256")
    key = jwk.JWK.generate(**parameters, kid="theirs")
    token = jws.JWS(json.dumps(CLAIMS))
    token.add_signature(key, None, json.dumps({"alg": algorithm, "typ": "JWT", "kid": "theirs"}))
    (tmp_path / "ear.jwt").write_text(token.serialize(compact=True))
    (tmp_path / "key.jwk").write_text(key.export_public())
    (tmp_path / "private.jwk").write_text(key.export_private())
    shown = json.loads(verify(tmp_path / "key.jwk", tmp_path / "ear.jwt", "--nonce", b"noncenonce".hex()).stdout)
    assert shown["claims"] == CLAIMS
    other = jwk.JWK.generate(**parameters, kid="theirs")
    (tmp_path / "other.jwk").write_text(other.export_public())
    verify(tmp_path / "other.jwk", tmp_path / "ear.jwt", status=REFUSED)
    done = verify(tmp_path / "private.jwk", tmp_path / "ear.jwt", status=UNKNOWN)
    assert b"private" in done.stdout + done.stderr


def test_cwt_of_cbor2_verifies(tmp_path):
    key = jwk.JWK.generate(kty="OKP", crv="Ed25519")
    protected = cbor2.dumps({1: -8})
    payload = cbor2.dumps({265: PROFILES["04"], 6: 1700000000, 1004: {0: "d", 1: "b"},
                           266: {"TPM": {1000: 32, 1001: {2: 33}, 1005: {"temperature": 21.5, 7: [None, b"\1"]}}}})
    signature = key.get_op_key("sign").sign(cbor2.dumps(["Signature1", protected, b"", payload]))
    token = tmp_path / "ear.cwt"
    token.write_bytes(cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature])))
    (tmp_path / "key.jwk").write_text(key.export_public())
    shown = json.loads(verify(tmp_path / "key.jwk", token).stdout)
    assert shown["claims"]["submods"]["TPM"]["ear_status"] == "warning"
    assert shown["claims"]["submods"]["TPM"]["ear_attester_claims"] == {"temperature": "21.5", "7": [None, "01"]}
    token.write_bytes(cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload + b"", bytes([signature[0] ^ 1]) + signature[1:]])))
    verify(tmp_path / "key.jwk", token, status=REFUSED)
