"""atls demo does what it says, and leaves nothing behind."""
import json
import os
import pathlib
import subprocess

from conftest import ATLS, YES, need, run


def test_every_check_comes_out_right(tmp_path):
    need("swtpm", "swtpm_setup", "swtpm_localca")
    before = set(pathlib.Path("/tmp").glob("atls-demo.*"))
    done = subprocess.run([ATLS, "demo", "--json"], capture_output=True, timeout=200, check=False,
                          env={**os.environ, "TMPDIR": "/tmp"})
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == YES, (done.stdout.decode(), done.stderr.decode())
    assert [line["check"] for line in lines if not line["ok"]] == []
    assert len(lines) >= 25
    assert set(pathlib.Path("/tmp").glob("atls-demo.*")) <= before


def test_text_for_people(tmp_path):
    need("swtpm", "swtpm_setup", "swtpm_localca")
    text = run("demo").stdout.decode()
    assert "\x1b" not in text and "FAILED" not in text
    assert "PCR 7" in text and "checks as expected, 0 not" in text
