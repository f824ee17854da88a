#!/usr/bin/env python3
"""PUT and GET through a gateway while `archipel scrub` runs again and again, beside the same alone: interleaved rounds, medians, ratios.

Example: bench/foreground.py --archipel build/release/archipel --load build/release/bench/s3load
Needs no root and touches nothing but a directory of its own. Prints; asserts nothing about speed.
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import tempfile
import threading


def start(binary, home):
    process = subprocess.Popen([binary, "demo", "--dir", str(home / "demo"), "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
    return process, json.loads(process.stdout.readline())


class Load:
    def __init__(self, program, ready):
        self.base = [program, "--endpoint", ready["s3"].removeprefix("http://"), "--access-key", ready["access_key"], "--connections", "4"]
        self.environment = dict(os.environ, ARCHIPEL_BENCH_SECRET=ready["secret_key"])

    def rate(self, op, size, seconds, *more):
        done = subprocess.run([*self.base, "--op", op, "--size", str(size), "--seconds", str(seconds), *more],
                              env=self.environment, capture_output=True, text=True, check=True)
        said = json.loads(done.stdout.splitlines()[-1])
        return said["requests"] / said["seconds"]


class Scrubbing:
    """`archipel scrub` in a loop, from entering to leaving."""

    def __init__(self, binary, home):
        self.command, self.stop, self.passes, self.bytes = [binary, "scrub", "--dir", str(home / "demo"), "--json"], threading.Event(), 0, 0

    def __enter__(self):
        self.stop.clear()
        self.thread = threading.Thread(target=self.loop)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.process.send_signal(signal.SIGTERM)
        self.thread.join()

    def loop(self):
        while not self.stop.is_set():
            self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            lines = self.process.communicate()[0].splitlines()
            self.passes += self.process.returncode == 0
            told = [json.loads(line) for line in lines if line.endswith("}")]
            self.bytes += max([line.get("bytes_read", 0) for line in told], default=0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--archipel", default="build/release/archipel")
    parser.add_argument("--load", default="build/release/bench/s3load")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each measurement")
    arguments = parser.parse_args()
    home = pathlib.Path(tempfile.mkdtemp(prefix="archipel-foreground-"))
    process, ready = start(arguments.archipel, home)
    try:
        load, scrubbing = Load(arguments.load, ready), Scrubbing(arguments.archipel, home)
        subjects = [("put", 4096), ("get", 4096), ("put", 8 << 20), ("get", 8 << 20)]
        load.rate("put", 4096, 0.5, "--create-bucket")
        rates = {}
        for turn in range(arguments.rounds + 1):
            for op, size in subjects:
                for under in ((False, True), (True, False))[turn % 2]:
                    if under:
                        with scrubbing:
                            rate = load.rate(op, size, arguments.seconds)
                    else:
                        rate = load.rate(op, size, arguments.seconds)
                    if turn > 0:  # the first warms up
                        rates.setdefault((op, size, under), []).append(rate)
        for op, size in subjects:
            alone, under = (statistics.median(rates[(op, size, u)]) for u in (False, True))
            name = f"{op.upper()} of {size // 1024} KiB"
            print(f"{name:<18} alone {alone:9.1f}/s   under scrub {under:9.1f}/s   {100 * under / alone:4.0f} %")
        print(f"{scrubbing.passes} passes of scrub came to their end; {scrubbing.bytes / 1e6:.0f} MB were read by all of them")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
