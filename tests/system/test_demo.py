"""atls demo does what it says, and leaves nothing behind."""
import json
import os
import subprocess
import tempfile

import pytest

from conftest import ATLS, UNKNOWN, USAGE, YES, need, run

# What must be refused, and is refused for another reason on each technology.
SLUGS = {
    "snp": {"nonce-mismatch", "policy-debug-enabled", "certificate-revoked", "tcb-too-old", "crl-expired", "untrusted-root"},
    "tdx": {"nonce-mismatch", "td-debug", "certificate-revoked", "tcb-out-of-date", "collateral-expired", "untrusted-root"},
    "cca": {"nonce-mismatch", "lifecycle", "untrusted-key"},
}


def demo(*arguments, env=None):
    """(exit status, lines, standard error, what is left of the directory)"""
    # Sockets have short names: tmp_path is too deep.
    with tempfile.TemporaryDirectory(prefix="d", dir="/tmp") as parent:
        done = subprocess.run([ATLS, "demo", "--json", *arguments], capture_output=True, timeout=200, check=False,
                              env={**os.environ, "TMPDIR": parent, **(env or {})})
        left = os.listdir(parent)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode(), left


def test_every_check_comes_out_right():
    need("swtpm", "swtpm_setup", "swtpm_localca")
    status, lines, errors, left = demo()
    assert status == YES, (lines, errors)
    assert [line["check"] for line in lines if not line["ok"]] == []
    assert len(lines) >= 25
    assert {line.get("flavour") for line in lines[2:]} == {"post"} and not any("gap" in line for line in lines)
    assert left == []


@pytest.mark.parametrize("flavour", ["post", "intra", "pre", "all"])
def test_flavours(flavour):
    need("swtpm", "swtpm_setup", "swtpm_localca")
    status, lines, errors, left = demo("--flavour", flavour)
    assert status == YES, (lines, errors)
    assert [line["check"] for line in lines if not line["ok"]] == []
    assert left == []
    variants = {"post": ["post"], "intra": ["intra"], "pre": ["pre nonce", "pre none"]}
    variants["all"] = sum(variants.values(), [])
    found = {}
    for line in lines[2:]:
        found.setdefault(f"{line['flavour']} {line.get('freshness', '')}".strip(), []).append(line)
    assert sorted(found) == sorted(variants[flavour])
    # Server, client and both, by each verifier; and what each of them must refuse.
    good = {"post": 9, "intra": 10, "pre nonce": 9, "pre none": 3}
    gaps = {"post": 0, "intra": 0, "pre nonce": 1, "pre none": 3}
    for variant, of in found.items():
        text = "".join(line["detail"] for line in of)
        assert sum("affirming" in line["detail"] for line in of) == good[variant], of
        assert sum(line.get("gap", False) for line in of) == gaps[variant], of
        assert all(f"[{slug}]" in text for slug in ("nonce-mismatch", "key-binding-mismatch", "equal-keys")), of
        assert ("PCR 7" in text) == (variant != "pre none"), of
        assert ("[tls-resumed]" in text) == (variant != "post"), of


def test_what_pre_does_not_stop_is_said_with_what_does():
    need("swtpm", "swtpm_setup", "swtpm_localca")
    text = run("demo", "--flavour", "pre").stdout.decode()
    passes = [line for line in text.splitlines() if line.startswith("passes  ")]
    assert len(passes) == 4 and text.count("what stops it: --f") == 4 and "FAILED" not in text


@pytest.mark.parametrize("tee", SLUGS)
def test_confidential_machines(fuse, tee):
    status, lines, errors, left = demo("--tee", tee)
    assert status == YES, (lines, errors)
    assert [line["check"] for line in lines if not line["ok"]] == []
    assert sum("affirming" in line["detail"] for line in lines) == 10  # three ways, three topologies, a policy
    text = "".join(line["detail"] for line in lines)
    assert all(f"[{slug}]" in text for slug in SLUGS[tee]), text
    assert "not listed [policy]" in text and "no reference value" in text
    assert left == []


def test_without_fuse_it_says_so(tmp_path):
    """A simulator that makes machines and cannot mount them, as without /dev/fuse."""
    simulator = tmp_path / "atls-tee-sim"
    simulator.write_text("#!/bin/sh\n[ \"$1\" = init ] && exit 0\necho 'report: cannot be mounted' >&2\nexit 2\n")
    simulator.chmod(0o755)
    status, lines, errors, left = demo("--tee", "tdx", env={"ATLS_TEE_SIM": str(simulator)})
    assert (status, lines, left) == (UNKNOWN, [], [])
    assert "need FUSE: report: cannot be mounted" in errors
    status, lines, errors, left = demo("--tee", "tdx", env={"ATLS_TEE_SIM": "/nonexistent/sim"})
    assert (status, lines, left) == (UNKNOWN, [], []) and "/nonexistent/sim is not installed" in errors


def test_other_flavours_are_a_usage_error():
    assert b"want post, intra, pre or all" in run("demo", "--flavour", "late", status=USAGE).stderr
    assert b"not with --tee" in run("demo", "--flavour", "pre", "--tee", "snp", status=USAGE).stderr


def test_other_technologies_are_a_usage_error():
    assert b"want snp, tdx or cca" in run("demo", "--tee", "sgx", status=USAGE).stderr


def test_text_for_people():
    need("swtpm", "swtpm_setup", "swtpm_localca")
    text = run("demo").stdout.decode()
    assert "\x1b" not in text and "FAILED" not in text
    assert "PCR 7" in text and "checks as expected, 0 not" in text
