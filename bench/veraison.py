#!/usr/bin/env python3
"""atls-verifierd and a real Veraison in one run: bench/veraison.py BENCH_VERIFIERD [its options].

Veraison gets the same evidence in the form of the Parsec key attestation, endorsed with the same key
and reference values, and is asked over the same API by the same clients. ATLS_VERAISON names the
directory of its programs (tests/interop/veraison_lab.py); without it this says so and ends well."""
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "interop"))


def main():
    if not os.environ.get("ATLS_VERAISON"):
        print("no Veraison beside it: ATLS_VERAISON names no directory with its programs")
        return 0
    try:
        import parsec_tpm
        from veraison_lab import Veraison
    except ImportError as missing:
        print(f"no Veraison beside it: {missing}")
        return 0
    program, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="atls-bench-") as folder:
        material = pathlib.Path(folder) / "material"
        material.mkdir()
        subprocess.run([program, "--material", material], check=True)
        veraison = Veraison(pathlib.Path(os.environ["ATLS_VERAISON"]))
        verification, _ = veraison.start(pathlib.Path(folder) / "veraison")
        try:
            endorse(veraison, parsec_tpm, material)
            pids = ",".join(str(process.pid) for process in veraison.processes)
            port = urllib.parse.urlsplit(verification).port
            return subprocess.run([program, *options, "--peer", str(port), "--pids", pids, "--material", material],
                                  check=False).returncode
        finally:
            veraison.stop()


def endorse(veraison, parsec_tpm, material):
    """The key and the PCRs of the one machine whose evidence is sent; who resets 16 and 23 is not known."""
    pcrs = (material / "pcrs").read_bytes()
    references = {index: pcrs[32 * index:32 * index + 32] for index in range(24) if index not in (16, 23)}
    media_type = veraison.corim_type(parsec_tpm.PROFILE)
    corim = parsec_tpm.corim((material / "ak.pem").read_bytes(), references, (material / "kid").read_bytes(),
                             "corim-unsigned" in media_type)
    answer = veraison.provision(corim, media_type)
    assert answer.status == 200 and answer.json()["status"] == "success", answer.body


if __name__ == "__main__":
    sys.exit(main())
