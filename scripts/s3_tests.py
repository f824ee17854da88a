#!/usr/bin/env python3
"""Runs ceph/s3-tests, unpatched, against demo clouds of its own, and writes what came out, test by test.

The suite is a checkout of https://github.com/ceph/s3-tests that you bring (--suite), the Python one that has its requirements (--python).
Each job has a cloud of its own in a fresh directory on a free port, so that tests that run at the same time do not meet.

Example:
  git clone https://github.com/ceph/s3-tests /tmp/s3-tests
  python3 -m venv /tmp/s3-venv && /tmp/s3-venv/bin/pip install -r /tmp/s3-tests/requirements.txt
  ./dev s3-tests --suite /tmp/s3-tests --python /tmp/s3-venv/bin/python            # writes docs/s3-tests.md
  ./dev s3-tests --suite /tmp/s3-tests --python /tmp/s3-venv/bin/python -k multipart  # only looks
"""
import argparse
import collections
import contextlib
import datetime
import json
import os
import pathlib
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
import gateway  # noqa: E402  (needs the path)

FILES = ("s3tests/functional/test_s3.py", "s3tests/functional/test_headers.py")
SELECTION = ("not fails_on_aws and not bucket_logging and not lifecycle_transition and not cloud_transition and not cloud_restore")
REASONS = ROOT / "scripts" / "s3_tests_reasons.toml"
REPORT = ROOT / "docs" / "s3-tests.md"
SECONDS_MAX = 240   # per test; the slowest that passes waits for five debug days of lifecycle
BATCHES = 3         # pytest processes per job: few, since each reads the suite anew, and several, so that jobs end together
WAITING = "delete_marker_expiration|concurrent"  # tests that mostly wait: first, in batches of their own
DEBUG_DAY_S = 4     # what a lifecycle day lasts, [lifecycle] day_seconds and the suite's lc_debug_interval
STARTS_MAX = 5      # of one job's cloud, should it die
REGION = "us-east-1"  # that clients sign for, as the suite's authors do; any is taken

# What the suite needs and a cloud has off by default, section by section.
SETTINGS = {"s3": {"sigv2": "true"}, "lifecycle": {"interval_s": 1, "day_seconds": DEBUG_DAY_S}}

# The first that matches names a test's group.
GROUPS = (
    ("headers of requests", r"^test_headers\.py"), ("object lock", r"object_lock"), ("lifecycle", r"lifecycle"),
    ("multipart", r"multipart|mpu|upload_part"), ("encryption", r"encrypt|sse_|sse-|kms|_enc(\[|_)"), ("POST forms", r"post_object|post_.*form"),
    ("bucket policy", r"policy|public_block|block_public|get_public|tenant"), ("ACLs and ownership", r"acl|ownership|access_bucket|grant"),
    ("versioning", r"version"), ("tagging", r"tag"), ("CORS", r"cors"), ("conditions", r"if_?(match|none|mod|unmod)|conditional|ifmatch|ifn"),
    ("checksums", r"checksum|cksum"), ("listing", r"list|unordered"), ("logging", r"logging"), ("copies", r"copy"),
    ("signatures and anonymous access", r"anon|raw|presign|auth|expire"), ("object attributes", r"attributes"), ("atomic", r"atomic"),
    ("buckets", r"bucket"), ("objects", r"."),
)


class Failure(Exception):
    """One sentence for the user."""


def group_of(test):
    short = test.removeprefix("s3tests/functional/")
    name = short if short.startswith("test_headers") else short.partition("::")[2]
    return next(group for group, pattern in GROUPS if re.search(pattern, name))


# The cloud ----------------------------------------------------------------------------------------------------------------------

