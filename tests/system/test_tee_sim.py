"""atls-tee-sim: what a simulated machine serves and says, asked with plain file operations as the
kernel's document has them, and checked with other people's software."""
import datetime
import errno
import hashlib
import json
import os
import pathlib
import shutil
import stat
import struct
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request

import pytest

from conftest import TIMEOUT, UNKNOWN, USAGE, YES, need, run, tool

SIM = os.environ.get("ATLS_TEE_SIM", "atls-tee-sim")
TIME = "2026-11-01T00:00:00Z"

# Name, arguments of init, provider.
WORLDS = {
    "milan": (["--tee", "snp", "--line", "milan", "--rsa-bits", "2048"], "sev_guest"),
    "turin": (["--tee", "snp", "--line", "turin", "--rsa-bits", "2048"], "sev_guest"),
    "vlek": (["--tee", "snp", "--line", "genoa", "--vlek", "--rsa-bits", "2048"], "sev_guest"),
    "tdx4": (["--tee", "tdx"], "tdx_guest"),
    "tdx5": (["--tee", "tdx", "--tdx-quote", "5"], "tdx_guest"),
    "cca": (["--tee", "cca"], "arm_cca_guest"),
}
SNP = ["milan", "turin", "vlek"]
TDX = ["tdx4", "tdx5"]

every_world = pytest.mark.parametrize("name", WORLDS)
ALWAYS = {"inblob", "outblob", "provider", "generation"}
PRIVILEGE = {"privlevel", "privlevel_floor"}
SERVICE = {"manifestblob", "service_provider", "service_guid", "service_manifest_version"}


