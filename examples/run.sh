#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
#
# Everything from a fresh Debian machine to the main job's table: installs what is missing, builds, and runs flight_delays with four
# engines on the data beside this script, or on those in the directory given.

case $1 in
  "" | /*) data=$1 ;;
  *) data=$PWD/$1 ;;
esac
. "$(dirname "$0")/../.ci/setup.sh"

log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "building the examples (preset release, into build/release)"
build release -DRANKVIEW_TESTS=OFF -DRANKVIEW_BENCHMARKS=OFF >"$log" 2>&1 || { cat "$log" >&2; exit 1; }

echo "running flight_delays on 5 ranks: a client and four engines"
mpirun -np 5 build/release/examples/flight_delays ${data:+"$data"}
