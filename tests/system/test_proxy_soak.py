"""Many connections that are idle, many that come and go: afterwards a pair of proxies has the descriptors that it
had, and no more memory than it had at that load before. ATLS_SOAK=SECONDS:CONNECTIONS makes it as long, and as
many, as that (600:10000)."""
import contextlib
import os
import pathlib
import resource
import time

from conftest import wait_until
from proxy import Caller, Echo, Proxy
from test_proxy import FRONT, attester_of, side

SECONDS, IDLE = map(int, os.environ.get("ATLS_SOAK", "20:300").split(":"))
SLACK = 8 << 20  # of the allocator; one connection that is lost in a hundred would be more


def descriptors(proxy):
    return len(os.listdir(f"/proc/{proxy.process.pid}/fd"))


def memory(proxy):
    for line in pathlib.Path(f"/proc/{proxy.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def churn(proxy, seconds):
    """Connections one after the other; how many."""
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        with Caller(proxy) as caller:
            assert caller.says(os.urandom(20_000))
        count += 1
    return count


def idle(proxy, stack):
    callers = [stack.enter_context(Caller(proxy)) for _ in range(IDLE)]
    assert all(caller.says() for caller in callers)
    return callers


def test_descriptors_and_memory_come_back(lab):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4 * IDLE + 1024)), hard))
    lab.tls()
    with Echo() as echo:
        front = Proxy(lab, "front", FRONT, attester=attester_of(lab), backend=echo.port).start()
        client = side(lab, front).start()
        pair = (front, client)
        churn(client, 1)
        wait_until("the ends", lambda: len(client.events("open")) == len(client.events("closed")))
        before = [descriptors(proxy) for proxy in pair]
        with contextlib.ExitStack() as stack:
            idle(client, stack)
            peak = [memory(proxy) for proxy in pair]
        for _ in range(2):
            with contextlib.ExitStack() as stack:
                callers = idle(client, stack)
                count = churn(client, SECONDS / 2)
                assert count > 10
                assert all(caller.says(b"still here") for caller in callers)
        wait_until("descriptors", lambda: [descriptors(proxy) for proxy in pair] == before)
        for proxy, most in zip(pair, peak):
            assert memory(proxy) <= most + SLACK, (proxy.name, most, memory(proxy))
            assert proxy.events("refused") == [] and proxy.events("starved") == []
        for proxy in (client, front):
            assert proxy.stop() == 0
