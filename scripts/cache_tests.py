#!/usr/bin/env python3
"""Runs http-tests/cache-tests against `archipel edge` and writes what came of it: docs/cache-tests.json and docs/cache-tests.md.

  scripts/cache_tests.py --suite DIR [--binary build/release/archipel] [--only ID]

DIR is a checkout of https://github.com/http-tests/cache-tests in which `npm install` was run; it is used as it is. The verdicts are the suite's own
(determineTestResult, dependencies honoured). Tests that only a browser can take are left out, as the suite says.

Exit code 0 if it ran, 1 if it could not.
"""
import argparse
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Why a test that is not passed is not. Others are shown with what the suite says.
LENGTHS_DISAGREE = "the suite's origin says `Content-Range: bytes 4-9/10` and sends 5 bytes, whatever it was asked for: a part whose lengths disagree is not stored"
REASONS = {
    "partial-store-partial-reuse-partial": LENGTHS_DISAGREE,
    "partial-store-partial-reuse-partial-byterange": LENGTHS_DISAGREE,
    "partial-store-partial-reuse-partial-absent": LENGTHS_DISAGREE,
    "partial-store-partial-reuse-partial-suffix": LENGTHS_DISAGREE,
    "partial-store-partial-complete": "the partial response has no validator: RFC 9111 §3.4 forbids to combine it with another one",
    "conditional-lm-fresh-no-lm": "the stored response has no Last-Modified and its Date is later than If-Modified-Since: RFC 9111 §4.3.2 calls that modified",
    "vary-normalise-lang-select": "Content-Language of one variant says nothing about what the origin would choose for another list of languages",
    "vary-normalise-lang-order": "off by default: many origins take the first of two languages of one weight (`normalise_languages` turns it on)",
    "freshness-max-age-two-fresh-stale-sameline": "of contradictory spans the shortest counts",
    "freshness-max-age-two-fresh-stale-sepline": "of contradictory spans the shortest counts",
    "freshness-max-age-two-stale-fresh-sameline": "of contradictory spans the shortest counts",
    "freshness-max-age-two-stale-fresh-sepline": "of contradictory spans the shortest counts",
    "freshness-max-age-decimal-zero": "a span that is not a number counts as 0",
    "freshness-max-age-decimal-five": "a span that is not a number counts as 0",
    "freshness-max-age-a100": "a span that is not a number counts as 0",
    "freshness-max-age-100a": "a span that is not a number counts as 0",
    "freshness-max-age-space-before-equals": "read as the span that was meant",
    "freshness-max-age-space-after-equals": "read as the span that was meant",
    "cdn-max-age-case-insensitive": "keys of structured fields are lower-case (RFC 9651 §3.1.2)",
    "stale-warning-stored": "Warning is obsolete (RFC 9111 §5.5)",
    "stale-warning-become": "Warning is obsolete (RFC 9111 §5.5)",
    "heuristic-delta-5": "a tenth of the time since Last-Modified has passed by then",
    "heuristic-delta-10": "a tenth of the time since Last-Modified has passed by then",
    "heuristic-delta-30": "a tenth of the time since Last-Modified has passed by then",
    "304-etag-update-response-Content-Encoding": "the stored bytes are coded as they were (RFC 9111 §3.2)",
    "304-etag-update-response-Content-Range": "the stored bytes are those they were (RFC 9111 §3.2)",
    "304-etag-update-response-ETag": "a 304 with another strong ETag is about another response (RFC 9111 §4.3.4)",
    "conditional-etag-forward": "the cache asks for the whole, to store it, and compares itself",
    "age-parse-parameter": "an Age that is not a number counts as none",
    "age-parse-numeric-parameter": "an Age that is not a number counts as none",
    "ccreq-max-stale-age": "what comes stale and without a validator is not stored",
    "conditional-etag-strong-respond-obs-text": "the suite compares bytes above 0x7f as its client decoded them",
    "conditional-etag-quoted-respond-unquoted": "an entity tag without quotes is none",
    "conditional-etag-unquoted-respond-quoted": "an entity tag without quotes is none",
    "conditional-etag-strong-generate-unquoted": "an entity tag is sent back as it came",
    "conditional-etag-forward-unquoted": "the cache asks for the whole, to store it, and compares itself",
    "conditional-etag-vary-headers-mismatch": "a variant is not validated with the entity tag of another",
    "head-200-retain": "the answer to a HEAD that was forwarded is the origin's",
    "head-410-update": "a HEAD that disagrees ends what is stored (RFC 9111 §4.3.5)",
    "ccreq-no-store": "no-store of a request forbids storing, not serving what is stored",
}

