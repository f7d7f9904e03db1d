"""atls store on both engines: whatever one of them keeps, the other keeps as well."""
import json
import pathlib

import pytest

from conftest import USAGE, UNKNOWN, run, tool
from test_verifierd_store import Postgres

VECTORS = pathlib.Path(__file__).resolve().parent.parent / "vectors" / "corim"


@pytest.fixture(scope="module")
def server():
    postgres = Postgres()
    yield postgres
    postgres.close()


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def store(request, tmp_path):
    """Options that name a new store."""
    options = ["--store", tmp_path / "store.db"]
    if request.param == "PostgreSQL":
        uri = request.getfixturevalue("server").uri
        options = ["--store", uri, "--schema", "t" + tmp_path.name.translate(str.maketrans("-[]", "___")).lower()]
    run("store", "init", *options)
    return options


def text(*arguments):
    return run(*arguments).stdout.decode()


def keys(store):
    return [key["kid"] for key in json.loads(text("store", "key", "list", *store))["keys"]]


def test_a_store_is_made_once(store):
    assert b"exists already" in run("store", "init", *store, status=USAGE).stderr


def test_signing_keys(store, tmp_path):
    assert keys(store) == []
    first = text("store", "key", "new", *store).strip()
    later = text("store", "key", "new", *store, "--type", "ed25519", "--use-from", "+3600").strip()
    assert keys(store) == [first, later]
    assert b"signs now" in run("store", "key", "remove", *store, "--", first, status=USAGE).stderr
    tool("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-out", tmp_path / "key.pem")
    added = text("store", "key", "add", tmp_path / "key.pem", *store).strip()
    assert keys(store) == [added, first, later]
    run("store", "key", "remove", *store, "--", first)
    run("store", "remove", f"signing-key:{later}", *store)
    assert keys(store) == [added]
    listed = [json.loads(line) for line in text("store", "list", "--json", *store).splitlines()]
    assert [(entry["kind"], entry["subject"]) for entry in listed] == [("signing-key", added)]


@pytest.mark.parametrize("wrong", [["new", "--type", "rsa"], ["new", "--use-from", "tomorrow"],
                                   ["new", "--use-from", "+"], ["add"], ["remove"], ["turn"], []])
def test_wrong_words_about_keys(store, wrong):
    run("store", "key", *wrong, *store, status=USAGE)
    assert keys(store) == []


def test_manifests_come_once_and_go_whole(store):
    manifest = VECTORS / "scheme-psa-valid.cbor"
    assert "3 reference values, 2 attestation keys" in text("store", "import", "--corim", manifest, *store)
    assert "on file already" in text("store", "import", "--corim", manifest, *store)
    listed = [json.loads(line) for line in text("store", "list", "--json", *store).splitlines()]
    assert sorted(entry["kind"] for entry in listed) == ["attest-key"] * 2 + ["reference"] * 3
    profile = ["--profile", "tag:example.com,2026:x"]
    assert b"another one was wanted" in run("store", "import", "--corim", manifest, *profile, *store, status=UNKNOWN).stderr
    run("store", "remove", "manifest:" + listed[0]["manifest"], *store)
    assert text("store", "list", *store) == ""


def test_content_moves_to_the_other_engine(store, server, tmp_path):
    text("store", "key", "new", *store)
    for name in ("scheme-psa-valid", "scheme-sevsnp-valid", "scheme-parsec-tpm-valid"):
        run("store", "import", "--corim", VECTORS / f"{name}.cbor", *store)
    there, back = tmp_path / "all.json", tmp_path / "back.json"
    run("store", "export", "--with-signing-keys", "--out", there, *store)
    assert there.stat().st_mode & 0o777 == 0o600
    assert "PRIVATE KEY" in there.read_text()
    assert "PRIVATE KEY" not in text("store", "export", *store)
    other = ["--store", tmp_path / "other.db"]
    if "--schema" not in store:
        other = ["--store", server.uri, "--schema", "moved"]
    run("store", "init", *other)
    run("store", "import", "--from-json", there, *other)
    run("store", "export", "--with-signing-keys", "--out", back, *other)
    assert back.read_text() == there.read_text()


def test_a_server_that_is_away(tmp_path):
    done = run("store", "list", "--store", f"postgresql:///x?host={tmp_path}", status=UNKNOWN)
    assert b"not available now" in done.stderr
