"""The binder's source: exporter values of our adapter equal those of openssl."""
import os
import re
import socket
import subprocess

import pytest

from conftest import need, tool, wait_until


@pytest.mark.parametrize("suite, digest", [("TLS_AES_128_GCM_SHA256", "sha256"),
                                           ("TLS_AES_256_GCM_SHA384", "sha384")])
@pytest.mark.parametrize("label", ["Attestation", "EXPORTER-server authenticator handshake context"])
def test_exporter_agrees_with_openssl(tmp_path, suite, digest, label):
    need("openssl")
    key, certificate, log = tmp_path / "k", tmp_path / "c", tmp_path / "log"
    tool("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
         "-out", certificate, "-subj", "/CN=localhost", "-days", "2")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with log.open("wb") as stdout:
        server = subprocess.Popen(["openssl", "s_server", "-accept", str(port), "-cert", str(certificate), "-key",
                                   str(key), "-alpn", "atls/1", "-ciphersuites", suite, "-keymatexport", label,
                                   "-keymatexportlen", "32"],
                                  stdin=subprocess.PIPE, stdout=stdout, stderr=subprocess.STDOUT)
    try:
        wait_until("s_server", lambda: b"ACCEPT" in log.read_bytes())
        ours = tool(os.environ["ATLS_EXPORTER"], "127.0.0.1", port, label, 32).decode().split("\n")
        theirs = wait_until("the exported value",
                            lambda: re.search(r"Keying material: ([0-9A-F]{64})", log.read_text(errors="replace")))
        assert ours[0] == f"hash {digest}"
        assert ours[1] == theirs.group(1)
    finally:
        server.kill()
        server.wait(10)
