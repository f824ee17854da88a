#!/usr/bin/env python3
"""Runs every test of a build directory and prints the sum. `./dev test` calls it; so may you, after a build.

Order: the checks of scripts/ (each with its self-test), whether the mutants still apply, the unit test binaries beside the protocol's model, the end-to-end tests. A failing test's output is shown.
At the end every failure is told again, shortly, so that the last lines of a long run say what is wrong with it. The last one is `N passed, N failed, N skipped`; the exit code
is 1 if anything failed, also if nothing ran at all.

If no more than --retry tests failed in all (2; 0: none is tried again), each is run once more, alone: what then passes is told as `flaky`, with its first failure, and counts as passed. It is
no way to live with such a test: somebody has to mend it, or what it tests. A fault is never tried again: what a sanitizer or a CHECK says, a property with a
counterexample (which the next seed would hide), a process that died, wrong or lost bytes (tests/e2e/run.py says which tests those are).
"""
import argparse
import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parent.parent
UNIT_SECONDS_MAX = 900  # per binary; the slowest takes well under a minute on two idle cores
E2E_SECONDS_MAX = 3000
MODEL_SECONDS_MAX = 900
RETRIES = 2
SUMMARY_LINES_MAX, LINE_CHARACTERS_MAX = 14, 400  # of one failure, when all are told again
# Where what is wrong begins, in the output of a process that died.
FAULT = re.compile(r"Sanitizer|runtime error:|CHECK\(.*\) failed|terminate called")
# How a property fails (rapidcheck).
PROPERTY = re.compile(r"Falsifiable after|Gave up after|Using configuration: ")
MEMORY_DISK = pathlib.Path("/dev/shm")
MEMORY_DISK_BYTES_MIN = 4 << 30  # free there; all unit tests together take well under one GiB

SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1:abort_on_error=0:exitcode=99",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1:exitcode=99",
}


class Sum:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures, self.flaky = [], []  # (name, lines)

    def add(self, passed=0, failed=0, skipped=0):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped

    def fail(self, name, lines, count=1):
        self.failed += count
        self.failures.append((name, shortened(lines)))

    def tell(self):
        for word, which in (("flaky", self.flaky), ("FAIL", self.failures)):
            for name, lines in which:
                print(f"{word}  {name}")
                for line in lines:
                    print(f"    {line}")
        if self.flaky:
            print(f"{len(self.flaky)} FLAKY: failed as told above, passed when run alone; to be mended")


def shortened(lines):
    """Where there are too many, the first ones and the last two; from where a fault is named, if one is."""
    lines = [line.rstrip()[:LINE_CHARACTERS_MAX] for line in lines if line.strip()]
    first = next((i for i, line in enumerate(lines) if FAULT.search(line)), None)
    if first is not None:
        return lines[first:first + SUMMARY_LINES_MAX]
    return lines if len(lines) <= SUMMARY_LINES_MAX else [*lines[:SUMMARY_LINES_MAX - 3], "…", *lines[-2:]]


