#!/usr/bin/python3
"""Arrows run downwards only: a file of src/<layer> includes nothing of a layer above it."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent / "src"
ALLOWED = {
    "core": "",
    "crypto": "core",
    "wire": "core",
    "ea": "core crypto wire",
    "bind": "core crypto wire",
    "evidence": "core crypto wire bind",
    "attester": "core crypto wire bind evidence",
    "store": "core crypto wire evidence",
    "verifier": "core crypto wire bind evidence store ea flavour",
    "policy": "core wire verifier",
    "flavour": "core crypto wire ea bind attester evidence verifier policy",
    "tls": "core crypto flavour",
}
# inspect, a part of the verifier library, also shows messages of upper layers.
UPWARD = {("verifier/inspect", "ea"), ("verifier/inspect", "flavour")}
OPENSSL = {"crypto", "tls"}

problems = []
for path in sorted(ROOT.glob("**/*.[ch]")):
    relative = path.relative_to(ROOT)
    layer = relative.parts[0]
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+"([a-z_]+)/', line)
        if match:
            target = match.group(1)
            if target == layer or target in ALLOWED.get(layer, "").split():
                if target in ("ea", "flavour") and layer == "verifier" and (str(relative.parent), target) not in UPWARD:
                    problems.append(f"{relative}:{number}: {layer} includes {target}")
                continue
            problems.append(f"{relative}:{number}: {layer} includes {target}")
        if re.match(r"\s*#\s*include\s+<openssl/", line) and layer not in OPENSSL:
            problems.append(f"{relative}:{number}: OpenSSL outside crypto and tls")
for problem in problems:
    print(problem, file=sys.stderr)
sys.exit(bool(problems))