def sim(*arguments, status=YES):
    done = subprocess.run([SIM, *map(str, arguments)], capture_output=True, timeout=TIMEOUT, check=False)
    assert done.returncode == status, (arguments, done.returncode, done.stderr.decode(errors="replace"))
    return done


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Makes each world once, since keys take long; tests get copies."""
    directory = tmp_path_factory.mktemp("worlds")

    def make(name):
        if not (directory / name).exists():
            sim("init", directory / name, *WORLDS[name][0], "--time", TIME)
        return directory / name

    return make


@pytest.fixture
def world(made, tmp_path):
    def copy(name):
        return pathlib.Path(shutil.copytree(made(name), tmp_path / name))

    return copy


# ---- evidence without a mount ----


class Evidence:
    """What a tsm-report says, decoded by an independent library."""

    def __init__(self, data):
        import cbor2
        report = cbor2.loads(data)
        self.provider, self.outblob, self.auxblob = report["provider"], report["outblob"], report.get("auxblob")


def evidence(directory, challenge, *arguments):
    return Evidence(sim("evidence", directory, "--challenge", challenge.hex(), *arguments).stdout)


def carried(provider, outblob):
    """The challenge that evidence carries."""
    if provider == "sev_guest":
        assert len(outblob) == 1184
        return outblob[0x50:0x90]
    if provider == "tdx_guest":
        version, = struct.unpack_from("<H", outblob)
        return outblob[{4: 48, 5: 54}[version] + 520:][:64]
    import cbor2
    token = cbor2.loads(outblob)
    assert token.tag in (399, 907)
    realm = token.value[44241]
    realm = cbor2.loads(realm[1] if isinstance(realm, list) else realm)
    assert realm.tag == 18
    return cbor2.loads(realm.value[2])[10]


@every_world
def test_evidence_carries_the_challenge(world, name):
    directory, challenge = world(name), os.urandom(64)
    got = evidence(directory, challenge)
    assert got.provider == WORLDS[name][1]
    assert carried(got.provider, got.outblob) == challenge
    raw = sim("evidence", directory, "--challenge", challenge.hex(), "--raw").stdout
    assert carried(got.provider, raw) == challenge


def test_keys_are_as_long_as_amds(tmp_path):
    need("openssl")
    sim("init", tmp_path / "genoa", "--tee", "snp")
    text = tool("openssl", "x509", "-in", tmp_path / "genoa" / "roots" / "ark-genoa.pem", "-noout", "-text").decode()
    assert "Public-Key: (4096 bit)" in text and "ARK-Genoa" in text


def test_cca_takes_shorter_challenges(world):
    directory = world("cca")
    assert carried("arm_cca_guest", evidence(directory, b"\1" * 32).outblob) == b"\1" * 32 + bytes(32)
    sim("evidence", directory, "--challenge", "01" * 31, status=UNKNOWN)


@pytest.mark.parametrize("name", ["milan", "tdx4"])
def test_others_want_64_bytes(world, name):
    directory = world(name)
    for length in (1, 32, 63, 65):
        done = sim("evidence", directory, "--challenge", "01" * length, status=UNKNOWN)
        assert b"Invalid argument" in done.stderr


@every_world
def test_it_says_that_it_is_insecure(world, name):
    directory = world(name)
    for command in (["show"], ["evidence", "--challenge", "00" * 64], ["set", "delay=0"], ["collateral"]):
        assert b"INSECURE" in sim(command[0], directory, *command[1:]).stderr


@every_world
def test_private_keys_are_private(world, name):
    directory = world(name)
    assert stat.S_IMODE((directory / "keys").stat().st_mode) == 0o700
    keys = list((directory / "keys").iterdir())
    assert keys
    for key in keys:
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert b"PRIVATE KEY" in key.read_bytes()
    for public in [*(directory / "roots").iterdir(), *(directory / "collateral").iterdir()]:
        assert b"PRIVATE" not in public.read_bytes()


def test_usage_errors_are_told(world, tmp_path):
    directory = world("milan")
    sim(status=USAGE)
    sim("nothing", status=USAGE)
    sim("init", status=USAGE)
    sim("init", tmp_path / "x", status=USAGE)
    sim("init", tmp_path / "x", "--tee", "sgx", status=USAGE)
    sim("init", tmp_path / "x", "--tee", "snp", "--line", "naples", status=USAGE)
    sim("init", tmp_path / "x", "--tee", "tdx", "--vlek", status=USAGE)
    sim("init", tmp_path / "x", "--tee", "cca", "--tdx-quote", "4", status=USAGE)
    sim("init", tmp_path / "x", "--tee", "tdx", "--tdx-quote", "3", status=USAGE)
    sim("init", tmp_path / "x", "--tee", "cca", "--time", "yesterday", status=USAGE)
    assert not (tmp_path / "x").exists()
    sim("evidence", directory, status=USAGE)
    sim("evidence", directory, "--challenge", "0g", status=USAGE)
    sim("mount", directory, status=USAGE)
    sim("set", directory, status=USAGE)
    sim("set", directory, "debug=perhaps", status=USAGE)
    sim("set", directory, "rim=" + "00" * 32, status=USAGE)
    sim("serve", directory, "--listen", "nowhere", status=USAGE)
    sim("show", tmp_path / "none", status=UNKNOWN)
    sim("init", directory, "--tee", "cca", status=UNKNOWN)
    (directory / "world").write_text("format=libatls-simulator-0\n")
    sim("show", directory, status=USAGE)
    for command in ("init", "mount", "evidence", "set", "show", "collateral", "serve"):
        assert b"usage: atls-tee-sim " + command.encode() in sim(command, "--help").stdout
    assert sim("--help").stdout.startswith(b"usage: atls-tee-sim ")
    assert sim("--version").stdout.startswith(b"atls-tee-sim ")


# ---- orders ----


@every_world
def test_faults_are_counted_down(world, name):
    directory = world(name)
    sim("set", directory, "fault=EBUSY:2")
    for left in (b"fault=EBUSY:1\n", b"fault=none\n"):
        done = sim("evidence", directory, "--challenge", "00" * 64, status=UNKNOWN)
        assert b"busy" in done.stderr
        assert left in sim("show", directory).stdout
    sim("evidence", directory, "--challenge", "00" * 64)


def test_evidence_is_cut(world):
    directory = world("milan")
    sim("set", directory, "truncate=100", "delay=1")
    assert len(evidence(directory, bytes(64)).outblob) == 100


def test_orders_are_all_or_none(world):
    directory = world("milan")
    before = (directory / "state").read_bytes()
    sim("set", directory, "truncate=100", "delay=never", status=USAGE)
    assert (directory / "state").read_bytes() == before


def test_orders_may_come_first(tmp_path):
    sim("init", tmp_path / "w", "--tee", "tdx", "--set", "fault=EIO", "--set", "collateral=expired", "--time", TIME)
    shown = sim("show", tmp_path / "w").stdout
    assert b"\nfault=EIO\n" in shown and b"\ncollateral=expired\n" in shown
    identity = json.loads((tmp_path / "w" / "collateral" / "tdx-qe-identity-td.json").read_text())
    assert identity["enclaveIdentity"]["nextUpdate"] < TIME
    sim("init", tmp_path / "x", "--tee", "tdx", "--set", "rim=00", status=USAGE)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", SNP)
def test_snp_reports_say_what_was_ordered(world, name):
    directory = world(name)
    sim("set", directory, "measurement=" + "5a" * 48, "host-data=" + "3c" * 32, "guest-svn=258", "debug=yes",
        "vmpl-floor=2")
    report = evidence(directory, bytes(64)).outblob
    assert report[0x90:0xc0] == b"\x5a" * 48 and report[0xc0:0xe0] == b"\x3c" * 32
    assert struct.unpack_from("<I", report, 4)[0] == 258
    assert struct.unpack_from("<Q", report, 8)[0] >> 17 & 7 == 5
    assert struct.unpack_from("<I", report, 0x30)[0] == 2
    sim("evidence", directory, "--challenge", "00" * 64, "--privlevel", "1", status=UNKNOWN)
    report = evidence(directory, bytes(64), "--privlevel", "3").outblob
    assert struct.unpack_from("<I", report, 0x30)[0] == 3
    sim("set", directory, "tcb=old")
    assert evidence(directory, bytes(64)).outblob[0x180:0x188] != report[0x180:0x188]
    assert evidence(directory, bytes(64)).auxblob
    sim("set", directory, "certificates=no")
    assert not evidence(directory, bytes(64)).auxblob


@pytest.mark.parametrize("name", TDX)
def test_tdx_quotes_say_what_was_ordered(world, name):
    directory = world(name)
    sim("set", directory, "mrtd=" + "5a" * 48, "rtmr1=" + "3c" * 48, "mrconfigid=" + "11" * 48, "debug=yes")
    quote = evidence(directory, bytes(64)).outblob
    body = quote[54 if name == "tdx5" else 48:]
    assert body[136:184] == b"\x5a" * 48 and body[376:424] == b"\x3c" * 48 and body[184:232] == b"\x11" * 48
    assert body[120] & 1 == 1
    sim("set", directory, "debug=no", "padding=8000")
    padded = evidence(directory, bytes(64)).outblob
    assert len(padded) == 8000 and padded[-1] == 0
    assert padded[168 if name == "tdx4" else 174] & 1 == 0


def test_cca_tokens_say_what_was_ordered(world):
    import cbor2
    directory = world("cca")
    sim("set", directory, "rim=" + "5a" * 32, "rem2=" + "3c" * 32, "rpv=" + "11" * 64, "lifecycle=0x4001",
        "firmware=" + "22" * 32)
    token = cbor2.loads(evidence(directory, bytes(64)).outblob).value
    platform, realm = (cbor2.loads(cbor2.loads(t[1] if isinstance(t, list) else t).value[2])
                       for t in (token[44234], token[44241]))
    assert realm[44238] == b"\x5a" * 32 and realm[44239][2] == b"\x3c" * 32 and realm[44235] == b"\x11" * 64
    assert platform[2395] == 0x4001
    assert platform[2399][0][2] == b"\x22" * 32


# ---- what other people's software says of it ----


def moment(text=TIME):
    return int(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())


def openssl_verify(root, leaf, *arguments, untrusted=None, at=TIME):
    """What openssl says of a path, as text."""
    more = ["-untrusted", untrusted] if untrusted else []
    done = subprocess.run(["openssl", "verify", "-CAfile", root, *more, "-attime", str(moment(at)),
                           *arguments, leaf], capture_output=True, text=True, check=False, timeout=TIMEOUT)
    return done.stdout + done.stderr


def public_key(der_or_pem):
    """Of a certificate; openssl reads serial numbers of zero, too."""
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    form = [] if der_or_pem.startswith(b"-----") else ["-inform", "DER"]
    return load_pem_public_key(tool("openssl", "x509", *form, "-noout", "-pubkey", stdin=der_or_pem))


def check_ecdsa(key, raw, content, digest):
    """Raises unless raw, r || s in big-endian halves, is key's signature."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils
    half = len(raw) // 2
    signature = utils.encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))
    key.verify(signature, content, ec.ECDSA(getattr(hashes, digest)()))


