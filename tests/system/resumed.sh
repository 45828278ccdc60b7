#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
#
# resumed.sh PROGRAM RANKS soon|strict KILLS SEED
# Starts rankview_resumed, kills all of its processes at a random moment so many times, and lets it come to its end. All results have to be
# right, and `strict`: no task is run again whose result the client had. Prints how old the oldest result was that was lost.

program=$1
ranks=$2
durable=$3
kills=$4
seed=$5
count=1000
directory=$(mktemp -d)
log=$directory/log
session=
trap '[ -z "$session" ] || pkill -9 -s "$session"; rm -rf "$directory"' EXIT
: >"$log"
# What MPI leaves behind goes with the rest.
export OMPI_MCA_btl_vader_backing_directory="$directory" OMPI_MCA_orte_tmpdir_base="$directory"
lines() { wc -l <"$log"; }

# At how many lines to kill it: further on each time.
moments=$(awk -v seed="$seed" -v kills="$kills" -v count="$count" 'BEGIN { srand(seed); for (i = 0; i < kills; ++i) print int((i + rand()) * 1.6 * count / kills) + 1 }')
for moment in $moments; do
  setsid mpirun --oversubscribe --bind-to none -np "$ranks" "$program" "$directory/kept" "$log" "$count" "$durable" >"$directory/said" 2>&1 </dev/null &
  session=$!
  # setsid makes a session only where it leads no group.
  tries=0
  while [ "$(lines)" -lt "$moment" ] && kill -0 "$session" 2>/dev/null; do
    sleep 0.01
    tries=$((tries + 1))
    [ "$tries" -lt 6000 ] || { echo "it does not go on"; cat "$directory/said"; exit 1; }
  done
  pkill -9 -s "$session"
  wait "$session" 2>/dev/null
  echo "killed 0 $(date +%s%N)" >>"$log"
done
session=
timeout -k 5 120 mpirun --oversubscribe --bind-to none -np "$ranks" "$program" "$directory/kept" "$log" "$count" "$durable" >"$directory/said" 2>&1 </dev/null
code=$?
cat "$directory/said"
[ "$code" -eq 0 ] || { echo "ended with $code"; exit 1; }
grep -q "^$count of $count right" "$directory/said" || exit 1

awk -v durable="$durable" '
  $1 == "killed" {
    for (n in ran) if (!(n in before) || before[n] < ran[n]) { before[n] = ran[n]; end[n] = $3 }
    for (n in had) have[n] = 1
    ++kills
  }
  $1 == "run" {
    if ($2 in have) { again = again " " $2 }
    if ($2 in before) { ++repeated; age = (end[$2] - before[$2]) / 1e9; if (age > oldest) oldest = age }
    ran[$2] = $3
  }
  $1 == "have" { had[$2] = 1 }
  END {
    printf "killed %d times, %d tasks run again, the oldest %.3f s after its end\n", kills, repeated, oldest
    if (durable == "strict" && again != "") { print "run again though the client had their results:" again; exit 1 }
  }
' "$log"
