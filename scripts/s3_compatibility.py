#!/usr/bin/env python3
"""Writes docs/s3-compatibility.md: what of the S3 API is offered, operation by operation and header by header, and which tests say so.

What is offered comes from the table in src/door/s3/operation.cc; the tests from their sources, by the patterns of
scripts/s3_compatibility.toml; the counts of ceph/s3-tests from docs/s3-tests.md. An offered operation without a test, a pattern that matches
nothing, and a page that offers other things than the table does are errors: `--check`, part of ./dev test, says so. (Which tests a row names
may lag behind until the page is written again: a new test need not touch it.)
"""
import argparse
import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "s3-compatibility.md"
NAMES_MAX = 3  # of tests in a row; the rest is counted

ROW = re.compile(r'\{Operation::(\w+), "(\w+)", "(\w+)", Level::(\w+), "([\w-]*)", "([\w-]*)", (\w+), (\w+), (true|false), "([\w:]*)", (&\w+|nullptr)')
ARRAY = re.compile(r"constexpr Name (k\w+)\[\] = \{(.*?)\};", re.S)
JOIN = re.compile(r"constexpr auto (k\w+) = join\(([^)]*)\);")
TEST = re.compile(r"^\s*(?:TEST|TEST_F|TEST_P|RC_GTEST_PROP|RC_GTEST_FIXTURE_PROP)\(\s*(\w+)\s*,\s*(\w+)", re.M)
# Operations of Amazon S3 that the table does not know at all: they answer NotImplemented.
ABSENT = {
    "storage classes and archives": "RestoreObject, WriteGetObjectResponse, lifecycle transitions",
    "SelectObjectContent": "withdrawn by AWS for new users",
    "replication": "PutBucketReplication and its kin: islands are the redundancy here",
    "notifications, inventory, analytics, metrics, intelligent tiering, accelerate": "PutBucketNotificationConfiguration and the other configurations of AWS's own services",
    "GetObjectTorrent": "as AWS: 404 for ours, nothing is seeded",
    "directory buckets": "CreateSession, RenameObject, ListDirectoryBuckets, append by write offset",
}


class Failure(Exception):
    pass


def operations():
    """(rows, {array name: entries}) of the door's table."""
    text = (ROOT / "src/door/s3/operation.cc").read_text()
    arrays = {name: re.findall(r'"([^"]*)"', body) for name, body in ARRAY.findall(text)}
    for name, parts in JOIN.findall(text):
        arrays[name] = [entry for part in re.findall(r"k\w+", parts) for entry in arrays[part]]
    fields = ("id", "name", "method", "level", "sub", "header", "parameters", "headers", "body", "action", "handler")
    rows = [dict(zip(fields, found)) for found in ROW.findall(text)]
    if len(rows) < 20:
        raise Failure("the table of src/door/s3/operation.cc is not written as this script expects: adapt ROW")
    return rows, arrays


def unit_tests():
    out = set()
    for path in sorted((ROOT / "src").rglob("*_test.cc")):
        out.update(f"{suite}.{name}" for suite, name in TEST.findall(path.read_text()))
    return sorted(out)


def end_to_end_tests():
    out = set()
    for path in sorted((ROOT / "tests/e2e").glob("test_*.py")):
        out.update(f"{path.stem}.{name}" for name in re.findall(r"^    def (test_\w+)", path.read_text(), re.M))
    return sorted(out)


def suite_results():
    """{test: outcome} of docs/s3-tests.md."""
    path = ROOT / "docs/s3-tests.md"
    if not path.exists():
        return {}
    return dict(re.findall(r"^\| `([^`]+)` \| (passed|failed|skipped)", path.read_text().partition("## Every test")[2], re.M))


class Proofs:
    def __init__(self):
        self.unit, self.e2e, self.suite = unit_tests(), end_to_end_tests(), suite_results()
        self.missing = []

    def matching(self, patterns, names, what):
        found = []
        for pattern in patterns:
            hits = [n for n in names if re.search(pattern, n)]
            if not hits:
                self.missing.append(f"{what}: no test matches {pattern!r}")
            found += [h for h in hits if h not in found]
        return found

    def cells(self, entry, what):
        """(tests, s3-tests) as table cells."""
        unit = self.matching(entry.get("unit", []), self.unit, what)
        e2e = self.matching(entry.get("e2e", []), self.e2e, what)
        names = [f"`{n}`" for n in unit[:NAMES_MAX]]
        if len(unit) > NAMES_MAX:
            names.append(f"{len(unit) - NAMES_MAX} more")
        names += [f"`{n}`" for n in e2e[:NAMES_MAX]]
        suite = ""
        if entry.get("suite") and self.suite:
            hits = [t for t in self.suite if re.search(entry["suite"], t)]
            if not hits:
                self.missing.append(f"{what}: no test of the suite matches {entry['suite']!r}")
            suite = f"{sum(self.suite[t] == 'passed' for t in hits)} of {len(hits)}"
        return ", ".join(names), suite


