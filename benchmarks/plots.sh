#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
#
# benchmarks/plots.sh [--quick] [OUTDIR]
#
# Installs what is missing, builds, measures how long tasks of 1 us to 10 ms take with rankview, with the master-worker loop that one would
# write by hand, and with mpi4py.futures, and draws makespan.png and throughput.png. They go to build/plots or OUTDIR, with the data as
# sweep.json. Wants the machine to itself.

quick=
out=
for argument; do
  case $argument in
    --quick) quick=--quick ;;
    -*) echo "usage: benchmarks/plots.sh [--quick] [OUTDIR]" >&2; exit 2 ;;
    /*) out=$argument ;;
    *) out=$PWD/$argument ;;
  esac
done

. "$(dirname "$0")/../.ci/setup.sh"

need python3 python3-matplotlib python3-mpi4py || { echo "cannot install what the plots need" >&2; exit 1; }
cmake --preset release -B build/benchmarks -DRANKVIEW_TESTS=OFF -DRANKVIEW_EXAMPLES=OFF >/dev/null || exit 1
cmake --build build/benchmarks -j "$jobs" --target bench_metg || exit 1

out=${out:-$PWD/build/plots}
mkdir -p "$out" || exit 1
python=/usr/bin/python3  # Debian's, which has mpi4py and matplotlib; another may come first in PATH
lines=$(mktemp) || exit 1
trap 'rm -f "$lines"' EXIT
trap 'exit 1' INT TERM

echo "... rankview and the loop" >&2
timeout 600 mpirun -np 2 build/benchmarks/benchmarks/metg --sweep $quick >>"$lines" || exit 1
echo "... mpi4py.futures" >&2
timeout 600 mpirun -np 2 $python -m mpi4py.futures benchmarks/peers/mpi4py_metg.py --sweep $quick >>"$lines" || exit 1
$python benchmarks/plots.py "$lines" "$out"