def run(command, seconds, env, **more):
    """Returns (exit code or None after a timeout, output)."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, env=env, cwd=ROOT,
                              errors="replace", **more)
        return done.returncode, done.stdout
    except subprocess.TimeoutExpired as expired:
        text = expired.stdout or ""
        return None, text if isinstance(text, str) else text.decode(errors="replace")


def show(name, output):
    print(f"--- {name} failed; its output:")
    print(output.rstrip()[-20000:])
    print(f"--- end of {name}", flush=True)


def run_checks(total, patterns, env):
    for script, forms in (("scripts/check_layers.py", (["--self-test"], [])), ("scripts/check_coroutines.py", (["--self-test"], [])),
                          ("scripts/run_tests.py", (["--self-test"],)), ("scripts/s3_tests.py", (["--self-test"],)), ("scripts/edge_attacks.py", ([],)), ("tests/sim/mutants.py", (["--check"],)), ("tests/e2e/mutants.py", (["--check"],))):
        for arguments in forms:
            name = " ".join([script, *arguments])
            if patterns and not any(p in name for p in patterns):
                continue
            code, output = run([sys.executable, script, *arguments], 60, env)
            if code == 0:
                total.add(passed=1)
            else:
                total.fail(name, output.splitlines()[-SUMMARY_LINES_MAX:])
                show(name, output)


def count_gtest(report):
    """(passed, skipped, what failed: {name: text}) of a gtest JSON report."""
    passed = skipped = 0
    failures = {}
    for suite in report.get("testsuites", []):
        for test in suite.get("testsuite", []):
            if test.get("status") == "NOTRUN":
                continue
            if test.get("failures"):
                failures[f"{suite['name']}.{test['name']}"] = "\n".join(f["failure"] for f in test["failures"])
            elif test.get("result") == "SKIPPED":
                skipped += 1
            else:
                passed += 1
    return passed, skipped, failures


def memory_disk():
    """Where files of unit tests lie: in memory, where that has room, for tests sync much and do not ask how long a disk takes for it. Or None."""
    try:
        room = os.statvfs(MEMORY_DISK)
    except OSError:
        return None
    free = room.f_bavail * room.f_frsize
    return MEMORY_DISK if free >= MEMORY_DISK_BYTES_MIN and os.access(MEMORY_DISK, os.W_OK) else None


def run_unit(binary, chosen, env, scratch, files):
    """Runs one gtest binary (`chosen`: its filter, or None), its report in `scratch`, its files in `files`. Returns (passed, skipped, failures, output, seconds);
    failures are {name: (text, whether it may be tried again)}, without output if there are none."""
    report = scratch / (binary.name + ".json")
    report.unlink(missing_ok=True)
    temporary = files / (binary.name + ".tmp")
    temporary.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    command = [str(binary), f"--gtest_output=json:{report}", "--gtest_brief=0", *([f"--gtest_filter={chosen}"] if chosen else [])]
    code, output = run(command, UNIT_SECONDS_MAX, dict(env, TEST_TMPDIR=str(temporary) + "/"))
    seconds = time.monotonic() - started
    try:
        passed, skipped, failures = count_gtest(json.loads(report.read_text()))
    except (OSError, ValueError):
        passed, skipped, failures = 0, 0, {}
    fault = FAULT.search(output) is not None
    failures = {name: (text, not fault and not PROPERTY.search(text)) for name, text in failures.items()}
    if code is None:
        failures[running(output) or binary.name] = (f"{binary.name} not finished after {UNIT_SECONDS_MAX} s\n{tail(output)}", True)
    elif code != 0 and not failures:  # it crashed, leaked, or a sanitizer stopped it
        failures[running(output) or binary.name] = (f"{binary.name} ended with exit code {code}\n{tail(output)}", False)
    return passed, skipped, failures, output if failures else "", seconds


def running(output):
    """The test that had begun and not ended, or None."""
    last = re.findall(r"(?m)^\[ (?:RUN     |      OK|  FAILED |  SKIPPED) \] (\S+?)(?: \(.*)?$", output)
    begun = re.findall(r"(?m)^\[ RUN      \] (\S+)$", output)
    return begun[-1] if begun and last and last[-1] == begun[-1] and not re.search(rf"(?m)^\[ +(OK|FAILED|SKIPPED) +\] {re.escape(begun[-1])} ", output) else None


def tail(output):
    """Its last lines; from the first fault on, if it tells of one."""
    lines = output.splitlines()
    first = next((i for i, line in enumerate(lines) if FAULT.search(line)), None)
    return "\n".join(lines[-SUMMARY_LINES_MAX:] if first is None else lines[first:first + SUMMARY_LINES_MAX])


def run_units(total, build, patterns, env, retries):
    """Returns how many failed tests were run again."""
    binaries = sorted(p for p in build.glob("*_test") if p.is_file() and os.access(p, os.X_OK))
    if not binaries:
        total.fail("unit tests", [f"no unit tests in {build}: build them first"])
        return 0
    scratch = build / "results"
    scratch.mkdir(exist_ok=True)
    chosen = ":".join(f"*{p}*" for p in patterns)
    failed = {}
    with tempfile.TemporaryDirectory(prefix="archipel-tests-", dir=memory_disk() or scratch) as files, \
            ThreadPoolExecutor(max(1, len(os.sched_getaffinity(0)))) as pool:
        results = pool.map(lambda b: run_unit(b, chosen, env, scratch, pathlib.Path(files)), binaries)
        for binary, (passed, skipped, failures, output, seconds) in zip(binaries, results):
            total.add(passed, 0, skipped)
            if passed or failures or skipped:
                print(f"{binary.name}: {passed} passed, {len(failures)} failed, {skipped} skipped in {seconds:.1f} s", flush=True)
            if failures:
                show(binary.name, output + "\nfailed: " + ", ".join(failures))
            failed.update({(binary, name): failure for name, failure in failures.items()})
        tried = 0
        if len(failed) <= retries and all(may_again for _, may_again in failed.values()):
            for binary, name in list(failed):
                tried += 1
                passed, _, failures, output, _ = run_unit(binary, name, env, scratch, pathlib.Path(files))
                if passed and not failures:
                    total.add(passed=1)
                    total.flaky.append((name, shortened(failed.pop((binary, name))[0].splitlines())))
                else:
                    show(f"{name}, once more and alone,", output)
    for (binary, name), (text, _) in failed.items():
        total.fail(name if name == binary.name else f"{binary.name}: {name}", text.splitlines())
    return tried


def run_model(total, build, patterns, env):
    """The protocol's model: every rule holds, every broken rule is found out."""
    report = build / "results" / "model.json"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    code, output = run([sys.executable, "tests/model/test_model.py", "--report", str(report), *patterns], MODEL_SECONDS_MAX, env)
    try:
        counts = json.loads(report.read_text())
    except (OSError, ValueError):
        counts = {"passed": 0, "failed": 1, "skipped": 0}
    if code != 0 and not counts["failed"]:
        counts["failed"] = 1
    total.add(counts["passed"], 0, counts["skipped"])
    if counts["failed"]:
        show("the protocol's model", output)
        total.fail("the protocol's model", output.splitlines()[-SUMMARY_LINES_MAX:], counts["failed"])
    elif counts["passed"]:
        print(output.strip().splitlines()[-1], flush=True)


