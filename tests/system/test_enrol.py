"""Enrolment in files between a device and a verifier."""
import json

from conftest import CLASS, REFUSED, USAGE, run, tool


def two_parties(lab, tpm):
    """Request and challenge: the state in which forgeries begin."""
    run("store", "import", "--store", lab.store, "--anchor", "ek", lab.maker_anchors())
    names = {name: tpm.dir / f"{name}.json" for name in "RCKA"}
    run("enrol", "request", "--attester", tpm.uri, "--out", names["R"], "--persist")
    challenge(lab, names)
    return names


def challenge(lab, names, *extra, **options):
    return run("enrol", "challenge", names["R"], "--store", lab.store, "--out", names["C"], "--keep", names["K"],
               *extra, **options)


def answer(tpm, names, **options):
    return run("enrol", "answer", names["C"], "--attester", tpm.uri, "--out", names["A"], **options)


def accept(lab, names, **options):
    return run("enrol", "accept", names["A"], "--keep", names["K"], "--store", lab.store, "--class", CLASS,
               **options)


def keys(lab):
    entries = map(json.loads, run("store", "list", "--store", lab.store, "--json").stdout.splitlines())
    return [entry for entry in entries if entry["kind"] == "attest-key"]


def test_two_parties(lab):
    tpm = lab.tpm()
    names = two_parties(lab, tpm)
    assert names["K"].stat().st_mode & 0o777 == 0o600
    answer(tpm, names)
    assert keys(lab) == []
    accept(lab, names)
    assert len(keys(lab)) == 1
    assert not names["K"].exists()
    # Used once; and the same machine may come again, for the same entry.
    accept(lab, names, status=USAGE)
    challenge(lab, names)
    answer(tpm, names)
    accept(lab, names)
    assert len(keys(lab)) == 1


def test_wrong_answer_burns_the_challenge(lab):
    tpm = lab.tpm()
    names = two_parties(lab, tpm)
    answer(tpm, names)
    right = names["A"].read_text()
    wrong = json.loads(right)
    wrong["secret"] = "00" * 32
    names["A"].write_text(json.dumps(wrong))
    assert b"[nonce-mismatch]" in accept(lab, names, status=REFUSED).stderr
    names["A"].write_text(right)
    accept(lab, names, status=USAGE)
    assert keys(lab) == []


def test_challenge_expires(lab):
    tpm = lab.tpm()
    names = two_parties(lab, tpm)
    names["K"].unlink()
    challenge(lab, names, "--lifetime", "1")
    answer(tpm, names)
    tool("sleep", "2")
    assert b"expired" in accept(lab, names, status=2).stderr
    assert keys(lab) == []


def test_another_tpm_cannot_answer(lab):
    one, two = lab.tpm("one"), lab.tpm("two")
    names = two_parties(lab, one)
    answer(two, names, status=2)
    assert not names["A"].exists()


def test_ek_without_a_makers_word(lab):
    tpm = lab.tpm()
    names = {name: tpm.dir / f"{name}.json" for name in "RCKA"}
    run("enrol", "request", "--attester", tpm.uri, "--out", names["R"])
    assert b"[untrusted-root]" in challenge(lab, names, status=REFUSED).stderr
    assert not names["C"].exists() and not names["K"].exists()
    done = challenge(lab, names, "--allow-untrusted-ek")
    assert b"NOT certified" in done.stderr


def test_certificate_of_another_ek(lab):
    one, two = lab.tpm("one"), lab.tpm("two")
    run("store", "import", "--store", lab.store, "--anchor", "ek", lab.maker_anchors())
    names = {name: one.dir / f"{name}.json" for name in "RCKA"}
    run("enrol", "request", "--attester", one.uri, "--out", names["R"])
    other = two.dir / "R.json"
    run("enrol", "request", "--attester", two.uri, "--out", other)
    forged = json.loads(names["R"].read_text())
    forged["ek-certificate"] = json.loads(other.read_text())["ek-certificate"]
    names["R"].write_text(json.dumps(forged))
    assert b"[name-mismatch]" in challenge(lab, names, status=REFUSED).stderr
    # Not even when certificates are not asked for: this one speaks, and of another key.
    assert b"[name-mismatch]" in challenge(lab, names, "--allow-untrusted-ek", status=REFUSED).stderr


def test_known_instance_with_another_ek(lab):
    one, two = lab.tpm("one"), lab.tpm("two")
    names = two_parties(lab, one)
    answer(one, names)
    accept(lab, names)
    other = two.dir / "R.json"
    run("enrol", "request", "--attester", two.uri, "--out", other)
    forged = json.loads(other.read_text())
    forged["ak-public"] = json.loads(names["R"].read_text())["ak-public"]
    names["R"].write_text(json.dumps(forged))
    assert b"[identity-mismatch]" in challenge(lab, names, status=REFUSED).stderr


def test_garbage_between_parties(lab):
    tpm = lab.tpm()
    names = two_parties(lab, tpm)
    for name in "RCA":
        names[name].write_text('{"type": "something-else"}')
    names["K"].unlink()
    challenge(lab, names, status=REFUSED)
    answer(tpm, names, status=REFUSED)
    names["K"].write_text("{}")
    accept(lab, names, status=REFUSED)
    assert keys(lab) == []


def test_a_manifest_that_enrols_elsewhere(lab):
    """--corim-key: key and reference values of a machine, for a verifier that never saw its TPM."""
    tpm = lab.tpm()
    run("store", "import", "--store", lab.store, "--anchor", "ek", lab.maker_anchors())
    enrol = ["enrol", "--attester", tpm.uri, "--store", lab.store, "--class", CLASS, "--persist"]
    binder, evidence, aik = "5f" * 32, tpm.dir / "e.cbor", tpm.dir / "aik.der"
    for form, tag in (("ueid", b"\xd9\x02\x26\x58\x21\x01"), ("bytes", b"\xd9\x02\x30\x58\x21\x01")):
        manifest, store = tpm.dir / f"{form}.corim", tpm.dir / f"{form}.db"
        run(*enrol, "--corim-out", manifest, "--corim-key", form)
        assert manifest.read_bytes().count(tag) == 1
        run("store", "init", "--store", store)
        run("store", "import", "--store", store, "--corim", manifest)
        run("evidence", "--attester", tpm.uri, "--binder", binder, "--out", evidence, "--aik-out", aik)
        run("appraise", "--evidence", evidence, "--binder", binder, "--aik", aik, "--verifier", f"local:{store}")
    # The verifier that enrolled it takes the same.
    run(*enrol, "--corim-out", manifest, "--corim-key", "bytes", "--reference-values", "now")
    assert {entry["manifest"] == "" for entry in keys(lab)} == {True, False}
    run("appraise", "--evidence", evidence, "--binder", binder, "--aik", aik, "--verifier", lab.verifier)
    run(*enrol, "--corim-out", manifest, "--corim-key", "uuid", status=USAGE)
    run(*enrol, "--corim-key", "bytes", status=USAGE)
