#!/usr/bin/env bash
# The benchmarks, on the release build that `./dev bench` has just made. They print rates and ratios of one run, and assert nothing about speed.
#
#   bench/run.sh              both of the following
#   bench/run.sh pipeline     sealing + coding + tagging on one core against the roofline of its primitives
#   bench/run.sh s3 [ARG…]    PUT and GET through S3 per server-CPU-second, beside nginx (ARGs: see bench/s3.py --help)
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

which=${1:-all}
[ $# = 0 ] || shift
case $which in
  all | pipeline | s3) ;;
  *) echo "bench: '$which' is not a benchmark; say pipeline, s3 or nothing" >&2; exit 2 ;;
esac
if [ "$which" != s3 ]; then
  echo "== the data path on one core =="
  build/release/bench/bench_pipeline
fi
if [ "$which" != pipeline ]; then
  echo "== PUT and GET on loopback, medians of interleaved rounds =="
  python3 bench/s3.py "$@"
fi
