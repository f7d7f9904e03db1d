"""Unmodified programs through a pair of proxies with TPM evidence: the server's machine attests itself, then
both do. Between the proxies there is nothing but attested TLS; the programs at both ends see none of it."""
import hashlib
import json
import os
import subprocess

import pytest

from backends import Events, Iperf3, Nginx, Redis
from conftest import TIMEOUT, laboratory, need, tool, wait_until
from proxy import Proxy
from test_verifierd_store import Postgres

# Each with a loopback address of its own: at one address and port 0 they would share a listener.
SERVICES = {name: f"127.0.0.{i}" for i, name in enumerate(["web", "database", "cache", "speed", "events"], 1)}

FRONT = """
attesters:
  own: {uri: "{uri}", certificate: "{certificate}"}
verifiers:
  store: {uri: "local:{store}"}
routes:
"""
FRONT_ROUTE = """
  - name: {name}
    listen: ["{address}:0"]
    mode: terminate
    target: "{target}"
    downstream:
      attester: own
      require: {require}
      tls: {certificate: {dir}/tls.pem, key: {dir}/tls.key{ca}}
"""
SIDE = """
verifiers:
  store: {uri: "local:{store}"}
{attesters}
routes:
"""
SIDE_ROUTE = """
  - name: {name}
    listen: ["{address}:0"]
    mode: originate
    target: {address}:{port}
    upstream:
      {attester}
      require: {verifier: store, identity: pkix}
      tls: {ca: {dir}/ca.pem, name: localhost}
"""


def fill(text, **values):
    for key, value in values.items():
        text = text.replace("{" + key + "}", str(value))
    return text


class Pair:
    """Backends, a proxy in front of them, and one beside the clients."""

    def __init__(self, lab, mutual):
        self.lab, self.mutual = lab, mutual
        need("curl", "psql")
        lab.tls()
        self.web, self.cache, self.speed = Nginx(lab), Redis(lab), Iperf3()
        self.database, self.events = Postgres(), Events()
        targets = {"web": self.web.target, "database": f"unix:{self.database.dir}/.s.PGSQL.5432",
                   "cache": self.cache.target, "speed": self.speed.target, "events": self.events.target}
        server = lab.enrol(lab.tpm())
        client = lab.enrol(lab.tpm("client"), "client.example") if mutual else None
        require = "{verifier: store, identity: pkix}" if mutual else "none"
        ca = f", ca: {lab.dir}/ca.pem" if mutual else ""
        routes = "".join(fill(FRONT_ROUTE, name=name, target=targets[name], require=require, ca=ca,
                              address=address) for name, address in SERVICES.items())
        self.front = Proxy(lab, "front", FRONT + routes, uri=server[1], certificate=server[3]).start()
        attesters = f'attesters:\n  own: {{uri: "{client[1]}", certificate: "{client[3]}"}}' if mutual else ""
        routes = "".join(fill(SIDE_ROUTE, name=name, address=address, port=self.front.port(i),
                              attester="attester: own" if mutual else "")
                         for i, (name, address) in enumerate(SERVICES.items()))
        self.side = Proxy(lab, "side", fill(SIDE, attesters=attesters) + routes).start()

    def close(self):
        for program in (self.web, self.cache, self.speed, self.database, self.events):
            program.close()

    def at(self, service):
        """What the programs of most packages take."""
        return ["-h", SERVICES[service], "-p", self.port(service)]

    def port(self, service):
        return self.side.port(list(SERVICES).index(service))

    def url(self, path, service="web"):
        return f"http://{SERVICES[service]}:{self.port(service)}{path}"

    def connections(self, route):
        return len(self.side.events("open", route=route))


@pytest.fixture(scope="module", params=["server", "mutual"])
def pair(request):
    with laboratory() as lab:
        pair = Pair(lab, request.param == "mutual")
        try:
            yield pair
            for proxy in (pair.side, pair.front):
                pair.events.finish()
                assert proxy.stop() == 0, proxy.log.read_text()[-2000:]
                assert proxy.events("stop")[0]["message"].startswith("0 connections"), proxy.log.read_text()[-3000:]
        finally:
            pair.close()


def curl(*arguments, stdin=None):
    return tool("curl", "-sS", "-f", "-m", TIMEOUT, *arguments, env={"no_proxy": "*"}, stdin=stdin)


def test_who_attested_is_in_both_logs(pair):
    pair.web.file("hello", b"hello\n")
    assert curl(pair.url("/hello")) == b"hello\n"
    line = pair.side.wait("open", route="web")[0]
    assert (line["target-verdict"], line["target-evidence"], line["target-binding"]) == ("affirming", "tpm", "connection")
    line = pair.front.wait("open", route="web")[0]
    if pair.mutual:
        assert (line["client-verdict"], line["client-evidence"], line["client-binding"]) == \
            ("affirming", "tpm", "connection")
    else:
        assert "client-verdict" not in line


