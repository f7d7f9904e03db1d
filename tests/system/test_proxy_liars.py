"""Verifier services that lie to atls-proxy, each in one way: nothing passes, the log says why, and routes of other
verifiers go on meanwhile."""
import pytest

from conftest import laboratory
from proxy import Caller
from test_proxy_faults import World, call, ended, rest
from veraison import Veraison

# What it says: how the connection ends, and a word of the log's line.
LIES = {
    "another key signs": ("verifier-unavailable", "signature"),
    "no signature": ("verifier-unavailable", "malformed"),
    "a changed result": ("verifier-unavailable", "signature"),
    "a session for another nonce": ("verifier-unavailable", "nonce-mismatch"),
    "a result for another nonce": ("verifier-unavailable", "nonce-mismatch"),
    "a result of an earlier connection": ("verifier-unavailable", "nonce-mismatch"),
    "a result that has expired": ("verifier-unavailable", "certificate-expired"),
    "a result of long ago": ("verifier-unavailable", "certificate-expired"),
    "a result of tomorrow": ("verifier-unavailable", "certificate-not-yet-valid"),
    "another key attested": ("upstream-refused", "key-binding-mismatch"),
    "a contraindication": ("upstream-refused", "policy"),
    "an instance that is not known": ("upstream-refused", "policy"),
    "a signature that failed": ("upstream-refused", "policy"),
    "no statement": ("upstream-refused", "policy"),
    "an error": ("verifier-unavailable", "500"),
    "garbage": ("verifier-unavailable", "no JSON"),
    "no HTTP": ("verifier-unavailable", "no HTTP answer"),
    "half an answer": ("verifier-unavailable", ("transfer closed", "end of response")),
    "a body without end": ("verifier-unavailable", "over 256 KiB"),
    "headers without end": ("verifier-unavailable", "over 64 KiB"),
    "another address": ("verifier-unavailable", "302"),
    "a byte at a time": ("verifier-unavailable", "deadline"),
    "never done": ("verifier-unavailable", "deadline"),
}


class Pair:
    def __init__(self, world, service, front, side):
        self.world, self.service, self.front, self.side = world, service, front, side
        self.ends = 0

    def end(self):
        """How the next connection ended at side and front, which both have it."""
        self.ends += 1
        return ended(self.side, self.ends), ended(self.front, self.ends)

    def says(self):
        """Whether the broken route serves somebody."""
        with call(self.side) as s:
            s.sendall(b"ping")
            answered = s.recv(100) == b"ping"
        self.end()
        return answered


@pytest.fixture(scope="module")
def pair():
    with laboratory() as lab:
        world = World(lab)
        with world.echo, Veraison(lab.dir, world.attester["certificate"]) as service:
            world.keys["liar"] = service.jwks
            with world.pair(verifier=world.service(service.url, ", timeout: 4s", "liar")) as (front, side):
                yield Pair(world, service, front, side)


@pytest.mark.parametrize("lie", LIES)
def test_a_verifier_that_lies(pair, lie):
    pair.service.lie = ""
    assert pair.says()
    opened = len(pair.side.events("open", route="broken"))
    pair.service.lie = lie
    with call(pair.side) as s, Caller(pair.side) as other:
        s.sendall(b"secret")
        assert other.says()  # while the liar is asked
        assert rest(s)[0] == b""
        assert other.says()
    line, behind = pair.end()
    end, word = LIES[lie]
    said = f"{line.get('reason')}: {line['message']}"
    words = (word,) if isinstance(word, str) else word  # of one libcurl or another
    assert line["end"] == end and any(word in said for word in words), line
    assert len(pair.side.events("open", route="broken")) == opened
    assert behind["from-client"] == 0
    pair.service.lie = ""
    assert pair.says()  # nobody remembers it
