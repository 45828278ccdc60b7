#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
#
# shared.sh PROGRAM RANKS COUNT ROUNDS SEED
# Three jobs of rankview_shared use one checkpoint at the same time. Without ROUNDS (0) no task is run twice, and each job runs some. Otherwise
# jobs are killed and begun again, or stopped for a while, at random, so many times; then a task may be run by more than one job only if all
# of these but one were killed or stopped, or say that they have been taken for dead. All results have to be right in any case.

program=$1
ranks=$2
count=$3
rounds=$4
seed=$5
top=$(mktemp -d)
log=$top/log
sessions=
trap 'for s in $sessions; do pkill -9 -s "$s"; done; rm -rf "$top"' EXIT
: >"$log"
# What MPI leaves behind goes with the rest.
export OMPI_MCA_btl_vader_backing_directory="$top" OMPI_MCA_orte_tmpdir_base="$top"
if [ "$rounds" -eq 0 ]; then
  export SHARED_JOBS=3
else
  export RANKVIEW_LEASE_MS=1000
fi
lines() { wc -l <"$log"; }
number=0
# Starts a job in place $1; its session is in $session_$1, its number in $job_$1.
start() {
  number=$((number + 1))
  if [ "$ranks" -eq 1 ]; then
    setsid "$program" "$top/kept" "$log" "$count" "$number" >"$top/said$number" 2>&1 </dev/null &
  else
    setsid mpirun --oversubscribe --bind-to none -np "$ranks" "$program" "$top/kept" "$log" "$count" "$number" >"$top/said$number" 2>&1 </dev/null &
  fi
  eval "session_$1=\$!; job_$1=$number"
  sessions="$sessions $!"
}
fail() {
  echo "shared.sh: $*"
  for said in "$top"/said*; do
    echo "$said:"
    tail -n 20 "$said"
  done
  exit 1
}

for place in 1 2 3; do start $place; done
round=0
while [ "$round" -lt "$rounds" ]; do
  round=$((round + 1))
  # Some more tasks later, unless there are none.
  enough=$(($(lines) + 1 + seed / 65536 % (count / (rounds + 1) + 1)))
  tries=0
  while [ "$(lines)" -lt "$enough" ] && [ "$tries" -lt 300 ]; do
    sleep 0.01
    tries=$((tries + 1))
  done
  seed=$(((seed * 1103515245 + 12345) % 2147483648))
  place=$((1 + seed / 65536 % 3))
  what=$((seed / 262144 % 3))
  eval "session=\$session_$place; job=\$job_$place"
  kill -0 "$session" 2>/dev/null || { start $place; continue; }
  echo "$job" >>"$top/hurt"
  if [ "$what" -eq 0 ]; then
    # For longer than its leases last, and for less.
    pkill -STOP -s "$session"
    sleep "$(awk -v s="$seed" 'BEGIN { print 0.3 + s % 3 }')"
    pkill -CONT -s "$session"
  else
    pkill -9 -s "$session"
    wait "$session" 2>/dev/null
    start $place
  fi
done
for place in 1 2 3; do
  eval "session=\$session_$place; job=\$job_$place"
  tries=0
  while kill -0 "$session" 2>/dev/null; do
    sleep 0.1
    tries=$((tries + 1))
    [ "$tries" -lt 900 ] || fail "job $job does not come to its end"
  done
  wait "$session" 2>/dev/null
  code=$?
  grep -q "^$count of $count right" "$top/said$job" || fail "job $job ended with $code"
done
sessions=
# Where the machine has much to do a job may be silent for as long as one that is stopped; it says so.
for said in "$top"/said*; do
  ! grep -q 'other jobs have taken over' "$said" || echo "${said#"$top"/said}" >>"$top/hurt"
done
[ "$(find "$top/kept" -name 'lease-*' | wc -l)" -eq 0 ] || [ "$rounds" -ne 0 ] || fail "leases are left"
touch "$top/hurt"
awk -v count="$count" -v rounds="$rounds" '
  FILENAME ~ /hurt$/ { hurt[$1] = 1; next }
  { ++runs[$2]; ++by[$3]; if (!($3 in hurt)) ++well[$2]; ++all }
  END {
    for (n = 0; n < count; ++n) {
      if (!(n in runs)) { print n " was not run"; bad = 1 }
      if (runs[n] > 1) ++repeated
      if (well[n] > 1) { print n " was run " well[n] " times by jobs that went on"; bad = 1 }
    }
    for (job in by) { ++jobs; printf "job %d ran %d; ", job, by[job] }
    printf "%d tasks were run more than once\n", repeated
    if (rounds == 0 && (jobs != 3 || repeated != 0)) bad = 1
    exit bad
  }' "$top/hurt" "$log" || fail "the work was not split as it should be"
exit 0
