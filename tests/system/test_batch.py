"""Profiles of evidence through the programs, and the vectors of docs/batch.md."""
import concurrent.futures
import importlib.util
import json
import pathlib
import re

import pytest

from conftest import CLASS, REFUSED, USAGE, run, tool

ROOT = pathlib.Path(__file__).parents[2]
DEVELOPMENT = ROOT / "docs/policies/soft-development.jq"
BATCH = "application/vnd.libatls.kat-batch+cbor"


def vectors():
    path = ROOT / "tests/vectors/batch/make.py"
    spec = importlib.util.spec_from_file_location("batch_vectors", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_vectors_are_what_an_independent_program_computes():
    recorded = json.loads((ROOT / "tests/vectors/batch/cases.json").read_text())
    assert recorded == vectors().cases()
    table = dict(re.findall(r"^\| (\d+) \| \d+ \| `([0-9a-f]{128})` \|$", (ROOT / "docs/batch.md").read_text(), re.M))
    assert table == {str(case["count"]): case["challenge"] for case in recorded}


@pytest.fixture(name="soft")
def soft_machine(lab):
    """URI of a software attester that the store knows."""
    key, aik = lab.dir / "batch.pem", lab.dir / "batch-aik.pem"
    for path in key, aik:
        tool("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)
    uri = f"soft:{key}?aik={aik}&measure.app=sha256:{'cd' * 32}"
    evidence = lab.dir / "batch.cbor"
    run("evidence", "--attester", uri, "--insecure-soft", "--random-binder", "--out", evidence)
    ueid = re.search(rb'"ueid": "([0-9a-f]+)"', run("inspect", "--json", evidence).stdout).group(1).decode()
    template, manifest = lab.dir / "batch.json", lab.dir / "batch.corim"
    template.write_text(json.dumps({
        "id": "batch", "tag-id": "batch", "profile": "soft", "class": CLASS.replace("31fb5abf", "31fb5ac0"),
        "attest-keys": [{"instance": ueid, "key": tool("openssl", "pkey", "-in", key, "-pubout").decode()}],
        "reference-values": {"sha256": {"app": "cd" * 32}}}))
    run("corim", "create", "--template", template, "--out", manifest)
    run("store", "import", "--store", lab.store, "--corim", manifest)
    return uri


def connect(lab, server, *arguments, **keywords):
    return lab.connect(server, "--identity", "attested", "--insecure-soft", "--policy", DEVELOPMENT, *arguments,
                       **keywords)


def serve(lab, uri):
    return lab.serve("--attester", uri, "--insecure-soft", "--identity", "attested", "--echo")


def test_many_connections_share_slow_quotes(lab, soft):
    server = serve(lab, soft + "&delay=300")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda i: connect(lab, server, stdin=b"%d" % i), range(8)))
    assert [d.stdout for d in done] == [b"%d" % i for i in range(8)]


@pytest.mark.parametrize("options", ["", "&batch=off"])
@pytest.mark.parametrize("profiles", ["kat-bundle", "kat-batch,kat-bundle", "bare", "bare,kat-batch"])
def test_every_profile_end_to_end(lab, soft, profiles, options):
    server = serve(lab, soft + options)
    assert connect(lab, server, "--profile", profiles, stdin=b"hello").stdout == b"hello"


def test_no_profile_in_common(lab, soft):
    server = serve(lab, soft + "&batch=off")
    for profiles in "kat-batch", "parsec":
        done = connect(lab, server, "--profile", profiles, stdin=b"x", status=None)
        assert done.returncode != 0 and b"no-common-parameters" in done.stderr and done.stdout == b""


def evidence_of(lab, uri, *arguments):
    out, aik = lab.dir / "profile.cbor", lab.dir / "profile.aik"
    done = run("evidence", "--attester", uri, "--insecure-soft", "--binder", "ab" * 32, "--out", out, "--aik-out", aik,
               *arguments)
    assert done.stdout == b""
    return out, aik


def appraise(lab, out, aik, *arguments, status):
    return run("appraise", "--evidence", out, "--binder", "ab" * 32, "--aik", aik, "--verifier", lab.verifier,
               "--insecure-soft", "--policy", DEVELOPMENT, *arguments, status=status)


def test_evidence_in_a_profile_that_is_not_taken_is_refused(lab, soft):
    out, aik = evidence_of(lab, soft, "--profile", "kat-batch")
    shown = json.loads(run("inspect", "--json", out).stdout)
    kat = [e for e in shown["content"]["entries"] if e["label"] == "kat"][0]
    assert kat["type"] == BATCH and kat["value"]["index"] == 0 and kat["value"]["siblings"] == []
    appraise(lab, out, aik, status=0)
    done = appraise(lab, out, aik, "--profile", "kat-bundle,bare", status=REFUSED)
    assert b"evidence-profile" in done.stderr
    out, aik = evidence_of(lab, soft, "--profile", "bare")
    done = appraise(lab, out, aik, status=REFUSED)
    assert b"evidence-profile" in done.stderr
    appraise(lab, out, aik, "--profile", "bare", status=0)


@pytest.mark.parametrize("names", ["", "kat", "kat-bundle,", "bare,,kat-bundle", "kat-bundle bare", "x" * 40])
def test_unknown_profiles_are_wrong_usage(lab, soft, names):
    done = run("evidence", "--attester", soft, "--insecure-soft", "--random-binder", "--profile", names, status=USAGE)
    assert b"kat-bundle, kat-batch, bare, parsec or ra-tls" in done.stderr
    run("serve", "--attester", soft, "--insecure-soft", "--profile", "bare", "--listen", "localhost:0", status=USAGE)