def one(directory, pattern):
    found = list(directory.glob(pattern))
    assert len(found) == 1, (pattern, found)
    return found[0]


def certificate_of_table(table):
    """The only one in a certificate table."""
    offset, length = struct.unpack_from("<II", table, 16)
    assert not any(table[24:48])
    return table[offset:offset + length]


@pytest.mark.parametrize("name", SNP)
@pytest.mark.parametrize("tcb", ["current", "old"])
def test_snp_reports_are_signed(world, tmp_path, name, tcb):
    need("openssl")
    directory = world(name)
    sim("set", directory, f"tcb={tcb}", "--time", TIME)
    got = evidence(directory, os.urandom(64))
    leaf, report = certificate_of_table(got.auxblob), got.outblob
    signature = report[0x2a0:]
    check_ecdsa(public_key(leaf), signature[47::-1] + signature[119:71:-1], report[:0x2a0], "SHA384")
    assert not any(signature[48:72]) and not any(signature[120:])
    # The same certificate, where what the report says leads to.
    line = {"milan": "milan", "turin": "turin", "vlek": "genoa"}[name]
    subject = "vlek" if name == "vlek" else report[0x1a0:0x1e0].hex()
    file = directory / "collateral" / f"snp-vek-{line}-{subject}-{report[0x180:0x188].hex()}.der"
    assert file.read_bytes() == leaf
    pem = tmp_path / "leaf.pem"
    pem.write_bytes(tool("openssl", "x509", "-inform", "DER", stdin=leaf))
    root, authorities = directory / "roots" / f"ark-{line}.pem", directory / "collateral" / f"snp-ca-{line}.pem"
    assert "OK" in openssl_verify(root, pem, untrusted=authorities)
    text = tool("openssl", "x509", "-in", root, "-noout", "-subject").decode()
    assert f"ARK-{line.capitalize()}" in text and "TEST" in text


