"""What operators do to atls-proxy while connections are open: reload, renew, ask again, end."""
import contextlib
import os
import pathlib
import signal
import socket

import pytest

from conftest import run, tool, wait_until
from proxy import Caller, Echo, Proxy
from test_proxy import FRONT, attester_of, side

YES = '{"decision": "accept", "reasons": []}\n'
NO = '{"decision": "refuse", "reasons": ["not today"]}\n'


@pytest.fixture
def world(lab):
    """Echo, proxy in front of it, proxy beside the client with a policy in a file."""
    lab.tls()
    policy = pathlib.Path(lab.dir) / "policy.jq"
    policy.write_text(YES)
    with Echo() as echo:
        front = Proxy(lab, "front", FRONT, attester=attester_of(lab), backend=echo.port).start()
        client = side(lab, front, policies="policies: {file: {dir}/policy.jq}", more=", policy: file")
        yield front, client.start(), policy


def attestations(proxy, count):
    return wait_until("attestations", lambda: len(proxy.events("attested")) >= count and proxy.events("attested"))


def test_a_reload_keeps_connections_and_judges_them_by_what_is_new(world):
    _, client, policy = world
    with Caller(client) as caller:
        assert caller.says()
        client.reload()
        assert caller.says()
        assert len(client.events("attested")) == 1  # nothing has changed
        client.config.write_text(client.config.read_text() + "\nworkers: 1\n")
        client.tell(signal.SIGHUP)
        client.wait("reload", level="warning")
        client.wait("reload", 2, level="info")
        policy.write_text(NO)
        client.reload()
        assert caller.ended()
        line = client.wait("refused")[0]
        assert line["end"] == "upstream-refused" and "not today" in line["message"], line
    with Caller(client) as caller:
        assert caller.ended()


def test_a_policy_that_changes_is_read_without_a_word(world):
    _, client, policy = world
    with Caller(client) as caller:
        assert caller.says()
        new = policy.with_suffix(".new")
        new.write_text("# another text\n" + YES)
        os.utime(new, (1, 1))  # as old files that are put there are
        new.rename(policy)
        assert "policy.jq has changed" in client.wait("reload")[0]["message"]
        attestations(client, 2)
        assert caller.says()


def test_a_reload_that_is_wrong_leaves_everything_as_it_was(world):
    _, client, policy = world
    good = client.config.read_text()
    with Caller(client) as caller, socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        for text, wanted in ((good + "surprise: 1\n", "surprise"),
                             (good.replace("store.db", "none.db"), "verifier store"),
                             (good.replace("/ca.pem", "/none.pem"), "none.pem"),
                             (good.replace("127.0.0.1:0", taken), f"{taken}: Address already in use")):
            client.config.write_text(text)
            message = client.reload(ok=False)["message"]
            assert f"{client.config}:" in message and wanted in message, message
            assert caller.says()
        policy.write_text("no jq at all (")
        client.config.write_text(good)
        assert "policy file" in client.reload(ok=False)["message"]
        with Caller(client) as another:
            assert another.says() and caller.says()


def test_listeners_come_and_go_with_the_configuration(world):
    _, client, _ = world
    text = client.config.read_text()
    path = client.lab.dir / "sock"
    with Caller(client) as caller:
        assert caller.says()
        client.config.write_text(text.replace('"127.0.0.1:0"', f'"unix:{path}"'))
        client.reload()
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", client.port())).close()
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as s:
            s.connect(str(path))
            s.sendall(b"over a socket of this host")
            assert s.recv(100) == b"over a socket of this host"
        assert caller.says()
        client.config.write_text(text)
        client.reload()
        assert not path.exists() and caller.says()


def test_peers_are_asked_again_on_demand_and_when_the_store_changes(world):
    front, client, _ = world
    with Caller(client) as caller:
        assert caller.says()
        client.tell(signal.SIGUSR1)
        lines = attestations(client, 2)
        assert [line["attestations"] for line in lines] == [1, 2]
        assert caller.says()
        run("store", "import", "--store", client.lab.store, "--anchor", "tls", client.lab.dir / "tls.pem")
        client.wait("store")
        attestations(client, 3)
        assert caller.says()
    assert front.stop() == 0


def test_a_certificate_that_was_renewed_is_shown(world, lab):
    front, client, _ = world
    with Caller(client) as caller:
        assert caller.says()
        serial = (lab.dir / "tls.pem").read_bytes()
        (lab.dir / "tls.pem").rename(lab.dir / "old.pem")
        lab.issue(lab.dir / "tls.csr", lab.dir / "tls.new")
        os.utime(lab.dir / "tls.new", (1, 1))
        (lab.dir / "tls.new").rename(lab.dir / "tls.pem")
        assert (lab.dir / "tls.pem").read_bytes() != serial
        front.wait("reload", level="info")
        assert caller.says()
        with Caller(client) as other:
            assert other.says()


def test_a_certificate_may_come_before_its_key(world, lab):
    front, client, _ = world
    tool("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
         lab.dir / "new.key", "-out", lab.dir / "new.csr", "-subj", "/CN=localhost")
    lab.issue(lab.dir / "new.csr", lab.dir / "new.pem")
    (lab.dir / "new.pem").rename(lab.dir / "tls.pem")
    assert "refused" in front.wait("reload", level="error")[0]["message"]
    with Caller(client) as caller:
        assert caller.says()  # with the old pair
    (lab.dir / "new.key").rename(lab.dir / "tls.key")
    front.wait("reload", level="info")
    with Caller(client) as caller:
        assert caller.says()


def test_the_end_waits_for_connections_until_it_is_told_again(world):
    front, client, _ = world
    with Caller(client) as caller:
        assert caller.says()
        client.tell(signal.SIGTERM)
        client.wait("drain")
        wait_until("the closed door", lambda: not open_to(client))
        assert caller.says()
        client.tell(signal.SIGTERM)
        assert client.process.wait(20) == 0
        assert caller.ended()
        assert client.events("stop")[0]["message"].startswith("1 connection")
    assert front.stop() == 0


def open_to(proxy):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", proxy.port())).close()
        return True
    return False


def test_the_end_comes_when_the_last_connection_is_gone(world):
    _, client, _ = world
    with Caller(client) as caller:
        assert caller.says()
        client.tell(signal.SIGTERM)
        client.wait("drain")
        assert caller.says()
    assert client.process.wait(20) == 0
    assert client.events("stop")[0]["message"].startswith("0 connections")
