"""A verifier elsewhere that is not there, or says nothing: then nothing is known of the peer."""
import os
import socket

import pytest

from conftest import REFUSED, UNKNOWN, USAGE, run


@pytest.fixture
def evidence(tmp_path):
    """Evidence over one binder, and the options that judge it."""
    binder = os.urandom(32).hex()
    run("evidence", "--attester", "soft:", "--insecure-soft", "--binder", binder, "--out", tmp_path / "e.cbor",
        "--aik-out", tmp_path / "aik.der")
    (tmp_path / "keys.jwk").write_text(
        '{"kty":"EC","crv":"P-256","x":"_ZWezbMeWLMlRSMaoV-ssY2y3hXPoHuU8ywU31vtWPg",'
        '"y":"X5M-b0lgVbXtP-GpnSXYd8HU0XugeUmNVZy1AV3WpO8"}')
    return ["appraise", "--evidence", tmp_path / "e.cbor", "--aik", tmp_path / "aik.der", "--insecure-soft",
            "--result-keys", tmp_path / "keys.jwk", "--binder", binder]


@pytest.fixture
def silent():
    """The port of somebody who listens and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_nobody_listens(evidence):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done = run(*evidence, "--verifier", f"veraison:http://127.0.0.1:{port}", status=UNKNOWN)
    assert b"not available now" in done.stderr and str(port).encode() in done.stderr


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_nobody_answers(evidence, silent, scheme):
    done = run(*evidence, "--verifier", f"veraison:{scheme}://127.0.0.1:{silent}", "--verifier-timeout", "1",
               status=UNKNOWN)
    assert b"[deadline]" in done.stderr


def test_the_own_check_asks_nobody(evidence, silent):
    evidence[-1] = os.urandom(32).hex()
    done = run(*evidence, "--verifier", f"veraison:http://127.0.0.1:{silent}", status=REFUSED)
    assert b"[nonce-mismatch]" in done.stderr or b"[binder-mismatch]" in done.stderr


def test_files_are_read_at_once(evidence, tmp_path):
    (tmp_path / "keys.jwk").write_text("{}")
    run(*evidence, "--verifier", "veraison:https://localhost:1", status=USAGE)
    (tmp_path / "keys.jwk").unlink()
    run(*evidence, "--verifier", "veraison:https://localhost:1", status=USAGE)
