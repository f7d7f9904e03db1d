"""How atls-proxy starts: what it says is missing, what it gives up, what its service manager and its
operators are told."""
import http.client
import http.server
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import threading

import pytest

from conftest import TIMEOUT, wait_until
from proxy import PROXY, Caller, Echo, Proxy
from test_proxy import FRONT, SIDE, attester_of, side

SOFT = '{uri: "soft:", insecure: true}'


def front(lab, attester=SOFT, backend=9, more=""):
    lab.tls()
    return Proxy(lab, "front", FRONT + more, attester=attester, backend=backend)


def says(proxy, *parts, arguments=()):
    done = proxy.check(*arguments)
    assert done.returncode == 1 and done.stdout == "", done
    assert f"{proxy.config}:" in done.stderr, done.stderr
    for part in parts:
        assert part in done.stderr, done.stderr


def test_a_configuration_is_checked_without_being_served(lab):
    proxy = front(lab)
    done = proxy.check()
    assert done.returncode == 0 and "good, 1 routes, 1 listeners" in done.stdout, done
    assert "error" not in done.stderr


def test_what_is_missing_is_named_with_its_line(lab):
    attester_of(lab)
    tls = lab.dir / "tls.key"
    says(front(lab, '{uri: "tpm2:device:/dev/none"}'), ":3: attester own: /dev/none: not there; is there a TPM")
    says(front(lab, f'{{uri: "tpm2:swtpm:path={lab.dir}/none"}}'), ":3: attester own", "does swtpm run?")
    says(front(lab, f'{{uri: "tsm:{lab.dir}/none"}}'), "is configfs mounted")
    says(front(lab, f'{{uri: "soft:{lab.dir}/none.pem", insecure: true}}'), "none.pem: not there")
    tls.chmod(0o644)
    says(front(lab), "tls.key")
    tls.chmod(0o600)
    tls.write_bytes(lab.dir.joinpath("ca.key").read_bytes())
    says(front(lab), "route web downstream", "tls.key")
    lab.tls()
    one = Proxy(lab, "one", SIDE, front=1, insecure="", policies="policies: {p: {dir}/p.jq}", more=", policy: p")
    says(one, "p.jq")
    (lab.dir / "p.jq").write_text("not jq (")
    says(one, "policy p")
    gone = lab.store.rename(lab.dir / "moved.db")
    (lab.dir / "p.jq").write_text('{"decision": "accept", "reasons": []}')
    says(one, "verifier store", "atls store init makes one")
    gone.rename(lab.store)
    assert one.check().returncode == 0


def test_evidence_is_made_unless_nobody_wants_it(lab):
    proxy = front(lab, attester_of(lab))
    assert proxy.check().returncode == 0
    log = pathlib.Path(proxy.config).read_text().replace("aik=0x81010003", "aik=0x81010003&event-log=/none/log")
    proxy.config.write_text(log)
    says(proxy, "/none/log: not there")


@pytest.mark.skipif(os.geteuid() != 0, reason="wants root")
def test_a_device_without_permission_names_the_group(lab):
    device = lab.dir / "device"
    device.write_text("")
    shutil.chown(device, "root", "daemon")
    device.chmod(0o660)
    lab.dir.chmod(0o755)
    proxy = front(lab, f'{{uri: "tpm2:device:{device}"}}', more="    user: nobody\n")
    for path in (lab.dir / "tls.key", lab.dir / "tls.pem"):
        shutil.chown(path, "nobody")
    done = subprocess.run([PROXY, "--config", proxy.config], capture_output=True, timeout=TIMEOUT, check=False, text=True)
    assert done.returncode == 1 and f"{device}: permission denied; want group daemon" in done.stderr, done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="wants root")
def test_root_is_given_up_for_good(lab):
    lab.dir.chmod(0o755)
    with Echo() as echo:
        proxy = front(lab, backend=echo.port, more="    user: nobody\n")
        proxy.config.write_text(proxy.config.read_text().replace('"127.0.0.1:0"', '"127.0.0.1:0", "unix:{0}/own"'.format(lab.dir)))
        for path in (lab.dir / "tls.key", lab.dir / "tls.pem"):
            shutil.chown(path, "nobody")
        proxy.start()
        uid = pwd.getpwnam("nobody").pw_uid
        for task in pathlib.Path(f"/proc/{proxy.process.pid}/task").iterdir():
            status = dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)
            assert status["Uid"].split() == [str(uid)] * 4, status["Uid"]
            assert int(status["CapEff"], 16) == 0 and status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
        assert (lab.dir / "own").stat().st_uid == uid
        proxy.reload()
        assert proxy.stop() == 0


def test_the_sandbox_says_what_it_does(lab):
    for setting, calls in (("on", "are refused"), ("report", "are logged, not refused"), ("off", None)):
        proxy = front(lab, more=f'    sandbox: "{setting}"\n').start()
        lines = " ".join(line["message"] for line in proxy.events("sandbox"))
        if calls is None:
            assert lines == "off"
        else:
            assert calls in lines and "files: " in lines, lines
        assert proxy.stop() == 0


