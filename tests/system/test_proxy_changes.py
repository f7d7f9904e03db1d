"""What changes while connections of atls-proxy are open: what a verifier's store says, what a machine
runs. The connections that are judged by it are asked again, and no other."""
import contextlib
import os
import shutil
import signal

import pytest

from conftest import CLASS, TIMEOUT, laboratory, run, wait_until
from proxy import Caller, Echo, Proxy
from test_proxy import attester_of
from test_proxy_start import ask

FRONT = """
    attesters:
      own: {attester}
    routes:
      - name: echo
        listen: ["127.0.0.1:0"]
        mode: terminate
        target: 127.0.0.1:{echo}
        downstream:
          attester: own
          require: none
          tls: {certificate: {dir}/tls.pem, key: {dir}/tls.key}
"""
SIDE = """
    store-interval: 1s
    {more}
    verifiers:
      first: {uri: "local:{first}"}
      second: {uri: "local:{second}"}
    routes:
      - name: first
        listen: ["127.0.0.1:0"]
        mode: originate
        target: 127.0.0.1:{front}
        upstream:
          require: {verifier: first, identity: pkix}
          tls: {ca: {dir}/ca.pem, name: localhost}
          {reattest}
      - name: second
        listen: ["127.0.0.2:0"]
        mode: originate
        target: 127.0.0.1:{other}
        upstream:
          require: {verifier: second, identity: pkix}
          tls: {ca: {dir}/ca.pem, name: localhost}
"""


class World:
    """A machine with a TPM in front of an echo, and stores that know it."""

    def __init__(self, lab, echo):
        lab.tls()
        self.lab, self.echo, self.count = lab, echo, 0
        self.attester = attester_of(lab)
        self.tpm = lab.tpms[0]
        self.front = self.another()

    def another(self, more=""):
        """One more proxy in front of the echo."""
        self.count += 1
        return Proxy(self.lab, f"front{self.count}", FRONT + more, attester=self.attester,
                     echo=self.echo.port).start()

    def store(self):
        """A store as it is after the enrolment, with the PCRs of now."""
        self.count += 1
        self.refer(self.lab.store)
        return shutil.copy(self.lab.store, self.lab.dir / f"store{self.count}.db")

    def refer(self, store):
        run("enrol", "--attester", self.tpm.uri, "--store", store, "--class", CLASS, "--vendor", "atls", "--model",
            "test", "--persist", "--reference-values", "now")

    @contextlib.contextmanager
    def side(self, more="", reattest="", front=None):
        """A proxy beside clients, with a route for each of two stores."""
        self.count += 1
        stores = {"first": self.store(), "second": self.store()}
        proxy = Proxy(self.lab, f"side{self.count}", SIDE, more=more, reattest=reattest,
                      front=(front or self.front).port(), other=self.front.port(), **stores).start()
        proxy.first, proxy.second = stores.values()
        try:
            yield proxy
        finally:
            if proxy.process.poll() is None:
                proxy.process.kill()
                proxy.process.wait(TIMEOUT)


@pytest.fixture(scope="module")
def world():
    with laboratory() as lab, Echo() as echo:
        yield World(lab, echo)


def second(proxy):
    return Caller(proxy, "127.0.0.2", 1)


def remove(store, kind):
    """Takes the only entry of a kind out of a store."""
    names = {line.split()[0] for line in run("store", "list", "--store", store).stdout.decode().splitlines()}
    [name] = [name for name in names if name.startswith(kind + ":")]
    run("store", "remove", "--store", store, name)


def remove_references(world, store):
    listed = run("store", "list", "--store", store).stdout.decode()
    run("store", "remove", "--store", store, "manifest:" + listed.split("(manifest:")[1].split(")")[0])


def remove_key(world, store):
    remove(store, "attest-key")


def replace_store(world, store):
    """Another file in its place, which does not know the machine."""
    new = store.with_suffix(".new")
    run("store", "init", "--store", new)
    run("store", "import", "--store", new, "--anchor", "tls", world.lab.dir / "ca.pem")
    run("store", "import", "--store", new, "--anchor", "ak", world.lab.dir / "ca.pem")
    new.rename(store)


# ---- stores ----

@pytest.mark.parametrize("change", [remove_references, remove_key, replace_store])
def test_what_a_store_takes_back_ends_what_it_judged_without_a_signal(world, change):
    with world.side() as side, Caller(side) as one, second(side) as other:
        assert one.says() and other.says()
        change(world, side.first)
        assert one.ended()
        line = side.wait("refused", route="first")[0]
        assert line["end"] == "upstream-refused" and line["reason"], line
        assert other.says()
        assert len(side.events("attested", route="second")) == 1
        with Caller(side) as late, second(side) as another:
            assert late.ended() and another.says()


