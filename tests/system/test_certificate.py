"""Certificates that carry evidence (RA-TLS): made, judged offline, and read by tools of others."""
import datetime
import json
import pathlib
import re
import subprocess

import pytest

from conftest import REFUSED, UNKNOWN, USAGE, need, run, tool, wait_until
from flavours import stop

VECTORS = pathlib.Path(__file__).resolve().parent.parent / "vectors" / "ra-tls"
NONCE, OTHER = "a5" * 32, "a5" * 31 + "a4"


@pytest.fixture
def machine(lab):
    """A TPM that the store knows."""
    tpm = lab.tpm()
    lab.enrol(tpm)
    tpm.pem = tpm.dir / "evidence.pem"
    return tpm


def make(tpm, *arguments, **options):
    return run("certificate", "make", "--attester", tpm.uri, "--out", tpm.pem, *arguments, **options)


def verify(lab, certificate, *arguments, freshness="none", identity="attested", **options):
    return run("certificate", "verify", "--verifier", lab.verifier, "--freshness", freshness,
               "--identity", identity, certificate, *arguments, **options)


def test_made_and_accepted(lab, machine):
    make(machine, "--hours", "8", "--name", "host.example", "--name", "192.0.2.7")
    done = verify(lab, machine.pem)
    assert b"bound to key only, not to connection; freshness: none" in done.stdout
    assert re.search(rb"^form: +cmw$", done.stdout, re.M) and b"decision: accept" in done.stdout
    assert re.search(rb"^age: +6[0-9] s since notBefore$", done.stdout, re.M), done.stdout

    answer = json.loads(verify(lab, machine.pem, "--json").stdout)
    assert answer["decision"] == "accept" and answer["ear"]["ear_status"] == "affirming"
    assert (answer["form"], answer["binding"], answer["freshness"]) == ("cmw", "key", "none")
    assert answer["not-after"] - answer["not-before"] == 8 * 3600 + 60 and not answer["out-of-date"]

    # The DER of it serves as well.
    der = machine.dir / "evidence.der"
    tool("openssl", "x509", "-in", machine.pem, "-outform", "DER", "-out", der)
    verify(lab, der)


def test_what_tools_of_others_read(machine):
    make(machine, "--days", "2", "--name", "host.example")
    text = tool("openssl", "x509", "-in", machine.pem, "-noout", "-text").decode()
    assert "DNS:host.example" in text and "Digital Signature" in text
    # OpenSSL before 3.5 has no name for the OID.
    lines = [line.strip() for line in text.splitlines()]
    assert any(line.startswith(("1.3.6.1.5.5.7.1.35:", "id-pe-cmw:", "CMW")) for line in lines), text
    assert "CA:TRUE" not in text
    tool("openssl", "verify", "-check_ss_sig", "-CAfile", machine.pem, machine.pem)


def test_nonces(lab, machine):
    make(machine, "--nonce", NONCE)
    assert b"freshness: nonce" in verify(lab, machine.pem, "--nonce", NONCE, freshness="nonce").stdout
    done = verify(lab, machine.pem, "--nonce", OTHER, freshness="nonce", status=REFUSED)
    assert b"[nonce-mismatch]" in done.stderr
    assert b"[nonce-mismatch]" in verify(lab, machine.pem, status=REFUSED).stderr
    make(machine)
    assert b"[nonce-mismatch]" in verify(lab, machine.pem, "--nonce", NONCE, freshness="nonce", status=REFUSED).stderr