@pytest.mark.parametrize("name", SNP)
def test_snp_lists_revoke_and_run_out(world, name):
    need("openssl")
    directory = world(name)
    root = one(directory / "roots", "ark-*.pem")
    crl = one(directory / "collateral", "snp-crl-*.crl")
    chain = directory / "machine" / ("vlek-chain.pem" if name == "vlek" else "vcek-chain.pem")

    def verdict(at=TIME):
        (directory / "crl.pem").write_bytes(tool("openssl", "crl", "-inform", "DER", "-in", crl))
        return openssl_verify(root, chain, "-crl_check", "-CRLfile", directory / "crl.pem", at=at)

    assert "OK" in verdict()
    sim("set", directory, "revoked=intermediate", "--time", TIME)
    assert "revoked" in verdict()
    sim("set", directory, "revoked=none", "collateral=expired", "--time", TIME)
    assert "expired" in verdict()
    sim("set", directory, "collateral=fresh", "--time", TIME)
    assert "OK" in verdict()
    assert "expired" in verdict("2027-02-01T00:00:00Z")
    sim("collateral", directory, "--time", "2027-02-01T00:00:00Z")
    assert "OK" in verdict("2027-02-01T00:00:00Z")


def quote_parts(quote):
    """Signed bytes, signature, attestation key, QE report, its signature, authentication data, PEM chain."""
    signed = 48 + 584
    if struct.unpack_from("<H", quote)[0] == 5:
        signed = 54 + struct.unpack_from("<I", quote, 50)[0]
    at = signed + 4
    report, auth_len = quote[at + 134:at + 518], struct.unpack_from("<H", quote, at + 582)[0]
    auth, rest = quote[at + 584:at + 584 + auth_len], at + 584 + auth_len
    kind, length = struct.unpack_from("<HI", quote, rest)
    assert kind == 5
    return (quote[:signed], quote[at:at + 64], quote[at + 64:at + 128], report, quote[at + 518:at + 582], auth,
            quote[rest + 6:rest + 6 + length].rstrip(b"\0"))


@pytest.mark.parametrize("name", TDX)
def test_tdx_quotes_are_signed(world, tmp_path, name):
    need("openssl")
    from cryptography.hazmat.primitives.asymmetric import ec
    directory = world(name)
    signed, signature, point, report, qe_signature, auth, chain = quote_parts(evidence(directory, os.urandom(64)).outblob)
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\4" + point)
    check_ecdsa(key, signature, signed, "SHA256")
    assert report[320:384] == hashlib.sha256(point + auth).digest() + bytes(32)
    check_ecdsa(public_key(chain), qe_signature, report, "SHA256")
    pem = tmp_path / "chain.pem"
    pem.write_bytes(chain)
    root = directory / "roots" / "root.pem"
    assert "OK" in openssl_verify(root, pem, untrusted=pem)
    blocks = chain.split(b"-----BEGIN CERTIFICATE-----")
    assert blocks[3].strip() == root.read_bytes().split(b"-----BEGIN CERTIFICATE-----")[1].strip()
    assert b"TEST" in tool("openssl", "x509", "-in", root, "-noout", "-subject")
    # The certificates are always the same.
    assert quote_parts(evidence(directory, os.urandom(64)).outblob)[-1] == chain


@pytest.mark.parametrize("name", ["tdx4"])
def test_tdx_lists_revoke_and_run_out(world, tmp_path, name):
    need("openssl")
    directory = world(name)
    root, chain = directory / "roots" / "root.pem", tmp_path / "chain.pem"
    chain.write_bytes(quote_parts(evidence(directory, bytes(64)).outblob)[-1])

    def verdict(at=TIME):
        lists = b"".join(tool("openssl", "crl", "-inform", "DER", "-in", directory / "collateral" / crl)
                         for crl in ("tdx-root-crl-root.crl", "tdx-pck-crl-platform.crl"))
        (directory / "crl.pem").write_bytes(lists)
        return openssl_verify(root, chain, "-crl_check_all", "-CRLfile", directory / "crl.pem", untrusted=chain, at=at)

    assert "OK" in verdict()
    for revoked, depth in (("leaf", "0"), ("intermediate", "1")):
        sim("set", directory, f"revoked={revoked}", "--time", TIME)
        assert f"error 23 at {depth} depth" in verdict()
    sim("set", directory, "revoked=none", "collateral=expired", "--time", TIME)
    assert "error 12 at" in verdict()
    sim("set", directory, "collateral=fresh", "--time", TIME)
    assert "OK" in verdict()


def signed_document(directory, name):
    """A document whose signature is good, as an object."""
    text = (directory / "collateral" / name).read_text()
    member, = set(json.loads(text)) - {"signature"}
    inner = text[text.index(":") + 1:text.rindex(',"signature"')]
    assert json.loads(inner) == json.loads(text)[member]
    signer = (directory / "collateral" / "tdx-tcb-chain-tcb.pem").read_bytes()
    check_ecdsa(public_key(signer), bytes.fromhex(json.loads(text)["signature"]), inner.encode(), "SHA256")
    return json.loads(inner)


