#!/usr/bin/env python3
"""Breaks the real code in one rule at a time and lets the simulator find out.

Each tests/sim/mutants/*.patch is a unified diff whose first line says the rule it breaks. It is applied to a copy of the tree in
build/mutants, archipel_sim is built there and runs seeds until a violation, or until --seconds have passed: then the mutant survived.

    python3 tests/sim/mutants.py                 # all; exit code 1 if any survives or does not apply
    python3 tests/sim/mutants.py overlay void    # those whose name contains one of the words
    python3 tests/sim/mutants.py --check         # builds nothing: whether each still applies
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PATCHES = ROOT / "tests" / "sim" / "mutants"
COPIED = ["src", "tests", "cmake", "CMakeLists.txt", "CMakePresets.json"]


def run(command, cwd, **more):
    return subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **more)


def copy_file(source, target):
    """As copy2, but an unchanged file keeps its time, so that a second run builds little."""
    target = pathlib.Path(target)
    if target.exists() and target.read_bytes() == pathlib.Path(source).read_bytes():
        return str(target)
    return shutil.copy(source, target)


def make_tree(tree):
    tree.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        source, target = ROOT / name, tree / name
        if source.is_dir():
            known = {p.relative_to(source) for p in source.rglob("*")}
            for old in list(target.rglob("*")) if target.exists() else []:
                if old.is_file() and old.relative_to(target) not in known:
                    old.unlink()
            shutil.copytree(source, target, copy_function=copy_file, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            copy_file(source, target)


def build(tree):
    configured = run(["cmake", "--preset", "sim"], tree)
    if configured.returncode != 0:
        return configured
    return run(["ninja", "-C", "build/sim", "archipel_sim"], tree)


def verdict(tree, options):
    """(True if killed, what was seen, seconds)."""
    started = time.monotonic()
    command = ["build/sim/archipel_sim", "--seeds", options.seeds, "--jobs", str(options.jobs), "--seconds", str(options.seconds), "--no-shrink"]
    try:
        done = run(command, tree, timeout=options.seconds + 300)
    except subprocess.TimeoutExpired:
        return True, "never ended", time.monotonic() - started
    first = next((line.strip() for line in done.stdout.splitlines() if re.search(r"with seed", line)), "")
    if done.returncode == 0:
        count = re.search(r"(\d+) histories", done.stdout)
        return False, f"survived {count.group(1) if count else '?'} histories", time.monotonic() - started
    lines = done.stdout.splitlines()
    at = next((i for i, line in enumerate(lines) if "with seed" in line), 0)
    return True, first + ": " + (lines[at + 1].strip()[:110] if at + 1 < len(lines) else ""), time.monotonic() - started


def check(patches):
    """How many do not apply to the tree as it is."""
    bad = 0
    for patch in patches:
        applied = run(["patch", "-p1", "--dry-run", "--fuzz=0", "-i", str(patch)], ROOT)
        if applied.returncode != 0:
            print(f"{patch.stem}: DOES NOT APPLY\n{applied.stdout}", flush=True)
            bad += 1
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--seconds", type=float, default=120, help="for a mutant to be found out")
    parser.add_argument("--seeds", default="1..1000000")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--check", action="store_true", help="only whether the patches apply")
    options = parser.parse_args()
    tree = ROOT / "build" / "mutants"
    chosen = [p for p in sorted(PATCHES.glob("*.patch")) if not options.words or any(w in p.name for w in options.words)]
    if options.check:
        sys.exit(1 if check(chosen) else 0)
    bad = 0
    make_tree(tree)
    for patch in chosen:
        rule = patch.read_text().splitlines()[0].removeprefix("Rule: ")
        applied = run(["patch", "-p1", "--fuzz=0", "--no-backup-if-mismatch", "-i", str(patch)], tree)
        if applied.returncode != 0:
            print(f"{patch.stem}: DOES NOT APPLY\n{applied.stdout}", flush=True)
            bad += 1
            make_tree(tree)
            continue
        built = build(tree)
        killed, seen, seconds = (False, "DOES NOT BUILD\n" + built.stdout[-3000:], 0) if built.returncode != 0 else verdict(tree, options)
        make_tree(tree)  # not patch -R, which finds another place where a rule is written twice
        print(f"{patch.stem}: {'killed' if killed else 'SURVIVED'} in {seconds:.0f} s ({rule})\n    {seen}", flush=True)
        bad += not killed
    print(f"{len(chosen) - bad} of {len(chosen)} mutants killed")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
