#!/usr/bin/env python3
"""Checks the direction of #includes between src/ modules, and a few rules that keep files readable.

  - a module includes only itself and modules before it in ORDER (the order of CMakeLists.txt)
  - heavy library headers stay in .cc files
  - every header begins with #pragma once before its first #include
  - a property's verdict is not dropped: rc::check() stands inside EXPECT_TRUE()
  - a source of more than 600 lines is a warning: it wants to be two

Exit code 1 and one line per violation if there is any. `--self-test` proves on made-up trees that each rule can fail.
"""
import argparse
import pathlib
import re
import sys
import tempfile

# A module may include what stands before it. Siblings in one tuple do not see each other.
ORDER = [("base",), ("iam", "exposure"), ("io",), ("crypto",), ("erasure",), ("http",), ("edge", "island"), ("extent",), ("index",), ("store",), ("door/s3",), ("door/site",), ("app",)]
# Not everything below is allowed: what a module must not know although it lies lower.
FORBIDDEN = {
    "store": {"http", "exposure"}, "index": {"http", "exposure"}, "extent": {"http", "exposure"}, "http": {"crypto", "erasure", "exposure"}, "edge": {"iam", "exposure", "erasure"},
    "crypto": {"io", "iam", "exposure"}, "io": {"iam", "exposure"}, "erasure": {"io", "crypto"},
}
HEAVY = re.compile(r"^(rocksdb/|openssl/|sodium|isa-l|toml\+\+/|CLI/|pugixml|simdjson|nghttp2/|ares\.h)")
DROPPED_VERDICT = re.compile(r"^\s*rc::check\(")
LINES_WARN = 600
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def rank_of(module):
    for rank, group in enumerate(ORDER):
        if module in group:
            return rank
    return None


def module_of(path):
    """The module of a path relative to src/, or None."""
    for group in ORDER:
        for module in group:
            if path == module or path.startswith(module + "/"):
                return module
    return None


def check_file(relative, text):
    """Yields (line number, message) for one file; `relative` is its path under src/."""
    module = module_of(relative)
    if module is None:
        yield 1, f"src/{relative} belongs to no module of scripts/check_layers.py: add it to ORDER and CMakeLists.txt"
        return
    header = relative.endswith(".h")
    test = relative.endswith(("_test.cc", "_fixture.h", "_test_util.h"))
    seen_pragma = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() == "#pragma once":
            seen_pragma = True
        if DROPPED_VERDICT.match(line):
            yield number, "rc::check() only returns its verdict: EXPECT_TRUE(rc::check(…)), or the test never fails"
        match = INCLUDE.match(line)
        if not match:
            continue
        quote, target = match.groups()
        if header and not seen_pragma:
            yield number, "a header starts with #pragma once"
            seen_pragma = True  # say it once
        if quote == '"' and target.startswith("support/") and test:
            continue  # tests/support
        if quote == '"':
            other = module_of(target)
            if other is None:
                yield number, f'"{target}" is in no module; write includes from src/ (and <…> for libraries)'
            elif rank_of(other) > rank_of(module) or other != module and rank_of(other) == rank_of(module):
                yield number, f"{module} must not include {other}: dependencies point downwards ({target})"
            elif other in FORBIDDEN.get(module, ()):
                yield number, f"{module} must not know {other} ({target})"
        elif HEAVY.match(target):
            if header and not test:
                yield number, f"<{target}> is heavy: include it in a .cc file and hide it behind our own types"
    if header and not seen_pragma:
        yield 1, "a header starts with #pragma once"


def check_tree(src):
    """Returns (violations, warnings), each a list of text lines."""
    violations, warnings = [], []
    for path in sorted(src.rglob("*")):
        if path.suffix not in (".h", ".cc"):
            continue
        relative = path.relative_to(src).as_posix()
        text = path.read_text(encoding="utf-8")
        for number, message in check_file(relative, text):
            violations.append(f"src/{relative}:{number}: {message}")
        lines = text.count("\n")
        if lines > LINES_WARN:
            warnings.append(f"src/{relative}: {lines} lines; more than {LINES_WARN} read badly, split it")
    return violations, warnings


def self_test():
    """Each case is (path, text, part of the expected message or None)."""
    cases = [
        ("base/a.h", '#pragma once\n#include <string>\n', None),
        ("store/a.cc", '#include "index/kv.h"\n', None),
        ("base/a.cc", '#include "io/loop.h"\n', "dependencies point downwards"),
        ("index/a.cc", '#include "store/store.h"\n', "dependencies point downwards"),
        ("store/a.cc", '#include "http/server.h"\n', "must not know"),
        ("io/a.h", '#pragma once\n#include <openssl/ssl.h>\n', "is heavy"),
        ("io/a.cc", '#include <openssl/ssl.h>\n', None),
        ("io/a_test_util.h", '#pragma once\n#include <openssl/ssl.h>\n', None),
        ("index/a.h", '#pragma once\n#include <rocksdb/db.h>\n', "is heavy"),
        ("base/a.h", '#include <string>\n', "#pragma once"),
        ("base/a.h", 'int x;\n', "#pragma once"),
        ("nowhere/a.cc", "", "belongs to no module"),
        ("base/a.cc", '#include "fmt/format.h"\n', "is in no module"),
        ("base/a_test.cc", '#include "support/source_dir.h"\n', None),
        ("base/a_fixture.h", '#pragma once\n#include "support/co_assert.h"\n', None),
        ("base/a.cc", '#include "support/source_dir.h"\n', "is in no module"),
        ("base/a_test.cc", '  rc::check("a property", [] {});\n', "never fails"),
        ("base/a_test.cc", '  EXPECT_TRUE(rc::check("a property", [] {}));\n', None),
    ]
    failures = 0
    for path, text, expected in cases:
        with tempfile.TemporaryDirectory() as temporary:
            file = pathlib.Path(temporary, "src", path)
            file.parent.mkdir(parents=True)
            file.write_text(text)
            violations, _ = check_tree(pathlib.Path(temporary, "src"))
        good = not violations if expected is None else len(violations) == 1 and expected in violations[0]
        if not good:
            failures += 1
            print(f"self-test: {path} {text!r}: expected {expected!r}, got {violations}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as temporary:
        file = pathlib.Path(temporary, "src", "base", "long.cc")
        file.parent.mkdir(parents=True)
        file.write_text("// line\n" * (LINES_WARN + 1))
        if not check_tree(pathlib.Path(temporary, "src"))[1]:
            failures += 1
            print("self-test: a long file gave no warning", file=sys.stderr)
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--self-test", action="store_true", help="check that every rule can fail")
    options = parser.parse_args()
    if options.self_test:
        sys.exit(1 if self_test() else 0)
    root = pathlib.Path(__file__).resolve().parent.parent
    violations, warnings = check_tree(root / "src")
    # CMakeLists.txt must name the modules in the same order, or one of the two lies.
    named = re.findall(r"^archipel_module\((\S+)", (root / "CMakeLists.txt").read_text(), re.MULTILINE)
    ours = [module for group in ORDER for module in group]
    if named != ours:
        violations.append(f"CMakeLists.txt names the modules {named}, scripts/check_layers.py {ours}: bring them together")
    for line in warnings:
        print("warning: " + line, file=sys.stderr)
    for line in violations:
        print(line, file=sys.stderr)
    sys.exit(1 if violations else 0)


if __name__ == "__main__":
    main()