SUMMARY = """
import fs from 'fs'
import { pathToFileURL } from 'url'
const suite = process.argv[2], results = JSON.parse(fs.readFileSync(process.argv[3]))
const tests = (await import(pathToFileURL(suite + '/tests/index.mjs'))).default
const { determineTestResult, resultTypes } = await import(pathToFileURL(suite + '/test-engine/lib/results.mjs'))
const out = []
for (const group of tests) for (const test of group.tests) {
  if (test.browser_only) continue
  const type = determineTestResult(tests, test.id, results)
  out.push({ group: group.name, id: test.id, kind: test.kind || 'required', name: test.name,
    verdict: Object.keys(resultTypes).find(k => resultTypes[k] === type), said: results[test.id] === true ? '' : (results[test.id] || ['', ''])[1] })
}
console.log(JSON.stringify(out))
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, process, what):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if process.poll() is not None:
            sys.exit(f"{what} ended with {process.returncode}")
        try:
            socket.create_connection(("localhost", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit(f"{what} did not open port {port}")


def run(suite, binary, only):
    """The verdicts, a list of dictionaries."""
    origin_port, edge_port = free_port(), free_port()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        config = scratch / "edge.toml"
        config.write_text(
            f'[listen]\nhttp = "127.0.0.1:{edge_port}"\n[[site]]\nhosts = ["*"]\norigins = ["http://127.0.0.1:{origin_port}"]\n')
        node = dict(os.environ, npm_config_protocol="http", npm_config_port=str(origin_port), npm_config_pidfile=str(scratch / "pid"),
                    npm_config_base=f"http://127.0.0.1:{edge_port}", npm_config_id=only or "", npm_package_config_id="")
        started = []
        try:
            with open(scratch / "log", "w") as log:
                started.append(subprocess.Popen(["node", "test-engine/server/server.mjs"], cwd=suite, env=node, stdout=log, stderr=log))
                wait_for(origin_port, started[-1], "the suite's server")
                started.append(subprocess.Popen([binary, "edge", "--config", config], stdout=log, stderr=log))
                wait_for(edge_port, started[-1], "the edge")
                done = subprocess.run(["node", "--no-warnings", "test-engine/cli.mjs"], cwd=suite, env=node, capture_output=True, text=True, timeout=600)
        finally:
            for process in reversed(started):
                process.terminate()
                process.wait(30)
        if only:
            print(done.stdout)
            return None
        results, script = scratch / "results.json", scratch / "summary.mjs"
        results.write_text(done.stdout)
        script.write_text(SUMMARY)
        said = subprocess.run(["node", "--no-warnings", script, suite, results], capture_output=True, text=True)
        if said.returncode != 0:
            sys.exit(f"the suite's results cannot be read: {done.stdout[-500:]}{done.stderr[-500:]}{said.stderr[-500:]}")
        return json.loads(said.stdout)


def count(verdicts, kind):
    mine = [v for v in verdicts if v["kind"] == kind]
    return sum(v["verdict"] in ("pass", "yes") for v in mine), len(mine)


def report(verdicts, commit):
    required, optimal, check = (count(verdicts, kind) for kind in ("required", "optimal", "check"))
    lines = [
        "# HTTP cache tests", "",
        "Generated by `./dev cache-tests --suite DIR`; do not edit.", "",
        f"The suite is [http-tests/cache-tests](https://github.com/http-tests/cache-tests), commit {commit}, unpatched, against `archipel edge` with the smallest configuration. "
        "Its tests for browsers alone are left out. The suite's README warns that passing all of them means nothing by itself: it compares caches.", "",
        "| kind | passed | of |", "|---|---|---|",
        f"| required | {required[0]} | {required[1]} |", f"| optimal | {optimal[0]} | {optimal[1]} |", f"| check (behaviour; neither answer is wrong) | {check[0]} yes | {check[1]} |", "",
        "## Not passed", "", "| test | kind | why |", "|---|---|---|"]
    for kind in ("required", "optimal", "check"):
        for v in verdicts:
            if v["kind"] == kind and v["verdict"] not in ("pass", "yes"):
                lines.append(f"| `{v['id']}` | {kind} | {REASONS.get(v['id'], v['said'])} |".replace("\n", " "))
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", required=True, type=pathlib.Path, help="a checkout of http-tests/cache-tests")
    parser.add_argument("--binary", default=ROOT / "build/release/archipel", type=pathlib.Path)
    parser.add_argument("--commit", help="of the suite, where DIR is no git checkout")
    parser.add_argument("--only", help="one test, with all that is sent; writes nothing")
    args = parser.parse_args()
    suite = args.suite.resolve()
    if not (suite / "test-engine/cli.mjs").exists():
        sys.exit(f"{suite} is no checkout of cache-tests")
    if not args.binary.exists():
        sys.exit(f"{args.binary} is not there; build it: ./dev build")
    verdicts = run(suite, args.binary.resolve(), args.only)
    if verdicts is None:
        return
    commit = args.commit or subprocess.run(["git", "-C", suite, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip() or "unknown"
    (ROOT / "docs/cache-tests.json").write_text(json.dumps({"suite": commit, "tests": [{k: v[k] for k in ("id", "kind", "verdict", "said")} for v in verdicts]}, indent=1) + "\n")
    (ROOT / "docs/cache-tests.md").write_text(report(verdicts, commit))
    for kind in ("required", "optimal", "check"):
        passed, of = count(verdicts, kind)
        print(f"{kind}: {passed} of {of}")
    for v in verdicts:
        if v["kind"] != "check" and v["verdict"] != "pass":
            print(f"  {v['kind']} {v['id']}: {v['verdict']}: {v['said']}")


if __name__ == "__main__":
    main()
