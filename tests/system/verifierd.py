"""The daemon as a process of a test: a directory with certificates, tokens and a configuration, a
port of the loopback, what it logged and what it answers."""
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import textwrap
import threading

from conftest import TIMEOUT, need, tool, wait_until

# With store and issuer in memory, and the daemon as it is installed.
DOUBLE = os.environ.get("ATLS_VERIFIERD_DOUBLE", "system_verifierd")
DAEMON = os.environ.get("ATLS_VERIFIERD", "atls-verifierd")
TOKEN = "ci-token-0123456789-abcdefghijk"
EVIDENCE = "application/vnd.example.evidence"
SESSION = "application/vnd.veraison.challenge-response-session+json"
PROBLEM = "application/problem+json"
RIM = 'application/rim+cose; profile="tag:example.com,2026:p"'
NEW = "/challenge-response/v1/newSession"
SUBMIT = "/endorsement-provisioning/v1/submit"


class Answer:
    def __init__(self, response, body):
        self.status = response.status
        self.headers = response.headers
        self.type = response.headers.get("Content-Type", "")
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)


class Verifierd:
    """One daemon. Its configuration is a text in which {dir} stands for its directory."""

    def __init__(self, directory, program=DOUBLE):
        self.dir = pathlib.Path(directory)
        self.program = program
        self.config = self.dir / "verifierd.yaml"
        self.log = self.dir / "log"
        self.process = None
        self.ports = []

    # ---- files ----

    def write(self, text):
        self.config.write_text(textwrap.dedent(text).replace("{dir}", str(self.dir)))
        return self.config

    def token(self, name="token", text=TOKEN, mode=0o600):
        path = self.dir / name
        path.write_text(text + "\n")
        path.chmod(mode)
        return path

    def authority(self, name="ca"):
        tool("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
             self.dir / f"{name}.key", "-out", self.dir / f"{name}.pem", "-subj", f"/CN={name}", "-days", "30",
             "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        (self.dir / f"{name}.key").chmod(0o600)

    def certificate(self, name, subject, ca="ca", purpose="clientAuth", days=30):
        key, request, out = (self.dir / f"{name}.{kind}" for kind in ("key", "csr", "pem"))
        extensions = self.dir / "extensions"
        extensions.write_text(f"subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage={purpose}\n")
        tool("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out",
             request, "-subj", subject)
        tool("openssl", "x509", "-req", "-in", request, "-CA", self.dir / f"{ca}.pem", "-CAkey",
             self.dir / f"{ca}.key", "-CAcreateserial", "-days", days, "-extfile", extensions, "-out", out)
        key.chmod(0o600)
        return out, key

    def spki(self, certificate):
        public = tool("openssl", "x509", "-in", certificate, "-pubkey", "-noout")
        der = tool("openssl", "pkey", "-pubin", "-outform", "DER", stdin=public)
        return tool("openssl", "dgst", "-sha256", "-r", stdin=der).split()[0].decode()

    # ---- the process ----

    def check(self):
        return subprocess.run([self.program, "--config", self.config, "--check-config"], capture_output=True,
                              timeout=TIMEOUT, check=False)

    def start(self, env=None, before=(), ready=True, **options):
        with self.log.open("wb") as stderr:
            self.process = subprocess.Popen([*before, self.program, "--config", str(self.config)], stderr=stderr,
                                            stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})}, **options)
        wait_until("the daemon", lambda: self.process.poll() is not None or self.events("start"))
        assert self.process.poll() is None, self.log.read_text()
        self.ports = [int(line["address"].rsplit(":", 1)[1]) for line in self.events("listening")
                      if not line["address"].startswith("unix")]
        if ready:
            wait_until("readiness", lambda: self.get("/readyz").status == 200)
        return self

    def tell(self, number):
        self.process.send_signal(number)

    def reload(self, ok=True):
        count = len(self.events("reload"))
        self.tell(signal.SIGHUP)
        line = wait_until("the reload", lambda: self.events("reload")[count:])[0]
        assert (line["level"] == "info") == ok, line
        return line

    def stop(self, number=signal.SIGTERM):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(TIMEOUT)
        return self.process.returncode

    def finish(self):
        """Ends it as its user would; a daemon that still ran has to end well."""
        if self.process is not None and self.process.poll() is None:
            try:
                assert self.stop() == 0, self.log.read_text()[-2000:]
            finally:
                self.kill()

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def events(self, name=None):
        whole = self.log.read_text().rpartition("\n")[0]
        lines = [json.loads(line) for line in whole.splitlines() if line.startswith("{")]
        return [line for line in lines if name is None or line["event"] == name]

    def rss(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    # ---- requests ----

    def connection(self, port=0, tls=None):
        host, number = "127.0.0.1", self.ports[port]
        if tls is not None:
            return http.client.HTTPSConnection(host, number, timeout=TIMEOUT, context=tls)
        return http.client.HTTPConnection(host, number, timeout=TIMEOUT)

    def tls(self, certificate=None, ca="ca"):
        context = ssl.create_default_context(cafile=self.dir / f"{ca}.pem")
        if certificate is not None:
            context.load_cert_chain(*certificate)
        return context

    def ask(self, method, target, body=None, headers=None, connection=None, **options):
        own = connection is None
        connection = connection or self.connection(**options)
        try:
            connection.request(method, target, body=body, headers=headers or {})
            response = connection.getresponse()
            return Answer(response, response.read())
        finally:
            if own:
                connection.close()

    def get(self, target, **options):
        return self.ask("GET", target, **options)

    def post(self, target, body=None, type=None, headers=None, **options):
        headers = dict(headers or {})
        if type is not None:
            headers["Content-Type"] = type
        return self.ask("POST", target, body, headers, **options)

    def submit(self, body=b"manifest", token=TOKEN, type=RIM, prefix="", **options):
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        return self.post(prefix + SUBMIT, body, type, headers, **options)

    def raw(self, data, port=0, shut=False):
        """Sends bytes as they are; what came back until the end."""
        with socket.create_connection(("127.0.0.1", self.ports[port]), timeout=TIMEOUT) as s:
            with contextlib.suppress(OSError):
                s.sendall(data)
                if shut:
                    s.shutdown(socket.SHUT_WR)
            return read_all(s)

    def session(self, prefix="", query=""):
        answer = self.post(prefix + NEW + query)
        assert answer.status == 201, answer.body
        return prefix + "/challenge-response/v1/" + answer.headers["Location"]

    def metric(self, line):
        """Value of a series; 0 when it is not there."""
        for text in self.get("/metrics").body.decode().splitlines():
            if text.startswith(line + " "):
                return float(text.rsplit(" ", 1)[1])
        return 0.0


def read_all(s):
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := s.recv(65536):
            data += chunk
    return data


def curl(daemon, *arguments, port=0, scheme="http"):
    """Status, headers and body, by curl."""
    need("curl")
    *options, target = map(str, arguments)
    out = tool("curl", "-sS", "-i", "--http1.1", "-m", TIMEOUT, *options, f"{scheme}://localhost:{daemon.ports[port]}{target}",
               env={"no_proxy": "*"})
    while True:
        head, _, out = out.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 100"):
            break
    lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
    return int(lines[0].split()[1]), headers, out


def is_problem(answer, status):
    assert answer.status == status, (answer.status, answer.body)
    assert answer.type == PROBLEM
    problem = answer.json
    assert problem["status"] == status and problem["title"] and problem["detail"], problem
    assert problem["instance"] == "urn:uuid:" + answer.headers["X-Request-Id"]
    return problem


class Load:
    """Clients that ask and ask until they are told to end; every failure is kept."""

    def __init__(self, clients, work):
        self.done, self.failures, self.end = 0, [], threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(work,)) for _ in range(clients)]

    def run(self, work):
        state = {}
        while not self.end.is_set():
            try:
                work(state)
                with self.lock:
                    self.done += 1
            except Exception as problem:  # noqa: BLE001 what it was is the test's to show
                self.failures.append(repr(problem))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        for thread in self.threads:
            thread.join(TIMEOUT)

    def wait(self, count):
        start = self.done
        wait_until("the load", lambda: self.done >= start + count or self.failures)


def remove(directory):
    shutil.rmtree(directory, ignore_errors=True)
