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
    assert left == []


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


def test_other_technologies_are_a_usage_error():
    assert b"want snp, tdx or cca" in run("demo", "--tee", "sgx", status=USAGE).stderr


def test_text_for_people():
    need("swtpm", "swtpm_setup", "swtpm_localca")
    text = run("demo").stdout.decode()
    assert "\x1b" not in text and "FAILED" not in text
    assert "PCR 7" in text and "checks as expected, 0 not" in text
