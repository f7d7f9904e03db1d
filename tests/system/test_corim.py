"""Manifests on the command line: certificates in signatures, keys in several forms, time, revocation."""
import base64
import json

import pytest

from conftest import REFUSED, UNKNOWN, USAGE, run, tool

TEMPLATE = {"id": "https://example.org/machines", "tag-id": "machines",
            "class": "31fb5abf-023e-4992-aa4e-95f9c1503bfa",
            "reference-values": {"sha256": {"0": "00" * 32}}}
EXTENSIONS = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=codeSigning\n"


def openssl(*arguments):
    return tool("openssl", *arguments)


def new_key(path):
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)


def authority(directory, name):
    key, certificate = directory / f"{name}.key", directory / f"{name}.pem"
    new_key(key)
    openssl("req", "-x509", "-new", "-key", key, "-out", certificate, "-subj", f"/CN={name}", "-days", "30",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    return key, certificate


def jwk(key):
    der = tool("openssl", "pkey", "-in", key, "-pubout", "-outform", "DER")
    x, y = (base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (der[-64:-32], der[-32:]))
    return json.dumps({"kty": "EC", "crv": "P-256", "x": x, "y": y})


@pytest.fixture
def lab(tmp_path):
    """root issued signer; m.cbor is a manifest, m.signed the same with the signer's certificate."""
    root_key, root = authority(tmp_path, "root")
    new_key(tmp_path / "signer.key")
    (tmp_path / "extensions").write_text(EXTENSIONS)
    openssl("req", "-new", "-key", tmp_path / "signer.key", "-subj", "/CN=signer", "-out", tmp_path / "signer.csr")
    openssl("x509", "-req", "-in", tmp_path / "signer.csr", "-CA", root, "-CAkey", root_key, "-days", "10",
            "-extfile", tmp_path / "extensions", "-out", tmp_path / "signer.pem")
    (tmp_path / "t.json").write_text(json.dumps(TEMPLATE))
    run("corim", "create", "--template", tmp_path / "t.json", "--out", tmp_path / "m.cbor")
    run("corim", "sign", "--key", tmp_path / "signer.key", "--chain", tmp_path / "signer.pem", "--signer", "Example",
        "--out", tmp_path / "m.signed", tmp_path / "m.cbor")
    return tmp_path


def test_a_signer_below_an_anchor_is_trusted(lab):
    run("corim", "verify", "--anchor", lab / "root.pem", lab / "m.signed")
    _, other = authority(lab, "other")
    refused = run("corim", "verify", "--anchor", other, lab / "m.signed", status=REFUSED)
    assert b"untrusted-root" in refused.stderr
    run("corim", "verify", "--anchor", other, "--anchor", lab / "root.pem", lab / "m.signed")
    shown = json.loads(run("corim", "show", "--json", lab / "m.signed").stdout)
    assert shown["verified"] is False and len(shown["signed"]["x5chain"]) == 1


def test_certificates_of_another_key_do_not_go_into_a_signature(lab):
    run("corim", "sign", "--key", lab / "signer.key", "--chain", lab / "root.pem", "--signer", "Example",
        lab / "m.cbor", status=USAGE)


def test_an_unsigned_manifest_and_one_without_certificates(lab):
    refused = run("corim", "verify", "--anchor", lab / "root.pem", lab / "m.cbor", status=REFUSED)
    assert b"not signed" in refused.stderr
    run("corim", "sign", "--key", lab / "signer.key", "--signer", "Example", "--out", lab / "bare", lab / "m.cbor")
    refused = run("corim", "verify", "--anchor", lab / "root.pem", lab / "bare", status=REFUSED)
    assert b"x5chain" in refused.stderr
    run("corim", "verify", "--key", lab / "signer.pem", "--anchor", lab / "root.pem", lab / "bare")


def test_the_time_can_be_named(lab):
    refused = run("corim", "verify", "--anchor", lab / "root.pem", "--time", "2000-01-01T00:00:00Z", lab / "m.signed",
                  status=REFUSED)
    assert b"certificate-not-yet-valid" in refused.stderr
    refused = run("corim", "verify", "--anchor", lab / "root.pem", "--time", "2099-01-01T00:00:00Z", lab / "m.signed",
                  status=REFUSED)
    assert b"certificate-expired" in refused.stderr
    run("corim", "verify", "--anchor", lab / "root.pem", "--time", "yesterday", lab / "m.signed", status=USAGE)


def test_a_revoked_signer(lab):
    (lab / "index").write_text("")
    (lab / "number").write_text("01\n")
    (lab / "ca.conf").write_text(f"[ca]\ndefault_ca=c\n[c]\ndatabase={lab / 'index'}\ncrlnumber={lab / 'number'}\n"
                                 "default_md=sha256\ndefault_crl_days=5\n")
    common = ["ca", "-config", lab / "ca.conf", "-keyfile", lab / "root.key", "-cert", lab / "root.pem"]
    openssl(*common, "-gencrl", "-out", lab / "empty.crl")
    openssl(*common, "-revoke", lab / "signer.pem")
    openssl(*common, "-gencrl", "-out", lab / "list.crl")
    run("corim", "verify", "--anchor", lab / "root.pem", "--crl", lab / "empty.crl", lab / "m.signed")
    refused = run("corim", "verify", "--anchor", lab / "root.pem", "--crl", lab / "list.crl", lab / "m.signed",
                  status=REFUSED)
    assert b"certificate-revoked" in refused.stderr


def test_a_key_in_every_form(lab):
    openssl("pkey", "-in", lab / "signer.key", "-pubout", "-out", lab / "public.pem")
    openssl("pkey", "-in", lab / "signer.key", "-pubout", "-outform", "DER", "-out", lab / "public.der")
    (lab / "public.jwk").write_text(jwk(lab / "signer.key"))
    for name in ("public.pem", "public.der", "public.jwk", "signer.pem"):
        run("corim", "verify", "--key", lab / name, lab / "m.signed")
    run("corim", "verify", "--signer-key", lab / "public.pem", lab / "m.signed")
    (lab / "root.jwk").write_text(jwk(lab / "root.key"))
    run("corim", "verify", "--key", lab / "root.jwk", lab / "m.signed", status=REFUSED)
    (lab / "broken.jwk").write_text("{")
    run("corim", "verify", "--key", lab / "broken.jwk", lab / "m.signed", status=UNKNOWN)


def test_usage(lab):
    run("corim", "verify", lab / "m.signed", status=USAGE)
    run("corim", "verify", "--key", "a", "--signer-key", "b", lab / "m.signed", status=USAGE)
    run("corim", "verify", "--crl", lab / "root.pem", lab / "m.signed", status=USAGE)
    run("corim", "verify", "--anchor", lab / "nonexistent", lab / "m.signed", status=UNKNOWN)
