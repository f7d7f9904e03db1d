"""What is wrong with tokens, manifests and evidence of others is refused: exit status 3, and one line that says
where, by which rule, and the slug. What is wrong with the caller's own keys is not the other's fault."""
import pathlib
import re

import pytest

from conftest import REFUSED, UNKNOWN, USAGE, run

VECTORS = pathlib.Path(__file__).resolve().parent.parent / "vectors"
EAR = VECTORS / "ear"
KEY = EAR / "veraison-pkey.json"


def one_line(done):
    """Nothing on standard output, one line on standard error."""
    text = done.stderr.decode()
    assert done.stdout == b"" and text.endswith("\n") and text.count("\n") == 1, (done.stdout, text)
    return text


def refused(done, where, slug):
    text = one_line(done)
    assert ": refused: " in text and where in text, text
    assert re.search(r"\[([a-z0-9-]+)\]$", text)[1] == slug, text


@pytest.mark.parametrize("name, where, slug", [
    ("jwt-neg-alg-none.jwt", "JWS: signature is empty", "malformed"),
    ("jwt-neg-hs256.jwt", 'JWS header: alg "HS256"', "signature"),
    ("jwt-neg-leading-dot.jwt", "JWS: more than three segments", "malformed"),
    ("jwt-neg-trailing.jwt", "JWS: more than three segments", "malformed"),
    ("jwt-neg-empty-claims.jwt", '"eat_profile"', "malformed"),
    ("c-ear.jwt", '"iat"', "malformed"),
    ("draft-opa.jwt", '"iat"', "malformed"),
    ("jwt-pass-1.jwt", '"akpub"', "malformed"),
    ("ear-claims.json", "JWS: ", "malformed"),
    ("ear-cbor-1.cbor", "COSE_Sign1: no tag", "malformed"),
])
def test_results_of_others_that_are_refused(name, where, slug):
    refused(run("ear", "verify", "--key", KEY, "--max-age", "any", EAR / name, status=REFUSED), where, slug)


@pytest.mark.parametrize("name", ["arc-testJWT.jwt", "arc-testJWT-embedded-jwk.jwt"])
def test_results_of_others_that_verify(name):
    run("ear", "verify", "--key", KEY, "--max-age", "any", EAR / name)


def test_a_result_with_times_in_floats_verifies_when_that_is_asked_for():
    run("ear", "verify", "--float-times", "--key", EAR / "c-ear-pkey.pem", "--max-age", "any", EAR / "c-ear.jwt")


@pytest.mark.parametrize("options, where, slug", [
    (["--time", "2020-01-01T00:00:00Z", "--max-age", "any"], "it is 1577836800", "certificate-not-yet-valid"),
    (["--max-age", "60"], "want at most 60", "certificate-expired"),
    (["--max-age", "any", "--nonce", "00" * 32], "nonce", "nonce-mismatch"),
])
def test_a_result_of_another_time_or_for_another_question(options, where, slug):
    refused(run("ear", "verify", "--key", KEY, *options, EAR / "arc-testJWT.jwt", status=REFUSED), where, slug)


def test_the_callers_own_key_is_not_the_tokens_fault(tmp_path):
    (tmp_path / "key.jwk").write_text("{")
    text = one_line(run("ear", "verify", "--key", tmp_path / "key.jwk", "--max-age", "any", EAR / "arc-testJWT.jwt",
                        status=UNKNOWN))
    assert "refused" not in text
    run("ear", "verify", "--key", KEY, "--max-age", "soon", EAR / "arc-testJWT.jwt", status=USAGE)


@pytest.fixture(name="corim_key")
def fixture_corim_key(tmp_path):
    """The published key says that it encrypts."""
    path = tmp_path / "signer.jwk"
    path.write_text((VECTORS / "corim" / "signed-good-pub.jwk").read_text().replace('"enc"', '"sig"'))
    return path


@pytest.mark.parametrize("name, where, slug", [
    ("corim/signed-good-corim.cbor", "valid until 1767139200", "certificate-expired"),
    ("corim/unsigned-good-corim.cbor", "not signed", "signature"),
    ("corim/comid-1.cbor", "CoRIM envelope", "malformed"),
    ("corim/README.md", "CoRIM envelope", "malformed"),
    ("cmw/signed-neg-truncated.cbor", "truncated at byte 2 of 10", "malformed"),
    ("eat/psa.good.cose", "CoRIM signature: content type", "malformed"),
])
def test_manifests_that_are_refused(name, where, slug, corim_key):
    refused(run("corim", "verify", "--key", corim_key, "--time", "2026-06-01T00:00:00Z", VECTORS / name,
                status=REFUSED), where, slug)


def test_a_manifest_of_an_old_tool_is_refused_by_name(corim_key):
    for name in ("legacy-signed-corim-valid.cbor", "legacy-signed-corim-empty-payload.cbor"):
        text = one_line(run("corim", "verify", "--key", corim_key, VECTORS / "corim" / name, status=REFUSED))
        assert "payload is not tag 501" in text
    run("corim", "verify", "--legacy", "--key", corim_key, "--time", "2025-06-01T00:00:00Z",
        VECTORS / "corim" / "legacy-signed-corim-valid.cbor")


def test_one_octet_more_or_less_of_a_manifest(tmp_path, corim_key):
    whole = (VECTORS / "corim" / "signed-good-corim.cbor").read_bytes()
    when = ["--time", "2025-06-01T00:00:00Z"]
    run("corim", "verify", "--key", corim_key, *when, VECTORS / "corim" / "signed-good-corim.cbor")
    for name, content, slug in (("short", whole[:-1], "malformed"), ("long", whole + b"\0", "malformed"),
                                ("changed", whole[:-1] + bytes([whole[-1] ^ 1]), "signature")):
        (tmp_path / name).write_bytes(content)
        refused(run("corim", "verify", "--key", corim_key, *when, tmp_path / name, status=REFUSED), "CoRIM" if
                slug == "signature" else "CBOR", slug)
