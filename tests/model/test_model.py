#!/usr/bin/env python3
"""Runs the model: the rules as they are must have no counterexample, every mutant must have one.

    test_model.py                      what ./dev test runs, under a minute
    test_model.py --long SECONDS       soak: larger scopes, new seeds, about that long; prints the seeds
    test_model.py --show 'a lapsed'    prints the counterexample of the mutants whose name contains the text
"""
import argparse
import json
import pathlib
import sys
import time
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from chain import Chain, Scope  # noqa: E402
from lease import Lease  # noqa: E402
from search import exhaustive, walks  # noqa: E402

SECONDS_MAX = 150  # per run, against a machine that crawls; none is meant to get there

PLAIN = dict(commits=6, recs=6, late=8, dirloss=2)
DAMAGE = dict(commits=4, recs=5, late=5, dirloss=2, wipes=2, rolls=1)
LAG = dict(commits=4, recs=4, late=3, lags=2)
MOVES = dict(commits=3, recs=5, late=3, moves=4, dirloss=1, wipes=1)
KEPT = dict(commits=2, recs=3, late=4, dirloss=1, lags=1, snaps=1, heads=2, truncs=1, wipes=1, rolls=1, rots=1)
OLD = 'send send send send send snapshot send snapshot head truncate'  # the journal's beginning is deleted
TWO = 'send send snapshot head send send snapshot head truncate'
NEXT = 'send crash start send'
SHORT = dict(valid=2, watching=3, time=8, late=2)


def chain(n, k, budget, before='', **more):
    return Chain(Scope(n, k, **more, **budget), before.split())


# (name, how, model of mutants -> model, walks)
SOUND = [
    ('one commit, two ends, all orders', exhaustive, lambda m: chain(3, 2, dict(commits=1, recs=2, wipes=1, dirloss=1), mutants=m), 0),
    ('heads and truncation, all orders', exhaustive,
     lambda m: chain(3, 2, dict(heads=1, truncs=1, recs=2, dirloss=1, wipes=1), 'send send snapshot send snapshot', mutants=m), 0),
    ('truncated, slots rot, all orders', exhaustive, lambda m: chain(3, 2, dict(recs=2, dirloss=1, rots=3), OLD, mutants=m), 0),
    ('truncated, islands wiped, all orders', exhaustive, lambda m: chain(3, 2, dict(recs=2, dirloss=1, wipes=2), OLD, mutants=m), 0),
    ('crashes', walks, lambda m: chain(6, 3, PLAIN, window=4, ahead=4, mutants=m), 1200),
    ('damage', walks, lambda m: chain(6, 3, DAMAGE, mutants=m), 4000),
    ('damage, a second epoch', walks, lambda m: chain(4, 2, DAMAGE, NEXT, mutants=m), 3000),
    ('snapshots and truncation', walks, lambda m: chain(6, 3, KEPT, TWO, mutants=m), 3000),
    ('snapshots and truncation, small code', walks, lambda m: chain(4, 2, KEPT, TWO, mutants=m), 3000),
    ('evacuation', walks, lambda m: chain(5, 3, MOVES, mutants=m), 1500),
    ('a view and a head that lag', walks, lambda m: chain(6, 3, LAG, mutants=m), 2000),
    ('lease, a dead holder and two starts', walks, lambda m: Lease(4, 3, starters=2, holder=False, time=16, mutants=m), 3000),
    ('lease, a living holder and a liar', walks, lambda m: Lease(4, 3, starters=2, liar=True, late=0, time=20, mutants=m), 2500),
]
MUTANTS = [
    ('ack at w-1', walks, lambda m: chain(6, 3, DAMAGE, mutants=m), 40000),
    ('claims and opens at w-1', walks, lambda m: chain(6, 3, dict(commits=1, recs=3, dirloss=1, rolls=1), NEXT, mutants=m), 20000),
    ('one more in flight than recovery assumes', walks, lambda m: chain(6, 3, DAMAGE, mutants=m), 60000),
    ('a head is believed after a reboot', walks, lambda m: chain(6, 3, LAG, mutants=m), 40000),
    ('no later epoch without f', walks, lambda m: chain(6, 3, DAMAGE, mutants=m), 60000),
    ('void although k shards may turn up', walks, lambda m: chain(6, 3, DAMAGE, mutants=m), 60000),
    ('void without counting what may turn up', walks, lambda m: chain(6, 3, DAMAGE, mutants=m), 60000),
    ('no claims', walks, lambda m: chain(6, 3, PLAIN, mutants=m), 5000),
    ('claims leave gaps', walks, lambda m: chain(6, 3, PLAIN, mutants=m), 30000),
    ('read-only shows what is merely found', exhaustive, lambda m: chain(3, 2, dict(commits=1, recs=3, late=1), mutants=m), 0),
    ('what is adopted is not completed', walks, lambda m: chain(6, 3, dict(commits=2, recs=2, wipes=1), mutants=m), 20000),
    ('a head tells what is sent, not what is acknowledged', walks, lambda m: chain(6, 3, KEPT, TWO, mutants=m), 5000),
    ('truncate before the head is on w', exhaustive,
     lambda m: chain(3, 2, dict(heads=1, truncs=1, recs=2, dirloss=1, wipes=1), 'send send snapshot send snapshot', mutants=m), 0),
    ('truncate under snapshots in debt', walks, lambda m: chain(4, 2, dict(recs=2, dirloss=1, wipes=2), 'send send snapshot send snapshot head truncate', mutants=m), 60000),
    ('stale slots are enough', exhaustive, lambda m: chain(3, 2, dict(recs=2, dirloss=1, rots=3), OLD, mutants=m), 0),
    ('an old view is good enough', walks, lambda m: chain(6, 3, KEPT, TWO, mutants=m), 20000),
    ('an island is retired before its blobs are copied', walks, lambda m: chain(4, 2, dict(recs=3, moves=3, dirloss=1), NEXT, mutants=m), 20000),
    ('commit blobs are not copied to a new island', walks, lambda m: chain(4, 2, dict(recs=3, moves=2), 'send', mutants=m), 20000),
    ('claims and opens are not copied to a new island', walks, lambda m: chain(4, 2, dict(recs=3, moves=3, dirloss=1), NEXT, mutants=m), 20000),
    ('a lapsed lease is renewed', walks, lambda m: Lease(4, 3, mutants=m, **SHORT), 20000),
    ('valid from the last confirmation', walks, lambda m: Lease(4, 3, mutants=m, **SHORT), 20000),
    ('the watch is shorter than the lease', walks, lambda m: Lease(4, 3, mutants=m, **SHORT), 20000),
    ('a copied DIR skips the watch', walks, lambda m: Lease(4, 3, mutants=m, **SHORT), 5000),
    ('the clock stops while the machine sleeps', walks, lambda m: Lease(4, 3, time=14, sleeps=1, mutants=m), 20000),
    ('a start only looks before and after it takes the lease', walks,
     lambda m: Lease(3, 3, starters=2, holder=False, valid=2, watching=3, time=8, late=0, mutants=m), 40000),
    ('starters do not announce themselves', walks, lambda m: Lease(3, 3, starters=2, holder=False, valid=2, watching=3, time=8, late=0, mutants=m), 40000),
]


