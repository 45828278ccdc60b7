#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
#
# long.sh [NAME...]
# Does many times what the tests do once, with the tests of the preset debug, and prints how often it went well and how long it took, at the end of
# several as a table: engines that die while this or that is under way (map, two, large, arguments, subtasks, collective, team, team_making,
# team_large, team_of_rests, team_crashes, team_stopped, start, shutdown, stopped, stopped_for_ever, poison, crashes, views, once, at_rest,
# side_by_side), isolated tasks that end badly (isolated), how soon after a death its task runs elsewhere (latency), three jobs on one checkpoint
# that are killed and stopped (shared), a job that is killed whole and resumed (resumed, resumed_strict), engines on hosts that are lost (killed_elsewhere, powered_off, cut, cut_for_ever; as root), and the simulator
# (sim).
# Without names: all of them. LONG_TIMES says how often instead of what stands below, LONG_SEED the first seed (1).

. "$(dirname "$0")/../.ci/setup.sh"
need catch2 ccache || exit 1
parts="rankview_deaths rankview_hosts rankview_command rankview_shared rankview_resumed rankview_sim" build debug >/dev/null || exit 1
program=build/debug/tests/system/rankview_deaths
command=build/debug/lib/rankview
first=${LONG_SEED:-1}
said=$(mktemp)
latencies=$(mktemp)
table=$(mktemp)
trap 'rm -f "$said" "$latencies" "$table"' EXIT
engines=4
failed=0

# tell NAME RESULT SECONDS: a line of the table.
tell() { printf '%-18s %-58s %6d s\n' "$1" "$2" "$3" | tee -a "$table"; }

# deaths NAME TIMES [CODE...]: ends with 7, or one of the others.
deaths() {
  name=$1
  times=${LONG_TIMES:-$2}
  shift 2
  good=0
  began=$(date +%s)
  seed=$first
  while [ "$seed" -lt $((first + times)) ]; do
    RANKVIEW_SLOTS=2 RANKVIEW_TEAM_GRACE_MS=500 RANKVIEW_SILENCE_MS=700 RANKVIEW_START_LIMIT_S=5 timeout -k 5 60 "$command" run -n "$engines" "$program" "$name" "$seed" >"$said" 2>&1
    code=$?
    grep '^latency' "$said" >>"$latencies"
    case " 7 $* " in
      *" $code "*) good=$((good + 1)) ;;
      *)
        echo "$name, seed $seed: ended with $code"
        cat "$said"
        failed=1
        ;;
    esac
    seed=$((seed + 1))
  done
  tell "$name" "$good of $times right" "$(($(date +%s) - began))"
}

# shared TIMES
shared() {
  times=${LONG_TIMES:-$1}
  good=0
  began=$(date +%s)
  seed=$first
  while [ "$seed" -lt $((first + times)) ]; do
    if sh tests/system/shared.sh build/debug/tests/system/rankview_shared $((1 + seed % 2)) 2000 15 "$seed" >"$said" 2>&1; then
      good=$((good + 1))
    else
      echo "shared, seed $seed:"
      cat "$said"
      failed=1
    fi
    seed=$((seed + 1))
  done
  tell shared "$good of $times right" "$(($(date +%s) - began))"
}

# resumed NAME TIMES soon|strict: five kills of the whole job each time.
resumed() {
  name=$1
  times=${LONG_TIMES:-$2}
  good=0
  began=$(date +%s)
  : >"$latencies"
  seed=$first
  while [ "$seed" -lt $((first + times)) ]; do
    if sh tests/system/resumed.sh build/debug/tests/system/rankview_resumed $((2 + seed % 3)) "$3" 5 "$seed" >"$said" 2>&1; then
      good=$((good + 1))
    else
      echo "$name, seed $seed:"
      cat "$said"
      failed=1
    fi
    sed -n 's/^killed .* times, \([0-9]*\) tasks run again, the oldest \([0-9.]*\) s .*/\1 \2/p' "$said" >>"$latencies"
    seed=$((seed + 1))
  done
  again=$(awk '{ n += $1; if ($2 > oldest) oldest = $2 } END { printf "%d tasks again, the oldest %.3f s", n, oldest }' "$latencies")
  tell "$name" "$good of $times right, 5 kills each; $again" "$(($(date +%s) - began))"
}

# elsewhere NAME TIMES WHAT EXPECTED [TASKS]
elsewhere() {
  name=$1
  times=${LONG_TIMES:-$2}
  shift 2
  good=0
  began=$(date +%s)
  : >"$latencies"
  seed=0
  while [ "$seed" -lt "$times" ]; do
    sh tests/system/lost_host.sh "$PWD/$command" "$PWD/build/debug/tests/system/rankview_hosts" "$@" >"$said" 2>&1
    case $? in
      0) good=$((good + 1)) ;;
      *)
        cat "$said"
        failed=1
        ;;
    esac
    sed -n 's/^elsewhere after/latency/p' "$said" >>"$latencies"
    seed=$((seed + 1))
  done
  tell "$name" "$good of $times right; $(soon)" "$(($(date +%s) - began))"
}

# soon: what the latencies say.
soon() {
  sort -k 2 -n "$latencies" |
    awk '{ all[NR] = $2 } END { if (NR) printf "its task elsewhere: median %.1f ms, worst %.1f ms of %d", all[int((NR + 1) / 2)], all[NR], NR }'
}

all="map two stopped stopped_for_ever large arguments subtasks collective team team_making team_large team_of_rests team_crashes team_stopped start shutdown poison crashes once views at_rest side_by_side isolated latency shared resumed resumed_strict killed_elsewhere powered_off cut cut_for_ever sim"
for name in ${*:-$all}; do
  case $name in
    map) deaths map 200 ;;
    start) deaths start 50 1 ;;
    two | stopped | stopped_for_ever | large | arguments | subtasks | collective | team | team_* | shutdown) deaths "$name" 50 ;;
    poison | crashes | once | views | at_rest) deaths "$name" 20 ;;
    side_by_side) deaths side_by_side 50 ;;
    shared) shared 50 ;;
    resumed) resumed "$name" 20 soon ;;
    resumed_strict) resumed "$name" 20 strict ;;
    killed_elsewhere) elsewhere "$name" 20 killed '5 of 6 engines' ;;
    powered_off | cut_for_ever) elsewhere "$name" 10 "$name" '4 of 6 engines' ;;
    cut) elsewhere cut 10 cut '6 of 6 engines' 1500 ;;
    isolated)
      engines=2
      deaths isolated 100
      engines=4
      ;;
    latency)
      deaths latency 10
      tell latency "$(soon)" 0
      ;;
    sim)
      began=$(date +%s)
      build/debug/tests/sim/rankview_sim --seed "$first" --histories "${LONG_TIMES:-10000000}" >"$said" 2>&1 || failed=1
      cat "$said"
      tell sim "$(tail -n 1 "$said")" "$(($(date +%s) - began))"
      ;;
    *)
      echo "usage: sh tests/long.sh [$(echo "$all" | tr ' ' '|')]..." >&2
      exit 2
      ;;
  esac
done
if [ "$(wc -l <"$table")" -gt 1 ]; then
  echo
  cat "$table"
fi
exit $failed