def test_the_service_manager_hears_of_each_step(lab):
    path = lab.dir / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(str(path))
        s.settimeout(TIMEOUT)

        def hear(part):
            heard = []
            while part not in " ".join(heard):
                heard.append(s.recv(4096).decode())
            return " ".join(heard)

        proxy = front(lab).start(env={"NOTIFY_SOCKET": str(path)})
        hear("READY=1")
        hear("WATCHDOG=1")
        proxy.tell(signal.SIGHUP)
        assert "MONOTONIC_USEC=" in hear("READY=1")
        proxy.tell(signal.SIGTERM)
        hear("STOPPING=1")
        assert proxy.process.wait(TIMEOUT) == 0


class Information(http.server.BaseHTTPRequestHandler):
    """What a verifier service says of itself."""
    state = "DOWN"

    def do_GET(self):
        body = json.dumps({"api-endpoints": {"newChallengeResponseSession": "/new"}, "media-types": [],
                           "service-state": self.state}).encode()
        found = self.path == "/.well-known/veraison/verification"
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/vnd.veraison.discovery+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def asks_service(lab, url, more=""):
    """A proxy whose verifier is the service there."""
    lab.tls()
    (lab.dir / "keys.pem").write_bytes(subprocess.run(
        ["openssl", "pkey", "-in", lab.dir / "ca.key", "-pubout"], check=True, capture_output=True).stdout)
    text = SIDE.replace('uri: "local:{store}"{insecure}', f'uri: "veraison:{url}", result-keys: {{dir}}/keys.pem')
    return Proxy(lab, "side", text + f'    operation: {{listen: "127.0.0.2:0"}}\n{more}', front=1, policies="", more="")


def test_a_reload_makes_nobody_ready(lab):
    path = lab.dir / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        s.bind(str(path))
        proxy = asks_service(lab, f"http://127.0.0.1:{closed.getsockname()[1]}", "    ready-timeout: 1h\n")
        proxy.start(env={"NOTIFY_SOCKET": str(path)})
        proxy.wait("ready")
        proxy.reload()
        assert proxy.stop() == 0
        s.setblocking(False)
        heard = []
        while "STOPPING=1" not in heard:
            heard.append(s.recv(4096).decode())
        assert not [message for message in heard if "READY=1" in message or "RELOADING=1" in message], heard


def test_readiness_follows_what_a_verifier_says_of_itself(lab):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Information, bind_and_activate=False)
    server.server_bind()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    proxy = asks_service(lab, url).start()
    wait_until("an answer", lambda: proxy.events("ready"))
    assert url in proxy.events("ready")[0]["message"] and "onnect" in proxy.events("ready")[0]["message"]
    assert ask(proxy, "/readyz")[0] == 503 and ask(proxy, "/healthz")[0] == 200
    server.server_activate()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:  # it takes connections, and is not ready
        wait_until("another answer", lambda: any("DOWN" in line["message"] for line in proxy.events("ready")))
        assert ask(proxy, "/readyz")[0] == 503
        for state, status in (("READY", 200), ("DOWN", 503), ("READY", 200)):
            Information.state = state
            wait_until(f"status {status}", lambda status=status: ask(proxy, "/readyz")[0] == status)
        assert proxy.check().returncode == 0
    finally:
        server.shutdown()
        server.server_close()
    wait_until("the end of readiness", lambda: ask(proxy, "/readyz")[0] == 503)
    done = proxy.check()
    assert done.returncode == 1 and url in done.stderr, done


def ask(proxy, path):
    port = int(proxy.events("operation")[0]["address"].rsplit(":", 1)[1])
    connection = http.client.HTTPConnection("127.0.0.2", port, timeout=TIMEOUT)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def test_metrics_follow_connections(lab):
    lab.tls()
    with Echo() as echo:
        server = front(lab, attester_of(lab), echo.port).start()
        client = side(lab, server)
        client.config.write_text(client.config.read_text() + '\noperation: {listen: "127.0.0.2:0"}\n')
        client.start()
        with Caller(client) as caller:
            assert caller.says()
            text = ask(client, "/metrics")[1]
            assert 'atls_proxy_links{route="out",stage="open"} 1\n' in text, text
        client.wait("closed")
        series = {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
                  for line in ask(client, "/metrics")[1].splitlines() if not line.startswith("#")}
        moved = [key for key, value in series.items() if value > 0]
        for part in ('end="closed"', 'technology="tpm"', 'verifier="store"', "ready"):
            assert any(part in key for key in moved), (part, moved)
        assert client.stop() == 0


def test_sockets_are_taken_from_the_service_manager(lab):
    if shutil.which("systemd-socket-activate") is None:
        pytest.skip("not installed: systemd-socket-activate")
    lab.tls()
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    with Echo() as echo:
        server = front(lab, attester_of(lab), echo.port).start()
        client = side(lab, server)
        client.config.write_text(client.config.read_text().replace('["127.0.0.1:0"]', "[{address: systemd:door, insecure: true}]"))
        client.log.write_text("")
        with client.log.open("wb") as log:
            client.process = subprocess.Popen(
                ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", "--fdname=door", PROXY, "--config",
                 client.config], stderr=log, stdin=subprocess.DEVNULL)
        lab.processes.append(client.process)
        client.port = lambda *_: port
        wait_until("the socket", lambda: "Listening" in client.log.read_text())
        with Caller(client) as caller:
            assert caller.says(), client.log.read_text()
        client.tell(signal.SIGTERM)
        assert client.process.wait(TIMEOUT) == 0