def explore(how, model, count, seed, seconds=SECONDS_MAX):
    if how is exhaustive:
        return exhaustive(model, seconds)
    return walks(model, seconds, seed, walks_max=count)


def show(report):
    for line in report.trace:
        print('    ', line)


def run(name, how, make, count, mutant, seed):
    began = time.monotonic()
    report = explore(how, make((name,) if mutant else ()), count, seed)
    good = (report.violation is not None) == mutant and (mutant or how is walks or report.complete)
    print('%-4s %-6s %-55s %8d %s %6.1f s' % ('ok' if good else 'FAIL', 'mutant' if mutant else 'sound', name, report.states,
                                              'states' if how is exhaustive else 'walks ', time.monotonic() - began), flush=True)
    if not good:
        print('    ', report.violation or 'no counterexample, or not complete (seed %d)' % seed)
        show(report)
    return good


def soak(seconds):
    """The sound scopes with larger budgets under new seeds, one after the other, until the time is over."""
    stop, seed, bad = time.monotonic() + seconds, int(time.time()), 0
    big = dict(commits=8, recs=6, late=12, wipes=2, rolls=1, dirloss=2, lags=2, snaps=4, heads=6, truncs=3, moves=1, rots=1)
    scopes = [('everything (%d,%d)' % c, lambda c=c: chain(*c, big, TWO, window=4, ahead=4)) for c in ((3, 2), (4, 2), (5, 3), (6, 3), (7, 4), (9, 6))]
    scopes += [(name, lambda make=make: make(())) for name, how, make, _ in SOUND if how is walks]
    slice_seconds = max(1.0, seconds / (3 * len(scopes)))
    while time.monotonic() < stop:
        for name, make in scopes:
            seed += 1
            report = walks(make(), min(slice_seconds, max(0.1, stop - time.monotonic())), seed)
            print('%-4s %-45s seed %d, %d walks' % ('FAIL' if report.violation else 'ok', name, seed, report.states), flush=True)
            if report.violation:
                bad += 1
                print('    ', report.violation)
                show(report)
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--long', type=float, metavar='SECONDS')
    parser.add_argument('--show', metavar='NAME')
    parser.add_argument('--report', help='writes {"passed", "failed", "skipped"} as JSON')
    parser.add_argument('patterns', nargs='*', help='only runs whose name contains one of these')
    options = parser.parse_args()
    if options.long:
        sys.exit(1 if soak(options.long) else 0)
    passed = failed = 0
    for jobs, mutant in ((SOUND, False), (MUTANTS, True)):
        for name, how, make, count in jobs:
            seed = zlib.crc32(name.encode())
            if options.show:
                if mutant and options.show in name:
                    report = explore(how, make((name,)), count, seed)
                    print('%s: %s' % (name, report.violation))
                    show(report)
                continue
            if options.patterns and not any(p in 'model ' + name for p in options.patterns):
                continue
            if run(name, how, make, count, mutant, seed):
                passed += 1
            else:
                failed += 1
    if options.report:
        pathlib.Path(options.report).write_text(json.dumps({'passed': passed, 'failed': failed, 'skipped': 0}))
    if not options.show:
        print('model: %d passed, %d failed' % (passed, failed))
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    main()