def test_a_store_that_changes_for_the_better_has_peers_asked_and_goes_on(world):
    with world.side() as side, Caller(side) as one, second(side) as other:
        assert one.says() and other.says()
        run("store", "import", "--store", side.first, "--anchor", "tls", world.lab.dir / "tls.pem")
        assert len(side.wait("attested", 2, route="first")) == 2
        assert one.says() and other.says()
        assert len(side.events("attested", route="second")) == 1
        assert [line["message"] for line in side.events("store")] == ["verifier first: its store has changed"]


def test_a_route_that_is_gone_is_judged_by_its_store_still(world):
    with world.side() as side, Caller(side) as one, second(side) as other:
        assert one.says() and other.says()
        text = side.config.read_text()
        at = text.index("  - name: second")
        side.config.write_text(text[:at])
        side.reload()
        assert one.says() and other.says()
        remove_key(world, side.second)
        assert other.ended()
        assert one.says()


def test_peers_that_do_not_answer_hold_up_the_others_for_a_moment(world):
    slow = world.another()
    with world.side("limits: {reattestations: 1}\nworkers: 1", front=slow) as side:
        with contextlib.ExitStack() as stack:
            stuck = [stack.enter_context(Caller(side)) for _ in range(3)]
            one = stack.enter_context(second(side))
            assert all(caller.says() for caller in [*stuck, one])
            slow.tell(signal.SIGSTOP)
            try:
                side.tell(signal.SIGUSR1)
                side.wait("attested", 2, route="second")
                assert one.says()
                assert not [line for line in side.events(route="first") if "end" in line]
            finally:
                slow.tell(signal.SIGCONT)
            side.wait("attested", 6, route="first")
            assert all(caller.says() for caller in stuck)


# ---- machines ----

def attested_again(side):
    wait_until("the interval", lambda: len(side.events("attested", route="first")) >= 2, TIMEOUT)


def test_a_changed_machine_loses_its_connection_within_the_interval(world):
    with world.side(reattest="reattest-interval: 10s") as side, Caller(side) as one, second(side) as other:
        assert one.says() and other.says()
        world.tpm.extend(12)
        attested_again(side)
        assert one.says()  # nobody has a reference value for it
        world.tpm.extend(7)
        assert one.ended()
        line = side.wait("refused", route="first")[0]
        assert line["end"] == "upstream-refused" and "PCR 7" in line["target-why"], line
        assert other.says()  # is not asked


def test_nothing_passes_until_a_changed_machine_is_accepted_again(world):
    reattest = "reattest-interval: 10s\n      on-failure: gate"
    with world.side(reattest=reattest) as side, Caller(side) as one, second(side) as other:
        assert one.says() and other.says()
        world.tpm.extend(7)
        line = wait_until("the interval", lambda: side.events("withdrawn", route="first"), TIMEOUT)[0]
        assert line["side"] == "upstream" and "PCR 7" in line["target-why"], line
        data = os.urandom(300_000)
        one.socket.sendall(data[:1000])
        one.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            one.socket.recv(1)
        one.socket.settimeout(TIMEOUT)
        with Caller(side) as late:
            assert late.ended()
        assert other.says()
        world.refer(side.first)
        assert one.receives(data[:1000])
        assert one.says(data)
        assert len(side.events("withdrawn")) == 1


def metric(proxy, name):
    """The sum of what is counted under a name."""
    lines = ask(proxy, "/metrics")[1].splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name) and line[len(name)] in " {")


def test_a_tpm_that_went_shows_in_readiness_and_metrics_until_it_is_back(world):
    front = world.another('    operation: {listen: "127.0.0.2:0"}\n')
    with world.side(front=front) as side, Caller(side) as one:
        assert one.says()
        wait_until("readiness", lambda: ask(front, "/readyz")[0] == 200)
        assert metric(front, "atls_proxy_evidence_seconds_count") == 2  # the first was nobody's
        assert metric(front, "atls_proxy_evidence_failures_total") == 0
        assert metric(front, "atls_proxy_report_only") == 0
        world.tpm.stop()
        try:
            with Caller(side) as late:
                assert late.ended()
            assert metric(front, "atls_proxy_evidence_failures_total") >= 1
            wait_until("the end of readiness", lambda: ask(front, "/readyz")[0] == 503)
            assert one.says()
        finally:
            world.tpm.socket.unlink(missing_ok=True)
            world.tpm.start()
        wait_until("readiness", lambda: ask(front, "/readyz")[0] == 200)
        assert one.says()
        world.refer(side.first)  # its PCRs are those of a machine that has just started
        # Its clock counts as unsafe until it has gone past what it last wrote down.
        wait_until("evidence that is accepted", lambda: answers(side), 60)
    assert front.stop() == 0


def answers(proxy):
    with Caller(proxy) as caller:
        return caller.says()