def test_refusals(lab, machine):
    make(machine, "--hours", "1")
    late = verify(lab, machine.pem, "--time", "2090-01-01T00:00:00Z", status=REFUSED)
    assert b"[certificate-expired]" in late.stderr
    early = verify(lab, machine.pem, "--time", "2020-01-01T00:00:00Z", "--json", status=REFUSED)
    assert json.loads(early.stdout)["reason"] == "certificate-not-yet-valid"

    # A self-signed certificate is signed by its own key.
    der = bytearray(tool("openssl", "x509", "-in", machine.pem, "-outform", "DER"))
    der[-1] ^= 1
    broken = machine.dir / "broken.der"
    broken.write_bytes(der)
    assert b"[chain-signature]" in verify(lab, broken, status=REFUSED).stderr
    broken.write_bytes(der[:-1])
    assert b"[malformed]" in verify(lab, broken, status=REFUSED).stderr
    broken.write_text("no certificate at all")
    verify(lab, broken, status=REFUSED)
    verify(lab, machine.dir / "missing.pem", status=UNKNOWN)

    # Nobody vouches for its name.
    done = verify(lab, machine.pem, "--name", "localhost", identity="pkix", status=REFUSED)
    assert b"[untrusted-root]" in done.stderr

    # The AIK's certificate of the CA holds no evidence.
    assert b"[not-attested]" in verify(lab, machine.dir / "aik.pem", status=REFUSED).stderr

    policy = lab.dir / "never.jq"
    policy.write_text('{decision: "refuse", reasons: ["never"]}')
    done = verify(lab, machine.pem, "--policy", policy, status=REFUSED)
    assert b"decision: refuse" in done.stdout and b"never" in done.stderr

    machine.extend(7)
    make(machine)
    assert b"PCR 7" in verify(lab, machine.pem, status=REFUSED).stderr


def test_dates_are_ignored_only_when_asked(lab, machine):
    make(machine, "--hours", "1")
    later = after(hours=2)
    assert b"[certificate-expired]" in verify(lab, machine.pem, "--time", later, status=REFUSED).stderr
    done = verify(lab, machine.pem, "--time", later, "--ignore-dates")
    assert b"out of its dates or too old, which was ignored" in done.stdout
    assert json.loads(verify(lab, machine.pem, "--time", later, "--ignore-dates", "--json").stdout)["out-of-date"]


def after(**span):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(**span)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_how_old_a_certificate_may_be(lab, machine):
    """A week, unless told, whatever it says itself; what answers a nonce was made for it."""
    make(machine, "--days", "30")
    verify(lab, machine.pem, "--time", after(days=6))
    late = verify(lab, machine.pem, "--time", after(days=8), status=REFUSED)
    assert b"[certificate-too-old]" in late.stderr and b"want at most 604800" in late.stderr
    verify(lab, machine.pem, "--time", after(days=8), "--max-age", "200")
    assert b"[certificate-too-old]" in verify(lab, machine.pem, "--time", after(hours=3), "--max-age", "2",
                                              status=REFUSED).stderr
    assert b"too old" in verify(lab, machine.pem, "--time", after(days=8), "--ignore-dates").stdout

    make(machine, "--days", "30", "--nonce", NONCE)
    verify(lab, machine.pem, "--time", after(days=8), "--nonce", NONCE, freshness="nonce")


def test_a_ca_makes_the_certificate(lab, machine):
    """RFC 9999: the extension may stand in a request, and a CA copies it."""
    request, certificate = machine.dir / "evidence.csr", machine.dir / "issued.pem"
    run("certificate", "request", "--attester", machine.uri, "--name", "host.example", "--out", request)
    tool("openssl", "req", "-in", request, "-verify", "-noout")
    tool("openssl", "x509", "-req", "-in", request, "-CA", lab.dir / "ca.pem", "-CAkey", lab.dir / "ca.key",
         "-CAcreateserial", "-days", "3", "-copy_extensions", "copyall", "-out", certificate)
    verify(lab, certificate, "--name", "host.example", identity="pkix")
    done = verify(lab, certificate, "--name", "else.example", identity="pkix", status=REFUSED)
    assert b"[certificate-name]" in done.stderr
    assert b"[chain-issuer]" in verify(lab, certificate, status=REFUSED).stderr
    revoked = verify(lab, certificate, "--name", "host.example", "--crl", lab.crl(certificate), identity="pkix",
                     status=REFUSED)
    assert b"[certificate-revoked]" in revoked.stderr


def test_forms(machine):
    """Our bundles are collections, which the extension of DICE does not take."""
    done = make(machine, "--form", "dice", status=UNKNOWN)
    assert b"form dice takes one record, found a collection" in done.stderr