def test_curl_gets_a_large_file_from_nginx(pair):
    data = os.urandom(48 << 20)
    pair.web.file("large", data)
    out = pair.lab.dir / "large"
    curl("-o", out, pair.url("/large"))
    assert hashlib.sha256(out.read_bytes()).digest() == hashlib.sha256(data).digest()
    assert curl("-r", "1000-1999", pair.url("/large")) == data[1000:2000]


def test_curl_puts_a_large_file_to_nginx(pair):
    data = os.urandom(24 << 20)
    (pair.lab.dir / "up").write_bytes(data)
    curl("-T", pair.lab.dir / "up", pair.url("/put/up"))
    assert (pair.web.dir / "www" / "put" / "up").read_bytes() == data


def test_curl_posts_in_chunks_and_is_answered_in_chunks(pair):
    data = os.urandom(5 << 20)
    (pair.lab.dir / "post").write_bytes(data)
    answer = curl("-X", "POST", "-H", "Transfer-Encoding: chunked", "-H", "Expect:", "--data-binary",
                  f"@{pair.lab.dir}/post", pair.url("/echo"))
    assert answer == data


def test_a_connection_is_kept_for_many_requests(pair):
    pair.web.file("small", b"x" * 1000)
    before, seen = pair.connections("web"), len(pair.web.requests())
    answer = curl(*[pair.url("/small")] * 200)
    assert answer == b"x" * 200_000
    wait_until("the end of it", lambda: pair.connections("web") == before + 1 and len(pair.web.requests()) == seen + 200)
    assert len({line[0] for line in pair.web.requests()[seen:]}) == 1


def test_psql_asks_postgresql(pair):
    def psql(text):
        return tool("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *pair.at("database"), "-U", "atls",
                    "postgres", stdin=text.encode()).decode()

    rows = psql("CREATE TABLE t (n int, d text);\n"
                "INSERT INTO t SELECT n, repeat(md5(n::text), 50) FROM generate_series(1, 5000) n;\n"
                "SELECT count(*), sum(n), md5(string_agg(d, '' ORDER BY n)) FROM t;\n")
    text = "".join(hashlib.md5(str(n).encode()).hexdigest() * 50 for n in range(1, 5001))
    assert rows.strip() == f"5000|12502500|{hashlib.md5(text.encode()).hexdigest()}"
    assert hashlib.md5("".join(psql("SELECT d FROM t ORDER BY n").split()).encode()).hexdigest() in rows
    psql("DROP TABLE t;")


def test_redis_cli_asks_redis(pair):
    def redis(*arguments, stdin=None):
        return tool("redis-cli", *pair.at("cache"), *arguments, stdin=stdin)

    assert redis("PING") == b"PONG\n"
    commands = b"".join(b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (len(key), key, len(value), value)
                        for key, value in ((b"key:%d" % n, os.urandom(100)) for n in range(20_000)))
    assert b"errors: 0, replies: 20000" in redis("--pipe", stdin=commands)
    assert redis("DBSIZE") == b"20000\n"
    value = os.urandom(1 << 20).hex().encode()
    assert redis("-x", "SET", "big", stdin=value) == b"OK\n" and redis("GET", "big").rstrip() == value
    assert redis("FLUSHALL") == b"OK\n"


# Not --bidir: iperf3 gives its streams their directions in the order in which they reach the server, and a proxy keeps
# no order among connections. Both directions at once are in test_proxy_faults.py.
@pytest.mark.parametrize("direction", [[], ["-R"]], ids=["up", "down"])
def test_iperf3_moves_what_it_counts(pair, direction):
    done = tool("iperf3", "-c", SERVICES["speed"], "-p", pair.port("speed"), "-n", "32M", "-P", "2", "-J", *direction)
    end = json.loads(done)["end"]
    assert end["sum_sent"]["bytes"] >= 32 << 20 and end["sum_received"]["bytes"] > 0


def test_events_come_through_a_stream_that_was_idle(pair):
    stream = subprocess.Popen(["curl", "-sSN", pair.url("/", "events")], stdout=subprocess.PIPE,
                              env={**os.environ, "no_proxy": "*"})
    try:
        assert [stream.stdout.readline() for _ in range(3)] == [b"id: 1\n", b"data: event 1\n", b"\n"]
        pair.web.file("meanwhile", b"x")
        for n in range(2, 5):
            assert curl(*[pair.url("/meanwhile")] * 20) == b"x" * 20  # nothing comes through the stream for that long
            pair.events.tell()
            assert [stream.stdout.readline() for _ in range(3)] == [b"id: %d\n" % n, b"data: event %d\n" % n, b"\n"]
        assert stream.poll() is None
    finally:
        stream.kill()
        stream.communicate()
    # The client went away: the next event finds out, all the way back.
    pair.events.tell()
    for proxy in (pair.side, pair.front):
        proxy.wait("closed", route="events")
