#!/usr/bin/env python3
"""Runs the end-to-end tests (test_*.py beside this file) against an `archipel` binary.

Example: tests/e2e/run.py --archipel build/test/archipel test_durable
A pattern selects tests whose full name (file.Class.test) contains it. Skips are printed with their reason.
"""
import argparse
import json
import pathlib
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import gateway  # noqa: E402  (needs the path)


class Result(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.passed, self.bad, self.started = 0, 0, 0.0

    def startTest(self, test):
        super().startTest(test)
        self.started = time.monotonic()

    def line(self, word, test, detail=""):
        print(f"{word:5} {test.id()} ({time.monotonic() - self.started:.1f} s) {detail}".rstrip(), flush=True)

    def addSuccess(self, test):
        self.passed += 1
        self.line("ok", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.line("skip", test, reason)

    def _failed(self, test, error):
        self.bad += 1
        self.line("FAIL", test)
        print(self._exc_info_to_string(error, test), flush=True)

    def addError(self, test, err):
        super().addError(test, err)
        self._failed(test, err)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._failed(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._failed(subtest, err)


def tests_of(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from tests_of(item)
        else:
            yield item


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archipel", required=True, help="the binary to test")
    parser.add_argument("--report", help="write the counts to this JSON file")
    parser.add_argument("patterns", nargs="*")
    options = parser.parse_args()
    gateway.binary = pathlib.Path(options.archipel).resolve()
    found = list(tests_of(unittest.TestLoader().discover(str(HERE), pattern="test_*.py", top_level_dir=str(HERE))))
    chosen = [t for t in found if not options.patterns or any(p in t.id() for p in options.patterns)]
    result = Result()
    unittest.TestSuite(chosen).run(result)
    counts = {"passed": result.passed, "failed": result.bad, "skipped": len(result.skipped)}
    print(f"end to end: {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped", flush=True)
    if options.report:
        pathlib.Path(options.report).write_text(json.dumps(counts))
    sys.exit(1 if result.bad else 0)


if __name__ == "__main__":
    main()
