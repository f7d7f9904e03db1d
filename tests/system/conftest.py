"""Fixtures: a laboratory with software TPMs, a CA and a verifier's store; servers and clients as
processes. Every test gets what it needs in a directory of its own."""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

ATLS = os.environ.get("ATLS", "atls")
CLASS = "31fb5abf-023e-4992-aa4e-95f9c1503bfa"
TIMEOUT = 60

# Exit statuses, as atls(1) promises.
YES, USAGE, UNKNOWN, REFUSED = 0, 1, 2, 3


def need(*tools):
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        pytest.skip("not installed: " + ", ".join(missing))


def run(*arguments, stdin=b"", status=YES, cwd=None):
    """Runs atls; fails the test unless it exits with status (None: whatever)."""
    done = subprocess.run([ATLS, *map(str, arguments)], input=stdin, capture_output=True,
                          timeout=TIMEOUT, cwd=cwd, check=False)
    assert status in (None, done.returncode), (arguments, done.returncode, done.stdout[-2000:].decode(errors="replace"),
                                       done.stderr.decode(errors="replace"))
    return done


def tool(*arguments, env=None, stdin=None):
    done = subprocess.run([str(a) for a in arguments], input=stdin, capture_output=True, timeout=TIMEOUT,
                          check=False, env={**os.environ, **(env or {})})
    assert done.returncode == 0, (arguments, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
    return done.stdout


def wait_until(what, condition, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s for {what}")


class Tpm:
    """A software TPM with an EK certificate of a maker's CA that lives in the test's directory."""

    def __init__(self, lab, name):
        need("swtpm", "swtpm_setup", "swtpm_localca")
        self.dir = lab / name
        self.dir.mkdir()
        self.socket = self.dir / "sock"
        self.uri = f"tpm2:swtpm:path={self.socket}?ak=0x81010002&aik=0x81010003"
        self.tcti = f"swtpm:path={self.socket}"
        ca = lab / "maker"
        ca.mkdir(exist_ok=True)
        (lab / "maker.conf").write_text(
            f"statedir = {ca}\nsigningkey = {ca}/signkey.pem\nissuercert = {ca}/issuercert.pem\n"
            f"certserial = {ca}/certserial\n")
        (lab / "maker.options").write_text(
            "--platform-manufacturer test\n--platform-version 1\n--platform-model test\n")
        (lab / "setup.conf").write_text(
            f"create_certs_tool = swtpm_localca\ncreate_certs_tool_config = {lab}/maker.conf\n"
            f"create_certs_tool_options = {lab}/maker.options\nactive_pcr_banks = sha256\n")
        (self.dir / "state").mkdir()
        tool("swtpm_setup", "--tpm2", "--tpmstate", self.dir / "state", "--create-ek-cert", "--lock-nvram",
             "--config", lab / "setup.conf")
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.dir}/state",
             "--flags", "not-need-init,startup-clear", "--server", f"type=unixio,path={self.socket}",
             "--ctrl", f"type=unixio,path={self.socket}.ctrl"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until("swtpm", self.socket.exists)

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def reset(self):
        """As after an orderly power cycle: keys are kept, PCRs are not."""
        need("tpm2_shutdown")
        tool("tpm2_shutdown", "--clear", env={"TPM2TOOLS_TCTI": self.tcti})
        self.stop()
        self.socket.unlink(missing_ok=True)
        self.start()

    def extend(self, pcr):
        need("tpm2_pcrextend")
        tool("tpm2_pcrextend", f"{pcr}:sha256={'5a' * 32}", env={"TPM2TOOLS_TCTI": self.tcti})


class Lab:
    """Directory, CA, store and TPMs."""

    def __init__(self, directory):
        need("openssl")
        self.dir = directory
        self.store = directory / "store.db"
        self.verifier = f"local:{self.store}"
        self.tpms = []
        self.processes = []
        self.ca()
        run("store", "init", "--store", self.store)
        run("store", "import", "--store", self.store, "--anchor", "tls", directory / "ca.pem")

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait(10)
        for tpm in self.tpms:
            tpm.stop()

    # ---- certificates ----

    def ca(self):
        tool("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-keyout", self.dir / "ca.key", "-out", self.dir / "ca.pem", "-subj", "/CN=Test CA", "-days", "30",
             "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, request, out, name="localhost", days=30):
        extensions = self.dir / "extensions"
        extensions.write_text(f"subjectAltName=DNS:{name}\nkeyUsage=critical,digitalSignature\n")
        tool("openssl", "x509", "-req", "-in", request, "-CA", self.dir / "ca.pem", "-CAkey",
             self.dir / "ca.key", "-CAcreateserial", "-days", days, "-extfile", extensions, "-out", out)
        return out

    def crl(self, *revoked):
        """A revocation list of the CA over these certificates."""
        config, index, crl = (self.dir / f"crl.{kind}" for kind in ("conf", "index", "pem"))
        index.write_text("")
        config.write_text(f"[ca]\ndefault_ca = d\n[d]\ndatabase = {index}\ncertificate = {self.dir}/ca.pem\n"
                          f"private_key = {self.dir}/ca.key\ndefault_md = sha256\ndefault_crl_days = 7\n")
        for certificate in revoked:
            tool("openssl", "ca", "-config", config, "-revoke", certificate)
        tool("openssl", "ca", "-config", config, "-gencrl", "-out", crl)
        return crl

    def tls(self, name="localhost"):
        """Certificate and key of a TLS server, as options of atls serve."""
        key, request, certificate = (self.dir / f"tls.{kind}" for kind in ("key", "csr", "pem"))
        if not certificate.exists():
            tool("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-keyout", key, "-out", request, "-subj", f"/CN={name}")
            self.issue(request, certificate, name)
        return ["--cert", certificate, "--key", key]

    # ---- TPMs ----

    def tpm(self, name="tpm"):
        tpm = Tpm(self.dir, name)
        self.tpms.append(tpm)
        return tpm

    def maker_anchors(self):
        maker = self.dir / "maker"
        path = self.dir / "maker.pem"
        path.write_bytes((maker / "issuercert.pem").read_bytes() +
                         (maker / "swtpm-localca-rootca-cert.pem").read_bytes())
        return path

    def enrol(self, tpm, name="localhost"):
        """Enrols a TPM, takes its PCRs as reference values, and has the CA certify its AIK. Returns
        the options of its attester."""
        run("store", "import", "--store", self.store, "--anchor", "ek", self.maker_anchors())
        request = tpm.dir / "aik.csr"
        run("enrol", "--attester", tpm.uri, "--store", self.store, "--class", CLASS, "--vendor", "atls",
            "--model", "test", "--persist", "--reference-values", "now", "--name", name, "--csr-out", request)
        certificate = self.issue(request, tpm.dir / "aik.pem", name)
        return ["--attester", tpm.uri, "--attester-cert", certificate]

    # ---- processes ----

    def serve(self, *arguments, stdin=subprocess.DEVNULL, stdout=None, env=None):
        """Starts a server on a free port of the loopback; the process has .port and .log."""
        log = self.dir / f"serve{len(self.processes)}.log"
        with log.open("wb") as stderr:
            process = subprocess.Popen([ATLS, "serve", "--listen", "127.0.0.1:0", *map(str, arguments)],
                                       stdin=stdin, stdout=stdout or subprocess.DEVNULL, stderr=stderr,
                                       env={**os.environ, **(env or {})})
        self.processes.append(process)
        process.log = log
        line = wait_until("the server", lambda: process.poll() is not None or
                          "listening on" in log.read_text() and log.read_text())
        assert process.poll() is None, log.read_text()
        process.port = line.split("127.0.0.1:")[1].split()[0]
        return process

    def connect_arguments(self, server, *arguments):
        return ["connect", f"localhost:{server.port}", "--verifier", self.verifier, *arguments]

    def connect(self, server, *arguments, stdin=b"", status=YES):
        return run(*self.connect_arguments(server, *arguments), stdin=stdin, status=status)

    def start_connect(self, server, *arguments):
        """A client whose standard input stays open."""
        process = subprocess.Popen([ATLS, *map(str, self.connect_arguments(server, *arguments))], bufsize=0,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.processes.append(process)
        return process


@contextlib.contextmanager
def laboratory():
    # The path of a socket may have 107 bytes, which pytest's own directories can exceed.
    directory = pathlib.Path(subprocess.run(["mktemp", "-d", "/tmp/atls-test.XXXXXX"], capture_output=True,
                                            check=True, text=True).stdout.strip())
    made = None
    try:
        made = Lab(directory)
        yield made
    finally:
        if made is not None:
            made.close()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def lab():
    with laboratory() as made:
        yield made


def ask_again(process):
    """Has a server make every client attest again."""
    process.send_signal(signal.SIGUSR1)


@pytest.fixture(scope="session")
def fuse(tmp_path_factory):
    """Skips where simulated machines cannot be mounted."""
    from test_tee_sim import Mount, sim
    directory = tmp_path_factory.mktemp("fuse")
    sim("init", directory / "cca", "--tee", "cca")
    Mount(directory / "cca", directory / "report").close()