def test_shown(machine):
    make(machine)
    shown = json.loads(run("certificate", "show", "--json", "--cmw-out", machine.dir / "cmw", machine.pem).stdout)
    assert shown["verified"] is False and shown["self-issued"] is True and shown["form"] == "cmw"
    key = tool("openssl", "x509", "-in", machine.pem, "-noout", "-pubkey")
    der = tool("openssl", "pkey", "-pubin", "-outform", "DER", stdin=key)
    digest = tool("openssl", "dgst", "-sha256", "-binary", stdin=der).hex()
    assert shown["key-sha256"] == digest
    assert shown["cmw"]["kind"] == "cmw"
    assert json.loads(run("inspect", "--json", machine.dir / "cmw").stdout)["kind"] == "cmw"


@pytest.mark.parametrize("name, end", [("gramine", 1924991999), ("intel-sgxsdk", 2556143999), ("rats-tls", 1708621822)])
def test_certificates_of_others_are_shown(lab, name, end):
    shown = json.loads(run("certificate", "show", "--json", VECTORS / f"{name}-cert.pem").stdout)
    assert shown["form"] == "dice" and shown["self-issued"] and shown["not-after"] == end


@pytest.mark.parametrize("name", ["gramine", "intel-sgxsdk", "rats-tls"])
def test_certificates_of_others_must_be_asked_for(lab, machine, name):
    done = verify(lab, VECTORS / f"{name}-cert.pem", "--ignore-dates", status=REFUSED)
    assert b"[evidence-profile]" in done.stderr


@pytest.mark.parametrize("name", ["gramine", "intel-sgxsdk", "rats-tls"])
def test_certificates_of_others_are_verified_up_to_what_is_missing(lab, name):
    """Certificate, form and chain of the quote are good; what Intel published of the platform is not on file."""
    run("store", "import", "--store", lab.store, "--anchor", "tee",
        VECTORS.parent / "tdx" / "roots" / "intel_sgx_root_ca.der")
    done = verify(lab, VECTORS / f"{name}-cert.pem", "--profile", "ra-tls", "--ignore-dates", status=REFUSED)
    assert b"[collateral-unavailable]" in done.stderr


@pytest.mark.parametrize("arguments", [
    [], ["make"], ["request"], ["other"], ["verify", "x"], ["show"],
    ["make", "--attester", "soft:", "x"],
    ["make", "--attester", "soft:"],
    ["make", "--attester", "soft:", "--insecure-soft", "--days", "0"],
    ["make", "--attester", "soft:", "--insecure-soft", "--days", "367"],
    ["make", "--attester", "soft:", "--insecure-soft", "--days", "1", "--hours", "1"],
    ["make", "--attester", "soft:", "--insecure-soft", "--nonce", "00"],
    ["make", "--attester", "soft:", "--insecure-soft", "--nonce", "0g" * 32],
    ["make", "--attester", "soft:", "--insecure-soft", "--form", "x509"],
    ["make", "--attester", "soft:", "--insecure-soft", "--profile", "none"],
    ["make", "--attester", "soft:", "--insecure-soft", *["--name", "x"] * 33],
    ["request", "--attester", "soft:", "--insecure-soft", "--nonce", NONCE],
    ["verify", "--verifier", "local:x", "x"],
    ["verify", "--verifier", "local:x", "--freshness", "new", "x"],
    ["verify", "--verifier", "local:x", "--freshness", "nonce", "x"],
    ["verify", "--verifier", "local:x", "--freshness", "none", "--nonce", NONCE, "x"],
    ["verify", "--verifier", "local:x", "--freshness", "none", "x"],
    ["verify", "--verifier", "local:x", "--freshness", "none", "--identity", "same-key", "x"],
    ["verify", "--verifier", "local:x", "--freshness", "none", "--identity", "attested", "--name", "x", "x"],
    ["verify", "--verifier", "local:x", "--freshness", "none", "--identity", "attested", "--crl", "x", "x"],
    ["verify", "--verifier", "local:x", "--freshness", "none", "--identity", "attested"],
    ["verify", "--verifier", "local:x", "--freshness", "none", "--identity", "attested", "--max-age", "0", "x"],
    ["verify", "--verifier", "local:x", "--freshness", "none", "--identity", "attested", "--max-age", "438001", "x"],
    ["verify", "--verifier", "local:x", "--freshness", "none", "--identity", "attested", "--max-age", "9",
     "--ignore-dates", "x"],
    ["verify", "--verifier", "local:x", "--freshness", "nonce", "--nonce", NONCE, "--identity", "attested",
     "--max-age", "9", "x"],
])
def test_usage(arguments):
    assert run("certificate", *arguments, status=USAGE).stderr


