"""atls demo does what it says, and leaves nothing behind."""
import json
import os
import subprocess
import tempfile

from conftest import ATLS, YES, need, run


def test_every_check_comes_out_right():
    need("swtpm", "swtpm_setup", "swtpm_localca")
    # Sockets have short names: tmp_path is too deep.
    with tempfile.TemporaryDirectory(prefix="d", dir="/tmp") as parent:
        done = subprocess.run([ATLS, "demo", "--json"], capture_output=True, timeout=200, check=False,
                              env={**os.environ, "TMPDIR": parent})
        left = os.listdir(parent)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == YES, (done.stdout.decode(), done.stderr.decode())
    assert [line["check"] for line in lines if not line["ok"]] == []
    assert len(lines) >= 25
    assert left == []


def test_text_for_people():
    need("swtpm", "swtpm_setup", "swtpm_localca")
    text = run("demo").stdout.decode()
    assert "\x1b" not in text and "FAILED" not in text
    assert "PCR 7" in text and "checks as expected, 0 not" in text
