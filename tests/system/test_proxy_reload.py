"""Reloads in a row while connections come, go and stay: none is lost, no byte is wrong, and nothing of the
configurations that were is left behind. ATLS_RELOADS=COUNT makes more of them."""
import collections
import contextlib
import os
import pathlib
import random
import shutil
import signal
import threading

from conftest import wait_until
from proxy import PROXY, Caller, Echo, Proxy
from test_proxy import FRONT, attester_of, side
from test_proxy_changes import metric
from test_proxy_soak import SLACK, memory

ROUNDS = int(os.environ.get("ATLS_RELOADS", "36"))
STORE = 10  # descriptors of a store that is open for two connections, and more than that
SHORT, LONG = 4, 4  # threads that open one connection after the other; that keep one
# What was freed stays for a while.
SANITIZED = any(name in pathlib.Path(PROXY).read_bytes() for name in (b"__asan_init", b"__tsan_init"))
OPERATION = '    operation: {listen: "127.0.0.2:0"}\n'
YES = '{"decision": "accept", "reasons": []}\n'
MORE = """
  - name: more
    listen: ["127.0.0.3:0"]
    mode: originate
    target: localhost:1
    upstream:
      require: {verifier: store, identity: pkix}
      tls: {ca: %s/ca.pem}
"""


def stores(proxy):
    """Descriptors of stores. SQLite closes those of a file with the last lock on it, and uses them again."""
    return sum(1 for path in files(proxy) if ".db" in path)


def others(proxy):
    return collections.Counter(path.split(":")[0] for path in files(proxy) if ".db" not in path)


def files(proxy):
    found = []
    for path in pathlib.Path(f"/proc/{proxy.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(path))
    return found


class Load:
    """Connections through a proxy in threads, until stop()."""

    def __init__(self, proxy):
        self.proxy, self.stopped = proxy, threading.Event()
        self.short, self.faults = 0, []
        self.threads = [threading.Thread(target=self.run, args=(work, seed), daemon=True)
                        for seed, work in enumerate([self.come_and_go] * SHORT + [self.stay] * LONG)]
        for thread in self.threads:
            thread.start()

    def run(self, work, seed):
        try:
            work(random.Random(seed))
        except Exception as fault:  # for the test to see
            self.faults.append(repr(fault))

    def come_and_go(self, chance):
        while not self.stopped.is_set():
            with Caller(self.proxy) as caller:
                assert caller.says(chance.randbytes(chance.randrange(1, 30_000))), "a short connection"
            self.short += 1

    def stay(self, chance):
        with Caller(self.proxy) as caller:
            while not self.stopped.is_set():
                assert caller.says(chance.randbytes(chance.randrange(1, 200_000))), "a stream"

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()
        assert self.faults == []


def reload(proxy, good=True):
    """Files are followed without a signal, too: what a signal brings is told by its words."""
    words, level = ("read again", "info") if good else ("", "error")

    def lines():
        return len([line for line in proxy.events("reload", level=level) if words in line["message"]])

    count = lines()
    proxy.tell(signal.SIGHUP)
    wait_until("the reload", lambda: lines() > count, 60)


def replace(path, content):
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.rename(path)


class Changes:
    """What is changed in turn: each brings a pair of proxies from one good state to another, or to a bad one
    and back."""

    def __init__(self, lab, front, client):
        self.lab, self.front, self.client, self.count = lab, front, client, 0
        self.text = client.config.read_text()
        self.other = shutil.copy(lab.store, lab.dir / "other.db")
        self.kinds = [self.policy, self.unknown_key, self.certificate, self.route, self.bad_certificate, self.verifier]

    def next(self):
        self.count += 1
        self.kinds[self.count % len(self.kinds)]()

    def policy(self):
        replace(self.lab.dir / "policy.jq", f"# {self.count}\n{YES}".encode())
        reload(self.client)

    def unknown_key(self):
        self.client.config.write_text(self.text + "surprise: 1\n")
        reload(self.client, good=False)
        self.client.config.write_text(self.text)

    def certificate(self):
        new = self.lab.issue(self.lab.dir / "tls.csr", self.lab.dir / "tls.next")
        replace(self.lab.dir / "tls.pem", new.read_bytes())
        reload(self.front)

    def route(self):
        self.client.config.write_text(self.text + MORE % self.lab.dir)
        reload(self.client)
        self.client.config.write_text(self.text)
        reload(self.client)

    def bad_certificate(self):
        good = (self.lab.dir / "tls.pem").read_bytes()
        replace(self.lab.dir / "tls.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        reload(self.front, good=False)
        replace(self.lab.dir / "tls.pem", good)
        reload(self.front)

    def verifier(self):
        new = self.text.replace(str(self.lab.store), str(self.other)) if str(self.other) not in self.text else \
            self.text.replace(str(self.other), str(self.lab.store))
        self.text = new
        self.client.config.write_text(new)
        reload(self.client)


def test_reloads_under_load_lose_nothing_and_leave_nothing(lab):
    lab.tls()
    (lab.dir / "policy.jq").write_text(YES)
    with Echo() as echo, contextlib.ExitStack() as stack:
        front = Proxy(lab, "front", FRONT + OPERATION, attester=attester_of(lab), backend=echo.port).start()
        client = side(lab, front, policies="policies: {file: {dir}/policy.jq}", more=", policy: file")
        client.config.write_text(OPERATION.strip() + "\n" + client.config.read_text())
        client.start()
        pair = (front, client)
        with Caller(client) as caller:
            assert caller.says()
        wait_until("the ends", lambda: all(len(proxy.events("closed")) == 1 for proxy in pair))
        before = [others(proxy) for proxy in pair]
        changes = Changes(lab, front, client)
        load = Load(client)
        stack.callback(load.stopped.set)
        peak = None
        for count in range(ROUNDS):
            changes.next()
            if count == ROUNDS // 2:
                peak = [memory(proxy) for proxy in pair]
        late = [memory(proxy) for proxy in pair]
        assert all(metric(proxy, "atls_proxy_generations") > 1 for proxy in pair)  # of the streams
        for proxy in pair:
            bad = [line for line in proxy.events() if line.get("end", "closed") != "closed"]
            assert not bad, [(line["connection"], line["end"], line.get("message")) for line in bad]
        load.stop()
        assert load.short >= ROUNDS
        wait_until("the old configurations to go", lambda: all(metric(proxy, "atls_proxy_generations") == 1
                                                               for proxy in pair))
        # The socket of the first connection may still have been there: none more, not as many.
        with contextlib.suppress(AssertionError):
            wait_until("descriptors", lambda: not any(others(proxy) - then for proxy, then in zip(pair, before)))
        assert [others(proxy) - then for proxy, then in zip(pair, before)] == [{}, {}]
        assert all(stores(proxy) <= 2 * STORE for proxy in pair)
        for proxy, most, now in zip(pair, peak, late):
            assert now <= most + SLACK or SANITIZED, (proxy.name, most, now)
            assert proxy.events("starved") == [] and proxy.events("refused") == []
            assert all(line["end"] == "closed" for line in proxy.events("closed"))
            assert metric(proxy, "atls_proxy_reloads_total") >= ROUNDS / 3
            assert proxy.stop() == 0
