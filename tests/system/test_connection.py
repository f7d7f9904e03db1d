"""serve and connect in two shells: what is accepted, what is refused, and what follows later."""
import hashlib
import json
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import threading

from conftest import ATLS, CLASS, REFUSED, UNKNOWN, USAGE, YES, ask_again, need, run, tool, wait_until

DATA = os.urandom(700_000)


def read_line(stream):
    ready, _, _ = select.select([stream], [], [], 20)
    assert ready, "no line in 20 s"
    return stream.readline().decode()


def test_file_arrives_whole_and_a_changed_machine_is_refused(lab):
    tpm = lab.tpm()
    attester = lab.enrol(tpm)
    out = lab.dir / "out"
    with out.open("wb") as stdout:
        server = lab.serve(*lab.tls(), *attester, stdout=stdout)
        done = lab.connect(server, stdin=DATA)
        assert b"attested" in done.stderr and b"affirming" in done.stderr and b"localhost" in done.stderr
        wait_until("the file", lambda: out.stat().st_size == len(DATA))
        assert hashlib.sha256(out.read_bytes()).digest() == hashlib.sha256(DATA).digest()

        need("tpm2_pcrextend")
        tpm.extend(7)
        done = lab.connect(server, stdin=DATA, status=REFUSED)
        assert re.search(rb"^atls connect: refused: .*PCR 7 .*\[[a-z-]+\]$", done.stderr, re.M)
        assert out.stat().st_size == len(DATA)
    server.send_signal(signal.SIGTERM)
    assert server.wait(20) == YES


def test_echo_gives_back_what_was_sent(lab):
    server = lab.serve(*lab.tls(), *lab.enrol(lab.tpm()), "--echo")
    assert lab.connect(server, stdin=DATA).stdout == DATA
    shown = json.loads(lab.connect(server, "--json", stdin=b"x").stderr.splitlines()[0])
    assert shown["attested"] is True
    assert shown["evidence-type"] == "tpm"
    assert shown["binding"] == "connection"
    assert shown["key-trust"] == "enrolled"
    assert shown["name"] == "localhost"


def test_revoked_certificates_are_refused(lab):
    tpm = lab.tpm()
    server = lab.serve(*lab.tls(), *lab.enrol(tpm), "--echo")
    empty, refused = lab.crl(), b"certificate-revoked"
    assert lab.connect(server, "--crl", empty, stdin=b"x").stdout == b"x"
    # The certificate of the attestation identity key, by an option and by the store.
    listed = lab.crl(tpm.dir / "aik.pem")
    assert refused in lab.connect(server, "--crl", listed, stdin=b"x", status=REFUSED).stderr
    run("store", "import", "--store", lab.store, "--crl", listed)
    shown = run("store", "list", "--store", lab.store).stdout
    assert re.search(rb"^crl:1  CN=Test CA  next update 20", shown, re.M)
    assert refused in lab.connect(server, stdin=b"x", status=REFUSED).stderr
    assert lab.connect(server, "--ca", lab.dir / "ca.pem", stdin=b"x").stdout == b"x"
    run("store", "remove", "--store", lab.store, "crl:1")
    # The certificate of TLS, which TLS refuses.
    listed = lab.crl(lab.dir / "tls.pem")
    done = lab.connect(server, "--crl", listed, stdin=b"x", status=REFUSED)
    assert b"certificate revoked" in done.stderr
    assert lab.connect(server, stdin=b"x").stdout == b"x"
    lab.connect(server, "--crl", listed, "--identity", "attested", status=USAGE)
    lab.connect(server, "--crl", lab.dir / "ca.pem", status=UNKNOWN)