def run_e2e(total, build, patterns, env, retries):
    binary = build / "archipel"
    if not binary.exists():
        total.fail("end-to-end tests", [f"{binary} does not exist: they cannot run"])
        return
    report = build / "results" / "e2e.json"
    report.parent.mkdir(exist_ok=True)
    report.unlink(missing_ok=True)
    command = [sys.executable, "tests/e2e/run.py", "--archipel", str(binary), "--report", str(report), "--retry", str(retries), *patterns]
    try:
        code = subprocess.run(command, env=env, cwd=ROOT, timeout=E2E_SECONDS_MAX).returncode
    except subprocess.TimeoutExpired:
        code = None
    try:
        counts = json.loads(report.read_text())
    except (OSError, ValueError):
        why = f"did not finish in {E2E_SECONDS_MAX} s" if code is None else f"ended with exit code {code} and no report"
        total.fail("end-to-end tests", [why])
        return
    total.add(counts["passed"], counts["failed"], counts["skipped"])
    # run.py has made them short.
    total.failures += [(f["test"], f["summary"]) for f in counts["failures"]]
    total.flaky += [(f["test"], f["summary"]) for f in counts["flaky"]]
    if code != 0 and not counts["failed"]:
        total.fail("end-to-end tests", [f"run.py ended with exit code {code}"])