def test_bare_soft_evidence_in_the_form_of_dice(tmp_path):
    out = tmp_path / "dice.pem"
    run("certificate", "make", "--attester", "soft:", "--insecure-soft", "--form", "dice", "--profile", "bare",
        "--out", out)
    assert json.loads(run("certificate", "show", "--json", out).stdout)["form"] == "dice"


# ---- connections, with programs that know nothing of all this ----

@pytest.fixture
def server(lab, machine):
    return lab.serve("--flavour", "pre", "--freshness", "none", "--attester", machine.uri, "--echo")


def test_openssl_s_client_ignores_the_extension(lab, machine, server):
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-showcerts", "-tls1_3"],
                          input=b"", capture_output=True, timeout=60, check=False)
    pem = machine.dir / "seen.pem"
    pem.write_bytes(re.search(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", done.stdout, re.S).group())
    verify(lab, pem)


def test_gnutls_ignores_the_extension(server):
    need("gnutls-cli")
    done = subprocess.run(["gnutls-cli", "--insecure", "--no-ca-verification", "-p", server.port, "127.0.0.1"],
                          input=b"", capture_output=True, timeout=60, check=False)
    assert b"Handshake was completed" in done.stdout, (done.stdout, done.stderr)


def issued_ago(lab, machine, days):
    """A certificate with the machine's evidence, of the CA: made so many days ago, valid for as many from now."""
    request, certificate = machine.dir / "long.csr", machine.dir / "long.pem"
    config, index = machine.dir / "long.conf", machine.dir / "long.index"
    index.write_text("")
    config.write_text(f"[ca]\ndefault_ca = d\n[d]\ndatabase = {index}\nnew_certs_dir = {machine.dir}\nrand_serial = yes\n"
                      f"certificate = {lab.dir}/ca.pem\nprivate_key = {lab.dir}/ca.key\ndefault_md = sha256\n"
                      "policy = any\ncopy_extensions = copyall\nunique_subject = no\n[any]\ncommonName = optional\n")
    run("certificate", "request", "--attester", machine.uri, "--name", "localhost", "--out", request)
    dates = [(datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=n)).strftime("%Y%m%d%H%M%SZ")
             for n in (-days, days)]
    tool("openssl", "ca", "-batch", "-notext", "-config", config, "-in", request, "-out", certificate,
         "-startdate", dates[0], "-enddate", dates[1])
    return certificate


def test_how_old_the_certificate_of_a_peer_may_be(lab, machine):
    """Of a server, and of a client."""
    shows = ["--attester", machine.uri, "--attester-cert", issued_ago(lab, machine, 10)]
    pre = ["--flavour", "pre", "--freshness", "none"]
    server = lab.serve(*pre, *shows, "--echo")
    takes = [*pre, "--ca", lab.dir / "ca.pem"]
    assert b"[certificate-too-old]" in lab.connect(server, *takes, status=REFUSED).stderr
    assert b"[certificate-too-old]" in lab.connect(server, *takes, "--certificate-max-age", "239", status=REFUSED).stderr
    lab.connect(server, *takes, "--certificate-max-age", "241")
    stop(server)  # a software TPM serves one process at a time

    for age, status in (([], REFUSED), (["--certificate-max-age", "241"], 0)):
        server = lab.serve(*pre, *lab.tls(), "--require-peer", "--verifier", lab.verifier, "--ca", lab.dir / "ca.pem",
                           "--echo", *age)
        run("connect", f"localhost:{server.port}", "--unattested-server", *takes, *shows, stdin=b"hello", status=status)
        wait_until("the end", lambda: re.search("closed: 5 bytes|refused: ", server.log.read_text()))
        assert ("[certificate-too-old]" in server.log.read_text()) == (status == REFUSED), server.log.read_text()
