#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
#
# campaign.sh PROGRAM: starts `campaign` again and again until it is done, as a batch system would, and treats its jobs as batch systems do: the
# first is killed as if the machine had gone, the second gets a signal, the third comes near its walltime.

program=${1:-build/release/examples/campaign}
work=$(mktemp -d)
job=
trap '[ -z "$job" ] || pkill -9 -s "$job"; rm -rf "$work"' EXIT
[ "$(id -u)" -ne 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_orte_tmpdir_base="$work" OMPI_MCA_btl_vader_backing_directory="$work"

lives() { kill -0 "$job" 2>/dev/null; }
# start [NAME=VALUE...]: a job of its own session, whose output is in $work/said.
start() {
  setsid env "$@" mpirun --quiet --oversubscribe --bind-to none -np 3 "$program" "$work/kept" >"$work/said" 2>&1 </dev/null &
  job=$!
  while lives && ! [ -s "$work/said" ]; do sleep 0.05; done
}
# finish: waits for it, and tells what it said.
finish() {
  wait "$job" 2>/dev/null
  code=$?
  job=
  sed 's/^/  /' "$work/said"
  echo "  ended with $code"
}
# Until it has kept some results more.
go_on() {
  enough=$(($(kept) + 500))
  while lives && [ "$(kept)" -lt "$enough" ]; do sleep 0.05; done
}
kept() { find "$work/kept" -name '*.journal' -exec cat {} + 2>/dev/null | wc -c; }

echo "job 1, on a machine that goes down:"
start A=1
go_on
pkill -9 -s "$job"
finish

echo "job 2, which the scheduler tells to end:"
start A=2
go_on
kill -USR1 "$job"
finish
[ "$code" -eq 75 ] || exit 1

echo "job 3, whose walltime is short:"
start RANKVIEW_WALLTIME=11 RANKVIEW_WALLTIME_MARGIN_S=10
finish
[ "$code" -eq 75 ] || exit 1

while [ "$code" -eq 75 ]; do
  echo "another job:"
  start A=4
  finish
done
exit "$code"
