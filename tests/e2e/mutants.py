#!/usr/bin/env python3
"""Breaks one defence of the edge at a time and lets the attacks on it find out (docs/edge-attacks.md).

Each tests/e2e/mutants/*.patch is a unified diff; its first lines say the rule it breaks, and which end-to-end tests have to notice. It is applied to a copy
of the tree in build/edge-mutants, and `archipel` is built there with sanitizers. If none of the tests fails, the mutant survived.

    python3 tests/e2e/mutants.py                 # all; exit code 1 if any survives or does not apply
    python3 tests/e2e/mutants.py host smuggling  # those whose name contains one of the words
    python3 tests/e2e/mutants.py --check         # builds nothing: whether each still applies
"""
import argparse
import importlib.util
import pathlib
import re
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PATCHES = HERE / "mutants"
SECONDS_MAX = 900  # for the tests of one mutant

spec = importlib.util.spec_from_file_location("simulator_mutants", ROOT / "tests/sim/mutants.py")
simulator = importlib.util.module_from_spec(spec)
spec.loader.exec_module(simulator)
simulator.COPIED += ["data", "web"]  # what the program has within it


def header(patch, name):
    return re.search(rf"^{name}: (.*)$", patch.read_text(), re.MULTILINE).group(1)


def build(tree):
    configured = simulator.run(["cmake", "--preset", "test", "-DARCHIPEL_TESTS=OFF"], tree)
    if configured.returncode != 0:
        return configured
    return simulator.run(["ninja", "-C", "build/test", "archipel"], tree)


def verdict(tree, tests):
    """(True if killed, what was seen)."""
    try:
        done = simulator.run([sys.executable, "tests/e2e/run.py", "--archipel", "build/test/archipel", "--jobs", "1", *tests.split()], tree, timeout=SECONDS_MAX)
    except simulator.subprocess.TimeoutExpired:
        return True, "never ended"
    failed = re.findall(r"^FAIL +(\S+)", done.stdout, re.MULTILINE)
    if failed:
        return True, ", ".join(dict.fromkeys(name.rpartition(".")[2] for name in failed))
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "nothing was printed"
    return False, last


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--check", action="store_true", help="only whether the patches apply")
    options = parser.parse_args()
    chosen = [p for p in sorted(PATCHES.glob("*.patch")) if not options.words or any(w in p.name for w in options.words)]
    if options.check:
        sys.exit(1 if simulator.check(chosen) else 0)
    tree, bad = ROOT / "build" / "edge-mutants", 0
    simulator.make_tree(tree)
    for patch in chosen:
        began = time.monotonic()
        applied = simulator.run(["patch", "-p1", "--fuzz=0", "--no-backup-if-mismatch", "-i", str(patch)], tree)
        if applied.returncode != 0:
            print(f"{patch.stem}: DOES NOT APPLY\n{applied.stdout}", flush=True)
            bad += 1
            simulator.make_tree(tree)
            continue
        built = build(tree)
        killed, seen = (False, "DOES NOT BUILD\n" + built.stdout[-1500:]) if built.returncode != 0 else verdict(tree, header(patch, "Tests"))
        simulator.make_tree(tree)
        print(f"{patch.stem}: {'killed' if killed else 'SURVIVED'} in {time.monotonic() - began:.0f} s ({header(patch, 'Rule')})\n    {seen}", flush=True)
        bad += not killed
    print(f"{len(chosen) - bad} of {len(chosen)} mutants killed")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
