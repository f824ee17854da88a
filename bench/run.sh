#!/usr/bin/env bash
# The benchmarks, on the release build that `./dev bench` has just made. They print rates and ratios of one run, and assert nothing about speed.
#
#   bench/run.sh              all of the following
#   bench/run.sh pipeline     sealing + coding + tagging on one core against the roofline of its primitives
#   bench/run.sh recovery [OBJECTS [OBJECTS A COMMIT]]   a start without index/: by replay and by a snapshot
#   bench/run.sh scrub        scrub and repair of extents on six directories, per CPU-second, beside their primitives
#   bench/run.sh exposure     1,000 placements over 12 islands and 16 states, against trying every coalition
#   bench/run.sh solver [SEEDS]   the best placement over 20 islands, and over more, beside judging every placement
#   bench/run.sh edge [ARG…]  hits of the edge per server-CPU-second, beside nginx, varnish, h2o and Traffic Server; the disk tier beside fio (ARGs: see bench/edge.py --help)
#   bench/run.sh tiers [ENTRIES [MiB]]   the edge's cache: finds, purges, the disk tier beside pread, a start
#   bench/run.sh traces [REQUESTS [SEED]]   miss ratios of the edge's memory tier beside S3-FIFO of the paper and LRU
#   bench/run.sh shows [herd|purge|kill] [ARG…]   what the edge promises of crowds, purges and crashes, at full size; not among "all" (ARGs: see bench/edge_shows.py --help)
#   bench/run.sh s3 [ARG…]    PUT, GET, LIST and parts through S3 per server-CPU-second, beside nginx and RocksDB (ARGs: see bench/s3.py --help)
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

which=${1:-all}
[ $# = 0 ] || shift
case $which in
  all | pipeline | recovery | scrub | exposure | solver | edge | tiers | traces | shows | s3) ;;
  *) echo "bench: '$which' is not a benchmark; say pipeline, recovery, scrub, exposure, solver, edge, tiers, traces, shows, s3 or nothing" >&2; exit 2 ;;
esac
if [ "$which" = all ] || [ "$which" = pipeline ]; then
  echo "== the data path on one core =="
  build/release/bench/bench_pipeline
fi
if [ "$which" = all ]; then
  echo "== a start without the index =="
  build/release/bench/bench_recovery
elif [ "$which" = recovery ]; then
  exec build/release/bench/bench_recovery "$@"
fi
if [ "$which" = all ] || [ "$which" = scrub ]; then
  echo "== scrub and repair against their primitives =="
  build/release/bench/bench_scrub
fi
if [ "$which" = all ] || [ "$which" = exposure ]; then
  echo "== exposure of 1,000 placements against brute force =="
  build/release/bench/bench_exposure
fi
if [ "$which" = all ]; then
  echo "== the solver of placements =="
  build/release/bench/bench_solver
elif [ "$which" = solver ]; then
  exec build/release/bench/bench_solver "$@"
fi
if [ "$which" = all ] || [ "$which" = edge ]; then
  echo "== hits of the edge beside other servers, medians of interleaved rounds =="
  python3 bench/edge.py "$@"
fi
if [ "$which" = all ]; then
  echo "== the tiers of the edge's cache =="
  build/release/bench/bench_edge_tiers
  echo "== miss ratios of the edge's memory tier =="
  build/release/bench/bench_edge_traces
elif [ "$which" = tiers ] || [ "$which" = traces ]; then
  exec "build/release/bench/bench_edge_$which" "$@"
fi
if [ "$which" = shows ]; then
  exec python3 bench/edge_shows.py "$@"
fi
if [ "$which" = all ] || [ "$which" = s3 ]; then
  echo "== PUT and GET on loopback, medians of interleaved rounds =="
  python3 bench/s3.py "$@"
fi
