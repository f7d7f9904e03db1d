"""A real Veraison on the loopback: its services vts, verification and provisioning as processes, with
configuration, keys and stores in a directory of the test.

The services are not part of this tree. ATLS_VERAISON names a directory that holds the programs
vts-service, verification-service and provisioning-service, with the attestation schemes built in."""
import base64
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

PROGRAMS = ("vts-service", "verification-service", "provisioning-service")
DISCOVERY = "application/vnd.veraison.discovery+json"
SESSION = "application/vnd.veraison.challenge-response-session+json"
PROVISIONING = "application/vnd.veraison.provisioning-session+json"
READY_SECONDS = 60
CALL_SECONDS = 30


def programs():
    """The directory of the services, or a skip that says why there is none."""
    named = os.environ.get("ATLS_VERAISON", "")
    if not named:
        pytest.skip("no Veraison services: ATLS_VERAISON names no directory with " + ", ".join(PROGRAMS))
    folder = pathlib.Path(named)
    missing = [name for name in PROGRAMS if not os.access(folder / name, os.X_OK)]
    if missing:
        pytest.skip(f"no Veraison services: {folder} lacks {', '.join(missing)}")
    if shutil.which("openssl") is None:
        pytest.skip("not installed: openssl")
    return folder


def openssl(*arguments, stdin=None):
    done = subprocess.run(["openssl", *map(str, arguments)], input=stdin, capture_output=True, timeout=60,
                          check=False)
    assert done.returncode == 0, (arguments, done.stderr.decode(errors="replace"))
    return done.stdout


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode64(text):
    """Standard or URL alphabet, padded or not: all four are in use for nonces."""
    text = text.rstrip("=").replace("+", "-").replace("/", "_")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def private_jwk(pem):
    """A P-256 key as JWK. RFC 5915: the private value stands at 7, the point at the end."""
    der = openssl("ec", "-in", pem, "-outform", "DER")
    assert der[5:7] == b"\x04\x20" and len(der) == 121, der.hex()
    return {"kty": "EC", "crv": "P-256", "d": b64url(der[7:39]), "x": b64url(der[-64:-32]), "y": b64url(der[-32:])}


class Answer:
    """Status, headers and body of one call; a refusal is an answer too."""

    def __init__(self, url, reply):
        self.url = url
        self.status = reply.status
        self.headers = dict(reply.headers.items())
        self.type = reply.headers.get("Content-Type", "")
        self.body = reply.read()

    def json(self):
        return json.loads(self.body)


