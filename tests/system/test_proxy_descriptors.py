"""atls-proxy without a descriptor left: who comes is closed, who is there goes on, and when there are descriptors again
all is as it was."""
import contextlib
import os
import pathlib
import resource
import signal
import time

import pytest

from conftest import TIMEOUT, laboratory, run, wait_until
from proxy import Caller, Echo, Proxy

FRONT = """
    attesters:
      own: {uri: "{uri}", certificate: "{certificate}"}
    routes:
      - name: web
        listen: ["127.0.0.1:0"]
        mode: terminate
        target: 127.0.0.1:{echo}
        downstream:
          attester: own
          require: none
          tls: {certificate: {dir}/tls.pem, key: {dir}/tls.key}
    workers: 1
    jobs: 4
"""
SIDE = """
    store-interval: 1s
    workers: 1
    jobs: 4
    verifiers:
      store: {uri: "local:{store}"}
    routes:
      - name: out
        listen: ["127.0.0.1:0"]
        mode: originate
        target: 127.0.0.1:{front}
        upstream:
          require: {verifier: store, identity: pkix}
          tls: {ca: {dir}/ca.pem, name: localhost}
"""


@pytest.fixture
def pair():
    with laboratory() as lab, Echo() as echo:
        lab.tls()
        options = lab.enrol(lab.tpm())
        front = Proxy(lab, "front", FRONT, echo=echo.port, uri=options[1], certificate=options[3]).start()
        side = Proxy(lab, "side", SIDE, front=front.port()).start()
        yield front, side
        assert side.stop() == 0 and front.stop() == 0


def served(side):
    with contextlib.suppress(OSError), Caller(side) as caller:
        return caller.says()
    return False


def limit(proxy, count):
    """From now on."""
    before = resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE, (count, before[1]))


def fill(side, stack):
    """Connections until there is no room for more; those that are open."""
    callers = []
    for _ in range(200):
        caller = stack.enter_context(Caller(side))
        if not caller.says():
            return callers
        callers.append(caller)
    raise AssertionError("there is no limit")


def cpu(proxy):
    """Seconds on a processor."""
    fields = pathlib.Path(f"/proc/{proxy.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("which", ["front", "side"])
def test_who_is_there_goes_on_without_descriptors(pair, which):
    front, side = pair
    starved = front if which == "front" else side
    assert served(side)
    limit(starved, 64)
    with contextlib.ExitStack() as stack:
        callers = fill(side, stack)
        assert callers
        since, used = time.monotonic(), cpu(starved)
        for count in range(1, 4):  # it is told once a second
            wait_until("a word of it", lambda: not served(side) and len(starved.events("starved")) >= count)
            assert all(caller.says() for caller in callers)
        assert "open files" in starved.events("starved")[0]["message"]
        assert cpu(starved) - used < 0.7 * (time.monotonic() - since)
        # Files and stores that cannot be opened are not taken for changed ones; a reload takes effect whole, or not.
        starved.tell(signal.SIGHUP)
        starved.wait("reload")
        assert all(caller.says(b"x" * 100_000) for caller in callers)
        assert len(side.events("attested")) == len(callers) + 1
    wait_until("room", lambda: served(side), TIMEOUT)
    limit(starved, 1024)
    count = len(starved.events("reload"))
    starved.tell(signal.SIGHUP)
    assert starved.wait("reload", count + 1)[count]["level"] == "info"
    assert served(side)


def test_a_store_is_found_changed_when_there_are_descriptors_again(pair):
    front, side = pair
    assert served(side)
    limit(side, 64)
    with contextlib.ExitStack() as stack:
        callers = fill(side, stack)
        names = [line.split()[0] for line in run("store", "list", "--store", side.lab.store).stdout.decode().splitlines()]
        [name] = [name for name in names if name.startswith("attest-key:")]
        run("store", "remove", "--store", side.lab.store, name)
        limit(side, 1024)
        assert all(caller.ended() for caller in callers)
    wait_until("the ends", lambda: len(side.events("refused", route="out")) >= len(callers))