@pytest.mark.parametrize("name", TDX)
def test_tdx_documents_are_signed_and_follow_orders(world, name):
    need("openssl")
    directory = world(name)
    root, chain = directory / "roots" / "root.pem", directory / "collateral" / "tdx-tcb-chain-tcb.pem"
    assert "OK" in openssl_verify(root, chain)
    file = one(directory / "collateral", "tdx-tcb-info-*.json").name
    names = (file, "tdx-qe-identity-td.json", "tdx-evaluation-tdx.json")
    for document in names:
        assert signed_document(directory, document)["issueDate"] == TIME
        assert signed_document(directory, document)["nextUpdate"] == "2026-12-01T00:00:00Z"
    assert signed_document(directory, file)["fmspc"].lower() == file[len("tdx-tcb-info-"):-len(".json")]
    best = signed_document(directory, file)["tcbLevels"][0]
    assert best["tcbStatus"] == "UpToDate"
    sim("set", directory, "collateral=expired", "tcb=old", "--time", TIME)
    for document in names:
        assert signed_document(directory, document)["nextUpdate"] < TIME
    levels = signed_document(directory, file)["tcbLevels"]
    assert levels[0]["tcb"] != best["tcb"] and levels[0]["tcbStatus"] == "UpToDate"
    assert levels[1]["tcb"] == best["tcb"] and levels[1]["tcbStatus"] == "OutOfDate"


def test_cca_tokens_are_signed(world):
    import cbor2
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    directory = world("cca")
    token = cbor2.loads(evidence(directory, os.urandom(64)).outblob).value
    platform, realm = (cbor2.loads(token[key]).value for key in (44234, 44241))

    def check(key, sign1):
        protected, _, payload, signature = sign1
        assert cbor2.loads(protected) == {1: -35}
        check_ecdsa(key, signature, cbor2.dumps(["Signature1", protected, b"", payload]), "SHA384")

    check(load_pem_public_key((directory / "roots" / "platform.pem").read_bytes()), platform)
    claims = cbor2.loads(realm[2])
    rak = cbor2.loads(claims[44237])
    assert cbor2.loads(platform[2])[10] == hashlib.new(claims[44240].replace("-", ""), claims[44237]).digest()
    check(ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), b"\4" + rak[-2] + rak[-3]), realm)
    run("corim", "show", directory / "roots" / "platform.corim")


@every_world
def test_collateral_is_named_as_stores_want_it(world, tmp_path, name):
    directory, store = world(name), tmp_path / "store.db"
    run("store", "init", "--store", store)
    if name == "cca":
        run("store", "import", "--store", store, "--corim", directory / "roots" / "platform.corim")
        assert not list((directory / "collateral").iterdir())
        return
    run("store", "import", "--store", store, "--anchor", "tee", one(directory / "roots", "*.pem"))
    run("store", "import", "--store", store, "--collateral", directory / "collateral")
    entries = run("store", "list", "--store", store).stdout.decode()
    assert entries.count("collateral:") == len(list((directory / "collateral").iterdir()))


# ---- the collateral service ----


