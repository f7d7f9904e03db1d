"""The tutorials are true: their blocks of commands run in their order, in one shell and an empty directory, and
each does what the page says. A block marked "text" is what the block of commands before it printed, where "…"
stands for anything within a line and a line of "…" alone for any lines."""
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile

import pytest

from conftest import ATLS, need
from proxy import PROXY
from test_tee_sim import SIM
from test_verifierd_store import Postgres
from verifierd import DAEMON

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
MARK = "@@ block "
SECONDS = 240
# Ports as written, which others may be using.
PORTS = ("8443", "8444", "9464", "4433", "8080")


def blocks(name):
    """[(commands, what they print or None)] of a page; no block of any other kind."""
    found = []
    for kind, text in re.findall(r"^```(\S*)\n(.*?)^```$", (DOCS / name).read_text(), re.M | re.S):
        if kind == "sh":
            found.append([text, None])
        elif kind == "text" and found and found[-1][1] is None:
            found[-1][1] = text
        else:
            raise AssertionError(f"{name}: a block marked \"{kind}\" that nothing tests: {text[:60]}")
    return found


def free_ports(count):
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [str(listener.getsockname()[1]) for listener in listeners]
    finally:
        for listener in listeners:
            listener.close()


def pattern(shown):
    """A regular expression for what is shown."""
    lines = [r"(?:.*\n)*?" if line.strip() == "…" else
             ".*".join(re.escape(part) for part in line.rstrip().split("…")) + r"[ \t]*\n"
             for line in shown.splitlines()]
    return "".join(lines)


def run_blocks(commands, directory, env):
    """What each block printed, in order; stops at the first that fails."""
    script = "set -e\n" + "".join(f"printf '\\n{MARK}{number}\\n'\n{text}" for number, text in enumerate(commands))
    (directory / "script").write_text(script)
    with (directory / "output").open("wb") as output:
        shell = subprocess.Popen(["bash", "../script"], cwd=directory / "empty", env=env, stdout=output, stderr=output,
                                 stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            status = shell.wait(SECONDS)
        except subprocess.TimeoutExpired:
            status = "no end"
        finally:
            # What the script started and did not end is in its session.
            subprocess.run(["pkill", "-KILL", "-s", str(shell.pid)], check=False)
            shell.kill()
            shell.wait(10)
    parts = re.split(rf"\n{MARK}(\d+)\n", (directory / "output").read_text(errors="replace"))
    return status, parts[2::2]


@pytest.fixture
def place():
    need("openssl", "jq", "bash", "pkill")
    # The path of a socket may have 107 bytes, which pytest's own directories can exceed.
    directory = pathlib.Path(tempfile.mkdtemp(prefix="atls-docs.", dir="/tmp"))
    try:
        (directory / "bin").mkdir()
        (directory / "empty").mkdir()
        for name, program in (("atls", ATLS), ("atls-verifierd", DAEMON), ("atls-proxy", PROXY),
                              ("atls-tee-sim", SIM)):
            (directory / "bin" / name).symlink_to(shutil.which(program))
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def database():
    postgres = Postgres()
    try:
        yield postgres.uri
    finally:
        postgres.close()


def check_page(name, directory, **env):
    """Runs the blocks of a page, and compares what they print with what it shows."""
    found = blocks(name)
    commands = [text for text, _ in found]
    for port, free in zip(PORTS, free_ports(len(PORTS))):
        commands = [re.sub(rf"\b{port}\b", free, text) for text in commands]
    env = {**os.environ, "PATH": f"{directory}/bin:{os.environ['PATH']}", "no_proxy": "*", "HOME": str(directory), **env}
    status, printed = run_blocks(commands, directory, env)
    assert status == 0 and len(printed) == len(found), (status, commands[len(printed) - 1], printed[-1])
    for (text, shown), output in zip(found, printed):
        if shown is not None:
            assert re.fullmatch(pattern(shown), output.rstrip("\n") + "\n"), (text, shown, output)


def test_the_tutorial_of_the_verifier(place, database):
    need("curl", "swtpm", "swtpm_setup", "swtpm_localca", "tpm2_pcrextend", "tpm2_pcrread")
    check_page("verifier.md", place, DB=database)


def test_the_flavours(place):
    need("swtpm", "swtpm_setup", "swtpm_localca", "tpm2_pcrextend")
    check_page("flavours.md", place)


def test_the_tutorial_of_the_proxy(place):
    need("curl", "python3", "swtpm", "swtpm_setup", "swtpm_localca", "tpm2_pcrextend")
    check_page("proxy.md", place)


def test_the_tutorial_of_confidential_machines(fuse, place):
    try:
        check_page("confidential-computing.md", place)
    finally:
        subprocess.run(["fusermount3", "-u", "-z", place / "empty" / "report"], capture_output=True, check=False)


def test_blocks_that_show_something_else_are_found():
    assert re.fullmatch(pattern("a … c\n…\nend\n"), "a b c\nx\ny\nend\n")
    assert re.fullmatch(pattern("…\nend\n"), "end\n")
    for other in ("a b d\nend\n", "a b c\nx\n", "a b c\nend\nmore\n"):
        assert not re.fullmatch(pattern("a … c\n…\nend\n"), other)
