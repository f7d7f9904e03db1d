#!/usr/bin/python3
"""Keeps the export lists and the public headers in step.

exports.py write         rewrites src/lib*.map from the ATLS_API marks in include/atls
exports.py check DIR     fails when a map differs from the headers, or when a library in the build
                         directory DIR exports anything else
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Headers whose functions live in a library other than libatls; policy.h is split by function.
LIBRARIES = {
    "atls-openssl": ["openssl.h"],
    "atls-tpm2": ["tpm2.h"],
    "atls-verifier": ["collateral.h", "local.h", "store.h", "corim.h", "inspect.h", "ear.h",
                      "enrol.h", "issuer.h", "remote.h"],
}
ELSEWHERE = {"atls_policy_load": "atls-verifier", "atls_policy_compile": "atls-verifier",
             "atls_passport_open": "atls-verifier", "atls_passport_options_init": "atls-verifier"}


def names_of(header):
    text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S)
    text = re.sub(r"^\s*#.*$", "", text, flags=re.M)
    found = []
    for declaration in re.findall(r"ATLS_API\b([^;]*);", text):
        declaration = declaration.replace("ATLS_MUST_CHECK", "")
        match = re.search(r"\b(atls_\w+)\s*\(", declaration) or re.search(r"(atls_\w+)\s*$", declaration)
        found.append(match.group(1))
    return found


def wanted():
    lists = {"atls": []}
    lists.update({library: [] for library in LIBRARIES})
    for header in sorted((ROOT / "include/atls").glob("*.h")):
        home = next((l for l, hs in LIBRARIES.items() if header.name in hs), "atls")
        for name in names_of(header):
            lists[ELSEWHERE.get(name, home)].append(name)
    return {library: sorted(set(names)) for library, names in lists.items()}


def map_text(library, names):
    node = "LIB" + library.upper().replace("-", "_") + "_0"
    body = "".join(f"    {name};\n" for name in names)
    return f"{node} {{\nglobal:\n{body}local:\n    *;\n}};\n"


def main():
    problems = []
    for library, names in wanted().items():
        path = ROOT / f"src/lib{library}.map"
        text = map_text(library, names)
        if sys.argv[1] == "write":
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            problems.append(f"{path.name} differs from the headers: run scripts/exports.py write")
        if sys.argv[1] == "check":
            so = next(pathlib.Path(sys.argv[2]).glob(f"**/lib{library}.so"), None)
            if so is None:
                problems.append(f"lib{library}.so is not in {sys.argv[2]}")
                continue
            out = subprocess.run(["nm", "-D", "--defined-only", str(so)], capture_output=True,
                                 text=True, check=True).stdout
            exported = {line.split()[2].split("@")[0] for line in out.splitlines() if "@@LIB" in line}
            exported = {name for name in exported if not name.startswith("LIB")}
            for name in sorted(exported ^ set(names)):
                where = "exported but not in a header" if name in exported else "not exported"
                problems.append(f"lib{library}: {name} is {where}")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


sys.exit(main())
