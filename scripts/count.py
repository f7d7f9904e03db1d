#!/usr/bin/python3
"""Adds up the JUnit files and the steps of a test run and prints the closing line."""
import pathlib
import sys
import xml.etree.ElementTree as tree

passed = failed = skipped = 0
folder = pathlib.Path(sys.argv[1])
for path in sorted(folder.glob("*.xml")):
    for case in tree.parse(path).getroot().iter("testcase"):
        status = case.get("status")
        if status == "run":
            passed += 1
        elif status == "fail":
            failed += 1
            print(f"FAILED: {path.stem}: {case.get('name')}")
        else:
            skipped += 1
            reason = case.find("skipped")
            text = (case.findtext("system-out") or "").strip().splitlines()
            why = text[-1] if text else (reason.get("message") if reason is not None else "")
            print(f"skipped: {path.stem}: {case.get('name')}: {why}")
steps = folder / "steps"
for line in steps.read_text().splitlines() if steps.exists() else []:
    if line.startswith("pass "):
        passed += 1
    else:
        failed += 1
        print(f"FAILED: {line[5:]}")
print(f"{passed} passed, {failed} failed, {skipped} skipped")
sys.exit(failed != 0)
