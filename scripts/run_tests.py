#!/usr/bin/env python3
"""Runs every test of a build directory and prints the sum. `./dev test` calls it; so may you, after a build.

Order: the checks of scripts/ (each with its self-test), whether the mutants still apply, the unit test binaries beside the protocol's model, the end-to-end tests. A failing test's output is shown.
The last line is `N passed, N failed, N skipped`; the exit code is 1 if anything failed, also if nothing ran at all.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parent.parent
UNIT_SECONDS_MAX = 420  # per binary; the slowest takes well under a minute on two idle cores
E2E_SECONDS_MAX = 1500
MODEL_SECONDS_MAX = 600
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

    def add(self, passed=0, failed=0, skipped=0):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped


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
                          ("scripts/s3_tests.py", (["--self-test"],)), ("scripts/edge_attacks.py", ([],)), ("tests/sim/mutants.py", (["--check"],))):
        for arguments in forms:
            name = " ".join([script, *arguments])
            if patterns and not any(p in name for p in patterns):
                continue
            code, output = run([sys.executable, script, *arguments], 60, env)
            if code == 0:
                total.add(passed=1)
            else:
                total.add(failed=1)
                show(name, output)


def count_gtest(report):
    """(passed, failed, skipped, names that failed) of a gtest JSON report."""
    passed = failed = skipped = 0
    names = []
    for suite in report.get("testsuites", []):
        for test in suite.get("testsuite", []):
            if test.get("status") == "NOTRUN":
                continue
            if test.get("failures"):
                failed += 1
                names.append(f"{suite['name']}.{test['name']}")
            elif test.get("result") == "SKIPPED":
                skipped += 1
            else:
                passed += 1
    return passed, failed, skipped, names


def memory_disk():
    """Where files of unit tests lie: in memory, where that has room, for tests sync much and do not ask how long a disk takes for it. Or None."""
    try:
        room = os.statvfs(MEMORY_DISK)
    except OSError:
        return None
    free = room.f_bavail * room.f_frsize
    return MEMORY_DISK if free >= MEMORY_DISK_BYTES_MIN and os.access(MEMORY_DISK, os.W_OK) else None


def run_unit(binary, patterns, env, scratch, files):
    """Runs one gtest binary, its report in `scratch`, its files in `files`. Returns (name, passed, failed, skipped, output to show or '', seconds)."""
    report = scratch / (binary.name + ".json")
    report.unlink(missing_ok=True)
    temporary = files / (binary.name + ".tmp")
    temporary.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    command = [str(binary), f"--gtest_output=json:{report}", "--gtest_brief=0"]
    if patterns:
        command.append("--gtest_filter=" + ":".join(f"*{p}*" for p in patterns))
    code, output = run(command, UNIT_SECONDS_MAX, dict(env, TEST_TMPDIR=str(temporary) + "/"))
    seconds = time.monotonic() - started
    try:
        passed, failed, skipped, names = count_gtest(json.loads(report.read_text()))
    except (OSError, ValueError):
        passed, failed, skipped, names = 0, 0, 0, []
    if code is None:
        return binary.name, passed, failed + 1, skipped, output + f"\nnot finished after {UNIT_SECONDS_MAX} s\n", seconds
    if code != 0 and failed == 0:
        failed = 1  # it crashed, leaked, or a sanitizer stopped it
    if failed:
        return binary.name, passed, failed, skipped, output + "\nfailed: " + ", ".join(names or [f"exit code {code}"]), seconds
    return binary.name, passed, failed, skipped, "", seconds


def run_units(total, build, patterns, env):
    binaries = sorted(p for p in build.glob("*_test") if p.is_file() and os.access(p, os.X_OK))
    if not binaries:
        print(f"no unit tests in {build}: build them first")
        total.add(failed=1)
        return
    scratch = build / "results"
    scratch.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="archipel-tests-", dir=memory_disk() or scratch) as files, \
            ThreadPoolExecutor(max(1, len(os.sched_getaffinity(0)))) as pool:
        for name, passed, failed, skipped, output, seconds in pool.map(lambda b: run_unit(b, patterns, env, scratch, pathlib.Path(files)), binaries):
            total.add(passed, failed, skipped)
            if passed or failed or skipped:
                print(f"{name}: {passed} passed, {failed} failed, {skipped} skipped in {seconds:.1f} s", flush=True)
            if output:
                show(name, output)


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
    total.add(counts["passed"], counts["failed"], counts["skipped"])
    if counts["failed"]:
        show("the protocol's model", output)
    elif counts["passed"]:
        print(output.strip().splitlines()[-1], flush=True)


def run_e2e(total, build, patterns, env):
    binary = build / "archipel"
    if not binary.exists():
        print(f"{binary} does not exist: the end-to-end tests cannot run")
        total.add(failed=1)
        return
    report = build / "results" / "e2e.json"
    report.parent.mkdir(exist_ok=True)
    report.unlink(missing_ok=True)
    command = [sys.executable, "tests/e2e/run.py", "--archipel", str(binary), "--report", str(report), *patterns]
    try:
        code = subprocess.run(command, env=env, cwd=ROOT, timeout=E2E_SECONDS_MAX).returncode
    except subprocess.TimeoutExpired:
        code = None
        print(f"the end-to-end tests did not finish in {E2E_SECONDS_MAX} s")
    try:
        counts = json.loads(report.read_text())
    except (OSError, ValueError):
        counts = {"passed": 0, "failed": 1, "skipped": 0}
    if code != 0 and not counts["failed"]:
        counts["failed"] = 1
    total.add(counts["passed"], counts["failed"], counts["skipped"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/test", help="build directory (default build/test)")
    parser.add_argument("patterns", nargs="*", help="only tests whose name contains one of these")
    options = parser.parse_args()
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
        run_units(total, build, options.patterns, env)
        model.result()
    total.add(modelled.passed, modelled.failed, modelled.skipped)
    run_e2e(total, build, options.patterns, env)
    if total.passed + total.failed + total.skipped == 0:
        print("nothing ran: no test matches " + " ".join(options.patterns))
        total.add(failed=1)
    print(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped", flush=True)
    sys.exit(1 if total.failed else 0)


if __name__ == "__main__":
    main()
