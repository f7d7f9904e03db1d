"""What passes with --dry-run and what does not: policies are tried out, and nothing else is."""
import contextlib

import pytest

from conftest import CLASS, laboratory, run
from proxy import Caller, Echo, Proxy
from test_proxy_changes import metric, remove_key, remove_references
from test_proxy_start import ask
from veraison import Veraison

FRONT = """
    attesters:
      own: {uri: "{uri}", certificate: "{certificate}"}
      soft: {uri: "soft:", insecure: true}
    routes:
      - name: tpm
        listen: ["127.0.0.1:0"]
        mode: terminate
        target: 127.0.0.1:{echo}
        downstream:
          attester: own
          require: none
          tls: {certificate: {dir}/tls.pem, key: {dir}/tls.key}
      - name: soft
        listen: ["127.0.0.1:0"]
        mode: terminate
        target: 127.0.0.1:{echo}
        downstream:
          attester: soft
          require: none
          tls: {certificate: {dir}/tls.pem, key: {dir}/tls.key}
      - name: silent
        listen: ["127.0.0.1:0"]
        mode: terminate
        target: 127.0.0.1:{echo}
        downstream:
          require: {verifier: store, identity: attested}
          tls: {certificate: {dir}/tls.pem, key: {dir}/tls.key}
    verifiers:
      store: {uri: "local:{store}"}
"""
SIDE = """
    store-interval: 1s
    verifiers:
      store: {uri: "local:{store}"}
      liar: {uri: "veraison:{url}", result-keys: {jwks}}
    policies:
      never: {dir}/never.jq
      broken: {dir}/broken.jq
    operation: {listen: "127.0.0.2:0"}
    routes:
"""
ROUTES = ["store", "never", "broken", "liar", "attested", "soft", "silent"]


class World:
    def __init__(self, lab, echo):
        self.lab, self.count = lab, 0
        lab.tls()
        self.tpm = lab.tpm()
        options = lab.enrol(self.tpm)
        (lab.dir / "never.jq").write_text('{decision: "refuse", reasons: ["never"]}\n')
        (lab.dir / "broken.jq").write_text('error("broken")\n')
        self.front = Proxy(lab, "front", FRONT, echo=echo.port, uri=options[1], certificate=options[3]).start()
        self.liar = Veraison(lab.dir, options[3])

    def routes(self):
        """A side's, in the order of ROUTES."""
        for name in ROUTES:
            port = self.front.port({"soft": 1, "silent": 2}.get(name, 0))
            verifier = "liar" if name == "liar" else "store"
            more = f", policy: {name}" if name in ("never", "broken") else ""
            identity, tls = ("attested", "{}") if name == "attested" else ("pkix", "{ca: {dir}/ca.pem}")
            yield (f"      - {{name: {name}, listen: ['127.0.0.1:0'], mode: originate, target: 'localhost:{port}',\n"
                   f"         upstream: {{require: {{verifier: {verifier}, identity: {identity}{more}}}, tls: {tls}}}}}\n")

    @contextlib.contextmanager
    def side(self, *options):
        self.count += 1
        run("enrol", "--attester", self.tpm.uri, "--store", self.lab.store, "--class", CLASS, "--vendor", "atls",
            "--model", "test", "--persist", "--reference-values", "now")
        proxy = Proxy(self.lab, f"side{self.count}", SIDE + "".join(self.routes()), url=self.liar.url, jwks=self.liar.jwks)
        yield proxy.start(*options)
        assert proxy.stop() == 0


@pytest.fixture(scope="module")
def world():
    with laboratory() as lab, Echo() as echo:
        made = World(lab, echo)
        with made.liar:
            yield made


def served(side, route):
    with Caller(side, index=ROUTES.index(route)) as caller:
        if caller.says():
            return True
        assert caller.ended()
        return False


def refusal(side, route):
    """Why the last connection of the route was not let through."""
    return side.wait("refused", route=route)[-1]


def test_what_a_machine_runs_is_told_of_and_passes(world):
    with world.side("--dry-run") as side, Caller(side) as open_before:
        assert open_before.says()
        assert not side.events("would-refuse") and metric(side, "atls_proxy_report_only") == 1
        reasons = 'atls_proxy_reasons_total{route="store",reason="policy"}'
        assert metric_of(side, reasons) == 0
        world.tpm.extend(4)
        assert served(side, "store")
        line = side.wait("would-refuse", route="store")[0]
        assert line["verdict"] == "warning" and "PCR 4" in line["because"] and line["mode"] == "dry-run", line
        assert side.events("open", route="store")[-1]["target-verdict"] == "warning"
        assert metric_of(side, reasons) == 1
        # Who is asked again keeps the connection, and the next removal shows no reference value at all.
        remove_references(world, side.lab.store)
        side.wait("attested", 3, route="store")
        assert open_before.says()
        assert "no-reference-values" in side.wait("would-refuse", 2, route="store")[1]["because"]
        assert not side.events("refused")
    with world.side() as side:  # without it
        world.tpm.extend(4)
        assert not served(side, "store")
        assert refusal(side, "store")["reason"] in ("policy", "measurement")


def metric_of(side, series):
    return metric(side, series) if series in ask(side, "/metrics")[1] else 0


def test_a_policy_that_refuses_or_cannot_decide_passes(world):
    with world.side("--dry-run") as side:
        assert served(side, "never") and served(side, "broken")
        assert side.wait("would-refuse", route="never")[0]["because"] == "never"
        assert "broken" in str(side.wait("would-refuse", route="broken")[0])


def test_who_a_peer_is_counts_in_a_dry_run_too(world):
    with world.side("--dry-run") as side:
        assert served(side, "attested")
        # Evidence that anyone can make; none at all.
        assert not served(side, "soft") and not served(side, "silent")
        ends = {line["route"]: line["end"] for line in side.events() if "end" in line and line["event"] != "open"}
        assert ends["soft"] in ("upstream-refused", "upstream-tls") and ends["silent"] in ("upstream-refused", "upstream-tls")
        # A TPM whose key nobody enrolled.
        remove_key(world, side.lab.store)
        for route in ("store", "attested", "never"):
            assert not served(side, route)
            assert refusal(side, route)["reason"] == "untrusted-ak", route
        assert not side.events("would-refuse")


@pytest.mark.parametrize("lie", ["a result for another nonce", "another key signs", "another key attested",
                                 "an instance that is not known", "a signature that failed", "no statement"])
def test_results_that_are_not_of_a_known_machine_count_in_a_dry_run_too(world, lie):
    with world.side("--dry-run") as side:
        world.liar.lie = ""
        assert served(side, "liar")
        world.liar.lie = lie
        assert not served(side, "liar") and not side.events("would-refuse")
        world.liar.lie = "a contraindication"  # of what it runs
        assert served(side, "liar") and side.wait("would-refuse", route="liar")[0]["verdict"] == "contraindicated"
