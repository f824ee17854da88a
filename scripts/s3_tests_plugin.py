"""A pytest plugin that scripts/s3_tests.py loads beside the suite, which stays as upstream has it: a bound in time for each test, and one
JSON line for each test that has ended, so that nothing is lost when a process or the server dies.

Environment: S3_TESTS_RESULTS is the file to append to, S3_TESTS_SECONDS_MAX the bound for set-up, call and teardown together.
"""
import json
import os
import signal

import pytest

TEXT_MAX = 2000  # of an error's text


class TimeUp(BaseException):
    """Not an Exception, so that no `except Exception` of a test swallows it."""


_rows = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    seconds = int(os.environ["S3_TESTS_SECONDS_MAX"])

    def up(_signal, _frame):
        signal.alarm(20)  # a teardown gets its own, short time
        raise TimeUp(f"not finished after {seconds} s")

    _rows[item.nodeid] = {"test": item.nodeid, "outcome": "passed", "seconds": 0.0, "marks": sorted({m.name for m in item.iter_markers()}),
                          "phase": "", "error": "", "trace": ""}
    previous = signal.signal(signal.SIGALRM, up)
    signal.alarm(seconds)
    try:
        return (yield)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
        with open(os.environ["S3_TESTS_RESULTS"], "a", encoding="utf-8") as out:
            out.write(json.dumps(_rows.pop(item.nodeid)) + "\n")


def pytest_runtest_logreport(report):
    row = _rows.get(report.nodeid)
    if row is None:
        return
    row["seconds"] = round(row["seconds"] + report.duration, 3)
    if report.skipped:
        row["outcome"] = "skipped"
        row["error"] = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)[:TEXT_MAX]
    elif report.failed and row["outcome"] != "failed":  # the first failure is the one that says most
        crash = getattr(report.longrepr, "reprcrash", None)
        text = str(report.longrepr)
        row["outcome"], row["phase"] = "failed", report.when
        row["error"] = (crash.message if crash else text)[:TEXT_MAX]
        row["trace"] = text[-TEXT_MAX:]
