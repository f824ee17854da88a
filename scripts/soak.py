#!/usr/bin/env python3
"""The long runs, one after the other, with a line of summary for each; `./dev soak` builds what they need and calls this.

  soak.py [MINUTES] [--only PART,…] [--skip PART,…]

MINUTES (default 120) is about how long all parts together take on two cores; with fewer, seeds, kills and seconds become fewer in
proportion. Output of each part: build/soak/PART.log. Exit code 1 if any part failed.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOGS = ROOT / "build" / "soak"
FULL_MINUTES = 120
CORES = max(1, len(os.sched_getaffinity(0)))
ADVERSARY = "build/sim/adversary_test"


class Part:
    """Commands that run side by side, and what to say of their output: the lines that match `tell`."""

    def __init__(self, name, about, targets, commands, tell, env=None):
        self.name, self.about, self.targets, self.commands, self.tell = name, about, targets, commands, tell
        self.env = env or {}

    def run(self, seconds_max):
        LOGS.mkdir(parents=True, exist_ok=True)
        path = LOGS / f"{self.name}.log"
        started, failed, waiting, running = time.monotonic(), [], list(self.commands), []
        with open(path, "wb") as log:
            while waiting or running:
                while waiting and len(running) < CORES:
                    running.append((waiting[0], subprocess.Popen(waiting[0], cwd=ROOT, env=dict(os.environ, **self.env),
                                                                 stdout=log, stderr=subprocess.STDOUT)))
                    waiting.pop(0)
                command, process = running[0]
                try:
                    code = process.wait(max(1, seconds_max - (time.monotonic() - started)))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    code = f"not finished after {seconds_max} s"
                if code != 0:
                    failed.append(f"{' '.join(command)}: {code}")
                running.pop(0)
        text = path.read_text(errors="replace")
        lines = [line.strip() for line in text.splitlines() if re.search(self.tell, line)]
        took = time.monotonic() - started
        for line in lines[-40:]:
            print(f"  {line}")
        if failed:
            print(f"soak: {self.name}: FAILED in {took:.0f} s ({'; '.join(failed)}); see {path.relative_to(ROOT)}", flush=True)
        else:
            print(f"soak: {self.name}: passed in {took:.0f} s", flush=True)
        return not failed


def parts(minutes):
    share = min(1.0, minutes / FULL_MINUTES)
    seeds, kills, factor = max(1000, int(100_000 * share)), max(5, int(50 * share)), max(1, int(60 * minutes / FULL_MINUTES))
    fuzz_seconds, model_seconds = max(5, int(60 * minutes / FULL_MINUTES)), max(60, int(600 * minutes / FULL_MINUTES))
    simulated = [["build/sim/archipel_sim", "--seeds", f"1..{seeds}", "--jobs", str(CORES)]]
    # Every bit takes half an hour on two cores.
    adversary = {"ARCHIPEL_FLIPS": "all" if minutes >= 60 else str(max(1, minutes)), "ARCHIPEL_ADVERSARY_FACTOR": str(factor)}
    flips = ["OfDataShards", "OfJournalBlobs", "OfRandomPairs", "OfMarkers", "OfDir", "OfHeadSlots", "OfTheKeyring"]
    return [
        Part("simulation", f"{seeds} seeded histories of a whole realm", ["sim archipel_sim"], simulated,
             r"histories in|violation|VIOLATION|CRASH"),
        Part("mutants", "every hand-made mutant of the real code must be killed", ["sim archipel_sim"],
             [[sys.executable, "tests/sim/mutants.py"]], r"killed|surviv|apply"),
        Part("defences", "every hand-made hole in the edge must be found by its attack", ["test archipel"],
             [[sys.executable, "tests/e2e/mutants.py"]], r"killed|SURVIVED|APPLY"),
        Part("model", "the protocol model in larger scopes", [], [[sys.executable, "tests/model/test_model.py", "--long", str(model_seconds)]], r"."),
        Part("attacks", f"the adversary suite, {factor} times the programs", ["sim adversary_test"],
             [[ADVERSARY, "--gtest_brief=1", "--gtest_filter=-Flips.*"]], r"attacks|rollbacks|pairs:|PASSED|FAILED", adversary),
        Part("flips", "every bit of every stored file" if minutes >= 60 else "a sample of the bits of every stored file", ["sim adversary_test"],
             [[ADVERSARY, "--gtest_brief=1", f"--gtest_filter=Flips.{name}"] for name in flips], r"bit flips of|FAILED", adversary),
        Part("day", "a day of overwriting one key: snapshots, truncation, collection, compaction, and the store stays small",
             ["test store_test"], [["build/test/store_test", "--gtest_brief=1", "--gtest_filter=CollectionDay.*"]], r"^(?!\[|Running|Note)",
             {"ARCHIPEL_DAY_WRITES": str(max(480, int(20_000 * share)))}),
        Part("kills", f"{kills} times kill -9 under load", ["release archipel"],
             [[sys.executable, "tests/e2e/run.py", "--archipel", "build/release/archipel", "test_kills"]], r"kills:|FAIL",
             {"ARCHIPEL_KILLS": str(kills), "ARCHIPEL_KILLS_SEED": str(time.time_ns())}),
        Part("fuzz", f"{fuzz_seconds} s for each decoder", [], [["./dev", "fuzz", str(fuzz_seconds)]], r"^dev: |Done|ERROR|SUMMARY"),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("minutes", nargs="?", type=int, default=FULL_MINUTES)
    parser.add_argument("--only", default="", help="these parts alone, with commas between them")
    parser.add_argument("--skip", default="", help="all parts but these")
    parser.add_argument("--targets", action="store_true", help="print what has to be built, and run nothing")
    options = parser.parse_args()
    every = parts(options.minutes)
    names = {part.name for part in every}
    only, skip = (set(filter(None, text.split(","))) for text in (options.only, options.skip))
    if options.minutes < 1 or (only | skip) - names:
        parser.error(f"MINUTES is at least 1, and the parts are {', '.join(part.name for part in every)}")
    chosen = [part for part in every if (not only or part.name in only) and part.name not in skip]
    if options.targets:
        print("\n".join(sorted({target for part in chosen for target in part.targets})))
        return
    failed = []
    for part in chosen:
        print(f"soak: {part.name}: {part.about}", flush=True)
        if not part.run(seconds_max=max(900, options.minutes * 60)):
            failed.append(part.name)
    print(f"soak: {len(chosen) - len(failed)} parts passed, {len(failed)} failed{': ' + ', '.join(failed) if failed else ''}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