def test_the_end_of_the_data_is_seen_whenever_it_comes(lab):
    """The client ends while the server looks at the socket for the last time before it waits."""
    shim = os.environ["ATLS_SLOW_READ"]
    assert pathlib.Path(shim).exists()
    server = lab.serve(*lab.tls(), *lab.enrol(lab.tpm()), "--echo", env={
        "LD_PRELOAD": shim, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"})
    for _ in range(3):
        client = open_client(lab, server)
        client.stdin.close()
        assert client.wait(30) == YES
    wait_until("the ends", lambda: server.log.read_text().count("closed: 4 bytes received, 4 sent") == 3)


def test_raw_connection(lab):
    source = lab.dir / "source"
    source.write_bytes(DATA)
    with source.open("rb") as stdin:
        server = lab.serve(*lab.tls(), *lab.enrol(lab.tpm()), "--raw", stdin=stdin)
    # The end of either side's input ends a raw connection: ours stays open.
    client = lab.start_connect(server, "--raw")
    assert client.stdout.read() == DATA
    assert client.wait(20) == YES


def test_forwarding(lab):
    listener = socket.create_server(("127.0.0.1", 0))
    received = []

    def upper():
        connection, _ = listener.accept()
        with connection:
            data = b""
            while piece := connection.recv(65536):
                data += piece
            received.append(data)
            connection.sendall(data.upper())

    thread = threading.Thread(target=upper)
    thread.start()
    server = lab.serve(*lab.tls(), *lab.enrol(lab.tpm()), "--forward", f"127.0.0.1:{listener.getsockname()[1]}")
    assert lab.connect(server, stdin=b"hello" * 50_000).stdout == b"HELLO" * 50_000
    thread.join(20)
    assert received == [b"hello" * 50_000]
    listener.close()


def test_many_clients_at_once(lab):
    server = lab.serve(*lab.tls(), *lab.enrol(lab.tpm()), "--echo")
    results = []

    def one(number):
        text = f"client {number} ".encode() * 5000
        results.append(lab.connect(server, stdin=text).stdout == text)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == [True] * 8


def test_fault_on_one_connection_stays_there(lab):
    server = lab.serve(*lab.tls(), *lab.enrol(lab.tpm()), "--echo")
    with socket.create_connection(("127.0.0.1", int(server.port))) as plain:
        plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
        plain.recv(1000)
    assert lab.connect(server, stdin=b"still here").stdout == b"still here"
    assert "failed" in server.log.read_text()


def test_mutual_attestation(lab):
    server_side, client_side = lab.enrol(lab.tpm("one")), lab.enrol(lab.tpm("two"), "client.example")
    server = lab.serve(*lab.tls(), *server_side, "--require-peer", "--verifier", lab.verifier, "--echo",
                       "--json-log")
    assert lab.connect(server, *client_side, stdin=DATA).stdout == DATA
    events = [json.loads(line) for line in server.log.read_text().splitlines()[1:]]
    assert events[0]["event"] == "open" and events[0]["name"] == "client.example"
    assert lab.connect(server, stdin=b"x", status=REFUSED).stdout == b""
    wait_until("the refusal", lambda: '"refused"' in server.log.read_text())


def open_client(lab, server, *arguments):
    """A client that has exchanged one line and waits for the next."""
    client = lab.start_connect(server, *arguments)
    client.stdin.write(b"one\n")
    client.stdin.flush()
    assert read_line(client.stdout) == "one\n"
    return client


def test_interval_finds_a_change_in_mid_stream(lab):
    tpm = lab.tpm()
    server = lab.serve(*lab.tls(), *lab.enrol(tpm), "--echo")
    client = open_client(lab, server, "--reattest-interval", "1")
    need("tpm2_pcrextend")
    tpm.extend(7)
    assert client.wait(30) == REFUSED
    assert re.search(rb"refused: .*PCR 7 ", client.stderr.read())


def test_signal_has_every_client_attest_again(lab):
    one, two = lab.tpm("one"), lab.tpm("two")
    server_side, client_side = lab.enrol(one), lab.enrol(two, "client.example")
    server = lab.serve(*lab.tls(), *server_side, "--require-peer", "--verifier", lab.verifier, "--echo")
    client = open_client(lab, server, *client_side)
    ask_again(server)
    wait_until("another attestation", lambda: "attested again" in server.log.read_text())
    client.stdin.write(b"two\n")
    client.stdin.flush()
    assert read_line(client.stdout) == "two\n"
    need("tpm2_pcrextend")
    two.extend(4)
    ask_again(server)
    assert client.wait(30) == REFUSED
    wait_until("the refusal", lambda: "PCR 4" in server.log.read_text())


def test_names_and_anchors(lab):
    tpm = lab.tpm()
    attester = lab.enrol(tpm, "other.example")
    server = lab.serve(*lab.tls(), *attester, "--echo")
    done = lab.connect(server, stdin=b"x", status=REFUSED)
    assert b"[certificate-name]" in done.stderr
    other = lab.dir / "other"
    other.mkdir()
    tool("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
         other / "k", "-out", other / "ca.pem", "-subj", "/CN=Other CA", "-days", "2")
    done = lab.connect(server, "--ca", other / "ca.pem", stdin=b"x", status=REFUSED)
    assert b"TLS certificate" in done.stderr


def test_attested_identity_needs_no_certificate(lab):
    tpm = lab.tpm()
    lab.enrol(tpm)
    server = lab.serve("--attester", tpm.uri, "--identity", "attested", "--echo")
    done = lab.connect(server, "--identity", "attested", stdin=b"hello")
    assert done.stdout == b"hello"
    assert b"TLS does not check" in done.stderr


def test_a_tpm_that_nobody_enrolled(lab):
    known, unknown = lab.tpm("known"), lab.tpm("unknown")
    lab.enrol(known)
    uri = f"tpm2:swtpm:path={unknown.socket}"
    server = lab.serve("--attester", uri, "--identity", "attested", "--echo")
    done = lab.connect(server, "--identity", "attested", stdin=b"x", status=REFUSED)
    assert b"[untrusted-ak]" in done.stderr


def test_software_evidence_is_refused_unless_named(lab):
    lab.enrol(lab.tpm())
    server = lab.serve("--attester", "soft:", "--insecure-soft", "--identity", "attested", "--echo")
    done = lab.connect(server, "--identity", "attested", stdin=b"x", status=REFUSED)
    assert b"[no-common-parameters]" in done.stderr


def test_plain_tls_server(lab):
    lab.enrol(lab.tpm())
    certificate = lab.tls()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    plain = subprocess.Popen(["openssl", "s_server", "-accept", str(port), "-cert", str(certificate[1]), "-key",
                              str(certificate[3]), "-quiet"], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lab.processes.append(plain)
    plain.port = port
    wait_until("s_server", lambda: listens(port))
    done = lab.connect(plain, stdin=b"x", status=REFUSED)
    assert b"[no-common-parameters]" in done.stderr and b"ALPN" in done.stderr


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def test_plain_tls_client_is_turned_away(lab):
    server = lab.serve(*lab.tls(), *lab.enrol(lab.tpm()), "--echo")
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-brief"],
                          input=b"hello", capture_output=True, timeout=30, check=False)
    assert done.returncode != 0
    assert b"no application protocol" in done.stderr
    assert b"hello" not in done.stdout


def test_nobody_and_silence(lab):
    lab.enrol(lab.tpm())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        class Silent:
            port = silent.getsockname()[1]
        done = lab.connect(Silent, "--timeout", "1", stdin=b"x", status=UNKNOWN)
        assert b"[deadline]" in done.stderr


def test_once_ends_as_its_connection_ended(lab):
    attester = lab.enrol(lab.tpm())
    server = lab.serve(*lab.tls(), *attester, "--once", "--echo")
    lab.connect(server, stdin=b"x")
    assert server.wait(20) == YES
    server = lab.serve(*lab.tls(), *attester, "--once", "--echo")
    lab.connect(server, "--name", "other.example", stdin=b"x", status=REFUSED)
    assert server.wait(20) != YES


def test_policy_decides(lab):
    server = lab.serve(*lab.tls(), *lab.enrol(lab.tpm()), "--echo")
    never = lab.dir / "never.jq"
    never.write_text('{decision: "refuse", reasons: ["closed for maintenance"]}')
    done = lab.connect(server, "--policy", never, stdin=b"x", status=REFUSED)
    assert b"closed for maintenance" in done.stderr and b"[policy]" in done.stderr
    broken = lab.dir / "broken.jq"
    broken.write_text("this is no jq")
    lab.connect(server, "--policy", broken, stdin=b"x", status=USAGE)


def test_socket_files(lab):
    path = lab.dir / "s"
    log = lab.dir / "unix.log"
    arguments = [ATLS, "serve", "--listen", f"unix:{path}", *lab.tls(), *lab.enrol(lab.tpm()), "--echo"]
    with log.open("wb") as stderr:
        server = subprocess.Popen([str(argument) for argument in arguments], stderr=stderr)
    lab.processes.append(server)
    wait_until("the server", path.exists)
    connect = ["connect", f"unix:{path}", "--verifier", lab.verifier]
    assert run(*connect, "--name", "localhost", stdin=b"hello").stdout == b"hello"
    run(*connect, stdin=b"hello", status=USAGE)
    server.send_signal(signal.SIGTERM)
    assert server.wait(20) == YES
    assert not path.exists()


def test_software_evidence_serves_development(lab):
    """Without any TPM: a key in a file, whose place in the store and whose name in the policy are
    an operator's decision, and neither is enough alone."""
    key = lab.dir / "soft.pem"
    tool("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
    public = tool("openssl", "pkey", "-in", key, "-pubout").decode()
    uri = f"soft:{key}?measure.app=sha256:{'ab' * 32}"
    evidence = lab.dir / "soft.cbor"
    run("evidence", "--attester", uri, "--insecure-soft", "--random-binder", "--out", evidence)
    ueid = re.search(rb'"ueid": "([0-9a-f]+)"', run("inspect", "--json", evidence).stdout).group(1).decode()
    template, manifest = lab.dir / "soft.json", lab.dir / "soft.corim"
    template.write_text(json.dumps({
        "id": "soft", "tag-id": "soft", "profile": "soft", "class": CLASS,
        "attest-keys": [{"instance": ueid, "key": public}],
        "reference-values": {"sha256": {"app": "ab" * 32}}}))
    run("corim", "create", "--template", template, "--out", manifest)
    run("store", "import", "--store", lab.store, "--corim", manifest)
    server = lab.serve("--attester", uri, "--insecure-soft", "--identity", "attested", "--echo")
    arguments = ["--identity", "attested", "--insecure-soft"]
    done = lab.connect(server, *arguments, stdin=b"x", status=REFUSED)
    assert b"anyone can make evidence" in done.stderr
    policy = pathlib.Path(__file__).parents[2] / "docs/policies/soft-development.jq"
    done = lab.connect(server, *arguments, "--policy", policy, stdin=b"hello")
    assert done.stdout == b"hello" and b"soft" in done.stderr
