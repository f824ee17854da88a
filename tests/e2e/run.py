#!/usr/bin/env python3
"""Runs the end-to-end tests (test_*.py beside this file) against an `archipel` binary.

Example: tests/e2e/run.py --archipel build/test/archipel test_durable
A pattern selects tests whose full name (file.Class.test) contains it. Skips are printed with their reason. Classes run side by side, each in a
process of its own, three for every two cores: they share nothing but the binary.

--retry N: if no more than N tests failed in all, each is run once more, alone, when the others are done. One that then passes is `flaky`: it counts as passed, and
is told loudly, with its first failure. Never run again are: a process that a sanitizer, a check of its own or a signal ended, and an assertion of a test
that says `once_is_enough` (lost and wrong bytes); what such a test could not do in time is.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import traceback
import unittest
from concurrent.futures import ThreadPoolExecutor, as_completed

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import base  # noqa: E402  (needs the path)
import gateway  # noqa: E402

MESSAGE_LINES_MAX, LOG_LINES_MAX, LINE_CHARACTERS_MAX = 7, 6, 400  # of one failure, in the summary
OUT_OF_TIME = (base.TimeUp, base.NotInTime, gateway.NotReady, TimeoutError, subprocess.TimeoutExpired)
# What a process says that did what it never may.
FAULT = re.compile(r"Sanitizer|runtime error:|CHECK\(.*\) failed|terminate called|exit code (?:-\d+|99|13\d)\b")


class Result(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.passed, self.started, self.failed_tests = 0, 0.0, []

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
        self.line("FAIL", test)
        text, logs = self._exc_info_to_string(error, test), log_ends()
        print(text + "".join(f"{line}\n" for line in logs), flush=True)
        self.failed_tests.append({"test": test.id(), "summary": summary(error, logs), "again": may_run_again(test, error, text + "\n".join(logs))})

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


def short(lines, most):
    """The first of many lines, and the last one."""
    lines = [line[:LINE_CHARACTERS_MAX] for line in lines if line.strip()]
    return lines if len(lines) <= most else [*lines[:most - 2], "…", lines[-1]]


def log_ends():
    """The last that the processes under test said, which are the test's own and still there."""
    out = []
    for speaker in gateway.speakers[-3:]:
        try:
            said = [line for line in speaker.stderr().splitlines() if line.strip()][-LOG_LINES_MAX:]
        except OSError:
            continue
        out += [f"  log> {line[:LINE_CHARACTERS_MAX]}" for line in said]
    return out[-2 * LOG_LINES_MAX:]


def summary(error, logs):
    """Lines that say where, what, and what the process under test said last."""
    kind, value, trace = error
    frames = [f for f in traceback.extract_tb(trace) if pathlib.Path(f.filename).parent == HERE]
    where = [f"{pathlib.Path(f.filename).name}:{f.lineno}: {f.line}" for f in frames[-2:]]
    return [*where, *short(f"{kind.__name__}: {value}".splitlines(), MESSAGE_LINES_MAX), *logs[-LOG_LINES_MAX:]]


def may_run_again(test, error, text):
    """Whether a second try may be believed."""
    if FAULT.search(text):
        return False
    case = getattr(test, "test_case", test)  # of a part of a test; of a class as a whole there is none
    return issubclass(error[0], OUT_OF_TIME) or isinstance(case, base.Case) and not case.once_is_enough


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
        return None  # the process died


def add(total, counts):
    for what in ("passed", "failed", "skipped"):
        total[what] += counts[what]
    total["failures"] += counts["failures"]


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
    died = counts is None
    counts = counts or {"passed": 0, "failed": 0, "skipped": 0, "failures": []}
    if died or (done.returncode != 0 and not counts["failed"]):
        counts["failed"] = 1
        said = [f"ended with exit code {done.returncode}", *done.stdout.splitlines()[-MESSAGE_LINES_MAX:]]
        counts["failures"] = [{"test": name, "summary": [line[:LINE_CHARACTERS_MAX] for line in said], "again": False}]
    return done.stdout, counts


def run_side_by_side(classes, patterns, binary, jobs):
    total = {"passed": 0, "failed": 0, "skipped": 0, "failures": []}
    with tempfile.TemporaryDirectory(prefix="archipel-e2e-reports-") as scratch, ThreadPoolExecutor(jobs) as pool:
        under_way = [pool.submit(run_class, name, patterns, binary, pathlib.Path(scratch) / f"{i}.json") for i, name in enumerate(longest_first(classes))]
        for one in as_completed(under_way):
            output, counts = one.result()
            print(output, end="", flush=True)
            add(total, counts)
    return total


def class_and_pattern(test):
    """What to run for a failure of that name: of a test, of a part of one, or of what goes before or after all tests of a class."""
    if whole := re.fullmatch(r"(?:setUp|tearDown)Class \((.*)\)", test):
        return whole[1], whole[1] + "."
    test = test.partition(" ")[0]
    return test.rpartition(".")[0], test


def again(counts, most, binary):
    """Each failed test once more, alone, if they are few and may be; those that pass become `flaky`."""
    counts["flaky"], failed = [], {}
    for failure in counts["failures"]:
        failed.setdefault(class_and_pattern(failure["test"]), []).append(failure)
    if not failed or len(failed) > most or not all(f["again"] for failures in failed.values() for f in failures):
        return
    with tempfile.TemporaryDirectory(prefix="archipel-e2e-reports-") as scratch:
        for (name, pattern), failures in failed.items():
            output, second = run_class(name, [pattern], binary, pathlib.Path(scratch) / "again.json")
            print(f"once more, alone: {output}", end="", flush=True)
            (pathlib.Path(scratch) / "again.json").unlink(missing_ok=True)
            if second["failed"] or not second["passed"]:
                continue
            counts["failed"] -= len(failures)
            counts["passed"] += 0 if failures[0]["test"].startswith("tearDownClass") else second["passed"]
            counts["flaky"] += failures[:1]
            counts["failures"] = [f for f in counts["failures"] if f not in failures]


def tell(word, failures):
    for failure in failures:
        print(f"{word} {failure['test']}")
        for line in failure["summary"]:
            print(f"    {line}")


def run_here(tests):
    result = Result()
    unittest.TestSuite(tests).run(result)
    return {"passed": result.passed, "failed": len(result.failed_tests), "skipped": len(result.skipped), "failures": result.failed_tests}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archipel", required=True, help="the binary to test")
    parser.add_argument("--report", help="write the counts to this JSON file")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)) * 3 // 2,
                        help="classes side by side (default: three for two cores, since many mostly wait)")
    parser.add_argument("--retry", type=int, default=0, metavar="N", help="run up to N failed tests once more, alone (default 0: a failure is a failure)")
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
        again(counts, options.retry, gateway.binary)
        tell("flaky", counts["flaky"])
        tell("FAIL ", counts["failures"])
        print(f"end to end: {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped", flush=True)
    if options.report:
        pathlib.Path(options.report).write_text(json.dumps(counts))
    sys.exit(1 if counts["failed"] else 0)


if __name__ == "__main__":
    main()