@pytest.fixture
def service(world):
    processes = []

    def start(name, directory=None):
        directory = directory or world(name)
        process = subprocess.Popen([SIM, "serve", str(directory)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   text=True)
        processes.append(process)
        line = process.stdout.readline()
        assert line.startswith("listening on 127.0.0.1:"), line
        return directory, "http://" + line.split()[2], process

    yield start
    for process in processes:
        process.terminate()
        assert process.wait(TIMEOUT) == 0
        process.stdout.close()


def fetch(url, status=200, method="GET"):
    request = urllib.request.Request(url, method=method, data=b"x" if method == "POST" else None)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            assert status == 200, url
            return answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        assert error.code == status, (url, error.code)
        return error.read(), error.headers


@pytest.mark.parametrize("name", ["milan", "turin"])
def test_keys_are_distributed(service, name):
    directory, url, process = service(name)
    report = evidence(directory, bytes(64)).outblob
    tcb, line = report[0x180:0x188], name.capitalize()
    if name == "turin":
        chip = report[0x1a0:0x1a8].hex()
        query = f"fmcSPL={tcb[0]}&blSPL={tcb[1]}&teeSPL={tcb[2]}&snpSPL={tcb[3]}&ucodeSPL={tcb[7]}"
    else:
        chip = report[0x1a0:0x1e0].hex()
        query = f"blSPL={tcb[0]}&teeSPL={tcb[1]}&snpSPL={tcb[6]:02}&ucodeSPL={tcb[7]}"
    leaf, headers = fetch(f"{url}/vcek/v1/{line}/{chip}?{query}")
    assert leaf == certificate_of_table(evidence(directory, bytes(64)).auxblob)
    assert headers["Content-Type"] == "application/pkix-cert"
    for kind in ("vcek", "vlek"):
        chain, _ = fetch(f"{url}/{kind}/v1/{line}/cert_chain")
        assert chain.endswith((directory / "roots" / f"ark-{name}.pem").read_bytes())
        crl, _ = fetch(f"{url}/{kind}/v1/{line}/crl")
        assert crl == (directory / "collateral" / f"snp-crl-{name}.crl").read_bytes()
    fetch(f"{url}/vcek/v1/{line}/{chip}?{query[:query.rindex('=')]}={tcb[7] ^ 1}", status=404)
    fetch(f"{url}/vcek/v1/{line}/{chip}", status=400)
    fetch(f"{url}/vcek/v1/Genoa/cert_chain", status=404)
    fetch(f"{url}/vcek/v1/{line}/crl", status=405, method="POST")
    sim("set", directory, "service=busy")
    assert fetch(f"{url}/vcek/v1/{line}/crl", status=429)[1]["Retry-After"] == "1"
    sim("set", directory, "service=down")
    fetch(f"{url}/vcek/v1/{line}/crl", status=503)
    sim("set", directory, "service=up", "revoked=intermediate")
    assert fetch(f"{url}/vcek/v1/{line}/crl")[0] != crl
    (directory / "state").write_text("nothing")
    fetch(f"{url}/vcek/v1/{line}/crl", status=500)
    process.terminate()
    assert process.wait(TIMEOUT) == 0


def test_certification_data_is_served(service):
    directory, url, _ = service("tdx4")
    collateral = directory / "collateral"
    fmspc = one(collateral, "tdx-tcb-info-*.json").name[len("tdx-tcb-info-"):-len(".json")]
    for path, file, header, chain in (
            (f"/tdx/certification/v4/tcb?fmspc={fmspc.upper()}", f"tdx-tcb-info-{fmspc}.json", "TCB-Info-Issuer-Chain",
             "tdx-tcb-chain-tcb.pem"),
            ("/tdx/certification/v4/qe/identity", "tdx-qe-identity-td.json", "SGX-Enclave-Identity-Issuer-Chain",
             "tdx-tcb-chain-tcb.pem"),
            ("/tdx/certification/v4/tcbevaluationdatanumbers", "tdx-evaluation-tdx.json",
             "TCB-Evaluation-Data-Numbers-Issuer-Chain", "tdx-tcb-chain-tcb.pem"),
            ("/sgx/certification/v4/pckcrl?ca=platform&encoding=der", "tdx-pck-crl-platform.crl",
             "SGX-PCK-CRL-Issuer-Chain", "tdx-pck-crl-chain-platform.pem")):
        body, headers = fetch(url + path)
        assert body == (collateral / file).read_bytes()
        assert urllib.parse.unquote(headers[header]) == (collateral / chain).read_text()
    crl = (collateral / "tdx-root-crl-root.crl").read_bytes()
    assert bytes.fromhex(fetch(url + "/sgx/certification/v4/rootcacrl")[0].decode()) == crl
    assert fetch(url + "/IntelSGXRootCA.der")[0] == crl
    fetch(url + "/tdx/certification/v4/tcb?fmspc=000000000000", status=404)
    fetch(url + "/tdx/certification/v4/tcb", status=400)
    fetch(url + "/", status=404)


def test_one_address_is_served_once(service):
    directory, url, _ = service("cca")
    fetch(url + "/vcek/v1/Milan/crl", status=404)
    sim("serve", directory, "--listen", url[len("http://"):], status=UNKNOWN)


# ---- the mount ----


def mounted(path):
    """Also true of a mount whose server is gone."""
    return f" {path} " in pathlib.Path("/proc/self/mountinfo").read_text()


class Mount:
    def __init__(self, directory, at, *arguments):
        need("fusermount3")
        at.mkdir()
        self.at = at
        self.process = subprocess.Popen([SIM, "mount", str(directory), str(at), *arguments], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.ready = self.process.stdout.readline()
        if not self.ready.startswith("ready "):
            self.process.wait(TIMEOUT)
            why = self.process.stderr.read()
            for reason in ("Operation not permitted", "device not found", "failed to open /dev/fuse", "Permission denied"):
                if reason in why:
                    pytest.skip(f"FUSE cannot be mounted here: {reason}")
            raise AssertionError(why)

    def close(self):
        alive = self.process.poll() is None
        self.process.terminate()
        try:
            self.process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(TIMEOUT)
        with self.process.stderr as stderr, self.process.stdout:
            said = stderr.read()
        if mounted(self.at):
            subprocess.run(["fusermount3", "-u", "-z", str(self.at)], check=False)
        # Sanitizers speak by the status.
        assert not alive or self.process.returncode == 0, said


@pytest.fixture
def mount(world, tmp_path):
    mounts = []

    def make(name, *arguments):
        mounts.append(Mount(world(name), tmp_path / "report", *arguments))
        return tmp_path / name, tmp_path / "report", mounts[-1].process

    yield make
    for one in mounts:
        one.close()


def put(path, data):
    """One write(2) in one open."""
    fd = os.open(path, os.O_WRONLY)
    try:
        return os.write(fd, data)
    finally:
        os.close(fd)


def get(path):
    """Reads to the end in one open."""
    fd, content = os.open(path, os.O_RDONLY), b""
    try:
        while part := os.read(fd, 1000):
            content += part
        return content
    finally:
        os.close(fd)


def fails(number, call, *arguments):
    with pytest.raises(OSError) as caught:
        call(*arguments)
    assert caught.value.errno == number, errno.errorcode[caught.value.errno]


def generation(entry):
    return int(get(entry / "generation"))


@every_world
def test_the_documents_sequence(mount, name):
    _, report, _ = mount(name)
    entry, challenge = report / "one", os.urandom(64)
    entry.mkdir()
    assert get(entry / "provider") == WORLDS[name][1].encode() + b"\n"
    first = generation(entry)
    assert put(entry / "inblob", challenge) == 64
    outblob = get(entry / "outblob")
    assert carried(WORLDS[name][1], outblob) == challenge
    assert get(entry / "outblob") == outblob
    if (entry / "auxblob").exists():
        assert (len(get(entry / "auxblob")) > 0) == (name in SNP)
    assert generation(entry) == first + 1
    entry.rmdir()
    assert not list(report.iterdir())


@every_world
def test_attributes_are_those_of_the_driver(mount, name):
    directory, report, _ = mount(name)
    wanted = ALWAYS | ({"auxblob"} | PRIVILEGE if name in SNP else set())
    if name == "cca":
        wanted = ALWAYS | {"auxblob"} | PRIVILEGE | SERVICE
    entry = report / "one"
    entry.mkdir()
    assert {path.name for path in entry.iterdir()} == wanted
    for path in entry.iterdir():
        written = path.name in {"inblob", "privlevel", *SERVICE} - {"manifestblob"}
        assert stat.S_IMODE(path.stat().st_mode) == (0o200 if written else 0o444), path
        assert path.stat().st_size == (0 if path.name.endswith("blob") else 4096), path
    assert stat.S_IMODE(entry.stat().st_mode) == 0o755
    for missing in ALWAYS | PRIVILEGE | SERVICE - wanted - wanted:
        if missing not in wanted:
            fails(errno.ENOENT, os.open, entry / missing, os.O_RDONLY)
    if name in SNP:
        sim("set", directory, "vmpl-floor=1")
        assert {path.name for path in entry.iterdir()} == wanted | SERVICE


def test_what_the_kernel_refuses(mount):
    _, report, _ = mount("milan")
    entry = report / "one"
    entry.mkdir()
    fails(errno.EEXIST, entry.mkdir)
    fails(errno.EPERM, (entry / "two").mkdir)
    fails(errno.ENOENT, (report / "two").rmdir)
    fails(errno.ENOTDIR, os.rmdir, entry / "inblob")
    fails(errno.EPERM, os.unlink, entry / "inblob")
    fails(errno.EPERM, os.rename, entry, report / "two")
    fails(errno.EPERM, os.link, entry / "inblob", entry / "two")
    fails(errno.EPERM, os.symlink, "inblob", entry / "two")
    fails(errno.EPERM, os.mkfifo, entry / "two")
    fails(errno.EPERM, os.chmod, entry / "inblob", 0o600)
    fails(errno.EPERM, os.chown, entry, 1, 1)
    fails(errno.ENOENT, os.truncate, entry / "two", 0)
    os.truncate(entry / "inblob", 0)
    fails(errno.EACCES, os.open, entry / "two", os.O_WRONLY | os.O_CREAT)
    fails(errno.EACCES, os.open, entry / "inblob", os.O_RDONLY)
    fails(errno.EACCES, os.open, entry / "outblob", os.O_WRONLY)
    fails(errno.EFBIG, put, entry / "inblob", bytes(65))
    fails(errno.EINVAL, get, entry / "outblob")
    fails(errno.EINVAL, put, entry / "privlevel", b"4\n")
    fails(errno.EINVAL, put, entry / "privlevel", b"high\n")
    assert generation(entry) == 0
    for length in (1, 32, 63):
        put(entry / "inblob", bytes(length))
        fails(errno.EINVAL, get, entry / "outblob")
        fails(errno.EINVAL, get, entry / "auxblob")
    assert generation(entry) == 3


def test_shells_can_write(mount):
    _, report, _ = mount("milan")
    (report / "one").mkdir()
    subprocess.run("head -c 64 /dev/zero >inblob && echo 1 >privlevel && printf 2 >privlevel", shell=True, check=True,
                   cwd=report / "one")
    assert generation(report / "one") == 3
    assert struct.unpack_from("<I", get(report / "one" / "outblob"), 0x30)[0] == 2


def test_the_inblob_is_taken_when_it_is_closed(mount):
    _, report, _ = mount("milan")
    entry = report / "one"
    entry.mkdir()
    fd = os.open(entry / "inblob", os.O_WRONLY)
    os.write(fd, b"\1" * 32)
    os.write(fd, b"\2" * 32)
    assert generation(entry) == 0
    os.close(fd)
    assert generation(entry) == 1
    assert get(entry / "outblob")[0x50:0x90] == b"\1" * 32 + b"\2" * 32


def test_files_outlive_their_entry(mount):
    _, report, _ = mount("milan")
    entry = report / "one"
    entry.mkdir()
    put(entry / "inblob", bytes(64))
    fd, begun = os.open(entry / "outblob", os.O_RDONLY), os.open(entry / "outblob", os.O_RDONLY)
    assert len(os.read(begun, 100)) == 100
    entry.rmdir()
    entry.mkdir()
    fails(errno.ENOENT, os.read, fd, 100)
    assert len(os.read(begun, 4000)) == 1084
    os.close(fd)
    os.close(begun)
    assert generation(entry) == 0


@pytest.mark.parametrize("name", ["milan", "tdx4", "cca"])
def test_many_at_once_do_not_mix(mount, name):
    _, report, _ = mount(name)
    wrong = []

    def attest(number):
        entry = report / f"entry{number}"
        for turn in range(5):
            challenge = bytes([number, turn]) * 32
            entry.mkdir()
            put(entry / "inblob", challenge)
            if carried(WORLDS[name][1], get(entry / "outblob")) != challenge or generation(entry) != 1:
                wrong.append((number, turn))
            entry.rmdir()

    threads = [threading.Thread(target=attest, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("name", ["milan", "tdx4", "cca"])
def test_a_running_mount_obeys(mount, name):
    directory, report, process = mount(name)
    entry, challenge = report / "one", b"\x11" * 64
    entry.mkdir()
    for fault in ("EIO", "ENXIO", "EBUSY", "EAGAIN", "EINTR", "ETIMEDOUT", "ENOTTY", "EINVAL"):
        sim("set", directory, f"fault={fault}")
        put(entry / "inblob", challenge)
        if fault != "EINTR":  # which Python retries
            fails(getattr(errno, fault), get, entry / "outblob")
        assert carried(WORLDS[name][1], get(entry / "outblob")) == challenge
    before = generation(entry)
    sim("set", directory, "race=1", "delay=1")
    put(entry / "inblob", challenge)
    assert carried(WORLDS[name][1], get(entry / "outblob")) == b"\xee" * 64
    assert generation(entry) == before + 2
    put(entry / "inblob", challenge)
    assert carried(WORLDS[name][1], get(entry / "outblob")) == challenge
    sim("set", directory, "truncate=7")
    put(entry / "inblob", challenge)
    assert len(get(entry / "outblob")) == 7
    assert process.poll() is None


def test_a_state_that_cannot_be_read_fails_quotes(mount):
    directory, report, process = mount("milan")
    entry = report / "one"
    entry.mkdir()
    put(entry / "inblob", bytes(64))
    good = (directory / "state").read_bytes()
    (directory / "state").write_bytes(b"debug=perhaps\n")
    fails(errno.EIO, get, entry / "outblob")
    (directory / "state").write_bytes(good)
    assert len(get(entry / "outblob")) == 1184
    process.terminate()
    assert process.wait(TIMEOUT) == 0
    assert "perhaps" in os.read(process.stderr.fileno(), 65536).decode()


def test_the_privilege_level_counts(mount):
    directory, report, _ = mount("milan")
    entry = report / "one"
    entry.mkdir()
    sim("set", directory, "vmpl-floor=2")
    assert get(entry / "privlevel_floor") == b"2\n"
    put(entry / "inblob", bytes(64))
    fails(errno.EIO, get, entry / "outblob")  # level 0, which the firmware refuses
    fails(errno.EINVAL, put, entry / "privlevel", b"1\n")
    put(entry / "privlevel", b"3\n")
    assert struct.unpack_from("<I", get(entry / "outblob"), 0x30)[0] == 3
    put(entry / "service_provider", b"svsm\n")
    fails(errno.EINVAL, get, entry / "outblob")


def test_it_unmounts_when_told_to(mount):
    _, report, process = mount("cca")
    (report / "one").mkdir()
    assert mounted(report)
    process.terminate()
    assert process.wait(TIMEOUT) == 0
    assert not mounted(report) and not list(report.iterdir())


def test_it_ends_when_unmounted(mount):
    _, report, process = mount("cca")
    tool("fusermount3", "-u", report)
    assert process.wait(TIMEOUT) == 0


def test_a_killed_one_makes_room(mount):
    """Whether libfuse unmounts by itself then is a race of its own; fusermount3 does."""
    directory, report, process = mount("cca")
    process.kill()
    process.wait(TIMEOUT)
    subprocess.run(["fusermount3", "-u", "-z", report], capture_output=True, check=False)
    assert not mounted(report)
    report.rmdir()
    again = Mount(directory, report)
    (report / "one").mkdir()
    again.close()
    assert not mounted(report)


def test_the_background(mount):
    _, report, process = mount("cca", "--background")
    assert process.wait(TIMEOUT) == 0
    (report / "one").mkdir()
    assert get(report / "one" / "provider") == b"arm_cca_guest\n"
    tool("fusermount3", "-u", report)


def test_a_mountpoint_that_is_none(world, tmp_path):
    sim("mount", world("cca"), tmp_path / "nowhere", status=UNKNOWN)
