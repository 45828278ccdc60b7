#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
#
# lost_host.sh RANKVIEW PROGRAM nothing|killed|powered_off|cut|cut_for_ever EXPECTED [TASKS]
# Three hosts with two engines each, rank 0 on the first. While tasks run, an engine of the third is killed, or the whole host loses its power, or its
# link is cut: for three seconds, or for ever. All results have to be right, EXPECTED has to be in the output, and nothing of the program may be left on
# any host. Prints how soon a task of a lost engine ran elsewhere. Ends with 77 where no hosts can be made.

rankview=$1
program=$2
what=$3
expected=$4
tasks=${5:-500}
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)/hosts
said=$(dirname "$dir")/said
hosts() {
  verb=$1
  shift
  sh "$here/hosts.sh" "$verb" "$dir" "$@"
}
finish() {
  [ -z "$job" ] || kill -9 "$job" 2>/dev/null
  hosts down >/dev/null 2>&1
  rm -rf "$(dirname "$dir")"
}
job=
trap finish EXIT
hosts up 3 || exit $?
net=10.$(cat "$dir/net").0.0/24

# fail WHAT
fail() {
  cat "$said"
  echo "lost_host.sh: $1"
  exit 1
}

# wait_for TEXT SECONDS
wait_for() {
  left=$(($2 * 10))
  until grep -q "$1" "$said"; do
    kill -0 "$job" 2>/dev/null || fail "it has ended, and has not said: $1"
    [ $left -gt 0 ] || fail "not within $2 s: $1"
    left=$((left - 1))
    sleep 0.1
  done
}

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
OMPI_MCA_plm_rsh_agent="$dir/agent" OMPI_MCA_btl_tcp_if_include=$net OMPI_MCA_oob_tcp_if_include=$net \
  timeout -k 5 90 "$rankview" run -n 6 --host a1:3,a2:2,a3:2 "$program" "$tasks" >"$said" 2>&1 </dev/null &
job=$!
wait_for 'under way' 30
began=$(date +%s.%N)
case $what in
  nothing) ;;
  killed) hosts on a3 pkill -9 -o -f "^$program" || fail "no engine to kill" ;;
  powered_off) hosts power_off a3 ;;
  cut)
    hosts cut a3
    sleep 3
    hosts mend a3
    ;;
  cut_for_ever) hosts cut a3 ;;
esac
wait "$job"
code=$?
job=
[ $code -eq 0 ] || fail "it ended with $code"
grep -q '^all is right' "$said" || fail "not all is right"
grep -q "$expected" "$said" || fail "it did not say: $expected"
# A host that is cut off has the same time to notice.
left=300
for host in a1 a2 a3; do
  [ "$what $host" != "powered_off a3" ] || continue
  while hosts on "$host" pgrep -f "^$program" >/dev/null; do
    [ $left -gt 0 ] || fail "on $host something is left: $(hosts on "$host" ps -ef)"
    left=$((left - 1))
    sleep 0.1
  done
done
grep '^engine\|^all is right' "$said"
again=$(sed -n 's/^again at //p' "$said")
[ -z "$again" ] || echo "$again $began" | awk '{ printf "elsewhere after %.1f ms\n", ($1 - $2) * 1000 }'