class Cloud:
    """A demo with the accounts that the suite wants, and the suite's configuration for it."""

    def __init__(self):
        self.gateway = gateway.Gateway()
        self.starts = 0

    def start(self):
        self.starts += 1
        if self.starts > STARTS_MAX:
            raise Failure(f"the server died {STARTS_MAX} times; its last words: {self.gateway.stderr()[-3000:]}")
        if self.starts == 1:
            self.gateway.start()
            self.gateway.stop()
            path = self.gateway.dir / "archipel.toml"
            path.write_text(with_settings(path.read_text(), SETTINGS))
        self.gateway.start()
        if self.starts == 1:
            self.accounts = {name: self.account(name) for name in ("main", "alt", "tenant", "iam", "iam-root", "iam-alt-root")}
        self.config = self.gateway.home / "s3tests.conf"
        self.config.write_text(self.suite_config())
        return self

    def alive(self):
        return self.gateway.process is not None and self.gateway.process.poll() is None

    def account(self, name):
        ready = self.gateway.ready
        done = subprocess.run([str(gateway.binary), "account", "add", name, "--email", f"{name}@example.com", "--config", str(self.gateway.dir / "archipel.toml"), "--json"],
                              capture_output=True, text=True, timeout=120)
        if done.returncode == 0:
            return dict(json.loads(done.stdout), email=f"{name}@example.com")
        return {"id": "demo", "display_name": "demo", "access_key": ready["access_key"], "secret_key": ready["secret_key"],
                "email": f"{name}@example.com"}

    def suite_config(self):
        host, port = self.gateway.address
        lines = ["[DEFAULT]", f"host = {host}", f"port = {port}", "is_secure = False", "ssl_verify = False", "",
                 "[fixtures]", "bucket prefix = archipel-{random}-", "iam name prefix = s3-tests-", "iam path prefix = /s3-tests/"]
        sections = {"s3 main": "main", "s3 alt": "alt", "s3 tenant": "tenant", "iam": "iam", "iam root": "iam-root",
                    "iam alt root": "iam-alt-root"}
        for section, name in sections.items():
            account = self.accounts[name]
            lines += ["", f"[{section}]", f"display_name = {account['display_name']}", f"user_id = {account['id']}",
                      f"email = {account['email']}", f"access_key = {account['access_key']}", f"secret_key = {account['secret_key']}"]
            if name == "main":
                lines += [f"api_name = {self.gateway.ready['region']}", f"lc_debug_interval = {DEBUG_DAY_S}"]
            if name == "tenant":
                lines += ["tenant ="]  # bucket names are one name space here: no tenant stands before them
        return "\n".join(lines) + "\n"

    def close(self):
        with contextlib.suppress(AssertionError):
            self.gateway.stop()
        self.gateway.destroy()


def with_settings(text, sections):
    """`text`, an archipel.toml, with these settings in it: into the section if it is there, else as a new one."""
    text = "\n" + text
    for section, settings in sections.items():
        lines = "".join(f"{key} = {value}\n" for key, value in settings.items())
        if f"\n[{section}]\n" in text:
            text = text.replace(f"\n[{section}]\n", f"\n[{section}]\n{lines}", 1)
        else:
            text = text.replace("\n[[island]]\n", f"\n[{section}]\n{lines}\n[[island]]\n", 1)
    return text[1:]


# The suite ----------------------------------------------------------------------------------------------------------------------

