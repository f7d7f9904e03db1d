"""Many connections that are idle, many that come and go: afterwards pairs of proxies have the descriptors that they
had, and no more memory than in the middle of it. ATLS_SOAK=SECONDS:CONNECTIONS makes it as long, and as many, as
that (600:10000); where a process may not have so many descriptors, several pairs share them."""
import contextlib
import os
import pathlib
import resource
import time

from conftest import wait_until
from proxy import Caller, EchoProcess, Proxy
from test_proxy import FRONT, attester_of, side

SECONDS, IDLE = map(int, os.environ.get("ATLS_SOAK", "20:300").split(":"))
RATE = 1000 / 60  # connections a second, of all pairs; no more than the machine has room for
TOGETHER = 128  # opened at a time: they share quotes
SLACK = 8 << 20  # of the allocator; one connection that is lost in a hundred would be more
LIMITS = "limits: {connections: 16384, handshakes: 4096, connections-per-source: 16384, rate: 10000, burst: 16384}\n"


def descriptors(proxy):
    return len(os.listdir(f"/proc/{proxy.process.pid}/fd"))


def memory(proxy):
    for line in pathlib.Path(f"/proc/{proxy.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def report(when, proxies):
    print(f"{when}: " + "; ".join(f"{proxy.name} {descriptors(proxy)} descriptors, {memory(proxy) / 1e6:.1f} MB"
                                  for proxy in proxies), flush=True)


def churn(clients, seconds):
    """Connections one after the other, over all clients in turn; how many."""
    count, start = 0, time.monotonic()
    while (now := time.monotonic()) < start + seconds:
        if count > (now - start) * RATE:
            time.sleep(1 / RATE)  # the rate of the load, nothing is waited for
            continue
        with Caller(clients[count % len(clients)]) as caller:
            assert caller.says(os.urandom(20_000))
        count += 1
    return count


def idle(clients, stack):
    callers = []
    while len(callers) < IDLE:
        some = [stack.enter_context(Caller(clients[i % len(clients)])) for i in range(min(TOGETHER, IDLE - len(callers)))]
        assert all(caller.says() for caller in some)
        callers += some
    return callers


def start(proxy):
    proxy.config.write_text(LIMITS + proxy.config.read_text())
    return proxy.start()


def pairs(lab, echo, limit):
    """Enough of them that each process has descriptors left; (fronts, clients)."""
    attester = attester_of(lab)
    numbers = range(-(-2 * IDLE // (limit - 512)))
    fronts = [start(Proxy(lab, f"front{i}", FRONT, attester=attester, backend=echo.port)) for i in numbers]
    return fronts, [start(side(lab, front, f"side{i}")) for i, front in zip(numbers, fronts)]


def test_descriptors_and_memory_come_back(lab):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    assert IDLE + 512 <= hard, f"{IDLE} callers want more than the {hard} descriptors that a process may have here"
    lab.tls()
    with EchoProcess() as echo:
        fronts, clients = pairs(lab, echo, hard)
        proxies = fronts + clients
        churn(clients, 1)
        wait_until("the ends", lambda: all(len(p.events("open")) == len(p.events("closed")) for p in clients))
        before = [descriptors(proxy) for proxy in proxies]
        peaks = []
        for when in ("first", "second"):
            with contextlib.ExitStack() as stack:
                callers = idle(clients, stack)
                report(f"{when} half, start", proxies)
                count = churn(clients, SECONDS / 2)
                assert count > 10
                report(f"{when} half, end, after {count} more", proxies)
                assert all(caller.says(b"still here") for caller in callers)
                peaks.append([memory(proxy) for proxy in proxies])
        wait_until("descriptors", lambda: [descriptors(proxy) for proxy in proxies] == before, 120)
        report("when all have gone", proxies)
        for proxy, *peak in zip(proxies, *peaks):
            assert max(peak[1], memory(proxy)) <= peak[0] + SLACK, (proxy.name, peak, memory(proxy))
            assert proxy.events("refused") == [] and proxy.events("starved") == []
        for proxy in clients + fronts:
            assert proxy.stop() == 0
