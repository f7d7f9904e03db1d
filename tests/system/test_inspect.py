"""What `atls inspect` says about published tokens, to people and to programs."""
import json
import pathlib

import pytest

from conftest import UNKNOWN, run

VECTORS = pathlib.Path(__file__).resolve().parent.parent / "vectors"
EAT = VECTORS / "eat"


@pytest.mark.parametrize("name, kind, lines", [
    ("eat-valid_cwt.cbor", "eat", ["  envelope: cwt", "    dbgstat: disabled-permanently", "    oemid: 64242"]),
    ("eat-valid_results.json", "eat", ["    swname: Acme R-IoT-OS", "    dbgstat: disabled-since-boot"]),
    ("psa.good.cose", "psa", ["    profile: http://arm.com/psa/2.0.0", "      state: secured"]),
    ("psa-iot-1_sign1.bin", "psa", ["    profile: PSA_IOT_PROFILE_1", "    client-id: 3002"]),
    ("cca-good.cbor", "cca", ["    profile: tag:arm.com,2023:realm#1.0.0", "    hash-algorithm: sha-256"]),
])
def test_tokens_are_shown_by_the_names_of_their_claims(name, kind, lines):
    text = run("inspect", EAT / name).stdout.decode().splitlines()
    assert text[:2] == ["verified: false", f"kind: {kind}"]
    assert all(line in text for line in lines)
    shown = json.loads(run("inspect", "--json", EAT / name).stdout)
    assert shown["verified"] is False and shown["kind"] == kind
    assert run("inspect", "--kind", kind, EAT / name).stdout.decode().splitlines() == text


@pytest.mark.parametrize("name, kind, lines", [
    ("sev-snp/aws-vlek/report.bin", "snp-report", ["  signing-key: vlek", "    product-line: Milan"]),
    ("tdx/v4-debug-td/quote.bin", "tdx-quote", ["  tee: TDX", "    debug: true"]),
    ("tdx/sgx-v3-not-tdx/quote.bin", "sgx-quote", ["  tee: SGX"]),
    ("tdx/v4-uptodate/tcb_info.json", "intel-collateral", ["  document: tcbInfo", "    - OutOfDate"]),
    ("tdx/v4-uptodate/pck_crl.der", "crl", ["  next-update: 2025-07-19T10:00:35Z"]),
    ("sev-snp/azure-milan-v2/hcl_report.bin", "hcl-report", ["  tee: SNP", "    signing-key: vcek"]),
    ("cca/tf-rmm/cpak_pub.pem", "public-key", ["  type: EC P-384"]),
])
def test_evidence_and_collateral_of_confidential_computing(name, kind, lines):
    text = run("inspect", VECTORS / name).stdout.decode().splitlines()
    assert text[:2] == ["verified: false", f"kind: {kind}"]
    assert all(line in text for line in lines)


def test_every_kind_of_the_usage_is_known():
    usage = run("inspect", "--help").stdout.decode()
    kinds = usage.split("  --kind KIND")[1].split(";")[0].replace(" or ", ", ").split(",")
    assert len(kinds) >= 42
    for kind in kinds:
        done = run("inspect", "--kind", kind.strip(), "-", stdin=b"\x00", status=None)
        assert b"is not known" not in done.stderr, kind


def test_claims_that_are_not_registered_are_in_diagnostic_notation():
    content = json.loads(run("inspect", "--json", "--kind", "eat", EAT / "kat-kat-ex-1.cbor").stdout)["content"]
    other = content["claims"]["other-claims"]
    assert content["envelope"] == "none"
    assert [claim["key"] for claim in other] == [2500]
    assert other[0]["value"]["diagnostic"].startswith("{1: 2, -1: 1, -2: h'f0fffa7b")


@pytest.mark.parametrize("name, kind, why", [
    ("P2ClaimsMissingMandatoryNonce.cbor", "psa", b"want 18 (COSE_Sign1)"),
    ("psa.good.cose", "cca", b"neither tag 399 nor tag 907"),
    ("cca-good.cbor", "eat", b"tag 399"),
])
def test_what_is_no_such_token_is_not_shown(name, kind, why):
    done = run("inspect", "--kind", kind, EAT / name, status=UNKNOWN)
    assert done.stdout == b"" and why in done.stderr
