"""The command's own rules: help, usage errors, exit statuses."""
import json

import pytest

from conftest import ATLS, REFUSED, UNKNOWN, USAGE, run

COMMANDS = ["appraise", "connect", "corim", "demo", "ear", "enrol", "evidence", "inspect", "serve", "store"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_the_usage(command):
    done = run(command, "--help")
    assert done.stdout.startswith(b"usage: atls " + command.encode())
    assert done.stderr == b""
    assert b"--help" in done.stdout


def test_help_lists_every_command():
    text = run("--help").stdout.decode()
    assert all(f"  {command} " in text for command in COMMANDS)


def test_version():
    assert run("--version").stdout.startswith(b"atls ")


@pytest.mark.parametrize("arguments", [
    [],
    ["nonsense"],
    ["store"],
    ["store", "nonsense", "--store", "x"],
    ["store", "init"],
    ["store", "init", "--store"],
    ["store", "init", "--store", "a", "--store", "b"],
    ["store", "init", "--store", "a", "--nonsense"],
    ["store", "list", "--store", "a", "--json=yes"],
    ["store", "init", "--store", "a", "extra", "extra"],
    ["ear", "show"],
    ["ear", "verify", "x"],
    ["corim", "create"],
    ["corim", "show"],
    ["inspect"],
    ["inspect", "-x", "file"],
    ["evidence"],
    ["evidence", "--attester", "soft:", "--insecure-soft"],
    ["evidence", "--attester", "soft:", "--insecure-soft", "--binder", "00", "--random-binder"],
    ["evidence", "--attester", "soft:", "--insecure-soft", "--binder", "00"],
    ["evidence", "--attester", "soft:", "--insecure-soft", "--binder", "0g" * 32],
    ["evidence", "--attester", "soft:", "--random-binder"],
    ["evidence", "--attester", "nonsense:", "--random-binder"],
    ["appraise"],
    ["connect"],
    ["connect", "localhost:1"],
    ["connect", "localhost", "--verifier", "local:x"],
    ["connect", "localhost:1", "--verifier", "local:/nonexistent.db"],
    ["connect", "localhost:1", "--verifier", "nonsense:x"],
    ["connect", "localhost:1", "--verifier", "local:x", "--identity", "nonsense"],
    ["connect", "localhost:1", "--verifier", "local:x", "--timeout", "0"],
    ["connect", "localhost:1", "--verifier", "local:x", "--timeout", "1x"],
    ["connect", "localhost:1", "--verifier", "passport:"],
    ["connect", "localhost:1", "--verifier", "passport:missing.jwk"],
    ["connect", "localhost:1", "--verifier", "passport:http://localhost:1"],
    ["connect", "localhost:1", "--verifier", "passport:https://localhost:1", "--result-keys", "x"],
    ["connect", "localhost:1", "--verifier", "passport:https://localhost:1", "--result-max-age", "0"],
    ["connect", "localhost:1", "--verifier", "passport:https://localhost:1", "--result-max-age", "1d"],
    ["connect", "localhost:1", "--verifier", "local:x", "--result-max-age", "60"],
    ["connect", "localhost:1", "--verifier", "local:x", "--result-keys", "x"],
    ["connect", "localhost:1", "--verifier", "local:x", "--fresh-result"],
    ["connect", "localhost:1", "--verifier", "local:x", "--verifier-timeout", "5"],
    ["connect", "localhost:1", "--verifier", "veraison:https://localhost:1", "--verifier-timeout", "0"],
    ["connect", "localhost:1", "--verifier", "veraison:https://localhost:1", "--verifier-timeout", "3601"],
    ["connect", "localhost:1", "--verifier", "veraison:http://localhost:1"],
    ["connect", "localhost:1", "--verifier", "veraison:https://user@localhost:1"],
    ["connect", "localhost:1", "--verifier", "veraison:https://localhost:1?x"],
    ["connect", "localhost:1", "--verifier", "veraison:https://localhost:1", "--result-keys", "/nonexistent"],
    ["connect", "localhost:1", "--verifier", "veraison:https://localhost:1", "--fresh-result"],
    ["connect", "localhost:1", "--verifier", "local:x", "--passport-from", "https://localhost:1"],
    ["connect", "localhost:1", "--verifier", "local:x", "--passport-only"],
    ["connect", "localhost:1", "--unattested-server"],
    ["connect", "localhost:1", "--unattested-server", "--attester", "soft:", "--verifier", "local:x"],
    ["connect", "localhost:1", "--unattested-server", "--attester", "soft:", "--identity", "attested"],
    ["connect", "localhost:1", "--unattested-server", "--attester", "soft:", "--policy", "x"],
    ["connect", "localhost:1", "--unattested-server", "--attester", "soft:", "--reattest-interval", "1"],
    ["connect", "localhost:1", "--unattested-server", "--attester", "soft:", "--optional-peer"],
    ["connect", "localhost:1", "--optional-peer"],
    ["connect", "localhost:1", "--optional-peer", "--verifier", "local:x", "--identity", "attested"],
    ["serve", "--listen", "127.0.0.1:0", "--optional-peer"],
    ["serve", "--listen", "127.0.0.1:0", "--optional-peer", "--require-peer", "--verifier", "local:x"],
    ["serve"],
    ["serve", "--listen", "127.0.0.1:0", "--passport-from", "https://localhost:1", "--require-peer",
     "--verifier", "local:x"],
    ["serve", "--listen", "127.0.0.1:0", "--attester", "soft:", "--insecure-soft", "--passport-only"],
    ["serve", "--listen", "127.0.0.1:0", "--attester", "soft:", "--insecure-soft", "--passport-from", "nonsense:"],
    ["serve", "--listen", "127.0.0.1:0", "--attester", "soft:", "--insecure-soft",
     "--passport-from", "http://localhost:1"],
    ["serve", "--listen", "127.0.0.1:0", "--attester", "soft:", "--insecure-soft", "--result-keys", "x"],
    ["appraise", "--evidence", "x", "--binder", "00" * 32, "--aik", "x", "--verifier", "local:x", "--fresh-result"],
    ["serve", "--listen", "127.0.0.1:0"],
    ["serve", "--listen", "127.0.0.1:0", "--require-peer"],
    ["serve", "--listen", "127.0.0.1:0", "--attester", "soft:", "--insecure-soft"],
    ["serve", "--listen", "127.0.0.1:0", "--attester", "soft:", "--insecure-soft", "--cert", "x"],
    ["serve", "--listen", "127.0.0.1:0", "--attester", "soft:", "--insecure-soft", "--echo", "--forward", "a:1"],
    ["enrol"],
    ["enrol", "nonsense"],
    ["enrol", "request"],
    ["enrol", "challenge", "x"],
    ["enrol", "--attester", "tpm2:", "--store", "x", "--class", "y", "--reference-values", "later"],
])
def test_usage_errors(arguments, tmp_path):
    done = run(*arguments, status=USAGE, cwd=tmp_path)
    assert done.stdout == b""
    assert done.stderr.startswith(b"atls") or done.stderr.startswith(b"usage: atls")


def test_double_dash_ends_options(tmp_path):
    run("inspect", "--", "--nonsense", status=UNKNOWN, cwd=tmp_path)


@pytest.mark.parametrize("arguments", [
    ["inspect", "missing"],
    ["inspect", "garbage"],
    ["inspect", "--kind", "cmw", "garbage"],
    ["ear", "show", "missing"],
    ["ear", "show", "garbage"],
    ["corim", "show", "garbage"],
    ["corim", "create", "--template", "garbage"],
    ["evidence", "--attester", "tpm2:swtpm:path=/nonexistent", "--random-binder"],
])
def test_unreadable_input_tells_nothing(arguments, tmp_path):
    (tmp_path / "garbage").write_bytes(b"\xff\x00 garbage")
    done = run(*arguments, status=UNKNOWN, cwd=tmp_path)
    assert done.stderr.startswith(b"atls " + arguments[0].encode() + b": ")


@pytest.mark.parametrize("rules, says", [
    (["snp.vmpl=9"], "rule snp.vmpl is \"9\", want 0 to 3"),
    (["snp.vmpl=1", "tdx.nothing=1"], "rule \"tdx.nothing\": there is none of that name"),
    (["snp.vmpl=1", "snp.vmpl=2"], "rule snp.vmpl=2 is given twice"),
    (["snp.vmpl"], "rule \"snp.vmpl\": want NAME=VALUE"),
])
def test_rules_are_checked_before_anything_happens(rules, says, tmp_path):
    options = [word for rule in rules for word in ("--rule", rule)]
    for command in (["connect", "127.0.0.1:1"], ["serve", "--listen", "127.0.0.1:0", "--require-peer", "--echo"]):
        done = run(*command, "--verifier", f"local:{tmp_path}/store.db", "--identity", "attested", *options,
                   status=USAGE)
        assert says in done.stderr.decode()


def test_nobody_listens(tmp_path):
    run("store", "init", "--store", tmp_path / "s.db")
    certificate(tmp_path)
    run("store", "import", "--store", tmp_path / "s.db", "--anchor", "ak", tmp_path / "ca.pem")
    run("connect", "127.0.0.1:1", "--verifier", f"local:{tmp_path}/s.db", "--identity", "attested",
        status=UNKNOWN)


def certificate(directory):
    from conftest import tool
    tool("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
         directory / "ca.key", "-out", directory / "ca.pem", "-subj", "/CN=Test", "-days", "2")


def test_store_keeps_what_it_is_told(tmp_path):
    store = tmp_path / "s.db"
    run("store", "init", "--store", store)
    assert store.stat().st_mode & 0o777 == 0o600
    run("store", "init", "--store", store, status=USAGE)
    certificate(tmp_path)
    run("store", "import", "--store", store, "--anchor", "tls", tmp_path / "ca.pem")
    run("store", "import", "--store", store, "--anchor", "nonsense", tmp_path / "ca.pem", status=USAGE)
    run("store", "import", "--store", store, status=USAGE)
    entries = [json.loads(line) for line in run("store", "list", "--store", store, "--json").stdout.splitlines()]
    assert [entry["kind"] for entry in entries] == ["anchor"]
    pem = run("store", "export", "--store", store, "--anchors", "tls").stdout
    assert pem.split() == (tmp_path / "ca.pem").read_bytes().split()
    (tmp_path / "all.json").write_bytes(run("store", "export", "--store", store).stdout)
    copy = tmp_path / "copy.db"
    run("store", "init", "--store", copy)
    run("store", "import", "--store", copy, "--from-json", tmp_path / "all.json")
    assert run("store", "export", "--store", copy).stdout == (tmp_path / "all.json").read_bytes()
    run("store", "remove", "--store", store, f"anchor:{entries[0]['id']}")
    assert run("store", "list", "--store", store).stdout == b""
    run("store", "remove", "--store", store, "anchor:99", status=UNKNOWN)
    run("store", "remove", "--store", store, "nonsense", status=USAGE)


TEMPLATE = {"id": "https://example.org/machines", "tag-id": "machines",
            "class": "31fb5abf-023e-4992-aa4e-95f9c1503bfa", "vendor": "atls", "model": "test",
            "reference-values": {"sha256": {"0": "00" * 32, "7": ["11" * 32, "22" * 32]}}}


def test_manifest_is_made_signed_verified_and_imported(tmp_path):
    certificate(tmp_path)
    template, plain, signed = (tmp_path / name for name in ("t.json", "m.cbor", "m.signed"))
    template.write_text(json.dumps(TEMPLATE))
    run("corim", "create", "--template", template, "--out", plain)
    shown = json.loads(run("corim", "show", "--json", plain).stdout)
    assert TEMPLATE["id"] in json.dumps(shown)
    run("corim", "sign", "--key", tmp_path / "ca.key", "--signer", "test", "--out", signed, plain)
    run("corim", "verify", "--signer-key", tmp_path / "ca.pem", signed)
    other = tmp_path / "other"
    other.mkdir()
    certificate(other)
    run("corim", "verify", "--signer-key", other / "ca.pem", signed, status=REFUSED)
    run("corim", "verify", "--signer-key", tmp_path / "ca.pem", plain, status=REFUSED)
    store = tmp_path / "s.db"
    run("store", "init", "--store", store)
    run("store", "import", "--store", store, "--corim", signed, "--signer", other / "ca.pem", status=REFUSED)
    assert run("store", "list", "--store", store).stdout == b""
    run("store", "import", "--store", store, "--corim", signed, "--signer", tmp_path / "ca.pem")
    assert run("store", "list", "--store", store, "--json").stdout.count(b'"reference"') == 3
    run("store", "remove", "--store", store, f"manifest:{TEMPLATE['id']}")
    assert run("store", "list", "--store", store).stdout == b""


def test_colour_is_for_terminals_only(tmp_path):
    done = run("store", "init", status=USAGE, cwd=tmp_path)
    assert b"\x1b" not in done.stderr
    assert ATLS


ATTESTS = ["serve", "--listen", "127.0.0.1:0", "--echo", "--attester", "soft:", "--insecure-soft"]
REQUIRES = ["serve", "--listen", "127.0.0.1:0", "--echo", "--require-peer"]
CONNECTS = ["connect", "localhost:1"]
OTHER = "passport:keys.json"


@pytest.mark.parametrize("arguments, says", [
    ([*ATTESTS, "--flavour", "late"], "--flavour is \"late\", want post, intra or pre"),
    ([*ATTESTS, "--flavour", "pre"],
     "--flavour pre wants --freshness nonce (evidence answers a nonce of the handshake) or --freshness none (it is "
     "as old as the certificate, and can be replayed)"),
    ([*CONNECTS, "--verifier", "local:x", "--flavour", "pre"], "--flavour pre wants --freshness nonce"),
    ([*ATTESTS, "--flavour", "pre", "--freshness", "some"], "--freshness is \"some\", want none or nonce"),
    ([*ATTESTS, "--freshness", "nonce"], "--freshness is for --flavour pre"),
    ([*ATTESTS, "--flavour", "intra", "--freshness", "none"], "--freshness is for --flavour pre"),
    ([*ATTESTS, "--flavour", "pre", "--freshness", "none", "--certificate-hours", "0"],
     "--certificate-hours is \"0\", want a number from 1 to 8784"),
    ([*CONNECTS, "--verifier", "local:x", "--flavour", "pre", "--freshness", "none", "--certificate-hours", "8"],
     "--certificate-hours is of certificates of ours, and wants --attester"),
    ([*ATTESTS, "--flavour", "intra", "--certificate-hours", "8"], "--certificate-hours is for --flavour pre"),
    ([*CONNECTS, "--verifier", "local:x", "--flavour", "pre", "--freshness", "none", "--certificate-max-age", "438001"],
     "--certificate-max-age is \"438001\", want a number from 1 to 438000"),
    ([*CONNECTS, "--verifier", "local:x", "--flavour", "pre", "--freshness", "nonce", "--certificate-max-age", "8"],
     "--certificate-max-age is for --freshness none"),
    ([*ATTESTS, "--flavour", "pre", "--freshness", "none", "--certificate-max-age", "8"],
     "--certificate-max-age is of certificates of clients, and wants --require-peer"),
    ([*CONNECTS, "--verifier", "local:x", "--flavour", "intra", "--certificate-max-age", "8"],
     "--certificate-max-age is for --flavour pre"),
    ([*ATTESTS, "--secret-binder"], "--secret-binder is for --flavour intra"),
    ([*ATTESTS, "--flavour", "pre", "--freshness", "none", "--secret-binder"],
     "--secret-binder is for --flavour intra"),
    ([*ATTESTS, "--extension-type", "65300"], "--extension-type is for --flavour intra"),
    ([*ATTESTS, "--flavour", "intra", "--extension-type", "65279"], "want a number from 65280 to 65535"),
    ([*ATTESTS, "--flavour", "intra", "--extension-type", "65536"], "want a number from 65280 to 65535"),
    ([*ATTESTS, "--flavour", "intra", "--extension-type", "65281"], "--extension-type 65281 is renegotiation_info"),
    ([*CONNECTS, "--verifier", "passport:https://v.example", "--accepted-verifier", "v"],
     "--accepted-verifier is for --flavour intra"),
    ([*ATTESTS, "--passport-from", "https://v.example", "--passport-verifier", "v"],
     "--passport-verifier is for --flavour intra"),
    ([*CONNECTS, "--verifier", "local:x", "--flavour", "intra", "--accepted-verifier", "v"],
     "--accepted-verifier names the verifier of results, and wants --verifier passport:..."),
    ([*ATTESTS, "--flavour", "intra", "--passport-verifier", "v"],
     "--passport-verifier names the verifier of our results, and wants --passport-from"),
    ([*CONNECTS, "--verifier", OTHER, "--flavour", "intra"], "--accepted-verifier is missing"),
    ([*REQUIRES, "--verifier", "passport:https://", "--flavour", "intra", "--cert", "x", "--key", "x"],
     "--accepted-verifier is missing"),
    ([*ATTESTS, "--passport-from", "http://v.example", "--flavour", "intra"], "--passport-verifier is missing"),
    ([*CONNECTS, "--verifier", OTHER, "--flavour", "intra", "--accepted-verifier", ""],
     "--accepted-verifier has 0 bytes, want 1 to 255"),
    ([*CONNECTS, "--verifier", OTHER, "--flavour", "intra", "--accepted-verifier", "v" * 256],
     "--accepted-verifier has 256 bytes, want 1 to 255"),
    ([*ATTESTS, "--flavour", "intra", "--cert", "x"], "--cert is not for a side that attests in --flavour intra"),
    ([*ATTESTS, "--flavour", "pre", "--freshness", "none", "--key", "x"], "--key is not for a side that attests"),
    ([*CONNECTS, "--unattested-server", "--attester", "soft:", "--insecure-soft", "--flavour", "intra", "--cert", "x"],
     "--cert is not for a side that attests in --flavour intra"),
    # Also where --identity attested would let it go without in flavour post.
    ([*REQUIRES, "--verifier", "local:x", "--identity", "attested", "--flavour", "intra"],
     "--cert and --key are missing: in --flavour intra only a side with --attester goes without"),
    ([*REQUIRES, "--verifier", "local:x", "--flavour", "pre", "--freshness", "none", "--cert", "x"],
     "--cert and --key are missing"),
    ([*CONNECTS, "--verifier", OTHER, "--flavour", "intra", "--accepted-verifier", "v", "--fresh-result"],
     "--fresh-result is not for --flavour intra"),
    ([*CONNECTS, "--verifier", OTHER, "--flavour", "pre", "--freshness", "none", "--fresh-result"],
     "--fresh-result wants --freshness nonce"),
    ([*CONNECTS, "--verifier", OTHER, "--flavour", "pre", "--freshness", "nonce"],
     "--freshness nonce with --verifier passport:... wants --fresh-result"),
    ([*ATTESTS, "--flavour", "intra", "--raw"], "--raw is for --flavour post"),
    ([*CONNECTS, "--verifier", "local:x", "--flavour", "pre", "--freshness", "nonce", "--raw"],
     "--raw is for --flavour post"),
    ([*REQUIRES, "--verifier", "local:x", "--flavour", "intra", "--reattest-interval", "5"],
     "--reattest-interval is for --flavour post: the others attest once a connection"),
    ([*CONNECTS, "--verifier", "local:x", "--flavour", "pre", "--freshness", "none", "--reattest-interval", "5"],
     "--reattest-interval is for --flavour post"),
])
def test_options_of_flavours(arguments, says, tmp_path):
    done = run(*arguments, status=USAGE, cwd=tmp_path)
    assert done.stderr.startswith(f"atls {arguments[0]}: ".encode()) and says in done.stderr.decode(), done.stderr


def test_help_shows_the_flavours():
    for command in ("serve", "connect"):
        text = run(command, "--help").stdout.decode()
        assert all(f"\n  --{option} " in text or f"\n  --{option}\n" in text
                   for option in ("flavour", "freshness", "secret-binder", "extension-type"))