class Suite:
    def __init__(self, options):
        self.directory, self.python = pathlib.Path(options.suite).resolve(), options.python
        if not (self.directory / FILES[0]).exists():
            raise Failure(f"{self.directory} holds no {FILES[0]}: give --suite a checkout of https://github.com/ceph/s3-tests")
        self.seconds_max = options.seconds

    def git(self, *arguments):
        done = subprocess.run(["git", "-C", str(self.directory), *arguments], capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    def commit(self):
        """The commit and its date; refuses a checkout that was edited."""
        if self.git("status", "--porcelain", "--untracked-files=no"):
            raise Failure(f"{self.directory} has local changes: the report is about the suite as upstream has it (git stash them)")
        return self.git("log", "-1", "--format=%H"), self.git("log", "-1", "--format=%cs")

    def pytest(self, config, arguments, results, output):
        env = {n: v for n, v in os.environ.items() if not n.startswith("AWS_")}
        env.update(S3TEST_CONF=str(config), PYTHONPATH=str(ROOT / "scripts"), S3_TESTS_RESULTS=str(results),
                   S3_TESTS_SECONDS_MAX=str(self.seconds_max), AWS_DEFAULT_REGION=REGION, AWS_EC2_METADATA_DISABLED="true",
                   AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull, PYTHONDONTWRITEBYTECODE="1")
        command = [self.python, "-m", "pytest", "-p", "no:cacheprovider", "-p", "s3_tests_plugin", "-q", *arguments]
        with open(output, "ab") as out:
            return subprocess.run(command, cwd=self.directory, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                  preexec_fn=gateway.end_with_parent).returncode

    def collect(self, scratch, keyword):
        scratch.mkdir()
        config, output = scratch / "collect.conf", scratch / "collect.log"
        shutil.copy(self.directory / "s3tests.conf.SAMPLE", config)
        code = self.pytest(config, ["--collect-only", "-m", SELECTION, *(["-k", keyword] if keyword else []), *FILES], scratch / "none", output)
        tests = [line for line in output.read_text().splitlines() if line.startswith("s3tests/") and "::" in line]
        if code not in (0, 5) or not tests:
            raise Failure(f"pytest collected nothing; its output:\n{output.read_text()[-3000:]}")
        return tests


def batches(tests, jobs):
    """Those that wait go first: the others fill the time."""
    waiting = [t for t in tests if re.search(WAITING, t)]
    quick = [t for t in tests if not re.search(WAITING, t)]
    size = -(-len(quick) // (jobs * BATCHES)) or 1
    return [[t] for t in waiting] + [quick[i:i + size] for i in range(0, len(quick), size)]


def read_rows(path):
    if not path.exists():
        return {}
    rows = [json.loads(line) for line in path.read_text().splitlines() if line]
    return {row["test"]: row for row in rows}


def run_job(suite, work, scratch, number, failures):
    """Takes batches until none is left. A batch that ends early is continued behind the test that ended it."""
    results, output = scratch / f"job{number}.jsonl", scratch / f"job{number}.log"
    cloud = Cloud()
    try:
        cloud.start()
        while True:
            try:
                left = work.get_nowait()
            except queue.Empty:
                return
            while left:
                suite.pytest(cloud.config, left, results, output)
                done = read_rows(results)
                died = not cloud.alive()
                if died:
                    (scratch / f"job{number}-death{cloud.starts}.stderr").write_text(cloud.gateway.stderr())
                    cloud.gateway.process = None
                    cloud.start()
                rest = [t for t in left if t not in done]
                if rest and (died or len(rest) == len(left)):
                    with open(results, "a") as out:
                        why = "the server died during this test" if died else "pytest ended without a result"
                        out.write(json.dumps({"test": rest[0], "outcome": "failed", "seconds": 0, "marks": [], "phase": "call", "error": why,
                                              "trace": ""}) + "\n")
                    rest = rest[1:]
                left = rest
                print(f"\r{len(done)} done in job {number}, {work.qsize()} batches wait   ", end="", file=sys.stderr, flush=True)
    except Exception as error:  # noqa: BLE001  (reported by the main thread)
        failures.append(error)
    finally:
        shutil.copytree(cloud.gateway.logs, scratch / f"logs{number}", dirs_exist_ok=True)
        cloud.close()


def run(suite, tests, jobs, scratch):
    work, failures = queue.Queue(), []
    for batch in batches(tests, jobs):
        work.put(batch)
    threads = [threading.Thread(target=run_job, args=(suite, work, scratch, n, failures)) for n in range(min(jobs, work.qsize()))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(file=sys.stderr)
    rows = {}
    for path in sorted(scratch.glob("job*.jsonl")):
        rows.update(read_rows(path))
    if failures and not rows:
        raise failures[0]
    for error in failures:
        print(f"s3-tests: a job ended early: {error}", file=sys.stderr)
    return rows


# The report ---------------------------------------------------------------------------------------------------------------------

def first_line(text):
    line = (text.strip().splitlines() or [""])[0]
    return line.replace("|", "\\|").replace("<", "&lt;").replace("`", "'")[:160]


def load_reasons():
    """{name: reason}; a name that begins with ~ is a regular expression over names."""
    found = tomllib.loads(REASONS.read_text()) if REASONS.exists() else {"reasons": {}}
    return found["reasons"] | {"~" + pattern: reason for pattern, reason in found.get("patterns", {}).items()}


def functions_of(rows):
    """Test functions: one passes if all cases of its parameters do."""
    out = {}
    for test, row in rows.items():
        name = test.partition("[")[0]
        worst = ("passed", "skipped", "failed")
        out[name] = max(out.get(name, "passed"), row["outcome"], key=worst.index)
    return out


def counts(outcomes):
    found = collections.Counter(outcomes)
    return found["passed"], found["failed"], found["skipped"]


def report(rows, order, commit, date, reasons):
    tests = [t for t in order if t in rows]
    functions = functions_of(rows)
    passed, failed, skipped = counts(functions.values())
    cases = counts(rows[t]["outcome"] for t in tests)
    lines = [
        "# ceph/s3-tests", "",
        "Written by `./dev s3-tests` (`scripts/s3_tests.py`), which runs the suite, unpatched, against a demo cloud. Do not edit.", "",
        f"Upstream: <https://github.com/ceph/s3-tests>, commit `{commit}` of {date}. Files: `test_s3.py` and `test_headers.py`. Selection:", "",
        f"    -m '{SELECTION}'", "",
        "Settings of the cloud that are not the defaults: " +
        ("; ".join(f"`[{s}] {k} = {v}`" for s, kv in SETTINGS.items() for k, v in kv.items()) or "none") + ".", "",
        f"**{passed} of {len(functions)} tests pass**, {failed} fail, {skipped} are skipped by the suite itself. "
        f"A test with parameters counts once, and passes when all its cases do; case by case {cases[0]} of {len(tests)} pass.", "",
        "| group | pass | fail | skipped |", "|---|---:|---:|---:|"]
    groups = collections.defaultdict(list)
    for test in tests:
        groups[group_of(test)].append(rows[test]["outcome"])
    for group, _ in GROUPS:
        if group in groups:
            lines.append("| {} | {} | {} | {} |".format(group, *counts(groups[group])))
    bad = [t for t in tests if rows[t]["outcome"] == "failed"]
    lines += ["", "## Failures, with their reasons", "", "| test | reason |", "|---|---|"]
    for test in bad:
        lines.append(f"| `{short_name(test)}` | {reason_of(reasons, test) or 'unexplained: ' + first_line(rows[test]['error'])} |")
    if not bad:
        lines.append("| none | |")
    lines += ["", "## Every test", "", "| test | result |", "|---|---|"]
    for test in tests:
        row = rows[test]
        note = "" if row["outcome"] != "skipped" else ": " + first_line(row["error"].removeprefix("Skipped: "))
        lines.append(f"| `{short_name(test)}` | {row['outcome']}{note} |")
    return "\n".join(lines) + "\n"


def short_name(test):
    name = test.removeprefix("s3tests/functional/")
    return name.removeprefix("test_s3.py::")


def reason_of(reasons, test):
    name = short_name(test).removeprefix("test_headers.py::")
    exact = reasons.get(name) or reasons.get(name.partition("[")[0])
    return exact or next((reason for key, reason in reasons.items() if key.startswith("~") and re.search(key[1:], name)), None)


def text_of(rows, order):
    """For people in a hurry: name, outcome, first line of the error."""
    lines = []
    for test in order:
        if test in rows:
            row = rows[test]
            lines.append(f"{short_name(test)}  {row['outcome']}{' in ' + row['phase'] if row['phase'] else ''}  {first_line(row['error'])}".rstrip())
    return "\n".join(lines) + "\n"


def self_test():
    """The judge of the suite is judged: counts, groups, reasons, settings, and batches that lose no test."""
    def row(test, outcome):
        return {"test": test, "outcome": outcome, "seconds": 1, "marks": [], "phase": "call", "error": "assert 1 | 2\nmore", "trace": ""}

    base = "s3tests/functional/test_s3.py::"
    order = [base + n for n in ("test_copy_enc[a]", "test_copy_enc[b]", "test_bucket_list_many", "test_lifecycle_x")]
    rows = {t: row(t, o) for t, o in zip(order, ("passed", "failed", "passed", "skipped"))}
    text = report(rows, order, "c0ffee", "2026-01-01", {})
    for wanted in ("**1 of 3 tests pass**, 1 fail, 1 are skipped", "case by case 2 of 4 pass", "`test_copy_enc[b]` | unexplained: assert 1 \\| 2 |"):
        assert wanted in text, (wanted, text)
    assert "unexplained" not in report(rows, order, "c0ffee", "2026-01-01", {"test_copy_enc": "because"})
    assert [group_of(t) for t in order] == ["encryption", "encryption", "listing", "lifecycle"]
    assert sorted(sum(batches(order * 20, 3), [])) == sorted(order * 20)
    assert with_settings("[s3]\n# a\n\n[[island]]\n", {"s3": {"a": 1}, "b": {"c": 2}}) == "[s3]\na = 1\n# a\n\n[b]\nc = 2\n\n[[island]]\n"
    print("s3_tests: self-test passed")


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", required=True, help="a checkout of ceph/s3-tests")
    parser.add_argument("--python", default=sys.executable, help="a Python with the suite's requirements (default: this one)")
    parser.add_argument("--archipel", default=str(ROOT / "build/release/archipel"), help="the binary to test")
    parser.add_argument("--jobs", type=int, default=4, help="pytest processes at a time, each with a cloud (default 4; tests wait a lot)")
    parser.add_argument("--seconds", type=int, default=SECONDS_MAX, help=f"bound for each test (default {SECONDS_MAX})")
    parser.add_argument("-k", dest="keyword", help="only tests that match, as in pytest; no report is written then")
    parser.add_argument("--again", metavar="DIR", help="run only what did not pass in DIR, the --keep of an earlier run, and join the two")
    parser.add_argument("--keep", metavar="DIR", help="keep results.json, results.txt and the logs of tests and servers here")
    parser.add_argument("--report", default=str(REPORT), help="where to write the report")
    options = parser.parse_args()
    gateway.binary = pathlib.Path(options.archipel).resolve()
    if not gateway.binary.exists():
        raise Failure(f"{gateway.binary} does not exist: build it first (./dev build)")
    suite = Suite(options)
    commit, date = suite.commit()
    with tempfile.TemporaryDirectory(prefix="archipel-s3-tests-") as directory:
        scratch = pathlib.Path(options.keep or directory).resolve()
        scratch.mkdir(parents=True, exist_ok=True)
        before = json.loads((pathlib.Path(options.again) / "results.json").read_text()) if options.again else {"rows": {}}
        for old in scratch.glob("job*"):
            old.unlink()
        order = suite.collect(pathlib.Path(directory) / "all", None)
        wanted = set(suite.collect(pathlib.Path(directory) / "wanted", options.keyword)) if options.keyword else set(order)
        chosen = [t for t in order if t in wanted and before["rows"].get(t, {}).get("outcome", "failed") == "failed"]
        started = datetime.datetime.now()
        rows = {**before["rows"], **run(suite, chosen, options.jobs, scratch)}
        (scratch / "results.json").write_text(json.dumps({"commit": commit, "rows": rows}))
        (scratch / "results.txt").write_text(text_of(rows, order))
    ran = [rows[t] for t in chosen if t in rows]
    for row in ran:
        if row["outcome"] == "failed":
            print(f"FAIL {short_name(row['test'])} in {row['phase']}: {first_line(row['error'])}")
    seconds = (datetime.datetime.now() - started).total_seconds()
    print("s3-tests: {} passed, {} failed, {} skipped of the {} cases run, in {:.0f} s".format(
        *counts(r["outcome"] for r in ran), len(chosen), seconds))
    missing = [t for t in order if t not in rows]
    if missing:
        print(f"s3-tests: {len(missing)} tests have no result, so no report is written")
    else:
        pathlib.Path(options.report).write_text(report(rows, order, commit, date, load_reasons()))
        print(f"s3-tests: wrote {options.report}")
    sys.exit(1 if any(r["outcome"] == "failed" for r in ran) else 0)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"s3-tests: {failure}", file=sys.stderr)
        sys.exit(2)
