#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
#
# benchmarks/run.sh [--quick] [--no-peers] [OUT.json]
#
# Installs what is missing, builds, runs every benchmark, prints one table and writes it as JSON to build/benchmarks.json or OUT.json. Wants
# the machine to itself. Ends badly only if a benchmark could not be run; a figure that misses what is required is marked in the table.
# --quick takes smaller problems and fewer rounds; --no-peers leaves out what is not rankview, and what takes minutes: that all of it runs.

quick=
peers=yes
out=
for argument; do
  case $argument in
    --quick) quick=--quick ;;
    --no-peers) peers= ;;
    -*) echo "usage: benchmarks/run.sh [--quick] [--no-peers] [OUT.json]" >&2; exit 2 ;;
    /*) out=$argument ;;
    *) out=$PWD/$argument ;;
  esac
done

. "$(dirname "$0")/../.ci/setup.sh"

need libbenchmark-dev python3 || { echo "cannot install what the benchmarks need" >&2; exit 1; }
# Without the peers there is still something to measure; their rows then say why they are empty.
[ -z "$peers" ] || need python3-mpi4py python3-ipyparallel python3-numpy || echo "cannot install the peers" >&2
# In a folder of its own, so that what the tests have configured in theirs stays.
cmake --preset release -B build/benchmarks -DRANKVIEW_TESTS=OFF -DRANKVIEW_EXAMPLES=OFF >/dev/null || exit 1
cmake --build build/benchmarks -j "$jobs" || exit 1

out=${out:-$PWD/build/benchmarks.json}
programs=$PWD/build/benchmarks/benchmarks
RANKVIEW_HUB_MODULE=$(echo "$PWD"/build/benchmarks/lib/rankview-hub-*.so)
export RANKVIEW_HUB_MODULE
python=/usr/bin/python3  # Debian's, which has the peers; another may come first in PATH
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
# ipyparallel keeps its profile there.
export IPYTHONDIR="$work/ipython"
bad=0

# measure NAME COMMAND...: its lines of JSON go into the table; so does its failure.
measure() {
  name=$1
  shift
  echo "... $name" >&2
  timeout 600 "$@" >"$work/out" 2>"$work/err"
  status=$?
  grep '^{' "$work/out" >>"$work/lines"
  [ $status -eq 0 ] && return
  cat "$work/err" >&2
  bad=1
  printf '{"figure": "%s", "error": "exit code %d"}\n' "$name" $status >>"$work/lines"
}

# peer NAME FIGURES COMMAND...: the same, but a peer that cannot be run here is no failure of ours. FIGURES, with commas between them, are
# what it measures.
peer() {
  [ -n "$peers" ] || return 0
  name=$1
  figures=$2
  shift 2
  echo "... $name" >&2
  timeout 600 "$@" >"$work/out" 2>"$work/err"
  status=$?
  if grep '^{' "$work/out" >>"$work/lines"; then return; fi
  reason=$(grep -v '^[[:space:]]*$' "$work/err" | tail -n 1 | tr -d '"\\' | tr '\t' ' ')
  echo "$figures" | tr ',' '\n' | while read -r figure; do
    printf '{"peer": "%s", "figure": "%s", "error": "exit code %d: %s"}\n' "$name" "$figure" $status "$reason" >>"$work/lines"
  done
}

: >"$work/lines"
measure roundtrip mpirun -np 2 "$programs/roundtrip" $quick
counts="2 3 5"
[ -n "$peers" ] || counts="2 3"
for ranks in $counts; do
  measure "throughput, np $ranks" mpirun -np $ranks "$programs/throughput" $quick
done
measure METG mpirun -np 2 "$programs/metg" $quick
measure "balance, np 17" mpirun -np 17 "$programs/balance" $quick
measure "balance, np 3" mpirun -np 3 "$programs/balance" $quick
for ranks in 2 3; do
  measure "graph, np $ranks" mpirun -np $ranks "$programs/graph" $quick
done
measure keeping mpirun -np 3 "$programs/keeping" $quick
measure simulate "$programs/simulate" $quick
# For codes that initialise MPI without threads, where MPI itself is quicker.
measure "roundtrip, thread level single" mpirun -np 2 "$programs/roundtrip" $quick --level=single
measure "throughput, thread level single" mpirun -np 2 "$programs/throughput" $quick --level=single
measure memory mpirun -np 2 "$programs/memory"
measure idle mpirun -np 5 "$programs/idle" $quick
measure bulk mpirun -np 2 "$programs/bulk" $quick
for ranks in 3 5; do
  measure "collectives, np $ranks" mpirun -np $ranks "$programs/collectives" $quick
done
measure "memory of collectives" mpirun -np 3 "$programs/collectives_memory"
measure "compile time" $python benchmarks/compile_time.py $quick
peer mpi4py.futures 'map,round trip' mpirun -np 3 $python -m mpi4py.futures benchmarks/peers/mpi4py_futures.py $quick
peer mpi4py.futures 'METG(50 %)' mpirun -np 2 $python -m mpi4py.futures benchmarks/peers/mpi4py_metg.py $quick
peer mpi4py scatter,gather,push,reduce mpirun -np 3 $python benchmarks/peers/mpi4py_collectives.py $quick
peer ipyparallel 'map,round trip' $python benchmarks/peers/ipyparallel_local.py $quick
peer ipyparallel 'tiny tasks with the hub,a tiny task in the hub' $python benchmarks/peers/ipyparallel_hub.py $quick
peer ipyparallel 'scatter into new memory,gather into new memory' $python benchmarks/peers/ipyparallel_collectives.py $quick
echo "... codec" >&2
timeout 600 "$programs/codec" --benchmark_format=json ${quick:+--benchmark_min_time=0.05} >"$work/codec" 2>"$work/err" ||
  { cat "$work/err" >&2; : >"$work/codec"; bad=1; }

$python benchmarks/table.py "$work/lines" "$work/codec" "$out" || bad=1
exit $bad
