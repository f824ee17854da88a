#!/usr/bin/env python3
"""Runs the end-to-end tests (test_*.py beside this file) against an `archipel` binary.

Example: tests/e2e/run.py --archipel build/test/archipel test_durable
A pattern selects tests whose full name (file.Class.test) contains it. Skips are printed with their reason. Classes run side by side, each in a
process of its own, three for every two cores: they share nothing but the binary.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest
from concurrent.futures import ThreadPoolExecutor, as_completed

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


def counts_of(report):
    try:
        return json.loads(report.read_text())
    except (OSError, ValueError):
        return {"passed": 0, "failed": 1, "skipped": 0}  # the process died


def longest_first(classes):
    """Those that take minutes, mostly waiting, begin first: what is left at the end is short."""
    slow = ["test_clients.AwsCliOfDebian", "test_recipes.Recipes", "test_operator.Operator", "test_hanging.Hanging", "test_slow.ManySlowUploads",
            "test_clients_loss.ClientsAndLoss", "test_trouble.Trouble", "test_collection.Collection"]
    return sorted(classes, key=lambda name: slow.index(name) if name in slow else len(slow))


def run_class(name, patterns, binary, report):
    """All chosen tests of one class in a process; returns what it printed and its counts."""
    command = [sys.executable, __file__, "--archipel", str(binary), "--report", str(report), "--within", name, *patterns]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace", preexec_fn=gateway.end_with_parent,
                          env=dict(os.environ, ARCHIPEL_E2E_RUN=str(os.getpid())))
    counts = counts_of(report)
    if done.returncode != 0 and not counts["failed"]:
        counts["failed"] = 1
    return done.stdout, counts


def run_side_by_side(classes, patterns, binary, jobs):
    total = {"passed": 0, "failed": 0, "skipped": 0}
    with tempfile.TemporaryDirectory(prefix="archipel-e2e-reports-") as scratch, ThreadPoolExecutor(jobs) as pool:
        under_way = [pool.submit(run_class, name, patterns, binary, pathlib.Path(scratch) / f"{i}.json") for i, name in enumerate(longest_first(classes))]
        for one in as_completed(under_way):
            output, counts = one.result()
            print(output, end="", flush=True)
            for what in total:
                total[what] += counts[what]
    return total


def run_here(tests):
    result = Result()
    unittest.TestSuite(tests).run(result)
    return {"passed": result.passed, "failed": result.bad, "skipped": len(result.skipped)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archipel", required=True, help="the binary to test")
    parser.add_argument("--report", help="write the counts to this JSON file")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)) * 3 // 2,
                        help="classes side by side (default: three for two cores, since many mostly wait)")
    parser.add_argument("--within", help=argparse.SUPPRESS)
    parser.add_argument("patterns", nargs="*")
    options = parser.parse_args()
    gateway.binary = pathlib.Path(options.archipel).resolve()
    found = list(tests_of(unittest.TestLoader().discover(str(HERE), pattern="test_*.py", top_level_dir=str(HERE))))
    chosen = [t for t in found if not options.patterns or any(p in t.id() for p in options.patterns)]
    classes = list(dict.fromkeys(t.id().rpartition(".")[0] for t in chosen))
    if options.within:
        counts = run_here([t for t in chosen if t.id().rpartition(".")[0] == options.within])
    elif len(classes) > 1 and options.jobs > 1:
        counts = run_side_by_side(classes, options.patterns, gateway.binary, options.jobs)
    else:
        counts = run_here(chosen)
    if not options.within:
        print(f"end to end: {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped", flush=True)
    if options.report:
        pathlib.Path(options.report).write_text(json.dumps(counts))
    sys.exit(1 if counts["failed"] else 0)


if __name__ == "__main__":
    main()
