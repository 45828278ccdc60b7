#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
#
# engines.sh COMMAND
# A farm over engines, here all on this host: started by rankview run, by mpirun, or by itself where there is an allocation of several hosts.

command=$(realpath "$1")
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
cd "$top" || exit 1
many="--oversubscribe --bind-to none"
# Longer than any test takes, and no other's.
long=1000.$$

fail() {
  echo "engines.sh: $*"
  head -c 4000 said complaints
  exit 1
}
# run CODE COMMAND...: the exit code; what it prints is in `said` and `complaints`.
run() {
  code=$1
  shift
  timeout -k 5 100 "$@" >said 2>complaints </dev/null
  got=$?
  [ "$got" -eq "$code" ] || fail "$*: $got instead of $code"
}
complains() { grep -q -e "$1" complaints || fail "it complains of nothing like $1"; }
# gone WORD: no process is left that was started with it.
gone() {
  tries=0
  while pgrep -f "$1" >/dev/null; do
    tries=$((tries + 1))
    [ $tries -lt 500 ] || fail "these are left: $(pgrep -fa "$1")"
    sleep 0.01
  done
}

# Each waits for the other, so both engines have part in it.
cat >tasks <<'END'
touch one; until [ -e two ]; do sleep 0.01; done; echo a $RANKVIEW_ENGINE
touch two; until [ -e one ]; do sleep 0.01; done; echo b $RANKVIEW_ENGINE
echo c >&2; exit 3
printf 'd\0e'
END
started() {
  rm -f one two log
  run 1 "$@" farm -k -j1 --joblog log tasks
  [ "$(tr '\0' 0 <said | cut -c 1)" = "a
b
d" ] || fail "the output of $*"
  [ "$(sort -n log | cut -f 1,7 | tr '\n\t' ' .')" = "Seq.Exitval 1.0 2.0 3.3 4.0 " ] || fail "the job log of $*"
  [ "$(tail -n 1 log | cut -f 2)" = "$(uname -n)" ] || fail "the host in the job log of $*"
  [ "$(cut -c 1-3 said | tr '\0' 0 | cut -c 3 | sort -u | tr -d '\n ' | wc -c)" -ge 2 ] || fail "one engine has done it all"
}
started mpirun -np 3 $many "$command"
started "$command" run -n 2 "$command"
# Open MPI does not know this batch system here, so all hosts are this one.
LSB_JOBID=1 LSB_HOSTS="here here there" started "$command"

# A command that is an MPI program, and one that needs to know who it is.
if [ "$(id -u)" -eq 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
echo "mpirun -np 2 $many sh -c 'echo rank \$OMPI_COMM_WORLD_RANK of \$OMPI_COMM_WORLD_SIZE' | sort" >tasks
run 0 "$command" farm tasks
[ "$(cat said)" = "rank 0 of 2
rank 1 of 2" ] || fail "an MPI program in a farm on this host"
run 0 mpirun -np 2 $many "$command" farm tasks
[ "$(cat said)" = "rank 0 of 2
rank 1 of 2" ] || fail "an MPI program in a farm on engines"

# Retries, limits, ends, resuming: as on one host.
run 1 mpirun -np 3 $many "$command" farm -j1 --retries 2 --joblog log -- 'echo {} >>tried; exit {}' ::: 0 1 0
[ "$(sort tried | tr -d '\n')" = 0011 ] || fail "retries"
run 1 mpirun -np 2 $many "$command" farm -j2 --timeout 1 --checkpoint kept -- 'echo {}; sleep {}' ::: 0 $long
complains 'took longer than'
run 0 mpirun -np 2 $many "$command" farm -j2 --checkpoint kept --resume -- 'echo {}; sleep {}' ::: $long 0
[ -s said ] && fail "what is done was done again"
run 7 mpirun -np 3 $many "$command" farm -j1 --halt now,fail=1 -- 'sleep {}; exit 7' ::: $long 0
gone "sleep $long"
run 0 mpirun -np 3 $many "$command" farm -j1 --results results -- 'echo {}' ::: a b
[ "$(cat results/1/*/stdout | tr -d '\n')" = ab ] || fail "results"
run 0 mpirun -np 2 $many "$command" farm -- 'head -c {} /dev/zero' ::: 20000000
[ "$(wc -c <said)" -eq 20000000 ] || fail "20 MB of output"

# What commands need: two of two cores each do not fit beside each other on one engine, and nobody has three.
printf 'echo $RANKVIEW_CORES #rv cores=2\necho b\necho c #rv cores=3\necho d #rv cores=2 memory=100M timeout=1m\n' >tasks
run 1 mpirun -np 3 $many "$command" farm -k -j2 tasks
[ "$(tr '\n' ' ' <said)" = "2 b d " ] || fail "commands that need more cores"
complains 'command 3 cannot be started: it wants 3 cores, and there are 2'
run 0 mpirun -np 2 $many "$command" farm -j2 --memory 20M --memory-growth 20 --retries 2 -- 'x=$(head -c {}000000 /dev/zero | tr "\\0" x); sleep 0.3' ::: 100
complains 'was killed, since it had'

# Everything fails on one engine, and nothing is lost; one command that fails is no fault of its host's.
seq 60 >numbers
run 0 mpirun -np 4 $many "$command" farm -j2 --joblog log -a numbers -- 'sleep 0.02; [ $RANKVIEW_ENGINE != 1 ] # {}'
complains 'engine 1 is set aside'
[ "$(wc -l <log)" -eq 61 ] || fail "the job log where a host is broken"
run 1 mpirun -np 4 $many "$command" farm -j2 --joblog log -a numbers -- 'sleep 0.02; [ {} != 30 ]'
grep -q "set aside" complaints && fail "a bad input is taken for a bad host"
# Bad ones only.
run 60 mpirun -np 3 $many "$command" farm -j2 --joblog log -a numbers -- 'echo {}; false'
[ "$(wc -l <said)" -eq 60 ] || fail "the output of commands that all fail"

# An engine dies, and with it what it has started; its commands are run by the other, and nothing is lost.
echo "if [ -e killed ]; then echo again; else touch killed; sleep $long & kill -9 \$PPID; sleep $long; fi" >tasks
for i in 1 2 3 4 5 6; do echo "sleep 0.1; echo $i"; done >>tasks
run 0 "$command" run -n 2 "$command" farm -k -j2 --joblog log tasks
[ "$(tr '\n' ' ' <said)" = "again 1 2 3 4 5 6 " ] || fail "what an engine had that died"
[ "$(wc -l <log)" -eq 8 ] || fail "the job log behind a death"
gone "sleep $long"
# One that does not answer for some seconds.
rm -f stopped log
echo "if [ -e stopped ]; then echo again; else touch stopped; (sleep 6; kill -CONT \$PPID) & kill -STOP \$PPID; sleep 7; echo late; fi" >tasks
for i in 1 2 3 4; do echo "sleep 0.1; echo $i"; done >>tasks
run 0 "$command" run -n 2 "$command" farm -k -j2 --joblog log tasks
[ "$(tr '\n' ' ' <said)" = "again 1 2 3 4 " ] || fail "what an engine had that was silent"
[ "$(wc -l <log)" -eq 6 ] || fail "the job log behind a silence"
# All of them.
run 255 "$command" run -n 2 "$command" farm -j1 -- 'kill -9 $PPID; sleep {}' ::: $long $long
complains 'all engines have died'
gone "sleep $long"

# Whoever ends it ends all of it.
"$command" run -n 2 "$command" farm -j1 --joblog log -- 'touch begun.{#}; sleep {}' ::: $long $long >said 2>complaints &
farm=$!
until [ -e begun.1 ] && [ -e begun.2 ]; do sleep 0.01; done
kill -TERM $farm
wait $farm && fail "it succeeds though it was ended"
gone "sleep $long"
exit 0