def self_test():
    """What decides whether a failure is believed, and what is told of it."""
    falsified = "x_test.cc:9\nFalsifiable after 3 tests and 1 shrink\nUsing configuration: seed=1"
    report = {"testsuites": [{"name": "A", "testsuite": [{"name": "B", "failures": [{"failure": "x_test.cc:1\nwrong"}]}, {"name": "C"}, {"name": "D", "result": "SKIPPED"},
                                                         {"name": "E", "failures": [{"failure": falsified}]}, {"name": "F", "status": "NOTRUN"}]}]}
    assert count_gtest(report) == (1, 1, {"A.B": "x_test.cc:1\nwrong", "A.E": falsified})
    assert PROPERTY.search(falsified) and not PROPERTY.search("wrong")
    assert running("[ RUN      ] A.B\n[       OK ] A.B (0 ms)\n[ RUN      ] A.C\nboom\n") == "A.C"
    assert running("[ RUN      ] A.B\n[       OK ] A.B (0 ms)\n") is None and running("") is None
    many = [f"line {n}" for n in range(100)]
    assert shortened(many)[0] == "line 0" and shortened(many)[-1] == "line 99" and len(shortened(many)) == SUMMARY_LINES_MAX
    many[50] = "==1==ERROR: AddressSanitizer: use after free"
    assert shortened(many)[0] == many[50] and tail("\n".join(many)).startswith(many[50])

    with tempfile.TemporaryDirectory() as directory:
        build = pathlib.Path(directory)
        fake = build / "fake_test"
        fake.write_text(FAKE)
        fake.chmod(0o755)

        def outcome(how, retries=2):
            (build / "ran").unlink(missing_ok=True)
            total = Sum()
            with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
                tried = run_units(total, build, [], dict(os.environ, FAKE=how), retries)
            return tried, total.passed, total.failed, [n for n, _ in total.flaky], [n for n, _ in total.failures]

        assert outcome("once") == (1, 2, 0, ["S.T"], []), outcome("once")
        assert outcome("once", 0) == (0, 1, 1, [], ["fake_test: S.T"]), outcome("once", 0)
        assert outcome("always") == (1, 1, 1, [], ["fake_test: S.T"]), outcome("always")
        assert outcome("property") == (0, 1, 1, [], ["fake_test: S.T"]), outcome("property")
        assert outcome("dies") == (0, 0, 1, [], ["fake_test: S.T"]), outcome("dies")
    print("the runner tells faults from want of time")


# Fails as FAKE says: `once`, `always`, as a `property`, or `dies`.
FAKE = """#!/usr/bin/env python3
import json, os, pathlib, sys
how, ran = os.environ["FAKE"], pathlib.Path(__file__).parent / "ran"
print("[ RUN      ] S.T")
if how == "dies":
    sys.exit("AddressSanitizer: boom")
alone = any(a.startswith("--gtest_filter=S.T") for a in sys.argv)
bad = how in ("always", "property") or not ran.exists()
ran.touch()
text = "Falsifiable after 1 test" if how == "property" else "wrong"
tests = [{"name": "T", **({"failures": [{"failure": text}]} if bad else {})}] + ([] if alone else [{"name": "U"}])
report = next(a.partition("json:")[2] for a in sys.argv if a.startswith("--gtest_output"))
pathlib.Path(report).write_text(json.dumps({"testsuites": [{"name": "S", "testsuite": tests}]}))
sys.exit(bad)
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/test", help="build directory (default build/test)")
    parser.add_argument("--retry", type=int, default=RETRIES, metavar="N", help=f"run up to N failed tests once more, alone (default {RETRIES})")
    parser.add_argument("--self-test", action="store_true", help="test this script")
    parser.add_argument("patterns", nargs="*", help="only tests whose name contains one of these")
    options = parser.parse_args()
    if options.self_test:
        return self_test()
    build = (ROOT / options.build).resolve()
    env = dict(os.environ)
    for name, value in SANITIZERS.items():
        env.setdefault(name, value)
    if pathlib.Path("/usr/bin/llvm-symbolizer-19").exists():
        env.setdefault("ASAN_SYMBOLIZER_PATH", "/usr/bin/llvm-symbolizer-19")
    total = Sum()
    run_checks(total, options.patterns, env)
    modelled = Sum()
    with ThreadPoolExecutor(1) as beside:  # Python on one core, beside the unit tests
        model = beside.submit(run_model, modelled, build, options.patterns, env)
        tried = run_units(total, build, options.patterns, env, options.retry)
        model.result()
    total.add(modelled.passed, modelled.failed, modelled.skipped)
    total.failures += modelled.failures
    # What is over the limit already is not run again either.
    run_e2e(total, build, options.patterns, env, 0 if total.failed else options.retry - tried)
    if total.passed + total.failed + total.skipped == 0:
        total.fail("nothing ran", ["no test matches " + " ".join(options.patterns)])
    total.tell()
    print(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped", flush=True)
    sys.exit(1 if total.failed else 0)


if __name__ == "__main__":
    main()