def address(row):
    path = {"service": "/", "bucket": "/bucket", "object": "/bucket/key"}[row["level"]]
    query = f"?{row['sub']}" if row["sub"] else ""
    return f"{row['method']} {path}{query}" + (f" with {row['header']}" if row["header"] else "")


def page():
    rows, arrays = operations()
    known = tomllib.loads((ROOT / "scripts/s3_compatibility.toml").read_text())
    proofs = Proofs()
    lines = ["# S3 compatibility", "",
             "Written by `scripts/s3_compatibility.py` from the door's table of operations and from the tests; do not edit. The last column counts those tests of",
             "ceph/s3-tests, unpatched, that exercise the operation and pass ([s3-tests.md](s3-tests.md) has them one by one). What is not offered answers `NotImplemented`",
             "and stores nothing: no sub-resource, `x-amz-` or `x-archipel-` header or value is ignored in silence.", "",
             "## Operations", "", "| operation | request | notes | tests | s3-tests |", "|---|---|---|---|---:|"]
    without = []
    for row in rows:
        entry = known["operations"].get(row["id"], {})
        if row["handler"] == "nullptr":
            lines.append(f"| {row['name']} | `{address(row)}` | not offered | | |")
            continue
        tests, suite = proofs.cells(entry, row["id"])
        if not tests and not suite:
            without.append(row["id"])
        lines.append(f"| {row['name']} | `{address(row)}` | {entry.get('notes', '')} | {tests} | {suite} |")
    lines += ["", "Not offered at all:", ""] + [f"- {name}: {text}" for name, text in ABSENT.items()]
    lines += ["", "## Query parameters", "", "Beside the sub-resource of the request; `x-id` is taken everywhere.", "", "| operation | parameters |", "|---|---|"]
    for row in rows:
        names = arrays.get(row["parameters"], [])
        if row["handler"] != "nullptr" and names:
            lines.append(f"| {row['name']} | " + ", ".join(f"`{n}`" if n != "*" else "any" for n in names) + " |")
    lines += ["", "## Headers", "", "`x-amz-` and `x-archipel-` headers, and the operations that take them; `name=value` means that only this value is taken.", "",
              "| header | operations | notes | tests | s3-tests |", "|---|---|---|---|---:|"]
    takes = {}
    for row in rows:
        if row["handler"] != "nullptr":
            for header in arrays.get(row["headers"], []):
                takes.setdefault(header, []).append(row["name"])
    offered = sum(row["handler"] != "nullptr" for row in rows)
    for header in arrays.get("kAnyHeader", []):
        takes.setdefault(header, ["every operation"])
    for header in sorted(takes):
        entry = known["headers"].get(header.partition("=")[0], {})
        tests, suite = proofs.cells(entry, header)
        users = takes[header]
        shown = ", ".join(users) if len(users) <= 6 else ", ".join(users[:6]) + f" and {len(users) - 6} more"
        lines.append(f"| `{header}{'*' if header.endswith('-') else ''}` | {shown} | {entry.get('notes', '')} | {tests} | {suite} |")
    lines += ["", "## Behaviours", "", "| behaviour | tests | s3-tests |", "|---|---|---:|"]
    for entry in known.get("behaviours", []):
        tests, suite = proofs.cells(entry, entry["says"])
        lines.append(f"| {entry['says']} | {tests} | {suite} |")
    unknown = set(known["operations"]) - {row["id"] for row in rows}
    problems = proofs.missing + [f"{u}: the door's table has no such operation" for u in sorted(unknown)]
    problems += [f"{w}: offered, but scripts/s3_compatibility.toml names no test" for w in without]
    lines.insert(8, f"{offered} of {len(rows)} operations of the table are offered.\n")
    return "\n".join(lines) + "\n", problems


def claims(text):
    """What a page says is offered: rows without the columns that name tests."""
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [row[:3] for row in rows if len(row) > 3]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if the page is not current")
    options = parser.parse_args()
    text, problems = page()
    for problem in problems:
        print(f"s3_compatibility: {problem}", file=sys.stderr)
    if options.check:
        current = PAGE.exists() and claims(PAGE.read_text()) == claims(text)
        if not current:
            print("s3_compatibility: docs/s3-compatibility.md is not current: run scripts/s3_compatibility.py", file=sys.stderr)
        sys.exit(1 if problems or not current else 0)
    PAGE.write_text(text)
    print(f"wrote {PAGE.relative_to(ROOT)}")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"s3_compatibility: {failure}", file=sys.stderr)
        sys.exit(2)