class Veraison:
    """start() gives a running Veraison; verification and provisioning are the URLs of its services."""

    def __init__(self, folder=None):
        self.programs = folder or programs()
        self.processes = []
        self.verification = self.provisioning = self.ca = self.ear_key = self.context = None

    # ---- processes ----

    def start(self, directory, tls=False):
        self.dir = pathlib.Path(directory)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.make_keys(tls)
        ports = free_ports(3)
        config = self.dir / "config.yaml"
        config.write_text(json.dumps(self.config(ports, tls)))  # YAML contains JSON
        scheme = "https" if tls else "http"
        self.verification = f"{scheme}://localhost:{ports[1]}"
        self.provisioning = f"{scheme}://localhost:{ports[2]}"
        try:
            self.run("vts-service", config)
            self.wait("vts-service", lambda: listens(ports[0]))
            self.run("verification-service", config)
            self.run("provisioning-service", config)
            self.wait("verification-service", lambda: self.ready("verification"))
            self.wait("provisioning-service", lambda: self.ready("provisioning"))
        except BaseException:
            self.stop()
            raise
        return self.verification, self.provisioning

    def run(self, name, config):
        with (self.dir / f"{name}.log").open("wb") as log:
            self.processes.append(subprocess.Popen([self.programs / name, "--config", config], cwd=self.dir,
                                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def stop(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(10)
        self.processes = []

    def wait(self, name, condition):
        end = time.monotonic() + READY_SECONDS
        while not condition():
            stopped = [p.args[0] for p in self.processes if p.poll() is not None]
            if stopped or time.monotonic() > end:
                log = (self.dir / f"{name}.log").read_text(errors="replace")
                raise AssertionError(f"{name} is not ready; stopped: {stopped}\n{log[-4000:]}")
            time.sleep(0.05)

    def ready(self, service):
        try:
            answer = self.discover(service)
        except OSError:
            return False
        return answer.status == 200 and answer.json()["service-state"] in ("READY", "SERVICE_STATUS_READY")

    # ---- configuration ----

    def make_keys(self, tls):
        pem = self.dir / "ear.pem"
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", pem)
        private = private_jwk(pem)
        (self.dir / "ear.jwk").write_text(json.dumps(private))
        self.ear_key = {"alg": "ES256", **{name: private[name] for name in ("kty", "crv", "x", "y")}}
        if not tls:
            return
        self.ca = self.dir / "ca.pem"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                self.dir / "ca.key", "-out", self.ca, "-subj", "/CN=Veraison test CA", "-days", "30")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                self.dir / "tls.key", "-out", self.dir / "tls.csr", "-subj", "/CN=localhost")
        (self.dir / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        openssl("x509", "-req", "-in", self.dir / "tls.csr", "-CA", self.ca, "-CAkey", self.dir / "ca.key",
                "-CAcreateserial", "-days", "30", "-extfile", self.dir / "names", "-out", self.dir / "tls.pem")
        self.context = ssl.create_default_context(cafile=self.ca)

    def config(self, ports, tls):
        front = {"protocol": "http"}
        if tls:
            front = {"protocol": "https", "cert": f"{self.dir}/tls.pem", "cert-key": f"{self.dir}/tls.key"}
        address = [f"127.0.0.1:{port}" for port in ports]
        memory = {"backend": "memory"}
        return {
            "logging": {"level": "debug"},
            "vts": {"server-addr": address[0], "listen-addr": address[0], "tls": False},
            "verification": {"listen-addr": address[1], **front},
            "provisioning": {"listen-addr": address[2], **front},
            # Releases since v0.0.2603 read store, earlier ones ta-store and en-store.
            "store": {"dbms": "sqlite3", "dsn": "file::memory:?cache=shared", "trace-sql": False},
            "ta-store": memory, "en-store": memory, "po-store": memory,
            "po-agent": {"backend": "opa"},
            "plugin": {"backend": "builtin", "builtin": {}},
            "ear-signer": {"alg": "ES256", "key": f"{self.dir}/ear.jwk"},
            "auth": {"backend": "none"},
        }

    # ---- calls ----

    def call(self, method, url, body=None, headers=None):
        request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
        # No proxy of the environment: everything here is on the loopback.
        handlers = [urllib.request.ProxyHandler({})]
        if self.context is not None:
            handlers.append(urllib.request.HTTPSHandler(context=self.context))
        try:
            with urllib.request.build_opener(*handlers).open(request, timeout=CALL_SECONDS) as reply:
                return Answer(url, reply)
        except urllib.error.HTTPError as refusal:
            with refusal:
                return Answer(url, refusal)

    def discover(self, service, accept=DISCOVERY):
        base = getattr(self, service)
        return self.call("GET", f"{base}/.well-known/veraison/{service}", headers={"Accept": accept})

    def corim_type(self, profile):
        """The media type of an unsigned CoRIM as this Veraison spells it: older ones have a name of their own."""
        offered = self.discover("provisioning").json()["media-types"]
        for kind in ("application/rim+cbor", "application/corim-unsigned+cbor"):
            if f'{kind}; profile="{profile}"' in offered:
                return f'{kind}; profile="{profile}"'
        raise AssertionError(f"profile {profile} is not among {offered}")

    def provision(self, corim, media_type):
        return self.call("POST", f"{self.provisioning}/endorsement-provisioning/v1/submit", corim,
                         {"Content-Type": media_type, "Accept": PROVISIONING})

    def new_session(self, query):
        return self.call("POST", f"{self.verification}/challenge-response/v1/newSession{query}", b"",
                         {"Accept": SESSION})

    def session_url(self, opened):
        return urllib.parse.urljoin(opened.url, opened.headers["Location"])

    def submit(self, opened, evidence, media_type):
        return self.call("POST", self.session_url(opened), evidence,
                         {"Content-Type": media_type, "Accept": SESSION})


def free_ports(count):
    """Ports that were free a moment ago: the services cannot be told to choose."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
