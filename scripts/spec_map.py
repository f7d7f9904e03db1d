#!/usr/bin/python3
"""docs/spec-map.md names only what exists: files, functions, tests and rows of tests.

A reference is `path` or `path: name, name, "row of a test"`. A function is defined in its file, a
test is defined there and run, a row stands there as a string. Each reason slug of atls/err.h has to
occur in the map, so that no check is added without its clause.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MAP = ROOT / "docs" / "spec-map.md"
SUFFIXES = ("c", "h", "md", "py", "sh", "json", "jq")
REFERENCE = re.compile(r"`((?:[\w.-]+/)+[\w.-]+\.(?:%s))(?::\s+([^`]+))?`" % "|".join(SUFFIXES))
NAME = re.compile(r'"([^"]+)"|([^,\s][^,]*)')
NO_SLUG = {"none"}

texts = {}


def text_of(path):
    if path not in texts:
        file = ROOT / path
        texts[path] = file.read_text() if file.is_file() else None
    return texts[path]


def is_defined(name, text):
    """At the left margin: a function or a table; or a macro, or an enumerator of a header."""
    function = r"^(?:[A-Za-z_][^;=\n]*\b)?%s\(" % re.escape(name)
    table = r"^[A-Za-z_}][^;(\n]*\b%s(\[[^\n]*\])*( =|;)" % re.escape(name)
    macro = r"^#define %s\b" % re.escape(name)
    enumerator = r"^    %s( =|,)" % re.escape(name)
    return any(re.search(p, text, re.M) for p in (function, table, macro, enumerator))


def is_run(name, text):
    """A test is named where it is defined and where it is listed."""
    return len(re.findall(r"\b%s\b" % re.escape(name), text)) >= 2


def check_name(path, row, name, text):
    if row:
        return None if '"%s"' % row in text else f'{path} has no row "{row}"'
    if not is_defined(name, text):
        return f"{path} does not define {name}"
    # pytest finds its tests by their names.
    if path.startswith("tests/") and path.endswith(".c") and not is_run(name, text):
        return f"{path} defines {name} and does not run it"
    return None


def problems_of(number, line):
    for path, names in REFERENCE.findall(line):
        text = text_of(path)
        if text is None:
            yield f"{number}: no file {path}"
            continue
        for row, name in NAME.findall(names):
            problem = check_name(path, row, name.strip(), text)
            if problem:
                yield f"{number}: {problem}"


def missing_slugs(text):
    header = text_of("include/atls/err.h")
    for slug in re.findall(r'X\([A-Z0-9_]+, "([^"]+)"\)', header):
        if slug not in NO_SLUG and f"`{slug}`" not in text:
            yield f"reason {slug} occurs nowhere"


def main():
    text = MAP.read_text()
    problems = [p for n, line in enumerate(text.splitlines(), 1) for p in problems_of(n, line)]
    problems += missing_slugs(text)
    for problem in problems:
        print(f"docs/spec-map.md:{problem}", file=sys.stderr)
    references = len(REFERENCE.findall(text))
    if references == 0:
        print("docs/spec-map.md: names nothing", file=sys.stderr)
    return bool(problems) or references == 0


if __name__ == "__main__":
    sys.exit(main())
